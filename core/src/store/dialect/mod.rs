//! What must differ between the two databases: bulk writes and claims, whose two files have the same
//! functions, of which those here pick the one that fits the connection; and hearing of other processes,
//! which only PostgreSQL knows.

pub(super) mod notices;
mod postgres;
pub(crate) mod psa;
mod sqlite;

use std::borrow::Cow;

use super::{
    Conn, Global, Scoped, StoreError,
    types::{StoredTime, StoredUuid},
};
use crate::{
    ids::{ConnectionId, OrgId, TenantId, WorkItemId},
    names::without_nul,
};

/// Which organisation, tenant and full read a bulk write belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) org: OrgId,
    pub(crate) tenant: TenantId,
    pub(crate) generation: i64,
}

/// One object of the inventory as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRow {
    /// Microsoft's GUID or what stands for it.
    pub key: StoredUuid,
    /// Display name in lower case.
    pub name: Option<String>,
    /// JSON.
    pub document: String,
}

/// One membership as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// The group.
    pub group: StoredUuid,
    /// The member.
    pub member: StoredUuid,
    /// Microsoft's `@odata.type`.
    pub member_type: String,
}

/// A claimed unit of work.
#[derive(Debug, Clone, PartialEq, Eq, diesel::QueryableByName)]
pub(crate) struct Claimed {
    #[diesel(sql_type = super::types::DbUuid)]
    pub(crate) id: WorkItemId,
    #[diesel(sql_type = super::types::DbUuid)]
    pub(crate) org_id: OrgId,
    #[diesel(sql_type = diesel::sql_types::Nullable<super::types::DbUuid>)]
    pub(crate) tenant_id: Option<TenantId>,
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(crate) kind: String,
    #[diesel(sql_type = super::types::DbUuid)]
    pub(crate) subject_id: StoredUuid,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub(crate) fence: i64,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    pub(crate) attempts: i32,
    #[diesel(sql_type = super::types::DbTs)]
    pub(crate) due_at: StoredTime,
}

/// Writes objects: new ones in, changed ones over, unchanged ones of the same read untouched. The keys
/// within one call must differ.
pub(crate) fn upsert_objects(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: i32,
    generation: i64,
    rows: &[ObjectRow],
) -> Result<(), StoreError> {
    let target = Target {
        org: tx.org(),
        tenant,
        generation,
    };
    let rows = &all_storable(rows, |row| {
        let name = row.name.as_deref()?;
        name.contains('\0').then(|| ObjectRow {
            name: Some(without_nul(name).into_owned()),
            ..row.clone()
        })
    });
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::upsert_objects(conn, target, kind, rows),
        Conn::Postgres(conn) => postgres::upsert_objects(conn, target, kind, rows),
    }
}

/// An object as it is found by its key.
#[derive(Debug, diesel::QueryableByName)]
pub(crate) struct FoundObject {
    #[diesel(sql_type = super::types::DbUuid)]
    pub(crate) key: StoredUuid,
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(crate) document: String,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub(crate) removed: bool,
}

/// Finds objects by their keys, removed ones too. Keys that are not there are missing from the answer.
pub(crate) fn find_objects(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: i32,
    keys: &[StoredUuid],
) -> Result<Vec<FoundObject>, StoreError> {
    let org = tx.org();
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::find_objects(conn, org, tenant, kind, keys),
        Conn::Postgres(conn) => postgres::find_objects(conn, org, tenant, kind, keys),
    }
}

/// How many of these objects the read of `generation` has seen already.
pub(crate) fn count_seen(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    kind: i32,
    generation: i64,
    keys: &[StoredUuid],
) -> Result<i64, StoreError> {
    let target = Target {
        org: tx.org(),
        tenant,
        generation,
    };
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::count_seen(conn, target, kind, keys),
        Conn::Postgres(conn) => postgres::count_seen(conn, target, kind, keys),
    }
}

/// Writes memberships in the same manner. The (group, member) pairs within one call must differ.
pub(crate) fn upsert_members(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
    rows: &[MemberRow],
) -> Result<(), StoreError> {
    let target = Target {
        org: tx.org(),
        tenant,
        generation,
    };
    let rows = &all_storable(rows, |row| {
        let kind = &row.member_type;
        kind.contains('\0').then(|| MemberRow {
            member_type: without_nul(kind).into_owned(),
            ..row.clone()
        })
    });
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::upsert_members(conn, target, rows),
        Conn::Postgres(conn) => postgres::upsert_members(conn, target, rows),
    }
}

/// The rows, with those that `mended` gives in the place of the ones that cannot be stored. JSON needs
/// no mending: it writes NUL as an escape.
fn all_storable<T: Clone>(rows: &[T], mended: impl Fn(&T) -> Option<T>) -> Cow<'_, [T]> {
    if rows.iter().all(|row| mended(row).is_none()) {
        return Cow::Borrowed(rows);
    }
    let each = rows
        .iter()
        .map(|row| mended(row).unwrap_or_else(|| row.clone()));
    Cow::Owned(each.collect())
}

/// Whether work is of the kind that yields to what people wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Proofs and syncs, and what is done for a PSA.
    Pressing,
    /// Passes for the kind of each mailbox.
    Yielding,
}

impl Urgency {
    /// The condition on `work_items`, word for word that of the index for it.
    const fn condition(self) -> &'static str {
        match self {
            Self::Pressing => "kind <> 'mailboxPurposes'",
            Self::Yielding => "kind = 'mailboxPurposes'",
        }
    }
}

/// Which work a worker can do: it claims no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Able {
    /// Work about tenants.
    pub(crate) tenants: bool,
    /// Work about connections to PSAs.
    pub(crate) psa: bool,
}

impl Able {
    /// The condition on `work_items`.
    const fn condition(self) -> &'static str {
        match (self.tenants, self.psa) {
            (true, true) => "true",
            (true, false) => "kind NOT IN ('customerSync', 'tickets')",
            (false, true) => "kind IN ('customerSync', 'tickets')",
            (false, false) => "false",
        }
    }
}

/// What the queue holds of one organisation at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, diesel::QueryableByName)]
pub(crate) struct OrgWork {
    #[diesel(sql_type = super::types::DbUuid)]
    pub(crate) org_id: OrgId,
    /// Pieces of work that any worker holds.
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub(crate) held: i64,
    /// Those of them that the asking worker holds.
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub(crate) held_here: i64,
    /// Whether the organisation holds a tenant or a connection to a PSA.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub(crate) has_tenants: bool,
    /// For how long its oldest free pressing work has been due, in milliseconds; null without any.
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::BigInt>)]
    pub(crate) pressing_ms: Option<i64>,
    /// The same of the work that yields.
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::BigInt>)]
    pub(crate) yielding_ms: Option<i64>,
}

/// What the queue holds of each organisation, by its id. A few look-ups in an index for each,
/// however much work is due.
pub(crate) fn work_of_organizations(
    tx: &mut Global<'_>,
    owner: StoredUuid,
    able: Able,
) -> Result<Vec<OrgWork>, StoreError> {
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::work_of_organizations(conn, owner, able),
        Conn::Postgres(conn) => postgres::work_of_organizations(conn, owner, able),
    }
}

/// Takes the oldest due and free work of an organisation for `lease_seconds` of database time.
pub(crate) fn claim(
    tx: &mut Global<'_>,
    turn: (OrgId, Urgency),
    able: Able,
    owner: StoredUuid,
    lease_seconds: i32,
) -> Result<Option<Claimed>, StoreError> {
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::claim(conn, turn, able, owner, lease_seconds),
        Conn::Postgres(conn) => postgres::claim(conn, turn, able, owner, lease_seconds),
    }
}

/// A piece of work as it enters the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewWork {
    pub(crate) id: WorkItemId,
    pub(crate) org: OrgId,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) kind: &'static str,
    pub(crate) subject: StoredUuid,
    /// From the database's present moment.
    pub(crate) delay_ms: i64,
}

/// Puts work into the queue; work about the same subject only gets the new due time.
pub(crate) fn enqueue(tx: &mut Global<'_>, work: &NewWork) -> Result<(), StoreError> {
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::enqueue(conn, work),
        Conn::Postgres(conn) => postgres::enqueue(conn, work),
    }
}

/// Frees held work for a later claim. Without effect when the lease is lost.
pub(crate) fn release(
    tx: &mut Global<'_>,
    id: WorkItemId,
    fence: i64,
    delay_ms: i64,
) -> Result<(), StoreError> {
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::release(conn, id, fence, delay_ms),
        Conn::Postgres(conn) => postgres::release(conn, id, fence, delay_ms),
    }
}

/// Prolongs a lease that is still held. False: it is lost.
pub(crate) fn renew(
    tx: &mut Global<'_>,
    id: WorkItemId,
    fence: i64,
    lease_seconds: i32,
) -> Result<bool, StoreError> {
    let rows = match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::renew(conn, id, fence, lease_seconds),
        Conn::Postgres(conn) => postgres::renew(conn, id, fence, lease_seconds),
    }?;
    Ok(rows == 1)
}

/// Whether a lease is held at this moment. On PostgreSQL the row stays locked until the transaction
/// ends, so that nobody can take the work over while its result is being committed.
pub(crate) fn lease_is_held(
    tx: &mut Global<'_>,
    id: WorkItemId,
    fence: i64,
) -> Result<bool, StoreError> {
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::lease_is_held(conn, id, fence),
        Conn::Postgres(conn) => postgres::lease_is_held(conn, id, fence),
    }
}

/// A wish to exchange the refresh token of a connection alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    pub(crate) connection: ConnectionId,
    pub(crate) by: StoredUuid,
    /// The version that was read.
    pub(crate) generation: i64,
    /// Of database time.
    pub(crate) seconds: i32,
}

/// Holds a credential that nobody holds. False: somebody does, or the version is another one.
pub(crate) fn hold_credential(tx: &mut Scoped<'_>, hold: &Hold) -> Result<bool, StoreError> {
    let org = tx.org();
    let rows = match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::hold_credential(conn, org, hold),
        Conn::Postgres(conn) => postgres::hold_credential(conn, org, hold),
    }?;
    Ok(rows == 1)
}

/// The present moment of the database.
#[derive(diesel::QueryableByName)]
struct Moment {
    #[diesel(sql_type = super::types::DbTs)]
    now: StoredTime,
}

/// Keeps all other processes from sharing out Microsoft's budgets until this transaction ends, and
/// tells the present moment of the database.
pub(crate) fn begin_sharing(tx: &mut Global<'_>) -> Result<StoredTime, StoreError> {
    match &mut tx.conn {
        Conn::Sqlite(conn) => sqlite::begin_sharing(conn),
        Conn::Postgres(conn) => postgres::begin_sharing(conn),
    }
}
