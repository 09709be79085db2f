//! Why a flow did not lead to a connection, in words for people and codes for programs.

use serde_json::{Map, Value, json};

use crate::{
    ids::TenantId,
    microsoft::{
        aadsts::MicrosoftError,
        client_credential::CredentialError,
        consent_doctor::{self, Diagnosis, DiagnosisCode},
    },
};

/// Most of Microsoft's own sentence that is repeated, in characters.
const QUOTE_LIMIT: usize = 300;

/// The stable codes of a flow's failures: the consent doctor's, and those only we can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    /// Microsoft said so, or the sign-in showed it.
    Diagnosed(DiagnosisCode),
    /// The tenant is connected elsewhere; nobody is named.
    TenantUnavailable,
    /// The answer claims to come from another issuer (RFC 9207).
    UnexpectedIssuer,
    /// The id token did not hold.
    SignInNotVerified,
    /// The answer has neither an error nor what the step must bring.
    IncompleteCallback,
    /// Consent was given, but no token with permissions came in time.
    ConsentNotEffective,
    /// The entered credentials of a registration do not lead into the tenant.
    CredentialsRejected,
    /// The registration can do more than read.
    TooManyPermissions,
    /// What is stored for the connection does not open any more.
    StoredCredentialUnreadable,
}

impl RejectionCode {
    /// All of those that are not the doctor's.
    pub const OWN: [Self; 8] = [
        Self::TenantUnavailable,
        Self::UnexpectedIssuer,
        Self::SignInNotVerified,
        Self::IncompleteCallback,
        Self::ConsentNotEffective,
        Self::CredentialsRejected,
        Self::TooManyPermissions,
        Self::StoredCredentialUnreadable,
    ];

    /// The stable name, lowerCamelCase.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Diagnosed(code) => code.as_str(),
            Self::TenantUnavailable => "tenantUnavailable",
            Self::UnexpectedIssuer => "unexpectedIssuer",
            Self::SignInNotVerified => "signInNotVerified",
            Self::IncompleteCallback => "incompleteCallback",
            Self::ConsentNotEffective => "consentNotEffective",
            Self::CredentialsRejected => "credentialsRejected",
            Self::TooManyPermissions => "tooManyPermissions",
            Self::StoredCredentialUnreadable => "storedCredentialUnreadable",
        }
    }

    /// What kind of failure it is, the same for every case of it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Diagnosed(code) => diagnosis_title(code),
            Self::TenantUnavailable => "Tenant unavailable",
            Self::UnexpectedIssuer => "Answer from an unexpected issuer",
            Self::SignInNotVerified => "Sign-in could not be verified",
            Self::IncompleteCallback => "Incomplete answer",
            Self::ConsentNotEffective => "Consent has not taken effect",
            Self::CredentialsRejected => "Credentials rejected",
            Self::TooManyPermissions => "Too many permissions",
            Self::StoredCredentialUnreadable => "Stored credential unreadable",
        }
    }

    /// One sentence: who does what.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Diagnosed(code) => code.action(),
            Self::TenantUnavailable => {
                "The customer finds out who manages the tenant with this installation already and has it disconnected there first."
            }
            Self::UnexpectedIssuer | Self::SignInNotVerified | Self::IncompleteCallback => {
                "Open the link again in a fresh browser window and sign in."
            }
            Self::ConsentNotEffective => {
                "Wait a few minutes and open the link again; if it stays, an administrator checks in Entra that the enterprise application is enabled and has its permissions."
            }
            Self::CredentialsRejected => {
                "Enter a valid secret or certificate of a registration that an administrator of this tenant has consented to."
            }
            Self::TooManyPermissions => {
                "An administrator of the tenant takes these permissions away from the registration, or registers another application that only reads."
            }
            Self::StoredCredentialUnreadable => {
                "The operator of this installation looks into the log; connecting the tenant again stores a new credential."
            }
        }
    }

    const fn is_retryable(self) -> bool {
        match self {
            Self::Diagnosed(_)
            | Self::TenantUnavailable
            | Self::CredentialsRejected
            | Self::TooManyPermissions
            | Self::StoredCredentialUnreadable => false,
            Self::UnexpectedIssuer
            | Self::SignInNotVerified
            | Self::IncompleteCallback
            | Self::ConsentNotEffective => true,
        }
    }
}

/// What kind of failure each of the doctor's codes is.
pub const fn diagnosis_title(code: DiagnosisCode) -> &'static str {
    match code {
        DiagnosisCode::ConsentDeclined => "Consent declined",
        DiagnosisCode::AdministratorRequired => "Administrator required",
        DiagnosisCode::ApprovalPending => "Approval pending",
        DiagnosisCode::PersonalAccount => "Personal account",
        DiagnosisCode::ConsentBlockedByPolicy => "Blocked by a policy",
        DiagnosisCode::WrongTenant => "Wrong tenant",
        DiagnosisCode::TenantNotFound => "Tenant not found",
        DiagnosisCode::InvalidTenant => "Not the name of a tenant",
        DiagnosisCode::WrongCloud => "Tenant of another Microsoft cloud",
        DiagnosisCode::TenantDeactivated => "Tenant deactivated",
        DiagnosisCode::AccountNotInTenant => "Account not in the tenant",
        DiagnosisCode::AccountBlocked => "Account blocked",
        DiagnosisCode::UserNotAssigned => "User not assigned to the application",
        DiagnosisCode::PasswordProblem => "Wrong or expired password",
        DiagnosisCode::MultiFactorRequired => "Multi-factor authentication required",
        DiagnosisCode::DeviceNotAccepted => "Device not accepted",
        DiagnosisCode::SignInExpired => "Sign-in expired",
        DiagnosisCode::CodeAlreadyRedeemed => "Code already redeemed",
        DiagnosisCode::AppNotConsented => "Application not consented to",
        DiagnosisCode::AppDisabledInTenant => "Application disabled in the tenant",
        DiagnosisCode::AppNotProvisioned => "Application not set up in the tenant",
        DiagnosisCode::ServiceNotInTenant => "Service missing in the tenant",
        DiagnosisCode::PartnerAccessMissing => "Partner access missing",
        DiagnosisCode::OwnCredentialRejected => "Own credential rejected",
        DiagnosisCode::RegistrationMisconfigured => "App registration misconfigured",
        DiagnosisCode::RequestRejected => "Request rejected by Microsoft",
        DiagnosisCode::MicrosoftUnavailable => "Microsoft unavailable",
        DiagnosisCode::UpstreamThrottled => "Throttled by Microsoft",
        DiagnosisCode::MicrosoftRefused => "Refused by Microsoft",
    }
}

/// A failure with all that an answer, a page and the audit need of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which.
    pub code: RejectionCode,
    /// What happened, in a sentence or two.
    pub detail: String,
    /// Whether the same flow can succeed when it is tried again without changing anything else.
    pub retryable: bool,
    /// What Microsoft said.
    pub microsoft: Option<MicrosoftError>,
    /// Permissions that are held beyond what is asked for, where that is the failure.
    pub excess_permissions: Vec<String>,
}

impl Rejection {
    /// A failure of our own finding.
    pub(super) fn new(code: RejectionCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retryable: code.is_retryable(),
            microsoft: None,
            excess_permissions: Vec::new(),
        }
    }

    /// A failure that the sign-in itself showed; opening the link again with another account helps.
    pub(super) fn of_account(code: DiagnosisCode, detail: impl Into<String>) -> Self {
        Self {
            retryable: true,
            ..Self::new(RejectionCode::Diagnosed(code), detail)
        }
    }

    /// What Microsoft's error means.
    pub(crate) fn of_microsoft(error: MicrosoftError) -> Self {
        let Diagnosis {
            code, cause, retry, ..
        } = consent_doctor::diagnose(&error);
        let detail = if code == DiagnosisCode::MicrosoftRefused && !error.description.is_empty() {
            format!("{cause} Microsoft says: {}", quote(&error.description))
        } else {
            cause.to_owned()
        };
        Self {
            code: RejectionCode::Diagnosed(code),
            detail,
            retryable: retry.is_retryable(),
            microsoft: Some(error),
            excess_permissions: Vec::new(),
        }
    }

    /// What Microsoft's error means where a registration of the customer's own was used: what would be
    /// the operator's to mend is the customer's then.
    pub(crate) fn of_own_registration(error: MicrosoftError) -> Self {
        let rejection = Self::of_microsoft(error);
        match rejection.code {
            RejectionCode::Diagnosed(
                DiagnosisCode::OwnCredentialRejected
                | DiagnosisCode::RegistrationMisconfigured
                | DiagnosisCode::AppNotConsented
                | DiagnosisCode::SignInExpired,
            ) => Self {
                code: RejectionCode::CredentialsRejected,
                retryable: false,
                ..rejection
            },
            RejectionCode::Diagnosed(_)
            | RejectionCode::TenantUnavailable
            | RejectionCode::UnexpectedIssuer
            | RejectionCode::SignInNotVerified
            | RejectionCode::IncompleteCallback
            | RejectionCode::ConsentNotEffective
            | RejectionCode::CredentialsRejected
            | RejectionCode::TooManyPermissions
            | RejectionCode::StoredCredentialUnreadable => rejection,
        }
    }

    /// Whether it is a passing failure of Microsoft's, that says nothing about what was asked.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            self.code,
            RejectionCode::Diagnosed(
                DiagnosisCode::MicrosoftUnavailable | DiagnosisCode::UpstreamThrottled
            )
        )
    }

    /// A certificate that does not sign: the installation's, or the customer's own.
    pub(crate) fn unusable_certificate(error: &CredentialError, is_customers: bool) -> Self {
        let code = if is_customers {
            RejectionCode::CredentialsRejected
        } else {
            RejectionCode::Diagnosed(DiagnosisCode::OwnCredentialRejected)
        };
        Self::new(code, format!("The certificate cannot be used: {error}."))
    }

    /// Microsoft Graph wants a person to sign in again (a claims challenge).
    pub(crate) fn of_challenge(message: &str) -> Self {
        let error = MicrosoftError::from_redirect("interaction_required", Some(message), None);
        Self::of_microsoft(error)
    }

    /// What is stored for the connection does not open.
    pub(crate) fn stored_credential_unreadable() -> Self {
        Self::new(
            RejectionCode::StoredCredentialUnreadable,
            "What is stored for this connection is missing, damaged, or was sealed by another key.",
        )
    }

    /// A registration that can do more than read.
    pub(super) fn too_many_permissions(names: Vec<String>) -> Self {
        let detail = format!(
            "The registration holds permissions beyond reading: {}.",
            quote(&names.join(", "))
        );
        Self {
            excess_permissions: names,
            ..Self::new(RejectionCode::TooManyPermissions, detail)
        }
    }

    /// Microsoft could not be asked, or its answer never came.
    pub(crate) fn unavailable(detail: &'static str) -> Self {
        Self {
            retryable: true,
            ..Self::new(
                RejectionCode::Diagnosed(DiagnosisCode::MicrosoftUnavailable),
                detail,
            )
        }
    }

    /// Proof for a tenant other than the expected one.
    pub(super) fn wrong_tenant(expected: TenantId, proven: &str) -> Self {
        Self::of_account(
            DiagnosisCode::WrongTenant,
            format!(
                "Expected the tenant {expected}, but the answer is for the tenant {}.",
                quote(proven)
            ),
        )
    }

    /// One sentence: who does what.
    pub fn action(&self) -> &'static str {
        self.code.action()
    }

    /// The failure in the shape of a problem, as `connectionError` shows it.
    pub fn to_problem(&self) -> Value {
        let mut problem = Map::new();
        problem.insert("code".to_owned(), json!(self.code.as_str()));
        problem.insert("title".to_owned(), json!(self.code.title()));
        problem.insert("detail".to_owned(), json!(self.detail));
        problem.insert("action".to_owned(), json!(self.action()));
        problem.insert("retryable".to_owned(), json!(self.retryable));
        if let Some(microsoft) = &self.microsoft {
            problem.insert("microsoft".to_owned(), microsoft_facts(microsoft));
        }
        Value::Object(problem)
    }

    /// The failure for the audit: codes and numbers, no sentence that could name people.
    pub(super) fn to_audit(&self) -> Value {
        json!({
            "code": self.code.as_str(),
            "microsoft": self.microsoft.as_ref().map(microsoft_facts),
        })
    }
}

/// What Microsoft's support asks for, as the contract names it.
pub fn microsoft_facts(error: &MicrosoftError) -> Value {
    json!({
        "error": error.error,
        "aadsts": error.aadsts,
        "traceId": error.trace_id,
        "correlationId": error.correlation_id,
        "timestamp": error.timestamp,
    })
}

/// A foreign sentence, capped and on one line.
pub(super) fn quote(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain
        .take(QUOTE_LIMIT)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_unique_and_has_words() {
        let diagnosed = DiagnosisCode::ALL.into_iter().map(RejectionCode::Diagnosed);
        let codes: Vec<_> = diagnosed.chain(RejectionCode::OWN).collect();
        let names: HashSet<_> = codes.iter().map(|code| code.as_str()).collect();
        let titles: HashSet<_> = codes.iter().map(|code| code.title()).collect();
        assert_eq!(names.len(), codes.len());
        assert_eq!(titles.len(), codes.len());
        assert!(codes.iter().all(|code| code.action().ends_with('.')));
    }

    #[test]
    fn c16_a_huge_description_with_markup_and_line_breaks_is_capped_to_one_line() {
        let description = format!(
            "AADSTS123456789: <script>\r\nSet-Cookie: x{}",
            "A".repeat(1 << 20)
        );
        let error = MicrosoftError::from_redirect("strange_error", Some(&description), None);
        let rejection = Rejection::of_microsoft(error);
        assert!(rejection.detail.chars().count() < 500);
        assert!(!rejection.detail.contains(['\r', '\n']));
        assert_eq!(rejection.code.as_str(), "microsoftRefused");
    }

    #[test]
    fn a_problem_carries_microsofts_own_number_and_ids() {
        let description = "AADSTS65004: User declined to consent. Trace ID: 11111111-1111-1111-1111-111111111111 Correlation ID: 22222222-2222-2222-2222-222222222222 Timestamp: 2026-11-20 10:00:00Z";
        let error = MicrosoftError::from_redirect("consent_required", Some(description), None);
        let problem = Rejection::of_microsoft(error).to_problem();
        assert_eq!(problem["code"], "consentDeclined");
        assert_eq!(problem["microsoft"]["aadsts"], 65004);
        assert_eq!(
            problem["microsoft"]["traceId"],
            "11111111-1111-1111-1111-111111111111"
        );
        assert_eq!(problem["microsoft"]["timestamp"], "2026-11-20 10:00:00Z");
    }
}
