//! A JSON body, read strictly: once as JSON that every parser reads the same way, then as the type
//! the handler wants, with a pointer to what does not fit.

mod fault;
mod strict;
mod typed;

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::header::{self, HeaderMap},
};
use aws_lc_rs::digest;
use futures_util::{StreamExt as _, future::LocalBoxFuture};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    middleware::limits::{self, BODY_LIMIT},
    problem::{FieldError, Problem, catalogue},
};

/// A body of type `T`. Derive `Deserialize` with `deny_unknown_fields` on every type in it.
pub struct JsonBody<T> {
    /// What was sent.
    pub value: T,
    /// SHA-256 of the body, however it was spaced: what an Idempotency-Key is compared with.
    pub hash: [u8; 32],
}

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = require_json(request.headers());
        let payload = payload.take();
        Box::pin(async move {
            kind?;
            let bytes = read(payload).await?;
            parsed(&bytes)
        })
    }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<JsonBody<T>, Problem> {
    let value = strict::parse(bytes).map_err(invalid_json)?;
    let hash = hash_of(&value);
    let value = typed::read(value).map_err(|fault| {
        let (pointer, code, detail) = fault.into_parts();
        Problem::invalid(vec![FieldError::at(pointer, code, detail)])
    })?;
    Ok(JsonBody { value, hash })
}

/// A body that may be left out: then it is the default of `T`.
pub struct OptionalJsonBody<T> {
    /// What was sent.
    pub value: T,
    /// As of [`JsonBody`]; of an empty object where nothing was sent.
    pub hash: [u8; 32],
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = require_json(request.headers());
        let payload = payload.take();
        Box::pin(async move {
            let bytes = read(payload).await?;
            if bytes.is_empty() {
                return Ok(Self {
                    value: T::default(),
                    hash: hash_of(&Value::Object(Map::new())),
                });
            }
            kind?;
            let JsonBody { value, hash } = parsed(&bytes)?;
            Ok(Self { value, hash })
        })
    }
}

/// For a field of a JSON merge patch, with `default`: absent is `None`, null is `Some(None)`.
///
/// # Errors
/// Those of the value.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// For a field of a JSON merge patch that may be left out but not be null, with `default`.
///
/// # Errors
/// Those of the value.
pub fn not_null<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// JSON in UTF-8, not compressed.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let mut parts = text(header::CONTENT_TYPE)
        .unwrap_or_default()
        .split(';')
        .map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        Some(_) | None => true,
    });
    let is_plain =
        text(header::CONTENT_ENCODING).is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    if is_json && is_utf8 && is_plain {
        Ok(())
    } else {
        Err(Problem::new(&catalogue::UNSUPPORTED_MEDIA_TYPE))
    }
}

/// Reads a body that may not announce its length.
///
/// # Errors
/// `payloadTooLarge`, or `badRequest` for one that was cut off.
pub async fn read(mut payload: Payload) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(unreadable)?;
        if bytes.len() + chunk.len() > BODY_LIMIT {
            limits::discard(&mut payload).await;
            return Err(Problem::new(&catalogue::PAYLOAD_TOO_LARGE));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn unreadable(error: PayloadError) -> Problem {
    Problem::new(&catalogue::BAD_REQUEST)
        .detail("The body ended too early.")
        .caused_by(error.to_string())
}

fn invalid_json(what: String) -> Problem {
    Problem::new(&catalogue::INVALID_JSON).detail(what)
}

fn hash_of(value: &Value) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, value.to_string().as_bytes());
    for (byte, from) in hash.iter_mut().zip(digest.as_ref()) {
        *byte = *from;
    }
    hash
}

#[cfg(test)]
mod tests;
