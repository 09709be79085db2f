//! How the rooms that work for a connection come to its adapter.

use futures_util::future::BoxFuture;

use super::{OpenPsa, OpenPsaError, PsaAccess, Urgency};
use crate::{access::OrgScope, ids::PsaConnectionId};

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
