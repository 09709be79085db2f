//! Several processes on one budget, the shares in memory.

use std::collections::{HashMap, HashSet};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use uuid::Uuid;

use super::*;
use crate::microsoft::throttle::{
    exchange::LEASE,
    shares::{Claim, Grant, Holding, SLICES, Settled, SharesUnavailable, Told, settle},
};

/// A pseudo-random sequence that a seed repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }
}

/// What the database holds, and whether it is away.
#[derive(Default)]
struct Table {
    leases: HashMap<Uuid, Instant>,
    slices: HashMap<(BudgetKey, Uuid), Claim>,
    pauses: HashMap<BudgetKey, Instant>,
    is_away: bool,
    /// How long it takes to answer.
    delay: Duration,
    /// Who is being answered.
    talking: HashSet<Uuid>,
}

#[derive(Default, Clone)]
struct InMemory(Arc<Mutex<Table>>);

impl shares::BudgetShares for InMemory {
    fn exchange(&self, told: Told) -> BoxFuture<'static, Result<Settled, SharesUnavailable>> {
        let table = Arc::clone(&self.0);
        Box::pin(async move {
            let (holder, delay) = (told.holder, lock(&table).delay);
            assert!(lock(&table).talking.insert(holder), "one after the other");
            tokio::time::sleep(Duration::from_millis(3) + delay).await;
            let mut table = lock(&table);
            table.talking.remove(&holder);
            table.exchange(told)
        })
    }
}

impl Table {
    fn exchange(&mut self, told: Told) -> Result<Settled, SharesUnavailable> {
        let now = Instant::now();
        if self.is_away {
            return Err(SharesUnavailable::Unreachable("away".into()));
        }
        let lease = self.leases.entry(told.holder).or_insert(now);
        if *lease + shares::GRACE < now {
            return Err(SharesUnavailable::LeaseLost);
        }
        *lease = now + told.lease;
        let leases = self.leases.clone();
        self.slices.retain(|(key, holder), _claim| {
            leases[holder] + key.span() >= now
                && (*holder != told.holder || told.budgets.iter().any(|(told, _)| told == key))
        });
        let mut settled = Settled::default();
        for (key, claim) in told.budgets {
            let others: Vec<Holding> = self
                .slices
                .iter()
                .filter(|((other, holder), _)| *other == key && *holder != told.holder)
                .map(|((_key, holder), claim)| Holding {
                    holder: *holder,
                    held: claim.held,
                    wants: claim.wants,
                    is_live: leases[holder] >= now,
                })
                .collect();
            let grant = settle(told.holder, claim, &others);
            let claim = Claim {
                held: grant.held,
                ..claim
            };
            self.slices.insert((key, told.holder), claim);
            settled.grants.push((key, grant));
        }
        for (key, left) in told.pauses {
            self.pauses.insert(key, now + left);
        }
        settled.pauses = self
            .pauses
            .iter()
            .map(|(key, until)| (*key, until.saturating_duration_since(now)))
            .collect();
        Ok(settled)
    }

    fn held(&self, key: BudgetKey) -> u32 {
        let rows = self.slices.iter().filter(|((other, _), _)| *other == key);
        rows.map(|(_, claim)| claim.held).sum()
    }
}

const UNITS: u32 = 640;

/// A process with its part in the talk.
struct Process {
    governor: Governor,
    stop: watch::Sender<bool>,
    talk: tokio::task::JoinHandle<()>,
    work: Vec<tokio::task::JoinHandle<()>>,
}

type Sent = Arc<Mutex<Vec<(Instant, u32)>>>;

impl Process {
    fn start(table: &InMemory) -> Self {
        let budgets = Budgets {
            requests: UNITS,
            ..Budgets::default()
        };
        let governor = Governor::sharing(APPLICATION.to_owned(), budgets, Arc::new(table.clone()));
        let (stop, stopped) = watch::channel(false);
        let talk = tokio::spawn(governor.clone().share(stopped));
        Self {
            governor,
            stop,
            talk,
            work: Vec::new(),
        }
    }

    /// Sends as fast as it may, or with pauses as the dice fall, for ever.
    fn work(&mut self, seed: u64, greedy: bool, sent: &Sent) {
        for line in 0..8_u64 {
            let (governor, sent) = (self.governor.clone(), Arc::clone(sent));
            let mut dice = Dice(seed * 1000 + line);
            let limiter = governor.limiter(tenant(line.into()), Workload::Outlook);
            self.work.push(tokio::spawn(async move {
                let meter = Meter::default();
                loop {
                    let requests = u32::try_from(1 + dice.below(10)).unwrap();
                    let cost = Cost {
                        units: requests,
                        requests,
                    };
                    let permit = governor.admit(&limiter, ASKER, cost, &meter).await;
                    lock(&sent).push((Instant::now(), requests));
                    tokio::time::sleep(Duration::from_millis(5 + dice.below(20))).await;
                    drop(permit);
                    if !greedy {
                        tokio::time::sleep(Duration::from_millis(dice.below(8000))).await;
                    }
                }
            }));
        }
    }

    fn kill(&mut self) {
        self.talk.abort();
        self.work.drain(..).for_each(|work| work.abort());
    }
}

/// The most that was sent in any span of ten seconds.
fn most_in_a_span(sent: &Sent) -> u32 {
    let mut sent = lock(sent).clone();
    sent.sort();
    let (mut sum, mut most, mut first) = (0, 0, 0);
    for (at, requests) in &sent {
        sum += requests;
        while *at - sent[first].0 >= SPAN {
            sum -= sent[first].1;
            first += 1;
        }
        most = most.max(sum);
    }
    most
}

fn sent_since(sent: &Sent, from: Instant) -> u32 {
    let sent = lock(sent);
    sent.iter()
        .filter(|(at, _)| *at >= from)
        .map(|(_, requests)| requests)
        .sum()
}

#[test]
fn shares_never_exceed_the_budget_whoever_comes_and_goes() {
    for seed in 0..500 {
        let mut dice = Dice(seed);
        let mut all: Vec<Holding> = Vec::new();
        for _ in 0..300 {
            match dice.below(10) {
                0 if all.len() < 29 => all.push(Holding {
                    holder: Uuid::from_u128(u128::from(dice.below(u64::MAX))),
                    held: 0,
                    wants: 1 + u32::try_from(dice.below(32)).unwrap(),
                    is_live: true,
                }),
                1 if !all.is_empty() => {
                    let gone = dice.index(all.len());
                    if all[gone].is_live {
                        all[gone].is_live = false
                    } else {
                        all.remove(gone);
                    }
                }
                _ if !all.is_empty() => {
                    let one = dice.index(all.len());
                    let me = all.remove(one);
                    let claim = Claim {
                        held: me.held,
                        wants: me.wants,
                    };
                    let grant = settle(me.holder, claim, &all);
                    assert!(grant.held >= me.held && grant.fair >= 1, "seed {seed}");
                    let held = if dice.below(2) == 0 {
                        grant.held.min(grant.fair)
                    } else {
                        grant.held
                    };
                    all.push(Holding {
                        held: if me.is_live { held } else { me.held },
                        ..me
                    });
                }
                _ => {}
            }
            let sum: u32 = all.iter().map(|one| one.held).sum();
            assert!(sum <= SLICES, "seed {seed}: {all:?}");
        }
    }
}

#[test]
fn shares_become_equal_and_what_one_does_not_want_the_others_get() {
    for wants in [
        vec![32, 32],
        vec![32, 32, 32],
        vec![2, 32],
        vec![1, 3, 32, 32],
    ] {
        let mut all: Vec<Holding> = (1..)
            .zip(&wants)
            .map(|(number, wants)| Holding {
                holder: Uuid::from_u128(number),
                held: 0,
                wants: *wants,
                is_live: true,
            })
            .collect();
        for _round in 0..10 {
            for _ in 0..all.len() {
                let me = all.remove(0);
                let grant = settle(
                    me.holder,
                    Claim {
                        held: me.held,
                        wants: me.wants,
                    },
                    &all,
                );
                all.push(Holding {
                    held: grant.held.min(grant.fair),
                    ..me
                });
            }
        }
        let held: Vec<u32> = all.iter().map(|one| one.held).collect();
        let content = wants.iter().filter(|wants| **wants < 8).sum::<u32>();
        for (held, wants) in held.iter().zip(&wants) {
            let rest = wants == &32;
            let equal = (29 - content)
                / u32::try_from(all.iter().filter(|one| one.wants == 32).count()).unwrap();
            if rest {
                assert!((equal..=equal + 1).contains(held), "{all:?}");
            } else {
                assert_eq!(held, wants, "{all:?}");
            }
        }
    }
    let newcomer = settle(
        Uuid::from_u128(2),
        Claim { held: 0, wants: 32 },
        &[Holding {
            holder: Uuid::from_u128(1),
            held: 29,
            wants: 32,
            is_live: true,
        }],
    );
    assert_eq!(newcomer, Grant { held: 1, fair: 14 });
}

#[tokio::test(start_paused = true)]
async fn two_processes_never_exceed_the_budget_in_any_span() {
    for seed in 0..30 {
        let mut dice = Dice(seed);
        let (table, sent) = (InMemory::default(), Sent::default());
        let mut first = Process::start(&table);
        first.work(seed, dice.below(2) == 0, &sent);
        tokio::time::sleep(Duration::from_millis(dice.below(15_000))).await;
        let mut second = Process::start(&table);
        second.work(seed + 500, dice.below(2) == 0, &sent);
        tokio::time::sleep(Duration::from_millis(dice.below(30_000))).await;
        // One of them dies, and another comes at some moment after.
        first.kill();
        tokio::time::sleep(Duration::from_millis(dice.below(20_000))).await;
        let mut third = Process::start(&table);
        third.work(seed + 900, true, &sent);
        tokio::time::sleep(Duration::from_secs(30)).await;
        third.stop.send(true).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        third.kill();
        tokio::time::sleep(Duration::from_secs(20)).await;
        second.kill();
        let most = most_in_a_span(&sent);
        assert!(most <= UNITS, "seed {seed}: {most}");
        assert!(
            most > UNITS / 3,
            "seed {seed}: {most} of {UNITS} is used, too"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn two_greedy_processes_use_the_budget_in_equal_parts() {
    let table = InMemory::default();
    let (one, other) = (Sent::default(), Sent::default());
    let mut first = Process::start(&table);
    first.work(1, true, &one);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let mut second = Process::start(&table);
    second.work(2, true, &other);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!lock(&other).is_empty(), "a newcomer begins at once");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let from = Instant::now();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let (one, other) = (sent_since(&one, from), sent_since(&other, from));
    assert!(one.abs_diff(other) * 5 < one + other, "{one} {other}");
    assert!(one + other > UNITS * 10 * 3 / 4, "{one} {other}");
    first.kill();
    second.kill();
}

#[tokio::test(start_paused = true)]
async fn r4_slices_of_a_killed_process_come_free_a_span_after_its_lease() {
    let table = InMemory::default();
    let (lost, sent) = (Sent::default(), Sent::default());
    let mut first = Process::start(&table);
    first.work(1, true, &lost);
    tokio::time::sleep(Duration::from_secs(5)).await;
    first.kill();
    let mut second = Process::start(&table);
    second.work(2, true, &sent);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let while_blocked = sent_since(&sent, Instant::now() - Duration::from_secs(4));
    assert!(
        (1..=UNITS * 3 / SLICES).contains(&while_blocked),
        "{while_blocked}"
    );
    tokio::time::sleep(LEASE + SPAN + Duration::from_secs(2)).await;
    assert!(lock(&table.0).held(BudgetKey::ALL_REQUESTS) >= 20);
    let from = Instant::now();
    tokio::time::sleep(SPAN * 3).await;
    assert!(sent_since(&sent, from) > UNITS * 3 * 3 / 4);
    second.kill();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_used_any_more_is_given_back() {
    let (table, sent) = (InMemory::default(), Sent::default());
    let mut process = Process::start(&table);
    process.work(1, true, &sent);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(lock(&table.0).held(BudgetKey::ALL_REQUESTS) > 0);
    process.work.drain(..).for_each(|work| work.abort());
    tokio::time::sleep(SPAN * 3).await;
    assert!(lock(&table.0).slices.is_empty());
    let before = lock(&sent).len();
    process.work(2, true, &sent);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        lock(&sent).len() > before,
        "and comes back when it is used again"
    );
    process.kill();
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_one_process_is_heard_by_the_others_within_a_second() {
    let table = InMemory::default();
    let (mut first, mut second) = (Process::start(&table), Process::start(&table));
    let limiter = |process: &Process| process.governor.limiter(tenant(1), Workload::Identity);
    for process in [&first, &second] {
        drop(
            process
                .governor
                .admit(&limiter(process), ASKER, Cost::of(1), &Meter::default())
                .await,
        );
    }
    let hour = Duration::from_secs(3600);
    first
        .governor
        .refused(&limiter(&first), Cost::of(1), hour, None);
    let whole = first.governor.limiter(tenant(9), Workload::Intune);
    first
        .governor
        .refused(&whole, Cost::of(1), hour, Some("Application/Read"));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(is_paused(&second.governor, &limiter(&second)).await);
    let other = second.governor.limiter(tenant(2), Workload::Intune);
    assert!(is_paused(&second.governor, &other).await);
    let free = second.governor.limiter(tenant(2), Workload::Outlook);
    drop(
        second
            .governor
            .admit(&free, ASKER, Cost::of(1), &Meter::default())
            .await,
    );
    first.kill();
    second.kill();
}

#[tokio::test(start_paused = true)]
async fn r21_without_the_database_a_process_goes_on_cautiously_and_comes_back() {
    let (table, sent) = (InMemory::default(), Sent::default());
    let mut process = Process::start(&table);
    process.work(1, true, &sent);
    tokio::time::sleep(Duration::from_secs(20)).await;
    lock(&table.0).is_away = true;
    tokio::time::sleep(LEASE + SPAN * 2).await;
    let from = Instant::now();
    tokio::time::sleep(SPAN * 5).await;
    let cautious = sent_since(&sent, from);
    assert!((1..=UNITS / 20 * 6).contains(&cautious), "{cautious}");
    // A budget that was not used before is begun cautiously, too.
    let limiter = process.governor.limiter(tenant(77), Workload::Security);
    drop(
        process
            .governor
            .admit(&limiter, ASKER, Cost::of(1), &Meter::default())
            .await,
    );
    lock(&table.0).is_away = false;
    tokio::time::sleep(SPAN).await;
    let from = Instant::now();
    tokio::time::sleep(SPAN * 2).await;
    assert!(sent_since(&sent, from) > UNITS * 3 / 2);
    process.kill();
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_gives_back_what_it_did_not_spend() {
    let (table, sent) = (InMemory::default(), Sent::default());
    let mut process = Process::start(&table);
    process.work(1, false, &sent);
    tokio::time::sleep(Duration::from_secs(12)).await;
    process.work.drain(..).for_each(|work| work.abort());
    process.stop.send(true).unwrap();
    (&mut process.talk).await.unwrap();
    let held = lock(&table.0).held(BudgetKey::ALL_REQUESTS);
    let spent = sent_since(&sent, Instant::now() - SPAN);
    assert!(
        held * UNITS / SLICES <= spent + UNITS / SLICES * 2,
        "{held} {spent}"
    );
    // What still ends is sent all the same.
    let limiter = process.governor.limiter(tenant(77), Workload::Security);
    drop(
        process
            .governor
            .admit(&limiter, ASKER, Cost::of(1), &Meter::default())
            .await,
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_not_overtaken_by_the_next() {
    let (table, sent) = (InMemory::default(), Sent::default());
    let mut process = Process::start(&table);
    process.work(1, true, &sent);
    tokio::time::sleep(SPAN).await;
    lock(&table.0).delay = LEASE + Duration::from_secs(1);
    tokio::time::sleep(SPAN * 2).await;
    // What is begun meanwhile is begun cautiously.
    let limiter = process.governor.limiter(tenant(77), Workload::Security);
    assert!(!is_paused(&process.governor, &limiter).await);
    lock(&table.0).delay = Duration::ZERO;
    tokio::time::sleep(SPAN).await;
    let [requests, _units] = process.governor.slices();
    assert!(requests.1 >= SLICES - 3);
    assert!(most_in_a_span(&sent) <= UNITS);
    process.kill();
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_waited_for_stays_until_the_others_have_come() {
    let budget = Budgets::default().of_tenant(Workload::Security).unwrap();
    let mut window = Window::new(budget, Share::None);
    let mut now = Instant::now();
    assert!(window.lacks_share(false, now));
    let grant = shares::Grant { held: 1, fair: 1 };
    window.granted(grant, now + LEASE, now);
    // Whoever waits needs another budget's share too, and asks again each time that something came.
    for _ in 0..100 {
        now += Duration::from_secs(1);
        assert!(
            window.claim(now).is_some(),
            "given back while it was waited for"
        );
        assert!(!window.lacks_share(false, now));
    }
    assert_eq!(
        window.claim(now + budget.span * 2),
        None,
        "nobody waits any more"
    );
}

#[test]
fn one_slice_of_a_small_budget_is_good_for_a_request() {
    let budget = Budgets::default()
        .of_tenant(Workload::MailboxUsageReport)
        .unwrap();
    let mut window = Window::new(budget, Share::None);
    let now = Instant::now();
    assert!(window.lacks_share(false, now));
    window.granted(shares::Grant { held: 1, fair: 1 }, now + LEASE, now);
    assert_eq!(window.limit(now), 1);
    assert_eq!(window.wait(1, now), None);
}
