//! Tickets (psa.md §A5). ConnectWise has no key against doubles, so our key stands in `externalXRef` and is
//! looked for before a ticket is made.

use serde_json::{Map, Value, json};

use super::{
    ConnectWise,
    client::{Call, number},
    paging::known_number,
    records::{TicketRecord, records},
    refusal::Right,
    ticket_settings::TicketSettings,
};
use crate::{
    contract::ExternalId,
    error::PsaError,
    ticket::{MOST_KEY, NewTicket, Ticket, TicketRef},
};

/// The longest summary, in characters.
const MOST_SUMMARY: usize = 100;

impl ConnectWise {
    /// The open ticket with our key: what we remember, what is found, or a new one.
    pub(super) async fn open_ticket(
        &self,
        settings: &Value,
        ticket: &NewTicket,
        known: Option<&TicketRef>,
    ) -> Result<Ticket, PsaError> {
        let settings = TicketSettings::parse(settings)?;
        let company = known_number(&ticket.customer)?;
        check_key(&ticket.key)?;
        if let Some(known) = known
            && let Some(record) = self.ticket(known).await?
            && record.is_open()
        {
            return Ok(found(known.id.clone(), false));
        }
        if let Some(id) = self.find_ticket(&ticket.key, company).await? {
            return Ok(found(id, false));
        }
        let body = new_ticket(&settings, ticket, company);
        let call = Call::post(Right::AddTickets, "service/tickets", body);
        let reply = self.client.call(&call).await?;
        // Made, but with which id? The next try finds it by its key.
        let made: TicketRecord = self
            .client
            .read(&reply, Right::AddTickets)
            .or(Err(PsaError::Ambiguous))?;
        let id = made.id.ok_or(PsaError::Ambiguous)?;
        Ok(found(id, true))
    }

    async fn ticket(&self, reference: &TicketRef) -> Result<Option<TicketRecord>, PsaError> {
        let Some(number) = number(&reference.id) else {
            return Ok(None);
        };
        let call = Call::get(Right::ReadTickets, &format!("service/tickets/{number}"));
        match self.client.fetch(&call).await {
            Ok(record) => Ok(Some(record)),
            Err(PsaError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn find_ticket(&self, key: &str, company: i64) -> Result<Option<ExternalId>, PsaError> {
        let conditions =
            format!("externalXRef=\"{key}\" and company/id={company} and closedFlag=false");
        let call = Call::get(Right::ReadTickets, "service/tickets")
            .with("conditions", conditions)
            .with("orderBy", "id")
            .with("pageSize", "2");
        let rows: Vec<TicketRecord> = records(self.client.fetch(&call).await?);
        let has_key = |record: &TicketRecord| {
            let theirs = record.external_x_ref.as_deref();
            record.is_open() && theirs.is_some_and(|theirs| theirs.eq_ignore_ascii_case(key))
        };
        let ours = rows.into_iter().filter(has_key);
        Ok(ours.filter_map(|record| record.id).next())
    }

    /// Adds a note that only the MSP's people see.
    pub(super) async fn note(&self, reference: &TicketRef, text: &str) -> Result<(), PsaError> {
        let number = known_number(&reference.id)?;
        let body = json!({
            "text": lines(text),
            "detailDescriptionFlag": false,
            "internalAnalysisFlag": true,
            "resolutionFlag": false,
            "processNotifications": false,
        });
        let path = format!("service/tickets/{number}/notes");
        let call = Call::post(Right::EditTickets, &path, body);
        self.client.call(&call).await.map(drop)
    }

    /// Closes a ticket, by a status of the board that it is on now.
    pub(super) async fn close(
        &self,
        settings: &Value,
        reference: &TicketRef,
    ) -> Result<(), PsaError> {
        let settings = TicketSettings::parse(settings)?;
        let Some(record) = self.ticket(reference).await? else {
            return Ok(());
        };
        if !record.is_open() {
            return Ok(());
        }
        let status = self.closing_status(&settings, &record).await?;
        let number = known_number(&reference.id)?;
        // The whole reference: a path into it may be answered with 200 and do nothing.
        let body = json!([{"op": "replace", "path": "status", "value": {"id": status}}]);
        let path = format!("service/tickets/{number}");
        let call = Call::patch(Right::CloseTickets, &path, body);
        let reply = match self.client.call(&call).await {
            Ok(reply) => reply,
            Err(PsaError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        };
        let after: TicketRecord = self
            .client
            .read(&reply, Right::CloseTickets)
            .or(Err(PsaError::Ambiguous))?;
        if after.closed_flag == Some(false) && after.status_number() != Some(status) {
            return Err(PsaError::Validation {
                fields: vec!["status".to_owned()],
                text: "ConnectWise PSA did not take the closing status; a workflow may hold the ticket open".to_owned(),
            });
        }
        Ok(())
    }

    /// Statuses belong to boards: the chosen one counts on the chosen board only (psa.md §A5).
    async fn closing_status(
        &self,
        settings: &TicketSettings,
        record: &TicketRecord,
    ) -> Result<i64, PsaError> {
        let board = record.board_number().unwrap_or(settings.board);
        if let Some(chosen) = settings.closed_status
            && board == settings.board
        {
            return Ok(chosen);
        }
        let statuses = self.board_statuses(board).await?;
        let closing = statuses.iter().filter(|status| status.closes());
        let mut ids = closing.filter_map(|status| status.id.as_ref().and_then(number));
        ids.next().ok_or_else(|| PsaError::Config {
            what: format!(
                "no status of service board {board} closes a ticket; choose closedStatusId, or give the board a closed status"
            ),
        })
    }
}

impl TicketRecord {
    fn is_open(&self) -> bool {
        self.closed_flag != Some(true)
    }

    fn board_number(&self) -> Option<i64> {
        self.board.as_ref()?.id.as_ref().and_then(number)
    }

    fn status_number(&self) -> Option<i64> {
        self.status.as_ref()?.id.as_ref().and_then(number)
    }
}

/// A ticket's number is its id.
fn found(id: ExternalId, created: bool) -> Ticket {
    Ticket {
        reference: TicketRef { id },
        number: None,
        created,
    }
}

/// The key stands in a condition, where a quote cannot be escaped.
fn check_key(key: &str) -> Result<(), PsaError> {
    let is_fit = !key.is_empty()
        && key.len() <= MOST_KEY
        && key
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\'));
    is_fit.then_some(()).ok_or_else(|| PsaError::Validation {
        fields: vec!["key".to_owned()],
        text: "the ticket's key cannot be searched for".to_owned(),
    })
}

fn new_ticket(settings: &TicketSettings, ticket: &NewTicket, company: i64) -> Value {
    let summary = ticket
        .summary
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    let summary: String = summary.take(MOST_SUMMARY).collect();
    let mut body = Map::new();
    body.insert("summary".to_owned(), json!(summary));
    body.insert("company".to_owned(), json!({"id": company}));
    body.insert("board".to_owned(), json!({"id": settings.board}));
    body.insert("externalXRef".to_owned(), json!(ticket.key));
    let description = lines(&ticket.description);
    body.insert("initialDescription".to_owned(), json!(description));
    for (name, id) in [
        ("status", settings.status),
        ("priority", settings.priority),
        ("type", settings.kind),
    ] {
        if let Some(id) = id {
            body.insert(name.to_owned(), json!({"id": id}));
        }
    }
    Value::Object(body)
}

/// Lines as ConnectWise keeps them; a bare `\n` may collapse.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

#[cfg(test)]
mod tests;
