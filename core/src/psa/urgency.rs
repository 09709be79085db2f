//! Who waits for a call, told to the way out without the adapter in between knowing of it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tenantry_psa::{
    Answer, Capabilities, Cursor, Customer, CustomerQuery, ExternalId, HintPage, Label, Page,
    PsaAdapter, PsaKind, Site,
    event::{Callback, CallbackTarget, Event, EventError, EventKey, RawEvent},
    report::Report,
    ticket::{NewTicket, Ticket, TicketOptions, TicketRef},
};
use tokio::time::Duration;

/// Who waits for a call. Where the budget is short, the one that comes first here goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A person, or a PSA that tells us something.
    Waited,
    /// Nobody.
    Background,
}

impl Urgency {
    /// How long a call waits for its turn.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Waited => Duration::from_secs(10),
            Self::Background => Duration::from_secs(60),
        }
    }

    /// How long the exchange itself may take.
    pub(super) const fn exchange(self) -> Duration {
        match self {
            Self::Waited => Duration::from_secs(30),
            Self::Background => Duration::from_secs(120),
        }
    }
}

tokio::task_local! {
    static URGENCY: Urgency;
}

/// The urgency of the call that this task is making.
pub(super) fn present() -> Urgency {
    URGENCY
        .try_with(|urgency| *urgency)
        .unwrap_or(Urgency::Background)
}

/// One adapter serves all who use a connection, so that token, zone and budget are one. This is the adapter
/// as one of them sees it: each call is made with this urgency.
pub(super) struct Hurried {
    pub(super) adapter: Arc<dyn PsaAdapter>,
    pub(super) urgency: Urgency,
}

impl Hurried {
    fn make<'a, T: 'a>(&self, call: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        Box::pin(URGENCY.scope(self.urgency, call))
    }
}

impl PsaAdapter for Hurried {
    fn kind(&self) -> PsaKind {
        self.adapter.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.adapter.capabilities()
    }

    fn system(&self) -> String {
        self.adapter.system()
    }

    fn check<'a>(&'a self, tickets: Option<&'a Value>) -> Answer<'a, Report> {
        self.make(self.adapter.check(tickets))
    }

    fn list_customers<'a>(
        &'a self,
        query: &'a CustomerQuery,
        cursor: Option<&'a Cursor>,
    ) -> Answer<'a, Page<Customer>> {
        self.make(self.adapter.list_customers(query, cursor))
    }

    fn get_customer<'a>(&'a self, id: &'a ExternalId) -> Answer<'a, Option<Customer>> {
        self.make(self.adapter.get_customer(id))
    }

    fn list_hints<'a>(&'a self, cursor: Option<&'a Cursor>) -> Answer<'a, HintPage> {
        self.make(self.adapter.list_hints(cursor))
    }

    fn list_sites<'a>(&'a self, customer: &'a ExternalId) -> Answer<'a, Vec<Site>> {
        self.make(self.adapter.list_sites(customer))
    }

    fn customer_types(&self) -> Answer<'_, Vec<Label>> {
        self.make(self.adapter.customer_types())
    }

    fn read_event<'a>(
        &'a self,
        event: &'a RawEvent,
        key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Event, EventError>> {
        self.make(self.adapter.read_event(event, key))
    }

    fn register_callback<'a>(&'a self, target: &'a CallbackTarget) -> Answer<'a, Callback> {
        self.make(self.adapter.register_callback(target))
    }

    fn remove_callback<'a>(&'a self, callback: &'a Callback) -> Answer<'a, ()> {
        self.make(self.adapter.remove_callback(callback))
    }

    fn ticket_options(&self) -> Answer<'_, TicketOptions> {
        self.make(self.adapter.ticket_options())
    }

    fn ensure_ticket<'a>(
        &'a self,
        settings: &'a Value,
        ticket: &'a NewTicket,
        known: Option<&'a TicketRef>,
    ) -> Answer<'a, Ticket> {
        self.make(self.adapter.ensure_ticket(settings, ticket, known))
    }

    fn add_note<'a>(
        &'a self,
        settings: &'a Value,
        ticket: &'a TicketRef,
        text: &'a str,
    ) -> Answer<'a, ()> {
        self.make(self.adapter.add_note(settings, ticket, text))
    }

    fn close_ticket<'a>(&'a self, settings: &'a Value, ticket: &'a TicketRef) -> Answer<'a, ()> {
        self.make(self.adapter.close_ticket(settings, ticket))
    }
}
