//! The documents of one organisation, in the order in which they came.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::StatusSnapshot;
use crate::ids::TenantId;

/// So many numbers are kept that came early. A worker never hears of the changes of other processes,
/// so in it they would only grow; where they are read, those that were not kept are among them.
const MOST_AHEAD: usize = 1_000;

/// All documents of one organisation.
#[derive(Default)]
pub(super) struct Documents {
    tenants: HashMap<TenantId, Slot>,
    /// Each tenant once, by when its newest document came.
    arrivals: BTreeMap<u64, TenantId>,
    /// Each tenant with a completed run, by the end of its last one.
    completions: BTreeSet<(DateTime<Utc>, TenantId)>,
    /// Number of the last arrival.
    arrived: u64,
    /// Every change up to here has come.
    complete_to: i64,
    /// Numbers of changes that came before one with a lower number did.
    ahead: BTreeSet<i64>,
    news: watch::Sender<()>,
}

/// The newest document of a tenant, and where it changes.
struct Slot {
    publisher: watch::Sender<Arc<StatusSnapshot>>,
    arrival: u64,
    /// What had come when it came.
    complete_to: i64,
}

impl Slot {
    fn snapshot(&self) -> Arc<StatusSnapshot> {
        Arc::clone(&self.publisher.borrow())
    }
}

/// What comes next in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextArrival {
    /// The newest document of a tenant.
    Some {
        /// Number of its arrival.
        arrival: u64,
        /// Whoever has read up to this arrival has every change up to this number.
        complete_to: i64,
        /// The document.
        snapshot: Arc<StatusSnapshot>,
    },
    /// Everything was read.
    None {
        /// The reader has every change up to this number.
        complete_to: i64,
    },
}

/// A tenant in the order of the ends of last runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Its place in that order.
    pub place: (DateTime<Utc>, TenantId),
    /// Number of its document's arrival.
    pub arrival: u64,
    /// The document.
    pub snapshot: Arc<StatusSnapshot>,
}

impl Documents {
    pub(super) fn take(&mut self, snapshot: &Arc<StatusSnapshot>) {
        self.count(snapshot.sequence);
        let tenant = snapshot.tenant;
        let known = self.tenants.get(&tenant);
        if known.is_none_or(|slot| slot.publisher.borrow().version < snapshot.version) {
            self.put(tenant, snapshot);
        }
        self.news.send_replace(());
    }

    fn put(&mut self, tenant: TenantId, snapshot: &Arc<StatusSnapshot>) {
        self.arrived += 1;
        let (arrival, complete_to) = (self.arrived, self.complete_to);
        if let Some(completed) = snapshot.last_completed_at {
            self.completions.insert((completed, tenant));
        }
        self.arrivals.insert(arrival, tenant);
        match self.tenants.get_mut(&tenant) {
            Some(slot) => {
                let before = slot.publisher.send_replace(Arc::clone(snapshot));
                self.arrivals.remove(&slot.arrival);
                if before.last_completed_at != snapshot.last_completed_at
                    && let Some(completed) = before.last_completed_at
                {
                    self.completions.remove(&(completed, tenant));
                }
                (slot.arrival, slot.complete_to) = (arrival, complete_to);
            }
            None => {
                let slot = Slot {
                    publisher: watch::Sender::new(Arc::clone(snapshot)),
                    arrival,
                    complete_to,
                };
                self.tenants.insert(tenant, slot);
            }
        }
    }

    /// A change with this number has come. Numbers have no gaps, but two transactions of this process
    /// may come in the other order than they committed, and changes of other processes come later.
    fn count(&mut self, sequence: i64) {
        if sequence > self.complete_to && self.ahead.len() < MOST_AHEAD {
            self.ahead.insert(sequence);
        }
        self.catch_up();
    }

    /// Every change up to this number has come.
    pub(super) fn complete_to(&mut self, sequence: i64) {
        self.complete_to = self.complete_to.max(sequence);
        self.catch_up();
        self.news.send_replace(());
    }

    fn catch_up(&mut self) {
        while let Some(first) = self.ahead.first().copied()
            && first <= self.complete_to + 1
        {
            self.complete_to = self.complete_to.max(first);
            self.ahead.remove(&first);
        }
    }

    pub(super) fn is_complete_to(&self) -> i64 {
        self.complete_to
    }

    pub(super) fn get(&self, tenant: TenantId) -> Option<Arc<StatusSnapshot>> {
        self.tenants.get(&tenant).map(Slot::snapshot)
    }

    pub(super) fn watch(&self, tenant: TenantId) -> Option<watch::Receiver<Arc<StatusSnapshot>>> {
        let slot = self.tenants.get(&tenant)?;
        Some(slot.publisher.subscribe())
    }

    pub(super) fn watch_all(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    pub(super) fn next_arrival(&self, after: u64) -> NextArrival {
        let mut later = self
            .arrivals
            .range((Bound::Excluded(after), Bound::Unbounded));
        later
            .next()
            .and_then(|(arrival, tenant)| {
                let slot = self.tenants.get(tenant)?;
                Some(NextArrival::Some {
                    arrival: *arrival,
                    complete_to: slot.complete_to,
                    snapshot: slot.snapshot(),
                })
            })
            .unwrap_or(NextArrival::None {
                complete_to: self.complete_to,
            })
    }

    pub(super) fn next_completion(
        &self,
        after: (DateTime<Utc>, TenantId),
        before: DateTime<Utc>,
    ) -> Option<Completion> {
        let mut later = self
            .completions
            .range((Bound::Excluded(after), Bound::Unbounded));
        let place = *later.next().filter(|(completed, _)| *completed < before)?;
        let slot = self.tenants.get(&place.1)?;
        Some(Completion {
            place,
            arrival: slot.arrival,
            snapshot: slot.snapshot(),
        })
    }

    pub(super) fn snapshots(&self) -> impl Iterator<Item = Arc<StatusSnapshot>> {
        self.tenants.values().map(Slot::snapshot)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn snapshot(of: u128, version: i64, sequence: i64) -> Arc<StatusSnapshot> {
        Arc::new(StatusSnapshot {
            tenant: tenant(of),
            version,
            sequence,
            document: "{}".into(),
            last_completed_at: None,
            active: false,
        })
    }

    fn completed(of: u128, version: i64, minutes: i64) -> Arc<StatusSnapshot> {
        let mut snapshot = StatusSnapshot::clone(&snapshot(of, version, version));
        snapshot.last_completed_at = Some(at(minutes));
        Arc::new(snapshot)
    }

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    /// Everything after an arrival: tenants with their versions and what the reader then has, and at
    /// the end what it has of all.
    fn read(documents: &Documents, mut after: u64) -> (Vec<(TenantId, i64, i64)>, i64, u64) {
        let mut met = Vec::new();
        loop {
            match documents.next_arrival(after) {
                NextArrival::Some {
                    arrival,
                    complete_to,
                    snapshot,
                } => {
                    after = arrival;
                    met.push((snapshot.tenant, snapshot.version, complete_to));
                }
                NextArrival::None { complete_to } => return (met, complete_to, after),
            }
        }
    }

    #[test]
    fn each_tenant_is_met_once_at_its_newest() {
        let mut documents = Documents::default();
        for sequence in 1..=100 {
            documents.take(&snapshot(1, sequence, sequence));
        }
        documents.take(&snapshot(2, 1, 101));
        let (met, complete_to, after) = read(&documents, 0);
        assert_eq!(met, [(tenant(1), 100, 100), (tenant(2), 1, 101)]);
        assert_eq!(complete_to, 101);
        assert_eq!(documents.arrivals.len(), 2);
        documents.take(&snapshot(1, 101, 102));
        assert_eq!(read(&documents, after).0, [(tenant(1), 101, 102)]);
    }

    #[test]
    fn a_reader_is_told_that_it_has_a_change_only_when_it_has_all_before() {
        let mut documents = Documents::default();
        documents.take(&snapshot(1, 1, 1));
        documents.take(&snapshot(3, 1, 3));
        let (met, complete_to, after) = read(&documents, 0);
        assert_eq!(met, [(tenant(1), 1, 1), (tenant(3), 1, 1)]);
        assert_eq!(complete_to, 1, "the second has not come");
        documents.take(&snapshot(2, 1, 2));
        assert_eq!(read(&documents, after), (vec![(tenant(2), 1, 3)], 3, 3));
        assert!(documents.ahead.is_empty());
    }

    #[test]
    fn an_overtaken_change_counts_and_is_not_met() {
        let mut documents = Documents::default();
        let mut news = documents.watch_all();
        documents.take(&snapshot(1, 2, 2));
        let (met, complete_to, after) = read(&documents, 0);
        assert_eq!((met, complete_to), (vec![(tenant(1), 2, 0)], 0));
        news.mark_unchanged();
        documents.take(&snapshot(1, 1, 1));
        assert!(news.has_changed().unwrap(), "what it has is news, too");
        assert_eq!(read(&documents, after), (Vec::new(), 2, after));
        assert_eq!(documents.get(tenant(1)).unwrap().version, 2);
    }

    #[test]
    fn changes_of_other_processes_close_the_gaps() {
        let mut documents = Documents::default();
        documents.take(&snapshot(1, 1, 5));
        assert_eq!(documents.is_complete_to(), 0);
        documents.complete_to(4);
        assert_eq!(documents.is_complete_to(), 5);
        documents.complete_to(2);
        assert_eq!(documents.is_complete_to(), 5, "it never falls");
    }

    #[test]
    fn a_process_that_never_hears_of_others_keeps_no_more_and_more_numbers() {
        let mut documents = Documents::default();
        for version in 1..=5_000 {
            documents.take(&snapshot(1, version, version * 2));
        }
        assert_eq!(documents.ahead.len(), MOST_AHEAD);
        documents.complete_to(9_998);
        assert!(documents.ahead.is_empty());
        documents.take(&snapshot(1, 5_001, 9_999));
        assert_eq!(documents.is_complete_to(), 9_999);
    }

    #[test]
    fn tenants_are_found_by_the_end_of_their_last_run() {
        let mut documents = Documents::default();
        let start = (at(0), tenant(0));
        documents.take(&completed(1, 1, 30));
        documents.take(&completed(2, 2, 10));
        documents.take(&snapshot(3, 3, 3));
        let next = |documents: &Documents, after, before| {
            documents
                .next_completion(after, before)
                .map(|next| next.place)
        };
        assert_eq!(next(&documents, start, at(10)), None);
        assert_eq!(next(&documents, start, at(60)), Some((at(10), tenant(2))));
        let place = (at(10), tenant(2));
        assert_eq!(next(&documents, place, at(60)), Some((at(30), tenant(1))));
        documents.take(&completed(2, 4, 50));
        assert_eq!(next(&documents, start, at(60)), Some((at(30), tenant(1))));
        assert_eq!(documents.completions.len(), 2);
    }
}
