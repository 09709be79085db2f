//! The browser against a small server that is two sites: `localhost` and `127.0.0.1`.

use std::net::TcpListener;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};

use super::*;

struct Site {
    /// `http://localhost:PORT`.
    here: String,
    /// `http://127.0.0.1:PORT`, another site.
    there: String,
    handle: ServerHandle,
}

impl Site {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = HttpServer::new(|| App::new().default_service(web::to(answer)))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self {
            here: format!("http://localhost:{port}"),
            there: format!("http://127.0.0.1:{port}"),
            handle,
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// Echoes what came, or does what the query says: `to` redirects (with `status`), `cookie` sets one,
/// `policy` and `referrer` set headers, `form` shows a form that posts there.
async fn answer(request: HttpRequest, body: String) -> HttpResponse {
    if request.path() == "/loop" {
        return HttpResponse::Found()
            .insert_header(("location", "/loop"))
            .finish();
    }
    let query: std::collections::HashMap<String, String> =
        web::Query::from_query(request.query_string())
            .map_or_else(|_| Default::default(), web::Query::into_inner);
    let status = query
        .get("status")
        .map_or(302, |status| status.parse().unwrap());
    let status = actix_web::http::StatusCode::from_u16(status).unwrap();
    let mut response = match query.get("to") {
        Some(_) => HttpResponse::build(status),
        None => HttpResponse::Ok(),
    };
    for (name, header) in [
        ("to", "location"),
        ("cookie", "set-cookie"),
        ("policy", "content-security-policy"),
        ("referrer", "referrer-policy"),
    ] {
        if let Some(value) = query.get(name) {
            response.insert_header((header, value.as_str()));
        }
    }
    let header = |name: &str| {
        let value = request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap());
        value.unwrap_or("-").to_owned()
    };
    let form = query.get("form").map(|action| {
        let action = action.replace('&', "&amp;");
        format!(
            "<form method=post action=\"{action}\"><input name=a value=1><button>Go</button></form>"
        )
    });
    response.content_type("text/html").body(format!(
        "{} body=[{body}] cookie=[{}] origin=[{}] site=[{}] {}",
        request.method(),
        header("cookie"),
        header("origin"),
        header("sec-fetch-site"),
        form.unwrap_or_default()
    ))
}

fn with(base: &str, fields: &[(&str, &str)]) -> String {
    Url::parse_with_params(base, fields).unwrap().into()
}

#[actix_web::test]
async fn redirects_are_followed_across_servers_and_every_hop_is_kept() {
    let site = Site::start();
    let end = format!("{}/end", site.here);
    let middle = with(&site.there, &[("to", &end), ("status", "303")]);
    let visit = Browser::new()
        .open(&with(&site.here, &[("to", &middle)]))
        .await;
    let seen: Vec<u16> = visit.hops.iter().map(|hop| hop.status).collect();
    assert_eq!(seen, [302, 303, 200]);
    assert!(visit.hops[1].url.starts_with(&site.there));
    assert_eq!(visit.url, end);
}

#[actix_web::test]
async fn it_stops_where_nobody_answers_or_the_address_is_not_on_loopback() {
    let site = Site::start();
    for end in [
        "http://localhost:9/done?status=connected",
        "https://portal.example/done#x",
    ] {
        let visit = Browser::new().open(&with(&site.here, &[("to", end)])).await;
        assert_eq!((visit.url.as_str(), visit.status), (end, 0));
        assert_eq!(visit.hops.len(), 1);
    }
    let endless = Browser::new().open(&format!("{}/loop", site.here)).await;
    assert_eq!((endless.status, endless.hops.len()), (0, MOST_HOPS));
}

#[actix_web::test]
async fn a_lax_cookie_survives_the_way_to_another_site_and_back() {
    let site = Site::start();
    let mut browser = Browser::new();
    let cookie = "__Host-flow=abc; Path=/; Secure; HttpOnly; SameSite=Lax";
    browser.open(&with(&site.here, &[("cookie", cookie)])).await;
    let action = with(&site.there, &[("to", &site.here)]);
    browser.open(&with(&site.there, &[("form", &action)])).await;
    let visit = browser.submit("Go").await;
    assert!(visit.url.starts_with(&site.here), "{visit}");
    assert!(visit.text().contains("cookie=[__Host-flow=abc]"), "{visit}");
    assert!(visit.text().contains("site=[cross-site]"), "{visit}");
    assert_eq!(visit.hops[1].cookies, ["__Host-flow"]);
}

#[actix_web::test]
async fn a_cross_site_post_goes_without_the_lax_cookie() {
    let site = Site::start();
    let mut browser = Browser::new();
    browser
        .open(&with(
            &site.here,
            &[("cookie", "flow=abc; Path=/; SameSite=Lax")],
        ))
        .await;
    browser
        .open(&with(&site.there, &[("form", &site.here)]))
        .await;
    let visit = browser.submit("Go").await;
    assert!(
        visit.text().contains("POST body=[a=1] cookie=[-]"),
        "{visit}"
    );
    assert!(
        visit.text().contains(&format!("origin=[{}]", site.there)),
        "{visit}"
    );
}

#[actix_web::test]
async fn form_action_binds_the_redirects_that_follow_a_submission() {
    let site = Site::start();
    let action = with(
        &format!("{}/go", site.here),
        &[("to", &site.there), ("status", "303")],
    );
    let mut browser = Browser::new();
    let own = "default-src 'none'; form-action 'self'";
    browser
        .open(&with(&site.here, &[("form", &action), ("policy", own)]))
        .await;
    let visit = browser.submit("Go").await;
    assert_eq!(visit.status, 0);
    assert!(visit.body.contains("form-action"), "{visit}");

    let both = format!("form-action 'self' {}", site.there);
    browser
        .open(&with(&site.here, &[("form", &action), ("policy", &both)]))
        .await;
    assert_eq!(browser.submit("Go").await.status, 200);
}

#[actix_web::test]
async fn a_page_without_referrer_posts_with_the_origin_null() {
    let site = Site::start();
    let mut browser = Browser::new();
    browser
        .open(&with(
            &site.here,
            &[("form", "/"), ("referrer", "no-referrer")],
        ))
        .await;
    let visit = browser.submit("Go").await;
    assert!(
        visit.text().contains("origin=[null] site=[same-origin]"),
        "{visit}"
    );
}

#[actix_web::test]
async fn a_permanent_redirect_repeats_the_post_and_others_do_not() {
    let site = Site::start();
    for (status, expected) in [("307", "POST body=[a=1]"), ("302", "GET body=[]")] {
        let action = with(&site.here, &[("to", "/end"), ("status", status)]);
        let mut browser = Browser::new();
        browser.open(&with(&site.here, &[("form", &action)])).await;
        let visit = browser.submit("Go").await;
        assert!(visit.text().starts_with(expected), "{visit}");
    }
}

#[actix_web::test]
async fn a_link_on_another_site_brings_no_strict_cookie() {
    let site = Site::start();
    let mut browser = Browser::new();
    browser
        .open(&with(
            &site.here,
            &[("cookie", "s=1; Path=/; SameSite=Strict")],
        ))
        .await;
    let typed = browser.open(&site.here).await;
    assert!(typed.text().contains("cookie=[s=1]"), "{typed}");
    let linked = browser.open_from_other_site(&site.here).await;
    assert!(linked.text().contains("cookie=[-]"), "{linked}");
}
