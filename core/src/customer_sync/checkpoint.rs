//! Where a run goes on after a kill, committed together with the data it speaks of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenantry_psa::{Cursor, ExternalId, HintSource};

use crate::store::StoreError;

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpoint {
    /// The full read under way, or the last one while changes are read.
    pub(super) generation: i64,
    /// What is read next.
    pub(super) position: Position,
    /// Which types of customers are read: others mean another read.
    pub(super) types: Vec<String>,
    /// Lists of hints that could not be read: nothing is concluded from what is not in them.
    pub(super) left_out: Vec<HintSource>,
    /// Whether the read was begun anew because a cursor was refused. That happens once.
    pub(super) begun_anew: bool,
    /// The PSA wants us to wait.
    pub(super) pause: Option<Pause>,
}

/// A wait that the PSA wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pause {
    /// Nothing is asked before.
    pub(super) until: DateTime<Utc>,
    /// Since when it wants that without letting anything through.
    pub(super) since: DateTime<Utc>,
    /// How often it said so since.
    pub(super) times: u32,
}

/// What is read next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Position {
    /// Customers, behind this cursor.
    Customers(Option<Cursor>),
    /// These customers, one by one, because a webhook named them.
    Named(Vec<ExternalId>),
    /// Hints, behind this cursor.
    Hints(Option<Cursor>),
    /// Nothing: all is in.
    End,
}

impl Default for Position {
    fn default() -> Self {
        Self::Customers(None)
    }
}

impl Checkpoint {
    /// Reads what the database keeps. One that another version wrote may mean nothing to this one: then
    /// the run begins anew.
    pub(super) fn stored(text: &str) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                tracing::warn!(%error, "a checkpoint of another version; the run begins anew");
                None
            }
        }
    }

    /// As the database keeps it.
    pub(super) fn to_text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).or(Err(StoreError::Corrupt { what: "checkpoint" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_being_stored() {
        for position in [
            Position::default(),
            Position::Customers(Some(Cursor("page=2".to_owned()))),
            Position::Named(vec![ExternalId("7".to_owned())]),
            Position::Hints(None),
            Position::End,
        ] {
            let checkpoint = Checkpoint {
                generation: 3,
                position,
                types: vec!["1".to_owned()],
                left_out: vec![HintSource::Contacts],
                begun_anew: true,
                pause: Some(Pause {
                    until: DateTime::UNIX_EPOCH,
                    since: DateTime::UNIX_EPOCH,
                    times: 2,
                }),
            };
            let text = checkpoint.to_text().unwrap();
            assert_eq!(Checkpoint::stored(&text), Some(checkpoint));
        }
        assert_eq!(Checkpoint::stored("{}"), None);
    }
}
