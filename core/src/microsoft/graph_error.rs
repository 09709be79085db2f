//! Microsoft Graph's errors as decisions.
//!
//! A missing licence hides behind 400, 403 or an empty list; a missing permission behind 401 or 403;
//! an expired delta link behind 400 or 410. Bodies nest inner errors, hold JSON in a text, or are a
//! gateway's HTML. Branching on a message happens only where Microsoft gives nothing better.

use serde_json::Value;

use crate::microsoft::identity::TokenError;

/// Longest message kept, in bytes.
const MESSAGE_LIMIT: usize = 500;
/// How deep inner errors are followed.
const DEEPEST: usize = 8;

/// Why Graph gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// Still throttled after all waiting that was allowed.
    #[error("throttled by microsoft")]
    Throttled {
        /// When to come back.
        retry_after: std::time::Duration,
    },
    /// A permission, a role or a policy is missing.
    #[error("access denied: {}", .0.code)]
    AccessDenied(Refusal),
    /// The tenant has no licence for it.
    #[error("not licensed: {}", .0.code)]
    NotLicensed(Refusal),
    /// The service is not set up in the tenant.
    #[error("not applicable to the tenant: {}", .0.code)]
    NotApplicable(Refusal),
    /// The delta link is too old: read everything again.
    #[error("delta link expired")]
    ResyncRequired,
    /// The object is gone, or was never there.
    #[error("not found: {}", .0.code)]
    NotFound(Refusal),
    /// A fresh token was refused too.
    #[error("token not accepted: {}", .0.code)]
    Unauthorized(Refusal),
    /// A policy of the tenant wants more than the token shows.
    #[error("claims challenge")]
    ClaimsChallenge(Refusal),
    /// Any other refusal; repeating it is useless.
    #[error("refused with {}: {}", .0.status, .0.code)]
    Refused(Refusal),
    /// Microsoft failed, or could not be reached, in every attempt.
    #[error("microsoft graph unavailable")]
    Unavailable {
        /// The last HTTP status, if there was an answer.
        status: Option<u16>,
        /// What broke, if there was none.
        #[source]
        source: Option<crate::outbound::OutboundError>,
    },
    /// A success whose body is not what it should be.
    #[error("unexpected answer: {what}")]
    UnexpectedAnswer {
        /// What is wrong with it.
        what: &'static str,
        /// The reader's complaint, if a reader failed.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// The answer is larger than allowed.
    #[error("answer larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A link that does not lead to Microsoft Graph. It was not followed.
    #[error("link leads elsewhere")]
    ForeignLink,
    /// Links that go round in circles or never end.
    #[error("paging does not end")]
    EndlessPaging,
    /// No token to ask with.
    #[error("no token: {0}")]
    Token(#[source] TokenError),
}

/// What Graph said when it refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The most specific code, as Microsoft wrote it; may be empty.
    pub code: String,
    /// Microsoft's message, capped. It may name people: not for logs.
    pub message: String,
    /// Microsoft's id of the request, for its support.
    pub request_id: Option<String>,
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refusal")
            .field("status", &self.status)
            .field("code", &self.code)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl GraphError {
    pub(crate) fn unexpected(what: &'static str) -> Self {
        Self::UnexpectedAnswer { what, source: None }
    }

    pub(crate) fn unreadable(source: serde_json::Error) -> Self {
        Self::UnexpectedAnswer {
            what: "body cannot be read",
            source: Some(source),
        }
    }

    /// Reads an answer that is not a success. `asked_by_delta_link`: the request itself was a delta
    /// link, so that a complaint about an unsupported query can only mean the link.
    pub(crate) fn from_answer(status: u16, body: &[u8], asked_by_delta_link: bool) -> Self {
        let refusal = Refusal::read(status, body);
        if refusal.says_resync(asked_by_delta_link) {
            return Self::ResyncRequired;
        }
        match status {
            401 | 403 if refusal.is_claims_challenge() => Self::ClaimsChallenge(refusal),
            _any if refusal.says_not_licensed() => Self::NotLicensed(refusal),
            400 if refusal.says_not_applicable() => Self::NotApplicable(refusal),
            401 if refusal.is_intune_denial() => Self::AccessDenied(refusal),
            401 => Self::Unauthorized(refusal),
            403 => Self::AccessDenied(refusal),
            404 => Self::NotFound(refusal),
            408 | 423 | 500 | 502..=504 | 509 => Self::Unavailable {
                status: Some(status),
                source: None,
            },
            _other => Self::Refused(refusal),
        }
    }
}

impl Refusal {
    /// The refusal in a word: Microsoft's code, or the status where it sent none.
    pub fn named(&self) -> String {
        if self.code.is_empty() {
            format!("status {}", self.status)
        } else {
            self.code.clone()
        }
    }

    fn read(status: u16, body: &[u8]) -> Self {
        let nothing = Self {
            status,
            code: String::new(),
            message: String::new(),
            request_id: None,
        };
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return nothing;
        };
        // An item of a batch may hold the error itself as its body.
        let Some(error) = body.get("error").or(Some(&body)).and_then(Value::as_object) else {
            return nothing;
        };
        let mut refusal = nothing;
        let mut level = Some(error);
        for _depth in 0..DEEPEST {
            let Some(fields) = level else { break };
            let text = |name: &str| {
                fields
                    .get(name)
                    .and_then(Value::as_str)
                    .filter(|text| !text.is_empty())
            };
            if refusal.message.is_empty() {
                refusal.message = capped(text("message").unwrap_or_default());
            }
            // A code further in is more specific, but only if it is a word and not a status again.
            if let Some(code) = text("code")
                && (refusal.code.is_empty() || is_known(code))
            {
                refusal.code = capped(code);
            }
            refusal.request_id = refusal.request_id.or(text("request-id").map(capped));
            level = fields
                .get("innerError")
                .or(fields.get("innererror"))
                .and_then(Value::as_object);
        }
        refusal
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        codes
            .iter()
            .any(|code| self.code.eq_ignore_ascii_case(code))
    }

    fn says(&self, words: &str) -> bool {
        self.message.to_ascii_lowercase().contains(words)
    }

    fn says_resync(&self, asked_by_delta_link: bool) -> bool {
        if !(400..500).contains(&self.status) {
            return false;
        }
        // Gone is only ever said of a delta token.
        let gone = self.status == 410;
        let coded = self.has_code(RESYNC_CODES);
        let old_link = self.status == 400
            && self.has_code(&["Request_UnsupportedQuery"])
            && (self.says("deltalink") || self.says("delta link") || asked_by_delta_link);
        gone || coded || old_link
    }

    fn says_not_licensed(&self) -> bool {
        let coded = self.has_code(&[
            "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
            "AadPremiumLicenseRequired",
        ]);
        let worded = self.status == 403
            && self.has_code(&["Forbidden", "AccessDenied"])
            && self.says("tenant is not licensed");
        coded || worded
    }

    fn says_not_applicable(&self) -> bool {
        self.has_code(&["BadRequest"]) && self.says("not applicable to target tenant")
    }

    /// Intune wraps its own refusal, JSON in a text, into an `UnknownError`.
    fn is_intune_denial(&self) -> bool {
        self.has_code(&["UnknownError"]) && self.says("\"forbidden\"")
    }

    fn is_claims_challenge(&self) -> bool {
        self.has_code(&["insufficient_claims"])
            || (self.has_code(&["InvalidAuthenticationToken"])
                && self.says("continuous access evaluation"))
    }
}

const RESYNC_CODES: &[&str] = &["syncStateNotFound", "syncStateInvalid", "resyncRequired"];

/// Codes that say more than the general one around them.
fn is_known(code: &str) -> bool {
    const KNOWN: &[&str] = &[
        "Authorization_RequestDenied",
        "Authentication_MSGraphPermissionMissing",
        "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
        "AadPremiumLicenseRequired",
        "InvalidAuthenticationToken",
        "MailboxNotEnabledForRESTAPI",
        "ErrorAccessDenied",
        "insufficient_claims",
        "Request_ResourceNotFound",
        "Request_UnsupportedQuery",
        "TooManyRequests",
    ];
    KNOWN
        .iter()
        .chain(RESYNC_CODES)
        .any(|known| known.eq_ignore_ascii_case(code))
}

fn capped(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if kept.len() + c.len_utf8() > MESSAGE_LIMIT {
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> GraphError {
        GraphError::from_answer(status, body.as_bytes(), false)
    }

    fn with_code(code: &str, message: &str) -> String {
        serde_json::json!({"error": {"code": code, "message": message}}).to_string()
    }

    #[test]
    fn a_missing_permission_a_missing_licence_and_a_missing_service_are_told_apart() {
        let denied = read(
            403,
            &with_code(
                "Authorization_RequestDenied",
                "Insufficient privileges to complete the operation.",
            ),
        );
        assert!(
            matches!(denied, GraphError::AccessDenied(refusal) if refusal.code == "Authorization_RequestDenied")
        );
        let intune = r#"{"ErrorCode":"Forbidden","Message":"{\r\n \"_version\": 3}"}"#;
        for status in [401, 403] {
            assert!(matches!(
                read(status, &with_code("UnknownError", intune)),
                GraphError::AccessDenied(_)
            ));
        }
        for (status, code, message) in [
            (
                403,
                "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
                "Neither tenant is B2C or tenant doesn't have premium license",
            ),
            (
                403,
                "Forbidden",
                "Your tenant is not licensed for this feature.",
            ),
            (
                400,
                "AadPremiumLicenseRequired",
                "The tenant needs to have Microsoft Entra ID P2",
            ),
        ] {
            assert!(
                matches!(
                    read(status, &with_code(code, message)),
                    GraphError::NotLicensed(_)
                ),
                "{code}"
            );
        }
        let absent = read(
            400,
            &with_code("BadRequest", "Request not applicable to target tenant."),
        );
        assert!(matches!(absent, GraphError::NotApplicable(_)));
        assert!(matches!(
            read(400, &with_code("BadRequest", "Bad filter.")),
            GraphError::Refused(_)
        ));
        assert!(matches!(
            read(403, &with_code("Forbidden", "No.")),
            GraphError::AccessDenied(_)
        ));
    }

    #[test]
    fn r15_all_shapes_of_an_expired_delta_link_ask_for_a_resync() {
        for (status, body) in [
            (410, with_code("syncStateNotFound", "")),
            (410, with_code("resyncRequired", "")),
            (410, String::new()),
            (404, with_code("SyncStateNotFound", "")),
            (400, with_code("SYNCSTATENOTFOUND", "")),
            (
                400,
                with_code(
                    "Request_UnsupportedQuery",
                    "DeltaLink older than 30 days is not supported.",
                ),
            ),
        ] {
            assert!(
                matches!(read(status, &body), GraphError::ResyncRequired),
                "{status} {body}"
            );
        }
        let bad_query = with_code(
            "Request_UnsupportedQuery",
            "Unsupported property filter clause.",
        );
        assert!(matches!(read(400, &bad_query), GraphError::Refused(_)));
        let by_link = GraphError::from_answer(400, bad_query.as_bytes(), true);
        assert!(matches!(by_link, GraphError::ResyncRequired));
        assert!(matches!(
            read(500, &with_code("syncStateNotFound", "")),
            GraphError::Unavailable { .. }
        ));
    }

    #[test]
    fn inner_errors_are_walked_and_the_most_specific_known_code_wins() {
        let body = r#"{"error":{"code":"generalException","message":"Outer.","innererror":{"code":"429","innerError":{"code":"insufficient_claims","message":"in","request-id":"r-1"}}}}"#;
        let GraphError::ClaimsChallenge(refusal) = read(403, body) else {
            panic!("not a challenge")
        };
        assert_eq!(refusal.code, "insufficient_claims");
        assert_eq!(refusal.message, "Outer.");
        assert_eq!(refusal.request_id.as_deref(), Some("r-1"));
        let empty_code = r#"{"error":{"code":"","message":"m","innerError":{"code":"odd"}}}"#;
        let GraphError::Refused(refusal) = read(418, empty_code) else {
            panic!("not refused")
        };
        assert_eq!(refusal.code, "odd");
        assert_eq!(refusal.named(), "odd");
    }

    #[test]
    fn a_refusal_without_a_code_is_named_by_its_status() {
        for body in ["", r#"{"error":{"code":"","message":"m"}}"#] {
            let GraphError::AccessDenied(refusal) = read(403, body) else {
                panic!("not denied")
            };
            assert_eq!(refusal.named(), "status 403");
        }
    }

    #[test]
    fn r11_bodies_that_are_no_error_body_do_no_harm() {
        let deep = format!(
            "{}{}",
            r#"{"error":{"innerError":"#.repeat(60),
            "}}".repeat(60)
        );
        for body in [
            "",
            "<html>Bad gateway</html>",
            "null",
            "[]",
            "7",
            r#"{"error":null}"#,
            r#"{"error":"x"}"#,
            &deep,
            "\u{0}",
        ] {
            assert!(matches!(
                read(502, body),
                GraphError::Unavailable {
                    status: Some(502),
                    source: None
                }
            ));
            assert!(matches!(read(403, body), GraphError::AccessDenied(_)));
            assert!(matches!(
                read(451, body),
                GraphError::Refused(Refusal { status: 451, .. })
            ));
        }
        let long = with_code("x", &"é\r\n".repeat(100_000));
        let GraphError::Refused(refusal) = read(400, &long) else {
            panic!("not refused")
        };
        assert!(refusal.message.len() <= MESSAGE_LIMIT && !refusal.message.contains('\n'));
        assert!(!format!("{refusal:?}").contains('é'));
    }

    #[test]
    fn a_challenge_is_told_from_an_ended_token() {
        let ended = with_code(
            "InvalidAuthenticationToken",
            "Access token has expired or is not yet valid.",
        );
        assert!(matches!(read(401, &ended), GraphError::Unauthorized(_)));
        let challenge = with_code(
            "InvalidAuthenticationToken",
            "Continuous access evaluation resulted in challenge with result: InteractionRequired",
        );
        assert!(matches!(
            read(401, &challenge),
            GraphError::ClaimsChallenge(_)
        ));
        assert!(matches!(
            read(404, &with_code("MailboxNotEnabledForRESTAPI", "x")),
            GraphError::NotFound(_)
        ));
    }
}
