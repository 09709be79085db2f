//! Listing, showing, changing and revoking tenants over HTTP.

use serde_json::{Value, json};
use tenantry_tests::{app::TestApp, browser::Browser, database::Backend, on_both_databases};
use uuid::Uuid;

use crate::flow::{events, seed, text, walk};

fn ids(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["tenantId"].as_str().unwrap())
        .collect()
}

on_both_databases! {
    async fn tenants_are_listed_by_filters_and_pages(backend: Backend) {
        let app = TestApp::start(backend).await;
        let connected = app.microsoft.add_tenant(seed("Contoso"));
        app.onboard(&connected).await;
        let pending = app.microsoft.add_tenant(seed("Fabrikam"));
        let customer = app.owner.create_customer("Fabrikam Inc").await;
        app.owner.connect(&customer, "fabrikam.example").await;
        let (first, second) = (connected.id.to_string(), pending.id.to_string());
        for (filter, expected) in [
            ("", vec![first.as_str(), second.as_str()]),
            ("?status=connected", vec![first.as_str()]),
            ("?status=connected&status=pendingConsent", vec![first.as_str(), second.as_str()]),
            (&format!("?customerId={customer}"), vec![second.as_str()]),
            ("?search=CONTO", vec![first.as_str()]),
            ("?search=fabrikam.ex", vec![second.as_str()]),
            ("?status=revoked", vec![]),
        ] {
            let page = app.owner.get(&format!("/tenants{filter}")).await.expect(200).json();
            assert_eq!(ids(page["items"].as_array().unwrap()), expected, "{filter}");
            assert_eq!(page["total"], expected.len(), "{filter}");
            assert!(page["nextCursor"].is_null(), "{filter}");
        }
        let page = app.owner.get("/tenants?limit=1").await.expect(200).json();
        let cursor = page["nextCursor"].as_str().unwrap();
        let next = app.owner.get(&format!("/tenants?limit=1&cursor={cursor}")).await.expect(200).json();
        assert_eq!(ids(next["items"].as_array().unwrap()), [second.as_str()]);
        for (query, code) in [
            ("?status=gone", "invalidParameter"),
            ("?customerId=7", "invalidParameter"),
            ("?limit=0", "invalidParameter"),
            ("?state=connected", "unknownParameter"),
            (&format!("?cursor={cursor}&status=connected"), "invalidCursor"),
        ] {
            app.owner.get(&format!("/tenants{query}")).await.expect_problem(400, code);
        }
    }

    async fn a_tenant_is_changed_by_a_merge_patch(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Contoso"));
        app.onboard_and_sync(&tenant).await;
        let path = format!("/tenants/{}", tenant.id);
        let before = app.owner.get(&path).await.expect(200);
        let tag = before.header("etag").to_owned();
        let change = json!({"displayName": "Our best", "tags": ["gold", "gold"], "notifications": false});
        let patch = |tag: &str, body: &Value| app.owner.request("PATCH", &path).header("if-match", tag).json(body);
        let after = app.owner.send(patch(&tag, &change)).await.expect(200);
        assert_ne!(after.header("etag"), tag);
        let known = app.owner.request("GET", &path).header("if-none-match", after.header("etag"));
        assert_eq!(app.owner.send(known).await.expect(304).text, "");
        let after = after.json();
        assert_eq!(after["displayName"], "Our best");
        assert_eq!(after["tags"], json!(["gold"]));
        assert_eq!(after["notifications"], false);
        assert_eq!(after["customerId"], before.json()["customerId"], "what is left out stays");
        app.owner.send(patch(&tag, &json!({"tags": null}))).await.expect_problem(412, "preconditionFailed");
        let own = app.owner.patch(&path, &json!({"displayName": null, "tags": null})).await.expect(200).json();
        assert_eq!((own["displayName"].as_str(), own["tags"].clone()), (Some("Contoso"), json!([])));
        for body in [
            json!({"status": "revoked"}),
            json!({"tenantId": Uuid::nil()}),
            json!({"displayName": ""}),
            json!({"displayName": 7}),
            json!({"tags": ["a", ""]}),
            json!({"tags": "a"}),
        ] {
            app.owner.patch(&path, &body).await.expect_problem(422, "validationFailed");
        }
        let nobody = json!({"customerId": Uuid::now_v7()});
        app.owner.patch(&path, &nobody).await.expect_problem(404, "customerNotFound");
    }

    async fn c13_d1_a_revoked_tenant_is_left_alone_and_may_be_connected_elsewhere(backend: Backend) {
        let app = TestApp::start(backend).await;
        let other = app.owner_of_new("Southwind MSP");
        let tenant = app.microsoft.add_tenant(seed("Contoso"));
        let customer = app.owner.create_customer("Contoso Ltd").await;
        let made = app.owner.connect(&customer, "contoso.example").await;
        let link = made["authorizationUrl"].as_str().unwrap();
        let mut browser = Browser::new();
        browser.open(link).await;
        browser.submit("Continue to Microsoft").await;
        app.owner.wait_for_run(tenant.id).await;

        let theirs = other.create_customer("Contoso").await;
        let squat = other.connect(&theirs, "contoso.example").await;
        assert_eq!(squat["status"], "pendingConsent", "nothing tells that the tenant is connected");
        let mut stranger = Browser::new();
        stranger.open(squat["authorizationUrl"].as_str().unwrap()).await;
        let page = stranger.submit("Continue to Microsoft").await;
        assert!(page.text().contains("Tenant unavailable"), "{}", page.text());
        assert!(!page.text().contains("Northwind"), "{}", page.text());

        let path = format!("/tenants/{}", tenant.id);
        app.owner.delete(&path).await.expect(204);
        let shown = app.owner.get(&path).await.expect(200).json();
        assert_eq!(shown["status"], "revoked");
        assert!(shown["revokedAt"].is_string() && shown["consentedBy"].is_object());
        assert_eq!(Browser::new().open(link).await.status, 410);

        stranger.follow("Try again").await;
        let page = stranger.submit("Continue to Microsoft").await;
        assert!(page.text().contains("Connected"), "{}", page.text());
        assert_eq!(app.owner.status(tenant.id).await["status"], "revoked");
    }

    async fn d1_a_revoked_tenant_has_no_credential_and_can_be_connected_again(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Leaving"));
        app.onboard_and_sync(&tenant).await;
        let path = format!("/tenants/{}", tenant.id);
        for _ in 0..2 {
            assert_eq!(app.owner.delete(&path).await.expect(204).text, "");
        }
        let status = app.owner.status(tenant.id).await;
        assert_eq!(status["status"], "revoked");
        assert_eq!(events(&app.owner, "tenant.revoked").await.len(), 1);
        for left in [
            "connections WHERE data_key IS NOT NULL OR sealed_link IS NOT NULL",
            "tenant_claims",
            "flow_index WHERE kind <> 'link'",
            "work_items",
        ] {
            assert_eq!(app.database.raw().count(left), 0, "{left}");
        }
        app.owner.post(&format!("{path}/sync"), &json!({"kind": "full"})).await.expect_problem(409, "tenantNotConnected");
        assert!(!app.owner.list(&format!("{path}/users")).await.is_empty(), "what was found stays");

        let customer = app.owner.create_customer("Back").await;
        let started = app.owner.connect(&customer, "leaving.example").await;
        assert_eq!(started["status"], "revoked");
        assert!(walk(text(&started, "authorizationUrl")).await.text().contains("Connected"));
        assert_eq!(app.owner.status(tenant.id).await["status"], "connected");
    }

    async fn d1_revoking_ends_a_run_that_is_under_way(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Cut"));
        let cloud = app.microsoft.cloud();
        cloud.hold("/secureScores");
        app.onboard(&tenant).await;
        cloud.wait_for_request(|request| request.path_and_query.contains("/secureScores")).await;
        app.owner.delete(&format!("/tenants/{}", tenant.id)).await.expect(204);
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!((&status["status"], &status["run"]["state"]), (&json!("revoked"), &json!("cancelled")));
        assert_eq!(status["run"]["progress"], 1);
        cloud.release();
    }

    async fn z4_another_organisations_tenant_is_a_missing_one(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Contoso"));
        app.onboard(&tenant).await;
        let other = app.owner_of_new("Southwind MSP");
        let strip = |mut problem: Value| {
            problem["requestId"] = Value::Null;
            problem
        };
        let missing = format!("/tenants/{}", Uuid::new_v4());
        let foreign = format!("/tenants/{}", tenant.id);
        for method in ["GET", "DELETE", "PATCH"] {
            let call = |path: &str| {
                let request = other.request(method, path);
                if method == "PATCH" { request.json(&json!({"tags": []})) } else { request }
            };
            let of_foreign = other.send(call(&foreign)).await.expect_problem(404, "notFound");
            let of_missing = other.send(call(&missing)).await.expect_problem(404, "notFound");
            assert_eq!(strip(of_foreign), strip(of_missing), "{method}");
        }
        assert_eq!(other.list("/tenants").await.len(), 0);
        assert_eq!(app.owner.get(&foreign).await.expect(200).json()["status"], "connected");
    }
}
