//! A newer version migrates while this one still runs, or starts again: the migrations of the newer one
//! are applied by hand.

use serde_json::Value;
use tenantry_tests::{
    app::{TestApp, data_set},
    database::Backend,
    on_both_databases, truth,
};

use crate::flow;

/// A migration that only adds, as a later version may bring it.
fn expand(app: &TestApp) {
    let raw = app.database.raw();
    // Each by itself: together they would lock several tables in an order of their own.
    for change in [
        "ALTER TABLE tenants ADD COLUMN later TEXT",
        "ALTER TABLE connections ADD COLUMN later TEXT",
        "ALTER TABLE inventory_objects ADD COLUMN later TEXT NOT NULL DEFAULT 'x'",
        "ALTER TABLE sync_runs ADD COLUMN later BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE tenant_status ADD COLUMN later TEXT",
        "ALTER TABLE work_items ADD COLUMN later BIGINT NOT NULL DEFAULT 0",
        "CREATE INDEX later_objects ON inventory_objects (later)",
        "CREATE TABLE later_totals (id BIGINT PRIMARY KEY)",
    ] {
        raw.execute(change);
    }
    raw.execute(if raw.is_sqlite() {
        "CREATE TABLE later_things (org_id BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (org_id, id),
            FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE)"
    } else {
        "CREATE TABLE later_things (org_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (org_id, id),
            FOREIGN KEY (org_id) REFERENCES organizations (id) ON DELETE CASCADE);
         ALTER TABLE later_things ENABLE ROW LEVEL SECURITY;
         ALTER TABLE later_things FORCE ROW LEVEL SECURITY;
         CREATE POLICY organization ON later_things
            USING (org_id = (SELECT nullif(current_setting('app.org', true), '')::uuid))"
    });
    raw.execute(
        "INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ('999901010000000000', '2026-01-01')",
    );
}

/// What such a migration says of older programs.
fn allow(app: &TestApp, compatible_from: &str, global_tables: &str) {
    app.database.raw().execute(&format!(
        "DELETE FROM schema_compatibility;
         INSERT INTO schema_compatibility (version, compatible_from, global_tables)
            VALUES ('999901010000000000', '{compatible_from}', '{global_tables}')"
    ));
}

/// Why the server does not start.
fn refusal(app: &TestApp) -> String {
    let output = app.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

on_both_databases! {
    async fn r28_a_running_server_outlives_the_migration_of_a_newer_version(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(flow::seed("Expanded").users(2_500));
        let cloud = app.microsoft.cloud();
        cloud.hold("skiptoken");
        app.onboard(&tenant).await;
        app.owner.wait_for_status(tenant.id, "the first pages", |status: &Value| {
            !status["run"].is_null() && data_set(status, "users")["processed"].as_i64() > Some(0)
        }).await;
        expand(&app);
        cloud.release();
        let status = app.owner.wait_for_run(tenant.id).await;
        assert_eq!(status["run"]["state"], "completed", "{status:#}");
        truth::assert_equal(&app.owner, &tenant).await;
        let second = app.microsoft.add_tenant(flow::seed("Second"));
        app.onboard_and_sync(&second).await;
        truth::assert_equal(&app.owner, &second).await;

        // It may also start again.
        allow(&app, "202611211200000000", "later_totals");
        app.stop().await;
        app.serve().await;
        assert!(app.log().contains("migrated by a newer version"), "{}", app.log());
        let third = app.microsoft.add_tenant(flow::seed("Third"));
        app.onboard_and_sync(&third).await;
        truth::assert_equal(&app.owner, &third).await;
        app.owner.delete(&format!("/tenants/{}", second.id)).await.expect(204);
    }

    async fn r28_a_server_does_not_start_on_a_newer_schema_that_does_not_allow_it(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        app.stop().await;
        expand(&app);
        assert!(refusal(&app).contains("was used by a newer version"), "{}", refusal(&app));
        allow(&app, "999901010000000000", "later_totals");
        let told = refusal(&app);
        assert!(told.contains("was used by a newer version"), "{told}");
        assert!(told.contains("Start the version that migrated it"), "{told}");
        if backend == Backend::Postgres {
            allow(&app, "202611211200000000", "");
            let told = refusal(&app);
            assert!(told.contains("row-level security") && told.contains("later_totals"), "{told}");
        }
        allow(&app, "202611211200000000", "later_totals");
        app.serve().await;
    }
}
