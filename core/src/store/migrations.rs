//! Applying and checking migrations. One runner at a time, and never a downgrade.

use diesel::{
    QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    migration::MigrationSource,
    sql_query,
    sql_types::{Bool, Text},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;

const SQLITE: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../migrations/postgres");

/// Held while migrating, so that replicas that start together take turns: the migration library
/// takes no lock of its own. The number is ours and means nothing.
const ADVISORY_LOCK: i64 = 0x7465_6e61_6e74_7279;

/// Why the database's schema and this program do not fit.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database is newer than this program.
    #[error(
        "the database has the migration {newest}, which this version does not know: it was used by a newer version"
    )]
    Newer {
        /// The newest migration that the database has and we have not.
        newest: String,
    },
    /// Migrations are missing and were not asked for.
    #[error("{count} migrations are pending")]
    Pending {
        /// How many.
        count: usize,
    },
    /// A migration failed; what it had done was rolled back.
    #[error("a migration failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database could not be used at all.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for MigrationError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A connection that can migrate, of either database.
pub(super) enum MigratingConn {
    /// SQLite.
    Sqlite(diesel::SqliteConnection),
    /// PostgreSQL, as the role that owns the tables.
    Postgres(diesel::PgConnection),
}

impl MigratingConn {
    /// Applies what is pending. Where nothing is, no right to change the schema is needed.
    pub(super) fn migrate(&mut self) -> Result<(), MigrationError> {
        match self.require_current() {
            Err(MigrationError::Pending { .. }) => {}
            Ok(()) => return Ok(()),
            Err(other) => return Err(other),
        }
        match self {
            // The write lock makes processes that start together take turns here.
            Self::Sqlite(conn) => conn.immediate_transaction(|conn| {
                refuse_newer(&applied_to_sqlite(conn)?)?;
                conn.run_pending_migrations(SQLITE)
                    .map_err(MigrationError::Failed)?;
                Ok::<_, MigrationError>(())
            })?,
            Self::Postgres(conn) => {
                conn.batch_execute(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})"))
                    .map_err(StoreError::from)?;
                refuse_newer(&applied_to_postgres(conn)?)?;
                conn.run_pending_migrations(POSTGRES)
                    .map_err(MigrationError::Failed)?;
                conn.batch_execute(&format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})"))
                    .map_err(StoreError::from)?;
            }
        }
        Ok(())
    }

    /// Refuses unless the schema is exactly this program's. Only reads, so that a role without any
    /// right to change the schema can do it.
    pub(super) fn require_current(&mut self) -> Result<(), MigrationError> {
        let applied = match self {
            Self::Sqlite(conn) => applied_to_sqlite(conn),
            Self::Postgres(conn) => applied_to_postgres(conn),
        }?;
        refuse_newer(&applied)?;
        let known = known_versions();
        match known
            .iter()
            .filter(|version| !applied.contains(version))
            .count()
        {
            0 => Ok(()),
            count => Err(MigrationError::Pending { count }),
        }
    }

    /// Undoes every migration: only tests do that, to prove that each can be undone.
    pub(super) fn revert_all(&mut self) -> Result<(), MigrationError> {
        match self {
            Self::Sqlite(conn) => conn.revert_all_migrations(SQLITE).map(drop),
            Self::Postgres(conn) => conn.revert_all_migrations(POSTGRES).map(drop),
        }
        .map_err(MigrationError::Failed)
    }
}

/// The newest migration this program brings, for `--version` and for errors.
pub fn schema_version() -> String {
    known_versions().into_iter().max().unwrap_or_default()
}

/// The migrations this program brings; the same on both databases.
fn known_versions() -> Vec<String> {
    let ours = MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE).unwrap_or_default();
    ours.iter()
        .map(|migration| migration.name().version().to_string())
        .collect()
}

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct Present {
    #[diesel(sql_type = Bool)]
    present: bool,
}

const APPLIED: &str = "SELECT version FROM __diesel_schema_migrations";

fn applied_to_sqlite(conn: &mut diesel::SqliteConnection) -> Result<Vec<String>, StoreError> {
    let table: Present = sql_query(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '__diesel_schema_migrations') AS present",
    )
    .get_result(conn)?;
    let applied: Vec<Applied> = match table.present {
        true => sql_query(APPLIED).get_results(conn)?,
        false => Vec::new(),
    };
    Ok(applied.into_iter().map(|row| row.version).collect())
}

fn applied_to_postgres(conn: &mut diesel::PgConnection) -> Result<Vec<String>, StoreError> {
    let table: Present =
        sql_query("SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS present")
            .get_result(conn)?;
    let applied: Vec<Applied> = match table.present {
        true => sql_query(APPLIED).get_results(conn)?,
        false => Vec::new(),
    };
    Ok(applied.into_iter().map(|row| row.version).collect())
}

fn refuse_newer(applied: &[String]) -> Result<(), MigrationError> {
    let known = known_versions();
    match applied
        .iter()
        .filter(|version| !known.contains(version))
        .max()
    {
        Some(newest) => Err(MigrationError::Newer {
            newest: newest.clone(),
        }),
        None => Ok(()),
    }
}
