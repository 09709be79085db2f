//! API keys: `tnty_api_<id>_<secret><checksum>`, made here, shown once, stored as a keyed hash.
//!
//! The kind stands in front so that a leaked key is recognised by scanners and never taken for
//! another secret of ours; the checksum keeps mistyped and invented keys away from the database.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::random::{NoRandomness, random_bytes};
use crate::{
    ids::ApiKeyId,
    secrets::{KeyPurpose, MasterKey, SecretBytes, SecretText},
};

/// The regular expression that finds API keys, for secret scanners.
pub const SCANNER_PATTERN: &str = "tnty_api_[0-9a-f]{32}_[0-9a-f]{72}";

const PREFIX: &str = "tnty_api_";

/// `tnty_api_`, 32 of the id, `_`, 64 of the secret, 8 of the checksum.
const LENGTH: usize = 114;

const CHECKSUM_LENGTH: usize = 8;

/// A text that was never an API key. What is wrong with it is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct Malformed;

/// A text with the form of an API key, not yet known to be one.
#[derive(Debug)]
pub struct ParsedApiKey {
    /// Which key it claims to be.
    pub id: ApiKeyId,
    /// What proves it.
    secret: SecretBytes<32>,
}

/// A new key: the id to store with its hash, and the text to show once.
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

/// Reads what a caller presents. The checksum is looked at before anything else (A8).
///
/// # Errors
/// [`Malformed`] for everything that was not issued in this form.
pub fn parse(text: &str) -> Result<ParsedApiKey, Malformed> {
    if text.len() != LENGTH {
        return Err(Malformed);
    }
    let (body, checksum) = text
        .split_at_checked(LENGTH - CHECKSUM_LENGTH)
        .ok_or(Malformed)?;
    if lower_hex::<4>(checksum)? != crc32fast::hash(body.as_bytes()).to_be_bytes() {
        return Err(Malformed);
    }
    let rest = body.strip_prefix(PREFIX).ok_or(Malformed)?;
    let (id, secret) = rest.split_once('_').ok_or(Malformed)?;
    let secret = Zeroizing::new(lower_hex::<32>(secret)?);
    Ok(ParsedApiKey {
        id: ApiKeyId::from_uuid(Uuid::from_bytes(lower_hex(id)?)),
        secret: SecretBytes::copy_of(secret.as_slice()).ok_or(Malformed)?,
    })
}

/// What is stored of a key: HMAC-SHA256 under a key that is not in the database (A9). The id is
/// hashed too, so that a hash copied to another row fits no key.
pub fn hash(master: &MasterKey, key: &ParsedApiKey) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(
        HMAC_SHA256,
        master.derive(KeyPurpose::ApiKey).expose(),
    ));
    context.update(PREFIX.as_bytes());
    context.update(key.id.as_uuid().as_bytes());
    context.update(key.secret.expose());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.sign().as_ref());
    hash
}

/// Whether a presented key is the stored one, in a time that tells nothing about either.
pub fn verify(master: &MasterKey, key: &ParsedApiKey, stored: &[u8]) -> bool {
    hash(master, key).ct_eq(stored).into()
}

/// Exactly `N` bytes in small hexadecimal digits.
fn lower_hex<const N: usize>(text: &str) -> Result<[u8; N], Malformed> {
    let mut bytes = [0; N];
    if text.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return Err(Malformed);
    }
    hex::decode_to_slice(text, &mut bytes).or(Err(Malformed))?;
    Ok(bytes)
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 0x0F] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(byte: u8) -> MasterKey {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        MasterKey::from_base64(&STANDARD.encode([byte; 32])).unwrap()
    }

    /// SplitMix64: numbers that are the same in every run.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        }

        fn text(&mut self, alphabet: &[char], length: usize) -> String {
            let count = u64::try_from(alphabet.len()).unwrap();
            (0..length)
                .map(|_| alphabet[usize::try_from(self.next() % count).unwrap()])
                .collect()
        }
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
    fn a8_an_issued_key_is_read_back_and_found_by_the_scanner_pattern() {
        for _ in 0..1000 {
            let (id, key) = generate().unwrap();
            let text = key.expose();
            assert_eq!(text.len(), LENGTH);
            assert_eq!(parse(text).unwrap().id, id);
            assert!(text.contains(&id.as_uuid().simple().to_string()));
            assert!(finds(
                SCANNER_PATTERN,
                &format!("curl -H 'Authorization: Bearer {text}'")
            ));
        }
        assert!(!finds(
            SCANNER_PATTERN,
            &format!("tnty_api_{}_{}", "a".repeat(32), "b".repeat(71))
        ));
        assert!(!finds(
            SCANNER_PATTERN,
            &format!("tnty_api_{}_{}", "g".repeat(32), "b".repeat(72))
        ));
    }

    #[test]
    fn a8_a_key_has_the_checksum_that_another_implementation_computes() {
        let text = format!(
            "tnty_api_{}_{}{}",
            "01".repeat(16),
            "ab".repeat(32),
            "598a2736"
        );
        let key = parse(&text).unwrap();
        assert_eq!(key.id.as_uuid(), Uuid::from_bytes([1; 16]));
        assert!(key.secret.matches(&[0xAB; 32]));
        assert_eq!(
            hex::encode(hash(&master(1), &key)),
            "091c46ef5e6c0036bab2d14093e7fc60134e03ad8e5752e244b80418f93e51cf"
        );
    }

    #[test]
    fn a8_random_texts_are_never_well_formed() {
        let digits: Vec<char> = "0123456789abcdef".chars().collect();
        let anything: Vec<char> = (' '..='~').collect();
        let mut numbers = Numbers(5);
        for _ in 0..100_000 {
            let (id, rest) = (numbers.text(&digits, 32), numbers.text(&digits, 72));
            assert!(parse(&format!("{PREFIX}{id}_{rest}")).is_err());
            assert!(parse(&numbers.text(&anything, LENGTH)).is_err());
        }
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
        let (_, key) = generate().unwrap();
        let (_, other) = generate().unwrap();
        let (key, other) = (parse(key.expose()).unwrap(), parse(other.expose()).unwrap());
        let stored = hash(&master(1), &key);
        assert!(verify(&master(1), &key, &stored));
        assert!(!verify(&master(1), &other, &stored));
        assert!(!verify(&master(2), &key, &stored));
        assert!(!verify(&master(1), &key, &stored[..31]));
        assert!(!verify(&master(1), &key, &[]));
        // The same secret under another id, as if the hash were copied to another row.
        let copied = ParsedApiKey {
            id: other.id,
            secret: key.secret,
        };
        assert!(!verify(&master(1), &copied, &stored));
    }

    #[test]
    fn a9_neither_a_parsed_key_nor_its_hash_holds_the_key() {
        let (_, key) = generate().unwrap();
        let parsed = parse(key.expose()).unwrap();
        let secret = &key.expose()[42..106];
        assert!(!format!("{parsed:?}").contains(secret));
        assert!(!hex::encode(hash(&master(1), &parsed)).contains(secret));
    }
}
