//! Why a step of a sync cannot go on, as decisions for the engine.

use super::{queue::LeaseError, run::Warning};
use crate::{
    microsoft::graph_error::{GraphError, Refusal},
    store::StoreError,
};

/// A step's failure.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Microsoft Graph refused or failed.
    #[error("microsoft graph: {0}")]
    Graph(#[from] GraphError),
    /// Microsoft refused, and another permission is at stake than the data set's main one.
    #[error("{permission} is missing: {}", .refusal.named())]
    Denied {
        /// The permission.
        permission: &'static str,
        /// What Microsoft said.
        refusal: Refusal,
    },
    /// An answer cannot be understood; nothing of it was stored.
    #[error("unexpected answer: {0}")]
    UnexpectedAnswer(String),
    /// The data set does not exist in that tenant or cloud.
    #[error("skipped: {}", .0.code)]
    Skipped(Warning),
    /// The lease is lost: someone else goes on, nothing more may be written.
    #[error("the lease has ended")]
    LeaseLost,
    /// A person or a revoke ended the run.
    #[error("the run was cancelled")]
    Cancelled,
    /// The store failed: the run goes on later.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LeaseError> for SyncError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::LeaseLost,
            LeaseError::Store(error) => Self::Store(error),
        }
    }
}
