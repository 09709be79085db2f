//! Two organisations after one tenant (C13).

use tenantry_core::{
    consent::{ConsentError, StepTaken},
    tenants::TenantStatus,
};

use crate::world::{CONTOSO, Org, Tab, World, microsoft_page, on_both_stores, rejected, token};

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

fn is_unavailable(outcome: &Result<StepTaken, ConsentError>) -> bool {
    matches!(outcome, Err(ConsentError::Rejected(flow)) if flow.rejection.code.as_str() == "tenantUnavailable")
}

on_both_stores! {
    async fn c13_of_two_organisations_that_finish_at_once_exactly_one_has_the_tenant(world) {
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
            assert_eq!(world.raw.count("tenant_claims", "1 = 1"), 1);
            assert_eq!(world.raw.count("connections", "state = 'proven'"), 1);
            let (winner, step) = match (of_a, of_b) {
                (Ok(step), _) => (&world.a, step),
                (_, Ok(step)) => (&world.b, step),
                (Err(_), Err(_)) => unreachable!("one of them is fine"),
            };
            world.tenants.revoke(&winner.scope, step.tenant, None).await.unwrap();
            assert_eq!(world.raw.count("tenant_claims", "1 = 1"), 0);
        }
    }

    async fn c13_a_pending_flow_claims_nothing_and_a_revoked_tenant_is_free(world) {
        world.add_tenant(CONTOSO);
        world.start(CONTOSO).await;
        let of_b = world.connect(&world.b, CONTOSO).await;
        assert_eq!(of_b.status, TenantStatus::Connected);
        world.tenants.revoke(&world.b.scope, of_b.tenant, None).await.unwrap();
        assert_eq!(world.connect(&world.a, CONTOSO).await.status, TenantStatus::Connected);
    }

    async fn c13_the_conflict_shows_after_the_proof_and_names_nobody(world) {
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
        assert_eq!(world.raw.count("work_items", "kind = 'proof'"), 0);
    }
}
