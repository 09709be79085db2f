//! Shapes, conditions and refusals of the HTTP API as its contract has them.

use serde_json::{Value, json};
use tenantry_tests::{app::TestApp, database::Backend, on_both_databases};
use uuid::Uuid;

use crate::{
    event_reader::EventReader,
    flow::{relay_to_the_end, seed, start, text},
};

/// Fails unless every one of these members is there, whatever its value.
#[track_caller]
fn has(value: &Value, names: &[&str]) {
    for name in names {
        assert!(value.get(name).is_some(), "no {name} in {value:#}");
    }
}

const TENANT: &[&str] = &[
    "tenantId",
    "displayName",
    "defaultDomain",
    "customerId",
    "connectionType",
    "status",
    "grantedPermissions",
    "missingPermissions",
    "degradedFeatures",
    "consentedBy",
    "connectedAt",
    "tags",
    "lastCompletedAt",
    "stale",
];
const STATUS: &[&str] = &[
    "tenantId",
    "status",
    "missingPermissions",
    "degradedFeatures",
    "connectionError",
    "run",
    "lastCompletedAt",
    "stale",
    "nextRunAt",
    "nextPollAfterMs",
];
const RUN: &[&str] = &[
    "id",
    "kind",
    "state",
    "progress",
    "startedAt",
    "finishedAt",
    "datasets",
];
const DATA_SET: &[&str] = &[
    "name",
    "state",
    "processed",
    "expected",
    "requests",
    "retries",
    "throttledMs",
    "warning",
];
const DATA_SETS: [&str; 7] = [
    "organization",
    "users",
    "groups",
    "licenses",
    "secureScores",
    "devices",
    "mailboxes",
];
const LISTS: [&str; 6] = [
    "users",
    "groups",
    "licenses",
    "secure-scores",
    "devices",
    "mailboxes",
];

on_both_databases! {
    async fn the_address_is_told_at_any_log_level_and_no_empty_database_is_left(backend: Backend) {
        // Starting waits for the line `listening`.
        let app = TestApp::start_with(backend, &[("TENANTRY_LOG", "off")]).await;
        let absent = app.database.folder().join("absent.db");
        let refused = app
            .command(&["serve", "--no-migrate"])
            .env("TENANTRY_DATABASE_URL", format!("sqlite://{}", absent.display()))
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.contains("tenantry migrate") && !absent.exists(), "{told}");
        let unnamed = app.run(&["admin", "create-organization", "--name", "", "--json"]);
        assert_eq!(unnamed.status.code(), Some(2), "{unnamed:?}");
    }

    async fn every_answer_has_the_members_of_the_contract(backend: Backend) {
        let app = TestApp::start(backend).await;
        let owner = &app.owner;
        let tenant = app.microsoft.add_tenant(seed("Shaped").users(30));
        let created = owner.post("/customers", &json!({"name": "Shaped", "domains": ["Shaped.example"]})).await.expect(201);
        assert!(created.header("location").ends_with(text(&created.json(), "id")));
        let customer = created.json();
        has(&customer, &["id", "name", "domains", "source", "externalId", "active", "tenantIds"]);
        assert_eq!((&customer["domains"], &customer["source"]), (&json!(["shaped.example"]), &json!("manual")));
        let started = owner.connect(text(&customer, "id"), "shaped.example").await;
        has(&started, &["tenantId", "connectionId", "status", "authorizationUrl", "microsoftUrl", "expiresAt"]);
        let permissions = started["requestedPermissions"].as_array().unwrap();
        assert_eq!(permissions.len(), 8);
        for permission in permissions {
            assert!(permission["reason"].is_string() && text(permission, "name").contains(".Read"), "{permission}");
            assert_eq!(permission["type"], "application");
        }

        let path = format!("/tenants/{}", tenant.id);
        has(&owner.status(tenant.id).await, STATUS);
        for list in LISTS {
            let empty = owner.get(&format!("{path}/{list}")).await.expect(200).json();
            assert_eq!(empty, json!({"items": [], "nextCursor": null, "total": 0, "asOf": null}), "{list}");
        }
        let answer = relay_to_the_end(owner, &started).await.expect(200).json();
        has(&answer, &["tenantId", "status", "grantedPermissions", "missingPermissions", "nextUrl", "syncRunId"]);
        let status = owner.wait_for_run(tenant.id).await;
        has(&status, STATUS);
        has(&status["run"], RUN);
        let names: Vec<&str> = status["run"]["datasets"].as_array().unwrap().iter().map(|set| text(set, "name")).collect();
        assert_eq!(names, DATA_SETS);
        for set in status["run"]["datasets"].as_array().unwrap() {
            has(set, DATA_SET);
            assert_eq!(set["processed"], set["expected"], "{set}");
        }

        let shown = owner.get(&path).await.expect(200).json();
        has(&shown, TENANT);
        let listed = owner.get("/tenants?status=connected&search=shaped").await.expect(200).json();
        assert_eq!((&listed["items"][0], &listed["total"]), (&shown, &json!(1)));
        let changed = owner.patch(&path, &json!({"tags": ["gold"], "displayName": "Ours"})).await.expect(200).json();
        assert_eq!((&changed["tags"], &changed["displayName"]), (&json!(["gold"]), &json!("Ours")));
        let runs = owner.get(&format!("{path}/sync-runs")).await.expect(200).json();
        has(&runs, &["items", "nextCursor", "total"]);
        let run = owner.get(&format!("{path}/sync-runs/{}", text(&runs["items"][0], "id"))).await.expect(200).json();
        assert_eq!(run, runs["items"][0]);
        owner.send(owner.request("POST", &format!("{path}/sync-runs/{}/cancel", text(&run, "id")))).await.expect_problem(409, "syncRunEnded");

        let ask = owner.request("POST", &format!("{path}/sync")).header("idempotency-key", "again").json(&json!({"kind": "full"}));
        let asked = owner.send(ask.try_clone().unwrap()).await.expect(202);
        let again = owner.send(ask).await.expect(202);
        assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", asked.json()));
        for name in ["location", "retry-after"] {
            assert!(!asked.header(name).is_empty() && asked.header(name) == again.header(name), "{name}");
        }
        owner.wait_for_run(tenant.id).await;

        let summary = owner.get(&format!("{path}/summary")).await.expect(200).json();
        has(&summary, &["tenantId", "counts", "secureScore", "warnings"]);
        for list in LISTS {
            let page = owner.get(&format!("{path}/{list}?limit=1")).await.expect(200).json();
            has(&page, &["items", "nextCursor", "total"]);
            assert!(page["asOf"].is_string(), "{list}: {page}");
            let key = if list == "mailboxes" { "userPrincipalName" } else { "id" };
            assert!(page["items"][0][key].is_string(), "{list}: {page}");
            if let Some(count) = summary["counts"].get(list) {
                assert_eq!(count, &page["total"], "{list}");
            }
        }
        has(&summary["secureScore"], &["current", "max"]);
        let organization = owner.get(&format!("{path}/organization")).await.expect(200).json();
        assert_eq!((&organization["id"], organization.get("items")), (&json!(tenant.id), None));
        let audit = owner.get("/audit-events?limit=2").await.expect(200).json();
        has(&audit, &["items", "nextCursor"]);
        assert_eq!(audit["total"], Value::Null);
        has(&audit["items"][0], &["id", "at", "actor", "action", "tenantId", "details", "hash"]);
        has(&audit["items"][0]["actor"], &["type", "id"]);
        let busy = format!("/customers/{}", text(&customer, "id"));
        owner.delete(&busy).await.expect_problem(409, "customerHasTenants");
        let idle = owner.create_customer("Idle").await;
        for _ in 0..2 {
            owner.delete(&format!("/customers/{idle}")).await.expect(204);
        }
        assert_eq!(owner.get(&format!("/customers/{idle}")).await.expect(200).json()["active"], false);
    }

    async fn bodies_that_are_not_what_a_call_reads_are_refused_with_a_pointer(backend: Backend) {
        let app = TestApp::start(backend).await;
        let send = |body: &str, kind: &str| {
            let request = app.owner.request("POST", "/customers").header("content-type", kind).body(body.to_owned());
            app.owner.send(request)
        };
        let json_kind = "application/json";
        for bad in ["", "{", "{\"name\":\"a\",\"name\":\"b\"}", "{\"name\":\"a\"} x", "\u{0}", "{\"name\":\"\\ud800\"}"] {
            send(bad, json_kind).await.expect_problem(400, "invalidJson");
        }
        for (body, pointer) in [
            (r#"{"name":"a","colour":"red"}"#, "/colour"), (r#"{"name":7}"#, "/name"), (r#"{"name":null}"#, "/name"),
            (r#"{"name":"a","domains":"a.example"}"#, "/domains"), (r#"{"name":"a","domains":["a.example",5]}"#, "/domains/1"),
            (r#"{"name":"a","domains":["no domain"]}"#, "/domains/0"), (r#"{"name":" "}"#, "/name"),
        ] {
            let problem = send(body, json_kind).await.expect_problem(422, "validationFailed");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
        for body in ["[]", "7", "{}"] {
            send(body, json_kind).await.expect_problem(422, "validationFailed");
        }
        send(r#"{"name":"a"}"#, "text/plain").await.expect_problem(415, "unsupportedMediaType");
        let huge = format!("{{\"name\":\"{}\"}}", "a".repeat(1024 * 1024));
        send(&huge, json_kind).await.expect_problem(413, "payloadTooLarge");
        for key in ["", "two words", &"k".repeat(256)] {
            let request = app.owner.request("POST", "/customers").header("idempotency-key", key).json(&json!({"name": "a"}));
            app.owner.send(request).await.expect_problem(400, "invalidIdempotencyKey");
        }
        assert_eq!(app.owner.list("/customers").await, Vec::<Value>::new());
        let tenant = app.microsoft.add_tenant(seed("Bodies"));
        start(&app.owner, &tenant).await;
        let path = format!("/tenants/{}/sync", tenant.id);
        for body in [json!({"kind": "initial"}), json!({}), json!({"kind": "delta", "datasets": ["nothing"]}), json!({"kind": "full", "datasets": []})] {
            app.owner.post(&path, &body).await.expect_problem(422, "validationFailed");
        }
        app.owner.post(&path, &json!({"kind": "delta"})).await.expect_problem(409, "tenantNotConnected");
    }

    async fn addresses_that_lead_nowhere_are_problems(backend: Backend) {
        let app = TestApp::start(backend).await;
        let owner = &app.owner;
        for path in ["/nothing", "/tenants/", "//nothing", "//api/msp-portal", "/tenants/not-an-id", "/customers/7", "//problems/nothing"] {
            let answer = owner.get(path).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.text);
        }
        owner.get(&format!("/tenants/{}", Uuid::now_v7())).await.expect_problem(404, "notFound");
        for (method, path, allow) in [
            ("PUT", "/customers", "GET, HEAD, OPTIONS, POST"), ("DELETE", "/tenants", "GET, HEAD, OPTIONS"),
            ("GET", "/tenants/connect", "OPTIONS, POST"), ("POST", "//healthz", "GET, HEAD, OPTIONS"),
        ] {
            let answer = owner.send(owner.request(method, path)).await;
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
            answer.expect_problem(405, "methodNotAllowed");
        }
        owner.get(&format!("/customers?search={}", "a".repeat(9_000))).await.expect_problem(414, "uriTooLong");
        for (query, code) in [
            ("limit=0", "invalidParameter"), ("limit=1001", "invalidParameter"), ("limit=x", "invalidParameter"),
            ("limit=1&limit=2", "invalidParameter"), ("cursor=AAAA", "invalidCursor"), ("cursor=", "invalidCursor"),
            ("colour=red", "unknownParameter"), ("active=perhaps", "invalidParameter"),
        ] {
            let problem = owner.get(&format!("/customers?{query}")).await.expect_problem(400, code);
            has(&problem, &["type", "title", "status", "detail", "code", "requestId", "retryable"]);
            assert_eq!(problem["type"], app.url(&format!("/problems/{code}")));
        }
        for query in ["status=broken", "customerId=7"] {
            owner.get(&format!("/tenants?{query}")).await.expect_problem(400, "invalidParameter");
        }
        owner.get("/audit-events?since=yesterday").await.expect_problem(400, "invalidParameter");
        owner.get("/customers?limit=1000").await.expect(200);
    }

    async fn pages_follow_each_other_and_miss_nothing(backend: Backend) {
        let app = TestApp::start(backend).await;
        for number in 0..5 {
            app.owner.create_customer(&format!("Customer {number}")).await;
        }
        let (mut names, mut path) = (Vec::new(), "/customers?limit=2&search=customer".to_owned());
        loop {
            let page = app.owner.get(&path).await.expect(200);
            let body = page.json();
            assert_eq!(body["total"], 5);
            names.extend(body["items"].as_array().unwrap().iter().map(|item| text(item, "name").to_owned()));
            let Some(cursor) = body["nextCursor"].as_str() else { break };
            assert!(page.header("link").contains("rel=\"next\""));
            path = format!("/customers?limit=2&search=customer&cursor={cursor}");
        }
        let expected: Vec<String> = (0..5).map(|number| format!("Customer {number}")).collect();
        assert_eq!(names, expected);
    }

    async fn conditions_are_honoured(backend: Backend) {
        let app = TestApp::start(backend).await;
        let owner = &app.owner;
        let tenant = app.microsoft.add_tenant(seed("Tagged"));
        start(owner, &tenant).await;
        let path = format!("/tenants/{}/sync-status", tenant.id);
        let first = owner.get(&path).await.expect(200);
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"'), "{tag}");
        let same = owner.send(owner.request("GET", &path).header("if-none-match", &tag)).await.expect(304);
        assert_eq!((same.text.as_str(), same.header("etag")), ("", tag.as_str()));
        let head = owner.send(owner.request("HEAD", &path)).await.expect(200);
        assert_eq!((head.text.as_str(), head.header("etag")), ("", tag.as_str()));
        owner.delete(&format!("/tenants/{}", tenant.id)).await.expect(204);
        let changed = owner.send(owner.request("GET", &path).header("if-none-match", &tag)).await.expect(200);
        assert_ne!(changed.header("etag"), tag);

        let id = owner.create_customer("Versioned").await;
        let customer = format!("/customers/{id}");
        let shown = || async { owner.get(&customer).await.expect(200) };
        let unmapped = shown().await;
        let tenant = format!("/tenants/{}", tenant.id);
        owner.patch(&tenant, &json!({"customerId": id})).await.expect(200);
        let mapped = shown().await;
        assert_ne!(mapped.header("etag"), unmapped.header("etag"), "which tenants are mapped to it changed");
        let active = owner.request("PATCH", &customer).header("if-match", mapped.header("etag")).json(&json!({"active": true}));
        assert_eq!(owner.send(active).await.expect(200).header("etag"), mapped.header("etag"), "nothing changed");
        owner.patch(&tenant, &json!({"customerId": null})).await.expect(200);
        assert_eq!(shown().await.header("etag"), unmapped.header("etag"));
        let version = owner.get(&customer).await.expect(200).header("etag").to_owned();
        let change = |tag: &str| owner.request("PATCH", &customer).header("if-match", tag).json(&json!({"name": "Newer"}));
        owner.send(change(&version)).await.expect(200);
        owner.send(change(&version)).await.expect_problem(412, "preconditionFailed");
        assert_eq!(owner.get(&customer).await.json()["name"], "Newer");
    }

    async fn the_event_stream_has_the_status_at_once_and_each_change(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Streamed"));
        let started = start(&app.owner, &tenant).await;
        let mut events = EventReader::open(&app.owner, &format!("/tenants/{}/sync-status/events", tenant.id)).await;
        assert_eq!(events.headers["content-type"], "text/event-stream");
        let first = events.next().await;
        assert_eq!(first["status"], "pendingConsent");
        let polled = app.owner.get(&format!("/tenants/{}/sync-status", tenant.id)).await;
        assert_eq!((polled.header("etag").trim_matches('"'), polled.json()), (events.last_id.as_str(), first));
        relay_to_the_end(&app.owner, &started).await.expect(200);
        let mut seen = Vec::new();
        let last = loop {
            let event = events.next().await;
            assert!(!seen.contains(&events.last_id), "the same twice");
            seen.push(events.last_id.clone());
            if event["run"]["state"] == "completed" {
                break event;
            }
        };
        assert_eq!((&last["status"], &last["run"]["progress"]), (&json!("connected"), &json!(1)));
    }

    async fn r30_data_are_stale_six_hours_after_the_last_completed_run(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Aging"));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["stale"], false);
        let path = format!("/tenants/{}", tenant.id);
        let fresh = app.owner.get(&path).await;
        app.advance_seconds(6 * 3_600 - 60);
        assert_eq!(app.owner.status(tenant.id).await["stale"], false);
        app.advance_seconds(120);
        app.owner.wait_for_status(tenant.id, "stale data", |status| status["stale"] == true).await;
        let stale = app.owner.get(&path).await;
        assert_eq!(stale.json()["stale"], true);
        assert_ne!(stale.header("etag"), fresh.header("etag"), "another body");
        let change = app.owner.request("PATCH", &path).header("if-match", stale.header("etag"));
        app.owner.send(change.json(&json!({"notifications": true}))).await.expect(200);
        let again = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(again["stale"], false, "{again:#}");
    }

    async fn the_open_pages_are_there_and_the_metrics_keep_their_rule(backend: Backend) {
        let app = TestApp::start_with(backend, &[("TENANTRY_METRICS_TOKEN", "metrics-token-0123456789abcdef0123")]).await;
        let nobody = app.owner.with_key(None);
        let docs = nobody.get("//docs").await.expect(200);
        assert!(docs.header("content-type").starts_with("text/html"));
        assert!(!docs.text.contains("https://"), "the page asks another host for something");
        let document = nobody.get("//openapi.json").await.expect(200).json();
        assert!(text(&document, "openapi").starts_with("3.1"));
        let printed = app.run(&["openapi"]);
        assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap()["paths"], document["paths"]);
        let page = nobody.get("//problems/invalidState").await.expect(200);
        assert!(page.text.contains("invalidState") && page.header("content-type").starts_with("text/html"));
        nobody.get("//healthz").await.expect(200);
        let ready = nobody.get("//readyz").await.expect(200).json();
        let detailed = app.owner.get("//readyz").await.expect(200).json();
        assert_ne!(ready, detailed, "an owner sees more");

        nobody.get("//metrics").await.expect_problem(401, "unauthorized");
        let token = app.owner.with_key(Some("metrics-token-0123456789abcdef0123"));
        let metrics = token.get("//metrics").await.expect(200).text;
        assert!(metrics.contains("\ntenantry_refused_keys_total 0\n"), "the token is no refused key: {metrics}");
        app.owner.get("//metrics").await.expect(200);
        app.create_organization("Second MSP");
        app.owner.get("//metrics").await.expect_problem(403, "forbidden");
        token.get("//metrics").await.expect(200);
    }
}
