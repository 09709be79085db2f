//! A problem on the wire.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::routes::customer_matches::CandidateView;

/// The media type of problems.
pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// An error as RFC 9457 describes it. `code` decides in programs, `detail` is for people.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Address of the page about this type of problem.
    #[schema(format = Uri, example = "http://localhost:8080/problems/notFound")]
    pub r#type: String,
    /// Name of the type; the same for each code.
    #[schema(example = "Not found")]
    pub title: String,
    /// The HTTP status again.
    #[schema(example = 404)]
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// Stable code in lowerCamelCase. New ones may be added.
    #[schema(example = "notFound")]
    pub code: String,
    /// The same as the header `X-Request-Id`.
    pub request_id: String,
    /// Whether trying again can succeed with nothing changed: the same call later or, after a sign-in, the
    /// same link opened again.
    pub retryable: bool,
    /// Where someone must act: who does what.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub action: Option<String>,
    /// The faults of a body or query, each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    /// When to call again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after_ms: Option<u64>,
    /// The sync run that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sync_run_id: Option<Uuid>,
    /// The customer that has the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub customer_id: Option<Uuid>,
    /// The customers that a tenant may belong to, the likeliest first; empty where nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub candidates: Option<Vec<CandidateView>>,
    /// The permissions that are too many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub excess_permissions: Vec<String>,
    /// What Microsoft said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub microsoft: Option<MicrosoftDetails>,
}

/// One fault of a body or query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// JSON pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/domains/0")]
    pub pointer: Option<String>,
    /// Name of the parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "limit")]
    pub parameter: Option<String>,
    /// Stable code in lowerCamelCase.
    pub code: String,
    /// What is wrong and what is allowed.
    pub detail: String,
}

impl FieldError {
    /// A fault at a place of the body.
    pub fn at(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            code: code.to_owned(),
            detail: detail.into(),
        }
    }

    /// A fault in a parameter of the query.
    pub fn in_parameter(name: &str, code: &str, detail: impl Into<String>) -> Self {
        Self {
            pointer: None,
            parameter: Some(name.to_owned()),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}

/// What Microsoft said, for its support and for looking it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MicrosoftDetails {
    /// The OAuth `error`.
    #[schema(required)]
    pub error: Option<String>,
    /// The AADSTS number.
    #[schema(required)]
    pub aadsts: Option<u32>,
    /// Trace id.
    #[schema(required)]
    pub trace_id: Option<String>,
    /// Correlation id.
    #[schema(required)]
    pub correlation_id: Option<String>,
    /// Microsoft's time, as Microsoft wrote it.
    #[schema(required)]
    pub timestamp: Option<String>,
}
