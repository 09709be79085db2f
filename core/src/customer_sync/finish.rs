//! How a run ends, and when the connection is read next.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tenantry_psa::HintSource;

use super::{
    checkpoint::{Checkpoint, Pause},
    error::ReadError,
    queries::{self, End},
    read::Session,
    run::{CustomerSyncKind, CustomerSyncRun},
    runs,
};
use crate::{
    audit::{self, Action},
    customers,
    failpoint::failpoint,
    ids::PsaConnectionId,
    psa::{self, PsaConnection, Trouble},
    store::{Scoped, StoreError},
    sync::{
        queue::{self, ClaimedWork},
        run::{RunState, Warning},
    },
};

/// A full read that failed is tried again after this, if not sooner by the schedule.
const FULL_AGAIN: TimeDelta = TimeDelta::hours(1);
/// How long a PSA may make a run wait without letting anything through.
const LONGEST_PAUSE: TimeDelta = TimeDelta::days(1);
/// The first wait where the PSA names none, in seconds; doubled each time.
const FIRST_PAUSE: i64 = 60;
/// The longest such wait, in seconds.
const LONGEST_OWN_PAUSE: i64 = 900;

/// Ends a run whose read is complete, with all that follows from its completeness.
pub(super) async fn complete(session: &Session) -> Result<(), ReadError> {
    failpoint!("customer_sync.before_completion");
    let (work, connection) = (session.work.clone(), session.connection.clone());
    let (mut run, checkpoint) = (session.run.clone(), session.checkpoint.clone());
    session
        .store
        .write(&session.scope, move |tx| {
            work.lease.require_held(&mut tx.global())?;
            let id = connection.id;
            let began = run.started_at.unwrap_or(run.created_at);
            let mut warnings = Vec::new();
            if run.kind == CustomerSyncKind::Full {
                warnings = settle(tx, &connection, &mut run, &checkpoint)?;
            }
            // A read of what webhooks named says nothing about the rest.
            if run.kind == CustomerSyncKind::Full || run.since.is_some() {
                let mut state = runs::state_of(tx, id)?;
                state.changes_since = Some(began);
                queries::store_state(tx, id, &state)?;
                queries::delete_changes(tx, id, began, None)?;
            }
            if !queries::advance_run(tx, &run, &checkpoint)? {
                return Err(ReadError::Cancelled);
            }
            let troubled = psa::find(tx, id)?.is_some_and(|present| present.trouble.is_some());
            if troubled {
                psa::note_trouble(tx, id, None)?;
            }
            let warning = joined(warnings);
            let end = End {
                state: if warning.is_some() {
                    RunState::CompletedWithWarnings
                } else {
                    RunState::Completed
                },
                warning: warning.as_ref(),
                error: None,
            };
            let next = next_due(tx, id)?;
            queue::rest(&mut tx.global(), &work, next)?;
            runs::end(tx, &connection, run.id, &end)?;
            Ok(())
        })
        .await?;
    failpoint!("customer_sync.after_completion");
    Ok(())
}

/// What only a complete full read says: which hints and which customers are not there any more.
fn settle(
    tx: &mut Scoped<'_>,
    connection: &PsaConnection,
    run: &mut CustomerSyncRun,
    checkpoint: &Checkpoint,
) -> Result<Vec<Warning>, StoreError> {
    let (id, generation) = (connection.id, checkpoint.generation);
    let mut warnings = Vec::new();
    for source in [HintSource::TenantMap, HintSource::Contacts] {
        if checkpoint.left_out.contains(&source) {
            // The map is an addition that few PSAs have set up; the test of the connection speaks of it.
            if source == HintSource::Contacts {
                warnings.push(left_out(connection, source));
            }
        } else {
            customers::drop_unseen_hints(tx, id, source, generation)?;
        }
    }
    let absent = customers::settle_absence(tx, id, generation)?;
    run.deactivated += absent.deactivated;
    queries::store_held_back(tx, id, absent.held_back, generation)?;
    if absent.held_back > 0 {
        let (held_back, known) = (absent.held_back, absent.known);
        let details = json!({
            "connectionId": id, "syncRunId": run.id, "vanished": held_back, "known": known,
        });
        audit::record(tx, Action::CustomerRemovalHeldBack, None, details)?;
        warnings.push(Warning::new(
            "customerRemovalHeldBack",
            format!(
                "{held_back} of {known} customers are not in {} any more. They stay until the next full sync agrees.",
                connection.kind.product()
            ),
            "Check the rights and the customer types of the connection; if the customers are really gone, do nothing.",
        ));
    }
    Ok(warnings)
}

fn left_out(connection: &PsaConnection, source: HintSource) -> Warning {
    let what = match source {
        HintSource::TenantMap => "its map of Microsoft tenants",
        HintSource::Contacts => "contacts",
    };
    let product = connection.kind.product();
    Warning::new(
        "psaPermissionMissing",
        format!(
            "{product} does not let this connection read {what}; what was read before is kept."
        ),
        format!(
            "Give the API user of the connection the right to read {what}, or leave it: customers are then matched by less."
        ),
    )
}

/// The first warning, saying of the others that they are there.
fn joined(warnings: Vec<Warning>) -> Option<Warning> {
    let mut warnings = warnings.into_iter();
    let mut first = warnings.next()?;
    for other in warnings {
        first.detail = format!("{} {}", first.detail, other.detail);
    }
    Some(first)
}

/// When there is something to do again.
fn next_due(tx: &mut Scoped<'_>, connection: PsaConnectionId) -> Result<DateTime<Utc>, StoreError> {
    let state = runs::state_of(tx, connection)?;
    let scheduled = state.next_incremental_at.min(state.next_full_at);
    let is_named = !queries::changes(tx, connection, 1)?.is_empty();
    Ok(if is_named { tx.now() } else { scheduled })
}

/// Ends a run that cannot be completed, and says at the connection why.
pub(super) fn fail(
    tx: &mut Scoped<'_>,
    work: &ClaimedWork,
    connection: &PsaConnection,
    run: &CustomerSyncRun,
    trouble: &Trouble,
) -> Result<(), StoreError> {
    if !work.lease.is_held(&mut tx.global())? {
        return Ok(());
    }
    let (id, now) = (connection.id, tx.now());
    // Of a connection that was changed meanwhile the failure says nothing any more.
    let same = psa::find(tx, id)?.is_some_and(|present| {
        present.version == connection.version && present.generation == connection.generation
    });
    if !same {
        return queue::rest(&mut tx.global(), work, now);
    }
    let mut state = runs::state_of(tx, id)?;
    if run.kind == CustomerSyncKind::Full {
        state.next_full_at = state.next_full_at.min(now + FULL_AGAIN);
        queries::store_state(tx, id, &state)?;
    }
    psa::note_trouble(tx, id, Some(trouble))?;
    // Not at once for what webhooks named: it would fail again.
    let next = state.next_incremental_at.min(state.next_full_at);
    queue::rest(
        &mut tx.global(),
        work,
        next.max(now + TimeDelta::minutes(1)),
    )?;
    let end = End {
        state: RunState::Failed,
        warning: None,
        error: Some(trouble),
    };
    runs::end(tx, connection, run.id, &end)?;
    Ok(())
}

/// Nothing is left to do for a run that a person ended.
pub(super) fn leave(
    tx: &mut Scoped<'_>,
    work: &ClaimedWork,
    connection: PsaConnectionId,
) -> Result<(), StoreError> {
    if work.lease.is_held(&mut tx.global())? {
        let next = next_due(tx, connection)?;
        queue::rest(&mut tx.global(), work, next)?;
    }
    Ok(())
}

/// Lets a run wait for as long as the PSA wants. None: it has waited long enough.
pub(super) fn pause(
    tx: &mut Scoped<'_>,
    work: &ClaimedWork,
    run: &CustomerSyncRun,
    checkpoint: &Checkpoint,
    retry_after: Option<u64>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let now = tx.now();
    let Some(pause) = paused(checkpoint.pause.as_ref(), retry_after, now) else {
        return Ok(None);
    };
    let until = pause.until;
    if !work.lease.is_held(&mut tx.global())? {
        return Ok(Some(until));
    }
    let mut checkpoint = checkpoint.clone();
    checkpoint.pause = Some(pause);
    // Of a run that a person ended meanwhile nothing waits.
    let next = if queries::advance_run(tx, run, &checkpoint)? {
        until
    } else {
        now
    };
    queue::rest(&mut tx.global(), work, next)?;
    Ok(Some(until))
}

fn paused(before: Option<&Pause>, retry_after: Option<u64>, now: DateTime<Utc>) -> Option<Pause> {
    let since = before.map_or(now, |pause| pause.since);
    let times = before.map_or(0, |pause| pause.times);
    if now - since >= LONGEST_PAUSE {
        return None;
    }
    let own = FIRST_PAUSE.saturating_mul(2_i64.saturating_pow(times.min(16)));
    let asked = retry_after.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    let seconds = asked
        .unwrap_or(own.min(LONGEST_OWN_PAUSE))
        .clamp(1, LONGEST_PAUSE.num_seconds());
    Some(Pause {
        until: now + TimeDelta::seconds(seconds),
        since,
        times: times.saturating_add(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(before: Option<&Pause>, retry_after: Option<u64>) -> Option<i64> {
        let now = DateTime::UNIX_EPOCH + TimeDelta::hours(30);
        paused(before, retry_after, now).map(|pause| (pause.until - now).num_seconds())
    }

    #[test]
    fn a_pause_is_as_long_as_the_psa_says_and_grows_where_it_says_nothing() {
        let before = |times, hours| Pause {
            until: DateTime::UNIX_EPOCH,
            since: DateTime::UNIX_EPOCH + TimeDelta::hours(hours),
            times,
        };
        assert_eq!(waits(None, Some(17)), Some(17));
        assert_eq!(waits(None, Some(0)), Some(1));
        assert_eq!(waits(None, Some(10_000_000)), Some(86_400));
        assert_eq!(waits(None, None), Some(60));
        assert_eq!(waits(Some(&before(1, 29)), None), Some(120));
        assert_eq!(waits(Some(&before(9, 29)), None), Some(900));
        assert_eq!(waits(Some(&before(9, 6)), None), None, "a day long");
    }
}
