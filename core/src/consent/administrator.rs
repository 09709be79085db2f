//! Who may connect a tenant: a person of it with a role that can consent (C12).
//!
//! Microsoft Graph's application permissions can be granted by a Global Administrator or a Privileged
//! Role Administrator and by nobody else (Microsoft's page "Grant tenant-wide admin consent to an
//! application"). The person is known by (`tid`, `oid`); names and addresses decide nothing.

use std::sync::Arc;

use uuid::{Uuid, uuid};

use super::rejection::{Rejection, RejectionCode};
use crate::{
    clock::Clock,
    ids::TenantId,
    microsoft::{
        cloud::CloudProfile,
        consent_doctor::DiagnosisCode,
        graph_error::GraphError,
        id_token::{CONSUMER_TENANT, IdClaims, IdTokenError, IdTokenVerifier},
        identity::{IdentityClient, SignedIn},
        signed_in_roles,
    },
    outbound::Outbound,
    secrets::SecretText,
    tenants::{AccountType, ConsentedBy},
};

const GLOBAL_ADMINISTRATOR: Uuid = uuid!("62e90394-69f5-4237-9190-012177145e10");
const PRIVILEGED_ROLE_ADMINISTRATOR: Uuid = uuid!("e8611ab8-c189-46e8-94e1-60213ab1f814");

/// Proves administrators.
#[derive(Clone)]
pub(super) struct Administrators {
    verifier: Arc<IdTokenVerifier>,
    profile: CloudProfile,
    http: Outbound,
}

impl Administrators {
    pub(super) fn new(identity: &IdentityClient, http: Outbound, clock: Clock) -> Self {
        let profile = identity.profile().clone();
        let client_id = identity.client_id().to_owned();
        let verifier = IdTokenVerifier::new(profile.clone(), client_id, http.clone(), clock);
        Self {
            verifier: Arc::new(verifier),
            profile,
            http,
        }
    }

    /// The administrator behind a sign-in to the expected tenant.
    pub(super) async fn prove(
        &self,
        tenant: TenantId,
        nonce: &SecretText,
        signed_in: &SignedIn,
    ) -> Result<ConsentedBy, Rejection> {
        let verified = self
            .verifier
            .verify(&signed_in.id_token, tenant, nonce)
            .await;
        let claims = verified.map_err(of_id_token)?;
        let named = claims.wids.as_deref().is_some_and(can_consent);
        if !named && !self.holds_role(&signed_in.access_token).await? {
            return Err(not_an_administrator(&claims));
        }
        Ok(ConsentedBy {
            object_id: claims.oid.to_string(),
            account_type: account_type(&claims),
            display_name: claims.name,
            user_principal_name: claims.preferred_username,
        })
    }

    /// Whether Graph says so. Roles that became active after the token was made are seen only here.
    async fn holds_role(&self, token: &SecretText) -> Result<bool, Rejection> {
        match signed_in_roles(&self.profile, &self.http, token).await {
            Ok(roles) => Ok(can_consent(&roles)),
            Err(
                GraphError::AccessDenied(_)
                | GraphError::NotFound(_)
                | GraphError::Refused(_)
                | GraphError::Unauthorized(_)
                | GraphError::ClaimsChallenge(_)
                | GraphError::NotLicensed(_)
                | GraphError::NotApplicable(_),
            ) => Ok(false),
            Err(
                GraphError::Throttled { .. }
                | GraphError::Unavailable { .. }
                | GraphError::UnexpectedAnswer { .. }
                | GraphError::TooLarge { .. }
                | GraphError::ResyncRequired
                | GraphError::ForeignLink
                | GraphError::EndlessPaging
                | GraphError::Token(_),
            ) => Err(Rejection::unavailable(
                "Microsoft Graph did not say which roles the account holds.",
            )),
        }
    }
}

fn can_consent(roles: &[Uuid]) -> bool {
    roles
        .iter()
        .any(|role| [GLOBAL_ADMINISTRATOR, PRIVILEGED_ROLE_ADMINISTRATOR].contains(role))
}

/// A guest says so; somebody authenticated elsewhere who is none is a partner's administrator.
fn account_type(claims: &IdClaims) -> AccountType {
    match claims.acct {
        Some(1) => AccountType::Guest,
        _ if claims.is_guest() => AccountType::Partner,
        _ => AccountType::Member,
    }
}

fn not_an_administrator(claims: &IdClaims) -> Rejection {
    let is_personal = claims
        .idp
        .as_deref()
        .is_some_and(|idp| idp == "live.com" || idp.contains(&CONSUMER_TENANT.to_string()));
    if is_personal {
        let detail = "A personal Microsoft account signed in as a guest of the tenant.";
        return Rejection::of_account(DiagnosisCode::PersonalAccount, detail);
    }
    let detail = match account_type(claims) {
        AccountType::Member => {
            "The account that signed in holds no role that can consent for the organization."
        }
        AccountType::Guest => {
            "A guest signed in who holds no role that can consent for the organization."
        }
        AccountType::Partner => {
            "An account of another organization signed in that holds no role here that can consent."
        }
    };
    Rejection::of_account(DiagnosisCode::AdministratorRequired, detail)
}

fn of_id_token(error: IdTokenError) -> Rejection {
    match error {
        IdTokenError::PersonalAccount => Rejection::of_account(
            DiagnosisCode::PersonalAccount,
            "A personal Microsoft account signed in; it belongs to no organization.",
        ),
        IdTokenError::WrongTenant { expected, actual } => {
            Rejection::wrong_tenant(expected, &actual.to_string())
        }
        IdTokenError::Keys(_) => {
            Rejection::unavailable("Microsoft's signing keys could not be read.")
        }
        IdTokenError::Malformed(_)
        | IdTokenError::Header(_)
        | IdTokenError::UnknownKey
        | IdTokenError::Signature
        | IdTokenError::Claim(_)
        | IdTokenError::Expired
        | IdTokenError::Nonce => {
            tracing::warn!(%error, "an id token was refused");
            let detail =
                "The id token of the sign-in does not hold, so nothing was believed of it.";
            Rejection::new(RejectionCode::SignInNotVerified, detail)
        }
    }
}
