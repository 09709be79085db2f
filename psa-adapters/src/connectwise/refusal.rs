//! What ConnectWise says when it does not do something, and which decision that is (psa.md §A2, §A7).

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::{error::PsaError, transport::Reply, wire};

/// The longest wait that is believed, in seconds.
const LONGEST_WAIT: u64 = 3600;

/// The codes of ConnectWise's errors. Only a body with one of them is taken for ConnectWise's own, so that
/// nothing of another server's page is ever told (N6).
const CODES: &[&str] = &[
    "ApiFindCondition",
    "ConnectWiseApi",
    "InvalidField",
    "InvalidObject",
    "MaxLengthField",
    "MissingRequiredField",
    "NotFound",
    "ObjectExists",
    "Security",
    "Unauthorized",
];

/// A right of the API member's role, by its row on the page of the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// To sign in is enough.
    SignedIn,
    /// Companies, with their sites.
    Companies,
    /// Contacts.
    Contacts,
    /// The tables of statuses, types, boards and priorities.
    Tables,
    /// Callbacks.
    Callbacks,
    /// Reading tickets.
    ReadTickets,
    /// Making tickets.
    AddTickets,
    /// Changing tickets: notes.
    EditTickets,
    /// Closing tickets.
    CloseTickets,
}

impl Right {
    /// Module, row and level, as the page of the role names them.
    pub const fn row(self) -> &'static str {
        match self {
            Self::SignedIn => "any right of an API member",
            Self::Companies => "Company → Company Maintenance: Inquire All",
            Self::Contacts => "Company → Contacts: Inquire All",
            Self::Tables => "System → Table Setup: Inquire All",
            // The row's name is not documented; on the pages of vendors' set-up guides it stands with System.
            Self::Callbacks => "System → the right for API callbacks: Inquire, Add and Delete All",
            Self::ReadTickets => "Service Desk → Service Tickets: Inquire All",
            Self::AddTickets => "Service Desk → Service Tickets: Add All",
            Self::EditTickets => "Service Desk → Service Tickets: Edit All",
            Self::CloseTickets => {
                "Service Desk → Service Tickets: Edit All, and Close Service Tickets: Edit All where the role has that row"
            }
        }
    }

    /// Which list it is about, for the transport.
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::SignedIn => "System",
            Self::Companies => "Companies",
            Self::Contacts => "Contacts",
            Self::Tables => "Tables",
            Self::Callbacks => "Callbacks",
            Self::ReadTickets | Self::AddTickets | Self::EditTickets | Self::CloseTickets => {
                "Tickets"
            }
        }
    }
}

/// An error's body. Limits are told with `error` in the place of `code`.
#[derive(Deserialize)]
pub(super) struct Refusal {
    #[serde(default, deserialize_with = "wire::text")]
    code: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    error: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    message: Option<String>,
    #[serde(default, deserialize_with = "wire::list")]
    errors: Vec<Fault>,
}

/// What is wrong with one field.
#[derive(Deserialize)]
struct Fault {
    #[serde(default, deserialize_with = "wire::text")]
    code: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    message: Option<String>,
    #[serde(default, deserialize_with = "wire::text")]
    field: Option<String>,
}

fn is_code(code: Option<&String>, expected: &str) -> bool {
    code.is_some_and(|code| code.eq_ignore_ascii_case(expected))
}

impl Refusal {
    /// Reads a body; none for one that is not ConnectWise's.
    pub fn read(body: &[u8]) -> Option<Self> {
        let refusal: Self = serde_json::from_slice(body).ok()?;
        let code = refusal.code.as_ref().or(refusal.error.as_ref())?;
        let is_known = CODES.iter().any(|known| known.eq_ignore_ascii_case(code));
        is_known.then_some(refusal)
    }

    fn is(&self, code: &str) -> bool {
        is_code(self.code.as_ref().or(self.error.as_ref()), code)
    }

    /// Whether one of its fields is refused with this code.
    pub fn has_fault(&self, code: &str) -> bool {
        self.is(code)
            || self
                .errors
                .iter()
                .any(|fault| is_code(fault.code.as_ref(), code))
    }

    fn says(&self, words: &str) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        message.to_ascii_lowercase().contains(words)
    }

    /// Its own words, with those about fields.
    fn said(&self) -> String {
        let of_fields = self
            .errors
            .iter()
            .filter_map(|fault| fault.message.as_deref());
        let all: Vec<&str> = self
            .message
            .as_deref()
            .into_iter()
            .chain(of_fields)
            .collect();
        wire::said(&all.join(" "))
    }

    fn fields(&self) -> Vec<String> {
        self.errors
            .iter()
            .filter_map(|fault| fault.field.as_deref())
            .map(wire::said)
            .collect()
    }

    /// What concerns the sign-in comes with several statuses.
    fn sign_in_error(&self) -> Option<PsaError> {
        if self.is("Unauthorized") || self.says("usernotauthenticated") {
            return Some(PsaError::Auth { what: self.said() });
        }
        if self.says("clientid") || self.says("client id") {
            return Some(PsaError::Auth {
                what: format!("the client ID is not accepted: {}", self.said()),
            });
        }
        self.says("ssl is required").then(|| PsaError::Config {
            what: "this address is not that of the API; enter the address of your sign-in page"
                .to_owned(),
        })
    }
}

/// How long a refusal for too many calls asks us to wait, by its header or its words.
pub(super) fn wait_of(reply: &Reply, now: DateTime<Utc>) -> Option<u64> {
    of_header(&reply.headers, now)
        .or_else(|| {
            let refusal = Refusal::read(&reply.body)?;
            let (_, rest) = refusal.message.as_deref()?.split_once(" in ")?;
            let (number, rest) = rest.split_once(' ')?;
            rest.starts_with("second").then(|| number.parse().ok())?
        })
        .map(|seconds| seconds.min(LONGEST_WAIT))
}

fn of_header(headers: &HeaderMap, now: DateTime<Utc>) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    let wait = until.with_timezone(&Utc).signed_duration_since(now);
    Some(u64::try_from(wait.num_seconds()).unwrap_or(0))
}

/// The decision that an answer without success is. `changes` says whether the call was to change something.
pub(super) fn error_of(reply: &Reply, right: Right, changes: bool, now: DateTime<Utc>) -> PsaError {
    let status = reply.status;
    let refusal = Refusal::read(&reply.body);
    let protocol = |what: &str| PsaError::Protocol {
        status,
        what: what.to_owned(),
    };
    if let Some(error) = refusal.as_ref().and_then(Refusal::sign_in_error)
        && matches!(status, 400..=407)
    {
        return error;
    }
    match status {
        429 => PsaError::RateLimited {
            retry_after: wait_of(reply, now),
        },
        500..=599 | 408 if changes => PsaError::Ambiguous,
        500..=599 | 408 => PsaError::Transient {
            what: format!("ConnectWise PSA failed with status {status}"),
        },
        300..=399 => protocol("a redirect, which is not followed"),
        401 => PsaError::Auth {
            what: refusal.map_or_else(
                || "ConnectWise PSA does not accept the keys".to_owned(),
                |refusal| refusal.said(),
            ),
        },
        403 if refusal.is_some() || reply.body.is_empty() => PsaError::Permission {
            what: right.row().to_owned(),
        },
        404 if refusal.as_ref().is_some_and(|r| r.is("NotFound")) => PsaError::NotFound,
        404 => {
            protocol("there is no API at this address; the base URL or the company ID may be wrong")
        }
        409 => PsaError::Conflict,
        400..=499 => refusal.map_or_else(
            || protocol("a refusal that is not in ConnectWise's form"),
            |refusal| PsaError::Validation {
                fields: refusal.fields(),
                text: refusal.said(),
            },
        ),
        _ => protocol("a status that ConnectWise does not use"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn error(status: u16, body: &[u8], changes: bool) -> PsaError {
        let reply = Reply {
            status,
            headers: HeaderMap::new(),
            body: body.to_vec(),
        };
        let now = "2026-06-10T12:00:00Z".parse().unwrap();
        error_of(&reply, Right::Companies, changes, now)
    }

    fn told(status: u16, body: &Value) -> PsaError {
        error(status, body.to_string().as_bytes(), false)
    }

    #[test]
    fn each_refusal_is_the_decision_it_calls_for() {
        let unauthorized = json!({"code": "Unauthorized", "message": "Incorrect public/private key", "errors": null});
        assert!(
            matches!(told(401, &unauthorized), PsaError::Auth { what } if what.contains("Incorrect"))
        );
        let unknown = json!({"code": "ConnectWiseApi", "message": "UserNotAuthenticated"});
        assert!(matches!(told(403, &unknown), PsaError::Auth { .. }));
        let client = json!({"code": "InvalidObject", "message": "Please provide a valid clientId"});
        assert!(
            matches!(told(400, &client), PsaError::Auth { what } if what.contains("client ID"))
        );
        let right = json!({"code": "Security", "message": "You do not have security permission to perform this action."});
        assert_eq!(
            told(403, &right),
            PsaError::Permission {
                what: "Company → Company Maintenance: Inquire All".to_owned()
            }
        );
        let tls = json!({"code": "Security", "message": "SSL is required.", "errors": null});
        assert!(matches!(told(403, &tls), PsaError::Config { .. }));
        let record = json!({"code": "NotFound", "message": "Company 9 not found"});
        assert_eq!(told(404, &record), PsaError::NotFound);
        let route = json!({"code": "ConnectWiseApi", "message": "The endpoint does not exist."});
        assert!(matches!(
            told(404, &route),
            PsaError::Protocol { status: 404, .. }
        ));
        let invalid = json!({"code": "InvalidObject", "message": "ticket object is invalid", "errors": [
            {"code": "MaxLengthField", "message": "too long", "field": "summary"}]});
        assert_eq!(
            told(400, &invalid),
            PsaError::Validation {
                fields: vec!["summary".to_owned()],
                text: "ticket object is invalid too long".to_owned()
            }
        );
        assert_eq!(told(409, &json!(null)), PsaError::Conflict);
    }

    #[test]
    fn a_failed_server_is_passing_for_a_read_and_unknown_for_a_change() {
        let page = b"<html>Execution Timeout Expired</html>";
        assert!(matches!(
            error(500, page, false),
            PsaError::Transient { .. }
        ));
        assert_eq!(error(502, page, true), PsaError::Ambiguous);
    }

    #[test]
    fn n6_nothing_of_a_page_that_is_not_connectwises_is_told() {
        for status in [200, 302, 400, 401, 403, 404, 405, 409, 418, 500] {
            for body in [
                "<html>canary</html>".to_owned(),
                json!({"message": "canary"}).to_string(),
                json!({"error": "Not Found", "message": "canary", "path": "/canary"}).to_string(),
                json!({"code": "canary", "message": "canary", "errors": [{"field": "canary"}]})
                    .to_string(),
            ] {
                let error = error(status, body.as_bytes(), false);
                assert!(
                    !format!("{error:?} {error}").contains("canary"),
                    "{status} {body}"
                );
            }
        }
    }

    #[test]
    fn the_wait_is_read_from_the_header_or_the_words() {
        let now = "2026-06-10T12:00:00Z".parse().unwrap();
        let wait = |header: Option<&str>, body: Value| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(RETRY_AFTER, header.parse().unwrap());
            }
            let body = body.to_string().into_bytes();
            wait_of(
                &Reply {
                    status: 429,
                    headers,
                    body,
                },
                now,
            )
        };
        let words = json!({"error": "ConnectWiseAPI", "message": "Too many requests. Please try again in 30 seconds."});
        assert_eq!(wait(Some("12"), words.clone()), Some(12));
        assert_eq!(wait(None, words), Some(30));
        assert_eq!(
            wait(Some("Wed, 10 Jun 2026 12:01:00 GMT"), json!(null)),
            Some(60)
        );
        assert_eq!(wait(Some("999999"), json!(null)), Some(LONGEST_WAIT));
        assert_eq!(
            wait(
                Some("soon"),
                json!({"code": "ConnectWiseApi", "message": "Slow down"})
            ),
            None
        );
    }
}
