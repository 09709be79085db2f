//! HaloPSA: its clients are customers.
//!
//! **Where it is.** The address is used as a person pastes it, with or without `/api` (`address`). The
//! secret goes to the authorisation server only: the one that was entered, or the one that the instance
//! names if that has the same origin, or `/auth` beside the API. A foreign one is refused.
//!
//! **Signing in** (`token`). One access token at a time for all calls, asked for with explicit scopes: a
//! token without a scope is refused everywhere. An application that may not touch tickets is asked for
//! `read:customers` alone. Managing webhooks needs `admin:webhooks`, which is asked for only then.
//!
//! **Lists** (`page`). Pages by number, ordered by id, until the count or an empty page. An instance that
//! gives smaller pages than asked for is read to its end; a list that loses rows while it is read is read
//! again from its beginning, for what moved up.
//!
//! **What a list tells.** Rows of the list of clients carry no website, domain or custom field, even where
//! the client has them (psa.md §C3). A list of at most 100 rows, as almost each read of changes
//! is, is therefore completed by the details of each client. In a longer one clients come as the list has
//! them, without [`Customer::updated_at`], which only details have: a caller keeps what it knew of website
//! and evidence then, and new evidence comes from the tenant map and the contacts.
//!
//! **Events** are not signed and have no fixed shape: they are believed for their Basic header, and only
//! ids that are certainly a client's are taken from them.
//!
//! Not here: recurring invoices, licences, contracts.

mod address;
mod check;
mod clients;
mod errors;
mod event;
mod http;
mod page;
mod sites;
mod tenant_map;
mod ticket_settings;
mod tickets;
mod token;
mod users;
mod webhooks;

use std::{future::ready, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    contract::{
        Answer, Capabilities, Cursor, Customer, CustomerQuery, ExternalId, HintPage, Label, Page,
        PsaAdapter, PsaKind, Site,
    },
    credentials::HaloPsaCredentials,
    error::PsaError,
    event::{Callback, CallbackTarget, Event, EventError, EventKey, RawEvent},
    report::Report,
    ticket::{NewTicket, Ticket, TicketOptions, TicketRef},
    transport::{Limits, Transport, Window},
};

use address::Address;
use http::Http;
use token::Tokens;

/// Calls at the same time. Nothing is documented; the instance is shared with people.
const PARALLEL: u32 = 4;

/// What is spent of the documented 300 calls per rolling five minutes, which other tools of the MSP share
/// (psa.md §C7).
const LIMIT: Window = Window {
    calls: 250,
    seconds: 300,
};

fn limits(window: Window) -> Limits {
    Limits {
        windows: vec![window],
        parallel: PARALLEL,
        parallel_per_endpoint: None,
    }
}

/// A connection to one HaloPSA.
pub struct HaloPsa {
    http: Http,
}

/// Opens a connection; nothing is sent yet.
///
/// # Errors
/// [`PsaError::Config`] for an address that cannot be one of HaloPSA, or an empty client id.
pub fn open(
    base_url: &str,
    credentials: HaloPsaCredentials,
    transport: Arc<dyn Transport>,
) -> Result<HaloPsa, PsaError> {
    let address = Address::read(base_url, credentials.auth_url.as_deref())?;
    transport.set_limits(limits(LIMIT));
    let tokens = Tokens::new(
        credentials.client_id,
        credentials.client_secret,
        credentials.tenant,
        address.clone(),
        Arc::clone(&transport),
    )?;
    Ok(HaloPsa {
        http: Http::new(transport, address, tokens),
    })
}

impl PsaAdapter for HaloPsa {
    fn kind(&self) -> PsaKind {
        PsaKind::HaloPsa
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            signed_events: false,
            registers_callbacks: true,
            needs_full_reads: true,
            tenant_map: true,
            sites: true,
        }
    }

    fn system(&self) -> String {
        self.http.address.system()
    }

    fn check<'a>(&'a self, tickets: Option<&'a Value>) -> Answer<'a, Report> {
        Box::pin(check::check(&self.http, tickets))
    }

    fn list_customers<'a>(
        &'a self,
        query: &'a CustomerQuery,
        cursor: Option<&'a Cursor>,
    ) -> Answer<'a, Page<Customer>> {
        Box::pin(clients::list(&self.http, query, cursor))
    }

    fn get_customer<'a>(&'a self, id: &'a ExternalId) -> Answer<'a, Option<Customer>> {
        Box::pin(clients::get(&self.http, id))
    }

    fn list_hints<'a>(&'a self, cursor: Option<&'a Cursor>) -> Answer<'a, HintPage> {
        Box::pin(async move {
            match cursor {
                None => tenant_map::read(&self.http).await,
                Some(cursor) => users::page(&self.http, cursor).await,
            }
        })
    }

    fn list_sites<'a>(&'a self, customer: &'a ExternalId) -> Answer<'a, Vec<Site>> {
        Box::pin(sites::list(&self.http, customer))
    }

    fn customer_types(&self) -> Answer<'_, Vec<Label>> {
        Box::pin(clients::types(&self.http))
    }

    fn read_event<'a>(
        &'a self,
        event: &'a RawEvent,
        key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Event, EventError>> {
        Box::pin(ready(event::read(event, key)))
    }

    fn register_callback<'a>(&'a self, target: &'a CallbackTarget) -> Answer<'a, Callback> {
        Box::pin(webhooks::register(&self.http, target))
    }

    fn remove_callback<'a>(&'a self, callback: &'a Callback) -> Answer<'a, ()> {
        Box::pin(webhooks::remove(&self.http, &callback.id))
    }

    fn ticket_options(&self) -> Answer<'_, TicketOptions> {
        Box::pin(ticket_settings::options(&self.http))
    }

    fn ensure_ticket<'a>(
        &'a self,
        settings: &'a Value,
        ticket: &'a NewTicket,
        known: Option<&'a TicketRef>,
    ) -> Answer<'a, Ticket> {
        Box::pin(tickets::ensure(&self.http, settings, ticket, known))
    }

    fn add_note<'a>(
        &'a self,
        settings: &'a Value,
        ticket: &'a TicketRef,
        text: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(tickets::add_note(&self.http, settings, ticket, text))
    }

    fn close_ticket<'a>(&'a self, settings: &'a Value, ticket: &'a TicketRef) -> Answer<'a, ()> {
        Box::pin(tickets::close(&self.http, settings, ticket))
    }
}
