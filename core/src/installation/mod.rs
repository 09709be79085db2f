<<<<<<< HEAD
//! placeholder
use crate::{
    ids::OrgId,
    store::{Global, StoreError, on_conn, schema::organizations},
};
use diesel::prelude::*;
pub(crate) fn organization_name(
    tx: &mut Global<'_>,
    org: OrgId,
) -> Result<Option<String>, StoreError> {
    Ok(on_conn!(tx.conn, |c| organizations::table
        .filter(organizations::id.eq(org))
        .select(organizations::name)
        .first(c)
        .optional())?)
}
pub(crate) fn count_organizations(tx: &mut Global<'_>) -> Result<i64, StoreError> {
    Ok(on_conn!(tx.conn, |c| organizations::table
        .filter(organizations::id.ne(OrgId::INSTALLATION))
        .count()
        .get_result(c))?)
}
=======
//! The installation itself: which one this database is, and whether the master key fits it.
//!
//! Owns the one row that is made on the first use of a database. The installation's id is bound into
//! every sealed secret; its audit chain belongs to the nil organisation.

mod ensure;
mod queries;

pub use self::ensure::{Installation, InstallationError, ensure};
>>>>>>> rooms
