//! What one may do with organisations.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::queries;
use crate::{
    access::{
        OrgScope, Role,
        keys::{self, KeyError, NewKey, PreparedKey},
    },
    audit::{self, Action},
    ids::OrgId,
    names::{InvalidName, checked_name},
    secrets::MasterKey,
    store::{Store, StoreError},
};

/// An MSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// UUIDv7.
    pub id: OrgId,
    /// What the MSP calls itself.
    pub name: String,
}

/// A new organisation and its first key, whose text is nowhere else.
#[derive(Debug)]
pub struct NewOrganization {
    /// The organisation.
    pub id: OrgId,
    /// A key with the owner role that does not expire.
    pub key: NewKey,
}

/// Why an organisation cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum OrganizationError {
    /// Its name cannot be taken.
    #[error("the name {0}")]
    InvalidName(#[from] InvalidName),
    /// Its key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates and lists organisations.
#[derive(Clone)]
pub struct OrganizationService {
    store: Store,
    master: Arc<MasterKey>,
}

impl OrganizationService {
    /// On a store; the master key is what key hashes are keyed with.
    pub fn new(store: Store, master: Arc<MasterKey>) -> Self {
        Self { store, master }
    }

    /// Creates an organisation with its first owner key, for the operator at the command line.
    ///
    /// # Errors
    /// Any [`OrganizationError`].
    pub async fn create(&self, name: &str) -> Result<NewOrganization, OrganizationError> {
        let name = checked_name(name)?;
        let id = OrgId::from_uuid(Uuid::now_v7());
        let (prepared, key) = PreparedKey::make(&self.master, Role::Owner, None)?;
        self.store
            .write(&OrgScope::for_command_line(id), move |tx| {
                queries::insert(&mut tx.global(), id, &name)?;
                keys::insert(tx, &prepared)?;
                audit::record(
                    tx,
                    Action::OrganizationCreated,
                    None,
                    json!({"organizationId": id}),
                )?;
                keys::record_created(tx, &prepared)
            })
            .await?;
        Ok(NewOrganization { id, key })
    }

    /// All organisations, the oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<Vec<Organization>, StoreError> {
        self.store.read_global(queries::all).await
    }

    /// How many organisations there are.
    ///
    /// # Errors
    /// The store's.
    pub async fn count(&self) -> Result<i64, StoreError> {
        self.store.read_global(queries::count).await
    }

    /// What an organisation calls itself; none when there is no such one.
    ///
    /// # Errors
    /// The store's.
    pub async fn name_of(&self, id: OrgId) -> Result<Option<String>, StoreError> {
        self.store
            .read_global(move |tx| queries::name_of(tx, id))
            .await
    }
}
