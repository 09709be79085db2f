//! Metrics for Prometheus.

use actix_web::{HttpRequest, HttpResponse, web};
use tenantry_core::access::Permission;

use crate::{
    auth::{OptionalCaller, bearer, unauthorized},
    problem::{Problem, catalogue},
    state::AppState,
};

/// Read the metrics
///
/// Wants the token of `TENANTRY_METRICS_TOKEN`, or an owner's key while the installation has one
/// organisation.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "process",
    responses((status = 200, description = "Metrics in Prometheus's text format", content_type = "text/plain", body = String)),
)]
pub async fn get_metrics(
    request: HttpRequest,
    caller: OptionalCaller,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let presented = bearer(request.headers());
    if !presented.is_some_and(|token| state.is_metrics_token(&token)) {
        require_only_owner(&caller, &state).await?;
    }
    let text = state.metrics.render().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

/// With several organisations the metrics are nobody's alone.
async fn require_only_owner(caller: &OptionalCaller, state: &AppState) -> Result<(), Problem> {
    if caller.0.is_none() {
        return Err(unauthorized());
    }
    if !caller.may(Permission::MetricsRead) {
        return Err(
            Problem::new(&catalogue::FORBIDDEN).detail("Only an owner may read the metrics.")
        );
    }
    if state.organizations.count().await? > 1 {
        let detail =
            "This installation has several organisations: its metrics want the metrics token.";
        return Err(Problem::new(&catalogue::FORBIDDEN).detail(detail).action(
            "Whoever runs this installation sets TENANTRY_METRICS_TOKEN; call with that token.",
        ));
    }
    Ok(())
}
