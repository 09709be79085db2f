//! Revoking a tenant: local, complete and at once (D1).

use serde_json::json;

use super::{claims, model::TenantStatus, queries, service::TenantsError};
use crate::{
    audit::{self, Action},
    consent,
    events::{self, EventKind, NewEvent},
    ids::{ConnectionId, TenantId},
    store::Scoped,
    sync::{queue, runs, status},
};

/// Takes a tenant's access away in the caller's transaction: data keys and what they sealed, links and
/// states, claim, work and runs. Returns the connections whose tokens have to leave the memory; none
/// when the tenant was revoked before, which changes nothing.
pub(super) fn revoke(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    version: Option<i64>,
) -> Result<Vec<ConnectionId>, TenantsError> {
    let Some(before) = queries::find(tx, tenant)? else {
        return Err(TenantsError::TenantNotFound);
    };
    if before.status == TenantStatus::Revoked {
        return Ok(Vec::new());
    }
    // The queue first, as every transaction of a worker does: so that the two never wait for each other.
    let org = tx.org();
    queue::remove_for_tenant(&mut tx.global(), org, tenant)?;
    if !queries::lock(tx, tenant, version)? {
        return Err(TenantsError::VersionMismatch);
    }
    if !queries::set_revoked(tx, tenant)? {
        return Ok(Vec::new());
    }
    let erased = consent::erase_for_tenant(tx, tenant)?;
    tx.leave_no_trace();
    claims::free(&mut tx.global(), org, tenant)?;
    // Before what ends the run, for that is audited.
    let event = NewEvent {
        kind: EventKind::TenantRevoked,
        tenant: Some(tenant),
        customer: before.customer,
        document: json!({"statusBefore": before.status.as_str()}),
    };
    events::record(tx, &event)?;
    runs::cancel_for_tenant(tx, tenant)?;
    status::refresh(tx, tenant)?;
    let details =
        json!({"statusBefore": before.status.as_str(), "connectionsErased": erased.len()});
    audit::record(tx, Action::TenantRevoked, Some(tenant), details)?;
    Ok(erased)
}
