//! Webhooks of PSAs: setting them up, and taking what they bring.
//!
//! An event is verified before anything of it is parsed, counts once (N10), and never brings data: it only
//! says what to read again.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::TimeDelta;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tenantry_psa::{
    ExternalId, PsaError, Secret,
    event::{Callback, CallbackTarget, ChangeHint, Event, EventError, EventKey, RawEvent},
};
use url::Url;
use zeroize::Zeroize as _;

use super::{
    PsaAccess, PsaCallError, PsaConnection, Trouble, Urgency,
    checks::{failed, open_for_a_person},
    keys::Sealed,
    queries::{self, StoredCallback},
};
use crate::{
    access::{
        OrgScope,
        random::{NoRandomness, random_bytes, random_token},
    },
    audit::{self, Action},
    customer_sync,
    ids::{OrgId, PsaConnectionId},
    secrets::{SecretText, VaultError},
    store::{Scoped, StoreError},
};

/// How long an event is remembered.
const REMEMBERED: TimeDelta = TimeDelta::days(1);
/// Records that one event may name.
const MOST_HINTS: usize = 1_000;
/// Where webhooks arrive, below the public URL.
const PATH: &str = "/api/msp-portal/psa-connections";

/// Why a webhook cannot be set up or taken away.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The PSA refused, or the connection cannot be opened.
    #[error(transparent)]
    Call(#[from] PsaCallError),
    /// The webhook was taken away, or the connection deleted, while it was set up.
    #[error("the webhook was removed meanwhile")]
    Gone,
    /// No secret can be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// What is stored does not open, or nothing can be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Nobody is called this way: no such connection, another secret in the path, or not listened to.
    #[error("no such webhook")]
    Unknown,
    /// The sender is not the PSA.
    #[error("the event is not authentic")]
    NotAuthentic,
    /// It could not be verified at present; the PSA should send it again.
    #[error("the event cannot be verified right now")]
    NotNow,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A webhook that was set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredCallback {
    /// Its id at the PSA.
    pub external_id: String,
}

/// A call to a webhook's address, as it arrived.
pub struct ArrivedEvent {
    /// Names and values of its headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The query of its address, without the `?`.
    pub query: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl ArrivedEvent {
    /// The event for its adapter. Headers that are none are left out: no PSA signs by one.
    fn into_raw(self) -> RawEvent {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(&value),
            ) {
                headers.append(name, value);
            }
        }
        RawEvent {
            headers,
            query: self.query,
            body: self.body,
        }
    }
}

/// The secrets of a webhook, as they are sealed.
#[derive(Serialize, Deserialize)]
struct Secrets {
    /// The last segment of its address.
    path: String,
    /// What the PSA signs with, or presents.
    signing: String,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.path.zeroize();
        self.signing.zeroize();
    }
}

/// Sets webhooks up and takes what they bring.
#[derive(Clone)]
pub struct PsaCallbacks {
    access: PsaAccess,
    public_url: Url,
}

impl PsaCallbacks {
    /// For connections that are opened this way, in an installation that is reached there.
    pub fn new(access: PsaAccess, public_url: Url) -> Self {
        Self { access, public_url }
    }

    /// Has the PSA call us. Its address and secret are stored first, so that after a crash in between the
    /// same ones are used again: calling twice leaves one webhook.
    ///
    /// # Errors
    /// Any [`CallbackError`].
    pub async fn register(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
    ) -> Result<RegisteredCallback, CallbackError> {
        let open = open_for_a_person(&self.access, scope, id).await?;
        let kind = open.connection.kind;
        let now = self.access.store().clock().now();
        if !open.adapter.capabilities().registers_callbacks {
            let what = format!("{} cannot be told by its API to call us", kind.product());
            return Err(failed(PsaError::Config { what }, kind, now).into());
        }
        let access = self.access.clone();
        let (secrets, generation) = self
            .access
            .store()
            .write(scope, move |tx| kept_or_new(tx, &access, id))
            .await?;
        let target = self.target(id, &secrets);
        let registered = open.adapter.register_callback(&target).await;
        let callback = registered.map_err(|error| failed(error, kind, now))?;
        let external_id = callback.id.0;
        let told = external_id.clone();
        self.access
            .store()
            .write(scope, move |tx| {
                let mut connection = queries::find_locked(tx, id)?.ok_or(CallbackError::Gone)?;
                if !queries::set_callback_id(tx, id, generation, Some(&told))? {
                    return Err(CallbackError::Gone);
                }
                listen(tx, &mut connection, true)?;
                let details = json!({"connectionId": id});
                audit::record(tx, Action::PsaCallbackRegistered, None, details)?;
                Ok(())
            })
            .await?;
        Ok(RegisteredCallback { external_id })
    }

    /// Has the PSA call us no more, and forgets the secrets. One that is gone already is no error.
    ///
    /// # Errors
    /// Any [`CallbackError`]; then the webhook stays as it is.
    pub async fn remove(&self, scope: &OrgScope, id: PsaConnectionId) -> Result<(), CallbackError> {
        let open = open_for_a_person(&self.access, scope, id).await?;
        let stored = self
            .access
            .store()
            .read(scope, move |tx| queries::callback(tx, id))
            .await?;
        if let Some(external_id) = stored.and_then(|stored| stored.external_id) {
            let callback = Callback {
                id: ExternalId(external_id),
            };
            let removed = open.adapter.remove_callback(&callback).await;
            let now = self.access.store().clock().now();
            removed.map_err(|error| failed(error, open.connection.kind, now))?;
        }
        self.access
            .store()
            .write(scope, move |tx| {
                let Some(mut connection) = queries::find_locked(tx, id)? else {
                    return Err(CallbackError::Gone);
                };
                if !queries::delete_callback(tx, id)? {
                    return Ok(());
                }
                tx.leave_no_trace();
                listen(tx, &mut connection, false)?;
                let details = json!({"connectionId": id});
                audit::record(tx, Action::PsaCallbackRemoved, None, details)?;
                Ok(())
            })
            .await
    }

    /// Takes an event that arrived at a webhook's address.
    ///
    /// # Errors
    /// Any [`ReceiveError`]; nothing has an effect then.
    pub async fn receive(
        &self,
        id: PsaConnectionId,
        path_secret: &str,
        event: ArrivedEvent,
    ) -> Result<(), ReceiveError> {
        let found = self
            .access
            .store()
            .read_global(move |tx| queries::callback_across_orgs(tx, id))
            .await?;
        let presented = digest(&SHA256, path_secret.as_bytes());
        let (org, expected) = found.unwrap_or((OrgId::INSTALLATION, vec![0; 32]));
        if !bool::from(presented.as_ref().ct_eq(&expected)) {
            return Err(ReceiveError::Unknown);
        }
        let scope = OrgScope::for_system(org);
        let open = match self.access.open(&scope, id, Urgency::Waited).await {
            Ok(open) if open.connection.settings.callbacks => open,
            Ok(_) | Err(super::OpenPsaError::NotFound) => return Err(ReceiveError::Unknown),
            Err(super::OpenPsaError::Store(error)) => return Err(error.into()),
            Err(super::OpenPsaError::Unreadable | super::OpenPsaError::Refused(_)) => {
                return Err(ReceiveError::NotNow);
            }
        };
        let key = self.event_key(&scope, id).await?;
        let event = match open.adapter.read_event(&event.into_raw(), &key).await {
            Ok(event) => event,
            Err(EventError::NotAuthentic) => return Err(ReceiveError::NotAuthentic),
            Err(EventError::KeyUnavailable) => return Err(ReceiveError::NotNow),
        };
        let connection = open.connection;
        self.access
            .store()
            .write(&scope, move |tx| taken(tx, &connection, &event))
            .await?;
        Ok(())
    }

    async fn event_key(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
    ) -> Result<EventKey, ReceiveError> {
        let found = self
            .access
            .store()
            .read(scope, move |tx| {
                let callback = queries::callback(tx, id)?;
                Ok::<_, StoreError>(callback.zip(queries::credentials(tx, id)?))
            })
            .await?;
        let (callback, credentials) = found.ok_or(ReceiveError::Unknown)?;
        // What does not open was reported by the vault.
        let secrets = opened(
            &self.access,
            scope.org(),
            id,
            &credentials.data_key,
            &callback,
        )
        .or(Err(ReceiveError::NotNow))?;
        Ok(EventKey {
            secret: Secret::new(secrets.signing.clone()),
        })
    }

    fn target(&self, id: PsaConnectionId, secrets: &Secrets) -> CallbackTarget {
        let mut url = self.public_url.clone();
        url.set_path(&format!("{PATH}/{id}/events/{}", secrets.path));
        CallbackTarget {
            url,
            secret: Secret::new(secrets.signing.clone()),
            name: format!("Tenantry {id}"),
        }
    }
}

/// The secrets of a connection's webhook and their generation; made where there are none.
fn kept_or_new(
    tx: &mut Scoped<'_>,
    access: &PsaAccess,
    id: PsaConnectionId,
) -> Result<(Secrets, i64), CallbackError> {
    // Of two calls at once the second finds what the first made.
    queries::find_locked(tx, id)?.ok_or(CallbackError::Gone)?;
    let credentials = queries::credentials(tx, id)?.ok_or(CallbackError::Gone)?;
    if let Some(stored) = queries::callback(tx, id)? {
        let secrets = opened(access, tx.org(), id, &credentials.data_key, &stored)?;
        return Ok((secrets, stored.generation));
    }
    let secrets = Secrets {
        path: random_token()?.expose().to_owned(),
        signing: hex::encode(random_bytes::<32>()?),
    };
    // Far above what an earlier webhook had, so that nothing of that one passes for one of this.
    let generation = tx.now().timestamp_micros();
    let text = serde_json::to_string(&secrets).or(Err(StoreError::Corrupt { what: "webhook" }))?;
    let key = access.keys().unwrap(tx.org(), id, &credentials.data_key)?;
    let sealed = key.seal(Sealed::Callback(generation), &SecretText::new(text))?;
    let row = StoredCallback {
        external_id: None,
        sealed,
        generation,
    };
    let hash = digest(&SHA256, secrets.path.as_bytes());
    queries::insert_callback(tx, id, &row, hash.as_ref())?;
    Ok((secrets, generation))
}

fn opened(
    access: &PsaAccess,
    org: OrgId,
    id: PsaConnectionId,
    data_key: &[u8],
    stored: &StoredCallback,
) -> Result<Secrets, CallbackError> {
    let key = access.keys().unwrap(org, id, data_key)?;
    let text = key.open(Sealed::Callback(stored.generation), &stored.sealed)?;
    let what = "secrets of a webhook";
    Ok(serde_json::from_str(text.expose()).or(Err(StoreError::Corrupt { what }))?)
}

/// Turns listening on or off.
fn listen(
    tx: &mut Scoped<'_>,
    connection: &mut PsaConnection,
    callbacks: bool,
) -> Result<(), StoreError> {
    if connection.settings.callbacks == callbacks {
        return Ok(());
    }
    connection.settings.callbacks = callbacks;
    connection.version += 1;
    connection.changed_at = tx.now();
    queries::update(tx, connection, None)
}

/// What an authentic event does, once.
fn taken(tx: &mut Scoped<'_>, connection: &PsaConnection, event: &Event) -> Result<(), StoreError> {
    queries::forget_events(tx, tx.now() - REMEMBERED)?;
    // One without an id cannot be told from its repetition; reading a record again does no harm.
    if let Some(event_id) = &event.id {
        let hash = digest(&SHA256, event_id.as_bytes());
        if !queries::remember_event(tx, connection.id, hash.as_ref())? {
            return Ok(());
        }
    }
    let mut changed = Vec::new();
    let mut soon = event.hints.len() > MOST_HINTS;
    let mut stopped = false;
    for hint in event.hints.iter().take(MOST_HINTS) {
        match hint {
            ChangeHint::Customer(id) => changed.push(id.clone()),
            ChangeHint::ResyncSoon => soon = true,
            ChangeHint::CallbackStopped => {
                soon = true;
                stopped = true;
            }
        }
    }
    if soon || !changed.is_empty() {
        customer_sync::note_changes(tx, connection.id, &changed, soon)?;
    }
    // After the queue's row, as every transaction of a worker takes the connection's.
    if stopped {
        callback_stopped(tx, connection)?;
    }
    Ok(())
}

fn callback_stopped(tx: &mut Scoped<'_>, connection: &PsaConnection) -> Result<(), StoreError> {
    if let Some(stored) = queries::callback(tx, connection.id)? {
        queries::set_callback_id(tx, connection.id, stored.generation, None)?;
    }
    let trouble = Trouble {
        code: "psaConfigurationInvalid".to_owned(),
        detail: format!(
            "{} has switched its webhook off, so changes are seen only at the next read.",
            connection.kind.product()
        ),
        action: Some("Register the webhook of the connection again.".to_owned()),
        at: tx.now(),
    };
    queries::note_trouble(tx, connection.id, Some(&trouble))
}
