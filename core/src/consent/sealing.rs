//! The secrets of a connection attempt under its own data key.

use super::{error::ConsentError, model::Connection};
use crate::{
    ids::{AuthorizationRequestId, ConnectionId, OrgId, TenantId},
    secrets::{DataKey, Purpose, SecretKind, SecretText, Vault, VaultContext, VaultError},
};

/// What is sealed for a connection attempt, and in which row it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealed {
    /// The token of its link.
    Link,
    /// The nonce of a sign-in.
    Nonce(AuthorizationRequestId),
    /// The PKCE verifier of a sign-in.
    Verifier(AuthorizationRequestId),
}

impl Sealed {
    const fn kind(self) -> SecretKind {
        match self {
            Self::Link => SecretKind::LinkToken,
            Self::Nonce(_) => SecretKind::FlowNonce,
            Self::Verifier(_) => SecretKind::FlowVerifier,
        }
    }

    /// The random half of the row's id, so that nothing opens in another row of the same connection.
    const fn generation(self) -> u64 {
        match self {
            Self::Link => 0,
            Self::Nonce(row) | Self::Verifier(row) => row.as_uuid().as_u64_pair().1,
        }
    }
}

/// Makes and opens the data keys of connection attempts.
#[derive(Clone)]
pub(super) struct Sealing {
    vault: Vault,
}

/// The data key of one connection attempt.
pub(super) struct ConnectionKey<'a> {
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

impl Sealing {
    pub(super) fn new(vault: Vault) -> Self {
        Self { vault }
    }

    /// A fresh data key, and its wrapped form for the database.
    pub(super) fn new_key(
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
        let (key, wrapped) = self
            .vault
            .new_data_key(&place.context(SecretKind::LinkToken, 0))?;
        Ok((
            ConnectionKey {
                vault: &self.vault,
                key,
                place,
            },
            wrapped,
        ))
    }

    /// The data key of a stored connection.
    pub(super) fn key_of(
        &self,
        org: OrgId,
        connection: &Connection,
    ) -> Result<ConnectionKey<'_>, ConsentError> {
        let wrapped = connection
            .data_key
            .as_deref()
            .ok_or(ConsentError::InvalidState)?;
        let place = Place {
            org,
            connection: connection.id,
            tenant: connection.tenant,
        };
        let context = place.context(SecretKind::LinkToken, 0);
        let key = self
            .vault
            .unwrap_data_key(&context, wrapped)
            .map_err(VaultError::from)?;
        Ok(ConnectionKey {
            vault: &self.vault,
            key,
            place,
        })
    }
}

impl ConnectionKey<'_> {
    pub(super) fn seal(&self, what: Sealed, secret: &SecretText) -> Result<Vec<u8>, VaultError> {
        self.vault.seal(
            &self.key,
            &self.place.context(what.kind(), what.generation()),
            secret,
        )
    }

    pub(super) fn open(&self, what: Sealed, sealed: &[u8]) -> Result<SecretText, VaultError> {
        let context = self.place.context(what.kind(), what.generation());
        Ok(self.vault.open(&self.key, &context, sealed)?)
    }
}
