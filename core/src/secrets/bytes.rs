//! A secret that is bytes: key material.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// `N` secret bytes on the heap, so that moving the value copies no key: erased when dropped,
/// `Debug` says nothing, and [`SecretBytes::expose`] is the one way in.
pub struct SecretBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// Lets `fill` write the bytes where they will stay. When it fails, what it wrote is erased.
    pub fn filled_by<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// A copy of bytes that someone else owns; `None` unless there are exactly `N`.
    pub fn copy_of(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self(Box::new([0; N]));
        if bytes.len() != N {
            return None;
        }
        secret.0.copy_from_slice(bytes);
        Some(secret)
    }

    /// The bytes themselves, for the one place that encrypts or derives with them.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Whether presented bytes are this secret, in a time that tells nothing about the content.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_slice().ct_eq(presented).into()
    }
}

impl<const N: usize> Drop for SecretBytes<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({N} redacted)")
    }
}

/// The control of the proofs below: what may be done compiles.
///
/// ```
/// use tenantry_core::secrets::SecretBytes;
/// let key = SecretBytes::<4>::copy_of(b"k3y!").unwrap();
/// assert!(key.matches(key.expose()));
/// assert_eq!(format!("{key:?}"), "SecretBytes(4 redacted)");
/// ```
#[cfg(doctest)]
mod v10_secret_bytes_can_be_exposed_and_compared {}

/// ```compile_fail,E0277
/// use tenantry_core::secrets::SecretBytes;
/// let key = SecretBytes::<4>::copy_of(b"k3y!").unwrap();
/// println!("{key}");
/// ```
#[cfg(doctest)]
mod v10_secret_bytes_cannot_be_printed {}

/// ```compile_fail,E0599
/// use tenantry_core::secrets::SecretBytes;
/// let key = SecretBytes::<4>::copy_of(b"k3y!").unwrap();
/// let second: SecretBytes<4> = key.clone();
/// ```
#[cfg(doctest)]
mod v10_secret_bytes_cannot_be_cloned {}

/// ```compile_fail,E0277
/// use tenantry_core::secrets::SecretBytes;
/// let key = SecretBytes::<4>::copy_of(b"k3y!").unwrap();
/// let json = serde_json::to_string(&key);
/// ```
#[cfg(doctest)]
mod v10_secret_bytes_cannot_be_serialized {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v10_debug_of_key_bytes_shows_nothing() {
        let key = SecretBytes::<32>::copy_of(&[0xAB; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "SecretBytes(32 redacted)");
    }

    #[test]
    fn v10_key_bytes_have_exactly_their_length() {
        assert!(SecretBytes::<32>::copy_of(&[1; 31]).is_none());
        assert!(SecretBytes::<32>::copy_of(&[1; 33]).is_none());
        let key = SecretBytes::<32>::copy_of(&[1; 32]).unwrap();
        assert!(key.matches(&[1; 32]));
        assert!(!key.matches(&[1; 31]));
        assert!(!key.matches(&[2; 32]));
    }
}
