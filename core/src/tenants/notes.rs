//! What other rooms tell a tenant, inside their own transactions.
//!
//! Whatever shows in the status document is refreshed here. The functions that record an audit row do
//! it last, so call them after the other writes of the transaction.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    claims::{self, Claim},
    failing_syncs,
    model::{ConnectionType, ConsentedBy, Tenant, TenantStatus},
    queries::{self, Naming, NewTenant},
};
use crate::{
    audit::{self, Action},
    events::{self, EventKind, NewEvent},
    ids::{ConnectionId, CustomerId, TenantId},
    microsoft::connection::ConnectionHandle,
    names::without_nul,
    store::{Scoped, StoreError},
    sync::status,
};

/// A wish to connect a tenant.
pub(crate) struct ConnectWish<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) customer: CustomerId,
    pub(crate) connection_type: ConnectionType,
    /// The domain or id as it was entered: the name until the tenant says its own.
    pub(crate) entered: &'a str,
}

/// What a wish to connect met.
pub(crate) enum ConnectStarted {
    /// The tenant may be connected; it keeps this status until the proof.
    Tenant(TenantStatus),
    /// The organisation has it connected.
    AlreadyConnected(Option<CustomerId>),
}

/// Puts a tenant on the list as `pendingConsent`, or leaves it as it stands. Its row stays locked.
pub(crate) fn note_connect_started(
    tx: &mut Scoped<'_>,
    wish: &ConnectWish<'_>,
) -> Result<ConnectStarted, StoreError> {
    let domain = wish.entered.contains('.').then_some(wish.entered);
    let new = NewTenant {
        tenant: wish.tenant,
        customer: Some(wish.customer),
        connection_type: wish.connection_type.as_str(),
        display_name: wish.entered,
        default_domain: domain,
        search_text: &search_text(wish.entered, domain.unwrap_or_default(), wish.tenant),
    };
    if queries::insert(tx, &new)? {
        return Ok(ConnectStarted::Tenant(TenantStatus::PendingConsent));
    }
    queries::lock(tx, wish.tenant, None)?;
    let tenant = queries::find(tx, wish.tenant)?.ok_or(StoreError::NotFound)?;
    if tenant.status == TenantStatus::Connected {
        return Ok(ConnectStarted::AlreadyConnected(tenant.customer));
    }
    queries::redirect_pending(
        tx,
        wish.tenant,
        Some(wish.customer),
        wish.connection_type.as_str(),
    )?;
    Ok(ConnectStarted::Tenant(tenant.status))
}

/// What a proof showed about a tenant.
pub(crate) struct Connected {
    pub(crate) tenant: TenantId,
    pub(crate) connection: ConnectionId,
    pub(crate) connection_type: ConnectionType,
    pub(crate) customer: Option<CustomerId>,
    pub(crate) granted: Vec<String>,
    pub(crate) missing: Vec<String>,
    /// None where nobody signed in: a registration of the customer's own proved itself.
    pub(crate) consented_by: Option<ConsentedBy>,
}

/// Claims the tenant and makes a proven connection its own. `None`: another organisation holds it,
/// and nothing was written. The caller refreshes the status and records the audit.
pub(crate) fn note_connected(
    tx: &mut Scoped<'_>,
    connected: &Connected,
) -> Result<Option<TenantStatus>, StoreError> {
    queries::lock(tx, connected.tenant, None)?;
    let org = tx.org();
    match claims::take(
        &mut tx.global(),
        org,
        connected.tenant,
        connected.connection,
    )? {
        Claim::HeldByAnother => return Ok(None),
        Claim::Held => {}
    }
    let status = if connected.missing.is_empty() {
        TenantStatus::Connected
    } else {
        TenantStatus::Degraded
    };
    queries::set_connected(tx, connected, status)?;
    let event = NewEvent {
        kind: EventKind::TenantConnected,
        tenant: Some(connected.tenant),
        customer: connected.customer,
        document: json!({
            "status": status.as_str(),
            "connectionType": connected.connection_type.as_str(),
            "connectionId": connected.connection,
        }),
    };
    events::record(tx, &event)?;
    Ok(Some(status))
}

/// Whether a connection is the one that the tenant is read through. The tenant's row stays locked, so that
/// it is so until the transaction ends.
pub(crate) fn is_read_through(
    tx: &mut Scoped<'_>,
    connection: &ConnectionHandle,
) -> Result<bool, StoreError> {
    queries::lock(tx, connection.tenant(), None)?;
    let tenant = queries::find(tx, connection.tenant())?;
    Ok(tenant.is_some_and(|tenant| tenant.connection == Some(connection.connection())))
}

/// Microsoft refuses the connection for good: the tenant moves to `status` where that is legal, with
/// the reason in the shape of a problem. Refreshes the status and records the audit.
pub fn note_access_lost(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    problem: Value,
    status: TenantStatus,
) -> Result<(), StoreError> {
    let code = problem.get("code").cloned().unwrap_or_default();
    if !queries::set_status(tx, tenant, status, Some(&problem.to_string()))? {
        return note_connection_error(tx, tenant, Some(problem));
    }
    status::refresh(tx, tenant)?;
    let kind = EventKind::TenantReauthorizationRequired;
    tell(tx, kind, tenant, json!({"code": code}))?;
    let details = json!({"status": status.as_str(), "code": code});
    audit::record(
        tx,
        Action::TenantReauthorizationRequired,
        Some(tenant),
        details,
    )
}

/// A run went through with the connection that Microsoft had refused: what stood in the way, such as a
/// policy, is gone. The caller refreshes the status; records the audit.
pub fn note_access_restored(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<(), StoreError> {
    queries::lock(tx, tenant, None)?;
    let Some(before) = queries::find(tx, tenant)? else {
        return Err(StoreError::NotFound);
    };
    if before.status != TenantStatus::ReauthorizationRequired {
        return Ok(());
    }
    let status = if before.missing_permissions.is_empty() {
        TenantStatus::Connected
    } else {
        TenantStatus::Degraded
    };
    queries::set_status(tx, tenant, status, None)?;
    let details = json!({"status": status.as_str()});
    tell(tx, EventKind::TenantAccessRestored, tenant, details.clone())?;
    audit::record(tx, Action::TenantAccessRestored, Some(tenant), details)
}

/// A permission turned out to be missing: a connected tenant is `degraded` from now on. Refreshes the
/// status and records the audit; does nothing when it is known.
pub(crate) fn note_missing_permission(
    tx: &mut Scoped<'_>,
    through: &ConnectionHandle,
    permission: &str,
) -> Result<(), StoreError> {
    let tenant = through.tenant();
    queries::lock(tx, tenant, None)?;
    let Some(Tenant {
        status,
        connection,
        mut missing_permissions,
        ..
    }) = queries::find(tx, tenant)?
    else {
        return Err(StoreError::NotFound);
    };
    // What an older connection lacked says nothing about the present one.
    let is_old = connection != Some(through.connection());
    if is_old || !status.works() || missing_permissions.iter().any(|known| known == permission) {
        return Ok(());
    }
    missing_permissions.push(permission.to_owned());
    queries::set_missing(tx, tenant, &missing_permissions)?;
    status::refresh(tx, tenant)?;
    audit::record(
        tx,
        Action::TenantDegraded,
        Some(tenant),
        json!({"permission": permission}),
    )
}

/// Writes or clears why the connection does not work at the moment, without changing the status.
/// Refreshes the status document.
pub fn note_connection_error(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    problem: Option<Value>,
) -> Result<(), StoreError> {
    let text = problem.as_ref().map(Value::to_string);
    let before = queries::find(tx, tenant)?;
    if !queries::set_connection_error(tx, tenant, text.as_deref())? {
        return Ok(());
    }
    status::refresh(tx, tenant)?;
    let Some(before) = before else { return Ok(()) };
    let after = Tenant {
        connection_error: problem,
        ..before.clone()
    };
    match (before.is_connection_lost(), after.is_connection_lost()) {
        (false, true) => {
            let details = json!({"code": after.connection_error_code()});
            tell(tx, EventKind::TenantConnectionLost, tenant, details)
        }
        (true, false) => {
            let details = json!({"status": after.status.as_str()});
            tell(tx, EventKind::TenantAccessRestored, tenant, details)
        }
        (true, true) | (false, false) => Ok(()),
    }
}

/// Tells of a tenant. Before the audit, as [`events::record`] wants it.
pub(super) fn tell(
    tx: &mut Scoped<'_>,
    kind: EventKind,
    tenant: TenantId,
    document: Value,
) -> Result<(), StoreError> {
    let customer = queries::find(tx, tenant)?.and_then(|found| found.customer);
    let event = NewEvent {
        kind,
        tenant: Some(tenant),
        customer,
        document,
    };
    events::record(tx, &event)
}

/// How the tenant calls itself. A name that a technician chose stays. `domains` is what else it may
/// be searched by.
pub fn note_organization(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: Option<&str>,
    default_domain: Option<&str>,
    domains: &[String],
) -> Result<(), StoreError> {
    let Some(before) = queries::naming(tx, tenant)? else {
        return Err(StoreError::NotFound);
    };
    let name = name.map(without_nul);
    let default_domain = default_domain.map(without_nul);
    let (name, default_domain) = (name.as_deref(), default_domain.as_deref());
    let own = name
        .or(before.organization_name.as_deref())
        .or(default_domain);
    let shown = match own {
        Some(own) if !before.display_name_set => own,
        Some(_) | None => before.display_name.as_str(),
    };
    let default_domain = default_domain
        .map(str::to_owned)
        .or_else(|| before.default_domain.clone());
    let after = Naming {
        search_text: search_text(shown, &without_nul(&domains.join(" ")), tenant),
        display_name: shown.to_owned(),
        display_name_set: before.display_name_set,
        organization_name: name
            .map(str::to_owned)
            .or_else(|| before.organization_name.clone()),
        default_domain,
    };
    if after != before {
        queries::set_naming(tx, tenant, &after)?;
    }
    Ok(())
}

/// Gives a tenant the name a technician chose, or with `None` its own again.
pub(super) fn rename(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    name: Option<&str>,
) -> Result<(), StoreError> {
    let Some(before) = queries::naming(tx, tenant)? else {
        return Err(StoreError::NotFound);
    };
    let own = before
        .organization_name
        .as_deref()
        .or(before.default_domain.as_deref());
    let shown = name.or(own).unwrap_or(&before.display_name).to_owned();
    // The first line is the name; what follows was learned from the tenant.
    let rest = before
        .search_text
        .split_once('\n')
        .map(|(_name, rest)| rest)
        .unwrap_or_default();
    let after = Naming {
        search_text: format!("{}\n{rest}", shown.to_lowercase()),
        display_name: shown,
        display_name_set: name.is_some(),
        ..before
    };
    queries::set_naming(tx, tenant, &after)
}

/// A worker took a run: until one completes the tenant counts as not read since then.
pub fn note_run_began(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<(), StoreError> {
    let now = tx.now();
    queries::set_unread_since(tx, tenant, Some(now))
}

/// A person ended a run: what was not read then is no failure.
pub(crate) fn note_run_cancelled(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<(), StoreError> {
    queries::set_unread_since(tx, tenant, None)
}

/// A run ended at this moment with data complete. The caller refreshes the status with its run.
pub fn note_completed(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    queries::set_completed(tx, tenant, at)?;
    failing_syncs::note_restored(tx, tenant, at)
}

/// What `?search=` looks in: the name on the first line, then domains and id, all in lower case.
fn search_text(name: &str, domains: &str, tenant: TenantId) -> String {
    format!(
        "{}\n{}\n{tenant}",
        name.replace('\n', " ").to_lowercase(),
        domains.to_lowercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_found_by_name_domain_and_id_in_lower_case() {
        let id: TenantId = "b4c546a4-7dac-46a6-a7dd-ed822a11efd3".parse().unwrap();
        let text = search_text("Contoso\nLtd", "Contoso.com fabrikam.COM", id);
        assert_eq!(text, format!("contoso ltd\ncontoso.com fabrikam.com\n{id}"));
    }
}
