//! The app registration proves itself by certificates, which are rolled over while the server runs.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tenantry_tests::{
    app::{CLIENT_ID, TestApp},
    certificates::{self, TestCertificate},
    database::Backend,
    fake_microsoft::login::{register_certificate, remove_certificate},
    on_both_databases, truth,
};

use crate::flow::{events, relay, seed, start, text, token_requests};

/// Longer than a token is good for.
const TOKENS_ENDED: i64 = 2 * 3_600;
const METRICS_TOKEN: &str = "metrics-token-0123456789abcdef0123";

/// The file of the registration's certificates.
struct Pem {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Pem {
    fn of(certificates: &[&TestCertificate]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificate.pem");
        let file = Self {
            _folder: folder,
            path,
        };
        file.write(certificates);
        file
    }

    fn write(&self, certificates: &[&TestCertificate]) {
        let pem: String = certificates.iter().map(|one| one.pem()).collect();
        std::fs::write(&self.path, pem).unwrap();
    }

    /// A server that proves itself by this file alone.
    async fn start(&self, backend: Backend) -> TestApp {
        self.start_with(backend, &[]).await
    }

    async fn start_with(&self, backend: Backend, more: &[(&str, &str)]) -> TestApp {
        let path = self.path.to_str().unwrap();
        let own = [
            ("TENANTRY_MICROSOFT_CLIENT_SECRET", ""),
            ("TENANTRY_MICROSOFT_CLIENT_CERTIFICATE_FILE", path),
            ("TENANTRY_METRICS_TOKEN", METRICS_TOKEN),
        ];
        TestApp::start_with(backend, &[&own, more].concat()).await
    }
}

fn days_from_now(days: i64) -> DateTime<Utc> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server under test goes by the machine's clock"
    )]
    let now = Utc::now();
    now + TimeDelta::days(days)
}

/// The certificate that was used until now.
fn old() -> TestCertificate {
    certificates::first().valid(days_from_now(-300), days_from_now(65))
}

/// The one that takes its place.
fn new() -> TestCertificate {
    certificates::second().valid(days_from_now(-1), days_from_now(364))
}

fn register(app: &TestApp, certificate: &TestCertificate) {
    register_certificate(&app.microsoft.cloud(), CLIENT_ID, &certificate.certificate);
}

fn remove(app: &TestApp, certificate: &TestCertificate) {
    remove_certificate(&app.microsoft.cloud(), CLIENT_ID, &certificate.certificate);
}

/// The check of the credential as an owner sees it: whether it is well, and the detail.
async fn check(app: &TestApp) -> (bool, String) {
    let report = app.owner.get("//readyz").await.expect(200).json();
    let checks = report["checks"].as_array().unwrap();
    let check = checks
        .iter()
        .find(|check| check["name"] == "microsoftCredential");
    let check = check.unwrap();
    (
        check["ok"].as_bool().unwrap(),
        text(check, "detail").to_owned(),
    )
}

/// A gauge of `/metrics`.
async fn gauge(app: &TestApp, sample: &str) -> f64 {
    let caller = app.owner.with_key(Some(METRICS_TOKEN));
    let scrape = caller.get("//metrics").await.expect(200).text;
    let line = scrape
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{sample} ")));
    line.unwrap_or_else(|| panic!("no {sample} in {scrape}"))
        .parse()
        .unwrap()
}

async fn expiry(app: &TestApp, kind: &str) -> f64 {
    let name = "tenantry_microsoft_credential_expiry_timestamp_seconds";
    gauge(app, &format!("{name}{{kind=\"{kind}\"}}")).await
}

/// A run that needs a new token.
async fn sync_anew(app: &TestApp, tenant: uuid::Uuid) -> Value {
    app.advance_seconds(TOKENS_ENDED);
    app.owner.sync(tenant, "delta").await
}

/// How many token requests Microsoft refused.
fn refused_requests(app: &TestApp) -> usize {
    let requests = app.microsoft.cloud().requests();
    let refused = requests
        .iter()
        .filter(|request| request.path_and_query.ends_with("/token") && request.status >= 400);
    refused.count()
}

on_both_databases! {
    async fn a_tenant_is_connected_and_synced_by_a_certificate(backend: Backend) {
        let certificate = old();
        let file = Pem::of(&[&certificate]);
        let app = file.start(backend).await;
        register(&app, &certificate);
        let tenant = app.microsoft.add_tenant(seed("Certified"));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        assert_eq!(refused_requests(&app), 0);

        let (ok, detail) = check(&app).await;
        let end = days_from_now(65).format("certificate; expires %Y-%m-%dT").to_string();
        assert!(ok && detail.starts_with(&end), "{detail}");
        let told = expiry(&app, "certificate").await;
        assert!((told - days_from_now(65).timestamp() as f64).abs() < 600.0, "{told}");
        assert_eq!(expiry(&app, "secret").await, 0.0);
        assert_eq!(gauge(&app, "tenantry_microsoft_credential_refused").await, 0.0);
        let reader = app.owner.with_key(Some(&app.create_key("reader").1));
        let shown = reader.get("//readyz").await.expect(200).text;
        assert!(!shown.contains("expires"), "details are for owners: {shown}");
    }

    async fn g7_a_certificate_is_rolled_over_while_the_server_runs(backend: Backend) {
        let (old, new) = (old(), new());
        let file = Pem::of(&[&old]);
        let app = file.start(backend).await;
        register(&app, &old);
        let tenant = app.microsoft.add_tenant(seed("Rolling"));
        app.onboard_and_sync(&tenant).await;

        // The new one is in the file before Microsoft knows it.
        file.write(&[&new, &old]);
        let (ok, detail) = check(&app).await;
        let end_of_new = days_from_now(364).format("2 certificates; expires %Y-%m-%dT").to_string();
        assert!(ok && detail.starts_with(&end_of_new), "{detail}");
        let status = sync_anew(&app, tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        assert_eq!(refused_requests(&app), 1);
        let (ok, detail) = check(&app).await;
        assert!(ok && detail.ends_with("; Microsoft does not accept 1 of 2"), "{detail}");
        // Connecting meanwhile costs nobody a sign-in.
        let meanwhile = app.microsoft.add_tenant(seed("Meanwhile"));
        app.onboard_and_sync(&meanwhile).await;
        assert_eq!(refused_requests(&app), 1);

        // Both are registered.
        register(&app, &new);
        let status = sync_anew(&app, tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        let (ok, detail) = check(&app).await;
        assert!(ok && detail.starts_with(&end_of_new) && !detail.contains("accept"), "{detail}");

        // The old one goes, first at Microsoft's side.
        remove(&app, &old);
        let status = sync_anew(&app, tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        file.write(&[&new]);
        let status = sync_anew(&app, tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        assert_eq!(refused_requests(&app), 1, "nothing but the first use of the new one was refused");
        let (_, detail) = check(&app).await;
        assert!(detail.starts_with("certificate; expires "), "{detail}");
        assert_eq!(app.log().matches("credential was read again").count(), 2, "{}", app.log());
    }

    async fn g5_a_refused_certificate_leaves_tenants_connected_and_the_next_one_clears_it(backend: Backend) {
        let (old, new) = (old(), new());
        let file = Pem::of(&[&old]);
        let app = file.start(backend).await;
        register(&app, &old);
        let tenant = app.microsoft.add_tenant(seed("Forgotten"));
        app.onboard_and_sync(&tenant).await;
        remove(&app, &old);
        let status = sync_anew(&app, tenant.id).await;
        assert_eq!(status["run"]["state"], "failed", "{status:#}");
        assert_eq!(status["status"], "connected", "{status:#}");
        assert_eq!(status["connectionError"]["code"], "ownCredentialRejected", "{status:#}");
        let (ok, detail) = check(&app).await;
        assert!(!ok && detail.contains("; refused by Microsoft since "), "{detail}");
        assert!(detail.ends_with(" (AADSTS700027)"), "{detail}");
        assert_eq!(gauge(&app, "tenantry_microsoft_credential_refused").await, 1.0);
        // A sign-in says whose fault it is, too.
        let fresh = app.microsoft.add_tenant(seed("Newcomer"));
        let started = start(&app.owner, &fresh).await;
        let before = token_requests(&app, "");
        relay(&app.owner, text(&started, "microsoftUrl")).await.expect_problem(502, "ownCredentialRejected");
        assert_eq!(token_requests(&app, ""), before + 1);

        register(&app, &new);
        file.write(&[&new]);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        assert_eq!((&status["status"], &status["connectionError"]), (&"connected".into(), &Value::Null));
        assert!(events(&app.owner, "tenant.reauthorizationRequired").await.is_empty());
        let (ok, detail) = check(&app).await;
        assert!(ok && !detail.contains("refused"), "{detail}");
        assert_eq!(gauge(&app, "tenantry_microsoft_credential_refused").await, 0.0);
    }

    async fn a_changed_file_that_cannot_be_used_changes_nothing_and_is_shown(backend: Backend) {
        let (old, new) = (old(), new());
        let file = Pem::of(&[&old]);
        let app = file.start(backend).await;
        register(&app, &old);
        register(&app, &new);
        let tenant = app.microsoft.add_tenant(seed("Steady"));
        app.onboard_and_sync(&tenant).await;
        std::fs::write(&file.path, format!("{}{}", new.certificate, old.key)).unwrap();
        for _ in 0..3 {
            let status = sync_anew(&app, tenant.id).await;
            assert_eq!(status["run"]["state"], "completed", "{status:#}");
        }
        let (ok, detail) = check(&app).await;
        assert!(ok, "{detail}");
        assert!(detail.contains("; the file as changed cannot be used since "), "{detail}");
        assert!(detail.contains(": the private key belongs to another certificate;"), "{detail}");
        let warned = app.log().matches("the changed credential file cannot be used").count();
        assert_eq!(warned, 1, "{}", app.log());
        file.write(&[&new]);
        let status = sync_anew(&app, tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        let (ok, detail) = check(&app).await;
        assert!(ok && !detail.contains("cannot be used"), "{detail}");
        assert_eq!(refused_requests(&app), 0);
    }

    async fn an_ended_certificate_is_shown_and_what_is_stored_stays_readable(backend: Backend) {
        let ended = certificates::first().valid(days_from_now(-400), days_from_now(-35));
        let file = Pem::of(&[&ended]);
        let app = file.start(backend).await;
        let (ok, detail) = check(&app).await;
        let end = days_from_now(-35).format("certificate; expired %Y-%m-%dT").to_string();
        assert!(!ok && detail.starts_with(&end), "{detail}");
        assert!(app.log().contains("the app registration's credential needs attention"), "{}", app.log());
        app.owner.create_customer("Readable").await;
        assert_eq!(app.owner.list("/customers").await.len(), 1);
    }

    async fn v9_the_log_at_its_most_talkative_shows_nothing_of_a_certificates_key(backend: Backend) {
        let (old, new) = (old(), new());
        let file = Pem::of(&[&old]);
        let app = file.start_with(backend, &[("TENANTRY_LOG", "trace")]).await;
        register(&app, &old);
        let tenant = app.microsoft.add_tenant(seed("Silent"));
        app.onboard_and_sync(&tenant).await;
        file.write(&[&new, &old]);
        sync_anew(&app, tenant.id).await;
        std::fs::write(&file.path, format!("{}{}", old.certificate, new.key)).unwrap();
        sync_anew(&app, tenant.id).await;
        std::fs::write(&file.path, &old.pem()[..old.pem().len() - 100]).unwrap();
        let shown = app.owner.get("//readyz").await.expect(200).text;
        remove(&app, &old);
        sync_anew(&app, tenant.id).await;
        let status = app.owner.status(tenant.id).await.to_string();
        let said = format!("{shown}{status}{}", app.log());
        assert!(said.contains("cannot be used"), "the control: {said}");
        for key in [&old.key, &new.key] {
            let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
            for at in (0..body.len() - 12).step_by(12) {
                let fragment = &body[at..at + 12];
                assert!(!said.contains(fragment), "{fragment} at {at}");
            }
        }
        // Nor any assertion: each begins with the same header.
        assert!(!said.contains("eyJ0eXAiOiJKV1Qi"), "{said}");
    }

    async fn a_secret_is_rolled_over_by_its_file_and_its_end_is_told(backend: Backend) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, format!("{}\n", tenantry_tests::app::CLIENT_SECRET)).unwrap();
        let end = days_from_now(12).format("%Y-%m-%d").to_string();
        let app = TestApp::start_with(backend, &[
            ("TENANTRY_MICROSOFT_CLIENT_SECRET", ""),
            ("TENANTRY_MICROSOFT_CLIENT_SECRET_FILE", path.to_str().unwrap()),
            ("TENANTRY_MICROSOFT_CLIENT_SECRET_EXPIRES", &end),
            ("TENANTRY_METRICS_TOKEN", METRICS_TOKEN),
        ]).await;
        let tenant = app.microsoft.add_tenant(seed("Secretive"));
        app.onboard_and_sync(&tenant).await;
        let (ok, detail) = check(&app).await;
        assert!(ok && detail == format!("secret; expires {end}T00:00:00Z, in 11 days"), "{detail}");
        assert!(app.log().contains("the app registration's credential needs attention"), "{}", app.log());
        let told = DateTime::from_timestamp(expiry(&app, "secret").await as i64, 0).unwrap();
        assert_eq!(told.to_rfc3339(), format!("{end}T00:00:00+00:00"));

        // At Microsoft's side the old secret is gone at once.
        let next = "another.Secret~0123456789abcdef-canary";
        app.microsoft.register_app(CLIENT_ID, next, &app.url("/api/msp-portal/tenants/callback"));
        let status = sync_anew(&app, tenant.id).await;
        assert_eq!(status["connectionError"]["code"], "ownCredentialRejected", "{status:#}");
        let (ok, detail) = check(&app).await;
        assert!(!ok && detail.ends_with(" (AADSTS7000215)"), "{detail}");
        std::fs::write(&path, next).unwrap();
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        assert_eq!(status["connectionError"], Value::Null);
        let (ok, detail) = check(&app).await;
        assert!(ok && detail.starts_with("secret; its end is shown in Entra"), "{detail}");
        assert_eq!(expiry(&app, "secret").await, 0.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_cannot_be_used_stops_the_start_with_one_line() {
    let file = Pem::of(&[&old()]);
    let mut app = file.start(Backend::Sqlite).await;
    app.stop().await;
    for (pem, why) in [
        (
            format!("{}{}", old().certificate, new().key),
            "the private key belongs to another certificate",
        ),
        (new().certificate, "the PEM text has no private key"),
        (
            certificates::weak().pem(),
            "the RSA key is shorter than 2048 bits",
        ),
    ] {
        std::fs::write(&file.path, pem).unwrap();
        let output = app.run(&["serve"]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr).trim_end(),
            format!("tenantry: TENANTRY_MICROSOFT_CLIENT_CERTIFICATE_FILE: {why}")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_only_works_reads_the_file_again_by_itself() {
    let (old, new) = (old(), new());
    let file = Pem::of(&[&old]);
    let mut app = file.start(Backend::Postgres).await;
    register(&app, &old);
    let tenant = app.microsoft.add_tenant(seed("Laboured"));
    app.onboard_and_sync(&tenant).await;
    app.stop().await;
    app.serve_as("worker").await;
    file.write(&[&new]);
    let begun = std::time::Instant::now();
    let end = days_from_now(300).timestamp() as f64;
    while expiry(&app, "certificate").await < end {
        assert!(begun.elapsed().as_secs() < 60, "{}", app.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(check(&app).await.0);
}
