//! Microsoft's sign-in errors as data.
//!
//! They arrive as JSON from the token endpoint, as query fields on a redirect, and now and then as
//! a form body or a gateway's HTML. Whatever comes, a [`MicrosoftError`] is made of it. Numbers are
//! read whole: `AADSTS50011` and `AADSTS500113` are different errors.

use std::fmt;

use serde_json::Value;

/// Longest description kept, in bytes.
const DESCRIPTION_LIMIT: usize = 1024;
/// Longest identifier kept, in bytes.
const IDENTIFIER_LIMIT: usize = 100;
/// How much of an unreadable body is searched for a number, in bytes.
const SEARCH_LIMIT: usize = 64 * 1024;

/// What stands in [`MicrosoftError::error`] when an answer had no OAuth error in it.
pub const UNREADABLE_ANSWER: &str = "unreadable_answer";

/// An error of Microsoft's identity platform.
#[derive(Clone, PartialEq, Eq)]
pub struct MicrosoftError {
    /// The OAuth error, such as `invalid_grant`, or [`UNREADABLE_ANSWER`].
    pub error: String,
    /// Microsoft's own number, the digits after `AADSTS`.
    pub aadsts: Option<u32>,
    /// `suberror` or `error_subcode`, such as `cancel`.
    pub suberror: Option<String>,
    /// What Microsoft's support asks for first.
    pub trace_id: Option<String>,
    /// Which of our requests it was.
    pub correlation_id: Option<String>,
    /// When, as Microsoft wrote it.
    pub timestamp: Option<String>,
    /// Microsoft's sentence: at most 1 kB, without control characters. It may name people, so it is
    /// for the answer to the one who asked, never for logs.
    pub description: String,
    /// The HTTP status, where the error came as an answer.
    pub status: Option<u16>,
}

impl MicrosoftError {
    /// Reads an answer of the token or metadata endpoint that was not a success.
    pub fn from_answer(status: u16, body: &[u8]) -> Self {
        let mut error = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(fields)) => Self::from_json(&fields),
            Ok(_) | Err(_) => Self::from_text(body),
        };
        error.status = Some(status);
        error
    }

    /// Reads the error fields of a redirect.
    pub fn from_redirect(error: &str, description: Option<&str>, subcode: Option<&str>) -> Self {
        let description = description.unwrap_or_default();
        Self {
            suberror: subcode.and_then(identifier),
            ..Self::from_parts(error, description)
        }
    }

    fn from_json(fields: &serde_json::Map<String, Value>) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let parsed = Self::from_parts(
            text("error").unwrap_or_default(),
            text("error_description").unwrap_or_default(),
        );
        let listed = fields
            .get("error_codes")
            .and_then(Value::as_array)
            .and_then(|codes| codes.first());
        Self {
            aadsts: listed.and_then(number).or(parsed.aadsts),
            suberror: text("suberror")
                .or(text("error_subcode"))
                .and_then(identifier),
            trace_id: text("trace_id").and_then(identifier).or(parsed.trace_id),
            correlation_id: text("correlation_id")
                .and_then(identifier)
                .or(parsed.correlation_id),
            timestamp: text("timestamp").and_then(identifier).or(parsed.timestamp),
            error: parsed.error,
            description: parsed.description,
            status: None,
        }
    }

    /// A form body, a page of HTML, or nothing at all.
    fn from_text(body: &[u8]) -> Self {
        let body = body.get(..SEARCH_LIMIT).unwrap_or(body);
        let mut error = None;
        let mut description = None;
        let mut subcode = None;
        for (name, value) in url::form_urlencoded::parse(body) {
            match name.as_ref() {
                "error" => error = error.or(Some(value)),
                "error_description" => description = description.or(Some(value)),
                "error_subcode" => subcode = subcode.or(Some(value)),
                _other => {}
            }
        }
        if let Some(error) = error {
            return Self::from_redirect(&error, description.as_deref(), subcode.as_deref());
        }
        Self {
            // Whatever page it is, its text is not worth keeping: only Microsoft's number is.
            description: String::new(),
            ..Self::from_parts("", &String::from_utf8_lossy(body))
        }
    }

    fn from_parts(error: &str, description: &str) -> Self {
        Self {
            error: identifier(error).unwrap_or_else(|| UNREADABLE_ANSWER.to_owned()),
            aadsts: aadsts_number(description),
            suberror: None,
            trace_id: labelled(description, "Trace ID: ", 1),
            correlation_id: labelled(description, "Correlation ID: ", 1),
            // The time is two words: Microsoft writes a blank where RFC 3339 has a T.
            timestamp: labelled(description, "Timestamp: ", 2),
            description: capped(description),
            status: None,
        }
    }
}

impl fmt::Display for MicrosoftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        match self.aadsts {
            Some(number) => write!(f, " (AADSTS{number})"),
            None => Ok(()),
        }
    }
}

/// Without the description, which may name people.
impl fmt::Debug for MicrosoftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MicrosoftError")
            .field("error", &self.error)
            .field("aadsts", &self.aadsts)
            .field("suberror", &self.suberror)
            .field("trace_id", &self.trace_id)
            .field("correlation_id", &self.correlation_id)
            .field("timestamp", &self.timestamp)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for MicrosoftError {}

/// The digits after the first `AADSTS` that has any.
fn aadsts_number(text: &str) -> Option<u32> {
    text.split("AADSTS").skip(1).find_map(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest.get(..digits).and_then(|digits| digits.parse().ok())
    })
}

/// A number that may be written as a text.
fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The first `words` words after a label of Microsoft's description.
fn labelled(text: &str, label: &str, words: usize) -> Option<String> {
    let (_before, rest) = text.split_once(label)?;
    let value: Vec<&str> = rest.split_whitespace().take(words).collect();
    identifier(&value.join(" "))
}

/// A short printable text without markup, or nothing.
fn identifier(text: &str) -> Option<String> {
    let kept: String = text
        .chars()
        .filter(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | ' ' | '+' | '/')
        })
        .take(IDENTIFIER_LIMIT)
        .collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// At most a kilobyte, with blanks for control characters.
fn capped(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if kept.len() + c.len_utf8() > DESCRIPTION_LIMIT {
            break;
        }
        kept.push(c);
    }
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_error_is_read_with_all_its_fields() {
        let body = br#"{"error":"invalid_client","error_description":"AADSTS7000222: The secret has expired.\r\nTrace ID: 11aa\r\nCorrelation ID: 22bb\r\nTimestamp: 2026-03-01 10:00:00Z",
            "error_codes":[7000222],"timestamp":"2026-03-01 10:00:00Z","trace_id":"11aa-22","correlation_id":"33cc","suberror":"x","error_uri":"https://login.example"}"#;
        let error = MicrosoftError::from_answer(401, body);
        assert_eq!(error.error, "invalid_client");
        assert_eq!(error.aadsts, Some(7_000_222));
        assert_eq!(error.trace_id.as_deref(), Some("11aa-22"));
        assert_eq!(error.correlation_id.as_deref(), Some("33cc"));
        assert_eq!(error.timestamp.as_deref(), Some("2026-03-01 10:00:00Z"));
        assert_eq!(error.suberror.as_deref(), Some("x"));
        assert_eq!(error.status, Some(401));
        assert_eq!(error.to_string(), "invalid_client (AADSTS7000222)");
    }

    #[test]
    fn what_only_stands_in_the_description_is_found_there() {
        let error = MicrosoftError::from_redirect(
            "consent_required",
            Some(
                "AADSTS65004: Declined.\r\nTrace ID: 1f\r\nCorrelation ID: 2e\r\nTimestamp: 2026-03-01 10:00:00Z",
            ),
            None,
        );
        assert_eq!(error.aadsts, Some(65004));
        assert_eq!(error.trace_id.as_deref(), Some("1f"));
        assert_eq!(error.correlation_id.as_deref(), Some("2e"));
        assert_eq!(error.timestamp.as_deref(), Some("2026-03-01 10:00:00Z"));
        let cancelled = MicrosoftError::from_redirect("access_denied", None, Some("cancel"));
        assert_eq!(
            (cancelled.aadsts, cancelled.suberror.as_deref()),
            (None, Some("cancel"))
        );
    }

    #[test]
    fn numbers_are_read_whole_and_leniently() {
        for (body, number) in [
            (&br#"{"error":"x","error_codes":["500113"]}"#[..], Some(500_113)),
            (br#"{"error":"x","error_codes":[50011.5],"error_description":"AADSTS500011: a"}"#, Some(500_011)),
            (br#"{"error":"x","error_codes":[],"error_description":"AADSTS: AADSTS50011 b"}"#, Some(50_011)),
            (br#"{"error":"x","error_codes":[99999999999],"error_description":"AADSTS99999999999"}"#, None),
            (br#"{"error":"x","error_codes":null,"error_description":7}"#, None),
        ] {
            assert_eq!(MicrosoftError::from_answer(400, body).aadsts, number);
        }
    }

    #[test]
    fn garbage_becomes_an_error_too() {
        let html =
            b"<html><body>Sorry, AADSTS90033: A transient error <script>x</script></body></html>";
        let error = MicrosoftError::from_answer(503, html);
        assert_eq!(
            (error.error.as_str(), error.aadsts),
            (UNREADABLE_ANSWER, Some(90033))
        );
        assert_eq!(error.description, "");
        let form = MicrosoftError::from_answer(
            400,
            b"error=invalid_grant&error_description=AADSTS70008%3a+old",
        );
        assert_eq!(
            (form.error.as_str(), form.aadsts),
            ("invalid_grant", Some(70008))
        );
        for body in [&b""[..], b"[]", b"null", b"\xff\xfe", b"{\"error\":{}}"] {
            assert_eq!(
                MicrosoftError::from_answer(502, body).error,
                UNREADABLE_ANSWER
            );
        }
    }

    #[test]
    fn c16_huge_and_hostile_texts_are_capped_and_cleaned() {
        let long = format!(
            "AADSTS65004: {}\r\nSet-Cookie: a=b\u{7}",
            "ü".repeat(1 << 20)
        );
        let error =
            MicrosoftError::from_redirect(&"<b>x</b>\r\n".repeat(1000), Some(&long), Some("<i>"));
        assert!(error.description.len() <= DESCRIPTION_LIMIT);
        assert!(!error.description.chars().any(char::is_control));
        assert!(error.error.len() <= IDENTIFIER_LIMIT);
        assert!(!error.error.contains(['<', '>', '\r', '\n']));
        assert_eq!(error.suberror.as_deref(), Some("i"));
    }

    #[test]
    fn debug_does_not_show_the_description() {
        let error = MicrosoftError::from_redirect(
            "x",
            Some("AADSTS50020: User 'ann@contoso.example'"),
            None,
        );
        assert!(!format!("{error:?} {error}").contains("ann"));
    }
}
