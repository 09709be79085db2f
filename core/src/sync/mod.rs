//! Syncing: durable runs over a tenant's data sets.
//!
//! Owns runs, the queue with its leases, the checkpoints and the status document. Refuses to own what
//! the objects look like (`inventory`) and how Microsoft is asked (`microsoft`).

mod checkpoint;
mod data_sets;
mod engine;
mod error;
mod feed;
mod mailbox_purposes;
mod pages;
mod queries;
pub mod queue;
pub mod run;
pub mod runs;
mod service;
mod shard;
pub mod status;
mod step;
mod turns;
mod worker;

pub use self::{
    engine::Outcome,
    feed::{FeedPosition, News, StatusFeed},
    service::{RunPage, Status, SyncRequestError, SyncService},
    worker::{PsaEngine, WakeUp, Worker},
};
