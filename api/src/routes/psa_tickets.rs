//! Tickets that are kept at a PSA about tenants in trouble.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tenantry_core::{ids::PsaConnectionId, psa::Trouble, tickets::KeptTicket};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{
        Caller,
        permits::{PsaRead, PsaWrite},
    },
    paging::{List, PageRequest, answer_page},
    path_id::PathId,
    problem::Problem,
    query::{FromQuery, NoParameters, Query, QueryParams},
    state::AppState,
    time_text,
};

/// A ticket about a tenant in trouble.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PsaTicketView {
    /// What the ticket is found by at the PSA; the same for the same trouble of the same tenant.
    #[schema(example = "tenantry:syncFailing:b4c546a4-7dac-46a6-a7dd-ed822a11efd3")]
    key: String,
    /// `wanted`: to be opened; `open`; `closing`: to be closed; `closed`.
    #[schema(example = "open")]
    state: &'static str,
    /// `reauthorizationRequired`, `connectionLost` or `syncFailing`.
    #[schema(example = "syncFailing")]
    trouble: &'static str,
    tenant_id: Uuid,
    /// The customer's id at the PSA.
    customer_external_id: String,
    /// The ticket's id at the PSA; null before it is known.
    #[schema(required)]
    ticket_id: Option<String>,
    /// The number that people see, where it is another than the id.
    #[schema(required)]
    number: Option<String>,
    /// One line, as it was opened.
    summary: String,
    /// Why the last try failed; null when it did not.
    #[schema(required)]
    error: Option<PsaTicketErrorView>,
    /// When it is tried next; null when nothing is to be done.
    #[schema(required, format = DateTime)]
    next_try_at: Option<String>,
    /// When the state last changed.
    #[schema(format = DateTime)]
    changed_at: String,
}

/// Why the PSA did not do what was asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PsaTicketErrorView {
    /// Stable code in lowerCamelCase. New ones may be added.
    #[schema(example = "psaConfigurationInvalid")]
    code: String,
    /// What happened.
    detail: String,
    /// Who does what; null when it may pass by itself.
    #[schema(required)]
    action: Option<String>,
    /// When.
    #[schema(format = DateTime)]
    at: String,
}

impl From<Trouble> for PsaTicketErrorView {
    fn from(error: Trouble) -> Self {
        Self {
            code: error.code,
            detail: error.detail,
            action: error.action,
            at: time_text::of(error.at),
        }
    }
}

impl From<KeptTicket> for PsaTicketView {
    fn from(ticket: KeptTicket) -> Self {
        Self {
            key: ticket.key,
            state: ticket.state.as_str(),
            trouble: ticket.trouble.as_str(),
            tenant_id: ticket.tenant.as_uuid(),
            customer_external_id: ticket.customer.0,
            ticket_id: ticket.external_id.map(|id| id.0),
            number: ticket.number,
            summary: ticket.summary,
            error: ticket.error.map(PsaTicketErrorView::from),
            next_try_at: ticket.next_try_at.map(time_text::of),
            changed_at: time_text::of(ticket.changed_at),
        }
    }
}

/// Which tickets.
pub struct TicketParams(PageRequest);

impl FromQuery for TicketParams {
    const ALLOWED: &'static [&'static str] = &["limit", "cursor"];

    fn from_query(query: &Query) -> Result<Self, Problem> {
        PageRequest::read(query).map(Self)
    }
}

/// List the tickets that are kept at a PSA
#[utoipa::path(
    get,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/tickets",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the connection"),
        ("limit" = Option<u16>, Query, description = "Items of a page", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before", min_length = 44, pattern = "^[A-Za-z0-9_-]+$"),
    ),
    responses((status = 200, description = "A page of tickets", body = List<PsaTicketView>)),
)]
pub async fn list_psa_tickets(
    caller: Caller<PsaRead>,
    PathId(connection): PathId<PsaConnectionId>,
    QueryParams(TicketParams(asked)): QueryParams<TicketParams>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let after = asked.begin(&state.cursors, caller.org(), request.path())?;
    let page = state
        .tickets
        .list(caller.scope(), connection, after, asked.limit)
        .await?;
    let items: Vec<PsaTicketView> = page.items.into_iter().map(PsaTicketView::from).collect();
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

/// What is tried.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PsaTicketsRetried {
    /// How many tickets waited to be opened or closed; 0 where tickets are turned off.
    tickets: usize,
}

/// Try what waits at a PSA now
///
/// Tickets that could not be opened or closed are tried again, without waiting for their time.
#[utoipa::path(
    post,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/tickets/retry",
    tag = "psa",
    params(("psaConnectionId" = Uuid, Path, description = "Id of the connection")),
    responses((status = 202, description = "Accepted", body = PsaTicketsRetried)),
)]
pub async fn retry_psa_tickets(
    caller: Caller<PsaWrite>,
    PathId(connection): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let tickets = state.tickets.retry(caller.scope(), connection).await?;
    Ok(HttpResponse::Accepted().json(PsaTicketsRetried { tickets }))
}
