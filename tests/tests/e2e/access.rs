//! Who may call what, with which key, and what a process refuses to start with.

use std::{collections::BTreeSet, process::Stdio};

use serde_json::{Value, json};
use tenantry_tests::{
    app::{Answer, Caller, TestApp},
    database::Backend,
    on_both_databases, openapi,
};

use crate::{
    event_reader::EventReader,
    flow::{seed, start, text},
};

/// An id that nothing has.
const NOBODY: &str = "01990000-0000-7000-8000-000000000000";

/// Method, path and body of every call that needs a key, and which of owner, technician, integration
/// and reader may make it.
const CALLS: &[(&str, &str, &str, [bool; 4])] = &[
    ("GET", "/customers", "", READS),
    ("POST", "/customers", r#"{"name":"Made"}"#, KEEPS_CUSTOMERS),
    ("GET", "/customer-matches", "", READS),
    ("GET", "/customer-matches/orphans", "", READS),
    (
        "POST",
        "/customer-matches/confirm",
        r#"{"matches":[{"tenantId":"01990000-0000-7000-8000-000000000000","customerId":"01990000-0000-7000-8000-000000000000"}]}"#,
        CONNECTS,
    ),
    ("GET", "/organization/domains", "", READS),
    (
        "PUT",
        "/organization/domains",
        r#"{"domains":[]}"#,
        KEEPS_CUSTOMERS,
    ),
    ("GET", "/customers/{customerId}", "", READS),
    (
        "PATCH",
        "/customers/{customerId}",
        r#"{"name":"Changed"}"#,
        KEEPS_CUSTOMERS,
    ),
    ("DELETE", "/customers/{customerId}", "", KEEPS_CUSTOMERS),
    (
        "POST",
        "/customers/{customerId}/merge",
        r#"{"from":"01990000-0000-7000-8000-000000000000"}"#,
        KEEPS_CUSTOMERS,
    ),
    ("GET", "/customers/{customerId}/sites", "", READS),
    (
        "POST",
        "/psa-connections/{psaConnectionId}/sync",
        "",
        KEEPS_CUSTOMERS,
    ),
    (
        "GET",
        "/psa-connections/{psaConnectionId}/sync-runs",
        "",
        READS,
    ),
    (
        "GET",
        "/psa-connections/{psaConnectionId}/sync-runs/{syncRunId}",
        "",
        READS,
    ),
    (
        "POST",
        "/psa-connections/{psaConnectionId}/sync-runs/{syncRunId}/cancel",
        "",
        CONNECTS,
    ),
    (
        "GET",
        "/psa-connections/{psaConnectionId}/tickets",
        "",
        READS,
    ),
    (
        "POST",
        "/psa-connections/{psaConnectionId}/tickets/retry",
        "",
        KEEPS_PSAS,
    ),
    ("GET", "/psa-connections", "", READS),
    ("POST", "/psa-connections", "{}", KEEPS_PSAS),
    ("GET", "/psa-connections/{psaConnectionId}", "", READS),
    (
        "PATCH",
        "/psa-connections/{psaConnectionId}",
        "{}",
        KEEPS_PSAS,
    ),
    (
        "DELETE",
        "/psa-connections/{psaConnectionId}",
        "",
        KEEPS_PSAS,
    ),
    (
        "POST",
        "/psa-connections/{psaConnectionId}/test",
        "",
        KEEPS_PSAS,
    ),
    (
        "GET",
        "/psa-connections/{psaConnectionId}/ticket-options",
        "",
        READS,
    ),
    (
        "GET",
        "/psa-connections/{psaConnectionId}/customer-types",
        "",
        READS,
    ),
    (
        "POST",
        "/psa-connections/{psaConnectionId}/callback",
        "",
        KEEPS_PSAS,
    ),
    (
        "DELETE",
        "/psa-connections/{psaConnectionId}/callback",
        "",
        KEEPS_PSAS,
    ),
    ("GET", "/tenants", "", READS),
    (
        "POST",
        "/tenants/connect",
        r#"{"tenant":"a.example"}"#,
        CONNECTS,
    ),
    ("POST", "/tenants/callback", "{}", CONNECTS),
    ("GET", "/tenants/{tenantId}", "", READS),
    (
        "PATCH",
        "/tenants/{tenantId}",
        r#"{"tags":["a"]}"#,
        CONNECTS,
    ),
    ("DELETE", "/tenants/{tenantId}", "", CONNECTS),
    ("GET", "/audit-events", "", READS),
    (
        "POST",
        "/tenants/{tenantId}/sync",
        r#"{"kind":"delta"}"#,
        KEEPS_CUSTOMERS,
    ),
    ("GET", "/tenants/events", "", READS),
    ("GET", "/tenants/{tenantId}/sync-status", "", READS),
    ("GET", "/tenants/{tenantId}/sync-status/events", "", READS),
    ("GET", "/tenants/{tenantId}/sync-runs", "", READS),
    (
        "GET",
        "/tenants/{tenantId}/sync-runs/{syncRunId}",
        "",
        READS,
    ),
    (
        "POST",
        "/tenants/{tenantId}/sync-runs/{syncRunId}/cancel",
        "",
        CONNECTS,
    ),
    ("GET", "/tenants/{tenantId}/summary", "", READS),
    ("GET", "/tenants/{tenantId}/organization", "", READS),
    ("GET", "/tenants/{tenantId}/users", "", READS),
    ("GET", "/tenants/{tenantId}/groups", "", READS),
    (
        "GET",
        "/tenants/{tenantId}/groups/{groupId}/members",
        "",
        READS,
    ),
    ("GET", "/tenants/{tenantId}/licenses", "", READS),
    ("GET", "/tenants/{tenantId}/secure-scores", "", READS),
    ("GET", "/tenants/{tenantId}/devices", "", READS),
    ("GET", "/tenants/{tenantId}/mailboxes", "", READS),
    ("GET", "//metrics", "", [true, false, false, false]),
];
const READS: [bool; 4] = [true, true, true, true];
/// And starts syncs.
const KEEPS_CUSTOMERS: [bool; 4] = [true, true, true, false];
const CONNECTS: [bool; 4] = [true, true, false, false];
const KEEPS_PSAS: [bool; 4] = [true, false, true, false];

/// Calls that anybody may make.
const OPEN: &[(&str, &str)] = &[
    ("GET", "/tenants/callback"),
    ("POST", "/psa-connections/{psaConnectionId}/events/{secret}"),
    ("GET", "//connect/{token}"),
    ("POST", "//connect/{token}"),
    ("GET", "//connect/{token}/result"),
    ("GET", "//healthz"),
    ("GET", "//readyz"),
    ("GET", "//openapi.json"),
    ("GET", "//docs"),
    ("GET", "//docs/{file}"),
    ("GET", "//problems/{code}"),
];

/// The path with an id that nothing has in every place for one.
fn filled(path: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { NOBODY } else { part });
    parts.collect::<Vec<_>>().join("/")
}

async fn call(caller: &Caller, method: &str, path: &str, body: &str) -> Answer {
    let mut request = caller.request(method, &filled(path));
    if !body.is_empty() {
        request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
    }
    caller.send(request).await
}

fn verify(app: &TestApp) -> (Option<i32>, Value) {
    let output = app.run(&["audit", "verify", "--json"]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report)
}

/// Takes away what keeps the audit append-only, as somebody who owns the database could.
fn disarm(app: &TestApp) {
    let raw = app.database.raw();
    raw.execute(if raw.is_sqlite() {
        "DROP TRIGGER audit_events_no_update; DROP TRIGGER audit_events_no_delete;"
    } else {
        "DROP TRIGGER audit_events_append_only ON audit_events;"
    });
}

on_both_databases! {
    async fn a15_only_the_open_calls_answer_without_a_key(backend: Backend) {
        let app = TestApp::start(backend).await;
        let nobody = app.owner.with_key(None);
        let mut known = BTreeSet::new();
        for (method, path) in OPEN {
            let answer = call(&nobody, method, path, "").await;
            assert!(!matches!(answer.status, 401 | 403 | 405), "{method} {path}: {}", answer.status);
            known.insert(((*method).to_owned(), (*path).to_owned()));
        }
        for (method, path, body, _) in CALLS {
            let answer = call(&nobody, method, path, body).await;
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{method} {path}");
            answer.expect_problem(401, "unauthorized");
            known.insert(((*method).to_owned(), (*path).to_owned()));
        }
        let documented = openapi::calls(&app.owner).await.0.into_iter();
        let documented: BTreeSet<_> = documented.map(|call| (call.method, call.path)).collect();
        assert_eq!(documented, known, "every call stands in one of the lists");
    }

    async fn z5_each_role_may_make_its_calls_and_no_other(backend: Backend) {
        let app = TestApp::start(backend).await;
        let roles = ["owner", "technician", "integration", "reader"];
        let callers = roles.map(|role| app.owner.with_key(Some(&app.create_key(role).1)));
        for (method, path, body, allowed) in CALLS {
            for ((role, caller), allowed) in roles.iter().zip(&callers).zip(allowed) {
                let answer = call(caller, method, path, body).await;
                if *allowed {
                    assert!(!matches!(answer.status, 401 | 403) && answer.status < 500,
                        "{role} {method} {path}: {} {}", answer.status, answer.text);
                } else {
                    let problem = answer.expect_problem(403, "forbidden");
                    assert!(problem["action"].is_string(), "{role} {method} {path}");
                }
            }
        }
        let made = app.owner.list("/customers").await;
        assert_eq!(made.len(), 3, "those of owner, technician and integration: {made:?}");
    }

    async fn a_revoked_key_stops_at_once_also_in_open_streams(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Watched"));
        start(&app.owner, &tenant).await;
        let (id, key) = app.create_key("reader");
        let reader = app.owner.with_key(Some(&key));
        let mut streams = Vec::new();
        for path in [format!("/tenants/{}/sync-status/events", tenant.id), "/tenants/events".to_owned()] {
            let mut stream = EventReader::open(&reader, &path).await;
            assert_eq!(stream.next().await["tenantId"], tenant.id.to_string());
            streams.push(stream);
        }
        reader.get("/tenants").await.expect(200);
        let revoked = app.run(&["admin", "revoke-api-key", &id]);
        assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
        reader.get("/tenants").await.expect_problem(401, "unauthorized");
        for mut stream in streams {
            assert_eq!(stream.rest().await, ": end of stream");
        }
        app.owner.get("/tenants").await.expect(200);
        assert!(!app.run(&["admin", "revoke-api-key", NOBODY]).status.success());
    }

    async fn a8_keys_have_their_format_and_are_nowhere_in_clear(backend: Backend) {
        let app = TestApp::start(backend).await;
        let key = app.owner_key.clone();
        let (head, rest) = key.split_at("tnty_api_".len());
        let (id, secret) = rest.split_once('_').unwrap();
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        assert_eq!((head, id.len(), secret.len()), ("tnty_api_", 32, 72));
        assert!(is_hex(id) && is_hex(secret), "{key}");
        let dump = app.database.dump();
        for part in [key.as_bytes(), secret.as_bytes(), &secret.as_bytes()[..24]] {
            assert!(!dump.windows(part.len()).any(|window| window == part), "the key lies in clear");
        }
        assert!(!app.log().contains(secret));
        // Unknown, spoilt and foreign ones give one and the same answer.
        let mut unlike = vec![key.to_uppercase(), key[1..].to_owned(), format!("{key}0"), "x".to_owned(), "a".repeat(4_000)];
        for position in [10, 45, key.len() - 1] {
            let mut changed = key.clone().into_bytes();
            changed[position] = if changed[position] == b'0' { b'1' } else { b'0' };
            unlike.push(String::from_utf8(changed).unwrap());
        }
        let mut answers = BTreeSet::new();
        for other in &unlike {
            let mut problem = app.owner.with_key(Some(other)).get("/tenants").await.expect_problem(401, "unauthorized");
            problem["requestId"] = Value::Null;
            answers.insert(problem.to_string());
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
    }

    async fn a7_a_key_counts_in_the_header_authorization_alone(backend: Backend) {
        let app = TestApp::start(backend).await;
        let nobody = app.owner.with_key(None);
        let key = app.owner_key.as_str();
        for name in ["access_token", "apiKey", "key", "authorization"] {
            let request = nobody.request("GET", "/customers").query(&[(name, key)]);
            nobody.send(request).await.expect_problem(401, "unauthorized");
        }
        for (name, value) in [("x-api-key", key.to_owned()), ("cookie", format!("key={key}")), ("authorization", format!("Basic {key}")), ("authorization", key.to_owned())] {
            let request = nobody.request("GET", "/customers").header(name, value);
            nobody.send(request).await.expect_problem(401, "unauthorized");
        }
        let twice = app.owner.request("GET", "/customers").bearer_auth("another");
        app.owner.send(twice).await.expect_problem(401, "unauthorized");
        assert!(!app.log().contains(key), "the key is in the log");
    }

    async fn n13_a_key_that_spent_its_calls_waits_and_others_do_not(backend: Backend) {
        let app = TestApp::start_with(backend, &[("TENANTRY_RATE_LIMIT", "3")]).await;
        for left in [2, 1, 0] {
            let answer = app.owner.get("/customers").await.expect(200);
            assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=3;w=60");
            assert!(answer.header("ratelimit").starts_with(&format!("\"default\";r={left};t=")), "{}", answer.header("ratelimit"));
        }
        let answer = app.owner.get("/customers").await;
        let wait: u32 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
        let problem = answer.expect_problem(429, "rateLimited");
        assert_eq!(problem["retryable"], true);
        app.owner.with_key(Some(&app.create_key("reader").1)).get("/customers").await.expect(200);
        app.owner.with_key(None).get("//healthz").await.expect(200);
    }

    async fn v8_a_master_key_that_does_not_fit_stops_the_start(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        app.stop().await;
        let count = |app: &TestApp| app.database.raw().count("audit_events");
        let before = count(&app);
        app.set("TENANTRY_MASTER_KEY", "YW5vdGhlci10ZW5hbnRyeS1tYXN0ZXIta2V5LTAwMDE=");
        for arguments in [&["serve"][..], &["admin", "create-organization", "--name", "X", "--json"][..]] {
            let output = app.run(arguments);
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{words}");
            assert!(words.to_lowercase().contains("master key"), "{words}");
        }
        assert_eq!(count(&app), before, "nothing was written");
        app.unset("TENANTRY_MASTER_KEY");
        app.serve().await;
        app.owner.get("/tenants").await.expect(200);
    }

    async fn l1_the_audit_verifies_until_somebody_changes_it(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.owner.create_customer("Audited").await;
        let (code, report) = verify(&app);
        let events = app.database.raw().count("audit_events");
        assert_eq!((code, report), (Some(0), json!({"events": events, "intact": true})));
        for change in ["UPDATE audit_events SET action = 'x'", "DELETE FROM audit_events"] {
            assert!(app.database.raw().try_execute(change).unwrap_err().contains("append-only"), "l6: {change}");
        }
        let newest = app.owner.get("/audit-events?action=customer.created").await.expect(200).json();
        disarm(&app);
        app.database.raw().execute("UPDATE audit_events SET actor_id = 'somebody else' WHERE action = 'customer.created'");
        let (code, report) = verify(&app);
        assert_eq!((code, &report["intact"]), (Some(1), &json!(false)), "{report}");
        assert_eq!(text(&report, "firstBadEventId"), text(&newest["items"][0], "id"));
    }

    async fn l2_a_cut_audit_is_broken_and_one_that_cannot_be_read_is_neither(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        app.owner.create_customer("Cut off").await;
        disarm(&app);
        app.database.raw().execute("DELETE FROM audit_events WHERE action = 'customer.created'");
        let (code, report) = verify(&app);
        assert_eq!((code, &report["intact"]), (Some(1), &json!(false)), "{report}");
        app.set("TENANTRY_DATABASE_URL", "sqlite:///nowhere/tenantry.db");
        assert_eq!(verify(&app).0, Some(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_file_is_refused() {
    let app = TestApp::start(Backend::Sqlite).await;
    let mut command = app.command(&["serve"]);
    let second = command
        .env("TENANTRY_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{words}");
    assert!(words.contains("another server is using"), "{words}");
    app.owner.get("/tenants").await.expect(200);
}
