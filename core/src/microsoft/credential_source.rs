//! Where minting finds the credential of a connection that is not the installation's own.
//!
//! The credentials room keeps them sealed and implements this; here nothing is known of how.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::{
    microsoft::{client_credential::ClientCredential, connection::ConnectionHandle},
    secrets::SecretText,
};

/// A refresh token that this process alone may exchange, until it says what became of it or its time
/// runs out.
#[derive(Debug)]
pub struct HeldRefreshToken {
    /// The token.
    pub token: SecretText,
    /// Which one it is: grows by one with each that is stored.
    pub generation: i64,
    /// Which hold this is.
    pub hold: Uuid,
}

/// Why a stored credential cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The store cannot be asked.
    #[error("stored credential cannot be read now")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Another process has been exchanging the refresh token for longer than anybody waits.
    #[error("refresh token is being exchanged elsewhere")]
    Busy,
    /// The connection has none, any more.
    #[error("connection has no stored credential")]
    Gone,
    /// It does not open, or is not what its kind says.
    #[error("stored credential cannot be opened")]
    Unreadable,
}

/// Keeps the credentials of connections.
pub trait CredentialSource: Send + Sync {
    /// The registration of the customer's own that a connection reads with.
    fn registration<'a>(
        &'a self,
        connection: &'a ConnectionHandle,
    ) -> BoxFuture<'a, Result<ClientCredential, SourceError>>;

    /// Holds the refresh token of a connection for one exchange; `None` while another process holds it.
    fn hold<'a>(
        &'a self,
        connection: &'a ConnectionHandle,
    ) -> BoxFuture<'a, Result<Option<HeldRefreshToken>, SourceError>>;

    /// Stores what the exchange of the held token brought, and lets go of it. Without a new token the old
    /// one stays.
    fn keep<'a>(
        &'a self,
        connection: &'a ConnectionHandle,
        held: &'a HeldRefreshToken,
        rotated: Option<&'a SecretText>,
    ) -> BoxFuture<'a, Result<(), SourceError>>;
}

/// The source of an installation whose connections all read with its own registration.
pub(crate) struct NoStoredCredentials;

impl CredentialSource for NoStoredCredentials {
    fn registration<'a>(
        &'a self,
        _connection: &'a ConnectionHandle,
    ) -> BoxFuture<'a, Result<ClientCredential, SourceError>> {
        Box::pin(async { Err(SourceError::Gone) })
    }

    fn hold<'a>(
        &'a self,
        _connection: &'a ConnectionHandle,
    ) -> BoxFuture<'a, Result<Option<HeldRefreshToken>, SourceError>> {
        Box::pin(async { Err(SourceError::Gone) })
    }

    fn keep<'a>(
        &'a self,
        _connection: &'a ConnectionHandle,
        _held: &'a HeldRefreshToken,
        _rotated: Option<&'a SecretText>,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async { Err(SourceError::Gone) })
    }
}
