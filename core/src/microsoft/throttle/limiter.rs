//! One tenant's workload: its places, its budget and its pause.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    lock,
    window::{Share, Window},
    workload::{Budgets, Workload},
};
use crate::ids::TenantId;

/// The shared gate of one tenant's workload.
pub(crate) struct Limiter {
    pub(super) tenant: TenantId,
    pub(super) workload: Workload,
    pub(super) places: Arc<Semaphore>,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    /// Semaphore permits in existence, and how many there should be.
    pub(super) places: usize,
    pub(super) wanted_places: usize,
    pub(super) changed_places_at: Instant,
    pub(super) paused_until: Option<Instant>,
    pub(super) window: Option<Window>,
}

impl Limiter {
    pub(super) fn new(
        tenant: TenantId,
        workload: Workload,
        budgets: &Budgets,
        share: Share,
    ) -> Self {
        let places = workload.concurrency();
        let window = budgets
            .of_tenant(workload)
            .map(|budget| Window::new(budget, share));
        let state = State {
            places,
            wanted_places: places,
            changed_places_at: Instant::now(),
            paused_until: None,
            window,
        };
        Self {
            tenant,
            workload,
            places: Arc::new(Semaphore::new(places)),
            state: Mutex::new(state),
        }
    }

    /// One of its places, once one is free.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        loop {
            // The semaphore is never closed; were it, going on without a place is the lesser harm.
            match Arc::clone(&self.places).acquire_owned().await {
                Ok(permit) => return permit,
                Err(_closed) => self.places.add_permits(1),
            }
        }
    }

    /// Gives a place back, unless there should be fewer.
    pub(super) fn leave(&self, permit: Option<OwnedSemaphorePermit>) {
        let mut state = lock(&self.state);
        if state.places > state.wanted_places {
            // Concurrency was lowered: this place goes away instead of back.
            state.places -= 1;
            if let Some(permit) = permit {
                permit.forget();
            }
        } else if state.places < state.wanted_places {
            state.places += 1;
            self.places.add_permits(1);
        }
    }

    /// Takes a refusal to heart. `teaches`: the budget of this workload is what was used up.
    pub(super) fn refused(&self, units: u32, until: Instant, teaches: bool) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        // Of many requests refused at the same moment only the first teaches anything.
        let news = state.paused_until.is_none_or(|paused| paused <= now);
        state.pause(until);
        if news {
            if let (Some(window), true) = (&mut state.window, teaches) {
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

    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        let mut state = lock(&self.state);
        let paused = state.paused_until.is_some_and(|until| until > now);
        let used = state.window.as_mut().is_some_and(|window| {
            window.forget_old(now);
            window.used > 0 || window.is_shared()
        });
        !paused && !used
    }
}

impl State {
    pub(super) fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// When to ask again; `None`: the units may be spent now.
    pub(super) fn wait(&mut self, units: u32, now: Instant) -> Option<Instant> {
        let paused = self.paused_until.filter(|until| *until > now);
        paused.or_else(|| {
            let window = self.window.as_mut()?;
            window.wait(units, now)
        })
    }

    pub(super) fn set_documented(&mut self, units: u32) {
        if let Some(window) = &mut self.window {
            window.set_documented(units);
        }
    }

    /// Halves the places at once, gives them back one in a few seconds.
    pub(super) fn adjust_concurrency(&mut self, lower: bool, most: usize, now: Instant) {
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
