//! The metrics: all that is documented is there, and the counters say what happened.

use std::collections::BTreeMap;

use serde_json::json;
use tenantry_tests::{
    app::TestApp,
    database::Backend,
    fake_microsoft::{
        faults::{Fault, FaultRule},
        state::{Decision, LoggedRequest},
    },
    on_both_databases, truth,
};

use crate::flow::seed;

const DOCUMENT: &str = include_str!("../../../docs/reference/metrics.md");
const TOKEN: &str = "metrics-token-0123456789abcdef0123";
const INTUNE: &str = "DeviceManagementManagedDevices.Read.All";

/// A metric as the document lists it.
struct Documented {
    name: String,
    kind: String,
    /// Each label with its values; none where they are not from a short list.
    labels: Vec<(String, Vec<String>)>,
}

fn documented() -> Vec<Documented> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let words = |text: &str| -> Vec<String> {
            let quoted = text.split('`').skip(1).step_by(2);
            quoted.map(str::to_owned).collect()
        };
        let labels = cells[2].split(';').filter(|label| !label.is_empty());
        Documented {
            name: words(cells[0]).remove(0),
            kind: cells[1].to_owned(),
            labels: labels
                .map(|label| {
                    let mut words = words(label);
                    (words.remove(0), words)
                })
                .collect(),
        }
    })
    .collect()
}

impl Documented {
    /// Every combination of its label values, as samples write it.
    fn combinations(&self) -> Vec<String> {
        let mut all = vec![Vec::new()];
        for (label, values) in &self.labels {
            let longer = |before: Vec<String>| {
                values.iter().map(move |value| {
                    let mut pairs = before.clone();
                    pairs.push(format!("{label}=\"{value}\""));
                    pairs
                })
            };
            all = all.into_iter().flat_map(longer).collect();
        }
        all.into_iter().map(|pairs| labels(&pairs)).collect()
    }
}

fn labels(pairs: &[String]) -> String {
    if pairs.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", pairs.join(","))
    }
}

/// The samples of one scrape.
struct Scrape {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    async fn of(app: &TestApp) -> Self {
        let caller = app.owner.with_key(Some(TOKEN));
        let text = caller.get("//metrics").await.expect(200).text;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        });
        let samples = samples.collect();
        Self { text, samples }
    }

    #[track_caller]
    fn value(&self, sample: &str) -> f64 {
        let value = self.samples.get(sample);
        *value.unwrap_or_else(|| panic!("no {sample} in {}", self.text))
    }

    #[track_caller]
    fn expect(&self, sample: &str, value: f64) {
        assert_eq!(self.value(sample), value, "{sample}");
    }

    /// All samples of a metric together.
    fn sum(&self, name: &str) -> f64 {
        let own = self
            .samples
            .iter()
            .filter(|(sample, _)| sample.split('{').next() == Some(name));
        own.map(|(_, value)| value).sum()
    }
}

async fn start(backend: Backend) -> TestApp {
    TestApp::start_with(backend, &[("TENANTRY_METRICS_TOKEN", TOKEN)]).await
}

fn audit_events(app: &TestApp) -> f64 {
    app.database.raw().count("audit_events") as f64
}

/// What the stand-in was asked by the product, not by a browser.
fn requests(app: &TestApp, is_wanted: impl Fn(&LoggedRequest) -> bool) -> f64 {
    let log = app.microsoft.cloud().requests();
    let by_product = |request: &&LoggedRequest| {
        let path = &request.path_and_query;
        let of_program = ["/token", "/.well-known/", "/discovery/"]
            .iter()
            .any(|part| path.contains(part));
        request.server != "login" || of_program
    };
    log.iter()
        .filter(by_product)
        .filter(|request| is_wanted(request))
        .count() as f64
}

fn script(app: &TestApp, path: &str, status: u16) {
    let fault = Fault::Status {
        status,
        retry_after: Some("1".to_owned()),
        body: None,
    };
    let rule = FaultRule::once("graph", path, fault);
    app.microsoft.cloud().faults.script(rule);
}

on_both_databases! {
    async fn every_documented_metric_is_there_from_the_start(backend: Backend) {
        let app = start(backend).await;
        // The first scrape is a request of which the second one tells.
        Scrape::of(&app).await;
        let scrape = Scrape::of(&app).await;
        let documented = documented();
        for metric in &documented {
            let kind = format!("# TYPE {} {}\n", metric.name, metric.kind);
            assert!(scrape.text.contains(&kind), "{kind}");
            assert!(scrape.text.contains(&format!("# HELP {} ", metric.name)), "{}", metric.name);
            for labels in metric.combinations() {
                let sample = match metric.kind.as_str() {
                    "histogram" => format!("{}_count{labels}", metric.name),
                    _ => format!("{}{labels}", metric.name),
                };
                let value = scrape.value(&sample);
                let is_of_process = metric.name.starts_with("tenantry_db_")
                    || metric.name == "tenantry_upstream_budget_slices";
                assert!(is_of_process || value == 0.0, "{sample} is {value}");
            }
        }
        let lines = scrape.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut shown: Vec<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
        let mut names: Vec<&str> = documented.iter().map(|metric| metric.name.as_str()).collect();
        shown.sort_unstable();
        names.sort_unstable();
        assert_eq!(shown, names);
        // As many samples as label values: none is there that the document lacks.
        for metric in documented.iter().filter(|metric| metric.kind != "histogram") {
            let prefix = format!("{}{{", metric.name);
            let has_name = |sample: &&String| **sample == metric.name || sample.starts_with(&prefix);
            let number = scrape.samples.keys().filter(has_name).count();
            let expected = metric.combinations().len().max(1);
            assert_eq!(number, expected, "{}", metric.name);
        }
    }

    async fn a_sync_raises_the_counters_by_what_it_did(backend: Backend) {
        let app = start(backend).await;
        let before = audit_events(&app);
        let withheld = Decision::AcceptWithout([INTUNE.to_owned()].into());
        let tenant = app.microsoft.add_tenant(seed("Measured").users(1_200).decision(withheld));
        script(&app, "/users?", 429);
        script(&app, "/secureScores", 503);
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completedWithWarnings", "{status:#}");
        truth::mailboxes_with_their_kinds(&app.owner, tenant.id).await;

        let scrape = Scrape::of(&app).await;
        scrape.expect("tenantry_sync_runs_total{kind=\"initial\",state=\"completedWithWarnings\"}", 1.0);
        scrape.expect("tenantry_sync_run_duration_seconds_count", 1.0);
        assert!(scrape.value("tenantry_sync_run_duration_seconds_sum") > 0.9);
        let mut throttled_ms = 0.0;
        for set in status["run"]["datasets"].as_array().unwrap() {
            let sample = format!("tenantry_dataset_objects_total{{dataset=\"{}\"}}", set["name"].as_str().unwrap());
            scrape.expect(&sample, set["processed"].as_f64().unwrap());
            throttled_ms += set["throttledMs"].as_f64().unwrap();
        }
        scrape.expect("tenantry_dataset_failures_total{dataset=\"devices\",code=\"permissionMissing\"}", 1.0);
        assert_eq!(scrape.sum("tenantry_dataset_failures_total"), 1.0);
        scrape.expect("tenantry_audit_events_total", audit_events(&app) - before);

        for upstream in ["login", "graph", "reports"] {
            let sample = |outcome| scrape.value(&format!("tenantry_upstream_requests_total{{upstream=\"{upstream}\",outcome=\"{outcome}\"}}"));
            let answered = |from, to| requests(&app, |request| request.server == upstream && (from..=to).contains(&request.status));
            assert!(sample("ok") > 0.0, "{upstream}");
            assert_eq!(sample("ok"), answered(200, 399), "{upstream}");
            assert_eq!(sample("throttled"), answered(429, 429), "{upstream}");
            assert_eq!(sample("refused"), answered(400, 428) + answered(430, 499), "{upstream}");
            assert_eq!(sample("failed"), answered(500, 599), "{upstream}");
            assert_eq!(sample("unreachable"), 0.0, "{upstream}");
            let all = requests(&app, |request| request.server == upstream);
            scrape.expect(&format!("tenantry_upstream_request_duration_seconds_count{{upstream=\"{upstream}\"}}"), all);
        }
        scrape.expect("tenantry_upstream_requests_total{upstream=\"graph\",outcome=\"throttled\"}", 1.0);
        scrape.expect("tenantry_upstream_requests_total{upstream=\"graph\",outcome=\"failed\"}", 1.0);
        let waited = scrape.value("tenantry_upstream_throttled_seconds_total{upstream=\"graph\"}");
        assert!(waited >= 0.9 && (waited * 1000.0 - throttled_ms).abs() < 100.0, "{waited} s, {throttled_ms} ms");

        let status = app.owner.sync(tenant.id, "delta").await;
        assert!(status["run"]["finishedAt"].is_string());
        let later = Scrape::of(&app).await;
        assert_eq!(later.sum("tenantry_sync_runs_total"), 2.0);
        later.expect("tenantry_sync_runs_total{kind=\"delta\",state=\"completedWithWarnings\"}", 1.0);
    }

    async fn what_is_asked_twice_or_refused_counts_once_or_not_at_all(backend: Backend) {
        let app = start(backend).await;
        let create = || app.owner.request("POST", "/customers")
            .header("idempotency-key", "one-customer-please")
            .json(&json!({"name": "Contoso"}));
        app.owner.send(create()).await.expect(201);
        app.owner.send(create()).await.expect(201);
        app.owner.post("/customers", &json!({"name": ""})).await;
        Scrape::of(&app).await.expect("tenantry_audit_events_total", 1.0);

        let tenant = app.microsoft.add_tenant(seed("Cancelled").users(3_000));
        let cloud = app.microsoft.cloud();
        cloud.hold("skiptoken");
        app.onboard(&tenant).await;
        cloud.wait_for_request(|request| request.path_and_query.contains("skiptoken")).await;
        let run = app.owner.status(tenant.id).await["run"]["id"].as_str().unwrap().to_owned();
        let cancel = format!("/tenants/{}/sync-runs/{run}/cancel", tenant.id);
        assert_eq!(Scrape::of(&app).await.sum("tenantry_sync_runs_total"), 0.0);
        app.owner.post(&cancel, &json!({})).await.expect(202);
        cloud.release();
        app.owner.post(&cancel, &json!({})).await.expect_problem(409, "syncRunEnded");
        app.owner.delete(&format!("/tenants/{}", tenant.id)).await;
        let scrape = Scrape::of(&app).await;
        scrape.expect("tenantry_sync_runs_total{kind=\"initial\",state=\"cancelled\"}", 1.0);
        assert_eq!(scrape.sum("tenantry_sync_runs_total"), 1.0);
        scrape.expect("tenantry_sync_run_duration_seconds_count", 1.0);
        scrape.expect("tenantry_dataset_failures_total{dataset=\"users\",code=\"cancelled\"}", 1.0);
    }

    async fn a_killed_run_counts_where_it_ends(backend: Backend) {
        let mut app = TestApp::start_with(backend, &[
            ("TENANTRY_METRICS_TOKEN", TOKEN),
            ("TENANTRY_FAILPOINTS", "sync.after_page_commit=abort@4"),
        ]).await;
        let tenant = app.microsoft.add_tenant(seed("Killed").users(2_500));
        let customer = app.owner.create_customer("Killed").await;
        let started = app.owner.connect(&customer, &tenant.domains[0]).await;
        crate::flow::walk(started["authorizationUrl"].as_str().unwrap()).await;
        app.wait_for_end().await;
        app.unset("TENANTRY_FAILPOINTS");
        let before = audit_events(&app);
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        let scrape = Scrape::of(&app).await;
        assert_eq!(scrape.sum("tenantry_sync_runs_total"), 1.0, "{status:#}");
        scrape.expect("tenantry_sync_runs_total{kind=\"initial\",state=\"completed\"}", 1.0);
        scrape.expect("tenantry_dataset_objects_total{dataset=\"users\"}", 2_500.0);
        scrape.expect("tenantry_audit_events_total", audit_events(&app) - before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_only_works_counts_its_runs() {
    let mut app = start(Backend::Postgres).await;
    app.stop().await;
    app.serve_as("api").await;
    let tenant = app.microsoft.add_tenant(seed("Worked"));
    app.onboard(&tenant).await;
    let of_api = Scrape::of(&app).await;
    assert_eq!(of_api.sum("tenantry_sync_runs_total"), 0.0);
    of_api.expect("tenantry_sync_runs_active", 1.0);
    app.stop().await;
    app.serve_as("worker").await;
    let begun = std::time::Instant::now();
    let scrape = loop {
        let scrape = Scrape::of(&app).await;
        if scrape.sum("tenantry_sync_runs_total") > 0.0 {
            break scrape;
        }
        assert!(begun.elapsed().as_secs() < 60, "{}", scrape.text);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    scrape.expect(
        "tenantry_sync_runs_total{kind=\"initial\",state=\"completed\"}",
        1.0,
    );
    assert!(
        scrape.value("tenantry_upstream_requests_total{upstream=\"graph\",outcome=\"ok\"}") > 0.0
    );
    assert!(scrape.value("tenantry_audit_events_total") > 0.0);
}
