use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::BoxFuture;
use serde_json::json;

use crate::{
    contract::PsaAdapter,
    scripted::{Scripted, get, post},
    transport::{Limits, TransportError, Window},
};

use super::*;
use crate::halopsa::{
    HaloPsa, open,
    testing::{
        BASE, CLIENT_SECRET, NOW, TOKEN, ask_for, auth_info, calls, closed, credentials, id,
        signed_in, token,
    },
};

const ALL: &str = "read:customers edit:tickets";

fn client() -> crate::scripted::Expected {
    get("/api/Client/12").answer(200, json!({"id": 12, "name": "Harbour"}))
}

async fn ask(halo: &HaloPsa) -> Result<(), PsaError> {
    halo.get_customer(&id("12")).await.map(drop)
}

#[tokio::test]
async fn credentials_go_in_the_form_to_the_authority_with_tenant_and_scopes() {
    let (psa, halo) = closed();
    psa.expect(auth_info());
    psa.expect(
        ask_for(ALL)
            .host("northgate.halopsa.com")
            .query("tenant", "northgate")
            .answer(200, token(ALL)),
    );
    psa.expect(client().header("authorization", "Bearer canary-token"));
    ask(&halo).await.unwrap();
    psa.finish();
    let sent = psa.sent();
    assert_eq!(sent[0].header("authorization"), None);
    assert_eq!(
        String::from_utf8_lossy(&sent[1].body),
        "grant_type=client_credentials&client_id=application&client_secret=canary-client-secret\
         &scope=read%3Acustomers+edit%3Atickets"
    );
    assert_eq!(sent[1].header("authorization"), None);
    let window = Window {
        calls: 250,
        seconds: 300,
    };
    assert_eq!(
        psa.limits(),
        [Limits {
            windows: vec![window],
            parallel: 4,
            parallel_per_endpoint: None
        }]
    );
}

#[tokio::test]
async fn what_a_person_entered_comes_before_what_the_instance_says() {
    let psa = Scripted::at(NOW);
    let mut entered = credentials();
    entered.auth_url = Some("https://login.northgate.example/auth/".to_owned());
    entered.tenant = Some(" own tenant ".to_owned());
    let halo = open(BASE, entered, psa.clone()).unwrap();
    psa.expect(
        ask_for(ALL)
            .host("login.northgate.example")
            .query("tenant", "own tenant")
            .answer(200, token(ALL)),
    );
    psa.expect(client());
    ask(&halo).await.unwrap();
    psa.finish();

    let psa = Scripted::at(NOW);
    let mut entered = credentials();
    entered.auth_url = Some("https://login.northgate.example/auth".to_owned());
    let halo = open(BASE, entered, psa.clone()).unwrap();
    psa.expect(get("/api/authinfo").answer(
        200,
        json!({"auth_url": "https://elsewhere.example/auth", "tenant_id": "northgate"}),
    ));
    psa.expect(
        ask_for(ALL)
            .host("login.northgate.example")
            .query("tenant", "northgate")
            .answer(200, token(ALL)),
    );
    psa.expect(client());
    ask(&halo).await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn an_authority_elsewhere_never_gets_the_secret() {
    for named in [
        "https://evil.example/auth",
        "http://northgate.halopsa.com/auth",
        "https://northgate.halopsa.com:8443/auth",
    ] {
        let (psa, halo) = closed();
        psa.expect(get("/api/authinfo").answer(200, json!({ "auth_url": named })));
        assert!(matches!(ask(&halo).await, Err(PsaError::Config { .. })));
        assert_eq!(psa.lines(), ["GET /api/authinfo"]);
    }
}

#[tokio::test]
async fn without_that_page_the_authority_is_beside_the_api() {
    for (status, body) in [(404, ""), (200, "<html>"), (200, "null"), (401, "")] {
        let (psa, halo) = closed();
        psa.expect(get("/api/authinfo").answer_raw(status, "text/html", body));
        psa.expect(ask_for(ALL).no_query("tenant").answer(200, token(ALL)));
        psa.expect(client());
        ask(&halo).await.unwrap();
        psa.finish();
    }
    let (psa, halo) = closed();
    psa.expect(get("/api/authinfo").answer_raw(502, "text/html", ""));
    assert!(matches!(ask(&halo).await, Err(PsaError::Transient { .. })));
}

#[tokio::test]
async fn a_missing_scope_narrows_what_is_asked_for_and_that_is_remembered() {
    let (psa, halo) = closed();
    psa.expect(auth_info());
    psa.expect(ask_for(ALL).answer(400, json!({"error": "invalid_scope"})));
    psa.expect(ask_for("read:customers").answer(200, token("read:customers")));
    psa.expect(client());
    ask(&halo).await.unwrap();
    psa.set_now("2026-06-10T14:00:00Z");
    psa.expect(ask_for("read:customers").answer(200, token("read:customers")));
    psa.expect(client());
    ask(&halo).await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn an_application_without_any_scope_is_told_which_it_needs() {
    let (psa, halo) = closed();
    psa.expect(auth_info());
    for scope in [ALL, "read:customers"] {
        psa.expect(ask_for(scope).answer(401, json!({"error": "invalid_scope"})));
    }
    let error = ask(&halo).await.unwrap_err();
    assert!(matches!(error, PsaError::Permission { what } if what.contains("read:customers")));
    // A person has ticked it since.
    psa.expect(ask_for(ALL).answer(200, token(ALL)));
    psa.expect(client());
    ask(&halo).await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn v9_a_refused_sign_in_tells_the_code_and_nothing_that_was_sent() {
    for (status, body, told) in [
        (
            401,
            r#"{"error":"invalid_client"}"#.to_owned(),
            "invalid_client",
        ),
        (
            400,
            r#"{"error":"invalid_client"}"#.to_owned(),
            "invalid_client",
        ),
        (401, String::new(), "refused"),
        (403, "<html>".to_owned(), "refused"),
        (
            400,
            format!(r#"{{"error":"no {CLIENT_SECRET}"}}"#),
            "refused",
        ),
        (
            400,
            format!(r#"{{"error":"invalid_grant","error_description":"{CLIENT_SECRET}"}}"#),
            "invalid_grant",
        ),
    ] {
        let (psa, halo) = closed();
        psa.expect(auth_info());
        psa.expect(post("/auth/token").answer_raw(status, "application/json", body));
        let error = ask(&halo).await.unwrap_err();
        assert!(
            matches!(&error, PsaError::Auth { what } if what.contains(told)),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn other_answers_of_the_authority_are_told_apart() {
    type Is = fn(&PsaError) -> bool;
    let cases: [(u16, &str, Is); 6] = [
        (404, "", |e| matches!(e, PsaError::Config { .. })),
        (502, "", |e| matches!(e, PsaError::Transient { .. })),
        (302, "", |e| matches!(e, PsaError::Protocol { .. })),
        (200, "<html>", |e| matches!(e, PsaError::Protocol { .. })),
        (200, r#"{"access_token":"x","token_type":"mac"}"#, |e| {
            matches!(e, PsaError::Protocol { .. })
        }),
        (200, "{\"access_token\":\"x\\r\\nEvil: 1\"}", |e| {
            matches!(e, PsaError::Protocol { .. })
        }),
    ];
    for (status, body, is) in cases {
        let (psa, halo) = closed();
        psa.expect(auth_info());
        psa.expect(post("/auth/token").answer_raw(status, "application/json", body));
        let error = ask(&halo).await.unwrap_err();
        assert!(is(&error), "{status} {body}: {error}");
    }
    let (psa, halo) = closed();
    psa.expect(auth_info());
    psa.expect(post("/auth/token").fail(TransportError::NotConnected));
    assert!(matches!(ask(&halo).await, Err(PsaError::Transient { .. })));
}

#[tokio::test]
async fn a_token_is_renewed_five_minutes_before_its_end() {
    let (psa, halo) = closed();
    psa.expect(auth_info());
    psa.expect(ask_for(ALL).answer(200, token(ALL)));
    psa.expect(client().always());
    ask(&halo).await.unwrap();
    psa.set_now("2026-06-10T12:54:59Z");
    ask(&halo).await.unwrap();
    psa.finish();
    psa.set_now("2026-06-10T12:55:00Z");
    psa.expect(ask_for(ALL).answer(200, token(ALL)));
    ask(&halo).await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn a_refused_token_is_asked_for_once_more() {
    let (psa, halo) = signed_in();
    psa.expect(get("/api/Client/12").answer_raw(401, "text/plain", ""));
    psa.expect(client());
    ask(&halo).await.unwrap();
    psa.finish();
    assert_eq!(
        psa.lines()
            .iter()
            .filter(|l| *l == "POST /auth/token")
            .count(),
        2
    );

    let (psa, halo) = signed_in();
    psa.expect(
        get("/api/Client/12")
            .answer_raw(401, "text/plain", "")
            .always(),
    );
    assert!(matches!(ask(&halo).await, Err(PsaError::Auth { .. })));
    assert_eq!(calls(&psa).len(), 2, "not a third time");
}

#[tokio::test]
async fn a_rate_limit_sets_limits_and_a_pause() {
    let text = "Rate Limit Reached - 300 Requests per rolling 5 minute window.";
    for body in [
        text.to_owned(),
        format!("\"{text}\""),
        json!({ "Message": text }).to_string(),
    ] {
        let (psa, halo) = signed_in();
        psa.expect(get("/api/Client/12").answer_raw(429, "text/plain", body));
        assert_eq!(
            ask(&halo).await,
            Err(PsaError::RateLimited {
                retry_after: Some(30)
            })
        );
        assert_eq!(psa.pauses(), [30]);
        let learnt = psa.limits().pop().unwrap();
        assert_eq!(
            learnt.windows,
            [Window {
                calls: 250,
                seconds: 300
            }]
        );
    }
    let (psa, halo) = signed_in();
    psa.expect(
        get("/api/Client/12")
            .answer_raw(429, "text/plain", "")
            .with("retry-after", "75"),
    );
    assert_eq!(
        ask(&halo).await,
        Err(PsaError::RateLimited {
            retry_after: Some(75)
        })
    );
    assert_eq!((psa.pauses(), psa.limits().len()), (vec![75], 1));
}

/// Answers after others had a turn, and counts.
struct Slow {
    tokens: AtomicUsize,
    under_way: Mutex<usize>,
}

impl Transport for Slow {
    fn send<'a>(&'a self, request: Request) -> BoxFuture<'a, Result<Reply, TransportError>> {
        Box::pin(async move {
            let path = request.url.path().to_owned();
            if path == "/auth/token" {
                self.tokens.fetch_add(1, Ordering::SeqCst);
                *self.under_way.lock().unwrap() += 1;
            }
            for _turn in 0..20 {
                tokio::task::yield_now().await;
            }
            let body = match path.as_str() {
                "/auth/token" => {
                    let mut under_way = self.under_way.lock().unwrap();
                    assert_eq!(*under_way, 1, "one at a time");
                    *under_way -= 1;
                    json!({"access_token": TOKEN})
                }
                "/api/authinfo" => json!({}),
                _ => json!({"id": 12, "name": "Harbour"}),
            };
            Ok(Reply {
                status: 200,
                headers: reqwest::header::HeaderMap::new(),
                body: body.to_string().into_bytes(),
            })
        })
    }

    fn now(&self) -> DateTime<Utc> {
        NOW.parse().unwrap()
    }

    fn set_limits(&self, _limits: Limits) {}

    fn pause(&self, _seconds: u64) {}
}

#[tokio::test]
async fn calls_side_by_side_share_one_token() {
    let slow = Arc::new(Slow {
        tokens: AtomicUsize::new(0),
        under_way: Mutex::new(0),
    });
    let halo = open(BASE, credentials(), slow.clone()).unwrap();
    let asked = futures_util::future::join_all((0..8).map(|_| ask(&halo))).await;
    assert!(asked.iter().all(Result::is_ok));
    assert_eq!(slow.tokens.load(Ordering::SeqCst), 1);
}

#[test]
fn scopes_include_others() {
    let includes = |granted: &str, scope: &str| {
        let granted: Vec<String> = granted.split(' ').map(str::to_owned).collect();
        super::includes(&granted, scope)
    };
    assert!(includes("x edit:customers", "read:customers"));
    assert!(includes("all:standard", "edit:tickets"));
    assert!(includes("all", "admin:webhooks"));
    assert!(!includes("all:standard", "admin:webhooks"));
    assert!(!includes("read:tickets", "edit:tickets"));
    assert!(!includes("", "read:customers"));
}
