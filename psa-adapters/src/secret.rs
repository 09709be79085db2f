//! A secret of a PSA: an API key, a client secret, an access token.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Text that may be used but not shown: erased when dropped, `Debug` says nothing. No `Display`, `Clone`,
/// `Serialize` or `Deref`: the one way to the text is [`Secret::expose`].
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that sends or hashes it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a presented text is this secret, in a time that tells nothing about the content.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn v10_a_secret_shows_nothing_and_matches_only_itself() {
        let secret = Secret::new("canary-77".to_owned());
        assert!(!format!("{secret:?}").contains("canary"));
        assert!(secret.matches(b"canary-77"));
        assert!(!secret.matches(b"canary-7"));
    }
}
