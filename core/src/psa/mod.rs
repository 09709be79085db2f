//! Connections to PSA systems (professional services automation), where an MSP keeps its customers.
//!
//! Owns the connections with their settings, the credentials of each under a data key of its own, the one
//! way out to them ([`PsaAccess`]) with its limits and address rules, trying a connection, and the webhooks
//! by which a PSA tells that something changed. Refuses to own what a PSA says (`customers`), when it is
//! read (`customer_sync`) and how each PSA speaks (the crate `tenantry_psa`).

mod access;
mod callbacks;
mod checks;
mod gate;
mod keys;
mod model;
mod opening;
mod queries;
mod service;
mod settings;
mod transport;
mod trouble;
mod urgency;

pub use tenantry_psa::{PsaAdapter, PsaError, PsaKind};

pub use self::{
    access::{AdapterFactory, OpenPsa, OpenPsaError, PsaAccess},
    callbacks::{ArrivedEvent, CallbackError, PsaCallbacks, ReceiveError, RegisteredCallback},
    checks::{PsaCallError, PsaChecks},
    model::{
        ConnectionFault, NewPsaConnection, PsaConnection, PsaConnectionChange, PsaConnectionPage,
        Trouble,
    },
    opening::OpensPsa,
    queries::{find, note_trouble},
    service::{PsaConnectionError, PsaConnectionService},
    settings::{PsaSettings, TicketSettings},
    trouble::trouble_of,
    urgency::Urgency,
};
