//! Scaffold: the part of the room of PSA connections that tickets are written against.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_psa::{PsaAdapter, PsaError, PsaKind};

use crate::{
    access::OrgScope,
    ids::PsaConnectionId,
    store::{Scoped, StoreError, on_conn, schema::psa_connections},
};

/// A connection to a PSA.
#[derive(Debug, Clone, PartialEq)]
pub struct PsaConnection {
    /// UUIDv7.
    pub id: PsaConnectionId,
    /// Which PSA.
    pub kind: PsaKind,
    /// What people chose.
    pub settings: PsaSettings,
    /// What stands in the way.
    pub trouble: Option<Trouble>,
}

/// What stands in the way of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// A stable lowerCamelCase word.
    pub code: String,
    /// What happened.
    pub detail: String,
    /// Who must do what.
    pub action: Option<String>,
    /// When it was found.
    pub at: DateTime<Utc>,
}

/// What people choose for a connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PsaSettings {
    /// Tickets about tenants in trouble.
    pub tickets: TicketSettings,
}

/// Tickets about tenants in trouble.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TicketSettings {
    /// Whether they are opened.
    pub enabled: bool,
    /// What this PSA wants to know for one.
    pub options: Map<String, Value>,
}

/// Who waits for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A person.
    Waited,
    /// Nobody.
    Background,
}

/// A connection that was opened.
pub struct OpenPsa {
    /// Which.
    pub connection: PsaConnection,
    /// Its adapter.
    pub adapter: Arc<dyn PsaAdapter>,
}

/// Why a connection does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenPsaError {
    /// It is not there.
    #[error("no such connection")]
    NotFound,
    /// The vault does not open.
    #[error("stored credentials unreadable")]
    Unreadable,
    /// The PSA, or the adapter.
    #[error(transparent)]
    Refused(PsaError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens connections.
#[derive(Clone)]
pub struct PsaAccess;

impl PsaAccess {
    /// Opens one.
    ///
    /// # Errors
    /// Always, in this scaffold.
    pub async fn open(
        &self,
        _scope: &OrgScope,
        _id: PsaConnectionId,
        _urgency: Urgency,
    ) -> Result<OpenPsa, OpenPsaError> {
        Err(OpenPsaError::NotFound)
    }
}

/// Turns a failure into what people are told.
pub fn trouble_of(error: &PsaError, kind: PsaKind, now: DateTime<Utc>) -> Trouble {
    let code = match error {
        PsaError::Config { .. } => "psaConfigurationInvalid",
        PsaError::Auth { .. } => "psaCredentialsRejected",
        PsaError::Permission { .. } => "psaPermissionMissing",
        PsaError::AddressRefused => "psaAddressRefused",
        PsaError::Transient { .. } | PsaError::Ambiguous => "psaUnreachable",
        PsaError::RateLimited { .. } => "psaRateLimited",
        PsaError::Protocol { .. } => "psaUnexpectedAnswer",
        PsaError::Validation { .. } | PsaError::NotFound | PsaError::Conflict => {
            "psaRequestRefused"
        }
    };
    Trouble {
        code: code.to_owned(),
        detail: format!("{}: {error}.", kind.product()),
        action: (!error.may_pass()).then(|| "Correct the connection.".to_owned()),
        at: now,
    }
}

pub(crate) fn find(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<Option<PsaConnection>, StoreError> {
    let org = tx.org();
    let row: Option<(String, String, Option<String>)> = on_conn!(tx.conn, |c| {
        psa_connections::table
            .filter(psa_connections::org_id.eq(org))
            .filter(psa_connections::id.eq(id))
            .select((
                psa_connections::kind,
                psa_connections::settings,
                psa_connections::trouble,
            ))
            .first(c)
            .optional()
    })?;
    let corrupt = |what| StoreError::Corrupt { what };
    row.map(|(kind, settings, trouble)| {
        Ok(PsaConnection {
            id,
            kind: kind.parse().or(Err(corrupt("kind")))?,
            settings: serde_json::from_str(&settings).or(Err(corrupt("settings")))?,
            trouble: trouble
                .map(|text| serde_json::from_str(&text).or(Err(corrupt("trouble"))))
                .transpose()?,
        })
    })
    .transpose()
}

pub(crate) fn note_trouble(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    trouble: Option<&Trouble>,
) -> Result<(), StoreError> {
    let org = tx.org();
    let text = trouble
        .map(serde_json::to_string)
        .transpose()
        .or(Err(StoreError::Corrupt { what: "trouble" }))?;
    on_conn!(tx.conn, |c| diesel::update(
        psa_connections::table
            .filter(psa_connections::org_id.eq(org))
            .filter(psa_connections::id.eq(id))
    )
    .set(psa_connections::trouble.eq(text.as_deref()))
    .execute(c))?;
    Ok(())
}
