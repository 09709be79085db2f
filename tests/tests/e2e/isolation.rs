//! What an organisation can learn of another one: nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_tests::{
    app::{Answer, Caller, TestApp},
    database::Backend,
    fake_microsoft::state::Tenant,
    on_both_databases,
    openapi::{self, Call},
};
use uuid::Uuid;

use crate::flow::{events, relay_to_the_end, seed, start, token_requests};

/// Ids that stand in paths.
#[derive(Clone)]
struct Ids {
    tenant: String,
    customer: String,
    run: String,
    group: String,
    psa: String,
}

impl Ids {
    fn missing() -> Self {
        let id = || Uuid::now_v7().to_string();
        Self {
            tenant: id(),
            customer: id(),
            run: id(),
            group: id(),
            psa: id(),
        }
    }

    fn fill(&self, path: &str) -> String {
        path.replace("{tenantId}", &self.tenant)
            .replace("{customerId}", &self.customer)
            .replace("{syncRunId}", &self.run)
            .replace("{groupId}", &self.group)
            .replace("{psaConnectionId}", &self.psa)
    }
}

/// Connects and syncs a tenant for a caller; what it has then.
async fn synced(caller: &Caller, tenant: &Tenant) -> Ids {
    let started = start(caller, tenant).await;
    relay_to_the_end(caller, &started).await.expect(200);
    let status = caller.wait_for_run(tenant.id).await;
    let path = format!("/tenants/{}", tenant.id);
    let shown = caller.get(&path).await.expect(200).json();
    let groups = caller.list(&format!("{path}/groups")).await;
    let own = |value: &Value| value.as_str().expect("an id").to_owned();
    // A name that leads nowhere, so that nobody is ever asked.
    let psa = json!({
        "kind": "connectwise", "name": "PSA", "baseUrl": "https://psa.invalid",
        "credentials": {"companyId": "a", "publicKey": "b", "privateKey": "c", "clientId": "d"},
    });
    let psa = caller
        .send(caller.request("POST", "/psa-connections").json(&psa))
        .await;
    Ids {
        tenant: tenant.id.to_string(),
        customer: own(&shown["customerId"]),
        run: own(&status["run"]["id"]),
        group: own(&groups[0]["id"]),
        psa: own(&psa.expect(201).json()["id"]),
    }
}

async fn call(caller: &Caller, method: &str, path: &str) -> Answer {
    let body = match (method, path) {
        ("POST", path) if path.ends_with("/sync") => json!({"kind": "delta"}),
        ("POST", path) if path.ends_with("/merge") => json!({"from": Uuid::now_v7()}),
        ("PATCH", path) if path.starts_with("/tenants") => json!({"tags": ["taken"]}),
        ("PATCH", _) => json!({"name": "Taken"}),
        _ => return caller.send(caller.request(method, path)).await,
    };
    caller.send(caller.request(method, path).json(&body)).await
}

/// Everything of an answer that a caller can see, but for its own id, time and length of time.
fn seen(answer: &Answer) -> (u16, BTreeSet<String>, String) {
    let request_id = answer.header("x-request-id");
    let names = answer
        .headers
        .iter()
        .map(|(name, value)| match name.as_str() {
            "x-request-id" | "date" => name.to_string(),
            _ => format!("{name}: {value:?}"),
        });
    (
        answer.status,
        names.collect(),
        answer.text.replace(request_id, ""),
    )
}

on_both_databases! {
    async fn z4_another_organizations_thing_answers_like_a_missing_one(backend: Backend) {
        let app = TestApp::start(backend).await;
        let other = app.owner_of_new("Southwind MSP");
        let (one, two) = (app.microsoft.add_tenant(seed("Mine").users(30)), app.microsoft.add_tenant(seed("Theirs").users(30)));
        let mine = synced(&app.owner, &one).await;
        let theirs = synced(&other, &two).await;
        let (mut calls, _) = openapi::calls(&other).await;
        calls.retain(|call| call.path.contains('{') && !call.path.starts_with("//"));
        assert!(calls.len() > 18, "{}", calls.len());
        let (tokens, audited) = (token_requests(&app, &mine.tenant), app.owner.list("/audit-events").await);
        for Call { method, path, .. } in &calls {
            let missing = call(&other, method, &Ids::missing().fill(path)).await;
            let foreign = call(&other, method, &mine.fill(path)).await;
            assert_eq!(seen(&foreign), seen(&missing), "{method} {path}");
            foreign.expect_problem(404, "notFound");
            // A foreign thing below one's own tenant is no other case.
            if path.contains("{syncRunId}") || path.contains("{groupId}") {
                let mixed = Ids { tenant: theirs.tenant.clone(), ..mine.clone() };
                let missing = Ids { tenant: theirs.tenant.clone(), ..Ids::missing() };
                let (mixed, missing) = (call(&other, method, &mixed.fill(path)).await, call(&other, method, &missing.fill(path)).await);
                assert_eq!(seen(&mixed), seen(&missing), "{method} {path} below one's own tenant");
                mixed.expect_problem(404, "notFound");
            }
        }
        assert_eq!(token_requests(&app, &mine.tenant), tokens, "c2: no token was made for it");
        assert_eq!(app.owner.list("/audit-events").await, audited, "nothing happened to it");
        assert_eq!(app.owner.status(one.id).await["status"], "connected");
    }

    async fn z4_lists_filters_and_cursors_show_nothing_of_another_organization(backend: Backend) {
        let app = TestApp::start(backend).await;
        let other = app.owner_of_new("Southwind MSP");
        let one = app.microsoft.add_tenant(seed("Mine"));
        let mine = synced(&app.owner, &one).await;
        app.owner.create_customer("Second").await;
        assert_eq!(other.list("/tenants").await, Vec::<Value>::new());
        assert_eq!(other.list("/customers").await, Vec::<Value>::new());
        assert_eq!(other.list(&format!("/tenants?customerId={}", mine.customer)).await, Vec::<Value>::new());
        assert_eq!(other.list("/tenants?search=mine").await, Vec::<Value>::new());
        assert_eq!(other.list("/customers?search=mine").await, Vec::<Value>::new());
        assert_eq!(other.list(&format!("/audit-events?tenantId={}", mine.tenant)).await, Vec::<Value>::new());
        let audit = other.get("/audit-events").await.expect(200).text;
        for id in [&mine.tenant, &mine.customer, &mine.run, &app.organization] {
            assert!(!audit.contains(id.as_str()), "{audit}");
        }
        let page = app.owner.get("/customers?limit=1").await.expect(200).json();
        let cursor = page["nextCursor"].as_str().unwrap();
        let path = format!("/customers?limit=1&cursor={cursor}");
        app.owner.get(&path).await.expect(200);
        other.get(&path).await.expect_problem(400, "invalidCursor");
    }

    async fn z4_foreign_ids_in_bodies_are_missing_ones(backend: Backend) {
        let app = TestApp::start(backend).await;
        let other = app.owner_of_new("Southwind MSP");
        let theirs = app.microsoft.add_tenant(seed("Theirs"));
        start(&other, &theirs).await;
        let foreign = app.owner.create_customer("Mine").await;
        for customer in [foreign.clone(), Uuid::now_v7().to_string()] {
            let body = json!({"customerId": customer, "tenant": "theirs.example"});
            other.post("/tenants/connect", &body).await.expect_problem(404, "customerNotFound");
            let body = json!({"customerId": customer});
            other.patch(&format!("/tenants/{}", theirs.id), &body).await.expect_problem(404, "customerNotFound");
        }
        // The same Idempotency-Key of two organisations is two keys.
        for caller in [&app.owner, &other] {
            let request = caller.request("POST", "/customers").header("idempotency-key", "shared");
            let answer = caller.send(request.json(&json!({"name": "Shared"}))).await.expect(201);
            assert_eq!(answer.header("idempotency-replayed"), "");
        }
    }

    async fn c13_a_stranger_cannot_tell_a_connected_tenant_from_another(backend: Backend) {
        let app = TestApp::start(backend).await;
        let other = app.owner_of_new("Southwind MSP");
        let (taken, free) = (app.microsoft.add_tenant(seed("Taken")), app.microsoft.add_tenant(seed("Vacant")));
        synced(&app.owner, &taken).await;
        let customer = other.create_customer("Either").await;
        let mut shapes = BTreeSet::new();
        for tenant in [&taken, &free] {
            let mut answer = other.connect(&customer, &tenant.domains[0]).await;
            for name in ["tenantId", "connectionId", "authorizationUrl", "microsoftUrl", "expiresAt"] {
                assert!(answer[name].is_string(), "{name}: {answer}");
                answer[name] = Value::Null;
            }
            shapes.insert(answer.to_string());
        }
        assert_eq!(shapes.len(), 1, "{shapes:?}");
        assert_eq!(events(&app.owner, "consent.rejected").await, Vec::<Value>::new());
    }
}
