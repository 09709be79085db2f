//! What every answer has, and what every mistake gets.

use actix_web::{App, HttpResponse, middleware::from_fn};
use tenantry_core::ids::TenantId;
use uuid::Uuid;

use super::*;
use crate::{middleware::answer, routes};

fn text<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.header(name).unwrap_or_default()
}

#[actix_web::test]
async fn n15_every_answer_has_an_id_and_the_security_headers() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(AppState {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..world.state()
    })
    .await;
    let id = "0199a2b0-0000-7000-8000-000000000000";
    for route in routes::all() {
        let segments: Vec<String> = route
            .path
            .split('/')
            .map(|segment| {
                if segment.starts_with('{') {
                    id.to_owned()
                } else {
                    segment.to_owned()
                }
            })
            .collect();
        let path = segments.join("/");
        for method in [Method::GET, Method::PUT, Method::OPTIONS] {
            for key in [None, Some(org.key.as_str())] {
                let by_tls = request(method.clone(), &path, key)
                    .peer_addr("10.1.2.3:4711".parse().unwrap())
                    .insert_header(("x-forwarded-proto", "https"));
                let answer = call(&app, by_tls).await;
                let place = format!("{method} {path}");
                let request_id = text(&answer, "x-request-id");
                assert_eq!(
                    Uuid::try_parse(request_id).unwrap().get_version_num(),
                    7,
                    "{place}"
                );
                assert_eq!(
                    text(&answer, "x-content-type-options"),
                    "nosniff",
                    "{place}"
                );
                assert_eq!(text(&answer, "referrer-policy"), "no-referrer", "{place}");
                assert!(
                    text(&answer, "content-security-policy").contains("frame-ancestors 'none'"),
                    "{place}"
                );
                assert!(
                    text(&answer, "strict-transport-security").starts_with("max-age="),
                    "{place}"
                );
                assert!(
                    answer.header("access-control-allow-origin").is_none(),
                    "{place}"
                );
                if key.is_some() {
                    assert_eq!(text(&answer, "cache-control"), "no-store", "{place}");
                }
                if !answer.status.is_success()
                    && !text(&answer, "content-type").starts_with("text/html")
                {
                    let problem = answer.json();
                    assert_eq!(problem["requestId"], request_id, "{place}");
                    assert_eq!(problem["status"], answer.status.as_u16(), "{place}");
                    let kind = format!("https://tenantry.example/problems/{}", answer.code());
                    assert_eq!(problem["type"], kind, "{place}");
                    assert_eq!(
                        text(&answer, "content-type"),
                        "application/problem+json",
                        "{place}"
                    );
                }
            }
        }
    }
}

#[actix_web::test]
async fn n15_only_who_came_by_tls_is_told_to_stay_with_it() {
    let world = World::new().await;
    let app = application(AppState {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..world.state()
    })
    .await;
    for (peer, said, expected) in [
        ("10.1.2.3", "https", true),
        ("10.1.2.3", "http", false),
        ("203.0.113.9", "https", false),
    ] {
        let asked = request(Method::GET, "/healthz", None)
            .peer_addr(format!("{peer}:4711").parse().unwrap())
            .insert_header(("x-forwarded-proto", said));
        let answer = call(&app, asked).await;
        let told = answer.header("strict-transport-security").is_some();
        assert_eq!(told, expected, "{peer} {said}");
    }
}

#[actix_web::test]
async fn a_wrong_method_is_405_with_the_right_ones_and_options_names_them() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(world.state()).await;
    let path = "/api/msp-portal/customers";
    let wrong = call(&app, request(Method::DELETE, path, Some(&org.key))).await;
    assert_eq!(
        (wrong.status, wrong.code().as_str()),
        (StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed")
    );
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
    let options = call(&app, request(Method::OPTIONS, path, None)).await;
    assert_eq!(options.status, StatusCode::NO_CONTENT);
    assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
    let sync = format!("/api/msp-portal/tenants/{}/sync", Uuid::nil());
    let wrong = call(&app, request(Method::GET, &sync, Some(&org.key))).await;
    assert_eq!(wrong.header("allow"), Some("OPTIONS, POST"));
    assert_eq!(
        call(&app, request(Method::HEAD, path, Some(&org.key)))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        call(&app, request(Method::HEAD, "/healthz", None))
            .await
            .status,
        StatusCode::OK
    );
}

#[actix_web::test]
async fn unknown_paths_and_ids_that_are_none_get_the_same_404_as_missing_things() {
    let world = World::new().await;
    let org = world.org("Contoso MSP").await;
    let app = application(world.state()).await;
    let missing = TenantId::from_uuid(Uuid::now_v7());
    let paths = [
        format!("/api/msp-portal/tenants/{missing}/sync-status"),
        format!("/api/msp-portal/tenants/{missing}/users"),
        format!("/api/msp-portal/tenants/{missing}/sync-runs/{missing}"),
        format!(
            "/api/msp-portal/tenants/{}/users",
            missing.as_uuid().simple()
        ),
        "/api/msp-portal/tenants/contoso.com/users".to_owned(),
        "/api/msp-portal/tenants/%2e%2e/users".to_owned(),
        "/api/msp-portal/customers/x".to_owned(),
        "/api/msp-portal/customers/%00".to_owned(),
        "/api/msp-portal/nothing".to_owned(),
        "/nothing".to_owned(),
        "/".to_owned(),
        "/problems/nothing".to_owned(),
        "/docs/nothing.js".to_owned(),
    ];
    for path in paths {
        let mut problem = get(&app, &path, &org.key).await.json();
        problem["requestId"] = Value::Null;
        assert_eq!(problem["status"], 404, "{path}");
        assert_eq!(problem["code"], "notFound", "{path}");
        assert_eq!(problem.as_object().unwrap().len(), 7, "{path}: {problem}");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .starts_with("There is no such"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn a_browser_gets_a_problem_as_a_page_in_the_same_words() {
    let world = World::new().await;
    let app = application(world.state()).await;
    let browser = |path| {
        request(Method::GET, path, None)
            .insert_header(("accept", "text/html,application/xhtml+xml,*/*;q=0.8"))
    };
    let answer = call(&app, browser("/problems/nothing")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(text(&answer, "content-type"), "text/html; charset=utf-8");
    assert!(text(&answer, "content-security-policy").contains("style-src 'sha256-"));
    let page = String::from_utf8(answer.body.clone()).unwrap();
    assert!(page.contains(text(&answer, "x-request-id")), "{page}");
    assert!(
        page.contains("https://tenantry.example/problems/notFound"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
    let callback = call(&app, browser("/api/msp-portal/tenants/callback")).await;
    assert_eq!(text(&callback, "content-type"), "text/html; charset=utf-8");
    for path in [
        "/nothing",
        "/metrics",
        "/docs/nothing",
        "/api/msp-portal/customers",
        "/api/msp-portal/nothing",
    ] {
        let answer = call(&app, browser(path)).await;
        assert_eq!(
            text(&answer, "content-type"),
            "application/problem+json",
            "{path}"
        );
    }
    let relay = browser("/api/msp-portal/tenants/callback").method(Method::POST);
    let relay = call(&app, relay).await;
    assert_eq!(text(&relay, "content-type"), "application/problem+json");
}

#[actix_web::test]
async fn the_page_of_a_problem_type_and_the_documents_are_there() {
    let world = World::new().await;
    let app = application(world.state()).await;
    let page = call(
        &app,
        request(Method::GET, "/problems/tenantUnavailable", None),
    )
    .await;
    assert!(
        String::from_utf8(page.body)
            .unwrap()
            .contains("Tenant unavailable")
    );
    let document = call(&app, request(Method::GET, "/openapi.json", None)).await;
    assert_eq!(document.json()["openapi"], "3.1.0");
    let known = request(Method::GET, "/openapi.json", None)
        .insert_header(("if-none-match", document.header("etag").unwrap()));
    assert_eq!(call(&app, known).await.status, StatusCode::NOT_MODIFIED);
    let docs = call(&app, request(Method::GET, "/docs", None)).await;
    assert!(text(&docs, "content-security-policy").contains("script-src 'self'"));
    let script = "/docs/swagger-ui-bundle.js";
    let plain = call(&app, request(Method::GET, script, None)).await;
    let gzip = request(Method::GET, script, None).insert_header(("accept-encoding", "gzip, br"));
    let gzip = call(&app, gzip).await;
    assert_eq!(
        (
            plain.header("content-encoding"),
            gzip.header("content-encoding")
        ),
        (None, Some("gzip"))
    );
    assert!(plain.body.len() > 1_000_000 && gzip.body.len() < 500_000);
}

#[actix_web::test]
async fn only_large_answers_are_compressed_and_never_marked_as_identity() {
    let world = World::new().await;
    let app = application(world.state()).await;
    let coding = async |path: &str, accepted: &str| {
        let answer = call(
            &app,
            request(Method::GET, path, None).insert_header(("accept-encoding", accepted)),
        )
        .await;
        (
            answer.status.as_u16(),
            answer.header("content-encoding").map(str::to_owned),
        )
    };
    assert_eq!(
        coding("/openapi.json", "gzip").await,
        (200, Some("gzip".to_owned()))
    );
    assert_eq!(coding("/openapi.json", "br").await, (200, None));
    assert_eq!(coding("/healthz", "gzip").await, (200, None));
    assert_eq!(
        coding("/openapi.json", "identity;q=0, br").await,
        (406, None)
    );
}

#[actix_web::test]
async fn a_panic_is_a_500_problem_that_says_nothing_of_its_cause() {
    async fn panics() -> HttpResponse {
        panic!("canary-9d1f")
    }
    let world = World::new().await;
    let app = test_app!(
        App::new()
            .app_data(web::Data::new(world.state()))
            .route("/", web::get().to(panics))
            .wrap(from_fn(answer::complete))
    );
    let answer = call(&app, request(Method::GET, "/", None)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, "internalError")
    );
    assert_eq!(answer.json()["requestId"], text(&answer, "x-request-id"));
    assert_eq!(text(&answer, "x-content-type-options"), "nosniff");
    assert!(!String::from_utf8(answer.body).unwrap().contains("canary"));
}
