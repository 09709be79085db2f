//! `mailboxes`: the usage report where it names its mailboxes, else the mailbox settings of each user
//! who can have one. Then each mailbox is linked to its user.
//!
//! Runs after `users` and `licenses`, which it reads from the store.

use uuid::Uuid;

use super::{document, finish_full_read, is_refusal, mailbox_report::Report, purposes};
use crate::{
    ids::TenantId,
    inventory::{self, ObjectKind, ObjectRow, documents::Mailbox, text_key},
    microsoft::{
        cloud::CloudService, graph_error::GraphError, page::read_object, throttle::Workload,
    },
    store::{Scoped, StoreError, types::StoredUuid},
    sync::{checkpoint::Position, error::SyncError, run::Warning, step::Step},
};

/// Mailboxes and users handled in one transaction.
const PAGE: usize = 1_000;

/// Reads all mailboxes.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    let tenant = step.run.tenant;
    let plans = step
        .run
        .store
        .read(&step.run.scope, move |tx| inventory::read_plans(tx, tenant))
        .await?;
    let generation = step.full_read().await?;
    if step.position() == Position::Start {
        match from_report(step, generation).await? {
            Outcome::Named => {
                link_to_users(step, generation).await?;
                step.prepare(|checkpoint| checkpoint.position = Position::End)
                    .await;
            }
            Outcome::Unusable(warning) => {
                step.warn(warning);
                let after = Uuid::nil();
                step.prepare(|checkpoint| {
                    checkpoint.position = Position::UserSettings { after };
                })
                .await;
            }
        }
    }
    purposes::read_all(step, generation, plans.as_ref())
        .await
        .map_err(needs_mailbox_settings)?;
    let none = step.checkpoint().is_some_and(|done| done.read == 0);
    if none && plans.as_ref().is_some_and(|plans| !plans.has_exchange()) {
        return Err(SyncError::Skipped(Warning::note(
            "notLicensed",
            "Exchange Online is not licensed in this tenant, so there are no mailboxes.",
        )));
    }
    finish_full_read(step, ObjectKind::Mailbox).await
}

/// A refusal of the mailbox settings is about their own permission, not the report's.
fn needs_mailbox_settings(error: SyncError) -> SyncError {
    match error {
        SyncError::Graph(GraphError::AccessDenied(refusal)) => SyncError::Denied {
            permission: "MailboxSettings.Read",
            refusal,
        },
        other @ (SyncError::Graph(_)
        | SyncError::Denied { .. }
        | SyncError::UnexpectedAnswer(_)
        | SyncError::Skipped(_)
        | SyncError::LeaseLost
        | SyncError::Cancelled
        | SyncError::Store(_)) => other,
    }
}

/// What the usage report was good for.
enum Outcome {
    /// Its rows are stored.
    Named,
    /// It does not exist here or does not name its mailboxes; nothing of it was stored.
    Unusable(Warning),
}

/// Stores what the usage report says. After a kill it is downloaded again: its link lives for minutes.
async fn from_report(step: &Step, generation: i64) -> Result<Outcome, SyncError> {
    let graph = &step.run.graph;
    if !graph.profile().has(CloudService::UsageReports) {
        return Ok(Outcome::Unusable(not_offered()));
    }
    if names_are_concealed(step).await? == Some(true) {
        return Ok(Outcome::Unusable(concealed()));
    }
    let path = "reports/getMailboxUsageDetail(period='D7')";
    let mut report = match graph
        .report(path, Workload::MailboxUsageReport, &step.meter)
        .await
    {
        Ok(body) => Report::new(body),
        Err(error @ GraphError::AccessDenied(_)) => return Err(error.into()),
        Err(error) if is_refusal(&error) => {
            tracing::info!(%error, "the mailbox usage report is not offered");
            return Ok(Outcome::Unusable(not_offered()));
        }
        Err(error) => return Err(error.into()),
    };
    let mut rows = report.next(PAGE).await?;
    // Without the permission to ask for the setting, hashes betray themselves: they have no `@`.
    if !rows.is_empty() && !rows.iter().any(is_named) {
        return Ok(Outcome::Unusable(concealed()));
    }
    while !rows.is_empty() {
        let tenant = step.run.tenant;
        let write = move |tx: &mut Scoped<'_>| store_rows(tx, tenant, generation, rows);
        step.commit_page(|_| {}, move |tx| Ok(write(tx)?.into()))
            .await?;
        rows = report.next(PAGE).await?;
    }
    Ok(Outcome::Named)
}

/// Whether the tenant's reports hide names; `None` when we may not ask.
async fn names_are_concealed(step: &Step) -> Result<Option<bool>, SyncError> {
    #[derive(serde::Deserialize)]
    struct ReportSettings {
        #[serde(rename = "displayConcealedNames")]
        display_concealed_names: Option<bool>,
    }
    let url = step.run.graph.v1("admin/reportSettings");
    match step.run.graph.get(&url, Workload::Other, &step.meter).await {
        Ok(body) => Ok(read_object::<ReportSettings>(&body)?.display_concealed_names),
        Err(error) if is_refusal(&error) => {
            tracing::info!(%error, "report settings are not shown");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_named(mailbox: &Mailbox) -> bool {
    mailbox
        .user_principal_name
        .as_deref()
        .is_some_and(|name| name.contains('@'))
}

fn concealed() -> Warning {
    Warning::new(
        "reportNamesConcealed",
        "This tenant's usage reports hide the names of mailboxes, so sizes and activity are unknown.",
        "An administrator of the tenant can show them: Microsoft 365 admin center, Settings, Org settings, Reports.",
    )
}

fn not_offered() -> Warning {
    Warning::note(
        "reportsNotOffered",
        "Microsoft offers no usage reports here, so sizes and activity of mailboxes are unknown.",
    )
}

/// The key of a mailbox: its name, which a deleted mailbox may share with its successor.
pub(super) fn mailbox_key(mailbox: &Mailbox) -> Uuid {
    let name = mailbox
        .user_principal_name
        .as_deref()
        .unwrap_or_default()
        .to_lowercase();
    match mailbox.is_deleted {
        Some(true) => text_key(&format!(
            "deleted {} {name}",
            mailbox.deleted_date.as_deref().unwrap_or_default()
        )),
        Some(false) | None => text_key(&name),
    }
}

/// Stores rows of the report; what other sources found out about a mailbox stays while it is still
/// its user's.
fn store_rows(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
    rows: Vec<Mailbox>,
) -> Result<usize, SyncError> {
    let mut by_key: std::collections::BTreeMap<Uuid, Mailbox> = rows
        .into_iter()
        .map(|row| (mailbox_key(&row), row))
        .collect();
    let keys: Vec<Uuid> = by_key.keys().copied().collect();
    let stored = inventory::stored_documents(tx, tenant, ObjectKind::Mailbox, &keys)?;
    let mut owners: std::collections::HashMap<Uuid, Vec<(Uuid, Mailbox)>> =
        std::collections::HashMap::new();
    for (key, text) in stored {
        let mailbox: Mailbox = parse(&text)?;
        if let Some(owner) = mailbox
            .user_id
            .as_deref()
            .and_then(|id| Uuid::try_parse(id).ok())
        {
            owners.entry(owner).or_default().push((key, mailbox));
        }
    }
    let ids: Vec<Uuid> = owners.keys().copied().collect();
    for (owner, text) in inventory::live_among(tx, tenant, ObjectKind::User, &ids)? {
        let user: Owner = parse(&text)?;
        for (key, before) in owners.remove(&owner).unwrap_or_default() {
            if user.key() == key
                && let Some(row) = by_key.get_mut(&key)
            {
                row.user_id = before.user_id;
                row.user_purpose = before.user_purpose;
            }
        }
    }
    write(tx, tenant, generation, by_key.into_iter())
}

pub(super) fn write(
    tx: &mut Scoped<'_>,
    tenant: TenantId,
    generation: i64,
    mailboxes: impl Iterator<Item = (Uuid, Mailbox)>,
) -> Result<usize, SyncError> {
    let rows: Vec<ObjectRow> = mailboxes
        .map(|(key, mailbox)| {
            let name = mailbox.display_name.as_deref().unwrap_or_default();
            let upn = mailbox.user_principal_name.as_deref().unwrap_or_default();
            Ok(ObjectRow {
                key: StoredUuid(key),
                name: Some(format!("{name} {upn}").to_lowercase()),
                document: document(&mailbox)?,
            })
        })
        .collect::<Result<_, SyncError>>()?;
    let kind = ObjectKind::Mailbox;
    Ok(inventory::store_objects(
        tx, tenant, kind, generation, &rows,
    )?)
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, SyncError> {
    Ok(serde_json::from_str(text).or(Err(StoreError::Corrupt { what: "document" }))?)
}

/// A user, as far as its mailbox goes.
#[derive(serde::Deserialize)]
struct Owner {
    id: String,
    #[serde(rename = "userPrincipalName")]
    user_principal_name: Option<String>,
}

impl Owner {
    fn key(&self) -> Uuid {
        text_key(
            &self
                .user_principal_name
                .as_deref()
                .unwrap_or_default()
                .to_lowercase(),
        )
    }
}

/// Gives each mailbox the id of the user who signs in with its name.
async fn link_to_users(step: &Step, generation: i64) -> Result<(), SyncError> {
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let tenant = step.run.tenant;
    let mut after = None;
    loop {
        let users = step
            .run
            .store
            .read(&step.run.scope, move |tx| {
                inventory::live_documents(tx, tenant, ObjectKind::User, after, None, limit)
            })
            .await?;
        let Some((last, _)) = users.last() else {
            return Ok(());
        };
        after = Some(*last);
        let owners: Vec<Owner> = users
            .iter()
            .map(|(_, text)| parse(text))
            .collect::<Result<_, _>>()?;
        step.write(move |tx| {
            let ids: std::collections::HashMap<Uuid, String> = owners
                .into_iter()
                .map(|owner| (owner.key(), owner.id))
                .collect();
            let keys: Vec<Uuid> = ids.keys().copied().collect();
            let mut linked = std::collections::BTreeMap::new();
            for (key, text) in inventory::live_among(tx, tenant, ObjectKind::Mailbox, &keys)? {
                let mut mailbox: Mailbox = parse(&text)?;
                let owner = ids.get(&key).cloned();
                if mailbox.user_id != owner {
                    mailbox.user_id = owner;
                    mailbox.user_purpose = None;
                    linked.insert(key, mailbox);
                }
            }
            write(tx, tenant, generation, linked.into_iter()).map(drop)
        })
        .await?;
    }
}
