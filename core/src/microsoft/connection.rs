//! The handle that tokens are minted for.

use crate::ids::{ConnectionId, OrgId, TenantId};

/// What the tokens of a connection are minted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// The installation's registration: app-only tokens, by the tenant's admin consent.
    AdminConsent,
    /// The refresh token of the administrator who signed in.
    Delegated,
    /// A registration of the customer's own: app-only tokens.
    OwnApplication,
}

/// Proof that a connection was loaded for the organisation it belongs to.
///
/// Tokens are minted for a handle and for nothing else (C2): no API, job or setting can pass a bare
/// tenant id to the token endpoint. Only this crate can make one.
///
/// ```compile_fail,E0624
/// use tenantry_core::{ids::*, microsoft::connection::*};
/// fn confused_deputy(org: OrgId, connection: ConnectionId, tenant: TenantId) {
///     let _handle = ConnectionHandle::loaded(org, connection, tenant, Grant::AdminConsent);
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionHandle {
    org: OrgId,
    connection: ConnectionId,
    tenant: TenantId,
    grant: Grant,
}

impl ConnectionHandle {
    /// The handle of a connection that was just read under its organisation's scope. Only the
    /// queries of the tenants room call this, with the row in hand.
    pub(crate) fn loaded(
        org: OrgId,
        connection: ConnectionId,
        tenant: TenantId,
        grant: Grant,
    ) -> Self {
        Self {
            org,
            connection,
            tenant,
            grant,
        }
    }

    /// The organisation the connection belongs to.
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// The connection.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The tenant it leads to.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What its tokens are minted with.
    pub fn grant(&self) -> Grant {
        self.grant
    }
}
