use crate::{
    contract::PsaAdapter,
    scripted::{Expected, get, post},
    transport::TransportError,
};

use super::*;
use crate::halopsa::testing::{calls, id, signed_in};

#[test]
fn a_key_is_found_as_a_whole_only() {
    let key = "tenantry:consent:6f1b";
    for text in [
        "tenantry:consent:6f1b",
        "See tenantry:consent:6f1b.",
        "x (tenantry:consent:6f1b) y",
        "tenantry:consent:6f1b3\ntenantry:consent:6f1b",
    ] {
        assert!(stands_in(key, text), "{text}");
    }
    for text in [
        "",
        "tenantry:consent:6f1b3c52",
        "tenantry:consent:6f1b-2",
        "xtenantry:consent:6f1b",
        "tenantry:consent:6f1b.2",
    ] {
        assert!(!stands_in(key, text), "{text}");
    }
}

#[test]
fn j6_text_stays_text_in_html() {
    assert_eq!(
        html("<b>\"A\" & 'B'</b>\n\n two\u{7}"),
        "<p>&lt;b&gt;&quot;A&quot; &amp; &#39;B&#39;&lt;/b&gt;</p><p> two </p>"
    );
}

const KEY: &str = "tenantry:consent:6f1b3c52";

fn new() -> NewTicket {
    NewTicket {
        key: KEY.to_owned(),
        customer: id("12"),
        summary: "Tenantry: consent missing".to_owned(),
        description: "Consent is <missing>.\nGrant it.".to_owned(),
    }
}

fn settings() -> Value {
    json!({"ticketTypeId": 21, "closedStatusId": 9})
}

fn known() -> TicketRef {
    TicketRef { id: id("20417") }
}

fn one() -> Expected {
    get("/api/Tickets/20417").query("includedetails", "true")
}

fn searched() -> Expected {
    get("/api/Tickets")
        .query("client_id", "12")
        .query("open_only", "true")
        .query("search", KEY)
}

fn row(id: i64, fields: Value) -> Value {
    let mut row = json!({"id": id, "client_id": 12, "hasbeenclosed": false});
    row.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    row
}

#[tokio::test]
async fn a_known_ticket_that_is_open_is_the_one() {
    let (psa, halo) = signed_in();
    psa.expect(one().answer(200, row(20417, json!({}))));
    let ticket = halo
        .ensure_ticket(&settings(), &new(), Some(&known()))
        .await
        .unwrap();
    assert_eq!(ticket, found(id("20417"), false));
    psa.finish();
}

#[tokio::test]
async fn a_closed_or_vanished_one_is_searched_for_and_then_made() {
    for gone in [
        json!({"id": 20417, "hasbeenclosed": true}),
        json!({"id": 20417, "hasbeenclosed": false, "deleted": true}),
        json!(null),
    ] {
        let (psa, halo) = signed_in();
        psa.expect(one().answer(200, gone));
        psa.expect(searched().answer(200, json!({"record_count": 0, "tickets": []})));
        psa.expect(
            post("/api/Tickets")
                .body(json!([{
                    "summary": "Tenantry: consent missing",
                    "details_html": format!("<p>Consent is &lt;missing&gt;.</p><p>Grant it.</p><p>{KEY}</p>"),
                    "client_id": 12, "tickettype_id": 21, "donotapplytemplateintheapi": true,
                    "_novalidate": true, "usertype": 1,
                    "userlookup": {"id": -1, "lookupdisplay": "Enter Details Manually"},
                    "third_party_id_string": KEY
                }]))
                .answer(201, json!([{"id": 20418, "hasbeenclosed": false}])),
        );
        let ticket = halo
            .ensure_ticket(&settings(), &new(), Some(&known()))
            .await
            .unwrap();
        assert_eq!(ticket, found(id("20418"), true));
        psa.finish();
    }
}

#[tokio::test]
async fn a_search_finds_only_what_has_exactly_our_key() {
    let (psa, halo) = signed_in();
    psa.expect(searched().answer(
        200,
        json!({"record_count": 7, "tickets": [
            row(1, json!({"details": format!("{KEY}3"), "third_party_id_string": format!("{KEY}3")})),
            row(2, json!({"third_party_id_string": KEY, "client_id": 18})),
            row(3, json!({"third_party_id_string": KEY, "hasbeenclosed": true})),
            row(4, json!({"third_party_id_string": KEY, "deleted": true})),
            row(9, json!({"third_party_id_string": KEY})),
            row(8, json!({"details": format!("Consent.\n{KEY}")})),
            {},
        ]}),
    ));
    let ticket = halo.ensure_ticket(&settings(), &new(), None).await.unwrap();
    assert_eq!(ticket, found(id("8"), false), "the oldest");
    psa.finish();
}

#[tokio::test]
async fn a_search_that_ignores_its_words_is_looked_through() {
    let (psa, halo) = signed_in();
    let others: Vec<Value> = (1..=100)
        .map(|id| row(id, json!({"summary": "x"})))
        .collect();
    psa.expect(
        searched()
            .query("page_no", "1")
            .answer(200, json!({"tickets": others})),
    );
    psa.expect(searched().query("page_no", "2").answer(
        200,
        json!({"tickets": [row(101, json!({"third_party_id_string": KEY}))]}),
    ));
    let ticket = halo.ensure_ticket(&settings(), &new(), None).await.unwrap();
    assert_eq!(ticket.reference.id, id("101"));
    psa.finish();
}

#[tokio::test]
async fn a_ticket_whose_fate_is_unknown_is_ambiguous() {
    let answers = [
        post("/api/Tickets").fail(TransportError::NoAnswer),
        post("/api/Tickets").answer_raw(500, "text/plain", ""),
        post("/api/Tickets").answer_raw(201, "application/json", ""),
        post("/api/Tickets").answer_raw(200, "text/html", "<html>"),
    ];
    for answer in answers {
        let (psa, halo) = signed_in();
        psa.expect(searched().answer(200, json!({"tickets": []})));
        psa.expect(answer);
        let made = halo.ensure_ticket(&settings(), &new(), None).await;
        assert_eq!(made, Err(PsaError::Ambiguous));
    }
    let (psa, halo) = signed_in();
    psa.expect(searched().answer(200, json!({"tickets": []})));
    psa.expect(post("/api/Tickets").answer_raw(403, "text/plain", ""));
    let refused = halo.ensure_ticket(&settings(), &new(), None).await;
    assert!(matches!(refused, Err(PsaError::Permission { what }) if what.contains("edit:tickets")));
}

#[tokio::test]
async fn a_note_is_escaped_and_names_the_outcome_where_it_is_refused() {
    let (psa, halo) = signed_in();
    let action = |outcome: i64| {
        post("/api/actions").body(json!([{
            "ticket_id": 20417, "outcome_id": outcome, "hiddenfromuser": true, "note_html": "<p>a &lt; b</p>"
        }]))
    };
    psa.expect(action(7).answer(201, json!({"id": 3})));
    halo.add_note(&settings(), &known(), "a < b").await.unwrap();
    psa.expect(action(12).answer(
        400,
        json!({"ClassName": "System.Exception", "Message": "An Outcome must be entered for this Action"}),
    ));
    let own = json!({"ticketTypeId": 21, "noteOutcomeId": "12"});
    let error = halo.add_note(&own, &known(), "a < b").await.unwrap_err();
    assert_eq!(
        error,
        PsaError::Validation {
            fields: vec!["noteOutcomeId".to_owned()],
            text: "An Outcome must be entered for this Action".to_owned()
        }
    );
    psa.finish();
}

#[tokio::test]
async fn a_ticket_is_closed_by_status_or_by_an_action() {
    let status = || post("/api/Tickets").body(json!([{"id": 20417, "status_id": 9}]));
    let action = || {
        post("/api/actions")
            .when("new_status 9", |sent| sent.json()[0]["new_status"] == 9)
            .answer(201, json!({"id": 4}))
    };
    let (psa, halo) = signed_in();
    psa.expect(one().answer(200, row(20417, json!({"status_id": 1}))));
    psa.expect(status().answer(
        201,
        json!({"id": 20417, "hasbeenclosed": true, "status_id": 9}),
    ));
    halo.close_ticket(&settings(), &known()).await.unwrap();
    psa.finish();
    for refused in [
        status().answer(400, json!("A closing action is needed")),
        status().answer(
            201,
            json!({"id": 20417, "hasbeenclosed": false, "status_id": 1}),
        ),
    ] {
        let (psa, halo) = signed_in();
        psa.expect(one().answer(200, row(20417, json!({}))));
        psa.expect(refused);
        psa.expect(action());
        halo.close_ticket(&settings(), &known()).await.unwrap();
        psa.finish();
    }
}

#[tokio::test]
async fn what_is_closed_or_gone_is_closed() {
    for (status, body) in [
        (404, json!("")),
        (200, json!({"id": 20417, "hasbeenclosed": true})),
    ] {
        let (psa, halo) = signed_in();
        psa.expect(one().answer(status, body));
        halo.close_ticket(&settings(), &known()).await.unwrap();
        assert_eq!(calls(&psa).len(), 1);
    }
}

#[tokio::test]
async fn the_usual_closed_status_is_used_only_where_it_is_called_so() {
    let unset = json!({"ticketTypeId": 21});
    let (psa, halo) = signed_in();
    psa.expect(one().answer(200, row(20417, json!({}))));
    psa.expect(get("/api/Status").answer(
        200,
        json!([{"id": 1, "name": "New"}, {"id": 9, "name": "closed"}]),
    ));
    psa.expect(post("/api/Tickets").answer(201, json!({"id": 20417, "hasbeenclosed": true})));
    halo.close_ticket(&unset, &known()).await.unwrap();
    psa.finish();
    let (psa, halo) = signed_in();
    psa.expect(one().answer(200, row(20417, json!({}))));
    psa.expect(get("/api/Status").answer(200, json!([{"id": 9, "name": "Waiting"}])));
    let error = halo.close_ticket(&unset, &known()).await.unwrap_err();
    assert!(matches!(error, PsaError::Config { what } if what.contains("closedStatusId")));
}

#[tokio::test]
async fn options_are_the_instances_own() {
    let (psa, halo) = signed_in();
    psa.expect(get("/api/TicketType").answer(
        200,
        json!([{"id": 21, "name": "Incident"}, {"id": 22.0, "name": "Change"}]),
    ));
    psa.expect(get("/api/Priority").answer(
        200,
        json!([{"id": "0b1f5e5c-7a40-4f61-9d02-2f1c9a0b7e11", "priorityid": 3, "name": "Medium", "slaid": 1},
               {"id": "1b1f5e5c-7a40-4f61-9d02-2f1c9a0b7e11", "priorityid": 3, "name": "Medium", "slaid": 2}]),
    ));
    psa.expect(get("/api/Status").answer(
        200,
        json!([{"id": 1, "name": "New"}, {"id": 9, "name": "Closed"}]),
    ));
    psa.expect(get("/api/Outcome").answer_raw(403, "text/plain", ""));
    let options = halo.ticket_options().await.unwrap().options;
    let shown: Vec<_> = options
        .iter()
        .map(|option| {
            let choices: Vec<_> = option
                .choices
                .iter()
                .map(|c| (c.label.id.0.as_str(), c.label.name.as_str(), c.default))
                .collect();
            (option.name, option.required, choices)
        })
        .collect();
    assert_eq!(
        shown,
        [
            (
                "ticketTypeId",
                true,
                vec![("21", "Incident", false), ("22", "Change", false)]
            ),
            ("priorityId", false, vec![("3", "Medium", false)]),
            (
                "closedStatusId",
                false,
                vec![("1", "New", false), ("9", "Closed", true)]
            ),
            ("noteOutcomeId", false, vec![]),
        ]
    );
    psa.finish();
}
