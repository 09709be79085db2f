//! Which answers are worth compressing.

use actix_web::{
    Error,
    body::{BodySize, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderValue},
    middleware::Next,
};

/// Smallest body that is compressed, in bytes.
const SMALLEST: u64 = 1024;

/// Marks small answers and event streams as not to be compressed. actix's compression leaves alone
/// what has a Content-Encoding; [`unmark`] takes the mark away again outside of it.
pub async fn mark_incompressible<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let small = match response.response().body().size() {
        BodySize::None => true,
        BodySize::Sized(size) => size < SMALLEST,
        BodySize::Stream => false,
    };
    let headers = response.headers_mut();
    let stream = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if (small || stream) && !headers.contains_key(header::CONTENT_ENCODING) {
        headers.insert(
            header::CONTENT_ENCODING,
            HeaderValue::from_static("identity"),
        );
    }
    Ok(response)
}

/// Takes the mark away: `identity` does not belong into a Content-Encoding.
pub fn unmark(headers: &mut HeaderMap) {
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| coding == "identity")
    {
        headers.remove(header::CONTENT_ENCODING);
    }
}
