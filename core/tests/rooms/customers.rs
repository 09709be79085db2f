//! Customers.

use chrono::TimeDelta;
use tenantry_core::{
    access::OrgScope,
    audit::{AuditFilter, AuditService},
    customers::{
        Customer, CustomerChange, CustomerError, CustomerFilter, CustomerService, Field,
        NewCustomer,
    },
    ids::{CustomerId, TenantId},
    store::StoreError,
};
use tenantry_tests::{database::Backend, on_both_databases};
use uuid::Uuid;

use crate::store::TestStore;

fn new(name: &str, domains: &[&str]) -> NewCustomer {
    NewCustomer {
        name: name.to_owned(),
        domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
    }
}

async fn create(service: &CustomerService, scope: &OrgScope, name: &str) -> Customer {
    service
        .create(scope, new(name, &[]), |_, _| Ok(()))
        .await
        .unwrap()
}

/// The actions in the organisation's audit, the newest first.
async fn actions(db: &TestStore, scope: &OrgScope) -> Vec<String> {
    let page = AuditService::new(db.store.clone())
        .list(scope, AuditFilter::default(), None, 1_000)
        .await;
    page.unwrap()
        .items
        .into_iter()
        .map(|event| event.action)
        .collect()
}

/// Maps a tenant to a customer, past the room that does so.
pub fn map_tenant(
    db: &TestStore,
    scope: &OrgScope,
    customer: CustomerId,
    status: &str,
) -> TenantId {
    let tenant = Uuid::new_v4();
    let raw = db.raw();
    let now = raw.now();
    let (org, customer) = (
        raw.uuid(scope.org().as_uuid()),
        raw.uuid(customer.as_uuid()),
    );
    let id = raw.uuid(tenant);
    raw.execute(&format!(
        "INSERT INTO tenants (org_id, tenant_id, customer_id, connection_type, status, display_name, \
         search_text, granted_permissions, missing_permissions, tags, version, created_at) \
         VALUES ({org}, {id}, {customer}, 'adminConsent', '{status}', 'T', 't', '[]', '[]', '[]', 1, {now})"
    ));
    TenantId::from_uuid(tenant)
}

on_both_databases! {
    async fn a_customer_is_created_as_it_was_written_and_audited(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        let written = new(" Bücher GmbH ", &["Bücher.example", "contoso.com"]);
        let created = service.create(&scope, written, |_, _| Ok(())).await.unwrap();
        assert_eq!(created.name, "Bücher GmbH");
        assert_eq!(created.domains, ["xn--bcher-kva.example", "contoso.com"]);
        assert!(created.active && created.tenants.is_empty());
        assert_eq!((created.version, created.source.as_str()), (1, "manual"));
        assert_eq!(service.get(&scope, created.id).await.unwrap(), created);
        assert_eq!(actions(&db, &scope).await[0], "customer.created");
    }

    async fn an_invalid_customer_is_refused_with_every_fault(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        let outcome = service.create(&scope, new("", &["contoso.com", "nope"]), |_, _| Ok(())).await;
        let Err(CustomerError::Invalid(faults)) = outcome else { panic!("{outcome:?}") };
        let fields: Vec<Field> = faults.iter().map(|fault| fault.field).collect();
        assert_eq!(fields, [Field::Name, Field::Domain(1)]);
        assert_eq!(db.raw().count("customers"), 0);
    }

    async fn l1_a_customer_whose_completion_fails_is_not_created(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        let before = db.raw().dump();
        let outcome = service.create(&scope, new("A", &[]), |_, _| Err(StoreError::NotFound)).await;
        assert!(matches!(outcome, Err(CustomerError::Store(StoreError::NotFound))));
        assert_eq!(db.raw().dump(), before);
    }

    async fn lists_go_by_id_with_a_total_and_end(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        let mut ids = Vec::new();
        for n in 0..5 {
            ids.push(create(&service, &scope, &format!("Customer {n}")).await.id);
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = service.list(&scope, CustomerFilter::default(), after, 2).await.unwrap();
            assert_eq!(page.total, 5);
            seen.extend(page.items.iter().map(|customer| customer.id));
            after = page.next;
            if after.is_none() {
                break;
            }
            assert_eq!(page.items.len(), 2);
        }
        assert_eq!(seen, ids);
    }

    async fn search_finds_names_and_domains_and_knows_no_wildcards(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        for (name, domain) in [("Ärzte 100%", "aerzte.example"), ("Zahn_Arzt", "zahn.example"), ("Zahn Arzt", "x.org")] {
            service.create(&scope, new(name, &[domain]), |_, _| Ok(())).await.unwrap();
        }
        for (search, expected) in [
            ("ärzte", vec!["Ärzte 100%"]),
            ("0%", vec!["Ärzte 100%"]),
            ("n_a", vec!["Zahn_Arzt"]),
            ("ZAHN", vec!["Zahn_Arzt", "Zahn Arzt"]),
            ("EXAMPLE", vec!["Ärzte 100%", "Zahn_Arzt"]),
            ("%%", vec![]),
            ("\0", vec![]),
            ("' OR 1=1", vec![]),
        ] {
            let filter = CustomerFilter { search: Some(search.to_owned()), active: None };
            let page = service.list(&scope, filter, None, 100).await.unwrap();
            let names: Vec<&str> = page.items.iter().map(|customer| customer.name.as_str()).collect();
            assert_eq!(names, expected, "{search:?}");
            assert_eq!(page.total, i64::try_from(expected.len()).unwrap());
        }
    }

    async fn a_change_touches_only_what_it_names(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        let created = service.create(&scope, new("A", &["a.example"]), |_, _| Ok(())).await.unwrap();
        db.advance(TimeDelta::minutes(1));
        let change = CustomerChange { name: Some("B".to_owned()), ..CustomerChange::default() };
        let changed = service.change(&scope, created.id, Some(1), change.clone()).await.unwrap();
        let expected = Customer {
            name: "B".to_owned(),
            version: 2,
            changed_at: created.changed_at + TimeDelta::minutes(1),
            ..created.clone()
        };
        assert_eq!(changed, expected);
        assert_eq!(service.get(&scope, created.id).await.unwrap(), expected);

        let again = service.change(&scope, created.id, None, change.clone()).await.unwrap();
        assert_eq!(again, expected, "a change that changes nothing leaves no trace");
        let stale = service.change(&scope, created.id, Some(1), change).await;
        assert!(matches!(stale, Err(CustomerError::VersionMismatch)));

        let found = CustomerFilter { search: Some("b\n".to_owned()), active: None };
        assert_eq!(service.list(&scope, found, None, 10).await.unwrap().total, 1);
        let actions = actions(&db, &scope).await;
        let of_customers: Vec<&str> =
            actions.iter().map(String::as_str).filter(|action| action.starts_with("customer")).collect();
        assert_eq!(of_customers, ["customer.changed", "customer.created"]);
    }

    async fn of_many_changes_of_one_version_one_wins(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        let created = create(&service, &scope, "A").await;
        let attempts = (0..8).map(|n| {
            let (service, scope) = (service.clone(), scope.clone());
            let change = CustomerChange { name: Some(format!("Name {n}")), ..CustomerChange::default() };
            tokio::spawn(async move { service.change(&scope, created.id, Some(1), change).await })
        });
        let outcomes = futures_util::future::join_all(attempts).await;
        let won = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_ok()).count();
        assert_eq!(won, 1);
        assert_eq!(service.get(&scope, created.id).await.unwrap().version, 2);
    }

    async fn deactivating_twice_is_deactivating_once(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        let id = create(&service, &scope, "A").await.id;
        service.deactivate(&scope, id, None).await.unwrap();
        service.deactivate(&scope, id, None).await.unwrap();
        let customer = service.get(&scope, id).await.unwrap();
        assert!(!customer.active);
        assert_eq!(customer.version, 2);
        let actions = actions(&db, &scope).await;
        assert_eq!(actions.iter().filter(|action| *action == "customer.deactivated").count(), 1);

        let active = CustomerFilter { active: Some(true), ..CustomerFilter::default() };
        assert_eq!(service.list(&scope, active, None, 10).await.unwrap().total, 0);
        let back = CustomerChange { active: Some(true), ..CustomerChange::default() };
        assert!(service.change(&scope, id, None, back).await.unwrap().active);
    }

    async fn a_customer_with_tenants_in_use_stays_active(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let service = CustomerService::new(db.store.clone());
        let (one, other) = (create(&service, &scope, "A").await.id, create(&service, &scope, "B").await.id);
        let pending = map_tenant(&db, &scope, one, "pendingConsent");
        let revoked = map_tenant(&db, &scope, one, "revoked");
        map_tenant(&db, &scope, other, "revoked");

        let refused = service.deactivate(&scope, one, None).await;
        let Err(CustomerError::HasTenants(tenants)) = refused else { panic!("{refused:?}") };
        assert_eq!(tenants, [pending]);
        assert!(service.get(&scope, one).await.unwrap().active);
        service.deactivate(&scope, other, None).await.unwrap();

        let mut mapped = vec![pending, revoked];
        mapped.sort();
        assert_eq!(service.get(&scope, one).await.unwrap().tenants, mapped);
        let page = service.list(&scope, CustomerFilter::default(), None, 10).await.unwrap();
        assert_eq!(page.items[0].tenants, mapped);
        assert_eq!(page.items[1].tenants.len(), 1);
    }

    async fn z4_a_customer_of_another_organization_is_not_there(backend: Backend) {
        let db = TestStore::new(backend);
        let (own, other) = (db.organization().await, db.organization().await);
        let service = CustomerService::new(db.store.clone());
        let id = create(&service, &own, "A").await.id;
        map_tenant(&db, &own, id, "connected");
        let before = db.raw().dump();
        let change = CustomerChange { name: Some("B".to_owned()), ..CustomerChange::default() };
        assert!(matches!(service.get(&other, id).await, Err(CustomerError::NotFound)));
        assert!(matches!(service.change(&other, id, None, change).await, Err(CustomerError::NotFound)));
        assert!(matches!(service.deactivate(&other, id, None).await, Err(CustomerError::NotFound)));
        let page = service.list(&other, CustomerFilter::default(), None, 10).await.unwrap();
        assert_eq!((page.items.len(), page.total, page.next), (0, 0, None));
        assert_eq!(db.raw().dump(), before);
    }
}
