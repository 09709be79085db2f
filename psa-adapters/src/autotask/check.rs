//! A look at the connection, line by line, with who must do what in Autotask's own words (psa.md §B2).

use serde_json::Value;

use crate::{
    autotask::{
        Autotask,
        errors::right,
        query::{List, every},
        threshold::{Threshold, limits},
    },
    error::PsaError,
    report::Report,
};

const CREDENTIALS_ACTION: &str = "Enter the user name, secret and tracking identifier of a resource with \
    the security level API User (system), as Autotask shows them under Admin > Resources (Users). A new \
    API user may take five minutes to work; Autotask locks it after repeated failures.";

impl Autotask {
    /// Tries everything that is used.
    pub(super) async fn look(&self, tickets: Option<&Value>) -> Result<Report, PsaError> {
        let mut report = Report::default();
        if !self.look_at_zone(&mut report).await? {
            return Ok(report);
        }
        let Some(threshold) = self.look_at_credentials(&mut report).await? else {
            return Ok(report);
        };
        for (name, entity, what) in [
            ("companies", "Companies", "Companies"),
            ("contacts", "Contacts", "Contacts"),
            ("locations", "CompanyLocations", "Locations of companies"),
        ] {
            let list = List::new(entity, vec![every()], &[]).at_most(1);
            let tried = self.client.page::<Value>(&list, None).await.map(drop);
            note(&mut report, name, entity, what, tried)?;
        }
        let tried = self.may_have_webhooks().await;
        note(
            &mut report,
            "webhooks",
            "CompanyWebhooks",
            "Webhooks",
            tried,
        )?;
        if let Some(settings) = tickets {
            let tried = self.try_tickets(settings).await;
            note_tickets(&mut report, tried)?;
        }
        note_threshold(&mut report, threshold);
        report.works(
            "visibility",
            "Autotask hides rows without a word where the API user's line of business or contract \
             visibility is limited: compare the number of customers with Autotask, and give the user all \
             lines of business where some are missing.",
        );
        Ok(report)
    }

    /// Whether the zone can be found; the report is complete where it cannot.
    async fn look_at_zone(&self, report: &mut Report) -> Result<bool, PsaError> {
        let address_action = "Enter the address of an Autotask zone, such as \
                              https://webservices2.autotask.net, and see that this server may reach it.";
        match self.client.zone().await {
            Ok(_zone) => {
                report.works("reachable", "Autotask was reached and named the zone.");
                Ok(true)
            }
            Err(PsaError::Auth { what }) => {
                report.works("reachable", "Autotask was reached.");
                report.fails(
                    "credentials",
                    format!("Autotask has no zone for this user name: {what}."),
                    CREDENTIALS_ACTION,
                );
                Ok(false)
            }
            Err(error @ PsaError::RateLimited { .. }) => Err(error),
            Err(error) => {
                report.fails(
                    "reachable",
                    format!("The zone could not be looked up: {error}."),
                    address_action,
                );
                Ok(false)
            }
        }
    }

    /// Whether the credentials are accepted, by the reading of the threshold, which every API user may
    /// make. After a refusal nothing more is sent.
    async fn look_at_credentials(
        &self,
        report: &mut Report,
    ) -> Result<Option<Threshold>, PsaError> {
        match self.client.threshold().await {
            Ok(threshold) => {
                let limits = limits(threshold.window());
                self.client.transport.set_limits(limits);
                report.works("credentials", "Autotask accepts the credentials.");
                Ok(Some(threshold))
            }
            Err(error @ (PsaError::Auth { .. } | PsaError::Permission { .. })) => {
                report.note_refusal(&error);
                report.fails(
                    "credentials",
                    format!("Autotask refused the credentials: {error}."),
                    CREDENTIALS_ACTION,
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// A line about a right. Refused credentials, and waiting, end the look.
fn note(
    report: &mut Report,
    name: &'static str,
    entity: &str,
    what: &str,
    tried: Result<(), PsaError>,
) -> Result<(), PsaError> {
    match tried {
        Ok(()) => report.works(name, format!("{what} can be read.")),
        Err(error @ (PsaError::Auth { .. } | PsaError::RateLimited { .. })) => return Err(error),
        Err(error) => report.fails(
            name,
            format!("{what} cannot be read: {error}."),
            action(&error, entity),
        ),
    }
    Ok(())
}

fn note_tickets(
    report: &mut Report,
    tried: Result<Vec<&'static str>, PsaError>,
) -> Result<(), PsaError> {
    let name = "tickets";
    let choose = "Choose the settings for tickets anew from what Autotask offers.";
    match tried {
        Ok(missing) if missing.is_empty() => {
            report.works(name, "Tickets can be read, and their settings exist.");
        }
        Ok(missing) => {
            let missing = missing.join(", ");
            report.fails(
                name,
                format!("Autotask does not offer what is chosen for {missing}."),
                choose,
            );
        }
        Err(PsaError::Config { what }) => {
            report.fails(
                name,
                format!("The settings cannot be used: {what}."),
                choose,
            );
        }
        Err(error) => return note(report, name, "Tickets", "Tickets", Err(error)),
    }
    Ok(())
}

fn note_threshold(report: &mut Report, threshold: Threshold) {
    let name = "threshold";
    let window = threshold.window();
    let told = format!(
        "All integrations together used {} of {} requests in the last {} minutes; Tenantry takes at most \
         {}.",
        threshold.used, threshold.limit, threshold.minutes, window.calls
    );
    if threshold.used >= threshold.limit {
        report.fails(
            name,
            told,
            "Autotask answers nobody until the usage falls: find the integration that uses it up.",
        );
    } else if threshold.used >= threshold.limit / 2 {
        report.works(
            name,
            format!("{told} From half of it on Autotask delays each request."),
        );
    } else {
        report.works(name, told);
    }
}

/// Who must do what about a refusal.
fn action(error: &PsaError, entity: &str) -> String {
    if let PsaError::Permission { .. } = error {
        return format!(
            "In Autotask, under Admin > Security Levels, give the API user's security level (a copy of API \
             User (system)) the right \"{}\".",
            right(entity)
        );
    }
    "Look again in a few minutes; if it stays so, Autotask's support can tell why.".to_owned()
}
