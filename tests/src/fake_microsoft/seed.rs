//! Generates tenants of any size: the same seed gives the same data.
//!
//! The data hold what makes real tenants awkward: unicode, values that are null, empty or were never
//! set, enum values nobody documented, sentinel dates, nested groups, guests and shared mailboxes.

mod devices;
mod groups;
mod licenses;
mod people;
mod random;
pub(crate) mod scores;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Mutex, RwLock},
};

use serde_json::json;
use uuid::Uuid;

use super::{
    directory::{Directory, Features, ObjectKind, entity::Entity, schemas},
    state::{Decision, GLOBAL_ADMINISTRATOR, Person, Tenant},
};
pub use random::{Random, of_text as random_of};

/// What a generated tenant is like. Nothing is random but by `id`.
#[derive(Clone, Debug)]
pub struct TenantSeed {
    /// The tenant's id; follows from the domain unless given.
    pub id: Option<Uuid>,
    pub display_name: String,
    /// The default domain. The initial one is `<first label>.onmicrosoft.com`.
    pub domain: String,
    pub users: usize,
    /// A fifth of the users unless given.
    pub groups: Option<usize>,
    /// Four for five users unless given; none without Intune.
    pub devices: Option<usize>,
    pub features: Features,
    /// Whether id tokens carry the administrator's roles.
    pub wids_in_token: bool,
    /// What the administrator does on Microsoft's pages.
    pub decision: Decision,
}

impl TenantSeed {
    /// A tenant of 25 users that has everything.
    pub fn new(display_name: &str, domain: &str) -> Self {
        Self {
            id: None,
            display_name: display_name.to_owned(),
            domain: domain.to_owned(),
            users: 25,
            groups: None,
            devices: None,
            features: Features {
                intune: true,
                exchange: true,
                p1: true,
                p2: false,
                concealed_names: false,
                secure_score: true,
                report_date: "2026-11-18".to_owned(),
            },
            wids_in_token: true,
            decision: Decision::default(),
        }
    }

    /// With this id.
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// With so many users, and groups and devices to match.
    pub fn users(mut self, users: usize) -> Self {
        self.users = users;
        self
    }

    /// With so many groups.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = Some(groups);
        self
    }

    /// With so many Intune devices.
    pub fn devices(mut self, devices: usize) -> Self {
        self.devices = Some(devices);
        self
    }

    /// Whether Intune is licensed and set up.
    pub fn intune(mut self, has: bool) -> Self {
        self.features.intune = has;
        self
    }

    /// Whether Exchange Online is licensed.
    pub fn exchange(mut self, has: bool) -> Self {
        self.features.exchange = has;
        self
    }

    /// Whether Entra ID P1 is licensed.
    pub fn p1(mut self, has: bool) -> Self {
        self.features.p1 = has;
        self
    }

    /// Whether Entra ID P2 is licensed.
    pub fn p2(mut self, has: bool) -> Self {
        self.features.p2 = has;
        self
    }

    /// Whether usage reports conceal names.
    pub fn concealed_names(mut self, concealed: bool) -> Self {
        self.features.concealed_names = concealed;
        self
    }

    /// Whether there are secure scores.
    pub fn secure_score(mut self, has: bool) -> Self {
        self.features.secure_score = has;
        self
    }

    /// Whether id tokens carry the administrator's roles.
    pub fn wids_in_token(mut self, carried: bool) -> Self {
        self.wids_in_token = carried;
        self
    }

    /// What the administrator does on Microsoft's pages.
    pub fn decision(mut self, decision: Decision) -> Self {
        self.decision = decision;
        self
    }

    /// Generates the tenant.
    pub fn generate(self) -> Tenant {
        let id = self
            .id
            .unwrap_or_else(|| random::of_text(&self.domain).uuid());
        let initial = self.initial_domain();
        let mut domains = vec![self.domain.clone()];
        if initial != self.domain {
            domains.push(initial);
        }
        let directory = self.directory(id);
        let people = self.sign_ins(&directory);
        Tenant {
            id,
            display_name: self.display_name,
            domains,
            region_scope: "EU".to_owned(),
            region_sub_scope: None,
            people: RwLock::new(people),
            grants: Mutex::new(HashMap::new()),
            decision: RwLock::new(self.decision),
            directory: Mutex::new(directory),
        }
    }

    fn initial_domain(&self) -> String {
        let label = self.domain.split('.').next().unwrap_or("tenant");
        format!("{label}.onmicrosoft.com")
    }

    fn directory(&self, id: Uuid) -> Directory {
        let random = random::of_id(id);
        let domain = self.domain.clone();
        let mut directory = Directory::new(id, domain, self.features.clone(), random);
        let groups = self.groups.unwrap_or(self.users.div_ceil(5));
        let group_ids: Vec<Uuid> = (0..groups).map(|_| directory.random.uuid()).collect();
        let mut products = licenses::Products::new(id, &self.features, group_ids.get(2).copied());
        people::generate(
            &mut directory,
            self.users,
            &self.initial_domain(),
            &mut products,
        );
        groups::generate(&mut directory, &group_ids, &products);
        if self.features.intune {
            let devices = self.devices.unwrap_or(self.users * 4 / 5);
            devices::generate(&mut directory, devices);
        }
        products.store(&mut directory, &self.display_name);
        scores::generate(&mut directory, self.users);
        self.add_organization(&mut directory);
        directory
    }

    fn add_organization(&self, directory: &mut Directory) {
        let id = directory.tenant;
        let initial = self.initial_domain();
        let domain = |name: &str, initial: bool, default: bool| {
            json!({"capabilities": "Email, OfficeCommunicationsOnline", "isDefault": default,
                "isInitial": initial, "name": name, "type": "Managed"})
        };
        let mut verified = vec![domain(&initial, true, initial == self.domain)];
        if initial != self.domain {
            verified.insert(0, domain(&self.domain, false, true));
        }
        let mut entity = Entity::empty(&schemas::ORGANIZATION);
        let properties = json!({
            "id": id, "displayName": self.display_name, "tenantType": "AAD",
            "createdDateTime": "2017-07-29T02:12:05Z", "countryLetterCode": "DE", "city": "Köln",
            "country": null, "defaultUsageLocation": null, "preferredLanguage": "de",
            "partnerTenantType": null, "onPremisesSyncEnabled": self.users > 100,
            "onPremisesLastSyncDateTime": (self.users > 100).then_some("2026-11-19T23:41:07.1234567Z"),
            "technicalNotificationMails": [format!("admin@{}", self.domain)],
            "businessPhones": ["+49 221 5550100"],
            "assignedPlans": [{"assignedDateTime": "2017-07-29T02:16:28Z",
                "capabilityStatus": "Enabled", "service": "exchange",
                "servicePlanId": licenses::EXCHANGE_S_STANDARD}],
            "verifiedDomains": verified,
        });
        entity.assign(&schemas::ORGANIZATION, &properties);
        directory.organization.insert(id, entity);
    }

    /// Who can sign in: an administrator, a user without roles and a guest.
    fn sign_ins(&self, directory: &Directory) -> Vec<Person> {
        let mut strangers = random::of_text(&self.domain);
        let mut person = |local: &str, name: &str, wids: &[Uuid], guest: bool| {
            let upn = if guest {
                format!("{local}_fabrikam.com#EXT#@{}", self.initial_domain())
            } else {
                format!("{local}@{}", self.domain)
            };
            let known = directory.user_by_key(&upn).map(|row| row.id);
            Person {
                oid: known.unwrap_or_else(|| strangers.uuid()),
                upn,
                name: name.to_owned(),
                wids: wids.to_vec(),
                guest,
                personal: false,
                wids_in_token: self.wids_in_token,
            }
        };
        vec![
            person("admin", "MOD Administrator", &[GLOBAL_ADMINISTRATOR], false),
            person("user", "Plain User", &[], false),
            person("visitor", "Visiting Partner", &[], true),
        ]
    }
}

/// Objects of the directory that groups hold besides users and groups.
fn add_others(directory: &mut Directory) -> [(ObjectKind, Uuid); 3] {
    let others = [
        (ObjectKind::ServicePrincipal, "Payroll sync"),
        (ObjectKind::Device, "RECEPTION-PC"),
        (ObjectKind::OrgContact, "Tax adviser"),
    ];
    others.map(|(kind, name)| {
        let id = directory.random.uuid();
        directory.add_other(kind, id, name);
        (kind, id)
    })
}
