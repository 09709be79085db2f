//! The SQL of the data sets of a run.

use diesel::prelude::*;

use crate::{
    ids::{SyncRunId, TenantId},
    microsoft::data_set::DataSet,
    store::{Scoped, StoreError, on_conn, schema::sync_run_data_sets},
    sync::run::{DataSetState, RunDataSet, Warning},
};

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

/// The data sets of these runs, each run's in its order.
pub(super) fn data_sets_of(
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

/// A data set as a step finds it and leaves it.
#[derive(Debug, Clone)]
pub(in crate::sync) struct DataSetRecord {
    pub(in crate::sync) state: DataSetState,
    pub(in crate::sync) processed: i64,
    pub(in crate::sync) expected: Option<i64>,
    pub(in crate::sync) requests: i64,
    pub(in crate::sync) retries: i64,
    pub(in crate::sync) throttled_ms: i64,
    pub(in crate::sync) warning: Option<Warning>,
    pub(in crate::sync) checkpoint: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sync_run_data_sets)]
struct RecordRow {
    state: String,
    processed: i64,
    expected: Option<i64>,
    requests: i64,
    retries: i64,
    throttled_ms: i64,
    warning: Option<String>,
    checkpoint: Option<String>,
}

pub(in crate::sync) fn data_set_record(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    run: SyncRunId,
    data_set: DataSet,
) -> Result<DataSetRecord, StoreError> {
    let org = tx.org();
    let row = on_conn!(tx.conn, |c| sync_run_data_sets::table
        .filter(sync_run_data_sets::org_id.eq(org))
        .filter(sync_run_data_sets::tenant_id.eq(tenant))
        .filter(sync_run_data_sets::run_id.eq(run))
        .filter(sync_run_data_sets::name.eq(data_set.name()))
        .select(RecordRow::as_select())
        .first(c)
        .optional())?;
    let row = row.ok_or(StoreError::NotFound)?;
    Ok(DataSetRecord {
        state: DataSetState::stored(&row.state)?,
        processed: row.processed,
        expected: row.expected,
        requests: row.requests,
        retries: row.retries,
        throttled_ms: row.throttled_ms,
        warning: row.warning.as_deref().map(read_warning).transpose()?,
        checkpoint: row.checkpoint,
    })
}

pub(in crate::sync) fn store_data_set(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    run: SyncRunId,
    data_set: DataSet,
    record: &DataSetRecord,
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
        sync_run_data_sets::state.eq(record.state.as_str()),
        sync_run_data_sets::processed.eq(record.processed),
        sync_run_data_sets::expected.eq(record.expected),
        sync_run_data_sets::requests.eq(record.requests),
        sync_run_data_sets::retries.eq(record.retries),
        sync_run_data_sets::throttled_ms.eq(record.throttled_ms),
        sync_run_data_sets::warning.eq(record.warning.as_ref().map(write_warning)),
        sync_run_data_sets::checkpoint.eq(record.checkpoint.as_deref()),
    ))
    .execute(c))?;
    Ok(())
}

/// Gives every data set that has not ended the same end.
pub(in crate::sync) fn end_open_data_sets(
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
