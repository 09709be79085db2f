//! The admin-consent endpoints.

use std::collections::BTreeSet;

use super::*;
use crate::fake_microsoft::login::{Endpoint, script_error, set_consent_lag};

fn granted(world: &World) -> BTreeSet<String> {
    let grants = world.tenant.grants.lock().unwrap();
    grants
        .get(APP)
        .map(|grant| grant.app_roles.clone())
        .unwrap_or_default()
}

fn registered(world: &World) -> BTreeSet<String> {
    world.cloud.apps.read().unwrap()[APP].app_roles.clone()
}

#[tokio::test]
async fn accepting_grants_the_registration_and_says_so_in_the_documented_shape() {
    let world = World::new(Decision::Accept);
    let visit = world.consent_answer(&[]).await;
    let scope = "https%3A%2F%2Fgraph.microsoft.com%2F.default";
    let tail = format!(
        "?admin_consent=True&tenant={}&scope={scope}&state=st-2",
        world.tid()
    );
    assert_eq!(visit.url, format!("{CALLBACK}{tail}"));
    assert_eq!(granted(&world), registered(&world));

    let (status, answer) = world.app_only(&world.tid(), &[]).await;
    assert_eq!(status, 200);
    let roles = claims(answer["access_token"].as_str().unwrap())["roles"].clone();
    assert_eq!(roles.as_array().unwrap().len(), registered(&world).len());
    assert!(world.cloud.violations().is_empty());
}

#[tokio::test]
async fn c16_declining_still_says_admin_consent_true() {
    let world = World::new(Decision::DeclineConsent);
    let visit = world.consent_answer(&[]).await;
    let start = format!(
        "{CALLBACK}?admin_consent=True&error=consent_required&error_description=AADSTS65004%3A+"
    );
    assert!(visit.url.starts_with(&start), "{visit}");
    assert_eq!(visit.parameter("state").as_deref(), Some("st-2"));
    assert!(visit.parameter("tenant").is_none());
    assert!(granted(&world).is_empty());
}

#[tokio::test]
async fn cancelling_the_sign_in_names_no_consent_at_all() {
    let world = World::new(Decision::CancelSignIn);
    let visit = world.consent_answer(&[]).await;
    assert_eq!(
        visit.url,
        format!("{CALLBACK}?error=access_denied&error_subcode=cancel&state=st-2")
    );
}

#[tokio::test]
async fn c12_only_roles_that_may_consent_to_application_permissions_can() {
    let privileged = Uuid::from_u128(0xe8611ab8_c189_46e8_94e1_60213ab1f814);
    let application = Uuid::from_u128(0x9b895d92_2cd3_44c7_9d02_a6ac2d5ea5c3);
    for (role, may) in [
        (Some(privileged), true),
        (Some(application), false),
        (None, false),
    ] {
        let world = World::new(Decision::AcceptAs("someone@contoso.example".to_owned()));
        let someone = person("someone@contoso.example", role.into_iter().collect());
        world.tenant.people.write().unwrap().push(someone);
        let visit = world.consent_answer(&[]).await;
        assert_eq!(visit.parameter("tenant").is_some(), may, "{visit}");
        if !may {
            assert_eq!(visit.parameter("error").as_deref(), Some("access_denied"));
            assert_eq!(visit.parameter("admin_consent").as_deref(), Some("True"));
            assert!(
                visit
                    .parameter("error_description")
                    .unwrap()
                    .starts_with("AADSTS90094: ")
            );
            assert!(granted(&world).is_empty());
        }
    }
}

#[tokio::test]
async fn an_application_administrator_may_consent_to_delegated_permissions() {
    let application = Uuid::from_u128(0x9b895d92_2cd3_44c7_9d02_a6ac2d5ea5c3);
    let world = World::new(Decision::Accept);
    world.tenant.people.write().unwrap()[0].wids = vec![application];
    let scope =
        "https://graph.microsoft.com/User.Read.All https://graph.microsoft.com/Group.Read.All";
    let visit = world.consent_answer(&[("scope", scope)]).await;
    assert_eq!(visit.parameter("scope").as_deref(), Some(scope));
    assert!(granted(&world).is_empty());
    let grants = world.tenant.grants.lock().unwrap();
    let expected = ["Group.Read.All", "User.Read.All"].map(str::to_owned);
    assert_eq!(grants[APP].scopes, BTreeSet::from(expected));
}

#[tokio::test]
async fn withheld_permissions_are_missing_and_a_later_consent_adds_them() {
    let withheld = BTreeSet::from(["Reports.Read.All".to_owned()]);
    let world = World::new(Decision::AcceptWithout(withheld.clone()));
    world.consent_answer(&[]).await;
    assert_eq!(
        registered(&world)
            .difference(&granted(&world))
            .cloned()
            .collect::<BTreeSet<_>>(),
        withheld
    );
    *world.tenant.decision.write().unwrap() = Decision::Accept;
    world.consent_answer(&[]).await;
    assert_eq!(granted(&world), registered(&world));
}

#[tokio::test]
async fn a_scripted_number_comes_back_instead_of_success() {
    for aadsts in [90_095, 650_051, 65_004] {
        let world = World::new(Decision::ConsentError(aadsts));
        let visit = world.consent_answer(&[]).await;
        let text = visit.parameter("error_description").unwrap();
        assert!(text.starts_with(&format!("AADSTS{aadsts}: ")), "{text}");
        assert_eq!(visit.parameter("admin_consent").as_deref(), Some("True"));
        assert!(granted(&world).is_empty());
    }
    let world = World::new(Decision::Accept);
    script_error(
        &world.cloud,
        Endpoint::AdminConsent,
        Some("contoso.example"),
        90_033,
        1,
    );
    let visit = world.consent_answer(&[]).await;
    assert_eq!(
        visit.parameter("error"),
        None,
        "the script was for the domain"
    );
    let visit = Browser::new()
        .open(&world.consent("contoso.example", &[]))
        .await;
    assert_eq!(
        visit.parameter("error").as_deref(),
        Some("temporarily_unavailable")
    );
}

#[tokio::test]
async fn consent_that_lags_shows_as_700016_or_as_a_token_without_roles() {
    for without_roles in [false, true] {
        let world = World::new(Decision::Accept);
        set_consent_lag(&world.cloud, world.tenant.id, 2, without_roles);
        world.consent_answer(&[]).await;
        for _ in 0..2 {
            let answer = world.app_only(&world.tid(), &[]).await;
            if without_roles {
                assert!(
                    claims(answer.1["access_token"].as_str().unwrap())
                        .get("roles")
                        .is_none()
                );
            } else {
                assert_refused(&answer, 400, "unauthorized_client", 700_016);
            }
        }
        let (_, answer) = world.app_only(&world.tid(), &[]).await;
        assert!(
            claims(answer["access_token"].as_str().unwrap())
                .get("roles")
                .is_some()
        );
    }
}

#[tokio::test]
async fn what_the_endpoint_cannot_serve_stays_on_the_page() {
    let world = World::new(Decision::Accept);
    let tid = world.tid();
    let cases: &[(&str, Changes<'_>, u32)] = &[
        ("common", &[], 90_124),
        ("nosuch.example", &[], 90_002),
        (&tid, &[("scope", "")], 900_144),
        (&tid, &[("redirect_uri", "https://evil.example/")], 50_011),
        (&tid, &[("client_id", "nobody")], 700_016),
        (
            &tid,
            &[("scope", "https://graph.microsoft.com/.default User.Read")],
            70_011,
        ),
        (
            &tid,
            &[("scope", "https://other.example/.default")],
            500_011,
        ),
    ];
    for (segment, changes, aadsts) in cases {
        let response = world.get(&world.consent(segment, changes)).await;
        assert_eq!(response.status(), 400, "{segment} {changes:?}");
        let body = response.text().await.unwrap();
        assert!(body.contains(&format!("AADSTS{aadsts}: ")), "{body}");
    }
    assert!(granted(&world).is_empty());
}

#[tokio::test]
async fn somebody_of_another_tenant_comes_back_as_50020() {
    let world = World::new(Decision::AcceptAs("admin@fabrikam.example".to_owned()));
    world.second_tenant();
    let visit = world.consent_answer(&[]).await;
    assert_eq!(visit.parameter("error").as_deref(), Some("access_denied"));
    assert!(
        visit
            .parameter("error_description")
            .unwrap()
            .starts_with("AADSTS50020: ")
    );
}

#[tokio::test]
async fn the_older_endpoint_answers_in_its_own_shapes() {
    let world = World::new(Decision::Accept);
    let fields = [
        ("client_id", APP),
        ("redirect_uri", CALLBACK),
        ("state", "st-3"),
    ];
    let url = world.url(&format!("{}/adminconsent", world.tid()), &fields);
    let visit = Browser::new().open(&url).await;
    let tail = format!("?tenant={}&state=st-3&admin_consent=True", world.tid());
    assert_eq!(visit.url, format!("{CALLBACK}{tail}"));
    assert_eq!(granted(&world), registered(&world));

    *world.tenant.decision.write().unwrap() = Decision::DeclineConsent;
    let visit = Browser::new().open(&url).await;
    let tail = "?error=permission_denied&error_description=The+admin+canceled+the+request";
    assert_eq!(visit.url, format!("{CALLBACK}{tail}"));
}
