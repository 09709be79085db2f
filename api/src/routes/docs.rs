//! The browsable form of the OpenAPI document. Everything it needs is in the binary.

use std::io::Read as _;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap},
    web,
};
use flate2::read::GzDecoder;

use crate::{etag, problem::Problem};

/// The policy of this page alone: Swagger UI works under it without asking another host, but not
/// under `require-trusted-types-for`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Whether the bytes are compressed already.
    gzipped: bool,
}

static PAGE: File = File {
    name: "index.html",
    kind: "text/html; charset=utf-8",
    bytes: include_bytes!("../../assets/docs/index.html"),
    gzipped: false,
};

static FILES: [File; 3] = [
    File {
        name: "init.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/docs/init.js"),
        gzipped: false,
    },
    File {
        name: "swagger-ui-bundle.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/docs/swagger-ui-bundle.js.gz"),
        gzipped: true,
    },
    File {
        name: "swagger-ui.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("../../assets/docs/swagger-ui.css.gz"),
        gzipped: true,
    },
];

/// Browse this API
#[utoipa::path(
    get,
    path = "/docs",
    tag = "documentation",
    params(("If-None-Match" = Option<String>, Header, description = "ETag of the page the caller has")),
    responses(
        (status = 200, description = "The page", content_type = "text/html", body = String, headers(("ETag" = String))),
        (status = 304, description = "Nothing changed", headers(("ETag" = String))),
    ),
)]
pub async fn show_docs(request: HttpRequest) -> Result<HttpResponse, Problem> {
    serve(&PAGE, request.headers())
}

/// Read a file of the page that browses this API
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "documentation",
    params(
        ("file" = String, Path, description = "Name of the file", example = "init.js"),
        ("If-None-Match" = Option<String>, Header, description = "ETag of the file the caller has"),
    ),
    responses(
        (status = 200, description = "The file", content((String = "text/javascript"), (String = "text/css")), headers(("ETag" = String))),
        (status = 304, description = "Nothing changed", headers(("ETag" = String))),
    ),
)]
pub async fn get_docs_file(
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let file = FILES
        .iter()
        .find(|file| file.name == name.as_str())
        .ok_or_else(Problem::not_found)?;
    serve(file, request.headers())
}

fn serve(file: &File, headers: &HeaderMap) -> Result<HttpResponse, Problem> {
    let tag = etag::of_bytes(file.bytes);
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(file.kind)
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::ETAG, tag.as_str()));
    if etag::is_known(headers, &tag) {
        return Ok(answer
            .status(actix_web::http::StatusCode::NOT_MODIFIED)
            .finish());
    }
    if !file.gzipped {
        return Ok(answer.body(file.bytes));
    }
    if accepts_gzip(headers) {
        return Ok(answer
            .insert_header((header::CONTENT_ENCODING, "gzip"))
            .body(file.bytes));
    }
    let mut plain = Vec::new();
    GzDecoder::new(file.bytes)
        .read_to_end(&mut plain)
        .map_err(Problem::internal)?;
    Ok(answer.body(plain))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    accepted.is_some_and(|text| {
        text.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_gzip = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            is_gzip && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    })
}
