//! The sync of customers from PSAs: what connections tell it.

mod queries;
mod run;
mod service;

use tenantry_psa::ExternalId;

use crate::{
    ids::PsaConnectionId,
    store::{Scoped, StoreError},
};

pub use self::{run::LastSync, service::CustomerSyncService};

/// A connection was made: everything is to be read.
pub(crate) fn connection_created(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<(), StoreError> {
    queries::begin(tx, id)
}

/// A connection goes; what is kept about its syncs goes with its row.
pub(crate) fn connection_deleted(
    _tx: &mut Scoped<'_>,
    _id: PsaConnectionId,
) -> Result<(), StoreError> {
    Ok(())
}

/// A connection's address, credentials or settings changed: everything is read again.
pub(crate) fn connection_changed(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<(), StoreError> {
    queries::read_all_soon(tx, id)
}

/// A PSA told of changes: these records, and where `soon` all that changed.
pub(crate) fn note_changes(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    records: &[ExternalId],
    soon: bool,
) -> Result<(), StoreError> {
    queries::note(tx, id, records)?;
    if soon {
        queries::read_changes_soon(tx, id)?;
    }
    Ok(())
}
