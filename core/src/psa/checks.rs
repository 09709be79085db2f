//! Trying a connection, and asking a PSA what may be chosen, while a person waits.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tenantry_psa::{
    Label, PsaError, PsaKind,
    report::{Check, Report},
    ticket::TicketOptions,
};

use super::{
    OpenPsa, OpenPsaError, PsaAccess, Trouble, Urgency, queries, trouble::trouble_in, trouble_of,
};
use crate::{access::OrgScope, ids::PsaConnectionId, store::StoreError};

/// Why a PSA did not answer a person.
#[derive(Debug, thiserror::Error)]
pub enum PsaCallError {
    /// The connection is not there, or not in this organisation.
    #[error("no such PSA connection")]
    NotFound,
    /// Its stored credentials do not open.
    #[error("the stored credentials of the PSA connection cannot be read")]
    Unreadable,
    /// The PSA refused or could not be asked.
    #[error("{error}")]
    Psa {
        /// What happened.
        #[source]
        error: PsaError,
        /// The same for people.
        trouble: Box<Trouble>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tries connections.
#[derive(Clone)]
pub struct PsaChecks {
    access: PsaAccess,
}

impl PsaChecks {
    /// For connections that are opened this way.
    pub fn new(access: PsaAccess) -> Self {
        Self { access }
    }

    /// Tries everything that a connection is used for, and notes what stands in its way, or that nothing
    /// does any more.
    ///
    /// # Errors
    /// When the connection cannot be opened. What its PSA refuses stands in the report.
    pub async fn check(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
    ) -> Result<Report, PsaCallError> {
        let (report, trouble) = match self.open(scope, id).await {
            Ok(open) => {
                let settings = &open.connection.settings.tickets;
                let wants = settings.enabled || !settings.options.is_empty();
                let options = wants.then(|| Value::Object(settings.options.clone()));
                match open.adapter.check(options.as_ref()).await {
                    Ok(report) => {
                        let trouble = trouble_in(&report, self.now());
                        (report, trouble)
                    }
                    Err(error) => refused(trouble_of(&error, open.connection.kind, self.now())),
                }
            }
            Err(PsaCallError::Psa { trouble, .. }) => refused(*trouble),
            Err(
                other
                @ (PsaCallError::NotFound | PsaCallError::Unreadable | PsaCallError::Store(_)),
            ) => return Err(other),
        };
        self.access
            .store()
            .write(scope, move |tx| {
                queries::note_trouble(tx, id, trouble.as_ref())
            })
            .await?;
        Ok(report)
    }

    /// What may be chosen in the settings for tickets.
    ///
    /// # Errors
    /// Any [`PsaCallError`].
    pub async fn ticket_options(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
    ) -> Result<TicketOptions, PsaCallError> {
        let open = self.open(scope, id).await?;
        let asked = open.adapter.ticket_options().await;
        asked.map_err(|error| failed(error, open.connection.kind, self.now()))
    }

    /// The types of customers that may be chosen for the sync.
    ///
    /// # Errors
    /// Any [`PsaCallError`].
    pub async fn customer_types(
        &self,
        scope: &OrgScope,
        id: PsaConnectionId,
    ) -> Result<Vec<Label>, PsaCallError> {
        let open = self.open(scope, id).await?;
        let asked = open.adapter.customer_types().await;
        asked.map_err(|error| failed(error, open.connection.kind, self.now()))
    }

    async fn open(&self, scope: &OrgScope, id: PsaConnectionId) -> Result<OpenPsa, PsaCallError> {
        open_for_a_person(&self.access, scope, id).await
    }

    fn now(&self) -> DateTime<Utc> {
        self.access.store().clock().now()
    }
}

/// The report about a PSA that refused to be tried at all.
fn refused(trouble: Trouble) -> (Report, Option<Trouble>) {
    let name = match trouble.code.as_str() {
        "psaCredentialsRejected" => "credentials",
        "psaPermissionMissing" => "permissions",
        _other => "reachable",
    };
    let check = Check {
        name,
        ok: false,
        detail: trouble.detail.clone(),
        action: trouble.action.clone(),
    };
    let report = Report {
        checks: vec![check],
        rejected: trouble.code == "psaCredentialsRejected",
    };
    (report, Some(trouble))
}

/// Opens a connection because somebody waits.
pub(super) async fn open_for_a_person(
    access: &PsaAccess,
    scope: &OrgScope,
    id: PsaConnectionId,
) -> Result<OpenPsa, PsaCallError> {
    match access.open(scope, id, Urgency::Waited).await {
        Ok(open) => Ok(open),
        Err(OpenPsaError::NotFound) => Err(PsaCallError::NotFound),
        Err(OpenPsaError::Unreadable) => Err(PsaCallError::Unreadable),
        Err(OpenPsaError::Store(error)) => Err(error.into()),
        Err(OpenPsaError::Refused(error)) => {
            let found = access
                .store()
                .read(scope, move |tx| queries::find(tx, id))
                .await?;
            let connection = found.ok_or(PsaCallError::NotFound)?;
            let now = access.store().clock().now();
            Err(failed(error, connection.kind, now))
        }
    }
}

/// A refusal for whoever waits.
pub(super) fn failed(error: PsaError, kind: PsaKind, now: DateTime<Utc>) -> PsaCallError {
    let trouble = Box::new(trouble_of(&error, kind, now));
    PsaCallError::Psa { error, trouble }
}
