//! One limiter for each tenant and workload, shared by everything that reads it.
//!
//! Microsoft limits by application and tenant, with a budget of its own for each workload. The
//! limiter keeps to the documented budget and concurrency, pauses all its users when Microsoft says
//! so, and lowers its budget to what was in fact allowed; it rises again slowly. Figures are those of
//! Microsoft's page "Microsoft Graph service-specific throttling limits".

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    ids::TenantId,
    microsoft::{backoff::random_fraction, meter::Meter},
};

/// Limiters at rest are swept out when there are this many, and at each doubling.
const FIRST_SWEEP: usize = 1024;
/// A budget is counted in this many slots of its span.
const SLOTS: u32 = 50;
/// The spread with which the waiters of a pause return.
const JITTER: Duration = Duration::from_millis(100);
/// A budget is never learned below this part of the documented one.
const LOWEST_PART: u32 = 10;

/// Which of Microsoft's budgets a request draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Workload {
    /// Users, groups, organisation, subscriptions: counted in resource units.
    Identity,
    /// Intune managed devices.
    Intune,
    /// Secure Score and its control profiles.
    Security,
    /// The CSV of the mailbox usage report.
    MailboxUsageReport,
    /// Mailbox settings.
    Outlook,
    /// What has no documented budget of its own.
    Other,
}

/// So many units in so long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Budget {
    units: u32,
    span: Duration,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Identity,
        Self::Intune,
        Self::Security,
        Self::MailboxUsageReport,
        Self::Outlook,
        Self::Other,
    ];

    /// Requests at a time.
    const fn concurrency(self) -> usize {
        match self {
            Self::Security | Self::Outlook => 4,
            Self::Identity | Self::Intune | Self::MailboxUsageReport | Self::Other => 8,
        }
    }

    const fn budget(self) -> Option<Budget> {
        let (units, seconds) = match self {
            Self::Identity => (3500, 10),
            Self::Intune => (2000, 20),
            Self::Security => (150, 60),
            Self::MailboxUsageReport => (14, 600),
            // Outlook's budget is one for each mailbox, and a mailbox is asked one question.
            Self::Outlook | Self::Other => return None,
        };
        Some(Budget {
            units,
            span: Duration::from_secs(seconds),
        })
    }

    /// Whether requests cost resource units instead of one each.
    pub(crate) const fn counts_units(self) -> bool {
        matches!(self, Self::Identity)
    }
}

/// Resource units in ten seconds that Microsoft grants a tenant of this size.
const fn identity_units(users: u64) -> u32 {
    match users {
        0..50 => 3500,
        50..=500 => 5000,
        501.. => 8000,
    }
}

/// All limiters of one application.
#[derive(Default)]
pub(crate) struct Throttle {
    tenants: Mutex<Tenants>,
    /// Pauses that Microsoft named for the application as a whole.
    application: Mutex<HashMap<Workload, Instant>>,
}

#[derive(Default)]
struct Tenants {
    limiters: HashMap<(TenantId, Workload), Arc<Limiter>>,
    sweep_at: usize,
}

impl Throttle {
    /// The limiter of a tenant's workload.
    pub(crate) fn limiter(&self, tenant: TenantId, workload: Workload) -> Arc<Limiter> {
        let mut tenants = lock(&self.tenants);
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
            .or_insert_with(|| Arc::new(Limiter::new(workload)));
        Arc::clone(limiter)
    }

    /// Tells how many users a tenant has: larger tenants are granted more.
    pub(crate) fn tenant_has_users(&self, tenant: TenantId, users: u64) {
        let limiter = self.limiter(tenant, Workload::Identity);
        lock(&limiter.state).set_documented(identity_units(users));
    }

    /// Waits until a request of this cost may be sent.
    pub(crate) async fn admit(&self, limiter: &Arc<Limiter>, units: u32, meter: &Meter) -> Permit {
        let (permit, waited) = limiter
            .admit(units, meter, || self.application_pause(limiter.workload))
            .await;
        Permit {
            limiter: Arc::clone(limiter),
            permit: Some(permit),
            units,
            waited,
        }
    }

    fn application_pause(&self, workload: Workload) -> Option<Instant> {
        lock(&self.application).get(&workload).copied()
    }

    /// Pauses the workload for every tenant.
    fn pause_application(&self, workload: Workload, until: Instant) {
        let mut pauses = lock(&self.application);
        let pause = pauses.entry(workload).or_insert(until);
        *pause = until.max(*pause);
    }

    /// Takes a refusal to heart: nobody of the named scope sends before `wait` has passed.
    pub(crate) fn refused(
        &self,
        limiter: &Limiter,
        units: u32,
        wait: Duration,
        scope: Option<&str>,
    ) {
        let until = Instant::now() + wait;
        limiter.refused(units, until);
        if scope.is_some_and(|scope| scope.starts_with("Application/")) {
            self.pause_application(limiter.workload, until);
        }
    }
}

/// Leave to send one request; gives its place back when dropped.
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    permit: Option<OwnedSemaphorePermit>,
    units: u32,
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
        let mut state = lock(&self.limiter.state);
        if let (Some(actual), true) = (units, self.limiter.workload.counts_units()) {
            state.correct(self.units, actual);
            self.units = actual;
        }
        let lower = pressure.is_some_and(|pressure| pressure >= 1.0);
        state.adjust_concurrency(lower, self.limiter.workload.concurrency(), Instant::now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.limiter.state);
        if state.places > state.wanted_places {
            // Concurrency was lowered: this place goes away instead of back.
            state.places -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        } else if state.places < state.wanted_places {
            state.places += 1;
            self.limiter.places.add_permits(1);
        }
    }
}

/// The shared gate of one tenant's workload.
pub(crate) struct Limiter {
    workload: Workload,
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    /// Semaphore permits in existence, and how many there should be.
    places: usize,
    wanted_places: usize,
    changed_places_at: Instant,
    paused_until: Option<Instant>,
    window: Option<Window>,
}

/// What was sent in the last span, in slots.
struct Window {
    span: Duration,
    documented: u32,
    allowed: u32,
    used: u32,
    slots: VecDeque<(Instant, u32)>,
    learned_at: Option<Instant>,
}

impl Limiter {
    fn new(workload: Workload) -> Self {
        let places = workload.concurrency();
        let window = workload.budget().map(|budget| Window {
            span: budget.span,
            documented: budget.units,
            allowed: budget.units,
            used: 0,
            slots: VecDeque::new(),
            learned_at: None,
        });
        let state = State {
            places,
            wanted_places: places,
            changed_places_at: Instant::now(),
            paused_until: None,
            window,
        };
        Self {
            workload,
            places: Arc::new(Semaphore::new(places)),
            state: Mutex::new(state),
        }
    }

    async fn admit(
        &self,
        units: u32,
        meter: &Meter,
        application_pause: impl Fn() -> Option<Instant>,
    ) -> (OwnedSemaphorePermit, Duration) {
        let mut waited = Duration::ZERO;
        let permit = loop {
            // The semaphore is never closed; were it, going on without a place is the lesser harm.
            match Arc::clone(&self.places).acquire_owned().await {
                Ok(permit) => break permit,
                Err(_closed) => self.places.add_permits(1),
            }
        };
        loop {
            let now = Instant::now();
            let until = {
                let mut state = lock(&self.state);
                let paused = state
                    .paused_until
                    .max(application_pause())
                    .filter(|until| *until > now);
                paused.or_else(|| state.book(units, now))
            };
            let Some(until) = until else {
                return (permit, waited);
            };
            tokio::time::sleep_until(until + JITTER.mul_f64(random_fraction())).await;
            waited += meter.count_wait(now, Instant::now());
        }
    }

    fn refused(&self, units: u32, until: Instant) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        // Of many requests refused at the same moment only the first teaches anything.
        let news = state.paused_until.is_none_or(|paused| paused <= now);
        state.paused_until = state.paused_until.max(Some(until));
        if news {
            if let Some(window) = &mut state.window {
                window.learn(units, now);
            }
            state.adjust_concurrency(true, self.workload.concurrency(), now);
        }
    }

    /// Until when everybody waits, if they do.
    #[cfg(test)]
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        lock(&self.state).paused_until
    }

    fn is_at_rest(&self, now: Instant) -> bool {
        let mut state = lock(&self.state);
        let paused = state.paused_until.is_some_and(|until| until > now);
        let used = state.window.as_mut().is_some_and(|window| {
            window.forget_old(now);
            window.used > 0
        });
        !paused && !used
    }
}

impl State {
    /// Books the units, or says when to ask again.
    fn book(&mut self, units: u32, now: Instant) -> Option<Instant> {
        self.window
            .as_mut()
            .and_then(|window| window.book(units, now))
    }

    fn correct(&mut self, booked: u32, actual: u32) {
        if let Some(window) = &mut self.window {
            window.correct(booked, actual);
        }
    }

    fn set_documented(&mut self, units: u32) {
        if let Some(window) = &mut self.window {
            let was_full = window.allowed == window.documented;
            window.documented = units;
            window.allowed = if was_full {
                units
            } else {
                window.allowed.min(units)
            };
        }
    }

    /// Halves the places at once, gives them back one in a few seconds.
    fn adjust_concurrency(&mut self, lower: bool, most: usize, now: Instant) {
        let settled = now.duration_since(self.changed_places_at);
        if lower && settled >= Duration::from_secs(1) {
            self.wanted_places = (self.wanted_places / 2).max(1);
            self.changed_places_at = now;
        } else if !lower && self.wanted_places < most && settled >= Duration::from_secs(5) {
            self.wanted_places += 1;
            self.changed_places_at = now;
        }
    }
}

impl Window {
    fn book(&mut self, units: u32, now: Instant) -> Option<Instant> {
        self.forget_old(now);
        self.rise(now);
        // Something dearer than the whole budget is sent alone.
        let fits = self.used.saturating_add(units) <= self.allowed || self.used == 0;
        if !fits {
            return self
                .slots
                .front()
                .map(|(began, _units)| *began + self.span + self.slot());
        }
        self.used = self.used.saturating_add(units);
        let slot = self.slot();
        match self.slots.back_mut() {
            Some((began, sum)) if now.duration_since(*began) < slot => {
                *sum = sum.saturating_add(units)
            }
            Some(_) | None => self.slots.push_back((now, units)),
        }
        None
    }

    fn correct(&mut self, booked: u32, actual: u32) {
        // The last slot stands in for the one the request was booked in: a second's error at most.
        if let Some((_began, sum)) = self.slots.back_mut() {
            let corrected = sum.saturating_add(actual).saturating_sub(booked);
            self.used = self.used.saturating_add(corrected).saturating_sub(*sum);
            *sum = corrected;
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let keep = self.span + self.slot();
        while let Some((began, units)) = self.slots.front().copied() {
            if now.duration_since(began) < keep {
                break;
            }
            self.used = self.used.saturating_sub(units);
            self.slots.pop_front();
        }
    }

    /// What was used when Microsoft refused is what it allows.
    fn learn(&mut self, refused_units: u32, now: Instant) {
        self.forget_old(now);
        let lowest = (self.documented / LOWEST_PART).max(1);
        let granted = self.used.saturating_sub(refused_units);
        self.allowed = (granted - granted / 20).clamp(lowest, self.allowed.max(lowest));
        self.learned_at = Some(now);
    }

    /// A twentieth of the documented budget more for each span without a refusal.
    fn rise(&mut self, now: Instant) {
        let Some(learned_at) = self.learned_at else {
            return;
        };
        if now.duration_since(learned_at) < self.span.saturating_mul(3) {
            return;
        }
        self.allowed = self
            .allowed
            .saturating_add((self.documented / 20).max(1))
            .min(self.documented);
        self.learned_at = (self.allowed < self.documented).then_some(now);
    }

    fn slot(&self) -> Duration {
        self.span / SLOTS
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
