//! Opaque tokens in links: what they say is hidden and bound to where they may be used.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::fake_microsoft::seed::Random;

/// Makes the bytes a token that opens only with the same binding.
pub fn seal(bytes: &[u8], binding: &str) -> String {
    let sum = checksum(bytes, binding);
    let mut sealed = sum.to_be_bytes().to_vec();
    sealed.extend(scrambled(bytes, sum));
    URL_SAFE_NO_PAD.encode(sealed)
}

/// The bytes of a token, if it is unchanged and used where it belongs.
pub fn open(token: &str, binding: &str) -> Option<Vec<u8>> {
    let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (sum, hidden) = sealed.split_first_chunk::<8>()?;
    let sum = u64::from_be_bytes(*sum);
    let bytes = scrambled(hidden, sum);
    (checksum(&bytes, binding) == sum).then_some(bytes)
}

/// A checksum is enough: the stand-in has no attackers, only clients that make mistakes.
fn checksum(bytes: &[u8], binding: &str) -> u64 {
    let all = binding.bytes().chain([0]).chain(bytes.iter().copied());
    let hash = all.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Random::new(hash).next()
}

fn scrambled(bytes: &[u8], key: u64) -> Vec<u8> {
    let mut random = Random::new(key);
    let mut scrambled = Vec::with_capacity(bytes.len());
    for chunk in bytes.chunks(8) {
        let mask = random.next().to_be_bytes();
        scrambled.extend(chunk.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    }
    scrambled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_unchanged_and_where_it_belongs() {
        let token = seal(b"nineteen bytes here", "tenant a");
        assert_eq!(
            open(&token, "tenant a").as_deref(),
            Some(&b"nineteen bytes here"[..])
        );
        assert_eq!(open(&token, "tenant b"), None);
        let changed = token.replacen(|_: char| true, "_", 1);
        assert_eq!(open(&changed, "tenant a"), None);
        assert_eq!(open("AAAA", "tenant a"), None);
    }
}
