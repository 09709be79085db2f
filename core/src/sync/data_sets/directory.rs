//! What users and groups have in common: a full read that can be resumed, and rounds of changes.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::is_refusal;
use crate::{
    inventory::ObjectRow,
    microsoft::{graph::GraphPath, graph_error::GraphError, page::Page, throttle::Workload},
    sync::{checkpoint::Position, error::SyncError, queries, run::RunKind, step::Step},
};

/// What has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Everything, from where the step stands.
    Full,
    /// What changed, from the link at which the step stands.
    Changes,
}

/// Decides between everything and changes: changes only where a delta run has a link to begin with.
pub(super) async fn plan(step: &Step) -> Result<Plan, SyncError> {
    if let Some(checkpoint) = step.checkpoint() {
        return Ok(if checkpoint.generation == 0 {
            Plan::Changes
        } else {
            Plan::Full
        });
    }
    if step.run.kind == RunKind::Delta {
        let (tenant, name) = (step.run.tenant, step.data_set.name());
        let stored = step
            .run
            .store
            .read(&step.run.scope, move |tx| {
                queries::refresh_state(tx, tenant, name)
            })
            .await?;
        if let Some(delta_link) = stored.delta_link {
            step.prepare(|checkpoint| checkpoint.position = Position::Page(delta_link))
                .await;
            return Ok(Plan::Changes);
        }
    }
    step.begin_full_read().await?;
    Ok(Plan::Full)
}

/// How many objects a collection has, by its `$count`; `None` where Microsoft refuses to count.
pub(super) async fn count(
    step: &Step,
    collection: &'static str,
) -> Result<Option<i64>, GraphError> {
    let graph = &step.run.graph;
    let url = graph
        .v1(GraphPath::of(collection).then("$count"))
        .eventual();
    match graph.get(&url, Workload::Identity, &step.meter).await {
        Ok(body) => {
            let text = String::from_utf8_lossy(&body);
            Ok(text.trim_start_matches('\u{feff}').trim().parse().ok())
        }
        Err(error) if is_refusal(&error) => {
            tracing::debug!(%error, collection, "a collection cannot be counted");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether a failure to follow a stored link only means that the link is too old to go on with.
pub(super) fn link_is_stale(error: &SyncError) -> bool {
    match error {
        SyncError::Graph(GraphError::ResyncRequired | GraphError::NotFound(_)) => true,
        SyncError::Graph(GraphError::Refused(refusal)) => matches!(refusal.status, 400 | 410),
        SyncError::Graph(
            GraphError::Throttled { .. }
            | GraphError::AccessDenied(_)
            | GraphError::NotLicensed(_)
            | GraphError::NotApplicable(_)
            | GraphError::Unauthorized(_)
            | GraphError::ClaimsChallenge(_)
            | GraphError::Unavailable { .. }
            | GraphError::UnexpectedAnswer { .. }
            | GraphError::TooLarge { .. }
            | GraphError::ForeignLink
            | GraphError::EndlessPaging
            | GraphError::Token(_),
        )
        | SyncError::Denied { .. }
        | SyncError::UnexpectedAnswer(_)
        | SyncError::Skipped(_)
        | SyncError::LeaseLost
        | SyncError::Cancelled
        | SyncError::Store(_) => false,
    }
}

/// The link from which later changes can be read, taken before anything is read in full, so that
/// nothing falls between the two. `None` where Microsoft gives none: the next refresh reads everything.
pub(super) async fn latest_delta_link(
    step: &Step,
    resource: &'static str,
    select: &str,
) -> Result<Option<String>, GraphError> {
    let path = GraphPath::of(resource)
        .then("delta?$deltatoken=latest")
        .query("$select", select);
    let url = step.run.graph.v1(path);
    let asked = step.run.graph.get(&url, Workload::Identity, &step.meter);
    let body = match asked.await {
        Ok(body) => body,
        Err(error @ (GraphError::Refused(_) | GraphError::NotFound(_))) => {
            tracing::info!(%error, resource, "there is no delta link; refreshes read everything");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let page: Page<'_, IgnoredAny> = Page::read(&body)?;
    Ok(page.delta_link.map(Cow::into_owned))
}

/// A page of a delta query leads on or ends with the link for later changes; one that does neither was
/// cut off.
pub(super) fn require_link<T>(page: &Page<'_, T>) -> Result<(), SyncError> {
    match (&page.next_link, &page.delta_link) {
        (None, None) => Err(SyncError::UnexpectedAnswer(
            "a page of changes without any link".to_owned(),
        )),
        (Some(_), _) | (_, Some(_)) => Ok(()),
    }
}

/// Changes join the read that is current: they are as fresh as it.
pub(super) async fn current_generation(step: &Step) -> Result<i64, SyncError> {
    let (tenant, name) = (step.run.tenant, step.data_set.name());
    let state = step
        .run
        .store
        .read(&step.run.scope, move |tx| {
            queries::refresh_state(tx, tenant, name)
        })
        .await?;
    Ok(state.generation)
}

/// Ends a round of changes: the next one begins at its delta link.
pub(super) async fn finish_changes(step: &Step) -> Result<(), SyncError> {
    let (tenant, name) = (step.run.tenant, step.data_set.name());
    let delta_link = step.checkpoint().and_then(|done| done.delta_link);
    step.complete(move |tx| {
        Ok(queries::complete_read(
            tx,
            tenant,
            name,
            delta_link.as_deref(),
        )?)
    })
    .await
}

/// What makes an item of a delta more than an object.
#[derive(Debug, Deserialize)]
pub(super) struct Change<'a> {
    pub(super) id: Cow<'a, str>,
    /// Set when the object is gone: soft-deleted ("changed") or for good ("deleted").
    #[serde(rename = "@removed")]
    pub(super) removed: Option<IgnoredAny>,
    /// Members that came or went, of a group.
    #[serde(rename = "members@delta", default)]
    pub(super) members: Option<Vec<MemberChange>>,
}

/// A member that came or went.
#[derive(Debug, Deserialize)]
pub(super) struct MemberChange {
    pub(super) id: String,
    #[serde(rename = "@odata.type", default)]
    pub(super) member_type: Option<String>,
    #[serde(rename = "@removed")]
    pub(super) removed: Option<IgnoredAny>,
}

/// Reads one item of a page that was kept as text, because a delta's item is read in two ways.
pub(super) fn read_item<'a, T: Deserialize<'a>>(item: &'a RawValue) -> Result<T, SyncError> {
    serde_json::from_str(item.get())
        .map_err(|error| SyncError::UnexpectedAnswer(format!("an item: {error}")))
}

/// Rows of one page by key: an object that comes twice is stored as it came last.
#[derive(Default)]
pub(super) struct PageRows {
    rows: HashMap<Uuid, Option<ObjectRow>>,
}

impl PageRows {
    /// The object is there, like this.
    pub(super) fn put(&mut self, key: Uuid, row: ObjectRow) {
        self.rows.insert(key, Some(row));
    }

    /// The object is gone.
    pub(super) fn remove(&mut self, key: Uuid) {
        self.rows.insert(key, None);
    }

    /// What to write and what to mark removed. Sorted, so that pages of two runs lock rows in the
    /// same order and neighbours land on the same database page.
    pub(super) fn into_parts(self) -> (Vec<ObjectRow>, Vec<Uuid>) {
        let mut rows = Vec::with_capacity(self.rows.len());
        let mut removed = Vec::new();
        for (key, row) in self.rows {
            match row {
                Some(row) => rows.push(row),
                None => removed.push(key),
            }
        }
        rows.sort_unstable_by_key(|row| row.key);
        removed.sort_unstable();
        (rows, removed)
    }
}
