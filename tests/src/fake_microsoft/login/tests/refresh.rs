//! Refresh tokens: what they give, how they end, and how answers get lost.

use super::*;
use crate::fake_microsoft::{
    faults::{Fault, FaultRule},
    login::{
        Endpoint, RefreshRotation, delete_service_principal, end_refresh_tokens,
        issued_refresh_tokens, live_refresh_tokens, refresh_requests, require_mfa,
        revoke_refresh_tokens, script_error, set_conditional_access_block, set_refresh_rotation,
        set_user_enabled, withdraw_consent,
    },
};

const SCOPE: &str = "openid profile offline_access User.Read.All Group.Read.All";
const NINETY_DAYS: i64 = 90 * 24 * 3_600;

impl World {
    /// A refresh token of the administrator, who consented.
    async fn signed_in(&self) -> String {
        let code = self.code(&[("scope", SCOPE), ("prompt", "consent")]).await;
        let (status, answer) = self.redeem(&self.tid(), &code, &[]).await;
        assert_eq!(status, 200, "{answer}");
        answer["refresh_token"].as_str().unwrap().to_owned()
    }

    /// A correct refresh, changed likewise.
    async fn refresh(&self, segment: &str, token: &str, changes: Changes<'_>) -> (u16, Value) {
        let correct = [
            ("grant_type", "refresh_token"),
            ("client_id", APP),
            ("client_secret", SECRET),
            ("refresh_token", token),
        ];
        self.token(segment, &changed(&correct, changes)).await
    }

    /// A refresh that has to work; the new refresh token.
    async fn refreshed(&self, token: &str) -> String {
        let (status, answer) = self.refresh(&self.tid(), token, &[]).await;
        assert_eq!(status, 200, "{answer}");
        answer["refresh_token"].as_str().unwrap().to_owned()
    }

    async fn refresh_refused(&self, token: &str, aadsts: u32) -> Value {
        let answer = self.refresh(&self.tid(), token, &[]).await;
        assert_refused(&answer, 400, "invalid_grant", aadsts);
        answer.1
    }
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_leaves_the_old_one_good() {
    let world = World::new(Decision::Accept);
    let first = world.signed_in().await;
    let (status, answer) = world.refresh(&world.tid(), &first, &[]).await;
    assert_eq!(status, 200, "{answer}");
    let second = answer["refresh_token"].as_str().unwrap();
    assert_ne!(second, first);
    let access = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(access["scp"], "Group.Read.All User.Read.All");
    assert_eq!(access["idtyp"], "user");
    let id = claims(answer["id_token"].as_str().unwrap());
    assert_eq!(id["tid"], world.tid());
    assert!(id.get("nonce").is_none(), "{id}");
    assert!(
        answer["scope"]
            .as_str()
            .unwrap()
            .ends_with("/User.Read.All")
    );
    world.refreshed(&first).await;
    world.refreshed(second).await;
    assert_eq!(live_refresh_tokens(&world.cloud, world.tenant.id), 4);
    assert_eq!(
        issued_refresh_tokens(&world.cloud, world.tenant.id).len(),
        4
    );
    assert_eq!(refresh_requests(&world.cloud, world.tenant.id), 3);
    let log = world.cloud.requests();
    let form = log.last().unwrap().form.as_deref().unwrap();
    assert!(form.contains("refresh_token=***"), "{form}");
}

#[tokio::test]
async fn a_scope_asks_for_less_and_for_nothing_that_is_not_granted() {
    let world = World::new(Decision::Accept);
    let token = world.signed_in().await;
    let tid = world.tid();
    let ask = async |scope: &str| world.refresh(&tid, &token, &[("scope", scope)]).await;
    let (status, answer) = ask("https://graph.microsoft.com/User.Read.All").await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.get("id_token").is_none() && answer["refresh_token"].is_string());
    assert_eq!(
        ask("openid https://graph.microsoft.com/.default").await.0,
        200
    );
    assert_eq!(ask("User.Read.All offline_access").await.0, 200);
    let more = ask("User.Read.All Mail.Read").await;
    assert_refused(&more, 400, "invalid_grant", 65_001);
    for foreign in [
        "https://other.example/.default",
        "https://graph.microsoft.us/User.Read.All",
    ] {
        assert_refused(&ask(foreign).await, 400, "invalid_scope", 70_011);
    }
}

#[tokio::test]
async fn a_strict_service_takes_a_token_once_and_its_reuse_ends_the_family() {
    let world = World::new(Decision::Accept);
    set_refresh_rotation(&world.cloud, RefreshRotation::Strict);
    let other_sign_in = world.signed_in().await;
    let first = world.signed_in().await;
    let second = world.refreshed(&first).await;
    let third = world.refreshed(&second).await;
    assert_eq!(live_refresh_tokens(&world.cloud, world.tenant.id), 2);
    world.refresh_refused(&first, 70_000).await;
    world.refresh_refused(&third, 70_000).await;
    assert_eq!(live_refresh_tokens(&world.cloud, world.tenant.id), 1);
    world.refreshed(&other_sign_in).await;
}

#[tokio::test]
async fn a_lost_answer_leaves_the_old_token_good_only_where_the_service_is_lenient() {
    for rotation in [RefreshRotation::Lenient, RefreshRotation::Strict] {
        let world = World::new(Decision::Accept);
        set_refresh_rotation(&world.cloud, rotation);
        let token = world.signed_in().await;
        let lost = FaultRule::once("login", "/oauth2/v2.0/token", Fault::DropAfterEffect);
        world.cloud.faults.script(lost);
        let url = format!(
            "{}/{}/oauth2/v2.0/token",
            world.cloud.login_origin,
            world.tid()
        );
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", APP),
            ("client_secret", SECRET),
            ("refresh_token", token.as_str()),
        ];
        assert!(world.http.post(url).form(&fields).send().await.is_err());
        assert_eq!(
            issued_refresh_tokens(&world.cloud, world.tenant.id).len(),
            2
        );
        match rotation {
            RefreshRotation::Lenient => {
                world.refreshed(&token).await;
            }
            RefreshRotation::Strict => {
                world.refresh_refused(&token, 70_000).await;
                assert_eq!(live_refresh_tokens(&world.cloud, world.tenant.id), 0);
            }
        }
    }
}

#[tokio::test]
async fn ninety_days_without_use_end_a_token() {
    let world = World::new(Decision::Accept);
    let first = world.signed_in().await;
    world.cloud.advance_seconds(NINETY_DAYS - 60);
    let second = world.refreshed(&first).await;
    world.cloud.advance_seconds(120);
    world.refresh_refused(&first, 700_082).await;
    assert_eq!(live_refresh_tokens(&world.cloud, world.tenant.id), 1);
    world.refreshed(&second).await;
}

#[tokio::test]
async fn revoked_and_expired_tokens_are_told_apart_and_a_new_sign_in_helps() {
    let world = World::new(Decision::Accept);
    let token = world.signed_in().await;
    revoke_refresh_tokens(&world.cloud, world.tenant.id);
    world.refresh_refused(&token, 50_173).await;
    for aadsts in [70_008, 70_043] {
        let token = world.signed_in().await;
        end_refresh_tokens(&world.cloud, world.tenant.id, aadsts);
        world.refresh_refused(&token, aadsts).await;
    }
    assert_eq!(live_refresh_tokens(&world.cloud, world.tenant.id), 0);
    let token = world.signed_in().await;
    world.refreshed(&token).await;
    script_error(&world.cloud, Endpoint::Token, None, 90_033, 1);
    let answer = world.refresh(&world.tid(), &token, &[]).await;
    assert_refused(&answer, 503, "temporarily_unavailable", 90_033);
}

#[tokio::test]
async fn a_token_is_of_one_client_and_of_this_service() {
    let world = World::new(Decision::Accept);
    let other = "33330000-aaaa-4bbb-8ccc-000000000003";
    world.fake.register_app(other, SECRET, CALLBACK);
    let token = world.signed_in().await;
    let tid = world.tid();
    let answer = world.refresh(&tid, &token, &[("client_id", other)]).await;
    assert_refused(&answer, 400, "invalid_grant", 70_000);
    world.refresh_refused("AAAA", 9_002_313).await;
    let altered = token.replacen("1.", "1.x", 1);
    world.refresh_refused(&altered, 70_000).await;
    let wrong = world.refresh(&tid, &token, &[("client_secret", "x")]).await;
    assert_refused(&wrong, 401, "invalid_client", 7_000_215);
    world.refreshed(&token).await;
}

#[tokio::test]
async fn a_token_opens_every_tenant_where_the_user_has_an_account_and_no_other() {
    let world = World::new(Decision::Accept);
    let second = world.second_tenant();
    let segment = second.id.to_string();
    let token = world.signed_in().await;
    let answer = world.refresh(&segment, &token, &[]).await;
    assert_refused(&answer, 400, "invalid_grant", 50_020);
    let guest = Person {
        guest: true,
        ..person("admin_contoso.example#EXT#@fabrikam.example", Vec::new())
    };
    second.people.write().unwrap().push(guest.clone());
    let answer = world.refresh(&segment, &token, &[]).await;
    assert_refused(&answer, 400, "unauthorized_client", 700_016);
    Browser::new().open(&world.consent(&segment, &[])).await;
    let (status, answer) = world.refresh(&segment, &token, &[]).await;
    assert_eq!(status, 200, "{answer}");
    let access = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(
        (&access["tid"], &access["oid"]),
        (&segment.into(), &guest.oid.to_string().into())
    );
    assert_eq!(world.refresh("organizations", &token, &[]).await.0, 200);
    let consumers = world.refresh("consumers", &token, &[]).await;
    assert_refused(&consumers, 400, "invalid_grant", 50_020);
    world.tenant.people.write().unwrap().clear();
    world.refresh_refused(&token, 50_034).await;
}

#[tokio::test]
async fn what_changed_in_the_tenant_stops_a_good_token() {
    let world = World::new(Decision::Accept);
    let token = world.signed_in().await;
    let (cloud, id) = (&world.cloud, world.tenant.id);
    let oid = world.tenant.people.read().unwrap()[0].oid;
    set_user_enabled(cloud, &world.tenant, oid, false);
    world.refresh_refused(&token, 50_057).await;
    set_user_enabled(cloud, &world.tenant, oid, true);

    set_conditional_access_block(cloud, id, true);
    let body = world.refresh_refused(&token, 53_003).await;
    assert_eq!(body["suberror"], "message_only");
    set_conditional_access_block(cloud, id, false);
    world.refreshed(&token).await;

    withdraw_consent(&world.tenant, APP);
    let body = world.refresh_refused(&token, 65_001).await;
    assert_eq!(body["suberror"], "consent_required");
    delete_service_principal(&world.tenant, APP);
    let answer = world.refresh(&world.tid(), &token, &[]).await;
    assert_refused(&answer, 400, "unauthorized_client", 700_016);

    world.signed_in().await;
    world.refreshed(&token).await;
}

#[tokio::test]
async fn multifactor_authentication_wanted_later_needs_a_sign_in() {
    for error in ["invalid_grant", "interaction_required"] {
        let world = World::new(Decision::Accept);
        let token = world.signed_in().await;
        require_mfa(&world.cloud, world.tenant.id, error);
        let answer = world.refresh(&world.tid(), &token, &[]).await;
        assert_refused(&answer, 400, error, 50_076);
        let challenge: Value = serde_json::from_str(answer.1["claims"].as_str().unwrap()).unwrap();
        assert!(
            challenge["access_token"]["capolids"]["essential"] == true,
            "{challenge}"
        );
        assert_eq!(answer.1["suberror"], "basic_action");
        let token = world.signed_in().await;
        world.refreshed(&token).await;
    }
}
