//! Tickets of Autotask: created, noted, closed (psa.md §B5).

use serde_json::{Value, json};

use super::{Autotask, errors, fields, rows::Entity as _};
use crate::fake_psa::{
    call::{Call, Reply},
    cell::moment,
    desk::Psa as _,
    world::{Note, Ticket, next},
};

impl Autotask {
    pub(super) fn create_ticket(&self, call: &Call) -> Reply {
        if !self.may("ticketsWrite") {
            return errors::forbidden("add");
        }
        let Some(Value::Object(body)) = call.json() else {
            return errors::invalid("The request body is not valid.");
        };
        let known = |name: &str| Ticket::FIELDS.iter().any(|field| field.name == name);
        if let Some(name) = body.keys().find(|name| !known(name)) {
            return errors::unknown_field(name, Ticket::NAME);
        }
        let body = Value::Object(body);
        match self.read_ticket(&body) {
            Err(refusal) => refusal,
            Ok(ticket) => {
                let id = ticket.id;
                self.world()
                    .lock()
                    .expect("world")
                    .tickets
                    .insert(id, ticket);
                Reply::json(200, &json!({ "itemId": id }))
            }
        }
    }

    fn read_ticket(&self, body: &Value) -> Result<Ticket, Reply> {
        let number = |name: &str| match &body[name] {
            Value::Number(number) => number.as_i64().ok_or_else(|| required(name)),
            Value::Null => Err(required(name)),
            _ => Err(errors::invalid(&format!(
                "{name} expects type number but got string."
            ))),
        };
        let text = |name: &str, most: usize| match body[name].as_str() {
            Some(text) if text.chars().count() > most => Err(errors::invalid(&format!(
                "The field {name} must be at most {most} characters."
            ))),
            other => Ok(other.map(str::to_owned)),
        };
        let (company, status, priority) =
            (number("companyID")?, number("status")?, number("priority")?);
        let title = text("title", 255)?.filter(|title| !title.trim().is_empty());
        let title = title.ok_or_else(|| required("title"))?;
        let is_assigned =
            body["assignedResourceID"].is_number() && body["assignedResourceRoleID"].is_number();
        let queue = if is_assigned {
            body["queueID"].as_i64().unwrap_or(0)
        } else {
            number("queueID")?
        };
        let is_due = body["dueDateTime"].as_str().and_then(moment).is_some();
        if !is_due {
            return Err(required("dueDateTime"));
        }
        let chosen = [
            ("status", status, fields::STATUSES),
            ("priority", priority, fields::PRIORITIES),
            ("queueID", queue, fields::QUEUES),
        ];
        for (name, value, choices) in chosen {
            if !(fields::offers(choices, value) || (name == "queueID" && is_assigned)) {
                return Err(errors::invalid(&format!(
                    "The value {value} is not in the picklist of {name}."
                )));
            }
        }
        let world = self.world().lock().expect("world");
        if !world.companies.contains_key(&company) {
            return Err(errors::invalid(&format!(
                "Value does not exist or is not valid for the field companyID: {company}."
            )));
        }
        let now = self.desk().now();
        Ok(Ticket {
            id: next(&world.tickets).max(118_204),
            company,
            summary: title,
            description: text("description", 8000)?.unwrap_or_default(),
            external: text("externalID", 100)?,
            board: queue,
            status,
            priority,
            closed: status == 5,
            created: now,
            updated: now,
            notes: Vec::new(),
        })
    }

    /// `PATCH /Tickets`: the id is in the body. What is null is emptied.
    pub(super) fn patch_ticket(&self, call: &Call) -> Reply {
        if !self.may("ticketsWrite") {
            return errors::forbidden("edit");
        }
        if call.method == "PUT" {
            self.desk()
                .record_violation("PUT of a ticket: it empties what it does not send");
        }
        let body = call.json().unwrap_or_default();
        let mut world = self.world().lock().expect("world");
        let found = body["id"]
            .as_i64()
            .and_then(|id| world.tickets.get_mut(&id));
        let Some(ticket) = found else {
            return errors::no_record();
        };
        match &body["status"] {
            Value::Null => {}
            value => match value
                .as_i64()
                .filter(|value| fields::offers(fields::STATUSES, *value))
            {
                Some(status) => {
                    ticket.status = status;
                    ticket.closed = status == 5;
                }
                None => return errors::invalid("The value is not in the picklist of status."),
            },
        }
        if let Some(title) = body["title"].as_str() {
            title.clone_into(&mut ticket.summary);
        }
        ticket.updated = self.desk().now();
        Reply::json(200, &json!({"itemId": ticket.id}))
    }

    pub(super) fn create_note(&self, call: &Call, id: &str) -> Reply {
        if !self.may("ticketsWrite") {
            return errors::forbidden("add");
        }
        let body = call.json().unwrap_or_default();
        for name in ["title", "description"] {
            if body[name]
                .as_str()
                .is_none_or(|text| text.trim().is_empty())
            {
                return required(name);
            }
        }
        for (name, choices) in [
            ("noteType", fields::NOTE_TYPES),
            ("publish", fields::PUBLISH),
        ] {
            match body[name].as_i64() {
                None => return required(name),
                Some(value) if !fields::offers(choices, value) => {
                    return errors::invalid(&format!(
                        "The value is not in the picklist of {name}."
                    ));
                }
                Some(_) => {}
            }
        }
        let mut world = self.world().lock().expect("world");
        let found = id
            .parse()
            .ok()
            .and_then(|id: i64| world.tickets.get_mut(&id));
        let Some(ticket) = found else {
            return errors::no_record();
        };
        let note = Note {
            id: 55_120 + ticket.notes.len() as i64,
            text: body["description"].as_str().unwrap_or_default().to_owned(),
            internal: body["publish"] == json!(2),
        };
        let reply = Reply::json(200, &json!({"itemId": note.id}));
        ticket.notes.push(note);
        ticket.updated = self.desk().now();
        reply
    }
}

fn required(name: &str) -> Reply {
    errors::invalid(&format!("Missing Required Field: {name}."))
}
