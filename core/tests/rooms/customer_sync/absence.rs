//! Customers that are not there any more.

use tenantry_core::customers::RecordState;
use tenantry_psa::PsaError;
use tenantry_tests::{database::Backend, on_both_databases};

use super::{
    psa::{ScriptedPsa, customer},
    world::World,
};

on_both_databases! {
    async fn r17_two_complete_reads_must_miss_a_customer(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        world.full().await;
        world.psa.script().customers.remove(&7);
        assert_eq!(world.full().await.deactivated, 0);
        assert!(world.of(7).await.active);
        // A read that does not come to its end says nothing.
        let refused = PsaError::Permission { what: "companies".to_owned() };
        world.psa.take_calls();
        world.psa.script().refusals.insert(2, refused);
        assert_eq!(world.full().await.state.as_str(), "failed");
        assert_eq!(world.incremental().await.deactivated, 0, "nor do changes");
        assert!(world.of(7).await.active);
        assert_eq!(world.full().await.deactivated, 1);
        let gone = world.of(7).await;
        assert!(!gone.active);
        assert_eq!(gone.psa_records[0].state, RecordState::Gone);
        assert_eq!(world.full().await.deactivated, 0);
        world.psa.script().customers.insert(7, customer(7));
        let back = world.full().await;
        assert_eq!((back.created, back.updated), (0, 1), "the same customer came back");
        assert!(world.of(7).await.active);
    }

    async fn one_miss_counts_only_until_the_customer_is_seen(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(3)).await;
        world.full().await;
        for _ in 0..2 {
            world.psa.script().customers.remove(&2);
            world.full().await;
            world.psa.script().customers.insert(2, customer(2));
            world.full().await;
        }
        assert!(world.of(2).await.active);
    }

    async fn r17_many_that_vanish_at_once_wait_for_a_further_read(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(100)).await;
        world.psa.script().page = 50;
        world.full().await;
        world.psa.script().customers.retain(|number, _| *number > 60);
        assert_eq!(world.full().await.deactivated, 0);
        let held_back = world.full().await;
        assert_eq!(held_back.deactivated, 0);
        assert_eq!(held_back.state.as_str(), "completedWithWarnings");
        assert_eq!(held_back.warning.unwrap().code, "customerRemovalHeldBack");
        let raw = world.db.raw();
        assert_eq!(raw.count("audit_events WHERE action = 'customer.removalHeldBack'"), 1);
        assert_eq!(raw.count("customer_sync_states WHERE held_back = 60"), 1);
        drop(raw);
        let agreed = world.full().await;
        assert_eq!((agreed.deactivated, agreed.state.as_str()), (60, "completed"));
        assert_eq!(world.db.raw().count("customer_sync_states WHERE held_back = 0"), 1);
    }

    async fn r17_many_that_come_back_were_never_gone(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(100)).await;
        world.psa.script().page = 50;
        world.full().await;
        let all = world.psa.script().customers.clone();
        world.psa.script().customers.retain(|number, _| *number > 60);
        world.full().await;
        world.full().await;
        world.psa.script().customers = all;
        let run = world.full().await;
        assert_eq!((run.created, run.updated, run.deactivated), (0, 0, 0));
        assert!(world.all().await.iter().all(|one| one.active));
    }
}
