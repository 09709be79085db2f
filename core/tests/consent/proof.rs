//! The proof, while Microsoft is still spreading the consent, and across a process's death.

use std::time::Duration;

use chrono::TimeDelta;
use tenantry_core::{
    consent::{LinkState, ProofStep},
    tenants::TenantStatus,
};
use tenantry_tests::{
    database::Backend,
    fake_microsoft::{
        faults::{Fault, FaultRule},
        login::{AppTokenForm, Endpoint, script_error, set_app_token_form, set_consent_lag},
        state::Decision,
    },
    on_both_databases,
};

use crate::world::{CONTOSO, World, rejected, token};

/// How often Graph was asked what the tenant is.
fn questions(world: &World) -> usize {
    let requests = world.fake.cloud().requests();
    let is_it = |path: &str| path.starts_with("/v1.0/organization?");
    requests
        .iter()
        .filter(|request| is_it(&request.path_and_query))
        .count()
}

on_both_databases! {
    async fn consent_that_lags_a_little_is_waited_for(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        for (without_roles, domain) in [(false, CONTOSO), (true, CONTOSO)] {
            set_consent_lag(&world.fake.cloud(), contoso.id, 1, without_roles);
            let step = world.connect(&world.a, domain).await;
            assert_eq!(step.status, TenantStatus::Connected, "without roles: {without_roles}");
            world.tenants.revoke(&world.a.scope, step.tenant, None).await.unwrap();
        }
    }

    async fn consent_that_lags_longer_is_proven_by_the_durable_step(backend: Backend) {
        let world = &World::new(backend).await;
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
        assert_eq!(world.raw.count("work_items WHERE kind = 'proof'"), 1);

        let attempt = |lease| prover.attempt(world.a.id, started.tenant, started.connection, lease);
        let lease = world.lease(started.connection);
        let again = attempt(lease).await.unwrap();
        assert!(matches!(again, ProofStep::TryAgainAt(at) if at > world.now()), "{again:?}");
        for grant in contoso.grants.lock().unwrap().values_mut() {
            grant.lag_requests = 0;
        }
        assert_eq!(attempt(lease).await.unwrap(), ProofStep::Done);
        let tenant = world.tenant(&world.a, started.tenant).await;
        assert_eq!(tenant.status, TenantStatus::Connected);
        assert_eq!(world.raw.count("work_items WHERE kind = 'proof'"), 0);
        assert_eq!(world.raw.count("work_items WHERE kind = 'sync'"), 1);
        let tokens = world.token_requests("client_credentials").len();
        assert!(tokens >= 3, "a new token for each try, not {tokens}");
    }

    async fn consent_that_never_spreads_ends_with_the_diagnosis_and_the_link_works_again(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        set_consent_lag(&world.fake.cloud(), contoso.id, 1_000, true);
        let prover = world.prover_waiting(Duration::from_millis(50));
        let consent = world.consent_with(prover.clone());
        let started = world.start(CONTOSO).await;
        world.connect_with(&consent, &started).await.unwrap();
        let lease = world.lease(started.connection);
        world.advance(TimeDelta::seconds(73));
        let step = prover.attempt(world.a.id, started.tenant, started.connection, lease).await.unwrap();
        assert_eq!(step, ProofStep::Done);
        let document = world.status_document(&world.a, started.tenant);
        assert_eq!(document["status"], "pendingConsent");
        assert_eq!(document["connectionError"]["code"], "consentNotEffective");
        assert_eq!(world.raw.count("work_items"), 0);
        assert_eq!(world.raw.count("tenant_claims"), 0);
        for grant in contoso.grants.lock().unwrap().values_mut() {
            grant.lag_requests = 0;
        }
        assert_eq!(world.connect_in_browser(&started).await.unwrap().status, TenantStatus::Connected);
    }

    async fn g6_a_token_that_names_no_permission_is_proven_by_graph(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        for (form, tries) in [(AppTokenForm::WithoutRoles, 3), (AppTokenForm::Unreadable, 1)] {
            set_app_token_form(&world.fake.cloud(), contoso.id, form);
            let (tokens, questions) = (world.token_requests("client_credentials").len(), questions(world));
            let started = world.start(CONTOSO).await;
            let step = world.connect_in_browser(&started).await.unwrap();
            assert_eq!(step.status, TenantStatus::Connected, "{form:?}");
            assert_eq!((step.granted.len(), step.missing.len()), (0, 0), "unknown is not missing");
            assert!(step.sync_run.is_some());
            // Right after a consent such a token may be too early, so newer ones are asked for first.
            assert_eq!(world.token_requests("client_credentials").len() - tokens, tries, "{form:?}");
            assert_eq!(self::questions(world) - questions, 1, "{form:?}");

            let tenant = world.tenant(&world.a, step.tenant).await;
            assert_eq!((tenant.status, tenant.display_name.as_str()), (TenantStatus::Connected, "Contoso"));
            assert_eq!((tenant.granted_permissions.len(), tenant.missing_permissions.len()), (0, 0));
            let document = world.status_document(&world.a, step.tenant);
            assert_eq!(document["status"], "connected");
            assert_eq!(document["missingPermissions"], serde_json::json!([]));
            assert!(document["connectionError"].is_null());
            let link = world.consent.link(&token(&started)).await.unwrap();
            assert_eq!((link.state, link.granted.len(), link.missing.len()), (LinkState::Proven, 0, 0));
            let audited = world.details(&world.a, "tenant.connected").pop().unwrap();
            assert_eq!(audited["grantedPermissions"], serde_json::json!([]));
            assert!(world.details(&world.a, "consent.excessPermissions").is_empty());
            world.tenants.revoke(&world.a.scope, step.tenant, None).await.unwrap();
        }
    }

    async fn g6_the_durable_step_believes_graph_about_a_token_that_names_nothing(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        set_app_token_form(&world.fake.cloud(), contoso.id, AppTokenForm::WithoutRoles);
        let prover = world.prover_waiting(Duration::ZERO);
        let started = world.start(CONTOSO).await;
        let step = world.connect_with(&world.consent_with(prover.clone()), &started).await.unwrap();
        assert_eq!((step.status, step.sync_run), (TenantStatus::PendingConsent, None));
        let lease = world.lease(started.connection);
        let step = prover.attempt(world.a.id, started.tenant, started.connection, lease).await.unwrap();
        assert_eq!(step, ProofStep::Done);
        let tenant = world.tenant(&world.a, started.tenant).await;
        assert_eq!((tenant.status, tenant.granted_permissions.len()), (TenantStatus::Connected, 0));
        assert_eq!(world.raw.count("work_items WHERE kind = 'sync'"), 1);
    }

    async fn g6_a_token_that_names_nothing_and_a_graph_that_refuses_prove_nothing(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let withheld = ["Organization.Read.All", "User.Read.All"].map(str::to_owned);
        *contoso.decision.write().unwrap() = Decision::AcceptWithout(withheld.into());
        for form in [AppTokenForm::WithoutRoles, AppTokenForm::Unreadable] {
            set_app_token_form(&world.fake.cloud(), contoso.id, form);
            let prover = world.prover_waiting(Duration::from_millis(50));
            let started = world.start(CONTOSO).await;
            let step = world.connect_with(&world.consent_with(prover.clone()), &started).await.unwrap();
            assert_eq!((step.status, step.sync_run), (TenantStatus::PendingConsent, None), "{form:?}");
            let lease = world.lease(started.connection);
            let attempt = || prover.attempt(world.a.id, started.tenant, started.connection, lease);
            assert!(matches!(attempt().await.unwrap(), ProofStep::TryAgainAt(_)), "{form:?}");
            world.advance(TimeDelta::seconds(73));
            assert_eq!(attempt().await.unwrap(), ProofStep::Done);
            let document = world.status_document(&world.a, started.tenant);
            assert_eq!(document["status"], "pendingConsent", "{form:?}");
            assert_eq!(document["connectionError"]["code"], "consentNotEffective", "{form:?}");
            assert_eq!(world.raw.count("tenant_claims"), 0);
            assert_eq!(world.raw.count("work_items"), 0);
        }
    }

    async fn r1_a_consent_whose_process_died_before_the_proof_is_proven_after_the_restart(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        // No time for a try at all is what a death right after the commit looks like.
        let prover = world.prover_waiting(Duration::ZERO);
        let consent = world.consent_with(prover.clone());
        set_consent_lag(&world.fake.cloud(), contoso.id, 0, false);
        world.connect_with(&consent, &started).await.unwrap();
        world.advance(TimeDelta::hours(1));
        let lease = world.lease(started.connection);
        let step = prover.attempt(world.a.id, started.tenant, started.connection, lease).await.unwrap();
        assert_eq!(step, ProofStep::Done);
        assert_eq!(world.tenant(&world.a, started.tenant).await.status, TenantStatus::Connected);
    }

    async fn r4_a_proof_under_an_outdated_lease_stores_nothing(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let prover = world.prover_waiting(Duration::ZERO);
        world.connect_with(&world.consent_with(prover.clone()), &started).await.unwrap();
        let outdated = world.lease(started.connection);
        let newer = world.lease(started.connection);
        let attempt = |lease| prover.attempt(world.a.id, started.tenant, started.connection, lease);
        assert!(matches!(attempt(outdated).await.unwrap(), ProofStep::TryAgainAt(_)));
        assert_eq!(world.tenant(&world.a, started.tenant).await.status, TenantStatus::PendingConsent);
        assert_eq!(attempt(newer).await.unwrap(), ProofStep::Done);
        assert_eq!(world.tenant(&world.a, started.tenant).await.status, TenantStatus::Connected);
    }

    async fn z3_work_that_names_another_tenant_than_its_connection_asks_for_no_token(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let victim = world.add_tenant("victim.example");
        let started = world.start(CONTOSO).await;
        let prover = world.prover_waiting(Duration::ZERO);
        world.connect_with(&world.consent_with(prover.clone()), &started).await.unwrap();
        let asked = world.token_requests("client_credentials").len();
        let lease = world.lease(started.connection);
        let victim = tenantry_core::ids::TenantId::from_uuid(victim.id);
        for (org, tenant) in [(world.a.id, victim), (world.b.id, started.tenant)] {
            prover.attempt(org, tenant, started.connection, lease).await.unwrap();
        }
        assert_eq!(world.token_requests("client_credentials").len(), asked);
        assert_eq!(world.raw.count("tenant_claims"), 0);
    }

    async fn an_organization_with_another_id_proves_nothing(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let other = serde_json::json!({
            "value": [{"id": "a8990e1f-ff32-408a-9f8e-78d3b9139b95", "displayName": "Fabrikam"}]
        });
        world.fake.cloud().faults.script(FaultRule {
            times: u32::MAX,
            ..FaultRule::once("graph", "/v1.0/organization", Fault::Json(other))
        });
        let started = world.start(CONTOSO).await;
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "wrongTenant");
        assert_eq!(world.raw.count("tenant_claims"), 0);
        assert_eq!(world.raw.count("work_items"), 0);
    }

    async fn g5_our_own_secret_that_expires_between_the_legs_ends_the_proof_at_once(backend: Backend) {
        let world = &World::new(backend).await;
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
