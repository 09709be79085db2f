//! Tickets and actions of HaloPSA: POST takes an array, and an id in it means an update (psa.md §C5).

use serde_json::{Value, json};

use super::{HaloPsa, errors, lists, rows};
use crate::fake_psa::{
    call::{Call, Reply},
    desk::Psa as _,
    world::{Note, Ticket, next},
};

/// Statuses: id and name. 9 is closed.
const STATUSES: [(i64, &str); 3] = [(1, "New"), (2, "In Progress"), (9, "Closed")];
/// The status of closed tickets.
pub const CLOSED: i64 = 9;
/// Ticket types: id, name.
const TYPES: [(i64, &str); 3] = [(21, "Incident"), (22, "Alert"), (23, "Project")];
/// Priorities of the types' SLA: number and name.
const PRIORITIES: [(i64, &str); 3] = [(1, "Critical"), (3, "Medium"), (4, "Low")];
/// Outcomes of actions: id, name.
const OUTCOMES: [(i64, &str); 2] = [(7, "Private Note"), (8, "Email User")];

impl HaloPsa {
    pub(super) fn list_tickets(&self, call: &Call) -> Reply {
        let wanted = match lists::Wanted::read(call) {
            Ok(wanted) => wanted,
            Err(refusal) => return refusal,
        };
        let world = self.world().lock().expect("world");
        let open_only = call.is_on("open_only");
        let found = world.tickets.values().filter(|ticket| {
            // Text search over summary and details alone.
            wanted.takes(
                ticket.company,
                true,
                ticket.updated,
                &[&ticket.summary, &ticket.description],
            ) && !(open_only && ticket.closed)
        });
        let by_name = |ticket: &Ticket| format!("{:020}", i64::MAX - ticket.id);
        lists::list(
            call,
            "tickets",
            found.collect(),
            by_name,
            &world,
            rows::ticket,
        )
    }

    pub(super) fn get_ticket(&self, call: &Call, id: &str) -> Reply {
        let world = self.world().lock().expect("world");
        let found = id.parse().ok().and_then(|id: i64| world.tickets.get(&id));
        let Some(ticket) = found else {
            return Reply::empty(404);
        };
        let mut row = rows::ticket(ticket, &world);
        if call.is_on("includedetails") {
            row["customfields"] = json!([]);
            row["attachments"] = json!([]);
        }
        Reply::json(200, &row)
    }

    pub(super) fn post_tickets(&self, call: &Call) -> Reply {
        let Some(Value::Array(given)) = call.json() else {
            return errors::body(
                "Cannot deserialize the current JSON object into type 'List`1[Faults]'.",
            );
        };
        let mut written = Vec::new();
        for one in &given {
            match self.post_ticket(one) {
                Ok(row) => written.push(row),
                Err(refusal) => return refusal,
            }
        }
        match written.len() {
            0 => errors::body("No tickets were given."),
            // One object for one ticket.
            1 => Reply::json(201, &written.remove(0)),
            _ => Reply::json(201, &Value::Array(written)),
        }
    }

    fn post_ticket(&self, given: &Value) -> Result<Value, Reply> {
        let whole = |name: &str| match &given[name] {
            Value::Null => Ok(None),
            value => value.as_i64().map(Some).ok_or_else(|| {
                // 95.0 and "95.0" are refused.
                errors::body(&format!(
                    "Input string '{value}' is not a valid integer. Path '[0].{name}'."
                ))
            }),
        };
        let (id, client, kind) = (whole("id")?, whole("client_id")?, whole("tickettype_id")?);
        let (status, priority) = (whole("status_id")?, whole("priority_id")?);
        let (user, site) = (whole("user_id")?, whole("site_id")?);
        if status.is_some_and(|status| !STATUSES.iter().any(|(known, _)| *known == status)) {
            return Err(errors::exception("Please select a valid Status"));
        }
        let mut world = self.world().lock().expect("world");
        let now = self.desk().now();
        if let Some(id) = id.filter(|id| *id > 0) {
            let Some(ticket) = world.tickets.get_mut(&id) else {
                return Err(errors::exception("The ticket could not be found"));
            };
            if let Some(status) = status {
                ticket.status = status;
                ticket.closed = status == CLOSED;
            }
            if let Some(summary) = given["summary"].as_str() {
                summary.clone_into(&mut ticket.summary);
            }
            ticket.updated = now;
            let ticket = ticket.clone();
            return Ok(rows::ticket(&ticket, &world));
        }
        let summary = given["summary"].as_str().unwrap_or_default();
        if summary.trim().is_empty() {
            return Err(errors::exception("Please enter a Summary"));
        }
        let Some(client) = client.filter(|client| world.companies.contains_key(client)) else {
            return Err(errors::exception("Please select a valid Customer"));
        };
        let Some(kind) = kind.filter(|kind| TYPES.iter().any(|(known, _)| known == kind)) else {
            return Err(errors::exception("Please select a valid Ticket Type"));
        };
        if user.is_some() && site.is_none() {
            return Err(errors::exception("A Site must be selected for this User"));
        }
        let priority = priority.unwrap_or(3);
        if !PRIORITIES.iter().any(|(known, _)| *known == priority) {
            return Err(errors::exception(
                "The Priority does not exist in the SLA of this Ticket Type",
            ));
        }
        let details = given["details_html"].as_str().or(given["details"].as_str());
        let status = status.unwrap_or(1);
        let ticket = Ticket {
            id: next(&world.tickets).max(20_417),
            company: client,
            summary: summary.to_owned(),
            description: plain(details.unwrap_or_default()),
            external: given["third_party_id_string"].as_str().map(str::to_owned),
            board: kind,
            status,
            priority,
            closed: status == CLOSED,
            created: now,
            updated: now,
            notes: Vec::new(),
        };
        let row = rows::ticket(&ticket, &world);
        world.tickets.insert(ticket.id, ticket);
        Ok(row)
    }

    pub(super) fn post_actions(&self, call: &Call) -> Reply {
        let given = match call.json() {
            Some(Value::Array(given)) if !given.is_empty() => given,
            _ => {
                return errors::body(
                    "Cannot deserialize the current JSON object into type 'List`1[Actions]'.",
                );
            }
        };
        let mut last = Value::Null;
        for one in &given {
            let outcome = one["outcome_id"].as_i64();
            let Some(outcome) = OUTCOMES.iter().find(|(id, _)| Some(*id) == outcome) else {
                return errors::exception("An Outcome must be entered for this Action");
            };
            let mut world = self.world().lock().expect("world");
            let found = one["ticket_id"]
                .as_i64()
                .and_then(|id| world.tickets.get_mut(&id));
            let Some(ticket) = found else {
                return errors::exception("The ticket could not be found");
            };
            let html = one["note_html"]
                .as_str()
                .or(one["note"].as_str())
                .unwrap_or_default();
            let note = Note {
                id: 3 + ticket.notes.len() as i64,
                text: plain(html),
                internal: one["hiddenfromuser"] == json!(true),
            };
            ticket.updated = self.desk().now();
            last = json!({
                "id": note.id, "ticket_id": ticket.id, "outcome": outcome.1, "outcome_id": outcome.0,
                "who": "Tenantry API", "datetime": rows::moment(ticket.updated), "note": note.text,
                "note_html": html, "hiddenfromuser": note.internal,
            });
            if let Some(status) = one["new_status"].as_i64() {
                ticket.status = status;
                ticket.closed = status == CLOSED;
            }
            ticket.notes.push(note);
        }
        Reply::json(201, &last)
    }
}

/// The text of simple HTML.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for character in html.replace("<br", "\n<br").replace("</p>", "\n").chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(character),
            _ => {}
        }
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    for (entity, character) in entities {
        text = text.replace(entity, character);
    }
    text.trim().to_owned()
}

/// The bare arrays of what may be chosen, by the name of their route.
pub fn table(name: &str) -> Option<Value> {
    let rows = |rows: &[(i64, &str)], more: &Value| {
        let rows = rows.iter().enumerate().map(|(n, (id, name))| {
            let mut row = json!({"id": id, "name": name, "sequence": n + 1});
            for (key, value) in more.as_object().into_iter().flatten() {
                row[key] = value.clone();
            }
            row
        });
        Value::Array(rows.collect())
    };
    Some(match name {
        "status" => rows(&STATUSES, &json!({"type": 0, "colour": "#0d98ba"})),
        "tickettype" => rows(&TYPES, &json!({"use": "tickettype", "active": true})),
        "outcome" => rows(
            &OUTCOMES,
            &json!({"outcome": "", "buttonname": "", "hidden": false}),
        ),
        // Their ids are UUIDs; tickets hold the number.
        "priority" => {
            let rows = PRIORITIES.iter().map(|(number, name)| {
                json!({"id": crate::fake_microsoft::seed::random_of(name).uuid(), "slaid": 1,
                    "priorityid": number, "name": name, "ishidden": false})
            });
            Value::Array(rows.collect())
        }
        "sla" => rows(&[(1, "Standard")], &json!({})),
        "team" => rows(&[(1, "Service Desk")], &json!({})),
        _ => return None,
    })
}
