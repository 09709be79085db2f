//! The governor: keeps what is sent to Microsoft Graph within Microsoft's limits.
//!
//! Microsoft limits by application and tenant, with a budget of its own for each workload, and each
//! application in all tenants together. The governor keeps to the documented budgets and concurrency,
//! slows down as Microsoft says the limit is near, pauses whom a refusal names, and lowers a budget to
//! what was in fact allowed; it rises again slowly. Where a budget is short, organisations take turns,
//! and within one its tenants. Several processes share each budget ([`shares`]).

mod exchange;
mod limiter;
mod rotation;
mod scope;
pub mod shares;
mod window;
mod workload;

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, oneshot},
    time::Instant,
};

pub use self::workload::{BudgetKey, Budgets, Workload};
pub(crate) use self::{limiter::Limiter, workload::Cost};
use self::{
    rotation::{Rotation, Turn},
    scope::Scope,
    shares::BudgetShares,
    window::{Share, Window},
};
use crate::{
    ids::{OrgId, TenantId},
    microsoft::{backoff::random_fraction, meter::Meter},
};

/// Limiters at rest are swept out when there are this many, and at each doubling.
const FIRST_SWEEP: usize = 1024;
/// The spread with which the waiters of a pause return.
const JITTER: Duration = Duration::from_millis(100);
/// From here on Microsoft tells how full a limit is (1.0: used up), and we slow down.
const PRESSURE: f64 = 0.8;

/// How urgent a request is, in Microsoft's eyes and in ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A person waits for it.
    Normal,
    /// Background work.
    Low,
}

impl Priority {
    /// The word for it in `x-ms-throttle-priority`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// Who asks to send a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) org: OrgId,
    pub(crate) priority: Priority,
}

/// All limits of one application. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Governor(Arc<Inner>);

struct Inner {
    /// The application's client id, as it stands in `x-ms-throttle-scope`.
    application: String,
    budgets: Budgets,
    shares: Option<Arc<dyn BudgetShares>>,
    tenants: Mutex<Tenants>,
    gate: Mutex<Gate>,
    /// Something came that waiters may have waited for.
    changed: Notify,
    /// Something is to be told to the other processes at once.
    news: Notify,
    /// Whether this process ends and talks to the others no more.
    is_over: AtomicBool,
}

#[derive(Default)]
struct Tenants {
    limiters: HashMap<(TenantId, Workload), Arc<Limiter>>,
    sweep_at: usize,
}

/// What all tenants have in common.
struct Gate {
    requests: Window,
    identity: Window,
    /// Pauses that Microsoft named for the application as a whole.
    pauses: HashMap<Workload, Instant>,
    /// Pauses that the other processes have not heard of.
    untold: Vec<(BudgetKey, Instant)>,
    waiting: Rotation<Waiter>,
}

/// A request that waits to be sent.
struct Waiter {
    limiter: Arc<Limiter>,
    priority: Priority,
    cost: Cost,
    go: Mutex<Option<oneshot::Sender<()>>>,
}

impl Governor {
    /// The governor of the only process there is.
    pub fn alone(application: String, budgets: Budgets) -> Self {
        Self::new(application, budgets, None)
    }

    /// The governor of one of several processes. Until [`share`](Self::share) runs it sends nothing.
    pub fn sharing(application: String, budgets: Budgets, shares: Arc<dyn BudgetShares>) -> Self {
        Self::new(application, budgets, Some(shares))
    }

    fn new(application: String, budgets: Budgets, shares: Option<Arc<dyn BudgetShares>>) -> Self {
        let share = first_share(shares.is_some());
        let gate = Gate {
            requests: Window::new(budgets.all_requests(), share),
            identity: Window::new(budgets.all_identity(), share),
            pauses: HashMap::new(),
            untold: Vec::new(),
            waiting: Rotation::default(),
        };
        Self(Arc::new(Inner {
            application,
            budgets,
            shares,
            tenants: Mutex::default(),
            gate: Mutex::new(gate),
            changed: Notify::new(),
            news: Notify::new(),
            is_over: AtomicBool::new(false),
        }))
    }

    /// How many of the [`SLICES`](shares::SLICES) of what the application may use of all tenants
    /// together are this process's: of the requests, and of the resource units.
    pub fn slices(&self) -> [(&'static str, u32); 2] {
        let (gate, now) = (lock(&self.0.gate), Instant::now());
        [
            ("requests", gate.requests.slices(now)),
            ("resourceUnits", gate.identity.slices(now)),
        ]
    }

    /// The limiter of a tenant's workload.
    pub(crate) fn limiter(&self, tenant: TenantId, workload: Workload) -> Arc<Limiter> {
        let mut tenants = lock(&self.0.tenants);
        if tenants.limiters.len() >= tenants.sweep_at {
            let now = Instant::now();
            tenants
                .limiters
                .retain(|_key, limiter| Arc::strong_count(limiter) > 1 || !limiter.is_at_rest(now));
            tenants.sweep_at = tenants.limiters.len().saturating_mul(2).max(FIRST_SWEEP);
        }
        let limiter = tenants
            .limiters
            .entry((tenant, workload))
            .or_insert_with(|| {
                let share = first_share(self.0.shares.is_some());
                Arc::new(Limiter::new(tenant, workload, &self.0.budgets, share))
            });
        Arc::clone(limiter)
    }

    /// Tells how many users a tenant has: larger tenants are granted more.
    pub(crate) fn tenant_has_users(&self, tenant: TenantId, users: u64) {
        let limiter = self.limiter(tenant, Workload::Identity);
        let units = self.0.budgets.identity_units(users);
        lock(&limiter.state).set_documented(units);
    }

    /// Waits until a request of this cost may be sent.
    pub(crate) async fn admit(
        &self,
        limiter: &Arc<Limiter>,
        asker: Asker,
        cost: Cost,
        meter: &Meter,
    ) -> Permit {
        let place = limiter.place().await;
        self.wait_for_shares(limiter).await;
        let mut permit = Permit {
            governor: self.clone(),
            limiter: Arc::clone(limiter),
            place: Some(place),
            cost,
            waited: Duration::ZERO,
        };
        let (go, mut gone) = oneshot::channel();
        let waiter = Waiter {
            limiter: Arc::clone(limiter),
            priority: asker.priority,
            cost,
            go: Mutex::new(Some(go)),
        };
        let place = (limiter.tenant, limiter.workload);
        lock(&self.0.gate)
            .waiting
            .join(asker.priority, asker.org, place, waiter);
        loop {
            let began = Instant::now();
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            self.lacks_shares(limiter);
            let again = self.serve(began);
            if gone.try_recv().is_ok() {
                return permit;
            }
            // Whoever serves first serves all it can.
            let again = again.unwrap_or(began + JITTER) + JITTER.mul_f64(random_fraction());
            let served = tokio::select! {
                biased;
                served = &mut gone => served.is_ok(),
                () = changed => false,
                () = tokio::time::sleep_until(again) => false,
            };
            permit.waited += meter.count_wait(began, Instant::now());
            if served {
                return permit;
            }
        }
    }

    /// Lets go who may go; when to look again.
    fn serve(&self, now: Instant) -> Option<Instant> {
        let mut gate = lock(&self.0.gate);
        let Gate {
            requests,
            identity,
            pauses,
            waiting,
            ..
        } = &mut *gate;
        // Once somebody was too dear for a common budget nobody cheaper goes before it.
        let mut full: [Option<Instant>; 2] = [None; 2];
        waiting.serve(|waiter| {
            let mut go = lock(&waiter.go);
            if go.as_ref().is_none_or(oneshot::Sender::is_closed) {
                return Turn::Gone;
            }
            let Cost {
                units,
                requests: count,
            } = waiter.cost;
            let workload = waiter.limiter.workload;
            if let Some(until) = pauses.get(&workload).filter(|until| **until > now) {
                return Turn::Later(*until);
            }
            let mut state = lock(&waiter.limiter.state);
            if let Some(at) = state.wait(units, now) {
                return Turn::Later(at);
            }
            let [no_units, no_requests] = &mut full;
            if workload.counts_units() {
                *no_units = no_units.or_else(|| identity.wait_as(waiter.priority, units, now));
                if let Some(at) = *no_units {
                    return Turn::Later(at);
                }
            }
            *no_requests = no_requests.or_else(|| requests.wait_as(waiter.priority, count, now));
            if let Some(at) = *no_requests {
                return Turn::Later(at);
            }
            if go.take().is_none_or(|go| go.send(()).is_err()) {
                return Turn::Gone;
            }
            if workload.counts_units() {
                identity.take(units, now);
            }
            requests.take(count, now);
            if let Some(window) = &mut state.window {
                window.take(units, now);
            }
            Turn::Served
        })
    }

    /// Takes a refusal to heart: nobody of the named scope sends before `wait` has passed.
    pub(crate) fn refused(
        &self,
        limiter: &Limiter,
        cost: Cost,
        wait: Duration,
        scope: Option<&str>,
    ) {
        let now = Instant::now();
        let until = now + wait;
        let workload = limiter.workload;
        let scope = Scope::of(scope, &self.0.application);
        let mut gate = lock(&self.0.gate);
        let tenant = match scope {
            Scope::Application => {
                let news = gate
                    .pauses
                    .get(&workload)
                    .is_none_or(|paused| *paused <= now);
                gate.pause(workload, until);
                if news {
                    let (window, units) = gate.common(workload, cost);
                    window.learn(units, now);
                }
                None
            }
            Scope::TenantApplication | Scope::Tenant => Some(limiter.tenant),
        };
        let key = BudgetKey {
            tenant,
            workload: Some(workload),
        };
        if self.0.shares.is_some() {
            gate.untold.push((key, until));
            self.0.news.notify_one();
        }
        drop(gate);
        limiter.refused(cost.units, until, scope == Scope::TenantApplication);
    }

    /// Corrects the cost by what it was, and slows down or speeds up.
    fn answered(&self, limiter: &Limiter, booked: u32, units: Option<u32>, pressure: Option<f64>) {
        let now = Instant::now();
        let mut gate = lock(&self.0.gate);
        let mut state = lock(&limiter.state);
        if let (Some(actual), true) = (units, limiter.workload.counts_units()) {
            gate.identity.correct(booked, actual);
            if let Some(window) = &mut state.window {
                window.correct(booked, actual);
            }
        }
        let pressure = pressure.filter(|pressure| *pressure >= PRESSURE);
        state.adjust_concurrency(pressure.is_some(), limiter.workload.concurrency(), now);
        let Some(window) = &mut state.window else {
            return;
        };
        let Some(pressure) = pressure else {
            window.relax(now);
            gate.common(limiter.workload, Cost::of(0)).0.relax(now);
            return;
        };
        // It is not said which limit is near: the one that we have used more of.
        let (common, _units) = gate.common(limiter.workload, Cost::of(0));
        let nearer = if common.fullness(now) > window.fullness(now) {
            common
        } else {
            window
        };
        nearer.ease(pressure, now);
    }
}

impl Gate {
    /// Pauses the workload for every tenant.
    fn pause(&mut self, workload: Workload, until: Instant) {
        let pause = self.pauses.entry(workload).or_insert(until);
        *pause = until.max(*pause);
    }

    /// The budget of all tenants that a workload draws on first, and what a request costs there.
    fn common(&mut self, workload: Workload, cost: Cost) -> (&mut Window, u32) {
        if workload.counts_units() {
            (&mut self.identity, cost.units)
        } else {
            (&mut self.requests, cost.requests)
        }
    }
}

/// Leave to send one request; gives its place back when dropped.
pub(crate) struct Permit {
    governor: Governor,
    limiter: Arc<Limiter>,
    place: Option<OwnedSemaphorePermit>,
    cost: Cost,
    waited: Duration,
}

impl Permit {
    /// How much waiting for it added to the meter.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Corrects the cost by what Microsoft says it was, and slows down or speeds up by how near the
    /// limit it says we are (`x-ms-throttle-limit-percentage`: 1.0 is the limit).
    pub(crate) fn answered(&mut self, units: Option<u32>, pressure: Option<f64>) {
        self.governor
            .answered(&self.limiter, self.cost.units, units, pressure);
        self.cost.units = units.unwrap_or(self.cost.units);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.leave(self.place.take());
    }
}

fn first_share(is_shared: bool) -> Share {
    if is_shared { Share::None } else { Share::Whole }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
