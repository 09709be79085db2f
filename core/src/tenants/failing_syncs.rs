//! Telling of tenants that should be read and are not: once when that has lasted for a day, and once when a
//! run completes again.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{model::SYNC_FAILING_AFTER, notes, queries};
use crate::{
    access::OrgScope,
    events::{self, EventKind},
    ids::TenantId,
    store::{Scoped, Store, StoreError},
};

/// Between them they say what was told last.
const KINDS: [EventKind; 2] = [EventKind::TenantSyncFailing, EventKind::TenantSyncRestored];

/// Looks for tenants of an organisation whose syncs fail, and tells of those that were not told of. Returns
/// of how many.
///
/// # Errors
/// The store's.
pub async fn note_failing_syncs(store: &Store, scope: &OrgScope) -> Result<usize, StoreError> {
    let failing = store
        .read(scope, move |tx| {
            let moment = tx.now() - SYNC_FAILING_AFTER;
            queries::unread_since_before(tx, moment)
        })
        .await?;
    let mut told = 0;
    for tenant in failing {
        let is_new = store
            .write(scope, move |tx| note_failing(tx, tenant))
            .await?;
        told += usize::from(is_new);
    }
    Ok(told)
}

fn note_failing(tx: &mut Scoped<'_>, id: TenantId) -> Result<bool, StoreError> {
    // Held, so that two processes that look at once tell once.
    queries::hold(tx, id)?;
    let Some(tenant) = queries::find(tx, id)? else {
        return Ok(false);
    };
    let was_told = events::last_of(tx, id, &KINDS)? == Some(EventKind::TenantSyncFailing);
    if was_told || !tenant.is_sync_failing(tx.now()) {
        return Ok(false);
    }
    let document = json!({
        "lastCompletedAt": tenant.last_completed_at,
        "code": tenant.connection_error_code(),
    });
    notes::tell(tx, EventKind::TenantSyncFailing, id, document)?;
    Ok(true)
}

/// A run completed: says so where it was told that none does.
pub(super) fn note_restored(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if events::last_of(tx, tenant, &KINDS)? != Some(EventKind::TenantSyncFailing) {
        return Ok(());
    }
    let document = json!({"lastCompletedAt": at});
    notes::tell(tx, EventKind::TenantSyncRestored, tenant, document)
}
