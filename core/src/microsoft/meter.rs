//! What one data set has cost so far.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Counts requests, retries and waiting, shared by all who work on one data set.
#[derive(Debug, Default)]
pub struct Meter {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled_ms: AtomicU64,
    /// Until when waiting has been counted: waits that overlap count once.
    counted_until: Mutex<Option<Instant>>,
}

/// A reading of a [`Meter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Requests sent, refused ones included. A batch is one.
    pub requests: u64,
    /// Requests, or items of a batch, that were sent again.
    pub retries: u64,
    /// Time in which somebody waited because Microsoft limits us, in milliseconds. Waits of several
    /// requests at the same time count once.
    pub throttled_ms: u64,
}

impl Meter {
    /// What has been counted.
    pub fn read(&self) -> Reading {
        Reading {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttled_ms: self.throttled_ms.load(Relaxed),
        }
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Counts a wait that has ended just now, and says how much of it was not counted before.
    pub(crate) fn count_wait(&self, from: Instant, until: Instant) -> Duration {
        let mut counted = self
            .counted_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let from = counted.map_or(from, |counted| counted.max(from));
        let wait = until.saturating_duration_since(from);
        if !wait.is_zero() {
            self.throttled_ms.fetch_add(milliseconds(wait), Relaxed);
            *counted = Some(until);
        }
        wait
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_at_the_same_time_count_once() {
        let meter = Meter::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let wait = |from, until| meter.count_wait(at(from), at(until)).as_millis();
        assert_eq!(wait(0, 2000), 2000);
        assert_eq!(wait(500, 2000), 0);
        assert_eq!(wait(1000, 3000), 1000);
        assert_eq!(wait(5000, 5500), 500);
        assert_eq!(meter.read().throttled_ms, 3500);
    }
}
