//! PSAs that refuse, fail or want us to wait; people who change their mind meanwhile.

use chrono::TimeDelta;
use tenantry_core::customer_sync::{CustomerSyncError, CustomerSyncKind};
use tenantry_psa::PsaError;
use tenantry_tests::{database::Backend, on_both_databases};

use super::{psa::ScriptedPsa, world::World};

/// How often the worker has taken up the work of the connection.
fn claims(world: &World) -> u64 {
    let raw = world.db.raw();
    let fences = raw.lines("SELECT CAST(fence AS text) AS line FROM work_items");
    fences[0].parse().unwrap()
}

on_both_databases! {
    async fn a_psa_that_limits_makes_the_run_wait_as_long_as_it_says(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        world.psa.script().refusals.insert(2, PsaError::RateLimited { retry_after: Some(600) });
        let id = world.ask(CustomerSyncKind::Full).await;
        let worker = world.worker();
        world.until_called(2).await;
        // However often it is looked at, nothing is asked before.
        let from = claims(&world);
        world.until("some more looks", async || claims(&world) > from + 5).await;
        assert_eq!(world.psa.script().calls.len(), 2);
        assert_eq!(world.run(id).await.state.as_str(), "running");
        world.db.advance(TimeDelta::seconds(601));
        let run = world.ended(id).await;
        worker.stop().await;
        assert_eq!((run.state.as_str(), run.created), ("completed", 12));
        assert_eq!(world.psa.take_calls()[2], "customers 5", "from where it stood");
    }

    async fn a_psa_that_limits_without_a_time_is_left_alone_for_a_minute(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(3)).await;
        world.psa.script().refusals.insert(1, PsaError::RateLimited { retry_after: None });
        let id = world.ask(CustomerSyncKind::Full).await;
        let worker = world.worker();
        world.until_called(1).await;
        let from = claims(&world);
        world.db.advance(TimeDelta::seconds(55));
        world.until("some more looks", async || claims(&world) > from + 5).await;
        assert_eq!(world.psa.script().calls.len(), 1);
        world.db.advance(TimeDelta::seconds(10));
        assert_eq!(world.ended(id).await.state.as_str(), "completed");
        worker.stop().await;
    }

    async fn a_psa_that_limits_for_a_day_fails_the_run(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(3)).await;
        world.psa.script().refuses_all = Some(PsaError::RateLimited { retry_after: None });
        let id = world.ask(CustomerSyncKind::Full).await;
        let worker = world.worker();
        world.until("the end", async || {
            world.db.advance(TimeDelta::minutes(16));
            world.run(id).await.state.has_ended()
        }).await;
        worker.stop().await;
        assert_eq!(world.run(id).await.error.unwrap().code, "psaRateLimited");
    }

    async fn r25_a_psa_that_fails_is_tried_five_times_without_progress(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        let down = || PsaError::Transient { what: "no connection".to_owned() };
        // Four failures, a page, four failures: there was progress.
        let failures = [1, 2, 3, 4, 6, 7, 8, 9].map(|call| (call, down()));
        world.psa.script().refusals.extend(failures);
        let run = world.full().await;
        assert_eq!((run.state.as_str(), run.created), ("completed", 12));
        world.psa.take_calls();
        world.psa.script().refuses_all = Some(down());
        let run = world.full().await;
        assert_eq!(run.state.as_str(), "failed");
        let error = run.error.unwrap();
        assert_eq!(error.code, "psaUnreachable");
        assert!(error.detail.contains("Autotask"), "{error:?}");
        assert_eq!(world.psa.take_calls().len(), 5);
        let raw = world.db.raw();
        assert_eq!(raw.count("psa_connections WHERE trouble LIKE '%psaUnreachable%'"), 1);
        world.psa.script().refuses_all = None;
        world.full().await;
        assert_eq!(raw.count("psa_connections WHERE trouble IS NULL"), 1, "it works again");
    }

    async fn refused_credentials_are_not_tried_again_by_the_schedule(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(3)).await;
        world.full().await;
        world.psa.take_calls();
        world.psa.script().refuses_all = Some(PsaError::Auth { what: "unknown user".to_owned() });
        let run = world.incremental().await;
        assert_eq!((run.state.as_str(), run.error.unwrap().code.as_str()), ("failed", "psaCredentialsRejected"));
        assert_eq!(world.psa.take_calls().len(), 1);
        world.db.advance(TimeDelta::hours(23));
        let worker = world.worker();
        let from = claims(&world);
        world.until("some more looks", async || claims(&world) > from + 5).await;
        assert!(world.psa.take_calls().is_empty());
        // A person enters new ones: the schedule goes on.
        world.psa.script().refuses_all = None;
        world.change_connection();
        world.until("the read that is due", async || {
            let last = world.syncs.last_sync(&world.scope, world.connection).await.unwrap();
            last.is_some_and(|last| last.run != run.id && last.state.as_str() == "completed")
        }).await;
        worker.stop().await;
    }

    async fn by_its_schedule_a_connection_is_read_again_and_again(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(3)).await;
        let first = world.full().await;
        let worker = world.worker();
        let mut last = first.id;
        for (minutes, kind) in [
            (16, CustomerSyncKind::Incremental),
            (16, CustomerSyncKind::Incremental),
            (24 * 60, CustomerSyncKind::Full),
        ] {
            let from = claims(&world);
            world.until("some more looks", async || claims(&world) > from + 3).await;
            world.db.advance(TimeDelta::minutes(minutes));
            world.until("the next run", async || {
                let newest = world.syncs.last_sync(&world.scope, world.connection).await.unwrap().unwrap();
                newest.run != last && newest.state.has_ended()
            }).await;
            let newest = world.syncs.last_sync(&world.scope, world.connection).await.unwrap().unwrap();
            assert_eq!(newest.kind, kind);
            last = newest.run;
        }
        worker.stop().await;
        let runs = world.syncs.runs(&world.scope, world.connection, None, 3).await.unwrap();
        assert_eq!((runs.total, runs.runs.len(), runs.next), (4, 3, Some(runs.runs[2].id)));
    }

    async fn a_deleted_connection_ends_the_read(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        world.psa.script().hangs_at = Some(2);
        world.ask(CustomerSyncKind::Full).await;
        let worker = world.worker();
        world.until_called(2).await;
        world.until("the first page", async || world.db.raw().count("customers") == 5).await;
        world.delete_connection();
        let raw = world.db.raw();
        assert_eq!((raw.count("customer_sync_runs"), raw.count("psa_records")), (0, 0));
        worker.stop().await;
        assert_eq!(raw.count("customers"), 5, "customers stay");
        assert_eq!(raw.count("work_items"), 0);
    }

    async fn a_changed_connection_is_opened_again_and_the_read_goes_on(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        world.psa.script().hangs_at = Some(2);
        let id = world.ask(CustomerSyncKind::Full).await;
        let first = world.worker();
        world.until_called(2).await;
        world.until("the first page", async || world.db.raw().count("customers") == 5).await;
        first.stop().await;
        world.psa.script().hangs_at = None;
        world.change_connection();
        let second = world.worker();
        let run = world.ended(id).await;
        second.stop().await;
        assert_eq!((run.state.as_str(), run.created, run.processed), ("completed", 12, 12));
    }

    async fn one_run_at_a_time_and_a_person_may_end_it(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        world.psa.script().hangs_at = Some(2);
        let id = world.ask(CustomerSyncKind::Full).await;
        let again = world.syncs.start(&world.scope, world.connection, None, |_, _| Ok(())).await;
        assert!(matches!(again, Err(CustomerSyncError::AlreadyRunning(running)) if running == id));
        let worker = world.worker();
        world.until_called(2).await;
        let cancelled = world.syncs.cancel(&world.scope, world.connection, id).await.unwrap();
        assert_eq!(cancelled.state.as_str(), "cancelled");
        let twice = world.syncs.cancel(&world.scope, world.connection, id).await;
        assert!(matches!(twice, Err(CustomerSyncError::RunEnded)));
        worker.stop().await;
        world.psa.script().hangs_at = None;
        let next = world.full().await;
        assert_eq!((next.state.as_str(), next.created + world.run(id).await.created), ("completed", 12));
        let raw = world.db.raw();
        assert_eq!(raw.count("work_items"), 1, "the connection's work stays");
    }
}
