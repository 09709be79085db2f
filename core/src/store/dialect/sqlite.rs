//! SQLite: multi-row statements of a fixed size, whose prepared form is kept; one writer, so a claim
//! needs no lock of its own.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult, QueryableByName,
    RunQueryDsl, SqliteConnection,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_query,
    sql_types::{BigInt, Bool, Integer, Nullable, Text},
    sqlite::Sqlite,
};

use super::{
    Able, Claimed, FoundObject, Hold, MemberRow, Moment, NewWork, ObjectRow, OrgWork, Target,
    Urgency,
};
use crate::{
    ids::{OrgId, TenantId, WorkItemId},
    store::{
        StoreError,
        schema::inventory_objects as objects,
        types::{DbUuid, StoredTime, StoredUuid},
    },
};

/// Rows a statement: larger ones gain nothing once the statement is kept prepared.
const ROWS: usize = 100;

pub(super) fn upsert_objects(
    conn: &mut SqliteConnection,
    target: Target,
    kind: i32,
    rows: &[ObjectRow],
) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        UpsertObjects { target, kind, rows }.execute(conn)?;
    }
    Ok(())
}

/// One statement of at most [`ROWS`] objects.
struct UpsertObjects<'a> {
    target: Target,
    kind: i32,
    rows: &'a [ObjectRow],
}

impl QueryId for UpsertObjects<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<SqliteConnection> for UpsertObjects<'_> {}

impl QueryFragment<Sqlite> for UpsertObjects<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        keep_only_full_statements(self.rows.len(), &mut out);
        out.push_sql(
            "INSERT INTO inventory_objects \
                (org_id, tenant_id, kind, object_key, name, document, generation, removed_at) \
             SELECT one.org_id, one.tenant_id, one.kind, page.column1, page.column2, page.column3, \
                one.generation, NULL FROM (SELECT ",
        );
        out.push_bind_param::<DbUuid, _>(&self.target.org)?;
        out.push_sql(" AS org_id, ");
        out.push_bind_param::<DbUuid, _>(&self.target.tenant)?;
        out.push_sql(" AS tenant_id, ");
        out.push_bind_param::<Integer, _>(&self.kind)?;
        out.push_sql(" AS kind, ");
        out.push_bind_param::<BigInt, _>(&self.target.generation)?;
        out.push_sql(" AS generation) AS one, (VALUES ");
        for (position, row) in self.rows.iter().enumerate() {
            out.push_sql(if position == 0 { "(" } else { "), (" });
            out.push_bind_param::<DbUuid, _>(&row.key)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&row.name)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&row.document)?;
        }
        // `WHERE true` tells the parser that ON CONFLICT is no join constraint.
        out.push_sql(
            ")) AS page WHERE true \
             ON CONFLICT (org_id, tenant_id, kind, object_key) DO UPDATE SET \
                name = excluded.name, document = excluded.document, \
                generation = excluded.generation, removed_at = NULL \
             WHERE document <> excluded.document OR generation <> excluded.generation \
                OR removed_at IS NOT NULL",
        );
        Ok(())
    }
}

/// Keys a statement names.
const KEYS: usize = 500;

pub(super) fn find_objects(
    conn: &mut SqliteConnection,
    org: OrgId,
    tenant: TenantId,
    kind: i32,
    keys: &[StoredUuid],
) -> Result<Vec<FoundObject>, StoreError> {
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS) {
        let rows: Vec<(StoredUuid, String, Option<StoredTime>)> = objects::table
            .filter(objects::org_id.eq(org))
            .filter(objects::tenant_id.eq(tenant))
            .filter(objects::kind.eq(kind))
            .filter(objects::object_key.eq_any(keys))
            .select((objects::object_key, objects::document, objects::removed_at))
            .load(conn)?;
        found.extend(
            rows.into_iter()
                .map(|(key, document, removed_at)| FoundObject {
                    key,
                    document,
                    removed: removed_at.is_some(),
                }),
        );
    }
    Ok(found)
}

pub(super) fn count_seen(
    conn: &mut SqliteConnection,
    target: Target,
    kind: i32,
    keys: &[StoredUuid],
) -> Result<i64, StoreError> {
    let mut seen = 0_i64;
    for keys in keys.chunks(KEYS) {
        let among: i64 = objects::table
            .filter(objects::org_id.eq(target.org))
            .filter(objects::tenant_id.eq(target.tenant))
            .filter(objects::kind.eq(kind))
            .filter(objects::object_key.eq_any(keys))
            .filter(objects::generation.eq(target.generation))
            .count()
            .get_result(conn)?;
        seen = seen.saturating_add(among);
    }
    Ok(seen)
}

pub(super) fn upsert_members(
    conn: &mut SqliteConnection,
    target: Target,
    rows: &[MemberRow],
) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        UpsertMembers { target, rows }.execute(conn)?;
    }
    Ok(())
}

/// One statement of at most [`ROWS`] memberships.
struct UpsertMembers<'a> {
    target: Target,
    rows: &'a [MemberRow],
}

impl QueryId for UpsertMembers<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<SqliteConnection> for UpsertMembers<'_> {}

impl QueryFragment<Sqlite> for UpsertMembers<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        keep_only_full_statements(self.rows.len(), &mut out);
        out.push_sql(
            "INSERT INTO group_members \
                (org_id, tenant_id, group_id, member_id, member_type, generation) \
             SELECT one.org_id, one.tenant_id, page.column1, page.column2, page.column3, \
                one.generation FROM (SELECT ",
        );
        out.push_bind_param::<DbUuid, _>(&self.target.org)?;
        out.push_sql(" AS org_id, ");
        out.push_bind_param::<DbUuid, _>(&self.target.tenant)?;
        out.push_sql(" AS tenant_id, ");
        out.push_bind_param::<BigInt, _>(&self.target.generation)?;
        out.push_sql(" AS generation) AS one, (VALUES ");
        for (position, row) in self.rows.iter().enumerate() {
            out.push_sql(if position == 0 { "(" } else { "), (" });
            out.push_bind_param::<DbUuid, _>(&row.group)?;
            out.push_sql(", ");
            out.push_bind_param::<DbUuid, _>(&row.member)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&row.member_type)?;
        }
        out.push_sql(
            ")) AS page WHERE true \
             ON CONFLICT (org_id, tenant_id, group_id, member_id) DO UPDATE SET \
                member_type = excluded.member_type, generation = excluded.generation \
             WHERE generation <> excluded.generation OR member_type <> excluded.member_type",
        );
        Ok(())
    }
}

/// A full statement comes again and again and stays prepared; the odd remainder does not.
fn keep_only_full_statements(rows: usize, out: &mut AstPass<'_, '_, Sqlite>) {
    if rows != ROWS {
        out.unsafe_to_cache_prepared();
    }
}

/// The present moment of the database, in its own unit.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
    };
}

/// For how long the oldest free work of an organisation has been due.
fn due_for(urgency: Urgency, able: Able) -> String {
    let now = now!();
    let (condition, doable) = (urgency.condition(), able.condition());
    format!(
        "(SELECT ({now} - due_at) / 1000 FROM work_items \
          WHERE org_id = organizations.id AND {condition} AND {doable} AND due_at <= {now} \
          AND (lease_until IS NULL OR lease_until < {now}) ORDER BY due_at LIMIT 1)"
    )
}

pub(super) fn work_of_organizations(
    conn: &mut SqliteConnection,
    owner: StoredUuid,
    able: Able,
) -> Result<Vec<OrgWork>, StoreError> {
    let now = now!();
    let pressing = due_for(Urgency::Pressing, able);
    let yielding = due_for(Urgency::Yielding, able);
    Ok(sql_query(format!(
        "SELECT id AS org_id, \
            (SELECT count(*) FROM work_items WHERE org_id = organizations.id AND lease_until >= {now}) AS held, \
            (SELECT count(*) FROM work_items WHERE org_id = organizations.id \
              AND lease_owner = ? AND lease_until >= {now}) AS held_here, \
            EXISTS (SELECT 1 FROM tenant_claims WHERE org_id = organizations.id) \
            OR EXISTS (SELECT 1 FROM work_items WHERE kind = 'customerSync' \
              AND org_id = organizations.id) AS has_tenants, \
            {pressing} AS pressing_ms, {yielding} AS yielding_ms FROM organizations ORDER BY id"
    ))
    .bind::<DbUuid, _>(owner)
    .get_results(conn)?)
}

pub(super) fn claim(
    conn: &mut SqliteConnection,
    (org, urgency): (OrgId, Urgency),
    able: Able,
    owner: StoredUuid,
    lease_seconds: i32,
) -> Result<Option<Claimed>, StoreError> {
    let now = now!();
    let (condition, doable) = (urgency.condition(), able.condition());
    Ok(sql_query(format!(
        "UPDATE work_items SET lease_owner = ?, lease_until = {now} + ? * 1000000, \
            fence = fence + 1, attempts = attempts + 1 \
         WHERE id = (SELECT id FROM work_items WHERE org_id = ? AND {condition} AND {doable} AND due_at <= {now} \
            AND (lease_until IS NULL OR lease_until < {now}) ORDER BY due_at, id LIMIT 1) \
         RETURNING id, org_id, tenant_id, kind, subject_id, fence, attempts, due_at"
    ))
    .bind::<DbUuid, _>(owner)
    .bind::<Integer, _>(lease_seconds)
    .bind::<DbUuid, _>(org)
    .get_result(conn)
    .optional()?)
}

pub(super) fn enqueue(conn: &mut SqliteConnection, work: &NewWork) -> Result<(), StoreError> {
    sql_query(concat!(
        "INSERT INTO work_items (id, org_id, tenant_id, kind, subject_id, due_at) \
         VALUES (?, ?, ?, ?, ?, ",
        now!(),
        " + ? * 1000) ON CONFLICT (kind, subject_id) DO UPDATE SET due_at = excluded.due_at"
    ))
    .bind::<DbUuid, _>(work.id)
    .bind::<DbUuid, _>(work.org)
    .bind::<Nullable<DbUuid>, _>(work.tenant)
    .bind::<Text, _>(work.kind)
    .bind::<DbUuid, _>(work.subject)
    .bind::<BigInt, _>(work.delay_ms)
    .execute(conn)?;
    Ok(())
}

pub(super) fn release(
    conn: &mut SqliteConnection,
    id: WorkItemId,
    fence: i64,
    delay_ms: i64,
) -> Result<(), StoreError> {
    sql_query(concat!(
        "UPDATE work_items SET lease_owner = NULL, lease_until = NULL, due_at = ",
        now!(),
        " + ? * 1000 WHERE id = ? AND fence = ?"
    ))
    .bind::<BigInt, _>(delay_ms)
    .bind::<DbUuid, _>(id)
    .bind::<BigInt, _>(fence)
    .execute(conn)?;
    Ok(())
}

pub(super) fn renew(
    conn: &mut SqliteConnection,
    id: WorkItemId,
    fence: i64,
    lease_seconds: i32,
) -> Result<usize, StoreError> {
    Ok(sql_query(concat!(
        "UPDATE work_items SET lease_until = ",
        now!(),
        " + ? * 1000000 WHERE id = ? AND fence = ? AND lease_until >= ",
        now!()
    ))
    .bind::<Integer, _>(lease_seconds)
    .bind::<DbUuid, _>(id)
    .bind::<BigInt, _>(fence)
    .execute(conn)?)
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Bool)]
    held: bool,
}

pub(super) fn lease_is_held(
    conn: &mut SqliteConnection,
    id: WorkItemId,
    fence: i64,
) -> Result<bool, StoreError> {
    let row: Option<Held> = sql_query(concat!(
        "SELECT lease_until >= ",
        now!(),
        " AS held FROM work_items WHERE id = ? AND fence = ? AND lease_until IS NOT NULL"
    ))
    .bind::<DbUuid, _>(id)
    .bind::<BigInt, _>(fence)
    .get_result(conn)
    .optional()?;
    Ok(row.is_some_and(|row| row.held))
}

pub(super) fn hold_credential(
    conn: &mut SqliteConnection,
    org: OrgId,
    hold: &Hold,
) -> Result<usize, StoreError> {
    Ok(sql_query(concat!(
        "UPDATE connection_credentials SET held_by = ?, held_until = ",
        now!(),
        " + ? * 1000000 WHERE org_id = ? AND connection_id = ? AND generation = ? \
         AND (held_until IS NULL OR held_until < ",
        now!(),
        ")"
    ))
    .bind::<DbUuid, _>(hold.by)
    .bind::<Integer, _>(hold.seconds)
    .bind::<DbUuid, _>(org)
    .bind::<DbUuid, _>(hold.connection)
    .bind::<BigInt, _>(hold.generation)
    .execute(conn)?)
}

pub(super) fn begin_sharing(conn: &mut SqliteConnection) -> Result<StoredTime, StoreError> {
    // The transaction is the only writer already.
    let moment: Moment = sql_query(concat!("SELECT ", now!(), " AS now")).get_result(conn)?;
    Ok(moment.now)
}
