//! The sealed form of a secret: AES-256-GCM in an envelope that says how it is to be opened.
//!
//! Layout: version (1 byte), algorithm (1), key-encryption key id (8), data key id (16), nonce (12),
//! ciphertext with its 16-byte tag. Everything before the ciphertext is authenticated with it.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use zeroize::Zeroizing;

use super::{SecretBytes, master_key::KEY_LENGTH};

/// The only version.
const VERSION: u8 = 1;
/// AES-256-GCM with a random 96-bit nonce.
const AES_256_GCM_RANDOM_NONCE: u8 = 1;
/// Bytes before the nonce.
const HEADER: usize = 1 + 1 + KEK_ID + DEK_ID;
const KEK_ID: usize = 8;
const DEK_ID: usize = 16;

/// A secret cannot be opened. Why is nobody's business (V4).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a sealed secret cannot be opened")]
pub struct DecryptError;

/// A secret cannot be sealed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a secret cannot be sealed")]
pub struct SealError;

/// Which keys an envelope was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyIds {
    pub(super) kek: [u8; KEK_ID],
    pub(super) dek: [u8; DEK_ID],
}

/// Seals a secret. `context` is bound to it: it opens in no other.
pub(super) fn seal(
    key: &SecretBytes<KEY_LENGTH>,
    ids: KeyIds,
    context: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut envelope = Vec::with_capacity(HEADER + NONCE_LEN + plain.len() + 16);
    envelope.push(VERSION);
    envelope.push(AES_256_GCM_RANDOM_NONCE);
    envelope.extend_from_slice(&ids.kek);
    envelope.extend_from_slice(&ids.dek);
    let aad = bound(&envelope, context);
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).or(Err(SealError))?;
    envelope.extend_from_slice(&nonce);
    let mut buffer = Zeroizing::new(plain.to_vec());
    let tag = cipher(key)
        .or(Err(SealError))?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut buffer,
        )
        .or(Err(SealError))?;
    envelope.extend_from_slice(&buffer);
    envelope.extend_from_slice(tag.as_ref());
    Ok(envelope)
}

/// The keys that an envelope names.
pub(super) fn key_ids(envelope: &[u8]) -> Result<KeyIds, DecryptError> {
    let [version, algorithm, rest @ ..] = envelope else {
        return Err(DecryptError);
    };
    if *version != VERSION || *algorithm != AES_256_GCM_RANDOM_NONCE {
        return Err(DecryptError);
    }
    let (kek, rest) = rest.split_first_chunk().ok_or(DecryptError)?;
    let (dek, _) = rest.split_first_chunk().ok_or(DecryptError)?;
    Ok(KeyIds {
        kek: *kek,
        dek: *dek,
    })
}

/// Opens an envelope in the context it was sealed in.
pub(super) fn open(
    key: &SecretBytes<KEY_LENGTH>,
    context: &[u8],
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    key_ids(envelope)?;
    let (header, rest) = envelope.split_at_checked(HEADER).ok_or(DecryptError)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(DecryptError)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let length = cipher(key)
        .or(Err(DecryptError))?
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(bound(header, context)),
            &mut buffer,
        )
        .or(Err(DecryptError))?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

fn cipher(key: &SecretBytes<KEY_LENGTH>) -> Result<LessSafeKey, aws_lc_rs::error::Unspecified> {
    Ok(LessSafeKey::new(UnboundKey::new(
        &AES_256_GCM,
        key.expose(),
    )?))
}

fn bound(header: &[u8], context: &[u8]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(header.len() + context.len());
    aad.extend_from_slice(header);
    aad.extend_from_slice(context);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: KeyIds = KeyIds {
        kek: [1; 8],
        dek: [2; 16],
    };

    fn key() -> SecretBytes<32> {
        SecretBytes::copy_of(&[7; 32]).unwrap()
    }

    #[test]
    fn v1_aes_256_gcm_gives_the_published_answer() {
        // NIST GCM test case 14: key and nonce of zeros, one zero block.
        let zeros = SecretBytes::<32>::copy_of(&[0; 32]).unwrap();
        let mut block = [0; 16].to_vec();
        let tag = cipher(&zeros)
            .unwrap()
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key([0; 12]),
                Aad::empty(),
                &mut block,
            )
            .unwrap();
        assert_eq!(hex::encode(block), "cea7403d4d606b6e074ec5d3baf39d18");
        assert_eq!(hex::encode(tag), "d0d1c8a799996bf0265b98b5d48ab919");
    }

    #[test]
    fn v1_two_sealings_of_one_secret_share_nothing_but_the_header() {
        let one = seal(&key(), IDS, b"c", b"secret").unwrap();
        let two = seal(&key(), IDS, b"c", b"secret").unwrap();
        assert_eq!(one[..HEADER], two[..HEADER]);
        assert_ne!(one[HEADER..HEADER + 12], two[HEADER..HEADER + 12]);
        assert_ne!(one[HEADER + 12..], two[HEADER + 12..]);
    }

    #[test]
    fn v1_nonces_do_not_repeat() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200_000 {
            let sealed = seal(&key(), IDS, b"", b"").unwrap();
            assert!(seen.insert(sealed[HEADER..HEADER + 12].to_vec()));
        }
    }

    #[test]
    fn v1_an_unknown_version_or_algorithm_is_refused() {
        let sealed = seal(&key(), IDS, b"c", b"secret").unwrap();
        for position in 0..2 {
            for value in (0..=u8::MAX).filter(|value| *value != sealed[position]) {
                let mut changed = sealed.clone();
                changed[position] = value;
                assert_eq!(key_ids(&changed), Err(DecryptError), "{position} {value}");
                assert_eq!(open(&key(), b"c", &changed).err(), Some(DecryptError));
            }
        }
    }

    #[test]
    fn v3_every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = seal(&key(), IDS, b"context", b"secret").unwrap();
        assert_eq!(
            open(&key(), b"context", &sealed).unwrap().as_slice(),
            b"secret"
        );
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                open(&key(), b"context", &flipped).err(),
                Some(DecryptError),
                "bit {bit}"
            );
        }
        for length in 0..sealed.len() {
            assert_eq!(
                open(&key(), b"context", &sealed[..length]).err(),
                Some(DecryptError),
                "cut at {length}"
            );
        }
        for added in [0, 1, 0xFF] {
            let longer = [sealed.as_slice(), &[added]].concat();
            assert_eq!(open(&key(), b"context", &longer).err(), Some(DecryptError));
            let shifted = [&[added], sealed.as_slice()].concat();
            assert_eq!(open(&key(), b"context", &shifted).err(), Some(DecryptError));
        }
    }

    #[test]
    fn v4_plain_text_in_the_column_is_refused_like_anything_else() {
        for text in ["", "refresh-token", &"x".repeat(500)] {
            assert_eq!(
                open(&key(), b"c", text.as_bytes()).err(),
                Some(DecryptError)
            );
        }
    }
}
