//! What one may do with a tenant.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    change::{TenantChange, TenantField},
    model::{Tenant, TenantStatus},
    notes, queries, revoke,
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    customers,
    ids::{CustomerId, TenantId},
    microsoft::identity::IdentityClient,
    store::{Scoped, Store, StoreError},
};

/// Why something cannot be done with a tenant.
#[derive(Debug, thiserror::Error)]
pub enum TenantsError {
    /// The organisation has no such tenant.
    #[error("no such tenant")]
    TenantNotFound,
    /// The organisation has no such active customer.
    #[error("no such customer")]
    CustomerNotFound,
    /// Somebody changed the tenant since the caller read it.
    #[error("the tenant has changed since it was read")]
    VersionMismatch,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which tenants a list shows. Empty lists of words mean any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantFilter {
    /// In one of these statuses.
    pub statuses: Vec<TenantStatus>,
    /// Of one of these customers.
    pub customers: Vec<CustomerId>,
    /// With this text in name, domain or id.
    pub search: Option<String>,
}

/// The last tenant of a page: the next page begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantCursor {
    /// When it was first asked for.
    pub created_at: DateTime<Utc>,
    /// Its id.
    pub tenant: TenantId,
}

/// A page of tenants.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantPage {
    /// In the order in which they were first asked for.
    pub items: Vec<Tenant>,
    /// Where the next page begins, when there is one.
    pub next: Option<TenantCursor>,
    /// How many the filter finds in all.
    pub total: i64,
    /// The moment the page stands for.
    pub at: DateTime<Utc>,
}

/// Lists, shows, changes and revokes the tenants of an organisation.
#[derive(Clone)]
pub struct TenantService {
    store: Store,
    identity: IdentityClient,
}

impl TenantService {
    /// The service over a store and the holder of tokens.
    pub fn new(store: Store, identity: IdentityClient) -> Self {
        Self { store, identity }
    }

    /// The present moment, for what depends on it.
    pub fn now(&self) -> DateTime<Utc> {
        self.store.clock().now()
    }

    /// A page of at most `limit` tenants.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        scope: &OrgScope,
        filter: TenantFilter,
        after: Option<TenantCursor>,
        limit: u32,
    ) -> Result<TenantPage, TenantsError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let fetch = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        self.store
            .read(scope, move |tx| {
                let total = queries::count(tx, &filter)?;
                let mut items = queries::list(tx, &filter, after, fetch)?;
                let has_more = items.len() > limit;
                items.truncate(limit);
                let last = if has_more { items.last() } else { None };
                let next = last.map(|last| TenantCursor {
                    created_at: last.created_at,
                    tenant: last.id,
                });
                Ok(TenantPage {
                    items,
                    next,
                    total,
                    at: tx.now(),
                })
            })
            .await
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`TenantsError::TenantNotFound`], or when the store fails.
    pub async fn get(&self, scope: &OrgScope, tenant: TenantId) -> Result<Tenant, TenantsError> {
        self.store
            .read(scope, move |tx| {
                queries::find(tx, tenant)?.ok_or(TenantsError::TenantNotFound)
            })
            .await
    }

    /// Changes a tenant and returns it as it is then. `version` is the one the caller read, where it
    /// says so. A change that changes nothing leaves no trace.
    ///
    /// # Errors
    /// See [`TenantsError`].
    pub async fn change(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        version: Option<i64>,
        change: TenantChange,
    ) -> Result<Tenant, TenantsError> {
        self.store
            .write(scope, move |tx| {
                let (changed, fields) = apply(tx, tenant, version, &change)?;
                if !fields.is_empty() {
                    let details = json!({"fields": fields, "customerId": changed.customer});
                    audit::record(tx, Action::TenantChanged, Some(tenant), details)?;
                }
                Ok(changed)
            })
            .await
    }

    /// Revokes a tenant: its credentials are erased at once, its history stays. A second time nothing
    /// happens.
    ///
    /// # Errors
    /// See [`TenantsError`].
    pub async fn revoke(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        version: Option<i64>,
    ) -> Result<(), TenantsError> {
        let erased = self
            .store
            .write(scope, move |tx| revoke::revoke(tx, tenant, version))
            .await?;
        for connection in erased {
            self.identity.forget(connection);
        }
        Ok(())
    }
}

/// Changes a tenant; the tenant as it is then, and the fields that differ. The caller records the audit.
fn apply(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    version: Option<i64>,
    change: &TenantChange,
) -> Result<(Tenant, Vec<&'static str>), TenantsError> {
    let before = queries::find(tx, tenant)?.ok_or(TenantsError::TenantNotFound)?;
    if version.is_some_and(|version| version != before.version) {
        return Err(TenantsError::VersionMismatch);
    }
    if let TenantField::Set(customer) = change.customer
        && !customers::hold_active(tx, customer)?
    {
        return Err(TenantsError::CustomerNotFound);
    }
    let (fields, _after) = change.applied_to(&before);
    if fields.is_empty() {
        return Ok((before, fields));
    }
    if !queries::lock(tx, tenant, version)? {
        return Err(TenantsError::VersionMismatch);
    }
    let locked = queries::find(tx, tenant)?.ok_or(TenantsError::TenantNotFound)?;
    let (_fields, after) = change.applied_to(&locked);
    queries::set_personal(tx, &after)?;
    if after.customer != locked.customer {
        queries::redirect_links(tx, tenant, after.customer)?;
    }
    match &change.display_name {
        TenantField::Keep => {}
        TenantField::Clear => notes::rename(tx, tenant, None)?,
        TenantField::Set(name) => notes::rename(tx, tenant, Some(name))?,
    }
    let changed = queries::find(tx, tenant)?.ok_or(TenantsError::TenantNotFound)?;
    Ok((changed, fields))
}

/// What became of putting a tenant on a customer.
pub(crate) enum Mapped {
    /// It belongs to it from now on.
    Now,
    /// It did already.
    Already,
    /// It belongs to this other one, and stays there.
    Elsewhere(CustomerId),
}

/// Puts a tenant that belongs to nobody on a customer. The caller records the audit, and undoes the
/// transaction where one that belongs to somebody else is in its way.
///
/// # Errors
/// See [`TenantsError`].
pub(crate) fn map_to_customer(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    customer: CustomerId,
) -> Result<Mapped, TenantsError> {
    let present = queries::find(tx, tenant)?.ok_or(TenantsError::TenantNotFound)?;
    match present.customer {
        Some(same) if same == customer => return Ok(Mapped::Already),
        Some(other) => return Ok(Mapped::Elsewhere(other)),
        None => {}
    }
    let change = TenantChange {
        customer: TenantField::Set(customer),
        ..TenantChange::default()
    };
    // In the order in which every change of a mapping locks: customer, then tenant. Whoever maps the tenant
    // at the same time is waited for and not overwritten.
    if !customers::hold_active(tx, customer)? {
        return Err(TenantsError::CustomerNotFound);
    }
    queries::lock(tx, tenant, None)?;
    let locked = queries::find(tx, tenant)?.ok_or(TenantsError::TenantNotFound)?;
    match locked.customer {
        Some(same) if same == customer => Ok(Mapped::Already),
        Some(other) => Ok(Mapped::Elsewhere(other)),
        None => {
            let (_changed, _fields) = apply(tx, tenant, None, &change)?;
            Ok(Mapped::Now)
        }
    }
}
