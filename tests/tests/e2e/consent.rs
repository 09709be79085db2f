//! Connecting a tenant as technician and administrator live it, up to revoking it again.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_tests::{
    app::TestApp,
    browser::Browser,
    database::Backend,
    fake_microsoft::{
        login,
        state::{Decision, GLOBAL_ADMINISTRATOR},
    },
    on_both_databases,
};

use crate::flow::{
    events, fields_of, hop, open_one_hop, relay, relay_to_the_end, seed, start, text, walk,
};

fn has(bytes: &[u8], needle: &str) -> bool {
    bytes
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

on_both_databases! {
    async fn c6_the_link_leads_through_both_legs_to_the_result(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Happy"));
        let started = start(&app.owner, &tenant).await;
        assert_eq!(started["status"], "pendingConsent");
        assert_eq!(started["tenantId"], tenant.id.to_string());
        let link = text(&started, "authorizationUrl");
        let mut browser = Browser::new();
        let page = browser.open(link).await;
        assert_eq!(page.status, 200, "{page}");
        assert_eq!(page.url, format!("{link}/result"));
        assert!(page.text().contains("Connected"), "{page}");

        let ours: Vec<_> = page.hops.iter().filter(|hop| hop.url.starts_with(&app.url("/"))).collect();
        let statuses: Vec<u16> = ours.iter().map(|hop| hop.status).collect();
        assert_eq!(statuses, [303, 303, 303, 200]);
        for hop in &ours {
            assert_eq!(hop.headers["referrer-policy"], "no-referrer", "{}", hop.url);
            assert_eq!(hop.headers["cache-control"], "no-store", "{}", hop.url);
        }
        let cookie = ours[0].headers["set-cookie"].to_str().unwrap();
        for part in ["__Host-tenantry-flow=", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
        assert!(ours[1].cookies.iter().any(|name| name == "__Host-tenantry-flow"));

        let status = app.owner.status(tenant.id).await;
        assert_eq!(status["status"], "connected");
        let shown = app.owner.get(&format!("/tenants/{}", tenant.id)).await.expect(200).json();
        assert_eq!(shown["consentedBy"]["accountType"], "member");
        assert_eq!(shown["connectedAt"].as_str().map(|time| time.ends_with('Z')), Some(true));

        // Opened again it begins nothing: it shows the result.
        let again = Browser::new().open(link).await;
        assert_eq!((again.status, again.hops.len()), (200, 1), "{again}");
        assert!(again.text().contains("Connected"));
        assert_eq!(events(&app.owner, "tenant.connected").await.len(), 1);
    }

    async fn c7_microsoft_is_asked_with_a_verifier_a_nonce_and_a_state_of_their_own(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Protocol"));
        let started = start(&app.owner, &tenant).await;
        let link = text(&started, "authorizationUrl");
        let mut seen = BTreeSet::new();
        let addresses = [open_one_hop(link).await.1, open_one_hop(link).await.1, text(&started, "microsoftUrl").to_owned()];
        for address in &addresses {
            let url = url::Url::parse(address).unwrap();
            assert_eq!(url.path(), format!("/{}/oauth2/v2.0/authorize", tenant.id));
            let get = |name: &str| {
                let mut pairs = url.query_pairs();
                pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
            };
            assert_eq!(get("code_challenge_method"), "S256");
            assert_eq!(get("prompt"), "select_account");
            assert_eq!(get("redirect_uri"), app.url("/api/msp-portal/tenants/callback"));
            for name in ["state", "nonce", "code_challenge"] {
                assert!(get(name).len() >= 22, "{name} in {address}");
                assert!(seen.insert(get(name)), "{name} was used twice");
            }
        }
    }

    async fn c8_a_front_end_relays_both_legs(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Relayed"));
        let started = start(&app.owner, &tenant).await;
        let first = relay(&app.owner, text(&started, "microsoftUrl")).await.expect(200).json();
        assert_eq!(first["status"], "pendingConsent");
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

    async fn n15_the_button_leads_to_the_return_url_where_microsoft_shows_no_page(backend: Backend) {
        let app = TestApp::start_with(backend, &[("TENANTRY_RETURN_URLS", "https://portal.example:8443/app")]).await;
        app.create_organization("Southwind MSP");
        let customer = app.owner.create_customer("Signed in").await;
        app.microsoft.add_tenant(seed("Remembered"));
        let mut wish = json!({"customerId": customer, "tenant": "remembered.example"});
        for (return_url, further) in [(None, ""), (Some("https://portal.example:8443/app/done"), " https://portal.example:8443")] {
            wish["returnUrl"] = json!(return_url);
            let started = app.owner.post("/tenants/connect", &wish).await.expect(201).json();
            let mut browser = Browser::new();
            let page = browser.open(text(&started, "authorizationUrl")).await;
            let policy = page.header("content-security-policy").unwrap();
            let allowed = format!("; form-action 'self' {}{further};", app.microsoft.login_url());
            assert!(policy.contains(&allowed), "{policy}");
            let end = browser.submit("Continue to Microsoft").await;
            match return_url {
                Some(url) => {
                    assert!(end.url.starts_with(url) && end.url.ends_with("status=connected"), "{end}");
                    assert!(!end.body.contains("blocked"), "{end}");
                }
                None => assert!(end.text().contains("Connected"), "{end}"),
            }
            let tenant = app.owner.list("/tenants").await[0]["tenantId"].as_str().unwrap().to_owned();
            app.owner.delete(&format!("/tenants/{tenant}")).await.expect(204);
        }
    }

    async fn g6_a_token_without_roles_connects_and_a_refusal_shows_what_is_missing(backend: Backend) {
        let app = TestApp::start(backend).await;
        let withheld = "DeviceManagementManagedDevices.Read.All";
        let accept = Decision::AcceptWithout([withheld.to_owned()].into());
        let tenant = app.microsoft.add_tenant(seed("Silent").decision(accept));
        login::set_app_token_form(&app.microsoft.cloud(), tenant.id, login::AppTokenForm::WithoutRoles);
        let started = start(&app.owner, &tenant).await;
        let answer = relay_to_the_end(&app.owner, &started).await.expect(200).json();
        assert_eq!(answer["status"], "connected");
        assert_eq!((&answer["grantedPermissions"], &answer["missingPermissions"]), (&json!([]), &json!([])));
        assert_eq!(answer["nextUrl"], Value::Null);
        let page = walk(text(&started, "authorizationUrl")).await.text();
        assert!(page.contains("is connected to") && !page.contains("was granted"), "{page}");

        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!((&status["run"]["id"], &status["status"]), (&answer["syncRunId"], &json!("degraded")));
        assert_eq!(status["missingPermissions"], json!([withheld]), "what Graph refuses is missing");
        let shown = app.owner.get(&format!("/tenants/{}", tenant.id)).await.expect(200).json();
        assert_eq!((&shown["grantedPermissions"], &shown["missingPermissions"]), (&json!([]), &json!([withheld])));
        assert_eq!(shown["degradedFeatures"].as_array().unwrap().len(), 1);
        let page = walk(text(&started, "authorizationUrl")).await.text();
        assert!(page.contains("Some permissions are missing") && page.contains(withheld), "{page}");
    }

    async fn c12_a_guest_with_a_proven_role_connects_and_is_recorded_as_one(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Hosting").wids_in_token(false));
        let guest = {
            let mut people = tenant.people.write().unwrap();
            people[2].wids = vec![GLOBAL_ADMINISTRATOR];
            people[2].clone()
        };
        *tenant.decision.write().unwrap() = Decision::AcceptAs(guest.upn);
        let page = app.onboard(&tenant).await;
        assert!(page.text().contains("Connected"), "{page}");
        let shown = app.owner.get(&format!("/tenants/{}", tenant.id)).await.expect(200).json();
        assert_eq!(shown["consentedBy"]["accountType"], "guest");
        assert_eq!(shown["consentedBy"]["objectId"], guest.oid.to_string());
    }

    async fn consent_that_spreads_slowly_is_pending_and_then_connected(backend: Backend) {
        let app = TestApp::start(backend).await;
        for (name, without_roles) in [("Slow", false), ("Empty", true)] {
            let tenant = app.microsoft.add_tenant(seed(name));
            login::set_consent_lag(&app.microsoft.cloud(), tenant.id, 8, without_roles);
            let started = start(&app.owner, &tenant).await;
            let answer = relay_to_the_end(&app.owner, &started).await.expect(200).json();
            assert_eq!(answer["status"], "pendingConsent", "{answer}");
            assert_eq!(answer["syncRunId"], Value::Null);
            app.advance_seconds(10);
            let page = hop(text(&started, "authorizationUrl")).await;
            assert_eq!(page.status().as_u16(), 200, "an answer is on its way, so nothing new begins");
            app.owner.wait_for_status(tenant.id, "the proof", |status| status["status"] == "connected").await;
            let status = app.owner.wait_for_run(tenant.id).await;
            assert_eq!(status["connectionError"], Value::Null);
        }
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
        let secrets = [token, secret("state"), secret("nonce"), app.owner_key.clone(), tenantry_tests::app::CLIENT_SECRET.to_owned()];
        for secret in &secrets {
            assert!(secret.len() >= 22 && !has(&dump, secret), "in clear: {secret}");
            assert!(!app.log().contains(secret.as_str()), "in the log: {secret}");
        }
        assert!(has(&dump, "repeated.example"), "the dump shows what is stored");
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
            "SELECT count(*) FROM connections WHERE data_key IS NOT NULL OR sealed_link IS NOT NULL",
            "SELECT count(*) FROM tenant_claims",
            "SELECT count(*) FROM flow_index WHERE kind <> 'link'",
            "SELECT count(*) FROM work_items",
        ] {
            assert_eq!(app.database.count(left), 0, "{left}");
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

    async fn c13_another_organization_may_connect_what_one_has_revoked(backend: Backend) {
        let app = TestApp::start(backend).await;
        let (_, key) = app.create_organization("Southwind MSP");
        let other = app.owner.with_key(Some(&key));
        let tenant = app.microsoft.add_tenant(seed("Moving"));
        let started = start(&app.owner, &tenant).await;
        let page = walk(text(&started, "authorizationUrl")).await;
        assert!(page.text().contains("Connected"), "{page}");
        let wish = start(&other, &tenant).await;
        assert_eq!(wish["status"], "pendingConsent", "nothing tells that the tenant is connected");
        let problem = relay_to_the_end(&other, &wish).await.expect_problem(409, "tenantUnavailable");
        assert!(!problem.to_string().contains("Northwind"), "{problem}");
        app.owner.delete(&format!("/tenants/{}", tenant.id)).await.expect(204);
        let wish = start(&other, &tenant).await;
        assert_eq!(relay_to_the_end(&other, &wish).await.expect(200).json()["status"], "connected");
        assert_eq!(app.owner.status(tenant.id).await["status"], "revoked");
    }
}
