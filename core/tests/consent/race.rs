//! Two organisations after one tenant (C13).

use std::time::Duration;

use tenantry_core::{
    consent::{ConsentError, ProofStep, Prover, StepTaken},
    ids::{ConnectionId, TenantId},
    sync::queue::Lease,
    tenants::TenantStatus,
};
use tenantry_tests::{database::Backend, on_both_databases};

use crate::world::{CONTOSO, Org, Tab, World, microsoft_page, rejected, token};

/// How many times two organisations finish at the same moment.
const ROUNDS: usize = 100;

/// Brings a flow to the last answer, not yet brought.
async fn almost_done(world: &World, org: &Org) -> (Tab, tenantry_core::consent::CallbackFields) {
    let started = world.start_as(org, CONTOSO).await.unwrap();
    let mut tab = Tab::new();
    let page = tab.open(&world.consent, &token(&started)).await.unwrap();
    let step = tab
        .bring(&world.consent, world.at_microsoft(&page).await)
        .await
        .unwrap();
    let answer = world.at_microsoft(&microsoft_page(&step)).await;
    (tab, answer)
}

/// How many times two proofs of one tenant are stored at the same moment.
const PROOFS: usize = 1_000;

/// Brings the flow of an organisation to the point where only its proof is missing, with the worker's
/// lease on that.
async fn consented(world: &World, org: &Org, prover: &Prover) -> (ConnectionId, Lease) {
    let started = world.start_as(org, CONTOSO).await.unwrap();
    let consent = world.consent_with(prover.clone());
    world.connect_with(&consent, &started).await.unwrap();
    (started.connection, world.lease(started.connection))
}

fn is_unavailable(outcome: &Result<StepTaken, ConsentError>) -> bool {
    matches!(outcome, Err(ConsentError::Rejected(flow)) if flow.rejection.code.as_str() == "tenantUnavailable")
}

on_both_databases! {
    async fn c13_of_two_organisations_that_finish_at_once_exactly_one_has_the_tenant(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        for round in 0..ROUNDS {
            let (tab_a, answer_a) = almost_done(world, &world.a).await;
            let (tab_b, answer_b) = almost_done(world, &world.b).await;
            let (of_a, of_b) = tokio::join!(
                Box::pin(tab_a.bring(&world.consent, answer_a)),
                Box::pin(tab_b.bring(&world.consent, answer_b)),
            );
            assert_eq!(usize::from(of_a.is_ok()) + usize::from(of_b.is_ok()), 1, "{round}: {of_a:?} {of_b:?}");
            assert!(is_unavailable(&of_a) || is_unavailable(&of_b), "{round}: {of_a:?} {of_b:?}");
            assert_eq!(world.raw.count("tenant_claims"), 1);
            assert_eq!(world.raw.count("connections WHERE state = 'proven'"), 1);
            let (winner, step) = match (of_a, of_b) {
                (Ok(step), _) => (&world.a, step),
                (_, Ok(step)) => (&world.b, step),
                (Err(_), Err(_)) => unreachable!("one of them is fine"),
            };
            world.tenants.revoke(&winner.scope, step.tenant, None).await.unwrap();
            assert_eq!(world.raw.count("tenant_claims"), 0);
        }
    }

    async fn c13_of_two_proofs_at_once_exactly_one_has_the_tenant_a_thousand_times(backend: Backend) {
        let world = &World::new(backend).await;
        let tenant = TenantId::from_uuid(world.add_tenant(CONTOSO).id);
        let prover = world.prover_waiting(Duration::ZERO);
        let mut contenders = Vec::new();
        for org in [world.a.id, world.b.id].into_iter().zip([world.a.clone(), world.b.clone()]) {
            let (id, org) = org;
            contenders.push((id, consented(world, &org, &prover).await));
        }
        world.raw.execute("CREATE TABLE leased AS SELECT * FROM work_items");
        let there_is_one = [
            "tenant_claims",
            "connections WHERE state = 'proven'",
            "connections WHERE state = 'pending' AND last_outcome LIKE '%tenantUnavailable%'",
            "tenants WHERE status = 'connected'",
            "tenants WHERE status = 'pendingConsent'",
            "sync_runs",
        ]
        .map(|rows| format!("SELECT CAST(count(*) AS TEXT) AS line FROM {rows}"))
        .join(" UNION ALL ");
        for round in 0..PROOFS {
            // Whoever is started first has a small advantage.
            contenders.rotate_left(1);
            let racing: Vec<_> = contenders
                .iter()
                .map(|(org, (connection, lease))| {
                    let (prover, org, connection, lease) = (prover.clone(), *org, *connection, *lease);
                    tokio::spawn(async move { prover.attempt(org, tenant, connection, lease).await })
                })
                .collect();
            for attempt in racing {
                assert_eq!(attempt.await.unwrap().unwrap(), ProofStep::Done, "{round}");
            }
            assert_eq!(world.raw.lines(&there_is_one), ["1", "1", "1", "1", "1", "1"], "{round}");
            // Back to where both wait for their proof.
            world.raw.execute(
                "DELETE FROM tenant_claims; DELETE FROM sync_runs; DELETE FROM work_items; \
                 INSERT INTO work_items SELECT * FROM leased; \
                 UPDATE connections SET state = 'pending', next_step = 'proof', last_outcome = NULL; \
                 UPDATE tenants SET status = 'pendingConsent', connection_id = NULL, connected_at = NULL;",
            );
        }
        let of_both = |action: &str| {
            let count = |org: &Org| world.details(org, action).len();
            count(&world.a) + count(&world.b)
        };
        assert_eq!((of_both("tenant.connected"), of_both("consent.rejected")), (PROOFS, PROOFS));
    }

    async fn c13_a_pending_flow_claims_nothing_and_a_revoked_tenant_is_free(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        world.start(CONTOSO).await;
        let of_b = world.connect(&world.b, CONTOSO).await;
        assert_eq!(of_b.status, TenantStatus::Connected);
        world.tenants.revoke(&world.b.scope, of_b.tenant, None).await.unwrap();
        assert_eq!(world.connect(&world.a, CONTOSO).await.status, TenantStatus::Connected);
    }

    async fn c13_the_conflict_shows_after_the_proof_and_names_nobody(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let of_a = world.connect(&world.a, CONTOSO).await;
        let started = world.start_as(&world.b, CONTOSO).await.unwrap();
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "tenantUnavailable");
        assert_eq!(flow.status, TenantStatus::PendingConsent);
        let shown = flow.rejection.to_problem().to_string();
        assert!(!shown.contains("Aardvark") && !shown.contains(&world.a.id.to_string()), "{shown}");
        let kept = world.tenant(&world.a, of_a.tenant).await;
        assert_eq!(kept.status, TenantStatus::Connected);
        assert_eq!(world.raw.count("work_items WHERE kind = 'proof'"), 0);
    }
}
