//! The SQL of organisations: a global table.

use diesel::prelude::*;

use super::Organization;
use crate::{
    ids::OrgId,
    store::{Global, StoreError, on_conn, schema::organizations, types::StoredTime},
};

/// Stores a new organisation.
pub(super) fn insert(tx: &mut Global<'_>, id: OrgId, name: &str) -> Result<(), StoreError> {
    let row = (
        organizations::id.eq(id),
        organizations::name.eq(name),
        organizations::created_at.eq(StoredTime(tx.now())),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(organizations::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

/// Stores the nil organisation, the owner of the installation's own audit chain.
pub(crate) fn insert_installation(tx: &mut Global<'_>) -> Result<(), StoreError> {
    insert(tx, OrgId::INSTALLATION, "installation")
}

/// All organisations, the oldest first.
pub(super) fn all(tx: &mut Global<'_>) -> Result<Vec<Organization>, StoreError> {
    let rows: Vec<(OrgId, String)> = on_conn!(tx.conn, |c| organizations::table
        .filter(organizations::id.ne(OrgId::INSTALLATION))
        .order(organizations::id)
        .select((organizations::id, organizations::name))
        .load(c))?;
    Ok(rows
        .into_iter()
        .map(|(id, name)| Organization { id, name })
        .collect())
}

/// The ids of all organisations, the oldest first.
pub(crate) fn ids(tx: &mut Global<'_>) -> Result<Vec<OrgId>, StoreError> {
    Ok(all(tx)?
        .into_iter()
        .map(|organization| organization.id)
        .collect())
}

/// How many organisations there are.
pub(crate) fn count(tx: &mut Global<'_>) -> Result<i64, StoreError> {
    Ok(on_conn!(tx.conn, |c| organizations::table
        .filter(organizations::id.ne(OrgId::INSTALLATION))
        .count()
        .get_result(c))?)
}

/// What an organisation calls itself.
pub(crate) fn name_of(tx: &mut Global<'_>, id: OrgId) -> Result<Option<String>, StoreError> {
    Ok(on_conn!(tx.conn, |c| organizations::table
        .filter(organizations::id.ne(OrgId::INSTALLATION))
        .filter(organizations::id.eq(id))
        .select(organizations::name)
        .first(c)
        .optional())?)
}

/// Whether there is such an organisation.
pub(crate) fn exists(tx: &mut Global<'_>, id: OrgId) -> Result<bool, StoreError> {
    Ok(name_of(tx, id)?.is_some())
}
