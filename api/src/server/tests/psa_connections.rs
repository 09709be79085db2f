//! Connections to PSAs over HTTP.

use serde_json::json;
use tenantry_core::psa::PsaError;

use super::*;

const PATH: &str = "/api/msp-portal/psa-connections";

fn with_body(method: Method, path: &str, key: &str, body: &Value) -> TestRequest {
    request(method, path, Some(key)).set_json(body)
}

fn new() -> Value {
    json!({
        "kind": "connectwise", "name": "Our PSA", "baseUrl": "https://na.myconnectwise.net",
        "credentials": {"companyId": "northgate", "publicKey": "p", "privateKey": "canary-key", "clientId": "c"},
    })
}

async fn created(app: &TestApp, key: &str) -> String {
    let answer = call(app, with_body(Method::POST, PATH, key, &new())).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    answer.header("location").unwrap().to_owned()
}

#[actix_web::test]
async fn a_connection_is_created_shown_changed_tried_and_deleted() {
    let world = World::new().await;
    let org = world.org("Northgate MSP").await;
    let app = application(world.state()).await;
    let first =
        with_body(Method::POST, PATH, &org.key, &new()).insert_header(("idempotency-key", "k1"));
    let first = call(&app, first).await;
    assert_eq!(
        (first.status, first.header("etag")),
        (StatusCode::CREATED, Some("\"1\""))
    );
    let again =
        with_body(Method::POST, PATH, &org.key, &new()).insert_header(("idempotency-key", "k1"));
    let again = call(&app, again).await;
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::CREATED, first.json())
    );
    let place = first.header("location").unwrap().to_owned();
    let shown = get(&app, &place, &org.key).await;
    assert_eq!(shown.json(), first.json());
    assert_eq!(
        shown.json()["settings"],
        json!({
            "incrementalMinutes": 15, "fullHours": 24, "customerTypes": [], "callbacks": false,
            "tickets": {"enabled": false, "options": {}},
        })
    );
    assert_eq!(
        (&shown.json()["trouble"], &shown.json()["lastSync"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        !String::from_utf8(shown.body.clone())
            .unwrap()
            .contains("canary")
    );
    let list = get(&app, PATH, &org.key).await.json();
    assert_eq!(
        (&list["total"], &list["items"][0]),
        (&json!(1), &first.json())
    );

    let tag = shown.header("etag").unwrap().to_owned();
    let change = json!({"name": "PSA", "settings": {"fullHours": 48}});
    let changed = with_body(Method::PATCH, &place, &org.key, &change)
        .insert_header(("if-match", tag.clone()));
    let changed = call(&app, changed).await;
    assert_eq!(changed.json()["settings"]["fullHours"], 48);
    let late = with_body(Method::PATCH, &place, &org.key, &change).insert_header(("if-match", tag));
    assert_eq!(call(&app, late).await.code(), "preconditionFailed");

    world.psa.refuse(Some(PsaError::Permission {
        what: "Companies: Inquire".to_owned(),
    }));
    let tried = call(
        &app,
        request(Method::POST, &format!("{place}/test"), Some(&org.key)),
    )
    .await;
    assert_eq!(
        (tried.status, &tried.json()["ok"]),
        (StatusCode::OK, &json!(false))
    );
    assert!(tried.json()["checks"][0]["action"].is_string());
    assert_eq!(
        get(&app, &place, &org.key).await.json()["trouble"]["code"],
        "psaPermissionMissing"
    );
    world.psa.refuse(None);
    let tried = call(
        &app,
        request(Method::POST, &format!("{place}/test"), Some(&org.key)),
    )
    .await;
    assert_eq!(tried.json()["ok"], true);
    assert_eq!(
        get(&app, &format!("{place}/customer-types"), &org.key)
            .await
            .json(),
        json!({"items": [{"id": "1", "name": "Client"}]})
    );
    assert_eq!(
        get(&app, &format!("{place}/ticket-options"), &org.key)
            .await
            .json()["items"][0]["name"],
        "boardId"
    );

    let gone = call(&app, request(Method::DELETE, &place, Some(&org.key))).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let missing = get(&app, &place, &org.key).await;
    assert_eq!(
        (missing.status, missing.code().as_str()),
        (StatusCode::NOT_FOUND, "notFound")
    );
}

#[actix_web::test]
async fn what_cannot_be_taken_is_refused_by_its_code() {
    let world = World::new().await;
    let org = world.org("Northgate MSP").await;
    let app = application(world.state()).await;
    let with = |field: &str, value: Value| {
        let mut body = new();
        body[field] = value;
        body
    };
    for (body, code, pointer) in [
        (with("kind", json!("syncro")), "validationFailed", "/kind"),
        (with("name", json!("")), "validationFailed", "/name"),
        (
            with("settings", json!({"fullHours": 0})),
            "validationFailed",
            "/settings/fullHours",
        ),
        (
            with(
                "credentials",
                json!({"companyId": "x", "publicKey": "p", "privateKey": "canary"}),
            ),
            "invalidPsaCredentials",
            "/credentials/clientId",
        ),
        (
            with("credentials", json!("canary")),
            "invalidPsaCredentials",
            "/credentials",
        ),
        (
            with("baseUrl", json!("http://na.myconnectwise.net")),
            "upstreamAddressRefused",
            "/baseUrl",
        ),
        (
            with("baseUrl", json!("https://127.0.0.1:1")),
            "upstreamAddressRefused",
            "/baseUrl",
        ),
        (
            with("baseUrl", json!("https://169.254.169.254")),
            "upstreamAddressRefused",
            "/baseUrl",
        ),
        (
            with("private_upstreams", json!(["10.0.0.0/8"])),
            "validationFailed",
            "/private_upstreams",
        ),
    ] {
        let refused = call(&app, with_body(Method::POST, PATH, &org.key, &body)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(refused.code(), code, "{body}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}");
        assert!(!String::from_utf8(refused.body).unwrap().contains("canary"));
    }
    assert_eq!(get(&app, PATH, &org.key).await.json()["total"], 0);
}

#[actix_web::test]
async fn a_psa_that_refuses_a_person_is_told_with_who_acts() {
    let world = World::new().await;
    let org = world.org("Northgate MSP").await;
    let app = application(world.state()).await;
    let place = created(&app, &org.key).await;
    let what = || "x".to_owned();
    for (error, status, code) in [
        (
            PsaError::Auth { what: what() },
            502,
            "psaCredentialsRejected",
        ),
        (
            PsaError::Permission { what: what() },
            502,
            "psaPermissionMissing",
        ),
        (
            PsaError::Config { what: what() },
            422,
            "psaConfigurationInvalid",
        ),
        (PsaError::AddressRefused, 422, "upstreamAddressRefused"),
        (PsaError::Transient { what: what() }, 502, "psaUnreachable"),
        (
            PsaError::RateLimited {
                retry_after: Some(7),
            },
            429,
            "psaRateLimited",
        ),
        (
            PsaError::Protocol {
                status: 200,
                what: what(),
            },
            502,
            "psaUnexpectedAnswer",
        ),
        (PsaError::Conflict, 502, "psaRequestRefused"),
    ] {
        world.psa.refuse(Some(error));
        let answer = get(&app, &format!("{place}/customer-types"), &org.key).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code)
        );
        assert_eq!(answer.header("retry-after"), (status == 429).then_some("7"));
    }
}

#[actix_web::test]
async fn z4_a_connection_of_another_organisation_is_as_missing_as_none() {
    let world = World::new().await;
    let (one, other) = (world.org("One").await, world.org("Other").await);
    let app = application(world.state()).await;
    let foreign = created(&app, &one.key).await;
    let missing = format!("{PATH}/{}", uuid::Uuid::now_v7());
    for (method, below) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::DELETE, ""),
        (Method::POST, "/test"),
        (Method::GET, "/ticket-options"),
        (Method::GET, "/customer-types"),
        (Method::POST, "/callback"),
        (Method::DELETE, "/callback"),
    ] {
        let answer = async |place: &str| {
            let path = format!("{place}{below}");
            let call_of = with_body(method.clone(), &path, &other.key, &json!({"name": "Mine"}));
            let mut problem = call(&app, call_of).await.json();
            problem["requestId"] = Value::Null;
            problem
        };
        let problem = answer(&foreign).await;
        assert_eq!(problem["status"], 404, "{method} {below}");
        assert_eq!(problem, answer(&missing).await, "{method} {below}");
    }
}

#[actix_web::test]
async fn n10_a_webhook_is_taken_from_its_psa_alone_and_unknown_ones_look_alike() {
    let world = World::new().await;
    let org = world.org("Northgate MSP").await;
    let app = application(world.state()).await;
    let place = created(&app, &org.key).await;
    let registered = call(
        &app,
        request(Method::POST, &format!("{place}/callback"), Some(&org.key)),
    )
    .await;
    assert_eq!(
        (registered.status, registered.json()),
        (StatusCode::OK, json!({"externalId": "1"}))
    );
    let (url, secret) = world.psa.callbacks.lock().unwrap()[0].clone();
    let path = url
        .strip_prefix("https://tenantry.example")
        .unwrap()
        .to_owned();
    assert!(path.starts_with(&format!("{place}/events/")));
    let send = async |path: &str, signature: &str, body: &'static str| {
        let sent = request(Method::POST, path, None)
            .insert_header(("x-signature", signature.to_owned()))
            .set_payload(body);
        call(&app, sent).await
    };
    for _ in 0..2 {
        assert_eq!(
            send(&path, &secret, "e1 7").await.status,
            StatusCode::NO_CONTENT
        );
    }
    let forged = send(&path, "x", "e2 7").await;
    assert_eq!(
        (forged.status, forged.code().as_str()),
        (StatusCode::UNAUTHORIZED, "psaEventNotAuthentic")
    );
    let later = send(&format!("{path}?key=away"), &secret, "e2 7").await;
    assert_eq!(
        (later.status, later.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "psaEventNotNow")
    );
    assert!(later.header("retry-after").is_some());
    let other = path.replace(
        place.rsplit('/').next().unwrap(),
        &uuid::Uuid::now_v7().to_string(),
    );
    for unknown in [
        format!("{path}x"),
        format!("{place}/events/x"),
        other,
        format!("{PATH}/nonsense/events/x"),
    ] {
        let mut problem = send(&unknown, &secret, "e3 7").await.json();
        problem["requestId"] = Value::Null;
        let mut nothing = call(&app, request(Method::POST, "/nothing", None))
            .await
            .json();
        nothing["requestId"] = Value::Null;
        assert_eq!(problem, nothing, "{unknown}");
    }
    let big = request(Method::POST, &path, None)
        .insert_header(("x-signature", secret.clone()))
        .set_payload(vec![b' '; (1 << 20) + 1]);
    assert_eq!(call(&app, big).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let text = String::from_utf8(get(&app, "/metrics", "metrics-token").await.body).unwrap();
    let shown = path.rsplit('/').next().unwrap();
    assert!(text.contains("/events/{secret}") && !text.contains(shown));
    let removed = call(
        &app,
        request(Method::DELETE, &format!("{place}/callback"), Some(&org.key)),
    )
    .await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(
        send(&path, &secret, "e4 7").await.status,
        StatusCode::NOT_FOUND
    );
}
