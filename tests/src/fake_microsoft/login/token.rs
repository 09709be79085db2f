//! The token endpoint.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Authority, CONSUMER_TENANT, Endpoint, assertion,
    authorization::{OIDC_SCOPES, challenge_of, short_name, unknown_resource},
    controls::{self, scripted},
    errors::Failure,
    incoming::Incoming,
    mint,
};
use crate::fake_microsoft::{
    faults::percent_decoded,
    state::{App, Cloud, GRAPH_APP_ID, IssuedCode, Tenant},
};

/// How long a code is good, in seconds.
const CODE_LIFE: i64 = 600;

/// `POST /{tenant}/oauth2/v2.0/token`.
pub(super) fn answer(incoming: &Incoming<'_>) -> HttpResponse {
    match grant(incoming) {
        Ok(mut answer) => {
            controls::forge_token_answer(incoming.cloud, &mut answer);
            HttpResponse::Ok()
                .insert_header(("Pragma", "no-cache"))
                .json(answer)
        }
        Err(failure) => failure.response(incoming.cloud),
    }
}

fn grant(incoming: &Incoming<'_>) -> Result<Value, Failure> {
    if incoming.method != "POST" {
        let text = "The endpoint only accepts POST requests. Received a";
        return Err(Failure::new(900_561).saying(format!("{text} {} request.", incoming.method)));
    }
    let authority = incoming
        .authority()
        .map_err(|failure| failure.as_error("invalid_request"))?;
    if let Some(failure) = scripted(incoming, Endpoint::Token) {
        return Err(failure);
    }
    if !incoming.is_form {
        incoming.violation("a token request that is not a form");
    }
    if !incoming.query.is_empty() {
        incoming.violation("a token request with a query");
    }
    incoming.form.require_no_duplicates()?;
    match incoming.form.required("grant_type")? {
        "authorization_code" => authorization_code(incoming, &authority),
        "client_credentials" => client_credentials(incoming, &authority),
        other => Err(Failure::new(70_003).saying(format!(
            "The app requested an unsupported grant type '{other}'."
        ))),
    }
}

fn authorization_code(incoming: &Incoming<'_>, authority: &Authority) -> Result<Value, Failure> {
    let cloud = incoming.cloud;
    let app = incoming.app(&incoming.form)?;
    authenticate(incoming, &app)?;
    let text = incoming.form.required("code")?;
    let redirect_uri = incoming.form.required("redirect_uri")?;

    let mut codes = cloud.codes.lock().expect("codes");
    let code = codes
        .get_mut(text)
        .ok_or_else(|| Failure::new(70_000).saying("Provided grant is invalid or malformed."))?;
    if code.redeemed {
        return Err(Failure::new(54_005));
    }
    if cloud.now_unix() > code.issued_at + CODE_LIFE {
        return Err(Failure::new(70_008));
    }
    if code.client_id != app.client_id {
        return Err(Failure::new(70_000).saying("The code was not issued to this client."));
    }
    check_tenant(authority, code)?;
    if code.redirect_uri != redirect_uri {
        return Err(Failure::new(500_112).saying(format!(
            "The reply address '{redirect_uri}' does not match the reply address '{}' provided \
             when requesting Authorization code.",
            code.redirect_uri
        )));
    }
    check_verifier(incoming, code)?;
    let scope = incoming.form.get("scope").unwrap_or(&code.scope).to_owned();
    let resource = controls::graph_resource(cloud);
    let mut scopes = redeemable_scopes(&scope, &resource)?;
    let code = {
        code.redeemed = true;
        code.clone()
    };
    drop(codes);

    scopes.extend(granted_scopes(cloud, &code)?);
    let has_openid = code.scope.split_whitespace().any(|name| name == "openid");
    let oidc = code
        .scope
        .split_whitespace()
        .filter(|name| OIDC_SCOPES.contains(name));
    // There are no refresh tokens here yet, so `offline_access` is not granted.
    let oidc = oidc
        .filter(|name| *name != "offline_access")
        .map(str::to_owned);
    let shown: Vec<String> = oidc
        .chain(scopes.iter().map(|name| format!("{resource}/{name}")))
        .collect();
    let minted = mint::delegated(cloud, &code, &resource, scopes);
    let mut answer = json!({
        "token_type": "Bearer",
        "scope": shown.join(" "),
        "expires_in": minted.expires_in,
        "ext_expires_in": minted.expires_in,
        "access_token": minted.token,
    });
    if has_openid {
        answer["id_token"] = json!(mint::id_token(cloud, &code));
    }
    Ok(answer)
}

/// A code is redeemed at the tenant it was issued for (700005).
fn check_tenant(authority: &Authority, code: &IssuedCode) -> Result<(), Failure> {
    let fits = match authority {
        Authority::Tenant(tenant) => tenant.id == code.tenant,
        Authority::Common => true,
        Authority::Organizations => code.tenant != CONSUMER_TENANT,
        Authority::Consumers => code.tenant == CONSUMER_TENANT,
    };
    if fits {
        Ok(())
    } else {
        Err(Failure::new(700_005))
    }
}

fn check_verifier(incoming: &Incoming<'_>, code: &IssuedCode) -> Result<(), Failure> {
    let verifier = incoming.form.get("code_verifier");
    match (&code.code_challenge, verifier) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Failure::new(501_481).as_error("invalid_request")),
        (Some(_), None) => Err(Failure::missing("code_verifier").as_error("invalid_grant")),
        (Some(challenge), Some(verifier)) => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            if !(43..=128).contains(&verifier.len()) || !verifier.chars().all(allowed) {
                return Err(
                    Failure::new(501_491).saying("Invalid size of Code_Verifier parameter.")
                );
            }
            if challenge_of(verifier) != *challenge {
                return Err(Failure::new(501_481));
            }
            Ok(())
        }
    }
}

/// The delegated permissions of a scope, which may be of one resource only at this endpoint.
fn redeemable_scopes(scope: &str, resource: &str) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    for name in scope
        .split_whitespace()
        .filter(|name| !OIDC_SCOPES.contains(name))
    {
        if name.contains("://") && !name.starts_with(&format!("{resource}/")) {
            return Err(Failure::new(70_011).saying(format!(
                "The provided value for the input parameter 'scope' isn't valid. The scope {name} isn't valid."
            )));
        }
        names.insert(short_name(name).to_owned());
    }
    names.remove(".default");
    Ok(names)
}

/// What the organisation granted the app on behalf of users. Error: 65001 when the service principal
/// is gone.
fn granted_scopes(cloud: &Cloud, code: &IssuedCode) -> Result<BTreeSet<String>, Failure> {
    if code.tenant == CONSUMER_TENANT {
        return Ok(BTreeSet::new());
    }
    let tenant = cloud
        .tenant(code.tenant)
        .ok_or_else(|| Failure::new(65_001))?;
    let grants = tenant.grants.lock().expect("grants");
    let grant = grants
        .get(&code.client_id)
        .ok_or_else(|| Failure::new(65_001))?;
    let of_graph = grant
        .scopes
        .iter()
        .filter(|name| !OIDC_SCOPES.contains(&name.as_str()));
    Ok(of_graph.cloned().collect())
}

fn client_credentials(incoming: &Incoming<'_>, authority: &Authority) -> Result<Value, Failure> {
    let cloud = incoming.cloud;
    let tenant = match authority {
        Authority::Tenant(tenant) => tenant,
        Authority::Common | Authority::Consumers => return Err(Failure::new(9_001_023)),
        Authority::Organizations => return Err(Failure::new(50_059)),
    };
    let app = incoming.app(&incoming.form)?;
    let resource = resource_of(incoming)?;
    // The app is looked up in the tenant before its secret is compared.
    let roles = granted_roles(tenant, &app)?;
    authenticate(incoming, &app)?;
    let minted = mint::app_only(cloud, tenant.id, &app, &resource, roles);
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": minted.expires_in,
        "ext_expires_in": minted.expires_in,
        "access_token": minted.token,
    }))
}

/// The one resource of a `.default` scope. Errors: 1002012, 70011, 500011.
fn resource_of(incoming: &Incoming<'_>) -> Result<String, Failure> {
    let scope = incoming.form.required("scope")?;
    let names: Vec<&str> = scope.split_whitespace().collect();
    let [name] = names.as_slice() else {
        return Err(Failure::new(70_011).saying(format!(
            "The provided value for the input parameter 'scope' isn't valid. The scope {scope} isn't valid."
        )));
    };
    let Some(resource) = name.strip_suffix("/.default") else {
        return Err(Failure::new(1_002_012).saying(format!(
            "The provided value for scope {name} is not valid. Client credential flows must have a \
             scope value with /.default suffixed to the resource identifier (application ID URI)."
        )));
    };
    let graph = controls::graph_resource(incoming.cloud);
    if resource != graph && resource != GRAPH_APP_ID {
        return Err(unknown_resource(name));
    }
    Ok(resource.to_owned())
}

/// The application permissions the tenant granted. Error: 700016 without a service principal, also
/// while a fresh one is not there yet.
fn granted_roles(tenant: &Tenant, app: &App) -> Result<BTreeSet<String>, Failure> {
    let absent = || Failure::app_not_found(&app.client_id, &tenant.display_name);
    let mut grants = tenant.grants.lock().expect("grants");
    let grant = grants.get_mut(&app.client_id).ok_or_else(absent)?;
    if grant.lag_requests == 0 {
        return Ok(grant.app_roles.clone());
    }
    grant.lag_requests -= 1;
    if grant.lag_without_roles {
        Ok(BTreeSet::new())
    } else {
        Err(absent())
    }
}

/// Checks the client's credential: a secret in the form or as HTTP Basic, or an assertion. Errors:
/// 7000218 none, 7000215 wrong.
fn authenticate(incoming: &Incoming<'_>, app: &App) -> Result<(), Failure> {
    let form = &incoming.form;
    let basic = basic_secret(incoming, app)?;
    let posted = form.get("client_secret").map(str::to_owned);
    if let Some(assertion) = form.get("client_assertion") {
        if basic.is_some() || posted.is_some() {
            incoming.violation("more than one client credential");
        }
        if form.required("client_assertion_type")? != assertion::KIND {
            return Err(Failure::new(50_012).saying("Unsupported client assertion type."));
        }
        return assertion::check(incoming, app, assertion);
    }
    if basic.is_some() && posted.is_some() {
        incoming.violation("more than one client credential");
    }
    match posted.or(basic) {
        None => Err(Failure::new(7_000_218)),
        Some(secret) if secret == app.client_secret => Ok(()),
        Some(_) => Err(Failure::new(7_000_215).saying(format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the \
             client secret value, not the client secret ID, for a secret added to app '{}'.",
            app.client_id
        ))),
    }
}

/// The secret of an `Authorization: Basic`, whose parts are form-encoded before they are joined.
fn basic_secret(incoming: &Incoming<'_>, app: &App) -> Result<Option<String>, Failure> {
    let header = incoming.authorization.as_deref();
    let Some(encoded) = header.and_then(|header| header.strip_prefix("Basic ")) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(encoded.trim()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match text.split_once(':') {
        Some((id, secret)) if percent_decoded(id) == app.client_id => {
            Ok(Some(percent_decoded(&secret.replace('+', " "))))
        }
        _ => Err(Failure::new(7_000_215)),
    }
}
