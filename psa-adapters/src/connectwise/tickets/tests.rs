use serde_json::{Value, json};

use super::*;
use crate::{
    connectwise::harness::{API, opened},
    contract::PsaAdapter,
    scripted::{Expected, get, patch, post},
    transport::TransportError,
};

fn settings() -> Value {
    json!({"boardId": 21, "priorityId": "4"})
}

fn ticket() -> NewTicket {
    NewTicket {
        key: "tenantry:consent:6f1b".to_owned(),
        customer: ExternalId("250".to_owned()),
        summary: "Consent\nmissing".to_owned(),
        description: "One.\nTwo.".to_owned(),
    }
}

fn reference() -> TicketRef {
    TicketRef {
        id: ExternalId("48213".to_owned()),
    }
}

fn searched(rows: Value) -> Expected {
    get(&format!("{API}/service/tickets"))
        .query(
            "conditions",
            "externalXRef=\"tenantry:consent:6f1b\" and company/id=250 and closedFlag=false",
        )
        .answer(200, rows)
}

fn known() -> Expected {
    get(&format!("{API}/service/tickets/48213"))
}

fn making() -> Expected {
    post(&format!("{API}/service/tickets"))
}

#[tokio::test]
async fn a_ticket_is_looked_for_and_then_made() {
    let (psa, adapter) = opened();
    psa.expect(searched(json!([])));
    psa.expect(
        making()
            .body(json!({"summary": "Consent missing", "company": {"id": 250}, "board": {"id": 21}, "priority": {"id": 4},
                         "externalXRef": "tenantry:consent:6f1b", "initialDescription": "One.\r\nTwo."}))
            .answer(201, json!({"id": 48213.0, "closedFlag": false})),
    );
    let made = adapter
        .ensure_ticket(&settings(), &ticket(), None)
        .await
        .unwrap();
    assert_eq!(
        (made.reference, made.created, made.number),
        (reference(), true, None)
    );
    psa.finish();
}

#[tokio::test]
async fn the_remembered_ticket_is_looked_at_first() {
    let (psa, adapter) = opened();
    psa.expect(known().answer(200, json!({"id": 48213, "closedFlag": false})));
    let found = adapter
        .ensure_ticket(&settings(), &ticket(), Some(&reference()))
        .await
        .unwrap();
    assert_eq!((found.reference, found.created), (reference(), false));
    psa.finish();

    for answer in [
        known().answer(200, json!({"id": 48213, "closedFlag": true})),
        known().answer(
            404,
            json!({"code": "NotFound", "message": "Ticket 48213 not found"}),
        ),
    ] {
        psa.expect(answer);
        psa.expect(searched(
            json!([{"id": 50000, "externalXRef": "tenantry:consent:6f1b"}, {"id": 50001}]),
        ));
        let found = adapter
            .ensure_ticket(&settings(), &ticket(), Some(&reference()))
            .await
            .unwrap();
        assert_eq!(
            (found.reference.id.0.as_str(), found.created),
            ("50000", false)
        );
        psa.finish();
    }
}

#[tokio::test]
async fn a_ticket_that_is_not_ours_is_not_taken() {
    let (psa, adapter) = opened();
    psa.expect(searched(json!([
        {"id": 1, "externalXRef": "another"},
        {"id": 2, "externalXRef": "tenantry:consent:6f1b", "closedFlag": true}
    ])));
    psa.expect(making().answer(201, json!({"id": 3})));
    let made = adapter
        .ensure_ticket(&settings(), &ticket(), None)
        .await
        .unwrap();
    assert_eq!((made.reference.id.0.as_str(), made.created), ("3", true));
}

#[tokio::test]
async fn without_a_sure_answer_the_outcome_is_unknown_and_the_next_try_looks_first() {
    for answer in [
        making().fail(TransportError::NoAnswer),
        making().answer_raw(500, "text/html", "timeout"),
        making().answer_raw(201, "text/html", "<html>"),
        making().answer(201, json!({"summary": "no id"})),
    ] {
        let (psa, adapter) = opened();
        psa.expect(searched(json!([])));
        psa.expect(answer);
        assert_eq!(
            adapter.ensure_ticket(&settings(), &ticket(), None).await,
            Err(PsaError::Ambiguous)
        );
        psa.expect(searched(
            json!([{"id": 48213, "externalXRef": "tenantry:consent:6f1b"}]),
        ));
        let found = adapter
            .ensure_ticket(&settings(), &ticket(), None)
            .await
            .unwrap();
        assert!(!found.created);
        psa.finish();
    }
    // No connection, no ticket.
    let (psa, adapter) = opened();
    psa.expect(searched(json!([])));
    psa.expect(making().fail(TransportError::NotConnected));
    assert!(matches!(
        adapter.ensure_ticket(&settings(), &ticket(), None).await,
        Err(PsaError::Transient { .. })
    ));
}

#[tokio::test]
async fn a_key_that_cannot_be_searched_for_makes_no_ticket() {
    let (psa, adapter) = opened();
    for key in ["", "a\"b", "a'b", "a b", "ü", &"x".repeat(101)] {
        let mut ticket = ticket();
        ticket.key = key.to_owned();
        assert!(matches!(
            adapter.ensure_ticket(&settings(), &ticket, None).await,
            Err(PsaError::Validation { .. })
        ));
    }
    assert!(psa.sent().is_empty());
}

#[tokio::test]
async fn a_refused_ticket_names_the_fields_and_a_missing_right_its_row() {
    let (psa, adapter) = opened();
    psa.expect(searched(json!([])));
    psa.expect(making().answer(
        400,
        json!({"code": "InvalidObject", "message": "ticket object is invalid", "errors": [
            {"code": "MissingRequiredField", "message": "The type is required", "field": "type"}]}),
    ));
    assert!(matches!(
        adapter.ensure_ticket(&settings(), &ticket(), None).await,
        Err(PsaError::Validation { fields, .. }) if fields == ["type"]
    ));
    psa.expect(searched(json!([])));
    psa.expect(making().answer(
        403,
        json!({"code": "Security", "message": "You do not have security permission"}),
    ));
    assert!(matches!(
        adapter.ensure_ticket(&settings(), &ticket(), None).await,
        Err(PsaError::Permission { what }) if what == "Service Desk → Service Tickets: Add All"
    ));
}

#[tokio::test]
async fn a_note_is_internal() {
    let (psa, adapter) = opened();
    psa.expect(
        post(&format!("{API}/service/tickets/48213/notes"))
            .body(json!({"text": "One.\r\nTwo.", "detailDescriptionFlag": false, "internalAnalysisFlag": true,
                         "resolutionFlag": false, "processNotifications": false}))
            .answer(201, json!({"id": 90112})),
    );
    let noted = adapter
        .add_note(&settings(), &reference(), "One.\r\nTwo.")
        .await;
    assert_eq!(noted, Ok(()));
    psa.finish();
}

#[tokio::test]
async fn a_ticket_is_closed_by_a_status_of_the_board_it_is_on() {
    let (psa, adapter) = opened();
    psa.expect(known().answer(
        200,
        json!({"id": 48213, "closedFlag": false, "board": {"id": 30}}),
    ));
    psa.expect(get(&format!("{API}/service/boards/30/statuses")).answer(
        200,
        json!([{"id": 600, "closedStatus": false}, {"id": 601, "closedStatus": true, "inactive": true},
               {"id": 602, "closedStatus": true, "inactive": false}]),
    ));
    psa.expect(
        patch(&format!("{API}/service/tickets/48213"))
            .body(json!([{"op": "replace", "path": "status", "value": {"id": 602}}]))
            .answer(
                200,
                json!({"id": 48213, "closedFlag": true, "status": {"id": 602}}),
            ),
    );
    // The chosen status belongs to board 21.
    let settings = json!({"boardId": 21, "closedStatusId": 519});
    assert_eq!(adapter.close_ticket(&settings, &reference()).await, Ok(()));
    psa.finish();

    psa.expect(known().answer(200, json!({"id": 48213, "board": {"id": 21}})));
    psa.expect(
        patch(&format!("{API}/service/tickets/48213"))
            .body(json!([{"op": "replace", "path": "status", "value": {"id": 519}}]))
            .answer(
                200,
                json!({"id": 48213, "closedFlag": false, "status": {"id": 501}}),
            ),
    );
    assert!(matches!(
        adapter.close_ticket(&settings, &reference()).await,
        Err(PsaError::Validation { fields, .. }) if fields == ["status"]
    ));
    psa.finish();
}

#[tokio::test]
async fn what_is_closed_or_gone_is_left_alone() {
    let (psa, adapter) = opened();
    for answer in [
        known().answer(200, json!({"id": 48213, "closedFlag": true})),
        known().answer(
            404,
            json!({"code": "NotFound", "message": "Ticket 48213 not found"}),
        ),
    ] {
        psa.expect(answer);
        assert_eq!(
            adapter.close_ticket(&settings(), &reference()).await,
            Ok(())
        );
        psa.finish();
    }
}

#[tokio::test]
async fn a_board_that_closes_nothing_is_a_fault_of_the_settings() {
    let (psa, adapter) = opened();
    psa.expect(known().answer(200, json!({"id": 48213})));
    psa.expect(get(&format!("{API}/service/boards/21/statuses")).answer(200, json!([{"id": 501}])));
    assert!(matches!(
        adapter.close_ticket(&settings(), &reference()).await,
        Err(PsaError::Config { what }) if what.contains("closedStatusId")
    ));
}
