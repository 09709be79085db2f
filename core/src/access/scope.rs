//! Who acts, and for which organisation.

use crate::ids::{ApiKeyId, OrgId, RequestId};

/// Who does something, as the audit names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A caller with an API key.
    ApiKey(ApiKeyId),
    /// Tenantry itself.
    System,
}

/// Proof that a caller or job acts for one organisation.
#[derive(Debug, Clone)]
pub struct OrgScope {
    org: OrgId,
    actor: Actor,
    request: Option<RequestId>,
}

impl OrgScope {
    /// placeholder
    pub fn new(org: OrgId, actor: Actor, request: Option<RequestId>) -> Self {
        Self { org, actor, request }
    }
    /// The organisation.
    pub fn org(&self) -> OrgId {
        self.org
    }
    /// Who.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }
    /// Which request.
    pub fn request_id(&self) -> Option<RequestId> {
        self.request
    }
}
