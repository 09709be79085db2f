//! The store: both databases behind one handle.
//!
//! Owns connections, transactions, migrations and the check that PostgreSQL's row-level security
//! holds. Refuses to own queries: each room keeps its own in `queries.rs`, and only what must differ
//! between the two databases lives here in `dialect`. A query runs inside [`Scoped`] (one
//! organisation) or [`Global`] (the few tables without one) and nowhere else.

mod connection;
pub mod dialect;
mod error;
pub mod global_tables;
mod migrations;
mod pool;
mod postgres_guard;
pub mod schema;
pub(crate) mod search;
#[cfg(any(test, feature = "failpoints"))]
mod statement_check;
mod status_board;
mod status_numbers;
pub mod types;

use std::{path::PathBuf, sync::Arc};

use diesel::{
    Connection as _, PgConnection, SqliteConnection, connection::TransactionManager as _,
};

use tokio::sync::watch;

pub(crate) use self::connection::on_conn;
pub use self::{
    connection::{Conn, Global, Scoped},
    dialect::notices::{ChangedStatuses, Notices},
    error::StoreError,
    migrations::{MigrationError, schema_version},
    postgres_guard::GuardError,
    status_board::{Completion, NextArrival, StatusBoard, StatusSnapshot, StatusUpdate},
};
use self::{migrations::MigratingConn, pool::Pools};
use crate::{access::OrgScope, clock::Clock, ids::OrgId, measures::Measures, secrets::SecretText};

/// Where the data is.
#[derive(Clone)]
pub enum DatabaseLocation {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres {
        /// The URL pooled connections use.
        url: Arc<SecretText>,
        /// The URL of the role that owns the tables and migrates, where it is another one.
        admin_url: Option<Arc<SecretText>>,
        /// How many connections the pool may open.
        pool_size: u32,
    },
}

/// Both databases behind one handle. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    location: DatabaseLocation,
    clock: Clock,
    board: StatusBoard,
    notices: Notices,
    measures: Arc<Measures>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The schema does not fit.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The database does not protect the organisations from each other.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Opens the database: migrates it when asked to, and refuses one that is newer, not migrated
    /// or, on PostgreSQL, not protected by row-level security.
    pub fn open(
        location: DatabaseLocation,
        clock: Clock,
        migrate: bool,
    ) -> Result<Self, OpenError> {
        let mut migrating = migrating_conn(&location)?;
        if migrate {
            migrating.migrate()?;
        }
        let ahead = migrating.require_current()?;
        if let Some(newest) = &ahead.newest {
            tracing::info!(
                newest,
                "the database was migrated by a newer version, which lets this one work on"
            );
        }
        let pools = match &location {
            DatabaseLocation::Sqlite(path) => pool::sqlite(path)?,
            DatabaseLocation::Postgres {
                url,
                admin_url,
                pool_size,
            } => {
                if let (MigratingConn::Postgres(admin), Some(_)) = (&mut migrating, admin_url) {
                    let mut app = pool::connect_postgres(url.expose())?;
                    postgres_guard::let_role_work(admin, &mut app)?;
                }
                let pools = pool::postgres(url.expose(), admin_url.is_none(), *pool_size)?;
                if let Pools::Postgres(pool) = &pools {
                    postgres_guard::require_isolation(&mut *pool.get()?, &ahead.global_tables)?;
                }
                pools
            }
        };
        Ok(Self {
            inner: Arc::new(Inner {
                pools,
                location,
                clock,
                board: StatusBoard::default(),
                notices: Notices::default(),
                measures: Arc::default(),
            }),
        })
    }

    /// Undoes all migrations and applies them again: proves in tests that each can be undone.
    pub fn migrate_down_and_up(location: &DatabaseLocation) -> Result<(), OpenError> {
        let mut conn = migrating_conn(location)?;
        conn.migrate()?;
        conn.revert_all()?;
        conn.migrate()?;
        Ok(())
    }

    /// The status documents in memory.
    pub fn board(&self) -> &StatusBoard {
        &self.inner.board
    }

    /// What other processes tell this one, while it listens.
    pub fn notices(&self) -> &Notices {
        &self.inner.notices
    }

    /// Listens to the other processes on this database until `stop` turns true, by one connection
    /// beside the pool. A failure is logged and tried again.
    pub async fn listen(self, stop: watch::Receiver<bool>) {
        dialect::notices::listen(self, stop).await;
    }

    /// What this process has done, in numbers.
    pub fn measures(&self) -> &Arc<Measures> {
        &self.inner.measures
    }

    /// The clock all transactions use.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Where the data is.
    pub fn location(&self) -> &DatabaseLocation {
        &self.inner.location
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match &self.inner.location {
            DatabaseLocation::Sqlite(_) => "sqlite",
            DatabaseLocation::Postgres { .. } => "postgres",
        }
    }

    /// Which database it is and, where processes share it, whether this one hears of the others.
    pub fn described(&self) -> String {
        let sharing = match &self.inner.location {
            DatabaseLocation::Sqlite(_) => "",
            DatabaseLocation::Postgres { .. } if self.inner.notices.is_listening() => {
                "; listening to other processes"
            }
            DatabaseLocation::Postgres { .. } => "; looking for changes every second",
        };
        format!("{}{sharing}", self.kind())
    }

    /// Reads in the name of one organisation.
    pub async fn read<T, E, F>(&self, scope: &OrgScope, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Scoped<'_>) -> Result<T, E> + Send + 'static,
    {
        let scope = scope.clone();
        self.on_blocking_thread(Turn::InOrder, move |store| {
            store.scoped(scope, Access::Read, body)
        })
        .await
    }

    /// Writes in the name of one organisation: all of it or nothing. Status documents that the body
    /// published reach the board after the commit; what it did is counted then.
    pub async fn write<T, E, F>(&self, scope: &OrgScope, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Scoped<'_>) -> Result<T, E> + Send + 'static,
    {
        let scope = scope.clone();
        self.on_blocking_thread(Turn::InOrder, move |store| {
            store.scoped(scope, Access::Write, body)
        })
        .await
    }

    /// Reads or writes the global tables.
    pub async fn global<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Global<'_>) -> Result<T, E> + Send + 'static,
    {
        self.write_global(Turn::InOrder, body).await
    }

    /// The same where waiting behind others would do harm: leases run out. For short ones only.
    pub(crate) async fn urgent<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Global<'_>) -> Result<T, E> + Send + 'static,
    {
        self.write_global(Turn::Urgent, body).await
    }

    async fn write_global<T, E, F>(&self, turn: Turn, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Global<'_>) -> Result<T, E> + Send + 'static,
    {
        self.on_blocking_thread(turn, move |store| {
            let now = store.inner.clock.now();
            store.transaction(Access::Write, None, |conn| {
                body(&mut Global::new(conn, now))
            })
        })
        .await
    }

    /// Reads the global tables without becoming a writer.
    pub async fn read_global<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Global<'_>) -> Result<T, E> + Send + 'static,
    {
        self.look_at_global(Turn::InOrder, body).await
    }

    /// The same where waiting behind others would do harm. For short ones only.
    pub(crate) async fn read_urgent<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Global<'_>) -> Result<T, E> + Send + 'static,
    {
        self.look_at_global(Turn::Urgent, body).await
    }

    async fn look_at_global<T, E, F>(&self, turn: Turn, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Global<'_>) -> Result<T, E> + Send + 'static,
    {
        self.on_blocking_thread(turn, move |store| {
            let now = store.inner.clock.now();
            store.transaction(Access::Read, None, |conn| body(&mut Global::new(conn, now)))
        })
        .await
    }

    /// Makes what was erased leave SQLite's files, too. A transaction that erases credentials does so
    /// by itself; this is for the case that it could not, or that the process died before.
    pub async fn wipe_erased(&self) -> Result<(), StoreError> {
        self.on_blocking_thread(Turn::InOrder, Store::wipe).await
    }

    /// Database connections of the pools: in use and idle, for metrics.
    pub fn pool_state(&self) -> (u32, u32) {
        let state = |total: u32, idle: u32| (total.saturating_sub(idle), idle);
        match &self.inner.pools {
            Pools::Sqlite { writer, readers } => {
                let (w, r) = (writer.state(), readers.state());
                state(
                    w.connections + r.connections,
                    w.idle_connections + r.idle_connections,
                )
            }
            Pools::Postgres(pool) => {
                let (connections, idle) = pool.state();
                state(connections, idle)
            }
        }
    }

    async fn on_blocking_thread<T, E, F>(&self, turn: Turn, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Store) -> Result<T, E> + Send + 'static,
    {
        let turn = match &self.inner.pools {
            Pools::Sqlite { .. } => None,
            Pools::Postgres(pool) => Some(pool.turn(turn).await?),
        };
        let store = self.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let done = work(&store);
            // Held by the work and not by its caller, who may have been dropped.
            drop(turn);
            done
        });
        match worked.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => Err(StoreError::Unavailable(cancelled.into()).into()),
            },
        }
    }

    fn scoped<T, E, F>(&self, scope: OrgScope, access: Access, body: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&mut Scoped<'_>) -> Result<T, E>,
    {
        let now = self.inner.clock.now();
        let org = scope.org();
        let (result, snapshots, facts, erases) = self.transaction(access, Some(org), |conn| {
            let mut scoped = Scoped::new(conn, scope, now);
            let result = body(&mut scoped)?;
            let snapshots = status_numbers::number(&mut scoped)?;
            Ok::<_, E>((result, snapshots, scoped.facts, scoped.erases))
        })?;
        for fact in &facts {
            self.inner.measures.committed(fact);
        }
        for snapshot in snapshots {
            let snapshot = Arc::new(snapshot);
            self.inner.board.publish(StatusUpdate { org, snapshot });
        }
        if erases && let Err(error) = self.wipe() {
            tracing::warn!(%error, "what was erased is still in the database's log; it is wiped within the hour");
        }
        Ok(result)
    }

    fn wipe(&self) -> Result<(), StoreError> {
        match &self.inner.pools {
            Pools::Sqlite { writer, .. } => pool::empty_log(&mut *writer.get()?),
            // There the files belong to the server, which drops old versions in its own time.
            Pools::Postgres(_) => Ok(()),
        }
    }

    /// One transaction. SQLite writers begin immediate, so that reading before writing cannot meet a
    /// lock; PostgreSQL learns the organisation first, and for this transaction only.
    fn transaction<T, E, F>(&self, access: Access, org: Option<OrgId>, body: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(Conn<'_>) -> Result<T, E>,
    {
        match &self.inner.pools {
            Pools::Sqlite { writer, readers } => {
                let pool = match access {
                    Access::Read => readers,
                    Access::Write => writer,
                };
                let mut conn = pool.get().map_err(StoreError::from)?;
                let conn: &mut SqliteConnection = &mut conn;
                let run =
                    |conn: &mut SqliteConnection| body(Conn::Sqlite(conn)).map_err(Abort::Body);
                let outcome = match access {
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "this is the one place that begins transactions"
                    )]
                    Access::Read => conn.transaction(run),
                    Access::Write => conn.immediate_transaction(run),
                };
                outcome.map_err(Abort::into_error)
            }
            Pools::Postgres(pool) => {
                let mut conn = pool.begun(org)?;
                let conn: &mut PgConnection = &mut conn;
                match body(Conn::Postgres(conn)) {
                    Ok(value) => {
                        PgTransactions::commit_transaction(conn).map_err(StoreError::from)?;
                        Ok(value)
                    }
                    Err(error) => {
                        if let Err(rollback) = PgTransactions::rollback_transaction(conn) {
                            // The connection is gone, and with it the transaction.
                            tracing::debug!(error = %rollback, "rollback failed");
                        }
                        Err(error)
                    }
                }
            }
        }
    }
}

/// Behind whom a transaction waits for a connection.
#[derive(Clone, Copy)]
enum Turn {
    /// Whoever came before.
    InOrder,
    /// Others of this kind only.
    Urgent,
}

/// Whether a transaction may write.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

/// Why a transaction was rolled back: the database's failure or the body's.
enum Abort<E> {
    Database(diesel::result::Error),
    Body(E),
}

impl<E> From<diesel::result::Error> for Abort<E> {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl<E: From<StoreError>> Abort<E> {
    fn into_error(self) -> E {
        match self {
            Self::Database(error) => StoreError::from(error).into(),
            Self::Body(error) => error,
        }
    }
}

type PgTransactions = <PgConnection as diesel::Connection>::TransactionManager;

fn migrating_conn(location: &DatabaseLocation) -> Result<MigratingConn, StoreError> {
    Ok(match location {
        DatabaseLocation::Sqlite(path) => MigratingConn::Sqlite(pool::connect_sqlite(path)?),
        DatabaseLocation::Postgres { url, admin_url, .. } => {
            let url = admin_url.as_ref().unwrap_or(url);
            MigratingConn::Postgres(pool::connect_postgres(url.expose())?)
        }
    })
}
