//! The consent doctor: what a Microsoft sign-in error means for the people involved.
//!
//! Each number of [`aadsts_table`](super::aadsts_table) belongs to one of some 25 stable codes. A
//! number we do not know falls back on the OAuth `error`: Microsoft adds numbers without notice and
//! asks callers to act on `error`.

use crate::microsoft::{
    aadsts::MicrosoftError,
    aadsts_table::{self, Row},
};

/// Who must do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// An administrator of the customer's tenant.
    CustomerAdministrator,
    /// The person who signed in.
    SignedInUser,
    /// Whoever runs this installation: registration, secret, settings.
    MspOperator,
    /// Nobody: it passes, or is repeated by itself.
    Nobody,
}

impl Actor {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CustomerAdministrator => "customerAdministrator",
            Self::SignedInUser => "signedInUser",
            Self::MspOperator => "mspOperator",
            Self::Nobody => "nobody",
        }
    }
}

/// When the same request may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// By itself, with back-off.
    Automatic,
    /// By itself or by hand, but only after minutes or more.
    Later,
    /// Once more, then only after a change.
    Once,
    /// When a person opens the link again.
    Interactive,
    /// Not before something has been changed.
    WhenChanged,
}

impl Retry {
    /// Whether trying again without changing anything can succeed.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Automatic | Self::Later | Self::Once | Self::Interactive => true,
            Self::WhenChanged => false,
        }
    }
}

/// The stable codes that the API shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiagnosisCode {
    /// Somebody pressed Cancel or No.
    ConsentDeclined,
    /// The person who signed in may not consent.
    AdministratorRequired,
    /// An approval was asked for in Entra and has not been given yet.
    ApprovalPending,
    /// A personal Microsoft account.
    PersonalAccount,
    /// A policy of the customer is in the way.
    ConsentBlockedByPolicy,
    /// A proof for a tenant other than the expected one.
    WrongTenant,
    /// No such tenant in this cloud.
    TenantNotFound,
    /// Not the name of a tenant at all.
    InvalidTenant,
    /// The tenant lives in another of Microsoft's clouds.
    WrongCloud,
    /// Microsoft has blocked or removed the tenant.
    TenantDeactivated,
    /// The account is not of this tenant.
    AccountNotInTenant,
    /// The account is locked or disabled.
    AccountBlocked,
    /// The application wants users to be assigned.
    UserNotAssigned,
    /// A wrong or expired password.
    PasswordProblem,
    /// Multi-factor authentication is wanted.
    MultiFactorRequired,
    /// A known or compliant device is wanted.
    DeviceNotAccepted,
    /// A sign-in or its refresh token has ended.
    SignInExpired,
    /// The code was used before.
    CodeAlreadyRedeemed,
    /// The application is not, or no longer, consented to in the tenant.
    AppNotConsented,
    /// The enterprise application is switched off.
    AppDisabledInTenant,
    /// Microsoft could not set the application up in the tenant.
    AppNotProvisioned,
    /// The tenant lacks a service.
    ServiceNotInTenant,
    /// The partner's relationship does not give this access.
    PartnerAccessMissing,
    /// The installation's own secret or certificate is refused.
    OwnCredentialRejected,
    /// The installation's own registration is set up wrongly.
    RegistrationMisconfigured,
    /// Microsoft found fault with our request.
    RequestRejected,
    /// A passing failure at Microsoft.
    MicrosoftUnavailable,
    /// Too many requests.
    UpstreamThrottled,
    /// Anything else that Microsoft refuses.
    MicrosoftRefused,
}

impl DiagnosisCode {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::ConsentDeclined,
        Self::AdministratorRequired,
        Self::ApprovalPending,
        Self::PersonalAccount,
        Self::ConsentBlockedByPolicy,
        Self::WrongTenant,
        Self::TenantNotFound,
        Self::InvalidTenant,
        Self::WrongCloud,
        Self::TenantDeactivated,
        Self::AccountNotInTenant,
        Self::AccountBlocked,
        Self::UserNotAssigned,
        Self::PasswordProblem,
        Self::MultiFactorRequired,
        Self::DeviceNotAccepted,
        Self::SignInExpired,
        Self::CodeAlreadyRedeemed,
        Self::AppNotConsented,
        Self::AppDisabledInTenant,
        Self::AppNotProvisioned,
        Self::ServiceNotInTenant,
        Self::PartnerAccessMissing,
        Self::OwnCredentialRejected,
        Self::RegistrationMisconfigured,
        Self::RequestRejected,
        Self::MicrosoftUnavailable,
        Self::UpstreamThrottled,
        Self::MicrosoftRefused,
    ];

    /// The stable name, lowerCamelCase.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsentDeclined => "consentDeclined",
            Self::AdministratorRequired => "administratorRequired",
            Self::ApprovalPending => "approvalPending",
            Self::PersonalAccount => "personalAccount",
            Self::ConsentBlockedByPolicy => "consentBlockedByPolicy",
            Self::WrongTenant => "wrongTenant",
            Self::TenantNotFound => "tenantNotFound",
            Self::InvalidTenant => "invalidTenant",
            Self::WrongCloud => "wrongCloud",
            Self::TenantDeactivated => "tenantDeactivated",
            Self::AccountNotInTenant => "accountNotInTenant",
            Self::AccountBlocked => "accountBlocked",
            Self::UserNotAssigned => "userNotAssigned",
            Self::PasswordProblem => "passwordProblem",
            Self::MultiFactorRequired => "multiFactorRequired",
            Self::DeviceNotAccepted => "deviceNotAccepted",
            Self::SignInExpired => "signInExpired",
            Self::CodeAlreadyRedeemed => "codeAlreadyRedeemed",
            Self::AppNotConsented => "appNotConsented",
            Self::AppDisabledInTenant => "appDisabledInTenant",
            Self::AppNotProvisioned => "appNotProvisioned",
            Self::ServiceNotInTenant => "serviceNotInTenant",
            Self::PartnerAccessMissing => "partnerAccessMissing",
            Self::OwnCredentialRejected => "ownCredentialRejected",
            Self::RegistrationMisconfigured => "registrationMisconfigured",
            Self::RequestRejected => "requestRejected",
            Self::MicrosoftUnavailable => "microsoftUnavailable",
            Self::UpstreamThrottled => "upstreamThrottled",
            Self::MicrosoftRefused => "microsoftRefused",
        }
    }

    /// One sentence: who does what.
    pub const fn action(self) -> &'static str {
        match self {
            Self::ConsentDeclined => {
                "Open the link again and accept the permissions on Microsoft's page."
            }
            Self::AdministratorRequired => {
                "A Global Administrator or Privileged Role Administrator of the tenant opens the link and accepts."
            }
            Self::ApprovalPending => {
                "An administrator approves the request in the Entra admin center under Enterprise applications, Admin consent requests; then open the link again."
            }
            Self::PersonalAccount => {
                "Open the link again and sign in with a work account of the tenant."
            }
            Self::ConsentBlockedByPolicy => {
                "An administrator of the tenant looks at the sign-in log in Entra and allows this application, place or account in the policy that blocked it."
            }
            Self::WrongTenant => {
                "Open the link again and sign in with an administrator of the tenant it was made for."
            }
            Self::TenantNotFound => {
                "Check the domain or tenant id, and that the tenant lives in this installation's Microsoft cloud."
            }
            Self::InvalidTenant => {
                "Enter a verified domain of the tenant, such as contoso.onmicrosoft.com, or its tenant id."
            }
            Self::WrongCloud => {
                "Connect this tenant through an installation that is set up for the tenant's Microsoft cloud."
            }
            Self::TenantDeactivated => {
                "The customer asks Microsoft support to reactivate the tenant."
            }
            Self::AccountNotInTenant => {
                "Open the link again and sign in with an account of the tenant."
            }
            Self::AccountBlocked => {
                "An administrator of the tenant unlocks or enables the account, or another administrator signs in."
            }
            Self::UserNotAssigned => {
                "An administrator assigns the user to the enterprise application in Entra, or switches off its required assignment."
            }
            Self::PasswordProblem => {
                "Sign in again with the right password, or set a new one first."
            }
            Self::MultiFactorRequired => {
                "Open the link again, or a new one, and complete the multi-factor sign-in."
            }
            Self::DeviceNotAccepted => {
                "Open the link again, or a new one, on a device that the tenant's policies accept."
            }
            Self::SignInExpired => {
                "An administrator of the tenant opens the link again, or a new one, and signs in."
            }
            Self::CodeAlreadyRedeemed => "Open the link again; each sign-in answer works once.",
            Self::AppNotConsented => {
                "An administrator of the tenant opens the link, or a new one, and accepts the permissions."
            }
            Self::AppDisabledInTenant => {
                "An administrator of the tenant enables sign-in for the enterprise application in Entra."
            }
            Self::AppNotProvisioned => {
                "Try again in a few minutes; if it stays, check the permissions of the app registration."
            }
            Self::ServiceNotInTenant => {
                "The customer adds the missing service to the tenant, or its permission is removed from the app registration."
            }
            Self::PartnerAccessMissing => {
                "Give the partner user a role through the delegated admin relationship's security group, and the application its consent in the customer's tenant."
            }
            Self::OwnCredentialRejected => {
                "Put a valid client secret or certificate of the app registration into this installation's settings."
            }
            Self::RegistrationMisconfigured => {
                "Correct the app registration in Entra: redirect URI, multi-tenant audience and permissions as the README lists them."
            }
            Self::RequestRejected => {
                "Report this with the trace id; the request itself must be corrected."
            }
            Self::MicrosoftUnavailable => "Nothing to do; it is tried again.",
            Self::UpstreamThrottled => "Nothing to do; it is tried again later.",
            Self::MicrosoftRefused => {
                "Look up the number at login.microsoftonline.com/error, or give Microsoft support the trace id."
            }
        }
    }
}

/// What is wrong, who does what, and whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnosis {
    /// The stable code.
    pub code: DiagnosisCode,
    /// What happened, in a sentence.
    pub cause: &'static str,
    /// Who must act.
    pub who: Actor,
    /// What they do, in a sentence.
    pub action: &'static str,
    /// When the same request may succeed.
    pub retry: Retry,
}

/// Explains an error of Microsoft's identity platform.
pub fn diagnose(error: &MicrosoftError) -> Diagnosis {
    if let Some(row) = error.aadsts.and_then(aadsts_table::row) {
        return of_row(row, error);
    }
    let (code, who, retry, cause) = by_oauth_error(error);
    Diagnosis {
        code,
        cause,
        who,
        action: code.action(),
        retry,
    }
}

fn of_row(row: &Row, error: &MicrosoftError) -> Diagnosis {
    // Whether to retry follows the OAuth error where that is plain; the number only explains.
    let retry = if is_passing(error) {
        Retry::Automatic
    } else {
        row.retry
    };
    Diagnosis {
        code: row.code,
        cause: row.cause,
        who: row.who,
        action: row.code.action(),
        retry,
    }
}

fn is_passing(error: &MicrosoftError) -> bool {
    matches!(
        error.error.as_str(),
        "temporarily_unavailable" | "server_error"
    )
}

fn by_oauth_error(error: &MicrosoftError) -> (DiagnosisCode, Actor, Retry, &'static str) {
    use Actor::{CustomerAdministrator, MspOperator, Nobody, SignedInUser};
    use DiagnosisCode as Code;
    if error.status == Some(429) {
        return (
            Code::UpstreamThrottled,
            Nobody,
            Retry::Later,
            "Microsoft received too many requests.",
        );
    }
    match error.error.as_str() {
        "access_denied" => (
            Code::ConsentDeclined,
            SignedInUser,
            Retry::Interactive,
            "The sign-in or the consent was cancelled or refused.",
        ),
        "permission_denied" => (
            Code::ConsentDeclined,
            CustomerAdministrator,
            Retry::Interactive,
            "The administrator cancelled the consent.",
        ),
        "consent_required" => (
            Code::AppNotConsented,
            CustomerAdministrator,
            Retry::Interactive,
            "A permission is not, or no longer, consented to.",
        ),
        "interaction_required" | "login_required" => (
            Code::SignInExpired,
            SignedInUser,
            Retry::Interactive,
            "Microsoft wants a person to sign in.",
        ),
        "invalid_grant" => (
            Code::SignInExpired,
            SignedInUser,
            Retry::Interactive,
            "The code or the stored grant is not valid any more.",
        ),
        "invalid_client" => (
            Code::OwnCredentialRejected,
            MspOperator,
            Retry::WhenChanged,
            "Microsoft refused the client credential.",
        ),
        "unauthorized_client" | "unsupported_response_type" | "unsupported_grant_type" => (
            Code::RegistrationMisconfigured,
            MspOperator,
            Retry::WhenChanged,
            "The app registration does not allow this request.",
        ),
        "invalid_resource" => (
            Code::ServiceNotInTenant,
            CustomerAdministrator,
            Retry::WhenChanged,
            "The service asked for does not exist in this tenant.",
        ),
        "invalid_tenant" => (
            Code::TenantNotFound,
            MspOperator,
            Retry::WhenChanged,
            "Microsoft knows no such tenant in this cloud.",
        ),
        "invalid_request" | "invalid_scope" => (
            Code::RequestRejected,
            MspOperator,
            Retry::WhenChanged,
            "Microsoft found fault with the request.",
        ),
        "temporarily_unavailable" | "server_error" => (
            Code::MicrosoftUnavailable,
            Nobody,
            Retry::Automatic,
            "A passing failure at Microsoft.",
        ),
        _unknown
            if error
                .status
                .is_some_and(|status| status >= 500 || status == 408) =>
        {
            (
                Code::MicrosoftUnavailable,
                Nobody,
                Retry::Automatic,
                "Microsoft's sign-in service did not answer properly.",
            )
        }
        _unknown => (
            Code::MicrosoftRefused,
            MspOperator,
            Retry::WhenChanged,
            "Microsoft refused for a reason we do not know.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::microsoft::aadsts_table::ROWS;

    /// The numbers we promise to explain, written a second time so that none gets lost.
    const PROMISED: &[u32] = &[
        16000, 50001, 500_011, 50011, 500_113, 50012, 50013, 500_133, 50014, 50020, 500_208,
        500_021, 500_022, 500_212, 500_213, 50034, 50053, 50055, 50144, 50057, 50058, 50059, 50128,
        50072, 50074, 50076, 50079, 50078, 50089, 50097, 50129, 53000, 53001, 50105, 50126, 50131,
        53003, 530_032, 530_034, 530_035, 50133, 50173, 50147, 501_481, 501_491, 50177, 50194,
        50196, 5_000_224, 54005, 65001, 65002, 65004, 65005, 650_056, 650_057, 650_051, 650_052,
        650_054, 67003, 70000, 700_005, 70001, 7_000_112, 700_011, 700_016, 70002, 7_000_215,
        7_000_218, 7_000_222, 700_025, 700_027, 70003, 70011, 700_022, 28002, 700_054, 70008,
        700_082, 700_084, 70043, 7_000_114, 90002, 900_023, 90013, 90014, 900_144, 90023,
        9_002_313, 9_001_023, 90124, 90130, 90019, 90024, 90033, 90090, 50033, 90006, 90012, 90055,
        90036, 90092, 90038, 900_432, 900_382, 90072, 90093, 90094, 90095, 90099, 100_007,
        1_000_031, 1_000_104,
    ];

    fn with_number(number: u32) -> MicrosoftError {
        let body = format!(r#"{{"error":"some_error","error_description":"AADSTS{number}: x"}}"#);
        MicrosoftError::from_answer(400, body.as_bytes())
    }

    #[test]
    fn every_promised_number_has_exactly_one_row() {
        let rows: HashSet<u32> = ROWS.iter().map(|row| row.number).collect();
        let promised: HashSet<u32> = PROMISED.iter().copied().collect();
        assert_eq!(rows.len(), ROWS.len(), "a number stands twice");
        assert_eq!(rows, promised);
    }

    #[test]
    fn every_number_is_diagnosed_by_its_own_row() {
        for row in ROWS {
            let found = diagnose(&with_number(row.number));
            assert_eq!(
                (found.code, found.cause, found.who, found.retry),
                (row.code, row.cause, row.who, row.retry)
            );
            assert!(
                found.action.ends_with('.') && found.cause.ends_with('.'),
                "{}",
                row.number
            );
        }
    }

    #[test]
    fn a_number_is_never_taken_for_one_it_begins_with() {
        let known: HashSet<u32> = ROWS.iter().map(|row| row.number).collect();
        for row in ROWS {
            for digit in 0..10 {
                let longer = row.number * 10 + digit;
                if !known.contains(&longer) {
                    assert_eq!(
                        diagnose(&with_number(longer)).code,
                        DiagnosisCode::MicrosoftRefused,
                        "{longer}"
                    );
                }
            }
            let shorter = row.number / 10;
            if !known.contains(&shorter) {
                assert_eq!(
                    diagnose(&with_number(shorter)).code,
                    DiagnosisCode::MicrosoftRefused,
                    "{shorter}"
                );
            }
        }
        let code = |number| diagnose(&with_number(number)).code;
        assert_eq!(code(50011), DiagnosisCode::RegistrationMisconfigured);
        assert_eq!(code(500_011), DiagnosisCode::ServiceNotInTenant);
        assert_eq!(code(50020), DiagnosisCode::AccountNotInTenant);
        assert_eq!(code(500_208), DiagnosisCode::PersonalAccount);
        assert_eq!(code(70000), DiagnosisCode::SignInExpired);
        assert_eq!(code(700_016), DiagnosisCode::AppNotConsented);
        assert_eq!(code(7_000_112), DiagnosisCode::AppDisabledInTenant);
    }

    #[test]
    fn unknown_numbers_fall_back_on_the_oauth_error() {
        for (error, code) in [
            ("access_denied", DiagnosisCode::ConsentDeclined),
            ("permission_denied", DiagnosisCode::ConsentDeclined),
            ("consent_required", DiagnosisCode::AppNotConsented),
            ("interaction_required", DiagnosisCode::SignInExpired),
            ("invalid_client", DiagnosisCode::OwnCredentialRejected),
            (
                "temporarily_unavailable",
                DiagnosisCode::MicrosoftUnavailable,
            ),
            ("something_new", DiagnosisCode::MicrosoftRefused),
        ] {
            let body = format!(r#"{{"error":"{error}","error_codes":[123456789]}}"#);
            assert_eq!(
                diagnose(&MicrosoftError::from_answer(400, body.as_bytes())).code,
                code,
                "{error}"
            );
        }
    }

    #[test]
    fn a_passing_error_is_repeated_whatever_its_number() {
        let body = br#"{"error":"temporarily_unavailable","error_codes":[50196]}"#;
        assert_eq!(
            diagnose(&MicrosoftError::from_answer(400, body)).retry,
            Retry::Automatic
        );
        assert_eq!(
            diagnose(&MicrosoftError::from_answer(502, b"<html>")).retry,
            Retry::Automatic
        );
        assert_eq!(
            diagnose(&MicrosoftError::from_answer(429, b"")).code,
            DiagnosisCode::UpstreamThrottled
        );
    }

    #[test]
    fn codes_are_stable_names_and_each_is_reachable() {
        let names: HashSet<&str> = DiagnosisCode::ALL
            .iter()
            .map(|code| code.as_str())
            .collect();
        assert_eq!(names.len(), DiagnosisCode::ALL.len());
        for code in DiagnosisCode::ALL {
            assert!(ROWS.iter().any(|row| row.code == code), "{}", code.as_str());
            let name = code.as_str();
            assert!(
                name.starts_with(|c: char| c.is_ascii_lowercase())
                    && name.chars().all(|c| c.is_ascii_alphanumeric())
            );
        }
    }
}
