//! Redirects, and the cookie that remembers who signed in.

use actix_web::{
    HttpResponse,
    cookie::{Cookie, SameSite},
    http::header::LOCATION,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::incoming::{Incoming, SESSION_COOKIE};

/// Remembers in the browser who signed in, for the consent page.
pub(super) fn remember(response: &mut HttpResponse, tenant: Uuid, account: &str) {
    let value = URL_SAFE_NO_PAD.encode(format!("{tenant}/{account}"));
    let cookie = Cookie::build(SESSION_COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .finish();
    // Only a cookie that is not ASCII could fail here.
    let _ = response.add_cookie(&cookie);
}

/// Who signed in to this tenant in this browser, as the account page names it.
pub(super) fn remembered(incoming: &Incoming<'_>, tenant: Uuid) -> Option<String> {
    let value = URL_SAFE_NO_PAD.decode(incoming.session.as_ref()?).ok()?;
    let value = String::from_utf8(value).ok()?;
    value.strip_prefix(&format!("{tenant}/")).map(str::to_owned)
}

/// 302 to an address.
pub(super) fn redirect(address: &str) -> HttpResponse {
    HttpResponse::Found()
        .insert_header((LOCATION, address))
        .finish()
}

/// An address with more query.
pub(super) fn with_query(address: &str, query: &str) -> String {
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{query}")
}

/// Fields as Microsoft writes them into redirects: blanks as `+`, the rest percent-encoded.
pub(super) fn query(fields: &[(&str, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
