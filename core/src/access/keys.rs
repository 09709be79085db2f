//! API keys: made, revoked and recognised.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{OrgScope, Role, api_key, queries, random::NoRandomness};
use crate::{
    audit::{self, Action},
    ids::{ApiKeyId, OrgId},
    organizations,
    secrets::{MasterKey, SecretText},
    store::{Scoped, Store, StoreError},
};

/// A new key. Its text is shown to its owner now and never again.
#[derive(Debug)]
pub struct NewKey {
    /// The public part.
    pub id: ApiKeyId,
    /// The whole key.
    pub text: SecretText,
}

/// A presented key that is valid at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidKey {
    /// The public part.
    pub id: ApiKeyId,
    /// The organisation it acts for.
    pub org: OrgId,
    /// What it may do.
    pub role: Role,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a presented key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// Malformed, unknown, wrong, expired or revoked: a caller never learns which (A12).
    #[error("the key is not valid")]
    Refused,
    /// The store failed: nobody knows whether the key is valid.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a key cannot be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No organisation has this id.
    #[error("no such organization")]
    OrganizationNotFound,
    /// No key has this id.
    #[error("no such API key")]
    NotFound,
    /// The system gave no randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes, revokes and recognises API keys.
#[derive(Clone)]
pub struct KeyService {
    store: Store,
    master: Arc<MasterKey>,
}

impl KeyService {
    /// On a store; the master key is what the stored hashes are keyed with.
    pub fn new(store: Store, master: Arc<MasterKey>) -> Self {
        Self { store, master }
    }

    /// Makes a key for the operator at the command line; it does not expire.
    ///
    /// # Errors
    /// Any [`KeyError`] but [`KeyError::NotFound`].
    pub async fn create(&self, org: OrgId, role: Role) -> Result<NewKey, KeyError> {
        let (prepared, key) = PreparedKey::make(&self.master, role, None)?;
        self.store
            .write(&OrgScope::for_command_line(org), move |tx| {
                if !organizations::exists(&mut tx.global(), org)? {
                    return Err(KeyError::OrganizationNotFound);
                }
                insert(tx, &prepared)?;
                Ok(record_created(tx, &prepared)?)
            })
            .await?;
        Ok(key)
    }

    /// Revokes a key for the operator at the command line. A key that is revoked already stays so.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], or the store's.
    pub async fn revoke(&self, id: ApiKeyId) -> Result<(), KeyError> {
        let found = self
            .store
            .read_global(move |tx| queries::find_across_orgs(tx, id))
            .await?;
        let org = found.ok_or(KeyError::NotFound)?.org;
        self.store
            .write(&OrgScope::for_command_line(org), move |tx| {
                if queries::revoke(&mut tx.global(), org, id)? {
                    audit::record(tx, Action::ApiKeyRevoked, None, json!({"apiKeyId": id}))?;
                }
                Ok(())
            })
            .await
    }

    /// Who presents this key.
    ///
    /// # Errors
    /// [`AuthenticationError::Refused`] for whatever is wrong with it, or the store's.
    pub async fn authenticate(&self, text: &str) -> Result<ValidKey, AuthenticationError> {
        let presented = api_key::parse(text).or(Err(AuthenticationError::Refused))?;
        let id = presented.id;
        let stored = self
            .store
            .read_global(move |tx| queries::find_across_orgs(tx, id))
            .await?;
        // An unknown key is compared too, so that it is refused no sooner than a wrong one.
        let hash = stored
            .as_ref()
            .map_or(&[][..], |stored| stored.hash.as_slice());
        let matches = presented.matches(&self.master, hash);
        let now = self.store.clock().now();
        match stored {
            Some(stored)
                if matches
                    && stored.revoked_at.is_none()
                    && stored.expires_at.is_none_or(|end| now < end) =>
            {
                let role = stored
                    .role
                    .parse()
                    .or(Err(StoreError::Corrupt { what: "key's role" }))?;
                Ok(ValidKey {
                    id,
                    org: stored.org,
                    role,
                    expires_at: stored.expires_at,
                })
            }
            Some(_) | None => Err(AuthenticationError::Refused),
        }
    }

    /// Grows with every revoked key of the installation: what was recognised before it moved has to
    /// be asked for again.
    ///
    /// # Errors
    /// The store's.
    pub async fn key_epoch(&self) -> Result<i64, StoreError> {
        // Every call may wait for it.
        self.store.read_urgent(queries::key_epoch).await
    }
}

/// A key on its way into the database: everything but its text.
pub(crate) struct PreparedKey {
    pub(super) id: ApiKeyId,
    pub(super) role: Role,
    pub(super) hash: [u8; 32],
    pub(super) expires_at: Option<DateTime<Utc>>,
}

impl PreparedKey {
    /// A new key: what is stored, and what its owner gets.
    pub(crate) fn make(
        master: &MasterKey,
        role: Role,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<(Self, NewKey), KeyError> {
        let (id, text) = api_key::generate()?;
        // What was just made is well-formed.
        let parsed = api_key::parse(text.expose()).or(Err(NoRandomness))?;
        Ok((
            Self {
                id,
                role,
                hash: parsed.hash(master),
                expires_at,
            },
            NewKey { id, text },
        ))
    }
}

/// Stores a new key in the organisation of the transaction.
pub(crate) fn insert(tx: &mut Scoped<'_>, key: &PreparedKey) -> Result<(), StoreError> {
    let org = tx.org();
    queries::insert(&mut tx.global(), org, key)
}

/// The audit row of a new key; last in its transaction.
pub(crate) fn record_created(tx: &mut Scoped<'_>, key: &PreparedKey) -> Result<(), StoreError> {
    let details = json!({"apiKeyId": key.id, "role": key.role.as_str()});
    audit::record(tx, Action::ApiKeyCreated, None, details)
}
