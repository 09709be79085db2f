//! Headers that tell browsers and caches how to treat an answer (N15).

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What answers that are no page are held to: nothing may be loaded, nobody may frame them.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Adds what the answer does not say itself. `https`: the request came by TLS, and browsers are to
/// stay with it.
pub fn add(headers: &mut HeaderMap, https: bool, authenticated: bool) {
    let mut default = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    default(header::X_FRAME_OPTIONS, "DENY");
    if https {
        default(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if authenticated {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    } else {
        default(header::CACHE_CONTROL, "no-store");
    }
}
