//! Refuses to work on a PostgreSQL that would not keep the organisations apart (Z8).

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    sql_types::{BigInt, Bool, Integer, Text},
};

use super::{StoreError, global_tables::GLOBAL_TABLES};

/// Why the database does not protect the organisations from each other.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The server is older than the fix of CVE-2024-10976, by which row-level security could be
    /// missed in sub-queries.
    #[error(
        "PostgreSQL {version} misses row-level security fixes: use 13.17, 14.14, 15.9, 16.5, 17.1 or later"
    )]
    OldServer {
        /// What the server calls itself.
        version: String,
    },
    /// Queries would run as a role that row-level security does not bind.
    #[error("queries would run as the role {role}, which {why}: row-level security would not hold")]
    PrivilegedRole {
        /// The role in effect after connection set-up.
        role: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Tables without enabled and forced row-level security, or without a policy.
    #[error("row-level security is not enabled, forced and with a policy on: {tables}")]
    Unprotected {
        /// Their names.
        tables: String,
    },
    /// The database cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for GuardError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

#[derive(QueryableByName)]
struct Server {
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct Role {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    superuser: bool,
    #[diesel(sql_type = Bool)]
    bypasses: bool,
    #[diesel(sql_type = BigInt)]
    owned: i64,
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct RoleName {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Member {
    #[diesel(sql_type = Bool)]
    is_member: bool,
}

/// Gives the login role of the pooled connections the rights of `tenantry_app`. The migrating role
/// does it, for only it may.
pub(super) fn let_role_work(
    admin: &mut PgConnection,
    app: &mut PgConnection,
) -> Result<(), StoreError> {
    let login: RoleName = diesel::sql_query("SELECT current_user::text AS name").get_result(app)?;
    let migrating: RoleName =
        diesel::sql_query("SELECT current_user::text AS name").get_result(admin)?;
    if login.name == migrating.name {
        // One role for both: the check of the role refuses it in words of its own.
        return Ok(());
    }
    let member: Member =
        diesel::sql_query("SELECT pg_has_role($1, 'tenantry_app', 'MEMBER') AS is_member")
            .bind::<Text, _>(&login.name)
            .get_result(admin)?;
    if !member.is_member {
        let quoted = login.name.replace('"', "\"\"");
        diesel::sql_query(format!("GRANT tenantry_app TO \"{quoted}\"")).execute(admin)?;
    }
    Ok(())
}

/// Refuses a server, role or schema with which one organisation could see another. `global_tables` are
/// those that migrations of a newer version list as without an organisation.
pub(super) fn require_isolation(
    conn: &mut PgConnection,
    global_tables: &[String],
) -> Result<(), GuardError> {
    let server: Server = diesel::sql_query(
        "SELECT current_setting('server_version_num')::integer AS number, current_setting('server_version') AS version",
    )
    .get_result(conn)?;
    let fixed_since = match server.number / 10_000 {
        ..=12 => i32::MAX,
        13 => 130_017,
        14 => 140_014,
        15 => 150_009,
        16 => 160_005,
        17 => 170_001,
        18.. => 0,
    };
    if server.number < fixed_since {
        return Err(GuardError::OldServer {
            version: server.version,
        });
    }

    let role: Role = diesel::sql_query(
        "SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypasses, \
         (SELECT count(*) FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm') \
           AND c.relnamespace = 'public'::regnamespace AND pg_has_role(r.oid, c.relowner, 'USAGE')) AS owned \
         FROM pg_roles r WHERE r.rolname = current_user",
    )
    .get_result(conn)?;
    let fault = if role.superuser {
        Some("is a superuser")
    } else if role.bypasses {
        Some("may bypass row-level security")
    } else if role.owned > 0 {
        Some("owns tables")
    } else {
        None
    };
    if let Some(why) = fault {
        return Err(GuardError::PrivilegedRole {
            role: role.name,
            why,
        });
    }

    let tables: Vec<Table> = diesel::sql_query(
        "SELECT c.relname::text AS name FROM pg_class c \
         WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = 'public'::regnamespace \
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity \
             AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)) \
         ORDER BY c.relname",
    )
    .get_results(conn)?;
    let unprotected: Vec<String> = tables
        .into_iter()
        .map(|table| table.name)
        .filter(|name| GLOBAL_TABLES.iter().all(|global| global.name != name))
        .filter(|name| !global_tables.contains(name))
        .collect();
    if unprotected.is_empty() {
        Ok(())
    } else {
        Err(GuardError::Unprotected {
            tables: unprotected.join(", "),
        })
    }
}
