//! The authorization request: what it may say, and how its answer goes back.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    controls,
    errors::Failure,
    incoming::{Incoming, Parameters, redirect_is_registered},
    pages,
    redirects::{query, redirect, with_query},
};
use crate::fake_microsoft::state::{App, Cloud};

/// Scopes of OpenID Connect itself.
pub(super) const OIDC_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// How a refused request ends.
pub(super) enum Refusal {
    /// On Microsoft's own page: the redirect URI cannot be trusted.
    Page(Failure),
    /// At the redirect URI.
    Redirect(Failure, Back),
}

/// A request that passed the checks.
pub(super) struct Authorization {
    pub app: App,
    pub back: Back,
    pub scope: String,
    pub nonce: Option<String>,
    /// What the SHA-256 of the verifier has to be.
    pub code_challenge: Option<String>,
    pub prompt: Option<String>,
    pub login_hint: Option<String>,
}

/// Where the answer goes.
#[derive(Clone)]
pub(super) struct Back {
    pub redirect_uri: String,
    response_mode: String,
    state: Option<String>,
}

impl Back {
    pub(super) fn send(&self, mut fields: Vec<(&str, String)>) -> HttpResponse {
        fields.extend(self.state.clone().map(|state| ("state", state)));
        match self.response_mode.as_str() {
            "form_post" => pages::form_post(&self.redirect_uri, &fields),
            "fragment" => redirect(&format!("{}#{}", self.redirect_uri, query(&fields))),
            _ => redirect(&with_query(&self.redirect_uri, &query(&fields))),
        }
    }

    pub(super) fn refuse(&self, cloud: &Cloud, failure: &Failure) -> HttpResponse {
        self.send(vec![
            ("error", failure.error.clone()),
            ("error_description", failure.description(cloud)),
            ("error_uri", failure.uri(cloud)),
        ])
    }

    /// The person pressed Cancel: there is no description.
    pub(super) fn cancelled(&self) -> HttpResponse {
        self.send(vec![
            ("error", "access_denied".to_owned()),
            ("error_subcode", "cancel".to_owned()),
        ])
    }
}

impl Authorization {
    /// Whether the consent page is to be shown whatever is granted.
    pub(super) fn wants_consent(&self) -> bool {
        self.prompt.as_deref() == Some("consent")
    }

    /// What an acceptance grants: the scopes by their short names, those of the registration for
    /// `.default`.
    pub(super) fn scopes(&self) -> BTreeSet<String> {
        let mut scopes: BTreeSet<String> = self
            .scope
            .split_whitespace()
            .map(|scope| short_name(scope).to_owned())
            .collect();
        if scopes.remove(".default") {
            scopes.extend(self.app.scopes.iter().cloned());
        }
        scopes
    }

    /// The delegated Graph permissions among them.
    pub(super) fn permissions(&self) -> BTreeSet<String> {
        let mut permissions = self.scopes();
        permissions.retain(|name| !OIDC_SCOPES.contains(&name.as_str()));
        permissions
    }

    /// Delegated Graph permissions asked for by name.
    pub(super) fn graph_scopes(&self) -> BTreeSet<String> {
        let names = self
            .scope
            .split_whitespace()
            .map(|scope| short_name(scope).to_owned());
        names
            .filter(|name| !OIDC_SCOPES.contains(&name.as_str()))
            .collect()
    }
}

/// Reads and checks a request.
pub(super) fn check(incoming: &Incoming<'_>) -> Result<Authorization, Box<Refusal>> {
    let parameters = &incoming.query;
    let page = |failure| Box::new(Refusal::Page(failure));
    parameters.require_no_duplicates().map_err(page)?;
    let app = incoming.app(parameters).map_err(page)?;
    let redirect_uri = registered_redirect(&app, parameters).map_err(page)?;

    let response_mode = parameters
        .get("response_mode")
        .unwrap_or("query")
        .to_owned();
    let state = parameters.get("state").map(str::to_owned);
    let back = Back {
        redirect_uri,
        response_mode,
        state,
    };
    let checked = check_rest(incoming, app, &back);
    checked.map_err(|failure| Box::new(Refusal::Redirect(failure, back)))
}

/// The redirect URI of a request. Errors: 900144 missing, 50011 not registered.
pub(super) fn registered_redirect(app: &App, parameters: &Parameters) -> Result<String, Failure> {
    let address = parameters.required("redirect_uri")?;
    if !redirect_is_registered(app, address) {
        return Err(Failure::new(50_011).saying(format!(
            "The redirect URI '{address}' specified in the request does not match the redirect \
             URIs configured for the application '{}'.",
            app.client_id
        )));
    }
    Ok(address.to_owned())
}

fn check_rest(incoming: &Incoming<'_>, app: App, back: &Back) -> Result<Authorization, Failure> {
    let parameters = &incoming.query;
    match parameters.required("response_type")? {
        "code" => {}
        with_token if with_token.split(' ').any(|kind| kind == "id_token") => {
            return Err(Failure::new(700_054));
        }
        _ => return Err(Failure::new(90_023).as_error("unsupported_response_type")),
    }
    match back.response_mode.as_str() {
        "query" => {}
        "fragment" | "form_post" => incoming.violation("response_mode is not query"),
        _ => return Err(Failure::new(70_007)),
    }
    if back.state.is_none() {
        incoming.violation("no state");
    }
    let scope = parameters.required("scope")?.to_owned();
    check_scope(incoming, &scope)?;
    let nonce = parameters.get("nonce").map(str::to_owned);
    if nonce.is_none() {
        incoming.violation("no nonce");
    }
    let prompt = parameters.get("prompt").map(str::to_owned);
    let login_hint = parameters.get("login_hint").map(str::to_owned);
    match prompt.as_deref() {
        None | Some("login" | "consent") => {}
        Some("select_account") if login_hint.is_some() => return Err(Failure::new(90_005)),
        Some("select_account") => {}
        Some("none") => return Err(Failure::new(50_058)),
        Some(other) => {
            let text = format!("Invalid prompt value: '{other}'.");
            return Err(Failure::new(90_023).saying(text));
        }
    }
    Ok(Authorization {
        code_challenge: challenge(incoming)?,
        app,
        back: back.clone(),
        scope,
        nonce,
        prompt,
        login_hint,
    })
}

fn check_scope(incoming: &Incoming<'_>, scope: &str) -> Result<(), Failure> {
    let names: Vec<&str> = scope.split_whitespace().collect();
    if !names.contains(&"openid") {
        incoming.violation("scope without openid");
    }
    let defaults = names
        .iter()
        .filter(|name| short_name(name) == ".default")
        .count();
    let named = names
        .iter()
        .filter(|name| !OIDC_SCOPES.contains(name))
        .count()
        - defaults;
    if defaults > 1 || (defaults == 1 && named > 0) {
        let text = format!(
            "The provided value for the input parameter 'scope' isn't valid. .default can't be combined with resource-specific scopes: {scope}"
        );
        return Err(Failure::new(70_011).saying(text));
    }
    let resource = controls::graph_resource(incoming.cloud);
    for name in names {
        let foreign = name.contains("://") && !name.starts_with(&format!("{resource}/"));
        if foreign {
            return Err(unknown_resource(name));
        }
    }
    Ok(())
}

/// 500011 for a scope of a resource that tenants do not have.
pub(super) fn unknown_resource(scope: &str) -> Failure {
    let resource = scope
        .rsplit_once('/')
        .map_or(scope, |(resource, _)| resource);
    Failure::new(500_011).saying(format!(
        "The resource principal named {resource} was not found in the tenant."
    ))
}

/// What the SHA-256 of the verifier must be. With `plain` the challenge is the verifier itself.
fn challenge(incoming: &Incoming<'_>) -> Result<Option<String>, Failure> {
    let Some(challenge) = incoming.query.get("code_challenge") else {
        incoming.violation("no code_challenge");
        return Ok(None);
    };
    match incoming.query.get("code_challenge_method") {
        Some("S256") if challenge.len() != 43 => Err(Failure::new(501_491)),
        Some("S256") => Ok(Some(challenge.to_owned())),
        Some("plain") | None => {
            incoming.violation("code_challenge_method is not S256");
            if !(43..=128).contains(&challenge.len()) {
                return Err(Failure::new(50_147));
            }
            Ok(Some(challenge_of(challenge)))
        }
        Some(_) => Err(Failure::new(9_002_313)),
    }
}

/// The S256 challenge of a verifier.
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// The last segment of a scope: `https://graph.microsoft.com/User.Read` is `User.Read`.
pub(super) fn short_name(scope: &str) -> &str {
    scope.rsplit('/').next().unwrap_or(scope)
}
