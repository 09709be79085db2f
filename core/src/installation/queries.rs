//! The SQL of the installation: a global table of one row.

use diesel::prelude::*;
use uuid::Uuid;

use crate::store::{
    Global, StoreError, on_conn,
    schema::{installation, tenant_claims},
    types::{StoredTime, StoredUuid},
};

/// The id of the one row.
const SINGLETON: i32 = 1;

/// The installation as it is stored.
pub(super) struct Stored {
    pub(super) id: Uuid,
    pub(super) key_check: Vec<u8>,
}

/// The row; `None` before the first use.
pub(super) fn find(tx: &mut Global<'_>) -> Result<Option<Stored>, StoreError> {
    let row: Option<(StoredUuid, Vec<u8>)> = on_conn!(tx.conn, |c| installation::table
        .select((installation::installation_id, installation::key_check))
        .first(c)
        .optional())?;
    Ok(row.map(|(id, key_check)| Stored {
        id: id.0,
        key_check,
    }))
}

/// Writes down the cloud, unless tenants of another one are connected.
pub(super) fn settle_in(tx: &mut Global<'_>, cloud: &str) -> Result<(), StoreError> {
    let nobody_is_connected = diesel::dsl::not(diesel::dsl::exists(
        tenant_claims::table.select(tenant_claims::tenant_id),
    ));
    on_conn!(tx.conn, |c| diesel::update(
        installation::table
            .filter(installation::singleton.eq(SINGLETON))
            .filter(installation::cloud.is_null().or(nobody_is_connected))
    )
    .set(installation::cloud.eq(cloud))
    .execute(c))?;
    Ok(())
}

/// The cloud that was written down.
pub(super) fn cloud(tx: &mut Global<'_>) -> Result<Option<String>, StoreError> {
    let found: Option<Option<String>> = on_conn!(tx.conn, |c| installation::table
        .filter(installation::singleton.eq(SINGLETON))
        .select(installation::cloud)
        .first(c)
        .optional())?;
    Ok(found.flatten())
}

/// Stores the row. False: another process was first.
pub(super) fn insert(tx: &mut Global<'_>, new: &Stored) -> Result<bool, StoreError> {
    let row = (
        installation::singleton.eq(SINGLETON),
        installation::installation_id.eq(StoredUuid(new.id)),
        installation::key_check.eq(&new.key_check),
        installation::key_epoch.eq(0_i64),
        installation::created_at.eq(StoredTime(tx.now())),
    );
    let rows = on_conn!(tx.conn, |c| diesel::insert_into(installation::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(rows == 1)
}
