//! The OpenAPI document: what utoipa gathers from the handlers, completed from the list of routes, so
//! that who may call and what every call can answer is said once and for all of them.

use utoipa::{
    OpenApi as _,
    openapi::{
        ContactBuilder, ContentBuilder, Info, InfoBuilder, LicenseBuilder, Object, OpenApi, Ref,
        RefOr, ResponseBuilder, Schema, Server,
        path::{Operation, Parameter, ParameterIn, PathItem},
        schema::{SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use crate::{
    problem::ProblemBody,
    routes::{
        self, Access, Route, audit, connect, customer_matches, customers, docs, health, inventory,
        links, metrics, openapi, organization, problems, sync, tenants,
    },
};

/// Name of the one security scheme.
const API_KEY: &str = "apiKey";
/// Name of the shared answer of every error.
const PROBLEM: &str = "Problem";
/// Name of the same where browsers come: a page for them.
const PROBLEM_PAGE: &str = "ProblemPage";

#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        health::get_health,
        health::get_readiness,
        metrics::get_metrics,
        openapi::get_openapi_document,
        docs::show_docs,
        docs::get_docs_file,
        problems::show_problem_type,
        customers::list_customers,
        customers::create_customer,
        customers::get_customer,
        customers::update_customer,
        customers::deactivate_customer,
        customer_matches::list_customer_matches,
        customer_matches::confirm_customer_matches,
        customer_matches::list_orphans,
        organization::get_organization_domains,
        organization::replace_organization_domains,
        links::open_link,
        links::begin_sign_in,
        links::show_result,
        connect::connect_tenant,
        connect::relay_callback,
        connect::return_from_microsoft,
        tenants::list_tenants,
        tenants::get_tenant,
        tenants::update_tenant,
        tenants::revoke_tenant,
        audit::list_audit_events,
        sync::create_sync_run,
        sync::get_sync_status,
        sync::watch_sync_status,
        sync::watch_sync_statuses,
        sync::list_sync_runs,
        sync::get_sync_run,
        sync::cancel_sync_run,
        inventory::get_summary,
        inventory::get_organization,
        inventory::list_users,
        inventory::list_groups,
        inventory::list_group_members,
        inventory::list_licenses,
        inventory::list_secure_scores,
        inventory::list_devices,
        inventory::list_mailboxes,
    ),
    components(schemas(ProblemBody))
)]
struct Gathered;

/// The document.
pub fn document() -> OpenApi {
    let mut document = Gathered::openapi();
    document.info = info();
    document.servers = Some(vec![Server::new("/")]);
    document.tags = Some(
        TAGS.iter()
            .map(|(name, description)| {
                TagBuilder::new()
                    .name(*name)
                    .description(Some(*description))
                    .build()
            })
            .collect(),
    );
    let components = document.components.get_or_insert_default();
    components
        .security_schemes
        .insert(API_KEY.to_owned(), RefOr::T(security_scheme()));
    let problem = || {
        let schema = Ref::from_schema_name(PROBLEM);
        let content = ContentBuilder::new().schema(Some(schema)).build();
        ResponseBuilder::new().content("application/problem+json", content)
    };
    let described = problem()
        .description("What went wrong, as RFC 9457 describes it")
        .build();
    components
        .responses
        .insert(PROBLEM.to_owned(), RefOr::T(described));
    let text = Object::with_type(Type::String);
    let page = problem()
        .description("What went wrong: a page for a browser, else as RFC 9457 describes it")
        .content(
            "text/html",
            ContentBuilder::new().schema(Some(text)).build(),
        )
        .build();
    components
        .responses
        .insert(PROBLEM_PAGE.to_owned(), RefOr::T(page));
    for route in routes::all() {
        let item = document.paths.paths.get_mut(route.path);
        if let Some(operation) = item.and_then(|item| operation_mut(item, route.method)) {
            complete(operation, route);
        }
    }
    document
}

/// The document as it is served and printed.
///
/// # Errors
/// When it cannot be written.
pub fn document_text() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&document())?;
    text.push('\n');
    Ok(text)
}

const TAGS: &[(&str, &str)] = &[
    (
        "customers",
        "The companies an MSP works for, which tenants are mapped to.",
    ),
    (
        "matches",
        "Which customers the tenants belong to: proposals with their evidence, for a person to confirm.",
    ),
    (
        "tenants",
        "The customers' Microsoft 365 tenants: connecting, changing and revoking them.",
    ),
    (
        "connect",
        "Where an administrator's browser comes: the link and its result, as pages.",
    ),
    (
        "sync",
        "Reading a tenant: runs, their progress, and the status to watch.",
    ),
    (
        "inventory",
        "What the last sync found, under Microsoft Graph's own names.",
    ),
    (
        "audit",
        "What happened, chained by hash so that nothing can be changed unseen.",
    ),
    ("process", "Health and metrics of a process."),
    (
        "documentation",
        "What this API is and what its problems mean.",
    ),
];

fn info() -> Info {
    InfoBuilder::new()
        .title("Tenantry")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Connects the Microsoft 365 tenants of a Managed Service Provider's customers and syncs \
             them. Times are RFC 3339 in UTC. Errors are RFC 9457 problems: decide by `code`. Lists take `limit` and \
             `cursor`. Answers may gain fields, and words of lists may gain values.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .contact(Some(ContactBuilder::new().name(Some("The operator of this installation")).build()))
        .build()
}

fn security_scheme() -> SecurityScheme {
    SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An API key, made with `tenantry admin create-api-key`.",
            ))
            .build(),
    )
}

fn operation_mut<'i>(item: &'i mut PathItem, method: &str) -> Option<&'i mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        "PUT" => item.put.as_mut(),
        "PATCH" => item.patch.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

/// Adds to an operation what follows from its route.
fn complete(operation: &mut Operation, route: &Route) {
    operation.security = Some(match route.access {
        Access::Open => Vec::new(),
        Access::Metrics => vec![SecurityRequirement::new::<_, [&str; 0], &str>(API_KEY, [])],
        Access::Needs(permission) => vec![SecurityRequirement::new(API_KEY, [permission.as_str()])],
    });
    let summary = operation.summary.clone().unwrap_or_default();
    let mut description = operation
        .description
        .take()
        .unwrap_or_else(|| format!("{summary}."));
    if let Access::Needs(permission) = route.access {
        description.push_str(&format!(
            "\n\nNeeds the permission `{}`.",
            permission.as_str()
        ));
    }
    operation.description = Some(description);
    own_parameters_mut(operation).for_each(drop_null);
    let problem = if routes::is_page(route.method, route.path) {
        PROBLEM_PAGE
    } else {
        PROBLEM
    };
    for status in problem_statuses(operation, route) {
        operation
            .responses
            .responses
            .entry(status.to_string())
            .or_insert_with(|| RefOr::Ref(Ref::from_response_name(problem)));
    }
}

/// The parameters that stand in the operation itself: all of ours do.
fn own_parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
}

fn own_parameters_mut(operation: &mut Operation) -> impl Iterator<Item = &mut Parameter> {
    operation
        .parameters
        .iter_mut()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
}

/// A parameter is there or not; it is never null.
fn drop_null(parameter: &mut Parameter) {
    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        && let SchemaType::Array(types) = &object.schema_type
        && let [kind, Type::Null] | [Type::Null, kind] = types.as_slice()
    {
        object.schema_type = SchemaType::Type(kind.clone());
    }
}

/// The errors that a call can answer besides those it documents itself.
fn problem_statuses(operation: &Operation, route: &Route) -> Vec<u16> {
    let has = |place: ParameterIn| {
        own_parameters(operation).any(|parameter| parameter.parameter_in == place)
    };
    let has_body = operation.request_body.is_some();
    let creates = own_parameters(operation).any(|parameter| parameter.name == "Idempotency-Key");
    let is_open = route.access == Access::Open;
    let mut statuses = vec![405, 406, 413, 414, 431, 500];
    if !is_open {
        statuses.extend([400, 401, 403, 429, 503]);
    }
    if has(ParameterIn::Path) {
        statuses.push(404);
    }
    if has_body {
        statuses.extend([415, 422]);
    }
    if creates {
        statuses.push(409);
    }
    let asks_microsoft = ["/connect", "/callback"];
    if asks_microsoft.iter().any(|part| route.path.contains(part)) {
        statuses.extend([502, 503, 504]);
    }
    statuses
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_committed_document_is_that_of_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/tenantry.json");
        let expected = document_text().unwrap();
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &expected).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == expected,
            "openapi/tenantry.json differs: run with UPDATE_OPENAPI=1"
        );
    }

    #[test]
    fn the_handlers_document_exactly_the_routes_of_the_list() {
        // Before it is completed from the list, so that nothing agrees only because of that.
        let document = serde_json::to_value(Gathered::openapi()).unwrap();
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                documented.insert(format!("{} {path} {id}", method.to_uppercase()));
            }
        }
        let listed: BTreeSet<String> = routes::all()
            .map(|route| format!("{} {} {}", route.method, route.path, route.operation))
            .collect();
        assert_eq!(documented, listed);
    }

    #[test]
    fn every_operation_says_what_generators_and_people_need() {
        let document: Value = serde_json::from_str(&document_text().unwrap()).unwrap();
        let tags: BTreeSet<&str> = TAGS.iter().map(|(name, _)| *name).collect();
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let text = |name: &str| operation[name].as_str().unwrap_or_default();
                assert!(
                    !text("summary").is_empty() && !text("summary").ends_with('.'),
                    "{path}"
                );
                assert!(!text("description").is_empty(), "{path}");
                assert!(operation["security"].is_array(), "{path}");
                assert!(
                    tags.contains(operation["tags"][0].as_str().unwrap()),
                    "{path}"
                );
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    assert!(
                        !parameter["description"]
                            .as_str()
                            .unwrap_or_default()
                            .is_empty(),
                        "{path}"
                    );
                    assert!(
                        parameter["schema"]["type"].is_string(),
                        "{path} {parameter}"
                    );
                }
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let is_shared = response["$ref"].is_string();
                    let described = response["description"]
                        .as_str()
                        .is_some_and(|text| !text.is_empty());
                    assert!(is_shared || described, "{path} {status}");
                }
                for status in ["405", "500"] {
                    assert!(operation["responses"][status].is_object(), "{path}");
                }
            }
        }
    }

    /// Parts of names that only a secret has. A `…Url` may lead somewhere by a secret of its own;
    /// that is what it is for.
    const SECRETS: [&str; 10] = [
        "secret",
        "password",
        "token",
        "credential",
        "certificate",
        "privatekey",
        "apikey",
        "verifier",
        "nonce",
        "hashkey",
    ];

    /// The names of all properties below a schema.
    fn properties(document: &Value, schema: &Value, seen: &mut BTreeSet<String>) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.trim_start_matches('#');
            if seen.insert(pointer.to_owned()) {
                let target = document.pointer(pointer).unwrap();
                found.extend(properties(document, target, seen));
            }
        }
        match schema {
            Value::Object(members) => {
                for (name, member) in members {
                    if name == "properties" {
                        found.extend(member.as_object().unwrap().keys().cloned());
                    }
                    // An example is data, not schema.
                    if name != "example" && name != "examples" {
                        found.extend(properties(document, member, seen));
                    }
                }
            }
            Value::Array(members) => {
                for member in members {
                    found.extend(properties(document, member, seen));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        found
    }

    fn looks_secret(name: &str) -> bool {
        let name = name.to_lowercase();
        SECRETS.iter().any(|secret| name.contains(secret))
    }

    #[test]
    fn v13_no_answer_has_a_field_for_a_secret() {
        let document: Value = serde_json::from_str(&document_text().unwrap()).unwrap();
        let mut walked = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let names = properties(&document, &operation["responses"], &mut BTreeSet::new());
                walked += names.len();
                let secret: Vec<&String> = names.iter().filter(|name| looks_secret(name)).collect();
                assert!(secret.is_empty(), "{path}: {secret:?}");
            }
        }
        assert!(walked > 300, "only {walked} properties were found");
        assert!(looks_secret("clientSecret") && looks_secret("apiKey"));
        assert!(!looks_secret("authorizationUrl") && !looks_secret("nextCursor"));
    }
}
