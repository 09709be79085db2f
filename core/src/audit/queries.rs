//! The SQL of the audit.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::chain::{AuditRecord, GENESIS};
use crate::{
    ids::{AuditEventId, OrgId, RequestId, TenantId},
    store::{
        Scoped, StoreError, on_conn,
        schema::{audit_events, audit_heads},
        types::StoredTime,
    },
};

/// Sequence and hash of the newest event.
pub(super) struct Head {
    pub(super) sequence: i64,
    pub(super) hash: Vec<u8>,
}

/// The head, locked until the transaction ends: events get their sequence in commit order (L8). The
/// write that changes nothing is the lock, on both databases.
pub(super) fn lock_head(tx: &mut Scoped<'_>) -> Result<Head, StoreError> {
    let org = tx.org();
    let first = (
        audit_heads::org_id.eq(org),
        audit_heads::sequence.eq(0_i64),
        audit_heads::hash.eq(GENESIS.to_vec()),
    );
    let (sequence, hash) = on_conn!(tx.conn, |c| diesel::insert_into(audit_heads::table)
        .values(first)
        .on_conflict(audit_heads::org_id)
        .do_update()
        .set(audit_heads::sequence.eq(audit_heads::sequence))
        .returning((audit_heads::sequence, audit_heads::hash))
        .get_result(c))?;
    Ok(Head { sequence, hash })
}

/// The head as it is; `None` before the first event.
pub(super) fn head(tx: &mut Scoped<'_>) -> Result<Option<Head>, StoreError> {
    let org = tx.org();
    let row: Option<(i64, Vec<u8>)> = on_conn!(tx.conn, |c| audit_heads::table
        .filter(audit_heads::org_id.eq(org))
        .select((audit_heads::sequence, audit_heads::hash))
        .first(c)
        .optional())?;
    Ok(row.map(|(sequence, hash)| Head { sequence, hash }))
}

/// Appends an event and moves the head to it.
pub(super) fn append(
    tx: &mut Scoped<'_>,
    record: &AuditRecord,
    hash: &[u8],
) -> Result<(), StoreError> {
    let org = tx.org();
    let row = (
        audit_events::org_id.eq(org),
        audit_events::sequence.eq(record.sequence),
        audit_events::id.eq(record.id),
        audit_events::at.eq(StoredTime(record.at)),
        audit_events::actor_type.eq(&record.actor_type),
        audit_events::actor_id.eq(record.actor_id.as_deref()),
        audit_events::request_id.eq(record.request_id),
        audit_events::action.eq(&record.action),
        audit_events::tenant_id.eq(record.tenant_id),
        audit_events::details.eq(&record.details),
        audit_events::hash.eq(hash),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(audit_events::table)
        .values(row)
        .execute(c))?;
    on_conn!(tx.conn, |c| diesel::update(
        audit_heads::table.filter(audit_heads::org_id.eq(org))
    )
    .set((
        audit_heads::sequence.eq(record.sequence),
        audit_heads::hash.eq(hash)
    ))
    .execute(c))?;
    Ok(())
}

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) tenants: Vec<TenantId>,
    pub(super) actions: Vec<String>,
    pub(super) since: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_events)]
struct EventRow {
    org_id: OrgId,
    sequence: i64,
    id: AuditEventId,
    at: StoredTime,
    actor_type: String,
    actor_id: Option<String>,
    request_id: Option<RequestId>,
    action: String,
    tenant_id: Option<TenantId>,
    details: String,
    hash: Vec<u8>,
}

impl EventRow {
    fn into_record(self) -> (AuditRecord, Vec<u8>) {
        let record = AuditRecord {
            org: self.org_id,
            sequence: self.sequence,
            id: self.id,
            at: self.at.0,
            actor_type: self.actor_type,
            actor_id: self.actor_id,
            request_id: self.request_id,
            action: self.action,
            tenant_id: self.tenant_id,
            details: self.details,
        };
        (record, self.hash)
    }
}

/// Events in the order of their sequence, after `after`, each with its stored hash.
pub(super) fn events(
    tx: &mut Scoped<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<(AuditRecord, Vec<u8>)>, StoreError> {
    let org = tx.org();
    let rows: Vec<EventRow> = on_conn!(tx.conn, |c| audit_events::table
        .filter(audit_events::org_id.eq(org))
        .filter(audit_events::sequence.gt(after))
        .order(audit_events::sequence)
        .limit(limit)
        .select(EventRow::as_select())
        .load(c))?;
    Ok(rows.into_iter().map(EventRow::into_record).collect())
}

/// Selected events, the newest first, before `before`, each with its stored hash.
pub(super) fn newest_events(
    tx: &mut Scoped<'_>,
    selection: &Selection,
    before: i64,
    limit: i64,
) -> Result<Vec<(AuditRecord, Vec<u8>)>, StoreError> {
    let org = tx.org();
    let rows: Vec<EventRow> = on_conn!(tx.conn, |c| {
        let mut query = audit_events::table
            .filter(audit_events::org_id.eq(org))
            .filter(audit_events::sequence.lt(before))
            .into_boxed();
        if !selection.tenants.is_empty() {
            query = query.filter(audit_events::tenant_id.eq_any(&selection.tenants));
        }
        if !selection.actions.is_empty() {
            query = query.filter(audit_events::action.eq_any(&selection.actions));
        }
        if let Some(since) = selection.since {
            query = query.filter(audit_events::at.ge(StoredTime(since)));
        }
        query
            .order(audit_events::sequence.desc())
            .limit(limit)
            .select(EventRow::as_select())
            .load(c)
    })?;
    Ok(rows.into_iter().map(EventRow::into_record).collect())
}
