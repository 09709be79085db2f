//! What was spent of one budget in its span, and how much of it this process may spend.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    Priority,
    shares::{Claim, Grant, SLICES},
    workload::Budget,
};

/// A budget is counted in this many slots of its span.
const SLOTS: u32 = 50;
/// A budget is never learned below this part of the documented one.
const LOWEST_PART: u32 = 10;
/// The part of a budget a process allows itself while nobody can say what the others spend: with it
/// twenty processes are within the budget, more than are supported.
const CAUTIOUS_PART: u32 = 20;
/// The part of a budget of all tenants that background work leaves for what people wait for.
const PEOPLES_PART: u32 = 16;
/// Readings of the limit closer together than this say the same.
const ONE_READING: Duration = Duration::from_secs(1);

/// A budget in use.
pub(super) struct Window {
    pub(super) span: Duration,
    pub(super) documented: u32,
    /// What is believed to be granted: the documented budget or what was learned.
    pub(super) allowed: u32,
    pub(super) used: u32,
    pub(super) slots: VecDeque<(Instant, u32)>,
    pub(super) learned_at: Option<Instant>,
    pub(super) pace: Option<Pace>,
    pub(super) taken_at: Option<Instant>,
    /// When somebody last asked whether there is a share. A request needs shares of several budgets at once,
    /// so one that is waited for stays although nothing is spent from it yet.
    pub(super) wanted_at: Option<Instant>,
    pub(super) share: Share,
}

/// How fast to spend, while the budget is nearly used up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// Units in a second.
    pub(super) rate: f64,
    /// The part of the rate before, when it last changed.
    pub(super) part: f64,
    /// When the next may go.
    pub(super) next: Instant,
    pub(super) changed_at: Instant,
}

/// How much of a budget is this process's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it: there is no other process.
    Whole,
    /// Nothing: it was not asked for.
    None,
    /// Nothing yet: the answer is awaited.
    Awaited,
    /// Slices held by lease.
    Leased(Leased),
    /// Nobody can say: a cautious part.
    Cautious,
}

/// Slices of a budget that are held by a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leased {
    /// Slices that are ours.
    pub(super) held: u32,
    /// How many of them to spend from: the others are given back once they are not spent.
    pub(super) keep: u32,
    /// How many we would like.
    pub(super) wants: u32,
    /// Since when we would like so many.
    pub(super) wants_since: Instant,
    /// Until when they are ours.
    pub(super) ends: Instant,
    /// Whether they were too few at some moment since we last told.
    pub(super) short: bool,
}

impl Window {
    pub(super) fn new(budget: Budget, share: Share) -> Self {
        Self {
            span: budget.span,
            documented: budget.units,
            allowed: budget.units,
            used: 0,
            slots: VecDeque::new(),
            learned_at: None,
            pace: None,
            taken_at: None,
            wanted_at: None,
            share,
        }
    }

    /// Units that this process may spend in a span.
    pub(super) fn limit(&self, now: Instant) -> u32 {
        match self.share {
            Share::Whole => self.allowed,
            Share::None | Share::Awaited => 0,
            Share::Leased(leased) if now < leased.ends => {
                // Who holds anything may send one: a budget of few units has slices of less than one, and
                // what a dead process held of it comes free only after minutes.
                let slices = leased.keep.min(leased.held);
                part(self.allowed, slices).max(slices.min(1))
            }
            Share::Leased(_) | Share::Cautious => (self.allowed / CAUTIOUS_PART).max(1),
        }
    }

    /// When to ask again; `None`: the units may be spent now.
    pub(super) fn wait(&mut self, units: u32, now: Instant) -> Option<Instant> {
        let limit = self.limit(now);
        self.wait_within(limit, units, now)
    }

    /// The same where background work leaves something for people, who would otherwise wait for as long
    /// as the budget is spent.
    pub(super) fn wait_as(
        &mut self,
        priority: Priority,
        units: u32,
        now: Instant,
    ) -> Option<Instant> {
        let limit = self.limit(now);
        let spared = match priority {
            Priority::Normal => 0,
            Priority::Low => limit / PEOPLES_PART,
        };
        self.wait_within(limit - spared, units, now)
    }

    fn wait_within(&mut self, limit: u32, units: u32, now: Instant) -> Option<Instant> {
        self.forget_old(now);
        self.rise(now);
        // Something dearer than all of it is sent alone.
        let fits = self.used.saturating_add(units) <= limit || (self.used == 0 && limit > 0);
        if fits {
            return self.pace.map(|pace| pace.next).filter(|next| *next > now);
        }
        if let Share::Leased(leased) = &mut self.share {
            leased.short |= leased.held < SLICES;
        }
        let front = self.slots.front();
        Some(front.map_or(now + self.slot(), |(began, _units)| {
            *began + self.span + self.slot()
        }))
    }

    /// Spends units.
    pub(super) fn take(&mut self, units: u32, now: Instant) {
        self.used = self.used.saturating_add(units);
        self.taken_at = Some(now);
        if let Some(pace) = &mut self.pace {
            let time = Duration::try_from_secs_f64(f64::from(units) / pace.rate);
            pace.next = pace.next.max(now) + time.unwrap_or(self.span).min(self.span);
        }
        let slot = self.slot();
        match self.slots.back_mut() {
            Some((began, sum)) if now.duration_since(*began) < slot => {
                *sum = sum.saturating_add(units);
            }
            Some(_) | None => self.slots.push_back((now, units)),
        }
    }

    /// Corrects what was spent by what it really was.
    pub(super) fn correct(&mut self, booked: u32, actual: u32) {
        // The last slot stands in for the one the request was booked in: a second's error at most.
        if let Some((_began, sum)) = self.slots.back_mut() {
            let corrected = sum.saturating_add(actual).saturating_sub(booked);
            self.used = self.used.saturating_add(corrected).saturating_sub(*sum);
            *sum = corrected;
        }
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        let keep = self.span + self.slot();
        while let Some((began, units)) = self.slots.front().copied() {
            if now.duration_since(began) < keep {
                break;
            }
            self.used = self.used.saturating_sub(units);
            self.slots.pop_front();
        }
    }

    /// How much of what we may spend is spent: 1.0 is all of it.
    pub(super) fn fullness(&mut self, now: Instant) -> f64 {
        self.forget_old(now);
        f64::from(self.used) / f64::from(self.limit(now).max(1))
    }

    /// What was used when Microsoft refused is what it allows.
    pub(super) fn learn(&mut self, refused_units: u32, now: Instant) {
        self.forget_old(now);
        let lowest = self.lowest();
        let granted = self.whole(self.used.saturating_sub(refused_units));
        self.allowed = (granted - granted / 20).clamp(lowest, self.allowed.max(lowest));
        self.learned_at = Some(now);
    }

    /// Slows down because Microsoft says that the budget is nearly used up (1.0: it is), by us or by
    /// others: from how fast we have been, the more the nearer it is.
    pub(super) fn ease(&mut self, pressure: f64, now: Instant) {
        self.forget_old(now);
        let Some((began, _units)) = self.slots.front() else {
            return;
        };
        let time = now.duration_since(*began).max(ONE_READING);
        let part = match pressure {
            pressure if pressure >= 1.0 => 0.25,
            pressure if pressure >= 0.9 => 0.5,
            _ => 0.75,
        };
        let rate = match self.pace {
            // Nothing new, unless the limit came nearer.
            Some(pace)
                if now.duration_since(pace.changed_at) < ONE_READING && part >= pace.part =>
            {
                return;
            }
            Some(pace) => pace.rate,
            None => f64::from(self.used) / time.as_secs_f64(),
        };
        let slowest = self.even_rate(now) / f64::from(LOWEST_PART);
        self.pace = Some(Pace {
            rate: (rate * part).max(slowest),
            part,
            next: self.pace.map_or(now, |pace| pace.next),
            changed_at: now,
        });
    }

    /// Speeds up again because Microsoft says nothing, until no pace is needed.
    pub(super) fn relax(&mut self, now: Instant) {
        let even = self.even_rate(now);
        if let Some(pace) = &mut self.pace
            && now.duration_since(pace.changed_at) >= ONE_READING
        {
            pace.rate *= 1.5;
            pace.part = 1.0;
            pace.changed_at = now;
        }
        self.pace = self.pace.filter(|pace| pace.rate < even);
    }

    /// Units in a second with which what we may spend lasts for its span.
    fn even_rate(&self, now: Instant) -> f64 {
        f64::from(self.limit(now).max(1)) / self.span.as_secs_f64()
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

    pub(super) fn set_documented(&mut self, units: u32) {
        let was_full = self.allowed == self.documented;
        self.documented = units;
        self.allowed = if was_full {
            units
        } else {
            self.allowed.min(units)
        };
    }

    /// Slices that are ours at this moment.
    pub(super) fn slices(&self, now: Instant) -> u32 {
        match self.share {
            Share::Whole => SLICES,
            Share::Leased(leased) if now < leased.ends => leased.held,
            Share::None | Share::Awaited | Share::Leased(_) | Share::Cautious => 0,
        }
    }

    /// Whether other processes believe that we use it.
    pub(super) fn is_shared(&self) -> bool {
        match self.share {
            Share::Whole | Share::None => false,
            Share::Awaited | Share::Leased(_) | Share::Cautious => true,
        }
    }

    /// Asks for a share unless there is one; whether one is still awaited. `nobody_answers`: then it
    /// is done without.
    pub(super) fn lacks_share(&mut self, nobody_answers: bool, now: Instant) -> bool {
        self.wanted_at = Some(now);
        if matches!(self.share, Share::None | Share::Awaited) {
            self.share = if nobody_answers {
                Share::Cautious
            } else {
                Share::Awaited
            };
        }
        self.share == Share::Awaited
    }

    /// What to tell the others: what is held, after giving back what can be, and what is wanted. `None`:
    /// it is not used any more.
    pub(super) fn claim(&mut self, now: Instant) -> Option<Claim> {
        self.forget_old(now);
        let needed = self.slices_for(self.used.saturating_mul(2)).max(1);
        let spent = self.slices_for(self.used);
        let is_idle = self
            .taken_at
            .max(self.wanted_at)
            .is_none_or(|at| now.duration_since(at) > self.span + self.slot());
        match &mut self.share {
            Share::Whole | Share::None => None,
            Share::Awaited | Share::Cautious => Some(Claim {
                held: 0,
                wants: SLICES,
            }),
            Share::Leased(leased) if self.used == 0 && is_idle && !leased.short => {
                self.share = Share::None;
                None
            }
            Share::Leased(leased) => {
                let is_due = now.duration_since(leased.wants_since) >= self.span;
                let wants = if leased.short {
                    SLICES
                } else if is_due || needed > leased.wants {
                    needed
                } else {
                    leased.wants
                };
                if wants != leased.wants || leased.short || is_due {
                    leased.wants = wants;
                    leased.wants_since = now;
                }
                leased.short = false;
                leased.held = leased.held.min(leased.keep.max(spent));
                Some(Claim {
                    held: leased.held,
                    wants,
                })
            }
        }
    }

    /// Gives back all that is not spent, for good.
    pub(super) fn leave(&mut self, now: Instant) -> Option<Claim> {
        self.forget_old(now);
        let spent = self.slices_for(self.used);
        let Share::Leased(leased) = &mut self.share else {
            return None;
        };
        leased.held = leased.held.min(spent);
        leased.keep = leased.held;
        (leased.held > 0).then_some(Claim {
            held: leased.held,
            wants: leased.held,
        })
    }

    /// Takes what was granted, ours until `ends`.
    pub(super) fn granted(&mut self, grant: Grant, ends: Instant, now: Instant) {
        let keep = grant.held.min(grant.fair);
        match &mut self.share {
            Share::Whole | Share::None => {}
            Share::Leased(leased) => {
                leased.held = grant.held;
                leased.keep = keep;
                leased.ends = ends;
            }
            Share::Awaited | Share::Cautious => {
                self.share = Share::Leased(Leased {
                    held: grant.held,
                    keep,
                    wants: SLICES,
                    wants_since: now,
                    ends,
                    short: false,
                });
            }
        }
    }

    /// The slices in which so many units fit, all of them if they do not.
    fn slices_for(&self, units: u32) -> u32 {
        let slices =
            (u64::from(units) * u64::from(SLICES)).div_ceil(u64::from(self.allowed.max(1)));
        let slices = u32::try_from(slices).unwrap_or(SLICES).clamp(1, SLICES);
        if units == 0 { 0 } else { slices }
    }

    fn lowest(&self) -> u32 {
        (self.documented / LOWEST_PART).max(1)
    }

    /// What it would be of the whole budget if the others spent theirs as we do ours.
    fn whole(&self, units: u32) -> u32 {
        match self.share {
            Share::Leased(leased) if leased.held > 0 => {
                let whole = u64::from(units) * u64::from(SLICES) / u64::from(leased.held);
                u32::try_from(whole).unwrap_or(u32::MAX)
            }
            Share::Whole | Share::None | Share::Awaited | Share::Leased(_) | Share::Cautious => {
                units
            }
        }
    }

    fn slot(&self) -> Duration {
        self.span / SLOTS
    }
}

/// So many slices of a budget, in units.
pub(super) fn part(units: u32, slices: u32) -> u32 {
    let part = u64::from(units) * u64::from(slices) / u64::from(SLICES);
    u32::try_from(part).unwrap_or(units)
}
