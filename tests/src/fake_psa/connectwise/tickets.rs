//! Tickets of ConnectWise: created, noted, closed (psa.md §A5).

use serde_json::{Value, json};

use super::{
    ConnectWise, catalog,
    errors::{self, Flaw},
    listing,
    rows::{Entity as _, moment},
};
use crate::fake_psa::{
    call::{Call, Reply},
    desk::Psa as _,
    world::{Note, Ticket, next},
};

/// The longest summary and external reference.
const MOST: usize = 100;

impl ConnectWise {
    pub(super) fn tickets(&self, call: &Call, path: &[&str]) -> Reply {
        if !self.may("tickets") {
            return errors::forbidden();
        }
        match (call.method.as_str(), path) {
            ("GET", []) | ("POST", ["search"]) => {
                self.with_writer(|writer| listing::list::<Ticket>(call, writer))
            }
            ("GET", ["count"]) => self.with_writer(|writer| listing::count::<Ticket>(call, writer)),
            ("POST", []) => self.create_ticket(call),
            ("GET", [id]) => {
                self.with_ticket(id, |ticket, writer| Reply::json(200, &ticket.write(writer)))
            }
            ("PATCH", [id]) => self.patch_ticket(call, id),
            ("PUT", [_]) => {
                self.desk
                    .record_violation("PUT of a ticket: it empties what it does not send");
                errors::wrong_method()
            }
            ("GET", [id, "notes"]) => self.with_ticket(id, |ticket, writer| {
                let notes = ticket
                    .notes
                    .iter()
                    .map(|note| write_note(ticket, note))
                    .collect();
                listing::list_rows(call, &format!("service/tickets/{id}/notes"), writer, notes)
            }),
            ("POST", [id, "notes"]) => self.create_note(call, id),
            (_, [] | [_] | [_, "notes"]) => errors::wrong_method(),
            _ => errors::no_route(),
        }
    }

    fn with_ticket(
        &self,
        id: &str,
        answer: impl FnOnce(&Ticket, &super::rows::Writer<'_>) -> Reply,
    ) -> Reply {
        self.with_writer(|writer| {
            let found = id
                .parse()
                .ok()
                .and_then(|id: i64| writer.world.tickets.get(&id));
            match found {
                Some(ticket) => answer(ticket, writer),
                None => errors::no_record("Ticket", id),
            }
        })
    }

    fn create_ticket(&self, call: &Call) -> Reply {
        let Some(body) = call.json().filter(Value::is_object) else {
            return errors::invalid_object("ticket", &[Flaw::required("summary")]);
        };
        let ticket = match self.read_ticket(&body) {
            Ok(ticket) => ticket,
            Err(flaws) => return errors::invalid_object("ticket", &flaws),
        };
        let id = ticket.id;
        self.world.lock().expect("world").tickets.insert(id, ticket);
        self.with_ticket(&id.to_string(), |ticket, writer| {
            Reply::json(201, &ticket.write(writer))
        })
    }

    fn read_ticket(&self, body: &Value) -> Result<Ticket, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let world = self.world.lock().expect("world");
        let summary = body["summary"].as_str().unwrap_or_default();
        if summary.trim().is_empty() {
            flaws.push(Flaw::required("summary"));
        } else if summary.chars().count() > MOST {
            flaws.push(Flaw::too_long("summary", MOST));
        }
        let external = body["externalXRef"].as_str();
        if external.is_some_and(|text| text.chars().count() > MOST) {
            flaws.push(Flaw::too_long("externalXRef", MOST));
        }
        let company = match (
            &body["company"]["id"],
            body["company"]["identifier"].as_str(),
        ) {
            (Value::Number(id), _) => id.as_i64().filter(|id| world.companies.contains_key(id)),
            (_, Some(identifier)) => {
                let mut all = world.companies.values();
                let found = all.find(|company| company.code.as_deref() == Some(identifier));
                found.map(|company| company.id)
            }
            _ => {
                flaws.push(Flaw::required("company"));
                Some(0)
            }
        };
        if company.is_none() {
            let message = format!("Company {} not found", body["company"]["id"]);
            flaws.push(Flaw::not_found("company", message));
        }
        let board = body["board"]["id"].as_i64().unwrap_or(21);
        let statuses = catalog::statuses_of(board).unwrap_or_else(|| {
            flaws.push(Flaw::not_found(
                "board",
                format!("Service Board {board} not found"),
            ));
            &[]
        });
        let first = statuses.iter().find(|(_, _, _, default, _)| *default);
        let status = body["status"]["id"].as_i64().or(first.map(|(id, ..)| *id));
        let status = status.unwrap_or_default();
        if !statuses.is_empty() && !statuses.iter().any(|(id, ..)| *id == status) {
            flaws.push(foreign_status(status, board));
        }
        let priority = body["priority"]["id"].as_i64().unwrap_or(4);
        if catalog::priority_name(priority).is_empty() {
            flaws.push(Flaw::not_found(
                "priority",
                format!("Priority {priority} not found"),
            ));
        }
        if !flaws.is_empty() {
            return Err(flaws);
        }
        let now = self.desk.now();
        Ok(Ticket {
            id: next(&world.tickets).max(48_213),
            company: company.unwrap_or_default(),
            summary: summary.to_owned(),
            description: body["initialDescription"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            external: external.map(str::to_owned),
            board,
            status,
            priority,
            closed: catalog::status(status).is_some_and(|(_, _, closed, ..)| *closed),
            created: now,
            updated: now,
            notes: Vec::new(),
        })
    }

    fn patch_ticket(&self, call: &Call, id: &str) -> Reply {
        if !call.says_json() {
            return errors::plain(415, "ConnectWiseApi", "The content type is not supported.");
        }
        let Some(Value::Array(operations)) = call.json() else {
            let message = "The body must be an array of patch operations.";
            return errors::plain(400, "InvalidObject", message);
        };
        for operation in &operations {
            if let Err(refusal) = self.patch_one(id, operation) {
                return refusal;
            }
        }
        self.with_ticket(id, |ticket, writer| Reply::json(200, &ticket.write(writer)))
    }

    fn patch_one(&self, id: &str, operation: &Value) -> Result<(), Reply> {
        let kind = operation["op"].as_str().unwrap_or_default();
        if !["add", "replace", "remove"].contains(&kind) {
            return Err(errors::plain(
                400,
                "InvalidObject",
                "op must be add, replace or remove.",
            ));
        }
        let may_close = self.may("closeTickets");
        let mut world = self.world.lock().expect("world");
        let found = id
            .parse()
            .ok()
            .and_then(|id: i64| world.tickets.get_mut(&id));
        let Some(ticket) = found else {
            return Err(errors::no_record("Ticket", id));
        };
        let path = operation["path"].as_str().unwrap_or_default();
        let value = &operation["value"];
        match path.trim_start_matches('/') {
            "status" => {
                let status = value["id"].as_i64().unwrap_or_default();
                let statuses = catalog::statuses_of(ticket.board).unwrap_or_default();
                let Some((_, _, closed, ..)) = statuses.iter().find(|(id, ..)| *id == status)
                else {
                    let flaw = foreign_status(status, ticket.board);
                    return Err(errors::invalid_object("ticket", &[flaw]));
                };
                if *closed && !may_close {
                    return Err(errors::forbidden());
                }
                ticket.status = status;
                ticket.closed = *closed;
            }
            "summary" => match value.as_str() {
                Some(text) if text.chars().count() <= MOST => ticket.summary = text.to_owned(),
                _ => {
                    let flaw = Flaw::too_long("summary", MOST);
                    return Err(errors::invalid_object("ticket", &[flaw]));
                }
            },
            "externalXRef" => ticket.external = value.as_str().map(str::to_owned),
            // A path below a reference is taken and does nothing.
            below if below.contains('/') => {}
            other => {
                let flaw = Flaw::invalid("path", format!("The path '{other}' is not valid."));
                return Err(errors::invalid_object("ticket", &[flaw]));
            }
        }
        ticket.updated = self.desk.now();
        Ok(())
    }

    fn create_note(&self, call: &Call, id: &str) -> Reply {
        let body = call.json().unwrap_or_default();
        let text = body["text"].as_str().unwrap_or_default();
        if text.is_empty() {
            return errors::invalid_object("ticketNote", &[Flaw::required("text")]);
        }
        let flags = [
            "detailDescriptionFlag",
            "internalAnalysisFlag",
            "resolutionFlag",
        ];
        let set = flags
            .iter()
            .filter(|flag| body[**flag] == json!(true))
            .count();
        if set != 1 {
            let message = "Exactly one of the three note flags must be set.".to_owned();
            let flaw = Flaw::invalid("detailDescriptionFlag", message);
            return errors::invalid_object("ticketNote", &[flaw]);
        }
        let mut world = self.world.lock().expect("world");
        let found = id
            .parse()
            .ok()
            .and_then(|id: i64| world.tickets.get_mut(&id));
        let Some(ticket) = found else {
            return errors::no_record("Ticket", id);
        };
        let note = Note {
            id: 90_112 + ticket.notes.len() as i64,
            text: text.to_owned(),
            internal: body["internalAnalysisFlag"] == json!(true),
        };
        let written = write_note(ticket, &note);
        ticket.notes.push(note);
        ticket.updated = self.desk.now();
        Reply::json(201, &written)
    }
}

fn foreign_status(status: i64, board: i64) -> Flaw {
    let message = format!("Service Status {status} not found for Service Board {board}");
    Flaw::not_found("status", message)
}

fn write_note(ticket: &Ticket, note: &Note) -> Value {
    json!({
        "id": note.id, "ticketId": ticket.id, "text": note.text,
        "detailDescriptionFlag": !note.internal, "internalAnalysisFlag": note.internal,
        "resolutionFlag": false, "issueFlag": false,
        "member": {"id": 243, "identifier": "Tenantry", "name": "Tenantry API", "_info": {}},
        "internalFlag": note.internal, "externalFlag": !note.internal,
        "_info": {"lastUpdated": moment(ticket.updated), "updatedBy": "Tenantry"},
    })
}
