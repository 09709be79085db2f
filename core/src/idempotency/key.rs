//! The key as a caller sends it.

use std::{fmt, str::FromStr};

/// Characters a key may have.
const LONGEST: usize = 255;

/// The value of an `Idempotency-Key` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A text that is no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not 1 to 255 visible ASCII characters")]
pub struct InvalidKey;

impl FromStr for IdempotencyKey {
    type Err = InvalidKey;

    /// Quotes around the key are not part of it: the header is a structured string in the draft of
    /// the HTTP API working group, and a bare text in most clients.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let quoted = text
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let key = quoted.unwrap_or(text);
        if (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(key.to_owned()))
        } else {
            Err(InvalidKey)
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl IdempotencyKey {
    /// The key's bytes, to be hashed.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r29_quotes_around_a_key_are_not_part_of_it() {
        let key = |text: &str| text.parse::<IdempotencyKey>().map(|key| key.to_string());
        assert_eq!(key("\"8e03978e\""), Ok("8e03978e".to_owned()));
        assert_eq!(key("8e03978e"), Ok("8e03978e".to_owned()));
        assert_eq!(key("a\"b"), Ok("a\"b".to_owned()));
        assert_eq!(key(&"~".repeat(255)), Ok("~".repeat(255)));
    }

    #[test]
    fn r29_what_is_not_visible_ascii_of_a_fair_length_is_no_key() {
        for text in [
            "",
            "\"\"",
            "a b",
            " a",
            "ä",
            "a\u{7f}",
            "a\n",
            &"a".repeat(256),
        ] {
            assert_eq!(text.parse::<IdempotencyKey>(), Err(InvalidKey), "{text:?}");
        }
    }
}
