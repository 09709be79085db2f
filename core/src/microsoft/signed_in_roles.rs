//! The directory roles of the person who has just signed in.
//!
//! The one read with a delegated token: it proves an administrator where the id token does not name
//! roles. The token is used once and kept nowhere.

use reqwest::{
    Method, Request,
    header::{ACCEPT, AUTHORIZATION, HeaderValue},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    microsoft::{
        backoff::Backoff, cloud::CloudProfile, graph::GraphUrl, graph_error::GraphError,
        identity::TokenError, page::Page,
    },
    outbound::{Outbound, Upstream, read_capped},
    secrets::SecretText,
};

/// A person holds a few roles, of some hundred that exist.
const ANSWER_LIMIT: usize = 1024 * 1024;
const ROLES: &str = "me/transitiveMemberOf/microsoft.graph.directoryRole?$select=id,roleTemplateId";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DirectoryRole {
    #[serde(default)]
    role_template_id: Option<Uuid>,
}

/// Template ids of the roles that the person holds in the tenant, directly or through a group.
///
/// # Errors
/// See [`GraphError`]; passing failures have been met again by then.
pub async fn signed_in_roles(
    profile: &CloudProfile,
    http: &Outbound,
    token: &SecretText,
) -> Result<Vec<Uuid>, GraphError> {
    let backoff = Backoff::default();
    let mut attempt = 0;
    loop {
        match ask(profile, http, token).await {
            Err(GraphError::Unavailable { .. }) if backoff.allows_after(attempt) => {
                tokio::time::sleep(backoff.wait(attempt)).await;
                attempt += 1;
            }
            decided => return decided,
        }
    }
}

async fn ask(
    profile: &CloudProfile,
    http: &Outbound,
    token: &SecretText,
) -> Result<Vec<Uuid>, GraphError> {
    // Built on the configured Graph and from nothing else, so the token cannot go anywhere else (N4).
    let url = GraphUrl::of_path(&ROLES.into(), profile);
    let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) else {
        return Err(GraphError::Token(TokenError::UnexpectedAnswer));
    };
    bearer.set_sensitive(true);
    let mut request = Request::new(Method::GET, url.url().clone());
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static("application/json"));
    let unavailable = |source| GraphError::Unavailable {
        status: None,
        source: Some(source),
    };
    let response = http
        .execute(Upstream::Graph, request)
        .await
        .map_err(unavailable)?;
    let status = response.status();
    let body = read_capped(response, ANSWER_LIMIT)
        .await
        .map_err(unavailable)?;
    if !status.is_success() {
        return Err(GraphError::from_answer(status.as_u16(), &body, false));
    }
    let page = Page::<DirectoryRole>::read(&body)?;
    Ok(page
        .value
        .into_iter()
        .filter_map(|role| role.role_template_id)
        .collect())
}
