//! The SQL of customers.

mod evidence;
mod records;

use std::collections::{BTreeMap, HashMap};

use diesel::{prelude::*, upsert::excluded};

pub(crate) use self::evidence::{activity_of, hints, known_customers};
pub(super) use self::records::{
    HintRow, RecordRow, StoredRecord, bump_misses, count_missing, delete_unseen_hints, known,
    mark_gone, miss, move_records, records_of, replace_record_hints, rests, touch, upsert_hints,
    upsert_records, website_hints,
};
use super::{Customer, CustomerFilter, CustomerSource, Fields, PsaRecord};
use crate::{
    ids::{CustomerId, OrgId, TenantId},
    store::{
        Conn, Scoped, StoreError, dialect, on_conn,
        schema::{customers, tenants},
        search::containing,
        types::StoredTime,
    },
};

/// Rows a statement, well below what both databases bind.
const ROWS: usize = 500;

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
    field_sources: String,
    source_system: Option<String>,
    merged_into: Option<CustomerId>,
}

impl CustomerRow {
    fn into_customer(
        self,
        tenants: Vec<TenantId>,
        psa_records: Vec<PsaRecord>,
    ) -> Result<Customer, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        Ok(Customer {
            id: self.id,
            name: self.name,
            domains: serde_json::from_str(&self.domains).or(Err(corrupt("customer's domains")))?,
            source: self.source.parse().or(Err(corrupt("customer's source")))?,
            external_id: self.external_id,
            source_system: self.source_system,
            active: self.active,
            manual: Fields::stored(&self.field_sources)?,
            merged_into: self.merged_into,
            psa_records,
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

/// A customer as it is written.
#[derive(Insertable)]
#[diesel(table_name = customers, treat_none_as_default_value = false)]
struct NewRow<'a> {
    org_id: OrgId,
    id: CustomerId,
    name: &'a str,
    search_text: String,
    domains: String,
    source: &'static str,
    external_id: Option<&'a str>,
    active: bool,
    version: i64,
    created_at: StoredTime,
    changed_at: StoredTime,
    field_sources: String,
    source_system: Option<&'a str>,
    merged_into: Option<CustomerId>,
}

impl<'a> NewRow<'a> {
    fn of(org_id: OrgId, customer: &'a Customer) -> Result<Self, StoreError> {
        Ok(Self {
            org_id,
            id: customer.id,
            name: &customer.name,
            search_text: search_text(customer),
            domains: domains_text(customer),
            source: customer.source.as_str(),
            external_id: customer.external_id.as_deref(),
            active: customer.active,
            version: customer.version,
            created_at: StoredTime(customer.created_at),
            changed_at: StoredTime(customer.changed_at),
            field_sources: customer.manual.to_text()?,
            source_system: customer.source_system.as_deref(),
            merged_into: customer.merged_into,
        })
    }
}

/// Stores a new customer.
pub(super) fn insert(tx: &mut Scoped<'_>, customer: &Customer) -> Result<(), StoreError> {
    let row = NewRow::of(tx.org(), customer)?;
    on_conn!(tx.conn, |c| diesel::insert_into(customers::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

/// Stores new customers, and writes what may have changed of others.
pub(super) fn upsert(tx: &mut Scoped<'_>, customers: &[Customer]) -> Result<(), StoreError> {
    let org = tx.org();
    for customers in customers.chunks(ROWS) {
        let rows: Result<Vec<_>, _> = customers.iter().map(|one| NewRow::of(org, one)).collect();
        let rows = rows?;
        on_conn!(tx.conn, |c| diesel::insert_into(customers::table)
            .values(&rows)
            .on_conflict((customers::org_id, customers::id))
            .do_update()
            .set((
                customers::name.eq(excluded(customers::name)),
                customers::search_text.eq(excluded(customers::search_text)),
                customers::domains.eq(excluded(customers::domains)),
                customers::active.eq(excluded(customers::active)),
                customers::version.eq(excluded(customers::version)),
                customers::changed_at.eq(excluded(customers::changed_at)),
                customers::field_sources.eq(excluded(customers::field_sources)),
                customers::merged_into.eq(excluded(customers::merged_into)),
            ))
            .execute(c))?;
    }
    Ok(())
}

/// Writes what can change of a customer that is there, with the version.
pub(super) fn update(tx: &mut Scoped<'_>, customer: &Customer) -> Result<(), StoreError> {
    upsert(tx, std::slice::from_ref(customer))
}

/// Customers without their tenants and records, which nobody else can change until the transaction ends.
/// In the order of their ids, so that two who lock several never wait for each other.
pub(super) fn locked(tx: &mut Scoped<'_>, ids: &[CustomerId]) -> Result<Vec<Customer>, StoreError> {
    let org = tx.org();
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ROWS) {
        let rows: Vec<CustomerRow> = match &mut tx.conn {
            // The transaction is the only writer already.
            Conn::Sqlite(c) => customers::table
                .filter(customers::org_id.eq(org))
                .filter(customers::id.eq_any(ids))
                .order(customers::id)
                .select(CustomerRow::as_select())
                .load(*c)?,
            Conn::Postgres(c) => customers::table
                .filter(customers::org_id.eq(org))
                .filter(customers::id.eq_any(ids))
                .order(customers::id)
                .for_no_key_update()
                .select(CustomerRow::as_select())
                .load(*c)?,
        };
        for row in rows {
            found.push(row.into_customer(Vec::new(), Vec::new())?);
        }
    }
    Ok(found)
}

/// The customers that came from these records of a system, by the record's id; of a merged one the customer
/// that took its place.
pub(super) fn of_origin(
    tx: &mut Scoped<'_>,
    source: CustomerSource,
    system: &str,
    external_ids: &[&str],
) -> Result<HashMap<String, CustomerId>, StoreError> {
    let found = dialect::psa::find_origins(tx, source.as_str(), system, external_ids)?;
    let by_id = |one: dialect::psa::FoundOrigin| (one.external_id, one.customer_id);
    Ok(found.into_iter().map(by_id).collect())
}

/// What was merged into a customer belongs to another one now.
pub(super) fn move_merged(
    tx: &mut Scoped<'_>,
    from: CustomerId,
    to: CustomerId,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        customers::table
            .filter(customers::org_id.eq(org))
            .filter(customers::merged_into.eq(from))
    )
    .set(customers::merged_into.eq(Some(to)))
    .execute(c))?;
    Ok(())
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
    let records = records_of(tx, &[row.id])?;
    row.into_customer(
        mapped.into_iter().map(|(_, tenant)| tenant).collect(),
        records.into_iter().map(|(_, record)| record).collect(),
    )
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
    let mut records: BTreeMap<CustomerId, Vec<PsaRecord>> = BTreeMap::new();
    for (customer, record) in records_of(tx, &ids)? {
        records.entry(customer).or_default().push(record);
    }
    rows.into_iter()
        .map(|row| {
            let own = mapped
                .iter()
                .filter(|(customer, _)| *customer == Some(row.id));
            let tenants = own.map(|(_, tenant)| *tenant).collect();
            let own = records.remove(&row.id).unwrap_or_default();
            row.into_customer(tenants, own)
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
