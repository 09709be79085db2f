//! Times on the wire.

use chrono::{DateTime, SecondsFormat, Utc};

/// RFC 3339 in UTC, with as many digits as there are.
pub fn of(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
