//! The event stream of all tenants of an organisation.

use std::{
    process::{Child, Stdio},
    sync::Arc,
};

use serde_json::{Value, json};
use tenantry_tests::{
    app::{Caller, TestApp},
    database::Backend,
    fake_microsoft::state::Tenant,
    on_both_databases,
};
use uuid::Uuid;

use crate::{
    event_reader::EventReader,
    flow::{relay_to_the_end, seed, start},
};

const EVENTS: &str = "/tenants/events";

/// A tenant whose administrator has not consented yet.
async fn pending(app: &TestApp, caller: &Caller, name: &str) -> Arc<Tenant> {
    let tenant = app.microsoft.add_tenant(seed(name));
    start(caller, &tenant).await;
    tenant
}

fn id_of(event: &Value) -> Uuid {
    event["tenantId"].as_str().unwrap().parse().unwrap()
}

/// The next event is the status that this tenant has now.
async fn expect_present(events: &mut EventReader, caller: &Caller, tenant: &Tenant) {
    let event = events.next().await;
    assert_eq!(id_of(&event), tenant.id, "{event:#}");
    assert_eq!(event, caller.status(tenant.id).await);
}

/// A worker beside the server.
struct Worker(Child);

impl Worker {
    fn start(app: &TestApp) -> Self {
        let mut command = app.command(&["serve", "--role", "worker"]);
        command.env_remove("TENANTRY_LISTEN").stdin(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

on_both_databases! {
    async fn every_tenant_arrives_at_once_and_then_each_change(backend: Backend) {
        let app = TestApp::start(backend).await;
        let (one, two) = (app.microsoft.add_tenant(seed("One")), pending(&app, &app.owner, "Two").await);
        let started = start(&app.owner, &one).await;
        let mut events = EventReader::open(&app.owner, EVENTS).await;
        for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")] {
            assert_eq!(events.headers[name], value);
        }
        expect_present(&mut events, &app.owner, &two).await;
        expect_present(&mut events, &app.owner, &one).await;
        let metrics = app.owner.get("//metrics").await.expect(200).text;
        assert!(metrics.contains("\ntenantry_event_streams 1\n"), "{metrics}");

        relay_to_the_end(&app.owner, &started).await.expect(200);
        let mut before = Value::Null;
        while before["run"]["state"] != "completed" {
            let event = events.next().await;
            assert_eq!(id_of(&event), one.id);
            assert_ne!(event, before, "the same twice");
            before = event;
        }
        assert_eq!((&before["status"], &before["run"]["progress"]), (&json!("connected"), &json!(1)));

        let new = pending(&app, &app.owner, "Three").await;
        app.owner.delete(&format!("/tenants/{}", two.id)).await.expect(204);
        let mut last = Vec::new();
        while last.last().is_none_or(|(id, _)| *id != two.id) {
            let event = events.next().await;
            last.push((id_of(&event), event["status"].clone()));
        }
        assert!(last.contains(&(new.id, json!("pendingConsent"))), "a new tenant appears: {last:?}");
        assert!(last.contains(&(two.id, json!("revoked"))), "{last:?}");
    }

    async fn one_who_comes_back_gets_only_what_changed(backend: Backend) {
        let mut app = TestApp::start(backend).await;
        let mut tenants = Vec::new();
        let mut events = EventReader::open(&app.owner, EVENTS).await;
        for name in ["One", "Two", "Three"] {
            let tenant = pending(&app, &app.owner, name).await;
            expect_present(&mut events, &app.owner, &tenant).await;
            tenants.push(tenant);
        }
        let first = events.last_id.clone();
        drop(events);
        app.owner.delete(&format!("/tenants/{}", tenants[1].id)).await.expect(204);
        let four = pending(&app, &app.owner, "Four").await;
        let mut events = EventReader::open_after(&app.owner, EVENTS, &first).await;
        expect_present(&mut events, &app.owner, &tenants[1]).await;
        expect_present(&mut events, &app.owner, &four).await;

        app.stop().await;
        assert!(events.rest().await.ends_with(": end of stream"));
        app.serve().await;
        let mut again = EventReader::open_after(&app.owner, EVENTS, &first).await;
        expect_present(&mut again, &app.owner, &tenants[1]).await;
        let mut events = EventReader::open_after(&app.owner, EVENTS, &events.last_id).await;
        let five = pending(&app, &app.owner, "Five").await;
        expect_present(&mut events, &app.owner, &five).await;

        let (_, key) = app.create_organization("Southwind MSP");
        let other = app.owner.with_key(Some(&key));
        let theirs = pending(&app, &other, "Theirs").await;
        let mut foreign = EventReader::open_after(&other, EVENTS, &events.last_id).await;
        expect_present(&mut foreign, &other, &theirs).await;
        let beyond = events.last_id.split(':').next().unwrap().to_owned() + ":999999:0";
        for unknown in [foreign.last_id.as_str(), "nonsense", "17", &beyond] {
            let mut events = EventReader::open_after(&app.owner, EVENTS, unknown).await;
            let mut met = Vec::new();
            for _ in 0..5 {
                met.push(id_of(&events.next().await));
            }
            let all = [tenants[0].id, tenants[2].id, tenants[1].id, four.id, five.id];
            assert_eq!(met, all, "everything, in the order of the changes: {unknown}");
        }
    }

    async fn z4_the_stream_of_all_tenants_shows_nothing_of_another_organization(backend: Backend) {
        let app = TestApp::start(backend).await;
        let (_, key) = app.create_organization("Southwind MSP");
        let other = app.owner.with_key(Some(&key));
        pending(&app, &app.owner, "Before").await;
        let mut events = EventReader::open(&other, EVENTS).await;
        let during = pending(&app, &app.owner, "During").await;
        app.owner.delete(&format!("/tenants/{}", during.id)).await.expect(204);
        let theirs = pending(&app, &other, "Theirs").await;
        expect_present(&mut events, &other, &theirs).await;
        let next = pending(&app, &other, "Next").await;
        expect_present(&mut events, &other, &next).await;
    }

    async fn r30_becoming_stale_is_an_event(backend: Backend) {
        let app = TestApp::start(backend).await;
        let tenant = app.microsoft.add_tenant(seed("Aging"));
        app.onboard_and_sync(&tenant).await;
        let mut events = EventReader::open(&app.owner, EVENTS).await;
        assert_eq!(events.next().await["stale"], false);
        app.advance_seconds(6 * 3_600 + 60);
        let event = events.next().await;
        assert_eq!((id_of(&event), &event["stale"]), (tenant.id, &json!(true)));
        let mut again = EventReader::open_after(&app.owner, EVENTS, &events.last_id).await;
        let new = pending(&app, &app.owner, "New").await;
        expect_present(&mut again, &app.owner, &new).await;
        expect_present(&mut events, &app.owner, &new).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_the_api_only_streams_what_workers_do() {
    let mut app = TestApp::start(Backend::Postgres).await;
    app.stop().await;
    app.serve_as("api").await;
    let mut events = EventReader::open(&app.owner, EVENTS).await;
    let tenant = app.microsoft.add_tenant(seed("Worked"));
    let _worker = Worker::start(&app);
    app.onboard(&tenant).await;
    let mut last = Value::Null;
    while last["run"]["state"] != "completed" {
        last = events.next().await;
        assert_eq!(id_of(&last), tenant.id);
    }
    assert_eq!(last, app.owner.status(tenant.id).await);
    app.stop().await;
    app.serve_as("api").await;
    let mut again = EventReader::open_after(&app.owner, EVENTS, &events.last_id).await;
    let new = pending(&app, &app.owner, "New").await;
    expect_present(&mut again, &app.owner, &new).await;
}
