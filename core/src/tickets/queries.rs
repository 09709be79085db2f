//! The SQL of tickets.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::de::DeserializeOwned;
use tenantry_psa::ExternalId;

use super::ticket::{KeptTicket, TicketState};
use crate::{
    ids::{PsaConnectionId, TenantId},
    psa::Trouble,
    store::{
        Scoped, StoreError, on_conn,
        schema::{psa_records, tenants, tickets},
        types::StoredTime,
    },
    tenants::{SYNC_FAILING_AFTER, TenantStatus},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = tickets)]
struct TicketRow {
    key: String,
    tenant_id: TenantId,
    trouble: String,
    customer_external_id: String,
    state: String,
    external_id: Option<String>,
    number: Option<String>,
    in_doubt: bool,
    note: Option<String>,
    summary: String,
    description: String,
    attempts: i32,
    error: Option<String>,
    next_try_at: Option<StoredTime>,
    changed_at: StoredTime,
}

impl TicketRow {
    fn into_ticket(self) -> Result<KeptTicket, StoreError> {
        Ok(KeptTicket {
            key: self.key,
            tenant: self.tenant_id,
            trouble: word(&self.trouble, "ticket's trouble")?,
            customer: ExternalId(self.customer_external_id),
            state: word(&self.state, "ticket's state")?,
            external_id: self.external_id.map(ExternalId),
            number: self.number,
            in_doubt: self.in_doubt,
            note: self.note,
            summary: self.summary,
            description: self.description,
            attempts: self.attempts,
            error: self
                .error
                .map(|text| json(&text, "ticket's error"))
                .transpose()?,
            next_try_at: self.next_try_at.map(|at| at.0),
            changed_at: self.changed_at.0,
        })
    }
}

fn word<T: std::str::FromStr>(text: &str, what: &'static str) -> Result<T, StoreError> {
    text.parse().or(Err(StoreError::Corrupt { what }))
}

fn json<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).or(Err(StoreError::Corrupt { what }))
}

fn error_text(error: Option<&Trouble>) -> Result<Option<String>, StoreError> {
    let text = error.map(serde_json::to_string).transpose();
    text.or(Err(StoreError::Corrupt {
        what: "ticket's error",
    }))
}

/// Tenants that may be in trouble, each with every active record of its customer at the PSA: by tenant,
/// and then by the record's id.
pub(super) fn tenants_perhaps_in_trouble(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<Vec<(TenantId, ExternalId)>, StoreError> {
    let org = tx.org();
    let long_ago = StoredTime(tx.now() - SYNC_FAILING_AFTER);
    let statuses = [
        TenantStatus::ReauthorizationRequired.as_str(),
        TenantStatus::Connected.as_str(),
        TenantStatus::Degraded.as_str(),
    ];
    let rows: Vec<(TenantId, String)> = on_conn!(tx.conn, |c| tenants::table
        .inner_join(
            psa_records::table.on(psa_records::org_id
                .eq(tenants::org_id)
                .and(tenants::customer_id.eq(psa_records::customer_id.nullable()))),
        )
        .filter(tenants::org_id.eq(org))
        .filter(psa_records::connection_id.eq(connection))
        .filter(psa_records::state.eq("active"))
        .filter(tenants::notifications)
        .filter(tenants::status.eq_any(statuses))
        .filter(
            tenants::status
                .eq(TenantStatus::ReauthorizationRequired.as_str())
                .or(tenants::connection_error.is_not_null())
                .or(tenants::last_completed_at.is_null())
                .or(tenants::last_completed_at.lt(long_ago))
        )
        .order((tenants::tenant_id.asc(), psa_records::external_id.asc()))
        .select((tenants::tenant_id, psa_records::external_id))
        .load(c))?;
    let found = rows
        .into_iter()
        .map(|(tenant, id)| (tenant, ExternalId(id)));
    Ok(found.collect())
}

/// Whether the PSA has an active record of the tenant's customer.
pub(super) fn has_active_record(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    tenant: TenantId,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let found: Option<TenantId> = on_conn!(tx.conn, |c| tenants::table
        .inner_join(
            psa_records::table.on(psa_records::org_id
                .eq(tenants::org_id)
                .and(tenants::customer_id.eq(psa_records::customer_id.nullable()))),
        )
        .filter(tenants::org_id.eq(org))
        .filter(tenants::tenant_id.eq(tenant))
        .filter(psa_records::connection_id.eq(connection))
        .filter(psa_records::state.eq("active"))
        .select(tenants::tenant_id)
        .first(c)
        .optional())?;
    Ok(found.is_some())
}

/// All tickets at a PSA, by key: three at most for each tenant.
pub(super) fn all(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<Vec<KeptTicket>, StoreError> {
    let org = tx.org();
    let rows: Vec<TicketRow> = on_conn!(tx.conn, |c| tickets::table
        .filter(tickets::org_id.eq(org))
        .filter(tickets::connection_id.eq(connection))
        .order(tickets::key)
        .select(TicketRow::as_select())
        .load(c))?;
    rows.into_iter().map(TicketRow::into_ticket).collect()
}

/// A page of tickets by key.
pub(super) fn list(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<KeptTicket>, StoreError> {
    let org = tx.org();
    let rows: Vec<TicketRow> = on_conn!(tx.conn, |c| {
        let mut query = tickets::table
            .filter(tickets::org_id.eq(org))
            .filter(tickets::connection_id.eq(connection))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(tickets::key.gt(after.to_owned()));
        }
        query
            .order(tickets::key)
            .limit(limit)
            .select(TicketRow::as_select())
            .load(c)
    })?;
    rows.into_iter().map(TicketRow::into_ticket).collect()
}

/// How many tickets there are.
pub(super) fn count(tx: &mut Scoped<'_>, connection: PsaConnectionId) -> Result<i64, StoreError> {
    let org = tx.org();
    Ok(on_conn!(tx.conn, |c| tickets::table
        .filter(tickets::org_id.eq(org))
        .filter(tickets::connection_id.eq(connection))
        .count()
        .get_result(c))?)
}

/// One ticket.
pub(super) fn find(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    key: &str,
) -> Result<Option<KeptTicket>, StoreError> {
    let org = tx.org();
    let row: Option<TicketRow> = on_conn!(tx.conn, |c| tickets::table
        .filter(tickets::org_id.eq(org))
        .filter(tickets::connection_id.eq(connection))
        .filter(tickets::key.eq(key))
        .select(TicketRow::as_select())
        .first(c)
        .optional())?;
    row.map(TicketRow::into_ticket).transpose()
}

/// Remembers a ticket for the first time.
pub(super) fn insert(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ticket: &KeptTicket,
) -> Result<(), StoreError> {
    let error = error_text(ticket.error.as_ref())?;
    let row = (
        tickets::org_id.eq(tx.org()),
        tickets::connection_id.eq(connection),
        tickets::key.eq(&ticket.key),
        tickets::tenant_id.eq(ticket.tenant),
        tickets::trouble.eq(ticket.trouble.as_str()),
        tickets::customer_external_id.eq(&ticket.customer.0),
        tickets::state.eq(ticket.state.as_str()),
        tickets::external_id.eq(ticket.external_id.as_ref().map(|id| id.0.as_str())),
        tickets::number.eq(ticket.number.as_deref()),
        tickets::in_doubt.eq(ticket.in_doubt),
        tickets::note.eq(ticket.note.as_deref()),
        tickets::summary.eq(&ticket.summary),
        tickets::description.eq(&ticket.description),
        tickets::attempts.eq(ticket.attempts),
        tickets::error.eq(error.as_deref()),
        tickets::next_try_at.eq(ticket.next_try_at.map(StoredTime)),
        tickets::changed_at.eq(StoredTime(ticket.changed_at)),
    );
    on_conn!(tx.conn, |c| diesel::insert_into(tickets::table)
        .values(row)
        .execute(c))?;
    Ok(())
}

/// Writes what may change about a ticket. Only who holds the lease of the work does.
pub(super) fn update(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    ticket: &KeptTicket,
) -> Result<(), StoreError> {
    let org = tx.org();
    let error = error_text(ticket.error.as_ref())?;
    on_conn!(tx.conn, |c| diesel::update(
        tickets::table
            .filter(tickets::org_id.eq(org))
            .filter(tickets::connection_id.eq(connection))
            .filter(tickets::key.eq(&ticket.key))
    )
    .set((
        tickets::customer_external_id.eq(&ticket.customer.0),
        tickets::state.eq(ticket.state.as_str()),
        tickets::external_id.eq(ticket.external_id.as_ref().map(|id| id.0.as_str())),
        tickets::number.eq(ticket.number.as_deref()),
        tickets::in_doubt.eq(ticket.in_doubt),
        tickets::note.eq(ticket.note.as_deref()),
        tickets::summary.eq(&ticket.summary),
        tickets::description.eq(&ticket.description),
        tickets::attempts.eq(ticket.attempts),
        tickets::error.eq(error.as_deref()),
        tickets::next_try_at.eq(ticket.next_try_at.map(StoredTime)),
        tickets::changed_at.eq(StoredTime(ticket.changed_at)),
    ))
    .execute(c))?;
    Ok(())
}

/// Lets everything that is to be done at a PSA wait until a moment, and says why.
pub(super) fn hold_up(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
    until: DateTime<Utc>,
    error: &Trouble,
) -> Result<(), StoreError> {
    let org = tx.org();
    let error = error_text(Some(error))?;
    on_conn!(tx.conn, |c| diesel::update(
        tickets::table
            .filter(tickets::org_id.eq(org))
            .filter(tickets::connection_id.eq(connection))
            .filter(tickets::state.eq_any(pending()))
            .filter(tickets::next_try_at.lt(StoredTime(until)))
    )
    .set((
        tickets::next_try_at.eq(Some(StoredTime(until))),
        tickets::error.eq(error.as_deref()),
    ))
    .execute(c))?;
    Ok(())
}

/// Lets everything that is to be done at a PSA be tried at once. Returns how much that is.
pub(super) fn try_now(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<usize, StoreError> {
    let org = tx.org();
    let now = StoredTime(tx.now());
    Ok(on_conn!(tx.conn, |c| diesel::update(
        tickets::table
            .filter(tickets::org_id.eq(org))
            .filter(tickets::connection_id.eq(connection))
            .filter(tickets::state.eq_any(pending()))
    )
    .set(tickets::next_try_at.eq(Some(now)))
    .execute(c))?)
}

fn pending() -> Vec<&'static str> {
    TicketState::ALL
        .into_iter()
        .filter(|state| state.is_pending())
        .map(TicketState::as_str)
        .collect()
}
