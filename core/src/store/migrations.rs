//! Applying and checking migrations. One runner at a time, and never a downgrade.

use diesel::{connection::SimpleConnection as _, migration::MigrationSource as _};
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
    /// Applies what is pending.
    pub(super) fn migrate(&mut self) -> Result<(), MigrationError> {
        match self {
            // The write lock makes processes that start together take turns here.
            Self::Sqlite(conn) => conn.immediate_transaction(|conn| {
                refuse_newer(conn, SQLITE)?;
                conn.run_pending_migrations(SQLITE)
                    .map_err(MigrationError::Failed)?;
                Ok::<_, MigrationError>(())
            })?,
            Self::Postgres(conn) => {
                conn.batch_execute(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})"))
                    .map_err(StoreError::from)?;
                refuse_newer(conn, POSTGRES)?;
                conn.run_pending_migrations(POSTGRES)
                    .map_err(MigrationError::Failed)?;
                conn.batch_execute(&format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})"))
                    .map_err(StoreError::from)?;
            }
        }
        Ok(())
    }

    /// Refuses unless the schema is exactly this program's.
    pub(super) fn require_current(&mut self) -> Result<(), MigrationError> {
        let pending = match self {
            Self::Sqlite(conn) => {
                refuse_newer(conn, SQLITE)?;
                conn.pending_migrations(SQLITE)
                    .map_err(MigrationError::Failed)?
                    .len()
            }
            Self::Postgres(conn) => {
                refuse_newer(conn, POSTGRES)?;
                conn.pending_migrations(POSTGRES)
                    .map_err(MigrationError::Failed)?
                    .len()
            }
        };
        if pending == 0 {
            Ok(())
        } else {
            Err(MigrationError::Pending { count: pending })
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
    let names = diesel::migration::MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE)
        .unwrap_or_default();
    names
        .iter()
        .map(|m| m.name().version().to_string())
        .max()
        .unwrap_or_default()
}

fn refuse_newer<DB, C>(conn: &mut C, ours: EmbeddedMigrations) -> Result<(), MigrationError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let known: Vec<String> = ours
        .migrations()
        .map_err(MigrationError::Failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(MigrationError::Failed)?;
    match applied
        .iter()
        .map(ToString::to_string)
        .filter(|version| !known.contains(version))
        .max()
    {
        Some(newest) => Err(MigrationError::Newer { newest }),
        None => Ok(()),
    }
}
