//! The typed ids of the whole product, in one list.
//!
//! Ids of our own are UUIDv7, so that they sort by creation. [`TenantId`] is Microsoft's: the Entra
//! tenant GUID (`tid`). A value is parsed into its type once, at the border.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a UUID in its usual 36 character form")]
pub struct InvalidId;

/// One newtype over a UUID for each kind of thing, so that a customer can never be passed where a
/// tenant is meant. A macro because the conversions are the same for all of them.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id a stored or received UUID stands for.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID, for the database and the wire.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Reads the hyphenated form only: other spellings of the same UUID are not ids of ours.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 {
                    return Err(InvalidId);
                }
                match Uuid::try_parse(text) {
                    Ok(uuid) => Ok(Self(uuid)),
                    Err(_not_a_uuid) => Err(InvalidId),
                }
            }
        }
    )+};
}

ids! {
    /// An organisation: one MSP.
    OrgId,
    /// An API key's public part.
    ApiKeyId,
    /// A customer of an MSP.
    CustomerId,
    /// A Microsoft Entra tenant: Microsoft's `tid`.
    TenantId,
    /// One attempt to connect a tenant, and once proven the connection itself.
    ConnectionId,
    /// An authorization request sent to Microsoft, consumed once.
    AuthorizationRequestId,
    /// One run of a sync over a tenant's data sets.
    SyncRunId,
    /// A unit of durable work in the queue.
    WorkItemId,
    /// A connection to a PSA.
    PsaConnectionId,
    /// One read of a PSA's customers.
    CustomerSyncRunId,
    /// Something that happened and others want to know.
    EventId,
    /// A row of the audit chain.
    AuditEventId,
    /// One HTTP request as our logs, answers and audit name it.
    RequestId,
}

impl OrgId {
    /// The installation itself, which keeps an audit chain of its own like an organisation.
    pub const INSTALLATION: Self = Self::from_uuid(Uuid::nil());
}
