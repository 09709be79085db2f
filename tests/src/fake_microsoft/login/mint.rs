//! Makes tokens: id tokens for the client, access tokens for the Graph stand-in.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    CONSUMER_TENANT,
    controls::{self, AppTokenForm, Forgery, next_random},
    discovery::issuer,
    keys::{ForgeKey, SigningKey, compact},
    people,
};
use crate::fake_microsoft::state::{AccessToken, App, Cloud, GRAPH_APP_ID, Person, SignIn};

/// How long an id token is valid, in seconds.
const ID_TOKEN_LIFE: i64 = 3_900;
/// Role template id that every member of a directory has.
const DEFAULT_USER_ROLE: &str = "b79fbf4d-3ef9-4689-8143-76b194e85509";

/// An access token and its life in seconds.
pub(super) struct Minted {
    pub token: String,
    pub expires_in: i64,
}

/// An app-only access token with these application permissions, known to the Graph server.
pub(super) fn app_only(
    cloud: &Cloud,
    tenant: Uuid,
    app: &App,
    resource: &str,
    roles: BTreeSet<String>,
) -> Minted {
    let object_id = Uuid::from_u128(tenant.as_u128() ^ hash_of(&app.client_id));
    let mut claims = json!({
        "appidacr": "1",
        "idtyp": "app",
        "oid": object_id,
        "sub": object_id,
        "idp": format!("https://sts.windows.net/{tenant}/"),
    });
    let form = controls::app_token_form(cloud, tenant);
    // A token of an app without permissions has no `roles` at all.
    if !roles.is_empty() && form.is_none() {
        claims["roles"] = json!(roles);
    }
    let issued = cloud.next_moment();
    let record = AccessToken {
        tenant,
        client_id: app.client_id.clone(),
        audience: resource.to_owned(),
        roles,
        scopes: BTreeSet::new(),
        person: None,
        issued,
        signed_in: issued,
        expires_at: 0,
    };
    access_token(cloud, claims, record, form)
}

/// An access token of somebody who signed in, with these delegated permissions.
pub(super) fn delegated(
    cloud: &Cloud,
    sign_in: &SignIn,
    resource: &str,
    scopes: BTreeSet<String>,
) -> Minted {
    let names: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let person = &sign_in.person;
    let claims = json!({
        "appidacr": "1",
        "idtyp": "user",
        "oid": person.oid,
        "sub": subject(GRAPH_APP_ID, person),
        "name": person.name,
        "upn": person.upn,
        "unique_name": person.upn,
        "scp": names.join(" "),
        "wids": roles_claim(person),
    });
    let record = AccessToken {
        tenant: token_tenant(sign_in),
        client_id: sign_in.client_id.clone(),
        audience: resource.to_owned(),
        roles: BTreeSet::new(),
        scopes,
        person: Some(person.clone()),
        issued: cloud.next_moment(),
        signed_in: sign_in.moment,
        expires_at: 0,
    };
    access_token(cloud, claims, record, None)
}

fn access_token(
    cloud: &Cloud,
    mut claims: Value,
    mut record: AccessToken,
    form: Option<AppTokenForm>,
) -> Minted {
    let now = cloud.now_unix();
    // A random life between 60 and 90 minutes, as Microsoft documents.
    let expires_in = 3_600 + i64::try_from(next_random(cloud) % 1_801).unwrap_or_default();
    record.expires_at = now + expires_in;
    let tenant = record.tenant;
    claims["aud"] = json!(record.audience);
    claims["iss"] = json!(format!("https://sts.windows.net/{tenant}/"));
    claims["iat"] = json!(now);
    claims["nbf"] = json!(now);
    claims["exp"] = json!(record.expires_at);
    claims["appid"] = json!(record.client_id);
    claims["tid"] = json!(tenant);
    claims["uti"] = json!(token_id(cloud));
    claims["ver"] = json!("1.0");
    let key = SigningKey::signing(cloud);
    // Version 1.0 tokens name their key twice.
    let header = json!({"typ": "JWT", "alg": "RS256", "x5t": key.kid(), "kid": key.kid()});
    let token = match form {
        Some(AppTokenForm::Unreadable) => format!("EwB{}", token_id(cloud)),
        Some(AppTokenForm::WithoutRoles) | None => {
            compact(&header, &claims.to_string(), ForgeKey::Rsa(key))
        }
    };
    cloud
        .access_tokens
        .lock()
        .expect("access tokens")
        .insert(token.clone(), record);
    Minted { token, expires_in }
}

/// The id token of a sign-in. One that comes with a refresh has no nonce.
pub(super) fn id_token(cloud: &Cloud, sign_in: &SignIn) -> String {
    let now = cloud.now_unix();
    let person = &sign_in.person;
    let tenant = token_tenant(sign_in);
    let scopes: Vec<&str> = sign_in.scope.split_whitespace().collect();
    let mut claims = json!({
        "aud": sign_in.client_id,
        "iss": issuer(cloud, &tenant.to_string()),
        "iat": now,
        "nbf": now,
        "exp": now + ID_TOKEN_LIFE,
        "rh": "1.AXEA",
        "sub": subject(&sign_in.client_id, person),
        "uti": token_id(cloud),
        "ver": "2.0",
    });
    if let Some(nonce) = &sign_in.nonce {
        claims["nonce"] = json!(nonce);
    }
    // `tid` comes with `profile`, like `oid` and the display claims.
    if scopes.contains(&"profile") {
        claims["tid"] = json!(tenant);
        claims["oid"] = json!(person.oid);
        claims["name"] = json!(person.name);
        claims["preferred_username"] = json!(person.upn);
    }
    if scopes.contains(&"email") {
        claims["email"] = json!(person.upn);
    }
    if person.wids_in_token {
        claims["wids"] = json!(roles_claim(person));
    }
    if person.guest {
        claims["acct"] = json!(1);
        claims["idp"] = json!(people::identity_provider_of_guest(cloud, person));
    }
    let key = match tenant {
        CONSUMER_TENANT => SigningKey::Consumer,
        _ => SigningKey::signing(cloud),
    };
    let mut token = Forgery {
        header: json!({"typ": "JWT", "alg": "RS256", "kid": key.kid()}),
        claims,
        claims_text: None,
        key: ForgeKey::Rsa(key),
    };
    controls::forge_id_token(cloud, &mut token);
    let payload = token
        .claims_text
        .unwrap_or_else(|| token.claims.to_string());
    compact(&token.header, &payload, token.key)
}

/// `tid` of somebody's tokens: a guest's are of the tenant visited, a personal account's of the
/// consumer tenant.
fn token_tenant(sign_in: &SignIn) -> Uuid {
    if sign_in.person.personal && !sign_in.person.guest {
        CONSUMER_TENANT
    } else {
        sign_in.tenant
    }
}

fn roles_claim(person: &Person) -> Vec<String> {
    let member = (!person.guest && !person.personal).then(|| DEFAULT_USER_ROLE.to_owned());
    person
        .wids
        .iter()
        .map(ToString::to_string)
        .chain(member)
        .collect()
}

/// `sub` differs from app to app and never changes.
fn subject(client_id: &str, person: &Person) -> String {
    let hash = digest(&SHA256, format!("{client_id}/{}", person.oid).as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

fn token_id(cloud: &Cloud) -> String {
    URL_SAFE_NO_PAD.encode(controls::next_id(cloud).as_bytes())
}

fn hash_of(text: &str) -> u128 {
    let hash = digest(&SHA256, text.as_bytes());
    let first: [u8; 16] = hash.as_ref()[..16].try_into().expect("16 bytes");
    u128::from_be_bytes(first)
}
