//! Events: what a callback sends, and how it is believed (psa.md §A4).
//!
//! The signature's key has to be fetched from an address that stands in the body, which nobody has vouched
//! for yet. So this address alone is read before the signature is checked, and it must be on our own
//! instance and for our own company: the cloud's hosts serve the keys of everybody's companies.

use std::{collections::VecDeque, sync::Mutex};

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::{ConnectWise, client::number, refusal::Right};
use crate::{
    contract::ExternalId,
    error::PsaError,
    event::{ChangeHint, Event, EventError, RawEvent},
    secret::Secret,
    transport::Request,
    wire,
};

/// The most keys that are kept; a company has one at a time.
const MOST_KEYS: usize = 8;

/// How old a key must be for it to be fetched again when a signature does not fit it.
const KEY_LASTS: TimeDelta = TimeDelta::minutes(5);

/// The largest body that is looked at.
const MOST_BODY: usize = 1 << 20;

/// The most bytes of the answer with the key.
const MOST_KEY_BYTES: usize = 16 << 10;

/// The signing keys that were fetched, by the `id` of their addresses.
#[derive(Default)]
pub(super) struct SigningKeys(Mutex<VecDeque<SigningKey>>);

struct SigningKey {
    id: String,
    key: hmac::Key,
    read_at: DateTime<Utc>,
}

/// All that is read of a body that is not verified.
#[derive(Deserialize)]
struct Unverified {
    #[serde(rename = "Metadata")]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    key_url: String,
}

/// What is read of a verified body. The record in it is not: it is incomplete, and read anew instead.
#[derive(Deserialize)]
struct Delivery {
    #[serde(rename = "Type", default, deserialize_with = "wire::text")]
    kind: Option<String>,
    #[serde(rename = "ID", default, deserialize_with = "wire::id")]
    id: Option<ExternalId>,
    #[serde(rename = "MessageId", default, deserialize_with = "wire::text")]
    message_id: Option<String>,
}

#[derive(Deserialize)]
struct KeyReply {
    signing_key: Secret,
}

impl ConnectWise {
    /// Verifies a delivery and says which company it is about.
    pub(super) async fn event(&self, event: &RawEvent) -> Result<Event, EventError> {
        let signature = signature_of(event).ok_or(EventError::NotAuthentic)?;
        let key_url = self.key_url(&event.body).ok_or(EventError::NotAuthentic)?;
        self.verify(&key_url, &event.body, &signature).await?;
        let delivery: Delivery =
            serde_json::from_slice(&event.body).or(Err(EventError::NotAuthentic))?;
        let is_company = delivery
            .kind
            .is_some_and(|kind| kind.eq_ignore_ascii_case("company"));
        let hint = match delivery.id.filter(|id| number(id).is_some()) {
            Some(id) => ChangeHint::Customer(id),
            None => ChangeHint::ResyncSoon,
        };
        Ok(Event {
            id: delivery.message_id,
            hints: is_company.then_some(hint).into_iter().collect(),
        })
    }

    /// Where the key is; none where it is not ours to ask.
    fn key_url(&self, body: &[u8]) -> Option<KeyUrl> {
        if body.len() > MOST_BODY {
            return None;
        }
        let unverified: Unverified = serde_json::from_slice(body).ok()?;
        let url = Url::parse(&unverified.metadata.key_url).ok()?;
        let address = self.client.address();
        if !address.is_ours(&url) {
            return None;
        }
        let values = |name: &str| -> Vec<String> {
            let pairs = url.query_pairs();
            let named = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.into_owned()).collect()
        };
        let companies = values("companyName");
        let is_own = match companies.as_slice() {
            [company] => company.eq_ignore_ascii_case(self.client.company()),
            // A host of one's own has no other company's keys.
            [] => !address.is_shared(),
            _ => false,
        };
        let is_key = !address.is_shared() || url.path().contains("/callbackkey/");
        let ids = values("id");
        let [id] = ids.as_slice() else { return None };
        (is_own && is_key).then(|| KeyUrl {
            id: id.clone(),
            url,
        })
    }

    async fn verify(
        &self,
        key_url: &KeyUrl,
        body: &[u8],
        signature: &[u8],
    ) -> Result<(), EventError> {
        let now = self.client.transport().now();
        if let Some((key, read_at)) = self.signing_keys.get(&key_url.id) {
            if hmac::verify(&key, body, signature).is_ok() {
                return Ok(());
            }
            if now.signed_duration_since(read_at) < KEY_LASTS {
                return Err(EventError::NotAuthentic);
            }
        }
        let key = self.fetch_key(key_url).await.map_err(|error| {
            if error.may_pass() {
                EventError::KeyUnavailable
            } else {
                EventError::NotAuthentic
            }
        })?;
        self.signing_keys.put(&key_url.id, key.clone(), now);
        hmac::verify(&key, body, signature).or(Err(EventError::NotAuthentic))
    }

    /// Sources differ on whether the key's page wants a sign-in, so it gets one (psa.md §A4).
    async fn fetch_key(&self, key_url: &KeyUrl) -> Result<hmac::Key, PsaError> {
        let endpoint = Right::Callbacks.endpoint();
        let mut request = Request::new(Method::GET, key_url.url.clone(), endpoint);
        request.headers = self.client.headers()?;
        request.most_bytes = MOST_KEY_BYTES;
        let reply = self.client.send(request, false).await?;
        let told: KeyReply = self.client.read(&reply, Right::Callbacks)?;
        Ok(key_of(told.signing_key.expose()))
    }
}

/// The address of a key, checked.
struct KeyUrl {
    id: String,
    url: Url,
}

/// The key of the signature is the SHA-256 of the key that is told.
fn key_of(told: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, digest(&SHA256, told.as_bytes()).as_ref())
}

fn signature_of(event: &RawEvent) -> Option<Vec<u8>> {
    let mut headers = event.headers.get_all("x-content-signature").iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return None;
    };
    STANDARD.decode(header.to_str().ok()?.trim()).ok()
}

impl SigningKeys {
    fn get(&self, id: &str) -> Option<(hmac::Key, DateTime<Utc>)> {
        let keys = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = keys.iter().find(|key| key.id == id)?;
        Some((found.key.clone(), found.read_at))
    }

    fn put(&self, id: &str, key: hmac::Key, read_at: DateTime<Utc>) {
        let mut keys = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        keys.retain(|kept| kept.id != id);
        keys.truncate(MOST_KEYS - 1);
        keys.push_front(SigningKey {
            id: id.to_owned(),
            key,
            read_at,
        });
    }
}

#[cfg(test)]
mod tests;
