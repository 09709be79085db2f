//! The loop that claims work, gives each piece a task of its own, and keeps its lease alive.
//!
//! Knows nothing of Microsoft Graph. A panic in one piece of work is its own: the others go on, and
//! the piece is tried again by a later claim.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{
    engine::{Engine, Outcome},
    mailbox_purposes,
    queue::{self, ClaimedWork, LeaseError, WorkKind},
    turns::Slots,
};
use crate::{
    consent::{ProofStep, Prover},
    ids::ConnectionId,
    microsoft::graph::GraphClient,
    store::{Store, StoreError},
};

/// How often the queue is looked at without a hint that something is in it.
const LOOK: Duration = Duration::from_millis(500);
/// The same while other processes say when there is something: for what becomes due by time alone.
const LOOK_BESIDE: Duration = Duration::from_secs(2);
/// How often a lease is renewed: revoking a tenant takes the lease away, so calls end that soon (D1).
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a lease is trusted after it was asked for: it ends elsewhere a while later, in which what
/// is under way comes to its end.
const TRUSTED: Duration = Duration::from_secs(12);
/// How long a piece of work waits after its first failure, in seconds; doubled with each one.
const FIRST_WAIT: i64 = 2;
/// The longest such wait, in seconds.
const LONGEST_WAIT: i64 = 300;

/// Told that there is work, so that it begins at once instead of at the next look.
#[derive(Clone, Default)]
pub struct WakeUp(Arc<Notify>);

impl WakeUp {
    /// There may be work.
    pub fn work_is_there(&self) {
        self.0.notify_one();
    }
}

/// Works through the queue.
pub struct Worker {
    store: Store,
    engine: Engine,
    prover: Prover,
    wake: WakeUp,
    free: Arc<Semaphore>,
    slots: Slots,
    look: Duration,
    /// Whether the queue could not be read the last time.
    is_failing: AtomicBool,
}

/// Work that was claimed.
struct Claim {
    work: ClaimedWork,
    slot: OwnedSemaphorePermit,
    /// A moment before the lease began.
    asked: Instant,
}

impl Worker {
    /// A worker that does `slots` pieces of work at a time.
    pub fn new(
        store: Store,
        graph: GraphClient,
        prover: Prover,
        wake: WakeUp,
        slots: usize,
    ) -> Self {
        let engine = Engine {
            store: store.clone(),
            graph,
        };
        Self {
            store,
            engine,
            prover,
            wake,
            free: Arc::new(Semaphore::new(slots)),
            slots: Slots {
                owner: Uuid::now_v7(),
                slots,
            },
            look: LOOK,
            is_failing: AtomicBool::new(false),
        }
    }

    /// The same, looking for work this often when nobody wakes it.
    pub fn looking_every(self, look: Duration) -> Self {
        Self { look, ..self }
    }

    /// Works until `stop` turns true, then lets go of what is under way: each piece goes on from its
    /// checkpoint wherever it is claimed next.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let worker = Arc::new(self);
        let mut tasks = tokio::task::JoinSet::new();
        while !*stop.borrow() {
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                claimed = worker.claim() => match claimed {
                    Some(Claim { work, slot, asked }) => {
                        let (worker, stop) = (Arc::clone(&worker), stop.clone());
                        tasks.spawn(async move {
                            worker.work_on(work, asked, stop).await;
                            drop(slot);
                            worker.wake.work_is_there();
                        });
                    }
                    None => tokio::select! {
                        () = worker.wake.0.notified() => {}
                        () = worker.store.notices().work() => {}
                        () = tokio::time::sleep(worker.next_look()) => {}
                        _ = stop.changed() => {}
                    },
                },
                _ = stop.changed() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    fn next_look(&self) -> Duration {
        if self.store.notices().is_listening() {
            self.look.max(LOOK_BESIDE)
        } else {
            self.look
        }
    }

    async fn claim(&self) -> Option<Claim> {
        let slot = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let slots = self.slots;
        let asked = Instant::now();
        // Looking costs a read; only when something is due does it become a write.
        let looked = self
            .store
            .read_global(move |tx| queue::is_anything_due(tx, slots))
            .await;
        let claimed = match looked {
            Ok(false) => Ok(None),
            Ok(true) => {
                self.store
                    .urgent(move |tx| queue::claim_next(tx, slots))
                    .await
            }
            Err(error) => Err(error),
        };
        let failed_before = self.is_failing.swap(claimed.is_err(), Ordering::Relaxed);
        match claimed {
            Ok(work) => work.map(|work| Claim { work, slot, asked }),
            Err(error) => {
                // Said once, not at each look while the database is away.
                if !failed_before {
                    tracing::warn!(%error, "the queue cannot be read");
                }
                None
            }
        }
    }

    /// One piece of work, as long as its lease holds.
    async fn work_on(&self, work: ClaimedWork, claimed: Instant, mut stop: watch::Receiver<bool>) {
        let engine = self.engine.clone();
        let prover = self.prover.clone();
        let store = self.store.clone();
        let its = work.clone();
        let mut task = tokio::spawn(async move { perform(&store, &engine, &prover, &its).await });
        let outcome = tokio::select! {
            joined = &mut task => joined,
            () = self.keep_alive(&work, claimed) => {
                task.abort();
                task.await
            }
            () = stopped(&mut stop) => {
                task.abort();
                task.await
            }
        };
        let released = match outcome {
            Ok(Ok(Outcome::Done)) => Ok(()),
            Ok(Ok(Outcome::Later)) => self.release(&work, wait(work.attempt)).await,
            Ok(Err(error)) => {
                tracing::warn!(%error, kind = work.kind.as_str(), tenantId = %work.tenant, "work failed and is tried again");
                self.release(&work, wait(work.attempt)).await
            }
            Err(ended) if ended.is_panic() => {
                tracing::error!(kind = work.kind.as_str(), tenantId = %work.tenant, "work panicked and is tried again");
                self.release(&work, wait(work.attempt)).await
            }
            Err(_aborted) => self.release(&work, 0).await,
        };
        if let Err(error) = released {
            tracing::warn!(%error, "work could not be given back; its lease runs out");
        }
    }

    /// Renews the lease; returns when it is lost, which is also how a cancelled run shows itself, and
    /// before it ends while it cannot be renewed (R5): the answer of a database that cannot be reached
    /// is not waited for.
    async fn keep_alive(&self, work: &ClaimedWork, claimed: Instant) {
        let lease = work.lease;
        let mut renewed = claimed;
        loop {
            let begun = Instant::now();
            let renewal = self.store.urgent(move |tx| lease.renew(tx));
            match tokio::time::timeout_at(renewed + TRUSTED, renewal).await {
                Ok(Ok(())) => renewed = begun,
                Ok(Err(LeaseError::Lost)) => return,
                Ok(Err(LeaseError::Store(error))) => {
                    tracing::warn!(%error, "a lease could not be renewed");
                }
                Err(_elapsed) => {
                    tracing::warn!(kind = work.kind.as_str(), tenantId = %work.tenant, "work is left alone: its lease could not be renewed in time");
                    return;
                }
            }
            tokio::time::sleep_until((begun + HEARTBEAT).min(renewed + TRUSTED)).await;
        }
    }

    async fn release(&self, work: &ClaimedWork, seconds: i64) -> Result<(), StoreError> {
        let lease = work.lease;
        self.store
            .urgent(move |tx| {
                let due = tx.now() + TimeDelta::seconds(seconds);
                queue::release(tx, lease, due)
            })
            .await
    }
}

/// Returns when the process is to stop, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// Seconds until the next try after so many claims.
fn wait(attempt: i32) -> i64 {
    let doublings = u32::try_from(attempt.saturating_sub(1))
        .unwrap_or(0)
        .min(16);
    FIRST_WAIT
        .saturating_mul(2_i64.saturating_pow(doublings))
        .min(LONGEST_WAIT)
}

async fn perform(
    store: &Store,
    engine: &Engine,
    prover: &Prover,
    work: &ClaimedWork,
) -> Result<Outcome, StoreError> {
    match work.kind {
        WorkKind::Sync => Box::pin(engine.run(work)).await,
        WorkKind::MailboxPurposes => {
            Box::pin(mailbox_purposes::pass(store, &engine.graph, work)).await
        }
        WorkKind::Proof => {
            let connection = ConnectionId::from_uuid(work.subject);
            match Box::pin(prover.attempt(work.org, work.tenant, connection, work.lease)).await? {
                ProofStep::Done => Ok(Outcome::Done),
                ProofStep::TryAgainAt(due_at) => {
                    let lease = work.lease;
                    store
                        .global(move |tx| queue::release(tx, lease, due_at))
                        .await?;
                    Ok(Outcome::Done)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HEARTBEAT, TRUSTED, wait};
    use crate::sync::queue::LEASE_SECONDS;

    #[test]
    fn r5_a_lease_is_trusted_for_less_time_than_it_lasts() {
        let lasts = std::time::Duration::from_secs(LEASE_SECONDS.unsigned_abs().into());
        assert!(TRUSTED + HEARTBEAT < lasts);
        assert!(HEARTBEAT * 3 < TRUSTED, "some renewals may fail");
    }

    #[test]
    fn failing_work_waits_longer_each_time_but_not_for_ever() {
        assert_eq!(wait(1), 2);
        assert_eq!(wait(2), 4);
        assert_eq!(wait(40), 300);
        assert!((1..20).all(|attempt| wait(attempt) <= wait(attempt + 1)));
    }
}
