//! The worker begins what a consent has queued without being waited for.

use std::time::Duration;

use tenantry_core::sync::{SyncService, Worker};
use tenantry_tests::{database::Backend, on_both_databases};
use tokio::sync::watch;

use crate::world::{CONTOSO, World};

on_both_databases! {
    async fn a_proof_wakes_the_worker_of_its_process(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let worker = Worker::new(world.store.clone(), world.wake.clone(), 2)
            .syncing_tenants(world.graph.clone(), world.prover_waiting(Duration::ZERO));
        // By itself it would look into the queue, which is empty now, once more in an hour.
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(worker.looking_every(Duration::from_secs(3_600)).run(stopped));
        let step = world.connect(&world.a, CONTOSO).await;
        assert!(step.sync_run.is_some());

        let sync = SyncService::new(world.store.clone(), world.wake.clone());
        let mut status = sync.watch_status(&world.a.scope, step.tenant).unwrap();
        let ended = status.wait_for(|status| !status.active);
        let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
        ended.expect("the run begins without a look of the worker's own").unwrap();
        let document = world.status_document(&world.a, step.tenant);
        assert_eq!(document["run"]["state"], "completed", "{document:#}");
        stop.send(true).unwrap();
        running.await.unwrap();
    }
}
