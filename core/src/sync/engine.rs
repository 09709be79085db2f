//! One run from its claim to its end: all data sets at once, each with a fate of its own.
//!
//! A data set that Microsoft refuses ends with a warning and leaves the others alone. Only what
//! concerns the whole connection, the lease or the store ends the run's work.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    data_sets,
    error::SyncError,
    queries,
    queue::{self, ClaimedWork, Task, Work, WorkKind},
    run::{DataSetState, RunState, SyncRun, Warning},
    runs, status,
    step::{RunContext, Step},
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    consent::{Rejection, RejectionCode},
    ids::{SyncRunId, TenantId},
    inventory,
    microsoft::{
        aadsts::MicrosoftError,
        connection::Grant,
        consent_doctor::DiagnosisCode,
        data_set::DataSet,
        graph::GraphClient,
        graph_error::{GraphError, Refusal},
        identity::{SourceError, TokenError},
        permissions,
    },
    store::{Scoped, Store, StoreError},
    tenants::{self, TenantStatus},
};

/// Claims without any progress after which a run is given up (R25).
const MOST_ATTEMPTS: i32 = 5;

/// Works on runs.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) store: Store,
    pub(super) graph: GraphClient,
}

/// What the worker does with the work item afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The item is gone, or belongs to someone else by now.
    Done,
    /// The item is to be tried again later.
    Later,
}

impl Engine {
    /// Goes on with a run from where its checkpoints are.
    pub(super) async fn run(
        &self,
        work: &ClaimedWork,
        tenant: TenantId,
        run: SyncRunId,
    ) -> Result<Outcome, StoreError> {
        let scope = OrgScope::for_system(work.org);
        let Some(context) = self.begin(work, tenant, run, &scope).await? else {
            return Ok(Outcome::Done);
        };
        let (context, run) = context;
        if work.attempt > MOST_ATTEMPTS {
            return self.give_up(&context).await;
        }
        let ended = self.read_data_sets(&context, &run).await;
        let ended = match ended {
            Ok(()) => finish(&context).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) | Err(SyncError::LeaseLost) => Ok(Outcome::Done),
            Err(SyncError::Cancelled) => self.cancel(&context).await,
            Err(SyncError::Store(error)) => {
                tracing::warn!(error = %error, syncRunId = %context.run, "the store failed; the run goes on later");
                Ok(Outcome::Later)
            }
            Err(SyncError::Graph(GraphError::Token(
                error @ (TokenError::Unavailable(_)
                | TokenError::TimedOut
                | TokenError::Source(SourceError::Unavailable(_) | SourceError::Busy)),
            ))) => {
                tracing::warn!(%error, syncRunId = %context.run, "no token to be had; the run goes on later");
                // An outage of Microsoft's is no fault of the run: it does not wear out its attempts.
                let lease = context.lease;
                self.store
                    .global(move |tx| queries::forget_attempts(tx, lease.item, lease.fence))
                    .await?;
                Ok(Outcome::Later)
            }
            Err(error) => self.lose_access(&context, error).await,
        }
    }

    /// Loads the run and its connection; `None` when there is nothing to do any more.
    async fn begin(
        &self,
        work: &ClaimedWork,
        tenant: TenantId,
        id: SyncRunId,
        scope: &OrgScope,
    ) -> Result<Option<(RunContext, SyncRun)>, StoreError> {
        let lease = work.lease;
        let loaded = self
            .store
            .write(scope, move |tx| -> Result<_, StoreError> {
                let run = queries::run(tx, tenant, id)?.filter(|run| !run.state.has_ended());
                let connection = tenants::load_connection(tx, tenant)?;
                let (Some(run), Some(connection)) = (run, connection) else {
                    queue::remove(&mut tx.global(), WorkKind::Sync, id.as_uuid())?;
                    runs::cancel_for_tenant(tx, tenant)?;
                    return Ok(None);
                };
                if !lease.is_held(&mut tx.global())? {
                    return Ok(None);
                }
                if queries::start_run(tx, tenant, id)? {
                    tenants::note_run_began(tx, tenant)?;
                    status::refresh(tx, tenant)?;
                    let details = json!({"syncRunId": id, "kind": run.kind.as_str()});
                    audit::record(tx, Action::SyncStarted, Some(tenant), details)?;
                }
                Ok(Some((run, connection)))
            })
            .await?;
        Ok(loaded.map(|(run, connection)| {
            let context = RunContext {
                store: self.store.clone(),
                scope: scope.clone(),
                graph: self.graph.session(&connection),
                connection,
                lease,
                tenant,
                run: id,
                kind: run.kind,
                attempt: work.attempt,
                committing: Arc::default(),
            };
            (context, run)
        }))
    }

    /// Reads every data set that has not ended. Mailboxes come after the users and licences they are
    /// made from; everything else runs side by side.
    async fn read_data_sets(&self, context: &RunContext, run: &SyncRun) -> Result<(), SyncError> {
        let read = |set| read_if_wanted(context, run, set);
        let mailboxes = async {
            tokio::try_join!(read(DataSet::Users), read(DataSet::Licenses))?;
            read(DataSet::Mailboxes).await
        };
        tokio::try_join!(
            mailboxes,
            read(DataSet::Organization),
            read(DataSet::Groups),
            read(DataSet::SecureScores),
            read(DataSet::Devices),
        )
        .map(drop)
    }

    async fn cancel(&self, context: &RunContext) -> Result<Outcome, StoreError> {
        let (tenant, run) = (context.tenant, context.run);
        self.store
            .write(&context.scope, move |tx| {
                runs::end_cancelled(tx, tenant, run, "it was ended from outside")
            })
            .await?;
        Ok(Outcome::Done)
    }

    /// The run has brought the process down or moved nothing again and again: it harms others.
    async fn give_up(&self, context: &RunContext) -> Result<Outcome, StoreError> {
        let warning = Warning::new(
            "syncGaveUp",
            format!("The sync failed {MOST_ATTEMPTS} times without getting on."),
            "The operator of this installation looks into the log and starts the sync again.",
        );
        tracing::error!(tenantId = %context.tenant, syncRunId = %context.run, "a run was given up");
        self.fail(context, warning, |_| Ok(())).await
    }

    /// Microsoft does not let us in: the run ends, stored data stays, and the tenant says who must act.
    async fn lose_access(
        &self,
        context: &RunContext,
        error: SyncError,
    ) -> Result<Outcome, StoreError> {
        let tenant = context.tenant;
        let rejection = access_rejection(error, context.graph.grant());
        let problem = rejection.to_problem();
        // A connection that worked before says by any other refusal that it was taken back.
        let stays = matches!(
            rejection.code,
            RejectionCode::Diagnosed(
                DiagnosisCode::OwnCredentialRejected
                    | DiagnosisCode::RegistrationMisconfigured
                    | DiagnosisCode::MicrosoftUnavailable
                    | DiagnosisCode::UpstreamThrottled
            )
        );
        let code = rejection.code.as_str();
        let warning = Warning {
            code: code.to_owned(),
            detail: rejection.detail.clone(),
            action: Some(rejection.action().to_owned()),
        };
        self.fail(context, warning, move |tx| {
            if stays {
                return tenants::note_connection_error(tx, tenant, Some(problem));
            }
            tracing::warn!(
                organizationId = %tx.org(), tenantId = %tenant, code,
                "a connection does not work any more; an administrator has to connect the tenant again"
            );
            let status = TenantStatus::ReauthorizationRequired;
            tenants::note_access_lost(tx, tenant, problem, status)
        })
        .await
    }

    async fn fail(
        &self,
        context: &RunContext,
        warning: Warning,
        also: impl FnOnce(&mut Scoped<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Outcome, StoreError> {
        let (tenant, run, lease) = (context.tenant, context.run, context.lease);
        let connection = context.connection;
        self.store
            .write(&context.scope, move |tx| -> Result<_, StoreError> {
                if !lease.is_held(&mut tx.global())? {
                    return Ok(Outcome::Done);
                }
                // A newer proof may have taken the connection's place: then the run goes on with that one,
                // and what became of the old one says nothing.
                if !tenants::is_read_through(tx, &connection)? {
                    return Ok(Outcome::Later);
                }
                queries::end_open_data_sets(tx, tenant, run, DataSetState::Failed, &warning)?;
                let has_ended = queries::end_run(tx, tenant, run, RunState::Failed)?;
                if has_ended {
                    runs::count_end(tx, tenant, run)?;
                    queue::remove(&mut tx.global(), WorkKind::Sync, run.as_uuid())?;
                    status::refresh(tx, tenant)?;
                }
                // The audit last: what else there is to say may wake work.
                also(tx)?;
                if has_ended {
                    let details = json!({"syncRunId": run, "code": warning.code});
                    audit::record(tx, Action::SyncFailed, Some(tenant), details)?;
                }
                Ok(Outcome::Done)
            })
            .await
    }
}

/// Reads a data set that the run asks for. Boxed, because seven of them side by side are large.
fn read_if_wanted<'a>(
    context: &'a RunContext,
    run: &'a SyncRun,
    data_set: DataSet,
) -> BoxFuture<'a, Result<(), SyncError>> {
    Box::pin(async move {
        if run.data_sets.iter().any(|own| own.data_set == data_set) {
            read_data_set(context, data_set).await
        } else {
            Ok(())
        }
    })
}

/// Reads one data set and gives it its end. Only what concerns more than this data set is an error.
async fn read_data_set(context: &RunContext, data_set: DataSet) -> Result<(), SyncError> {
    let step = Step::load(context, data_set).await?;
    if step.has_ended() {
        return Ok(());
    }
    let error = match data_sets::read(&step).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    match verdict(context, data_set, error).await? {
        Verdict::Skipped(warning) => step.end_with(DataSetState::Skipped, warning).await,
        Verdict::Failed(warning, missing) => {
            tracing::warn!(
                tenantId = %context.tenant, syncRunId = %context.run, dataset = %data_set, code = warning.code,
                "a data set failed"
            );
            step.end_with(DataSetState::Failed, warning).await?;
            let handle = context.connection;
            if let Some(permission) = missing {
                step.write(move |tx| {
                    Ok(tenants::note_missing_permission(tx, &handle, permission)?)
                })
                .await?;
            }
            Ok(())
        }
    }
}

/// How a data set ends that could not be read.
enum Verdict {
    Skipped(Warning),
    Failed(Warning, Option<&'static str>),
}

/// What a failure means for the data set; an error again where it means more than that.
async fn verdict(
    context: &RunContext,
    data_set: DataSet,
    error: SyncError,
) -> Result<Verdict, SyncError> {
    let failed = |code: &str, detail: String, action: &str| {
        Verdict::Failed(Warning::new(code, detail, action), None)
    };
    Ok(match error {
        SyncError::Skipped(warning) => Verdict::Skipped(warning),
        SyncError::Graph(GraphError::NotLicensed(refusal) | GraphError::NotApplicable(refusal)) => {
            Verdict::Skipped(Warning::note(
                "notLicensed",
                format!(
                    "This tenant has no licence or set-up for {data_set}: Microsoft says {}.",
                    refusal.named()
                ),
            ))
        }
        SyncError::Graph(GraphError::AccessDenied(refusal)) => {
            denied(
                context,
                data_set,
                permissions::main_permission(data_set),
                &refusal,
            )
            .await?
        }
        SyncError::Denied {
            permission,
            refusal,
        } => denied(context, data_set, permission, &refusal).await?,
        SyncError::Graph(GraphError::Throttled { retry_after }) => failed(
            "upstreamThrottled",
            format!(
                "Microsoft still limits this tenant; it asks to wait {} s.",
                retry_after.as_secs()
            ),
            "Start the sync again later.",
        ),
        SyncError::Graph(GraphError::Unavailable { status, .. }) => failed(
            "microsoftUnavailable",
            match status {
                Some(status) => {
                    format!("Microsoft Graph failed again and again, last with status {status}.")
                }
                None => "Microsoft Graph could not be reached.".to_owned(),
            },
            "Start the sync again later; if it stays, look at Microsoft's service health.",
        ),
        SyncError::Graph(
            GraphError::NotFound(refusal)
            | GraphError::Refused(refusal)
            | GraphError::Unauthorized(refusal),
        ) => failed(
            "microsoftRefused",
            format!(
                "Microsoft Graph refused with status {} ({}).",
                refusal.status,
                if refusal.code.is_empty() {
                    "no code"
                } else {
                    &refusal.code
                }
            ),
            "Start the sync again; if it stays, report it with the request id in the log.",
        ),
        SyncError::Graph(
            error @ (GraphError::UnexpectedAnswer { .. }
            | GraphError::TooLarge { .. }
            | GraphError::ForeignLink
            | GraphError::EndlessPaging
            | GraphError::ResyncRequired),
        ) => failed(
            "unexpectedAnswer",
            format!(
                "Microsoft Graph answered in a way that cannot be trusted: {error}. Nothing of it was stored."
            ),
            "Start the sync again; if it stays, report it with the log.",
        ),
        SyncError::UnexpectedAnswer(what) => failed(
            "unexpectedAnswer",
            format!(
                "Microsoft Graph answered in a way that cannot be trusted: {what}. Nothing of it was stored."
            ),
            "Start the sync again; if it stays, report it with the log.",
        ),
        error @ (SyncError::Graph(GraphError::Token(_) | GraphError::ClaimsChallenge(_))
        | SyncError::LeaseLost
        | SyncError::Cancelled
        | SyncError::Store(_)) => return Err(error),
    })
}

/// Tells a missing licence from a missing permission: Microsoft's 403 is the same for both.
async fn denied(
    context: &RunContext,
    data_set: DataSet,
    permission: &'static str,
    refusal: &Refusal,
) -> Result<Verdict, SyncError> {
    let tenant = context.tenant;
    let plans = context
        .store
        .read(&context.scope, move |tx| inventory::read_plans(tx, tenant))
        .await?;
    let lacks_licence = match data_set {
        DataSet::Devices => plans.is_some_and(|plans| !plans.has_intune()),
        DataSet::Mailboxes => plans.is_some_and(|plans| !plans.has_exchange()),
        DataSet::Organization
        | DataSet::Users
        | DataSet::Groups
        | DataSet::Licenses
        | DataSet::SecureScores => false,
    };
    if lacks_licence {
        return Ok(Verdict::Skipped(Warning::note(
            "notLicensed",
            format!("None of the tenant's licences includes what {data_set} are read from."),
        )));
    }
    let warning = Warning::new(
        "permissionMissing",
        format!(
            "Microsoft refused {data_set} with {}: the permission {permission} is missing.",
            refusal.named()
        ),
        match context.connection.grant() {
            Grant::AdminConsent | Grant::Delegated => {
                "An administrator of the tenant opens a new connect link and accepts the permissions."
            }
            Grant::OwnApplication => {
                "An administrator of the tenant grants the permission to the registration in Entra; then its credentials are sent again."
            }
        },
    );
    Ok(Verdict::Failed(warning, Some(permission)))
}

/// A lost access in the words of the consent flow.
fn access_rejection(error: SyncError, grant: Option<Grant>) -> Rejection {
    let is_own_application = grant == Some(Grant::OwnApplication);
    match error {
        SyncError::Graph(GraphError::Token(TokenError::Refused(error))) if is_own_application => {
            Rejection::of_own_registration(*error)
        }
        SyncError::Graph(GraphError::Token(TokenError::Refused(error))) => {
            Rejection::of_microsoft(*error)
        }
        SyncError::Graph(GraphError::Token(TokenError::Source(
            SourceError::Gone | SourceError::Unreadable,
        ))) => Rejection::stored_credential_unreadable(),
        SyncError::Graph(GraphError::ClaimsChallenge(refusal)) if is_own_application => {
            Rejection::of_own_registration(MicrosoftError::from_redirect(
                "interaction_required",
                Some(&refusal.message),
                None,
            ))
        }
        SyncError::Graph(GraphError::ClaimsChallenge(refusal)) => {
            Rejection::of_challenge(&refusal.message)
        }
        SyncError::Graph(GraphError::Token(TokenError::Credential(error))) => {
            Rejection::unusable_certificate(&error, is_own_application)
        }
        other @ (SyncError::Graph(_)
        | SyncError::Denied { .. }
        | SyncError::UnexpectedAnswer(_)
        | SyncError::Skipped(_)
        | SyncError::LeaseLost
        | SyncError::Cancelled
        | SyncError::Store(_)) => {
            tracing::error!(error = %other, "no token for a reason of our own");
            Rejection::unavailable("No token could be obtained from Microsoft.")
        }
    }
}

/// Ends a run whose data sets have all ended.
async fn finish(context: &RunContext) -> Result<(), SyncError> {
    let (tenant, id, lease) = (context.tenant, context.run, context.lease);
    context
        .store
        .write(&context.scope, move |tx| {
            lease.require_held(&mut tx.global())?;
            let Some(run) = queries::run(tx, tenant, id)? else {
                return Err(SyncError::LeaseLost);
            };
            let state = final_state(&run);
            if !queries::end_run(tx, tenant, id, state)? {
                return Ok(());
            }
            runs::count_end(tx, tenant, id)?;
            queue::remove(&mut tx.global(), WorkKind::Sync, id.as_uuid())?;
            let read_mailboxes = run.data_sets.iter().any(|set| {
                set.data_set == DataSet::Mailboxes && set.state == DataSetState::Completed
            });
            if read_mailboxes {
                let work = Work {
                    org: tx.org(),
                    task: Task::MailboxPurposes { tenant },
                    due_at: tx.now(),
                };
                queue::enqueue(&mut tx.global(), work)?;
            }
            if state.is_complete() {
                tenants::note_completed(tx, tenant, tx.now())?;
                tenants::note_connection_error(tx, tenant, None)?;
                tenants::note_access_restored(tx, tenant)?;
            }
            status::refresh(tx, tenant)?;
            let action = if state.is_complete() {
                Action::SyncCompleted
            } else {
                Action::SyncFailed
            };
            let details = json!({"syncRunId": id, "state": state.as_str()});
            Ok(audit::record(tx, action, Some(tenant), details)?)
        })
        .await
}

/// The verdict over the data sets: it follows from them and from nothing else. What nobody can act on,
/// such as a report that a national cloud does not have, leaves a run complete.
fn final_state(run: &SyncRun) -> RunState {
    let any = |state| run.data_sets.iter().any(|set| set.state == state);
    let completed = run
        .data_sets
        .iter()
        .filter(|set| set.state == DataSetState::Completed);
    let warned = completed
        .filter_map(|set| set.warning.as_ref())
        .any(|warning| warning.action.is_some());
    if any(DataSetState::Failed) && !any(DataSetState::Completed) {
        RunState::Failed
    } else if any(DataSetState::Failed) || warned {
        RunState::CompletedWithWarnings
    } else {
        RunState::Completed
    }
}
