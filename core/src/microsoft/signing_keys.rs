//! Microsoft's signing keys: our own tolerant reader, and a cache.
//!
//! Keys of Microsoft's documents may carry an `issuer` that decides whose tokens they sign; common
//! libraries drop it on reading, so this room reads the documents itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Method, Request};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    clock::Clock,
    ids::TenantId,
    microsoft::cloud::CloudProfile,
    outbound::{Outbound, OutboundError, Upstream, read_capped},
};

/// Key documents are some ten kilobytes.
const DOCUMENT_LIMIT: usize = 1024 * 1024;
/// Keys roll at any time; Microsoft advises to look once a day.
const LIFETIME: TimeDelta = TimeDelta::hours(24);
/// An unknown key is looked for at most this often.
const SHORTEST_INTERVAL: TimeDelta = TimeDelta::minutes(1);
/// Old documents are swept out when there are this many.
const FIRST_SWEEP: usize = 256;

/// A key that may sign id tokens.
#[derive(Debug, Deserialize)]
struct SigningKey {
    kid: Option<String>,
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: String,
    e: String,
    issuer: Option<String>,
}

/// The keys of one tenant's document.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<SigningKey>);

impl KeySet {
    /// Reads a document. Keys of other kinds, and entries that are no keys, are left out.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(body).ok()?;
        let keys = document
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<SigningKey>(key).ok())
            .filter(|key| {
                key.kty == "RSA"
                    && key.usage.as_deref().is_none_or(|usage| usage == "sig")
                    && key.alg.as_deref().is_none_or(|alg| alg == "RS256")
            })
            .collect();
        Some(Self(keys))
    }

    /// The same keys, their issuers as this installation names them.
    fn named_by(mut self, profile: &CloudProfile) -> Self {
        for key in &mut self.0 {
            key.issuer = key.issuer.take().map(|issuer| profile.own_issuer(&issuer));
        }
        self
    }

    /// How many keys there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a signature by RS256 is that of a key which may sign for this issuer. `None`: no such
    /// key is known. Without a `kid` there must be no choice.
    pub(crate) fn verifies(
        &self,
        kid: Option<&str>,
        issuer: &str,
        tenant: TenantId,
        message: &[u8],
        signature: &str,
    ) -> Option<bool> {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| kid.is_none() || key.kid.as_deref() == kid)
            .filter(|key| key.signs_for(issuer, tenant));
        let key = fitting.next()?;
        if fitting.next().is_some() {
            return None;
        }
        let key = DecodingKey::from_rsa_components(&key.n, &key.e).ok()?;
        let verified = jsonwebtoken::crypto::verify(signature, message, &key, Algorithm::RS256);
        Some(verified.unwrap_or(false))
    }
}

impl SigningKey {
    /// A key without an issuer counts for the tenant whose document holds it.
    fn signs_for(&self, issuer: &str, tenant: TenantId) -> bool {
        match &self.issuer {
            None => true,
            Some(template) => template.replace("{tenantid}", &tenant.to_string()) == issuer,
        }
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Microsoft could not be reached.
    #[error("signing keys unavailable")]
    Unavailable(#[source] OutboundError),
    /// Microsoft answered with something else.
    #[error("signing keys could not be read (status {status})")]
    UnexpectedAnswer {
        /// The HTTP status.
        status: u16,
    },
}

/// Key documents of tenants, each kept for a day.
pub(crate) struct KeyCache {
    profile: CloudProfile,
    http: Outbound,
    clock: Clock,
    documents: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<Option<Document>>>>>,
}

struct Document {
    keys: Arc<KeySet>,
    fetched_at: DateTime<Utc>,
}

impl KeyCache {
    pub(crate) fn new(profile: CloudProfile, http: Outbound, clock: Clock) -> Self {
        Self {
            profile,
            http,
            clock,
            documents: Mutex::new(HashMap::new()),
        }
    }

    /// The keys of a tenant's document, from memory while they are fresh.
    pub(crate) async fn keys(&self, tenant: TenantId) -> Result<Arc<KeySet>, KeysError> {
        self.keys_no_older_than(tenant, LIFETIME).await
    }

    /// The keys again, because one was not among them: fetched anew, but not more than once a minute.
    pub(crate) async fn keys_again(&self, tenant: TenantId) -> Result<Arc<KeySet>, KeysError> {
        self.keys_no_older_than(tenant, SHORTEST_INTERVAL).await
    }

    async fn keys_no_older_than(
        &self,
        tenant: TenantId,
        age: TimeDelta,
    ) -> Result<Arc<KeySet>, KeysError> {
        let slot = self.slot(tenant);
        let mut slot = slot.lock().await;
        let now = self.clock.now();
        if let Some(document) = slot.as_ref()
            && now - document.fetched_at < age
        {
            return Ok(Arc::clone(&document.keys));
        }
        let keys = Arc::new(self.fetch(tenant).await?);
        *slot = Some(Document {
            keys: Arc::clone(&keys),
            fetched_at: now,
        });
        Ok(keys)
    }

    async fn fetch(&self, tenant: TenantId) -> Result<KeySet, KeysError> {
        let request = Request::new(Method::GET, self.profile.keys_endpoint(tenant));
        let response = self
            .http
            .execute(Upstream::Login, request)
            .await
            .map_err(KeysError::Unavailable)?;
        let status = response.status();
        let body = read_capped(response, DOCUMENT_LIMIT)
            .await
            .map_err(KeysError::Unavailable)?;
        let unexpected = KeysError::UnexpectedAnswer {
            status: status.as_u16(),
        };
        if !status.is_success() {
            return Err(unexpected);
        }
        let keys = KeySet::read(&body).ok_or(unexpected)?;
        Ok(keys.named_by(&self.profile))
    }

    fn slot(&self, tenant: TenantId) -> Arc<tokio::sync::Mutex<Option<Document>>> {
        let mut documents = self.locked();
        if documents.len() >= FIRST_SWEEP && !documents.contains_key(&tenant) {
            let now = self.clock.now();
            documents.retain(|_tenant, slot| {
                let fresh = |document: &Document| now - document.fetched_at < SHORTEST_INTERVAL;
                Arc::strong_count(slot) > 1
                    || slot
                        .try_lock()
                        .is_ok_and(|slot| slot.as_ref().is_some_and(fresh))
            });
        }
        Arc::clone(documents.entry(tenant).or_default())
    }

    fn locked(
        &self,
    ) -> MutexGuard<'_, HashMap<TenantId, Arc<tokio::sync::Mutex<Option<Document>>>>> {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
