//! The proof, while Microsoft is still spreading the consent, and across a process's death.

use std::time::Duration;

use chrono::TimeDelta;
use tenantry_core::{
    consent::{LinkState, ProofStep},
    tenants::TenantStatus,
};
use tenantry_tests::fake_microsoft::{
    faults::{Fault, FaultRule},
    login::{Endpoint, script_error, set_consent_lag},
};

use crate::world::{CONTOSO, on_both_stores, rejected, token};

on_both_stores! {
    async fn consent_that_lags_a_little_is_waited_for(world) {
        let contoso = world.add_tenant(CONTOSO);
        for (without_roles, domain) in [(false, CONTOSO), (true, CONTOSO)] {
            set_consent_lag(&world.fake.cloud(), contoso.id, 1, without_roles);
            let step = world.connect(&world.a, domain).await;
            assert_eq!(step.status, TenantStatus::Connected, "without roles: {without_roles}");
            world.tenants.revoke(&world.a.scope, step.tenant, None).await.unwrap();
        }
    }

    async fn consent_that_lags_longer_is_proven_by_the_durable_step(world) {
        let contoso = world.add_tenant(CONTOSO);
        let cloud = world.fake.cloud();
        set_consent_lag(&cloud, contoso.id, 1_000, false);
        let prover = world.prover_waiting(Duration::from_millis(50));
        let consent = world.consent_with(prover.clone());
        let started = world.start(CONTOSO).await;
        let step = world.connect_with(&consent, &started).await.unwrap();
        assert_eq!((step.status, step.sync_run), (TenantStatus::PendingConsent, None));
        let link = world.consent.link(&token(&started)).await.unwrap();
        assert_eq!(link.state, LinkState::Proving);
        assert_eq!(world.raw.count("work_items", "kind = 'proof'"), 1);

        let attempt = |lease| prover.attempt(world.a.id, started.tenant, started.connection, lease);
        let lease = world.raw.lease(started.connection);
        let again = attempt(lease).await.unwrap();
        assert!(matches!(again, ProofStep::TryAgainAt(at) if at > world.now()), "{again:?}");
        for grant in contoso.grants.lock().unwrap().values_mut() {
            grant.lag_requests = 0;
        }
        assert_eq!(attempt(lease).await.unwrap(), ProofStep::Done);
        let tenant = world.tenant(&world.a, started.tenant).await;
        assert_eq!(tenant.status, TenantStatus::Connected);
        assert_eq!(world.raw.count("work_items", "kind = 'proof'"), 0);
        assert_eq!(world.raw.count("work_items", "kind = 'sync'"), 1);
        let tokens = world.token_requests("client_credentials").len();
        assert!(tokens >= 3, "a new token for each try, not {tokens}");
    }

    async fn consent_that_never_spreads_ends_with_the_diagnosis_and_the_link_works_again(world) {
        let contoso = world.add_tenant(CONTOSO);
        set_consent_lag(&world.fake.cloud(), contoso.id, 1_000, true);
        let prover = world.prover_waiting(Duration::from_millis(50));
        let consent = world.consent_with(prover.clone());
        let started = world.start(CONTOSO).await;
        world.connect_with(&consent, &started).await.unwrap();
        let lease = world.raw.lease(started.connection);
        world.advance(TimeDelta::seconds(73));
        let step = prover.attempt(world.a.id, started.tenant, started.connection, lease).await.unwrap();
        assert_eq!(step, ProofStep::Done);
        let document = world.status_document(&world.a, started.tenant);
        assert_eq!(document["status"], "pendingConsent");
        assert_eq!(document["connectionError"]["code"], "consentNotEffective");
        assert_eq!(world.raw.count("work_items", "1 = 1"), 0);
        assert_eq!(world.raw.count("tenant_claims", "1 = 1"), 0);
        for grant in contoso.grants.lock().unwrap().values_mut() {
            grant.lag_requests = 0;
        }
        assert_eq!(world.connect_in_browser(&started).await.unwrap().status, TenantStatus::Connected);
    }

    async fn r1_a_consent_whose_process_died_before_the_proof_is_proven_after_the_restart(world) {
        let contoso = world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        // No time for a try at all is what a death right after the commit looks like.
        let prover = world.prover_waiting(Duration::ZERO);
        let consent = world.consent_with(prover.clone());
        set_consent_lag(&world.fake.cloud(), contoso.id, 0, false);
        world.connect_with(&consent, &started).await.unwrap();
        world.advance(TimeDelta::hours(1));
        let lease = world.raw.lease(started.connection);
        let step = prover.attempt(world.a.id, started.tenant, started.connection, lease).await.unwrap();
        assert_eq!(step, ProofStep::Done);
        assert_eq!(world.tenant(&world.a, started.tenant).await.status, TenantStatus::Connected);
    }

    async fn r4_a_proof_under_an_outdated_lease_stores_nothing(world) {
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let prover = world.prover_waiting(Duration::ZERO);
        world.connect_with(&world.consent_with(prover.clone()), &started).await.unwrap();
        let outdated = world.raw.lease(started.connection);
        let newer = world.raw.lease(started.connection);
        let attempt = |lease| prover.attempt(world.a.id, started.tenant, started.connection, lease);
        assert!(matches!(attempt(outdated).await.unwrap(), ProofStep::TryAgainAt(_)));
        assert_eq!(world.tenant(&world.a, started.tenant).await.status, TenantStatus::PendingConsent);
        assert_eq!(attempt(newer).await.unwrap(), ProofStep::Done);
        assert_eq!(world.tenant(&world.a, started.tenant).await.status, TenantStatus::Connected);
    }

    async fn z3_work_that_names_another_tenant_than_its_connection_asks_for_no_token(world) {
        world.add_tenant(CONTOSO);
        let victim = world.add_tenant("victim.example");
        let started = world.start(CONTOSO).await;
        let prover = world.prover_waiting(Duration::ZERO);
        world.connect_with(&world.consent_with(prover.clone()), &started).await.unwrap();
        let asked = world.token_requests("client_credentials").len();
        let lease = world.raw.lease(started.connection);
        let victim = tenantry_core::ids::TenantId::from_uuid(victim.id);
        for (org, tenant) in [(world.a.id, victim), (world.b.id, started.tenant)] {
            prover.attempt(org, tenant, started.connection, lease).await.unwrap();
        }
        assert_eq!(world.token_requests("client_credentials").len(), asked);
        assert_eq!(world.raw.count("tenant_claims", "1 = 1"), 0);
    }

    async fn an_organization_with_another_id_proves_nothing(world) {
        world.add_tenant(CONTOSO);
        world.fake.cloud().faults.script(FaultRule {
            server: "graph",
            path_contains: "/v1.0/organization".to_owned(),
            tenant: None,
            skip: 0,
            times: u32::MAX,
            fault: Fault::Json(serde_json::json!({
                "value": [{"id": "a8990e1f-ff32-408a-9f8e-78d3b9139b95", "displayName": "Fabrikam"}]
            })),
        });
        let started = world.start(CONTOSO).await;
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "wrongTenant");
        assert_eq!(world.raw.count("tenant_claims", "1 = 1"), 0);
        assert_eq!(world.raw.count("work_items", "1 = 1"), 0);
    }

    async fn g5_our_own_secret_that_expires_between_the_legs_ends_the_proof_at_once(world) {
        let contoso = world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = crate::world::Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let step = tab.bring(&world.consent, world.at_microsoft(&page).await).await.unwrap();
        let answer = world.at_microsoft(&crate::world::microsoft_page(&step)).await;
        script_error(&world.fake.cloud(), Endpoint::Token, Some(&contoso.id.to_string()), 7_000_222, 9);
        let flow = rejected(tab.bring(&world.consent, answer).await);
        assert_eq!(flow.rejection.code.as_str(), "ownCredentialRejected");
        assert_eq!(flow.status, TenantStatus::PendingConsent);
        let document = world.status_document(&world.a, started.tenant);
        assert_eq!(document["connectionError"]["code"], "ownCredentialRejected");
    }
}
