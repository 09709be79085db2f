//! The rooms of core on both databases. One binary, a file for each room.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod audit;
mod budgets;
mod customers;
mod idempotency;
mod installation;
mod isolation;
mod keys;
mod matching;
mod notices;
mod schema;
mod statuses;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod turns;
