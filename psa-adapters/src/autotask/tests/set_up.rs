//! Webhooks and the look at a connection.

use super::*;
use crate::{
    event::{Callback, CallbackTarget},
    report::Report,
    scripted::delete,
};

const PERMISSION: &str =
    "The logged in Resource does not have the adequate permissions to query this entity type.";

fn target(secret: &str) -> CallbackTarget {
    CallbackTarget {
        url: "https://msp.example/psa-connections/1/events/x"
            .parse()
            .unwrap(),
        secret: Secret::new(secret.to_owned()),
        name: "Tenantry 0199".to_owned(),
    }
}

fn webhook_fields() -> Expected {
    get(&api("CompanyWebhookFields/entityInformation/fields")).answer(
        200,
        json!({"fields": [{"name": "fieldID", "picklistValues": [
            {"value": "59", "label": "CompanyName"}, {"value": "60", "label": "Company Type"},
            {"value": "61", "label": "AssetValue"},
        ]}]}),
    )
}

#[tokio::test]
async fn a_webhook_replaces_its_stale_likes_and_gets_its_fields_one_after_another() {
    let (psa, adapter) = adapter();
    psa.expect(webhook_fields());
    psa.expect(post(&api("CompanyWebhooks/query")).answer(
        200,
        page(
            json!([{"id": 39, "name": "Tenantry 0199"}, {"id": 40, "name": "Other 0199"}]),
            None,
        ),
    ));
    psa.expect(delete(&api("CompanyWebhooks/39")).answer(200, json!({"itemId": 39})));
    psa.expect(post(&api("CompanyWebhooks")).answer(200, json!({"itemId": 41})));
    for field in [59, 60] {
        psa.expect(
            post(&api("CompanyWebhooks/41/Fields"))
                .body(json!({"webhookID": 41, "fieldID": field, "isSubscribedField": true, "isDisplayAlwaysField": false}))
                .answer(200, json!({"itemId": 305})),
        );
    }
    psa.expect(
        get(&api("CompanyWebhooks/41")).answer(200, json!({"item": {"id": 41, "isReady": false}})),
    );
    psa.expect(
        get(&api("CompanyWebhooks/41")).answer(200, json!({"item": {"id": 41, "isReady": true}})),
    );
    let callback = adapter.register_callback(&target("s3cret")).await.unwrap();
    assert_eq!(callback, Callback { id: id("41") });
    psa.finish();
    let sent = psa.sent();
    let created = sent
        .iter()
        .find(|sent| sent.line() == format!("POST {API}/CompanyWebhooks"))
        .unwrap()
        .json();
    assert_eq!(created["webhookUrl"], created["deactivationUrl"]);
    assert_eq!(
        (&created["secretKey"], &created["name"]),
        (&json!("s3cret"), &json!("Tenantry 0199"))
    );
}

#[tokio::test]
async fn a_webhook_that_is_never_ready_is_looked_at_three_times() {
    let (psa, adapter) = adapter();
    psa.expect(webhook_fields());
    psa.expect(post(&api("CompanyWebhooks/query")).answer(200, page(json!([]), None)));
    psa.expect(post(&api("CompanyWebhooks")).answer(200, json!({"itemId": 41})));
    psa.expect(
        post(&api("CompanyWebhooks/41/Fields"))
            .answer(200, json!({"itemId": 1}))
            .always(),
    );
    for _ in 0..3 {
        psa.expect(
            get(&api("CompanyWebhooks/41")).answer(200, json!({"item": {"isReady": false}})),
        );
    }
    adapter.register_callback(&target("s")).await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn a_webhook_whose_fields_are_refused_is_taken_away() {
    let (psa, adapter) = adapter();
    psa.expect(webhook_fields());
    psa.expect(post(&api("CompanyWebhooks/query")).answer(200, page(json!([]), None)));
    psa.expect(post(&api("CompanyWebhooks")).answer(200, json!({"itemId": 41})));
    psa.expect(
        post(&api("CompanyWebhooks/41/Fields")).answer(500, json!({"errors": [PERMISSION]})),
    );
    psa.expect(delete(&api("CompanyWebhooks/41")).answer(200, json!({})));
    let error = adapter.register_callback(&target("s")).await.unwrap_err();
    assert_eq!(
        error,
        PsaError::Permission {
            what: "webhooks".to_owned()
        }
    );
    psa.finish();
    let (psa, adapter) = self::adapter();
    let long = adapter
        .register_callback(&target(&"x".repeat(65)))
        .await
        .unwrap_err();
    assert!(matches!(long, PsaError::Config { .. }) && psa.sent().is_empty());
}

#[tokio::test]
async fn a_webhook_that_is_gone_already_is_removed() {
    let (psa, adapter) = adapter();
    let gone = json!({"errors": ["No matching records found for the given criteria."]});
    psa.expect(delete(&api("CompanyWebhooks/41")).answer(500, gone));
    adapter
        .remove_callback(&Callback { id: id("41") })
        .await
        .unwrap();
    psa.expect(delete(&api("CompanyWebhooks/41")).answer_raw(200, "text/plain", ""));
    adapter
        .remove_callback(&Callback { id: id("41") })
        .await
        .unwrap();
    psa.finish();
}

fn readable(entity: &str) -> Expected {
    post(&api(&format!("{entity}/query"))).answer(200, page(json!([{"id": 1}]), None))
}

fn line<'a>(report: &'a Report, name: &str) -> &'a crate::report::Check {
    report
        .checks
        .iter()
        .find(|check| check.name == name)
        .unwrap()
}

#[tokio::test]
async fn a_look_tells_each_right_and_what_the_threshold_leaves() {
    let (psa, adapter) = adapter();
    psa.expect(threshold(5_211));
    psa.expect(readable("Companies"));
    psa.expect(post(&api("Contacts/query")).answer(500, json!({"errors": [PERMISSION]})));
    psa.expect(readable("CompanyLocations"));
    psa.expect(readable("CompanyWebhooks"));
    psa.expect(get(&api("Tickets/entityInformation/fields")).answer(
        200,
        json!({"fields": [{"name": "queueID", "picklistValues": [{"value": "9", "label": "Level I"}]}]}),
    ));
    psa.expect(readable("Tickets"));
    let report = adapter.check(Some(&json!({"queueId": 8}))).await.unwrap();
    let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
    assert_eq!(
        names,
        [
            "reachable",
            "credentials",
            "companies",
            "contacts",
            "locations",
            "webhooks",
            "tickets",
            "threshold",
            "visibility"
        ]
    );
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.name)
        .collect();
    assert_eq!(failed, ["contacts", "tickets"]);
    let action = line(&report, "contacts").action.clone().unwrap();
    assert!(
        action.contains("CRM: contacts, read") && action.contains("Security Levels"),
        "{action}"
    );
    assert!(line(&report, "tickets").detail.contains("queueId"));
    assert!(line(&report, "threshold").detail.contains("5211 of 10000"));
    assert!(
        line(&report, "visibility")
            .detail
            .contains("line of business")
    );
    assert_eq!(psa.limits().last().unwrap().windows[0].calls, 1_197);
    psa.finish();
}

#[tokio::test]
async fn a_look_stops_at_refused_credentials() {
    let (psa, adapter) = adapter();
    psa.expect(get(&api("ThresholdInformation")).answer_raw(401, "text/plain", ""));
    psa.expect(zone_call(HOST));
    let report = adapter.check(None).await.unwrap();
    assert!(!report.ok() && !line(&report, "credentials").ok);
    let asked = format!("GET {}", api("ThresholdInformation"));
    let zone = format!("GET {ZONE_CALL}");
    assert_eq!(psa.lines(), [zone.clone(), asked, zone]);
    psa.finish();

    let psa = Scripted::at("2026-06-10T12:00:00Z");
    psa.expect(get(ZONE_CALL).answer(
        500,
        json!({"errors": ["Zone information could not be determined"]}),
    ));
    let adapter = open(BASE, credentials(), psa.clone()).unwrap();
    let report = adapter.check(None).await.unwrap();
    assert!(line(&report, "reachable").ok && !line(&report, "credentials").ok);

    let psa = Scripted::at("2026-06-10T12:00:00Z");
    psa.expect(get(ZONE_CALL).fail(TransportError::NotConnected));
    let adapter = open(BASE, credentials(), psa.clone()).unwrap();
    let report = adapter.check(None).await.unwrap();
    assert!(!line(&report, "reachable").ok && report.checks.len() == 1);
}
