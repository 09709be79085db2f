//! What a sync of customers came to.

use chrono::{DateTime, Utc};

use crate::{psa::Trouble, sync::run::RunState};

/// What became of a connection's last sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSync {
    /// Its state, as of tenant syncs.
    pub state: RunState,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Customers made.
    pub created: i64,
    /// Customers changed.
    pub updated: i64,
    /// Customers deactivated.
    pub deactivated: i64,
    /// Why it failed.
    pub error: Option<Trouble>,
}
