//! Who is served where a budget of all tenants is short.

use std::collections::BTreeMap;

use super::*;

/// A governor whose whole application may send so many requests in ten seconds.
fn short(requests: u32) -> Governor {
    let budgets = Budgets {
        requests,
        ..Budgets::default()
    };
    Governor::alone(APPLICATION.to_owned(), budgets)
}

type Sent = Arc<Mutex<Vec<(u128, u128)>>>;

/// Has a tenant send so many requests, as many at a time as it may; they are noted in `sent`.
fn send(governor: &Governor, (org_no, tenant_no): (u128, u128), count: usize, sent: &Sent) {
    let limiter = governor.limiter(tenant(tenant_no), Workload::Outlook);
    for _ in 0..count {
        let (governor, limiter, sent) = (governor.clone(), Arc::clone(&limiter), Arc::clone(sent));
        let asker = Asker {
            org: org(org_no),
            ..ASKER
        };
        tokio::spawn(async move {
            let meter = Meter::default();
            let permit = governor.admit(&limiter, asker, Cost::of(1), &meter).await;
            lock(&sent).push((org_no, tenant_no));
            drop(permit);
        });
    }
}

async fn until_sent(sent: &Sent, count: usize) -> Vec<(u128, u128)> {
    for _ in 0..10_000 {
        if lock(sent).len() >= count {
            return lock(sent).clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} of {count} sent", lock(sent).len());
}

fn count_by<K: Ord>(sent: &[(u128, u128)], key: impl Fn(&(u128, u128)) -> K) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for one in sent {
        *counts.entry(key(one)).or_insert(0) += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn r26_organizations_then_tenants_take_turns_at_the_budget_of_the_application() {
    let governor = short(32);
    let sent = Sent::default();
    // The first organisation has twenty tenants with plenty to ask, and begins; the second has five.
    for tenant_no in 0..20 {
        send(&governor, (1, tenant_no), 300, &sent);
    }
    until_sent(&sent, 30).await;
    for tenant_no in 100..105 {
        send(&governor, (2, tenant_no), 12, &sent);
    }
    let all = until_sent(&sent, 150).await;
    let contested = &all[30..150];
    let by_org = count_by(contested, |(org, _tenant)| *org);
    assert_eq!(by_org[&2], 60, "half of each ten seconds: {by_org:?}");
    let by_tenant = count_by(contested, |(_org, tenant)| *tenant);
    assert!(
        (0..20).all(|tenant_no| by_tenant[&tenant_no] == 3),
        "{by_tenant:?}"
    );
    assert!(
        (100..105).all(|tenant_no| by_tenant[&tenant_no] == 12),
        "{by_tenant:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_person_waits_for_goes_first() {
    let governor = short(32);
    let sent = Sent::default();
    for tenant_no in 0..20 {
        send(&governor, (1, tenant_no), 50, &sent);
    }
    until_sent(&sent, 30).await;
    let limiter = governor.limiter(tenant(100), Workload::Outlook);
    let asker = Asker {
        org: org(1),
        priority: Priority::Normal,
    };
    let before = lock(&sent).len();
    drop(
        governor
            .admit(&limiter, asker, Cost::of(1), &Meter::default())
            .await,
    );
    let after = lock(&sent).len();
    assert!(
        after - before <= 30,
        "{before} {after}: it went with the next that could"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dear_request_is_not_passed_by_cheap_ones_for_ever() {
    let governor = short(40);
    let sent = Sent::default();
    for tenant_no in 0..10 {
        send(&governor, (1, tenant_no), 400, &sent);
    }
    until_sent(&sent, 40).await;
    let limiter = governor.limiter(tenant(100), Workload::Outlook);
    let batch = Cost {
        units: 20,
        requests: 20,
    };
    let asker = Asker {
        org: org(2),
        ..ASKER
    };
    let began = Instant::now();
    drop(
        governor
            .admit(&limiter, asker, batch, &Meter::default())
            .await,
    );
    assert!(began.elapsed() < SPAN * 3, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_batch_counts_its_items() {
    let governor = short(107);
    let limiter = governor.limiter(tenant(1), Workload::Outlook);
    let batch = Cost {
        units: 20,
        requests: 20,
    };
    let began = Instant::now();
    for _ in 0..10 {
        drop(
            governor
                .admit(&limiter, ASKER, batch, &Meter::default())
                .await,
        );
    }
    assert!(
        (SPAN..SPAN * 2).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_paused_holds_nobody_up() {
    let governor = short(1000);
    let paused = governor.limiter(tenant(1), Workload::Outlook);
    governor.refused(&paused, Cost::of(1), Duration::from_secs(3600), None);
    let sent = Sent::default();
    send(&governor, (1, 1), 20, &sent);
    send(&governor, (1, 2), 20, &sent);
    let all = until_sent(&sent, 20).await;
    assert!(all.iter().all(|(_org, tenant)| *tenant == 2));
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_takes_nothing_along() {
    let governor = short(10);
    let sent = Sent::default();
    send(&governor, (1, 1), 10, &sent);
    until_sent(&sent, 10).await;
    let limiter = governor.limiter(tenant(2), Workload::Outlook);
    for _ in 0..50 {
        let meter = Meter::default();
        let admitted = governor.admit(&limiter, ASKER, Cost::of(1), &meter);
        assert!(
            tokio::time::timeout(Duration::from_millis(1), admitted)
                .await
                .is_err()
        );
    }
    let began = Instant::now();
    send(&governor, (1, 3), 10, &sent);
    until_sent(&sent, 20).await;
    assert!(began.elapsed() < SPAN * 2, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn background_work_leaves_something_for_people() {
    let governor = short(160);
    let sent = Sent::default();
    for tenant_no in 0..50 {
        send(&governor, (1, tenant_no), 50, &sent);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(lock(&sent).len(), 150);
    let limiter = governor.limiter(tenant(100), Workload::Outlook);
    let began = Instant::now();
    let asker = Asker {
        org: org(1),
        priority: Priority::Normal,
    };
    for _ in 0..10 {
        let meter = Meter::default();
        drop(governor.admit(&limiter, asker, Cost::of(1), &meter).await);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}
