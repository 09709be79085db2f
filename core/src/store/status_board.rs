//! The status documents in memory: what polling and event streams are answered from.
//!
//! Every change of a tenant writes its document in the transaction of the change; after the commit
//! the store puts it here. Newer versions win, so the order of arrival does not matter.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::ids::{OrgId, TenantId};

/// A status document at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSnapshot {
    /// The tenant.
    pub tenant: TenantId,
    /// Grows with each change: the ETag and the event id.
    pub version: i64,
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

/// Where one tenant's document changes.
type Publisher = watch::Sender<Arc<StatusSnapshot>>;

/// The documents of all tenants of this installation.
#[derive(Default)]
pub struct StatusBoard {
    tenants: RwLock<HashMap<(OrgId, TenantId), Publisher>>,
}

impl StatusBoard {
    /// Takes a snapshot unless a newer one is there.
    pub fn publish(&self, update: StatusUpdate) {
        let key = (update.org, update.snapshot.tenant);
        let mut tenants = self
            .tenants
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match tenants.get(&key) {
            Some(sender) => {
                sender.send_if_modified(|current| {
                    let newer = update.snapshot.version > current.version;
                    if newer {
                        *current = Arc::clone(&update.snapshot);
                    }
                    newer
                });
            }
            None => {
                tenants.insert(key, watch::channel(Arc::clone(&update.snapshot)).0);
            }
        }
    }

    /// The present document of a tenant of this organisation.
    pub fn get(&self, org: OrgId, tenant: TenantId) -> Option<Arc<StatusSnapshot>> {
        let tenants = self
            .tenants
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        tenants
            .get(&(org, tenant))
            .map(|sender| Arc::clone(&sender.borrow()))
    }

    /// The present document and every later one. A slow reader sees the newest, not a queue.
    pub fn watch(
        &self,
        org: OrgId,
        tenant: TenantId,
    ) -> Option<watch::Receiver<Arc<StatusSnapshot>>> {
        let tenants = self
            .tenants
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        tenants.get(&(org, tenant)).map(watch::Sender::subscribe)
    }

    /// Every document on the board, for metrics and for lists.
    pub fn snapshots(&self) -> Vec<StatusUpdate> {
        let tenants = self
            .tenants
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        tenants
            .iter()
            .map(|((org, _), sender)| StatusUpdate {
                org: *org,
                snapshot: Arc::clone(&sender.borrow()),
            })
            .collect()
    }
}
