//! What the stand-in knows: app registrations, tenants, people, consent, tokens and its own log.
//!
//! `login` and `graph` are two views on this one state. The directory (users, groups, devices …)
//! of a tenant is in `directory`; scripted faults are in `faults`.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, RwLock},
    time::Instant,
};

use uuid::Uuid;

use super::{
    directory::Directory, faults::Faults, gate::Gate, graph::throttle::Budgets, login::LoginState,
    national::Homes, reports::ReportDownload,
};

/// Resource id of Microsoft Graph.
pub const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";
/// Role template id of Global Administrator.
pub const GLOBAL_ADMINISTRATOR: Uuid = Uuid::from_u128(0x62e90394_69f5_4237_9190_012177145e10);

/// The whole stand-in cloud. Shared by the login, Graph and reports servers.
pub struct Cloud {
    /// `http://127.0.0.1:PORT` of the login server, no trailing slash.
    pub login_origin: String,
    /// The same of the Graph server.
    pub graph_origin: String,
    /// The same of the host that serves report downloads (it must never see an Authorization).
    pub reports_origin: String,
    /// App registrations by client id.
    pub apps: RwLock<HashMap<String, App>>,
    /// Tenants by id.
    pub tenants: RwLock<HashMap<Uuid, Arc<Tenant>>>,
    /// Authorization codes that were issued: kept after redemption to tell a replay (54005).
    pub codes: Mutex<HashMap<String, IssuedCode>>,
    /// Access tokens by their whole text.
    pub access_tokens: Mutex<HashMap<String, AccessToken>>,
    /// Every request any of the servers received, in order.
    pub log: Mutex<Vec<LoggedRequest>>,
    /// Scripted faults.
    pub faults: Faults,
    /// Delay put before every Graph answer, in milliseconds (benchmarks at 100 ms a call).
    pub graph_delay_ms: std::sync::atomic::AtomicU64,
    /// Pre-authenticated report downloads by the last segment of their path.
    pub report_downloads: Mutex<HashMap<String, ReportDownload>>,
    /// What clients did that they must never do.
    pub violations: Mutex<Vec<String>>,
    /// Requests that tests stop at a known point.
    pub gate: Gate,
    /// Rung whenever the request log changes.
    pub activity: tokio::sync::Notify,
    /// Seconds that tests put on top of the real time.
    pub clock_offset_seconds: std::sync::atomic::AtomicI64,
    /// How many moments there have been: see `Cloud::next_moment`.
    pub moments: std::sync::atomic::AtomicU64,
    /// Resource units that apps may use, where a test limits them.
    pub budgets: Mutex<Budgets>,
    /// Which of Microsoft's clouds this is, and which tenants live in another.
    pub homes: RwLock<Homes>,
    /// What only the login server keeps, and what tests have it do.
    pub login: LoginState,
}

/// An app registration (confidential).
#[derive(Clone)]
pub struct App {
    pub client_id: String,
    pub client_secret: String,
    /// The tenant of a registration for that tenant alone. None: for any tenant.
    pub only_tenant: Option<Uuid>,
    pub redirect_uris: Vec<String>,
    /// Application permissions in the registration, by name: what `.default` asks for.
    pub app_roles: BTreeSet<String>,
    /// Delegated permissions in the registration, by name.
    pub scopes: BTreeSet<String>,
}

/// A tenant: its sign-in side here, its contents in `directory`.
pub struct Tenant {
    pub id: Uuid,
    pub display_name: String,
    /// Verified domains; the first is the default, one ends with `.onmicrosoft.com`.
    pub domains: Vec<String>,
    /// `tenant_region_scope` and `tenant_region_sub_scope` of the discovery document.
    pub region_scope: String,
    pub region_sub_scope: Option<String>,
    /// Who can sign in. The first is a Global Administrator unless the test says otherwise.
    pub people: RwLock<Vec<Person>>,
    /// What was consented, by client id. No entry: no service principal in this tenant.
    pub grants: Mutex<HashMap<String, Grant>>,
    /// What the administrator does at the login and consent pages. `Ask` shows a page to a person.
    pub decision: RwLock<Decision>,
    pub directory: Mutex<Directory>,
}

/// Someone who can sign in to a tenant.
#[derive(Clone)]
pub struct Person {
    pub oid: Uuid,
    pub upn: String,
    pub name: String,
    /// Role template ids of this person's directory roles.
    pub wids: Vec<Uuid>,
    /// A guest: `acct` = 1 and an `idp` of another issuer in the id token.
    pub guest: bool,
    /// A personal account: the id token carries the consumer tenant's `tid` and issuer.
    pub personal: bool,
    /// Whether the id token carries `wids` (needs an optional claim in the real registration);
    /// without it the roles are only readable at `/me/transitiveMemberOf/microsoft.graph.directoryRole`.
    pub wids_in_token: bool,
}

/// What the person in front of Microsoft's pages does.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Show a real HTML page with the choices (demo by hand, browser tests).
    #[default]
    Ask,
    /// Sign in as the first person and accept.
    Accept,
    /// Sign in as the person with this UPN (of any tenant) and accept.
    AcceptAs(String),
    /// Press Cancel on the sign-in page (`error=access_denied&error_subcode=cancel`).
    CancelSignIn,
    /// Sign in, then press Cancel on the consent page (`admin_consent=True&error=consent_required` with 65004).
    DeclineConsent,
    /// The consent page sends this AADSTS code instead of success (for example 90094, 90095).
    ConsentError(u32),
    /// Accept, but withhold these permissions, application or delegated (a registration that changed
    /// meanwhile).
    AcceptWithout(BTreeSet<String>),
}

/// What a tenant granted to an app.
#[derive(Clone, Default)]
pub struct Grant {
    pub app_roles: BTreeSet<String>,
    pub scopes: BTreeSet<String>,
    /// For this many more token requests the new service principal is "not there yet":
    /// 0 is ready. `lag_without_roles` says whether the lag shows as 700016 or as a token without `roles`.
    pub lag_requests: u32,
    pub lag_without_roles: bool,
}

/// Who signed in where, for which app, and what was asked for.
#[derive(Clone)]
pub struct SignIn {
    pub tenant: Uuid,
    pub person: Person,
    pub client_id: String,
    /// As it was asked for, with the scopes of OpenID Connect.
    pub scope: String,
    pub nonce: Option<String>,
    /// The moment of the sign-in, by `Cloud::next_moment`.
    pub moment: u64,
}

/// An authorization code and everything it is bound to.
#[derive(Clone)]
pub struct IssuedCode {
    pub sign_in: SignIn,
    pub redirect_uri: String,
    pub code_challenge: Option<String>,
    pub redeemed: bool,
    /// Unix seconds.
    pub issued_at: i64,
}

/// What an access token stands for.
#[derive(Clone)]
pub struct AccessToken {
    pub tenant: Uuid,
    pub client_id: String,
    /// Audience: the resource origin, for example `https://graph.microsoft.com`.
    pub audience: String,
    /// Application permissions (app-only tokens).
    pub roles: BTreeSet<String>,
    /// Delegated permissions and who signed in (user tokens).
    pub scopes: BTreeSet<String>,
    pub person: Option<Person>,
    /// The moment of issue, by `Cloud::next_moment`.
    pub issued: u64,
    /// The moment when that person signed in; that of issue for app-only tokens.
    pub signed_in: u64,
    /// Unix seconds.
    pub expires_at: i64,
}

/// One request as a server received it.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// `login`, `graph` or `reports`.
    pub server: &'static str,
    pub method: String,
    pub path_and_query: String,
    /// The tenant it was for, where known.
    pub tenant: Option<Uuid>,
    pub had_authorization: bool,
    pub status: u16,
    /// When it came, in real time.
    pub at: Instant,
    /// When it was answered; none while it is not.
    pub answered_at: Option<Instant>,
    /// Items inside a `$batch`, as `METHOD url`.
    pub batch: Vec<String>,
    /// The form body of a token request with secret values replaced by `***`.
    pub form: Option<String>,
}
