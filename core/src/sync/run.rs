//! A sync run and its data sets, with the contract's states and no others.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{SyncRunId, TenantId},
    microsoft::data_set::DataSet,
    store::StoreError,
};

/// A closed list of words, the same in Rust, in the database and on the wire. A macro because the
/// two conversions are the same for each list.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads a word that the database keeps.
            pub(crate) fn stored(text: &str) -> Result<Self, StoreError> {
                text.parse().or(Err(StoreError::Corrupt { what: stringify!($name) }))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownWord) }
            }
        }
    };
}

/// A text that is none of the words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not one of the known words")]
pub struct UnknownWord;

words! {
    /// What a run reads.
    RunKind {
        /// Everything, for the first time.
        Initial = "initial",
        /// What changed since the last run.
        Delta = "delta",
        /// Everything again.
        Full = "full",
    }
}

words! {
    /// Where a run stands.
    RunState {
        /// Nobody works on it yet.
        Queued = "queued",
        /// A worker is on it.
        Running = "running",
        /// Every data set is complete or does not exist in that tenant.
        Completed = "completed",
        /// Some data sets failed or hold back removals.
        CompletedWithWarnings = "completedWithWarnings",
        /// No data set completed, or the access was lost.
        Failed = "failed",
        /// Ended by revoke or by a person.
        Cancelled = "cancelled",
    }
}

impl RunState {
    /// Whether the run is over.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Completed | Self::CompletedWithWarnings | Self::Failed | Self::Cancelled => true,
        }
    }

    /// Whether the run counts for `lastCompletedAt`.
    pub const fn is_complete(self) -> bool {
        match self {
            Self::Completed | Self::CompletedWithWarnings => true,
            Self::Queued | Self::Running | Self::Failed | Self::Cancelled => false,
        }
    }
}

words! {
    /// Where a data set of a run stands.
    DataSetState {
        /// Not begun.
        Pending = "pending",
        /// Being read.
        Running = "running",
        /// Read to the end.
        Completed = "completed",
        /// Not licensed, not set up, or not offered by the cloud.
        Skipped = "skipped",
        /// A permission is missing, or Microsoft failed.
        Failed = "failed",
    }
}

impl DataSetState {
    /// Whether nothing more will happen to it in this run.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Skipped | Self::Failed => true,
        }
    }
}

/// Why a data set is not simply complete, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable word in lowerCamelCase.
    pub code: String,
    /// What happened.
    pub detail: String,
    /// Who does what about it; null when nobody needs to.
    pub action: Option<String>,
}

impl Warning {
    /// A warning that someone can act on.
    pub fn new(code: &str, detail: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            detail: detail.into(),
            action: Some(action.into()),
        }
    }

    /// A warning that is only to be known.
    pub fn note(code: &str, detail: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            detail: detail.into(),
            action: None,
        }
    }
}

/// One data set of a run as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDataSet {
    /// Which.
    pub data_set: DataSet,
    /// Where it stands.
    pub state: DataSetState,
    /// Objects of the main list so far; never falls.
    pub processed: i64,
    /// How many there will be, once known.
    pub expected: Option<i64>,
    /// Calls to Microsoft.
    pub requests: i64,
    /// Calls made again.
    pub retries: i64,
    /// Milliseconds waited because Microsoft asked for it.
    pub throttled_ms: i64,
    /// Why it is not simply complete.
    pub warning: Option<Warning>,
}

/// One run over the data sets of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRun {
    /// Its id.
    pub id: SyncRunId,
    /// The tenant.
    pub tenant: TenantId,
    /// What it reads.
    pub kind: RunKind,
    /// Where it stands.
    pub state: RunState,
    /// Millionths; never falls, and a million once ended.
    pub progress: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its data sets in the order of the status document.
    pub data_sets: Vec<RunDataSet>,
}

/// All of the progress, in millionths.
pub const WHOLE: i64 = 1_000_000;

impl SyncRun {
    /// How far the data sets are, in millionths: each weighs the same, and one that runs counts by
    /// its objects where their number is known.
    pub fn measured_progress(&self) -> i64 {
        if self.state.has_ended() {
            return WHOLE;
        }
        let count = i64::try_from(self.data_sets.len())
            .unwrap_or(i64::MAX)
            .max(1);
        let done: i64 = self
            .data_sets
            .iter()
            .map(RunDataSet::measured_progress)
            .sum();
        (done / count).min(WHOLE - 1)
    }
}

impl RunDataSet {
    fn measured_progress(&self) -> i64 {
        if self.state.has_ended() {
            return WHOLE;
        }
        match self.expected {
            Some(expected) if expected > 0 => {
                (self.processed.saturating_mul(WHOLE) / expected).min(WHOLE * 99 / 100)
            }
            Some(_) | None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_set(state: DataSetState, processed: i64, expected: Option<i64>) -> RunDataSet {
        RunDataSet {
            data_set: DataSet::Users,
            state,
            processed,
            expected,
            requests: 0,
            retries: 0,
            throttled_ms: 0,
            warning: None,
        }
    }

    fn run(state: RunState, data_sets: Vec<RunDataSet>) -> SyncRun {
        SyncRun {
            id: SyncRunId::from_uuid(uuid::Uuid::nil()),
            tenant: TenantId::from_uuid(uuid::Uuid::nil()),
            kind: RunKind::Initial,
            state,
            progress: 0,
            created_at: DateTime::UNIX_EPOCH,
            started_at: None,
            finished_at: None,
            data_sets,
        }
    }

    #[test]
    fn progress_is_whole_only_when_the_run_has_ended() {
        let all_done = vec![data_set(DataSetState::Completed, 5, Some(5))];
        assert!(run(RunState::Running, all_done.clone()).measured_progress() < WHOLE);
        assert_eq!(
            run(RunState::Completed, all_done).measured_progress(),
            WHOLE
        );
    }

    #[test]
    fn a_data_set_that_reads_more_than_expected_is_not_done_yet() {
        let over = vec![data_set(DataSetState::Running, 50, Some(10))];
        assert!(run(RunState::Running, over).measured_progress() < WHOLE);
    }

    #[test]
    fn a_data_set_without_known_size_counts_nothing_until_it_ends() {
        let unknown = vec![
            data_set(DataSetState::Running, 50, None),
            data_set(DataSetState::Completed, 1, Some(1)),
        ];
        assert_eq!(
            run(RunState::Running, unknown).measured_progress(),
            WHOLE / 2
        );
    }
}
