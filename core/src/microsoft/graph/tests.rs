//! The Graph client against a scripted Graph.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    ids::{ConnectionId, OrgId},
    microsoft::{
        client_credential::ClientCredential, cloud::MicrosoftCloud, graph_batch::BatchOutcome,
        identity::TokenError, meter::Reading,
    },
    outbound::Limits,
    scripted_server::{Answer, ScriptedServer, Seen},
    secrets::SecretText,
};

const TENANT: &str = "3d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a";
/// Where Graph's part of a scripted server begins.
const GRAPH: &str = "/v1.0/";

/// A server that hands out tokens by itself; `script` is Graph.
async fn graph(script: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> ScriptedServer {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    ScriptedServer::start(move |seen, before| {
        if seen.target.ends_with("/oauth2/v2.0/token") {
            let token = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": format!("token-{before}")});
            return Answer::json(200, token);
        }
        script(seen, asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    })
    .await
}

fn session(server: &ScriptedServer) -> GraphSession {
    let backoff = Backoff {
        base: Duration::from_millis(1),
        attempts: 3,
    };
    let profile = CloudProfile::new(
        MicrosoftCloud::Global,
        Some(&server.origin),
        Some(&server.origin),
    )
    .unwrap();
    let limits = Limits {
        idle_read: Duration::from_millis(500),
        ..Limits::default()
    };
    let http = Outbound::new(limits).unwrap();
    let clock = Clock::from_fn(|| chrono::DateTime::from_timestamp(1_780_000_000, 0).unwrap());
    let secret = SecretText::new("s".to_owned());
    let credential = ClientCredential::with_secret("client".to_owned(), secret);
    let callback = "http://localhost/callback".to_owned();
    let identity = IdentityClient::new(profile, credential, callback, http.clone(), clock.clone())
        .unwrap()
        .with_backoff(backoff);
    let patience = Patience {
        backoff,
        throttled_attempts: 5,
        report_limit: 1000,
        ..Patience::default()
    };
    let id = Uuid::new_v4();
    let tenant = TENANT.parse().unwrap();
    let handle = ConnectionHandle::loaded(
        OrgId::from_uuid(id),
        ConnectionId::from_uuid(id),
        tenant,
        Grant::AdminConsent,
    );
    GraphClient::new(identity, http, clock, patience).session(&handle)
}

/// One read of users, with what it cost.
async fn read(server: &ScriptedServer) -> (Result<Vec<u8>, GraphError>, Reading) {
    let session = session(server);
    let meter = Meter::default();
    let answer = session
        .get(&session.v1("users?$select=id"), Workload::Identity, &meter)
        .await;
    (answer, meter.read())
}

fn error(status: u16, code: &str) -> Answer {
    Answer::json(status, json!({"error": {"code": code, "message": "m"}}))
}

#[tokio::test]
async fn a_request_carries_what_microsoft_asks_for() {
    let server = graph(|_seen, _before| Answer::json(200, json!({"value": []}))).await;
    let session = session(&server);
    let meter = Meter::default();
    let url = session.v1("users?$select=id&$count=true").eventual();
    assert_eq!(
        session.get(&url, Workload::Identity, &meter).await.unwrap(),
        br#"{"value":[]}"#
    );
    session
        .get(&session.v1("organization"), Workload::Identity, &meter)
        .await
        .unwrap();
    let seen = server.seen_at(GRAPH);
    assert_eq!(seen[0].target, "/v1.0/users?$select=id&$count=true");
    assert_eq!(
        (seen[0].method.as_str(), seen[0].body.as_str()),
        ("GET", "")
    );
    assert_eq!(seen[0].header("authorization"), Some("Bearer token-0"));
    assert_eq!(seen[0].header("accept"), Some("application/json"));
    assert_eq!(seen[0].header("consistencylevel"), Some("eventual"));
    assert_eq!(seen[0].header("x-ms-throttle-priority"), Some("low"));
    assert!(seen[0].header("accept-encoding").unwrap().contains("gzip"));
    assert_eq!(seen[1].header("consistencylevel"), None);
    let ids = seen.iter().map(|seen| {
        seen.header("client-request-id")
            .unwrap()
            .parse::<Uuid>()
            .unwrap()
    });
    assert_eq!(ids.collect::<std::collections::HashSet<_>>().len(), 2);
    assert_eq!(server.seen().len(), 3, "one token for both");
    assert_eq!(
        meter.read(),
        Reading {
            requests: 2,
            retries: 0,
            throttled_ms: 0
        }
    );
}

#[tokio::test]
async fn r7_retry_after_is_waited_for_and_counted() {
    let server = graph(|_seen, before| match before {
        0 => error(429, "TooManyRequests").with("retry-after", "0.5"),
        _later => Answer::json(200, json!({})),
    })
    .await;
    let (answer, cost) = read(&server).await;
    assert!(answer.is_ok());
    assert_eq!((cost.requests, cost.retries), (2, 1));
    assert!((1000..5000).contains(&cost.throttled_ms), "{cost:?}");
}

#[tokio::test]
async fn r7_without_a_readable_retry_after_we_back_off_and_give_up_at_last() {
    let server =
        graph(|_seen, before| error(429, "").with("retry-after", ["soon", ""][before % 2])).await;
    let (answer, cost) = read(&server).await;
    assert!(matches!(answer, Err(GraphError::Throttled { .. })));
    assert_eq!((cost.requests, cost.retries), (6, 5));
}

#[tokio::test]
async fn r7_a_pause_holds_everybody_who_shares_the_budget() {
    let server = graph(|seen, _before| match seen.target.contains("first") {
        true => error(429, "")
            .with("retry-after", "1")
            .with("x-ms-throttle-scope", "Tenant_Application/Read/a/b"),
        false => Answer::json(200, json!({})),
    })
    .await;
    let session = session(&server);
    let meter = Meter::default();
    let (first, second, other) = (Meter::default(), Meter::default(), Meter::default());
    session
        .get(&session.v1("organization"), Workload::Identity, &meter)
        .await
        .unwrap();
    let throttled = session.clone();
    let url = session.v1("users/first");
    let refused = tokio::spawn(async move {
        throttled
            .get(&url, Workload::Identity, &first)
            .await
            .is_err()
    });
    // The refusal has been heard once the limiter is paused.
    while session.limiter(Workload::Identity).paused_until().is_none() {
        tokio::task::yield_now().await;
    }
    session
        .get(&session.v1("users"), Workload::Identity, &second)
        .await
        .unwrap();
    session
        .get(&session.v1("x"), Workload::Intune, &other)
        .await
        .unwrap();
    assert!(second.read().throttled_ms > 500, "{:?}", second.read());
    assert_eq!(other.read().throttled_ms, 0);
    refused.abort();
}

#[tokio::test]
async fn r8_passing_failures_are_met_again_a_few_times() {
    let server = graph(|_seen, before| match before {
        0 => Answer::HangUp,
        1 => Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"value\":[".to_vec()),
        _later => Answer::json(200, json!({})),
    })
    .await;
    let (answer, cost) = read(&server).await;
    assert_eq!(answer.unwrap(), b"{}");
    assert_eq!((cost.requests, cost.retries, cost.throttled_ms), (3, 2, 0));
    for status in [408, 500, 502, 503, 504, 509] {
        let server = graph(move |_seen, _before| Answer::json(status, "<html>")).await;
        let (answer, cost) = read(&server).await;
        assert!(
            matches!(answer, Err(GraphError::Unavailable { status: Some(found), .. }) if found == status)
        );
        assert_eq!((cost.requests, cost.retries), (3, 2));
    }
}

#[tokio::test]
async fn what_will_not_pass_is_asked_once() {
    for status in [400, 402, 403, 404, 405, 406, 410, 418, 501] {
        let server = graph(move |_seen, _before| error(status, "x")).await;
        let (answer, cost) = read(&server).await;
        assert!(answer.is_err(), "{status}");
        assert_eq!(cost.requests, 1, "{status}");
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let server = graph(|seen, _before| match seen.header("authorization") {
        Some("Bearer token-0") => error(401, "InvalidAuthenticationToken"),
        _renewed => Answer::json(200, json!({})),
    })
    .await;
    let (answer, cost) = read(&server).await;
    assert!(answer.is_ok());
    assert_eq!(
        (cost.requests, cost.retries, server.seen_at(GRAPH).len()),
        (2, 1, 2)
    );
    let stubborn = graph(|_seen, _before| error(401, "InvalidAuthenticationToken")).await;
    let (answer, _cost) = read(&stubborn).await;
    assert!(matches!(answer, Err(GraphError::Unauthorized(_))));
    assert_eq!(stubborn.seen().len(), 4, "two tokens, two requests");
}

#[tokio::test]
async fn r18_without_a_token_nothing_is_asked() {
    let server = ScriptedServer::start(|_seen, _before| {
        Answer::json(
            400,
            json!({"error": "unauthorized_client", "error_codes": [700_016]}),
        )
    })
    .await;
    let (answer, cost) = read(&server).await;
    assert!(
        matches!(answer, Err(GraphError::Token(TokenError::Refused(error))) if error.aadsts == Some(700_016))
    );
    assert_eq!((cost.requests, server.seen().len()), (0, 1));
}

#[tokio::test]
async fn r12_and_redirects_what_is_too_large_or_leads_elsewhere_is_refused() {
    let huge = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{",
        ANSWER_LIMIT + 1
    );
    let server = graph(move |_seen, _before| Answer::Silence(huge.clone().into_bytes())).await;
    assert!(matches!(
        read(&server).await.0,
        Err(GraphError::TooLarge { .. })
    ));
    let server =
        graph(|_seen, _before| Answer::json(302, "").with("location", "/v1.0/other")).await;
    assert!(matches!(
        read(&server).await.0,
        Err(GraphError::UnexpectedAnswer { .. })
    ));
    assert_eq!(server.seen_at(GRAPH).len(), 1);
}

#[tokio::test]
async fn n4_no_foreign_link_is_ever_requested() {
    let server = graph(|_seen, _before| Answer::json(200, json!({}))).await;
    let stranger = ScriptedServer::start(|_seen, _before| Answer::json(200, json!({}))).await;
    let session = session(&server);
    for link in [
        format!("{}/v1.0/users", stranger.origin),
        "https://graph.microsoft.com/v1.0/users".to_owned(),
    ] {
        assert!(
            matches!(session.link(&link), Err(GraphError::ForeignLink)),
            "{link}"
        );
    }
    let own = session
        .link(&format!("{}/v1.0/users?$skiptoken=a%27b+c", server.origin))
        .unwrap();
    session
        .get(&own, Workload::Identity, &Meter::default())
        .await
        .unwrap();
    assert_eq!(
        server.seen_at(GRAPH)[0].target,
        "/v1.0/users?$skiptoken=a%27b+c"
    );
    assert!(stranger.seen().is_empty());
}

/// Answers a batch, last request first, each by `item`.
fn batch_answer(seen: &Seen, item: impl Fn(&str) -> Option<Value>) -> Answer {
    let request: Value = serde_json::from_str(&seen.body).unwrap();
    let requests = request["requests"].as_array().unwrap();
    assert!(requests.len() <= 20 && requests.iter().all(|one| one["method"] == "GET"));
    let answers: Vec<Value> = requests
        .iter()
        .rev()
        .filter_map(|one| {
            let mut answer = item(one["url"].as_str().unwrap())?;
            answer["id"] = one["id"].clone();
            Some(answer)
        })
        .collect();
    Answer::json(200, json!({ "responses": answers }))
}

fn paths(count: u128) -> Vec<(u128, GraphPath)> {
    let path = |number| {
        GraphPath::of("users")
            .id(Uuid::from_u128(number))
            .then("mailboxSettings/userPurpose")
    };
    (0..count).map(|number| (number, path(number))).collect()
}

fn number_of(url: &str) -> u128 {
    url.split('/')
        .nth(2)
        .unwrap()
        .parse::<Uuid>()
        .unwrap()
        .as_u128()
}

#[tokio::test]
async fn batches_of_twenty_answer_each_item_by_its_id() {
    let server = graph(|seen, _before| {
        batch_answer(seen, |url| match number_of(url) {
            3 => Some(json!({"status": 404, "body": {"error": {"code": "MailboxNotEnabledForRESTAPI"}}})),
            4 => Some(json!({"status": 204})),
            5 => None,
            number => Some(json!({"status": 200, "headers": {"Cache-Control": "no-cache"}, "body": {"value": number.to_string()}})),
        })
    })
    .await;
    let session = session(&server);
    let meter = Meter::default();
    let outcomes = session
        .batch(paths(45), Workload::Outlook, &meter)
        .await
        .unwrap();
    assert_eq!(
        (outcomes.len(), server.seen_at("/v1.0/$batch").len()),
        (45, 3)
    );
    assert_eq!(meter.read().requests, 3);
    for (position, (key, outcome)) in outcomes.into_iter().enumerate() {
        assert_eq!(u128::try_from(position).unwrap(), key);
        match key {
            3 => assert!(
                matches!(outcome, Err(GraphError::NotFound(refusal)) if refusal.code == "MailboxNotEnabledForRESTAPI")
            ),
            4 => assert_eq!(outcome.unwrap(), b""),
            5 => assert!(matches!(outcome, Err(GraphError::UnexpectedAnswer { .. }))),
            other => assert_eq!(
                outcome.unwrap(),
                format!(r#"{{"value":"{other}"}}"#).as_bytes()
            ),
        }
    }
}

#[tokio::test]
async fn throttled_items_are_asked_again_alone() {
    let server = graph(|seen, before| {
        batch_answer(seen, |url| {
            Some(match (number_of(url), before) {
                (1, 0) => json!({"status": 429, "headers": {"RETRY-AFTER": "1"}}),
                (2, 0) => json!({"status": 429, "headers": {"Retry-After": 0.2}}),
                (7, 0 | 1) => json!({"status": 503}),
                (9, _) => json!({"status": 504, "body": "aHRtbA=="}),
                _other => json!({"status": 200, "body": {"n": before}}),
            })
        })
    })
    .await;
    let session = session(&server);
    let meter = Meter::default();
    let outcomes: Vec<BatchOutcome> = session
        .batch(paths(12), Workload::Outlook, &meter)
        .await
        .unwrap()
        .into_iter()
        .map(|(_key, outcome)| outcome)
        .collect();
    let sent: Vec<usize> = server
        .seen_at("/v1.0/$batch")
        .iter()
        .map(|seen| {
            serde_json::from_str::<Value>(&seen.body).unwrap()["requests"]
                .as_array()
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(sent, [12, 4, 2]);
    assert_eq!(outcomes[0].as_ref().unwrap(), br#"{"n":0}"#);
    assert_eq!(outcomes[1].as_ref().unwrap(), br#"{"n":1}"#);
    assert_eq!(outcomes[7].as_ref().unwrap(), br#"{"n":2}"#);
    assert!(matches!(
        outcomes[9],
        Err(GraphError::Unavailable {
            status: Some(504),
            ..
        })
    ));
    let cost = meter.read();
    assert_eq!((cost.requests, cost.retries), (3, 6));
    assert!(cost.throttled_ms >= 900, "{cost:?}");
}

#[tokio::test]
async fn objects_are_asked_for_by_their_ids() {
    let server = graph(|_seen, _before| Answer::json(200, json!({"value": []}))).await;
    let session = session(&server);
    session
        .directory_objects_by_ids(&[Uuid::from_u128(1)], &Meter::default())
        .await
        .unwrap();
    let seen = &server.seen_at(GRAPH)[0];
    assert_eq!(
        (seen.method.as_str(), seen.header("content-type")),
        ("POST", Some("application/json"))
    );
    assert_eq!(
        seen.body,
        r#"{"ids":["00000000-0000-0000-0000-000000000001"]}"#
    );
}

async fn whole(mut report: ReportBody) -> Result<Vec<u8>, GraphError> {
    let mut body = Vec::new();
    while let Some(chunk) = report.chunk().await? {
        body.extend(chunk);
    }
    Ok(body)
}

async fn report(server: &ScriptedServer) -> (Result<Vec<u8>, GraphError>, Reading) {
    let session = session(server);
    let meter = Meter::default();
    let path = "reports/getMailboxUsageDetail(period='D7')";
    let opened = session
        .report(path, Workload::MailboxUsageReport, &meter)
        .await;
    let body = match opened {
        Ok(report) => whole(report).await,
        Err(error) => Err(error),
    };
    (body, meter.read())
}

#[tokio::test]
async fn n4_a_report_is_downloaded_without_the_token() {
    let store = ScriptedServer::start(|_seen, before| match before {
        0 => Answer::json(503, ""),
        _later => Answer::json(200, "a,b\r\n1,2\r\n"),
    })
    .await;
    let location = format!("{}/download?sig=1", store.origin);
    let server =
        graph(move |_seen, _before| Answer::json(302, "").with("location", &location)).await;
    let (body, cost) = report(&server).await;
    assert_eq!(body.unwrap(), b"a,b\r\n1,2\r\n");
    assert_eq!((cost.requests, cost.retries), (4, 1));
    for seen in store.seen() {
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.target, "/download?sig=1");
    }
    assert_eq!(
        server.seen_at(GRAPH)[0].target,
        "/v1.0/reports/getMailboxUsageDetail(period='D7')"
    );
}

#[tokio::test]
async fn n3_a_report_is_fetched_from_nowhere_else_and_by_one_redirect() {
    for location in [
        "https://example.com/x",
        "http://169.254.169.254/x",
        "/relative",
        "ftp://127.0.0.1/x",
        "",
    ] {
        let server =
            graph(move |_seen, _before| Answer::json(302, "").with("location", location)).await;
        assert!(
            matches!(report(&server).await.0, Err(GraphError::ForeignLink)),
            "{location}"
        );
        assert_eq!(server.seen_at(GRAPH).len(), 1);
    }
    let store =
        ScriptedServer::start(|_seen, _before| Answer::json(302, "").with("location", "/again"))
            .await;
    let location = store.origin.clone();
    let server =
        graph(move |_seen, _before| Answer::json(302, "").with("location", &location)).await;
    assert!(matches!(
        report(&server).await.0,
        Err(GraphError::ForeignLink)
    ));
    assert_eq!(store.seen().len(), 1);
}

#[tokio::test]
async fn a_report_that_breaks_off_or_never_ends_is_no_report() {
    let answers = [
        (
            Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\na,b\r\n".to_vec()),
            false,
        ),
        (Answer::json(200, "x".repeat(1001)), true),
    ];
    for (answer, too_large) in answers {
        let store = ScriptedServer::start(move |_seen, _before| answer.clone()).await;
        let location = store.origin.clone();
        let server =
            graph(move |_seen, _before| Answer::json(302, "").with("location", &location)).await;
        let error = report(&server).await.0.unwrap_err();
        assert_eq!(
            matches!(error, GraphError::TooLarge { .. }),
            too_large,
            "{error:?}"
        );
        assert_eq!(
            matches!(error, GraphError::Unavailable { .. }),
            !too_large,
            "{error:?}"
        );
    }
    let server = graph(|_seen, _before| error(403, "S2SUnauthorized")).await;
    assert!(matches!(
        report(&server).await.0,
        Err(GraphError::AccessDenied(_))
    ));
}
