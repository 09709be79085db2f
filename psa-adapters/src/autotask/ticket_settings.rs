//! The settings for tickets, and what may be chosen in them (psa.md §B5).

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use crate::{
    autotask::{
        Autotask,
        errors::addition,
        fields::{Fields, PicklistValue},
    },
    contract::ExternalId,
    error::PsaError,
    ticket::{Choice, TicketOption, TicketOptions},
    wire,
};

/// The status of a new ticket, `New` in every database.
const NEW: i64 = 1;

/// The status of a done ticket where no picklist says otherwise (psa.md §B5, unverified).
const COMPLETE: i64 = 5;

const NOTE_TYPE: i64 = 1;

/// Notes for people of the MSP, not for the customer's portal.
const INTERNAL: i64 = 2;

/// Categories often want a due date.
const DUE_IN_DAYS: u16 = 3;

/// What a person chose.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TicketSettings {
    #[serde(deserialize_with = "chosen")]
    queue_id: i64,
    #[serde(default, deserialize_with = "maybe_chosen")]
    status: Option<i64>,
    #[serde(default, deserialize_with = "maybe_chosen")]
    priority: Option<i64>,
    #[serde(default, deserialize_with = "maybe_chosen")]
    complete_status: Option<i64>,
    #[serde(default, deserialize_with = "maybe_chosen")]
    ticket_type: Option<i64>,
    #[serde(default, deserialize_with = "maybe_chosen")]
    note_type: Option<i64>,
    #[serde(default, deserialize_with = "maybe_chosen")]
    note_publish: Option<i64>,
    #[serde(default)]
    due_in_days: Option<u16>,
}

impl TicketSettings {
    /// Reads the settings object; what it does not know it refuses.
    pub(super) fn read(settings: &Value) -> Result<Self, PsaError> {
        let settings = Self::deserialize(settings).map_err(|error| PsaError::Config {
            what: format!("ticket settings: {}", wire::said(&error.to_string())),
        })?;
        if settings.due_in_days.is_some_and(|days| days > 365) {
            return Err(PsaError::Config {
                what: "ticket settings: dueInDays must be at most 365".to_owned(),
            });
        }
        Ok(settings)
    }

    /// The fields of a new ticket that come from the settings. Without a chosen priority Autotask's own
    /// default is taken.
    pub(super) fn fields(&self, fields: &Fields) -> serde_json::Map<String, Value> {
        let priority = self.priority.or_else(|| default_of(fields, "priority"));
        let chosen = [
            ("queueID", Some(self.queue_id)),
            ("status", Some(self.status.unwrap_or(NEW))),
            ("priority", priority),
            ("ticketType", self.ticket_type),
        ];
        let given = chosen.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
            .collect()
    }

    /// After how many days a ticket is due.
    pub(super) fn due_in_days(&self) -> u16 {
        self.due_in_days.unwrap_or(DUE_IN_DAYS)
    }

    /// The type and the readers of a note.
    pub(super) fn note(&self) -> (i64, i64) {
        (
            self.note_type.unwrap_or(NOTE_TYPE),
            self.note_publish.unwrap_or(INTERNAL),
        )
    }

    /// The status that says a ticket is done.
    pub(super) fn complete(&self, fields: &Fields) -> i64 {
        let named = || {
            let labels = fields.values("status").iter();
            let mut labels = labels.filter_map(PicklistValue::label);
            let complete = labels.find(|label| label.name.eq_ignore_ascii_case("complete"))?;
            complete.id.0.parse().ok()
        };
        self.complete_status.or_else(named).unwrap_or(COMPLETE)
    }

    /// The chosen values that this database does not offer, by the names of the settings.
    pub(super) fn not_offered(&self, fields: &Fields) -> Vec<&'static str> {
        let chosen = [
            ("queueId", "queueID", Some(self.queue_id)),
            ("status", "status", self.status),
            ("priority", "priority", self.priority),
            ("completeStatus", "status", self.complete_status),
            ("ticketType", "ticketType", self.ticket_type),
        ];
        let missing = chosen.into_iter().filter(|(_setting, field, value)| {
            let choices = fields.choices(field);
            // A field that lists nothing says nothing.
            value.is_some_and(|value| {
                let id = ExternalId(value.to_string());
                !choices.is_empty() && !choices.iter().any(|choice| choice.id == id)
            })
        });
        missing.map(|(setting, _field, _value)| setting).collect()
    }
}

/// The default of a picklist, else the first value that may be chosen.
fn default_of(fields: &Fields, field: &str) -> Option<i64> {
    let values = fields.values(field);
    let active = || values.iter().filter(|value| value.is_active());
    let default = active().find(|value| value.is_default());
    let value = default.or_else(|| active().next())?;
    value.label()?.id.0.parse().ok()
}

/// An id as people and programs write it: a number, or the text that the options name.
fn chosen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let id = wire::id_of(&Value::deserialize(deserializer)?);
    let number = id.and_then(|id| id.0.parse().ok());
    number.ok_or_else(|| D::Error::custom("an id must be a number of Autotask"))
}

fn maybe_chosen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if value.is_null() {
        return Ok(None);
    }
    chosen(value).map(Some).map_err(D::Error::custom)
}

impl Autotask {
    /// What may be chosen.
    pub(super) async fn options(&self) -> Result<TicketOptions, PsaError> {
        let tickets = self.ticket_fields().await?;
        // The settings of notes have defaults, so their picklists may be missing.
        let notes = addition(self.client.fields("TicketNotes").await)?;
        let notes = notes.unwrap_or_else(Fields::unknown);
        let option = |name, description, required, choices| TicketOption {
            name,
            description,
            required,
            choices,
        };
        let options = vec![
            option(
                "queueId",
                "The queue in which tickets are opened.",
                true,
                choices(&tickets, "queueID"),
            ),
            option(
                "status",
                "The status of a new ticket; New where none is chosen.",
                false,
                choices(&tickets, "status"),
            ),
            option(
                "priority",
                "The priority of a new ticket; Autotask's default where none is chosen.",
                false,
                choices(&tickets, "priority"),
            ),
            option(
                "completeStatus",
                "The status of a ticket that is done; Complete where none is chosen.",
                false,
                choices(&tickets, "status"),
            ),
            option(
                "ticketType",
                "The type of a new ticket.",
                false,
                choices(&tickets, "ticketType"),
            ),
            option(
                "noteType",
                "The type of the notes that are added to a ticket.",
                false,
                choices(&notes, "noteType"),
            ),
            option(
                "notePublish",
                "Who may read the notes that are added to a ticket.",
                false,
                choices(&notes, "publish"),
            ),
            option(
                "dueInDays",
                "After how many days a new ticket is due, 3 where nothing is entered.",
                false,
                Vec::new(),
            ),
        ];
        Ok(TicketOptions { options })
    }
}

fn choices(fields: &Fields, field: &str) -> Vec<Choice> {
    let values = fields.values(field).iter();
    let active = values.filter(|value| value.is_active());
    let choice = |value: &PicklistValue| {
        Some(Choice {
            label: value.label()?,
            belongs_to: None,
            default: value.is_default(),
        })
    };
    active.filter_map(choice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_strict_and_take_ids_as_numbers_or_texts() {
        let read = TicketSettings::read(&json!({"queueId": "29683354", "priority": 2})).unwrap();
        assert_eq!((read.queue_id, read.priority), (29_683_354, Some(2)));
        for wrong in [
            json!({}),
            json!({"queueId": null}),
            json!({"queueId": "first"}),
            json!({"queueId": 1, "board": 3}),
            json!({"queueId": 1, "status": {}}),
            json!({"queueId": 1, "dueInDays": -1}),
            json!({"queueId": 1, "dueInDays": 900}),
            json!("queue"),
        ] {
            let refused = TicketSettings::read(&wrong);
            assert!(matches!(refused, Err(PsaError::Config { .. })), "{wrong}");
        }
    }

    #[test]
    fn done_is_what_the_picklist_calls_complete() {
        let fields = |label: &str| {
            let fields = json!({"fields": [{"name": "status", "picklistValues": [
                {"value": "1", "label": "New"}, {"value": "27", "label": label},
            ]}]});
            Fields::deserialize(fields).unwrap()
        };
        let settings = TicketSettings::read(&json!({"queueId": 1})).unwrap();
        assert_eq!(settings.complete(&fields("Complete")), 27);
        assert_eq!(settings.complete(&fields("Done")), 5);
        let chosen = TicketSettings::read(&json!({"queueId": 1, "completeStatus": 9})).unwrap();
        assert_eq!(chosen.complete(&fields("Complete")), 9);
        assert_eq!(chosen.not_offered(&fields("Complete")), ["completeStatus"]);
    }
}
