//! Beginning and ending runs, inside the caller's transaction.

use serde_json::json;
use uuid::Uuid;

use super::{
    queries,
    queue::{self, Task, Work, WorkKind},
    run::{DataSetState, RunKind, RunState, Warning},
    status,
};
use crate::{
    audit::{self, Action},
    ids::{SyncRunId, TenantId},
    measures::Fact,
    microsoft::data_set::DataSet,
    store::{Scoped, StoreError},
    tenants,
};

/// Why no run was queued.
#[derive(Debug, thiserror::Error)]
pub enum QueueRunError {
    /// One is queued or running.
    #[error("a run is under way: {0}")]
    AlreadyRunning(SyncRunId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Queues a run over all data sets or the given ones, for a worker to begin at once.
pub fn queue_run(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: RunKind,
    data_sets: Option<Vec<DataSet>>,
) -> Result<SyncRunId, QueueRunError> {
    if let Some(run) = queries::unfinished_run(tx, tenant)? {
        return Err(QueueRunError::AlreadyRunning(run));
    }
    let id = SyncRunId::from_uuid(Uuid::now_v7());
    let mut data_sets = data_sets.unwrap_or_else(|| DataSet::ALL.to_vec());
    data_sets.sort_unstable();
    data_sets.dedup();
    queries::insert_run(tx, id, tenant, kind, &data_sets)?;
    let work = Work {
        org: tx.org(),
        task: Task::Sync { tenant, run: id },
        due_at: tx.now(),
    };
    queue::enqueue(&mut tx.global(), work)?;
    status::refresh(tx, tenant)?;
    Ok(id)
}

/// Ends the run that is under way, if any, because the connection was revoked. Data that is stored
/// stays.
pub fn cancel_for_tenant(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<(), StoreError> {
    if let Some(run) = queries::unfinished_run(tx, tenant)? {
        end_cancelled(tx, tenant, run, "the connection was revoked")?;
    }
    Ok(())
}

/// Ends a run as cancelled and takes its work away: its worker finds the lease gone and stops. False:
/// it had ended before.
pub(super) fn end_cancelled(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    run: SyncRunId,
    because: &str,
) -> Result<bool, StoreError> {
    // The work item first, as every transaction of a worker does: so that the two never wait for each
    // other.
    queue::remove(&mut tx.global(), WorkKind::Sync, run.as_uuid())?;
    if !queries::end_run(tx, tenant, run, RunState::Cancelled)? {
        return Ok(false);
    }
    let warning = Warning::note("cancelled", format!("Not read to the end: {because}."));
    queries::end_open_data_sets(tx, tenant, run, DataSetState::Failed, &warning)?;
    count_end(tx, tenant, run)?;
    tenants::note_run_cancelled(tx, tenant)?;
    status::refresh(tx, tenant)?;
    audit::record(
        tx,
        Action::SyncCancelled,
        Some(tenant),
        json!({"syncRunId": run}),
    )?;
    Ok(true)
}

/// Counts a run that this transaction has ended, with its data sets, once that is committed.
pub(super) fn count_end(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    run: SyncRunId,
) -> Result<(), StoreError> {
    if let Some(run) = queries::run(tx, tenant, run)? {
        tx.count(Fact::RunEnded(run));
    }
    Ok(())
}
