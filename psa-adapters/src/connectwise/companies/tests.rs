use serde_json::json;

use super::*;
use crate::{
    connectwise::harness::{API, opened},
    contract::{EvidenceKind, PsaAdapter},
    scripted::{Expected, Scripted, get},
};

fn statuses() -> Expected {
    get(&format!("{API}/company/companies/statuses")).answer(
        200,
        json!([{"id": 1, "name": "Current", "inactiveFlag": false}, {"id": 2, "name": "Left", "inactiveFlag": true},
               {"id": 19, "name": "Credit Hold", "inactiveFlag": null}]),
    )
}

fn one(psa: &Scripted, record: Value) {
    psa.expect(get(&format!("{API}/company/companies/250")).answer(200, record));
}

async fn read(adapter: &ConnectWise) -> Customer {
    let id = ExternalId("250".to_owned());
    adapter.get_customer(&id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_company_becomes_a_customer_with_its_evidence() {
    let (psa, adapter) = opened();
    psa.expect(statuses());
    one(
        &psa,
        json!({
            "id": 250.0, "identifier": "HarbourDental", "name": " Harbour Dental ", "status": {"id": 1, "name": "Current"},
            "types": [{"id": 1, "name": "Client"}, {}, {"id": 6}, null], "addressLine1": "14 Quayside", "addressLine2": "",
            "city": "Bristol", "state": "Avon", "zip": 1234, "country": {"id": 3, "name": "United Kingdom"},
            "phoneNumber": "0117", "website": "http://www.HarbourDental.example/about", "deletedFlag": false,
            "customFields": [
                {"id": 21, "caption": "M365 Tenant Id", "value": "\u{200e}6F1B3C52-9d5a-4c1e-8f0a-4b7d2e9c1a33"},
                {"id": 22, "caption": "Notes", "value": "harbour.onmicrosoft.com"},
                {"id": 23, "caption": "Seats", "value": 64}, {"id": 24, "caption": "Empty", "value": null}, {}
            ],
            "_info": {"lastUpdated": "2026-05-28T09:14:07Z"}
        }),
    );
    let customer = read(&adapter).await;
    assert_eq!(customer.id.0, "250");
    assert_eq!(customer.name, "Harbour Dental");
    assert_eq!(customer.code.as_deref(), Some("HarbourDental"));
    assert_eq!(customer.state, CustomerState::Active);
    let types: Vec<&str> = customer.types.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(types, ["Client", "6"]);
    assert_eq!(customer.address.lines, ["14 Quayside"]);
    assert_eq!(customer.address.postal_code.as_deref(), Some("1234"));
    assert_eq!(customer.updated_at.as_deref(), Some("2026-05-28T09:14:07Z"));
    let evidence: Vec<(EvidenceKind, &str)> = customer
        .evidence
        .iter()
        .map(|evidence| (evidence.kind, evidence.value.as_str()))
        .collect();
    assert_eq!(
        evidence,
        [
            (
                EvidenceKind::TenantId,
                "6f1b3c52-9d5a-4c1e-8f0a-4b7d2e9c1a33"
            ),
            (EvidenceKind::InitialDomain, "harbour.onmicrosoft.com"),
            (EvidenceKind::Website, "harbourdental.example"),
        ]
    );
    psa.finish();
}

#[tokio::test]
async fn what_is_missing_null_or_empty_is_simply_not_known() {
    let (psa, adapter) = opened();
    psa.expect(statuses().always());
    for (record, name) in [
        (json!({"id": 250}), "250"),
        (
            json!({"id": 250, "name": "", "identifier": "Harbour"}),
            "Harbour",
        ),
        (
            json!({"id": 250, "name": null, "identifier": null, "status": {}, "types": null, "country": {"_info": {}},
                   "website": null, "deletedFlag": null, "customFields": null, "_info": null}),
            "250",
        ),
        (
            json!({"id": "250", "status": null, "types": {}, "country": "UK", "customFields": "none"}),
            "250",
        ),
    ] {
        one(&psa, record);
        let customer = read(&adapter).await;
        assert_eq!(customer.name, name);
        assert_eq!(customer.state, CustomerState::Active);
        assert_eq!(customer.address, Address::default());
        assert!(customer.types.is_empty() && customer.evidence.is_empty());
    }
}

#[tokio::test]
async fn the_state_follows_the_table_of_statuses_and_the_mark_of_deletion() {
    let (psa, adapter) = opened();
    psa.expect(statuses().always());
    for (record, state) in [
        (
            json!({"id": 250, "status": {"id": 1, "name": "Inactive"}}),
            CustomerState::Active,
        ),
        (
            json!({"id": 250, "status": {"id": 2, "name": "Active"}}),
            CustomerState::Inactive,
        ),
        (
            json!({"id": 250, "status": {"id": 19}}),
            CustomerState::Active,
        ),
        (
            json!({"id": 250, "status": {"id": 1}, "deletedFlag": true}),
            CustomerState::Deleted,
        ),
        (
            json!({"id": 250, "status": {"id": 77}}),
            CustomerState::Active,
        ),
    ] {
        one(&psa, record);
        assert_eq!(read(&adapter).await.state, state);
    }
}

#[tokio::test]
async fn statuses_are_looked_up_again_when_they_are_old_or_one_is_new() {
    let (psa, adapter) = opened();
    let asked = |psa: &Scripted| {
        let lines = psa.lines();
        lines
            .iter()
            .filter(|line| line.ends_with("/statuses"))
            .count()
    };
    psa.expect(statuses().always());
    for (at, status, count) in [
        ("2026-06-10T12:00:00Z", 1, 1),
        ("2026-06-10T12:09:00Z", 2, 1),
        ("2026-06-10T12:09:00Z", 77, 2),
        ("2026-06-10T12:10:00Z", 1, 2),
        ("2026-06-10T12:20:00Z", 1, 3),
    ] {
        psa.set_now(at);
        one(&psa, json!({"id": 250, "status": {"id": status}}));
        read(&adapter).await;
        assert_eq!(asked(&psa), count, "{at}");
    }
    // A read of all customers begins with a fresh look.
    psa.expect(get(&format!("{API}/company/companies")).answer(200, json!([{"id": 1}])));
    let query = CustomerQuery::default();
    adapter.list_customers(&query, None).await.unwrap();
    assert_eq!(asked(&psa), 4);
}

#[tokio::test]
async fn changes_are_asked_for_with_an_overlap_and_types_by_ids() {
    let (psa, adapter) = opened();
    psa.expect(
        get(&format!("{API}/company/companies"))
            .query("conditions", "lastUpdated>[2026-05-31T23:50:00Z]")
            .query("childConditions", "types/id=1")
            .header("pagination-type", "forward-only")
            .no_query("orderBy")
            .answer(200, json!([])),
    );
    let query = CustomerQuery {
        modified_since: Some("2026-06-01T00:00:00.25Z".parse().unwrap()),
        types: vec![" 1 ".to_owned()],
    };
    let page = adapter.list_customers(&query, None).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    psa.finish();

    let query = CustomerQuery {
        modified_since: None,
        types: vec!["1) or (id>0".to_owned()],
    };
    assert!(matches!(
        adapter.list_customers(&query, None).await,
        Err(PsaError::Config { .. })
    ));
}

#[tokio::test]
async fn another_company_than_the_one_asked_for_is_no_answer() {
    let (psa, adapter) = opened();
    psa.expect(statuses());
    one(&psa, json!({"id": 251}));
    let id = ExternalId("250".to_owned());
    assert!(matches!(
        adapter.get_customer(&id).await,
        Err(PsaError::Protocol { .. })
    ));
}
