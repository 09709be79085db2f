//! The sealed form of a secret: AES-256-GCM in an envelope that says how it was made.
//!
//! `version (1), algorithm (1), kek id (16), dek id (16), nonce (12), ciphertext, tag (16)`. All of the
//! header is authenticated, together with what the secret belongs to.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use zeroize::Zeroizing;

use super::SecretBytes;

/// This layout.
const VERSION: u8 = 1;

/// AES-256-GCM with a random nonce of 96 bits and a tag of 128.
const ALGORITHM: u8 = 1;

const HEADER_LENGTH: usize = 2 + 16 + 16 + NONCE_LEN;

const TAG_LENGTH: usize = 16;

/// A stored secret cannot be opened. Why not is deliberately unsaid: changed, moved, sealed by another
/// key or never sealed at all look the same (V4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret cannot be opened")]
pub struct DecryptError;

/// The operating system gave no randomness, or a secret is too long to seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret cannot be sealed")]
pub struct EncryptError;

/// What stands before the ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Which master key wraps the data key.
    pub(super) kek: [u8; 16],
    /// Which data key it is about.
    pub(super) dek: [u8; 16],
    nonce: [u8; NONCE_LEN],
}

impl Header {
    /// A header with a nonce that was never used.
    pub(super) fn new(kek: [u8; 16], dek: [u8; 16]) -> Result<Self, EncryptError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).or(Err(EncryptError))?;
        Ok(Self { kek, dek, nonce })
    }

    fn encode(&self) -> Vec<u8> {
        let fields: [&[u8]; 4] = [&[VERSION, ALGORITHM], &self.kek, &self.dek, &self.nonce];
        fields.concat()
    }
}

/// Fields as one text that no other fields have: each stands behind its length.
pub(super) fn bind(fields: &[&[u8]]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(fields.iter().map(|field| field.len() + 8).sum());
    for field in fields {
        // No machine counts bytes in more than 64 bits.
        bound.extend(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        bound.extend_from_slice(field);
    }
    bound
}

/// What is authenticated but not encrypted.
fn authenticated(header: &[u8], binding: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([bind(&[header]).as_slice(), binding].concat())
}

/// Seals bytes under a key, bound to what they belong to.
pub(super) fn seal(
    key: &SecretBytes<32>,
    header: &Header,
    binding: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, EncryptError> {
    let head = header.encode();
    let mut body = Zeroizing::new(plain.to_vec());
    let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).or(Err(EncryptError))?);
    let nonce = Nonce::assume_unique_for_key(header.nonce);
    let tag = aead
        .seal_in_place_separate_tag(nonce, authenticated(&head, binding), &mut body)
        .or(Err(EncryptError))?;
    Ok([head.as_slice(), body.as_slice(), tag.as_ref()].concat())
}

/// An envelope taken apart, not yet believed.
pub(super) struct Envelope<'a> {
    pub(super) header: Header,
    head: &'a [u8],
    body: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes an envelope of the one version and algorithm there is apart; everything else is refused.
    pub(super) fn decode(sealed: &'a [u8]) -> Result<Self, DecryptError> {
        let (head, body) = sealed.split_at_checked(HEADER_LENGTH).ok_or(DecryptError)?;
        let (form, rest) = head.split_first_chunk::<2>().ok_or(DecryptError)?;
        let (kek, rest) = rest.split_first_chunk::<16>().ok_or(DecryptError)?;
        let (dek, nonce) = rest.split_first_chunk::<16>().ok_or(DecryptError)?;
        if *form != [VERSION, ALGORITHM] || body.len() < TAG_LENGTH {
            return Err(DecryptError);
        }
        let header = Header {
            kek: *kek,
            dek: *dek,
            nonce: nonce.try_into().or(Err(DecryptError))?,
        };
        Ok(Self { header, head, body })
    }

    /// What was sealed, if it was sealed by this key for this binding. The bytes erase themselves.
    pub(super) fn open(
        &self,
        key: &SecretBytes<32>,
        binding: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let mut body = Zeroizing::new(self.body.to_vec());
        let aead =
            LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).or(Err(DecryptError))?);
        let nonce = Nonce::assume_unique_for_key(self.header.nonce);
        let length = aead
            .open_in_place(nonce, authenticated(self.head, binding), &mut body)
            .or(Err(DecryptError))?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key() -> SecretBytes<32> {
        SecretBytes::copy_of(&[0x11; 32]).unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        seal(
            &key(),
            &Header::new([1; 16], [2; 16]).unwrap(),
            b"binding",
            plain,
        )
        .unwrap()
    }

    fn open(sealed: &[u8], binding: &[u8]) -> Result<Vec<u8>, DecryptError> {
        Ok(Envelope::decode(sealed)?.open(&key(), binding)?.to_vec())
    }

    #[test]
    fn v1_an_envelope_has_the_bytes_that_another_implementation_computes() {
        let header = Header {
            kek: [0xA1; 16],
            dek: [0xB2; 16],
            nonce: [0xC3; 12],
        };
        let sealed = seal(
            &key(),
            &header,
            &bind(&[b"org", b"connection"]),
            b"a refresh token",
        )
        .unwrap();
        let expected = concat!(
            "0101",
            "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
            "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2",
            "c3c3c3c3c3c3c3c3c3c3c3c3",
            "902a8044c7d254600693839fd6889bb7b5a4a8b57aa605d6f6b8c2247a9a54",
        );
        assert_eq!(hex::encode(sealed), expected);
    }

    #[test]
    fn v1_what_was_sealed_opens_and_twice_the_same_looks_different() {
        for plain in [&b""[..], b"x", &[0xFF; 5000]] {
            let (one, other) = (sealed(plain), sealed(plain));
            assert_ne!(one, other);
            assert_eq!(one.len(), HEADER_LENGTH + plain.len() + TAG_LENGTH);
            assert_eq!(open(&one, b"binding").unwrap(), plain);
            assert_eq!(open(&other, b"binding").unwrap(), plain);
        }
    }

    #[test]
    fn v1_no_nonce_comes_twice() {
        let mut nonces = HashSet::new();
        for _ in 0..200_000 {
            let sealed = sealed(b"");
            assert!(nonces.insert(sealed[34..46].to_vec()));
        }
    }

    #[test]
    fn v1_an_unknown_version_or_algorithm_is_refused() {
        let envelope = sealed(b"secret");
        for (position, known) in [(0, VERSION), (1, ALGORITHM)] {
            for value in (0..=u8::MAX).filter(|value| *value != known) {
                let mut changed = envelope.clone();
                changed[position] = value;
                assert!(Envelope::decode(&changed).is_err(), "{position} {value}");
            }
        }
    }

    #[test]
    fn v3_each_flipped_bit_is_an_error() {
        let envelope = sealed(b"secret");
        for position in 0..envelope.len() {
            for bit in 0..8 {
                let mut changed = envelope.clone();
                changed[position] ^= 1 << bit;
                assert_eq!(
                    open(&changed, b"binding"),
                    Err(DecryptError),
                    "{position} {bit}"
                );
            }
        }
    }

    #[test]
    fn v3_each_truncation_and_each_addition_is_an_error() {
        let envelope = sealed(b"secret");
        for length in 0..envelope.len() {
            assert_eq!(
                open(&envelope[..length], b"binding"),
                Err(DecryptError),
                "{length}"
            );
            assert_eq!(
                open(&envelope[envelope.len() - length..], b"binding"),
                Err(DecryptError)
            );
        }
        for byte in [0, 1, 0xFF] {
            assert_eq!(
                open(&[&envelope[..], &[byte]].concat(), b"binding"),
                Err(DecryptError)
            );
            assert_eq!(
                open(&[&[byte], &envelope[..]].concat(), b"binding"),
                Err(DecryptError)
            );
        }
    }

    #[test]
    fn v3_fields_that_join_to_the_same_text_are_bound_differently() {
        let ways: [&[&[u8]]; 9] = [
            &[b"abc"],
            &[b"a", b"bc"],
            &[b"ab", b"c"],
            &[b"", b"abc"],
            &[b"abc", b""],
            &[b"a", b"b", b"c"],
            &[b"", b"", b"abc"],
            &[],
            &[b"\0\0\0\0\0\0\0\x03abc"],
        ];
        let bound: HashSet<_> = ways.into_iter().map(bind).collect();
        assert_eq!(bound.len(), ways.len());
    }

    #[test]
    fn v4_plaintext_is_refused_and_every_cause_gives_the_same_error() {
        let envelope = sealed(b"secret");
        let mut other_version = envelope.clone();
        other_version[0] = 9;
        let causes = [
            open(b"", b"binding"),
            open(
                b"a client secret that was never sealed, long enough for an envelope",
                b"binding",
            ),
            open(&other_version, b"binding"),
            open(&envelope, b"another binding"),
            open(&envelope[..50], b"binding"),
        ];
        for cause in causes {
            assert_eq!(
                cause.unwrap_err().to_string(),
                "a stored secret cannot be opened"
            );
        }
    }
}
