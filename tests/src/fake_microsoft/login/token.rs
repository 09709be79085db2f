//! The token endpoint.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::{
    Authority, Endpoint,
    authorization::unknown_resource,
    client, code,
    controls::{self, scripted},
    errors::Failure,
    incoming::Incoming,
    mint, refresh,
};
use crate::fake_microsoft::state::{App, GRAPH_APP_ID, Tenant};

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
        .authority_here()
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
        "authorization_code" => code::redeem(incoming, &authority),
        "refresh_token" => refresh::redeem(incoming, &authority),
        "client_credentials" => client_credentials(incoming, &authority),
        other => Err(Failure::new(70_003).saying(format!(
            "The app requested an unsupported grant type '{other}'."
        ))),
    }
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
    client::authenticate(incoming, &app)?;
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
