//! Budgets, pauses and places, with time as a value; fairness and sharing, with time that tests move.

mod fairness;
mod sharing;

use super::{window::Window, workload::Budget, *};
use crate::microsoft::throttle::limiter::State;

const SPAN: Duration = Duration::from_secs(10);
const APPLICATION: &str = "5c0f8a9e-2b1d-4c3e-9f60-7a8b9c0d1e2f";

fn window(units: u32) -> Window {
    Window::new(Budget { units, span: SPAN }, Share::Whole)
}

fn state(workload: Workload) -> State {
    let limiter = Limiter::new(tenant(1), workload, &Budgets::default(), Share::Whole);
    limiter.state.into_inner().unwrap()
}

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(uuid::Uuid::from_u128(number))
}

fn org(number: u128) -> OrgId {
    OrgId::from_uuid(uuid::Uuid::from_u128(number))
}

fn governor() -> Governor {
    Governor::alone(APPLICATION.to_owned(), Budgets::default())
}

const ASKER: Asker = Asker {
    org: OrgId::from_uuid(uuid::Uuid::nil()),
    priority: Priority::Low,
};

impl Window {
    /// Spends the units, or says when to ask again.
    fn book(&mut self, units: u32, now: Instant) -> Option<Instant> {
        let wait = self.wait(units, now);
        if wait.is_none() {
            self.take(units, now);
        }
        wait
    }
}

/// Sends units of one as fast as the window allows and returns when each went.
fn run(window: &mut Window, from: Instant, count: usize) -> Vec<Instant> {
    let mut now = from;
    let mut sent = Vec::new();
    while sent.len() < count {
        match window.book(1, now) {
            None => sent.push(now),
            Some(until) => {
                assert!(until > now, "waits must move on");
                now = until;
            }
        }
    }
    sent
}

#[test]
fn no_span_ever_sees_more_than_the_budget() {
    let sent = run(&mut window(100), Instant::now(), 450);
    for (index, at) in sent.iter().enumerate() {
        let within = sent[index..]
            .iter()
            .take_while(|later| later.duration_since(*at) < SPAN)
            .count();
        assert!(within <= 100);
    }
    let took = sent[449].duration_since(sent[0]);
    assert!(
        took < SPAN.mul_f64(4.1),
        "{took:?}: the budget is used, too"
    );
}

#[test]
fn a_refusal_teaches_and_quiet_spans_give_back() {
    let start = Instant::now();
    let mut window = window(1000);
    for _ in 0..400 {
        assert_eq!(window.book(1, start), None);
    }
    window.learn(2, start);
    assert_eq!(window.allowed, 379);
    let mut now = start;
    for _ in 0..2 {
        now += SPAN * 2;
        window.book(1, now);
    }
    assert_eq!(window.allowed, 429);
    for _ in 0..50 {
        now += SPAN * 3;
        window.book(1, now);
    }
    assert_eq!((window.allowed, window.learned_at), (1000, None));
    window.learn(1, now);
    assert_eq!(window.allowed, 100, "never below a tenth");
}

#[test]
fn what_a_request_really_cost_is_what_counts() {
    let now = Instant::now();
    let mut window = window(10);
    window.book(1, now);
    window.correct(1, 8);
    assert_eq!(window.used, 8);
    assert!(window.book(3, now).is_some());
    window.correct(8, 1);
    assert_eq!(window.used, 1);
    assert_eq!(window.book(3, now), None);
    window.forget_old(now + SPAN * 2);
    assert_eq!(window.used, 0);
}

#[test]
fn something_dearer_than_the_budget_is_sent_alone() {
    let now = Instant::now();
    let mut window = window(10);
    assert_eq!(window.book(50, now), None);
    assert!(window.book(1, now).is_some());
    assert!(window.book(50, now + SPAN * 2).is_none());
}

#[test]
fn budgets_are_microsofts_and_grow_with_the_tenant() {
    let budgets = Budgets::default();
    let of = |workload| {
        let budget = budgets.of_tenant(workload)?;
        Some((budget.units, budget.span.as_secs()))
    };
    assert_eq!(
        Workload::ALL.map(of),
        [
            Some((3500, 10)),
            Some((2000, 20)),
            Some((150, 60)),
            Some((14, 600)),
            None,
            None
        ]
    );
    let (requests, identity) = (budgets.all_requests(), budgets.all_identity());
    assert_eq!((requests.units, requests.span.as_secs()), (130_000, 10));
    assert_eq!((identity.units, identity.span.as_secs()), (150_000, 20));
    assert_eq!(
        (
            Workload::Security.concurrency(),
            Workload::Outlook.concurrency()
        ),
        (4, 4)
    );
    assert_eq!(
        [0, 50, 500, 501].map(|users| budgets.identity_units(users)),
        [3500, 5000, 5000, 8000]
    );
    let mut state = state(Workload::Identity);
    state.set_documented(8000);
    assert_eq!(state.window.as_ref().unwrap().allowed, 8000);
    state.window.as_mut().unwrap().learn(0, Instant::now());
    state.set_documented(3500);
    assert_eq!(
        state.window.as_ref().unwrap().allowed,
        800,
        "what was learned stays"
    );
}

#[test]
fn concurrency_halves_at_once_and_returns_slowly() {
    let mut state = state(Workload::Identity);
    let mut now = state.changed_places_at + Duration::from_secs(60);
    state.adjust_concurrency(true, 8, now);
    state.adjust_concurrency(true, 8, now);
    assert_eq!(state.wanted_places, 4, "one burst of refusals counts once");
    for _ in 0..5 {
        now += Duration::from_secs(2);
        state.adjust_concurrency(true, 8, now);
    }
    assert_eq!(state.wanted_places, 1);
    for _ in 0..20 {
        now += Duration::from_secs(5);
        state.adjust_concurrency(false, 8, now);
    }
    assert_eq!(state.wanted_places, 8);
}

/// Has a window send as fast as it may into Microsoft's bucket, which holds `size` and fills in a span,
/// for so many seconds: what was granted and what was refused.
fn fill(window: &mut Window, size: f64, from: Instant, seconds: u32) -> (u32, u32) {
    let (mut available, mut granted, mut refused) = (size, 0, 0);
    for step in 0..seconds * 100 {
        let now = from + Duration::from_millis(10) * step;
        available = (available + size / SPAN.as_secs_f64() / 100.0).min(size);
        if window.book(2, now).is_some() {
            continue;
        }
        if available < 2.0 {
            refused += 1;
            continue;
        }
        available -= 2.0;
        granted += 2;
        match 1.0 - available / size {
            pressure if pressure >= PRESSURE => window.ease(pressure, now),
            _ => window.relax(now),
        }
    }
    (granted, refused)
}

#[test]
fn a_limit_that_is_near_slows_down_before_it_is_reached() {
    // We believe it were five times as large as it is.
    let (granted, refused) = fill(&mut window(2000), 400.0, Instant::now(), 60);
    assert_eq!(refused, 0);
    // The bucket and what flowed in.
    assert!(
        f64::from(granted) > (400.0 + 400.0 * 6.0) * 0.8,
        "{granted}"
    );
}

#[test]
fn a_limit_that_others_use_up_slows_us_down_only_while_they_do() {
    let start = Instant::now();
    let mut window = window(1000);
    for second in 0..60 {
        let now = start + Duration::from_secs(second);
        window.book(5, now);
        window.ease(0.95, now);
    }
    assert_eq!(window.allowed, 1000, "nothing is learned from it");
    let pace = window.pace.unwrap();
    assert!(
        (10.0..=10.1).contains(&pace.rate),
        "a tenth at least: {pace:?}"
    );
    for second in 60..75 {
        window.relax(start + Duration::from_secs(second));
    }
    assert_eq!(window.pace, None);
}

/// Admits a request of one unit, which this must be possible at once.
async fn admitted_at_once(governor: &Governor, limiter: &Arc<Limiter>) -> Permit {
    let meter = Meter::default();
    let admitted = governor.admit(limiter, ASKER, Cost::of(1), &meter);
    let permit = tokio::time::timeout(Duration::from_millis(1), admitted).await;
    permit.expect("nothing stands in the way")
}

async fn is_paused(governor: &Governor, limiter: &Arc<Limiter>) -> bool {
    let meter = Meter::default();
    let admitted = governor.admit(limiter, ASKER, Cost::of(1), &meter);
    tokio::time::timeout(Duration::from_secs(60), admitted)
        .await
        .is_err()
}

#[tokio::test(start_paused = true)]
async fn places_follow_the_wanted_concurrency() {
    let governor = governor();
    let limiter = governor.limiter(tenant(1), Workload::Other);
    let mut permits = Vec::new();
    for _ in 0..8 {
        permits.push(admitted_at_once(&governor, &limiter).await);
    }
    assert_eq!(limiter.places.available_permits(), 0);
    lock(&limiter.state).wanted_places = 2;
    permits.clear();
    assert_eq!(limiter.places.available_permits(), 2);
    for wanted in 3..=8 {
        lock(&limiter.state).wanted_places = wanted;
        drop(admitted_at_once(&governor, &limiter).await);
        assert_eq!(limiter.places.available_permits(), wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_and_workloads_do_not_share_but_an_application_does() {
    let governor = governor();
    let first = governor.limiter(tenant(1), Workload::Intune);
    let hour = Duration::from_secs(3600);
    let own = Some("Tenant_Application/Read/a/b");
    governor.refused(&first, Cost::of(1), hour, own);
    assert!(Arc::ptr_eq(
        &first,
        &governor.limiter(tenant(1), Workload::Intune)
    ));
    assert!(is_paused(&governor, &first).await);
    let second = governor.limiter(tenant(2), Workload::Intune);
    let outlook = governor.limiter(tenant(1), Workload::Outlook);
    drop(admitted_at_once(&governor, &second).await);
    drop(admitted_at_once(&governor, &outlook).await);
    governor.refused(&first, Cost::of(1), hour, Some("Application/ReadWrite"));
    assert!(is_paused(&governor, &second).await);
    drop(admitted_at_once(&governor, &outlook).await);
    tokio::time::advance(hour).await;
    drop(
        governor
            .admit(&second, ASKER, Cost::of(1), &Meter::default())
            .await,
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_whole_tenant_pauses_but_teaches_nothing_about_ours() {
    let governor = governor();
    let limiter = governor.limiter(tenant(1), Workload::Identity);
    let wait = Duration::from_secs(10);
    governor.refused(&limiter, Cost::of(1), wait, Some("Tenant/ReadWrite/a/b"));
    assert!(limiter.paused_until().is_some());
    let allowed = |limiter: &Limiter| lock(&limiter.state).window.as_ref().unwrap().allowed;
    assert_eq!(allowed(&limiter), 3500);
    governor.refused(&limiter, Cost::of(1), wait, None);
    tokio::time::advance(wait * 2).await;
    governor.refused(&limiter, Cost::of(1), wait, None);
    assert_eq!(allowed(&limiter), 350);
}

#[tokio::test(start_paused = true)]
async fn places_halve_from_four_fifths_of_the_limit_on() {
    let governor = governor();
    let limiter = governor.limiter(tenant(1), Workload::Other);
    for (pressure, places) in [(0.79, 8), (0.8, 4), (1.2, 2)] {
        tokio::time::advance(Duration::from_secs(2)).await;
        let mut permit = admitted_at_once(&governor, &limiter).await;
        permit.answered(None, Some(pressure));
        drop(permit);
        assert_eq!(lock(&limiter.state).wanted_places, places, "{pressure}");
    }
}
