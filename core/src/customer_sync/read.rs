//! Reading the pages of a run: while a page is stored the next one is fetched, and no more than that.

use std::sync::Arc;

use tenantry_psa::{
    Cursor, Customer, CustomerQuery, ExternalId, HintPage, Page, PsaAdapter, PsaError,
};

use super::{
    checkpoint::{Checkpoint, Position},
    error::ReadError,
    queries,
    run::{CustomerSyncKind, CustomerSyncRun},
    runs,
};
use crate::{
    access::OrgScope,
    customers::{self, Reading, Written},
    failpoint::failpoint,
    psa::{self, PsaConnection},
    store::{Scoped, Store, StoreError},
    sync::queue::{self, ClaimedWork},
};

/// A run in the hands of a worker.
pub(super) struct Session {
    pub(super) store: Store,
    pub(super) scope: OrgScope,
    pub(super) work: ClaimedWork,
    pub(super) connection: PsaConnection,
    pub(super) adapter: Arc<dyn PsaAdapter>,
    pub(super) run: CustomerSyncRun,
    pub(super) checkpoint: Checkpoint,
    /// Which claim of this run it is since it last moved on, from 1.
    pub(super) attempt: i32,
    /// Whether this claim moved the run on.
    pub(super) moved_on: bool,
}

impl Session {
    /// Reads from where the run stands to the end of what it reads.
    pub(super) async fn read(&mut self) -> Result<(), ReadError> {
        loop {
            match self.checkpoint.position.clone() {
                Position::Customers(cursor) => self.read_customers(cursor).await?,
                Position::Named(ids) => self.read_named(ids).await?,
                Position::Hints(cursor) => self.read_hints(cursor).await?,
                Position::End => return Ok(()),
            }
        }
    }

    async fn read_customers(&mut self, from: Option<Cursor>) -> Result<(), ReadError> {
        let adapter = Arc::clone(&self.adapter);
        let query = CustomerQuery {
            modified_since: self.run.since,
            types: self.checkpoint.types.clone(),
        };
        let behind = match self.run.kind {
            CustomerSyncKind::Full => Position::Hints(None),
            CustomerSyncKind::Incremental => Position::End,
        };
        let mut cursor = from;
        let mut page = list(&*adapter, &query, cursor.as_ref()).await;
        loop {
            self.run.requests += 1;
            let Page {
                items,
                next,
                expected,
            } = page.map_err(|error| at(error, cursor.as_ref()))?;
            let next = going_on(cursor.as_ref(), next)?;
            let position = match &next {
                Some(next) => Position::Customers(Some(next.clone())),
                None => behind.clone(),
            };
            if let Some(expected) = expected {
                self.run.expected = i64::try_from(expected).ok();
            }
            let fetch = async {
                match &next {
                    Some(next) => Some(list(&*adapter, &query, Some(next)).await),
                    None => None,
                }
            };
            let stored = self.commit(
                move |checkpoint| checkpoint.position = position,
                move |tx, reading| customers::store_page(tx, reading, &items),
            );
            let (stored, fetched) = tokio::join!(stored, fetch);
            stored?;
            match fetched {
                Some(fetched) => page = fetched,
                None => return Ok(()),
            }
            cursor = next;
        }
    }

    /// Asks for single records. One that is not of the chosen types is none of ours.
    async fn read_named(&mut self, ids: Vec<ExternalId>) -> Result<(), ReadError> {
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for id in &ids {
            self.run.requests += 1;
            match self.adapter.get_customer(id).await {
                Ok(Some(customer)) if is_wanted(&customer, &self.checkpoint.types) => {
                    found.push(customer);
                }
                Ok(Some(_other)) => {}
                Ok(None) | Err(PsaError::NotFound) => missing.push(id.0.clone()),
                Err(error) => return Err(at(error, None)),
            }
        }
        let began = self.run.started_at.unwrap_or(self.run.created_at);
        self.commit(
            |checkpoint| checkpoint.position = Position::End,
            move |tx, reading| {
                let connection = reading.connection.id;
                let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
                customers::note_missing(tx, connection, &missing)?;
                // What was named once more since is read once more.
                queries::delete_changes(tx, connection, began, Some(&ids))?;
                customers::store_page(tx, reading, &found)
            },
        )
        .await
    }

    async fn read_hints(&mut self, from: Option<Cursor>) -> Result<(), ReadError> {
        let adapter = Arc::clone(&self.adapter);
        let mut cursor = from;
        let mut page = adapter.list_hints(cursor.as_ref()).await;
        loop {
            self.run.requests += 1;
            let HintPage {
                items,
                next,
                left_out,
            } = page.map_err(|error| at(error, cursor.as_ref()))?;
            let next = going_on(cursor.as_ref(), next)?;
            let position = match &next {
                Some(next) => Position::Hints(Some(next.clone())),
                None => Position::End,
            };
            let fetch = async {
                match &next {
                    Some(next) => Some(adapter.list_hints(Some(next)).await),
                    None => None,
                }
            };
            let stored = self.commit(
                move |checkpoint| {
                    checkpoint.position = position;
                    checkpoint.left_out.extend(left_out);
                },
                move |tx, reading| {
                    let connection = reading.connection.id;
                    customers::store_hints(tx, connection, reading.generation, &items)?;
                    Ok(Written::default())
                },
            );
            let (stored, fetched) = tokio::join!(stored, fetch);
            stored?;
            match fetched {
                Some(fetched) => page = fetched,
                None => return Ok(()),
            }
            cursor = next;
        }
    }

    /// Stores a page, and that the run has got as far as `advance` says, under the lease.
    async fn commit(
        &mut self,
        advance: impl FnOnce(&mut Checkpoint),
        write: impl FnOnce(&mut Scoped<'_>, Reading<'_>) -> Result<Written, StoreError> + Send + 'static,
    ) -> Result<(), ReadError> {
        failpoint!("customer_sync.before_page_commit");
        let (mut run, mut checkpoint) = (self.run.clone(), self.checkpoint.clone());
        advance(&mut checkpoint);
        checkpoint.pause = None;
        let connection = self.connection.clone();
        let (lease, had_failures) = (self.work.lease, self.attempt > 1 && !self.moved_on);
        let (run, checkpoint) = self
            .store
            .write(&self.scope, move |tx| {
                lease.require_held(&mut tx.global())?;
                require_same(tx, &connection)?;
                let reading = Reading {
                    connection: &connection,
                    generation: checkpoint.generation,
                };
                let written = write(tx, reading)?;
                run.processed += match run.kind {
                    CustomerSyncKind::Full => written.new,
                    CustomerSyncKind::Incremental => written.read,
                };
                run.created += written.created;
                run.updated += written.updated;
                run.deactivated += written.deactivated;
                failpoint!("customer_sync.inside_page_commit");
                if had_failures {
                    queue::forget_attempts(&mut tx.global(), lease)?;
                }
                if !queries::advance_run(tx, &run, &checkpoint)? {
                    return Err(ReadError::Cancelled);
                }
                Ok((run, checkpoint))
            })
            .await?;
        failpoint!("customer_sync.after_page_commit");
        self.run = run;
        self.checkpoint = checkpoint;
        self.moved_on = true;
        Ok(())
    }

    /// Begins the read anew, because the PSA refused to go on where it stood.
    pub(super) async fn begin_anew(&mut self) -> Result<(), ReadError> {
        let (mut run, connection, lease) =
            (self.run.clone(), self.connection.clone(), self.work.lease);
        let (run, checkpoint) = self
            .store
            .write(&self.scope, move |tx| {
                lease.require_held(&mut tx.global())?;
                require_same(tx, &connection)?;
                let mut checkpoint = runs::prepare(tx, &connection, &mut run, None)?;
                checkpoint.begun_anew = true;
                if !queries::advance_run(tx, &run, &checkpoint)? {
                    return Err(ReadError::Cancelled);
                }
                Ok::<_, ReadError>((run, checkpoint))
            })
            .await?;
        self.run = run;
        self.checkpoint = checkpoint;
        Ok(())
    }
}

/// Proves that the connection is the one that was opened.
fn require_same(tx: &mut Scoped<'_>, opened: &PsaConnection) -> Result<(), ReadError> {
    let now = psa::find(tx, opened.id)?.ok_or(ReadError::LeaseLost)?;
    if now.version == opened.version && now.generation == opened.generation {
        Ok(())
    } else {
        Err(ReadError::ConnectionChanged)
    }
}

async fn list(
    adapter: &dyn PsaAdapter,
    query: &CustomerQuery,
    cursor: Option<&Cursor>,
) -> Result<Page<Customer>, PsaError> {
    adapter.list_customers(query, cursor).await
}

fn at(error: PsaError, cursor: Option<&Cursor>) -> ReadError {
    ReadError::Psa {
        error,
        at_cursor: cursor.is_some(),
    }
}

/// The next cursor, unless it leads where the list just was: such a list has no end.
fn going_on(from: Option<&Cursor>, next: Option<Cursor>) -> Result<Option<Cursor>, ReadError> {
    if next.is_some() && next.as_ref() == from {
        return Err(ReadError::Psa {
            error: PsaError::Protocol {
                status: 200,
                what: "the list leads back to the page that was just read".to_owned(),
            },
            at_cursor: false,
        });
    }
    Ok(next)
}

/// Whether a customer is of the chosen types, which are ids or names.
fn is_wanted(customer: &Customer, types: &[String]) -> bool {
    types.is_empty()
        || customer
            .types
            .iter()
            .any(|label| types.contains(&label.id.0) || types.contains(&label.name))
}
