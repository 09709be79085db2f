//! Who gets one of the few connections to PostgreSQL, and when.

use std::sync::{Arc, mpsc};

use tenantry_core::{access::keys::KeyService, store::StoreError};
use tenantry_tests::database::Backend;
use tokio::sync::Barrier;

use crate::store::{TestStore, master_key};

/// Turns of a store of five connections that are not for what is urgent.
const TURNS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_what_is_urgent_does_not_wait_behind_the_writing_of_pages() {
    let db = TestStore::new(Backend::Postgres);
    let scope = db.organization().await;
    let keys = KeyService::new(db.store.clone(), Arc::new(master_key(1)));
    let begun = Arc::new(Barrier::new(TURNS + 1));
    let mut ends = Vec::new();
    let mut writing = Vec::new();
    let runtime = tokio::runtime::Handle::current();
    for _ in 0..TURNS {
        let (end, ended) = mpsc::channel::<()>();
        let (begun, runtime) = (Arc::clone(&begun), runtime.clone());
        let (store, scope) = (db.store.clone(), scope.clone());
        ends.push(end);
        writing.push(tokio::spawn(async move {
            let wrote: Result<(), StoreError> = store
                .write(&scope, move |_| {
                    runtime.block_on(begun.wait());
                    assert!(ended.recv().is_err(), "the other side is dropped");
                    Ok(())
                })
                .await;
            wrote.unwrap();
        }));
    }
    begun.wait().await;
    keys.key_epoch().await.unwrap();

    // Everything else waits for one of them, and has its turn then.
    let (store, scope) = (db.store.clone(), scope.clone());
    let mut next = tokio::spawn(async move {
        let read: Result<(), StoreError> = store.read(&scope, |_| Ok(())).await;
        read.unwrap();
    });
    keys.key_epoch().await.unwrap();
    assert!(!next.is_finished());
    ends.pop();
    (&mut next).await.unwrap();
    ends.clear();
    for write in writing {
        write.await.unwrap();
    }
    let (used, _idle) = db.store.pool_state();
    assert_eq!(used, 0);
}
