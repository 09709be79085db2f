//! Builds everything once, from the settings. The only place that knows every room; decides nothing.

use std::{fs::OpenOptions, io, num::NonZeroU16, path::Path, sync::Arc};

use tenantry_core::{
    access::keys::KeyService,
    audit::AuditService,
    budgets::DatabaseShares,
    clock::Clock,
    consent::{ConsentService, ConsentSettings, Prover, ReturnUrls},
    credentials::{ConnectionCredentials, ConnectionKeys},
    customers::CustomerService,
    idempotency::Idempotency,
    installation::{self, Installation, InstallationError},
    inventory::{InventoryService, license_names::LicenseNamesFile},
    matching::{MatchingService, OwnDomainsService},
    microsoft::{
        client_credential::ClientCredential,
        cloud::Origin,
        graph::{GraphClient, Patience},
        identity::IdentityClient,
        throttle::{Budgets, Governor},
    },
    organizations::OrganizationService,
    outbound::{Limits, Outbound},
    secrets::{MasterKey, SecretText, Vault},
    store::{DatabaseLocation, GuardError, MigrationError, OpenError, Store, StoreError},
    sync::{SyncService, WakeUp, Worker},
    tenants::TenantService,
};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::{
    auth::{KeyCache, RateLimiter},
    config::{
        Config, DatabaseConfig, HttpConfig, MasterKeySource, MicrosoftConfig, Needs, Warning,
    },
    drain::Drain,
    failure::Failure,
    metrics::{Metrics, Watched},
    paging::Cursors,
    readiness::Readiness,
    state::AppState,
    telemetry, version,
};

/// Where Microsoft sends browsers back to, below the public URL. Fixed by the contract with every
/// app registration.
const CALLBACK: &str = "/api/msp-portal/tenants/callback";

/// Whether opening the database also brings its schema up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// Yes.
    Pending,
    /// No: what is pending refuses.
    Nothing,
}

/// A database with the master key that fits it.
pub struct Unlocked {
    /// The database.
    pub store: Store,
    /// Its master key.
    pub master: Arc<MasterKey>,
    /// The vault under that key.
    pub vault: Vault,
}

/// Reads the settings and starts logging.
pub fn configure(needs: Needs) -> Result<Config, Failure> {
    let config = Config::of_process(needs).map_err(|error| Failure::new(error.to_string()))?;
    telemetry::init(&config.log);
    for warning in &config.warnings {
        if let Warning::UnknownVariable { name, nearest } = warning {
            let nearest = nearest.as_deref().unwrap_or("none");
            tracing::warn!(
                variable = name,
                nearest,
                "a variable is no setting and was ignored"
            );
        }
    }
    Ok(config)
}

/// The runtime that everything asynchronous runs on.
pub fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start threads").because(error))
}

/// The machine's clock.
#[cfg(not(feature = "failpoints"))]
pub fn clock() -> Clock {
    Clock::system()
}

/// The machine's clock, moved by the seconds that stand in the file `TENANTRY_TEST_CLOCK_FILE` names:
/// tests let hours pass. The file is read at each call, so that they can do so while we run.
#[cfg(feature = "failpoints")]
pub fn clock() -> Clock {
    let system = Clock::system();
    let Some(file) = std::env::var_os("TENANTRY_TEST_CLOCK_FILE") else {
        return system;
    };
    Clock::from_fn(move || {
        let offset = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse::<i64>().ok());
        system.now() + chrono::TimeDelta::seconds(offset.unwrap_or(0))
    })
}

/// Microsoft's limits.
#[cfg(not(feature = "failpoints"))]
fn budgets() -> Budgets {
    Budgets::default()
}

/// Microsoft's limits, or what `TENANTRY_TEST_BUDGETS` says: requests in ten seconds and resource units
/// in twenty, of the application, with a comma between them.
#[cfg(feature = "failpoints")]
fn budgets() -> Budgets {
    let told = std::env::var("TENANTRY_TEST_BUDGETS").ok();
    let numbers = told.as_deref().and_then(|text| text.split_once(','));
    let parsed = numbers
        .and_then(|(requests, identity)| Some((requests.parse().ok()?, identity.parse().ok()?)));
    match parsed {
        Some((requests, identity)) => Budgets {
            requests,
            identity,
            ..Budgets::default()
        },
        None => Budgets::default(),
    }
}

/// Who keeps to these limits: this process alone, or with the others on the same database.
fn governor(store: &Store, application: &str) -> Governor {
    let application = application.to_owned();
    match store.location() {
        DatabaseLocation::Sqlite(_) => Governor::alone(application, budgets()),
        DatabaseLocation::Postgres { .. } => {
            let shares = DatabaseShares::new(store.clone(), application.clone());
            Governor::sharing(application, budgets(), Arc::new(shares))
        }
    }
}

/// Opens the database.
pub fn open_store(
    database: &DatabaseConfig,
    clock: Clock,
    migrate: Migrate,
) -> Result<Store, Failure> {
    let failed = |error: OpenError| {
        let advice = advice(&error, database);
        Failure::new(format!("cannot open {}", database.shown))
            .because(error)
            .advise(advice)
    };
    if let DatabaseLocation::Sqlite(path) = &database.location {
        if migrate == Migrate::Pending {
            make_private(path)
                .map_err(|error| failed(StoreError::Unavailable(error.into()).into()))?;
        } else if !path.exists() {
            return Err(
                Failure::new(format!("there is no database {}", database.shown))
                    .advise("Check TENANTRY_DATABASE_URL, or make it with `tenantry migrate`."),
            );
        }
    }
    Store::open(
        database.location.clone(),
        clock,
        migrate == Migrate::Pending,
    )
    .map_err(failed)
}

/// Makes the file of a new SQLite database, readable by its owner only: SQLite itself would let
/// everyone on the machine read it. Its companion files take their mode from it.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_file) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// What to do about a database that cannot be opened.
fn advice(error: &OpenError, database: &DatabaseConfig) -> &'static str {
    let unreachable = match &database.location {
        DatabaseLocation::Sqlite(_) => {
            "Run it as the owner of the folder, or set TENANTRY_DATABASE_URL to a file that can be written."
        }
        DatabaseLocation::Postgres { .. } => {
            "Check that PostgreSQL runs there, and user, password and database in TENANTRY_DATABASE_URL."
        }
    };
    match error {
        OpenError::Migration(MigrationError::Newer { .. }) => {
            "Start the version that migrated it, or a newer one."
        }
        OpenError::Migration(MigrationError::Pending { .. }) => {
            "Run `tenantry migrate`, or start without --no-migrate."
        }
        OpenError::Migration(MigrationError::Failed(source))
            if source.to_string().contains("tenantry_app") =>
        {
            "Give the role that migrates CREATEROLE, or let a superuser run: CREATE ROLE tenantry_app NOLOGIN; GRANT tenantry_app TO <that role>;"
        }
        OpenError::Migration(MigrationError::Failed(_)) => {
            "Nothing was changed: a database in use still fits the version that used it. Start that one, and report this."
        }
        OpenError::Migration(MigrationError::Store(_)) | OpenError::Store(_) => unreachable,
        OpenError::Guard(GuardError::Store(_)) => unreachable,
        OpenError::Guard(_) => {
            "Give TENANTRY_DATABASE_URL a role that owns nothing and bypasses nothing, and TENANTRY_DATABASE_ADMIN_URL the owner's."
        }
    }
}

/// Finds or makes the master key, and refuses one that does not fit the database.
pub async fn unlock(store: Store, source: MasterKeySource) -> Result<Unlocked, Failure> {
    let master = match source {
        MasterKeySource::Given(key) => key,
        MasterKeySource::Beside(database) => key_beside(&store, &database).await?,
        MasterKeySource::NotNeeded => {
            return Err(Failure::new("this command was given no master key"));
        }
    };
    let Installation { id } = installation::ensure(&store, &master)
        .await
        .map_err(not_this_installation)?;
    let vault = Vault::new(&master, id);
    Ok(Unlocked {
        store,
        master: Arc::new(master),
        vault,
    })
}

/// Settles the installation in the cloud of the settings, unless its tenants live in another one.
pub async fn settle(store: &Store, microsoft: &MicrosoftConfig) -> Result<(), Failure> {
    installation::settle_in(store, microsoft.profile.cloud())
        .await
        .map_err(not_this_installation)
}

fn not_this_installation(error: InstallationError) -> Failure {
    match error {
        InstallationError::WrongMasterKey => Failure::new("cannot start").because(error).advise(
            "Set TENANTRY_MASTER_KEY or TENANTRY_MASTER_KEY_FILE to the key that this database was made with; nothing was written.",
        ),
        InstallationError::OtherCloud { .. } => Failure::new("cannot start").because(error).advise(
            "Set TENANTRY_MICROSOFT_CLOUD back, or use a database of its own for the other cloud; nothing was written.",
        ),
        InstallationError::Store(error) => Failure::new("cannot use the database").because(error),
    }
}

/// The key in the file beside a SQLite database. One is made only for a database that has none yet: in
/// the place of a lost key a new one would be of no use, and would hide that the old one is missing.
async fn key_beside(store: &Store, database: &Path) -> Result<MasterKey, Failure> {
    let path = MasterKey::path_beside(database);
    let refused = |error| Failure::new("cannot use the master key").because(error);
    let exists = path.try_exists().map_err(|error| {
        Failure::new(format!("cannot look for the master key {}", path.display())).because(error)
    })?;
    if exists {
        return MasterKey::from_file(&path).map_err(refused);
    }
    let has_key = installation::exists(store)
        .await
        .map_err(|error: StoreError| Failure::new("cannot use the database").because(error))?;
    if has_key {
        return Err(Failure::new(format!("the master key {} is missing", path.display())).advise(
            "Put the file back from your backup, or set TENANTRY_MASTER_KEY; without the key the stored credentials cannot be read.",
        ));
    }
    let (key, path) = MasterKey::generate_beside(database).map_err(refused)?;
    tracing::warn!(
        path = %path.display(),
        "a new master key was made; keep a copy apart from the database: without it every tenant must be connected again"
    );
    Ok(key)
}

/// What the rooms offer, built once. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct Services {
    /// The database.
    pub store: Store,
    /// API keys.
    pub keys: KeyService,
    /// Organisations.
    pub organizations: OrganizationService,
    /// Customers.
    pub customers: CustomerService,
    /// Which customers tenants belong to.
    pub matching: MatchingService,
    /// The organisations' own domains.
    pub own_domains: OwnDomainsService,
    /// Tenants.
    pub tenants: TenantService,
    /// Connecting tenants. Without an app registration there is no way to.
    pub consent: Option<ConsentService>,
    /// Syncs.
    pub sync: SyncService,
    /// What syncs found.
    pub inventory: InventoryService,
    /// The audit.
    pub audit: AuditService,
    /// The answers of creating calls.
    pub idempotency: Idempotency,
    /// Counts the calls of each key.
    pub rate_limiter: Arc<RateLimiter>,
    /// The credential of the app registration.
    pub credential: Option<ClientCredential>,
    /// Keeps to Microsoft's limits.
    pub governor: Governor,
    /// Microsoft's identity platform.
    pub identity: IdentityClient,
    /// The stored credentials of connections.
    pub credentials: ConnectionCredentials,
    syncing: Option<Syncing>,
}

/// What a worker is made of. There is none without an app registration: Microsoft would refuse every
/// token, and tell each tenant's status so.
#[derive(Clone)]
struct Syncing {
    graph: GraphClient,
    prover: Prover,
    wake: WakeUp,
    slots: NonZeroU16,
}

/// Builds the services.
pub fn services(
    unlocked: &Unlocked,
    http: &HttpConfig,
    microsoft: MicrosoftConfig,
    license_names: LicenseNamesFile,
    slots: NonZeroU16,
) -> Result<Services, Failure> {
    let Unlocked {
        store,
        master,
        vault,
    } = unlocked;
    let wake = WakeUp::default();
    let is_registered = microsoft.credential.is_some();
    let credential = microsoft.credential.clone();
    let outbound = Outbound::new(Limits::default()).map_err(|error| {
        Failure::new("cannot prepare HTTPS")
            .because(error)
            .advise("Install the system's certificate authorities (Debian: ca-certificates).")
    })?;
    let outbound = outbound.with_measures(Arc::clone(store.measures()));
    let stored = ConnectionCredentials::new(store.clone(), ConnectionKeys::new(vault.clone()));
    let identity = identity(&http.public_url, microsoft, &outbound, store.clock())?
        .with_source(Arc::new(stored.clone()));
    let governor = governor(store, identity.client_id());
    let graph = GraphClient::governed(
        identity.clone(),
        outbound.clone(),
        store.clock().clone(),
        Patience::default(),
        governor.clone(),
    );
    let prover = Prover::new(store.clone(), identity.clone(), graph.clone(), wake.clone());
    let settings = ConsentSettings {
        public_url: url_of(&http.public_url)?,
        return_urls: ReturnUrls::new(http.return_urls.clone()),
    };
    let consent = ConsentService::new(
        store.clone(),
        vault.clone(),
        identity.clone(),
        outbound,
        prover.clone(),
        settings,
    );
    Ok(Services {
        store: store.clone(),
        keys: KeyService::new(store.clone(), Arc::clone(master)),
        organizations: OrganizationService::new(store.clone(), Arc::clone(master)),
        customers: CustomerService::new(store.clone()),
        matching: MatchingService::new(store.clone()),
        own_domains: OwnDomainsService::new(store.clone()),
        tenants: TenantService::new(store.clone(), identity.clone()),
        consent: is_registered.then_some(consent),
        sync: SyncService::new(store.clone(), wake.clone()),
        inventory: InventoryService::new(store.clone(), Arc::new(license_names)),
        audit: AuditService::new(store.clone()),
        idempotency: Idempotency::new(store.clone(), vault.clone()),
        rate_limiter: Arc::new(RateLimiter::per_minute(http.rate_limit)),
        credential,
        governor,
        identity,
        credentials: stored,
        syncing: is_registered.then_some(Syncing {
            graph,
            prover,
            wake,
            slots,
        }),
    })
}

impl Services {
    /// A worker of this process; `None` without an app registration.
    pub fn worker(&self) -> Option<Worker> {
        let Syncing {
            graph,
            prover,
            wake,
            slots,
        } = self.syncing.clone()?;
        Some(Worker::new(
            self.store.clone(),
            graph,
            prover,
            wake,
            slots.get().into(),
        ))
    }
}

/// The client of Microsoft's identity platform. Without a registration one stands there that is never
/// asked for a token, because tenants can then neither be connected nor synced.
fn identity(
    public_url: &Origin,
    microsoft: MicrosoftConfig,
    outbound: &Outbound,
    clock: &Clock,
) -> Result<IdentityClient, Failure> {
    let credential = microsoft.credential.unwrap_or_else(|| {
        ClientCredential::with_secret(String::new(), SecretText::new(String::new()))
    });
    let redirect_uri = format!("{public_url}{CALLBACK}");
    IdentityClient::new(
        microsoft.profile,
        credential,
        redirect_uri,
        outbound.clone(),
        clock.clone(),
    )
    .map_err(|error| Failure::new("cannot use TENANTRY_PUBLIC_URL").because(error))
}

fn url_of(origin: &Origin) -> Result<Url, Failure> {
    Url::parse(origin.as_str())
        .map_err(|error| Failure::new("cannot use TENANTRY_PUBLIC_URL").because(error))
}

/// What the handlers share.
pub fn state(
    http: HttpConfig,
    services: &Services,
    unlocked: &Unlocked,
    drain: &Drain,
) -> Result<AppState, Failure> {
    let services = services.clone();
    let clock = services.store.clock().clone();
    let metrics = Metrics::new(
        version::VERSION,
        version::COMMIT.unwrap_or("unknown"),
        Watched {
            store: services.store.clone(),
            sync: services.sync.clone(),
            credential: services.credential.clone(),
            governor: services.governor.clone(),
        },
    )
    .map_err(|error| Failure::new("cannot prepare the metrics").because(error))?;
    Ok(AppState {
        public_url: http.public_url,
        trusted_proxies: http.trusted_proxies,
        metrics_token: http.metrics_token,
        keys: KeyCache::new(services.keys.clone(), clock.clone()),
        rate_limiter: services.rate_limiter,
        cursors: Cursors::new(&unlocked.master),
        idempotency: services.idempotency,
        organizations: services.organizations,
        customers: services.customers,
        matching: services.matching,
        own_domains: services.own_domains,
        tenants: services.tenants,
        consent: services.consent,
        audit: services.audit,
        sync: services.sync,
        inventory: services.inventory,
        metrics: Arc::new(metrics),
        readiness: Readiness {
            store: services.store,
            keys: services.keys,
            drain: drain.clone(),
            clock,
            credential: services.credential,
        },
        drain: drain.clone(),
    })
}
