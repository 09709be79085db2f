//! Randomness that nobody can guess.

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::secrets::SecretText;

/// The operating system gave no randomness: nothing secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("no randomness available")]
pub struct NoRandomness;

/// Random bytes.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).or(Err(NoRandomness))?;
    Ok(bytes)
}

/// A token of 256 random bits: 43 characters that need no escaping in a URL.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn random_token() -> Result<SecretText, NoRandomness> {
    Ok(SecretText::new(
        URL_SAFE_NO_PAD.encode(random_bytes::<32>()?),
    ))
}
