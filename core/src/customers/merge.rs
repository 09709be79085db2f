//! Two customers that are one: made by hand and by a PSA, or by two PSAs.

use serde_json::json;

use super::{Customer, CustomerError, CustomerSource, following, model::MOST_DOMAINS, queries};
use crate::{
    audit::{self, Action},
    ids::CustomerId,
    store::Scoped,
    tenants,
};

/// Puts everything of `from` on `into`. What PSAs say about `from` stays its own record there; the fields
/// of `into` go on following the record that `into` came from.
pub(super) fn merge(
    tx: &mut Scoped<'_>,
    into: CustomerId,
    from: CustomerId,
) -> Result<Customer, CustomerError> {
    if into == from {
        return Err(CustomerError::SameCustomer);
    }
    let mut target = None;
    let mut source = None;
    for customer in queries::locked(tx, &[into, from])? {
        if customer.id == into {
            target = Some(customer);
        } else {
            source = Some(customer);
        }
    }
    let mut target = target.ok_or(CustomerError::NotFound)?;
    let mut source = source.ok_or(CustomerError::NotFound)?;
    if source.merged_into == Some(into) {
        return queries::find(tx, into)?.ok_or(CustomerError::NotFound);
    }
    if !target.active {
        return Err(CustomerError::NotActive);
    }
    let moved = tenants::move_to_customer(tx, from, into)?;
    queries::move_records(tx, from, into)?;
    queries::move_merged(tx, from, into)?;
    let mut added = false;
    for domain in &source.domains {
        if target.domains.len() < MOST_DOMAINS && !target.domains.contains(domain) {
            target.domains.push(domain.clone());
            added = true;
        }
    }
    // Otherwise the next word of the PSA would take them away again.
    target.manual.domains |= added && target.source != CustomerSource::Manual;
    source.active = false;
    source.merged_into = Some(into);
    for customer in [&mut target, &mut source] {
        customer.version += 1;
        customer.changed_at = tx.now();
    }
    queries::upsert(tx, &[target, source])?;
    following::follow(tx, &[into])?;
    let merged = queries::find(tx, into)?.ok_or(CustomerError::NotFound)?;
    let details = json!({"customerId": into, "fromCustomerId": from, "tenantIds": moved});
    audit::record(tx, Action::CustomerMerged, None, details)?;
    Ok(merged)
}
