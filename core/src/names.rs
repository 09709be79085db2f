//! Names that people type, and those that Microsoft sends.

use std::borrow::Cow;

/// Characters a name may have.
const LONGEST: usize = 200;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing but blanks.
    #[error("must not be empty")]
    Empty,
    /// Longer than 200 characters.
    #[error("must have at most 200 characters")]
    TooLong,
    /// A line break, a NUL or another character that is not written.
    #[error("must not contain control characters")]
    ControlCharacter,
}

/// A name without blanks around it: 1 to 200 characters, none of them a control character.
///
/// # Errors
/// The first rule that the text breaks.
pub fn checked_name(text: &str) -> Result<String, InvalidName> {
    let name = text.trim();
    if name.is_empty() {
        Err(InvalidName::Empty)
    } else if name.chars().any(char::is_control) {
        Err(InvalidName::ControlCharacter)
    } else if name.chars().count() > LONGEST {
        Err(InvalidName::TooLong)
    } else {
        Ok(name.to_owned())
    }
}

/// A name from outside as both databases keep it: PostgreSQL has no text with NUL in it, and would refuse
/// everything that stands beside such a name.
pub fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', ""))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_blanks_around_them_and_nothing_else() {
        assert_eq!(
            checked_name("  Contoso  GmbH "),
            Ok("Contoso  GmbH".to_owned())
        );
        assert_eq!(checked_name(&"ü".repeat(200)), Ok("ü".repeat(200)));
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_reason() {
        assert_eq!(checked_name(" \t"), Err(InvalidName::Empty));
        assert_eq!(checked_name("a\u{0}b"), Err(InvalidName::ControlCharacter));
        assert_eq!(checked_name("a\nb"), Err(InvalidName::ControlCharacter));
        assert_eq!(checked_name(&"a".repeat(201)), Err(InvalidName::TooLong));
    }
}
