//! Looks at every statement before it runs: one that touches a table of organisations must name the
//! organisation (Z9). SQLite has no row-level security that would catch it.
//!
//! Only with the feature `failpoints`, which no release has: the whole suite runs under it, and a
//! statement that forgets its organisation ends in a panic.

use std::{
    collections::HashSet,
    fmt::{self, Write},
    sync::{LazyLock, Mutex, PoisonError},
};

use diesel::{
    Connection,
    connection::{Instrumentation, InstrumentationEvent},
};

/// The tables with an organisation in their key, read off the schema.
static TABLES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let declarations = include_str!("schema.rs").split("diesel::table! {").skip(1);
    let scoped = declarations.filter_map(|declaration| {
        let (name, key) = declaration.split_once(" (")?;
        let (key, _columns) = key.split_once(')')?;
        key.split(", ")
            .any(|column| column == "org_id")
            .then(|| name.rsplit(char::is_whitespace).next())?
    });
    scoped.collect()
});

/// Statements that were looked at.
static KNOWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Puts a connection under the check.
pub(super) fn watch(conn: &mut impl Connection) {
    conn.set_instrumentation(StatementCheck);
}

struct StatementCheck;

impl Instrumentation for StatementCheck {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        let InstrumentationEvent::StartQuery { query, .. } = event else {
            return;
        };
        let mut sql = WithoutValues::default();
        // Ends early by intention.
        let _cut = write!(sql, "{query}");
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(sql.0.clone()) {
            drop(known);
            let unscoped = unscoped_table(&sql.0);
            assert!(
                unscoped.is_none(),
                "{unscoped:?} is touched without an organisation: {}",
                sql.0
            );
        }
    }
}

/// The text of a statement without the values bound to it, which may be a whole page of a tenant.
#[derive(Default)]
struct WithoutValues(String);

impl Write for WithoutValues {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.split_once(" -- binds") {
            Some((sql, _values)) => {
                self.0.push_str(sql);
                Err(fmt::Error)
            }
            None => {
                self.0.push_str(text);
                Ok(())
            }
        }
    }
}

/// The first table of organisations that a statement touches without naming the organisation.
fn unscoped_table(sql: &str) -> Option<&'static str> {
    let sql = sql.replace(['`', '"'], "");
    let words: Vec<&str> = sql
        .split(|character: char| {
            !(character.is_alphanumeric() || character == '_' || character == '.')
        })
        .filter(|word| !word.is_empty())
        .collect();
    let mut touched = words.windows(2).filter_map(|two| match two {
        [verb, name] if is_one_of(verb, &["FROM", "JOIN", "UPDATE", "INTO"]) => {
            let table = TABLES.iter().find(|table| *table == name)?;
            Some((verb.eq_ignore_ascii_case("INTO"), *table))
        }
        _other => None,
    });
    touched.find_map(|(is_insert, table)| {
        let names_it = if is_insert {
            // Among the columns, before the values.
            let columns = sql.split_once(')').map(|(columns, _)| columns);
            columns.is_some_and(|columns| columns.contains("org_id"))
        } else {
            sql.contains(&format!("{table}.org_id = ")) || sql.contains(" org_id = ")
        };
        (!names_it).then_some(table)
    })
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|one| word.eq_ignore_ascii_case(one))
}

#[cfg(test)]
mod tests {
    use diesel::{RunQueryDsl as _, SqliteConnection};

    use super::*;

    #[test]
    fn z9_the_tables_are_those_of_the_schema() {
        assert!(TABLES.contains(&"inventory_objects") && TABLES.contains(&"audit_heads"));
        assert!(!TABLES.contains(&"work_items") && !TABLES.contains(&"api_keys"));
        assert!(TABLES.len() > 10, "{TABLES:?}");
    }

    #[test]
    fn z9_a_statement_without_its_organization_is_noticed() {
        for (sql, unscoped) in [
            (
                "SELECT `tenants`.`status` FROM `tenants` WHERE (`tenants`.`tenant_id` = ?)",
                true,
            ),
            (
                "SELECT `tenants`.`status` FROM `tenants` WHERE ((`tenants`.`org_id` = ?) AND (`tenants`.`tenant_id` = ?))",
                false,
            ),
            ("SELECT \"tenants\".\"org_id\" FROM \"tenants\"", true),
            (
                "UPDATE `tenants` SET `status` = ? WHERE (`tenants`.`tenant_id` = ?)",
                true,
            ),
            (
                "DELETE FROM `group_members` WHERE (`group_members`.`org_id` = ?)",
                false,
            ),
            ("DELETE FROM `group_members`", true),
            (
                "INSERT INTO `customers` (`org_id`, `id`) VALUES (?, ?)",
                false,
            ),
            (
                "INSERT INTO `customers` (`id`, `name`) VALUES (?, 'org_id')",
                true,
            ),
            (
                "SELECT 1 FROM `group_members` WHERE `group_members`.`org_id` = ? AND EXISTS (SELECT 1 FROM `inventory_objects` WHERE `inventory_objects`.`tenant_id` = ?)",
                true,
            ),
            ("SELECT id FROM work_items WHERE due_at < ?", false),
        ] {
            assert_eq!(unscoped_table(sql).is_some(), unscoped, "{sql}");
        }
    }

    #[test]
    #[should_panic(expected = "touched without an organisation")]
    fn z9_a_watched_connection_does_not_run_such_a_statement() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        watch(&mut conn);
        let statement = diesel::sql_query("DELETE FROM customers");
        let _unreachable = statement.execute(&mut conn);
    }

    #[test]
    fn z9_values_are_not_looked_at() {
        let mut sql = WithoutValues::default();
        let written = write!(sql, "SELECT ? -- binds: org_id = ");
        assert!(written.is_err());
        assert_eq!(sql.0, "SELECT ?");
    }
}
