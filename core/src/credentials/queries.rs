//! The SQL of stored credentials. Visible to this room only.

use diesel::prelude::*;
use uuid::Uuid;

use super::model::CredentialKind;
use crate::{
    ids::ConnectionId,
    store::{
        Scoped, StoreError, dialect, on_conn,
        schema::{connection_credentials, connections},
        types::{StoredTime, StoredUuid},
    },
};

/// How long a refresh token is held for one exchange, in seconds of database time: longer than the
/// exchange may take.
const HOLD_SECONDS: i32 = 25;

/// A credential as it is stored.
#[derive(Debug, Clone)]
pub(super) struct StoredCredential {
    pub(super) kind: CredentialKind,
    pub(super) client_id: Option<String>,
    pub(super) sealed: Vec<u8>,
    pub(super) generation: i64,
}

/// The version of a connection's credential.
pub(super) fn generation(
    tx: &mut Scoped<'_>,
    connection: ConnectionId,
) -> Result<Option<i64>, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| connection_credentials::table
        .filter(connection_credentials::org_id.eq(org))
        .filter(connection_credentials::connection_id.eq(connection))
        .select(connection_credentials::generation)
        .first(c)
        .optional())?)
}

/// Writes a credential in the place of whatever stood there; nobody holds it.
pub(super) fn replace(
    tx: &mut Scoped<'_>,
    connection: ConnectionId,
    credential: &StoredCredential,
) -> Result<(), StoreError> {
    erase(tx, &[connection])?;
    let row = (
        connection_credentials::org_id.eq(tx.org()),
        connection_credentials::connection_id.eq(connection),
        connection_credentials::kind.eq(credential.kind.as_str()),
        connection_credentials::client_id.eq(credential.client_id.as_deref()),
        connection_credentials::sealed.eq(credential.sealed.as_slice()),
        connection_credentials::generation.eq(credential.generation),
        connection_credentials::stored_at.eq(StoredTime(tx.now())),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(
        connection_credentials::table
    )
    .values(row)
    .execute(c))?;
    Ok(())
}

/// The wrapped data key of a connection, and its credential.
pub(super) fn find(
    tx: &mut Scoped<'_>,
    connection: ConnectionId,
) -> Result<Option<(Vec<u8>, StoredCredential)>, StoreError> {
    type Row = (Option<Vec<u8>>, String, Option<String>, Vec<u8>, i64);
    let org = tx.org();
    let row: Option<Row> = on_conn!(tx.conn, |c| connections::table
        .inner_join(
            connection_credentials::table.on(connection_credentials::org_id
                .eq(connections::org_id)
                .and(connection_credentials::connection_id.eq(connections::id)))
        )
        .filter(connections::org_id.eq(org))
        .filter(connections::id.eq(connection))
        .select((
            connections::data_key,
            connection_credentials::kind,
            connection_credentials::client_id,
            connection_credentials::sealed,
            connection_credentials::generation,
        ))
        .first(c)
        .optional())?;
    let Some((Some(data_key), kind, client_id, sealed, generation)) = row else {
        return Ok(None);
    };
    let what = "credential kind";
    let kind = kind.parse().or(Err(StoreError::Corrupt { what }))?;
    let stored = StoredCredential {
        kind,
        client_id,
        sealed,
        generation,
    };
    Ok(Some((data_key, stored)))
}

/// Holds the credential with this generation for one exchange. False: another process does.
pub(super) fn hold(
    tx: &mut Scoped<'_>,
    connection: ConnectionId,
    by: Uuid,
    generation: i64,
) -> Result<bool, StoreError> {
    let hold = dialect::Hold {
        connection,
        by: StoredUuid(by),
        generation,
        seconds: HOLD_SECONDS,
    };
    dialect::hold_credential(tx, &hold)
}

/// Puts the next refresh token in the place of the one with this generation. False: a newer one is
/// there, or none any more.
pub(super) fn rotate(
    tx: &mut Scoped<'_>,
    connection: ConnectionId,
    generation: i64,
    sealed: &[u8],
) -> Result<bool, StoreError> {
    let org = tx.org();
    let now = StoredTime(tx.now());
    let rows = on_conn!(tx.conn, |c| diesel::update(
        connection_credentials::table
            .filter(connection_credentials::org_id.eq(org))
            .filter(connection_credentials::connection_id.eq(connection))
            .filter(connection_credentials::generation.eq(generation))
    )
    .set((
        connection_credentials::sealed.eq(sealed),
        connection_credentials::generation.eq(generation + 1),
        connection_credentials::stored_at.eq(now),
        connection_credentials::held_by.eq(None::<StoredUuid>),
        connection_credentials::held_until.eq(None::<StoredTime>),
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Ends a hold, unless it ran out and is another's by now.
pub(super) fn let_go(
    tx: &mut Scoped<'_>,
    connection: ConnectionId,
    by: Uuid,
    generation: i64,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        connection_credentials::table
            .filter(connection_credentials::org_id.eq(org))
            .filter(connection_credentials::connection_id.eq(connection))
            .filter(connection_credentials::generation.eq(generation))
            .filter(connection_credentials::held_by.eq(StoredUuid(by)))
    )
    .set((
        connection_credentials::held_by.eq(None::<StoredUuid>),
        connection_credentials::held_until.eq(None::<StoredTime>),
    ))
    .execute(c))?;
    Ok(())
}

/// Ends every hold of the organisation.
pub(super) fn end_holds(tx: &mut Scoped<'_>) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::update(
        connection_credentials::table
            .filter(connection_credentials::org_id.eq(org))
            .filter(connection_credentials::held_by.is_not_null())
    )
    .set((
        connection_credentials::held_by.eq(None::<StoredUuid>),
        connection_credentials::held_until.eq(None::<StoredTime>),
    ))
    .execute(c))?;
    Ok(())
}

/// Erases the credentials of connections.
pub(crate) fn erase(tx: &mut Scoped<'_>, ended: &[ConnectionId]) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::delete(
        connection_credentials::table
            .filter(connection_credentials::org_id.eq(org))
            .filter(connection_credentials::connection_id.eq_any(ended.to_vec()))
    )
    .execute(c))?;
    Ok(())
}
