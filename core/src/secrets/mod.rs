//! Secrets: the vault, the master key and the types that cannot be printed.
//!
//! This room decides how a secret is kept and who may see its clear text. It knows no table: rooms
//! store the bytes it gives them beside their own rows.

mod bytes;
mod envelope;
mod master_key;
mod text;
mod vault;

pub use self::{
    bytes::SecretBytes,
    envelope::{DecryptError, SealError},
    master_key::{MasterKey, MasterKeyError, SubKey},
    text::SecretText,
    vault::{DataKey, Purpose, SecretKind, Vault, VaultContext, VaultError},
};
