//! The SQL of the status documents.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::{
    ids::TenantId,
    store::{
        Scoped, StoreError, on_conn,
        schema::{status_sequences, tenant_status, tenants},
        types::StoredTime,
    },
};

/// What the status document says of the tenant itself.
pub(in crate::sync) struct TenantPart {
    pub(in crate::sync) status: String,
    pub(in crate::sync) missing_permissions: String,
    pub(in crate::sync) connection_error: Option<String>,
    pub(in crate::sync) last_completed_at: Option<DateTime<Utc>>,
}

pub(in crate::sync) fn tenant_part(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<TenantPart, StoreError> {
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
pub(in crate::sync) fn next_status_version(
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

pub(in crate::sync) fn store_status(
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
pub(in crate::sync) struct StoredStatus {
    pub(in crate::sync) tenant: TenantId,
    pub(in crate::sync) version: i64,
    pub(in crate::sync) sequence: i64,
    pub(in crate::sync) document: String,
    pub(in crate::sync) last_completed_at: Option<DateTime<Utc>>,
}

/// The number of the organisation's newest change; 0 when there is none.
pub(in crate::sync) fn last_status_sequence(tx: &mut Scoped<'_>) -> Result<i64, StoreError> {
    let org = tx.org();
    let last: Option<i64> = on_conn!(tx.conn, |c| status_sequences::table
        .filter(status_sequences::org_id.eq(org))
        .select(status_sequences::last)
        .first(c)
        .optional())?;
    Ok(last.unwrap_or(0))
}

/// The documents of one organisation that changed after this number, in the order of their changes.
pub(in crate::sync) fn statuses_after(
    tx: &mut Scoped<'_>,
    sequence: i64,
    limit: i64,
) -> Result<Vec<StoredStatus>, StoreError> {
    let org = tx.org();
    let rows: Vec<(TenantId, i64, i64, String, Option<StoredTime>)> =
        on_conn!(tx.conn, |c| tenant_status::table
            .filter(tenant_status::org_id.eq(org))
            .filter(tenant_status::sequence.gt(sequence))
            .order(tenant_status::sequence)
            .limit(limit)
            .select((
                tenant_status::tenant_id,
                tenant_status::version,
                tenant_status::sequence,
                tenant_status::document,
                tenant_status::last_completed_at,
            ))
            .load(c))?;
    Ok(rows
        .into_iter()
        .map(|(tenant, version, sequence, document, last)| StoredStatus {
            tenant,
            version,
            sequence,
            document,
            last_completed_at: last.map(|time| time.0),
        })
        .collect())
}
