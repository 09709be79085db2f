//! Waiting between attempts: exponential, with full jitter.

use std::time::Duration;

use uuid::Uuid;

/// Longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(60);

/// How often and how patiently a passing failure is met again.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Upper bound of the first wait; it doubles with each attempt.
    pub base: Duration,
    /// Attempts in all, the first one included.
    pub attempts: u32,
}

impl Default for Backoff {
    /// Microsoft's advice where it names no time: from two seconds, doubling.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(2),
            attempts: 5,
        }
    }
}

impl Backoff {
    /// The wait after the failed attempt with this number, counted from zero: anything from nothing
    /// to the doubled base, so that many callers do not return together.
    pub(crate) fn wait(&self, attempt: u32) -> Duration {
        let bound = self
            .base
            .saturating_mul(2_u32.saturating_pow(attempt))
            .min(LONGEST);
        bound.mul_f64(random_fraction())
    }

    /// Whether another attempt is allowed after the one with this number, counted from zero.
    pub(crate) fn allows_after(&self, attempt: u32) -> bool {
        attempt + 1 < self.attempts
    }
}

/// A number from 0 to below 1. Jitter needs spread, not secrecy.
pub(crate) fn random_fraction() -> f64 {
    let (_high, low) = Uuid::new_v4().as_u64_pair();
    let [_variant, _b, _c, _d, rest @ ..] = low.to_be_bytes();
    f64::from(u32::from_be_bytes(rest)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_are_capped_and_jittered_from_nothing() {
        let backoff = Backoff {
            base: Duration::from_secs(2),
            attempts: 3,
        };
        for (attempt, bound) in [(0, 2), (1, 4), (2, 8), (10, 60), (u32::MAX, 60)] {
            let waits: Vec<Duration> = (0..200).map(|_| backoff.wait(attempt)).collect();
            let bound = Duration::from_secs(bound);
            assert!(waits.iter().all(|wait| *wait < bound), "{attempt}");
            assert!(
                waits.iter().any(|wait| *wait < bound / 2)
                    && waits.iter().any(|wait| *wait > bound / 2)
            );
        }
        assert!(backoff.allows_after(1));
        assert!(!backoff.allows_after(2));
    }
}
