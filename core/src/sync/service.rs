//! What one may do with syncs: ask for one, look at them, end one.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::watch;

use super::{
    feed::{FeedPosition, StatusFeed},
    queries, queue,
    run::{RunKind, SyncRun},
    runs::{self, QueueRunError},
    status,
    worker::WakeUp,
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    ids::{SyncRunId, TenantId},
    microsoft::data_set::DataSet,
    store::{StatusSnapshot, Store, StoreError},
    tenants,
};

/// After this time without a completed run a tenant's data are stale.
pub(super) const STALE_AFTER: TimeDelta = TimeDelta::hours(6);

/// Why a wish about a sync was not met.
#[derive(Debug, thiserror::Error)]
pub enum SyncRequestError {
    /// The tenant or run is not there, or not in this organisation.
    #[error("not found")]
    NotFound,
    /// A run is queued or running.
    #[error("a run is under way: {0}")]
    AlreadyRunning(SyncRunId),
    /// The tenant has no proven connection.
    #[error("the tenant is not connected")]
    NotConnected,
    /// The run has ended already.
    #[error("the run has ended")]
    RunEnded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs, newest first.
#[derive(Debug)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<SyncRun>,
    /// The last of them, when there are more.
    pub next: Option<SyncRunId>,
    /// How many there are in all.
    pub total: i64,
}

/// A status document as it is at this moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// What is stored.
    pub snapshot: Arc<StatusSnapshot>,
    /// Whether the last completed run is too long ago.
    pub stale: bool,
    /// When it is worth asking again, in milliseconds.
    pub next_poll_after_ms: u32,
}

impl Status {
    /// What a snapshot says at a moment.
    pub(super) fn at(snapshot: Arc<StatusSnapshot>, now: DateTime<Utc>) -> Self {
        let next_poll_after_ms = if snapshot.active { 1_000 } else { 15_000 };
        Self {
            stale: is_stale(snapshot.last_completed_at, now),
            snapshot,
            next_poll_after_ms,
        }
    }

    /// The strong entity tag, the same in every process.
    pub fn etag(&self) -> String {
        format!(
            "\"{}{}\"",
            self.snapshot.version,
            if self.stale { "-stale" } else { "" }
        )
    }

    /// The document in the contract's shape.
    pub fn to_json(&self) -> String {
        let members = self.snapshot.document.strip_suffix('}').unwrap_or_default();
        format!(
            "{members},\"stale\":{},\"nextPollAfterMs\":{}}}",
            self.stale, self.next_poll_after_ms
        )
    }
}

/// Syncs, for callers.
#[derive(Clone)]
pub struct SyncService {
    store: Store,
    wake: WakeUp,
}

impl SyncService {
    /// Over this store; `wake` tells the workers of this process.
    pub fn new(store: Store, wake: WakeUp) -> Self {
        Self { store, wake }
    }

    /// Brings the status documents of an organisation into memory that other processes wrote: at the
    /// start, and again and again where several processes share a database.
    pub async fn load_status(&self, scope: &OrgScope) -> Result<(), StoreError> {
        status::load(&self.store, scope).await
    }

    /// Frees the work of processes that are surely dead: a SQLite file serves one process.
    pub async fn take_over_leases(&self) -> Result<usize, StoreError> {
        self.store.global(queue::release_all).await
    }

    /// Asks for a run over all data sets or the given ones. `complete` stores what belongs to the
    /// answer in the same transaction.
    pub async fn request_run(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        kind: RunKind,
        data_sets: Option<Vec<DataSet>>,
        complete: impl FnOnce(&mut crate::store::Scoped<'_>, SyncRunId) -> Result<(), StoreError>
        + Send
        + 'static,
    ) -> Result<SyncRunId, SyncRequestError> {
        let run = self
            .store
            .write(scope, move |tx| {
                if !tenants::exists(tx, tenant)? {
                    return Err(SyncRequestError::NotFound);
                }
                if tenants::load_connection(tx, tenant)?.is_none() {
                    return Err(SyncRequestError::NotConnected);
                }
                let run = match runs::queue_run(tx, tenant, kind, data_sets) {
                    Ok(run) => run,
                    Err(QueueRunError::AlreadyRunning(run)) => {
                        return Err(SyncRequestError::AlreadyRunning(run));
                    }
                    Err(QueueRunError::Store(error)) => return Err(error.into()),
                };
                complete(tx, run)?;
                let details = json!({"syncRunId": run, "kind": kind.as_str()});
                audit::record(tx, Action::SyncRequested, Some(tenant), details)?;
                Ok(run)
            })
            .await?;
        self.wake.work_is_there();
        Ok(run)
    }

    /// A tenant's runs, newest first.
    pub async fn runs(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        before: Option<SyncRunId>,
        limit: u16,
    ) -> Result<RunPage, SyncRequestError> {
        self.store
            .read(scope, move |tx| {
                if !tenants::exists(tx, tenant)? {
                    return Err(SyncRequestError::NotFound);
                }
                let mut runs = queries::runs(tx, tenant, before, i64::from(limit) + 1)?;
                let more = runs.len() > usize::from(limit);
                runs.truncate(usize::from(limit));
                let next = runs.last().map(|run| run.id).filter(|_| more);
                Ok(RunPage {
                    runs,
                    next,
                    total: queries::count_runs(tx, tenant)?,
                })
            })
            .await
    }

    /// One run.
    pub async fn run(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        run: SyncRunId,
    ) -> Result<SyncRun, SyncRequestError> {
        let found = self
            .store
            .read(scope, move |tx| queries::run(tx, tenant, run))
            .await?;
        found.ok_or(SyncRequestError::NotFound)
    }

    /// Ends a run that has not ended. What is stored stays.
    pub async fn cancel(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        run: SyncRunId,
    ) -> Result<SyncRun, SyncRequestError> {
        self.store
            .write(scope, move |tx| {
                let Some(before) = queries::run(tx, tenant, run)? else {
                    return Err(SyncRequestError::NotFound);
                };
                if before.state.has_ended()
                    || !runs::end_cancelled(tx, tenant, run, "a person ended the run")?
                {
                    return Err(SyncRequestError::RunEnded);
                }
                queries::run(tx, tenant, run)?.ok_or(SyncRequestError::NotFound)
            })
            .await
    }

    /// The status of a tenant, from memory.
    pub fn status(&self, scope: &OrgScope, tenant: TenantId) -> Result<Status, SyncRequestError> {
        let snapshot = self
            .store
            .board()
            .get(scope.org(), tenant)
            .ok_or(SyncRequestError::NotFound)?;
        Ok(self.at_present(snapshot))
    }

    /// Every later status of a tenant; the present one is there at once.
    pub fn watch_status(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
    ) -> Result<watch::Receiver<Arc<StatusSnapshot>>, SyncRequestError> {
        self.store
            .board()
            .watch(scope.org(), tenant)
            .ok_or(SyncRequestError::NotFound)
    }

    /// The status of every tenant and every later one, for a reader who is new or says how far it had
    /// come.
    pub fn feed(&self, scope: &OrgScope, last: Option<FeedPosition>) -> StatusFeed {
        StatusFeed::new(self.store.clone(), scope.org(), last)
    }

    /// A snapshot with what depends on the present moment.
    pub fn at_present(&self, snapshot: Arc<StatusSnapshot>) -> Status {
        Status::at(snapshot, self.store.clock().now())
    }
}

/// Whether a completed run is missing for too long. A tenant that never completed one is not stale:
/// it has nothing that could be.
fn is_stale(last_completed_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    last_completed_at.is_some_and(|last| now - last > STALE_AFTER)
}
