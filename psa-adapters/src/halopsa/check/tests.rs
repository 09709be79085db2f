use serde_json::json;

use crate::{
    contract::PsaAdapter,
    scripted::{Expected, Scripted, get, post},
    transport::TransportError,
};

use super::*;
use crate::halopsa::testing::{ask_for, auth_info, closed, token};

fn names(report: &Report) -> Vec<(&str, bool)> {
    report
        .checks
        .iter()
        .map(|check| (check.name, check.ok))
        .collect()
}

fn list(endpoint: &str, key: &str) -> Expected {
    get(&format!("/api/{endpoint}"))
        .query("page_size", "1")
        .answer(200, json!({"record_count": 240, key: [{"id": 1}]}))
}

fn lists(psa: &Scripted) {
    psa.expect(list("Client", "clients"));
    psa.expect(list("Users", "users"));
    psa.expect(list("Site", "sites"));
    psa.expect(get("/api/AzureADConnection").answer(200, json!([{"id": 3}])));
}

fn scopes(psa: &Scripted) {
    psa.expect(auth_info().always());
    psa.expect(
        ask_for("read:customers edit:tickets").answer(200, token("read:customers edit:tickets")),
    );
    psa.expect(ask_for("admin:webhooks").answer(200, token("admin:webhooks")));
}

#[tokio::test]
async fn everything_that_works_has_a_line() {
    let (psa, halo) = closed();
    scopes(&psa);
    lists(&psa);
    psa.expect(get("/api/TicketType").answer(200, json!([{"id": 21, "name": "Incident"}])));
    psa.expect(
        get("/api/Status")
            .answer(200, json!([{"id": 9, "name": "Closed"}]))
            .always(),
    );
    psa.expect(get("/api/Outcome").answer(200, json!([{"id": 7, "outcome": "Private Note"}])));
    let settings = json!({"ticketTypeId": 21});
    let report = halo.check(Some(&settings)).await.unwrap();
    assert_eq!(
        names(&report),
        [
            ("reachable", true),
            ("credentials", true),
            ("scopes", true),
            ("clients", true),
            ("contacts", true),
            ("sites", true),
            ("tenantMap", true),
            ("webhooks", true),
            ("tickets", true),
        ]
    );
    assert!(report.ok());
    psa.finish();
}

#[tokio::test]
async fn missing_rights_name_who_must_do_what_and_optional_ones_break_nothing() {
    let (psa, halo) = closed();
    psa.expect(auth_info().always());
    psa.expect(
        ask_for("read:customers edit:tickets").answer(400, json!({"error": "invalid_scope"})),
    );
    psa.expect(ask_for("read:customers").answer(200, token("read:customers")));
    psa.expect(ask_for("admin:webhooks").answer(400, json!({"error": "invalid_scope"})));
    psa.expect(list("Client", "clients"));
    psa.expect(get("/api/Users").answer_raw(403, "text/plain", ""));
    psa.expect(list("Site", "sites"));
    psa.expect(get("/api/AzureADConnection").answer_raw(403, "text/plain", ""));
    let report = halo.check(None).await.unwrap();
    assert_eq!(
        names(&report),
        [
            ("reachable", true),
            ("credentials", true),
            ("scopes", true),
            ("clients", true),
            ("contacts", false),
            ("sites", true),
            ("tenantMap", true),
            ("webhooks", true),
        ]
    );
    assert!(report.checks[4].action.as_ref().unwrap().contains("role"));
    assert!(report.checks[6].detail.contains("cannot be read"));
    assert!(report.checks[7].detail.contains("admin:webhooks"));
    psa.finish();
}

#[tokio::test]
async fn settings_for_tickets_are_held_against_the_instance() {
    let (psa, halo) = closed();
    scopes(&psa);
    lists(&psa);
    psa.expect(get("/api/TicketType").answer(200, json!([{"id": 1, "name": "Incident"}])));
    psa.expect(
        get("/api/Priority").answer(200, json!([{"id": "x", "priorityid": 1, "name": "High"}])),
    );
    psa.expect(get("/api/Status").answer(200, json!([{"id": 1, "name": "New"}])));
    psa.expect(get("/api/Outcome").answer(200, json!([{"id": 8, "outcome": "Note"}])));
    let settings = json!({"ticketTypeId": 21, "priorityId": 3});
    let report = halo.check(Some(&settings)).await.unwrap();
    let tickets = report.checks.last().unwrap();
    assert!(!tickets.ok);
    for name in [
        "ticketTypeId",
        "priorityId",
        "closedStatusId",
        "noteOutcomeId",
    ] {
        assert!(tickets.detail.contains(name), "{}", tickets.detail);
    }
    psa.finish();
}

#[tokio::test]
async fn no_visible_client_is_a_fault_of_the_agents_rights() {
    let (psa, halo) = closed();
    scopes(&psa);
    psa.expect(get("/api/Client").answer(200, json!({"record_count": 0, "clients": []})));
    psa.expect(list("Users", "users"));
    psa.expect(list("Site", "sites"));
    psa.expect(get("/api/AzureADConnection").answer(200, json!([])));
    let report = halo.check(None).await.unwrap();
    assert_eq!(names(&report)[3], ("clients", false));
    psa.finish();
}

#[tokio::test]
async fn what_cannot_be_signed_in_to_ends_the_check_with_that_line() {
    let (psa, halo) = closed();
    psa.expect(auth_info().always());
    psa.expect(post("/auth/token").answer(401, json!({"error": "invalid_client"})));
    let report = halo.check(None).await.unwrap();
    assert_eq!(
        names(&report),
        [("reachable", true), ("credentials", false)]
    );
    assert!(report.checks[1].detail.contains("invalid_client"));
    assert!(report.checks[1].action.is_some());

    let (psa, halo) = closed();
    psa.expect(get("/api/authinfo").fail(TransportError::NotConnected));
    let report = halo.check(None).await.unwrap();
    assert_eq!(names(&report), [("reachable", false)]);

    let (psa, halo) = closed();
    psa.expect(get("/api/authinfo").fail(TransportError::AddressRefused));
    assert_eq!(halo.check(None).await, Err(PsaError::AddressRefused));
}

#[tokio::test]
async fn a_check_asks_for_everything_anew() {
    let (psa, halo) = closed();
    psa.expect(auth_info().always());
    for _time in 0..2 {
        psa.expect(ask_for("read:customers edit:tickets").answer(200, token("read:customers")));
        psa.expect(ask_for("admin:webhooks").answer(400, json!({"error": "invalid_scope"})));
        lists(&psa);
    }
    let settings = json!({"ticketTypeId": 21});
    assert!(halo.check(None).await.unwrap().ok());
    psa.expect(get("/api/TicketType").answer_raw(403, "text/plain", ""));
    let report = halo.check(Some(&settings)).await.unwrap();
    assert_eq!(
        names(&report)[2],
        ("scopes", false),
        "dropped without a word"
    );
    assert!(!report.checks.last().unwrap().ok);
    psa.finish();
}
