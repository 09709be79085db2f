//! Sizes of what is read (N11). The HTTP library reads a request's head into a fixed buffer, so the
//! head is measured after parsing; a body is refused before it is allocated.

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Version, header},
    middleware::Next,
};
use futures_util::StreamExt as _;

use crate::problem::{Problem, catalogue};

/// Longest URL in bytes: path and query.
pub const URL_LIMIT: usize = 8 * 1024;
/// Largest head in bytes: names and values of all headers with their separators.
pub const HEADER_LIMIT: usize = 16 * 1024;
/// Largest body in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;
/// So much of a refused body is still taken in, so that its sender reads the refusal.
const DISCARD_LIMIT: usize = 16 * BODY_LIMIT;

/// Refuses what is too large.
pub async fn refuse_oversized<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(problem) = oversized(&request) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    // HTTP/1 answers and closes the connection. On HTTP/2 the stream would be reset, and the answer
    // lost, while the client still sends.
    if request.version() == Version::HTTP_2 {
        discard(&mut request.take_payload()).await;
    }
    Ok(request.error_response(problem).map_into_right_body())
}

/// Reads a body that is too large to its end, or until it is far too large.
pub async fn discard(payload: &mut Payload) {
    let mut seen = 0;
    while let Some(Ok(chunk)) = payload.next().await {
        seen += chunk.len();
        if seen > DISCARD_LIMIT {
            break;
        }
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
