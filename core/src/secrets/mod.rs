//! Secrets: the vault, the master key and the types that cannot be printed.
//!
//! This room decides how a secret is kept and who may see its clear text. It knows no table: rooms
//! store the bytes it gives them beside their own rows.

mod bytes;
mod envelope;
mod master_key;
mod text;
mod vault;

pub(crate) use self::master_key::KeyPurpose;
pub use self::{
    bytes::SecretBytes,
    envelope::{DecryptError, EncryptError},
    master_key::{MasterKey, MasterKeyError},
    text::SecretText,
    vault::{CredentialKind, DataKey, Purpose, Vault, VaultContext, VaultError},
};
