//! The loop that claims work, gives each piece a task of its own, and keeps its lease alive.
//!
//! Knows nothing of Microsoft Graph or of PSAs. A panic in one piece of work is its own: the others go on, and
//! the piece is tried again by a later claim.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{
    engine::{Engine, Outcome},
    mailbox_purposes,
    queue::{self, ClaimedWork, LeaseError, Task},
    turns::Slots,
};
use crate::{
    consent::{ProofStep, Prover},
    microsoft::graph::GraphClient,
    store::{Store, StoreError, dialect::Able},
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

/// Does the work of one kind that concerns a connection to a PSA.
pub trait PsaEngine: Send + Sync {
    /// One piece of it, from its claim until it is given back or done. [`Outcome::Done`]: the engine has
    /// released or ended it itself.
    fn work<'a>(&'a self, work: &'a ClaimedWork) -> BoxFuture<'a, Result<Outcome, StoreError>>;
}

/// What a worker does the work with. What it has no engine for it leaves to others.
#[derive(Clone)]
struct Engines {
    store: Store,
    tenants: Option<TenantEngines>,
    psa: Option<PsaEngines>,
}

#[derive(Clone)]
struct TenantEngines {
    engine: Engine,
    prover: Prover,
}

#[derive(Clone)]
struct PsaEngines {
    customers: Arc<dyn PsaEngine>,
    tickets: Arc<dyn PsaEngine>,
}

/// Works through the queue.
pub struct Worker {
    store: Store,
    engines: Engines,
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
    /// A worker that does `slots` pieces of work at a time, of the kinds that it is made able to do.
    pub fn new(store: Store, wake: WakeUp, slots: usize) -> Self {
        let engines = Engines {
            store: store.clone(),
            tenants: None,
            psa: None,
        };
        Self {
            store,
            engines,
            wake,
            free: Arc::new(Semaphore::new(slots)),
            slots: Slots {
                owner: Uuid::now_v7(),
                slots,
                able: Able {
                    tenants: false,
                    psa: false,
                },
            },
            look: LOOK,
            is_failing: AtomicBool::new(false),
        }
    }

    /// The same, also proving and syncing tenants.
    #[must_use]
    pub fn syncing_tenants(mut self, graph: GraphClient, prover: Prover) -> Self {
        let engine = Engine {
            store: self.store.clone(),
            graph,
        };
        self.engines.tenants = Some(TenantEngines { engine, prover });
        self.slots.able.tenants = true;
        self
    }

    /// The same, also bringing customers from PSAs and keeping tickets there.
    #[must_use]
    pub fn serving_psa(
        mut self,
        customers: impl PsaEngine + 'static,
        tickets: impl PsaEngine + 'static,
    ) -> Self {
        self.engines.psa = Some(PsaEngines {
            customers: Arc::new(customers),
            tickets: Arc::new(tickets),
        });
        self.slots.able.psa = true;
        self
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
        let engines = self.engines.clone();
        let its = work.clone();
        let mut task = tokio::spawn(async move { perform(&engines, &its).await });
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
                tracing::warn!(%error, kind = work.task.kind().as_str(), tenantId = tenant_of(&work), subject = %work.task.subject(), "work failed and is tried again");
                self.release(&work, wait(work.attempt)).await
            }
            Err(ended) if ended.is_panic() => {
                tracing::error!(kind = work.task.kind().as_str(), tenantId = tenant_of(&work), subject = %work.task.subject(), "work panicked and is tried again");
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
                    tracing::warn!(kind = work.task.kind().as_str(), tenantId = tenant_of(work), subject = %work.task.subject(), "work is left alone: its lease could not be renewed in time");
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

/// The tenant, where the work is about one, for the log.
fn tenant_of(work: &ClaimedWork) -> Option<impl tracing::Value> {
    work.task.tenant().map(tracing::field::display)
}

async fn perform(engines: &Engines, work: &ClaimedWork) -> Result<Outcome, StoreError> {
    let store = &engines.store;
    match (work.task, &engines.tenants, &engines.psa) {
        (Task::Sync { tenant, run }, Some(with), _) => {
            Box::pin(with.engine.run(work, tenant, run)).await
        }
        (Task::MailboxPurposes { tenant }, Some(with), _) => {
            Box::pin(mailbox_purposes::pass(
                store,
                &with.engine.graph,
                work,
                tenant,
            ))
            .await
        }
        (Task::Proof { tenant, connection }, Some(with), _) => {
            let attempt = with
                .prover
                .attempt(work.org, tenant, connection, work.lease);
            match Box::pin(attempt).await? {
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
        (Task::CustomerSync { .. }, _, Some(with)) => with.customers.work(work).await,
        (Task::Tickets { .. }, _, Some(with)) => with.tickets.work(work).await,
        // No claim takes what there is no engine for: the next one takes it.
        (Task::Sync { .. } | Task::MailboxPurposes { .. } | Task::Proof { .. }, None, _)
        | (Task::CustomerSync { .. } | Task::Tickets { .. }, _, None) => Ok(Outcome::Later),
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
