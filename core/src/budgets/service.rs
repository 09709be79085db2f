//! The exchange between the processes: one short transaction.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;

use super::queries::{self, Row};
use crate::{
    microsoft::throttle::{
        BudgetKey,
        shares::{BudgetShares, Claim, GRACE, Holding, Settled, SharesUnavailable, Told, settle},
    },
    store::{Global, Store, StoreError, dialect, types::StoredTime},
};

/// What is forgotten of processes that are gone: their ids, after longer than any budget's span.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(1);

/// The shares of one application's budgets, in the database.
#[derive(Clone)]
pub struct DatabaseShares {
    store: Store,
    application: String,
}

/// Why nothing was exchanged.
#[derive(Debug, thiserror::Error)]
enum NotExchanged {
    #[error("lease lost")]
    LeaseLost,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DatabaseShares {
    /// The shares of the application with this client id.
    pub fn new(store: Store, application: String) -> Self {
        Self { store, application }
    }
}

impl BudgetShares for DatabaseShares {
    fn exchange(&self, told: Told) -> BoxFuture<'static, Result<Settled, SharesUnavailable>> {
        let Self { store, application } = self.clone();
        Box::pin(async move {
            store
                .global(move |tx| exchange(tx, &application, &told))
                .await
                .map_err(|error| match error {
                    NotExchanged::LeaseLost => SharesUnavailable::LeaseLost,
                    NotExchanged::Store(error) => SharesUnavailable::Unreachable(error.into()),
                })
        })
    }
}

fn exchange(tx: &mut Global<'_>, application: &str, told: &Told) -> Result<Settled, NotExchanged> {
    let now = dialect::begin_sharing(tx)?;
    renew(tx, told, now)?;
    let mine: HashSet<Row> = queries::rows_of(tx, application, told.holder)?
        .into_iter()
        .collect();
    let used: HashSet<BudgetKey> = told.budgets.iter().map(|(key, _claim)| *key).collect();
    for row in mine.iter().filter(|row| !used.contains(&row.key)) {
        queries::remove(tx, application, row)?;
    }
    let tenants: BTreeSet<_> = used.iter().map(|key| key.tenant).collect();
    let mut others: HashMap<BudgetKey, Vec<Holding>> = HashMap::new();
    for (row, lease) in queries::rows_of_others(tx, application, told.holder, &tenants)? {
        let holdings = others.entry(row.key).or_default();
        holdings.extend(holding(&row, lease, now));
    }
    let mut settled = Settled::default();
    for (key, claim) in &told.budgets {
        let holdings = others.get(key).map(Vec::as_slice).unwrap_or_default();
        let grant = settle(told.holder, *claim, holdings);
        let row = Row {
            key: *key,
            holder: told.holder,
            claim: Claim {
                held: grant.held,
                wants: claim.wants,
            },
        };
        if !mine.contains(&row) {
            queries::put(tx, application, &row)?;
        }
        settled.grants.push((*key, grant));
    }
    settled.pauses = pauses(tx, application, told, now)?;
    Ok(settled)
}

/// Renews the lease on all that the process holds, in one statement however much that is.
fn renew(tx: &mut Global<'_>, told: &Told, now: StoredTime) -> Result<(), NotExchanged> {
    let until = StoredTime(now.0 + delta(told.lease));
    let renewable = StoredTime(now.0 - delta(GRACE));
    if queries::renew(tx, told.holder, until, renewable)? {
        return Ok(());
    }
    // What it says it holds may be another's by now.
    let is_new = told.budgets.iter().all(|(_key, claim)| claim.held == 0);
    if !is_new || !queries::insert_holder(tx, told.holder, until)? {
        return Err(NotExchanged::LeaseLost);
    }
    queries::forget_holders(tx, StoredTime(now.0 - FORGOTTEN_AFTER))?;
    Ok(())
}

/// What another process has; nothing once the span of what it may have spent is over.
fn holding(row: &Row, lease: StoredTime, now: StoredTime) -> Option<Holding> {
    let is_live = lease >= now;
    let is_spent = lease.0 + delta(row.key.span()) < now.0;
    (is_live || !is_spent).then_some(Holding {
        holder: row.holder,
        held: row.claim.held,
        wants: row.claim.wants,
        is_live,
    })
}

/// Publishes what was heard, and says what holds.
fn pauses(
    tx: &mut Global<'_>,
    application: &str,
    told: &Told,
    now: StoredTime,
) -> Result<Vec<(BudgetKey, std::time::Duration)>, StoreError> {
    let known = queries::pauses(tx, application)?;
    let (mut holding, ended): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|(_key, until)| *until > now);
    if !ended.is_empty() {
        queries::forget_pauses(tx, application, now)?;
    }
    for (key, left) in &told.pauses {
        let until = StoredTime(now.0 + delta(*left));
        let longer =
            |(known, known_until): &&(BudgetKey, StoredTime)| known == key && *known_until >= until;
        if !holding.iter().any(|pause| longer(&pause)) {
            queries::put_pause(tx, application, *key, until)?;
            holding.push((*key, until));
        }
    }
    let left = |(key, until): (BudgetKey, StoredTime)| {
        (key, (until.0 - now.0).to_std().unwrap_or_default())
    };
    Ok(holding.into_iter().map(left).collect())
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
