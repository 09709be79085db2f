//! Why a step of connecting a tenant cannot be taken, as decisions for the caller.

use super::{callback::RejectedFlow, rejection::Rejection, return_url::ReturnUrlNotAllowed};
use crate::{
    access::random::NoRandomness, credentials::PutError, ids::CustomerId, matching::Candidate,
    secrets::VaultError, store::StoreError,
};

/// Why a step of connecting a tenant cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// No customer was named, and no match is certain.
    #[error("a customer must be named")]
    CustomerRequired {
        /// The customers it may be for, the likeliest first.
        candidates: Vec<Candidate>,
    },
    /// The organisation has no such active customer.
    #[error("no such customer")]
    CustomerNotFound,
    /// The address to return to is not allowed.
    #[error(transparent)]
    ReturnUrlNotAllowed(#[from] ReturnUrlNotAllowed),
    /// The named tenant cannot be connected, or not with what was entered; Microsoft or what it answered
    /// says why. Nothing was stored.
    #[error("tenant cannot be connected: {}", .0.code.as_str())]
    Refused(Box<Rejection>),
    /// The organisation has the tenant connected, for this customer.
    #[error("tenant is connected")]
    TenantAlreadyConnected {
        /// The customer it is connected for.
        customer: Option<CustomerId>,
    },
    /// The state is unknown, used, expired or not this caller's; which, nobody is told.
    #[error("state is not valid")]
    InvalidState,
    /// No such link.
    #[error("no such link")]
    LinkUnknown,
    /// The flow failed; the failure is stored.
    #[error("flow rejected: {}", .0.rejection.code.as_str())]
    Rejected(Box<RejectedFlow>),
    /// No random numbers.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PutError> for ConsentError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Vault(error) => Self::Vault(error),
            PutError::Store(error) => Self::Store(error),
        }
    }
}
