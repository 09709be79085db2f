//! Why a read cannot go on, as decisions for the engine.

use crate::{psa::PsaError, store::StoreError, sync::queue::LeaseError};

/// A read's failure.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The PSA refused or failed.
    #[error("{error}")]
    Psa {
        /// What it said.
        error: PsaError,
        /// Whether it was asked to go on behind a cursor, which may be what it refused.
        at_cursor: bool,
    },
    /// A person changed the connection: the run goes on with what it is now.
    #[error("the connection was changed")]
    ConnectionChanged,
    /// A person ended the run.
    #[error("the run was cancelled")]
    Cancelled,
    /// The lease is lost, or the connection is gone: nothing more may be written.
    #[error("the lease has ended")]
    LeaseLost,
    /// The store failed: the run goes on later.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LeaseError> for ReadError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::LeaseLost,
            LeaseError::Store(error) => Self::Store(error),
        }
    }
}
