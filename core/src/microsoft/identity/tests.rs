//! The identity client against a scripted token endpoint.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use serde_json::{Value, json};
use tenantry_tests::certificates::{FIRST_PUBLIC_KEY, first, second};

use super::*;
use crate::{
    ids::{ConnectionId, OrgId},
    microsoft::{
        cloud::MicrosoftCloud,
        connection::{ConnectionHandle, Grant},
    },
    outbound::Limits,
    scripted_server::{Answer, ScriptedServer},
};

const TENANT: &str = "3d2c1b0a-9f8e-4d7c-8b6a-5f4e3d2c1b0a";
const CLIENT: &str = "7b1f6f4e-0d5c-4f0c-9a55-2d9d2f1c7e10";
const CALLBACK: &str = "http://localhost:8080/api/msp-portal/tenants/callback";
const NOW: i64 = 1_780_000_000;

fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

fn handle() -> ConnectionHandle {
    let id = uuid::Uuid::new_v4();
    ConnectionHandle::loaded(
        OrgId::from_uuid(id),
        ConnectionId::from_uuid(id),
        tenant(),
        Grant::AdminConsent,
    )
}

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn with_secret() -> ClientCredential {
    ClientCredential::with_secret(CLIENT.to_owned(), secret("s+e/c ret&"))
}

/// A client of a scripted authority, with a clock that stands still until moved.
fn client(origin: &str, credential: ClientCredential, clock: &Arc<AtomicI64>) -> IdentityClient {
    let profile = CloudProfile::new(MicrosoftCloud::Global, Some(origin), Some(origin)).unwrap();
    let http = Outbound::new(Limits {
        idle_read: Duration::from_millis(200),
        ..Limits::default()
    })
    .unwrap();
    let now = Arc::clone(clock);
    let clock =
        Clock::from_fn(move || DateTime::from_timestamp(now.load(Ordering::Relaxed), 0).unwrap());
    IdentityClient::new(profile, credential, CALLBACK.to_owned(), http, clock)
        .unwrap()
        .with_backoff(Backoff {
            base: Duration::from_millis(1),
            attempts: 3,
        })
}

fn still() -> Arc<AtomicI64> {
    Arc::new(AtomicI64::new(NOW))
}

fn token(number: usize, roles: &Value) -> Answer {
    let payload = URL_SAFE_NO_PAD.encode(json!({ "roles": roles, "n": number }).to_string());
    Answer::json(
        200,
        json!({
            "token_type": "Bearer", "expires_in": 1000, "ext_expires_in": 1000, "access_token": format!("h.{payload}.s"),
        }),
    )
}

fn query(url: &Url) -> HashMap<String, String> {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let map: HashMap<String, String> = pairs.iter().cloned().collect();
    assert_eq!(map.len(), pairs.len(), "a parameter stands twice in {url}");
    map
}

#[test]
fn c7_a_sign_in_has_fresh_pkce_and_nonce_and_goes_to_the_tenant() {
    let client = client("http://127.0.0.1:1", with_secret(), &still());
    let request = client.begin_sign_in(tenant(), &secret("the-state"), SignInFor::Proof);
    assert_eq!(
        request.url.path(),
        format!("/{TENANT}/oauth2/v2.0/authorize")
    );
    let sent = query(&request.url);
    for (name, value) in [
        ("client_id", CLIENT),
        ("response_type", "code"),
        ("response_mode", "query"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile User.Read"),
        ("state", "the-state"),
        ("prompt", "select_account"),
        ("code_challenge_method", "S256"),
        ("nonce", request.nonce.expose()),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    let challenge = digest::digest(&digest::SHA256, request.verifier.expose().as_bytes());
    assert_eq!(sent["code_challenge"], URL_SAFE_NO_PAD.encode(challenge));
    assert_eq!(sent.len(), 10);
    assert!(request.nonce.expose().len() >= 22 && request.verifier.expose().len() >= 43);
    let again = client.begin_sign_in(tenant(), &secret("the-state"), SignInFor::Proof);
    assert_ne!(request.nonce.expose(), again.nonce.expose());
    assert_ne!(request.verifier.expose(), again.verifier.expose());
}

#[test]
fn g1_a_delegated_sign_in_asks_for_the_manifest_by_name_and_a_refresh_token() {
    let names = "Organization.Read.All User.Read.All Group.Read.All SecurityEvents.Read.All DeviceManagementManagedDevices.Read.All Reports.Read.All ReportSettings.Read.All MailboxSettings.Read";
    let global = client("http://127.0.0.1:1", with_secret(), &still());
    let sent = query(
        &global
            .begin_sign_in(tenant(), &secret("s"), SignInFor::Access)
            .url,
    );
    assert_eq!(
        sent["scope"],
        format!("openid profile offline_access {names}")
    );
    assert_eq!(sent["prompt"], "consent");
    // Elsewhere a name alone is not known to mean Graph, and what the cloud lacks is not asked for.
    let profile = CloudProfile::new(MicrosoftCloud::China, Some("http://127.0.0.1:1"), None);
    let china = IdentityClient::new(
        profile.unwrap(),
        with_secret(),
        CALLBACK.to_owned(),
        Outbound::new(Limits::default()).unwrap(),
        Clock::system(),
    )
    .unwrap();
    let sent = query(
        &china
            .begin_sign_in(tenant(), &secret("s"), SignInFor::Access)
            .url,
    );
    let china = "https://microsoftgraph.chinacloudapi.cn/";
    assert_eq!(
        sent["scope"],
        format!(
            "openid profile offline_access {china}Organization.Read.All {china}User.Read.All {china}Group.Read.All {china}DeviceManagementManagedDevices.Read.All {china}MailboxSettings.Read"
        )
    );
}

#[test]
fn g2_the_admin_consent_page_asks_for_what_is_registered() {
    let client = client("http://127.0.0.1:1", with_secret(), &still());
    let url = client.admin_consent_url(tenant(), &secret("st&te"));
    assert_eq!(url.path(), format!("/{TENANT}/v2.0/adminconsent"));
    let sent = query(&url);
    assert_eq!(sent["client_id"], CLIENT);
    assert_eq!(sent["scope"], "https://graph.microsoft.com/.default");
    assert_eq!(sent["redirect_uri"], CALLBACK);
    assert_eq!(sent["state"], "st&te");
    assert_eq!(sent.len(), 4);
}

#[tokio::test]
async fn a_code_is_redeemed_at_its_tenant_with_its_verifier() {
    let server = ScriptedServer::start(|_seen, _before| {
        Answer::json(200, json!({
            "token_type": "Bearer", "expires_in": "4000", "access_token": "at", "id_token": "not.looked.at",
            "scope": "openid profile https://graph.microsoft.com/User.Read", "new": [1],
        }))
    })
    .await;
    let client = client(&server.origin, with_secret(), &still());
    let signed_in = client
        .redeem_code(tenant(), &secret("c0de"), &secret("verifier-1"))
        .await
        .unwrap();
    assert_eq!(signed_in.id_token.expose(), "not.looked.at");
    assert_eq!(signed_in.access_token.expose(), "at");
    assert_eq!(
        signed_in.scopes.unwrap(),
        ["openid", "profile", "User.Read"]
    );
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].method.as_str()), (1, "POST"));
    assert_eq!(seen[0].target, format!("/{TENANT}/oauth2/v2.0/token"));
    assert_eq!(seen[0].header("authorization"), None);
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "c0de"),
        ("code_verifier", "verifier-1"),
        ("redirect_uri", CALLBACK),
        ("client_id", CLIENT),
        ("client_secret", "s+e/c ret&"),
    ] {
        assert_eq!(seen[0].field(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn c19_a_code_is_sent_once_whatever_happens() {
    let refusal = json!({"error": "invalid_grant", "error_codes": [54005], "error_description": "AADSTS54005: x"});
    let answers = [
        Answer::HangUp,
        Answer::Silence(Vec::new()),
        Answer::Raw(
            b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"access_token\":\"a".to_vec(),
        ),
        Answer::json(400, refusal),
        Answer::json(503, "<html>"),
        Answer::json(200, "<html>"),
        Answer::json(200, json!({"token_type": "Bearer", "access_token": "a"})),
        Answer::json(302, "").with("location", "/elsewhere"),
    ];
    let mut outcomes = Vec::new();
    for answer in answers {
        let server = ScriptedServer::start(move |_seen, _before| answer.clone()).await;
        let client = client(&server.origin, with_secret(), &still());
        outcomes.push(
            client
                .redeem_code(tenant(), &secret("c"), &secret("v"))
                .await
                .unwrap_err(),
        );
        assert_eq!(server.seen().len(), 1, "{outcomes:?}");
    }
    assert!(matches!(outcomes[0], ExchangeError::OutcomeUnknown(_)));
    assert!(matches!(outcomes[1], ExchangeError::OutcomeUnknown(_)));
    assert!(matches!(outcomes[2], ExchangeError::OutcomeUnknown(_)));
    assert!(matches!(&outcomes[3], ExchangeError::Refused(error) if error.aadsts == Some(54005)));
    assert!(matches!(outcomes[4], ExchangeError::Refused(_)));
    assert!(matches!(outcomes[5], ExchangeError::Incomplete(_)));
    assert!(matches!(outcomes[6], ExchangeError::Incomplete("id_token")));
    assert!(matches!(outcomes[7], ExchangeError::Refused(_)));
    let nobody = client("http://127.0.0.1:1", with_secret(), &still());
    let unsent = nobody
        .redeem_code(tenant(), &secret("c"), &secret("v"))
        .await;
    assert!(matches!(unsent, Err(ExchangeError::NotSent(_))));
}

#[tokio::test]
async fn c2_an_app_token_is_minted_once_for_all_who_ask() {
    let server =
        ScriptedServer::start(|_seen, before| token(before, &json!(["User.Read.All"]))).await;
    let clock = still();
    let client = client(&server.origin, with_secret(), &clock);
    let handle = handle();
    let asked = (0..8).map(|_| client.access_token(&handle));
    let tokens = futures_util::future::join_all(asked).await;
    assert_eq!(server.seen().len(), 1);
    for token in &tokens {
        assert_eq!(
            token.as_ref().unwrap().permissions(),
            Some(&["User.Read.All".to_owned()][..])
        );
    }
    let seen = &server.seen()[0];
    assert_eq!(seen.target, format!("/{TENANT}/oauth2/v2.0/token"));
    assert_eq!(
        seen.field("grant_type").as_deref(),
        Some("client_credentials")
    );
    assert_eq!(
        seen.field("scope").as_deref(),
        Some("https://graph.microsoft.com/.default")
    );

    clock.store(NOW + 799, Ordering::Relaxed);
    client.access_token(&handle).await.unwrap();
    assert_eq!(server.seen().len(), 1, "good for four fifths of its life");
    clock.store(NOW + 800, Ordering::Relaxed);
    client.access_token(&handle).await.unwrap();
    assert_eq!(server.seen().len(), 2);
    client.forget(handle.connection());
    let fresh = client.access_token(&handle).await.unwrap();
    assert_eq!(server.seen().len(), 3);
    client
        .access_token_unlike(&handle, Some(&fresh))
        .await
        .unwrap();
    client
        .access_token_unlike(&handle, Some(&fresh))
        .await
        .unwrap();
    assert_eq!(server.seen().len(), 4, "a refused token is replaced once");
    assert!(!format!("{fresh:?}").contains(fresh.text().expose()));
}

#[tokio::test]
async fn connections_never_share_a_token() {
    let server = ScriptedServer::start(|_seen, before| token(before, &json!([]))).await;
    let client = client(&server.origin, with_secret(), &still());
    let (one, other) = (handle(), handle());
    let first = client.access_token(&one).await.unwrap();
    let second = client.access_token(&other).await.unwrap();
    assert_ne!(first.text().expose(), second.text().expose());
}

#[tokio::test]
async fn roles_are_shown_when_they_can_be_read() {
    for (access_token, roles) in [
        ("opaque".to_owned(), None),
        ("a.***.c".to_owned(), None),
        (
            format!("a.{}.c", URL_SAFE_NO_PAD.encode("{}")),
            Some(vec![]),
        ),
        (
            format!(
                "a.{}.c",
                URL_SAFE_NO_PAD.encode(r#"{"roles":["A","B"],"x":1}"#)
            ),
            Some(vec!["A", "B"]),
        ),
    ] {
        let answer = Answer::json(
            200,
            json!({"token_type": "Bearer", "access_token": access_token}),
        );
        let server = ScriptedServer::start(move |_seen, _before| answer.clone()).await;
        let client = client(&server.origin, with_secret(), &still());
        let token = client.access_token(&handle()).await.unwrap();
        let read = token
            .permissions()
            .map(|roles| roles.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(read, roles);
    }
}

#[tokio::test]
async fn passing_failures_are_met_again_and_refusals_are_not() {
    let server = ScriptedServer::start(|_seen, before| match before {
        0 => Answer::HangUp,
        1 => Answer::json(503, "<html>"),
        _later => token(before, &json!([])),
    })
    .await;
    client(&server.origin, with_secret(), &still())
        .access_token(&handle())
        .await
        .unwrap();
    assert_eq!(server.seen().len(), 3);

    let down = ScriptedServer::start(|_seen, _before| Answer::json(503, "")).await;
    let error = client(&down.origin, with_secret(), &still())
        .access_token(&handle())
        .await
        .unwrap_err();
    assert!(matches!(error, TokenError::Refused(error) if error.status == Some(503)));
    assert_eq!(down.seen().len(), 3);

    let refusal = json!({"error": "invalid_client", "error_codes": [7_000_222]});
    let refusing = ScriptedServer::start(move |_seen, _before| Answer::json(401, &refusal)).await;
    let client = client(&refusing.origin, with_secret(), &still());
    let handle = handle();
    let asked = (0..8).map(|_| client.access_token(&handle));
    for outcome in futures_util::future::join_all(asked).await {
        assert!(
            matches!(outcome, Err(TokenError::Refused(error)) if error.aadsts == Some(7_000_222))
        );
    }
    assert_eq!(
        refusing.seen().len(),
        1,
        "those who waited share the refusal"
    );
    client.access_token(&handle).await.unwrap_err();
    assert_eq!(refusing.seen().len(), 2, "those who come later ask anew");
}

#[tokio::test]
async fn a_certificate_proves_the_registration_by_an_assertion() {
    let made = first();
    let credential =
        ClientCredential::with_certificate(CLIENT.to_owned(), &secret(&made.pem())).unwrap();
    let server = ScriptedServer::start(|_seen, before| token(before, &json!([]))).await;
    client(&server.origin, credential, &still())
        .access_token(&handle())
        .await
        .unwrap();

    let seen = &server.seen()[0];
    assert_eq!(seen.field("client_secret"), None);
    assert_eq!(seen.field("client_id").as_deref(), Some(CLIENT));
    assert!(
        seen.field("client_assertion_type")
            .unwrap()
            .ends_with(":jwt-bearer")
    );
    let assertion = seen.field("client_assertion").unwrap();
    let header = jsonwebtoken::decode_header(&assertion).unwrap();
    assert_eq!(header.alg, jsonwebtoken::Algorithm::PS256);
    // As openssl computes it.
    assert_eq!(
        header.x5t_s256.as_deref(),
        Some("ujgeazSCnPMHU2TcXd3q25VUeqSWu_glRzqCfTz0lzs")
    );
    let public = jsonwebtoken::DecodingKey::from_rsa_pem(FIRST_PUBLIC_KEY.as_bytes()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::PS256);
    validation.validate_exp = false;
    validation.set_audience(&[format!("{}/{TENANT}/oauth2/v2.0/token", server.origin)]);
    let claims = jsonwebtoken::decode::<Value>(&assertion, &public, &validation)
        .unwrap()
        .claims;
    assert_eq!(
        (claims["iss"].as_str(), claims["sub"].as_str()),
        (Some(CLIENT), Some(CLIENT))
    );
    assert_eq!(
        (claims["iat"].as_i64(), claims["exp"].as_i64()),
        (Some(NOW), Some(NOW + 540))
    );
}

/// A token endpoint at which of two certificates only the older one is registered.
async fn without_the_newest() -> (ScriptedServer, ClientCredential) {
    let server = ScriptedServer::start(|seen, before| {
        let assertion = seen.field("client_assertion").unwrap();
        let header = jsonwebtoken::decode_header(&assertion).unwrap();
        if header.x5t_s256.as_deref() == Some("ujgeazSCnPMHU2TcXd3q25VUeqSWu_glRzqCfTz0lzs") {
            token(before, &json!([]))
        } else {
            Answer::json(
                401,
                json!({"error": "invalid_client", "error_codes": [700_027]}),
            )
        }
    })
    .await;
    let pem = format!("{}{}", second().pem(), first().pem());
    let credential = ClientCredential::with_certificate(CLIENT.to_owned(), &secret(&pem)).unwrap();
    (server, credential)
}

#[tokio::test]
async fn the_next_certificate_is_tried_at_once_when_the_newest_is_not_registered() {
    let (server, credential) = without_the_newest().await;
    let client = client(&server.origin, credential.clone(), &still());
    client.access_token(&handle()).await.unwrap();
    assert_eq!(server.seen().len(), 2, "refused once, then accepted");
    client.access_token(&handle()).await.unwrap();
    assert_eq!(server.seen().len(), 3, "what worked is used first");
    let status = credential.status(DateTime::from_timestamp(NOW, 0).unwrap());
    assert_eq!((status.refusal, status.refused), (None, 1));
}

#[tokio::test]
async fn c19_a_code_whose_certificate_was_refused_is_not_sent_again() {
    let (server, credential) = without_the_newest().await;
    let client = client(&server.origin, credential, &still());
    let (code, verifier) = (secret("c0de"), secret("verifier"));
    let redeemed = client.redeem_code(tenant(), &code, &verifier).await;
    assert!(
        matches!(redeemed, Err(ExchangeError::Refused(error)) if error.aadsts == Some(700_027))
    );
    assert_eq!(server.seen().len(), 1);
    client.access_token(&handle()).await.unwrap();
    assert_eq!(server.seen().len(), 2, "the refusal is remembered");
}

#[tokio::test]
async fn a_certificate_that_is_refused_and_alone_is_sent_once() {
    let (server, _) = without_the_newest().await;
    let pem = secret(&second().pem());
    let credential = ClientCredential::with_certificate(CLIENT.to_owned(), &pem).unwrap();
    let client = client(&server.origin, credential.clone(), &still());
    client.access_token(&handle()).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    let refusal = credential.status(now).refusal.unwrap();
    assert_eq!((refusal.since, refusal.aadsts), (now, Some(700_027)));
}
