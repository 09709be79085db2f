//! The whole way, by browser and relayed.

use tenantry_core::{
    consent::{Bearer, ConsentError, LinkState, NextPage, StartConnect, WayIn},
    tenants::{AccountType, TenantStatus},
};
use tenantry_tests::{
    database::Backend,
    fake_microsoft::{INITIAL_APP_ROLES, state::Decision},
    on_both_databases,
};

use crate::world::{CONTOSO, Tab, World, link_of, microsoft_page, rejected, result_page, token};

on_both_databases! {
    async fn an_administrator_connects_a_tenant_by_the_link(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let step = world.connect_in_browser(&started).await.unwrap();
        assert_eq!((step.tenant, step.status), (started.tenant, TenantStatus::Connected));
        assert_eq!(step.granted.len(), INITIAL_APP_ROLES.len());
        assert!(step.missing.is_empty() && step.sync_run.is_some());
        let NextPage::Landing(landing) = &step.next else { panic!("{:?}", step.next) };
        assert_eq!(result_page(landing), format!("{}/result", link_of(&started).authorization_url));

        let tenant = world.tenant(&world.a, started.tenant).await;
        assert_eq!(tenant.display_name, "Contoso");
        assert_eq!(tenant.customer, Some(world.a.customer));
        assert_eq!(tenant.connection, Some(started.connection));
        assert!(tenant.connected_at.is_some());
        let by = tenant.consented_by.unwrap();
        let admin = contoso.people.read().unwrap().first().cloned().unwrap();
        assert_eq!(by.object_id, admin.oid.to_string());
        assert_eq!(by.account_type, AccountType::Member);

        assert_eq!(world.raw.count("tenant_claims"), 1);
        assert_eq!(world.raw.count("work_items WHERE kind = 'proof'"), 0);
        assert_eq!(world.raw.count("work_items WHERE kind = 'sync'"), 1);
        assert_eq!(world.raw.count("authorization_requests WHERE cookie_hash IS NOT NULL"), 0);
        assert_eq!(
            world.actions(&world.a),
            ["tenant.connectStarted", "consent.administratorProven", "consent.given", "tenant.connected"]
        );
        let document = world.status_document(&world.a, started.tenant);
        assert_eq!(document["status"], "connected");
        assert_eq!(document["run"]["kind"], "initial");
        assert_eq!(world.consent.link(&token(&started)).await.unwrap().state, LinkState::Proven);
    }

    async fn a_front_end_relays_both_answers_with_its_own_key(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let bearer = || Bearer::Caller(world.a.scope.clone());
        let step =
            world.consent.callback(bearer(), world.at_microsoft(&link_of(&started).microsoft_url).await).await.unwrap();
        assert_eq!((step.status, step.sync_run), (TenantStatus::PendingConsent, None));
        let page = microsoft_page(&step);
        assert!(page.path().ends_with("/v2.0/adminconsent"), "{page}");
        let step = world.consent.callback(bearer(), world.at_microsoft(&page).await).await.unwrap();
        assert_eq!(step.status, TenantStatus::Connected);
        assert!(step.sync_run.is_some());
    }

    async fn the_flow_ends_at_the_return_url_of_the_wish(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let wish = StartConnect {
            customer: Some(world.a.customer),
            tenant: CONTOSO.to_owned(),
            way: WayIn::AdminConsent,
            return_url: Some("https://portal.example/app/tenants?tab=1".to_owned()),
        };
        let started = world.consent.start(&world.a.scope, wish, |_, _| Ok(())).await.unwrap();
        let step = world.connect_in_browser(&started).await.unwrap();
        let NextPage::Landing(landing) = &step.next else { panic!("{:?}", step.next) };
        assert_eq!(result_page(landing), "https://portal.example/app/tenants?tab=1");
    }

    async fn a_declined_consent_binds_nothing_and_the_same_link_works_again(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        *contoso.decision.write().unwrap() = Decision::DeclineConsent;
        let started = world.start(CONTOSO).await;
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "consentDeclined");
        assert_eq!(flow.status, TenantStatus::PendingConsent);
        assert_eq!(flow.rejection.microsoft.as_ref().unwrap().aadsts, Some(65004));
        assert_eq!(world.raw.count("tenant_claims"), 0);
        let document = world.status_document(&world.a, started.tenant);
        assert_eq!(document["status"], "pendingConsent");
        assert_eq!(document["connectionError"]["code"], "consentDeclined");
        assert_eq!(document["connectionError"]["microsoft"]["aadsts"], 65004);
        assert_eq!(world.details(&world.a, "consent.rejected")[0]["code"], "consentDeclined");

        *contoso.decision.write().unwrap() = Decision::Accept;
        let step = world.connect_in_browser(&started).await.unwrap();
        assert_eq!(step.status, TenantStatus::Connected);
        assert!(world.status_document(&world.a, started.tenant)["connectionError"].is_null());
    }

    async fn an_approval_given_later_is_found_when_the_link_is_opened_again(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        *contoso.decision.write().unwrap() = Decision::ConsentError(90095);
        let started = world.start(CONTOSO).await;
        let flow = rejected(world.connect_in_browser(&started).await);
        assert_eq!(flow.rejection.code.as_str(), "approvalPending");
        *contoso.decision.write().unwrap() = Decision::Accept;
        assert_eq!(world.connect_in_browser(&started).await.unwrap().status, TenantStatus::Connected);
    }

    async fn a_withheld_permission_degrades_and_connecting_again_adds_it(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        *contoso.decision.write().unwrap() =
            Decision::AcceptWithout(["Reports.Read.All".to_owned()].into());
        let first = world.connect(&world.a, CONTOSO).await;
        assert_eq!(first.status, TenantStatus::Degraded);
        assert_eq!(first.missing, ["Reports.Read.All"]);
        let before = world.tenant(&world.a, first.tenant).await;

        *contoso.decision.write().unwrap() = Decision::Accept;
        let started = world.start(CONTOSO).await;
        assert_eq!(started.status, TenantStatus::Degraded);
        let kept = world.tenant(&world.a, first.tenant).await;
        assert_eq!(kept.connection, before.connection);
        let second = world.connect_in_browser(&started).await.unwrap();
        assert_eq!((second.status, second.tenant), (TenantStatus::Connected, first.tenant));
        assert_eq!(second.sync_run, first.sync_run, "the first run is still under way");
        let after = world.tenant(&world.a, first.tenant).await;
        assert_eq!(after.connection, Some(started.connection));
        assert_eq!(after.created_at, before.created_at);
        let erased = "connections WHERE state = 'superseded' AND data_key IS NULL AND sealed_link IS NULL";
        assert_eq!(world.raw.count(erased), 1);
        assert_eq!(world.raw.count("tenant_claims"), 1);
    }

    async fn g6_a_tenant_that_hides_its_own_description_is_connected_without_it(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        // Graph describes the tenant to whoever holds either of them.
        let withheld = ["Organization.Read.All", "User.Read.All"];
        *contoso.decision.write().unwrap() =
            Decision::AcceptWithout(withheld.map(str::to_owned).into());
        let step = world.connect(&world.a, CONTOSO).await;
        assert_eq!(step.status, TenantStatus::Degraded);
        assert_eq!(step.missing, withheld);
        assert_eq!(world.tenant(&world.a, step.tenant).await.display_name, CONTOSO);
    }

    async fn directory_read_all_stands_for_three_permissions(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        {
            let cloud = world.fake.cloud();
            let mut apps = cloud.apps.write().unwrap();
            let roles = &mut apps.values_mut().next().unwrap().app_roles;
            for name in ["Organization.Read.All", "User.Read.All", "Group.Read.All"] {
                roles.remove(name);
            }
            roles.insert("Directory.Read.All".to_owned());
        }
        let step = world.connect(&world.a, CONTOSO).await;
        assert_eq!(step.status, TenantStatus::Connected);
        assert!(step.granted.contains(&"Directory.Read.All".to_owned()));
        assert!(world.details(&world.a, "consent.excessPermissions").is_empty());
    }

    async fn r1_a_state_taken_by_a_process_that_died_costs_only_another_opening(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let answer = world.at_microsoft(&page).await;
        // What is left when the process ends right after the state was taken.
        world.raw.execute("DELETE FROM flow_index WHERE kind = 'state'");
        world.raw.execute("DELETE FROM authorization_requests");
        let lost = tab.bring(&world.consent, answer).await;
        assert!(matches!(lost, Err(ConsentError::InvalidState)), "{lost:?}");
        assert_eq!(world.connect_in_browser(&started).await.unwrap().status, TenantStatus::Connected);
    }
}
