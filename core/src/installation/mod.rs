//! The installation itself: which one this database is, and whether the master key fits it.
//!
//! Owns the one row that is made on the first use of a database. The installation's id is bound into
//! every sealed secret; its audit chain belongs to the nil organisation.

mod ensure;
mod queries;

pub use self::ensure::{Installation, InstallationError, ensure, exists, settle_in};
