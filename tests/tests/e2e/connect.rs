//! The technician's calls: asking for a link, once more, and relaying what Microsoft answered.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_tests::{
    app::{CLIENT_SECRET, TestApp},
    database::Backend,
    fake_microsoft::{
        login::{self, Endpoint},
        state::Decision,
    },
    on_both_databases,
};
use uuid::Uuid;

use crate::flow::{events, fields_of, relay, seed, start, text, walk};

fn has(bytes: &[u8], needle: &str) -> bool {
    bytes
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

on_both_databases! {
    async fn what_cannot_be_connected_is_refused_before_anything_is_stored(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.microsoft.add_tenant(seed("Contoso"));
        app.microsoft.add_tenant(seed("Faraway"));
        login::script_error(&app.microsoft.cloud(), Endpoint::Discovery, Some("faraway.example"), 90_038, 1);
        let customer = app.owner.create_customer("Somebody").await;
        for (name, code) in [
            ("faraway.example", "wrongCloud"), ("nobody.example", "tenantNotFound"),
            ("00000000-0000-4000-8000-000000000001", "tenantNotFound"), ("not a domain", "invalidTenant"),
            ("9188040d-6c67-4c5b-b112-36a304b66dad", "invalidTenant"), ("common", "invalidTenant"),
        ] {
            let body = json!({"customerId": customer, "tenant": name});
            let problem = app.owner.post("/tenants/connect", &body).await.expect_problem(422, code);
            assert!(problem["action"].is_string(), "{problem}");
        }
        let tenant = "contoso.example";
        for (body, status, code) in [
            (json!({"tenant": tenant}), 422, "customerRequired"),
            (json!({"customerId": Uuid::now_v7(), "tenant": tenant}), 404, "customerNotFound"),
            (json!({"customerId": customer, "tenant": tenant, "returnUrl": "https://x.example"}), 422, "returnUrlNotAllowed"),
            (json!({"customerId": customer, "tenant": tenant, "connectionType": "gdap"}), 422, "connectionTypeUnavailable"),
            (json!({"customerId": customer, "tenant": tenant, "connectionType": "magic"}), 422, "validationFailed"),
            (json!({"customerId": customer, "tenant": tenant, "tid": 1}), 422, "validationFailed"),
            (json!({"customerId": customer, "tenant": 7}), 422, "validationFailed"),
            (json!({"customerId": "7", "tenant": tenant}), 422, "validationFailed"),
        ] {
            app.owner.post("/tenants/connect", &body).await.expect_problem(status, code);
        }
        assert_eq!(app.database.raw().count("tenants"), 0);
    }

    async fn r29_a_repeated_connect_gives_the_same_links_and_nothing_lies_in_clear(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.microsoft.add_tenant(seed("Repeated"));
        let customer = app.owner.create_customer("Repeated").await;
        let body = json!({"customerId": customer, "tenant": "repeated.example"});
        let send = |body: Value| {
            let request = app.owner.request("POST", "/tenants/connect").header("idempotency-key", "one-intent");
            app.owner.send(request.json(&body))
        };
        let parallel = futures_util::future::join_all((0..8).map(|_| send(body.clone()))).await;
        let mut links = BTreeSet::new();
        for answer in parallel {
            match answer.status {
                201 => drop(links.insert(answer.json().to_string())),
                _ => drop(answer.expect_problem(409, "idempotencyKeyInUse")),
            }
        }
        assert_eq!(links.len(), 1, "{links:?}");
        let again = send(body.clone()).await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert!(links.contains(&again.json().to_string()));
        assert_eq!(events(&app.owner, "tenant.connectStarted").await.len(), 1);
        send(json!({"customerId": customer, "tenant": "other.example"})).await.expect_problem(422, "idempotencyKeyReused");

        let answer = again.json();
        let token = text(&answer, "authorizationUrl").rsplit('/').next().unwrap().to_owned();
        let microsoft = url::Url::parse(text(&answer, "microsoftUrl")).unwrap();
        let secret = |name: &str| microsoft.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        let dump = app.database.dump();
        let secrets = [token, secret("state"), secret("nonce"), app.owner_key.clone(), CLIENT_SECRET.to_owned()];
        for secret in &secrets {
            assert!(secret.len() >= 22 && !has(&dump, secret), "in clear: {secret}");
            assert!(!app.log().contains(secret.as_str()), "in the log: {secret}");
        }
        assert!(has(&dump, "repeated.example"), "the dump shows what is stored");
    }

    async fn a_return_url_gets_the_outcome_and_foreign_ones_are_refused(backend: Backend) {
        let app = TestApp::start_with(backend, &[("TENANTRY_RETURN_URLS", "https://portal.example/app")]).await;
        let tenant = app.microsoft.add_tenant(seed("Returning"));
        let customer = app.owner.create_customer("Returning").await;
        let body = |url: &str| json!({"customerId": customer, "tenant": "returning.example", "returnUrl": url});
        for url in ["https://portal.example/application", "https://elsewhere.example/app", "javascript:alert(1)"] {
            app.owner.post("/tenants/connect", &body(url)).await.expect_problem(422, "returnUrlNotAllowed");
        }
        let fragment = app.owner.post("/tenants/connect", &body("https://portal.example/app#f")).await.expect(422).json();
        assert!(text(&fragment, "detail").contains("fragment"), "{fragment}");
        let started = app.owner.post("/tenants/connect", &body("https://portal.example/app/done?tab=1")).await.expect(201).json();
        *tenant.decision.write().unwrap() = Decision::CancelSignIn;
        let declined = walk(text(&started, "authorizationUrl")).await;
        let expected = format!("https://portal.example/app/done?tab=1&tenantId={}&status=", tenant.id);
        assert_eq!(declined.url, format!("{expected}pendingConsent&error=consentDeclined"));
        *tenant.decision.write().unwrap() = Decision::Accept;
        let page = walk(text(&started, "authorizationUrl")).await;
        assert_eq!(page.url, format!("{expected}connected"));
    }

    async fn c8_a_front_end_relays_both_legs(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Relayed"));
        let started = start(&app.owner, &tenant).await;
        let first = relay(&app.owner, text(&started, "microsoftUrl")).await.expect(200).json();
        assert_eq!((&first["tenantId"], &first["status"]), (&json!(tenant.id), &json!("pendingConsent")));
        assert_eq!(first["syncRunId"], Value::Null);
        assert!(text(&first, "nextUrl").contains("/v2.0/adminconsent"), "{first}");
        let mut fields = fields_of(text(&first, "nextUrl")).await;
        fields["something_new"] = json!("that Microsoft adds");
        let second = app.owner.post("/tenants/callback", &fields).await.expect(200).json();
        assert_eq!(second["status"], "connected");
        assert_eq!(second["nextUrl"], Value::Null);
        assert_eq!(second["missingPermissions"], json!([]));
        assert_eq!(second["grantedPermissions"].as_array().unwrap().len(), 8, "{second}");
        let status = app.owner.status(tenant.id).await;
        assert_eq!(status["run"]["id"], second["syncRunId"]);
    }

    async fn a_working_tenant_is_connected_once(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Single"));
        app.onboard_and_sync(&tenant).await;
        let customer = app.owner.create_customer("Another").await;
        let body = json!({"customerId": customer, "tenant": "single.example"});
        let problem = app.owner.post("/tenants/connect", &body).await.expect_problem(409, "tenantAlreadyConnected");
        let shown = app.owner.get(&format!("/tenants/{}", tenant.id)).await.expect(200).json();
        assert_eq!(problem["customerId"], shown["customerId"]);
    }

    async fn g6_connecting_again_adds_what_was_missing_and_keeps_history(backend: Backend) {
        let app = TestApp::start(backend).await;
        let withheld = ["DeviceManagementManagedDevices.Read.All".to_owned()].into();
        let tenant = app.microsoft.add_tenant(seed("Growing").decision(Decision::AcceptWithout(withheld)));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["status"], "degraded");
        let customer = app.owner.create_customer("Growing again").await;
        let older = app.owner.connect(&customer, "growing.example").await;
        let newer = app.owner.connect(&customer, "growing.example").await;
        assert_eq!((&newer["status"], &newer["tenantId"]), (&json!("degraded"), &json!(tenant.id)));
        assert_eq!(walk(text(&older, "authorizationUrl")).await.status, 410, "a newer link took its place");
        *tenant.decision.write().unwrap() = Decision::Accept;
        let page = walk(text(&newer, "authorizationUrl")).await;
        assert!(page.text().contains("Everything that was asked for was granted"), "{page}");
        let status = app.owner.wait_for_status(tenant.id, "the second run", |status| {
            status["run"]["kind"] == "full" && status["run"]["state"] == "completed"
        }).await;
        assert_eq!((&status["status"], &status["missingPermissions"]), (&json!("connected"), &json!([])));
        assert_eq!(app.owner.list(&format!("/tenants/{}/sync-runs", tenant.id)).await.len(), 2);
    }
}
