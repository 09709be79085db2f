//! Companies, contacts, sites and tickets as ConnectWise writes them, and their fields in conditions.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::catalog;
use crate::fake_psa::{
    cell::{Cell, Kind, written},
    world::{Company, Contact, Place, Relation, Shape, Site, State, Ticket, World},
};

/// What rows are written with.
pub struct Writer<'a> {
    pub world: &'a World,
    /// `http://127.0.0.1:PORT/v2025_1//apis/3.0`: the double slash is the real one's.
    pub base: String,
}

/// Something that is listed by id.
pub trait Entity: Sized {
    /// Its word in messages.
    const NAME: &'static str;
    /// Its list.
    const PATH: &'static str;
    /// Fields that `conditions` may name.
    const FIELDS: &'static [(&'static str, Kind)];
    /// Fields of arrays, that `childConditions` may name.
    const CHILDREN: &'static [(&'static str, Kind)];
    /// Members besides those of an ordinary row that `fields` may name.
    const MEMBERS: &'static [&'static str];

    fn table(world: &World) -> &BTreeMap<i64, Self>;
    fn cell<'a>(&'a self, field: &str, world: &'a World) -> Cell<'a>;
    fn children<'a>(&'a self, field: &str) -> Vec<Cell<'a>>;
    /// Captions and values.
    fn custom_fields(&self) -> Vec<(&'static str, Option<&str>)>;
    fn write(&self, writer: &Writer<'_>) -> Value;
}

/// `2026-06-02T09:14:07Z`.
pub fn moment(millis: i64) -> String {
    written(millis, "%Y-%m-%dT%H:%M:%SZ")
}

/// A moment as it is compared: in seconds.
const fn seconds(millis: i64) -> Cell<'static> {
    Cell::Time(millis - millis.rem_euclid(1000))
}

/// The id and name of a type.
pub const fn relation(relation: Relation) -> (i64, &'static str) {
    match relation {
        Relation::Client => (1, "Client"),
        Relation::Prospect => (4, "Prospect"),
        Relation::Vendor => (5, "Vendor"),
        Relation::Partner => (6, "Referral Partner"),
    }
}

/// The id and name of a status. A deleted company keeps the one it had.
pub const fn status(state: State) -> (i64, &'static str) {
    match state {
        State::Active | State::Deleted => (1, "Active"),
        State::OnHold => (19, "Credit Hold"),
        State::Inactive => (2, "Inactive"),
    }
}

impl Writer<'_> {
    fn company(&self, id: i64) -> Value {
        match self.world.companies.get(&id) {
            None => json!({}),
            Some(company) => json!({
                "id": id, "identifier": identifier(company), "name": company.name, "_info": {},
            }),
        }
    }
}

fn identifier(company: &Company) -> String {
    let code = company.code.as_deref().unwrap_or("");
    if code.is_empty() {
        format!("Company{}", company.id)
    } else {
        code.to_owned()
    }
}

impl Entity for Company {
    const NAME: &'static str = "Company";
    const PATH: &'static str = "company/companies";
    const FIELDS: &'static [(&'static str, Kind)] = &[
        ("id", Kind::Int),
        ("identifier", Kind::Text),
        ("name", Kind::Text),
        ("status/id", Kind::Int),
        ("status/name", Kind::Text),
        ("deletedFlag", Kind::Flag),
        ("website", Kind::Text),
        ("phoneNumber", Kind::Text),
        ("city", Kind::Text),
        ("leadFlag", Kind::Flag),
        ("isVendorFlag", Kind::Flag),
        ("dateEntered", Kind::Time),
        ("lastUpdated", Kind::Time),
    ];
    const CHILDREN: &'static [(&'static str, Kind)] =
        &[("types/id", Kind::Int), ("types/name", Kind::Text)];
    const MEMBERS: &'static [&'static str] = &[
        "parentCompany",
        "dateDeleted",
        "deletedBy",
        "userDefinedField1",
        "userDefinedField2",
        "integratorTags",
    ];

    fn table(world: &World) -> &BTreeMap<i64, Self> {
        &world.companies
    }

    fn cell<'a>(&'a self, field: &str, _world: &'a World) -> Cell<'a> {
        let (status_id, status_name) = status(self.state);
        match field {
            "id" => Cell::Int(self.id),
            "identifier" => Cell::Text(identifier(self).into()),
            "name" => Cell::text(self.name.as_deref()),
            "status/id" => Cell::Int(status_id),
            "status/name" => Cell::text(Some(status_name)),
            "deletedFlag" => Cell::Flag(self.state == State::Deleted),
            "website" => Cell::text(self.website.as_deref()),
            "phoneNumber" => Cell::text(self.phone.as_deref()),
            "city" => Cell::text(self.address.city.as_deref()),
            "leadFlag" => Cell::Flag(false),
            "isVendorFlag" => Cell::Flag(self.relations.contains(&Relation::Vendor)),
            "dateEntered" => seconds(self.created),
            "lastUpdated" => seconds(self.updated),
            _ => Cell::Null,
        }
    }

    fn children<'a>(&'a self, field: &str) -> Vec<Cell<'a>> {
        let relations = self.relations.iter().map(|one| relation(*one));
        match field {
            "types/id" => relations.map(|(id, _)| Cell::Int(id)).collect(),
            _ => relations.map(|(_, name)| Cell::text(Some(name))).collect(),
        }
    }

    fn custom_fields(&self) -> Vec<(&'static str, Option<&str>)> {
        vec![
            ("M365 Tenant Id", self.tenant_field.as_deref()),
            ("Notes for engineers", self.notes_field.as_deref()),
        ]
    }

    fn write(&self, writer: &Writer<'_>) -> Value {
        let base = &writer.base;
        let (status_id, status_name) = status(self.state);
        let href = |name: &str, path: String| json!({name: format!("{base}/{path}")});
        let mut row = Map::new();
        let mut put = |name: &str, value: Value| {
            let empty = value.is_null() || value == json!("");
            if !(empty && self.shape == Shape::Sparse) {
                row.insert(name.to_owned(), value);
            }
        };
        put("id", json!(self.id));
        put("identifier", json!(identifier(self)));
        put("name", json!(self.name));
        put(
            "status",
            json!({"id": status_id, "name": status_name,
                "_info": href("status_href", format!("company/companies/statuses/{status_id}"))}),
        );
        write_place(&self.address, base, &mut put);
        put("phoneNumber", json!(self.phone));
        put("faxNumber", json!(""));
        put("website", json!(self.website));
        put("accountNumber", json!(self.code));
        if self.shape == Shape::Full {
            put(
                "territory",
                json!({"id": 2, "name": "Corporate", "_info": href("location_href", "system/locations/2".to_owned())}),
            );
            put(
                "market",
                json!({"id": 14, "name": "Healthcare",
                    "_info": href("Market_href", "company/marketDescriptions/14".to_owned())}),
            );
            put("currency", catalog::currency(base));
            let mut bill_to = writer.company(self.id);
            bill_to["_info"] = href("company_href", format!("company/companies/{}", self.id));
            put("billToCompany", bill_to);
        }
        match writer.world.main_contact(self) {
            Some(contact) => put(
                "defaultContact",
                json!({"id": contact.id, "name": contact.name(),
                    "_info": href("contact_href", format!("company/contacts/{}", contact.id))}),
            ),
            None if self.shape == Shape::Nulls => put("defaultContact", json!({})),
            None => {}
        }
        put("dateAcquired", json!("2019-03-11T00:00:00Z"));
        put("annualRevenue", json!(0.0));
        put("numberOfEmployees", json!(64));
        put("leadFlag", json!(false));
        put("unsubscribeFlag", json!(false));
        put("taxIdentifier", json!("GB000000001"));
        put("invoiceToEmailAddress", json!(null));
        let deleted = self.state == State::Deleted;
        // Old servers write null for a flag that is off.
        let flag = if self.shape == Shape::Nulls && !deleted {
            Value::Null
        } else {
            json!(deleted)
        };
        put("deletedFlag", flag);
        if deleted {
            put("dateDeleted", json!(moment(self.updated)));
            put("deletedBy", json!("ryan.cole"));
        }
        put("mobileGuid", json!("3b0c9f2e-8f1d-4a4b-9a57-2f6d2c4e9a10"));
        put(
            "isVendorFlag",
            json!(self.relations.contains(&Relation::Vendor)),
        );
        let types: Vec<Value> = self.relations.iter().map(|one| {
            let (id, name) = relation(*one);
            json!({"id": id, "name": name, "_info": href("type_href", format!("company/companies/types/{id}"))})
        }).collect();
        put(
            "types",
            if types.is_empty() && self.shape == Shape::Nulls {
                Value::Null
            } else {
                json!(types)
            },
        );
        if let Some(site) = writer.world.main_site(self) {
            let path = format!("company/companies/{}/sites/{}", self.id, site.id);
            put(
                "site",
                json!({"id": site.id, "name": site.name, "_info": href("site_href", path)}),
            );
        }
        put(
            "_info",
            json!({
                "lastUpdated": moment(self.updated), "updatedBy": "ryan.cole",
                "dateEntered": moment(self.created), "enteredBy": "admin1",
                "contacts_href": format!("{base}/company/contacts?conditions=company/id={}", self.id),
                "agreements_href": format!("{base}/finance/agreements?conditions=company/id={}", self.id),
                "sites_href": format!("{base}/company/companies/{}/sites", self.id),
            }),
        );
        put("customFields", self.write_custom_fields());
        Value::Object(row)
    }
}

impl Company {
    fn write_custom_fields(&self) -> Value {
        let field = |id: i64, caption: &str, value: Option<&str>| {
            json!({"id": id, "caption": caption, "type": "Text", "entryMethod": "EntryField",
                "numberOfDecimals": 0, "value": value, "connectWiseId": "5d0c5a6e-11f0-ee11-b0d5-000d3a1f2b3c"})
        };
        if self.shape == Shape::Sparse {
            let filled = self.custom_fields().into_iter().zip([21, 22]);
            let filled: Vec<Value> = filled
                .filter(|((_, value), _)| value.is_some())
                .map(|((caption, value), id)| field(id, caption, value))
                .collect();
            return if filled.is_empty() {
                Value::Null
            } else {
                json!(filled)
            };
        }
        let all = self.custom_fields().into_iter().zip([21, 22]);
        all.map(|((caption, value), id)| field(id, caption, value))
            .collect()
    }
}

fn write_place(place: &Place, base: &str, put: &mut impl FnMut(&str, Value)) {
    put("addressLine1", json!(place.street));
    put("addressLine2", json!(place.second));
    put("city", json!(place.city));
    put("state", json!(place.state));
    put("zip", json!(place.postal_code));
    put("country", country(place, base));
}

fn country(place: &Place, base: &str) -> Value {
    match place.country {
        Some(name) => json!({"id": 3, "name": name,
            "_info": {"country_href": format!("{base}/company/countries/3")}}),
        None => Value::Null,
    }
}

impl Entity for Contact {
    const NAME: &'static str = "Contact";
    const PATH: &'static str = "company/contacts";
    const FIELDS: &'static [(&'static str, Kind)] = &[
        ("id", Kind::Int),
        ("firstName", Kind::Text),
        ("lastName", Kind::Text),
        ("company/id", Kind::Int),
        ("company/name", Kind::Text),
        ("inactiveFlag", Kind::Flag),
        ("defaultFlag", Kind::Flag),
        ("lastUpdated", Kind::Time),
    ];
    const CHILDREN: &'static [(&'static str, Kind)] = &[
        ("communicationItems/value", Kind::Text),
        ("communicationItems/communicationType", Kind::Text),
        ("types/id", Kind::Int),
    ];
    const MEMBERS: &'static [&'static str] =
        &["types", "customFields", "department", "relationship"];

    fn table(world: &World) -> &BTreeMap<i64, Self> {
        &world.contacts
    }

    fn cell<'a>(&'a self, field: &str, world: &'a World) -> Cell<'a> {
        match field {
            "id" => Cell::Int(self.id),
            "firstName" => Cell::text(Some(&self.first)),
            "lastName" => Cell::text(self.last.as_deref()),
            "company/id" => Cell::Int(self.company),
            "company/name" => {
                let company = world.companies.get(&self.company);
                Cell::text(company.and_then(|company| company.name.as_deref()))
            }
            "inactiveFlag" => Cell::Flag(!self.active),
            "defaultFlag" => Cell::Flag(self.primary),
            "lastUpdated" => seconds(self.updated),
            _ => Cell::Null,
        }
    }

    fn children<'a>(&'a self, field: &str) -> Vec<Cell<'a>> {
        match field {
            "communicationItems/value" => self
                .mails
                .iter()
                .map(|mail| Cell::text(Some(mail)))
                .collect(),
            "communicationItems/communicationType" => self
                .mails
                .iter()
                .map(|_| Cell::text(Some("Email")))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn custom_fields(&self) -> Vec<(&'static str, Option<&str>)> {
        Vec::new()
    }

    fn write(&self, writer: &Writer<'_>) -> Value {
        let mut row = json!({
            "id": self.id, "firstName": self.first, "company": writer.company(self.company),
            "inactiveFlag": !self.active, "title": "Practice Director", "unsubscribeFlag": false,
            "defaultPhoneType": "Direct", "defaultPhoneNbr": "01174960124", "defaultBillingFlag": false,
            "defaultFlag": self.primary,
            "_info": {"lastUpdated": moment(self.updated), "updatedBy": "ryan.cole"},
        });
        if let Some(last) = &self.last {
            row["lastName"] = json!(last);
        }
        let company = writer.world.companies.get(&self.company);
        if let Some(site) = company.and_then(|company| writer.world.main_site(company)) {
            row["site"] = json!({"id": site.id, "name": site.name, "_info": {}});
        }
        // Some servers leave these out altogether, some when there is none.
        if !self.mails.is_empty() {
            row["communicationItems"] = self.write_communications();
        }
        row
    }
}

impl Contact {
    /// Its mail addresses and telephone. Types are renamed by people: only `communicationType` tells.
    pub fn write_communications(&self) -> Value {
        let mails = self.mails.iter().enumerate().map(|(n, mail)| {
            let domain = mail.rsplit_once('@').map(|(_, domain)| format!("@{domain}"));
            let name = if n == 0 { "Email" } else { "Zweitadresse" };
            json!({"id": self.id * 10 + n as i64, "type": {"id": n + 1, "name": name, "_info": {}},
                "value": mail, "defaultFlag": n == 0, "domain": domain, "communicationType": "Email"})
        });
        let phone = json!({"id": self.id * 10 + 9, "type": {"id": 9, "name": "Email phone", "_info": {}},
            "value": "01174960124", "extension": "12", "defaultFlag": true, "communicationType": "Phone"});
        mails.chain([phone]).collect()
    }
}

/// A site of a company.
pub fn write_site(site: &Site, writer: &Writer<'_>) -> Value {
    let place = &site.address;
    let mut row = json!({
        "id": site.id, "name": site.name, "addressLine1": place.street, "addressLine2": place.second,
        "city": place.city, "zip": place.postal_code, "country": country(place, &writer.base),
        "phoneNumber": site.phone, "primaryAddressFlag": site.primary,
        "defaultShippingFlag": site.primary, "defaultBillingFlag": site.primary,
        "defaultMailingFlag": site.primary, "inactiveFlag": !site.active, "billSeparateFlag": false,
        "company": writer.company(site.company),
        "_info": {"lastUpdated": moment(site.updated), "updatedBy": "ryan.cole"},
    });
    // A reference here, a text at the company.
    if let Some(state) = &place.state {
        row["stateReference"] = json!({"id": 88, "identifier": "AVN", "name": state, "_info": {}});
    }
    if let Value::Object(members) = &mut row {
        members.retain(|_, value| !value.is_null());
    }
    row
}

impl Entity for Ticket {
    const NAME: &'static str = "Ticket";
    const PATH: &'static str = "service/tickets";
    const FIELDS: &'static [(&'static str, Kind)] = &[
        ("id", Kind::Int),
        ("summary", Kind::Text),
        ("company/id", Kind::Int),
        ("company/identifier", Kind::Text),
        ("board/id", Kind::Int),
        ("status/id", Kind::Int),
        ("status/name", Kind::Text),
        ("priority/id", Kind::Int),
        ("closedFlag", Kind::Flag),
        ("externalXRef", Kind::Text),
        ("dateEntered", Kind::Time),
        ("lastUpdated", Kind::Time),
    ];
    const CHILDREN: &'static [(&'static str, Kind)] = &[];
    const MEMBERS: &'static [&'static str] = &[
        "closedDate",
        "closedBy",
        "contact",
        "agreement",
        "customFields",
        "type",
        "subType",
        "item",
    ];

    fn table(world: &World) -> &BTreeMap<i64, Self> {
        &world.tickets
    }

    fn cell<'a>(&'a self, field: &str, world: &'a World) -> Cell<'a> {
        match field {
            "id" => Cell::Int(self.id),
            "summary" => Cell::text(Some(&self.summary)),
            "company/id" => Cell::Int(self.company),
            "company/identifier" => world
                .companies
                .get(&self.company)
                .map_or(Cell::Null, |company| Cell::Text(identifier(company).into())),
            "board/id" => Cell::Int(self.board),
            "status/id" => Cell::Int(self.status),
            "status/name" => Cell::Text(catalog::status_name(self.status).into()),
            "priority/id" => Cell::Int(self.priority),
            "closedFlag" => Cell::Flag(self.closed),
            "externalXRef" => Cell::text(self.external.as_deref()),
            "dateEntered" => seconds(self.created),
            "lastUpdated" => seconds(self.updated),
            _ => Cell::Null,
        }
    }

    fn children<'a>(&'a self, _field: &str) -> Vec<Cell<'a>> {
        Vec::new()
    }

    fn custom_fields(&self) -> Vec<(&'static str, Option<&str>)> {
        Vec::new()
    }

    fn write(&self, writer: &Writer<'_>) -> Value {
        let base = &writer.base;
        let board = catalog::board_name(self.board);
        let status = json!({"id": self.status, "name": catalog::status_name(self.status), "sort": 0,
            "_info": {"status_href": format!("{base}/service/boards/{}/statuses/{}", self.board, self.status)}});
        let mut row = json!({
            "id": self.id, "summary": self.summary, "recordType": "ServiceTicket",
            "board": {"id": self.board, "name": board,
                "_info": {"board_href": format!("{base}/service/boards/{}", self.board)}},
            "status": status, "company": writer.company(self.company),
            "priority": {"id": self.priority, "name": catalog::priority_name(self.priority), "sort": 5,
                "level": "Medium", "_info": {}},
            "serviceLocation": {"id": 4, "name": "Remote", "_info": {}},
            "source": {"id": 2, "name": "Phone", "_info": {}},
            "severity": "Medium", "impact": "Medium",
            "allowAllClientsPortalView": false, "customerUpdatedFlag": false, "closedFlag": self.closed,
            "approved": true, "subBillingMethod": "ActualRates", "resolveMinutes": 0, "isInSla": false,
            "_info": {"lastUpdated": moment(self.updated), "updatedBy": "Tenantry",
                "dateEntered": moment(self.created), "enteredBy": "Tenantry"},
        });
        if let Some(external) = &self.external {
            row["externalXRef"] = json!(external);
        }
        let company = writer.world.companies.get(&self.company);
        if let Some(site) = company.and_then(|company| writer.world.main_site(company)) {
            row["site"] = json!({"id": site.id, "name": site.name, "_info": {}});
        }
        if self.closed {
            row["closedDate"] = json!(moment(self.updated));
            row["closedBy"] = json!("Tenantry");
        }
        row
    }
}
