//! What the last sync found, under Microsoft Graph's own names.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tenantry_core::{
    ids::TenantId,
    inventory::{Listing, ListingQuery, ObjectKind},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{Caller, permits::InventoryRead},
    paging::{PageRequest, answer_page},
    path_id::{GroupId, PathId},
    problem::{Problem, catalogue},
    query::{FromQuery, NoParameters, Query, QueryParams},
    state::AppState,
    time_text,
};

/// A page of a collection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryList {
    /// The objects; their fields carry Microsoft Graph's own names.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Box<RawValue>>,
    /// What to pass as `cursor` for the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
    /// How many objects the whole list has.
    #[schema(minimum = 0)]
    total: i64,
    /// End of the last complete read; null before the first.
    #[schema(required, format = DateTime)]
    as_of: Option<String>,
}

/// How much there is of everything.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SummaryView {
    tenant_id: Uuid,
    counts: CountsView,
    /// The newest Secure Score; null when there is none.
    #[schema(required)]
    secure_score: Option<SecureScoreView>,
    /// What the latest run warns of.
    warnings: Vec<DataSetWarning>,
}

/// Objects that are there; removed ones are not counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsView {
    #[schema(minimum = 0)]
    users: i64,
    #[schema(minimum = 0)]
    groups: i64,
    #[schema(minimum = 0)]
    licenses: i64,
    #[schema(minimum = 0)]
    devices: i64,
    #[schema(minimum = 0)]
    mailboxes: i64,
}

/// A Secure Score, as Microsoft wrote it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecureScoreView {
    #[schema(value_type = f64, example = 42.5)]
    current: Value,
    #[schema(value_type = f64, example = 60.0)]
    max: Value,
}

/// A warning about a data set.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataSetWarning {
    /// Which.
    #[schema(example = "devices")]
    dataset: String,
    /// Stable code in lowerCamelCase.
    code: String,
    /// What happened.
    detail: String,
    /// Who does what about it.
    #[schema(required)]
    action: Option<String>,
}

/// Which objects.
pub struct InventoryParams {
    page: PageRequest,
    search: Option<String>,
}

impl FromQuery for InventoryParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor", "search"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        Ok(Self {
            page: PageRequest::read(query)?,
            search: query.search()?,
        })
    }
}

/// Which objects of a list that cannot be searched.
pub struct PageParams(PageRequest);

impl FromQuery for PageParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        PageRequest::read(query).map(Self)
    }
}

/// What every list of a tenant needs.
struct Asked {
    caller: Caller<InventoryRead>,
    tenant: TenantId,
    request: HttpRequest,
    state: web::Data<AppState>,
}

impl Asked {
    async fn list(
        self,
        kind: ObjectKind,
        page: &PageRequest,
        search: Option<String>,
    ) -> Result<HttpResponse, Problem> {
        let query = self.query(page, search)?;
        let listing = self
            .state
            .inventory
            .list(self.caller.scope(), self.tenant, kind, query)
            .await?;
        Ok(self.answer(page, listing))
    }

    fn query(&self, page: &PageRequest, search: Option<String>) -> Result<ListingQuery, Problem> {
        let after = page.begin(&self.state.cursors, self.caller.org(), self.request.path())?;
        Ok(ListingQuery {
            after,
            limit: page.limit,
            search,
        })
    }

    fn answer(&self, page: &PageRequest, listing: Listing) -> HttpResponse {
        let Listing {
            items,
            next,
            total,
            as_of,
        } = listing;
        answer_page(
            &self.state,
            self.caller.org(),
            &self.request,
            page,
            next,
            |next_cursor| InventoryList {
                items,
                next_cursor,
                total,
                as_of: as_of.map(time_text::of),
            },
        )
    }
}

/// One handler for each collection: they differ in the collection alone, and each has an operation of
/// its own in the document.
macro_rules! collection {
    ($handler:ident, $path:literal, $kind:ident, $summary:literal) => {
        #[doc = $summary]
        #[utoipa::path(
            get,
            path = $path,
            tag = "inventory",
            params(
                ("tenantId" = Uuid, Path, description = "Entra tenant id"),
                ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
                ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
                ("search" = Option<String>, Query, description = "Text in the display name", max_length = 200),
            ),
            responses((status = 200, description = "A page of the collection", body = InventoryList)),
        )]
        pub async fn $handler(
            caller: Caller<InventoryRead>,
            PathId(tenant): PathId<TenantId>,
            QueryParams(params): QueryParams<InventoryParams>,
            request: HttpRequest,
            state: web::Data<AppState>,
        ) -> Result<HttpResponse, Problem> {
            let asked = Asked { caller, tenant, request, state };
            asked.list(ObjectKind::$kind, &params.page, params.search).await
        }
    };
}

collection!(
    list_users,
    "/api/msp-portal/tenants/{tenantId}/users",
    User,
    "List users, guests included"
);
collection!(
    list_groups,
    "/api/msp-portal/tenants/{tenantId}/groups",
    Group,
    "List groups"
);
collection!(
    list_licenses,
    "/api/msp-portal/tenants/{tenantId}/licenses",
    License,
    "List subscribed SKUs with their product names"
);
collection!(
    list_devices,
    "/api/msp-portal/tenants/{tenantId}/devices",
    Device,
    "List devices managed by Intune"
);
collection!(
    list_mailboxes,
    "/api/msp-portal/tenants/{tenantId}/mailboxes",
    Mailbox,
    "List Exchange Online mailboxes"
);

/// List Secure Scores, the newest first
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}/secure-scores",
    tag = "inventory",
    params(
        ("tenantId" = Uuid, Path, description = "Entra tenant id"),
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
    ),
    responses((status = 200, description = "A page of the collection", body = InventoryList)),
)]
pub async fn list_secure_scores(
    caller: Caller<InventoryRead>,
    PathId(tenant): PathId<TenantId>,
    QueryParams(PageParams(page)): QueryParams<PageParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    Asked {
        caller,
        tenant,
        request,
        state,
    }
    .list(ObjectKind::SecureScore, &page, None)
    .await
}

/// List the members of a group
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}/groups/{groupId}/members",
    tag = "inventory",
    params(
        ("tenantId" = Uuid, Path, description = "Entra tenant id"),
        ("groupId" = Uuid, Path, description = "Object id of the group"),
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
    ),
    responses((status = 200, description = "A page of members: `id`, `@odata.type`, `displayName`", body = InventoryList)),
)]
pub async fn list_group_members(
    caller: Caller<InventoryRead>,
    PathId(tenant): PathId<TenantId>,
    PathId(group): PathId<GroupId>,
    QueryParams(PageParams(page)): QueryParams<PageParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let asked = Asked {
        caller,
        tenant,
        request,
        state,
    };
    let query = asked.query(&page, None)?;
    let listing = asked
        .state
        .inventory
        .members(asked.caller.scope(), tenant, group.0, query)
        .await?;
    Ok(asked.answer(&page, listing))
}

/// Show how the tenant describes itself
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}/organization",
    tag = "inventory",
    params(("tenantId" = Uuid, Path, description = "Entra tenant id")),
    responses((status = 200, description = "Microsoft Graph's organization", body = Object)),
)]
pub async fn get_organization(
    caller: Caller<InventoryRead>,
    PathId(tenant): PathId<TenantId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    match state.inventory.organization(caller.scope(), tenant).await? {
        Some(document) => Ok(HttpResponse::Ok().json(document)),
        None => Err(Problem::new(&catalogue::NOT_FOUND)
            .detail("Nothing has been read from this tenant yet.")),
    }
}

/// Show how much a tenant has of everything
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}/summary",
    tag = "inventory",
    params(("tenantId" = Uuid, Path, description = "Entra tenant id")),
    responses((status = 200, description = "The counts", body = SummaryView)),
)]
pub async fn get_summary(
    caller: Caller<InventoryRead>,
    PathId(tenant): PathId<TenantId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let summary = state.inventory.summary(caller.scope(), tenant).await?;
    let status = state.sync.status(caller.scope(), tenant)?;
    let secure_score = summary
        .secure_score
        .map(|(current, max)| SecureScoreView { current, max });
    Ok(HttpResponse::Ok().json(SummaryView {
        tenant_id: tenant.as_uuid(),
        counts: CountsView {
            users: summary.users,
            groups: summary.groups,
            licenses: summary.licenses,
            devices: summary.devices,
            mailboxes: summary.mailboxes,
        },
        secure_score,
        warnings: warnings(&status.snapshot.document),
    }))
}

/// The warnings of the latest run in a status document.
fn warnings(document: &str) -> Vec<DataSetWarning> {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let data_sets = document.pointer("/run/datasets").and_then(Value::as_array);
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    data_sets
        .into_iter()
        .flatten()
        .filter_map(|data_set| {
            let warning = data_set
                .get("warning")
                .filter(|warning| warning.is_object())?;
            Some(DataSetWarning {
                dataset: text(data_set, "name")?,
                code: text(warning, "code")?,
                detail: text(warning, "detail").unwrap_or_default(),
                action: text(warning, "action"),
            })
        })
        .collect()
}
