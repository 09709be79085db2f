//! Credentials: what connections authenticate with where that is not the installation's registration.
//!
//! Owns the data key of each connection and what is sealed under it: refresh tokens of administrators,
//! secrets and certificates of registrations that customers entered. Refuses to own how they are proven
//! (`consent`) and how they are used (`microsoft`). A refresh token is exchanged by one process at a
//! time, by a hold of database time on its row; a new one is stored together with its generation (V14).

mod keys;
mod model;
mod queries;
mod service;

pub use self::{
    keys::ConnectionKeys,
    model::{Credential, CredentialKind},
    service::ConnectionCredentials,
};
pub(crate) use self::{
    keys::{ConnectionKey, Sealed},
    queries::erase,
    service::{PutError, put},
};
