//! Forgetting what was told long ago.

use chrono::TimeDelta;

use super::queries;
use crate::{
    access::OrgScope,
    store::{Store, StoreError},
};

/// How long an event is kept.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Forgets an organisation's events that are older than 30 days. Returns how many.
///
/// # Errors
/// The store's.
pub async fn purge(store: &Store, scope: &OrgScope) -> Result<usize, StoreError> {
    store
        .write(scope, move |tx| {
            let before = tx.now() - KEPT;
            queries::delete_before(tx, before)
        })
        .await
}
