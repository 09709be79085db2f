//! What one may do with matches: list, confirm, and see what is left over.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    domains::OwnDomains,
    picture::Picture,
    queries,
    score::Candidate,
    source::{ConnectedTenants, TenantFacts, TenantSource},
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    customers::{self, KnownCustomer},
    ids::{CustomerId, TenantId},
    store::{Scoped, Store, StoreError},
    tenants::{self, Mapped, TenantsError},
};

/// Which matches to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MatchFilter {
    /// Of this tenant only.
    pub tenant: Option<TenantId>,
    /// With this customer only, the likeliest tenants first.
    pub customer: Option<CustomerId>,
}

/// A tenant without a customer, and who may be it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantMatches {
    /// What is known of the tenant.
    pub tenant: TenantFacts,
    /// The customers it may belong to, the likeliest first.
    pub candidates: Vec<Candidate>,
}

/// The last tenant of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchCursor {
    /// Its candidate's score, where the list goes by that.
    pub score: Option<u8>,
    /// Its id.
    pub tenant: TenantId,
}

/// A page of matches.
#[derive(Debug)]
pub struct MatchPage {
    /// By the tenants' ids; with one customer by score.
    pub items: Vec<TenantMatches>,
    /// Where the next page begins, when there is one.
    pub next: Option<MatchCursor>,
    /// How many the filter finds in all.
    pub total: i64,
}

/// Where both lists of what is left over go on; none of a list: it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanCursor {
    /// After this tenant.
    pub tenant: Option<TenantId>,
    /// After this customer.
    pub customer: Option<CustomerId>,
}

/// A page of tenants and customers for which no candidate exists.
#[derive(Debug)]
pub struct OrphanPage {
    /// Tenants without a customer, by id.
    pub tenants: Vec<TenantFacts>,
    /// Customers without a tenant, by id: their ids and names.
    pub customers: Vec<(CustomerId, String)>,
    /// Where the next page begins, when there is one.
    pub next: Option<OrphanCursor>,
    /// How many tenants there are in all.
    pub tenants_total: i64,
    /// How many customers there are in all.
    pub customers_total: i64,
}

/// A tenant and the customer a person puts it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The tenant.
    pub tenant: TenantId,
    /// The customer.
    pub customer: CustomerId,
}

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// The tenant.
    pub tenant: TenantId,
    /// Its customer now.
    pub customer: CustomerId,
    /// Whether it was another state before.
    pub changed: bool,
}

/// Why one wish of a list cannot be fulfilled. Each with its position in the list, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmFault {
    /// The organisation has no such tenant.
    NoTenant(usize),
    /// The organisation has no such customer.
    NoCustomer(usize),
    /// The customer is not active.
    Inactive(usize),
    /// The tenant belongs to this other customer.
    Elsewhere(usize, CustomerId),
}

/// Why matches cannot be confirmed. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum MatchError {
    /// Tenants or customers are not there, or not in this organisation.
    #[error("{} ids are unknown", .0.len())]
    Unknown(Vec<ConfirmFault>),
    /// Customers are not active.
    #[error("{} customers are not active", .0.len())]
    Inactive(Vec<ConfirmFault>),
    /// Tenants belong to other customers.
    #[error("{} tenants belong to other customers", .0.len())]
    AlreadyMapped(Vec<ConfirmFault>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Proposes which customer a tenant belongs to, and does what a person confirms.
#[derive(Clone)]
pub struct MatchingService {
    store: Store,
    sources: Arc<[Arc<dyn TenantSource>]>,
}

impl MatchingService {
    /// On a store, for the tenants that are connected here.
    pub fn new(store: Store) -> Self {
        Self::with_sources(store, vec![Arc::new(ConnectedTenants)])
    }

    /// For the tenants of these sources.
    pub fn with_sources(store: Store, sources: Vec<Arc<dyn TenantSource>>) -> Self {
        Self {
            store,
            sources: sources.into(),
        }
    }

    /// A page of tenants that belong to no customer, each with its candidates.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        scope: &OrgScope,
        filter: MatchFilter,
        after: Option<MatchCursor>,
        limit: u16,
    ) -> Result<MatchPage, StoreError> {
        let sources = Arc::clone(&self.sources);
        self.store
            .read(scope, move |tx| {
                let mut tenants = without_customer(tx, &sources)?;
                if let Some(tenant) = filter.tenant {
                    tenants.retain(|known| *known == tenant);
                }
                match filter.customer {
                    Some(customer) => of_customer(tx, &sources, tenants, customer, after, limit),
                    None => of_tenants(tx, &sources, tenants, after, limit),
                }
            })
            .await
    }

    /// A page of what is left over: `limit` of each side.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn orphans(
        &self,
        scope: &OrgScope,
        after: Option<OrphanCursor>,
        limit: u16,
    ) -> Result<OrphanPage, StoreError> {
        let sources = Arc::clone(&self.sources);
        self.store
            .read(scope, move |tx| {
                let ids = without_customer(tx, &sources)?;
                let facts = facts_of(tx, &sources, &ids)?;
                let customers = customers::known_customers(tx)?;
                let taken = tenants::customers_with_tenants(tx)?;
                let mut free: BTreeMap<CustomerId, String> = customers
                    .iter()
                    .filter(|customer| !taken.contains(&customer.id))
                    .map(|customer| (customer.id, customer.name.clone()))
                    .collect();
                let picture = picture_with(tx, &facts, customers)?;
                let mut alone = Vec::new();
                for tenant in facts {
                    let candidates = picture.candidates(&tenant);
                    for candidate in &candidates {
                        free.remove(&candidate.customer);
                    }
                    if candidates.is_empty() {
                        alone.push(tenant);
                    }
                }
                Ok(orphan_page(alone, free, after, limit))
            })
            .await
    }

    /// Puts tenants on customers: all of them or none. A tenant that belongs to another customer is never
    /// taken from it; one that belongs to the wished one already is fine.
    ///
    /// # Errors
    /// See [`MatchError`].
    pub async fn confirm(
        &self,
        scope: &OrgScope,
        wishes: Vec<Wish>,
    ) -> Result<Vec<Confirmed>, MatchError> {
        self.store
            .write(scope, move |tx| {
                require_known(tx, &wishes)?;
                hold_customers(tx, &wishes)?;
                // By id, so that two lists at once cannot wait for each other.
                let by_tenant: BTreeMap<TenantId, usize> = (0..)
                    .zip(&wishes)
                    .map(|(at, wish)| (wish.tenant, at))
                    .collect();
                let mut changed = HashSet::new();
                let mut elsewhere = Vec::new();
                for (tenant, at) in by_tenant {
                    let Some(wish) = wishes.get(at) else { continue };
                    match tenants::map_to_customer(tx, tenant, wish.customer) {
                        Ok(Mapped::Now) => drop(changed.insert(tenant)),
                        Ok(Mapped::Already) => {}
                        Ok(Mapped::Elsewhere(other)) => {
                            elsewhere.push(ConfirmFault::Elsewhere(at, other));
                        }
                        Err(error) => return Err(refused(error, at)),
                    }
                }
                if !elsewhere.is_empty() {
                    elsewhere.sort_unstable_by_key(ConfirmFault::position);
                    return Err(MatchError::AlreadyMapped(elsewhere));
                }
                for wish in wishes.iter().filter(|wish| changed.contains(&wish.tenant)) {
                    let details = json!({"customerId": wish.customer, "reason": "confirmed"});
                    audit::record(
                        tx,
                        Action::CustomerMatchConfirmed,
                        Some(wish.tenant),
                        details,
                    )?;
                }
                let confirmed = wishes.into_iter().map(|wish| Confirmed {
                    tenant: wish.tenant,
                    customer: wish.customer,
                    changed: changed.contains(&wish.tenant),
                });
                Ok(confirmed.collect())
            })
            .await
    }
}

impl ConfirmFault {
    /// Where in the list.
    pub const fn position(&self) -> usize {
        match self {
            Self::NoTenant(at)
            | Self::NoCustomer(at)
            | Self::Inactive(at)
            | Self::Elsewhere(at, _) => *at,
        }
    }
}

/// A change that was refused although everything was there a moment ago.
fn refused(error: TenantsError, at: usize) -> MatchError {
    match error {
        TenantsError::TenantNotFound => MatchError::Unknown(vec![ConfirmFault::NoTenant(at)]),
        TenantsError::CustomerNotFound => MatchError::Inactive(vec![ConfirmFault::Inactive(at)]),
        TenantsError::VersionMismatch => MatchError::Store(StoreError::NotFound),
        TenantsError::Store(error) => MatchError::Store(error),
    }
}

/// Every id that is not there, in the order of the list.
fn require_known(tx: &mut Scoped<'_>, wishes: &[Wish]) -> Result<(), MatchError> {
    let ids: Vec<TenantId> = wishes.iter().map(|wish| wish.tenant).collect();
    let known: HashSet<TenantId> = tenants::customers_of(tx, &ids)?
        .into_iter()
        .map(|(tenant, _)| tenant)
        .collect();
    let ids: Vec<CustomerId> = wishes.iter().map(|wish| wish.customer).collect();
    let active: HashMap<CustomerId, bool> = customers::activity_of(tx, &ids)?.into_iter().collect();
    let (mut unknown, mut inactive) = (Vec::new(), Vec::new());
    for (at, wish) in wishes.iter().enumerate() {
        if !known.contains(&wish.tenant) {
            unknown.push(ConfirmFault::NoTenant(at));
        }
        match active.get(&wish.customer) {
            None => unknown.push(ConfirmFault::NoCustomer(at)),
            Some(false) => inactive.push(ConfirmFault::Inactive(at)),
            Some(true) => {}
        }
    }
    if !unknown.is_empty() {
        Err(MatchError::Unknown(unknown))
    } else if !inactive.is_empty() {
        Err(MatchError::Inactive(inactive))
    } else {
        Ok(())
    }
}

/// Keeps all customers active until the end, in one order for everybody.
fn hold_customers(tx: &mut Scoped<'_>, wishes: &[Wish]) -> Result<(), MatchError> {
    let ordered: BTreeMap<CustomerId, usize> = (0..)
        .zip(wishes)
        .map(|(at, wish)| (wish.customer, at))
        .collect();
    for (customer, at) in ordered {
        if !customers::hold_active(tx, customer)? {
            return Err(MatchError::Inactive(vec![ConfirmFault::Inactive(at)]));
        }
    }
    Ok(())
}

type Sources = [Arc<dyn TenantSource>];

/// The tenants of all sources that belong to nobody, by id.
fn without_customer(tx: &mut Scoped<'_>, sources: &Sources) -> Result<Vec<TenantId>, StoreError> {
    let mut all = BTreeSet::new();
    for source in sources {
        all.extend(source.without_customer(tx)?);
    }
    Ok(all.into_iter().collect())
}

/// What all sources know of these tenants, by id.
fn facts_of(
    tx: &mut Scoped<'_>,
    sources: &Sources,
    tenants: &[TenantId],
) -> Result<Vec<TenantFacts>, StoreError> {
    let mut all: BTreeMap<TenantId, TenantFacts> = BTreeMap::new();
    for source in sources {
        for facts in source.facts(tx, tenants)? {
            match all.get_mut(&facts.tenant) {
                Some(known) => known.add(&facts),
                None => drop(all.insert(facts.tenant, facts)),
            }
        }
    }
    Ok(all.into_values().collect())
}

/// What customers say about these tenants.
pub(super) fn picture_of(
    tx: &mut Scoped<'_>,
    tenants: &[TenantFacts],
) -> Result<Picture, StoreError> {
    let customers = customers::known_customers(tx)?;
    picture_with(tx, tenants, customers)
}

fn picture_with(
    tx: &mut Scoped<'_>,
    tenants: &[TenantFacts],
    customers: Vec<KnownCustomer>,
) -> Result<Picture, StoreError> {
    let values: BTreeSet<String> = tenants.iter().flat_map(TenantFacts::values).collect();
    let values: Vec<String> = values.into_iter().collect();
    let hints = customers::hints(tx, &values)?;
    let own = OwnDomains::new(queries::own_domains(tx)?);
    Ok(Picture::new(tenants, customers, hints, own))
}

/// A page by the tenants' ids: only what its own tenants need is read.
fn of_tenants(
    tx: &mut Scoped<'_>,
    sources: &Sources,
    tenants: Vec<TenantId>,
    after: Option<MatchCursor>,
    limit: u16,
) -> Result<MatchPage, StoreError> {
    let total = count(tenants.len());
    let rest = tenants
        .into_iter()
        .filter(|tenant| after.is_none_or(|after| *tenant > after.tenant));
    let (ids, last) = cut(rest, limit, |tenant| *tenant);
    let facts = facts_of(tx, sources, &ids)?;
    let picture = picture_of(tx, &facts)?;
    let matches = facts.into_iter().map(|tenant| TenantMatches {
        candidates: picture.candidates(&tenant),
        tenant,
    });
    Ok(MatchPage {
        items: matches.collect(),
        next: last.map(|tenant| MatchCursor {
            score: None,
            tenant,
        }),
        total,
    })
}

/// A page of the tenants that may belong to one customer, the likeliest first.
fn of_customer(
    tx: &mut Scoped<'_>,
    sources: &Sources,
    tenants: Vec<TenantId>,
    customer: CustomerId,
    after: Option<MatchCursor>,
    limit: u16,
) -> Result<MatchPage, StoreError> {
    let facts = facts_of(tx, sources, &tenants)?;
    let picture = picture_of(tx, &facts)?;
    let mut found = BTreeMap::new();
    for tenant in facts {
        let mut candidates = picture.candidates(&tenant);
        candidates.retain(|candidate| candidate.customer == customer);
        if let Some(candidate) = candidates.first() {
            let place = (100 - candidate.score, tenant.tenant);
            found.insert(place, TenantMatches { tenant, candidates });
        }
    }
    let total = count(found.len());
    let begin = after.map(|after| {
        (
            100_u8.saturating_sub(after.score.unwrap_or(0)),
            after.tenant,
        )
    });
    let rest = found
        .into_iter()
        .filter(|(place, _)| begin.is_none_or(|begin| *place > begin));
    let (items, last) = cut(rest, limit, |(place, _)| *place);
    Ok(MatchPage {
        items: items.into_iter().map(|(_, matches)| matches).collect(),
        next: last.map(|(behind, tenant)| MatchCursor {
            score: Some(100 - behind),
            tenant,
        }),
        total,
    })
}

fn orphan_page(
    tenants: Vec<TenantFacts>,
    customers: BTreeMap<CustomerId, String>,
    after: Option<OrphanCursor>,
    limit: u16,
) -> OrphanPage {
    let (tenants_total, customers_total) = (count(tenants.len()), count(customers.len()));
    let rest = tenants.into_iter().filter(|facts| match after {
        None => true,
        Some(after) => after.tenant.is_some_and(|last| facts.tenant > last),
    });
    let (tenants, tenant) = cut(rest, limit, |facts| facts.tenant);
    let rest = customers.into_iter().filter(|(id, _)| match after {
        None => true,
        Some(after) => after.customer.is_some_and(|last| *id > last),
    });
    let (customers, customer) = cut(rest, limit, |(id, _)| *id);
    let has_more = tenant.is_some() || customer.is_some();
    OrphanPage {
        tenants,
        customers,
        next: has_more.then_some(OrphanCursor { tenant, customer }),
        tenants_total,
        customers_total,
    }
}

/// At most `limit` of them, and the last one's place when there are more.
fn cut<T, P>(
    items: impl Iterator<Item = T>,
    limit: u16,
    place: impl Fn(&T) -> P,
) -> (Vec<T>, Option<P>) {
    let limit = usize::from(limit);
    let mut items: Vec<T> = items.take(limit + 1).collect();
    let has_more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().map(place).filter(|_| has_more);
    (items, last)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
