//! What reads bring, and how they go on.

use chrono::TimeDelta;
use tenantry_core::{
    customer_sync::CustomerSyncKind,
    customers::{CustomerSource, RecordState},
};
use tenantry_psa::{CustomerState, EvidenceKind, HintSource, PsaError};
use tenantry_tests::{database::Backend, on_both_databases};

use super::{
    psa::{ScriptedPsa, contact},
    world::World,
};

on_both_databases! {
    async fn a_full_read_makes_customers_of_what_are_customers(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        world.psa.change(3, |one| one.state = CustomerState::Inactive);
        world.psa.change(4, |one| one.name = " Bücher\u{0} GmbH\n".to_owned());
        let run = world.full().await;
        assert_eq!(run.state.as_str(), "completed", "{run:?}");
        assert_eq!((run.created, run.updated, run.deactivated), (11, 0, 0));
        assert_eq!((run.processed, run.expected), (12, Some(12)));
        assert!(run.error.is_none() && run.warning.is_none());
        let all = world.all().await;
        assert_eq!(all.len(), 11);
        let one = world.of(4).await;
        assert_eq!(one.name, "Bücher GmbH");
        assert_eq!(one.domains, ["customer4.example"]);
        assert_eq!(one.source, CustomerSource::Autotask);
        assert!(one.active && one.manual.is_empty());
        assert_eq!(one.version, 1);
        let [record] = one.psa_records.as_slice() else { panic!("{one:?}") };
        assert_eq!((record.external_id.as_str(), record.state), ("4", RecordState::Active));
        assert_eq!(record.document.phone.as_deref(), Some("+44 20 7946 0000"));
        assert_eq!(record.document.address.city.as_deref(), Some("Harwich"));
        let found = world.customers.list(&world.scope, tenantry_core::customers::CustomerFilter {
            search: Some("BÜCHER".to_owned()),
            active: Some(true),
        }, None, 10).await.unwrap();
        assert_eq!(found.total, 1);
        let last = world.syncs.last_sync(&world.scope, world.connection).await.unwrap().unwrap();
        assert_eq!((last.run, last.created, last.error), (run.id, 11, None));
        let raw = world.db.raw();
        let events = raw.lines("SELECT action AS line FROM audit_events WHERE action LIKE 'customer%' ORDER BY sequence");
        assert_eq!(events, ["customerSync.requested", "customerSync.completed"], "one event a run");
    }

    async fn changes_are_read_from_where_the_last_read_began(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(7)).await;
        let began = world.db.store.clock().now();
        world.full().await;
        world.db.advance(TimeDelta::minutes(1));
        world.psa.change(2, |one| one.name = "Renamed".to_owned());
        world.psa.change(3, |one| one.state = CustomerState::Inactive);
        world.psa.change(6, |_| {});
        let untouched = world.of(6).await;
        let run = world.incremental().await;
        assert_eq!(run.since.map(|at| (at - began).num_milliseconds()), Some(0));
        assert_eq!((run.created, run.updated, run.deactivated), (0, 1, 1));
        assert_eq!(run.processed, 3);
        let renamed = world.of(2).await;
        assert_eq!((renamed.name.as_str(), renamed.version), ("Renamed", 2));
        assert!(!world.of(3).await.active);
        assert_eq!(world.of(6).await, untouched, "what says the same is not written");
        world.psa.change(3, |one| one.state = CustomerState::Active);
        assert_eq!(world.incremental().await.updated, 1);
        assert!(world.of(3).await.active, "it is a customer again");
        let since = world.psa.script().asked_since.clone();
        assert_eq!(since.first(), Some(&None));
        assert_eq!(since.last().unwrap().map(|at| (at - began).num_minutes()), Some(1));
    }

    async fn changes_without_a_complete_read_before_mean_a_full_one(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(2)).await;
        let run = world.incremental().await;
        assert_eq!((run.kind, run.created), (CustomerSyncKind::Full, 2));
    }

    async fn what_comes_twice_counts_once(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        world.psa.script().repeated.extend([2, 9]);
        let run = world.full().await;
        assert_eq!((run.created, run.processed), (12, 12));
        assert_eq!(world.all().await.len(), 12);
        let again = world.full().await;
        assert_eq!((again.created, again.updated, again.processed), (0, 0, 12));
    }

    async fn r4_a_read_that_is_dropped_at_any_call_goes_on_from_its_last_page(backend: Backend) {
        let mut calls = 1;
        loop {
            let world = World::new(backend, ScriptedPsa::with(12)).await;
            world.psa.script().hints = (1..=7).map(|n| contact(n, "mail.example")).collect();
            world.psa.script().hangs_at = Some(calls);
            let id = world.ask(CustomerSyncKind::Full).await;
            let first = world.worker();
            let reached = async || {
                world.psa.script().calls.len() >= calls || world.run(id).await.state.has_ended()
            };
            world.until("the call or the end", reached).await;
            first.stop().await;
            let made = world.psa.take_calls().len();
            world.psa.script().hangs_at = None;
            let second = world.worker();
            let run = world.ended(id).await;
            second.stop().await;
            assert_eq!(run.state.as_str(), "completed", "{run:?}");
            assert_eq!((run.created, run.processed), (12, 12), "dropped at call {calls}");
            assert_eq!(world.all().await.len(), 12);
            let hints = world.db.raw().count("psa_hints WHERE source = 'contacts' AND contacts = 1");
            assert_eq!(hints, 7, "dropped at call {calls}");
            // The call that was not answered is made again, and the one whose page was not stored yet.
            assert!(made + world.psa.take_calls().len() <= 7, "dropped at call {calls}");
            if made < calls {
                assert_eq!(made, 5);
                break;
            }
            calls += 1;
        }
    }

    async fn a_cursor_that_is_refused_begins_the_read_anew_once(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(12)).await;
        let refusal = || PsaError::Config { what: "unknown cursor".to_owned() };
        world.psa.script().refusals.insert(2, refusal());
        let run = world.full().await;
        assert_eq!((run.state.as_str(), run.created, run.processed), ("completed", 12, 12));
        assert_eq!(world.psa.take_calls(), [
            "customers -", "customers 5", "customers -", "customers 5", "customers 10", "hints -",
        ]);
        world.psa.script().refusals.extend([(2, refusal()), (4, refusal())]);
        let run = world.full().await;
        assert_eq!(run.state.as_str(), "failed");
        assert_eq!(run.error.unwrap().code, "psaConfigurationInvalid");
    }

    async fn hints_are_counted_and_go_when_a_complete_read_misses_them(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(3)).await;
        world.psa.script().hints = vec![
            contact(1, "harbour.example"), contact(1, "harbour.example"), contact(1, "other.example"),
            contact(2, "harbour.example"), contact(1, "late.example"), contact(1, "harbour.example"),
            contact(99, "unknown.example"),
        ];
        let mut map = contact(3, "6f1b2c3d-0000-4000-8000-000000000012");
        map.evidence.kind = EvidenceKind::TenantMap;
        world.psa.script().hints.push(map);
        world.full().await;
        let hints = || world.db.raw().lines(
            "SELECT external_id || ' ' || source || ' ' || value || ' ' || contacts AS line FROM psa_hints \
             WHERE source <> 'record' ORDER BY 1",
        );
        assert_eq!(hints(), [
            "1 contacts harbour.example 3", "1 contacts late.example 1", "1 contacts other.example 1",
            "2 contacts harbour.example 1", "3 tenantMap 6f1b2c3d-0000-4000-8000-000000000012 1",
        ]);
        world.psa.script().hints.retain(|hint| hint.evidence.value != "late.example");
        world.full().await;
        assert_eq!(hints().len(), 4, "{:?}", hints());
        assert_eq!(hints()[0], "1 contacts harbour.example 3", "counted anew");
    }

    async fn hints_that_may_not_be_read_stay_as_they_were(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(3)).await;
        world.psa.script().hints = vec![contact(1, "harbour.example")];
        world.full().await;
        world.psa.script().left_out = Some(HintSource::Contacts);
        let run = world.full().await;
        assert_eq!(run.state.as_str(), "completedWithWarnings");
        assert_eq!(run.warning.unwrap().code, "psaPermissionMissing");
        assert_eq!(world.db.raw().count("psa_hints WHERE source = 'contacts'"), 1);
        world.psa.script().left_out = None;
        world.psa.script().hints.clear();
        world.full().await;
        assert_eq!(world.db.raw().count("psa_hints WHERE source = 'contacts'"), 0);
    }

    async fn what_a_record_says_of_tenants_follows_it(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(1)).await;
        world.full().await;
        world.psa.change(1, |one| one.evidence[0].value = "new.example".to_owned());
        world.incremental().await;
        let hints = world.db.raw().lines("SELECT value AS line FROM psa_hints");
        assert_eq!(hints, ["new.example"]);
        assert_eq!(world.of(1).await.domains, ["new.example"]);
    }

    async fn records_that_webhooks_name_are_read_one_by_one(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(9)).await;
        world.full().await;
        world.psa.take_calls();
        world.psa.change(4, |one| one.name = "Renamed".to_owned());
        world.psa.script().customers.remove(&5);
        let raw = world.db.raw();
        let (org, connection, now) = (
            raw.uuid(world.scope.org().as_uuid()), raw.uuid(world.connection.as_uuid()), raw.now(),
        );
        let before = if raw.is_sqlite() { format!("{now} - 60000000") } else { format!("{now} - interval '1 minute'") };
        raw.execute(&format!(
            "INSERT INTO psa_changes (org_id, connection_id, external_id, noted_at) \
             VALUES ({org}, {connection}, '4', {before}), ({org}, {connection}, '5', {before})"
        ));
        let worker = world.worker();
        let renamed = async || world.of(4).await.name == "Renamed";
        world.until("the change", renamed).await;
        let read = async || world.db.raw().count("psa_changes") == 0;
        world.until("nothing is left to read", read).await;
        worker.stop().await;
        assert_eq!(world.psa.take_calls(), ["customer 4", "customer 5"]);
        assert!(world.of(5).await.active, "one look is not believed");
        assert_eq!(world.db.raw().count("psa_records WHERE misses = 1"), 1);
    }

    async fn r17_organizations_with_the_same_records_have_customers_of_their_own(backend: Backend) {
        let one = World::new(backend, ScriptedPsa::with(3)).await;
        let scope = one.db.organization().await;
        let other = World::beside(one.db.clone(), scope, ScriptedPsa::with(3));
        one.full().await;
        other.psa.change(1, |one| one.name = "Another".to_owned());
        other.full().await;
        assert_eq!((one.all().await.len(), other.all().await.len()), (3, 3));
        assert_eq!(one.of(1).await.name, "Customer 1");
        assert_eq!(other.of(1).await.name, "Another");
        let foreign = one.syncs.runs(&one.scope, other.connection, None, 10).await;
        assert!(foreign.is_err());
    }

    async fn p5_ten_thousand_customers_are_stored_in_a_moment(backend: Backend) {
        let world = World::new(backend, ScriptedPsa::with(10_000)).await;
        world.psa.script().page = 1_000;
        world.psa.script().hints = (1..=10_000).map(|n| contact(n, &format!("mail{n}.example"))).collect();
        for (what, created, updated) in [("new", 10_000, 0), ("unchanged", 0, 0), ("changed", 0, 10_000)] {
            if updated > 0 {
                world.psa.script().customers.values_mut().for_each(|one| one.name.push('!'));
            }
            let begun = std::time::Instant::now();
            let run = world.full().await;
            let took = begun.elapsed();
            assert_eq!((run.created, run.updated), (created, updated));
            eprintln!("{backend:?} {what}: {took:?}");
            // Far below that in a release build; the bound only finds what grows with the square.
            assert!(took.as_secs() < 30, "{what}: {took:?}");
        }
    }
}
