//! What keeps the organisations apart below the queries, and the audit as it was.

use std::sync::Arc;

use tenantry_core::{
    access::OrgScope,
    clock::Clock,
    customers::{CustomerFilter, CustomerService, NewCustomer},
    ids::CustomerId,
    secrets::SecretText,
    store::{DatabaseLocation, GuardError, OpenError, Store, global_tables::GLOBAL_TABLES},
};
use tenantry_tests::{
    database::{Backend, Raw},
    on_both_databases,
};
use uuid::Uuid;

use crate::store::TestStore;

async fn customer(db: &TestStore, scope: &OrgScope) -> CustomerId {
    let new = NewCustomer {
        name: "Contoso".to_owned(),
        domains: Vec::new(),
    };
    CustomerService::new(db.store.clone())
        .create(scope, new, |_, _| Ok(()))
        .await
        .unwrap()
        .id
}

/// A connection with the rights of the product's queries.
fn as_product(db: &TestStore) -> Raw {
    let raw = db.raw();
    raw.execute("SET ROLE tenantry_app");
    raw
}

/// The store's location with another login role, the test's own role migrating.
fn with_login(db: &TestStore, login: &str) -> DatabaseLocation {
    let DatabaseLocation::Postgres {
        url: admin,
        pool_size,
        ..
    } = db.location()
    else {
        panic!("on PostgreSQL only")
    };
    let mut url = url::Url::parse(admin.expose()).unwrap();
    url.set_username(login).unwrap();
    DatabaseLocation::Postgres {
        url: Arc::new(SecretText::new(url.to_string())),
        admin_url: Some(admin),
        pool_size,
    }
}

fn guard_error(location: DatabaseLocation) -> GuardError {
    match Store::open(location, Clock::system(), true) {
        Err(OpenError::Guard(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

/// A login role for one test, dropped with it. Roles belong to the whole server.
struct Login(String);

impl Login {
    fn new(attributes: &str) -> Self {
        let name = format!("login_{}", Uuid::now_v7().simple());
        Raw::server().execute(&format!("CREATE ROLE {name} LOGIN {attributes}"));
        Self(name)
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        Raw::server().execute(&format!("DROP ROLE IF EXISTS {}", self.0));
    }
}

on_both_databases! {
    async fn z2_a_row_cannot_point_into_another_organization(backend: Backend) {
        let db = TestStore::new(backend);
        let (own, other) = (db.organization().await, db.organization().await);
        let customer = customer(&db, &own).await.as_uuid();
        let raw = db.raw();
        let now = raw.now();
        let customer = raw.uuid(customer);
        let connection = |raw: &Raw, org: &OrgScope, customer: &str, id: Uuid| {
            let (org, id) = (raw.uuid(org.org().as_uuid()), raw.uuid(id));
            format!(
                "INSERT INTO connections (org_id, id, tenant_id, connection_type, state, next_step, \
                 entered_tenant, customer_id, created_at, expires_at) \
                 VALUES ({org}, {id}, {id}, 'adminConsent', 'pending', 'signIn', 'a', {customer}, {now}, {now})"
            )
        };
        let tenant = |raw: &Raw, org: &OrgScope, customer: &str, connection: &str| {
            let (org, id) = (raw.uuid(org.org().as_uuid()), raw.uuid(Uuid::new_v4()));
            format!(
                "INSERT INTO tenants (org_id, tenant_id, customer_id, connection_id, connection_type, status, \
                 display_name, search_text, granted_permissions, missing_permissions, tags, version, created_at) \
                 VALUES ({org}, {id}, {customer}, {connection}, 'adminConsent', 'connected', 'T', 't', '[]', \
                 '[]', '[]', 1, {now})"
            )
        };
        let request = |raw: &Raw, org: &OrgScope, connection: &str| {
            let (org, id) = (raw.uuid(org.org().as_uuid()), raw.uuid(Uuid::new_v4()));
            format!(
                "INSERT INTO authorization_requests (org_id, id, connection_id, leg, created_at, expires_at) \
                 VALUES ({org}, {id}, {connection}, 'signIn', {now}, {now})"
            )
        };
        let id = Uuid::now_v7();
        let statement = connection(&raw, &own, &customer, id);
        raw.execute(&statement);
        let own_connection = raw.uuid(id);

        let foreign = [
            connection(&raw, &other, &customer, Uuid::now_v7()),
            tenant(&raw, &other, &customer, "NULL"),
            tenant(&raw, &other, "NULL", &own_connection),
            request(&raw, &other, &own_connection),
        ];
        for statement in foreign {
            let refusal = raw.try_execute(&statement).unwrap_err();
            assert!(refusal.to_lowercase().contains("foreign key"), "{statement}: {refusal}");
        }
        let fine = [tenant(&raw, &own, &customer, &own_connection), request(&raw, &own, &own_connection)];
        for statement in fine {
            raw.execute(&statement);
        }
    }

    async fn l6_audit_events_can_be_added_and_nothing_else(backend: Backend) {
        let db = TestStore::new(backend);
        let scope = db.organization().await;
        customer(&db, &scope).await;
        let raw = db.raw();
        let before = raw.dump();
        let mut attempts = vec![
            "UPDATE audit_events SET action = 'x'",
            "UPDATE audit_events SET details = '{}' WHERE sequence = 1",
            "DELETE FROM audit_events",
            "DELETE FROM audit_events WHERE sequence = 2",
            "DELETE FROM organizations",
        ];
        if raw.is_sqlite() {
            attempts.push("INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events");
            attempts.push("UPDATE OR REPLACE audit_events SET sequence = 1");
        } else {
            attempts.push("TRUNCATE audit_events");
            attempts.push("TRUNCATE organizations CASCADE");
        }
        for attempt in attempts {
            assert!(raw.try_execute(attempt).is_err(), "{attempt}");
        }
        assert_eq!(raw.dump(), before);
        if !raw.is_sqlite() {
            let product = as_product(&db);
            for attempt in ["UPDATE audit_events SET action = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"] {
                let refusal = product.try_execute(attempt).unwrap_err();
                assert!(refusal.contains("permission denied"), "{attempt}: {refusal}");
            }
        }
    }

    async fn z8_interleaved_requests_on_one_store_see_their_own_rows(backend: Backend) {
        let db = TestStore::new(backend);
        let (one, other) = (db.organization().await, db.organization().await);
        let ids = [customer(&db, &one).await, customer(&db, &other).await];
        let reads = (0..200).map(|n| {
            let service = CustomerService::new(db.store.clone());
            let scope = if n % 2 == 0 { one.clone() } else { other.clone() };
            tokio::spawn(async move {
                let page = service.list(&scope, CustomerFilter::default(), None, 10).await.unwrap();
                (n % 2, page.items.into_iter().map(|customer| customer.id).collect::<Vec<_>>())
            })
        });
        for read in futures_util::future::join_all(reads).await {
            let (which, seen) = read.unwrap();
            assert_eq!(seen, [ids[which]]);
        }
    }
}

#[tokio::test]
async fn z8_row_level_security_alone_hides_other_organizations() {
    let db = TestStore::new(Backend::Postgres);
    let (own, other) = (db.organization().await, db.organization().await);
    customer(&db, &own).await;
    customer(&db, &other).await;
    let raw = as_product(&db);
    let scoped: Vec<String> = raw
        .tables()
        .into_iter()
        .filter(|table| GLOBAL_TABLES.iter().all(|global| global.name != table))
        .collect();
    assert!(scoped.len() > 10, "{scoped:?}");

    // Not set, empty, and an organisation that does not exist.
    for setting in [
        "RESET app.org",
        "SET app.org = ''",
        "SET app.org = '00000000-0000-0000-0000-00000000dead'",
    ] {
        raw.execute(setting);
        for table in &scoped {
            assert_eq!(raw.count(table), 0, "{setting}: {table}");
        }
        assert!(
            raw.try_execute("SET app.org = 'not a uuid'; SELECT * FROM customers")
                .is_err()
        );
        raw.execute("RESET app.org");
    }

    // Set for one transaction: its own rows in it, none after it.
    for scope in [&own, &other] {
        raw.execute(&format!("BEGIN; SET LOCAL app.org = '{}'", scope.org()));
        let seen = raw.lines("SELECT org_id::text AS line FROM customers");
        assert_eq!(seen, [scope.org().to_string()]);
        raw.execute("COMMIT");
        assert_eq!(raw.count("customers"), 0);
    }
}

#[tokio::test]
async fn z8_row_level_security_alone_refuses_writes_into_other_organizations() {
    let db = TestStore::new(Backend::Postgres);
    let (own, other) = (db.organization().await, db.organization().await);
    customer(&db, &other).await;
    let raw = as_product(&db);
    let insert = |org: &OrgScope| {
        format!(
            "INSERT INTO customers (org_id, id, name, search_text, domains, source, active, version, created_at, \
             changed_at) VALUES ('{}', '{}', 'A', 'a', '[]', 'manual', true, 1, now(), now())",
            org.org(),
            Uuid::now_v7()
        )
    };
    for setting in [
        "RESET app.org".to_owned(),
        format!("SET app.org = '{}'", own.org()),
    ] {
        raw.execute(&setting);
        let refusal = raw.try_execute(&insert(&other)).unwrap_err();
        assert!(refusal.contains("row-level security"), "{refusal}");
        raw.execute("UPDATE customers SET name = 'taken'; DELETE FROM customers");
    }
    raw.execute(&insert(&own));
    let moved = format!("UPDATE customers SET org_id = '{}'", other.org());
    assert!(
        raw.try_execute(&moved)
            .unwrap_err()
            .contains("row-level security")
    );

    let mut names = db.raw().lines("SELECT name AS line FROM customers");
    names.sort();
    assert_eq!(names, ["A", "Contoso"]);
}

#[tokio::test]
async fn z8_a_role_that_row_level_security_does_not_bind_is_refused() {
    let db = TestStore::new(Backend::Postgres);
    for (attributes, reason) in [
        ("SUPERUSER", "is a superuser"),
        ("BYPASSRLS", "may bypass row-level security"),
    ] {
        let login = Login::new(attributes);
        let error = guard_error(with_login(&db, &login.0));
        assert!(
            matches!(&error, GuardError::PrivilegedRole { why, .. } if *why == reason),
            "{error}"
        );
    }
    let owner = Login::new("");
    db.raw()
        .execute(&format!("ALTER TABLE tenants OWNER TO {}", owner.0));
    let error = guard_error(with_login(&db, &owner.0));
    assert!(
        matches!(
            error,
            GuardError::PrivilegedRole {
                why: "owns tables",
                ..
            }
        ),
        "{error}"
    );
    db.raw().execute(&format!(
        "REASSIGN OWNED BY {} TO CURRENT_USER; DROP OWNED BY {}",
        owner.0, owner.0
    ));
}

#[tokio::test]
async fn z8_a_login_role_without_rights_of_its_own_works_as_the_product() {
    let db = TestStore::new(Backend::Postgres);
    let scope = db.organization().await;
    let login = Login::new("");
    let store = Store::open(with_login(&db, &login.0), Clock::system(), true).unwrap();
    let service = CustomerService::new(store);
    let new = NewCustomer {
        name: "Contoso".to_owned(),
        domains: Vec::new(),
    };
    service.create(&scope, new, |_, _| Ok(())).await.unwrap();
    assert_eq!(
        service
            .list(&scope, CustomerFilter::default(), None, 10)
            .await
            .unwrap()
            .total,
        1
    );
}

#[tokio::test]
async fn z8_tables_without_row_level_security_are_refused_by_name() {
    let db = TestStore::new(Backend::Postgres);
    for damage in [
        "CREATE TABLE stray (org_id uuid, id uuid, PRIMARY KEY (org_id, id))",
        "CREATE VIEW stray AS SELECT * FROM customers",
        "CREATE TABLE stray (org_id uuid); ALTER TABLE stray ENABLE ROW LEVEL SECURITY; ALTER TABLE stray FORCE ROW LEVEL SECURITY",
    ] {
        db.raw().execute(damage);
        let error = guard_error(db.location());
        assert!(
            matches!(&error, GuardError::Unprotected { tables } if tables == "stray"),
            "{error}"
        );
        let kind = if damage.contains("VIEW") {
            "VIEW"
        } else {
            "TABLE"
        };
        db.raw().execute(&format!("DROP {kind} stray"));
    }
    for damage in ["NO FORCE", "DISABLE"] {
        db.raw()
            .execute(&format!("ALTER TABLE tenants {damage} ROW LEVEL SECURITY"));
        let error = guard_error(db.location());
        assert!(
            matches!(&error, GuardError::Unprotected { tables } if tables == "tenants"),
            "{error}"
        );
        db.raw().execute("ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; ALTER TABLE tenants FORCE ROW LEVEL SECURITY");
    }
    assert!(Store::open(db.location(), Clock::system(), true).is_ok());
}
