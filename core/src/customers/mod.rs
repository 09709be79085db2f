//! Customers: the companies an MSP works for, and what the tenants are mapped to.
//!
//! Owns creating, finding, changing, merging and deactivating them by hand, and what PSAs say about them:
//! a record for each customer of each PSA, the hints that tie it to Microsoft tenants, and which fields
//! follow it. Refuses to own when a PSA is read (`customer_sync`). A customer is never deleted: what
//! happened to its tenants stays readable. Which tenants are mapped to a customer is kept with the
//! tenants; this room only reads it.

mod absence;
pub(crate) mod evidence;
mod following;
mod hints;
mod merge;
mod model;
mod queries;
mod record;
mod service;
mod writing;

pub(crate) use self::{
    absence::settle_absence,
    evidence::{Hint, HintOrigin, KnownCustomer},
    hints::{drop_unseen_hints, store_hints},
    model::checked_domains,
    queries::{activity_of, hints, hold_active, is_active, known_customers},
    writing::{Reading, Written, note_missing, store_page},
};
pub use self::{
    model::{
        Customer, CustomerChange, CustomerSource, Field, FieldFault, Fields, NewCustomer,
        UnknownSource, Why,
    },
    record::{PsaRecord, RecordDocument, RecordState},
    service::{CustomerError, CustomerFilter, CustomerPage, CustomerService},
};
