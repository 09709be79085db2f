//! Liveness and readiness.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::OptionalCaller, problem::Problem, readiness::ReadinessReport, state::AppState};
use tenantry_core::access::Permission;

/// The answer of `/healthz`.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Tell that the process lives
///
/// Never asks the database.
#[utoipa::path(get, path = "/healthz", tag = "process", responses((status = 200, description = "The process lives", body = Health)))]
pub async fn get_health() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// Tell whether the process is ready
///
/// With an owner's key also details of each check, and when the credential of the app registration
/// expires.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "process",
    responses(
        (status = 200, description = "Ready", body = ReadinessReport),
        (status = 503, description = "Not ready", body = ReadinessReport),
    ),
)]
pub async fn get_readiness(
    caller: OptionalCaller,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let with_details = caller.may(Permission::ReadinessDetails);
    let report = state.readiness.report(with_details).await;
    let mut answer = if report.is_ready() {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    Ok(answer.json(report))
}
