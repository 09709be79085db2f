//! How a run comes to the adapter of its connection.

use futures_util::future::BoxFuture;

use crate::{
    access::OrgScope,
    ids::PsaConnectionId,
    psa::{OpenPsa, OpenPsaError, PsaAccess, Urgency},
};

/// Opens connections to PSAs: [`PsaAccess`], or what a test puts in its place.
pub trait OpensPsa: Send + Sync {
    /// The connection with its adapter.
    fn open<'a>(
        &'a self,
        scope: &'a OrgScope,
        connection: PsaConnectionId,
        urgency: Urgency,
    ) -> BoxFuture<'a, Result<OpenPsa, OpenPsaError>>;
}

impl OpensPsa for PsaAccess {
    fn open<'a>(
        &'a self,
        scope: &'a OrgScope,
        connection: PsaConnectionId,
        urgency: Urgency,
    ) -> BoxFuture<'a, Result<OpenPsa, OpenPsaError>> {
        Box::pin(Self::open(self, scope, connection, urgency))
    }
}
