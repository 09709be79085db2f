//! The one builder of HTTP clients.
//!
//! Every request that leaves the process goes through [`Outbound`]: TLS by rustls with the system's
//! roots, no redirects, time limits on connecting, on silence and in total, and no plain `http`
//! except to the machine itself. Bodies are read by [`read_capped`], so that an answer can never be
//! larger than its reader allowed.
//!
//! Addresses that a user can name (PSA systems) are called through [`GuardedOutbound`], which looks at
//! where their names lead with every connection.

mod addresses;
mod guarded;
mod names;
mod policy;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, ClientBuilder, Request, Response, redirect::Policy};
use url::{Host, Url};

pub use self::{
    guarded::GuardedOutbound,
    names::{Names, SystemNames},
    policy::{InvalidPrivateUpstream, PrivateUpstream, TargetPolicy, TargetRefused},
};
pub use crate::measures::Upstream;
use crate::measures::{Measures, Outcome};

/// How long an outgoing request may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// Longest silence while an answer is read.
    pub idle_read: Duration,
    /// The whole exchange, unless a request sets its own.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle_read: Duration::from_secs(30),
            total: Duration::from_secs(120),
        }
    }
}

/// Why an outgoing request has no answer. Texts carry no URL: a URL may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The address may not be called: not `https`, or leading to where nothing is called. Nothing was sent.
    #[error("address may not be called")]
    TargetRefused,
    /// The client or the request could not be built. Nothing was sent.
    #[error("request could not be built")]
    Build(#[source] reqwest::Error),
    /// No connection: refused, name unknown, TLS or proxy failed. Nothing was sent.
    #[error("no connection")]
    NotConnected(#[source] reqwest::Error),
    /// No answer, or not all of it, in time. The other side may have acted.
    #[error("no complete answer in time")]
    TimedOut(#[source] reqwest::Error),
    /// The connection broke, or the answer was cut off or spoiled. The other side may have acted.
    #[error("connection lost")]
    Interrupted(#[source] reqwest::Error),
    /// The answer is larger than its reader allowed.
    #[error("answer larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes, after decompression.
        limit: usize,
    },
}

impl OutboundError {
    /// Sorts a failure by what is known about the request.
    fn from_reqwest(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_builder() {
            Self::Build(error)
        } else if error.is_connect() {
            Self::NotConnected(error)
        } else if error.is_timeout() {
            Self::TimedOut(error)
        } else {
            Self::Interrupted(error)
        }
    }

    /// Whether the request surely never reached the other side.
    pub fn nothing_was_sent(&self) -> bool {
        match self {
            Self::TargetRefused | Self::Build(_) | Self::NotConnected(_) => true,
            Self::TimedOut(_) | Self::Interrupted(_) | Self::TooLarge { .. } => false,
        }
    }
}

/// An HTTP client that keeps the rules of this file. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Outbound {
    remote: Client,
    /// For the machine itself: never through a proxy.
    local: Client,
    measures: Arc<Measures>,
}

impl Outbound {
    /// Builds the client. Do it once at start: without the system's certificate authorities it fails.
    ///
    /// # Errors
    /// [`OutboundError::Build`], for example when no certificate authorities are installed.
    pub fn new(limits: Limits) -> Result<Self, OutboundError> {
        Ok(Self {
            remote: build(limits, Reach::Remote)?,
            local: build(limits, Reach::Local)?,
            measures: Arc::default(),
        })
    }

    /// The same client, which counts there what it sends.
    pub fn with_measures(self, measures: Arc<Measures>) -> Self {
        Self { measures, ..self }
    }

    /// Counts a wait that an upstream caused by limiting us.
    pub(crate) fn count_throttled(&self, upstream: Upstream, wait: Duration) {
        self.measures.throttled(upstream, wait);
    }

    /// Sends a request to an allowed address, counts it as one to this upstream, and returns the head
    /// of the answer. Redirects come back as answers.
    ///
    /// # Errors
    /// See [`OutboundError`]; an HTTP error status is an answer, not an error.
    pub async fn execute(
        &self,
        upstream: Upstream,
        request: Request,
    ) -> Result<Response, OutboundError> {
        let client = match target(request.url()) {
            Some(Reach::Remote) => &self.remote,
            Some(Reach::Local) => &self.local,
            None => return Err(OutboundError::TargetRefused),
        };
        let begun = Instant::now();
        let answer = client
            .execute(request)
            .await
            .map_err(OutboundError::from_reqwest);
        if let Some(outcome) = outcome_of(&answer) {
            self.measures.requested(upstream, outcome, begun.elapsed());
        }
        answer
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbound")
    }
}

/// Where an address lies.
#[derive(Clone, Copy)]
enum Reach {
    Remote,
    Local,
}

/// A client with every limit set.
fn builder(limits: Limits) -> ClientBuilder {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that builds HTTP clients, with every limit set"
    )]
    Client::builder()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(limits.connect)
        .read_timeout(limits.idle_read)
        .timeout(limits.total)
        .gzip(true)
        .user_agent(concat!("Tenantry/", env!("CARGO_PKG_VERSION")))
}

fn build(limits: Limits, reach: Reach) -> Result<Client, OutboundError> {
    let builder = builder(limits);
    let builder = match reach {
        Reach::Remote => builder.https_only(true),
        Reach::Local => builder.no_proxy(),
    };
    builder.build().map_err(OutboundError::from_reqwest)
}

/// What a request came to; `None` when there was nothing to send.
fn outcome_of(answer: &Result<Response, OutboundError>) -> Option<Outcome> {
    match answer {
        Ok(response) => Some(Outcome::of_status(response.status().as_u16())),
        Err(
            OutboundError::NotConnected(_)
            | OutboundError::TimedOut(_)
            | OutboundError::Interrupted(_),
        ) => Some(Outcome::Unreachable),
        Err(
            OutboundError::TargetRefused | OutboundError::Build(_) | OutboundError::TooLarge { .. },
        ) => None,
    }
}

fn target(url: &Url) -> Option<Reach> {
    match url.scheme() {
        "https" | "http" if is_loopback(url) => Some(Reach::Local),
        "https" if url.has_host() => Some(Reach::Remote),
        _not_allowed => None,
    }
}

/// Whether a URL's host is this machine: `localhost`, 127.0.0.0/8 or `::1`. Names are not resolved.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// Reads a whole body, at most `limit` bytes of it after decompression.
///
/// # Errors
/// [`OutboundError::TooLarge`] as soon as the limit is passed; the rest is not read.
pub async fn read_capped(mut response: Response, limit: usize) -> Result<Vec<u8>, OutboundError> {
    // A server's claim about the length only sizes the first allocation.
    let claimed = response
        .content_length()
        .and_then(|length| usize::try_from(length).ok());
    if claimed.is_some_and(|length| length > limit) {
        return Err(OutboundError::TooLarge { limit });
    }
    let mut body = Vec::with_capacity(claimed.unwrap_or(0).min(1 << 20));
    while let Some(chunk) = next_chunk(&mut response).await? {
        if body.len().saturating_add(chunk.as_ref().len()) > limit {
            return Err(OutboundError::TooLarge { limit });
        }
        body.extend_from_slice(chunk.as_ref());
    }
    Ok(body)
}

/// Reads the next piece of a body, `None` at its end, for readers that never hold all of it.
///
/// # Errors
/// [`OutboundError::TimedOut`] or [`OutboundError::Interrupted`]: what came so far is not the whole.
pub async fn next_chunk(
    response: &mut Response,
) -> Result<Option<impl AsRef<[u8]> + Send + use<>>, OutboundError> {
    response.chunk().await.map_err(OutboundError::from_reqwest)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use reqwest::Method;

    use super::*;
    use crate::scripted_server::{Answer, ScriptedServer};

    /// 200,000 zero bytes, compressed to next to nothing.
    const GZIP_BOMB: &str = "H4sIAAAAAAACA+3BMQEAAADCoPVPbQZ/oAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACA1wB7WOBcQA0DAA==";

    fn impatient() -> Outbound {
        let limits = Limits {
            connect: Duration::from_secs(5),
            idle_read: Duration::from_millis(100),
            total: Duration::from_secs(5),
        };
        Outbound::new(limits).unwrap()
    }

    fn get(url: &str) -> Request {
        Request::new(Method::GET, Url::parse(url).unwrap())
    }

    async fn fetch(answer: Answer, limit: usize) -> Result<Vec<u8>, OutboundError> {
        let server = ScriptedServer::start(move |_seen, _before| answer.clone()).await;
        let response = impatient()
            .execute(Upstream::Graph, get(&server.origin))
            .await?;
        read_capped(response, limit).await
    }

    #[tokio::test]
    async fn n14_plain_http_reaches_only_this_machine() {
        let outbound = impatient();
        for url in [
            "http://example.com/",
            "http://127.0.0.1.example/",
            "http://10.0.0.1/",
            "ftp://127.0.0.1/",
        ] {
            let refused = outbound.execute(Upstream::Graph, get(url)).await;
            assert!(
                matches!(refused, Err(OutboundError::TargetRefused)),
                "{url}"
            );
        }
        for url in [
            "http://127.0.0.1/",
            "https://[::1]/",
            "http://localhost:1/",
            "https://example.com/",
        ] {
            assert!(target(&Url::parse(url).unwrap()).is_some(), "{url}");
        }
    }

    #[tokio::test]
    async fn n3_redirects_come_back_instead_of_being_followed() {
        for status in [301, 302, 303, 307, 308] {
            let server = ScriptedServer::start(move |_seen, _before| {
                Answer::json(status, "").with("location", "/elsewhere")
            })
            .await;
            let response = impatient()
                .execute(Upstream::Graph, get(&server.origin))
                .await
                .unwrap();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(server.seen().len(), 1);
            assert!(
                server.seen()[0]
                    .header("user-agent")
                    .unwrap()
                    .starts_with("Tenantry/")
            );
        }
    }

    #[tokio::test]
    async fn r12_a_body_is_counted_after_decompression() {
        let bomb = STANDARD.decode(GZIP_BOMB).unwrap();
        let answer = Answer::Full(200, vec![("content-encoding", "gzip".to_owned())], bomb);
        assert_eq!(fetch(answer.clone(), 200_000).await.unwrap().len(), 200_000);
        let refused = fetch(answer, 100_000).await;
        assert!(matches!(
            refused,
            Err(OutboundError::TooLarge { limit: 100_000 })
        ));
        let plain = Answer::json(200, "x".repeat(11));
        assert!(matches!(
            fetch(plain, 10).await,
            Err(OutboundError::TooLarge { limit: 10 })
        ));
    }

    #[tokio::test]
    async fn r10_a_body_cut_off_anywhere_is_no_body() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"value\":[1,2,3,4]} ";
        for length in (0..whole.len()).step_by(3) {
            let cut = fetch(Answer::Raw(whole[..length].to_vec()), 100).await;
            assert!(
                matches!(cut, Err(OutboundError::Interrupted(_))),
                "{length}: {cut:?}"
            );
        }
        assert!(fetch(Answer::Raw(whole.to_vec()), 100).await.is_ok());
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
        let cut = fetch(Answer::Raw(chunked.to_vec()), 100).await;
        assert!(matches!(cut, Err(OutboundError::Interrupted(_))));
    }

    #[tokio::test]
    async fn r9_silence_ends_in_a_time_out() {
        let after_head = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{".to_vec();
        for before in [Vec::new(), after_head] {
            let silent = fetch(Answer::Silence(before), 100).await;
            assert!(
                matches!(silent, Err(OutboundError::TimedOut(_))),
                "{silent:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_was_sent_is_counted_by_what_came_back_and_nothing_else_is() {
        let measures = Arc::new(Measures::default());
        let outbound = impatient().with_measures(Arc::clone(&measures));
        let answers = [
            Answer::json(200, ""),
            Answer::json(429, ""),
            Answer::json(404, ""),
            Answer::json(503, ""),
            Answer::HangUp,
        ];
        let number = answers.len();
        let server = ScriptedServer::start(move |_seen, before| answers[before].clone()).await;
        for _ in 0..number {
            drop(
                outbound
                    .execute(Upstream::Reports, get(&server.origin))
                    .await,
            );
        }
        drop(
            outbound
                .execute(Upstream::Graph, get("http://10.0.0.1/"))
                .await,
        );
        for ([upstream, outcome], number) in measures.requests.read() {
            assert_eq!(
                number,
                u64::from(upstream == "reports"),
                "{upstream} {outcome}"
            );
        }
        let took: u64 = measures
            .request_duration
            .read()
            .map(|(_, spread)| spread.count)
            .sum();
        assert_eq!(took, 5);
    }

    #[tokio::test]
    async fn r8_what_was_surely_not_sent_is_told_from_what_may_have_been() {
        let closed = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            format!("http://{}/?secret=1", listener.local_addr().unwrap())
        };
        let refused = impatient()
            .execute(Upstream::Graph, get(&closed))
            .await
            .unwrap_err();
        assert!(matches!(refused, OutboundError::NotConnected(_)) && refused.nothing_was_sent());
        assert!(!format!("{refused:?}").contains("secret"));
        let lost = fetch(Answer::HangUp, 100).await.unwrap_err();
        assert!(!lost.nothing_was_sent());
    }
}
