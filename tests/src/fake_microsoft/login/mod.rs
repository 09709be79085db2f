//! The login server: discovery, signing keys, sign-in, admin consent and tokens.
//!
//! As strict as Microsoft's: what the real service refuses is refused here with its number and the
//! shape of its answer, and what it would let pass although no client of ours may do it is recorded
//! as a violation. Facts: <https://learn.microsoft.com/entra/identity-platform/v2-protocols> and
//! <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

mod assertion;
mod authorization;
mod authorize;
mod client;
mod code;
mod consent;
mod controls;
mod delegated;
mod discovery;
mod errors;
mod incoming;
mod keys;
mod mint;
mod pages;
mod people;
mod policies;
mod redirects;
mod refresh;
mod refresh_tokens;
mod token;

#[cfg(test)]
mod tests;

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};

pub use controls::{
    AppTokenForm, Endpoint, Forgery, LoginState, expire_certificate, expire_secret, graph_resource,
    register_certificate, remove_certificate, roll_keys, script_error, secret_id,
    set_app_token_form, set_consent_lag, set_id_token_forge, set_token_answer_forge,
};
pub use errors::Failure;
pub use incoming::{Authority, CONSUMER_TENANT};
pub use keys::{ForgeKey, SigningKey};
pub(in crate::fake_microsoft) use policies::challenged;
pub use policies::{
    Challenge, challenge_access, delete_service_principal, require_mfa,
    set_conditional_access_block, set_user_enabled, withdraw_consent,
};
pub use refresh_tokens::{
    RefreshRotation, end_refresh_tokens, issued_refresh_tokens, live_refresh_tokens,
    refresh_requests, revoke_refresh_tokens, set_refresh_rotation,
};

use super::{faults, state::Cloud, state::LoggedRequest};
use consent::Version;
use incoming::Incoming;

/// Routes of the login server.
pub fn routes(config: &mut web::ServiceConfig) {
    config.default_service(web::to(serve));
}

/// Logs a request, lets tests hold or spoil it, and answers.
async fn serve(cloud: web::Data<Cloud>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let incoming = Incoming::read(&cloud, &request, &body);
    let tenant = incoming.tenant_id();
    let path_and_query = incoming.path_and_query.clone();
    let number = cloud.log_arrival(LoggedRequest {
        server: "login",
        method: incoming.method.clone(),
        path_and_query: path_and_query.clone(),
        tenant,
        had_authorization: incoming.authorization.is_some(),
        status: 0,
        at: Instant::now(),
        answered_at: None,
        batch: Vec::new(),
        form: incoming.masked_form(),
    });
    cloud.pass_gate(&path_and_query).await;
    let fault = cloud.faults.take("login", &path_and_query, tenant);
    let mut response = faults::play(fault, async { dispatch(&incoming) }).await;
    stamp(&cloud, &mut response);
    cloud.log_answer(number, response.status().as_u16());
    response
}

/// Every address of the login server.
fn dispatch(incoming: &Incoming<'_>) -> HttpResponse {
    let segments: Vec<&str> = incoming.segments.iter().map(String::as_str).collect();
    match (incoming.method.as_str(), segments.as_slice()) {
        ("GET", [_, "v2.0", ".well-known", "openid-configuration"]) => {
            discovery::metadata(incoming)
        }
        ("GET", [_, "discovery", "v2.0", "keys"]) => discovery::keys(incoming),
        ("GET" | "POST", [_, "oauth2", "v2.0", "authorize"]) => authorize::answer(incoming),
        ("GET" | "POST", [_, "v2.0", "adminconsent"]) => consent::answer(incoming, Version::Two),
        ("GET" | "POST", [_, "adminconsent"]) => consent::answer(incoming, Version::Older),
        (_, [_, "oauth2", "v2.0", "token"]) => token::answer(incoming),
        ("GET", ["error"]) => pages::lookup(incoming.query.get("code").unwrap_or_default()),
        _ => HttpResponse::NotFound().finish(),
    }
}

/// Headers that every answer of the real service has.
fn stamp(cloud: &Cloud, response: &mut HttpResponse) {
    use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
    let headers = response.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-cache"),
        );
    }
    let id = controls::next_id(cloud).to_string();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-ms-request-id"), id);
    }
}
