//! The SQL of the MSP's own domains.

use diesel::prelude::*;

use crate::store::{Scoped, StoreError, on_conn, schema::organization_domains};

/// The domains, by name.
pub(super) fn own_domains(tx: &mut Scoped<'_>) -> Result<Vec<String>, StoreError> {
    let org = tx.org();
    let mut domains: Vec<String> = on_conn!(tx.conn, |c| organization_domains::table
        .filter(organization_domains::org_id.eq(org))
        .select(organization_domains::domain)
        .load(c))?;
    // Not by the database: PostgreSQL's order depends on where it was set up.
    domains.sort_unstable();
    Ok(domains)
}

/// Puts these in the place of all.
pub(super) fn replace_own_domains(
    tx: &mut Scoped<'_>,
    domains: &[String],
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::delete(
        organization_domains::table.filter(organization_domains::org_id.eq(org))
    )
    .execute(c))?;
    for domain in domains {
        let row = (
            organization_domains::org_id.eq(org),
            organization_domains::domain.eq(domain),
        );
        on_conn!(tx.conn, |c| diesel::insert_into(
            organization_domains::table
        )
        .values(row)
        .execute(c))?;
    }
    Ok(())
}
