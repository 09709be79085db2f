//! Who may call what.

use tenantry_core::access::Permission;

use super::*;
use crate::routes::{self, Access, Route};

/// A path of a route whose ids name nothing.
fn path_of(route: &Route) -> String {
    let id = "0199a2b0-0000-7000-8000-000000000000";
    let names = [
        "{tenantId}",
        "{customerId}",
        "{syncRunId}",
        "{groupId}",
        "{connectionId}",
    ];
    let path = names
        .into_iter()
        .fold(route.path.to_owned(), |path, name| path.replace(name, id));
    path.replace("{file}", "init.js")
        .replace("{code}", "notFound")
        .replace("{token}", "none")
}

/// A call that goes as far as the handler: a body where one may be wanted.
fn call_of(route: &Route, key: Option<&str>) -> TestRequest {
    let method = Method::from_bytes(route.method.as_bytes()).unwrap();
    let request = request(method.clone(), &path_of(route), key);
    if method == Method::POST || method == Method::PATCH || method == Method::PUT {
        return request
            .insert_header(("content-type", "application/json"))
            .set_payload("{}");
    }
    request
}

#[actix_web::test]
async fn z5_each_role_may_call_exactly_what_the_list_of_routes_says() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(world.state()).await;
    for role in Role::ALL {
        let (_, key) = world.key(&org, role).await;
        for route in routes::all() {
            let status = call(&app, call_of(route, Some(&key))).await.status;
            let allowed = match route.access {
                Access::Open => true,
                Access::Metrics => role.allows(Permission::MetricsRead),
                Access::Needs(permission) => role.allows(permission),
            };
            let refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
            assert_eq!(
                !refused, allowed,
                "{role} {} {}: {status}",
                route.method, route.path
            );
        }
    }
}

#[actix_web::test]
async fn a15_only_the_open_routes_answer_without_a_valid_key() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let (id, revoked) = world.key(&org, Role::Owner).await;
    world.keys.revoke(id).await.unwrap();
    let app = application(world.state()).await;
    let changed = org.key.replace("tnty_api_0", "tnty_api_f");
    for key in [
        None,
        Some("nonsense"),
        Some(changed.as_str()),
        Some(revoked.as_str()),
    ] {
        for route in routes::all() {
            let answer = call(&app, call_of(route, key)).await;
            if route.access == Access::Open {
                // Without a flow the pages of one have nothing to show.
                let unauthorized = answer.status == StatusCode::UNAUTHORIZED;
                assert!(!unauthorized, "{} {}", route.method, route.path);
            } else {
                assert_eq!(
                    answer.status,
                    StatusCode::UNAUTHORIZED,
                    "{} {}",
                    route.method,
                    route.path
                );
                assert_eq!(answer.code(), "unauthorized");
                assert!(
                    answer
                        .header("www-authenticate")
                        .unwrap()
                        .starts_with("Bearer")
                );
            }
        }
    }
}

#[actix_web::test]
async fn a7_a_key_counts_only_in_the_authorization_header() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(world.state()).await;
    let path = "/api/msp-portal/customers";
    assert_eq!(get(&app, path, &org.key).await.status, StatusCode::OK);
    let elsewhere = [
        TestRequest::with_uri(&format!("{path}?access_token={}", org.key)),
        TestRequest::with_uri(path).insert_header(("cookie", format!("key={}", org.key))),
        TestRequest::with_uri(path).insert_header(("x-api-key", org.key.clone())),
        TestRequest::with_uri(path).insert_header(("authorization", format!("Basic {}", org.key))),
        TestRequest::with_uri(path).insert_header(("authorization", org.key.clone())),
    ];
    for request in elsewhere {
        assert_eq!(call(&app, request).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[actix_web::test]
async fn a_key_revoked_by_another_process_ends_although_it_was_recognised_before() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let (id, key) = world.key(&org, Role::Reader).await;
    let app = application(world.state()).await;
    let path = "/api/msp-portal/customers";
    assert_eq!(get(&app, path, &key).await.status, StatusCode::OK);
    world.keys.revoke(id).await.unwrap();
    let revoked = std::time::Instant::now();
    while get(&app, path, &key).await.status == StatusCode::OK {
        assert!(revoked.elapsed() < Duration::from_secs(1), "still accepted");
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&app, path, &org.key).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn n13_each_key_has_a_limit_of_its_own_and_learns_what_is_left() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let (_, other) = world.key(&org, Role::Owner).await;
    let app = application(AppState {
        rate_limiter: Arc::new(RateLimiter::per_minute(2)),
        ..world.state()
    })
    .await;
    let path = "/api/msp-portal/customers";
    let first = get(&app, path, &org.key).await;
    assert_eq!(
        first.header("ratelimit-policy"),
        Some("\"default\";q=2;w=60")
    );
    assert_eq!(first.header("ratelimit"), Some("\"default\";r=1;t=30"));
    assert_eq!(get(&app, path, &org.key).await.status, StatusCode::OK);
    let refused = get(&app, path, &org.key).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "rateLimited")
    );
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds));
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=60"));
    for open in ["/healthz", "/openapi.json", "/docs", "/problems/notFound"] {
        let answer = get(&app, open, &org.key).await;
        assert_eq!(answer.status, StatusCode::OK, "{open}");
        assert_eq!(answer.header("ratelimit"), None, "{open}");
    }
    let link = get(&app, "/connect/none", &org.key).await.status;
    assert_ne!(link, StatusCode::TOO_MANY_REQUESTS);
    let options = call(&app, request(Method::OPTIONS, path, Some(&org.key))).await;
    assert_eq!(options.status, StatusCode::NO_CONTENT);
    assert_eq!(get(&app, path, &other).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn metrics_want_the_token_or_the_only_organisations_owner() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let (_, technician) = world.key(&org, Role::Technician).await;
    let app = application(world.state()).await;
    let status = async |key: &str| get(&app, "/metrics", key).await.status;
    assert_eq!(status("metrics-token").await, StatusCode::OK);
    assert_eq!(status("metrics-tokem").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&technician).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&org.key).await, StatusCode::OK);
    world.org("Fabrikam MSP").await;
    let refused = get(&app, "/metrics", &org.key).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let action = refused.json()["action"].as_str().unwrap().to_owned();
    assert!(action.contains("TENANTRY_METRICS_TOKEN"), "{action}");
    let text = String::from_utf8(get(&app, "/metrics", "metrics-token").await.body).unwrap();
    for line in [
        "tenantry_build_info{commit=\"test\",version=\"0.0.0\"} 1",
        "tenantry_tenants{status=\"connected\"} 0",
        "tenantry_event_streams 0",
        "http_route=\"/metrics\"",
    ] {
        assert!(text.contains(line), "{line} not in {text}");
    }
    assert!(!text.contains(&org.id.to_string()));
}

#[actix_web::test]
async fn readiness_tells_details_to_an_owner_only_and_ends_with_the_drain() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let (_, reader) = world.key(&org, Role::Reader).await;
    let state = world.state();
    let drain = state.drain.clone();
    let app = application(state).await;
    let open = call(&app, request(Method::GET, "/readyz", None)).await;
    assert_eq!(
        (open.status, &open.json()["status"]),
        (StatusCode::OK, &Value::from("ready"))
    );
    assert!(
        open.json()["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["detail"].is_null())
    );
    assert_eq!(get(&app, "/readyz", &reader).await.body, open.body);
    let owner = get(&app, "/readyz", &org.key).await.json();
    let names: Vec<_> = owner["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].clone())
        .collect();
    assert_eq!(
        names,
        ["database", "migrations", "process", "microsoftCredential"]
    );
    assert_eq!(owner["checks"][0]["detail"], "sqlite");
    drain.begin();
    let ending = call(&app, request(Method::GET, "/readyz", None)).await;
    assert_eq!(
        (ending.status, &ending.json()["status"]),
        (StatusCode::SERVICE_UNAVAILABLE, &Value::from("notReady"))
    );
}
