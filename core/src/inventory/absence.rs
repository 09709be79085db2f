//! Believing that something is gone. Only after a complete read, and not at once when a great part
//! of a data set vanishes: a short list with status 200 looks exactly like that (R17).

use super::{ObjectKind, queries};
use crate::{
    ids::TenantId,
    store::{Scoped, StoreError},
};

/// More than this many objects …
const MANY: i64 = 50;
/// … and more than this share, in percent, must vanish at once to be held back.
const MUCH: i64 = 20;

/// What a complete read found missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// What was not seen is removed; this many.
    Removed(i64),
    /// This many of so many vanished at once: they stay until a second full read agrees.
    HeldBack {
        /// Not seen.
        vanished: i64,
        /// Known before.
        known: i64,
    },
}

/// What a complete read of `generation` would find missing. `held_back` is the generation that missed
/// objects before, if their removal is waiting: what both missed counts as gone.
pub fn unseen(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    generation: i64,
    held_back: Option<i64>,
) -> Result<Absence, StoreError> {
    let (known, vanished) = queries::count_unseen(tx, tenant, kind, generation)?;
    let confirmed = match held_back {
        Some(earlier) => queries::count_unseen(tx, tenant, kind, earlier)?.1,
        None => 0,
    };
    Ok(judge(known, vanished, confirmed))
}

/// The same for memberships.
pub fn unseen_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
    held_back: Option<i64>,
) -> Result<Absence, StoreError> {
    let (known, vanished) = queries::count_unseen_members(tx, tenant, generation)?;
    let confirmed = match held_back {
        Some(earlier) => queries::count_unseen_members(tx, tenant, earlier)?.1,
        None => 0,
    };
    Ok(judge(known, vanished, confirmed))
}

/// Marks objects removed that the complete read of `generation` did not see, as far as
/// [`unseen`] believes it.
pub fn sweep_objects(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    generation: i64,
    held_back: Option<i64>,
) -> Result<Absence, StoreError> {
    let absence = unseen(tx, tenant, kind, generation, held_back)?;
    match (absence, held_back) {
        (Absence::Removed(_), _) => queries::remove_unseen(tx, tenant, kind, generation)?,
        (Absence::HeldBack { .. }, Some(earlier)) => {
            queries::remove_unseen(tx, tenant, kind, earlier)?
        }
        (Absence::HeldBack { .. }, None) => 0,
    };
    Ok(absence)
}

/// The same for memberships, which are deleted and not marked.
pub fn sweep_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
    held_back: Option<i64>,
) -> Result<Absence, StoreError> {
    let absence = unseen_members(tx, tenant, generation, held_back)?;
    match (absence, held_back) {
        (Absence::Removed(_), _) => queries::remove_unseen_members(tx, tenant, generation)?,
        (Absence::HeldBack { .. }, Some(earlier)) => {
            queries::remove_unseen_members(tx, tenant, earlier)?
        }
        (Absence::HeldBack { .. }, None) => 0,
    };
    Ok(absence)
}

/// What two full reads missed is gone; what only this one missed is believed unless it is much.
fn judge(known: i64, vanished: i64, confirmed: i64) -> Absence {
    let (known, new) = (known - confirmed, vanished - confirmed);
    if is_suspicious(known, new) {
        Absence::HeldBack {
            vanished: new,
            known,
        }
    } else {
        Absence::Removed(vanished)
    }
}

fn is_suspicious(known: i64, vanished: i64) -> bool {
    vanished > MANY && vanished.saturating_mul(100) > known.saturating_mul(MUCH)
}

#[cfg(test)]
mod tests {
    use super::is_suspicious;

    #[test]
    fn r17_only_many_and_much_together_are_held_back() {
        assert!(!is_suspicious(60, 50), "fifty are not many");
        assert!(is_suspicious(60, 51));
        assert!(!is_suspicious(1000, 200), "a fifth is not much");
        assert!(is_suspicious(1000, 201));
        assert!(!is_suspicious(0, 0));
    }
}
