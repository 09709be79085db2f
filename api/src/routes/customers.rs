//! Customers.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde::{Deserialize, Serialize};
use tenantry_core::{
    access::OrgScope,
    customer_sync::CustomerSite,
    customers::{
        Customer, CustomerChange, CustomerFilter, CustomerSource, Fields, NewCustomer, PsaRecord,
    },
    ids::{CustomerId, TenantId},
};
use tenantry_psa::Address;
use utoipa::ToSchema;
use uuid::Uuid;

use super::BASE_PATH;
use crate::{
    auth::{
        Caller,
        permits::{CustomersRead, CustomersWrite},
    },
    etag,
    idempotent::{self, Attempt},
    json_body::{JsonBody, present},
    paging::{List, PageRequest, answer_page},
    path_id::PathId,
    problem::Problem,
    query::{FromQuery, NoParameters, Query, QueryParams},
    state::AppState,
    time_text,
};

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerView {
    id: Uuid,
    #[schema(example = "Contoso Ltd")]
    name: String,
    /// Domain names in lower case.
    #[schema(example = json!(["contoso.com"]))]
    domains: Vec<String>,
    /// `manual`, `connectwise`, `autotask` or `halopsa`; new ones may be added.
    #[schema(example = "manual")]
    source: &'static str,
    /// Its id at the source.
    #[schema(required)]
    external_id: Option<String>,
    /// False after it was deactivated.
    active: bool,
    /// The tenants mapped to it, revoked ones included.
    tenant_ids: Vec<Uuid>,
    field_sources: FieldSourcesView,
    /// What PSAs say about it.
    psa_records: Vec<PsaRecordView>,
    /// The customer that took its place when the two were merged.
    #[schema(required)]
    merged_into: Option<Uuid>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    changed_at: String,
}

/// Whom each field follows: `manual` a person, else the PSA that the customer came from, which writes it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldSourcesView {
    #[schema(example = "manual")]
    name: &'static str,
    #[schema(example = "connectwise")]
    domains: &'static str,
    #[schema(example = "connectwise")]
    active: &'static str,
}

impl FieldSourcesView {
    fn of(customer: &Customer) -> Self {
        let by = |manual: bool| {
            let source = if manual {
                CustomerSource::Manual
            } else {
                customer.source
            };
            source.as_str()
        };
        let Fields {
            name,
            domains,
            active,
        } = customer.manual;
        Self {
            name: by(name),
            domains: by(domains),
            active: by(active),
        }
    }
}

/// A customer as one PSA has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PsaRecordView {
    connection_id: Uuid,
    /// `connectwise`, `autotask` or `halopsa`.
    #[schema(example = "connectwise")]
    kind: &'static str,
    /// Its id at the PSA.
    #[schema(example = "250")]
    external_id: String,
    name: String,
    /// Its short code at the PSA.
    #[schema(required)]
    code: Option<String>,
    /// `active`, `inactive`, `deleted`, or `gone` when full syncs did not find it any more.
    #[schema(example = "active")]
    state: &'static str,
    #[schema(required)]
    website: Option<String>,
    #[schema(required)]
    phone: Option<String>,
    address: AddressView,
}

/// A postal address as far as the PSA has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressView {
    lines: Vec<String>,
    #[schema(required)]
    city: Option<String>,
    #[schema(required)]
    state: Option<String>,
    #[schema(required)]
    postal_code: Option<String>,
    #[schema(required)]
    country: Option<String>,
}

impl From<&Address> for AddressView {
    fn from(address: &Address) -> Self {
        Self {
            lines: address.lines.clone(),
            city: address.city.clone(),
            state: address.state.clone(),
            postal_code: address.postal_code.clone(),
            country: address.country.clone(),
        }
    }
}

impl From<&PsaRecord> for PsaRecordView {
    fn from(record: &PsaRecord) -> Self {
        Self {
            connection_id: record.connection.as_uuid(),
            kind: record.kind.as_str(),
            external_id: record.external_id.clone(),
            name: record.name.clone(),
            code: record.code.clone(),
            state: record.state.as_str(),
            website: record.document.website.clone(),
            phone: record.document.phone.clone(),
            address: AddressView::from(&record.document.address),
        }
    }
}

/// A place of a customer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteView {
    connection_id: Uuid,
    /// `connectwise`, `autotask` or `halopsa`.
    #[schema(example = "autotask")]
    kind: &'static str,
    /// Its id at the PSA.
    #[schema(example = "12")]
    id: String,
    name: String,
    address: AddressView,
    #[schema(required)]
    phone: Option<String>,
    /// Whether it is the main one.
    primary: bool,
    /// Whether it is in use.
    active: bool,
}

impl From<CustomerSite> for SiteView {
    fn from(site: CustomerSite) -> Self {
        let CustomerSite {
            connection,
            kind,
            site,
        } = site;
        Self {
            connection_id: connection.as_uuid(),
            kind: kind.as_str(),
            id: site.id.0,
            name: site.name,
            address: AddressView::from(&site.address),
            phone: site.phone,
            primary: site.primary,
            active: site.active,
        }
    }
}

/// A list that is short and whole.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sites {
    items: Vec<SiteView>,
}

/// What to merge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MergeCustomer {
    /// The customer that goes.
    from: Uuid,
}

impl From<&Customer> for CustomerView {
    fn from(customer: &Customer) -> Self {
        Self {
            id: customer.id.as_uuid(),
            name: customer.name.clone(),
            domains: customer.domains.clone(),
            source: customer.source.as_str(),
            external_id: customer.external_id.clone(),
            active: customer.active,
            tenant_ids: customer
                .tenants
                .iter()
                .copied()
                .map(TenantId::as_uuid)
                .collect(),
            field_sources: FieldSourcesView::of(customer),
            psa_records: customer
                .psa_records
                .iter()
                .map(PsaRecordView::from)
                .collect(),
            merged_into: customer.merged_into.map(CustomerId::as_uuid),
            created_at: time_text::of(customer.created_at),
            changed_at: time_text::of(customer.changed_at),
        }
    }
}

/// A customer to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CreateCustomer {
    #[schema(min_length = 1, max_length = 200, example = "Contoso Ltd")]
    name: String,
    #[serde(default)]
    #[schema(required = false, max_items = 100, example = json!(["contoso.com"]))]
    domains: Vec<String>,
}

/// What to change of a customer; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UpdateCustomer {
    /// No PSA overwrites what is written here. Null lets the field follow the PSA again that the customer
    /// came from.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, example = "Contoso GmbH")]
    name: Option<Option<String>>,
    /// All domains; they take the place of the ones before. Null lets them follow the PSA again, and is none
    /// for a customer made by hand.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    domains: Option<Option<Vec<String>>>,
    /// True brings a deactivated customer back. Null lets it follow the PSA again.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    active: Option<Option<bool>>,
}

/// Which customers.
pub struct CustomerParams {
    page: PageRequest,
    filter: CustomerFilter,
}

impl FromQuery for CustomerParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor", "search", "active"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        Ok(Self {
            page: PageRequest::read(query)?,
            filter: CustomerFilter {
                search: query.search()?,
                active: query.parsed("active", "true or false")?,
            },
        })
    }
}

/// List customers in the order of their creation
#[utoipa::path(
    get,
    path = "/api/msp-portal/customers",
    tag = "customers",
    params(
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
        ("search" = Option<String>, Query, description = "Text in the name or in a domain", max_length = 200),
        ("active" = Option<bool>, Query, description = "`true`: only active ones; `false`: only others. Not repeatable: both together are all"),
    ),
    responses((status = 200, description = "A page of customers", body = List<CustomerView>)),
)]
pub async fn list_customers(
    caller: Caller<CustomersRead>,
    QueryParams(params): QueryParams<CustomerParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let after = params
        .page
        .begin(&state.cursors, caller.org(), request.path())?;
    let page = state
        .customers
        .list(caller.scope(), params.filter, after, params.page.limit)
        .await?;
    let items: Vec<CustomerView> = page.items.iter().map(CustomerView::from).collect();
    Ok(answer_page(
        &state,
        caller.org(),
        &request,
        &params.page,
        page.next,
        |next_cursor| List {
            items,
            next_cursor,
            total: Some(page.total),
        },
    ))
}

/// Create a customer
#[utoipa::path(
    post,
    path = "/api/msp-portal/customers",
    tag = "customers",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer", min_length = 1, max_length = 255)),
    request_body = CreateCustomer,
    responses((
        status = 201,
        description = "Created",
        body = CustomerView,
        headers(("Location" = String, description = "Address of the customer"), ("ETag" = String)),
    )),
)]
pub async fn create_customer(
    caller: Caller<CustomersWrite>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<CreateCustomer>,
) -> Result<HttpResponse, Problem> {
    let attempt = idempotent::attempt(
        &state,
        &request,
        caller.identity(),
        "POST /customers",
        body.hash,
    )
    .await?;
    let pending = match attempt {
        Attempt::First(pending) => pending,
        Attempt::Repeated(answer) => return Ok(answer),
    };
    let new = NewCustomer {
        name: body.value.name,
        domains: body.value.domains,
    };
    let stored = pending.clone();
    let outcome = state
        .customers
        .create(caller.scope(), new, move |tx, customer| {
            stored.complete(
                tx,
                StatusCode::CREATED,
                &location(customer.id),
                &CustomerView::from(customer),
            )
        })
        .await;
    let customer = pending.settle(outcome.map_err(Problem::from)).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location(customer.id)))
        .insert_header((header::ETAG, tag(&customer)))
        .json(CustomerView::from(&customer)))
}

/// Show a customer
#[utoipa::path(
    get,
    path = "/api/msp-portal/customers/{customerId}",
    tag = "customers",
    params(
        ("customerId" = Uuid, Path, description = "Id of the customer"),
        ("If-None-Match" = Option<String>, Header, description = "ETag of the customer the caller has"),
    ),
    responses(
        (status = 200, description = "The customer", body = CustomerView, headers(("ETag" = String))),
        (status = 304, description = "Nothing changed", headers(("ETag" = String))),
    ),
)]
pub async fn get_customer(
    caller: Caller<CustomersRead>,
    PathId(id): PathId<CustomerId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let customer = state.customers.get(caller.scope(), id).await?;
    let view = CustomerView::from(&customer);
    Ok(etag::answer(request.headers(), tag(&customer), view))
}

/// Change a customer
///
/// A JSON merge patch: what is left out stays.
#[utoipa::path(
    patch,
    path = "/api/msp-portal/customers/{customerId}",
    tag = "customers",
    params(
        ("customerId" = Uuid, Path, description = "Id of the customer"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version to change"),
    ),
    request_body = UpdateCustomer,
    responses(
        (status = 200, description = "The customer as it is now", body = CustomerView, headers(("ETag" = String))),
        (status = 409, description = "Tenants are connected for it, so it stays active", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn update_customer(
    caller: Caller<CustomersWrite>,
    PathId(id): PathId<CustomerId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<UpdateCustomer>,
) -> Result<HttpResponse, Problem> {
    let version = expected_version(&state, caller.scope(), id, &request).await?;
    let UpdateCustomer {
        name,
        domains,
        active,
    } = body.value;
    let change = CustomerChange {
        give_back: Fields {
            name: name == Some(None),
            domains: domains == Some(None),
            active: active == Some(None),
        },
        name: name.flatten(),
        domains: domains.flatten(),
        active: active.flatten(),
    };
    let customer = state
        .customers
        .change(caller.scope(), id, version, change)
        .await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag(&customer)))
        .json(CustomerView::from(&customer)))
}

/// Deactivate a customer
///
/// What happened to it stays readable. A second call changes nothing.
#[utoipa::path(
    delete,
    path = "/api/msp-portal/customers/{customerId}",
    tag = "customers",
    params(
        ("customerId" = Uuid, Path, description = "Id of the customer"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version to deactivate"),
    ),
    responses(
        (status = 204, description = "Deactivated"),
        (status = 409, description = "Tenants are connected for it", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "Changed since", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn deactivate_customer(
    caller: Caller<CustomersWrite>,
    PathId(id): PathId<CustomerId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let version = expected_version(&state, caller.scope(), id, &request).await?;
    state
        .customers
        .deactivate(caller.scope(), id, version)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Make two customers one
///
/// Tenants, PSA records and domains of the other one move here; it is deactivated. What comes from its PSA
/// again belongs to this customer. A second call changes nothing.
#[utoipa::path(
    post,
    path = "/api/msp-portal/customers/{customerId}/merge",
    tag = "customers",
    params(("customerId" = Uuid, Path, description = "Id of the customer that stays")),
    request_body = MergeCustomer,
    responses(
        (status = 200, description = "The customer as it is now", body = CustomerView, headers(("ETag" = String))),
        (status = 409, description = "The customer that should stay is not active", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn merge_customer(
    caller: Caller<CustomersWrite>,
    PathId(into): PathId<CustomerId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
    body: JsonBody<MergeCustomer>,
) -> Result<HttpResponse, Problem> {
    let from = CustomerId::from_uuid(body.value.from);
    let customer = state.customers.merge(caller.scope(), into, from).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag(&customer)))
        .json(CustomerView::from(&customer)))
}

/// List the sites of a customer
///
/// As its PSAs have them at this moment. A customer that no PSA has has none.
#[utoipa::path(
    get,
    path = "/api/msp-portal/customers/{customerId}/sites",
    tag = "customers",
    params(("customerId" = Uuid, Path, description = "Id of the customer")),
    responses((status = 200, description = "The sites", body = Sites)),
)]
pub async fn list_customer_sites(
    caller: Caller<CustomersRead>,
    PathId(id): PathId<CustomerId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let sites = state.customer_syncs.sites(caller.scope(), id).await?;
    let items = sites.into_iter().map(SiteView::from).collect();
    Ok(HttpResponse::Ok().json(Sites { items }))
}

/// The tag of a customer. Which tenants are mapped to it and what PSAs say besides is not in its version.
fn tag(customer: &Customer) -> String {
    let ids: Vec<String> = customer.tenants.iter().map(ToString::to_string).collect();
    let records = &customer.psa_records;
    let besides = if records.is_empty() {
        ids.join(",")
    } else {
        format!("{}{records:?}", ids.join(","))
    };
    let besides = (!besides.is_empty()).then(|| etag::hash_of(besides.as_bytes()));
    etag::of_version(customer.version, besides.as_deref())
}

/// The version that a change is meant for, where the caller says so.
async fn expected_version(
    state: &AppState,
    scope: &OrgScope,
    id: CustomerId,
    request: &HttpRequest,
) -> Result<Option<i64>, Problem> {
    if !etag::is_conditional(request.headers()) {
        return Ok(None);
    }
    let present = state.customers.get(scope, id).await?;
    etag::require(request.headers(), &tag(&present))?;
    Ok(Some(present.version))
}

fn location(id: CustomerId) -> String {
    format!("{BASE_PATH}/customers/{id}")
}
