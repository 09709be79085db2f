//! Budgets, pauses and places, with time as a value.

use super::*;

const SPAN: Duration = Duration::from_secs(10);

fn window(units: u32) -> Window {
    let slots = VecDeque::new();
    Window {
        span: SPAN,
        documented: units,
        allowed: units,
        used: 0,
        slots,
        learned_at: None,
    }
}

fn state(workload: Workload) -> State {
    Limiter::new(workload).state.into_inner().unwrap()
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
    assert_eq!(
        Workload::Identity.budget(),
        Some(Budget {
            units: 3500,
            span: SPAN
        })
    );
    assert_eq!(
        Workload::MailboxUsageReport.budget(),
        Some(Budget {
            units: 14,
            span: Duration::from_secs(600)
        })
    );
    assert_eq!(
        (
            Workload::Security.concurrency(),
            Workload::Outlook.concurrency()
        ),
        (4, 4)
    );
    assert_eq!(
        [
            identity_units(0),
            identity_units(50),
            identity_units(500),
            identity_units(501)
        ],
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

#[tokio::test]
async fn places_follow_the_wanted_concurrency() {
    let throttle = Throttle::default();
    let tenant = TenantId::from_uuid(uuid::Uuid::from_u128(1));
    let limiter = throttle.limiter(tenant, Workload::Other);
    let meter = Meter::default();
    let mut permits = Vec::new();
    for _ in 0..8 {
        permits.push(throttle.admit(&limiter, 1, &meter).await);
    }
    assert_eq!(limiter.places.available_permits(), 0);
    lock(&limiter.state).wanted_places = 2;
    permits.clear();
    assert_eq!(limiter.places.available_permits(), 2);
    for wanted in 3..=8 {
        lock(&limiter.state).wanted_places = wanted;
        drop(throttle.admit(&limiter, 1, &meter).await);
        assert_eq!(limiter.places.available_permits(), wanted);
    }
}

#[tokio::test]
async fn tenants_and_workloads_do_not_share_but_an_application_does() {
    let throttle = Throttle::default();
    let tenant = |number| TenantId::from_uuid(uuid::Uuid::from_u128(number));
    let meter = Meter::default();
    let first = throttle.limiter(tenant(1), Workload::Intune);
    let hour = Duration::from_secs(3600);
    throttle.refused(&first, 1, hour, Some("Tenant_Application/Read/a/b"));
    assert!(Arc::ptr_eq(
        &first,
        &throttle.limiter(tenant(1), Workload::Intune)
    ));
    assert!(first.paused_until().is_some());
    // Admitted at once, or this test would not end.
    drop(
        throttle
            .admit(&throttle.limiter(tenant(2), Workload::Intune), 1, &meter)
            .await,
    );
    drop(
        throttle
            .admit(&throttle.limiter(tenant(1), Workload::Outlook), 1, &meter)
            .await,
    );
    assert_eq!(throttle.application_pause(Workload::Intune), None);
    throttle.refused(&first, 1, hour, Some("Application/ReadWrite/a"));
    assert!(throttle.application_pause(Workload::Intune).is_some());
    assert_eq!(throttle.application_pause(Workload::Outlook), None);
}
