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
