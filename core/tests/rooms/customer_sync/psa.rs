//! A PSA that answers by a script.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::{DateTime, Utc};
use tenantry_psa::{
    Address, Answer, Capabilities, Cursor, Customer, CustomerQuery, CustomerState, Evidence,
    EvidenceKind, ExternalId, HintPage, HintSource, Label, Page, PsaAdapter, PsaError, PsaKind,
    Site, TenantHint,
    event::{Callback, CallbackTarget, Event, EventError, EventKey, RawEvent},
    report::Report,
    ticket::{NewTicket, Ticket, TicketOptions, TicketRef},
};

/// What the PSA has, and how it answers.
#[derive(Default)]
pub struct Script {
    /// By id.
    pub customers: BTreeMap<u32, Customer>,
    /// Which of them a list of changes names.
    pub changed: BTreeSet<u32>,
    /// Ids that stand in every page once more.
    pub repeated: BTreeSet<u32>,
    /// Hints.
    pub hints: Vec<TenantHint>,
    /// A list of hints that may not be read.
    pub left_out: Option<HintSource>,
    /// Customers of a page.
    pub page: usize,
    /// What calls are answered with instead: by the number of the call, from 1.
    pub refusals: BTreeMap<usize, PsaError>,
    /// What every call is answered with.
    pub refuses_all: Option<PsaError>,
    /// The call, from 1, that is never answered.
    pub hangs_at: Option<usize>,
    /// Every call so far, in words.
    pub calls: Vec<String>,
    /// Since when changes were asked for.
    pub asked_since: Vec<Option<DateTime<Utc>>>,
}

/// The adapter.
#[derive(Clone, Default)]
pub struct ScriptedPsa(Arc<Mutex<Script>>);

/// A customer with a website, by its number.
pub fn customer(number: u32) -> Customer {
    let site = format!("customer{number}.example");
    Customer {
        id: ExternalId(number.to_string()),
        name: format!("Customer {number}"),
        code: Some(format!("C{number}")),
        state: CustomerState::Active,
        types: Vec::new(),
        phone: Some("+44 20 7946 0000".to_owned()),
        website: Some(format!("https://www.{site}/")),
        address: Address {
            city: Some("Harwich".to_owned()),
            ..Address::default()
        },
        updated_at: None,
        evidence: vec![Evidence {
            kind: EvidenceKind::Website,
            value: site,
        }],
        complete: true,
    }
}

/// A hint by a contact's mail domain.
pub fn contact(number: u32, domain: &str) -> TenantHint {
    TenantHint {
        customer: ExternalId(number.to_string()),
        evidence: Evidence {
            kind: EvidenceKind::MailDomain,
            value: domain.to_owned(),
        },
    }
}

impl ScriptedPsa {
    /// With so many active customers, five a page.
    pub fn with(customers: u32) -> Self {
        let psa = Self::default();
        psa.script().page = 5;
        psa.script().customers = (1..=customers).map(|n| (n, customer(n))).collect();
        psa
    }

    /// What it has, to look at and to change.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }

    /// Changes a customer, so that lists of changes name it.
    pub fn change(&self, number: u32, change: impl FnOnce(&mut Customer)) {
        let mut script = self.script();
        change(script.customers.get_mut(&number).unwrap());
        script.changed.insert(number);
    }

    /// The calls so far, which are forgotten.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.script().calls)
    }

    /// Counts a call. The error it is answered with; none at all: never.
    fn called(&self, what: String) -> Option<Result<(), PsaError>> {
        let mut script = self.script();
        script.calls.push(what);
        let number = script.calls.len();
        if script.hangs_at == Some(number) {
            return None;
        }
        let refusal = script.refuses_all.clone();
        Some(match refusal.or(script.refusals.remove(&number)) {
            Some(error) => Err(error),
            None => Ok(()),
        })
    }

    fn answer<T: Send + 'static>(
        &self,
        what: String,
        read: impl FnOnce(&Script) -> Result<T, PsaError>,
    ) -> Answer<'static, T> {
        let answer = self.called(what).map(|called| {
            called?;
            read(&self.script())
        });
        Box::pin(async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

/// Where a cursor stands.
fn place(cursor: Option<&Cursor>) -> Result<usize, PsaError> {
    let text = cursor.map_or("0", |cursor| cursor.0.as_str());
    text.parse().or(Err(PsaError::Config {
        what: "not a cursor of ours".to_owned(),
    }))
}

fn next(from: usize, page: usize, all: usize) -> Option<Cursor> {
    let next = from + page;
    (next < all).then(|| Cursor(next.to_string()))
}

impl PsaAdapter for ScriptedPsa {
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
        "webservices5.example".to_owned()
    }

    fn check<'a>(&'a self, _tickets: Option<&'a serde_json::Value>) -> Answer<'a, Report> {
        unimplemented!("no test asks")
    }

    fn list_customers<'a>(
        &'a self,
        query: &'a CustomerQuery,
        cursor: Option<&'a Cursor>,
    ) -> Answer<'a, Page<Customer>> {
        let changes = query.modified_since.is_some();
        self.script().asked_since.push(query.modified_since);
        let kind = if changes { "changes" } else { "customers" };
        let from = place(cursor);
        let what = format!("{kind} {}", cursor.map_or("-", |cursor| cursor.0.as_str()));
        self.answer(what, |script| {
            let from = from?;
            let all: Vec<&Customer> = script
                .customers
                .iter()
                .filter(|(number, _)| !changes || script.changed.contains(number))
                .map(|(_, customer)| customer)
                .collect();
            let mut items: Vec<Customer> = all
                .iter()
                .skip(from)
                .take(script.page)
                .map(|&customer| customer.clone())
                .collect();
            let repeated = script.repeated.iter();
            items.extend(repeated.filter_map(|number| script.customers.get(number).cloned()));
            Ok(Page {
                items,
                next: next(from, script.page, all.len()),
                expected: Some(u64::try_from(all.len()).unwrap()),
            })
        })
    }

    fn get_customer<'a>(&'a self, id: &'a ExternalId) -> Answer<'a, Option<Customer>> {
        let number: u32 = id.0.parse().unwrap();
        self.answer(format!("customer {number}"), |script| {
            Ok(script.customers.get(&number).cloned())
        })
    }

    fn list_hints<'a>(&'a self, cursor: Option<&'a Cursor>) -> Answer<'a, HintPage> {
        let from = place(cursor);
        let what = format!("hints {}", cursor.map_or("-", |cursor| cursor.0.as_str()));
        self.answer(what, |script| {
            let from = from?;
            if script.left_out.is_some() {
                return Ok(HintPage {
                    items: Vec::new(),
                    next: None,
                    left_out: script.left_out,
                });
            }
            let hints = script.hints.iter().skip(from).take(script.page);
            Ok(HintPage {
                items: hints.cloned().collect(),
                next: next(from, script.page, script.hints.len()),
                left_out: None,
            })
        })
    }

    fn list_sites<'a>(&'a self, customer: &'a ExternalId) -> Answer<'a, Vec<Site>> {
        let site = Site {
            id: ExternalId("1".to_owned()),
            name: format!("Site of {customer}"),
            address: Address::default(),
            phone: None,
            primary: true,
            active: true,
        };
        self.answer(format!("sites {customer}"), |_| Ok(vec![site]))
    }

    fn customer_types(&self) -> Answer<'_, Vec<Label>> {
        unimplemented!("no test asks")
    }

    fn read_event<'a>(
        &'a self,
        _event: &'a RawEvent,
        _key: &'a EventKey,
    ) -> futures_util::future::BoxFuture<'a, Result<Event, EventError>> {
        unimplemented!("no test asks")
    }

    fn register_callback<'a>(&'a self, _target: &'a CallbackTarget) -> Answer<'a, Callback> {
        unimplemented!("no test asks")
    }

    fn remove_callback<'a>(&'a self, _callback: &'a Callback) -> Answer<'a, ()> {
        unimplemented!("no test asks")
    }

    fn ticket_options(&self) -> Answer<'_, TicketOptions> {
        unimplemented!("no test asks")
    }

    fn ensure_ticket<'a>(
        &'a self,
        _settings: &'a serde_json::Value,
        _ticket: &'a NewTicket,
        _known: Option<&'a TicketRef>,
    ) -> Answer<'a, Ticket> {
        unimplemented!("no test asks")
    }

    fn add_note<'a>(
        &'a self,
        _settings: &'a serde_json::Value,
        _ticket: &'a TicketRef,
        _text: &'a str,
    ) -> Answer<'a, ()> {
        unimplemented!("no test asks")
    }

    fn close_ticket<'a>(
        &'a self,
        _settings: &'a serde_json::Value,
        _ticket: &'a TicketRef,
    ) -> Answer<'a, ()> {
        unimplemented!("no test asks")
    }
}
