//! A small HTTP server for unit tests: it answers by a script and remembers what it was asked.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _value)| known.eq_ignore_ascii_case(name));
        found.map(|(_name, value)| value.as_str())
    }

    /// A field of a form body.
    pub fn field(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .find(|(known, _value)| known == name)
            .map(|(_name, value)| value.into_owned())
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Status, headers, body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The bytes as they are, then the end of the connection.
    Raw(Vec<u8>),
    /// Nothing more, with the connection left open.
    Silence(Vec<u8>),
    /// The end of the connection.
    HangUp,
}

impl Answer {
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self::Full(status, Vec::new(), body.to_string().into_bytes())
    }

    pub fn with(self, name: &'static str, value: impl ToString) -> Self {
        match self {
            Self::Full(status, mut headers, body) => {
                headers.push((name, value.to_string()));
                Self::Full(status, headers, body)
            }
            Self::Raw(_) | Self::Silence(_) | Self::HangUp => self,
        }
    }
}

type Script = dyn Fn(&Seen, usize) -> Answer + Send + Sync;

/// The running server; it ends with the test's runtime.
pub(crate) struct ScriptedServer {
    pub origin: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl ScriptedServer {
    /// Starts on a free port. The script gets each request and how many there were before it.
    pub async fn start(script: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let seen = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { origin, log }
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// What was asked below a path.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|seen| seen.target.starts_with(path))
            .collect()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Seen>>>) {
    let Some(seen) = read_request(&mut stream).await else {
        return;
    };
    let answer = {
        let mut log = log.lock().unwrap();
        let answer = script(&seen, log.len());
        log.push(seen);
        answer
    };
    match answer {
        Answer::Full(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
            head.push_str(&format!("content-length: {}\r\n", body.len()));
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            let _gone = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        }
        Answer::Raw(bytes) => {
            let _gone = stream.write_all(&bytes).await;
        }
        Answer::Silence(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Answer::HangUp => {}
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut seen = Seen {
        method,
        target,
        headers,
        body: String::new(),
    };
    let length: usize = seen
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = String::from_utf8(bytes[head_end + 4..].to_vec()).ok()?;
    Some(seen)
}
