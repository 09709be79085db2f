//! Where a data set goes on after a kill: what its reads need that the stored data do not tell.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::shard::Shard;
use crate::store::StoreError;

/// Where a data set stands; committed together with the data it speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The full read under way; 0 while changes are read.
    pub(super) generation: i64,
    /// What is read next.
    pub(super) position: Position,
    /// Taken before the full read: the next refresh begins there.
    pub(super) delta_link: Option<String>,
    /// Objects read since the read began.
    pub(super) read: i64,
    /// How many there will be.
    pub(super) expected: Option<i64>,
    /// Users that came back in this round of changes, and whose memberships have to be asked for.
    #[serde(default)]
    pub(super) returned: Vec<Uuid>,
}

/// What is read next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Position {
    /// Everything, from the start.
    #[default]
    Start,
    /// The page behind this link.
    Page(String),
    /// Shards, side by side: those that have not come to their end.
    Shards(Vec<OpenShard>),
    /// Groups with some of their members: the page behind this link, the first one without.
    ExpandedGroups(Option<String>),
    /// The members of groups with at least `least` of them, after this group.
    LargeGroups {
        /// The last group that is done; nil before the first.
        after: Uuid,
        /// Groups with fewer came with all their members.
        least: i64,
    },
    /// The mailbox settings of users, after this user.
    UserSettings {
        /// The last user that is done; nil before the first.
        after: Uuid,
    },
    /// Nothing: all is in.
    End,
}

/// A shard that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenShard {
    pub(super) shard: Shard,
    /// Its next page; `None` before its first.
    pub(super) next_link: Option<String>,
}

impl Checkpoint {
    /// Reads what the database keeps. One that another version wrote may mean nothing to this one:
    /// then the data set begins anew.
    pub(super) fn stored(text: &str) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                tracing::warn!(%error, "a checkpoint of another version; the data set begins anew");
                None
            }
        }
    }

    /// A position that the data set never has.
    pub(super) const fn misplaced() -> StoreError {
        StoreError::Corrupt { what: "checkpoint" }
    }

    /// As the database keeps it.
    pub(super) fn to_text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).or(Err(Self::misplaced()))
    }
}

impl Position {
    /// All shards, none of them begun.
    pub(super) fn all_shards() -> Self {
        Self::Shards(
            Shard::all()
                .map(|shard| OpenShard {
                    shard,
                    next_link: None,
                })
                .collect(),
        )
    }

    /// Takes one shard behind a page; the others stay where they are.
    pub(super) fn move_shard(&mut self, shard: Shard, next_link: Option<String>) {
        let Self::Shards(open) = self else { return };
        match next_link {
            None => open.retain(|one| one.shard != shard),
            Some(_) => {
                if let Some(one) = open.iter_mut().find(|one| one.shard == shard) {
                    one.next_link = next_link;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_move_on_by_themselves_until_none_is_open() {
        let mut position = Position::all_shards();
        let shards: Vec<Shard> = Shard::all().collect();
        position.move_shard(shards[1], Some("next".to_owned()));
        for shard in shards.iter().filter(|shard| **shard != shards[1]) {
            position.move_shard(*shard, None);
        }
        let left = OpenShard {
            shard: shards[1],
            next_link: Some("next".to_owned()),
        };
        assert_eq!(position, Position::Shards(vec![left]));
        position.move_shard(shards[1], None);
        assert_eq!(position, Position::Shards(Vec::new()));
    }

    #[test]
    fn a_checkpoint_survives_being_stored() {
        for position in [
            Position::Start,
            Position::Page("https://graph/next".to_owned()),
            Position::all_shards(),
            Position::ExpandedGroups(None),
            Position::LargeGroups {
                after: Uuid::from_u128(7),
                least: 20,
            },
            Position::UserSettings { after: Uuid::nil() },
            Position::End,
        ] {
            let checkpoint = Checkpoint {
                generation: 3,
                position,
                delta_link: Some("https://graph/delta".to_owned()),
                read: 4,
                expected: Some(5),
                returned: vec![Uuid::from_u128(9)],
            };
            let text = checkpoint.to_text().unwrap();
            assert_eq!(Checkpoint::stored(&text), Some(checkpoint));
        }
        assert_eq!(Checkpoint::stored("{}"), None);
    }
}
