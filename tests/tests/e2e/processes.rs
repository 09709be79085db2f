//! Several processes on one PostgreSQL: what happens when one of them, or its way to the database, is
//! gone. A SQLite file serves one process.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tenantry_tests::{
    app::{Caller, PATIENCE, TestApp, data_set},
    database::{Backend, Raw},
    fake_microsoft::{
        faults::{Fault, FaultRule},
        login::{self, RefreshRotation},
        seed::TenantSeed,
        state::Tenant,
    },
    process::Process,
    proxy::{Proxy, Wire},
    truth,
};
use url::Url;
use uuid::Uuid;

use crate::{event_reader::EventReader, flow};

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
    async fn v14_two_workers_share_a_refresh_token_that_works_once() {
        let app = installation().await;
        let cloud = app.microsoft.cloud();
        login::set_refresh_rotation(&cloud, RefreshRotation::Strict);
        let tenant = app.microsoft.add_tenant(seed("Shared", 30));
        let _workers = [app.start_process("worker", &[]).await, app.start_process("worker", &[]).await];
        let customer = app.owner.create_customer("Shared").await;
        let body = json!({"customerId": customer, "tenant": tenant.domains[0], "connectionType": "delegated"});
        let started = app.owner.post("/tenants/connect", &body).await.expect(201).json();
        let page = flow::walk(flow::text(&started, "authorizationUrl")).await;
        assert!(page.text().contains("is connected to"), "{}", page.text());
        app.owner.wait_for_run(tenant.id).await;
        // After each run a pass of its own asks for the kinds of mailboxes: two pieces of work for the two.
        for _ in 0..6 {
            app.advance_seconds(2 * 3_600);
            let status = app.owner.sync(tenant.id, "full").await;
            assert_eq!((&status["status"], &status["run"]["state"]), (&json!("connected"), &json!("completed")), "{status:#}");
        }
        let requests = cloud.requests();
        let exchanges = requests.iter().filter(|request| {
            request.form.as_deref().is_some_and(|form| form.contains("grant_type=refresh_token"))
        });
        let answers: Vec<u16> = exchanges.map(|request| request.status).collect();
        assert!(answers.len() >= 7 && answers.iter().all(|status| *status == 200), "{answers:?}");
        assert_eq!(login::live_refresh_tokens(&cloud, tenant.id), 1);
    }

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

    async fn r21_processes_outlive_a_database_that_goes_away() {
        let mut app = installation().await;
        let proxy = Proxy::start(&app.database.url()).await;
        let url = proxy.url_of(&app.database.url());
        app.set("TENANTRY_DATABASE_URL", &url);
        app.stop().await;
        app.serve_as("api").await;
        let mut worker = app.start_process("worker", &[]).await;
        let tenant = app.microsoft.add_tenant(seed("Away", 2_500));
        halfway(&app, &tenant, 1).await;
        let mut events = EventReader::open(&app.owner, "/tenants/events").await;

        proxy.set(Wire::Refused);
        until("a problem", PATIENCE, async || app.owner.get("/customers").await.status == 503).await;
        let problem = app.owner.get("/customers").await.expect_problem(503, "databaseUnavailable");
        assert_eq!(problem["retryable"], true);
        app.owner.get(&format!("/tenants/{}/sync-status", tenant.id)).await.expect_problem(503, "databaseUnavailable");
        app.owner.get("//readyz").await.expect(503);
        app.owner_at(&worker).get("//readyz").await.expect(503);
        app.owner.get("//healthz").await.expect(200);
        app.microsoft.cloud().release();
        // It cannot store what comes, gives the work up, and its lease runs out.
        worker.wait_for_log("its lease runs out").await;
        let raw = app.database.raw();
        until("the end of the lease", 2 * LEASE, async || raw.count("work_items WHERE lease_until < now()") == 1).await;

        proxy.set(Wire::Open);
        until("the API", PATIENCE, async || app.owner.get("//readyz").await.status == 200).await;
        completed(&app.owner, &tenant).await;
        app.owner_at(&worker).get("//readyz").await.expect(200);
        assert!(worker.is_running());
        for line in ["the database cannot be reached", "the database can be reached again"] {
            assert_eq!(worker.log().matches(line).count(), 1, "{line} in {}", worker.log());
        }
        let last = app.owner.status(tenant.id).await;
        while events.next().await != last {}
    }

    async fn r21_work_resumes_whenever_connections_are_ended() {
        let app = installation().await;
        let worker = app.start_process("worker", &[]).await;
        let tenant = app.microsoft.add_tenant(seed("Ended", 9_000));
        app.microsoft.cloud().graph_delay_ms.store(100, Ordering::Relaxed);
        let mut events = EventReader::open(&app.owner, "/tenants/events").await;
        app.onboard(&tenant).await;
        let (raw, locker) = (app.database.raw(), app.database.raw());
        let own = locker.lines("SELECT pg_backend_pid()::text AS line").remove(0);
        for round in 1..=4 {
            // In the middle of a transaction that stores something of the run.
            locker.execute("BEGIN; LOCK TABLE sync_run_data_sets IN EXCLUSIVE MODE");
            let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            until("a transaction", PATIENCE, async || raw.count(waiting) > 0).await;
            let ended = raw.lines(&format!(
                "SELECT pg_terminate_backend(pid)::text AS line FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), {own})"
            ));
            assert!(!ended.is_empty(), "round {round}");
            locker.execute("ROLLBACK");
            until("their end", PATIENCE, async || raw.count(waiting) == 0).await;
        }
        app.microsoft.cloud().graph_delay_ms.store(0, Ordering::Relaxed);
        completed(&app.owner, &tenant).await;
        assert!(worker.log().contains("the store failed"), "{}", worker.log());
        // Who listens has missed nothing, and listens again.
        let last = app.owner.status(tenant.id).await;
        while events.next().await != last {}
        for process in [app.owner.clone(), app.owner_at(&worker)] {
            let operator = process.with_key(Some(TOKEN));
            until("listening", PATIENCE, async || {
                operator.get("//metrics").await.text.contains("\ntenantry_db_listening 1\n")
            }).await;
        }
    }

    async fn every_api_process_shows_what_every_worker_does() {
        let app = installation().await;
        let second = app.start_process("api", &[]).await;
        let callers = [app.owner.clone(), app.owner_at(&second)];
        let _workers = [app.start_process("worker", &[]).await, app.start_process("worker", &[]).await];
        let mut readers = Vec::new();
        for caller in &callers {
            readers.push(EventReader::open(caller, "/tenants/events").await);
        }
        let mut tenants = Vec::new();
        for number in 1..=6 {
            let tenant = app.microsoft.add_tenant(seed(&format!("Seen{number}"), 1_200));
            app.onboard(&tenant).await;
            tenants.push(tenant);
        }
        let raw = app.database.raw();
        for (caller, events) in callers.iter().zip(&mut readers) {
            let mut last = BTreeMap::new();
            let mut position = 0;
            while last.len() < tenants.len() || last.values().any(|event: &Value| event["run"]["state"] != "completed") {
                let event = events.next().await;
                let came_to = events.last_id.split(':').nth(1).unwrap().parse::<i64>().unwrap();
                assert!(came_to >= position, "{came_to} after {position}");
                position = came_to;
                last.insert(event["tenantId"].as_str().unwrap().to_owned(), event);
            }
            for tenant in &tenants {
                let status = caller.wait_for_run(tenant.id).await;
                assert_eq!(status, last[&tenant.id.to_string()]);
            }
            let changes = raw.lines("SELECT max(last)::text AS line FROM status_sequences").remove(0);
            assert_eq!(position.to_string(), changes, "it has every change");
            // By notices, not by looking: that is done only while nobody is heard.
            let metrics = caller.with_key(Some(TOKEN)).get("//metrics").await.text;
            assert!(metrics.contains("\ntenantry_db_listening 1\n"), "{metrics}");
        }
    }

    async fn d1_revoking_at_one_process_ends_the_calls_of_another() {
        let app = installation().await;
        let worker = app.start_process("worker", &[]).await;
        let tenant = app.microsoft.add_tenant(seed("Revoked", 300));
        let cloud = app.microsoft.cloud();
        cloud.faults.script(FaultRule {
            tenant: Some(tenant.id),
            times: 10_000,
            ..FaultRule::once("graph", "/secureScores", Fault::Status { status: 429, retry_after: Some("1".into()), body: None })
        });
        app.onboard(&tenant).await;
        until("calls", PATIENCE, async || calls(&app, &worker, "throttled").await >= 2.0).await;
        app.owner.delete(&format!("/tenants/{}", tenant.id)).await.expect(204);
        // The requirement itself: five seconds.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let of_tenant = || {
            let log = cloud.requests();
            log.iter().filter(|request| request.tenant == Some(tenant.id)).count()
        };
        let after = of_tenant();
        let next = app.microsoft.add_tenant(seed("Next", 1_200));
        app.onboard(&next).await;
        completed(&app.owner, &next).await;
        assert_eq!(of_tenant(), after, "no call after five seconds");
        cloud.faults.clear();
    }

    async fn twenty_processes_fit_a_postgresql_as_it_comes() {
        let app = installation().await;
        let roles = (0..19).map(|number| if number % 2 == 0 { "worker" } else { "api" });
        let most = Arc::new(AtomicUsize::new(0));
        let (raw, seen) = (app.database.raw(), Arc::clone(&most));
        let watching = Arc::new(());
        let watched = Arc::downgrade(&watching);
        let watcher = std::thread::spawn(move || {
            while watched.upgrade().is_some() {
                let now = raw.count("pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()");
                seen.fetch_max(now, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let processes = join_all(roles.map(|role| app.start_process(role, &[]))).await;
        let mut tenants = Vec::new();
        for number in 1..=20 {
            let tenant = app.microsoft.add_tenant(seed(&format!("Many{number}"), 600));
            app.onboard(&tenant).await;
            tenants.push(tenant);
        }
        for process in &processes {
            app.owner_at(process).get("//readyz").await.expect(200);
        }
        for tenant in &tenants {
            let status = app.owner.wait_for_run(tenant.id).await;
            assert_eq!(status["run"]["state"], "completed", "{status:#}");
        }
        drop(watching);
        watcher.join().unwrap();
        let most = most.load(Ordering::Relaxed);
        assert!((20..=4 * 20).contains(&most), "{most} connections of 97");
    }

    async fn z8_a_login_that_owns_nothing_works_and_listens() {
        let mut app = installation().await;
        let login = format!("r{}", Uuid::now_v7().simple());
        app.database.raw().execute(&format!("CREATE ROLE {login} LOGIN"));
        let owner = app.database.url();
        let mut url = Url::parse(&owner).unwrap();
        url.set_username(&login).unwrap();
        app.set("TENANTRY_DATABASE_ADMIN_URL", &owner);
        app.set("TENANTRY_DATABASE_URL", url.as_str());
        app.stop().await;
        app.serve_as("api").await;
        let _worker = app.start_process("worker", &[]).await;
        let tenant = app.microsoft.add_tenant(seed("Unowned", 20));
        app.onboard(&tenant).await;
        completed(&app.owner, &tenant).await;
        let ready = app.owner.get("//readyz").await.expect(200).json();
        assert_eq!(ready["checks"][0]["detail"], "postgres; listening to other processes");
        let of_others = format!("pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename <> '{login}'");
        assert_eq!(app.database.raw().count(&of_others), 0, "the migrating connections are gone");
    }
}
