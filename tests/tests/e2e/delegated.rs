//! Tenants that are read as the administrator who signed in: by their refresh token.

use serde_json::{Value, json};
use tenantry_tests::{
    app::{CLIENT_ID, TestApp, data_set},
    database::Backend,
    fake_microsoft::{
        faults::{Fault, FaultRule},
        login::{self, Challenge, RefreshRotation},
        state::{Cloud, Decision, Tenant},
    },
    on_both_databases, truth,
};

use crate::flow::{events, relay, seed, text, walk};

/// Past the life of every access token.
const TOKENS_END: i64 = 2 * 3_600;

/// Asks for a link by which a tenant is read as its administrator.
async fn start_delegated(app: &TestApp, tenant: &Tenant) -> Value {
    let customer = app.owner.create_customer(&tenant.display_name).await;
    again_delegated(app, tenant, &customer).await
}

async fn again_delegated(app: &TestApp, tenant: &Tenant, customer: &str) -> Value {
    let body =
        json!({"customerId": customer, "tenant": tenant.domains[0], "connectionType": "delegated"});
    app.owner
        .post("/tenants/connect", &body)
        .await
        .expect(201)
        .json()
}

/// Connects a tenant so, and waits for the end of its first run.
async fn onboard(app: &TestApp, tenant: &Tenant) -> Value {
    let started = start_delegated(app, tenant).await;
    let page = walk(text(&started, "authorizationUrl")).await;
    assert!(page.text().contains("is connected to"), "{}", page.text());
    app.owner.wait_for_run(tenant.id).await
}

async fn show(app: &TestApp, tenant: &Tenant) -> Value {
    app.owner
        .get(&format!("/tenants/{}", tenant.id))
        .await
        .expect(200)
        .json()
}

fn has(bytes: &[u8], needle: &str) -> bool {
    bytes
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

/// Asks for a run in which the server will be killed: its answer may be lost with it.
async fn begin_and_be_killed(app: &TestApp, tenant: &Tenant) {
    let request = app
        .owner
        .request("POST", &format!("/tenants/{}/sync", tenant.id));
    drop(request.json(&json!({"kind": "full"})).send().await);
}

/// How the right to read a tenant is lost.
type Loss = fn(&Cloud, &Tenant);

/// Each way, and the code that names it.
const LOSSES: [(&str, Loss, &str); 10] = [
    (
        "Revoked",
        |cloud, tenant| login::revoke_refresh_tokens(cloud, tenant.id),
        "signInExpired",
    ),
    (
        "Expired",
        |cloud, tenant| login::end_refresh_tokens(cloud, tenant.id, 70_008),
        "signInExpired",
    ),
    (
        "Inactive",
        |cloud, tenant| login::end_refresh_tokens(cloud, tenant.id, 700_082),
        "signInExpired",
    ),
    (
        "Frequency",
        |cloud, tenant| login::end_refresh_tokens(cloud, tenant.id, 70_043),
        "signInExpired",
    ),
    (
        "Withdrawn",
        |_cloud, tenant| login::withdraw_consent(tenant, CLIENT_ID),
        "appNotConsented",
    ),
    (
        "Removed",
        |_cloud, tenant| login::delete_service_principal(tenant, CLIENT_ID),
        "appNotConsented",
    ),
    (
        "Factor",
        |cloud, tenant| login::require_mfa(cloud, tenant.id, "invalid_grant"),
        "multiFactorRequired",
    ),
    (
        "Interaction",
        |cloud, tenant| login::require_mfa(cloud, tenant.id, "interaction_required"),
        "multiFactorRequired",
    ),
    (
        "Conditional",
        |cloud, tenant| login::set_conditional_access_block(cloud, tenant.id, true),
        "consentBlockedByPolicy",
    ),
    (
        "Challenged",
        |cloud, tenant| login::challenge_access(cloud, tenant.id, Challenge::UntilSignIn),
        "signInExpired",
    ),
];

on_both_databases! {
    async fn a_tenant_is_read_as_its_administrator_to_the_last_row(backend: Backend) {
        let app = TestApp::start_with(backend, &[("TENANTRY_LOG", "trace")]).await;
        let tenant = app.microsoft.add_tenant(seed("Personal").users(40));
        let started = start_delegated(&app, &tenant).await;
        assert_eq!(started["status"], "pendingConsent");
        let asked = started["requestedPermissions"].as_array().unwrap();
        assert_eq!(asked.len(), 8);
        assert!(asked.iter().all(|permission| permission["type"] == "delegated"), "{asked:?}");
        let page = walk(text(&started, "authorizationUrl")).await;
        assert!(page.text().contains("is connected to"), "{}", page.text());
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!((&status["status"], &status["run"]["state"]), (&json!("connected"), &json!("completed")), "{status:#}");
        truth::assert_equal_but_kinds(&app.owner, &tenant).await;

        let shown = show(&app, &tenant).await;
        assert_eq!(shown["connectionType"], "delegated");
        assert_eq!(shown["missingPermissions"], json!([]));
        assert_eq!(shown["grantedPermissions"].as_array().unwrap().len(), 8, "{shown:#}");
        assert_eq!(shown["consentedBy"]["accountType"], "member");
        let connected = events(&app.owner, "tenant.connected").await;
        assert_eq!(connected[0]["details"]["connectionType"], "delegated");

        // V1, V9, V12: sealed in the database, and shown nowhere.
        let dump = app.database.dump();
        let tokens = login::issued_refresh_tokens(&app.microsoft.cloud(), tenant.id);
        assert!(!tokens.is_empty());
        for token in &tokens {
            assert!(!has(&dump, token) && !has(&dump, &token[..24]), "in clear: {token}");
            assert!(!app.log().contains(&token[..24]), "in the log: {token}");
        }
        assert_eq!(app.database.raw().count("connection_credentials"), 1);
    }

    async fn a_relayed_sign_in_is_the_only_leg(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Relayed"));
        let started = start_delegated(&app, &tenant).await;
        let step = relay(&app.owner, text(&started, "microsoftUrl")).await.expect(200).json();
        assert_eq!((&step["status"], &step["nextUrl"]), (&json!("connected"), &Value::Null));
        assert!(step["syncRunId"].is_string(), "{step}");
        assert_eq!(step["grantedPermissions"].as_array().unwrap().len(), 8, "{step}");
    }

    async fn v14_rotation_at_its_strictest_keeps_the_connection_alive(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        login::set_refresh_rotation(&cloud, RefreshRotation::Strict);
        let tenant = app.microsoft.add_tenant(seed("Strict").users(300));
        onboard(&app, &tenant).await;
        for _ in 0..3 {
            app.advance_seconds(TOKENS_END);
            let before = login::refresh_requests(&cloud, tenant.id);
            let status = app.owner.sync(tenant.id, "full").await;
            assert_eq!(status["run"]["state"], "completed", "{status:#}");
            assert_eq!(login::refresh_requests(&cloud, tenant.id) - before, 1, "one for all who read");
        }
        assert_eq!(login::live_refresh_tokens(&cloud, tenant.id), 1, "and the stored one is the living one (I8)");
    }

    async fn g5_every_loss_of_the_right_is_named_and_a_new_sign_in_brings_it_back(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        let mut tenants = Vec::new();
        for (name, _loss, _code) in LOSSES {
            let tenant = app.microsoft.add_tenant(seed(name));
            let status = onboard(&app, &tenant).await;
            assert_eq!(status["run"]["state"], "completed", "{name}: {status:#}");
            tenants.push(tenant);
        }
        app.advance_seconds(TOKENS_END);
        for (tenant, (name, loss, code)) in tenants.iter().zip(LOSSES) {
            let counts = app.owner.get(&format!("/tenants/{}/summary", tenant.id)).await.expect(200).json()["counts"].clone();
            let customer = text(&show(&app, tenant).await, "customerId").to_owned();
            loss(&cloud, tenant);
            let status = app.owner.sync(tenant.id, "delta").await;
            assert_eq!(status["status"], "reauthorizationRequired", "{name}: {status:#}");
            let problem = &status["connectionError"];
            assert_eq!(problem["code"], code, "{name}: {status:#}");
            assert!(problem["action"].as_str().is_some_and(|action| action.ends_with('.')), "{name}: {problem}");
            assert_eq!(status["run"]["state"], "failed", "{name}: {status:#}");
            let after = app.owner.get(&format!("/tenants/{}/summary", tenant.id)).await.expect(200).json();
            assert_eq!(after["counts"], counts, "{name}: stored data stay");
            login::set_conditional_access_block(&cloud, tenant.id, false);
            let started = again_delegated(&app, tenant, &customer).await;
            assert_eq!(started["tenantId"], json!(tenant.id));
            let page = walk(text(&started, "authorizationUrl")).await;
            assert!(page.text().contains("is connected to"), "{name}: {}", page.text());
            let status = app.owner.wait_for_status(tenant.id, "the run after", |status| {
                status["status"] == "connected" && status["run"]["state"] == "completed"
            }).await;
            assert!(status["connectionError"].is_null(), "{name}: {status:#}");
            let runs = app.owner.list(&format!("/tenants/{}/sync-runs", tenant.id)).await;
            assert_eq!(runs.len(), 3, "{name}: the history stays");
        }
        assert_eq!(events(&app.owner, "tenant.reauthorizationRequired").await.len(), LOSSES.len());
        assert_eq!(app.database.raw().count("connection_credentials"), LOSSES.len(), "one for each tenant");
    }

    async fn a_policy_that_no_longer_blocks_needs_no_new_sign_in(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        let tenant = app.microsoft.add_tenant(seed("Policed"));
        onboard(&app, &tenant).await;
        app.advance_seconds(TOKENS_END);
        login::set_conditional_access_block(&cloud, tenant.id, true);
        assert_eq!(app.owner.sync(tenant.id, "delta").await["status"], "reauthorizationRequired");
        login::set_conditional_access_block(&cloud, tenant.id, false);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!((&status["status"], &status["run"]["state"]), (&json!("connected"), &json!("completed")), "{status:#}");
        assert!(status["connectionError"].is_null(), "{status:#}");
        assert_eq!(events(&app.owner, "tenant.accessRestored").await.len(), 1);
    }

    async fn a_passing_challenge_is_answered_with_a_fresh_token(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Passing"));
        onboard(&app, &tenant).await;
        login::challenge_access(&app.microsoft.cloud(), tenant.id, Challenge::IssuedTokens);
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!((&status["status"], &status["run"]["state"]), (&json!("connected"), &json!("completed")), "{status:#}");
    }

    async fn what_does_not_bring_the_right_stores_no_credential(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        let declining = app.microsoft.add_tenant(seed("Declining").decision(Decision::DeclineConsent));
        let started = start_delegated(&app, &declining).await;
        relay(&app.owner, text(&started, "microsoftUrl")).await.expect_problem(403, "consentDeclined");

        // C12: somebody without a role that can consent.
        let powerless = app.microsoft.add_tenant(seed("Powerless"));
        powerless.people.write().unwrap()[0].wids.clear();
        let started = start_delegated(&app, &powerless).await;
        relay(&app.owner, text(&started, "microsoftUrl")).await.expect_problem(403, "administratorRequired");

        // C18: an answer without the refresh token.
        let forgetful = app.microsoft.add_tenant(seed("Forgetful"));
        let started = start_delegated(&app, &forgetful).await;
        login::set_token_answer_forge(&cloud, |answer| {
            answer.as_object_mut().unwrap().remove("refresh_token");
        });
        relay(&app.owner, text(&started, "microsoftUrl")).await.expect_problem(400, "incompleteCallback");
        assert_eq!(app.database.raw().count("connection_credentials"), 0);
        for tenant in [&declining, &powerless, &forgetful] {
            assert_eq!(show(&app, tenant).await["status"], "pendingConsent");
        }
        let page = walk(text(&started, "authorizationUrl")).await;
        assert!(page.text().contains("is connected to"), "{}", page.text());
    }

    async fn a_withheld_scope_degrades_and_leaves_the_rest(backend: Backend) {
        let app = TestApp::start(backend).await;
        let without = Decision::AcceptWithout(["SecurityEvents.Read.All".to_owned()].into());
        let tenant = app.microsoft.add_tenant(seed("Withheld").decision(without));
        let status = onboard(&app, &tenant).await;
        assert_eq!((&status["status"], &status["run"]["state"]), (&json!("degraded"), &json!("completedWithWarnings")), "{status:#}");
        assert_eq!(status["missingPermissions"], json!(["SecurityEvents.Read.All"]));
    }

    async fn another_way_in_takes_the_place_of_the_first_and_erases_its_credential(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        let tenant = app.microsoft.add_tenant(seed("Changing"));
        onboard(&app, &tenant).await;
        app.advance_seconds(TOKENS_END);
        login::revoke_refresh_tokens(&cloud, tenant.id);
        app.owner.sync(tenant.id, "delta").await;
        let customer = text(&show(&app, &tenant).await, "customerId").to_owned();
        let started = app.owner.connect(&customer, &tenant.domains[0]).await;
        assert_eq!(show(&app, &tenant).await["connectionType"], "delegated", "until the new one is proven");
        let page = walk(text(&started, "authorizationUrl")).await;
        assert!(page.text().contains("is connected to"), "{}", page.text());
        app.owner.wait_for_status(tenant.id, "the run after", |status| status["run"]["state"] == "completed").await;
        assert_eq!(show(&app, &tenant).await["connectionType"], "adminConsent");
        assert_eq!(app.database.raw().count("connection_credentials"), 0);
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn a_run_that_outlives_its_connection_goes_on_with_the_new_one(backend: Backend) {
        let app = TestApp::start(backend).await;
        let without = Decision::AcceptWithout(["SecurityEvents.Read.All".to_owned()].into());
        let tenant = app.microsoft.add_tenant(seed("Overtaken").decision(without));
        app.microsoft.cloud().faults.script(FaultRule {
            server: "graph",
            path_contains: "/groups".to_owned(),
            tenant: Some(tenant.id),
            skip: 0,
            times: 1,
            fault: Fault::Status { status: 429, retry_after: Some("4".to_owned()), body: None },
        });
        let started = start_delegated(&app, &tenant).await;
        relay(&app.owner, text(&started, "microsoftUrl")).await.expect(200);
        app.owner.wait_for_status(tenant.id, "a running sync", |status| status["run"]["state"] == "running").await;
        let customer = text(&show(&app, &tenant).await, "customerId").to_owned();
        *tenant.decision.write().unwrap() = Decision::Accept;
        let again = again_delegated(&app, &tenant, &customer).await;
        relay(&app.owner, text(&again, "microsoftUrl")).await.expect(200);
        // The old credential is gone, and the first run had not come to its end by then.
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["status"], "connected", "{status:#}");
        assert_eq!(status["missingPermissions"], json!([]), "{status:#}");
        assert_eq!(app.database.raw().count("connection_credentials"), 1);
        assert!(events(&app.owner, "tenant.reauthorizationRequired").await.is_empty());
    }

    async fn c13_a_sign_in_that_fails_its_proof_leaves_no_refresh_token(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Claimed"));
        onboard(&app, &tenant).await;
        let other = app.owner_of_new("Southwind MSP");
        let customer = other.create_customer("Claimed").await;
        let body = json!({"customerId": customer, "tenant": tenant.domains[0], "connectionType": "delegated"});
        let started = other.post("/tenants/connect", &body).await.expect(201).json();
        relay(&other, text(&started, "microsoftUrl")).await.expect_problem(409, "tenantUnavailable");
        assert_eq!(app.database.raw().count("connection_credentials"), 1, "the holder's own");
    }

    async fn g5_a_refresh_token_refused_at_once_is_no_consent_that_spreads(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        let tenant = app.microsoft.add_tenant(seed("Immediate"));
        let started = start_delegated(&app, &tenant).await;
        // The code is redeemed; the exchange of its refresh token is refused.
        login::set_token_answer_forge(&cloud, |answer| answer["refresh_token"] = json!("0.not-a-token-of-microsofts"));
        let problem = relay(&app.owner, text(&started, "microsoftUrl")).await;
        assert_ne!(problem.status, 200, "{:?}", problem.json());
        assert_eq!(login::refresh_requests(&cloud, tenant.id), 1, "asked once, not for a minute");
        assert_eq!(app.database.raw().count("connection_credentials"), 0);
    }

    async fn g5_a_refresh_token_of_somebody_elses_opens_nothing(backend: Backend) {
        let app = TestApp::start(backend).await;
        let cloud = app.microsoft.cloud();
        let other = app.microsoft.add_tenant(seed("Neighbour"));
        onboard(&app, &other).await;
        let foreign = login::issued_refresh_tokens(&cloud, other.id).pop().unwrap();
        let tenant = app.microsoft.add_tenant(seed("Swapped"));
        let started = start_delegated(&app, &tenant).await;
        login::set_token_answer_forge(&cloud, move |answer| answer["refresh_token"] = json!(foreign));
        let problem = relay(&app.owner, text(&started, "microsoftUrl")).await.expect_problem(403, "accountNotInTenant");
        assert_eq!(problem["microsoft"]["aadsts"], 50_020, "{problem}");
        assert_eq!(show(&app, &tenant).await["status"], "pendingConsent");
        assert_eq!(app.database.raw().count("connection_credentials"), 1, "the neighbour's own");
    }

    async fn d1_revoking_erases_the_refresh_token_at_once(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Leaving"));
        onboard(&app, &tenant).await;
        app.owner.delete(&format!("/tenants/{}", tenant.id)).await.expect(204);
        assert_eq!(app.database.raw().count("connection_credentials"), 0);
        let asked = login::refresh_requests(&app.microsoft.cloud(), tenant.id);
        app.advance_seconds(TOKENS_END);
        app.owner.post(&format!("/tenants/{}/sync", tenant.id), &json!({"kind": "delta"})).await.expect_problem(409, "tenantNotConnected");
        assert_eq!(login::refresh_requests(&app.microsoft.cloud(), tenant.id), asked);
    }

    async fn r3_killed_between_microsofts_answer_and_the_commit_the_old_token_still_works(backend: Backend) {
        // The first passage is the proof's.
        let mut app = TestApp::start_with(backend, &[("TENANTRY_FAILPOINTS", "refresh-answered=abort@2")]).await;
        let tenant = app.microsoft.add_tenant(seed("Lenient"));
        onboard(&app, &tenant).await;
        app.advance_seconds(TOKENS_END);
        begin_and_be_killed(&app, &tenant).await;
        app.wait_for_end().await;
        app.unset("TENANTRY_FAILPOINTS");
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!((&status["status"], &status["run"]["state"]), (&json!("connected"), &json!("completed")), "{status:#}");
    }

    async fn r3_where_microsoft_has_voided_the_old_token_the_tenant_says_so(backend: Backend) {
        let mut app = TestApp::start_with(backend, &[("TENANTRY_FAILPOINTS", "refresh-answered=abort@2")]).await;
        login::set_refresh_rotation(&app.microsoft.cloud(), RefreshRotation::Strict);
        let tenant = app.microsoft.add_tenant(seed("Severe"));
        onboard(&app, &tenant).await;
        app.advance_seconds(TOKENS_END);
        begin_and_be_killed(&app, &tenant).await;
        app.wait_for_end().await;
        app.unset("TENANTRY_FAILPOINTS");
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["status"], "reauthorizationRequired", "{status:#}");
        assert_eq!(status["connectionError"]["code"], "signInExpired", "{status:#}");
        assert_eq!(events(&app.owner, "tenant.reauthorizationRequired").await.len(), 1);
        assert!(app.log().contains("an administrator has to connect the tenant again"), "an alert for the operator");
    }

    async fn mailboxes_that_the_sign_in_does_not_reach_are_skipped_and_not_taken_for_gone(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Hidden").users(40).concealed_names(true));
        let status = onboard(&app, &tenant).await;
        // The administrator's own mailbox can be read; one mailbox is not the tenant's list.
        let set = data_set(&status, "mailboxes");
        assert_eq!((&set["state"], &set["warning"]["code"]), (&json!("skipped"), &json!("mailboxesNotReached")), "{set}");
        assert!(set["warning"]["action"].as_str().unwrap().contains("usage reports"), "{set}");
        assert_eq!(app.owner.list(&format!("/tenants/{}/mailboxes", tenant.id)).await, Vec::<Value>::new());
    }
}
