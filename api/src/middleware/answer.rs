//! The outermost layer: gives each request its id, and each answer its id, headers, problem body,
//! measurement and log line.

use std::{panic::AssertUnwindSafe, time::Instant};

use actix_web::{
    Error, HttpMessage as _, HttpResponse, ResponseError,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::{self, Bytes},
};
use futures_util::FutureExt as _;
use tenantry_core::ids::RequestId;
use tracing::{Instrument as _, Span, field};
use uuid::Uuid;

use super::{compression, security_headers};
use crate::{
    auth::{Identity, RateLimit},
    client_address::came_by_https,
    problem::{Problem, ProblemType, catalogue},
    routes,
    state::AppState,
};

/// The header with the request's id.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest foreign id that is logged, in characters.
const FOREIGN_ID_LIMIT: usize = 100;

/// The route of a request that no route matched, in metrics and logs.
const UNMATCHED: &str = "unmatched";

/// Answers every request, also when what is inside panics.
pub async fn complete<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let Some(state) = request.app_data::<web::Data<AppState>>().cloned() else {
        return next
            .call(request)
            .await
            .map(ServiceResponse::map_into_left_body);
    };
    let id = RequestId::from_uuid(Uuid::now_v7());
    request.extensions_mut().insert(id);
    let asked = Asked::of(&request, id, &state);
    let span = asked.span(&request);
    let outcome = AssertUnwindSafe(next.call(request))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let entered = span.enter();
    let answered = match outcome {
        Ok(Ok(response)) => Ok(asked.finish(response, &state)),
        Ok(Err(error)) => Err(asked.finish_error(&error, &state)),
        Err(_panic) => {
            let problem = Problem::internal("a handler panicked");
            Err(asked.finish_error(&problem.into(), &state))
        }
    };
    drop(entered);
    answered
}

/// What has to be kept of a request, for its handler takes it.
struct Asked {
    id: RequestId,
    method: Method,
    prefers_page: bool,
    came_by_https: bool,
    began: Instant,
}

impl Asked {
    fn of(request: &ServiceRequest, id: RequestId, state: &AppState) -> Self {
        Self {
            id,
            method: request.method().clone(),
            prefers_page: routes::is_page(request.method().as_str(), request.path())
                && prefers_page(request.headers()),
            came_by_https: came_by_https(request.request(), &state.trusted_proxies),
            began: Instant::now(),
        }
    }

    fn span(&self, request: &ServiceRequest) -> Span {
        let span = tracing::info_span!(
            "request",
            requestId = %self.id,
            method = %self.method,
            clientRequestId = field::Empty,
            traceId = field::Empty,
            organizationId = field::Empty,
        );
        if let Some(foreign) = plain_header(request.headers(), "client-request-id") {
            span.record("clientRequestId", foreign);
        }
        if let Some(trace) = trace_id(request.headers()) {
            span.record("traceId", trace);
        }
        span
    }

    /// Completes an answer.
    fn finish<B: MessageBody + 'static>(
        &self,
        response: ServiceResponse<B>,
        state: &AppState,
    ) -> ServiceResponse<EitherBody<B, BoxBody>> {
        let (request, response) = response.into_parts();
        let mut response = match self.problem_instead(&response, state) {
            Some(problem) => problem.map_into_right_body(),
            None => response.map_into_left_body(),
        };
        let authenticated = request.extensions().get::<Identity>().is_some();
        let headers = response.headers_mut();
        if let Some(limit) = request.extensions().get::<RateLimit>() {
            limit.add_to(headers);
        }
        self.add_headers(headers, authenticated);
        let route = request
            .match_pattern()
            .unwrap_or_else(|| UNMATCHED.to_owned());
        self.observe(route, response.status(), state);
        ServiceResponse::new(request, response)
    }

    /// The problem to send in place of an error of ours, or of an error that the HTTP library
    /// answered with plain text or nothing.
    fn problem_instead<B>(
        &self,
        response: &HttpResponse<B>,
        state: &AppState,
    ) -> Option<HttpResponse> {
        let made;
        let problem = match response
            .error()
            .and_then(|error| error.as_error::<Problem>())
        {
            Some(problem) => problem,
            None if is_bare_error(response) => {
                made = Problem::new(kind_of(response.status()));
                &made
            }
            None => return None,
        };
        Some(self.render(problem, state))
    }

    fn render(&self, problem: &Problem, state: &AppState) -> HttpResponse {
        self.log_cause(problem);
        problem.render(state.public_url(), self.id.to_string(), self.prefers_page)
    }

    /// Completes an error that no layer made an answer of.
    fn finish_error(&self, error: &Error, state: &AppState) -> Error {
        let made;
        let problem = match error.as_error::<Problem>() {
            Some(problem) => problem,
            None => {
                made = Problem::new(kind_of(error.as_response_error().status_code()));
                &made
            }
        };
        let mut response = self.render(problem, state);
        self.add_headers(response.headers_mut(), false);
        self.observe(UNMATCHED.to_owned(), response.status(), state);
        CompleteError::of(response).into()
    }

    fn add_headers(&self, headers: &mut HeaderMap, authenticated: bool) {
        compression::unmark(headers);
        if let Ok(id) = HeaderValue::from_str(&self.id.to_string()) {
            headers.insert(X_REQUEST_ID.clone(), id);
        }
        security_headers::add(headers, self.came_by_https, authenticated);
    }

    fn log_cause(&self, problem: &Problem) {
        let (code, cause) = (problem.kind().code, problem.cause());
        if problem.status_code().is_server_error() {
            tracing::error!(code, cause, "request failed");
        } else if let Some(cause) = cause {
            tracing::debug!(code, cause, "request refused");
        }
    }

    fn observe(&self, route: String, status: StatusCode, state: &AppState) {
        let took = self.began.elapsed();
        state
            .metrics
            .observe_request(&self.method, &route, status, took);
        let (status, ms) = (status.as_u16(), took.as_millis());
        if status >= 500 {
            tracing::info!(route, status, ms, "request answered");
        } else {
            tracing::debug!(route, status, ms, "request answered");
        }
    }
}

/// An error that is an answer already, headers included: no layer outside adds anything.
#[derive(Debug)]
struct CompleteError {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl CompleteError {
    fn of(response: HttpResponse) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status(),
            headers: head.headers().clone(),
            body: body.try_into_bytes().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for CompleteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "answered with {}", self.status)
    }
}

impl ResponseError for CompleteError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::with_body(self.status, BoxBody::new(self.body.clone()));
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// Whether an error has no body of ours: the HTTP library answers with plain text or nothing.
fn is_bare_error<B>(response: &HttpResponse<B>) -> bool {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    (status.is_client_error() || status.is_server_error())
        && kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

/// The type of an error of which only the status is known.
fn kind_of(status: StatusCode) -> &'static ProblemType {
    match status.as_u16() {
        401 => &catalogue::UNAUTHORIZED,
        403 => &catalogue::FORBIDDEN,
        404 => &catalogue::NOT_FOUND,
        405 => &catalogue::METHOD_NOT_ALLOWED,
        406 => &catalogue::NOT_ACCEPTABLE,
        413 => &catalogue::PAYLOAD_TOO_LARGE,
        414 => &catalogue::URI_TOO_LONG,
        415 => &catalogue::UNSUPPORTED_MEDIA_TYPE,
        431 => &catalogue::HEADERS_TOO_LARGE,
        400..=499 => &catalogue::BAD_REQUEST,
        _ => &catalogue::INTERNAL_ERROR,
    }
}

/// A header of visible ASCII that may be logged.
fn plain_header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let text = headers.get(name)?.to_str().ok()?;
    (text.len() <= FOREIGN_ID_LIMIT && text.bytes().all(|byte| byte.is_ascii_graphic()))
        .then_some(text)
}

/// The trace id of a W3C `traceparent`.
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut parts = plain_header(headers, "traceparent")?.split('-');
    let (_version, id) = (parts.next()?, parts.next()?);
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

/// Whether the caller would rather read a page than JSON: a browser names `text/html` before
/// everything else.
fn prefers_page(headers: &HeaderMap) -> bool {
    let Some(accept) = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let quality = |wanted: &[&str]| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next()?;
                if !wanted.contains(&kind) {
                    return None;
                }
                let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
                Some(quality.unwrap_or(1.0))
            })
            .fold(0.0_f32, f32::max)
    };
    let page = quality(&["text/html"]);
    page > 0.0 && page > quality(&["application/json", "application/problem+json"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn only_who_names_html_before_json_gets_a_page() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(prefers_page(&accept(browser)));
        for json in [
            "*/*",
            "application/json",
            "application/json, text/html;q=0.5",
            "text/html;q=0",
            "",
        ] {
            assert!(!prefers_page(&accept(json)), "{json}");
        }
    }

    #[test]
    fn foreign_ids_are_logged_only_in_their_own_form() {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("traceparent");
        headers.insert(
            name.clone(),
            HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        );
        assert_eq!(trace_id(&headers), Some("0af7651916cd43dd8448eb211c80319c"));
        headers.insert(name, HeaderValue::from_static("00-zz-b7ad6b7169203331-01"));
        assert_eq!(trace_id(&headers), None);
    }
}
