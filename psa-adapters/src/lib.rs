//! Translations between a PSA (professional services automation) system and Tenantry's customers.
//!
//! This crate is a leaf: it depends on no other crate of the workspace. One folder an adapter, one small
//! trait for all of them ([`PsaAdapter`]). An adapter is given its way out ([`Transport`]), which keeps the
//! rules about addresses, the budget and the clock; it holds nothing but what it looked up (token, zone,
//! code base), makes no retries but one after such a look-up was outdated, and never logs.

pub mod autotask;
pub mod connectwise;
pub mod contract;
pub mod credentials;
pub mod domain;
pub mod error;
pub mod event;
pub mod halopsa;
pub mod registry;
pub mod report;
#[cfg(test)]
pub mod scripted;
pub mod secret;
pub mod ticket;
pub mod transport;
pub mod wire;

pub use contract::{
    Address, Answer, Capabilities, Cursor, Customer, CustomerQuery, CustomerState, Evidence,
    EvidenceKind, ExternalId, HintPage, HintSource, Label, Page, PsaAdapter, PsaKind, Site,
    TenantHint,
};
pub use credentials::Credentials;
pub use error::PsaError;
pub use secret::Secret;
pub use transport::{Limits, Reply, Request, Transport, TransportError, Window};
