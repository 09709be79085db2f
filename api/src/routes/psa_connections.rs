//! Connections to PSA systems.

use std::collections::HashMap;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_core::{
    access::OrgScope,
    customer_sync::LastSync,
    ids::PsaConnectionId,
    psa::{NewPsaConnection, PsaConnection, PsaConnectionChange, PsaKind, PsaSettings, Trouble},
};
use tenantry_psa::{
    Label,
    report::{Check, Report},
    ticket::{Choice, TicketOption},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::BASE_PATH;
use crate::{
    auth::{
        Caller,
        permits::{PsaRead, PsaWrite},
    },
    etag,
    idempotent::{self, Attempt},
    json_body::{JsonBody, not_null},
    paging::{List, PageRequest, answer_page},
    path_id::PathId,
    problem::{FieldError, Problem},
    query::{FromQuery, NoParameters, Query, QueryParams},
    state::AppState,
    time_text,
};

/// A connection to a PSA. What it signs in with is never shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PsaConnectionView {
    id: Uuid,
    /// `connectwise`, `autotask` or `halopsa`.
    #[schema(example = "connectwise")]
    kind: &'static str,
    #[schema(example = "Our ConnectWise")]
    name: String,
    #[schema(example = "https://api-eu.myconnectwise.net")]
    base_url: String,
    settings: PsaSettingsView,
    /// What stands in the way; null when nothing is known to.
    #[schema(required)]
    trouble: Option<TroubleView>,
    /// The newest sync of customers, ended or not; null before the first.
    #[schema(required)]
    last_sync: Option<LastCustomerSyncView>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    changed_at: String,
}

/// What people chose for a connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PsaSettingsView {
    /// Minutes between reads of what changed.
    #[schema(example = 15, minimum = 5, maximum = 1440)]
    incremental_minutes: u32,
    /// Hours between reads of everything.
    #[schema(example = 24, minimum = 1, maximum = 168)]
    full_hours: u32,
    /// Only customers of one of these types, by the PSA's ids; empty: all.
    #[schema(example = json!(["1"]))]
    customer_types: Vec<String>,
    /// Whether the PSA's webhooks are listened to. Registering one turns it on.
    callbacks: bool,
    tickets: TicketSettingsView,
}

/// Tickets about tenants in trouble.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketSettingsView {
    /// Whether they are opened.
    enabled: bool,
    /// What this PSA wants to know for a ticket, by the names that `ticket-options` lists.
    #[schema(value_type = Object, example = json!({"boardId": "1"}))]
    options: Map<String, Value>,
}

/// What stands in the way of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TroubleView {
    /// Stable code in lowerCamelCase. New ones may be added.
    #[schema(example = "psaCredentialsRejected")]
    code: String,
    detail: String,
    /// Who does what, where someone must act.
    #[schema(required)]
    action: Option<String>,
    #[schema(format = DateTime)]
    at: String,
}

/// The newest sync of customers of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastCustomerSyncView {
    /// As of tenant syncs: `queued`, `running`, `completed`, `completedWithWarnings`, `failed` or `cancelled`.
    #[schema(example = "completed")]
    state: &'static str,
    #[schema(required, format = DateTime)]
    finished_at: Option<String>,
    /// Customers made.
    #[schema(minimum = 0)]
    created: i64,
    /// Customers changed.
    #[schema(minimum = 0)]
    updated: i64,
    /// Customers deactivated.
    #[schema(minimum = 0)]
    deactivated: i64,
    /// Why it failed.
    #[schema(required)]
    error: Option<TroubleView>,
}

/// What was tried of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportView {
    /// Whether everything works.
    ok: bool,
    checks: Vec<CheckView>,
}

/// One thing that was tried.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckView {
    /// Stable name in lowerCamelCase. New ones may be added.
    #[schema(example = "reachable")]
    name: &'static str,
    ok: bool,
    detail: String,
    /// Who does what, where something must be done.
    #[schema(required)]
    action: Option<String>,
}

/// A setting for tickets, with what may be chosen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketOptionView {
    /// Its name in `settings.tickets.options`.
    #[schema(example = "boardId")]
    name: &'static str,
    description: &'static str,
    /// Whether tickets need it.
    required: bool,
    choices: Vec<ChoiceView>,
}

/// A value that may be chosen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChoiceView {
    /// Its id at the PSA.
    id: String,
    name: String,
    /// The choice of another setting that it belongs to, such as the board of a status.
    #[schema(required)]
    belongs_to: Option<String>,
    /// Whether the PSA takes it by itself.
    default: bool,
}

/// An id at the PSA with the name that people see.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelView {
    id: String,
    name: String,
}

/// A list that is short and whole.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Whole<T> {
    items: Vec<T>,
}

/// A PSA to connect.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CreatePsaConnection {
    /// `connectwise`, `autotask` or `halopsa`.
    #[schema(example = "connectwise")]
    kind: String,
    #[schema(min_length = 1, max_length = 200, example = "Our ConnectWise")]
    name: String,
    /// Where the PSA is, or for Autotask where the look-up of its zone begins.
    #[schema(example = "https://api-eu.myconnectwise.net")]
    base_url: String,
    /// connectwise: `companyId`, `publicKey`, `privateKey`, `clientId`; autotask: `username`, `secret`,
    /// `integrationCode`; halopsa: `clientId`, `clientSecret` and where needed `tenant`, `authUrl`.
    #[schema(value_type = Object, example = json!({"companyId": "northgate", "publicKey": "public", "privateKey": "an example is no secret", "clientId": "00001111-aaaa-2222-bbbb-3333cccc4444"}))]
    credentials: Value,
    /// What differs from the defaults.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, value_type = Object, example = json!({"fullHours": 12, "customerTypes": ["1"]}))]
    settings: Option<Value>,
}

/// What to change of a connection; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UpdatePsaConnection {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    name: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    base_url: Option<String>,
    /// All credentials; they take the place of the ones before.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, value_type = Object, example = json!({"companyId": "northgate", "publicKey": "public", "privateKey": "an example is no secret", "clientId": "00001111-aaaa-2222-bbbb-3333cccc4444"}))]
    credentials: Option<Value>,
    /// What changes of the settings; what is left out stays, a null takes the default back.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, value_type = Object, example = json!({"fullHours": 12, "customerTypes": ["1"]}))]
    settings: Option<Value>,
}

/// Which page.
pub struct PsaConnectionParams {
    page: PageRequest,
}

impl FromQuery for PsaConnectionParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        Ok(Self {
            page: PageRequest::read(query)?,
        })
    }
}

impl PsaConnectionView {
    fn of(connection: &PsaConnection, last_sync: Option<&LastSync>) -> Self {
        Self {
            id: connection.id.as_uuid(),
            kind: connection.kind.as_str(),
            name: connection.name.clone(),
            base_url: connection.base_url.clone(),
            settings: PsaSettingsView::from(&connection.settings),
            trouble: connection.trouble.as_ref().map(TroubleView::from),
            last_sync: last_sync.map(LastCustomerSyncView::from),
            created_at: time_text::of(connection.created_at),
            changed_at: time_text::of(connection.changed_at),
        }
    }
}

impl From<&PsaSettings> for PsaSettingsView {
    fn from(settings: &PsaSettings) -> Self {
        Self {
            incremental_minutes: settings.incremental_minutes,
            full_hours: settings.full_hours,
            customer_types: settings.customer_types.clone(),
            callbacks: settings.callbacks,
            tickets: TicketSettingsView {
                enabled: settings.tickets.enabled,
                options: settings.tickets.options.clone(),
            },
        }
    }
}

impl From<&Trouble> for TroubleView {
    fn from(trouble: &Trouble) -> Self {
        Self {
            code: trouble.code.clone(),
            detail: trouble.detail.clone(),
            action: trouble.action.clone(),
            at: time_text::of(trouble.at),
        }
    }
}

impl From<&LastSync> for LastCustomerSyncView {
    fn from(last: &LastSync) -> Self {
        Self {
            state: last.state.as_str(),
            finished_at: last.finished_at.map(time_text::of),
            created: last.created,
            updated: last.updated,
            deactivated: last.deactivated,
            error: last.error.as_ref().map(TroubleView::from),
        }
    }
}

impl From<Report> for ReportView {
    fn from(report: Report) -> Self {
        Self {
            ok: report.ok(),
            checks: report.checks.into_iter().map(CheckView::from).collect(),
        }
    }
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        Self {
            name: check.name,
            ok: check.ok,
            detail: check.detail,
            action: check.action,
        }
    }
}

impl From<TicketOption> for TicketOptionView {
    fn from(option: TicketOption) -> Self {
        Self {
            name: option.name,
            description: option.description,
            required: option.required,
            choices: option.choices.into_iter().map(ChoiceView::from).collect(),
        }
    }
}

impl From<Choice> for ChoiceView {
    fn from(choice: Choice) -> Self {
        Self {
            id: choice.label.id.0,
            name: choice.label.name,
            belongs_to: choice.belongs_to.map(|id| id.0),
            default: choice.default,
        }
    }
}

impl From<Label> for LabelView {
    fn from(label: Label) -> Self {
        Self {
            id: label.id.0,
            name: label.name,
        }
    }
}

/// List PSA connections in the order of their creation
#[utoipa::path(
    get,
    path = "/api/msp-portal/psa-connections",
    tag = "psa",
    params(
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
    ),
    responses((status = 200, description = "A page of connections", body = List<PsaConnectionView>)),
)]
pub async fn list_psa_connections(
    caller: Caller<PsaRead>,
    QueryParams(params): QueryParams<PsaConnectionParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let after = params
        .page
        .begin(&state.cursors, caller.org(), request.path())?;
    let page = state
        .psa_connections
        .list(caller.scope(), after, params.page.limit)
        .await?;
    let ids = page.items.iter().map(|connection| connection.id).collect();
    let last = state.customer_syncs.last_syncs(caller.scope(), ids).await?;
    let last: HashMap<PsaConnectionId, LastSync> = last.into_iter().collect();
    let view =
        |connection: &PsaConnection| PsaConnectionView::of(connection, last.get(&connection.id));
    let items: Vec<PsaConnectionView> = page.items.iter().map(view).collect();
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

/// Connect a PSA
///
/// What was entered is checked and kept sealed; nothing is asked of the PSA yet. `test` does.
#[utoipa::path(
    post,
    path = "/api/msp-portal/psa-connections",
    tag = "psa",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer", min_length = 1, max_length = 255)),
    request_body = CreatePsaConnection,
    responses((
        status = 201,
        description = "Created",
        body = PsaConnectionView,
        headers(("Location" = String, description = "Address of the connection"), ("ETag" = String)),
    )),
)]
pub async fn create_psa_connection(
    caller: Caller<PsaWrite>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<CreatePsaConnection>,
) -> Result<HttpResponse, Problem> {
    let route = "POST /psa-connections";
    let attempt =
        idempotent::attempt(&state, &request, caller.identity(), route, body.hash).await?;
    let pending = match attempt {
        Attempt::First(pending) => pending,
        Attempt::Repeated(answer) => return Ok(answer),
    };
    let stored = pending.clone();
    let created = async {
        let new = new_connection(body.value)?;
        let created = state
            .psa_connections
            .create(caller.scope(), new, move |tx, connection| {
                let view = PsaConnectionView::of(connection, None);
                stored.complete(tx, StatusCode::CREATED, &location(connection.id), &view)
            })
            .await;
        created.map_err(Problem::from)
    };
    let connection = pending.settle(created.await).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location(connection.id)))
        .insert_header((header::ETAG, tag(&connection, None)))
        .json(PsaConnectionView::of(&connection, None)))
}

/// Show a PSA connection
#[utoipa::path(
    get,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection"),
        ("If-None-Match" = Option<String>, Header, description = "ETag of the connection the caller has"),
    ),
    responses(
        (status = 200, description = "The connection", body = PsaConnectionView, headers(("ETag" = String))),
        (status = 304, description = "Nothing changed", headers(("ETag" = String))),
    ),
)]
pub async fn get_psa_connection(
    caller: Caller<PsaRead>,
    PathId(id): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let connection = state.psa_connections.get(caller.scope(), id).await?;
    let last = last_sync(&state, caller.scope(), id).await?;
    let view = PsaConnectionView::of(&connection, last.as_ref());
    let tag = tag(&connection, last.as_ref());
    Ok(etag::answer(request.headers(), tag, view))
}

/// Change a PSA connection
///
/// A JSON merge patch: what is left out stays.
#[utoipa::path(
    patch,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version to change"),
    ),
    request_body = UpdatePsaConnection,
    responses(
        (status = 200, description = "The connection as it is now", body = PsaConnectionView, headers(("ETag" = String))),
        (status = 412, description = "Changed since", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn update_psa_connection(
    caller: Caller<PsaWrite>,
    PathId(id): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
    body: JsonBody<UpdatePsaConnection>,
) -> Result<HttpResponse, Problem> {
    let version = expected_version(&state, caller.scope(), id, &request).await?;
    let UpdatePsaConnection {
        name,
        base_url,
        credentials,
        settings,
    } = body.value;
    let change = PsaConnectionChange {
        name,
        base_url,
        credentials,
        settings,
    };
    let connection = state
        .psa_connections
        .change(caller.scope(), id, version, change)
        .await?;
    let last = last_sync(&state, caller.scope(), id).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag(&connection, last.as_ref())))
        .json(PsaConnectionView::of(&connection, last.as_ref())))
}

/// Delete a PSA connection
///
/// Its credentials are erased at once. The customers that came through it stay.
#[utoipa::path(
    delete,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version to delete"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 412, description = "Changed since", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn delete_psa_connection(
    caller: Caller<PsaWrite>,
    PathId(id): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let version = expected_version(&state, caller.scope(), id, &request).await?;
    state
        .psa_connections
        .delete(caller.scope(), id, version)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Try a PSA connection
///
/// Tries everything that it is used for. What the PSA refuses stands in the answer, with what to do.
#[utoipa::path(
    post,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/test",
    tag = "psa",
    params(("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection")),
    responses((status = 200, description = "What works and what does not", body = ReportView)),
)]
pub async fn test_psa_connection(
    caller: Caller<PsaWrite>,
    PathId(id): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let report = state.psa_checks.check(caller.scope(), id).await?;
    Ok(HttpResponse::Ok().json(ReportView::from(report)))
}

/// List what may be chosen for tickets
#[utoipa::path(
    get,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/ticket-options",
    tag = "psa",
    params(("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection")),
    responses((status = 200, description = "The settings with their choices, as the PSA has them at this moment", body = Whole<TicketOptionView>)),
)]
pub async fn list_ticket_options(
    caller: Caller<PsaRead>,
    PathId(id): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let options = state.psa_checks.ticket_options(caller.scope(), id).await?;
    let items = options.options.into_iter().map(TicketOptionView::from);
    Ok(HttpResponse::Ok().json(Whole {
        items: items.collect(),
    }))
}

/// List the types of customers that may be chosen
#[utoipa::path(
    get,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/customer-types",
    tag = "psa",
    params(("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection")),
    responses((status = 200, description = "The types, as the PSA has them at this moment", body = Whole<LabelView>)),
)]
pub async fn list_customer_types(
    caller: Caller<PsaRead>,
    PathId(id): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let types = state.psa_checks.customer_types(caller.scope(), id).await?;
    let items = types.into_iter().map(LabelView::from);
    Ok(HttpResponse::Ok().json(Whole {
        items: items.collect(),
    }))
}

fn new_connection(body: CreatePsaConnection) -> Result<NewPsaConnection, Problem> {
    let kind: PsaKind = body
        .kind
        .parse()
        .or(Err(Problem::invalid(vec![FieldError::at(
            "/kind",
            "invalidValue",
            "Expected connectwise, autotask or halopsa.",
        )])))?;
    Ok(NewPsaConnection {
        kind,
        name: body.name,
        base_url: body.base_url,
        credentials: body.credentials,
        settings: body.settings,
    })
}

async fn last_sync(
    state: &AppState,
    scope: &OrgScope,
    id: PsaConnectionId,
) -> Result<Option<LastSync>, Problem> {
    let found = state.customer_syncs.last_syncs(scope, vec![id]).await?;
    Ok(found.into_iter().map(|(_id, last)| last).next())
}

/// The tag of a connection: trouble and the last sync are in it, but not in its version.
fn tag(connection: &PsaConnection, last: Option<&LastSync>) -> String {
    let shown = format!("{:?}{last:?}", connection.trouble);
    let besides = connection.trouble.is_some() || last.is_some();
    let besides = besides.then(|| etag::hash_of(shown.as_bytes()));
    etag::of_version(connection.version, besides.as_deref())
}

/// The version that a change is meant for, where the caller says so. What moves by itself, such as a sync,
/// is no change that the caller has to know.
async fn expected_version(
    state: &AppState,
    scope: &OrgScope,
    id: PsaConnectionId,
    request: &HttpRequest,
) -> Result<Option<i64>, Problem> {
    if !etag::is_conditional(request.headers()) {
        return Ok(None);
    }
    let present = state.psa_connections.get(scope, id).await?;
    etag::require_version(request.headers(), present.version)?;
    Ok(Some(present.version))
}

fn location(id: PsaConnectionId) -> String {
    format!("{BASE_PATH}/psa-connections/{id}")
}
