//! Generates tenants: the same seed gives the same data.

use std::{
    collections::HashMap,
    sync::{Mutex, RwLock},
};

use uuid::Uuid;

use super::{
    directory::Directory,
    state::{Decision, GLOBAL_ADMINISTRATOR, Person, Tenant},
};

/// What a generated tenant is like.
#[derive(Clone, Debug)]
pub struct TenantSeed {
    pub id: Uuid,
    pub display_name: String,
    pub domain: String,
    pub users: usize,
}

impl TenantSeed {
    /// Generates the tenant.
    pub fn generate(self) -> Tenant {
        let admin = Person {
            oid: Uuid::nil(),
            upn: format!("admin@{}", self.domain),
            name: "Administrator".to_owned(),
            wids: vec![GLOBAL_ADMINISTRATOR],
            guest: false,
            personal: false,
            wids_in_token: true,
        };
        Tenant {
            id: self.id,
            display_name: self.display_name,
            domains: vec![self.domain],
            region_scope: "EU".to_owned(),
            region_sub_scope: None,
            people: RwLock::new(vec![admin]),
            grants: Mutex::new(HashMap::new()),
            decision: RwLock::new(Decision::default()),
            directory: Mutex::new(Directory::default()),
        }
    }
}
