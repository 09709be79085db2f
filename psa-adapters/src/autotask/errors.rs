//! What Autotask's refusals mean. Its usual status for everything is 500, so the text decides
//! (psa.md §B2, §B7).

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::{error::PsaError, transport::Reply, wire};

/// Whether a call changes something at Autotask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads.
    Read,
    /// It changes something.
    Write,
}

/// The longest wait that is believed: the threshold looks back over an hour.
const MOST_SECONDS: u64 = 3600;

/// Too many calls at once, or in the last hour. Comes first: its text names the tracking identifier too.
const RATE: &[&str] = &[
    "thread threshold",
    "itgenatr005",
    "maximum number of requests",
    "request threshold",
];

/// Credentials that Autotask does not know. A bad user name and a bad integration code are a 500.
const CREDENTIALS: &[&str] = &[
    "zone information could not be determined",
    "integrationcode",
    "integration code",
    "tracking identifier",
    "invalid username",
    "invalid user name",
    "invalid credentials",
];

/// A right that is missing.
const PERMISSION: &[&str] = &[
    "permission",
    "not authorized",
    "unauthorized",
    "access denied",
];

/// Words of refusals that concern what we sent; nothing was done then.
const VALIDATION: &[&str] = &[
    "unable to find",
    "conversion failed",
    "expects type",
    "required",
    "invalid",
    "must be",
    "must have",
    "must not",
    "cannot be",
    "can not be",
    "not a valid",
    "not valid",
    "does not exist",
    "not queryable",
    "not supported",
    "read-only",
    "read only",
    "duplicate",
    "exceeds the",
    "picklist",
    "missing",
    "unexpected character",
    "error converting",
    "inactive",
];

/// What a refusal means. Of the body only the entries of `errors` are told (N6).
///
/// A 500 whose text is none that we know may have come before or after the change was made: of a call
/// that only reads it may be asked again, after one that changes something we have to look first.
pub(super) fn of_reply(
    reply: &Reply,
    effect: Effect,
    endpoint: &str,
    now: DateTime<Utc>,
) -> PsaError {
    let status = reply.status;
    if (300..400).contains(&status) {
        return protocol(status, "a redirect, which is never followed");
    }
    let entries = entries(&reply.body);
    let text = entries.join("; ");
    let lower = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if status == 429 || says(RATE) {
        return PsaError::RateLimited {
            retry_after: retry_after(&reply.headers, now),
        };
    }
    if status == 401 {
        return PsaError::Auth {
            what: "the user name or the secret is not accepted".to_owned(),
        };
    }
    if says(CREDENTIALS) {
        return PsaError::Auth {
            what: wire::said(&text),
        };
    }
    if matches!(status, 403 | 405) || says(PERMISSION) {
        return PsaError::Permission {
            what: right(endpoint).to_owned(),
        };
    }
    if status == 404 || lower.contains("no matching records found") {
        return PsaError::NotFound;
    }
    if status == 409 {
        return PsaError::Conflict;
    }
    if says(VALIDATION) || (!entries.is_empty() && (400..500).contains(&status)) {
        return PsaError::Validation {
            fields: fields(&entries),
            text: wire::said(&text),
        };
    }
    if status < 500 {
        return protocol(status, "a refusal that is not Autotask's");
    }
    match effect {
        Effect::Read => PsaError::Transient {
            what: if text.is_empty() {
                format!("a server error (status {status})")
            } else {
                format!("a server error (status {status}): {}", wire::said(&text))
            },
        },
        Effect::Write => PsaError::Ambiguous,
    }
}

/// The body of a success as JSON; null where there is none.
pub(super) fn of_success(reply: &Reply) -> Result<Value, PsaError> {
    if reply.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    // The parser's own words could repeat a piece of the body.
    serde_json::from_slice(&reply.body).or(Err(protocol(reply.status, "the answer is no JSON")))
}

/// An answer that is none of Autotask's.
pub(super) fn protocol(status: u16, what: &str) -> PsaError {
    PsaError::Protocol {
        status,
        what: what.to_owned(),
    }
}

/// What an answer lacks is no reason to stop where it is only an addition: none for a missing right or a
/// list that this database does not offer, the error for everything else.
pub(super) fn addition<T>(result: Result<T, PsaError>) -> Result<Option<T>, PsaError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(
            PsaError::Permission { .. }
            | PsaError::NotFound
            | PsaError::Validation { .. }
            | PsaError::Protocol { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The right that a list needs, in the words of a security level (psa.md §B2).
pub(super) fn right(endpoint: &str) -> &'static str {
    match endpoint {
        "Companies" => "CRM: companies, read",
        "Contacts" => "CRM: contacts, read",
        "CompanyLocations" => "CRM: locations, read",
        "CompanyWebhooks" | "CompanyWebhookFields" => "webhooks",
        "Tickets" => "Service Desk: tickets, add and edit",
        "TicketNotes" => "Service Desk: ticket notes, add",
        _ => "access to the API, as in the security level API User (system)",
    }
}

/// The entries of `errors`: texts, or objects with a message.
fn entries(body: &[u8]) -> Vec<String> {
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let listed = body.get("errors").and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let message = entry.get("message").or_else(|| entry.get("Message"));
            wire::text_of(message.unwrap_or(entry))
        })
        .collect()
}

/// The fields that sentences of a known form name: `Unable to find type in the Company Entity.`
fn fields(entries: &[String]) -> Vec<String> {
    entries
        .iter()
        .filter_map(|entry| {
            let rest = entry.split_once("Unable to find ")?.1;
            let name = rest.split_once(" in the ")?.0;
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
            is_name.then(|| name.to_owned())
        })
        .collect()
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<u64> {
    let written = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match written.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_not_a_number) => {
            let at = DateTime::parse_from_rfc2822(written).ok()?;
            u64::try_from((at.to_utc() - now).num_seconds()).unwrap_or(0)
        }
    };
    Some(seconds.min(MOST_SECONDS))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-06-10T12:00:00Z".parse().unwrap()
    }

    fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    fn meaning(status: u16, text: &str, effect: Effect) -> PsaError {
        let body = json!({ "errors": [text] }).to_string();
        of_reply(&reply(status, body), effect, "Companies", now())
    }

    #[test]
    fn the_text_of_a_500_decides() {
        let permission = PsaError::Permission {
            what: "CRM: companies, read".to_owned(),
        };
        for text in [
            "The logged in Resource does not have the adequate permissions to query this entity type.",
            "You may not have the required permissions.",
        ] {
            assert_eq!(meaning(500, text, Effect::Read), permission);
            assert_eq!(meaning(500, text, Effect::Write), permission);
        }
        for text in [
            "Thread Threshold Exceeded. The thread threshold of 3 threads has been exceeded for this tracking identifier and object endpoint. (Itgenatr005)",
            "You have exceeded the maximum number of requests per hour.",
        ] {
            assert_eq!(
                meaning(500, text, Effect::Write),
                PsaError::RateLimited { retry_after: None }
            );
        }
        for text in [
            "Zone information could not be determined",
            "IntegrationCode is invalid.",
        ] {
            assert_eq!(
                meaning(500, text, Effect::Read),
                PsaError::Auth {
                    what: text.to_owned()
                }
            );
        }
        assert_eq!(
            meaning(
                500,
                "Unable to find type in the Company Entity.",
                Effect::Read
            ),
            PsaError::Validation {
                fields: vec!["type".to_owned()],
                text: "Unable to find type in the Company Entity.".to_owned(),
            }
        );
        assert_eq!(
            meaning(
                500,
                "No matching records found for the given id.",
                Effect::Write
            ),
            PsaError::NotFound
        );
    }

    #[test]
    fn an_unknown_500_may_have_acted() {
        let read = meaning(500, "Something odd happened", Effect::Read);
        assert!(matches!(read, PsaError::Transient { .. }), "{read:?}");
        assert_eq!(
            meaning(500, "Something odd happened", Effect::Write),
            PsaError::Ambiguous
        );
        assert_eq!(
            of_reply(
                &reply(502, "<html>canary</html>"),
                Effect::Write,
                "Tickets",
                now()
            ),
            PsaError::Ambiguous
        );
    }

    #[test]
    fn errors_may_be_objects() {
        let body = json!({"errors": [{"message": "Conversion failed when converting varchar"}, 7]});
        let meaning = of_reply(
            &reply(500, body.to_string()),
            Effect::Read,
            "Tickets",
            now(),
        );
        assert!(
            matches!(&meaning, PsaError::Validation { text, .. } if text.starts_with("Conversion failed")),
            "{meaning:?}"
        );
    }

    #[test]
    fn n6_a_page_that_is_not_autotasks_is_not_repeated() {
        for (status, body) in [
            (200, "<html>canary</html>".to_owned()),
            (302, "canary".to_owned()),
            (400, "<html>canary</html>".to_owned()),
            (403, json!({"message": "canary"}).to_string()),
            (404, "canary".to_owned()),
            (503, json!({"detail": "canary"}).to_string()),
        ] {
            let reply = reply(status, body);
            let error = if status == 200 {
                of_success(&reply).unwrap_err()
            } else {
                of_reply(&reply, Effect::Read, "Companies", now())
            };
            assert!(
                !format!("{error:?} {error}").contains("canary"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (written, expected) in [
            ("17", Some(17)),
            ("Wed, 10 Jun 2026 12:01:30 GMT", Some(90)),
            ("Wed, 10 Jun 2026 11:00:00 GMT", Some(0)),
            ("9999999", Some(MOST_SECONDS)),
            ("soon", None),
        ] {
            let mut reply = reply(429, "");
            reply.headers.insert(RETRY_AFTER, written.parse().unwrap());
            assert_eq!(
                of_reply(&reply, Effect::Read, "Companies", now()),
                PsaError::RateLimited {
                    retry_after: expected
                },
                "{written}"
            );
        }
    }
}
