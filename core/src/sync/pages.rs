//! Reading the pages of a collection: one chain of pages, or the chains of its shards side by side.
//!
//! While a page is written the next one is fetched, and no more than that: memory does not grow with
//! the collection.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};

use uuid::Uuid;

use super::{
    checkpoint::{Checkpoint, Position},
    error::SyncError,
    shard::Shard,
    step::Step,
};
use crate::{
    microsoft::{graph::GraphUrl, page::LinkGuard, throttle::Workload},
    store::Scoped,
};

/// Shards that are read at the same time.
const SHARDS_AT_ONCE: usize = 8;

/// What a page says, and how it is stored.
pub(super) struct DecodedPage {
    pub(super) items: usize,
    pub(super) next_link: Option<String>,
    pub(super) delta_link: Option<String>,
    pub(super) write: WritePage,
}

/// Stores a page in the transaction it is given.
pub(super) type WritePage = Box<dyn FnOnce(&mut Scoped<'_>) -> Result<Stored, SyncError> + Send>;

/// What was stored of a page.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// How many objects the read had not seen before.
    pub(super) new: usize,
    /// Users that came back: see [`Checkpoint::returned`].
    pub(super) returned: Vec<Uuid>,
}

impl From<usize> for Stored {
    fn from(new: usize) -> Self {
        Self {
            new,
            returned: Vec::new(),
        }
    }
}

/// Turns a body, read into this generation, into what it says and how it is stored.
type DecodePage = dyn Fn(&[u8], i64) -> Result<DecodedPage, SyncError> + Send + Sync;

/// The pages of a collection, and how they are understood.
#[derive(Clone)]
pub(super) struct Pages {
    workload: Workload,
    decode: Arc<DecodePage>,
}

impl Pages {
    /// Pages that draw on this budget and are decoded like this.
    pub(super) fn new(
        workload: Workload,
        decode: impl Fn(&[u8], i64) -> Result<DecodedPage, SyncError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            workload,
            decode: Arc::new(decode),
        }
    }

    /// Reads one chain of pages to its end, and keeps the delta link it tells.
    async fn read_chain(&self, step: &Step, first: GraphUrl) -> Result<(), SyncError> {
        self.read_chain_by(step, first, |next_link| {
            next_link.map_or(Position::End, Position::Page)
        })
        .await
    }

    /// Reads one chain of pages from where the step stands. `first` is where the chain begins; changes
    /// have none, for they begin at a link.
    pub(super) async fn read_on(
        &self,
        step: &Step,
        first: Option<GraphUrl>,
    ) -> Result<(), SyncError> {
        let next = match step.position() {
            Position::Start => first.ok_or_else(Checkpoint::misplaced)?,
            Position::Page(link) => step.run.graph.link(&link)?,
            // A kill fell between the last page and the end of the data set.
            Position::End => return Ok(()),
            Position::Shards(_)
            | Position::ExpandedGroups(_)
            | Position::LargeGroups { .. }
            | Position::UserSettings { .. } => return Err(Checkpoint::misplaced().into()),
        };
        self.read_chain(step, next).await
    }

    /// The same where the checkpoint has another way to say what comes next.
    pub(super) async fn read_chain_by(
        &self,
        step: &Step,
        first: GraphUrl,
        behind: impl Fn(Option<String>) -> Position + Clone + Send + 'static,
    ) -> Result<(), SyncError> {
        self.follow(step, first, move |checkpoint, page| {
            checkpoint.position = behind(page.next_link);
            // A full read keeps the link that was taken before it: a later one may miss what went
            // away meanwhile. A round of changes ends with its new link.
            if checkpoint.generation == 0 || checkpoint.delta_link.is_none() {
                checkpoint.delta_link = page.delta_link.or(checkpoint.delta_link.take());
            }
        })
        .await
    }

    /// Reads a chain of pages of which the checkpoint does not tell: after a kill it is read again.
    pub(super) async fn read_beside(&self, step: &Step, first: GraphUrl) -> Result<(), SyncError> {
        self.follow(step, first, |_, _| {}).await
    }

    /// Reads the shards that the checkpoint says are open, each to its end. `first` is where a shard
    /// begins.
    pub(super) async fn read_shards(
        &self,
        step: &Step,
        first: impl Fn(Shard) -> GraphUrl,
    ) -> Result<(), SyncError> {
        let Position::Shards(open) = step.position() else {
            return Err(Checkpoint::misplaced().into());
        };
        let mut chains: Vec<BoxFuture<'_, Result<(), SyncError>>> = Vec::new();
        for open in open {
            let shard = open.shard;
            let from = match &open.next_link {
                Some(link) => step.run.graph.link(link)?.eventual(),
                None => first(shard),
            };
            chains.push(Box::pin(self.follow(
                step,
                from,
                move |checkpoint, page| {
                    checkpoint.position.move_shard(shard, page.next_link);
                },
            )));
        }
        stream::iter(chains)
            .buffer_unordered(SHARDS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Follows the links from a first page to the last one. `advance` moves the checkpoint behind
    /// each page.
    async fn follow(
        &self,
        step: &Step,
        first: GraphUrl,
        advance: impl Fn(&mut Checkpoint, Told) + Clone + Send + 'static,
    ) -> Result<(), SyncError> {
        // Headers are not carried by a link: what the first page was asked with, all are.
        let eventual = first.is_eventual();
        let (graph, meter) = (&step.run.graph, &step.meter);
        let mut guard = LinkGuard::new();
        let mut body = graph.get(&first, self.workload, meter).await?;
        loop {
            let page = self.decoded(body, step.generation()).await?;
            let next = match &page.next_link {
                Some(link) => {
                    guard.admit(link, page.items)?;
                    let next = graph.link(link)?;
                    Some(if eventual { next.eventual() } else { next })
                }
                None => None,
            };
            let told = Told {
                next_link: page.next_link,
                delta_link: page.delta_link,
            };
            let fetch = async {
                match next {
                    Some(next) => Some(graph.get(&next, self.workload, meter).await),
                    None => None,
                }
            };
            let advance = advance.clone();
            let stored = step.commit_page(move |checkpoint| advance(checkpoint, told), page.write);
            let (stored, fetched) = tokio::join!(stored, fetch);
            stored?;
            match fetched {
                Some(next) => body = next?,
                None => return Ok(()),
            }
        }
    }

    /// Decodes a body of perhaps a megabyte where it holds up no other tenant.
    async fn decoded(&self, body: Vec<u8>, generation: i64) -> Result<DecodedPage, SyncError> {
        let decode = Arc::clone(&self.decode);
        match tokio::task::spawn_blocking(move || decode(&body, generation)).await {
            Ok(decoded) => decoded,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_stopping) => Err(SyncError::Cancelled),
            },
        }
    }
}

/// What a page tells beside its objects.
struct Told {
    next_link: Option<String>,
    delta_link: Option<String>,
}
