//! Recognised keys, kept for a moment so that polling asks the database nothing.
//!
//! Every revocation moves the installation's key epoch. What was recognised counts only while the
//! epoch was seen unmoved within the last quarter of a second, so a revoked key ends in every process
//! within that time. Under steady calls the epoch is read beside them: no call waits for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use tenantry_core::{
    access::keys::{AuthenticationError, KeyService, ValidKey},
    clock::Clock,
    store::StoreError,
};
use tokio::sync::Mutex;

/// After this time the epoch is read again, beside the calls.
const REFRESH_AFTER: Duration = Duration::from_millis(100);
/// After this time nothing recognised before counts until the epoch was read again.
const TRUST_FOR: Duration = Duration::from_millis(250);
/// So many keys are kept; only valid ones are.
const CAPACITY: usize = 100_000;

/// A key's text as its hash: the text itself is not kept.
type Fingerprint = [u8; 32];

/// Recognises keys. Cheap to clone.
#[derive(Clone)]
pub struct KeyCache {
    inner: Arc<Inner>,
}

struct Inner {
    keys: KeyService,
    clock: Clock,
    known: RwLock<Known>,
    refreshing: AtomicBool,
    /// One reader of the epoch at a time; the others wait for its answer.
    reading: Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// The epoch, and when it was asked for.
    epoch: Option<(i64, Instant)>,
    keys: HashMap<Fingerprint, ValidKey>,
}

impl Known {
    fn age(&self) -> Option<Duration> {
        self.epoch.map(|(_, asked)| asked.elapsed())
    }
}

impl KeyCache {
    /// Over the service that knows the keys; the clock tells which have expired.
    pub fn new(keys: KeyService, clock: Clock) -> Self {
        let inner = Inner {
            keys,
            clock,
            known: RwLock::default(),
            refreshing: AtomicBool::new(false),
            reading: Mutex::new(()),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Who presents this key.
    ///
    /// # Errors
    /// See [`AuthenticationError`].
    pub async fn recognise(&self, text: &str) -> Result<ValidKey, AuthenticationError> {
        let fingerprint = fingerprint(text);
        self.see_epoch().await?;
        let (epoch, known) = {
            let known = self.known();
            (
                known.epoch.map(|(epoch, _)| epoch),
                known.keys.get(&fingerprint).copied(),
            )
        };
        let key = match known {
            Some(key) => key,
            None => {
                let key = self.inner.keys.authenticate(text).await?;
                self.keep(fingerprint, key, epoch);
                key
            }
        };
        match key.expires_at {
            Some(end) if end <= self.inner.clock.now() => Err(AuthenticationError::Refused),
            Some(_) | None => Ok(key),
        }
    }

    /// Makes sure that the epoch was seen a moment ago.
    async fn see_epoch(&self) -> Result<(), StoreError> {
        // Its lock must be gone before the epoch is read, which takes it again.
        let age = self.known().age();
        match age {
            Some(age) if age < REFRESH_AFTER => Ok(()),
            Some(age) if age < TRUST_FOR => {
                self.refresh_beside();
                Ok(())
            }
            Some(_) | None => self.read_epoch().await,
        }
    }

    fn refresh_beside(&self) {
        if self.inner.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let cache = self.clone();
        tokio::spawn(async move {
            if let Err(error) = cache.read_epoch().await {
                tracing::debug!(%error, "key epoch not read");
            }
            cache.inner.refreshing.store(false, Ordering::Release);
        });
    }

    async fn read_epoch(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.reading.lock().await;
        if self.known().age().is_some_and(|age| age < REFRESH_AFTER) {
            return Ok(());
        }
        let asked = Instant::now();
        let epoch = self.inner.keys.key_epoch().await?;
        let mut known = self
            .inner
            .known
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.epoch.is_some_and(|(before, _)| before != epoch) {
            known.keys.clear();
        }
        known.epoch = Some((epoch, asked));
        Ok(())
    }

    /// Keeps a key that was recognised after `epoch` was seen, unless the epoch has moved since.
    fn keep(&self, fingerprint: Fingerprint, key: ValidKey, epoch: Option<i64>) {
        let mut known = self
            .inner
            .known
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.epoch.map(|(epoch, _)| epoch) == epoch {
            if known.keys.len() >= CAPACITY {
                known.keys.clear();
            }
            known.keys.insert(fingerprint, key);
        }
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.inner
            .known
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn fingerprint(text: &str) -> Fingerprint {
    let mut fingerprint = [0; 32];
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    for (byte, from) in fingerprint.iter_mut().zip(hash.as_ref()) {
        *byte = *from;
    }
    fingerprint
}
