//! Whether the process is ready, and why not.

use std::time::Duration;

use serde::Serialize;
use tenantry_core::{
    access::keys::KeyService,
    clock::Clock,
    microsoft::client_credential::ClientCredential,
    store::{Store, schema_version},
};
use utoipa::ToSchema;

use crate::{credential_report::CredentialReport, drain::Drain};

/// Longest time the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks whether the process can do its work.
pub struct Readiness {
    /// The store.
    pub store: Store,
    /// Asks the database the cheapest question there is.
    pub keys: KeyService,
    /// Whether the process is ending.
    pub drain: Drain,
    /// The time.
    pub clock: Clock,
    /// The credential of the app registration; none when there is none.
    pub credential: Option<ClientCredential>,
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessReport {
    /// `ready` or `notReady`.
    #[schema(example = "ready")]
    pub status: &'static str,
    /// What was looked at.
    pub checks: Vec<ReadinessCheck>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessCheck {
    /// Which.
    #[schema(example = "database")]
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// Details, shown only to an owner.
    #[schema(required)]
    pub detail: Option<String>,
}

impl ReadinessReport {
    /// Whether everything is well that decides.
    pub fn is_ready(&self) -> bool {
        self.status == READY
    }
}

const READY: &str = "ready";

impl Readiness {
    /// Looks now. Details are for owners only.
    pub async fn report(&self, with_details: bool) -> ReadinessReport {
        let database = match tokio::time::timeout(PATIENCE, self.keys.key_epoch()).await {
            Ok(Ok(_epoch)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("no answer within 5 seconds".to_owned()),
        };
        let draining = self.drain.has_begun();
        let mut checks = vec![
            ReadinessCheck {
                name: "database",
                ok: database.is_ok(),
                detail: Some(
                    database
                        .err()
                        .unwrap_or_else(|| self.store.kind().to_owned()),
                ),
            },
            // The process does not start on a schema that is not its own.
            ReadinessCheck {
                name: "migrations",
                ok: true,
                detail: Some(format!("schema {}", schema_version())),
            },
            ReadinessCheck {
                name: "process",
                ok: !draining,
                detail: Some(if draining { "ending" } else { "serving" }.to_owned()),
            },
        ];
        let ready = checks.iter().all(|check| check.ok);
        if with_details {
            checks.push(self.credential());
        } else {
            checks.iter_mut().for_each(|check| check.detail = None);
        }
        ReadinessReport {
            status: if ready { READY } else { "notReady" },
            checks,
        }
    }

    /// The credential is told, but does not decide: what is stored can be read without it.
    fn credential(&self) -> ReadinessCheck {
        let (ok, detail) = match &self.credential {
            None => (false, "no app registration is set up".to_owned()),
            Some(credential) => {
                let now = self.clock.now();
                let report = CredentialReport::new(&credential.status(now), now);
                (report.is_well, report.detail)
            }
        };
        ReadinessCheck {
            name: "microsoftCredential",
            ok,
            detail: Some(detail),
        }
    }
}
