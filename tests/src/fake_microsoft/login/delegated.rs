//! What somebody who signed in lets the app do: the scopes, and the answer of the token endpoint.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    CONSUMER_TENANT,
    authorization::{OIDC_SCOPES, short_name},
    controls,
    errors::Failure,
    mint,
};
use crate::fake_microsoft::state::{Cloud, SignIn};

/// Scopes that are asked for.
pub(super) struct Asked {
    /// Those of OpenID Connect, and permissions by their short names.
    names: BTreeSet<String>,
}

impl Asked {
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Permissions by their short names.
    pub(super) fn permissions(&self) -> impl Iterator<Item = &String> {
        let apart = |name: &&String| !is_openid(name) && *name != ".default";
        self.names.iter().filter(apart)
    }
}

/// Reads a scope, which may be of one resource only at this endpoint. Error: 70011.
pub(super) fn read(cloud: &Cloud, scope: &str) -> Result<Asked, Failure> {
    let resource = format!("{}/", controls::graph_resource(cloud));
    let mut names = BTreeSet::new();
    for name in scope.split_whitespace() {
        if name.contains("://") && !name.starts_with(&resource) {
            return Err(Failure::new(70_011).saying(format!(
                "The provided value for the input parameter 'scope' isn't valid. The scope {name} isn't valid."
            )));
        }
        names.insert(short_name(name).to_owned());
    }
    Ok(Asked { names })
}

/// What was granted to the app on behalf of users, also beyond what is asked for. Errors: 65001 when
/// nothing of what is asked for is granted, or the service principal is gone.
pub(super) fn granted(
    cloud: &Cloud,
    sign_in: &SignIn,
    asked: &Asked,
) -> Result<BTreeSet<String>, Failure> {
    if sign_in.tenant == CONSUMER_TENANT {
        return Ok(asked.names.clone());
    }
    let tenant = cloud.tenant(sign_in.tenant).ok_or_else(not_consented)?;
    let grants = tenant.grants.lock().expect("grants");
    let grant = grants.get(&sign_in.client_id).ok_or_else(not_consented)?;
    let mut permissions = asked.permissions().peekable();
    let nothing = grant.scopes.iter().all(|name| is_openid(name));
    if permissions.peek().is_none() && !asked.has(".default") {
        return Ok(grant.scopes.clone());
    }
    if nothing || (!asked.has(".default") && !permissions.any(|name| grant.scopes.contains(name))) {
        return Err(not_consented());
    }
    Ok(grant.scopes.clone())
}

/// 65001.
pub(super) fn not_consented() -> Failure {
    Failure::new(65_001).challenging("consent_required", None)
}

/// The answer for somebody who signed in, with the permissions of these that are of Graph.
pub(super) fn answer(
    cloud: &Cloud,
    sign_in: &SignIn,
    asked: &Asked,
    granted: &BTreeSet<String>,
) -> Value {
    let resource = controls::graph_resource(cloud);
    let permissions = granted.iter().filter(|name| !is_openid(name));
    let permissions: BTreeSet<String> = permissions.cloned().collect();
    // `offline_access` shows as the refresh token, never here.
    let of_openid = OIDC_SCOPES.iter().filter(|name| **name != "offline_access");
    let of_openid = of_openid.filter(|name| asked.has(name));
    let shown: Vec<String> = of_openid
        .map(ToString::to_string)
        .chain(permissions.iter().map(|name| format!("{resource}/{name}")))
        .collect();
    let minted = mint::delegated(cloud, sign_in, resource, permissions);
    let mut answer = json!({
        "token_type": "Bearer",
        "scope": shown.join(" "),
        "expires_in": minted.expires_in,
        "ext_expires_in": minted.expires_in,
        "access_token": minted.token,
    });
    if asked.has("openid") {
        answer["id_token"] = json!(mint::id_token(cloud, sign_in));
    }
    answer
}

fn is_openid(name: &str) -> bool {
    OIDC_SCOPES.contains(&name)
}
