//! What comes back from Microsoft, by the administrator's browser or relayed by the organisation.
//!
//! The values of a redirect are display data: the tenant comes from a validated id token and from
//! nowhere else (C1). Whatever the outcome, the state is used up by then.

use chrono::TimeDelta;
use serde_json::json;
use url::Url;

use super::{
    authorization::{Arrived, Bearer, Binding},
    error::ConsentError,
    model::{Connection, Leg, NextStep, Outcome},
    proof::{AT_ONCE, AtOnce, DURABLE},
    queries,
    rejection::{Rejection, RejectionCode},
    service::{ConsentService, at},
    token::FlowToken,
};
use crate::{
    access::OrgScope,
    audit::{self, Action},
    credentials::{self, Credential, Sealed},
    ids::{ConnectionId, SyncRunId, TenantId},
    microsoft::{
        aadsts::MicrosoftError,
        consent_doctor::DiagnosisCode,
        identity::{ExchangeError, SignedIn},
    },
    secrets::SecretText,
    store::{Scoped, StoreError},
    sync::queue::{self, Task, Work},
    tenants::{self, ConnectionType, ConsentedBy, TenantStatus},
};

/// The fields that Microsoft's redirect may carry; others are ignored.
#[derive(Debug, Default)]
pub struct CallbackFields {
    /// Which request this answers.
    pub state: Option<String>,
    /// What a sign-in is worth.
    pub code: Option<SecretText>,
    /// Present: it failed, whatever else is there.
    pub error: Option<String>,
    /// Microsoft's sentence.
    pub error_description: Option<String>,
    /// `cancel`, for example.
    pub error_subcode: Option<String>,
    /// The tenant, for display.
    pub tenant: Option<String>,
    /// `True`, also on errors.
    pub admin_consent: Option<String>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
}

/// Where a browser goes when a flow has ended.
#[derive(Debug)]
pub enum Landing {
    /// The address the technician's front end gave.
    ReturnUrl(Url),
    /// Our own result page.
    Result(Url),
}

/// What follows a finished step.
#[derive(Debug)]
pub enum NextPage {
    /// Microsoft's next page.
    Microsoft(Url),
    /// The end of the flow.
    Landing(Landing),
}

/// A finished step.
#[derive(Debug)]
pub struct StepTaken {
    /// The tenant.
    pub tenant: TenantId,
    /// What it is now.
    pub status: TenantStatus,
    /// What its last token said it holds.
    pub granted: Vec<String>,
    /// What it lacks.
    pub missing: Vec<String>,
    /// What follows.
    pub next: NextPage,
    /// The run that has begun, once the connection is proven.
    pub sync_run: Option<SyncRunId>,
}

/// A flow that failed.
#[derive(Debug)]
pub struct RejectedFlow {
    /// The tenant it was for.
    pub tenant: TenantId,
    /// What the tenant is, as before.
    pub status: TenantStatus,
    /// Why.
    pub rejection: Rejection,
    /// Where the browser goes.
    pub landing: Landing,
}

impl ConsentService {
    /// Takes an answer of Microsoft and goes one step on.
    ///
    /// # Errors
    /// [`ConsentError::InvalidState`] when the answer is not this bearer's to bring,
    /// [`ConsentError::Rejected`] when the flow failed, or a failure of store or vault.
    pub async fn callback(
        &self,
        bearer: Bearer,
        fields: CallbackFields,
    ) -> Result<StepTaken, ConsentError> {
        let state = fields.state.as_deref().ok_or(ConsentError::InvalidState)?;
        let (scope, arrived) = self.authorizer.take(&self.store, state, &bearer).await?;
        let verdict = match self.refusal_in(&arrived, &fields) {
            Some(rejection) => Err(rejection),
            None => match arrived.leg {
                Leg::SignIn => self.prove_administrator(&arrived, fields.code).await,
                Leg::AdminConsent => Ok(Shown::Consent),
            },
        };
        let proven = match &verdict {
            Ok(Shown::Administrator(who) | Shown::AdministratorWithAccess(who, _)) => Some(who),
            Ok(Shown::Consent) | Err(_) => None,
        };
        let scope = known_by_now(scope, &arrived, proven);
        match verdict {
            Ok(Shown::Administrator(administrator)) => {
                self.finish_sign_in(&scope, &arrived, administrator).await
            }
            Ok(Shown::AdministratorWithAccess(administrator, refresh_token)) => {
                let access = Credential::RefreshToken(refresh_token);
                Box::pin(self.finish_delegated(&scope, &arrived, administrator, access)).await
            }
            Ok(Shown::Consent) => Box::pin(self.finish_admin_consent(&scope, &arrived)).await,
            Err(rejection) => Err(self.reject(&scope, &arrived, rejection).await?),
        }
    }

    /// What stands in the redirect itself against going on: a foreign issuer, an error, or another
    /// tenant. An error is one also beside `admin_consent=True` (C16).
    fn refusal_in(&self, arrived: &Arrived, fields: &CallbackFields) -> Option<Rejection> {
        let expected = arrived.connection.tenant;
        let issuer = self.authorizer.identity.profile().issuer(expected);
        if fields.iss.as_deref().is_some_and(|iss| iss != issuer) {
            let detail = "The answer says that it comes from an issuer other than the tenant's.";
            return Some(Rejection::new(RejectionCode::UnexpectedIssuer, detail));
        }
        if let Some(error) = &fields.error {
            let description = fields.error_description.as_deref();
            let subcode = fields.error_subcode.as_deref();
            return Some(Rejection::of_microsoft(MicrosoftError::from_redirect(
                error,
                description,
                subcode,
            )));
        }
        let names_another = |tenant: &String| tenant.to_ascii_lowercase() != expected.to_string();
        if let Some(tenant) = fields
            .tenant
            .as_ref()
            .filter(|tenant| names_another(tenant))
        {
            return Some(Rejection::wrong_tenant(expected, tenant));
        }
        let declined = |consent: &str| !consent.eq_ignore_ascii_case("true");
        if arrived.leg == Leg::AdminConsent && fields.admin_consent.as_deref().is_some_and(declined)
        {
            let detail = "Microsoft's page came back without consent.";
            return Some(Rejection::of_account(
                DiagnosisCode::ConsentDeclined,
                detail,
            ));
        }
        None
    }

    /// The sign-in leg: redeems the code once, checks the id token and asks for the person's role.
    async fn prove_administrator(
        &self,
        arrived: &Arrived,
        code: Option<SecretText>,
    ) -> Result<Shown, Rejection> {
        let (Some(code), Some((nonce, verifier))) = (code, &arrived.sign_in) else {
            let detail = "The answer has neither an error nor an authorization code.";
            return Err(Rejection::new(RejectionCode::IncompleteCallback, detail));
        };
        let tenant = arrived.connection.tenant;
        let exchange = self
            .authorizer
            .identity
            .redeem_code(tenant, &code, verifier);
        let signed_in: SignedIn = exchange.await.map_err(of_exchange)?;
        let administrator = self.administrators.prove(tenant, nonce, &signed_in).await?;
        if arrived.connection.connection_type != ConnectionType::Delegated {
            return Ok(Shown::Administrator(administrator));
        }
        match signed_in.refresh_token {
            Some(token) => Ok(Shown::AdministratorWithAccess(administrator, token)),
            None => Err(Rejection::new(
                RejectionCode::IncompleteCallback,
                "Microsoft's answer to the sign-in brings no refresh token, so nothing could be read later on.",
            )),
        }
    }

    /// Stores who proved the tenant together with the request for the next leg.
    async fn finish_sign_in(
        &self,
        scope: &OrgScope,
        arrived: &Arrived,
        administrator: ConsentedBy,
    ) -> Result<StepTaken, ConsentError> {
        crate::failpoint::failpoint!("sign-in-proven");
        let connection = &arrived.connection;
        let now = self.store.clock().now();
        let next = self
            .authorizer
            .admin_consent(connection, arrived.binding, now)?;
        let url = next.url.clone();
        let (id, tenant) = (connection.id, connection.tenant);
        let after = self
            .store
            .write(scope, move |tx| {
                let from = [NextStep::SignIn, NextStep::AdminConsent];
                if !queries::take_step(tx, id, &from, NextStep::AdminConsent, None)? {
                    return Err(ConsentError::InvalidState);
                }
                queries::set_signed_in(tx, id, &administrator)?;
                next.store(tx)?;
                let details = json!({
                    "connectionId": id,
                    "objectId": administrator.object_id,
                    "accountType": administrator.account_type.as_str(),
                });
                let after = present(tx, tenant)?;
                audit::record(
                    tx,
                    Action::ConsentAdministratorProven,
                    Some(tenant),
                    details,
                )?;
                Ok(after)
            })
            .await?;
        crate::failpoint::failpoint!("sign-in-stored");
        Ok(after.step(NextPage::Microsoft(url), None))
    }

    /// Stores who signed in and what their sign-in gives access by, together with the durable work of
    /// proving it: this sign-in was the consent, too.
    async fn finish_delegated(
        &self,
        scope: &OrgScope,
        arrived: &Arrived,
        administrator: ConsentedBy,
        access: Credential,
    ) -> Result<StepTaken, ConsentError> {
        crate::failpoint::failpoint!("sign-in-proven");
        let connection = arrived.connection.clone();
        let authorizer = self.authorizer.clone();
        self.store
            .write(scope, move |tx| {
                let (id, tenant) = (connection.id, connection.tenant);
                take_to_proof(tx, id, tenant)?;
                queries::set_signed_in(tx, id, &administrator)?;
                let key = authorizer.key_of(tx.org(), &connection)?;
                credentials::put(tx, &key, id, &access)?;
                let details = json!({
                    "connectionId": id,
                    "objectId": administrator.object_id,
                    "accountType": administrator.account_type.as_str(),
                });
                audit::record(
                    tx,
                    Action::ConsentAdministratorProven,
                    Some(tenant),
                    details,
                )?;
                let details = json!({"connectionId": id});
                audit::record(tx, Action::ConsentGiven, Some(tenant), details)?;
                Ok::<_, ConsentError>(())
            })
            .await?;
        crate::failpoint::failpoint!("consent-stored");
        self.prove_at_once(scope, &arrived.connection).await
    }

    /// Stores that consent was given together with the durable work of proving it.
    async fn finish_admin_consent(
        &self,
        scope: &OrgScope,
        arrived: &Arrived,
    ) -> Result<StepTaken, ConsentError> {
        let connection = &arrived.connection;
        let (id, tenant) = (connection.id, connection.tenant);
        self.store
            .write(scope, move |tx| {
                take_to_proof(tx, id, tenant)?;
                let details = json!({"connectionId": id});
                audit::record(tx, Action::ConsentGiven, Some(tenant), details)?;
                Ok::<_, ConsentError>(())
            })
            .await?;
        crate::failpoint::failpoint!("consent-stored");
        self.prove_at_once(scope, connection).await
    }

    /// Tries the proof at once for a while.
    async fn prove_at_once(
        &self,
        scope: &OrgScope,
        connection: &Connection,
    ) -> Result<StepTaken, ConsentError> {
        let (id, tenant) = (connection.id, connection.tenant);
        let landing = self.landing(scope, connection)?;
        match self.prover.at_once(scope, id).await? {
            AtOnce::Connected(run) => {
                let after = self
                    .store
                    .read(scope, move |tx| present(tx, tenant))
                    .await?;
                Ok(after.step(NextPage::Landing(landing), run))
            }
            AtOnce::NotYet => {
                let after = self
                    .store
                    .read(scope, move |tx| present(tx, tenant))
                    .await?;
                let pending = After {
                    status: TenantStatus::PendingConsent,
                    ..after
                };
                Ok(pending.step(NextPage::Landing(landing), None))
            }
            AtOnce::Failed(rejection) => {
                let after = self
                    .store
                    .read(scope, move |tx| present(tx, tenant))
                    .await?;
                let flow = RejectedFlow {
                    tenant,
                    status: after.status,
                    rejection: *rejection,
                    landing,
                };
                Err(ConsentError::Rejected(Box::new(flow)))
            }
        }
    }

    /// Stores a failure. The tenant keeps its status; where it has no working connection, its status
    /// says why.
    async fn reject(
        &self,
        scope: &OrgScope,
        arrived: &Arrived,
        rejection: Rejection,
    ) -> Result<ConsentError, ConsentError> {
        let connection = &arrived.connection;
        let landing = self.landing(scope, connection)?;
        let (id, tenant, leg) = (connection.id, connection.tenant, arrived.leg.as_str());
        let stored = rejection.clone();
        let status = self
            .store
            .write(scope, move |tx| note_failure(tx, id, tenant, leg, &stored))
            .await?;
        crate::failpoint::failpoint!("rejection-stored");
        tracing::info!(
            organizationId = %scope.org(), tenantId = %tenant, leg, code = rejection.code.as_str(),
            "a consent flow was rejected"
        );
        Ok(ConsentError::Rejected(Box::new(RejectedFlow {
            tenant,
            status,
            rejection,
            landing,
        })))
    }

    /// Where the browser of a connection goes at the end.
    fn landing(&self, scope: &OrgScope, connection: &Connection) -> Result<Landing, ConsentError> {
        if let Some(url) = &connection.return_url {
            return Ok(Landing::ReturnUrl(url.clone()));
        }
        let sealed = connection
            .sealed_link
            .as_deref()
            .ok_or(ConsentError::InvalidState)?;
        let link = self
            .authorizer
            .key_of(scope.org(), connection)?
            .open(Sealed::Link, sealed)?;
        let link = FlowToken::parse(link.expose()).ok_or(ConsentError::InvalidState)?;
        let path = format!("connect/{}/result", link.expose());
        Ok(Landing::Result(at(&self.settings.public_url, &path)))
    }
}

/// What an answer of Microsoft's showed.
enum Shown {
    /// Who stands there; consent is still to be asked for.
    Administrator(ConsentedBy),
    /// Who stands there, and the refresh token to read with as this person.
    AdministratorWithAccess(ConsentedBy, SecretText),
    /// That consent was given.
    Consent,
}

/// Names the administrator in the audit, once a sign-in has proven one.
fn known_by_now(scope: OrgScope, arrived: &Arrived, proven: Option<&ConsentedBy>) -> OrgScope {
    let who = match arrived.leg {
        Leg::SignIn => proven,
        Leg::AdminConsent => arrived.connection.signed_in.as_ref(),
    };
    match (arrived.binding, who) {
        (Binding::Browser(_), Some(who)) => OrgScope::for_administrator(
            scope.org(),
            Some(who.object_id.clone()),
            scope.request_id(),
        ),
        (Binding::Relay, _) | (Binding::Browser(_), None) => scope,
    }
}

/// A tenant as it is after a step.
struct After {
    tenant: TenantId,
    status: TenantStatus,
    granted: Vec<String>,
    missing: Vec<String>,
}

impl After {
    fn step(self, next: NextPage, sync_run: Option<SyncRunId>) -> StepTaken {
        let Self {
            tenant,
            status,
            granted,
            missing,
        } = self;
        StepTaken {
            tenant,
            status,
            granted,
            missing,
            next,
            sync_run,
        }
    }
}

fn present(tx: &mut Scoped<'_>, tenant: TenantId) -> Result<After, StoreError> {
    let found = tenants::find(tx, tenant)?.ok_or(StoreError::NotFound)?;
    Ok(After {
        tenant,
        status: found.status,
        granted: found.granted_permissions,
        missing: found.missing_permissions,
    })
}

/// Consent was given: from here on the durable step proves it, whatever becomes of this process.
fn take_to_proof(
    tx: &mut Scoped<'_>,
    id: ConnectionId,
    tenant: TenantId,
) -> Result<(), ConsentError> {
    // What stood in the way before does not any more.
    let found = tenants::find(tx, tenant)?.ok_or(StoreError::NotFound)?;
    if !found.status.works() {
        tenants::note_connection_error(tx, tenant, None)?;
    }
    let wait = TimeDelta::from_std(AT_ONCE).unwrap_or_default() + TimeDelta::seconds(2);
    let due_at = tx.now() + wait;
    let from = [NextStep::SignIn, NextStep::AdminConsent];
    if !queries::take_step(tx, id, &from, NextStep::Proof, Some(due_at + DURABLE))? {
        return Err(ConsentError::InvalidState);
    }
    let org = tx.org();
    let work = Work {
        org,
        task: Task::Proof {
            tenant,
            connection: id,
        },
        due_at,
    };
    queue::enqueue(&mut tx.global(), work)?;
    Ok(())
}

/// Writes a failure onto the connection and, where it has no working one, onto the tenant.
pub(super) fn note_failure(
    tx: &mut Scoped<'_>,
    id: ConnectionId,
    tenant: TenantId,
    leg: &str,
    rejection: &Rejection,
) -> Result<TenantStatus, StoreError> {
    let problem = rejection.to_problem();
    let found = tenants::find(tx, tenant)?.ok_or(StoreError::NotFound)?;
    if !found.status.works() {
        tenants::note_connection_error(tx, tenant, Some(problem.clone()))?;
    }
    queries::set_outcome(tx, id, &Outcome::Failed { problem })?;
    let mut details = rejection.to_audit();
    if let Some(details) = details.as_object_mut() {
        details.insert("connectionId".to_owned(), json!(id));
        details.insert("leg".to_owned(), json!(leg));
    }
    audit::record(tx, Action::ConsentRejected, Some(tenant), details)?;
    Ok(found.status)
}

fn of_exchange(error: ExchangeError) -> Rejection {
    match error {
        ExchangeError::Refused(error) => Rejection::of_microsoft(*error),
        ExchangeError::Credential(_) => Rejection::new(
            RejectionCode::Diagnosed(DiagnosisCode::OwnCredentialRejected),
            "This installation's certificate cannot be used.",
        ),
        ExchangeError::NotSent(_) => {
            Rejection::unavailable("Microsoft's sign-in service could not be reached.")
        }
        ExchangeError::OutcomeUnknown(_) => Rejection::unavailable(
            "Microsoft's sign-in service took the authorization code, but its answer never came. The code is not sent again.",
        ),
        ExchangeError::Incomplete(_) => Rejection::new(
            RejectionCode::SignInNotVerified,
            "Microsoft's answer to the authorization code lacks what a sign-in must bring.",
        ),
    }
}
