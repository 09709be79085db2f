//! An organisation with a connection to a PSA, and a worker that reads it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tenantry_core::{
    access::OrgScope,
    customer_sync::{CustomerSyncEngine, CustomerSyncKind, CustomerSyncRun, CustomerSyncService},
    customers::{Customer, CustomerFilter, CustomerService},
    ids::{CustomerSyncRunId, PsaConnectionId},
    psa::{OpenPsa, OpenPsaError, OpensPsa, PsaConnection, PsaSettings, Urgency},
    store::StoreError,
    sync::{Outcome, PsaEngine, WakeUp, Worker, queue::ClaimedWork},
};
use tenantry_psa::{PsaAdapter, PsaKind};
use tenantry_tests::database::Backend;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::psa::ScriptedPsa;
use crate::store::TestStore;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens connections onto a script.
#[derive(Clone)]
pub struct Opener {
    psa: ScriptedPsa,
    connection: Arc<Mutex<PsaConnection>>,
}

impl OpensPsa for Opener {
    fn open<'a>(
        &'a self,
        _scope: &'a OrgScope,
        _connection: PsaConnectionId,
        _urgency: Urgency,
    ) -> BoxFuture<'a, Result<OpenPsa, OpenPsaError>> {
        let connection = self.connection.lock().unwrap().clone();
        let adapter: Arc<dyn PsaAdapter> = Arc::new(self.psa.clone());
        Box::pin(async move {
            Ok(OpenPsa {
                connection,
                adapter,
            })
        })
    }
}

/// No tickets here.
struct NoTickets;

impl PsaEngine for NoTickets {
    fn work<'a>(&'a self, _work: &'a ClaimedWork) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(async { Ok(Outcome::Done) })
    }
}

/// A worker that runs until it is stopped.
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops it: what it was doing is dropped where it stands.
    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

/// A connection of an organisation.
pub struct World {
    pub db: Arc<TestStore>,
    pub scope: OrgScope,
    pub psa: ScriptedPsa,
    pub connection: PsaConnectionId,
    pub syncs: CustomerSyncService,
    pub customers: CustomerService,
    opener: Opener,
    wake: WakeUp,
}

impl World {
    /// A new organisation in a database of its own.
    pub async fn new(backend: Backend, psa: ScriptedPsa) -> Self {
        let db = Arc::new(TestStore::new(backend));
        let scope = db.organization().await;
        Self::beside(db, scope, psa)
    }

    /// Another connection, to the same system.
    pub fn beside(db: Arc<TestStore>, scope: OrgScope, psa: ScriptedPsa) -> Self {
        let now = db.store.clock().now();
        let connection = PsaConnection {
            id: PsaConnectionId::from_uuid(Uuid::now_v7()),
            kind: PsaKind::Autotask,
            name: "Autotask".to_owned(),
            base_url: "https://webservices5.example/".to_owned(),
            settings: PsaSettings::default(),
            system: psa.system(),
            generation: 1,
            trouble: None,
            version: 1,
            created_at: now,
            changed_at: now,
        };
        let raw = db.raw();
        let (org, id) = (
            raw.uuid(scope.org().as_uuid()),
            raw.uuid(connection.id.as_uuid()),
        );
        let (bytes, now) = (if raw.is_sqlite() { "x'00'" } else { "'\\x00'" }, raw.now());
        let settings = serde_json::to_string(&connection.settings).unwrap();
        raw.execute(&format!(
            "INSERT INTO psa_connections (org_id, id, kind, name, base_url, system, data_key, \
                sealed_credentials, generation, settings, trouble, version, created_at, changed_at) \
             VALUES ({org}, {id}, 'autotask', 'Autotask', '{}', '{}', {bytes}, {bytes}, 1, '{settings}', NULL, 1, {now}, {now})",
            connection.base_url, connection.system
        ));
        drop(raw);
        let (wake, id) = (WakeUp::default(), connection.id);
        let opener = Opener {
            psa: psa.clone(),
            connection: Arc::new(Mutex::new(connection)),
        };
        Self {
            syncs: CustomerSyncService::new(db.store.clone(), opener.clone(), wake.clone()),
            customers: CustomerService::new(db.store.clone()),
            db,
            scope,
            psa,
            connection: id,
            opener,
            wake,
        }
    }

    /// A worker of a process of its own.
    pub fn worker(&self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let store = self.db.store.clone();
        let engine = CustomerSyncEngine::new(store.clone(), self.opener.clone());
        let worker = Worker::new(store, self.wake.clone(), 2)
            .serving_psa(engine, NoTickets)
            .looking_every(Duration::from_millis(10));
        Running {
            stop,
            task: tokio::spawn(worker.run(stopped)),
        }
    }

    /// Asks for a run.
    pub async fn ask(&self, kind: CustomerSyncKind) -> CustomerSyncRunId {
        let asked = self
            .syncs
            .start(&self.scope, self.connection, Some(kind), |_, _| Ok(()));
        asked.await.unwrap()
    }

    /// A run as it stands.
    pub async fn run(&self, id: CustomerSyncRunId) -> CustomerSyncRun {
        let run = self.syncs.run(&self.scope, self.connection, id).await;
        run.unwrap()
    }

    /// Waits until something is so. What waits in the queue meanwhile waits no longer: tests have no time.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_so().await {
                self.hurry();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// Waits until so many calls reached the PSA.
    pub async fn until_called(&self, calls: usize) {
        let called = async || self.psa.script().calls.len() >= calls;
        self.until("a call", called).await;
    }

    /// Makes due what is in the queue and free.
    pub fn hurry(&self) {
        let raw = self.db.raw();
        let now = raw.now();
        // Somebody may be writing on SQLite just now; then the next look does it.
        if let Err(error) = raw.try_execute(&format!(
            "UPDATE work_items SET due_at = {now} WHERE lease_owner IS NULL AND due_at > {now}"
        )) {
            assert!(error.contains("locked"), "{error}");
        }
    }

    /// Waits for the end of a run.
    pub async fn ended(&self, id: CustomerSyncRunId) -> CustomerSyncRun {
        let ended = async || self.run(id).await.state.has_ended();
        self.until("the end of a run", ended).await;
        self.run(id).await
    }

    /// Asks for a run and has a worker do it.
    pub async fn sync(&self, kind: CustomerSyncKind) -> CustomerSyncRun {
        let id = self.ask(kind).await;
        let worker = self.worker();
        let run = self.ended(id).await;
        worker.stop().await;
        run
    }

    /// A complete read.
    pub async fn full(&self) -> CustomerSyncRun {
        self.sync(CustomerSyncKind::Full).await
    }

    /// A read of what changed.
    pub async fn incremental(&self) -> CustomerSyncRun {
        self.sync(CustomerSyncKind::Incremental).await
    }

    /// All customers, in the order of their creation.
    pub async fn all(&self) -> Vec<Customer> {
        let page = self
            .customers
            .list(&self.scope, CustomerFilter::default(), None, 1_000)
            .await;
        page.unwrap().items
    }

    /// The customer that came from a record.
    pub async fn of(&self, number: u32) -> Customer {
        let id = number.to_string();
        let all = self.all().await;
        let found = all
            .into_iter()
            .find(|one| one.external_id.as_deref() == Some(&*id));
        found.unwrap_or_else(|| panic!("no customer {number}"))
    }

    /// Changes the connection as a person does who enters new credentials.
    pub fn change_connection(&self) {
        let mut connection = self.opener.connection.lock().unwrap();
        connection.generation += 1;
        connection.version += 1;
        connection.trouble = None;
        let raw = self.db.raw();
        let id = raw.uuid(self.connection.as_uuid());
        raw.execute(&format!(
            "UPDATE psa_connections SET generation = {}, version = {}, trouble = NULL WHERE id = {id}",
            connection.generation, connection.version
        ));
    }

    /// Deletes the connection with its work.
    pub fn delete_connection(&self) {
        let raw = self.db.raw();
        let id = raw.uuid(self.connection.as_uuid());
        raw.execute(&format!("DELETE FROM work_items WHERE subject_id = {id}"));
        if raw.is_sqlite() {
            raw.execute("PRAGMA foreign_keys = ON");
        }
        raw.execute(&format!("DELETE FROM psa_connections WHERE id = {id}"));
    }
}
