//! What this process has done since it started, in numbers for metrics.
//!
//! Labels are words from closed sets, never ids, and every combination of them is there from the
//! start. What a transaction did is counted by the store, after the commit.

mod tally;

use std::time::Duration;

use tenantry_psa::PsaKind;

pub use self::tally::{Durations, Spread, Tally};
use crate::{
    microsoft::data_set::DataSet,
    sync::run::{DataSetState, RunKind, RunState, SyncRun},
};

/// Why data sets fail, by the codes of their warnings.
const FAILURES: [&str; 7] = [
    "permissionMissing",
    "upstreamThrottled",
    "microsoftUnavailable",
    "microsoftRefused",
    "unexpectedAnswer",
    "syncGaveUp",
    "cancelled",
];
/// Stands for every other code.
const OTHER: &str = "other";

/// From a second to a working day, in seconds.
const RUN_BUCKETS: [u64; 12] = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 28_800];
/// Up to the longest that a request may take, in milliseconds.
const REQUEST_BUCKETS: [u64; 11] = [
    50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000,
];

/// Whom requests are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// Microsoft's identity platform.
    Login,
    /// Microsoft Graph.
    Graph,
    /// Where Microsoft keeps usage reports for download.
    Reports,
    /// The PSA systems of the organisations.
    Psa,
}

impl Upstream {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Login, Self::Graph, Self::Reports, Self::Psa];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Graph => "graph",
            Self::Reports => "reports",
            Self::Psa => "psa",
        }
    }
}

/// What a request came to, by the head of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A success or a redirect.
    Ok,
    /// Too many requests: status 429.
    Throttled,
    /// Any other status of the four hundreds.
    Refused,
    /// A status of the five hundreds.
    Failed,
    /// No answer.
    Unreachable,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Ok,
        Self::Throttled,
        Self::Refused,
        Self::Failed,
        Self::Unreachable,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Throttled => "throttled",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }

    /// What an answer with this status is.
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            429 => Self::Throttled,
            400..=499 => Self::Refused,
            500.. => Self::Failed,
            0..=399 => Self::Ok,
        }
    }
}

/// What came of an exchange with a PSA about a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketOutcome {
    /// A ticket was opened.
    Opened,
    /// The ticket was open already.
    Found,
    /// A ticket was closed.
    Closed,
    /// It did not work; it is tried again.
    Failed,
}

impl TicketOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Opened, Self::Found, Self::Closed, Self::Failed];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Found => "found",
            Self::Closed => "closed",
            Self::Failed => "failed",
        }
    }
}

/// What a transaction made true.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A run ended, with all its data sets.
    RunEnded(SyncRun),
    /// A sync of customers from a PSA ended.
    CustomerSyncEnded(PsaKind, RunState),
    /// An event was appended to an audit chain.
    AuditEvent,
    /// A PSA was asked about a ticket.
    Ticket(TicketOutcome),
}

/// All numbers of this process. Shared by those who count and those who show.
#[derive(Debug)]
pub struct Measures {
    /// Runs that ended, by kind and state.
    pub runs: Tally<2>,
    /// From the claim of a run by a worker to its end.
    pub run_duration: Durations<0>,
    /// Objects that ended runs read, by data set.
    pub objects: Tally<1>,
    /// Data sets that failed in ended runs, by data set and code.
    pub failures: Tally<2>,
    /// Syncs of customers that ended, by PSA and state.
    pub customer_syncs: Tally<2>,
    /// Events of the audit.
    pub audit_events: Tally<0>,
    /// Exchanges with PSAs about tickets, by outcome.
    pub tickets: Tally<1>,
    /// Requests that were sent, by upstream and outcome.
    pub requests: Tally<2>,
    /// Until the head of the answer, by upstream.
    pub request_duration: Durations<1>,
    /// Milliseconds waited because an upstream limits us, by upstream.
    pub throttled_ms: Tally<1>,
}

impl Default for Measures {
    fn default() -> Self {
        let data_sets = DataSet::ALL.map(DataSet::name);
        let upstreams = Upstream::ALL.map(Upstream::as_str);
        let ended = RunState::ALL.iter().filter(|state| state.has_ended());
        let ended: Vec<_> = ended.map(|state| state.as_str()).collect();
        let kinds: Vec<_> = RunKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let codes = [FAILURES.as_slice(), &[OTHER]].concat();
        Self {
            runs: Tally::new(pairs(&kinds, &ended)),
            run_duration: Durations::new(&RUN_BUCKETS.map(Duration::from_secs), [[]]),
            objects: Tally::new(data_sets.map(|name| [name])),
            failures: Tally::new(pairs(&data_sets, &codes)),
            customer_syncs: Tally::new(pairs(&PsaKind::ALL.map(PsaKind::as_str), &ended)),
            audit_events: Tally::new([[]]),
            tickets: Tally::new(TicketOutcome::ALL.map(|outcome| [outcome.as_str()])),
            requests: Tally::new(pairs(&upstreams, &Outcome::ALL.map(Outcome::as_str))),
            request_duration: Durations::new(
                &REQUEST_BUCKETS.map(Duration::from_millis),
                upstreams.map(|name| [name]),
            ),
            // A request for a token is never held back.
            throttled_ms: Tally::new([
                [Upstream::Graph.as_str()],
                [Upstream::Reports.as_str()],
                [Upstream::Psa.as_str()],
            ]),
        }
    }
}

impl Measures {
    /// Counts what has been committed.
    pub(crate) fn committed(&self, fact: &Fact) {
        match fact {
            Fact::RunEnded(run) => self.run_ended(run),
            Fact::CustomerSyncEnded(kind, state) => {
                self.customer_syncs.add([kind.as_str(), state.as_str()], 1);
            }
            Fact::AuditEvent => self.audit_events.add([], 1),
            Fact::Ticket(outcome) => self.tickets.add([outcome.as_str()], 1),
        }
    }

    fn run_ended(&self, run: &SyncRun) {
        self.runs.add([run.kind.as_str(), run.state.as_str()], 1);
        if let (Some(started), Some(finished)) = (run.started_at, run.finished_at) {
            let took = (finished - started).to_std().unwrap_or_default();
            self.run_duration.add([], took);
        }
        for set in &run.data_sets {
            let name = set.data_set.name();
            let read = u64::try_from(set.processed).unwrap_or_default();
            self.objects.add([name], read);
            if set.state == DataSetState::Failed {
                let code = set.warning.as_ref().map(|warning| warning.code.as_str());
                let known = FAILURES.into_iter().find(|known| Some(*known) == code);
                self.failures.add([name, known.unwrap_or(OTHER)], 1);
            }
        }
    }

    /// Counts a request that was sent.
    pub(crate) fn requested(&self, upstream: Upstream, outcome: Outcome, took: Duration) {
        self.requests.add([upstream.as_str(), outcome.as_str()], 1);
        self.request_duration.add([upstream.as_str()], took);
    }

    /// Counts a wait that the upstream caused by limiting us.
    pub(crate) fn throttled(&self, upstream: Upstream, wait: Duration) {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.throttled_ms.add([upstream.as_str()], wait);
    }
}

/// Every value of the one label with every value of the other.
fn pairs(
    first: &[&'static str],
    second: &[&'static str],
) -> impl Iterator<Item = [&'static str; 2]> {
    first
        .iter()
        .flat_map(move |one| second.iter().map(move |other| [*one, *other]))
}

#[cfg(test)]
mod tests;
