//! The statuses of all tenants, as one reader gets them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tenantry_core::{
    access::OrgScope,
    ids::TenantId,
    store::{Store, StoreError},
    sync::{FeedPosition, News, StatusFeed, SyncService, WakeUp, status},
};
use uuid::Uuid;

use crate::store::TestStore;
use tenantry_tests::{
    database::{Backend, Raw},
    on_both_databases,
};

fn service(store: &Store) -> SyncService {
    SyncService::new(store.clone(), WakeUp::default())
}

/// A tenant without a document, put there behind the product's back.
pub fn put_tenant(db: &TestStore, scope: &OrgScope) -> TenantId {
    let raw = db.raw();
    let (id, connection) = (Uuid::new_v4(), raw.uuid(Uuid::now_v7()));
    let (org, tenant) = (raw.uuid(scope.org().as_uuid()), raw.uuid(id));
    let (time, boolean) = time_and_boolean(&raw);
    raw.execute(&format!(
        "INSERT INTO connections (org_id, id, tenant_id, connection_type, state, next_step, entered_tenant, created_at, expires_at)
            VALUES ({org}, {connection}, {tenant}, 'adminConsent', 'proven', 'done', 'x.example', {time}, {time});
         INSERT INTO tenants (org_id, tenant_id, connection_id, connection_type, status, display_name, search_text,
            granted_permissions, missing_permissions, tags, notifications, version, created_at)
            VALUES ({org}, {tenant}, {connection}, 'adminConsent', 'connected', 'X', 'x', '[]', '[]', '[]', {boolean}, 1, {time});"
    ));
    TenantId::from_uuid(id)
}

fn time_and_boolean(raw: &Raw) -> (&'static str, &'static str) {
    if raw.is_sqlite() {
        ("1790000000000000", "1")
    } else {
        ("now()", "true")
    }
}

async fn change(store: &Store, scope: &OrgScope, tenant: TenantId) {
    let changed: Result<(), StoreError> = store
        .write(scope, move |tx| status::refresh(tx, tenant))
        .await;
    changed.unwrap();
}

/// Tenants with a document.
async fn tenants<const N: usize>(db: &TestStore, scope: &OrgScope) -> [TenantId; N] {
    let mut tenants = [TenantId::from_uuid(Uuid::nil()); N];
    for tenant in &mut tenants {
        *tenant = put_tenant(db, scope);
        change(&db.store, scope, *tenant).await;
    }
    tenants
}

/// A completed run that ended now.
async fn complete(db: &TestStore, scope: &OrgScope, tenant: TenantId, ended: DateTime<Utc>) {
    let raw = db.raw();
    let time = if raw.is_sqlite() {
        ended.timestamp_micros().to_string()
    } else {
        format!("'{}'", ended.to_rfc3339())
    };
    let tenant_id = raw.uuid(tenant.as_uuid());
    raw.execute(&format!(
        "UPDATE tenants SET last_completed_at = {time} WHERE tenant_id = {tenant_id}"
    ));
    drop(raw);
    change(&db.store, scope, tenant).await;
}

/// All that a feed has to say now: the tenants, those that are stale marked so, and how far that is.
fn read(feed: &mut StatusFeed) -> (Vec<(TenantId, bool)>, FeedPosition) {
    let mut met = Vec::new();
    loop {
        match feed.news() {
            News::Status(status, _) => met.push((status.snapshot.tenant, status.stale)),
            News::None(position) => return (met, position),
        }
    }
}

/// What one who comes back with this position gets.
fn resumed(store: &Store, scope: &OrgScope, last: FeedPosition) -> Vec<(TenantId, bool)> {
    read(&mut service(store).feed(scope, Some(last))).0
}

fn fresh(tenant: TenantId) -> (TenantId, bool) {
    (tenant, false)
}

on_both_databases! {
    async fn a_reader_gets_every_tenant_and_then_what_changes(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let [a, b] = tenants(&db, &scope).await;
        let mut feed = service(&db.store).feed(&scope, None);
        feed.changed().await;
        assert_eq!(read(&mut feed).0, [fresh(a), fresh(b)]);
        for _ in 0..5 {
            change(&db.store, &scope, a).await;
        }
        feed.changed().await;
        assert_eq!(read(&mut feed).0, [fresh(a)], "the newest, not all");
        let [c] = tenants(&db, &scope).await;
        feed.changed().await;
        assert_eq!(read(&mut feed).0, [fresh(c)]);
        let failed: Result<(), StoreError> = db.store.write(&scope, move |tx| {
            status::refresh(tx, a)?;
            status::refresh(tx, b)?;
            status::refresh(tx, a)?;
            Err(StoreError::Corrupt { what: "nothing" })
        }).await;
        assert!(failed.is_err());
        assert_eq!(read(&mut feed).0, []);
        let twice: Result<(), StoreError> = db.store.write(&scope, move |tx| {
            status::refresh(tx, a)?;
            status::refresh(tx, b)?;
            status::refresh(tx, a)
        }).await;
        twice.unwrap();
        let (met, position) = read(&mut feed);
        assert_eq!(met, [fresh(b), fresh(a)]);
        assert_eq!(position.sequence, 2 + 5 + 1 + 2, "what failed has no number");
    }

    async fn one_who_comes_back_gets_what_changed_in_every_process(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let [a, b] = tenants(&db, &scope).await;
        let (_, position) = read(&mut service(&db.store).feed(&scope, None));
        change(&db.store, &scope, b).await;
        let [c] = tenants(&db, &scope).await;
        let other = db.second_store();
        service(&other).load_status(&scope).await.unwrap();
        for store in [&db.store, &other] {
            assert_eq!(resumed(store, &scope, position), [fresh(b), fresh(c)]);
            let unknown = FeedPosition { sequence: 1_000, ..position };
            assert_eq!(resumed(store, &scope, unknown).len(), 3, "everything");
        }
        // Half of the way: what came first is not sent again, and the rest is.
        let mut feed = service(&db.store).feed(&scope, Some(position));
        let News::Status(_, half) = feed.news() else { panic!("no news") };
        assert_eq!(resumed(&other, &scope, half), [fresh(c)]);
        let (_, all) = read(&mut feed);
        assert_eq!(resumed(&other, &scope, all), []);
        change(&other, &scope, a).await;
        service(&db.store).load_status(&scope).await.unwrap();
        assert_eq!(read(&mut feed).0, [fresh(a)]);
    }

    async fn a_reader_that_always_comes_back_misses_nothing(backend: Backend) {
        let db = TestStore::new(backend);
        const CHANGES: i64 = 25;
        let scope = db.organization().await;
        let tenants = tenants::<6>(&db, &scope).await;
        let writers = tenants.map(|tenant| {
            let (store, scope) = (db.store.clone(), scope.clone());
            tokio::spawn(async move {
                for _ in 0..CHANGES {
                    change(&store, &scope, tenant).await;
                }
            })
        });
        let stores = [db.store.clone(), db.second_store()];
        let services = stores.each_ref().map(service);
        let mut seen = BTreeMap::new();
        let mut last = None;
        let begun = Instant::now();
        while seen.len() < 6 || seen.values().any(|version| *version <= CHANGES) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{seen:?}");
            for service in &services {
                service.load_status(&scope).await.unwrap();
                let mut feed = service.feed(&scope, last);
                // Gone after a few, as clients go.
                for _ in 0..4 {
                    let News::Status(status, position) = feed.news() else { break };
                    seen.insert(status.snapshot.tenant, status.snapshot.version);
                    last = Some(position);
                }
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        for (store, service) in stores.iter().zip(&services) {
            service.load_status(&scope).await.unwrap();
            assert_eq!(store.board().is_complete_to(scope.org()), 6 + 6 * CHANGES);
        }
    }

    async fn becoming_stale_is_told_once(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let [a, b, c] = tenants(&db, &scope).await;
        for tenant in [a, b] {
            complete(&db, &scope, tenant, db.store.clock().now()).await;
            db.advance(TimeDelta::minutes(1));
        }
        let mut feed = service(&db.store).feed(&scope, None);
        let (met, before) = read(&mut feed);
        assert_eq!(met, [fresh(c), fresh(a), fresh(b)]);
        db.advance(TimeDelta::hours(6) - TimeDelta::seconds(90));
        assert_eq!(read(&mut feed).0, [(a, true)]);
        let (none, between) = read(&mut feed);
        assert_eq!(none, []);
        db.advance(TimeDelta::minutes(1));
        let News::Status(_, after) = feed.news() else { panic!("no news") };
        assert_eq!(read(&mut feed).0, []);
        // So it is for one who comes back, also to another process.
        let other = db.second_store();
        service(&other).load_status(&scope).await.unwrap();
        for store in [&db.store, &other] {
            assert_eq!(resumed(store, &scope, before), [(a, true), (b, true)]);
            assert_eq!(resumed(store, &scope, between), [(b, true)]);
            assert_eq!(resumed(store, &scope, after), []);
        }
        complete(&db, &scope, a, db.store.clock().now()).await;
        assert_eq!(read(&mut feed).0, [fresh(a)]);
    }

    async fn data_that_become_stale_while_one_catches_up_are_told(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let [a, b] = tenants(&db, &scope).await;
        for tenant in [a, b] {
            complete(&db, &scope, tenant, db.store.clock().now()).await;
            db.advance(TimeDelta::minutes(1));
        }
        let (_, position) = read(&mut service(&db.store).feed(&scope, None));
        change(&db.store, &scope, a).await;
        change(&db.store, &scope, b).await;
        let mut feed = service(&db.store).feed(&scope, Some(position));
        let News::Status(first, half) = feed.news() else { panic!("no news") };
        assert_eq!((first.snapshot.tenant, first.stale), fresh(a));
        db.advance(TimeDelta::hours(6));
        assert_eq!(resumed(&db.store, &scope, half), [(a, true), (b, true)]);
        assert_eq!(read(&mut feed).0, [(a, true), (b, true)]);
        // Also those that the reader brought with it, when it has only begun.
        for tenant in [a, b] {
            complete(&db, &scope, tenant, db.store.clock().now()).await;
        }
        let (_, position) = read(&mut feed);
        let mut feed = service(&db.store).feed(&scope, Some(position));
        db.advance(TimeDelta::hours(7));
        assert_eq!(read(&mut feed).0, [(a, true), (b, true)]);
        assert_eq!(read(&mut feed).0, []);
    }

    async fn z4_a_reader_sees_no_tenant_of_another_organization(backend: Backend) {
        let db = TestStore::new(backend);
        let (mine, theirs) = (db.organization().await, db.organization().await);
        let mut feed = service(&db.store).feed(&mine, None);
        let [theirs_only] = tenants(&db, &theirs).await;
        assert_eq!(read(&mut feed).0, []);
        let other = db.second_store();
        service(&other).load_status(&theirs).await.unwrap();
        assert_eq!(read(&mut service(&other).feed(&mine, None)).0, []);
        assert_eq!(read(&mut service(&other).feed(&theirs, None)).0, [fresh(theirs_only)]);
    }

    async fn documents_from_before_the_numbers_get_theirs(backend: Backend) {
        let db = TestStore::new(backend);
        let (one, two) = (db.organization().await, db.organization().await);
        tenants::<2>(&db, &one).await;
        tenants::<3>(&db, &two).await;
        let raw = db.raw();
        let (up, down) = if raw.is_sqlite() {
            (
                include_str!("../../../migrations/sqlite/2026-11-21-100700-0000_create_status_sequences/up.sql"),
                include_str!("../../../migrations/sqlite/2026-11-21-100700-0000_create_status_sequences/down.sql"),
            )
        } else {
            (
                include_str!("../../../migrations/postgres/2026-11-21-100700-0000_create_status_sequences/up.sql"),
                include_str!("../../../migrations/postgres/2026-11-21-100700-0000_create_status_sequences/down.sql"),
            )
        };
        raw.execute(down);
        raw.execute(up);
        let later = db.second_store();
        for (scope, count) in [(&one, 2), (&two, 3)] {
            service(&later).load_status(scope).await.unwrap();
            assert_eq!(later.board().is_complete_to(scope.org()), count);
            let (met, position) = read(&mut service(&later).feed(scope, None));
            assert_eq!((met.len(), position.sequence), (usize::try_from(count).unwrap(), count));
            let [_] = tenants(&db, scope).await;
            service(&later).load_status(scope).await.unwrap();
            assert_eq!(later.board().is_complete_to(scope.org()), count + 1);
        }
    }
}
