//! The first use of a database, and the check of the master key at every later one.

use serde_json::json;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::queries::{self, Stored};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    ids::OrgId,
    microsoft::cloud::MicrosoftCloud,
    organizations,
    secrets::MasterKey,
    store::{Store, StoreError},
};

/// This installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation {
    /// Random; made on the first use of the database.
    pub id: Uuid,
}

/// Why the process must not go on with this database.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The database was made with another master key. Nothing was written (V8).
    #[error("the master key is not the one this database was made with")]
    WrongMasterKey,
    /// The connected tenants live in another of Microsoft's clouds.
    #[error("the tenants of this database live in Microsoft's cloud {stored}, not in {configured}")]
    OtherCloud {
        /// Where they live.
        stored: String,
        /// What the settings say.
        configured: MicrosoftCloud,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The installation that this database is. On the very first use it becomes one; from then on only
/// the master key of that moment is accepted. Processes may start at the same time.
///
/// # Errors
/// [`InstallationError::WrongMasterKey`], or the store's.
pub async fn ensure(store: &Store, master: &MasterKey) -> Result<Installation, InstallationError> {
    let key_check = master.check_value();
    let stored = match store.read_global(queries::find).await? {
        Some(stored) => stored,
        None => create(store, key_check.clone()).await?,
    };
    if bool::from(stored.key_check.ct_eq(&key_check)) {
        Ok(Installation { id: stored.id })
    } else {
        Err(InstallationError::WrongMasterKey)
    }
}

/// Settles the installation in one of Microsoft's clouds. It can move as long as no tenant is connected;
/// after that all of them would lose their access at once (G8).
///
/// # Errors
/// [`InstallationError::OtherCloud`], or the store's.
pub async fn settle_in(store: &Store, cloud: MicrosoftCloud) -> Result<(), InstallationError> {
    let stored = store
        .global(move |tx| {
            queries::settle_in(tx, cloud.name())?;
            queries::cloud(tx)
        })
        .await?;
    match stored {
        Some(stored) if stored != cloud.name() => Err(InstallationError::OtherCloud {
            stored,
            configured: cloud,
        }),
        Some(_) | None => Ok(()),
    }
}

/// Whether the database is an installation already, and so belongs to a master key.
///
/// # Errors
/// The store's.
pub async fn exists(store: &Store) -> Result<bool, StoreError> {
    Ok(store.read_global(queries::find).await?.is_some())
}

/// Makes the installation, or finds the one that another process made meanwhile.
async fn create(store: &Store, key_check: Vec<u8>) -> Result<Stored, StoreError> {
    store
        .write(&OrgScope::for_system(OrgId::INSTALLATION), move |tx| {
            let new = Stored {
                id: Uuid::new_v4(),
                key_check,
            };
            if !queries::insert(&mut tx.global(), &new)? {
                return queries::find(&mut tx.global())?.ok_or(StoreError::NotFound);
            }
            organizations::insert_installation(&mut tx.global())?;
            audit::record(
                tx,
                Action::InstallationCreated,
                None,
                json!({"installationId": new.id}),
            )?;
            Ok(new)
        })
        .await
}
