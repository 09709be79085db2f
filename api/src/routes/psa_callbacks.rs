//! Webhooks of PSAs: setting them up, and where they arrive.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tenantry_core::{
    ids::PsaConnectionId,
    psa::{ArrivedEvent, RegisteredCallback},
};
use utoipa::ToSchema;

use crate::{
    auth::{Caller, permits::PsaWrite},
    json_body,
    path_id::PathId,
    problem::Problem,
    query::{NoParameters, QueryParams},
    state::AppState,
};

/// A webhook that was set up. Its address is known to the PSA alone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallbackView {
    /// Its id at the PSA.
    #[schema(example = "41")]
    external_id: String,
}

impl From<RegisteredCallback> for CallbackView {
    fn from(callback: RegisteredCallback) -> Self {
        Self {
            external_id: callback.external_id,
        }
    }
}

/// Have the PSA call us when a customer changes
///
/// Calling it again leaves one webhook, with the same address.
#[utoipa::path(
    post,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/callback",
    tag = "psa",
    params(("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection")),
    responses(
        (status = 200, description = "It is set up", body = CallbackView),
        (status = 409, description = "It was removed meanwhile", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn register_psa_callback(
    caller: Caller<PsaWrite>,
    PathId(id): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let registered = state.psa_callbacks.register(caller.scope(), id).await?;
    Ok(HttpResponse::Ok().json(CallbackView::from(registered)))
}

/// Have the PSA call us no more
///
/// One that is not set up is no error.
#[utoipa::path(
    delete,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/callback",
    tag = "psa",
    params(("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection")),
    responses((status = 204, description = "It is not set up any more")),
)]
pub async fn remove_psa_callback(
    caller: Caller<PsaWrite>,
    PathId(id): PathId<PsaConnectionId>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    state.psa_callbacks.remove(caller.scope(), id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Take an event of a PSA
///
/// For the PSA, at the address it was given. The sender is verified before the body is parsed, and an event
/// that was taken before changes nothing.
#[utoipa::path(
    post,
    path = "/api/msp-portal/psa-connections/{psaConnectionId}/events/{secret}",
    tag = "psa",
    params(
        ("psaConnectionId" = Uuid, Path, description = "Id of the PSA connection"),
        ("secret" = String, Path, description = "What only the PSA knows"),
    ),
    responses(
        (status = 204, description = "Taken"),
        (status = 401, description = "The sender is not the PSA", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be verified at present", body = crate::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn receive_psa_event(
    PathId(id): PathId<PsaConnectionId>,
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let secret = request.match_info().get("secret").unwrap_or_default();
    let headers = request.headers().iter();
    let event = ArrivedEvent {
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        query: request.query_string().to_owned(),
        body: json_body::read(payload.into_inner()).await?,
    };
    state.psa_callbacks.receive(id, secret, event).await?;
    Ok(HttpResponse::NoContent().finish())
}
