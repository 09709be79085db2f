//! What a webhook of HaloPSA says (psa.md §C4).
//!
//! It carries no signature; it is believed for its Basic header. Its content is made of templates of the
//! instance, so only what is certainly a client's id is taken from it; anything else means that something
//! changed.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header::AUTHORIZATION;
use serde_json::{Map, Value};

use crate::{
    contract::ExternalId,
    event::{ChangeHint, Event, EventError, EventKey, RawEvent},
    secret::Secret,
    wire,
};

use super::page::integer;

/// The user of the Basic header.
pub(super) const USER: &str = "tenantry";

/// More clients than this in one delivery are read as changes.
const MOST_HINTS: usize = 100;

/// Verifies, then reads.
pub(super) fn read(event: &RawEvent, key: &EventKey) -> Result<Event, EventError> {
    if !is_authentic(event, key) {
        return Err(EventError::NotAuthentic);
    }
    let Ok(body) = serde_json::from_slice::<Value>(&event.body) else {
        return Ok(resync(None));
    };
    let entries = match body {
        Value::Array(entries) => entries,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            vec![body]
        }
    };
    let id = delivery(&entries);
    let mut hints = Vec::new();
    let mut is_unknown = entries.is_empty();
    for entry in &entries {
        let clients = entry.as_object().map(clients).unwrap_or_default();
        is_unknown |= clients.is_empty();
        for client in clients {
            let hint = ChangeHint::Customer(client);
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        if hints.len() > MOST_HINTS {
            return Ok(resync(id));
        }
    }
    if is_unknown {
        hints.push(ChangeHint::ResyncSoon);
    }
    Ok(Event { id, hints })
}

fn resync(id: Option<String>) -> Event {
    Event {
        id,
        hints: vec![ChangeHint::ResyncSoon],
    }
}

/// Compares the whole header with the one that there must be, in constant time and before the body is
/// looked at (N10).
fn is_authentic(event: &RawEvent, key: &EventKey) -> bool {
    let mut headers = event.headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return false;
    };
    let Some((scheme, presented)) = header
        .as_bytes()
        .split_at_checked("Basic ".len())
        .filter(|_| !key.secret.expose().is_empty())
    else {
        return false;
    };
    let plain = Secret::new(format!("{USER}:{}", key.secret.expose()));
    let expected = Secret::new(STANDARD.encode(plain.expose()));
    scheme.eq_ignore_ascii_case(b"Basic ") && expected.matches(presented.trim_ascii())
}

/// What tells this delivery from another: the UUID of each of its entries.
fn delivery(entries: &[Value]) -> Option<String> {
    let ids: Vec<&str> = entries
        .iter()
        .map(|entry| entry.get("id")?.as_str().filter(|id| is_uuid(id)))
        .collect::<Option<_>>()?;
    match ids.as_slice() {
        [] => None,
        [id] => Some((*id).to_ascii_lowercase()),
        ids => Some(
            digest(&SHA256, ids.join(",").to_ascii_lowercase().as_bytes())
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        ),
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The clients that an entry is about: named by `client` or `client_id`, at the top or in the record it
/// carries, or the entry itself where it has what only a client has. The id of a ticket is none.
fn clients(entry: &Map<String, Value>) -> Vec<ExternalId> {
    let mut found = Vec::new();
    let parts = std::iter::once(entry).chain(entry.values().filter_map(Value::as_object));
    for part in parts {
        let named = part
            .get("client_id")
            .or_else(|| part.get("client")?.get("id"));
        found.extend(named.and_then(client));
    }
    if found.is_empty() && is_client(entry) {
        found.extend(entry.get("id").and_then(client));
    }
    found.sort();
    found.dedup();
    found
}

/// Users and sites have `inactive` too, but name their client.
fn is_client(entry: &Map<String, Value>) -> bool {
    entry.contains_key("toplevel_id")
        || (entry.contains_key("inactive")
            && !entry.contains_key("site_id")
            && !entry.contains_key("client_id"))
}

/// A client's id: a positive integer. A template that was not filled in is none.
fn client(value: &Value) -> Option<ExternalId> {
    wire::id_of(value).filter(|id| integer(id).is_some_and(|number| number > 0))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;

    const SECRET: &str = "canary-secret";

    fn event(headers: &[&str], body: &str) -> Result<Event, EventError> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        let raw = RawEvent {
            headers: map,
            query: String::new(),
            body: body.as_bytes().to_vec(),
        };
        let key = EventKey {
            secret: Secret::new(SECRET.to_owned()),
        };
        read(&raw, &key)
    }

    fn basic(user_and_password: &str) -> String {
        format!("Basic {}", STANDARD.encode(user_and_password))
    }

    fn authentic(body: &Value) -> Event {
        event(&[&basic(&format!("tenantry:{SECRET}"))], &body.to_string()).unwrap()
    }

    fn customer(id: &str) -> ChangeHint {
        ChangeHint::Customer(ExternalId(id.to_owned()))
    }

    #[test]
    fn n10_only_the_whole_basic_header_is_believed() {
        let good = basic(&format!("tenantry:{SECRET}"));
        assert!(event(&[&good], "").is_ok());
        assert!(event(&[&good.replace("Basic", "basic")], "").is_ok());
        let flipped = basic(&format!("tenantry:{SECRET}x"));
        for headers in [
            vec![],
            vec![flipped.as_str()],
            vec![&good[..good.len() - 1]],
            vec!["Basic "],
            vec!["Basic"],
            vec![""],
            vec!["Bearer canary-secret"],
            vec![good.as_str(), good.as_str()],
        ] {
            assert_eq!(
                event(&headers, "{}"),
                Err(EventError::NotAuthentic),
                "{headers:?}"
            );
        }
        let other_user = basic(&format!("admin:{SECRET}"));
        assert!(event(&[&other_user], "{}").is_err());
        let no_secret = EventKey {
            secret: Secret::new(String::new()),
        };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, basic("tenantry:").parse().unwrap());
        let raw = RawEvent {
            headers,
            query: String::new(),
            body: Vec::new(),
        };
        assert!(read(&raw, &no_secret).is_err());
    }

    #[test]
    fn clients_are_named_in_several_ways() {
        for body in [
            json!({"client": {"id": 12, "name": "Harbour"}}),
            json!({"client_id": 12.0}),
            json!({"id": 12, "name": "Harbour", "inactive": false}),
            json!({"id": 12, "toplevel_id": 1}),
            json!({"ticket": {"id": 20417, "client_id": 12}}),
            json!({"id": 41, "inactive": true, "client_id": 12, "site_id": 18.0}),
            json!([{"client_id": 12}, {"client_id": "12"}]),
        ] {
            assert_eq!(authentic(&body).hints, [customer("12")], "{body}");
        }
    }

    #[test]
    fn what_names_no_client_means_that_something_changed() {
        for body in [
            json!({"ticket": {"id": 20417}}),
            json!({"id": 20417, "summary": "x"}),
            json!({"client_id": "$CLIENTID"}),
            json!({"client_id": 0}),
            json!({"client_id": 12.5}),
            json!({}),
            json!([]),
            json!(null),
            json!("x"),
        ] {
            assert_eq!(authentic(&body).hints, [ChangeHint::ResyncSoon], "{body}");
        }
        let mixed = authentic(&json!([{"client_id": 12}, {"x": 1}]));
        assert_eq!(mixed.hints, [customer("12"), ChangeHint::ResyncSoon]);
        let good = basic(&format!("tenantry:{SECRET}"));
        assert_eq!(
            event(&[&good], "<html>").unwrap().hints,
            [ChangeHint::ResyncSoon]
        );
        let many: Vec<Value> = (1..=101).map(|id| json!({ "client_id": id })).collect();
        assert_eq!(authentic(&json!(many)).hints, [ChangeHint::ResyncSoon]);
    }

    #[test]
    fn a_delivery_is_known_by_the_ids_of_its_entries() {
        let one = "B3B7F9F0-1f6e-4f0b-8f7e-5f2f5a9f2c10";
        let two = "c3b7f9f0-1f6e-4f0b-8f7e-5f2f5a9f2c10";
        let id = |body: Value| authentic(&body).id;
        assert_eq!(
            id(json!({"id": one, "client_id": 12})),
            Some(one.to_ascii_lowercase())
        );
        let batch = id(json!([{"id": one}, {"id": two}])).unwrap();
        assert_eq!(batch.len(), 64);
        assert_ne!(Some(batch), id(json!([{"id": two}, {"id": one}])));
        assert_eq!(id(json!({"id": 20417})), None);
        assert_eq!(id(json!([{"id": one}, {}])), None);
    }
}
