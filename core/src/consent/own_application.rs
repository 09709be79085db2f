//! Connecting a tenant with a registration of the customer's own (C20).
//!
//! Nobody has to sign in: the entered secret or certificate gets a token of the tenant, the token shows
//! that it only reads, and the tenant describes itself. What does not hold is refused, and nothing of it
//! is stored.

use std::time::Duration;

use chrono::SecondsFormat;
use uuid::Uuid;

use super::{
    error::ConsentError,
    evidence::{self, Evidence, Organization},
    model::{Connection, ConnectionState, NextStep},
    proof::{self, NotStored, Stored},
    rejection::{Rejection, RejectionCode, quote},
    service::{ConsentService, Started, Target, insert_attempt, record_match},
};
use crate::{
    access::OrgScope,
    credentials::{self, Credential},
    ids::{ConnectionId, OrgId, TenantId},
    microsoft::{
        client_credential::ClientCredential,
        graph::GraphSession,
        graph_error::GraphError,
        identity::{SourceError, TokenError},
        permissions,
    },
    store::{Scoped, StoreError},
    tenants::{self, ConnectionType, TenantStatus},
};

/// How long the caller waits for Microsoft's judgement of the credentials.
const PATIENCE: Duration = Duration::from_secs(30);

impl ConsentService {
    /// Proves the credentials and connects the tenant in one transaction.
    pub(super) async fn connect_own_application(
        &self,
        scope: &OrgScope,
        target: Target,
        credential: Credential,
        complete: impl FnOnce(&mut Scoped<'_>, &Started) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Started, ConsentError> {
        let tenant = target.tenant;
        let before = self
            .store
            .read(scope, move |tx| tenants::find(tx, tenant))
            .await?;
        if let Some(before) = before.filter(|before| before.status == TenantStatus::Connected) {
            let customer = before.customer;
            return Err(ConsentError::TenantAlreadyConnected { customer });
        }
        let registration = self
            .registration(&credential)
            .map_err(ConsentError::Refused)?;
        let tried = self.try_out(scope.org(), tenant, &registration);
        let evidence = match tokio::time::timeout(PATIENCE, tried).await {
            Ok(tried) => tried.map_err(refused)?,
            Err(_elapsed) => {
                let late = Rejection::unavailable("Microsoft did not answer in time.");
                return Err(refused(late));
            }
        };
        crate::failpoint::failpoint!("credentials-proven");

        let id = ConnectionId::from_uuid(Uuid::now_v7());
        let now = self.store.clock().now();
        let (_key, data_key) = self.authorizer.keys.new_key(scope.org(), id, tenant)?;
        let connection = Connection {
            id,
            tenant,
            connection_type: ConnectionType::ApplicationCredentials,
            state: ConnectionState::Pending,
            next_step: NextStep::Proof,
            entered_tenant: target.entered,
            customer: Some(target.customer),
            return_url: None,
            data_key: Some(data_key),
            sealed_link: None,
            signed_in: None,
            last_outcome: None,
            proof_deadline: None,
            // There is no link that could be opened.
            expires_at: now,
        };
        let authorizer = self.authorizer.clone();
        let (started, stored) = self
            .store
            .write(scope, move |tx| {
                insert_attempt(tx, &connection, target.customer, target.matched.is_some())?;
                let key = authorizer.key_of(tx.org(), &connection)?;
                credentials::put(tx, &key, id, &credential)?;
                let stored = proof::proven(tx, &connection, evidence, None)?;
                let started = Started {
                    tenant,
                    connection: id,
                    status: stored.status,
                    link: None,
                    requested_permissions: permissions::required(authorizer.identity.profile()),
                    permission_kind: connection.connection_type.permission_kind(),
                };
                complete(tx, &started)?;
                record_match(tx, tenant, target.customer, target.matched.as_deref())?;
                Ok::<(Started, Stored), ConsentError>((started, stored))
            })
            .await?;
        self.prover.after(&stored);
        Ok(started)
    }

    /// The entered registration, ready to prove itself.
    fn registration(&self, credential: &Credential) -> Result<ClientCredential, Box<Rejection>> {
        let unusable =
            |detail: String| Box::new(Rejection::new(RejectionCode::CredentialsRejected, detail));
        let registration = match credential.to_registration() {
            Ok(Some(registration)) => registration,
            Ok(None) => return Err(unusable("A refresh token is no registration.".to_owned())),
            Err(error) => {
                return Err(unusable(format!(
                    "The certificate cannot be used: {error}."
                )));
            }
        };
        let now = self.store.clock().now();
        if let Some(end) = registration.expires_at().filter(|end| *end <= now) {
            let end = end.to_rfc3339_opts(SecondsFormat::Secs, true);
            return Err(unusable(format!("The certificate expired at {end}.")));
        }
        // Whoever enters our own registration's secret would have every tenant that consented to it.
        if registration
            .client_id()
            .eq_ignore_ascii_case(self.authorizer.identity.client_id())
        {
            return Err(unusable(
                "This client id is the installation's own registration; it connects tenants by adminConsent."
                    .to_owned(),
            ));
        }
        Ok(registration)
    }

    /// Gets a token with the registration and sees what it is good for.
    async fn try_out(
        &self,
        org: OrgId,
        tenant: TenantId,
        registration: &ClientCredential,
    ) -> Result<Evidence, Rejection> {
        let identity = &self.authorizer.identity;
        let token = identity
            .try_registration(tenant, registration)
            .await
            .map_err(of_token)?;
        // Only here does something hang on what a token says of itself: no more is known of what a
        // registration of somebody else's can do, so one that cannot be read is refused.
        let Some(roles) = token.permissions() else {
            return Err(rejected(
                "Microsoft's token does not show which permissions the registration holds.",
            ));
        };
        let held = permissions::compare(identity.profile(), roles.iter().map(String::as_str));
        if !held.excess.is_empty() {
            return Err(Rejection::too_many_permissions(held.excess));
        }
        if held.granted.is_empty() {
            return Err(rejected(
                "The registration exists in the tenant, but no application permission was granted to it there. A fresh grant can take a minute.",
            ));
        }
        let organization = self
            .describe(tenant, &self.prover.trial(org, tenant, token))
            .await?;
        Ok(Evidence {
            permissions: held,
            organization: Some(organization),
        })
    }

    /// The tenant's own description, which must be the expected tenant's.
    async fn describe(
        &self,
        tenant: TenantId,
        session: &GraphSession,
    ) -> Result<Organization, Rejection> {
        match evidence::describe(session).await {
            Ok(organization) if organization.is_of(tenant) => Ok(organization),
            Ok(organization) => Err(rejected(&format!(
                "The registration leads to the tenant {}, not to the expected {tenant}.",
                quote(&organization.id)
            ))),
            Err(
                GraphError::AccessDenied(_)
                | GraphError::Unauthorized(_)
                | GraphError::ClaimsChallenge(_)
                | GraphError::NotFound(_)
                | GraphError::NotLicensed(_)
                | GraphError::NotApplicable(_)
                | GraphError::Refused(_)
                | GraphError::Token(_),
            ) => Err(rejected(
                "The registration may not read the organization itself, so nobody can tell that it is this tenant's. It needs Organization.Read.All; a fresh grant can take a minute.",
            )),
            Err(
                GraphError::Throttled { .. }
                | GraphError::Unavailable { .. }
                | GraphError::UnexpectedAnswer { .. }
                | GraphError::TooLarge { .. }
                | GraphError::ResyncRequired
                | GraphError::ForeignLink
                | GraphError::EndlessPaging,
            ) => Err(Rejection::unavailable(
                "Microsoft Graph did not describe the organization.",
            )),
        }
    }
}

fn rejected(detail: &str) -> Rejection {
    Rejection::new(RejectionCode::CredentialsRejected, detail)
}

fn refused(rejection: Rejection) -> ConsentError {
    ConsentError::Refused(Box::new(rejection))
}

/// Why the token endpoint gave nothing for the entered credentials.
fn of_token(error: TokenError) -> Rejection {
    match error {
        TokenError::Refused(error) => {
            let rejection = Rejection::of_microsoft(*error);
            if rejection.is_passing() {
                return rejection;
            }
            Rejection {
                code: RejectionCode::CredentialsRejected,
                retryable: false,
                ..rejection
            }
        }
        TokenError::Credential(error) => {
            rejected(&format!("The certificate cannot be used: {error}."))
        }
        TokenError::Unavailable(_)
        | TokenError::TimedOut
        | TokenError::UnexpectedAnswer
        | TokenError::Source(
            SourceError::Unavailable(_)
            | SourceError::Busy
            | SourceError::Gone
            | SourceError::Unreadable,
        ) => Rejection::unavailable("Microsoft's sign-in service did not issue a token."),
    }
}

impl From<NotStored> for ConsentError {
    fn from(error: NotStored) -> Self {
        match error {
            NotStored::HeldByAnother => refused(proof::held_by_another()),
            NotStored::Store(error) => Self::Store(error),
            // Neither can be: the attempt is of this very transaction, and no worker's.
            NotStored::NotWaiting | NotStored::LeaseLost => {
                Self::Store(StoreError::Unavailable(error.into()))
            }
        }
    }
}
