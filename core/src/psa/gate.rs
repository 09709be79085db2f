//! What a PSA lets one connection do: calls in spans of time, calls at the same time, pauses. One gate for
//! all who use the connection in this process; who is waited for goes first.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tenantry_psa::{Limits, Window};
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep_until},
};

use super::Urgency;

/// What holds until the adapter or its PSA says something else.
const FIRST_PARALLEL: u32 = 4;
/// When to ask again where nobody knows better.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// The longest pause that is believed: an hour, the longest span that a PSA counts.
const LONGEST_PAUSE: u64 = 3600;

/// There is no turn for a call within its patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoTurn {
    /// When there may be one.
    pub(super) seconds: u64,
}

/// Lets calls of one connection through.
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    limits: Limits,
    /// When calls left, the oldest first, as far back as the longest window reaches.
    calls: VecDeque<Instant>,
    paused_until: Option<Instant>,
    running: u32,
    running_at: HashMap<&'static str, u32>,
    /// Who waits, in the order in which they go, and for which endpoint.
    waiting: BTreeMap<Place, &'static str>,
    next: u64,
}

/// A place in the queue: who is waited for comes first, then who came first.
type Place = (Urgency, u64);

/// What a look at the limits says.
enum Look {
    Go,
    /// Not before then; none: when something changes.
    Wait(Option<Instant>),
}

/// A call that is under way. Dropping it ends it.
pub(super) struct Turn {
    gate: Arc<Gate>,
    endpoint: &'static str,
}

/// A call that waits. Dropping it leaves the queue.
struct Waiting<'g> {
    gate: &'g Gate,
    place: Place,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                limits: Limits {
                    windows: Vec::new(),
                    parallel: FIRST_PARALLEL,
                    parallel_per_endpoint: None,
                },
                calls: VecDeque::new(),
                paused_until: None,
                running: 0,
                running_at: HashMap::new(),
                waiting: BTreeMap::new(),
                next: 0,
            }),
            changed: Notify::new(),
        }
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other limits hold from now on.
    pub(super) fn set_limits(&self, limits: Limits) {
        self.state().limits = limits;
        self.changed.notify_waiters();
    }

    /// No call leaves before so many seconds have passed.
    pub(super) fn pause(&self, seconds: u64) {
        let until = Instant::now() + Duration::from_secs(seconds.min(LONGEST_PAUSE));
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(until));
    }

    /// Waits for the turn of a call.
    pub(super) async fn turn(
        self: &Arc<Self>,
        urgency: Urgency,
        endpoint: &'static str,
    ) -> Result<Turn, NoTurn> {
        let deadline = Instant::now() + urgency.patience();
        let waiting = self.enter(urgency, endpoint);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let now = Instant::now();
            let until = match self.look(waiting.place, endpoint, now) {
                Look::Go => {
                    return Ok(Turn {
                        gate: Arc::clone(self),
                        endpoint,
                    });
                }
                Look::Wait(until) => until,
            };
            if now >= deadline || until.is_some_and(|until| until > deadline) {
                let wait = until.map_or(ASK_AGAIN, |until| until.saturating_duration_since(now));
                return Err(NoTurn {
                    seconds: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
                });
            }
            tokio::select! {
                () = &mut changed => {}
                () = sleep_until(until.unwrap_or(deadline)) => {}
            }
        }
    }

    fn enter(&self, urgency: Urgency, endpoint: &'static str) -> Waiting<'_> {
        let mut state = self.state();
        let place = (urgency, state.next);
        state.next += 1;
        state.waiting.insert(place, endpoint);
        Waiting { gate: self, place }
    }

    /// Takes the turn, or says for what to wait.
    fn look(&self, place: Place, endpoint: &'static str, now: Instant) -> Look {
        let mut state = self.state();
        let look = state.look(place, endpoint, now);
        if matches!(look, Look::Go) {
            state.waiting.remove(&place);
            state.calls.push_back(now);
            state.running += 1;
            *state.running_at.entry(endpoint).or_default() += 1;
            drop(state);
            // Whoever comes after it may go now, too.
            self.changed.notify_waiters();
        }
        look
    }
}

impl State {
    fn look(&mut self, place: Place, endpoint: &'static str, now: Instant) -> Look {
        self.forget(now);
        let paused = self.paused_until.filter(|until| *until > now);
        let windows = self.limits.windows.iter();
        let full = windows.filter_map(|window| self.full_until(*window, place.0, now));
        if let Some(until) = full.chain(paused).max() {
            return Look::Wait(Some(until));
        }
        let mut earlier = self.waiting.range(..place);
        let goes_first = |endpoint: &'static str| self.has_slot(endpoint);
        if !self.has_slot(endpoint) || earlier.any(|(_place, endpoint)| goes_first(endpoint)) {
            return Look::Wait(None);
        }
        Look::Go
    }

    /// Until when a window has no call left for this urgency; none when it has.
    fn full_until(&self, window: Window, urgency: Urgency, now: Instant) -> Option<Instant> {
        let span = Duration::from_secs(window.seconds.into());
        // Background work leaves a sixteenth for those who are waited for.
        let share = match urgency {
            Urgency::Waited => window.calls,
            Urgency::Background => window.calls - window.calls / 16,
        };
        let share = usize::try_from(share.max(1)).unwrap_or(usize::MAX);
        let passed = self.calls.partition_point(|call| *call + span <= now);
        let within = self.calls.len() - passed;
        let freed = (within + 1).checked_sub(share).filter(|over| *over > 0)?;
        let oldest = self.calls.get(passed + freed - 1)?;
        Some(*oldest + span)
    }

    fn has_slot(&self, endpoint: &'static str) -> bool {
        let at_endpoint = self.running_at.get(endpoint).copied().unwrap_or_default();
        let most = self.limits.parallel_per_endpoint.unwrap_or(u32::MAX);
        self.running < self.limits.parallel.max(1) && at_endpoint < most.max(1)
    }

    /// Forgets calls that no window counts any more.
    fn forget(&mut self, now: Instant) {
        let spans = self.limits.windows.iter().map(|window| window.seconds);
        let longest = Duration::from_secs(spans.max().unwrap_or_default().into());
        while self
            .calls
            .front()
            .is_some_and(|call| *call + longest <= now)
        {
            self.calls.pop_front();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.running = state.running.saturating_sub(1);
        if let Some(running) = state.running_at.get_mut(self.endpoint) {
            *running = running.saturating_sub(1);
        }
        drop(state);
        self.gate.changed.notify_waiters();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.gate.state().waiting.remove(&self.place);
        if left.is_some() {
            self.gate.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(windows: &[(u32, u32)], parallel: u32, per_endpoint: Option<u32>) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        gate.set_limits(Limits {
            windows: windows
                .iter()
                .map(|(calls, seconds)| Window {
                    calls: *calls,
                    seconds: *seconds,
                })
                .collect(),
            parallel,
            parallel_per_endpoint: per_endpoint,
        });
        gate
    }

    /// Seconds since `begun`.
    fn passed(begun: Instant) -> u64 {
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_holds_in_every_span_of_its_length() {
        let gate = gate(&[(3, 10)], 9, None);
        let begun = Instant::now();
        let mut at = Vec::new();
        for _ in 0..7 {
            drop(gate.turn(Urgency::Waited, "a").await.unwrap());
            at.push(passed(begun));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(at, [0, 1, 2, 10, 11, 12, 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn background_leaves_a_part_for_those_who_are_waited_for() {
        let gate = gate(&[(32, 3600)], 99, None);
        for _ in 0..30 {
            drop(gate.turn(Urgency::Background, "a").await.unwrap());
        }
        let begun = Instant::now();
        let refused = gate.turn(Urgency::Background, "a").await;
        assert_eq!(refused.err(), Some(NoTurn { seconds: 3600 }));
        for _ in 0..2 {
            drop(gate.turn(Urgency::Waited, "a").await.unwrap());
        }
        assert!(gate.turn(Urgency::Waited, "a").await.is_err());
        assert_eq!(
            passed(begun),
            0,
            "nobody waits for what does not come in time"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_waited_for_goes_before_who_came_first() {
        let gate = gate(&[], 1, None);
        let first = gate.turn(Urgency::Background, "a").await.unwrap();
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for (urgency, name) in [
            (Urgency::Background, "b1"),
            (Urgency::Background, "b2"),
            (Urgency::Waited, "w"),
        ] {
            let (gate, told) = (Arc::clone(&gate), told.clone());
            tokio::spawn(async move {
                let turn = gate.turn(urgency, "a").await.unwrap();
                told.send(name).unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(turn);
            });
            tokio::task::yield_now().await;
        }
        drop(first);
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(order.recv().await.unwrap());
        }
        assert_eq!(seen, ["w", "b1", "b2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_is_full_holds_nobody_else_back() {
        let gate = gate(&[], 9, Some(3));
        let mut turns = Vec::new();
        for _ in 0..3 {
            turns.push(gate.turn(Urgency::Background, "Companies").await.unwrap());
        }
        let waiting = {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.turn(Urgency::Waited, "Companies").await.map(drop) })
        };
        tokio::task::yield_now().await;
        let other = tokio::time::timeout(
            Duration::from_secs(1),
            gate.turn(Urgency::Background, "Contacts"),
        );
        assert!(other.await.unwrap().is_ok());
        turns.pop();
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_all_calls_back_and_is_told_when_it_is_long() {
        let gate = gate(&[], 9, None);
        gate.pause(8);
        gate.pause(2);
        let begun = Instant::now();
        drop(gate.turn(Urgency::Waited, "a").await.unwrap());
        assert_eq!(passed(begun), 8);
        gate.pause(30);
        let refused = gate.turn(Urgency::Waited, "a").await;
        assert_eq!(refused.err(), Some(NoTurn { seconds: 30 }));
        drop(gate.turn(Urgency::Background, "a").await.unwrap());
        assert_eq!(passed(begun), 38);
        gate.pause(u64::MAX);
        assert_eq!(
            gate.turn(Urgency::Background, "a").await.err(),
            Some(NoTurn { seconds: 3600 })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_who_leaves_holds_nobody_back() {
        let gate = gate(&[], 1, None);
        let held = gate.turn(Urgency::Background, "a").await.unwrap();
        let begun = Instant::now();
        assert!(gate.turn(Urgency::Waited, "a").await.is_err());
        assert_eq!(passed(begun), 10);
        assert!(gate.turn(Urgency::Background, "a").await.is_err());
        assert_eq!(passed(begun), 70);
        let left = tokio::time::timeout(Duration::from_secs(1), gate.turn(Urgency::Waited, "a"));
        assert!(left.await.is_err());
        drop(held);
        assert!(gate.turn(Urgency::Background, "a").await.is_ok());
        assert!(gate.state().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn other_limits_hold_at_once() {
        let gate = gate(&[(1, 50)], 1, None);
        drop(gate.turn(Urgency::Background, "a").await.unwrap());
        let waiting = {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.turn(Urgency::Background, "a").await.map(drop) })
        };
        tokio::task::yield_now().await;
        let begun = Instant::now();
        gate.set_limits(Limits {
            windows: Vec::new(),
            parallel: 1,
            parallel_per_endpoint: None,
        });
        assert!(waiting.await.unwrap().is_ok());
        assert_eq!(passed(begun), 0);
    }
}
