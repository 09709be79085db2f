//! Which troubles there are, and whose tickets they are: derived from the present state alone.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use tenantry_psa::ExternalId;

use super::{queries, text, ticket::UnknownWord};
use crate::{
    ids::{PsaConnectionId, TenantId},
    store::{Scoped, StoreError},
    tenants::{self, Tenant, TenantStatus},
};

/// What a ticket is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TroubleKind {
    /// The connection of a connected tenant does not work, and not only for a moment.
    ConnectionLost,
    /// Microsoft refuses the connection until an administrator of the tenant acts.
    ReauthorizationRequired,
    /// No run completed for a day.
    SyncFailing,
}

impl TroubleKind {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::ConnectionLost,
        Self::ReauthorizationRequired,
        Self::SyncFailing,
    ];

    /// The word for it in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionLost => "connectionLost",
            Self::ReauthorizationRequired => "reauthorizationRequired",
            Self::SyncFailing => "syncFailing",
        }
    }

    /// The trouble of a tenant: one at a time, the gravest. What the operator of this installation has to
    /// mend is no trouble of a customer, and neither is a tenant about which nobody wants to be told.
    pub fn of(tenant: &Tenant, now: DateTime<Utc>) -> Option<Self> {
        if !tenant.notifications {
            return None;
        }
        match tenant.status {
            TenantStatus::ReauthorizationRequired => Some(Self::ReauthorizationRequired),
            TenantStatus::Connected | TenantStatus::Degraded => {
                if tenant.waits_for_operator() {
                    None
                } else if tenant.is_connection_lost() {
                    Some(Self::ConnectionLost)
                } else {
                    tenant.is_sync_failing(now).then_some(Self::SyncFailing)
                }
            }
            TenantStatus::PendingConsent | TenantStatus::Revoked => None,
        }
    }

    /// The key of the ticket: the same for the same trouble of the same tenant.
    pub fn key(self, tenant: TenantId) -> String {
        format!("tenantry:{}:{tenant}", self.as_str())
    }
}

impl FromStr for TroubleKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// A ticket that should be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedTicket {
    pub(super) key: String,
    pub(super) tenant: TenantId,
    pub(super) trouble: TroubleKind,
    /// As the tenant is called.
    pub(super) tenant_name: String,
    /// The records of the tenant's customer at the PSA, at least one. Any of them may carry the ticket.
    pub(super) customers: Vec<ExternalId>,
    pub(super) summary: String,
    pub(super) description: String,
}

/// The tickets that should be open at a PSA at this moment: one for each tenant in trouble whose customer
/// the PSA has as an active one.
pub(super) fn wanted(
    tx: &mut Scoped<'_>,
    connection: PsaConnectionId,
) -> Result<Vec<WantedTicket>, StoreError> {
    let now = tx.now();
    let mut wanted: Vec<WantedTicket> = Vec::new();
    for (id, customer) in queries::tenants_perhaps_in_trouble(tx, connection)? {
        if let Some(last) = wanted.last_mut()
            && last.tenant == id
        {
            last.customers.push(customer);
            continue;
        }
        let Some(tenant) = tenants::find(tx, id)? else {
            continue;
        };
        let Some(trouble) = TroubleKind::of(&tenant, now) else {
            continue;
        };
        wanted.push(WantedTicket {
            key: trouble.key(id),
            tenant: id,
            trouble,
            tenant_name: tenant.display_name.clone(),
            customers: vec![customer],
            summary: text::summary(trouble, &tenant),
            description: text::description(trouble, &tenant),
        });
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;
    use tenantry_psa::ticket::MOST_KEY;
    use uuid::Uuid;

    use super::*;
    use crate::tenants::ConnectionType;

    fn tenant(status: TenantStatus) -> Tenant {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        Tenant {
            id: TenantId::from_uuid(Uuid::from_u128(7)),
            customer: None,
            connection: None,
            connection_type: ConnectionType::AdminConsent,
            status,
            display_name: "Contoso".to_owned(),
            display_name_set: false,
            default_domain: None,
            granted_permissions: Vec::new(),
            missing_permissions: Vec::new(),
            consented_by: None,
            connection_error: None,
            tags: Vec::new(),
            notifications: true,
            connected_at: Some(now),
            last_completed_at: Some(now),
            unread_since: Some(now),
            revoked_at: None,
            upstream_revoked: false,
            version: 1,
            created_at: now,
        }
    }

    fn later(tenant: &Tenant, hours: i64) -> DateTime<Utc> {
        tenant.created_at + TimeDelta::hours(hours) + TimeDelta::seconds(1)
    }

    #[test]
    fn a_key_is_stable_and_fits_every_psa() {
        for kind in TroubleKind::ALL {
            let key = kind.key(TenantId::from_uuid(Uuid::from_u128(7)));
            assert!(key.len() <= MOST_KEY && key.is_ascii(), "{key}");
            assert!(!key.contains(['"', '\'', ' ']), "{key}");
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }

    #[test]
    fn only_a_tenant_that_should_work_and_does_not_is_in_trouble() {
        let of = |status, hours| {
            let tenant = tenant(status);
            TroubleKind::of(&tenant, later(&tenant, hours))
        };
        assert_eq!(of(TenantStatus::Connected, 23), None);
        assert_eq!(
            of(TenantStatus::Connected, 24),
            Some(TroubleKind::SyncFailing)
        );
        assert_eq!(
            of(TenantStatus::Degraded, 24),
            Some(TroubleKind::SyncFailing)
        );
        assert_eq!(of(TenantStatus::PendingConsent, 99), None);
        assert_eq!(of(TenantStatus::Revoked, 99), None);
        let lost = TroubleKind::ReauthorizationRequired;
        assert_eq!(of(TenantStatus::ReauthorizationRequired, 0), Some(lost));
    }

    #[test]
    fn a_tenant_that_nobody_syncs_is_old_and_not_in_trouble() {
        let mut tenant = tenant(TenantStatus::Connected);
        tenant.unread_since = None;
        assert_eq!(TroubleKind::of(&tenant, later(&tenant, 99)), None);
    }

    #[test]
    fn what_the_operator_must_mend_is_no_customers_trouble_however_long_it_lasts() {
        for code in ["ownCredentialRejected", "registrationMisconfigured"] {
            let mut tenant = tenant(TenantStatus::Connected);
            tenant.connection_error = Some(json!({"code": code, "retryable": false}));
            assert_eq!(TroubleKind::of(&tenant, later(&tenant, 0)), None, "{code}");
            assert_eq!(TroubleKind::of(&tenant, later(&tenant, 99)), None, "{code}");
        }
    }

    #[test]
    fn a_passing_failure_is_a_trouble_only_once_it_lasts() {
        let mut tenant = tenant(TenantStatus::Connected);
        tenant.connection_error = Some(json!({"code": "microsoftUnavailable", "retryable": true}));
        assert_eq!(TroubleKind::of(&tenant, later(&tenant, 0)), None);
        assert_eq!(
            TroubleKind::of(&tenant, later(&tenant, 24)),
            Some(TroubleKind::SyncFailing)
        );
        tenant.connection_error = Some(json!({"code": "microsoftRefused", "retryable": false}));
        assert_eq!(
            TroubleKind::of(&tenant, later(&tenant, 24)),
            Some(TroubleKind::ConnectionLost)
        );
        tenant.notifications = false;
        assert_eq!(
            TroubleKind::of(&tenant, later(&tenant, 24)),
            None,
            "nobody wants to be told"
        );
    }
}
