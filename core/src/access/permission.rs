//! What can be allowed, and which role allows it: one table, and what is not in it is denied.

use super::Role;

/// Something that a route may demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Begin to connect a tenant, and relay Microsoft's answer.
    TenantsConnect,
    /// See tenants with their status and runs.
    TenantsRead,
    /// Change and map tenants.
    TenantsWrite,
    /// Revoke a tenant.
    TenantsRevoke,
    /// See what a sync found.
    InventoryRead,
    /// Start a sync.
    SyncStart,
    /// End a sync.
    SyncCancel,
    /// See customers.
    CustomersRead,
    /// Create and change customers.
    CustomersWrite,
    /// See connections to PSAs and what they found.
    PsaRead,
    /// Create, change and delete connections to PSAs.
    PsaWrite,
    /// See the audit.
    AuditRead,
    /// See the metrics of the installation, while it has one organisation.
    MetricsRead,
    /// See the details behind the readiness.
    ReadinessDetails,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::TenantsConnect,
        Self::TenantsRead,
        Self::TenantsWrite,
        Self::TenantsRevoke,
        Self::InventoryRead,
        Self::SyncStart,
        Self::SyncCancel,
        Self::CustomersRead,
        Self::CustomersWrite,
        Self::PsaRead,
        Self::PsaWrite,
        Self::AuditRead,
        Self::MetricsRead,
        Self::ReadinessDetails,
    ];

    /// The word for it in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantsConnect => "tenants:connect",
            Self::TenantsRead => "tenants:read",
            Self::TenantsWrite => "tenants:write",
            Self::TenantsRevoke => "tenants:revoke",
            Self::InventoryRead => "inventory:read",
            Self::SyncStart => "sync:start",
            Self::SyncCancel => "sync:cancel",
            Self::CustomersRead => "customers:read",
            Self::CustomersWrite => "customers:write",
            Self::PsaRead => "psa:read",
            Self::PsaWrite => "psa:write",
            Self::AuditRead => "audit:read",
            Self::MetricsRead => "metrics:read",
            Self::ReadinessDetails => "readiness:details",
        }
    }
}

impl Role {
    /// Whether the role allows something.
    pub const fn allows(self, permission: Permission) -> bool {
        use Permission as P;
        match (self, permission) {
            (Self::Owner, _) => true,
            (
                Self::Technician,
                P::TenantsConnect
                | P::TenantsRead
                | P::TenantsWrite
                | P::TenantsRevoke
                | P::InventoryRead
                | P::SyncStart
                | P::SyncCancel
                | P::CustomersRead
                | P::CustomersWrite
                | P::PsaRead
                | P::AuditRead,
            ) => true,
            (
                Self::Integration,
                P::TenantsRead
                | P::InventoryRead
                | P::SyncStart
                | P::CustomersRead
                | P::CustomersWrite
                | P::PsaRead
                | P::PsaWrite
                | P::AuditRead,
            ) => true,
            (
                Self::Reader,
                P::TenantsRead | P::InventoryRead | P::CustomersRead | P::PsaRead | P::AuditRead,
            ) => true,
            (Self::Technician | Self::Integration | Self::Reader, _) => false,
        }
    }
}
