//! The shapes of status and runs. Core composes the documents itself, in the transaction that changed
//! them; these types say in the OpenAPI document what is in them.

use serde::Serialize;
use serde_json::{Value, json};
use tenantry_core::{ids::SyncRunId, sync::Status};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{MicrosoftDetails, catalogue};

/// A run that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncRunStarted {
    sync_run_id: Uuid,
}

impl SyncRunStarted {
    pub(super) fn of(run: SyncRunId) -> Self {
        Self {
            sync_run_id: run.as_uuid(),
        }
    }
}

/// The status of a tenant with its latest run.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a document that core composes")]
pub struct SyncStatusView {
    tenant_id: Uuid,
    /// `pendingConsent`, `connected`, `degraded`, `reauthorizationRequired` or `revoked`.
    #[schema(example = "connected")]
    status: String,
    /// Names of permissions that are not granted.
    missing_permissions: Vec<String>,
    /// What that costs.
    degraded_features: Vec<String>,
    /// What keeps the tenant from being connected, or from working.
    #[schema(required)]
    connection_error: Option<ConnectionErrorView>,
    /// The latest run; null before the first.
    #[schema(required)]
    run: Option<SyncRunView>,
    /// End of the last completed run.
    #[schema(required, format = DateTime)]
    last_completed_at: Option<String>,
    /// True when the last completed run ended more than six hours ago.
    stale: bool,
    /// When the next run begins by itself; null when none is planned.
    #[schema(required, format = DateTime)]
    next_run_at: Option<String>,
    /// When it is worth asking again. Not part of the ETag.
    next_poll_after_ms: u32,
}

/// A problem like any other, but of no request: it has no `requestId`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a document that core composes")]
pub struct ConnectionErrorView {
    /// Address of the page about this type of problem.
    #[schema(format = Uri, example = "http://localhost:8080/problems/consentDeclined")]
    r#type: String,
    /// Name of the type; the same for each code.
    #[schema(example = "Consent declined")]
    title: String,
    /// The HTTP status of problems of this type.
    #[schema(example = 403)]
    status: u16,
    /// What happened.
    detail: String,
    /// Stable code in lowerCamelCase. New ones may be added.
    #[schema(example = "consentDeclined")]
    code: String,
    /// Whether it may work later with nothing changed.
    retryable: bool,
    /// Who does what.
    action: String,
    /// What Microsoft said.
    #[schema(nullable = false)]
    microsoft: Option<MicrosoftDetails>,
}

/// The status document as it is sent: core knows neither the addresses nor the HTTP statuses of
/// problems, so its `connectionError` gets both here.
pub(super) fn document(status: &Status, public_url: &str) -> String {
    complete_error(status.to_json(), public_url)
}

fn complete_error(mut document: String, public_url: &str) -> String {
    // Quotes are escaped in every text, so this is the member and nothing else.
    const MEMBER: &str = "\"connectionError\":{";
    let Some(start) = document.find(MEMBER) else {
        return document;
    };
    let parsed: Value = serde_json::from_str(&document).unwrap_or_default();
    let code = parsed.pointer("/connectionError/code");
    let kind = code
        .and_then(Value::as_str)
        .and_then(|code| catalogue::ALL.iter().find(|kind| kind.code == code))
        .copied()
        .unwrap_or(&catalogue::INTERNAL_ERROR);
    let members = format!(
        "\"type\":{},\"status\":{},",
        json!(kind.address(public_url)),
        kind.status.as_u16()
    );
    document.insert_str(start + MEMBER.len(), &members);
    document
}

/// A sync run.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a document that core composes")]
pub struct SyncRunView {
    id: Uuid,
    /// `initial`, `delta` or `full`.
    #[schema(example = "initial")]
    kind: String,
    /// `queued`, `running`, `completed`, `completedWithWarnings`, `failed` or `cancelled`.
    #[schema(example = "running")]
    state: String,
    /// From 0 to 1; never falls, and is 1 when the run has ended.
    #[schema(minimum = 0, maximum = 1, example = 0.42)]
    progress: f64,
    #[schema(required, format = DateTime)]
    started_at: Option<String>,
    #[schema(required, format = DateTime)]
    finished_at: Option<String>,
    datasets: Vec<DataSetView>,
}

/// A data set of a run.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a document that core composes")]
pub struct DataSetView {
    #[schema(example = "users")]
    name: String,
    /// `pending`, `running`, `completed`, `skipped` or `failed`.
    #[schema(example = "running")]
    state: String,
    /// Objects of the main list so far; never falls within a run.
    #[schema(minimum = 0)]
    processed: i64,
    /// How many there will be, once known.
    #[schema(required, minimum = 0)]
    expected: Option<i64>,
    /// Calls to Microsoft.
    #[schema(minimum = 0)]
    requests: i64,
    /// Calls that were made again.
    #[schema(minimum = 0)]
    retries: i64,
    /// How long Microsoft made us wait.
    #[schema(minimum = 0)]
    throttled_ms: i64,
    /// Always set when skipped or failed.
    #[schema(required)]
    warning: Option<WarningView>,
}

/// Why a data set is not simply complete.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a document that core composes")]
pub struct WarningView {
    /// Stable code in lowerCamelCase.
    code: String,
    /// What happened.
    detail: String,
    /// Who does what about it; null when nobody needs to.
    #[schema(required)]
    action: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_error_is_a_whole_problem_and_nothing_else_changes() {
        let stored =
            r#"{"a":"\"connectionError\":{","connectionError":{"code":"consentDeclined"},"b":0.1}"#;
        let sent = complete_error(stored.to_owned(), "https://tenantry.example");
        let expected = stored.replace(
            r#"{"code""#,
            r#"{"type":"https://tenantry.example/problems/consentDeclined","status":403,"code""#,
        );
        assert_eq!(sent, expected);
        let without = r#"{"connectionError":null}"#;
        assert_eq!(complete_error(without.to_owned(), ""), without);
    }
}
