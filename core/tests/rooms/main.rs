//! The rooms of core on both databases. One binary, a file for each room.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod audit;
mod budgets;
mod customer_sync;
mod customers;
#[path = "../support/fake_adapter.rs"]
mod fake_adapter;
mod idempotency;
mod installation;
mod isolation;
mod keys;
mod matching;
mod notices;
mod psa;
mod schema;
mod statuses;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod tickets;
mod turns;
