//! `tenantry audit verify`: whether the audit is as it was written.

use std::process::ExitCode;

use serde_json::json;
use tenantry_core::{
    audit::{self, VerifyReport},
    installation,
    store::DatabaseLocation,
};

use crate::{
    config::{Config, Needs},
    failure::Failure,
    output,
    wiring::{self, Migrate},
};

/// The exit code when nobody can tell; 1 says that a chain is broken.
const CANNOT_TELL: u8 = 2;

/// Verifies all chains. Changes nothing, and needs no master key.
pub fn verify(as_json: bool) -> Result<ExitCode, Failure> {
    let cannot_tell = |failure: Failure| failure.exiting(CANNOT_TELL);
    let config = wiring::configure(Needs::Database).map_err(cannot_tell)?;
    let report = wiring::runtime()
        .and_then(|runtime| runtime.block_on(report(&config)))
        .map_err(cannot_tell)?;
    if as_json {
        let VerifyReport {
            events,
            intact,
            first_bad,
        } = report;
        output::json(&if intact {
            json!({"events": events, "intact": true})
        } else {
            json!({"events": events, "intact": false, "firstBadEventId": first_bad})
        })?;
    } else {
        output::text(&sentence(&report))?;
    }
    Ok(if report.intact {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn report(config: &Config) -> Result<VerifyReport, Failure> {
    // Opening a file that is not there would make it.
    if let DatabaseLocation::Sqlite(path) = &config.database.location
        && !path.is_file()
    {
        return Err(
            Failure::new(format!("there is no database {}", config.database.shown))
                .advise("Set TENANTRY_DATABASE_URL to the one to verify."),
        );
    }
    let store = wiring::open_store(&config.database, wiring::clock(), Migrate::Nothing)?;
    let failed = |error| Failure::new("cannot read the audit").because(error);
    if !installation::exists(&store).await.map_err(failed)? {
        return Err(
            Failure::new(format!("{} was never used", config.database.shown))
                .advise("Set TENANTRY_DATABASE_URL to the one to verify."),
        );
    }
    audit::verify(&store).await.map_err(failed)
}

fn sentence(report: &VerifyReport) -> String {
    match (report.intact, report.first_bad) {
        (true, _) => format!("The audit is intact: {} events\n", report.events),
        (false, Some(event)) => format!(
            "The audit is broken at event {event}, after {} events\n",
            report.events
        ),
        (false, None) => format!(
            "The audit is broken: a chain is gone; {} events remain\n",
            report.events
        ),
    }
}
