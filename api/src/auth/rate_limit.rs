//! The rate limit of each key (N13).

use std::num::NonZeroU32;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::{
    Quota,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use tenantry_core::ids::ApiKeyId;

use crate::problem::{Problem, catalogue};

/// The window of the limit, in seconds.
const WINDOW: u64 = 60;

type Limiter = governor::RateLimiter<
    ApiKeyId,
    DashMapStateStore<ApiKeyId>,
    DefaultClock,
    StateInformationMiddleware,
>;

/// Counts the calls of each key. In memory: each process gives the whole limit.
pub struct RateLimiter {
    limited: Option<(NonZeroU32, Limiter)>,
    clock: DefaultClock,
}

/// What is left to a caller, for the headers of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    quota: u32,
    remaining: u32,
    /// Seconds until the whole quota is there again.
    reset: u64,
}

impl RateLimiter {
    /// So many calls a minute for each key; none at 0.
    pub fn per_minute(calls: u32) -> Self {
        let limited = NonZeroU32::new(calls).map(|calls| {
            let limiter = Limiter::new(
                Quota::per_minute(calls),
                DashMapStateStore::default(),
                DefaultClock::default(),
            );
            (calls, limiter.with_middleware())
        });
        Self {
            limited,
            clock: DefaultClock::default(),
        }
    }

    /// Counts one call. `None`: there is no limit.
    ///
    /// # Errors
    /// A problem when the key has no call left, with what its answer says about the limit.
    pub fn count(&self, key: ApiKeyId) -> Result<Option<RateLimit>, (RateLimit, Problem)> {
        let Some((quota, limiter)) = &self.limited else {
            return Ok(None);
        };
        let quota = quota.get();
        match limiter.check_key(&key) {
            Ok(left) => {
                let remaining = left.remaining_burst_capacity();
                let used = u64::from(quota.saturating_sub(remaining));
                let reset = (used * WINDOW).div_ceil(u64::from(quota));
                Ok(Some(RateLimit {
                    quota,
                    remaining,
                    reset,
                }))
            }
            Err(until) => {
                let wait = until.wait_time_from(self.clock.now());
                let problem = Problem::new(&catalogue::RATE_LIMITED)
                    .detail(format!("The limit is {quota} calls a minute for each key."))
                    .retry_after(wait.max(std::time::Duration::from_millis(1)));
                Err((
                    RateLimit {
                        quota,
                        remaining: 0,
                        reset: WINDOW,
                    },
                    problem,
                ))
            }
        }
    }

    /// Forgets keys that have their whole quota again.
    pub fn forget_idle(&self) {
        if let Some((_, limiter)) = &self.limited {
            limiter.retain_recent();
        }
    }
}

impl RateLimit {
    /// Adds the pair of headers of the IETF's draft 10 on rate limits.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        let policy = format!("\"default\";q={};w={WINDOW}", self.quota);
        let state = format!("\"default\";r={};t={}", self.remaining, self.reset);
        for (name, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key() -> ApiKeyId {
        ApiKeyId::from_uuid(Uuid::now_v7())
    }

    #[test]
    fn n13_a_key_that_spent_its_calls_is_refused_and_another_is_not() {
        let limiter = RateLimiter::per_minute(3);
        let (spender, other) = (key(), key());
        let left: Vec<u32> = (0..3)
            .map(|_| limiter.count(spender).unwrap().unwrap().remaining)
            .collect();
        assert_eq!(left, [2, 1, 0]);
        let (limit, problem) = limiter.count(spender).unwrap_err();
        assert_eq!((limit.remaining, problem.kind().code), (0, "rateLimited"));
        let answer = problem.render("http://localhost", String::new(), false);
        let wait: u64 = answer
            .headers()
            .get("retry-after")
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=20).contains(&wait), "{wait}");
        assert_eq!(limiter.count(other).unwrap().unwrap().remaining, 2);
    }

    #[test]
    fn n13_zero_is_no_limit() {
        let limiter = RateLimiter::per_minute(0);
        let key = key();
        assert!((0..10_000).all(|_| matches!(limiter.count(key), Ok(None))));
    }

    #[test]
    fn the_headers_are_those_of_the_draft() {
        let mut headers = HeaderMap::new();
        RateLimit {
            quota: 6000,
            remaining: 5412,
            reset: 6,
        }
        .add_to(&mut headers);
        assert_eq!(
            headers.get("ratelimit-policy").unwrap(),
            "\"default\";q=6000;w=60"
        );
        assert_eq!(headers.get("ratelimit").unwrap(), "\"default\";r=5412;t=6");
    }
}
