//! The events of all tenants of an organisation.

use std::fmt;

use actix_web::http::header::HeaderMap;
use chrono::DateTime;
use tenantry_core::{
    ids::OrgId,
    sync::{FeedPosition, News, Status, StatusFeed},
};

use super::Source;

/// How far a client has come, as the id of its last event. Any process can read it.
pub struct EventId {
    /// Whose events.
    pub org: OrgId,
    /// How far.
    pub position: FeedPosition,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { org, position } = self;
        let stale_before = position.stale_before.timestamp_micros();
        write!(f, "{org}:{}:{stale_before}", position.sequence)
    }
}

impl EventId {
    /// How far the client says it has come in the events of this organisation; `None` when it says
    /// nothing that is known here, and gets everything.
    pub fn last_of(org: OrgId, headers: &HeaderMap) -> Option<FeedPosition> {
        let id = headers.get("last-event-id")?.to_str().ok()?;
        let (owner, position) = id.split_once(':')?;
        let (sequence, stale_before) = position.split_once(':')?;
        if owner.parse() != Ok(org) {
            return None;
        }
        Some(FeedPosition {
            sequence: sequence.parse().ok()?,
            stale_before: DateTime::from_timestamp_micros(stale_before.parse().ok()?)?,
        })
    }
}

/// The statuses of all tenants.
pub struct AllTenants<D> {
    feed: StatusFeed,
    org: OrgId,
    /// The document of a status, as it is sent.
    document_of: D,
    /// The change that the client's last id names.
    sent: i64,
}

impl<D> AllTenants<D> {
    /// Of this organisation; `last` is what the client has.
    pub fn new(feed: StatusFeed, org: OrgId, last: Option<FeedPosition>, document_of: D) -> Self {
        Self {
            feed,
            org,
            document_of,
            sent: last.map_or(0, |last| last.sequence),
        }
    }

    fn id(&mut self, position: FeedPosition) -> EventId {
        self.sent = position.sequence;
        EventId {
            org: self.org,
            position,
        }
    }
}

impl<D: Fn(&Status) -> String> Source for AllTenants<D> {
    async fn changed(&mut self) -> bool {
        self.feed.changed().await;
        true
    }

    fn news(&mut self) -> Option<String> {
        match self.feed.news() {
            News::Status(status, position) => {
                let (id, data) = (self.id(position), (self.document_of)(&status));
                Some(format!("event: status\nid: {id}\ndata: {data}\n\n"))
            }
            // A change came that another had overtaken: the client has it, and only has to know so.
            News::None(position) if self.sent != position.sequence => {
                Some(format!("id: {}\n\n", self.id(position)))
            }
            News::None(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use uuid::Uuid;

    use super::*;

    fn org(number: u128) -> OrgId {
        OrgId::from_uuid(Uuid::from_u128(number))
    }

    fn last(org: OrgId, id: &str) -> Option<FeedPosition> {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("last-event-id");
        headers.insert(name, HeaderValue::from_str(id).unwrap());
        EventId::last_of(org, &headers)
    }

    #[test]
    fn an_id_says_how_far_a_client_has_come() {
        let position = FeedPosition {
            sequence: 57,
            stale_before: DateTime::from_timestamp_micros(1_763_740_800_000_001).unwrap(),
        };
        let id = EventId {
            org: org(1),
            position,
        };
        assert_eq!(last(org(1), &id.to_string()), Some(position));
    }

    #[test]
    fn z4_an_id_of_another_organization_or_of_none_says_nothing() {
        let id = format!("{}:57:1763740800000000", org(1));
        assert!(last(org(1), &id).is_some());
        assert_eq!(last(org(2), &id), None);
        for id in ["", ":", "57", "57:0", "x:57:0"] {
            assert_eq!(last(org(1), id), None, "{id}");
        }
        for rest in [
            "",
            ":",
            "57",
            "57:",
            "x:0",
            "57:x",
            "57:0:0",
            "57:9223372036854775807",
        ] {
            assert_eq!(last(org(1), &format!("{}:{rest}", org(1))), None, "{rest}");
        }
        assert_eq!(EventId::last_of(org(1), &HeaderMap::new()), None);
    }
}
