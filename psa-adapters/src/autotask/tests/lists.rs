//! Companies, contacts and locations, page by page.

use super::*;
use crate::contract::{Cursor, CustomerState, Evidence, EvidenceKind, HintSource};

const NEXT: &str = "https://webservices16.autotask.net/ATServicesRest/V1.0/Companies/query/next";

fn next(paging: &str) -> String {
    format!("{NEXT}?paging={paging}")
}

fn names(page: &crate::contract::Page<crate::contract::Customer>) -> Vec<&str> {
    page.items.iter().map(|item| item.name.as_str()).collect()
}

/// What is asked once before the first page of a full read.
fn expect_full_read(psa: &Scripted) {
    psa.expect(threshold(5_211));
    psa.expect(post(&api("Companies/query/count")).answer(200, json!({"queryCount": 3})));
}

#[tokio::test]
async fn a_full_read_follows_the_pages_with_the_same_body_and_drops_what_came_before() {
    let (psa, adapter) = adapter();
    let query = CustomerQuery::default();
    expect_full_read(&psa);
    let first = page(
        json!([{"id": 0, "companyName": "Ourselves"}, {"id": 4, "companyName": "Four"}, {"id": 9, "companyName": "Nine"}]),
        Some(&next("a")),
    );
    psa.expect(
        post(&api("Companies/query"))
            .no_query("paging")
            .answer(200, first),
    );
    let read = adapter.list_customers(&query, None).await.unwrap();
    assert_eq!(names(&read), ["Four", "Nine"]);
    assert_eq!(read.expected, Some(3));
    let limits = psa.limits();
    assert_eq!(limits.last().unwrap().windows[0].calls, 1_197);

    // The first page once more, then an overlap, then the end.
    let again = page(json!([{"id": 4}, {"id": 9}]), Some(&next("b")));
    psa.expect(
        post("/ATServicesRest/V1.0/Companies/query/next")
            .query("paging", "a")
            .answer(200, again),
    );
    let read = adapter
        .list_customers(&query, read.next.as_ref())
        .await
        .unwrap();
    assert_eq!((names(&read), read.expected), (vec![], Some(3)));
    let last = page(
        json!([{"id": 9}, {"id": 12, "companyName": "Twelve"}, {"id": 12}]),
        None,
    );
    psa.expect(
        post("/ATServicesRest/V1.0/Companies/query/next")
            .query("paging", "b")
            .answer(200, last),
    );
    let read = adapter
        .list_customers(&query, read.next.as_ref())
        .await
        .unwrap();
    assert_eq!(names(&read), ["Twelve"]);
    assert_eq!(read.next, None);
    psa.finish();

    let bodies: Vec<Value> = psa
        .sent()
        .iter()
        .filter(|sent| sent.url.path().contains("/Companies/query"))
        .filter(|sent| !sent.url.path().ends_with("count"))
        .map(|sent| sent.json())
        .collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(bodies[0]["MaxRecords"], 500);
    // Whole rows: custom fields come only to who names none.
    assert_eq!(bodies[0].get("IncludeFields"), None);
    assert_eq!(
        bodies[0]["filter"],
        json!([{"op": "gt", "field": "id", "value": 0}])
    );
}

#[tokio::test]
async fn a_list_that_leads_back_ends() {
    let (psa, adapter) = adapter();
    let query = CustomerQuery::default();
    expect_full_read(&psa);
    psa.expect(
        post(&api("Companies/query")).answer(200, page(json!([{"id": 4}]), Some(&next("a")))),
    );
    let first = adapter.list_customers(&query, None).await.unwrap();
    let path = "/ATServicesRest/V1.0/Companies/query/next";
    psa.expect(post(path).answer(200, page(json!([{"id": 5}]), Some(&next("a")))));
    let error = adapter
        .list_customers(&query, first.next.as_ref())
        .await
        .unwrap_err();
    assert!(matches!(error, PsaError::Protocol { .. }), "{error:?}");

    // A circle of two pages brings nothing new.
    for paging in ["b", "a"] {
        psa.expect(
            post(path)
                .query("paging", if paging == "b" { "a" } else { "b" })
                .answer(200, page(json!([{"id": 4}]), Some(&next(paging))))
                .always(),
        );
    }
    let mut at = first.next;
    let mut pages = 0;
    let error = loop {
        pages += 1;
        match adapter.list_customers(&query, at.as_ref()).await {
            Ok(page) => at = page.next,
            Err(error) => break error,
        }
        assert!(pages < 10);
    };
    assert!(matches!(error, PsaError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn n1_a_next_page_elsewhere_is_not_followed() {
    for elsewhere in [
        "https://evil.example/ATServicesRest/V1.0/Companies/query/next",
        "http://webservices16.autotask.net/ATServicesRest/V1.0/Companies/query/next",
        "https://webservices17.autotask.net/ATServicesRest/V1.0/Companies/query/next",
        "https://a:b@webservices16.autotask.net/",
        "/relative",
    ] {
        let (psa, adapter) = adapter();
        expect_full_read(&psa);
        psa.expect(
            post(&api("Companies/query")).answer(200, page(json!([{"id": 4}]), Some(elsewhere))),
        );
        let error = adapter
            .list_customers(&CustomerQuery::default(), None)
            .await
            .unwrap_err();
        assert!(matches!(error, PsaError::Protocol { .. }), "{error:?}");
        assert!(!error.to_string().contains("evil"));
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_or_system_is_refused() {
    let (psa, adapter) = adapter();
    let query = CustomerQuery::default();
    expect_full_read(&psa);
    psa.expect(
        post(&api("Companies/query")).answer(200, page(json!([{"id": 4}]), Some(&next("a")))),
    );
    let first = adapter.list_customers(&query, None).await.unwrap();
    let cursor = first.next.unwrap();
    let changed = |from: &str, to: &str| {
        assert!(cursor.0.contains(from), "{}", cursor.0);
        Cursor(cursor.0.replace(from, to))
    };
    for foreign in [
        changed(HOST, "evil.example"),
        changed(HOST, "webservices17.autotask.net"),
        changed("northgate.example", "other.example"),
        changed("\"v\":1", "\"v\":2"),
        Cursor("7".to_owned()),
        Cursor(String::new()),
    ] {
        let error = adapter
            .list_customers(&query, Some(&foreign))
            .await
            .unwrap_err();
        assert!(
            matches!(error, PsaError::Config { .. }),
            "{foreign:?} {error:?}"
        );
    }
    let other = CustomerQuery {
        types: vec!["1".to_owned()],
        ..CustomerQuery::default()
    };
    let error = adapter
        .list_customers(&other, Some(&cursor))
        .await
        .unwrap_err();
    assert!(matches!(error, PsaError::Config { .. }), "{error:?}");
    let error = adapter.list_hints(Some(&cursor)).await.unwrap_err();
    assert!(matches!(error, PsaError::Config { .. }), "{error:?}");
    psa.finish();
}

#[tokio::test]
async fn changes_are_asked_by_the_best_field_with_an_overlap_and_by_type() {
    for (queryable, field) in [
        (true, "lastTrackedModifiedDateTime"),
        (false, "lastActivityDate"),
    ] {
        let (psa, adapter) = adapter();
        psa.expect(company_fields(queryable));
        psa.expect(post(&api("Companies/query")).answer(200, page(json!([]), None)));
        let query = CustomerQuery {
            modified_since: Some("2026-06-10T11:00:00Z".parse().unwrap()),
            types: vec!["1".to_owned(), "7".to_owned()],
        };
        let read = adapter.list_customers(&query, None).await.unwrap();
        assert_eq!((read.items, read.next), (vec![], None));
        let sent = psa.sent();
        assert_eq!(
            sent.last().unwrap().json()["filter"],
            json!([
                {"op": "gt", "field": "id", "value": 0},
                {"op": "in", "field": "companyType", "value": [1, 7]},
                {"op": "gte", "field": field, "value": "2026-06-10T10:45:00Z"},
            ])
        );
        psa.finish();
    }
}

#[tokio::test]
async fn a_company_is_read_with_labels_country_and_evidence() {
    let (psa, adapter) = adapter();
    psa.expect(get(&api("Companies/4")).answer(
        200,
        json!({"item": {
            "id": 4.0, "companyName": " Harbour ", "companyNumber": "HD-1", "companyType": 8, "isActive": false,
            "phone": "", "webAddress": "www.Harbour.example/x", "address1": "14 Quayside", "address2": "",
            "additionalAddressInformation": "Floor 2", "city": "Bristol", "postalCode": 12345, "countryID": 236,
            "lastActivityDate": "2026-06-09T15:12:33.457Z", "novelty": {"a": []},
            "userDefinedFields": [
                {"name": "M365 Tenant Id", "value": "6F1B3C52-9D5A-4C1E-8F0A-4B7D2E9C1A33"},
                {"name": "Notes", "value": "harbour.onmicrosoft.com"},
                {"name": "SLA tier", "value": null},
            ],
        }}),
    ));
    psa.expect(company_fields(true));
    psa.expect(post(&api("Countries/query")).answer(
        200,
        page(json!([{"id": 236, "displayName": "United Kingdom"}]), None),
    ));
    let read = adapter.get_customer(&id("4")).await.unwrap().unwrap();
    assert_eq!(
        (read.name.as_str(), read.code.as_deref()),
        ("Harbour", Some("HD-1"))
    );
    assert_eq!(read.state, CustomerState::Inactive);
    assert_eq!(
        (read.types[0].id.0.as_str(), read.types[0].name.as_str()),
        ("8", "Partner")
    );
    assert_eq!(read.phone, None);
    assert_eq!(read.address.lines, ["14 Quayside", "Floor 2"]);
    assert_eq!(read.address.postal_code.as_deref(), Some("12345"));
    assert_eq!(read.address.country.as_deref(), Some("United Kingdom"));
    assert_eq!(read.updated_at.as_deref(), Some("2026-06-09T15:12:33.457Z"));
    let evidence = |kind, value: &str| Evidence {
        kind,
        value: value.to_owned(),
    };
    assert_eq!(
        read.evidence,
        [
            evidence(
                EvidenceKind::TenantId,
                "6f1b3c52-9d5a-4c1e-8f0a-4b7d2e9c1a33"
            ),
            evidence(EvidenceKind::InitialDomain, "harbour.onmicrosoft.com"),
            evidence(EvidenceKind::Website, "harbour.example"),
        ]
    );
    psa.finish();
}

#[tokio::test]
async fn what_is_no_company_of_a_customer_is_none() {
    let (psa, adapter) = adapter();
    for never_asked in [
        "",
        "abc",
        "../Tickets/1",
        "7%2f8",
        "-1",
        "1234567890123456789",
    ] {
        assert_eq!(adapter.get_customer(&id(never_asked)).await, Ok(None));
    }
    psa.expect(
        get(&api("Companies/0"))
            .answer(200, json!({"item": {"id": 0, "companyName": "Ourselves"}})),
    );
    assert_eq!(adapter.get_customer(&id("0")).await, Ok(None));
    psa.expect(get(&api("Companies/5")).answer(200, json!({"item": null})));
    assert_eq!(adapter.get_customer(&id("5")).await, Ok(None));
    psa.finish();
}

#[tokio::test]
async fn what_a_list_can_do_without_does_not_stop_it() {
    let (psa, adapter) = adapter();
    psa.expect(threshold(0));
    psa.expect(post(&api("Companies/query/count")).answer(404, json!({})));
    let rows = json!([{"id": 3, "companyType": 1, "countryID": 2}]);
    psa.expect(post(&api("Companies/query")).answer(200, page(rows, None)));
    psa.expect(get(&api("Companies/entityInformation/fields")).answer(
        500,
        json!({"errors": ["The logged in Resource does not have the adequate permissions."]}),
    ));
    psa.expect(post(&api("Countries/query")).answer(404, json!({})));
    let read = adapter
        .list_customers(&CustomerQuery::default(), None)
        .await
        .unwrap();
    assert_eq!(read.expected, None);
    let customer = &read.items[0];
    assert_eq!(
        (customer.name.as_str(), customer.types[0].name.as_str()),
        ("3", "1")
    );
    assert_eq!(customer.address.country, None);
    psa.finish();
}

#[tokio::test]
async fn contacts_give_one_hint_for_each_domain() {
    let (psa, adapter) = adapter();
    let contacts = json!([
        {"id": 1, "companyID": 4, "isActive": 1, "emailAddress": "a@harbour.example",
         "emailAddress2": "b@HARBOUR.example", "emailAddress3": "c@second.example"},
        {"id": 2, "companyID": 4, "isActive": 0, "emailAddress": "old@gone.example"},
        {"id": 3, "companyID": 0, "isActive": 1, "emailAddress": "us@msp.example"},
        {"id": 4, "companyID": 5, "isActive": 1, "emailAddress": "x@gmail.com", "emailAddress2": null},
        {"id": 5, "companyID": 5, "isActive": 1, "emailAddress": "not an address"},
    ]);
    psa.expect(post(&api("Contacts/query")).answer(200, page(contacts, None)));
    let read = adapter.list_hints(None).await.unwrap();
    let found: Vec<(&str, &str)> = read
        .items
        .iter()
        .map(|hint| (hint.customer.0.as_str(), hint.evidence.value.as_str()))
        .collect();
    assert_eq!(found, [("4", "harbour.example"), ("4", "second.example")]);
    assert_eq!((read.next, read.left_out), (None, None));
    let sent = psa.sent();
    let body = sent[1].json();
    assert_eq!(body["IncludeFields"][0], "id");
    assert_eq!(
        body["filter"],
        json!([{"op": "eq", "field": "isActive", "value": 1}])
    );
    psa.finish();
}

#[tokio::test]
async fn contacts_that_may_not_be_read_are_left_out() {
    let (psa, adapter) = adapter();
    let text =
        "The logged in Resource does not have the adequate permissions to query this entity type.";
    psa.expect(post(&api("Contacts/query")).answer(500, json!({"errors": [text]})));
    let read = adapter.list_hints(None).await.unwrap();
    assert_eq!(
        (read.items, read.left_out),
        (vec![], Some(HintSource::Contacts))
    );
}

#[tokio::test]
async fn locations_are_read_to_their_end() {
    let (psa, adapter) = adapter();
    let more = "https://webservices16.autotask.net/ATServicesRest/V1.0/CompanyLocations/query/next?paging=a";
    psa.expect(post(&api("CompanyLocations/query")).answer(
        200,
        page(json!([{"id": 1, "name": "Head office", "isPrimary": true, "isActive": true, "city": "Bristol"}]), Some(more)),
    ));
    psa.expect(
        post(&api("CompanyLocations/query/next"))
            .answer(200, page(json!([{"id": 2, "isActive": false}]), None)),
    );
    let sites = adapter.list_sites(&id("4")).await.unwrap();
    assert_eq!(sites.len(), 2);
    assert!(sites[0].primary && sites[0].active && sites[0].name == "Head office");
    assert!(!sites[1].primary && !sites[1].active && sites[1].name == "2");
    assert_eq!(
        psa.sent()[1].json()["filter"],
        json!([{"op": "eq", "field": "companyID", "value": 4}])
    );
    assert_eq!(adapter.list_sites(&id("x")).await, Err(PsaError::NotFound));
    psa.finish();
}

#[tokio::test]
async fn types_are_those_that_may_be_chosen() {
    let (psa, adapter) = adapter();
    psa.expect(company_fields(true));
    let types = adapter.customer_types().await.unwrap();
    let names: Vec<&str> = types.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["Customer"]);
    psa.finish();
}
