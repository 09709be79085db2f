//! PostgreSQL: arrays through UNNEST for a page of Microsoft Graph, SKIP LOCKED for claims.

use diesel::{
    OptionalExtension as _, PgConnection, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text},
};

use super::{
    Able, Claimed, FoundObject, Hold, MemberRow, Moment, NewWork, ObjectRow, OrgWork, Target,
    Urgency, notices,
};
use crate::{
    ids::{OrgId, TenantId, WorkItemId},
    store::{
        StoreError,
        types::{DbUuid, StoredTime, StoredUuid},
    },
};

/// Rows a statement: past a few thousand UNNEST gets slower.
const ROWS: usize = 2_000;

pub(super) fn upsert_objects(
    conn: &mut PgConnection,
    target: Target,
    kind: i32,
    rows: &[ObjectRow],
) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        sql_query(
            "INSERT INTO inventory_objects AS stored \
                (org_id, tenant_id, kind, object_key, name, document, generation, removed_at) \
             SELECT $1, $2, $3, page.key, page.name, page.document, $4, NULL \
             FROM unnest($5::uuid[], $6::text[], $7::text[]) AS page (key, name, document) \
             ON CONFLICT (org_id, tenant_id, kind, object_key) DO UPDATE SET \
                name = excluded.name, document = excluded.document, \
                generation = excluded.generation, removed_at = NULL \
             WHERE stored.document <> excluded.document OR stored.generation <> excluded.generation \
                OR stored.removed_at IS NOT NULL",
        )
        .bind::<DbUuid, _>(target.org)
        .bind::<DbUuid, _>(target.tenant)
        .bind::<Integer, _>(kind)
        .bind::<BigInt, _>(target.generation)
        .bind::<Array<DbUuid>, _>(rows.iter().map(|row| row.key).collect::<Vec<StoredUuid>>())
        .bind::<Array<Nullable<Text>>, _>(rows.iter().map(|row| row.name.as_deref()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rows.iter().map(|row| row.document.as_str()).collect::<Vec<_>>())
        .execute(conn)?;
    }
    Ok(())
}

// `= ANY` over many keys is a trap: as long as nobody has analysed a young table, the planner takes it
// for empty, reads the whole kind and filters. A lateral subquery with a limit looks up key by key.

pub(super) fn find_objects(
    conn: &mut PgConnection,
    org: OrgId,
    tenant: TenantId,
    kind: i32,
    keys: &[StoredUuid],
) -> Result<Vec<FoundObject>, StoreError> {
    Ok(sql_query(
        "SELECT found.object_key AS key, found.document, found.removed_at IS NOT NULL AS removed \
         FROM unnest($4::uuid[]) AS wanted (key), LATERAL ( \
            SELECT object_key, document, removed_at FROM inventory_objects \
            WHERE org_id = $1 AND tenant_id = $2 AND kind = $3 AND object_key = wanted.key LIMIT 1 \
         ) AS found",
    )
    .bind::<DbUuid, _>(org)
    .bind::<DbUuid, _>(tenant)
    .bind::<Integer, _>(kind)
    .bind::<Array<DbUuid>, _>(keys)
    .get_results(conn)?)
}

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = BigInt)]
    seen: i64,
}

pub(super) fn count_seen(
    conn: &mut PgConnection,
    target: Target,
    kind: i32,
    keys: &[StoredUuid],
) -> Result<i64, StoreError> {
    let row: Seen = sql_query(
        "SELECT count(*) AS seen FROM unnest($5::uuid[]) AS wanted (key), LATERAL ( \
            SELECT 1 FROM inventory_objects \
            WHERE org_id = $1 AND tenant_id = $2 AND kind = $3 AND object_key = wanted.key \
               AND generation = $4 LIMIT 1 \
         ) AS found",
    )
    .bind::<DbUuid, _>(target.org)
    .bind::<DbUuid, _>(target.tenant)
    .bind::<Integer, _>(kind)
    .bind::<BigInt, _>(target.generation)
    .bind::<Array<DbUuid>, _>(keys)
    .get_result(conn)?;
    Ok(row.seen)
}

pub(super) fn upsert_members(
    conn: &mut PgConnection,
    target: Target,
    rows: &[MemberRow],
) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS) {
        sql_query(
            "INSERT INTO group_members AS stored \
                (org_id, tenant_id, group_id, member_id, member_type, generation) \
             SELECT $1, $2, page.group_id, page.member_id, page.member_type, $3 \
             FROM unnest($4::uuid[], $5::uuid[], $6::text[]) AS page (group_id, member_id, member_type) \
             ON CONFLICT (org_id, tenant_id, group_id, member_id) DO UPDATE SET \
                member_type = excluded.member_type, generation = excluded.generation \
             WHERE stored.generation <> excluded.generation OR stored.member_type <> excluded.member_type",
        )
        .bind::<DbUuid, _>(target.org)
        .bind::<DbUuid, _>(target.tenant)
        .bind::<BigInt, _>(target.generation)
        .bind::<Array<DbUuid>, _>(rows.iter().map(|row| row.group).collect::<Vec<StoredUuid>>())
        .bind::<Array<DbUuid>, _>(rows.iter().map(|row| row.member).collect::<Vec<StoredUuid>>())
        .bind::<Array<Text>, _>(rows.iter().map(|row| row.member_type.as_str()).collect::<Vec<_>>())
        .execute(conn)?;
    }
    Ok(())
}

/// For how long the oldest free work of an organisation has been due.
fn due_for(urgency: Urgency, able: Able) -> String {
    let (condition, doable) = (urgency.condition(), able.condition());
    format!(
        "(SELECT (extract(epoch FROM now() - due_at) * 1000)::bigint FROM work_items \
          WHERE org_id = organizations.id AND {condition} AND {doable} \
          AND due_at <= now() AND (lease_until IS NULL OR lease_until < now()) \
          ORDER BY due_at LIMIT 1)"
    )
}

pub(super) fn work_of_organizations(
    conn: &mut PgConnection,
    owner: StoredUuid,
    able: Able,
) -> Result<Vec<OrgWork>, StoreError> {
    let pressing = due_for(Urgency::Pressing, able);
    let yielding = due_for(Urgency::Yielding, able);
    // The order makes the planner use the index, whose first hit decides, where EXISTS reads the table.
    Ok(sql_query(format!(
        "SELECT id AS org_id, held.everywhere AS held, held.here AS held_here, \
            coalesce((SELECT org_id FROM tenant_claims WHERE org_id >= organizations.id \
              ORDER BY org_id LIMIT 1) = organizations.id, false) \
            OR coalesce((SELECT org_id FROM work_items WHERE kind = 'customerSync' \
              AND org_id >= organizations.id ORDER BY org_id LIMIT 1) = organizations.id, false) \
              AS has_tenants, \
            {pressing} AS pressing_ms, {yielding} AS yielding_ms \
         FROM organizations CROSS JOIN LATERAL ( \
            SELECT count(*) AS everywhere, count(*) FILTER (WHERE lease_owner = $1) AS here \
            FROM work_items WHERE org_id = organizations.id AND lease_until >= now()) AS held \
         ORDER BY id"
    ))
    .bind::<DbUuid, _>(owner)
    .get_results(conn)?)
}

pub(super) fn claim(
    conn: &mut PgConnection,
    (org, urgency): (OrgId, Urgency),
    able: Able,
    owner: StoredUuid,
    lease_seconds: i32,
) -> Result<Option<Claimed>, StoreError> {
    Ok(sql_query(format!(
        "UPDATE work_items SET lease_owner = $1, lease_until = now() + make_interval(secs => $2), \
            fence = fence + 1, attempts = attempts + 1 \
         WHERE id = (SELECT id FROM work_items WHERE org_id = $3 AND {} AND {} AND due_at <= now() \
            AND (lease_until IS NULL OR lease_until < now()) \
            ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) \
         RETURNING id, org_id, tenant_id, kind, subject_id, fence, attempts, due_at",
        urgency.condition(),
        able.condition()
    ))
    .bind::<DbUuid, _>(owner)
    .bind::<Integer, _>(lease_seconds)
    .bind::<DbUuid, _>(org)
    .get_result(conn)
    .optional()?)
}

pub(super) fn enqueue(conn: &mut PgConnection, work: &NewWork) -> Result<(), StoreError> {
    sql_query(
        "INSERT INTO work_items (id, org_id, tenant_id, kind, subject_id, due_at) \
         VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 millisecond') \
         ON CONFLICT (kind, subject_id) DO UPDATE SET due_at = excluded.due_at",
    )
    .bind::<DbUuid, _>(work.id)
    .bind::<DbUuid, _>(work.org)
    .bind::<Nullable<DbUuid>, _>(work.tenant)
    .bind::<Text, _>(work.kind)
    .bind::<DbUuid, _>(work.subject)
    .bind::<BigInt, _>(work.delay_ms)
    .execute(conn)?;
    tell_if_due(conn, work.delay_ms)
}

pub(super) fn release(
    conn: &mut PgConnection,
    id: WorkItemId,
    fence: i64,
    delay_ms: i64,
) -> Result<(), StoreError> {
    sql_query(
        "UPDATE work_items SET lease_owner = NULL, lease_until = NULL, \
            due_at = now() + $1 * interval '1 millisecond' WHERE id = $2 AND fence = $3",
    )
    .bind::<BigInt, _>(delay_ms)
    .bind::<DbUuid, _>(id)
    .bind::<BigInt, _>(fence)
    .execute(conn)?;
    tell_if_due(conn, delay_ms)
}

/// Later work is found when the queue is looked at.
fn tell_if_due(conn: &mut PgConnection, delay_ms: i64) -> Result<(), StoreError> {
    if delay_ms > 0 {
        return Ok(());
    }
    notices::tell_work(conn)
}

pub(super) fn renew(
    conn: &mut PgConnection,
    id: WorkItemId,
    fence: i64,
    lease_seconds: i32,
) -> Result<usize, StoreError> {
    Ok(sql_query(
        "UPDATE work_items SET lease_until = now() + make_interval(secs => $1) \
         WHERE id = $2 AND fence = $3 AND lease_until >= now()",
    )
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
    conn: &mut PgConnection,
    id: WorkItemId,
    fence: i64,
) -> Result<bool, StoreError> {
    // clock_timestamp and not now: the transaction may have begun before the lease ran out.
    let row: Option<Held> = sql_query(
        "SELECT lease_until >= clock_timestamp() AS held FROM work_items \
         WHERE id = $1 AND fence = $2 AND lease_until IS NOT NULL FOR UPDATE",
    )
    .bind::<DbUuid, _>(id)
    .bind::<BigInt, _>(fence)
    .get_result(conn)
    .optional()?;
    Ok(row.is_some_and(|row| row.held))
}

pub(super) fn hold_credential(
    conn: &mut PgConnection,
    org: OrgId,
    hold: &Hold,
) -> Result<usize, StoreError> {
    Ok(sql_query(
        "UPDATE connection_credentials SET held_by = $1, held_until = now() + make_interval(secs => $2) \
         WHERE org_id = $3 AND connection_id = $4 AND generation = $5 \
            AND (held_until IS NULL OR held_until < now())",
    )
    .bind::<DbUuid, _>(hold.by)
    .bind::<Integer, _>(hold.seconds)
    .bind::<DbUuid, _>(org)
    .bind::<DbUuid, _>(hold.connection)
    .bind::<BigInt, _>(hold.generation)
    .execute(conn)?)
}

/// Any number that nothing else in this database locks by.
const SHARING: i64 = 0x7e4a_0b1d_6e75;

pub(super) fn begin_sharing(conn: &mut PgConnection) -> Result<StoredTime, StoreError> {
    sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(SHARING)
        .execute(conn)?;
    // The clock after the wait for the lock, not that of the transaction's beginning.
    let moment: Moment = sql_query("SELECT clock_timestamp() AS now").get_result(conn)?;
    Ok(moment.now)
}
