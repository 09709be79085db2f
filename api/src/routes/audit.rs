//! What happened.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tenantry_core::audit::{AuditEvent, AuditFilter};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{Caller, permits::AuditRead},
    paging::{List, PageRequest, answer_page},
    problem::Problem,
    query::{FromQuery, Query, QueryParams},
    state::AppState,
    time_text,
};

/// An event of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEventView {
    id: Uuid,
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    actor: ActorView,
    /// `noun.verbPast`; new ones may be added.
    #[schema(example = "customer.created")]
    action: String,
    /// The tenant it is about.
    #[schema(required)]
    tenant_id: Option<Uuid>,
    /// What there is to say about it; depends on the action.
    #[schema(value_type = Object)]
    details: Value,
    /// SHA-256 of this event chained to the one before, in hexadecimal digits.
    hash: String,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorView {
    /// `apiKey`, `administrator`, `commandLine` or `system`.
    #[schema(example = "apiKey")]
    r#type: String,
    /// Who exactly, where there is somebody to name.
    #[schema(required)]
    id: Option<String>,
}

impl From<AuditEvent> for AuditEventView {
    fn from(event: AuditEvent) -> Self {
        Self {
            id: event.id.as_uuid(),
            at: time_text::of(event.at),
            actor: ActorView {
                r#type: event.actor_type,
                id: event.actor_id,
            },
            action: event.action,
            tenant_id: event.tenant.map(tenantry_core::ids::TenantId::as_uuid),
            details: event.details,
            hash: event.hash,
        }
    }
}

/// Which events.
pub struct AuditParams {
    page: PageRequest,
    filter: AuditFilter,
}

impl FromQuery for AuditParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor", "tenantId", "action", "since"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        let since: Option<DateTime<chrono::FixedOffset>> = query.parsed_by(
            "since",
            "a time as RFC 3339 writes it",
            DateTime::parse_from_rfc3339,
        )?;
        Ok(Self {
            page: PageRequest::read(query)?,
            filter: AuditFilter {
                tenants: query.all_parsed("tenantId", "a UUID")?,
                actions: query.all("action").map(str::to_owned).collect(),
                since: since.map(|time| time.with_timezone(&Utc)),
            },
        })
    }
}

/// List what happened, the newest first
#[utoipa::path(
    get,
    path = "/api/msp-portal/audit-events",
    tag = "audit",
    params(
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
        ("tenantId" = Option<Uuid>, Query, description = "Only events about this tenant; may be repeated"),
        ("action" = Option<String>, Query, description = "Only events of this action; may be repeated", example = "tenant.connected"),
        ("since" = Option<String>, Query, format = DateTime, description = "Only events from this time on"),
    ),
    responses((status = 200, description = "A page of events; `total` is null", body = List<AuditEventView>)),
)]
pub async fn list_audit_events(
    caller: Caller<AuditRead>,
    QueryParams(params): QueryParams<AuditParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let after = params
        .page
        .begin(&state.cursors, caller.org(), request.path())?;
    let page = state
        .audit
        .list(caller.scope(), params.filter, after, params.page.limit)
        .await?;
    let items: Vec<AuditEventView> = page.items.into_iter().map(AuditEventView::from).collect();
    Ok(answer_page(
        &state,
        caller.org(),
        &request,
        &params.page,
        page.next,
        |next_cursor| List {
            items,
            next_cursor,
            total: None,
        },
    ))
}
