//! The talk with the other processes: once a second what we hold, want and have heard.

use std::{collections::HashMap, pin::pin, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    BudgetKey, Governor, Workload,
    limiter::Limiter,
    lock,
    shares::{BudgetShares, Claim, Grant, Settled, SharesUnavailable, Told},
    window::{Share, Window},
};

/// How long we hold what we were granted without talking.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// How often we talk.
const EVERY: Duration = Duration::from_secs(1);
/// How long what happens together is gathered before it is told.
const GATHER: Duration = Duration::from_millis(5);

/// All resource units of all tenants.
const ALL_IDENTITY: BudgetKey = BudgetKey {
    tenant: None,
    workload: Some(Workload::Identity),
};

impl Governor {
    /// Shares the budgets with the other processes until `stop` turns true, or at once where there are
    /// none.
    pub async fn share(self, mut stop: watch::Receiver<bool>) {
        let Some(shares) = self.0.shares.clone() else {
            return;
        };
        let mut talk = Talk {
            governor: self.clone(),
            holder: Uuid::now_v7(),
            is_idle: true,
            is_cut_off: false,
        };
        while !*stop.borrow() {
            talk.once(&*shares).await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.0.news.notified() => tokio::time::sleep(GATHER).await,
                // Nobody left to say so is as good as being told.
                _ = stop.changed() => {}
            }
            if stop.has_changed().is_err() {
                break;
            }
        }
        talk.leave(&*shares).await;
        self.0.is_over.store(true, Relaxed);
        self.0.changed.notify_waiters();
    }

    /// Waits until somebody has said what of a workload's budgets is ours.
    pub(super) async fn wait_for_shares(&self, limiter: &Limiter) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if !self.lacks_shares(limiter) {
                return;
            }
            changed.await;
        }
    }

    /// Asks for a share of the budgets of a workload where there is none; whether one is awaited.
    pub(super) fn lacks_shares(&self, limiter: &Limiter) -> bool {
        if self.0.shares.is_none() {
            return false;
        }
        let (is_over, now) = (self.0.is_over.load(Relaxed), Instant::now());
        let mut gate = lock(&self.0.gate);
        let mut state = lock(&limiter.state);
        let mut lacks = gate.requests.lacks_share(is_over, now);
        if limiter.workload.counts_units() {
            lacks |= gate.identity.lacks_share(is_over, now);
        }
        if let Some(window) = &mut state.window {
            lacks |= window.lacks_share(is_over, now);
        }
        if lacks {
            self.0.news.notify_one();
        }
        lacks
    }

    /// Does something with each budget there is.
    fn each_window(&self, mut visit: impl FnMut(BudgetKey, &mut Window)) {
        let limiters: Vec<_> = lock(&self.0.tenants).limiters.values().cloned().collect();
        for limiter in limiters {
            let key = BudgetKey {
                tenant: Some(limiter.tenant),
                workload: Some(limiter.workload),
            };
            if let Some(window) = &mut lock(&limiter.state).window {
                visit(key, window);
            }
        }
        let mut gate = lock(&self.0.gate);
        visit(BudgetKey::ALL_REQUESTS, &mut gate.requests);
        visit(ALL_IDENTITY, &mut gate.identity);
    }

    fn tell(
        &self,
        now: Instant,
        claim: impl Fn(&mut Window, Instant) -> Option<Claim>,
    ) -> Vec<(BudgetKey, Claim)> {
        let mut told = Vec::new();
        self.each_window(|key, window| {
            told.extend(claim(window, now).map(|claim| (key, claim)));
        });
        told
    }

    fn hear(&self, settled: Settled, began: Instant) {
        let now = Instant::now();
        let grants: HashMap<BudgetKey, Grant> = settled.grants.into_iter().collect();
        self.each_window(|key, window| {
            if let Some(grant) = grants.get(&key) {
                window.granted(*grant, began + LEASE, now);
            }
        });
        for (key, left) in settled.pauses {
            let until = now + left;
            match (key.tenant, key.workload) {
                (Some(tenant), Some(workload)) => {
                    lock(&self.limiter(tenant, workload).state).pause(until);
                }
                (None, Some(workload)) => lock(&self.0.gate).pause(workload, until),
                (_, None) => {
                    let mut gate = lock(&self.0.gate);
                    for workload in Workload::ALL {
                        gate.pause(workload, until);
                    }
                }
            }
        }
    }
}

/// One process's part in the talk.
struct Talk {
    governor: Governor,
    /// Who we are to the others.
    holder: Uuid,
    /// Whether nothing of ours stands with the others.
    is_idle: bool,
    /// Whether the others could not be reached the last time.
    is_cut_off: bool,
}

impl Talk {
    async fn once(&mut self, shares: &dyn BudgetShares) {
        let began = Instant::now();
        let budgets = self.governor.tell(began, Window::claim);
        let heard = lock(&self.governor.0.gate).untold.clone();
        if self.is_idle && budgets.is_empty() && heard.is_empty() {
            return;
        }
        let is_idle = budgets.is_empty();
        let mut exchange = shares.exchange(self.told(budgets, &heard, began));
        let outcome = match tokio::time::timeout(LEASE, &mut exchange).await {
            Ok(outcome) => outcome,
            Err(elapsed) => {
                self.cut_off(&elapsed);
                // Not given up: carried out after a later one it would undo that.
                exchange.await
            }
        };
        match outcome {
            Ok(settled) => {
                self.governor.hear(settled, began);
                lock(&self.governor.0.gate)
                    .untold
                    .retain(|pause| !heard.contains(pause));
                self.is_idle = is_idle;
                if std::mem::take(&mut self.is_cut_off) {
                    tracing::info!("budgets are shared with the other processes again");
                }
            }
            Err(SharesUnavailable::LeaseLost) => {
                self.holder = Uuid::now_v7();
                self.governor.each_window(|_key, window| {
                    if window.is_shared() {
                        window.share = Share::Awaited;
                    }
                });
                self.governor.0.news.notify_one();
            }
            Err(SharesUnavailable::Unreachable(error)) => self.cut_off(&*error),
        }
        self.governor.0.changed.notify_waiters();
    }

    /// Nobody can say what the others hold: what we hold we have until its lease ends, and what we do
    /// not hold is begun cautiously. Said once.
    fn cut_off(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.governor.each_window(|_key, window| {
            if window.share == Share::Awaited {
                window.share = Share::Cautious;
            }
        });
        self.governor.0.changed.notify_waiters();
        if !std::mem::replace(&mut self.is_cut_off, true) {
            tracing::warn!(
                error,
                "the other processes cannot be told what is spent of Microsoft's limits; from the end of the lease on a twentieth of each is used"
            );
        }
    }

    /// Gives back what is not spent; the lease on the rest runs out.
    async fn leave(&mut self, shares: &dyn BudgetShares) {
        let began = Instant::now();
        let budgets = self.governor.tell(began, Window::leave);
        if self.is_idle {
            return;
        }
        let exchange = shares.exchange(self.told(budgets, &[], began));
        if !matches!(tokio::time::timeout(LEASE, exchange).await, Ok(Ok(_))) {
            tracing::debug!("shares of budgets are not given back; their lease runs out");
        }
    }

    fn told(
        &self,
        budgets: Vec<(BudgetKey, Claim)>,
        heard: &[(BudgetKey, Instant)],
        now: Instant,
    ) -> Told {
        let pauses = heard
            .iter()
            .map(|(key, until)| (*key, until.saturating_duration_since(now)))
            .collect();
        Told {
            holder: self.holder,
            lease: LEASE,
            budgets,
            pauses,
        }
    }
}
