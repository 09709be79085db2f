//! The MSP's own domains: its people are contacts at many customers, which says nothing about these.

use std::collections::{BTreeSet, HashSet};

use serde_json::json;

use super::queries;
use crate::{
    access::OrgScope,
    audit::{self, Action},
    customers::{CustomerError, checked_domains},
    store::{Store, StoreError},
};

/// The MSP's own domains, each with everything below it.
#[derive(Debug, Default)]
pub(super) struct OwnDomains(HashSet<String>);

impl OwnDomains {
    /// These domains, in their one spelling.
    pub(super) fn new(domains: impl IntoIterator<Item = String>) -> Self {
        Self(domains.into_iter().collect())
    }

    /// Whether a domain is one of them or lies under one.
    pub(super) fn covers(&self, domain: &str) -> bool {
        let mut rest = Some(domain);
        while let Some(present) = rest {
            if self.0.contains(present) {
                return true;
            }
            rest = present.split_once('.').map(|(_label, parent)| parent);
        }
        false
    }
}

/// Shows and replaces the MSP's own domains.
#[derive(Clone)]
pub struct OwnDomainsService {
    store: Store,
}

impl OwnDomainsService {
    /// On a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The domains, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(&self, scope: &OrgScope) -> Result<Vec<String>, StoreError> {
        self.store.read(scope, queries::own_domains).await
    }

    /// Puts these in the place of all, and returns them as they are kept. The same ones again leave no
    /// trace.
    ///
    /// # Errors
    /// [`CustomerError::Invalid`] by the rules for customers' domains, or the store's.
    pub async fn replace(
        &self,
        scope: &OrgScope,
        domains: Vec<String>,
    ) -> Result<Vec<String>, CustomerError> {
        let wanted: BTreeSet<String> = checked_domains(&domains)
            .map_err(CustomerError::Invalid)?
            .into_iter()
            .collect();
        let wanted: Vec<String> = wanted.into_iter().collect();
        self.store
            .write(scope, move |tx| {
                if queries::own_domains(tx)? == wanted {
                    return Ok(wanted);
                }
                // First, against the custom: the chain's head makes two who replace them at once follow
                // each other, so that the last one's list stands and not a mixture.
                audit::record(
                    tx,
                    Action::OrganizationDomainsChanged,
                    None,
                    json!({"domains": wanted}),
                )?;
                queries::replace_own_domains(tx, &wanted)?;
                Ok(wanted)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_covers_what_lies_under_it_and_no_more() {
        let own = OwnDomains::new(["msp.example".to_owned()]);
        for covered in ["msp.example", "mail.msp.example", "a.b.msp.example"] {
            assert!(own.covers(covered), "{covered}");
        }
        for other in ["example", "notmsp.example", "msp.example.com", ""] {
            assert!(!own.covers(other), "{other}");
        }
    }
}
