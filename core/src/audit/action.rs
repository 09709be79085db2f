//! What can happen: the closed list of audited actions.

/// An action as `noun.verbPast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The database was used for the first time.
    InstallationCreated,
    /// An MSP came.
    OrganizationCreated,
    /// An API key was made.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// A customer was created.
    CustomerCreated,
    /// A customer was changed.
    CustomerChanged,
    /// A customer was deactivated.
    CustomerDeactivated,
    /// A link to connect a tenant was made.
    TenantConnectStarted,
    /// A connection was proven.
    TenantConnected,
    /// A person changed a tenant.
    TenantChanged,
    /// A permission turned out to be missing.
    TenantDegraded,
    /// Microsoft no longer lets us in.
    TenantReauthorizationRequired,
    /// Microsoft lets us in again, with the same connection.
    TenantAccessRestored,
    /// A tenant was revoked.
    TenantRevoked,
    /// An administrator proved the tenant by signing in.
    ConsentAdministratorProven,
    /// The administrator came back from Microsoft's consent page.
    ConsentGiven,
    /// A consent flow ended without a connection.
    ConsentRejected,
    /// More was granted than we ask for; it is not used.
    ConsentExcessPermissions,
    /// A person asked for a sync.
    SyncRequested,
    /// A run began.
    SyncStarted,
    /// A run ended with data complete.
    SyncCompleted,
    /// A run ended without.
    SyncFailed,
    /// A run was ended by a person or by revoke.
    SyncCancelled,
    /// Too much vanished at once to be believed.
    InventoryRemovalHeldBack,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::InstallationCreated,
        Self::OrganizationCreated,
        Self::ApiKeyCreated,
        Self::ApiKeyRevoked,
        Self::CustomerCreated,
        Self::CustomerChanged,
        Self::CustomerDeactivated,
        Self::TenantConnectStarted,
        Self::TenantConnected,
        Self::TenantChanged,
        Self::TenantDegraded,
        Self::TenantReauthorizationRequired,
        Self::TenantAccessRestored,
        Self::TenantRevoked,
        Self::ConsentAdministratorProven,
        Self::ConsentGiven,
        Self::ConsentRejected,
        Self::ConsentExcessPermissions,
        Self::SyncRequested,
        Self::SyncStarted,
        Self::SyncCompleted,
        Self::SyncFailed,
        Self::SyncCancelled,
        Self::InventoryRemovalHeldBack,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InstallationCreated => "installation.created",
            Self::OrganizationCreated => "organization.created",
            Self::ApiKeyCreated => "apiKey.created",
            Self::ApiKeyRevoked => "apiKey.revoked",
            Self::CustomerCreated => "customer.created",
            Self::CustomerChanged => "customer.changed",
            Self::CustomerDeactivated => "customer.deactivated",
            Self::TenantConnectStarted => "tenant.connectStarted",
            Self::TenantConnected => "tenant.connected",
            Self::TenantChanged => "tenant.changed",
            Self::TenantDegraded => "tenant.degraded",
            Self::TenantReauthorizationRequired => "tenant.reauthorizationRequired",
            Self::TenantAccessRestored => "tenant.accessRestored",
            Self::TenantRevoked => "tenant.revoked",
            Self::ConsentAdministratorProven => "consent.administratorProven",
            Self::ConsentGiven => "consent.given",
            Self::ConsentRejected => "consent.rejected",
            Self::ConsentExcessPermissions => "consent.excessPermissions",
            Self::SyncRequested => "sync.requested",
            Self::SyncStarted => "sync.started",
            Self::SyncCompleted => "sync.completed",
            Self::SyncFailed => "sync.failed",
            Self::SyncCancelled => "sync.cancelled",
            Self::InventoryRemovalHeldBack => "inventory.removalHeldBack",
        }
    }
}
