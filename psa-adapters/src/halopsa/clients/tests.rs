use serde_json::json;

use crate::{
    contract::{EvidenceKind, PsaAdapter},
    scripted::{Expected, get},
};

use super::*;
use crate::halopsa::testing::{calls, id, signed_in};

fn page(number: &str) -> Expected {
    get("/api/Client")
        .query("pageinate", "true")
        .query("page_no", number)
        .query("page_size", "999")
        .query("order", "id")
        .query("includeactive", "true")
        .query("includeinactive", "true")
}

fn row(id: i64) -> Value {
    json!({"id": id, "name": format!("Client {id}"), "inactive": false, "customertype_new": "Customer",
           "isopportunity": 0, "website": "", "domain": "", "customfields": []})
}

fn ids(page: &Page<Customer>) -> Vec<&str> {
    page.items.iter().map(|c| c.id.0.as_str()).collect()
}

fn everything() -> CustomerQuery {
    CustomerQuery::default()
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page_without_details() {
    let (psa, halo) = signed_in();
    let rows: Vec<Value> = (1..=999).map(row).collect();
    psa.expect(
        page("1")
            .no_query("lastupdatefromdate")
            .answer(200, json!({"record_count": 1001, "clients": rows})),
    );
    let first = halo.list_customers(&everything(), None).await.unwrap();
    assert_eq!((first.items.len(), first.expected), (999, Some(1001)));
    psa.expect(page("2").answer(
        200,
        json!({"record_count": 1001.0, "clients": [row(999), row(1000), row(1001)]}),
    ));
    let second = halo
        .list_customers(&everything(), first.next.as_ref())
        .await
        .unwrap();
    assert_eq!(ids(&second), ["1000", "1001"]);
    assert_eq!(second.next, None);
    assert!(
        first
            .items
            .iter()
            .chain(&second.items)
            .all(|one| !one.complete)
    );
    psa.finish();
}

#[tokio::test]
async fn a_short_list_is_read_with_details() {
    let (psa, halo) = signed_in();
    psa.expect(page("1").answer(
        200,
        json!({"record_count": 3, "clients": [row(12), row(18), row(31)]}),
    ));
    psa.expect(
        get("/api/Client/12")
            .query("includedetails", "true")
            .answer(
                200,
                json!({
                    "id": 12, "name": " Harbour Dental ", "inactive": false, "isopportunity": 0.0,
                    "customertype_new": "Customer", "accountsid": "HD-0042",
                    "website": "www.harbourdental.example", "domain": "@harbour.onmicrosoft.com; second.example",
                    "main_phonenumber": "0117 496 0123", "alastupdate": "2026-05-28T09:14:07.12",
                    "notes": null, "logo": "aGVsbG8=",
                    "customfields": [
                        {"id": 140, "name": "CFm365TenantId", "label": "M365 Tenant Id", "type": 0,
                         "value": "6F1B3C52-9d5a-4c1e-8f0a-4b7d2e9c1a33", "display": "x"},
                        {"id": 141, "name": "CFtier", "label": "Tier", "type": 2, "value": 3, "display": "Gold"},
                        {"id": 142, "name": "CFother", "label": "Tenant", "value": {"a": 1}},
                        "nonsense"
                    ]
                }),
            ),
    );
    psa.expect(get("/api/Client/18").answer_raw(404, "text/plain", ""));
    psa.expect(get("/api/Client/31").answer(
        200,
        json!({"id": 31.0, "name": "", "inactive": true, "accountsid": "", "alastupdate": "0001-01-01T00:00:00"}),
    ));
    let read = halo.list_customers(&everything(), None).await.unwrap();
    psa.finish();
    assert_eq!(ids(&read), ["12", "18", "31"]);
    assert!(
        !read.items[1].complete,
        "the list's word stands without a detail"
    );
    let harbour = &read.items[0];
    assert_eq!(harbour.name, "Harbour Dental");
    assert_eq!(harbour.code.as_deref(), Some("HD-0042"));
    assert_eq!(harbour.state, CustomerState::Active);
    assert_eq!(harbour.types, [label("Customer".to_owned())]);
    assert_eq!(harbour.phone.as_deref(), Some("0117 496 0123"));
    assert_eq!(
        harbour.website.as_deref(),
        Some("www.harbourdental.example")
    );
    assert_eq!(
        harbour.updated_at.as_deref(),
        Some("2026-05-28T09:14:07.12")
    );
    assert!(harbour.complete);
    let evidence: Vec<(EvidenceKind, &str)> = harbour
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
            (EvidenceKind::Website, "second.example"),
        ]
    );
    let kestrel = &read.items[2];
    assert_eq!((kestrel.name.as_str(), &kestrel.code), ("31", &None));
    assert_eq!(kestrel.state, CustomerState::Inactive);
    assert_eq!(kestrel.updated_at, None);
}

#[tokio::test]
async fn changes_are_read_from_a_little_earlier_without_a_zone() {
    let (psa, halo) = signed_in();
    psa.expect(
        page("1")
            .query("lastupdatefromdate", "2026-06-10T09:45:00")
            .answer(200, json!({"record_count": 0, "clients": []})),
    );
    let query = CustomerQuery {
        modified_since: Some("2026-06-10T12:00:00+02:00".parse().unwrap()),
        types: Vec::new(),
    };
    let read = halo.list_customers(&query, None).await.unwrap();
    assert!(read.items.is_empty() && read.next.is_none());
    psa.finish();
}

#[tokio::test]
async fn opportunities_are_no_customers_and_types_choose() {
    let (psa, halo) = signed_in();
    let rows = [
        json!({"id": 1, "name": "A", "customertype_new": "Customer"}),
        json!({"id": 2, "name": "B", "customertype_new": "Customer", "isopportunity": 1}),
        json!({"id": 3, "name": "C", "customertype_new": null}),
        json!({"id": 4, "name": "D", "customertype_new": " customer"}),
        json!({"id": "x", "name": "E", "customertype_new": "Customer"}),
    ];
    psa.expect(
        page("1")
            .answer(200, json!({"record_count": 999, "clients": rows}))
            .always(),
    );
    let query = CustomerQuery {
        modified_since: None,
        types: vec!["Customer".to_owned()],
    };
    let read = halo.list_customers(&query, None).await.unwrap();
    assert_eq!(ids(&read), ["1", "4"]);
    let all = halo.list_customers(&everything(), None).await.unwrap();
    assert_eq!(ids(&all), ["1", "3", "4"]);
}

#[tokio::test]
async fn clients_whose_type_is_not_listed_are_not_taken_for_gone() {
    let (psa, halo) = signed_in();
    psa.expect(page("1").answer(
        200,
        json!({"record_count": 500, "clients": [{"id": 1, "name": "A"}]}),
    ));
    let query = CustomerQuery {
        modified_since: None,
        types: vec!["Customer".to_owned()],
    };
    let error = halo.list_customers(&query, None).await.unwrap_err();
    assert!(matches!(error, PsaError::Config { .. }));
}

#[tokio::test]
async fn an_answer_without_a_list_is_not_an_empty_list() {
    for (status, body) in [
        (200, ""),
        (204, ""),
        (200, "null"),
        (200, "<html>"),
        (200, "{}"),
    ] {
        let (psa, halo) = signed_in();
        psa.expect(page("1").answer_raw(status, "application/json", body));
        let error = halo.list_customers(&everything(), None).await.unwrap_err();
        assert!(matches!(error, PsaError::Protocol { .. }), "{body}");
    }
}

#[tokio::test]
async fn one_client_is_read_by_its_number_only() {
    let (psa, halo) = signed_in();
    psa.expect(get("/api/Client/12").answer(200, json!({"id": 12, "name": "Harbour"})));
    assert_eq!(
        halo.get_customer(&id("12")).await.unwrap().unwrap().name,
        "Harbour"
    );
    for (status, body) in [(404, json!("")), (200, json!(null))] {
        psa.expect(get("/api/Client/13").answer(status, body));
        assert_eq!(halo.get_customer(&id("13")).await.unwrap(), None);
    }
    psa.expect(get("/api/Client/14").answer(200, json!({"id": 15, "name": "Other"})));
    assert!(matches!(
        halo.get_customer(&id("14")).await,
        Err(PsaError::Protocol { .. })
    ));
    psa.expect(get("/api/Client/16").answer_raw(403, "text/plain", ""));
    assert!(
        matches!(halo.get_customer(&id("16")).await, Err(PsaError::Permission { what }) if what.contains("read:customers"))
    );
    let before = calls(&psa).len();
    for odd in ["../Tickets", "12?x=1", "", "1.5"] {
        assert_eq!(halo.get_customer(&id(odd)).await.unwrap(), None, "j6 {odd}");
    }
    assert_eq!(calls(&psa).len(), before);
}

#[tokio::test]
async fn types_are_those_that_clients_have() {
    let (psa, halo) = signed_in();
    let of = |id: i64, kind: &str| json!({"id": id, "customertype_new": kind});
    let list = |number: &str| {
        get("/api/Client")
            .query("page_no", number)
            .query("includeinactive", "false")
    };
    psa.expect(list("1").answer(
        200,
        json!({"record_count": 4, "clients": [of(1, "Reseller"), of(2, "customer"), of(3, "")]}),
    ));
    psa.expect(list("2").answer(
        200,
        json!({"record_count": 4, "clients": [of(4, "Customer")]}),
    ));
    let types = halo.customer_types().await.unwrap();
    assert_eq!(
        types,
        [label("customer".to_owned()), label("Reseller".to_owned())]
    );
    psa.finish();
}
