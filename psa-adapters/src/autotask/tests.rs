//! The adapter against a scripted way out.

mod lists;
mod set_up;
mod ticket_calls;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Autotask, open};
use crate::{
    contract::{CustomerQuery, ExternalId, PsaAdapter},
    credentials::AutotaskCredentials,
    error::PsaError,
    scripted::{Expected, Scripted, get, post},
    secret::Secret,
    transport::TransportError,
};

const BASE: &str = "https://webservices2.autotask.net";
const HOST: &str = "webservices16.autotask.net";
const API: &str = "/ATServicesRest/V1.0";
const ZONE_CALL: &str = "/atservicesrest/v1.0/zoneInformation";

fn credentials() -> AutotaskCredentials {
    AutotaskCredentials {
        username: "tenantry-api@Northgate.example".to_owned(),
        secret: Secret::new("canary-secret".to_owned()),
        integration_code: Secret::new("CANARYCODE".to_owned()),
    }
}

/// The adapter, whose zone call will be answered.
fn adapter() -> (Arc<Scripted>, Autotask) {
    let psa = Scripted::at("2026-06-10T12:00:00Z");
    psa.expect(zone_call(HOST));
    let adapter = open(BASE, credentials(), psa.clone()).unwrap();
    (psa, adapter)
}

fn zone_call(host: &str) -> Expected {
    let url = format!("https://{host}/ATServicesRest/");
    get(ZONE_CALL)
        .host("webservices2.autotask.net")
        .query("user", "tenantry-api@Northgate.example")
        .when("no credentials", |sent| {
            ["username", "secret", "apiintegrationcode", "authorization"]
                .iter()
                .all(|name| sent.header(name).is_none())
        })
        .answer(
            200,
            json!({"zoneName": "UK", "url": url, "webUrl": "https://ww16.autotask.net/"}),
        )
}

fn api(path: &str) -> String {
    format!("{API}/{path}")
}

fn id(id: &str) -> ExternalId {
    ExternalId(id.to_owned())
}

fn page(items: Value, next: Option<&str>) -> Value {
    json!({"items": items, "pageDetails": {"count": 1, "requestCount": 500, "nextPageUrl": next}})
}

/// What a database says about its companies.
fn company_fields(queryable: bool) -> Expected {
    get(&api("Companies/entityInformation/fields")).answer(
        200,
        json!({"fields": [
            {"name": "companyType", "isPickList": true, "picklistValues": [
                {"value": "1", "label": "Customer", "isActive": true},
                {"value": "8", "label": "Partner", "isActive": false},
            ]},
            {"name": "lastTrackedModifiedDateTime", "isQueryable": queryable},
            {"name": "lastActivityDate", "isQueryable": true},
        ]}),
    )
}

fn threshold(used: u32) -> Expected {
    get(&api("ThresholdInformation")).answer(
        200,
        json!({
            "externalRequestThreshold": 10_000, "requestThresholdTimeframe": 60,
            "currentTimeframeRequestCount": used,
        }),
    )
}

#[tokio::test]
async fn each_call_carries_the_three_headers_to_the_zone_and_the_zone_is_asked_once() {
    let (psa, adapter) = adapter();
    for _ in 0..2 {
        psa.expect(
            get(&api("Companies/7"))
                .host(HOST)
                .header("username", "tenantry-api@Northgate.example")
                .header("secret", "canary-secret")
                .header("apiintegrationcode", "CANARYCODE")
                .header("content-type", "application/json")
                .answer(200, json!({"item": null})),
        );
        assert_eq!(adapter.get_customer(&id("7")).await, Ok(None));
    }
    psa.finish();
    let sent = psa.sent();
    let sensitive = sent[1].headers.get("secret").unwrap().is_sensitive();
    assert!(sensitive && sent[1].endpoint == "Companies");
    assert_eq!(psa.limits().len(), 1);
    assert_eq!(psa.limits()[0].parallel_per_endpoint, Some(2));
    assert_eq!(adapter.system(), "autotask.net/northgate.example");
}

#[tokio::test]
async fn the_zone_is_looked_up_again_after_twelve_hours() {
    let (psa, adapter) = adapter();
    let none = || get(&api("Companies/7")).answer(200, json!({"item": null}));
    psa.expect(none());
    adapter.get_customer(&id("7")).await.unwrap();
    psa.set_now("2026-06-10T23:59:00Z");
    psa.expect(none());
    adapter.get_customer(&id("7")).await.unwrap();
    psa.set_now("2026-06-11T00:01:00Z");
    psa.expect(zone_call("webservices17.autotask.net"));
    psa.expect(none().host("webservices17.autotask.net"));
    adapter.get_customer(&id("7")).await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn a_401_is_repeated_once_and_only_in_another_zone() {
    let (psa, adapter) = adapter();
    psa.expect(
        get(&api("Companies/7"))
            .host(HOST)
            .answer_raw(401, "text/plain", ""),
    );
    psa.expect(zone_call("webservices17.autotask.net"));
    psa.expect(
        get(&api("Companies/7"))
            .host("webservices17.autotask.net")
            .answer(200, json!({"item": {"id": 7, "companyName": "Moved"}})),
    );
    let moved = adapter.get_customer(&id("7")).await.unwrap().unwrap();
    assert_eq!(moved.name, "Moved");
    psa.finish();

    let (psa, adapter) = self::adapter();
    psa.expect(get(&api("Companies/7")).answer_raw(401, "text/html", "<p>canary-page</p>"));
    psa.expect(zone_call(HOST));
    let refused = adapter.get_customer(&id("7")).await.unwrap_err();
    assert!(matches!(refused, PsaError::Auth { .. }), "{refused:?}");
    assert!(!format!("{refused:?}").contains("canary"));
    psa.finish();

    let (psa, adapter) = self::adapter();
    psa.expect(
        get(&api("Companies/7"))
            .host(HOST)
            .answer_raw(401, "text/plain", ""),
    );
    psa.expect(zone_call("webservices17.autotask.net"));
    psa.expect(get(&api("Companies/7")).answer_raw(401, "text/plain", ""));
    let refused = adapter.get_customer(&id("7")).await.unwrap_err();
    assert!(matches!(refused, PsaError::Auth { .. }), "{refused:?}");
    psa.finish();

    let (psa, adapter) = self::adapter();
    psa.expect(get(&api("Companies/7")).answer_raw(401, "text/plain", ""));
    psa.expect(get(ZONE_CALL).fail(TransportError::NoAnswer));
    let refused = adapter.get_customer(&id("7")).await.unwrap_err();
    assert!(matches!(refused, PsaError::Auth { .. }), "{refused:?}");
    psa.finish();
}

#[tokio::test]
async fn n1_a_foreign_zone_is_never_sent_credentials() {
    for url in [
        "https://evil.example/ATServicesRest/",
        "http://webservices16.autotask.net/ATServicesRest/",
        "https://webservices16.autotask.net.evil.example/",
    ] {
        let psa = Scripted::at("2026-06-10T12:00:00Z");
        psa.expect(get(ZONE_CALL).answer(200, json!({ "url": url })));
        let adapter = open(BASE, credentials(), psa.clone()).unwrap();
        let refused = adapter.get_customer(&id("7")).await.unwrap_err();
        assert!(matches!(refused, PsaError::Config { .. }), "{refused:?}");
        assert_eq!(psa.sent().len(), 1);
    }
}

#[tokio::test]
async fn an_unknown_user_is_told_by_the_zone_call() {
    let psa = Scripted::at("2026-06-10T12:00:00Z");
    let text = "Zone information could not be determined";
    psa.expect(get(ZONE_CALL).answer(500, json!({"errors": [text]})));
    let adapter = open(BASE, credentials(), psa.clone()).unwrap();
    assert_eq!(
        adapter.get_customer(&id("7")).await,
        Err(PsaError::Auth {
            what: text.to_owned()
        })
    );
}

#[tokio::test]
async fn a_wait_that_autotask_asks_for_holds_for_the_connection() {
    let (psa, adapter) = adapter();
    psa.expect(
        get(&api("Companies/7"))
            .answer(
                429,
                json!({"errors": ["You have exceeded the maximum number of requests"]}),
            )
            .with("retry-after", "120"),
    );
    let error = adapter.get_customer(&id("7")).await.unwrap_err();
    assert_eq!(
        error,
        PsaError::RateLimited {
            retry_after: Some(120)
        }
    );
    assert_eq!(psa.pauses(), [120]);
}

#[test]
fn what_cannot_be_sent_is_refused_before_anything_is() {
    let psa = Scripted::at("2026-06-10T12:00:00Z");
    let mut broken = credentials();
    broken.secret = Secret::new("canary\nsecret".to_owned());
    let refused = open(BASE, broken, psa.clone()).err().unwrap();
    assert!(matches!(refused, PsaError::Config { .. }));
    assert!(!format!("{refused:?}").contains("canary"));
    assert!(open("https://psa.example", credentials(), psa.clone()).is_err());
    assert!(psa.sent().is_empty());
}
