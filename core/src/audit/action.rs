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
    /// Two customers became one.
    CustomerMerged,
    /// A PSA was connected.
    PsaConnectionCreated,
    /// A connection to a PSA was changed.
    PsaConnectionChanged,
    /// A connection to a PSA was deleted, its credentials erased.
    PsaConnectionDeleted,
    /// A PSA was told to call us.
    PsaCallbackRegistered,
    /// A PSA was told to call us no more.
    PsaCallbackRemoved,
    /// A person asked for a sync of customers.
    CustomerSyncRequested,
    /// A sync of customers came to its end.
    CustomerSyncCompleted,
    /// A sync of customers failed.
    CustomerSyncFailed,
    /// Too many customers vanished from a PSA at once to be believed.
    CustomerRemovalHeldBack,
    /// A tenant was put on a customer, by a person or because one match was certain.
    CustomerMatchConfirmed,
    /// The organisation's own domains were changed.
    OrganizationDomainsChanged,
    /// A ticket was opened at a PSA.
    TicketOpened,
    /// A ticket was closed at a PSA.
    TicketClosed,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 38] = [
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
        Self::CustomerMerged,
        Self::PsaConnectionCreated,
        Self::PsaConnectionChanged,
        Self::PsaConnectionDeleted,
        Self::PsaCallbackRegistered,
        Self::PsaCallbackRemoved,
        Self::CustomerSyncRequested,
        Self::CustomerSyncCompleted,
        Self::CustomerSyncFailed,
        Self::CustomerRemovalHeldBack,
        Self::CustomerMatchConfirmed,
        Self::OrganizationDomainsChanged,
        Self::TicketOpened,
        Self::TicketClosed,
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
            Self::CustomerMerged => "customer.merged",
            Self::PsaConnectionCreated => "psaConnection.created",
            Self::PsaConnectionChanged => "psaConnection.changed",
            Self::PsaConnectionDeleted => "psaConnection.deleted",
            Self::PsaCallbackRegistered => "psaCallback.registered",
            Self::PsaCallbackRemoved => "psaCallback.removed",
            Self::CustomerSyncRequested => "customerSync.requested",
            Self::CustomerSyncCompleted => "customerSync.completed",
            Self::CustomerSyncFailed => "customerSync.failed",
            Self::CustomerRemovalHeldBack => "customer.removalHeldBack",
            Self::CustomerMatchConfirmed => "customerMatch.confirmed",
            Self::OrganizationDomainsChanged => "organization.domainsChanged",
            Self::TicketOpened => "ticket.opened",
            Self::TicketClosed => "ticket.closed",
        }
    }
}
