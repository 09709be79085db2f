//! Who waits for whom (R26): organisations of very different size on the same workers, a huge tenant
//! among small ones, and processes that share Microsoft's limit.
//!
//! **Fair share.** Of slots that are divided equally among the organisations with due work, the k-th
//! tenant of an organisation begins after the k-1 before it and after at most k of each other
//! organisation. That many runs are its fair wait. Nothing here is measured by a clock: a wait is the
//! number of runs that began earlier.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use tenantry_tests::{
    app::{CLIENT_ID, Caller, PATIENCE, TestApp},
    database::{Backend, Raw},
    fake_microsoft::state::Tenant,
    on_both_databases, truth,
};

use crate::flow;

/// Connections that are made at the same time.
const AT_ONCE: usize = 4;

/// Worker processes; gone with this value, as by `kill -9`.
struct Workers(Vec<Child>);

impl Workers {
    /// On PostgreSQL two of them, beside the process that serves the API; a SQLite database has one
    /// process, which works already.
    fn start(app: &TestApp, backend: Backend) -> Self {
        let count = if backend == Backend::Postgres { 2 } else { 0 };
        let spawn = |mut command: Command| {
            command
                .env_remove("TENANTRY_LISTEN")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.spawn().expect("a worker starts")
        };
        let worker = |_number| spawn(app.command(&["serve", "--role", "worker"]));
        Self((0..count).map(worker).collect())
    }

    fn assert_alive(&mut self) {
        for worker in &mut self.0 {
            assert_eq!(worker.try_wait().expect("a child"), None);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            drop(worker.kill());
            drop(worker.wait());
        }
    }
}

/// The product without a worker on PostgreSQL, and with one on SQLite.
async fn start(backend: Backend, settings: &[(&str, &str)]) -> TestApp {
    let mut app = TestApp::start_with(backend, settings).await;
    if backend == Backend::Postgres {
        app.stop().await;
        app.serve_as("api").await;
    }
    app
}

/// Connects small tenants of an organisation, as technicians and administrators do.
async fn connect(app: &TestApp, owner: &Caller, name: &str, count: usize) -> Vec<Arc<Tenant>> {
    let tenants: Vec<Arc<Tenant>> = (0..count)
        .map(|number| {
            app.microsoft
                .add_tenant(flow::seed(&format!("{name}{number}")))
        })
        .collect();
    stream::iter(&tenants)
        .for_each_concurrent(AT_ONCE, |tenant| async move {
            connect_one(owner, tenant).await;
        })
        .await;
    tenants
}

async fn connect_one(owner: &Caller, tenant: &Tenant) {
    let started = flow::start(owner, tenant).await;
    let page = flow::walk(flow::text(&started, "authorizationUrl")).await;
    assert_eq!(page.status, 200, "{} {}", page.url, page.text());
}

/// A run: its organisation and tenant as hexadecimal digits, and whether it has ended.
struct Run {
    org: String,
    tenant: String,
    has_ended: bool,
}

/// All runs that have begun, in the order in which they did.
fn begun(raw: &Raw) -> Vec<Run> {
    let digits = |column: &str| match raw {
        Raw::Sqlite(_) => format!("lower(hex({column}))"),
        Raw::Postgres(_) => format!("replace({column}::text, '-', '')"),
    };
    let lines = raw.lines(&format!(
        "SELECT {} || ' ' || {} || ' ' || CASE WHEN finished_at IS NULL THEN 'open' ELSE 'ended' END AS line \
         FROM sync_runs WHERE started_at IS NOT NULL ORDER BY started_at, id",
        digits("org_id"),
        digits("tenant_id"),
    ));
    let run = |line: &String| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().expect("a word");
        Run {
            org: word(),
            tenant: word(),
            has_ended: word() == "ended",
        }
    };
    lines.iter().map(run).collect()
}

/// Waits until so many runs have ended.
async fn wait_for_ends(app: &TestApp, count: usize) -> Vec<Run> {
    let raw = app.database.raw();
    let since = Instant::now();
    loop {
        let runs = begun(&raw);
        let ended = runs.iter().filter(|run| run.has_ended).count();
        if ended >= count {
            return runs;
        }
        assert!(
            since.elapsed() < PATIENCE * 4,
            "{ended} of {count} runs have ended, {} have begun; of the tenants {:?}\n{}",
            runs.len(),
            raw.lines("SELECT status || ' ' || cast(count(*) AS text) AS line FROM tenants GROUP BY status"),
            app.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

on_both_databases! {
    async fn r26_of_200_tenants_none_waits_more_than_twice_its_fair_share(backend: Backend) {
        const SLOTS: usize = 4;
        let app = start(backend, &[("TENANTRY_SYNC_WORKERS", "4")]).await;
        let cloud = app.microsoft.cloud();
        // Where a worker is there already, nothing ends before everything is due.
        cloud.hold("/subscribedSkus");
        let owners = [app.owner.clone(), app.owner_of_new("Middle MSP"), app.owner_of_new("Small MSP")];
        for (owner, (name, count)) in owners.iter().zip([("large", 170), ("middle", 25), ("small", 5)]) {
            connect(&app, owner, name, count).await;
        }
        cloud.release();
        let mut workers = Workers::start(&app, backend);
        let runs = wait_for_ends(&app, 200).await;
        workers.assert_alive();
        let mut sizes = BTreeMap::new();
        for run in &runs {
            *sizes.entry(run.org.as_str()).or_insert(0_usize) += 1;
        }
        assert_eq!(sizes.values().sum::<usize>(), 200);
        assert!(sizes.values().any(|size| *size == 5), "{sizes:?}");
        // What filled the slots before the others were due began without anyone to share with.
        let slots = SLOTS * workers.0.len().max(1);
        let mut before: BTreeMap<&str, usize> = BTreeMap::new();
        for (wait, run) in runs.iter().enumerate() {
            let own = before.entry(run.org.as_str()).or_default();
            *own += 1;
            let others = sizes.iter().filter(|(org, _)| **org != run.org);
            let fair = *own - 1 + others.map(|(_, size)| (*size).min(*own)).sum::<usize>();
            assert!(
                wait <= 2 * fair + slots,
                "tenant {own} of an organisation of {} waited for {wait} runs, its fair share is {fair}",
                sizes[run.org.as_str()]
            );
        }
    }

    async fn r26_no_small_tenant_waits_for_a_huge_one_of_its_organization(backend: Backend) {
        let app = start(backend, &[("TENANTRY_SYNC_WORKERS", "2")]).await;
        let cloud = app.microsoft.cloud();
        // Only a tenant that is read in shards asks so: the huge one holds its slot until the release.
        cloud.hold("startsWith");
        cloud.hold("startswith");
        let huge = app.microsoft.add_tenant(flow::seed("huge").users(20_000));
        connect_one(&app.owner, &huge).await;
        let mut workers = Workers::start(&app, backend);
        let small = connect(&app, &app.owner, "small", 60).await;
        let runs = wait_for_ends(&app, small.len()).await;
        workers.assert_alive();
        let of_huge = huge.id.simple().to_string();
        let [run] = runs.iter().filter(|run| run.tenant == of_huge).collect::<Vec<_>>()[..] else {
            panic!("one run of the huge tenant has begun");
        };
        assert!(!run.has_ended);
        assert!(cloud.requests().iter().any(|request| request.status == 0), "it is held");
        truth::assert_equal(&app.owner, &small[59]).await;
    }

    async fn r26_processes_keep_together_to_the_limit_of_the_application(backend: Backend) {
        const UNITS: u32 = 400;
        let budgets = format!("130000,{UNITS}");
        let settings = [("TENANTRY_TEST_BUDGETS", budgets.as_str()), ("TENANTRY_SYNC_WORKERS", "4")];
        let app = start(backend, &settings).await;
        let cloud = app.microsoft.cloud();
        cloud.limit_units_of_app(CLIENT_ID, UNITS, Duration::from_secs(20));
        let tenants = connect(&app, &app.owner, "counted", 40).await;
        let mut workers = Workers::start(&app, backend);
        wait_for_ends(&app, tenants.len()).await;
        workers.assert_alive();
        let used = cloud.use_of_app(CLIENT_ID);
        let sent = cloud.requests().len();
        assert!(used.granted > u64::from(UNITS), "{used:?}: more than one span's limit");
        assert!(used.most_in_span <= u64::from(UNITS), "{used:?}");
        assert!(used.refused * 50 <= u64::try_from(sent).unwrap(), "{used:?} of {sent}");
        for tenant in &tenants {
            truth::assert_equal(&app.owner, tenant).await;
        }
    }
}
