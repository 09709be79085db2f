//! The real server as a process of its own, on a database of its own, with verbs as methods.

use std::{
    collections::BTreeMap,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    browser::{Browser, Visit},
    database::{Backend, TestDatabase},
    fake_microsoft::{FakeMicrosoft, state::Tenant},
    process::Process,
};

/// Client id of the registration that tests use.
pub const CLIENT_ID: &str = "5c0f8a9e-2b1d-4c3e-9f60-7a8b9c0d1e2f";
/// Its secret.
pub const CLIENT_SECRET: &str = "canary-Client.Secret~0123456789abcdef";
/// Path before every call of the API.
pub const BASE: &str = "/api/msp-portal";

/// How long a state is waited for before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The product's binary, as `cargo xtask test` built it.
pub fn binary() -> String {
    std::env::var("TENANTRY_TEST_BINARY").unwrap_or_else(|_| {
        let beside = std::env::current_exe().expect("own path");
        let folder = beside
            .ancestors()
            .find(|folder| folder.join("tenantry").is_file());
        folder
            .expect("target/debug/tenantry: run `cargo xtask test`")
            .join("tenantry")
            .display()
            .to_string()
    })
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text))
    }

    /// A header, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Fails unless it is a problem of this status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        let body = self.clone().expect(status).json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["requestId"], self.header("x-request-id"), "{body}");
        body
    }
}

/// A data set of the run in a status document.
#[track_caller]
pub fn data_set<'a>(status: &'a Value, name: &str) -> &'a Value {
    let sets = status["run"]["datasets"].as_array().expect("data sets");
    sets.iter()
        .find(|set| set["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {status:#}"))
}

/// A caller of the API.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
}

impl Caller {
    /// Calls with the given key, or with none.
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self {
            key: key.map(str::to_owned),
            ..self.clone()
        }
    }

    /// A request to a path below the API's base, or with `/` doubled at its front to the root.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = match path.strip_prefix("//") {
            Some(root) => format!("{}/{root}", self.base),
            None => format!("{}{BASE}{path}", self.base),
        };
        let request = self.http.request(method.parse().expect("a method"), url);
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends it. Of an event stream, which does not end, the text is left out.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let kind = headers.get("content-type");
        let text = if kind.is_some_and(|kind| kind == "text/event-stream") {
            String::new()
        } else {
            response.text().await.expect("a text")
        };
        Answer {
            status,
            headers,
            text,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("PATCH", path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    /// All items of a list, page by page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let mut request = self.request("GET", path).query(&[("limit", "1000")]);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let page = self.send(request).await.expect(200).json();
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// Creates a customer; its id.
    pub async fn create_customer(&self, name: &str) -> String {
        let created = self
            .post("/customers", &json!({"name": name}))
            .await
            .expect(201)
            .json();
        created["id"].as_str().expect("an id").to_owned()
    }

    /// Begins to connect a tenant.
    pub async fn connect(&self, customer: &str, tenant: &str) -> Value {
        self.post(
            "/tenants/connect",
            &json!({"customerId": customer, "tenant": tenant}),
        )
        .await
        .expect(201)
        .json()
    }

    /// The status of a tenant.
    pub async fn status(&self, tenant: Uuid) -> Value {
        self.get(&format!("/tenants/{tenant}/sync-status"))
            .await
            .expect(200)
            .json()
    }

    /// Polls the status until `is_right`; the last one in the failure otherwise.
    pub async fn wait_for_status(
        &self,
        tenant: Uuid,
        what: &str,
        is_right: impl Fn(&Value) -> bool,
    ) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status(tenant).await;
            if is_right(&status) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "waited for {what}: {status:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until no run of the tenant is under way and the newest one has ended.
    pub async fn wait_for_run(&self, tenant: Uuid) -> Value {
        self.wait_for_status(tenant, "the end of the run", |status| {
            matches!(
                status["run"]["state"].as_str(),
                Some("completed" | "completedWithWarnings" | "failed" | "cancelled")
            )
        })
        .await
    }

    /// Starts a run and waits for its end.
    pub async fn sync(&self, tenant: Uuid, kind: &str) -> Value {
        let answer = self
            .post(&format!("/tenants/{tenant}/sync"), &json!({"kind": kind}))
            .await
            .expect(202)
            .json();
        let run = answer["syncRunId"].clone();
        self.wait_for_status(tenant, "the end of the run", |status| {
            status["run"]["id"] == run && !status["run"]["finishedAt"].is_null()
        })
        .await
    }
}

/// A running server with its stand-in for Microsoft.
pub struct TestApp {
    pub microsoft: FakeMicrosoft,
    pub database: TestDatabase,
    /// Organisation and owner's key of the first organisation.
    pub organization: String,
    pub owner_key: String,
    /// Calls as that owner.
    pub owner: Caller,
    extra: Vec<(String, String)>,
    server: Option<Process>,
    port: u16,
}

impl TestApp {
    /// Starts with defaults.
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, &[]).await
    }

    /// Starts with further settings.
    pub async fn start_with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let microsoft = FakeMicrosoft::start().await;
        let database = TestDatabase::new(backend);
        let port = free_port();
        microsoft.register_app(
            CLIENT_ID,
            CLIENT_SECRET,
            &format!("http://localhost:{port}{BASE}/tenants/callback"),
        );
        let extra = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let caller = Caller {
            http: http(),
            base: format!("http://localhost:{port}"),
            key: None,
        };
        let mut app = Self {
            microsoft,
            database,
            organization: String::new(),
            owner_key: String::new(),
            owner: caller,
            extra,
            server: None,
            port,
        };
        let (organization, key) = app.create_organization("Northwind MSP");
        app.owner = app.owner.with_key(Some(&key));
        app.organization = organization;
        app.owner_key = key;
        app.serve().await;
        app
    }

    /// The number of the server's process on this machine.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("a running server").pid()
    }

    /// Another organisation: its id and its owner's key.
    pub fn create_organization(&self, name: &str) -> (String, String) {
        let made = self.admin(&["create-organization", "--name", name]);
        (made["organizationId"].clone(), made["apiKey"].clone())
    }

    /// The owner of another organisation.
    pub fn owner_of_new(&self, name: &str) -> Caller {
        let (_, key) = self.create_organization(name);
        self.owner.with_key(Some(&key))
    }

    /// A key of another role in the first organisation: its id and text.
    pub fn create_key(&self, role: &str) -> (String, String) {
        let organization = ["--organization", &self.organization];
        let made = self.admin(&[&["create-api-key", "--role", role], &organization[..]].concat());
        (made["apiKeyId"].clone(), made["apiKey"].clone())
    }

    /// What a command of `tenantry admin` has made.
    fn admin(&self, arguments: &[&str]) -> BTreeMap<String, String> {
        let output = self.run(&[&["admin"], arguments, &["--json"]].concat());
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        serde_json::from_slice(&output.stdout).expect("JSON with texts")
    }

    /// A command of the binary with this app's settings, without more.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .env("TENANTRY_DATABASE_URL", self.database.url())
            .env("TENANTRY_LISTEN", format!("127.0.0.1:{}", self.port))
            .env(
                "TENANTRY_PUBLIC_URL",
                format!("http://localhost:{}", self.port),
            )
            .env(
                "TENANTRY_MASTER_KEY",
                "dGVuYW50cnktdGVzdC1tYXN0ZXIta2V5LTAxMjM0NTY=",
            )
            .env("TENANTRY_MICROSOFT_CLIENT_ID", CLIENT_ID)
            .env("TENANTRY_MICROSOFT_CLIENT_SECRET", CLIENT_SECRET)
            .env(
                "TENANTRY_MICROSOFT_AUTHORITY_URL",
                self.microsoft.login_url(),
            )
            .env("TENANTRY_MICROSOFT_GRAPH_URL", self.microsoft.graph_url())
            .env("TENANTRY_RATE_LIMIT", "0")
            .env("TENANTRY_TEST_CLOCK_FILE", self.clock_file())
            .envs(self.extra.iter().map(|(name, value)| (name, value)))
            .current_dir(self.database.folder());
        command
    }

    /// Runs a command of the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs")
    }

    fn clock_file(&self) -> std::path::PathBuf {
        self.database.folder().join("clock-offset")
    }

    /// Moves the server's clock, and the stand-in's, forward.
    pub fn advance_seconds(&self, seconds: i64) {
        let before: i64 = std::fs::read_to_string(self.clock_file())
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        std::fs::write(self.clock_file(), (before + seconds).to_string()).expect("the clock file");
        self.microsoft.cloud().advance_seconds(seconds);
    }

    /// Sets a setting for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.extra.push((name.to_owned(), value.to_owned()));
    }

    /// Takes such a setting back.
    pub fn unset(&mut self, name: &str) {
        self.extra.retain(|(known, _)| known != name);
    }

    /// Starts the server and waits until it listens.
    pub async fn serve(&mut self) {
        self.serve_as("all").await;
    }

    /// Starts it in one of its roles.
    pub async fn serve_as(&mut self, role: &str) {
        let command = &mut self.command(&["serve", "--role", role]);
        self.server = Some(Process::start(command).await);
    }

    /// Another process of the installation, in one of its roles and with further settings. An API
    /// process has an address of its own; a worker listens for `/readyz` and `/metrics`.
    pub async fn start_process(&self, role: &str, settings: &[(&str, &str)]) -> Process {
        let mut command = self.command(&["serve", "--role", role]);
        command
            .env("TENANTRY_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied());
        Process::start(&mut command).await
    }

    /// The owner, calling this process.
    pub fn owner_at(&self, process: &Process) -> Caller {
        Caller {
            base: format!("http://{}", process.address),
            ..self.owner.clone()
        }
    }

    /// What the server has logged since its start.
    pub fn log(&self) -> String {
        self.server.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Ends the server as `kill -9` does.
    pub fn kill(&mut self) {
        drop(self.server.take());
    }

    /// Waits until the server has ended by itself, as it does at a failpoint.
    pub async fn wait_for_end(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.wait_for_end(PATIENCE).await;
        }
    }

    /// Asks the server to end and waits for it; its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        let mut server = self.server.take()?;
        server.signal("TERM");
        server.wait_for_end(Duration::from_secs(40)).await
    }

    /// Where the server is reached.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// Connects a tenant as technician and administrator would; the last page the administrator saw.
    pub async fn onboard(&self, tenant: &Tenant) -> Visit {
        let customer = self.owner.create_customer(&tenant.display_name).await;
        let started = self
            .owner
            .connect(&customer, tenant.domains.first().expect("a domain"))
            .await;
        let mut browser = Browser::new();
        browser
            .open(started["authorizationUrl"].as_str().expect("a link"))
            .await
    }

    /// The same, and waits for the end of the first run.
    pub async fn onboard_and_sync(&self, tenant: &Tenant) -> Value {
        let page = self.onboard(tenant).await;
        assert_eq!(page.status, 200, "{} {}", page.url, page.text());
        self.owner.wait_for_run(tenant.id).await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            let violations = self.microsoft.cloud().violations();
            assert!(
                violations.is_empty(),
                "Microsoft would have objected: {violations:?}"
            );
            let unread = self.microsoft.cloud().faults.unread();
            assert!(
                unread.is_empty(),
                "scripted faults that never happened: {unread:?}"
            );
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the ban guards the product's outgoing calls; this is its caller"
)]
fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()
        .expect("a client")
}

/// A port that is free now. The public URL holds it, so it must be known before the server starts. Below the
/// ports that the system gives out by itself, and each once: nobody takes it in between.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 100).expect("below 100") * 100;
    loop {
        let port = 20_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
