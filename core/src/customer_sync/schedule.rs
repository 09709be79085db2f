//! When a connection is read, and the piece of work that does it.

use chrono::{DateTime, TimeDelta, Utc};
use tenantry_psa::ExternalId;

use super::{
    queries::{self, State},
    run::CustomerSyncKind,
};
use crate::{
    ids::PsaConnectionId,
    psa::{PsaConnection, PsaSettings},
    store::{Scoped, StoreError},
    sync::queue::{self, Task, Work, WorkKind},
};

/// After this time a new or changed connection is read by itself: whoever made it mostly tests it and asks
/// for a sync, and should not find one under way.
const SETTLES: TimeDelta = TimeDelta::minutes(2);
/// Records that are asked for one by one; more are found among the changes.
pub(super) const MOST_NAMED: usize = 50;
/// The trouble in which no call is made by itself: PSAs lock users who are refused again and again.
const LOCKING: &str = "psaCredentialsRejected";
/// Once in this time it is tried all the same: a refusal may have been the PSA's own fault, and one try a day
/// locks nobody.
const PROBES: TimeDelta = TimeDelta::days(1);

/// A connection is there: its work begins, and stays for as long as it does.
pub(crate) fn connection_created(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<(), StoreError> {
    let due_at = tx.now() + SETTLES;
    enqueue(tx, connection, due_at)?;
    queries::insert_state(tx, connection, due_at)
}

/// A person changed a connection: a run that was waiting or refused tries again, and everything is read
/// soon, for other types of customers may be wanted.
pub(crate) fn connection_changed(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<(), StoreError> {
    wake(tx, connection)?;
    queries::insert_state(tx, connection, tx.now() + SETTLES)?;
    queries::read_all_by(tx, connection, tx.now() + SETTLES)?;
    queries::end_pause(tx, connection)
}

/// A connection goes: its work goes with it, and whoever is at it finds the lease gone.
pub(crate) fn connection_deleted(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<(), StoreError> {
    queue::remove(
        &mut tx.global(),
        WorkKind::CustomerSync,
        connection.as_uuid(),
    )
}

/// Has a worker look at the connection at once.
pub(super) fn wake(tx: &mut Scoped<'_>, connection: PsaConnectionId) -> Result<(), StoreError> {
    let now = tx.now();
    enqueue(tx, connection, now)
}

fn enqueue(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let work = Work {
        org: tx.org(),
        task: Task::CustomerSync { connection },
        due_at,
    };
    queue::enqueue(&mut tx.global(), work)
}

/// What a claim is to do where no run is under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Read these records.
    Named(Vec<ExternalId>),
    /// Read this.
    Read(CustomerSyncKind),
    /// Nothing before this moment.
    Nothing(DateTime<Utc>),
}

/// What is due for a connection of which webhooks named these records. A full read comes before an
/// incremental one, for it brings the changes, too.
pub(super) fn due(
    connection: &PsaConnection,
    state: &State,
    mut named: Vec<ExternalId>,
    now: DateTime<Utc>,
) -> Due {
    let refused = connection
        .trouble
        .as_ref()
        .filter(|trouble| trouble.code == LOCKING);
    if let Some(again) = refused
        .map(|trouble| trouble.at + PROBES)
        .filter(|again| *again > now)
    {
        return Due::Nothing(again);
    }
    if state.next_full_at <= now {
        return Due::Read(CustomerSyncKind::Full);
    }
    let can_read_changes = state.changes_since.is_some();
    if state.next_incremental_at <= now || named.len() > MOST_NAMED {
        return Due::Read(if can_read_changes {
            CustomerSyncKind::Incremental
        } else {
            CustomerSyncKind::Full
        });
    }
    if !named.is_empty() && can_read_changes {
        named.sort();
        return Due::Named(named);
    }
    Due::Nothing(state.next_incremental_at.min(state.next_full_at))
}

/// The span between two reads of changes.
pub(super) fn incremental_every(settings: &PsaSettings) -> TimeDelta {
    TimeDelta::minutes(i64::from(settings.incremental_minutes.clamp(5, 1440)))
}

/// The span between two full reads.
pub(super) fn full_every(settings: &PsaSettings) -> TimeDelta {
    TimeDelta::hours(i64::from(settings.full_hours.clamp(1, 168)))
}

#[cfg(test)]
mod tests {
    use tenantry_psa::PsaKind;
    use uuid::Uuid;

    use super::*;
    use crate::psa::Trouble;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn connection(trouble: Option<&str>) -> PsaConnection {
        PsaConnection {
            id: PsaConnectionId::from_uuid(Uuid::nil()),
            kind: PsaKind::Autotask,
            name: "A".to_owned(),
            base_url: "https://a.example".to_owned(),
            settings: PsaSettings::default(),
            system: "a".to_owned(),
            generation: 1,
            trouble: trouble.map(|code| Trouble {
                code: code.to_owned(),
                detail: String::new(),
                action: None,
                at: at(0),
            }),
            version: 1,
            created_at: at(0),
            changed_at: at(0),
        }
    }

    fn state(read: bool, incremental: i64, full: i64) -> State {
        State {
            generation: 0,
            changes_since: read.then(|| at(0)),
            next_incremental_at: at(incremental),
            next_full_at: at(full),
        }
    }

    fn named(number: usize) -> Vec<ExternalId> {
        (0..number).map(|n| ExternalId(n.to_string())).collect()
    }

    #[test]
    fn what_is_due_follows_from_the_schedule_and_the_named_records() {
        let fine = connection(None);
        let now = at(100);
        let decide = |state, number| due(&fine, &state, named(number), now);
        assert_eq!(
            decide(state(true, 110, 120), 0),
            Due::Nothing(at(110)),
            "nothing yet"
        );
        let incremental = Due::Read(CustomerSyncKind::Incremental);
        assert_eq!(decide(state(true, 100, 120), 0), incremental);
        let full = Due::Read(CustomerSyncKind::Full);
        assert_eq!(decide(state(true, 100, 100), 3), full, "brings all");
        assert_eq!(
            decide(state(false, 100, 120), 0),
            full,
            "no changes without one"
        );
        assert_eq!(decide(state(true, 110, 120), 2), Due::Named(named(2)));
        assert_eq!(decide(state(true, 110, 120), 51), incremental, "too many");
        assert_eq!(decide(state(false, 110, 120), 2), Due::Nothing(at(110)));
    }

    #[test]
    fn a_refusal_of_the_credentials_is_tried_once_a_day() {
        let refused = connection(Some("psaCredentialsRejected"));
        let again = refused
            .trouble
            .as_ref()
            .map(|trouble| trouble.at + PROBES)
            .unwrap();
        let before = again - TimeDelta::minutes(1);
        let state_then = state(true, 1, 1);
        assert_eq!(
            due(&refused, &state_then, named(2), before),
            Due::Nothing(again)
        );
        let full = Due::Read(CustomerSyncKind::Full);
        assert_eq!(due(&refused, &state_then, named(2), again), full);
        let other = connection(Some("psaUnreachable"));
        assert_eq!(due(&other, &state_then, named(2), at(100)), full);
    }
}
