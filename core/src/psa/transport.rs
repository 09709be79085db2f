//! The way out that adapters are given: address rules, limits and the clock.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tenantry_psa::{Limits, Reply, Request, Transport, TransportError};
use tokio::time::Instant;

use super::{gate::Gate, urgency};
use crate::{
    clock::Clock,
    outbound::{GuardedOutbound, OutboundError, Upstream, read_capped},
};

/// The way out of one connection.
pub(super) struct PsaTransport {
    pub(super) outbound: GuardedOutbound,
    pub(super) gate: Arc<Gate>,
    pub(super) clock: Clock,
}

impl PsaTransport {
    async fn exchange(&self, request: Request) -> Result<Reply, TransportError> {
        // An address that is refused costs nothing of the budget.
        if !self.outbound.policy().allows(&request.url) {
            return Err(TransportError::AddressRefused);
        }
        let urgency = urgency::present();
        let begun = Instant::now();
        let turn = self.gate.turn(urgency, request.endpoint).await;
        self.outbound
            .count_throttled(Upstream::Psa, begun.elapsed());
        let _turn = turn.map_err(|none| TransportError::NoBudget {
            seconds: none.seconds,
        })?;
        let most = request.most_bytes;
        let mut sent = reqwest::Request::new(request.method, request.url);
        *sent.headers_mut() = request.headers;
        for value in sent.headers_mut().values_mut() {
            value.set_sensitive(true);
        }
        if !request.body.is_empty() {
            *sent.body_mut() = Some(request.body.into());
        }
        *sent.timeout_mut() = Some(urgency.exchange());
        let answer = self.outbound.execute(Upstream::Psa, sent).await;
        let response = answer.map_err(failure)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_capped(response, most).await.map_err(failure)?;
        Ok(Reply {
            status,
            headers,
            body,
        })
    }
}

impl Transport for PsaTransport {
    fn send<'a>(&'a self, request: Request) -> BoxFuture<'a, Result<Reply, TransportError>> {
        Box::pin(self.exchange(request))
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn set_limits(&self, limits: Limits) {
        self.gate.set_limits(limits);
    }

    fn pause(&self, seconds: u64) {
        self.gate.pause(seconds);
    }
}

/// What a failed exchange is for an adapter. The cause stands in the log of whoever debugs; it has no
/// address in it.
fn failure(error: OutboundError) -> TransportError {
    tracing::debug!(
        %error,
        "no answer from a PSA"
    );
    match error {
        OutboundError::TargetRefused => TransportError::AddressRefused,
        OutboundError::Build(_) | OutboundError::NotConnected(_) => TransportError::NotConnected,
        OutboundError::TimedOut(_) | OutboundError::Interrupted(_) => TransportError::NoAnswer,
        OutboundError::TooLarge { .. } => TransportError::TooLarge,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, header};
    use url::Url;

    use super::*;
    use crate::{
        outbound::{Limits as Times, TargetPolicy},
        scripted_server::{Answer, ScriptedServer},
    };

    fn transport(loopback: bool) -> PsaTransport {
        let policy = TargetPolicy::new(loopback, Vec::new());
        PsaTransport {
            outbound: GuardedOutbound::new(Times::default(), policy).unwrap(),
            gate: Arc::default(),
            clock: Clock::system(),
        }
    }

    fn request(url: &str) -> Request {
        let mut request = Request::new(Method::POST, Url::parse(url).unwrap(), "Companies");
        request
            .headers
            .insert(header::AUTHORIZATION, "Basic canary".parse().unwrap());
        request.body = b"canary".to_vec();
        request
    }

    #[tokio::test]
    async fn a_request_goes_out_as_it_is_and_its_answer_comes_back_whole() {
        let server = ScriptedServer::start(|_seen, _before| {
            Answer::json(404, "gone").with("link", "<x>; rel=\"next\"")
        })
        .await;
        let reply = transport(true).send(request(&server.origin)).await.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (404, &b"gone"[..]));
        assert_eq!(reply.headers.get("link").unwrap(), "<x>; rel=\"next\"");
        let seen = &server.seen()[0];
        assert_eq!(
            (seen.method.as_str(), seen.body.as_str()),
            ("POST", "canary")
        );
        assert_eq!(seen.header("authorization"), Some("Basic canary"));
    }

    #[tokio::test]
    async fn n4_no_address_outside_the_rules_ever_sees_credentials() {
        let server = ScriptedServer::start(|_seen, _before| Answer::json(200, "")).await;
        for url in [
            server.origin.as_str(),
            "https://10.0.0.1/",
            "http://psa.example/",
            "https://169.254.169.254/",
        ] {
            let refused = transport(false).send(request(url)).await;
            assert_eq!(refused.err(), Some(TransportError::AddressRefused), "{url}");
        }
        assert!(server.seen().is_empty());
    }

    #[tokio::test]
    async fn n6_nothing_of_an_answer_or_a_request_shows() {
        let server = ScriptedServer::start(|_seen, _before| {
            Answer::json(200, "internal canary").with("x-internal", "canary")
        })
        .await;
        let sent = request(&server.origin);
        assert!(!format!("{sent:?}").contains("canary"));
        let reply = transport(true).send(sent).await.unwrap();
        assert!(!format!("{reply:?}").contains("canary"), "{reply:?}");
        let mut small = request(&server.origin);
        small.most_bytes = 3;
        let error = transport(true).send(small).await.unwrap_err();
        assert_eq!(error, TransportError::TooLarge);
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[tokio::test]
    async fn what_was_surely_not_sent_is_told_from_what_may_have_been() {
        let closed = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            format!("http://{}/", listener.local_addr().unwrap())
        };
        let refused = transport(true).send(request(&closed)).await;
        assert_eq!(refused.err(), Some(TransportError::NotConnected));
        let server = ScriptedServer::start(|_seen, _before| Answer::HangUp).await;
        let lost = transport(true).send(request(&server.origin)).await;
        assert_eq!(lost.err(), Some(TransportError::NoAnswer));
    }
}
