//! Which customers tenants belong to: proposals, and what a person confirms.

use std::collections::HashSet;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use tenantry_core::{
    ids::{CustomerId, PsaConnectionId, TenantId},
    matching::{
        Candidate, Confirmed, MatchEvidence, MatchFilter, OrphanCursor, TenantFacts, TenantMatches,
        Wish,
    },
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{
        Caller,
        permits::{CustomersRead, TenantsWrite},
    },
    json_body::JsonBody,
    paging::{List, PageRequest, answer_page},
    problem::{FieldError, Problem},
    query::{FromQuery, NoParameters, Query, QueryParams},
    state::AppState,
};

/// Most matches of one call.
const MOST_MATCHES: usize = 1_000;

/// A tenant without a customer, and who it may belong to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerMatchView {
    #[serde(flatten)]
    tenant: UnmappedTenantView,
    /// The likeliest first; at most ten.
    candidates: Vec<CandidateView>,
}

/// A tenant that belongs to no customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnmappedTenantView {
    /// Microsoft Entra tenant id.
    tenant_id: Uuid,
    #[schema(example = "Contoso Ltd")]
    display_name: String,
    /// Its verified domains that count, the names that Microsoft gave it included.
    #[schema(example = json!(["contoso.com", "contoso.onmicrosoft.com"]))]
    domains: Vec<String>,
}

/// A customer that a tenant may belong to.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateView {
    customer_id: Uuid,
    /// The customer's name.
    #[schema(example = "Contoso Ltd")]
    name: String,
    /// How much speaks for it, with two decimals.
    #[schema(minimum = 0, maximum = 1, example = 0.97)]
    score: f64,
    /// Whether it may be used without asking anybody. At most one candidate of a tenant is.
    certain: bool,
    /// What speaks for it, the strongest first.
    evidence: Vec<EvidenceView>,
}

/// What ties a tenant to a customer.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceView {
    /// `tenantMap`, `tenantId`, `initialDomain`, `mailDomain`, `customerDomain`, `website` or `name`; new ones
    /// may be added.
    #[schema(example = "mailDomain")]
    kind: &'static str,
    /// The tenant's id, a domain, or the customer's name.
    #[schema(example = "contoso.com")]
    value: String,
    /// The connections to PSAs that it came through; empty for what was written in Tenantry.
    psa_connection_ids: Vec<Uuid>,
    /// How many contacts say so; null where no contacts do.
    #[schema(required, example = 12)]
    contacts: Option<i64>,
}

/// A customer without a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnmappedCustomerView {
    customer_id: Uuid,
    #[schema(example = "Contoso Ltd")]
    name: String,
}

/// Tenants and customers that nothing ties to each other: a page of both lists.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphansView {
    /// Tenants without a customer and without a candidate, by id.
    tenants: Vec<UnmappedTenantView>,
    /// Active customers without a tenant that are nobody's candidate, by id.
    customers: Vec<UnmappedCustomerView>,
    /// What to pass as `cursor` for the next page of both; null when both have ended.
    #[schema(required)]
    next_cursor: Option<String>,
    /// How many tenants there are in all.
    #[schema(minimum = 0)]
    tenants_total: i64,
    /// How many customers there are in all.
    #[schema(minimum = 0)]
    customers_total: i64,
}

/// Matches to confirm.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfirmMatches {
    #[schema(min_items = 1, max_items = 1000)]
    matches: Vec<ConfirmMatch>,
}

/// A tenant and the customer it belongs to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfirmMatch {
    tenant_id: Uuid,
    customer_id: Uuid,
}

/// What became of confirmed matches, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmedView {
    results: Vec<ConfirmedMatchView>,
}

/// A tenant with its customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmedMatchView {
    tenant_id: Uuid,
    customer_id: Uuid,
    /// False where it belonged to that customer before.
    changed: bool,
}

impl From<&TenantFacts> for UnmappedTenantView {
    fn from(facts: &TenantFacts) -> Self {
        let domains = facts.domains.iter().chain(&facts.initial_domains);
        Self {
            tenant_id: facts.tenant.as_uuid(),
            display_name: facts.display_name.clone(),
            domains: domains.cloned().collect(),
        }
    }
}

impl From<&TenantMatches> for CustomerMatchView {
    fn from(matches: &TenantMatches) -> Self {
        Self {
            tenant: (&matches.tenant).into(),
            candidates: matches.candidates.iter().map(CandidateView::from).collect(),
        }
    }
}

impl From<&Candidate> for CandidateView {
    fn from(candidate: &Candidate) -> Self {
        Self {
            customer_id: candidate.customer.as_uuid(),
            name: candidate.name.clone(),
            score: f64::from(candidate.score) / 100.0,
            certain: candidate.certain,
            evidence: candidate.evidence.iter().map(EvidenceView::from).collect(),
        }
    }
}

impl From<&MatchEvidence> for EvidenceView {
    fn from(evidence: &MatchEvidence) -> Self {
        let connections = evidence.connections.iter().copied();
        Self {
            kind: evidence.kind.as_str(),
            value: evidence.value.clone(),
            psa_connection_ids: connections.map(PsaConnectionId::as_uuid).collect(),
            contacts: evidence.contacts,
        }
    }
}

impl From<Confirmed> for ConfirmedMatchView {
    fn from(confirmed: Confirmed) -> Self {
        Self {
            tenant_id: confirmed.tenant.as_uuid(),
            customer_id: confirmed.customer.as_uuid(),
            changed: confirmed.changed,
        }
    }
}

/// Which matches.
pub struct MatchParams {
    page: PageRequest,
    filter: MatchFilter,
}

impl FromQuery for MatchParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor", "tenantId", "customerId"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        Ok(Self {
            page: PageRequest::read(query)?,
            filter: MatchFilter {
                tenant: query.parsed::<TenantId>("tenantId", "a tenant's id")?,
                customer: query.parsed::<CustomerId>("customerId", "a customer's id")?,
            },
        })
    }
}

/// List tenants without a customer, with the customers they may belong to
///
/// Each tenant that belongs to no customer yet, by id, with its candidates. With `customerId` only the tenants
/// that may belong to that customer, the likeliest first, and only it as a candidate. Proposals are made when
/// they are asked for; nothing changes until one is confirmed.
#[utoipa::path(
    get,
    path = "/api/msp-portal/customer-matches",
    tag = "matches",
    params(
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
        ("tenantId" = Option<Uuid>, Query, description = "Only this tenant"),
        ("customerId" = Option<Uuid>, Query, description = "Only tenants that may belong to this customer"),
    ),
    responses((status = 200, description = "A page of tenants with their candidates", body = List<CustomerMatchView>)),
)]
pub async fn list_customer_matches(
    caller: Caller<CustomersRead>,
    QueryParams(params): QueryParams<MatchParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let MatchParams {
        page: asked,
        filter,
    } = params;
    let after = asked.begin(&state.cursors, caller.org(), request.path())?;
    let page = state
        .matching
        .list(caller.scope(), filter, after, asked.limit)
        .await?;
    let items: Vec<CustomerMatchView> = page.items.iter().map(CustomerMatchView::from).collect();
    let total = Some(page.total);
    let body = |next_cursor| List {
        items,
        next_cursor,
        total,
    };
    Ok(answer_page(
        &state,
        caller.org(),
        &request,
        &asked,
        page.next,
        body,
    ))
}

/// Where a page of orphans begins.
pub struct OrphanParams(PageRequest);

impl FromQuery for OrphanParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        PageRequest::read(query).map(Self)
    }
}

/// List tenants and customers that nothing ties to each other
///
/// Tenants without a customer for which there is no candidate, and active customers without a tenant that are
/// the candidate of none. One cursor leads through both lists; `limit` counts each by itself, and a list that
/// has ended is empty on the pages that follow.
#[utoipa::path(
    get,
    path = "/api/msp-portal/customer-matches/orphans",
    tag = "matches",
    params(
        ("limit" = Option<u16>, Query, description = "Tenants, and customers, of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
    ),
    responses((status = 200, description = "A page of both lists", body = OrphansView)),
)]
pub async fn list_orphans(
    caller: Caller<CustomersRead>,
    QueryParams(OrphanParams(asked)): QueryParams<OrphanParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let after: Option<OrphanCursor> = asked.begin(&state.cursors, caller.org(), request.path())?;
    let page = state
        .matching
        .orphans(caller.scope(), after, asked.limit)
        .await?;
    let customers = page
        .customers
        .into_iter()
        .map(|(id, name)| UnmappedCustomerView {
            customer_id: id.as_uuid(),
            name,
        });
    let (tenants, customers) = (
        page.tenants.iter().map(UnmappedTenantView::from).collect(),
        customers.collect(),
    );
    let (tenants_total, customers_total) = (page.tenants_total, page.customers_total);
    let body = |next_cursor| OrphansView {
        tenants,
        customers,
        next_cursor,
        tenants_total,
        customers_total,
    };
    Ok(answer_page(
        &state,
        caller.org(),
        &request,
        &asked,
        page.next,
        body,
    ))
}

impl TryFrom<ConfirmMatches> for Vec<Wish> {
    type Error = Problem;

    fn try_from(body: ConfirmMatches) -> Result<Self, Problem> {
        let fault = |pointer: String, code, detail| {
            Problem::invalid(vec![FieldError::at(pointer, code, detail)])
        };
        if body.matches.is_empty() || body.matches.len() > MOST_MATCHES {
            let code = if body.matches.is_empty() {
                "tooFewItems"
            } else {
                "tooManyItems"
            };
            return Err(fault(
                "/matches".to_owned(),
                code,
                "Expected 1 to 1000 matches.",
            ));
        }
        let mut seen = HashSet::new();
        let mut wishes = Self::with_capacity(body.matches.len());
        for (at, wanted) in body.matches.into_iter().enumerate() {
            if !seen.insert(wanted.tenant_id) {
                let detail = "The tenant stands in the list more than once.";
                return Err(fault(format!("/matches/{at}/tenantId"), "repeated", detail));
            }
            wishes.push(Wish {
                tenant: TenantId::from_uuid(wanted.tenant_id),
                customer: CustomerId::from_uuid(wanted.customer_id),
            });
        }
        Ok(wishes)
    }
}

/// Confirm matches
///
/// Puts each tenant on its customer, all of them or none. One customer may have several tenants. A tenant that
/// belongs to another customer is never taken from it: change the tenant itself for that. The same again is
/// fine.
#[utoipa::path(
    post,
    path = "/api/msp-portal/customer-matches/confirm",
    tag = "matches",
    request_body = ConfirmMatches,
    responses(
        (status = 200, description = "Where each tenant belongs now", body = ConfirmedView),
        (status = 404, description = "Tenants or customers are not there, or not active; `errors` says which. Nothing was changed", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Tenants belong to other customers; `errors` says which. Nothing was changed", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn confirm_customer_matches(
    caller: Caller<TenantsWrite>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
    body: JsonBody<ConfirmMatches>,
) -> Result<HttpResponse, Problem> {
    let wishes = body.value.try_into()?;
    let confirmed = state.matching.confirm(caller.scope(), wishes).await?;
    let results = confirmed.into_iter().map(ConfirmedMatchView::from);
    Ok(HttpResponse::Ok().json(ConfirmedView {
        results: results.collect(),
    }))
}
