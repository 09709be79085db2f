//! The SQL of runs, their data sets, the queue and the status document. Visible to this room only.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::{
    queue::{ClaimedWork, WorkKind},
    run::{DataSetState, RunDataSet, RunKind, RunState, SyncRun, WHOLE, Warning},
};
use crate::{
    ids::{OrgId, SyncRunId, TenantId, WorkItemId},
    microsoft::data_set::DataSet,
    store::{
        Global, Scoped, StoreError, on_conn,
        schema::{
            data_set_states, sync_run_data_sets, sync_runs, tenant_status, tenants, work_items,
        },
        types::{StoredTime, StoredUuid},
    },
};

/// Takes out work that nobody wanted again since it was claimed. False: someone did, or the lease is
/// lost.
pub(super) fn delete_finished_work(
    tx: &mut Global<'_>,
    work: &ClaimedWork,
) -> Result<bool, StoreError> {
    let rows = on_conn!(tx.conn, |c| diesel::delete(
        work_items::table
            .filter(work_items::id.eq(work.lease.item))
            .filter(work_items::fence.eq(work.lease.fence))
            .filter(work_items::due_at.eq(StoredTime(work.due_at)))
    )
    .execute(c))?;
    Ok(rows == 1)
}

pub(super) fn delete_work(
    tx: &mut Global<'_>,
    kind: WorkKind,
    subject: Uuid,
) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::delete(
        work_items::table
            .filter(work_items::kind.eq(kind.as_str()))
            .filter(work_items::subject_id.eq(StoredUuid(subject)))
    )
    .execute(c))?;
    Ok(())
}

pub(super) fn delete_work_of_tenant(
    tx: &mut Global<'_>,
    org: OrgId,
    tenant: TenantId,
) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::delete(
        work_items::table
            .filter(work_items::org_id.eq(org))
            .filter(work_items::tenant_id.eq(tenant))
    )
    .execute(c))?;
    Ok(())
}

/// Frees everything that a process that is surely dead had claimed: only for SQLite, where the lock
/// on the file proves that there is no other process.
pub(super) fn release_all_work(tx: &mut Global<'_>) -> Result<usize, StoreError> {
    Ok(on_conn!(tx.conn, |c| diesel::update(
        work_items::table.filter(work_items::lease_owner.is_not_null())
    )
    .set((
        work_items::lease_owner.eq(None::<StoredUuid>),
        work_items::lease_until.eq(None::<StoredTime>),
    ))
    .execute(c))?)
}

/// The work moved on: its failures so far do not count against it.
pub(super) fn forget_attempts(
    tx: &mut Global<'_>,
    id: WorkItemId,
    fence: i64,
) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::update(
        work_items::table
            .filter(work_items::id.eq(id))
            .filter(work_items::fence.eq(fence))
    )
    .set(work_items::attempts.eq(0))
    .execute(c))?;
    Ok(())
}

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

#[derive(Queryable, Selectable)]
#[diesel(table_name = sync_run_data_sets)]
struct DataSetRow {
    run_id: SyncRunId,
    name: String,
    state: String,
    processed: i64,
    expected: Option<i64>,
    requests: i64,
    retries: i64,
    throttled_ms: i64,
    warning: Option<String>,
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

impl DataSetRow {
    fn into_data_set(self) -> Result<RunDataSet, StoreError> {
        let warning = match &self.warning {
            Some(json) => Some(read_warning(json)?),
            None => None,
        };
        Ok(RunDataSet {
            data_set: stored_data_set(&self.name)?,
            state: DataSetState::stored(&self.state)?,
            processed: self.processed,
            expected: self.expected,
            requests: self.requests,
            retries: self.retries,
            throttled_ms: self.throttled_ms,
            warning,
        })
    }
}

fn stored_data_set(name: &str) -> Result<DataSet, StoreError> {
    name.parse().or(Err(StoreError::Corrupt {
        what: "name of a data set",
    }))
}

fn read_warning(json: &str) -> Result<Warning, StoreError> {
    serde_json::from_str(json).or(Err(StoreError::Corrupt { what: "warning" }))
}

fn write_warning(warning: &Warning) -> String {
    serde_json::json!({"code": warning.code, "detail": warning.detail, "action": warning.action})
        .to_string()
}

pub(super) fn insert_run(
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
pub(super) fn unfinished_run(
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
pub(super) fn run(
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
pub(super) fn runs(
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
pub(super) fn count_runs(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<i64, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| sync_runs::table
        .filter(sync_runs::org_id.eq(org))
        .filter(sync_runs::tenant_id.eq(tenant))
        .count()
        .get_result(c))?)
}

fn data_sets_of(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    runs: &[SyncRunId],
) -> Result<Vec<(SyncRunId, RunDataSet)>, StoreError> {
    let org = tx.org();
    let rows: Vec<DataSetRow> = on_conn!(tx.conn, |c| sync_run_data_sets::table
        .filter(sync_run_data_sets::org_id.eq(org))
        .filter(sync_run_data_sets::tenant_id.eq(tenant))
        .filter(sync_run_data_sets::run_id.eq_any(runs))
        .order((sync_run_data_sets::run_id, sync_run_data_sets::position))
        .select(DataSetRow::as_select())
        .load(c))?;
    rows.into_iter()
        .map(|row| {
            let run = row.run_id;
            Ok((run, row.into_data_set()?))
        })
        .collect()
}

/// Moves a run from queued to running. False: it was running already.
pub(super) fn start_run(
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
pub(super) fn end_run(
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
pub(super) fn raise_progress(
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
pub(super) fn may_go_on(
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

/// What a step remembers to go on from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StoredDataSet {
    pub(super) state: Option<DataSetState>,
    pub(super) processed: i64,
    pub(super) expected: Option<i64>,
    pub(super) requests: i64,
    pub(super) retries: i64,
    pub(super) throttled_ms: i64,
    pub(super) warning: Option<Warning>,
    pub(super) checkpoint: Option<String>,
}

pub(super) fn stored_data_set_of(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    run: SyncRunId,
    data_set: DataSet,
) -> Result<StoredDataSet, StoreError> {
    let org = tx.org();
    let row = on_conn!(tx.conn, |c| sync_run_data_sets::table
        .filter(sync_run_data_sets::org_id.eq(org))
        .filter(sync_run_data_sets::tenant_id.eq(tenant))
        .filter(sync_run_data_sets::run_id.eq(run))
        .filter(sync_run_data_sets::name.eq(data_set.name()))
        .select(StepRow::as_select())
        .first(c)
        .optional())?;
    let Some(row) = row else {
        return Ok(StoredDataSet::default());
    };
    Ok(StoredDataSet {
        state: Some(DataSetState::stored(&row.state)?),
        processed: row.processed,
        expected: row.expected,
        requests: row.requests,
        retries: row.retries,
        throttled_ms: row.throttled_ms,
        warning: row.warning.as_deref().map(read_warning).transpose()?,
        checkpoint: row.checkpoint,
    })
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sync_run_data_sets)]
struct StepRow {
    state: String,
    processed: i64,
    expected: Option<i64>,
    requests: i64,
    retries: i64,
    throttled_ms: i64,
    warning: Option<String>,
    checkpoint: Option<String>,
}

/// What a step stores about its data set with each commit.
#[derive(Debug, Clone)]
pub(super) struct DataSetChange {
    pub(super) state: DataSetState,
    pub(super) processed: i64,
    pub(super) expected: Option<i64>,
    pub(super) requests: i64,
    pub(super) retries: i64,
    pub(super) throttled_ms: i64,
    pub(super) warning: Option<Warning>,
    pub(super) checkpoint: Option<String>,
}

pub(super) fn store_data_set(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    run: SyncRunId,
    data_set: DataSet,
    change: &DataSetChange,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        sync_run_data_sets::table
            .filter(sync_run_data_sets::org_id.eq(org))
            .filter(sync_run_data_sets::tenant_id.eq(tenant))
            .filter(sync_run_data_sets::run_id.eq(run))
            .filter(sync_run_data_sets::name.eq(data_set.name()))
    )
    .set((
        sync_run_data_sets::state.eq(change.state.as_str()),
        sync_run_data_sets::processed.eq(change.processed),
        sync_run_data_sets::expected.eq(change.expected),
        sync_run_data_sets::requests.eq(change.requests),
        sync_run_data_sets::retries.eq(change.retries),
        sync_run_data_sets::throttled_ms.eq(change.throttled_ms),
        sync_run_data_sets::warning.eq(change.warning.as_ref().map(write_warning)),
        sync_run_data_sets::checkpoint.eq(change.checkpoint.as_deref()),
    ))
    .execute(c))?;
    Ok(())
}

/// Gives every data set that has not ended the same end.
pub(super) fn end_open_data_sets(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    run: SyncRunId,
    state: DataSetState,
    warning: &Warning,
) -> Result<(), StoreError> {
    let org = tx.org();
    let open = [
        DataSetState::Pending.as_str(),
        DataSetState::Running.as_str(),
    ];
    on_conn!(tx.conn, |c| diesel::update(
        sync_run_data_sets::table
            .filter(sync_run_data_sets::org_id.eq(org))
            .filter(sync_run_data_sets::tenant_id.eq(tenant))
            .filter(sync_run_data_sets::run_id.eq(run))
            .filter(sync_run_data_sets::state.eq_any(open))
    )
    .set((
        sync_run_data_sets::state.eq(state.as_str()),
        sync_run_data_sets::expected.eq(sync_run_data_sets::processed.nullable()),
        sync_run_data_sets::warning.eq(Some(write_warning(warning))),
    ))
    .execute(c))?;
    Ok(())
}

/// What outlives a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refresh {
    pub(super) generation: i64,
    pub(super) delta_link: Option<String>,
    pub(super) as_of: Option<DateTime<Utc>>,
    pub(super) held_back_generation: Option<i64>,
}

/// Generation, delta link, as of, generation held back.
type RefreshRow = (i64, Option<String>, Option<StoredTime>, Option<i64>);

pub(super) fn refresh_state(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: &str,
) -> Result<Refresh, StoreError> {
    let org = tx.org();
    let row: Option<RefreshRow> = on_conn!(tx.conn, |c| {
        data_set_states::table
            .filter(data_set_states::org_id.eq(org))
            .filter(data_set_states::tenant_id.eq(tenant))
            .filter(data_set_states::name.eq(name))
            .select((
                data_set_states::generation,
                data_set_states::delta_link,
                data_set_states::as_of,
                data_set_states::held_back_generation,
            ))
            .first(c)
            .optional()
    })?;
    Ok(row.map_or_else(
        Refresh::default,
        |(generation, delta_link, as_of, held_back_generation)| Refresh {
            generation,
            delta_link,
            as_of: as_of.map(|time| time.0),
            held_back_generation,
        },
    ))
}

/// Begins a full read: the next generation, which is stored before anything of it is.
pub(super) fn next_generation(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: &str,
) -> Result<i64, StoreError> {
    let org = tx.org();
    let row = (
        data_set_states::org_id.eq(org),
        data_set_states::tenant_id.eq(tenant),
        data_set_states::name.eq(name),
        data_set_states::generation.eq(1_i64),
    );
    Ok(on_conn!(tx.conn, |c| diesel::insert_into(
        data_set_states::table
    )
    .values(row)
    .on_conflict((
        data_set_states::org_id,
        data_set_states::tenant_id,
        data_set_states::name
    ))
    .do_update()
    .set(data_set_states::generation.eq(data_set_states::generation + 1))
    .returning(data_set_states::generation)
    .get_result(c))?)
}

/// Ends a read: where the next one begins, and since when the data set is whole.
pub(super) fn complete_read(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: &str,
    delta_link: Option<&str>,
) -> Result<(), StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    on_conn!(tx.conn, |c| diesel::update(
        data_set_states::table
            .filter(data_set_states::org_id.eq(org))
            .filter(data_set_states::tenant_id.eq(tenant))
            .filter(data_set_states::name.eq(name))
    )
    .set((
        data_set_states::as_of.eq(now),
        data_set_states::delta_link.eq(delta_link)
    ))
    .execute(c))?;
    Ok(())
}

/// Remembers which full read missed objects whose removal waits, or that none waits.
pub(super) fn store_held_back(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: &str,
    held_back: i64,
    generation: Option<i64>,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        data_set_states::table
            .filter(data_set_states::org_id.eq(org))
            .filter(data_set_states::tenant_id.eq(tenant))
            .filter(data_set_states::name.eq(name))
    )
    .set((
        data_set_states::held_back.eq(held_back),
        data_set_states::held_back_generation.eq(generation)
    ))
    .execute(c))?;
    Ok(())
}

/// What the status document says of the tenant itself.
pub(super) struct TenantPart {
    pub(super) status: String,
    pub(super) missing_permissions: String,
    pub(super) connection_error: Option<String>,
    pub(super) last_completed_at: Option<DateTime<Utc>>,
}

pub(super) fn tenant_part(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<TenantPart, StoreError> {
    let org = tx.org();
    let (status, missing_permissions, connection_error, last_completed_at): (
        String,
        String,
        Option<String>,
        Option<StoredTime>,
    ) = on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::tenant_id.eq(tenant))
        .select((
            tenants::status,
            tenants::missing_permissions,
            tenants::connection_error,
            tenants::last_completed_at,
        ))
        .first(c))?;
    Ok(TenantPart {
        status,
        missing_permissions,
        connection_error,
        last_completed_at: last_completed_at.map(|time| time.0),
    })
}

/// Takes the next version of a tenant's status document. On PostgreSQL this locks the row, so that
/// transactions of the same tenant compose the document one after the other.
pub(super) fn next_status_version(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<i64, StoreError> {
    let org = tx.org();
    let row = (
        tenant_status::org_id.eq(org),
        tenant_status::tenant_id.eq(tenant),
        tenant_status::version.eq(1_i64),
        tenant_status::document.eq("{}"),
    );
    Ok(on_conn!(tx.conn, |c| diesel::insert_into(
        tenant_status::table
    )
    .values(row)
    .on_conflict((tenant_status::org_id, tenant_status::tenant_id))
    .do_update()
    .set(tenant_status::version.eq(tenant_status::version + 1))
    .returning(tenant_status::version)
    .get_result(c))?)
}

pub(super) fn store_status(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    document: &str,
    last_completed_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        tenant_status::table
            .filter(tenant_status::org_id.eq(org))
            .filter(tenant_status::tenant_id.eq(tenant))
    )
    .set((
        tenant_status::document.eq(document),
        tenant_status::last_completed_at.eq(last_completed_at.map(StoredTime)),
    ))
    .execute(c))?;
    Ok(())
}

/// A stored status document.
pub(super) struct StoredStatus {
    pub(super) tenant: TenantId,
    pub(super) version: i64,
    pub(super) document: String,
    pub(super) last_completed_at: Option<DateTime<Utc>>,
}

/// The tenants of one organisation with the versions of their documents, in pages by tenant id.
pub(super) fn status_versions(
    tx: &mut Scoped<'_>,
    after: Option<TenantId>,
    limit: i64,
) -> Result<Vec<(TenantId, i64)>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| {
        let mut query = tenant_status::table
            .filter(tenant_status::org_id.eq(org))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(tenant_status::tenant_id.gt(after));
        }
        query
            .order(tenant_status::tenant_id)
            .limit(limit)
            .select((tenant_status::tenant_id, tenant_status::version))
            .load(c)
    })?)
}

/// The documents of these tenants.
pub(super) fn stored_statuses(
    tx: &mut Scoped<'_>,
    tenants: &[TenantId],
) -> Result<Vec<StoredStatus>, StoreError> {
    let org = tx.org();
    let rows: Vec<(TenantId, i64, String, Option<StoredTime>)> =
        on_conn!(tx.conn, |c| tenant_status::table
            .filter(tenant_status::org_id.eq(org))
            .filter(tenant_status::tenant_id.eq_any(tenants.to_vec()))
            .select((
                tenant_status::tenant_id,
                tenant_status::version,
                tenant_status::document,
                tenant_status::last_completed_at,
            ))
            .load(c))?;
    Ok(rows
        .into_iter()
        .map(|(tenant, version, document, last)| StoredStatus {
            tenant,
            version,
            document,
            last_completed_at: last.map(|time| time.0),
        })
        .collect())
}
