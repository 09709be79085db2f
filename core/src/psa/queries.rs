//! The SQL of connections to PSAs and of their webhooks. Visible to this room only.

use diesel::prelude::*;

use super::{PsaConnection, PsaSettings, Trouble};
use crate::{
    ids::{OrgId, PsaConnectionId},
    store::{
        Global, Scoped, StoreError, on_conn,
        schema::{
            psa_callback_index, psa_callbacks, psa_connections, psa_events_seen, psa_records,
        },
        types::StoredTime,
    },
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = psa_connections)]
struct ConnectionRow {
    id: PsaConnectionId,
    kind: String,
    name: String,
    base_url: String,
    system: String,
    generation: i64,
    settings: String,
    trouble: Option<String>,
    version: i64,
    created_at: StoredTime,
    changed_at: StoredTime,
}

impl ConnectionRow {
    fn into_connection(self) -> Result<PsaConnection, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        let settings: PsaSettings = serde_json::from_str(&self.settings)
            .or(Err(corrupt("settings of a PSA connection")))?;
        let trouble: Option<Trouble> = self
            .trouble
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .or(Err(corrupt("trouble of a PSA connection")))?;
        Ok(PsaConnection {
            id: self.id,
            kind: self.kind.parse().or(Err(corrupt("kind of PSA")))?,
            name: self.name,
            base_url: self.base_url,
            settings,
            system: self.system,
            generation: self.generation,
            trouble,
            version: self.version,
            created_at: self.created_at.0,
            changed_at: self.changed_at.0,
        })
    }
}

/// What a connection signs in with, as it is stored.
#[derive(Debug, Clone)]
pub(super) struct StoredCredentials {
    pub(super) data_key: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

/// A webhook as it is stored.
#[derive(Debug, Clone)]
pub(super) struct StoredCallback {
    pub(super) external_id: Option<String>,
    pub(super) sealed: Vec<u8>,
    pub(super) generation: i64,
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).or(Err(StoreError::Corrupt {
        what: "PSA connection",
    }))
}

/// Stores a new connection.
pub(super) fn insert(
    tx: &mut Scoped<'_>,
    connection: &PsaConnection,
    credentials: &StoredCredentials,
) -> Result<(), StoreError> {
    let row = (
        psa_connections::org_id.eq(tx.org()),
        psa_connections::id.eq(connection.id),
        psa_connections::kind.eq(connection.kind.as_str()),
        psa_connections::name.eq(&connection.name),
        psa_connections::base_url.eq(&connection.base_url),
        psa_connections::system.eq(&connection.system),
        psa_connections::data_key.eq(credentials.data_key.as_slice()),
        psa_connections::sealed_credentials.eq(credentials.sealed.as_slice()),
        psa_connections::generation.eq(connection.generation),
        psa_connections::settings.eq(json(&connection.settings)?),
        psa_connections::version.eq(connection.version),
        psa_connections::created_at.eq(StoredTime(connection.created_at)),
        psa_connections::changed_at.eq(StoredTime(connection.changed_at)),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(psa_connections::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

/// Writes what people can change, with the version; credentials where there are new ones.
pub(super) fn update(
    tx: &mut Scoped<'_>,
    connection: &PsaConnection,
    sealed: Option<&[u8]>,
) -> Result<(), StoreError> {
    let org = tx.org();
    let trouble = connection.trouble.as_ref().map(json).transpose()?;
    let change = (
        psa_connections::name.eq(&connection.name),
        psa_connections::base_url.eq(&connection.base_url),
        psa_connections::system.eq(&connection.system),
        psa_connections::generation.eq(connection.generation),
        psa_connections::settings.eq(json(&connection.settings)?),
        psa_connections::trouble.eq(trouble),
        psa_connections::version.eq(connection.version),
        psa_connections::changed_at.eq(StoredTime(connection.changed_at)),
        sealed.map(|sealed| psa_connections::sealed_credentials.eq(sealed)),
    );
    let rows = on_conn!(tx.conn, |c| diesel::update(
        psa_connections::table
            .filter(psa_connections::org_id.eq(org))
            .filter(psa_connections::id.eq(connection.id))
    )
    .set(change)
    .execute(c))?;
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::NotFound)
    }
}

/// Takes a connection out, with all that hangs on it. False: it is gone already.
pub(super) fn delete(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<bool, StoreError> {
    let org = tx.org();
    let rows = on_conn!(tx.conn, |c| diesel::delete(
        psa_connections::table
            .filter(psa_connections::org_id.eq(org))
            .filter(psa_connections::id.eq(id))
    )
    .execute(c))?;
    Ok(rows == 1)
}

/// One connection.
pub fn find(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<Option<PsaConnection>, StoreError> {
    let org = tx.org();
    let row: Option<ConnectionRow> = on_conn!(tx.conn, |c| psa_connections::table
        .filter(psa_connections::org_id.eq(org))
        .filter(psa_connections::id.eq(id))
        .select(ConnectionRow::as_select())
        .first(c)
        .optional())?;
    row.map(ConnectionRow::into_connection).transpose()
}

/// One connection, which nobody else can change until the transaction ends. The write that changes
/// nothing is the lock, on both databases.
pub(super) fn find_locked(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<Option<PsaConnection>, StoreError> {
    let org = tx.org();
    let row: Option<ConnectionRow> = on_conn!(tx.conn, |c| diesel::update(
        psa_connections::table
            .filter(psa_connections::org_id.eq(org))
            .filter(psa_connections::id.eq(id))
    )
    .set(psa_connections::version.eq(psa_connections::version))
    .returning(ConnectionRow::as_returning())
    .get_result(c)
    .optional())?;
    row.map(ConnectionRow::into_connection).transpose()
}

/// What a connection signs in with.
pub(super) fn credentials(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<Option<StoredCredentials>, StoreError> {
    let org = tx.org();
    let row: Option<(Vec<u8>, Vec<u8>)> = on_conn!(tx.conn, |c| psa_connections::table
        .filter(psa_connections::org_id.eq(org))
        .filter(psa_connections::id.eq(id))
        .select((
            psa_connections::data_key,
            psa_connections::sealed_credentials,
        ))
        .first(c)
        .optional())?;
    Ok(row.map(|(data_key, sealed)| StoredCredentials { data_key, sealed }))
}

/// Connections by id, after `after`.
pub(super) fn list(
    tx: &mut Scoped<'_>,
    after: Option<PsaConnectionId>,
    limit: i64,
) -> Result<Vec<PsaConnection>, StoreError> {
    let org = tx.org();
    let rows: Vec<ConnectionRow> = on_conn!(tx.conn, |c| {
        let mut query = psa_connections::table
            .filter(psa_connections::org_id.eq(org))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(psa_connections::id.gt(after));
        }
        query
            .order(psa_connections::id)
            .limit(limit)
            .select(ConnectionRow::as_select())
            .load(c)
    })?;
    rows.into_iter()
        .map(ConnectionRow::into_connection)
        .collect()
}

/// How many connections there are.
pub(super) fn count(tx: &mut Scoped<'_>) -> Result<i64, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| psa_connections::table
        .filter(psa_connections::org_id.eq(org))
        .count()
        .get_result(c))?)
}

/// Whether customers were read through a connection.
pub(super) fn has_records(tx: &mut Scoped<'_>, id: PsaConnectionId) -> Result<bool, StoreError> {
    let org = tx.org();
    let any: Option<String> = on_conn!(tx.conn, |c| psa_records::table
        .filter(psa_records::org_id.eq(org))
        .filter(psa_records::connection_id.eq(id))
        .select(psa_records::external_id)
        .first(c)
        .optional())?;
    Ok(any.is_some())
}

/// Notes what stands in the way of a connection, or that nothing does any more. It is no change by a
/// person: the version stays.
pub fn note_trouble(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    trouble: Option<&Trouble>,
) -> Result<(), StoreError> {
    let org = tx.org();
    let trouble = trouble.map(json).transpose()?;
    on_conn!(tx.conn, |c| diesel::update(
        psa_connections::table
            .filter(psa_connections::org_id.eq(org))
            .filter(psa_connections::id.eq(id))
    )
    .set(psa_connections::trouble.eq(trouble))
    .execute(c))?;
    Ok(())
}

/// The webhook of a connection.
pub(super) fn callback(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<Option<StoredCallback>, StoreError> {
    let org = tx.org();
    let row: Option<(Option<String>, Vec<u8>, i64)> = on_conn!(tx.conn, |c| psa_callbacks::table
        .filter(psa_callbacks::org_id.eq(org))
        .filter(psa_callbacks::connection_id.eq(id))
        .select((
            psa_callbacks::external_id,
            psa_callbacks::sealed,
            psa_callbacks::generation,
        ))
        .first(c)
        .optional())?;
    Ok(row.map(|(external_id, sealed, generation)| StoredCallback {
        external_id,
        sealed,
        generation,
    }))
}

/// Stores a new webhook, with the hash by which its address is found.
pub(super) fn insert_callback(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    callback: &StoredCallback,
    path_hash: &[u8],
) -> Result<(), StoreError> {
    let row = (
        psa_callbacks::org_id.eq(tx.org()),
        psa_callbacks::connection_id.eq(id),
        psa_callbacks::external_id.eq(callback.external_id.as_deref()),
        psa_callbacks::sealed.eq(callback.sealed.as_slice()),
        psa_callbacks::generation.eq(callback.generation),
        psa_callbacks::changed_at.eq(StoredTime(tx.now())),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(psa_callbacks::table)
        .values(row)
        .execute(c))?;
    let index = (
        psa_callback_index::connection_id.eq(id),
        psa_callback_index::org_id.eq(tx.org()),
        psa_callback_index::path_hash.eq(path_hash),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(psa_callback_index::table)
        .values(index)
        .execute(c))?;
    Ok(())
}

/// Notes the id that a webhook has at the PSA; none: it is set up there no more. False: the webhook with
/// this generation is gone.
pub(super) fn set_callback_id(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    generation: i64,
    external_id: Option<&str>,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let now = StoredTime(tx.now());
    let rows = on_conn!(tx.conn, |c| diesel::update(
        psa_callbacks::table
            .filter(psa_callbacks::org_id.eq(org))
            .filter(psa_callbacks::connection_id.eq(id))
            .filter(psa_callbacks::generation.eq(generation))
    )
    .set((
        psa_callbacks::external_id.eq(external_id),
        psa_callbacks::changed_at.eq(now),
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Takes a webhook out, and its address with it. False: there was none.
pub(super) fn delete_callback(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<bool, StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::delete(
        psa_callback_index::table
            .filter(psa_callback_index::org_id.eq(org))
            .filter(psa_callback_index::connection_id.eq(id))
    )
    .execute(c))?;
    let rows = on_conn!(tx.conn, |c| diesel::delete(
        psa_callbacks::table
            .filter(psa_callbacks::org_id.eq(org))
            .filter(psa_callbacks::connection_id.eq(id))
    )
    .execute(c))?;
    Ok(rows == 1)
}

/// Whose connection it is, and the hash of the secret in its webhook's address: asked before the
/// organisation is known.
pub(super) fn callback_across_orgs(
    tx: &mut Global<'_>,
    id: PsaConnectionId,
) -> Result<Option<(OrgId, Vec<u8>)>, StoreError> {
    Ok(on_conn!(tx.conn, |c| psa_callback_index::table
        .filter(psa_callback_index::connection_id.eq(id))
        .select((psa_callback_index::org_id, psa_callback_index::path_hash))
        .first(c)
        .optional())?)
}

/// Remembers an event. False: it was taken before.
pub(super) fn remember_event(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    hash: &[u8],
) -> Result<bool, StoreError> {
    let row = (
        psa_events_seen::org_id.eq(tx.org()),
        psa_events_seen::connection_id.eq(id),
        psa_events_seen::event_hash.eq(hash),
        psa_events_seen::seen_at.eq(StoredTime(tx.now())),
    );
    let rows = on_conn!(tx.conn, |c| diesel::insert_into(psa_events_seen::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(rows == 1)
}

/// Forgets the organisation's events that came before.
pub(super) fn forget_events(
    tx: &mut Scoped<'_>,
    before: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::delete(
        psa_events_seen::table
            .filter(psa_events_seen::org_id.eq(org))
            .filter(psa_events_seen::seen_at.lt(StoredTime(before)))
    )
    .execute(c))?;
    Ok(())
}
