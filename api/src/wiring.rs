//! Builds everything once, from the settings. The only place that knows every room; decides nothing.

use std::sync::Arc;

use tenantry_core::{
    clock::Clock,
    installation::{self, Installation, InstallationError},
    secrets::{MasterKey, Vault},
    store::{DatabaseLocation, GuardError, MigrationError, OpenError, Store, StoreError},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    config::{Config, DatabaseConfig, MasterKeySource, Needs},
    failure::Failure,
    telemetry,
};

/// Whether opening the database also brings its schema up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// Yes.
    Pending,
    /// No: what is pending refuses.
    Nothing,
}

/// A database with the master key that fits it.
pub struct Unlocked {
    /// The database.
    pub store: Store,
    /// Its master key.
    pub master: Arc<MasterKey>,
    /// The vault under that key.
    pub vault: Vault,
}

/// Reads the settings and starts logging.
pub fn configure(needs: Needs) -> Result<Config, Failure> {
    let config = Config::of_process(needs).map_err(|error| Failure::new(error.to_string()))?;
    telemetry::init(&config.log);
    Ok(config)
}

/// The runtime that everything asynchronous runs on.
pub fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start threads").because(error))
}

/// The machine's clock.
#[cfg(not(feature = "failpoints"))]
pub fn clock() -> Clock {
    Clock::system()
}

/// The machine's clock, moved by the seconds that stand in the file `TENANTRY_TEST_CLOCK_FILE` names:
/// tests let hours pass. The file is read at each call, so that they can do so while we run.
#[cfg(feature = "failpoints")]
pub fn clock() -> Clock {
    let system = Clock::system();
    let Some(file) = std::env::var_os("TENANTRY_TEST_CLOCK_FILE") else {
        return system;
    };
    Clock::from_fn(move || {
        let offset = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i64>().ok());
        system.now() + chrono::TimeDelta::seconds(offset.unwrap_or(0))
    })
}

/// Opens the database.
pub fn open_store(database: &DatabaseConfig, clock: Clock, migrate: Migrate) -> Result<Store, Failure> {
    Store::open(database.location.clone(), clock, migrate == Migrate::Pending).map_err(|error| {
        let advice = advice(&error, database);
        Failure::new(format!("cannot open {}", database.shown)).because(error).advise(advice)
    })
}

/// What to do about a database that cannot be opened.
fn advice(error: &OpenError, database: &DatabaseConfig) -> &'static str {
    let unreachable = match &database.location {
        DatabaseLocation::Sqlite(_) => {
            "Run it as the owner of the folder, or set TENANTRY_DATABASE_URL to a file that can be written."
        }
        DatabaseLocation::Postgres { .. } => {
            "Check that PostgreSQL runs there, and user, password and database in TENANTRY_DATABASE_URL."
        }
    };
    match error {
        OpenError::Migration(MigrationError::Newer { .. }) => {
            "Start the version that migrated it, or a newer one."
        }
        OpenError::Migration(MigrationError::Pending { .. }) => {
            "Run `tenantry migrate`, or start without --no-migrate."
        }
        OpenError::Migration(MigrationError::Failed(_)) => {
            "Nothing was changed. The database is as the version before left it: start that one, and report this."
        }
        OpenError::Migration(MigrationError::Store(_)) | OpenError::Store(_) => unreachable,
        OpenError::Guard(GuardError::Store(_)) => unreachable,
        OpenError::Guard(_) => {
            "Give TENANTRY_DATABASE_URL a role that owns nothing and bypasses nothing, and TENANTRY_DATABASE_ADMIN_URL the owner's."
        }
    }
}

/// Finds or makes the master key, and refuses one that does not fit the database.
pub async fn unlock(store: Store, source: MasterKeySource) -> Result<Unlocked, Failure> {
    let master = match source {
        MasterKeySource::Given(key) => key,
        MasterKeySource::Beside(database) => key_beside(&store, &database).await?,
        MasterKeySource::NotNeeded => return Err(Failure::new("this command was given no master key")),
    };
    let Installation { id } = installation::ensure(&store, &master).await.map_err(|error| match error {
        InstallationError::WrongMasterKey => Failure::new("cannot start").because(error).advise(
            "Set TENANTRY_MASTER_KEY or TENANTRY_MASTER_KEY_FILE to the key that this database was made with; nothing was written.",
        ),
        InstallationError::Store(error) => Failure::new("cannot use the database").because(error),
    })?;
    let master = Arc::new(master);
    let vault = Vault::new(Arc::clone(&master), id);
    Ok(Unlocked { store, master, vault })
}

/// The key in the file beside a SQLite database. One is made only for a database that has none yet: in
/// the place of a lost key a new one would be of no use, and would hide that the old one is missing.
async fn key_beside(store: &Store, database: &std::path::Path) -> Result<MasterKey, Failure> {
    let path = MasterKey::path_beside(database);
    let refused = |error| Failure::new("cannot use the master key").because(error);
    let exists = path.try_exists().map_err(|error| {
        Failure::new(format!("cannot look for the master key {}", path.display())).because(error)
    })?;
    if exists {
        return MasterKey::from_file(&path).map_err(refused);
    }
    let has_key = installation::exists(store)
        .await
        .map_err(|error: StoreError| Failure::new("cannot use the database").because(error))?;
    if has_key {
        return Err(Failure::new(format!("the master key {} is missing", path.display())).advise(
            "Put the file back from your backup, or set TENANTRY_MASTER_KEY; without the key the stored credentials cannot be read.",
        ));
    }
    let (key, path) = MasterKey::generate_beside(database).map_err(refused)?;
    tracing::warn!(
        path = %path.display(),
        "a new master key was made; keep a copy apart from the database: without it every tenant must be connected again"
    );
    Ok(key)
}
