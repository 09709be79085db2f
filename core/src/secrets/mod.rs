//! Secrets: the vault, the master key and the types that cannot be printed.
//!
//! This room decides how a secret is kept and who may see its clear text. It knows no table: rooms
//! store the bytes it gives them beside their own rows.

mod bytes;
mod text;

pub use bytes::SecretBytes;
pub use text::SecretText;
