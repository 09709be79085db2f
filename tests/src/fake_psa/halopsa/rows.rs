//! Clients, users, sites and tickets as HaloPSA writes them: lists with few keys, details with many.

use serde_json::{Map, Value, json};

use crate::fake_psa::{
    cell::written,
    world::{Company, Contact, Relation, Site, Ticket, World},
};

/// Most of the keys of a detail are null; these stand for some 400 others.
const NULLS: [&str; 12] = [
    "stopped",
    "pritech",
    "sectech",
    "accountmanagertech",
    "taxable",
    "override_pdftemplatequote",
    "default_currency_code",
    "client_to_invoice",
    "thirdpartynhdapiurl",
    "portalcolour",
    "monthlyreportemail",
    "billingtemplate_id",
];

/// `2026-05-28T09:14:07.12`: without a zone.
pub fn moment(millis: i64) -> String {
    written(millis, "%Y-%m-%dT%H:%M:%S%.f")
}

/// The type's name.
pub fn customer_type(relations: &[Relation]) -> &'static str {
    match relations.first() {
        Some(Relation::Client) => "Customer",
        Some(Relation::Prospect) => "Prospect",
        Some(Relation::Vendor) => "Supplier",
        Some(Relation::Partner) => "Partner",
        None => "",
    }
}

fn main_site(company: &Company, world: &World) -> (Option<i64>, &'static str) {
    let site = world.main_site(company);
    (
        site.map(|site| site.id),
        if site.is_some() { "Main" } else { "" },
    )
}

/// A row of the list: website, domain and custom fields are empty there whatever the client has.
pub fn client_row(company: &Company, world: &World) -> Value {
    let (site, site_name) = main_site(company, world);
    json!({
        "id": company.id, "name": company.name, "toplevel_id": 1, "toplevel_name": "Customers",
        "inactive": !company.state.is_active(), "colour": "#2bd3c6", "main_site_id": site,
        "main_site_name": site_name, "customertype_new": customer_type(&company.relations),
        "isopportunity": 0, "accountsid": company.code.as_deref().unwrap_or(""), "website": "",
        "domain": "", "datecreated": moment(company.created), "customfields": [], "use": "customer",
        "key": company.name, "table": 1,
    })
}

/// All of a client.
pub fn client_detail(company: &Company, world: &World) -> Value {
    let mut row = client_row(company, world);
    let field = |id: i64, name: &str, label: &str, value: &Option<String>| json!({"id": id, "name": name, "label": label, "type": 0, "value": value, "display": value});
    let contact = world.main_contact(company);
    let more = json!({
        "website": company.website, "domain": company.domain,
        "customfields": [
            field(140, "CFm365TenantId", "M365 Tenant Id", &company.tenant_field),
            field(141, "CFNotesForEngineers", "Notes for engineers", &company.notes_field),
        ],
        "accountsemailaddress": null, "main_contact_name": contact.map(Contact::name),
        "main_phonenumber": company.phone, "notes": "", "trading_name": null, "tax_number": "GB000000001",
        "alastupdate": moment(company.updated), "connectwiseid": 0, "autotaskid": 0, "xeroid": "",
        "datto_id": "", "ninjarmmid": 0, "areatype": 1, "external_links": [], "from_address_override": null,
    });
    merge(&mut row, more);
    for name in NULLS {
        row[name] = Value::Null;
    }
    row
}

fn merge(row: &mut Value, more: Value) {
    if let (Value::Object(row), Value::Object(more)) = (row, more) {
        row.extend::<Map<String, Value>>(more);
    }
}

/// A user. Ids of other records are doubles here.
pub fn user(contact: &Contact, world: &World) -> Value {
    let company = world.companies.get(&contact.company);
    let site = company
        .and_then(|company| company.main_site)
        .unwrap_or_default();
    let name = if contact.service {
        "General User".to_owned()
    } else {
        contact.name()
    };
    json!({
        "id": contact.id, "name": name, "site_id": site as f64, "site_id_int": site, "site_name": "Main",
        "client_id": contact.company, "client_name": company.and_then(|company| company.name.clone()),
        "firstname": contact.first, "surname": contact.last.as_deref().unwrap_or(""),
        "emailaddress": contact.mails.first().map_or("", String::as_str),
        "email2": contact.mails.get(1).map_or("", String::as_str), "email3": "", "phonenumber": "",
        "inactive": !contact.active, "isimportantcontact": contact.primary,
        "isserviceaccount": contact.service, "neversendemails": false, "azureoid": "", "use": "user",
    })
}

/// A site.
pub fn site(site: &Site, world: &World) -> Value {
    let company = world.companies.get(&site.company);
    let client = company
        .and_then(|company| company.name.clone())
        .unwrap_or_default();
    let place = &site.address;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    json!({
        "id": site.id, "name": site.name, "client_id": site.company as f64, "client_name": client,
        "clientsite_name": format!("{client}/{}", site.name), "inactive": !site.active,
        "phonenumber": text(&site.phone), "timezone": "", "isinvoicesite": site.primary, "sla_id": -1,
        "delivery_address_line1": text(&place.street), "delivery_address_line2": text(&place.second),
        "delivery_address_line3": text(&place.city), "delivery_address_line4": text(&place.state),
        "delivery_address_line5": text(&place.postal_code), "country_code_name": place.country.unwrap_or(""),
        "use": "site",
    })
}

/// All of a site.
pub fn site_detail(one: &Site, world: &World) -> Value {
    let place = &one.address;
    let mut row = site(one, world);
    merge(
        &mut row,
        json!({
            "delivery_address": {"line1": place.street, "line2": place.second, "line3": place.city,
                "line4": place.state, "postcode": place.postal_code},
            "emaildomain": "", "azuretenantid": "", "customfields": [],
        }),
    );
    row
}

/// A ticket.
pub fn ticket(ticket: &Ticket, world: &World) -> Value {
    let company = world.companies.get(&ticket.company);
    let site = company.and_then(|company| company.main_site);
    let mut row = json!({
        "id": ticket.id, "dateoccurred": moment(ticket.created), "summary": ticket.summary,
        "details": ticket.description, "status_id": ticket.status, "tickettype_id": ticket.board,
        "sla_id": 1, "priority_id": ticket.priority, "client_id": ticket.company,
        "client_name": company.and_then(|company| company.name.clone()), "site_id": site,
        "site_name": "Main", "user_id": 40, "user_name": "General User", "team": "Service Desk",
        "agent_id": 1, "hasbeenclosed": ticket.closed, "third_party_id": 0,
        "third_party_id_string": ticket.external.as_deref().unwrap_or(""),
        "lastactiondate": moment(ticket.updated), "deleted": false, "use": "ticket",
    });
    if ticket.closed {
        row["dateclosed"] = json!(moment(ticket.updated));
    }
    row
}
