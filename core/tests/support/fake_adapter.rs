//! An adapter that answers by a script and remembers what it was told. Tests of `core` and of `api` use it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use serde_json::Value;
use tenantry_core::psa::AdapterFactory;
use tenantry_psa::{
    Answer, Capabilities, Credentials, Cursor, Customer, CustomerQuery, ExternalId, HintPage,
    Label, Page, PsaAdapter, PsaError, PsaKind, Site, Transport,
    event::{Callback, CallbackTarget, ChangeHint, Event, EventError, EventKey, RawEvent},
    report::Report,
    ticket::{NewTicket, Ticket, TicketOption, TicketOptions, TicketRef},
};

/// What all adapters of one test share.
#[derive(Default)]
pub struct Script {
    /// How many adapters were made.
    pub made: AtomicUsize,
    /// The webhooks that were set up: address and secret.
    pub callbacks: Mutex<Vec<(String, String)>>,
    /// The webhooks that were taken away, by their ids.
    pub removed: Mutex<Vec<String>>,
    /// What every call fails with.
    pub refuses: Mutex<Option<PsaError>>,
}

impl Script {
    /// Makes adapters that follow it.
    pub fn factory(self: &Arc<Self>) -> AdapterFactory {
        let script = Arc::clone(self);
        Arc::new(move |base_url, credentials, transport| {
            script.made.fetch_add(1, SeqCst);
            let account = match &credentials {
                Credentials::ConnectWise(credentials) => credentials.company_id.clone(),
                Credentials::Autotask(credentials) => credentials.username.clone(),
                Credentials::HaloPsa(credentials) => credentials.client_id.clone(),
            };
            if account == "unusable" {
                let what = "there is no such company".to_owned();
                return Err(PsaError::Config { what });
            }
            Ok(Arc::new(FakeAdapter {
                kind: credentials.kind(),
                system: format!("{base_url}/{account}"),
                _transport: transport,
                script: Arc::clone(&script),
            }))
        })
    }

    /// From now on every call fails with this, or works.
    pub fn refuse(&self, with: Option<PsaError>) {
        *self.refuses.lock().unwrap() = with;
    }

    fn outcome<T>(&self, works: T) -> Result<T, PsaError> {
        match self.refuses.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(works),
        }
    }
}

struct FakeAdapter {
    kind: PsaKind,
    system: String,
    _transport: Arc<dyn Transport>,
    script: Arc<Script>,
}

impl FakeAdapter {
    fn answer<'a, T: Send + 'a>(&self, works: T) -> Answer<'a, T> {
        ready(self.script.outcome(works)).boxed()
    }
}

impl PsaAdapter for FakeAdapter {
    fn kind(&self) -> PsaKind {
        self.kind
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
        self.system.clone()
    }

    fn check<'a>(&'a self, tickets: Option<&'a Value>) -> Answer<'a, Report> {
        let mut report = Report::default();
        report.works("reachable", "The PSA answers.");
        if tickets.is_some_and(|options| options.get("boardId").is_none()) {
            report.fails("tickets", "No board is chosen.", "Choose a board.");
        }
        self.answer(report)
    }

    fn list_customers<'a>(
        &'a self,
        _query: &'a CustomerQuery,
        _cursor: Option<&'a Cursor>,
    ) -> Answer<'a, Page<Customer>> {
        self.answer(Page {
            items: Vec::new(),
            next: None,
            expected: None,
        })
    }

    fn get_customer<'a>(&'a self, _id: &'a ExternalId) -> Answer<'a, Option<Customer>> {
        self.answer(None)
    }

    fn list_hints<'a>(&'a self, _cursor: Option<&'a Cursor>) -> Answer<'a, HintPage> {
        self.answer(HintPage {
            items: Vec::new(),
            next: None,
            left_out: None,
        })
    }

    fn list_sites<'a>(&'a self, _customer: &'a ExternalId) -> Answer<'a, Vec<Site>> {
        self.answer(Vec::new())
    }

    fn customer_types(&self) -> Answer<'_, Vec<Label>> {
        self.answer(vec![Label {
            id: ExternalId("1".to_owned()),
            name: "Client".to_owned(),
        }])
    }

    /// The secret in a header proves the sender; the body is `id customer customer …`.
    fn read_event<'a>(
        &'a self,
        event: &'a RawEvent,
        key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Event, EventError>> {
        let signature = event.headers.get("x-signature");
        let read = if event.query == "key=away" {
            Err(EventError::KeyUnavailable)
        } else if signature.is_some_and(|signature| key.secret.matches(signature.as_bytes())) {
            let text = String::from_utf8(event.body.clone()).unwrap();
            let mut words = text.split(' ').map(str::to_owned);
            let id = words.next().filter(|id| id != "-");
            let hints = words.map(|word| match word.as_str() {
                "soon" => ChangeHint::ResyncSoon,
                "stopped" => ChangeHint::CallbackStopped,
                _id => ChangeHint::Customer(ExternalId(word)),
            });
            Ok(Event {
                id,
                hints: hints.collect(),
            })
        } else {
            Err(EventError::NotAuthentic)
        };
        ready(read).boxed()
    }

    fn register_callback<'a>(&'a self, target: &'a CallbackTarget) -> Answer<'a, Callback> {
        let told = (target.url.to_string(), target.secret.expose().to_owned());
        let mut callbacks = self.script.callbacks.lock().unwrap();
        callbacks.push(told);
        let id = ExternalId(callbacks.len().to_string());
        self.answer(Callback { id })
    }

    fn remove_callback<'a>(&'a self, callback: &'a Callback) -> Answer<'a, ()> {
        self.script
            .removed
            .lock()
            .unwrap()
            .push(callback.id.0.clone());
        self.answer(())
    }

    fn ticket_options(&self) -> Answer<'_, TicketOptions> {
        self.answer(TicketOptions {
            options: vec![TicketOption {
                name: "boardId",
                description: "The board on which tickets are opened.",
                required: true,
                choices: Vec::new(),
            }],
        })
    }

    fn ensure_ticket<'a>(
        &'a self,
        _settings: &'a Value,
        _ticket: &'a NewTicket,
        _known: Option<&'a TicketRef>,
    ) -> Answer<'a, Ticket> {
        ready(Err(PsaError::NotFound)).boxed()
    }

    fn add_note<'a>(
        &'a self,
        _settings: &'a Value,
        _ticket: &'a TicketRef,
        _text: &'a str,
    ) -> Answer<'a, ()> {
        self.answer(())
    }

    fn close_ticket<'a>(&'a self, _settings: &'a Value, _ticket: &'a TicketRef) -> Answer<'a, ()> {
        self.answer(())
    }
}
