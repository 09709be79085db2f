//! The audit: written with the act, listed, verified.

use chrono::TimeDelta;
use serde_json::json;
use tenantry_core::{
    access::OrgScope,
    audit::{self, Action, AuditEvent, AuditFilter, AuditService, VerifyReport, verify},
    customers::{CustomerService, NewCustomer},
    ids::{AuditEventId, OrgId, TenantId},
    store::StoreError,
};
use tenantry_tests::{
    database::{Backend, Raw},
    on_both_databases,
};
use uuid::Uuid;

use crate::store::TestStore;

/// Appends events in one transaction.
async fn append(db: &TestStore, scope: &OrgScope, tenant: Option<TenantId>, count: i64) {
    let written = db.store.write(scope, move |tx| {
        for n in 0..count {
            audit::record(tx, Action::SyncStarted, tenant, json!({"n": n}))?;
        }
        Ok::<_, StoreError>(())
    });
    written.await.unwrap();
}

/// The ids of the organisation's events, the oldest first.
async fn ids(db: &TestStore, scope: &OrgScope) -> Vec<AuditEventId> {
    let mut items = list(db, scope, AuditFilter::default(), None, 1_000).await.0;
    items.reverse();
    items.into_iter().map(|event| event.id).collect()
}

async fn list(
    db: &TestStore,
    scope: &OrgScope,
    filter: AuditFilter,
    after: Option<i64>,
    limit: u16,
) -> (Vec<AuditEvent>, Option<i64>) {
    let page = AuditService::new(db.store.clone())
        .list(scope, filter, after, limit)
        .await
        .unwrap();
    (page.items, page.next)
}

/// Lets the owner of the database change what is append-only for everybody else.
fn unlock(raw: &Raw) {
    if raw.is_sqlite() {
        for trigger in ["update", "delete", "replace"] {
            raw.execute(&format!("DROP TRIGGER audit_events_no_{trigger}"));
        }
    } else {
        raw.execute("ALTER TABLE audit_events DISABLE TRIGGER ALL");
    }
    raw.execute("CREATE TABLE events_before AS SELECT * FROM audit_events");
    raw.execute("CREATE TABLE heads_before AS SELECT * FROM audit_heads");
}

/// Puts the audit back as it was when it was unlocked.
fn restore(raw: &Raw) {
    raw.execute("DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM events_before");
    raw.execute("DELETE FROM audit_heads; INSERT INTO audit_heads SELECT * FROM heads_before");
}

fn bad(events: u64, first_bad: AuditEventId) -> VerifyReport {
    VerifyReport {
        events,
        intact: false,
        first_bad: Some(first_bad),
    }
}

on_both_databases! {
    async fn l1_what_cannot_be_audited_does_not_happen(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let raw = db.raw();
        raw.execute("ALTER TABLE audit_events RENAME TO audit_events_gone");
        let service = CustomerService::new(db.store.clone());
        let new = NewCustomer { name: "Contoso".to_owned(), domains: Vec::new() };
        assert!(service.create(&scope, new.clone(), |_, _| Ok(())).await.is_err());
        assert_eq!(raw.count("customers"), 0);
        raw.execute("ALTER TABLE audit_events_gone RENAME TO audit_events");
        service.create(&scope, new, |_, _| Ok(())).await.unwrap();
        assert!(verify(&db.store).await.unwrap().intact);
    }

    async fn an_event_counts_once_it_is_committed(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let counted = || db.store.measures().audit_events.read().map(|([], number)| number).sum::<u64>();
        let before = counted();
        append(&db, &scope, None, 3).await;
        assert_eq!(counted(), before + 3);
        let rolled_back = db.store.write(&scope, |tx| {
            audit::record(tx, Action::SyncStarted, None, json!({}))?;
            Err::<(), _>(StoreError::Corrupt { what: "test" })
        });
        assert!(rolled_back.await.is_err());
        assert_eq!(counted(), before + 3);
    }

    async fn events_say_who_did_what_when_and_why(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let tenant = TenantId::from_uuid(Uuid::new_v4());
        append(&db, &scope, Some(tenant), 1).await;
        let (events, next) = list(&db, &scope, AuditFilter::default(), None, 100).await;
        let event = &events[0];
        assert_eq!(next, None);
        assert_eq!((event.actor_type.as_str(), event.actor_id.clone()), ("apiKey", scope.actor().id()));
        assert_eq!((event.action.as_str(), event.tenant), ("sync.started", Some(tenant)));
        assert_eq!((event.request, &event.details), (scope.request_id(), &json!({"n": 0})));
        assert_eq!(event.at, db.store.clock().now());
        assert_eq!(event.hash.len(), 64);
        let created = events.last().unwrap();
        assert_eq!((created.action.as_str(), created.actor_type.as_str()), ("organization.created", "commandLine"));
    }

    async fn events_are_listed_the_newest_first_and_filtered(backend: Backend) {
        let db = TestStore::new(backend);
        let (scope, other) = (db.organization().await, db.organization().await);
        let tenant = TenantId::from_uuid(Uuid::new_v4());
        append(&db, &scope, None, 3).await;
        db.advance(TimeDelta::hours(1));
        append(&db, &scope, Some(tenant), 4).await;
        append(&db, &other, Some(tenant), 2).await;

        let mut expected = ids(&db, &scope).await;
        expected.reverse();
        assert_eq!(expected.len(), 9);
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (events, next) = list(&db, &scope, AuditFilter::default(), after, 4).await;
            seen.extend(events.into_iter().map(|event| event.id));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);

        let of_tenant = AuditFilter { tenants: vec![tenant], ..AuditFilter::default() };
        assert_eq!(list(&db, &scope, of_tenant, None, 10).await.0.len(), 4);
        let of_actions = |actions: &[&str]| AuditFilter {
            actions: actions.iter().map(|&action| action.to_owned()).collect(),
            ..AuditFilter::default()
        };
        assert_eq!(list(&db, &scope, of_actions(&["sync.started"]), None, 10).await.0.len(), 7);
        assert_eq!(list(&db, &scope, of_actions(&["nothing\0"]), None, 10).await.0.len(), 0);
        let two = of_actions(&["organization.created", "nothing\0", "sync.started"]);
        assert_eq!(list(&db, &scope, two, None, 10).await.0.len(), 8, "seven and the creation");
        let since = AuditFilter { since: Some(db.store.clock().now()), ..AuditFilter::default() };
        assert_eq!(list(&db, &scope, since, None, 10).await.0.len(), 4);
    }

    async fn l2_an_untouched_audit_is_intact_over_many_pages(backend: Backend) {
        let db = TestStore::new(backend);
        let (one, other) = (db.organization().await, db.organization().await);
        append(&db, &one, None, 2_000).await;
        append(&db, &other, None, 998).await;
        // Three chains: one event of the installation, two of each organisation's creation.
        let whole = VerifyReport { events: 1 + 2_002 + 1_000, intact: true, first_bad: None };
        assert_eq!(verify(&db.store).await.unwrap(), whole);
    }

    async fn l2_whatever_was_tampered_with_is_named(backend: Backend) {
        let db = TestStore::new(backend);
        let (other, scope) = (db.organization().await, db.organization().await);
        append(&db, &scope, Some(TenantId::from_uuid(Uuid::new_v4())), 4).await;
        let ids = ids(&db, &scope).await;
        assert_eq!(ids.len(), 6);
        // Chains before this one: the installation's event and the other organisation's two.
        let before = 3;
        let raw = db.raw();
        unlock(&raw);
        let org = raw.uuid(scope.org().as_uuid());
        let other = raw.uuid(other.org().as_uuid());
        let foreign = raw.uuid(Uuid::new_v4());
        let zeros = if raw.is_sqlite() { "zeroblob(32)" } else { "decode(repeat('00', 32), 'hex')" };
        let later = if raw.is_sqlite() { "at + 1" } else { "at + interval '1 microsecond'" };
        let columns = "id, at, actor_type, actor_id, request_id, action, tenant_id, details, hash";

        // Any column of the fourth event.
        for change in [
            format!("id = {foreign}"),
            format!("at = {later}"),
            "actor_type = 'system'".to_owned(),
            "actor_id = NULL".to_owned(),
            "request_id = NULL".to_owned(),
            "action = 'sync.failed'".to_owned(),
            "tenant_id = NULL".to_owned(),
            "details = '{\"n\":7}'".to_owned(),
            "details = '{\"n\": 1}'".to_owned(),
            "details = 'no json'".to_owned(),
            format!("hash = {zeros}"),
        ] {
            raw.execute(&format!("UPDATE audit_events SET {change} WHERE org_id = {org} AND sequence = 4"));
            let report = verify(&db.store).await.unwrap();
            let renamed = change.starts_with("id");
            assert!(!report.intact && report.events == before + 4, "{change}: {report:?}");
            assert_eq!(report.first_bad == Some(ids[3]), !renamed, "{change}");
            restore(&raw);
        }

        let cases = [
            ("deleted", format!("DELETE FROM audit_events WHERE org_id = {org} AND sequence = 4"), bad(before + 4, ids[4])),
            ("first deleted", format!("DELETE FROM audit_events WHERE org_id = {org} AND sequence = 1"), bad(before + 1, ids[1])),
            (
                "deleted and closed up",
                format!(
                    "DELETE FROM audit_events WHERE org_id = {org} AND sequence = 4; \
                     UPDATE audit_events SET sequence = 4 WHERE org_id = {org} AND sequence = 5; \
                     UPDATE audit_events SET sequence = 5 WHERE org_id = {org} AND sequence = 6"
                ),
                bad(before + 4, ids[4]),
            ),
            (
                "swapped",
                format!(
                    "UPDATE audit_events SET sequence = 99 WHERE org_id = {org} AND sequence = 3; \
                     UPDATE audit_events SET sequence = 3 WHERE org_id = {org} AND sequence = 4; \
                     UPDATE audit_events SET sequence = 4 WHERE org_id = {org} AND sequence = 99"
                ),
                bad(before + 3, ids[3]),
            ),
            (
                "tail cut",
                format!("DELETE FROM audit_events WHERE org_id = {org} AND sequence > 4"),
                bad(before + 4, ids[3]),
            ),
            (
                "head changed",
                format!("UPDATE audit_heads SET hash = {zeros} WHERE org_id = {org}"),
                bad(before + 6, ids[5]),
            ),
            (
                "head gone",
                format!("DELETE FROM audit_heads WHERE org_id = {org}"),
                bad(before + 6, ids[5]),
            ),
            (
                "chain gone",
                format!("DELETE FROM audit_events WHERE org_id = {org}"),
                VerifyReport { events: before, intact: false, first_bad: None },
            ),
            (
                "chain and head gone",
                format!("DELETE FROM audit_events WHERE org_id = {org}; DELETE FROM audit_heads WHERE org_id = {org}"),
                VerifyReport { events: before, intact: false, first_bad: None },
            ),
        ];
        for (how, tampering, expected) in cases {
            raw.execute(&tampering);
            assert_eq!(verify(&db.store).await.unwrap(), expected, "{how}");
            restore(&raw);
        }

        // One too many: in front, in between (a copy under the next sequence), at the end, from elsewhere.
        for (sequence, source, expected) in [
            ("0", format!("org_id = {org} AND sequence = 1"), before + 1),
            ("7", format!("org_id = {org} AND sequence = 6"), before + 7),
            ("7", format!("org_id = {other} AND sequence = 1"), before + 7),
        ] {
            raw.execute("DROP INDEX audit_events_id");
            raw.execute(&format!(
                "INSERT INTO audit_events (org_id, sequence, {columns}) \
                 SELECT {org}, {sequence}, {columns} FROM audit_events WHERE {source}"
            ));
            let report = verify(&db.store).await.unwrap();
            assert_eq!((report.intact, report.events), (false, expected), "{sequence} from {source}");
            restore(&raw);
            raw.execute("CREATE UNIQUE INDEX audit_events_id ON audit_events (org_id, id)");
        }

        let installation = raw.uuid(OrgId::INSTALLATION.as_uuid());
        raw.execute(&format!("UPDATE audit_events SET action = 'x' WHERE org_id = {installation}"));
        let report = verify(&db.store).await.unwrap();
        assert!(!report.intact && report.first_bad.is_some(), "{report:?}");
        restore(&raw);
        assert!(verify(&db.store).await.unwrap().intact);
    }

    async fn l8_writers_at_once_leave_neither_gaps_nor_forks(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let writers = (0..64).map(|_| append(&db, &scope, None, 1));
        futures_util::future::join_all(writers).await;
        let report = verify(&db.store).await.unwrap();
        assert_eq!(report, VerifyReport { events: 1 + 2 + 64, intact: true, first_bad: None });
    }

    async fn l4_verifying_while_events_are_appended_is_no_break(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        append(&db, &scope, None, 1_500).await;
        let writing = async {
            for _ in 0..40 {
                append(&db, &scope, None, 5).await;
            }
        };
        let verifying = async {
            for _ in 0..6 {
                let report = verify(&db.store).await.unwrap();
                assert!(report.intact, "{report:?}");
            }
        };
        tokio::join!(writing, verifying);
    }
}
