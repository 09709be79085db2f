//! Sizes of what is read (N11). The HTTP library reads a request's head into a fixed buffer, so the
//! head is measured after parsing; a body is refused before it is allocated.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
};

use crate::problem::{Problem, catalogue};

/// Longest URL in bytes: path and query.
pub const URL_LIMIT: usize = 8 * 1024;
/// Largest head in bytes: names and values of all headers with their separators.
pub const HEADER_LIMIT: usize = 16 * 1024;
/// Largest body in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Refuses what is too large.
pub async fn refuse_oversized<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    match oversized(&request) {
        None => Ok(next.call(request).await?.map_into_left_body()),
        Some(problem) => Ok(request.error_response(problem).map_into_right_body()),
    }
}

fn oversized(request: &ServiceRequest) -> Option<Problem> {
    let url = request
        .uri()
        .path_and_query()
        .map_or(0, |text| text.as_str().len());
    if url > URL_LIMIT {
        return Some(Problem::new(&catalogue::URI_TOO_LONG));
    }
    let separators = ": \r\n".len();
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + separators)
        .sum();
    if headers > HEADER_LIMIT {
        return Some(Problem::new(&catalogue::HEADERS_TOO_LARGE));
    }
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    let announced = length
        .to_str()
        .ok()
        .and_then(|text| text.parse::<usize>().ok());
    if announced.is_none_or(|length| length > BODY_LIMIT) {
        return Some(Problem::new(&catalogue::PAYLOAD_TOO_LARGE));
    }
    None
}
