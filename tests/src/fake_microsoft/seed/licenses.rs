//! Products, subscriptions, and which user has which.

use serde_json::{Value, json};
use uuid::Uuid;

use super::random;
use crate::fake_microsoft::directory::{
    Directory, Features,
    entity::{Entity, Fragment},
    schemas,
};

pub const EXCHANGE_S_STANDARD: &str = "9aaf7827-d63c-4b61-89c3-182f06f82e5c";
const EXCHANGE_S_ENTERPRISE: &str = "efb87545-963c-4e0d-99df-69c6916d9eb0";
const EXCHANGE_S_FOUNDATION: &str = "113feb6c-3fe4-4440-bddc-54d774bf0318";
const INTUNE_A: &str = "c1ec4a95-1f05-45b3-a911-aa3fa01094f5";
const AAD_PREMIUM: &str = "41781fb2-bc02-4b7c-bd55-b576c07bb09d";
const AAD_PREMIUM_P2: &str = "eec0eb4f-6444-4f95-aba0-50c24d67f998";
const SHAREPOINTSTANDARD: &str = "c7699d2e-19aa-44de-8edf-1736da088ca1";

/// The products of a generated tenant, by their place.
const BUSINESS_PREMIUM: usize = 0;
const ENTERPRISE: usize = 1;
const FLOW_FREE: usize = 2;
const CRM_SUSPENDED: usize = 3;
const UNHEARD_OF: usize = 4;

/// A way users are licensed.
pub struct Assignment {
    /// `assignedLicenses` and `licenseAssignmentStates`.
    pub licenses: Fragment,
    pub states: Fragment,
    pub mailbox: bool,
    skus: Vec<usize>,
}

/// What is bought and how it is assigned.
pub struct Products {
    tenant: Uuid,
    sku_ids: [Uuid; 5],
    plans: [Vec<Value>; 5],
    consumed: [u32; 5],
    assignments: Vec<Assignment>,
    pub group: Option<Uuid>,
}

impl Products {
    /// The products a tenant with these features has; `group` assigns licences too.
    pub fn new(tenant: Uuid, features: &Features, group: Option<Uuid>) -> Self {
        let id = |text| Uuid::parse_str(text).expect("a GUID");
        let mut random = random::of_id(tenant);
        let sku_ids = [
            id("cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"),
            id("c7df2760-2c81-4ef7-b578-5b5392b571df"),
            id("f30db892-07e9-47e9-837c-80727f46fd3d"),
            id("d17b27af-3f49-4822-99f9-56a661538792"),
            random.uuid(),
        ];
        let mut products = Self {
            tenant,
            sku_ids,
            plans: plans(features),
            consumed: [0; 5],
            assignments: Vec::new(),
            group,
        };
        products.assignments = products.ways(features.exchange);
        products
    }

    /// The sku that the licensing group assigns.
    pub const fn group_sku(&self) -> Uuid {
        self.sku_ids[BUSINESS_PREMIUM]
    }

    /// How the user with this number is licensed, counted as consumed.
    pub fn assign(&mut self, number: usize) -> &Assignment {
        let assignment = &self.assignments[number % self.assignments.len()];
        for sku in &assignment.skus {
            self.consumed[*sku] += 1;
        }
        assignment
    }

    fn ways(&self, exchange: bool) -> Vec<Assignment> {
        let direct = |sku| self.state(sku, None, "Active", json!("None"));
        let by_group = |sku| self.state(sku, self.group, "Active", Value::Null);
        let plain = || {
            self.way(
                &[(BUSINESS_PREMIUM, &[])],
                vec![direct(BUSINESS_PREMIUM)],
                exchange,
            )
        };
        let grouped = self.way(
            &[(BUSINESS_PREMIUM, &[])],
            vec![by_group(BUSINESS_PREMIUM)],
            exchange,
        );
        let twice = self.way(
            &[
                (BUSINESS_PREMIUM, &[]),
                (FLOW_FREE, &[EXCHANGE_S_FOUNDATION]),
            ],
            vec![
                direct(BUSINESS_PREMIUM),
                by_group(BUSINESS_PREMIUM),
                direct(FLOW_FREE),
            ],
            exchange,
        );
        let enterprise = self.way(
            &[(ENTERPRISE, &[SHAREPOINTSTANDARD])],
            vec![self.state(
                ENTERPRISE,
                None,
                "ActiveWithError",
                json!("DependencyViolation"),
            )],
            exchange,
        );
        let refused = self.way(
            &[],
            vec![self.state(
                BUSINESS_PREMIUM,
                self.group,
                "Error",
                json!("CountViolation"),
            )],
            false,
        );
        let unheard_of = self.way(
            &[(UNHEARD_OF, &[])],
            vec![self.state(UNHEARD_OF, None, "futureState", json!("FutureViolation"))],
            false,
        );
        vec![
            plain(),
            grouped,
            plain(),
            twice,
            plain(),
            enterprise,
            plain(),
            refused,
            plain(),
            unheard_of,
        ]
    }

    fn way(&self, skus: &[(usize, &[&str])], states: Vec<Value>, mailbox: bool) -> Assignment {
        let licenses: Vec<Value> = skus
            .iter()
            .map(|(sku, disabled)| json!({"disabledPlans": disabled, "skuId": self.sku_ids[*sku]}))
            .collect();
        Assignment {
            licenses: Value::Array(licenses).to_string().into(),
            states: Value::Array(states).to_string().into(),
            mailbox,
            skus: skus.iter().map(|(sku, _)| *sku).collect(),
        }
    }

    fn state(&self, sku: usize, group: Option<Uuid>, state: &str, error: Value) -> Value {
        let updated = match sku {
            UNHEARD_OF => "0001-01-01T00:00:00Z",
            ENTERPRISE => "2025-03-01T08:15:30.1234567Z",
            _ => "2025-03-01T08:15:30Z",
        };
        json!({"skuId": self.sku_ids[sku], "disabledPlans": [], "assignedByGroup": group,
            "state": state, "error": error, "lastUpdatedDateTime": updated})
    }

    /// Puts products and subscriptions into the directory, with what was consumed.
    pub fn store(self, directory: &mut Directory, account: &str) {
        const NAMES: [(&str, &str, &str); 5] = [
            ("SPB", "Enabled", "User"),
            ("ENTERPRISEPREMIUM", "Warning", "User"),
            ("FLOW_FREE", "Enabled", "User"),
            ("CRMSTANDARD", "Suspended", "User"),
            ("NEXT_PRODUCT_2031", "FutureStatus", "Company"),
        ];
        for (place, (name, status, applies_to)) in NAMES.into_iter().enumerate() {
            let sku_id = self.sku_ids[place];
            let subscription = directory.random.uuid();
            let consumed = self.consumed[place];
            // Assignable can be below consumed.
            let enabled = if place == ENTERPRISE {
                consumed / 2
            } else {
                consumed + 5
            };
            let mut units = match place {
                CRM_SUSPENDED => json!({"enabled": 0, "suspended": 25, "warning": 0}),
                ENTERPRISE => json!({"enabled": enabled, "suspended": 0, "warning": 3}),
                _ => json!({"enabled": enabled, "suspended": 0, "warning": 0}),
            };
            if place % 2 == 0 {
                units["lockedOut"] = json!(0);
            }
            let mut entity = Entity::empty(&schemas::SUBSCRIBED_SKU);
            let mut properties = json!({
                "id": format!("{}_{sku_id}", self.tenant), "accountId": self.tenant,
                "accountName": account, "skuId": sku_id, "skuPartNumber": name,
                "appliesTo": applies_to, "capabilityStatus": status, "consumedUnits": consumed,
                "prepaidUnits": units, "servicePlans": self.plans[place],
            });
            if place != UNHEARD_OF {
                properties["subscriptionIds"] = json!([subscription]);
            }
            entity.assign(&schemas::SUBSCRIBED_SKU, &properties);
            directory.skus.insert(sku_id, entity);
            if place != UNHEARD_OF {
                self.store_subscription(directory, subscription, place, name, status);
            }
        }
    }

    fn store_subscription(
        &self,
        directory: &mut Directory,
        id: Uuid,
        place: usize,
        name: &str,
        status: &str,
    ) {
        let renewal = match place {
            FLOW_FREE => json!("9999-12-31T23:59:59.9999999Z"),
            CRM_SUSPENDED => Value::Null,
            _ => json!("2027-03-01T00:00:00Z"),
        };
        let mut entity = Entity::empty(&schemas::SUBSCRIPTION);
        let properties = json!({
            "id": id, "commerceSubscriptionId": directory.random.uuid(),
            "skuId": self.sku_ids[place], "skuPartNumber": name, "status": status,
            "totalLicenses": self.consumed[place] + 5, "isTrial": place == FLOW_FREE,
            "createdDateTime": "2024-03-01T00:00:00Z", "nextLifecycleDateTime": renewal,
            "ownerId": null, "ownerTenantId": null, "ownerType": "User",
            "serviceStatus": self.plans[place],
        });
        entity.assign(&schemas::SUBSCRIPTION, &properties);
        directory.subscriptions.insert(id, entity);
    }
}

fn plans(features: &Features) -> [Vec<Value>; 5] {
    let plan = |id: &str, name: &str, status: &str| {
        json!({"servicePlanId": id, "servicePlanName": name, "provisioningStatus": status,
            "appliesTo": "User"})
    };
    let mut premium = vec![plan(
        SHAREPOINTSTANDARD,
        "SHAREPOINTSTANDARD",
        "PendingInput",
    )];
    let mut enterprise = vec![plan(
        SHAREPOINTSTANDARD,
        "SHAREPOINTSTANDARD",
        "futureStatus",
    )];
    if features.exchange {
        premium.push(plan(EXCHANGE_S_STANDARD, "EXCHANGE_S_STANDARD", "Success"));
        enterprise.push(plan(
            EXCHANGE_S_ENTERPRISE,
            "EXCHANGE_S_ENTERPRISE",
            "Success",
        ));
    }
    if features.intune {
        premium.push(plan(INTUNE_A, "INTUNE_A", "Success"));
    }
    if features.p1 {
        premium.push(plan(AAD_PREMIUM, "AAD_PREMIUM", "Success"));
    }
    if features.p2 {
        enterprise.push(plan(AAD_PREMIUM_P2, "AAD_PREMIUM_P2", "Success"));
    }
    let free = vec![plan(
        EXCHANGE_S_FOUNDATION,
        "EXCHANGE_S_FOUNDATION",
        "Success",
    )];
    let crm = vec![plan(
        "f9646fb2-e3b2-4309-95de-dc4833737456",
        "CRMSTANDARD",
        "Disabled",
    )];
    [premium, enterprise, free, crm, Vec::new()]
}
