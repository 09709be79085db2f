//! Listing, showing, changing and revoking tenants.

use tenantry_core::{
    consent::LinkState,
    ids::{CustomerId, TenantId},
    tenants::{TenantChange, TenantField, TenantFilter, TenantStatus, TenantsError},
};
use tenantry_tests::{
    database::Backend,
    fake_microsoft::{seed::TenantSeed, state::Decision},
    on_both_databases,
};
use uuid::Uuid;

use crate::world::{CONTOSO, Tab, World, token};

async fn named(world: &World, name: &str, domain: &str) {
    world.fake.add_tenant(
        TenantSeed::new(name, domain)
            .users(1)
            .decision(Decision::Accept),
    );
}

on_both_databases! {
    async fn tenants_are_listed_by_pages_in_the_order_they_were_asked_for(backend: Backend) {
        let world = &World::new(backend).await;
        let mut expected = Vec::new();
        for number in 0..5 {
            let domain = format!("tenant{number}.example");
            named(world, &format!("Tenant {number}"), &domain).await;
            expected.push(world.start(&domain).await.tenant);
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let filter = TenantFilter::default();
            let page = world.tenants.list(&world.a.scope, filter, after, 2).await.unwrap();
            assert_eq!(page.total, 5);
            assert!(page.items.len() <= 2);
            seen.extend(page.items.iter().map(|tenant| tenant.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
        let of_b = world.tenants.list(&world.b.scope, TenantFilter::default(), None, 100).await.unwrap();
        assert_eq!((of_b.items.len(), of_b.total), (0, 0));
    }

    async fn tenants_are_found_by_status_customer_and_text(backend: Backend) {
        let world = &World::new(backend).await;
        named(world, "Contoso 50%_Ltd", CONTOSO).await;
        named(world, "Fabrikam", "fabrikam.example").await;
        let contoso = world.connect(&world.a, CONTOSO).await.tenant;
        let fabrikam = world.start("fabrikam.example").await.tenant;
        for (filter, expected) in [
            (TenantFilter { statuses: vec![TenantStatus::Connected], ..TenantFilter::default() }, vec![contoso]),
            (
                TenantFilter {
                    statuses: vec![TenantStatus::Connected, TenantStatus::PendingConsent],
                    ..TenantFilter::default()
                },
                vec![contoso, fabrikam],
            ),
            (TenantFilter { customers: vec![world.a.customer], ..TenantFilter::default() }, vec![contoso, fabrikam]),
            (
                TenantFilter { customers: vec![CustomerId::from_uuid(Uuid::now_v7())], ..TenantFilter::default() },
                vec![],
            ),
            (TenantFilter { search: Some("50%_l".to_owned()), ..TenantFilter::default() }, vec![contoso]),
            (TenantFilter { search: Some("5_%".to_owned()), ..TenantFilter::default() }, vec![]),
            (TenantFilter { search: Some("BRIKAM.ex".to_owned()), ..TenantFilter::default() }, vec![fabrikam]),
            (TenantFilter { search: Some(contoso.to_string()), ..TenantFilter::default() }, vec![contoso]),
        ] {
            let page = world.tenants.list(&world.a.scope, filter.clone(), None, 100).await.unwrap();
            let found: Vec<TenantId> = page.items.iter().map(|tenant| tenant.id).collect();
            assert_eq!(found, expected, "{filter:?}");
        }
    }

    async fn a_person_renames_tags_and_moves_a_tenant(backend: Backend) {
        let world = &World::new(backend).await;
        named(world, "Contoso", CONTOSO).await;
        let id = world.connect(&world.a, CONTOSO).await.tenant;
        let before = world.tenant(&world.a, id).await;
        let change = TenantChange {
            display_name: TenantField::Set("Our best".to_owned()),
            tags: TenantField::Set(vec!["gold".to_owned()]),
            notifications: TenantField::Set(false),
            customer: TenantField::Keep,
        };
        let scope = &world.a.scope;
        let after = world.tenants.change(scope, id, Some(before.version), change.clone()).await.unwrap();
        assert_eq!(after.display_name, "Our best");
        assert_eq!((after.tags.as_slice(), after.notifications), (["gold".to_owned()].as_slice(), false));
        assert!(after.version > before.version);
        let stale = world.tenants.change(scope, id, Some(before.version), TenantChange {
            tags: TenantField::Clear, ..TenantChange::default()
        }).await;
        assert!(matches!(stale, Err(TenantsError::VersionMismatch)), "{stale:?}");

        let audited = world.actions(&world.a).len();
        let same = world.tenants.change(scope, id, None, change).await.unwrap();
        assert_eq!(same.version, after.version, "a change that changes nothing leaves no trace");
        assert_eq!(world.actions(&world.a).len(), audited);

        let search = TenantFilter { search: Some("our best".to_owned()), ..TenantFilter::default() };
        assert_eq!(world.tenants.list(scope, search, None, 10).await.unwrap().total, 1);
        let domain = TenantFilter { search: Some(CONTOSO.to_owned()), ..TenantFilter::default() };
        assert_eq!(world.tenants.list(scope, domain, None, 10).await.unwrap().total, 1);
        let own = TenantChange { display_name: TenantField::Clear, ..TenantChange::default() };
        assert_eq!(world.tenants.change(scope, id, None, own).await.unwrap().display_name, "Contoso");
    }

    async fn z2_a_tenant_goes_to_no_customer_of_another_organisation(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let id = world.start(CONTOSO).await.tenant;
        let change = TenantChange { customer: TenantField::Set(world.b.customer), ..TenantChange::default() };
        let outcome = world.tenants.change(&world.a.scope, id, None, change).await;
        assert!(matches!(outcome, Err(TenantsError::CustomerNotFound)), "{outcome:?}");
    }

    async fn z4_another_organisations_tenant_is_a_missing_one(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let id = world.connect(&world.a, CONTOSO).await.tenant;
        let missing = TenantId::from_uuid(Uuid::new_v4());
        for tenant in [id, missing] {
            let scope = &world.b.scope;
            let get = world.tenants.get(scope, tenant).await;
            assert!(matches!(get, Err(TenantsError::TenantNotFound)), "{get:?}");
            let change = world.tenants.change(scope, tenant, None, TenantChange::default()).await;
            assert!(matches!(change, Err(TenantsError::TenantNotFound)), "{change:?}");
            let revoke = world.tenants.revoke(scope, tenant, None).await;
            assert!(matches!(revoke, Err(TenantsError::TenantNotFound)), "{revoke:?}");
        }
        assert_eq!(world.tenant(&world.a, id).await.status, TenantStatus::Connected);
    }

    async fn d1_revoke_erases_everything_at_once_and_once(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        world.connect_in_browser(&started).await.unwrap();
        let before = world.tenant(&world.a, started.tenant).await;
        let scope = &world.a.scope;
        let stale = world.tenants.revoke(scope, started.tenant, Some(before.version - 1)).await;
        assert!(matches!(stale, Err(TenantsError::VersionMismatch)), "{stale:?}");
        world.tenants.revoke(scope, started.tenant, Some(before.version)).await.unwrap();

        let after = world.tenant(&world.a, started.tenant).await;
        assert_eq!((after.status, after.connection), (TenantStatus::Revoked, None));
        assert!(after.revoked_at.is_some() && after.consented_by.is_some());
        assert_eq!(world.raw.count("connections WHERE data_key IS NOT NULL OR sealed_link IS NOT NULL"), 0);
        for table in ["authorization_requests", "tenant_claims", "work_items"] {
            assert_eq!(world.raw.count(table), 0, "{table}");
        }
        assert_eq!(world.raw.count("flow_index WHERE kind = 'state'"), 0);
        assert_eq!(world.raw.count("sync_runs WHERE state = 'cancelled'"), 1);
        assert_eq!(world.status_document(&world.a, started.tenant)["status"], "revoked");
        assert_eq!(world.consent.link(&token(&started)).await.unwrap().state, LinkState::Void);
        assert!(Tab::new().open(&world.consent, &token(&started)).await.is_none());

        let audited = world.actions(&world.a);
        assert_eq!(audited.last().unwrap(), "tenant.revoked");
        world.tenants.revoke(scope, started.tenant, Some(before.version)).await.unwrap();
        assert_eq!(world.actions(&world.a), audited, "the second time nothing happens");
        let told = world.raw.lines("SELECT kind AS line FROM events ORDER BY created_at, id");
        assert_eq!(told, ["tenant.connected", "tenant.revoked"]);
        assert_eq!(world.tenant(&world.a, started.tenant).await.version, after.version);
    }

    async fn d1_revoking_a_pending_tenant_ends_its_flows(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        let started = world.start(CONTOSO).await;
        let mut tab = Tab::new();
        let page = tab.open(&world.consent, &token(&started)).await.unwrap();
        let answer = world.at_microsoft(&page).await;
        world.tenants.revoke(&world.a.scope, started.tenant, None).await.unwrap();
        assert!(tab.bring(&world.consent, answer).await.is_err());
        assert_eq!(world.token_requests("authorization_code").len(), 0);
        let again = world.start(CONTOSO).await;
        assert_eq!(again.status, TenantStatus::Revoked, "it stays so until the new proof");
        assert_eq!(world.connect_in_browser(&again).await.unwrap().status, TenantStatus::Connected);
    }

    async fn v12_listing_and_showing_decrypt_nothing(backend: Backend) {
        let world = &World::new(backend).await;
        world.add_tenant(CONTOSO);
        world.connect(&world.a, CONTOSO).await;
        let decrypts = world.vault.decrypts();
        let page = world.tenants.list(&world.a.scope, TenantFilter::default(), None, 100).await.unwrap();
        world.tenant(&world.a, page.items[0].id).await;
        assert_eq!(world.vault.decrypts(), decrypts);
    }
}
