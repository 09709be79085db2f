//! Every number of Microsoft's sign-in errors that we explain, in one table.
//!
//! Meanings are those of Microsoft's page "Microsoft Entra authentication and authorization error
//! codes"; some causes were seen in public reports. Who acts and whether to retry is our reading.

use crate::microsoft::consent_doctor::{Actor, DiagnosisCode, Retry};

/// What a number means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// The digits after `AADSTS`.
    pub number: u32,
    /// The group it belongs to.
    pub code: DiagnosisCode,
    /// Who must act.
    pub who: Actor,
    /// When to try again.
    pub retry: Retry,
    /// What happened, in a sentence.
    pub cause: &'static str,
}

/// The row of a number; the whole number must match.
pub(crate) fn row(number: u32) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.number == number)
}

use Actor::{CustomerAdministrator as C, MspOperator as M, Nobody, SignedInUser as U};
use DiagnosisCode as D;
use Retry::{Automatic, Interactive as I, Later, Once, WhenChanged as N};

const fn say(
    number: u32,
    code: DiagnosisCode,
    who: Actor,
    retry: Retry,
    cause: &'static str,
) -> Row {
    Row {
        number,
        code,
        who,
        retry,
        cause,
    }
}

/// Ordered by meaning, not by number.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    // The wrong account, or none that fits.
    say(16000, D::AccountNotInTenant, U, I, "The account belongs to another identity provider and is not in this tenant; often it is a personal one."),
    say(50014, D::AccountNotInTenant, U, I, "The guest account has not accepted its invitation yet."),
    say(50020, D::AccountNotInTenant, U, I, "The account that signed in does not exist in this tenant."),
    say(50034, D::AccountNotInTenant, U, I, "The account is not in this tenant's directory."),
    say(90072, D::AccountNotInTenant, U, I, "The external account does not exist in this tenant."),
    say(500_208, D::PersonalAccount, U, I, "A personal Microsoft account cannot be used here."),
    // The account is there but may not or cannot sign in.
    say(50053, D::AccountBlocked, U, Later, "The account is locked or its network address is blocked after too many attempts."),
    say(50057, D::AccountBlocked, C, N, "The account is disabled."),
    say(50105, D::UserNotAssigned, C, N, "The application requires assignment and the user is not assigned to it."),
    say(50055, D::PasswordProblem, U, I, "The password has expired."),
    say(50144, D::PasswordProblem, U, I, "The password has expired."),
    say(50126, D::PasswordProblem, U, I, "User name or password is wrong."),
    say(50072, D::MultiFactorRequired, U, I, "The user must set up multi-factor authentication."),
    say(50074, D::MultiFactorRequired, U, I, "Multi-factor authentication is required."),
    say(50076, D::MultiFactorRequired, U, I, "Multi-factor authentication is required, for example after a change of policy or place."),
    say(50079, D::MultiFactorRequired, U, I, "The user must set up multi-factor authentication."),
    say(50078, D::MultiFactorRequired, U, I, "The multi-factor authentication has expired."),
    say(50097, D::DeviceNotAccepted, U, I, "The policy wants the device to authenticate."),
    say(50129, D::DeviceNotAccepted, U, I, "The policy wants a device that is joined to the organization."),
    say(53000, D::DeviceNotAccepted, U, I, "The policy wants a compliant device."),
    say(53001, D::DeviceNotAccepted, U, I, "The policy wants a device that is joined to the domain."),
    // Sign-ins that ran out.
    say(50058, D::SignInExpired, Nobody, I, "There is no session to sign in silently with."),
    say(50089, D::SignInExpired, U, I, "The sign-in took too long and has expired."),
    say(50133, D::SignInExpired, U, I, "The session is no longer valid, for example after a password change."),
    say(50173, D::SignInExpired, U, I, "The grant was revoked; a fresh sign-in is needed."),
    say(70000, D::SignInExpired, U, I, "The stored grant is not valid any more."),
    say(70008, D::SignInExpired, U, I, "The refresh token has expired."),
    say(70043, D::SignInExpired, U, I, "The tenant's sign-in frequency has ended the session."),
    say(700_082, D::SignInExpired, U, I, "The refresh token was not used for 90 days."),
    say(700_084, D::SignInExpired, M, I, "The refresh token was issued to a single-page application and lasts 24 hours."),
    say(54005, D::CodeAlreadyRedeemed, Nobody, I, "The authorization code had been redeemed before."),
    say(700_005, D::WrongTenant, M, I, "The authorization code was issued for another tenant."),
    // Policies of the customer.
    say(50131, D::ConsentBlockedByPolicy, C, N, "A Conditional Access or security policy blocked the sign-in."),
    say(53003, D::ConsentBlockedByPolicy, C, N, "A Conditional Access policy blocked the sign-in."),
    say(530_032, D::ConsentBlockedByPolicy, C, N, "A security policy of the tenant blocked the sign-in."),
    say(530_035, D::ConsentBlockedByPolicy, M, N, "Security defaults blocked the request as unsafe."),
    say(500_021, D::ConsentBlockedByPolicy, C, N, "Tenant restrictions of the network deny access to this tenant."),
    say(500_022, D::ConsentBlockedByPolicy, C, N, "Tenant restrictions of the network deny access to this tenant."),
    say(500_212, D::ConsentBlockedByPolicy, C, N, "The outbound cross-tenant access settings of the user's own tenant deny this."),
    say(500_213, D::ConsentBlockedByPolicy, C, N, "The inbound cross-tenant access settings of the tenant deny this."),
    // Consent.
    say(65001, D::AppNotConsented, C, N, "Nobody has consented to the application in this tenant, or the consent was withdrawn."),
    say(65004, D::ConsentDeclined, U, I, "Consent was declined on Microsoft's page."),
    say(90093, D::AdministratorRequired, C, N, "The user who signed in may not grant these permissions."),
    say(90094, D::AdministratorRequired, C, I, "An administrator must consent to these permissions."),
    say(90095, D::ApprovalPending, C, Later, "An administrator must approve; the request for it can be sent from Microsoft's page."),
    say(700_011, D::AppNotConsented, C, Later, "The application is not present in this tenant: not consented, removed, or another cloud."),
    say(700_016, D::AppNotConsented, C, Later, "The application is not present in this tenant: not consented, removed, or another cloud."),
    say(70001, D::AppDisabledInTenant, C, N, "The application is disabled in this tenant."),
    say(7_000_112, D::AppDisabledInTenant, C, N, "The application is disabled in this tenant."),
    say(1_000_031, D::AppDisabledInTenant, C, N, "The application cannot be accessed in this tenant at this time."),
    say(650_051, D::AppNotProvisioned, M, Once, "Microsoft could not set the application up in this tenant."),
    say(50001, D::ServiceNotInTenant, C, N, "The service asked for does not exist in this tenant."),
    say(500_011, D::ServiceNotInTenant, C, N, "The service asked for does not exist in this tenant."),
    say(650_052, D::ServiceNotInTenant, C, N, "The tenant has no subscription to a service that a permission belongs to."),
    say(5_000_224, D::TenantDeactivated, C, N, "The tenant is deprovisioned or blocked by Microsoft."),
    // Partners acting for the customer.
    say(50177, D::PartnerAccessMissing, M, N, "The partner user is not in a group that the delegated admin relationship gives access to."),
    say(90099, D::PartnerAccessMissing, M, N, "The application has not been authorized in the customer's tenant for delegated administrators."),
    say(530_034, D::PartnerAccessMissing, M, N, "Delegated administration is blocked because of a risk in the partner's own tenant."),
    // Which tenant, which cloud.
    say(90002, D::TenantNotFound, M, N, "Microsoft knows no tenant by this name or id in this cloud."),
    say(50059, D::InvalidTenant, M, N, "The request does not tell which tenant is meant."),
    say(50128, D::InvalidTenant, M, N, "The domain name tells of no tenant."),
    say(90019, D::InvalidTenant, M, N, "Microsoft could not determine the tenant."),
    say(900_023, D::InvalidTenant, M, N, "What was given is neither a domain name nor a tenant id."),
    say(90038, D::WrongCloud, M, N, "The tenant lives in another of Microsoft's national clouds."),
    say(900_382, D::WrongCloud, M, N, "A confidential client cannot be used across Microsoft's clouds."),
    say(900_432, D::WrongCloud, M, N, "A confidential client cannot be used across Microsoft's clouds."),
    say(1_000_104, D::WrongCloud, M, N, "The service's cloud is not allowed for this tenant."),
    // The installation's own credential.
    say(50012, D::OwnCredentialRejected, M, N, "The certificate's assertion was rejected."),
    say(50013, D::OwnCredentialRejected, M, N, "The assertion is not valid."),
    say(500_133, D::OwnCredentialRejected, M, N, "The assertion is outside its time: the server's clock may be wrong."),
    say(70002, D::OwnCredentialRejected, M, N, "The client secret is not valid."),
    say(7_000_215, D::OwnCredentialRejected, M, N, "The client secret is wrong; often the secret's id was entered instead of its value."),
    say(7_000_218, D::OwnCredentialRejected, M, N, "The request carried no client credential."),
    say(7_000_222, D::OwnCredentialRejected, M, N, "The client secret has expired."),
    say(700_025, D::OwnCredentialRejected, M, N, "The registration is a public client and must not send a secret."),
    say(700_027, D::OwnCredentialRejected, M, N, "The certificate does not belong to the registration."),
    // The installation's own registration.
    say(50011, D::RegistrationMisconfigured, M, N, "The redirect URI is not registered."),
    say(500_113, D::RegistrationMisconfigured, M, N, "The registration has no redirect URI at all."),
    say(50194, D::RegistrationMisconfigured, M, N, "The registration is not multi-tenant."),
    say(65002, D::RegistrationMisconfigured, M, N, "The id is that of one of Microsoft's own applications."),
    say(65005, D::RegistrationMisconfigured, M, N, "The registration does not list the permissions that were asked for."),
    say(650_054, D::RegistrationMisconfigured, M, N, "The registration lists a permission of a service that no longer exists."),
    say(650_056, D::RegistrationMisconfigured, M, N, "The registration lists no permissions, or wrong ones."),
    say(650_057, D::RegistrationMisconfigured, M, N, "The service asked for is not among the registration's permissions."),
    say(700_054, D::RegistrationMisconfigured, M, N, "ID tokens are not switched on for this kind of sign-in."),
    say(67003, D::RegistrationMisconfigured, M, N, "The caller is not a valid service identity."),
    say(7_000_114, D::RegistrationMisconfigured, M, N, "The registration may not make on-behalf-of calls."),
    say(100_007, D::RegistrationMisconfigured, M, N, "The registration may not use Microsoft's regional sign-in endpoints."),
    // Requests that should never have been sent.
    say(28002, D::RequestRejected, M, N, "The scope is not valid for this kind of request."),
    say(70003, D::RequestRejected, M, N, "The grant type is not supported."),
    say(70011, D::RequestRejected, M, N, "The scope is not valid."),
    say(700_022, D::RequestRejected, M, N, "The scope names more than one service."),
    say(50147, D::RequestRejected, M, N, "The PKCE challenge is not valid."),
    say(501_481, D::RequestRejected, M, N, "The PKCE verifier does not belong to the challenge."),
    say(501_491, D::RequestRejected, M, N, "The PKCE challenge has the wrong size."),
    say(90013, D::RequestRejected, M, N, "The request is not valid."),
    say(90014, D::RequestRejected, M, N, "The request lacks a parameter."),
    say(900_144, D::RequestRejected, M, N, "The request lacks a parameter."),
    say(90023, D::RequestRejected, M, N, "The request is not valid."),
    say(9_002_313, D::RequestRejected, M, N, "The request is malformed; a spoiled stored token also causes this."),
    say(9_001_023, D::RequestRejected, M, N, "This kind of request needs a concrete tenant."),
    say(90124, D::RequestRejected, M, N, "This kind of request needs a concrete tenant."),
    say(90130, D::RequestRejected, M, N, "The application cannot be used at a generic endpoint."),
    // Microsoft itself.
    say(50033, D::MicrosoftUnavailable, Nobody, Automatic, "A passing failure at Microsoft."),
    say(90006, D::MicrosoftUnavailable, Nobody, Automatic, "A service at Microsoft is temporarily unavailable."),
    say(90012, D::MicrosoftUnavailable, Nobody, Automatic, "The request timed out at Microsoft."),
    say(90024, D::MicrosoftUnavailable, Nobody, Automatic, "Microsoft's budget for the request ran out; a passing failure."),
    say(90033, D::MicrosoftUnavailable, Nobody, Automatic, "A passing failure at Microsoft."),
    say(90090, D::MicrosoftUnavailable, Nobody, Automatic, "Microsoft Graph was temporarily unavailable to the sign-in service."),
    say(90055, D::UpstreamThrottled, Nobody, Later, "The tenant has sent too many sign-in requests."),
    say(50196, D::UpstreamThrottled, M, Later, "Microsoft detected a loop of token requests."),
    say(90036, D::MicrosoftRefused, Nobody, N, "An error at Microsoft that a retry does not cure."),
    say(90092, D::MicrosoftRefused, Nobody, N, "An error of Microsoft Graph that a retry does not cure."),
];
