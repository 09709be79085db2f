//! Finding what is known of the customers that a page of a PSA names.
//!
//! On PostgreSQL `= ANY` over many keys is a trap: as long as nobody has analysed a young table, the planner
//! takes it for empty and reads all of it. A lateral subquery with a limit looks up key by key.

use diesel::{
    ExpressionMethods as _, PgConnection, QueryDsl as _, QueryableByName, RunQueryDsl as _,
    SqliteConnection, sql_query,
    sql_types::{Array, BigInt, Binary, Integer, Text},
};

use crate::{
    ids::{CustomerId, OrgId, PsaConnectionId},
    store::{
        Conn, Scoped, StoreError,
        schema::{customers, psa_records},
        types::DbUuid,
    },
};

/// Keys a statement names.
const KEYS: usize = 500;

/// A record as it is found by its id, without its text.
#[derive(Debug, QueryableByName, diesel::Queryable)]
pub(crate) struct FoundRecord {
    #[diesel(sql_type = Text)]
    pub(crate) external_id: String,
    #[diesel(sql_type = DbUuid)]
    pub(crate) customer_id: CustomerId,
    #[diesel(sql_type = Binary)]
    pub(crate) hash: Vec<u8>,
    #[diesel(sql_type = Text)]
    pub(crate) state: String,
    #[diesel(sql_type = BigInt)]
    pub(crate) generation: i64,
    #[diesel(sql_type = Integer)]
    pub(crate) misses: i32,
}

/// Finds records of a connection by their ids. Those that are not there are missing from the answer.
pub(crate) fn find_records(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[&str],
) -> Result<Vec<FoundRecord>, StoreError> {
    let org = tx.org();
    match &mut tx.conn {
        Conn::Sqlite(conn) => records_in_sqlite(conn, org, connection, ids),
        Conn::Postgres(conn) => Ok(sql_query(
            "SELECT found.* FROM unnest($3::text[]) AS wanted (id), LATERAL ( \
                SELECT external_id, customer_id, hash, state, generation, misses FROM psa_records \
                WHERE org_id = $1 AND connection_id = $2 AND external_id = wanted.id LIMIT 1 \
             ) AS found",
        )
        .bind::<DbUuid, _>(org)
        .bind::<DbUuid, _>(connection)
        .bind::<Array<Text>, _>(ids)
        .get_results::<FoundRecord>(*conn)?),
    }
}

fn records_in_sqlite(
    conn: &mut SqliteConnection,
    org: OrgId,
    connection: PsaConnectionId,
    ids: &[&str],
) -> Result<Vec<FoundRecord>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(KEYS) {
        let rows: Vec<FoundRecord> = psa_records::table
            .filter(psa_records::org_id.eq(org))
            .filter(psa_records::connection_id.eq(connection))
            .filter(psa_records::external_id.eq_any(ids))
            .select((
                psa_records::external_id,
                psa_records::customer_id,
                psa_records::hash,
                psa_records::state,
                psa_records::generation,
                psa_records::misses,
            ))
            .load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}

/// A customer as it is found by the record it came from: the one that took its place, where one did.
#[derive(Debug, QueryableByName)]
pub(crate) struct FoundOrigin {
    #[diesel(sql_type = Text)]
    pub(crate) external_id: String,
    #[diesel(sql_type = DbUuid)]
    pub(crate) customer_id: CustomerId,
}

/// Finds the customers that came from these records of one system of a source; of several the oldest.
pub(crate) fn find_origins(
    tx: &mut Scoped<'_>,
    source: &str,
    system: &str,
    ids: &[&str],
) -> Result<Vec<FoundOrigin>, StoreError> {
    let org = tx.org();
    match &mut tx.conn {
        Conn::Sqlite(conn) => origins_in_sqlite(conn, org, source, system, ids),
        Conn::Postgres(conn) => origins_in_postgres(conn, org, source, system, ids),
    }
}

fn origins_in_postgres(
    conn: &mut PgConnection,
    org: OrgId,
    source: &str,
    system: &str,
    ids: &[&str],
) -> Result<Vec<FoundOrigin>, StoreError> {
    Ok(sql_query(
        "SELECT wanted.id AS external_id, found.customer_id \
         FROM unnest($4::text[]) AS wanted (id), LATERAL ( \
            SELECT coalesce(merged_into, id) AS customer_id FROM customers \
            WHERE org_id = $1 AND source = $2 AND external_id = wanted.id AND source_system = $3 \
            ORDER BY id LIMIT 1 \
         ) AS found",
    )
    .bind::<DbUuid, _>(org)
    .bind::<Text, _>(source)
    .bind::<Text, _>(system)
    .bind::<Array<Text>, _>(ids)
    .get_results(conn)?)
}

fn origins_in_sqlite(
    conn: &mut SqliteConnection,
    org: OrgId,
    source: &str,
    system: &str,
    ids: &[&str],
) -> Result<Vec<FoundOrigin>, StoreError> {
    let mut found: Vec<FoundOrigin> = Vec::new();
    for ids in ids.chunks(KEYS) {
        let rows: Vec<(Option<String>, CustomerId, Option<CustomerId>)> = customers::table
            .filter(customers::org_id.eq(org))
            .filter(customers::source.eq(source))
            .filter(customers::source_system.eq(system))
            .filter(customers::external_id.eq_any(ids))
            .order((customers::external_id, customers::id))
            .select((
                customers::external_id,
                customers::id,
                customers::merged_into,
            ))
            .load(conn)?;
        for (external_id, id, merged_into) in rows {
            let Some(external_id) = external_id else {
                continue;
            };
            if found
                .last()
                .is_none_or(|last| last.external_id != external_id)
            {
                found.push(FoundOrigin {
                    external_id,
                    customer_id: merged_into.unwrap_or(id),
                });
            }
        }
    }
    Ok(found)
}
