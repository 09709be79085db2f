//! The SQL of connection attempts, authorization requests and the flow index. Visible to this room
//! only.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    model::{Connection, ConnectionState, Leg, NextStep, Outcome},
    token::FlowHash,
};
use crate::{
    credentials,
    ids::{AuthorizationRequestId, ConnectionId, CustomerId, OrgId, TenantId},
    store::{
        Global, Scoped, StoreError, on_conn,
        schema::{authorization_requests, connections, flow_index},
        types::StoredTime,
    },
    tenants::ConsentedBy,
};

/// How long the hash of an ended link is kept, so that its page can say that it has ended.
const LINK_REMEMBERED: TimeDelta = TimeDelta::days(30);

#[derive(Queryable, Selectable)]
#[diesel(table_name = connections)]
struct ConnectionRow {
    id: ConnectionId,
    tenant_id: TenantId,
    connection_type: String,
    state: String,
    next_step: String,
    entered_tenant: String,
    customer_id: Option<CustomerId>,
    return_url: Option<String>,
    data_key: Option<Vec<u8>>,
    sealed_link: Option<Vec<u8>>,
    signed_in: Option<String>,
    last_outcome: Option<String>,
    proof_deadline: Option<StoredTime>,
    expires_at: StoredTime,
}

impl ConnectionRow {
    fn into_connection(self) -> Result<Connection, StoreError> {
        Ok(Connection {
            id: self.id,
            tenant: self.tenant_id,
            connection_type: word(&self.connection_type, "connection type")?,
            state: word(&self.state, "connection state")?,
            next_step: word(&self.next_step, "next step")?,
            entered_tenant: self.entered_tenant,
            customer: self.customer_id,
            return_url: self
                .return_url
                .map(|url| word(&url, "return url"))
                .transpose()?,
            data_key: self.data_key,
            sealed_link: self.sealed_link,
            signed_in: self
                .signed_in
                .map(|text| json(&text, "signed in"))
                .transpose()?,
            last_outcome: self
                .last_outcome
                .map(|text| json(&text, "last outcome"))
                .transpose()?,
            proof_deadline: self.proof_deadline.map(|time| time.0),
            expires_at: self.expires_at.0,
        })
    }
}

fn word<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().or(Err(StoreError::Corrupt { what }))
}

fn json<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).or(Err(StoreError::Corrupt { what }))
}

fn to_json<T: Serialize>(value: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).or(Err(StoreError::Corrupt { what }))
}

/// A connection attempt as it begins.
pub(super) struct NewConnection<'a> {
    pub id: ConnectionId,
    pub tenant: TenantId,
    pub connection_type: &'a str,
    pub next_step: NextStep,
    pub entered_tenant: &'a str,
    pub customer: CustomerId,
    pub return_url: Option<&'a str>,
    pub data_key: &'a [u8],
    pub sealed_link: Option<&'a [u8]>,
    pub expires_at: DateTime<Utc>,
}

pub(super) fn insert_connection(
    tx: &mut Scoped<'_>,
    new: &NewConnection<'_>,
) -> Result<(), StoreError> {
    let row = (
        connections::org_id.eq(tx.org()),
        connections::id.eq(new.id),
        connections::tenant_id.eq(new.tenant),
        connections::connection_type.eq(new.connection_type),
        connections::state.eq(ConnectionState::Pending.as_str()),
        connections::next_step.eq(new.next_step.as_str()),
        connections::entered_tenant.eq(new.entered_tenant),
        connections::customer_id.eq(Some(new.customer)),
        connections::return_url.eq(new.return_url),
        connections::data_key.eq(Some(new.data_key)),
        connections::sealed_link.eq(new.sealed_link),
        connections::created_at.eq(StoredTime(tx.now())),
        connections::expires_at.eq(StoredTime(new.expires_at)),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(connections::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

pub(super) fn connection(
    tx: &mut Scoped<'_>,
    id: ConnectionId,
) -> Result<Option<Connection>, StoreError> {
    let org = tx.org();
    let row = on_conn!(tx.conn, |c| connections::table
        .filter(connections::org_id.eq(org))
        .filter(connections::id.eq(id))
        .select(ConnectionRow::as_select())
        .first(c)
        .optional())?;
    row.map(ConnectionRow::into_connection).transpose()
}

/// Ends the older attempts of a tenant whose consent is not given yet, and with `proving` also those
/// that wait for their proof. What they sealed is erased.
pub(super) fn void_pending(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    but: ConnectionId,
    proving: bool,
) -> Result<(), StoreError> {
    let mut steps = vec![NextStep::SignIn.as_str(), NextStep::AdminConsent.as_str()];
    if proving {
        steps.push(NextStep::Proof.as_str());
    }
    let org = tx.org();
    let ended: Vec<ConnectionId> = on_conn!(tx.conn, |c| diesel::update(
        connections::table
            .filter(connections::org_id.eq(org))
            .filter(connections::tenant_id.eq(tenant))
            .filter(connections::id.ne(but))
            .filter(connections::state.eq(ConnectionState::Pending.as_str()))
            .filter(connections::next_step.eq_any(steps))
    )
    .set((
        connections::state.eq(ConnectionState::Voided.as_str()),
        connections::data_key.eq(None::<Vec<u8>>),
        connections::sealed_link.eq(None::<Vec<u8>>),
        connections::signed_in.eq(None::<String>),
    ))
    .returning(connections::id)
    .get_results(c))?;
    credentials::erase(tx, &ended)?;
    forget_requests(tx, &ended)
}

/// Ends the proven connections of a tenant but the newest one.
pub(super) fn supersede(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    by: ConnectionId,
) -> Result<Vec<ConnectionId>, StoreError> {
    let org = tx.org();
    let ended: Vec<ConnectionId> = on_conn!(tx.conn, |c| diesel::update(
        connections::table
            .filter(connections::org_id.eq(org))
            .filter(connections::tenant_id.eq(tenant))
            .filter(connections::id.ne(by))
            .filter(connections::state.eq(ConnectionState::Proven.as_str()))
    )
    .set((
        connections::state.eq(ConnectionState::Superseded.as_str()),
        connections::data_key.eq(None::<Vec<u8>>),
        connections::sealed_link.eq(None::<Vec<u8>>),
    ))
    .returning(connections::id)
    .get_results(c))?;
    credentials::erase(tx, &ended)?;
    forget_requests(tx, &ended)?;
    Ok(ended)
}

/// Erases every connection of a tenant: data keys, what they sealed, and states. The hashes of links
/// stay, so that their pages can say that they have ended.
pub(super) fn revoke_all(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
) -> Result<Vec<ConnectionId>, StoreError> {
    let org = tx.org();
    let living = [
        ConnectionState::Pending.as_str(),
        ConnectionState::Proven.as_str(),
    ];
    let ended: Vec<ConnectionId> = on_conn!(tx.conn, |c| diesel::update(
        connections::table
            .filter(connections::org_id.eq(org))
            .filter(connections::tenant_id.eq(tenant))
            .filter(
                connections::state
                    .eq_any(living)
                    .or(connections::data_key.is_not_null())
            )
    )
    .set((
        connections::state.eq(ConnectionState::Revoked.as_str()),
        connections::data_key.eq(None::<Vec<u8>>),
        connections::sealed_link.eq(None::<Vec<u8>>),
    ))
    .returning(connections::id)
    .get_results(c))?;
    credentials::erase(tx, &ended)?;
    forget_requests(tx, &ended)?;
    Ok(ended)
}

/// Deletes the authorization requests of connections together with their states.
fn forget_requests(tx: &mut Scoped<'_>, ended: &[ConnectionId]) -> Result<(), StoreError> {
    let org = tx.org();
    on_conn!(tx.conn, |c| diesel::delete(
        flow_index::table
            .filter(flow_index::org_id.eq(org))
            .filter(flow_index::kind.eq("state"))
            .filter(flow_index::connection_id.eq_any(ended.to_vec()))
    )
    .execute(c))?;
    on_conn!(tx.conn, |c| diesel::delete(
        authorization_requests::table
            .filter(authorization_requests::org_id.eq(org))
            .filter(authorization_requests::connection_id.eq_any(ended.to_vec()))
    )
    .execute(c))?;
    Ok(())
}

/// Moves a pending connection on, from one of the given steps. False: it has been voided, proven or
/// moved meanwhile.
pub(super) fn take_step(
    tx: &mut Scoped<'_>,
    id: ConnectionId,
    from: &[NextStep],
    to: NextStep,
    proof_deadline: Option<DateTime<Utc>>,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let from: Vec<&str> = from.iter().map(|step| step.as_str()).collect();
    let deadline = proof_deadline.map(StoredTime);
    let rows = on_conn!(tx.conn, |c| diesel::update(
        connections::table
            .filter(connections::org_id.eq(org))
            .filter(connections::id.eq(id))
            .filter(connections::state.eq(ConnectionState::Pending.as_str()))
            .filter(connections::next_step.eq_any(from))
    )
    .set((
        connections::next_step.eq(to.as_str()),
        connections::proof_deadline.eq(deadline)
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Notes who proved the tenant.
pub(super) fn set_signed_in(
    tx: &mut Scoped<'_>,
    id: ConnectionId,
    who: &ConsentedBy,
) -> Result<(), StoreError> {
    let org = tx.org();
    let who = to_json(who, "signed in")?;
    on_conn!(tx.conn, |c| diesel::update(
        connections::table
            .filter(connections::org_id.eq(org))
            .filter(connections::id.eq(id))
    )
    .set(connections::signed_in.eq(Some(&who)))
    .execute(c))?;
    Ok(())
}

/// Makes a connection whose grant is proven the tenant's. False: somebody else has moved it.
pub(super) fn set_proven(
    tx: &mut Scoped<'_>,
    id: ConnectionId,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let outcome = to_json(outcome, "last outcome")?;
    let rows = on_conn!(tx.conn, |c| diesel::update(
        connections::table
            .filter(connections::org_id.eq(org))
            .filter(connections::id.eq(id))
            .filter(connections::state.eq(ConnectionState::Pending.as_str()))
            .filter(connections::next_step.eq(NextStep::Proof.as_str()))
    )
    .set((
        connections::state.eq(ConnectionState::Proven.as_str()),
        connections::next_step.eq(NextStep::Done.as_str()),
        connections::last_outcome.eq(Some(&outcome)),
        connections::proof_deadline.eq(None::<StoredTime>),
    ))
    .execute(c))?;
    Ok(rows == 1)
}

/// Notes how the last flow of a pending connection ended.
pub(super) fn set_outcome(
    tx: &mut Scoped<'_>,
    id: ConnectionId,
    outcome: &Outcome,
) -> Result<(), StoreError> {
    let org = tx.org();
    let outcome = to_json(outcome, "last outcome")?;
    on_conn!(tx.conn, |c| diesel::update(
        connections::table
            .filter(connections::org_id.eq(org))
            .filter(connections::id.eq(id))
            .filter(connections::state.eq(ConnectionState::Pending.as_str()))
    )
    .set(connections::last_outcome.eq(Some(&outcome)))
    .execute(c))?;
    Ok(())
}

/// An authorization request as it is sent.
pub(super) struct NewRequest<'a> {
    pub id: AuthorizationRequestId,
    pub connection: ConnectionId,
    pub leg: Leg,
    pub state: FlowHash,
    pub cookie: Option<FlowHash>,
    pub sealed_nonce: Option<&'a [u8]>,
    pub sealed_verifier: Option<&'a [u8]>,
    pub expires_at: DateTime<Utc>,
}

/// Stores an authorization request with its state, and drops the ended ones of the organisation.
pub(super) fn insert_request(tx: &mut Scoped<'_>, new: &NewRequest<'_>) -> Result<(), StoreError> {
    let org = tx.org();
    let now = StoredTime(tx.now());
    on_conn!(tx.conn, |c| diesel::delete(
        authorization_requests::table
            .filter(authorization_requests::org_id.eq(org))
            .filter(authorization_requests::expires_at.lt(now))
    )
    .execute(c))?;
    let row = (
        authorization_requests::org_id.eq(org),
        authorization_requests::id.eq(new.id),
        authorization_requests::connection_id.eq(new.connection),
        authorization_requests::leg.eq(new.leg.as_str()),
        authorization_requests::cookie_hash.eq(new.cookie.map(|hash| hash.as_bytes().to_vec())),
        authorization_requests::sealed_nonce.eq(new.sealed_nonce),
        authorization_requests::sealed_verifier.eq(new.sealed_verifier),
        authorization_requests::created_at.eq(now),
        authorization_requests::expires_at.eq(StoredTime(new.expires_at)),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(
        authorization_requests::table
    )
    .values(row)
    .execute(c))?;
    let flow = Flow {
        kind: FlowKind::State,
        org,
        connection: new.connection,
        request: Some(new.id),
        expires_at: new.expires_at,
    };
    insert_flow(&mut tx.global(), new.state, &flow)
}

/// An authorization request whose answer has come.
pub(super) struct TakenRequest {
    pub id: AuthorizationRequestId,
    pub connection: ConnectionId,
    pub leg: Leg,
    pub cookie_hash: Option<Vec<u8>>,
    pub sealed_nonce: Option<Vec<u8>>,
    pub sealed_verifier: Option<Vec<u8>>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = authorization_requests)]
struct RequestRow {
    connection_id: ConnectionId,
    leg: String,
    cookie_hash: Option<Vec<u8>>,
    sealed_nonce: Option<Vec<u8>>,
    sealed_verifier: Option<Vec<u8>>,
    expires_at: StoredTime,
}

/// Takes an authorization request out of the store: by one delete, so that only one can have it.
pub(super) fn take_request(
    tx: &mut Scoped<'_>,
    id: AuthorizationRequestId,
) -> Result<Option<TakenRequest>, StoreError> {
    let org = tx.org();
    let row: Option<RequestRow> = on_conn!(tx.conn, |c| diesel::delete(
        authorization_requests::table
            .filter(authorization_requests::org_id.eq(org))
            .filter(authorization_requests::id.eq(id))
    )
    .returning(RequestRow::as_returning())
    .get_result(c)
    .optional())?;
    row.map(|row| {
        Ok(TakenRequest {
            id,
            connection: row.connection_id,
            leg: word(&row.leg, "leg")?,
            cookie_hash: row.cookie_hash,
            sealed_nonce: row.sealed_nonce,
            sealed_verifier: row.sealed_verifier,
            expires_at: row.expires_at.0,
        })
    })
    .transpose()
}

/// Which of the two values of a flow an index row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlowKind {
    Link,
    State,
}

impl FlowKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::State => "state",
        }
    }
}

/// Where a link or state leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub kind: FlowKind,
    pub org: OrgId,
    pub connection: ConnectionId,
    pub request: Option<AuthorizationRequestId>,
    pub expires_at: DateTime<Utc>,
}

pub(super) fn insert_flow(
    tx: &mut Global<'_>,
    hash: FlowHash,
    flow: &Flow,
) -> Result<(), StoreError> {
    let row = (
        flow_index::token_hash.eq(hash.as_bytes()),
        flow_index::kind.eq(flow.kind.as_str()),
        flow_index::org_id.eq(flow.org),
        flow_index::connection_id.eq(flow.connection),
        flow_index::authorization_request_id.eq(flow.request),
        flow_index::expires_at.eq(StoredTime(flow.expires_at)),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(flow_index::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

type FlowRow = (
    OrgId,
    ConnectionId,
    Option<AuthorizationRequestId>,
    StoredTime,
);

/// Takes out what ended before a moment; returns how much.
pub(super) fn forget_flows_across_orgs(
    tx: &mut Global<'_>,
    before: DateTime<Utc>,
) -> Result<usize, StoreError> {
    Ok(on_conn!(tx.conn, |c| diesel::delete(
        flow_index::table.filter(flow_index::expires_at.lt(StoredTime(before)))
    )
    .execute(c))?)
}

/// Looks up whose flow a link or state is.
pub(super) fn flow_across_orgs(
    tx: &mut Global<'_>,
    kind: FlowKind,
    hash: FlowHash,
) -> Result<Option<Flow>, StoreError> {
    let row: Option<FlowRow> = on_conn!(tx.conn, |c| flow_index::table
        .filter(flow_index::token_hash.eq(hash.as_bytes()))
        .filter(flow_index::kind.eq(kind.as_str()))
        .select((
            flow_index::org_id,
            flow_index::connection_id,
            flow_index::authorization_request_id,
            flow_index::expires_at,
        ))
        .first(c)
        .optional())?;
    Ok(row.map(|(org, connection, request, expires_at)| Flow {
        kind,
        org,
        connection,
        request,
        expires_at: expires_at.0,
    }))
}

/// Uses a state up. False: it has been used.
pub(super) fn delete_state(tx: &mut Global<'_>, hash: FlowHash) -> Result<bool, StoreError> {
    let rows = on_conn!(tx.conn, |c| diesel::delete(
        flow_index::table
            .filter(flow_index::token_hash.eq(hash.as_bytes()))
            .filter(flow_index::kind.eq(FlowKind::State.as_str()))
    )
    .execute(c))?;
    Ok(rows == 1)
}

/// Drops states that have ended, and links that ended long ago.
pub(super) fn sweep_flows_across_orgs(tx: &mut Global<'_>) -> Result<(), StoreError> {
    let now = tx.now();
    on_conn!(tx.conn, |c| diesel::delete(
        flow_index::table
            .filter(flow_index::expires_at.lt(StoredTime(now)))
            .filter(flow_index::kind.eq(FlowKind::State.as_str()))
    )
    .execute(c))?;
    on_conn!(tx.conn, |c| diesel::delete(flow_index::table.filter(
        flow_index::expires_at.lt(StoredTime(now - LINK_REMEMBERED))
    ))
    .execute(c))?;
    Ok(())
}
