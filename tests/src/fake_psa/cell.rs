//! A value of a record as conditions and filters see it.

use std::{borrow::Cow, cmp::Ordering};

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Flag(bool),
    Int(i64),
    Text(Cow<'a, str>),
    /// Milliseconds since 1970.
    Time(i64),
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Flag,
    Int,
    Text,
    Time,
}

impl<'a> Cell<'a> {
    /// Text that may be missing.
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(Cow::Borrowed(text)))
    }

    /// How two values of the same kind compare: text without regard to case. None with a null.
    pub fn compare(&self, other: &Cell<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Flag(one), Cell::Flag(two)) => Some(one.cmp(two)),
            (Self::Int(one), Cell::Int(two)) | (Self::Time(one), Cell::Time(two)) => {
                Some(one.cmp(two))
            }
            (Self::Text(one), Cell::Text(two)) => Some(one.to_lowercase().cmp(&two.to_lowercase())),
            _ => None,
        }
    }

    /// The text in lower case; empty for what is none.
    pub fn lower(&self) -> String {
        match self {
            Self::Text(text) => text.to_lowercase(),
            _ => String::new(),
        }
    }
}

/// Reads a moment: with `Z`, an offset or none (UTC), with or without a time of day.
pub fn moment(text: &str) -> Option<i64> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.timestamp_millis());
    }
    if let Ok(moment) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
        return Some(moment.and_utc().timestamp_millis());
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

/// Writes a moment in this format of chrono's.
pub fn written(millis: i64, format: &str) -> String {
    DateTime::from_timestamp_millis(millis)
        .unwrap_or_default()
        .format(format)
        .to_string()
}
