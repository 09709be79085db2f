//! Stand-ins for the three PSAs: ConnectWise PSA, Autotask PSA and HaloPSA, each a real HTTP server.
//!
//! Each knows everything it serves (the truth tests compare with), refuses what the real one refuses
//! (psa.md §A to §C is the law), and plays scripted faults. They call out to loopback only, are never
//! part of the product, and share nothing with it.

pub mod autotask;
pub mod call;
pub mod callouts;
pub mod cell;
pub mod connectwise;
pub mod desk;
pub mod faults;
pub mod gate;
pub mod halopsa;
pub mod handle;
pub mod limits;
pub mod request_log;
pub mod seed;
pub mod server;
#[cfg(test)]
mod testing;
pub mod world;

pub use autotask::FakeAutotask;
pub use connectwise::FakeConnectWise;
pub use halopsa::FakeHaloPsa;
pub use seed::Seed;
