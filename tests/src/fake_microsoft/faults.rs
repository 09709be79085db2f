//! Scripted faults: which requests go wrong, how, and how often. Used by all three servers.

use std::{
    future::Future,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpResponse,
    body::{BoxBody, MessageBody, SizedStream, to_bytes},
    http::{StatusCode, header},
    web::Bytes,
};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use uuid::Uuid;

/// How an answer goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error status instead of the answer. Without a body: one in Graph's shape.
    Status {
        status: u16,
        retry_after: Option<String>,
        body: Option<String>,
    },
    /// The request is never answered.
    Hang,
    /// The connection ends before a byte is answered; the request is not carried out.
    Reset,
    /// The connection ends after this many bytes of the body, short of its Content-Length.
    Truncate(usize),
    /// 200 with this `text/html` body.
    Garbage(String),
    /// 200 with this JSON body.
    Json(Value),
    /// The page's nextLink (or deltaLink) is replaced by this.
    NextLink(String),
    /// The page is empty and has a nextLink to where it would have begun.
    EmptyPages,
    /// The list ends after this many items and looks complete.
    ShortList(usize),
    /// The request is carried out, then the connection ends without an answer.
    DropAfterEffect,
    /// The delta token has expired, in one of the three shapes seen (1, 2 or 3):
    /// 410 with Location, 404 with the code alone, 400 that names the delta link.
    ExpiredDelta(u8),
    /// A page of a delta round repeats its items, out of order.
    ReplayDelta,
    /// The body trickles.
    Slow { millis_per_kb: u64 },
    /// Exactly these bytes, with these headers.
    Raw {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
}

/// Which requests a fault hits.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// `login`, `graph` or `reports`.
    pub server: &'static str,
    /// Part of the path and query as sent, or of its percent-decoded form. Items of a `$batch` count
    /// as requests to `/v1.0` and their url.
    pub path_contains: String,
    /// Only this tenant's requests.
    pub tenant: Option<Uuid>,
    /// So many matching requests pass first.
    pub skip: u32,
    /// So many are hit then; `u32::MAX` is all.
    pub times: u32,
    pub fault: Fault,
}

impl FaultRule {
    /// Hits the first matching request, of whichever tenant.
    pub fn once(server: &'static str, path: &str, fault: Fault) -> Self {
        Self {
            server,
            path_contains: path.to_owned(),
            tenant: None,
            skip: 0,
            times: 1,
            fault,
        }
    }
}

/// The rules in force.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Vec<Scripted>>,
}

struct Scripted {
    rule: FaultRule,
    fired: bool,
}

impl Faults {
    /// Adds a rule. Of several that match, the first with something left is played.
    pub fn script(&self, rule: FaultRule) {
        let fired = false;
        let mut rules = self.rules.lock().expect("fault rules");
        rules.push(Scripted { rule, fired });
    }

    /// Drops all rules.
    pub fn clear(&self) {
        self.rules.lock().expect("fault rules").clear();
    }

    /// The fault to play for this request, counted as played.
    pub fn take(&self, server: &str, path_and_query: &str, tenant: Option<Uuid>) -> Option<Fault> {
        let mut rules = self.rules.lock().expect("fault rules");
        let decoded = if rules.is_empty() {
            String::new()
        } else {
            percent_decoded(path_and_query)
        };
        for scripted in rules.iter_mut() {
            let rule = &mut scripted.rule;
            let part = rule.path_contains.as_str();
            let matches = rule.server == server
                && rule.times > 0
                && (rule.tenant.is_none() || rule.tenant == tenant)
                && (path_and_query.contains(part) || decoded.contains(part));
            if !matches {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.times != u32::MAX {
                rule.times -= 1;
            }
            scripted.fired = true;
            return Some(rule.fault.clone());
        }
        None
    }

    /// Rules with something left to play (those for all requests: that never played).
    /// A test that leaves one did not test what it meant to.
    pub fn unread(&self) -> Vec<FaultRule> {
        let rules = self.rules.lock().expect("fault rules");
        let left = rules
            .iter()
            .filter(|scripted| match scripted.rule.times {
                u32::MAX => !scripted.fired,
                times => times > 0,
            })
            .map(|scripted| scripted.rule.clone());
        left.collect()
    }
}

/// Plays a fault around an answer. Those that change what a Graph page says (`NextLink`,
/// `EmptyPages`, `ShortList`, `ExpiredDelta`, `ReplayDelta`) are left to the Graph server.
pub async fn play(
    fault: Option<Fault>,
    answer: impl Future<Output = HttpResponse>,
) -> HttpResponse {
    match fault {
        None
        | Some(
            Fault::NextLink(_)
            | Fault::EmptyPages
            | Fault::ShortList(_)
            | Fault::ExpiredDelta(_)
            | Fault::ReplayDelta,
        ) => answer.await,
        Some(Fault::Status {
            status,
            retry_after,
            body,
        }) => status_answer(status, retry_after.as_deref(), body),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Reset) => reset(),
        Some(Fault::DropAfterEffect) => {
            drop(answer.await);
            reset()
        }
        Some(Fault::Truncate(bytes)) => truncated(answer.await, bytes).await,
        Some(Fault::Garbage(html)) => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .body(html),
        Some(Fault::Json(value)) => HttpResponse::Ok().json(value),
        Some(Fault::Slow { millis_per_kb }) => slow(answer.await, millis_per_kb).await,
        Some(Fault::Raw {
            status,
            headers,
            body,
        }) => raw(status, &headers, body),
    }
}

/// The body of a status fault that names none.
pub fn default_body(status: u16) -> String {
    let (code, message) = match status {
        401 => (
            "InvalidAuthenticationToken",
            "Access token has expired or is not yet valid.",
        ),
        403 => (
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ),
        429 => ("TooManyRequests", "Please retry again later."),
        503 => ("serviceNotAvailable", "The service is unavailable."),
        _ => ("UnknownError", ""),
    };
    let id = Uuid::new_v4();
    let inner = json!({"date": "2026-11-20T10:00:00", "request-id": id, "client-request-id": id});
    json!({"error": {"code": code, "message": message, "innerError": inner}}).to_string()
}

fn status_answer(status: u16, retry_after: Option<&str>, body: Option<String>) -> HttpResponse {
    let body = body.unwrap_or_else(|| default_body(status));
    let kind = if body.starts_with('{') {
        "application/json"
    } else {
        "text/html"
    };
    let status = StatusCode::from_u16(status).expect("a status code");
    let mut response = HttpResponse::build(status);
    if let Some(wait) = retry_after {
        response.insert_header((header::RETRY_AFTER, wait));
    }
    response.content_type(kind).body(body)
}

fn raw(status: u16, headers: &[(String, String)], body: Vec<u8>) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("a status code");
    let mut response = HttpResponse::build(status);
    for (name, value) in headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    response.body(body)
}

/// An answer whose connection ends before its first byte: the failing body is polled before the
/// head is flushed.
pub fn reset() -> HttpResponse {
    let broken: Cut = Cut::new(Bytes::new());
    HttpResponse::Ok().body(SizedStream::new(1, broken))
}

/// The answer with its true Content-Length and only the first `bytes` of its body.
pub async fn truncated(response: HttpResponse, bytes: usize) -> HttpResponse {
    let (head, body) = whole(response).await;
    let kept = body.slice(..bytes.min(body.len()));
    let length = u64::try_from(body.len().max(1)).expect("a length");
    head.set_body(BoxBody::new(SizedStream::new(length, Cut::new(kept))))
}

/// The answer with a body that comes in small pieces.
pub async fn slow(response: HttpResponse, millis_per_kb: u64) -> HttpResponse {
    let (head, body) = whole(response).await;
    let length = u64::try_from(body.len()).expect("a length");
    // A piece every 100 ms or so, but never less than a byte.
    let piece = (100 * 1024 / millis_per_kb.max(1)).clamp(1, 1024);
    let pause = Duration::from_micros(millis_per_kb * 1000 * piece / 1024);
    let piece = usize::try_from(piece).expect("a small number");
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = rest.split_to(piece.min(rest.len()));
        Some((Ok::<_, std::io::Error>(next), rest))
    });
    head.set_body(BoxBody::new(SizedStream::new(length, Box::pin(pieces))))
}

async fn whole(response: HttpResponse) -> (HttpResponse<()>, Bytes) {
    let (head, body) = response.into_parts();
    debug_assert!(body.size() != actix_web::body::BodySize::Stream);
    let bytes = to_bytes(body).await.unwrap_or_default();
    (head, bytes)
}

/// Gives its bytes, lets the connection flush them, then fails.
struct Cut {
    bytes: Bytes,
    pauses: u8,
}

impl Cut {
    fn new(bytes: Bytes) -> Self {
        let pauses = if bytes.is_empty() { 0 } else { 8 };
        Self { bytes, pauses }
    }
}

impl Stream for Cut {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.bytes.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.bytes))));
        }
        if self.pauses > 0 {
            self.pauses -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "scripted fault");
        Poll::Ready(Some(Err(error)))
    }
}

/// The text with its percent escapes resolved; bytes that are not UTF-8 become U+FFFD.
pub fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, skip: u32, times: u32) -> FaultRule {
        let path_contains = path.to_owned();
        FaultRule {
            server: "graph",
            path_contains,
            tenant: None,
            skip,
            times,
            fault: Fault::Hang,
        }
    }

    #[test]
    fn rules_skip_then_play_their_number_of_times_and_report_what_is_left() {
        let faults = Faults::default();
        faults.script(rule("$select", 1, 2));
        assert!(
            faults
                .take("graph", "/v1.0/users?%24select=id", None)
                .is_none()
        );
        assert!(
            faults
                .take("login", "/v1.0/users?$select=id", None)
                .is_none()
        );
        assert!(
            faults
                .take("graph", "/v1.0/users?%24select=id", None)
                .is_some()
        );
        assert_eq!(faults.unread().len(), 1);
        assert!(
            faults
                .take("graph", "/v1.0/users?$select=id", None)
                .is_some()
        );
        assert!(
            faults
                .take("graph", "/v1.0/users?$select=id", None)
                .is_none()
        );
        assert!(faults.unread().is_empty());
    }

    #[test]
    fn a_rule_for_all_requests_counts_as_read_once_it_played() {
        let faults = Faults::default();
        faults.script(rule("/users", 0, u32::MAX));
        assert_eq!(faults.unread().len(), 1);
        assert!(faults.take("graph", "/v1.0/users", None).is_some());
        assert!(faults.unread().is_empty());
    }
}
