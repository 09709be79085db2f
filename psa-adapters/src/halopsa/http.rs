//! One call to the API with a token, and what its answer is.

use std::sync::Arc;

use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    error::PsaError,
    secret::Secret,
    transport::{Reply, Request, Transport},
};

use super::{
    address::Address,
    errors::{self, Right},
    token::Tokens,
};

/// The way to one instance.
pub(super) struct Http {
    transport: Arc<dyn Transport>,
    pub(super) address: Address,
    pub(super) tokens: Tokens,
}

/// What is asked for.
struct Call {
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    endpoint: &'static str,
    right: Right,
}

impl Call {
    fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

impl Http {
    pub(super) fn new(transport: Arc<dyn Transport>, address: Address, tokens: Tokens) -> Self {
        Self {
            transport,
            address,
            tokens,
        }
    }

    /// Reads a list or, with an id, one record. Null where the answer is empty.
    pub(super) async fn get(
        &self,
        right: Right,
        endpoint: &'static str,
        id: Option<&str>,
        query: &[(&str, &str)],
    ) -> Result<Value, PsaError> {
        let segments: Vec<&str> = std::iter::once(endpoint).chain(id).collect();
        self.call(&Call {
            method: Method::GET,
            url: self.address.api(&segments, query),
            body: None,
            endpoint,
            right,
        })
        .await
    }

    /// Sends one record in an array, as HaloPSA takes them all: without an id it is made, with one it is
    /// changed (psa.md §C5).
    pub(super) async fn post(
        &self,
        right: Right,
        endpoint: &'static str,
        record: Value,
    ) -> Result<Value, PsaError> {
        self.call(&self.posted(right, endpoint, record)).await
    }

    /// The same with a token of its own.
    pub(super) async fn post_as(
        &self,
        token: &Secret,
        right: Right,
        endpoint: &'static str,
        record: Value,
    ) -> Result<Value, PsaError> {
        self.call_as(token, &self.posted(right, endpoint, record))
            .await
    }

    /// Reads a list with a token of its own.
    pub(super) async fn get_as(
        &self,
        token: &Secret,
        right: Right,
        endpoint: &'static str,
    ) -> Result<Value, PsaError> {
        let call = Call {
            method: Method::GET,
            url: self.address.api(&[endpoint], &[]),
            body: None,
            endpoint,
            right,
        };
        self.call_as(token, &call).await
    }

    /// Deletes one record with a token of its own.
    pub(super) async fn delete_as(
        &self,
        token: &Secret,
        right: Right,
        endpoint: &'static str,
        id: &str,
    ) -> Result<(), PsaError> {
        let call = Call {
            method: Method::DELETE,
            url: self.address.api(&[endpoint, id], &[]),
            body: None,
            endpoint,
            right,
        };
        self.call_as(token, &call).await.map(drop)
    }

    fn posted(&self, right: Right, endpoint: &'static str, record: Value) -> Call {
        Call {
            method: Method::POST,
            url: self.address.api(&[endpoint], &[]),
            body: Some(Value::Array(vec![record]).to_string().into_bytes()),
            endpoint,
            right,
        }
    }

    async fn call(&self, call: &Call) -> Result<Value, PsaError> {
        let bearer = self.tokens.bearer(None).await?;
        let reply = self.exchange(&bearer.token, call).await?;
        if reply.status != 401 {
            return self.answer(reply, call);
        }
        // The token may have been withdrawn before its end; what it was refused for was not begun.
        let bearer = self.tokens.bearer(Some(bearer.number)).await?;
        let reply = self.exchange(&bearer.token, call).await?;
        self.answer(reply, call)
    }

    async fn call_as(&self, token: &Secret, call: &Call) -> Result<Value, PsaError> {
        let reply = self.exchange(token, call).await?;
        self.answer(reply, call)
    }

    async fn exchange(&self, token: &Secret, call: &Call) -> Result<Reply, PsaError> {
        let mut request = Request::new(call.method.clone(), call.url.clone(), call.endpoint);
        let header = Zeroizing::new(format!("Bearer {}", token.expose()));
        let Ok(mut header) = HeaderValue::from_str(&header) else {
            return Err(PsaError::Protocol {
                status: 200,
                what: "the token cannot be sent".to_owned(),
            });
        };
        header.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, header);
        request
            .headers
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(body) = &call.body {
            request
                .headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request.body = body.clone();
        }
        let of = if call.changes() {
            PsaError::of_write
        } else {
            PsaError::of_read
        };
        self.transport.send(request).await.map_err(of)
    }

    fn answer(&self, reply: Reply, call: &Call) -> Result<Value, PsaError> {
        match reply.status {
            200..=299 if reply.body.iter().all(u8::is_ascii_whitespace) => Ok(Value::Null),
            200..=299 => match serde_json::from_slice(&reply.body) {
                Ok(value) => Ok(value),
                Err(_not_json) if call.changes() => Err(PsaError::Ambiguous),
                Err(_not_json) => Err(PsaError::Protocol {
                    status: reply.status,
                    what: "no JSON; is the address that of HaloPSA's API?".to_owned(),
                }),
            },
            429 => Err(errors::rate_limited(&*self.transport, &reply)),
            _ => Err(errors::of_status(&reply, call.right, call.changes())),
        }
    }
}

/// An answer that lacks what it must have.
pub(super) fn unexpected(what: &str) -> PsaError {
    PsaError::Protocol {
        status: 200,
        what: what.to_owned(),
    }
}

/// What a change answers: the record, in an array of one or bare.
pub(super) fn record(value: Value) -> Value {
    match value {
        Value::Array(records) => records.into_iter().next().unwrap_or(Value::Null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            value
        }
    }
}

/// A list that comes bare or under a name.
pub(super) fn entries(value: Value, name: &str) -> Option<Vec<Value>> {
    match value {
        Value::Array(entries) => Some(entries),
        Value::Object(mut object) => match object.remove(name) {
            Some(Value::Array(entries)) => Some(entries),
            Some(Value::Null) => Some(Vec::new()),
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_))
            | None => None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
