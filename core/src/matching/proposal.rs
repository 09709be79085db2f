//! The customer of a tenant that is about to be connected, where nobody named one.

use serde_json::json;

use super::{
    score::{Candidate, MatchKind},
    service::picture_of,
    source::{ConnectedTenants, TenantFacts, TenantSource as _},
};
use crate::{
    audit::{self, Action},
    customers,
    ids::{CustomerId, TenantId},
    store::{Scoped, StoreError},
    tenants,
};

/// What is known about whose tenant it is.
pub(crate) enum Proposal {
    /// It is mapped already.
    Mapped(CustomerId),
    /// Exactly one match is certain.
    Certain(Candidate),
    /// A person has to say; these may be.
    Open(Vec<Candidate>),
}

/// Whose tenant this is. `typed` is the domain by which Microsoft found it, where one was typed: a verified
/// one, for Microsoft finds a tenant by no other.
pub(crate) fn propose(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    typed: Option<&str>,
) -> Result<Proposal, StoreError> {
    let mapped = tenants::customers_of(tx, &[tenant])?;
    let mapped = mapped.first().and_then(|(_, customer)| *customer);
    if let Some(customer) = mapped
        && customers::is_active(tx, customer)?
    {
        return Ok(Proposal::Mapped(customer));
    }
    let known = ConnectedTenants.facts(tx, &[tenant])?.into_iter().next();
    let mut facts = known.unwrap_or_else(|| TenantFacts::new(tenant, tenant.to_string()));
    if let Some(domain) = typed {
        facts.add_domain(domain);
    }
    let facts = [facts];
    let picture = picture_of(tx, &facts)?;
    let mut candidates: Vec<Candidate> = facts
        .iter()
        .flat_map(|facts| picture.candidates(facts))
        .collect();
    let certain = candidates
        .iter()
        .position(|candidate| candidate.certain)
        // Whom a person put it on is gone: a person says who is it now.
        .filter(|_| mapped.is_none());
    Ok(match certain {
        Some(position) => Proposal::Certain(candidates.swap_remove(position)),
        None => Proposal::Open(candidates),
    })
}

/// Records that a match was used because it was certain.
pub(crate) fn note_used(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    customer: CustomerId,
    evidence: &[MatchKind],
) -> Result<(), StoreError> {
    let evidence: Vec<&str> = evidence.iter().map(|kind| kind.as_str()).collect();
    audit::record(
        tx,
        Action::CustomerMatchConfirmed,
        Some(tenant),
        json!({"customerId": customer, "reason": "certain", "evidence": evidence}),
    )
}
