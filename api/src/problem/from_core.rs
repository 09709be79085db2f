//! What the rooms of core refuse, as problems. Every variant is named, so that a new one has to be
//! decided about here.

use std::time::Duration;

use tenantry_core::{
    customers::{CustomerError, Field, Why},
    idempotency::IdempotencyError,
    inventory::InventoryError,
    names::InvalidName,
    store::StoreError,
    sync::SyncRequestError,
};

use super::{FieldError, Problem, catalogue};

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
