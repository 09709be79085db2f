//! The SQL of the sync of customers. Visible to this room only.

use diesel::prelude::*;
use tenantry_psa::ExternalId;

use super::run::LastSync;
use crate::{
    ids::PsaConnectionId,
    store::{
        Scoped, StoreError, on_conn,
        schema::{customer_sync_runs, customer_sync_states, psa_changes},
        types::StoredTime,
    },
};

/// The connection's last sync.
pub(super) fn last_sync(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<Option<LastSync>, StoreError> {
    type Row = (String, Option<StoredTime>, i64, i64, i64, Option<String>);
    let org = tx.org();
    let row: Option<Row> = on_conn!(tx.conn, |c| customer_sync_runs::table
        .filter(customer_sync_runs::org_id.eq(org))
        .filter(customer_sync_runs::connection_id.eq(id))
        .order(customer_sync_runs::id.desc())
        .select((
            customer_sync_runs::state,
            customer_sync_runs::finished_at,
            customer_sync_runs::created,
            customer_sync_runs::updated,
            customer_sync_runs::deactivated,
            customer_sync_runs::error,
        ))
        .first(c)
        .optional())?;
    let Some((state, finished_at, created, updated, deactivated, error)) = row else {
        return Ok(None);
    };
    let what = "sync of customers";
    let state = state.parse().or(Err(StoreError::Corrupt { what }))?;
    let error = error
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .or(Err(StoreError::Corrupt { what }))?;
    Ok(Some(LastSync {
        state,
        finished_at: finished_at.map(|time| time.0),
        created,
        updated,
        deactivated,
        error,
    }))
}

pub(super) fn begin(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<(), StoreError> {
    let now = StoredTime(tx.now());
    let row = (
        customer_sync_states::org_id.eq(tx.org()),
        customer_sync_states::connection_id.eq(id),
        customer_sync_states::generation.eq(0),
        customer_sync_states::next_incremental_at.eq(now),
        customer_sync_states::next_full_at.eq(now),
        customer_sync_states::held_back.eq(0),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(
        customer_sync_states::table
    )
    .values(row)
    .execute(c))?;
    Ok(())
}

pub(super) fn read_all_soon(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<(), StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    on_conn!(tx.conn, |c| diesel::update(
        customer_sync_states::table
            .filter(customer_sync_states::org_id.eq(org))
            .filter(customer_sync_states::connection_id.eq(id))
    )
    .set(customer_sync_states::next_full_at.eq(now))
    .execute(c))?;
    Ok(())
}

pub(super) fn read_changes_soon(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<(), StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    on_conn!(tx.conn, |c| diesel::update(
        customer_sync_states::table
            .filter(customer_sync_states::org_id.eq(org))
            .filter(customer_sync_states::connection_id.eq(id))
    )
    .set(customer_sync_states::next_incremental_at.eq(now))
    .execute(c))?;
    Ok(())
}

pub(super) fn note(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    records: &[ExternalId],
) -> Result<(), StoreError> {
    for record in records {
        let row = (
            psa_changes::org_id.eq(tx.org()),
            psa_changes::connection_id.eq(id),
            psa_changes::external_id.eq(&record.0),
            psa_changes::noted_at.eq(StoredTime(tx.now())),
        );
        on_conn!(tx.conn, |c| diesel::insert_into(psa_changes::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(c))?;
    }
    Ok(())
}
