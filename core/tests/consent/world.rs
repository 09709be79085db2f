//! Two organisations with a customer each, the rooms under test over a fresh database, the stand-in
//! for Microsoft, and a clock that a test moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, Request};
use tenantry_core::{
    access::OrgScope,
    clock::Clock,
    consent::{
        Bearer, CallbackFields, ConnectLink, ConsentError, ConsentService, ConsentSettings,
        FlowToken, Landing, NextPage, Prover, Purpose, RejectedFlow, ReturnUrls, StartConnect,
        Started, StepTaken, WayIn,
    },
    ids::{ApiKeyId, ConnectionId, CustomerId, OrgId, RequestId, TenantId, WorkItemId},
    microsoft::{
        Backoff,
        client_credential::ClientCredential,
        cloud::{CloudProfile, MicrosoftCloud},
        graph::{GraphClient, Patience},
        identity::IdentityClient,
    },
    outbound::{Limits, Outbound, Upstream},
    secrets::{MasterKey, SecretText, Vault},
    store::Store,
    sync::{WakeUp, queue::Lease},
    tenants::{Tenant, TenantService},
};
use tenantry_tests::{
    database::{Backend, Raw, TestDatabase},
    fake_microsoft::{
        FakeMicrosoft,
        seed::TenantSeed,
        state::{Decision, LoggedRequest, Tenant as FakeTenant},
    },
};
use url::Url;
use uuid::Uuid;

use crate::support;

pub const CLIENT_ID: &str = "5d6f0d2b-8f5e-4b61-9f0a-6a4c5a7e9b10";
pub const CLIENT_SECRET: &str = "stand-in~secret";
pub const PUBLIC_URL: &str = "http://localhost:8080";
pub const REDIRECT_URI: &str = "http://localhost:8080/api/msp-portal/tenants/callback";
/// A tenant's domain in most tests.
pub const CONTOSO: &str = "contoso.example";

/// An organisation and how it acts.
#[derive(Clone)]
pub struct Org {
    pub id: OrgId,
    pub customer: CustomerId,
    pub scope: OrgScope,
}

/// Everything a test needs.
pub struct World {
    pub fake: FakeMicrosoft,
    pub store: Store,
    pub consent: ConsentService,
    pub tenants: TenantService,
    pub identity: IdentityClient,
    pub graph: GraphClient,
    pub vault: Vault,
    pub http: Outbound,
    pub wake: WakeUp,
    pub a: Org,
    pub b: Org,
    pub database: TestDatabase,
    /// One connection for all that a test asks of its database.
    pub raw: Raw,
    offset: Arc<AtomicI64>,
}

impl World {
    pub async fn new(backend: Backend) -> Self {
        let database = support::migrated(backend);
        let raw = database.raw();
        let offset = Arc::new(AtomicI64::new(0));
        let moved = Arc::clone(&offset);
        let clock = Clock::from_fn(move || {
            Clock::system().now() + TimeDelta::seconds(moved.load(Ordering::Relaxed))
        });
        let location = support::location(&database.url());
        let store = Store::open(location, clock.clone(), false).unwrap();
        let fake = FakeMicrosoft::start().await;
        fake.register_app(CLIENT_ID, CLIENT_SECRET, REDIRECT_URI);
        let http = Outbound::new(Limits {
            total: Duration::from_secs(20),
            ..Limits::default()
        })
        .unwrap();
        let profile = CloudProfile::new(
            MicrosoftCloud::Global,
            Some(&fake.login_url()),
            Some(&fake.graph_url()),
        )
        .unwrap();
        let identity = identity(&profile, &http, &clock, CLIENT_SECRET);
        let graph = graph(&identity, &http, &clock);
        let master = MasterKey::from_base64(&SecretText::new(STANDARD.encode([7; 32]))).unwrap();
        let vault = Vault::new(&master, Uuid::from_u128(1));
        let (a, b) = (
            add_org(&raw, "Aardvark IT"),
            add_org(&raw, "Badger Services"),
        );
        let wake = WakeUp::default();
        let prover = Prover::new(store.clone(), identity.clone(), graph.clone(), wake.clone());
        let tenants = TenantService::new(store.clone(), identity.clone());
        let consent = ConsentService::new(
            store.clone(),
            vault.clone(),
            identity.clone(),
            http.clone(),
            prover,
            settings(),
        );
        Self {
            fake,
            store,
            consent,
            tenants,
            identity,
            graph,
            vault,
            http,
            wake,
            a,
            b,
            database,
            raw,
            offset,
        }
    }

    /// A tenant whose administrator accepts.
    pub fn add_tenant(&self, domain: &str) -> Arc<FakeTenant> {
        let seed = TenantSeed::new("Contoso", domain)
            .users(3)
            .decision(Decision::Accept);
        self.fake.add_tenant(seed)
    }

    /// The same service with another patience towards lagging consent.
    pub fn prover_waiting(&self, at_once: Duration) -> Prover {
        Prover::new(
            self.store.clone(),
            self.identity.clone(),
            self.graph.clone(),
            self.wake.clone(),
        )
        .waiting_at_once(at_once)
    }

    /// The consent service with this prover.
    pub fn consent_with(&self, prover: Prover) -> ConsentService {
        ConsentService::new(
            self.store.clone(),
            self.vault.clone(),
            self.identity.clone(),
            self.http.clone(),
            prover,
            settings(),
        )
    }

    /// Moves our time and Microsoft's forward.
    pub fn advance(&self, by: TimeDelta) {
        self.offset.fetch_add(by.num_seconds(), Ordering::Relaxed);
        self.fake.cloud().advance_seconds(by.num_seconds());
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.store.clock().now()
    }

    /// Asks for a link for a tenant of organisation A.
    pub async fn start(&self, domain: &str) -> Started {
        self.start_as(&self.a, domain).await.unwrap()
    }

    pub async fn start_as(&self, org: &Org, domain: &str) -> Result<Started, ConsentError> {
        let wish = StartConnect {
            customer: Some(org.customer),
            tenant: domain.to_owned(),
            way: WayIn::AdminConsent,
            return_url: None,
        };
        self.consent.start(&org.scope, wish, |_, _| Ok(())).await
    }

    /// Opens Microsoft's page; its redirect comes back as fields. The decision of the tenant's
    /// administrator says what happens there.
    pub async fn at_microsoft(&self, page: &Url) -> CallbackFields {
        let request = Request::new(Method::GET, page.clone());
        let response = self.http.execute(Upstream::Login, request).await.unwrap();
        let status = response.status();
        let location = response
            .headers()
            .get("location")
            .map(|value| value.to_str().unwrap().to_owned());
        let Some(location) = location else {
            panic!(
                "Microsoft's page stayed with {status}: {}",
                response.text().await.unwrap()
            );
        };
        assert!(location.starts_with(REDIRECT_URI), "{location}");
        fields(&location)
    }

    /// Lets one browser open a link and go through both legs.
    pub async fn connect_in_browser(&self, started: &Started) -> Result<StepTaken, ConsentError> {
        self.connect_with(&self.consent, started).await
    }

    pub async fn connect_with(
        &self,
        consent: &ConsentService,
        started: &Started,
    ) -> Result<StepTaken, ConsentError> {
        let mut browser = Tab::new();
        let page = browser
            .open(consent, &token(started))
            .await
            .expect("an open link");
        let step = browser
            .bring(consent, self.at_microsoft(&page).await)
            .await?;
        let page = microsoft_page(&step);
        browser.bring(consent, self.at_microsoft(&page).await).await
    }

    /// Connects a tenant for an organisation and says what became of it.
    pub async fn connect(&self, org: &Org, domain: &str) -> StepTaken {
        let started = self.start_as(org, domain).await.unwrap();
        self.connect_in_browser(&started).await.unwrap()
    }

    pub async fn tenant(&self, org: &Org, tenant: TenantId) -> Tenant {
        self.tenants.get(&org.scope, tenant).await.unwrap()
    }

    /// What the stand-in's token endpoint was asked, by grant type.
    pub fn token_requests(&self, grant: &str) -> Vec<LoggedRequest> {
        let requests = self.fake.cloud().requests();
        let is_token =
            |request: &LoggedRequest| request.path_and_query.ends_with("/oauth2/v2.0/token");
        let grant = format!("grant_type={grant}");
        let of_grant = |request: &LoggedRequest| {
            request
                .form
                .as_ref()
                .is_some_and(|form| form.contains(&grant))
        };
        requests
            .into_iter()
            .filter(|request| is_token(request) && of_grant(request))
            .collect()
    }

    /// The audited actions of an organisation, oldest first.
    pub fn actions(&self, org: &Org) -> Vec<String> {
        let org = self.raw.uuid(org.id.as_uuid());
        self.raw.lines(&format!(
            "SELECT action AS line FROM audit_events WHERE org_id = {org} ORDER BY sequence"
        ))
    }

    /// The details of an organisation's audited events of one kind, oldest first.
    pub fn details(&self, org: &Org, action: &str) -> Vec<serde_json::Value> {
        let org = self.raw.uuid(org.id.as_uuid());
        let texts = self.raw.lines(&format!(
            "SELECT details AS line FROM audit_events \
             WHERE org_id = {org} AND action = '{action}' ORDER BY sequence"
        ));
        texts
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    /// The published status document of a tenant.
    pub fn status_document(&self, org: &Org, tenant: TenantId) -> serde_json::Value {
        let snapshot = self
            .store
            .board()
            .get(org.id, tenant)
            .expect("a status document");
        serde_json::from_str(&snapshot.document).unwrap()
    }

    /// Claims the work about a connection as a worker does, and returns the lease.
    pub fn lease(&self, connection: ConnectionId) -> Lease {
        let subject = self.raw.uuid(connection.as_uuid());
        let (until, id) = if self.raw.is_sqlite() {
            (
                "unixepoch('subsec') * 1000000 + 600000000",
                "lower(hex(id))",
            )
        } else {
            ("now() + interval '10 minutes'", "id::text")
        };
        self.raw.execute(&format!(
            "UPDATE work_items SET lease_owner = {subject}, lease_until = {until}, fence = fence + 1 \
             WHERE subject_id = {subject}"
        ));
        let of = |column: &str| {
            let work = format!("FROM work_items WHERE subject_id = {subject}");
            let lines = self.raw.lines(&format!("SELECT {column} AS line {work}"));
            lines
                .into_iter()
                .next_back()
                .expect("work about the connection")
        };
        Lease {
            item: WorkItemId::from_uuid(of(id).parse().unwrap()),
            fence: of("CAST(fence AS TEXT)").parse().unwrap(),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.fake.cloud().violations(), Vec::<String>::new());
        }
    }
}

/// Our settings in tests.
pub fn settings() -> ConsentSettings {
    ConsentSettings {
        public_url: PUBLIC_URL.parse().unwrap(),
        return_urls: ReturnUrls::new(vec!["https://portal.example/app".parse().unwrap()]),
    }
}

pub fn identity(
    profile: &CloudProfile,
    http: &Outbound,
    clock: &Clock,
    secret: &str,
) -> IdentityClient {
    let credential =
        ClientCredential::with_secret(CLIENT_ID.to_owned(), SecretText::new(secret.to_owned()));
    let redirect = REDIRECT_URI.to_owned();
    IdentityClient::new(
        profile.clone(),
        credential,
        redirect,
        http.clone(),
        clock.clone(),
    )
    .unwrap()
    .with_backoff(impatient())
}

pub fn graph(identity: &IdentityClient, http: &Outbound, clock: &Clock) -> GraphClient {
    let patience = Patience {
        backoff: impatient(),
        ..Patience::default()
    };
    GraphClient::new(identity.clone(), http.clone(), clock.clone(), patience)
}

fn impatient() -> Backoff {
    Backoff {
        base: Duration::from_millis(1),
        attempts: 2,
    }
}

/// One browser.
pub struct Tab {
    cookie: FlowToken,
}

impl Tab {
    pub fn new() -> Self {
        Self {
            cookie: FlowToken::random().unwrap(),
        }
    }

    /// Opens a link; Microsoft's page, if it can begin a flow.
    pub async fn open(&mut self, consent: &ConsentService, token: &str) -> Option<Url> {
        consent
            .open(token, self.cookie.hash(Purpose::Cookie))
            .await
            .unwrap()
    }

    /// Brings Microsoft's answer.
    pub async fn bring(
        &self,
        consent: &ConsentService,
        fields: CallbackFields,
    ) -> Result<StepTaken, ConsentError> {
        consent.callback(self.bearer(), fields).await
    }

    pub fn bearer(&self) -> Bearer {
        Bearer::Browser {
            cookie: Some(self.cookie.hash(Purpose::Cookie)),
            request: None,
        }
    }
}

/// The fields of a redirect.
pub fn fields(location: &str) -> CallbackFields {
    let mut fields = CallbackFields::default();
    for (name, value) in Url::parse(location).unwrap().query_pairs() {
        let value = value.into_owned();
        match name.as_ref() {
            "state" => fields.state = Some(value),
            "code" => fields.code = Some(SecretText::new(value)),
            "error" => fields.error = Some(value),
            "error_description" => fields.error_description = Some(value),
            "error_subcode" => fields.error_subcode = Some(value),
            "tenant" => fields.tenant = Some(value),
            "admin_consent" => fields.admin_consent = Some(value),
            "iss" => fields.iss = Some(value),
            _other => {}
        }
    }
    fields
}

/// A second copy of fields, for a replay.
pub fn copy_of(fields: &CallbackFields) -> CallbackFields {
    CallbackFields {
        state: fields.state.clone(),
        code: fields
            .code
            .as_ref()
            .map(|code| SecretText::new(code.expose().to_owned())),
        error: fields.error.clone(),
        error_description: fields.error_description.clone(),
        error_subcode: fields.error_subcode.clone(),
        tenant: fields.tenant.clone(),
        admin_consent: fields.admin_consent.clone(),
        iss: fields.iss.clone(),
    }
}

/// What the administrator opens.
pub fn link_of(started: &Started) -> &ConnectLink {
    started.link.as_ref().unwrap()
}

/// The token of a link.
pub fn token(started: &Started) -> String {
    link_of(started)
        .authorization_url
        .path_segments()
        .unwrap()
        .next_back()
        .unwrap()
        .to_owned()
}

/// The page of Microsoft that a step leads to.
pub fn microsoft_page(step: &StepTaken) -> Url {
    match &step.next {
        NextPage::Microsoft(url) => url.clone(),
        NextPage::Landing(landing) => panic!("the flow ended at {landing:?}"),
    }
}

/// Our result page of a finished step.
pub fn result_page(landing: &Landing) -> String {
    match landing {
        Landing::Result(url) | Landing::ReturnUrl(url) => url.to_string(),
    }
}

/// The failure of a flow.
pub fn rejected(outcome: Result<StepTaken, ConsentError>) -> RejectedFlow {
    match outcome {
        Err(ConsentError::Rejected(flow)) => *flow,
        other => panic!("not rejected: {other:?}"),
    }
}

/// An organisation with a customer.
fn add_org(raw: &Raw, name: &str) -> Org {
    let (org, customer) = (Uuid::now_v7(), Uuid::now_v7());
    let (id, customer_id, now) = (raw.uuid(org), raw.uuid(customer), raw.now());
    raw.execute(&format!(
        "INSERT INTO organizations (id, name, created_at) VALUES ({id}, '{name}', {now}); \
         INSERT INTO customers (org_id, id, name, search_text, domains, source, active, version, created_at, changed_at) \
         VALUES ({id}, {customer_id}, 'Contoso', 'contoso', '[]', 'manual', true, 1, {now}, {now})"
    ));
    let (id, key) = (OrgId::from_uuid(org), ApiKeyId::from_uuid(Uuid::now_v7()));
    Org {
        id,
        customer: CustomerId::from_uuid(customer),
        scope: OrgScope::for_api_key(id, key, RequestId::from_uuid(Uuid::now_v7())),
    }
}
