//! What each process may spend of Microsoft's limits, shared through the database.
//!
//! Owns the leases on slices of the budgets and the pauses that all processes keep. Refuses to own how
//! large the budgets are, who gets how many slices and what is spent: that is the governor
//! (`microsoft/throttle`), which talks here once a second and never for a single request.

mod queries;
mod service;

pub use self::service::DatabaseShares;
