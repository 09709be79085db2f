//! What the authorization endpoint refuses, and what it only notes down.

use super::*;
use crate::fake_microsoft::login::{Endpoint, script_error};

/// Opens a changed request and expects Microsoft's own page with this number.
async fn stays_on_page(world: &World, segment: &str, changes: &[(&str, &str)], aadsts: u32) {
    let response = world.get(&world.authorize(segment, changes)).await;
    assert_eq!(response.status(), 400, "{changes:?}");
    assert!(response.headers().get("location").is_none());
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/html"));
    let body = response.text().await.unwrap();
    assert!(
        body.contains(&format!("AADSTS{aadsts}: ")),
        "{changes:?}: {body}"
    );
}

/// Opens a changed request and expects this `error` and number at the redirect URI.
async fn comes_back(world: &World, changes: &[(&str, &str)], error: &str, aadsts: u32) {
    let visit = Browser::new()
        .open(&world.authorize(&world.tid(), changes))
        .await;
    assert!(visit.url.starts_with(CALLBACK), "{changes:?}: {visit}");
    assert_eq!(
        visit.parameter("error").as_deref(),
        Some(error),
        "{changes:?}: {visit}"
    );
    let text = visit.parameter("error_description").unwrap();
    assert!(
        text.starts_with(&format!("AADSTS{aadsts}: ")),
        "{changes:?}: {text}"
    );
    assert!(text.contains("\r\nTrace ID: "), "{text}");
    assert_eq!(visit.parameter("state").as_deref(), Some("st-1"));
    assert!(visit.parameter("code").is_none());
}

#[tokio::test]
async fn a_redirect_uri_that_is_not_registered_is_never_redirected_to() {
    let world = World::new(Decision::Accept);
    let tid = world.tid();
    for address in [
        "http://localhost:9/api/msp-portal/tenants/callback/",
        "http://localhost:9/api/msp-portal/tenants/Callback",
        "http://localhost:9/api/msp-portal/tenants/callback?x=1",
        "http://localhost.evil.example:9/api/msp-portal/tenants/callback",
        "https://localhost:9/api/msp-portal/tenants/callback",
        "http://127.0.0.1:9/api/msp-portal/tenants/callback",
    ] {
        stays_on_page(&world, &tid, &[("redirect_uri", address)], 50_011).await;
    }
    stays_on_page(&world, &tid, &[("redirect_uri", "")], 900_144).await;
}

#[tokio::test]
async fn the_port_of_localhost_does_not_matter() {
    let world = World::new(Decision::Accept);
    let elsewhere = CALLBACK.replace(":9/", ":10/");
    let url = world.authorize(&world.tid(), &[("redirect_uri", &elsewhere)]);
    let visit = Browser::new().open(&url).await;
    assert!(
        visit.url.starts_with(&format!("{elsewhere}?code=")),
        "{visit}"
    );
}

#[tokio::test]
async fn an_unknown_client_or_tenant_stays_on_the_page() {
    let world = World::new(Decision::Accept);
    let tid = world.tid();
    stays_on_page(
        &world,
        &tid,
        &[("client_id", "22220000-aaaa-4bbb-8ccc-000000000002")],
        700_016,
    )
    .await;
    stays_on_page(&world, &tid, &[("client_id", "")], 900_144).await;
    stays_on_page(&world, "nosuch.example", &[], 90_002).await;
    stays_on_page(&world, "nodots", &[], 900_023).await;
    let twice = format!("{}&state=other", world.authorize(&tid, &[]));
    let body = world.get(&twice).await.text().await.unwrap();
    assert!(body.contains("AADSTS9000411: "), "{body}");
}

#[tokio::test]
async fn malformed_requests_come_back_with_an_error_and_the_state() {
    let world = World::new(Decision::Accept);
    let cases: &[(Changes<'_>, &str, u32)] = &[
        (&[("response_type", "")], "invalid_request", 900_144),
        (
            &[("response_type", "code id_token")],
            "unsupported_response_type",
            700_054,
        ),
        (
            &[("response_type", "token")],
            "unsupported_response_type",
            90_023,
        ),
        (
            &[("response_mode", "web_message")],
            "invalid_request",
            70_007,
        ),
        (&[("scope", "")], "invalid_request", 900_144),
        (
            &[(
                "scope",
                "openid https://graph.microsoft.com/.default User.Read",
            )],
            "invalid_scope",
            70_011,
        ),
        (
            &[("scope", "openid https://graph.microsoft.us/User.Read")],
            "invalid_resource",
            500_011,
        ),
        (&[("prompt", "admin_consent")], "invalid_request", 90_023),
        (&[("prompt", "none")], "login_required", 50_058),
        (
            &[("login_hint", "admin@contoso.example")],
            "invalid_request",
            90_005,
        ),
        (&[("code_challenge", "short")], "invalid_request", 501_491),
        (
            &[
                ("code_challenge", "short"),
                ("code_challenge_method", "plain"),
            ],
            "invalid_request",
            50_147,
        ),
        (
            &[("code_challenge_method", "S512")],
            "invalid_request",
            9_002_313,
        ),
    ];
    for (changes, error, aadsts) in cases {
        comes_back(&world, changes, error, *aadsts).await;
    }
}

#[tokio::test]
async fn a_scripted_failure_comes_back_once() {
    let world = World::new(Decision::Accept);
    script_error(&world.cloud, Endpoint::Authorize, None, 90_033, 1);
    comes_back(&world, &[], "temporarily_unavailable", 90_033).await;
    world.code(&[]).await;
}

#[tokio::test]
async fn c7_what_a_client_must_not_do_is_recorded() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("state", "")], "no state"),
        (&[("nonce", "")], "no nonce"),
        (&[("scope", "profile User.Read")], "scope without openid"),
        (
            &[("response_mode", "form_post")],
            "response_mode is not query",
        ),
        (&[("code_challenge", "")], "no code_challenge"),
        (
            &[("code_challenge", VERIFIER), ("code_challenge_method", "")],
            "code_challenge_method is not S256",
        ),
        (
            &[
                ("code_challenge", VERIFIER),
                ("code_challenge_method", "plain"),
            ],
            "code_challenge_method is not S256",
        ),
    ];
    for (changes, expected) in cases {
        let world = World::new(Decision::Accept);
        world.get(&world.authorize(&world.tid(), changes)).await;
        let found = world.cloud.violations();
        assert!(
            found.len() == 1 && found[0].ends_with(expected),
            "{changes:?}: {found:?}"
        );
    }
    let world = World::new(Decision::Accept);
    world.get(&world.authorize("organizations", &[])).await;
    assert!(world.cloud.violations()[0].ends_with("sign-in at a generic authority"));
}

#[tokio::test]
async fn a_missing_challenge_method_means_plain() {
    let world = World::new(Decision::Accept);
    let code = world
        .code(&[("code_challenge", VERIFIER), ("code_challenge_method", "")])
        .await;
    let (status, _) = world.redeem(&world.tid(), &code, &[]).await;
    assert_eq!(status, 200);
}
