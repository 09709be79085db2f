//! `users`: pages of 999 for a full read, side by side in a large tenant; Microsoft's delta for changes.

use std::collections::HashMap;

use futures_util::FutureExt as _;
use serde_json::value::RawValue;

use super::{
    directory::{self, Change, PageRows, Plan},
    document, finish_full_read, guid, is_refusal, resume, returned,
};
use crate::{
    ids::TenantId,
    inventory::{self, ObjectKind, ObjectRow, documents::User},
    microsoft::{
        graph::{GraphPath, GraphUrl},
        page::Page,
        throttle::Workload,
    },
    store::{Scoped, types::StoredUuid},
    sync::{
        checkpoint::Position,
        error::SyncError,
        pages::{DecodedPage, Pages, Stored, WritePage},
        shard::Shard,
        step::Step,
    },
};

/// Users that are read in one chain of pages: with more of them, shards side by side are faster.
const ONE_CHAIN: i64 = 5_000;

/// Reads all users, or what changed.
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
    resume(step, || read_pages(step).boxed()).await?;
    finish_full_read(step, ObjectKind::User).await
}

async fn read_pages(step: &Step) -> Result<(), SyncError> {
    if step.position() == Position::Start {
        choose(step).await?;
    }
    let expected = step.checkpoint().and_then(|known| known.expected);
    if let Some(users) = expected.and_then(|users| u64::try_from(users).ok()) {
        step.run.graph.tenant_has_users(users);
    }
    if matches!(step.position(), Position::Shards(_)) {
        read_shards(step).await?;
    }
    read_chain(step).await
}

/// Takes the delta link before anything is read, and chooses the way by the number of users.
async fn choose(step: &Step) -> Result<(), SyncError> {
    let (delta_link, count) = tokio::try_join!(
        directory::latest_delta_link(step, "users", User::SELECT),
        directory::count(step, "users"),
    )?;
    step.prepare(|checkpoint| {
        checkpoint.delta_link = delta_link;
        checkpoint.expected = count;
        if count.is_some_and(|count| count > ONE_CHAIN) {
            checkpoint.position = Position::all_shards();
        }
    })
    .await;
    Ok(())
}

async fn read_shards(step: &Step) -> Result<(), SyncError> {
    let pages = pages(step);
    let whole = match pages
        .read_shards(step, |shard| shard_url(step, shard))
        .await
    {
        Ok(()) => is_whole(step).await?,
        Err(SyncError::Graph(error)) if is_refusal(&error) => {
            tracing::info!(%error, "users cannot be read in shards");
            false
        }
        Err(error) => return Err(error),
    };
    let next = if whole {
        Position::End
    } else {
        Position::Start
    };
    step.prepare(|checkpoint| checkpoint.position = next).await;
    Ok(())
}

/// Whether the shards brought as many users as there were, or as there are: some may have been deleted
/// while they were read.
async fn is_whole(step: &Step) -> Result<bool, SyncError> {
    let done = step.checkpoint().unwrap_or_default();
    if done.expected.is_none_or(|expected| done.read >= expected) {
        return Ok(true);
    }
    let count = directory::count(step, "users").await?;
    let whole = count.is_some_and(|count| done.read >= count);
    if !whole {
        tracing::info!(
            read = done.read,
            ?count,
            "shards of users do not make up the whole"
        );
    }
    Ok(whole)
}

/// Reads all pages one after the other. What is stored already is not counted again.
async fn read_chain(step: &Step) -> Result<(), SyncError> {
    let first = GraphPath::of("users?$top=999").query("$select", User::SELECT);
    pages(step)
        .read_on(step, Some(step.run.graph.v1(first)))
        .await
}

fn shard_url(step: &Step, shard: Shard) -> GraphUrl {
    let path = GraphPath::of("users?$top=999&$count=true")
        .query("$select", User::SELECT)
        .query("$filter", &shard.filter("userPrincipalName"));
    step.run.graph.v1(path).eventual()
}

fn pages(step: &Step) -> Pages {
    let tenant = step.run.tenant;
    Pages::new(Workload::Identity, move |body, generation| {
        decode_page(body, tenant, generation)
    })
}

pub(super) fn decode_page(
    body: &[u8],
    tenant: TenantId,
    generation: i64,
) -> Result<DecodedPage, SyncError> {
    let page: Page<'_, User<'_>> = Page::read(body)?;
    let mut rows = PageRows::default();
    for user in &page.value {
        rows.put(guid(&user.id)?, row(user)?);
    }
    let write = move |tx: &mut Scoped<'_>| store(tx, tenant, generation, rows);
    Ok(decoded(&page, Box::new(move |tx| Ok(write(tx)?.into()))))
}

async fn read_changes(step: &Step) -> Result<(), SyncError> {
    let tenant = step.run.tenant;
    let generation = directory::current_generation(step).await?;
    let pages = Pages::new(Workload::Identity, move |body, _none_of_its_own| {
        decode_changes(body, tenant, generation)
    });
    pages.read_on(step, None).await?;
    returned::read_memberships(step).await?;
    directory::finish_changes(step).await
}

pub(super) fn decode_changes(
    body: &[u8],
    tenant: TenantId,
    generation: i64,
) -> Result<DecodedPage, SyncError> {
    let page: Page<'_, &RawValue> = Page::read(body)?;
    directory::require_link(&page)?;
    let mut rows = PageRows::default();
    let mut created = HashMap::new();
    for item in &page.value {
        let change: Change<'_> = directory::read_item(item)?;
        let key = guid(&change.id)?;
        if change.removed.is_some() {
            rows.remove(key);
            created.remove(&key);
            continue;
        }
        let user: User<'_> = directory::read_item(item)?;
        rows.put(key, row(&user)?);
        created.insert(key, user.created_date_time.value().cloned());
    }
    let new = page.value.len();
    Ok(decoded(
        &page,
        Box::new(move |tx| {
            let returned = returned::among(tx, tenant, created)?;
            store(tx, tenant, generation, rows)?;
            Ok(Stored { new, returned })
        }),
    ))
}

fn decoded<T>(page: &Page<'_, T>, write: WritePage) -> DecodedPage {
    DecodedPage {
        items: page.value.len(),
        next_link: page.next_link.as_deref().map(str::to_owned),
        delta_link: page.delta_link.as_deref().map(str::to_owned),
        write,
    }
}

/// Stores a page of users, and says how many of them the read had not seen before.
fn store(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
    rows: PageRows,
) -> Result<usize, SyncError> {
    let (rows, removed) = rows.into_parts();
    let new = inventory::store_objects(tx, tenant, ObjectKind::User, generation, &rows)?;
    inventory::mark_removed(tx, tenant, ObjectKind::User, &removed)?;
    Ok(new)
}

fn row(user: &User<'_>) -> Result<ObjectRow, SyncError> {
    let name = user
        .display_name
        .value()
        .map(String::as_str)
        .unwrap_or_default();
    let upn = user
        .user_principal_name
        .value()
        .map(String::as_str)
        .unwrap_or_default();
    Ok(ObjectRow {
        key: StoredUuid(guid(&user.id)?),
        name: Some(format!("{name} {upn}").to_lowercase()),
        document: document(user)?,
    })
}
