//! The roles of PostgreSQL that an installation may work with, from an owner who may do everything down
//! to a login that may only use the tables.

use std::process::{Command, Output};

use tenantry_tests::{
    app::binary,
    database::{Backend, TestDatabase},
};
use uuid::Uuid;

const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A login role without any special right.
fn role(database: &TestDatabase) -> String {
    let name = format!("r{}", Uuid::now_v7().simple());
    database.raw().execute(&format!("CREATE ROLE {name} LOGIN"));
    name
}

/// Runs a command as this role.
fn tenantry(database: &TestDatabase, role: &str, arguments: &[&str]) -> Output {
    let url = database.url();
    let (_, rest) = url.split_once('@').expect("a URL with a user");
    Command::new(binary())
        .args(arguments)
        .current_dir(database.folder())
        .env("TENANTRY_DATABASE_URL", format!("postgres://{role}@{rest}"))
        .env("TENANTRY_MASTER_KEY", MASTER_KEY)
        .output()
        .expect("the binary runs")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_owner_without_createrole_uses_the_role_that_a_superuser_prepared() {
    let database = TestDatabase::new(Backend::Postgres);
    database.raw().execute(
        "DO $$ BEGIN CREATE ROLE tenantry_app NOLOGIN; \
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    );
    let owner = role(&database);
    let url = database.url();
    let (_, name) = url.rsplit_once('/').expect("a name");
    database
        .raw()
        .execute(&format!("ALTER DATABASE {name} OWNER TO {owner}"));
    let refused = tenantry(&database, &owner, &["migrate"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = told(&refused);
    assert!(told.contains("GRANT tenantry_app TO"), "{told}");

    database
        .raw()
        .execute(&format!("GRANT tenantry_app TO {owner}"));
    let migrated = tenantry(&database, &owner, &["migrate"]);
    assert!(migrated.status.success(), "{migrated:?}");
    let create = [
        "admin",
        "create-organization",
        "--name",
        "Northwind",
        "--json",
    ];
    let created = tenantry(&database, &owner, &create);
    assert!(created.status.success(), "{created:?}");
}

#[test]
fn z8_a_login_that_may_only_use_the_tables_works_where_nothing_is_pending() {
    let database = TestDatabase::new(Backend::Postgres);
    let login = role(&database);
    let early = tenantry(&database, &login, &["audit", "verify", "--json"]);
    assert_eq!(early.status.code(), Some(2), "{early:?}");
    assert!(told(&early).contains("pending"), "{early:?}");

    let url = database.url();
    let (_, superuser) = url.split_once("//").expect("a URL");
    let (superuser, _) = superuser.split_once('@').expect("a user");
    let migrated = tenantry(&database, superuser, &["migrate"]);
    assert!(migrated.status.success(), "{migrated:?}");
    database
        .raw()
        .execute(&format!("GRANT tenantry_app TO {login}"));
    let create = [
        "admin",
        "create-organization",
        "--name",
        "Northwind",
        "--json",
    ];
    for arguments in [&create[..], &["audit", "verify", "--json"]] {
        let done = tenantry(&database, &login, arguments);
        assert!(done.status.success(), "{done:?}");
    }
}
