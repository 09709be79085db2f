//! One data set of one run: where it goes on, how a page of it is committed, how it ends.
//!
//! Ask outside, then one short transaction: lease, data, checkpoint and status together. What a step
//! needs to go on after a kill stands in its checkpoint; the data it speaks of was committed with it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize};

use super::{
    error::SyncError,
    queries::{self, DataSetChange, StoredDataSet},
    queue::Lease,
    run::{DataSetState, RunKind, Warning},
    status,
};
use crate::{
    access::OrgScope,
    failpoint::failpoint,
    ids::{SyncRunId, TenantId},
    microsoft::{
        data_set::DataSet,
        graph::{GraphSession, GraphUrl},
        meter::Meter,
        page::LinkGuard,
        throttle::Workload,
    },
    store::{Scoped, Store, StoreError},
};

/// What all data sets of a run share.
#[derive(Clone)]
pub(super) struct RunContext {
    pub(super) store: Store,
    pub(super) scope: OrgScope,
    pub(super) graph: GraphSession,
    pub(super) lease: Lease,
    pub(super) tenant: TenantId,
    pub(super) run: SyncRunId,
    pub(super) kind: RunKind,
    /// Whether this claim follows one that ended without progress.
    pub(super) attempt: i32,
}

/// Where a data set goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The full read under way; 0 while changes are read.
    pub(super) generation: i64,
    /// The next page; `None` when the pages are all in.
    pub(super) next_link: Option<String>,
    /// Taken before the full read: the next refresh begins there.
    pub(super) delta_link: Option<String>,
    /// Objects read since the read began.
    pub(super) read: i64,
    /// How many there will be.
    pub(super) expected: Option<i64>,
}

/// One data set at work.
pub(super) struct Step {
    pub(super) run: RunContext,
    pub(super) data_set: DataSet,
    pub(super) meter: Meter,
    /// What the database knew when this claim began.
    stored: StoredDataSet,
    processed: AtomicI64,
    warning: Mutex<Option<Warning>>,
}

impl Step {
    /// Reads where the data set stands.
    pub(super) async fn load(run: &RunContext, data_set: DataSet) -> Result<Self, SyncError> {
        let (tenant, id) = (run.tenant, run.run);
        let stored = run
            .store
            .read(&run.scope, move |tx| {
                queries::stored_data_set_of(tx, tenant, id, data_set)
            })
            .await?;
        Ok(Self {
            run: run.clone(),
            data_set,
            meter: Meter::default(),
            processed: AtomicI64::new(stored.processed),
            warning: Mutex::new(None),
            stored,
        })
    }

    /// Whether an earlier claim brought it to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.stored.state.is_some_and(DataSetState::has_ended)
    }

    /// Where an earlier claim stopped.
    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, SyncError> {
        match &self.stored.checkpoint {
            Some(text) => {
                let read = serde_json::from_str(text);
                Ok(Some(
                    read.or(Err(StoreError::Corrupt { what: "checkpoint" }))?,
                ))
            }
            None => Ok(None),
        }
    }

    /// Something worth knowing although the data set completes.
    pub(super) fn warn(&self, warning: Warning) {
        *self.warning.lock().unwrap_or_else(PoisonError::into_inner) = Some(warning);
    }

    /// Begins a full read: a new generation, committed before anything of it is stored.
    pub(super) async fn begin_full_read(&self) -> Result<i64, SyncError> {
        let (tenant, name) = (self.run.tenant, self.data_set.name());
        let checkpoint = self
            .commit(DataSetState::Running, Checkpoint::default(), move |tx| {
                Ok(Written {
                    generation: Some(queries::next_generation(tx, tenant, name)?),
                    new: 0,
                })
            })
            .await?;
        Ok(checkpoint.generation)
    }

    /// Stores a page with the checkpoint that follows it. `write` says how many objects the read had
    /// not seen before. Returns the checkpoint as it was stored.
    pub(super) async fn commit_page(
        &self,
        checkpoint: Checkpoint,
        write: impl FnOnce(&mut Scoped<'_>) -> Result<usize, SyncError> + Send + 'static,
    ) -> Result<Checkpoint, SyncError> {
        failpoint!("sync.before_page_commit");
        let stored = self
            .commit(DataSetState::Running, checkpoint, |tx| {
                let new = i64::try_from(write(tx)?).unwrap_or(i64::MAX);
                Ok(Written {
                    generation: None,
                    new,
                })
            })
            .await?;
        failpoint!("sync.after_page_commit");
        Ok(stored)
    }

    /// Ends the data set as complete. `write` does what belongs to that moment.
    pub(super) async fn complete(
        &self,
        checkpoint: Checkpoint,
        write: impl FnOnce(&mut Scoped<'_>) -> Result<(), SyncError> + Send + 'static,
    ) -> Result<(), SyncError> {
        failpoint!("sync.before_data_set_complete");
        self.commit(DataSetState::Completed, checkpoint, |tx| {
            write(tx).map(|()| Written::default())
        })
        .await
        .map(drop)
    }

    /// Stores something beside the pages, under the lease.
    pub(super) async fn write(
        &self,
        write: impl FnOnce(&mut Scoped<'_>) -> Result<(), SyncError> + Send + 'static,
    ) -> Result<(), SyncError> {
        let run = self.run.clone();
        self.run
            .store
            .write(&self.run.scope, move |tx| {
                run.lease.require_held(&mut tx.global())?;
                write(tx)
            })
            .await
    }

    /// Ends the data set as skipped or failed.
    pub(super) async fn end_with(
        &self,
        state: DataSetState,
        warning: Warning,
    ) -> Result<(), SyncError> {
        self.warn(warning);
        self.commit(state, Checkpoint::default(), |_| Ok(Written::default()))
            .await
            .map(drop)
    }

    async fn commit(
        &self,
        state: DataSetState,
        mut checkpoint: Checkpoint,
        write: impl FnOnce(&mut Scoped<'_>) -> Result<Written, SyncError> + Send + 'static,
    ) -> Result<Checkpoint, SyncError> {
        let run = self.run.clone();
        let (tenant, id, data_set) = (run.tenant, run.run, self.data_set);
        let mut change = self.change(state);
        let stored = run
            .store
            .clone()
            .write(&run.scope.clone(), move |tx| {
                run.lease.require_held(&mut tx.global())?;
                if !queries::may_go_on(tx, tenant, id)? {
                    return Err(SyncError::Cancelled);
                }
                let written = write(tx)?;
                if run.attempt > 1 {
                    queries::forget_attempts(&mut tx.global(), run.lease.item, run.lease.fence)?;
                }
                checkpoint.generation = written.generation.unwrap_or(checkpoint.generation);
                checkpoint.read = checkpoint.read.saturating_add(written.new);
                change.processed = change.processed.max(checkpoint.read);
                match state {
                    DataSetState::Completed => change.expected = Some(change.processed),
                    DataSetState::Running => {
                        change.expected = checkpoint.expected;
                        change.checkpoint = Some(write_checkpoint(&checkpoint)?);
                    }
                    DataSetState::Pending | DataSetState::Skipped | DataSetState::Failed => {}
                }
                queries::store_data_set(tx, tenant, id, data_set, &change)?;
                status::refresh(tx, tenant)?;
                Ok::<_, SyncError>((checkpoint, change.processed))
            })
            .await?;
        let (checkpoint, processed) = stored;
        self.processed.fetch_max(processed, Relaxed);
        Ok(checkpoint)
    }

    fn change(&self, state: DataSetState) -> DataSetChange {
        let reading = self.meter.read();
        let total =
            |before: i64, now: u64| before.saturating_add(i64::try_from(now).unwrap_or(i64::MAX));
        DataSetChange {
            state,
            processed: self.processed.load(Relaxed),
            expected: None,
            requests: total(self.stored.requests, reading.requests),
            retries: total(self.stored.retries, reading.retries),
            throttled_ms: total(self.stored.throttled_ms, reading.throttled_ms),
            warning: self
                .warning
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            checkpoint: None,
        }
    }

    /// Reads the pages of a collection: while one is written the next one is fetched. `decode` turns
    /// a body into what it says and how it is stored.
    pub(super) async fn read_pages<D>(
        &self,
        workload: Workload,
        first: GraphUrl,
        mut checkpoint: Checkpoint,
        decode: D,
    ) -> Result<Checkpoint, SyncError>
    where
        D: Fn(Vec<u8>) -> Result<DecodedPage, SyncError> + Clone + Send + 'static,
    {
        // Headers are not carried by a link: what the first page was asked with, all are.
        let eventual = first.is_eventual();
        let mut guard = LinkGuard::new();
        let mut body = self.run.graph.get(&first, workload, &self.meter).await?;
        loop {
            let page = off_thread(decode.clone(), body).await??;
            let next = match &page.next_link {
                Some(link) => {
                    guard.admit(link, page.items)?;
                    let next = self.run.graph.link(link)?;
                    Some(if eventual { next.eventual() } else { next })
                }
                None => None,
            };
            checkpoint.expected = checkpoint.expected.or(page.count);
            checkpoint.next_link = page.next_link;
            if page.delta_link.is_some() {
                checkpoint.delta_link = page.delta_link;
            }
            let fetch = async {
                match next {
                    Some(next) => Some(self.run.graph.get(&next, workload, &self.meter).await),
                    None => None,
                }
            };
            let (written, fetched) = tokio::join!(self.commit_page(checkpoint, page.write), fetch);
            checkpoint = written?;
            match fetched {
                Some(next) => body = next?,
                None => return Ok(checkpoint),
            }
        }
    }
}

/// Stores a page in the transaction it is given.
type WritePage = Box<dyn FnOnce(&mut Scoped<'_>) -> Result<usize, SyncError> + Send>;

/// What a page says, and how it is stored.
pub(super) struct DecodedPage {
    pub(super) items: usize,
    pub(super) count: Option<i64>,
    pub(super) next_link: Option<String>,
    pub(super) delta_link: Option<String>,
    /// Stores it, and says how many of its objects the read had not seen before.
    pub(super) write: WritePage,
}

/// What a transaction of a step did.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    /// The generation it began.
    generation: Option<i64>,
    /// Objects the read had not seen before.
    new: i64,
}

fn write_checkpoint(checkpoint: &Checkpoint) -> Result<String, StoreError> {
    serde_json::to_string(checkpoint).or(Err(StoreError::Corrupt { what: "checkpoint" }))
}

/// Decodes a body of perhaps a megabyte where it holds up no other tenant.
async fn off_thread<D>(
    decode: D,
    body: Vec<u8>,
) -> Result<Result<DecodedPage, SyncError>, SyncError>
where
    D: FnOnce(Vec<u8>) -> Result<DecodedPage, SyncError> + Send + 'static,
{
    match tokio::task::spawn_blocking(move || decode(body)).await {
        Ok(decoded) => Ok(decoded),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_stopping) => Err(SyncError::Cancelled),
        },
    }
}
