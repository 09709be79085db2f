//! What customers say about Microsoft tenants, for whoever matches them.

use tenantry_psa::EvidenceKind;

use crate::ids::{CustomerId, PsaConnectionId};

/// An active customer by what it can be recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownCustomer {
    pub(crate) id: CustomerId,
    /// As people write it.
    pub(crate) name: String,
    /// As a person or a PSA wrote them, in one spelling.
    pub(crate) domains: Vec<String>,
}

/// Where a PSA's hint was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HintOrigin {
    /// In the customer's own record.
    Record,
    /// At contacts, whose number it has.
    Contacts,
    /// In the PSA's map of tenants.
    TenantMap,
}

/// Something in a PSA that ties a customer to a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) customer: CustomerId,
    pub(crate) connection: PsaConnectionId,
    pub(crate) origin: HintOrigin,
    pub(crate) kind: EvidenceKind,
    /// A tenant's id or a domain, in one spelling.
    pub(crate) value: String,
    /// How many contacts say so.
    pub(crate) contacts: i64,
}
