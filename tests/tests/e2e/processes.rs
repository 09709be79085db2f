//! Several processes on one PostgreSQL: what happens when one of them, or its way to the database, is
//! gone. A SQLite file serves one process.

use std::time::{Duration, Instant};

use serde_json::Value;
use tenantry_tests::{
    app::{Caller, PATIENCE, TestApp, data_set},
    database::{Backend, Raw},
    fake_microsoft::{
        faults::{Fault, FaultRule},
        seed::TenantSeed,
        state::Tenant,
    },
    process::Process,
    proxy::{Proxy, Wire},
    truth,
};

use crate::flow;

const TOKEN: &str = "metrics-token-0123456789abcdef0123";

/// A lease lasts so long.
const LEASE: Duration = Duration::from_secs(15);

fn seed(name: &str, users: usize) -> TenantSeed {
    flow::seed(name).users(users)
}

/// An installation whose first process serves the API alone.
async fn installation() -> TestApp {
    let mut app =
        TestApp::start_with(Backend::Postgres, &[("TENANTRY_METRICS_TOKEN", TOKEN)]).await;
    app.stop().await;
    app.serve_as("api").await;
    app
}

/// How many requests to Microsoft Graph a process has sent that were answered in this way.
async fn calls(app: &TestApp, process: &Process, outcome: &str) -> f64 {
    let operator = app.owner_at(process).with_key(Some(TOKEN));
    let text = operator.get("//metrics").await.expect(200).text;
    let outcome = format!("outcome=\"{outcome}\"");
    let is_wanted = |line: &&str| {
        line.starts_with("tenantry_upstream_requests_total{")
            && line.contains("upstream=\"graph\"")
            && line.contains(&outcome)
    };
    let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
    text.lines().filter(is_wanted).map(value).sum()
}

/// Waits until something holds.
async fn until(what: &str, patience: Duration, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < patience, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How often the work on a tenant was claimed; 0 when there is none.
fn fence(raw: &Raw, tenant: &Tenant) -> i64 {
    let lines = raw.lines(&format!(
        "SELECT fence::text AS line FROM work_items WHERE tenant_id = {} AND kind = 'sync'",
        raw.uuid(tenant.id)
    ));
    lines.first().map_or(0, |line| line.parse().unwrap())
}

/// Everything that is stored of a tenant's inventory, in an order.
fn inventory(raw: &Raw, tenant: &Tenant) -> Vec<String> {
    let tenant = raw.uuid(tenant.id);
    let mut all = Vec::new();
    for table in [
        "inventory_objects",
        "group_members",
        "sync_run_data_sets",
        "tenant_status",
    ] {
        all.extend(raw.lines(&format!(
            "SELECT {table}::text AS line FROM {table} WHERE tenant_id = {tenant} ORDER BY 1"
        )));
    }
    all
}

fn has_read(status: &Value, name: &str, least: i64) -> bool {
    !status["run"].is_null()
        && data_set(status, name)["processed"]
            .as_i64()
            .is_some_and(|read| read >= least)
}

/// Brings a tenant to the point where its run is under way and every further page waits.
async fn halfway(app: &TestApp, tenant: &Tenant, users: i64) {
    app.microsoft.cloud().hold("skiptoken");
    app.onboard(tenant).await;
    let begun = |status: &Value| has_read(status, "users", users) && has_read(status, "devices", 1);
    app.owner
        .wait_for_status(tenant.id, "the first pages", begun)
        .await;
}

async fn completed(caller: &Caller, tenant: &Tenant) {
    let status = caller.wait_for_run(tenant.id).await;
    assert_eq!(status["run"]["state"], "completed", "{status:#}");
    truth::assert_equal(caller, tenant).await;
}

/// A test with real processes on PostgreSQL.
macro_rules! on_postgres {
    ($(async fn $name:ident() $body:block)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            Box::pin(async $body).await;
        })+
    };
}

on_postgres! {
    async fn r31_a_killed_workers_run_goes_on_elsewhere_within_two_leases() {
        let app = installation().await;
        let tenant = app.microsoft.add_tenant(seed("Killed", 20_000));
        let workers = [app.start_process("worker", &[]).await, app.start_process("worker", &[]).await];
        halfway(&app, &tenant, 5_000).await;
        let [first, second] = workers;
        let (killed, other) = if calls(&app, &first, "ok").await > 0.0 { (first, second) } else { (second, first) };
        assert_eq!(calls(&app, &other, "ok").await, 0.0, "one worker has the whole run");
        let raw = app.database.raw();
        assert_eq!(fence(&raw, &tenant), 1);
        drop(killed);
        let begun = Instant::now();
        app.microsoft.cloud().release();
        until("the other worker", 2 * LEASE, async || fence(&raw, &tenant) == 2).await;
        assert!(begun.elapsed() < 2 * LEASE);
        completed(&app.owner, &tenant).await;
        truth::assert_memberships_equal(&raw, &tenant);
        assert!(calls(&app, &other, "ok").await > 0.0);
        // It went on where it was: what was stored was not asked for again.
        let log = app.microsoft.cloud().requests();
        for (start, times) in [("/v1.0/users/delta?", 1), ("/v1.0/organization", 2), ("/v1.0/deviceManagement/managedDevices?", 1)] {
            let first = |path: &str| path.starts_with(start) && !path.contains("skiptoken");
            let asked = log.iter().filter(|request| first(&request.path_and_query)).count();
            assert_eq!(asked, times, "{start}; the proof asks for the organization, too");
        }
        let unended = raw.count("work_items WHERE lease_until < now()");
        assert_eq!(unended, 0, "nothing is left behind");
    }

    async fn r4_a_worker_that_stood_still_past_its_lease_writes_nothing() {
        let app = installation().await;
        let tenant = app.microsoft.add_tenant(seed("Stalled", 2_500));
        // It stops with a page in its hands, right before the transaction that would store it.
        let stop = ("TENANTRY_FAILPOINTS", "sync.before_page_commit=stop@4");
        let stalled = app.start_process("worker", &[stop]).await;
        app.onboard(&tenant).await;
        stalled.wait_until_stopped().await;
        let other = app.start_process("worker", &[]).await;
        completed(&app.owner, &tenant).await;
        let before = inventory(&app.database.raw(), &tenant);
        drop(other);
        stalled.signal("CONT");
        // It is well: it does what comes next.
        let next = app.microsoft.add_tenant(seed("Next", 20));
        app.onboard(&next).await;
        completed(&app.owner, &next).await;
        assert_eq!(inventory(&app.database.raw(), &tenant), before);
    }

    async fn r4_a_worker_that_stood_still_in_a_transaction_holds_nobody_up() {
        let app = installation().await;
        let tenant = app.microsoft.add_tenant(seed("Locked", 2_500));
        let stop = ("TENANTRY_FAILPOINTS", "sync.inside_page_commit=stop@4");
        let stalled = app.start_process("worker", &[stop]).await;
        app.onboard(&tenant).await;
        stalled.wait_until_stopped().await;
        let other = app.start_process("worker", &[]).await;
        completed(&app.owner, &tenant).await;
        let before = inventory(&app.database.raw(), &tenant);
        drop(other);
        stalled.signal("CONT");
        let next = app.microsoft.add_tenant(seed("Next", 20));
        app.onboard(&next).await;
        completed(&app.owner, &next).await;
        assert_eq!(inventory(&app.database.raw(), &tenant), before);
    }

    async fn r5_a_worker_without_its_database_stops_before_its_lease_ends_elsewhere() {
        let app = installation().await;
        let tenant = app.microsoft.add_tenant(seed("Cut", 300));
        let cloud = app.microsoft.cloud();
        // Microsoft is down for one data set: whoever has the run asks again and again.
        cloud.faults.script(FaultRule {
            tenant: Some(tenant.id),
            times: 10_000,
            ..FaultRule::once("graph", "/secureScores", Fault::Status { status: 429, retry_after: Some("1".into()), body: None })
        });
        let proxy = Proxy::start(&app.database.url()).await;
        let url = proxy.url_of(&app.database.url());
        let cut = app.start_process("worker", &[("TENANTRY_DATABASE_URL", &url)]).await;
        app.onboard(&tenant).await;
        let asked = async || calls(&app, &cut, "throttled").await;
        until("requests", PATIENCE, async || asked().await >= 2.0).await;
        let other = app.start_process("worker", &[]).await;
        proxy.set(Wire::Silent);
        let before = asked().await;
        until("requests without a database", PATIENCE, async || asked().await > before).await;
        let raw = app.database.raw();
        until("the other worker", 2 * LEASE, async || fence(&raw, &tenant) == 2).await;
        let at_the_end = asked().await;
        cut.wait_for_log("work is left alone").await;
        // The other one is at it, and this one is not.
        until("the other's requests", PATIENCE, async || {
            calls(&app, &other, "throttled").await >= 5.0
        }).await;
        assert_eq!(asked().await, at_the_end, "no request after the work was another's");
        cloud.faults.clear();
        completed(&app.owner, &tenant).await;
        let before = inventory(&raw, &tenant);
        proxy.set(Wire::Open);
        drop(other);
        let next = app.microsoft.add_tenant(seed("Next", 20));
        app.onboard(&next).await;
        completed(&app.owner, &next).await;
        assert_eq!(inventory(&raw, &tenant), before);
    }
}
