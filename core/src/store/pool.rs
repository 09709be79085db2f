//! The pools of both databases and how a connection is set up.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::{SimpleConnection as _, TransactionManager as _},
    r2d2::{ConnectionManager, CustomizeConnection, NopErrorHandler, Pool, PooledConnection},
    sql_query,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{StoreError, Turn};
use crate::ids::OrgId;

/// How long a caller waits for a connection before the database counts as unavailable.
const CHECKOUT: Duration = Duration::from_secs(15);
/// How long a connection to PostgreSQL may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long either is waited for while the last one who asked got no connection.
const AWAY: Duration = Duration::from_millis(500);

/// What libpq is told where the URL says nothing of it: a server that is gone without a word is noticed
/// within seconds. PostgreSQL's manual, "Parameter Key Words".
const LIBPQ_DEFAULTS: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// A process that stops in the middle of a transaction holds its locks no longer than that. Less than
/// a lease, so that its work can be claimed when that has ended (R4).
const IDLE_IN_TRANSACTION_MS: u32 = 10_000;

/// WAL with full synchronisation survives a power cut; the cache and the long checkpoint interval
/// are what random GUID keys need (measured in ADR 0002).
const SQLITE_SETUP: &str = "
    PRAGMA busy_timeout = 10000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON;
    PRAGMA wal_autocheckpoint = 10000;
    PRAGMA temp_store = MEMORY;
";

/// The pools of one database.
pub(super) enum Pools {
    /// SQLite has one writer at a time, so it gets a pool of one: writers queue in this process
    /// instead of meeting `SQLITE_BUSY`.
    Sqlite {
        /// The one writer.
        writer: Pool<ConnectionManager<SqliteConnection>>,
        /// Readers see the last commit and never wait for the writer.
        readers: Pool<ConnectionManager<SqliteConnection>>,
    },
    /// PostgreSQL.
    Postgres(PostgresPool),
}

/// The connections of this process to PostgreSQL but the one that listens. There are so few that each
/// is waited for in turn; one is kept for leases, which must not run out behind the writing of pages, and
/// for the epoch of the keys, which every call waits for. Nobody holds one while waiting for another.
pub(super) struct PostgresPool {
    connections: Pool<ConnectionManager<PgConnection>>,
    /// The login role is the one that owns the tables: take on the unprivileged one.
    assume_app_role: bool,
    /// Turns at the connections that are for everything.
    turns: Arc<Semaphore>,
    /// The turn at the one that is left.
    urgent_turn: Arc<Semaphore>,
    /// Whether the last one who asked for a connection got none.
    is_away: AtomicBool,
}

/// A connection of the pool.
pub(super) type PgPooled = PooledConnection<ConnectionManager<PgConnection>>;
type PgTransactions = <PgConnection as diesel::Connection>::TransactionManager;

impl PostgresPool {
    /// The right to take one connection, while it is held.
    pub(super) async fn turn(&self, turn: Turn) -> Result<OwnedSemaphorePermit, StoreError> {
        let turns = match turn {
            Turn::InOrder => &self.turns,
            Turn::Urgent => &self.urgent_turn,
        };
        let patience = self.patience(CHECKOUT);
        let turn = tokio::time::timeout(patience, Arc::clone(turns).acquire_owned()).await;
        match turn {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(closed)) => Err(StoreError::Unavailable(closed.into())),
            Err(elapsed) => Err(StoreError::Unavailable(elapsed.into())),
        }
    }

    /// Whoever comes while the database is away learns it soon.
    fn patience(&self, usual: Duration) -> Duration {
        if self.is_away.load(Ordering::Relaxed) {
            AWAY
        } else {
            usual
        }
    }

    /// How many connections there are, and how many of them are idle.
    pub(super) fn state(&self) -> (u32, u32) {
        let state = self.connections.state();
        (state.connections, state.idle_connections)
    }

    /// A connection whose transaction has begun, in the name of the organisation and as the unprivileged
    /// role: both for this transaction only, whatever the session was set to. After a restart of the
    /// database every pooled one is dead and shows it here, and after a failover some may still lead to a
    /// server that only reads: each is dropped, and the pool opens new ones in their place.
    pub(super) fn begun(&self, org: Option<OrgId>) -> Result<PgPooled, StoreError> {
        let begin = begin(self.assume_app_role, org);
        let mut left = self.connections.max_size();
        loop {
            let mut conn = self.get()?;
            let begun = PgTransactions::begin_transaction_sql(&mut *conn, &begin);
            let Err(error) = begun else {
                return Ok(conn);
            };
            PgTransactions::transaction_manager_status_mut(&mut *conn).set_in_error();
            if left == 0 {
                return Err(StoreError::Unavailable(error.into()));
            }
            left -= 1;
        }
    }

    /// A connection without a transaction.
    pub(super) fn get(&self) -> Result<PgPooled, StoreError> {
        let patience = self.patience(CONNECT);
        let conn = self.connections.get_timeout(patience);
        let was_away = self.is_away.swap(conn.is_err(), Ordering::Relaxed);
        // Each is said once, not at each attempt.
        match &conn {
            Err(error) if !was_away => {
                tracing::warn!(%error, "the database cannot be reached");
            }
            Ok(_) if was_away => tracing::info!("the database can be reached again"),
            Ok(_) | Err(_) => {}
        }
        Ok(conn?)
    }
}

/// How a transaction begins, in one message. An `OrgId` prints as hexadecimal digits and hyphens and
/// nothing else.
fn begin(assume_app_role: bool, org: Option<OrgId>) -> String {
    let role = if assume_app_role {
        "; SET LOCAL ROLE tenantry_app"
    } else {
        ""
    };
    let org = org.map_or_else(String::new, |org| format!("; SET LOCAL app.org = '{org}'"));
    format!("BEGIN READ WRITE{role}{org}")
}

/// Sets up each new SQLite connection.
#[derive(Debug)]
struct SqliteSetup {
    /// Page cache in KiB.
    cache_kib: u32,
}

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for SqliteSetup {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        #[cfg(feature = "failpoints")]
        super::statement_check::watch(conn);
        conn.batch_execute(SQLITE_SETUP)
            .and_then(|()| conn.batch_execute(&format!("PRAGMA cache_size = -{};", self.cache_kib)))
            .map_err(diesel::r2d2::Error::QueryError)
    }
}

/// Sets up each new PostgreSQL connection.
#[derive(Debug)]
struct PostgresSetup {
    /// Take on the unprivileged role: the login role is the one that owns the tables.
    assume_app_role: bool,
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for PostgresSetup {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        #[cfg(feature = "failpoints")]
        super::statement_check::watch(conn);
        set_up_postgres(conn, self.assume_app_role).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// What every connection that works begins with.
pub(super) fn set_up_postgres(
    conn: &mut PgConnection,
    assume_app_role: bool,
) -> Result<(), diesel::result::Error> {
    let role = if assume_app_role {
        "SET ROLE tenantry_app;"
    } else {
        ""
    };
    conn.batch_execute(&format!(
        "SET TIME ZONE 'UTC'; SET client_min_messages = warning; \
         SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}; {role}"
    ))
}

/// Opens the pools of a SQLite file.
pub(super) fn sqlite(path: &Path) -> Result<Pools, StoreError> {
    let pool = |size: u32, cache_kib: u32| {
        Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(CHECKOUT)
            .connection_customizer(Box::new(SqliteSetup { cache_kib }))
            .build(ConnectionManager::<SqliteConnection>::new(
                path.to_string_lossy(),
            ))
    };
    Ok(Pools::Sqlite {
        writer: pool(1, 65_536)?,
        readers: pool(8, 1_024)?,
    })
}

/// Opens the pool of a PostgreSQL database.
pub(super) fn postgres(url: &str, assume_app_role: bool, size: u32) -> Result<Pools, StoreError> {
    let connections = Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        .test_on_check_out(false)
        .connection_timeout(CONNECT)
        .connection_customizer(Box::new(PostgresSetup { assume_app_role }))
        // Who asks for a connection is told why there is none.
        .error_handler(Box::new(NopErrorHandler))
        .build(ConnectionManager::<PgConnection>::new(with_defaults(url)))?;
    let turns = usize::try_from(size.saturating_sub(1).max(1)).unwrap_or(1);
    Ok(Pools::Postgres(PostgresPool {
        connections,
        assume_app_role,
        turns: Arc::new(Semaphore::new(turns)),
        urgent_turn: Arc::new(Semaphore::new(1)),
        is_away: AtomicBool::new(false),
    }))
}

/// One connection outside the pools, with the rights of whoever the URL names: for migrating.
pub(super) fn connect_postgres(url: &str) -> Result<PgConnection, StoreError> {
    PgConnection::establish(&with_defaults(url))
        .map_err(|error| StoreError::Unavailable(error.into()))
}

/// The URL with what it leaves open.
fn with_defaults(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in LIBPQ_DEFAULTS {
        if !url.contains(&format!("{name}=")) {
            let before = if url.contains('?') { '&' } else { '?' };
            url.push(before);
            url.push_str(&format!("{name}={value}"));
        }
    }
    url
}

/// One SQLite connection outside the pools: for migrating.
pub(super) fn connect_sqlite(path: &Path) -> Result<SqliteConnection, StoreError> {
    let mut conn = SqliteConnection::establish(&path.to_string_lossy())
        .map_err(|error| StoreError::Unavailable(error.into()))?;
    conn.batch_execute(SQLITE_SETUP)?;
    Ok(conn)
}

/// Brings SQLite's write-ahead log into the database file and empties it: the log keeps the older
/// versions of pages, and with them what was erased since. In the file itself `secure_delete` has
/// overwritten it. Whoever still reads an older version is not waited for long, for nobody can write
/// meanwhile.
pub(super) fn empty_log(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Checkpoint {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        busy: i32,
    }
    conn.batch_execute("PRAGMA busy_timeout = 1000;")?;
    let done = sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result::<Checkpoint>(conn);
    conn.batch_execute("PRAGMA busy_timeout = 10000;")?;
    if done?.busy == 0 {
        Ok(())
    } else {
        Err(StoreError::Unavailable("others still read the log".into()))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn z8_each_transaction_names_role_and_organization_for_itself_alone() {
        let org = OrgId::from_uuid(Uuid::nil());
        assert_eq!(
            begin(true, Some(org)),
            "BEGIN READ WRITE; SET LOCAL ROLE tenantry_app; \
             SET LOCAL app.org = '00000000-0000-0000-0000-000000000000'"
        );
        assert_eq!(begin(false, None), "BEGIN READ WRITE");
    }

    #[test]
    fn r21_what_the_url_says_of_the_connection_stays() {
        assert_eq!(
            with_defaults("postgres://u@h/db?connect_timeout=30&keepalives_idle=9"),
            "postgres://u@h/db?connect_timeout=30&keepalives_idle=9\
             &keepalives_interval=2&keepalives_count=3&tcp_user_timeout=10000"
        );
        assert!(
            with_defaults("postgres://u@h/db").starts_with("postgres://u@h/db?connect_timeout=5&")
        );
    }
}
