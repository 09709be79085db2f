//! Beginning and ending runs, inside the caller's transaction.

use serde_json::json;
use uuid::Uuid;

use super::{
    checkpoint::{Checkpoint, Position},
    queries::{self, End, State},
    run::{CustomerSyncKind, CustomerSyncRun},
    schedule::{self, Due, MOST_NAMED},
};
use crate::{
    audit::{self, Action},
    ids::{CustomerSyncRunId, PsaConnectionId},
    measures::Fact,
    psa::{self, PsaConnection},
    store::{Scoped, StoreError},
    sync::{
        queue::{self, ClaimedWork},
        run::RunState,
    },
};

/// Runs of a connection that are kept.
const KEPT: i64 = 500;

/// A run that a worker is at.
pub(super) struct Begun {
    pub(super) connection: PsaConnection,
    pub(super) run: CustomerSyncRun,
    pub(super) checkpoint: Checkpoint,
    /// Which claim of this run it is since it last moved on, from 1.
    pub(super) attempt: i32,
}

/// Decides what a claim is for: the run that is under way or was asked for, or what is due. None: nothing,
/// and the work was given back.
pub(super) fn begin(
    tx: &mut Scoped<'_>,
    work: &ClaimedWork,
    id: PsaConnectionId,
) -> Result<Option<Begun>, StoreError> {
    if !work.lease.is_held(&mut tx.global())? {
        return Ok(None);
    }
    let Some(connection) = psa::find(tx, id)? else {
        schedule::connection_deleted(tx, id)?;
        return Ok(None);
    };
    let now = tx.now();
    if let Some((mut run, checkpoint)) = queries::unfinished(tx, id)? {
        if let Some(pause) = checkpoint.as_ref().and_then(|one| one.pause.as_ref())
            && pause.until > now
        {
            queue::rest(&mut tx.global(), work, pause.until)?;
            return Ok(None);
        }
        let was_queued = run.state == RunState::Queued;
        let fitting = checkpoint.filter(|one| one.types == connection.settings.customer_types);
        let checkpoint = match fitting {
            Some(checkpoint) => checkpoint,
            None => prepare(tx, &connection, &mut run, None)?,
        };
        let attempt = if was_queued {
            queue::begin_counting(&mut tx.global(), work.lease)?;
            1
        } else {
            work.attempt
        };
        return Ok(Some(Begun {
            connection,
            run,
            checkpoint,
            attempt,
        }));
    }
    let limit = i64::try_from(MOST_NAMED)
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    let named = queries::changes(tx, id, limit)?;
    let state = state_of(tx, id)?;
    let (kind, named) = match schedule::due(&connection, &state, named, now) {
        Due::Nothing(until) => {
            queue::rest(&mut tx.global(), work, until)?;
            return Ok(None);
        }
        Due::Read(kind) => (kind, None),
        Due::Named(ids) => (CustomerSyncKind::Incremental, Some(ids)),
    };
    let run = CustomerSyncRunId::from_uuid(Uuid::now_v7());
    queries::insert_run(tx, id, run, kind)?;
    let mut run = queries::run(tx, id, run)?.ok_or(StoreError::NotFound)?;
    let checkpoint = prepare(tx, &connection, &mut run, named.map(Position::Named))?;
    // A claim that only looked may have been dropped on its way, and counted.
    queue::begin_counting(&mut tx.global(), work.lease)?;
    Ok(Some(Begun {
        connection,
        run,
        checkpoint,
        attempt: 1,
    }))
}

/// Begins what a run reads, or begins it anew: a full read as a new generation. Where no read was completed
/// yet there is nothing that changes could follow, and everything is read.
pub(super) fn prepare(
    tx: &mut Scoped<'_>,
    connection: &PsaConnection,
    run: &mut CustomerSyncRun,
    named: Option<Position>,
) -> Result<Checkpoint, StoreError> {
    let now = tx.now();
    let mut state = state_of(tx, connection.id)?;
    if state.changes_since.is_none() {
        run.kind = CustomerSyncKind::Full;
    }
    run.since = None;
    if named.is_none() {
        state.next_incremental_at = now + schedule::incremental_every(&connection.settings);
        match run.kind {
            CustomerSyncKind::Full => {
                state.generation += 1;
                state.next_full_at = now + schedule::full_every(&connection.settings);
            }
            CustomerSyncKind::Incremental => run.since = state.changes_since,
        }
        queries::store_state(tx, connection.id, &state)?;
    }
    run.state = RunState::Running;
    run.started_at = run.started_at.or(Some(now));
    run.processed = 0;
    let checkpoint = Checkpoint {
        generation: state.generation,
        position: named.unwrap_or_default(),
        types: connection.settings.customer_types.clone(),
        ..Checkpoint::default()
    };
    queries::start_run(tx, run, &checkpoint)?;
    Ok(checkpoint)
}

/// What outlives the runs of a connection; made where it is missing.
pub(super) fn state_of(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<State, StoreError> {
    if let Some(state) = queries::state(tx, connection)? {
        return Ok(state);
    }
    let now = tx.now();
    queries::insert_state(tx, connection, now)?;
    queries::state(tx, connection)?.ok_or(StoreError::NotFound)
}

/// Ends a run, counts it and audits it. False: it had ended before.
pub(super) fn end(
    tx: &mut Scoped<'_>,
    connection: &PsaConnection,
    run: CustomerSyncRunId,
    end: &End<'_>,
) -> Result<bool, StoreError> {
    if !queries::end_run(tx, connection.id, run, end)? {
        return Ok(false);
    }
    queries::forget_old_runs(tx, connection.id, KEPT)?;
    tx.count(Fact::CustomerSyncEnded(connection.kind, end.state));
    let Some(ended) = queries::run(tx, connection.id, run)? else {
        return Err(StoreError::NotFound);
    };
    let action = if end.state.is_complete() {
        Action::CustomerSyncCompleted
    } else {
        Action::CustomerSyncFailed
    };
    let details = json!({
        "connectionId": connection.id,
        "syncRunId": run,
        "kind": ended.kind.as_str(),
        "state": end.state.as_str(),
        "created": ended.created,
        "updated": ended.updated,
        "deactivated": ended.deactivated,
        "code": end.error.map(|error| error.code.as_str()),
    });
    audit::record(tx, action, None, details)?;
    Ok(true)
}
