//! What the rooms of core refuse, as problems. Every variant is named, so that a new one has to be
//! decided about here.

use std::time::Duration;

use actix_web::http::StatusCode;
use tenantry_core::{
    consent::{ConsentError, Rejection, RejectionCode, ReturnUrlNotAllowed},
    customers::{CustomerError, Field, Why},
    idempotency::IdempotencyError,
    inventory::InventoryError,
    matching::{ConfirmFault, MatchError},
    microsoft::aadsts::MicrosoftError,
    names::InvalidName,
    store::StoreError,
    sync::SyncRequestError,
    tenants::TenantsError,
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
    };
    format!("{subject} {why}.")
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

impl From<InventoryError> for Problem {
    fn from(error: InventoryError) -> Self {
        match error {
            InventoryError::NotFound => Self::not_found(),
            InventoryError::Store(error) => error.into(),
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
