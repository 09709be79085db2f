//! What people write into customers that come from a PSA.

use tenantry_core::{
    customers::{CustomerChange, CustomerError, Fields, NewCustomer},
    ids::TenantId,
};
use tenantry_psa::CustomerState;
use tenantry_tests::{database::Backend, on_both_databases};
use uuid::Uuid;

use super::{psa::ScriptedPsa, world::World};
use crate::customers::map_tenant;

on_both_databases! {
    async fn what_a_person_wrote_stays_until_it_is_given_back(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(2)).await;
        world.full().await;
        let id = world.of(1).await.id;
        let change = CustomerChange {
            name: Some("Ours".to_owned()),
            active: Some(true),
            ..CustomerChange::default()
        };
        let changed = world.customers.change(&world.scope, id, None, change).await.unwrap();
        assert_eq!(changed.manual, Fields { name: true, domains: false, active: true });
        world.psa.change(1, |one| {
            one.name = "Theirs".to_owned();
            one.state = CustomerState::Inactive;
            one.evidence[0].value = "theirs.example".to_owned();
        });
        let run = world.incremental().await;
        assert_eq!((run.updated, run.deactivated), (1, 0));
        let synced = world.of(1).await;
        assert_eq!((synced.name.as_str(), synced.active), ("Ours", true));
        assert_eq!(synced.domains, ["theirs.example"], "nobody wrote them");
        let back = CustomerChange {
            give_back: Fields { name: true, domains: true, active: true },
            ..CustomerChange::default()
        };
        let given = world.customers.change(&world.scope, id, None, back).await.unwrap();
        assert_eq!((given.name.as_str(), given.active), ("Theirs", false));
        assert!(given.manual.is_empty());
    }

    async fn a_customer_of_no_psa_has_nothing_to_give_back(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(0)).await;
        let new = NewCustomer { name: "By hand".to_owned(), domains: vec!["a.example".to_owned()] };
        let made = world.customers.create(&world.scope, new, |_, _| Ok(())).await.unwrap();
        let give = |give_back| CustomerChange { give_back, ..CustomerChange::default() };
        let name = give(Fields { name: true, ..Fields::default() });
        let refused = world.customers.change(&world.scope, made.id, None, name).await;
        assert!(matches!(refused, Err(CustomerError::Invalid(_))));
        let domains = give(Fields { domains: true, ..Fields::default() });
        let emptied = world.customers.change(&world.scope, made.id, None, domains).await.unwrap();
        assert!(emptied.domains.is_empty() && emptied.manual.is_empty());
    }

    async fn a_customer_with_tenants_is_deactivated_when_its_psa_says_so(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(1)).await;
        world.full().await;
        let id = world.of(1).await.id;
        let tenant = map_tenant(&world.db, &world.scope, id, "connected");
        world.psa.change(1, |one| one.state = CustomerState::Deleted);
        assert_eq!(world.incremental().await.deactivated, 1);
        let customer = world.of(1).await;
        assert_eq!((customer.active, customer.tenants), (false, vec![tenant]));
    }

    async fn merged_customers_are_one_for_their_psa_too(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(2)).await;
        world.full().await;
        let new = NewCustomer { name: "By hand".to_owned(), domains: Vec::new() };
        let into = world.customers.create(&world.scope, new, |_, _| Ok(())).await.unwrap().id;
        let from = world.of(1).await.id;
        let tenant = map_tenant(&world.db, &world.scope, from, "connected");
        let merged = world.customers.merge(&world.scope, into, from).await.unwrap();
        assert_eq!(merged.tenants, [tenant]);
        assert_eq!(merged.domains, ["customer1.example"]);
        assert_eq!(merged.psa_records.len(), 1);
        let left = world.customers.get(&world.scope, from).await.unwrap();
        assert_eq!((left.active, left.merged_into, left.tenants.len()), (false, Some(into), 0));
        assert_eq!(world.customers.merge(&world.scope, into, from).await.unwrap(), merged, "again");
        world.psa.change(1, |one| one.name = "Renamed".to_owned());
        let run = world.full().await;
        assert_eq!((run.created, run.updated), (0, 1));
        let after = world.customers.get(&world.scope, into).await.unwrap();
        assert_eq!(after.name, "By hand", "what was made by hand follows no PSA");
        assert_eq!(after.psa_records[0].name, "Renamed");
        let raw = world.db.raw();
        assert_eq!(raw.count("audit_events WHERE action = 'customer.merged'"), 1);
    }

    async fn what_cannot_be_merged_is_refused(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(3)).await;
        world.full().await;
        let (a, b) = (world.of(1).await.id, world.of(2).await.id);
        let merge = async |into, from| world.customers.merge(&world.scope, into, from).await;
        assert!(matches!(merge(a, a).await, Err(CustomerError::SameCustomer)));
        let unknown = tenantry_core::ids::CustomerId::from_uuid(Uuid::now_v7());
        assert!(matches!(merge(a, unknown).await, Err(CustomerError::NotFound)));
        assert!(matches!(merge(unknown, a).await, Err(CustomerError::NotFound)));
        merge(a, b).await.unwrap();
        assert!(matches!(merge(b, a).await, Err(CustomerError::NotActive)));
        let other = world.db.organization().await;
        let foreign = world.customers.merge(&other, a, world.of(3).await.id).await;
        assert!(matches!(foreign, Err(CustomerError::NotFound)));
        let _: Vec<TenantId> = world.of(1).await.tenants;
    }

    async fn a_new_connection_to_the_same_system_finds_its_customers(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(4)).await;
        world.full().await;
        let (into, from) = (world.of(1).await.id, world.of(2).await.id);
        world.customers.merge(&world.scope, into, from).await.unwrap();
        world.delete_connection();
        assert_eq!(world.db.raw().count("psa_records"), 0);
        assert!(world.all().await.iter().all(|one| one.psa_records.is_empty()));
        let again = World::beside(world.db.clone(), world.scope.clone(), world.psa.clone());
        let run = again.full().await;
        assert_eq!(run.created, 0, "{run:?}");
        assert_eq!(again.all().await.len(), 4);
        let merged = again.customers.get(&again.scope, into).await.unwrap();
        assert_eq!(merged.psa_records.len(), 2, "what was merged stays so");
    }

    async fn sites_are_asked_for_at_the_psa(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(2)).await;
        world.full().await;
        let customer = world.of(2).await.id;
        let sites = world.syncs.sites(&world.scope, customer).await.unwrap();
        assert_eq!(sites.len(), 1);
        assert_eq!(sites[0].site.name, "Site of 2");
    }
}
