//! The status document: composed from its parts in the transaction that changed one of them, so that
//! its parts and its verdict can never contradict each other.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{
    queries,
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
    let snapshot = StatusSnapshot {
        tenant,
        version,
        document: document.into(),
        last_completed_at: part.last_completed_at,
        active,
    };
    let update = StatusUpdate {
        org: tx.org(),
        snapshot: snapshot.into(),
    };
    tx.publish(update);
    Ok(())
}

/// Puts the documents of one organisation on the board that are newer than what is there: at the
/// start of the process, and again and again where other processes may write them. Documents that
/// did not change are not read.
pub async fn load(store: &Store, scope: &OrgScope) -> Result<(), StoreError> {
    const PAGE: i64 = 500;
    let (org, mut after) = (scope.org(), None);
    loop {
        let versions = store
            .read(scope, move |tx| queries::status_versions(tx, after, PAGE))
            .await?;
        let Some((last, _)) = versions.last() else {
            return Ok(());
        };
        after = Some(*last);
        let known = |tenant| store.board().get(org, tenant).map(|known| known.version);
        let newer: Vec<TenantId> = versions
            .into_iter()
            .filter(|(tenant, version)| known(*tenant).is_none_or(|known| known < *version))
            .map(|(tenant, _)| tenant)
            .collect();
        if newer.is_empty() {
            continue;
        }
        let documents = store
            .read(scope, move |tx| queries::stored_statuses(tx, &newer))
            .await?;
        for stored in documents {
            let active = is_active(&stored.document);
            let snapshot = StatusSnapshot {
                tenant: stored.tenant,
                version: stored.version,
                document: stored.document.into(),
                last_completed_at: stored.last_completed_at,
                active,
            };
            store.board().publish(StatusUpdate {
                org,
                snapshot: snapshot.into(),
            });
        }
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
