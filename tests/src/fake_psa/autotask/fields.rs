//! What Autotask tells about the fields of its entities, with the picklists of this database.

use serde_json::{Value, json};

use super::rows::Entity;
use crate::fake_psa::cell::Kind;

/// A picklist: value, label, default, active. `parent`: the picklist that it depends on.
type Choices = &'static [(i64, &'static str, bool, bool)];

const COMPANY_TYPES: Choices = &[
    (1, "Customer", true, true),
    (2, "Lead", false, true),
    (3, "Prospect", false, true),
    (4, "Dead", false, true),
    (6, "Cancelation", false, true),
    (7, "Vendor", false, true),
    (8, "Partner", false, true),
    (9, "Former Partner", false, false),
];
pub const STATUSES: Choices = &[
    (1, "New", true, true),
    (5, "Complete", false, true),
    (8, "In Progress", false, true),
    (12, "Waiting Vendor", false, false),
];
pub const PRIORITIES: Choices = &[
    (1, "High", false, true),
    (2, "Medium", true, true),
    (3, "Low", false, true),
];
pub const QUEUES: Choices = &[
    (29_683_354, "Service Desk", true, true),
    (29_683_355, "Monitoring", false, true),
    (29_683_356, "Old queue", false, false),
];
const TICKET_TYPES: Choices = &[
    (1, "Service Request", true, true),
    (2, "Incident", false, true),
];
const CATEGORIES: Choices = &[(3, "Standard", true, true), (4, "RMM alert", false, true)];
const SOURCES: Choices = &[(8, "Email", false, true), (4, "Web portal", false, true)];
pub const NOTE_TYPES: Choices = &[
    (1, "Task Summary", true, true),
    (3, "Task Notes", false, true),
];
pub const PUBLISH: Choices = &[
    (1, "All Autotask Users", true, true),
    (2, "Internal Project Team", false, true),
];
/// Fields that a webhook on companies may be about.
pub const WEBHOOK_FIELDS: Choices = &[
    (57, "companyName", false, true),
    (58, "companyType", false, true),
    (59, "isActive", false, true),
    (60, "webAddress", false, true),
    (61, "phone", false, true),
];

/// The picklist of a field.
pub fn choices(entity: &str, field: &str) -> Option<Choices> {
    Some(match (entity, field) {
        ("Company", "companyType") => COMPANY_TYPES,
        ("Ticket", "status") => STATUSES,
        ("Ticket", "priority") => PRIORITIES,
        ("Ticket", "queueID") => QUEUES,
        ("Ticket", "ticketType") => TICKET_TYPES,
        ("Ticket", "ticketCategory") => CATEGORIES,
        ("Ticket", "source") => SOURCES,
        ("TicketNote", "noteType") => NOTE_TYPES,
        ("TicketNote", "publish") => PUBLISH,
        ("CompanyWebhookField", "fieldID") => WEBHOOK_FIELDS,
        _ => return None,
    })
}

/// Whether a picklist has this value, in use.
pub fn offers(choices: Choices, value: i64) -> bool {
    choices
        .iter()
        .any(|(known, _, _, active)| *known == value && *active)
}

/// `/{entity}/entityInformation/fields`.
pub fn of<E: Entity>() -> Value {
    let fields: Vec<Value> = E::FIELDS
        .iter()
        .filter(|field| field.name != "userDefinedFields")
        .map(|field| {
            let kind = match field.kind {
                Kind::Flag => "boolean",
                Kind::Int => "integer",
                Kind::Text => "string",
                Kind::Time => "datetime",
            };
            write(E::NAME, field.name, kind, field.queryable)
        })
        .collect();
    json!({ "fields": fields })
}

/// The same of an entity that is only written.
pub fn of_names(entity: &str, names: &[&str]) -> Value {
    let fields = names
        .iter()
        .map(|name| write(entity, name, "integer", true));
    json!({"fields": fields.collect::<Vec<_>>()})
}

/// `/Companies/entityInformation/userDefinedFields`.
pub fn user_defined() -> Value {
    let row = |name: &str| {
        json!({"name": name, "label": name, "dataType": "string", "isRequired": false, "isReadOnly": false,
            "isQueryable": true, "isPickList": false, "picklistValues": null})
    };
    json!({"fields": [row("M365 Tenant Id"), row("Notes for engineers"), row("SLA tier")]})
}

fn write(entity: &str, name: &str, kind: &str, queryable: bool) -> Value {
    const REQUIRED: [&str; 7] = [
        "companyName",
        "companyType",
        "companyID",
        "title",
        "status",
        "priority",
        "queueID",
    ];
    let values = choices(entity, name).map(|choices| {
        let values = choices.iter().map(|(value, label, default, active)| {
            // The value is a text, whatever the field holds.
            json!({"value": value.to_string(), "label": label, "isDefaultValue": default, "sortOrder": 0,
                "parentValue": "", "isActive": active, "isSystem": true})
        });
        values.collect::<Vec<_>>()
    });
    json!({
        "name": name, "dataType": kind, "length": if kind == "string" { 100 } else { 0 },
        "isRequired": REQUIRED.contains(&name), "isReadOnly": name == "id" || kind == "datetime",
        "isQueryable": queryable, "isReference": false, "referenceEntityType": "",
        "isPickList": values.is_some(), "picklistValues": values, "picklistParentValueField": "",
        "isSupportedWebhookField": WEBHOOK_FIELDS.iter().any(|(_, field, ..)| *field == name),
    })
}
