//! Events: what happened that others want to know.
//!
//! Owns the kinds, the rows and how long they are kept. An event is written in the transaction of the
//! change it tells of, or the change does not happen. Refuses to own who is told, and to be what anything
//! rests on: work that follows from a state is derived from that state, an event only lets it begin sooner.

mod event;
mod purge;
mod queries;
mod record;

pub(crate) use self::record::{last_of, record};
pub use self::{
    event::{EventKind, NewEvent},
    purge::purge,
};
