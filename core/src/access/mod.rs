//! Access: who acts, for which organisation, and what that allows.

mod scope;

pub use scope::{Actor, OrgScope};
