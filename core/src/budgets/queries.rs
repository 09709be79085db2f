//! The SQL of shared budgets: global tables that no API answer reads.

use std::collections::BTreeSet;

use diesel::prelude::*;
use uuid::Uuid;

use crate::{
    ids::TenantId,
    microsoft::throttle::{BudgetKey, Workload, shares::Claim},
    store::{
        Global, StoreError, on_conn,
        schema::{throttle_holders as holders, throttle_pauses, throttle_slices as slices},
        types::{StoredTime, StoredUuid},
    },
};

/// The word for all requests, whatever they ask for.
const ALL: &str = "all";

/// What a process has of one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) key: BudgetKey,
    pub(super) holder: Uuid,
    pub(super) claim: Claim,
}

/// Tenant, workload, holder, slices and wants.
type StoredRow = (TenantId, String, StoredUuid, i32, i32);

/// Prolongs a process's lease if it ended no longer ago than `renewable`.
pub(super) fn renew(
    tx: &mut Global<'_>,
    holder: Uuid,
    until: StoredTime,
    renewable: StoredTime,
) -> Result<bool, StoreError> {
    let rows = on_conn!(tx.conn, |c| diesel::update(
        holders::table
            .filter(holders::id.eq(StoredUuid(holder)))
            .filter(holders::lease_until.ge(renewable))
    )
    .set(holders::lease_until.eq(until))
    .execute(c))?;
    Ok(rows == 1)
}

/// Enters a new process. False: it is no new one.
pub(super) fn insert_holder(
    tx: &mut Global<'_>,
    holder: Uuid,
    until: StoredTime,
) -> Result<bool, StoreError> {
    let row = (
        holders::id.eq(StoredUuid(holder)),
        holders::lease_until.eq(until),
    );
    let rows = on_conn!(tx.conn, |c| diesel::insert_into(holders::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(rows == 1)
}

/// Forgets processes whose lease ended before, with all they held.
pub(super) fn forget_holders(tx: &mut Global<'_>, before: StoredTime) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::delete(
        holders::table.filter(holders::lease_until.lt(before))
    )
    .execute(c))?;
    Ok(())
}

/// What a process has of an application's budgets.
pub(super) fn rows_of(
    tx: &mut Global<'_>,
    application: &str,
    holder: Uuid,
) -> Result<Vec<Row>, StoreError> {
    let rows: Vec<StoredRow> = on_conn!(tx.conn, |c| slices::table
        .filter(slices::application_id.eq(application))
        .filter(slices::holder.eq(StoredUuid(holder)))
        .select((
            slices::tenant_id,
            slices::workload,
            slices::holder,
            slices::slices,
            slices::wants
        ))
        .load(c))?;
    rows.into_iter().map(row).collect()
}

/// What all others have of the budgets of these tenants, with the end of their lease.
pub(super) fn rows_of_others(
    tx: &mut Global<'_>,
    application: &str,
    holder: Uuid,
    tenants: &BTreeSet<Option<TenantId>>,
) -> Result<Vec<(Row, StoredTime)>, StoreError> {
    let tenants: Vec<TenantId> = tenants
        .iter()
        .map(|tenant| stored_tenant(*tenant))
        .collect();
    let rows: Vec<(StoredRow, StoredTime)> = on_conn!(tx.conn, |c| slices::table
        .inner_join(holders::table.on(holders::id.eq(slices::holder)))
        .filter(slices::application_id.eq(application))
        .filter(slices::tenant_id.eq_any(&tenants))
        .filter(slices::holder.ne(StoredUuid(holder)))
        .select((
            (
                slices::tenant_id,
                slices::workload,
                slices::holder,
                slices::slices,
                slices::wants
            ),
            holders::lease_until
        ))
        .load(c))?;
    rows.into_iter()
        .map(|(stored, lease)| Ok((row(stored)?, lease)))
        .collect()
}

/// Writes what a process has of a budget.
pub(super) fn put(tx: &mut Global<'_>, application: &str, row: &Row) -> Result<(), StoreError> {
    let count = |slices: u32| i32::try_from(slices).unwrap_or(i32::MAX);
    let has = (
        slices::slices.eq(count(row.claim.held)),
        slices::wants.eq(count(row.claim.wants)),
    );
    let new = (
        slices::application_id.eq(application),
        slices::tenant_id.eq(stored_tenant(row.key.tenant)),
        slices::workload.eq(stored_workload(row.key.workload)),
        slices::holder.eq(StoredUuid(row.holder)),
        has,
    );
    on_conn!(tx.conn, |c| diesel::insert_into(slices::table)
        .values(new)
        .on_conflict((
            slices::application_id,
            slices::tenant_id,
            slices::workload,
            slices::holder
        ))
        .do_update()
        .set(has)
        .execute(c))?;
    Ok(())
}

/// Takes out what a process does not use any more.
pub(super) fn remove(tx: &mut Global<'_>, application: &str, row: &Row) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::delete(
        slices::table
            .filter(slices::application_id.eq(application))
            .filter(slices::tenant_id.eq(stored_tenant(row.key.tenant)))
            .filter(slices::workload.eq(stored_workload(row.key.workload)))
            .filter(slices::holder.eq(StoredUuid(row.holder)))
    )
    .execute(c))?;
    Ok(())
}

/// All pauses of an application, with their ends.
pub(super) fn pauses(
    tx: &mut Global<'_>,
    application: &str,
) -> Result<Vec<(BudgetKey, StoredTime)>, StoreError> {
    let rows: Vec<(TenantId, String, StoredTime)> = on_conn!(tx.conn, |c| throttle_pauses::table
        .filter(throttle_pauses::application_id.eq(application))
        .select((
            throttle_pauses::tenant_id,
            throttle_pauses::workload,
            throttle_pauses::paused_until
        ))
        .load(c))?;
    rows.into_iter()
        .map(|(tenant, workload, until)| Ok((key(tenant, &workload)?, until)))
        .collect()
}

/// Writes a pause.
pub(super) fn put_pause(
    tx: &mut Global<'_>,
    application: &str,
    key: BudgetKey,
    until: StoredTime,
) -> Result<(), StoreError> {
    let new = (
        throttle_pauses::application_id.eq(application),
        throttle_pauses::tenant_id.eq(stored_tenant(key.tenant)),
        throttle_pauses::workload.eq(stored_workload(key.workload)),
        throttle_pauses::paused_until.eq(until),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(throttle_pauses::table)
        .values(new)
        .on_conflict((
            throttle_pauses::application_id,
            throttle_pauses::tenant_id,
            throttle_pauses::workload
        ))
        .do_update()
        .set(throttle_pauses::paused_until.eq(until))
        .execute(c))?;
    Ok(())
}

/// Forgets pauses that have ended.
pub(super) fn forget_pauses(
    tx: &mut Global<'_>,
    application: &str,
    now: StoredTime,
) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::delete(
        throttle_pauses::table
            .filter(throttle_pauses::application_id.eq(application))
            .filter(throttle_pauses::paused_until.le(now))
    )
    .execute(c))?;
    Ok(())
}

/// All tenants together are written as a tenant that cannot be.
fn stored_tenant(tenant: Option<TenantId>) -> TenantId {
    tenant.unwrap_or(TenantId::from_uuid(Uuid::nil()))
}

fn stored_workload(workload: Option<Workload>) -> &'static str {
    workload.map_or(ALL, Workload::as_str)
}

fn key(tenant: TenantId, workload: &str) -> Result<BudgetKey, StoreError> {
    let known = Workload::ALL
        .into_iter()
        .find(|known| known.as_str() == workload);
    if known.is_none() && workload != ALL {
        return Err(StoreError::Corrupt { what: "workload" });
    }
    Ok(BudgetKey {
        tenant: (tenant != stored_tenant(None)).then_some(tenant),
        workload: known,
    })
}

fn row(stored: StoredRow) -> Result<Row, StoreError> {
    let (tenant, workload, holder, held, wants) = stored;
    let count = |slices: i32| {
        u32::try_from(slices).or(Err(StoreError::Corrupt {
            what: "number of slices",
        }))
    };
    Ok(Row {
        key: key(tenant, &workload)?,
        holder: holder.0,
        claim: Claim {
            held: count(held)?,
            wants: count(wants)?,
        },
    })
}
