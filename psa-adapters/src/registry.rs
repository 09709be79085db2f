//! From credentials to the adapter of their PSA: the one place that knows every adapter.

use std::sync::Arc;

use crate::{
    autotask, connectwise, contract::PsaAdapter, credentials::Credentials, error::PsaError,
    halopsa, transport::Transport,
};

/// The adapter for these credentials. It asks its PSA nothing yet.
///
/// # Errors
/// [`PsaError::Config`] or [`PsaError::AddressRefused`] for what it can never be used with.
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
