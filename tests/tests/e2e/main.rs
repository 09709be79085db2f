//! The whole product from outside: the real binary against the stand-in cloud, on both databases.

mod access;
mod certificates;
mod clouds;
mod connect;
mod consent;
mod consent_refused;
mod contract;
mod customer_sync;
mod delegated;
mod event_reader;
mod events;
mod fairness;
mod flow;
mod isolation;
mod metrics;
mod nul;
mod own_application;
mod postgres_roles;
mod processes;
mod psa_flow;
mod rolling_upgrade;
mod sync;
mod sync_faults;
mod sync_large;
mod tenants;
