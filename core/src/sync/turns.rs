//! Whose turn it is: how busy workers are shared by the organisations of an installation (R26).
//!
//! The organisation that holds the fewest pieces of work in all processes together is served first, so
//! that organisations with due work have equally many under way, however much each of them has. Of
//! equals the one whose work has been due for longest comes first, and within one the oldest work.

use uuid::Uuid;

use crate::{
    ids::OrgId,
    store::dialect::{Able, OrgWork, Urgency},
};

/// After this long, work that yields does not yield any more: it is done last, not never.
const YIELDS_FOR_MS: i64 = 15 * 60 * 1000;

/// A worker as the queue knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots {
    /// The owner its leases name.
    pub(crate) owner: Uuid,
    /// How many pieces of work it does at a time.
    pub(crate) slots: usize,
    /// Which work it can do.
    pub(crate) able: Able,
}

/// Something that may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Whose work.
    pub(crate) org: OrgId,
    /// Which of it.
    pub(crate) urgency: Urgency,
}

/// What a worker with so many slots may claim, best first.
pub(crate) fn turns(work: &[OrgWork], slots: usize) -> Vec<Turn> {
    let mut waiting: Vec<(bool, i64, i64, Turn)> = Vec::new();
    for one in work {
        let has_others = work
            .iter()
            .any(|other| other.has_tenants && other.org_id != one.org_id);
        let full = if has_others { share(slots) } else { slots };
        if usize::try_from(one.held_here).is_ok_and(|held| held >= full) {
            continue;
        }
        let kinds = [
            (Urgency::Pressing, one.pressing_ms),
            (Urgency::Yielding, one.yielding_ms),
        ];
        for (urgency, due_for) in kinds {
            let Some(due_for) = due_for else {
                continue;
            };
            let yields = urgency == Urgency::Yielding && due_for < YIELDS_FOR_MS;
            let turn = Turn {
                org: one.org_id,
                urgency,
            };
            waiting.push((yields, one.held, -due_for, turn));
        }
    }
    waiting.sort_by_key(|(yields, held, age, turn)| (*yields, *held, *age, turn.org));
    waiting
        .into_iter()
        .map(|(_yields, _held, _age, turn)| turn)
        .collect()
}

/// How many slots one organisation may fill while others have tenants or a PSA: three quarters, rounded so that
/// one slot stays free for the others, and never none.
fn share(slots: usize) -> usize {
    let kept = (slots / 4).max(1);
    slots.saturating_sub(kept).max(1)
}

#[cfg(test)]
mod tests;
