//! Every problem type, in one table: the public contract of what can go wrong.

use actix_web::http::StatusCode;
use tenantry_core::microsoft::consent_doctor::DiagnosisCode as Doctor;

/// What is the same for every problem with one code.
#[derive(Debug)]
pub struct ProblemType {
    /// The stable word that programs decide by.
    pub code: &'static str,
    /// HTTP status.
    pub status: StatusCode,
    /// Short name; never varies.
    pub title: &'static str,
    /// What happened.
    pub what: &'static str,
    /// One sentence: who does what.
    pub action: &'static str,
    /// Whether the action is somebody's and not only the calling program's, so that it stands in
    /// the answer too.
    pub someone_must_act: bool,
    /// Whether trying again can succeed with nothing changed: the same call later or, after a sign-in, the
    /// same link opened again.
    pub retryable: bool,
}

impl ProblemType {
    /// Address of the page about it, which names the type.
    pub fn address(&self, public_url: &str) -> String {
        format!("{public_url}/problems/{}", self.code)
    }
}

/// Who acts on a problem.
macro_rules! someone_must_act {
    (caller) => {
        false
    };
    (someone) => {
        true
    };
}

/// One static for each type and the list of all. A macro, so that a type cannot be left out of the
/// list from which its page is made.
macro_rules! catalogue {
    ($($name:ident = $code:expr, $status:ident, $retryable:literal, $title:literal,
        $what:literal, $who:ident $action:expr;)+) => {
        $(
            #[doc = $what]
            pub static $name: ProblemType = ProblemType {
                code: $code,
                status: StatusCode::$status,
                title: $title,
                what: $what,
                action: $action,
                someone_must_act: someone_must_act!($who),
                retryable: $retryable,
            };
        )+

        /// All of them.
        pub static ALL: &[&ProblemType] = &[$(&$name),+];
    };
}

catalogue! {
    // HTTP itself
    NOT_FOUND = "notFound", NOT_FOUND, false, "Not found",
        "There is no such path or thing in your organisation. A thing of another organisation gives the same answer.",
        caller "Check the path and the ids, and that the API key belongs to the right organisation.";
    METHOD_NOT_ALLOWED = "methodNotAllowed", METHOD_NOT_ALLOWED, false, "Method not allowed",
        "The path exists, but not with this method. The header Allow names the ones it has.",
        caller "Call it with one of the methods in the header Allow.";
    NOT_ACCEPTABLE = "notAcceptable", NOT_ACCEPTABLE, false, "Not acceptable",
        "The header Accept-Encoding rules out every form in which the answer could be sent.",
        caller "Accept identity or gzip.";
    UNSUPPORTED_MEDIA_TYPE = "unsupportedMediaType", UNSUPPORTED_MEDIA_TYPE, false, "Unsupported media type",
        "The body is not JSON by its Content-Type.",
        caller "Send the body as application/json in UTF-8.";
    BAD_REQUEST = "badRequest", BAD_REQUEST, false, "Request cannot be read",
        "The request is not valid HTTP, or a header of it cannot be read.",
        caller "Correct the request.";
    INVALID_JSON = "invalidJson", BAD_REQUEST, false, "Invalid JSON",
        "The body is not one JSON document as we read it: no key twice in one object, no lone surrogates, no NUL, at most 32 levels and 10,000 elements in a list.",
        caller "Send one valid JSON document.";
    VALIDATION_FAILED = "validationFailed", UNPROCESSABLE_ENTITY, false, "Validation failed",
        "The body is JSON, but fields of it are unknown, missing, of the wrong type or not acceptable. The member errors points at each.",
        caller "Correct the fields that errors points at.";
    UNKNOWN_PARAMETER = "unknownParameter", BAD_REQUEST, false, "Unknown parameter",
        "The query has a parameter that this call does not know.",
        caller "Leave it out; the detail names the parameters that exist.";
    INVALID_PARAMETER = "invalidParameter", BAD_REQUEST, false, "Invalid parameter",
        "A parameter of the query has a value that is not allowed, or stands there twice.",
        caller "Correct the parameter; the detail says which values are allowed.";
    INVALID_CURSOR = "invalidCursor", BAD_REQUEST, false, "Invalid cursor",
        "The cursor was not made by this installation for this organisation, list and filter.",
        caller "Begin again without a cursor, and keep the filters the same from page to page.";
    UNAUTHORIZED = "unauthorized", UNAUTHORIZED, false, "Authentication required",
        "There is no valid API key in the header Authorization. Unknown, malformed, expired and revoked keys give the same answer.",
        someone "Send `Authorization: Bearer <API key>`; an owner of the organisation has valid keys made.";
    FORBIDDEN = "forbidden", FORBIDDEN, false, "Forbidden",
        "The API key is valid, but its role does not allow this call.",
        someone "Use a key of a role that allows it, or ask an owner of the organisation for one.";
    RATE_LIMITED = "rateLimited", TOO_MANY_REQUESTS, true, "Too many requests",
        "This API key has made more calls than the installation allows in a minute. This is Tenantry's own limit, not Microsoft's.",
        caller "Wait as long as the header Retry-After says.";
    PAYLOAD_TOO_LARGE = "payloadTooLarge", PAYLOAD_TOO_LARGE, false, "Body too large",
        "The body is larger than 1 MB.",
        caller "Send less at once.";
    URI_TOO_LONG = "uriTooLong", URI_TOO_LONG, false, "URL too long",
        "The URL is longer than 8 kB.",
        caller "Use fewer or shorter parameters.";
    HEADERS_TOO_LARGE = "headersTooLarge", REQUEST_HEADER_FIELDS_TOO_LARGE, false, "Headers too large",
        "The headers are larger than 16 kB together.",
        caller "Send fewer or smaller headers.";
    IDEMPOTENCY_KEY_IN_USE = "idempotencyKeyInUse", CONFLICT, true, "Idempotency key in use",
        "A call with the same Idempotency-Key is still running.",
        caller "Wait and repeat the call; then it gives the first call's answer.";
    IDEMPOTENCY_KEY_REUSED = "idempotencyKeyReused", UNPROCESSABLE_ENTITY, false, "Idempotency key reused",
        "The same Idempotency-Key was used before with another body.",
        caller "Use a new key for each new intent.";
    INVALID_IDEMPOTENCY_KEY = "invalidIdempotencyKey", BAD_REQUEST, false, "Invalid idempotency key",
        "The Idempotency-Key is not 1 to 255 visible ASCII characters.",
        caller "Send a UUID or another short text.";
    PRECONDITION_FAILED = "preconditionFailed", PRECONDITION_FAILED, false, "Changed since it was read",
        "The thing has changed since the version that If-Match names.",
        caller "Read it again, decide again, and send the new ETag.";
    DATABASE_UNAVAILABLE = "databaseUnavailable", SERVICE_UNAVAILABLE, true, "Database unavailable",
        "The installation's database cannot be reached or is too busy.",
        someone "Whoever runs this installation checks its database if this does not pass by itself.";
    UPSTREAM_REFUSED = "upstreamRefused", BAD_GATEWAY, true, "Microsoft cannot be reached",
        "The connection to Microsoft failed, or the answer was none that Microsoft documents.",
        someone "Whoever runs this installation checks its way out to Microsoft if this does not pass by itself.";
    UPSTREAM_TIMEOUT = "upstreamTimeout", GATEWAY_TIMEOUT, true, "Microsoft did not answer in time",
        "Microsoft did not answer in time.",
        caller "Try again later.";
    INTERNAL_ERROR = "internalError", INTERNAL_SERVER_ERROR, true, "Internal error",
        "Something failed inside Tenantry. The log has the cause under the request id.",
        someone "Whoever runs this installation looks the request id up in the log.";

    // Customers
    CUSTOMER_REQUIRED = "customerRequired", UNPROCESSABLE_ENTITY, false, "Customer required",
        "The call does not say for which customer the tenant is connected, and no match is certain; candidates has the customers it may be for.",
        caller "Name the customer in customerId.";
    CUSTOMER_NOT_FOUND = "customerNotFound", NOT_FOUND, false, "Customer not found",
        "Your organisation has no such customer.",
        caller "Choose one from the list of customers, or create it.";
    CUSTOMER_HAS_TENANTS = "customerHasTenants", CONFLICT, false, "Customer has tenants",
        "The customer cannot be deactivated while tenants are connected for it.",
        someone "Revoke the customer's tenants, or give them to another customer, first.";

    // Connections to PSAs
    INVALID_PSA_CREDENTIALS = "invalidPsaCredentials", UNPROCESSABLE_ENTITY, false, "Invalid PSA credentials",
        "The credentials do not have the fields that this PSA needs. The member errors points at each fault; no value is repeated.",
        caller "Send the fields that this PSA needs: connectwise companyId, publicKey, privateKey, clientId; autotask username, secret, integrationCode; halopsa clientId, clientSecret and where needed tenant, authUrl.";
    OTHER_SYSTEM = "otherSystem", UNPROCESSABLE_ENTITY, false, "Another PSA system",
        "The new address or credentials lead to another system than the one from which this connection's customers came. Its records have other ids.",
        someone "Create a PSA connection of its own for the other system, and delete this one if it is not used any more.";
    UPSTREAM_ADDRESS_REFUSED = "upstreamAddressRefused", UNPROCESSABLE_ENTITY, false, "Address refused",
        "The address is not one that this installation calls: only https at port 443 of public hosts named in full, and what the operator allowed.",
        someone "Correct the address; for a PSA in a private network whoever runs this installation adds it to private_upstreams in its settings file.";
    PSA_CONFIGURATION_INVALID = "psaConfigurationInvalid", UNPROCESSABLE_ENTITY, false, "PSA connection cannot be used",
        "The PSA connection cannot be used as it is set up.",
        someone "Correct the connection's address, credentials or settings.";
    PSA_CREDENTIALS_REJECTED = "psaCredentialsRejected", BAD_GATEWAY, false, "PSA credentials rejected",
        "The PSA does not accept the credentials of the connection.",
        someone "Make new credentials in the PSA and put them into the connection; some PSAs lock a user after failed sign-ins.";
    PSA_PERMISSION_MISSING = "psaPermissionMissing", BAD_GATEWAY, false, "Right missing in the PSA",
        "The credentials of the connection are good, but lack a right in the PSA.",
        someone "An administrator of the PSA gives the user of the connection the right that the detail names.";
    PSA_UNREACHABLE = "psaUnreachable", BAD_GATEWAY, true, "PSA cannot be reached",
        "The connection to the PSA failed, or it did not answer in time.",
        caller "Try again later.";
    PSA_RATE_LIMITED = "psaRateLimited", TOO_MANY_REQUESTS, true, "Limited by the PSA",
        "The PSA wants calls to wait, or what it lets this connection do is used up. This is the PSA's limit, not Tenantry's.",
        caller "Wait as long as the header Retry-After says.";
    PSA_UNEXPECTED_ANSWER = "psaUnexpectedAnswer", BAD_GATEWAY, true, "Unexpected answer from the PSA",
        "The answer is none that this PSA documents: a page, a redirect, JSON of another form.",
        someone "Check that the address is that of the PSA's API and that no proxy answers in its place.";
    PSA_REQUEST_REFUSED = "psaRequestRefused", BAD_GATEWAY, false, "Refused by the PSA",
        "The PSA refused a request; the detail has its words.",
        someone "Check the connection's settings against the PSA.";
    PSA_EVENT_NOT_AUTHENTIC = "psaEventNotAuthentic", UNAUTHORIZED, false, "Event not authentic",
        "The webhook's sender could not be proven to be the PSA.",
        someone "Register the webhook of the connection again, so that both sides know the same key.";
    PSA_EVENT_NOT_NOW = "psaEventNotNow", SERVICE_UNAVAILABLE, true, "Event cannot be verified now",
        "The key that proves the webhook's sender cannot be had at present.",
        caller "Send the event again later.";
    CALLBACK_GONE = "callbackGone", CONFLICT, true, "Webhook removed meanwhile",
        "The webhook was removed, or its connection deleted, while it was set up.",
        caller "Register it again, if the connection is still there.";
    CUSTOMER_NOT_ACTIVE = "customerNotActive", CONFLICT, false, "Customer not active",
        "The customer was deactivated, so nothing can be put on it.",
        caller "Choose another customer, or set active to true first.";
    TENANT_ALREADY_MAPPED = "tenantAlreadyMapped", CONFLICT, false, "Tenant belongs to another customer",
        "The tenant belongs to another customer, which customerId names; nothing was changed.",
        caller "Leave the tenant out or, if it really belongs to another customer, change the tenant itself.";

    // Tenants and syncs
    TENANT_ALREADY_CONNECTED = "tenantAlreadyConnected", CONFLICT, false, "Tenant already connected",
        "Your organisation has this tenant connected, and the connection works.",
        caller "Use the tenant as it is, or revoke it first to connect it anew.";
    TENANT_UNAVAILABLE = "tenantUnavailable", CONFLICT, false, "Tenant unavailable",
        "The tenant cannot be connected in this installation at present.",
        someone "Ask the customer who else manages the tenant with Tenantry: it must be revoked there first.";
    TENANT_NOT_CONNECTED = "tenantNotConnected", CONFLICT, false, "Tenant not connected",
        "The tenant has no proven connection, so nothing can be read from it.",
        someone "Connect the tenant: an administrator of it opens the link and accepts the permissions.";
    SYNC_ALREADY_RUNNING = "syncAlreadyRunning", CONFLICT, true, "Sync already running",
        "A sync is queued or running; syncRunId names it.",
        caller "Follow that run, and ask again when it has ended.";
    SYNC_RUN_ENDED = "syncRunEnded", CONFLICT, false, "Sync run ended",
        "The run has ended already, so there is nothing to cancel.",
        caller "Nothing to do.";
    CONNECTION_TYPE_UNAVAILABLE = "connectionTypeUnavailable", UNPROCESSABLE_ENTITY, false, "Connection type unavailable",
        "This version of Tenantry cannot connect tenants in this way.",
        caller "Use adminConsent, delegated or applicationCredentials.";
    RETURN_URL_NOT_ALLOWED = "returnUrlNotAllowed", UNPROCESSABLE_ENTITY, false, "Return URL not allowed",
        "The returnUrl is not under one of the addresses that this installation allows.",
        someone "Whoever runs this installation adds the address to TENANTRY_RETURN_URLS.";

    // The consent flow
    INVALID_STATE = "invalidState", BAD_REQUEST, true, "Invalid state",
        "The answer from Microsoft belongs to no sign-in that is under way here: it is unknown, used, expired, or was begun in another browser.",
        someone "Open the link again and finish the sign-in within ten minutes in the same browser.";
    LINK_EXPIRED = "linkExpired", GONE, false, "Link no longer valid",
        "The link has expired, or a newer one has taken its place.",
        someone "Ask whoever sent you the link for a new one.";
    UNEXPECTED_ISSUER = "unexpectedIssuer", BAD_REQUEST, true, "Answer from an unexpected issuer",
        "The answer to the sign-in claims to come from somebody other than Microsoft's cloud.",
        someone "Open the link again in a fresh browser window and sign in.";
    SIGN_IN_NOT_VERIFIED = "signInNotVerified", FORBIDDEN, true, "Sign-in could not be verified",
        "The proof of the sign-in did not hold.",
        someone "Open the link again in a fresh browser window and sign in.";
    INCOMPLETE_CALLBACK = "incompleteCallback", BAD_REQUEST, true, "Incomplete answer",
        "The answer has neither an error nor what this step must bring.",
        someone "Open the link again in a fresh browser window and sign in.";
    CONSENT_NOT_EFFECTIVE = "consentNotEffective", FORBIDDEN, true, "Consent has not taken effect",
        "The permissions were accepted, but Microsoft gives no token that holds them yet.",
        someone "Wait a few minutes and open the link again; if it stays, an administrator checks in Entra that the enterprise application is enabled and has its permissions.";
    CREDENTIALS_REJECTED = "credentialsRejected", UNPROCESSABLE_ENTITY, false, "Credentials rejected",
        "The secret or certificate of the entered registration does not lead into the tenant.",
        someone "Enter a valid secret or certificate of a registration that an administrator of this tenant has consented to.";
    TOO_MANY_PERMISSIONS = "tooManyPermissions", UNPROCESSABLE_ENTITY, false, "Too many permissions",
        "The entered registration can do more than read. Tenantry only takes what it needs; excessPermissions names the rest.",
        someone "An administrator of the tenant takes these permissions away from the registration, or registers another application that only reads.";
    STORED_CREDENTIAL_UNREADABLE = "storedCredentialUnreadable", INTERNAL_SERVER_ERROR, false, "Stored credential unreadable",
        "What is stored for the tenant's connection is damaged or was sealed by another key.",
        someone "The operator of this installation looks into the log; connecting the tenant again stores a new credential.";
    CONSENT_DECLINED = Doctor::ConsentDeclined.as_str(), FORBIDDEN, true, "Consent declined",
        "Somebody cancelled the sign-in or declined the permissions.",
        someone Doctor::ConsentDeclined.action();
    ADMINISTRATOR_REQUIRED = Doctor::AdministratorRequired.as_str(), FORBIDDEN, true, "Administrator required",
        "The person who signed in may not accept these permissions for the tenant.",
        someone Doctor::AdministratorRequired.action();
    APPROVAL_PENDING = Doctor::ApprovalPending.as_str(), FORBIDDEN, true, "Approval pending",
        "An approval was asked for in Entra and has not been given yet.",
        someone Doctor::ApprovalPending.action();
    PERSONAL_ACCOUNT = Doctor::PersonalAccount.as_str(), FORBIDDEN, true, "Personal account",
        "Somebody signed in with a personal Microsoft account; only work accounts have a tenant.",
        someone Doctor::PersonalAccount.action();
    CONSENT_BLOCKED_BY_POLICY = Doctor::ConsentBlockedByPolicy.as_str(), FORBIDDEN, false, "Blocked by a policy",
        "A policy of the customer's tenant is in the way.",
        someone Doctor::ConsentBlockedByPolicy.action();
    WRONG_TENANT = Doctor::WrongTenant.as_str(), CONFLICT, true, "Wrong tenant",
        "Somebody signed in to a tenant other than the expected one.",
        someone Doctor::WrongTenant.action();
    TENANT_NOT_FOUND = Doctor::TenantNotFound.as_str(), UNPROCESSABLE_ENTITY, false, "Tenant not found",
        "Microsoft's cloud has no tenant of this name.",
        someone Doctor::TenantNotFound.action();
    INVALID_TENANT = Doctor::InvalidTenant.as_str(), UNPROCESSABLE_ENTITY, false, "Not the name of a tenant",
        "The text is neither a domain nor a tenant id of work or school accounts.",
        someone Doctor::InvalidTenant.action();
    WRONG_CLOUD = Doctor::WrongCloud.as_str(), UNPROCESSABLE_ENTITY, false, "Tenant of another Microsoft cloud",
        "The tenant lives in another of Microsoft's clouds than this installation is set up for.",
        someone Doctor::WrongCloud.action();
    TENANT_DEACTIVATED = Doctor::TenantDeactivated.as_str(), FORBIDDEN, false, "Tenant deactivated",
        "Microsoft has blocked or removed the tenant.",
        someone Doctor::TenantDeactivated.action();
    ACCOUNT_NOT_IN_TENANT = Doctor::AccountNotInTenant.as_str(), FORBIDDEN, true, "Account not in the tenant",
        "The account that signed in is not of this tenant.",
        someone Doctor::AccountNotInTenant.action();
    ACCOUNT_BLOCKED = Doctor::AccountBlocked.as_str(), FORBIDDEN, false, "Account blocked",
        "The account that signed in is locked or disabled.",
        someone Doctor::AccountBlocked.action();
    USER_NOT_ASSIGNED = Doctor::UserNotAssigned.as_str(), FORBIDDEN, false, "User not assigned to the application",
        "The application wants users to be assigned to it, and this one is not.",
        someone Doctor::UserNotAssigned.action();
    PASSWORD_PROBLEM = Doctor::PasswordProblem.as_str(), FORBIDDEN, true, "Wrong or expired password",
        "The password was wrong or has expired.",
        someone Doctor::PasswordProblem.action();
    MULTI_FACTOR_REQUIRED = Doctor::MultiFactorRequired.as_str(), FORBIDDEN, true, "Multi-factor authentication required",
        "The tenant wants a multi-factor sign-in.",
        someone Doctor::MultiFactorRequired.action();
    DEVICE_NOT_ACCEPTED = Doctor::DeviceNotAccepted.as_str(), FORBIDDEN, true, "Device not accepted",
        "The tenant wants a known or compliant device.",
        someone Doctor::DeviceNotAccepted.action();
    SIGN_IN_EXPIRED = Doctor::SignInExpired.as_str(), FORBIDDEN, true, "Sign-in expired",
        "The sign-in, or what was kept of it, is no longer valid.",
        someone Doctor::SignInExpired.action();
    CODE_ALREADY_REDEEMED = Doctor::CodeAlreadyRedeemed.as_str(), CONFLICT, true, "Code already redeemed",
        "The code of this sign-in was used before.",
        someone Doctor::CodeAlreadyRedeemed.action();
    APP_NOT_CONSENTED = Doctor::AppNotConsented.as_str(), FORBIDDEN, true, "Application not consented to",
        "The application is not, or no longer, consented to in the tenant.",
        someone Doctor::AppNotConsented.action();
    APP_DISABLED_IN_TENANT = Doctor::AppDisabledInTenant.as_str(), FORBIDDEN, false, "Application disabled in the tenant",
        "The enterprise application is switched off in the tenant.",
        someone Doctor::AppDisabledInTenant.action();
    APP_NOT_PROVISIONED = Doctor::AppNotProvisioned.as_str(), BAD_GATEWAY, true, "Application not set up in the tenant",
        "Microsoft could not set the application up in the tenant.",
        someone Doctor::AppNotProvisioned.action();
    SERVICE_NOT_IN_TENANT = Doctor::ServiceNotInTenant.as_str(), UNPROCESSABLE_ENTITY, false, "Service missing in the tenant",
        "The tenant lacks a service that the permissions belong to.",
        someone Doctor::ServiceNotInTenant.action();
    PARTNER_ACCESS_MISSING = Doctor::PartnerAccessMissing.as_str(), FORBIDDEN, false, "Partner access missing",
        "The partner's relationship with the customer does not give this access.",
        someone Doctor::PartnerAccessMissing.action();
    OWN_CREDENTIAL_REJECTED = Doctor::OwnCredentialRejected.as_str(), BAD_GATEWAY, false, "Own credential rejected",
        "Microsoft refuses the secret or certificate of this installation's own app registration.",
        someone Doctor::OwnCredentialRejected.action();
    REGISTRATION_MISCONFIGURED = Doctor::RegistrationMisconfigured.as_str(), BAD_GATEWAY, false, "App registration misconfigured",
        "This installation's own app registration is set up wrongly.",
        someone Doctor::RegistrationMisconfigured.action();
    REQUEST_REJECTED = Doctor::RequestRejected.as_str(), BAD_GATEWAY, false, "Request rejected by Microsoft",
        "Microsoft found fault with a request that Tenantry sent.",
        someone Doctor::RequestRejected.action();
    MICROSOFT_UNAVAILABLE = Doctor::MicrosoftUnavailable.as_str(), BAD_GATEWAY, true, "Microsoft unavailable",
        "Microsoft has a passing failure.",
        caller Doctor::MicrosoftUnavailable.action();
    UPSTREAM_THROTTLED = Doctor::UpstreamThrottled.as_str(), TOO_MANY_REQUESTS, true, "Throttled by Microsoft",
        "Microsoft received too many requests. This is Microsoft's limit, not Tenantry's.",
        caller Doctor::UpstreamThrottled.action();
    MICROSOFT_REFUSED = Doctor::MicrosoftRefused.as_str(), BAD_GATEWAY, false, "Refused by Microsoft",
        "Microsoft refused for a reason that has no code of its own here; the member microsoft has its number.",
        someone Doctor::MicrosoftRefused.action();
}

/// The type of a code, if there is one.
pub fn find(code: &str) -> Option<&'static ProblemType> {
    ALL.iter().copied().find(|kind| kind.code == code)
}

/// The type of what the consent doctor found.
pub const fn of_diagnosis(code: Doctor) -> &'static ProblemType {
    match code {
        Doctor::ConsentDeclined => &CONSENT_DECLINED,
        Doctor::AdministratorRequired => &ADMINISTRATOR_REQUIRED,
        Doctor::ApprovalPending => &APPROVAL_PENDING,
        Doctor::PersonalAccount => &PERSONAL_ACCOUNT,
        Doctor::ConsentBlockedByPolicy => &CONSENT_BLOCKED_BY_POLICY,
        Doctor::WrongTenant => &WRONG_TENANT,
        Doctor::TenantNotFound => &TENANT_NOT_FOUND,
        Doctor::InvalidTenant => &INVALID_TENANT,
        Doctor::WrongCloud => &WRONG_CLOUD,
        Doctor::TenantDeactivated => &TENANT_DEACTIVATED,
        Doctor::AccountNotInTenant => &ACCOUNT_NOT_IN_TENANT,
        Doctor::AccountBlocked => &ACCOUNT_BLOCKED,
        Doctor::UserNotAssigned => &USER_NOT_ASSIGNED,
        Doctor::PasswordProblem => &PASSWORD_PROBLEM,
        Doctor::MultiFactorRequired => &MULTI_FACTOR_REQUIRED,
        Doctor::DeviceNotAccepted => &DEVICE_NOT_ACCEPTED,
        Doctor::SignInExpired => &SIGN_IN_EXPIRED,
        Doctor::CodeAlreadyRedeemed => &CODE_ALREADY_REDEEMED,
        Doctor::AppNotConsented => &APP_NOT_CONSENTED,
        Doctor::AppDisabledInTenant => &APP_DISABLED_IN_TENANT,
        Doctor::AppNotProvisioned => &APP_NOT_PROVISIONED,
        Doctor::ServiceNotInTenant => &SERVICE_NOT_IN_TENANT,
        Doctor::PartnerAccessMissing => &PARTNER_ACCESS_MISSING,
        Doctor::OwnCredentialRejected => &OWN_CREDENTIAL_REJECTED,
        Doctor::RegistrationMisconfigured => &REGISTRATION_MISCONFIGURED,
        Doctor::RequestRejected => &REQUEST_REJECTED,
        Doctor::MicrosoftUnavailable => &MICROSOFT_UNAVAILABLE,
        Doctor::UpstreamThrottled => &UPSTREAM_THROTTLED,
        Doctor::MicrosoftRefused => &MICROSOFT_REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_lower_camel_case_and_stands_there_once() {
        let mut seen = HashSet::new();
        for kind in ALL {
            assert!(seen.insert(kind.code), "{} twice", kind.code);
            assert!(
                kind.code.starts_with(|c: char| c.is_ascii_lowercase()),
                "{}",
                kind.code
            );
            assert!(
                kind.code.chars().all(|c| c.is_ascii_alphanumeric()),
                "{}",
                kind.code
            );
            assert!(
                kind.what.ends_with('.') && kind.action.ends_with('.'),
                "{}",
                kind.code
            );
            assert!(
                kind.status.is_client_error() || kind.status.is_server_error(),
                "{}",
                kind.code
            );
        }
    }

    #[test]
    fn every_diagnosis_has_a_type_under_its_own_code() {
        for code in Doctor::ALL {
            assert_eq!(of_diagnosis(code).code, code.as_str());
            assert_eq!(
                find(code.as_str()).map(|kind| kind.action),
                Some(code.action())
            );
        }
    }

    #[test]
    fn the_codes_of_the_consent_flow_have_the_statuses_of_the_contract() {
        let expected = [
            ("invalidState", 400),
            ("consentDeclined", 403),
            ("administratorRequired", 403),
            ("personalAccount", 403),
            ("consentBlockedByPolicy", 403),
            ("wrongTenant", 409),
            ("tenantUnavailable", 409),
            ("tenantAlreadyConnected", 409),
            ("tenantNotFound", 422),
            ("invalidTenant", 422),
            ("wrongCloud", 422),
            ("returnUrlNotAllowed", 422),
            ("customerRequired", 422),
            ("credentialsRejected", 422),
            ("tooManyPermissions", 422),
            ("customerNotFound", 404),
        ];
        for (code, status) in expected {
            assert_eq!(
                find(code).map(|kind| kind.status.as_u16()),
                Some(status),
                "{code}"
            );
        }
    }
}
