//! Errors as Microsoft words them: the AADSTS number, the OAuth `error`, the body, the redirect.

use actix_web::{HttpResponse, http::StatusCode};
use serde_json::{Value, json};

use super::controls::next_id;
use crate::fake_microsoft::state::Cloud;

/// A refusal of the login server.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The digits after `AADSTS`.
    pub aadsts: u32,
    /// The OAuth `error`.
    pub error: String,
    /// The sentence after the number.
    pub message: String,
    /// HTTP status where the answer is JSON.
    pub status: u16,
    /// `suberror` of the token endpoint.
    pub suberror: Option<&'static str>,
    /// `claims` of the token endpoint: what a new sign-in has to bring.
    pub claims: Option<Value>,
}

impl Failure {
    /// The failure with this number, as the catalogue has it. Numbers it lacks are `invalid_request`.
    pub fn new(aadsts: u32) -> Self {
        let unknown = ("invalid_request", "The request could not be completed.");
        let (error, message) = known(aadsts).unwrap_or(unknown);
        let status = match error {
            "invalid_client" => 401,
            "temporarily_unavailable" if aadsts == 90_055 => 429,
            "temporarily_unavailable" | "server_error" => 503,
            _ => 400,
        };
        Self {
            aadsts,
            error: error.to_owned(),
            message: message.to_owned(),
            status,
            suberror: None,
            claims: None,
        }
    }

    /// The same with a `suberror`, and a claims challenge where a sign-in that brings more would help.
    #[must_use]
    pub(super) fn challenging(mut self, suberror: &'static str, claims: Option<Value>) -> Self {
        self.suberror = Some(suberror);
        self.claims = claims;
        self
    }

    /// The same with another sentence.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same with another OAuth `error`.
    #[must_use]
    pub fn as_error(mut self, error: &str) -> Self {
        error.clone_into(&mut self.error);
        self
    }

    /// A required parameter is missing.
    pub(super) fn missing(name: &str) -> Self {
        let text = "The request body must contain the following parameter:";
        Self::new(900_144).saying(format!("{text} '{name}'."))
    }

    /// The app has no service principal in the tenant.
    pub(super) fn app_not_found(client_id: &str, tenant: &str) -> Self {
        Self::new(700_016).saying(format!(
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'. \
             This can happen if the application has not been installed by the administrator of the \
             tenant or consented to by any user in the tenant. You may have sent your \
             authentication request to the wrong tenant."
        ))
    }

    /// The account is of another directory.
    pub(super) fn not_in_tenant(upn: &str, identity_provider: &str, tenant: &str) -> Self {
        Self::new(50_020).saying(format!(
            "User account '{upn}' from identity provider '{identity_provider}' does not exist in \
             tenant '{tenant}' and cannot access the application in that tenant. The account needs \
             to be added as an external user in the tenant first."
        ))
    }

    /// The JSON body, with fresh ids.
    pub fn body(&self, cloud: &Cloud) -> Value {
        let Support {
            trace,
            correlation,
            time,
        } = Support::new(cloud);
        // The documentation shows line breaks for this one and blanks for the others.
        let gap = if self.aadsts == 70_011 { "\r\n" } else { " " };
        let text = format!(
            "AADSTS{}: {}{gap}Trace ID: {trace}{gap}Correlation ID: {correlation}{gap}Timestamp: {time}",
            self.aadsts, self.message
        );
        let mut body = json!({
            "error": self.error,
            "error_description": text,
            "error_codes": [self.aadsts],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
        });
        if self.error != "invalid_grant" {
            body["error_uri"] = json!(self.uri(cloud));
        }
        if let Some(suberror) = self.suberror {
            body["suberror"] = json!(suberror);
        }
        if let Some(claims) = &self.claims {
            // A document as a string.
            body["claims"] = json!(claims.to_string());
        }
        body
    }

    /// The JSON answer.
    pub(super) fn response(&self, cloud: &Cloud) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = HttpResponse::build(status);
        if self.status == 429 {
            response.insert_header(("Retry-After", "5"));
        }
        response.json(self.body(cloud))
    }

    /// `error_description` of a redirect.
    pub(super) fn description(&self, cloud: &Cloud) -> String {
        let Support {
            trace,
            correlation,
            time,
        } = Support::new(cloud);
        format!(
            "AADSTS{}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {time}",
            self.aadsts, self.message
        )
    }

    /// The page that explains the number.
    pub(super) fn uri(&self, cloud: &Cloud) -> String {
        format!("{}/error?code={}", cloud.login_origin, self.aadsts)
    }
}

/// Number, OAuth `error` and meaning of what the service can answer, one to a line.
const CATALOGUE: &str = include_str!("error_catalogue.tsv");

/// OAuth `error` and meaning of a number.
pub(super) fn known(aadsts: u32) -> Option<(&'static str, &'static str)> {
    let number = aadsts.to_string();
    CATALOGUE.lines().find_map(|line| {
        let (found, rest) = line.split_once('\t')?;
        rest.split_once('\t').filter(|_| found == number)
    })
}

/// What Microsoft's support asks for.
struct Support {
    trace: String,
    correlation: String,
    time: String,
}

impl Support {
    fn new(cloud: &Cloud) -> Self {
        let time = chrono::DateTime::from_timestamp(cloud.now_unix(), 0).unwrap_or_default();
        Self {
            trace: next_id(cloud).to_string(),
            correlation: next_id(cloud).to_string(),
            // A blank instead of the T, as the service writes it.
            time: time.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        }
    }
}
