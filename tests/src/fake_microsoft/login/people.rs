//! Who signs in: the people of a tenant, and those who do not belong there.

use uuid::Uuid;

use super::errors::Failure;
use crate::fake_microsoft::state::{Cloud, GLOBAL_ADMINISTRATOR, Person, SignIn, Tenant};

/// Role template id of Privileged Role Administrator.
const PRIVILEGED_ROLE_ADMINISTRATOR: Uuid = Uuid::from_u128(0xe8611ab8_c189_46e8_94e1_60213ab1f814);
/// Role template id of Application Administrator.
const APPLICATION_ADMINISTRATOR: Uuid = Uuid::from_u128(0x9b895d92_2cd3_44c7_9d02_a6ac2d5ea5c3);
/// Role template id of Cloud Application Administrator.
const CLOUD_APPLICATION_ADMINISTRATOR: Uuid =
    Uuid::from_u128(0x158c047a_c907_4556_b7ef_446551a6b5f7);
/// The sign-in name of somebody with a personal account.
pub(super) const PERSONAL_UPN: &str = "someone@outlook.example";

/// Whether this person may consent to application permissions of Microsoft Graph
/// (<https://learn.microsoft.com/entra/identity/enterprise-apps/grant-admin-consent>).
pub(super) fn can_consent_to_app_roles(person: &Person) -> bool {
    let roles = [GLOBAL_ADMINISTRATOR, PRIVILEGED_ROLE_ADMINISTRATOR];
    person.wids.iter().any(|role| roles.contains(role))
}

/// Whether this person may consent to delegated permissions for the organisation.
pub(super) fn can_consent_to_scopes(person: &Person) -> bool {
    let roles = [APPLICATION_ADMINISTRATOR, CLOUD_APPLICATION_ADMINISTRATOR];
    can_consent_to_app_roles(person) || person.wids.iter().any(|role| roles.contains(role))
}

/// Whether an ordinary user may not consent to this delegated permission
/// (<https://learn.microsoft.com/graph/permissions-reference>).
pub(super) fn needs_administrator(permission: &str) -> bool {
    const FOR_USERS: [&str; 2] = ["LicenseAssignment.Read.All", "Sites.Read.All"];
    let for_all = permission.ends_with(".All") && !FOR_USERS.contains(&permission);
    for_all || permission.ends_with(".Directory")
}

/// The person with this sign-in name, if that person can sign in to the tenant. A guest is found by
/// the name at home too. Errors: 50020 for people of other directories, 50034 for nobody.
pub(super) fn find(cloud: &Cloud, tenant: &Tenant, upn: &str) -> Result<Person, Failure> {
    let external = format!("{}#ext#@", upn.replace('@', "_").to_lowercase());
    let people = tenant.people.read().expect("people");
    let here = people.iter().find(|person| {
        let name = person.upn.to_lowercase();
        name == upn.to_lowercase() || (person.guest && name.starts_with(&external))
    });
    if let Some(person) = here {
        return Ok(person.clone());
    }
    drop(people);
    if upn.eq_ignore_ascii_case(PERSONAL_UPN) {
        return Err(Failure::not_in_tenant(
            upn,
            "live.com",
            &tenant.display_name,
        ));
    }
    Err(match home_of(cloud, upn) {
        Some(home) => Failure::not_in_tenant(upn, &identity_provider(home), &tenant.display_name),
        None => Failure::new(50_034).saying(format!(
            "The user account '{upn}' does not exist in the {} directory.",
            tenant.display_name
        )),
    })
}

/// Somebody who signed in before, as this tenant knows that person now. Errors: as `find`.
pub(super) fn same(cloud: &Cloud, tenant: &Tenant, sign_in: &SignIn) -> Result<Person, Failure> {
    let person = &sign_in.person;
    let people = tenant.people.read().expect("people");
    let known = people.iter().find(|other| other.oid == person.oid).cloned();
    drop(people);
    if let Some(known) = known {
        return Ok(known);
    }
    // The account page invents an ordinary user where there is none.
    let invented = ordinary(tenant);
    if invented.oid == person.oid {
        return Ok(invented);
    }
    find(cloud, tenant, &name_at_home(&person.upn))
}

/// The person that a button of the account page stands for. Errors: as `find`.
pub(super) fn of_account(cloud: &Cloud, tenant: &Tenant, account: &str) -> Result<Person, Failure> {
    match account {
        "ordinary" => Ok(ordinary(tenant)),
        "personal" => find(cloud, tenant, PERSONAL_UPN),
        "otherTenant" => {
            let (upn, home) = other_administrator(cloud, tenant.id);
            let provider = identity_provider(home);
            find(cloud, tenant, &upn).map_err(|failure| match failure.aadsts {
                50_034 => Failure::not_in_tenant(&upn, &provider, &tenant.display_name),
                _ => failure,
            })
        }
        upn => find(cloud, tenant, upn),
    }
}

/// Somebody of the tenant without a role that can consent; invented where there is nobody.
pub(super) fn ordinary(tenant: &Tenant) -> Person {
    let people = tenant.people.read().expect("people");
    let mut plain = people
        .iter()
        .filter(|person| !person.guest && !person.personal);
    let found = plain.find(|person| !can_consent_to_scopes(person)).cloned();
    found.unwrap_or_else(|| {
        let domain = tenant
            .domains
            .first()
            .map_or("tenant.example", String::as_str);
        Person {
            oid: Uuid::from_u128(tenant.id.as_u128() ^ 0x0bd1_aa27),
            upn: format!("ordinary.user@{domain}"),
            name: "Ordinary User".to_owned(),
            wids: Vec::new(),
            guest: false,
            personal: false,
            wids_in_token: true,
        }
    })
}

/// The sign-in name of an administrator of some other tenant, and that tenant's id.
fn other_administrator(cloud: &Cloud, tenant: Uuid) -> (String, Uuid) {
    let tenants = cloud.tenants.read().expect("tenants");
    let others = tenants.values().filter(|other| other.id != tenant);
    let other = others.min_by_key(|other| other.id).and_then(|other| {
        let people = other.people.read().expect("people");
        let own = people
            .iter()
            .find(|person| !person.guest && !person.personal);
        own.map(|person| (person.upn.clone(), other.id))
    });
    other.unwrap_or_else(|| {
        let elsewhere = Uuid::from_u128(0x0e15_e300_0000_4000_8000_0000_0000_0001);
        ("admin@elsewhere.example".to_owned(), elsewhere)
    })
}

/// `idp` of a guest's token: who authenticated the guest at home.
pub(super) fn identity_provider_of_guest(cloud: &Cloud, person: &Person) -> String {
    if person.personal {
        return "live.com".to_owned();
    }
    let home = home_of(cloud, &name_at_home(&person.upn));
    identity_provider(home.unwrap_or(Uuid::from_u128(0x0e15_e300_0000_4000_8000_0000_0000_0002)))
}

/// `admin_other.example#EXT#@here.onmicrosoft.com` is `admin@other.example` at home.
fn name_at_home(upn: &str) -> String {
    let lower = upn.to_lowercase();
    let Some((name, _)) = lower.split_once("#ext#@") else {
        return lower;
    };
    match name.rsplit_once('_') {
        Some((user, domain)) => format!("{user}@{domain}"),
        None => name.to_owned(),
    }
}

fn home_of(cloud: &Cloud, upn: &str) -> Option<Uuid> {
    let tenants = cloud.tenants.read().expect("tenants");
    let home = tenants.values().find(|tenant| {
        let people = tenant.people.read().expect("people");
        people
            .iter()
            .any(|person| !person.guest && person.upn.eq_ignore_ascii_case(upn))
    });
    home.map(|tenant| tenant.id)
}

fn identity_provider(tenant: Uuid) -> String {
    format!("https://sts.windows.net/{tenant}/")
}
