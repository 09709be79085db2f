//! The hash chain: each event's hash covers the hash before it and all of its own row, so that no row
//! can be changed, dropped, added or moved unseen.

use aws_lc_rs::digest::{self, SHA256};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::canonical::{NotCanonical, canonical_json};
use crate::ids::{AuditEventId, OrgId, RequestId, TenantId};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash before the first event.
pub const GENESIS: Hash = [0; 32];

/// One event as it is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// The organisation whose chain it is.
    pub org: OrgId,
    /// 1, 2, 3 … without gaps.
    pub sequence: i64,
    /// UUIDv7.
    pub id: AuditEventId,
    /// To the microsecond.
    pub at: DateTime<Utc>,
    /// Kind of actor.
    pub actor_type: String,
    /// Who exactly.
    pub actor_id: Option<String>,
    /// The HTTP request it came from.
    pub request_id: Option<RequestId>,
    /// `noun.verbPast`.
    pub action: String,
    /// The tenant it is about.
    pub tenant_id: Option<TenantId>,
    /// Canonical JSON.
    pub details: String,
}

impl AuditRecord {
    /// The hash that stands with the event, given the one before it.
    ///
    /// # Errors
    /// [`NotCanonical`] when the details are not what this program stores.
    pub fn hash(&self, previous: &Hash) -> Result<Hash, NotCanonical> {
        let details: Value = serde_json::from_str(&self.details).or(Err(NotCanonical))?;
        if canonical_json(&details)? != self.details {
            return Err(NotCanonical);
        }
        let row = json!({
            "organizationId": self.org,
            "sequence": self.sequence,
            "id": self.id,
            "at": self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "actorType": self.actor_type,
            "actorId": self.actor_id,
            "requestId": self.request_id,
            "action": self.action,
            "tenantId": self.tenant_id,
            "details": details,
        });
        let mut context = digest::Context::new(&SHA256);
        context.update(previous);
        context.update(canonical_json(&row)?.as_bytes());
        let mut hash = GENESIS;
        for (byte, from) in hash.iter_mut().zip(context.finish().as_ref()) {
            *byte = *from;
        }
        Ok(hash)
    }
}

/// Why a chain is broken, and at which event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// This event is not the one that was written here.
    At(AuditEventId),
    /// The chain ends before the event that its head names.
    Tail,
}

/// Checks a chain while it is read, from its first event to its head.
pub struct ChainVerifier {
    previous: Hash,
    sequence: i64,
    last: Option<AuditEventId>,
}

impl Default for ChainVerifier {
    fn default() -> Self {
        Self {
            previous: GENESIS,
            sequence: 0,
            last: None,
        }
    }
}

impl ChainVerifier {
    /// Takes the next event in the order of the sequence.
    ///
    /// # Errors
    /// [`Broken::At`] when it does not follow.
    pub fn next(&mut self, record: &AuditRecord, stored: &[u8]) -> Result<(), Broken> {
        let expected = record.hash(&self.previous).or(Err(Broken::At(record.id)))?;
        if record.sequence != self.sequence + 1 || expected.as_slice() != stored {
            return Err(Broken::At(record.id));
        }
        self.previous = expected;
        self.sequence = record.sequence;
        self.last = Some(record.id);
        Ok(())
    }

    /// Compares the end with the stored head. Returns how many events there were.
    ///
    /// # Errors
    /// [`Broken::Tail`] when events are missing at the end, or the head was changed.
    pub fn finish(self, head_sequence: i64, head_hash: &[u8]) -> Result<i64, Broken> {
        if self.sequence == head_sequence && self.previous.as_slice() == head_hash {
            Ok(self.sequence)
        } else {
            Err(self.last.map_or(Broken::Tail, |last| {
                if self.sequence < head_sequence {
                    Broken::Tail
                } else {
                    Broken::At(last)
                }
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn chain(length: i64) -> Vec<(AuditRecord, Hash)> {
        let mut previous = GENESIS;
        (1..=length)
            .map(|sequence| {
                let record = AuditRecord {
                    org: OrgId::from_uuid(Uuid::from_u128(7)),
                    sequence,
                    id: AuditEventId::from_uuid(Uuid::from_u128(u128::from(
                        sequence.unsigned_abs(),
                    ))),
                    at: DateTime::from_timestamp_micros(1_790_000_000_123_456 + sequence).unwrap(),
                    actor_type: "system".to_owned(),
                    actor_id: None,
                    request_id: None,
                    action: "sync.started".to_owned(),
                    tenant_id: Some(TenantId::from_uuid(Uuid::from_u128(9))),
                    details: format!("{{\"n\":{sequence}}}"),
                };
                previous = record.hash(&previous).unwrap();
                (record, previous)
            })
            .collect()
    }

    fn verify(rows: &[(AuditRecord, Hash)], head: (i64, Hash)) -> Result<i64, Broken> {
        let mut verifier = ChainVerifier::default();
        for (record, hash) in rows {
            verifier.next(record, hash)?;
        }
        verifier.finish(head.0, &head.1)
    }

    #[test]
    fn l2_an_untouched_chain_is_intact() {
        let rows = chain(5);
        assert_eq!(verify(&rows, (5, rows[4].1)), Ok(5));
        assert_eq!(verify(&[], (0, GENESIS)), Ok(0));
    }

    #[test]
    fn l2_each_changed_field_is_named() {
        let changes: [fn(&mut AuditRecord); 10] = [
            |row| row.org = OrgId::from_uuid(Uuid::from_u128(8)),
            |row| row.sequence += 1,
            |row| row.id = AuditEventId::from_uuid(Uuid::from_u128(99)),
            |row| row.at += chrono::TimeDelta::microseconds(1),
            |row| row.actor_type = "apiKey".to_owned(),
            |row| row.actor_id = Some("x".to_owned()),
            |row| row.request_id = Some(RequestId::from_uuid(Uuid::from_u128(1))),
            |row| row.action = "sync.failed".to_owned(),
            |row| row.tenant_id = None,
            |row| row.details = "{\"n\":4}".to_owned(),
        ];
        for change in changes {
            let mut rows = chain(5);
            let head = (5, rows[4].1);
            change(&mut rows[2].0);
            assert_eq!(verify(&rows, head), Err(Broken::At(rows[2].0.id)));
        }
    }

    #[test]
    fn l2_deleted_inserted_and_swapped_rows_are_named() {
        let head = (5, chain(5)[4].1);
        let mut deleted = chain(5);
        deleted.remove(2);
        assert_eq!(verify(&deleted, head), Err(Broken::At(deleted[2].0.id)));
        let mut inserted = chain(5);
        inserted.insert(2, inserted[1].clone());
        assert_eq!(verify(&inserted, head), Err(Broken::At(inserted[2].0.id)));
        let mut swapped = chain(5);
        swapped.swap(1, 2);
        assert_eq!(verify(&swapped, head), Err(Broken::At(swapped[1].0.id)));
    }

    #[test]
    fn l2_a_cut_tail_shows_against_the_head() {
        let rows = chain(5);
        assert_eq!(verify(&rows[..3], (5, rows[4].1)), Err(Broken::Tail));
        assert_eq!(verify(&[], (5, rows[4].1)), Err(Broken::Tail));
    }

    #[test]
    fn l2_details_that_are_not_canonical_are_a_break() {
        let mut rows = chain(1);
        let head = (1, rows[0].1);
        rows[0].0.details = "{ \"n\": 1 }".to_owned();
        assert_eq!(verify(&rows, head), Err(Broken::At(rows[0].0.id)));
    }
}
