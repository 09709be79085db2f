//! `users`: pages of 999 for a full read, Microsoft's delta for changes.

use serde_json::value::RawValue;

use super::{
    directory::{self, Change, Counts, PageRows, Plan},
    document, finish_full_read, guid,
};
use crate::{
    ids::TenantId,
    inventory::{self, ObjectKind, ObjectRow, documents::User},
    microsoft::{graph::GraphPath, page::Page, throttle::Workload},
    store::types::StoredUuid,
    sync::{
        error::SyncError,
        queries,
        step::{Checkpoint, DecodedPage, Step},
    },
};

/// Reads all users, or what changed.
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

async fn read_all(step: &Step, mut checkpoint: Checkpoint) -> Result<(), SyncError> {
    let resumed = checkpoint.next_link.is_some();
    match read_pages(step, checkpoint.clone()).await {
        Err(error) if resumed && directory::link_is_stale(&error) => {
            checkpoint = Checkpoint {
                generation: step.begin_full_read().await?,
                ..Checkpoint::default()
            };
            let done = read_pages(step, checkpoint).await?;
            finish_full_read(step, ObjectKind::User, done).await
        }
        done => finish_full_read(step, ObjectKind::User, done?).await,
    }
}

async fn read_pages(step: &Step, mut checkpoint: Checkpoint) -> Result<Checkpoint, SyncError> {
    let graph = &step.run.graph;
    let first = match &checkpoint.next_link {
        Some(link) => graph.link(link)?,
        None if checkpoint.read > 0 => return Ok(checkpoint),
        None => {
            checkpoint.delta_link =
                Some(directory::latest_delta_link(step, "users", User::SELECT).await?);
            graph
                .v1(GraphPath::of("users?$top=999&$count=true").query("$select", User::SELECT))
                .eventual()
        }
    };
    let (tenant, generation) = (step.run.tenant, checkpoint.generation);
    step.read_pages(Workload::Identity, first, checkpoint, move |body| {
        decode_page(&body, tenant, generation)
    })
    .await
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
    Ok(decoded(&page, tenant, generation, rows, Counts::Written))
}

async fn read_changes(step: &Step, checkpoint: Checkpoint) -> Result<(), SyncError> {
    let tenant = step.run.tenant;
    let generation = current_generation(step).await?;
    let done = directory::read_changes(step, checkpoint, move |body| {
        decode_changes(&body, tenant, generation)
    })
    .await?;
    finish_changes(step, done).await
}

pub(super) fn decode_changes(
    body: &[u8],
    tenant: TenantId,
    generation: i64,
) -> Result<DecodedPage, SyncError> {
    let page: Page<'_, &RawValue> = Page::read(body)?;
    let mut rows = PageRows::default();
    for item in &page.value {
        let change: Change<'_> = directory::read_item(item)?;
        let key = guid(&change.id)?;
        match change.removed {
            Some(_) => rows.remove(key),
            None => rows.put(key, row(&directory::read_item(item)?)?),
        }
    }
    let counts = Counts::Items(page.value.len());
    Ok(decoded(&page, tenant, generation, rows, counts))
}

fn decoded<T>(
    page: &Page<'_, T>,
    tenant: TenantId,
    generation: i64,
    rows: PageRows,
    counts: Counts,
) -> DecodedPage {
    DecodedPage {
        items: page.value.len(),
        count: page.count.and_then(|count| i64::try_from(count).ok()),
        next_link: page.next_link.as_deref().map(str::to_owned),
        delta_link: page.delta_link.as_deref().map(str::to_owned),
        write: Box::new(move |tx| {
            let (rows, removed) = rows.into_parts();
            let written = inventory::upsert_objects(
                tx,
                tenant,
                ObjectKind::User.number(),
                generation,
                &rows,
            )?;
            inventory::mark_removed(tx, tenant, ObjectKind::User, &removed)?;
            Ok(counts.of(written))
        }),
    }
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
pub(super) async fn finish_changes(step: &Step, checkpoint: Checkpoint) -> Result<(), SyncError> {
    let (tenant, name) = (step.run.tenant, step.data_set.name());
    let delta_link = checkpoint.delta_link.clone();
    step.complete(checkpoint, move |tx| {
        Ok(queries::complete_read(
            tx,
            tenant,
            name,
            delta_link.as_deref(),
        )?)
    })
    .await
}
