//! Tenants: the customers' Microsoft 365 tenants as an organisation keeps them.
//!
//! Owns the tenant's row, its status and the legal transitions, the claim that one connection of the
//! whole installation holds a tenant, and the one way to a proven connection. Refuses to own how a
//! connection comes about (`consent`) and what is read through it (`sync`, `inventory`). No tenant id
//! that a caller names ever leads to a token: only a row loaded for the caller's organisation does.

mod change;
pub mod claims;
mod model;
mod notes;
mod queries;
mod revoke;
mod service;

pub use self::{
    change::{TenantChange, TenantField, TenantFieldError},
    model::{
        AccountType, ConnectionType, ConsentedBy, STALE_AFTER, Tenant, TenantStatus, UnknownWord,
    },
    notes::{
        note_access_lost, note_access_restored, note_completed, note_connection_error,
        note_organization,
    },
    service::{TenantCursor, TenantFilter, TenantPage, TenantService, TenantsError},
};
pub(crate) use self::{
    notes::{
        ConnectStarted, ConnectWish, Connected, is_read_through, note_connect_started,
        note_connected, note_missing_permission,
    },
    queries::{
        connection_to_prove, customers_of, customers_with_tenants, exists, find, find_locked,
        load_connection, namings, without_customer,
    },
    service::{Mapped, map_to_customer},
};
