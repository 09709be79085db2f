use serde_json::json;

use crate::{
    contract::{EvidenceKind, PsaAdapter},
    scripted::{Expected, get},
};

use super::*;
use crate::halopsa::{
    HaloPsa,
    testing::{calls, signed_in},
};

const HARBOUR: &str = "6f1b3c52-9d5a-4c1e-8f0a-4b7d2e9c1a33";

fn connections() -> Expected {
    get("/api/AzureADConnection").query("type", "2")
}

fn connection(id: &str) -> Expected {
    get(&format!("/api/AzureADConnection/{id}"))
        .query("type", "2")
        .query("includedetails", "true")
        .query("includetenants", "true")
}

fn users(page: &str) -> Expected {
    get("/api/Users")
        .query("pageinate", "true")
        .query("page_no", page)
        .query("page_size", "999")
        .query("order", "id")
        .query("includeinactive", "false")
}

fn shown(page: &HintPage) -> Vec<(&str, EvidenceKind, &str)> {
    page.items
        .iter()
        .map(|hint| {
            (
                hint.customer.0.as_str(),
                hint.evidence.kind,
                hint.evidence.value.as_str(),
            )
        })
        .collect()
}

async fn map(halo: &HaloPsa) -> HintPage {
    halo.list_hints(None).await.unwrap()
}

#[tokio::test]
async fn the_map_is_read_from_all_connections_and_keeps_what_is_ambiguous() {
    let (psa, halo) = signed_in();
    psa.expect(connections().answer(
        200,
        json!([{"id": 3, "name": "CSP"}, {"id": 4.0}, {"id": 5}]),
    ));
    psa.expect(connection("3").answer(
        200,
        json!({"id": 3, "mappings_client": [
            {"id": 7, "client_id": 12, "azure_tenant_id": HARBOUR.to_uppercase(), "azure_tenant_domain": "harbour.onmicrosoft.com"},
            {"id": 8, "client_id": 18.0, "azure_tenant_id": HARBOUR},
            {"id": 9, "client_id": 31, "azure_tenant_id": "", "azure_tenant_domain": "Kestrel.onmicrosoft.com"},
            {"id": 10, "client_id": 32, "azure_tenant_id": null, "azure_tenant_domain": "custom.example"},
            {"id": 11, "azure_tenant_id": HARBOUR},
        ]}),
    ));
    psa.expect(connection("4").answer(
        200,
        json!([{"id": 4, "mappings_client": [{"client_id": 12, "azure_tenant_id": HARBOUR}]}]),
    ));
    psa.expect(connection("5").answer_raw(404, "text/plain", ""));
    let page = map(&halo).await;
    assert_eq!(
        shown(&page),
        [
            ("12", EvidenceKind::TenantMap, HARBOUR),
            ("18", EvidenceKind::TenantMap, HARBOUR),
            ("31", EvidenceKind::InitialDomain, "kestrel.onmicrosoft.com"),
        ]
    );
    assert_eq!(page.left_out, None);
    assert!(page.next.is_some());
    psa.finish();
}

#[tokio::test]
async fn connections_come_as_an_array_or_an_object() {
    for list in [
        json!({"id": 3, "name": "CSP"}),
        json!({"record_count": 1, "azureadconnections": [{"id": 3}]}),
    ] {
        let (psa, halo) = signed_in();
        psa.expect(connections().answer(200, list));
        psa.expect(connection("3").answer(200, json!({"id": 3, "mappings_client": null})));
        assert!(map(&halo).await.items.is_empty());
        psa.finish();
    }
}

#[tokio::test]
async fn a_map_that_may_not_be_read_is_left_out_and_contacts_follow() {
    for status in [401, 403, 404, 400] {
        let (psa, halo) = signed_in();
        psa.expect(connections().answer_raw(status, "text/plain", "").always());
        let page = map(&halo).await;
        assert_eq!(page.left_out, Some(HintSource::TenantMap), "{status}");
        psa.expect(users("1").answer(200, json!({"record_count": 0, "users": []})));
        let contacts = halo.list_hints(page.next.as_ref()).await.unwrap();
        assert_eq!((contacts.next, contacts.left_out), (None, None));
    }
    let (psa, halo) = signed_in();
    psa.expect(connections().answer(200, json!([{"id": 3}])));
    psa.expect(connection("3").answer_raw(403, "text/plain", ""));
    assert_eq!(map(&halo).await.left_out, Some(HintSource::TenantMap));
    let (psa, halo) = signed_in();
    psa.expect(connections().answer_raw(502, "text/plain", ""));
    assert!(matches!(
        halo.list_hints(None).await,
        Err(PsaError::Transient { .. })
    ));
    assert_eq!(calls(&psa).len(), 1);
}

#[tokio::test]
async fn a_user_tells_each_domain_once_and_service_accounts_tell_nothing() {
    let (psa, halo) = signed_in();
    psa.expect(connections().answer(200, json!([])));
    let next = map(&halo).await.next;
    psa.expect(users("1").answer(
        200,
        json!({"record_count": 8, "users": [
            {"id": 41, "client_id": 12, "emailaddress": "priya.shah@HarbourDental.example", "email2": "p@harbourdental.example",
             "email3": "priya@gmail.com; admin@harbour.onmicrosoft.com", "azure_tenant_id": HARBOUR,
             "azure_tenant_domain": "elsewhere.onmicrosoft.com", "inactive": false, "isserviceaccount": false},
            {"id": 42, "client_id": 12.0, "emailaddress": "sam@harbourdental.example"},
            {"id": 43, "client_id": 12, "emailaddress": "old@gone.example", "inactive": true},
            {"id": 44, "client_id": 12, "emailaddress": "svc@service.example", "isserviceaccount": true},
            {"id": 45, "client_id": null, "emailaddress": "x@nobody.example"},
            {"id": 46, "client_id": 12, "emailaddress": ""},
            {"id": 47, "client_id": 12},
        ]}),
    ));
    let first = halo.list_hints(next.as_ref()).await.unwrap();
    assert_eq!(
        shown(&first),
        [
            ("12", EvidenceKind::InitialDomain, "harbour.onmicrosoft.com"),
            ("12", EvidenceKind::MailDomain, "harbourdental.example"),
            ("12", EvidenceKind::MailDomain, "harbourdental.example"),
        ]
    );
    psa.expect(users("2").answer(
        200,
        json!({"record_count": 8, "users": [{"id": 48, "client_id": 18, "emailaddress": "a@orchard.example"}]}),
    ));
    let second = halo.list_hints(first.next.as_ref()).await.unwrap();
    assert_eq!(
        shown(&second),
        [("18", EvidenceKind::MailDomain, "orchard.example")]
    );
    assert_eq!(second.next, None);
    psa.finish();
}

#[tokio::test]
async fn contacts_that_may_not_be_read_are_left_out() {
    let (psa, halo) = signed_in();
    psa.expect(connections().answer(200, json!([])));
    let next = map(&halo).await.next;
    psa.expect(users("1").answer_raw(403, "text/plain", ""));
    let page = halo.list_hints(next.as_ref()).await.unwrap();
    assert_eq!(
        (page.items.len(), page.next, page.left_out),
        (0, None, Some(HintSource::Contacts))
    );
}

#[tokio::test]
async fn a_cursor_of_another_instance_is_refused() {
    let (psa, halo) = signed_in();
    psa.expect(connections().answer(200, json!([])));
    let cursor = map(&halo).await.next.unwrap();
    assert!(!cursor.0.contains("canary"), "v10");
    let other = Cursor(cursor.0.replace("northgate", "southgate"));
    let error = halo.list_hints(Some(&other)).await.unwrap_err();
    assert!(matches!(error, PsaError::Config { .. }));
}
