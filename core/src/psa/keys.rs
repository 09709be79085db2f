//! The data key of each connection to a PSA, and what is sealed under it.

use crate::{
    ids::{OrgId, PsaConnectionId},
    secrets::{DataKey, Purpose, SecretKind, SecretText, Vault, VaultContext, VaultError},
};
use uuid::Uuid;

/// What is sealed for a connection, with the version of its row: nothing opens in the place of another
/// version or of another thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealed {
    /// What it signs in with.
    Credentials(i64),
    /// The secrets of its webhook.
    Callback(i64),
}

/// Makes and opens the data keys. Cheap to clone.
#[derive(Clone)]
pub(super) struct PsaKeys {
    vault: Vault,
}

/// The data key of one connection.
pub(super) struct PsaKey<'v> {
    vault: &'v Vault,
    key: DataKey,
    org: OrgId,
    connection: PsaConnectionId,
}

impl PsaKeys {
    pub(super) fn new(vault: Vault) -> Self {
        Self { vault }
    }

    /// A fresh data key, and its wrapped form for the database.
    pub(super) fn new_key(
        &self,
        org: OrgId,
        connection: PsaConnectionId,
    ) -> Result<(PsaKey<'_>, Vec<u8>), VaultError> {
        let place = context(org, connection, SecretKind::PsaCredentials, 0);
        let (key, wrapped) = self.vault.new_data_key(&place)?;
        Ok((self.with(org, connection, key), wrapped))
    }

    /// The data key of a stored connection, from its wrapped form.
    pub(super) fn unwrap(
        &self,
        org: OrgId,
        connection: PsaConnectionId,
        wrapped: &[u8],
    ) -> Result<PsaKey<'_>, VaultError> {
        let place = context(org, connection, SecretKind::PsaCredentials, 0);
        let key = self.vault.unwrap_data_key(&place, wrapped)?;
        Ok(self.with(org, connection, key))
    }

    fn with(&self, org: OrgId, connection: PsaConnectionId, key: DataKey) -> PsaKey<'_> {
        PsaKey {
            vault: &self.vault,
            key,
            org,
            connection,
        }
    }
}

impl PsaKey<'_> {
    pub(super) fn seal(&self, what: Sealed, secret: &SecretText) -> Result<Vec<u8>, VaultError> {
        self.vault.seal(&self.key, &self.place(what), secret)
    }

    pub(super) fn open(&self, what: Sealed, sealed: &[u8]) -> Result<SecretText, VaultError> {
        Ok(self.vault.open(&self.key, &self.place(what), sealed)?)
    }

    fn place(&self, what: Sealed) -> VaultContext {
        let (kind, generation) = match what {
            Sealed::Credentials(generation) => (SecretKind::PsaCredentials, generation),
            Sealed::Callback(generation) => (SecretKind::PsaCallback, generation),
        };
        context(self.org, self.connection, kind, generation.unsigned_abs())
    }
}

fn context(
    org: OrgId,
    connection: PsaConnectionId,
    kind: SecretKind,
    generation: u64,
) -> VaultContext {
    VaultContext {
        org,
        subject: connection.as_uuid(),
        tenant: Uuid::nil(),
        kind,
        purpose: Purpose::Read,
        generation,
    }
}
