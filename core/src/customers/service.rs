//! What one may do with customers.

use serde_json::json;
use uuid::Uuid;

use super::{
    Customer, CustomerChange, CustomerSource, FieldFault, Fields, NewCustomer, following, merge,
    queries,
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    ids::{CustomerId, TenantId},
    store::{Scoped, Store, StoreError},
};

/// Why something cannot be done with a customer.
#[derive(Debug, thiserror::Error)]
pub enum CustomerError {
    /// The customer is not there, or not in this organisation.
    #[error("no such customer")]
    NotFound,
    /// Fields cannot be taken as they are: all of them.
    #[error("{} fields are invalid", .0.len())]
    Invalid(Vec<FieldFault>),
    /// The customer was changed since the caller read it.
    #[error("the customer has another version by now")]
    VersionMismatch,
    /// It was deactivated, so nothing can be put on it.
    #[error("the customer is not active")]
    NotActive,
    /// A customer cannot be merged with itself.
    #[error("the two customers are one")]
    SameCustomer,
    /// Tenants that are not revoked are mapped to it.
    #[error("tenants are mapped to the customer")]
    HasTenants(Vec<TenantId>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which customers to list.
#[derive(Debug, Clone, Default)]
pub struct CustomerFilter {
    /// Text that the name or a domain must contain; upper and lower case are one.
    pub search: Option<String>,
    /// Only active ones, or only others.
    pub active: Option<bool>,
}

/// A page of customers.
#[derive(Debug)]
pub struct CustomerPage {
    /// By id, so in the order of their creation.
    pub items: Vec<Customer>,
    /// The last id, when there are more.
    pub next: Option<CustomerId>,
    /// How many there are in all.
    pub total: i64,
}

/// Creates, finds and changes customers.
#[derive(Clone)]
pub struct CustomerService {
    store: Store,
}

impl CustomerService {
    /// On a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Creates a customer by hand. `complete` runs in the same transaction, once the customer is
    /// there: for what must happen together with it, such as keeping the answer for a repetition.
    ///
    /// # Errors
    /// [`CustomerError::Invalid`], or the store's.
    pub async fn create(
        &self,
        scope: &OrgScope,
        new: NewCustomer,
        complete: impl FnOnce(&mut Scoped<'_>, &Customer) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Customer, CustomerError> {
        let (name, domains) = new.checked().map_err(CustomerError::Invalid)?;
        self.store
            .write(scope, move |tx| {
                let customer = Customer {
                    id: CustomerId::from_uuid(Uuid::now_v7()),
                    name,
                    domains,
                    source: CustomerSource::Manual,
                    external_id: None,
                    source_system: None,
                    active: true,
                    manual: Fields::default(),
                    merged_into: None,
                    psa_records: Vec::new(),
                    tenants: Vec::new(),
                    version: 1,
                    created_at: tx.now(),
                    changed_at: tx.now(),
                };
                queries::insert(tx, &customer)?;
                complete(tx, &customer)?;
                audit::record(
                    tx,
                    Action::CustomerCreated,
                    None,
                    json!({"customerId": customer.id}),
                )?;
                Ok(customer)
            })
            .await
    }

    /// A page of customers after the given one.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        scope: &OrgScope,
        filter: CustomerFilter,
        after: Option<CustomerId>,
        limit: u16,
    ) -> Result<CustomerPage, CustomerError> {
        if filter
            .search
            .as_ref()
            .is_some_and(|search| search.contains('\0'))
        {
            // No stored text has one, and PostgreSQL does not even take it as a parameter.
            return Ok(CustomerPage {
                items: Vec::new(),
                next: None,
                total: 0,
            });
        }
        self.store
            .read(scope, move |tx| {
                let total = queries::count(tx, &filter)?;
                let mut items = queries::list(tx, &filter, after, i64::from(limit) + 1)?;
                let more = items.len() > usize::from(limit);
                items.truncate(usize::from(limit));
                let next = if more {
                    items.last().map(|customer| customer.id)
                } else {
                    None
                };
                Ok(CustomerPage { items, next, total })
            })
            .await
    }

    /// One customer.
    ///
    /// # Errors
    /// [`CustomerError::NotFound`], or the store's.
    pub async fn get(&self, scope: &OrgScope, id: CustomerId) -> Result<Customer, CustomerError> {
        self.store
            .read(scope, move |tx| {
                queries::find(tx, id)?.ok_or(CustomerError::NotFound)
            })
            .await
    }

    /// Changes a customer, if it still has the version the caller saw where one is given. A change
    /// that changes nothing leaves no trace.
    ///
    /// # Errors
    /// Any [`CustomerError`]; [`CustomerError::HasTenants`] when the change would deactivate it.
    pub async fn change(
        &self,
        scope: &OrgScope,
        id: CustomerId,
        version: Option<i64>,
        change: CustomerChange,
    ) -> Result<Customer, CustomerError> {
        let change = change.checked().map_err(CustomerError::Invalid)?;
        self.store
            .write(scope, move |tx| changed(tx, id, version, &change))
            .await
    }

    /// Deactivates a customer; one that is not active already stays as it is.
    ///
    /// # Errors
    /// [`CustomerError::NotFound`], [`CustomerError::VersionMismatch`],
    /// [`CustomerError::HasTenants`], or the store's.
    pub async fn deactivate(
        &self,
        scope: &OrgScope,
        id: CustomerId,
        version: Option<i64>,
    ) -> Result<(), CustomerError> {
        let change = CustomerChange {
            active: Some(false),
            ..CustomerChange::default()
        };
        self.store
            .write(scope, move |tx| changed(tx, id, version, &change).map(drop))
            .await
    }

    /// Makes two customers one: tenants, what PSAs say and domains of `from` go to `into`, and `from` is
    /// deactivated. What comes from its PSA again belongs to `into`. A second time nothing happens.
    ///
    /// # Errors
    /// [`CustomerError::NotFound`] for either, [`CustomerError::NotActive`] for `into`,
    /// [`CustomerError::SameCustomer`], or the store's.
    pub async fn merge(
        &self,
        scope: &OrgScope,
        into: CustomerId,
        from: CustomerId,
    ) -> Result<Customer, CustomerError> {
        self.store
            .write(scope, move |tx| merge::merge(tx, into, from))
            .await
    }
}

fn changed(
    tx: &mut Scoped<'_>,
    id: CustomerId,
    version: Option<i64>,
    change: &CustomerChange,
) -> Result<Customer, CustomerError> {
    let before = queries::find_locked(tx, id)?.ok_or(CustomerError::NotFound)?;
    if version.is_some_and(|version| version != before.version) {
        return Err(CustomerError::VersionMismatch);
    }
    let faults = change.given_back_to_nobody(&before);
    if !faults.is_empty() {
        return Err(CustomerError::Invalid(faults));
    }
    let (mut after, fields) = change.applied_to(&before);
    if fields.is_empty() {
        return Ok(before);
    }
    let deactivated = before.active && !after.active;
    if deactivated {
        let tenants = queries::tenants_in_use(tx, id)?;
        if !tenants.is_empty() {
            return Err(CustomerError::HasTenants(tenants));
        }
    }
    after.version += 1;
    after.changed_at = tx.now();
    queries::update(tx, &after)?;
    if !change.give_back.is_empty() {
        following::follow(tx, &[id])?;
        after = queries::find(tx, id)?.ok_or(CustomerError::NotFound)?;
    }
    let action = if deactivated {
        Action::CustomerDeactivated
    } else {
        Action::CustomerChanged
    };
    audit::record(
        tx,
        action,
        None,
        json!({"customerId": id, "fields": fields}),
    )?;
    Ok(after)
}
