//! What was looked up once and holds for a while.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::error::PsaError;

/// How long a look-up holds: zones, picklists and field lists seldom change (psa.md §B1: 12 to 24 hours).
const FRESH: TimeDelta = TimeDelta::hours(12);

/// A looked-up value with the time of its look-up. Callers that come at the same time share one look-up.
pub(super) struct Remembered<T>(Mutex<Option<(Arc<T>, DateTime<Utc>)>>);

impl<T> Remembered<T> {
    /// Nothing yet.
    pub(super) fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    /// What is remembered, looked up where there is nothing or it is too old.
    pub(super) async fn get(
        &self,
        now: DateTime<Utc>,
        look_up: impl Future<Output = Result<T, PsaError>> + Send,
    ) -> Result<Arc<T>, PsaError> {
        let mut slot = self.0.lock().await;
        if let Some((value, since)) = slot.as_ref()
            && now - *since < FRESH
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(look_up.await?);
        *slot = Some((Arc::clone(&value), now));
        Ok(value)
    }

    /// The value in the place of one that proved outdated. Who comes second is given what the first found.
    pub(super) async fn instead_of(
        &self,
        outdated: &Arc<T>,
        now: DateTime<Utc>,
        look_up: impl Future<Output = Result<T, PsaError>> + Send,
    ) -> Result<Arc<T>, PsaError> {
        let mut slot = self.0.lock().await;
        if let Some((value, _since)) = slot.as_ref()
            && !Arc::ptr_eq(value, outdated)
        {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(look_up.await?);
        *slot = Some((Arc::clone(&value), now));
        Ok(value)
    }
}
