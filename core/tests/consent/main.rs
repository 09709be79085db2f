//! Connecting tenants and keeping them, against the stand-in for Microsoft, on both databases.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod erasure;
mod flow;
mod links;
mod proof;
mod race;
mod refusals;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod tenants;
mod waking;
mod world;
