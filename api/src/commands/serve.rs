//! `tenantry serve`: API, workers, or both, until the process is asked to end.

use std::{io, time::Duration};

use actix_web::{dev::ServerHandle, web::Data};
use tenantry_core::{
    access::OrgScope,
    microsoft::identity::IdentityClient,
    store::{DatabaseLocation, StoreError},
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    cli::{ServeOptions, ServerRole},
    config::{Config, HttpConfig, Needs, Warning},
    credential_watch,
    drain::Drain,
    failure::Failure,
    maintenance,
    routes::Surface,
    server::{self, BindError, Binding, Bound},
    signals::EndSignals,
    single_server::SingleServer,
    status_follower, telemetry, version,
    wiring::{self, Migrate, Services, Unlocked},
};

/// How long open requests and work under way may take to end, in seconds.
const DRAIN_SECONDS: u64 = 30;

/// Serves until the process is asked to end.
pub fn run(options: &ServeOptions) -> Result<(), Failure> {
    let runtime = wiring::runtime()?;
    let outcome = runtime.block_on(Box::pin(serve(options)));
    // A blocking call that hangs must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(options: &ServeOptions) -> Result<(), Failure> {
    let signals = EndSignals::listen()
        .map_err(|error| Failure::new("cannot listen to signals").because(error))?;
    let config = wiring::configure(Needs::MasterKey)?;
    let role = options.role;
    let is_sqlite = matches!(config.database.location, DatabaseLocation::Sqlite(_));
    if is_sqlite && role != ServerRole::All {
        return Err(Failure::new(format!("--role {} needs PostgreSQL", role.as_str())).advise(
            "A SQLite database serves one process: leave --role out, or set TENANTRY_DATABASE_URL to a PostgreSQL.",
        ));
    }
    announce(&config, role);
    let _sole_server = SingleServer::claim(&config.database)?;
    let migrate = if options.no_migrate {
        Migrate::Nothing
    } else {
        Migrate::Pending
    };
    let store = wiring::open_store(&config.database, wiring::clock(), migrate)?;
    let unlocked = wiring::unlock(store, config.master_key).await?;
    wiring::settle(&unlocked.store, &config.microsoft).await?;
    let services = wiring::services(
        &unlocked,
        &config.http,
        config.microsoft,
        config.upstreams,
        config.license_names,
        config.sync_workers,
    )?;
    prepare(&services, is_sqlite)
        .await
        .map_err(|error| Failure::new("cannot read the database").because(error))?;

    let drain = Drain::default();
    let server = if role.serves_api() || config.http.listen.is_some() {
        let surface = if role.serves_api() {
            Surface::Api
        } else {
            Surface::Worker
        };
        Some(listen(config.http, &services, &unlocked, &drain, surface)?)
    } else {
        None
    };
    let identity = services.identity.clone();
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(maintenance::run(services.clone(), stopped.clone()));
    tasks.spawn(credential_watch::run(services.clone(), stopped.clone()));
    if !is_sqlite {
        tasks.spawn(services.governor.clone().share(stopped.clone()));
    }
    if role.works()
        && let Some(worker) = services.worker()
    {
        tasks.spawn(worker.run(stopped.clone()));
    }
    if !is_sqlite {
        tasks.spawn(services.store.clone().listen(stopped.clone()));
        if role.serves_api() {
            tasks.spawn(status_follower::run(services, stopped));
        }
    }
    Process {
        server,
        drain,
        stop,
        tasks,
        identity,
        signals,
    }
    .run()
    .await
}

/// What an operator looks for first in the log.
fn announce(config: &Config, role: ServerRole) {
    tracing::info!(
        version = version::VERSION,
        database = config.database.shown,
        publicUrl = %config.http.public_url,
        role = role.as_str(),
        "starting"
    );
    if config.warnings.contains(&Warning::NoAppRegistration) {
        tracing::warn!(
            "no app registration: tenants can neither be connected nor synced; set TENANTRY_MICROSOFT_CLIENT_ID and its secret or certificate"
        );
    }
}

/// What must be in place before the first request and the first piece of work.
async fn prepare(services: &Services, is_sqlite: bool) -> Result<(), StoreError> {
    if is_sqlite {
        // Whoever held work here is dead: this process has the lock.
        for organization in services.organizations.list().await? {
            let scope = OrgScope::for_system(organization.id);
            services.credentials.take_over_holds(&scope).await?;
        }
        let pieces = services.sync.take_over_leases().await?;
        if pieces > 0 {
            tracing::info!(pieces, "going on with work that was interrupted");
        }
    }
    status_follower::follow(services).await
}

/// Binds the address, says so, and serves it.
fn listen(
    http: HttpConfig,
    services: &Services,
    unlocked: &Unlocked,
    drain: &Drain,
    surface: Surface,
) -> Result<Serving, Failure> {
    let binding = Binding {
        listen: http.listen_or_default(),
        tls: http.tls.clone().map(|files| (files.certificate, files.key)),
        surface,
    };
    let state = wiring::state(http, services, unlocked, drain)?;
    let Bound {
        address,
        server,
        handle,
    } = server::bind(Data::new(state), &binding).map_err(cannot_listen)?;
    let task = tokio::spawn(server);
    tracing::info!(target: telemetry::READY, %address, "listening");
    Ok(Serving { handle, task })
}

fn cannot_listen(error: BindError) -> Failure {
    match error {
        BindError::Address { address, source } => Failure::new(format!(
            "cannot listen on {address}"
        ))
        .because(source)
        .advise("End the program that uses this port, or set TENANTRY_LISTEN to another address."),
        error @ (BindError::TlsFile { .. } | BindError::Tls(_)) => Failure::new("cannot serve TLS")
            .because(error.to_string())
            .advise("Check TENANTRY_TLS_CERTIFICATE_FILE and TENANTRY_TLS_KEY_FILE."),
    }
}

/// The HTTP server at work.
struct Serving {
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
}

/// A process that serves.
struct Process {
    server: Option<Serving>,
    drain: Drain,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    identity: IdentityClient,
    signals: EndSignals,
}

impl Process {
    /// Serves until a signal comes, then ends in order: not ready, no new connection, open requests to
    /// their end, work to its next commit. A second signal ends the process at once.
    async fn run(mut self) -> Result<(), Failure> {
        let failed = tokio::select! {
            () = self.signals.next() => None,
            failure = server_ended(&mut self.server) => Some(failure),
            failure = task_ended(&mut self.tasks) => Some(failure),
        };
        tracing::info!("stopping");
        let Self {
            server,
            drain,
            stop,
            mut tasks,
            identity,
            mut signals,
        } = self;
        let impatience = tokio::spawn(async move {
            signals.next().await;
            tracing::warn!("leaving at once");
            std::process::exit(1);
        });
        drain.begin();
        stop.send_replace(true);
        let requests = async {
            if let Some(server) = server {
                server.handle.stop(true).await;
            }
        };
        let work = async { while tasks.join_next().await.is_some() {} };
        let in_order = async {
            tokio::join!(requests, work);
            // A refresh token on its way into the store may be the only good one.
            identity.finish_exchanges().await;
        };
        if tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS), in_order)
            .await
            .is_err()
        {
            tracing::warn!(
                "what was under way did not end in time; it goes on from its last commit at the next start"
            );
        }
        impatience.abort();
        tracing::info!("stopped");
        failed.map_or(Ok(()), Err)
    }
}

/// Returns when the HTTP server ends without being asked to; never without a server.
async fn server_ended(server: &mut Option<Serving>) -> Failure {
    let Some(serving) = server else {
        return std::future::pending().await;
    };
    let failure = Failure::new("the HTTP server ended by itself");
    match (&mut serving.task).await {
        Ok(Ok(())) => failure,
        Ok(Err(error)) => failure.because(error),
        Err(error) => failure.because(error),
    }
}

/// Returns when a task that should run for ever has ended; never without tasks.
async fn task_ended(tasks: &mut JoinSet<()>) -> Failure {
    let failure = Failure::new("a part of the server ended by itself");
    match tasks.join_next().await {
        None => std::future::pending().await,
        Some(Ok(())) => failure,
        Some(Err(error)) => failure.because(error),
    }
}
