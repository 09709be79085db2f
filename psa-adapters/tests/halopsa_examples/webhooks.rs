//! Webhooks, set up and arriving.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::json;
use tenantry_psa::{
    PsaAdapter, Secret,
    event::{CallbackTarget, ChangeHint, EventKey, RawEvent},
};

use crate::{
    example::{Example, id_of, one, opened, signed_in, text_of},
    scripted::{get, post},
};

pub async fn webhook(example: &Example) {
    let (psa, halo) = signed_in();
    psa.expect(get("/api/Webhook").answer(200, json!([])));
    psa.expect(example.answers(post("/api/Webhook")));
    let target = CallbackTarget {
        url: "https://tenantry.northgate.example/events/4be2"
            .parse()
            .unwrap(),
        secret: Secret::new("example".to_owned()),
        name: "Tenantry".to_owned(),
    };
    let callback = halo.register_callback(&target).await.unwrap();
    let answer = one(example.json());
    assert_eq!(Some(callback.id.0.as_str()), answer["id"].as_str());
    if let Some(wanted) = example.request["body"][0].as_object() {
        let sent = psa.sent().pop().unwrap().json();
        for key in wanted.keys() {
            assert!(sent[0].get(key).is_some(), "{key} is sent");
        }
        for key in [
            "type",
            "method",
            "content_type",
            "authentication_type",
            "basic_username",
        ] {
            assert_eq!(sent[0][key], wanted[key], "{key}");
        }
    }
}

pub async fn event(example: &Example) {
    let (_psa, halo) = opened();
    let mut headers = HeaderMap::new();
    for (name, value) in example.headers.as_object().unwrap() {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, value.as_str().unwrap().parse().unwrap());
    }
    let presented = headers["authorization"].to_str().unwrap();
    let plain = STANDARD
        .decode(presented.split_once(' ').unwrap().1)
        .unwrap();
    let plain = String::from_utf8(plain).unwrap();
    let (user, password) = plain.split_once(':').unwrap();
    assert_eq!(user, "tenantry");
    let key = EventKey {
        secret: Secret::new(password.to_owned()),
    };
    let raw = RawEvent {
        headers,
        query: String::new(),
        body: example.body.clone(),
    };
    let read = halo.read_event(&raw, &key).await.unwrap();
    let body = example.json();
    let entries = match body.as_array() {
        Some(entries) => entries.clone(),
        None if body.is_null() => Vec::new(),
        None => vec![body],
    };
    if let [entry] = entries.as_slice() {
        assert_eq!(read.id, text_of(&entry["id"]));
    }
    let wanted: Vec<ChangeHint> = entries
        .iter()
        .filter_map(|entry| {
            id_of(&entry["client_id"])
                .or_else(|| id_of(&entry["client"]["id"]))
                .or_else(|| id_of(&entry["ticket"]["client_id"]))
        })
        .map(ChangeHint::Customer)
        .collect();
    if wanted.is_empty() {
        assert_eq!(read.hints, [ChangeHint::ResyncSoon]);
    } else {
        assert_eq!(read.hints, wanted);
    }
    let forged = EventKey {
        secret: Secret::new(format!("{password}x")),
    };
    assert!(halo.read_event(&raw, &forged).await.is_err());
}
