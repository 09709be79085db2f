//! SQL past the product.

use std::sync::{Mutex, MutexGuard};

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _, sql_query,
};
use uuid::Uuid;

use super::server_url;

/// A connection to either database with all rights: the owner of the tables, or the file itself.
pub enum Raw {
    Sqlite(Mutex<SqliteConnection>),
    Postgres(Mutex<PgConnection>),
}

/// A row of one text.
#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

impl Raw {
    /// The PostgreSQL server's own database.
    pub fn server() -> Self {
        Self::open(&server_url())
    }

    pub fn open(url: &str) -> Self {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let mut conn = SqliteConnection::establish(path).expect("the file opens");
            conn.batch_execute("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON;")
                .expect("pragmas");
            return Self::Sqlite(Mutex::new(conn));
        }
        let mut conn = PgConnection::establish(url).expect("the test PostgreSQL answers");
        conn.batch_execute("SET client_min_messages = warning; SET TIME ZONE 'UTC'")
            .expect("settings");
        Self::Postgres(Mutex::new(conn))
    }

    /// Whether it is SQLite.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Runs statements; says what the database said when it refuses.
    pub fn try_execute(&self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(conn) => lock(conn).batch_execute(sql),
            Self::Postgres(conn) => lock(conn).batch_execute(sql),
        }
        .map_err(|error| error.to_string())
    }

    /// Runs statements that the database must accept.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        if let Err(error) = self.try_execute(sql) {
            panic!("{sql}: {error}");
        }
    }

    /// Reads one column of texts, named `line`.
    #[track_caller]
    pub fn lines(&self, sql: &str) -> Vec<String> {
        let rows: Vec<Line> = match self {
            Self::Sqlite(conn) => sql_query(sql).load(&mut *lock(conn)),
            Self::Postgres(conn) => sql_query(sql).load(&mut *lock(conn)),
        }
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.into_iter().map(|row| row.line).collect()
    }

    /// Rows of a table, or of a table with a condition.
    #[track_caller]
    pub fn count(&self, rows: &str) -> usize {
        let sql = format!("SELECT CAST(count(*) AS TEXT) AS line FROM {rows}");
        self.lines(&sql)[0].parse().expect("a number")
    }

    /// A UUID as a literal.
    pub fn uuid(&self, id: Uuid) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", id.simple()),
            Self::Postgres(_) => format!("'{id}'::uuid"),
        }
    }

    /// The present time as an expression.
    pub fn now(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            Self::Postgres(_) => "now()",
        }
    }

    /// The tables, by name.
    pub fn tables(&self) -> Vec<String> {
        self.lines(match self {
            Self::Sqlite(_) => {
                "SELECT name AS line FROM sqlite_schema WHERE type = 'table' \
                 AND name NOT LIKE 'sqlite_%' ORDER BY name"
            }
            Self::Postgres(_) => {
                "SELECT relname::text AS line FROM pg_class WHERE relkind IN ('r', 'p') \
                 AND relnamespace = 'public'::regnamespace ORDER BY relname COLLATE \"C\""
            }
        })
    }

    /// Everything that is stored, as text: bytes as hexadecimal digits in lower case.
    pub fn dump(&self) -> String {
        let tables = self.tables();
        tables.iter().map(|table| self.dump_of(table)).collect()
    }

    fn dump_of(&self, table: &str) -> String {
        let row = match self {
            Self::Sqlite(_) => {
                let columns = self.lines(&format!(
                    "SELECT 'CASE typeof(' || name || ') WHEN ''blob'' THEN lower(hex(' || name || ')) \
                     ELSE quote(' || name || ') END' AS line FROM pragma_table_info('{table}')"
                ));
                columns.join(" || ',' || ")
            }
            Self::Postgres(_) => format!("{table}::text"),
        };
        let rows = self.lines(&format!("SELECT {row} AS line FROM {table} ORDER BY 1"));
        format!("== {table}\n{}\n", rows.join("\n"))
    }
}

fn lock<T>(conn: &Mutex<T>) -> MutexGuard<'_, T> {
    conn.lock().expect("no test failed on this connection")
}
