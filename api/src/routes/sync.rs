//! Syncs: ask for one, watch it, end it.

pub mod views;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde::Deserialize;
use serde_json::Value;
use tenantry_core::{
    ids::{SyncRunId, TenantId},
    microsoft::data_set::DataSet,
    sync::{Status, run::RunKind, status::run_json},
};
use utoipa::ToSchema;

use self::views::{SyncRunStarted, SyncRunView, SyncStatusView};
use super::BASE_PATH;
use crate::{
    auth::{
        Caller, bearer,
        permits::{SyncCancel, SyncStart, TenantsRead},
    },
    etag,
    event_stream::{
        self, AllTenants, EventId, EventStream, OneTenant, Source, StatusEvent, WatchedKey,
    },
    idempotent::{self, ACCEPTED_RETRY_AFTER, Attempt},
    json_body::{JsonBody, not_null},
    paging::{List, PageRequest, answer_page},
    path_id::PathId,
    problem::{FieldError, Problem, ProblemBody},
    query::{FromQuery, NoParameters, Query, QueryParams},
    state::AppState,
};

/// A sync to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSyncRun {
    kind: WantedKind,
    /// Only these data sets; all when left out.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, min_items = 1, example = json!(["users", "groups"]))]
    datasets: Option<Vec<DataSetName>>,
}

/// What a person may ask for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum WantedKind {
    /// What changed since the last run.
    Delta,
    /// Everything again.
    Full,
}

impl CreateSyncRun {
    fn kind(&self) -> RunKind {
        match self.kind {
            WantedKind::Delta => RunKind::Delta,
            WantedKind::Full => RunKind::Full,
        }
    }

    fn data_sets(&self) -> Result<Option<Vec<DataSet>>, Problem> {
        match self.datasets.as_deref() {
            None => Ok(None),
            Some([]) => {
                let detail = "Name at least one data set, or leave the field out.";
                let fault = FieldError::at("/datasets", "tooFewItems", detail);
                Err(Problem::invalid(vec![fault]))
            }
            Some(names) => Ok(Some(names.iter().map(|name| name.data_set()).collect())),
        }
    }
}

/// A data set by its name.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DataSetName {
    Organization,
    Users,
    Groups,
    Licenses,
    SecureScores,
    Devices,
    Mailboxes,
}

impl DataSetName {
    const fn data_set(self) -> DataSet {
        match self {
            Self::Organization => DataSet::Organization,
            Self::Users => DataSet::Users,
            Self::Groups => DataSet::Groups,
            Self::Licenses => DataSet::Licenses,
            Self::SecureScores => DataSet::SecureScores,
            Self::Devices => DataSet::Devices,
            Self::Mailboxes => DataSet::Mailboxes,
        }
    }
}

/// Ask for a sync of one tenant now
///
/// The answer names what to watch. While a run is under way no other begins.
#[utoipa::path(
    post,
    path = "/api/msp-portal/tenants/{tenantId}/sync",
    tag = "sync",
    params(
        ("tenantId" = Uuid, Path, description = "Entra tenant id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer", min_length = 1, max_length = 255),
    ),
    request_body = CreateSyncRun,
    responses(
        (status = 202, description = "Accepted", body = SyncRunStarted,
         headers(("Location" = String, description = "The status to watch"), ("Retry-After" = u32))),
        (status = 409, description = "A run is under way, or the tenant is not connected", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn create_sync_run(
    caller: Caller<SyncStart>,
    PathId(tenant): PathId<TenantId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<CreateSyncRun>,
) -> Result<HttpResponse, Problem> {
    let data_sets = body.value.data_sets()?;
    let route = "POST /tenants/{tenantId}/sync";
    let pending =
        match idempotent::attempt(&state, &request, caller.identity(), route, body.hash).await? {
            Attempt::First(pending) => pending,
            Attempt::Repeated(answer) => return Ok(answer),
        };
    let location = format!("{BASE_PATH}/tenants/{tenant}/sync-status");
    let (stored, at) = (pending.clone(), location.clone());
    let outcome = state
        .sync
        .request_run(
            caller.scope(),
            tenant,
            body.value.kind(),
            data_sets,
            move |tx, run| stored.complete(tx, StatusCode::ACCEPTED, &at, &SyncRunStarted::of(run)),
        )
        .await;
    let run = pending.settle(outcome.map_err(Problem::from)).await?;
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, location))
        .insert_header((header::RETRY_AFTER, ACCEPTED_RETRY_AFTER))
        .json(SyncRunStarted::of(run)))
}

/// Show the status of a tenant with its latest run
///
/// Answered from memory: asking often is fine. `nextPollAfterMs` says when it is worth it.
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}/sync-status",
    tag = "sync",
    params(
        ("tenantId" = Uuid, Path, description = "Entra tenant id"),
        ("If-None-Match" = Option<String>, Header, description = "ETag of the status the caller has"),
    ),
    responses(
        (status = 200, description = "The status", body = SyncStatusView, headers(("ETag" = String))),
        (status = 304, description = "Nothing changed", headers(("ETag" = String))),
    ),
)]
pub async fn get_sync_status(
    caller: Caller<TenantsRead>,
    PathId(tenant): PathId<TenantId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let status = state.sync.status(caller.scope(), tenant)?;
    let tag = status.etag();
    if etag::is_known(request.headers(), &tag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, tag))
            .finish());
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag))
        .content_type("application/json")
        .body(views::document(&status, state.public_url())))
}

/// Follow the status of a tenant
///
/// An event `status` with the same document as the status, at once and at each change. A slow reader
/// gets the newest, not all. The stream ends after ten minutes; come back then.
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}/sync-status/events",
    tag = "sync",
    params(
        ("tenantId" = Uuid, Path, description = "Entra tenant id"),
        ("Last-Event-ID" = Option<String>, Header, description = "Accepted; the present document comes in any case"),
    ),
    responses((status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream")),
)]
pub async fn watch_sync_status(
    caller: Caller<TenantsRead>,
    PathId(tenant): PathId<TenantId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let receiver = state.sync.watch_status(caller.scope(), tenant)?;
    let (sync, public_url) = (state.sync.clone(), state.public_url().to_owned());
    let source = OneTenant::new(receiver, move |snapshot| {
        event(&sync.at_present(snapshot), &public_url)
    });
    answer_events(&state, &request, source)
}

/// Follow the status of all tenants
///
/// An event `status` with each tenant's status document, at once and at each change. A slow reader
/// gets the newest, not all. The stream ends after ten minutes; come back then, with `Last-Event-ID`
/// for what changed meanwhile only.
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/events",
    tag = "sync",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event received: only tenants that changed since are sent. With an unknown one all are"),
    ),
    responses((status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream")),
)]
pub async fn watch_sync_statuses(
    caller: Caller<TenantsRead>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let last = EventId::last_of(caller.org(), request.headers());
    let feed = state.sync.feed(caller.scope(), last);
    let public_url = state.public_url().to_owned();
    let document_of = move |status: &Status| views::document(status, &public_url);
    let source = AllTenants::new(feed, caller.org(), last, document_of);
    answer_events(&state, &request, source)
}

fn answer_events(
    state: &AppState,
    request: &HttpRequest,
    source: impl Source + 'static,
) -> Result<HttpResponse, Problem> {
    let text = bearer(request.headers()).ok_or_else(crate::auth::unauthorized)?;
    Ok(event_stream::answer(EventStream {
        source,
        key: WatchedKey {
            cache: state.keys.clone(),
            text,
        },
        drain: state.drain.clone(),
        open: state.metrics.event_streams().clone(),
    }))
}

fn event(status: &Status, public_url: &str) -> StatusEvent {
    StatusEvent {
        id: status.etag().trim_matches('"').to_owned(),
        data: views::document(status, public_url),
    }
}

/// Which runs.
pub struct RunParams(PageRequest);

impl FromQuery for RunParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        PageRequest::read(query).map(Self)
    }
}

/// List the sync runs of a tenant, the newest first
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}/sync-runs",
    tag = "sync",
    params(
        ("tenantId" = Uuid, Path, description = "Entra tenant id"),
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
    ),
    responses((status = 200, description = "A page of runs", body = List<SyncRunView>)),
)]
pub async fn list_sync_runs(
    caller: Caller<TenantsRead>,
    PathId(tenant): PathId<TenantId>,
    QueryParams(RunParams(asked)): QueryParams<RunParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let before = asked.begin(&state.cursors, caller.org(), request.path())?;
    let page = state
        .sync
        .runs(caller.scope(), tenant, before, asked.limit)
        .await?;
    let items: Vec<Value> = page.runs.iter().map(run_json).collect();
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

/// Show a sync run
#[utoipa::path(
    get,
    path = "/api/msp-portal/tenants/{tenantId}/sync-runs/{syncRunId}",
    tag = "sync",
    params(
        ("tenantId" = Uuid, Path, description = "Entra tenant id"),
        ("syncRunId" = Uuid, Path, description = "Id of the run"),
    ),
    responses((status = 200, description = "The run", body = SyncRunView)),
)]
pub async fn get_sync_run(
    caller: Caller<TenantsRead>,
    PathId(tenant): PathId<TenantId>,
    PathId(run): PathId<SyncRunId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let run = state.sync.run(caller.scope(), tenant, run).await?;
    Ok(HttpResponse::Ok().json(run_json(&run)))
}

/// End a sync run
///
/// It ends as `cancelled`; what is stored already stays.
#[utoipa::path(
    post,
    path = "/api/msp-portal/tenants/{tenantId}/sync-runs/{syncRunId}/cancel",
    tag = "sync",
    params(
        ("tenantId" = Uuid, Path, description = "Entra tenant id"),
        ("syncRunId" = Uuid, Path, description = "Id of the run"),
    ),
    responses(
        (status = 202, description = "Accepted", body = SyncRunView,
         headers(("Location" = String, description = "The run"), ("Retry-After" = u32))),
        (status = 409, description = "The run has ended already", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn cancel_sync_run(
    caller: Caller<SyncCancel>,
    PathId(tenant): PathId<TenantId>,
    PathId(run): PathId<SyncRunId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let run = state.sync.cancel(caller.scope(), tenant, run).await?;
    let location = format!("{BASE_PATH}/tenants/{tenant}/sync-runs/{}", run.id);
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, location))
        .insert_header((header::RETRY_AFTER, ACCEPTED_RETRY_AFTER))
        .json(run_json(&run)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_data_set_can_be_asked_for_by_its_name() {
        for set in DataSet::ALL {
            let name: DataSetName = serde_json::from_value(json!(set.name())).unwrap();
            assert_eq!(name.data_set(), set);
        }
    }
}
