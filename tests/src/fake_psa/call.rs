//! A request as a stand-in reads it, and its answer.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::Bytes,
};
use serde_json::Value;

/// A request, taken apart.
pub struct Call {
    pub method: String,
    /// The path, decoded, without empty segments.
    pub segments: Vec<String>,
    /// The query's parameters, decoded as forms are: `+` is a space.
    pub query: Vec<(String, String)>,
    /// The query as it was sent.
    pub raw_query: String,
    headers: header::HeaderMap,
    pub body: Bytes,
    /// A list is to end after so many rows although there are more; scripted.
    pub short_page: Option<usize>,
}

impl Call {
    /// Reads a request.
    pub fn read(request: &HttpRequest, body: Bytes) -> Self {
        let segments = request
            .uri()
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(crate::fake_microsoft::faults::percent_decoded)
            .collect();
        let raw_query = request.query_string().to_owned();
        let query = url::form_urlencoded::parse(raw_query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self {
            method: request.method().as_str().to_owned(),
            segments,
            query,
            raw_query,
            headers: request.headers().clone(),
            body,
            short_page: None,
        }
    }

    /// A header; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// A parameter of the query, whatever the case of its name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self
            .query
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter that switches something on.
    pub fn is_on(&self, name: &str) -> bool {
        self.parameter(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether the body is said to be JSON.
    pub fn says_json(&self) -> bool {
        self.header("content-type").starts_with("application/json")
    }

    /// User and password of a Basic header.
    pub fn basic(&self) -> Option<(String, String)> {
        use base64::Engine as _;
        let sealed = self.header("authorization").strip_prefix("Basic ")?;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(sealed)
            .ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub kind: &'static str,
    pub body: Vec<u8>,
}

impl Reply {
    /// JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            kind: "application/json; charset=utf-8",
            body: serde_json::to_vec(body).expect("JSON"),
        }
    }

    /// Nothing but a status.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            kind: "",
            body: Vec::new(),
        }
    }

    /// Plain text.
    pub fn text(status: u16, text: &str) -> Self {
        Self {
            kind: "text/plain; charset=utf-8",
            body: text.as_bytes().to_vec(),
            ..Self::empty(status)
        }
    }

    /// A page as web servers write them.
    pub fn html(status: u16, title: &str) -> Self {
        let page = format!(
            "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        );
        Self {
            kind: "text/html; charset=utf-8",
            body: page.into_bytes(),
            ..Self::empty(status)
        }
    }

    /// With a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With another body of JSON.
    pub fn with_json(mut self, body: &Value) -> Self {
        self.body = serde_json::to_vec(body).expect("JSON");
        self
    }

    /// For the server.
    pub fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).expect("a status code");
        let mut response = HttpResponse::build(status);
        for (name, value) in self.headers {
            response.insert_header((name, value));
        }
        if !self.kind.is_empty() {
            response.content_type(self.kind);
        }
        response.body(self.body)
    }
}
