//! What Tenantry decides and remembers: connecting tenants, syncing them, keeping secrets, and the
//! store beneath. No HTTP server and no status codes here; `api` speaks HTTP, this crate decides.

pub mod access;
pub mod audit;
pub mod budgets;
pub mod clock;
pub mod consent;
pub mod credentials;
pub mod customers;
mod failpoint;
pub mod idempotency;
pub mod ids;
pub mod installation;
pub mod inventory;
pub mod matching;
pub mod measures;
pub mod microsoft;
pub mod names;
pub mod organizations;
pub mod outbound;
#[cfg(test)]
mod scripted_server;
pub mod secrets;
pub mod store;
pub mod sync;
pub mod tenants;
