//! The audit: what happened, for ever.
//!
//! Every change of state writes its event in its own transaction; events are chained by hash per
//! organisation, and one more chain is the installation's. Owns writing, listing and verifying.
//! Nothing can be changed or deleted: both databases refuse.

mod action;
mod canonical;
pub mod chain;
mod queries;
mod record;
mod service;

pub use self::{
    action::Action,
    record::record,
    service::{AuditEvent, AuditFilter, AuditPage, AuditService, VerifyReport, verify},
};
