//! What users and groups have in common: a full read that can be resumed, and rounds of changes.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    inventory::ObjectRow,
    microsoft::{graph::GraphPath, graph_error::GraphError, page::Page, throttle::Workload},
    sync::{
        error::SyncError,
        queries,
        run::RunKind,
        step::{Checkpoint, DecodedPage, Step},
    },
};

/// What has to be read.
pub(super) enum Plan {
    /// Everything, into this generation, from the start or from a checkpoint.
    Full(Checkpoint),
    /// What changed, from a delta link or from a checkpoint within a round.
    Changes(Checkpoint),
}

/// Decides between everything and changes: changes only where a delta run has a link to begin with.
pub(super) async fn plan(step: &Step) -> Result<Plan, SyncError> {
    if let Some(checkpoint) = step.checkpoint()? {
        return Ok(if checkpoint.generation == 0 {
            Plan::Changes(checkpoint)
        } else {
            Plan::Full(checkpoint)
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
            return Ok(Plan::Changes(Checkpoint {
                next_link: Some(delta_link),
                ..Checkpoint::default()
            }));
        }
    }
    Ok(Plan::Full(Checkpoint {
        generation: step.begin_full_read().await?,
        ..Checkpoint::default()
    }))
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
/// nothing falls between the two.
pub(super) async fn latest_delta_link(
    step: &Step,
    resource: &'static str,
    select: &str,
) -> Result<String, SyncError> {
    let path = GraphPath::of(resource)
        .then("delta?$deltatoken=latest")
        .query("$select", select);
    let url = step.run.graph.v1(path);
    let body = step
        .run
        .graph
        .get(&url, Workload::Identity, &step.meter)
        .await?;
    let page: Page<'_, IgnoredAny> = Page::read(&body)?;
    match page.delta_link {
        Some(link) => Ok(link.into_owned()),
        None => Err(SyncError::UnexpectedAnswer("no delta link".to_owned())),
    }
}

/// Reads a round of changes from the checkpoint's link to its new delta link.
pub(super) async fn read_changes<D>(
    step: &Step,
    checkpoint: Checkpoint,
    decode: D,
) -> Result<Checkpoint, SyncError>
where
    D: Fn(Vec<u8>) -> Result<DecodedPage, SyncError> + Clone + Send + 'static,
{
    let Some(link) = checkpoint.next_link.clone() else {
        // A kill fell between the last page and the end of the data set.
        return Ok(checkpoint);
    };
    let url = step.run.graph.link(&link)?;
    let done = step
        .read_pages(Workload::Identity, url, checkpoint, decode)
        .await?;
    match done.delta_link {
        Some(_) => Ok(done),
        None => Err(SyncError::UnexpectedAnswer(
            "a round of changes without a delta link".to_owned(),
        )),
    }
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

/// What the processed objects are counted by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counts {
    /// Rows written: in a full read each object is written the first time it is seen, and only then,
    /// however often it comes.
    Written,
    /// Items: in a round of changes an item counts even if it changes nothing here.
    Items(usize),
}

impl Counts {
    /// The count, given the rows written.
    pub(super) fn of(self, written: usize) -> usize {
        match self {
            Self::Written => written,
            Self::Items(items) => items,
        }
    }
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
