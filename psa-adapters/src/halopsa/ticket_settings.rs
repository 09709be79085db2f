//! What tickets in HaloPSA need to be told: types, priorities, statuses and outcomes are numbered by each
//! instance (psa.md §C5).

use serde_json::Value;

use crate::{
    contract::Label,
    error::PsaError,
    ticket::{Choice, TicketOption, TicketOptions},
    wire,
};

use super::{
    errors::Right,
    http::{Http, entries, unexpected},
    page::integer,
};

/// The status that most instances close with, if it is still called so.
const USUAL_CLOSED: i64 = 9;
/// The outcome of the built-in internal note.
const USUAL_NOTE: i64 = 7;

/// The settings of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TicketSettings {
    pub(super) ticket_type: i64,
    pub(super) priority: Option<i64>,
    closed_status: Option<i64>,
    pub(super) note_outcome: i64,
}

impl TicketSettings {
    /// Reads what was entered. Ids may be numbers or text.
    pub(super) fn read(entered: &Value) -> Result<Self, PsaError> {
        let config = |what: String| PsaError::Config { what };
        let Some(object) = entered.as_object() else {
            return Err(config(
                "the settings for tickets must be an object".to_owned(),
            ));
        };
        let (mut ticket_type, mut priority, mut closed_status, mut note_outcome) =
            (None, None, None, None);
        for (name, value) in object {
            let setting = match name.as_str() {
                "ticketTypeId" => &mut ticket_type,
                "priorityId" => &mut priority,
                "closedStatusId" => &mut closed_status,
                "noteOutcomeId" => &mut note_outcome,
                other => {
                    return Err(config(format!(
                        "{} is no setting for tickets in HaloPSA",
                        wire::said(other)
                    )));
                }
            };
            if value.is_null() {
                continue;
            }
            let id = wire::id_of(value).as_ref().and_then(integer);
            *setting = Some(id.ok_or_else(|| config(format!("{name} must be an integer id")))?);
        }
        Ok(Self {
            ticket_type: ticket_type.ok_or_else(|| {
                config("ticketTypeId is missing: choose a ticket type".to_owned())
            })?,
            priority,
            closed_status,
            note_outcome: note_outcome.unwrap_or(USUAL_NOTE),
        })
    }

    /// The status that closes: the one chosen, or the usual one where the instance still has it.
    pub(super) async fn closed_status(&self, http: &Http) -> Result<i64, PsaError> {
        if let Some(status) = self.closed_status {
            return Ok(status);
        }
        let statuses = statuses(http).await?;
        statuses
            .iter()
            .find(|status| is_usual_closed(status))
            .map(|_| USUAL_CLOSED)
            .ok_or_else(|| PsaError::Config {
                what: "closedStatusId is missing: choose the status that closes a ticket"
                    .to_owned(),
            })
    }

    /// What of the settings the instance does not have, in words; empty: nothing.
    pub(super) async fn faults(&self, http: &Http) -> Result<Vec<String>, PsaError> {
        let mut faults = Vec::new();
        let has =
            |labels: &[Label], id: i64| labels.iter().any(|label| integer(&label.id) == Some(id));
        if !has(&ticket_types(http).await?, self.ticket_type) {
            faults.push(format!(
                "ticketTypeId: there is no ticket type {}",
                self.ticket_type
            ));
        }
        if let Some(priority) = self.priority
            && !has(&priorities(http).await?, priority)
        {
            faults.push(format!("priorityId: there is no priority {priority}"));
        }
        let closed = match self.closed_status(http).await {
            Ok(closed) => Some(closed),
            Err(PsaError::Config { what }) => {
                faults.push(what);
                None
            }
            Err(error) => return Err(error),
        };
        if let Some(closed) = closed
            && !has(&statuses(http).await?, closed)
        {
            faults.push(format!("closedStatusId: there is no status {closed}"));
        }
        // Outcomes may be hidden from the agent though it may use them.
        match outcomes(http).await {
            Ok(outcomes) if !outcomes.is_empty() && !has(&outcomes, self.note_outcome) => {
                faults.push(format!(
                    "noteOutcomeId: there is no outcome {}",
                    self.note_outcome
                ));
            }
            Ok(_) | Err(PsaError::Permission { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(faults)
    }
}

/// All settings with what may be chosen.
pub(super) async fn options(http: &Http) -> Result<TicketOptions, PsaError> {
    let types = ticket_types(http).await?;
    let priorities = if_allowed(priorities(http).await)?;
    let statuses = if_allowed(statuses(http).await)?;
    let outcomes = if_allowed(outcomes(http).await)?;
    let has_closed = statuses.iter().any(is_usual_closed);
    Ok(TicketOptions {
        options: vec![
            TicketOption {
                name: "ticketTypeId",
                description: "The ticket type of tickets that are made.",
                required: true,
                choices: choices(types, |_| false),
            },
            TicketOption {
                name: "priorityId",
                description: "Their priority; it must exist in the ticket type's SLA. \
                              Without it the ticket type decides.",
                required: false,
                choices: choices(priorities, |_| false),
            },
            TicketOption {
                name: "closedStatusId",
                description: "The status that closes a ticket.",
                required: !has_closed,
                choices: choices(statuses, is_usual_closed),
            },
            TicketOption {
                name: "noteOutcomeId",
                description: "The outcome of internal notes; the agent must be allowed to use it.",
                required: false,
                choices: choices(outcomes, |label| integer(&label.id) == Some(USUAL_NOTE)),
            },
        ],
    })
}

fn if_allowed(labels: Result<Vec<Label>, PsaError>) -> Result<Vec<Label>, PsaError> {
    match labels {
        Err(PsaError::Permission { .. }) => Ok(Vec::new()),
        Ok(labels) => Ok(labels),
        Err(error) => Err(error),
    }
}

fn choices(labels: Vec<Label>, is_default: impl Fn(&Label) -> bool) -> Vec<Choice> {
    labels
        .into_iter()
        .map(|label| Choice {
            default: is_default(&label),
            belongs_to: None,
            label,
        })
        .collect()
}

fn is_usual_closed(status: &Label) -> bool {
    integer(&status.id) == Some(USUAL_CLOSED) && status.name.eq_ignore_ascii_case("closed")
}

async fn ticket_types(http: &Http) -> Result<Vec<Label>, PsaError> {
    labels(http, "TicketType", "tickettypes", "id", &["name"]).await
}

/// A priority's own id is a UUID; tickets take its number, which each SLA has again.
async fn priorities(http: &Http) -> Result<Vec<Label>, PsaError> {
    labels(http, "Priority", "priorities", "priorityid", &["name"]).await
}

async fn statuses(http: &Http) -> Result<Vec<Label>, PsaError> {
    labels(http, "Status", "statuses", "id", &["name"]).await
}

async fn outcomes(http: &Http) -> Result<Vec<Label>, PsaError> {
    labels(
        http,
        "Outcome",
        "outcomes",
        "id",
        &["outcome", "buttonname", "name"],
    )
    .await
}

async fn labels(
    http: &Http,
    endpoint: &'static str,
    key: &str,
    id: &str,
    names: &[&str],
) -> Result<Vec<Label>, PsaError> {
    let answer = http.get(Right::Tickets, endpoint, None, &[]).await?;
    let rows = entries(answer, key).ok_or_else(|| unexpected(&format!("no list of {key}")))?;
    let mut labels: Vec<Label> = Vec::new();
    for row in &rows {
        let Some(id) = row.get(id).and_then(wire::id_of) else {
            continue;
        };
        if labels.iter().all(|label| label.id != id) {
            let name = names
                .iter()
                .find_map(|name| row.get(*name).and_then(wire::text_of))
                .unwrap_or_else(|| id.0.clone());
            labels.push(Label { id, name });
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_strictly() {
        assert_eq!(
            TicketSettings::read(&json!({"ticketTypeId": 21})).unwrap(),
            TicketSettings {
                ticket_type: 21,
                priority: None,
                closed_status: None,
                note_outcome: 7
            }
        );
        let all = json!({"ticketTypeId": "21", "priorityId": 3.0, "closedStatusId": 12, "noteOutcomeId": null});
        assert_eq!(
            TicketSettings::read(&all).unwrap(),
            TicketSettings {
                ticket_type: 21,
                priority: Some(3),
                closed_status: Some(12),
                note_outcome: 7
            }
        );
        for (wrong, names) in [
            (json!({}), "ticketTypeId"),
            (json!(null), "object"),
            (json!({"ticketTypeId": 21, "siteId": 18}), "siteId"),
            (json!({"ticketTypeId": "x"}), "ticketTypeId"),
            (json!({"ticketTypeId": 21, "priorityId": 1.5}), "priorityId"),
        ] {
            let error = TicketSettings::read(&wrong).unwrap_err();
            assert!(
                matches!(&error, PsaError::Config { what } if what.contains(names)),
                "{wrong}: {error}"
            );
        }
    }
}
