//! What the stand-ins' own tests need: a plain client, a receiver of webhooks, and the shapes of examples.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

/// A client that trusts nothing and follows nothing.
#[expect(
    clippy::disallowed_methods,
    reason = "the ban guards the product's outgoing calls; this is a test"
)]
pub fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// An answer, read whole.
pub struct Got {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

pub async fn send(request: reqwest::RequestBuilder) -> Got {
    let response = request.send().await.unwrap();
    Got {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// Receives webhooks and answers 200.
pub struct Receiver {
    pub url: String,
    calls: mpsc::UnboundedReceiver<Received>,
}

/// A webhook that came.
pub struct Received {
    pub target: String,
    /// In lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/7c1e", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let mut chunk = [0; 4096];
                    loop {
                        let read = socket.read(&mut chunk).await.unwrap_or(0);
                        if read == 0 {
                            return;
                        }
                        bytes.extend_from_slice(&chunk[..read]);
                        if let Some(received) = parse(&bytes) {
                            let _ = sender.send(received);
                            bytes.clear();
                            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                            socket.write_all(answer).await.unwrap();
                        }
                    }
                });
            }
        });
        Self { url, calls }
    }

    pub async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(Duration::from_secs(20), self.calls.recv());
        next.await.expect("a webhook").unwrap()
    }

    /// Nothing came.
    pub fn is_quiet(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }
}

fn parse(bytes: &[u8]) -> Option<Received> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let body = &bytes[end + 4..];
    (body.len() >= length).then(|| Received {
        target,
        headers,
        body: body[..length].to_vec(),
    })
}

/// The recorded examples of a PSA, where `TENANTRY_EXAMPLES` names the folder beside theirs.
pub fn example(psa: &str, file: &str) -> Option<Value> {
    let graph = PathBuf::from(std::env::var_os("TENANTRY_EXAMPLES")?);
    let path = graph.parent()?.join("psa-examples").join(psa).join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).unwrap())
}

/// Fails unless the answer has every member of this shape, with the same kind of value; null fits all.
#[track_caller]
pub fn assert_shape(shape: &Value, actual: &Value) {
    let mut misfits = Vec::new();
    fit(shape, actual, "", &mut misfits);
    assert!(misfits.is_empty(), "{misfits:?}\n{actual:#}");
}

/// The same, and for the recorded example of that name where the examples are there.
#[track_caller]
pub fn assert_fits(psa: &str, file: &str, shape: &Value, actual: &Value) {
    assert_shape(shape, actual);
    if let Some(example) = example(psa, file) {
        println!("{psa}/{file}");
        assert_shape(&example, actual);
    }
}

fn fit(shape: &Value, actual: &Value, path: &str, misfits: &mut Vec<String>) {
    match (shape, actual) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(shape), Value::Object(actual)) => {
            for (name, inner) in shape {
                let path = format!("{path}/{name}");
                match actual.get(name) {
                    Some(found) => fit(inner, found, &path, misfits),
                    None => misfits.push(format!("{path} is missing")),
                }
            }
        }
        (Value::Array(shape), Value::Array(actual)) => {
            for inner in shape {
                let best = actual
                    .iter()
                    .map(|found| {
                        let mut misfits = Vec::new();
                        fit(inner, found, &format!("{path}[]"), &mut misfits);
                        misfits
                    })
                    .min_by_key(Vec::len);
                match best {
                    Some(best) => misfits.extend(best),
                    None => misfits.push(format!("{path} has no entry")),
                }
            }
        }
        (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => {}
        _ => misfits.push(format!("{path} is {actual} and not like {shape}")),
    }
}
