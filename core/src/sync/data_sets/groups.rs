//! `groups` with their memberships.
//!
//! A few groups come by one delta enumeration, which brings both and the link for later changes. With
//! many that takes too many pages: then groups are read with the first twenty of their members, and
//! those that have more are asked for all of them, twenty groups in a batch.

use futures_util::FutureExt as _;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    completed,
    directory::{self, Plan},
    group_pages::{self, Round},
    held_back_warning, is_refusal, large_groups, resume,
};
use crate::{
    inventory::{self, Absence, ObjectKind, documents::Group},
    microsoft::{graph::GraphPath, page::Page, throttle::Workload},
    sync::{checkpoint::Position, error::SyncError, pages::Pages, queries, step::Step},
};

/// Name under which the removal of memberships is held back, apart from that of groups.
const MEMBERSHIPS: &str = "groups/members";
/// Groups that are enumerated by delta, whose pages hold far fewer groups than those of a list.
const ENUMERATED: i64 = 300;

/// Reads all groups, or what changed.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    match directory::plan(step).await? {
        Plan::Full => read_all(step).await,
        Plan::Changes => match read_changes(step).await {
            Err(error) if directory::link_is_stale(&error) => {
                step.begin_full_read().await?;
                read_all(step).await
            }
            other => other,
        },
    }
}

async fn read_all(step: &Step) -> Result<(), SyncError> {
    resume(step, || read_groups(step).boxed()).await?;
    name_other_members(step).await?;
    finish_full_read(step).await
}

async fn read_groups(step: &Step) -> Result<(), SyncError> {
    if step.position() == Position::Start {
        choose(step).await?;
    }
    let expanded = matches!(
        step.position(),
        Position::ExpandedGroups(_) | Position::LargeGroups { .. }
    );
    if !expanded {
        return enumerate(step).await;
    }
    match read_expanded(step).await {
        Err(SyncError::Graph(error)) if is_refusal(&error) => {
            tracing::info!(%error, "groups cannot be read with their members");
        }
        Err(SyncError::UnexpectedAnswer(error)) => {
            tracing::info!(%error, "groups cannot be read with their members");
        }
        done => return done,
    }
    // The other way goes on in the same read: what is stored already is right.
    step.prepare(|checkpoint| checkpoint.position = Position::Start)
        .await;
    enumerate(step).await
}

/// Chooses the way by the number of groups. Where the delta link is not what the way ends with, it is
/// taken before anything is read.
async fn choose(step: &Step) -> Result<(), SyncError> {
    let count = directory::count(step, "groups").await?;
    step.prepare(|checkpoint| checkpoint.expected = count).await;
    if count.is_none_or(|count| count <= ENUMERATED) {
        return Ok(());
    }
    let delta_link = directory::latest_delta_link(step, "groups", &delta_select()).await?;
    step.prepare(|checkpoint| {
        checkpoint.delta_link = delta_link;
        checkpoint.position = Position::ExpandedGroups(None);
    })
    .await;
    Ok(())
}

fn delta_select() -> String {
    format!("{},members", Group::SELECT)
}

/// The delta enumeration, from where the step stands.
async fn enumerate(step: &Step) -> Result<(), SyncError> {
    let first = GraphPath::of("groups/delta").query("$select", &delta_select());
    let tenant = step.run.tenant;
    let pages = Pages::new(Workload::Identity, move |body, generation| {
        group_pages::decode_delta(body, tenant, generation, Round::Full)
    });
    pages.read_on(step, Some(step.run.graph.v1(first))).await
}

/// Groups with the members that `$expand` shows, then the groups that have more.
async fn read_expanded(step: &Step) -> Result<(), SyncError> {
    if let Position::ExpandedGroups(next) = step.position() {
        let graph = &step.run.graph;
        let first = match next {
            Some(link) => graph.link(&link)?,
            None => graph.v1(GraphPath::of("groups?$top=999")
                .query("$select", Group::SELECT)
                .query("$expand", "members($select=id)")),
        };
        let tenant = step.run.tenant;
        let pages = Pages::new(Workload::Identity, move |body, generation| {
            group_pages::decode_expanded(body, tenant, generation)
        });
        pages
            .read_chain_by(step, first, |next_link| match next_link {
                Some(_) => Position::ExpandedGroups(next_link),
                None => Position::LargeGroups {
                    after: Uuid::nil(),
                    least: group_pages::EXPANDED,
                },
            })
            .await?;
    }
    large_groups::read(step).await
}

async fn read_changes(step: &Step) -> Result<(), SyncError> {
    let tenant = step.run.tenant;
    let generation = directory::current_generation(step).await?;
    let pages = Pages::new(Workload::Identity, move |body, _none_of_its_own| {
        group_pages::decode_delta(body, tenant, generation, Round::Changes)
    });
    pages.read_on(step, None).await?;
    directory::finish_changes(step).await
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

/// As for every data set, and then the same for memberships, unless groups are held back: the
/// memberships of a group that may still be there say nothing.
async fn finish_full_read(step: &Step) -> Result<(), SyncError> {
    let (tenant, data_set) = (step.run.tenant, step.data_set);
    let (generation, delta_link) = completed(step)?;
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
    step.complete(move |tx| {
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
