//! Connecting tenants and keeping them, against the stand-in for Microsoft, on both databases.

mod flow;
mod links;
mod proof;
mod race;
mod refusals;
mod start;
mod tenants;
mod world;
