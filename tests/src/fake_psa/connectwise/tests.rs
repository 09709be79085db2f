//! The stand-in for ConnectWise refuses what the real one refuses, and answers in its shapes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FakeConnectWise, callbacks};
use crate::fake_psa::{
    faults::{Effect, Fault, FaultRule, status, throttled},
    limits::Limit,
    seed::{Firm, Seed, tenant_of},
    testing::{Got, Receiver, assert_fits, assert_shape, http, send},
    world::State,
};

struct Client {
    fake: FakeConnectWise,
    http: reqwest::Client,
    credentials: Value,
}

impl Client {
    async fn start(seed: Seed) -> Self {
        let fake = FakeConnectWise::start(seed).await;
        let credentials = fake.credentials();
        Self {
            fake,
            http: http(),
            credentials,
        }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let text = |name: &str| self.credentials[name].as_str().unwrap().to_owned();
        let user = format!("{}+{}", text("companyId"), text("publicKey"));
        let url = format!("{}/v2025_1/apis/3.0/{path}", self.fake.base_url());
        self.http
            .request(method.parse().unwrap(), url)
            .basic_auth(user, Some(text("privateKey")))
            .header("clientId", text("clientId"))
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Got {
        send(self.request("GET", path).query(query)).await
    }

    async fn forward(&self, path: &str, query: &[(&str, &str)]) -> Got {
        let request = self.request("GET", path).query(query);
        send(request.header("pagination-type", "forward-only")).await
    }

    async fn post(&self, path: &str, body: &Value) -> Got {
        send(self.request("POST", path).json(body)).await
    }
}

fn ids(page: &Value) -> Vec<i64> {
    page.as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_i64().unwrap())
        .collect()
}

fn harbour() -> Seed {
    let tenant = tenant_of("harbourdental.example").to_string();
    Seed::empty()
        .with(
            Firm::new("Harbour Dental Group Ltd")
                .code("HarbourDental")
                .website("www.harbourdental.example")
                .tenant_field(&tenant)
                .mails(&["priya.shah@harbourdental.example", "tom@outlook.com"]),
        )
        .with(Firm::new("Orchard & Pike Legal LLP"))
        .with(Firm::new("Gone").state(State::Deleted))
        .with(Firm::new("Closed down").state(State::Inactive))
}

#[tokio::test]
async fn who_may_not_is_refused_as_the_real_one_refuses() {
    let mut client = Client::start(harbour()).await;
    let info = format!("{}/login/companyinfo", client.fake.base_url());
    let known = send(client.http.get(format!("{info}/northgate")))
        .await
        .expect(200);
    assert_fits(
        "connectwise",
        "companyinfo.json",
        &json!({"CompanyName": "", "Codebase": "v2025_1/", "IsCloud": "True"}),
        &known.json(),
    );
    // The id is case-sensitive, and an unknown one is a success.
    assert_eq!(
        send(client.http.get(format!("{info}/Northgate")))
            .await
            .expect(200)
            .json(),
        Value::Null
    );

    client.get("system/info", &[]).await.expect(200);
    let url = format!("{}/v2025_1/apis/3.0/system/info", client.fake.base_url());
    assert_eq!(
        send(client.http.get(&url)).await.expect(400).json()["code"],
        "InvalidClientId"
    );
    let without_login = client.http.get(&url).header("clientId", "x");
    assert_eq!(
        send(without_login).await.expect(401).json()["message"],
        "UserNotAuthenticated"
    );
    for (name, value, refused) in [
        ("privateKey", "wrong", 401),
        ("clientId", "00000000-0000-0000-0000-000000000000", 403),
        ("companyId", "NORTHGATE", 404),
    ] {
        let good = client.credentials[name].clone();
        client.credentials[name] = json!(value);
        client.get("system/info", &[]).await.expect(refused);
        client.credentials[name] = good;
    }
    client.fake.rotate_secrets();
    let refused = client
        .get("company/companies", &[])
        .await
        .expect(401)
        .json();
    assert_fits(
        "connectwise",
        "error_401_bad_keys.json",
        &json!({"code": "", "message": "", "errors": null}),
        &refused,
    );
}

#[tokio::test]
async fn rights_are_checked_for_each_part() {
    let client = Client::start(harbour()).await;
    for (right, path) in [
        ("companies", "company/companies/count"),
        ("contacts", "company/contacts"),
        ("tables", "company/companies/statuses"),
        ("tickets", "service/tickets"),
        ("callbacks", "system/callbacks"),
    ] {
        client.get(path, &[]).await.expect(200);
        client.fake.remove_right(right);
        let refused = client.get(path, &[]).await.expect(403).json();
        assert_eq!(refused["code"], "Security");
        client.fake.give_right(right);
        client.get(path, &[]).await.expect(200);
    }
}

#[tokio::test]
async fn the_old_codebase_is_gone_after_an_upgrade_and_the_router_stays() {
    let client = Client::start(harbour()).await;
    client.fake.change_codebase();
    client.get("system/info", &[]).await.expect(404);
    let info = format!("{}/login/companyinfo/northgate", client.fake.base_url());
    assert_eq!(
        send(client.http.get(info)).await.json()["Codebase"],
        "v2025_2/"
    );
    let path = "../../../v4_6_release/apis/3.0/system/info";
    client.get(path, &[]).await.expect(200);
}

#[tokio::test]
async fn pages_are_linked_with_a_double_slash_and_capped() {
    let client = Client::start(Seed::companies(1203, 5)).await;
    let all = client
        .get("company/companies", &[("orderBy", "id")])
        .await
        .expect(200);
    assert_eq!(ids(&all.json()).len(), 25);
    assert!(
        all.header("link")
            .contains("/v2025_1//apis/3.0/company/companies/?"),
        "{}",
        all.header("link")
    );
    let capped = client
        .get("company/companies", &[("pageSize", "5000")])
        .await
        .expect(200);
    assert_eq!(ids(&capped.json()).len(), 1000);
    assert!(capped.header("link").contains("page=2>; rel=\"next\""));
    let last = client
        .get("company/companies", &[("pageSize", "1000"), ("page", "2")])
        .await;
    assert_eq!(ids(&last.json()).len(), 203);
    assert!(!last.header("link").contains("next"));
    assert!(last.header("link").contains("rel=\"prev\""));
    let past = client
        .get("company/companies", &[("pageSize", "1000"), ("page", "3")])
        .await
        .expect(200);
    assert_eq!(past.json(), json!([]));
    client
        .get("company/companies", &[("page", "0")])
        .await
        .expect(400);
    client
        .get("company/companies", &[("orderBy", "nonsense")])
        .await
        .expect(400);
    // A link is good as it is.
    let link = all
        .header("link")
        .split('>')
        .next()
        .unwrap()
        .trim_start_matches('<')
        .to_owned();
    let path = link.split("/apis/3.0/").nth(1).unwrap().to_owned();
    let second = client.get(&path, &[]).await.expect(200);
    assert_ne!(ids(&second.json()), ids(&all.json()));
}

#[tokio::test]
async fn forward_only_pages_go_on_after_an_id_until_an_empty_array() {
    let client = Client::start(Seed::companies(60, 5)).await;
    let mut seen = Vec::new();
    let mut after = "0".to_owned();
    for _ in 0..9 {
        // The page is ignored.
        let query = [
            ("pageSize", "30"),
            ("pageId", after.as_str()),
            ("page", "7"),
        ];
        let page = client
            .forward("company/companies", &query)
            .await
            .expect(200);
        assert!(page.headers.contains_key("link"));
        let rows = ids(&page.json());
        let Some(last) = rows.last() else {
            assert_eq!(page.header("link"), "");
            break;
        };
        assert!(page.header("link").contains(&format!("pageId={last}")));
        after = last.to_string();
        seen.extend(rows);
    }
    assert_eq!(seen.len(), 60);
    assert!(seen.is_sorted());
    client
        .forward("company/companies", &[("orderBy", "id")])
        .await
        .expect(400);
}

#[tokio::test]
async fn conditions_find_and_bad_ones_are_refused() {
    let client = Client::start(harbour()).await;
    let names = async |query: &[(&str, &str)]| {
        let page = client
            .get("company/companies", query)
            .await
            .expect(200)
            .json();
        page.as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let active = [("conditions", "deletedFlag=false and status/id in (1,19)")];
    assert_eq!(
        names(&active).await,
        ["Harbour Dental Group Ltd", "Orchard & Pike Legal LLP"]
    );
    let tenant = tenant_of("harbourdental.example");
    let custom = format!("caption=\"M365 Tenant Id\" AND value=\"{tenant}\"");
    assert_eq!(
        names(&[("customFieldConditions", &custom)]).await,
        ["Harbour Dental Group Ltd"]
    );
    assert_eq!(
        names(&[("childConditions", "types/id=1 or types/id=4")])
            .await
            .len(),
        4
    );
    assert_eq!(
        names(&[("conditions", "lastUpdated>[2030-01-01T00:00:00Z]")])
            .await
            .len(),
        0
    );
    for bad in [
        "types/id=1",
        "name=Harbour",
        "lastUpdated>2026-01-01",
        "caption=\"x\"",
        "nonsense",
    ] {
        let refused = client
            .get("company/companies", &[("conditions", bad)])
            .await
            .expect(400)
            .json();
        assert_eq!(refused["code"], "ApiFindCondition", "{bad}");
    }
    let offset = client.request(
        "GET",
        "company/companies?conditions=lastUpdated>[2026-01-01T00:00:00+00:00]",
    );
    send(offset).await.expect(400);
    client
        .get("company/companies", &[("childConditions", "name=\"x\"")])
        .await
        .expect(400);
    client
        .get("company/companies", &[("fields", "id,nonsense")])
        .await
        .expect(400);
    let long = "x".repeat(2100);
    client
        .get("company/companies", &[("conditions", &long)])
        .await
        .expect(404);
    let searched = client
        .post(
            "company/companies/search",
            &json!({"conditions": "name like \"Harb%\""}),
        )
        .await;
    assert_eq!(ids(&searched.expect(200).json()).len(), 1);
    let thin = client
        .get("company/companies", &[("fields", "id,name")])
        .await
        .expect(200)
        .json();
    assert_eq!(thin[0].as_object().unwrap().len(), 2);
    let childs = client
        .get(
            "company/contacts",
            &[(
                "childConditions",
                "communicationItems/value like \"%outlook.com\"",
            )],
        )
        .await;
    assert_eq!(ids(&childs.expect(200).json()).len(), 1);
}

#[tokio::test]
async fn answers_have_the_shapes_of_the_examples() {
    let client = Client::start(harbour()).await;
    let fits =
        |file: &str, shape: Value, actual: &Value| assert_fits("connectwise", file, &shape, actual);
    let get = async |path: &str| client.get(path, &[]).await.expect(200).json();
    fits(
        "system_info.json",
        json!({"version": "", "isCloud": true}),
        &get("system/info").await,
    );
    let company = json!({"id": 1, "identifier": "", "name": "", "status": {"id": 1, "name": ""}, "website": "",
        "types": [{"id": 1, "name": ""}], "deletedFlag": false, "_info": {"lastUpdated": ""},
        "customFields": [{"caption": "", "value": ""}]});
    fits(
        "company_single.json",
        company.clone(),
        &get("company/companies/250").await,
    );
    let page = get("company/companies").await;
    assert_shape(&json!([company]), &page);
    fits(
        "companies_count.json",
        json!({"count": 4}),
        &get("company/companies/count").await,
    );
    fits(
        "company_statuses.json",
        json!([{"id": 1, "inactiveFlag": false}]),
        &get("company/companies/statuses").await,
    );
    fits(
        "company_types.json",
        json!([{"id": 1, "name": "Client"}]),
        &get("company/companies/types").await,
    );
    let contacts =
        json!([{"id": 1, "communicationItems": [{"value": "", "communicationType": "Email"}]}]);
    fits("contacts.json", contacts, &get("company/contacts").await);
    fits(
        "board_statuses.json",
        json!([{"id": 519, "closedStatus": true}]),
        &get("service/boards/21/statuses").await,
    );
    let missing = client
        .get("company/companies/99999", &[])
        .await
        .expect(404)
        .json();
    fits(
        "error_404_record.json",
        json!({"code": "NotFound", "message": ""}),
        &missing,
    );
    let site = &get("company/companies/250/sites").await[0];
    assert_shape(
        &json!({"id": 1, "primaryAddressFlag": true, "stateReference": {"name": ""}}),
        site,
    );
    let refused = client
        .get(
            "company/companies/250/sites",
            &[("fields", "id,addressLine2")],
        )
        .await;
    refused.expect(400);
}

#[tokio::test]
async fn tickets_are_made_found_noted_and_closed_by_their_boards_rules() {
    let client = Client::start(harbour()).await;
    let refused = client
        .post(
            "service/tickets",
            &json!({"summary": "x".repeat(101), "company": {"id": 250}}),
        )
        .await;
    assert_fits(
        "connectwise",
        "error_400_invalid_object.json",
        &json!({"errors": [{"code": "MaxLengthField", "field": "summary"}]}),
        &refused.expect(400).json(),
    );
    for (body, code) in [
        (json!({"company": {"id": 250}}), "MissingRequiredField"),
        (json!({"summary": "x"}), "MissingRequiredField"),
        (json!({"summary": "x", "company": {"id": 9}}), "NotFound"),
        (
            json!({"summary": "x", "company": {"id": 250}, "board": {"id": 9}}),
            "NotFound",
        ),
        (
            json!({"summary": "x", "company": {"id": 250}, "board": {"id": 21}, "status": {"id": 601}}),
            "NotFound",
        ),
    ] {
        let refused = client
            .post("service/tickets", &body)
            .await
            .expect(400)
            .json();
        assert_eq!(refused["errors"][0]["code"], code, "{body}");
    }
    let body = json!({"summary": "Tenantry: consent missing", "company": {"id": 250}, "board": {"id": 21},
        "externalXRef": "tenantry:consent:6f1b"});
    let made = client
        .post("service/tickets", &body)
        .await
        .expect(201)
        .json();
    assert_fits(
        "connectwise",
        "ticket_created.json",
        &json!({"id": 1, "closedFlag": false}),
        &made,
    );
    let id = made["id"].as_i64().unwrap();
    let find = "externalXRef=\"tenantry:consent:6f1b\" and company/id=250 and closedFlag=false";
    let found = client
        .get("service/tickets", &[("conditions", find)])
        .await
        .expect(200)
        .json();
    assert_eq!(ids(&found), [id]);

    let notes = format!("service/tickets/{id}/notes");
    client.post(&notes, &json!({"text": "x"})).await.expect(400);
    let note = json!({"text": "Still failing.", "internalAnalysisFlag": true});
    let note = client.post(&notes, &note).await.expect(201).json();
    assert_fits(
        "connectwise",
        "ticket_note_created.json",
        &json!({"ticketId": 1}),
        &note,
    );

    let path = format!("service/tickets/{id}");
    let patch = async |body: Value| send(client.request("PATCH", &path).json(&body)).await;
    patch(json!({"status": {"id": 519}})).await.expect(400);
    let foreign = patch(json!([{"op": "replace", "path": "status", "value": {"id": 640}}]))
        .await
        .expect(400)
        .json();
    assert!(
        foreign["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("Service Board 21")
    );
    // Below the reference: taken, and nothing happens.
    let nothing = patch(json!([{"op": "replace", "path": "status/id", "value": 519}]))
        .await
        .expect(200)
        .json();
    assert_eq!(nothing["closedFlag"], false);
    client.fake.remove_right("closeTickets");
    patch(json!([{"op": "replace", "path": "status", "value": {"id": 519}}]))
        .await
        .expect(403);
    client.fake.give_right("closeTickets");
    let closed = patch(json!([{"op": "replace", "path": "status", "value": {"id": 519}}]))
        .await
        .expect(200)
        .json();
    assert_fits(
        "connectwise",
        "ticket_closed.json",
        &json!({"closedFlag": true, "closedDate": ""}),
        &closed,
    );
    assert!(client.fake.tickets()[0].closed);
    let none = client
        .get("service/tickets", &[("conditions", find)])
        .await
        .json();
    assert_eq!(none, json!([]));
    assert!(client.fake.violations().is_empty());
    send(client.request("PUT", &path).json(&made))
        .await
        .expect(405);
    assert_eq!(client.fake.violations().len(), 1);
}

#[tokio::test]
async fn callbacks_are_called_signed_and_refused_twice() {
    let client = Client::start(harbour()).await;
    let mut receiver = Receiver::start().await;
    let body = json!({"description": "Tenantry company sync", "url": format!("{}?recordId=", receiver.url),
        "objectId": 1, "type": "company", "level": "owner", "payloadVersion": "3.0.0"});
    client
        .post("system/callbacks", &json!({"url": receiver.url}))
        .await
        .expect(400);
    let made = client
        .post("system/callbacks", &body)
        .await
        .expect(201)
        .json();
    assert_fits(
        "connectwise",
        "callback_created.json",
        &json!({"id": 1}),
        &made,
    );
    let twice = client
        .post("system/callbacks", &body)
        .await
        .expect(400)
        .json();
    assert_fits(
        "connectwise",
        "callback_error_duplicate.json",
        &json!({"code": "InvalidObject"}),
        &twice,
    );
    assert_eq!(twice["errors"][0]["code"], "ObjectExists");
    let found = client
        .get(
            "system/callbacks",
            &[("conditions", "url contains \"7c1e\"")],
        )
        .await
        .expect(200);
    assert_eq!(ids(&found.json()).len(), 1);

    client.fake.rename(250, "Harbour & Söhne");
    let call = receiver.next().await;
    assert_eq!(call.target, "/hooks/7c1e?recordId=250&action=updated");
    let event = call.json();
    assert_fits(
        "connectwise",
        "callback_event_company_updated.json",
        &json!({"Action": "updated", "ID": 250, "Metadata": {"key_url": ""}}),
        &event,
    );
    assert_eq!(event["Type"], "company");
    assert!(event["Entity"].as_str().unwrap().contains("Söhne"));
    let key_url = event["Metadata"]["key_url"].as_str().unwrap().to_owned();
    send(client.http.get(&key_url)).await.expect(400);
    let path = key_url.split("/v2025_1/").nth(1).unwrap();
    let key = client
        .get(&format!("../../{path}"), &[])
        .await
        .expect(200)
        .json();
    assert_fits(
        "connectwise",
        "callback_signing_key.json",
        &json!({"signing_key": ""}),
        &key,
    );
    let signature = callbacks::sign(key["signing_key"].as_str().unwrap(), &call.body);
    assert_eq!(call.header("x-content-signature"), signature);

    client.fake.delete(250);
    let gone = receiver.next().await.json();
    assert_eq!(
        (&gone["Action"], &gone["Entity"]),
        (&json!("deleted"), &Value::Null)
    );
    let marked = client
        .get("company/companies/250", &[])
        .await
        .expect(200)
        .json();
    assert_eq!(marked["deletedFlag"], true);

    let path = format!("system/callbacks/{}", made["id"]);
    send(client.request("DELETE", &path)).await.expect(204);
    send(client.request("DELETE", &path)).await.expect(404);
    client.fake.rename(253, "Quiet");
    client.get("system/info", &[]).await.expect(200);
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn the_signature_is_that_of_the_recorded_example() {
    // The example's key, body and signature belong together.
    let Some(event) = std::env::var_os("TENANTRY_EXAMPLES") else {
        return;
    };
    let folder = std::path::Path::new(&event)
        .parent()
        .unwrap()
        .join("psa-examples/connectwise");
    let body = std::fs::read(folder.join("callback_event_company_updated.json")).unwrap();
    let signature = callbacks::sign("Zk3pQ1-example-signing-key", &body);
    assert_eq!(signature, "Cw62VSS90LcAIg5P7Nl1qrqW2uH8ef0UMCVrTEHpe8k=");
}

#[tokio::test]
async fn faults_and_limits_are_played() {
    let client = Client::start(Seed::companies(100, 2)).await;
    let list = "company/companies";
    client
        .fake
        .limit(Some(Limit::told(2, Duration::from_secs(600), 7)));
    client.get(list, &[]).await.expect(200);
    client.get(list, &[]).await.expect(200);
    let refused = client.get(list, &[]).await.expect(429);
    assert_eq!(refused.header("retry-after"), "7");
    assert_eq!(refused.json()["error"], "ConnectWiseAPI");
    client.fake.limit(None);

    client.fake.script(FaultRule::once(list, throttled(3)));
    client.fake.script(FaultRule::once(list, Fault::Html(503)));
    client.fake.script(FaultRule::once(list, status(500)));
    client
        .fake
        .script(FaultRule::once(list, Fault::Nulls(vec!["name".to_owned()])));
    client
        .fake
        .script(FaultRule::once(list, Fault::Without(vec!["id".to_owned()])));
    client.fake.script(FaultRule::once(list, Fault::EmptyPage));
    client
        .fake
        .script(FaultRule::once(list, Fault::ShortPage(3)));
    assert_eq!(
        client
            .get(list, &[])
            .await
            .expect(429)
            .header("retry-after"),
        "3"
    );
    assert!(
        client
            .get(list, &[])
            .await
            .expect(503)
            .text
            .starts_with("<!DOCTYPE")
    );
    assert!(
        client
            .get(list, &[])
            .await
            .expect(500)
            .text
            .contains("timeout")
    );
    assert_eq!(
        client.get(list, &[]).await.expect(200).json()[0]["name"],
        Value::Null
    );
    assert!(
        client.get(list, &[]).await.expect(200).json()[0]
            .get("id")
            .is_none()
    );
    assert_eq!(client.get(list, &[]).await.expect(200).json(), json!([]));
    assert_eq!(
        ids(&client.get(list, &[]).await.expect(200).json()).len(),
        3
    );
    assert!(client.fake.desk().faults.unread().is_empty());

    let first = client.fake.active_ids()[0];
    client.fake.script(FaultRule::once(
        list,
        Fault::Before(Effect::Vanish(vec![first])),
    ));
    assert!(!ids(&client.get(list, &[]).await.json()).contains(&first));
    client
        .fake
        .script(FaultRule::once("page=2", Fault::RepeatPage));
    let one = client.get(list, &[("page", "1")]).await.json();
    let two = client.get(list, &[("page", "2")]).await.json();
    assert_eq!(one, two);
    assert_ne!(one, client.get(list, &[("page", "2")]).await.json());
    for fault in [Fault::Reset, Fault::DropAfterEffect, Fault::Truncate(40)] {
        client.fake.script(FaultRule::once(list, fault.clone()));
        let request = client.request("GET", list).send().await;
        let whole = match request {
            Ok(response) => response.bytes().await.is_ok(),
            Err(_) => false,
        };
        assert!(!whole, "{fault:?}");
    }
}
