//! Tickets: found by our key in `externalID`, made where none is open (psa.md §B5).

use chrono::TimeDelta;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    autotask::{
        Autotask,
        companies::{number, numeric},
        errors::{addition, protocol},
        fields::Fields,
        http::Call,
        query::{List, condition, every},
        ticket_settings::TicketSettings,
        wire::{Item, TicketRecord},
    },
    contract::ExternalId,
    error::PsaError,
    ticket::{NewTicket, Ticket, TicketRef},
};

const ENTITY: &str = "Tickets";

/// What Autotask takes.
const MOST_TITLE: usize = 255;
const MOST_DESCRIPTION: usize = 8_000;
const MOST_NOTE: usize = 32_000;

impl Autotask {
    /// The open ticket with our key.
    pub(super) async fn open_ticket(
        &self,
        settings: &Value,
        ticket: &NewTicket,
        known: Option<&TicketRef>,
    ) -> Result<Ticket, PsaError> {
        let settings = TicketSettings::read(settings)?;
        let company = numeric(&ticket.customer).ok_or_else(|| PsaError::Validation {
            fields: vec!["companyID".to_owned()],
            text: "the customer is no company of Autotask".to_owned(),
        })?;
        let fields = self.picklists().await?;
        let complete = settings.complete(&fields);
        let remembered = match known {
            Some(known) => self.ticket(&known.id).await?.filter(|record| {
                record.company.as_ref() == Some(&ticket.customer)
                    && record.external_id.as_deref() == Some(ticket.key.as_str())
                    && !is_complete(record, complete)
            }),
            None => None,
        };
        let found = match remembered {
            Some(record) => Some(record),
            None => self.find(&ticket.key, company.clone(), complete).await?,
        };
        if let Some(record) = found
            && let Some(id) = record.id
        {
            return Ok(Ticket {
                reference: TicketRef { id },
                number: record.ticket_number,
                created: false,
            });
        }
        let body = self.new_ticket(&settings, &fields, ticket, &company);
        let id = self.create(ENTITY, &[ENTITY], &body).await?;
        // The ticket is there whether or not its number can be read now; an error here would hide its id.
        let number = match self.ticket(&id).await {
            Ok(record) => record.and_then(|record| record.ticket_number),
            Err(_) => None,
        };
        Ok(Ticket {
            reference: TicketRef { id },
            number,
            created: true,
        })
    }

    /// Adds an internal note to a ticket.
    pub(super) async fn note(
        &self,
        settings: &Value,
        ticket: &TicketRef,
        text: &str,
    ) -> Result<(), PsaError> {
        let settings = TicketSettings::read(settings)?;
        let id = number(&ticket.id).ok_or(PsaError::NotFound)?;
        let (note_type, publish) = settings.note();
        let body = json!({
            "ticketID": numeric(&ticket.id),
            "title": "Tenantry",
            "description": shortened(text, MOST_NOTE),
            "noteType": note_type,
            "publish": publish,
        });
        let segments = [ENTITY, id, "Notes"];
        let call = Call::change(Method::POST, "TicketNotes", &segments, Some(&body));
        self.client.ask(&call).await.map(drop)
    }

    /// Closes a ticket that is there and open.
    pub(super) async fn complete_ticket(
        &self,
        settings: &Value,
        ticket: &TicketRef,
    ) -> Result<(), PsaError> {
        let settings = TicketSettings::read(settings)?;
        let fields = self.picklists().await?;
        let complete = settings.complete(&fields);
        let Some(mut whole) = self.whole_ticket(&ticket.id).await? else {
            return Ok(());
        };
        let record = TicketRecord::deserialize(&whole).or(Err(not_a_ticket()))?;
        if is_complete(&record, complete) {
            return Ok(());
        }
        // The id stands in the body, not in the address.
        let change = json!({"id": numeric(&ticket.id), "status": complete});
        let segments = [ENTITY];
        let call = Call::change(Method::PATCH, ENTITY, &segments, Some(&change));
        let reply = self.client.send(&call).await?;
        if reply.status != 405 {
            return gone_is_closed(self.client.read(&reply, &call));
        }
        // One zone takes no PATCH here, only the whole record (psa.md §B5).
        if let Some(record) = whole.as_object_mut() {
            record.insert("status".to_owned(), json!(complete));
        }
        let call = Call::change(Method::PUT, ENTITY, &segments, Some(&whole));
        gone_is_closed(self.client.ask(&call).await)
    }

    /// Whether tickets may be read, and which settings this database does not offer.
    pub(super) async fn try_tickets(
        &self,
        settings: &Value,
    ) -> Result<Vec<&'static str>, PsaError> {
        let settings = TicketSettings::read(settings)?;
        let fields = self.ticket_fields().await?;
        let list = List::new(ENTITY, vec![every()], &["status"]).at_most(1);
        self.client.page::<TicketRecord>(&list, None).await?;
        Ok(settings.not_offered(&fields))
    }

    /// The picklists of tickets; without them the usual ids hold.
    async fn picklists(&self) -> Result<std::sync::Arc<Fields>, PsaError> {
        let fields = addition(self.ticket_fields().await)?;
        Ok(fields.unwrap_or_else(|| Fields::unknown().into()))
    }

    async fn find(
        &self,
        key: &str,
        company: Value,
        complete: i64,
    ) -> Result<Option<TicketRecord>, PsaError> {
        let filter = vec![
            condition("eq", "externalID", key),
            condition("eq", "companyID", company),
            condition("noteq", "status", complete),
        ];
        let fields = ["ticketNumber", "status", "companyID", "externalID"];
        let list = List::new(ENTITY, filter, &fields);
        let rows = self.client.page::<TicketRecord>(&list, None).await?;
        // The oldest, should there be several.
        Ok(rows.items.into_iter().next())
    }

    async fn ticket(&self, id: &ExternalId) -> Result<Option<TicketRecord>, PsaError> {
        match self.whole_ticket(id).await? {
            None => Ok(None),
            Some(whole) => TicketRecord::deserialize(whole)
                .map(Some)
                .or(Err(not_a_ticket())),
        }
    }

    async fn whole_ticket(&self, id: &ExternalId) -> Result<Option<Value>, PsaError> {
        let Some(number) = number(id) else {
            return Ok(None);
        };
        let segments = [ENTITY, number];
        match self.client.ask(&Call::get(ENTITY, &segments)).await {
            Ok(answer) => Item::<Value>::deserialize(answer)
                .map(|answer| answer.item)
                .or(Err(not_a_ticket())),
            Err(PsaError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn new_ticket(
        &self,
        settings: &TicketSettings,
        fields: &Fields,
        ticket: &NewTicket,
        company: &Value,
    ) -> Value {
        let due = self.now() + TimeDelta::days(settings.due_in_days().into());
        let mut body = settings.fields(fields);
        for (name, value) in [
            ("companyID", company.clone()),
            ("title", shortened(&ticket.summary, MOST_TITLE).into()),
            (
                "description",
                shortened(&ticket.description, MOST_DESCRIPTION).into(),
            ),
            (
                "dueDateTime",
                due.format("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
            ),
            ("externalID", ticket.key.clone().into()),
        ] {
            body.insert(name.to_owned(), value);
        }
        Value::Object(body)
    }
}

fn is_complete(record: &TicketRecord, complete: i64) -> bool {
    let status = record.status.as_ref();
    status.is_some_and(|status| status.0 == complete.to_string())
}

fn gone_is_closed(result: Result<Value, PsaError>) -> Result<(), PsaError> {
    match result {
        Ok(_) | Err(PsaError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

fn shortened(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn not_a_ticket() -> PsaError {
    protocol(200, "the answer is no ticket")
}
