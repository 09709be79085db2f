//! What an organisation says about itself.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{
        Caller,
        permits::{CustomersRead, CustomersWrite},
    },
    json_body::JsonBody,
    problem::Problem,
    query::{NoParameters, QueryParams},
    state::AppState,
};

/// The MSP's own domains.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationDomainsView {
    /// Domain names in lower case, by name.
    #[schema(example = json!(["northgate-it.example"]))]
    domains: Vec<String>,
}

/// The MSP's own domains, all of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ReplaceOrganizationDomains {
    #[schema(max_items = 100, example = json!(["northgate-it.example"]))]
    domains: Vec<String>,
}

/// Show the organisation's own domains
///
/// They and what lies under them tie no tenant to a customer.
#[utoipa::path(
    get,
    path = "/api/msp-portal/organization/domains",
    tag = "matches",
    responses((status = 200, description = "The domains", body = OrganizationDomainsView)),
)]
pub async fn get_organization_domains(
    caller: Caller<CustomersRead>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let domains = state.own_domains.get(caller.scope()).await?;
    Ok(HttpResponse::Ok().json(OrganizationDomainsView { domains }))
}

/// Replace the organisation's own domains
#[utoipa::path(
    put,
    path = "/api/msp-portal/organization/domains",
    tag = "matches",
    request_body = ReplaceOrganizationDomains,
    responses((status = 200, description = "The domains as they are now", body = OrganizationDomainsView)),
)]
pub async fn replace_organization_domains(
    caller: Caller<CustomersWrite>,
    _query: QueryParams<NoParameters>,
    state: web::Data<AppState>,
    body: JsonBody<ReplaceOrganizationDomains>,
) -> Result<HttpResponse, Problem> {
    let domains = state
        .own_domains
        .replace(caller.scope(), body.value.domains)
        .await?;
    Ok(HttpResponse::Ok().json(OrganizationDomainsView { domains }))
}
