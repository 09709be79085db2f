//! A tenant as an organisation keeps it.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ids::{ConnectionId, CustomerId, TenantId},
    microsoft::permissions::PermissionKind,
};

/// How old the last completed run may be before the data count as stale.
pub const STALE_AFTER: TimeDelta = TimeDelta::hours(6);

/// A text that is none of the words of a closed list.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not one of the known words")]
pub struct UnknownWord;

/// Where a tenant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TenantStatus {
    /// Asked for, not proven yet.
    PendingConsent,
    /// Proven, with every permission.
    Connected,
    /// Proven and working, but permissions are missing.
    Degraded,
    /// Microsoft refuses us; an administrator has to consent again.
    ReauthorizationRequired,
    /// Disconnected by the organisation; its credentials are erased.
    Revoked,
}

impl TenantStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PendingConsent,
        Self::Connected,
        Self::Degraded,
        Self::ReauthorizationRequired,
        Self::Revoked,
    ];

    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingConsent => "pendingConsent",
            Self::Connected => "connected",
            Self::Degraded => "degraded",
            Self::ReauthorizationRequired => "reauthorizationRequired",
            Self::Revoked => "revoked",
        }
    }

    /// Whether a tenant may go from this status to another one. Only a new proof leads out of
    /// `revoked`, and nothing leads back to `pendingConsent`.
    pub const fn may_become(self, next: Self) -> bool {
        match next {
            Self::PendingConsent => false,
            Self::Connected | Self::Degraded => true,
            Self::ReauthorizationRequired => matches!(self, Self::Connected | Self::Degraded),
            Self::Revoked => !matches!(self, Self::Revoked),
        }
    }

    /// Whether data can be read through the tenant's connection.
    pub const fn works(self) -> bool {
        match self {
            Self::Connected | Self::Degraded => true,
            Self::PendingConsent | Self::ReauthorizationRequired | Self::Revoked => false,
        }
    }

    /// The statuses from which a tenant may become this one, for guarded updates.
    pub(super) fn sources(self) -> Vec<&'static str> {
        Self::ALL
            .into_iter()
            .filter(|from| from.may_become(self))
            .map(Self::as_str)
            .collect()
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TenantStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// How a tenant is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionType {
    /// Application permissions that an administrator consented to; app-only tokens.
    AdminConsent,
    /// As the administrator who signed in.
    Delegated,
    /// With an app registration of the customer's own.
    ApplicationCredentials,
    /// Through the partner's delegated admin relationship.
    Gdap,
}

impl ConnectionType {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::AdminConsent,
        Self::Delegated,
        Self::ApplicationCredentials,
        Self::Gdap,
    ];

    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AdminConsent => "adminConsent",
            Self::Delegated => "delegated",
            Self::ApplicationCredentials => "applicationCredentials",
            Self::Gdap => "gdap",
        }
    }

    /// What kind of permissions a tenant is read with.
    pub const fn permission_kind(self) -> PermissionKind {
        match self {
            Self::AdminConsent | Self::ApplicationCredentials => PermissionKind::Application,
            Self::Delegated | Self::Gdap => PermissionKind::Delegated,
        }
    }
}

impl fmt::Display for ConnectionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ConnectionType {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// What the administrator who proved a tenant is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccountType {
    /// An account of the tenant.
    Member,
    /// A guest, with a role that can consent.
    Guest,
    /// A partner's administrator, with a role that can consent.
    Partner,
}

impl AccountType {
    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Guest => "guest",
            Self::Partner => "partner",
        }
    }
}

/// The administrator who proved a tenant. Known by tenant and object id; the names are for display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsentedBy {
    /// Object id in that tenant.
    pub object_id: String,
    /// As Microsoft shows the account.
    pub display_name: Option<String>,
    /// Sign-in name.
    pub user_principal_name: Option<String>,
    /// What the account is in the tenant.
    pub account_type: AccountType,
}

/// A tenant of one organisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Microsoft's `tid`.
    pub id: TenantId,
    /// The customer it belongs to.
    pub customer: Option<CustomerId>,
    /// The proven connection.
    pub connection: Option<ConnectionId>,
    /// How it is read, or will be.
    pub connection_type: ConnectionType,
    /// Where it stands.
    pub status: TenantStatus,
    /// As a technician named it, as it calls itself, or as it was entered.
    pub display_name: String,
    /// Whether a technician chose the name.
    pub display_name_set: bool,
    /// Its default verified domain.
    pub default_domain: Option<String>,
    /// Application permissions that the last token said it holds.
    pub granted_permissions: Vec<String>,
    /// Required and not granted.
    pub missing_permissions: Vec<String>,
    /// Who proved it.
    pub consented_by: Option<ConsentedBy>,
    /// Why the connection does not work, in the shape of a problem.
    pub connection_error: Option<Value>,
    /// Words of the organisation's own.
    pub tags: Vec<String>,
    /// Whether events of this tenant reach people.
    pub notifications: bool,
    /// When it was last proven.
    pub connected_at: Option<DateTime<Utc>>,
    /// End of the last completed run.
    pub last_completed_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Whether Microsoft refuses us too.
    pub upstream_revoked: bool,
    /// Grows with each change.
    pub version: i64,
    /// When it was first asked for.
    pub created_at: DateTime<Utc>,
}

/// How a tenant is named, by itself and by people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantNaming {
    pub(crate) tenant: TenantId,
    pub(crate) status: TenantStatus,
    pub(crate) display_name: String,
    /// Whether a technician chose it.
    pub(crate) display_name_set: bool,
    /// As it calls itself; none until it was read.
    pub(crate) organization_name: Option<String>,
    /// Its default domain, before the first sync the one that was typed.
    pub(crate) default_domain: Option<String>,
}

impl Tenant {
    /// Whether no run has completed for [`STALE_AFTER`], counted from the last one or, before the
    /// first, from the proof.
    pub fn is_stale(&self, now: DateTime<Utc>) -> bool {
        let since = self.last_completed_at.or(self.connected_at);
        since.is_some_and(|since| now - since > STALE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_proof_leads_out_of_revoked() {
        let reachable: Vec<_> = TenantStatus::ALL
            .into_iter()
            .filter(|next| TenantStatus::Revoked.may_become(*next))
            .collect();
        assert_eq!(reachable, [TenantStatus::Connected, TenantStatus::Degraded]);
    }

    #[test]
    fn nothing_becomes_pending_again_and_only_a_working_tenant_loses_its_access() {
        for status in TenantStatus::ALL {
            assert!(!status.may_become(TenantStatus::PendingConsent), "{status}");
            assert_eq!(
                status.may_become(TenantStatus::ReauthorizationRequired),
                status.works(),
                "{status}"
            );
        }
    }

    #[test]
    fn words_are_read_exactly_as_they_are_written() {
        for status in TenantStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        for kind in ConnectionType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("Connected".parse::<TenantStatus>(), Err(UnknownWord));
        assert_eq!("".parse::<ConnectionType>(), Err(UnknownWord));
    }
}
