//! What a tenant is licensed for, read off its stored SKUs: a missing licence is a state of a data
//! set, not a failure, and only the service plans tell it from a missing permission.

use std::collections::HashSet;

use serde::Deserialize;
use uuid::{Uuid, uuid};

use super::{ObjectKind, queries};
use crate::{
    ids::TenantId,
    store::{Scoped, StoreError},
};

/// Service plans that bring Intune. Ids: Microsoft's product names and service plan identifiers.
const INTUNE: [Uuid; 3] = [
    uuid!("c1ec4a95-1f05-45b3-a911-aa3fa01094f5"),
    uuid!("8e9ff0ff-aa7a-4b20-83c1-2f636b600ac2"),
    uuid!("da24caf9-af8e-485c-b7c8-e73336da2693"),
];

/// Service plans that bring a mailbox. `EXCHANGE_S_FOUNDATION` is not one: it brings none.
const EXCHANGE: [Uuid; 3] = [
    uuid!("9aaf7827-d63c-4b61-89c3-182f06f82e5c"),
    uuid!("efb87545-963c-4e0d-99df-69c6916d9eb0"),
    uuid!("4a82b400-a79f-41a4-b4e2-e94f5787b113"),
];

/// The service plans that a tenant has and that are not switched off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plans {
    enabled: HashSet<Uuid>,
    exchange_skus: HashSet<String>,
}

impl Plans {
    /// Whether devices can be managed by Intune.
    pub(crate) fn has_intune(&self) -> bool {
        INTUNE.iter().any(|plan| self.enabled.contains(plan))
    }

    /// Whether users can have mailboxes.
    pub(crate) fn has_exchange(&self) -> bool {
        EXCHANGE.iter().any(|plan| self.enabled.contains(plan))
    }

    /// Whether a SKU brings a mailbox to whom it is assigned.
    pub(crate) fn brings_mailbox(&self, sku_id: &str) -> bool {
        self.exchange_skus.contains(&sku_id.to_ascii_lowercase())
    }
}

#[derive(Deserialize)]
struct Sku {
    #[serde(rename = "skuId")]
    sku_id: Option<String>,
    #[serde(rename = "capabilityStatus")]
    capability_status: Option<String>,
    #[serde(rename = "servicePlans")]
    service_plans: Option<Vec<ServicePlan>>,
}

#[derive(Deserialize)]
struct ServicePlan {
    #[serde(rename = "servicePlanId")]
    id: Option<String>,
    #[serde(rename = "provisioningStatus")]
    provisioning_status: Option<String>,
}

/// The plans of the last complete read of the licences; `None` before the first.
pub(crate) fn read_plans(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<Option<Plans>, StoreError> {
    /// More SKUs than any tenant has.
    const ALL: i64 = 10_000;
    if queries::as_of(tx, tenant, "licenses")?.is_none() {
        return Ok(None);
    }
    let mut plans = Plans::default();
    for (_, document) in queries::live_documents(tx, tenant, ObjectKind::License, None, None, ALL)?
    {
        let sku: Sku =
            serde_json::from_str(&document).or(Err(StoreError::Corrupt { what: "license" }))?;
        // A suspended or deleted subscription gives no service; one in its grace period does.
        if !matches!(
            sku.capability_status.as_deref(),
            Some("Enabled" | "Warning") | None
        ) {
            continue;
        }
        let ids = sku.service_plans.iter().flatten().filter_map(|plan| {
            let disabled = plan.provisioning_status.as_deref() == Some("Disabled");
            plan.id
                .as_deref()
                .filter(|_| !disabled)
                .and_then(|id| Uuid::try_parse(id).ok())
        });
        let ids: HashSet<Uuid> = ids.collect();
        if EXCHANGE.iter().any(|plan| ids.contains(plan)) {
            plans
                .exchange_skus
                .extend(sku.sku_id.map(|id| id.to_ascii_lowercase()));
        }
        plans.enabled.extend(ids);
    }
    Ok(Some(plans))
}
