//! Pages of a collection, and the guard against pages that never end.

use std::{
    borrow::Cow,
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use crate::microsoft::graph_error::GraphError;

/// One page of a collection. Items may borrow from the body.
#[derive(Debug, PartialEq)]
pub struct Page<'a, T> {
    /// The items; a page may be empty and still have a next one.
    pub value: Vec<T>,
    /// Where the next page is.
    pub next_link: Option<Cow<'a, str>>,
    /// Where the next round of changes begins; only on the last page of a delta query.
    pub delta_link: Option<Cow<'a, str>>,
    /// How many objects there are in all; on the first page and only when asked for.
    pub count: Option<u64>,
}

impl<'a, T: Deserialize<'a>> Page<'a, T> {
    /// Reads a page.
    ///
    /// # Errors
    /// [`GraphError::UnexpectedAnswer`] when it is no page, `value` is missing, an item has the wrong
    /// shape, or an `error` stands in it: the page is rejected whole.
    pub fn read(body: &'a [u8]) -> Result<Self, GraphError> {
        let read: WireAnswer<Self> =
            serde_json::from_slice(body).map_err(GraphError::unreadable)?;
        Ok(read.0)
    }
}

/// Reads a single object.
///
/// # Errors
/// [`GraphError::UnexpectedAnswer`] when it has another shape, or is an `error` behind a success.
pub fn read_object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, GraphError> {
    #[derive(Deserialize)]
    struct Probe {
        error: Option<IgnoredAny>,
    }
    let probe: Probe = serde_json::from_slice(body).map_err(GraphError::unreadable)?;
    if probe.error.is_some() {
        return Err(GraphError::unexpected("an error behind a success"));
    }
    serde_json::from_slice(body).map_err(GraphError::unreadable)
}

struct WireAnswer<P>(P);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for WireAnswer<Page<'de, T>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PageVisitor(std::marker::PhantomData))
    }
}

struct PageVisitor<T>(std::marker::PhantomData<T>);

#[derive(Deserialize)]
#[serde(transparent)]
struct Link<'a>(#[serde(borrow)] Option<Cow<'a, str>>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PageVisitor<T> {
    type Value = WireAnswer<Page<'de, T>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a page of a collection")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut page = Page {
            value: Vec::new(),
            next_link: None,
            delta_link: None,
            count: None,
        };
        let mut has_value = false;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match name.as_ref() {
                "value" if has_value => return Err(M::Error::duplicate_field("value")),
                "value" => {
                    page.value = map.next_value()?;
                    has_value = true;
                }
                "@odata.nextLink" => page.next_link = map.next_value::<Link<'de>>()?.0,
                "@odata.deltaLink" => page.delta_link = map.next_value::<Link<'de>>()?.0,
                "@odata.count" => page.count = count(&map.next_value()?),
                "error" => {
                    if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                        return Err(M::Error::custom("an error behind a success"));
                    }
                }
                _unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !has_value {
            return Err(M::Error::missing_field("value"));
        }
        Ok(WireAnswer(page))
    }
}

fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Notices links that come twice, and collections without end. Remembers eight bytes a page.
#[derive(Debug)]
pub struct LinkGuard {
    seen: HashSet<u64>,
    hasher: RandomState,
    pages_left: usize,
    empty_in_a_row: usize,
}

impl LinkGuard {
    /// Far beyond the largest tenant: a million users in delta pages of 200 are 5,000 pages.
    pub const MOST_PAGES: usize = 100_000;
    /// Empty pages occur, but not in thousands.
    pub const MOST_EMPTY_PAGES: usize = 1_000;

    /// A guard for one reading of one collection.
    pub fn new() -> Self {
        Self::with_limit(Self::MOST_PAGES)
    }

    /// A guard that allows this many links.
    pub fn with_limit(pages: usize) -> Self {
        Self {
            seen: HashSet::new(),
            hasher: RandomState::new(),
            pages_left: pages,
            empty_in_a_row: 0,
        }
    }

    /// Admits the link of a page that had so many items.
    ///
    /// # Errors
    /// [`GraphError::EndlessPaging`] when the link was seen before, or there have been too many.
    pub fn admit(&mut self, link: &str, items: usize) -> Result<(), GraphError> {
        self.empty_in_a_row = if items == 0 {
            self.empty_in_a_row + 1
        } else {
            0
        };
        let is_new = self.seen.insert(self.hasher.hash_one(link));
        if !is_new || self.pages_left == 0 || self.empty_in_a_row > Self::MOST_EMPTY_PAGES {
            return Err(GraphError::EndlessPaging);
        }
        self.pages_left -= 1;
        Ok(())
    }
}

impl Default for LinkGuard {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Item<'a> {
        id: &'a str,
    }

    #[test]
    fn a_page_is_read_and_borrows_its_items() {
        let body = br#"{"@odata.context":"c","@odata.count":"2","new":{"value":[]},"value":[{"id":"a","x":1},{"id":"b"}],
            "@odata.nextLink":"https:\/\/graph.example\/v1.0\/users?$skiptoken=1","@odata.deltaLink":null}"#;
        let page: Page<'_, Item<'_>> = Page::read(body).unwrap();
        assert_eq!(page.value, [Item { id: "a" }, Item { id: "b" }]);
        assert_eq!(
            page.next_link.as_deref(),
            Some("https://graph.example/v1.0/users?$skiptoken=1")
        );
        assert_eq!((page.delta_link, page.count), (None, Some(2)));
        let empty: Page<'_, Item<'_>> =
            Page::read(br#"{"value":[],"@odata.deltaLink":"d"}"#).unwrap();
        assert_eq!(
            (empty.value.len(), empty.delta_link.as_deref()),
            (0, Some("d"))
        );
    }

    #[test]
    fn r11_what_is_no_page_is_rejected_whole() {
        let bodies: [&[u8]; 13] = [
            b"",
            b"{}",
            b"[]",
            b"null",
            b"<html>",
            br#"{"value":null}"#,
            br#"{"value":{}}"#,
            br#"{"value":[{"id":7}]}"#,
            br#"{"value":[{"id":"a"},{}]}"#,
            br#"{"value":[],"error":{"code":"x"}}"#,
            br#"{"value":[],"value":[]}"#,
            br#"{"value":[{"id":"a"}"#,
            b"{\"value\":[{\"id\":\"\xff\"}]}",
        ];
        for body in bodies {
            let read = Page::<Item<'_>>::read(body);
            assert!(
                matches!(read, Err(GraphError::UnexpectedAnswer { .. })),
                "{}",
                body.escape_ascii()
            );
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let read =
            |body: &str| Page::<Item<'_>>::read(body.as_bytes()).map(|page| page.value.len());
        assert!(read(&format!("{{\"value\":{deep}}}")).is_err());
        assert!(read(&format!("{{\"@odata.count\":{deep},\"value\":[]}}")).is_err());
        assert_eq!(
            read(&format!("{{\"unknown\":{deep},\"value\":[]}}")).unwrap(),
            0
        );
    }

    #[test]
    fn an_object_is_read_but_an_error_behind_a_success_is_not() {
        assert_eq!(
            read_object::<Item<'_>>(br#"{"id":"a"}"#).unwrap(),
            Item { id: "a" }
        );
        assert!(read_object::<Item<'_>>(br#"{"id":"a","error":{"code":"x"}}"#).is_err());
        assert!(read_object::<Item<'_>>(b"<html>").is_err());
    }

    #[test]
    fn r13_loops_and_endless_pages_are_stopped() {
        let mut guard = LinkGuard::with_limit(3);
        guard.admit("a", 1).unwrap();
        guard.admit("b", 1).unwrap();
        assert!(matches!(
            guard.admit("a", 1),
            Err(GraphError::EndlessPaging)
        ));
        guard.admit("c", 1).unwrap();
        assert!(matches!(
            guard.admit("d", 1),
            Err(GraphError::EndlessPaging)
        ));
        let mut guard = LinkGuard::new();
        let stopped_at = (0..).find(|page| guard.admit(&format!("p{page}"), 0).is_err());
        assert_eq!(stopped_at, Some(LinkGuard::MOST_EMPTY_PAGES));
        let mut guard = LinkGuard::new();
        for page in 0..3 * LinkGuard::MOST_EMPTY_PAGES {
            guard.admit(&format!("p{page}"), page % 2).unwrap();
        }
    }
}
