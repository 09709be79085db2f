//! The members of large groups: those of which a list shows only the first ones.

use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use uuid::Uuid;

use super::group_pages;
use crate::{
    inventory::{self, MemberRow},
    microsoft::{
        graph::{GraphPath, GraphUrl},
        graph_batch::BATCH_SIZE,
        graph_error::GraphError,
        throttle::Workload,
    },
    sync::{
        checkpoint::Position,
        error::SyncError,
        pages::{DecodedPage, Pages, Stored},
        step::Step,
    },
};

/// Groups asked for between two commits.
const PART: usize = 4 * BATCH_SIZE;
/// Groups with more than one page of members that are read at the same time.
const CHAINS_AT_ONCE: usize = 8;

/// Reads all members of the groups that have many, from where the step stands among the groups.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    lower_the_limit(step).await?;
    let (tenant, generation) = (step.run.tenant, step.generation());
    while let Position::LargeGroups { after, least } = step.position() {
        let groups = step
            .run
            .store
            .read(&step.run.scope, move |tx| {
                inventory::large_groups(tx, tenant, generation, least, after, PART)
            })
            .await?;
        let Some(last) = groups.last().copied() else {
            step.prepare(|checkpoint| checkpoint.position = Position::End)
                .await;
            return Ok(());
        };
        let (rows, more) = first_pages(step, groups).await?;
        let mut chains: Vec<BoxFuture<'_, Result<(), SyncError>>> = Vec::new();
        for (group, next) in more {
            chains.push(Box::pin(read_on(step, group, next)));
        }
        stream::iter(chains)
            .buffer_unordered(CHAINS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        step.commit_page(
            move |checkpoint| checkpoint.position = Position::LargeGroups { after: last, least },
            move |tx| {
                inventory::upsert_members(tx, tenant, generation, &rows)?;
                Ok(Stored::default())
            },
        )
        .await?;
    }
    Ok(())
}

/// How many members a list shows of a large group is not certain. If no group came with as many as
/// expected, those that came with the most may have more.
async fn lower_the_limit(step: &Step) -> Result<(), SyncError> {
    let (tenant, generation) = (step.run.tenant, step.generation());
    let Position::LargeGroups { after, least } = step.position() else {
        return Ok(());
    };
    if !after.is_nil() {
        return Ok(());
    }
    let most = step
        .run
        .store
        .read(&step.run.scope, move |tx| {
            inventory::most_members(tx, tenant, generation)
        })
        .await?;
    let least = least.min(most).max(1);
    step.prepare(|checkpoint| checkpoint.position = Position::LargeGroups { after, least })
        .await;
    Ok(())
}

/// The first page of members of each group, and the groups that have more pages.
async fn first_pages(
    step: &Step,
    groups: Vec<Uuid>,
) -> Result<(Vec<MemberRow>, Vec<(Uuid, GraphUrl)>), SyncError> {
    let graph = &step.run.graph;
    let items = groups
        .into_iter()
        .map(|group| {
            let path = GraphPath::of("groups").id(group);
            (group, path.then("members?$select=id&$top=999"))
        })
        .collect();
    let outcomes = graph.batch(items, Workload::Identity, &step.meter).await?;
    let (mut rows, mut more) = (Vec::new(), Vec::new());
    for (group, outcome) in outcomes {
        let body = match outcome {
            Ok(body) => body,
            // Deleted since it was listed; the next changes say so.
            Err(GraphError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let (members, next_link) = group_pages::decode_members(&body, group)?;
        rows.extend(members);
        if let Some(link) = next_link {
            more.push((group, graph.link(&link)?));
        }
    }
    rows.sort_unstable_by_key(|row| (row.group, row.member));
    Ok((rows, more))
}

/// Reads the further pages of one group's members, unless it is deleted meanwhile.
async fn read_on(step: &Step, group: Uuid, next: GraphUrl) -> Result<(), SyncError> {
    let tenant = step.run.tenant;
    let pages = Pages::new(Workload::Identity, move |body, generation| {
        let (rows, next_link) = group_pages::decode_members(body, group)?;
        Ok(DecodedPage {
            items: rows.len(),
            next_link,
            delta_link: None,
            write: Box::new(move |tx| {
                inventory::upsert_members(tx, tenant, generation, &rows)?;
                Ok(Stored::default())
            }),
        })
    });
    match pages.read_beside(step, next).await {
        Err(SyncError::Graph(GraphError::NotFound(_))) => Ok(()),
        done => done,
    }
}
