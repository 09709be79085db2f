//! What generated data hold.

use std::time::Instant;

use super::*;

const IDS: Ids = Ids {
    company: 250,
    step: 3,
    contact: 811,
    site: 310,
};

#[test]
fn the_same_seed_gives_the_same_data_and_another_one_other() {
    let names = |seed: Seed| format!("{:?}", seed.build(IDS, true).companies);
    assert_eq!(
        names(Seed::companies(300, 7)),
        names(Seed::companies(300, 7))
    );
    assert_ne!(
        names(Seed::companies(300, 7)),
        names(Seed::companies(300, 8))
    );
}

#[test]
fn ten_thousand_companies_are_made_fast_and_hold_what_is_awkward() {
    let begun = Instant::now();
    let world = Seed::companies(10_000, 1).build(IDS, true);
    println!("10,000 companies in {:?}", begun.elapsed());
    assert_eq!(world.companies.len(), 10_000);
    assert!((20_000..35_000).contains(&world.contacts.len()));
    let count = |what: &dyn Fn(&Company) -> bool| {
        world
            .companies
            .values()
            .filter(|company| what(company))
            .count()
    };
    assert!(count(&|c| c.state == State::Deleted) > 100);
    assert!(count(&|c| c.state == State::Inactive) > 100);
    assert!(count(&|c| c.tenant_field.is_some()) > 500);
    assert!(count(&|c| c.name.is_none()) > 0);
    assert!(count(&|c| c.shape == Shape::Nulls) > 500);
    assert_eq!(count(&|c| c.name.as_deref() == Some("Twice Named Ltd")), 20);
    let mails = || world.contacts.values().flat_map(|contact| &contact.mails);
    assert!(mails().any(|mail| mail.ends_with("@gmail.com")));
    assert!(mails().any(|mail| mail.ends_with(".onmicrosoft.com")));
    assert_eq!(world.truth().len(), count(&|c| c.state.is_active()));
}

#[test]
fn the_named_world_fits_the_tenants_of_the_stand_in_for_microsoft() {
    use crate::fake_microsoft::seed::TenantSeed;
    let tenant = TenantSeed::new("Tailspin", "tailspin.example")
        .users(1)
        .generate();
    let world = Seed::northgate().build(IDS, false);
    let field = world
        .companies
        .values()
        .find_map(|company| company.tenant_field.clone());
    assert!(field.unwrap().contains(&tenant.id.to_string()));
    assert!(!world.truth().values().any(|name| name == "Old Mill Café"));
}
