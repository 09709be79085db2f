//! Entity tags: telling a caller that nothing changed, and that something did.

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderMap},
};
use aws_lc_rs::digest;
use serde::Serialize;

use crate::problem::{Problem, catalogue};

/// The tag of a version, with a word for what the body shows besides, if anything.
pub fn of_version(version: i64, besides: Option<&str>) -> String {
    match besides {
        None => format!("\"{version}\""),
        Some(word) => format!("\"{version}-{word}\""),
    }
}

/// The tag of bytes that have no version.
pub fn of_bytes(bytes: &[u8]) -> String {
    format!("\"{}\"", hash_of(bytes))
}

/// A word for some bytes: half of their SHA-256.
pub fn hash_of(bytes: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, bytes);
    hex::encode(hash.as_ref().iter().take(16).copied().collect::<Vec<u8>>())
}

/// Whether the caller has what the tag stands for already (`If-None-Match`).
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    tags(headers, header::IF_NONE_MATCH).is_some_and(|known| {
        known
            .iter()
            .any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    })
}

/// Whether the caller means a change for certain tags only (`If-Match`, and not `*`).
pub fn is_conditional(headers: &HeaderMap) -> bool {
    tags(headers, header::IF_MATCH).is_some_and(|tags| tags != ["*"])
}

/// Requires that `If-Match` names the present tag.
///
/// # Errors
/// `preconditionFailed` when it does not.
pub fn require(headers: &HeaderMap, tag: &str) -> Result<(), Problem> {
    if tags(headers, header::IF_MATCH).is_some_and(|wanted| wanted.iter().any(|one| one == tag)) {
        Ok(())
    } else {
        Err(Problem::new(&catalogue::PRECONDITION_FAILED))
    }
}

/// Requires that `If-Match` names a tag of the present version, whatever the body showed besides.
///
/// # Errors
/// `preconditionFailed` when it does not.
pub fn require_version(headers: &HeaderMap, version: i64) -> Result<(), Problem> {
    let (plain, besides) = (format!("\"{version}\""), format!("\"{version}-"));
    let names = |tag: &String| *tag == plain || tag.starts_with(&besides);
    if tags(headers, header::IF_MATCH).is_some_and(|wanted| wanted.iter().any(names)) {
        Ok(())
    } else {
        Err(Problem::new(&catalogue::PRECONDITION_FAILED))
    }
}

/// An answer with its tag: the body, or 304 when the caller has it already.
pub fn answer(headers: &HeaderMap, tag: String, body: impl Serialize) -> HttpResponse {
    if is_known(headers, &tag) {
        return HttpResponse::NotModified()
            .insert_header((header::ETAG, tag))
            .finish();
    }
    HttpResponse::Ok()
        .insert_header((header::ETAG, tag))
        .json(body)
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
    fn a_change_is_meant_for_certain_tags_or_for_any() {
        let present = of_version(7, Some("stale"));
        assert_eq!(present, "\"7-stale\"");
        let wanted = |value| headers(header::IF_MATCH, value);
        for good in ["\"7-stale\"", "\"6\", \"7-stale\""] {
            assert!(is_conditional(&wanted(good)) && require(&wanted(good), &present).is_ok());
        }
        for good in ["\"7-stale\"", "\"7\"", "\"6\", \"7-other\""] {
            assert!(require_version(&wanted(good), 7).is_ok(), "{good}");
        }
        for other in ["\"77\"", "\"6-7\"", "7", "W/\"7\"", "*"] {
            assert!(require_version(&wanted(other), 7).is_err(), "{other}");
        }
        for other in ["\"7\"", "\"x\"", "7-stale", "W/\"7-stale\"", ""] {
            assert!(is_conditional(&wanted(other)) && require(&wanted(other), &present).is_err());
        }
        assert!(!is_conditional(&wanted("*")) && !is_conditional(&HeaderMap::new()));
    }
}
