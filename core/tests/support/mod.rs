//! A database per test, on SQLite and on PostgreSQL, and a way past the store to look at and tamper
//! with what is in it.

mod raw;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tenantry_core::{
    access::OrgScope,
    clock::Clock,
    ids::{ApiKeyId, OrgId, RequestId},
    installation,
    organizations::OrganizationService,
    secrets::{MasterKey, SecretText, Vault},
    store::{DatabaseLocation, Store},
};
use uuid::Uuid;

pub use self::raw::Raw;

/// Makes two tests of each function: `name::sqlite` and `name::postgres`. A macro because an
/// attribute of our own would want a crate of its own.
macro_rules! on_both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($db:ident: TestStore) $body:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let $db = TestStore::sqlite();
                $body
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let $db = TestStore::postgres();
                $body
            }
        }
    )+};
}
pub(crate) use on_both_databases;

/// An empty, migrated database of one test. Gone with it.
pub struct TestStore {
    /// The store on it.
    pub store: Store,
    location: DatabaseLocation,
    time: Arc<Mutex<DateTime<Utc>>>,
    _place: Place,
}

/// What has to be cleaned up.
enum Place {
    Folder(#[expect(dead_code, reason = "removed when dropped")] TempDir),
    Database(String),
}

impl TestStore {
    /// On SQLite: a copy of a migrated file.
    pub fn sqlite() -> Self {
        static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("template.db");
            Store::migrate_down_and_up(&DatabaseLocation::Sqlite(path.clone())).unwrap();
            std::fs::read(path).unwrap()
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        std::fs::write(&path, template).unwrap();
        Self::on(DatabaseLocation::Sqlite(path), Place::Folder(folder))
    }

    /// On PostgreSQL: a database of its own, copied from a migrated one.
    pub fn postgres() -> Self {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let name = format!("template_{}", Uuid::now_v7().simple());
            Raw::server().execute(&format!("CREATE DATABASE {name}"));
            Store::migrate_down_and_up(&postgres_location(&name)).unwrap();
            name
        });
        let name = format!("test_{}", Uuid::now_v7().simple());
        Raw::server().execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Self::on(postgres_location(&name), Place::Database(name))
    }

    fn on(location: DatabaseLocation, place: Place) -> Self {
        let time = Arc::new(Mutex::new(Clock::system().now()));
        let store = Store::open(location.clone(), clock_of(&time), false).unwrap();
        Self {
            store,
            location,
            time,
            _place: place,
        }
    }

    /// Where the database is.
    pub fn location(&self) -> DatabaseLocation {
        self.location.clone()
    }

    /// Another handle on the same database, as another process would have it.
    pub fn second_store(&self) -> Store {
        Store::open(self.location(), clock_of(&self.time), false).unwrap()
    }

    /// Moves the store's clock.
    pub fn advance(&self, by: TimeDelta) {
        *self.time.lock().unwrap() += by;
    }

    /// A connection past the store, with all rights.
    pub fn raw(&self) -> Raw {
        match &self.location {
            DatabaseLocation::Sqlite(path) => Raw::sqlite(path),
            DatabaseLocation::Postgres { url, .. } => Raw::postgres(url.expose()),
        }
    }

    /// A new organisation, and the scope of a caller with its key.
    pub async fn organization(&self) -> OrgScope {
        installation::ensure(&self.store, &master_key(1))
            .await
            .unwrap();
        let service = OrganizationService::new(self.store.clone(), Arc::new(master_key(1)));
        let new = service.create("Msp One").await.unwrap();
        scope(new.id, new.key.id)
    }

    /// The vault of this installation.
    pub async fn vault(&self) -> Vault {
        let installation = installation::ensure(&self.store, &master_key(1))
            .await
            .unwrap();
        Vault::new(&master_key(1), installation.id)
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        if let Place::Database(name) = &self._place {
            Raw::server().execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

/// A caller with an API key.
pub fn scope(org: OrgId, key: ApiKeyId) -> OrgScope {
    OrgScope::for_api_key(org, key, RequestId::from_uuid(Uuid::now_v7()))
}

/// A master key made of one byte.
pub fn master_key(byte: u8) -> MasterKey {
    MasterKey::from_base64(&SecretText::new(STANDARD.encode([byte; 32]))).unwrap()
}

/// A path that is no file yet, and the folder that holds it.
pub fn new_file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    (folder, path)
}

fn clock_of(time: &Arc<Mutex<DateTime<Utc>>>) -> Clock {
    let time = Arc::clone(time);
    Clock::from_fn(move || *time.lock().unwrap())
}

/// The server that tests may make databases on.
fn server_url() -> String {
    std::env::var("TENANTRY_TEST_POSTGRES_URL")
        .expect("no PostgreSQL to test on: run `cargo xtask test`, which starts one")
}

fn postgres_url(database: &str) -> String {
    let mut url = url::Url::parse(&server_url()).unwrap();
    url.set_path(database);
    url.to_string()
}

fn postgres_location(database: &str) -> DatabaseLocation {
    DatabaseLocation::Postgres {
        url: Arc::new(SecretText::new(postgres_url(database))),
        admin_url: None,
        pool_size: 4,
    }
}
