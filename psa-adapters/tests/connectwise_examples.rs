//! Example answers of ConnectWise PSA, served to the adapter by the operations that read them.
//!
//! The project's own fixtures always run. When `TENANTRY_EXAMPLES` names a folder of examples, those of
//! `psa-examples/connectwise` in it or beside it are read as well. What is expected is taken from each file
//! itself. A file that nothing here knows fails.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};
use tenantry_psa::{
    Credentials, CustomerQuery, CustomerState, EvidenceKind, ExternalId, Limits, PsaAdapter,
    PsaError, PsaKind, Reply, Request, Secret, Transport, TransportError,
    connectwise::{self, ConnectWise},
    event::{CallbackTarget, ChangeHint, EventError, EventKey, RawEvent},
    ticket::{NewTicket, TicketRef},
    wire,
};
use url::Url;

#[path = "../src/scripted.rs"]
#[expect(dead_code, reason = "it serves other tests too")]
mod scripted;

use scripted::{Expected, Scripted, delete, get, patch, post};

/// Examples about billing, which no operation reads.
const NOT_READ: &[&str] = &[
    "addition_created.json",
    "addition_patched.json",
    "additions.json",
    "agreements.json",
];

/// A folder of examples, with what its index says of each file.
struct Examples {
    folder: PathBuf,
    index: Vec<Value>,
}

impl Examples {
    fn read(folder: PathBuf) -> Self {
        let text = fs::read_to_string(folder.join("index.json")).expect("an index");
        let index: Value = serde_json::from_str(&text).unwrap();
        let index = index["examples"].as_array().unwrap().clone();
        Self { folder, index }
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(self.folder.join(file)).expect("the folder has this example")
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&self.bytes(file)).unwrap()
    }

    fn entry(&self, file: &str) -> &Value {
        let named = |entry: &&Value| entry["file"] == file;
        self.index.iter().find(named).expect("the index has it")
    }

    fn path(&self, file: &str) -> String {
        let path = self.entry(file)["request"]["path"].as_str().unwrap();
        path.split('?').next().unwrap().to_owned()
    }

    /// The file as the answer to what its index names.
    fn served(&self, file: &str) -> Expected {
        let path = self.path(file);
        let method = self.entry(file)["request"]["method"].as_str().unwrap();
        let expected = match method {
            "GET" => get(&path),
            "POST" => post(&path),
            "PATCH" => patch(&path),
            "DELETE" => delete(&path),
            _ => panic!("{file}: method {method}"),
        };
        self.answering(file, expected)
    }

    /// The file as the answer to another request.
    fn answering(&self, file: &str, expected: Expected) -> Expected {
        let entry = self.entry(file);
        let status = entry["status"].as_u64().unwrap().try_into().unwrap();
        let answer = expected.answer_raw(status, "application/json", self.bytes(file));
        let headers = entry["headers"].as_object().into_iter().flatten();
        headers.fold(answer, |answer, (name, value)| {
            answer.with(name, value.as_str().unwrap())
        })
    }

    /// Where the API of these examples is.
    fn api(&self) -> String {
        let info = self.json("companyinfo.json");
        format!("/{}apis/3.0", info["Codebase"].as_str().unwrap())
    }

    /// A connection to the company of these examples.
    fn opened(&self) -> (Arc<Scripted>, ConnectWise) {
        let event = self.json("callback_event_company_updated.json");
        let mut base: Url = text(&event["Metadata"]["key_url"]).parse().unwrap();
        base.set_path("");
        base.set_query(None);
        let company = self.json("companyinfo.json")["CompanyID"].clone();
        let entered =
            json!({"companyId": company, "publicKey": "p", "privateKey": "q", "clientId": "c"});
        let Ok(Credentials::ConnectWise(credentials)) =
            Credentials::parse(PsaKind::ConnectWise, &entered)
        else {
            panic!("credentials");
        };
        let psa = Scripted::at("2026-06-10T12:00:00Z");
        psa.expect(self.served("companyinfo.json").always());
        let adapter = connectwise::open(base.as_str(), credentials, psa.clone()).unwrap();
        (psa, adapter)
    }

    /// The same, with the table of statuses there to be read.
    fn opened_with_statuses(&self) -> (Arc<Scripted>, ConnectWise) {
        let (psa, adapter) = self.opened();
        psa.expect(self.served("company_statuses.json").always());
        (psa, adapter)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn id(value: &Value) -> ExternalId {
    wire::id_of(value).expect("an id")
}

/// The last or the given part of an example's path, as an id.
fn id_in(path: &str, place: usize) -> ExternalId {
    ExternalId(path.split('/').rev().nth(place).unwrap().to_owned())
}

fn is_company(customer: &tenantry_psa::Customer, record: &Value, statuses: &Value) {
    assert_eq!(customer.id, id(&record["id"]));
    let names = [&record["name"], &record["identifier"]];
    let name = names.into_iter().find_map(wire::text_of);
    assert_eq!(customer.name, name.unwrap_or(customer.id.0.clone()));
    for (ours, theirs) in [
        (&customer.code, &record["identifier"]),
        (&customer.phone, &record["phoneNumber"]),
        (&customer.website, &record["website"]),
        (&customer.address.city, &record["city"]),
        (&customer.address.state, &record["state"]),
        (&customer.address.postal_code, &record["zip"]),
        (&customer.address.country, &record["country"]["name"]),
        (&customer.updated_at, &record["_info"]["lastUpdated"]),
    ] {
        assert_eq!(*ours, wire::text_of(theirs));
    }
    let lines = [&record["addressLine1"], &record["addressLine2"]];
    let lines: Vec<String> = lines.into_iter().filter_map(wire::text_of).collect();
    assert_eq!(customer.address.lines, lines);
    let types = record["types"].as_array().into_iter().flatten();
    let types: Vec<ExternalId> = types.map(|kind| id(&kind["id"])).collect();
    let ours: Vec<ExternalId> = customer.types.iter().map(|kind| kind.id.clone()).collect();
    assert_eq!(ours, types);
    let status = wire::id_of(&record["status"]["id"]);
    let mut table = statuses.as_array().unwrap().iter();
    let is_inactive =
        table.any(|row| wire::id_of(&row["id"]) == status && row["inactiveFlag"] == true);
    let state = match (record["deletedFlag"] == true, is_inactive) {
        (true, _) => CustomerState::Deleted,
        (false, true) => CustomerState::Inactive,
        (false, false) => CustomerState::Active,
    };
    assert_eq!(customer.state, state);
    has_evidence(customer, record);
}

fn has_evidence(customer: &tenantry_psa::Customer, record: &Value) {
    let values: Vec<&str> = customer.evidence.iter().map(|e| e.value.as_str()).collect();
    let website = text(&record["website"]).to_lowercase();
    let is_found = values.iter().any(|value| website.contains(value));
    assert_eq!(is_found, website.contains('.'), "{website}");
    for field in record["customFields"].as_array().into_iter().flatten() {
        if text(&field["caption"]).to_lowercase().contains("tenant") {
            let value = text(&field["value"]).to_lowercase();
            let value = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            assert!(values.contains(&value), "{value}");
            let is_tenant = |e: &tenantry_psa::Evidence| e.kind == EvidenceKind::TenantId;
            assert!(customer.evidence.iter().any(is_tenant));
        }
    }
}

/// The two pages of companies, from a server that numbers its pages.
async fn pages_of_companies(of: &Examples) {
    let (psa, adapter) = of.opened_with_statuses();
    let path = of.path("companies_page1.json");
    psa.expect(of.served("companies_page1.json").no_query("page"));
    psa.expect(of.answering("companies_page1.json", get(&path).query("page", "1")));
    psa.expect(of.answering("companies_page2_last.json", get(&path).query("page", "2")));
    let query = CustomerQuery::default();
    let first = adapter.list_customers(&query, None).await.unwrap();
    let second = adapter.list_customers(&query, first.next.as_ref()).await;
    let second = second.unwrap();
    psa.finish();
    assert_eq!(second.next, None);
    let statuses = of.json("company_statuses.json");
    for (file, page) in [
        ("companies_page1.json", first),
        ("companies_page2_last.json", second),
    ] {
        let records = of.json(file);
        let records = records.as_array().unwrap();
        assert_eq!(page.items.len(), records.len());
        for (customer, record) in page.items.iter().zip(records) {
            is_company(customer, record, &statuses);
        }
    }
}

async fn one_company(of: &Examples) {
    let (psa, adapter) = of.opened_with_statuses();
    psa.expect(of.served("company_single.json"));
    let asked = id_in(&of.path("company_single.json"), 0);
    let customer = adapter.get_customer(&asked).await.unwrap().unwrap();
    let record = of.json("company_single.json");
    is_company(&customer, &record, &of.json("company_statuses.json"));
}

async fn types(of: &Examples) {
    let (psa, adapter) = of.opened();
    psa.expect(of.served("company_types.json"));
    let types = adapter.customer_types().await.unwrap();
    let rows = of.json("company_types.json");
    for (label, row) in types.iter().zip(rows.as_array().unwrap()) {
        assert_eq!(
            (&label.id, &label.name),
            (&id(&row["id"]), &text(&row["name"]))
        );
    }
    assert_eq!(types.len(), rows.as_array().unwrap().len());
}

async fn contacts(of: &Examples) {
    let (psa, adapter) = of.opened();
    psa.expect(of.served("contacts.json"));
    let hints = adapter.list_hints(None).await.unwrap().items;
    let mut expected = Vec::new();
    for contact in of.json("contacts.json").as_array().unwrap() {
        let Some(company) = wire::id_of(&contact["company"]["id"]) else {
            continue;
        };
        let items = contact["communicationItems"].as_array();
        let mut domains: Vec<String> = items
            .into_iter()
            .flatten()
            .filter(|item| item["communicationType"] == "Email")
            .map(|item| text(&item["value"]).rsplit('@').next().unwrap().to_owned())
            .filter(|domain| !tenantry_psa::domain::is_shared(domain))
            .collect();
        domains.sort();
        domains.dedup();
        expected.extend(domains.into_iter().map(|domain| (company.clone(), domain)));
    }
    let told: Vec<(ExternalId, String)> = hints
        .into_iter()
        .map(|hint| (hint.customer, hint.evidence.value))
        .collect();
    assert!(!told.is_empty());
    assert_eq!(told, expected);
}

async fn sites(of: &Examples) {
    let (psa, adapter) = of.opened();
    psa.expect(of.served("company_sites.json"));
    let company = id_in(&of.path("company_sites.json"), 1);
    let sites = adapter.list_sites(&company).await.unwrap();
    let rows = of.json("company_sites.json");
    assert_eq!(sites.len(), rows.as_array().unwrap().len());
    for (site, row) in sites.iter().zip(rows.as_array().unwrap()) {
        assert_eq!(
            (&site.id, &site.name),
            (&id(&row["id"]), &text(&row["name"]))
        );
        assert_eq!(site.address.city, wire::text_of(&row["city"]));
        let state = wire::text_of(&row["stateReference"]["name"]);
        assert_eq!(site.address.state, state);
        assert_eq!(site.address.postal_code, wire::text_of(&row["zip"]));
        assert_eq!(site.primary, row["primaryAddressFlag"] == true);
        assert_eq!(site.active, row["inactiveFlag"] != true);
    }
}

/// The whole look: the page about the system, the count, the statuses of a board.
async fn check(of: &Examples) {
    let (psa, adapter) = of.opened_with_statuses();
    let api = of.api();
    for file in [
        "system_info.json",
        "companies_count.json",
        "board_statuses.json",
    ] {
        psa.expect(of.served(file));
    }
    psa.expect(of.answering("contacts.json", get(&format!("{api}/company/contacts"))));
    psa.expect(get(&format!("{api}/system/callbacks")).answer(200, json!([])));
    psa.expect(of.answering(
        "tickets_open_by_xref.json",
        get(&format!("{api}/service/tickets")),
    ));
    let settings = json!({"boardId": id_in(&of.path("board_statuses.json"), 1)});
    let report = adapter.check(Some(&settings)).await.unwrap();
    psa.finish();
    assert!(report.ok(), "{report:#?}");
    let version = text(&of.json("system_info.json")["version"]);
    assert!(report.checks[0].detail.contains(&version));
    let count = of.json("companies_count.json")["count"].to_string();
    assert!(report.checks[2].detail.contains(&count));
}

fn target(of: &Examples) -> CallbackTarget {
    let url = text(&of.json("callback_created.json")["url"]);
    CallbackTarget {
        url: url.split('?').next().unwrap().parse().unwrap(),
        secret: Secret::new("unused".to_owned()),
        name: text(&of.json("callback_created.json")["description"]),
    }
}

async fn callback(of: &Examples, file: &str) {
    let (psa, adapter) = of.opened();
    let list = of.path("callback_created.json");
    psa.expect(get(&list).answer(200, json!([])));
    psa.expect(of.served(file));
    let created = of.json("callback_created.json");
    if file == "callback_error_duplicate.json" {
        psa.expect(get(&list).answer(200, json!([created])));
    }
    let made = adapter.register_callback(&target(of)).await.unwrap();
    assert_eq!(made.id, id(&created["id"]));
    psa.finish();
    let sent = psa.sent();
    let posted = sent.iter().find(|sent| sent.method == "POST").unwrap();
    let body = &of.entry(file)["request"]["body"];
    if body.is_object() {
        assert_eq!(posted.json(), *body);
    }
    assert_eq!(posted.json()["url"], created["url"]);

    // The next time it is found.
    psa.expect(get(&list).answer(200, json!([created])));
    let found = adapter.register_callback(&target(of)).await.unwrap();
    assert_eq!(found, made);
}

async fn event(of: &Examples) {
    let file = "callback_event_company_updated.json";
    let (psa, adapter) = of.opened();
    psa.expect(of.served("callback_signing_key.json"));
    let mut headers = HeaderMap::new();
    for (name, value) in of.entry(file)["headers"].as_object().unwrap() {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, value.as_str().unwrap().parse().unwrap());
    }
    let mut event = RawEvent {
        headers,
        query: String::new(),
        body: of.bytes(file),
    };
    let key = EventKey {
        secret: Secret::new("unused".to_owned()),
    };
    let read = adapter.read_event(&event, &key).await.unwrap();
    let told = of.json(file);
    assert_eq!(read.id, wire::text_of(&told["MessageId"]));
    assert_eq!(read.hints, [ChangeHint::Customer(id(&told["ID"]))]);
    psa.finish();
    event.body.push(b' ');
    let forged = adapter.read_event(&event, &key).await;
    assert_eq!(forged, Err(EventError::NotAuthentic));
}

/// The ticket that the examples are about, and the settings it was made with.
fn ticket(of: &Examples) -> (NewTicket, Value) {
    let record = of.json("ticket_created.json");
    let body = &of.entry("ticket_created.json")["request"]["body"];
    let ticket = NewTicket {
        key: text(&record["externalXRef"]),
        customer: id(&record["company"]["id"]),
        summary: text(&record["summary"]),
        description: text(&body["initialDescription"]),
    };
    (ticket, json!({"boardId": record["board"]["id"]}))
}

async fn ticket_made(of: &Examples) {
    let (psa, adapter) = of.opened();
    let (new, settings) = ticket(of);
    psa.expect(get(&of.path("ticket_created.json")).answer(200, json!([])));
    psa.expect(of.served("ticket_created.json"));
    let made = adapter.ensure_ticket(&settings, &new, None).await.unwrap();
    let record = of.json("ticket_created.json");
    assert_eq!((made.reference.id, made.created), (id(&record["id"]), true));
    let body = &of.entry("ticket_created.json")["request"]["body"];
    if body.is_object() {
        assert_eq!(psa.sent().last().unwrap().json(), *body);
    }
}

async fn ticket_found(of: &Examples) {
    let (psa, adapter) = of.opened();
    let (new, settings) = ticket(of);
    psa.expect(of.served("tickets_open_by_xref.json"));
    let found = adapter.ensure_ticket(&settings, &new, None).await.unwrap();
    let row = &of.json("tickets_open_by_xref.json")[0];
    assert_eq!((found.reference.id, found.created), (id(&row["id"]), false));
    let asked = of.entry("tickets_open_by_xref.json")["request"]["path"].clone();
    let conditions = psa.sent().last().unwrap().query("conditions").unwrap();
    assert!(text(&asked).contains(&conditions), "{conditions}");
}

async fn ticket_noted(of: &Examples) {
    let (psa, adapter) = of.opened();
    psa.expect(of.served("ticket_note_created.json"));
    let reference = TicketRef {
        id: id_in(&of.path("ticket_note_created.json"), 1),
    };
    let note = text(&of.json("ticket_note_created.json")["text"]);
    let (_, settings) = ticket(of);
    adapter
        .add_note(&settings, &reference, &note)
        .await
        .unwrap();
    let body = &of.entry("ticket_note_created.json")["request"]["body"];
    if body.is_object() {
        assert_eq!(psa.sent().last().unwrap().json(), *body);
    }
}

async fn ticket_closed(of: &Examples) {
    let (psa, adapter) = of.opened();
    let path = of.path("ticket_closed.json");
    psa.expect(get(&path).answer(200, of.json("ticket_created.json")));
    psa.expect(of.served("board_statuses.json"));
    psa.expect(of.served("ticket_closed.json"));
    let reference = TicketRef {
        id: id_in(&path, 0),
    };
    let (_, settings) = ticket(of);
    adapter.close_ticket(&settings, &reference).await.unwrap();
    psa.finish();
    let status = &of.json("ticket_closed.json")["status"]["id"];
    let sent = psa.sent().last().unwrap().json();
    assert_eq!(
        sent,
        json!([{"op": "replace", "path": "status", "value": {"id": status}}])
    );
}

async fn invalid(of: &Examples) {
    let (psa, adapter) = of.opened();
    let (new, settings) = ticket(of);
    psa.expect(get(&of.path("ticket_created.json")).answer(200, json!([])));
    psa.expect(of.served("error_400_invalid_object.json"));
    let refused = adapter.ensure_ticket(&settings, &new, None).await;
    let told = of.json("error_400_invalid_object.json");
    let Err(PsaError::Validation { fields, text: said }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(fields, [text(&told["errors"][0]["field"])]);
    assert!(said.contains(&text(&told["errors"][0]["message"])));
}

async fn bad_keys(of: &Examples) {
    let (psa, adapter) = of.opened();
    psa.expect(of.served("error_401_bad_keys.json"));
    let count = get(&of.path("companies_count.json"));
    psa.expect(of.answering("error_401_bad_keys.json", count));
    let report = adapter.check(None).await.unwrap();
    psa.finish();
    let last = report.checks.last().unwrap();
    assert!(last.name == "credentials" && !last.ok);
    let said = text(&of.json("error_401_bad_keys.json")["message"]);
    assert!(last.detail.contains(&said));
}

/// Its example was refused for a list that we do not read; the same words come for each.
async fn permission(of: &Examples) {
    let (psa, adapter) = of.opened();
    let types = get(&of.path("company_types.json"));
    psa.expect(of.answering("error_403_permission.json", types));
    assert!(matches!(
        adapter.customer_types().await,
        Err(PsaError::Permission { what }) if what.contains("Table Setup")
    ));
}

async fn no_record(of: &Examples) {
    let (psa, adapter) = of.opened();
    psa.expect(of.served("error_404_record.json"));
    let asked = id_in(&of.path("error_404_record.json"), 0);
    assert_eq!(adapter.get_customer(&asked).await, Ok(None));
    psa.finish();
}

async fn too_many(of: &Examples) {
    let (psa, adapter) = of.opened();
    psa.expect(of.served("error_429.json"));
    let refused = adapter
        .list_customers(&CustomerQuery::default(), None)
        .await;
    let Err(PsaError::RateLimited {
        retry_after: Some(seconds),
    }) = refused
    else {
        panic!("{refused:?}");
    };
    let words = text(&of.json("error_429.json")["message"]);
    assert!(words.contains(&format!("{seconds} seconds")));
    assert_eq!(psa.pauses(), [seconds]);
}

async fn read(of: &Examples, file: &str) {
    match file {
        "companies_page1.json" | "companies_page2_last.json" => pages_of_companies(of).await,
        "companyinfo.json" | "company_statuses.json" | "company_single.json" => {
            one_company(of).await;
        }
        "company_types.json" => types(of).await,
        "contacts.json" => contacts(of).await,
        "company_sites.json" => sites(of).await,
        "system_info.json" | "companies_count.json" | "board_statuses.json" => check(of).await,
        "callback_created.json" | "callback_error_duplicate.json" => callback(of, file).await,
        "callback_event_company_updated.json" | "callback_signing_key.json" => event(of).await,
        "ticket_created.json" => ticket_made(of).await,
        "tickets_open_by_xref.json" => ticket_found(of).await,
        "ticket_note_created.json" => ticket_noted(of).await,
        "ticket_closed.json" => ticket_closed(of).await,
        "error_400_invalid_object.json" => invalid(of).await,
        "error_401_bad_keys.json" => bad_keys(of).await,
        "error_403_permission.json" => permission(of).await,
        "error_404_record.json" => no_record(of).await,
        "error_429.json" => too_many(of).await,
        _ => panic!("{file}: no operation is known that reads this example"),
    }
}

/// Reads every file of a folder by the operation that it is an answer to.
async fn read_all(folder: PathBuf) {
    let of = Examples::read(folder);
    let mut files: Vec<String> = fs::read_dir(&of.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|file| file != "index.json" && !NOT_READ.contains(&file.as_str()))
        .collect();
    files.sort();
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        read(&of, &file).await;
    }
}

/// The folder that `TENANTRY_EXAMPLES` leads to, which may name the examples of Microsoft Graph beside it.
fn given() -> Option<PathBuf> {
    let named = PathBuf::from(std::env::var_os("TENANTRY_EXAMPLES")?);
    let folders = [
        named.join("connectwise"),
        named.join("psa-examples/connectwise"),
        named.join("../psa-examples/connectwise"),
    ];
    let found = folders.into_iter().find(|folder| folder.is_dir());
    Some(found.expect("TENANTRY_EXAMPLES leads to psa-examples/connectwise"))
}

#[tokio::test]
async fn our_own_examples_are_read_by_the_operations_they_answer() {
    read_all(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/connectwise")).await;
}

#[tokio::test]
async fn the_given_examples_are_read_by_the_operations_they_answer() {
    match given() {
        Some(folder) => read_all(folder).await,
        None => println!("TENANTRY_EXAMPLES is not set: only the project's own examples are read"),
    }
}
