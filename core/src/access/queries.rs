//! The SQL of API keys: a global table, for a key arrives before its organisation is known.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::keys::PreparedKey;
use crate::{
    ids::{ApiKeyId, OrgId},
    store::{
        Global, StoreError, on_conn,
        schema::{api_keys, installation},
        types::StoredTime,
    },
};

/// A key as it is stored.
pub(super) struct StoredKey {
    pub(super) org: OrgId,
    pub(super) role: String,
    pub(super) hash: Vec<u8>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) revoked_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct KeyRow {
    org_id: OrgId,
    role: String,
    key_hash: Vec<u8>,
    expires_at: Option<StoredTime>,
    revoked_at: Option<StoredTime>,
}

/// Stores a new key of an organisation.
pub(super) fn insert(tx: &mut Global<'_>, org: OrgId, key: &PreparedKey) -> Result<(), StoreError> {
    let row = (
        api_keys::id.eq(key.id),
        api_keys::org_id.eq(org),
        api_keys::key_hash.eq(key.hash.as_slice()),
        api_keys::role.eq(key.role.as_str()),
        api_keys::created_at.eq(StoredTime(tx.now())),
        api_keys::expires_at.eq(key.expires_at.map(StoredTime)),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(api_keys::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

/// A key by its public part.
pub(super) fn find_across_orgs(
    tx: &mut Global<'_>,
    id: ApiKeyId,
) -> Result<Option<StoredKey>, StoreError> {
    let row: Option<KeyRow> = on_conn!(tx.conn, |c| api_keys::table
        .filter(api_keys::id.eq(id))
        .select(KeyRow::as_select())
        .first(c)
        .optional())?;
    Ok(row.map(|row| StoredKey {
        org: row.org_id,
        role: row.role,
        hash: row.key_hash,
        expires_at: row.expires_at.map(|time| time.0),
        revoked_at: row.revoked_at.map(|time| time.0),
    }))
}

/// Revokes a key and moves the epoch. False: it was revoked already.
pub(super) fn revoke(tx: &mut Global<'_>, org: OrgId, id: ApiKeyId) -> Result<bool, StoreError> {
    let now = StoredTime(tx.now());
    let rows = on_conn!(tx.conn, |c| diesel::update(
        api_keys::table
            .filter(api_keys::id.eq(id))
            .filter(api_keys::org_id.eq(org))
            .filter(api_keys::revoked_at.is_null())
    )
    .set(api_keys::revoked_at.eq(now))
    .execute(c))?;
    if rows == 0 {
        return Ok(false);
    }
    on_conn!(tx.conn, |c| diesel::update(installation::table)
        .set(installation::key_epoch.eq(installation::key_epoch + 1))
        .execute(c))?;
    Ok(true)
}

/// How many keys were revoked so far, in all organisations.
pub(super) fn key_epoch(tx: &mut Global<'_>) -> Result<i64, StoreError> {
    Ok(on_conn!(tx.conn, |c| installation::table
        .select(installation::key_epoch)
        .first(c))?)
}
