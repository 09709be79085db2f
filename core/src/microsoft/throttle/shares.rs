//! How processes share Microsoft's budgets: by leases on slices.
//!
//! A budget is cut into [`SLICES`]. A process holds some of them and spends, in memory, only from what it
//! holds. Every second it tells what it holds and wants, and is told what it gets. A slice changes hands
//! only once nothing was spent from it in the budget's span: its holder gives it back then, and what a
//! dead process held comes free a span after its lease ended. So the sum never exceeds the budget,
//! whoever dies, stalls or moves a clock.

use std::time::Duration;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::workload::BudgetKey;

/// The slices of each budget.
pub const SLICES: u32 = 32;
/// Slices that nobody takes but processes that have none, one each, so that a newcomer need not wait
/// until another has given something back.
const RESERVE: u32 = 3;

/// Where processes tell each other what they hold. What is in memory is enough for a test; the real one
/// is the database.
pub trait BudgetShares: Send + Sync + 'static {
    /// Tells what this process holds, wants and has heard, and takes what is free for it, in one step
    /// that no other process comes between.
    fn exchange(&self, told: Told) -> BoxFuture<'static, Result<Settled, SharesUnavailable>>;
}

/// What a process tells.
#[derive(Debug, Clone)]
pub struct Told {
    /// Who tells.
    pub holder: Uuid,
    /// For how long it asks to hold what it gets.
    pub lease: Duration,
    /// The budgets it uses. What it held of others is free.
    pub budgets: Vec<(BudgetKey, Claim)>,
    /// Pauses that Microsoft named since the last time: from now on for so long.
    pub pauses: Vec<(BudgetKey, Duration)>,
}

/// What a process holds and wants of one budget, in slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// What it holds; never more than it was granted.
    pub held: u32,
    /// What it would like to hold; at least one.
    pub wants: u32,
}

/// What a process is told.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// Of each budget it uses, what is its.
    pub grants: Vec<(BudgetKey, Grant)>,
    /// Pauses that hold now, with what is left of them.
    pub pauses: Vec<(BudgetKey, Duration)>,
}

/// What is a process's of one budget, in slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// What it holds.
    pub held: u32,
    /// What it should hold: what is more it gives back.
    pub fair: u32,
}

/// Nobody can say at this moment what the others hold.
#[derive(Debug, thiserror::Error)]
pub enum SharesUnavailable {
    /// The lease ended so long ago that what was held is lost: begin anew as somebody else.
    #[error("lease on budgets was lost")]
    LeaseLost,
    /// They cannot be reached.
    #[error("shares of budgets cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How long a lease that has ended may still be renewed: shorter than any span, so nobody has taken what
/// it held.
pub const GRACE: Duration = Duration::from_secs(8);

/// What another process has of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Who.
    pub holder: Uuid,
    /// Its slices.
    pub held: u32,
    /// What it would like to hold.
    pub wants: u32,
    /// Whether its lease runs. One that has ended takes no part any more, but what it held is not free
    /// before the budget's span has passed.
    pub is_live: bool,
}

/// What a process gets of a budget besides these others. The others' holdings include those of dead
/// processes whose slices are not free yet.
pub fn settle(holder: Uuid, claim: Claim, others: &[Holding]) -> Grant {
    let taken: u32 = others.iter().map(|other| other.held).sum();
    let free = SLICES.saturating_sub(taken).saturating_sub(claim.held);
    let dead: u32 = others
        .iter()
        .filter(|other| !other.is_live)
        .map(|other| other.held)
        .sum();
    let mut wanting: Vec<(Uuid, u32)> = others
        .iter()
        .filter(|other| other.is_live)
        .map(|other| (other.holder, other.wants))
        .collect();
    wanting.push((holder, claim.wants));
    let to_share = SLICES.saturating_sub(dead).saturating_sub(RESERVE);
    let mut fair = fair_share(to_share, &mut wanting, holder).max(1);
    let is_enough = |other: &Holding| !other.is_live || other.held >= other.wants;
    if free >= RESERVE && others.iter().all(is_enough) {
        // Nobody would have what we give back.
        fair = fair.max(claim.held);
    }
    let room = if free > RESERVE {
        free - RESERVE
    } else if claim.held == 0 {
        free.min(1)
    } else {
        0
    };
    Grant {
        held: claim.held + room.min(fair.saturating_sub(claim.held)),
        fair,
    }
}

/// What is fair for one of those who want something: equal parts, and what one does not want goes to the
/// others. What cannot be divided goes to the first by their ids.
fn fair_share(mut left: u32, wanting: &mut [(Uuid, u32)], holder: Uuid) -> u32 {
    wanting.sort_by_key(|(id, wants)| (*wants, *id));
    let mut open = u32::try_from(wanting.len()).unwrap_or(u32::MAX);
    for (id, wants) in wanting.iter() {
        let equal = left.div_ceil(open.max(1));
        let part = equal.min(*wants);
        if *id == holder {
            return part;
        }
        left = left.saturating_sub(part);
        open = open.saturating_sub(1);
    }
    0
}
