//! What people choose for a connection, read strictly: everything that is wrong at once.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ConnectionFault;

/// Types that may be chosen, and the length of each in characters.
const MOST_TYPES: usize = 100;
const LONGEST_TYPE: usize = 200;
/// The largest settings for tickets, as JSON.
const MOST_OPTIONS: usize = 16 << 10;

/// What people choose for a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PsaSettings {
    /// Minutes between reads of what changed.
    pub incremental_minutes: u32,
    /// Hours between reads of everything.
    pub full_hours: u32,
    /// Only customers of one of these types; empty: all.
    pub customer_types: Vec<String>,
    /// Whether webhooks are listened to. Registering one turns it on.
    pub callbacks: bool,
    /// Tickets about tenants in trouble.
    pub tickets: TicketSettings,
}

/// Tickets about tenants in trouble.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TicketSettings {
    /// Whether they are opened.
    pub enabled: bool,
    /// What this PSA wants to know for one: board, queue, type, priority. Only its adapter reads it.
    pub options: Map<String, Value>,
}

impl Default for PsaSettings {
    fn default() -> Self {
        Self {
            incremental_minutes: 15,
            full_hours: 24,
            customer_types: Vec::new(),
            callbacks: false,
            tickets: TicketSettings::default(),
        }
    }
}

impl PsaSettings {
    /// These settings with what was written changed in them. A null takes the default back.
    ///
    /// # Errors
    /// A fault for each field that is unknown or cannot be taken.
    pub(super) fn changed(&self, written: &Value) -> Result<Self, Vec<ConnectionFault>> {
        let mut reading = Reading::default();
        let mut settings = self.clone();
        let default = Self::default();
        for (name, value) in reading.object("/settings", written) {
            let place = format!("/settings/{name}");
            match name.as_str() {
                "incrementalMinutes" => {
                    let bounds = (5, 1440, default.incremental_minutes);
                    reading.number(&place, value, bounds, &mut settings.incremental_minutes);
                }
                "fullHours" => {
                    let bounds = (1, 168, default.full_hours);
                    reading.number(&place, value, bounds, &mut settings.full_hours);
                }
                "customerTypes" => reading.types(&place, value, &mut settings.customer_types),
                "callbacks" => reading.flag(&place, value, &mut settings.callbacks),
                "tickets" if value.is_null() => settings.tickets = TicketSettings::default(),
                "tickets" => reading.tickets(&place, value, &mut settings.tickets),
                _ => reading.unknown(&place),
            }
        }
        if reading.faults.is_empty() {
            Ok(settings)
        } else {
            Err(reading.faults)
        }
    }
}

/// Collects faults.
#[derive(Default)]
struct Reading {
    faults: Vec<ConnectionFault>,
}

impl Reading {
    fn fault(&mut self, place: &str, code: &'static str, detail: impl Into<String>) {
        self.faults.push(ConnectionFault::new(place, code, detail));
    }

    fn unknown(&mut self, place: &str) {
        self.fault(place, "unknownField", "There is no such setting.");
    }

    fn object<'v>(
        &mut self,
        place: &str,
        value: &'v Value,
    ) -> impl Iterator<Item = (&'v String, &'v Value)> + use<'v> {
        if value.as_object().is_none() {
            self.fault(place, "invalidType", "Expected an object.");
        }
        value.as_object().into_iter().flatten()
    }

    fn number(
        &mut self,
        place: &str,
        value: &Value,
        (least, most, default): (u32, u32, u32),
        into: &mut u32,
    ) {
        let read = match value {
            Value::Null => Some(default),
            Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
            Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        };
        match read.filter(|number| (least..=most).contains(number)) {
            Some(number) => *into = number,
            None => self.fault(
                place,
                "outOfRange",
                format!("Expected a whole number from {least} to {most}."),
            ),
        }
    }

    fn flag(&mut self, place: &str, value: &Value, into: &mut bool) {
        match value {
            Value::Null => *into = false,
            Value::Bool(flag) => *into = *flag,
            Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                self.fault(place, "invalidType", "Expected true or false.");
            }
        }
    }

    fn types(&mut self, place: &str, value: &Value, into: &mut Vec<String>) {
        if value.is_null() {
            into.clear();
            return;
        }
        let Some(entries) = value.as_array() else {
            return self.fault(place, "invalidType", "Expected a list of texts.");
        };
        if entries.len() > MOST_TYPES {
            return self.fault(place, "tooManyItems", "Expected at most 100 entries.");
        }
        let mut types: Vec<String> = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            let text = entry.as_str().map(str::trim).unwrap_or_default();
            let fits = !text.is_empty()
                && text.chars().count() <= LONGEST_TYPE
                && !text.chars().any(char::is_control);
            if !fits {
                let place = format!("{place}/{position}");
                self.fault(&place, "invalidValue", "Expected 1 to 200 characters.");
            } else if !types.iter().any(|known| known == text) {
                types.push(text.to_owned());
            }
        }
        *into = types;
    }

    fn tickets(&mut self, place: &str, value: &Value, into: &mut TicketSettings) {
        for (name, value) in self.object(place, value) {
            let place = format!("{place}/{name}");
            match (name.as_str(), value) {
                ("enabled", _) => self.flag(&place, value, &mut into.enabled),
                ("options", Value::Null) => into.options.clear(),
                ("options", Value::Object(options)) if value.to_string().len() <= MOST_OPTIONS => {
                    for (name, value) in options {
                        if value.is_null() {
                            into.options.remove(name);
                        } else {
                            into.options.insert(name.clone(), value.clone());
                        }
                    }
                }
                ("options", Value::Object(_)) => {
                    self.fault(&place, "tooLarge", "Expected at most 16 kB.");
                }
                ("options", _) => self.fault(&place, "invalidType", "Expected an object."),
                _ => self.unknown(&place),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_changed_where_something_was_written() {
        let written = json!({
            "incrementalMinutes": 5, "customerTypes": ["Client", " Client ", "7"],
            "tickets": {"options": {"boardId": "1"}},
        });
        let changed = PsaSettings::default().changed(&written).unwrap();
        assert_eq!((changed.incremental_minutes, changed.full_hours), (5, 24));
        assert_eq!(changed.customer_types, ["Client", "7"]);
        assert!(!changed.tickets.enabled);
        let again =
            changed.changed(&json!({"tickets": {"enabled": true}, "incrementalMinutes": null}));
        let again = again.unwrap();
        assert_eq!(again.tickets.options["boardId"], "1");
        assert_eq!(
            (again.tickets.enabled, again.incremental_minutes),
            (true, 15)
        );
        assert_eq!(
            again.changed(&json!({"tickets": null})).unwrap().tickets,
            TicketSettings::default()
        );
    }

    #[test]
    fn z7_every_fault_of_the_settings_is_named_at_once() {
        let written = json!({
            "incrementalMinutes": 4, "fullHours": 169, "customerTypes": ["", 7, "ok"], "callbacks": 1,
            "tickets": {"enabled": "yes", "options": [], "boardId": 1}, "region": "eu",
        });
        let faults = PsaSettings::default().changed(&written).unwrap_err();
        let mut places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                "/settings/callbacks",
                "/settings/customerTypes/0",
                "/settings/customerTypes/1",
                "/settings/fullHours",
                "/settings/incrementalMinutes",
                "/settings/region",
                "/settings/tickets/boardId",
                "/settings/tickets/enabled",
                "/settings/tickets/options",
            ]
        );
        for odd in [json!("x"), json!([]), json!(null)] {
            assert!(PsaSettings::default().changed(&odd).is_err());
        }
        let fraction = json!({"fullHours": 1.5, "incrementalMinutes": -15});
        assert_eq!(
            PsaSettings::default().changed(&fraction).unwrap_err().len(),
            2
        );
    }
}
