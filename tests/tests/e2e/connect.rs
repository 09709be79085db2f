//! Connecting a tenant over HTTP: the technician's calls, the administrator's browser, and a front end
//! that relays.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tenantry_tests::{
    app::{Answer, Caller, TestApp},
    browser::Browser,
    database::Backend,
    fake_microsoft::{
        INITIAL_APP_ROLES,
        login::{Endpoint, script_error, set_consent_lag},
        seed::TenantSeed,
        state::{Decision, Tenant},
    },
    on_both_databases,
};
use url::Url;

const DOMAIN: &str = "contoso.example";

fn contoso(decision: Decision) -> TenantSeed {
    TenantSeed::new("Contoso", DOMAIN)
        .users(3)
        .decision(decision)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value:#}"))
}

fn decide(tenant: &Tenant, decision: Decision) {
    *tenant.decision.write().unwrap() = decision;
}

/// Asks for a link of a fresh customer.
async fn link(caller: &Caller) -> Value {
    let customer = caller.create_customer("Contoso Ltd").await;
    caller.connect(&customer, DOMAIN).await
}

/// Where Microsoft's page sends a front end that receives the redirect itself.
#[expect(
    clippy::disallowed_methods,
    reason = "this is a technician's front end, not a client of the product"
)]
async fn redirect_of(page: &str) -> Url {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let answer = client.build().unwrap().get(page).send().await.unwrap();
    answer.headers()["location"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// The fields of a redirect as JSON, as a front end relays them.
fn relayed(redirect: &Url) -> Value {
    redirect
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect()
}

/// Relays what Microsoft's page answers.
async fn relay(caller: &Caller, page: &str) -> Answer {
    caller
        .post("/tenants/callback", &relayed(&redirect_of(page).await))
        .await
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

on_both_databases! {
    async fn a_technicians_link_leads_an_administrator_to_a_connected_tenant(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(contoso(Decision::Accept));
        let customer = app.owner.create_customer("Contoso Ltd").await;
        let body = json!({"customerId": customer, "tenant": DOMAIN});
        let made = app.owner.post("/tenants/connect", &body).await.expect(201);
        assert_eq!(made.header("location"), format!("/api/msp-portal/tenants/{}", tenant.id));
        let made = made.json();
        assert_eq!(text(&made, "tenantId"), tenant.id.to_string());
        assert_eq!(text(&made, "status"), "pendingConsent");
        let permissions = made["requestedPermissions"].as_array().unwrap();
        assert_eq!(permissions.len(), INITIAL_APP_ROLES.len());
        assert!(permissions.iter().all(|one| one["type"] == "application" && one["reason"].is_string()));

        let mut browser = Browser::new();
        let page = browser.open(text(&made, "authorizationUrl")).await;
        assert_eq!(page.url, format!("{}/result", text(&made, "authorizationUrl")));
        assert!(page.text().contains("Connected"), "{}", page.text());
        let statuses: Vec<u16> = page.hops.iter().map(|hop| hop.status).collect();
        assert_eq!(statuses, [303, 302, 303, 302, 303, 200], "at once to Microsoft, leg by leg");
        for hop in page.hops.iter().filter(|hop| hop.url.starts_with(&app.url(""))) {
            assert_eq!(header(&hop.headers, "cache-control"), "no-store", "{}", hop.url);
            assert_eq!(header(&hop.headers, "referrer-policy"), "no-referrer", "{}", hop.url);
        }
        let shown = app.owner.get(&format!("/tenants/{}", tenant.id)).await.expect(200).json();
        assert_eq!(text(&shown, "status"), "connected");
        assert_eq!(text(&shown, "customerId"), customer);
        assert_eq!(text(&shown, "displayName"), "Contoso");
        assert_eq!(shown["consentedBy"]["accountType"], "member");
        assert_eq!(shown["missingPermissions"], json!([]));
        assert_eq!(shown["stale"], false);
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["kind"], "initial");

        let again = app.owner.post("/tenants/connect", &body).await;
        let problem = again.expect_problem(409, "tenantAlreadyConnected");
        assert_eq!(text(&problem, "customerId"), customer);
        let opened = browser.open(text(&made, "authorizationUrl")).await;
        assert_eq!((opened.status, opened.hops.len()), (200, 1), "a proven link begins nothing");
    }

    async fn with_several_organisations_the_link_names_who_asks_for_what(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.create_organization("Southwind MSP");
        let tenant = app.microsoft.add_tenant(contoso(Decision::Accept));
        let made = link(&app.owner).await;
        let mut browser = Browser::new();
        let page = browser.open(text(&made, "authorizationUrl")).await;
        assert_eq!((page.status, page.hops.len()), (200, 1));
        let shown = page.text();
        for part in ["Northwind MSP", DOMAIN, &tenant.id.to_string()] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
        for permission in made["requestedPermissions"].as_array().unwrap() {
            assert!(shown.contains(text(permission, "name")) && shown.contains(text(permission, "reason")));
        }
        assert!(!page.body.contains("<script"));
        let policy = header(&page.headers, "content-security-policy");
        let allowed = format!("form-action 'self' {};", app.microsoft.login_url());
        assert!(policy.contains(&allowed), "{policy}");
        let page = browser.submit("Continue to Microsoft").await;
        assert!(page.text().contains("Connected"), "{}", page.text());
    }

    async fn with_one_organisation_the_page_is_shown_for_the_asking(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.microsoft.add_tenant(contoso(Decision::Accept));
        let made = link(&app.owner).await;
        let mut browser = Browser::new();
        let page = browser.open(&format!("{}?details", text(&made, "authorizationUrl"))).await;
        assert!(page.text().contains("Northwind MSP"), "{}", page.text());
        let page = browser.submit("Continue to Microsoft").await;
        assert!(page.text().contains("Connected"), "{}", page.text());
    }

    async fn a_declined_consent_says_what_to_do_and_the_same_link_works_again(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(contoso(Decision::DeclineConsent));
        let made = link(&app.owner).await;
        let mut browser = Browser::new();
        let page = browser.open(text(&made, "authorizationUrl")).await;
        assert_eq!(page.status, 200);
        for part in ["Not connected", "Consent declined", "AADSTS65004", "Try again"] {
            assert!(page.text().contains(part), "no {part} in {}", page.text());
        }
        let status = app.owner.status(tenant.id).await;
        assert_eq!(status["status"], "pendingConsent");
        assert_eq!(status["connectionError"]["code"], "consentDeclined");
        assert_eq!(status["connectionError"]["status"], 403);
        assert!(status["connectionError"]["type"].as_str().unwrap().ends_with("/problems/consentDeclined"));
        assert_eq!(status["connectionError"]["microsoft"]["aadsts"], 65004);
        decide(&tenant, Decision::Accept);
        let page = browser.follow("Try again").await;
        assert!(page.text().contains("Connected"), "{}", page.text());
        assert!(app.owner.status(tenant.id).await["connectionError"].is_null());
    }

    async fn the_flow_ends_at_the_technicians_front_end(backend: Backend) {
        let app = TestApp::start_with(backend, &[("TENANTRY_RETURN_URLS", "https://portal.example/app")]).await;
        let tenant = app.microsoft.add_tenant(contoso(Decision::CancelSignIn));
        let customer = app.owner.create_customer("Contoso Ltd").await;
        let wish = |url: &str| json!({"customerId": customer, "tenant": DOMAIN, "returnUrl": url});
        let elsewhere = app.owner.post("/tenants/connect", &wish("https://portal.example/application")).await;
        elsewhere.expect_problem(422, "returnUrlNotAllowed");
        let made = app.owner.post("/tenants/connect", &wish("https://portal.example/app/t?tab=1")).await;
        let made = made.expect(201).json();
        let url = text(&made, "authorizationUrl");
        let page = Browser::new().open(url).await;
        let base = format!("https://portal.example/app/t?tab=1&tenantId={}", tenant.id);
        assert_eq!(page.url, format!("{base}&status=pendingConsent&error=consentDeclined"));
        decide(&tenant, Decision::Accept);
        let page = Browser::new().open(url).await;
        assert_eq!(page.url, format!("{base}&status=connected"));
    }

    async fn a_front_end_relays_what_it_received(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(contoso(Decision::Accept));
        let made = link(&app.owner).await;
        let step = relay(&app.owner, text(&made, "microsoftUrl")).await.expect(200).json();
        assert_eq!(text(&step, "tenantId"), tenant.id.to_string());
        assert_eq!(text(&step, "status"), "pendingConsent");
        assert!(step["syncRunId"].is_null());
        let step = relay(&app.owner, text(&step, "nextUrl")).await.expect(200).json();
        assert_eq!(text(&step, "status"), "connected");
        assert_eq!(step["missingPermissions"], json!([]));
        assert!(step["nextUrl"].is_null() && step["syncRunId"].is_string());
    }

    async fn c8_a_relayed_answer_is_its_organisations_and_works_once(backend: Backend) {
        let app = TestApp::start(backend).await;
        let (_id, other) = app.create_organization("Southwind MSP");
        app.microsoft.add_tenant(contoso(Decision::Accept));
        let made = link(&app.owner).await;
        let redirect = relayed(&redirect_of(text(&made, "microsoftUrl")).await);
        let stranger = app.owner.with_key(Some(&other));
        stranger.post("/tenants/callback", &redirect).await.expect_problem(400, "invalidState");
        app.owner.post("/tenants/callback", &redirect).await.expect_problem(400, "invalidState");
        app.owner.post("/tenants/callback", &json!({})).await.expect_problem(400, "invalidState");
        app.owner.with_key(None).post("/tenants/callback", &redirect).await.expect_problem(401, "unauthorized");
        let twice = app.owner.request("POST", "/tenants/callback").header("content-type", "application/json");
        let twice = app.owner.send(twice.body(r#"{"state":"a","state":"b"}"#)).await;
        twice.expect_problem(400, "invalidJson");
        let form = app.owner.request("POST", "/tenants/callback").form(&[("state", "a")]);
        app.owner.send(form).await.expect_problem(415, "unsupportedMediaType");
    }

    async fn c8_a_browser_that_did_not_open_the_link_gets_a_page_and_nothing_else(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(contoso(Decision::Ask));
        let made = link(&app.owner).await;
        let mut victim = Browser::new();
        let page = victim.open(text(&made, "authorizationUrl")).await;
        let authorize: Url = page.url.parse().unwrap();
        decide(&tenant, Decision::Accept);
        let callback = redirect_of(authorize.as_str()).await;
        for mut browser in [Browser::new(), victim] {
            // The state is used up by the first one, so the second is refused too, although it is its own.
            let page = browser.open(callback.as_str()).await;
            assert_eq!(page.status, 400, "{}", page.text());
            assert!(header(&page.headers, "content-type").starts_with("text/html"));
            assert!(page.body.contains("invalidState") || page.text().contains("Invalid state"), "{}", page.text());
            assert_eq!(header(&page.headers, "cache-control"), "no-store");
        }
        assert_eq!(app.owner.status(tenant.id).await["status"], "pendingConsent");
    }

    async fn c17_a_callback_with_a_field_twice_is_refused(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(contoso(Decision::Ask));
        let made = link(&app.owner).await;
        let mut browser = Browser::new();
        let page = browser.open(text(&made, "authorizationUrl")).await;
        decide(&tenant, Decision::Accept);
        let callback = redirect_of(&page.url).await;
        let twice = format!("{callback}&code=another");
        assert_eq!(browser.open(&twice).await.status, 400);
        let page = browser.open(&format!("{callback}&session_state=x&session_state=y")).await;
        assert!(page.text().contains("Connected"), "{}", page.text());
    }

    async fn c16_hostile_texts_are_shown_as_texts(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.microsoft.add_tenant(contoso(Decision::Ask));
        let made = link(&app.owner).await;
        let mut browser = Browser::new();
        let page = browser.open(text(&made, "authorizationUrl")).await;
        let authorize: Url = page.url.parse().unwrap();
        let state = authorize.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let mut callback: Url = app.url("/api/msp-portal/tenants/callback").parse().unwrap();
        callback.query_pairs_mut().append_pair("state", &state).append_pair("error", "strange").append_pair(
            "error_description",
            "<script>alert(1)</script>\r\nSet-Cookie: a=b",
        );
        let page = browser.open(callback.as_str()).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("<script"), "{}", page.body);
        assert!(page.text().contains("Refused by Microsoft"), "{}", page.text());
        assert!(page.hops.iter().all(|hop| !hop.headers.get_all("set-cookie").iter().any(|cookie| cookie == "a=b")));
    }

    async fn a_link_ends_after_three_days_and_an_older_one_at_once(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.microsoft.add_tenant(contoso(Decision::Accept));
        let first = link(&app.owner).await;
        let second = link(&app.owner).await;
        let old = Browser::new().open(text(&first, "authorizationUrl")).await;
        assert_eq!(old.status, 410);
        assert!(old.text().contains("Northwind MSP"), "{}", old.text());
        app.advance_seconds(72 * 3600 + 1);
        let expired = Browser::new().open(text(&second, "authorizationUrl")).await;
        assert_eq!((expired.status, expired.hops.len()), (410, 1));
        assert!(expired.text().contains("expired"), "{}", expired.text());
        let unknown = Browser::new().open(&app.url(&format!("/connect/{}", "A".repeat(43)))).await;
        assert_eq!(unknown.status, 404);
        let result = Browser::new().open(&format!("{}/result", text(&second, "authorizationUrl"))).await;
        assert_eq!(result.status, 410);
    }

    async fn r29_a_repeated_wish_gives_the_same_links(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.microsoft.add_tenant(contoso(Decision::Accept));
        let customer = app.owner.create_customer("Contoso Ltd").await;
        let wish = |tenant: &str| {
            let request = app.owner.request("POST", "/tenants/connect").header("idempotency-key", "k-1");
            request.json(&json!({"customerId": customer, "tenant": tenant}))
        };
        let first = app.owner.send(wish(DOMAIN)).await.expect(201);
        let again = app.owner.send(wish(DOMAIN)).await.expect(201);
        assert_eq!(first.json(), again.json());
        assert_eq!(again.header("idempotency-replayed"), "true");
        app.owner.send(wish("other.example")).await.expect_problem(422, "idempotencyKeyReused");
        let dump = app.database.dump();
        let token = text(&first.json(), "authorizationUrl").rsplit('/').next().unwrap().to_owned();
        assert!(!dump.windows(token.len()).any(|window| window == token.as_bytes()));
        assert!(!app.log().contains(&token));
    }

    async fn what_cannot_be_connected_is_refused_by_its_code(backend: Backend) {
        let app = TestApp::start(backend).await;
        app.microsoft.add_tenant(contoso(Decision::Accept));
        script_error(&app.microsoft.cloud(), Endpoint::Discovery, Some("elsewhere.example"), 90038, 1);
        let customer = app.owner.create_customer("Contoso Ltd").await;
        let nobody = "0199a000-0000-7000-8000-000000000000";
        for (body, status, code) in [
            (json!({"tenant": DOMAIN}), 422, "customerRequired"),
            (json!({"customerId": nobody, "tenant": DOMAIN}), 404, "customerNotFound"),
            (json!({"customerId": customer, "tenant": "no tenant"}), 422, "invalidTenant"),
            (json!({"customerId": customer, "tenant": "nobody.example"}), 422, "tenantNotFound"),
            (json!({"customerId": customer, "tenant": "elsewhere.example"}), 422, "wrongCloud"),
            (json!({"customerId": customer, "tenant": DOMAIN, "returnUrl": "https://x.example"}), 422, "returnUrlNotAllowed"),
            (json!({"customerId": customer, "tenant": DOMAIN, "connectionType": "gdap"}), 422, "connectionTypeUnavailable"),
            (json!({"customerId": customer, "tenant": DOMAIN, "connectionType": "magic"}), 422, "validationFailed"),
            (json!({"customerId": customer, "tenant": DOMAIN, "tid": 1}), 422, "validationFailed"),
            (json!({"customerId": customer, "tenant": 7}), 422, "validationFailed"),
            (json!({"customerId": "7", "tenant": DOMAIN}), 422, "validationFailed"),
        ] {
            app.owner.post("/tenants/connect", &body).await.expect_problem(status, code);
        }
        let (_id, reader) = app.create_key("reader");
        let reader = app.owner.with_key(Some(&reader));
        let body = json!({"customerId": customer, "tenant": DOMAIN});
        reader.post("/tenants/connect", &body).await.expect_problem(403, "forbidden");
        assert_eq!(app.owner.list("/tenants").await.len(), 0);
    }

    async fn consent_that_lags_ends_connected_by_itself(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(contoso(Decision::Accept));
        set_consent_lag(&app.microsoft.cloud(), tenant.id, 8, false);
        let made = link(&app.owner).await;
        let page = Browser::new().open(text(&made, "authorizationUrl")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        app.owner.wait_for_status(tenant.id, "the proof", |status| status["status"] == "connected").await;
        let page = Browser::new().open(text(&made, "authorizationUrl")).await;
        assert!(page.text().contains("Connected"), "{}", page.text());
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
            let tenant = app.microsoft.add_tenant(contoso(Decision::Accept));
            let customer = app.owner.create_customer("Contoso Ltd").await;
            let wish = json!({"customerId": customer, "tenant": DOMAIN});
            let request = app.owner.request("POST", "/tenants/connect").json(&wish).send();
            // The answer is lost at the first of these stops; another link is made then.
            let answer = request.await.ok();
            let made = match answer {
                Some(answer) => Some(answer.json::<Value>().await.unwrap()),
                None => None,
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
                    None => app.owner.connect(&customer, DOMAIN).await,
                };
                let page = browser.open(text(&made, "authorizationUrl")).await;
                assert!(page.text().contains("Connected"), "{stop}: {}", page.text());
            }
            app.owner.wait_for_status(tenant.id, stop, |status| status["status"] == "connected").await;
            app.owner.wait_for_run(tenant.id).await;
        }
    }
}
