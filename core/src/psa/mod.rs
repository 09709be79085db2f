//! Connections to PSAs: the part that other rooms build on.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
pub use tenantry_psa::{PsaAdapter, PsaError, PsaKind};

use crate::{
    access::OrgScope,
    customer_sync,
    ids::PsaConnectionId,
    store::{Scoped, Store, StoreError, on_conn, schema::psa_connections, types::StoredTime},
};

/// A connection to a PSA.
#[derive(Debug, Clone, PartialEq)]
pub struct PsaConnection {
    /// UUIDv7.
    pub id: PsaConnectionId,
    /// Which PSA.
    pub kind: PsaKind,
    /// As people call it.
    pub name: String,
    /// Where it is.
    pub base_url: String,
    /// What a person chose.
    pub settings: PsaSettings,
    /// Which system stands behind it.
    pub system: String,
    /// Grows with each change of the credentials.
    pub generation: i64,
    /// What stands in the way.
    pub trouble: Option<Trouble>,
    /// Grows with each change by a person.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

/// What a person chooses for a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PsaSettings {
    /// Minutes between two reads of what changed.
    pub incremental_minutes: u32,
    /// Hours between two full reads.
    pub full_hours: u32,
    /// Only customers of these types; empty: all.
    pub customer_types: Vec<String>,
    /// Whether the PSA calls us.
    pub callbacks: bool,
    /// Tickets.
    pub tickets: TicketSettings,
}

impl Default for PsaSettings {
    fn default() -> Self {
        Self {
            incremental_minutes: 15,
            full_hours: 24,
            customer_types: Vec::new(),
            callbacks: false,
            tickets: TicketSettings::default(),
        }
    }
}

/// What a person chooses for tickets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TicketSettings {
    /// Whether tickets are kept.
    pub enabled: bool,
    /// Of the PSA.
    pub options: serde_json::Map<String, serde_json::Value>,
}

/// What stands in the way of using a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// A stable word.
    pub code: String,
    /// What happened.
    pub detail: String,
    /// Who does what about it.
    pub action: Option<String>,
    /// When it was found.
    pub at: DateTime<Utc>,
}

/// Who goes first for the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A person waits.
    Waited,
    /// Nobody does.
    Background,
}

/// An opened connection.
pub struct OpenPsa {
    /// The connection.
    pub connection: PsaConnection,
    /// Its adapter.
    pub adapter: Arc<dyn PsaAdapter>,
}

/// Why a connection cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenPsaError {
    /// There is none.
    #[error("no such connection")]
    NotFound,
    /// Its credentials cannot be decrypted.
    #[error("the stored credentials cannot be read")]
    Unreadable,
    /// The adapter refuses what was entered.
    #[error(transparent)]
    Refused(PsaError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens connections.
#[derive(Clone)]
pub struct PsaAccess {
    store: Store,
}

impl PsaAccess {
    /// Over this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Tells the customer sync of a new connection.
    pub async fn created(&self, scope: &OrgScope, id: PsaConnectionId) -> Result<(), StoreError> {
        self.store
            .write(scope, move |tx| customer_sync::connection_created(tx, id))
            .await
    }

    /// Tells it of a changed one.
    pub async fn changed(&self, scope: &OrgScope, id: PsaConnectionId) -> Result<(), StoreError> {
        self.store
            .write(scope, move |tx| customer_sync::connection_changed(tx, id))
            .await
    }

    /// Tells it of a deleted one.
    pub async fn deleted(&self, scope: &OrgScope, id: PsaConnectionId) -> Result<(), StoreError> {
        self.store
            .write(scope, move |tx| {
                all(tx)?;
                customer_sync::connection_deleted(tx, id)
            })
            .await
    }

    /// Tells it of a webhook.
    pub async fn hinted(&self, scope: &OrgScope, id: PsaConnectionId) -> Result<(), StoreError> {
        self.store
            .write(scope, move |tx| {
                customer_sync::note_changes(tx, id, &[], true)
            })
            .await
    }

    /// Opens a connection.
    pub async fn open(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
        _urgency: Urgency,
    ) -> Result<OpenPsa, OpenPsaError> {
        let found = self.store.read(scope, move |tx| find(tx, id)).await?;
        match found {
            None => Err(OpenPsaError::NotFound),
            Some(_) => Err(OpenPsaError::Unreadable),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = psa_connections)]
struct Row {
    id: PsaConnectionId,
    kind: String,
    name: String,
    base_url: String,
    settings: String,
    system: String,
    generation: i64,
    trouble: Option<String>,
    version: i64,
    created_at: StoredTime,
    changed_at: StoredTime,
}

impl Row {
    fn into_connection(self) -> Result<PsaConnection, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        let trouble = self.trouble.as_deref().map(serde_json::from_str);
        Ok(PsaConnection {
            id: self.id,
            kind: self.kind.parse().or(Err(corrupt("kind of PSA")))?,
            name: self.name,
            base_url: self.base_url,
            settings: serde_json::from_str(&self.settings)
                .or(Err(corrupt("settings of a PSA connection")))?,
            system: self.system,
            generation: self.generation,
            trouble: trouble
                .transpose()
                .or(Err(corrupt("trouble of a PSA connection")))?,
            version: self.version,
            created_at: self.created_at.0,
            changed_at: self.changed_at.0,
        })
    }
}

pub(crate) fn find(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
) -> Result<Option<PsaConnection>, StoreError> {
    let org = tx.org();
    let row: Option<Row> = on_conn!(tx.conn, |c| psa_connections::table
        .filter(psa_connections::org_id.eq(org))
        .filter(psa_connections::id.eq(id))
        .select(Row::as_select())
        .first(c)
        .optional())?;
    row.map(Row::into_connection).transpose()
}

pub(crate) fn all(tx: &mut Scoped<'_>) -> Result<Vec<PsaConnection>, StoreError> {
    let org = tx.org();
    let rows: Vec<Row> = on_conn!(tx.conn, |c| psa_connections::table
        .filter(psa_connections::org_id.eq(org))
        .order(psa_connections::id)
        .select(Row::as_select())
        .load(c))?;
    rows.into_iter().map(Row::into_connection).collect()
}

pub(crate) fn note_trouble(
    tx: &mut Scoped<'_>,
    id: PsaConnectionId,
    trouble: Option<&Trouble>,
) -> Result<(), StoreError> {
    let org = tx.org();
    let text = trouble.map(serde_json::to_string).transpose();
    let text = text.or(Err(StoreError::Corrupt { what: "trouble" }))?;
    on_conn!(tx.conn, |c| diesel::update(
        psa_connections::table
            .filter(psa_connections::org_id.eq(org))
            .filter(psa_connections::id.eq(id))
    )
    .set(psa_connections::trouble.eq(&text))
    .execute(c))?;
    Ok(())
}

/// What an error means for people.
pub fn trouble_of(error: &PsaError, kind: PsaKind, now: DateTime<Utc>) -> Trouble {
    let code = match error {
        PsaError::Config { .. } => "psaConfigurationInvalid",
        PsaError::Auth { .. } => "psaCredentialsRejected",
        PsaError::Permission { .. } => "psaPermissionMissing",
        PsaError::NotFound | PsaError::Validation { .. } | PsaError::Conflict => {
            "psaRequestRefused"
        }
        PsaError::RateLimited { .. } => "psaRateLimited",
        PsaError::Transient { .. } | PsaError::Ambiguous => "psaUnreachable",
        PsaError::Protocol { .. } => "psaUnexpectedAnswer",
        PsaError::AddressRefused => "psaAddressRefused",
    };
    Trouble {
        code: code.to_owned(),
        detail: format!("{}: {error}.", kind.product()),
        action: None,
        at: now,
    }
}
