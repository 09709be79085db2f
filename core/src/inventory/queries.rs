//! The SQL of the inventory.

use std::collections::HashMap;

use diesel::{
    dsl::{count_star, exists},
    prelude::*,
};
use uuid::Uuid;

use super::ObjectKind;
use crate::{
    ids::TenantId,
    store::{
        Scoped, StoreError,
        dialect::{self, FoundObject, ObjectRow},
        on_conn,
        schema::{data_set_states, group_members, inventory_objects as objects},
        search,
        types::{StoredTime, StoredUuid},
    },
};

/// A row count as the 64-bit number that counts are kept in.
fn as_count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Stores objects of a page, and says how many of them the read of `generation` had not seen before.
/// Their keys differ.
pub(crate) fn store_objects(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    generation: i64,
    rows: &[ObjectRow],
) -> Result<usize, StoreError> {
    let keys: Vec<StoredUuid> = rows.iter().map(|row| row.key).collect();
    let seen = dialect::count_seen(tx, tenant, kind.number(), generation, &keys)?;
    dialect::upsert_objects(tx, tenant, kind.number(), generation, rows)?;
    Ok(rows
        .len()
        .saturating_sub(usize::try_from(seen).unwrap_or(usize::MAX)))
}

/// Marks removed what a full read older than `generation` saw last. Returns how many.
pub(super) fn remove_unseen(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    generation: i64,
) -> Result<i64, StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    let rows = on_conn!(tx.conn, |c| diesel::update(
        objects::table
            .filter(objects::org_id.eq(org))
            .filter(objects::tenant_id.eq(tenant))
            .filter(objects::kind.eq(kind.number()))
            .filter(objects::generation.lt(generation))
            .filter(objects::removed_at.is_null())
    )
    .set(objects::removed_at.eq(now))
    .execute(c))?;
    Ok(as_count(rows))
}

/// How many are known, and how many of them a full read older than `generation` saw last.
pub(super) fn count_unseen(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    generation: i64,
) -> Result<(i64, i64), StoreError> {
    let org = tx.org();
    let known = count(tx, tenant, kind)?;
    let unseen = on_conn!(tx.conn, |c| objects::table
        .filter(objects::org_id.eq(org))
        .filter(objects::tenant_id.eq(tenant))
        .filter(objects::kind.eq(kind.number()))
        .filter(objects::generation.lt(generation))
        .filter(objects::removed_at.is_null())
        .select(count_star())
        .get_result(c))?;
    Ok((known, unseen))
}

/// How many objects there are, removed ones left out.
pub(super) fn count(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
) -> Result<i64, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| objects::table
        .filter(objects::org_id.eq(org))
        .filter(objects::tenant_id.eq(tenant))
        .filter(objects::kind.eq(kind.number()))
        .filter(objects::removed_at.is_null())
        .select(count_star())
        .get_result(c))?)
}

/// Marks the given objects removed: what a delta reported.
pub(crate) fn mark_removed(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    keys: &[Uuid],
) -> Result<(), StoreError> {
    let (org, now) = (tx.org(), StoredTime(tx.now()));
    for key in keys {
        on_conn!(tx.conn, |c| diesel::update(
            objects::table
                .filter(objects::org_id.eq(org))
                .filter(objects::tenant_id.eq(tenant))
                .filter(objects::kind.eq(kind.number()))
                .filter(objects::object_key.eq(StoredUuid(*key)))
                .filter(objects::removed_at.is_null())
        )
        .set(objects::removed_at.eq(now))
        .execute(c))?;
    }
    Ok(())
}

/// Takes memberships out: (group, member) pairs that a delta reported.
pub(crate) fn remove_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    pairs: &[(Uuid, Uuid)],
) -> Result<(), StoreError> {
    let org = tx.org();
    for (group, member) in pairs {
        let (group, member) = (StoredUuid(*group), StoredUuid(*member));
        on_conn!(tx.conn, |c| diesel::delete(
            group_members::table
                .filter(group_members::org_id.eq(org))
                .filter(group_members::tenant_id.eq(tenant))
                .filter(group_members::group_id.eq(group))
                .filter(group_members::member_id.eq(member))
        )
        .execute(c))?;
    }
    Ok(())
}

/// Memberships known, and those that a full read older than `generation` saw last in a group that
/// this read did see.
pub(super) fn count_unseen_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
) -> Result<(i64, i64), StoreError> {
    let org = tx.org();
    let known = on_conn!(tx.conn, |c| group_members::table
        .filter(group_members::org_id.eq(org))
        .filter(group_members::tenant_id.eq(tenant))
        .select(count_star())
        .get_result(c))?;
    let unseen = on_conn!(tx.conn, |c| group_members::table
        .filter(group_members::org_id.eq(org))
        .filter(group_members::tenant_id.eq(tenant))
        .filter(group_members::generation.lt(generation))
        .select(count_star())
        .get_result(c))?;
    Ok((known, unseen))
}

/// Deletes the memberships that a full read older than `generation` saw last. Returns how many.
pub(super) fn remove_unseen_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
) -> Result<i64, StoreError> {
    let org = tx.org();
    let rows = on_conn!(tx.conn, |c| diesel::delete(
        group_members::table
            .filter(group_members::org_id.eq(org))
            .filter(group_members::tenant_id.eq(tenant))
            .filter(group_members::generation.lt(generation))
    )
    .execute(c))?;
    Ok(as_count(rows))
}

/// Objects of a page by key order: (key, document).
pub(crate) fn live_documents(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    after: Option<Uuid>,
    search: Option<&str>,
    limit: i64,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let org = tx.org();
    let pattern = search.map(search::containing);
    let rows: Vec<(StoredUuid, String)> = on_conn!(tx.conn, |c| {
        let mut query = objects::table
            .filter(objects::org_id.eq(org))
            .filter(objects::tenant_id.eq(tenant))
            .filter(objects::kind.eq(kind.number()))
            .filter(objects::removed_at.is_null())
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(objects::object_key.gt(StoredUuid(after)));
        }
        if let Some(pattern) = &pattern {
            query = query.filter(objects::name.like(pattern).escape('\\'));
        }
        query
            .order(objects::object_key)
            .limit(limit)
            .select((objects::object_key, objects::document))
            .load(c)
    })?;
    Ok(rows
        .into_iter()
        .map(|(key, document)| (key.0, document))
        .collect())
}

/// How many objects a search finds.
pub(super) fn count_matching(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    search: &str,
) -> Result<i64, StoreError> {
    let (org, pattern) = (tx.org(), search::containing(search));
    Ok(on_conn!(tx.conn, |c| objects::table
        .filter(objects::org_id.eq(org))
        .filter(objects::tenant_id.eq(tenant))
        .filter(objects::kind.eq(kind.number()))
        .filter(objects::removed_at.is_null())
        .filter(objects::name.like(&pattern).escape('\\'))
        .select(count_star())
        .get_result(c))?)
}

/// The documents of those of the given keys that are known, removed or not.
pub(crate) fn stored_documents(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    keys: &[Uuid],
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let found = find(tx, tenant, kind, keys)?;
    let documents = found
        .into_iter()
        .map(|object| (object.key.0, object.document));
    Ok(documents.collect())
}

/// The documents of those of the given keys that are not removed.
pub(crate) fn live_among(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    keys: &[Uuid],
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let mut found = find(tx, tenant, kind, keys)?;
    found.retain(|object| !object.removed);
    let documents = found
        .into_iter()
        .map(|object| (object.key.0, object.document));
    Ok(documents.collect())
}

fn find(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    keys: &[Uuid],
) -> Result<Vec<FoundObject>, StoreError> {
    let keys: Vec<StoredUuid> = keys.iter().copied().map(StoredUuid).collect();
    dialect::find_objects(tx, tenant, kind.number(), &keys)
}

/// The descriptions of those of these tenants that have been read.
pub(crate) fn organization_documents(
    tx: &mut Scoped<'_>,
    tenants: &[TenantId],
) -> Result<HashMap<TenantId, String>, StoreError> {
    let org = tx.org();
    let rows: Vec<(TenantId, String)> = on_conn!(tx.conn, |c| objects::table
        .filter(objects::org_id.eq(org))
        .filter(objects::tenant_id.eq_any(tenants))
        .filter(objects::kind.eq(ObjectKind::Organization.number()))
        .filter(objects::object_key.eq(objects::tenant_id))
        .filter(objects::removed_at.is_null())
        .select((objects::tenant_id, objects::document))
        .load(c))?;
    Ok(rows.into_iter().collect())
}

/// One live object.
pub(super) fn live_document(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    key: Uuid,
) -> Result<Option<String>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| objects::table
        .filter(objects::org_id.eq(org))
        .filter(objects::tenant_id.eq(tenant))
        .filter(objects::kind.eq(kind.number()))
        .filter(objects::object_key.eq(StoredUuid(key)))
        .filter(objects::removed_at.is_null())
        .select(objects::document)
        .first(c)
        .optional())?)
}

/// Hides users and groups that are members but that the complete reads of users and groups did not
/// find: Microsoft hides soft-deleted members too, but keeps the membership, and says nothing when the
/// object is restored. Expands to a condition on `group_members`.
macro_rules! member_is_there {
    ($known:expr) => {
        group_members::member_type
            .ne_all($known)
            .or(is_live!(ObjectKind::User))
            .or(is_live!(ObjectKind::Group))
    };
}

/// Whether the member is a live object of this kind. One kind at a time, so that the whole key is known.
macro_rules! is_live {
    ($kind:expr) => {
        exists(
            objects::table
                .filter(objects::org_id.eq(group_members::org_id))
                .filter(objects::tenant_id.eq(group_members::tenant_id))
                .filter(objects::kind.eq($kind.number()))
                .filter(objects::object_key.eq(group_members::member_id))
                .filter(objects::removed_at.is_null()),
        )
    };
}

/// The types of members whose objects are all known, because their data set was read to the end.
fn completely_known(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<Vec<&'static str>, StoreError> {
    let mut known = Vec::new();
    for (data_set, member_type) in [
        ("users", "#microsoft.graph.user"),
        ("groups", "#microsoft.graph.group"),
    ] {
        if as_of(tx, tenant, data_set)?.is_some() {
            known.push(member_type);
        }
    }
    Ok(known)
}

/// Members of a group by key order: (member, type, stored name).
pub(super) fn members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    group: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<(Uuid, String, Option<String>)>, StoreError> {
    let org = tx.org();
    let known = completely_known(tx, tenant)?;
    let rows: Vec<(StoredUuid, String, Option<String>)> = on_conn!(tx.conn, |c| {
        let mut query = group_members::table
            .filter(group_members::org_id.eq(org))
            .filter(group_members::tenant_id.eq(tenant))
            .filter(group_members::group_id.eq(StoredUuid(group)))
            .filter(member_is_there!(&known))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(group_members::member_id.gt(StoredUuid(after)));
        }
        query
            .order(group_members::member_id)
            .limit(limit)
            .select((
                group_members::member_id,
                group_members::member_type,
                group_members::name,
            ))
            .load(c)
    })?;
    Ok(rows
        .into_iter()
        .map(|(member, kind, name)| (member.0, kind, name))
        .collect())
}

/// How many members a group has.
pub(super) fn count_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    group: Uuid,
) -> Result<i64, StoreError> {
    let org = tx.org();
    let known = completely_known(tx, tenant)?;
    Ok(on_conn!(tx.conn, |c| group_members::table
        .filter(group_members::org_id.eq(org))
        .filter(group_members::tenant_id.eq(tenant))
        .filter(group_members::group_id.eq(StoredUuid(group)))
        .filter(member_is_there!(&known))
        .select(count_star())
        .get_result(c))?)
}

/// End of the last complete read of a data set.
pub(crate) fn as_of(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    data_set: &str,
) -> Result<Option<chrono::DateTime<chrono::Utc>>, StoreError> {
    let org = tx.org();
    let time: Option<Option<StoredTime>> = on_conn!(tx.conn, |c| data_set_states::table
        .filter(data_set_states::org_id.eq(org))
        .filter(data_set_states::tenant_id.eq(tenant))
        .filter(data_set_states::name.eq(data_set))
        .select(data_set_states::as_of)
        .first(c)
        .optional())?;
    Ok(time.flatten().map(|time| time.0))
}

/// How many members the largest group has, of those that the read of `generation` has seen.
pub(crate) fn most_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
) -> Result<i64, StoreError> {
    let org = tx.org();
    let most: Option<i64> = on_conn!(tx.conn, |c| group_members::table
        .filter(group_members::org_id.eq(org))
        .filter(group_members::tenant_id.eq(tenant))
        .filter(group_members::generation.eq(generation))
        .group_by(group_members::group_id)
        .select(count_star())
        .order(count_star().desc())
        .first(c)
        .optional())?;
    Ok(most.unwrap_or(0))
}

/// Groups of which the read of `generation` has seen at least so many members, by id.
pub(crate) fn large_groups(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
    least: i64,
    after: Uuid,
    limit: usize,
) -> Result<Vec<Uuid>, StoreError> {
    let org = tx.org();
    let ids: Vec<StoredUuid> = on_conn!(tx.conn, |c| group_members::table
        .filter(group_members::org_id.eq(org))
        .filter(group_members::tenant_id.eq(tenant))
        .filter(group_members::generation.eq(generation))
        .filter(group_members::group_id.gt(StoredUuid(after)))
        .group_by(group_members::group_id)
        .having(count_star().ge(least))
        .select(group_members::group_id)
        .order(group_members::group_id)
        .limit(as_count(limit))
        .load(c))?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// Members that are neither users nor groups and have no name yet, by id: a page of them.
pub(crate) fn unnamed_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    after: Option<Uuid>,
) -> Result<Vec<Uuid>, StoreError> {
    /// As many ids as Microsoft Graph takes in one `getByIds`.
    const PAGE: i64 = 1_000;
    let org = tx.org();
    let after = StoredUuid(after.unwrap_or(Uuid::nil()));
    let ids: Vec<StoredUuid> = on_conn!(tx.conn, |c| group_members::table
        .filter(group_members::org_id.eq(org))
        .filter(group_members::tenant_id.eq(tenant))
        .filter(
            group_members::member_type.ne_all(["#microsoft.graph.user", "#microsoft.graph.group"])
        )
        .filter(group_members::name.is_null())
        .filter(group_members::member_id.gt(after))
        .select(group_members::member_id)
        .distinct()
        .order(group_members::member_id)
        .limit(PAGE)
        .load(c))?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// Names members wherever they are one.
pub(crate) fn name_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    names: &[(Uuid, String)],
) -> Result<(), StoreError> {
    let org = tx.org();
    for (member, name) in names {
        on_conn!(tx.conn, |c| diesel::update(
            group_members::table
                .filter(group_members::org_id.eq(org))
                .filter(group_members::tenant_id.eq(tenant))
                .filter(group_members::member_id.eq(StoredUuid(*member)))
        )
        .set(group_members::name.eq(name))
        .execute(c))?;
    }
    Ok(())
}

/// Replaces the document of one object, whatever else is stored with it.
pub(super) fn replace_document(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: ObjectKind,
    key: Uuid,
    document: &str,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        objects::table
            .filter(objects::org_id.eq(org))
            .filter(objects::tenant_id.eq(tenant))
            .filter(objects::kind.eq(kind.number()))
            .filter(objects::object_key.eq(StoredUuid(key)))
    )
    .set(objects::document.eq(document))
    .execute(c))?;
    Ok(())
}
