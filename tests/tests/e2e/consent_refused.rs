//! Consent flows that must not lead to a connection: each binds nothing and says what to do.

use serde_json::{Value, json};
use tenantry_tests::{
    app::TestApp,
    browser::Browser,
    database::Backend,
    fake_microsoft::{
        faults::{Fault, FaultRule},
        login::{self, Endpoint},
        state::{Decision, Person, Tenant},
    },
    on_both_databases,
};
use url::Url;

use crate::flow::{
    bring, events, fields_of, open_one_hop, relay, seed, start, text, token_requests, walk,
};

/// Nothing is bound, and the audit has the refusal.
async fn assert_unbound(app: &TestApp, tenant: &Tenant, code: &str) {
    assert_eq!(app.database.raw().count("tenant_claims"), 0);
    let status = app.owner.status(tenant.id).await;
    assert_eq!(status["status"], "pendingConsent", "{status}");
    assert_eq!(status["run"], Value::Null);
    assert_eq!(status["connectionError"]["code"], code, "{status}");
    assert!(status["connectionError"]["action"].is_string(), "{status}");
    let page = format!("/problems/{code}");
    let problem_type = status["connectionError"]["type"].as_str();
    assert!(
        problem_type.is_some_and(|url| url.ends_with(&page)),
        "{status}"
    );
    assert!(status["connectionError"]["status"].is_number(), "{status}");
    let newest = &events(&app.owner, "consent.rejected").await[0];
    assert_eq!(newest["details"]["code"], code, "{newest}");
}

/// Signs in as somebody who must be refused.
async fn assert_refused_as(app: &TestApp, tenant: &Tenant, person: &Person, code: &str) {
    *tenant.decision.write().unwrap() = Decision::AcceptAs(person.upn.clone());
    let started = start(&app.owner, tenant).await;
    let problem = relay(&app.owner, text(&started, "microsoftUrl"))
        .await
        .expect_problem(403, code);
    assert!(problem["action"].is_string(), "{problem}");
    assert_unbound(app, tenant, code).await;
}

on_both_databases! {
    async fn c16_a_declined_consent_binds_nothing_and_can_be_tried_again(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Declining"));
        let started = start(&app.owner, &tenant).await;
        let mut browser = Browser::new();
        for (decision, microsoft) in [(Decision::CancelSignIn, "access_denied"), (Decision::DeclineConsent, "AADSTS65004")] {
            *tenant.decision.write().unwrap() = decision;
            let page = browser.open(text(&started, "authorizationUrl")).await;
            assert_eq!(page.status, 200, "{page}");
            for part in ["Not connected", "Consent declined", microsoft, "What to do", "Try again"] {
                assert!(page.text().contains(part), "no {part} in {page}");
            }
            assert_unbound(&app, &tenant, "consentDeclined").await;
        }
        let error = app.owner.status(tenant.id).await["connectionError"].clone();
        assert_eq!(error["microsoft"]["aadsts"], 65004, "{error}");
        for name in ["error", "traceId", "correlationId", "timestamp"] {
            assert!(error["microsoft"][name].is_string(), "{name}: {error}");
        }
        *tenant.decision.write().unwrap() = Decision::Accept;
        let page = browser.follow("Try again").await;
        assert!(page.text().contains("is connected to"), "{page}");
        assert_eq!(app.owner.status(tenant.id).await["connectionError"], Value::Null);
    }

    async fn c16_hostile_texts_are_shown_as_texts(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Hostile").decision(Decision::Ask));
        let started = start(&app.owner, &tenant).await;
        let mut browser = Browser::new();
        let page = browser.open(text(&started, "authorizationUrl")).await;
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

    async fn c11_proof_of_another_tenant_binds_nothing(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Expected"));
        let other = app.microsoft.add_tenant(seed("Signedin"));
        let (tid, issuer) = (other.id, format!("{}/{}/v2.0", app.microsoft.login_url(), other.id));
        let started = start(&app.owner, &tenant).await;
        let fields = fields_of(text(&started, "microsoftUrl")).await;
        login::set_id_token_forge(&app.microsoft.cloud(), move |token| {
            token.claims["tid"] = json!(tid);
            token.claims["iss"] = json!(issuer);
        });
        let problem = app.owner.post("/tenants/callback", &fields).await.expect_problem(409, "wrongTenant");
        let detail = text(&problem, "detail");
        assert!(detail.contains(&tenant.id.to_string()) && detail.contains(&other.id.to_string()), "{detail}");
        assert_unbound(&app, &tenant, "wrongTenant").await;
        app.owner.get(&format!("/tenants/{}", other.id)).await.expect_problem(404, "notFound");
        app.owner.post("/tenants/callback", &fields).await.expect_problem(400, "invalidState");
    }

    async fn c12_nobody_without_a_role_that_can_consent_connects(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Guarded"));
        let people = tenant.people.read().unwrap().clone();
        assert_refused_as(&app, &tenant, &people[1], "administratorRequired").await;
        assert_refused_as(&app, &tenant, &people[2], "administratorRequired").await;
    }

    async fn c5_a_personal_account_connects_nothing(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Private"));
        let mut person = tenant.people.read().unwrap()[0].clone();
        person.personal = true;
        "me@outlook.example".clone_into(&mut person.upn);
        tenant.people.write().unwrap().push(person.clone());
        assert_refused_as(&app, &tenant, &person, "personalAccount").await;
    }

    async fn c6_a_state_is_used_once_in_time_and_as_it_was_made(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Replayed"));
        let started = start(&app.owner, &tenant).await;
        let fields = fields_of(text(&started, "microsoftUrl")).await;
        let state = text(&fields, "state").to_owned();
        let spoilt = [state[1..].to_owned(), state.to_uppercase(), format!("{state}A"), "A".repeat(5_000), String::new()];
        for spoilt in spoilt.iter().filter(|spoilt| **spoilt != state) {
            let mut changed = fields.clone();
            changed["state"] = json!(spoilt);
            app.owner.post("/tenants/callback", &changed).await.expect_problem(400, "invalidState");
        }
        let all = futures_util::future::join_all((0..20).map(|_| app.owner.post("/tenants/callback", &fields))).await;
        let won = all.iter().filter(|answer| answer.status == 200).count();
        let lost = all.iter().filter(|answer| answer.status == 400).count();
        assert_eq!((won, lost), (1, 19));

        let (cookie, microsoft) = open_one_hop(text(&started, "authorizationUrl")).await;
        let late = fields_of(&microsoft).await;
        app.advance_seconds(601);
        assert_eq!(bring(&app, &late, Some(&cookie)).await.status, 400);
        let page = walk(text(&started, "authorizationUrl")).await;
        assert!(page.text().contains("is connected to"), "opened again it works: {page}");
    }

    async fn c6_a_link_ends_after_three_days_and_an_older_one_at_once(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Forgotten"));
        let older = start(&app.owner, &tenant).await;
        let started = start(&app.owner, &tenant).await;
        let page = walk(text(&older, "authorizationUrl")).await;
        assert_eq!(page.status, 410, "{page}");
        assert!(page.text().contains("Northwind MSP"), "{page}");
        let unknown = app.url(&format!("/connect/{}", "A".repeat(43)));
        assert_eq!(walk(&unknown).await.status, 404);
        app.advance_seconds(72 * 3_600 - 60);
        assert!(open_one_hop(text(&started, "authorizationUrl")).await.1.contains("authorize"));
        app.advance_seconds(61);
        let page = walk(text(&started, "authorizationUrl")).await;
        assert_eq!((page.status, page.hops.len()), (410, 1), "{page}");
        assert!(page.text().contains("expired") && page.text().contains("Ask Northwind MSP"), "{page}");
        assert_eq!(walk(&format!("{}/result", text(&started, "authorizationUrl"))).await.status, 410);
    }

    async fn c8_a_browser_without_its_cookie_or_with_another_finishes_nothing(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Bound"));
        let started = start(&app.owner, &tenant).await;
        let link = text(&started, "authorizationUrl");
        let (foreign, _) = open_one_hop(link).await;
        for wrong in [None, Some(foreign.as_str())] {
            let (cookie, microsoft) = open_one_hop(link).await;
            let fields = fields_of(&microsoft).await;
            let answer = bring(&app, &fields, wrong).await.expect(400);
            assert!(answer.header("content-type").starts_with("text/html"), "{}", answer.text);
            assert!(answer.text.contains("Invalid state"), "{}", answer.text);
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(bring(&app, &fields, Some(&cookie)).await.status, 400, "the state is burnt");
        }
        assert_eq!(events(&app.owner, "consent.rejected").await.len(), 2);
        assert_eq!(token_requests(&app, ""), 0, "no code was redeemed");
        assert_eq!(app.owner.status(tenant.id).await["status"], "pendingConsent");
    }

    async fn c8_a_relayed_answer_needs_a_caller_of_the_organization_that_began(backend: Backend) {
        let app = TestApp::start(backend).await;
        let stranger = app.owner_of_new("Southwind MSP");
        let tenant = app.microsoft.add_tenant(seed("Relaying"));
        let started = start(&app.owner, &tenant).await;
        let fields = fields_of(text(&started, "microsoftUrl")).await;
        app.owner.with_key(None).post("/tenants/callback", &fields).await.expect_problem(401, "unauthorized");
        stranger.post("/tenants/callback", &fields).await.expect_problem(400, "invalidState");
        app.owner.post("/tenants/callback", &fields).await.expect_problem(400, "invalidState");
        assert_eq!(events(&app.owner, "consent.rejected").await.len(), 1);
        app.owner.post("/tenants/callback", &json!({})).await.expect_problem(400, "invalidState");
        let form = app.owner.request("POST", "/tenants/callback").form(&fields);
        app.owner.send(form).await.expect_problem(415, "unsupportedMediaType");
        // What was made to be relayed is nothing for a browser.
        let again = app.owner.connect(&app.owner.create_customer("Again").await, "relaying.example").await;
        let fields = fields_of(text(&again, "microsoftUrl")).await;
        assert_eq!(bring(&app, &fields, Some("__Host-tenantry-flow=x")).await.status, 400);
        assert_eq!(token_requests(&app, ""), 0);
    }

    async fn c17_an_answer_that_says_something_twice_is_refused(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Doubled"));
        let started = start(&app.owner, &tenant).await;
        let (cookie, microsoft) = open_one_hop(text(&started, "authorizationUrl")).await;
        let fields = fields_of(&microsoft).await;
        for name in ["state", "code", "tenant"] {
            let nobody = app.owner.with_key(None);
            let request = nobody.request("GET", "/tenants/callback").query(&fields).query(&[(name, "x"), (name, "x")]);
            let answer = nobody.send(request.header("cookie", &cookie)).await.expect(400);
            assert!(answer.header("content-type").starts_with("text/html"));
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        let twice = format!("{{\"state\":\"a\",\"state\":{}}}", fields["state"]);
        let request = app.owner.request("POST", "/tenants/callback").header("content-type", "application/json").body(twice);
        app.owner.send(request).await.expect_problem(400, "invalidJson");
        assert_eq!(token_requests(&app, ""), 0);
        // What nobody reads may come twice, and the state was not used up.
        let nobody = app.owner.with_key(None);
        let request = nobody.request("GET", "/tenants/callback").query(&fields).query(&[("session_state", "x"), ("session_state", "y")]);
        let answer = nobody.send(request.header("cookie", &cookie)).await.expect(303);
        assert!(answer.header("location").contains("adminconsent"), "{}", answer.header("location"));
    }

    async fn c1_a_forged_consent_redirect_that_names_a_victim_binds_nothing(backend: Backend) {
        let app = TestApp::start(backend).await;
        let attacker = app.owner_of_new("Attacker MSP");
        let victim = app.microsoft.add_tenant(seed("Victim"));
        let own = app.microsoft.add_tenant(seed("Own"));
        // The victim has consented to the same registration, for somebody else.
        let started = start(&app.owner, &victim).await;
        walk(text(&started, "authorizationUrl")).await;
        app.owner.wait_for_run(victim.id).await;
        let before = token_requests(&app, &victim.id.to_string());

        let started = start(&attacker, &own).await;
        let first = relay(&attacker, text(&started, "microsoftUrl")).await.expect(200).json();
        let mut forged = fields_of(text(&first, "nextUrl")).await;
        forged["tenant"] = json!(victim.id);
        attacker.post("/tenants/callback", &forged).await.expect_problem(409, "wrongTenant");

        // Named directly, it is the sign-in that proves; a redirect without one proves nothing.
        let started = start(&attacker, &victim).await;
        let state = fields_of(text(&started, "microsoftUrl")).await["state"].clone();
        let forged = json!({"state": state, "admin_consent": "True", "tenant": victim.id, "scope": "https://graph.microsoft.com/.default"});
        attacker.post("/tenants/callback", &forged).await.expect_problem(400, "incompleteCallback");
        assert_eq!(token_requests(&app, &victim.id.to_string()), before);
        assert_eq!(events(&attacker, "consent.rejected").await.len(), 2);
        assert_eq!(app.database.raw().count("tenant_claims"), 1);
        assert_eq!(attacker.status(victim.id).await["status"], "pendingConsent");
    }

    async fn c13_of_two_organizations_that_race_for_a_tenant_one_has_it(backend: Backend) {
        let app = TestApp::start(backend).await;
        let other = app.owner_of_new("Southwind MSP");
        for round in 0..4 {
            let tenant = app.microsoft.add_tenant(seed(&format!("Raced{round}")));
            let mut last = Vec::new();
            for caller in [&app.owner, &other] {
                let started = start(caller, &tenant).await;
                let first = relay(caller, text(&started, "microsoftUrl")).await.expect(200).json();
                last.push(fields_of(text(&first, "nextUrl")).await);
            }
            let (one, two) = tokio::join!(
                app.owner.post("/tenants/callback", &last[0]),
                other.post("/tenants/callback", &last[1]),
            );
            let (winner, loser) = if one.status == 200 { (one, two) } else { (two, one) };
            assert_eq!(winner.expect(200).json()["status"], "connected");
            let problem = loser.expect_problem(409, "tenantUnavailable");
            assert!(!problem.to_string().contains("wind MSP"), "{problem}");
            assert_eq!(app.database.raw().count("tenant_claims"), round + 1);
        }
    }

    async fn c18_a_permission_beyond_what_was_asked_for_raises_an_alert(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Generous"));
        let cloud = app.microsoft.cloud();
        for registered in cloud.apps.write().unwrap().values_mut() {
            registered.app_roles.insert("Directory.ReadWrite.All".to_owned());
        }
        app.onboard_and_sync(&tenant).await;
        let alerts = events(&app.owner, "consent.excessPermissions").await;
        assert_eq!(alerts.len(), 1);
        assert_eq!(alerts[0]["details"]["permissions"], json!(["Directory.ReadWrite.All"]));
        assert!(app.log().contains("granted more than was asked for"));
        let shown = app.owner.get(&format!("/tenants/{}", tenant.id)).await.expect(200).json();
        assert_eq!(shown["status"], "connected");
        assert_eq!((&shown["missingPermissions"], &shown["degradedFeatures"]), (&json!([]), &json!([])));
    }

    async fn c19_a_code_whose_answer_was_lost_is_not_sent_again(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Dropped"));
        let lost = FaultRule::once("login", "/oauth2/v2.0/token", Fault::DropAfterEffect);
        app.microsoft.cloud().faults.script(lost);
        let started = start(&app.owner, &tenant).await;
        relay(&app.owner, text(&started, "microsoftUrl")).await.expect_problem(502, "microsoftUnavailable");
        assert_eq!(token_requests(&app, ""), 1);
        assert_unbound(&app, &tenant, "microsoftUnavailable").await;
        assert!(walk(text(&started, "authorizationUrl")).await.text().contains("is connected to"));
    }

    async fn an_expired_secret_of_our_own_leaves_the_tenant_connected(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Blameless"));
        app.onboard_and_sync(&tenant).await;
        app.advance_seconds(2 * 3_600);
        login::script_error(&app.microsoft.cloud(), Endpoint::Token, None, 7_000_222, 1_000);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["status"], "connected", "{status:#}");
        assert_eq!(status["connectionError"]["code"], "ownCredentialRejected", "{status:#}");
        assert_eq!(status["run"]["state"], "failed", "{status:#}");
        let fresh = app.microsoft.add_tenant(seed("Newcomer"));
        let started = start(&app.owner, &fresh).await;
        relay_to_the_end_fails(&app, &started).await;
    }
}

/// With the secret expired the sign-in cannot be redeemed either.
async fn relay_to_the_end_fails(app: &TestApp, started: &Value) {
    let answer = relay(&app.owner, text(started, "microsoftUrl")).await;
    let problem = answer.expect_problem(502, "ownCredentialRejected");
    assert_eq!(problem["microsoft"]["aadsts"], 7_000_222, "{problem}");
}
