//! Tickets at a PSA about tenants in trouble, with a PSA that does as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tenantry_core::{
    access::OrgScope,
    customers::{CustomerService, NewCustomer},
    events,
    ids::{CustomerId, PsaConnectionId, TenantId, WorkItemId},
    psa::{OpenPsa, OpenPsaError, OpensPsa, PsaConnection, PsaSettings, Urgency},
    store::StoreError,
    sync::{WakeUp, queue::Lease},
    tenants::{self, TenantStatus},
    tickets::{
        self, KeptTicket, TicketEngine, TicketLook, TicketService, TicketState, TicketsError,
        TroubleKind,
    },
};
use tenantry_psa::{
    Answer, Capabilities, Cursor, Customer, CustomerQuery, ExternalId, HintPage, Label, Page,
    PsaAdapter, PsaError, PsaKind, Site,
    event::{Callback, CallbackTarget, Event, EventError, EventKey, RawEvent},
    report::Report,
    ticket::{NewTicket, Ticket, TicketOptions, TicketRef},
};
use tenantry_tests::{
    database::{Backend, Raw},
    on_both_databases,
};
use uuid::Uuid;

use crate::store::TestStore;

/// What becomes of the next call, whichever it is.
enum Turn {
    /// Nothing is done, and this is the answer.
    Refuse(PsaError),
    /// It is done, and this is the answer.
    DoBut(PsaError),
    /// It is done, and no answer ever comes.
    DoAndHang,
}

#[derive(Debug, Clone, PartialEq)]
struct PsaTicket {
    key: String,
    customer: String,
    summary: String,
    open: bool,
    notes: Vec<String>,
}

/// A PSA that keeps tickets in memory.
#[derive(Default)]
struct ScriptedPsa {
    tickets: Mutex<Vec<PsaTicket>>,
    turns: Mutex<VecDeque<Turn>>,
    calls: Mutex<Vec<&'static str>>,
    cannot_open: Mutex<Option<PsaError>>,
}

impl ScriptedPsa {
    fn next(&self, turn: Turn) {
        self.turns.lock().unwrap().push_back(turn);
    }

    fn tickets(&self) -> Vec<PsaTicket> {
        self.tickets.lock().unwrap().clone()
    }

    fn open(&self) -> Vec<PsaTicket> {
        self.tickets()
            .into_iter()
            .filter(|ticket| ticket.open)
            .collect()
    }

    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    async fn call<T>(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut Vec<PsaTicket>) -> T,
    ) -> Result<T, PsaError> {
        self.calls.lock().unwrap().push(name);
        let turn = self.turns.lock().unwrap().pop_front();
        match turn {
            None => Ok(act(&mut self.tickets.lock().unwrap())),
            Some(Turn::Refuse(error)) => Err(error),
            Some(Turn::DoBut(error)) => {
                act(&mut self.tickets.lock().unwrap());
                Err(error)
            }
            Some(Turn::DoAndHang) => {
                act(&mut self.tickets.lock().unwrap());
                std::future::pending().await
            }
        }
    }
}

fn place(reference: &TicketRef) -> usize {
    reference.id.0.parse().unwrap()
}

fn unasked<'a, T>() -> Answer<'a, T> {
    Box::pin(async { Err(PsaError::NotFound) })
}

impl PsaAdapter for ScriptedPsa {
    fn kind(&self) -> PsaKind {
        PsaKind::Autotask
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            signed_events: false,
            registers_callbacks: false,
            needs_full_reads: true,
            tenant_map: false,
            sites: false,
        }
    }
    fn system(&self) -> String {
        "scripted".to_owned()
    }
    fn check<'a>(&'a self, _: Option<&'a Value>) -> Answer<'a, Report> {
        unasked()
    }
    fn list_customers<'a>(
        &'a self,
        _: &'a CustomerQuery,
        _: Option<&'a Cursor>,
    ) -> Answer<'a, Page<Customer>> {
        unasked()
    }
    fn get_customer<'a>(&'a self, _: &'a ExternalId) -> Answer<'a, Option<Customer>> {
        unasked()
    }
    fn list_hints<'a>(&'a self, _: Option<&'a Cursor>) -> Answer<'a, HintPage> {
        unasked()
    }
    fn list_sites<'a>(&'a self, _: &'a ExternalId) -> Answer<'a, Vec<Site>> {
        unasked()
    }
    fn customer_types(&self) -> Answer<'_, Vec<Label>> {
        unasked()
    }
    fn read_event<'a>(
        &'a self,
        _: &'a RawEvent,
        _: &'a EventKey,
    ) -> BoxFuture<'a, Result<Event, EventError>> {
        Box::pin(async { Err(EventError::NotAuthentic) })
    }
    fn register_callback<'a>(&'a self, _: &'a CallbackTarget) -> Answer<'a, Callback> {
        unasked()
    }
    fn remove_callback<'a>(&'a self, _: &'a Callback) -> Answer<'a, ()> {
        unasked()
    }
    fn ticket_options(&self) -> Answer<'_, TicketOptions> {
        unasked()
    }

    fn ensure_ticket<'a>(
        &'a self,
        settings: &'a Value,
        wanted: &'a NewTicket,
        known: Option<&'a TicketRef>,
    ) -> Answer<'a, Ticket> {
        assert_eq!(
            settings,
            &json!({"boardId": "7"}),
            "the connection's own options"
        );
        Box::pin(self.call("ensure", move |tickets| {
            let is_it = |ticket: &PsaTicket| {
                ticket.open && ticket.key == wanted.key && ticket.customer == wanted.customer.0
            };
            let known = known.map(place).filter(|place| is_it(&tickets[*place]));
            let found = known.or_else(|| tickets.iter().position(is_it));
            let created = found.is_none();
            let place = found.unwrap_or_else(|| {
                tickets.push(PsaTicket {
                    key: wanted.key.clone(),
                    customer: wanted.customer.0.clone(),
                    summary: wanted.summary.clone(),
                    open: true,
                    notes: Vec::new(),
                });
                tickets.len() - 1
            });
            Ticket {
                reference: TicketRef {
                    id: ExternalId(place.to_string()),
                },
                number: Some(format!("T{place:04}")),
                created,
            }
        }))
    }

    fn add_note<'a>(
        &'a self,
        _: &'a Value,
        ticket: &'a TicketRef,
        text: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(self.call("note", move |tickets| {
            tickets[place(ticket)].notes.push(text.to_owned());
        }))
    }

    fn close_ticket<'a>(&'a self, _: &'a Value, ticket: &'a TicketRef) -> Answer<'a, ()> {
        Box::pin(self.call("close", move |tickets| tickets[place(ticket)].open = false))
    }
}

struct Opener(Arc<ScriptedPsa>);

impl OpensPsa for Opener {
    fn open<'a>(
        &'a self,
        _: &'a OrgScope,
        id: PsaConnectionId,
        _: Urgency,
    ) -> BoxFuture<'a, Result<OpenPsa, OpenPsaError>> {
        let refused = self.0.cannot_open.lock().unwrap().clone();
        let adapter: Arc<dyn PsaAdapter> = self.0.clone();
        Box::pin(async move {
            if let Some(error) = refused {
                return Err(OpenPsaError::Refused(error));
            }
            let connection = PsaConnection {
                id,
                kind: PsaKind::ConnectWise,
                name: "PSA".to_owned(),
                base_url: "https://psa.example".to_owned(),
                settings: PsaSettings::default(),
                system: "psa.example".to_owned(),
                generation: 1,
                trouble: None,
                version: 1,
                created_at: DateTime::UNIX_EPOCH,
                changed_at: DateTime::UNIX_EPOCH,
            };
            Ok(OpenPsa {
                connection,
                adapter,
            })
        })
    }
}

/// An organisation with a connected tenant, whose customer its PSA has as record 12.
struct World<'a> {
    db: &'a TestStore,
    scope: OrgScope,
    psa: Arc<ScriptedPsa>,
    engine: TicketEngine,
    connection: PsaConnectionId,
    customer: CustomerId,
    tenant: TenantId,
}

fn time(raw: &Raw, at: DateTime<Utc>) -> String {
    if raw.is_sqlite() {
        at.timestamp_micros().to_string()
    } else {
        format!("'{}'", at.to_rfc3339())
    }
}

impl<'a> World<'a> {
    async fn new(db: &'a TestStore) -> Self {
        let scope = db.organization().await;
        let psa = Arc::new(ScriptedPsa::default());
        let mut world = World {
            engine: TicketEngine::new(db.store.clone(), Opener(psa.clone())),
            psa,
            connection: PsaConnectionId::from_uuid(Uuid::now_v7()),
            customer: customer(db, &scope).await,
            tenant: TenantId::from_uuid(Uuid::new_v4()),
            db,
            scope,
        };
        let raw = db.raw();
        let (org, id) = (world.org(&raw), raw.uuid(world.connection.as_uuid()));
        let now = time(&raw, db.store.clock().now());
        let bytes = if raw.is_sqlite() { "x'00'" } else { "'\\x00'" };
        raw.execute(&format!(
            "INSERT INTO psa_connections (org_id, id, kind, name, base_url, system, data_key, sealed_credentials, \
                generation, settings, version, created_at, changed_at) \
             VALUES ({org}, {id}, 'autotask', 'PSA', 'https://psa.example', 'psa', {bytes}, {bytes}, 1, '{{}}', 1, {now}, {now})"
        ));
        drop(raw);
        world.add_record("12", world.customer);
        world.tenant = world.add_tenant(world.customer);
        world.turn_tickets(true).await;
        world
    }

    fn org(&self, raw: &Raw) -> String {
        raw.uuid(self.scope.org().as_uuid())
    }

    fn add_record(&self, external: &str, customer: CustomerId) {
        let raw = self.db.raw();
        let (org, id) = (self.org(&raw), raw.uuid(self.connection.as_uuid()));
        let (customer, now) = (raw.uuid(customer.as_uuid()), raw.now());
        let bytes = if raw.is_sqlite() { "x'00'" } else { "'\\x00'" };
        raw.execute(&format!(
            "INSERT INTO psa_records (org_id, connection_id, external_id, customer_id, name, state, document, hash, \
                generation, misses, changed_at) \
             VALUES ({org}, {id}, '{external}', {customer}, 'Contoso', 'active', '{{}}', {bytes}, 1, 0, {now})"
        ));
    }

    fn add_tenant(&self, customer: CustomerId) -> TenantId {
        let raw = self.db.raw();
        let id = Uuid::new_v4();
        let (org, tenant) = (self.org(&raw), raw.uuid(id));
        let connection = raw.uuid(Uuid::now_v7());
        let (customer, now) = (
            raw.uuid(customer.as_uuid()),
            time(&raw, self.db.store.clock().now()),
        );
        raw.execute(&format!(
            "INSERT INTO connections (org_id, id, tenant_id, connection_type, state, next_step, entered_tenant, created_at, expires_at)
                VALUES ({org}, {connection}, {tenant}, 'adminConsent', 'proven', 'done', 'x.example', {now}, {now});
             INSERT INTO tenants (org_id, tenant_id, customer_id, connection_id, connection_type, status, display_name, search_text,
                granted_permissions, missing_permissions, tags, notifications, version, connected_at, created_at)
                VALUES ({org}, {tenant}, {customer}, {connection}, 'adminConsent', 'connected', 'Contoso', 'x', '[]', '[]', '[]',
                true, 1, {now}, {now});"
        ));
        TenantId::from_uuid(id)
    }

    fn set(&self, table: &str, assignment: &str) {
        let raw = self.db.raw();
        let org = self.org(&raw);
        raw.execute(&format!(
            "UPDATE {table} SET {assignment} WHERE org_id = {org}"
        ));
    }

    /// As a person turns tickets on or off.
    async fn turn_tickets(&self, on: bool) {
        let settings = json!({"tickets": {"enabled": on, "options": {"boardId": "7"}}});
        self.set("psa_connections", &format!("settings = '{settings}'"));
        self.change_connection().await;
    }

    async fn change_connection(&self) {
        let id = self.connection;
        let changed: Result<(), StoreError> = self
            .db
            .store
            .write(&self.scope, move |tx| tickets::connection_changed(tx, id))
            .await;
        changed.unwrap();
    }

    async fn lose_access(&self, tenant: TenantId) {
        let problem = json!({
            "code": "appDisabledInTenant", "detail": "The application is disabled.",
            "action": "An administrator enables it.", "retryable": false,
        });
        let lost: Result<(), StoreError> = self
            .db
            .store
            .write(&self.scope, move |tx| {
                tenants::note_access_lost(
                    tx,
                    tenant,
                    problem,
                    TenantStatus::ReauthorizationRequired,
                )
            })
            .await;
        lost.unwrap();
    }

    async fn restore_access(&self, tenant: TenantId) {
        let restored: Result<(), StoreError> = self
            .db
            .store
            .write(&self.scope, move |tx| {
                tenants::note_access_restored(tx, tenant)
            })
            .await;
        restored.unwrap();
    }

    async fn connection_error(&self, tenant: TenantId, problem: Option<Value>) {
        let noted: Result<(), StoreError> = self
            .db
            .store
            .write(&self.scope, move |tx| {
                tenants::note_connection_error(tx, tenant, problem)
            })
            .await;
        noted.unwrap();
    }

    async fn begin_run(&self, tenant: TenantId) {
        let begun: Result<(), StoreError> = self
            .db
            .store
            .write(&self.scope, move |tx| tenants::note_run_began(tx, tenant))
            .await;
        begun.unwrap();
    }

    async fn complete_run(&self, tenant: TenantId) {
        let completed: Result<(), StoreError> = self
            .db
            .store
            .write(&self.scope, move |tx| {
                tenants::note_completed(tx, tenant, tx.now())
            })
            .await;
        completed.unwrap();
    }

    /// Claims the work as a worker does.
    fn lease(&self) -> Lease {
        let raw = self.db.raw();
        let subject = raw.uuid(self.connection.as_uuid());
        let (until, id) = if raw.is_sqlite() {
            (
                "unixepoch('subsec') * 1000000 + 600000000",
                "lower(hex(id))",
            )
        } else {
            ("now() + interval '10 minutes'", "id::text")
        };
        raw.execute(&format!(
            "UPDATE work_items SET lease_owner = {subject}, lease_until = {until}, fence = fence + 1 \
             WHERE subject_id = {subject} AND kind = 'tickets'"
        ));
        let of = |column: &str| {
            let lines = raw.lines(&format!(
                "SELECT {column} AS line FROM work_items WHERE subject_id = {subject} AND kind = 'tickets'"
            ));
            lines.into_iter().next().unwrap()
        };
        Lease {
            item: WorkItemId::from_uuid(of(id).parse().unwrap()),
            fence: of("CAST(fence AS TEXT)").parse().unwrap(),
        }
    }

    /// How many pieces of work there are for this connection, and how many of them are due.
    fn work(&self) -> (String, String) {
        let raw = self.db.raw();
        let subject = raw.uuid(self.connection.as_uuid());
        let now = if raw.is_sqlite() {
            "unixepoch('subsec') * 1000000"
        } else {
            "now()"
        };
        let of = |and: &str| {
            raw.lines(&format!(
                "SELECT CAST(count(*) AS TEXT) AS line FROM work_items WHERE subject_id = {subject} AND kind = 'tickets' {and}"
            ))
            .remove(0)
        };
        (of(""), of(&format!("AND due_at <= {now}")))
    }

    async fn look(&self) -> TicketLook {
        let lease = self.lease();
        self.engine
            .look(self.scope.org(), self.connection, lease)
            .await
            .unwrap()
    }

    /// When the next look is due, from now.
    async fn looked(&self) -> TimeDelta {
        match self.look().await {
            TicketLook::Rest(next) => next - self.db.store.clock().now(),
            other @ (TicketLook::Gone | TicketLook::LeaseLost) => panic!("{other:?}"),
        }
    }

    fn service(&self) -> TicketService {
        TicketService::new(self.db.store.clone(), WakeUp::default())
    }

    async fn kept(&self) -> Vec<KeptTicket> {
        let page = self
            .service()
            .list(&self.scope, self.connection, None, 100)
            .await;
        page.unwrap().items
    }

    async fn states(&self) -> Vec<TicketState> {
        self.kept()
            .await
            .into_iter()
            .map(|ticket| ticket.state)
            .collect()
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        let raw = self.db.raw();
        let org = self.org(&raw);
        raw.lines(&sql.replace("$ORG", &org))
    }

    fn told(&self) -> Vec<String> {
        self.lines("SELECT kind AS line FROM events WHERE org_id = $ORG ORDER BY created_at, id")
    }

    fn audited(&self) -> Vec<String> {
        self.lines("SELECT action AS line FROM audit_events WHERE org_id = $ORG AND action LIKE 'ticket.%' ORDER BY sequence")
    }

    fn trouble(&self) -> Option<String> {
        let found = self.lines("SELECT trouble AS line FROM psa_connections WHERE org_id = $ORG AND trouble IS NOT NULL");
        let text = found.into_iter().next()?;
        let trouble: Value = serde_json::from_str(&text).unwrap();
        Some(trouble["code"].as_str().unwrap().to_owned())
    }
}

async fn customer(db: &TestStore, scope: &OrgScope) -> CustomerId {
    let new = NewCustomer {
        name: "Contoso".to_owned(),
        domains: Vec::new(),
    };
    let service = CustomerService::new(db.store.clone());
    service.create(scope, new, |_, _| Ok(())).await.unwrap().id
}

fn refused() -> PsaError {
    PsaError::Auth {
        what: "401".to_owned(),
    }
}

fn outage() -> PsaError {
    PsaError::Transient {
        what: "no connection".to_owned(),
    }
}

on_both_databases! {
    async fn a_lost_access_opens_one_ticket_and_closes_it_when_it_is_restored(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        assert_eq!(world.looked().await, TimeDelta::minutes(5), "at least every five minutes");
        assert_eq!(world.psa.tickets(), []);
        world.lose_access(world.tenant).await;
        for _ in 0..3 {
            world.look().await;
        }
        let [ticket] = world.psa.tickets().try_into().unwrap();
        assert_eq!(ticket.customer, "12");
        assert_eq!(ticket.key, format!("tenantry:reauthorizationRequired:{}", world.tenant));
        assert_eq!(ticket.summary, "Microsoft 365: connect Contoso again");
        let [kept] = world.kept().await.try_into().unwrap();
        assert_eq!((kept.state, kept.number.as_deref()), (TicketState::Open, Some("T0000")));
        assert!(kept.description.contains("An administrator enables it."), "{}", kept.description);
        world.restore_access(world.tenant).await;
        world.look().await;
        let [ticket] = world.psa.tickets().try_into().unwrap();
        assert!(!ticket.open);
        assert_eq!(ticket.notes, ["Solved: Microsoft lets Tenantry read Contoso again."]);
        assert_eq!(world.states().await, [TicketState::Closed]);
        assert_eq!(world.psa.calls(), ["ensure", "note", "close"]);
        assert_eq!(world.audited(), ["ticket.opened", "ticket.closed"]);
        assert_eq!(world.told(), ["tenant.reauthorizationRequired", "tenant.accessRestored"]);
        // The same trouble once more is another ticket.
        world.lose_access(world.tenant).await;
        world.look().await;
        assert_eq!(world.psa.tickets().len(), 2);
        assert_eq!(world.psa.open().len(), 1);
        let counted = &db.store.measures().tickets;
        let counted: Vec<_> = counted.read().map(|(labels, count)| (labels[0], count)).collect();
        assert_eq!(counted, [("closed", 1), ("failed", 0), ("found", 0), ("opened", 2)]);
    }

    async fn an_event_makes_the_work_due_at_once(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        let raw = db.raw();
        let later = if raw.is_sqlite() { "unixepoch('subsec') * 1000000 + 300000000" } else { "now() + interval '5 minutes'" };
        raw.execute(&format!("UPDATE work_items SET due_at = {later}"));
        drop(raw);
        assert_eq!(world.work(), ("1".to_owned(), "0".to_owned()));
        world.lose_access(world.tenant).await;
        assert_eq!(world.work(), ("1".to_owned(), "1".to_owned()));
    }

    async fn a_lost_connection_and_a_failing_sync_have_tickets_of_their_own(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        let problem = json!({"code": "microsoftRefused", "detail": "No.", "action": "Look.", "retryable": false});
        world.connection_error(world.tenant, Some(problem)).await;
        world.begin_run(world.tenant).await;
        world.look().await;
        db.advance(TimeDelta::hours(25));
        world.look().await;
        let kept = world.kept().await;
        assert_eq!(kept.len(), 1, "one trouble at a time");
        assert_eq!(kept[0].trouble, TroubleKind::ConnectionLost);
        // What stays is that nothing is read: the one ticket gives way to the other.
        world.connection_error(world.tenant, None).await;
        world.look().await;
        world.look().await;
        let open = world.psa.open();
        assert_eq!(open.len(), 1);
        assert!(open[0].key.contains(":syncFailing:"), "{open:?}");
        assert!(world.psa.tickets()[0].notes[0].contains("another trouble"));
        world.complete_run(world.tenant).await;
        world.look().await;
        assert_eq!(world.psa.open(), []);
        assert_eq!(world.psa.tickets()[1].notes, ["Solved: Contoso is read again."]);
        assert_eq!(world.psa.tickets().len(), 2);
        assert_eq!(world.told(), ["tenant.connectionLost", "tenant.accessRestored"]);
    }

    async fn what_the_operator_must_mend_opens_no_ticket(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        let problem = json!({"code": "ownCredentialRejected", "detail": "No.", "action": "Look.", "retryable": false});
        world.connection_error(world.tenant, Some(problem)).await;
        world.begin_run(world.tenant).await;
        db.advance(TimeDelta::days(2));
        world.look().await;
        assert_eq!(world.psa.calls(), Vec::<&str>::new());
        assert_eq!(world.told(), Vec::<String>::new());
    }

    async fn a_sync_that_fails_for_a_day_is_a_trouble_and_told_once(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        let look = async || tenants::note_failing_syncs(&db.store, &world.scope).await.unwrap();
        world.complete_run(world.tenant).await;
        db.advance(TimeDelta::days(3));
        world.look().await;
        assert_eq!((world.psa.tickets().len(), look().await), (0, 0), "nobody syncs it");
        world.begin_run(world.tenant).await;
        db.advance(TimeDelta::hours(23));
        world.begin_run(world.tenant).await;
        world.look().await;
        assert_eq!((world.psa.tickets().len(), look().await), (0, 0));
        db.advance(TimeDelta::hours(2));
        world.look().await;
        world.look().await;
        assert_eq!(world.psa.open().len(), 1);
        assert_eq!(world.psa.open()[0].summary, "Microsoft 365: no sync of Contoso for over 24 hours");
        assert_eq!([look().await, look().await], [1, 0]);
        world.complete_run(world.tenant).await;
        world.complete_run(world.tenant).await;
        world.look().await;
        assert_eq!(world.psa.open(), []);
        assert_eq!(look().await, 0);
        assert_eq!(world.told(), ["tenant.syncFailing", "tenant.syncRestored"]);
        db.advance(TimeDelta::days(31));
        assert_eq!(events::purge(&db.store, &world.scope).await.unwrap(), 2);
        assert_eq!(world.told(), Vec::<String>::new());
    }

    async fn a_kill_between_call_and_commit_opens_no_second_ticket(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        world.lose_access(world.tenant).await;
        world.psa.next(Turn::DoAndHang);
        let killed = tokio::time::timeout(Duration::from_millis(700), world.look()).await;
        assert!(killed.is_err(), "it never answers");
        assert_eq!(world.states().await, [TicketState::Wanted]);
        world.look().await;
        assert_eq!(world.psa.tickets().len(), 1);
        assert_eq!(world.states().await, [TicketState::Open]);
    }

    async fn a_worker_whose_lease_was_taken_over_stores_nothing(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        world.lose_access(world.tenant).await;
        let outdated = world.lease();
        world.lease();
        let look = world.engine.look(world.scope.org(), world.connection, outdated).await.unwrap();
        assert_eq!(look, TicketLook::LeaseLost);
        assert_eq!((world.psa.calls().len(), world.kept().await.len()), (0, 0));
    }

    async fn an_unknown_outcome_is_looked_for_and_never_left_behind(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        world.lose_access(world.tenant).await;
        world.psa.next(Turn::DoBut(PsaError::Ambiguous));
        assert_eq!(world.looked().await, TimeDelta::minutes(1));
        assert_eq!(world.looked().await, TimeDelta::minutes(1), "not before its time");
        db.advance(TimeDelta::minutes(1));
        world.look().await;
        assert_eq!((world.psa.tickets().len(), world.states().await), (1, vec![TicketState::Open]));
        // Over before the outcome is known: what may be there is found and closed.
        let other = world.add_tenant(world.customer);
        world.lose_access(other).await;
        world.psa.next(Turn::DoBut(PsaError::Ambiguous));
        world.look().await;
        world.restore_access(other).await;
        world.look().await;
        let tickets = world.psa.tickets();
        assert_eq!(tickets.len(), 2);
        assert!(tickets[0].open && !tickets[1].open);
        // One that was never made is not made to be closed.
        let third = world.add_tenant(world.customer);
        world.lose_access(third).await;
        world.psa.next(Turn::Refuse(outage()));
        world.look().await;
        world.psa.calls();
        world.restore_access(third).await;
        world.look().await;
        assert_eq!(world.psa.calls(), Vec::<&str>::new());
        assert_eq!(world.psa.tickets().len(), 2);
    }

    async fn a_closing_goes_on_where_it_stopped(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        world.lose_access(world.tenant).await;
        world.look().await;
        world.restore_access(world.tenant).await;
        world.psa.next(Turn::Refuse(outage()));
        world.look().await;
        // Back before the PSA heard of the end: the ticket simply stays.
        world.lose_access(world.tenant).await;
        world.look().await;
        assert_eq!(world.states().await, [TicketState::Open]);
        world.restore_access(world.tenant).await;
        world.psa.calls();
        for turn in [Turn::Refuse(outage()), Turn::Refuse(PsaError::NotFound), Turn::Refuse(outage())] {
            world.psa.next(turn);
        }
        world.look().await;
        db.advance(TimeDelta::hours(1));
        world.look().await;
        assert_eq!(world.psa.calls(), ["note", "note", "close"]);
        // Noted, as far as there was something to note it on: that is not done again.
        db.advance(TimeDelta::hours(1));
        world.look().await;
        assert_eq!(world.psa.calls(), ["close"]);
        assert_eq!(world.states().await, [TicketState::Closed]);
    }

    async fn tickets_that_are_turned_off_stay_as_they_are_until_they_are_turned_on(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        world.lose_access(world.tenant).await;
        world.look().await;
        let other = world.add_tenant(world.customer);
        world.turn_tickets(false).await;
        assert_eq!(world.work().0, "0");
        world.lose_access(other).await;
        world.restore_access(world.tenant).await;
        assert_eq!(world.work().0, "0", "no event brings the work back");
        assert_eq!(world.service().retry(&world.scope, world.connection).await.unwrap(), 0);
        assert_eq!(world.work().0, "0");
        assert_eq!(world.states().await, [TicketState::Open]);
        world.turn_tickets(true).await;
        world.look().await;
        let tickets = world.psa.tickets();
        assert!(!tickets[0].open, "over meanwhile");
        assert!(tickets[1].open, "a trouble from before");
        // Turned off while the work is in the queue.
        world.set("psa_connections", "settings = '{}'");
        assert_eq!(world.look().await, TicketLook::Gone);
        assert_eq!(world.work().0, "0");
    }

    async fn a_tenant_of_another_customer_is_closed_there_and_opened_here(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        world.lose_access(world.tenant).await;
        world.look().await;
        let other = customer(&db, &world.scope).await;
        world.add_record("34", other);
        let id = db.raw().uuid(other.as_uuid());
        world.set("tenants", &format!("customer_id = {id}"));
        world.look().await;
        let tickets = world.psa.tickets();
        assert_eq!(tickets.len(), 2);
        assert_eq!((tickets[0].customer.as_str(), tickets[0].open), ("12", false));
        assert_eq!((tickets[1].customer.as_str(), tickets[1].open), ("34", true));
        assert!(tickets[0].notes[0].contains("another customer"));
        // A second record of the same customer changes nothing, nor does one that is gone.
        world.add_record("05", other);
        world.look().await;
        assert_eq!(world.psa.tickets().len(), 2);
        // No customer, no ticket.
        world.set("psa_records", "state = 'inactive'");
        world.look().await;
        assert_eq!(world.psa.open(), []);
        assert!(world.psa.tickets()[1].notes[0].contains("no active customer"));
    }

    async fn a_revoked_or_muted_tenant_needs_no_ticket(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        let other = world.add_tenant(world.customer);
        world.lose_access(world.tenant).await;
        world.lose_access(other).await;
        world.look().await;
        assert_eq!(world.psa.open().len(), 2);
        world.set("tenants", "notifications = false");
        let id = db.raw().uuid(other.as_uuid());
        let raw = db.raw();
        raw.execute(&format!("UPDATE tenants SET status = 'revoked', connection_id = NULL WHERE tenant_id = {id}"));
        drop(raw);
        world.look().await;
        assert_eq!(world.psa.open(), []);
        let notes: Vec<_> = world.psa.tickets().into_iter().flat_map(|ticket| ticket.notes).collect();
        assert_eq!(notes.len(), 2);
        assert!(notes.iter().any(|note| note.contains("disconnected")), "{notes:?}");
        assert!(notes.iter().any(|note| note.contains("turned off")), "{notes:?}");
    }

    async fn refused_credentials_are_not_tried_again_before_somebody_changes_something(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        let other = world.add_tenant(world.customer);
        world.lose_access(world.tenant).await;
        world.lose_access(other).await;
        world.psa.next(Turn::Refuse(refused()));
        assert_eq!(world.looked().await, TimeDelta::minutes(5));
        assert_eq!(world.psa.calls(), ["ensure"], "not with each ticket");
        assert_eq!(world.trouble().as_deref(), Some("psaCredentialsRejected"));
        let kept = world.kept().await;
        assert!(kept.iter().all(|ticket| ticket.error.as_ref().unwrap().code == "psaCredentialsRejected"));
        db.advance(TimeDelta::minutes(59));
        world.look().await;
        assert_eq!(world.psa.calls(), Vec::<&str>::new());
        db.advance(TimeDelta::days(2));
        world.look().await;
        assert_eq!(world.psa.calls(), Vec::<&str>::new(), "some PSAs lock a user who is refused again");
        // New credentials take the trouble away.
        world.db.raw().execute("UPDATE psa_connections SET trouble = NULL");
        world.change_connection().await;
        world.look().await;
        assert_eq!(world.psa.open().len(), 2);
        assert_eq!(world.trouble(), None);
        assert!(world.kept().await.iter().all(|ticket| ticket.error.is_none()));
    }

    async fn an_adapter_that_cannot_be_had_is_no_call(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        world.lose_access(world.tenant).await;
        *world.psa.cannot_open.lock().unwrap() = Some(outage());
        world.look().await;
        assert_eq!(world.psa.calls(), Vec::<&str>::new());
        assert_eq!(world.kept().await[0].error.as_ref().unwrap().code, "psaUnreachable");
        *world.psa.cannot_open.lock().unwrap() = None;
        db.advance(TimeDelta::minutes(1));
        world.look().await;
        assert_eq!(world.psa.open().len(), 1);
    }

    async fn a_passing_failure_is_tried_further_and_further_apart(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        world.lose_access(world.tenant).await;
        for minutes in [1, 2, 4, 8] {
            world.psa.next(Turn::Refuse(outage()));
            world.look().await;
            let kept = world.kept().await.remove(0);
            let wait = kept.next_try_at.unwrap() - db.store.clock().now();
            assert_eq!(wait, TimeDelta::minutes(minutes));
            assert_eq!(kept.error.unwrap().code, "psaUnreachable");
            db.advance(wait);
        }
        assert_eq!(world.trouble(), None, "nobody has to do anything");
        world.psa.next(Turn::Refuse(PsaError::RateLimited { retry_after: Some(30) }));
        assert_eq!(world.looked().await, TimeDelta::seconds(30));
        assert_eq!(world.service().retry(&world.scope, world.connection).await.unwrap(), 1);
        world.look().await;
        assert_eq!(world.states().await, [TicketState::Open]);
        assert_eq!(world.service().retry(&world.scope, world.connection).await.unwrap(), 0);
    }

    async fn one_ticket_that_a_psa_refuses_holds_up_no_other(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        let other = world.add_tenant(world.customer);
        world.lose_access(world.tenant).await;
        world.lose_access(other).await;
        let error = PsaError::Validation { fields: vec!["queueID".to_owned()], text: "missing".to_owned() };
        world.psa.next(Turn::Refuse(error));
        world.look().await;
        assert_eq!(world.psa.open().len(), 1);
        assert_eq!(world.trouble().as_deref(), Some("psaRequestRefused"));
        db.advance(TimeDelta::hours(1));
        world.look().await;
        assert_eq!((world.psa.open().len(), world.trouble()), (2, None));
    }

    async fn z2_organizations_see_and_open_only_their_own(backend: Backend) {
        let db = TestStore::new(backend);
        let (mine, theirs) = (World::new(&db).await, World::new(&db).await);
        mine.lose_access(mine.tenant).await;
        theirs.look().await;
        mine.look().await;
        assert_eq!((mine.psa.open().len(), theirs.psa.tickets().len()), (1, 0));
        let foreign = mine.service().list(&theirs.scope, mine.connection, None, 10).await;
        assert!(matches!(foreign, Err(TicketsError::NotFound)));
        let foreign = mine.service().retry(&theirs.scope, mine.connection).await;
        assert!(matches!(foreign, Err(TicketsError::NotFound)));
        assert_eq!((theirs.kept().await.len(), theirs.told().len()), (0, 0));
        // Another organisation's work does not begin sooner, either.
        assert_eq!(mine.told().len(), 1);
    }

    async fn tickets_are_listed_in_pages(backend: Backend) {
        let db = TestStore::new(backend);
        let world = World::new(&db).await;
        for _ in 0..4 {
            let tenant = world.add_tenant(world.customer);
            world.lose_access(tenant).await;
        }
        world.look().await;
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = world.service().list(&world.scope, world.connection, after, 3).await.unwrap();
            assert_eq!(page.total, 4);
            keys.extend(page.items.into_iter().map(|ticket| ticket.key));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(keys.len(), 4);
        assert!(keys.is_sorted());
    }
}
