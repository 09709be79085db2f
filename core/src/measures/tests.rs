//! What ended runs and answers come to.

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::{
    ids::{SyncRunId, TenantId},
    sync::run::{RunDataSet, Warning},
};

fn data_set(data_set: DataSet, state: DataSetState, code: Option<&str>) -> RunDataSet {
    RunDataSet {
        data_set,
        state,
        processed: 7,
        expected: None,
        requests: 0,
        retries: 0,
        throttled_ms: 0,
        warning: code.map(|code| Warning::note(code, "")),
    }
}

fn run(state: RunState, began: bool, data_sets: Vec<RunDataSet>) -> SyncRun {
    let start = DateTime::UNIX_EPOCH;
    SyncRun {
        id: SyncRunId::from_uuid(uuid::Uuid::nil()),
        tenant: TenantId::from_uuid(uuid::Uuid::nil()),
        kind: RunKind::Delta,
        state,
        progress: 0,
        created_at: start,
        started_at: began.then_some(start),
        finished_at: Some(start + TimeDelta::seconds(90)),
        data_sets,
    }
}

fn not_zero<const N: usize>(tally: &Tally<N>) -> Vec<([&'static str; N], u64)> {
    tally.read().filter(|(_, number)| *number > 0).collect()
}

fn durations(measures: &Measures) -> (u64, Duration) {
    let (_, spread) = measures.run_duration.read().next().unwrap();
    (spread.count, spread.sum)
}

#[test]
fn an_ended_run_counts_with_its_data_sets() {
    let measures = Measures::default();
    let data_sets = vec![
        data_set(
            DataSet::Users,
            DataSetState::Completed,
            Some("removalHeldBack"),
        ),
        data_set(
            DataSet::Groups,
            DataSetState::Failed,
            Some("unexpectedAnswer"),
        ),
        data_set(
            DataSet::Devices,
            DataSetState::Failed,
            Some("appNotConsented"),
        ),
        data_set(
            DataSet::Mailboxes,
            DataSetState::Skipped,
            Some("notLicensed"),
        ),
    ];
    let ended = run(RunState::CompletedWithWarnings, true, data_sets);
    measures.committed(&Fact::RunEnded(ended));
    assert_eq!(
        not_zero(&measures.runs),
        [(["delta", "completedWithWarnings"], 1)]
    );
    assert_eq!(durations(&measures), (1, Duration::from_secs(90)));
    assert_eq!(not_zero(&measures.objects).len(), 4);
    assert_eq!(
        not_zero(&measures.failures),
        [
            (["devices", "other"], 1),
            (["groups", "unexpectedAnswer"], 1)
        ]
    );
}

#[test]
fn a_run_that_no_worker_began_has_no_duration() {
    let measures = Measures::default();
    let ended = run(RunState::Cancelled, false, Vec::new());
    measures.committed(&Fact::RunEnded(ended));
    assert_eq!(not_zero(&measures.runs), [(["delta", "cancelled"], 1)]);
    assert_eq!(durations(&measures).0, 0);
}

#[test]
fn a_status_is_an_outcome() {
    for (status, outcome) in [
        (200, Outcome::Ok),
        (302, Outcome::Ok),
        (400, Outcome::Refused),
        (404, Outcome::Refused),
        (429, Outcome::Throttled),
        (500, Outcome::Failed),
        (503, Outcome::Failed),
    ] {
        assert_eq!(Outcome::of_status(status), outcome, "{status}");
    }
}
