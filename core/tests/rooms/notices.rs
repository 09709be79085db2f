//! What one process hears of another: PostgreSQL only, a SQLite file serves one process.

use std::time::Duration;

use tenantry_core::{
    access::OrgScope,
    ids::{OrgId, SyncRunId, TenantId},
    store::{ChangedStatuses, Global, Store, StoreError},
    sync::{
        queue::{self, Task, Work},
        status,
    },
};
use tenantry_tests::database::Backend;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{statuses::put_tenant, store::TestStore};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that listens, and what ends it.
async fn listening(db: &TestStore) -> (Store, watch::Sender<bool>) {
    let store = db.second_store();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(store.clone().listen(stopped));
    assert_eq!(next(&store).await, ChangedStatuses::Perhaps, "at the start");
    assert!(store.notices().is_listening());
    (store, stop)
}

async fn next(store: &Store) -> ChangedStatuses {
    let heard = tokio::time::timeout(PATIENCE, store.notices().statuses()).await;
    heard.unwrap()
}

async fn change(store: &Store, scope: &OrgScope, tenant: TenantId, fail: bool) {
    let changed = store
        .write(scope, move |tx| {
            status::refresh(tx, tenant)?;
            status::refresh(tx, tenant)?;
            match fail {
                true => Err(StoreError::NotFound),
                false => Ok(()),
            }
        })
        .await;
    assert_eq!(changed.is_err(), fail);
}

fn of(org: OrgId) -> ChangedStatuses {
    ChangedStatuses::Of(vec![org])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_hears_whose_statuses_another_one_changed_and_no_more() {
    let db = TestStore::new(Backend::Postgres);
    let (one, two) = (db.organization().await, db.organization().await);
    let (of_one, of_two) = (put_tenant(&db, &one), put_tenant(&db, &two));
    let (store, _stop) = listening(&db).await;
    change(&db.store, &one, of_one, false).await;
    assert_eq!(next(&store).await, of(one.org()));
    change(&db.store, &one, of_one, true).await;
    let looked: Result<(), StoreError> = db.store.write(&one, |_| Ok(())).await;
    looked.unwrap();
    change(&db.store, &two, of_two, false).await;
    assert_eq!(
        next(&store).await,
        of(two.org()),
        "what rolled back or changed nothing is not told"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_connection_it_listens_again_and_says_that_it_may_have_missed_something() {
    let db = TestStore::new(Backend::Postgres);
    let scope = db.organization().await;
    let tenant = put_tenant(&db, &scope);
    let (store, _stop) = listening(&db).await;
    assert_eq!(terminate_listeners(&db), 1);
    assert_eq!(next(&store).await, ChangedStatuses::Perhaps);
    change(&db.store, &scope, tenant, false).await;
    assert_eq!(next(&store).await, of(scope.org()));
}

/// The connections of this database that listen, by the statement they run all the time.
fn terminate_listeners(db: &TestStore) -> usize {
    let ended = db.raw().lines(
        "SELECT pg_terminate_backend(pid)::text AS line FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'tenantry listening'",
    );
    ended.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_another_process_is_woken_by_work_that_is_due_and_not_by_later_work() {
    let db = TestStore::new(Backend::Postgres);
    let scope = db.organization().await;
    let tenant = put_tenant(&db, &scope);
    let (store, _stop) = listening(&db).await;
    // Listening began: there may be work.
    tokio::time::timeout(PATIENCE, store.notices().work())
        .await
        .unwrap();
    let put = |seconds: i64| {
        let org = scope.org();
        let body = move |tx: &mut Global<'_>| -> Result<(), StoreError> {
            let due_at = tx.now() + chrono::TimeDelta::seconds(seconds);
            let run = SyncRunId::from_uuid(Uuid::now_v7());
            queue::enqueue(
                tx,
                Work {
                    org,
                    task: Task::Sync { tenant, run },
                    due_at,
                },
            )
        };
        db.store.global(body)
    };
    put(3_600).await.unwrap();
    change(&db.store, &scope, tenant, false).await;
    assert_eq!(next(&store).await, of(scope.org()));
    // Notices come in the order of the commits, so one about later work would be here by now.
    assert!(
        tokio::time::timeout(Duration::ZERO, store.notices().work())
            .await
            .is_err()
    );
    put(0).await.unwrap();
    tokio::time::timeout(PATIENCE, store.notices().work())
        .await
        .unwrap();
}
