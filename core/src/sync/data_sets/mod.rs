//! The data sets: one file for each collection of Microsoft Graph, saying what to ask and how to
//! store it.

mod devices;
mod directory;
#[cfg(test)]
mod examples;
mod group_pages;
mod groups;
mod large_groups;
mod licenses;
mod mailbox_report;
mod mailboxes;
mod organization;
pub(in crate::sync) mod purposes;
mod returned;
mod secure_scores;
mod users;

use futures_util::{FutureExt as _, future::BoxFuture};
use serde_json::json;
use uuid::Uuid;

use super::{
    checkpoint::{Checkpoint, Position},
    error::SyncError,
    pages::Pages,
    queries,
    run::Warning,
    step::Step,
};
use crate::{
    audit::{self, Action},
    inventory::{self, Absence, ObjectKind},
    microsoft::{data_set::DataSet, graph::GraphUrl, graph_error::GraphError},
    store::Scoped,
};

/// Reads one data set to its end.
pub(super) async fn read(step: &Step) -> Result<(), SyncError> {
    if !step.run.graph.profile().offers(step.data_set) {
        return Err(not_offered(step.data_set));
    }
    let outcome = match step.data_set {
        DataSet::Organization => organization::read(step).await,
        DataSet::Users => users::read(step).await,
        DataSet::Groups => groups::read(step).await,
        DataSet::Licenses => licenses::read(step).await,
        DataSet::SecureScores => secure_scores::read(step).await,
        DataSet::Devices => devices::read(step).await,
        DataSet::Mailboxes => mailboxes::read(step).await,
    };
    outcome.map_err(|error| absent_from_cloud(step, error))
}

fn not_offered(data_set: DataSet) -> SyncError {
    SyncError::Skipped(Warning::note(
        "notOfferedByCloud",
        format!("Microsoft does not offer {data_set} in this cloud."),
    ))
}

/// The same error, or "not offered" where the very first request was refused as an unknown address is,
/// in a cloud that may lack it. Behind the first page a refusal is about a link.
fn absent_from_cloud(step: &Step, error: SyncError) -> SyncError {
    let SyncError::Graph(GraphError::NotFound(refusal) | GraphError::Refused(refusal)) = &error
    else {
        return error;
    };
    let may_lack = step.run.graph.profile().may_lack(step.data_set);
    let is_first = step.position() == Position::Start;
    if !may_lack || !is_first || !matches!(refusal.status, 400 | 404 | 501) {
        return error;
    }
    tracing::info!(
        tenantId = %step.run.tenant, dataset = %step.data_set, status = refusal.status, code = refusal.code,
        "a data set is not offered in this cloud"
    );
    not_offered(step.data_set)
}

/// A GUID of Microsoft's; an object without one cannot be stored.
fn guid(id: &str) -> Result<Uuid, SyncError> {
    Uuid::try_parse(id)
        .map_err(|_not_a_guid| SyncError::UnexpectedAnswer("an id is no GUID".to_owned()))
}

/// A document as it is stored.
fn document(object: &impl serde::Serialize) -> Result<String, SyncError> {
    serde_json::to_string(object)
        .map_err(|error| SyncError::UnexpectedAnswer(format!("an object cannot be kept: {error}")))
}

/// Runs a full read from where the step stands. Where that is a link that has become too old, a new
/// one begins: what the old one saw so long ago may be gone.
async fn resume<'a>(
    step: &Step,
    read: impl Fn() -> BoxFuture<'a, Result<(), SyncError>>,
) -> Result<(), SyncError> {
    let resumed = step.position() != Position::Start;
    match read().await {
        Err(error) if resumed && directory::link_is_stale(&error) => {
            step.begin_full_read().await?;
            read().await
        }
        done => done,
    }
}

/// Reads a list that has one chain of pages, from where the step stands.
async fn read_list(step: &Step, pages: &Pages, first: &GraphUrl) -> Result<(), SyncError> {
    resume(step, || pages.read_on(step, Some(first.clone())).boxed()).await
}

/// The generation of a full read that is complete, and the link that its changes begin at.
fn completed(step: &Step) -> Result<(i64, Option<String>), SyncError> {
    match step.checkpoint() {
        Some(checkpoint) if checkpoint.position == Position::End && checkpoint.generation > 0 => {
            Ok((checkpoint.generation, checkpoint.delta_link))
        }
        Some(_) | None => Err(Checkpoint::misplaced().into()),
    }
}

/// Ends a complete read: removes what it did not see, or holds the removal back, and remembers where
/// the next refresh begins.
async fn finish_full_read(step: &Step, kind: ObjectKind) -> Result<(), SyncError> {
    let (tenant, data_set) = (step.run.tenant, step.data_set);
    let (generation, delta_link) = completed(step)?;
    let held_back = step
        .run
        .store
        .read(&step.run.scope, move |tx| -> Result<_, SyncError> {
            let before = queries::refresh_state(tx, tenant, data_set.name())?.held_back_generation;
            Ok((
                before,
                inventory::unseen(tx, tenant, kind, generation, before)?,
            ))
        })
        .await?;
    if let (_, Absence::HeldBack { vanished, known }) = held_back {
        step.warn(held_back_warning(data_set, vanished, known));
    }
    step.complete(move |tx| {
        let before = queries::refresh_state(tx, tenant, data_set.name())?.held_back_generation;
        let absence = inventory::sweep_objects(tx, tenant, kind, generation, before)?;
        queries::complete_read(tx, tenant, data_set.name(), delta_link.as_deref())?;
        remember(tx, tenant, data_set, absence, generation)
    })
    .await
}

/// Stores whether a removal waits, and audits a new one.
fn remember(
    tx: &mut Scoped<'_>,
    tenant: crate::ids::TenantId,
    data_set: DataSet,
    absence: Absence,
    generation: i64,
) -> Result<(), SyncError> {
    match absence {
        Absence::Removed(_) => Ok(queries::store_held_back(
            tx,
            tenant,
            data_set.name(),
            0,
            None,
        )?),
        Absence::HeldBack { vanished, known } => {
            queries::store_held_back(tx, tenant, data_set.name(), vanished, Some(generation))?;
            let details = json!({"dataset": data_set.name(), "vanished": vanished, "known": known});
            Ok(audit::record(
                tx,
                Action::InventoryRemovalHeldBack,
                Some(tenant),
                details,
            )?)
        }
    }
}

fn held_back_warning(data_set: DataSet, vanished: i64, known: i64) -> Warning {
    Warning::new(
        "removalHeldBack",
        format!(
            "{vanished} of {known} objects of {data_set} were missing from Microsoft's answer and are kept for now."
        ),
        "Start a full sync: if they are missing again they are removed.",
    )
}

/// Whether Microsoft answered, and said no to this one question: there is nothing to wait for, and
/// nothing wrong with the connection.
fn is_refusal(error: &GraphError) -> bool {
    match error {
        GraphError::AccessDenied(_)
        | GraphError::NotLicensed(_)
        | GraphError::NotApplicable(_)
        | GraphError::NotFound(_)
        | GraphError::Refused(_) => true,
        GraphError::Throttled { .. }
        | GraphError::ResyncRequired
        | GraphError::Unauthorized(_)
        | GraphError::ClaimsChallenge(_)
        | GraphError::Unavailable { .. }
        | GraphError::UnexpectedAnswer { .. }
        | GraphError::TooLarge { .. }
        | GraphError::ForeignLink
        | GraphError::EndlessPaging
        | GraphError::Token(_) => false,
    }
}
