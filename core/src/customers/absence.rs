//! Believing that a customer is gone from its PSA. Two complete reads in a row must have missed it, and
//! where a great part vanishes at once a further one: a right that was taken away, or a filter that somebody
//! changed, looks exactly like that (R17).

use super::{following, queries};
use crate::{
    ids::PsaConnectionId,
    store::{Scoped, StoreError},
};

/// Complete reads in a row that must miss a record.
const MISSES: i32 = 2;
/// More than this many records …
const MANY: i64 = 50;
/// … and more than this share, in percent, must vanish at once to be held back.
const MUCH: i64 = 20;

/// What a complete read found missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Absent {
    /// Customers that were deactivated.
    pub(crate) deactivated: i64,
    /// Records that vanished at once and stay until a further full read agrees; 0 for none.
    pub(crate) held_back: i64,
    /// Records known before.
    pub(crate) known: i64,
}

/// Counts what the complete read of `generation` did not see, and gives up what is believed to be gone.
pub(crate) fn settle_absence(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    generation: i64,
) -> Result<Absent, StoreError> {
    let known = queries::bump_misses(tx, connection, generation)?;
    let missing = queries::count_missing(tx, connection, MISSES)?;
    let confirmed = queries::count_missing(tx, connection, MISSES + 1)?;
    let held_back = is_suspicious(known - confirmed, missing - confirmed);
    let from = if held_back { MISSES + 1 } else { MISSES };
    let customers = queries::mark_gone(tx, connection, from)?;
    let followed = following::follow(tx, &customers)?;
    Ok(Absent {
        deactivated: i64::try_from(followed.deactivated.len()).unwrap_or(i64::MAX),
        held_back: if held_back { missing - confirmed } else { 0 },
        known,
    })
}

fn is_suspicious(known: i64, vanished: i64) -> bool {
    vanished > MANY && vanished.saturating_mul(100) > known.saturating_mul(MUCH)
}

#[cfg(test)]
mod tests {
    use super::is_suspicious;

    #[test]
    fn r17_only_many_and_much_together_are_held_back() {
        assert!(!is_suspicious(60, 50));
        assert!(is_suspicious(60, 51));
        assert!(!is_suspicious(1000, 200));
        assert!(is_suspicious(1000, 201));
    }
}
