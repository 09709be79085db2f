//! What Autotask tells by its webhooks. Nothing is read before the signature over the raw bytes holds:
//! Autotask signs a spelling of the JSON that no parser gives back (psa.md §B4).

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    contract::ExternalId,
    event::{ChangeHint, Event, EventError, EventKey, RawEvent},
    wire,
};

const SIGNATURE: &str = "x-hook-signature";

/// Other entities that webhooks may be about; they say nothing about customers.
const OTHERS: [&str; 9] = [
    "contact",
    "contacts",
    "ticket",
    "tickets",
    "ticketnote",
    "ticketnotes",
    "configurationitem",
    "configurationitems",
    "installedproduct",
];

/// The body, of which the names are in Pascal case here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Told {
    #[serde(deserialize_with = "wire::text")]
    action: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    guid: Option<String>,
    #[serde(deserialize_with = "wire::text")]
    entity_type: Option<String>,
    #[serde(deserialize_with = "wire::id")]
    id: Option<ExternalId>,
    #[serde(deserialize_with = "wire::id")]
    sequence_number: Option<ExternalId>,
}

/// Verifies an event and reads what it hints at.
pub(super) fn read(event: &RawEvent, key: &EventKey) -> Result<Event, EventError> {
    verify(event, key)?;
    let Ok(told) = serde_json::from_slice::<Told>(&event.body) else {
        // Authentic, and nothing that we understand.
        return Ok(Event {
            id: None,
            hints: vec![ChangeHint::ResyncSoon],
        });
    };
    // `Guid` is the webhook's, not the event's.
    let id = match (&told.guid, &told.sequence_number) {
        (Some(guid), Some(number)) => Some(format!("{}:{number}", guid.to_lowercase())),
        _ => None,
    };
    Ok(Event {
        id,
        hints: hints(told),
    })
}

/// `X-Hook-Signature: sha1=` and the HMAC in base64, compared in constant time. A `Deactivated` event is
/// believed on no other terms: unsigned ones could be anybody's.
fn verify(event: &RawEvent, key: &EventKey) -> Result<(), EventError> {
    let mut signatures = event.headers.get_all(SIGNATURE).iter();
    let (Some(written), None) = (signatures.next(), signatures.next()) else {
        return Err(EventError::NotAuthentic);
    };
    let written = written.to_str().or(Err(EventError::NotAuthentic))?.trim();
    let (algorithm, signature) = written.split_once('=').ok_or(EventError::NotAuthentic)?;
    if !algorithm.eq_ignore_ascii_case("sha1") {
        return Err(EventError::NotAuthentic);
    }
    let signature = STANDARD
        .decode(signature)
        .or(Err(EventError::NotAuthentic))?;
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        key.secret.expose().as_bytes(),
    );
    hmac::verify(&key, &event.body, &signature).or(Err(EventError::NotAuthentic))
}

fn hints(told: Told) -> Vec<ChangeHint> {
    let is = |written: &Option<String>, names: &[&str]| {
        let written = written.as_deref().unwrap_or_default();
        names.iter().any(|name| written.eq_ignore_ascii_case(name))
    };
    if is(&told.action, &["deactivated"]) {
        return vec![ChangeHint::CallbackStopped];
    }
    if is(
        &told.entity_type,
        &["account", "accounts", "company", "companies"],
    ) {
        return match told.id {
            Some(id) if id.0 == "0" => Vec::new(),
            Some(id) => vec![ChangeHint::Customer(id)],
            None => vec![ChangeHint::ResyncSoon],
        };
    }
    if is(&told.entity_type, &OTHERS) {
        return Vec::new();
    }
    vec![ChangeHint::ResyncSoon]
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;
    use serde_json::{Value, json};

    use super::*;
    use crate::secret::Secret;

    const SECRET: &str = "s3cret-of-this-test";

    fn key() -> EventKey {
        EventKey {
            secret: Secret::new(SECRET.to_owned()),
        }
    }

    fn signed(body: &[u8]) -> RawEvent {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
        let tag = STANDARD.encode(hmac::sign(&key, body));
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE, format!("sha1={tag}").parse().unwrap());
        RawEvent {
            headers,
            query: String::new(),
            body: body.to_vec(),
        }
    }

    fn told(body: Value) -> Event {
        read(&signed(body.to_string().as_bytes()), &key()).unwrap()
    }

    fn customer(id: &str) -> Vec<ChangeHint> {
        vec![ChangeHint::Customer(ExternalId(id.to_owned()))]
    }

    #[test]
    fn n10_every_changed_bit_is_refused_before_anything_is_read() {
        let event = signed(br#"{"Action":"Update","EntityType":"Account","Id":7}"#);
        assert!(read(&event, &key()).is_ok());
        for place in 0..event.body.len() {
            for bit in 0..8 {
                let mut changed = signed(&event.body);
                changed.body[place] ^= 1 << bit;
                assert_eq!(read(&changed, &key()), Err(EventError::NotAuthentic));
            }
        }
        let other = EventKey {
            secret: Secret::new("another".to_owned()),
        };
        assert_eq!(read(&event, &other), Err(EventError::NotAuthentic));
    }

    #[test]
    fn n10_a_signature_of_another_form_is_refused() {
        let body = br#"{"Action":"Update","EntityType":"Account","Id":7}"#;
        let good = signed(body).headers[SIGNATURE].to_str().unwrap().to_owned();
        for written in [
            String::new(),
            "sha1=".to_owned(),
            good.replace("sha1=", ""),
            good.replace("sha1=", "sha256="),
            format!("{}A", good),
            "sha1=!!!!".to_owned(),
        ] {
            let mut event = signed(body);
            event.headers.insert(SIGNATURE, written.parse().unwrap());
            assert_eq!(
                read(&event, &key()),
                Err(EventError::NotAuthentic),
                "{written}"
            );
        }
        let mut none = signed(body);
        none.headers.clear();
        assert_eq!(read(&none, &key()), Err(EventError::NotAuthentic));
        let mut twice = signed(body);
        twice.headers.append(SIGNATURE, good.parse().unwrap());
        assert_eq!(read(&twice, &key()), Err(EventError::NotAuthentic));
    }

    #[test]
    fn companies_are_named_however_they_are_called() {
        for entity in ["Account", "account", "Companies", "COMPANIES", "Company"] {
            for action in ["Create", "Update", "Delete"] {
                let event = told(json!({
                    "Action": action, "EntityType": entity, "Id": 29683412,
                    "Guid": "0F0C3C3E-5B1E", "SequenceNumber": 17, "PersonId": 3,
                }));
                assert_eq!(event.id.as_deref(), Some("0f0c3c3e-5b1e:17"));
                assert_eq!(event.hints, customer("29683412"), "{action} {entity}");
            }
        }
    }

    #[test]
    fn what_is_not_about_customers_hints_at_nothing_and_the_unknown_at_a_read() {
        let of = |entity: &str, id: Value| {
            told(json!({"Action": "Update", "EntityType": entity, "Id": id}))
        };
        assert_eq!(of("TicketNote", json!(5)).hints, []);
        assert_eq!(of("Contact", json!(5)).hints, []);
        assert_eq!(of("Account", json!(0)).hints, []);
        assert_eq!(of("Account", json!(null)).hints, [ChangeHint::ResyncSoon]);
        assert_eq!(of("Novelty", json!(5)).hints, [ChangeHint::ResyncSoon]);
        assert_eq!(of("Account", json!(5)).id, None);
        let odd = read(&signed(b"no json"), &key()).unwrap();
        assert_eq!(odd.hints, [ChangeHint::ResyncSoon]);
    }

    #[test]
    fn a_deactivation_counts_only_when_it_is_signed() {
        let body = json!({"Action": "Deactivated", "Guid": "a"});
        assert_eq!(told(body.clone()).hints, [ChangeHint::CallbackStopped]);
        let mut unsigned = signed(body.to_string().as_bytes());
        unsigned.headers.clear();
        assert_eq!(read(&unsigned, &key()), Err(EventError::NotAuthentic));
    }
}
