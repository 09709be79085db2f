//! Connections to PSAs.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use chrono::TimeDelta;
use serde_json::{Value, json};
use tenantry_core::{
    access::OrgScope,
    audit::{AuditFilter, AuditService},
    ids::PsaConnectionId,
    outbound::{GuardedOutbound, Limits, TargetPolicy},
    psa::{
        ArrivedEvent, NewPsaConnection, OpenPsaError, PsaAccess, PsaCallError, PsaCallbacks,
        PsaChecks, PsaConnection, PsaConnectionChange, PsaConnectionError, PsaConnectionService,
        PsaError, PsaKind, ReceiveError, Urgency,
    },
    store::Store,
};
use tenantry_tests::{database::Backend, on_both_databases};
use url::Url;
use uuid::Uuid;

use crate::{fake_adapter::Script, store::TestStore};

/// A database with the services of the room.
struct World {
    db: TestStore,
    scope: OrgScope,
    script: Arc<Script>,
    access: PsaAccess,
    service: PsaConnectionService,
    checks: PsaChecks,
    callbacks: PsaCallbacks,
}

impl World {
    async fn new(backend: Backend) -> Self {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        let script = Arc::new(Script::default());
        let access = opened(&db, db.store.clone(), &script).await;
        Self {
            service: PsaConnectionService::new(access.clone()),
            checks: PsaChecks::new(access.clone()),
            callbacks: callbacks(&access),
            db,
            scope,
            script,
            access,
        }
    }

    async fn connection(&self) -> PsaConnection {
        let created = self.service.create(&self.scope, new(), |_, _| Ok(())).await;
        created.unwrap()
    }

    async fn change(
        &self,
        id: PsaConnectionId,
        change: PsaConnectionChange,
    ) -> Result<PsaConnection, PsaConnectionError> {
        self.service.change(&self.scope, id, None, change).await
    }

    /// A customer that was read through a connection.
    fn add_record(&self, id: PsaConnectionId) {
        let raw = self.db.raw();
        let (org, customer, now) = (
            raw.uuid(self.scope.org().as_uuid()),
            raw.uuid(Uuid::now_v7()),
            raw.now(),
        );
        let id = raw.uuid(id.as_uuid());
        raw.execute(&format!(
            "INSERT INTO customers (org_id, id, name, search_text, domains, source, external_id, active, version, \
             created_at, changed_at) VALUES ({org}, {customer}, 'A', 'a', '[]', 'connectwise', '7', true, 1, {now}, {now})"
        ));
        let hash = if raw.is_sqlite() { "x'00'" } else { "'\\x00'" };
        raw.execute(&format!(
            "INSERT INTO psa_records (org_id, connection_id, external_id, customer_id, name, state, document, hash, \
             generation, misses, changed_at) VALUES ({org}, {id}, '7', {customer}, 'A', 'active', '{{}}', {hash}, 1, 0, {now})"
        ));
    }

    async fn actions(&self) -> Vec<String> {
        let page = AuditService::new(self.db.store.clone())
            .list(&self.scope, AuditFilter::default(), None, 1_000)
            .await;
        let actions = page.unwrap().items.into_iter().map(|event| event.action);
        actions.filter(|action| action.starts_with("psa")).collect()
    }

    /// Registers a webhook; the secret in its address and the one that signs.
    async fn webhook(&self, id: PsaConnectionId) -> (String, String) {
        self.callbacks.register(&self.scope, id).await.unwrap();
        let (url, secret) = self
            .script
            .callbacks
            .lock()
            .unwrap()
            .last()
            .unwrap()
            .clone();
        (url.rsplit('/').next().unwrap().to_owned(), secret)
    }

    fn changes(&self) -> Vec<String> {
        self.db
            .raw()
            .lines("SELECT external_id AS line FROM psa_changes ORDER BY external_id")
    }
}

async fn opened(db: &TestStore, store: Store, script: &Arc<Script>) -> PsaAccess {
    let policy = TargetPolicy::new(true, Vec::new());
    let outbound = GuardedOutbound::new(Limits::default(), policy).unwrap();
    PsaAccess::new(store, db.vault().await, outbound, script.factory())
}

fn callbacks(access: &PsaAccess) -> PsaCallbacks {
    PsaCallbacks::new(
        access.clone(),
        Url::parse("https://tenantry.example").unwrap(),
    )
}

fn credentials(company: &str) -> Value {
    json!({"companyId": company, "publicKey": "public", "privateKey": "canary-private-key-0123456789", "clientId": "c"})
}

fn new() -> NewPsaConnection {
    NewPsaConnection {
        kind: PsaKind::ConnectWise,
        name: " Our PSA ".to_owned(),
        base_url: "https://NA.myconnectwise.net/".to_owned(),
        credentials: credentials("northgate"),
        settings: Some(json!({"fullHours": 12})),
    }
}

fn event(signature: &str, body: &str) -> ArrivedEvent {
    ArrivedEvent {
        headers: vec![("X-Signature".to_owned(), signature.as_bytes().to_vec())],
        query: String::new(),
        body: body.as_bytes().to_vec(),
    }
}

on_both_databases! {
    async fn a_connection_is_kept_as_it_was_entered_without_its_credentials(backend: Backend) {
        let world = World::new(backend).await;
        let created = world.connection().await;
        assert_eq!((created.name.as_str(), created.base_url.as_str()), ("Our PSA", "https://na.myconnectwise.net"));
        assert_eq!(created.system, "https://na.myconnectwise.net/northgate");
        assert_eq!((created.settings.full_hours, created.settings.incremental_minutes), (12, 15));
        assert_eq!((created.version, created.generation, &created.trouble), (1, 1, &None));
        assert_eq!(world.service.get(&world.scope, created.id).await.unwrap(), created);
        let page = world.service.list(&world.scope, None, 1).await.unwrap();
        assert_eq!((page.items, page.next, page.total), (vec![created], None, 1));
        assert_eq!(world.actions().await, ["psaConnection.created"]);
        assert!(!world.db.raw().dump().contains("canary"));
        assert!(!world.db.raw().dump().contains(&hex::encode("canary-private-key")));
    }

    async fn everything_that_is_wrong_is_named_and_nothing_is_kept(backend: Backend) {
        let world = World::new(backend).await;
        let before = world.db.raw().dump();
        let wrong = NewPsaConnection {
            name: String::new(),
            credentials: json!({"companyId": "x", "secret": "canary"}),
            settings: Some(json!({"fullHours": 0})),
            ..new()
        };
        let refused = world.service.create(&world.scope, wrong, |_, _| Ok(())).await;
        let Err(PsaConnectionError::InvalidCredentials(faults)) = refused else { panic!("{refused:?}") };
        assert!(!format!("{faults:?}").contains("canary"));
        let mut places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        places.sort_unstable();
        assert_eq!(places, ["/credentials/clientId", "/credentials/privateKey", "/credentials/publicKey",
            "/credentials/secret", "/name", "/settings/fullHours"]);
        let unusable = NewPsaConnection { credentials: credentials("unusable"), ..new() };
        let refused = world.service.create(&world.scope, unusable, |_, _| Ok(())).await;
        assert!(matches!(refused, Err(PsaConnectionError::Refused(PsaError::Config { .. }))));
        for address in ["http://na.myconnectwise.net", "https://10.0.0.1", "https://169.254.169.254", "https://psa"] {
            let inside = NewPsaConnection { base_url: address.to_owned(), ..new() };
            let refused = world.service.create(&world.scope, inside, |_, _| Ok(())).await;
            assert!(matches!(refused, Err(PsaConnectionError::AddressRefused { pointer: "/baseUrl", .. })), "{address}");
        }
        let halo = NewPsaConnection {
            kind: PsaKind::HaloPsa,
            credentials: json!({"clientId": "a", "clientSecret": "b", "authUrl": "https://10.0.0.1/auth"}),
            ..new()
        };
        let refused = world.service.create(&world.scope, halo, |_, _| Ok(())).await;
        assert!(matches!(refused, Err(PsaConnectionError::AddressRefused { pointer: "/credentials/authUrl", .. })));
        assert_eq!(world.db.raw().dump(), before);
    }

    async fn all_who_open_a_connection_share_its_adapter_until_it_changes(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        let made = || world.script.made.load(SeqCst);
        let first = made();
        for urgency in [Urgency::Waited, Urgency::Background, Urgency::Waited] {
            world.access.open(&world.scope, id, urgency).await.unwrap();
        }
        assert_eq!(made(), first + 1);
        let renamed = PsaConnectionChange { name: Some("B".to_owned()), ..PsaConnectionChange::default() };
        assert_eq!(world.change(id, renamed).await.unwrap().generation, 1);
        world.access.open(&world.scope, id, Urgency::Waited).await.unwrap();
        assert_eq!(made(), first + 1);
        let rotated = PsaConnectionChange { credentials: Some(credentials("northgate")), ..PsaConnectionChange::default() };
        assert_eq!(world.change(id, rotated).await.unwrap().generation, 2);
        let before = made();
        for _ in 0..2 {
            world.access.open(&world.scope, id, Urgency::Waited).await.unwrap();
        }
        assert_eq!(made(), before + 1);
        // Another process opens what this one sealed.
        let other = opened(&world.db, world.db.second_store(), &world.script).await;
        assert!(other.open(&world.scope, id, Urgency::Background).await.is_ok());
    }

    async fn v3_credentials_open_in_their_place_and_generation_alone(backend: Backend) {
        let world = World::new(backend).await;
        let (one, other) = (world.connection().await.id, world.connection().await.id);
        let raw = world.db.raw();
        let (one_literal, other_literal) = (raw.uuid(one.as_uuid()), raw.uuid(other.as_uuid()));
        let unreadable = async || {
            let fresh = opened(&world.db, world.db.second_store(), &world.script).await;
            matches!(fresh.open(&world.scope, one, Urgency::Waited).await, Err(OpenPsaError::Unreadable))
        };
        assert!(!unreadable().await);
        raw.execute(&format!("UPDATE psa_connections SET generation = 2 WHERE id = {one_literal}"));
        assert!(unreadable().await);
        raw.execute(&format!(
            "UPDATE psa_connections SET generation = 1, sealed_credentials = (SELECT sealed_credentials FROM \
             psa_connections WHERE id = {other_literal}) WHERE id = {one_literal}"
        ));
        assert!(unreadable().await);
        raw.execute(&format!(
            "UPDATE psa_connections SET data_key = (SELECT data_key FROM psa_connections WHERE id = {other_literal}) \
             WHERE id = {one_literal}"
        ));
        assert!(unreadable().await);
    }

    async fn another_system_is_refused_once_customers_came(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        let moved = |base: &str| PsaConnectionChange {
            base_url: Some(base.to_owned()),
            credentials: Some(credentials("northgate")),
            ..PsaConnectionChange::default()
        };
        let alone = PsaConnectionChange { base_url: Some("https://eu.myconnectwise.net".to_owned()), ..PsaConnectionChange::default() };
        let refused = world.change(id, alone).await;
        assert!(matches!(refused, Err(PsaConnectionError::InvalidCredentials(_))), "v13: another address gets no stored secret");
        let eu = world.change(id, moved("https://eu.myconnectwise.net")).await.unwrap();
        assert_eq!((eu.generation, eu.system.as_str()), (2, "https://eu.myconnectwise.net/northgate"));
        world.add_record(id);
        let before = world.db.raw().dump();
        let refused = world.change(id, moved("https://na.myconnectwise.net")).await;
        assert!(matches!(refused, Err(PsaConnectionError::OtherSystem { .. })), "{refused:?}");
        let company = PsaConnectionChange { credentials: Some(credentials("other")), ..PsaConnectionChange::default() };
        assert!(matches!(world.change(id, company).await, Err(PsaConnectionError::OtherSystem { .. })));
        assert_eq!(world.db.raw().dump(), before);
        let same = PsaConnectionChange { base_url: Some("https://EU.myconnectwise.net/".to_owned()), ..PsaConnectionChange::default() };
        let same = world.change(id, same).await.unwrap();
        assert_eq!(same, eu, "a change that changes nothing leaves no trace");
        let stale = world.service.change(&world.scope, id, Some(1), moved("https://eu.myconnectwise.net")).await;
        assert!(matches!(stale, Err(PsaConnectionError::VersionMismatch)));
    }

    async fn d2_a_deleted_connection_leaves_its_customers_and_no_credentials(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        world.webhook(id).await;
        world.add_record(id);
        let raw = world.db.raw();
        let hex_of = if raw.is_sqlite() { "lower(hex(sealed_credentials))" } else { "encode(sealed_credentials, 'hex')" };
        let sealed = raw.lines(&format!("SELECT {hex_of} AS line FROM psa_connections")).remove(0);
        let stale = world.service.delete(&world.scope, id, Some(77)).await;
        assert!(matches!(stale, Err(PsaConnectionError::VersionMismatch)));
        world.service.delete(&world.scope, id, None).await.unwrap();
        assert_eq!(*world.script.removed.lock().unwrap(), ["1"]);
        for table in ["psa_connections", "psa_callbacks", "psa_callback_index", "psa_records", "customer_sync_states"] {
            assert_eq!(raw.count(table), 0, "{table}");
        }
        assert_eq!(raw.count("customers"), 1);
        assert!(!raw.dump().contains(&sealed));
        assert!(matches!(world.service.delete(&world.scope, id, None).await, Err(PsaConnectionError::NotFound)));
        assert!(matches!(world.access.open(&world.scope, id, Urgency::Waited).await, Err(OpenPsaError::NotFound)));
        assert_eq!(world.actions().await, ["psaConnection.deleted", "psaCallback.registered", "psaConnection.created"]);
    }

    async fn a_psa_that_cannot_be_asked_holds_no_deletion_up(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        world.webhook(id).await;
        world.script.refuse(Some(PsaError::Transient { what: "away".to_owned() }));
        world.service.delete(&world.scope, id, None).await.unwrap();
        assert_eq!(world.db.raw().count("psa_connections"), 0);
    }

    async fn z4_a_connection_of_another_organization_is_not_there(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        let other = world.db.organization().await;
        let before = world.db.raw().dump();
        let change = PsaConnectionChange { name: Some("B".to_owned()), ..PsaConnectionChange::default() };
        assert!(matches!(world.service.get(&other, id).await, Err(PsaConnectionError::NotFound)));
        assert!(matches!(world.service.change(&other, id, None, change).await, Err(PsaConnectionError::NotFound)));
        assert!(matches!(world.service.delete(&other, id, None).await, Err(PsaConnectionError::NotFound)));
        assert!(matches!(world.access.open(&other, id, Urgency::Waited).await, Err(OpenPsaError::NotFound)));
        assert!(matches!(world.checks.check(&other, id).await, Err(PsaCallError::NotFound)));
        assert!(world.callbacks.register(&other, id).await.is_err());
        assert!(world.callbacks.remove(&other, id).await.is_err());
        assert_eq!(world.service.list(&other, None, 10).await.unwrap().total, 0);
        assert_eq!(world.db.raw().dump(), before);
    }

    async fn a_check_notes_what_stands_in_the_way_and_clears_it(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        let trouble = async || {
            let connection = world.service.get(&world.scope, id).await.unwrap();
            assert_eq!(connection.version, 1, "no change by a person");
            connection.trouble.map(|trouble| trouble.code)
        };
        world.script.refuse(Some(PsaError::Auth { what: "wrong key".to_owned() }));
        let report = world.checks.check(&world.scope, id).await.unwrap();
        assert!(!report.ok());
        assert_eq!(report.checks[0].name, "credentials");
        assert_eq!(trouble().await.as_deref(), Some("psaCredentialsRejected"));
        let refused = world.checks.customer_types(&world.scope, id).await;
        assert!(matches!(refused, Err(PsaCallError::Psa { error: PsaError::Auth { .. }, .. })));
        world.script.refuse(None);
        assert!(world.checks.check(&world.scope, id).await.unwrap().ok());
        assert_eq!(trouble().await, None);
        assert_eq!(world.checks.ticket_options(&world.scope, id).await.unwrap().options[0].name, "boardId");
        let tickets = PsaConnectionChange {
            settings: Some(json!({"tickets": {"enabled": true}})),
            ..PsaConnectionChange::default()
        };
        world.change(id, tickets).await.unwrap();
        assert!(!world.checks.check(&world.scope, id).await.unwrap().ok());
        let connection = world.service.get(&world.scope, id).await.unwrap();
        assert_eq!(connection.trouble.unwrap().code, "psaConfigurationInvalid");
    }

    async fn n10_an_event_counts_once_also_after_a_restart(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        let (path, secret) = world.webhook(id).await;
        world.callbacks.receive(id, &path, event(&secret, "e1 7 8")).await.unwrap();
        assert_eq!(world.changes(), ["7", "8"]);
        world.db.raw().execute("DELETE FROM psa_changes");
        let restarted = opened(&world.db, world.db.second_store(), &world.script).await;
        let restarted = callbacks(&restarted);
        restarted.receive(id, &path, event(&secret, "e1 7 8")).await.unwrap();
        assert!(world.changes().is_empty());
        restarted.receive(id, &path, event(&secret, "e2 9")).await.unwrap();
        restarted.receive(id, &path, event(&secret, "- 10")).await.unwrap();
        assert_eq!(world.changes(), ["10", "9"]);
        assert_eq!(world.db.raw().count("psa_events_seen"), 2);
        world.db.advance(TimeDelta::hours(25));
        restarted.receive(id, &path, event(&secret, "e3")).await.unwrap();
        assert_eq!(world.db.raw().count("psa_events_seen"), 1, "the day is over");
    }

    async fn n10_nothing_happens_for_a_sender_who_is_not_proven(backend: Backend) {
        let world = World::new(backend).await;
        let (id, silent) = (world.connection().await.id, world.connection().await.id);
        let (path, secret) = world.webhook(id).await;
        let before = world.db.raw().dump();
        let receive = async |id, path: &str, event| world.callbacks.receive(id, path, event).await;
        let mut flipped = path.clone().into_bytes();
        flipped[0] ^= 1;
        let flipped = String::from_utf8(flipped).unwrap();
        for (id, path) in [
            (id, flipped.as_str()),
            (id, ""),
            (id, &path[1..]),
            (silent, &path),
            (PsaConnectionId::from_uuid(Uuid::now_v7()), &path),
        ] {
            let unknown = receive(id, path, event(&secret, "e1 7")).await;
            assert!(matches!(unknown, Err(ReceiveError::Unknown)), "{unknown:?}");
        }
        for signature in ["", "x", &secret[1..], &secret.to_uppercase()] {
            let forged = receive(id, &path, event(signature, "e1 7")).await;
            assert!(matches!(forged, Err(ReceiveError::NotAuthentic)), "{forged:?}");
        }
        let later = ArrivedEvent { query: "key=away".to_owned(), ..event(&secret, "e1 7") };
        assert!(matches!(receive(id, &path, later).await, Err(ReceiveError::NotNow)));
        assert_eq!(world.db.raw().dump(), before);
        // The same event counts when it can be verified.
        receive(id, &path, event(&secret, "e1 7")).await.unwrap();
        assert_eq!(world.changes(), ["7"]);
        let off = PsaConnectionChange { settings: Some(json!({"callbacks": false})), ..PsaConnectionChange::default() };
        world.change(id, off).await.unwrap();
        assert!(matches!(receive(id, &path, event(&secret, "e9 9")).await, Err(ReceiveError::Unknown)));
    }

    async fn a_webhook_is_set_up_once_and_its_secrets_are_sealed(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        // The PSA fails after the secrets were stored: the same ones are used again.
        world.script.refuse(Some(PsaError::Ambiguous));
        assert!(world.callbacks.register(&world.scope, id).await.is_err());
        world.script.refuse(None);
        let (path, secret) = world.webhook(id).await;
        world.webhook(id).await;
        let told = world.script.callbacks.lock().unwrap().clone();
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|one| *one == told[0]));
        assert!(told[0].0.starts_with(&format!("https://tenantry.example/api/msp-portal/psa-connections/{id}/events/")));
        assert_eq!((path.len(), secret.len()), (43, 64));
        let dump = world.db.raw().dump();
        for clear in [&path, &secret, &hex::encode(&path), &hex::encode(&secret)] {
            assert!(!dump.contains(clear.as_str()));
        }
        assert!(world.service.get(&world.scope, id).await.unwrap().settings.callbacks);
        world.callbacks.remove(&world.scope, id).await.unwrap();
        world.callbacks.remove(&world.scope, id).await.unwrap();
        assert_eq!(*world.script.removed.lock().unwrap(), ["3"]);
        assert!(!world.service.get(&world.scope, id).await.unwrap().settings.callbacks);
        let gone = world.callbacks.receive(id, &path, event(&secret, "e1")).await;
        assert!(matches!(gone, Err(ReceiveError::Unknown)));
        let (again, _) = world.webhook(id).await;
        assert_ne!(again, path);
    }

    async fn a_webhook_that_the_psa_switched_off_is_told(backend: Backend) {
        let world = World::new(backend).await;
        let id = world.connection().await.id;
        let (path, secret) = world.webhook(id).await;
        world.callbacks.receive(id, &path, event(&secret, "e1 stopped")).await.unwrap();
        let trouble = world.service.get(&world.scope, id).await.unwrap().trouble.unwrap();
        assert!(trouble.action.unwrap().contains("Register"));
    }
}
