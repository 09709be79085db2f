//! Example bodies of Autotask, read by the operations that meet them.
//!
//! The project's own fixtures always run. When `TENANTRY_EXAMPLES` names a folder, the examples of Autotask
//! in it or beside it are read as well. What must be read out of a file is compared with the file itself.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[expect(dead_code, reason = "not every test needs every kind of expectation")]
#[path = "../src/scripted.rs"]
mod scripted;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use reqwest::header::{HeaderMap, HeaderName};
use scripted::{Expected, Scripted, get, patch, post};
use serde_json::{Value, json};
use tenantry_psa::{
    Customer, CustomerQuery, CustomerState, EvidenceKind, ExternalId, Limits, PsaAdapter, PsaError,
    Reply, Request, Secret, Transport, TransportError,
    autotask::{self, Autotask},
    credentials::AutotaskCredentials,
    event::{Callback, CallbackTarget, ChangeHint, EventError, EventKey, RawEvent},
    ticket::{NewTicket, TicketRef},
};
use url::Url;

/// Bodies of billing and of the version, which no operation reads.
const NOT_READ: &[&str] = &[
    "contract_service_adjustment_created.json",
    "contract_service_units_query.json",
    "contract_services_query.json",
    "contracts_query.json",
    "services_query.json",
    "version_information.json",
];

/// A folder of examples.
struct Examples {
    folder: PathBuf,
    index: Value,
}

impl Examples {
    fn at(folder: PathBuf) -> Self {
        let text = fs::read_to_string(folder.join("index.json")).expect("the folder has an index");
        let index = serde_json::from_str(&text).unwrap();
        Self { folder, index }
    }

    fn all() -> Vec<Self> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/autotask");
        let mut folders = vec![Self::at(own)];
        match std::env::var_os("TENANTRY_EXAMPLES") {
            None => {
                println!("TENANTRY_EXAMPLES is not set: only the project's own fixtures are read")
            }
            Some(named) => {
                let named = PathBuf::from(named);
                let places = [
                    "autotask",
                    "psa-examples/autotask",
                    "../psa-examples/autotask",
                ];
                let mut places = places.iter().map(|place| named.join(place));
                let found = places.find(|place| place.join("index.json").is_file());
                folders.push(Self::at(
                    found.expect("examples of Autotask in or beside TENANTRY_EXAMPLES"),
                ));
            }
        }
        folders
    }

    fn entry(&self, file: &str) -> &Value {
        let mut entries = self.index["examples"].as_array().unwrap().iter();
        entries.find(|entry| entry["file"] == file).expect(file)
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(self.folder.join(file)).unwrap()
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&self.bytes(file)).unwrap()
    }

    /// Serves a file's body with its status.
    fn answers(&self, expected: Expected, file: &str) -> Expected {
        let status = self.entry(file)["status"].as_u64().unwrap();
        expected.answer_raw(
            status.try_into().unwrap(),
            "application/json",
            self.bytes(file),
        )
    }

    /// The API's path in the zone of this folder.
    fn api(&self, path: &str) -> String {
        let zone: Url = self.json("zone_information.json")["url"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        format!("{}V1.0/{path}", zone.path())
    }

    /// The adapter in the zone of this folder.
    fn open(&self) -> (Arc<Scripted>, Autotask) {
        let psa = Scripted::at("2026-06-10T12:00:00Z");
        let call = self.zone_call("zone_information.json");
        psa.expect(self.answers(get(call.path()), "zone_information.json"));
        let base = call.origin().ascii_serialization();
        let adapter = autotask::open(&base, credentials(), psa.clone()).unwrap();
        (psa, adapter)
    }

    fn zone_call(&self, file: &str) -> Url {
        let path = self.entry(file)["request"]["path"].as_str().unwrap();
        let base: Url = "https://webservices2.autotask.net".parse().unwrap();
        base.join(path).unwrap()
    }

    /// What a read of companies asks besides.
    fn expect_look_ups(&self, psa: &Scripted) {
        let fields = get(&self.api("Companies/entityInformation/fields"));
        psa.expect(self.answers(fields, "company_fields_excerpt.json").always());
    }

    fn label(&self, company_type: &Value) -> String {
        let fields = self.json("company_fields_excerpt.json");
        let fields = fields["fields"].as_array().unwrap();
        let field = fields
            .iter()
            .find(|field| field["name"] == "companyType")
            .unwrap();
        let wanted = company_type.to_string();
        let mut values = field["picklistValues"].as_array().unwrap().iter();
        let value = values
            .find(|value| value["value"] == wanted.as_str())
            .unwrap();
        value["label"].as_str().unwrap().to_owned()
    }

    fn assert_company(&self, read: &Customer, written: &Value) {
        let text = |name: &str| match &written[name] {
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        assert_eq!(Some(read.id.0.clone()), text("id"));
        assert_eq!(
            Some(read.name.clone()),
            text("companyName").or(text("companyNumber"))
        );
        assert_eq!(read.code, text("companyNumber"));
        assert_eq!(read.phone, text("phone"));
        assert_eq!(read.website, text("webAddress"));
        assert_eq!(read.address.city, text("city"));
        assert_eq!(read.address.postal_code, text("postalCode"));
        let changed = text("lastTrackedModifiedDateTime").or(text("lastActivityDate"));
        assert_eq!(read.updated_at, changed);
        let active = written["isActive"] == json!(true) || written["isActive"] == json!(1);
        assert_eq!(read.state == CustomerState::Active, active);
        assert_eq!(read.types.len(), 1);
        assert_eq!(read.types[0].name, self.label(&written["companyType"]));
        let custom = written["userDefinedFields"].as_array();
        let tenant = custom
            .into_iter()
            .flatten()
            .filter_map(|field| field["value"].as_str());
        let tenant = tenant
            .map(|value| value.trim_matches(['{', '}']).to_lowercase())
            .next();
        let found = read
            .evidence
            .iter()
            .find(|evidence| evidence.kind == EvidenceKind::TenantId);
        assert_eq!(found.map(|evidence| evidence.value.clone()), tenant);
        let has_site = text("webAddress").is_some_and(|site| site.contains('.'));
        assert_eq!(
            read.evidence
                .iter()
                .any(|e| e.kind == EvidenceKind::Website),
            has_site
        );
    }
}

fn credentials() -> AutotaskCredentials {
    AutotaskCredentials {
        username: "tenantry-api@northgate.example".to_owned(),
        secret: Secret::new("secret".to_owned()),
        integration_code: Secret::new("code".to_owned()),
    }
}

fn number(value: &Value) -> ExternalId {
    ExternalId(value.as_i64().unwrap().to_string())
}

fn empty_page() -> Value {
    json!({"items": [], "pageDetails": {"nextPageUrl": null}})
}

#[tokio::test]
async fn every_example_is_read_by_the_operation_that_meets_it() {
    for examples in Examples::all() {
        let listed = examples.index["examples"].as_array().unwrap().clone();
        let listed: BTreeSet<String> = listed
            .iter()
            .map(|entry| entry["file"].as_str().unwrap().to_owned())
            .collect();
        for entry in fs::read_dir(&examples.folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let known = file == "index.json" || listed.contains(&file);
            assert!(
                known,
                "{file} stands in no index: {}",
                examples.folder.display()
            );
        }
        for file in &listed {
            println!("{}", examples.folder.join(file).display());
            read(&examples, file).await;
        }
    }
}

async fn read(examples: &Examples, file: &str) {
    match file {
        "zone_information.json" => zone(examples).await,
        "threshold_information.json"
        | "companies_count.json"
        | "companies_query_page1.json"
        | "companies_query_page2_last.json" => full_read(examples).await,
        "company_fields_excerpt.json" => types(examples).await,
        "company_get.json" => company(examples).await,
        "contacts_query.json" => contacts(examples).await,
        "company_locations_query.json" => locations(examples).await,
        "webhook_created.json" | "webhook_field_created.json" | "webhook_get.json" => {
            webhook(examples).await
        }
        "webhook_event_update.json" => event(examples).await,
        "ticket_created.json" => new_ticket(examples).await,
        "tickets_open_by_external_id.json" => open_ticket(examples).await,
        "ticket_note_created.json" => note(examples).await,
        "ticket_patched.json" => closed_ticket(examples).await,
        "error_zone_unknown_user.json" => unknown_user(examples).await,
        "error_500_validation.json"
        | "error_permission_500.json"
        | "error_thread_threshold.json" => {
            refusal(examples, file).await;
        }
        other => assert!(
            NOT_READ.contains(&other),
            "no operation is known for {other}"
        ),
    }
}

async fn zone(examples: &Examples) {
    let (psa, adapter) = examples.open();
    psa.expect(get(&examples.api("Companies/7")).answer(200, json!({"item": null})));
    assert_eq!(
        adapter.get_customer(&ExternalId("7".to_owned())).await,
        Ok(None)
    );
    psa.finish();
    let sent = psa.sent();
    let asked = examples.zone_call("zone_information.json");
    assert_eq!(sent[0].url, asked);
    assert!(sent[0].header("secret").is_none());
    let root = examples.json("zone_information.json")["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(sent[1].url.as_str().starts_with(&root));
}

async fn full_read(examples: &Examples) {
    let (psa, adapter) = examples.open();
    examples.expect_look_ups(&psa);
    let threshold = get(&examples.api("ThresholdInformation"));
    psa.expect(examples.answers(threshold, "threshold_information.json"));
    let count = post(&examples.api("Companies/query/count"));
    psa.expect(examples.answers(count, "companies_count.json"));
    let first = examples.json("companies_query_page1.json");
    let query = post(&examples.api("Companies/query"));
    psa.expect(examples.answers(query, "companies_query_page1.json"));
    let next: Url = first["pageDetails"]["nextPageUrl"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let rest = post(next.path()).when("whole query", {
        let next = next.clone();
        move |sent| sent.url == next
    });
    psa.expect(examples.answers(rest, "companies_query_page2_last.json"));

    let query = CustomerQuery::default();
    let page1 = adapter.list_customers(&query, None).await.unwrap();
    let page2 = adapter
        .list_customers(&query, page1.next.as_ref())
        .await
        .unwrap();
    psa.finish();
    assert_eq!(page2.next, None);
    assert_eq!(
        page1.expected,
        examples.json("companies_count.json")["queryCount"].as_u64()
    );
    let second = examples.json("companies_query_page2_last.json");
    for (read, written) in [(page1.items, first), (page2.items, second)] {
        let written = written["items"].as_array().unwrap();
        assert_eq!(read.len(), written.len());
        for (read, written) in read.iter().zip(written) {
            examples.assert_company(read, written);
        }
    }
    let information = examples.json("threshold_information.json");
    let limit = information["externalRequestThreshold"].as_u64().unwrap();
    let used = information["currentTimeframeRequestCount"]
        .as_u64()
        .unwrap();
    let calls = 2_000.min(limit / 5).min((limit - used) / 4);
    let limits = psa.limits();
    assert_eq!(u64::from(limits.last().unwrap().windows[0].calls), calls);
}

async fn types(examples: &Examples) {
    let (psa, adapter) = examples.open();
    let fields = get(&examples.api("Companies/entityInformation/fields"));
    psa.expect(examples.answers(fields, "company_fields_excerpt.json"));
    let types = adapter.customer_types().await.unwrap();
    assert!(
        types
            .iter()
            .any(|label| label.id.0 == "1" && label.name == "Customer")
    );
    let fields = examples.json("company_fields_excerpt.json");
    let fields = fields["fields"].as_array().unwrap();
    let field = fields
        .iter()
        .find(|field| field["name"] == "companyType")
        .unwrap();
    let values = field["picklistValues"].as_array().unwrap();
    let active = values
        .iter()
        .filter(|value| value["isActive"] == true)
        .count();
    assert_eq!(types.len(), active);
}

async fn company(examples: &Examples) {
    let (psa, adapter) = examples.open();
    let written = examples.json("company_get.json")["item"].clone();
    let id = number(&written["id"]);
    let path = examples.api(&format!("Companies/{id}"));
    psa.expect(examples.answers(get(&path), "company_get.json"));
    examples.expect_look_ups(&psa);
    let country = json!({"items": [{"id": written["countryID"], "displayName": "Somewhere"}]});
    psa.expect(post(&examples.api("Countries/query")).answer(200, country));
    let read = adapter.get_customer(&id).await.unwrap().unwrap();
    examples.assert_company(&read, &written);
    assert_eq!(read.address.lines[0], written["address1"].as_str().unwrap());
    assert_eq!(read.address.country.as_deref(), Some("Somewhere"));
}

async fn contacts(examples: &Examples) {
    let (psa, adapter) = examples.open();
    psa.expect(examples.answers(post(&examples.api("Contacts/query")), "contacts_query.json"));
    let read = adapter.list_hints(None).await.unwrap();
    psa.finish();
    assert_eq!((read.next, read.left_out), (None, None));
    let written = examples.json("contacts_query.json");
    let mut expected = BTreeSet::new();
    for contact in written["items"].as_array().unwrap() {
        for field in ["emailAddress", "emailAddress2", "emailAddress3"] {
            let domain = contact[field]
                .as_str()
                .and_then(|address| address.split('@').nth(1));
            if let Some(domain) =
                domain.filter(|domain| contact["isActive"] == 1 && *domain != "gmail.com")
            {
                expected.insert((number(&contact["companyID"]), domain.to_lowercase()));
            }
        }
    }
    let found = read
        .items
        .into_iter()
        .map(|hint| (hint.customer, hint.evidence.value));
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
}

async fn locations(examples: &Examples) {
    let (psa, adapter) = examples.open();
    let path = examples.api("CompanyLocations/query");
    psa.expect(examples.answers(post(&path), "company_locations_query.json"));
    psa.expect(
        post(&examples.api("Countries/query"))
            .answer(200, empty_page())
            .always(),
    );
    let written = examples.json("company_locations_query.json");
    let written = written["items"].as_array().unwrap();
    let read = adapter
        .list_sites(&number(&written[0]["companyID"]))
        .await
        .unwrap();
    psa.finish();
    assert_eq!(read.len(), written.len());
    for (read, written) in read.iter().zip(written) {
        assert_eq!(read.id, number(&written["id"]));
        assert_eq!(json!(read.address.city), written["city"]);
        assert_eq!(json!(read.primary), written["isPrimary"]);
        assert_eq!(json!(read.active), written["isActive"]);
    }
    assert_eq!(read[0].name, written[0]["name"].as_str().unwrap());
}

async fn webhook(examples: &Examples) {
    let (psa, adapter) = examples.open();
    let id = number(&examples.json("webhook_created.json")["itemId"]);
    let fields = json!({"fields": [{"name": "fieldID", "picklistValues": [{"value": "59", "label": "CompanyName"}]}]});
    psa.expect(
        get(&examples.api("CompanyWebhookFields/entityInformation/fields")).answer(200, fields),
    );
    psa.expect(post(&examples.api("CompanyWebhooks/query")).answer(200, empty_page()));
    psa.expect(examples.answers(
        post(&examples.api("CompanyWebhooks")),
        "webhook_created.json",
    ));
    let path = examples.api(&format!("CompanyWebhooks/{id}/Fields"));
    psa.expect(examples.answers(post(&path), "webhook_field_created.json"));
    let path = examples.api(&format!("CompanyWebhooks/{id}"));
    psa.expect(examples.answers(get(&path), "webhook_get.json"));
    let written = examples.json("webhook_get.json")["item"].clone();
    let target = CallbackTarget {
        url: written["webhookUrl"].as_str().unwrap().parse().unwrap(),
        secret: Secret::new(written["secretKey"].as_str().unwrap().to_owned()),
        name: "Tenantry".to_owned(),
    };
    assert_eq!(
        adapter.register_callback(&target).await,
        Ok(Callback { id })
    );
    psa.finish();
}

async fn event(examples: &Examples) {
    let (_psa, adapter) = examples.open();
    let file = "webhook_event_update.json";
    let mut headers = HeaderMap::new();
    for (name, value) in examples.entry(file)["headers"].as_object().unwrap() {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, value.as_str().unwrap().parse().unwrap());
    }
    let mut event = RawEvent {
        headers,
        query: String::new(),
        body: examples.bytes(file),
    };
    let secret = examples.json("webhook_get.json")["item"]["secretKey"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = EventKey {
        secret: Secret::new(secret),
    };
    let read = adapter.read_event(&event, &key).await.unwrap();
    let written = examples.json(file);
    assert_eq!(read.hints, [ChangeHint::Customer(number(&written["Id"]))]);
    let guid = written["Guid"].as_str().unwrap().to_lowercase();
    assert_eq!(
        read.id,
        Some(format!("{guid}:{}", written["SequenceNumber"]))
    );
    event.body.push(b'\n');
    assert_eq!(
        adapter.read_event(&event, &key).await,
        Err(EventError::NotAuthentic)
    );
}

fn settings() -> Value {
    json!({"queueId": 29683354, "priority": 2})
}

/// The key and the customer of the example of an open ticket.
fn wanted(examples: &Examples) -> (NewTicket, Value) {
    let row = examples.json("tickets_open_by_external_id.json")["items"][0].clone();
    let ticket = NewTicket {
        key: row["externalID"].as_str().unwrap().to_owned(),
        customer: number(&row["companyID"]),
        summary: "Consent missing".to_owned(),
        description: "Admin consent has not been granted.".to_owned(),
    };
    (ticket, row)
}

fn picklists(examples: &Examples) -> Expected {
    get(&examples.api("Tickets/entityInformation/fields")).answer(200, json!({"fields": []}))
}

async fn new_ticket(examples: &Examples) {
    let (psa, adapter) = examples.open();
    let (ticket, row) = wanted(examples);
    psa.expect(picklists(examples));
    psa.expect(post(&examples.api("Tickets/query")).answer(200, empty_page()));
    psa.expect(examples.answers(post(&examples.api("Tickets")), "ticket_created.json"));
    let id = number(&examples.json("ticket_created.json")["itemId"]);
    psa.expect(get(&examples.api(&format!("Tickets/{id}"))).answer(200, json!({ "item": row })));
    let made = adapter
        .ensure_ticket(&settings(), &ticket, None)
        .await
        .unwrap();
    psa.finish();
    assert_eq!((made.reference.id, made.created), (id, true));
    assert_eq!(json!(made.number), row["ticketNumber"]);
}

async fn open_ticket(examples: &Examples) {
    let (psa, adapter) = examples.open();
    let (ticket, row) = wanted(examples);
    psa.expect(picklists(examples));
    let query = post(&examples.api("Tickets/query"));
    psa.expect(examples.answers(query, "tickets_open_by_external_id.json"));
    let found = adapter
        .ensure_ticket(&settings(), &ticket, None)
        .await
        .unwrap();
    psa.finish();
    assert_eq!(
        (found.reference.id, found.created),
        (number(&row["id"]), false)
    );
    assert_eq!(json!(found.number), row["ticketNumber"]);
}

async fn note(examples: &Examples) {
    let (psa, adapter) = examples.open();
    let path = examples.entry("ticket_note_created.json")["request"]["path"]
        .as_str()
        .unwrap();
    let id = path.split('/').rev().nth(1).unwrap().to_owned();
    psa.expect(examples.answers(post(path), "ticket_note_created.json"));
    let ticket = TicketRef { id: ExternalId(id) };
    assert_eq!(
        adapter
            .add_note(&settings(), &ticket, "Still failing.")
            .await,
        Ok(())
    );
    psa.finish();
}

async fn closed_ticket(examples: &Examples) {
    let (psa, adapter) = examples.open();
    let (_ticket, row) = wanted(examples);
    let id = number(&row["id"]);
    psa.expect(picklists(examples));
    psa.expect(get(&examples.api(&format!("Tickets/{id}"))).answer(200, json!({ "item": row })));
    psa.expect(examples.answers(patch(&examples.api("Tickets")), "ticket_patched.json"));
    assert_eq!(
        adapter.close_ticket(&settings(), &TicketRef { id }).await,
        Ok(())
    );
    psa.finish();
    assert_eq!(psa.sent().last().unwrap().json()["status"], 5);
}

async fn unknown_user(examples: &Examples) {
    let file = "error_zone_unknown_user.json";
    let psa = Scripted::at("2026-06-10T12:00:00Z");
    let call = examples.zone_call(file);
    psa.expect(examples.answers(get(call.path()), file));
    let base = call.origin().ascii_serialization();
    let adapter = autotask::open(&base, credentials(), psa.clone()).unwrap();
    let error = adapter.list_hints(None).await.unwrap_err();
    assert!(matches!(error, PsaError::Auth { .. }), "{error:?}");
}

async fn refusal(examples: &Examples, file: &str) {
    let (psa, adapter) = examples.open();
    psa.expect(examples.answers(post(&examples.api("CompanyLocations/query")), file));
    let error = adapter
        .list_sites(&ExternalId("7".to_owned()))
        .await
        .unwrap_err();
    let is_meant = match file {
        "error_500_validation.json" => {
            matches!(&error, PsaError::Validation { fields, .. } if fields.len() == 1)
        }
        "error_permission_500.json" => {
            error
                == PsaError::Permission {
                    what: "CRM: locations, read".to_owned(),
                }
        }
        _ => error == PsaError::RateLimited { retry_after: None },
    };
    assert!(is_meant, "{file}: {error:?}");
}
