//! A look at everything that is used: what works, which right is missing, and who must do what.

use serde::Deserialize;
use serde_json::Value;

use super::{
    ConnectWise, client::Call, records::TableRow, refusal::Right, ticket_settings::TicketSettings,
};
use crate::{contract::ExternalId, error::PsaError, report::Report, wire};

/// The server's page about itself.
#[derive(Deserialize)]
struct SystemInfo {
    #[serde(default, deserialize_with = "wire::text")]
    version: Option<String>,
}

/// A number of records.
#[derive(Deserialize)]
struct Count {
    count: u64,
}

impl ConnectWise {
    /// Tries everything, as far as the first steps let the others mean something.
    pub(super) async fn look(&self, tickets: Option<&Value>) -> Result<Report, PsaError> {
        let mut report = Report::default();
        if !self.look_reachable(&mut report).await? || !self.look_companies(&mut report).await? {
            return Ok(report);
        }
        let statuses = self.read_statuses().await.map(drop);
        line(
            &mut report,
            "companyStatuses",
            statuses,
            "The table of company statuses can be read.",
        )?;
        let contacts = self.first_of(Right::Contacts, "company/contacts").await;
        line(&mut report, "contacts", contacts, "Contacts can be read.")?;
        // Being called is an addition: a member with the least rights is not at fault.
        match self.first_of(Right::Callbacks, "system/callbacks").await {
            Err(PsaError::Permission { what }) => report.works(
                "callbacks",
                format!("Not used: changes are found by reading. To be called at once, the role needs {what}."),
            ),
            tried => line(
                &mut report,
                "callbacks",
                tried,
                "Callbacks can be read; whether they can be made shows when one is set up.",
            )?,
        }
        if let Some(settings) = tickets {
            self.look_tickets(settings, &mut report).await?;
        }
        Ok(report)
    }

    /// Whether there is a ConnectWise PSA with this company.
    async fn look_reachable(&self, report: &mut Report) -> Result<bool, PsaError> {
        if let Err(error) = self.client.code_base().await {
            line(report, "reachable", Err(error), "")?;
            return Ok(false);
        }
        let call = Call::get(Right::SignedIn, "system/info");
        match self.client.fetch::<SystemInfo>(&call).await {
            Ok(info) => {
                let version = info
                    .version
                    .map(|version| format!(" {}", wire::said(&version)));
                let version = version.unwrap_or_default();
                report.works("reachable", format!("ConnectWise PSA{version} answers."));
            }
            // It answered. Whether the keys are good is seen from what needs them for certain.
            Err(PsaError::Auth { .. } | PsaError::Permission { .. }) => {
                report.works("reachable", "ConnectWise PSA answers.");
            }
            Err(error) => {
                line(report, "reachable", Err(error), "")?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the keys are good, and whether companies can be read with them.
    async fn look_companies(&self, report: &mut Report) -> Result<bool, PsaError> {
        let call = Call::get(Right::Companies, "company/companies/count");
        match self.client.fetch::<Count>(&call).await {
            Err(PsaError::Auth { what }) => {
                line(report, "credentials", Err(PsaError::Auth { what }), "")?;
                return Ok(false);
            }
            Ok(Count { count }) => {
                report.works("credentials", "The keys and the client ID are accepted.");
                report.works("companies", format!("{count} companies can be read."));
            }
            Err(error @ PsaError::Permission { .. }) => {
                report.works("credentials", "The keys and the client ID are accepted.");
                line(report, "companies", Err(error), "")?;
            }
            Err(error) => {
                line(report, "companies", Err(error), "")?;
            }
        }
        Ok(true)
    }

    async fn first_of(&self, right: Right, path: &str) -> Result<(), PsaError> {
        let call = Call::get(right, path).with("pageSize", "1");
        self.client.fetch::<Vec<Value>>(&call).await.map(drop)
    }

    /// Whether the chosen board and statuses are there. Nothing is made to find out.
    async fn look_tickets(&self, settings: &Value, report: &mut Report) -> Result<(), PsaError> {
        let looked = self.try_tickets(settings).await;
        line(
            report,
            "tickets",
            looked,
            "Tickets can be read, and the settings fit the board; whether they can be made and changed shows with the first one.",
        )
    }

    async fn try_tickets(&self, settings: &Value) -> Result<(), PsaError> {
        let settings = TicketSettings::parse(settings)?;
        self.first_of(Right::ReadTickets, "service/tickets").await?;
        let board = settings.board;
        let statuses = match self.board_statuses(board).await {
            Ok(statuses) => statuses,
            Err(PsaError::NotFound) => {
                return Err(missing("boardId", board, "ConnectWise PSA"));
            }
            Err(error) => return Err(error),
        };
        let place = format!("service board {board}");
        has("statusId", settings.status, &statuses, &place)?;
        has("closedStatusId", settings.closed_status, &statuses, &place)?;
        if settings.closed_status.is_none() && !statuses.iter().any(TableRow::closes) {
            return Err(PsaError::Config {
                what: format!(
                    "no status of {place} closes a ticket; choose closedStatusId, or give the board a closed status"
                ),
            });
        }
        if settings.kind.is_some() {
            let types = self.table(&format!("service/boards/{board}/types")).await?;
            has("typeId", settings.kind, &types, &place)?;
        }
        if settings.priority.is_some() {
            let priorities = self.table("service/priorities").await?;
            has(
                "priorityId",
                settings.priority,
                &priorities,
                "ConnectWise PSA",
            )?;
        }
        Ok(())
    }
}

fn has(field: &str, id: Option<i64>, rows: &[TableRow], place: &str) -> Result<(), PsaError> {
    let Some(id) = id else { return Ok(()) };
    let wanted = ExternalId(id.to_string());
    let is_there = rows.iter().any(|row| row.id.as_ref() == Some(&wanted));
    is_there
        .then_some(())
        .ok_or_else(|| missing(field, id, place))
}

fn missing(field: &str, id: i64, place: &str) -> PsaError {
    PsaError::Config {
        what: format!("{field} {id} is not in {place}, or no longer in use"),
    }
}

/// Adds the line that an outcome is. Only a budget that is used up ends the check: nothing was looked at.
fn line(
    report: &mut Report,
    name: &'static str,
    outcome: Result<(), PsaError>,
    works: &str,
) -> Result<(), PsaError> {
    if let Err(error) = &outcome {
        report.note_refusal(error);
    }
    let (detail, action) = match outcome {
        Ok(()) => {
            report.works(name, works);
            return Ok(());
        }
        Err(error @ PsaError::RateLimited { .. }) => return Err(error),
        Err(PsaError::Config { what }) => (
            format!("{what}."),
            "Change the connection's settings and try again.".to_owned(),
        ),
        Err(PsaError::Auth { what }) => (
            format!("ConnectWise PSA refuses the sign-in: {what}"),
            "Enter the public and private key of an active API member of this company, and the client ID registered for this product.".to_owned(),
        ),
        Err(PsaError::Permission { what }) => (
            format!("The API member's role lacks a right: {what}."),
            format!("In ConnectWise PSA, under System → Security Roles, open the role of the API member and set {what}."),
        ),
        Err(PsaError::AddressRefused) => (
            "This address may not be called.".to_owned(),
            "Enter a public https address, or have the operator of Tenantry allow it.".to_owned(),
        ),
        Err(PsaError::Transient { what }) => (
            format!("ConnectWise PSA is not reachable: {what}."),
            "Check the base URL; if it is right, try again later.".to_owned(),
        ),
        Err(PsaError::Protocol { status, what }) => (
            format!("The answer is none of ConnectWise PSA's (status {status}): {what}."),
            "Check the base URL and the company ID.".to_owned(),
        ),
        Err(
            error @ (PsaError::NotFound
            | PsaError::Validation { .. }
            | PsaError::Ambiguous
            | PsaError::Conflict),
        ) => (
            format!("ConnectWise PSA does not answer as expected: {error}."),
            "Try again; if it stays so, check the version of ConnectWise PSA.".to_owned(),
        ),
    };
    report.fails(name, detail, action);
    Ok(())
}

#[cfg(test)]
mod tests;
