//! The pages a person uses by hand, with a browser.

use super::*;

#[tokio::test]
async fn a_person_signs_in_then_accepts_on_two_pages() {
    let world = World::new(Decision::Ask);
    let mut browser = Browser::new();
    let page = browser.open(&world.authorize(&world.tid(), &[])).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Pick an account"), "{page}");
    let visit = browser.submit("admin@contoso.example").await;
    assert!(visit.parameter("code").is_some(), "{visit}");

    // The browser remembers who signed in.
    let page = browser.open(&world.consent(&world.tid(), &[])).await;
    assert!(
        page.text()
            .contains("Signed in as admin (admin@contoso.example)"),
        "{page}"
    );
    assert!(
        page.text()
            .contains("User.Read.All without a signed-in user"),
        "{page}"
    );
    let visit = browser.submit("Accept").await;
    assert_eq!(visit.parameter("tenant"), Some(world.tid()));
    assert_eq!(world.app_only(&world.tid(), &[]).await.0, 200);
}

#[tokio::test]
async fn consent_without_a_session_asks_who_signs_in_first() {
    let world = World::new(Decision::Ask);
    let mut browser = Browser::new();
    browser.open(&world.consent(&world.tid(), &[])).await;
    let page = browser.submit("ordinary user").await;
    assert!(page.text().contains("Permissions requested"), "{page}");
    let visit = browser.submit("Accept").await;
    assert!(
        visit
            .parameter("error_description")
            .unwrap()
            .starts_with("AADSTS90094: ")
    );
}

#[tokio::test]
async fn a_person_may_cancel_on_either_page() {
    let world = World::new(Decision::Ask);
    let mut browser = Browser::new();
    browser.open(&world.authorize(&world.tid(), &[])).await;
    let visit = browser.submit("Cancel").await;
    assert_eq!(visit.parameter("error_subcode").as_deref(), Some("cancel"));

    browser.open(&world.consent(&world.tid(), &[])).await;
    browser.submit("admin@contoso.example").await;
    let visit = browser.submit("Cancel").await;
    assert_eq!(
        visit.parameter("error").as_deref(),
        Some("consent_required")
    );
}

#[tokio::test]
async fn strangers_see_microsofts_own_page_and_may_try_again() {
    let world = World::new(Decision::Ask);
    let mut browser = Browser::new();
    for (button, provider) in [
        (
            "administrator of another tenant",
            "https://sts.windows.net/",
        ),
        ("personal account", "live.com"),
    ] {
        browser.open(&world.authorize(&world.tid(), &[])).await;
        let page = browser.submit(button).await;
        assert!(page.text().contains("AADSTS50020: "), "{page}");
        assert!(page.text().contains(provider), "{page}");
        assert!(page.url.starts_with(&world.cloud.login_origin));
    }
    let page = browser.follow("What does this mean?").await;
    assert!(page.text().contains("AADSTS50020"), "{page}");
}

#[tokio::test]
async fn an_ordinary_user_signs_in_without_roles() {
    let world = World::new(Decision::Ask);
    let mut browser = Browser::new();
    browser.open(&world.authorize(&world.tid(), &[])).await;
    let visit = browser.submit("ordinary user").await;
    let code = visit.parameter("code").unwrap();
    let (_, answer) = world.redeem(&world.tid(), &code, &[]).await;
    let found = claims(answer["id_token"].as_str().unwrap());
    assert_eq!(found["tid"], world.tid());
    assert_eq!(
        found["wids"].as_array().unwrap().len(),
        1,
        "the role every member has"
    );
}

#[tokio::test]
async fn form_post_is_a_page_that_posts_to_the_redirect_uri() {
    let world = World::new(Decision::Accept);
    let mut browser = Browser::new();
    let page = browser
        .open(&world.authorize(&world.tid(), &[("response_mode", "form_post")]))
        .await;
    let form = &page.forms()[0];
    assert_eq!((form.action.as_str(), form.post), (CALLBACK, true));
    assert!(
        form.fields
            .iter()
            .any(|(name, value)| name == "state" && value == "st-1")
    );
}

#[tokio::test]
async fn the_code_lookup_page_escapes_what_it_is_given() {
    let world = World::new(Decision::Accept);
    let page = Browser::new()
        .open(&world.url("error", &[("code", "<script>65004")]))
        .await;
    assert!(page.text().contains("User declined to consent"), "{page}");
    assert!(!page.body.contains("<script>"));
}
