//! Applying and checking migrations. One runner at a time, and never a downgrade.
//!
//! A program may start on a database that is newer than it when each migration it does not know says in
//! `schema_compatibility` that it may: so the version before runs on while a new one is rolled out.

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

/// What the database has beyond what this program knows, and this program may work with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ahead {
    /// The newest such migration.
    pub(super) newest: Option<String>,
    /// The tables without an organisation that those migrations made.
    pub(super) global_tables: Vec<String>,
}

impl MigratingConn {
    /// Applies what is pending. Where nothing is, no right to change the schema is needed.
    pub(super) fn migrate(&mut self) -> Result<(), MigrationError> {
        match self.require_current() {
            Err(MigrationError::Pending { .. }) => {}
            Ok(_) => return Ok(()),
            Err(other) => return Err(other),
        }
        match self {
            // The write lock makes processes that start together take turns here.
            Self::Sqlite(conn) => conn.immediate_transaction(|conn| {
                if is_pending(&found_in_sqlite(conn)?)? {
                    conn.run_pending_migrations(SQLITE)
                        .map_err(MigrationError::Failed)?;
                }
                Ok::<_, MigrationError>(())
            })?,
            Self::Postgres(conn) => {
                conn.batch_execute(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})"))
                    .map_err(StoreError::from)?;
                if is_pending(&found_in_postgres(conn)?)? {
                    conn.run_pending_migrations(POSTGRES)
                        .map_err(MigrationError::Failed)?;
                }
                conn.batch_execute(&format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})"))
                    .map_err(StoreError::from)?;
            }
        }
        Ok(())
    }

    /// Refuses unless the schema is this program's, or a newer one that lets it work. Only reads, so
    /// that a role without any right to change the schema can do it.
    pub(super) fn require_current(&mut self) -> Result<Ahead, MigrationError> {
        let found = match self {
            Self::Sqlite(conn) => found_in_sqlite(conn),
            Self::Postgres(conn) => found_in_postgres(conn),
        }?;
        compare(&found, &known_versions())
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

/// What a migration says of the programs that do not know it.
#[derive(QueryableByName)]
struct Compatibility {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    compatible_from: String,
    #[diesel(sql_type = Text)]
    global_tables: String,
}

#[derive(QueryableByName)]
struct Present {
    #[diesel(sql_type = Bool)]
    present: bool,
}

/// What the database says of its schema.
#[derive(Default)]
struct Found {
    applied: Vec<String>,
    compatibility: Vec<Compatibility>,
}

const APPLIED: &str = "SELECT version FROM __diesel_schema_migrations";
const COMPATIBILITY: &str =
    "SELECT version, compatible_from, global_tables FROM schema_compatibility";

/// Expands the same reading for both databases. A macro because diesel's query types differ.
macro_rules! found {
    ($conn:expr, $is_present:expr) => {{
        let mut found = Found::default();
        let is_present = |conn: &mut _, table: &str| -> Result<bool, StoreError> {
            let table: Present = sql_query($is_present)
                .bind::<Text, _>(table)
                .get_result(conn)?;
            Ok(table.present)
        };
        if is_present($conn, "__diesel_schema_migrations")? {
            let applied: Vec<Applied> = sql_query(APPLIED).get_results($conn)?;
            found.applied = applied.into_iter().map(|row| row.version).collect();
        }
        if is_present($conn, "schema_compatibility")? {
            found.compatibility = sql_query(COMPATIBILITY).get_results($conn)?;
        }
        Ok(found)
    }};
}

fn found_in_sqlite(conn: &mut diesel::SqliteConnection) -> Result<Found, StoreError> {
    found!(
        conn,
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?) AS present"
    )
}

fn found_in_postgres(conn: &mut diesel::PgConnection) -> Result<Found, StoreError> {
    found!(conn, "SELECT to_regclass($1) IS NOT NULL AS present")
}

/// Whether there is something to apply.
fn is_pending(found: &Found) -> Result<bool, MigrationError> {
    match compare(found, &known_versions()) {
        Ok(_) => Ok(false),
        Err(MigrationError::Pending { .. }) => Ok(true),
        Err(other) => Err(other),
    }
}

/// Compares what the database has with what this program knows.
fn compare(found: &Found, known: &[String]) -> Result<Ahead, MigrationError> {
    let ours = known.iter().max();
    let mut ahead = Ahead::default();
    let mut refused = None;
    for version in found.applied.iter().filter(|it| !known.contains(it)) {
        let said = found
            .compatibility
            .iter()
            .find(|row| row.version == *version);
        match said {
            Some(row) if ours.is_some_and(|ours| row.compatible_from <= *ours) => {
                let tables = row.global_tables.split(',').map(str::trim);
                let tables = tables.filter(|table| !table.is_empty());
                ahead.global_tables.extend(tables.map(str::to_owned));
            }
            Some(_) | None => refused = refused.max(Some(version)),
        }
        ahead.newest = ahead.newest.max(Some(version.clone()));
    }
    if let Some(newest) = refused {
        return Err(MigrationError::Newer {
            newest: newest.clone(),
        });
    }
    let pending = known
        .iter()
        .filter(|version| !found.applied.contains(version));
    match (pending.count(), ahead.newest.clone()) {
        (0, _) => Ok(ahead),
        // Nobody has ever applied ours on top of what came later.
        (_, Some(newest)) => Err(MigrationError::Newer { newest }),
        (count, None) => Err(MigrationError::Pending { count }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(applied: &[&str], compatibility: &[(&str, &str, &str)]) -> Found {
        let row = |(version, compatible_from, global_tables): &(&str, &str, &str)| Compatibility {
            version: (*version).to_owned(),
            compatible_from: (*compatible_from).to_owned(),
            global_tables: (*global_tables).to_owned(),
        };
        Found {
            applied: applied.iter().map(|&version| version.to_owned()).collect(),
            compatibility: compatibility.iter().map(row).collect(),
        }
    }

    /// By a program that brings 01, 02 and 03.
    fn compared(found: &Found) -> Result<Ahead, String> {
        let known = ["01", "02", "03"].map(str::to_owned);
        compare(found, &known).map_err(|error| error.to_string())
    }

    #[test]
    fn r28_a_newer_schema_is_refused_unless_every_unknown_migration_allows_this_program() {
        let ours = ["01", "02", "03"];
        let newer = ["01", "02", "03", "04", "05"];
        assert_eq!(compared(&found(&ours, &[])), Ok(Ahead::default()));
        let refused = |compatibility| compared(&found(&newer, compatibility)).unwrap_err();
        assert!(refused(&[]).contains("05"), "says nothing");
        assert!(
            refused(&[("04", "01", "")]).contains("05"),
            "one says nothing"
        );
        let too_late = refused(&[("04", "04", ""), ("05", "01", "")]);
        assert!(too_late.contains("04"), "one wants what we have not");
        let allowed = [("04", "03", "a, b"), ("05", "02", "")];
        let ahead = Ahead {
            newest: Some("05".to_owned()),
            global_tables: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(compared(&found(&newer, &allowed)), Ok(ahead));
    }

    #[test]
    fn r28_nothing_is_applied_on_top_of_a_newer_schema() {
        let gap = found(&["01", "02", "04"], &[("04", "01", "")]);
        assert!(compared(&gap).unwrap_err().contains("04"));
        let older = found(&["01"], &[]);
        assert_eq!(compared(&older).unwrap_err(), "2 migrations are pending");
    }
}
