//! Entity tags: telling a caller that nothing changed, and that something did.

use actix_web::http::header::{self, HeaderMap};
use aws_lc_rs::digest;

use crate::problem::{Problem, catalogue};

/// The tag of a version.
pub fn of_version(version: i64) -> String {
    format!("\"{version}\"")
}

/// The tag of bytes that have no version.
pub fn of_bytes(bytes: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, bytes);
    format!(
        "\"{}\"",
        hex::encode(hash.as_ref().iter().take(16).copied().collect::<Vec<u8>>())
    )
}

/// Whether the caller has what the tag stands for already (`If-None-Match`).
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    tags(headers, header::IF_NONE_MATCH).is_some_and(|known| {
        known
            .iter()
            .any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    })
}

/// The version that the caller means to change (`If-Match`); `None` when it does not say, or says `*`.
///
/// # Errors
/// `preconditionFailed` when it names no version of ours, or several.
pub fn expected_version(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(tags) = tags(headers, header::IF_MATCH) else {
        return Ok(None);
    };
    match tags.as_slice() {
        [any] if any == "*" => Ok(None),
        [one] => {
            let version = one
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let version = version.and_then(|text| text.parse().ok());
            version
                .map(Some)
                .ok_or_else(|| Problem::new(&catalogue::PRECONDITION_FAILED))
        }
        _ => Err(Problem::new(&catalogue::PRECONDITION_FAILED)),
    }
}

fn tags(headers: &HeaderMap, name: header::HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).peekable();
    values.peek()?;
    let list = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().to_owned())
        .collect();
    Some(list)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn a_known_tag_is_found_in_a_list_and_in_its_weak_form() {
        for known in ["\"7\"", "W/\"7\"", "\"6\", \"7\"", "*"] {
            assert!(
                is_known(&headers(header::IF_NONE_MATCH, known), "\"7\""),
                "{known}"
            );
        }
        for other in ["\"77\"", "7", ""] {
            assert!(
                !is_known(&headers(header::IF_NONE_MATCH, other), "\"7\""),
                "{other}"
            );
        }
        assert!(!is_known(&HeaderMap::new(), "\"7\""));
    }

    #[test]
    fn a_change_is_meant_for_one_version_or_for_any() {
        let expected = |value| expected_version(&headers(header::IF_MATCH, value)).ok();
        assert_eq!(expected("\"7\""), Some(Some(7)));
        assert_eq!(expected("*"), Some(None));
        for other in ["\"x\"", "7", "\"7\", \"8\"", "W/\"7\"", ""] {
            assert_eq!(expected(other), None, "{other}");
        }
        assert_eq!(expected_version(&HeaderMap::new()).ok(), Some(None));
    }
}
