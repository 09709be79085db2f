//! The kind of each mailbox (user, shared, room, …) as the mailbox settings tell it: one question a
//! mailbox, twenty in a batch.
//!
//! Where the usage report names the mailboxes this is a pass of its own after the run; where it does
//! not, it is the source of the mailboxes themselves and belongs to the run.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use super::mailboxes::{mailbox_key, parse, write};
use crate::{
    inventory::{self, ObjectKind, Plans, documents::Mailbox},
    microsoft::{
        cloud::CloudService,
        connection::Grant,
        graph::{GraphPath, GraphSession},
        graph_error::GraphError,
        meter::Meter,
        page::read_object,
        throttle::Workload,
    },
    sync::{checkpoint::Position, error::SyncError, run::Warning, step::Step},
};

/// Mailboxes asked for between two commits.
const PAGE: usize = 200;
/// Users looked at in one read.
const SCAN: i64 = 1_000;

/// A user, as far as mailboxes go.
#[derive(Deserialize)]
struct Candidate {
    id: String,
    #[serde(rename = "displayName")]
    display_name: Option<String>,
    #[serde(rename = "userPrincipalName")]
    user_principal_name: Option<String>,
    mail: Option<String>,
    #[serde(rename = "accountEnabled")]
    account_enabled: Option<bool>,
    #[serde(rename = "assignedLicenses")]
    assigned_licenses: Option<Vec<AssignedLicense>>,
}

#[derive(Deserialize)]
struct AssignedLicense {
    #[serde(rename = "skuId")]
    sku_id: Option<String>,
}

impl Candidate {
    /// Users with a licence that brings a mailbox, and disabled users without any licence but with an
    /// address: that is what a shared mailbox looks like. Without known plans any licence counts.
    fn may_have_mailbox(&self, plans: Option<&Plans>) -> bool {
        let licenses = self.assigned_licenses.as_deref().unwrap_or_default();
        if licenses.is_empty() {
            return self.account_enabled == Some(false) && self.mail.is_some();
        }
        match plans {
            Some(plans) => licenses
                .iter()
                .filter_map(|license| license.sku_id.as_deref())
                .any(|sku| plans.brings_mailbox(sku)),
            None => true,
        }
    }

    fn into_mailbox(self, purpose: String) -> Mailbox {
        Mailbox {
            user_principal_name: self.user_principal_name,
            display_name: self.display_name,
            is_deleted: Some(false),
            user_id: Some(self.id),
            user_purpose: Some(purpose),
            ..Mailbox::default()
        }
    }
}

/// Reads the mailboxes from the settings of every user who may have one, from where the step stands
/// among the users; nothing when it stands elsewhere.
pub(super) async fn read_all(
    step: &Step,
    generation: i64,
    plans: Option<&Plans>,
) -> Result<(), SyncError> {
    let tenant = step.run.tenant;
    while let Position::UserSettings { after } = step.position() {
        let users = step
            .run
            .store
            .read(&step.run.scope, move |tx| {
                inventory::live_documents(tx, tenant, ObjectKind::User, Some(after), None, SCAN)
            })
            .await?;
        let Some((last, _)) = users.last() else {
            step.prepare(|checkpoint| checkpoint.position = Position::End)
                .await;
            return Ok(());
        };
        let behind_all = *last;
        let mut candidates = Vec::new();
        for (key, text) in &users {
            let candidate: Candidate = parse(text)?;
            if candidate.may_have_mailbox(plans) {
                candidates.push((*key, candidate));
            }
        }
        while !candidates.is_empty() {
            let part: Vec<(Uuid, Candidate)> =
                candidates.drain(..candidates.len().min(PAGE)).collect();
            let behind = match (candidates.is_empty(), part.last()) {
                (false, Some((last, _))) => *last,
                (true, _) | (_, None) => behind_all,
            };
            let mut found = BTreeMap::new();
            let asked = ask(&step.run.graph, part, &step.meter).await?;
            let at_most_own = step.checkpoint().is_none_or(|done| done.read <= 1);
            if at_most_own && asked.reaches_nobody_else(&step.run.graph) {
                let has_reports = step.run.graph.profile().has(CloudService::UsageReports);
                return Err(SyncError::Skipped(not_reached(has_reports)));
            }
            for (candidate, purpose) in asked.purposes {
                if let Some(purpose) = purpose {
                    let mailbox = candidate.into_mailbox(purpose);
                    found.insert(mailbox_key(&mailbox), mailbox);
                }
            }
            step.commit_page(
                move |checkpoint| checkpoint.position = Position::UserSettings { after: behind },
                move |tx| Ok(write(tx, tenant, generation, found.into_iter())?.into()),
            )
            .await?;
        }
        step.prepare(|checkpoint| {
            checkpoint.position = Position::UserSettings { after: behind_all };
        })
        .await;
    }
    Ok(())
}

/// What the settings of some mailboxes say.
pub(in crate::sync) struct Asked<T> {
    /// The purpose of each; `None` where there is no mailbox, or one that is hidden from us.
    pub(in crate::sync) purposes: Vec<(T, Option<String>)>,
    /// How many are hidden from us.
    refused: usize,
}

impl<T> Asked<T> {
    /// Whether a tenant's own administrator is shown no mailbox but perhaps one, and refused others: the
    /// delegated permission is worth no more than the administrator's own mailbox.
    pub(in crate::sync) fn reaches_nobody_else(&self, graph: &GraphSession) -> bool {
        let is_person = graph.grant() == Some(Grant::Delegated);
        let shown = self
            .purposes
            .iter()
            .filter(|(_, purpose)| purpose.is_some());
        is_person && self.refused > 0 && shown.count() <= 1
    }
}

fn not_reached(has_reports: bool) -> Warning {
    const CODE: &str = "mailboxesNotReached";
    if has_reports {
        return Warning::new(
            CODE,
            "The usage report does not name the mailboxes, and the administrator's own sign-in does not reach the settings of other people's mailboxes.",
            "Show names in the usage reports (Microsoft 365 admin center, Settings, Org settings, Reports), or connect the tenant by adminConsent.",
        );
    }
    Warning::new(
        CODE,
        "Microsoft offers no usage reports in this cloud, and the administrator's own sign-in does not reach the settings of other people's mailboxes.",
        "Connect the tenant by adminConsent.",
    )
}

/// Asks for the purpose of each of these mailboxes.
pub(in crate::sync) async fn ask<T>(
    graph: &GraphSession,
    users: Vec<(Uuid, T)>,
    meter: &Meter,
) -> Result<Asked<T>, SyncError> {
    #[derive(Deserialize)]
    struct UserPurpose {
        value: Option<String>,
    }
    let items = users
        .into_iter()
        .map(|(id, user)| {
            (
                user,
                GraphPath::of("users")
                    .id(id)
                    .then("mailboxSettings/userPurpose"),
            )
        })
        .collect();
    let outcomes = graph.batch(items, Workload::Outlook, meter).await?;
    let mut refused = 0;
    let mut purposes = Vec::with_capacity(outcomes.len());
    for (user, outcome) in outcomes {
        let purpose = match outcome {
            Ok(body) => read_object::<UserPurpose>(&body)?.value,
            Err(
                GraphError::NotFound(_) | GraphError::NotLicensed(_) | GraphError::NotApplicable(_),
            ) => None,
            // An application access policy of Exchange hides single mailboxes.
            Err(GraphError::AccessDenied(refusal))
                if refusal.code.eq_ignore_ascii_case("ErrorAccessDenied") =>
            {
                refused += 1;
                None
            }
            Err(error) => return Err(error.into()),
        };
        purposes.push((user, purpose));
    }
    Ok(Asked { purposes, refused })
}
