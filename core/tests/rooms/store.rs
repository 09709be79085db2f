//! A store on a database of its own, with a clock that a test moves.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use tenantry_core::{
    access::OrgScope,
    clock::Clock,
    ids::RequestId,
    installation,
    organizations::OrganizationService,
    secrets::{MasterKey, SecretText, Vault},
    store::{DatabaseLocation, Store},
};
use tenantry_tests::database::{Backend, Raw, TestDatabase};
use uuid::Uuid;

use crate::support;

/// An empty, migrated database of one test. Gone with it.
pub struct TestStore {
    /// The store on it.
    pub store: Store,
    database: TestDatabase,
    time: Arc<Mutex<DateTime<Utc>>>,
}

impl TestStore {
    pub fn new(backend: Backend) -> Self {
        let database = support::migrated(backend);
        let time = Arc::new(Mutex::new(Clock::system().now()));
        Self {
            store: open(&database, &time),
            database,
            time,
        }
    }

    /// Where the database is.
    pub fn location(&self) -> DatabaseLocation {
        support::location(&self.database.url())
    }

    /// Another handle on the same database, as another process would have it.
    pub fn second_store(&self) -> Store {
        open(&self.database, &self.time)
    }

    /// Moves the store's clock.
    pub fn advance(&self, by: TimeDelta) {
        *self.time.lock().unwrap() += by;
    }

    /// A connection past the store, with all rights.
    pub fn raw(&self) -> Raw {
        self.database.raw()
    }

    /// A new organisation, and the scope of a caller with its key.
    pub async fn organization(&self) -> OrgScope {
        installation::ensure(&self.store, &master_key(1))
            .await
            .unwrap();
        let service = OrganizationService::new(self.store.clone(), Arc::new(master_key(1)));
        let new = service.create("Msp One").await.unwrap();
        OrgScope::for_api_key(new.id, new.key.id, RequestId::from_uuid(Uuid::now_v7()))
    }

    /// The vault of this installation.
    pub async fn vault(&self) -> Vault {
        let installation = installation::ensure(&self.store, &master_key(1))
            .await
            .unwrap();
        Vault::new(&master_key(1), installation.id)
    }
}

/// A master key made of one byte.
pub fn master_key(byte: u8) -> MasterKey {
    MasterKey::from_base64(&SecretText::new(STANDARD.encode([byte; 32]))).unwrap()
}

fn open(database: &TestDatabase, time: &Arc<Mutex<DateTime<Utc>>>) -> Store {
    let time = Arc::clone(time);
    let clock = Clock::from_fn(move || *time.lock().unwrap());
    Store::open(support::location(&database.url()), clock, false).unwrap()
}
