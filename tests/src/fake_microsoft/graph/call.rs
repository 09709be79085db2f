//! One request to Graph, checked and taken apart.

use std::{collections::HashMap, sync::Arc};

use super::{
    answer::{Answer, Ids},
    tokens,
};
use crate::fake_microsoft::{
    faults::{Fault, percent_decoded},
    state::{AccessToken, Cloud, Tenant},
};

/// Headers by their lower-case names.
pub type Headers = HashMap<String, String>;

/// A request of a known caller to a known tenant.
pub struct Call<'a> {
    pub cloud: &'a Cloud,
    pub tenant: Arc<Tenant>,
    pub token: &'a AccessToken,
    pub ids: &'a Ids,
    pub method: &'a str,
    /// Path behind the version, as sent.
    pub path: &'a str,
    /// Query as sent, without the question mark.
    pub raw_query: &'a str,
    pub query: Vec<(String, String)>,
    pub headers: &'a Headers,
    pub body: &'a [u8],
    /// A fault that changes what the page says.
    pub fault: Option<Fault>,
}

impl Call<'_> {
    /// The decoded value of a query option.
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Refuses options other than these, and repeated ones.
    pub fn allow(&self, names: &[&str]) -> Result<(), Answer> {
        for (place, (key, _)) in self.query.iter().enumerate() {
            if !key.starts_with('$') {
                continue;
            }
            if !names.contains(&key.as_str()) {
                let message = format!("'{key}' is not supported by the service.");
                return Err(self.ids.unsupported(&message));
            }
            if self
                .query
                .iter()
                .skip(place + 1)
                .any(|(other, _)| other == key)
            {
                let message = format!("Query option '{key}' was specified more than once.");
                return Err(self.ids.bad_request(&message));
            }
        }
        Ok(())
    }

    /// Whether the request asks for eventual consistency, as advanced queries must on every page.
    pub fn eventual(&self) -> bool {
        let level = self.headers.get("consistencylevel");
        level.is_some_and(|level| level.eq_ignore_ascii_case("eventual"))
    }

    /// Whether a `Prefer` header has this preference.
    pub fn prefers(&self, preference: &str) -> bool {
        let prefer = self.headers.get("prefer");
        prefer.is_some_and(|all| all.split(',').any(|one| one.trim() == preference))
    }

    /// Refuses a client that does not take JSON.
    pub fn require_json_accepted(&self) -> Result<(), Answer> {
        let takes = |part: &str| {
            let kind = part.split(';').next().unwrap_or_default().trim();
            matches!(kind, "*/*" | "application/*" | "application/json")
        };
        match self.headers.get("accept") {
            Some(accept) if !accept.split(',').any(takes) => {
                let message = "None of the media types in the Accept header is supported.";
                Err(self.ids.error(406, "NotAcceptable", message))
            }
            _ => Ok(()),
        }
    }

    /// `$top`, or the default; refuses what is not between 1 and `max`.
    pub fn page_size(&self, default: usize, max: usize) -> Result<usize, Answer> {
        let Some(text) = self.option("$top") else {
            return Ok(default);
        };
        let size = text.parse().ok().filter(|size| (1..=max).contains(size));
        size.ok_or_else(|| {
            let message = format!(
                "Invalid page size specified: '{text}'. Must be between 1 and {max} inclusive."
            );
            self.ids.error(400, "Request_BadRequest", &message)
        })
    }

    /// Whether `$count=true`; it needs eventual consistency.
    pub fn wants_count(&self) -> Result<bool, Answer> {
        match self.option("$count") {
            None | Some("false") => Ok(false),
            Some("true") if self.eventual() => Ok(true),
            Some("true") => Err(self.ids.unsupported(
                "Request with $count=true is only supported with the 'ConsistencyLevel: eventual' header.",
            )),
            Some(_) => Err(self.ids.bad_request("Invalid value for $count.")),
        }
    }

    /// The absolute URL of this path with a query.
    pub fn url(&self, query: &str) -> String {
        format!("{}/v1.0{}?{query}", self.cloud.graph_origin, self.path)
    }

    /// Where the page begins: 0, or what the skiptoken says. A link that was not followed
    /// verbatim, or one of another tenant, is refused.
    pub fn position(&self) -> Result<u64, Answer> {
        let Some(token) = self.option("$skiptoken") else {
            return Ok(0);
        };
        let sealed = token
            .strip_prefix("X'")
            .and_then(|rest| rest.strip_suffix('\''));
        let opened = sealed.and_then(|sealed| tokens::open(sealed, &self.binding()));
        let bytes = opened.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        let [high @ .., _, _, _, _, _, _, _, _] = bytes.ok_or_else(|| {
            let message = "Skip token is not valid: the next link was changed.";
            self.ids.error(400, "Request_BadRequest", message)
        })?;
        Ok(u64::from_be_bytes(high))
    }

    /// The link to the page that begins at a position. `page` makes links to the same position differ.
    pub fn next_link(&self, position: u64, page: u64) -> String {
        let mut bytes = position.to_be_bytes().to_vec();
        bytes.extend(page.to_be_bytes());
        let sealed = tokens::seal(&bytes, &self.binding());
        let base = self.base_query();
        let joint = if base.is_empty() { "" } else { "&" };
        self.url(&format!("{base}{joint}$skiptoken=X%27{sealed}%27"))
    }

    /// The query without the skiptoken.
    fn base_query(&self) -> String {
        let kept = self
            .raw_query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("$skiptoken="));
        kept.collect::<Vec<_>>().join("&")
    }

    fn binding(&self) -> String {
        format!("{}|{}|{}", self.tenant.id, self.path, self.base_query())
    }
}

/// The pairs of a query, decoded.
pub fn pairs(raw_query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
    let pairs = raw_query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}
