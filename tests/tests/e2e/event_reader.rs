//! Reads server-sent events as a browser's `EventSource` does.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt as _};
use reqwest::header::HeaderMap;
use serde_json::Value;
use tenantry_tests::app::Caller;

/// An open stream.
pub struct EventReader {
    chunks: Pin<Box<dyn Stream<Item = reqwest::Result<Vec<u8>>> + Send>>,
    rest: String,
    pub headers: HeaderMap,
    /// What to come back with.
    pub last_id: String,
}

impl EventReader {
    pub async fn open(caller: &Caller, path: &str) -> Self {
        Self::open_after(caller, path, "").await
    }

    /// Comes back with the id of the last event.
    pub async fn open_after(caller: &Caller, path: &str, last_id: &str) -> Self {
        let mut request = caller.request("GET", path);
        if !last_id.is_empty() {
            request = request.header("last-event-id", last_id);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200);
        Self {
            headers: answer.headers().clone(),
            chunks: Box::pin(
                answer
                    .bytes_stream()
                    .map(|chunk| chunk.map(|bytes| bytes.to_vec())),
            ),
            rest: String::new(),
            last_id: last_id.to_owned(),
        }
    }

    /// The document of the next event.
    pub async fn next(&mut self) -> Value {
        loop {
            let block = self.block().await.expect("an open stream");
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let Some(id) = field("id: ") {
                id.clone_into(&mut self.last_id);
            }
            if let Some(data) = field("data: ") {
                assert_eq!(field("event: "), Some("status"), "{block}");
                return serde_json::from_str(data).expect("a document");
            }
        }
    }

    /// What is left before the stream ends by itself.
    pub async fn rest(&mut self) -> String {
        let mut rest = String::new();
        while let Some(block) = self.block().await {
            rest.push_str(&block);
        }
        rest
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, later)) = self.rest.split_once("\n\n") {
                let (block, later) = (block.to_owned(), later.to_owned());
                self.rest = later;
                return Some(block);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(60), self.chunks.next()).await;
            let chunk = chunk.expect("an event or the end in time")?;
            let text = String::from_utf8(chunk.expect("bytes")).expect("text");
            self.rest.push_str(&text);
        }
    }
}
