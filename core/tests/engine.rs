//! The sync engine on its own: a worker, a store and the stand-in, without the HTTP API.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use tenantry_core::{
    access::OrgScope,
    clock::Clock,
    consent::Prover,
    ids::{OrgId, TenantId},
    inventory::{InventoryService, ListingQuery, ObjectKind, license_names::LicenseNamesFile},
    microsoft::{
        client_credential::ClientCredential,
        cloud::{CloudProfile, MicrosoftCloud},
        graph::{GraphClient, Patience},
        identity::IdentityClient,
    },
    outbound::{Limits, Outbound},
    secrets::SecretText,
    store::Store,
    sync::{SyncService, WakeUp, Worker, run::RunKind},
};
use tenantry_tests::{
    database::{Backend, TestDatabase},
    fake_microsoft::{FakeMicrosoft, seed::TenantSeed, state::Grant},
    on_both_databases,
};

const CLIENT: &str = "5c0f8a9e-2b1d-4c3e-9f60-7a8b9c0d1e2f";
const ORG: &str = "01900000-0000-7000-8000-000000000001";
const CONNECTION: &str = "01900000-0000-7000-8000-000000000002";

/// A connected tenant, put there behind the product's back.
fn put_tenant(database: &TestDatabase, tenant: &str) {
    let raw = database.raw();
    let time = raw.now();
    let [org, connection, tenant] =
        [ORG, CONNECTION, tenant].map(|id| raw.uuid(id.parse().unwrap()));
    raw.execute(&format!(
        "INSERT INTO organizations (id, name, created_at) VALUES ({org}, 'Northwind', {time});
         INSERT INTO connections (org_id, id, tenant_id, connection_type, state, next_step, entered_tenant, created_at, expires_at)
            VALUES ({org}, {connection}, {tenant}, 'adminConsent', 'proven', 'done', 'x.example', {time}, {time});
         INSERT INTO tenants (org_id, tenant_id, connection_id, connection_type, status, display_name, search_text,
            granted_permissions, missing_permissions, tags, notifications, version, created_at)
            VALUES ({org}, {tenant}, {connection}, 'adminConsent', 'connected', 'X', 'x', '[]', '[]', '[]', true, 1, {time});
         INSERT INTO tenant_claims (tenant_id, org_id, connection_id, claimed_at) VALUES ({tenant}, {org}, {connection}, {time});"
    ));
}

on_both_databases! {
    async fn i2_a_worker_reads_a_tenant_whole(backend: Backend) {
        let microsoft = FakeMicrosoft::start().await;
        microsoft.register_app(CLIENT, "secret", "http://localhost:1/api/msp-portal/tenants/callback");
        let tenant = microsoft.add_tenant(TenantSeed::new("Contoso", "contoso.example").users(1_300));
        let grant = Grant {
            app_roles: tenantry_tests::fake_microsoft::INITIAL_APP_ROLES.iter().map(|&role| role.to_owned()).collect(),
            ..Grant::default()
        };
        tenant.grants.lock().unwrap().insert(CLIENT.to_owned(), grant);

        let database = support::migrated(backend);
        let clock = Clock::system();
        let store = Store::open(support::location(&database.url()), clock.clone(), false).unwrap();
        put_tenant(&database, &tenant.id.to_string());

        let profile = CloudProfile::new(MicrosoftCloud::Global, Some(&microsoft.login_url()), Some(&microsoft.graph_url())).unwrap();
        let http = Outbound::new(Limits::default()).unwrap();
        let credential = ClientCredential::with_secret(CLIENT.to_owned(), SecretText::new("secret".to_owned()));
        let redirect = "http://localhost:1/api/msp-portal/tenants/callback".to_owned();
        let identity = IdentityClient::new(profile, credential, redirect, http.clone(), clock.clone()).unwrap();
        let graph = GraphClient::new(identity.clone(), http, clock, Patience::default());
        let wake = WakeUp::default();
        let prover = Prover::new(store.clone(), identity, graph.clone(), wake.clone());
        let worker = Worker::new(store.clone(), wake.clone(), 4).syncing_tenants(graph, prover);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let running = tokio::spawn(worker.run(stopped));

        let service = SyncService::new(store.clone(), wake);
        let org: OrgId = ORG.parse().unwrap();
        let id = TenantId::from_uuid(tenant.id);
        let scope = OrgScope::for_system(org);
        service.request_run(&scope, id, RunKind::Initial, None, |_, _| Ok(())).await.unwrap();
        let mut watch = service.watch_status(&scope, id).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                if !watch.borrow_and_update().active {
                    break;
                }
                watch.changed().await.unwrap();
            }
        });
        let outcome = ended.await;
        let status: serde_json::Value = serde_json::from_str(&service.status(&scope, id).unwrap().to_json()).unwrap();
        outcome.unwrap_or_else(|_| panic!("not ended: {status:#}"));
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        let inventory = InventoryService::new(store, Arc::new(LicenseNamesFile::open(None).unwrap()));
        let listing = inventory
            .list(&scope, id, ObjectKind::User, ListingQuery { limit: 1000, ..ListingQuery::default() })
            .await
            .unwrap();
        assert_eq!(listing.total, i64::try_from(tenant.directory.lock().unwrap().users().len()).unwrap());
        stop.send(true).unwrap();
        running.await.unwrap();
        assert!(microsoft.cloud().violations().is_empty(), "{:?}", microsoft.cloud().violations());
    }
}
