//! Writing the audit: in the transaction of the act, or the act does not happen.

use serde_json::Value;
use uuid::Uuid;

use super::{Action, canonical::canonical_json, chain::AuditRecord, queries};
use crate::{
    ids::{AuditEventId, TenantId},
    measures::Fact,
    store::{Scoped, StoreError},
};

/// Appends an event to the organisation's chain. To be called last in a transaction, for it holds the
/// chain's head from here to the commit.
pub fn record(
    tx: &mut Scoped<'_>,
    action: Action,
    tenant: Option<TenantId>,
    details: Value,
) -> Result<(), StoreError> {
    let head = queries::lock_head(tx)?;
    let previous = head
        .hash
        .as_slice()
        .try_into()
        .or(Err(StoreError::Corrupt { what: "audit head" }))?;
    let details = canonical_json(&details).or(Err(StoreError::Corrupt {
        what: "audit details",
    }))?;
    let record = AuditRecord {
        org: tx.org(),
        sequence: head.sequence + 1,
        id: AuditEventId::from_uuid(Uuid::now_v7()),
        at: tx.now(),
        actor_type: tx.scope().actor().kind().to_owned(),
        actor_id: tx.scope().actor().id(),
        request_id: tx.scope().request_id(),
        action: action.as_str().to_owned(),
        tenant_id: tenant,
        details,
    };
    let hash = record.hash(&previous).or(Err(StoreError::Corrupt {
        what: "audit details",
    }))?;
    queries::append(tx, &record, &hash)?;
    tx.count(Fact::AuditEvent);
    Ok(())
}
