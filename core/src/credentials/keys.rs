//! The data key of each connection, and what is sealed under it.

use super::model::CredentialKind;
use crate::{
    ids::{AuthorizationRequestId, ConnectionId, OrgId, TenantId},
    secrets::{DataKey, Purpose, SecretKind, SecretText, Vault, VaultContext, VaultError},
};

/// What is sealed for a connection, and in which row it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// The token of its link.
    Link,
    /// The nonce of a sign-in.
    Nonce(AuthorizationRequestId),
    /// The PKCE verifier of a sign-in.
    Verifier(AuthorizationRequestId),
    /// What it authenticates with.
    Credential {
        /// Of which kind.
        kind: CredentialKind,
        /// The version of the row.
        generation: i64,
    },
}

impl Sealed {
    const fn kind(self) -> SecretKind {
        match self {
            Self::Link => SecretKind::LinkToken,
            Self::Nonce(_) => SecretKind::FlowNonce,
            Self::Verifier(_) => SecretKind::FlowVerifier,
            Self::Credential { kind, .. } => kind.secret_kind(),
        }
    }

    /// The random half of the row's id, so that nothing opens in another row of the same connection; of
    /// a credential the version, so that none opens in the place of a later one.
    const fn generation(self) -> u64 {
        match self {
            Self::Link => 0,
            Self::Nonce(row) | Self::Verifier(row) => row.as_uuid().as_u64_pair().1,
            Self::Credential { generation, .. } => generation.unsigned_abs(),
        }
    }
}

/// Makes and opens the data keys of connections. Cheap to clone.
#[derive(Clone)]
pub struct ConnectionKeys {
    vault: Vault,
}

/// The data key of one connection.
pub(crate) struct ConnectionKey<'a> {
    vault: &'a Vault,
    key: DataKey,
    place: Place,
}

/// Whose secrets they are.
#[derive(Clone, Copy)]
struct Place {
    org: OrgId,
    connection: ConnectionId,
    tenant: TenantId,
}

impl Place {
    /// Where the data key itself belongs: kind and generation are no part of it.
    fn of_key(self) -> VaultContext {
        self.context(SecretKind::LinkToken, 0)
    }

    fn context(self, kind: SecretKind, generation: u64) -> VaultContext {
        VaultContext {
            org: self.org,
            subject: self.connection.as_uuid(),
            tenant: self.tenant.as_uuid(),
            kind,
            purpose: Purpose::Read,
            generation,
        }
    }
}

impl ConnectionKeys {
    /// The keys that this vault wraps.
    pub fn new(vault: Vault) -> Self {
        Self { vault }
    }

    /// A fresh data key, and its wrapped form for the database.
    pub(crate) fn new_key(
        &self,
        org: OrgId,
        connection: ConnectionId,
        tenant: TenantId,
    ) -> Result<(ConnectionKey<'_>, Vec<u8>), VaultError> {
        let place = Place {
            org,
            connection,
            tenant,
        };
        let (key, wrapped) = self.vault.new_data_key(&place.of_key())?;
        let key = ConnectionKey {
            vault: &self.vault,
            key,
            place,
        };
        Ok((key, wrapped))
    }

    /// The data key of a stored connection, from its wrapped form.
    pub(crate) fn unwrap(
        &self,
        org: OrgId,
        connection: ConnectionId,
        tenant: TenantId,
        wrapped: &[u8],
    ) -> Result<ConnectionKey<'_>, VaultError> {
        let place = Place {
            org,
            connection,
            tenant,
        };
        let key = self.vault.unwrap_data_key(&place.of_key(), wrapped)?;
        Ok(ConnectionKey {
            vault: &self.vault,
            key,
            place,
        })
    }
}

impl ConnectionKey<'_> {
    pub(crate) fn seal(&self, what: Sealed, secret: &SecretText) -> Result<Vec<u8>, VaultError> {
        self.vault.seal(
            &self.key,
            &self.place.context(what.kind(), what.generation()),
            secret,
        )
    }

    pub(crate) fn open(&self, what: Sealed, sealed: &[u8]) -> Result<SecretText, VaultError> {
        let context = self.place.context(what.kind(), what.generation());
        Ok(self.vault.open(&self.key, &context, sealed)?)
    }
}
