//! Customers: the companies an MSP works for, and what the tenants are mapped to.
//!
//! Owns creating, finding, changing and deactivating them by hand. A customer is never deleted: what
//! happened to its tenants stays readable. Which tenants are mapped to a customer is kept with the
//! tenants; this room only reads it.

pub(crate) mod evidence;
mod model;
mod queries;
mod service;

pub(crate) use self::{
    evidence::{Hint, HintOrigin, KnownCustomer},
    model::checked_domains,
    queries::{activity_of, hints, hold_active, is_active, known_customers},
};
pub use self::{
    model::{
        Customer, CustomerChange, CustomerSource, Field, FieldFault, NewCustomer, UnknownSource,
        Why,
    },
    service::{CustomerError, CustomerFilter, CustomerPage, CustomerService},
};
