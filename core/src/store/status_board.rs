//! The status documents in memory: what polling and event streams are answered from.
//!
//! Every change of a tenant writes its document in the transaction of the change; after the commit
//! the store puts it here. Newer versions win, so the order of arrival does not matter.

mod documents;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use self::documents::Documents;
pub use self::documents::{Completion, NextArrival};
use crate::ids::{OrgId, TenantId};

/// A status document at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSnapshot {
    /// The tenant.
    pub tenant: TenantId,
    /// Grows with each change: the ETag and the event id.
    pub version: i64,
    /// Number of the change among all of the organisation, in the order of their commits. The store
    /// gives it at the end of the transaction.
    pub sequence: i64,
    /// JSON object without what depends on the present moment (`stale`, `nextPollAfterMs`).
    pub document: Arc<str>,
    /// End of the last completed run, for staleness.
    pub last_completed_at: Option<DateTime<Utc>>,
    /// Whether a run is queued or running, for the polling advice.
    pub active: bool,
}

/// A snapshot and the organisation it belongs to.
#[derive(Debug, Clone)]
pub struct StatusUpdate {
    /// The organisation.
    pub org: OrgId,
    /// The snapshot.
    pub snapshot: Arc<StatusSnapshot>,
}

/// The documents of all tenants of this installation.
#[derive(Default)]
pub struct StatusBoard {
    organizations: RwLock<HashMap<OrgId, Documents>>,
}

impl StatusBoard {
    /// Takes a snapshot unless a newer one is there.
    pub fn publish(&self, update: StatusUpdate) {
        self.change(update.org, |documents| documents.take(&update.snapshot));
    }

    /// Takes a snapshot that was read from the database in the order of the numbers: every earlier
    /// change is here.
    pub fn publish_in_order(&self, update: StatusUpdate) {
        self.change(update.org, |documents| {
            documents.complete_to(update.snapshot.sequence);
            documents.take(&update.snapshot);
        });
    }

    /// Every change up to this number was published.
    pub fn complete_to(&self, org: OrgId, sequence: i64) {
        self.change(org, |documents| documents.complete_to(sequence));
    }

    /// The number up to which every change of this organisation is here; 0 at the start.
    pub fn is_complete_to(&self, org: OrgId) -> i64 {
        self.look().get(&org).map_or(0, Documents::is_complete_to)
    }

    /// The present document of a tenant of this organisation.
    pub fn get(&self, org: OrgId, tenant: TenantId) -> Option<Arc<StatusSnapshot>> {
        self.look().get(&org)?.get(tenant)
    }

    /// The present document and every later one. A slow reader sees the newest, not a queue.
    pub fn watch(
        &self,
        org: OrgId,
        tenant: TenantId,
    ) -> Option<watch::Receiver<Arc<StatusSnapshot>>> {
        self.look().get(&org)?.watch(tenant)
    }

    /// Wakes up whenever [`StatusBoard::next_arrival`] may have news.
    pub fn watch_all(&self, org: OrgId) -> watch::Receiver<()> {
        self.change(org, |documents| documents.watch_all())
    }

    /// The first document that came after the one with this number of arrival; 0 is before all. Each
    /// tenant is met at its newest only, so a slow reader needs no queue.
    pub fn next_arrival(&self, org: OrgId, after: u64) -> NextArrival {
        self.look()
            .get(&org)
            .map_or(NextArrival::None { complete_to: 0 }, |documents| {
                documents.next_arrival(after)
            })
    }

    /// The tenant whose last run completed next after the given one, but before this moment.
    pub fn next_completion(
        &self,
        org: OrgId,
        after: (DateTime<Utc>, TenantId),
        before: DateTime<Utc>,
    ) -> Option<Completion> {
        self.look().get(&org)?.next_completion(after, before)
    }

    /// Every document on the board, for metrics and for lists.
    pub fn snapshots(&self) -> Vec<StatusUpdate> {
        let organizations = self.look();
        let all = organizations.iter().flat_map(|(org, documents)| {
            documents.snapshots().map(|snapshot| StatusUpdate {
                org: *org,
                snapshot,
            })
        });
        all.collect()
    }

    fn look(&self) -> RwLockReadGuard<'_, HashMap<OrgId, Documents>> {
        self.organizations
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, org: OrgId, change: impl FnOnce(&mut Documents) -> T) -> T {
        let mut organizations = self
            .organizations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(organizations.entry(org).or_default())
    }
}
