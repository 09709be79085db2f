//! Syncs of customers from a PSA: ask for one, look at them, end one.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde::{Deserialize, Serialize};
use tenantry_core::{
    customer_sync::{CustomerSyncKind, CustomerSyncRun},
    ids::{CustomerSyncRunId, PsaConnectionId},
    sync::run::Warning,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{BASE_PATH, psa_connections::TroubleView};
use crate::{
    auth::{
        Caller,
        permits::{PsaRead, SyncCancel, SyncStart},
    },
    idempotent::{self, ACCEPTED_RETRY_AFTER, Attempt},
    json_body::{OptionalJsonBody, not_null},
    paging::{List, PageRequest, answer_page},
    path_id::PathId,
    problem::{Problem, ProblemBody},
    query::{FromQuery, NoParameters, Query, QueryParams},
    state::AppState,
    time_text,
};

/// A sync to begin.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCustomerSync {
    /// `incremental` when left out; `full` as long as no sync was completed.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    kind: Option<WantedCustomerSync>,
}

/// What a person may ask for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum WantedCustomerSync {
    /// What changed since the last sync; `delta`, as syncs of tenants call it, means the same.
    #[serde(alias = "delta")]
    Incremental,
    /// Everything, so that what is missing is known.
    Full,
}

impl WantedCustomerSync {
    const fn kind(self) -> CustomerSyncKind {
        match self {
            Self::Incremental => CustomerSyncKind::Incremental,
            Self::Full => CustomerSyncKind::Full,
        }
    }
}

/// A sync of customers that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerSyncStarted {
    sync_run_id: Uuid,
}

/// A sync of customers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerSyncRunView {
    id: Uuid,
    /// `incremental` or `full`.
    #[schema(example = "incremental")]
    kind: &'static str,
    /// `queued`, `running`, `completed`, `completedWithWarnings`, `failed` or `cancelled`.
    #[schema(example = "completed")]
    state: &'static str,
    /// Changes from this moment on were read; null where everything was, or records that a webhook named.
    #[schema(required, format = DateTime)]
    since: Option<String>,
    /// Records read so far.
    #[schema(minimum = 0)]
    processed: i64,
    /// How many there will be, where the PSA says so.
    #[schema(required, minimum = 0)]
    expected: Option<i64>,
    /// Customers made.
    #[schema(minimum = 0)]
    created: i64,
    /// Customers changed.
    #[schema(minimum = 0)]
    updated: i64,
    /// Customers deactivated.
    #[schema(minimum = 0)]
    deactivated: i64,
    /// Pages and records asked for.
    #[schema(minimum = 0)]
    requests: i64,
    /// What is worth knowing although it completed.
    #[schema(required)]
    warning: Option<CustomerSyncWarningView>,
    /// Why it failed.
    #[schema(required)]
    error: Option<TroubleView>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    started_at: Option<String>,
    #[schema(required, format = DateTime)]
    finished_at: Option<String>,
}

/// What is worth knowing of a sync of customers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerSyncWarningView {
    /// Stable code in lowerCamelCase. New ones may be added.
    #[schema(example = "customerRemovalHeldBack")]
    code: String,
    detail: String,
    /// Who does what about it; null when nobody needs to.
    #[schema(required)]
    action: Option<String>,
}

impl From<&CustomerSyncRun> for CustomerSyncRunView {
    fn from(run: &CustomerSyncRun) -> Self {
        Self {
            id: run.id.as_uuid(),
            kind: run.kind.as_str(),
            state: run.state.as_str(),
            since: run.since.map(time_text::of),
            processed: run.processed,
            expected: run.expected,
            created: run.created,
            updated: run.updated,
            deactivated: run.deactivated,
            requests: run.requests,
            warning: run.warning.as_ref().map(CustomerSyncWarningView::from),
            error: run.error.as_ref().map(TroubleView::from),
            created_at: time_text::of(run.created_at),
            started_at: run.started_at.map(time_text::of),
            finished_at: run.finished_at.map(time_text::of),
        }
    }
}

impl From<&Warning> for CustomerSyncWarningView {
    fn from(warning: &Warning) -> Self {
        Self {
            code: warning.code.clone(),
            detail: warning.detail.clone(),
            action: warning.action.clone(),
        }
    }
}

/// Which runs.
pub struct CustomerSyncParams(PageRequest);

impl FromQuery for CustomerSyncParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        PageRequest::read(query).map(Self)
    }
}

/// Ask for a sync of customers now
///
/// Connections are synced by themselves, too, as their settings say. While a sync is under way no other begins.
#[utoipa::path(
    post,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/sync",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer", min_length = 1, max_length = 255),
    ),
    request_body = Option<CreateCustomerSync>,
    responses(
        (status = 202, description = "Accepted", body = CustomerSyncStarted,
         headers(("Location" = String, description = "The sync to watch"), ("Retry-After" = u32))),
        (status = 409, description = "A sync is under way", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn create_customer_sync(
    caller: Caller<SyncStart>,
    PathId(connection): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: OptionalJsonBody<CreateCustomerSync>,
) -> Result<HttpResponse, Problem> {
    let route = "POST /psa-connections/{psaConnectionId}/sync";
    let pending =
        match idempotent::attempt(&state, &request, caller.identity(), route, body.hash).await? {
            Attempt::First(pending) => pending,
            Attempt::Repeated(answer) => return Ok(answer),
        };
    let kind = body.value.kind.map(WantedCustomerSync::kind);
    let stored = pending.clone();
    let outcome = state
        .customer_syncs
        .start(caller.scope(), connection, kind, move |tx, run| {
            let (at, started) = accepted(connection, run);
            stored.complete(tx, StatusCode::ACCEPTED, &at, &started)
        })
        .await;
    let run = pending.settle(outcome.map_err(Problem::from)).await?;
    let (location, started) = accepted(connection, run);
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, location))
        .insert_header((header::RETRY_AFTER, ACCEPTED_RETRY_AFTER))
        .json(started))
}

fn accepted(connection: PsaConnectionId, run: CustomerSyncRunId) -> (String, CustomerSyncStarted) {
    let started = CustomerSyncStarted {
        sync_run_id: run.as_uuid(),
    };
    (location(connection, run), started)
}

/// List the syncs of customers of a PSA connection, the newest first
#[utoipa::path(
    get,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/sync-runs",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection"),
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
    ),
    responses((status = 200, description = "A page of syncs", body = List<CustomerSyncRunView>)),
)]
pub async fn list_customer_syncs(
    caller: Caller<PsaRead>,
    PathId(connection): PathId<PsaConnectionId>,
    QueryParams(CustomerSyncParams(asked)): QueryParams<CustomerSyncParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let before = asked.begin(&state.cursors, caller.org(), request.path())?;
    let page = state
        .customer_syncs
        .runs(caller.scope(), connection, before, asked.limit)
        .await?;
    let items: Vec<CustomerSyncRunView> = page.runs.iter().map(CustomerSyncRunView::from).collect();
    Ok(answer_page(
        &state,
        caller.org(),
        &request,
        &asked,
        page.next,
        |next_cursor| List {
            items,
            next_cursor,
            total: Some(page.total),
        },
    ))
}

/// Show a sync of customers
#[utoipa::path(
    get,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/sync-runs/{syncRunId}",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection"),
        ("syncRunId" = Uuid, Path, description = "Id of the sync"),
    ),
    responses((status = 200, description = "The sync", body = CustomerSyncRunView)),
)]
pub async fn get_customer_sync(
    caller: Caller<PsaRead>,
    PathId(connection): PathId<PsaConnectionId>,
    PathId(run): PathId<CustomerSyncRunId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let run = state
        .customer_syncs
        .run(caller.scope(), connection, run)
        .await?;
    Ok(HttpResponse::Ok().json(CustomerSyncRunView::from(&run)))
}

/// End a sync of customers
///
/// It ends as `cancelled`; what is stored already stays.
#[utoipa::path(
    post,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/sync-runs/{syncRunId}/cancel",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection"),
        ("syncRunId" = Uuid, Path, description = "Id of the sync"),
    ),
    responses(
        (status = 202, description = "Accepted", body = CustomerSyncRunView,
         headers(("Location" = String, description = "The sync"), ("Retry-After" = u32))),
        (status = 409, description = "The sync has ended already", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn cancel_customer_sync(
    caller: Caller<SyncCancel>,
    PathId(connection): PathId<PsaConnectionId>,
    PathId(run): PathId<CustomerSyncRunId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let run = state
        .customer_syncs
        .cancel(caller.scope(), connection, run)
        .await?;
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, location(connection, run.id)))
        .insert_header((header::RETRY_AFTER, ACCEPTED_RETRY_AFTER))
        .json(CustomerSyncRunView::from(&run)))
}

fn location(connection: PsaConnectionId, run: CustomerSyncRunId) -> String {
    format!("{BASE_PATH}/psa-connections/{connection}/sync-runs/{run}")
}
