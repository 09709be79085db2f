//! What the rooms of core refuse, as problems. Every variant is named, so that a new one has to be
//! decided about here.

use std::time::Duration;

use actix_web::http::StatusCode;
use tenantry_core::{
    consent::{ConsentError, Rejection, RejectionCode, ReturnUrlNotAllowed},
    customer_sync::CustomerSyncError,
    customers::{CustomerError, Field, Why},
    idempotency::IdempotencyError,
    ids::SyncRunId,
    inventory::InventoryError,
    matching::{ConfirmFault, MatchError},
    microsoft::aadsts::MicrosoftError,
    names::InvalidName,
    psa::{
        CallbackError, ConnectionFault, PsaCallError, PsaConnectionError, PsaError, ReceiveError,
        Trouble,
    },
    store::StoreError,
    sync::SyncRequestError,
    tenants::TenantsError,
    tickets::TicketsError,
};

use super::{FieldError, MicrosoftDetails, Problem, ProblemType, catalogue};

/// When to come back where Microsoft throttles without a time of its own.
const THROTTLED: Duration = Duration::from_secs(10);

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Unavailable(_) | StoreError::Busy(_) => {
                Self::new(&catalogue::DATABASE_UNAVAILABLE)
                    .retry_after(Duration::from_secs(1))
                    .caused_by(error)
            }
            StoreError::Conflict(_) | StoreError::Refused(_) | StoreError::Corrupt { .. } => {
                Self::internal(error)
            }
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::Store(error) => error.into(),
            IdempotencyError::Decrypt(error) => Self::internal(error),
        }
    }
}

impl From<CustomerError> for Problem {
    fn from(error: CustomerError) -> Self {
        match error {
            CustomerError::NotFound => Self::not_found(),
            CustomerError::VersionMismatch => Self::new(&catalogue::PRECONDITION_FAILED),
            CustomerError::Invalid(faults) => {
                let place = |field| match field {
                    Field::Name => "/name".to_owned(),
                    Field::Domains => "/domains".to_owned(),
                    Field::Active => "/active".to_owned(),
                    Field::Domain(position) => format!("/domains/{position}"),
                };
                let error = |(field, why): (Field, Why)| {
                    FieldError::at(place(field), code(why), sentence(&why))
                };
                Self::invalid(
                    faults
                        .into_iter()
                        .map(|fault| error((fault.field, fault.why)))
                        .collect(),
                )
            }
            CustomerError::NotActive => Self::new(&catalogue::CUSTOMER_NOT_ACTIVE),
            CustomerError::SameCustomer => Self::invalid(vec![FieldError::at(
                "/from",
                "sameCustomer",
                "A customer cannot be merged with itself.",
            )]),
            CustomerError::HasTenants(tenants) => {
                let ids: Vec<String> = tenants.iter().map(ToString::to_string).collect();
                Self::new(&catalogue::CUSTOMER_HAS_TENANTS)
                    .detail(format!("Connected for this customer: {}.", ids.join(", ")))
            }
            CustomerError::Store(error) => error.into(),
        }
    }
}

const fn code(why: Why) -> &'static str {
    match why {
        Why::Name(_) => "invalidName",
        Why::TooManyDomains => "tooManyItems",
        Why::NotADomain => "invalidDomain",
        Why::FromNoPsa => "mustNotBeNull",
    }
}

/// A name's or domain's fault as a sentence: core says it without subject and full stop.
fn sentence(why: &Why) -> String {
    let subject = match why {
        Why::Name(InvalidName::Empty | InvalidName::TooLong | InvalidName::ControlCharacter) => {
            "The name"
        }
        Why::TooManyDomains => "The list",
        Why::NotADomain => "A domain",
        Why::FromNoPsa => "The field",
    };
    format!("{subject} {why}.")
}

impl From<PsaConnectionError> for Problem {
    fn from(error: PsaConnectionError) -> Self {
        match error {
            PsaConnectionError::NotFound => Self::new(&catalogue::NOT_FOUND),
            PsaConnectionError::VersionMismatch => Self::new(&catalogue::PRECONDITION_FAILED),
            PsaConnectionError::Invalid(faults) => Self::invalid(field_errors(faults)),
            PsaConnectionError::InvalidCredentials(faults) => {
                Self::invalid_as(&catalogue::INVALID_PSA_CREDENTIALS, field_errors(faults))
            }
            PsaConnectionError::AddressRefused { pointer, why } => {
                let detail = format!("The address {why}.");
                let fault = FieldError::at(pointer, "upstreamAddressRefused", detail);
                Self::invalid_as(&catalogue::UPSTREAM_ADDRESS_REFUSED, vec![fault])
            }
            PsaConnectionError::OtherSystem { before, after } => {
                Self::new(&catalogue::OTHER_SYSTEM).detail(format!(
                    "The customers of this connection came from {before}; this would be {after}."
                ))
            }
            PsaConnectionError::Refused(error) => refused_entry(&error),
            PsaConnectionError::Vault(error) => unreadable_psa().caused_by(error),
            PsaConnectionError::Store(error) => error.into(),
        }
    }
}

fn field_errors(faults: Vec<ConnectionFault>) -> Vec<FieldError> {
    let error = |fault: ConnectionFault| FieldError::at(fault.pointer, fault.code, fault.detail);
    faults.into_iter().map(error).collect()
}

/// What an adapter says about an address or credentials before it asks the PSA anything.
fn refused_entry(error: &PsaError) -> Problem {
    match error {
        PsaError::AddressRefused => Problem::new(&catalogue::UPSTREAM_ADDRESS_REFUSED),
        PsaError::Config { what } => Problem::new(&catalogue::PSA_CONFIGURATION_INVALID)
            .detail(format!("{}.", what.trim_end_matches('.'))),
        PsaError::Auth { .. }
        | PsaError::Permission { .. }
        | PsaError::NotFound
        | PsaError::Validation { .. }
        | PsaError::RateLimited { .. }
        | PsaError::Transient { .. }
        | PsaError::Ambiguous
        | PsaError::Conflict
        | PsaError::Protocol { .. } => {
            Problem::new(&catalogue::PSA_CONFIGURATION_INVALID).detail(error.to_string())
        }
    }
}

fn unreadable_psa() -> Problem {
    Problem::new(&catalogue::STORED_CREDENTIAL_UNREADABLE)
        .detail("What is stored for the PSA connection is damaged or was sealed by another key.")
        .action("The operator of this installation looks into the log; putting new credentials into the connection, or making it anew, stores new ones.")
}

impl From<PsaCallError> for Problem {
    fn from(error: PsaCallError) -> Self {
        match error {
            PsaCallError::NotFound => Self::new(&catalogue::NOT_FOUND),
            PsaCallError::Unreadable => unreadable_psa(),
            PsaCallError::Psa { error, trouble } => psa_problem(&error, *trouble),
            PsaCallError::Store(error) => error.into(),
        }
    }
}

/// A refusal of a PSA, for whoever waits for its answer.
fn psa_problem(error: &PsaError, trouble: Trouble) -> Problem {
    let problem = Problem::new(match error {
        PsaError::Config { .. } => &catalogue::PSA_CONFIGURATION_INVALID,
        PsaError::Auth { .. } => &catalogue::PSA_CREDENTIALS_REJECTED,
        PsaError::Permission { .. } => &catalogue::PSA_PERMISSION_MISSING,
        PsaError::AddressRefused => &catalogue::UPSTREAM_ADDRESS_REFUSED,
        PsaError::Transient { .. } | PsaError::Ambiguous => &catalogue::PSA_UNREACHABLE,
        PsaError::RateLimited { .. } => &catalogue::PSA_RATE_LIMITED,
        PsaError::Protocol { .. } => &catalogue::PSA_UNEXPECTED_ANSWER,
        PsaError::NotFound | PsaError::Validation { .. } | PsaError::Conflict => {
            &catalogue::PSA_REQUEST_REFUSED
        }
    });
    let problem = problem.detail(trouble.detail);
    let problem = match trouble.action {
        Some(action) => problem.action(action),
        None => problem,
    };
    match error {
        PsaError::RateLimited { retry_after } => {
            problem.retry_after(retry_after.map_or(THROTTLED, Duration::from_secs))
        }
        PsaError::Config { .. }
        | PsaError::Auth { .. }
        | PsaError::Permission { .. }
        | PsaError::AddressRefused
        | PsaError::Transient { .. }
        | PsaError::Ambiguous
        | PsaError::Protocol { .. }
        | PsaError::NotFound
        | PsaError::Validation { .. }
        | PsaError::Conflict => problem,
    }
}

impl From<CallbackError> for Problem {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::Call(error) => error.into(),
            CallbackError::Gone => Self::new(&catalogue::CALLBACK_GONE),
            CallbackError::Randomness(error) => Self::internal(error),
            CallbackError::Vault(error) => unreadable_psa().caused_by(error),
            CallbackError::Store(error) => error.into(),
        }
    }
}

impl From<ReceiveError> for Problem {
    fn from(error: ReceiveError) -> Self {
        match error {
            // The same as for any path that there is not: who guesses learns nothing.
            ReceiveError::Unknown => Self::not_found(),
            ReceiveError::NotAuthentic => Self::new(&catalogue::PSA_EVENT_NOT_AUTHENTIC),
            ReceiveError::NotNow => {
                Self::new(&catalogue::PSA_EVENT_NOT_NOW).retry_after(Duration::from_secs(60))
            }
            ReceiveError::Store(error) => error.into(),
        }
    }
}

impl From<SyncRequestError> for Problem {
    fn from(error: SyncRequestError) -> Self {
        match error {
            SyncRequestError::NotFound => Self::not_found(),
            SyncRequestError::AlreadyRunning(run) => {
                Self::new(&catalogue::SYNC_ALREADY_RUNNING).sync_run(run)
            }
            SyncRequestError::NotConnected => Self::new(&catalogue::TENANT_NOT_CONNECTED),
            SyncRequestError::RunEnded => Self::new(&catalogue::SYNC_RUN_ENDED),
            SyncRequestError::Store(error) => error.into(),
        }
    }
}

impl From<CustomerSyncError> for Problem {
    fn from(error: CustomerSyncError) -> Self {
        match error {
            CustomerSyncError::NotFound => Self::not_found(),
            CustomerSyncError::ConnectionNotFound => Self::new(&catalogue::NOT_FOUND),
            // The same member as of tenants' runs: what it names follows from the call.
            CustomerSyncError::AlreadyRunning(run) => Self::new(&catalogue::SYNC_ALREADY_RUNNING)
                .sync_run(SyncRunId::from_uuid(run.as_uuid())),
            CustomerSyncError::RunEnded => Self::new(&catalogue::SYNC_RUN_ENDED),
            CustomerSyncError::Psa(error) => error.into(),
            CustomerSyncError::Store(error) => error.into(),
        }
    }
}

impl From<InventoryError> for Problem {
    fn from(error: InventoryError) -> Self {
        match error {
            InventoryError::NotFound => Self::not_found(),
            InventoryError::Store(error) => error.into(),
        }
    }
}

impl From<TicketsError> for Problem {
    fn from(error: TicketsError) -> Self {
        match error {
            TicketsError::NotFound => Self::not_found(),
            TicketsError::Store(error) => error.into(),
        }
    }
}

impl From<TenantsError> for Problem {
    fn from(error: TenantsError) -> Self {
        match error {
            TenantsError::TenantNotFound => Self::not_found(),
            TenantsError::CustomerNotFound => no_active_customer(),
            TenantsError::VersionMismatch => Self::new(&catalogue::PRECONDITION_FAILED),
            TenantsError::Store(error) => error.into(),
        }
    }
}

impl From<MatchError> for Problem {
    fn from(error: MatchError) -> Self {
        match error {
            MatchError::Unknown(faults) => Self::not_found().at(places(&faults)),
            MatchError::Inactive(faults) => no_active_customer().at(places(&faults)),
            MatchError::AlreadyMapped(faults) => {
                let first = faults.iter().find_map(|fault| match fault {
                    ConfirmFault::Elsewhere(_, customer) => Some(*customer),
                    ConfirmFault::NoTenant(_)
                    | ConfirmFault::NoCustomer(_)
                    | ConfirmFault::Inactive(_) => None,
                });
                let problem = Self::new(&catalogue::TENANT_ALREADY_MAPPED).at(places(&faults));
                match first {
                    Some(customer) => problem.customer(customer),
                    None => problem,
                }
            }
            MatchError::Store(error) => error.into(),
        }
    }
}

/// Where in a list of matches the faults are.
fn places(faults: &[ConfirmFault]) -> Vec<FieldError> {
    let place = |fault: &ConfirmFault| {
        let (field, code, detail) = match fault {
            ConfirmFault::NoTenant(_) => (
                "tenantId",
                "notFound",
                "Your organisation has no such tenant.".to_owned(),
            ),
            ConfirmFault::NoCustomer(_) => (
                "customerId",
                "notFound",
                "Your organisation has no such customer.".to_owned(),
            ),
            ConfirmFault::Inactive(_) => (
                "customerId",
                "inactive",
                "The customer is not active.".to_owned(),
            ),
            ConfirmFault::Elsewhere(_, customer) => (
                "tenantId",
                "tenantAlreadyMapped",
                format!("The tenant belongs to the customer {customer}."),
            ),
        };
        FieldError::at(
            format!("/matches/{}/{field}", fault.position()),
            code,
            detail,
        )
    };
    faults.iter().map(place).collect()
}

impl From<ConsentError> for Problem {
    fn from(error: ConsentError) -> Self {
        match error {
            ConsentError::CustomerRequired { candidates } => {
                Self::new(&catalogue::CUSTOMER_REQUIRED).candidates(&candidates)
            }
            ConsentError::CustomerNotFound => no_active_customer(),
            ConsentError::ReturnUrlNotAllowed(why) => {
                let problem = Self::new(&catalogue::RETURN_URL_NOT_ALLOWED);
                match why {
                    ReturnUrlNotAllowed::Elsewhere => problem,
                    ReturnUrlNotAllowed::Fragment => problem
                        .detail("The returnUrl has a fragment (what follows the #), which is not allowed.")
                        .action("Send the returnUrl without its fragment."),
                }
            }
            ConsentError::Refused(rejection) => (*rejection).into(),
            ConsentError::TenantAlreadyConnected { customer } => {
                let problem = Self::new(&catalogue::TENANT_ALREADY_CONNECTED);
                match customer {
                    Some(customer) => problem.customer(customer),
                    None => problem,
                }
            }
            ConsentError::InvalidState => Self::new(&catalogue::INVALID_STATE),
            ConsentError::LinkUnknown => Self::not_found(),
            ConsentError::Rejected(flow) => flow.rejection.into(),
            ConsentError::Randomness(error) => Self::internal(error),
            ConsentError::Vault(error) => Self::internal(error),
            ConsentError::Store(error) => error.into(),
        }
    }
}

fn no_active_customer() -> Problem {
    Problem::new(&catalogue::CUSTOMER_NOT_FOUND)
        .detail("Your organisation has no such active customer.")
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let action = rejection.action();
        let mut problem = Self::new(type_of(rejection.code))
            .detail(rejection.detail)
            .action(action)
            .retryable(rejection.retryable)
            .excess_permissions(rejection.excess_permissions);
        if problem.kind().status == StatusCode::TOO_MANY_REQUESTS {
            problem = problem.retry_after(THROTTLED);
        }
        match rejection.microsoft {
            Some(microsoft) => problem.microsoft(microsoft.into()),
            None => problem,
        }
    }
}

/// The type of a flow's failure.
const fn type_of(code: RejectionCode) -> &'static ProblemType {
    match code {
        RejectionCode::Diagnosed(code) => catalogue::of_diagnosis(code),
        RejectionCode::TenantUnavailable => &catalogue::TENANT_UNAVAILABLE,
        RejectionCode::UnexpectedIssuer => &catalogue::UNEXPECTED_ISSUER,
        RejectionCode::SignInNotVerified => &catalogue::SIGN_IN_NOT_VERIFIED,
        RejectionCode::IncompleteCallback => &catalogue::INCOMPLETE_CALLBACK,
        RejectionCode::ConsentNotEffective => &catalogue::CONSENT_NOT_EFFECTIVE,
        RejectionCode::CredentialsRejected => &catalogue::CREDENTIALS_REJECTED,
        RejectionCode::TooManyPermissions => &catalogue::TOO_MANY_PERMISSIONS,
        RejectionCode::StoredCredentialUnreadable => &catalogue::STORED_CREDENTIAL_UNREADABLE,
    }
}

impl From<MicrosoftError> for MicrosoftDetails {
    fn from(error: MicrosoftError) -> Self {
        Self {
            error: Some(error.error),
            aadsts: error.aadsts,
            trace_id: error.trace_id,
            correlation_id: error.correlation_id,
            timestamp: error.timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_core::microsoft::consent_doctor::DiagnosisCode;

    use super::*;

    #[test]
    fn a_return_url_with_a_fragment_is_told_so() {
        let body = |why| {
            let error = ConsentError::ReturnUrlNotAllowed(why);
            Problem::from(error).body("", String::new())
        };
        let (fragment, elsewhere) = (
            body(ReturnUrlNotAllowed::Fragment),
            body(ReturnUrlNotAllowed::Elsewhere),
        );
        assert_eq!(fragment.code, elsewhere.code);
        assert!(fragment.detail.contains("fragment"), "{}", fragment.detail);
        assert!(!elsewhere.detail.contains("fragment"));
    }

    #[test]
    fn a_throttled_call_says_when_to_come_back() {
        let throttled = RejectionCode::Diagnosed(DiagnosisCode::UpstreamThrottled);
        let problem = Problem::from(Rejection {
            code: throttled,
            detail: String::new(),
            retryable: true,
            microsoft: None,
            excess_permissions: Vec::new(),
        });
        let answer = problem.render("", String::new(), false);
        assert_eq!(answer.headers().get("retry-after").unwrap(), "10");
        assert_eq!(problem.body("", String::new()).retry_after_ms, Some(10_000));
    }

    #[test]
    fn every_failure_of_a_flow_has_one_title_and_action_wherever_it_shows() {
        let diagnosed = DiagnosisCode::ALL.into_iter().map(RejectionCode::Diagnosed);
        for code in diagnosed.chain(RejectionCode::OWN) {
            let kind = type_of(code);
            assert_eq!(kind.code, code.as_str());
            assert_eq!(kind.title, code.title(), "{}", kind.code);
        }
    }
}
