//! Asking for a link.

use chrono::TimeDelta;
use tenantry_core::{
    consent::{ConsentError, StartConnect, WayIn},
    customers::{CustomerService, NewCustomer},
    ids::CustomerId,
    microsoft::permissions::MANIFEST,
    tenants::{TenantChange, TenantField, TenantStatus},
};
use tenantry_tests::{
    database::Backend,
    fake_microsoft::{
        login::{Endpoint, script_error},
        seed::TenantSeed,
    },
    on_both_databases,
};
use uuid::Uuid;

use crate::world::{CONTOSO, Org, World, link_of, token};

fn wish(org: &Org, tenant: &str) -> StartConnect {
    StartConnect {
        customer: Some(org.customer),
        tenant: tenant.to_owned(),
        way: WayIn::AdminConsent,
        return_url: None,
    }
}

/// The code of a tenant that cannot be connected.
fn code(error: &ConsentError) -> &'static str {
    let ConsentError::Refused(rejection) = error else {
        panic!("{error}")
    };
    rejection.code.as_str()
}

/// What a PSA says about an organisation's customer: source, kind and value of each hint.
fn hint(world: &World, org: &Org, external: &str, hints: &[(&str, &str, &str)]) {
    let raw = &world.raw;
    let (id, customer, now) = (
        raw.uuid(org.id.as_uuid()),
        raw.uuid(org.customer.as_uuid()),
        raw.now(),
    );
    let bytes = if raw.is_sqlite() {
        "x'00'"
    } else {
        "'\\x00'::bytea"
    };
    raw.execute(&format!(
        "INSERT INTO psa_connections (org_id, id, kind, name, base_url, system, data_key, sealed_credentials, \
         generation, settings, version, created_at, changed_at) VALUES ({id}, {customer}, 'halopsa', 'Halo', \
         'https://halo.example', 'halo.example', {bytes}, {bytes}, 1, '{{}}', 1, {now}, {now}) ON CONFLICT DO NOTHING"
    ));
    raw.execute(&format!(
        "INSERT INTO psa_records (org_id, connection_id, external_id, customer_id, name, state, document, hash, \
         generation, misses, changed_at) VALUES ({id}, {customer}, '{external}', {customer}, 'N', 'active', '{{}}', \
         {bytes}, 1, 0, {now})"
    ));
    for (source, kind, value) in hints {
        raw.execute(&format!(
            "INSERT INTO psa_hints (org_id, connection_id, external_id, source, kind, value, contacts, generation) \
             VALUES ({id}, {customer}, '{external}', '{source}', '{kind}', '{value}', 1, 1)"
        ));
    }
}

on_both_databases! {
    async fn a_link_names_the_tenant_behind_the_domain_and_every_permission(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        assert_eq!(started.tenant.as_uuid(), contoso.id);
        assert_eq!(started.status, TenantStatus::PendingConsent);
        assert_eq!(started.requested_permissions.len(), MANIFEST.len());
        let link = link_of(&started).authorization_url.as_str();
        assert!(link.starts_with("http://localhost:8080/connect/"), "{link}");
        assert_eq!(token(&started).len(), 43);
        let microsoft = link_of(&started).microsoft_url.as_str();
        let authorize = format!("{}/{}/oauth2/v2.0/authorize?", world.fake.login_url(), contoso.id);
        assert!(microsoft.starts_with(&authorize), "{microsoft}");
        assert!(microsoft.contains("code_challenge_method=S256"), "{microsoft}");
        let lives = link_of(&started).expires_at - world.now();
        assert!(lives > TimeDelta::hours(71) && lives <= TimeDelta::hours(72), "{lives}");
        assert_eq!(world.actions(&world.a), ["tenant.connectStarted"]);
        let document = world.status_document(&world.a, started.tenant);
        assert_eq!(document["status"], "pendingConsent");
        assert!(document["run"].is_null() && document["connectionError"].is_null());
    }

    async fn a_tenant_is_found_by_its_id_too_in_any_case(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let started = world.start(&contoso.id.to_string().to_uppercase()).await;
        assert_eq!(started.tenant.as_uuid(), contoso.id);
    }

    async fn a_wish_without_what_it_needs_is_refused_and_stores_nothing(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let scope = &world.a.scope;
        for customer in [CustomerId::from_uuid(Uuid::now_v7()), world.b.customer] {
            let unknown = StartConnect { customer: Some(customer), ..wish(&world.a, CONTOSO) };
            let outcome = world.consent.start(scope, unknown, |_, _| Ok(())).await;
            assert!(matches!(outcome, Err(ConsentError::CustomerNotFound)), "{outcome:?}");
        }
        let elsewhere = Some("https://evil.example/app".to_owned());
        let elsewhere = StartConnect { return_url: elsewhere, ..wish(&world.a, CONTOSO) };
        let outcome = world.consent.start(scope, elsewhere, |_, _| Ok(())).await;
        assert!(matches!(outcome, Err(ConsentError::ReturnUrlNotAllowed(_))), "{outcome:?}");
        assert_eq!(world.fake.cloud().requests().len(), 0);
        let nobody = StartConnect { customer: None, ..wish(&world.a, CONTOSO) };
        let outcome = world.consent.start(scope, nobody, |_, _| Ok(())).await;
        let Err(ConsentError::CustomerRequired { candidates }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(candidates, []);
        assert_eq!(world.raw.count("tenants"), 0);
        assert_eq!(world.raw.count("flow_index"), 0);
    }

    async fn without_a_customer_the_one_match_that_is_certain_is_used_and_audited(backend: Backend) {
        let world = &World::new(backend).await;
        let contoso = world.add_tenant(CONTOSO);
        let unnamed = || StartConnect { customer: None, ..wish(&world.a, CONTOSO) };
        let website = ("record", "website", CONTOSO);
        let tenant_id = contoso.id.to_string();
        // What another organisation knows is nobody else's evidence.
        hint(world, &world.b, "1", &[("record", "tenantId", &tenant_id), website]);
        let outcome = world.consent.start(&world.a.scope, unnamed(), |_, _| Ok(())).await;
        let Err(ConsentError::CustomerRequired { candidates }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(candidates, []);
        hint(world, &world.a, "1", &[website]);
        let outcome = world.consent.start(&world.a.scope, unnamed(), |_, _| Ok(())).await;
        let Err(ConsentError::CustomerRequired { candidates }) = outcome else { panic!("{outcome:?}") };
        let shown: Vec<_> = candidates.iter().map(|one| (one.customer, one.score, one.certain)).collect();
        assert_eq!(shown, [(world.a.customer, 55, false)]);
        assert_eq!(world.raw.count("tenants"), 0);
        hint(world, &world.a, "2", &[("record", "tenantId", &tenant_id)]);
        let started = world.consent.start(&world.a.scope, unnamed(), |_, _| Ok(())).await.unwrap();
        assert_eq!(world.tenant(&world.a, started.tenant).await.customer, Some(world.a.customer));
        assert_eq!(world.actions(&world.a), ["tenant.connectStarted", "customerMatch.confirmed"]);
        let details = world.details(&world.a, "customerMatch.confirmed");
        assert_eq!(details[0]["customerId"], world.a.customer.to_string());
        assert_eq!(details[0]["reason"], "certain");
        assert_eq!(details[0]["evidence"], serde_json::json!(["tenantId", "website"]));
        // It belongs to somebody from now on: no match is looked for any more.
        world.raw.execute("DELETE FROM psa_hints");
        world.consent.start(&world.a.scope, unnamed(), |_, _| Ok(())).await.unwrap();
        assert_eq!(world.details(&world.a, "customerMatch.confirmed").len(), 1);
    }

    async fn whom_a_person_puts_a_tenant_on_while_its_link_is_open_keeps_it(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let new = NewCustomer { name: "Second".to_owned(), domains: Vec::new() };
        let second = CustomerService::new(world.store.clone()).create(&world.a.scope, new, |_, _| Ok(())).await.unwrap();
        let change = TenantChange { customer: TenantField::Set(second.id), ..TenantChange::default() };
        world.tenants.change(&world.a.scope, started.tenant, None, change).await.unwrap();
        world.connect_in_browser(&started).await.unwrap();
        let tenant = world.tenant(&world.a, started.tenant).await;
        assert_eq!((tenant.status, tenant.customer), (TenantStatus::Connected, Some(second.id)));
    }

    async fn c5_what_names_no_tenant_of_this_cloud_is_refused_by_its_code(backend: Backend) {
        let world = &World::new(backend).await;
        let dod = TenantSeed::new("Fort", "fort.example");
        let mut dod = dod.generate();
        dod.region_scope = "USGov".to_owned();
        dod.region_sub_scope = Some("DOD".to_owned());
        let cloud = world.fake.cloud();
        cloud.tenants.write().unwrap().insert(dod.id, std::sync::Arc::new(dod));
        script_error(&cloud, Endpoint::Discovery, Some("elsewhere.example"), 90038, 1);
        for (tenant, expected) in [
            ("not a domain", "invalidTenant"),
            ("common", "invalidTenant"),
            ("../../evil", "invalidTenant"),
            ("9188040d-6c67-4c5b-b112-36a304b66dad", "invalidTenant"),
            ("nobody.example", "tenantNotFound"),
            ("a8990e1f-ff32-408a-9f8e-78d3b9139b95", "tenantNotFound"),
            ("fort.example", "wrongCloud"),
            ("elsewhere.example", "wrongCloud"),
        ] {
            let error = world.start_as(&world.a, tenant).await.unwrap_err();
            assert_eq!(code(&error), expected, "{tenant}");
        }
        assert_eq!(world.raw.count("tenants"), 0);
    }

    async fn g8_every_tenant_of_another_cloud_is_refused(backend: Backend) {
        let world = &World::new(backend).await;
        for (number, (scope, sub_scope)) in
            [("USGov", "DOD"), ("USGov", "DODCON")].into_iter().enumerate()
        {
            let domain = format!("gov{number}.example");
            let mut tenant = TenantSeed::new("Government", &domain).generate();
            tenant.region_scope = scope.to_owned();
            tenant.region_sub_scope = Some(sub_scope.to_owned());
            let cloud = world.fake.cloud();
            cloud.tenants.write().unwrap().insert(tenant.id, std::sync::Arc::new(tenant));
            let error = world.start_as(&world.a, &domain).await.unwrap_err();
            assert_eq!(code(&error), "wrongCloud");
        }
        // The commercial government cloud uses the global hosts.
        let mut gcc = TenantSeed::new("County", "county.example").generate();
        gcc.region_sub_scope = Some("GCC".to_owned());
        world.fake.cloud().tenants.write().unwrap().insert(gcc.id, std::sync::Arc::new(gcc));
        assert!(world.start_as(&world.a, "county.example").await.is_ok());
    }

    async fn only_a_connected_tenant_is_refused_and_only_in_its_own_organisation(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let connected = world.connect(&world.a, CONTOSO).await;
        let outcome = world.start_as(&world.a, CONTOSO).await;
        let Err(ConsentError::TenantAlreadyConnected { customer }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(customer, Some(world.a.customer));
        // Another organisation sees what it would see of a tenant that nobody has (C13).
        let of_b = world.start_as(&world.b, CONTOSO).await.unwrap();
        assert_eq!((of_b.tenant, of_b.status), (connected.tenant, TenantStatus::PendingConsent));
    }

    async fn a_second_link_voids_the_first_and_keeps_the_tenant(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let first = world.start(CONTOSO).await;
        let second = world.start(CONTOSO).await;
        assert_eq!(first.tenant, second.tenant);
        assert_ne!(first.connection, second.connection);
        let voided = world.consent.link(&token(&first)).await.unwrap();
        assert_eq!(voided.state, tenantry_core::consent::LinkState::Void);
        let old = world.at_microsoft(&link_of(&first).microsoft_url).await;
        let bearer = tenantry_core::consent::Bearer::Caller(world.a.scope.clone());
        let outcome = world.consent.callback(bearer, old).await;
        assert!(matches!(outcome, Err(ConsentError::InvalidState)), "{outcome:?}");
        assert!(world.connect_in_browser(&second).await.is_ok());
    }

    async fn r30_neither_link_nor_state_nor_verifier_stands_in_the_database_in_clear(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let state = world.at_microsoft(&link_of(&started).microsoft_url).await.state.unwrap();
        for table in ["connections", "flow_index", "authorization_requests", "tenants", "audit_events"] {
            assert!(world.raw.count(table) > 0, "{table}");
        }
        let dump = world.raw.dump();
        for secret in [token(&started), state] {
            assert!(!dump.contains(&secret), "{dump}");
            assert!(!dump.to_lowercase().contains(&hex::encode(&secret)), "{dump}");
        }
    }
}
