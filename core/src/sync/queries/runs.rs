//! The SQL of runs.

use diesel::prelude::*;

use super::data_sets::data_sets_of;
use crate::{
    ids::{SyncRunId, TenantId},
    microsoft::data_set::DataSet,
    store::{
        Scoped, StoreError, on_conn,
        schema::{sync_run_data_sets, sync_runs},
        types::StoredTime,
    },
    sync::run::{DataSetState, RunDataSet, RunKind, RunState, SyncRun, WHOLE},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = sync_runs)]
struct RunRow {
    id: SyncRunId,
    tenant_id: TenantId,
    kind: String,
    state: String,
    progress: i64,
    created_at: StoredTime,
    started_at: Option<StoredTime>,
    finished_at: Option<StoredTime>,
}

impl RunRow {
    fn into_run(self, data_sets: Vec<RunDataSet>) -> Result<SyncRun, StoreError> {
        Ok(SyncRun {
            id: self.id,
            tenant: self.tenant_id,
            kind: RunKind::stored(&self.kind)?,
            state: RunState::stored(&self.state)?,
            progress: self.progress,
            created_at: self.created_at.0,
            started_at: self.started_at.map(|time| time.0),
            finished_at: self.finished_at.map(|time| time.0),
            data_sets,
        })
    }
}

pub(in crate::sync) fn insert_run(
    tx: &mut Scoped<'_>,
    id: SyncRunId,
    tenant: TenantId,
    kind: RunKind,
    data_sets: &[DataSet],
) -> Result<(), StoreError> {
    let org = tx.org();
    let now = StoredTime(tx.now());
    let run = (
        sync_runs::org_id.eq(org),
        sync_runs::tenant_id.eq(tenant),
        sync_runs::id.eq(id),
        sync_runs::kind.eq(kind.as_str()),
        sync_runs::state.eq(RunState::Queued.as_str()),
        sync_runs::created_at.eq(now),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(sync_runs::table)
        .values(run)
        .execute(c))?;
    for (position, data_set) in (0_i32..).zip(data_sets) {
        let row = (
            sync_run_data_sets::org_id.eq(org),
            sync_run_data_sets::tenant_id.eq(tenant),
            sync_run_data_sets::run_id.eq(id),
            sync_run_data_sets::name.eq(data_set.name()),
            sync_run_data_sets::position.eq(position),
            sync_run_data_sets::state.eq(DataSetState::Pending.as_str()),
        );
        on_conn!(tx.conn, |c| diesel::insert_into(sync_run_data_sets::table)
            .values(row)
            .execute(c))?;
    }
    Ok(())
}

/// The run that has not ended yet, if any.
pub(in crate::sync) fn unfinished_run(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<Option<SyncRunId>, StoreError> {
    let org = tx.org();
    let open = [RunState::Queued.as_str(), RunState::Running.as_str()];
    Ok(on_conn!(tx.conn, |c| sync_runs::table
        .filter(sync_runs::org_id.eq(org))
        .filter(sync_runs::tenant_id.eq(tenant))
        .filter(sync_runs::state.eq_any(open))
        .select(sync_runs::id)
        .first::<SyncRunId>(c)
        .optional())?)
}

/// A run with its data sets.
pub(in crate::sync) fn run(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    id: SyncRunId,
) -> Result<Option<SyncRun>, StoreError> {
    let org = tx.org();
    let row = on_conn!(tx.conn, |c| sync_runs::table
        .filter(sync_runs::org_id.eq(org))
        .filter(sync_runs::tenant_id.eq(tenant))
        .filter(sync_runs::id.eq(id))
        .select(RunRow::as_select())
        .first(c)
        .optional())?;
    match row {
        Some(row) => {
            let data_sets = data_sets_of(tx, tenant, &[id])?
                .into_iter()
                .map(|(_, data_set)| data_set)
                .collect();
            Ok(Some(row.into_run(data_sets)?))
        }
        None => Ok(None),
    }
}

/// Runs, newest first, before `before`.
pub(in crate::sync) fn runs(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    before: Option<SyncRunId>,
    limit: i64,
) -> Result<Vec<SyncRun>, StoreError> {
    let org = tx.org();
    let rows: Vec<RunRow> = on_conn!(tx.conn, |c| {
        let mut query = sync_runs::table
            .filter(sync_runs::org_id.eq(org))
            .filter(sync_runs::tenant_id.eq(tenant))
            .into_boxed();
        if let Some(before) = before {
            query = query.filter(sync_runs::id.lt(before));
        }
        query
            .order(sync_runs::id.desc())
            .limit(limit)
            .select(RunRow::as_select())
            .load(c)
    })?;
    let ids: Vec<SyncRunId> = rows.iter().map(|row| row.id).collect();
    let mut data_sets = data_sets_of(tx, tenant, &ids)?;
    rows.into_iter()
        .map(|row| {
            let (own, rest): (Vec<_>, Vec<_>) =
                data_sets.drain(..).partition(|(run, _)| *run == row.id);
            data_sets = rest;
            row.into_run(own.into_iter().map(|(_, data_set)| data_set).collect())
        })
        .collect()
}

/// How many runs a tenant has had.
pub(in crate::sync) fn count_runs(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<i64, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| sync_runs::table
        .filter(sync_runs::org_id.eq(org))
        .filter(sync_runs::tenant_id.eq(tenant))
        .count()
        .get_result(c))?)
}

/// Moves a run from queued to running. False: it was running already.
pub(in crate::sync) fn start_run(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    id: SyncRunId,
) -> Result<bool, StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    let rows = on_conn!(tx.conn, |c| diesel::update(
        sync_runs::table
            .filter(sync_runs::org_id.eq(org))
            .filter(sync_runs::tenant_id.eq(tenant))
            .filter(sync_runs::id.eq(id))
            .filter(sync_runs::state.eq(RunState::Queued.as_str()))
    )
    .set((
        sync_runs::state.eq(RunState::Running.as_str()),
        sync_runs::started_at.eq(now)
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Ends a run that has not ended. False: it had.
pub(in crate::sync) fn end_run(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    id: SyncRunId,
    state: RunState,
) -> Result<bool, StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    let open = [RunState::Queued.as_str(), RunState::Running.as_str()];
    let rows = on_conn!(tx.conn, |c| diesel::update(
        sync_runs::table
            .filter(sync_runs::org_id.eq(org))
            .filter(sync_runs::tenant_id.eq(tenant))
            .filter(sync_runs::id.eq(id))
            .filter(sync_runs::state.eq_any(open))
    )
    .set((
        sync_runs::state.eq(state.as_str()),
        sync_runs::finished_at.eq(now),
        sync_runs::progress.eq(WHOLE),
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Remembers the progress unless a higher one is stored.
pub(in crate::sync) fn raise_progress(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    id: SyncRunId,
    progress: i64,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        sync_runs::table
            .filter(sync_runs::org_id.eq(org))
            .filter(sync_runs::tenant_id.eq(tenant))
            .filter(sync_runs::id.eq(id))
            .filter(sync_runs::progress.lt(progress))
    )
    .set(sync_runs::progress.eq(progress))
    .execute(c))?;
    Ok(())
}

/// Whether a run may go on: it has not ended.
pub(in crate::sync) fn may_go_on(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    id: SyncRunId,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let row = on_conn!(tx.conn, |c| sync_runs::table
        .filter(sync_runs::org_id.eq(org))
        .filter(sync_runs::tenant_id.eq(tenant))
        .filter(sync_runs::id.eq(id))
        .select(RunRow::as_select())
        .first(c)
        .optional())?;
    match row {
        Some(row) => Ok(!RunState::stored(&row.state)?.has_ended()),
        None => Ok(false),
    }
}
