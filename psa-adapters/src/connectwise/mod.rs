//! ConnectWise PSA, formerly Manage: companies are the customers (psa.md part A).
//!
//! - **Where it is.** People enter the address of their sign-in page; the API stands at another host of the
//!   cloud and behind a code base that changes with each upgrade (`address`, `client`).
//! - **Signing in.** Keys of an API member by Basic authentication, and the product's client id on every
//!   call; nothing expires.
//! - **Lists** are read forward only, or by numbered pages from servers that are too old (`paging`). What
//!   changed is found by `lastUpdated`; deleted companies are not, so full reads are needed.
//! - **Callbacks** are signed with a key of ConnectWise's own, which is fetched from our instance only
//!   (`callbacks`, `events`).
//! - **Tickets** carry our key in `externalXRef` (`tickets`); boards, statuses, types and priorities are
//!   chosen by ids (`ticket_settings`).
//!
//! Refusals become decisions in `refusal`; only what is in ConnectWise's own form of an error is told.

mod address;
mod callbacks;
mod check;
mod client;
mod companies;
mod contacts;
mod events;
#[cfg(test)]
mod harness;
mod paging;
mod records;
mod refusal;
mod sites;
mod ticket_settings;
mod tickets;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::Value;

use self::{client::Client, companies::Statuses, events::SigningKeys};
use crate::{
    contract::{
        Answer, Capabilities, Cursor, Customer, CustomerQuery, ExternalId, HintPage, Label, Page,
        PsaAdapter, PsaKind, Site,
    },
    credentials::ConnectWiseCredentials,
    error::PsaError,
    event::{Callback, CallbackTarget, Event, EventError, EventKey, RawEvent},
    report::Report,
    ticket::{NewTicket, Ticket, TicketOptions, TicketRef},
    transport::{Limits, Transport, Window},
};

/// A connection to one company's ConnectWise PSA.
pub struct ConnectWise {
    client: Client,
    statuses: Mutex<Option<Arc<Statuses>>>,
    signing_keys: SigningKeys,
}

/// Opens a connection; asks nothing yet.
///
/// # Errors
/// [`PsaError::Config`] where the base URL or a credential cannot be used.
pub fn open(
    base_url: &str,
    credentials: ConnectWiseCredentials,
    transport: Arc<dyn Transport>,
) -> Result<ConnectWise, PsaError> {
    let client = Client::new(base_url, &credentials, transport)?;
    // ConnectWise publishes no limit but "over 1000 a minute will likely be limited" (psa.md §A7).
    client.transport().set_limits(Limits {
        windows: vec![Window {
            calls: 600,
            seconds: 60,
        }],
        parallel: 4,
        parallel_per_endpoint: None,
    });
    Ok(ConnectWise {
        client,
        statuses: Mutex::new(None),
        signing_keys: SigningKeys::default(),
    })
}

impl ConnectWise {
    fn known_statuses(&self) -> Option<Arc<Statuses>> {
        let statuses = self.statuses.lock();
        statuses.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_statuses(&self, read: &Arc<Statuses>) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        *statuses = Some(Arc::clone(read));
    }
}

impl PsaAdapter for ConnectWise {
    fn kind(&self) -> PsaKind {
        PsaKind::ConnectWise
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
        self.client.address().system(self.client.company())
    }

    fn check<'a>(&'a self, tickets: Option<&'a Value>) -> Answer<'a, Report> {
        Box::pin(self.look(tickets))
    }

    fn list_customers<'a>(
        &'a self,
        query: &'a CustomerQuery,
        cursor: Option<&'a Cursor>,
    ) -> Answer<'a, Page<Customer>> {
        Box::pin(self.companies(query, cursor))
    }

    fn get_customer<'a>(&'a self, id: &'a ExternalId) -> Answer<'a, Option<Customer>> {
        Box::pin(self.company(id))
    }

    fn list_hints<'a>(&'a self, cursor: Option<&'a Cursor>) -> Answer<'a, HintPage> {
        Box::pin(self.hints(cursor))
    }

    fn list_sites<'a>(&'a self, customer: &'a ExternalId) -> Answer<'a, Vec<Site>> {
        Box::pin(self.sites(customer))
    }

    fn customer_types(&self) -> Answer<'_, Vec<Label>> {
        Box::pin(self.company_types())
    }

    fn read_event<'a>(
        &'a self,
        event: &'a RawEvent,
        _key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Event, EventError>> {
        Box::pin(self.event(event))
    }

    fn register_callback<'a>(&'a self, target: &'a CallbackTarget) -> Answer<'a, Callback> {
        Box::pin(self.set_up_callback(target))
    }

    fn remove_callback<'a>(&'a self, callback: &'a Callback) -> Answer<'a, ()> {
        Box::pin(self.take_callback_away(callback))
    }

    fn ticket_options(&self) -> Answer<'_, TicketOptions> {
        Box::pin(self.options())
    }

    fn ensure_ticket<'a>(
        &'a self,
        settings: &'a Value,
        ticket: &'a NewTicket,
        known: Option<&'a TicketRef>,
    ) -> Answer<'a, Ticket> {
        Box::pin(self.open_ticket(settings, ticket, known))
    }

    fn add_note<'a>(
        &'a self,
        _settings: &'a Value,
        ticket: &'a TicketRef,
        text: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(self.note(ticket, text))
    }

    fn close_ticket<'a>(&'a self, settings: &'a Value, ticket: &'a TicketRef) -> Answer<'a, ()> {
        Box::pin(self.close(settings, ticket))
    }
}

#[cfg(test)]
mod tests;
