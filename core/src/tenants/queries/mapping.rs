//! The SQL of which tenants belong to which customers.

use std::collections::HashSet;

use diesel::prelude::*;

use super::word;
use crate::{
    ids::{CustomerId, TenantId},
    store::{
        Scoped, StoreError, on_conn,
        schema::{connections, tenants},
    },
    tenants::{TenantStatus, model::TenantNaming},
};

/// The tenants that belong to no customer, by id; revoked ones left out.
pub(crate) fn without_customer(tx: &mut Scoped<'_>) -> Result<Vec<TenantId>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::customer_id.is_null())
        .filter(tenants::status.ne(TenantStatus::Revoked.as_str()))
        .order(tenants::tenant_id)
        .select(tenants::tenant_id)
        .load(c))?)
}

/// The customers that a tenant is mapped to, revoked ones included.
pub(crate) fn customers_with_tenants(
    tx: &mut Scoped<'_>,
) -> Result<HashSet<CustomerId>, StoreError> {
    let org = tx.org();
    let ids: Vec<Option<CustomerId>> = on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::customer_id.is_not_null())
        .select(tenants::customer_id)
        .distinct()
        .load(c))?;
    Ok(ids.into_iter().flatten().collect())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = tenants)]
struct NamingRow {
    tenant_id: TenantId,
    status: String,
    display_name: String,
    display_name_set: bool,
    organization_name: Option<String>,
    default_domain: Option<String>,
}

/// What is known of the names of those of these tenants that are there.
pub(crate) fn namings(
    tx: &mut Scoped<'_>,
    ids: &[TenantId],
) -> Result<Vec<TenantNaming>, StoreError> {
    let org = tx.org();
    let rows: Vec<NamingRow> = on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::tenant_id.eq_any(ids))
        .select(NamingRow::as_select())
        .load(c))?;
    let naming = |row: NamingRow| {
        Ok(TenantNaming {
            tenant: row.tenant_id,
            status: word(&row.status, "tenant status")?,
            display_name: row.display_name,
            display_name_set: row.display_name_set,
            organization_name: row.organization_name,
            default_domain: row.default_domain,
        })
    };
    rows.into_iter().map(naming).collect()
}

/// Of these tenants, those that are there, with their customers.
pub(crate) fn customers_of(
    tx: &mut Scoped<'_>,
    ids: &[TenantId],
) -> Result<Vec<(TenantId, Option<CustomerId>)>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::tenant_id.eq_any(ids))
        .select((tenants::tenant_id, tenants::customer_id))
        .load(c))?)
}

/// Gives the open links of a tenant to its present customer, so that a proof to come does not put it back
/// to the one that the link was made for.
pub(in crate::tenants) fn redirect_links(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    customer: Option<CustomerId>,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        connections::table
            .filter(connections::org_id.eq(org))
            .filter(connections::tenant_id.eq(tenant))
            .filter(connections::state.eq("pending"))
    )
    .set(connections::customer_id.eq(customer))
    .execute(c))?;
    Ok(())
}
