//! OpenID metadata and key documents, without authentication.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::{
    Authority, CONSUMER_TENANT, Endpoint, controls::scripted, errors::Failure, incoming::Incoming,
    keys,
};
use crate::fake_microsoft::{
    national::NationalCloud,
    state::{Cloud, Tenant},
};

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`.
pub(super) fn metadata(incoming: &Incoming<'_>) -> HttpResponse {
    let authority = match resolve(incoming) {
        Ok(authority) => authority,
        Err(failure) => return failure.response(incoming.cloud),
    };
    let cloud = incoming.cloud;
    HttpResponse::Ok().json(match authority {
        Authority::Tenant(tenant) => of_tenant(cloud, &tenant),
        Authority::Common => document(cloud, "common", "{tenantid}", &Place::of_cloud(cloud)),
        Authority::Organizations => document(
            cloud,
            "organizations",
            "{tenantid}",
            &Place::of_cloud(cloud),
        ),
        Authority::Consumers => document(
            cloud,
            "consumers",
            &CONSUMER_TENANT.to_string(),
            &Place::of_cloud(cloud),
        ),
    })
}

/// `GET /{tenant}/discovery/v2.0/keys`.
pub(super) fn keys(incoming: &Incoming<'_>) -> HttpResponse {
    let authority = match resolve(incoming) {
        Ok(authority) => authority,
        Err(failure) => return failure.response(incoming.cloud),
    };
    let cloud = incoming.cloud;
    HttpResponse::Ok().json(match authority {
        Authority::Tenant(tenant) => {
            keys::tenant_document(cloud, &issuer(cloud, &tenant.id.to_string()))
        }
        Authority::Common | Authority::Organizations => keys::common_document(cloud),
        Authority::Consumers => {
            keys::consumer_document(&issuer(cloud, &CONSUMER_TENANT.to_string()))
        }
    })
}

/// The v2.0 issuer of a tenant.
pub(super) fn issuer(cloud: &Cloud, tenant: &str) -> String {
    format!("{}/{tenant}/v2.0", cloud.login_origin)
}

fn resolve(incoming: &Incoming<'_>) -> Result<Authority, Failure> {
    match scripted(incoming, Endpoint::Discovery) {
        Some(failure) => Err(failure),
        None => incoming.authority(),
    }
}

/// Where a document's endpoints are, and where its tenant lives.
struct Place<'a> {
    origin: &'a str,
    home: NationalCloud,
    scope: Option<&'a str>,
    sub_scope: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// That of the cloud itself.
    fn of_cloud(cloud: &'a Cloud) -> Self {
        Self {
            origin: &cloud.login_origin,
            home: cloud.played(),
            scope: None,
            sub_scope: None,
        }
    }

    fn of_tenant(cloud: &'a Cloud, tenant: &'a Tenant) -> Self {
        let home = cloud.home_of(tenant);
        let told = tenant
            .region_sub_scope
            .as_deref()
            .map(|sub_scope| (tenant.region_scope.as_str(), sub_scope));
        let region = told.or(home.region());
        let origin = if cloud.signs_in_here(tenant) {
            cloud.login_origin.as_str()
        } else {
            home.login_origin()
        };
        Self {
            origin,
            home,
            scope: region.map_or(Some(&tenant.region_scope), |(scope, _)| Some(scope)),
            sub_scope: region.map(|(_, sub_scope)| sub_scope),
        }
    }
}

fn of_tenant(cloud: &Cloud, tenant: &Tenant) -> Value {
    let id = tenant.id.to_string();
    document(cloud, &id, &id, &Place::of_tenant(cloud, tenant))
}

fn document(cloud: &Cloud, segment: &str, tenant: &str, place: &Place<'_>) -> Value {
    let base = format!("{}/{segment}", place.origin);
    // The names of the cloud stay Microsoft's, whatever host the stand-in has.
    let home = match (place.scope, place.sub_scope) {
        (Some("USGov"), Some("DOD")) => NationalCloud::UsGovDod,
        (Some("USGov"), _) => NationalCloud::UsGov,
        _ => place.home,
    };
    let graph_host = home.graph_resource().replace("https://", "");
    let mut document = json!({
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{}/{tenant}/v2.0", place.origin),
        "request_uri_parameter_supported": false,
        "userinfo_endpoint": format!("{}/oidc/userinfo", cloud.graph_origin),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "end_session_endpoint": format!("{base}/oauth2/v2.0/logout"),
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
            "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username",
            "name", "tid", "ver", "at_hash", "c_hash", "email"
        ],
        "kerberos_endpoint": format!("{base}/kerberos"),
        "tenant_region_scope": place.scope,
        "cloud_instance_name": home.instance(),
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": graph_host,
        "rbac_url": "https://pas.windows.net",
    });
    if let Some(sub_scope) = place.sub_scope {
        document["tenant_region_sub_scope"] = json!(sub_scope);
    }
    document
}
