//! Who acts, and for which organisation.

use crate::ids::{ApiKeyId, OrgId, RequestId};

/// Who does something, as the audit names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A caller with an API key.
    ApiKey(ApiKeyId),
    /// An administrator of a customer's tenant in a consent flow: the object id in that tenant, or
    /// nobody yet before the sign-in.
    Administrator(Option<String>),
    /// The operator at the command line.
    CommandLine,
    /// Tenantry itself: a worker.
    System,
}

impl Actor {
    /// The word for what kind of actor it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "apiKey",
            Self::Administrator(_) => "administrator",
            Self::CommandLine => "commandLine",
            Self::System => "system",
        }
    }

    /// Who exactly, where there is someone to name.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::ApiKey(key) => Some(key.to_string()),
            Self::Administrator(object_id) => object_id.clone(),
            Self::CommandLine | Self::System => None,
        }
    }
}

/// Proof that a caller or job acts for one organisation. All access to an organisation's rows goes
/// through one; there is no way to make one from nothing but an id without saying who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgScope {
    org: OrgId,
    actor: Actor,
    request: Option<RequestId>,
}

impl OrgScope {
    /// A caller whose API key was found and is valid. For the authentication layer only.
    pub fn for_api_key(org: OrgId, key: ApiKeyId, request: RequestId) -> Self {
        Self {
            org,
            actor: Actor::ApiKey(key),
            request: Some(request),
        }
    }

    /// An administrator's browser whose link or state was found. For the consent room only.
    pub fn for_administrator(
        org: OrgId,
        object_id: Option<String>,
        request: Option<RequestId>,
    ) -> Self {
        Self {
            org,
            actor: Actor::Administrator(object_id),
            request,
        }
    }

    /// A claimed piece of work, or the start of the process. For workers and wiring only.
    pub fn for_system(org: OrgId) -> Self {
        Self {
            org,
            actor: Actor::System,
            request: None,
        }
    }

    /// The operator, who has the database and the master key anyway. For the command line only.
    pub fn for_command_line(org: OrgId) -> Self {
        Self {
            org,
            actor: Actor::CommandLine,
            request: None,
        }
    }

    /// The organisation.
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The HTTP request it came from, if one.
    pub fn request_id(&self) -> Option<RequestId> {
        self.request
    }
}
