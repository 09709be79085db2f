//! Autotask PSA: a company is a customer, a location a site.
//!
//! Owns Autotask's way of speaking: the zone in which a database lives, three headers on each call, queries
//! in JSON, errors that are told apart by their text. Refuses to own anything else: budgets, waiting and
//! retries are the caller's, but for one look-up of the zone after a 401. It reads companies, contacts,
//! locations and picklists, sets up webhooks for companies, and keeps tickets. Contracts and services are
//! not read.
//!
//! What is not obvious of Autotask, each with its source in psa.md:
//! - A wrong secret is a 401, a wrong user name or integration code a 500, and repeated failures lock the
//!   user (§B2). Nothing here repeats a refused call.
//! - The limit counts for the whole database, so we take a share and read how much others use (§B7).
//! - Rows come by rising id, a next page is asked for by the first page's body (§B3).
//! - A query that names its fields gets no custom field but those it names: companies come whole.
//! - Companies cannot be deleted by the API; they vanish when they are merged by hand (§B3).
//! - Creating answers with an id alone (§B5).

mod check;
mod companies;
mod contacts;
mod errors;
mod events;
mod fields;
mod http;
mod locations;
mod query;
mod remembered;
#[cfg(test)]
mod tests;
mod threshold;
mod ticket_settings;
mod tickets;
mod webhooks;
mod wire;
mod zone;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;

use crate::{
    autotask::{companies::Countries, fields::Fields, http::Client, remembered::Remembered},
    contract::{
        Answer, Capabilities, Cursor, Customer, CustomerQuery, ExternalId, HintPage, Label, Page,
        PsaAdapter, PsaKind, Site,
    },
    credentials::AutotaskCredentials,
    error::PsaError,
    event::{Callback, CallbackTarget, Event, EventError, EventKey, RawEvent},
    report::Report,
    ticket::{NewTicket, Ticket, TicketOptions, TicketRef},
    transport::Transport,
};

/// One connection to one Autotask database.
pub struct Autotask {
    client: Client,
    company_fields: Remembered<Fields>,
    countries: Remembered<Countries>,
    ticket_fields: Remembered<Fields>,
}

/// Opens a connection. `base_url` is where the search for the zone begins; nothing is sent yet.
///
/// # Errors
/// [`PsaError::Config`] for an address that is not Autotask's, or credentials that no header can carry.
pub fn open(
    base_url: &str,
    credentials: AutotaskCredentials,
    transport: Arc<dyn Transport>,
) -> Result<Autotask, PsaError> {
    let client = Client::new(base_url, credentials, transport)?;
    client.transport.set_limits(threshold::usual_limits());
    Ok(Autotask {
        client,
        company_fields: Remembered::nothing(),
        countries: Remembered::nothing(),
        ticket_fields: Remembered::nothing(),
    })
}

impl Autotask {
    fn now(&self) -> DateTime<Utc> {
        self.client.transport.now()
    }
}

impl PsaAdapter for Autotask {
    fn kind(&self) -> PsaKind {
        PsaKind::Autotask
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            signed_events: true,
            registers_callbacks: true,
            needs_full_reads: true,
            tenant_map: false,
            sites: true,
        }
    }

    fn system(&self) -> String {
        self.client.system()
    }

    fn check<'a>(&'a self, tickets: Option<&'a Value>) -> Answer<'a, Report> {
        self.look(tickets).boxed()
    }

    fn list_customers<'a>(
        &'a self,
        query: &'a CustomerQuery,
        cursor: Option<&'a Cursor>,
    ) -> Answer<'a, Page<Customer>> {
        self.companies(query, cursor).boxed()
    }

    fn get_customer<'a>(&'a self, id: &'a ExternalId) -> Answer<'a, Option<Customer>> {
        self.company(id).boxed()
    }

    fn list_hints<'a>(&'a self, cursor: Option<&'a Cursor>) -> Answer<'a, HintPage> {
        self.contact_hints(cursor).boxed()
    }

    fn list_sites<'a>(&'a self, customer: &'a ExternalId) -> Answer<'a, Vec<Site>> {
        self.locations(customer).boxed()
    }

    fn customer_types(&self) -> Answer<'_, Vec<Label>> {
        self.company_types().boxed()
    }

    fn read_event<'a>(
        &'a self,
        event: &'a RawEvent,
        key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Event, EventError>> {
        async move { events::read(event, key) }.boxed()
    }

    fn register_callback<'a>(&'a self, target: &'a CallbackTarget) -> Answer<'a, Callback> {
        self.set_up_webhook(target).boxed()
    }

    fn remove_callback<'a>(&'a self, callback: &'a Callback) -> Answer<'a, ()> {
        self.take_away(&callback.id).boxed()
    }

    fn ticket_options(&self) -> Answer<'_, TicketOptions> {
        self.options().boxed()
    }

    fn ensure_ticket<'a>(
        &'a self,
        settings: &'a Value,
        ticket: &'a NewTicket,
        known: Option<&'a TicketRef>,
    ) -> Answer<'a, Ticket> {
        self.open_ticket(settings, ticket, known).boxed()
    }

    fn add_note<'a>(
        &'a self,
        settings: &'a Value,
        ticket: &'a TicketRef,
        text: &'a str,
    ) -> Answer<'a, ()> {
        self.note(settings, ticket, text).boxed()
    }

    fn close_ticket<'a>(&'a self, settings: &'a Value, ticket: &'a TicketRef) -> Answer<'a, ()> {
        self.complete_ticket(settings, ticket).boxed()
    }
}
