//! Bringing customers from PSAs: when a PSA is read, how far a read has come, and what its end means.
//!
//! Owns the runs, their checkpoints, the schedule and the records that webhooks name. Refuses to own what a
//! customer is (`customers`), how a PSA is reached (`psa`) and who may work on what (`sync::queue`).
//!
//! Each connection has one piece of work for as long as it is there. A claim of it decides what is due and
//! does it; it is given back with the moment at which something is due next.

mod changes;
mod checkpoint;
mod engine;
mod error;
mod finish;
mod queries;
mod read;
mod run;
mod runs;
mod schedule;
mod service;

pub(crate) use self::{
    changes::note_changes,
    schedule::{connection_changed, connection_created, connection_deleted},
};
pub use self::{
    engine::CustomerSyncEngine,
    run::{CustomerSyncKind, CustomerSyncRun, LastSync},
    service::{CustomerRunPage, CustomerSite, CustomerSyncError, CustomerSyncService},
};
