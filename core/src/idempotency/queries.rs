//! The SQL of idempotency keys.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::Bool};
use uuid::Uuid;

use super::service::Ticket;
use crate::store::{
    Scoped, StoreError, on_conn,
    schema::idempotency_keys as keys,
    types::{StoredTime, StoredUuid},
};

/// A key as it is stored.
pub(super) struct StoredKey {
    pub(super) row: Uuid,
    pub(super) request_hash: Vec<u8>,
    pub(super) created_at: DateTime<Utc>,
    /// The answer; `None` while the call runs.
    pub(super) answer: Option<SealedAnswer>,
}

/// An answer as it is stored.
pub(super) struct SealedAnswer {
    pub(super) status: i32,
    pub(super) location: Option<String>,
    pub(super) data_key: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = keys)]
struct KeyRow {
    row_id: StoredUuid,
    request_hash: Vec<u8>,
    created_at: StoredTime,
    status: Option<i32>,
    location: Option<String>,
    data_key: Option<Vec<u8>>,
    sealed_answer: Option<Vec<u8>>,
}

impl KeyRow {
    fn into_stored(self) -> Result<StoredKey, StoreError> {
        let answer = match (self.status, self.data_key, self.sealed_answer) {
            (None, None, None) => None,
            (Some(status), Some(data_key), Some(sealed)) => Some(SealedAnswer {
                status,
                location: self.location,
                data_key,
                sealed,
            }),
            _ => {
                return Err(StoreError::Corrupt {
                    what: "idempotent answer",
                });
            }
        };
        Ok(StoredKey {
            row: self.row_id.0,
            request_hash: self.request_hash,
            created_at: self.created_at.0,
            answer,
        })
    }
}

/// Stores the key as that of a running call. False: the key is there already.
pub(super) fn insert(
    tx: &mut Scoped<'_>,
    ticket: &Ticket,
    request_hash: &[u8],
) -> Result<bool, StoreError> {
    let row = (
        keys::org_id.eq(tx.org()),
        keys::principal.eq(&ticket.principal),
        keys::route.eq(&ticket.route),
        keys::key_hash.eq(ticket.key_hash.as_slice()),
        keys::request_hash.eq(request_hash),
        keys::row_id.eq(StoredUuid(ticket.row)),
        keys::created_at.eq(StoredTime(tx.now())),
    );
    let rows = on_conn!(tx.conn, |c| diesel::insert_into(keys::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(rows == 1)
}

/// The key that is there.
pub(super) fn find(tx: &mut Scoped<'_>, ticket: &Ticket) -> Result<Option<StoredKey>, StoreError> {
    let org = tx.org();
    let row: Option<KeyRow> = on_conn!(tx.conn, |c| keys::table
        .filter(keys::org_id.eq(org))
        .filter(keys::principal.eq(&ticket.principal))
        .filter(keys::route.eq(&ticket.route))
        .filter(keys::key_hash.eq(ticket.key_hash.as_slice()))
        .select(KeyRow::as_select())
        .first(c)
        .optional())?;
    row.map(KeyRow::into_stored).transpose()
}

/// Makes the key of `old` that of a new running call. False: another call was first.
pub(super) fn take_over(
    tx: &mut Scoped<'_>,
    ticket: &Ticket,
    request_hash: &[u8],
    old: &StoredKey,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let created_at = StoredTime(tx.now());
    let change = (
        keys::request_hash.eq(request_hash),
        keys::status.eq(None::<i32>),
        keys::location.eq(None::<String>),
        keys::data_key.eq(None::<Vec<u8>>),
        keys::sealed_answer.eq(None::<Vec<u8>>),
        keys::row_id.eq(StoredUuid(ticket.row)),
        keys::created_at.eq(created_at),
    );
    let answered = old.answer.is_some();
    let rows = on_conn!(tx.conn, |c| diesel::update(
        keys::table
            .filter(keys::org_id.eq(org))
            .filter(keys::principal.eq(&ticket.principal))
            .filter(keys::route.eq(&ticket.route))
            .filter(keys::key_hash.eq(ticket.key_hash.as_slice()))
            .filter(keys::row_id.eq(StoredUuid(old.row)))
            .filter(keys::status.is_null().or(answered.into_sql::<Bool>()))
    )
    .set(change)
    .execute(c))?;
    Ok(rows == 1)
}

/// Stores the answer of the running call that holds the ticket. Fails when it holds it no more: its
/// effect must not be committed beside that of the call that took over.
pub(super) fn complete(
    tx: &mut Scoped<'_>,
    ticket: &Ticket,
    answer: &SealedAnswer,
) -> Result<(), StoreError> {
    let org = tx.org();
    let change = (
        keys::status.eq(Some(answer.status)),
        keys::location.eq(answer.location.as_deref()),
        keys::data_key.eq(Some(&answer.data_key)),
        keys::sealed_answer.eq(Some(&answer.sealed)),
    );
    let rows = on_conn!(tx.conn, |c| diesel::update(
        keys::table
            .filter(keys::org_id.eq(org))
            .filter(keys::principal.eq(&ticket.principal))
            .filter(keys::route.eq(&ticket.route))
            .filter(keys::key_hash.eq(ticket.key_hash.as_slice()))
            .filter(keys::row_id.eq(StoredUuid(ticket.row)))
            .filter(keys::status.is_null())
    )
    .set(change)
    .execute(c))?;
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Busy(diesel::result::Error::NotFound))
    }
}

/// Forgets the key of a running call that holds the ticket.
pub(super) fn release(tx: &mut Scoped<'_>, ticket: &Ticket) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::delete(
        keys::table
            .filter(keys::org_id.eq(org))
            .filter(keys::principal.eq(&ticket.principal))
            .filter(keys::route.eq(&ticket.route))
            .filter(keys::key_hash.eq(ticket.key_hash.as_slice()))
            .filter(keys::row_id.eq(StoredUuid(ticket.row)))
            .filter(keys::status.is_null())
    )
    .execute(c))?;
    Ok(())
}

/// Forgets all keys of the organisation from before a moment. Returns how many.
pub(super) fn purge(tx: &mut Scoped<'_>, before: DateTime<Utc>) -> Result<usize, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| diesel::delete(
        keys::table
            .filter(keys::org_id.eq(org))
            .filter(keys::created_at.le(StoredTime(before)))
    )
    .execute(c))?)
}
