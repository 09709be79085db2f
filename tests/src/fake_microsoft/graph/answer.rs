//! What Graph answers: bodies, headers and the shape of its errors.

use actix_web::{HttpResponse, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;

const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;\
    IEEE754Compatible=false;charset=utf-8";

/// An answer before it is sent, on its own or inside a batch.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content_type: &'static str,
    pub body: String,
}

/// What identifies a request in answers and errors.
#[derive(Clone, Debug)]
pub struct Ids {
    pub request: Uuid,
    /// Echo of the client's, or ours.
    pub client: String,
    /// Unix seconds.
    pub now: i64,
}

impl Answer {
    /// 200 with JSON text.
    pub fn json(body: String) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            content_type: JSON,
            body,
        }
    }

    /// 200 with plain text.
    pub fn text(body: String) -> Self {
        Self {
            content_type: "text/plain",
            ..Self::json(body)
        }
    }

    /// Any status without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::json(String::new())
        }
    }

    /// With a header more.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// As it goes over the wire.
    pub fn into_response(self, ids: &Ids) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).expect("a status code");
        let mut response = HttpResponse::build(status);
        response
            .insert_header(("request-id", ids.request.to_string()))
            .insert_header(("client-request-id", ids.client.clone()))
            .insert_header(("Cache-Control", "no-cache"))
            .insert_header(("OData-Version", "4.0"));
        for (name, value) in &self.headers {
            response.insert_header((name.as_str(), value.as_str()));
        }
        if self.body.is_empty() {
            return response.finish();
        }
        response.content_type(self.content_type).body(self.body)
    }
}

impl Ids {
    /// An error in Graph's shape.
    pub fn error(&self, status: u16, code: &str, message: &str) -> Answer {
        let date = DateTime::from_timestamp(self.now, 0).unwrap_or_default();
        let inner = json!({
            "date": date.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": self.request, "client-request-id": self.client,
        });
        let error = json!({"code": code, "message": message, "innerError": inner});
        let body = json!({"error": error}).to_string();
        Answer {
            status,
            ..Answer::json(body)
        }
    }

    /// 401 with the challenge.
    pub fn unauthorized(&self, login_origin: &str, message: &str) -> Answer {
        let challenge = format!(
            "Bearer realm=\"\", authorization_uri=\"{login_origin}/common/oauth2/authorize\", \
             client_id=\"{}\"",
            super::super::state::GRAPH_APP_ID
        );
        self.error(401, "InvalidAuthenticationToken", message)
            .header("WWW-Authenticate", challenge)
    }

    /// 401 with claims that a new token has to bring (continuous access evaluation,
    /// <https://learn.microsoft.com/entra/identity-platform/claims-challenge>).
    pub fn challenged(&self, login_origin: &str, claims: &Value) -> Answer {
        let message = "Continuous access evaluation resulted in challenge with result: \
            InteractionRequired and code: TokenCreatedWithOutdatedPolicies";
        let challenge = format!(
            "Bearer realm=\"\", authorization_uri=\"{login_origin}/common/oauth2/authorize\", \
             client_id=\"{}\", errorDescription=\"{message}\", error=\"insufficient_claims\", \
             claims=\"{}\"",
            super::super::state::GRAPH_APP_ID,
            STANDARD.encode(claims.to_string()),
        );
        self.error(401, "InvalidAuthenticationToken", message)
            .header("WWW-Authenticate", challenge)
    }

    /// 403 of the directory.
    pub fn denied(&self) -> Answer {
        let message = "Insufficient privileges to complete the operation.";
        self.error(403, "Authorization_RequestDenied", message)
    }

    /// 400 for a query that the service cannot read.
    pub fn bad_request(&self, message: &str) -> Answer {
        self.error(400, "BadRequest", message)
    }

    /// 400 for a query the service does not offer.
    pub fn unsupported(&self, message: &str) -> Answer {
        self.error(400, "Request_UnsupportedQuery", message)
    }

    /// 404 for an object that is not there.
    pub fn not_found(&self, what: &str) -> Answer {
        let message = format!(
            "Resource '{what}' does not exist or one of its queried reference-property objects \
             are not present."
        );
        self.error(404, "Request_ResourceNotFound", &message)
    }
}
