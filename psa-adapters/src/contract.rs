//! What every adapter offers, and the words that all PSAs share.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::{
    error::PsaError,
    event::{Callback, CallbackTarget, Event, EventError, EventKey, RawEvent},
    report::Report,
    ticket::{NewTicket, Ticket, TicketOptions, TicketRef},
};

/// The future of a call to a PSA.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, PsaError>>;

/// Which PSA it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PsaKind {
    /// ConnectWise PSA, formerly Manage.
    ConnectWise,
    /// Autotask PSA.
    Autotask,
    /// HaloPSA.
    HaloPsa,
}

/// A text that names no PSA.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a PSA: use connectwise, autotask or halopsa")]
pub struct UnknownKind;

impl PsaKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ConnectWise, Self::Autotask, Self::HaloPsa];

    /// The word for it in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectWise => "connectwise",
            Self::Autotask => "autotask",
            Self::HaloPsa => "halopsa",
        }
    }

    /// The product's name, for people.
    pub const fn product(self) -> &'static str {
        match self {
            Self::ConnectWise => "ConnectWise PSA",
            Self::Autotask => "Autotask PSA",
            Self::HaloPsa => "HaloPSA",
        }
    }
}

impl FromStr for PsaKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}

/// A record's id at its PSA, as text: int32, int64, UUID, and `12.0` as `12`. Unique only together with
/// the connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExternalId(pub String);

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a customer is one at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CustomerState {
    /// A customer.
    Active,
    /// Kept by the PSA but not active.
    Inactive,
    /// Marked as deleted by the PSA.
    Deleted,
}

impl CustomerState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Deleted => "deleted",
        }
    }
}

/// An id with the name that people see: a status, a type, a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its id at the PSA.
    pub id: ExternalId,
    /// Its name there.
    pub name: String,
}

/// A postal address as far as the PSA has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Address {
    /// Street lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State or county.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Country, as the PSA names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// A customer as its PSA has it: a company in ConnectWise and Autotask, a client in HaloPSA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Its id there.
    pub id: ExternalId,
    /// Its name, trimmed; never empty (a record without a name is named by its code or id).
    pub name: String,
    /// The short code people use: identifier, company number, account number.
    pub code: Option<String>,
    /// Whether it is one at present.
    pub state: CustomerState,
    /// Its types.
    pub types: Vec<Label>,
    /// Phone, as written.
    pub phone: Option<String>,
    /// Website, as written.
    pub website: Option<String>,
    /// Address.
    pub address: Address,
    /// When it last changed there, as the PSA writes it; none where it does not say.
    pub updated_at: Option<String>,
    /// What the record itself tells about its Microsoft tenants: website, domain and custom fields.
    pub evidence: Vec<Evidence>,
    /// Whether all of the above was read. If not, a list told less than the record holds: what is known of
    /// code, phone, website, address, `updated_at` and evidence stands where nothing is said here.
    pub complete: bool,
}

/// What a piece of evidence is. Strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EvidenceKind {
    /// The PSA's own map of Microsoft tenants names the tenant.
    TenantMap,
    /// A custom field holds the tenant's id.
    TenantId,
    /// An `*.onmicrosoft.com` name.
    InitialDomain,
    /// The domain of contacts' mail addresses.
    MailDomain,
    /// The host of the website, or the record's own domain field.
    Website,
}

impl EvidenceKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::TenantMap,
        Self::TenantId,
        Self::InitialDomain,
        Self::MailDomain,
        Self::Website,
    ];

    /// The word for it in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantMap => "tenantMap",
            Self::TenantId => "tenantId",
            Self::InitialDomain => "initialDomain",
            Self::MailDomain => "mailDomain",
            Self::Website => "website",
        }
    }
}

/// Something that ties a customer to a Microsoft tenant. Never a shared mail domain (`domain::is_shared`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    /// What it is.
    pub kind: EvidenceKind,
    /// A tenant id in its hyphenated lower-case form, or a domain in lower case as punycode.
    pub value: String,
}

/// Evidence that stands in a record of its own: a contact, a row of the tenant map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantHint {
    /// The customer it is about.
    pub customer: ExternalId,
    /// What it says.
    pub evidence: Evidence,
}

/// Which list of hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HintSource {
    /// The PSA's own map of Microsoft tenants.
    TenantMap,
    /// Contacts and their mail addresses.
    Contacts,
}

/// Which customers to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerQuery {
    /// Only what changed since this moment, or may have: the adapter subtracts its own overlap. None: all,
    /// inactive and deleted ones included where the PSA lists them, so that their state is known.
    pub modified_since: Option<DateTime<Utc>>,
    /// Only customers that have one of these types, by the PSA's ids (HaloPSA: its names); empty: all.
    pub types: Vec<String>,
}

/// Where a list goes on: written and read by the adapter alone, kept by the caller, valid after a restart.
/// It never holds a secret. One whose origin is not the adapter's own is refused ([`PsaError::Config`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// One page of customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What it holds; no id twice within one read, as far as the adapter can tell.
    pub items: Vec<T>,
    /// Where to go on; none: the list was read to its end.
    pub next: Option<Cursor>,
    /// How many the whole list has, where the PSA says so.
    pub expected: Option<u64>,
}

/// One page of hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintPage {
    /// The hints. Those of one contact stand in one page.
    pub items: Vec<TenantHint>,
    /// Where to go on; none: all lists were read to their end.
    pub next: Option<Cursor>,
    /// A list that was left out because a right for it is missing: nothing may be concluded from what is
    /// not in it.
    pub left_out: Option<HintSource>,
}

/// A place of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its id at the PSA.
    pub id: ExternalId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// Phone, as written.
    pub phone: Option<String>,
    /// Whether it is the main one.
    pub primary: bool,
    /// Whether it is in use.
    pub active: bool,
}

/// What a PSA can do, where they differ and a caller must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Webhooks carry a signature over their body.
    pub signed_events: bool,
    /// We can set the webhook up by API.
    pub registers_callbacks: bool,
    /// The list of changes misses deletions, so a full read must follow once a day.
    pub needs_full_reads: bool,
    /// It keeps a map of Microsoft tenants itself.
    pub tenant_map: bool,
    /// Customers have sites.
    pub sites: bool,
}

/// One connection to one PSA.
///
/// Implementations translate and nothing else. They keep origin checks on each address that the PSA
/// gives them: the same scheme, host and port as the base, or as the documented discovery yields.
pub trait PsaAdapter: Send + Sync {
    /// Which PSA it is.
    fn kind(&self) -> PsaKind;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Which system stands behind it, comparable and without secrets: two connections with the same text
    /// see the same records under the same ids. `eu.myconnectwise.net/northgate`.
    fn system(&self) -> String;

    /// Tries everything that is used, one line for each: reachable, signed in, each right, and the
    /// settings for tickets where some are given. An error only for what makes the check itself impossible.
    fn check<'a>(&'a self, tickets: Option<&'a serde_json::Value>) -> Answer<'a, Report>;

    /// A page of customers.
    fn list_customers<'a>(
        &'a self,
        query: &'a CustomerQuery,
        cursor: Option<&'a Cursor>,
    ) -> Answer<'a, Page<Customer>>;

    /// One customer; none: there is no such record (any more).
    fn get_customer<'a>(&'a self, id: &'a ExternalId) -> Answer<'a, Option<Customer>>;

    /// A page of all hints: the tenant map first, then the mail domains of active contacts.
    fn list_hints<'a>(&'a self, cursor: Option<&'a Cursor>) -> Answer<'a, HintPage>;

    /// The sites of a customer, all of them.
    fn list_sites<'a>(&'a self, customer: &'a ExternalId) -> Answer<'a, Vec<Site>>;

    /// The types of customers that may be chosen for the sync.
    fn customer_types(&self) -> Answer<'_, Vec<Label>>;

    /// Verifies a webhook before it is parsed, and says what it hints at. May ask the PSA for the key that
    /// signs, from the PSA's own origin only.
    fn read_event<'a>(
        &'a self,
        event: &'a RawEvent,
        key: &'a EventKey,
    ) -> BoxFuture<'a, Result<Event, EventError>>;

    /// Has the PSA call us when a customer changes. Finds one of ours that is there already and uses or
    /// replaces it, so that calling twice leaves one.
    fn register_callback<'a>(&'a self, target: &'a CallbackTarget) -> Answer<'a, Callback>;

    /// Takes it away again. One that is gone already is no error.
    fn remove_callback<'a>(&'a self, callback: &'a Callback) -> Answer<'a, ()>;

    /// What may be chosen in this PSA's settings for tickets.
    fn ticket_options(&self) -> Answer<'_, TicketOptions>;

    /// The open ticket with our key, made if there is none. `known` is what we remember; it is looked at
    /// first. Never two for one key as far as the PSA lets us see.
    fn ensure_ticket<'a>(
        &'a self,
        settings: &'a serde_json::Value,
        ticket: &'a NewTicket,
        known: Option<&'a TicketRef>,
    ) -> Answer<'a, Ticket>;

    /// Adds an internal note.
    fn add_note<'a>(
        &'a self,
        settings: &'a serde_json::Value,
        ticket: &'a TicketRef,
        text: &'a str,
    ) -> Answer<'a, ()>;

    /// Closes a ticket. One that is closed or gone already is no error.
    fn close_ticket<'a>(
        &'a self,
        settings: &'a serde_json::Value,
        ticket: &'a TicketRef,
    ) -> Answer<'a, ()>;
}
