//! What a PSA knows: companies, contacts, sites and tickets, in words that all three share. Each stand-in
//! writes its own rows from it.

use std::collections::BTreeMap;

use uuid::Uuid;

/// All of it. Keys are the PSA's ids.
#[derive(Default)]
pub struct World {
    pub companies: BTreeMap<i64, Company>,
    pub contacts: BTreeMap<i64, Contact>,
    pub sites: BTreeMap<i64, Site>,
    pub tickets: BTreeMap<i64, Ticket>,
    /// Distance between the ids of companies.
    pub step: i64,
}

/// A company: a firm that the MSP deals with.
#[derive(Clone, Debug)]
pub struct Company {
    pub id: i64,
    /// As people wrote it, with blanks around it at times; some records have none.
    pub name: Option<String>,
    /// The short code: identifier, company number, account number.
    pub code: Option<String>,
    pub state: State,
    pub relations: Vec<Relation>,
    pub website: Option<String>,
    pub phone: Option<String>,
    pub address: Place,
    /// The custom field "M365 Tenant Id", as people wrote it.
    pub tenant_field: Option<String>,
    /// The custom field "Notes for engineers".
    pub notes_field: Option<String>,
    /// The tenant that HaloPSA's own map names.
    pub mapped: Option<MappedTenant>,
    /// HaloPSA's own domain field.
    pub domain: Option<String>,
    pub main_site: Option<i64>,
    pub main_contact: Option<i64>,
    /// Milliseconds since 1970.
    pub created: i64,
    pub updated: i64,
    pub shape: Shape,
}

/// A Microsoft tenant in HaloPSA's map.
#[derive(Clone, Debug)]
pub struct MappedTenant {
    pub id: Uuid,
    pub domain: String,
}

/// Whether a company is one at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Active,
    /// Active, with a status that forbids saving (ConnectWise's "Credit Hold").
    OnHold,
    Inactive,
    /// Kept with a mark; ConnectWise alone has these.
    Deleted,
}

impl State {
    /// Whether it is a customer at present.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::OnHold)
    }
}

/// What a company is to the MSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Client,
    Prospect,
    Vendor,
    Partner,
}

/// How a record's empty members are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All members, filled.
    Full,
    /// Empty members are left out (where the PSA does such a thing).
    Sparse,
    /// Empty members are null, references `{}`.
    Nulls,
}

/// An address.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub street: Option<String>,
    pub second: Option<String>,
    pub city: Option<String>,
    pub state: Option<String>,
    pub postal_code: Option<String>,
    pub country: Option<&'static str>,
}

/// A person at a company.
#[derive(Clone, Debug)]
pub struct Contact {
    pub id: i64,
    pub company: i64,
    pub first: String,
    pub last: Option<String>,
    /// Mail addresses, the first is the default.
    pub mails: Vec<String>,
    pub phone: Option<String>,
    pub active: bool,
    pub primary: bool,
    /// HaloPSA's "General User" that each site has.
    pub service: bool,
    pub updated: i64,
}

/// A place of a company.
#[derive(Clone, Debug)]
pub struct Site {
    pub id: i64,
    pub company: i64,
    pub name: String,
    pub address: Place,
    pub phone: Option<String>,
    pub primary: bool,
    pub active: bool,
    pub updated: i64,
}

/// A ticket.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub id: i64,
    pub company: i64,
    pub summary: String,
    pub description: String,
    /// The caller's own key in the field that the PSA has for it.
    pub external: Option<String>,
    /// Board, queue or ticket type.
    pub board: i64,
    pub status: i64,
    pub priority: i64,
    pub closed: bool,
    pub created: i64,
    pub updated: i64,
    pub notes: Vec<Note>,
}

/// A note on a ticket.
#[derive(Clone, Debug)]
pub struct Note {
    pub id: i64,
    pub text: String,
    pub internal: bool,
}

/// What a change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Added,
    Updated,
    Deleted,
}

/// A company that changed.
#[derive(Clone, Debug)]
pub struct Change {
    pub action: Action,
    pub company: Company,
}

impl Company {
    /// The name people would call it by: a record without one is called by its code or id.
    pub fn shown(&self) -> String {
        let named = [&self.name, &self.code]
            .into_iter()
            .flatten()
            .map(|text| text.trim())
            .find(|text| !text.is_empty());
        named.map_or_else(|| self.id.to_string(), str::to_owned)
    }

    /// An ordinary client that was made at this moment.
    pub fn new(id: i64, name: &str, now: i64) -> Self {
        Self {
            id,
            name: Some(name.to_owned()),
            code: Some(format!("C{id}")),
            state: State::Active,
            relations: vec![Relation::Client],
            website: None,
            phone: None,
            address: Place::default(),
            tenant_field: None,
            notes_field: None,
            mapped: None,
            domain: None,
            main_site: None,
            main_contact: None,
            created: now,
            updated: now,
            shape: Shape::Full,
        }
    }
}

impl World {
    /// Ids and names of those that are customers at present, whatever their type; id 0 is the MSP itself.
    pub fn truth(&self) -> BTreeMap<String, String> {
        self.companies
            .values()
            .filter(|company| company.id != 0 && company.state.is_active())
            .map(|company| (company.id.to_string(), company.shown()))
            .collect()
    }

    /// The next free id of a company.
    pub fn next_company(&self) -> i64 {
        self.companies.last_key_value().map_or(1, |(id, _)| *id) + self.step
    }

    /// Adds a client with a main site.
    pub fn add_company(&mut self, name: &str, now: i64) -> Change {
        let mut company = Company::new(self.next_company(), name, now);
        company.main_site = Some(next(&self.sites));
        let site = Site {
            id: next(&self.sites),
            company: company.id,
            name: "Main".to_owned(),
            address: Place::default(),
            phone: None,
            primary: true,
            active: true,
            updated: now,
        };
        self.sites.insert(site.id, site);
        self.companies.insert(company.id, company.clone());
        Change {
            action: Action::Added,
            company,
        }
    }

    /// Changes a company; none where there is no such.
    pub fn change(&mut self, id: i64, now: i64, how: impl FnOnce(&mut Company)) -> Option<Change> {
        let company = self.companies.get_mut(&id)?;
        how(company);
        company.updated = now;
        Some(Change {
            action: Action::Updated,
            company: company.clone(),
        })
    }

    /// Takes a company away with all that belongs to it.
    pub fn remove(&mut self, id: i64) -> Option<Change> {
        let company = self.companies.remove(&id)?;
        self.contacts.retain(|_, contact| contact.company != id);
        self.sites.retain(|_, site| site.company != id);
        Some(Change {
            action: Action::Deleted,
            company,
        })
    }

    /// Hands contacts, sites and tickets of one company to another.
    pub fn hand_over(&mut self, from: i64, into: i64) {
        let contacts = self.contacts.values_mut();
        for contact in contacts.filter(|contact| contact.company == from) {
            contact.company = into;
        }
        for site in self.sites.values_mut().filter(|site| site.company == from) {
            site.company = into;
            site.primary = false;
        }
        let tickets = self.tickets.values_mut();
        for ticket in tickets.filter(|ticket| ticket.company == from) {
            ticket.company = into;
        }
    }

    /// Adds a contact with a mail address.
    pub fn add_contact(&mut self, company: i64, first: &str, mail: &str, now: i64) -> i64 {
        let id = next(&self.contacts);
        let contact = Contact {
            id,
            company,
            first: first.to_owned(),
            last: None,
            mails: vec![mail.to_owned()],
            phone: None,
            active: true,
            primary: false,
            service: false,
            updated: now,
        };
        self.contacts.insert(id, contact);
        id
    }

    /// The main site of a company.
    pub fn main_site(&self, company: &Company) -> Option<&Site> {
        self.sites.get(&company.main_site?)
    }

    /// The contact that a company names first.
    pub fn main_contact(&self, company: &Company) -> Option<&Contact> {
        self.contacts.get(&company.main_contact?)
    }
}

/// The id after the last.
pub fn next<T>(table: &BTreeMap<i64, T>) -> i64 {
    table.last_key_value().map_or(1, |(id, _)| *id + 1)
}

impl Contact {
    /// First and last name.
    pub fn name(&self) -> String {
        match &self.last {
            Some(last) => format!("{} {last}", self.first),
            None => self.first.clone(),
        }
    }
}
