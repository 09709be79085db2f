//! What one may ask of syncs of customers.

use super::{queries, run::LastSync};
use crate::{
    access::OrgScope,
    ids::PsaConnectionId,
    psa::PsaAccess,
    store::{Store, StoreError},
    sync::WakeUp,
};

/// Syncs of customers, for callers.
#[derive(Clone)]
pub struct CustomerSyncService {
    store: Store,
}

impl CustomerSyncService {
    /// Over this store; `wake` tells the workers of this process.
    pub fn new(store: Store, _psa: PsaAccess, _wake: WakeUp) -> Self {
        Self { store }
    }

    /// The newest run of each of these connections, ended or not.
    ///
    /// # Errors
    /// The store's.
    pub async fn last_syncs(
        &self,
        scope: &OrgScope,
        connections: Vec<PsaConnectionId>,
    ) -> Result<Vec<(PsaConnectionId, LastSync)>, StoreError> {
        self.store
            .read(scope, move |tx| {
                let mut found = Vec::new();
                for connection in connections {
                    let newest = queries::last_sync(tx, connection)?;
                    found.extend(newest.map(|run| (connection, run)));
                }
                Ok(found)
            })
            .await
    }
}
