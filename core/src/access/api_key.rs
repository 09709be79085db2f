//! The text of an API key: `tnty_<kind>_<id>_<32 random bytes><crc32>`.
//!
//! The kind and the checksum let a scanner find leaked keys, and let us refuse garbage before asking
//! the database. Only a keyed hash of the secret part is stored (A8, A9).

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::random::{NoRandomness, random_bytes};
use crate::{
    ids::ApiKeyId,
    secrets::{MasterKey, SecretText, SubKey},
};

/// Finds keys in any text. Published for secret scanners.
pub const SCANNER_PATTERN: &str = "tnty_api_[0-9a-f]{32}_[0-9a-f]{72}";

const PREFIX: &str = "tnty_api_";
const ID_DIGITS: usize = 32;
const SECRET_DIGITS: usize = 64;
const CHECKSUM_DIGITS: usize = 8;

/// A text that is no API key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an API key")]
pub struct Malformed;

/// A well-formed key that a caller presented: whether it is valid only the stored hash tells.
pub struct ParsedApiKey {
    /// Its public part.
    pub id: ApiKeyId,
    secret: SecretText,
}

/// A new key. The text exists here and with its owner, nowhere else.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn generate() -> Result<(ApiKeyId, SecretText), NoRandomness> {
    let id = Uuid::now_v7();
    let secret = Zeroizing::new(random_bytes::<32>()?);
    let body = Zeroizing::new(format!(
        "{PREFIX}{}_{}",
        id.simple(),
        hex::encode(secret.as_slice())
    ));
    let text = format!("{}{:08x}", body.as_str(), crc32fast::hash(body.as_bytes()));
    Ok((ApiKeyId::from_uuid(id), SecretText::new(text)))
}

/// Reads a presented key: the checksum before anything else.
///
/// # Errors
/// [`Malformed`] for whatever is wrong with it.
pub fn parse(text: &str) -> Result<ParsedApiKey, Malformed> {
    let length = PREFIX.len() + ID_DIGITS + 1 + SECRET_DIGITS + CHECKSUM_DIGITS;
    if text.len() != length || !text.is_ascii() {
        return Err(Malformed);
    }
    let (body, checksum) = text
        .split_at_checked(length - CHECKSUM_DIGITS)
        .ok_or(Malformed)?;
    if checksum != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
        return Err(Malformed);
    }
    let (id, secret) = body
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('_'))
        .ok_or(Malformed)?;
    let is_hex = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if id.len() != ID_DIGITS || secret.len() != SECRET_DIGITS || !is_hex(id) || !is_hex(secret) {
        return Err(Malformed);
    }
    let id = Uuid::try_parse(id).or(Err(Malformed))?;
    Ok(ParsedApiKey {
        id: ApiKeyId::from_uuid(id),
        secret: SecretText::new(secret.to_owned()),
    })
}

impl ParsedApiKey {
    /// What the database keeps: without the master key nobody can test a guess against it.
    pub fn hash(&self, master: &MasterKey) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, master.sub_key(SubKey::ApiKey).expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(self.id.as_uuid().as_bytes());
        context.update(self.secret.expose().as_bytes());
        let mut hash = [0; 32];
        for (byte, from) in hash.iter_mut().zip(context.sign().as_ref()) {
            *byte = *from;
        }
        hash
    }

    /// Whether this is the key whose hash is stored, in a time that tells nothing.
    pub fn matches(&self, master: &MasterKey, stored: &[u8]) -> bool {
        self.hash(master).as_slice().ct_eq(stored).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a8_a_new_key_is_well_formed_and_found_by_the_scanner_pattern() {
        for _ in 0..1_000 {
            let (id, text) = generate().unwrap();
            let text = text.expose();
            assert_eq!(parse(text).map(|key| key.id), Ok(id));
            let rest = text.strip_prefix("tnty_api_").unwrap();
            let (id, secret) = rest.split_once('_').unwrap();
            assert!(SCANNER_PATTERN.contains("{32}") && id.len() == 32);
            assert!(SCANNER_PATTERN.contains("{72}") && secret.len() == 72);
            assert!(
                rest.bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'_'))
            );
        }
    }

    #[test]
    fn a8_random_texts_of_the_right_shape_are_refused_by_their_checksum() {
        let mut accepted = 0;
        for _ in 0..100_000 {
            let text = format!(
                "tnty_api_{}_{}",
                hex::encode(random_bytes::<16>().unwrap()),
                hex::encode(random_bytes::<36>().unwrap())
            );
            accepted += u32::from(parse(&text).is_ok());
        }
        assert_eq!(accepted, 0);
    }

    #[test]
    fn a8_every_changed_character_is_refused() {
        let (_, text) = generate().unwrap();
        for position in 0..text.expose().len() {
            let mut changed = text.expose().to_owned().into_bytes();
            changed[position] = if changed[position] == b'0' {
                b'1'
            } else {
                b'0'
            };
            let changed = String::from_utf8(changed).unwrap();
            if changed != text.expose() {
                assert!(parse(&changed).is_err(), "position {position}");
            }
        }
        for wrong in ["", "tnty_api_", "Bearer x", "tnty_api_ü"] {
            assert!(parse(wrong).is_err());
        }
    }

    #[test]
    fn a9_the_hash_needs_the_master_key() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let master = |byte: u8| {
            MasterKey::from_base64(&SecretText::new(STANDARD.encode([byte; 32]))).unwrap()
        };
        let (_, text) = generate().unwrap();
        let key = parse(text.expose()).unwrap();
        let stored = key.hash(&master(1));
        assert!(key.matches(&master(1), &stored));
        assert!(!key.matches(&master(2), &stored));
        let (_, other) = generate().unwrap();
        assert!(!parse(other.expose()).unwrap().matches(&master(1), &stored));
    }
}
