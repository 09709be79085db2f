use std::time::Instant;

use super::*;

#[test]
fn the_same_seed_gives_the_same_tenant_and_another_domain_another() {
    let make = |domain: &str| TenantSeed::new("Contoso", domain).users(300).generate();
    let (one, same, other) = (
        make("contoso.com"),
        make("contoso.com"),
        make("fabrikam.com"),
    );
    assert_eq!(one.id, same.id);
    assert_ne!(one.id, other.id);
    let (one, same) = (
        one.directory.lock().unwrap(),
        same.directory.lock().unwrap(),
    );
    assert_eq!(one.users(), same.users());
    assert_eq!(one.groups(), same.groups());
    assert_eq!(one.devices(), same.devices());
    assert_eq!(one.mailboxes(), same.mailboxes());
    assert_eq!(one.skus(), same.skus());
}

#[test]
fn ratios_and_awkward_values_are_as_promised() {
    let tenant = TenantSeed::new("Contoso", "contoso.com")
        .users(20_000)
        .generate();
    let directory = tenant.directory.lock().unwrap();
    assert_eq!(directory.users.live().count(), 20_000);
    assert_eq!(directory.groups.live().count(), 4_000);
    assert_eq!(directory.managed_devices.live().count(), 16_000);
    let sizes: Vec<usize> = directory
        .memberships
        .iter()
        .map(|group| group.list.len())
        .collect();
    assert_eq!(sizes.iter().filter(|size| **size >= 400).count(), 40);
    let users = directory.users();
    let some = |test: &dyn Fn(&serde_json::Value) -> bool| users.iter().any(test);
    assert!(some(&|user| user["department"] == ""));
    assert!(some(&|user| user["userType"].is_null()));
    assert!(some(
        &|user| user["lastPasswordChangeDateTime"] == "0001-01-01T00:00:00Z"
    ));
    assert!(some(&|user| user["licenseAssignmentStates"]
        .as_array()
        .is_some_and(|l| l.len() == 3)));
    let mut upns: Vec<_> = users
        .iter()
        .map(|user| user["userPrincipalName"].to_string())
        .collect();
    upns.sort();
    upns.dedup();
    assert_eq!(upns.len(), 20_000);
}

#[test]
fn twenty_thousand_users_are_made_in_seconds_even_unoptimised() {
    let before = Instant::now();
    let tenant = TenantSeed::new("Contoso", "contoso.com")
        .users(20_000)
        .generate();
    assert_eq!(tenant.directory.lock().unwrap().users.rows.len(), 20_000);
    let took = before.elapsed();
    println!("20,000 users: {took:?}");
    assert!(took.as_secs() < 10, "took {took:?}");
}

#[test]
fn a_tenant_without_users_has_an_administrator_who_can_sign_in() {
    let tenant = TenantSeed::new("Empty", "empty.example")
        .users(0)
        .generate();
    assert_eq!(tenant.people.read().unwrap()[0].upn, "admin@empty.example");
    assert!(tenant.directory.lock().unwrap().users().is_empty());
    assert!(tenant.directory.lock().unwrap().groups().is_empty());
}
