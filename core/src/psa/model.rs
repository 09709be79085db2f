//! What a connection to a PSA is, and what people write into one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_psa::PsaKind;

use super::PsaSettings;
use crate::ids::PsaConnectionId;

/// A connection to a PSA. What it signs in with stands beside it, sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct PsaConnection {
    /// UUIDv7.
    pub id: PsaConnectionId,
    /// Which PSA.
    pub kind: PsaKind,
    /// As people call it.
    pub name: String,
    /// As it was entered, in one spelling.
    pub base_url: String,
    /// What people chose.
    pub settings: PsaSettings,
    /// Which system stands behind it: two connections with the same text see the same records.
    pub system: String,
    /// Grows with each change of address or credentials.
    pub generation: i64,
    /// What stands in the way; none when nothing is known to.
    pub trouble: Option<Trouble>,
    /// Grows with each change by a person.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

/// What stands in the way of a connection. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// A stable lowerCamelCase word.
    pub code: String,
    /// What happened, in one sentence.
    pub detail: String,
    /// Who must do what, where someone must.
    pub action: Option<String>,
    /// When it was found.
    pub at: DateTime<Utc>,
}

/// What a person writes to connect a PSA; not checked yet.
pub struct NewPsaConnection {
    /// Which PSA.
    pub kind: PsaKind,
    /// Name.
    pub name: String,
    /// Address.
    pub base_url: String,
    /// What to sign in with.
    pub credentials: Value,
    /// What differs from the defaults.
    pub settings: Option<Value>,
}

/// What a person changes; what is `None` stays. Not checked yet.
#[derive(Default)]
pub struct PsaConnectionChange {
    /// The new name.
    pub name: Option<String>,
    /// The new address.
    pub base_url: Option<String>,
    /// The new credentials, all of them.
    pub credentials: Option<Value>,
    /// What changes of the settings.
    pub settings: Option<Value>,
}

/// A part of what a person wrote that cannot be taken. The value is never told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFault {
    /// Its place as a JSON pointer: `/settings/fullHours`.
    pub pointer: String,
    /// A stable lowerCamelCase word.
    pub code: &'static str,
    /// What is wrong with it, a sentence.
    pub detail: String,
}

impl ConnectionFault {
    pub(super) fn new(
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

/// A page of connections.
#[derive(Debug)]
pub struct PsaConnectionPage {
    /// By id, so in the order of their creation.
    pub items: Vec<PsaConnection>,
    /// The last id, when there are more.
    pub next: Option<PsaConnectionId>,
    /// How many there are in all.
    pub total: i64,
}
