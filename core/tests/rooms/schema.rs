//! The schema of both databases, and what the store refuses to open.

use std::collections::BTreeMap;

use tenantry_core::{
    clock::Clock,
    store::{MigrationError, OpenError, Store, global_tables::GLOBAL_TABLES},
};
use tenantry_tests::{
    database::{Backend, Raw, TestDatabase},
    on_both_databases,
};

use crate::{store::TestStore, support::location};

/// The list that queries are written against.
const SCHEMA: &str = include_str!("../../src/store/schema.rs");

/// A column: name, type in the words of `schema.rs`, and whether it may be null.
type Column = (String, String, bool);

/// Tables with primary key and columns.
type Tables = BTreeMap<String, (Vec<String>, Vec<Column>)>;

/// What `schema.rs` says.
fn written() -> Tables {
    let mut tables = Tables::new();
    let mut table = String::new();
    for line in SCHEMA.lines().map(str::trim) {
        if let Some((column, kind)) = line
            .strip_suffix(',')
            .and_then(|line| line.split_once(" -> "))
        {
            let inner = kind
                .strip_prefix("Nullable<")
                .and_then(|kind| kind.strip_suffix('>'));
            let column = (
                column.to_owned(),
                inner.unwrap_or(kind).to_owned(),
                inner.is_some(),
            );
            tables.get_mut(&table).unwrap().1.push(column);
        } else if let Some((name, key)) = line
            .strip_suffix(") {")
            .and_then(|line| line.split_once(" ("))
        {
            table = name.to_owned();
            let key = key.split(", ").map(str::to_owned).collect();
            tables.insert(table.clone(), (key, Vec::new()));
        }
    }
    tables
}

/// The columns of a table's primary key, in their order in it.
fn primary_key(raw: &Raw, table: &str) -> Vec<String> {
    let sql = if raw.is_sqlite() {
        format!("SELECT name AS line FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk")
    } else {
        format!(
            "SELECT a.attname::text AS line FROM pg_index i \
             JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, position) ON true \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE i.indisprimary AND i.indrelid = '{table}'::regclass ORDER BY k.position"
        )
    };
    raw.lines(&sql)
}

/// What the database says, its types in the words of `schema.rs`.
fn stored(raw: &Raw) -> Tables {
    let mut tables = Tables::new();
    for table in raw
        .tables()
        .into_iter()
        .filter(|table| !table.starts_with("__diesel"))
    {
        let sql = if raw.is_sqlite() {
            format!(
                "SELECT name || ' ' || type || ' ' || CASE WHEN \"notnull\" OR pk THEN 'no' ELSE 'yes' END AS line \
                 FROM pragma_table_info('{table}') ORDER BY cid"
            )
        } else {
            format!(
                "SELECT column_name || ' ' || split_part(data_type, ' ', 1) || ' ' || lower(is_nullable) AS line \
                 FROM information_schema.columns WHERE table_name = '{table}' ORDER BY ordinal_position"
            )
        };
        let lines = raw.lines(&sql);
        let columns = lines.iter().map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            (
                words.next().unwrap(),
                words.next().unwrap(),
                words.next().unwrap() == "yes",
            )
        });
        let columns = columns.collect();
        let key = primary_key(raw, &table);
        tables.insert(table, (key, columns));
    }
    tables
}

/// How many tables `schema.rs` lists.
fn tables_written() -> usize {
    SCHEMA.matches("diesel::table!").count()
}

/// The type that stands for one of `schema.rs`.
fn database_type(raw: &Raw, kind: &str) -> &'static str {
    let (sqlite, postgres) = match kind {
        "DbUuid" => ("BLOB", "uuid"),
        "DbTs" => ("INTEGER", "timestamp"),
        "Text" => ("TEXT", "text"),
        "Binary" => ("BLOB", "bytea"),
        "BigInt" => ("INTEGER", "bigint"),
        "Integer" => ("INTEGER", "integer"),
        "Bool" => ("BOOLEAN", "boolean"),
        other => panic!("{other} has no counterpart here"),
    };
    if raw.is_sqlite() { sqlite } else { postgres }
}

/// Tables that are neither scoped nor listed as global.
fn unscoped(raw: &Raw) -> Vec<String> {
    let mut unscoped = Vec::new();
    for table in raw.tables() {
        let global = GLOBAL_TABLES.iter().any(|global| global.name == table);
        let scoped = primary_key(raw, &table)
            .first()
            .is_some_and(|column| column == "org_id");
        if scoped == global {
            unscoped.push(table);
        }
    }
    unscoped
}

/// Each foreign key as `table(columns)->parent(columns)`.
fn foreign_keys(raw: &Raw) -> Vec<String> {
    if !raw.is_sqlite() {
        return raw.lines(
            "SELECT conrelid::regclass || '(' || \
                (SELECT string_agg(attname, ',' ORDER BY k.n) FROM unnest(conkey) WITH ORDINALITY k (a, n) \
                 JOIN pg_attribute ON attrelid = conrelid AND attnum = k.a) || ')->' || \
                confrelid::regclass || '(' || \
                (SELECT string_agg(attname, ',' ORDER BY k.n) FROM unnest(confkey) WITH ORDINALITY k (a, n) \
                 JOIN pg_attribute ON attrelid = confrelid AND attnum = k.a) || ')' AS line \
             FROM pg_constraint WHERE contype = 'f' ORDER BY 1",
        );
    }
    let mut keys = Vec::new();
    for table in raw.tables() {
        keys.extend(raw.lines(&format!(
            "SELECT '{table}(' || group_concat(\"from\", ',') || ')->' || \"table\" || '(' || \
             group_concat(\"to\", ',') || ')' AS line \
             FROM (SELECT * FROM pragma_foreign_key_list('{table}') ORDER BY id, seq) GROUP BY id"
        )));
    }
    keys.sort();
    keys
}

/// All that defines the schema, comments left out.
fn definition(raw: &Raw) -> Vec<String> {
    if raw.is_sqlite() {
        return raw.lines(
            "SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS line FROM sqlite_schema ORDER BY 1",
        );
    }
    let mut definition = raw.lines(
        "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || \
            coalesce(column_default, '') AS line FROM information_schema.columns \
         WHERE table_schema = 'public' ORDER BY 1",
    );
    for sql in [
        "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) AS line FROM pg_constraint \
         WHERE connamespace = 'public'::regnamespace ORDER BY 1",
        "SELECT indexdef AS line FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT tablename || ' ' || policyname || ' ' || qual || ' ' || with_check AS line \
         FROM pg_policies ORDER BY 1",
        "SELECT relname || ' ' || relrowsecurity || relforcerowsecurity || ' ' || coalesce(relacl::text, '') AS line \
         FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
        "SELECT tgrelid::regclass || ' ' || pg_get_triggerdef(oid) AS line FROM pg_trigger \
         WHERE NOT tgisinternal ORDER BY 1",
        "SELECT proname || ' ' || prosrc AS line FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
    ] {
        definition.extend(raw.lines(sql));
    }
    definition
}

on_both_databases! {
    async fn every_table_and_column_of_the_schema_is_the_databases(backend: Backend) {
        let db = TestStore::new(backend);
        let raw = db.raw();
        let mut written = written();
        assert_eq!(written.len(), tables_written());
        for (_, columns) in written.values_mut() {
            for (_, kind, _) in columns {
                *kind = database_type(&raw, kind).to_owned();
            }
        }
        assert_eq!(stored(&raw), written);
    }

    async fn z1_every_table_belongs_to_an_organization_or_says_why_not(backend: Backend) {
        let db = TestStore::new(backend);
        let raw = db.raw();
        assert_eq!(unscoped(&raw), Vec::<String>::new());
        let tables = raw.tables();
        for global in GLOBAL_TABLES {
            assert!(tables.iter().any(|table| table == global.name), "{} is no table", global.name);
            assert!(!global.reason.is_empty());
        }
        let keys = foreign_keys(&raw);
        for table in tables.iter().filter(|table| GLOBAL_TABLES.iter().all(|global| global.name != *table)) {
            let owner = format!("{table}(org_id)->organizations(id)");
            assert!(keys.contains(&owner), "{table} is not owned by an organization");
        }
        raw.execute("CREATE TABLE stray (id INTEGER PRIMARY KEY, org_id INTEGER)");
        assert_eq!(unscoped(&raw), ["stray"], "the check sees a table that is neither");
    }

    async fn z2_every_reference_between_organizations_rows_carries_the_organization(backend: Backend) {
        let db = TestStore::new(backend);
        let raw = db.raw();
        let mut composite = 0;
        for key in foreign_keys(&raw) {
            let (child, parent) = key.split_once("->").unwrap();
            let parent_table = parent.split('(').next().unwrap();
            if GLOBAL_TABLES.iter().any(|global| global.name == parent_table) {
                continue;
            }
            composite += 1;
            assert!(child.contains("(org_id,") && parent.contains("(org_id,"), "{key}");
        }
        assert!(composite >= 4, "{composite}");
    }

    async fn r28_migrations_can_be_undone_and_made_again(backend: Backend) {
        let db = TestStore::new(backend);
        let before = definition(&db.raw());
        Store::migrate_down_and_up(&db.location()).unwrap();
        assert_eq!(definition(&db.raw()), before);
    }

    async fn r28_a_database_of_a_newer_version_is_refused(backend: Backend) {
        let db = TestStore::new(backend);
        db.raw().execute(
            "INSERT INTO __diesel_schema_migrations (version, run_on) VALUES ('99991231235959', '2026-01-01')",
        );
        for migrate in [true, false] {
            match Store::open(db.location(), Clock::system(), migrate) {
                Err(OpenError::Migration(MigrationError::Newer { newest })) => {
                    assert_eq!(newest, "99991231235959");
                }
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("opened"),
            }
        }
    }

    async fn r28_processes_that_migrate_together_take_turns(backend: Backend) {
        let db = TestStore::new(backend);
        let location = db.location();
        drop_everything(&db.raw());
        let starts = (0..3).map(|_| {
            let location = location.clone();
            tokio::task::spawn_blocking(move || Store::open(location, Clock::system(), true).map(drop))
        });
        for outcome in futures_util::future::join_all(starts).await {
            outcome.unwrap().unwrap();
        }
        assert_eq!(stored(&db.raw()).len(), tables_written());
    }
}

fn drop_everything(raw: &Raw) {
    if raw.is_sqlite() {
        raw.execute("PRAGMA foreign_keys = OFF");
    }
    let cascade = if raw.is_sqlite() { "" } else { " CASCADE" };
    for table in raw.tables() {
        raw.execute(&format!("DROP TABLE {table}{cascade}"));
    }
    if !raw.is_sqlite() {
        raw.execute("DROP FUNCTION audit_events_refuse_change");
    }
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_refused_when_nobody_may_migrate() {
    let database = TestDatabase::new(Backend::Sqlite);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/sqlite");
    let all = std::fs::read_dir(folder).unwrap().count();
    match Store::open(location(&database.url()), Clock::system(), false) {
        Err(OpenError::Migration(MigrationError::Pending { count })) => assert_eq!(count, all),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}
