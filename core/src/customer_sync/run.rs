//! One read of a PSA's customers, as people see it.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use crate::{
    ids::{CustomerSyncRunId, PsaConnectionId},
    psa::Trouble,
    store::StoreError,
    sync::run::{RunState, UnknownWord, Warning},
};

/// What a run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CustomerSyncKind {
    /// What changed since the last run.
    Incremental,
    /// Everything, so that what is missing is known.
    Full,
}

impl CustomerSyncKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Full => "full",
        }
    }

    /// Reads a word that the database keeps.
    pub(super) fn stored(text: &str) -> Result<Self, StoreError> {
        text.parse().or(Err(StoreError::Corrupt {
            what: "kind of a customer sync",
        }))
    }
}

impl FromStr for CustomerSyncKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Incremental, Self::Full]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerSyncRun {
    /// UUIDv7.
    pub id: CustomerSyncRunId,
    /// The connection it reads through.
    pub connection: PsaConnectionId,
    /// What it reads.
    pub kind: CustomerSyncKind,
    /// Where it stands.
    pub state: RunState,
    /// Changes from this moment on; none for a full read.
    pub since: Option<DateTime<Utc>>,
    /// Records read.
    pub processed: i64,
    /// How many there will be, once known.
    pub expected: Option<i64>,
    /// Customers made.
    pub created: i64,
    /// Customers changed.
    pub updated: i64,
    /// Customers deactivated.
    pub deactivated: i64,
    /// Calls to the PSA.
    pub requests: i64,
    /// What is worth knowing although the run completed.
    pub warning: Option<Warning>,
    /// Why it failed.
    pub error: Option<Trouble>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The newest run of a connection, ended or not, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSync {
    /// The run.
    pub run: CustomerSyncRunId,
    /// What it reads.
    pub kind: CustomerSyncKind,
    /// Where it stands.
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

impl From<CustomerSyncRun> for LastSync {
    fn from(run: CustomerSyncRun) -> Self {
        Self {
            run: run.id,
            kind: run.kind,
            state: run.state,
            finished_at: run.finished_at,
            created: run.created,
            updated: run.updated,
            deactivated: run.deactivated,
            error: run.error,
        }
    }
}
