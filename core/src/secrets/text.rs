//! A secret that is text: a token, a client secret, an authorization code.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Text that may be used but not shown: erased from memory when dropped, `Debug` says nothing.
///
/// It has no `Display`, `Clone`, `Serialize` or `Deref`, so a secret cannot reach a log line, an
/// answer or a second owner by accident; share it by `Arc`. The one way to the text is
/// [`SecretText::expose`], a name one can search for. What an HTTP or TLS library copies out of it
/// is beyond our reach.
pub struct SecretText(String);

impl SecretText {
    /// Takes the text over. A string that has grown left copies behind: hand over one that was
    /// made in one piece where that is possible.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that sends, hashes or encrypts it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a presented text is this secret. The time taken tells nothing about the content;
    /// only a difference in length is seen sooner.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(redacted)")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    /// Reads a secret straight out of a token response or a request body.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// The control of the proofs below: what may be done compiles.
///
/// ```
/// use tenantry_core::secrets::SecretText;
/// let secret = SecretText::new("s3cret".to_owned());
/// assert!(secret.matches(secret.expose()));
/// assert_eq!(format!("{secret:?}"), "SecretText(redacted)");
/// ```
#[cfg(doctest)]
mod v10_secret_text_can_be_exposed_and_compared {}

/// ```compile_fail,E0277
/// use tenantry_core::secrets::SecretText;
/// let secret = SecretText::new("s3cret".to_owned());
/// println!("{secret}");
/// ```
#[cfg(doctest)]
mod v10_secret_text_cannot_be_printed {}

/// ```compile_fail,E0599
/// use tenantry_core::secrets::SecretText;
/// let secret = SecretText::new("s3cret".to_owned());
/// let second: SecretText = secret.clone();
/// ```
#[cfg(doctest)]
mod v10_secret_text_cannot_be_cloned {}

/// ```compile_fail,E0277
/// use tenantry_core::secrets::SecretText;
/// let secret = SecretText::new("s3cret".to_owned());
/// let json = serde_json::to_string(&secret);
/// ```
#[cfg(doctest)]
mod v10_secret_text_cannot_be_serialized {}

/// ```compile_fail,E0308
/// use tenantry_core::secrets::SecretText;
/// let secret = SecretText::new("s3cret".to_owned());
/// let text: &str = &secret;
/// ```
#[cfg(doctest)]
mod v10_secret_text_is_not_a_string_by_itself {}

/// ```compile_fail,E0369
/// use tenantry_core::secrets::SecretText;
/// let secret = SecretText::new("s3cret".to_owned());
/// assert!(secret == SecretText::new("s3cret".to_owned()));
/// ```
#[cfg(doctest)]
mod v10_secret_text_has_no_equality_that_stops_early {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v10_debug_of_a_secret_and_of_what_holds_it_shows_nothing() {
        #[derive(Debug)]
        struct Holder {
            #[expect(dead_code, reason = "only its Debug form is looked at")]
            token: SecretText,
        }
        let holder = Holder {
            token: SecretText::new("canary-5f2a".to_owned()),
        };
        let shown = format!("{holder:?} {holder:#?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("redacted"), "{shown}");
    }

    #[test]
    fn v10_a_secret_matches_itself_and_nothing_else() {
        let secret = SecretText::new("abcdef".to_owned());
        assert!(secret.matches("abcdef"));
        for other in ["", "abcde", "abcdefg", "abcdeF", "Abcdef", "\0bcdef"] {
            assert!(!secret.matches(other), "{other:?}");
        }
    }

    #[test]
    fn v10_a_secret_is_read_from_json_and_a_wrong_type_does_not_echo_it() {
        let secret: SecretText = serde_json::from_str("\"from-microsoft\"").unwrap();
        assert!(secret.matches("from-microsoft"));
        assert!(serde_json::from_str::<SecretText>("12").is_err());
    }
}
