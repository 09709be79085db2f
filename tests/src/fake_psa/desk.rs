//! What all three stand-ins have: their log, faults, limits, clock and outgoing calls.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use serde_json::Value;

use super::{
    call::{Call, Reply},
    callouts::Callouts,
    faults::{Effect, Faults},
    gate::Gate,
    handle,
    limits::{Limiter, Thread},
    request_log::RequestLog,
    world::{Change, World},
};

/// What a stand-in does of its own.
pub trait Psa: Send + Sync + 'static {
    /// The word for it in the API.
    const KIND: &'static str;
    /// Rights that may be taken away.
    const RIGHTS: &'static [&'static str];

    /// What it has in common with the others.
    fn desk(&self) -> &Desk;

    /// Answers a request.
    fn answer(&self, call: &Call) -> Reply;

    /// Takes a place for a request where requests at the same time are counted; the error is the answer
    /// to one too many.
    fn enter(&self, call: &Call) -> Result<Option<Thread>, Reply>;

    /// Whether a request counts against the limit, and the answer to one too many.
    fn counts(&self, call: &Call) -> bool;

    /// An error of this status as this PSA writes it.
    fn error(&self, status: u16) -> Reply;

    /// What it knows.
    fn world(&self) -> &Mutex<World>;

    /// The rights that its API user has.
    fn rights(&self) -> &Mutex<BTreeSet<String>>;

    /// Credentials as a connection takes them.
    fn credentials(&self) -> Value;

    /// All that only this PSA and its client may know: credentials, tokens, what webhooks are signed with or
    /// show, and the last parts of their addresses.
    fn secrets(&self) -> Vec<String>;

    /// Whether a deleted company is kept with a mark.
    fn keeps_deleted(&self) -> bool;

    /// The status of closed tickets on a board.
    fn closed_status(board: i64) -> i64;

    /// Calls those that want to know of a change.
    fn announce(&self, change: &Change);

    /// Replaces keys or secrets.
    fn rotate_secrets(&self);

    /// Moves to another zone or codebase; HaloPSA forgets its tokens.
    fn relocate(&self);

    /// Whether the API user has a right.
    fn may(&self, right: &str) -> bool {
        self.rights().lock().expect("rights").contains(right)
    }

    /// Makes something happen.
    fn effect(&self, effect: &Effect) {
        handle::effect(self, effect);
    }
}

/// The common part.
pub struct Desk {
    /// `http://127.0.0.1:PORT`, no trailing slash.
    pub origin: String,
    /// Every request it received.
    pub log: RequestLog,
    /// Scripted faults.
    pub faults: Faults,
    /// Requests that tests stop at a known point.
    pub gate: Gate,
    /// Requests in a span of time.
    pub limiter: Mutex<Limiter>,
    /// Delay before every answer, in milliseconds.
    pub delay_ms: AtomicU64,
    /// Webhooks that it calls.
    pub callouts: Callouts,
    clock_offset_seconds: AtomicI64,
    violations: Mutex<Vec<String>>,
    last_replies: Mutex<HashMap<String, Reply>>,
}

impl Desk {
    /// At this origin.
    pub fn new(origin: String, callouts: Callouts) -> Self {
        Self {
            origin,
            log: RequestLog::default(),
            faults: Faults::default(),
            gate: Gate::default(),
            limiter: Mutex::default(),
            delay_ms: AtomicU64::new(0),
            callouts,
            clock_offset_seconds: AtomicI64::new(0),
            violations: Mutex::default(),
            last_replies: Mutex::default(),
        }
    }

    /// The stand-in's time in milliseconds since 1970.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the stand-in reads the clock"
    )]
    pub fn now(&self) -> i64 {
        let offset = self.clock_offset_seconds.load(Ordering::Relaxed);
        chrono::Utc::now().timestamp_millis() + offset * 1000
    }

    /// Moves the stand-in's time forward, so that tokens expire.
    pub fn advance_seconds(&self, seconds: i64) {
        self.clock_offset_seconds
            .fetch_add(seconds, Ordering::Relaxed);
    }

    /// Notes something a client must never do. A test asserts that there is none.
    pub fn record_violation(&self, what: impl Into<String>) {
        self.violations
            .lock()
            .expect("violations")
            .push(what.into());
    }

    /// What clients did that they must never do, oldest first.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("violations").clone()
    }

    /// Keeps an answer for `Fault::RepeatPage`.
    pub fn keep_reply(&self, path: String, reply: &Reply) {
        let mut last = self.last_replies.lock().expect("last replies");
        last.insert(path, reply.clone());
    }

    /// The answer that was kept for this list.
    pub fn last_reply(&self, path: &str) -> Option<Reply> {
        let last = self.last_replies.lock().expect("last replies");
        last.get(path).cloned()
    }
}
