//! The SQL of tenants and claims. Visible to this room only.

mod mapping;

pub(super) use self::mapping::redirect_links;
pub(crate) use self::mapping::{customers_of, customers_with_tenants, namings, without_customer};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    model::{ConnectionType, Tenant, TenantStatus},
    notes::Connected,
    service::{TenantCursor, TenantFilter},
};
use crate::{
    ids::{ConnectionId, CustomerId, OrgId, TenantId},
    microsoft::connection::{ConnectionHandle, Grant},
    store::{
        Global, Scoped, StoreError, on_conn,
        schema::{connections, tenant_claims, tenants},
        types::StoredTime,
    },
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = tenants)]
struct TenantRow {
    tenant_id: TenantId,
    customer_id: Option<CustomerId>,
    connection_id: Option<ConnectionId>,
    connection_type: String,
    status: String,
    display_name: String,
    display_name_set: bool,
    default_domain: Option<String>,
    granted_permissions: String,
    missing_permissions: String,
    consented_by: Option<String>,
    connection_error: Option<String>,
    tags: String,
    notifications: bool,
    connected_at: Option<StoredTime>,
    last_completed_at: Option<StoredTime>,
    revoked_at: Option<StoredTime>,
    upstream_revoked: bool,
    version: i64,
    created_at: StoredTime,
}

impl TenantRow {
    fn into_tenant(self) -> Result<Tenant, StoreError> {
        let time = |time: Option<StoredTime>| time.map(|time| time.0);
        Ok(Tenant {
            id: self.tenant_id,
            customer: self.customer_id,
            connection: self.connection_id,
            connection_type: word(&self.connection_type, "connection type")?,
            status: word(&self.status, "tenant status")?,
            display_name: self.display_name,
            display_name_set: self.display_name_set,
            default_domain: self.default_domain,
            granted_permissions: json(&self.granted_permissions, "granted permissions")?,
            missing_permissions: json(&self.missing_permissions, "missing permissions")?,
            consented_by: self
                .consented_by
                .map(|text| json(&text, "consented by"))
                .transpose()?,
            connection_error: self
                .connection_error
                .map(|text| json(&text, "connection error"))
                .transpose()?,
            tags: json(&self.tags, "tags")?,
            notifications: self.notifications,
            connected_at: time(self.connected_at),
            last_completed_at: time(self.last_completed_at),
            revoked_at: time(self.revoked_at),
            upstream_revoked: self.upstream_revoked,
            version: self.version,
            created_at: self.created_at.0,
        })
    }
}

fn word<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().or(Err(StoreError::Corrupt { what }))
}

fn json<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).or(Err(StoreError::Corrupt { what }))
}

fn to_json<T: Serialize + ?Sized>(value: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).or(Err(StoreError::Corrupt { what }))
}

/// One tenant of the organisation.
pub(crate) fn find(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<Option<Tenant>, StoreError> {
    let org = tx.org();
    let row = on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::tenant_id.eq(tenant))
        .select(TenantRow::as_select())
        .first(c)
        .optional())?;
    row.map(TenantRow::into_tenant).transpose()
}

/// One tenant of the organisation, which nobody else can change until the transaction ends.
pub(crate) fn find_locked(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<Option<Tenant>, StoreError> {
    if lock(tx, tenant, None)? {
        find(tx, tenant)
    } else {
        Ok(None)
    }
}

/// Whether the organisation has the tenant.
pub(crate) fn exists(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<bool, StoreError> {
    let org = tx.org();
    let query = tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::tenant_id.eq(tenant));
    Ok(on_conn!(tx.conn, |c| diesel::select(diesel::dsl::exists(
        query
    ))
    .get_result(c))?)
}

/// A macro because a boxed query has a type for each database.
macro_rules! filtered {
    ($org:expr, $filter:expr) => {{
        let filter: &TenantFilter = $filter;
        let mut query = tenants::table.filter(tenants::org_id.eq($org)).into_boxed();
        if !filter.statuses.is_empty() {
            let statuses: Vec<&str> = filter
                .statuses
                .iter()
                .map(|status| status.as_str())
                .collect();
            query = query.filter(tenants::status.eq_any(statuses));
        }
        if !filter.customers.is_empty() {
            query = query.filter(tenants::customer_id.eq_any(filter.customers.clone()));
        }
        if let Some(search) = &filter.search {
            query = query.filter(tenants::search_text.like(contains(search)).escape('\\'));
        }
        query
    }};
}

/// A page of tenants in the order in which they were first asked for.
pub(super) fn list(
    tx: &mut Scoped<'_>,
    filter: &TenantFilter,
    after: Option<TenantCursor>,
    limit: i64,
) -> Result<Vec<Tenant>, StoreError> {
    let org = tx.org();
    let rows: Vec<TenantRow> = on_conn!(tx.conn, |c| {
        let mut query = filtered!(org, filter);
        if let Some(after) = after {
            let at = StoredTime(after.created_at);
            query = query.filter(
                tenants::created_at.gt(at).or(tenants::created_at
                    .eq(at)
                    .and(tenants::tenant_id.gt(after.tenant))),
            );
        }
        query
            .order((tenants::created_at.asc(), tenants::tenant_id.asc()))
            .limit(limit)
            .select(TenantRow::as_select())
            .load(c)
    })?;
    rows.into_iter().map(TenantRow::into_tenant).collect()
}

/// How many tenants the filter finds.
pub(super) fn count(tx: &mut Scoped<'_>, filter: &TenantFilter) -> Result<i64, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| filtered!(org, filter)
        .count()
        .get_result(c))?)
}

/// A LIKE pattern that finds the text anywhere. What is searched in is lower case already.
fn contains(search: &str) -> String {
    let mut pattern = String::from("%");
    for character in search.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// The proven connection of a tenant, for whatever needs a token.
pub(crate) fn load_connection(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<Option<ConnectionHandle>, StoreError> {
    let org = tx.org();
    let found: Option<(ConnectionId, String)> = on_conn!(tx.conn, |c| tenants::table
        .inner_join(
            connections::table.on(connections::org_id
                .eq(tenants::org_id)
                .and(tenants::connection_id.eq(connections::id.nullable()))),
        )
        .filter(tenants::org_id.eq(org))
        .filter(tenants::tenant_id.eq(tenant))
        .filter(tenants::status.ne(TenantStatus::Revoked.as_str()))
        .filter(connections::tenant_id.eq(tenant))
        .filter(connections::state.eq("proven"))
        .select((connections::id, connections::connection_type))
        .first(c)
        .optional())?;
    let handle = |(connection, kind): (_, String)| {
        let grant = grant(&kind)?;
        Ok(ConnectionHandle::loaded(org, connection, tenant, grant))
    };
    found.map(handle).transpose()
}

/// A connection whose tenant has been proven by a sign-in and that waits for the proof of its grant.
pub(crate) fn connection_to_prove(
    tx: &mut Scoped<'_>,
    connection: ConnectionId,
) -> Result<Option<ConnectionHandle>, StoreError> {
    let org = tx.org();
    let found: Option<(TenantId, String)> = on_conn!(tx.conn, |c| connections::table
        .filter(connections::org_id.eq(org))
        .filter(connections::id.eq(connection))
        .filter(connections::state.eq("pending"))
        .filter(connections::next_step.eq("proof"))
        .filter(connections::signed_in.is_not_null())
        .select((connections::tenant_id, connections::connection_type))
        .first(c)
        .optional())?;
    let handle = |(tenant, kind): (_, String)| {
        let grant = grant(&kind)?;
        Ok(ConnectionHandle::loaded(org, connection, tenant, grant))
    };
    found.map(handle).transpose()
}

/// What the tokens of a connection of this type are minted with.
fn grant(connection_type: &str) -> Result<Grant, StoreError> {
    let what = "connection type";
    match word(connection_type, what)? {
        ConnectionType::AdminConsent => Ok(Grant::AdminConsent),
        ConnectionType::Delegated => Ok(Grant::Delegated),
        ConnectionType::ApplicationCredentials => Ok(Grant::OwnApplication),
        // None of these is ever stored by this version.
        ConnectionType::Gdap => Err(StoreError::Corrupt { what }),
    }
}

/// What a tenant is when it is asked for the first time.
pub(super) struct NewTenant<'a> {
    pub(super) tenant: TenantId,
    pub(super) customer: Option<CustomerId>,
    pub(super) connection_type: &'a str,
    pub(super) display_name: &'a str,
    pub(super) default_domain: Option<&'a str>,
    pub(super) search_text: &'a str,
}

/// Inserts a tenant that waits for consent. False: the organisation has it already.
pub(super) fn insert(tx: &mut Scoped<'_>, new: &NewTenant<'_>) -> Result<bool, StoreError> {
    let row = (
        tenants::org_id.eq(tx.org()),
        tenants::tenant_id.eq(new.tenant),
        tenants::customer_id.eq(new.customer),
        tenants::connection_type.eq(new.connection_type),
        tenants::status.eq(TenantStatus::PendingConsent.as_str()),
        tenants::display_name.eq(new.display_name),
        tenants::default_domain.eq(new.default_domain),
        tenants::search_text.eq(new.search_text),
        tenants::granted_permissions.eq("[]"),
        tenants::missing_permissions.eq("[]"),
        tenants::tags.eq("[]"),
        tenants::version.eq(1),
        tenants::created_at.eq(StoredTime(tx.now())),
    );
    let inserted = on_conn!(tx.conn, |c| diesel::insert_into(tenants::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(inserted == 1)
}

/// Locks the row of a tenant until the transaction ends, so that changes of one tenant follow each
/// other. False: there is none, or its version is another one.
pub(super) fn lock(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    version: Option<i64>,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let rows = on_conn!(tx.conn, |c| {
        let mut query = diesel::update(
            tenants::table
                .filter(tenants::org_id.eq(org))
                .filter(tenants::tenant_id.eq(tenant)),
        )
        .set(tenants::version.eq(tenants::version + 1))
        .into_boxed();
        if let Some(version) = version {
            query = query.filter(tenants::version.eq(version));
        }
        query.execute(c)
    })?;
    Ok(rows == 1)
}

/// Gives a tenant that was never proven to another customer and way of connecting.
pub(super) fn redirect_pending(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    customer: Option<CustomerId>,
    connection_type: &str,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        tenants::table
            .filter(tenants::org_id.eq(org))
            .filter(tenants::tenant_id.eq(tenant))
            .filter(tenants::status.eq(TenantStatus::PendingConsent.as_str()))
    )
    .set((
        tenants::customer_id.eq(customer),
        tenants::connection_type.eq(connection_type)
    ))
    .execute(c))?;
    Ok(())
}

/// Writes what a proof showed.
pub(super) fn set_connected(
    tx: &mut Scoped<'_>,
    connected: &Connected,
    status: TenantStatus,
) -> Result<(), StoreError> {
    let org = tx.org();
    let granted = to_json(&connected.granted, "granted permissions")?;
    let missing = to_json(&connected.missing, "missing permissions")?;
    let consented_by = connected
        .consented_by
        .as_ref()
        .map(|who| to_json(who, "consented by"))
        .transpose()?;
    let now = StoredTime(tx.now());
    on_conn!(tx.conn, |c| diesel::update(
        tenants::table
            .filter(tenants::org_id.eq(org))
            .filter(tenants::tenant_id.eq(connected.tenant))
            .filter(tenants::status.eq_any(status.sources()))
    )
    .set((
        tenants::status.eq(status.as_str()),
        tenants::connection_id.eq(Some(connected.connection)),
        tenants::connection_type.eq(connected.connection_type.as_str()),
        tenants::customer_id.eq(connected.customer),
        tenants::granted_permissions.eq(&granted),
        tenants::missing_permissions.eq(&missing),
        tenants::consented_by.eq(consented_by.as_deref()),
        tenants::connection_error.eq(None::<String>),
        tenants::connected_at.eq(Some(now)),
        tenants::revoked_at.eq(None::<StoredTime>),
        tenants::upstream_revoked.eq(false),
        tenants::version.eq(tenants::version + 1),
    ))
    .execute(c))?;
    Ok(())
}

/// Moves a tenant to another status where that is legal. False: nothing changed.
pub(super) fn set_status(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    status: TenantStatus,
    connection_error: Option<&str>,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let rows = on_conn!(tx.conn, |c| diesel::update(
        tenants::table
            .filter(tenants::org_id.eq(org))
            .filter(tenants::tenant_id.eq(tenant))
            .filter(tenants::status.eq_any(status.sources()))
    )
    .set((
        tenants::status.eq(status.as_str()),
        tenants::connection_error.eq(connection_error),
        tenants::version.eq(tenants::version + 1),
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Writes or clears why the connection does not work. False: it stood there already.
pub(super) fn set_connection_error(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    error: Option<&str>,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let rows = on_conn!(tx.conn, |c| {
        let mut query = diesel::update(
            tenants::table
                .filter(tenants::org_id.eq(org))
                .filter(tenants::tenant_id.eq(tenant)),
        )
        .set((
            tenants::connection_error.eq(error),
            tenants::version.eq(tenants::version + 1),
        ))
        .into_boxed();
        query = match error {
            Some(error) => query.filter(
                tenants::connection_error
                    .is_null()
                    .or(tenants::connection_error.ne(error)),
            ),
            None => query.filter(tenants::connection_error.is_not_null()),
        };
        query.execute(c)
    })?;
    Ok(rows == 1)
}

/// Adds a permission to the missing ones of a working tenant, which is degraded from then on.
pub(super) fn set_missing(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    missing: &[String],
) -> Result<(), StoreError> {
    let org = tx.org();
    let missing = to_json(missing, "missing permissions")?;
    on_conn!(tx.conn, |c| diesel::update(
        tenants::table
            .filter(tenants::org_id.eq(org))
            .filter(tenants::tenant_id.eq(tenant))
            .filter(tenants::status.eq_any([
                TenantStatus::Connected.as_str(),
                TenantStatus::Degraded.as_str()
            ]))
    )
    .set((
        tenants::status.eq(TenantStatus::Degraded.as_str()),
        tenants::missing_permissions.eq(&missing),
        tenants::version.eq(tenants::version + 1),
    ))
    .execute(c))?;
    Ok(())
}

/// What the row keeps of the tenant's own description.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = tenants)]
pub(super) struct Naming {
    pub(super) display_name: String,
    pub(super) display_name_set: bool,
    pub(super) organization_name: Option<String>,
    pub(super) default_domain: Option<String>,
    pub(super) search_text: String,
}

/// How a tenant is named and found.
pub(super) fn naming(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<Option<Naming>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| tenants::table
        .filter(tenants::org_id.eq(org))
        .filter(tenants::tenant_id.eq(tenant))
        .select(Naming::as_select())
        .first(c)
        .optional())?)
}

/// Names a tenant anew.
pub(super) fn set_naming(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    naming: &Naming,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        tenants::table
            .filter(tenants::org_id.eq(org))
            .filter(tenants::tenant_id.eq(tenant))
    )
    .set((
        tenants::display_name.eq(&naming.display_name),
        tenants::display_name_set.eq(naming.display_name_set),
        tenants::organization_name.eq(naming.organization_name.as_deref()),
        tenants::default_domain.eq(naming.default_domain.as_deref()),
        tenants::search_text.eq(&naming.search_text),
        tenants::version.eq(tenants::version + 1),
    ))
    .execute(c))?;
    Ok(())
}

/// Writes the end of a completed run, unless a later one stands there.
pub(super) fn set_completed(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    let at = StoredTime(at);
    on_conn!(tx.conn, |c| diesel::update(
        tenants::table
            .filter(tenants::org_id.eq(org))
            .filter(tenants::tenant_id.eq(tenant))
            .filter(
                tenants::last_completed_at
                    .is_null()
                    .or(tenants::last_completed_at.lt(at))
            )
    )
    .set((
        tenants::last_completed_at.eq(Some(at)),
        tenants::version.eq(tenants::version + 1)
    ))
    .execute(c))?;
    Ok(())
}

/// What a person changes, on a locked row.
pub(super) fn set_personal(tx: &mut Scoped<'_>, changed: &Tenant) -> Result<(), StoreError> {
    let org = tx.org();
    let tags = to_json(&changed.tags, "tags")?;
    on_conn!(tx.conn, |c| diesel::update(
        tenants::table
            .filter(tenants::org_id.eq(org))
            .filter(tenants::tenant_id.eq(changed.id))
    )
    .set((
        tenants::customer_id.eq(changed.customer),
        tenants::tags.eq(&tags),
        tenants::notifications.eq(changed.notifications),
    ))
    .execute(c))?;
    Ok(())
}

/// Marks a locked tenant revoked. False: it is already.
pub(super) fn set_revoked(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<bool, StoreError> {
    let org = tx.org();
    let now = StoredTime(tx.now());
    let rows = on_conn!(tx.conn, |c| diesel::update(
        tenants::table
            .filter(tenants::org_id.eq(org))
            .filter(tenants::tenant_id.eq(tenant))
            .filter(tenants::status.eq_any(TenantStatus::Revoked.sources()))
    )
    .set((
        tenants::status.eq(TenantStatus::Revoked.as_str()),
        tenants::connection_id.eq(None::<ConnectionId>),
        tenants::connection_error.eq(None::<String>),
        tenants::revoked_at.eq(Some(now)),
        tenants::upstream_revoked.eq(false),
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Claims a tenant that nobody holds. False: somebody does.
pub(super) fn insert_claim(
    tx: &mut Global<'_>,
    org: OrgId,
    tenant: TenantId,
    connection: ConnectionId,
) -> Result<bool, StoreError> {
    let row = (
        tenant_claims::tenant_id.eq(tenant),
        tenant_claims::org_id.eq(org),
        tenant_claims::connection_id.eq(connection),
        tenant_claims::claimed_at.eq(StoredTime(tx.now())),
    );
    let inserted = on_conn!(tx.conn, |c| diesel::insert_into(tenant_claims::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(inserted == 1)
}

/// Moves an organisation's own claim to another connection. False: it has none.
pub(super) fn move_claim(
    tx: &mut Global<'_>,
    org: OrgId,
    tenant: TenantId,
    connection: ConnectionId,
) -> Result<bool, StoreError> {
    let now = StoredTime(tx.now());
    let rows = on_conn!(tx.conn, |c| diesel::update(
        tenant_claims::table
            .filter(tenant_claims::tenant_id.eq(tenant))
            .filter(tenant_claims::org_id.eq(org))
    )
    .set((
        tenant_claims::connection_id.eq(connection),
        tenant_claims::claimed_at.eq(now)
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Frees a tenant that the organisation holds.
pub(super) fn delete_claim(
    tx: &mut Global<'_>,
    org: OrgId,
    tenant: TenantId,
) -> Result<(), StoreError> {
    on_conn!(tx.conn, |c| diesel::delete(
        tenant_claims::table
            .filter(tenant_claims::tenant_id.eq(tenant))
            .filter(tenant_claims::org_id.eq(org))
    )
    .execute(c))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_searched_text_is_no_pattern() {
        assert_eq!(contains("50%_A\\b"), "%50\\%\\_a\\\\b%");
    }

    #[test]
    fn stored_words_and_documents_that_we_never_write_are_refused() {
        assert!(word::<TenantStatus>("gone", "status").is_err());
        assert!(json::<crate::tenants::ConsentedBy>("{}", "consented by").is_err());
    }
}
