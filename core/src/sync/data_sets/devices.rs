//! `devices`: Intune's managed devices, page by page.

use super::{directory::PageRows, document, finish_full_read, guid, read_list};
use crate::{
    ids::TenantId,
    inventory::{self, ObjectKind, ObjectRow, documents::ManagedDevice},
    microsoft::{graph::GraphPath, graph_error::GraphError, page::Page, throttle::Workload},
    store::types::StoredUuid,
    sync::{
        error::SyncError,
        pages::{DecodedPage, Pages},
        run::Warning,
        step::Step,
    },
};

/// Reads all devices. The page size is left to Microsoft, whose pages hold 1,000.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    match read_all(step).await {
        Err(SyncError::Graph(GraphError::NotApplicable(_) | GraphError::NotLicensed(_))) => {
            Err(SyncError::Skipped(not_set_up()))
        }
        other => other,
    }
}

async fn read_all(step: &Step) -> Result<(), SyncError> {
    step.full_read().await?;
    let tenant = step.run.tenant;
    let first =
        GraphPath::of("deviceManagement/managedDevices").query("$select", ManagedDevice::SELECT);
    let pages = Pages::new(Workload::Intune, move |body, generation| {
        decode_page(body, tenant, generation)
    });
    read_list(step, &pages, &step.run.graph.v1(first)).await?;
    finish_full_read(step, ObjectKind::Device).await
}

pub(super) fn decode_page(
    body: &[u8],
    tenant: TenantId,
    generation: i64,
) -> Result<DecodedPage, SyncError> {
    let page: Page<'_, ManagedDevice<'_>> = Page::read(body)?;
    let mut rows = PageRows::default();
    for device in &page.value {
        let key = guid(&device.id)?;
        rows.put(key, row(key, device)?);
    }
    Ok(DecodedPage {
        items: page.value.len(),
        next_link: page.next_link.as_deref().map(str::to_owned),
        delta_link: None,
        write: Box::new(move |tx| {
            let (rows, _) = rows.into_parts();
            let kind = ObjectKind::Device;
            let new = inventory::store_objects(tx, tenant, kind, generation, &rows)?;
            Ok(new.into())
        }),
    })
}

fn row(key: uuid::Uuid, device: &ManagedDevice<'_>) -> Result<ObjectRow, SyncError> {
    let name = device
        .device_name
        .value()
        .map(String::as_str)
        .unwrap_or_default();
    let upn = device
        .user_principal_name
        .value()
        .map(String::as_str)
        .unwrap_or_default();
    Ok(ObjectRow {
        key: StoredUuid(key),
        name: Some(format!("{name} {upn}").to_lowercase()),
        document: document(device)?,
    })
}

/// Why there are no devices to read.
pub(in crate::sync) fn not_set_up() -> Warning {
    Warning::note(
        "notLicensed",
        "Intune is not licensed or not set up in this tenant, so there are no managed devices.",
    )
}
