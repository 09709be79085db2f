//! One data set of one run: where it goes on, how a page of it is committed, how it ends.
//!
//! Ask outside, then one short transaction: lease, data, checkpoint and status together. What a step
//! needs to go on after a kill stands in its checkpoint; the data it speaks of was committed with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    checkpoint::{Checkpoint, Position},
    error::SyncError,
    pages::Stored,
    queries::{self, DataSetRecord},
    queue::Lease,
    run::{DataSetState, RunKind, Warning},
    status,
};
use crate::{
    access::OrgScope,
    failpoint::failpoint,
    ids::{SyncRunId, TenantId},
    microsoft::{
        connection::ConnectionHandle, data_set::DataSet, graph::GraphSession, meter::Meter,
    },
    store::{Scoped, Store},
};

/// What all data sets of a run share.
#[derive(Clone)]
pub(super) struct RunContext {
    pub(super) store: Store,
    pub(super) scope: OrgScope,
    pub(super) graph: GraphSession,
    /// The connection that is read through. By the end of the run it may be another's turn.
    pub(super) connection: ConnectionHandle,
    pub(super) lease: Lease,
    pub(super) tenant: TenantId,
    pub(super) run: SyncRunId,
    pub(super) kind: RunKind,
    /// Whether this claim follows one that ended without progress.
    pub(super) attempt: i32,
    /// Held by whoever commits: the data sets of a run write one after the other, so that a run needs
    /// one connection to the database, and each commit knows what the one before it stored.
    pub(super) committing: Arc<tokio::sync::Mutex<()>>,
}

/// One data set at work. Cheap to clone; clones are the same step.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) run: RunContext,
    pub(super) data_set: DataSet,
    pub(super) meter: Arc<Meter>,
    /// What the database knew when this claim began.
    stored: Arc<DataSetRecord>,
    now: Arc<Mutex<Standing>>,
}

/// What moves while a step works.
struct Standing {
    checkpoint: Checkpoint,
    /// Whether there is anything to go on from.
    begun: bool,
    /// Whether the data set has got its end.
    ended: bool,
    processed: i64,
    expected: Option<i64>,
    warning: Option<Warning>,
}

impl Step {
    /// Reads where the data set stands.
    pub(super) async fn load(run: &RunContext, data_set: DataSet) -> Result<Self, SyncError> {
        let (tenant, id) = (run.tenant, run.run);
        let stored = run
            .store
            .read(&run.scope, move |tx| {
                queries::data_set_record(tx, tenant, id, data_set)
            })
            .await?;
        let checkpoint = stored.checkpoint.as_deref().and_then(Checkpoint::stored);
        let standing = Standing {
            begun: checkpoint.is_some(),
            ended: stored.state.has_ended(),
            checkpoint: checkpoint.unwrap_or_default(),
            processed: stored.processed,
            expected: stored.expected,
            warning: stored.warning.clone(),
        };
        Ok(Self {
            run: run.clone(),
            data_set,
            meter: Arc::default(),
            now: Arc::new(Mutex::new(standing)),
            stored: Arc::new(stored),
        })
    }

    /// Whether an earlier claim brought it to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.stored.state.has_ended()
    }

    /// Where it stands; `None` before anything was begun.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        let now = self.now();
        now.begun.then(|| now.checkpoint.clone())
    }

    /// What is read next.
    pub(super) fn position(&self) -> Position {
        self.now().checkpoint.position.clone()
    }

    /// The full read under way; 0 while changes are read.
    pub(super) fn generation(&self) -> i64 {
        self.now().checkpoint.generation
    }

    /// Corrects what the next commit will store, once those under way are through.
    pub(super) async fn prepare(&self, correct: impl FnOnce(&mut Checkpoint)) {
        let _one_at_a_time = self.run.committing.lock().await;
        let mut now = self.now();
        correct(&mut now.checkpoint);
        now.begun = true;
    }

    /// Something worth knowing although the data set completes.
    pub(super) fn warn(&self, warning: Warning) {
        self.now().warning = Some(warning);
    }

    fn now(&self) -> MutexGuard<'_, Standing> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with the full read under way, or begins one: a new generation, committed before
    /// anything of it is stored. Returns the generation.
    pub(super) async fn full_read(&self) -> Result<i64, SyncError> {
        match self.checkpoint() {
            Some(checkpoint) if checkpoint.generation > 0 => Ok(checkpoint.generation),
            Some(_) | None => self.begin_full_read().await,
        }
    }

    /// Begins a full read, whatever was under way.
    pub(super) async fn begin_full_read(&self) -> Result<i64, SyncError> {
        let (tenant, name) = (self.run.tenant, self.data_set.name());
        let anew = |checkpoint: &mut Checkpoint| *checkpoint = Checkpoint::default();
        self.commit(DataSetState::Running, anew, move |tx| {
            Ok(Written {
                generation: Some(queries::next_generation(tx, tenant, name)?),
                page: Stored::default(),
            })
        })
        .await?;
        Ok(self.now().checkpoint.generation)
    }

    /// Stores a page, and that the data set has got as far as `advance` says.
    pub(super) async fn commit_page(
        &self,
        advance: impl FnOnce(&mut Checkpoint) + Send + 'static,
        write: impl FnOnce(&mut Scoped<'_>) -> Result<Stored, SyncError> + Send + 'static,
    ) -> Result<(), SyncError> {
        failpoint!("sync.before_page_commit");
        self.commit(DataSetState::Running, advance, |tx| {
            let page = write(tx)?;
            failpoint!("sync.inside_page_commit");
            Ok(Written {
                generation: None,
                page,
            })
        })
        .await?;
        failpoint!("sync.after_page_commit");
        Ok(())
    }

    /// Ends the data set as complete. `write` does what belongs to that moment.
    pub(super) async fn complete(
        &self,
        write: impl FnOnce(&mut Scoped<'_>) -> Result<(), SyncError> + Send + 'static,
    ) -> Result<(), SyncError> {
        failpoint!("sync.before_data_set_complete");
        self.commit(
            DataSetState::Completed,
            |_| {},
            |tx| write(tx).map(|()| Written::default()),
        )
        .await
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
        self.commit(state, |_| {}, |_| Ok(Written::default())).await
    }

    /// Commits on a task of its own: whoever asked for it may be dropped when another part of the run
    /// fails, but a transaction runs on, and what comes after it must know of it.
    async fn commit(
        &self,
        state: DataSetState,
        advance: impl FnOnce(&mut Checkpoint) + Send + 'static,
        write: impl FnOnce(&mut Scoped<'_>) -> Result<Written, SyncError> + Send + 'static,
    ) -> Result<(), SyncError> {
        let step = self.clone();
        let committed =
            tokio::spawn(async move { step.commit_in_turn(state, advance, write).await });
        match committed.await {
            Ok(committed) => committed,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_stopping) => Err(SyncError::Cancelled),
            },
        }
    }

    async fn commit_in_turn(
        &self,
        state: DataSetState,
        advance: impl FnOnce(&mut Checkpoint),
        write: impl FnOnce(&mut Scoped<'_>) -> Result<Written, SyncError> + Send + 'static,
    ) -> Result<(), SyncError> {
        let _one_at_a_time = self.run.committing.lock().await;
        // A page of a part that was under way when another part failed: the data set has its end.
        if self.now().ended {
            return Ok(());
        }
        let run = self.run.clone();
        let (tenant, id, data_set) = (run.tenant, run.run, self.data_set);
        let before = self.now().checkpoint.clone();
        let (mut checkpoint, mut change) = self.change(state, advance);
        let (checkpoint, change) = run
            .store
            .clone()
            .write(&run.scope.clone(), move |tx| {
                run.lease.require_held(&mut tx.global())?;
                if !queries::may_go_on(tx, tenant, id)? {
                    return Err(SyncError::Cancelled);
                }
                let written = write(tx)?;
                checkpoint.generation = written.generation.unwrap_or(checkpoint.generation);
                let new = i64::try_from(written.page.new).unwrap_or(i64::MAX);
                checkpoint.read = checkpoint.read.saturating_add(new);
                checkpoint.returned.extend(written.page.returned);
                // Only what moves the run on: pages that come again and again do not.
                if run.attempt > 1 && (checkpoint != before || state.has_ended()) {
                    queries::forget_attempts(&mut tx.global(), run.lease.item, run.lease.fence)?;
                }
                change.processed = change.processed.max(checkpoint.read);
                if state.has_ended() {
                    change.expected = Some(change.processed);
                } else {
                    change.checkpoint = Some(checkpoint.to_text()?);
                }
                queries::store_data_set(tx, tenant, id, data_set, &change)?;
                status::refresh(tx, tenant)?;
                Ok::<_, SyncError>((checkpoint, change))
            })
            .await?;
        let mut now = self.now();
        now.begun = true;
        now.ended = state.has_ended();
        now.checkpoint = checkpoint;
        now.processed = change.processed;
        now.expected = change.expected;
        Ok(())
    }

    /// What a commit would store if its transaction wrote nothing.
    fn change(
        &self,
        state: DataSetState,
        advance: impl FnOnce(&mut Checkpoint),
    ) -> (Checkpoint, DataSetRecord) {
        let now = self.now();
        let mut checkpoint = now.checkpoint.clone();
        advance(&mut checkpoint);
        let reading = self.meter.read();
        let total =
            |before: i64, now: u64| before.saturating_add(i64::try_from(now).unwrap_or(i64::MAX));
        let change = DataSetRecord {
            state,
            processed: now.processed,
            // A read that begins anew keeps what an earlier one knew, until it knows better.
            expected: checkpoint.expected.or(now.expected),
            requests: total(self.stored.requests, reading.requests),
            retries: total(self.stored.retries, reading.retries),
            throttled_ms: total(self.stored.throttled_ms, reading.throttled_ms),
            warning: now.warning.clone(),
            checkpoint: None,
        };
        (checkpoint, change)
    }
}

/// What a transaction of a step did.
#[derive(Debug, Default)]
struct Written {
    /// The generation it began.
    generation: Option<i64>,
    page: Stored,
}
