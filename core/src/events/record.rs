//! Writing events, and what was last told of a tenant.

use uuid::Uuid;

use super::{EventKind, NewEvent, queries};
use crate::{
    ids::{EventId, TenantId},
    store::{Scoped, StoreError},
    tickets,
};

/// Writes an event, and lets the work for tickets look at once. To be called before the audit is
/// recorded: the queue's rows are locked here, and whoever works for tickets locks the audit's chain after
/// them.
pub(crate) fn record(tx: &mut Scoped<'_>, event: &NewEvent) -> Result<(), StoreError> {
    queries::insert(tx, EventId::from_uuid(Uuid::now_v7()), event)?;
    tickets::wake(tx)
}

/// Which of some kinds was last told of a tenant, as far as events are kept.
pub(crate) fn last_of(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kinds: &[EventKind],
) -> Result<Option<EventKind>, StoreError> {
    let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let last = queries::last_kind(tx, tenant, &words)?;
    Ok(last.and_then(|last| kinds.iter().copied().find(|kind| kind.as_str() == last)))
}
