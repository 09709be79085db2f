//! Claims: which connection of the whole installation holds a tenant.
//!
//! A claim is written in the transaction of the proof and freed by revoke. A flow that is merely
//! pending claims nothing, so nobody can squat a tenant, and nobody who has not proven control learns
//! that a tenant is held (C13).

use super::queries;
use crate::{
    ids::{ConnectionId, OrgId, TenantId},
    store::{Global, StoreError},
};

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The connection holds the tenant.
    Held,
    /// Another organisation's connection does.
    HeldByAnother,
}

/// Claims a tenant for a connection that was just proven. A newer proof of the same organisation
/// takes the place of its older one.
pub(crate) fn take(
    tx: &mut Global<'_>,
    org: OrgId,
    tenant: TenantId,
    connection: ConnectionId,
) -> Result<Claim, StoreError> {
    if queries::insert_claim(tx, org, tenant, connection)?
        || queries::move_claim(tx, org, tenant, connection)?
    {
        Ok(Claim::Held)
    } else {
        Ok(Claim::HeldByAnother)
    }
}

/// Frees a tenant that this organisation holds.
pub(super) fn free(tx: &mut Global<'_>, org: OrgId, tenant: TenantId) -> Result<(), StoreError> {
    queries::delete_claim(tx, org, tenant)
}
