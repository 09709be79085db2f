//! The stand-in for Autotask refuses what the real one refuses, and answers in its shapes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FakeAutotask, webhooks};
use crate::fake_psa::{
    limits::Limit,
    seed::{Firm, Seed},
    testing::{Got, Receiver, assert_fits, http, send},
    world::State,
};

struct Client {
    fake: FakeAutotask,
    http: reqwest::Client,
    credentials: Value,
    zone: String,
}

const HARBOUR: i64 = 29_683_412;

impl Client {
    async fn start(seed: Seed) -> Self {
        let fake = FakeAutotask::start(seed).await;
        let mut client = Self {
            credentials: fake.credentials(),
            fake,
            http: http(),
            zone: String::new(),
        };
        client.discover().await;
        client
    }

    async fn discover(&mut self) {
        let user = self.credentials["username"].as_str().unwrap();
        let url = format!(
            "{}/atservicesrest/v1.0/zoneInformation",
            self.fake.base_url()
        );
        let found = send(self.http.get(url).query(&[("user", user)]))
            .await
            .expect(200)
            .json();
        assert_fits(
            "autotask",
            "zone_information.json",
            &json!({"zoneName": "", "url": ""}),
            &found,
        );
        self.zone = found["url"].as_str().unwrap().to_owned();
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}V1.0/{path}", self.zone)
        };
        let text = |name: &str| self.credentials[name].as_str().unwrap();
        self.http
            .request(method.parse().unwrap(), url)
            .header("UserName", text("username"))
            .header("Secret", text("secret"))
            .header("ApiIntegrationCode", text("integrationCode"))
    }

    async fn get(&self, path: &str) -> Got {
        send(self.request("GET", path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Got {
        send(self.request("POST", path).json(body)).await
    }

    async fn refused(&self, path: &str, body: &Value, words: &str) {
        let refused = self.post(path, body).await.expect(500).json();
        let told = refused["errors"][0].as_str().unwrap();
        assert!(told.contains(words), "{told}");
    }
}

fn harbour() -> Seed {
    Seed::empty()
        .with(
            Firm::new("Harbour Dental Group Ltd")
                .code("HD-0042")
                .tenant_field("6f1b3c52-9d5a-4c1e-8f0a-4b7d2e9c1a33")
                .mails(&["priya.shah@harbourdental.example"]),
        )
        .with(Firm::new("Closed down").state(State::Inactive))
}

fn all() -> Value {
    json!([{"op": "gte", "field": "id", "value": 0}])
}

#[tokio::test]
async fn zones_are_discovered_and_wrong_sign_ins_are_refused_in_its_ways() {
    let mut client = Client::start(harbour()).await;
    let url = format!(
        "{}/atservicesrest/v1.0/zoneInformation?user=nobody",
        client.fake.base_url()
    );
    let unknown = send(client.http.get(url)).await.expect(500).json();
    assert_fits(
        "autotask",
        "error_zone_unknown_user.json",
        &json!({"errors": [""]}),
        &unknown,
    );
    let threshold = client.get("ThresholdInformation").await.expect(200).json();
    assert_fits(
        "autotask",
        "threshold_information.json",
        &json!({"currentTimeframeRequestCount": 1}),
        &threshold,
    );
    for (name, status) in [("secret", 401), ("username", 500), ("integrationCode", 500)] {
        let good = client.credentials[name].clone();
        client.credentials[name] = json!("wrong");
        let refused = client.get("Companies/0").await.expect(status);
        assert_eq!(refused.text.is_empty(), status == 401);
        client.credentials[name] = good;
    }
    client.get("Companies/0").await.expect(200);
    // Path case counts in the first segment.
    let lower = client.zone.replace("ATServicesRest", "atservicesrest");
    client
        .get(&format!("{lower}V1.0/Companies/0"))
        .await
        .expect(404);
    let text = client.request("POST", "Companies/query").body("{}");
    send(text).await.expect(415);

    client.fake.move_zone();
    client.get("Companies/0").await.expect(401);
    let old = client.zone.clone();
    client.discover().await;
    assert_ne!(old, client.zone);
    client.get("Companies/0").await.expect(200);

    client.credentials["secret"] = json!("wrong");
    for _ in 0..10 {
        client.get("Companies/0").await.expect(401);
    }
    client.credentials = client.fake.credentials();
    client.get("Companies/0").await.expect(401);
    assert_eq!(client.fake.violations().len(), 1);
}

#[tokio::test]
async fn queries_need_a_filter_known_fields_and_the_right_types() {
    let client = Client::start(harbour()).await;
    let query = "Companies/query";
    client.refused(query, &json!({}), "filter").await;
    client
        .refused(query, &json!({"filter": []}), "filter")
        .await;
    let unknown = json!({"filter": [{"op": "eq", "field": "type", "value": 1}]});
    client
        .refused(query, &unknown, "Unable to find type in the Company Entity")
        .await;
    let typed = json!({"filter": [{"op": "eq", "field": "companyType", "value": "1"}]});
    client
        .refused(query, &typed, "expects type number but got string")
        .await;
    client
        .refused(
            query,
            &json!({"filter": all(), "IncludeFields": ["companyName"]}),
            "id",
        )
        .await;
    client
        .refused(
            query,
            &json!({"filter": all(), "IncludeFields": ["id", "x"]}),
            "Unable to find x",
        )
        .await;
    client
        .refused(
            query,
            &json!({"filter": all(), "MaxRecords": 501}),
            "MaxRecords",
        )
        .await;
    let contacts = json!({"filter": [{"op": "eq", "field": "isActive", "value": true}]});
    client.refused("Contacts/query", &contacts, "number").await;
    client.fake.remove_right("contacts");
    client
        .refused(
            "Contacts/query",
            &json!({"filter": all()}),
            "adequate permissions",
        )
        .await;

    let active = json!({"filter": [{"op": "eq", "field": "isActive", "value": true}]});
    let page = client.post(query, &active).await.expect(200).json();
    // The MSP's own company is among them.
    assert_eq!(page["items"][0]["id"], 0);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let count = client
        .post("Companies/query/count", &active)
        .await
        .expect(200)
        .json();
    assert_eq!(count, json!({"queryCount": 2}));
    let thin = json!({"filter": all(), "IncludeFields": ["id", "companyName"]});
    let thin = client.post(query, &thin).await.expect(200).json();
    assert_eq!(
        thin["items"][1],
        json!({"id": HARBOUR, "companyName": "Harbour Dental Group Ltd"})
    );
    let search = serde_json::to_string(&active).unwrap();
    let got = send(client.request("GET", query).query(&[("search", &search)]))
        .await
        .expect(200)
        .json();
    assert_eq!(got["items"], page["items"]);
}

#[tokio::test]
async fn the_next_page_wants_the_same_body_again() {
    let client = Client::start(Seed::companies(1200, 3)).await;
    let body = json!({"filter": all(), "MaxRecords": 500});
    let page = client
        .post("Companies/query", &body)
        .await
        .expect(200)
        .json();
    let next = page["pageDetails"]["nextPageUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        next.contains("/V1.0/Companies/query/next?paging="),
        "{next}"
    );
    client.get(&next).await.expect(405);
    send(
        client
            .request("POST", &next)
            .header("content-type", "application/json"),
    )
    .await
    .expect(500);
    let other = json!({"filter": [{"op": "gt", "field": "id", "value": 0}], "MaxRecords": 500});
    client.post(&next, &other).await.expect(500);
    let mut seen = page["items"].as_array().unwrap().len();
    let mut next = Some(next);
    while let Some(url) = next {
        let page = client.post(&url, &body).await.expect(200).json();
        assert_eq!(
            page["pageDetails"]["count"],
            page["items"].as_array().unwrap().len()
        );
        seen += page["items"].as_array().unwrap().len();
        next = page["pageDetails"]["nextPageUrl"]
            .as_str()
            .map(str::to_owned);
    }
    assert_eq!(seen, 1201);
}

#[tokio::test]
async fn answers_have_the_shapes_of_the_examples() {
    let client = Client::start(harbour()).await;
    let fits =
        |file: &str, shape: Value, actual: &Value| assert_fits("autotask", file, &shape, actual);
    let query = json!({"filter": all()});
    let company = json!({"id": 1, "companyName": "", "isActive": true, "userDefinedFields": [{"name": "", "value": ""}]});
    let page = client
        .post("Companies/query", &query)
        .await
        .expect(200)
        .json();
    fits(
        "companies_query_page2_last.json",
        json!({"items": [company], "pageDetails": {"count": 1}}),
        &page,
    );
    let one = client
        .get(&format!("Companies/{HARBOUR}"))
        .await
        .expect(200)
        .json();
    fits("company_get.json", json!({"item": company}), &one);
    assert_eq!(
        client.get("Companies/77").await.expect(200).json(),
        json!({"item": null})
    );
    let contacts = client
        .post("Contacts/query", &query)
        .await
        .expect(200)
        .json();
    fits(
        "contacts_query.json",
        json!({"items": [{"emailAddress": "", "isActive": 1}]}),
        &contacts,
    );
    let sites = client
        .post("CompanyLocations/query", &query)
        .await
        .expect(200)
        .json();
    fits(
        "company_locations_query.json",
        json!({"items": [{"isPrimary": true}]}),
        &sites,
    );
    let fields = client
        .get("Companies/entityInformation/fields")
        .await
        .expect(200)
        .json();
    fits(
        "company_fields_excerpt.json",
        json!({"fields": [{"name": "companyType", "picklistValues": [{"value": "1"}]}]}),
        &fields,
    );
    let statuses = client
        .get("Tickets/entityInformation/fields")
        .await
        .expect(200)
        .json();
    let status = statuses["fields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field["name"] == "status")
        .unwrap();
    assert!(
        status["picklistValues"]
            .as_array()
            .unwrap()
            .iter()
            .any(|value| value["value"] == "5")
    );
    client.get("Nonsense/query").await.expect(404);
}

#[tokio::test]
async fn tickets_are_made_found_noted_and_closed() {
    let client = Client::start(harbour()).await;
    let good = json!({"companyID": HARBOUR, "title": "Tenantry: consent missing", "status": 1, "priority": 2,
        "queueID": 29_683_354, "dueDateTime": "2026-06-12T17:00:00Z", "externalID": "tenantry:consent:6f1b"});
    for name in [
        "companyID",
        "title",
        "status",
        "priority",
        "queueID",
        "dueDateTime",
    ] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        client.refused("Tickets", &body, name).await;
    }
    for (name, value, words) in [
        ("companyID", json!("29683412"), "number"),
        ("companyID", json!(5), "companyID"),
        ("status", json!(12), "picklist"),
        ("queueID", json!(29_683_356), "picklist"),
        ("nonsense", json!(1), "Unable to find nonsense"),
    ] {
        let mut body = good.clone();
        body[name] = value;
        client.refused("Tickets", &body, words).await;
    }
    let made = client.post("Tickets", &good).await.expect(200).json();
    assert_eq!(made, json!({"itemId": 118_204}));
    let find = json!({"filter": [{"op": "eq", "field": "externalID", "value": "tenantry:consent:6f1b"},
        {"op": "eq", "field": "companyID", "value": HARBOUR}, {"op": "noteq", "field": "status", "value": 5}]});
    let found = client.post("Tickets/query", &find).await.expect(200).json();
    assert_fits(
        "autotask",
        "tickets_open_by_external_id.json",
        &json!({"items": [{"ticketNumber": ""}]}),
        &found,
    );
    let notes = "Tickets/118204/Notes";
    client
        .refused(
            notes,
            &json!({"title": "x", "description": "y", "noteType": 1}),
            "publish",
        )
        .await;
    let note =
        json!({"ticketID": 118_204, "title": "x", "description": "y", "noteType": 1, "publish": 2});
    assert_eq!(
        client.post(notes, &note).await.expect(200).json(),
        json!({"itemId": 55_120})
    );
    let patch = async |body: Value| send(client.request("PATCH", "Tickets").json(&body)).await;
    patch(json!({"id": 1, "status": 5})).await.expect(500);
    patch(json!({"id": 118_204, "status": 5})).await.expect(200);
    assert!(client.fake.tickets()[0].closed);
    assert_eq!(
        client.post("Tickets/query", &find).await.json()["items"],
        json!([])
    );
}

#[tokio::test]
async fn webhooks_are_called_signed_and_refused_twice() {
    let client = Client::start(harbour()).await;
    let mut receiver = Receiver::start().await;
    let good = json!({"name": "Tenantry company sync", "isActive": true, "webhookUrl": receiver.url,
        "deactivationUrl": format!("{}/deactivated", receiver.url), "secretKey": "example-secret",
        "isSubscribedToCreateEvents": true, "isSubscribedToUpdateEvents": true, "isSubscribedToDeleteEvents": true});
    let mut bad = good.clone();
    bad.as_object_mut().unwrap().remove("deactivationUrl");
    client
        .refused("CompanyWebhooks", &bad, "deactivationUrl")
        .await;
    bad = good.clone();
    bad["secretKey"] = json!("x".repeat(65));
    client.refused("CompanyWebhooks", &bad, "64").await;
    assert_eq!(
        client
            .post("CompanyWebhooks", &good)
            .await
            .expect(200)
            .json(),
        json!({"itemId": 41})
    );
    client
        .refused("CompanyWebhooks", &good, "already exists")
        .await;
    let got = client.get("CompanyWebhooks/41").await.expect(200).json();
    assert_fits(
        "autotask",
        "webhook_get.json",
        &json!({"item": {"isReady": true}}),
        &got,
    );
    let find = json!({"filter": [{"op": "beginsWith", "field": "name", "value": "Tenantry"}]});
    assert_eq!(
        client.post("CompanyWebhooks/query", &find).await.json()["items"][0]["id"],
        41
    );

    // Without a field no update is told.
    client.fake.rename(HARBOUR, "Unheard");
    let fields = client
        .get("CompanyWebhookFields/entityInformation/fields")
        .await
        .expect(200)
        .json();
    let field = fields["fields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field["name"] == "fieldID")
        .unwrap();
    let id: i64 = field["picklistValues"][0]["value"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    client
        .refused(
            "CompanyWebhooks/41/Fields",
            &json!({"webhookID": 41, "fieldID": 1}),
            "picklist",
        )
        .await;
    let body = json!({"webhookID": 41, "fieldID": id, "isSubscribedField": true, "isDisplayAlwaysField": false});
    client
        .post("CompanyWebhooks/41/Fields", &body)
        .await
        .expect(200);
    client.fake.rename(HARBOUR, "Bäckerei & Söhne");
    let call = receiver.next().await;
    assert_eq!(
        call.header("x-hook-signature"),
        webhooks::sign("example-secret", &call.body)
    );
    assert!(call.body.is_ascii());
    let event = call.json();
    assert_fits(
        "autotask",
        "webhook_event_update.json",
        &json!({"Action": "Update", "EntityType": "Account", "Id": 1}),
        &event,
    );
    assert_eq!(event["Fields"]["CompanyName"], "Bäckerei & Söhne");
    let added = client.fake.add_company("New");
    let event = receiver.next().await.json();
    assert_eq!(
        (&event["Action"], event["Id"].as_i64()),
        (&json!("Create"), Some(added))
    );
    client.fake.delete(added);
    assert_eq!(receiver.next().await.json()["Action"], "Delete");
    let delete = async || send(client.request("DELETE", "CompanyWebhooks/41")).await;
    delete().await.expect(200);
    assert!(
        delete()
            .await
            .expect(500)
            .text
            .contains("No matching records")
    );
}

#[tokio::test]
async fn threads_and_the_threshold_hold() {
    let client = Client::start(harbour()).await;
    client.fake.delay(Duration::from_millis(300));
    let body = json!({"filter": all()});
    let calls = (0..5).map(|_| client.post("Companies/query", &body));
    let others = client.post("Contacts/query", &body);
    let (answers, other) = tokio::join!(futures_util::future::join_all(calls), others);
    let refused: Vec<&Got> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert_eq!(refused.len(), 2);
    assert_fits(
        "autotask",
        "error_thread_threshold.json",
        &json!({"errors": [""]}),
        &refused[0].json(),
    );
    other.expect(200);
    client.fake.delay(Duration::ZERO);
    client.fake.others_used(5211);
    let used = client.get("ThresholdInformation").await.json();
    assert!(used["currentTimeframeRequestCount"].as_i64().unwrap() > 5211);
    client
        .fake
        .limit(Some(Limit::told(1, Duration::from_secs(600), 60)));
    client.get("Companies/0").await.expect(429);
    // Discovery is exempt.
    let user = client.credentials["username"].as_str().unwrap();
    let url = format!(
        "{}/ATServicesRest/V1.0/zoneInformation",
        client.fake.base_url()
    );
    send(client.http.get(url).query(&[("user", user)]))
        .await
        .expect(200);
}
