//! Consent to delegated permissions, asked for by name while somebody signs in.

use std::collections::BTreeSet;

use super::*;
use crate::fake_microsoft::login::{set_conditional_access_block, set_user_enabled};

const SHORT: &str = "openid profile offline_access User.Read.All MailboxSettings.Read";
const QUALIFIED: &str = "openid profile offline_access https://graph.microsoft.com/User.Read.All \
    https://graph.microsoft.com/MailboxSettings.Read";

fn granted(world: &World) -> BTreeSet<String> {
    let grants = world.tenant.grants.lock().unwrap();
    let grant = grants.get(APP);
    grant.map(|grant| grant.scopes.clone()).unwrap_or_default()
}

fn set_of(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Where a sign-in that asks for consent ends.
async fn visit(world: &World, scope: &str) -> Visit {
    let with = [("scope", scope), ("prompt", "consent")];
    Browser::new()
        .open(&world.authorize(&world.tid(), &with))
        .await
}

#[tokio::test]
async fn accepting_grants_what_was_asked_for_by_name_and_nothing_else() {
    for scope in [SHORT, QUALIFIED] {
        let world = World::new(Decision::Accept);
        let code = visit(&world, scope).await.parameter("code").unwrap();
        let names = [
            "MailboxSettings.Read",
            "User.Read.All",
            "offline_access",
            "openid",
            "profile",
        ];
        assert_eq!(granted(&world), set_of(&names));
        assert!(
            world.tenant.grants.lock().unwrap()[APP]
                .app_roles
                .is_empty()
        );
        let (status, answer) = world.redeem(&world.tid(), &code, &[]).await;
        assert_eq!(status, 200, "{answer}");
        let shown = "openid profile https://graph.microsoft.com/MailboxSettings.Read \
             https://graph.microsoft.com/User.Read.All";
        assert_eq!(answer["scope"], shown);
        let found = claims(answer["access_token"].as_str().unwrap());
        assert_eq!(found["scp"], "MailboxSettings.Read User.Read.All");
        assert!(answer["refresh_token"].is_string() && answer["id_token"].is_string());
    }
}

#[tokio::test]
async fn what_is_withheld_is_neither_granted_nor_in_the_token() {
    let withheld = set_of(&["User.Read.All"]);
    let world = World::new(Decision::AcceptWithout(withheld));
    let code = visit(&world, SHORT).await.parameter("code").unwrap();
    assert!(!granted(&world).contains("User.Read.All"));
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    let found = claims(answer["access_token"].as_str().unwrap());
    assert_eq!(found["scp"], "MailboxSettings.Read");
    *world.tenant.decision.write().unwrap() = Decision::Accept;
    visit(&world, SHORT).await;
    assert!(granted(&world).contains("User.Read.All"));
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token() {
    let world = World::new(Decision::Accept);
    let code = world.code(&[]).await;
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    assert!(answer.get("refresh_token").is_none(), "{answer}");
    let withheld = set_of(&["offline_access"]);
    let world = World::new(Decision::AcceptWithout(withheld));
    let code = visit(&world, SHORT).await.parameter("code").unwrap();
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    assert!(answer.get("refresh_token").is_none(), "{answer}");
}

#[tokio::test]
async fn declining_grants_nothing() {
    let world = World::new(Decision::DeclineConsent);
    let visit = visit(&world, SHORT).await;
    assert_eq!(visit.parameter("error").as_deref(), Some("access_denied"));
    let text = visit.parameter("error_description").unwrap();
    assert!(text.starts_with("AADSTS65004: "), "{text}");
    assert!(granted(&world).is_empty());
}

#[tokio::test]
async fn c12_an_ordinary_user_consents_to_nothing_that_needs_an_administrator() {
    let world = World::new(Decision::AcceptAs("someone@contoso.example".to_owned()));
    let someone = person("someone@contoso.example", Vec::new());
    world.tenant.people.write().unwrap().push(someone);
    let refused = visit(&world, SHORT).await;
    let text = refused.parameter("error_description").unwrap();
    assert!(text.starts_with("AADSTS90094: "), "{text}");
    assert!(granted(&world).is_empty());
    let own = visit(&world, "openid offline_access MailboxSettings.Read").await;
    assert!(own.parameter("code").is_some(), "{own}");

    // The consent page that was asked for stops them although all is granted by now.
    *world.tenant.decision.write().unwrap() = Decision::Accept;
    visit(&world, SHORT).await;
    *world.tenant.decision.write().unwrap() =
        Decision::AcceptAs("someone@contoso.example".to_owned());
    assert!(visit(&world, SHORT).await.parameter("code").is_none());
    assert!(!world.code(&[("scope", SHORT)]).await.is_empty());
}

#[tokio::test]
async fn who_is_kept_out_stays_on_microsofts_page() {
    let world = World::new(Decision::Accept);
    let oid = world.tenant.people.read().unwrap()[0].oid;
    let page = async || {
        let url = world.authorize(&world.tid(), &[]);
        world.get(&url).await.text().await.unwrap()
    };
    set_user_enabled(&world.cloud, &world.tenant, oid, false);
    assert!(page().await.contains("AADSTS50057: "));
    set_user_enabled(&world.cloud, &world.tenant, oid, true);
    set_conditional_access_block(&world.cloud, world.tenant.id, true);
    assert!(page().await.contains("AADSTS53003: "));
    set_conditional_access_block(&world.cloud, world.tenant.id, false);
    world.code(&[]).await;
}

#[tokio::test]
async fn a_person_reads_what_is_asked_for_before_accepting() {
    let world = World::new(Decision::Ask);
    let url = world.authorize(&world.tid(), &[("scope", SHORT), ("prompt", "consent")]);
    let post = async |fields: &[(&str, &str)]| {
        let request = world.http.post(&url).form(fields);
        request.send().await.unwrap()
    };
    let account = ("account", "admin@contoso.example");
    let page = post(&[account]).await.text().await.unwrap();
    assert!(page.contains("User.Read.All") && page.contains("on behalf of a signed-in user"));
    assert!(!page.contains("without a signed-in user") && !page.contains("<li>offline_access"));
    assert!(granted(&world).is_empty());
    let declined = post(&[account, ("decision", "cancel")]).await;
    let address = declined.headers()["location"].to_str().unwrap().to_owned();
    assert!(address.contains("AADSTS65004"), "{address}");
    let accepted = post(&[account, ("decision", "accept")]).await;
    let address = accepted.headers()["location"].to_str().unwrap().to_owned();
    assert!(address.contains("code="), "{address}");
    assert!(granted(&world).contains("User.Read.All"));
}
