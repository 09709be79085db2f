//! The SQL of this room, visible to it only.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use tenantry_psa::ExternalId;

use super::{
    checkpoint::Checkpoint,
    run::{CustomerSyncKind, CustomerSyncRun},
};
use crate::{
    ids::{CustomerSyncRunId, OrgId, PsaConnectionId},
    psa::Trouble,
    store::{
        Scoped, StoreError, on_conn,
        schema::{customer_sync_runs as runs, customer_sync_states as states, psa_changes},
        types::StoredTime,
    },
    sync::run::{RunState, Warning},
};

/// States of a run that is under way.
const UNDER_WAY: [&str; 2] = [RunState::Queued.as_str(), RunState::Running.as_str()];

/// What outlives the runs of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// The last full read begun.
    pub(super) generation: i64,
    /// Where the next read of changes begins; none before a read was completed.
    pub(super) changes_since: Option<DateTime<Utc>>,
    /// When changes are read next.
    pub(super) next_incremental_at: DateTime<Utc>,
    /// When everything is read next.
    pub(super) next_full_at: DateTime<Utc>,
}

/// Begins the state of a connection, unless it is there.
pub(super) fn insert_state(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = (
        states::org_id.eq(tx.org()),
        states::connection_id.eq(connection),
        states::generation.eq(0),
        states::next_incremental_at.eq(StoredTime(due_at)),
        states::next_full_at.eq(StoredTime(due_at)),
        states::held_back.eq(0),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(states::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// What outlives the runs of a connection.
pub(super) fn state(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<Option<State>, StoreError> {
    let org = tx.org();
    let row: Option<(i64, Option<StoredTime>, StoredTime, StoredTime)> =
        on_conn!(tx.conn, |c| states::table
            .filter(states::org_id.eq(org))
            .filter(states::connection_id.eq(connection))
            .select((
                states::generation,
                states::changes_since,
                states::next_incremental_at,
                states::next_full_at,
            ))
            .first(c)
            .optional())?;
    Ok(row.map(|(generation, since, incremental, full)| State {
        generation,
        changes_since: since.map(|time| time.0),
        next_incremental_at: incremental.0,
        next_full_at: full.0,
    }))
}

/// Writes what outlives the runs of a connection.
pub(super) fn store_state(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    state: &State,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        states::table
            .filter(states::org_id.eq(org))
            .filter(states::connection_id.eq(connection))
    )
    .set((
        states::generation.eq(state.generation),
        states::changes_since.eq(state.changes_since.map(StoredTime)),
        states::next_incremental_at.eq(StoredTime(state.next_incremental_at)),
        states::next_full_at.eq(StoredTime(state.next_full_at)),
    ))
    .execute(c))?;
    Ok(())
}

/// Has changes read at this moment at the latest.
pub(super) fn read_changes_by(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (org, at) = (tx.org(), StoredTime(at));
    on_conn!(tx.conn, |c| diesel::update(
        states::table
            .filter(states::org_id.eq(org))
            .filter(states::connection_id.eq(connection))
            .filter(states::next_incremental_at.gt(at))
    )
    .set(states::next_incremental_at.eq(at))
    .execute(c))?;
    Ok(())
}

/// Has everything read at this moment at the latest.
pub(super) fn read_all_by(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (org, at) = (tx.org(), StoredTime(at));
    on_conn!(tx.conn, |c| diesel::update(
        states::table
            .filter(states::org_id.eq(org))
            .filter(states::connection_id.eq(connection))
            .filter(states::next_full_at.gt(at))
    )
    .set(states::next_full_at.eq(at))
    .execute(c))?;
    Ok(())
}

/// Keeps how many records' disappearance waits, and since which read; none of them for 0.
pub(super) fn store_held_back(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    held_back: i64,
    generation: i64,
) -> Result<(), StoreError> {
    let org = tx.org();
    let generation = (held_back > 0).then_some(generation);
    on_conn!(tx.conn, |c| diesel::update(
        states::table
            .filter(states::org_id.eq(org))
            .filter(states::connection_id.eq(connection))
    )
    .set((
        states::held_back.eq(held_back),
        states::held_back_generation.eq(generation),
    ))
    .execute(c))?;
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = psa_changes, treat_none_as_default_value = false)]
struct NewChange<'a> {
    org_id: OrgId,
    connection_id: PsaConnectionId,
    external_id: &'a str,
    noted_at: StoredTime,
}

/// Notes that records are to be read again.
pub(super) fn insert_changes(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[ExternalId],
) -> Result<(), StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    let mut ids: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewChange<'_>> = ids
        .into_iter()
        .map(|external_id| NewChange {
            org_id: org,
            connection_id: connection,
            external_id,
            noted_at: now,
        })
        .collect();
    on_conn!(tx.conn, |c| diesel::insert_into(psa_changes::table)
        .values(&rows)
        .on_conflict((
            psa_changes::org_id,
            psa_changes::connection_id,
            psa_changes::external_id,
        ))
        .do_update()
        .set(psa_changes::noted_at.eq(now))
        .execute(c))?;
    Ok(())
}

/// The records to read again, the first so many.
pub(super) fn changes(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    limit: i64,
) -> Result<Vec<ExternalId>, StoreError> {
    let org = tx.org();
    let ids: Vec<String> = on_conn!(tx.conn, |c| psa_changes::table
        .filter(psa_changes::org_id.eq(org))
        .filter(psa_changes::connection_id.eq(connection))
        .order(psa_changes::external_id)
        .limit(limit)
        .select(psa_changes::external_id)
        .load(c))?;
    Ok(ids.into_iter().map(ExternalId).collect())
}

/// Forgets records that a read which began at `before` has brought; with `ids` only these.
pub(super) fn delete_changes(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    before: DateTime<Utc>,
    ids: Option<&[ExternalId]>,
) -> Result<(), StoreError> {
    let (org, before) = (tx.org(), StoredTime(before));
    let ids: Option<Vec<&str>> = ids.map(|ids| ids.iter().map(|id| id.0.as_str()).collect());
    on_conn!(tx.conn, |c| {
        let mut query = diesel::delete(
            psa_changes::table
                .filter(psa_changes::org_id.eq(org))
                .filter(psa_changes::connection_id.eq(connection))
                .filter(psa_changes::noted_at.le(before)),
        )
        .into_boxed();
        if let Some(ids) = &ids {
            query = query.filter(psa_changes::external_id.eq_any(ids.clone()));
        }
        query.execute(c)
    })?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = runs)]
struct RunRow {
    id: CustomerSyncRunId,
    connection_id: PsaConnectionId,
    kind: String,
    state: String,
    since: Option<StoredTime>,
    processed: i64,
    expected: Option<i64>,
    created: i64,
    updated: i64,
    deactivated: i64,
    requests: i64,
    warning: Option<String>,
    error: Option<String>,
    created_at: StoredTime,
    started_at: Option<StoredTime>,
    finished_at: Option<StoredTime>,
}

impl RunRow {
    fn into_run(self) -> Result<CustomerSyncRun, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        let warning: Option<Warning> = self
            .warning
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .or(Err(corrupt("warning of a customer sync")))?;
        let error: Option<Trouble> = self
            .error
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .or(Err(corrupt("error of a customer sync")))?;
        Ok(CustomerSyncRun {
            id: self.id,
            connection: self.connection_id,
            kind: CustomerSyncKind::stored(&self.kind)?,
            state: RunState::stored(&self.state)?,
            since: self.since.map(|time| time.0),
            processed: self.processed,
            expected: self.expected,
            created: self.created,
            updated: self.updated,
            deactivated: self.deactivated,
            requests: self.requests,
            warning,
            error,
            created_at: self.created_at.0,
            started_at: self.started_at.map(|time| time.0),
            finished_at: self.finished_at.map(|time| time.0),
        })
    }
}

/// Stores a queued run.
pub(super) fn insert_run(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    id: CustomerSyncRunId,
    kind: CustomerSyncKind,
) -> Result<(), StoreError> {
    let row = (
        runs::org_id.eq(tx.org()),
        runs::connection_id.eq(connection),
        runs::id.eq(id),
        runs::kind.eq(kind.as_str()),
        runs::state.eq(RunState::Queued.as_str()),
        runs::created_at.eq(StoredTime(tx.now())),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(runs::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

/// The run that has not ended, with its checkpoint.
pub(super) fn unfinished(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<Option<(CustomerSyncRun, Option<Checkpoint>)>, StoreError> {
    let org = tx.org();
    let row: Option<(RunRow, Option<String>)> = on_conn!(tx.conn, |c| runs::table
        .filter(runs::org_id.eq(org))
        .filter(runs::connection_id.eq(connection))
        .filter(runs::state.eq_any(UNDER_WAY))
        .order(runs::id)
        .select((RunRow::as_select(), runs::checkpoint))
        .first(c)
        .optional())?;
    row.map(|(row, checkpoint)| {
        let checkpoint = checkpoint.as_deref().and_then(Checkpoint::stored);
        Ok((row.into_run()?, checkpoint))
    })
    .transpose()
}

/// One run.
pub(super) fn run(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    id: CustomerSyncRunId,
) -> Result<Option<CustomerSyncRun>, StoreError> {
    let org = tx.org();
    let row: Option<RunRow> = on_conn!(tx.conn, |c| runs::table
        .filter(runs::org_id.eq(org))
        .filter(runs::connection_id.eq(connection))
        .filter(runs::id.eq(id))
        .select(RunRow::as_select())
        .first(c)
        .optional())?;
    row.map(RunRow::into_run).transpose()
}

/// Runs, newest first.
pub(super) fn list(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    before: Option<CustomerSyncRunId>,
    limit: i64,
) -> Result<Vec<CustomerSyncRun>, StoreError> {
    let org = tx.org();
    let rows: Vec<RunRow> = on_conn!(tx.conn, |c| {
        let mut query = runs::table
            .filter(runs::org_id.eq(org))
            .filter(runs::connection_id.eq(connection))
            .into_boxed();
        if let Some(before) = before {
            query = query.filter(runs::id.lt(before));
        }
        query
            .order(runs::id.desc())
            .limit(limit)
            .select(RunRow::as_select())
            .load(c)
    })?;
    rows.into_iter().map(RunRow::into_run).collect()
}

/// How many runs a connection has.
pub(super) fn count(tx: &mut Scoped<'_>, connection: PsaConnectionId) -> Result<i64, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| runs::table
        .filter(runs::org_id.eq(org))
        .filter(runs::connection_id.eq(connection))
        .count()
        .get_result(c))?)
}

/// A queued run begins, or one whose checkpoint means nothing begins anew.
pub(super) fn start_run(
    tx: &mut Scoped<'_>,
    run: &CustomerSyncRun,
    checkpoint: &Checkpoint,
) -> Result<(), StoreError> {
    let org = tx.org();
    let checkpoint = checkpoint.to_text()?;
    on_conn!(tx.conn, |c| diesel::update(
        runs::table
            .filter(runs::org_id.eq(org))
            .filter(runs::connection_id.eq(run.connection))
            .filter(runs::id.eq(run.id))
            .filter(runs::state.eq_any(UNDER_WAY))
    )
    .set((
        runs::kind.eq(run.kind.as_str()),
        runs::state.eq(run.state.as_str()),
        runs::since.eq(run.since.map(StoredTime)),
        runs::started_at.eq(run.started_at.map(StoredTime)),
        runs::processed.eq(run.processed),
        runs::checkpoint.eq(Some(checkpoint)),
    ))
    .execute(c))?;
    Ok(())
}

/// Writes how far a run has come. False: it has ended.
pub(super) fn advance_run(
    tx: &mut Scoped<'_>,
    run: &CustomerSyncRun,
    checkpoint: &Checkpoint,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let checkpoint = checkpoint.to_text()?;
    let rows = on_conn!(tx.conn, |c| diesel::update(
        runs::table
            .filter(runs::org_id.eq(org))
            .filter(runs::connection_id.eq(run.connection))
            .filter(runs::id.eq(run.id))
            .filter(runs::state.eq(RunState::Running.as_str()))
    )
    .set((
        runs::processed.eq(run.processed),
        runs::expected.eq(run.expected),
        runs::created.eq(run.created),
        runs::updated.eq(run.updated),
        runs::deactivated.eq(run.deactivated),
        runs::requests.eq(run.requests),
        runs::checkpoint.eq(Some(checkpoint)),
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// How a run ends.
pub(super) struct End<'a> {
    /// As what.
    pub(super) state: RunState,
    /// What is worth knowing.
    pub(super) warning: Option<&'a Warning>,
    /// Why it failed.
    pub(super) error: Option<&'a Trouble>,
}

/// Ends a run. False: it has ended already.
pub(super) fn end_run(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    id: CustomerSyncRunId,
    end: &End<'_>,
) -> Result<bool, StoreError> {
    let corrupt = |what| StoreError::Corrupt { what };
    let warning = end.warning.map(serde_json::to_string).transpose();
    let warning = warning.or(Err(corrupt("warning of a customer sync")))?;
    let error = end.error.map(serde_json::to_string).transpose();
    let error = error.or(Err(corrupt("error of a customer sync")))?;
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    let rows = on_conn!(tx.conn, |c| diesel::update(
        runs::table
            .filter(runs::org_id.eq(org))
            .filter(runs::connection_id.eq(connection))
            .filter(runs::id.eq(id))
            .filter(runs::state.eq_any(UNDER_WAY))
    )
    .set((
        runs::state.eq(end.state.as_str()),
        runs::warning.eq(&warning),
        runs::error.eq(&error),
        runs::checkpoint.eq(None::<String>),
        runs::finished_at.eq(Some(now)),
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Lets a run that was to wait go on.
pub(super) fn end_pause(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<(), StoreError> {
    let Some((run, Some(mut checkpoint))) = unfinished(tx, connection)? else {
        return Ok(());
    };
    if checkpoint.pause.take().is_some() {
        advance_run(tx, &run, &checkpoint)?;
    }
    Ok(())
}

/// Forgets the runs that ended before the newest so many.
pub(super) fn forget_old_runs(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    kept: i64,
) -> Result<(), StoreError> {
    let org = tx.org();
    let oldest: Option<CustomerSyncRunId> = on_conn!(tx.conn, |c| runs::table
        .filter(runs::org_id.eq(org))
        .filter(runs::connection_id.eq(connection))
        .order(runs::id.desc())
        .offset(kept)
        .select(runs::id)
        .first(c)
        .optional())?;
    let Some(oldest) = oldest else {
        return Ok(());
    };
    on_conn!(tx.conn, |c| diesel::delete(
        runs::table
            .filter(runs::org_id.eq(org))
            .filter(runs::connection_id.eq(connection))
            .filter(runs::id.le(oldest))
            .filter(runs::finished_at.is_not_null())
    )
    .execute(c))?;
    Ok(())
}
