use serde_json::{Value, json};

use super::*;
use crate::{
    connectwise::harness::{opened, opened_at},
    contract::PsaAdapter,
    event::EventKey,
    scripted::{Expected, get},
    transport::TransportError,
};

const SIGNING_KEY: &str = "Zk3pQ1-example-signing-key";
const KEY_PATH: &str = "/v2025_1//system/callbackkey/index.rails";
const KEY_URL: &str = "https://eu.myconnectwise.net/v2025_1//system/callbackkey/index.rails?companyName=northgate&id=e17e";

fn body(key_url: &str) -> Value {
    json!({"Action": "updated", "CallbackObjectRecId": 26559, "CompanyId": "northgate", "Entity": "{\"id\":999}",
           "ID": 250, "MessageId": "6dd82302", "Metadata": {"key_url": key_url}, "Type": "company"})
}

fn signature(body: &[u8]) -> Vec<u8> {
    hmac::sign(&key_of(SIGNING_KEY), body).as_ref().to_vec()
}

fn signed(body: &[u8], signature: &[u8]) -> RawEvent {
    let mut headers = reqwest::header::HeaderMap::new();
    let text = STANDARD.encode(signature);
    headers.insert("x-content-signature", text.parse().unwrap());
    RawEvent {
        headers,
        query: "recordId=777&action=updated".to_owned(),
        body: body.to_vec(),
    }
}

fn event(body: &Value) -> RawEvent {
    let body = body.to_string().into_bytes();
    signed(&body, &signature(&body))
}

fn key_page() -> Expected {
    get(KEY_PATH)
        .host("eu.myconnectwise.net")
        .answer(200, json!({"signing_key": SIGNING_KEY}))
}

async fn read(adapter: &ConnectWise, event: &RawEvent) -> Result<Event, EventError> {
    let key = EventKey {
        secret: Secret::new("unused".to_owned()),
    };
    adapter.read_event(event, &key).await
}

#[tokio::test]
async fn a_signed_event_names_its_company_and_the_key_is_fetched_once() {
    let (psa, adapter) = opened();
    psa.expect(key_page().header("clientid", "0e8a5b0c-0000-4000-8000-000000000001"));
    for _ in 0..2 {
        let event = read(&adapter, &event(&body(KEY_URL))).await.unwrap();
        assert_eq!(event.id.as_deref(), Some("6dd82302"));
        // Neither the record in the body nor the query of the address counts.
        assert_eq!(
            event.hints,
            [ChangeHint::Customer(ExternalId("250".to_owned()))]
        );
    }
    psa.finish();
    assert_eq!(psa.sent().len(), 1);
}

#[tokio::test]
async fn what_is_not_about_companies_hints_at_nothing() {
    let (psa, adapter) = opened();
    psa.expect(key_page());
    for (kind, id, hints) in [
        (json!("contact"), json!(250), vec![]),
        (json!(null), json!(250), vec![]),
        (
            json!("Company"),
            json!(12.0),
            vec![ChangeHint::Customer(ExternalId("12".to_owned()))],
        ),
        (json!("company"), json!(null), vec![ChangeHint::ResyncSoon]),
    ] {
        let mut body = body(KEY_URL);
        body["Type"] = kind;
        body["ID"] = id;
        body["Entity"] = json!(null);
        assert_eq!(read(&adapter, &event(&body)).await.unwrap().hints, hints);
    }
}

#[tokio::test]
async fn a_flipped_bit_in_signature_or_body_is_not_authentic() {
    let (psa, adapter) = opened();
    psa.expect(key_page());
    let good = body(KEY_URL).to_string().into_bytes();
    let tag = signature(&good);
    assert!(read(&adapter, &signed(&good, &tag)).await.is_ok());
    for bit in 0..tag.len() * 8 {
        let mut flipped = tag.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let event = signed(&good, &flipped);
        assert_eq!(read(&adapter, &event).await, Err(EventError::NotAuthentic));
    }
    let place = good.windows(3).position(|part| part == b"250").unwrap();
    for bit in 0..8 {
        let mut flipped = good.clone();
        flipped[place] ^= 1 << bit;
        let event = signed(&flipped, &tag);
        assert_eq!(read(&adapter, &event).await, Err(EventError::NotAuthentic));
    }
    for short in [&tag[..31], &[]] {
        let event = signed(&good, short);
        assert_eq!(read(&adapter, &event).await, Err(EventError::NotAuthentic));
    }
    // Signed with the key itself instead of its hash.
    let plain = hmac::Key::new(hmac::HMAC_SHA256, SIGNING_KEY.as_bytes());
    let event = signed(&good, hmac::sign(&plain, &good).as_ref());
    assert_eq!(read(&adapter, &event).await, Err(EventError::NotAuthentic));
    assert_eq!(psa.sent().len(), 1);
}

#[tokio::test]
async fn a_key_that_stands_elsewhere_gets_no_request() {
    let (psa, adapter) = opened();
    let path = "v2025_1//system/callbackkey/index.rails?companyName=northgate&id=e17e";
    let host = "https://eu.myconnectwise.net/v2025_1//system/callbackkey/index.rails";
    for key_url in [
        format!("https://evil.example/{path}"),
        format!("http://eu.myconnectwise.net/{path}"),
        format!("https://na.myconnectwise.net/{path}"),
        format!("https://eu.myconnectwise.net:8443/{path}"),
        format!("https://eu.myconnectwise.net@evil.example/{path}"),
        format!("https://x@eu.myconnectwise.net/{path}"),
        format!("https://eu.myconnectwise.net.evil.example/{path}"),
        "https://169.254.169.254/latest?companyName=northgate&id=e17e".to_owned(),
        // Another company has its keys at the same host.
        format!("{host}?companyName=evil&id=e17e"),
        format!("{host}?id=e17e"),
        format!("{host}?companyName=northgate&companyName=evil&id=e17e"),
        format!("{host}?companyName=northgate&COMPANYNAME=evil&id=e17e"),
        format!("{host}?companyName=northgate"),
        format!("{host}?companyName=northgate&id=1&id=2"),
        "https://eu.myconnectwise.net/v2025_1/apis/3.0/company/companies?companyName=northgate&id=1".to_owned(),
        "no address".to_owned(),
        String::new(),
    ] {
        let event = event(&body(&key_url));
        assert_eq!(
            read(&adapter, &event).await,
            Err(EventError::NotAuthentic),
            "{key_url}"
        );
    }
    assert!(psa.sent().is_empty());
}

#[tokio::test]
async fn what_has_no_signature_or_no_envelope_asks_nothing() {
    let (psa, adapter) = opened();
    let mut unsigned = event(&body(KEY_URL));
    unsigned.headers.clear();
    let mut twice = event(&body(KEY_URL));
    twice
        .headers
        .append("x-content-signature", "AAAA".parse().unwrap());
    let mut garbled = event(&body(KEY_URL));
    garbled
        .headers
        .insert("x-content-signature", "%%%".parse().unwrap());
    let long = format!(
        "{{\"Metadata\":{{\"key_url\":\"{KEY_URL}\"}}}}{}",
        " ".repeat(MOST_BODY)
    );
    for event in [
        unsigned,
        twice,
        garbled,
        signed(b"", &[0; 32]),
        signed(b"[]", &[0; 32]),
        event(&json!({"Metadata": null})),
        event(&json!({"Metadata": {"key_url": 3}})),
        signed(long.as_bytes(), &signature(long.as_bytes())),
    ] {
        assert_eq!(read(&adapter, &event).await, Err(EventError::NotAuthentic));
    }
    assert!(psa.sent().is_empty());
}

#[tokio::test]
async fn a_key_that_is_not_to_be_had_now_is_asked_for_again() {
    for (answer, error) in [
        (
            key_page().fail(TransportError::NoAnswer),
            EventError::KeyUnavailable,
        ),
        (
            key_page().fail(TransportError::NoBudget { seconds: 3 }),
            EventError::KeyUnavailable,
        ),
        (
            key_page().answer_raw(503, "text/html", ""),
            EventError::KeyUnavailable,
        ),
        (
            key_page().answer_raw(200, "text/html", "<html>"),
            EventError::KeyUnavailable,
        ),
        (
            key_page().fail(TransportError::AddressRefused),
            EventError::NotAuthentic,
        ),
        (
            key_page().answer(404, json!({"code": "NotFound", "message": "no"})),
            EventError::NotAuthentic,
        ),
        (
            key_page().answer(401, json!({"code": "Unauthorized", "message": "no"})),
            EventError::NotAuthentic,
        ),
    ] {
        let (psa, adapter) = opened();
        psa.expect(answer);
        let event = event(&body(KEY_URL));
        assert_eq!(read(&adapter, &event).await, Err(error));
        psa.expect(key_page());
        assert!(read(&adapter, &event).await.is_ok());
        psa.finish();
    }
}

#[tokio::test]
async fn a_changed_key_is_noticed_but_forgers_cannot_have_it_fetched_at_will() {
    let (psa, adapter) = opened();
    psa.expect(get(KEY_PATH).answer(200, json!({"signing_key": "earlier"})));
    let event = event(&body(KEY_URL));
    for _ in 0..3 {
        assert_eq!(read(&adapter, &event).await, Err(EventError::NotAuthentic));
    }
    psa.set_now("2026-06-10T12:05:00Z");
    psa.expect(key_page());
    assert!(read(&adapter, &event).await.is_ok());
    psa.finish();
}

#[tokio::test]
async fn a_stand_in_on_loopback_may_keep_its_key_where_it_likes() {
    let (psa, adapter) = opened_at("http://127.0.0.1:4010");
    psa.expect(
        get("/key")
            .host("127.0.0.1")
            .answer(200, json!({"signing_key": SIGNING_KEY})),
    );
    let event_here = event(&body("http://127.0.0.1:4010/key?id=1"));
    assert!(read(&adapter, &event_here).await.is_ok());
    let event_there = event(&body("http://127.0.0.1:4011/key?id=2"));
    assert_eq!(
        read(&adapter, &event_there).await,
        Err(EventError::NotAuthentic)
    );
    psa.finish();
}
