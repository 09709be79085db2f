//! Opening connections: from sealed credentials to an adapter that everybody who uses it shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tenantry_psa::{Credentials, PsaAdapter, PsaError, PsaKind, Transport};
use tokio::time::{Duration, Instant};

use super::{
    PsaConnection, Urgency,
    gate::Gate,
    keys::{PsaKeys, Sealed},
    queries::{self, StoredCredentials},
    transport::PsaTransport,
    urgency::Hurried,
};
use crate::{
    access::OrgScope,
    ids::{OrgId, PsaConnectionId},
    outbound::GuardedOutbound,
    secrets::{SecretText, Vault, VaultError},
    store::{Store, StoreError},
};

/// Makes the adapter of a kind of PSA for an address, credentials and a way out. Given by the wiring, so
/// that no room knows a concrete one.
pub type AdapterFactory = Arc<
    dyn Fn(&str, Credentials, Arc<dyn Transport>) -> Result<Arc<dyn PsaAdapter>, PsaError>
        + Send
        + Sync,
>;

/// How long an adapter that nobody uses is kept, with its credentials and its token.
const ADAPTER_KEPT: Duration = Duration::from_secs(15 * 60);
/// How long the calls of a connection are remembered: longer than the longest span that a PSA counts.
const GATE_KEPT: Duration = Duration::from_secs(2 * 3600);

/// Opens connections for services and workers. Cheap to clone; clones share what is open.
#[derive(Clone)]
pub struct PsaAccess(Arc<Inner>);

struct Inner {
    store: Store,
    keys: PsaKeys,
    outbound: GuardedOutbound,
    factory: AdapterFactory,
    kept: Mutex<HashMap<Key, Kept>>,
}

type Key = (OrgId, PsaConnectionId);

/// What is kept of a connection between calls.
struct Kept {
    gate: Arc<Gate>,
    /// The generation that it was made from.
    adapter: Option<(i64, Arc<dyn PsaAdapter>)>,
    used: Instant,
}

/// A connection that was opened.
pub struct OpenPsa {
    /// As it is stored.
    pub connection: PsaConnection,
    /// Its adapter; calls have the urgency that it was opened with.
    pub adapter: Arc<dyn PsaAdapter>,
}

/// Why a connection cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenPsaError {
    /// It is not there, or not in this organisation.
    #[error("no such PSA connection")]
    NotFound,
    /// Its stored credentials do not open.
    #[error("the stored credentials of the PSA connection cannot be read")]
    Unreadable,
    /// The adapter cannot use what is stored.
    #[error(transparent)]
    Refused(#[from] PsaError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PsaAccess {
    /// On a store, with the vault that seals credentials, the way out and the adapters.
    pub fn new(
        store: Store,
        vault: Vault,
        outbound: GuardedOutbound,
        factory: AdapterFactory,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            keys: PsaKeys::new(vault),
            outbound,
            factory,
            kept: Mutex::new(HashMap::new()),
        }))
    }

    /// Opens a connection. All who open it in this process share its token, its look-ups and its budget.
    ///
    /// # Errors
    /// Any [`OpenPsaError`].
    pub async fn open(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
        urgency: Urgency,
    ) -> Result<OpenPsa, OpenPsaError> {
        let key = (scope.org(), id);
        let found = self
            .0
            .store
            .read(scope, move |tx| {
                let connection = queries::find(tx, id)?;
                let credentials = queries::credentials(tx, id)?;
                Ok::<_, StoreError>(connection.zip(credentials))
            })
            .await?;
        let Some((connection, credentials)) = found else {
            self.forget(scope.org(), id);
            return Err(OpenPsaError::NotFound);
        };
        let adapter = match self.kept_adapter(key, connection.generation) {
            Some(adapter) => adapter,
            None => self.made_adapter(key, &connection, &credentials)?,
        };
        Ok(OpenPsa {
            connection,
            adapter: Arc::new(Hurried { adapter, urgency }),
        })
    }

    /// Forgets a connection: its credentials leave the memory with the last call under way.
    pub(super) fn forget(&self, org: OrgId, id: PsaConnectionId) {
        self.kept().remove(&(org, id));
    }

    /// The store.
    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    /// The data keys.
    pub(super) fn keys(&self) -> &PsaKeys {
        &self.0.keys
    }

    /// The way out.
    pub(super) fn outbound(&self) -> &GuardedOutbound {
        &self.0.outbound
    }

    /// An adapter of what a person entered, to see whether it can be used at all. It is asked nothing.
    pub(super) fn tried(
        &self,
        base_url: &str,
        credentials: Credentials,
    ) -> Result<Arc<dyn PsaAdapter>, PsaError> {
        self.adapter(base_url, credentials, Arc::default())
    }

    /// Reads stored credentials.
    pub(super) fn opened(
        &self,
        org: OrgId,
        connection: &PsaConnection,
        stored: &StoredCredentials,
    ) -> Result<Value, VaultError> {
        let key = self.0.keys.unwrap(org, connection.id, &stored.data_key)?;
        let text = key.open(Sealed::Credentials(connection.generation), &stored.sealed)?;
        Ok(serde_json::from_str(text.expose()).unwrap_or(Value::Null))
    }

    fn adapter(
        &self,
        base_url: &str,
        credentials: Credentials,
        gate: Arc<Gate>,
    ) -> Result<Arc<dyn PsaAdapter>, PsaError> {
        let transport = PsaTransport {
            outbound: self.0.outbound.clone(),
            gate,
            clock: self.0.store.clock().clone(),
        };
        (self.0.factory)(base_url, credentials, Arc::new(transport))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The adapter that is open already, if it is of this generation. What nobody uses is forgotten here.
    fn kept_adapter(&self, key: Key, generation: i64) -> Option<Arc<dyn PsaAdapter>> {
        let now = Instant::now();
        let mut all = self.kept();
        for kept in all.values_mut() {
            if now.duration_since(kept.used) >= ADAPTER_KEPT {
                kept.adapter = None;
            }
        }
        all.retain(|_key, kept| now.duration_since(kept.used) < GATE_KEPT);
        let kept = all.get_mut(&key)?;
        kept.used = now;
        let (of, adapter) = kept.adapter.as_ref()?;
        (*of == generation).then(|| Arc::clone(adapter))
    }

    fn made_adapter(
        &self,
        key: Key,
        connection: &PsaConnection,
        stored: &StoredCredentials,
    ) -> Result<Arc<dyn PsaAdapter>, OpenPsaError> {
        let written = self
            .opened(key.0, connection, stored)
            .or(Err(OpenPsaError::Unreadable))?;
        let credentials =
            Credentials::parse(connection.kind, &written).or(Err(OpenPsaError::Unreadable))?;
        let gate = {
            let mut all = self.kept();
            let kept = all.entry(key).or_insert_with(Kept::new);
            Arc::clone(&kept.gate)
        };
        let made = self.adapter(&connection.base_url, credentials, gate)?;
        let mut all = self.kept();
        let kept = all.entry(key).or_insert_with(Kept::new);
        kept.used = Instant::now();
        // Whoever came first serves all; an older generation serves only those who have it.
        match &kept.adapter {
            Some((of, first)) if *of == connection.generation => Ok(Arc::clone(first)),
            Some((of, _newer)) if *of > connection.generation => Ok(made),
            Some(_) | None => {
                kept.adapter = Some((connection.generation, Arc::clone(&made)));
                Ok(made)
            }
        }
    }
}

impl Kept {
    fn new() -> Self {
        Self {
            gate: Arc::default(),
            adapter: None,
            used: Instant::now(),
        }
    }
}

/// Credentials as they are sealed.
pub(super) fn text_of(credentials: &Value) -> SecretText {
    SecretText::new(credentials.to_string())
}

/// An address that a kind of PSA is given besides its base.
pub(super) fn other_address(kind: PsaKind, credentials: &Value) -> Option<&str> {
    match kind {
        PsaKind::HaloPsa => credentials.get("authUrl")?.as_str(),
        PsaKind::ConnectWise | PsaKind::Autotask => None,
    }
}
