//! What the tests of this adapter begin with.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    contract::ExternalId,
    credentials::HaloPsaCredentials,
    scripted::{Expected, Scripted, get, post},
    secret::Secret,
    transport::Transport,
};

use super::{HaloPsa, open};

pub(super) const BASE: &str = "https://northgate.halopsa.com/api";
pub(super) const NOW: &str = "2026-06-10T12:00:00Z";
pub(super) const CLIENT_SECRET: &str = "canary-client-secret";
pub(super) const TOKEN: &str = "canary-token";

pub(super) fn credentials() -> HaloPsaCredentials {
    HaloPsaCredentials {
        client_id: "application".to_owned(),
        client_secret: Secret::new(CLIENT_SECRET.to_owned()),
        tenant: None,
        auth_url: None,
    }
}

/// What the instance says about its sign-in.
pub(super) fn auth_info() -> Expected {
    get("/api/authinfo").answer(
        200,
        json!({"auth_url": "https://northgate.halopsa.com/auth", "tenant_id": "northgate"}),
    )
}

/// A request for a token with these scopes.
pub(super) fn ask_for(scope: &str) -> Expected {
    let pair = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("scope", scope)
        .finish();
    post("/auth/token").when(scope, move |sent| {
        String::from_utf8_lossy(&sent.body)
            .split('&')
            .any(|part| part == pair)
    })
}

/// A token for these scopes.
pub(super) fn token(scope: &str) -> Value {
    json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "scope": scope})
}

/// An instance that nobody signed in to.
pub(super) fn closed() -> (Arc<Scripted>, HaloPsa) {
    let psa = Scripted::at(NOW);
    let way_out: Arc<dyn Transport> = psa.clone();
    let halo = open(BASE, credentials(), way_out).unwrap();
    (psa, halo)
}

/// An instance that issues tokens for all that is asked for.
pub(super) fn signed_in() -> (Arc<Scripted>, HaloPsa) {
    let (psa, halo) = closed();
    psa.expect(auth_info().always());
    psa.expect(
        ask_for("read:customers edit:tickets")
            .answer(200, token("edit:tickets read:customers"))
            .always(),
    );
    (psa, halo)
}

/// What was sent besides signing in.
pub(super) fn calls(psa: &Scripted) -> Vec<String> {
    psa.lines()
        .into_iter()
        .filter(|line| line != "GET /api/authinfo" && line != "POST /auth/token")
        .collect()
}

pub(super) fn id(text: &str) -> ExternalId {
    ExternalId(text.to_owned())
}
