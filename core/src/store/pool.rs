//! The pools of both databases and how a connection is set up.

use std::{path::Path, time::Duration};

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
    r2d2::{ConnectionManager, CustomizeConnection, Pool},
    sql_query,
};

use super::StoreError;

/// How long a caller waits for a connection before the database counts as unavailable.
const CHECKOUT: Duration = Duration::from_secs(15);

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
    Postgres(Pool<ConnectionManager<PgConnection>>),
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
        "SET TIME ZONE 'UTC'; SET client_min_messages = warning; {role}"
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
    let pool = Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        .test_on_check_out(false)
        .connection_timeout(CHECKOUT)
        .connection_customizer(Box::new(PostgresSetup { assume_app_role }))
        .build(ConnectionManager::<PgConnection>::new(url))?;
    Ok(Pools::Postgres(pool))
}

/// One connection outside the pools, with the rights of whoever the URL names: for migrating.
pub(super) fn connect_postgres(url: &str) -> Result<PgConnection, StoreError> {
    PgConnection::establish(url).map_err(|error| StoreError::Unavailable(error.into()))
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
