//! The initial sync and the runs after it: what is stored equals what Microsoft has.

use serde_json::json;
use tenantry_tests::{
    app::{TestApp, data_set},
    database::Backend,
    fake_microsoft::state::Decision,
    on_both_databases, truth,
};

use crate::flow::seed;

on_both_databases! {
    async fn i2_tenants_of_every_size_are_stored_as_microsoft_has_them(backend: Backend) {
        let app = TestApp::start(backend).await;
        for users in [0, 1, 999, 1_000] {
            let tenant = app.microsoft.add_tenant(seed(&format!("Size{users}")).users(users));
            let status = app.onboard_and_sync(&tenant).await;
            assert_eq!(status["run"]["state"], "completed", "{status:#}");
            assert_eq!(status["run"]["kind"], "initial");
            assert_eq!(status["run"]["progress"], 1);
            assert_eq!(status["status"], "connected");
            truth::assert_equal(&app.owner, &tenant).await;
        }
    }

    async fn i2_twenty_thousand_users_are_stored_and_again_after_changes(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Large").users(20_000));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        let users = data_set(&status, "users");
        let known = tenant.directory.lock().unwrap().users().len();
        assert_eq!(users["processed"], known);
        assert_eq!(users["expected"], known);
        truth::assert_equal(&app.owner, &tenant).await;
        truth::assert_memberships_equal(&app.database.raw(), &tenant);

        tenant.directory.lock().unwrap().churn(500);
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        assert_eq!(status["run"]["kind"], "delta");
        truth::assert_equal(&app.owner, &tenant).await;
        truth::assert_memberships_equal(&app.database.raw(), &tenant);
    }

    async fn r16_changes_while_the_first_read_runs_arrive_with_the_next_delta(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Moving").users(3_000));
        let cloud = app.microsoft.cloud();
        cloud.hold("skiptoken");
        app.onboard(&tenant).await;
        cloud.wait_for_request(|request| request.path_and_query.contains("skiptoken")).await;
        tenant.directory.lock().unwrap().churn(300);
        cloud.release();
        app.owner.wait_for_run(tenant.id).await;
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn a_full_run_removes_what_is_gone_and_keeps_what_changed(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Full").users(400));
        app.onboard_and_sync(&tenant).await;
        tenant.directory.lock().unwrap().churn(60);
        let status = app.owner.sync(tenant.id, "full").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn several_deltas_in_a_row_and_an_unchanged_one_keep_the_truth(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Rounds").users(300));
        app.onboard_and_sync(&tenant).await;
        for _ in 0..3 {
            tenant.directory.lock().unwrap().churn(40);
            app.owner.sync(tenant.id, "delta").await;
            truth::assert_equal(&app.owner, &tenant).await;
        }
        let before = app.microsoft.cloud().requests().len();
        let status = app.owner.sync(tenant.id, "delta").await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        let requests = app.microsoft.cloud().requests().len() - before;
        assert!(requests <= 20, "an unchanged refresh took {requests} requests");
        truth::assert_equal(&app.owner, &tenant).await;
    }

    async fn a_tenant_without_intune_or_exchange_is_complete_with_the_reason(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Bare").users(40).intune(false).exchange(false));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        for name in ["devices", "mailboxes"] {
            let set = data_set(&status, name);
            assert_eq!(set["state"], "skipped", "{set}");
            assert_eq!(set["warning"]["code"], "notLicensed", "{set}");
        }
    }

    async fn g6_a_withheld_permission_fails_its_data_set_and_nothing_else(backend: Backend) {
        let app = TestApp::start(backend).await;
        let withheld = Decision::AcceptWithout(["DeviceManagementManagedDevices.Read.All".to_owned()].into());
        let tenant = app.microsoft.add_tenant(seed("Partial").users(40).decision(withheld));
        let status = app.onboard_and_sync(&tenant).await;
        assert_eq!(status["status"], "degraded", "{status:#}");
        assert_eq!(status["missingPermissions"], json!(["DeviceManagementManagedDevices.Read.All"]));
        assert_eq!(status["degradedFeatures"].as_array().unwrap().len(), 1);
        assert_eq!(status["run"]["state"], "completedWithWarnings");
        let set = data_set(&status, "devices");
        assert_eq!(set["state"], "failed");
        assert_eq!(set["warning"]["code"], "permissionMissing");
        for set in status["run"]["datasets"].as_array().unwrap().iter().filter(|set| set["name"] != "devices") {
            assert_eq!(set["state"], "completed", "{set}");
        }
    }

    async fn concealed_reports_are_a_warning_and_mailboxes_come_from_the_users(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Hidden").users(60).concealed_names(true));
        let status = app.onboard_and_sync(&tenant).await;
        let set = data_set(&status, "mailboxes");
        assert_eq!(set["state"], "completed", "{set}");
        assert_eq!(set["warning"]["code"], "reportNamesConcealed");
        let listed = app.owner.list(&format!("/tenants/{}/mailboxes", tenant.id)).await;
        assert!(!listed.is_empty());
        assert!(listed.iter().all(|mailbox| mailbox["userPurpose"].is_string() && mailbox["userId"].is_string()));
    }

    async fn the_kind_of_each_mailbox_arrives_after_the_run(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Kinds").users(80));
        app.onboard_and_sync(&tenant).await;
        let listed = truth::mailboxes_with_their_kinds(&app.owner, tenant.id).await;
        assert!(listed.iter().any(|mailbox| mailbox["userPurpose"] == "user"));
    }
}
