//! Proving a connection: a token, the tenant's own id, and what was granted.
//!
//! Consent spreads through Microsoft's directories for a while: until then the application is not
//! found, the token names no permission, or Graph refuses it. So the proof is tried at once for some
//! seconds and then by a durable piece of work for a minute, with a fresh token each time.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tracing::warn;

use super::{
    callback::note_failure,
    evidence::{self, Evidence, Organization, SETTLED, Setback, too_slow},
    model::{Connection, NextStep, Outcome},
    queries,
    rejection::{Rejection, RejectionCode},
    service::record_started,
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    credentials,
    ids::{ConnectionId, OrgId, SyncRunId, TenantId},
    microsoft::{
        connection::ConnectionHandle,
        graph::{GraphClient, GraphSession},
        identity::{AccessToken, IdentityClient},
        permissions::Comparison,
    },
    store::{Scoped, Store, StoreError},
    sync::{
        WakeUp,
        queue::{self, Lease, LeaseError, WorkKind},
        run::RunKind,
        runs::{self, QueueRunError},
        status,
    },
    tenants::{self, Connected, ConnectionType, TenantStatus},
};

/// How long the callback waits for the proof.
pub(super) const AT_ONCE: Duration = Duration::from_secs(10);
/// How long the durable step goes on after that.
pub(super) const DURABLE: TimeDelta = TimeDelta::seconds(60);
/// Between two tries of the durable step.
const BETWEEN_TRIES: TimeDelta = TimeDelta::seconds(5);
/// The longest a single try of the durable step may take.
const ONE_TRY: Duration = Duration::from_secs(20);
/// First and longest wait between the tries of a callback.
const FIRST_WAIT: Duration = Duration::from_millis(400);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What the worker does with a piece of proving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofStep {
    /// Proven, failed for good, or not wanted any more.
    Done,
    /// Microsoft is not ready yet.
    TryAgainAt(DateTime<Utc>),
}

/// What a callback's own tries came to.
#[derive(Debug)]
pub(super) enum AtOnce {
    /// Proven; the first run, where one was queued.
    Connected(Option<SyncRunId>),
    /// The durable step goes on.
    NotYet,
    /// It cannot be proven.
    Failed(Box<Rejection>),
}

/// Proves connections. Cheap to clone.
#[derive(Clone)]
pub struct Prover {
    store: Store,
    identity: IdentityClient,
    graph: GraphClient,
    wake: WakeUp,
    at_once: Duration,
}

/// Why a proof was not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStored {
    /// Another organisation holds the tenant.
    #[error("tenant is held by another organisation")]
    HeldByAnother,
    /// Somebody else proved, voided or revoked the connection meanwhile.
    #[error("connection is not waiting for its proof")]
    NotWaiting,
    /// Another worker has the work by now.
    #[error("lease lost")]
    LeaseLost,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LeaseError> for NotStored {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::LeaseLost,
            LeaseError::Store(error) => Self::Store(error),
        }
    }
}

impl From<QueueRunError> for NotStored {
    fn from(error: QueueRunError) -> Self {
        match error {
            QueueRunError::Store(error) => Self::Store(error),
            QueueRunError::AlreadyRunning(run) => Self::Store(StoreError::Unavailable(
                QueueRunError::AlreadyRunning(run).into(),
            )),
        }
    }
}

/// What a stored proof left behind.
pub(super) struct Stored {
    pub(super) status: TenantStatus,
    run: SyncRunId,
    superseded: Vec<ConnectionId>,
}

impl Prover {
    /// The prover of one installation; `wake` tells the workers of this process.
    pub fn new(store: Store, identity: IdentityClient, graph: GraphClient, wake: WakeUp) -> Self {
        Self {
            store,
            identity,
            graph,
            wake,
            at_once: AT_ONCE,
        }
    }

    /// The same with another patience of the callback; with none the first try is the worker's.
    pub fn waiting_at_once(self, at_once: Duration) -> Self {
        Self { at_once, ..self }
    }

    /// One try by a worker. The lease is proven in the transaction that stores the outcome.
    ///
    /// # Errors
    /// When the store fails; the work is still in the queue then.
    pub async fn attempt(
        &self,
        org: OrgId,
        tenant: TenantId,
        connection: ConnectionId,
        lease: Lease,
    ) -> Result<ProofStep, StoreError> {
        let scope = OrgScope::for_system(org);
        match self.durable_try(&scope, tenant, connection, lease).await {
            Ok(step) => Ok(step),
            Err(NotStored::Store(error)) => Err(error),
            // Whoever holds the work by now goes on with it.
            Err(NotStored::LeaseLost | NotStored::NotWaiting | NotStored::HeldByAnother) => Ok(
                ProofStep::TryAgainAt(self.store.clock().now() + BETWEEN_TRIES),
            ),
        }
    }

    async fn durable_try(
        &self,
        scope: &OrgScope,
        tenant: TenantId,
        id: ConnectionId,
        lease: Lease,
    ) -> Result<ProofStep, NotStored> {
        let waiting = self.waiting(scope, id).await?;
        // The organisation comes from the work; that its connection is for that tenant is checked (Z3).
        let Some((connection, handle)) =
            waiting.filter(|(connection, _)| connection.tenant == tenant)
        else {
            return self.drop_work(scope, id, lease).await;
        };
        crate::failpoint::failpoint!("proof-before-try");
        let tried = tokio::time::timeout(
            ONE_TRY,
            Box::pin(evidence::ask(&self.identity, &self.graph, &handle, SETTLED)),
        )
        .await;
        let now = self.store.clock().now();
        let is_over = connection
            .proof_deadline
            .is_none_or(|deadline| now >= deadline);
        let rejection = match tried.unwrap_or_else(|_elapsed| Err(too_slow())) {
            Ok(evidence) => {
                match self
                    .store_proof(scope, &connection, evidence, Some(lease))
                    .await
                {
                    Ok(_stored) => return Ok(ProofStep::Done),
                    Err(NotStored::NotWaiting) => return self.drop_work(scope, id, lease).await,
                    Err(NotStored::HeldByAnother) => held_by_another(),
                    Err(error @ (NotStored::LeaseLost | NotStored::Store(_))) => return Err(error),
                }
            }
            Err(Setback::NotYet(_)) if !is_over => {
                return Ok(ProofStep::TryAgainAt(now + BETWEEN_TRIES));
            }
            Err(Setback::NotYet(rejection) | Setback::Final(rejection)) => *rejection,
        };
        self.store_failure(scope, &connection, rejection, Some(lease))
            .await?;
        Ok(ProofStep::Done)
    }

    /// Nobody waits for this proof any more.
    async fn drop_work(
        &self,
        scope: &OrgScope,
        id: ConnectionId,
        lease: Lease,
    ) -> Result<ProofStep, NotStored> {
        self.store
            .write(scope, move |tx| {
                lease.require_held(&mut tx.global())?;
                Ok::<_, NotStored>(queue::remove(
                    &mut tx.global(),
                    WorkKind::Proof,
                    id.as_uuid(),
                )?)
            })
            .await?;
        Ok(ProofStep::Done)
    }

    /// Tries for as long as the callback may wait.
    pub(super) async fn at_once(
        &self,
        scope: &OrgScope,
        id: ConnectionId,
    ) -> Result<AtOnce, StoreError> {
        if self.at_once.is_zero() {
            return Ok(AtOnce::NotYet);
        }
        let Some((connection, handle)) = self.waiting(scope, id).await? else {
            return Ok(AtOnce::NotYet);
        };
        let tried =
            tokio::time::timeout(self.at_once, Box::pin(self.try_for_a_while(&handle))).await;
        let Ok(tried) = tried else {
            return Ok(AtOnce::NotYet);
        };
        let rejection = match tried {
            Ok(evidence) => match self.store_proof(scope, &connection, evidence, None).await {
                Ok(stored) => return Ok(AtOnce::Connected(Some(stored.run))),
                Err(NotStored::HeldByAnother) => held_by_another(),
                Err(NotStored::NotWaiting | NotStored::LeaseLost) => return Ok(AtOnce::NotYet),
                Err(NotStored::Store(error)) => {
                    // The work is in the queue: the proof is not lost with this try.
                    warn!(tenantId = %connection.tenant, %error, "a proof could not be stored");
                    return Ok(AtOnce::NotYet);
                }
            },
            Err(rejection) => *rejection,
        };
        match self
            .store_failure(scope, &connection, rejection.clone(), None)
            .await
        {
            Ok(()) => Ok(AtOnce::Failed(Box::new(rejection))),
            Err(NotStored::Store(error)) => Err(error),
            Err(NotStored::NotWaiting | NotStored::LeaseLost | NotStored::HeldByAnother) => {
                Ok(AtOnce::NotYet)
            }
        }
    }

    /// The connection and its handle, while it waits for its proof.
    async fn waiting(
        &self,
        scope: &OrgScope,
        id: ConnectionId,
    ) -> Result<Option<(Connection, ConnectionHandle)>, StoreError> {
        self.store
            .read(scope, move |tx| {
                let Some(handle) = tenants::connection_to_prove(tx, id)? else {
                    return Ok(None);
                };
                Ok(queries::connection(tx, id)?.map(|connection| (connection, handle)))
            })
            .await
    }

    async fn try_for_a_while(&self, handle: &ConnectionHandle) -> Result<Evidence, Box<Rejection>> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            match evidence::ask(&self.identity, &self.graph, handle, attempt).await {
                Ok(evidence) => return Ok(evidence),
                Err(Setback::Final(rejection)) => return Err(rejection),
                Err(Setback::NotYet(_)) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            attempt += 1;
        }
    }

    async fn store_proof(
        &self,
        scope: &OrgScope,
        connection: &Connection,
        evidence: Evidence,
        lease: Option<Lease>,
    ) -> Result<Stored, NotStored> {
        crate::failpoint::failpoint!("proof-before-store");
        let connection = connection.clone();
        let stored = self
            .store
            .write(scope, move |tx| proven(tx, &connection, evidence, lease))
            .await?;
        self.after(&stored);
        crate::failpoint::failpoint!("proof-stored");
        Ok(stored)
    }

    /// A session that reads with a token just given, to see whether it does.
    pub(super) fn trial(
        &self,
        org: OrgId,
        tenant: TenantId,
        token: Arc<AccessToken>,
    ) -> GraphSession {
        self.graph.trial(org, tenant, token)
    }

    /// What follows a stored proof outside the store: the first run begins, old tokens go.
    pub(super) fn after(&self, stored: &Stored) {
        self.wake.work_is_there();
        for superseded in &stored.superseded {
            self.identity.forget(*superseded);
        }
    }

    async fn store_failure(
        &self,
        scope: &OrgScope,
        connection: &Connection,
        rejection: Rejection,
        lease: Option<Lease>,
    ) -> Result<(), NotStored> {
        let (id, tenant) = (connection.id, connection.tenant);
        self.identity.forget(id);
        self.store
            .write(scope, move |tx| {
                if let Some(lease) = lease {
                    lease.require_held(&mut tx.global())?;
                }
                // The queue first, as every transaction of a worker does.
                queue::remove(&mut tx.global(), WorkKind::Proof, id.as_uuid())?;
                if !queries::take_step(tx, id, &[NextStep::Proof], NextStep::SignIn, None)? {
                    return Err(NotStored::NotWaiting);
                }
                credentials::erase(tx, &[id])?;
                note_failure(tx, id, tenant, NextStep::Proof.as_str(), &rejection)?;
                Ok(())
            })
            .await
    }
}

/// Everything that a proof changes, in one transaction.
pub(super) fn proven(
    tx: &mut Scoped<'_>,
    connection: &Connection,
    evidence: Evidence,
    lease: Option<Lease>,
) -> Result<Stored, NotStored> {
    let (id, tenant) = (connection.id, connection.tenant);
    if let Some(lease) = lease {
        lease.require_held(&mut tx.global())?;
    }
    // The queue first, as every transaction of a worker does: so that the two never wait for each other.
    queue::remove(&mut tx.global(), WorkKind::Proof, id.as_uuid())?;
    let before = tenants::find(tx, tenant)?.ok_or(StoreError::NotFound)?;
    let needs_person = connection.connection_type != ConnectionType::ApplicationCredentials;
    if needs_person && connection.signed_in.is_none() {
        return Err(NotStored::NotWaiting);
    }
    let Evidence {
        permissions:
            Comparison {
                granted,
                missing,
                excess,
            },
        organization,
    } = evidence;
    let connected = Connected {
        tenant,
        connection: id,
        connection_type: connection.connection_type,
        customer: connection.customer,
        granted,
        missing: missing
            .iter()
            .map(|permission| permission.name.to_owned())
            .collect(),
        consented_by: connection.signed_in.clone(),
    };
    let Some(status) = tenants::note_connected(tx, &connected)? else {
        return Err(NotStored::HeldByAnother);
    };
    if !queries::set_proven(tx, id, &Outcome::connected(status))? {
        return Err(NotStored::NotWaiting);
    }
    if let Some(organization) = organization {
        note_organization(tx, tenant, &organization)?;
    }
    let superseded = queries::supersede(tx, tenant, id)?;
    queries::void_pending(tx, tenant, id, true)?;
    let kind = if before.last_completed_at.is_none() {
        RunKind::Initial
    } else {
        RunKind::Full
    };
    let run = match runs::queue_run(tx, tenant, kind, None) {
        Ok(run) | Err(QueueRunError::AlreadyRunning(run)) => run,
        Err(error @ QueueRunError::Store(_)) => return Err(error.into()),
    };
    status::refresh(tx, tenant)?;
    if connection.connection_type == ConnectionType::ApplicationCredentials {
        // Such an attempt begins and ends in this transaction. The audit comes last in every one.
        record_started(tx, connection)?;
    }
    record(tx, &connected, status, before.status, &excess, run)?;
    Ok(Stored {
        status,
        run,
        superseded,
    })
}

fn record(
    tx: &mut Scoped<'_>,
    connected: &Connected,
    status: TenantStatus,
    before: TenantStatus,
    excess: &[String],
    run: SyncRunId,
) -> Result<(), StoreError> {
    let tenant = Some(connected.tenant);
    let details = json!({
        "connectionId": connected.connection,
        "customerId": connected.customer,
        "status": status.as_str(),
        "statusBefore": before.as_str(),
        "grantedPermissions": connected.granted,
        "missingPermissions": connected.missing,
        "connectionType": connected.connection_type.as_str(),
        "consentedBy": connected.consented_by.as_ref().map(|who| json!({
            "objectId": who.object_id,
            "accountType": who.account_type.as_str(),
        })),
        "syncRunId": run,
    });
    audit::record(tx, Action::TenantConnected, tenant, details)?;
    if excess.is_empty() {
        return Ok(());
    }
    warn!(
        organizationId = %tx.org(), tenantId = %connected.tenant, permissions = ?excess,
        "a tenant granted more than was asked for; the excess is not used"
    );
    let details = json!({"connectionId": connected.connection, "permissions": excess});
    audit::record(tx, Action::ConsentExcessPermissions, tenant, details)
}

fn note_organization(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    organization: &Organization,
) -> Result<(), StoreError> {
    let domains = organization.verified_domains.as_deref().unwrap_or_default();
    let names: Vec<String> = domains
        .iter()
        .filter_map(|domain| domain.name.clone())
        .collect();
    let default = domains
        .iter()
        .find(|domain| domain.is_default == Some(true));
    let default = default.and_then(|domain| domain.name.as_deref());
    tenants::note_organization(
        tx,
        tenant,
        organization.display_name.as_deref(),
        default,
        &names,
    )
}

pub(super) fn held_by_another() -> Rejection {
    let detail = "This tenant cannot be connected here, because it is connected to this installation already.";
    Rejection::new(RejectionCode::TenantUnavailable, detail)
}
