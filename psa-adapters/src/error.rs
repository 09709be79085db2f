//! What can go wrong with a PSA, as the decisions that a caller can take.

use crate::transport::TransportError;

/// Why a call to a PSA has no result. Texts hold no secret, no header and no query of an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PsaError {
    /// What was entered cannot be used; a person must change the connection.
    #[error("configuration: {what}")]
    Config {
        /// What is wrong, in words for the person who entered it.
        what: String,
    },
    /// The PSA does not know these credentials, or no longer. Not to be repeated: some PSAs lock the user.
    #[error("credentials refused: {what}")]
    Auth {
        /// What the PSA said, shortened.
        what: String,
    },
    /// The credentials are good, but lack a right.
    #[error("right missing: {what}")]
    Permission {
        /// The right, as the PSA's own set-up page calls it where we know.
        what: String,
    },
    /// There is no such record.
    #[error("not found")]
    NotFound,
    /// The PSA refuses what we sent.
    #[error("refused: {text}")]
    Validation {
        /// The fields it names.
        fields: Vec<String>,
        /// What it said, shortened.
        text: String,
    },
    /// The PSA, or our own budget for it, wants us to wait.
    #[error("rate limited")]
    RateLimited {
        /// For so many seconds; none: it did not say.
        retry_after: Option<u64>,
    },
    /// It may work later: no connection, a server's error. Nothing was changed there.
    #[error("not reachable: {what}")]
    Transient {
        /// What happened, in words.
        what: String,
    },
    /// A change was sent and no answer came: look before it is sent again.
    #[error("outcome unknown")]
    Ambiguous,
    /// What we rely on is no longer so: the record changed meanwhile.
    #[error("conflict")]
    Conflict,
    /// The answer is none that this PSA gives: HTML, a redirect, JSON of another shape.
    #[error("unexpected answer (status {status}): {what}")]
    Protocol {
        /// The HTTP status.
        status: u16,
        /// What was wrong with it. Nothing of the body (N6).
        what: String,
    },
    /// The address may not be called. A person must change it, or the operator allow it.
    #[error("address refused")]
    AddressRefused,
}

impl PsaError {
    /// Whether the same call may succeed later with nothing changed by a person.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Transient { .. } | Self::Ambiguous => true,
            // A proxy's page in the place of an answer, or a server in the middle of an upgrade.
            Self::Protocol { .. } | Self::Conflict => true,
            Self::Config { .. }
            | Self::Auth { .. }
            | Self::Permission { .. }
            | Self::NotFound
            | Self::Validation { .. }
            | Self::AddressRefused => false,
        }
    }

    /// A failed exchange of a call that changes nothing at the PSA.
    pub fn of_read(error: TransportError) -> Self {
        match error {
            TransportError::AddressRefused => Self::AddressRefused,
            TransportError::NotConnected => Self::Transient {
                what: "no connection".to_owned(),
            },
            TransportError::NoAnswer => Self::Transient {
                what: "no complete answer in time".to_owned(),
            },
            TransportError::TooLarge => Self::Protocol {
                status: 200,
                what: "the answer is larger than any that is expected".to_owned(),
            },
            TransportError::NoBudget { seconds } => Self::RateLimited {
                retry_after: Some(seconds),
            },
        }
    }

    /// A failed exchange of a call that changes something.
    pub fn of_write(error: TransportError) -> Self {
        match error {
            TransportError::NoAnswer | TransportError::TooLarge => Self::Ambiguous,
            TransportError::AddressRefused
            | TransportError::NotConnected
            | TransportError::NoBudget { .. } => Self::of_read(error),
        }
    }
}
