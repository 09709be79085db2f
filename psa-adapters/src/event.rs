//! What a PSA tells us by itself. Never data, only hints at what to read again.

use reqwest::header::HeaderMap;
use url::Url;

use crate::{contract::ExternalId, secret::Secret};

/// A webhook as it arrived.
pub struct RawEvent {
    /// Its headers.
    pub headers: HeaderMap,
    /// The query of the address it came to, without the `?`.
    pub query: String,
    /// Its body, byte for byte.
    pub body: Vec<u8>,
}

/// What the receiver knows to verify it by; each PSA uses what it can.
pub struct EventKey {
    /// The secret we gave the PSA when the webhook was set up: signs (Autotask) or is the password of its
    /// Basic header (HaloPSA, user `tenantry`). ConnectWise signs with a key of its own.
    pub secret: Secret,
}

/// Why an event is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// No signature, a wrong one, or one that could not be checked because its key stands elsewhere.
    #[error("not authentic")]
    NotAuthentic,
    /// The key that signs could not be had right now: the sender should try again.
    #[error("the signing key is not to be had right now")]
    KeyUnavailable,
}

/// An authentic event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What tells one delivery from another, so that a repeated one counts once; none where the PSA gives
    /// nothing of the kind.
    pub id: Option<String>,
    /// What it hints at; empty for one that says nothing about customers.
    pub hints: Vec<ChangeHint>,
}

/// What to read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeHint {
    /// This customer.
    Customer(ExternalId),
    /// Something changed that we cannot name: read the changes soon.
    ResyncSoon,
    /// The PSA says it stopped calling us: look at the callback.
    CallbackStopped,
}

/// Where the PSA is to call us.
pub struct CallbackTarget {
    /// Our address; its last path segment is unguessable.
    pub url: Url,
    /// The secret that [`EventKey`] will hold.
    pub secret: Secret,
    /// A short name for lists at the PSA, the same for each try: `Tenantry 0199…`.
    pub name: String,
}

/// A webhook that was set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Its id at the PSA.
    pub id: ExternalId,
}
