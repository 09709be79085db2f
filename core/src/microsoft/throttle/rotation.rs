//! Who is served next among those who wait: people before background work, then organisations in turn,
//! and within one its tenants in turn. A tenant's own requests keep their order.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{Priority, workload::Workload};
use crate::ids::{OrgId, TenantId};

/// Who waits: a tenant's workload.
pub(super) type Place = (TenantId, Workload);

/// What became of an attempt to serve somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Served.
    Served,
    /// Waits no more.
    Gone,
    /// Not before this moment.
    Later(Instant),
}

/// All who wait.
pub(super) struct Rotation<T> {
    people: Circle<OrgId, Circle<Place, Line<T>>>,
    background: Circle<OrgId, Circle<Place, Line<T>>>,
}

/// Groups that take turns: the front is next.
struct Circle<K, V>(VecDeque<(K, V)>);

/// A line in which everybody keeps the order.
struct Line<T>(VecDeque<T>);

impl<T> Default for Rotation<T> {
    fn default() -> Self {
        Self {
            people: Circle::default(),
            background: Circle::default(),
        }
    }
}

impl<K, V> Default for Circle<K, V> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Rotation<T> {
    /// Puts somebody at the end of its line.
    pub(super) fn join(&mut self, priority: Priority, org: OrgId, place: Place, who: T) {
        let orgs = match priority {
            Priority::Normal => &mut self.people,
            Priority::Low => &mut self.background,
        };
        orgs.group(org, |places| {
            places.group(place, |line| line.0.push_back(who));
        });
    }

    /// Serves as many as can be, each in turn; the earliest moment at which another can be.
    pub(super) fn serve(&mut self, mut serve: impl FnMut(&T) -> Turn) -> Option<Instant> {
        let mut next = None;
        for orgs in [&mut self.people, &mut self.background] {
            // Each round serves one of each organisation, until a round serves nobody.
            loop {
                let mut later = None;
                let served = orgs.round(usize::MAX, |places| {
                    places.round(1, |line| line.front(&mut serve, &mut later)) > 0
                });
                if served == 0 {
                    next = earlier(next, later);
                    break;
                }
            }
        }
        next
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

impl<K: PartialEq, V: Default> Circle<K, V> {
    /// Does something with the group of this name; a new one comes last.
    fn group(&mut self, name: K, change: impl FnOnce(&mut V)) {
        if let Some((_name, group)) = self.0.iter_mut().find(|(known, _)| *known == name) {
            change(group);
        } else {
            let mut group = V::default();
            change(&mut group);
            self.0.push_back((name, group));
        }
    }
}

/// Somewhere people wait.
trait Waiting {
    fn is_empty(&self) -> bool;
}

impl<K, V> Waiting for Circle<K, V> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Waiting for Line<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V: Waiting> Circle<K, V> {
    /// Gives each group a turn until `most` were served; how many were. Who was served goes to the end,
    /// who was not keeps its place, and who is empty leaves.
    fn round(&mut self, most: usize, mut turn: impl FnMut(&mut V) -> bool) -> usize {
        let mut kept = VecDeque::with_capacity(self.0.len());
        let mut served = VecDeque::new();
        while let Some((name, mut group)) = self.0.pop_front() {
            let was_served = served.len() < most && turn(&mut group);
            if was_served {
                served.push_back((name, group));
            } else {
                kept.push_back((name, group));
            }
        }
        let count = served.len();
        kept.append(&mut served);
        kept.retain(|(_name, group)| !group.is_empty());
        self.0 = kept;
        count
    }
}

impl<T> Line<T> {
    /// Serves the first who still waits; whether one was.
    fn front(&mut self, serve: &mut impl FnMut(&T) -> Turn, later: &mut Option<Instant>) -> bool {
        while let Some(first) = self.0.front() {
            match serve(first) {
                Turn::Served => {
                    self.0.pop_front();
                    return true;
                }
                Turn::Gone => {
                    self.0.pop_front();
                }
                Turn::Later(at) => {
                    *later = earlier(*later, Some(at));
                    return false;
                }
            }
        }
        false
    }
}
