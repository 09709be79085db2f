//! Tenants.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use tenantry_core::{
    access::OrgScope,
    ids::{CustomerId, TenantId},
    microsoft::permissions,
    tenants::{
        ConsentedBy, Tenant, TenantChange, TenantCursor, TenantField, TenantFieldError,
        TenantFilter,
    },
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{
        Caller,
        permits::{TenantsRead, TenantsRevoke, TenantsWrite},
    },
    etag,
    json_body::{JsonBody, present},
    paging::{List, PageRequest, answer_page},
    path_id::PathId,
    problem::{FieldError, Problem},
    query::{FromQuery, NoParameters, Query, QueryParams},
    state::AppState,
    time_text,
};

/// A customer's Microsoft 365 tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantView {
    /// Its Microsoft Entra tenant id.
    tenant_id: Uuid,
    #[schema(example = "Contoso Ltd")]
    display_name: String,
    #[schema(required, example = "contoso.com")]
    default_domain: Option<String>,
    #[schema(required)]
    customer_id: Option<Uuid>,
    /// How it is read.
    #[schema(example = "adminConsent")]
    connection_type: &'static str,
    /// `pendingConsent`, `connected`, `degraded`, `reauthorizationRequired` or `revoked`.
    #[schema(example = "connected")]
    status: &'static str,
    /// What the last token said it holds.
    granted_permissions: Vec<String>,
    /// What is asked for and was not granted.
    missing_permissions: Vec<String>,
    /// What the missing permissions cost.
    degraded_features: Vec<&'static str>,
    /// The administrator who proved the tenant.
    #[schema(required)]
    consented_by: Option<ConsentedByView>,
    /// When it was last proven.
    #[schema(required, format = DateTime)]
    connected_at: Option<String>,
    /// Words of your own.
    tags: Vec<String>,
    /// Whether events of this tenant reach people.
    notifications: bool,
    /// End of the last completed sync.
    #[schema(required, format = DateTime)]
    last_completed_at: Option<String>,
    /// No sync has completed for six hours.
    stale: bool,
    /// When it was revoked.
    #[schema(required, format = DateTime)]
    revoked_at: Option<String>,
    /// When it was first asked for.
    #[schema(format = DateTime)]
    created_at: String,
}

/// An administrator of a tenant, as known in that tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsentedByView {
    /// Object id in the tenant.
    object_id: String,
    #[schema(required)]
    display_name: Option<String>,
    #[schema(required)]
    user_principal_name: Option<String>,
    /// `member`, `guest` or `partner`.
    #[schema(example = "member")]
    account_type: &'static str,
}

impl From<&ConsentedBy> for ConsentedByView {
    fn from(by: &ConsentedBy) -> Self {
        Self {
            object_id: by.object_id.clone(),
            display_name: by.display_name.clone(),
            user_principal_name: by.user_principal_name.clone(),
            account_type: by.account_type.as_str(),
        }
    }
}

impl TenantView {
    fn of(tenant: &Tenant, state: &AppState) -> Self {
        Self {
            tenant_id: tenant.id.as_uuid(),
            display_name: tenant.display_name.clone(),
            default_domain: tenant.default_domain.clone(),
            customer_id: tenant.customer.map(CustomerId::as_uuid),
            connection_type: tenant.connection_type.as_str(),
            status: tenant.status.as_str(),
            granted_permissions: tenant.granted_permissions.clone(),
            missing_permissions: tenant.missing_permissions.clone(),
            degraded_features: permissions::degraded_features(&tenant.missing_permissions),
            consented_by: tenant.consented_by.as_ref().map(ConsentedByView::from),
            connected_at: tenant.connected_at.map(time_text::of),
            tags: tenant.tags.clone(),
            notifications: tenant.notifications,
            last_completed_at: tenant.last_completed_at.map(time_text::of),
            stale: tenant.is_stale(state.tenants.now()),
            revoked_at: tenant.revoked_at.map(time_text::of),
            created_at: time_text::of(tenant.created_at),
        }
    }
}

/// Which tenants.
pub struct TenantParams {
    page: PageRequest,
    filter: TenantFilter,
}

impl FromQuery for TenantParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor", "status", "customerId", "search"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        let statuses = "pendingConsent, connected, degraded, reauthorizationRequired or revoked";
        Ok(Self {
            page: PageRequest::read(query)?,
            filter: TenantFilter {
                statuses: query.all_parsed("status", statuses)?,
                customers: query.all_parsed("customerId", "the id of a customer")?,
                search: query.search()?,
            },
        })
    }
}

/// List tenants in the order in which they were first asked for
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants",
    tag = "tenants",
    params(
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
        ("status" = Option<String>, Query, description = "Only in this status; may be repeated"),
        ("customerId" = Option<Uuid>, Query, description = "Only of this customer; may be repeated"),
        ("search" = Option<String>, Query, description = "Text in the name, in a domain or in the id", max_length = 200),
    ),
    responses((status = 200, description = "A page of tenants", body = List<TenantView>)),
)]
pub async fn list_tenants(
    caller: Caller<TenantsRead>,
    QueryParams(params): QueryParams<TenantParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let after = params
        .page
        .begin::<TenantCursor>(&state.cursors, caller.org(), request.path())?;
    let limit = params.page.limit.into();
    let page = state
        .tenants
        .list(caller.scope(), params.filter, after, limit)
        .await?;
    let items: Vec<TenantView> = page
        .items
        .iter()
        .map(|tenant| TenantView::of(tenant, &state))
        .collect();
    let total = Some(page.total);
    Ok(answer_page(
        &state,
        caller.org(),
        &request,
        &params.page,
        page.next,
        |next_cursor| List {
            items,
            next_cursor,
            total,
        },
    ))
}

/// Show a tenant
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}",
    tag = "tenants",
    params(
        ("tenantId" = Uuid, Path, description = "Microsoft Entra tenant id"),
        ("If-None-Match" = Option<String>, Header, description = "ETag of the tenant the caller has"),
    ),
    responses(
        (status = 200, description = "The tenant", body = TenantView, headers(("ETag" = String))),
        (status = 304, description = "Nothing changed", headers(("ETag" = String))),
    ),
)]
pub async fn get_tenant(
    caller: Caller<TenantsRead>,
    PathId(id): PathId<TenantId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let tenant = state.tenants.get(caller.scope(), id).await?;
    let view = TenantView::of(&tenant, &state);
    Ok(etag::answer(request.headers(), tag(&tenant, &view), view))
}

/// What to change of a tenant; what is left out stays, null goes back to what it is by itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UpdateTenant {
    /// The customer it belongs to.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Uuid>)]
    customer_id: Option<Option<Uuid>>,
    /// A name of your choice; null shows the tenant's own again.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    display_name: Option<Option<String>>,
    /// Words of your own; they take the place of the ones before.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    tags: Option<Option<Vec<String>>>,
    /// Whether events of this tenant reach people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<bool>)]
    notifications: Option<Option<bool>>,
}

fn field<T>(sent: Option<Option<T>>) -> TenantField<T> {
    match sent {
        None => TenantField::Keep,
        Some(None) => TenantField::Clear,
        Some(Some(value)) => TenantField::Set(value),
    }
}

impl TryFrom<UpdateTenant> for TenantChange {
    type Error = Problem;

    fn try_from(body: UpdateTenant) -> Result<Self, Problem> {
        let customer = body.customer_id.map(|id| id.map(CustomerId::from_uuid));
        let change = Self {
            customer: field(customer),
            display_name: field(body.display_name),
            tags: field(body.tags),
            notifications: field(body.notifications),
        };
        let fault = |error: TenantFieldError| {
            let detail = format!("Expected {}.", error.detail);
            FieldError::at(error.pointer, "invalidValue", detail)
        };
        change
            .checked()
            .map_err(|errors| Problem::invalid(errors.into_iter().map(fault).collect()))
    }
}

/// Change a tenant
///
/// A JSON merge patch: what is left out stays.
#[utoipa::path(
    patch,
    path = "/api/msp-portal/tenants/{tenantId}",
    tag = "tenants",
    params(
        ("tenantId" = Uuid, Path, description = "Microsoft Entra tenant id"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version to change"),
    ),
    request_body = UpdateTenant,
    responses(
        (status = 200, description = "The tenant as it is now", body = TenantView, headers(("ETag" = String))),
        (status = 412, description = "Changed since", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn update_tenant(
    caller: Caller<TenantsWrite>,
    PathId(id): PathId<TenantId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<UpdateTenant>,
) -> Result<HttpResponse, Problem> {
    let version = expected_version(&state, caller.scope(), id, &request).await?;
    let change = TenantChange::try_from(body.value)?;
    let tenant = state
        .tenants
        .change(caller.scope(), id, version, change)
        .await?;
    let view = TenantView::of(&tenant, &state);
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag(&tenant, &view)))
        .json(view))
}

/// Revoke a tenant
///
/// Its credentials are erased at once and its sync ends; what was found stays for the retention time.
/// A second call changes nothing.
#[utoipa::path(
    delete,
    path = "/api/msp-portal/tenants/{tenantId}",
    tag = "tenants",
    params(
        ("tenantId" = Uuid, Path, description = "Microsoft Entra tenant id"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version to revoke"),
    ),
    responses(
        (status = 204, description = "Revoked"),
        (status = 412, description = "Changed since", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn revoke_tenant(
    caller: Caller<TenantsRevoke>,
    PathId(id): PathId<TenantId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let version = expected_version(&state, caller.scope(), id, &request).await?;
    state.tenants.revoke(caller.scope(), id, version).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The tag of a tenant. It grows stale by time alone, without a new version.
fn tag(tenant: &Tenant, view: &TenantView) -> String {
    etag::of_version(tenant.version, view.stale.then_some("stale"))
}

/// The version that a change is meant for, where the caller says so.
async fn expected_version(
    state: &AppState,
    scope: &OrgScope,
    id: TenantId,
    request: &HttpRequest,
) -> Result<Option<i64>, Problem> {
    if !etag::is_conditional(request.headers()) {
        return Ok(None);
    }
    let present = state.tenants.get(scope, id).await?;
    let tag = tag(&present, &TenantView::of(&present, state));
    etag::require(request.headers(), &tag)?;
    Ok(Some(present.version))
}
