//! A fresh database for each test: a file of its own, or a database of its own on the PostgreSQL that
//! `cargo xtask test` starts.

use diesel::{Connection as _, PgConnection, RunQueryDsl as _, connection::SimpleConnection as _};
use tempfile::TempDir;
use uuid::Uuid;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A database that lives as long as this value.
pub struct TestDatabase {
    backend: Backend,
    url: String,
    folder: TempDir,
    /// The superuser's URL and the name to drop.
    postgres: Option<(String, String)>,
}

impl TestDatabase {
    /// Makes an empty one.
    pub fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        match backend {
            Backend::Sqlite => {
                let url = format!("sqlite://{}", folder.path().join("tenantry.db").display());
                Self {
                    backend,
                    url,
                    folder,
                    postgres: None,
                }
            }
            Backend::Postgres => {
                let server = std::env::var("TENANTRY_TEST_POSTGRES_URL")
                    .expect("TENANTRY_TEST_POSTGRES_URL: run the tests by `cargo xtask test`, which starts a PostgreSQL");
                let name = format!("t{}", Uuid::now_v7().simple());
                let mut admin =
                    PgConnection::establish(&server).expect("the test PostgreSQL answers");
                diesel::sql_query(format!("CREATE DATABASE {name}"))
                    .execute(&mut admin)
                    .expect("a new database");
                let (base, _) = server.rsplit_once('/').expect("a URL with a database");
                Self {
                    backend,
                    url: format!("{base}/{name}"),
                    folder,
                    postgres: Some((server, name)),
                }
            }
        }
    }

    /// Which database it is.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Its URL, as TENANTRY_DATABASE_URL takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A folder for files beside the database.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Runs SQL as the owner of everything, outside the product: to look behind it or to damage it.
    pub fn execute(&self, sql: &str) {
        match self.backend {
            Backend::Sqlite => self
                .sqlite()
                .batch_execute(sql)
                .expect("the statement runs"),
            Backend::Postgres => {
                PgConnection::establish(&self.url)
                    .expect("connects")
                    .batch_execute(sql)
                    .expect("the statement runs");
            }
        }
    }

    /// Runs SQL that must be refused; returns the database's words.
    pub fn refuse(&self, sql: &str) -> String {
        let outcome = match self.backend {
            Backend::Sqlite => self.sqlite().batch_execute(sql),
            Backend::Postgres => PgConnection::establish(&self.url)
                .expect("connects")
                .batch_execute(sql),
        };
        outcome
            .expect_err("the statement must be refused")
            .to_string()
    }

    /// The first column of the first row as a number.
    pub fn count(&self, sql: &str) -> i64 {
        #[derive(diesel::QueryableByName)]
        struct Number {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            number: i64,
        }
        let sql = format!("SELECT CAST(({sql}) AS BIGINT) AS number");
        let row: Number = match self.backend {
            Backend::Sqlite => diesel::sql_query(sql)
                .get_result(&mut self.sqlite())
                .expect("one number"),
            Backend::Postgres => diesel::sql_query(sql)
                .get_result(&mut PgConnection::establish(&self.url).expect("connects"))
                .expect("one number"),
        };
        row.number
    }

    fn sqlite(&self) -> diesel::SqliteConnection {
        let path = self.url.trim_start_matches("sqlite://");
        let mut conn = diesel::SqliteConnection::establish(path).expect("the file opens");
        conn.batch_execute("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON;")
            .expect("pragmas");
        conn
    }

    /// Everything the database holds on disk or in tables, as bytes to search for secrets.
    pub fn dump(&self) -> Vec<u8> {
        match self.backend {
            Backend::Sqlite => {
                let mut bytes = Vec::new();
                for entry in std::fs::read_dir(self.folder.path())
                    .expect("the folder")
                    .flatten()
                {
                    let name = entry.file_name();
                    if name.to_string_lossy().starts_with("tenantry.db")
                        && !name.to_string_lossy().ends_with("master-key")
                    {
                        bytes.extend(std::fs::read(entry.path()).expect("the file"));
                    }
                }
                bytes
            }
            Backend::Postgres => {
                #[derive(diesel::QueryableByName)]
                struct Text {
                    #[diesel(sql_type = diesel::sql_types::Text)]
                    text: String,
                }
                let mut conn = PgConnection::establish(&self.url).expect("connects");
                let tables: Vec<Text> = diesel::sql_query(
                    "SELECT relname::text AS text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
                )
                .load(&mut conn)
                .expect("tables");
                let mut bytes = Vec::new();
                for table in tables {
                    let rows: Vec<Text> =
                        diesel::sql_query(format!("SELECT t::text AS text FROM {} t", table.text))
                            .load(&mut conn)
                            .expect("rows");
                    rows.into_iter()
                        .for_each(|row| bytes.extend(row.text.into_bytes()));
                }
                bytes
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.postgres
            && let Ok(mut admin) = PgConnection::establish(server)
        {
            // A leftover is harmless: the whole cluster goes when the tests have ended.
            drop(
                diesel::sql_query(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                    .execute(&mut admin),
            );
        }
    }
}
