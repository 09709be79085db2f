//! What one may do with syncs of customers: ask for one, look at them, end one; and look at sites, which are
//! asked for at the PSA.

use std::sync::Arc;

use serde_json::json;
use tenantry_psa::{ExternalId, PsaError, PsaKind, Site};
use uuid::Uuid;

use super::{
    queries::{self, End},
    run::{CustomerSyncKind, CustomerSyncRun, LastSync},
    runs, schedule,
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    customers::{CustomerError, CustomerService, PsaRecord},
    ids::{CustomerId, CustomerSyncRunId, PsaConnectionId},
    psa::{self, OpenPsaError, OpensPsa, PsaCallError, Urgency},
    store::{Scoped, Store, StoreError},
    sync::{
        WakeUp,
        run::{RunState, Warning},
    },
};

/// Why a wish about a sync of customers was not met.
#[derive(Debug, thiserror::Error)]
pub enum CustomerSyncError {
    /// The run or customer is not there, or not in this organisation.
    #[error("not found")]
    NotFound,
    /// The connection is not there, or not in this organisation.
    #[error("no such PSA connection")]
    ConnectionNotFound,
    /// A run is queued or running.
    #[error("a run is under way: {0}")]
    AlreadyRunning(CustomerSyncRunId),
    /// The run has ended already.
    #[error("the run has ended")]
    RunEnded,
    /// The PSA did not answer as it should.
    #[error(transparent)]
    Psa(PsaCallError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs, newest first.
#[derive(Debug)]
pub struct CustomerRunPage {
    /// The runs.
    pub runs: Vec<CustomerSyncRun>,
    /// The last of them, when there are more.
    pub next: Option<CustomerSyncRunId>,
    /// How many there are in all.
    pub total: i64,
}

/// A place of a customer, and which PSA has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerSite {
    /// The connection it came through.
    pub connection: PsaConnectionId,
    /// Which PSA.
    pub kind: PsaKind,
    /// What the PSA says.
    pub site: Site,
}

/// Syncs of customers, for callers.
#[derive(Clone)]
pub struct CustomerSyncService {
    store: Store,
    customers: CustomerService,
    psa: Arc<dyn OpensPsa>,
    wake: WakeUp,
}

impl CustomerSyncService {
    /// Over this store; `wake` tells the workers of this process.
    pub fn new(store: Store, psa: impl OpensPsa + 'static, wake: WakeUp) -> Self {
        Self {
            customers: CustomerService::new(store.clone()),
            store,
            psa: Arc::new(psa),
            wake,
        }
    }

    /// Asks for a run of this kind; without one, of what changed, and of everything as long as no read was
    /// completed. `complete` stores what belongs to the answer in the same transaction.
    ///
    /// # Errors
    /// [`CustomerSyncError::ConnectionNotFound`], [`CustomerSyncError::AlreadyRunning`], or the store's.
    pub async fn start(
        &self,
        scope: &OrgScope,
        connection: PsaConnectionId,
        kind: Option<CustomerSyncKind>,
        complete: impl FnOnce(&mut Scoped<'_>, CustomerSyncRunId) -> Result<(), StoreError>
        + Send
        + 'static,
    ) -> Result<CustomerSyncRunId, CustomerSyncError> {
        let run = self
            .store
            .write(scope, move |tx| {
                if psa::find(tx, connection)?.is_none() {
                    return Err(CustomerSyncError::ConnectionNotFound);
                }
                // The queue first, as every transaction of a worker does; two who ask at once take turns
                // at it, so that the second sees the run of the first.
                schedule::wake(tx, connection)?;
                if let Some((run, _)) = queries::unfinished(tx, connection)? {
                    return Err(CustomerSyncError::AlreadyRunning(run.id));
                }
                let can_read_changes = runs::state_of(tx, connection)?.changes_since.is_some();
                let kind = match kind {
                    Some(CustomerSyncKind::Full) => CustomerSyncKind::Full,
                    Some(CustomerSyncKind::Incremental) | None if can_read_changes => {
                        CustomerSyncKind::Incremental
                    }
                    Some(CustomerSyncKind::Incremental) | None => CustomerSyncKind::Full,
                };
                let id = CustomerSyncRunId::from_uuid(Uuid::now_v7());
                queries::insert_run(tx, connection, id, kind)?;
                complete(tx, id)?;
                let details =
                    json!({"connectionId": connection, "syncRunId": id, "kind": kind.as_str()});
                audit::record(tx, Action::CustomerSyncRequested, None, details)?;
                Ok(id)
            })
            .await?;
        self.wake.work_is_there();
        Ok(run)
    }

    /// A connection's runs, newest first.
    ///
    /// # Errors
    /// [`CustomerSyncError::ConnectionNotFound`], or the store's.
    pub async fn runs(
        &self,
        scope: &OrgScope,
        connection: PsaConnectionId,
        before: Option<CustomerSyncRunId>,
        limit: u16,
    ) -> Result<CustomerRunPage, CustomerSyncError> {
        self.store
            .read(scope, move |tx| {
                if psa::find(tx, connection)?.is_none() {
                    return Err(CustomerSyncError::ConnectionNotFound);
                }
                let mut runs = queries::list(tx, connection, before, i64::from(limit) + 1)?;
                let more = runs.len() > usize::from(limit);
                runs.truncate(usize::from(limit));
                let next = runs.last().map(|run| run.id).filter(|_| more);
                Ok(CustomerRunPage {
                    runs,
                    next,
                    total: queries::count(tx, connection)?,
                })
            })
            .await
    }

    /// One run.
    ///
    /// # Errors
    /// [`CustomerSyncError::NotFound`], or the store's.
    pub async fn run(
        &self,
        scope: &OrgScope,
        connection: PsaConnectionId,
        run: CustomerSyncRunId,
    ) -> Result<CustomerSyncRun, CustomerSyncError> {
        let found = self
            .store
            .read(scope, move |tx| queries::run(tx, connection, run))
            .await?;
        found.ok_or(CustomerSyncError::NotFound)
    }

    /// Ends a run that has not ended. What is stored stays; a full read that did not come to its end says
    /// nothing about what is missing.
    ///
    /// # Errors
    /// Any [`CustomerSyncError`] but [`CustomerSyncError::AlreadyRunning`] and
    /// [`CustomerSyncError::Psa`].
    pub async fn cancel(
        &self,
        scope: &OrgScope,
        connection: PsaConnectionId,
        run: CustomerSyncRunId,
    ) -> Result<CustomerSyncRun, CustomerSyncError> {
        self.store
            .write(scope, move |tx| {
                let known =
                    psa::find(tx, connection)?.ok_or(CustomerSyncError::ConnectionNotFound)?;
                // The queue first; its worker then sees at once that there is nothing to go on with.
                schedule::wake(tx, connection)?;
                if queries::run(tx, connection, run)?.is_none() {
                    return Err(CustomerSyncError::NotFound);
                }
                let warning =
                    Warning::note("cancelled", "Not read to the end: a person ended the run.");
                let end = End {
                    state: RunState::Cancelled,
                    warning: Some(&warning),
                    error: None,
                };
                if !runs::end(tx, &known, run, &end)? {
                    return Err(CustomerSyncError::RunEnded);
                }
                queries::run(tx, connection, run)?.ok_or(CustomerSyncError::NotFound)
            })
            .await
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
                    let newest = queries::list(tx, connection, None, 1)?;
                    found.extend(newest.into_iter().map(|run| (connection, run.into())));
                }
                Ok(found)
            })
            .await
    }

    /// The newest run of a connection, ended or not.
    ///
    /// # Errors
    /// The store's.
    pub async fn last_sync(
        &self,
        scope: &OrgScope,
        connection: PsaConnectionId,
    ) -> Result<Option<LastSync>, StoreError> {
        let found = self.last_syncs(scope, vec![connection]).await?;
        Ok(found.into_iter().map(|(_, last)| last).next())
    }

    /// The sites of a customer as its PSAs have them at this moment.
    ///
    /// # Errors
    /// [`CustomerSyncError::NotFound`], [`CustomerSyncError::Psa`], or the store's.
    pub async fn sites(
        &self,
        scope: &OrgScope,
        customer: CustomerId,
    ) -> Result<Vec<CustomerSite>, CustomerSyncError> {
        let customer = match self.customers.get(scope, customer).await {
            Ok(customer) => customer,
            Err(CustomerError::Store(error)) => return Err(error.into()),
            Err(
                CustomerError::NotFound
                | CustomerError::NotActive
                | CustomerError::SameCustomer
                | CustomerError::Invalid(_)
                | CustomerError::VersionMismatch
                | CustomerError::HasTenants(_),
            ) => return Err(CustomerSyncError::NotFound),
        };
        let mut sites = Vec::new();
        for record in customer.psa_records {
            sites.extend(self.sites_of(scope, &record).await?);
        }
        Ok(sites)
    }

    async fn sites_of(
        &self,
        scope: &OrgScope,
        record: &PsaRecord,
    ) -> Result<Vec<CustomerSite>, CustomerSyncError> {
        let now = self.store.clock().now();
        let refused = |error: PsaError| {
            let trouble = Box::new(psa::trouble_of(&error, record.kind, now));
            CustomerSyncError::Psa(PsaCallError::Psa { error, trouble })
        };
        let opened = self
            .psa
            .open(scope, record.connection, Urgency::Waited)
            .await;
        let opened = match opened {
            Ok(opened) => opened,
            // Deleted since the customer was read: it has no sites any more.
            Err(OpenPsaError::NotFound) => return Ok(Vec::new()),
            Err(OpenPsaError::Store(error)) => return Err(error.into()),
            Err(OpenPsaError::Unreadable) => {
                return Err(CustomerSyncError::Psa(PsaCallError::Unreadable));
            }
            Err(OpenPsaError::Refused(error)) => return Err(refused(error)),
        };
        let id = ExternalId(record.external_id.clone());
        let sites = match opened.adapter.list_sites(&id).await {
            Ok(sites) => sites,
            Err(PsaError::NotFound) => Vec::new(),
            Err(error) => return Err(refused(error)),
        };
        let own = |site| CustomerSite {
            connection: record.connection,
            kind: record.kind,
            site,
        };
        Ok(sites.into_iter().map(own).collect())
    }
}
