//! A ticket as we remember it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use tenantry_psa::{ExternalId, ticket::TicketRef};

use super::trouble::TroubleKind;
use crate::{ids::TenantId, psa::Trouble};

/// A text that is none of the words of a closed list.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not one of the known words")]
pub struct UnknownWord;

/// What is to be done about a ticket, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TicketState {
    /// The PSA is to have it open; it may have it already.
    Wanted,
    /// The PSA has it.
    Open,
    /// It is to be closed, with a note that says why.
    Closing,
    /// Nothing is to be done.
    Closed,
}

impl TicketState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Wanted, Self::Open, Self::Closing, Self::Closed];

    /// The word for it in the API and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }

    /// Whether the PSA is to be asked for something.
    pub const fn is_pending(self) -> bool {
        match self {
            Self::Wanted | Self::Closing => true,
            Self::Open | Self::Closed => false,
        }
    }
}

impl FromStr for TicketState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// A ticket that is kept at a PSA, or was: one for each trouble of each tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptTicket {
    /// Ours, stable for the trouble.
    pub key: String,
    /// The tenant in trouble.
    pub tenant: TenantId,
    /// Which trouble.
    pub trouble: TroubleKind,
    /// The customer at the PSA.
    pub customer: ExternalId,
    /// What is to be done, or was.
    pub state: TicketState,
    /// Its id at the PSA, once known.
    pub external_id: Option<ExternalId>,
    /// The number that people see.
    pub number: Option<String>,
    /// Whether the PSA may have a ticket that we do not know of: a try was begun whose end is not known.
    pub in_doubt: bool,
    /// What is to be noted before it is closed; none once it is.
    pub note: Option<String>,
    /// One line.
    pub summary: String,
    /// Plain text.
    pub description: String,
    /// Tries since the state last changed.
    pub attempts: i32,
    /// Why the last try failed.
    pub error: Option<Trouble>,
    /// No try before; none where nothing is to be done.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When the state last changed.
    pub changed_at: DateTime<Utc>,
}

impl KeptTicket {
    /// The ticket at the PSA, where it is known.
    pub fn reference(&self) -> Option<TicketRef> {
        self.external_id.clone().map(|id| TicketRef { id })
    }

    /// Goes on to another state: failures so far do not count, and the next try may come at once.
    pub(super) fn become_state(&mut self, state: TicketState, now: DateTime<Utc>) {
        self.state = state;
        self.attempts = 0;
        self.error = None;
        self.next_try_at = state.is_pending().then_some(now);
        self.changed_at = now;
    }
}
