//! The SQL of events.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::NewEvent;
use crate::{
    ids::{EventId, TenantId},
    store::{Scoped, StoreError, on_conn, schema::events, types::StoredTime},
};

pub(super) fn insert(tx: &mut Scoped<'_>, id: EventId, event: &NewEvent) -> Result<(), StoreError> {
    let row = (
        events::org_id.eq(tx.org()),
        events::id.eq(id),
        events::kind.eq(event.kind.as_str()),
        events::tenant_id.eq(event.tenant),
        events::customer_id.eq(event.customer),
        events::document.eq(event.document.to_string()),
        events::created_at.eq(StoredTime(tx.now())),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(events::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

/// The kind of the newest event about a tenant among some.
pub(super) fn last_kind(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kinds: &[&str],
) -> Result<Option<String>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| events::table
        .filter(events::org_id.eq(org))
        .filter(events::tenant_id.eq(tenant))
        .filter(events::kind.eq_any(kinds))
        .order((events::created_at.desc(), events::id.desc()))
        .select(events::kind)
        .first(c)
        .optional())?)
}

pub(super) fn delete_before(
    tx: &mut Scoped<'_>,
    before: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| diesel::delete(
        events::table
            .filter(events::org_id.eq(org))
            .filter(events::created_at.lt(StoredTime(before)))
    )
    .execute(c))?)
}
