//! Who calls, and whether that is allowed.
//!
//! A layer recognises the key of each request before any handler runs, so that nothing about a body
//! or a path is told to somebody without one. A handler names what it demands in the type of its
//! [`Caller`].

mod caller;
pub mod identify;
mod key_cache;
mod permit;
mod rate_limit;

pub use self::{
    caller::{Caller, Identity, OptionalCaller, unauthorized},
    identify::bearer,
    key_cache::KeyCache,
    permit::{Permit, permits},
    rate_limit::{RateLimit, RateLimiter},
};
