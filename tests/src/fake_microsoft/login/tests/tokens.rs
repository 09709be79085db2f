//! What the token endpoint gives and refuses.

use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use serde_json::json;

use super::*;
use crate::fake_microsoft::{
    faults::{Fault, FaultRule},
    login::{
        Endpoint, expire_certificate, expire_secret, register_certificate, script_error, secret_id,
    },
    national::NationalCloud,
};

const CERTIFICATE: &str = include_str!("../test_keys/unpublished.crt.pem");
const OTHER_CERTIFICATE: &str = include_str!("../test_keys/older.crt.pem");
const CERTIFICATE_KEY: &str = include_str!("../test_keys/unpublished.key.pem");

#[tokio::test]
async fn c19_a_code_is_redeemed_once() {
    let world = World::new(Decision::Accept);
    let code = world.code(&[]).await;
    assert_eq!(world.redeem(&world.tid(), &code, &[]).await.0, 200);
    let again = world.redeem(&world.tid(), &code, &[]).await;
    assert_refused(&again, 400, "invalid_grant", 54_005);
}

#[tokio::test]
async fn c7_a_code_needs_its_verifier() {
    let world = World::new(Decision::Accept);
    let tid = world.tid();
    let code = world.code(&[]).await;
    let other = "x".repeat(43);
    let wrong = world
        .redeem(&tid, &code, &[("code_verifier", &other)])
        .await;
    assert_refused(&wrong, 400, "invalid_grant", 501_481);
    let short = world
        .redeem(&tid, &code, &[("code_verifier", "short")])
        .await;
    assert_refused(&short, 400, "invalid_request", 501_491);
    let none = world.redeem(&tid, &code, &[("code_verifier", "")]).await;
    assert_refused(&none, 400, "invalid_grant", 900_144);
    let unasked = world
        .code(&[("code_challenge", ""), ("code_challenge_method", "")])
        .await;
    let unasked = world.redeem(&tid, &unasked, &[]).await;
    assert_refused(&unasked, 400, "invalid_request", 501_481);
    assert_eq!(world.redeem(&tid, &code, &[]).await.0, 200);
}

#[tokio::test]
async fn a_code_is_bound_to_tenant_client_redirect_uri_and_time() {
    let world = World::new(Decision::Accept);
    let second = world.second_tenant();
    let other = "33330000-aaaa-4bbb-8ccc-000000000003";
    world.fake.register_app(other, SECRET, CALLBACK);
    let code = world.code(&[]).await;
    let tid = world.tid();
    let answer = world.redeem(&second.id.to_string(), &code, &[]).await;
    assert_refused(&answer, 400, "invalid_grant", 700_005);
    let answer = world.redeem(&tid, &code, &[("client_id", other)]).await;
    assert_refused(&answer, 400, "invalid_grant", 70_000);
    let answer = world
        .redeem(&tid, &code, &[("redirect_uri", "http://localhost:9/else")])
        .await;
    assert_refused(&answer, 401, "invalid_client", 500_112);
    let answer = world.redeem(&tid, "made.up", &[]).await;
    assert_refused(&answer, 400, "invalid_grant", 70_000);
    let answer = world
        .redeem(&tid, &code, &[("scope", "https://other.example/User.Read")])
        .await;
    assert_refused(&answer, 400, "invalid_scope", 70_011);
    world.cloud.advance_seconds(601);
    let answer = world.redeem(&tid, &code, &[]).await;
    assert_refused(&answer, 400, "invalid_grant", 70_008);
}

#[tokio::test]
async fn a_withdrawn_consent_ends_the_redemption() {
    let world = World::new(Decision::Accept);
    let code = world.code(&[]).await;
    world.tenant.grants.lock().unwrap().clear();
    let answer = world.redeem(&world.tid(), &code, &[]).await;
    assert_refused(&answer, 400, "invalid_grant", 65_001);
}

#[tokio::test]
async fn wrong_missing_and_expired_secrets_are_told_apart() {
    let world = World::new(Decision::Accept);
    world.consent_answer(&[]).await;
    let tid = world.tid();
    let answer = world.app_only(&tid, &[("client_secret", "wrong")]).await;
    assert_refused(&answer, 401, "invalid_client", 7_000_215);
    let answer = world.app_only(&tid, &[("client_secret", "")]).await;
    assert_refused(&answer, 401, "invalid_client", 7_000_218);
    script_error(&world.cloud, Endpoint::Token, Some(&tid), 7_000_222, 1);
    let answer = world.app_only("contoso.example", &[]).await;
    assert_refused(&answer, 401, "invalid_client", 7_000_222);
    assert_eq!(world.app_only(&tid, &[]).await.0, 200);
}

#[tokio::test]
async fn the_id_of_a_secret_is_not_its_value_and_secrets_expire() {
    let world = World::new(Decision::Accept);
    world.consent_answer(&[]).await;
    let tid = world.tid();
    let id = secret_id(APP).to_string();
    let answer = world.app_only(&tid, &[("client_secret", &id)]).await;
    assert_refused(&answer, 401, "invalid_client", 7_000_215);
    expire_secret(&world.cloud, APP);
    let answer = world.app_only(&tid, &[]).await;
    assert_refused(&answer, 401, "invalid_client", 7_000_222);
    let answer = world.app_only(&tid, &[("client_secret", "wrong")]).await;
    assert_refused(&answer, 401, "invalid_client", 7_000_215);
}

#[tokio::test]
async fn a_registration_of_one_tenant_works_there_alone() {
    let world = World::new(Decision::Accept);
    let second = world.second_tenant();
    let own = "44440000-aaaa-4bbb-8ccc-000000000004";
    let roles = ["User.Read.All", "User.ReadWrite.All"];
    world
        .fake
        .register_tenant_app(&world.tenant, own, "own secret", &roles);
    let with = [("client_id", own), ("client_secret", "own secret")];
    let (status, answer) = world.app_only(&world.tid(), &with).await;
    assert_eq!(status, 200, "{answer}");
    let found = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(found["roles"], json!(roles));
    let elsewhere = world.app_only(&second.id.to_string(), &with).await;
    assert_refused(&elsewhere, 400, "unauthorized_client", 700_016);
    let generic = world.app_only("organizations", &with).await;
    assert_refused(&generic, 400, "invalid_request", 50_059);
    let nowhere = world.authorize("organizations", &[("client_id", own)]);
    let body = world.get(&nowhere).await.text().await.unwrap();
    assert!(body.contains("AADSTS50194: "), "{body}");
    // The MSP's own registration has nothing to do with it.
    let other = world.app_only(&world.tid(), &[]).await;
    assert_refused(&other, 400, "unauthorized_client", 700_016);
}

#[tokio::test]
async fn http_basic_is_accepted_with_encoded_parts() {
    let world = World::new(Decision::Accept);
    world.consent_answer(&[]).await;
    let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let basic = STANDARD.encode(format!("{APP}:{encoded}"));
    let url = format!(
        "{}/{}/oauth2/v2.0/token",
        world.cloud.login_origin,
        world.tid()
    );
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", APP),
        ("scope", GRAPH_DEFAULT),
    ];
    let request = world
        .http
        .post(url)
        .header("authorization", format!("Basic {basic}"));
    let response = request.form(&fields).send().await.unwrap();
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
}

#[tokio::test]
async fn app_only_tokens_need_a_concrete_tenant_and_one_default_scope() {
    let world = World::new(Decision::Accept);
    world.consent_answer(&[]).await;
    let tid = world.tid();
    let cases: &[(&str, Changes<'_>, &str, u32)] = &[
        ("common", &[], "invalid_request", 9_001_023),
        ("consumers", &[], "invalid_request", 9_001_023),
        ("organizations", &[], "invalid_request", 50_059),
        ("nosuch.example", &[], "invalid_request", 90_002),
        (&tid, &[("scope", "")], "invalid_request", 900_144),
        (
            &tid,
            &[("scope", "https://graph.microsoft.com/User.Read.All")],
            "invalid_scope",
            1_002_012,
        ),
        (
            &tid,
            &[("scope", "https://graph.microsoft.com/.default openid")],
            "invalid_scope",
            70_011,
        ),
        (
            &tid,
            &[("scope", "https://graph.microsoft.us/.default")],
            "invalid_resource",
            500_011,
        ),
        (
            &tid,
            &[("scope", "http://127.0.0.1:1/.default")],
            "invalid_resource",
            500_011,
        ),
        (&tid, &[("client_id", "")], "invalid_request", 900_144),
        (
            &tid,
            &[("client_id", "nobody")],
            "unauthorized_client",
            700_016,
        ),
        (&tid, &[("grant_type", "")], "invalid_request", 900_144),
        (
            &tid,
            &[("grant_type", "refresh_token")],
            "invalid_request",
            900_144,
        ),
        (
            &tid,
            &[("grant_type", "password")],
            "unsupported_grant_type",
            70_003,
        ),
    ];
    for (segment, changes, error, aadsts) in cases {
        assert_refused(&world.app_only(segment, changes).await, 400, error, *aadsts);
    }
}

#[tokio::test]
async fn another_cloud_has_another_graph() {
    let world = World::new(Decision::Accept);
    world.cloud.play(NationalCloud::UsGov);
    let scope = "https://graph.microsoft.us/.default";
    let visit = world.consent_answer(&[("scope", scope)]).await;
    assert!(visit.parameter("tenant").is_some(), "{visit}");
    let (status, answer) = world.app_only(&world.tid(), &[("scope", scope)]).await;
    assert_eq!(status, 200);
    assert_eq!(
        claims(answer["access_token"].as_str().unwrap())["aud"],
        "https://graph.microsoft.us"
    );
    let answer = world.app_only(&world.tid(), &[]).await;
    assert_refused(&answer, 400, "invalid_resource", 500_011);
}

#[tokio::test]
async fn requests_that_are_no_forms_or_no_posts_are_refused() {
    let world = World::new(Decision::Accept);
    let path = format!("{}/oauth2/v2.0/token", world.tid());
    assert_refused(&world.json(&path).await, 400, "invalid_request", 900_561);
    let url = format!("{}/{path}", world.cloud.login_origin);
    let body = json!({"grant_type": "client_credentials"});
    let response = world.http.post(&url).json(&body).send().await.unwrap();
    let answer = (response.status().as_u16(), response.json().await.unwrap());
    assert_refused(&answer, 400, "invalid_request", 900_144);
    let twice = [
        ("grant_type", "client_credentials"),
        ("grant_type", "client_credentials"),
    ];
    assert_refused(
        &world.token(&world.tid(), &twice).await,
        400,
        "invalid_request",
        9_000_411,
    );
    assert_eq!(world.cloud.violations().len(), 1);
}

#[tokio::test]
async fn app_only_tokens_are_known_to_graph_and_carry_what_was_granted() {
    let world = World::new(Decision::Accept);
    world.consent_answer(&[]).await;
    let (_, answer) = world.app_only("contoso.example", &[]).await;
    assert!(answer.get("id_token").is_none() && answer.get("refresh_token").is_none());
    let text = answer["access_token"].as_str().unwrap();
    let found = claims(text);
    assert_eq!(found["tid"], world.tid());
    assert_eq!(
        (&found["appid"], &found["idtyp"]),
        (&json!(APP), &json!("app"))
    );
    assert_eq!(found["aud"], "https://graph.microsoft.com");
    let tokens = world.cloud.access_tokens.lock().unwrap();
    let token = &tokens[text];
    assert_eq!(
        (token.tenant, token.person.is_none()),
        (world.tenant.id, true)
    );
    assert_eq!(token.expires_at, found["exp"].as_i64().unwrap());
    assert!(token.roles.contains("User.Read.All"));
}

#[tokio::test]
async fn v9_the_log_keeps_every_request_and_no_secret() {
    let world = World::new(Decision::Accept);
    let code = world.code(&[]).await;
    world.redeem(&world.tid(), &code, &[]).await;
    let log = world.cloud.requests();
    let last = log.last().unwrap();
    assert_eq!(
        (last.server, last.method.as_str(), last.status),
        ("login", "POST", 200)
    );
    assert_eq!(last.tenant, Some(world.tenant.id));
    let form = last.form.as_deref().unwrap();
    for secret in [VERIFIER, "s3cret", code.as_str()] {
        assert!(!form.contains(secret), "{form}");
    }
    assert!(form.contains("client_secret=***") && form.contains("grant_type=authorization_code"));
    assert_eq!(log[0].status, 302);
}

#[tokio::test]
async fn c19_a_lost_answer_leaves_the_code_redeemed() {
    let world = World::new(Decision::Accept);
    let code = world.code(&[]).await;
    let path_contains = "/oauth2/v2.0/token".to_owned();
    world.cloud.faults.script(FaultRule {
        server: "login",
        path_contains,
        tenant: Some(world.tenant.id),
        skip: 0,
        times: 1,
        fault: Fault::DropAfterEffect,
    });
    let url = format!(
        "{}/{}/oauth2/v2.0/token",
        world.cloud.login_origin,
        world.tid()
    );
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", APP),
        ("client_secret", SECRET),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    assert!(world.http.post(url).form(&fields).send().await.is_err());
    let again = world.redeem(&world.tid(), &code, &[]).await;
    assert_refused(&again, 400, "invalid_grant", 54_005);
}

/// A client assertion with some claims replaced.
fn assertion(world: &World, changes: &Value) -> String {
    let der = CERTIFICATE
        .split("-----")
        .nth(2)
        .unwrap()
        .split_whitespace()
        .collect::<String>();
    let der = STANDARD.decode(der).unwrap();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    let header = json!({"typ": "JWT", "alg": "PS256", "x5t#S256": URL_SAFE_NO_PAD.encode(hash)});
    let now = world.cloud.now_unix();
    let endpoint = format!(
        "{}/{}/oauth2/v2.0/token",
        world.cloud.login_origin,
        world.tid()
    );
    let mut claims = json!({
        "aud": endpoint, "iss": APP, "sub": APP, "jti": Uuid::new_v4(),
        "nbf": now, "iat": now, "exp": now + 300,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let key = EncodingKey::from_rsa_pem(CERTIFICATE_KEY.as_bytes()).unwrap();
    let signature = sign(message.as_bytes(), &key, Algorithm::PS256).unwrap();
    format!("{message}.{signature}")
}

#[tokio::test]
async fn a_certificate_proves_the_app_as_a_secret_does() {
    let world = World::new(Decision::Accept);
    world.consent_answer(&[]).await;
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let ask = async |text: &str| {
        let with = [
            ("client_secret", ""),
            ("client_assertion_type", kind),
            ("client_assertion", text),
        ];
        world.app_only(&world.tid(), &with).await
    };
    let genuine = assertion(&world, &json!({}));
    assert_refused(&ask(&genuine).await, 401, "invalid_client", 700_027);
    register_certificate(&world.cloud, APP, CERTIFICATE);
    assert_eq!(ask(&genuine).await.0, 200);
    assert!(world.cloud.violations().is_empty());

    let broken = format!("{}AAAA", &genuine[..genuine.len() - 4]);
    assert_refused(&ask(&broken).await, 401, "invalid_client", 700_027);
    let elsewhere = assertion(
        &world,
        &json!({"aud": "https://login.microsoftonline.com/x"}),
    );
    assert_refused(&ask(&elsewhere).await, 401, "invalid_client", 50_012);
    let foreign = assertion(&world, &json!({"sub": "other"}));
    assert_refused(&ask(&foreign).await, 401, "invalid_client", 50_012);
    let old = assertion(&world, &json!({"nbf": 1, "exp": 2}));
    assert_refused(&ask(&old).await, 401, "invalid_client", 700_024);
    assert_eq!(ask(&genuine).await.0, 200);
    assert!(
        world.cloud.violations()[0].contains("jti"),
        "a reused assertion is noted"
    );

    expire_certificate(&world.cloud, APP);
    assert_refused(&ask(&genuine).await, 401, "invalid_client", 7_000_222);
    register_certificate(&world.cloud, APP, OTHER_CERTIFICATE);
    assert_refused(&ask(&genuine).await, 401, "invalid_client", 7_000_222);
}
