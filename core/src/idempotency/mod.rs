//! Idempotency: a creating call that is repeated has one effect and one answer.
//!
//! A call with an `Idempotency-Key` first reserves the key, in a small transaction of its own; the
//! answer is stored in the transaction of the effect. Keys belong to organisation, caller and route,
//! and are kept 24 hours (R29). The answer is sealed: some answers hold links that must not stand in
//! the database in clear. What is answered, and with which status, is decided elsewhere.

mod key;
mod queries;
mod service;

pub use self::{
    key::{IdempotencyKey, InvalidKey},
    service::{Idempotency, IdempotencyError, Reservation, StoredAnswer, Ticket},
};
