//! The whole application in memory, on a fresh SQLite database for each test.

mod access;
mod answers;
mod customer_matches;
mod customers;
mod limits;

use std::{rc::Rc, sync::Arc};

use actix_web::{
    HttpResponse,
    body::{MessageBody, to_bytes},
    dev::Service as _,
    http::{Method, StatusCode, header::HeaderMap},
    test::{TestRequest, init_service},
    web,
};
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use tempfile::TempDir;
use tenantry_core::{
    access::{Role, keys::KeyService},
    audit::AuditService,
    clock::Clock,
    customers::CustomerService,
    idempotency::Idempotency,
    ids::{ApiKeyId, OrgId},
    installation,
    inventory::{InventoryService, license_names::LicenseNamesFile},
    matching::{MatchingService, OwnDomainsService},
    microsoft::{
        client_credential::ClientCredential,
        cloud::{CloudProfile, MicrosoftCloud, Origin},
        identity::IdentityClient,
        throttle::{Budgets, Governor},
    },
    organizations::OrganizationService,
    outbound::{Limits, Outbound},
    secrets::{MasterKey, SecretText, Vault},
    store::{DatabaseLocation, Store},
    sync::{SyncService, WakeUp},
    tenants::TenantService,
};

use super::*;
use crate::{
    auth::{KeyCache, RateLimiter},
    drain::Drain,
    metrics::{Metrics, Watched},
    paging::Cursors,
    readiness::Readiness,
};

/// A database with everything the handlers need.
struct World {
    _folder: TempDir,
    store: Store,
    master: Arc<MasterKey>,
    vault: Vault,
    keys: KeyService,
    organizations: OrganizationService,
}

/// An organisation and its owner's key.
struct Org {
    id: OrgId,
    key: String,
}

/// An answer that was read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::Sqlite(folder.path().join("t.db"));
        let store = Store::open(location, Clock::system(), true).unwrap();
        let key = SecretText::new("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned());
        let master = Arc::new(MasterKey::from_base64(&key).unwrap());
        let made = installation::ensure(&store, &master).await.unwrap();
        let vault = Vault::new(&master, made.id);
        Self {
            _folder: folder,
            keys: KeyService::new(store.clone(), Arc::clone(&master)),
            organizations: OrganizationService::new(store.clone(), Arc::clone(&master)),
            store,
            master,
            vault,
        }
    }

    async fn org(&self, name: &str) -> Org {
        let made = self.organizations.create(name).await.unwrap();
        Org {
            id: made.id,
            key: made.key.text.expose().to_owned(),
        }
    }

    async fn key(&self, org: &Org, role: Role) -> (ApiKeyId, String) {
        let made = self.keys.create(org.id, role).await.unwrap();
        (made.id, made.text.expose().to_owned())
    }

    fn state(&self) -> AppState {
        let store = || self.store.clone();
        let sync = SyncService::new(store(), WakeUp::default());
        let drain = Drain::default();
        AppState {
            public_url: Origin::parse("https://tenantry.example").unwrap(),
            trusted_proxies: Vec::new(),
            metrics_token: Some(SecretText::new("metrics-token".to_owned())),
            keys: KeyCache::new(self.keys.clone(), Clock::system()),
            rate_limiter: Arc::new(RateLimiter::per_minute(0)),
            cursors: Cursors::new(&self.master),
            idempotency: Idempotency::new(store(), self.vault.clone()),
            organizations: self.organizations.clone(),
            customers: CustomerService::new(store()),
            matching: MatchingService::new(store()),
            own_domains: OwnDomainsService::new(store()),
            tenants: TenantService::new(store(), identity()),
            consent: None,
            audit: AuditService::new(store()),
            sync: sync.clone(),
            inventory: InventoryService::new(
                store(),
                Arc::new(LicenseNamesFile::open(None).unwrap()),
            ),
            metrics: Arc::new(
                Metrics::new(
                    "0.0.0",
                    "test",
                    Watched {
                        store: store(),
                        sync,
                        credential: None,
                        governor: governor(),
                    },
                )
                .unwrap(),
            ),
            readiness: Readiness {
                store: store(),
                keys: self.keys.clone(),
                drain: drain.clone(),
                clock: Clock::system(),
                credential: None,
            },
            drain,
        }
    }
}

/// A client of Microsoft that no test of these asks anything.
fn identity() -> IdentityClient {
    IdentityClient::new(
        CloudProfile::new(
            MicrosoftCloud::Global,
            Some("http://127.0.0.1:9"),
            Some("http://127.0.0.1:9"),
        )
        .unwrap(),
        ClientCredential::with_secret("client".to_owned(), SecretText::new("secret".to_owned())),
        "https://tenantry.example/api/msp-portal/tenants/callback".to_owned(),
        Outbound::new(Limits::default()).unwrap(),
        Clock::system(),
    )
    .unwrap()
}

/// The limits of an application that sends nothing.
fn governor() -> Governor {
    Governor::alone("client".to_owned(), Budgets::default())
}

/// An application that answers calls as a client sees them.
struct TestApp(Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Answer>>);

/// Wraps a service. A macro because the type of its requests has no name here.
macro_rules! test_app {
    ($app:expr) => {{
        let service = Rc::new(init_service($app).await);
        TestApp(Box::new(move |request| {
            let service = Rc::clone(&service);
            Box::pin(async move {
                match service.call(request.to_request()).await {
                    Ok(response) => read(response.into_parts().1).await,
                    Err(error) => read(error.error_response()).await,
                }
            })
        }))
    }};
}
use test_app;

/// The application over a state.
async fn application(state: AppState) -> TestApp {
    test_app!(app(web::Data::new(state), Surface::Api))
}

async fn read<B: MessageBody>(response: HttpResponse<B>) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let kind = headers.get("content-type");
    if kind.is_some_and(|kind| kind == "text/event-stream") {
        // It does not end.
        let body = Vec::new();
        return Answer {
            status,
            headers,
            body,
        };
    }
    let body = to_bytes(response.into_body()).await.ok().unwrap();
    Answer {
        status,
        headers,
        body: body.to_vec(),
    }
}

/// A request, with a key where one is given.
fn request(method: Method, path: &str, key: Option<&str>) -> TestRequest {
    let request = TestRequest::with_uri(path).method(method);
    match key {
        Some(key) => request.insert_header(("authorization", format!("Bearer {key}"))),
        None => request,
    }
}

async fn call(app: &TestApp, request: TestRequest) -> Answer {
    (app.0)(request).await
}

async fn get(app: &TestApp, path: &str, key: &str) -> Answer {
    call(app, request(Method::GET, path, Some(key))).await
}
