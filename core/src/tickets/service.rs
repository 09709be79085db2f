//! What one may do with tickets: look at them, and have what waits tried now.

use super::{queries, queue_item, ticket::KeptTicket};
use crate::{
    access::OrgScope,
    ids::PsaConnectionId,
    psa,
    store::{Store, StoreError},
    sync::WakeUp,
};

/// Why something cannot be done with tickets.
#[derive(Debug, thiserror::Error)]
pub enum TicketsError {
    /// The connection is not there, or not in this organisation.
    #[error("no such connection to a PSA")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page of tickets.
#[derive(Debug)]
pub struct TicketPage {
    /// By key.
    pub items: Vec<KeptTicket>,
    /// The last key, when there are more.
    pub next: Option<String>,
    /// How many there are in all.
    pub total: i64,
}

/// Tickets, for callers.
#[derive(Clone)]
pub struct TicketService {
    store: Store,
    wake: WakeUp,
}

impl TicketService {
    /// On a store; `wake` tells the workers of this process.
    pub fn new(store: Store, wake: WakeUp) -> Self {
        Self { store, wake }
    }

    /// A page of the tickets at a PSA after the given key.
    ///
    /// # Errors
    /// [`TicketsError::NotFound`], or the store's.
    pub async fn list(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
        after: Option<String>,
        limit: u16,
    ) -> Result<TicketPage, TicketsError> {
        self.store
            .read(scope, move |tx| {
                psa::find(tx, id)?.ok_or(TicketsError::NotFound)?;
                let total = queries::count(tx, id)?;
                let mut items = queries::list(tx, id, after.as_deref(), i64::from(limit) + 1)?;
                let more = items.len() > usize::from(limit);
                items.truncate(usize::from(limit));
                let next = if more {
                    items.last().map(|ticket| ticket.key.clone())
                } else {
                    None
                };
                Ok(TicketPage { items, next, total })
            })
            .await
    }

    /// Has everything that waits at a PSA tried now. Returns how much that is; where tickets are turned off
    /// nothing is tried.
    ///
    /// # Errors
    /// [`TicketsError::NotFound`], or the store's.
    pub async fn retry(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
    ) -> Result<usize, TicketsError> {
        let waiting = self
            .store
            .write(scope, move |tx| {
                let connection = psa::find(tx, id)?.ok_or(TicketsError::NotFound)?;
                if !connection.settings.tickets.enabled {
                    return Ok::<_, TicketsError>(0);
                }
                queue_item::enqueue(tx, id)?;
                Ok(queries::try_now(tx, id)?)
            })
            .await?;
        self.wake.work_is_there();
        Ok(waiting)
    }
}
