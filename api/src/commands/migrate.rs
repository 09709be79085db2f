//! `tenantry migrate`: the database's schema is brought up to date.

use tenantry_core::store::schema_version;

use crate::{
    config::Needs,
    failure::Failure,
    output,
    wiring::{self, Migrate},
};

/// Applies what is pending.
pub fn run() -> Result<(), Failure> {
    let config = wiring::configure(Needs::Database)?;
    wiring::open_store(&config.database, wiring::clock(), Migrate::Pending)?;
    output::text(&format!(
        "{} is at schema {}\n",
        config.database.shown,
        schema_version()
    ))
}
