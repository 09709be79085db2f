//! Forgetting flows that ended long ago.

use chrono::TimeDelta;

use super::queries;
use crate::store::{Store, StoreError};

/// How long after its end a link still says that it has expired, and whom to ask.
const REMEMBERED: TimeDelta = TimeDelta::days(30);

/// Forgets the links and states that ended long ago. Returns how many.
///
/// # Errors
/// The store's.
pub async fn purge_flows(store: &Store) -> Result<usize, StoreError> {
    store
        .global(|tx| {
            let before = tx.now() - REMEMBERED;
            queries::forget_flows_across_orgs(tx, before)
        })
        .await
}
