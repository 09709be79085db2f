//! The cookie that binds a consent flow to one browser (C8).

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite},
    http::header,
};
use tenantry_core::consent::{FlowHash, FlowToken, Purpose};

/// `__Host-`: only this host can have set it, for all of its paths, and only it gets it back.
const NAME: &str = "__Host-tenantry-flow";

/// The binding that a request shows.
pub fn presented(request: &HttpRequest) -> Option<FlowHash> {
    value(request).map(|token| token.hash(Purpose::Cookie))
}

fn value(request: &HttpRequest) -> Option<FlowToken> {
    request
        .cookie(NAME)
        .and_then(|cookie| FlowToken::parse(cookie.value()))
}

/// The browser's binding, or a new one with the cookie that sets it.
///
/// # Errors
/// When the system gives no randomness.
pub fn bound(
    request: &HttpRequest,
) -> Result<(FlowHash, Option<Cookie<'static>>), tenantry_core::access::random::NoRandomness> {
    if let Some(hash) = presented(request) {
        return Ok((hash, None));
    }
    let token = FlowToken::random()?;
    let cookie = Cookie::build(NAME, token.expose().to_owned())
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .finish();
    Ok((token.hash(Purpose::Cookie), Some(cookie)))
}

/// Whether a form post comes from a page of ours. A page of another site could otherwise press the
/// button for the administrator. Browsers say where a request comes from in `Sec-Fetch-Site`; one
/// that does not say so sends `Origin`, and the cookie only from our own pages, for it is `Lax`.
/// What sends neither is no browser.
pub fn comes_from_our_page(request: &HttpRequest) -> bool {
    match request.headers().get("sec-fetch-site") {
        Some(site) => site.as_bytes() == b"same-origin",
        None => presented(request).is_some() || !request.headers().contains_key(header::ORIGIN),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn c8_the_cookie_is_of_this_host_only_and_out_of_reach_of_scripts() {
        let request = TestRequest::get().to_http_request();
        let (hash, cookie) = bound(&request).unwrap();
        let cookie = cookie.unwrap();
        let text = cookie.to_string();
        for part in [
            "__Host-tenantry-flow=",
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
            "Path=/",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("Domain"), "{text}");
        let again = TestRequest::get().cookie(cookie).to_http_request();
        assert_eq!(presented(&again), Some(hash));
        assert!(
            bound(&again).unwrap().1.is_none(),
            "a browser keeps its binding"
        );
    }

    #[test]
    fn c8_a_cookie_that_is_none_of_ours_binds_nothing() {
        for value in ["", "x", "é"] {
            let cookie = Cookie::new(NAME, value.to_owned());
            assert!(presented(&TestRequest::get().cookie(cookie).to_http_request()).is_none());
        }
    }

    #[test]
    fn a_form_of_another_site_is_not_ours() {
        let post = TestRequest::post;
        let is_ours = |request: TestRequest| comes_from_our_page(&request.to_http_request());
        assert!(is_ours(
            post().insert_header(("sec-fetch-site", "same-origin"))
        ));
        assert!(is_ours(post()));
        for site in ["cross-site", "same-site", "none"] {
            assert!(
                !is_ours(post().insert_header(("sec-fetch-site", site))),
                "{site}"
            );
        }
        assert!(!is_ours(
            post().insert_header(("origin", "https://evil.example"))
        ));
        assert!(!is_ours(post().insert_header(("origin", "null"))));
    }
}
