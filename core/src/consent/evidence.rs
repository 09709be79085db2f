//! One try to prove a connection: a fresh token, what it names, and the tenant's own description.

use serde::Deserialize;

use super::rejection::{Rejection, RejectionCode};
use crate::{
    ids::TenantId,
    microsoft::{
        aadsts::MicrosoftError,
        connection::ConnectionHandle,
        consent_doctor::{self, Diagnosis, DiagnosisCode, Retry},
        graph::{GraphClient, GraphSession},
        graph_error::GraphError,
        identity::{IdentityClient, SourceError, TokenError},
        meter::Meter,
        permissions::{self, Comparison},
        throttle::Workload,
    },
};

/// From this try on a token that carries other permissions is believed about the one it lacks.
pub(super) const SETTLED: u32 = 3;

/// What a try showed.
pub(super) struct Evidence {
    pub(super) permissions: Comparison,
    pub(super) organization: Option<Organization>,
}

/// Why a try showed nothing.
pub(super) enum Setback {
    /// It may pass.
    NotYet(Box<Rejection>),
    /// It will not.
    Final(Box<Rejection>),
}

impl Setback {
    fn not_yet(rejection: Rejection) -> Self {
        Self::NotYet(Box::new(rejection))
    }

    fn final_one(rejection: Rejection) -> Self {
        Self::Final(Box::new(rejection))
    }
}

/// The tenant's own description.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Organization {
    pub(super) id: String,
    #[serde(default)]
    pub(super) display_name: Option<String>,
    #[serde(default)]
    pub(super) verified_domains: Option<Vec<VerifiedDomain>>,
}

impl Organization {
    /// Whether it describes this tenant.
    pub(super) fn is_of(&self, tenant: TenantId) -> bool {
        self.id.eq_ignore_ascii_case(&tenant.to_string())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerifiedDomain {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) is_default: Option<bool>,
}

#[derive(Deserialize)]
struct Organizations {
    value: Vec<Organization>,
}

/// One try with a fresh token.
pub(super) async fn ask(
    identity: &IdentityClient,
    graph: &GraphClient,
    handle: &ConnectionHandle,
    attempt: u32,
) -> Result<Evidence, Setback> {
    identity.forget(handle.connection());
    let token = identity.access_token(handle).await.map_err(of_token)?;
    let named = token.permissions().filter(|roles| !roles.is_empty());
    // What a token names is for display, so one that goes on naming nothing is tried at Graph.
    if token.permissions().is_some() && named.is_none() && attempt < SETTLED {
        return Err(not_effective(
            "Microsoft issues a token for the tenant, but without any permission in it.",
        ));
    }
    let permissions = match named {
        Some(roles) => permissions::compare(identity.profile(), roles.iter().map(String::as_str)),
        // A token that names none, or cannot be read, says nothing; Graph's answers will.
        None => Comparison {
            granted: Vec::new(),
            missing: Vec::new(),
            excess: Vec::new(),
        },
    };
    match describe(&graph.session(handle).for_a_person()).await {
        Ok(organization) if organization.is_of(handle.tenant()) => Ok(Evidence {
            permissions,
            organization: Some(organization),
        }),
        Ok(organization) => Err(Setback::final_one(Rejection::wrong_tenant(
            handle.tenant(),
            &organization.id,
        ))),
        Err(GraphError::AccessDenied(_))
            if attempt >= SETTLED && lacks_organization(&permissions) =>
        {
            Ok(Evidence {
                permissions,
                organization: None,
            })
        }
        Err(error) => Err(of_graph(error)),
    }
}

/// Reads the tenant's own description.
pub(super) async fn describe(session: &GraphSession) -> Result<Organization, GraphError> {
    let url = session.v1("organization?$select=id,displayName,verifiedDomains");
    let body = session
        .get(&url, Workload::Identity, &Meter::default())
        .await?;
    let mut answer: Organizations =
        serde_json::from_slice(&body).map_err(GraphError::unreadable)?;
    match (answer.value.pop(), answer.value.is_empty()) {
        (Some(organization), true) => Ok(organization),
        (Some(_) | None, _) => Err(GraphError::unexpected("not exactly one organization")),
    }
}

/// Whether the permission that the tenant's own description needs is missing, while others are there.
fn lacks_organization(permissions: &Comparison) -> bool {
    let lacks = permissions
        .missing
        .iter()
        .any(|permission| permission.name == "Organization.Read.All");
    lacks && !permissions.granted.is_empty()
}

fn not_effective(detail: &str) -> Setback {
    Setback::not_yet(Rejection::new(RejectionCode::ConsentNotEffective, detail))
}

pub(super) fn too_slow() -> Setback {
    Setback::not_yet(Rejection::unavailable("Microsoft did not answer in time."))
}

fn of_token(error: TokenError) -> Setback {
    match error {
        TokenError::Refused(error) => {
            let is_lag = is_lag(&error);
            let rejection = Rejection::of_microsoft(*error);
            if is_lag {
                Setback::not_yet(rejection)
            } else {
                Setback::final_one(rejection)
            }
        }
        TokenError::Unavailable(_) | TokenError::TimedOut | TokenError::UnexpectedAnswer => {
            Setback::not_yet(Rejection::unavailable(
                "Microsoft's sign-in service did not issue a token.",
            ))
        }
        TokenError::Source(SourceError::Unavailable(_) | SourceError::Busy) => Setback::not_yet(
            Rejection::unavailable("The stored credential cannot be read at the moment."),
        ),
        TokenError::Source(SourceError::Gone | SourceError::Unreadable) => {
            Setback::final_one(Rejection::stored_credential_unreadable())
        }
        TokenError::Credential(_) => Setback::final_one(Rejection::new(
            RejectionCode::Diagnosed(DiagnosisCode::OwnCredentialRejected),
            "This installation's certificate cannot be used.",
        )),
    }
}

/// Whether a refusal may be nothing but consent that has not spread yet, or passes by itself for other
/// reasons. One that wants a person to sign in does not.
fn is_lag(error: &MicrosoftError) -> bool {
    let Diagnosis { code, retry, .. } = consent_doctor::diagnose(error);
    let spreading = matches!(
        code,
        DiagnosisCode::AppNotConsented
            | DiagnosisCode::AppDisabledInTenant
            | DiagnosisCode::AppNotProvisioned
            | DiagnosisCode::ServiceNotInTenant
    );
    spreading || matches!(retry, Retry::Automatic | Retry::Later | Retry::Once)
}

fn of_graph(error: GraphError) -> Setback {
    match error {
        GraphError::Token(error) => of_token(error),
        GraphError::ClaimsChallenge(refusal) => {
            Setback::final_one(Rejection::of_challenge(&refusal.message))
        }
        GraphError::AccessDenied(_) | GraphError::Unauthorized(_) => {
            not_effective("Microsoft Graph does not accept the new permissions yet.")
        }
        GraphError::Throttled { .. }
        | GraphError::Unavailable { .. }
        | GraphError::UnexpectedAnswer { .. }
        | GraphError::NotFound(_)
        | GraphError::NotApplicable(_)
        | GraphError::NotLicensed(_)
        | GraphError::Refused(_)
        | GraphError::TooLarge { .. }
        | GraphError::ResyncRequired
        | GraphError::ForeignLink
        | GraphError::EndlessPaging => Setback::not_yet(Rejection::unavailable(
            "Microsoft Graph did not describe the organization.",
        )),
    }
}
