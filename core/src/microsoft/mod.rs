//! Microsoft as upstream: the identity platform and Microsoft Graph.
//!
//! This room knows Microsoft's protocols, errors, limits and clouds. It knows no table, no sync run
//! and no HTTP server. What is sent to Microsoft is strict; what is read is tolerant.

pub mod aadsts;
mod aadsts_table;
mod access_tokens;
mod backoff;
mod certificate;
pub mod client_credential;
pub mod cloud;
pub mod connection;
pub mod consent_doctor;
pub(crate) mod credential_source;
pub mod data_set;
#[cfg(test)]
pub(crate) mod examples;
pub mod graph;
pub mod graph_batch;
pub mod graph_error;
mod graph_report;
mod graph_url;
pub mod id_token;
pub mod identity;
pub mod meter;
mod mint;
pub mod page;
pub mod permissions;
mod retry_after;
mod signed_in_roles;
mod signing_keys;
pub mod tenant_lookup;
pub mod throttle;
mod token_answer;

pub use backoff::Backoff;
pub use signed_in_roles::signed_in_roles;
