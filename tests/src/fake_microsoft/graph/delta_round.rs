//! Where a delta round stands: what its tokens hold.

use uuid::Uuid;

use super::tokens;

/// `since` of a round that lists everything.
pub const WHOLE: u64 = u64::MAX;

/// `until` of a round that has not begun.
const NOT_BEGUN: u64 = u64::MAX;

/// A round of a delta query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    /// Length of the change log where the round before ended, or `WHOLE`.
    pub since: u64,
    /// Length of the change log when this round began.
    pub until: u64,
    /// The next row of a whole listing, or the next place in the log.
    pub position: u64,
    /// How far the members of the object there have been told.
    pub slice: u64,
    /// Selected columns.
    pub mask: u64,
    /// Whether members are selected.
    pub members: bool,
    pub page: u64,
    /// Unix seconds.
    pub issued: i64,
    /// The objects the query is about; empty: all.
    pub ids: Vec<Uuid>,
}

impl Round {
    /// The round, begun now if it had not.
    pub fn begun(mut self, log_length: u64, now: i64) -> Self {
        if self.until == NOT_BEGUN {
            self.until = log_length;
            self.issued = now;
        }
        self
    }

    /// The round after this one.
    pub fn ended(&self, now: i64) -> Self {
        Self {
            since: self.until,
            until: NOT_BEGUN,
            position: 0,
            slice: 0,
            page: 0,
            issued: now,
            ..self.clone()
        }
    }

    /// As an opaque token.
    pub fn seal(&self, binding: &str) -> String {
        let numbers = [
            self.since,
            self.until,
            self.position,
            self.slice,
            self.mask,
            u64::from(self.members),
            self.page,
            self.issued.unsigned_abs(),
        ];
        let mut bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect();
        bytes.extend(self.ids.iter().flat_map(|id| id.into_bytes()));
        tokens::seal(&bytes, binding)
    }

    /// From an opaque token.
    pub fn open(token: &str, binding: &str) -> Option<Self> {
        let bytes = tokens::open(token, binding)?;
        let (numbers, ids) = bytes.split_at_checked(64)?;
        let number = |place: usize| {
            let bytes = numbers.get(place * 8..place * 8 + 8)?;
            Some(u64::from_be_bytes(bytes.try_into().ok()?))
        };
        let ids = ids.chunks(16).map(|bytes| Uuid::from_slice(bytes).ok());
        Some(Self {
            since: number(0)?,
            until: number(1)?,
            position: number(2)?,
            slice: number(3)?,
            mask: number(4)?,
            members: number(5)? == 1,
            page: number(6)?,
            issued: i64::try_from(number(7)?).ok()?,
            ids: ids.collect::<Option<_>>()?,
        })
    }
}
