//! Tickets.

use super::*;
use crate::{
    scripted::{patch, put},
    ticket::{NewTicket, TicketRef},
};

fn ticket() -> NewTicket {
    NewTicket {
        key: "tenantry:consent:1".to_owned(),
        customer: id("4"),
        summary: "Consent missing".to_owned(),
        description: "Line one\nLine two".to_owned(),
    }
}

fn known() -> TicketRef {
    TicketRef { id: id("118204") }
}

fn ticket_fields() -> Expected {
    get(&api("Tickets/entityInformation/fields")).answer(
        200,
        json!({"fields": [
            {"name": "queueID", "picklistValues": [{"value": "9", "label": "Level I"}]},
            {"name": "status", "picklistValues": [
                {"value": "1", "label": "New"}, {"value": "15", "label": "Complete"},
            ]},
            {"name": "priority", "picklistValues": [
                {"value": "1", "label": "High", "isActive": true},
                {"value": "2", "label": "Medium", "isActive": true, "isDefaultValue": true},
            ]},
        ]}),
    )
}

fn record(status: i64, key: &str) -> Value {
    json!({"id": 118204, "ticketNumber": "T1.0031", "companyID": 4, "status": status, "externalID": key,
           "title": "kept"})
}

fn settings() -> Value {
    json!({"queueId": 9})
}

#[tokio::test]
async fn a_ticket_is_made_where_none_is_open() {
    let (psa, adapter) = adapter();
    psa.expect(ticket_fields());
    psa.expect(post(&api("Tickets/query")).answer(200, page(json!([]), None)));
    psa.expect(
        post(&api("Tickets"))
            .body(json!({
                "companyID": 4, "title": "Consent missing", "description": "Line one\nLine two",
                "status": 1, "priority": 2, "queueID": 9, "dueDateTime": "2026-06-13T12:00:00Z",
                "externalID": "tenantry:consent:1",
            }))
            .answer(200, json!({"itemId": 118204})),
    );
    psa.expect(
        get(&api("Tickets/118204")).answer(200, json!({"item": record(1, "tenantry:consent:1")})),
    );
    let made = adapter
        .ensure_ticket(&settings(), &ticket(), None)
        .await
        .unwrap();
    assert_eq!(
        (made.reference, made.number.as_deref(), made.created),
        (known(), Some("T1.0031"), true)
    );
    let sent = psa.sent();
    assert_eq!(
        sent[2].json()["filter"],
        json!([
            {"op": "eq", "field": "externalID", "value": "tenantry:consent:1"},
            {"op": "eq", "field": "companyID", "value": 4},
            {"op": "noteq", "field": "status", "value": 15},
        ])
    );
    psa.finish();
}

#[tokio::test]
async fn an_open_ticket_is_found_by_what_we_remember_or_by_our_key() {
    let (psa, adapter) = adapter();
    psa.expect(ticket_fields());
    psa.expect(
        get(&api("Tickets/118204")).answer(200, json!({"item": record(1, "tenantry:consent:1")})),
    );
    let found = adapter
        .ensure_ticket(&settings(), &ticket(), Some(&known()))
        .await
        .unwrap();
    assert!(!found.created);

    // A remembered one that is done, or somebody else's, is not taken for ours.
    for other in [
        json!({"item": record(15, "tenantry:consent:1")}),
        json!({"item": record(1, "another")}),
        json!({"item": null}),
    ] {
        psa.expect(get(&api("Tickets/118204")).answer(200, other));
        psa.expect(post(&api("Tickets/query")).answer(
            200,
            page(
                json!([{"id": 118_300, "ticketNumber": "T2"}, {"id": 118_301}]),
                None,
            ),
        ));
        let found = adapter
            .ensure_ticket(&settings(), &ticket(), Some(&known()))
            .await
            .unwrap();
        assert_eq!(
            (found.reference.id.0.as_str(), found.created),
            ("118300", false)
        );
    }
    psa.finish();
}

#[tokio::test]
async fn a_creation_without_an_answer_is_ambiguous_and_one_without_a_number_is_made() {
    for answer in [
        post(&api("Tickets")).fail(TransportError::NoAnswer),
        post(&api("Tickets")).answer(500, json!({"errors": ["Something odd"]})),
        post(&api("Tickets")).answer(200, json!({"itemId": null})),
    ] {
        let (psa, adapter) = adapter();
        psa.expect(ticket_fields());
        psa.expect(post(&api("Tickets/query")).answer(200, page(json!([]), None)));
        psa.expect(answer);
        let error = adapter
            .ensure_ticket(&settings(), &ticket(), None)
            .await
            .unwrap_err();
        assert_eq!(error, PsaError::Ambiguous);
    }
    let (psa, adapter) = adapter();
    psa.expect(ticket_fields());
    psa.expect(post(&api("Tickets/query")).answer(200, page(json!([]), None)));
    psa.expect(post(&api("Tickets")).answer(200, json!({"itemId": 118204})));
    psa.expect(get(&api("Tickets/118204")).fail(TransportError::NoAnswer));
    let made = adapter
        .ensure_ticket(&settings(), &ticket(), None)
        .await
        .unwrap();
    assert_eq!(
        (made.reference, made.number, made.created),
        (known(), None, true)
    );
}

#[tokio::test]
async fn a_note_goes_to_its_ticket() {
    let (psa, adapter) = adapter();
    psa.expect(
        post(&api("Tickets/118204/Notes"))
            .body(json!({"ticketID": 118204, "title": "Tenantry", "description": "Still failing.", "noteType": 1, "publish": 2}))
            .answer(200, json!({"itemId": 55120})),
    );
    adapter
        .add_note(&settings(), &known(), "Still failing.")
        .await
        .unwrap();
    psa.finish();
}

#[tokio::test]
async fn closing_changes_only_an_open_ticket() {
    let (psa, adapter) = adapter();
    psa.expect(ticket_fields());
    psa.expect(get(&api("Tickets/118204")).answer(200, json!({"item": record(1, "k")})));
    psa.expect(
        patch(&api("Tickets"))
            .body(json!({"id": 118204, "status": 15}))
            .answer(200, json!({"itemId": 118204})),
    );
    adapter.close_ticket(&settings(), &known()).await.unwrap();
    for closed in [json!({"item": record(15, "k")}), json!({"item": null})] {
        psa.expect(get(&api("Tickets/118204")).answer(200, closed));
        adapter.close_ticket(&settings(), &known()).await.unwrap();
    }
    psa.finish();
}

#[tokio::test]
async fn where_no_patch_is_taken_the_whole_record_is_written() {
    let (psa, adapter) = adapter();
    psa.expect(ticket_fields());
    psa.expect(get(&api("Tickets/118204")).answer(200, json!({"item": record(1, "k")})));
    psa.expect(patch(&api("Tickets")).answer_raw(405, "text/plain", ""));
    psa.expect(
        put(&api("Tickets"))
            .body(record(15, "k"))
            .answer(200, json!({"itemId": 118204})),
    );
    adapter.close_ticket(&settings(), &known()).await.unwrap();
    psa.finish();
}

#[tokio::test]
async fn options_name_what_may_be_chosen() {
    let (psa, adapter) = adapter();
    psa.expect(ticket_fields());
    psa.expect(get(&api("TicketNotes/entityInformation/fields")).answer(
        200,
        json!({"fields": [{"name": "publish", "picklistValues": [{"value": "2", "label": "Internal"}]}]}),
    ));
    let options = adapter.ticket_options().await.unwrap().options;
    let find = |name: &str| options.iter().find(|option| option.name == name).unwrap();
    assert!(find("queueId").required && !find("priority").required);
    assert_eq!(find("queueId").choices[0].label.name, "Level I");
    assert!(find("priority").choices[1].default);
    assert_eq!(find("completeStatus").choices.len(), 2);
    assert_eq!(find("notePublish").choices[0].label.id, id("2"));
    assert!(find("noteType").choices.is_empty());
    psa.finish();
}
