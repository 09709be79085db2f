//! Every route, in one list: method, path, handler and what the caller must be allowed to do.
//!
//! The list registers the routes, gives the OpenAPI document its security, and is what the tests go
//! through. A handler's own demand stands in the type of its `Caller`; a test proves that both agree.

pub mod audit;
pub mod connect;
pub mod customer_matches;
pub mod customers;
pub mod docs;
pub mod health;
pub mod inventory;
pub mod links;
pub mod metrics;
pub mod openapi;
pub mod organization;
pub mod problems;
pub mod sync;
pub mod tenants;

use actix_web::{
    HttpRequest, HttpResponse,
    guard::{self, Guard, GuardContext},
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web::{self, ServiceConfig},
};
use tenantry_core::access::Permission;

use crate::problem::{Problem, catalogue};

/// Where the API begins.
pub const BASE_PATH: &str = "/api/msp-portal";

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Method; GET answers HEAD too.
    pub method: &'static str,
    /// Pattern.
    pub path: &'static str,
    /// Name of the handler, which is the operation id: a test compares the two.
    #[cfg(test)]
    pub operation: &'static str,
    /// Who may call it.
    pub access: Access,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Who has the metrics token, or an owner's key while there is one organisation.
    Metrics,
    /// A key whose role allows it.
    Needs(Permission),
}

/// What a route's last word means.
macro_rules! access {
    (Open) => {
        Access::Open
    };
    (Metrics) => {
        Access::Metrics
    };
    ($permission:ident) => {
        Access::Needs(Permission::$permission)
    };
}

/// A list of routes and the function that registers it. A macro, so that a route cannot be registered
/// without standing in the list, nor its name differ from the handler's.
macro_rules! routes {
    (
        $(#[$doc:meta])* $list:ident, $register:ident;
        $($path:literal { $($method:ident $module:ident::$handler:ident: $access:ident),+ $(,)? })+
    ) => {
        $(#[$doc])*
        pub static $list: &[Route] = &[$($(Route {
            method: stringify!($method),
            path: $path,
            #[cfg(test)]
            operation: stringify!($handler),
            access: access!($access),
        }),+),+];

        fn $register(config: &mut ServiceConfig) {
            $(
                let methods: &'static [Method] = &[$(Method::$method),+];
                config.service(
                    web::resource($path)
                        .app_data(Allowed(methods))
                        $(.route(web::route().guard(Answers(Method::$method)).to($module::$handler)))+
                        .default_service(web::to(other_method)),
                );
            )+
        }
    };
}

routes! {
    /// What every process serves, also one with workers only.
    PROCESS_ROUTES, register_process_routes;
    "/healthz" { GET health::get_health: Open }
    "/readyz" { GET health::get_readiness: Open }
    "/metrics" { GET metrics::get_metrics: Metrics }
}

routes! {
    /// What a process with the API serves besides. Literal segments stand before parameters.
    API_ROUTES, register_api_routes;
    "/openapi.json" { GET openapi::get_openapi_document: Open }
    "/docs" { GET docs::show_docs: Open }
    "/docs/{file}" { GET docs::get_docs_file: Open }
    "/problems/{code}" { GET problems::show_problem_type: Open }
    "/connect/{token}" {
        GET links::open_link: Open,
        POST links::begin_sign_in: Open,
    }
    "/connect/{token}/result" { GET links::show_result: Open }
    "/api/msp-portal/customers" {
        GET customers::list_customers: CustomersRead,
        POST customers::create_customer: CustomersWrite,
    }
    "/api/msp-portal/customers/{customerId}" {
        GET customers::get_customer: CustomersRead,
        PATCH customers::update_customer: CustomersWrite,
        DELETE customers::deactivate_customer: CustomersWrite,
    }
    "/api/msp-portal/customer-matches" { GET customer_matches::list_customer_matches: CustomersRead }
    "/api/msp-portal/customer-matches/confirm" { POST customer_matches::confirm_customer_matches: TenantsWrite }
    "/api/msp-portal/customer-matches/orphans" { GET customer_matches::list_orphans: CustomersRead }
    "/api/msp-portal/organization/domains" {
        GET organization::get_organization_domains: CustomersRead,
        PUT organization::replace_organization_domains: CustomersWrite,
    }
    "/api/msp-portal/tenants" { GET tenants::list_tenants: TenantsRead }
    "/api/msp-portal/tenants/connect" { POST connect::connect_tenant: TenantsConnect }
    "/api/msp-portal/tenants/callback" {
        GET connect::return_from_microsoft: Open,
        POST connect::relay_callback: TenantsConnect,
    }
    "/api/msp-portal/tenants/events" { GET sync::watch_sync_statuses: TenantsRead }
    "/api/msp-portal/tenants/{tenantId}" {
        GET tenants::get_tenant: TenantsRead,
        PATCH tenants::update_tenant: TenantsWrite,
        DELETE tenants::revoke_tenant: TenantsRevoke,
    }
    "/api/msp-portal/audit-events" { GET audit::list_audit_events: AuditRead }
    "/api/msp-portal/tenants/{tenantId}/sync" { POST sync::create_sync_run: SyncStart }
    "/api/msp-portal/tenants/{tenantId}/sync-status" { GET sync::get_sync_status: TenantsRead }
    "/api/msp-portal/tenants/{tenantId}/sync-status/events" { GET sync::watch_sync_status: TenantsRead }
    "/api/msp-portal/tenants/{tenantId}/sync-runs" { GET sync::list_sync_runs: TenantsRead }
    "/api/msp-portal/tenants/{tenantId}/sync-runs/{syncRunId}" { GET sync::get_sync_run: TenantsRead }
    "/api/msp-portal/tenants/{tenantId}/sync-runs/{syncRunId}/cancel" { POST sync::cancel_sync_run: SyncCancel }
    "/api/msp-portal/tenants/{tenantId}/summary" { GET inventory::get_summary: InventoryRead }
    "/api/msp-portal/tenants/{tenantId}/organization" { GET inventory::get_organization: InventoryRead }
    "/api/msp-portal/tenants/{tenantId}/users" { GET inventory::list_users: InventoryRead }
    "/api/msp-portal/tenants/{tenantId}/groups" { GET inventory::list_groups: InventoryRead }
    "/api/msp-portal/tenants/{tenantId}/groups/{groupId}/members" { GET inventory::list_group_members: InventoryRead }
    "/api/msp-portal/tenants/{tenantId}/licenses" { GET inventory::list_licenses: InventoryRead }
    "/api/msp-portal/tenants/{tenantId}/secure-scores" { GET inventory::list_secure_scores: InventoryRead }
    "/api/msp-portal/tenants/{tenantId}/devices" { GET inventory::list_devices: InventoryRead }
    "/api/msp-portal/tenants/{tenantId}/mailboxes" { GET inventory::list_mailboxes: InventoryRead }
}

/// All routes of the product.
pub fn all() -> impl Iterator<Item = &'static Route> {
    PROCESS_ROUTES.iter().chain(API_ROUTES)
}

/// Whether everybody may make this call; `path` is the route's pattern.
pub fn is_open(method: &Method, path: &str) -> bool {
    let method = match method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    all().any(|route| route.access == Access::Open && route.path == path && route.method == method)
}

/// Whether a browser opens this address for a person: there an error may be a page. Everything else
/// answers programs.
pub fn is_page(method: &str, path: &str) -> bool {
    let is_callback = path == "/api/msp-portal/tenants/callback";
    path == "/docs"
        || path.starts_with("/connect/")
        || path.starts_with("/problems/")
        || (is_callback && matches!(method, "GET" | "HEAD"))
}

/// Which routes a process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of them.
    Api,
    /// Health and metrics: a process that only works.
    Worker,
}

/// Registers the routes of a process; everything else is a 404 problem.
pub fn register(config: &mut ServiceConfig, surface: Surface) {
    register_process_routes(config);
    match surface {
        Surface::Api => register_api_routes(config),
        Surface::Worker => {}
    }
    config.default_service(web::to(unknown_path));
}

/// The methods of a resource.
struct Allowed(&'static [Method]);

/// A route for one method. HEAD is GET without a body, which the HTTP library leaves out.
struct Answers(Method);

impl Guard for Answers {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        let method = &context.head().method;
        method == self.0 || (self.0 == Method::GET && guard::Head().check(context))
    }
}

/// OPTIONS, or a method that the resource does not have.
async fn other_method(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let methods = request
        .app_data::<Allowed>()
        .map_or(&[][..], |allowed| allowed.0);
    let mut names = vec!["OPTIONS"];
    if methods.contains(&Method::GET) {
        names.push("HEAD");
    }
    names.extend(methods.iter().map(Method::as_str));
    names.sort_unstable();
    let allow = HeaderValue::from_str(&names.join(", ")).map_err(Problem::internal)?;
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent()
            .insert_header((header::ALLOW, allow))
            .finish());
    }
    Err(Problem::new(&catalogue::METHOD_NOT_ALLOWED).header(header::ALLOW, allow))
}

async fn unknown_path() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}
