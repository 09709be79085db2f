//! The work for tickets: one look at one connection after the other step until nothing is due.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tenantry_psa::{
    PsaAdapter, PsaError,
    ticket::{NewTicket, TicketRef},
};

use super::{
    plan::{self, Call, Plan, Try},
    settle::{self, Answer},
};
use crate::{
    access::OrgScope,
    failpoint::failpoint,
    ids::{OrgId, PsaConnectionId},
    psa::{OpenPsaError, OpensPsa, Urgency},
    store::{Store, StoreError},
    sync::{
        Outcome, PsaEngine,
        queue::{self, ClaimedWork, Lease, LeaseError, Task},
    },
};

/// Calls of one look. Then others have their turn, and this goes on.
const MOST_CALLS: u32 = 40;

/// Keeps tickets.
#[derive(Clone)]
pub struct TicketEngine {
    store: Store,
    psa: Arc<dyn OpensPsa>,
}

/// What a look ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketLook {
    /// Nothing is to be done before this moment.
    Rest(DateTime<Utc>),
    /// The work is out of the queue: no connection, or no tickets wanted there.
    Gone,
    /// Somebody else holds the work by now.
    LeaseLost,
}

impl TicketEngine {
    /// On a store, asking PSAs through their connections.
    pub fn new(store: Store, psa: impl OpensPsa + 'static) -> Self {
        Self {
            store,
            psa: Arc::new(psa),
        }
    }

    /// Looks at a connection and does what is due there.
    ///
    /// # Errors
    /// The store's. What a PSA refuses stands with the ticket.
    pub async fn look(
        &self,
        org: OrgId,
        id: PsaConnectionId,
        lease: Lease,
    ) -> Result<TicketLook, StoreError> {
        match self.steps(org, id, lease).await {
            Ok(look) => Ok(look),
            Err(LeaseError::Lost) => Ok(TicketLook::LeaseLost),
            Err(LeaseError::Store(error)) => Err(error),
        }
    }

    async fn steps(
        &self,
        org: OrgId,
        id: PsaConnectionId,
        lease: Lease,
    ) -> Result<TicketLook, LeaseError> {
        let scope = OrgScope::for_system(org);
        let mut opened = None;
        for _ in 0..MOST_CALLS {
            let planned = self
                .store
                .write(&scope, move |tx| plan::plan(tx, id, lease))
                .await?;
            let tried = match planned {
                Plan::Gone => return Ok(TicketLook::Gone),
                Plan::Rest(next) => return Ok(TicketLook::Rest(next)),
                Plan::Try(tried) => tried,
            };
            failpoint!("tickets.before_call");
            let result = match self.adapter(&scope, id, &mut opened).await? {
                Ok(adapter) => ask(adapter.as_ref(), &tried).await,
                Err(error) => Err(error),
            };
            failpoint!("tickets.after_call");
            let result = Answer::of(&tried.call, tried.ticket.state, result);
            self.store
                .write(&scope, move |tx| {
                    settle::settle(tx, id, lease, &tried, &result)
                })
                .await?;
        }
        Ok(TicketLook::Rest(self.store.clock().now()))
    }

    /// The adapter of this look.
    async fn adapter(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
        opened: &mut Option<Arc<dyn PsaAdapter>>,
    ) -> Result<Result<Arc<dyn PsaAdapter>, PsaError>, LeaseError> {
        if let Some(adapter) = opened {
            return Ok(Ok(Arc::clone(adapter)));
        }
        match self.psa.open(scope, id, Urgency::Background).await {
            Ok(psa) => {
                *opened = Some(Arc::clone(&psa.adapter));
                Ok(Ok(psa.adapter))
            }
            // Deleted meanwhile, and the work with it.
            Err(OpenPsaError::NotFound) => Err(LeaseError::Lost),
            Err(OpenPsaError::Unreadable) => Ok(Err(PsaError::Config {
                what: "the stored credentials do not open any more; enter them again".to_owned(),
            })),
            Err(OpenPsaError::Refused(error)) => Ok(Err(error)),
            Err(OpenPsaError::Store(error)) => Err(LeaseError::Store(error)),
        }
    }
}

/// One call.
async fn ask(adapter: &dyn PsaAdapter, tried: &Try) -> Result<Answer, PsaError> {
    let Try {
        ticket,
        call,
        settings,
        ..
    } = tried;
    let reference = ticket.reference();
    match (call, &reference) {
        (Call::Ensure, known) => {
            let wanted = NewTicket {
                key: ticket.key.clone(),
                customer: ticket.customer.clone(),
                summary: ticket.summary.clone(),
                description: ticket.description.clone(),
            };
            let open = adapter.ensure_ticket(settings, &wanted, known.as_ref());
            open.await.map(Answer::Ensured)
        }
        (Call::Note(note), Some(reference)) => note_on(adapter, settings, reference, note).await,
        (Call::Close, Some(reference)) => {
            let closed = adapter.close_ticket(settings, reference).await;
            closed.map(|()| Answer::Closed)
        }
        // Planned only for a ticket that is known.
        (Call::Note(_) | Call::Close, None) => Err(PsaError::NotFound),
    }
}

async fn note_on(
    adapter: &dyn PsaAdapter,
    settings: &serde_json::Value,
    reference: &TicketRef,
    note: &str,
) -> Result<Answer, PsaError> {
    let noted = adapter.add_note(settings, reference, note).await;
    noted.map(|()| Answer::Noted)
}

impl PsaEngine for TicketEngine {
    fn work<'a>(&'a self, work: &'a ClaimedWork) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(async move {
            let Task::Tickets { connection } = work.task else {
                return Ok(Outcome::Later);
            };
            match self.look(work.org, connection, work.lease).await? {
                TicketLook::Rest(next) => {
                    let work = work.clone();
                    self.store
                        .global(move |tx| queue::rest(tx, &work, next))
                        .await?;
                    Ok(Outcome::Done)
                }
                TicketLook::Gone | TicketLook::LeaseLost => Ok(Outcome::Done),
            }
        })
    }
}
