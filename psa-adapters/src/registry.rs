//! From what a person entered to the adapter for it: the one list of adapters.

use std::sync::Arc;

use crate::{
    autotask, connectwise, contract::PsaAdapter, credentials::Credentials, error::PsaError,
    halopsa, transport::Transport,
};

/// Opens the adapter for these credentials. Nothing is sent yet.
///
/// # Errors
/// [`PsaError::Config`] or [`PsaError::AddressRefused`] for an address that cannot be this PSA's.
pub fn open(
    base_url: &str,
    credentials: Credentials,
    transport: Arc<dyn Transport>,
) -> Result<Arc<dyn PsaAdapter>, PsaError> {
    Ok(match credentials {
        Credentials::ConnectWise(credentials) => {
            Arc::new(connectwise::open(base_url, credentials, transport)?)
        }
        Credentials::Autotask(credentials) => {
            Arc::new(autotask::open(base_url, credentials, transport)?)
        }
        Credentials::HaloPsa(credentials) => {
            Arc::new(halopsa::open(base_url, credentials, transport)?)
        }
    })
}
