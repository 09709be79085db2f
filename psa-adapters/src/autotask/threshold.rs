//! Autotask's limit: 10,000 requests in an hour for the whole database, all integrations of the MSP
//! together, and three at a time to one entity (psa.md §B7).

use serde::Deserialize;

use crate::{
    autotask::{
        Autotask,
        errors::{addition, protocol},
        http::{Call, Client},
        wire::ThresholdInformation,
    },
    error::PsaError,
    transport::{Limits, Window},
};

/// What we take at most: a fifth of the usual threshold. From half of it on each call is delayed for
/// everybody.
const SHARE: Window = Window {
    calls: 2_000,
    seconds: 3_600,
};

/// Two of the three parallel calls to an entity: a place is freed a little late.
const PARALLEL_PER_ENDPOINT: u32 = 2;

const PARALLEL: u32 = 4;

/// The limits with this window.
pub(super) fn limits(window: Window) -> Limits {
    Limits {
        windows: vec![window],
        parallel: PARALLEL,
        parallel_per_endpoint: Some(PARALLEL_PER_ENDPOINT),
    }
}

/// The limits that hold before the threshold was read.
pub(super) fn usual_limits() -> Limits {
    limits(SHARE)
}

/// A reading of the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Threshold {
    /// The most requests.
    pub(super) limit: u32,
    /// In so many minutes.
    pub(super) minutes: u32,
    /// How many there were in the last such span.
    pub(super) used: u32,
}

impl Threshold {
    /// What we may use of it: a fifth of the threshold, but at most a quarter of what is free, and at least
    /// a hundredth of the threshold so that changes are still seen. Our own fifth in full leaves a quarter
    /// of the rest as large as it, so we are held back by others only.
    pub(super) fn window(self) -> Window {
        let fair = SHARE.calls.min(self.limit / 5);
        let free = self.limit.saturating_sub(self.used) / 4;
        let least = (self.limit / 100).max(1);
        Window {
            calls: fair.min(free).max(least),
            seconds: self.minutes.saturating_mul(60),
        }
    }
}

impl Client {
    /// Reads the threshold, which is a request itself.
    pub(super) async fn threshold(&self) -> Result<Threshold, PsaError> {
        let segments = ["ThresholdInformation"];
        let answer = self
            .ask(&Call::get("ThresholdInformation", &segments))
            .await?;
        let unexpected = || protocol(200, "the answer names no threshold");
        let answer = ThresholdInformation::deserialize(answer).or(Err(unexpected()))?;
        let limit = answer.external_request_threshold.filter(|limit| *limit > 0);
        Ok(Threshold {
            limit: limit.ok_or_else(unexpected)?,
            minutes: answer
                .request_threshold_timeframe
                .filter(|minutes| (1..=1440).contains(minutes))
                .unwrap_or(60),
            used: answer.current_timeframe_request_count.unwrap_or(0),
        })
    }
}

impl Autotask {
    /// Keeps to what the threshold leaves. Where it cannot be read our usual share holds.
    pub(super) async fn heed_threshold(&self) -> Result<(), PsaError> {
        if let Some(threshold) = addition(self.client.threshold().await)? {
            let limits = limits(threshold.window());
            self.client.transport.set_limits(limits);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_use_makes_our_share_smaller() {
        for (limit, used, calls) in [
            (10_000, 0, 2_000),
            (10_000, 2_000, 2_000),
            (10_000, 5_211, 1_197),
            (10_000, 9_900, 100),
            (10_000, 12_000, 100),
            (5_000, 0, 1_000),
            (50_000, 0, 2_000),
            (10, 10, 1),
        ] {
            let threshold = Threshold {
                limit,
                minutes: 60,
                used,
            };
            let expected = Window {
                calls,
                seconds: 3_600,
            };
            assert_eq!(threshold.window(), expected, "{limit} {used}");
        }
    }
}
