//! What the change log says about a stretch of time, object by object.

use std::collections::HashMap;

use uuid::Uuid;

use super::delta_round::Round;
use crate::fake_microsoft::directory::{Directory, ObjectKind, Row, State, changes::What};

/// What happened to one object.
#[derive(Default)]
pub struct Touched {
    pub row: usize,
    /// Place of its last change in the log.
    pub last: u64,
    /// Columns that were set.
    pub mask: u64,
    /// It was created or came back: every property counts as changed.
    pub fresh: bool,
    pub restored: bool,
    /// It went away.
    removed: bool,
    /// Members added (true) and removed, in the order it happened: the later wins.
    pub members: Vec<(bool, ObjectKind, Uuid)>,
}

impl Touched {
    /// Whether a query that selected this learns of the change.
    pub fn surfaces(&self, row: &Row, round: &Round) -> bool {
        match row.state {
            State::Deleted | State::Purged => self.removed,
            State::Live => {
                let told_members = round.members && !self.members.is_empty();
                self.fresh || self.mask & round.mask != 0 || told_members
            }
        }
    }
}

/// The objects of a kind that changed, by the time of their last change.
pub fn touched(directory: &Directory, kind: ObjectKind, since: u64, until: u64) -> Vec<Touched> {
    let mut all: HashMap<usize, Touched> = HashMap::new();
    let length = usize::try_from(until.saturating_sub(since)).expect("a count");
    let first = usize::try_from(since).expect("a place in the log");
    let changes = directory.log.iter().enumerate().skip(first).take(length);
    for (place, change) in changes.filter(|(_, change)| change.kind == kind) {
        let touched = all.entry(change.row).or_default();
        touched.row = change.row;
        touched.last = place as u64;
        match &change.what {
            What::Created => touched.fresh = true,
            What::Updated(mask) => touched.mask |= mask,
            What::Restored => {
                touched.fresh = true;
                touched.restored = true;
            }
            What::Deleted | What::Purged => touched.removed = true,
            What::MemberAdded(kind, id) => touched.members.push((true, *kind, *id)),
            What::MemberRemoved(kind, id) => touched.members.push((false, *kind, *id)),
        }
    }
    let mut touched: Vec<Touched> = all.into_values().collect();
    touched.sort_by_key(|one| one.last);
    touched
}
