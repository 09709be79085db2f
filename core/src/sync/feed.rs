//! The statuses of all tenants of an organisation, one after the other, as they change.
//!
//! A feed holds a place on the board and no documents, so that a slow reader costs nothing and gets
//! the newest.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use super::service::{STALE_AFTER, Status};
use crate::{
    ids::{OrgId, TenantId},
    store::{Completion, NextArrival, StatusSnapshot, Store},
};

/// How far a reader has come. Means the same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedPosition {
    /// It has every change up to this number.
    pub sequence: i64,
    /// And knows which of those tenants had become stale before this moment.
    pub stale_before: DateTime<Utc>,
}

/// What a feed has to say.
#[derive(Debug)]
pub enum News {
    /// A status, and how far the reader has come with it.
    Status(Status, FeedPosition),
    /// Nothing new, and how far the reader has come.
    None(FeedPosition),
}

/// The statuses of all tenants, present and later ones.
pub struct StatusFeed {
    store: Store,
    org: OrgId,
    changes: watch::Receiver<()>,
    /// What the reader brought with it, until it has what it missed.
    known: Option<FeedPosition>,
    position: FeedPosition,
    /// The document on the board that was looked at last, by the number of its arrival.
    arrival: u64,
    /// The tenant whose becoming stale was looked at last.
    stale: (DateTime<Utc>, TenantId),
    is_behind: bool,
}

impl StatusFeed {
    /// A position beyond what is known here is not believed: the database may have been restored.
    pub(super) fn new(store: Store, org: OrgId, last: Option<FeedPosition>) -> Self {
        let began = store.clock().now();
        let known = last
            .filter(|known| known.sequence <= store.board().is_complete_to(org))
            .map(|known| FeedPosition {
                stale_before: known.stale_before.min(began),
                ..known
            });
        Self {
            changes: store.board().watch_all(org),
            position: known.unwrap_or(FeedPosition {
                sequence: 0,
                stale_before: began,
            }),
            known,
            arrival: 0,
            stale: stale_at(began),
            is_behind: true,
            store,
            org,
        }
    }

    /// Returns when [`StatusFeed::news`] may have some; becoming stale does not wake it.
    pub async fn changed(&mut self) {
        if !self.is_behind {
            // The board has the sender and lives as long as the store.
            let _sender_is_there = self.changes.changed().await;
            self.is_behind = true;
        }
    }

    /// The next status that the reader does not have.
    pub fn news(&mut self) -> News {
        let now = self.store.clock().now();
        if let Some(status) = self.next_stale(now) {
            return News::Status(status, self.position);
        }
        loop {
            match self.store.board().next_arrival(self.org, self.arrival) {
                NextArrival::Some {
                    arrival,
                    complete_to,
                    snapshot,
                } => {
                    self.arrival = arrival;
                    self.has_all_to(complete_to);
                    if !self.is_known(&snapshot, now) {
                        return News::Status(Status::at(snapshot, now), self.position);
                    }
                }
                NextArrival::None { complete_to } => {
                    self.is_behind = false;
                    self.known = None;
                    self.has_all_to(complete_to);
                    self.position.stale_before = self.position.stale_before.max(now);
                    return News::None(self.position);
                }
            }
        }
    }

    /// The next tenant that became stale since the feed began, by time alone.
    fn next_stale(&mut self, now: DateTime<Utc>) -> Option<Status> {
        let end = stale_at(now);
        while let Some(completion) = self.next_completion(end.0) {
            self.stale = completion.place;
            // A document that is still to come will say so itself.
            if completion.arrival <= self.arrival {
                self.knows_stale_to(completion.place.0, end.0);
                return Some(Status::at(completion.snapshot, now));
            }
        }
        self.stale = self.stale.max(end);
        None
    }

    /// The reader is told that data of this time became stale.
    fn knows_stale_to(&mut self, completed: DateTime<Utc>, end: DateTime<Utc>) {
        let next = self.next_completion(end);
        let is_last_of_its_moment = next.is_none_or(|next| next.place.0 > completed);
        // While a returning reader has not got all it missed, others may have become stale before.
        if self.known.is_none() && is_last_of_its_moment {
            let after = completed + STALE_AFTER + TimeDelta::microseconds(1);
            self.position.stale_before = self.position.stale_before.max(after);
        }
    }

    fn next_completion(&self, before: DateTime<Utc>) -> Option<Completion> {
        let board = self.store.board();
        board.next_completion(self.org, self.stale, before)
    }

    fn has_all_to(&mut self, sequence: i64) {
        self.position.sequence = self.position.sequence.max(sequence);
    }

    /// Whether the reader brought this document with it, as it is now.
    fn is_known(&self, snapshot: &StatusSnapshot, now: DateTime<Utc>) -> bool {
        self.known.is_some_and(|known| {
            let became_stale = snapshot.last_completed_at.is_some_and(|completed| {
                let at = completed + STALE_AFTER;
                at >= known.stale_before && at < now
            });
            snapshot.sequence <= known.sequence && !became_stale
        })
    }
}

/// The place before those whose data become stale at this moment.
fn stale_at(now: DateTime<Utc>) -> (DateTime<Utc>, TenantId) {
    (now - STALE_AFTER, TenantId::from_uuid(Uuid::nil()))
}
