//! The SQL of what PSAs say about customers.

use std::collections::HashMap;

use diesel::{
    dsl::{count_star, sql},
    prelude::*,
    sql_types::BigInt,
    upsert::excluded,
};

use super::ROWS;
use crate::{
    customers::{PsaRecord, RecordState, record::Told},
    ids::{CustomerId, OrgId, PsaConnectionId},
    store::{
        Scoped, StoreError, dialect, on_conn,
        schema::{psa_connections, psa_hints, psa_records},
        types::StoredTime,
    },
};

/// What is known of a record without its text.
pub(in crate::customers) struct StoredRecord {
    pub(in crate::customers) customer: CustomerId,
    pub(in crate::customers) hash: Vec<u8>,
    pub(in crate::customers) state: RecordState,
    pub(in crate::customers) generation: i64,
    pub(in crate::customers) misses: i32,
}

/// The records with these ids, by id; unknown ones are missing.
pub(in crate::customers) fn known(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[&str],
) -> Result<HashMap<String, StoredRecord>, StoreError> {
    let mut known = HashMap::with_capacity(ids.len());
    for found in dialect::psa::find_records(tx, connection, ids)? {
        let record = StoredRecord {
            customer: found.customer_id,
            hash: found.hash,
            state: RecordState::stored(&found.state)?,
            generation: found.generation,
            misses: found.misses,
        };
        known.insert(found.external_id, record);
    }
    Ok(known)
}

/// Code and document of records, by id.
pub(in crate::customers) fn rests(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[&str],
) -> Result<HashMap<String, (Option<String>, String)>, StoreError> {
    let org = tx.org();
    let mut rests = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(ROWS) {
        let rows: Vec<(String, Option<String>, String)> =
            on_conn!(tx.conn, |c| psa_records::table
                .filter(psa_records::org_id.eq(org))
                .filter(psa_records::connection_id.eq(connection))
                .filter(psa_records::external_id.eq_any(ids))
                .select((
                    psa_records::external_id,
                    psa_records::code,
                    psa_records::document,
                ))
                .load(c))?;
        rests.extend(
            rows.into_iter()
                .map(|(id, code, document)| (id, (code, document))),
        );
    }
    Ok(rests)
}

/// A record as it is written.
pub(in crate::customers) struct RecordRow<'a> {
    pub(in crate::customers) external_id: &'a str,
    pub(in crate::customers) customer: CustomerId,
    pub(in crate::customers) told: &'a Told,
}

#[derive(Insertable)]
#[diesel(table_name = psa_records, treat_none_as_default_value = false)]
struct NewRecord<'a> {
    org_id: OrgId,
    connection_id: PsaConnectionId,
    external_id: &'a str,
    customer_id: CustomerId,
    name: &'a str,
    code: Option<&'a str>,
    state: &'static str,
    document: &'a str,
    hash: &'a [u8],
    generation: i64,
    misses: i32,
    changed_at: StoredTime,
}

/// Writes records that are new or changed, as seen by this read. Their ids differ; whose they are stays.
pub(in crate::customers) fn upsert_records(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    generation: i64,
    rows: &[RecordRow<'_>],
) -> Result<(), StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    for rows in rows.chunks(ROWS) {
        let rows: Vec<NewRecord<'_>> = rows
            .iter()
            .map(|row| NewRecord {
                org_id: org,
                connection_id: connection,
                external_id: row.external_id,
                customer_id: row.customer,
                name: &row.told.name,
                code: row.told.code.as_deref(),
                state: row.told.state.as_str(),
                document: &row.told.document,
                hash: &row.told.hash,
                generation,
                misses: 0,
                changed_at: now,
            })
            .collect();
        on_conn!(tx.conn, |c| diesel::insert_into(psa_records::table)
            .values(&rows)
            .on_conflict((
                psa_records::org_id,
                psa_records::connection_id,
                psa_records::external_id,
            ))
            .do_update()
            .set((
                psa_records::name.eq(excluded(psa_records::name)),
                psa_records::code.eq(excluded(psa_records::code)),
                psa_records::state.eq(excluded(psa_records::state)),
                psa_records::document.eq(excluded(psa_records::document)),
                psa_records::hash.eq(excluded(psa_records::hash)),
                psa_records::generation.eq(excluded(psa_records::generation)),
                psa_records::misses.eq(0),
                psa_records::changed_at.eq(excluded(psa_records::changed_at)),
            ))
            .execute(c))?;
    }
    Ok(())
}

/// Stores that records were seen as they are.
pub(in crate::customers) fn touch(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[&str],
    generation: i64,
) -> Result<(), StoreError> {
    let org = tx.org();
    for ids in ids.chunks(ROWS) {
        on_conn!(tx.conn, |c| diesel::update(
            psa_records::table
                .filter(psa_records::org_id.eq(org))
                .filter(psa_records::connection_id.eq(connection))
                .filter(psa_records::external_id.eq_any(ids))
        )
        .set((
            psa_records::generation.eq(generation),
            psa_records::misses.eq(0)
        ))
        .execute(c))?;
    }
    Ok(())
}

/// Stores that single records were not found, as far as no full read missed them yet.
pub(in crate::customers) fn miss(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[&str],
) -> Result<(), StoreError> {
    let org = tx.org();
    for ids in ids.chunks(ROWS) {
        on_conn!(tx.conn, |c| diesel::update(
            psa_records::table
                .filter(psa_records::org_id.eq(org))
                .filter(psa_records::connection_id.eq(connection))
                .filter(psa_records::external_id.eq_any(ids))
                .filter(psa_records::misses.eq(0))
        )
        .set(psa_records::misses.eq(1))
        .execute(c))?;
    }
    Ok(())
}

/// Counts a miss for each record that the read of `generation` did not see; how many were known.
pub(in crate::customers) fn bump_misses(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    generation: i64,
) -> Result<i64, StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        psa_records::table
            .filter(psa_records::org_id.eq(org))
            .filter(psa_records::connection_id.eq(connection))
            .filter(psa_records::generation.ne(generation))
            .filter(psa_records::state.ne("gone"))
    )
    .set(psa_records::misses.eq(psa_records::misses + 1))
    .execute(c))?;
    Ok(on_conn!(tx.conn, |c| psa_records::table
        .filter(psa_records::org_id.eq(org))
        .filter(psa_records::connection_id.eq(connection))
        .filter(psa_records::state.ne("gone"))
        .select(count_star())
        .get_result(c))?)
}

/// How many records were missed at least so often and are not given up.
pub(in crate::customers) fn count_missing(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    misses: i32,
) -> Result<i64, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| psa_records::table
        .filter(psa_records::org_id.eq(org))
        .filter(psa_records::connection_id.eq(connection))
        .filter(psa_records::misses.ge(misses))
        .filter(psa_records::state.ne("gone"))
        .select(count_star())
        .get_result(c))?)
}

/// Gives up the records that were missed at least so often; whose they are.
pub(in crate::customers) fn mark_gone(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    misses: i32,
) -> Result<Vec<CustomerId>, StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    Ok(on_conn!(tx.conn, |c| diesel::update(
        psa_records::table
            .filter(psa_records::org_id.eq(org))
            .filter(psa_records::connection_id.eq(connection))
            .filter(psa_records::misses.ge(misses))
            .filter(psa_records::state.ne("gone"))
    )
    .set((
        psa_records::state.eq("gone"),
        psa_records::changed_at.eq(now)
    ))
    .returning(psa_records::customer_id)
    .get_results(c))?)
}

/// Puts all records of a customer on another one.
pub(in crate::customers) fn move_records(
    tx: &mut Scoped<'_>,
    from: CustomerId,
    to: CustomerId,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        psa_records::table
            .filter(psa_records::org_id.eq(org))
            .filter(psa_records::customer_id.eq(from))
    )
    .set(psa_records::customer_id.eq(to))
    .execute(c))?;
    Ok(())
}

#[derive(Queryable)]
struct FoundRecord {
    customer: CustomerId,
    connection: PsaConnectionId,
    kind: String,
    system: String,
    external_id: String,
    name: String,
    code: Option<String>,
    state: String,
    document: String,
}

/// The records of customers, by connection and id.
pub(in crate::customers) fn records_of(
    tx: &mut Scoped<'_>,
    customers: &[CustomerId],
) -> Result<Vec<(CustomerId, PsaRecord)>, StoreError> {
    let org = tx.org();
    let mut records = Vec::new();
    for ids in customers.chunks(ROWS) {
        let rows: Vec<FoundRecord> = on_conn!(tx.conn, |c| psa_records::table
            .inner_join(
                psa_connections::table.on(psa_connections::org_id
                    .eq(psa_records::org_id)
                    .and(psa_connections::id.eq(psa_records::connection_id)))
            )
            .filter(psa_records::org_id.eq(org))
            .filter(psa_records::customer_id.eq_any(ids))
            .order((psa_records::connection_id, psa_records::external_id))
            .select((
                psa_records::customer_id,
                psa_records::connection_id,
                psa_connections::kind,
                psa_connections::system,
                psa_records::external_id,
                psa_records::name,
                psa_records::code,
                psa_records::state,
                psa_records::document,
            ))
            .load(c))?;
        for row in rows {
            let corrupt = |what| StoreError::Corrupt { what };
            let record = PsaRecord {
                connection: row.connection,
                kind: row.kind.parse().or(Err(corrupt("kind of PSA")))?,
                system: row.system,
                external_id: row.external_id,
                name: row.name,
                code: row.code,
                state: RecordState::stored(&row.state)?,
                document: serde_json::from_str(&row.document).or(Err(corrupt("PSA record")))?,
            };
            records.push((row.customer, record));
        }
    }
    Ok(records)
}

/// A hint as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::customers) struct HintRow<'a> {
    pub(in crate::customers) external_id: &'a str,
    pub(in crate::customers) source: &'static str,
    pub(in crate::customers) kind: &'static str,
    pub(in crate::customers) value: &'a str,
    pub(in crate::customers) contacts: i64,
}

#[derive(Insertable)]
#[diesel(table_name = psa_hints, treat_none_as_default_value = false)]
struct NewHint<'a> {
    org_id: OrgId,
    connection_id: PsaConnectionId,
    external_id: &'a str,
    source: &'static str,
    kind: &'static str,
    value: &'a str,
    contacts: i64,
    generation: i64,
}

/// Writes hints: those that this read brought before add up. The rows differ in more than the number.
pub(in crate::customers) fn upsert_hints(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    generation: i64,
    rows: &[HintRow<'_>],
) -> Result<(), StoreError> {
    let org = tx.org();
    for rows in rows.chunks(ROWS) {
        let rows: Vec<NewHint<'_>> = rows
            .iter()
            .map(|row| NewHint {
                org_id: org,
                connection_id: connection,
                external_id: row.external_id,
                source: row.source,
                kind: row.kind,
                value: row.value,
                contacts: row.contacts,
                generation,
            })
            .collect();
        on_conn!(tx.conn, |c| diesel::insert_into(psa_hints::table)
            .values(&rows)
            .on_conflict((
                psa_hints::org_id,
                psa_hints::connection_id,
                psa_hints::external_id,
                psa_hints::source,
                psa_hints::kind,
                psa_hints::value,
            ))
            .do_update()
            .set((
                psa_hints::contacts.eq(sql::<BigInt>(
                    "CASE WHEN psa_hints.source = 'contacts' \
                        AND psa_hints.generation = excluded.generation \
                     THEN psa_hints.contacts + excluded.contacts ELSE excluded.contacts END",
                )),
                psa_hints::generation.eq(excluded(psa_hints::generation)),
            ))
            .execute(c))?;
    }
    Ok(())
}

/// Puts new hints of records in the place of all that these records gave before.
pub(in crate::customers) fn replace_record_hints(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    generation: i64,
    ids: &[&str],
    hints: &[HintRow<'_>],
) -> Result<(), StoreError> {
    let org = tx.org();
    for ids in ids.chunks(ROWS) {
        on_conn!(tx.conn, |c| diesel::delete(
            psa_hints::table
                .filter(psa_hints::org_id.eq(org))
                .filter(psa_hints::connection_id.eq(connection))
                .filter(psa_hints::external_id.eq_any(ids))
                .filter(psa_hints::source.eq("record"))
        )
        .execute(c))?;
    }
    upsert_hints(tx, connection, generation, hints)
}

/// Deletes the hints of a list that the read of `generation` did not see.
pub(in crate::customers) fn delete_unseen_hints(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    source: &'static str,
    generation: i64,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::delete(
        psa_hints::table
            .filter(psa_hints::org_id.eq(org))
            .filter(psa_hints::connection_id.eq(connection))
            .filter(psa_hints::source.eq(source))
            .filter(psa_hints::generation.ne(generation))
    )
    .execute(c))?;
    Ok(())
}

/// The domains of websites that records name, by record and domain.
pub(in crate::customers) fn website_hints(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ids: &[&str],
) -> Result<Vec<(String, String)>, StoreError> {
    let org = tx.org();
    let mut found = Vec::new();
    for ids in ids.chunks(ROWS) {
        let rows: Vec<(String, String)> = on_conn!(tx.conn, |c| psa_hints::table
            .filter(psa_hints::org_id.eq(org))
            .filter(psa_hints::connection_id.eq(connection))
            .filter(psa_hints::external_id.eq_any(ids))
            .filter(psa_hints::source.eq("record"))
            .filter(psa_hints::kind.eq("website"))
            .order((psa_hints::external_id, psa_hints::value))
            .select((psa_hints::external_id, psa_hints::value))
            .load(c))?;
        found.extend(rows);
    }
    Ok(found)
}
