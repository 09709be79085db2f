//! A stand-in for Microsoft's cloud: login, Graph and the report downloads as real HTTP servers.
//!
//! It knows everything it serves (the truth tests compare with), checks what the real service checks,
//! and plays scripted faults. It never reaches the internet and is not part of the product.

pub mod directory;
pub mod faults;
pub mod gate;
pub mod graph;
pub mod login;
pub mod national;
pub mod reports;
pub mod request_log;
pub mod seed;
pub mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use actix_web::{App as ActixApp, HttpServer, dev::ServerHandle, web};
use uuid::Uuid;

use faults::Faults;
use gate::Gate;
use seed::TenantSeed;
use state::{App, Cloud, Grant, Tenant};

/// Application permissions of the seven initial data sets.
pub const INITIAL_APP_ROLES: [&str; 8] = [
    "Organization.Read.All",
    "User.Read.All",
    "Group.Read.All",
    "SecurityEvents.Read.All",
    "DeviceManagementManagedDevices.Read.All",
    "Reports.Read.All",
    "ReportSettings.Read.All",
    "MailboxSettings.Read",
];

/// Delegated permissions every registration has besides those of the data sets.
const SIGN_IN_SCOPES: [&str; 5] = ["openid", "profile", "email", "offline_access", "User.Read"];

/// The running stand-in. The servers stop when it is dropped.
pub struct FakeMicrosoft {
    cloud: Arc<Cloud>,
    handles: Vec<ServerHandle>,
}

/// Ports of the three servers; 0 takes a free one.
#[derive(Clone, Copy, Default, Debug)]
pub struct Ports {
    pub login: u16,
    pub graph: u16,
    pub reports: u16,
}

impl FakeMicrosoft {
    /// Starts on free ports. The servers have a thread of their own, whatever runtime calls this.
    pub async fn start() -> Self {
        Self::start_blocking()
    }

    /// The same for a plain `#[test]`.
    pub fn start_blocking() -> Self {
        Self::start_on(Ports::default()).expect("free ports on 127.0.0.1")
    }

    /// Starts on the given ports of 127.0.0.1.
    pub fn start_on(ports: Ports) -> io::Result<Self> {
        let (login, login_origin) = bind(ports.login)?;
        let (graph, graph_origin) = bind(ports.graph)?;
        let (reports, reports_origin) = bind(ports.reports)?;
        let cloud = Arc::new(Cloud::new(login_origin, graph_origin, reports_origin));
        let handles = serve(&cloud, [login, graph, reports])?;
        Ok(Self { cloud, handles })
    }

    /// The state all three servers share.
    pub fn cloud(&self) -> Arc<Cloud> {
        Arc::clone(&self.cloud)
    }

    /// Origin of the login server, without a trailing slash.
    pub fn login_url(&self) -> String {
        self.cloud.login_origin.clone()
    }

    /// Origin of the Graph server, without a trailing slash.
    pub fn graph_url(&self) -> String {
        self.cloud.graph_origin.clone()
    }

    /// Origin of the server that hands out report downloads.
    pub fn reports_url(&self) -> String {
        self.cloud.reports_origin.clone()
    }

    /// Registers a multi-tenant app with the read permissions of the initial data sets, as
    /// application permissions and as delegated ones.
    pub fn register_app(&self, client_id: &str, secret: &str, redirect_uri: &str) {
        let roles = INITIAL_APP_ROLES.iter().map(ToString::to_string);
        let scopes = SIGN_IN_SCOPES.iter().chain(&INITIAL_APP_ROLES);
        let app = App {
            client_id: client_id.to_owned(),
            client_secret: secret.to_owned(),
            only_tenant: None,
            redirect_uris: vec![redirect_uri.to_owned()],
            app_roles: roles.collect(),
            scopes: scopes.map(ToString::to_string).collect(),
        };
        let mut apps = self.cloud.apps.write().expect("apps");
        apps.insert(client_id.to_owned(), app);
    }

    /// Registers a customer's own app: for one tenant alone, without a redirect URI, with these
    /// application permissions already granted there. The secret has an id besides its value:
    /// `login::secret_id`.
    pub fn register_tenant_app(
        &self,
        tenant: &Tenant,
        client_id: &str,
        secret: &str,
        roles: &[&str],
    ) {
        let app_roles: BTreeSet<String> = roles.iter().map(ToString::to_string).collect();
        let app = App {
            client_id: client_id.to_owned(),
            client_secret: secret.to_owned(),
            only_tenant: Some(tenant.id),
            redirect_uris: Vec::new(),
            app_roles: app_roles.clone(),
            scopes: BTreeSet::new(),
        };
        let grant = Grant {
            app_roles,
            ..Grant::default()
        };
        let mut apps = self.cloud.apps.write().expect("apps");
        apps.insert(client_id.to_owned(), app);
        let mut grants = tenant.grants.lock().expect("grants");
        grants.insert(client_id.to_owned(), grant);
    }

    /// Generates a tenant and makes it reachable.
    pub fn add_tenant(&self, seed: TenantSeed) -> Arc<Tenant> {
        let tenant = Arc::new(seed.generate());
        let mut tenants = self.cloud.tenants.write().expect("tenants");
        tenants.insert(tenant.id, Arc::clone(&tenant));
        tenant
    }
}

impl Drop for FakeMicrosoft {
    fn drop(&mut self) {
        self.cloud.release();
        for handle in &self.handles {
            // The command is sent at once; there is nobody to await its end.
            drop(handle.stop(false));
        }
    }
}

impl Cloud {
    /// An empty cloud at these origins.
    pub fn new(login_origin: String, graph_origin: String, reports_origin: String) -> Self {
        Self {
            login_origin,
            graph_origin,
            reports_origin,
            apps: RwLock::default(),
            tenants: RwLock::default(),
            codes: Mutex::default(),
            access_tokens: Mutex::default(),
            log: Mutex::default(),
            faults: Faults::default(),
            graph_delay_ms: AtomicU64::new(0),
            report_downloads: Mutex::default(),
            violations: Mutex::default(),
            gate: Gate::default(),
            activity: tokio::sync::Notify::new(),
            clock_offset_seconds: AtomicI64::new(0),
            moments: AtomicU64::new(0),
            budgets: Mutex::default(),
            homes: RwLock::default(),
            login: login::LoginState::default(),
        }
    }

    /// The tenant with this id.
    pub fn tenant(&self, id: Uuid) -> Option<Arc<Tenant>> {
        self.tenants.read().expect("tenants").get(&id).cloned()
    }

    /// The stand-in's time in Unix seconds: the real one plus what tests put on top.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the stand-in reads the clock"
    )]
    pub fn now_unix(&self) -> i64 {
        chrono::Utc::now().timestamp() + self.clock_offset_seconds.load(Ordering::Relaxed)
    }

    /// Moves the stand-in's time forward, so that tokens and download links expire.
    pub fn advance_seconds(&self, seconds: i64) {
        self.clock_offset_seconds
            .fetch_add(seconds, Ordering::Relaxed);
    }

    /// The next of a row of moments. It tells what came first where seconds are too coarse.
    pub fn next_moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes something a client must never do. A test asserts that there is none.
    pub fn record_violation(&self, what: String) {
        self.violations.lock().expect("violations").push(what);
    }

    /// What clients did that they must never do, oldest first.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("violations").clone()
    }
}

/// Largest request body that the servers read.
const MAX_BODY: usize = 4 * 1024 * 1024;

fn bind(port: u16) -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let origin = format!("http://{}", listener.local_addr()?);
    Ok((listener, origin))
}

/// Runs the servers on a thread with an actix system of its own.
fn serve(cloud: &Arc<Cloud>, listeners: [TcpListener; 3]) -> io::Result<Vec<ServerHandle>> {
    let [login, graph, reports] = listeners;
    let data = web::Data::from(Arc::clone(cloud));
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("fake-microsoft".to_owned())
        .spawn(move || {
            let outcome = actix_web::rt::System::new().block_on(async move {
                let login = start(login, 1, &data, login::routes)?;
                let graph = start(graph, 2, &data, graph::routes)?;
                let reports = start(reports, 1, &data, reports::routes)?;
                let handles = vec![login.handle(), graph.handle(), reports.handle()];
                let _ = sender.send(handles);
                futures_util::future::try_join3(login, graph, reports).await
            });
            drop(outcome);
        })?;
    receiver
        .recv()
        .map_err(|_| io::Error::other("the stand-in's servers did not start"))
}

fn start(
    listener: TcpListener,
    workers: usize,
    data: &web::Data<Cloud>,
    routes: fn(&mut web::ServiceConfig),
) -> io::Result<actix_web::dev::Server> {
    let data = data.clone();
    let server = HttpServer::new(move || {
        ActixApp::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .configure(routes)
    });
    Ok(server
        .workers(workers)
        .disable_signals()
        .listen(listener)?
        .run())
}
