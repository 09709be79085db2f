//! Tickets (psa.md §C5).
//!
//! HaloPSA takes arrays, and an id in a record means a change: a new ticket never carries one. It has no
//! filter for external ids, so a ticket of ours is found by text search for our key, which stands in the
//! ticket's text and in `third_party_id_string`, and by comparing the key exactly ourselves.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    contract::ExternalId,
    error::PsaError,
    ticket::{NewTicket, Ticket, TicketRef},
    wire,
};

use super::{
    errors::Right,
    http::{Http, entries, record, unexpected},
    page::integer,
    ticket_settings::TicketSettings,
};

/// The most pages of a search that are looked through.
const MOST_PAGES: u32 = 5;
/// The rows of such a page.
const PAGE_SIZE: usize = 100;

#[derive(Deserialize)]
struct TicketRow {
    #[serde(default, deserialize_with = "wire::id")]
    id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::text")]
    summary: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    details: Option<String>,
    #[serde(default, deserialize_with = "wire::id")]
    status_id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::id")]
    client_id: Option<ExternalId>,
    #[serde(default, deserialize_with = "wire::flag")]
    hasbeenclosed: Option<bool>,
    #[serde(default, deserialize_with = "wire::flag")]
    deleted: Option<bool>,
    #[serde(default, deserialize_with = "wire::text")]
    third_party_id_string: Option<String>,
}

impl TicketRow {
    fn is_open(&self) -> bool {
        self.hasbeenclosed != Some(true) && self.deleted != Some(true)
    }

    /// Whether it holds exactly this key; a longer one that begins with it is another.
    fn has_key(&self, key: &str) -> bool {
        self.third_party_id_string.as_deref() == Some(key)
            || [&self.summary, &self.details]
                .into_iter()
                .flatten()
                .any(|text| stands_in(key, text))
    }
}

fn stands_in(key: &str, text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '/' | '.');
    text.match_indices(key).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let mut after = text.get(at + key.len()..).unwrap_or_default().chars();
        let ends = match after.next() {
            // The full stop of a sentence.
            Some('.') => !after.next().is_some_and(is_part),
            Some(next) => !is_part(next),
            None => true,
        };
        ends && !before.is_some_and(is_part)
    })
}

/// The open ticket with our key.
pub(super) async fn ensure(
    http: &Http,
    settings: &Value,
    ticket: &NewTicket,
    known: Option<&TicketRef>,
) -> Result<Ticket, PsaError> {
    let settings = TicketSettings::read(settings)?;
    // An id that is sent must be an integer: `12.0` is refused (psa.md §C3).
    let client = integer(&ticket.customer).ok_or(PsaError::NotFound)?;
    if let Some(known) = known
        && find(http, known).await?.is_some_and(|row| row.is_open())
    {
        return Ok(found(known.id.clone(), false));
    }
    if let Some(id) = search(http, ticket, client).await? {
        return Ok(found(id, false));
    }
    let mut new = json!({
        "summary": ticket.summary,
        "details_html": html(&format!("{}\n{}", ticket.description, ticket.key)),
        "client_id": client,
        "tickettype_id": settings.ticket_type,
        // Templates of the ticket type would overwrite the text; its mandatory fields are not known to us.
        "donotapplytemplateintheapi": true,
        "_novalidate": true,
        // No user of the client: one would need a site.
        "usertype": 1,
        "userlookup": {"id": -1, "lookupdisplay": "Enter Details Manually"},
        "third_party_id_string": ticket.key,
    });
    if let (Some(priority), Some(new)) = (settings.priority, new.as_object_mut()) {
        new.insert("priority_id".to_owned(), json!(priority));
    }
    let made = record(http.post(Right::Tickets, "Tickets", new).await?);
    made.get("id")
        .and_then(wire::id_of)
        .map(|id| found(id, true))
        // It was taken, and the answer does not say which it is.
        .ok_or(PsaError::Ambiguous)
}

fn found(id: ExternalId, created: bool) -> Ticket {
    Ticket {
        reference: TicketRef { id },
        // People see the id.
        number: None,
        created,
    }
}

/// One ticket; none: it is gone.
async fn find(http: &Http, ticket: &TicketRef) -> Result<Option<TicketRow>, PsaError> {
    let Some(number) = integer(&ticket.id) else {
        return Ok(None);
    };
    let query = [("includedetails", "true")];
    match http
        .get(Right::Tickets, "Tickets", Some(&number.to_string()), &query)
        .await
    {
        Ok(Value::Null) | Err(PsaError::NotFound) => Ok(None),
        Ok(value) => serde_json::from_value::<TicketRow>(record(value))
            .ok()
            .filter(|row| row.id.as_ref().and_then(integer) == Some(number))
            .map(Some)
            .ok_or_else(|| unexpected("another record than the ticket asked for")),
        Err(error) => Err(error),
    }
}

/// The oldest open ticket of the client with our key.
async fn search(
    http: &Http,
    ticket: &NewTicket,
    client: i64,
) -> Result<Option<ExternalId>, PsaError> {
    let mut found: Option<i64> = None;
    for page in 1..=MOST_PAGES {
        let (client_text, page_text) = (client.to_string(), page.to_string());
        let size = PAGE_SIZE.to_string();
        let query = [
            ("client_id", client_text.as_str()),
            ("open_only", "true"),
            ("search", ticket.key.as_str()),
            ("pageinate", "true"),
            ("page_no", page_text.as_str()),
            ("page_size", size.as_str()),
            ("order", "id"),
        ];
        let answer = http.get(Right::Tickets, "Tickets", None, &query).await?;
        let rows =
            entries(answer, "tickets").ok_or_else(|| unexpected("a list without tickets"))?;
        let count = rows.len();
        // A filter that an instance does not know is ignored, so each is looked at again.
        found = rows
            .into_iter()
            .filter_map(|row| serde_json::from_value::<TicketRow>(row).ok())
            .filter(|row| row.is_open() && row.has_key(&ticket.key))
            .filter(|row| row.client_id.as_ref().and_then(integer) == Some(client))
            .filter_map(|row| integer(&row.id?))
            .chain(found)
            .min();
        if found.is_some() || count < PAGE_SIZE {
            break;
        }
    }
    Ok(found.map(|id| ExternalId(id.to_string())))
}

/// Adds an internal note.
pub(super) async fn add_note(
    http: &Http,
    settings: &Value,
    ticket: &TicketRef,
    text: &str,
) -> Result<(), PsaError> {
    let settings = TicketSettings::read(settings)?;
    let number = integer(&ticket.id).ok_or(PsaError::NotFound)?;
    act(
        http,
        json!({
            "ticket_id": number,
            "outcome_id": settings.note_outcome,
            "hiddenfromuser": true,
            "note_html": html(text),
        }),
    )
    .await
}

async fn act(http: &Http, action: Value) -> Result<(), PsaError> {
    match http.post(Right::Tickets, "actions", action).await {
        Ok(_) => Ok(()),
        Err(PsaError::Validation { text, .. }) if text.to_lowercase().contains("outcome") => {
            Err(PsaError::Validation {
                fields: vec!["noteOutcomeId".to_owned()],
                text,
            })
        }
        Err(error) => Err(error),
    }
}

/// Closes a ticket, if it is open.
pub(super) async fn close(
    http: &Http,
    settings: &Value,
    ticket: &TicketRef,
) -> Result<(), PsaError> {
    let settings = TicketSettings::read(settings)?;
    let Some(number) = integer(&ticket.id) else {
        return Ok(());
    };
    if !find(http, ticket).await?.is_some_and(|row| row.is_open()) {
        return Ok(());
    }
    let closed = settings.closed_status(http).await?;
    let change = json!({"id": number, "status_id": closed});
    let is_closed = match http.post(Right::Tickets, "Tickets", change).await {
        Ok(answer) => !is_still_open(record(answer), closed),
        Err(PsaError::NotFound) => true,
        // Some instances want the reason as an action.
        Err(PsaError::Validation { .. }) => false,
        Err(error) => return Err(error),
    };
    if is_closed {
        return Ok(());
    }
    act(
        http,
        json!({
            "ticket_id": number,
            "outcome_id": settings.note_outcome,
            "new_status": closed,
            "hiddenfromuser": true,
            "note_html": html("Closed by Tenantry: what it was about is settled."),
        }),
    )
    .await
}

/// Whether the answer to closing shows a ticket that was left as it is.
fn is_still_open(answer: Value, closed: i64) -> bool {
    serde_json::from_value::<TicketRow>(answer).is_ok_and(|row| {
        row.hasbeenclosed == Some(false)
            && row
                .status_id
                .as_ref()
                .and_then(integer)
                .is_some_and(|status| status != closed)
    })
}

/// Plain text as HTML that shows just that text: a paragraph for each line.
fn html(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        html.push_str("<p>");
        for c in line.chars() {
            match c {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                c if c.is_control() => html.push(' '),
                c => html.push(c),
            }
        }
        html.push_str("</p>");
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_as_a_whole_only() {
        let key = "tenantry:consent:6f1b";
        for text in [
            "tenantry:consent:6f1b",
            "See tenantry:consent:6f1b.",
            "x (tenantry:consent:6f1b) y",
            "tenantry:consent:6f1b3\ntenantry:consent:6f1b",
        ] {
            assert!(stands_in(key, text), "{text}");
        }
        for text in [
            "",
            "tenantry:consent:6f1b3c52",
            "tenantry:consent:6f1b-2",
            "xtenantry:consent:6f1b",
            "tenantry:consent:6f1b.2",
        ] {
            assert!(!stands_in(key, text), "{text}");
        }
    }

    #[test]
    fn j6_text_stays_text_in_html() {
        assert_eq!(
            html("<b>\"A\" & 'B'</b>\n\n two\u{7}"),
            "<p>&lt;b&gt;&quot;A&quot; &amp; &#39;B&#39;&lt;/b&gt;</p><p> two </p>"
        );
    }
}
