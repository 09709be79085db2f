//! The way out to addresses that a user can name.

use std::{error::Error as _, sync::Arc, time::Instant};

use reqwest::{Client, Request, Response};

use super::{
    Limits, OutboundError, Upstream, builder,
    names::{CheckedNames, ForbiddenAddress, Names, SystemNames},
    outcome_of,
    policy::{Reach, TargetPolicy},
};
use crate::measures::Measures;

/// An HTTP client for addresses that a user can name. Every request is checked by the policy, every new
/// connection dials only addresses that were checked for it; never through a proxy, which would look names
/// up by itself. Redirects come back as answers. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct GuardedOutbound {
    remote: Client,
    local: Client,
    policy: TargetPolicy,
    measures: Arc<Measures>,
}

impl GuardedOutbound {
    /// Builds the client. Do it once at start: without the system's certificate authorities it fails.
    ///
    /// # Errors
    /// [`OutboundError::Build`].
    pub fn new(limits: Limits, policy: TargetPolicy) -> Result<Self, OutboundError> {
        Self::with_names(limits, policy, Arc::new(SystemNames))
    }

    /// The same with names from elsewhere: for tests.
    ///
    /// # Errors
    /// [`OutboundError::Build`].
    pub fn with_names(
        limits: Limits,
        policy: TargetPolicy,
        names: Arc<dyn Names>,
    ) -> Result<Self, OutboundError> {
        let build = |reach| {
            let checked = CheckedNames {
                names: Arc::clone(&names),
                policy: policy.clone(),
                reach,
            };
            let client = builder(limits).no_proxy().dns_resolver(Arc::new(checked));
            let client = match reach {
                Reach::Remote => client.https_only(true),
                Reach::Local => client,
            };
            client.build().map_err(OutboundError::from_reqwest)
        };
        Ok(Self {
            remote: build(Reach::Remote)?,
            local: build(Reach::Local)?,
            policy: policy.clone(),
            measures: Arc::default(),
        })
    }

    /// The same client, which counts there what it sends.
    pub fn with_measures(self, measures: Arc<Measures>) -> Self {
        Self { measures, ..self }
    }

    /// The rules about addresses.
    pub fn policy(&self) -> &TargetPolicy {
        &self.policy
    }

    /// Counts a wait for an upstream's limits.
    pub(crate) fn count_throttled(&self, upstream: Upstream, wait: std::time::Duration) {
        self.measures.throttled(upstream, wait);
    }

    /// Sends a request to an allowed address, counts it as one to this upstream, and returns the head
    /// of the answer.
    ///
    /// # Errors
    /// See [`OutboundError`]; an HTTP error status is an answer, not an error.
    pub async fn execute(
        &self,
        upstream: Upstream,
        request: Request,
    ) -> Result<Response, OutboundError> {
        let client = match self.policy.reach(request.url()) {
            Ok(Reach::Remote) => &self.remote,
            Ok(Reach::Local) => &self.local,
            Err(_refused) => return Err(OutboundError::TargetRefused),
        };
        let begun = Instant::now();
        let answer = client.execute(request).await.map_err(|error| {
            if is_forbidden(&error) {
                OutboundError::TargetRefused
            } else {
                OutboundError::from_reqwest(error)
            }
        });
        if let Some(outcome) = outcome_of(&answer) {
            self.measures.requested(upstream, outcome, begun.elapsed());
        }
        answer
    }
}

impl std::fmt::Debug for GuardedOutbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuardedOutbound")
    }
}

/// Whether the look-up of the name refused its addresses.
fn is_forbidden(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(deeper) = cause {
        if deeper.is::<ForbiddenAddress>() {
            return true;
        }
        cause = deeper.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        io,
        net::IpAddr,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        time::Duration,
    };

    use futures_util::future::BoxFuture;
    use reqwest::Method;
    use tokio::net::TcpListener;
    use url::Url;

    use super::*;
    use crate::scripted_server::{Answer, ScriptedServer};

    /// A name server of an attacker: another answer each time, the last one for ever.
    struct Fickle {
        answers: Mutex<VecDeque<Vec<IpAddr>>>,
        asked: AtomicUsize,
    }

    impl Fickle {
        fn new(answers: &[&[&str]]) -> Arc<Self> {
            let parsed = answers.iter().map(|answer| {
                let addresses = answer.iter().map(|text| text.parse().unwrap());
                addresses.collect()
            });
            Arc::new(Self {
                answers: Mutex::new(parsed.collect()),
                asked: AtomicUsize::new(0),
            })
        }
    }

    impl Names for Fickle {
        fn look_up(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            self.asked.fetch_add(1, SeqCst);
            let mut answers = self.answers.lock().unwrap();
            let answer = if answers.len() > 1 {
                answers.pop_front().unwrap()
            } else {
                answers[0].clone()
            };
            Box::pin(async move { Ok(answer) })
        }
    }

    fn impatient() -> Limits {
        Limits {
            connect: Duration::from_millis(300),
            idle_read: Duration::from_millis(300),
            total: Duration::from_secs(2),
        }
    }

    fn get(url: &str) -> Request {
        Request::new(Method::GET, Url::parse(url).unwrap())
    }

    /// What becomes of a request to a name with these addresses, one answer for each request.
    async fn outcomes(policy: TargetPolicy, url: &str, answers: &[&[&str]]) -> Vec<OutboundError> {
        let names = Fickle::new(answers);
        let outbound = GuardedOutbound::with_names(impatient(), policy, names.clone()).unwrap();
        let mut outcomes = Vec::new();
        for _ in answers {
            outcomes.push(outbound.execute(Upstream::Psa, get(url)).await.unwrap_err());
        }
        assert_eq!(names.asked.load(SeqCst), answers.len());
        outcomes
    }

    #[tokio::test]
    async fn n2_private_mixed_and_disguised_answers_are_never_dialled() {
        // Whoever is dialled would be seen here.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let policy = TargetPolicy::new(true, vec!["psa.example=10.0.0.0/8".parse().unwrap()]);
        let url = format!("https://psa.example:{port}/");
        for answer in [
            &["127.0.0.1"][..],
            &["::1"],
            &["::ffff:127.0.0.1"],
            &["10.0.0.1", "127.0.0.1"],
            &["1.1.1.1", "127.0.0.1"],
            &["64:ff9b::7f00:1"],
            &["169.254.169.254"],
            &["fd00:ec2::254"],
            &["192.168.0.1"],
            &[],
        ] {
            let refused = outcomes(policy.clone(), &url, &[answer]).await;
            assert!(
                matches!(refused.as_slice(), [OutboundError::TargetRefused]),
                "{answer:?}: {refused:?}"
            );
        }
        for answer in [&["10.0.0.1"][..], &["fe80::1"], &["1.1.1.1", "10.0.0.1"]] {
            let refused =
                outcomes(TargetPolicy::default(), "https://other.example/", &[answer]).await;
            assert!(
                matches!(refused.as_slice(), [OutboundError::TargetRefused]),
                "{answer:?}: {refused:?}"
            );
        }
        let dialled = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(dialled.is_err());
    }

    #[tokio::test]
    async fn n2_a_name_that_moves_inside_is_refused_with_its_next_connection() {
        // 192.0.2.0/24 would be refused too: a public address that nobody answers at is wanted.
        let answers: [&[&str]; 3] = [&["1.1.1.1"], &["127.0.0.1"], &["2606:4700::1"]];
        let seen = outcomes(TargetPolicy::default(), "https://psa.example/", &answers).await;
        assert!(!matches!(seen[0], OutboundError::TargetRefused), "{seen:?}");
        assert!(matches!(seen[1], OutboundError::TargetRefused), "{seen:?}");
        assert!(!matches!(seen[2], OutboundError::TargetRefused), "{seen:?}");
    }

    #[tokio::test]
    async fn n2_a_literal_passes_the_same_check_without_a_name() {
        let names = Fickle::new(&[&["1.1.1.1"]]);
        let policy = TargetPolicy::new(true, vec!["10.0.0.0/8".parse().unwrap()]);
        let outbound = GuardedOutbound::with_names(impatient(), policy, names.clone()).unwrap();
        for url in [
            "https://10.0.0.1/",
            "https://8.8.8.8/",
            "http://169.254.169.254/",
            "https://[fd00:ec2::254]/",
        ] {
            let refused = outbound.execute(Upstream::Psa, get(url)).await;
            assert!(
                matches!(refused, Err(OutboundError::TargetRefused)),
                "{url}"
            );
        }
        assert_eq!(names.asked.load(SeqCst), 0);
    }

    #[tokio::test]
    async fn n5_localhost_is_this_machine_or_nothing() {
        let server = ScriptedServer::start(|_seen, _before| Answer::json(200, "")).await;
        let port = server.origin.rsplit(':').next().unwrap().to_owned();
        let url = format!("http://localhost:{port}/");
        let policy = TargetPolicy::new(true, Vec::new());
        let with = |answer: &[&str]| {
            GuardedOutbound::with_names(impatient(), policy.clone(), Fickle::new(&[answer]))
                .unwrap()
        };
        let answered = with(&["127.0.0.1"]).execute(Upstream::Psa, get(&url)).await;
        assert_eq!(answered.unwrap().status().as_u16(), 200);
        let elsewhere = with(&["1.1.1.1"]).execute(Upstream::Psa, get(&url)).await;
        assert!(matches!(elsewhere, Err(OutboundError::TargetRefused)));
        let closed = GuardedOutbound::new(impatient(), TargetPolicy::default()).unwrap();
        let refused = closed.execute(Upstream::Psa, get(&url)).await;
        assert!(matches!(refused, Err(OutboundError::TargetRefused)));
        assert_eq!(server.seen().len(), 1);
    }

    #[tokio::test]
    async fn n3_a_redirect_of_a_psa_comes_back_and_is_not_followed() {
        for (status, place) in [
            (301, "http://169.254.169.254/latest"),
            (302, "https://evil.example/"),
            (307, "/elsewhere"),
            (308, "http://127.0.0.1:1/"),
        ] {
            let server = ScriptedServer::start(move |_seen, _before| {
                Answer::json(status, "").with("location", place)
            })
            .await;
            let policy = TargetPolicy::new(true, Vec::new());
            let outbound = GuardedOutbound::new(impatient(), policy).unwrap();
            let answer = outbound.execute(Upstream::Psa, get(&server.origin)).await;
            assert_eq!(answer.unwrap().status().as_u16(), status);
            assert_eq!(server.seen().len(), 1);
        }
    }
}
