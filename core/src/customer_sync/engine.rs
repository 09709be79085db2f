//! One claim of a connection's work, from the decision what is due to its end.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::{
    error::ReadError,
    finish,
    read::Session,
    runs::{self, Begun},
};
use crate::{
    access::OrgScope,
    ids::PsaConnectionId,
    psa::{self, OpenPsaError, OpensPsa, PsaError, Trouble, Urgency},
    store::{Scoped, Store, StoreError},
    sync::{
        Outcome, PsaEngine,
        queue::{self, ClaimedWork, Task},
    },
};

/// Claims without any progress after which a run is given up.
const MOST_ATTEMPTS: i32 = 5;

/// Brings customers from PSAs.
#[derive(Clone)]
pub struct CustomerSyncEngine {
    store: Store,
    psa: Arc<dyn OpensPsa>,
}

impl PsaEngine for CustomerSyncEngine {
    fn work<'a>(&'a self, work: &'a ClaimedWork) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(async move {
            match work.task {
                Task::CustomerSync { connection } => self.attend(work, connection).await,
                // The worker gives each engine its own kind of work.
                Task::Proof { .. }
                | Task::Sync { .. }
                | Task::MailboxPurposes { .. }
                | Task::Tickets { .. } => Ok(Outcome::Later),
            }
        })
    }
}

impl CustomerSyncEngine {
    /// Over this store, through connections that `psa` opens.
    pub fn new(store: Store, psa: impl OpensPsa + 'static) -> Self {
        Self {
            store,
            psa: Arc::new(psa),
        }
    }

    async fn attend(
        &self,
        work: &ClaimedWork,
        connection: PsaConnectionId,
    ) -> Result<Outcome, StoreError> {
        let scope = OrgScope::for_system(work.org);
        let its = work.clone();
        let begun = self
            .store
            .write(&scope, move |tx| runs::begin(tx, &its, connection))
            .await?;
        let Some(begun) = begun else {
            return Ok(Outcome::Done);
        };
        let now = self.store.clock().now();
        if begun.attempt > MOST_ATTEMPTS {
            tracing::error!(organizationId = %work.org, connectionId = %connection, "a sync of customers was given up");
            return self.fail(work, begun, gave_up(now)).await;
        }
        let opened = match self.psa.open(&scope, connection, Urgency::Background).await {
            Ok(opened) => opened,
            // It was deleted just now, and its work with it.
            Err(OpenPsaError::NotFound) => return Ok(Outcome::Done),
            Err(OpenPsaError::Store(error)) => return Err(error),
            Err(OpenPsaError::Unreadable) => {
                return self.fail(work, begun, unreadable(now)).await;
            }
            Err(OpenPsaError::Refused(error)) => {
                let error = ReadError::Psa {
                    error,
                    at_cursor: false,
                };
                return self.stop(work, begun, false, error).await;
            }
        };
        let mut session = Session {
            store: self.store.clone(),
            scope,
            work: work.clone(),
            connection: opened.connection,
            adapter: opened.adapter,
            run: begun.run,
            checkpoint: begun.checkpoint,
            attempt: begun.attempt,
            moved_on: false,
        };
        let read = read_whole(&mut session).await;
        let ended = match read {
            Ok(()) => finish::complete(&session).await,
            Err(error) => Err(error),
        };
        let Err(error) = ended else {
            return Ok(Outcome::Done);
        };
        let begun = Begun {
            connection: session.connection,
            run: session.run,
            checkpoint: session.checkpoint,
            attempt: session.attempt,
        };
        self.stop(work, begun, session.moved_on, error).await
    }

    /// What becomes of a run that cannot go on right now.
    async fn stop(
        &self,
        work: &ClaimedWork,
        at: Begun,
        moved_on: bool,
        error: ReadError,
    ) -> Result<Outcome, StoreError> {
        let (error, id) = match error {
            ReadError::LeaseLost => return Ok(Outcome::Done),
            ReadError::Store(error) => return Err(error),
            ReadError::Cancelled => {
                let its = work.clone();
                let id = at.connection.id;
                return self
                    .write(work, move |tx| finish::leave(tx, &its, id))
                    .await;
            }
            ReadError::ConnectionChanged => {
                let its = work.clone();
                return self
                    .write(work, move |tx| {
                        let now = tx.now();
                        queue::rest(&mut tx.global(), &its, now)
                    })
                    .await;
            }
            ReadError::Psa { error, .. } => (error, at.connection.id),
        };
        let trouble = psa::trouble_of(&error, at.connection.kind, self.store.clock().now());
        match &error {
            PsaError::RateLimited { retry_after } => {
                let (its, retry_after) = (work.clone(), *retry_after);
                let Begun {
                    connection,
                    run,
                    checkpoint,
                    ..
                } = at;
                self.write(work, move |tx| {
                    match finish::pause(tx, &its, &run, &checkpoint, retry_after)? {
                        Some(until) => {
                            tracing::info!(connectionId = %id, %until, "the PSA wants a sync of customers to wait");
                            Ok(())
                        }
                        None => finish::fail(tx, &its, &connection, &run, &trouble),
                    }
                })
                .await
            }
            PsaError::Transient { .. }
            | PsaError::Ambiguous
            | PsaError::Conflict
            | PsaError::Protocol { .. }
                if moved_on || at.attempt < MOST_ATTEMPTS =>
            {
                tracing::info!(connectionId = %id, %error, "a sync of customers goes on later");
                Ok(Outcome::Later)
            }
            PsaError::Transient { .. }
            | PsaError::Ambiguous
            | PsaError::Conflict
            | PsaError::Protocol { .. }
            | PsaError::Config { .. }
            | PsaError::Auth { .. }
            | PsaError::Permission { .. }
            | PsaError::NotFound
            | PsaError::Validation { .. }
            | PsaError::AddressRefused => {
                tracing::warn!(organizationId = %work.org, connectionId = %id, code = trouble.code, %error, "a sync of customers failed");
                self.fail(work, at, trouble).await
            }
        }
    }

    async fn fail(
        &self,
        work: &ClaimedWork,
        at: Begun,
        trouble: Trouble,
    ) -> Result<Outcome, StoreError> {
        let its = work.clone();
        self.write(work, move |tx| {
            finish::fail(tx, &its, &at.connection, &at.run, &trouble)
        })
        .await
    }

    /// Something that gives the work back or ends it.
    async fn write(
        &self,
        work: &ClaimedWork,
        body: impl FnOnce(&mut Scoped<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Outcome, StoreError> {
        let scope = OrgScope::for_system(work.org);
        self.store.write(&scope, body).await?;
        Ok(Outcome::Done)
    }
}

/// Reads to the end; once from the start again, where the PSA refuses to go on from where the run stood.
async fn read_whole(session: &mut Session) -> Result<(), ReadError> {
    let read = session.read().await;
    let Err(ReadError::Psa {
        error: PsaError::Config { .. },
        at_cursor: true,
    }) = &read
    else {
        return read;
    };
    if session.checkpoint.begun_anew {
        return read;
    }
    tracing::warn!(connectionId = %session.connection.id, "the PSA refused to go on; the read begins anew");
    session.begin_anew().await?;
    session.read().await
}

/// The run has brought the process down or moved nothing again and again: it harms others.
fn gave_up(now: DateTime<Utc>) -> Trouble {
    Trouble {
        code: "syncGaveUp".to_owned(),
        detail: format!("The sync stopped {MOST_ATTEMPTS} times without getting on."),
        action: Some(
            "The operator of this installation looks into the log and starts the sync again."
                .to_owned(),
        ),
        at: now,
    }
}

/// The vault does not open what is stored.
fn unreadable(now: DateTime<Utc>) -> Trouble {
    Trouble {
        code: "psaConfigurationInvalid".to_owned(),
        detail: "The stored credentials of the connection cannot be decrypted.".to_owned(),
        action: Some(
            "Enter the credentials of the connection again; if they were readable before, the operator looks into the log."
                .to_owned(),
        ),
        at: now,
    }
}
