//! A look at everything that is used, line by line.

use serde_json::Value;

use crate::{error::PsaError, report::Report, wire};

use super::{
    errors::Right,
    http::{Http, entries, unexpected},
    tenant_map,
    ticket_settings::TicketSettings,
    token::WEBHOOKS,
};

/// Where an application is set up, in HaloPSA's own words (psa.md §C2).
const APPLICATION: &str = "In HaloPSA open Configuration, Integrations, Halo API, View Applications: the \
    application needs the authentication method Client ID and Secret (Services) and the login type Agent.";
const PERMISSIONS: &str = "In HaloPSA open Configuration, Integrations, Halo API, View Applications, and \
    the application's tab Permissions: tick read:customers, and edit:tickets if Tenantry is to make tickets.";
const AGENT: &str = "In HaloPSA give the application's agent a role whose access level for this area is \
    at least Read Only, and let it see all clients.";
const TICKETS: &str = "In HaloPSA tick edit:tickets in the application's Permissions and give its agent \
    access to Tickets (Read and Modify).";

/// Tries everything. Errors only for what says nothing about the connection: no budget, or an address that
/// may not be called.
pub(super) async fn check(http: &Http, tickets: Option<&Value>) -> Result<Report, PsaError> {
    let mut report = Report::default();
    if !reachable(http, &mut report).await? {
        return Ok(report);
    }
    http.tokens.forget().await;
    match http.tokens.bearer(None).await {
        Ok(_) => report.works("credentials", "HaloPSA issued a token."),
        Err(error) => {
            let action = match &error {
                PsaError::Permission { .. } => PERMISSIONS,
                PsaError::Auth { .. } => {
                    "Enter client id and client secret of an application in HaloPSA again, and the \
                     tenant as its API page shows it. In HaloPSA open Configuration, Integrations, Halo \
                     API, View Applications: the application must be active."
                }
                PsaError::Config { .. } => {
                    "Enter the Authorisation Server that HaloPSA's API page shows as authUrl."
                }
                PsaError::NotFound
                | PsaError::Validation { .. }
                | PsaError::RateLimited { .. }
                | PsaError::Transient { .. }
                | PsaError::Ambiguous
                | PsaError::Conflict
                | PsaError::Protocol { .. }
                | PsaError::AddressRefused => "Try again in a few minutes.",
            };
            fails(&mut report, "credentials", error, action)?;
            return Ok(report);
        }
    }
    scopes(http, &mut report, tickets.is_some()).await?;
    clients(http, &mut report).await?;
    for (name, right, endpoint, key) in [
        ("contacts", Right::Contacts, "Users", "users"),
        ("sites", Right::Sites, "Site", "sites"),
    ] {
        match first(http, right, endpoint, key).await {
            Ok(_) => report.works(name, format!("{endpoint} can be read.")),
            Err(error) => fails(&mut report, name, error, AGENT)?,
        }
    }
    optional_tenant_map(http, &mut report).await?;
    webhooks(http, &mut report).await?;
    if let Some(settings) = tickets {
        tickets_work(http, &mut report, settings).await?;
    }
    Ok(report)
}

/// Adds a line about an error, unless the error is one of ours.
fn fails(
    report: &mut Report,
    name: &'static str,
    error: PsaError,
    action: &str,
) -> Result<(), PsaError> {
    match error {
        PsaError::RateLimited { .. } | PsaError::AddressRefused => Err(error),
        PsaError::Config { .. }
        | PsaError::Auth { .. }
        | PsaError::Permission { .. }
        | PsaError::NotFound
        | PsaError::Validation { .. }
        | PsaError::Transient { .. }
        | PsaError::Ambiguous
        | PsaError::Conflict
        | PsaError::Protocol { .. } => {
            report.note_refusal(&error);
            report.fails(name, sentence(&error), action);
            Ok(())
        }
    }
}

fn sentence(error: &PsaError) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}

async fn reachable(http: &Http, report: &mut Report) -> Result<bool, PsaError> {
    let problem = match http.tokens.ask_auth_info().await {
        Ok(reply) if reply.status < 300 || (400..500).contains(&reply.status) => {
            report.works("reachable", "HaloPSA answers.");
            return Ok(true);
        }
        Ok(reply) => PsaError::Protocol {
            status: reply.status,
            what: "HaloPSA's sign-in page for programs is not there".to_owned(),
        },
        Err(error) => error,
    };
    fails(
        report,
        "reachable",
        problem,
        "Check the address: it is the Resource Server that HaloPSA's API page shows. An instance of your \
         own must let this server in.",
    )?;
    Ok(false)
}

async fn scopes(http: &Http, report: &mut Report, wants_tickets: bool) -> Result<(), PsaError> {
    let reads = http.tokens.grants("read:customers").await?;
    let tickets = http.tokens.grants("edit:tickets").await?;
    match (reads, tickets) {
        (false, _) => report.fails(
            "scopes",
            "The token does not carry read:customers.",
            PERMISSIONS,
        ),
        (true, true) => report.works(
            "scopes",
            "The application may read customers and edit tickets.",
        ),
        (true, false) if wants_tickets => report.fails(
            "scopes",
            "The application may read customers, but lacks edit:tickets.",
            TICKETS,
        ),
        (true, false) => report.works(
            "scopes",
            "The application may read customers. For tickets it would need edit:tickets.",
        ),
    }
    Ok(())
}

async fn clients(http: &Http, report: &mut Report) -> Result<(), PsaError> {
    match first(http, Right::Clients, "Client", "clients").await {
        Ok(0) => report.fails(
            "clients",
            "No client is visible: HaloPSA leaves out what the application's agent may not see.",
            AGENT,
        ),
        Ok(count) => report.works("clients", format!("Clients can be read: {count}.")),
        Err(error) => fails(
            report,
            "clients",
            error,
            &format!("{PERMISSIONS} {AGENT} {APPLICATION}"),
        )?,
    }
    Ok(())
}

/// How many a list has, by its first row.
async fn first(
    http: &Http,
    right: Right,
    endpoint: &'static str,
    key: &str,
) -> Result<usize, PsaError> {
    let query = [
        ("pageinate", "true"),
        ("page_no", "1"),
        ("page_size", "1"),
        ("order", "id"),
    ];
    let answer = http.get(right, endpoint, None, &query).await?;
    let count = answer
        .get("record_count")
        .and_then(wire::id_of)
        .and_then(|count| count.0.parse::<usize>().ok())
        .unwrap_or_default();
    let rows = entries(answer, key).ok_or_else(|| unexpected(&format!("a list without {key}")))?;
    Ok(count.max(rows.len()))
}

/// Without the map a match rests on domains: nothing is broken.
async fn optional_tenant_map(http: &Http, report: &mut Report) -> Result<(), PsaError> {
    match tenant_map::connections(http).await {
        Ok(connections) => report.works(
            "tenantMap",
            format!("Azure connections can be read: {}.", connections.len()),
        ),
        Err(error @ (PsaError::RateLimited { .. } | PsaError::AddressRefused)) => return Err(error),
        Err(
            PsaError::Config { .. }
            | PsaError::Auth { .. }
            | PsaError::Permission { .. }
            | PsaError::NotFound
            | PsaError::Validation { .. }
            | PsaError::Transient { .. }
            | PsaError::Ambiguous
            | PsaError::Conflict
            | PsaError::Protocol { .. },
        ) => report.works(
            "tenantMap",
            "Azure connections cannot be read, so tenants are suggested by domains only. Giving the \
             application's agent access to them makes suggestions certain.",
        ),
    }
    Ok(())
}

/// Without webhooks changes are read at intervals: nothing is broken.
async fn webhooks(http: &Http, report: &mut Report) -> Result<(), PsaError> {
    match http.tokens.for_webhooks().await {
        Ok(Some(_token)) => report.works("webhooks", "Webhooks can be set up."),
        Ok(None) => report.works(
            "webhooks",
            format!(
                "The application lacks {WEBHOOKS}: changes are read at intervals, and a webhook would \
                 have to be set up by hand."
            ),
        ),
        Err(error) => fails(report, "webhooks", error, "Try again in a few minutes.")?,
    }
    Ok(())
}

async fn tickets_work(http: &Http, report: &mut Report, settings: &Value) -> Result<(), PsaError> {
    let faults = match TicketSettings::read(settings) {
        Ok(settings) => settings.faults(http).await,
        Err(error) => Err(error),
    };
    match faults {
        Ok(faults) if faults.is_empty() => {
            report.works("tickets", "The settings for tickets fit this HaloPSA.");
        }
        Ok(faults) => report.fails(
            "tickets",
            format!("{}.", faults.join("; ")),
            "Choose the settings for tickets again: their ids are this HaloPSA's own.",
        ),
        Err(error @ PsaError::Config { .. }) => fails(
            report,
            "tickets",
            error,
            "Choose the settings for tickets again.",
        )?,
        Err(error) => fails(report, "tickets", error, TICKETS)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
