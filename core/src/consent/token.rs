//! The random values of a flow: link token, state and browser cookie.

use std::fmt;

use aws_lc_rs::digest;

use crate::{
    access::random::{NoRandomness, random_token},
    secrets::SecretText,
};

/// 32 bytes as base64url without padding.
const TEXT_LENGTH: usize = 43;

/// What a value is for. It goes into the hash, so that none can stand in for another (A13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The last segment of a link.
    Link,
    /// The `state` that Microsoft repeats.
    State,
    /// The cookie that binds a flow to a browser.
    Cookie,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Link => b"tenantry flow link\n",
            Self::State => b"tenantry flow state\n",
            Self::Cookie => b"tenantry flow cookie\n",
        }
    }
}

/// A random value of 256 bits that someone outside holds. Only its hash is stored in the clear.
#[derive(Debug)]
pub struct FlowToken(SecretText);

/// What is stored of a [`FlowToken`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowHash([u8; 32]);

impl FlowToken {
    /// A new value.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn random() -> Result<Self, NoRandomness> {
        random_token().map(Self)
    }

    /// A value someone presents, if it has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = text.len() == TEXT_LENGTH && text.bytes().all(is_plain);
        fits.then(|| Self(SecretText::new(text.to_owned())))
    }

    /// The value, for the URL or cookie that carries it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The value as a secret, for the vault and for Microsoft's URL.
    pub(super) fn secret(&self) -> &SecretText {
        &self.0
    }

    /// What is stored and looked up.
    pub fn hash(&self, purpose: Purpose) -> FlowHash {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(purpose.label());
        context.update(self.0.expose().as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        FlowHash(hash)
    }
}

impl FlowHash {
    /// The bytes, for the database.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FlowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlowHash")
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn c6_values_are_256_bits_and_never_the_same() {
        let tokens: std::collections::HashSet<_> = (0..1000)
            .map(|_| FlowToken::random().unwrap().expose().to_owned())
            .collect();
        assert_eq!(tokens.len(), 1000);
        assert!(
            tokens
                .iter()
                .all(|token| URL_SAFE_NO_PAD.decode(token).unwrap().len() == 32)
        );
    }

    #[test]
    fn c6_truncated_oversized_and_foreign_texts_are_no_values() {
        let token = FlowToken::random().unwrap();
        let text = token.expose();
        assert!(FlowToken::parse(text).is_some());
        let wrong = [
            String::new(),
            text.chars().take(42).collect(),
            format!("{text}A"),
            text.chars().take(42).chain(['=']).collect(),
            text.chars().take(41).chain(['é']).collect(),
            "A".repeat(100_000),
        ];
        for wrong in wrong {
            assert!(FlowToken::parse(&wrong).is_none());
        }
    }

    #[test]
    fn a13_one_value_has_another_hash_for_each_purpose_and_case() {
        let token = FlowToken::parse(&"a".repeat(TEXT_LENGTH)).unwrap();
        let upper = FlowToken::parse(&"A".repeat(TEXT_LENGTH)).unwrap();
        let hashes = [
            token.hash(Purpose::Link),
            token.hash(Purpose::State),
            token.hash(Purpose::Cookie),
            upper.hash(Purpose::State),
        ];
        let different: std::collections::HashSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
    }

    #[test]
    fn v9_neither_a_value_nor_its_hash_shows_itself() {
        let token = FlowToken::random().unwrap();
        let shown = format!("{token:?} {:?}", token.hash(Purpose::Link));
        assert!(!shown.contains(token.expose()));
    }
}
