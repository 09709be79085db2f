//! How many requests a stand-in answers: in a span of time, and at the same time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// So many requests in any span of this length.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub requests: usize,
    pub span: Duration,
    /// What `Retry-After` says in seconds; none: the header is left out.
    pub retry_after: Option<u64>,
}

impl Limit {
    /// A limit that tells how long to wait.
    pub const fn told(requests: usize, span: Duration, retry_after: u64) -> Self {
        Self {
            requests,
            span,
            retry_after: Some(retry_after),
        }
    }

    /// A limit without `Retry-After`.
    pub const fn untold(requests: usize, span: Duration) -> Self {
        Self {
            requests,
            span,
            retry_after: None,
        }
    }
}

/// Counts requests against a limit.
#[derive(Default)]
pub struct Limiter {
    limit: Option<Limit>,
    came: VecDeque<Instant>,
}

impl Limiter {
    /// From now on this limit, or none. What came before counts.
    pub fn set(&mut self, limit: Option<Limit>) {
        self.limit = limit;
    }

    /// Counts a request; the limit when it is one too many. A refused one does not count.
    pub fn count(&mut self, now: Instant) -> Option<Limit> {
        let limit = self.limit?;
        self.forget(now, limit.span);
        if self.came.len() >= limit.requests {
            return Some(limit);
        }
        self.came.push_back(now);
        None
    }

    /// How many count at present.
    pub fn used(&mut self, now: Instant) -> usize {
        if let Some(limit) = self.limit {
            self.forget(now, limit.span);
        }
        self.came.len()
    }

    fn forget(&mut self, now: Instant, span: Duration) {
        while let Some(first) = self.came.front()
            && now.duration_since(*first) >= span
        {
            self.came.pop_front();
        }
    }
}

/// Requests under way, by endpoint.
#[derive(Default)]
pub struct Threads {
    under_way: Arc<Mutex<HashMap<String, usize>>>,
}

/// A request under way; it ends when this is dropped.
pub struct Thread {
    under_way: Arc<Mutex<HashMap<String, usize>>>,
    endpoint: String,
}

impl Threads {
    /// Begins a request; none when as many as allowed are under way at this endpoint.
    pub fn enter(&self, endpoint: &str, allowed: usize) -> Option<Thread> {
        let mut under_way = self.under_way.lock().expect("threads");
        let count = under_way.entry(endpoint.to_owned()).or_default();
        if *count >= allowed {
            return None;
        }
        *count += 1;
        Some(Thread {
            under_way: Arc::clone(&self.under_way),
            endpoint: endpoint.to_owned(),
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().expect("threads");
        if let Some(count) = under_way.get_mut(&self.endpoint) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_in_any_span_and_refusals_do_not_count() {
        let mut limiter = Limiter::default();
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        limiter.set(Some(Limit::untold(2, Duration::from_millis(100))));
        assert!(limiter.count(at(0)).is_none());
        assert!(limiter.count(at(60)).is_none());
        assert!(limiter.count(at(90)).is_some());
        assert!(limiter.count(at(100)).is_none());
        assert!(limiter.count(at(150)).is_some());
        assert_eq!(limiter.used(at(160)), 1);
    }

    #[test]
    fn threads_are_counted_by_endpoint_and_end_when_dropped() {
        let threads = Threads::default();
        let first = threads.enter("Companies", 1);
        assert!(first.is_some());
        assert!(threads.enter("Companies", 1).is_none());
        assert!(threads.enter("Contacts", 1).is_some());
        drop(first);
        assert!(threads.enter("Companies", 1).is_some());
    }
}
