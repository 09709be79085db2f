//! The work for tickets in the queue: one permanent piece for each connection where tickets are wanted.

use super::queries;
use crate::{
    ids::PsaConnectionId,
    psa,
    store::{Scoped, StoreError},
    sync::queue::{self, Task, Work, WorkKind},
};

/// Something happened to a tenant: the organisation's PSAs are looked at once this transaction has
/// committed.
pub(crate) fn wake(tx: &mut Scoped<'_>) -> Result<(), StoreError> {
    let org = tx.org();
    queue::make_due(&mut tx.global(), org, WorkKind::Tickets)
}

/// A connection was made, or a person changed it: what waited for that is tried at once, and a connection
/// whose tickets were turned off is left alone.
pub fn connection_changed(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<(), StoreError> {
    match psa::find(tx, id)? {
        Some(connection) if connection.settings.tickets.enabled => {
            enqueue(tx, id)?;
            queries::try_now(tx, id).map(drop)
        }
        Some(_) | None => connection_deleted(tx, id),
    }
}

/// A connection goes: nothing is to be done there any more. Its tickets go with its row, at the PSA they
/// stay as they are.
pub fn connection_deleted(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<(), StoreError> {
    queue::remove(&mut tx.global(), WorkKind::Tickets, id.as_uuid())
}

/// Makes the work of a connection due.
pub(super) fn enqueue(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<(), StoreError> {
    let work = Work {
        org: tx.org(),
        task: Task::Tickets { connection: id },
        due_at: tx.now(),
    };
    queue::enqueue(&mut tx.global(), work)
}
