//! The first use of a database and the check of the master key.

use tenantry_core::{
    access::OrgScope,
    audit::{AuditFilter, AuditService},
    ids::OrgId,
    installation::{InstallationError, ensure},
};
use tenantry_tests::{database::Backend, on_both_databases};

use crate::store::{TestStore, master_key};

on_both_databases! {
    async fn the_first_use_makes_the_installation_once(backend: Backend) {
        let db = TestStore::new(backend);
        let first = ensure(&db.store, &master_key(1)).await.unwrap();
        let later = ensure(&db.second_store(), &master_key(1)).await.unwrap();
        assert_eq!(first, later);
        let audit = AuditService::new(db.store.clone());
        let scope = OrgScope::for_system(OrgId::INSTALLATION);
        let page = audit.list(&scope, AuditFilter::default(), None, 10).await.unwrap();
        assert_eq!(page.items.len(), 1);
        assert_eq!(page.items[0].action, "installation.created");
    }

    async fn processes_that_start_together_make_one_installation(backend: Backend) {
        let db = TestStore::new(backend);
        let starts = (0..4).map(|_| {
            let store = db.second_store();
            tokio::spawn(async move { ensure(&store, &master_key(1)).await.unwrap() })
        });
        let found = futures_util::future::join_all(starts).await;
        let first = found[0].as_ref().unwrap();
        assert!(found.iter().all(|installation| installation.as_ref().unwrap() == first));
        assert_eq!((db.raw().count("installation"), db.raw().count("audit_events")), (1, 1));
    }

    async fn v8_a_wrong_master_key_is_refused_and_writes_nothing(backend: Backend) {
        let db = TestStore::new(backend);
        ensure(&db.store, &master_key(1)).await.unwrap();
        let before = db.raw().dump();
        let refused = ensure(&db.store, &master_key(2)).await;
        assert!(matches!(refused, Err(InstallationError::WrongMasterKey)));
        assert_eq!(db.raw().dump(), before);
        assert!(ensure(&db.store, &master_key(1)).await.is_ok());
    }
}
