//! A way out for tests: it expects requests, answers them as written, and remembers what was sent.
//!
//! An expectation serves one request; of several that fit, the oldest. A request that none fits ends the
//! test. Time stands still.
//!
//! ```ignore
//! let psa = Scripted::at("2026-06-10T12:00:00Z");
//! psa.expect(get("/api/client").query("page_no", "1").answer(200, json!({"clients": []})));
//! let adapter = open("https://psa.example", credentials(), psa.clone())?;
//! // … use the adapter …
//! psa.finish();
//! assert_eq!(psa.sent()[0].header("authorization"), Some("Bearer x"));
//! ```
//!
//! Its names come from `super`, so that tests outside the crate can take this file in by its path.

use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use url::Url;

use super::{Limits, Reply, Request, Transport, TransportError};

/// What an expectation asks of a request besides method and path.
type Condition = Box<dyn Fn(&Sent) -> bool + Send>;

/// A request that should come, with its answer. Made by [`get`] and its like.
pub struct Expected {
    method: Method,
    path: String,
    told: String,
    conditions: Vec<Condition>,
    answer: Result<(u16, HeaderMap, Vec<u8>), TransportError>,
    always: bool,
}

/// Expects a GET of this path, without the query.
pub fn get(path: &str) -> Expected {
    Expected::new(Method::GET, path)
}

/// Expects a POST to this path.
pub fn post(path: &str) -> Expected {
    Expected::new(Method::POST, path)
}

/// Expects a PATCH of this path.
pub fn patch(path: &str) -> Expected {
    Expected::new(Method::PATCH, path)
}

/// Expects a PUT to this path.
pub fn put(path: &str) -> Expected {
    Expected::new(Method::PUT, path)
}

/// Expects a DELETE of this path.
pub fn delete(path: &str) -> Expected {
    Expected::new(Method::DELETE, path)
}

impl Expected {
    fn new(method: Method, path: &str) -> Self {
        Self {
            told: format!("{method} {path}"),
            method,
            path: path.to_owned(),
            conditions: Vec::new(),
            answer: Ok((200, HeaderMap::new(), Vec::new())),
            always: false,
        }
    }

    /// Only at this host.
    pub fn host(self, host: &str) -> Self {
        let host = host.to_owned();
        self.when(&format!("host {host}"), move |sent| {
            sent.url.host_str() == Some(host.as_str())
        })
    }

    /// Only with this in the query, decoded.
    pub fn query(self, name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.when(&format!("{name}={value}"), move |sent| {
            sent.query(&name).as_deref() == Some(value.as_str())
        })
    }

    /// Only without this in the query.
    pub fn no_query(self, name: &str) -> Self {
        let name = name.to_owned();
        self.when(&format!("no {name}"), move |sent| {
            sent.query(&name).is_none()
        })
    }

    /// Only with this header.
    pub fn header(self, name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.when(&format!("{name}: {value}"), move |sent| {
            sent.header(&name) == Some(value.as_str())
        })
    }

    /// Only with this JSON body.
    pub fn body(self, body: Value) -> Self {
        self.when(&format!("body {body}"), move |sent| sent.json() == body)
    }

    /// Only where this holds; `told` names it in failures.
    pub fn when(mut self, told: &str, holds: impl Fn(&Sent) -> bool + Send + 'static) -> Self {
        self.told.push_str(&format!(" [{told}]"));
        self.conditions.push(Box::new(holds));
        self
    }

    /// Answers with JSON.
    pub fn answer(self, status: u16, body: Value) -> Self {
        self.answer_raw(status, "application/json", body.to_string().into_bytes())
    }

    /// Answers with these bytes.
    pub fn answer_raw(mut self, status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", content_type.parse().expect("a header"));
        self.answer = Ok((status, headers, body.into()));
        self
    }

    /// Answers with this header too. Comes after `answer`.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let (_status, headers, _body) = self.answer.as_mut().expect("an answer");
        let name: HeaderName = name.parse().expect("a header's name");
        headers.append(name, HeaderValue::from_str(value).expect("a header"));
        self
    }

    /// Gives no answer.
    pub fn fail(mut self, error: TransportError) -> Self {
        self.answer = Err(error);
        self
    }

    /// Serves any number of requests, none included.
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }

    fn fits(&self, sent: &Sent) -> bool {
        self.method == sent.method
            && self.path == sent.url.path()
            && self.conditions.iter().all(|holds| holds(sent))
    }
}

/// A request as it was sent.
#[derive(Clone)]
pub struct Sent {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Which list it asks.
    pub endpoint: &'static str,
}

impl Sent {
    /// A value of the query, decoded; none where there is none.
    pub fn query(&self, name: &str) -> Option<String> {
        self.url
            .query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Method and path, for comparing: `GET /api/client`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }
}

struct State {
    expected: Vec<Expected>,
    sent: Vec<Sent>,
    limits: Vec<Limits>,
    pauses: Vec<u64>,
    now: DateTime<Utc>,
}

/// The way out of a test.
pub struct Scripted(Mutex<State>);

impl Scripted {
    /// One whose clock shows this.
    pub fn at(now: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            expected: Vec::new(),
            sent: Vec::new(),
            limits: Vec::new(),
            pauses: Vec::new(),
            now: now.parse().expect("a moment"),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that failed meanwhile has said so already.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Expects one more request.
    pub fn expect(&self, expected: Expected) {
        self.state().expected.push(expected);
    }

    /// Moves the clock to this moment.
    pub fn set_now(&self, now: &str) {
        self.state().now = now.parse().expect("a moment");
    }

    /// All that was sent so far, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    /// Method and path of all that was sent.
    pub fn lines(&self) -> Vec<String> {
        self.state().sent.iter().map(Sent::line).collect()
    }

    /// The limits that were set, in order.
    pub fn limits(&self) -> Vec<Limits> {
        self.state().limits.clone()
    }

    /// The pauses that were asked for, in order.
    pub fn pauses(&self) -> Vec<u64> {
        self.state().pauses.clone()
    }

    /// Fails where an expected request did not come.
    pub fn finish(&self) {
        let left: Vec<String> = self
            .state()
            .expected
            .iter()
            .filter(|expected| !expected.always)
            .map(|expected| expected.told.clone())
            .collect();
        assert!(left.is_empty(), "never asked for: {left:#?}");
    }

    fn reply(&self, request: Request) -> Result<Reply, TransportError> {
        let sent = Sent {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            endpoint: request.endpoint,
        };
        let mut state = self.state();
        let place = state
            .expected
            .iter()
            .position(|expected| expected.fits(&sent));
        state.sent.push(sent.clone());
        let Some(place) = place else {
            let expected: Vec<&str> = state.expected.iter().map(|e| e.told.as_str()).collect();
            panic!(
                "unexpected {} {} {}\nexpected: {expected:#?}",
                sent.method,
                sent.url,
                String::from_utf8_lossy(&sent.body)
            );
        };
        let answer = if state.expected[place].always {
            state.expected[place].answer.clone()
        } else {
            state.expected.remove(place).answer
        };
        answer.map(|(status, headers, body)| Reply {
            status,
            headers,
            body,
        })
    }
}

impl Transport for Scripted {
    fn send<'a>(&'a self, request: Request) -> BoxFuture<'a, Result<Reply, TransportError>> {
        Box::pin(async move { self.reply(request) })
    }

    fn now(&self) -> DateTime<Utc> {
        self.state().now
    }

    fn set_limits(&self, limits: Limits) {
        self.state().limits.push(limits);
    }

    fn pause(&self, seconds: u64) {
        self.state().pauses.push(seconds);
    }
}
