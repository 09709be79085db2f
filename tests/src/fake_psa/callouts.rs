//! Webhooks that a stand-in really calls: to loopback only, in order.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::web::Bytes;
use tokio::sync::mpsc;

/// A webhook to call.
#[derive(Clone, Debug)]
pub struct Callout {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// Pauses before it is tried again.
    pub retries: Vec<Duration>,
    /// Statuses that are tried again; empty: all but 2xx.
    pub retried: &'static [u16],
}

/// How a callout went.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub callout: Callout,
    /// Of the last attempt; none: no answer, or the address is not on loopback.
    pub status: Option<u16>,
    pub attempts: usize,
}

/// Where callouts are handed in.
pub struct Callouts {
    sender: mpsc::UnboundedSender<Callout>,
    done: Arc<Mutex<Vec<Delivery>>>,
}

/// Who carries them out.
pub struct Courier {
    receiver: mpsc::UnboundedReceiver<Callout>,
    done: Arc<Mutex<Vec<Delivery>>>,
}

/// Both ends.
pub fn callouts() -> (Callouts, Courier) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let done = Arc::new(Mutex::new(Vec::new()));
    let callouts = Callouts {
        sender,
        done: Arc::clone(&done),
    };
    (callouts, Courier { receiver, done })
}

impl Callouts {
    /// Calls as soon as those before it were called.
    pub fn call(&self, callout: Callout) {
        // Without a courier the server has stopped, and nobody waits for its calls.
        let _ = self.sender.send(callout);
    }

    /// Those that came to an end, in the order in which they did.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.done.lock().expect("deliveries").clone()
    }
}

impl Courier {
    /// Carries out all callouts. Those that fail are tried again beside the next ones.
    pub async fn deliver_all(mut self) {
        let http = client();
        while let Some(callout) = self.receiver.recv().await {
            let status = attempt(&http, &callout).await;
            let delivery = Delivery {
                callout,
                status,
                attempts: 1,
            };
            if delivery.is_done() || delivery.callout.retries.is_empty() {
                self.done.lock().expect("deliveries").push(delivery);
                continue;
            }
            let (http, done) = (http.clone(), Arc::clone(&self.done));
            actix_web::rt::spawn(async move {
                let delivery = retry(&http, delivery).await;
                done.lock().expect("deliveries").push(delivery);
            });
        }
    }
}

impl Delivery {
    fn is_done(&self) -> bool {
        match self.status {
            Some(status) if self.callout.retried.is_empty() => (200..300).contains(&status),
            Some(status) => !self.callout.retried.contains(&status),
            None => !is_loopback(&self.callout.url),
        }
    }
}

async fn retry(http: &reqwest::Client, mut delivery: Delivery) -> Delivery {
    for pause in delivery.callout.retries.clone() {
        tokio::time::sleep(pause).await;
        delivery.status = attempt(http, &delivery.callout).await;
        delivery.attempts += 1;
        if delivery.is_done() {
            break;
        }
    }
    delivery
}

async fn attempt(http: &reqwest::Client, callout: &Callout) -> Option<u16> {
    if !is_loopback(&callout.url) {
        return None;
    }
    let mut request = http
        .post(&callout.url)
        .timeout(callout.timeout)
        .body(callout.body.clone());
    for (name, value) in &callout.headers {
        request = request.header(*name, value);
    }
    let response = request.send().await.ok()?;
    Some(response.status().as_u16())
}

/// The last part of an address's path, which is secret in those of webhooks.
pub fn last_part(url: &str) -> String {
    let url = url::Url::parse(url).expect("the address of a webhook");
    let mut parts = url.path_segments().expect("a path");
    parts.next_back().unwrap_or_default().to_owned()
}

/// Whether an address is on this machine. Nothing else is ever called.
fn is_loopback(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the ban guards the product's outgoing calls; this is a PSA"
)]
fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_called() {
        for own in [
            "http://127.0.0.1:1/x",
            "http://localhost:8080/",
            "http://[::1]/x",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for other in [
            "https://example.com/",
            "http://10.0.0.1/",
            "x",
            "http://localhost.example/",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
