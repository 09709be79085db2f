//! The SQL of the queue that both databases share; claims and leases are in `store/dialect`.

use diesel::prelude::*;
use uuid::Uuid;

use crate::{
    ids::{OrgId, TenantId, WorkItemId},
    store::{
        Global, StoreError, on_conn,
        schema::work_items,
        types::{StoredTime, StoredUuid},
    },
    sync::queue::{ClaimedWork, WorkKind},
};

/// Takes out work that nobody wanted again since it was claimed. False: someone did, or the lease is
/// lost.
pub(in crate::sync) fn delete_finished_work(
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

/// Whether somebody wanted this work once more since it was claimed.
pub(in crate::sync) fn is_wanted_again(
    tx: &mut Global<'_>,
    work: &ClaimedWork,
) -> Result<bool, StoreError> {
    let due_at: Option<StoredTime> = on_conn!(tx.conn, |c| work_items::table
        .filter(work_items::id.eq(work.lease.item))
        .filter(work_items::fence.eq(work.lease.fence))
        .select(work_items::due_at)
        .first(c)
        .optional())?;
    Ok(due_at.is_some_and(|due_at| due_at.0 != work.due_at))
}

/// What an organisation's work of one kind is about, by subject.
pub(in crate::sync) fn subjects_of_kind(
    tx: &mut Global<'_>,
    org: OrgId,
    kind: WorkKind,
) -> Result<Vec<(Option<TenantId>, Uuid)>, StoreError> {
    let rows: Vec<(Option<TenantId>, StoredUuid)> = on_conn!(tx.conn, |c| work_items::table
        .filter(work_items::org_id.eq(org))
        .filter(work_items::kind.eq(kind.as_str()))
        .order(work_items::subject_id)
        .select((work_items::tenant_id, work_items::subject_id))
        .load(c))?;
    let subjects = rows
        .into_iter()
        .map(|(tenant, subject)| (tenant, subject.0));
    Ok(subjects.collect())
}

/// The write that changes nothing is the lock, on both databases.
pub(in crate::sync) fn hold_work(
    tx: &mut Global<'_>,
    org: OrgId,
    subject: Uuid,
) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::update(
        work_items::table
            .filter(work_items::org_id.eq(org))
            .filter(work_items::subject_id.eq(StoredUuid(subject)))
    )
    .set(work_items::fence.eq(work_items::fence))
    .execute(c))?;
    Ok(())
}

pub(in crate::sync) fn delete_work(
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

pub(in crate::sync) fn delete_work_of_tenant(
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
pub(in crate::sync) fn release_all_work(tx: &mut Global<'_>) -> Result<usize, StoreError> {
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
pub(in crate::sync) fn forget_attempts(
    tx: &mut Global<'_>,
    id: WorkItemId,
    fence: i64,
) -> Result<(), StoreError> {
    count_attempts(tx, id, fence, 0)
}

/// So many claims count against the work.
pub(in crate::sync) fn count_attempts(
    tx: &mut Global<'_>,
    id: WorkItemId,
    fence: i64,
    attempts: i32,
) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::update(
        work_items::table
            .filter(work_items::id.eq(id))
            .filter(work_items::fence.eq(fence))
    )
    .set(work_items::attempts.eq(attempts))
    .execute(c))?;
    Ok(())
}
