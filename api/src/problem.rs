//! What goes wrong, as RFC 9457 problems: one type for every error the API answers with.
//!
//! A handler returns a [`Problem`]; the answer middleware gives it the request id and the public URL
//! and writes it as JSON, or as a page for a browser. A cause is logged there once and never sent.

mod body;
pub mod catalogue;
mod from_core;
mod page;

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use tenantry_core::{
    ids::{CustomerId, SyncRunId},
    matching::Candidate,
};

use crate::routes::customer_matches::CandidateView;

pub use self::{
    body::{FieldError, MicrosoftDetails, ProblemBody},
    catalogue::ProblemType,
    page::page,
};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error as the caller sees it, and its cause as the log sees it.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: &'static ProblemType,
    detail: String,
    retryable: bool,
    action: Option<String>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    sync_run_id: Option<SyncRunId>,
    customer_id: Option<CustomerId>,
    candidates: Option<Vec<CandidateView>>,
    excess_permissions: Vec<String>,
    microsoft: Option<MicrosoftDetails>,
    headers: Vec<(HeaderName, HeaderValue)>,
    as_page: bool,
    cause: Option<Cause>,
}

impl Problem {
    /// A problem of this type, in the type's own words.
    pub fn new(kind: &'static ProblemType) -> Self {
        Self(Box::new(Parts {
            kind,
            detail: kind.what.to_owned(),
            retryable: kind.retryable,
            action: kind.someone_must_act.then(|| kind.action.to_owned()),
            errors: Vec::new(),
            retry_after: None,
            sync_run_id: None,
            customer_id: None,
            candidates: None,
            excess_permissions: Vec::new(),
            microsoft: None,
            headers: Vec::new(),
            as_page: false,
            cause: None,
        }))
    }

    /// Nothing there, or not in this organisation.
    pub fn not_found() -> Self {
        Self::new(&catalogue::NOT_FOUND)
    }

    /// A failure of ours; the cause goes to the log.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::new(&catalogue::INTERNAL_ERROR).caused_by(cause)
    }

    /// A body with these faults.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.detail.clone(),
            several => format!("{} fields are not acceptable.", several.len()),
        };
        let mut problem = Self::new(&catalogue::VALIDATION_FAILED).detail(detail);
        problem.0.errors = errors;
        problem
    }

    /// A parameter of the query with a fault.
    pub fn parameter(kind: &'static ProblemType, name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut problem = Self::new(kind).detail(detail.clone());
        problem.0.errors = vec![FieldError::in_parameter(name, kind.code, detail)];
        problem
    }

    /// What happened this time, with the values at hand.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Who does what, where this case knows better than its type.
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.0.action = Some(action.into());
        self
    }

    /// Whether the same call may succeed later, where this case knows better than its type.
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// When to call again: a header and a member.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The run that is in the way.
    pub fn sync_run(mut self, run: SyncRunId) -> Self {
        self.0.sync_run_id = Some(run);
        self
    }

    /// The customer that has the tenant.
    pub fn customer(mut self, customer: CustomerId) -> Self {
        self.0.customer_id = Some(customer);
        self
    }

    /// The customers that a tenant may belong to.
    pub fn candidates(mut self, candidates: &[Candidate]) -> Self {
        self.0.candidates = Some(candidates.iter().map(CandidateView::from).collect());
        self
    }

    /// Where in the body this problem is, in each place that has it.
    pub fn at(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The permissions that are too many.
    pub fn excess_permissions(mut self, names: Vec<String>) -> Self {
        self.0.excess_permissions = names;
        self
    }

    /// What Microsoft said.
    pub fn microsoft(mut self, details: MicrosoftDetails) -> Self {
        self.0.microsoft = Some(details);
        self
    }

    /// A header that belongs to the answer.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// A page whatever the caller prefers: where only browsers come.
    pub fn into_page(mut self) -> Self {
        self.0.as_page = true;
        self
    }

    /// What the log says about it.
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The type.
    pub fn kind(&self) -> &'static ProblemType {
        self.0.kind
    }

    /// The cause for the log, with the causes behind it.
    pub fn cause(&self) -> Option<String> {
        let cause = self.0.cause.as_deref()?;
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(deeper) = source {
            text.push_str(": ");
            text.push_str(&deeper.to_string());
            source = deeper.source();
        }
        Some(text)
    }

    /// What is sent.
    pub fn body(&self, public_url: &str, request_id: String) -> ProblemBody {
        let parts = &self.0;
        ProblemBody {
            r#type: parts.kind.address(public_url),
            title: parts.kind.title.to_owned(),
            status: parts.kind.status.as_u16(),
            detail: parts.detail.clone(),
            code: parts.kind.code.to_owned(),
            request_id,
            retryable: parts.retryable,
            action: parts.action.clone(),
            errors: parts.errors.clone(),
            retry_after_ms: parts
                .retry_after
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            sync_run_id: parts
                .sync_run_id
                .map(tenantry_core::ids::SyncRunId::as_uuid),
            customer_id: parts
                .customer_id
                .map(tenantry_core::ids::CustomerId::as_uuid),
            candidates: parts.candidates.clone(),
            excess_permissions: parts.excess_permissions.clone(),
            microsoft: parts.microsoft.clone(),
        }
    }

    /// The answer in full: as a page where the caller prefers one, or where only browsers come.
    pub fn render(&self, public_url: &str, request_id: String, as_page: bool) -> HttpResponse {
        let body = self.body(public_url, request_id);
        let mut response = HttpResponse::build(self.0.kind.status);
        for (name, value) in &self.0.headers {
            response.append_header((name.clone(), value.clone()));
        }
        if let Some(wait) = self.0.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.insert_header((header::RETRY_AFTER, seconds.max(1)));
        }
        if as_page || self.0.as_page {
            return page::answer(&mut response, &body);
        }
        match serde_json::to_string(&body) {
            Ok(text) => response.content_type(body::CONTENT_TYPE).body(text),
            // Text, numbers and lists of them always serialize; were it otherwise, the status stands.
            Err(_impossible) => response.finish(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.code, self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.kind.status
    }

    /// Only the status: the answer middleware knows the request and writes the rest.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.0.kind.status)
    }
}
