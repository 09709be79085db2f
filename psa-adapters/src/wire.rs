//! Reading what a PSA writes: the rules of decoding that hold for all three (psa.md §D3).

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::contract::ExternalId;

/// An id however it is written: `12`, `12.0`, `"12"`, a UUID. None for null, an empty text, a fraction.
pub fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ExternalId>, D::Error> {
    Ok(id_of(&Value::deserialize(deserializer)?))
}

/// The same of a value that was read already.
pub fn id_of(value: &Value) -> Option<ExternalId> {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_i64() {
                return Some(ExternalId(whole.to_string()));
            }
            let written = number.to_string();
            let (whole, fraction) = written.split_once('.')?;
            let is_whole = fraction.bytes().all(|digit| digit == b'0');
            is_whole.then(|| ExternalId(whole.to_owned()))
        }
        Value::String(text) => {
            let text = text.trim();
            let whole = text
                .strip_suffix(".0")
                .filter(|whole| !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit()))
                .unwrap_or(text);
            (!whole.is_empty()).then(|| ExternalId(whole.to_owned()))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text where the PSA has some: null, blank text and what is no text or number are none. Trimmed.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(text_of(&Value::deserialize(deserializer)?))
}

/// The same of a value that was read already.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let trimmed = text.trim();
            (!trimmed.is_empty()).then(|| trimmed.to_owned())
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A flag however it is written: `true`, `1`, `1.0`, `"true"`. None for null and anything else.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => Some(flag),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}

/// A list, where null, a missing one and what is no list are empty. Entries that are no `T` are left out.
pub fn list<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(entries) => entries
            .into_iter()
            .filter_map(|entry| serde_json::from_value(entry).ok())
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Vec::new()
        }
    })
}

/// A nested object, where null, `{}` of another shape and what is no object are none.
pub fn nested<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value
        .is_object()
        .then(|| serde_json::from_value(value).ok())
        .flatten())
}

/// The most characters of a PSA's own words that are told to people.
const MOST_SAID: usize = 300;

/// What a PSA said, for people of the MSP: one line, shortened, without control characters.
pub fn said(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST_SAID)
        .collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_read_however_they_are_written() {
        for (written, read) in [
            (json!(12), Some("12")),
            (json!(12.0), Some("12")),
            (json!("12.0"), Some("12")),
            (json!(" 12 "), Some("12")),
            (json!(29_683_412_000_i64), Some("29683412000")),
            (json!(-44), Some("-44")),
            (
                json!("5c0b7a10-0000-4000-8000-000000000001"),
                Some("5c0b7a10-0000-4000-8000-000000000001"),
            ),
            (json!(12.5), None),
            (json!(""), None),
            (json!(null), None),
            (json!({}), None),
        ] {
            assert_eq!(id_of(&written).map(|id| id.0).as_deref(), read, "{written}");
        }
    }

    #[test]
    fn what_a_psa_said_is_one_short_line() {
        let long = format!("a\nb\u{1b}[31m{}", "x".repeat(1000));
        let said = said(&long);
        assert!(said.chars().count() <= MOST_SAID);
        assert!(!said.chars().any(char::is_control));
    }
}
