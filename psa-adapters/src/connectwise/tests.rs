//! Code base, headers and refusals, seen from outside.

use serde_json::json;

use super::harness::{API, NOW, company_info, credentials, opened, opened_at};
use crate::{
    contract::{CustomerQuery, ExternalId, PsaAdapter},
    error::PsaError,
    scripted::{Scripted, get},
    secret::Secret,
    transport::TransportError,
};

const TYPES: &str = "/v2025_1/apis/3.0/company/companies/types";

#[tokio::test]
async fn each_call_carries_the_keys_and_the_look_up_carries_none() {
    let (psa, adapter) = opened_at("https://eu.myconnectwise.net");
    psa.expect(company_info("v2025_1/"));
    for _ in 0..2 {
        psa.expect(
            get(TYPES)
                .host("api-eu.myconnectwise.net")
                .header("authorization", "Basic bm9ydGhnYXRlK1BVQkxJQzpQUklWQVRF")
                .header("clientid", "0e8a5b0c-0000-4000-8000-000000000001")
                .header(
                    "accept",
                    "application/vnd.connectwise.com+json; version=2025.16",
                )
                .answer(
                    200,
                    json!([{"id": 1, "name": "Client"}, {"id": 4.0, "name": null}, {"name": "x"}]),
                ),
        );
        let types = adapter.customer_types().await.unwrap();
        let names: Vec<&str> = types.iter().map(|label| label.name.as_str()).collect();
        assert_eq!(names, ["Client", "4"]);
    }
    psa.finish();
    assert!(psa.sent()[0].header("authorization").is_none());
    assert!(psa.sent()[1].headers["authorization"].is_sensitive());
    assert_eq!(adapter.system(), "eu.myconnectwise.net/northgate");
    let limits = psa.limits();
    assert_eq!(
        (limits[0].windows[0].calls, limits[0].windows[0].seconds),
        (600, 60)
    );
    assert_eq!(limits[0].parallel, 4);
}

#[tokio::test]
async fn a_server_of_ones_own_is_asked_for_no_code_base_and_no_version() {
    let (psa, adapter) = opened_at("https://psa.northgate.example");
    psa.expect(
        get("/v4_6_release/apis/3.0/company/companies/types")
            .host("psa.northgate.example")
            .header("accept", "application/json")
            .answer(200, json!([])),
    );
    adapter.customer_types().await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn a_loopback_address_is_used_as_given() {
    let (psa, adapter) = opened_at("http://127.0.0.1:4010");
    psa.expect(
        get("/login/companyinfo/northgate")
            .host("127.0.0.1")
            .answer(200, json!({"Codebase": "v2025_1/", "IsCloud": "True"})),
    );
    psa.expect(get(TYPES).host("127.0.0.1").answer(200, json!([])));
    adapter.customer_types().await.unwrap();
    psa.finish();

    let (psa, adapter) = opened_at("http://127.0.0.1:4010");
    psa.expect(get("/login/companyinfo/northgate").answer_raw(404, "text/html", "no"));
    psa.expect(get("/v4_6_release/apis/3.0/company/companies/types").answer(200, json!([])));
    adapter.customer_types().await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn an_unknown_company_is_a_fault_of_the_configuration() {
    for told in [
        get("/login/companyinfo/northgate").answer(200, json!(null)),
        get("/login/companyinfo/northgate").answer_raw(404, "text/html", "<html>"),
    ] {
        let (psa, adapter) = opened_at("https://na.myconnectwise.net");
        psa.expect(told);
        assert!(matches!(
            adapter.customer_types().await,
            Err(PsaError::Config { what }) if what.contains("company ID")
        ));
    }
    let (psa, adapter) = opened_at("https://na.myconnectwise.net");
    psa.expect(
        get("/login/companyinfo/northgate")
            .answer(200, json!({"Codebase": "../evil", "IsCloud": "True"})),
    );
    assert!(matches!(
        adapter.customer_types().await,
        Err(PsaError::Protocol { .. })
    ));
}

#[tokio::test]
async fn an_upgraded_server_is_followed_to_its_new_code_base_once() {
    let (psa, adapter) = opened_at("https://eu.myconnectwise.net");
    psa.expect(company_info("v2025_1/"));
    psa.expect(get(TYPES).answer_raw(404, "text/html", "Cannot route"));
    psa.expect(company_info("v2025_2/"));
    psa.expect(get("/v2025_2/apis/3.0/company/companies/types").answer(200, json!([])));
    adapter.customer_types().await.unwrap();
    psa.finish();

    // From now on the new one is known, and a look that finds nothing new repeats nothing.
    psa.expect(get("/v2025_2/apis/3.0/company/companies/types").answer(
        404,
        json!({"code": "ConnectWiseApi", "message": "The endpoint does not exist."}),
    ));
    psa.expect(company_info("v2025_2/"));
    assert!(matches!(
        adapter.customer_types().await,
        Err(PsaError::Protocol { status: 404, .. })
    ));
    psa.finish();
}

#[tokio::test]
async fn a_missing_record_counts_as_missing_only_when_the_code_base_is_sure() {
    let (psa, adapter) = opened_at("https://eu.myconnectwise.net");
    psa.expect(company_info("v2025_1/"));
    psa.expect(get(&format!("{API}/company/companies/9")).answer(
        404,
        json!({"code": "NotFound", "message": "Company 9 not found"}),
    ));
    psa.expect(get("/login/companyinfo/northgate").fail(TransportError::NoAnswer));
    let id = ExternalId("9".to_owned());
    assert!(matches!(
        adapter.get_customer(&id).await,
        Err(PsaError::Transient { .. })
    ));

    psa.expect(company_info("v2025_1/"));
    psa.expect(get(&format!("{API}/company/companies/9")).answer(
        404,
        json!({"code": "NotFound", "message": "Company 9 not found"}),
    ));
    assert_eq!(adapter.get_customer(&id).await, Ok(None));
    psa.finish();
}

#[tokio::test]
async fn too_many_calls_have_everybody_wait_as_long_as_told() {
    let limited = json!({"error": "ConnectWiseAPI", "message": "Too many requests. Please try again in 30 seconds."});
    for (answer, wait) in [
        (
            get(TYPES)
                .answer(429, limited.clone())
                .with("retry-after", "12"),
            Some(12),
        ),
        (get(TYPES).answer(429, limited), Some(30)),
        (
            get(TYPES).answer(
                429,
                json!({"code": "ConnectWiseApi", "message": "Too many requests"}),
            ),
            None,
        ),
        (get(TYPES).answer_raw(429, "text/html", "<html>"), None),
    ] {
        let (psa, adapter) = opened();
        psa.expect(answer);
        assert_eq!(
            adapter.customer_types().await,
            Err(PsaError::RateLimited { retry_after: wait })
        );
        assert_eq!(psa.pauses(), Vec::from_iter(wait));
    }
}

#[tokio::test]
async fn what_is_no_answer_of_connectwise_is_told_as_such() {
    for (answer, is_passing) in [
        (
            get(TYPES).answer_raw(200, "text/html", "<html>maintenance</html>"),
            true,
        ),
        (get(TYPES).answer_raw(200, "application/json", ""), true),
        (get(TYPES).answer(200, json!(null)), true),
        (get(TYPES).answer(200, json!({"items": []})), true),
        (
            get(TYPES)
                .answer_raw(302, "text/html", "")
                .with("location", "http://169.254.169.254/"),
            true,
        ),
        (
            get(TYPES).answer_raw(500, "text/html", "Execution Timeout Expired"),
            true,
        ),
        (get(TYPES).fail(TransportError::NoAnswer), true),
        (get(TYPES).fail(TransportError::AddressRefused), false),
    ] {
        let (psa, adapter) = opened();
        psa.expect(answer);
        let error = adapter.customer_types().await.unwrap_err();
        assert_eq!(error.may_pass(), is_passing, "{error:?}");
        assert!(!format!("{error:?}").contains("maintenance"));
        psa.finish();
    }
}

#[test]
fn credentials_that_no_call_can_carry_are_refused_at_once() {
    let psa = Scripted::at(NOW);
    for (company, client) in [
        ("", "x"),
        ("a/b", "x"),
        ("a:b", "x"),
        ("northgate", "bücher\n"),
    ] {
        let mut entered = credentials();
        entered.company_id = company.to_owned();
        entered.client_id = client.to_owned();
        let opened = super::open("https://eu.myconnectwise.net", entered, psa.clone());
        assert!(matches!(opened.err(), Some(PsaError::Config { .. })));
    }
    let mut entered = credentials();
    entered.private_key = Secret::new(" PRIVATE\t".to_owned());
    assert!(super::open("https://eu.myconnectwise.net", entered, psa).is_ok());
}

#[tokio::test]
async fn the_address_encodes_spaces_quotes_and_signs() {
    let (psa, adapter) = opened();
    psa.expect(get(&format!("{API}/company/companies")).answer(200, json!([])));
    let query = CustomerQuery {
        modified_since: Some("2026-06-01T00:00:00Z".parse().unwrap()),
        types: vec!["1".to_owned(), "6".to_owned()],
    };
    adapter.list_customers(&query, None).await.unwrap();
    let sent = psa.sent();
    let url = sent.last().unwrap().url.as_str();
    assert!(
        url.contains("conditions=lastUpdated%3E%5B2026-05-31T23%3A50%3A00Z%5D"),
        "{url}"
    );
    assert!(
        url.contains("childConditions=types%2Fid%20in%20%281%2C6%29"),
        "{url}"
    );
}
