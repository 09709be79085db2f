//! `licenses`: the subscribed SKUs, with the terms of the subscriptions behind them. Who has which
//! licence, and by which way, stands with the users (`licenseAssignmentStates`).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{finish_full_read, guid};
use crate::{
    inventory::{
        self, ObjectKind, ObjectRow,
        documents::{CompanySubscription, SubscribedSku},
    },
    microsoft::{
        graph::GraphPath,
        page::{LinkGuard, Page},
        throttle::Workload,
    },
    store::types::StoredUuid,
    sync::{
        checkpoint::{Checkpoint, Position},
        error::SyncError,
        step::Step,
    },
};

/// Reads all SKUs.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    let generation = step.full_read().await?;
    let subscriptions = subscriptions(step).await?;
    let url = step
        .run
        .graph
        .v1(GraphPath::of("subscribedSkus").query("$select", SubscribedSku::SELECT));
    let body = step
        .run
        .graph
        .get(&url, Workload::Identity, &step.meter)
        .await?;
    let rows = decode(&body, subscriptions.as_ref())?;
    let expected = i64::try_from(rows.len()).ok();
    let advance = move |checkpoint: &mut Checkpoint| {
        checkpoint.expected = expected;
        checkpoint.position = Position::End;
    };
    let tenant = step.run.tenant;
    step.commit_page(advance, move |tx| {
        let kind = ObjectKind::License;
        Ok(inventory::store_objects(tx, tenant, kind, generation, &rows)?.into())
    })
    .await?;
    finish_full_read(step, ObjectKind::License).await
}

pub(super) fn decode(
    body: &[u8],
    subscriptions: Option<&HashMap<String, Vec<Value>>>,
) -> Result<Vec<ObjectRow>, SyncError> {
    let page: Page<'_, SubscribedSku<'_>> = Page::read(body)?;
    page.value
        .iter()
        .map(|sku| row(sku, subscriptions))
        .collect()
}

/// The subscriptions by SKU; `None` when this tenant or permission does not show them. Microsoft
/// does not say for certain which permission suffices, so a refusal leaves the terms unknown and
/// nothing else.
async fn subscriptions(step: &Step) -> Result<Option<HashMap<String, Vec<Value>>>, SyncError> {
    let mut by_sku: HashMap<String, Vec<Value>> = HashMap::new();
    let graph = &step.run.graph;
    let mut next = Some(graph.v1("directory/subscriptions"));
    let mut guard = LinkGuard::new();
    while let Some(url) = next.take() {
        let body = match graph.get(&url, Workload::Identity, &step.meter).await {
            Ok(body) => body,
            Err(error) if super::is_refusal(&error) => {
                tracing::info!(%error, "subscription terms are not shown");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let page: Page<'_, CompanySubscription<'_>> = Page::read(&body)?;
        for subscription in &page.value {
            let sku = subscription
                .sku_id
                .value()
                .map(|id| id.to_ascii_lowercase())
                .unwrap_or_default();
            by_sku.entry(sku).or_default().push(value(subscription)?);
        }
        if let Some(link) = &page.next_link {
            guard.admit(link, page.value.len())?;
            next = Some(graph.link(link)?);
        }
    }
    Ok(Some(by_sku))
}

fn row(
    sku: &SubscribedSku<'_>,
    subscriptions: Option<&HashMap<String, Vec<Value>>>,
) -> Result<ObjectRow, SyncError> {
    let sku_id = sku.sku_id.value().cloned().unwrap_or_default();
    let own = subscriptions.map(|all| {
        all.get(&sku_id.to_ascii_lowercase())
            .cloned()
            .unwrap_or_default()
    });
    let mut document = value(sku)?;
    if let Some(members) = document.as_object_mut() {
        members.insert("subscriptions".to_owned(), json!(own));
    }
    Ok(ObjectRow {
        key: StoredUuid(guid(&sku_id)?),
        name: sku.sku_part_number.value().map(|part| part.to_lowercase()),
        document: document.to_string(),
    })
}

fn value(object: &impl serde::Serialize) -> Result<Value, SyncError> {
    serde_json::to_value(object)
        .map_err(|error| SyncError::UnexpectedAnswer(format!("an object: {error}")))
}
