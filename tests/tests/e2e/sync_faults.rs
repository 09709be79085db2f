//! What goes wrong between Microsoft and us, and what it may cost: never a row, never the process.

use serde_json::{Value, json};
use tenantry_tests::{
    app::{TestApp, data_set},
    database::Backend,
    fake_microsoft::{
        faults::{Fault, FaultRule},
        seed::TenantSeed,
        state::Tenant,
    },
    on_both_databases, truth,
};

use crate::flow;

fn seed(name: &str, users: usize) -> TenantSeed {
    flow::seed(name).users(users)
}

fn script(app: &TestApp, tenant: &Tenant, path: &str, skip: u32, times: u32, fault: Fault) {
    app.microsoft.cloud().faults.script(FaultRule {
        tenant: Some(tenant.id),
        skip,
        times,
        ..FaultRule::once("graph", path, fault)
    });
}

/// A user of the first page.
fn cloud_user(tenant: &Tenant) -> uuid::Uuid {
    let users = tenant.directory.lock().expect("directory").users();
    users[0]["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("an id")
}

/// Kills the process at a stop, lets it go on, and compares.
async fn killed_at(backend: Backend, stop: &str) {
    let mut app = TestApp::start_with(backend, &[("TENANTRY_FAILPOINTS", stop)]).await;
    let tenant = app.microsoft.add_tenant(seed("Killed", 2_500));
    let customer = app.owner.create_customer("Killed").await;
    let started = app.owner.connect(&customer, "killed.example").await;
    let mut browser = tenantry_tests::browser::Browser::new();
    // The stop may lie inside the callback, so the page may never come.
    browser
        .open(started["authorizationUrl"].as_str().unwrap())
        .await;
    app.wait_for_end().await;
    app.unset("TENANTRY_FAILPOINTS");
    app.serve().await;
    let status = app.owner.wait_for_run(tenant.id).await;
    assert_eq!(status["run"]["state"], "completed", "{stop}: {status:#}");
    truth::assert_equal(&app.owner, &tenant).await;
    let verified = app.run(&["audit", "verify", "--json"]);
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stdout)
    );
}

on_both_databases! {
    async fn r1_a_kill_before_a_page_is_stored_loses_nothing(backend: Backend) {
        killed_at(backend, "sync.before_page_commit=abort@3").await;
    }

    async fn r1_a_kill_after_a_page_is_stored_loses_nothing(backend: Backend) {
        killed_at(backend, "sync.after_page_commit=abort@4").await;
    }

    async fn r1_a_kill_before_a_data_set_ends_loses_nothing(backend: Backend) {
        killed_at(backend, "sync.before_data_set_complete=abort@2").await;
    }

    async fn r1_a_kill_nine_in_the_middle_loses_nothing(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Middle", 5_000));
        let cloud = app.microsoft.cloud();
        cloud.hold("skiptoken");
        app.onboard(&tenant).await;
        let has_begun = |status: &Value, name| data_set(status, name)["processed"].as_i64().is_some_and(|read| read > 0);
        app.owner.wait_for_status(tenant.id, "the first pages", |status| {
            !status["run"].is_null() && has_begun(status, "users") && has_begun(status, "devices")
        }).await;
        app.kill();
        cloud.release();
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        // It went on where it was: the first pages were asked for once.
        for path in ["/v1.0/users?", "/v1.0/deviceManagement/managedDevices?"] {
            let is_first = |request: &tenantry_tests::fake_microsoft::state::LoggedRequest| {
                request.path_and_query.starts_with(path) && !request.path_and_query.contains("skiptoken")
            };
            assert_eq!(cloud.requests().iter().filter(|&request| is_first(request)).count(), 1, "{path}");
        }
    }

    async fn r7_throttling_is_waited_out_and_counted(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Slowed", 1_500));
        let wait = |text: &str| Fault::Status { status: 429, retry_after: Some(text.to_owned()), body: None };
        script(&app, &tenant, "/users?", 0, 1, wait("1"));
        script(&app, &tenant, "/managedDevices", 0, 1, wait("1.128"));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        let users = data_set(&status, "users");
        assert!(users["retries"].as_i64().unwrap() >= 1, "{users}");
        assert!(users["throttledMs"].as_i64().unwrap() >= 900, "{users}");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r8_passing_failures_of_microsoft_are_tried_again(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Shaky", 1_200));
        script(&app, &tenant, "/users?", 1, 1, Fault::Status { status: 503, retry_after: Some("1".into()), body: None });
        script(&app, &tenant, "/groups/delta", 0, 1, Fault::Reset);
        script(&app, &tenant, "/secureScores", 0, 1, Fault::Truncate(200));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r11_garbage_fails_its_data_set_and_deletes_nothing(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Garbled", 300));
        app.onboard_and_sync(&tenant).await;
        script(&app, &tenant, "/users?", 0, 1, Fault::Garbage("<html>Sign in</html>".to_owned()));
        script(&app, &tenant, "/managedDevices", 0, 1, Fault::Json(json!({"value": [{"id": 7}]})));
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!(status["run"]["state"], "completedWithWarnings", "{status:#}");
        for name in ["users", "devices"] {
            assert_eq!(data_set(&status, name)["state"], "failed");
            assert_eq!(data_set(&status, name)["warning"]["code"], "unexpectedAnswer");
        }
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r13_pages_that_go_round_end_the_data_set(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Circle", 300));
        app.onboard_and_sync(&tenant).await;
        let here = format!("{}/v1.0/deviceManagement/managedDevices?$skiptoken=x", app.microsoft.graph_url());
        script(&app, &tenant, "/managedDevices", 0, 3, Fault::Json(json!({"value": [], "@odata.nextLink": here})));
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!(data_set(&status, "devices")["state"], "failed", "{status:#}");
        app.microsoft.cloud().faults.clear();
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r14_a_link_to_another_host_is_never_followed(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Lured", 300));
        app.onboard_and_sync(&tenant).await;
        let elsewhere = format!("{}/v1.0/users?$skiptoken=x", app.microsoft.reports_url());
        script(&app, &tenant, "/users?", 0, 1, Fault::NextLink(elsewhere));
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!(data_set(&status, "users")["warning"]["code"], "unexpectedAnswer", "{status:#}");
        let requests = app.microsoft.cloud().requests();
        assert!(requests.iter().all(|request| !(request.server == "reports" && request.had_authorization)));
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r15_an_expired_delta_is_read_again_in_full(backend: Backend) {
        let app = TestApp::start(backend).await;
        for shape in 1..=3 {
            let tenant = app.microsoft.add_tenant(seed(&format!("Expired{shape}"), 250));
            app.onboard_and_sync(&tenant).await;
            tenant.directory.lock().unwrap().churn(30);
            script(&app, &tenant, "/users/delta", 0, 1, Fault::ExpiredDelta(shape));
            script(&app, &tenant, "/groups/delta", 0, 1, Fault::ExpiredDelta(shape));
            let status = app.owner.sync(tenant.id, "delta").await;
            assert_eq!(status["run"]["state"], "completed", "shape {shape}: {status:#}");
            truth::assert_equal(&app.owner, &tenant).await;
        }
    }

    async fn r15_a_link_that_grew_stale_while_we_were_down_begins_a_new_read(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Stale", 1_400));
        let cloud = app.microsoft.cloud();
        cloud.hold("skiptoken");
        app.onboard(&tenant).await;
        let begun = |status: &Value, name| data_set(status, name)["processed"].as_i64().is_some_and(|read| read > 0);
        app.owner.wait_for_status(tenant.id, "the first pages", |status| {
            !status["run"].is_null() && begun(status, "users") && begun(status, "groups") && begun(status, "devices")
        }).await;
        app.kill();
        cloud.release();
        // Meanwhile somebody leaves whom the first pages have brought.
        let gone = cloud_user(&tenant);
        tenant.directory.lock().unwrap().purge_user(gone);
        for path in ["/users?", "/groups/delta", "/managedDevices"] {
            script(&app, &tenant, path, 0, 1, Fault::Status { status: 410, retry_after: None, body: None });
        }
        app.serve().await;
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r15_replayed_and_reordered_changes_end_with_the_truth(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Replayed", 300));
        app.onboard_and_sync(&tenant).await;
        tenant.directory.lock().unwrap().churn(50);
        script(&app, &tenant, "/users/delta", 0, 1, Fault::ReplayDelta);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r17_a_mass_disappearance_is_held_back_until_a_second_read_agrees(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Vanishing", 400));
        app.onboard_and_sync(&tenant).await;
        let users = format!("/tenants/{}/users", tenant.id);
        let known = app.owner.list(&users).await.len();
        script(&app, &tenant, "/users?", 0, 2, Fault::ShortList(100));
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!(status["run"]["state"], "completedWithWarnings", "{status:#}");
        assert_eq!(data_set(&status, "users")["state"], "completed");
        assert_eq!(data_set(&status, "users")["warning"]["code"], "removalHeldBack");
        assert_eq!(app.owner.list(&users).await.len(), known, "nothing is removed before a second read agrees");
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        assert_eq!(app.owner.list(&users).await.len(), 100, "what two full reads missed is gone");
        app.owner.sync(tenant.id, "full").await;
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn r18_a_withdrawn_consent_ends_the_run_and_keeps_the_data(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Withdrawn", 200));
        app.onboard_and_sync(&tenant).await;
        let known = app.owner.list(&format!("/tenants/{}/users", tenant.id)).await.len();
        tenant.grants.lock().unwrap().clear();
        app.microsoft.cloud().advance_seconds(2 * 60 * 60);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "failed", "{status:#}");
        assert_eq!(status["status"], "reauthorizationRequired", "{status:#}");
        assert!(status["connectionError"]["action"].is_string(), "{status:#}");
        assert_eq!(app.owner.list(&format!("/tenants/{}/users", tenant.id)).await.len(), known);
    }

    async fn a_cancelled_run_ends_at_once_and_keeps_what_it_stored(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Cancelled", 3_000));
        let cloud = app.microsoft.cloud();
        cloud.hold("skiptoken");
        app.onboard(&tenant).await;
        cloud.wait_for_request(|request| request.path_and_query.contains("skiptoken")).await;
        let run = app.owner.status(tenant.id).await["run"]["id"].as_str().unwrap().to_owned();
        let cancelled = app.owner.post(&format!("/tenants/{}/sync-runs/{run}/cancel", tenant.id), &json!({})).await.expect(202);
        assert_eq!(cancelled.header("retry-after"), "1");
        let status = app.owner.status(tenant.id).await;
        assert_eq!(status["run"]["state"], "cancelled", "{status:#}");
        assert_eq!(status["run"]["progress"], 1);
        cloud.release();
        app.owner
            .post(&format!("/tenants/{}/sync-runs/{run}/cancel", tenant.id), &json!({}))
            .await
            .expect_problem(409, "syncRunEnded");
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }
}
