//! The stand-in for HaloPSA refuses what the real one refuses, and answers in its shapes.

use base64::Engine as _;
use serde_json::{Value, json};

use super::FakeHaloPsa;
use crate::fake_psa::{
    limits::Limit,
    seed::{Firm, Seed, tenant_of},
    testing::{Got, Receiver, assert_fits, assert_shape, http, send},
    world::State,
};

const ALL: &str = "read:customers edit:tickets admin:webhooks";

struct Client {
    fake: FakeHaloPsa,
    http: reqwest::Client,
    token: String,
}

impl Client {
    async fn start(seed: Seed) -> Self {
        let fake = FakeHaloPsa::start(seed).await;
        let mut client = Self {
            fake,
            http: http(),
            token: String::new(),
        };
        client.sign_in(ALL).await;
        client
    }

    async fn ask(&self, tenant: &str, change: &[(&str, &str)], scope: &str) -> Got {
        let credentials = self.fake.credentials();
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", credentials["clientId"].as_str().unwrap()),
            (
                "client_secret",
                credentials["clientSecret"].as_str().unwrap(),
            ),
            ("scope", scope),
        ];
        for (name, value) in change {
            form.retain(|(known, _)| known != name);
            form.push((name, value));
        }
        let url = format!("{}/auth/token?tenant={tenant}", self.fake.base_url());
        send(self.http.post(url).form(&form)).await
    }

    async fn sign_in(&mut self, scope: &str) {
        let token = self.ask("northgate", &[], scope).await.expect(200).json();
        assert_fits(
            "halopsa",
            "token.json",
            &json!({"access_token": "", "expires_in": 3600}),
            &token,
        );
        self.token = token["access_token"].as_str().unwrap().to_owned();
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/{path}", self.fake.base_url());
        self.http
            .request(method.parse().unwrap(), url)
            .bearer_auth(&self.token)
    }

    async fn get(&self, path: &str) -> Got {
        send(self.request("GET", path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Got {
        send(self.request("POST", path).json(body)).await
    }
}

fn harbour() -> Seed {
    Seed::empty()
        .with(
            Firm::new("Harbour Dental Group Ltd")
                .code("HD-0042")
                .website("www.harbourdental.example")
                .mapped(
                    tenant_of("harbourdental.example"),
                    "harbourdental.onmicrosoft.com",
                )
                .mails(&["priya.shah@harbourdental.example"]),
        )
        .with(Firm::new("Closed down").state(State::Inactive))
}

#[tokio::test]
async fn tokens_are_given_to_those_who_may_and_end() {
    let mut client = Client::start(harbour()).await;
    let info = send(
        client
            .http
            .get(format!("{}/api/authinfo", client.fake.base_url())),
    )
    .await
    .expect(200)
    .json();
    assert_fits(
        "halopsa",
        "authinfo.json",
        &json!({"auth_url": "", "tenant_id": ""}),
        &info,
    );
    let refused = client
        .ask("northgate", &[("client_secret", "wrong")], ALL)
        .await
        .expect(401)
        .json();
    assert_fits(
        "halopsa",
        "error_401_invalid_client.json",
        &json!({"error": "invalid_client"}),
        &refused,
    );
    client.ask("other", &[], ALL).await.expect(400);
    client
        .ask("northgate", &[("grant_type", "password")], ALL)
        .await
        .expect(400);
    for scope in ["read:actions", "all", "edit:invoices", "edit:customers"] {
        let refused = client.ask("northgate", &[], scope).await.expect(400).json();
        assert_eq!(refused["error"], "invalid_scope", "{scope}");
    }
    // A token without scopes is good for nothing.
    client.sign_in("").await;
    client.get("Client").await.expect(401);
    client.sign_in("read:customers").await;
    client.get("Client").await.expect(200);
    client.get("client").await.expect(200);
    let refused = client.get("Tickets").await.expect(403);
    assert!(refused.text.is_empty());
    client.get("Webhook").await.expect(403);
    client.sign_in(ALL).await;
    client.get("Tickets").await.expect(200);
    client.fake.remove_right("clients");
    client.get("Client").await.expect(403);
    client.fake.give_right("clients");
    client.fake.remove_right("azure");
    client.get("AzureADConnection?type=2").await.expect(403);

    client.fake.desk().advance_seconds(3599);
    client.get("Client").await.expect(200);
    client.fake.desk().advance_seconds(2);
    client.get("Client").await.expect(401);
    client.sign_in(ALL).await;
    client.fake.forget_tokens();
    client.get("Client").await.expect(401);
    client.sign_in(ALL).await;
    client.fake.rotate_secrets();
    client.get("Client").await.expect(401);
    let url = format!("{}/api/Client", client.fake.base_url());
    send(client.http.get(url)).await.expect(401);
}

#[tokio::test]
async fn pages_need_their_odd_word_and_are_counted_and_capped() {
    let client = Client::start(Seed::companies(1300, 4)).await;
    let everything = "includeinactive=true&order=id";
    let rows = |got: &Got| got.json()["clients"].as_array().unwrap().len();
    let without = client
        .get(&format!("Client?{everything}&page_no=2&page_size=100"))
        .await
        .expect(200);
    assert_eq!(rows(&without), 50);
    assert!(without.json().get("page_no").is_none());
    let counted = client.get(&format!("Client?{everything}&count=70")).await;
    assert_eq!(rows(&counted), 70);
    let capped = client
        .get(&format!(
            "Client?{everything}&pageinate=true&page_no=1&page_size=5000"
        ))
        .await;
    assert_eq!(rows(&capped), 1000);
    assert_eq!(capped.json()["record_count"], 1300);
    let last = client
        .get(&format!(
            "Client?{everything}&pageinate=true&page_no=13&page_size=100"
        ))
        .await;
    assert_eq!(rows(&last), 100);
    let past = client
        .get(&format!(
            "Client?{everything}&pageinate=true&page_no=14&page_size=100"
        ))
        .await
        .expect(200);
    assert_eq!(rows(&past), 0);
    let active = client
        .get("Client?pageinate=true&page_size=1&includeinactive=false")
        .await
        .json();
    assert_eq!(active["record_count"], client.fake.truth().len());
    client
        .get("Client?lastupdatefromdate=yesterday")
        .await
        .expect(400);
    let since = client
        .get("Client?includeinactive=true&lastupdatefromdate=2030-01-01T00:00:00")
        .await
        .expect(200);
    assert_eq!(since.json()["record_count"], 0);
    client.get("Nonsense").await.expect(404);
}

#[tokio::test]
async fn answers_have_the_shapes_of_the_examples() {
    let client = Client::start(harbour()).await;
    let fits =
        |file: &str, shape: Value, actual: &Value| assert_fits("halopsa", file, &shape, actual);
    let list = client
        .get("Client?pageinate=true&page_no=1&page_size=2&order=id")
        .await
        .expect(200)
        .json();
    fits(
        "clients_page1.json",
        json!({"record_count": 1, "clients": [{"id": 12, "inactive": false}]}),
        &list,
    );
    // The list keeps to itself what the detail tells.
    assert_eq!(list["clients"][0]["website"], "");
    assert!(list["clients"][0].get("alastupdate").is_none());
    let detail = client
        .get("Client/12?includedetails=true")
        .await
        .expect(200)
        .json();
    fits(
        "client_detail.json",
        json!({"id": 12, "website": "", "alastupdate": ""}),
        &detail,
    );
    assert_eq!(detail["website"], "www.harbourdental.example");
    assert!(!detail["alastupdate"].as_str().unwrap().ends_with('Z'));
    client.get("Client/77").await.expect(404);
    let users = client
        .get("Users?client_id=12&pageinate=true")
        .await
        .expect(200);
    assert!(users.text.contains("\"site_id\":18.0"), "{}", users.text);
    fits(
        "users.json",
        json!({"users": [{"emailaddress": ""}, {"name": "General User"}]}),
        &users.json(),
    );
    let sites = client
        .get("Site?client_id=12&pageinate=true")
        .await
        .expect(200);
    assert!(sites.text.contains("\"client_id\":12.0"));
    fits("sites.json", json!({"sites": [{"id": 18}]}), &sites.json());
    fits(
        "statuses.json",
        json!([{"id": 9, "name": "Closed"}]),
        &client.get("Status").await.expect(200).json(),
    );
    let connection = "AzureADConnection/3?type=2&includedetails=true&includetenants=true";
    fits(
        "azure_ad_connection_detail.json",
        json!({"mappings_client": [{"client_id": 12, "azure_tenant_id": ""}]}),
        &client.get(connection).await.expect(200).json(),
    );
    assert_eq!(
        client.get("AzureADConnection/3?type=2").await.json()["mappings_client"],
        Value::Null
    );
    fits(
        "area_azure_tenant.json",
        json!([{"azure_tenant_domain": ""}]),
        &client.get("AreaAzureTenant?client_id=12").await.json(),
    );
}

#[tokio::test]
async fn tickets_are_upserted_in_arrays() {
    let client = Client::start(harbour()).await;
    let good = json!({"summary": "Tenantry: consent missing [tenantry:consent:6f1b]", "details_html": "<p>Admin consent</p>",
        "client_id": 12, "tickettype_id": 21, "donotapplytemplateintheapi": true, "_novalidate": true});
    client.post("Tickets", &good).await.expect(400);
    for (name, value) in [
        ("summary", json!("")),
        ("client_id", json!(12.0)),
        ("client_id", json!("12")),
        ("client_id", json!(99)),
        ("tickettype_id", json!(1)),
        ("user_id", json!(41)),
        ("priority_id", json!(9)),
        ("id", json!(5)),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        client.post("Tickets", &json!([bad])).await.expect(400);
    }
    let made = client
        .post("Tickets", &json!([good]))
        .await
        .expect(201)
        .json();
    assert_fits(
        "halopsa",
        "ticket_created.json",
        &json!({"id": 20_417, "hasbeenclosed": false}),
        &made,
    );
    let search = "Tickets?client_id=12&open_only=true&search=tenantry:consent:6f1b&pageinate=true&page_no=1&page_size=50";
    let found = client.get(search).await.expect(200).json();
    assert_fits(
        "halopsa",
        "tickets_open_search.json",
        &json!({"record_count": 1, "tickets": [{"id": 1}]}),
        &found,
    );
    let detail = client
        .get("Tickets/20417?includedetails=true")
        .await
        .expect(200)
        .json();
    assert_fits(
        "halopsa",
        "ticket_detail.json",
        &json!({"hasbeenclosed": false}),
        &detail,
    );
    let refused = client
        .post("actions", &json!([{"ticket_id": 20_417, "note": "x"}]))
        .await
        .expect(400)
        .json();
    assert_fits(
        "halopsa",
        "error_400_outcome.json",
        &json!({"Message": ""}),
        &refused,
    );
    let note = json!([{"ticket_id": 20_417, "outcome_id": 7, "hiddenfromuser": true, "note_html": "<p>Still &amp; failing</p>"}]);
    let action = client.post("actions", &note).await.expect(201).json();
    assert_fits(
        "halopsa",
        "action_created.json",
        &json!({"ticket_id": 20_417}),
        &action,
    );
    assert_eq!(client.fake.tickets()[0].notes[0].text, "Still & failing");
    let closed = client
        .post("Tickets", &json!([{"id": 20_417, "status_id": 9}]))
        .await
        .expect(201)
        .json();
    assert_fits(
        "halopsa",
        "ticket_closed.json",
        &json!({"hasbeenclosed": true}),
        &closed,
    );
    assert_eq!(client.get(search).await.json()["record_count"], 0);
    assert_eq!(client.fake.tickets().len(), 1);
}

#[tokio::test]
async fn webhooks_are_called_with_their_basic_header() {
    let client = Client::start(harbour()).await;
    let mut receiver = Receiver::start().await;
    let good = json!([{"name": "Tenantry", "type": 0, "url": receiver.url, "method": 0,
        "content_type": "application/json", "authentication_type": 1, "basic_username": "tenantry",
        "basic_password": "example", "active": true, "events": []}]);
    client.post("Webhook", &good[0]).await.expect(400);
    let made = client.post("Webhook", &good).await.expect(201).json();
    assert_shape(
        &json!({"id": "", "basic_username": "tenantry", "active": true}),
        &made,
    );
    assert!(made.get("basic_password").is_none());
    client.post("Webhook", &good).await.expect(400);
    client.fake.rename(12, "Renamed");
    let call = receiver.next().await;
    let expected = base64::engine::general_purpose::STANDARD.encode("tenantry:example");
    assert_eq!(call.header("authorization"), format!("Basic {expected}"));
    assert_eq!(call.json()["client"]["id"], 12);
    let path = format!("Webhook/{}", made["id"].as_str().unwrap());
    client.get(&path).await.expect(200);
    send(client.request("DELETE", &path)).await.expect(200);
    send(client.request("DELETE", &path)).await.expect(404);
    assert!(client.fake.webhooks().is_empty());
}

#[tokio::test]
async fn the_limit_is_told_in_words_alone() {
    let client = Client::start(harbour()).await;
    client
        .fake
        .limit(Some(Limit::untold(1, std::time::Duration::from_secs(300))));
    client.get("Client").await.expect(200);
    let refused = client.get("Client").await.expect(429);
    assert_eq!(refused.header("retry-after"), "");
    assert_eq!(
        refused.text,
        "Rate Limit Reached - 300 Requests per rolling 5 minute window."
    );
}
