//! Turns by their rule, and claims by many workers at once on both databases.

use std::{collections::BTreeMap, sync::Arc};

use tenantry_tests::{
    database::{Backend, TestDatabase},
    on_both_databases,
};

use super::*;
use crate::{
    clock::Clock,
    ids::{PsaConnectionId, TenantId},
    secrets::SecretText,
    store::{DatabaseLocation, Store, StoreError},
    sync::queue::{self, ClaimedWork, Task},
};

fn org(number: u128) -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(number))
}

/// An organisation with tenants: so many pieces held by all and by the asking worker.
fn busy(number: u128, held: i64, held_here: i64) -> OrgWork {
    OrgWork {
        org_id: org(number),
        held,
        held_here,
        has_tenants: true,
        pressing_ms: Some(0),
        yielding_ms: None,
    }
}

fn orgs(work: &[OrgWork], slots: usize) -> Vec<OrgId> {
    turns(work, slots).iter().map(|turn| turn.org).collect()
}

#[test]
fn r26_who_holds_least_is_served_first_then_who_waits_longest() {
    let mut work = [busy(1, 3, 0), busy(2, 0, 0), busy(3, 0, 0)];
    work[2].pressing_ms = Some(10);
    assert_eq!(orgs(&work, 8), [org(3), org(2), org(1)]);
    work[1].pressing_ms = None;
    assert_eq!(orgs(&work, 8), [org(3), org(1)], "nothing due, no turn");
}

#[test]
fn r26_one_organization_fills_at_most_three_quarters_while_there_are_others() {
    for (slots, most) in [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (16, 12)] {
        let mut other = busy(2, 0, 0);
        other.pressing_ms = None;
        let held = |here| [busy(1, 40, here), other];
        assert_eq!(orgs(&held(most - 1), slots), [org(1)], "{slots}");
        assert!(orgs(&held(most), slots).is_empty(), "{slots}");
        other.has_tenants = false;
        let alone = [busy(1, 40, most), other];
        let expected = usize::try_from(most).unwrap() < slots;
        assert_eq!(!orgs(&alone, slots).is_empty(), expected, "{slots}");
    }
}

#[test]
fn what_people_wait_for_goes_before_passes_of_any_organization_but_not_for_ever() {
    let mut first = busy(1, 0, 0);
    first.pressing_ms = None;
    first.yielding_ms = Some(60_000);
    let second = busy(2, 5, 0);
    assert_eq!(orgs(&[first, second], 8), [org(2), org(1)]);
    first.yielding_ms = Some(YIELDS_FOR_MS);
    assert_eq!(orgs(&[first, second], 8), [org(1), org(2)]);
}

/// Organisations with so many due pieces of work each, the oldest first.
struct Queue {
    database: TestDatabase,
    store: Store,
}

impl Queue {
    fn new(backend: Backend, sizes: &[usize]) -> Self {
        let database = TestDatabase::new(backend);
        let location = match database.url().strip_prefix("sqlite://") {
            Some(path) => DatabaseLocation::Sqlite(path.into()),
            None => DatabaseLocation::Postgres {
                url: Arc::new(SecretText::new(database.url())),
                admin_url: None,
                pool_size: 8,
            },
        };
        let store = Store::open(location, Clock::system(), true).unwrap();
        let raw = database.raw();
        let now = raw.now();
        for (number, size) in (1..).zip(sizes) {
            let org = raw.uuid(org(number).as_uuid());
            let tenant = raw.uuid(Uuid::new_v4());
            raw.execute(&format!(
                "INSERT INTO organizations (id, name, created_at) VALUES ({org}, 'X', {now});
                 INSERT INTO tenant_claims (tenant_id, org_id, connection_id, claimed_at) VALUES ({tenant}, {org}, {tenant}, {now});"
            ));
            let rows: Vec<String> = (0..*size)
                .map(|_| {
                    let [id, tenant, subject] =
                        [Uuid::now_v7(), Uuid::new_v4(), Uuid::new_v4()].map(|id| raw.uuid(id));
                    format!("({id}, {org}, {tenant}, 'sync', {subject}, {now})")
                })
                .collect();
            if rows.is_empty() {
                continue;
            }
            raw.execute(&format!(
                "INSERT INTO work_items (id, org_id, tenant_id, kind, subject_id, due_at) VALUES {}",
                rows.join(", ")
            ));
        }
        drop(raw);
        Self { database, store }
    }

    async fn claim(&self, worker: Slots) -> Option<ClaimedWork> {
        let claimed: Result<_, StoreError> = self
            .store
            .global(move |tx| queue::claim_next(tx, worker))
            .await;
        claimed.unwrap()
    }

    async fn finish(&self, work: ClaimedWork) {
        let finished: Result<(), StoreError> =
            self.store.global(move |tx| queue::finish(tx, &work)).await;
        finished.unwrap();
    }
}

fn worker(slots: usize) -> Slots {
    let owner = Uuid::now_v7();
    let able = Able {
        tenants: true,
        psa: true,
    };
    Slots { owner, slots, able }
}

on_both_databases! {
    async fn r26_two_workers_share_their_slots_equally_among_organizations(backend: Backend) {
        let queue = Queue::new(backend, &[170, 25, 5]);
        let workers = [worker(6), worker(6)];
        let mut held: BTreeMap<OrgId, Vec<ClaimedWork>> = BTreeMap::new();
        for turn in 0..12 {
            let work = queue.claim(workers[turn % 2]).await.unwrap();
            held.entry(work.org).or_default().push(work);
        }
        let counts: Vec<usize> = held.values().map(Vec::len).collect();
        assert_eq!(counts, [4, 4, 4], "whichever worker asked");
        // Whose work ends is served next: the share stays equal while there is work.
        let ended = held.get_mut(&org(3)).unwrap().pop().unwrap();
        queue.finish(ended).await;
        assert_eq!(queue.claim(workers[1]).await.unwrap().org, org(3));
    }

    async fn r26_a_slot_stays_for_who_has_nothing_due_yet(backend: Backend) {
        let queue = Queue::new(backend, &[30, 0]);
        let only = worker(4);
        for _ in 0..3 {
            assert_eq!(queue.claim(only).await.unwrap().org, org(1));
        }
        assert!(queue.claim(only).await.is_none());
        let looked: Result<bool, StoreError> = queue.store
            .read_global(move |tx| queue::is_anything_due(tx, only))
            .await;
        assert!(!looked.unwrap());
        let tenant = TenantId::from_uuid(Uuid::new_v4());
        let task = Task::MailboxPurposes { tenant };
        let work = queue::Work {
            org: org(2),
            task,
            due_at: queue.store.clock().now(),
        };
        let put: Result<(), StoreError> = queue.store.global(move |tx| queue::enqueue(tx, work)).await;
        put.unwrap();
        let claimed = queue.claim(only).await.unwrap();
        assert_eq!((claimed.org, claimed.task), (org(2), task));
    }

    async fn a_worker_claims_only_what_it_can_do(backend: Backend) {
        let queue = Queue::new(backend, &[1, 0]);
        let connection = PsaConnectionId::from_uuid(Uuid::now_v7());
        let now = queue.store.clock().now();
        for (task, due_at) in [
            (Task::CustomerSync { connection }, now),
            (Task::Tickets { connection }, now + chrono::TimeDelta::hours(1)),
        ] {
            let work = queue::Work { org: org(2), task, due_at };
            let put: Result<(), StoreError> = queue.store.global(move |tx| queue::enqueue(tx, work)).await;
            put.unwrap();
        }
        let able = |tenants, psa| Slots { able: Able { tenants, psa }, ..worker(4) };
        assert!(queue.claim(able(false, false)).await.is_none());
        let only_psa = able(false, true);
        let claimed = queue.claim(only_psa).await.unwrap();
        assert_eq!((claimed.org, claimed.task), (org(2), Task::CustomerSync { connection }));
        assert!(queue.claim(only_psa).await.is_none(), "what is left is a tenant's, or not due");
        let later = now + chrono::TimeDelta::hours(1);
        let resting = claimed.clone();
        let rested: Result<(), StoreError> = queue.store.global(move |tx| queue::rest(tx, &resting, later)).await;
        rested.unwrap();
        assert!(queue.claim(only_psa).await.is_none(), "it rests until it is due");
        assert_eq!(queue.claim(able(true, false)).await.unwrap().org, org(1));
    }

    async fn r26_an_organization_with_a_psa_only_keeps_a_slot_too(backend: Backend) {
        let queue = Queue::new(backend, &[30]);
        let raw = queue.database.raw();
        let (psa, now) = (raw.uuid(org(2).as_uuid()), raw.now());
        raw.execute(&format!("INSERT INTO organizations (id, name, created_at) VALUES ({psa}, 'X', {now})"));
        let only = worker(4);
        let connection = PsaConnectionId::from_uuid(Uuid::now_v7());
        let due_at = queue.store.clock().now() + chrono::TimeDelta::hours(1);
        let work = queue::Work { org: org(2), task: Task::CustomerSync { connection }, due_at };
        let put: Result<(), StoreError> = queue.store.global(move |tx| queue::enqueue(tx, work)).await;
        put.unwrap();
        for _ in 0..3 {
            assert_eq!(queue.claim(only).await.unwrap().org, org(1));
        }
        assert!(queue.claim(only).await.is_none());
    }

    async fn r5_claims_at_the_same_time_never_take_the_same_work(backend: Backend) {
        let queue = Arc::new(Queue::new(backend, &[30, 30]));
        let claims = (0..20).map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let worker = worker(100);
                let mut mine = Vec::new();
                for _ in 0..3 {
                    mine.extend(queue.claim(worker).await.map(|work| work.task.subject()));
                }
                mine
            })
        });
        let mut all = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            all.extend(claim.await.unwrap());
        }
        let different: std::collections::BTreeSet<Uuid> = all.iter().copied().collect();
        assert_eq!(different.len(), all.len());
        // Who loses a race may come back empty-handed and look again.
        while let Some(work) = queue.claim(worker(100)).await {
            all.push(work.task.subject());
        }
        assert_eq!(all.len(), 60);
        drop(queue.database.raw());
    }
}
