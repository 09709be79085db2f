//! The code flow with PKCE, and what the id token says.

use std::collections::BTreeSet;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

use super::*;
use crate::fake_microsoft::login::CONSUMER_TENANT;

/// The claims of an id token after checking it as a client does: with the published keys.
async fn verified(world: &World, segment: &str, token: &str) -> Value {
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let (_, metadata) = world
        .json(&format!("{segment}/v2.0/.well-known/openid-configuration"))
        .await;
    let keys: Value = world
        .get(metadata["jwks_uri"].as_str().unwrap())
        .await
        .json()
        .await
        .unwrap();
    let keys = keys["keys"].as_array().unwrap();
    let key = keys
        .iter()
        .find(|key| key["kid"].as_str() == Some(&kid))
        .expect("a published key");
    let (n, e) = (key["n"].as_str().unwrap(), key["e"].as_str().unwrap());
    let mut checks = Validation::new(Algorithm::RS256);
    checks.set_audience(&[APP]);
    let key = DecodingKey::from_rsa_components(n, e).unwrap();
    decode::<Value>(token, &key, &checks)
        .expect("a valid signature")
        .claims
}

#[tokio::test]
async fn a_code_is_redeemed_for_tokens_that_the_published_keys_verify() {
    let world = World::new(Decision::Accept);
    let visit = Browser::new()
        .open(&world.authorize("contoso.example", &[]))
        .await;
    assert_eq!(visit.status, 0);
    assert!(
        visit.url.starts_with(&format!("{CALLBACK}?code=")),
        "{visit}"
    );
    assert_eq!(visit.parameter("state").as_deref(), Some("st-1"));
    assert!(visit.parameter("session_state").is_some());

    let code = visit.parameter("code").unwrap();
    let (status, answer) = world.redeem(&world.tid(), &code, &[]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(
        answer["scope"],
        "openid profile https://graph.microsoft.com/User.Read"
    );
    let life = answer["expires_in"].as_i64().unwrap();
    assert!((3_600..=5_400).contains(&life));

    let found = verified(&world, &world.tid(), answer["id_token"].as_str().unwrap()).await;
    let admin = world.tenant.people.read().unwrap()[0].clone();
    let issuer = format!("{}/{}/v2.0", world.cloud.login_origin, world.tid());
    assert_eq!(found["iss"], issuer);
    assert_eq!(found["tid"], world.tid());
    assert_eq!(found["oid"], admin.oid.to_string());
    assert_eq!(
        (&found["nonce"], &found["ver"]),
        (&"n-1".into(), &"2.0".into())
    );
    assert_eq!(found["preferred_username"], admin.upn);
    assert_eq!(found["wids"][0], GLOBAL_ADMINISTRATOR.to_string());
    assert_eq!(
        found["exp"].as_i64().unwrap() - found["iat"].as_i64().unwrap(),
        3_900
    );
    assert!(found.get("acct").is_none() && found.get("idp").is_none());

    let tokens = world.cloud.access_tokens.lock().unwrap();
    let token = &tokens[answer["access_token"].as_str().unwrap()];
    assert_eq!(token.person.as_ref().unwrap().upn, admin.upn);
    assert_eq!(token.audience, "https://graph.microsoft.com");
    assert_eq!(token.scopes, BTreeSet::from(["User.Read".to_owned()]));
    assert!(
        world.cloud.violations().is_empty(),
        "{:?}",
        world.cloud.violations()
    );
}

#[tokio::test]
async fn signing_in_creates_a_service_principal_without_application_permissions() {
    let world = World::new(Decision::Accept);
    let before = world.app_only(&world.tid(), &[]).await;
    assert_refused(&before, 400, "unauthorized_client", 700_016);
    world.code(&[]).await;
    let (status, answer) = world.app_only(&world.tid(), &[]).await;
    assert_eq!(status, 200);
    assert!(
        claims(answer["access_token"].as_str().unwrap())
            .get("roles")
            .is_none()
    );
}

#[tokio::test]
async fn roles_are_in_the_token_only_where_the_registration_says_so() {
    let world = World::new(Decision::Accept);
    world.tenant.people.write().unwrap()[0].wids_in_token = false;
    let code = world.code(&[]).await;
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    assert!(
        claims(answer["id_token"].as_str().unwrap())
            .get("wids")
            .is_none()
    );
}

#[tokio::test]
async fn a_guest_signs_in_to_the_tenant_visited_and_the_token_says_who_authenticated() {
    let world = World::new(Decision::AcceptAs("admin@fabrikam.example".to_owned()));
    let home = world.second_tenant();
    let mut guest = person(
        "admin_fabrikam.example#EXT#@contoso.onmicrosoft.com",
        Vec::new(),
    );
    guest.guest = true;
    world.tenant.people.write().unwrap().push(guest);
    let code = world.code(&[]).await;
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    let found = claims(answer["id_token"].as_str().unwrap());
    assert_eq!(found["tid"], world.tid());
    assert_eq!(found["acct"], 1);
    assert_eq!(
        found["idp"],
        format!("https://sts.windows.net/{}/", home.id)
    );
}

#[tokio::test]
async fn a_personal_account_carries_the_consumer_tenant_and_its_key() {
    let world = World::new(Decision::AcceptAs("someone@live.example".to_owned()));
    let mut someone = person("someone@live.example", Vec::new());
    someone.personal = true;
    world.tenant.people.write().unwrap().push(someone);
    let code = world.code(&[]).await;
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    let found = verified(&world, "common", answer["id_token"].as_str().unwrap()).await;
    assert_eq!(found["tid"], CONSUMER_TENANT.to_string());
    assert!(
        found["iss"]
            .as_str()
            .unwrap()
            .contains(&CONSUMER_TENANT.to_string())
    );
}

#[tokio::test]
async fn somebody_of_another_tenant_is_refused_on_microsofts_own_page() {
    for upn in ["admin@fabrikam.example", "nobody@nowhere.example"] {
        let world = World::new(Decision::AcceptAs(upn.to_owned()));
        world.second_tenant();
        let visit = Browser::new()
            .open(&world.authorize(&world.tid(), &[]))
            .await;
        assert!(visit.url.starts_with(&world.cloud.login_origin), "{visit}");
        assert_eq!(visit.status, 400);
        assert!(visit.text().contains("AADSTS50"), "{visit}");
    }
}

#[tokio::test]
async fn cancelling_the_sign_in_comes_back_without_a_description() {
    let world = World::new(Decision::CancelSignIn);
    let visit = Browser::new()
        .open(&world.authorize(&world.tid(), &[]))
        .await;
    assert_eq!(
        visit.url,
        format!("{CALLBACK}?error=access_denied&error_subcode=cancel&state=st-1")
    );
}

#[tokio::test]
async fn declining_matters_only_where_consent_is_asked_for() {
    let world = World::new(Decision::DeclineConsent);
    world.code(&[]).await;
    let asking = world.authorize(&world.tid(), &[("prompt", "consent")]);
    let visit = Browser::new().open(&asking).await;
    assert_eq!(visit.parameter("error").as_deref(), Some("access_denied"));
    assert!(
        visit
            .parameter("error_description")
            .unwrap()
            .starts_with("AADSTS65004: ")
    );
}

#[tokio::test]
async fn delegated_permissions_of_the_organisation_need_an_administrator() {
    let world = World::new(Decision::AcceptAs("user@contoso.example".to_owned()));
    world
        .tenant
        .people
        .write()
        .unwrap()
        .push(person("user@contoso.example", Vec::new()));
    let scope = ("scope", "openid profile User.Read.All");
    let visit = Browser::new()
        .open(&world.authorize(&world.tid(), &[scope]))
        .await;
    assert!(
        visit
            .parameter("error_description")
            .unwrap()
            .starts_with("AADSTS90094: "),
        "{visit}"
    );

    *world.tenant.decision.write().unwrap() = Decision::Accept;
    let code = world.code(&[scope]).await;
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    assert_eq!(
        claims(answer["access_token"].as_str().unwrap())["scp"],
        "User.Read.All"
    );
}
