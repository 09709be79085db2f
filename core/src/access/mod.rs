//! Access: who acts, for which organisation, and what that allows.

pub mod api_key;
pub mod keys;
pub mod permission;
mod queries;
pub mod random;
mod role;
mod scope;

pub use self::{
    permission::Permission,
    role::{Role, UnknownRole},
    scope::{Actor, OrgScope},
};
