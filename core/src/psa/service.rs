//! What one may do with connections to PSAs.

use std::sync::Arc;

use serde_json::{Value, json};
use tenantry_psa::{Credentials, PsaAdapter, PsaError, PsaKind, credentials::CredentialFault};
use uuid::Uuid;

use super::{
    ConnectionFault, NewPsaConnection, PsaAccess, PsaConnection, PsaConnectionChange,
    PsaConnectionPage, PsaSettings, Urgency,
    access::{other_address, text_of},
    keys::Sealed,
    queries::{self, StoredCredentials},
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    customer_sync,
    ids::PsaConnectionId,
    names::checked_name,
    outbound::TargetRefused,
    secrets::VaultError,
    store::{Scoped, StoreError},
    sync::queue,
    tickets,
};

/// How long a PSA has to take our webhook away before its connection is deleted.
const LAST_CALL: std::time::Duration = std::time::Duration::from_secs(10);

/// Why something cannot be done with a connection.
#[derive(Debug, thiserror::Error)]
pub enum PsaConnectionError {
    /// It is not there, or not in this organisation.
    #[error("no such PSA connection")]
    NotFound,
    /// Fields cannot be taken as they are: all of them.
    #[error("{} fields are invalid", .0.len())]
    Invalid(Vec<ConnectionFault>),
    /// Credentials cannot be taken as they are; every fault of the whole, those of other fields too.
    #[error("the credentials are invalid")]
    InvalidCredentials(Vec<ConnectionFault>),
    /// The address may not be called.
    #[error("the address {why}")]
    AddressRefused {
        /// Its place as a JSON pointer.
        pointer: &'static str,
        /// The rule that it breaks.
        why: TargetRefused,
    },
    /// Another system would stand behind it, whose records have other ids.
    #[error("another system stands behind the new address or credentials")]
    OtherSystem {
        /// The system so far.
        before: String,
        /// The system that would be.
        after: String,
    },
    /// It was changed since the caller read it.
    #[error("the PSA connection has another version by now")]
    VersionMismatch,
    /// The adapter cannot use what was entered.
    #[error(transparent)]
    Refused(PsaError),
    /// What is stored does not open, or nothing can be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates, finds, changes and deletes connections.
#[derive(Clone)]
pub struct PsaConnectionService {
    access: PsaAccess,
}

/// What was entered and can be used.
struct Usable {
    base_url: String,
    credentials: Value,
    adapter: Arc<dyn PsaAdapter>,
}

impl PsaConnectionService {
    /// For connections that are opened this way.
    pub fn new(access: PsaAccess) -> Self {
        Self { access }
    }

    /// Connects a PSA. Nothing is asked of it yet. `complete` runs in the same transaction, once the
    /// connection is there.
    ///
    /// # Errors
    /// Everything that is wrong with what was entered, or the store's.
    pub async fn create(
        &self,
        scope: &OrgScope,
        new: NewPsaConnection,
        complete: impl FnOnce(&mut Scoped<'_>, &PsaConnection) -> Result<(), StoreError>
        + Send
        + 'static,
    ) -> Result<PsaConnection, PsaConnectionError> {
        let mut faults = Vec::new();
        let name = name(&new.name, &mut faults);
        let written = new.settings.as_ref();
        let settings = settings(&PsaSettings::default(), written, &mut faults);
        let usable = self.usable(new.kind, &new.base_url, new.credentials, faults)?;
        let access = self.access.clone();
        self.access
            .store()
            .write(scope, move |tx| {
                let connection = PsaConnection {
                    id: PsaConnectionId::from_uuid(Uuid::now_v7()),
                    kind: new.kind,
                    name,
                    base_url: usable.base_url,
                    settings,
                    system: usable.adapter.system(),
                    generation: 1,
                    trouble: None,
                    version: 1,
                    created_at: tx.now(),
                    changed_at: tx.now(),
                };
                let (key, data_key) = access.keys().new_key(tx.org(), connection.id)?;
                let secret = text_of(&usable.credentials);
                let sealed = key.seal(Sealed::Credentials(connection.generation), &secret)?;
                queries::insert(tx, &connection, &StoredCredentials { data_key, sealed })?;
                customer_sync::connection_created(tx, connection.id)?;
                tickets::connection_changed(tx, connection.id)?;
                complete(tx, &connection)?;
                let details =
                    json!({"connectionId": connection.id, "kind": connection.kind.as_str()});
                audit::record(tx, Action::PsaConnectionCreated, None, details)?;
                Ok(connection)
            })
            .await
    }

    /// A page of connections after the given one.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        scope: &OrgScope,
        after: Option<PsaConnectionId>,
        limit: u16,
    ) -> Result<PsaConnectionPage, PsaConnectionError> {
        self.access
            .store()
            .read(scope, move |tx| {
                let total = queries::count(tx)?;
                let mut items = queries::list(tx, after, i64::from(limit) + 1)?;
                let more = items.len() > usize::from(limit);
                items.truncate(usize::from(limit));
                let last = items.last().map(|connection| connection.id);
                let next = last.filter(|_last| more);
                Ok(PsaConnectionPage { items, next, total })
            })
            .await
    }

    /// One connection.
    ///
    /// # Errors
    /// [`PsaConnectionError::NotFound`], or the store's.
    pub async fn get(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
    ) -> Result<PsaConnection, PsaConnectionError> {
        self.access
            .store()
            .read(scope, move |tx| {
                queries::find(tx, id)?.ok_or(PsaConnectionError::NotFound)
            })
            .await
    }

    /// Changes a connection, if it still has the version the caller saw where one is given. A change that
    /// changes nothing leaves no trace.
    ///
    /// # Errors
    /// Any [`PsaConnectionError`]; [`PsaConnectionError::OtherSystem`] when customers were read through it
    /// and it would lead to another system.
    pub async fn change(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
        version: Option<i64>,
        change: PsaConnectionChange,
    ) -> Result<PsaConnection, PsaConnectionError> {
        let service = self.clone();
        self.access
            .store()
            .write(scope, move |tx| service.changed(tx, id, version, change))
            .await
    }

    /// Deletes a connection: its credentials are erased, what it says about customers goes, the customers
    /// stay. The PSA is asked first to take our webhook away; that it cannot be asked holds nothing up.
    ///
    /// # Errors
    /// [`PsaConnectionError::NotFound`], [`PsaConnectionError::VersionMismatch`], or the store's.
    pub async fn delete(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
        version: Option<i64>,
    ) -> Result<(), PsaConnectionError> {
        let present = self.get(scope, id).await?;
        require(version, &present)?;
        self.take_webhook_away(scope, id).await?;
        let deleted = self
            .access
            .store()
            .write(scope, move |tx| {
                hold_work(tx, id)?;
                let connection =
                    queries::find_locked(tx, id)?.ok_or(PsaConnectionError::NotFound)?;
                require(version, &connection)?;
                customer_sync::connection_deleted(tx, id)?;
                tickets::connection_deleted(tx, id)?;
                if !queries::delete(tx, id)? {
                    return Err(PsaConnectionError::NotFound);
                }
                tx.leave_no_trace();
                let details = json!({"connectionId": id, "kind": connection.kind.as_str()});
                audit::record(tx, Action::PsaConnectionDeleted, None, details)?;
                Ok(())
            })
            .await;
        if deleted.is_ok() {
            self.access.forget(scope.org(), id);
        }
        deleted
    }

    async fn take_webhook_away(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
    ) -> Result<(), StoreError> {
        let stored = self
            .access
            .store()
            .read(scope, move |tx| queries::callback(tx, id))
            .await?;
        let Some(external_id) = stored.and_then(|callback| callback.external_id) else {
            return Ok(());
        };
        let callback = tenantry_psa::event::Callback {
            id: tenantry_psa::ExternalId(external_id),
        };
        let removed = async {
            let open = self.access.open(scope, id, Urgency::Waited).await;
            match open {
                Ok(open) => open
                    .adapter
                    .remove_callback(&callback)
                    .await
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        let why = match tokio::time::timeout(LAST_CALL, removed).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_elapsed) => "no answer in time".to_owned(),
        };
        tracing::warn!(
            organizationId = %scope.org(),
            psaConnectionId = %id,
            error = why,
            "a PSA could not be told to call us no more; its calls will be answered as unknown"
        );
        Ok(())
    }

    fn changed(
        &self,
        tx: &mut Scoped<'_>,
        id: PsaConnectionId,
        version: Option<i64>,
        change: PsaConnectionChange,
    ) -> Result<PsaConnection, PsaConnectionError> {
        hold_work(tx, id)?;
        let before = queries::find_locked(tx, id)?.ok_or(PsaConnectionError::NotFound)?;
        require(version, &before)?;
        let mut after = before.clone();
        let mut fields = Vec::new();
        let mut faults = Vec::new();
        if let Some(written) = &change.name {
            after.name = name(written, &mut faults);
        }
        after.settings = settings(&before.settings, change.settings.as_ref(), &mut faults);
        let sealed = self.resealed(tx, &mut after, change, faults, &mut fields)?;
        for (field, differs) in [
            ("name", after.name != before.name),
            ("baseUrl", after.base_url != before.base_url),
            ("settings", after.settings != before.settings),
        ] {
            if differs {
                fields.push(field);
            }
        }
        if fields.is_empty() {
            return Ok(before);
        }
        if sealed.is_some() {
            // Whether it still stands in the way shows with the next call.
            after.trouble = None;
            tx.leave_no_trace();
        }
        after.version += 1;
        after.changed_at = tx.now();
        queries::update(tx, &after, sealed.as_deref())?;
        customer_sync::connection_changed(tx, id)?;
        tickets::connection_changed(tx, id)?;
        let details = json!({"connectionId": id, "fields": fields});
        audit::record(tx, Action::PsaConnectionChanged, None, details)?;
        Ok(after)
    }

    /// New credentials or a new address of a connection: a new generation, sealed as such. None: neither
    /// is new.
    fn resealed(
        &self,
        tx: &mut Scoped<'_>,
        after: &mut PsaConnection,
        change: PsaConnectionChange,
        faults: Vec<ConnectionFault>,
        fields: &mut Vec<&'static str>,
    ) -> Result<Option<Vec<u8>>, PsaConnectionError> {
        if change.base_url.is_none() && change.credentials.is_none() {
            return if faults.is_empty() {
                Ok(None)
            } else {
                Err(PsaConnectionError::Invalid(faults))
            };
        }
        let org = tx.org();
        let stored = queries::credentials(tx, after.id)?.ok_or(PsaConnectionError::NotFound)?;
        let is_new = change.credentials.is_some();
        let credentials = match change.credentials {
            Some(credentials) => credentials,
            None => self.access.opened(org, after, &stored)?,
        };
        let address = change.base_url.unwrap_or_else(|| after.base_url.clone());
        let usable = self.usable(after.kind, &address, credentials, faults)?;
        if !is_new && usable.base_url == after.base_url {
            return Ok(None);
        }
        if !is_new {
            // Whoever may change an address must not learn by it what another person entered.
            let detail = "Another address needs the credentials anew: those that are stored are sent to the \
                          address they were entered for and to no other.";
            return Err(PsaConnectionError::InvalidCredentials(vec![
                ConnectionFault::new("/credentials", "missing", detail),
            ]));
        }
        let system = usable.adapter.system();
        if system != after.system && queries::has_records(tx, after.id)? {
            return Err(PsaConnectionError::OtherSystem {
                before: after.system.clone(),
                after: system,
            });
        }
        if is_new {
            fields.push("credentials");
        }
        after.base_url = usable.base_url;
        after.system = system;
        after.generation += 1;
        let key = self.access.keys().unwrap(org, after.id, &stored.data_key)?;
        let place = Sealed::Credentials(after.generation);
        Ok(Some(key.seal(place, &text_of(&usable.credentials))?))
    }

    /// Checks address and credentials, together with the faults that were found before, and makes an
    /// adapter of them to see that it takes them.
    fn usable(
        &self,
        kind: PsaKind,
        base_url: &str,
        credentials: Value,
        mut faults: Vec<ConnectionFault>,
    ) -> Result<Usable, PsaConnectionError> {
        let parsed = match Credentials::parse(kind, &credentials) {
            Ok(parsed) => Ok(parsed),
            Err(found) => {
                faults.extend(found.into_iter().map(credential_fault));
                Err(PsaConnectionError::InvalidCredentials(faults.clone()))
            }
        };
        if parsed.is_ok() && !faults.is_empty() {
            return Err(PsaConnectionError::Invalid(faults));
        }
        let parsed = parsed?;
        let policy = self.access.outbound().policy();
        let checked = |pointer, text: &str| {
            let url = policy.base(text);
            url.map_err(|why| PsaConnectionError::AddressRefused { pointer, why })
        };
        let url = checked("/baseUrl", base_url.trim())?;
        if let Some(other) = other_address(kind, &credentials) {
            checked("/credentials/authUrl", other)?;
        }
        // An address without a path is shown as people write it.
        let base_url = match url.path() {
            "/" => url.as_str().trim_end_matches('/').to_owned(),
            _path => url.to_string(),
        };
        let adapter = self
            .access
            .tried(&base_url, parsed)
            .map_err(PsaConnectionError::Refused)?;
        Ok(Usable {
            base_url,
            credentials,
            adapter,
        })
    }
}

fn require(version: Option<i64>, present: &PsaConnection) -> Result<(), PsaConnectionError> {
    if version.is_some_and(|version| version != present.version) {
        return Err(PsaConnectionError::VersionMismatch);
    }
    Ok(())
}

fn name(text: &str, faults: &mut Vec<ConnectionFault>) -> String {
    checked_name(text).unwrap_or_else(|why| {
        let detail = format!("The name {why}.");
        faults.push(ConnectionFault::new("/name", "invalidName", detail));
        String::new()
    })
}

fn settings(
    before: &PsaSettings,
    written: Option<&Value>,
    faults: &mut Vec<ConnectionFault>,
) -> PsaSettings {
    match written.map(|written| before.changed(written)) {
        None => before.clone(),
        Some(Ok(changed)) => changed,
        Some(Err(found)) => {
            faults.extend(found);
            before.clone()
        }
    }
}

fn credential_fault(fault: CredentialFault) -> ConnectionFault {
    let pointer = if fault.field.is_empty() {
        "/credentials".to_owned()
    } else {
        let name = fault.field.replace('~', "~0").replace('/', "~1");
        format!("/credentials/{name}")
    };
    let detail = format!("This credential {}.", fault.why);
    ConnectionFault::new(pointer, "invalidCredential", detail)
}

/// Workers lock their work before the connection; so does whoever changes one.
fn hold_work(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<(), StoreError> {
    let org = tx.org();
    queue::hold_for_psa(&mut tx.global(), org, id)
}
