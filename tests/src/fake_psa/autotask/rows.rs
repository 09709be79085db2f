//! Entities as Autotask writes them, with what it tells about their fields.

use std::{collections::BTreeMap, sync::OnceLock};

use serde_json::{Value, json};

use crate::fake_psa::{
    cell::{Cell, Kind, written},
    world::{Company, Contact, Relation, Shape, Site, Ticket, World},
};

/// A field of an entity.
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether filters may name it.
    pub queryable: bool,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        queryable: true,
    }
}

/// Written, and not for filters.
const fn shown(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        queryable: false,
    }
}

/// Something that is queried.
pub trait Entity: Sized {
    /// Its word in messages.
    const NAME: &'static str;
    const FIELDS: &'static [Field];
    /// The right that reading it takes.
    const RIGHT: &'static str;

    fn table(world: &World) -> &BTreeMap<i64, Self>;
    fn cell(&self, field: &str) -> Cell<'_>;
    /// The value of a user-defined field; the outer none: there is no such field.
    fn udf(&self, _name: &str) -> Option<Cell<'_>> {
        None
    }
    fn write(&self) -> Value;
}

/// `2026-06-01T08:00:00.000Z`; some moments are written with fewer digits, some without `Z`.
pub fn moment(millis: i64) -> String {
    match millis % 7 {
        0 => written(millis, "%Y-%m-%dT%H:%M:%S%.3f"),
        1 => written(millis, "%Y-%m-%dT%H:%M:%S%.fZ"),
        _ => written(millis, "%Y-%m-%dT%H:%M:%S%.3fZ"),
    }
}

/// The value of `companyType`.
pub fn company_type(relations: &[Relation]) -> i64 {
    match relations.first() {
        Some(Relation::Client) | None => 1,
        Some(Relation::Prospect) => 3,
        Some(Relation::Vendor) => 7,
        Some(Relation::Partner) => 8,
    }
}

impl Entity for Company {
    const NAME: &'static str = "Company";
    const RIGHT: &'static str = "companies";
    const FIELDS: &'static [Field] = &[
        field("id", Kind::Int),
        field("companyName", Kind::Text),
        field("companyNumber", Kind::Text),
        field("companyType", Kind::Int),
        field("classification", Kind::Int),
        field("isActive", Kind::Flag),
        field("ownerResourceID", Kind::Int),
        field("parentCompanyID", Kind::Int),
        field("address1", Kind::Text),
        field("address2", Kind::Text),
        field("additionalAddressInformation", Kind::Text),
        field("city", Kind::Text),
        field("state", Kind::Text),
        field("postalCode", Kind::Text),
        field("countryID", Kind::Int),
        field("phone", Kind::Text),
        field("alternatePhone1", Kind::Text),
        field("alternatePhone2", Kind::Text),
        field("fax", Kind::Text),
        field("webAddress", Kind::Text),
        field("taxID", Kind::Text),
        field("currencyID", Kind::Int),
        field("territoryID", Kind::Int),
        field("marketSegmentID", Kind::Int),
        field("isTaxExempt", Kind::Flag),
        field("isClientPortalActive", Kind::Flag),
        field("createDate", Kind::Time),
        field("lastActivityDate", Kind::Time),
        shown("lastTrackedModifiedDateTime", Kind::Time),
        shown("userDefinedFields", Kind::Text),
    ];

    fn table(world: &World) -> &BTreeMap<i64, Self> {
        &world.companies
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "id" => Cell::Int(self.id),
            "companyName" => Cell::text(self.name.as_deref()),
            "companyNumber" => Cell::text(self.code.as_deref()),
            "companyType" => Cell::Int(company_type(&self.relations)),
            "classification" => Cell::Int(200),
            "isActive" => Cell::Flag(self.state.is_active()),
            "city" => Cell::text(self.address.city.as_deref()),
            "postalCode" => Cell::text(self.address.postal_code.as_deref()),
            "phone" => Cell::text(self.phone.as_deref()),
            "webAddress" => Cell::text(self.website.as_deref()),
            "createDate" => Cell::Time(self.created),
            // Moves with notes and time entries too.
            "lastActivityDate" => Cell::Time(self.updated),
            _ => Cell::Null,
        }
    }

    fn udf(&self, name: &str) -> Option<Cell<'_>> {
        match name {
            "M365 Tenant Id" => Some(Cell::text(self.tenant_field.as_deref())),
            "Notes for engineers" => Some(Cell::text(self.notes_field.as_deref())),
            _ => None,
        }
    }

    fn write(&self) -> Value {
        let nulls = self.shape == Shape::Nulls;
        let text = |text: &Option<String>| match text {
            None if nulls => Value::Null,
            None => json!(""),
            Some(text) => json!(text),
        };
        let place = &self.address;
        // A postal code of digits comes as a number from some databases.
        let postal_code = match place.postal_code.as_deref().map(str::parse::<i64>) {
            Some(Ok(number)) => json!(number),
            Some(Err(_)) | None => text(&place.postal_code),
        };
        let mut row = json!({
            "id": self.id, "address1": text(&place.street), "address2": text(&place.second),
            "city": text(&place.city), "classification": 200, "companyName": self.name,
            "companyNumber": self.code, "companyType": company_type(&self.relations),
            "countryID": place.country.and_then(country_id), "createDate": moment(self.created),
            "createdByResourceID": 29_682_885, "currencyID": 3, "invoiceTemplateID": 102,
            "billToAddressToUse": 1, "invoiceEmailMessageID": 1, "quoteEmailMessageID": 2,
            "quoteTemplateID": 1, "isActive": self.state.is_active(), "isClientPortalActive": true,
            "lastActivityDate": moment(self.updated), "lastTrackedModifiedDateTime": moment(self.updated),
            "ownerResourceID": 29_682_885, "phone": text(&self.phone), "postalCode": postal_code,
            "state": text(&place.state), "webAddress": text(&self.website),
            "userDefinedFields": [
                {"name": "M365 Tenant Id", "value": self.tenant_field},
                {"name": "Notes for engineers", "value": self.notes_field},
                {"name": "SLA tier", "value": null},
            ],
        });
        for (names, value) in [
            (COMPANY_TEXTS, json!("")),
            (COMPANY_NULLS, Value::Null),
            (COMPANY_FLAGS, json!(false)),
        ] {
            for name in names {
                row[name] = value.clone();
            }
        }
        row
    }
}

/// Members of companies that are empty here.
const COMPANY_TEXTS: &[&str] = &[
    "additionalAddressInformation",
    "alternatePhone1",
    "alternatePhone2",
    "billToAdditionalAddressInformation",
    "billingAddress1",
    "billingAddress2",
    "billToAttention",
    "billToCity",
    "billToState",
    "billToZipCode",
    "fax",
    "sicCode",
    "stockMarket",
    "stockSymbol",
    "taxID",
];
const COMPANY_NULLS: &[&str] = &[
    "apiVendorID",
    "assetValue",
    "billToCompanyLocationID",
    "billToCountryID",
    "competitorID",
    "impersonatorCreatorResourceID",
    "invoiceMethod",
    "marketSegmentID",
    "parentCompanyID",
    "surveyCompanyRating",
    "taxRegionID",
    "territoryID",
];
const COMPANY_FLAGS: &[&str] = &[
    "invoiceNonContractItemsToParentCompany",
    "isEnabledForComanaged",
    "isTaskFireActive",
    "isTaxExempt",
];

impl Entity for Contact {
    const NAME: &'static str = "Contact";
    const RIGHT: &'static str = "contacts";
    const FIELDS: &'static [Field] = &[
        field("id", Kind::Int),
        field("companyID", Kind::Int),
        field("firstName", Kind::Text),
        field("lastName", Kind::Text),
        field("emailAddress", Kind::Text),
        field("emailAddress2", Kind::Text),
        field("emailAddress3", Kind::Text),
        // A number here, unlike at companies.
        field("isActive", Kind::Int),
        field("primaryContact", Kind::Flag),
        field("phone", Kind::Text),
        field("mobilePhone", Kind::Text),
        field("externalID", Kind::Text),
        field("companyLocationID", Kind::Int),
        field("lastActivityDate", Kind::Time),
        field("lastModifiedDate", Kind::Time),
        shown("userDefinedFields", Kind::Text),
    ];

    fn table(world: &World) -> &BTreeMap<i64, Self> {
        &world.contacts
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        let mail = |n: usize| Cell::text(self.mails.get(n).map(String::as_str));
        match field {
            "id" => Cell::Int(self.id),
            "companyID" => Cell::Int(self.company),
            "firstName" => Cell::text(Some(&self.first)),
            "lastName" => Cell::text(self.last.as_deref()),
            "emailAddress" => mail(0),
            "emailAddress2" => mail(1),
            "emailAddress3" => mail(2),
            "isActive" => Cell::Int(i64::from(self.active)),
            "primaryContact" => Cell::Flag(self.primary),
            "lastActivityDate" | "lastModifiedDate" => Cell::Time(self.updated),
            _ => Cell::Null,
        }
    }

    fn write(&self) -> Value {
        json!({
            "id": self.id, "companyID": self.company, "firstName": self.first,
            "lastName": self.last.as_deref().unwrap_or(""),
            "emailAddress": self.mails.first().map_or("", String::as_str),
            "emailAddress2": self.mails.get(1), "emailAddress3": null,
            "isActive": i64::from(self.active), "primaryContact": self.primary, "phone": self.phone,
            "mobilePhone": "", "externalID": "", "lastActivityDate": moment(self.updated),
            "lastModifiedDate": moment(self.updated), "companyLocationID": null, "userDefinedFields": [],
        })
    }
}

impl Entity for Site {
    const NAME: &'static str = "CompanyLocation";
    const RIGHT: &'static str = "locations";
    const FIELDS: &'static [Field] = &[
        field("id", Kind::Int),
        field("companyID", Kind::Int),
        field("name", Kind::Text),
        field("address1", Kind::Text),
        field("address2", Kind::Text),
        field("city", Kind::Text),
        field("state", Kind::Text),
        field("postalCode", Kind::Text),
        field("countryID", Kind::Int),
        field("phone", Kind::Text),
        field("isActive", Kind::Flag),
        field("isPrimary", Kind::Flag),
        shown("userDefinedFields", Kind::Text),
    ];

    fn table(world: &World) -> &BTreeMap<i64, Self> {
        &world.sites
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "id" => Cell::Int(self.id),
            "companyID" => Cell::Int(self.company),
            "name" => Cell::text(Some(&self.name)),
            "city" => Cell::text(self.address.city.as_deref()),
            "isActive" => Cell::Flag(self.active),
            "isPrimary" => Cell::Flag(self.primary),
            _ => Cell::Null,
        }
    }

    fn write(&self) -> Value {
        let place = &self.address;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        json!({
            "id": self.id, "address1": text(&place.street), "address2": text(&place.second),
            "alternatePhone1": "", "alternatePhone2": "", "city": text(&place.city),
            "companyID": self.company, "countryID": place.country.and_then(country_id), "description": "", "fax": "",
            "isActive": self.active, "isPrimary": self.primary, "isTaxExempt": false, "name": self.name,
            "overrideAccountTaxSettings": false, "phone": text(&self.phone),
            "postalCode": text(&place.postal_code), "roundtripDistance": 12.5, "state": text(&place.state),
            "taxRegionID": null, "userDefinedFields": [],
        })
    }
}

impl Entity for Ticket {
    const NAME: &'static str = "Ticket";
    const RIGHT: &'static str = "tickets";
    const FIELDS: &'static [Field] = &[
        field("id", Kind::Int),
        field("ticketNumber", Kind::Text),
        field("companyID", Kind::Int),
        field("title", Kind::Text),
        field("description", Kind::Text),
        field("status", Kind::Int),
        field("priority", Kind::Int),
        field("queueID", Kind::Int),
        field("ticketType", Kind::Int),
        field("ticketCategory", Kind::Int),
        field("source", Kind::Int),
        field("issueType", Kind::Int),
        field("subIssueType", Kind::Int),
        field("assignedResourceID", Kind::Int),
        field("assignedResourceRoleID", Kind::Int),
        field("contactID", Kind::Int),
        field("contractID", Kind::Int),
        field("companyLocationID", Kind::Int),
        field("externalID", Kind::Text),
        field("createDate", Kind::Time),
        field("lastActivityDate", Kind::Time),
        field("dueDateTime", Kind::Time),
        field("completedDate", Kind::Time),
        shown("creatorType", Kind::Int),
        shown("userDefinedFields", Kind::Text),
    ];

    fn table(world: &World) -> &BTreeMap<i64, Self> {
        &world.tickets
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "id" => Cell::Int(self.id),
            "ticketNumber" => Cell::Text(number(self).into()),
            "companyID" => Cell::Int(self.company),
            "title" => Cell::text(Some(&self.summary)),
            "status" => Cell::Int(self.status),
            "priority" => Cell::Int(self.priority),
            "queueID" => Cell::Int(self.board),
            "externalID" => Cell::text(self.external.as_deref()),
            "createDate" => Cell::Time(self.created),
            "lastActivityDate" => Cell::Time(self.updated),
            _ => Cell::Null,
        }
    }

    fn write(&self) -> Value {
        json!({
            "id": self.id, "ticketNumber": number(self), "companyID": self.company, "title": self.summary,
            "description": self.description, "status": self.status, "priority": self.priority,
            "queueID": self.board, "ticketType": 1, "ticketCategory": 3, "source": 8, "issueType": null,
            "subIssueType": null, "assignedResourceID": null, "assignedResourceRoleID": null,
            "contactID": null, "contractID": null, "externalID": self.external,
            "createDate": moment(self.created), "lastActivityDate": moment(self.updated),
            "dueDateTime": moment(self.created + 172_800_000),
            "completedDate": self.closed.then(|| moment(self.updated)), "userDefinedFields": [],
        })
    }
}

/// A country; the same in every database.
pub struct Country {
    id: i64,
    name: &'static str,
}

/// Their ids and names.
const COUNTRIES: [(i64, &str); 3] = [(82, "Germany"), (105, "Ireland"), (236, "United Kingdom")];

fn country_id(name: &str) -> Option<i64> {
    let found = COUNTRIES.iter().find(|(_, known)| *known == name);
    found.map(|(id, _)| *id)
}

impl Entity for Country {
    const NAME: &'static str = "Country";
    const RIGHT: &'static str = "companies";
    const FIELDS: &'static [Field] = &[
        field("id", Kind::Int),
        field("name", Kind::Text),
        field("displayName", Kind::Text),
        field("countryCode", Kind::Text),
        field("isActive", Kind::Flag),
    ];

    fn table(_world: &World) -> &BTreeMap<i64, Self> {
        static TABLE: OnceLock<BTreeMap<i64, Country>> = OnceLock::new();
        TABLE.get_or_init(|| {
            let rows = COUNTRIES.iter();
            rows.map(|(id, name)| (*id, Country { id: *id, name }))
                .collect()
        })
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        match field {
            "id" => Cell::Int(self.id),
            "name" | "displayName" => Cell::text(Some(self.name)),
            "isActive" => Cell::Flag(true),
            _ => Cell::Null,
        }
    }

    fn write(&self) -> Value {
        json!({"id": self.id, "name": self.name, "displayName": self.name, "countryCode": "",
            "isActive": true})
    }
}

/// The number that people see.
pub fn number(ticket: &Ticket) -> String {
    format!(
        "T{}.{:04}",
        written(ticket.created, "%Y%m%d"),
        ticket.id % 10_000
    )
}
