//! `POST /$batch`: up to twenty requests in one, each answered on its own and in any order.

use std::collections::{HashMap, HashSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    answer::{Answer, Ids},
    call::Headers,
};
use crate::fake_microsoft::{
    directory::entity::{Members, quoted},
    faults::Fault,
};

/// Most requests in a batch.
const MAX_ITEMS: usize = 20;

/// A request inside a batch.
#[derive(Deserialize)]
pub struct Item {
    id: String,
    pub method: String,
    pub url: String,
    #[serde(default)]
    headers: HashMap<String, String>,
    body: Option<Box<RawValue>>,
    #[serde(default, rename = "dependsOn")]
    depends_on: Vec<String>,
}

#[derive(Deserialize)]
struct Envelope {
    requests: Vec<Item>,
}

impl Item {
    /// The url as a request of its own would have it.
    pub fn path_and_query(&self) -> String {
        format!("/v1.0/{}", self.url.trim_start_matches('/'))
    }

    /// Its headers by their lower-case names.
    pub fn lower_headers(&self) -> Headers {
        let lower = |(name, value): (&String, &String)| (name.to_lowercase(), value.clone());
        self.headers.iter().map(lower).collect()
    }

    /// Its body as sent.
    pub fn body_bytes(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], |body| body.get().as_bytes())
    }
}

/// Reads a batch; the error is why the whole of it is refused.
pub fn parse(body: &[u8]) -> Result<Vec<Item>, String> {
    let envelope: Envelope = serde_json::from_slice(body)
        .map_err(|error| format!("Invalid batch payload format: {error}."))?;
    let items = envelope.requests;
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(format!(
            "Number of batch request steps exceeds the maximum value of {MAX_ITEMS} or is zero."
        ));
    }
    let mut seen = HashSet::new();
    for item in &items {
        if item.id.is_empty() || !seen.insert(item.id.to_lowercase()) {
            return Err(format!("Duplicate or empty request id '{}'.", item.id));
        }
        if item.url.contains("://") {
            return Err("Request urls must be relative to the version.".to_owned());
        }
        let typed = item
            .headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case("content-type"));
        if item.body.is_some() && !typed {
            return Err(format!(
                "Write request id : {} does not contain Content-Type header.",
                item.id
            ));
        }
    }
    let known = |id: &String| seen.contains(&id.to_lowercase());
    if let Some(item) = items.iter().find(|item| !item.depends_on.iter().all(known)) {
        return Err(format!(
            "Request '{}' depends on an unknown request.",
            item.id
        ));
    }
    Ok(items)
}

/// Answers the items in turn and puts the answers in another order.
pub fn answer(items: &[Item], ids: &Ids, mut one: impl FnMut(usize, &Item) -> Answer) -> Answer {
    let mut failed: HashSet<String> = HashSet::new();
    let mut answers: Vec<String> = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let blocked = item
            .depends_on
            .iter()
            .any(|id| failed.contains(&id.to_lowercase()));
        let answer = if blocked {
            ids.error(
                424,
                "FailedDependency",
                "A request this one depends on failed.",
            )
        } else {
            one(place, item)
        };
        if answer.status >= 400 {
            failed.insert(item.id.to_lowercase());
        }
        answers.push(written(item, &answer, place));
    }
    // Deterministic, and never the order of the request.
    answers.reverse();
    let third = answers.len() / 3;
    answers.rotate_left(third);
    Answer::json(format!("{{\"responses\":[{}]}}", answers.join(",")))
}

fn written(item: &Item, answer: &Answer, place: usize) -> String {
    let mut out = String::with_capacity(answer.body.len() + 256);
    let mut members = Members::open(&mut out);
    members.named("id", &quoted(&item.id));
    members.named("status", &answer.status.to_string());
    let headers = members.value_of("headers");
    let mut pairs = Members::open(headers);
    pairs.named("Cache-Control", "\"no-cache\"");
    for (name, value) in &answer.headers {
        // The case of header names varies.
        let name = if place % 2 == 1 {
            name.to_lowercase()
        } else {
            name.clone()
        };
        pairs.named(&name, &quoted(value));
    }
    if !answer.body.is_empty() {
        pairs.named("Content-Type", &quoted(answer.content_type));
    }
    pairs.close();
    if !answer.body.is_empty() {
        if answer.content_type.starts_with("application/json") {
            members.named("body", &answer.body);
        } else {
            members.named("body", &quoted(&STANDARD.encode(&answer.body)));
        }
    }
    members.close();
    out
}

/// Whether a fault of an item hits the connection and so the whole batch.
pub const fn hits_connection(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Hang
            | Fault::Reset
            | Fault::Truncate(_)
            | Fault::DropAfterEffect
            | Fault::Slow { .. }
    )
}

/// The answer of an item whose fault replaces it.
pub fn faulty(fault: &Fault) -> Option<Answer> {
    let json = |body: &Value| Answer::json(body.to_string());
    match fault {
        Fault::Status {
            status,
            retry_after,
            body,
        } => {
            let default = || crate::fake_microsoft::faults::default_body(*status);
            let mut answer = Answer::json(body.clone().unwrap_or_else(default));
            answer.status = *status;
            if !answer.body.starts_with('{') {
                answer.content_type = "text/html";
            }
            Some(match retry_after {
                Some(wait) => answer.header("Retry-After", wait.clone()),
                None => answer,
            })
        }
        Fault::Garbage(html) => Some(Answer {
            content_type: "text/html",
            ..Answer::json(html.clone())
        }),
        Fault::Json(value) => Some(json(value)),
        Fault::Raw {
            status,
            headers,
            body,
        } => Some(Answer {
            status: *status,
            headers: headers.clone(),
            content_type: "application/octet-stream",
            body: String::from_utf8_lossy(body).into_owned(),
        }),
        Fault::Hang
        | Fault::Reset
        | Fault::Truncate(_)
        | Fault::NextLink(_)
        | Fault::EmptyPages
        | Fault::ShortList(_)
        | Fault::DropAfterEffect
        | Fault::ExpiredDelta(_)
        | Fault::ReplayDelta
        | Fault::Slow { .. } => None,
    }
}
