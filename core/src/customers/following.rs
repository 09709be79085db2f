//! Customers follow the PSA record that they came from, in all fields that no person wrote.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Customer, CustomerSource, PsaRecord, RecordState, model::MOST_DOMAINS, queries,
    record::customer_name,
};
use crate::{
    ids::{CustomerId, PsaConnectionId},
    store::{Scoped, StoreError},
};

/// Which customers became others.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Changed in any way.
    pub(super) changed: BTreeSet<CustomerId>,
    /// Those of them that were deactivated.
    pub(super) deactivated: BTreeSet<CustomerId>,
}

/// Brings customers to what their records say. One that has tenants is deactivated all the same: that it is
/// no customer any more is the PSA's word, and what happens to its tenants a person's.
pub(super) fn follow(tx: &mut Scoped<'_>, ids: &[CustomerId]) -> Result<Followed, StoreError> {
    let mut records: BTreeMap<CustomerId, Vec<PsaRecord>> = BTreeMap::new();
    let before = queries::locked(tx, ids)?;
    let ids: Vec<CustomerId> = before.iter().map(|customer| customer.id).collect();
    for (customer, record) in queries::records_of(tx, &ids)? {
        records.entry(customer).or_default().push(record);
    }
    let leading: Vec<(Customer, PsaRecord, bool)> = before
        .into_iter()
        .filter_map(|customer| {
            let own = records.remove(&customer.id)?;
            let active = own.iter().any(|one| one.state == RecordState::Active);
            let leads = own.into_iter().find(|one| leads(one, &customer))?;
            Some((customer, leads, active))
        })
        .collect();
    let sites = websites(tx, &leading)?;
    let mut followed = Followed::default();
    let mut after = Vec::new();
    for (before, record, active) in leading {
        let mut now = before.clone();
        if !now.manual.name {
            now.name = customer_name(&record.name, &record.external_id);
        }
        if !now.manual.domains {
            let key = (record.connection, record.external_id);
            now.domains = sites.get(&key).cloned().unwrap_or_default();
        }
        if !now.manual.active {
            now.active = active;
        }
        if now == before {
            continue;
        }
        now.version += 1;
        now.changed_at = tx.now();
        followed.changed.insert(now.id);
        if before.active && !now.active {
            followed.deactivated.insert(now.id);
        }
        after.push(now);
    }
    queries::upsert(tx, &after)?;
    Ok(followed)
}

/// Whether a customer came from this record, by whatever connection to the same system.
fn leads(record: &PsaRecord, customer: &Customer) -> bool {
    customer.source == CustomerSource::of(record.kind)
        && customer.source_system.as_deref() == Some(record.system.as_str())
        && customer.external_id.as_deref() == Some(record.external_id.as_str())
}

type Sites = BTreeMap<(PsaConnectionId, String), Vec<String>>;

/// The domains of websites that the leading records name.
fn websites(
    tx: &mut Scoped<'_>,
    leading: &[(Customer, PsaRecord, bool)],
) -> Result<Sites, StoreError> {
    let mut asked: BTreeMap<PsaConnectionId, Vec<&str>> = BTreeMap::new();
    for (customer, record, _) in leading {
        if !customer.manual.domains {
            let ids = asked.entry(record.connection).or_default();
            ids.push(record.external_id.as_str());
        }
    }
    let mut sites = Sites::new();
    for (connection, ids) in asked {
        for (external_id, domain) in queries::website_hints(tx, connection, &ids)? {
            let domains = sites.entry((connection, external_id)).or_default();
            if domains.len() < MOST_DOMAINS {
                domains.push(domain);
            }
        }
    }
    Ok(sites)
}
