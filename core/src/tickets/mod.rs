//! Tickets: troubles of tenants, kept as tickets at the organisation's PSA for as long as they last.
//!
//! Owns which troubles there are, the rows that remember each ticket, and bringing the two in line. All of it
//! follows from the present state, so nothing is lost with an event that nobody read. Refuses to own how a
//! PSA is asked (`psa`, the adapters) and what troubles a tenant (`tenants`).

mod backoff;
mod engine;
mod plan;
mod queries;
mod queue_item;
mod service;
mod settle;
mod text;
mod ticket;
mod trouble;

pub(crate) use self::queue_item::wake;
pub use self::{
    engine::{TicketEngine, TicketLook},
    queue_item::{connection_changed, connection_deleted},
    service::{TicketPage, TicketService, TicketsError},
    ticket::{KeptTicket, TicketState},
    trouble::TroubleKind,
};
