//! What webhooks hint at: which records to read again, or that something changed.

use tenantry_psa::ExternalId;

use super::{queries, schedule};
use crate::{
    ids::PsaConnectionId,
    store::{Scoped, StoreError},
};

/// Ids that one webhook may name: what names more means that changes should be read.
const MOST_NAMED: usize = 200;
/// The longest id that is one.
const LONGEST_ID: usize = 100;

/// Has these records read again, and with `soon` all that changed. The next claim of the connection's work
/// does so, which is due at once.
pub(crate) fn note_changes(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[ExternalId],
    soon: bool,
) -> Result<(), StoreError> {
    // The queue first, as every transaction of a worker does.
    schedule::wake(tx, connection)?;
    let usable = ids.len() <= MOST_NAMED
        && ids
            .iter()
            .all(|id| id.0.len() <= LONGEST_ID && !id.0.contains('\0'));
    if soon || !usable {
        let now = tx.now();
        queries::read_changes_by(tx, connection, now)?;
    }
    if usable {
        queries::insert_changes(tx, connection, ids)?;
    }
    Ok(())
}
