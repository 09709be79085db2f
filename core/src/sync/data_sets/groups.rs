//! `groups` with their memberships: one delta enumeration brings both and the link for later changes.
//!
//! A large group comes as several items, each with another slice of its members: slices are united,
//! never replaced. An item with nothing but a slice leaves the group's own row as it is.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    directory::{self, Change, Counts, PageRows, Plan},
    document, guid, held_back_warning,
    users::{current_generation, finish_changes},
};
use crate::{
    ids::TenantId,
    inventory::{self, Absence, MemberRow, ObjectKind, ObjectRow, documents::Group},
    microsoft::{graph::GraphPath, page::Page, throttle::Workload},
    store::types::StoredUuid,
    sync::{
        error::SyncError,
        queries,
        step::{Checkpoint, DecodedPage, Step},
    },
};

/// Name under which the removal of memberships is held back, apart from that of groups.
const MEMBERSHIPS: &str = "groups/members";

/// Reads all groups, or what changed.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    match directory::plan(step).await? {
        Plan::Full(checkpoint) => read_all(step, checkpoint).await,
        Plan::Changes(checkpoint) => match read_changes(step, checkpoint).await {
            Err(error) if directory::link_is_stale(&error) => {
                let generation = step.begin_full_read().await?;
                read_all(
                    step,
                    Checkpoint {
                        generation,
                        ..Checkpoint::default()
                    },
                )
                .await
            }
            other => other,
        },
    }
}

async fn read_all(step: &Step, checkpoint: Checkpoint) -> Result<(), SyncError> {
    let resumed = checkpoint.next_link.is_some();
    let done = match read_pages(step, checkpoint).await {
        Err(error) if resumed && directory::link_is_stale(&error) => {
            let generation = step.begin_full_read().await?;
            read_pages(
                step,
                Checkpoint {
                    generation,
                    ..Checkpoint::default()
                },
            )
            .await?
        }
        done => done?,
    };
    if done.delta_link.is_none() {
        return Err(SyncError::UnexpectedAnswer(
            "an enumeration without a delta link".to_owned(),
        ));
    }
    name_other_members(step).await?;
    finish_full_read(step, done).await
}

async fn read_pages(step: &Step, mut checkpoint: Checkpoint) -> Result<Checkpoint, SyncError> {
    let graph = &step.run.graph;
    let first = match &checkpoint.next_link {
        Some(link) => graph.link(link)?,
        None if checkpoint.delta_link.is_some() => return Ok(checkpoint),
        None => {
            checkpoint.expected = count(step).await?;
            graph.v1(GraphPath::of("groups/delta")
                .query("$select", &format!("{},members", Group::SELECT)))
        }
    };
    let (tenant, generation) = (step.run.tenant, checkpoint.generation);
    step.read_pages(Workload::Identity, first, checkpoint, move |body| {
        decode_page(&body, tenant, generation, Round::Full)
    })
    .await
}

/// How many groups there are: only for the progress, so a refusal is no failure.
async fn count(step: &Step) -> Result<Option<i64>, SyncError> {
    let url = step.run.graph.v1("groups/$count").eventual();
    match step
        .run
        .graph
        .get(&url, Workload::Identity, &step.meter)
        .await
    {
        Ok(body) => {
            let text = String::from_utf8_lossy(&body);
            Ok(text.trim_start_matches('\u{feff}').trim().parse().ok())
        }
        Err(error) => {
            tracing::debug!(%error, "groups cannot be counted");
            Ok(None)
        }
    }
}

async fn read_changes(step: &Step, checkpoint: Checkpoint) -> Result<(), SyncError> {
    let tenant = step.run.tenant;
    let generation = current_generation(step).await?;
    let done = directory::read_changes(step, checkpoint, move |body| {
        decode_page(&body, tenant, generation, Round::Changes)
    })
    .await?;
    finish_changes(step, done).await
}

/// Names the members that are neither users nor groups: their names are on no list that we read. A
/// refusal leaves them unnamed: which permission Microsoft wants depends on the member's type.
async fn name_other_members(step: &Step) -> Result<(), SyncError> {
    let tenant = step.run.tenant;
    let mut after = None;
    loop {
        let page = step
            .run
            .store
            .read(&step.run.scope, move |tx| {
                inventory::unnamed_members(tx, tenant, after)
            })
            .await?;
        let Some(last) = page.last().copied() else {
            return Ok(());
        };
        after = Some(last);
        let body = match step
            .run
            .graph
            .directory_objects_by_ids(&page, &step.meter)
            .await
        {
            Ok(body) => body,
            Err(error) if super::is_refusal(&error) => {
                tracing::info!(%error, "names of members are not shown");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let answer: Page<'_, Named> = Page::read(&body)?;
        let names: Vec<(Uuid, String)> = answer
            .value
            .into_iter()
            .filter_map(|object| Some((Uuid::try_parse(&object.id).ok()?, object.display_name?)))
            .collect();
        step.write(move |tx| Ok(inventory::name_members(tx, tenant, &names)?))
            .await?;
    }
}

/// An object of any type, as far as its name goes.
#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(rename = "displayName")]
    display_name: Option<String>,
}

/// Groups and memberships of one page: what comes last holds.
#[derive(Default)]
struct GroupPage {
    groups: PageRows,
    members: HashMap<(Uuid, Uuid), Option<String>>,
}

/// What a page is part of.
#[derive(Clone, Copy)]
pub(super) enum Round {
    Full,
    Changes,
}

pub(super) fn decode_page(
    body: &[u8],
    tenant: TenantId,
    generation: i64,
    round: Round,
) -> Result<DecodedPage, SyncError> {
    let page: Page<'_, &RawValue> = Page::read(body)?;
    let mut rows = GroupPage::default();
    for item in &page.value {
        let change: Change<'_> = directory::read_item(item)?;
        let key = guid(&change.id)?;
        rows.take(key, item, change)?;
    }
    let counts = match round {
        Round::Full => Counts::Written,
        Round::Changes => Counts::Items(page.value.len()),
    };
    Ok(DecodedPage {
        items: page.value.len(),
        count: page.count.and_then(|count| i64::try_from(count).ok()),
        next_link: page.next_link.as_deref().map(str::to_owned),
        delta_link: page.delta_link.as_deref().map(str::to_owned),
        write: Box::new(move |tx| {
            let (groups, removed) = rows.groups.into_parts();
            let written = inventory::upsert_objects(
                tx,
                tenant,
                ObjectKind::Group.number(),
                generation,
                &groups,
            )?;
            inventory::mark_removed(tx, tenant, ObjectKind::Group, &removed)?;
            let (there, gone) = split(rows.members);
            inventory::upsert_members(tx, tenant, generation, &there)?;
            inventory::remove_members(tx, tenant, &gone)?;
            Ok(counts.of(written))
        }),
    })
}

impl GroupPage {
    fn take(&mut self, key: Uuid, item: &RawValue, change: Change<'_>) -> Result<(), SyncError> {
        if change.removed.is_some() {
            self.groups.remove(key);
            return Ok(());
        }
        let group: Group<'_> = directory::read_item(item)?;
        if group.has_properties() {
            self.groups.put(key, row(key, &group)?);
        }
        for member in change.members.into_iter().flatten() {
            let present = member.removed.is_none();
            let kind = member
                .member_type
                .unwrap_or_else(|| "#microsoft.graph.directoryObject".to_owned());
            self.members
                .insert((key, guid(&member.id)?), present.then_some(kind));
        }
        Ok(())
    }
}

fn row(key: Uuid, group: &Group<'_>) -> Result<ObjectRow, SyncError> {
    let name = group
        .display_name
        .value()
        .map(String::as_str)
        .unwrap_or_default();
    let mail = group.mail.value().map(String::as_str).unwrap_or_default();
    Ok(ObjectRow {
        key: StoredUuid(key),
        name: Some(format!("{name} {mail}").to_lowercase()),
        document: document(group)?,
    })
}

/// Memberships to write, sorted, and to take out.
fn split(members: HashMap<(Uuid, Uuid), Option<String>>) -> (Vec<MemberRow>, Vec<(Uuid, Uuid)>) {
    let mut there = Vec::with_capacity(members.len());
    let mut gone = Vec::new();
    for ((group, member), kind) in members {
        match kind {
            Some(member_type) => there.push(MemberRow {
                group: StoredUuid(group),
                member: StoredUuid(member),
                member_type,
            }),
            None => gone.push((group, member)),
        }
    }
    there.sort_unstable_by_key(|row| (row.group, row.member));
    gone.sort_unstable();
    (there, gone)
}

/// As for every data set, and then the same for memberships, unless groups are held back: the
/// memberships of a group that may still be there say nothing.
async fn finish_full_read(step: &Step, checkpoint: Checkpoint) -> Result<(), SyncError> {
    let (tenant, data_set, generation) = (step.run.tenant, step.data_set, checkpoint.generation);
    let (groups, members) = step
        .run
        .store
        .read(&step.run.scope, move |tx| -> Result<_, SyncError> {
            let held = queries::refresh_state(tx, tenant, data_set.name())?.held_back_generation;
            let held_members =
                queries::refresh_state(tx, tenant, MEMBERSHIPS)?.held_back_generation;
            Ok((
                inventory::unseen(tx, tenant, ObjectKind::Group, generation, held)?,
                inventory::unseen_members(tx, tenant, generation, held_members)?,
            ))
        })
        .await?;
    if let Absence::HeldBack { vanished, known } = members {
        step.warn(held_back_warning(data_set, vanished, known));
    }
    if let Absence::HeldBack { vanished, known } = groups {
        step.warn(held_back_warning(data_set, vanished, known));
    }
    let delta_link = checkpoint.delta_link.clone();
    step.complete(checkpoint, move |tx| {
        let held = queries::refresh_state(tx, tenant, data_set.name())?.held_back_generation;
        let groups = inventory::sweep_objects(tx, tenant, ObjectKind::Group, generation, held)?;
        queries::complete_read(tx, tenant, data_set.name(), delta_link.as_deref())?;
        if let Absence::Removed(_) = groups {
            let held_members =
                queries::refresh_state(tx, tenant, MEMBERSHIPS)?.held_back_generation;
            let members = inventory::sweep_members(tx, tenant, generation, held_members)?;
            let (count, generation) = match members {
                Absence::Removed(_) => (0, None),
                Absence::HeldBack { vanished, .. } => (vanished, Some(generation)),
            };
            queries::next_generation(tx, tenant, MEMBERSHIPS)?;
            queries::store_held_back(tx, tenant, MEMBERSHIPS, count, generation)?;
        }
        super::remember(tx, tenant, data_set, groups, generation)
    })
    .await
}
