//! What the tests of core share: databases with the schema of the store.

use std::sync::Arc;

use tenantry_core::{
    secrets::SecretText,
    store::{DatabaseLocation, Store},
};
use tenantry_tests::database::{Backend, Template, TestDatabase};

/// An empty, migrated database.
pub fn migrated(backend: Backend) -> TestDatabase {
    static TEMPLATE: Template = Template::new(|url| {
        Store::migrate_down_and_up(&location(url)).unwrap();
    });
    TEMPLATE.copy(backend)
}

/// A database's URL as the store takes it.
pub fn location(url: &str) -> DatabaseLocation {
    match url.strip_prefix("sqlite://") {
        Some(path) => DatabaseLocation::Sqlite(path.into()),
        None => DatabaseLocation::Postgres {
            url: Arc::new(SecretText::new(url.to_owned())),
            admin_url: None,
            pool_size: 5,
        },
    }
}
