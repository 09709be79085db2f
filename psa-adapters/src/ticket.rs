//! Tickets: the little that all three PSAs have in common. What each needs besides (board, queue, type,
//! priority) stands in its own settings, a JSON object that only its adapter reads.

use crate::contract::{ExternalId, Label};

/// The longest key, in characters: what ConnectWise's `externalXRef` and Autotask's `externalID` hold.
pub const MOST_KEY: usize = 100;

/// A ticket that should be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    /// Ours, stable for the trouble it is about, at most [`MOST_KEY`] ASCII characters, no quotes.
    pub key: String,
    /// The customer at the PSA.
    pub customer: ExternalId,
    /// One line, at most 100 characters.
    pub summary: String,
    /// Plain text, lines separated by `\n`.
    pub description: String,
}

/// A ticket at the PSA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRef {
    /// Its id there.
    pub id: ExternalId,
}

/// A ticket that is open now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Which.
    pub reference: TicketRef,
    /// The number that people see, where it is another than the id.
    pub number: Option<String>,
    /// Whether it was made by this call.
    pub created: bool,
}

/// One setting for tickets, with what may be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketOption {
    /// The setting's name in the settings object: `boardId`.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub description: &'static str,
    /// Whether tickets need it.
    pub required: bool,
    /// The choices; what depends on another choice (a status of a board) carries that choice's id.
    pub choices: Vec<Choice>,
}

/// A value that may be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its id and name.
    pub label: Label,
    /// The choice of another setting that it belongs to, such as the board of a status.
    pub belongs_to: Option<ExternalId>,
    /// Whether the PSA takes it by itself.
    pub default: bool,
}

/// All settings for tickets of one PSA.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TicketOptions {
    /// In the order in which a person would choose.
    pub options: Vec<TicketOption>,
}
