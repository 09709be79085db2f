//! A fresh database for each test: a file of its own, or a database of its own on the PostgreSQL that
//! `cargo xtask test` starts. Tests make, drop and look into databases here and nowhere else.

mod raw;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

pub use self::raw::Raw;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A database that lives as long as this value.
pub struct TestDatabase {
    backend: Backend,
    /// Its name on PostgreSQL.
    name: String,
    folder: TempDir,
}

impl TestDatabase {
    /// Makes an empty one.
    pub fn new(backend: Backend) -> Self {
        let database = Self::planned(backend);
        if backend == Backend::Postgres {
            Raw::server().execute(&format!("CREATE DATABASE {}", database.name));
        }
        database
    }

    /// One that is not there yet.
    fn planned(backend: Backend) -> Self {
        Self {
            backend,
            name: format!("t{}", Uuid::now_v7().simple()),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// Its URL, as TENANTRY_DATABASE_URL takes it.
    pub fn url(&self) -> String {
        match self.backend {
            Backend::Sqlite => format!("sqlite://{}", self.file().display()),
            Backend::Postgres => url_on_server(&self.name),
        }
    }

    /// A folder for files beside the database.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.folder().join("tenantry.db")
    }

    /// A connection past the product, with all rights: to look behind it or to damage it.
    pub fn raw(&self) -> Raw {
        Raw::open(&self.url())
    }

    /// All that is stored, to search for secrets: SQLite's files as they are, PostgreSQL's rows as text.
    pub fn dump(&self) -> Vec<u8> {
        match self.backend {
            Backend::Sqlite => ["", "-wal", "-shm", "-journal"]
                .iter()
                .filter_map(|ending| {
                    std::fs::read(format!("{}{ending}", self.file().display())).ok()
                })
                .flatten()
                .collect(),
            Backend::Postgres => self.raw().dump().into_bytes(),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A leftover is harmless: the whole cluster goes when the tests have ended.
        if self.backend == Backend::Postgres && !std::thread::panicking() {
            let name = &self.name;
            Raw::server().execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

/// A database with a schema, made once and copied for each test.
pub struct Template {
    /// Gives the empty database at a URL its schema.
    migrate: fn(&str),
    file: OnceLock<Vec<u8>>,
    /// Its name on PostgreSQL; it goes with the cluster.
    name: OnceLock<String>,
}

impl Template {
    pub const fn new(migrate: fn(&str)) -> Self {
        Self {
            migrate,
            file: OnceLock::new(),
            name: OnceLock::new(),
        }
    }

    /// A copy with a life of its own.
    pub fn copy(&self, backend: Backend) -> TestDatabase {
        let copy = TestDatabase::planned(backend);
        match backend {
            Backend::Sqlite => {
                let file = self.file.get_or_init(|| {
                    let original = TestDatabase::new(backend);
                    (self.migrate)(&original.url());
                    std::fs::read(original.file()).expect("the migrated file")
                });
                std::fs::write(copy.file(), file).expect("a copy of the file");
            }
            Backend::Postgres => {
                let original = self.name.get_or_init(|| {
                    let name = format!("template_{}", Uuid::now_v7().simple());
                    Raw::server().execute(&format!("CREATE DATABASE {name}"));
                    (self.migrate)(&url_on_server(&name));
                    name
                });
                let name = &copy.name;
                Raw::server().execute(&format!("CREATE DATABASE {name} TEMPLATE {original}"));
            }
        }
        copy
    }
}

/// The PostgreSQL that tests may make databases on.
fn server_url() -> String {
    std::env::var("TENANTRY_TEST_POSTGRES_URL").expect(
        "TENANTRY_TEST_POSTGRES_URL: run the tests by `cargo xtask test`, which starts a PostgreSQL",
    )
}

fn url_on_server(name: &str) -> String {
    let mut url = Url::parse(&server_url()).expect("a URL");
    url.set_path(name);
    url.to_string()
}
