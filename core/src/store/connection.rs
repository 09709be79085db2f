//! A connection to either database, and the transaction handles that queries are written against.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, SqliteConnection};

use super::status_board::StatusSnapshot;
use crate::{access::OrgScope, ids::OrgId, measures::Fact};

/// A connection to one of the two databases, inside a transaction.
pub enum Conn<'c> {
    /// SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// PostgreSQL.
    Postgres(&'c mut PgConnection),
}

/// Expands one query for both databases and runs the one that fits the connection. A macro because
/// diesel's query types differ by backend while the text of the query does not.
macro_rules! on_conn {
    ($conn:expr, |$c:ident| $body:expr) => {
        match &mut $conn {
            $crate::store::Conn::Sqlite($c) => {
                let $c: &mut diesel::SqliteConnection = $c;
                $body
            }
            $crate::store::Conn::Postgres($c) => {
                let $c: &mut diesel::PgConnection = $c;
                $body
            }
        }
    };
}
pub(crate) use on_conn;

/// A transaction in the name of one organisation. Queries on tables with an organisation take it,
/// and nothing else can be given to them (Z3): only the store opens one, for a scope.
///
/// ```compile_fail,E0624
/// let _without_a_scope = tenantry_core::store::Scoped::new;
/// ```
pub struct Scoped<'c> {
    pub(crate) conn: Conn<'c>,
    scope: OrgScope,
    now: DateTime<Utc>,
    pub(super) updates: Vec<StatusSnapshot>,
    pub(super) facts: Vec<Fact>,
    pub(super) erases: bool,
}

impl<'c> Scoped<'c> {
    pub(super) fn new(conn: Conn<'c>, scope: OrgScope, now: DateTime<Utc>) -> Self {
        Self {
            conn,
            scope,
            now,
            updates: Vec::new(),
            facts: Vec::new(),
            erases: false,
        }
    }

    /// The organisation every statement of this transaction is for.
    pub fn org(&self) -> OrgId {
        self.scope.org()
    }

    /// Who acts, for the audit.
    pub fn scope(&self) -> &OrgScope {
        &self.scope
    }

    /// The moment the transaction stands for.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The global tables, in the same transaction.
    pub fn global(&mut self) -> Global<'_> {
        let conn = match &mut self.conn {
            Conn::Sqlite(c) => Conn::Sqlite(c),
            Conn::Postgres(c) => Conn::Postgres(c),
        };
        Global {
            conn,
            now: self.now,
        }
    }

    /// What this transaction erases leaves the files, too, once it has committed (D2).
    pub(crate) fn leave_no_trace(&mut self) {
        self.erases = true;
    }

    /// A status document to publish once this transaction has committed.
    pub(crate) fn publish(&mut self, snapshot: StatusSnapshot) {
        self.updates.push(snapshot);
    }

    /// Something to count once this transaction has committed.
    pub(crate) fn count(&mut self, fact: Fact) {
        self.facts.push(fact);
    }
}

/// A transaction on the global tables only: no organisation is set, so row-level security shows no
/// row of any organisation.
pub struct Global<'c> {
    pub(crate) conn: Conn<'c>,
    now: DateTime<Utc>,
}

impl<'c> Global<'c> {
    pub(super) fn new(conn: Conn<'c>, now: DateTime<Utc>) -> Self {
        Self { conn, now }
    }

    /// The moment the transaction stands for.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }
}
