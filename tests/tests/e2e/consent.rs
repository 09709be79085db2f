//! The administrator's way: from the link through Microsoft's pages to a connected tenant.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_tests::{
    app::TestApp,
    browser::Browser,
    database::Backend,
    fake_microsoft::{
        INITIAL_APP_ROLES, login,
        state::{Decision, GLOBAL_ADMINISTRATOR},
    },
    on_both_databases,
};

use crate::flow::{events, hop, open_one_hop, relay_to_the_end, seed, start, text, walk};

on_both_databases! {
    async fn c6_the_link_leads_through_both_legs_to_the_result(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Happy"));
        let customer = app.owner.create_customer("Happy Ltd").await;
        let wish = json!({"customerId": customer, "tenant": "happy.example"});
        let answer = app.owner.post("/tenants/connect", &wish).await.expect(201);
        assert_eq!(answer.header("location"), format!("/api/msp-portal/tenants/{}", tenant.id));
        let started = answer.json();
        assert_eq!(started["status"], "pendingConsent");
        assert_eq!(started["tenantId"], tenant.id.to_string());
        let permissions = started["requestedPermissions"].as_array().unwrap();
        assert_eq!(permissions.len(), INITIAL_APP_ROLES.len());
        let link = text(&started, "authorizationUrl");
        let mut browser = Browser::new();
        let page = browser.open(link).await;
        assert_eq!(page.status, 200, "{page}");
        assert_eq!(page.url, format!("{link}/result"));
        assert!(page.text().contains("Connected"), "{page}");

        let statuses: Vec<u16> = page.hops.iter().map(|hop| hop.status).collect();
        assert_eq!(statuses, [303, 302, 303, 302, 303, 200], "at once to Microsoft, leg by leg");
        let ours: Vec<_> = page.hops.iter().filter(|hop| hop.url.starts_with(&app.url("/"))).collect();
        assert_eq!(ours.len(), 4);
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

        let shown = app.owner.get(&format!("/tenants/{}", tenant.id)).await.expect(200).json();
        assert_eq!((&shown["status"], &shown["customerId"]), (&json!("connected"), &json!(customer)));
        assert_eq!((&shown["displayName"], &shown["missingPermissions"]), (&json!("Happy"), &json!([])));
        assert_eq!(shown["consentedBy"]["accountType"], "member");
        assert_eq!(shown["stale"], false);
        assert_eq!(shown["connectedAt"].as_str().map(|time| time.ends_with('Z')), Some(true));

        // Opened again it begins nothing: it shows the result.
        for mut browser in [browser, Browser::new()] {
            let again = browser.open(link).await;
            assert_eq!((again.status, again.hops.len()), (200, 1), "{again}");
            assert!(again.text().contains("Connected"));
        }
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

    async fn with_several_organisations_the_link_names_who_asks_for_what(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.create_organization("Southwind MSP");
        let tenant = app.microsoft.add_tenant(seed("Contoso"));
        let made = start(&app.owner, &tenant).await;
        let mut browser = Browser::new();
        let page = browser.open(text(&made, "authorizationUrl")).await;
        assert_eq!((page.status, page.hops.len()), (200, 1));
        let shown = page.text();
        for part in ["Northwind MSP", "contoso.example", &tenant.id.to_string()] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
        for permission in made["requestedPermissions"].as_array().unwrap() {
            assert!(shown.contains(text(permission, "name")) && shown.contains(text(permission, "reason")));
        }
        assert!(!page.body.contains("<script"));
        let page = browser.submit("Continue to Microsoft").await;
        assert!(page.text().contains("Connected"), "{}", page.text());
    }

    async fn with_one_organisation_the_page_is_shown_for_the_asking(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Contoso"));
        let made = start(&app.owner, &tenant).await;
        let mut browser = Browser::new();
        let page = browser.open(&format!("{}?details", text(&made, "authorizationUrl"))).await;
        assert!(page.text().contains("Northwind MSP"), "{}", page.text());
        let page = browser.submit("Continue to Microsoft").await;
        assert!(page.text().contains("Connected"), "{}", page.text());
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
            let page = walk(text(&started, "authorizationUrl")).await;
            assert!(page.text().contains("Connected"), "{page}");
        }
    }

    async fn r1_a_process_killed_anywhere_in_the_flow_loses_nothing(backend: Backend) {
        for (stop, by_itself) in [
            ("connect-started", false),
            ("consent-state-taken", false),
            ("sign-in-proven", false),
            ("sign-in-stored", false),
            ("consent-stored", true),
            ("proof-before-store", true),
            ("proof-stored", true),
        ] {
            let mut app = TestApp::start_with(backend, &[("TENANTRY_FAILPOINTS", &format!("{stop}=abort"))]).await;
            let tenant = app.microsoft.add_tenant(seed("Killed"));
            let customer = app.owner.create_customer("Killed Ltd").await;
            let wish = json!({"customerId": customer, "tenant": "killed.example"});
            let request = app.owner.request("POST", "/tenants/connect").json(&wish).send();
            // The answer is lost at the first of these stops; another link is made then.
            let made = match request.await {
                Ok(answer) => Some(answer.json::<Value>().await.unwrap()),
                Err(_) => None,
            };
            let mut browser = Browser::new();
            if let Some(made) = &made {
                browser.open(text(made, "authorizationUrl")).await;
            }
            app.wait_for_end().await;
            app.unset("TENANTRY_FAILPOINTS");
            app.serve().await;
            if !by_itself {
                let made = match made {
                    Some(made) => made,
                    None => app.owner.connect(&customer, "killed.example").await,
                };
                let page = browser.open(text(&made, "authorizationUrl")).await;
                assert!(page.text().contains("Connected"), "{stop}: {}", page.text());
            }
            app.owner.wait_for_status(tenant.id, stop, |status| status["status"] == "connected").await;
            app.owner.wait_for_run(tenant.id).await;
        }
    }
}
