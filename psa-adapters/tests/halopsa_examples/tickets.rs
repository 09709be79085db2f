//! Tickets, notes and statuses.

use serde_json::{Value, json};
use tenantry_psa::{
    ExternalId, PsaAdapter, PsaError,
    ticket::{NewTicket, TicketRef},
};

use crate::{
    example::{Example, id_of, one, signed_in, text_of},
    scripted::{get, post},
};

fn settings() -> Value {
    json!({"ticketTypeId": 21, "closedStatusId": 9})
}

fn new(key: &str, client: &str) -> NewTicket {
    NewTicket {
        key: key.to_owned(),
        customer: ExternalId(client.to_owned()),
        summary: "Tenantry: consent missing".to_owned(),
        description: "Admin consent has not been granted.".to_owned(),
    }
}

pub async fn changed_ticket(example: &Example) {
    let (psa, halo) = signed_in();
    let wanted = &example.request["body"][0];
    if let Some(id) = wanted.get("id").and_then(id_of) {
        psa.expect(
            get(&format!("/api/Tickets/{id}"))
                .answer(200, json!({"id": wanted["id"], "hasbeenclosed": false})),
        );
        psa.expect(example.answers(post("/api/Tickets").body(example.request["body"].clone())));
        halo.close_ticket(&settings(), &TicketRef { id })
            .await
            .unwrap();
        psa.finish();
        return;
    }
    psa.expect(get("/api/Tickets").answer(200, json!({"record_count": 0, "tickets": []})));
    psa.expect(example.answers(post("/api/Tickets")));
    let client = id_of(&wanted["client_id"]).unwrap();
    let made = halo
        .ensure_ticket(&settings(), &new("tenantry:consent:1", &client.0), None)
        .await
        .unwrap();
    psa.finish();
    let answer = one(example.json());
    assert!(made.created);
    assert_eq!(Some(made.reference.id), id_of(&answer["id"]));
    let sent = psa.sent().pop().unwrap().json();
    assert_eq!(sent[0].get("id"), None);
    for key in wanted.as_object().unwrap().keys() {
        assert!(sent[0].get(key).is_some(), "{key} is sent");
    }
    assert_eq!(sent[0]["client_id"].to_string(), client.0, "an integer");
}

pub async fn search(example: &Example) {
    let (psa, halo) = signed_in();
    let key = example.parameter("search").unwrap();
    let client = example.parameter("client_id").unwrap();
    psa.expect(
        example.answers(
            get("/api/Tickets")
                .query("search", key)
                .query("client_id", client)
                .query("open_only", "true"),
        ),
    );
    let found = halo
        .ensure_ticket(&settings(), &new(key, client), None)
        .await
        .unwrap();
    psa.finish();
    assert!(!found.created);
    assert_eq!(
        Some(found.reference.id),
        id_of(&example.json()["tickets"][0]["id"])
    );
}

pub async fn ticket(example: &Example, id: &str) {
    let (psa, halo) = signed_in();
    psa.expect(example.answers(get(&example.path).query("includedetails", "true")));
    let known = TicketRef {
        id: ExternalId(id.to_owned()),
    };
    let row = example.json();
    let is_open = row["hasbeenclosed"] == json!(false) && row["deleted"] != json!(true);
    if !is_open {
        halo.close_ticket(&settings(), &known).await.unwrap();
        psa.finish();
        return;
    }
    let client = id_of(&row["client_id"]).unwrap();
    let found = halo
        .ensure_ticket(
            &settings(),
            &new("tenantry:consent:1", &client.0),
            Some(&known),
        )
        .await
        .unwrap();
    psa.finish();
    assert_eq!((found.reference, found.created), (known, false));
}

pub async fn action(example: &Example) {
    let (psa, halo) = signed_in();
    let wanted = &example.request["body"];
    psa.expect(example.answers(post("/api/actions").body(wanted.clone())));
    let note = wanted[0]["note_html"].as_str().unwrap();
    let text = note.replace("<p>", "").replace("</p>", "");
    let id = id_of(&wanted[0]["ticket_id"]).unwrap();
    halo.add_note(&settings(), &TicketRef { id }, &text)
        .await
        .unwrap();
    psa.finish();
}

pub async fn refused_action(example: &Example) {
    let (psa, halo) = signed_in();
    psa.expect(example.answers(post("/api/actions")));
    let id = id_of(&example.request["body"][0]["ticket_id"]).unwrap();
    let error = halo
        .add_note(&settings(), &TicketRef { id }, "x")
        .await
        .unwrap_err();
    let body = example.json();
    let said = body
        .as_str()
        .or_else(|| body["Message"].as_str())
        .or_else(|| body["errorMessage"].as_str())
        .unwrap();
    assert_eq!(
        error,
        PsaError::Validation {
            fields: vec!["noteOutcomeId".to_owned()],
            text: said.to_owned()
        }
    );
}

pub async fn statuses(example: &Example) {
    let (psa, halo) = signed_in();
    psa.expect(example.answers(get("/api/Status")));
    for endpoint in ["TicketType", "Priority", "Outcome"] {
        psa.expect(get(&format!("/api/{endpoint}")).answer(200, json!([])));
    }
    let options = halo.ticket_options().await.unwrap().options;
    let closed = options.iter().find(|o| o.name == "closedStatusId").unwrap();
    let told: Vec<(ExternalId, String)> = closed
        .choices
        .iter()
        .map(|choice| (choice.label.id.clone(), choice.label.name.clone()))
        .collect();
    let rows = example.json();
    let wanted: Vec<(ExternalId, String)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (id_of(&row["id"]).unwrap(), text_of(&row["name"]).unwrap()))
        .collect();
    assert_eq!(told, wanted);
}
