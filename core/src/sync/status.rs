//! The status document: composed from its parts in the transaction that changed one of them, so that
//! its parts and its verdict can never contradict each other.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{
    queries::{self, StoredStatus},
    run::{RunDataSet, RunState, SyncRun, WHOLE},
};
use crate::{
    access::OrgScope,
    ids::TenantId,
    microsoft::permissions,
    store::{Scoped, StatusSnapshot, StatusUpdate, Store, StoreError},
};

/// Composes and stores the document of a tenant, and puts it before everyone once the transaction
/// has committed. To be called in every transaction that changes what it shows.
pub fn refresh(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<(), StoreError> {
    let version = queries::next_status_version(tx, tenant)?;
    let part = queries::tenant_part(tx, tenant)?;
    let mut run = queries::runs(tx, tenant, None, 1)?.into_iter().next();
    if let Some(run) = &mut run {
        run.progress = run.progress.max(run.measured_progress());
        queries::raise_progress(tx, tenant, run.id, run.progress)?;
    }
    let missing: Vec<String> = read_json(&part.missing_permissions, "missing permissions")?;
    let connection_error: Option<Value> = match &part.connection_error {
        Some(text) => Some(read_json(text, "connection error")?),
        None => None,
    };
    let document = json!({
        "tenantId": tenant,
        "status": part.status,
        "degradedFeatures": permissions::degraded_features(&missing),
        "missingPermissions": missing,
        "connectionError": connection_error,
        "run": run.as_ref().map(run_json),
        "lastCompletedAt": part.last_completed_at.map(time_text),
        "nextRunAt": null,
    })
    .to_string();
    queries::store_status(tx, tenant, &document, part.last_completed_at)?;
    let active = run.is_some_and(|run| !run.state.has_ended());
    tx.publish(StatusSnapshot {
        tenant,
        version,
        sequence: 0,
        document: document.into(),
        last_completed_at: part.last_completed_at,
        active,
    });
    Ok(())
}

/// Puts the documents of one organisation on the board that changed after what is there: at the
/// start of the process, and again and again where other processes may change them. Documents that
/// did not change are not read.
pub async fn load(store: &Store, scope: &OrgScope) -> Result<(), StoreError> {
    const PAGE: i64 = 500;
    let (board, org) = (store.board(), scope.org());
    let mut after = board.is_complete_to(org);
    loop {
        let (last, documents) = store
            .read(scope, move |tx| changes(tx, after, PAGE))
            .await?;
        if documents.is_empty() {
            if last > after {
                board.complete_to(org, last);
            }
            return Ok(());
        }
        for stored in documents {
            after = stored.sequence;
            let snapshot = snapshot_of(stored).into();
            board.publish_in_order(StatusUpdate { org, snapshot });
        }
    }
}

/// The number of the newest change, and what changed after the given one. The number is read first:
/// every change up to it was committed by then, so it is among what is read after.
fn changes(
    tx: &mut Scoped<'_>,
    after: i64,
    limit: i64,
) -> Result<(i64, Vec<StoredStatus>), StoreError> {
    let last = queries::last_status_sequence(tx)?;
    if last <= after {
        return Ok((last, Vec::new()));
    }
    Ok((last, queries::statuses_after(tx, after, limit)?))
}

fn snapshot_of(stored: StoredStatus) -> StatusSnapshot {
    StatusSnapshot {
        tenant: stored.tenant,
        version: stored.version,
        sequence: stored.sequence,
        active: is_active(&stored.document),
        document: stored.document.into(),
        last_completed_at: stored.last_completed_at,
    }
}

/// Whether a stored document shows a run that has not ended.
fn is_active(document: &str) -> bool {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let state = document.pointer("/run/state").and_then(Value::as_str);
    state
        .and_then(|word| word.parse::<RunState>().ok())
        .is_some_and(|state| !state.has_ended())
}

fn read_json<T: serde::de::DeserializeOwned>(
    text: &str,
    what: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).or(Err(StoreError::Corrupt { what }))
}

fn time_text(time: chrono::DateTime<chrono::Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A run in the contract's shape.
pub fn run_json(run: &SyncRun) -> Value {
    json!({
        "id": run.id,
        "kind": run.kind.as_str(),
        "state": run.state.as_str(),
        "progress": share(run.progress),
        "startedAt": run.started_at.map(time_text),
        "finishedAt": run.finished_at.map(time_text),
        "datasets": run.data_sets.iter().map(data_set_json).collect::<Vec<_>>(),
    })
}

fn data_set_json(data_set: &RunDataSet) -> Value {
    json!({
        "name": data_set.data_set.name(),
        "state": data_set.state.as_str(),
        "processed": data_set.processed,
        "expected": data_set.expected,
        "requests": data_set.requests,
        "retries": data_set.retries,
        "throttledMs": data_set.throttled_ms,
        "warning": data_set.warning,
    })
}

/// Millionths as a number between 0 and 1.
fn share(millionths: i64) -> Value {
    if millionths >= WHOLE {
        return json!(1);
    }
    // Both numbers are far below 2^31, where every integer is exact.
    let exact = |number: i64| i32::try_from(number).map_or(0.0, f64::from);
    json!(exact(millionths) / exact(WHOLE))
}
