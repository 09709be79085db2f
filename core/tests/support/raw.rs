//! A connection past the store.

use std::path::Path;

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _, sql_query,
};
use uuid::Uuid;

use super::server_url;

/// A connection to either database with all rights: the owner of the tables, or the file itself.
pub enum Raw {
    /// SQLite.
    Sqlite(SqliteConnection),
    /// PostgreSQL.
    Postgres(PgConnection),
}

/// A row of one text.
#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    line: String,
}

impl Raw {
    /// The PostgreSQL server's own database.
    pub fn server() -> Self {
        Self::postgres(&server_url())
    }

    /// A SQLite file, with foreign keys as the store has them.
    pub fn sqlite(path: &Path) -> Self {
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON;")
            .unwrap();
        Self::Sqlite(conn)
    }

    /// A PostgreSQL database.
    pub fn postgres(url: &str) -> Self {
        let mut conn = PgConnection::establish(url).unwrap();
        conn.batch_execute("SET client_min_messages = warning; SET TIME ZONE 'UTC'")
            .unwrap();
        Self::Postgres(conn)
    }

    /// Whether it is SQLite.
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Runs statements; says what the database said when it refuses.
    pub fn try_execute(&mut self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(conn) => conn.batch_execute(sql),
            Self::Postgres(conn) => conn.batch_execute(sql),
        }
        .map_err(|error| error.to_string())
    }

    /// Runs statements that the database must accept.
    pub fn execute(&mut self, sql: &str) {
        if let Err(error) = self.try_execute(sql) {
            panic!("{sql}: {error}");
        }
    }

    /// Reads one column named `line`.
    pub fn lines(&mut self, sql: &str) -> Vec<String> {
        let rows: Vec<Text> = match self {
            Self::Sqlite(conn) => sql_query(sql).load(conn),
            Self::Postgres(conn) => sql_query(sql).load(conn),
        }
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.into_iter().map(|row| row.line).collect()
    }

    /// Rows of a table, or of a table with a condition.
    pub fn count(&mut self, table: &str) -> usize {
        let lines = self.lines(&format!(
            "SELECT CAST(count(*) AS TEXT) AS line FROM {table}"
        ));
        lines[0].parse().unwrap()
    }

    /// A UUID as a literal.
    pub fn uuid(&self, id: Uuid) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", id.simple()),
            Self::Postgres(_) => format!("'{id}'::uuid"),
        }
    }

    /// Bytes as a literal.
    pub fn bytes(&self, bytes: &[u8]) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", hex::encode(bytes)),
            Self::Postgres(_) => format!("'\\x{}'::bytea", hex::encode(bytes)),
        }
    }

    /// The tables, by name.
    pub fn tables(&mut self) -> Vec<String> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT name AS line FROM sqlite_schema WHERE type = 'table' \
                 AND name NOT LIKE 'sqlite_%' ORDER BY name"
            }
            Self::Postgres(_) => {
                "SELECT relname::text AS line FROM pg_class WHERE relkind IN ('r', 'p') \
                 AND relnamespace = 'public'::regnamespace ORDER BY relname COLLATE \"C\""
            }
        };
        self.lines(sql)
    }

    /// Everything that is stored, as text: bytes as hexadecimal digits, all in lower case.
    pub fn dump(&mut self) -> String {
        let mut dump = String::new();
        for table in self.tables() {
            let sql = match self {
                Self::Sqlite(_) => {
                    let columns = self.lines(&format!(
                        "SELECT name AS line FROM pragma_table_info('{table}')"
                    ));
                    let quoted: Vec<String> = columns
                        .iter()
                        .map(|column| format!("quote({column})"))
                        .collect();
                    format!(
                        "SELECT {} AS line FROM {table} ORDER BY 1",
                        quoted.join(" || ',' || ")
                    )
                }
                Self::Postgres(_) => format!("SELECT t::text AS line FROM {table} AS t ORDER BY 1"),
            };
            dump.push_str(&format!("== {table}\n{}\n", self.lines(&sql).join("\n")));
        }
        dump.to_lowercase()
    }
}
