//! Where tenants come from that may be matched.

use serde::Deserialize;
use tenantry_psa::{EvidenceKind, domain};

use crate::{
    ids::TenantId,
    inventory,
    store::{Scoped, StoreError},
    tenants::{self, TenantStatus},
};

/// What is known of a tenant. Domains are verified ones only, in one spelling, without those that
/// everybody may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantFacts {
    /// Microsoft's `tid`.
    pub tenant: TenantId,
    /// What people see.
    pub display_name: String,
    /// What it calls itself, and what a person named it; each compared with customers' names.
    pub names: Vec<String>,
    /// Verified domains.
    pub domains: Vec<String>,
    /// Names that Microsoft gave it: `contoso.onmicrosoft.com`.
    pub initial_domains: Vec<String>,
}

impl TenantFacts {
    /// A tenant of which nothing but the id is known.
    pub fn new(tenant: TenantId, display_name: String) -> Self {
        Self {
            tenant,
            display_name,
            names: Vec::new(),
            domains: Vec::new(),
            initial_domains: Vec::new(),
        }
    }

    /// Adds a name.
    pub fn add_name(&mut self, name: &str) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// Adds a verified domain. One that everybody may use, or that is none, adds nothing.
    pub fn add_domain(&mut self, written: &str) {
        let Some(found) = domain::evidence(EvidenceKind::Website, written) else {
            return;
        };
        let list = if found.kind == EvidenceKind::InitialDomain {
            &mut self.initial_domains
        } else {
            &mut self.domains
        };
        if !list.contains(&found.value) {
            list.push(found.value);
        }
    }

    /// Adds what another source knows of the same tenant.
    pub(super) fn add(&mut self, other: &Self) {
        for name in &other.names {
            self.add_name(name);
        }
        for domain in other.domains.iter().chain(&other.initial_domains) {
            self.add_domain(domain);
        }
    }

    /// The tenant's id as hints spell it.
    pub(super) fn id(&self) -> String {
        self.tenant.to_string()
    }

    /// Every value by which a customer may point to the tenant.
    pub(super) fn values(&self) -> impl Iterator<Item = String> + '_ {
        std::iter::once(self.id())
            .chain(self.domains.iter().cloned())
            .chain(self.initial_domains.iter().cloned())
    }
}

/// Tenants from one place: those that are connected here; later a partner's relationships and contracts.
/// Several may know the same tenant: what they know is put together.
pub trait TenantSource: Send + Sync {
    /// The tenants that belong to no customer yet.
    ///
    /// # Errors
    /// When the store fails.
    fn without_customer(&self, tx: &mut Scoped<'_>) -> Result<Vec<TenantId>, StoreError>;

    /// What it knows of those of the given tenants that it has, mapped or not.
    ///
    /// # Errors
    /// When the store fails.
    fn facts(
        &self,
        tx: &mut Scoped<'_>,
        tenants: &[TenantId],
    ) -> Result<Vec<TenantFacts>, StoreError>;
}

/// The tenants that are connected here, or were begun to be.
#[derive(Debug, Clone, Copy)]
pub struct ConnectedTenants;

/// Documents that are in memory at once: a tenant's list of plans is long.
const DOCUMENTS: usize = 200;

impl TenantSource for ConnectedTenants {
    fn without_customer(&self, tx: &mut Scoped<'_>) -> Result<Vec<TenantId>, StoreError> {
        tenants::without_customer(tx)
    }

    fn facts(
        &self,
        tx: &mut Scoped<'_>,
        tenants: &[TenantId],
    ) -> Result<Vec<TenantFacts>, StoreError> {
        let mut facts = Vec::with_capacity(tenants.len());
        for some in tenants.chunks(DOCUMENTS) {
            let mut documents = inventory::organization_documents(tx, some)?;
            for named in tenants::namings(tx, some)? {
                let mut known = TenantFacts::new(named.tenant, named.display_name.clone());
                if let Some(name) = &named.organization_name {
                    known.add_name(name);
                }
                if named.display_name_set {
                    known.add_name(&named.display_name);
                }
                let document = documents
                    .remove(&named.tenant)
                    // What was verified when it was last read may be another tenant's by now.
                    .filter(|_| named.status != TenantStatus::Revoked);
                match document {
                    Some(document) => add_verified(&mut known, &document)?,
                    // Before the first sync: the domain that was typed, by which Microsoft found it.
                    None => {
                        if let Some(domain) = &named.default_domain {
                            known.add_domain(domain);
                        }
                    }
                }
                facts.push(known);
            }
        }
        Ok(facts)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    #[serde(default)]
    verified_domains: Option<Vec<VerifiedDomain>>,
}

#[derive(Deserialize)]
struct VerifiedDomain {
    #[serde(default)]
    name: Option<String>,
}

/// Adds the verified domains of an `organization` as the last sync found it.
fn add_verified(facts: &mut TenantFacts, document: &str) -> Result<(), StoreError> {
    let described: Described = serde_json::from_str(document).or(Err(StoreError::Corrupt {
        what: "organization",
    }))?;
    for domain in described.verified_domains.into_iter().flatten() {
        if let Some(name) = domain.name {
            facts.add_domain(&name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn domains_come_in_one_spelling_each_once_and_shared_ones_not_at_all() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(1));
        let mut facts = TenantFacts::new(tenant, "Contoso".to_owned());
        let document = r#"{"displayName":"Contoso","assignedPlans":[{"x":1}],"verifiedDomains":[
            {"name":"Contoso.COM","isDefault":true},{"name":"contoso.com"},{"name":"gmail.com"},
            {"name":"contoso.onmicrosoft.com","isInitial":true},{"name":"contoso.mail.onmicrosoft.com"},
            {"name":null},{}]}"#;
        add_verified(&mut facts, document).unwrap();
        assert_eq!(facts.domains, ["contoso.com"]);
        assert_eq!(facts.initial_domains, ["contoso.onmicrosoft.com"]);
        add_verified(&mut facts, r#"{"verifiedDomains":null}"#).unwrap();
        assert!(add_verified(&mut facts, "[").is_err());
        assert_eq!(facts.values().count(), 3);
    }
}
