//! The SQL of customers.

mod evidence;

pub(crate) use self::evidence::{activity_of, hints, known_customers};

use diesel::prelude::*;

use super::{Customer, CustomerFilter};
use crate::{
    ids::{CustomerId, TenantId},
    store::{
        Scoped, StoreError, on_conn,
        schema::{customers, tenants},
        search::containing,
        types::StoredTime,
    },
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = customers)]
struct CustomerRow {
    id: CustomerId,
    name: String,
    domains: String,
    source: String,
    external_id: Option<String>,
    active: bool,
    version: i64,
    created_at: StoredTime,
    changed_at: StoredTime,
}

impl CustomerRow {
    fn into_customer(self, tenants: Vec<TenantId>) -> Result<Customer, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        Ok(Customer {
            id: self.id,
            name: self.name,
            domains: serde_json::from_str(&self.domains).or(Err(corrupt("customer's domains")))?,
            source: self.source.parse().or(Err(corrupt("customer's source")))?,
            external_id: self.external_id,
            active: self.active,
            tenants,
            version: self.version,
            created_at: self.created_at.0,
            changed_at: self.changed_at.0,
        })
    }
}

/// Name and domains, each on a line of its own so that no search matches across them.
fn search_text(customer: &Customer) -> String {
    let mut text = customer.name.to_lowercase();
    for domain in &customer.domains {
        text.push('\n');
        text.push_str(domain);
    }
    text
}

fn domains_text(customer: &Customer) -> String {
    serde_json::Value::from(customer.domains.as_slice()).to_string()
}

/// Stores a new customer.
pub(super) fn insert(tx: &mut Scoped<'_>, customer: &Customer) -> Result<(), StoreError> {
    let row = (
        customers::org_id.eq(tx.org()),
        customers::id.eq(customer.id),
        customers::name.eq(&customer.name),
        customers::search_text.eq(search_text(customer)),
        customers::domains.eq(domains_text(customer)),
        customers::source.eq(customer.source.as_str()),
        customers::external_id.eq(customer.external_id.as_deref()),
        customers::active.eq(customer.active),
        customers::version.eq(customer.version),
        customers::created_at.eq(StoredTime(customer.created_at)),
        customers::changed_at.eq(StoredTime(customer.changed_at)),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(customers::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

/// Writes what people can change, with the version.
pub(super) fn update(tx: &mut Scoped<'_>, customer: &Customer) -> Result<(), StoreError> {
    let org = tx.org();
    let change = (
        customers::name.eq(&customer.name),
        customers::search_text.eq(search_text(customer)),
        customers::domains.eq(domains_text(customer)),
        customers::active.eq(customer.active),
        customers::version.eq(customer.version),
        customers::changed_at.eq(StoredTime(customer.changed_at)),
    );
    let rows = on_conn!(tx.conn, |c| diesel::update(
        customers::table
            .filter(customers::org_id.eq(org))
            .filter(customers::id.eq(customer.id))
    )
    .set(change)
    .execute(c))?;
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::NotFound)
    }
}

/// One customer.
pub(super) fn find(tx: &mut Scoped<'_>, id: CustomerId) -> Result<Option<Customer>, StoreError> {
    let org = tx.org();
    let row: Option<CustomerRow> = on_conn!(tx.conn, |c| customers::table
        .filter(customers::org_id.eq(org))
        .filter(customers::id.eq(id))
        .select(CustomerRow::as_select())
        .first(c)
        .optional())?;
    row.map(|row| with_tenants(tx, row)).transpose()
}

/// One customer, which nobody else can change until the transaction ends. The write that changes
/// nothing is the lock, on both databases.
pub(super) fn find_locked(
    tx: &mut Scoped<'_>,
    id: CustomerId,
) -> Result<Option<Customer>, StoreError> {
    let org = tx.org();
    let row: Option<CustomerRow> = on_conn!(tx.conn, |c| diesel::update(
        customers::table
            .filter(customers::org_id.eq(org))
            .filter(customers::id.eq(id))
    )
    .set(customers::version.eq(customers::version))
    .returning(CustomerRow::as_returning())
    .get_result(c)
    .optional())?;
    row.map(|row| with_tenants(tx, row)).transpose()
}

fn with_tenants(tx: &mut Scoped<'_>, row: CustomerRow) -> Result<Customer, StoreError> {
    let mapped = mapped_tenants(tx, &[row.id])?;
    row.into_customer(mapped.into_iter().map(|(_, tenant)| tenant).collect())
}

/// Whether the customer is there and active.
pub(crate) fn is_active(tx: &mut Scoped<'_>, id: CustomerId) -> Result<bool, StoreError> {
    let org = tx.org();
    let active: Option<bool> = on_conn!(tx.conn, |c| customers::table
        .filter(customers::org_id.eq(org))
        .filter(customers::id.eq(id))
        .select(customers::active)
        .first(c)
        .optional())?;
    Ok(active == Some(true))
}

/// Whether the customer is there and active, and keeps it so until the transaction ends: for whoever
/// maps a tenant to it. Without the lock a deactivation at the same time would not see the tenant.
pub(crate) fn hold_active(tx: &mut Scoped<'_>, id: CustomerId) -> Result<bool, StoreError> {
    let org = tx.org();
    let rows = on_conn!(tx.conn, |c| diesel::update(
        customers::table
            .filter(customers::org_id.eq(org))
            .filter(customers::id.eq(id))
            .filter(customers::active)
    )
    .set(customers::version.eq(customers::version))
    .execute(c))?;
    Ok(rows == 1)
}

/// Customers by id, after `after`.
pub(super) fn list(
    tx: &mut Scoped<'_>,
    filter: &CustomerFilter,
    after: Option<CustomerId>,
    limit: i64,
) -> Result<Vec<Customer>, StoreError> {
    let org = tx.org();
    let pattern = filter.search.as_deref().map(containing);
    let rows: Vec<CustomerRow> = on_conn!(tx.conn, |c| {
        let mut query = customers::table
            .filter(customers::org_id.eq(org))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(customers::id.gt(after));
        }
        if let Some(pattern) = &pattern {
            query = query.filter(customers::search_text.like(pattern).escape('\\'));
        }
        if let Some(active) = filter.active {
            query = query.filter(customers::active.eq(active));
        }
        query
            .order(customers::id)
            .limit(limit)
            .select(CustomerRow::as_select())
            .load(c)
    })?;
    let ids: Vec<CustomerId> = rows.iter().map(|row| row.id).collect();
    let mapped = mapped_tenants(tx, &ids)?;
    rows.into_iter()
        .map(|row| {
            let own = mapped
                .iter()
                .filter(|(customer, _)| *customer == Some(row.id));
            let tenants = own.map(|(_, tenant)| *tenant).collect();
            row.into_customer(tenants)
        })
        .collect()
}

/// How many customers the filter lets through.
pub(super) fn count(tx: &mut Scoped<'_>, filter: &CustomerFilter) -> Result<i64, StoreError> {
    let org = tx.org();
    let pattern = filter.search.as_deref().map(containing);
    Ok(on_conn!(tx.conn, |c| {
        let mut query = customers::table
            .filter(customers::org_id.eq(org))
            .into_boxed();
        if let Some(pattern) = &pattern {
            query = query.filter(customers::search_text.like(pattern).escape('\\'));
        }
        if let Some(active) = filter.active {
            query = query.filter(customers::active.eq(active));
        }
        query.count().get_result(c)
    })?)
}

/// (customer, tenant) for every tenant that is mapped to one of the customers.
fn mapped_tenants(
    tx: &mut Scoped<'_>,
    ids: &[CustomerId],
) -> Result<Vec<(Option<CustomerId>, TenantId)>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::customer_id.eq_any(ids))
        .order(tenants::tenant_id)
        .select((tenants::customer_id, tenants::tenant_id))
        .load(c))?)
}

/// Tenants of a customer that are not revoked.
pub(super) fn tenants_in_use(
    tx: &mut Scoped<'_>,
    id: CustomerId,
) -> Result<Vec<TenantId>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::customer_id.eq(id))
        .filter(tenants::status.ne("revoked"))
        .order(tenants::tenant_id)
        .select(tenants::tenant_id)
        .load(c))?)
}
