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
const LENGTH: usize = PREFIX.len() + ID_DIGITS + 1 + SECRET_DIGITS + CHECKSUM_DIGITS;

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
    // Reserved at once: text that grows leaves copies of the secret behind.
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    push_hex(&mut text, id.as_bytes());
    text.push('_');
    push_hex(&mut text, secret.as_slice());
    let checksum = crc32fast::hash(text.as_bytes());
    push_hex(&mut text, &checksum.to_be_bytes());
    Ok((ApiKeyId::from_uuid(id), SecretText::new(text)))
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 0x0F] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
}

/// Reads a presented key: the checksum before anything else.
///
/// # Errors
/// [`Malformed`] for whatever is wrong with it.
pub fn parse(text: &str) -> Result<ParsedApiKey, Malformed> {
    if text.len() != LENGTH || !text.is_ascii() {
        return Err(Malformed);
    }
    let (body, checksum) = text
        .split_at_checked(LENGTH - CHECKSUM_DIGITS)
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

    fn master(byte: u8) -> MasterKey {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        MasterKey::from_base64(&SecretText::new(STANDARD.encode([byte; 32]))).unwrap()
    }

    /// Where a pattern of literal characters, `[a-z]` classes and `{n}` counts matches: as much of a
    /// regular expression as [`SCANNER_PATTERN`] uses.
    fn finds(pattern: &str, text: &str) -> bool {
        let mut steps: Vec<Vec<(char, char)>> = Vec::new();
        let mut rest = pattern.chars();
        while let Some(next) = rest.next() {
            if next == '{' {
                let count: String = rest.by_ref().take_while(|digit| *digit != '}').collect();
                let step = steps.last().unwrap().clone();
                steps.resize(steps.len() - 1 + count.parse::<usize>().unwrap(), step);
            } else if next == '[' {
                let class: Vec<char> = rest.by_ref().take_while(|end| *end != ']').collect();
                steps.push(class.chunks(3).map(|range| (range[0], range[2])).collect());
            } else {
                steps.push(vec![(next, next)]);
            }
        }
        let text: Vec<char> = text.chars().collect();
        text.windows(steps.len()).any(|part| {
            part.iter()
                .zip(&steps)
                .all(|(found, step)| step.iter().any(|(from, to)| (from..=to).contains(&found)))
        })
    }

    #[test]
    fn a8_a_new_key_is_well_formed_and_found_by_the_scanner_pattern() {
        for _ in 0..1_000 {
            let (id, key) = generate().unwrap();
            let text = key.expose();
            assert_eq!(text.len(), LENGTH);
            assert_eq!(parse(text).map(|key| key.id), Ok(id));
            assert!(text.contains(&id.as_uuid().simple().to_string()));
            let leaked = format!("curl -H 'Authorization: Bearer {text}'");
            assert!(finds(SCANNER_PATTERN, &leaked));
        }
        for (id, rest) in [
            ("a".repeat(32), "b".repeat(71)),
            ("g".repeat(32), "b".repeat(72)),
        ] {
            assert!(!finds(SCANNER_PATTERN, &format!("tnty_api_{id}_{rest}")));
        }
    }

    #[test]
    fn a8_a_key_has_the_checksum_and_hash_that_another_implementation_computes() {
        let text = format!(
            "tnty_api_{}_{}{}",
            "01".repeat(16),
            "ab".repeat(32),
            "598a2736"
        );
        let key = parse(&text).unwrap();
        assert_eq!(key.id.as_uuid(), Uuid::from_bytes([1; 16]));
        assert_eq!(
            hex::encode(key.hash(&master(1))),
            "3562b3752523a4477be2cb65130c6c00433cd57d986ba6e64ae4a8166d6d2c7c"
        );
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
    fn a8_each_changed_character_is_noticed() {
        let (_, key) = generate().unwrap();
        let text = key.expose();
        for position in 0..text.len() {
            for other in (' '..='~').chain(['é', '\0']) {
                let mut changed = text.to_owned();
                changed.replace_range(position..=position, &other.to_string());
                assert_eq!(
                    parse(&changed).is_err(),
                    changed != text,
                    "{position} {other:?}"
                );
            }
        }
    }

    #[test]
    fn a8_shortened_lengthened_and_respelled_keys_are_refused() {
        let (_, key) = generate().unwrap();
        let text = key.expose();
        for length in 0..text.len() {
            assert!(parse(&text[..length]).is_err());
            assert!(parse(&text[text.len() - length..]).is_err());
        }
        let spellings = [
            format!("{text}0"),
            format!(" {text}"),
            text.to_uppercase(),
            text.repeat(1000),
        ];
        for spelling in spellings {
            assert!(parse(&spelling).is_err());
        }
    }

    #[test]
    fn a13_a_right_checksum_over_another_form_is_still_no_api_key() {
        let (id, secret) = ("01".repeat(16), "ab".repeat(32));
        let bodies = [
            format!("tnty_ses_{id}_{secret}"),
            format!("tnty_api_{id}{secret}_"),
            format!("tnty_api__{id}{secret}"),
            format!("tnty_api_{}_{secret}", "AB".repeat(16)),
            format!("tnty_api_{id}_{}", "AB".repeat(32)),
            format!("tnty_api_{secret}_{id}"),
            format!("tnty_api_{id}_{}", "zz".repeat(32)),
        ];
        for body in bodies {
            let text = format!("{body}{:08x}", crc32fast::hash(body.as_bytes()));
            assert_eq!(text.len(), LENGTH);
            assert!(parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a9_a_stored_hash_fits_its_own_key_under_its_own_master_key_alone() {
        let (_, text) = generate().unwrap();
        let (_, other) = generate().unwrap();
        let (key, other) = (
            parse(text.expose()).unwrap(),
            parse(other.expose()).unwrap(),
        );
        let stored = key.hash(&master(1));
        assert!(key.matches(&master(1), &stored));
        assert!(!key.matches(&master(2), &stored));
        assert!(!other.matches(&master(1), &stored));
        assert!(!key.matches(&master(1), &stored[..31]));
        assert!(!key.matches(&master(1), &[]));
        assert!(!hex::encode(stored).contains(key.secret.expose()));
        // The same secret under another id, as if the hash were copied to another row.
        let copied = ParsedApiKey {
            id: other.id,
            secret: key.secret,
        };
        assert!(!copied.matches(&master(1), &stored));
    }
}
