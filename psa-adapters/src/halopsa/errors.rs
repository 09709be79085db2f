//! What a refusal of HaloPSA means (psa.md §C7). Its bodies have six shapes; one reader knows them all.

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::{
    error::PsaError,
    transport::{Reply, Transport, Window},
    wire,
};

/// The least that is waited after a refusal for the rate. The window is minutes long: ten tries five
/// seconds apart are known to have failed (psa.md §C7).
const LEAST_WAIT: u64 = 30;
/// The most, whatever a header says.
const MOST_WAIT: u64 = 3600;

/// What a call needs, in the words of HaloPSA's own set-up pages (psa.md §C2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Clients,
    Contacts,
    Sites,
    TenantMap,
    Tickets,
    Webhooks,
}

impl Right {
    /// What is missing where it is refused.
    pub(super) const fn missing(self) -> &'static str {
        match self {
            Self::Clients => {
                "reading clients: the API application needs the permission read:customers, and the role \
                 of its agent needs access to Clients (Read Only)"
            }
            Self::Contacts => {
                "reading users of clients: the API application needs the permission read:customers, and \
                 the role of its agent needs access to Users (Read Only)"
            }
            Self::Sites => {
                "reading sites: the API application needs the permission read:customers, and the role of \
                 its agent needs access to Sites (Read Only)"
            }
            Self::TenantMap => {
                "reading the Azure connections, in which HaloPSA keeps the tenants of clients: the role \
                 of the API application's agent needs access to them"
            }
            Self::Tickets => {
                "tickets: the API application needs the permission edit:tickets, and the role of its \
                 agent needs access to Tickets (Read and Modify)"
            }
            Self::Webhooks => {
                "admin:webhooks: the API application lacks this permission. Grant it, or set the webhook \
                 up by hand in Configuration, Integrations, Webhooks: method POST to this connection's \
                 event address, content type application/json, authentication Basic with the user \
                 tenantry and this connection's event secret as password"
            }
        }
    }
}

/// What a body says, in whatever shape it came.
pub(super) struct Told {
    /// Its text.
    pub(super) text: String,
    /// Whether it had a shape that HaloPSA is known for. A page of something else is read for the numbers
    /// of a rate limit, but never told (N6).
    pub(super) is_known: bool,
}

/// Reads any of the shapes: `error`, `Message`, `errorMessage`, a JSON string, plain text, nothing.
pub(super) fn told(body: &[u8]) -> Option<Told> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let text = std::str::from_utf8(body).ok()?.trim();
        return (!text.is_empty()).then(|| Told {
            text: wire::said(text),
            is_known: false,
        });
    };
    let text = match &value {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => ["error", "Message", "message", "errorMessage"]
            .iter()
            .filter_map(|key| fields.get(*key))
            .find_map(|said| match said {
                Value::Object(inner) => inner.get("message").and_then(wire::text_of),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => wire::text_of(said),
            }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    text.map(|text| wire::said(&text))
        .filter(|text| !text.is_empty())
        .map(|text| Told {
            text,
            is_known: true,
        })
}

/// The error that a status other than success stands for. 401 comes here only for a token that was just
/// issued, 429 not at all ([`rate_limited`]).
pub(super) fn of_status(reply: &Reply, right: Right, changes: bool) -> PsaError {
    match reply.status {
        401 => PsaError::Auth {
            what: "HaloPSA issued a token and does not accept it for its API".to_owned(),
        },
        403 => PsaError::Permission {
            what: right.missing().to_owned(),
        },
        404 | 410 => PsaError::NotFound,
        400 | 402 | 406 | 409 | 412..=418 | 422 => PsaError::Validation {
            fields: Vec::new(),
            text: told(&reply.body).filter(|told| told.is_known).map_or_else(
                || format!("HaloPSA refused the call (status {})", reply.status),
                |told| told.text,
            ),
        },
        // Nothing was begun.
        503 => PsaError::Transient {
            what: "HaloPSA is not available (status 503)".to_owned(),
        },
        408 | 500..=599 if changes => PsaError::Ambiguous,
        status @ (408 | 500..=599) => PsaError::Transient {
            what: format!("HaloPSA failed (status {status})"),
        },
        status => PsaError::Protocol {
            status,
            what: if (300..400).contains(&status) {
                "a redirect".to_owned()
            } else {
                "a status that HaloPSA does not use".to_owned()
            },
        },
    }
}

/// The error of a 429. The transport is told to wait, and the limit where the text has one.
pub(super) fn rate_limited(transport: &dyn Transport, reply: &Reply) -> PsaError {
    let wait = retry_after(&reply.headers, transport.now()).unwrap_or(LEAST_WAIT);
    if let Some(window) = told(&reply.body).and_then(|told| window_in(&told.text)) {
        // A sixth is left: the limit is the instance's, shared with whatever else calls it.
        let calls = (window.calls / 6).saturating_mul(5).max(1);
        transport.set_limits(super::limits(Window { calls, ..window }));
    }
    transport.pause(wait);
    PsaError::RateLimited {
        retry_after: Some(wait),
    }
}

fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_not_a_number) => {
            let at = DateTime::parse_from_rfc2822(text).ok()?;
            u64::try_from((at.with_timezone(&Utc) - now).num_seconds()).ok()?
        }
    };
    Some(seconds.clamp(1, MOST_WAIT))
}

/// `Rate Limit Reached - 300 Requests per rolling 5 minute window.`
fn window_in(text: &str) -> Option<Window> {
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let number_before = |wanted: &[&str]| {
        words.windows(2).find_map(|pair| {
            let [number, word] = pair else { return None };
            let word = word.to_ascii_lowercase();
            wanted
                .iter()
                .any(|wanted| word.starts_with(wanted))
                .then(|| number.parse::<u32>().ok())?
        })
    };
    let calls = number_before(&["request", "call"])?;
    let seconds = number_before(&["second"])
        .or_else(|| number_before(&["minute"])?.checked_mul(60))
        .or_else(|| number_before(&["hour"])?.checked_mul(3600))?;
    let is_plausible = (1..=100_000).contains(&calls) && (1..=86_400).contains(&seconds);
    is_plausible.then_some(Window { calls, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn each_shape_of_an_error_body_is_read() {
        for (body, text, is_known) in [
            (r#"{"error":"invalid_client"}"#, "invalid_client", true),
            (
                r#"{"ClassName":"System.Exception","Message":"An Outcome must be entered for this Action","Data":null}"#,
                "An Outcome must be entered for this Action",
                true,
            ),
            (r#"{"Message":"no"}"#, "no", true),
            (
                r#"{"resultCode":5,"errorMessage":"not so"}"#,
                "not so",
                true,
            ),
            (r#"{"error":{"message":"inner"}}"#, "inner", true),
            (r#""a string""#, "a string", true),
            ("plain text", "plain text", false),
            ("<html>canary</html>", "<html>canary</html>", false),
        ] {
            let told = told(body.as_bytes()).unwrap();
            assert_eq!((told.text.as_str(), told.is_known), (text, is_known));
        }
        for body in [
            "",
            " ",
            "null",
            "{}",
            "[]",
            r#"{"error":""}"#,
            r#"{"data":"canary"}"#,
        ] {
            assert!(told(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn n6_a_page_of_something_else_is_not_told() {
        for body in ["<html>canary</html>", "canary", r#"{"secret":"canary"}"#] {
            for status in [301, 400, 401, 403, 404, 422, 500, 503] {
                for changes in [false, true] {
                    let error = of_status(&reply(status, body), Right::Clients, changes);
                    assert!(!format!("{error} {error:?}").contains("canary"));
                }
            }
        }
    }

    #[test]
    fn a_status_says_what_the_caller_can_do() {
        let of = |status, changes| of_status(&reply(status, ""), Right::Tickets, changes);
        assert!(matches!(of(401, false), PsaError::Auth { .. }));
        assert!(
            matches!(of(403, false), PsaError::Permission { what } if what.contains("edit:tickets"))
        );
        assert_eq!(of(404, true), PsaError::NotFound);
        assert!(matches!(of(400, true), PsaError::Validation { .. }));
        assert!(matches!(
            of(302, false),
            PsaError::Protocol { status: 302, .. }
        ));
        assert!(matches!(of(500, false), PsaError::Transient { .. }));
        assert_eq!(of(500, true), PsaError::Ambiguous);
        assert_eq!(of(504, true), PsaError::Ambiguous);
        assert!(matches!(of(503, true), PsaError::Transient { .. }));
    }

    #[test]
    fn the_numbers_of_a_limit_are_found() {
        for (text, window) in [
            (
                "Rate Limit Reached - 300 Requests per rolling 5 minute window.",
                Some((300, 300)),
            ),
            (
                "Rate Limit Reached - 700 requests per 30 second window",
                Some((700, 30)),
            ),
            ("Too many requests", None),
            ("0 Requests per rolling 5 minute window", None),
            ("99999999999 Requests per rolling 5 minute window", None),
        ] {
            assert_eq!(
                window_in(text).map(|window| (window.calls, window.seconds)),
                window,
                "{text}"
            );
        }
    }

    #[test]
    fn a_wait_is_read_as_seconds_or_as_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-06-10T08:00:00Z")
            .unwrap()
            .with_timezone(&Utc);
        for (value, wait) in [
            ("45", Some(45)),
            ("0", Some(1)),
            ("999999", Some(MOST_WAIT)),
            ("Wed, 10 Jun 2026 08:02:00 GMT", Some(120)),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            assert_eq!(retry_after(&headers, now), wait, "{value}");
        }
    }
}
