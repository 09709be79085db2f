//! Storing credentials, and giving them to whoever mints tokens.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{
    keys::{ConnectionKey, ConnectionKeys, Sealed},
    model::{Credential, CredentialKind},
    queries::{self, StoredCredential},
};
use crate::{
    access::OrgScope,
    ids::{ConnectionId, OrgId},
    microsoft::{
        client_credential::ClientCredential,
        connection::ConnectionHandle,
        identity::{CredentialSource, HeldRefreshToken, SourceError},
    },
    secrets::{SecretText, VaultError},
    store::{Scoped, Store, StoreError},
};

/// Why a credential was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// It could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stores the credential of a connection, in the place of an earlier one.
pub(crate) fn put(
    tx: &mut Scoped<'_>,
    key: &ConnectionKey<'_>,
    connection: ConnectionId,
    credential: &Credential,
) -> Result<(), PutError> {
    // A first one begins far above what an erased one before it had: an exchange of that one that is still
    // under way must not pass for one of this.
    let generation = match queries::generation(tx, connection)? {
        Some(before) => before + 1,
        None => tx.now().timestamp_micros(),
    };
    let kind = credential.kind();
    let sealed = key.seal(Sealed::Credential { kind, generation }, credential.secret())?;
    let row = StoredCredential {
        kind,
        client_id: credential.client_id().map(str::to_owned),
        sealed,
        generation,
    };
    Ok(queries::replace(tx, connection, &row)?)
}

/// The stored credentials of connections, for whoever mints tokens. Cheap to clone.
#[derive(Clone)]
pub struct ConnectionCredentials {
    store: Store,
    keys: ConnectionKeys,
}

impl ConnectionCredentials {
    /// The credentials of one installation.
    pub fn new(store: Store, keys: ConnectionKeys) -> Self {
        Self { store, keys }
    }

    /// Opens a stored credential.
    fn open(
        &self,
        handle: &ConnectionHandle,
        wrapped: &[u8],
        stored: StoredCredential,
    ) -> Result<Credential, SourceError> {
        let StoredCredential {
            kind,
            client_id,
            sealed,
            generation,
        } = stored;
        let key = self.key(handle, wrapped)?;
        let secret = key
            .open(Sealed::Credential { kind, generation }, &sealed)
            .or(Err(SourceError::Unreadable))?;
        match (kind, client_id) {
            (CredentialKind::RefreshToken, _) => Ok(Credential::RefreshToken(secret)),
            (CredentialKind::ClientSecret, Some(client_id)) => {
                Ok(Credential::ClientSecret { client_id, secret })
            }
            (CredentialKind::ClientCertificate, Some(client_id)) => {
                Ok(Credential::ClientCertificate {
                    client_id,
                    pem: secret,
                })
            }
            (CredentialKind::ClientSecret | CredentialKind::ClientCertificate, None) => {
                Err(SourceError::Unreadable)
            }
        }
    }

    fn key(
        &self,
        handle: &ConnectionHandle,
        wrapped: &[u8],
    ) -> Result<ConnectionKey<'_>, SourceError> {
        self.keys
            .unwrap(handle.org(), handle.connection(), handle.tenant(), wrapped)
            .or(Err(SourceError::Unreadable))
    }

    async fn load_registration(
        &self,
        handle: &ConnectionHandle,
    ) -> Result<ClientCredential, SourceError> {
        let connection = handle.connection();
        let found = self
            .store
            .read(&scope(handle.org()), move |tx| {
                queries::find(tx, connection)
            })
            .await
            .map_err(of_store)?;
        let (wrapped, stored) = found.ok_or(SourceError::Gone)?;
        let credential = self.open(handle, &wrapped, stored)?;
        match credential.to_registration() {
            Ok(Some(registration)) => Ok(registration),
            Ok(None) => Err(SourceError::Unreadable),
            Err(error) => {
                tracing::error!(%error, tenantId = %handle.tenant(), "a stored certificate cannot be used");
                Err(SourceError::Unreadable)
            }
        }
    }

    /// Ends the holds of processes that are surely dead. Only where it is certain that no other process
    /// uses the database.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_over_holds(&self, scope: &OrgScope) -> Result<(), StoreError> {
        self.store.write(scope, queries::end_holds).await
    }

    async fn try_to_hold(
        &self,
        handle: &ConnectionHandle,
    ) -> Result<Option<HeldRefreshToken>, SourceError> {
        let (connection, hold) = (handle.connection(), Uuid::now_v7());
        let held = self
            .store
            .write(&scope(handle.org()), move |tx| {
                let Some(found) = queries::find(tx, connection)? else {
                    return Ok(Err(SourceError::Gone));
                };
                let is_held = queries::hold(tx, connection, hold, found.1.generation)?;
                Ok(Ok(is_held.then_some(found)))
            })
            .await
            .map_err(of_store)??;
        let Some((wrapped, stored)) = held else {
            return Ok(None);
        };
        let generation = stored.generation;
        match self.open(handle, &wrapped, stored)? {
            Credential::RefreshToken(token) => Ok(Some(HeldRefreshToken {
                token,
                generation,
                hold,
            })),
            Credential::ClientSecret { .. } | Credential::ClientCertificate { .. } => {
                Err(SourceError::Unreadable)
            }
        }
    }

    async fn store_rotated(
        &self,
        handle: &ConnectionHandle,
        generation: i64,
        rotated: &SecretText,
    ) -> Result<(), SourceError> {
        let connection = handle.connection();
        let wrapped = self
            .store
            .read(&scope(handle.org()), move |tx| {
                queries::find(tx, connection)
            })
            .await
            .map_err(of_store)?;
        let (wrapped, _stored) = wrapped.ok_or(SourceError::Gone)?;
        let next = Sealed::Credential {
            kind: CredentialKind::RefreshToken,
            generation: generation + 1,
        };
        let sealed = self
            .key(handle, &wrapped)?
            .seal(next, rotated)
            .map_err(|error| SourceError::Unavailable(Arc::new(error)))?;
        let is_stored = self
            .store
            .write(&scope(handle.org()), move |tx| {
                queries::rotate(tx, connection, generation, &sealed)
            })
            .await
            .map_err(of_store)?;
        if !is_stored {
            // A newer one stands there: somebody took over when this process took too long.
            tracing::warn!(tenantId = %handle.tenant(), "a refresh token came too late to be stored");
        }
        Ok(())
    }

    async fn let_go(
        &self,
        handle: &ConnectionHandle,
        held: &HeldRefreshToken,
    ) -> Result<(), SourceError> {
        let (connection, generation, hold) = (handle.connection(), held.generation, held.hold);
        self.store
            .write(&scope(handle.org()), move |tx| {
                queries::let_go(tx, connection, hold, generation)
            })
            .await
            .map_err(of_store)
    }
}

impl CredentialSource for ConnectionCredentials {
    fn registration<'a>(
        &'a self,
        connection: &'a ConnectionHandle,
    ) -> BoxFuture<'a, Result<ClientCredential, SourceError>> {
        Box::pin(self.load_registration(connection))
    }

    fn hold<'a>(
        &'a self,
        connection: &'a ConnectionHandle,
    ) -> BoxFuture<'a, Result<Option<HeldRefreshToken>, SourceError>> {
        Box::pin(self.try_to_hold(connection))
    }

    fn keep<'a>(
        &'a self,
        connection: &'a ConnectionHandle,
        held: &'a HeldRefreshToken,
        rotated: Option<&'a SecretText>,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            match rotated {
                Some(rotated) => {
                    self.store_rotated(connection, held.generation, rotated)
                        .await
                }
                None => self.let_go(connection, held).await,
            }
        })
    }
}

/// The organisation comes from the handle, which was loaded under its scope.
fn scope(org: OrgId) -> OrgScope {
    OrgScope::for_system(org)
}

fn of_store(error: StoreError) -> SourceError {
    SourceError::Unavailable(Arc::new(error))
}
