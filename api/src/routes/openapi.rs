//! The OpenAPI document.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};

use crate::{etag, openapi, problem::Problem};

/// The document as it is served, and its hash. Made on the first call.
static DOCUMENT: LazyLock<Result<(String, String), serde_json::Error>> = LazyLock::new(|| {
    let text = openapi::document_text()?;
    let tag = etag::of_bytes(text.as_bytes());
    Ok((text, tag))
});

/// Read the OpenAPI document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "documentation",
    params(("If-None-Match" = Option<String>, Header, description = "ETag of the document the caller has")),
    responses(
        (status = 200, description = "The OpenAPI 3.1 document", body = Object, headers(("ETag" = String))),
        (status = 304, description = "Nothing changed", headers(("ETag" = String))),
    ),
)]
pub async fn get_openapi_document(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let (text, tag) = DOCUMENT
        .as_ref()
        .map_err(|error| Problem::internal(error.to_string()))?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::ETAG, tag.as_str()))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if etag::is_known(request.headers(), tag) {
        return Ok(answer.status(StatusCode::NOT_MODIFIED).finish());
    }
    Ok(answer.content_type("application/json").body(text.as_str()))
}
