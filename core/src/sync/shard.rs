//! Shards of a large collection: Microsoft Graph gives its pages one after the other, but answers
//! several filtered questions side by side.
//!
//! A shard holds the objects whose name begins with one letter; one more holds all the others. That
//! the shards make up the whole is not believed but counted (Microsoft Graph's `$count`).

use serde::{Deserialize, Serialize};

use crate::microsoft::graph::odata_text;

/// First letters with a shard of their own. `startsWith` does not tell upper from lower case.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

/// The objects whose name begins with this letter, or with none of [`LETTERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Shard(Option<char>);

impl Shard {
    /// All of them; first the one whose filter Microsoft might refuse.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [Self(None)]
            .into_iter()
            .chain(LETTERS.chars().map(|letter| Self(Some(letter))))
    }

    /// The `$filter` that makes it out, by a property that holds the name.
    pub(super) fn filter(self, property: &str) -> String {
        let begins_with =
            |letter: char| format!("startsWith({property},{})", odata_text(&letter.to_string()));
        match self.0 {
            Some(letter) => begins_with(letter),
            None => LETTERS
                .chars()
                .map(|letter| format!("not {}", begins_with(letter)))
                .collect::<Vec<_>>()
                .join(" and "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_shard_is_what_the_others_leave() {
        let filters: Vec<String> = Shard::all().map(|shard| shard.filter("name")).collect();
        let (rest, letters) = filters.split_first().unwrap();
        assert_eq!(letters.len(), 26);
        assert_eq!(letters[0], "startsWith(name,'a')");
        for letter in letters {
            assert!(rest.contains(&format!("not {letter}")), "{rest}");
        }
    }
}
