//! Shares of Microsoft's budgets in the database, as several processes exchange them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tenantry_core::{
    budgets::DatabaseShares,
    ids::TenantId,
    microsoft::throttle::{
        BudgetKey, Workload,
        shares::{BudgetShares as _, Claim, SLICES, Settled, SharesUnavailable, Told},
    },
};
use tenantry_tests::{database::Backend, on_both_databases};
use uuid::Uuid;

use crate::store::TestStore;

const APPLICATION: &str = "5c0f8a9e-2b1d-4c3e-9f60-7a8b9c0d1e2f";

fn shares(db: &TestStore) -> DatabaseShares {
    DatabaseShares::new(db.store.clone(), APPLICATION.to_owned())
}

fn key(tenant: u128, workload: Workload) -> BudgetKey {
    BudgetKey {
        tenant: Some(TenantId::from_uuid(Uuid::from_u128(tenant))),
        workload: Some(workload),
    }
}

/// A process that uses some budgets and wants all of each.
#[derive(Clone)]
struct Process {
    shares: DatabaseShares,
    told: Told,
}

impl Process {
    fn new(db: &TestStore, keys: &[BudgetKey]) -> Self {
        let all = Claim {
            held: 0,
            wants: SLICES,
        };
        let told = Told {
            holder: Uuid::now_v7(),
            lease: Duration::from_secs(5),
            budgets: keys.iter().map(|key| (*key, all)).collect(),
            pauses: Vec::new(),
        };
        Self {
            shares: shares(db),
            told,
        }
    }

    async fn try_exchange(&mut self) -> Result<Settled, SharesUnavailable> {
        let settled = self.shares.exchange(self.told.clone()).await?;
        for ((key, claim), (granted, grant)) in self.told.budgets.iter_mut().zip(&settled.grants) {
            assert_eq!(key, granted);
            assert!(grant.held >= claim.held);
            claim.held = grant.held;
        }
        Ok(settled)
    }

    /// Exchanges and keeps what is fair; what it holds of its first budget then.
    async fn exchange(&mut self) -> u32 {
        let settled = self.try_exchange().await.unwrap();
        for ((_key, claim), (_, grant)) in self.told.budgets.iter_mut().zip(&settled.grants) {
            claim.held = grant.held.min(grant.fair);
        }
        self.told
            .budgets
            .first()
            .map_or(0, |(_key, claim)| claim.held)
    }
}

/// Puts the end of all leases back by so many seconds, as if nobody had talked for so long.
fn age(db: &TestStore, seconds: u32) {
    let raw = db.raw();
    let earlier = if raw.is_sqlite() {
        format!("lease_until - {seconds} * 1000000")
    } else {
        format!("lease_until - {seconds} * interval '1 second'")
    };
    raw.execute(&format!(
        "UPDATE throttle_holders SET lease_until = {earlier}"
    ));
}

fn stored_sum(db: &TestStore) -> u32 {
    let sum = "SELECT CAST(coalesce(sum(slices), 0) AS TEXT) AS line FROM throttle_slices";
    db.raw().lines(sum)[0].parse().unwrap()
}

on_both_databases! {
    async fn r26_twenty_processes_at_once_never_hold_more_than_there_is(backend: Backend) {
        let db = Arc::new(TestStore::new(backend));
        let processes = (0..20).map(|_| {
            let db = Arc::clone(&db);
            tokio::spawn(async move {
                let mut process = Process::new(&db, &[BudgetKey::ALL_REQUESTS]);
                for _ in 0..5 {
                    process.exchange().await;
                    assert!(stored_sum(&db) <= SLICES);
                }
                process
            })
        });
        let mut all = Vec::new();
        for process in processes.collect::<Vec<_>>() {
            all.push(process.await.unwrap());
        }
        for process in &mut all {
            process.exchange().await;
        }
        let mut held = Vec::new();
        for process in &mut all {
            held.push(process.exchange().await);
        }
        assert!(held.iter().all(|held| (1..=2).contains(held)), "{held:?}");
        assert!(stored_sum(&db) <= SLICES);
    }

    async fn a_newcomer_gets_something_at_once_and_its_part_soon(backend: Backend) {
        let db = TestStore::new(backend);
        let keys = [key(1, Workload::Identity), key(2, Workload::Identity)];
        let mut first = Process::new(&db, &keys);
        assert!(first.exchange().await >= SLICES - 3);
        let mut second = Process::new(&db, &keys);
        assert_eq!(second.exchange().await, 1);
        let mut held = [0, 0];
        for _ in 0..2 {
            held = [first.exchange().await, second.exchange().await];
        }
        assert!(held[0].abs_diff(held[1]) <= 1 && held[0] + held[1] >= SLICES - 4, "{held:?}");
        // What it uses no more is another's at once.
        first.told.budgets.remove(0);
        first.exchange().await;
        assert!(second.exchange().await >= SLICES - 3);
        // Budgets, workloads and applications do not share.
        let mut other = Process::new(&db, &[key(1, Workload::Intune)]);
        assert!(other.exchange().await >= SLICES - 3);
        let mut other = Process::new(&db, &keys);
        other.shares = DatabaseShares::new(db.store.clone(), "another".to_owned());
        assert!(other.exchange().await >= SLICES - 3);
    }

    async fn r4_slices_of_a_dead_process_come_free_a_span_after_its_lease(backend: Backend) {
        let db = TestStore::new(backend);
        let requests = [BudgetKey::ALL_REQUESTS];
        let mut dead = Process::new(&db, &requests);
        dead.exchange().await;
        age(&db, 6);
        let mut living = Process::new(&db, &requests);
        assert_eq!(living.exchange().await, 1, "what was spent still counts");
        assert_eq!(living.exchange().await, 1);
        age(&db, 14);
        assert!(matches!(dead.try_exchange().await, Err(SharesUnavailable::LeaseLost)));
        assert!(matches!(living.try_exchange().await, Err(SharesUnavailable::LeaseLost)));
        living.told.holder = Uuid::now_v7();
        living.told.budgets[0].1.held = 0;
        // All but the reserve and the slice it had as somebody else.
        assert_eq!(living.exchange().await, SLICES - 4);
        assert!(stored_sum(&db) > SLICES, "the dead's row is there until it is forgotten");
        age(&db, 4000);
        Process::new(&db, &requests).exchange().await;
        assert_eq!(db.raw().count("throttle_holders"), 1);
        assert!(stored_sum(&db) <= SLICES);
    }

    async fn r6_a_lease_is_renewed_by_the_clock_of_the_database(backend: Backend) {
        let db = TestStore::new(backend);
        let mut process = Process::new(&db, &[key(1, Workload::Security)]);
        let held = process.exchange().await;
        db.advance(chrono::TimeDelta::hours(5));
        assert_eq!(process.exchange().await, held);
        age(&db, 10);
        assert_eq!(process.exchange().await, held, "a moment late is in time");
    }

    async fn a_pause_is_read_by_all_and_ends(backend: Backend) {
        let db = TestStore::new(backend);
        let paused = [key(1, Workload::Outlook), BudgetKey { tenant: None, workload: Some(Workload::Identity) }];
        let mut first = Process::new(&db, &[]);
        first.told.pauses = vec![(paused[0], Duration::from_secs(60)), (paused[1], Duration::from_millis(1))];
        first.try_exchange().await.unwrap();
        // A shorter one takes nothing back.
        first.told.pauses = vec![(paused[0], Duration::from_secs(5))];
        first.try_exchange().await.unwrap();
        let mut second = Process::new(&db, &[]);
        let heard = second.try_exchange().await.unwrap().pauses;
        let keys: BTreeSet<BudgetKey> = heard.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, BTreeSet::from([paused[0]]));
        assert!(heard[0].1 > Duration::from_secs(30) && heard[0].1 <= Duration::from_secs(60));
        assert_eq!(db.raw().count("throttle_pauses"), 1);
    }
}
