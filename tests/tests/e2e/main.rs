//! The whole product from outside: the real binary against the stand-in cloud, on both databases.

mod connect;
mod sync;
mod sync_faults;
mod tenants;
