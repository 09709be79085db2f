//! The way out that an adapter is given: it never builds a client, never waits for a budget and never
//! reads a clock by itself.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use reqwest::{Method, header::HeaderMap};
use url::Url;

/// What is sent. `Debug` shows neither headers nor body: both may hold secrets.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole address. The transport refuses one outside the origins it was made for, see
    /// [`Transport::send`].
    pub url: Url,
    /// Headers, `Authorization` and its like included; the transport marks them as sensitive.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Which of the PSA's lists it asks, where the PSA counts parallel calls by list: `Companies`.
    pub endpoint: &'static str,
    /// The most bytes of an answer that are read.
    pub most_bytes: usize,
}

/// The most bytes of an ordinary answer: a page of 1,000 companies with their custom fields is about 3 MB.
pub const MOST_BYTES: usize = 32 << 20;

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url, endpoint: &'static str) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            endpoint,
            most_bytes: MOST_BYTES,
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// An answer, whatever its status. `Debug` shows the status only.
pub struct Reply {
    /// The HTTP status. Redirects come as they are and are never followed.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The address is not one we may call: scheme, port, a literal or private address, an unlisted origin.
    /// Nothing was sent.
    #[error("the address may not be called")]
    AddressRefused,
    /// No connection: name unknown, refused, TLS failed. Nothing was sent.
    #[error("no connection")]
    NotConnected,
    /// No complete answer in time, or the connection broke. The PSA may have acted.
    #[error("no complete answer")]
    NoAnswer,
    /// The answer is larger than the request allowed. The PSA may have acted.
    #[error("answer too large")]
    TooLarge,
    /// The budget is used up for longer than the caller wants to wait. Nothing was sent.
    #[error("budget used up for {seconds} s")]
    NoBudget {
        /// Until there is some again.
        seconds: u64,
    },
}

/// A number of calls in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The most calls.
    pub calls: u32,
    /// In any span of so many seconds.
    pub seconds: u32,
}

/// What a PSA lets one connection do; the transport keeps to it, for all that use the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls over time; each holds.
    pub windows: Vec<Window>,
    /// Calls at the same time.
    pub parallel: u32,
    /// Calls at the same time to one [`Request::endpoint`]; none: only `parallel` counts.
    pub parallel_per_endpoint: Option<u32>,
}

/// The way out.
pub trait Transport: Send + Sync {
    /// Sends one request when the budget allows, once. The body is read whole.
    fn send<'a>(&'a self, request: Request) -> BoxFuture<'a, Result<Reply, TransportError>>;

    /// The present moment.
    fn now(&self) -> DateTime<Utc>;

    /// The connection's limits changed, or are known now (an adapter may learn them from the PSA).
    fn set_limits(&self, limits: Limits);

    /// The PSA said that nothing is answered for so long: no call of this connection leaves before.
    fn pause(&self, seconds: u64);
}
