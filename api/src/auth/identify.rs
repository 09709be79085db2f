//! Recognises the key of a request, and counts its call, before any handler runs.

use std::cell::RefCell;

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap},
    },
    middleware::Next,
    web,
};
use tenantry_core::{access::keys::AuthenticationError, ids::RequestId};

use super::caller::{Identity, NotIdentified, unauthorized};
use crate::{client_address::client_address, problem::Problem, routes, state::AppState};

/// Puts the [`Identity`] into the request. Who has none, or an invalid one, is refused only by a
/// handler that demands one; who has no call left is refused at once.
pub async fn identify<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    match recognise(&request).await {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(problem) => Ok(request.error_response(problem).map_into_right_body()),
    }
}

async fn recognise(request: &ServiceRequest) -> Result<(), Problem> {
    let Some(state) = request.app_data::<web::Data<AppState>>() else {
        return Ok(());
    };
    let Some(id) = request.extensions().get::<RequestId>().copied() else {
        return Ok(());
    };
    let Some(text) = bearer(request.headers()) else {
        return Ok(());
    };
    // Whoever reads the metrics has no key and needs none, nor a database.
    if state.is_metrics_token(&text) {
        return Ok(());
    }
    match state.keys.recognise(&text).await {
        Ok(key) => {
            tracing::Span::current().record("organizationId", tracing::field::display(key.org));
            let counted = if is_limited(request) {
                state.rate_limiter.count(key.id)
            } else {
                Ok(None)
            };
            let mut extensions = request.extensions_mut();
            match counted {
                Ok(None) => {}
                Ok(Some(limit)) => {
                    extensions.insert(limit);
                }
                Err((limit, problem)) => {
                    extensions.insert(limit);
                    return Err(problem);
                }
            }
            extensions.insert(Identity::new(key, id));
        }
        Err(AuthenticationError::Refused) => {
            state.metrics.count_refused_key();
            let from = client_address(request, &state.trusted_proxies).map(tracing::field::display);
            tracing::debug!(clientAddress = from, "key refused");
            request
                .extensions_mut()
                .insert(NotIdentified(RefCell::new(Some(unauthorized()))));
        }
        Err(AuthenticationError::Store(error)) => {
            request
                .extensions_mut()
                .insert(NotIdentified(RefCell::new(Some(error.into()))));
        }
    }
    Ok(())
}

/// Whether a call counts against its key's limit: one that needs no key does not.
fn is_limited(request: &ServiceRequest) -> bool {
    let pattern = request.match_pattern();
    request.method() != Method::OPTIONS
        && !pattern.is_some_and(|path| routes::is_open(request.method(), &path))
}

/// The bearer token of a request that has exactly one Authorization. Keys are accepted from nowhere
/// else (A7).
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(header::AUTHORIZATION);
    let (only, second) = (all.next()?, all.next());
    if second.is_some() {
        return None;
    }
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("Bearer")
        .then(|| token.trim().to_owned())
}
