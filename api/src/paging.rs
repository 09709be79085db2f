//! Pages of lists, and the cursors between them.
//!
//! A cursor is opaque: where the next page begins, signed together with the organisation, the path
//! and the filters (Z12). Used anywhere else it is no cursor.

use actix_web::{HttpRequest, HttpResponse, http::header};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use tenantry_core::{
    ids::OrgId,
    secrets::{MasterKey, SubKey},
};
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    problem::{Problem, catalogue},
    query::{Query, invalid},
    state::AppState,
};

/// Items of a page when the caller does not say.
pub const DEFAULT_LIMIT: u16 = 100;
/// Most items of a page.
pub const MAXIMUM_LIMIT: u16 = 1_000;

/// Bytes of a cursor's signature.
const SIGNATURE: usize = 32;

/// Signs and opens cursors.
pub struct Cursors {
    key: hmac::Key,
}

/// One list as a cursor sees it: whose, at which path, with which filters. And how much of it is
/// wanted.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// How many items.
    pub limit: u16,
    cursor: Option<String>,
    filters: Vec<(String, String)>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The items in the list's order.
    pub items: Vec<T>,
    /// What to pass as `cursor` for the next page; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// How many items the whole list has; null where they are not counted.
    #[schema(required, minimum = 0)]
    pub total: Option<i64>,
}

impl PageRequest {
    /// The parameters of every list.
    pub const LIMIT: &'static str = "limit";
    /// Where a page begins.
    pub const CURSOR: &'static str = "cursor";

    /// Reads them.
    ///
    /// # Errors
    /// `invalidParameter`.
    pub fn read(query: &Query) -> Result<Self, Problem> {
        let limit = query
            .parsed(Self::LIMIT, "a number from 1 to 1000")?
            .unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAXIMUM_LIMIT).contains(&limit) {
            return Err(invalid(Self::LIMIT, "Expected a number from 1 to 1000."));
        }
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self {
            limit,
            cursor: query.one(Self::CURSOR)?.map(str::to_owned),
            filters: query.filters().into_iter().map(own).collect(),
        })
    }

    /// Where the page begins; `None` for the first one.
    ///
    /// # Errors
    /// `invalidCursor` for one that was not made for this list.
    pub fn begin<T: DeserializeOwned>(
        &self,
        cursors: &Cursors,
        org: OrgId,
        path: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let place = self.place(org, path);
        cursors
            .open(&place, cursor)
            .map(Some)
            .ok_or_else(|| Problem::new(&catalogue::INVALID_CURSOR))
    }

    /// The cursor of the page that begins after `position`.
    fn next<T: Serialize>(
        &self,
        cursors: &Cursors,
        org: OrgId,
        path: &str,
        position: &T,
    ) -> String {
        cursors.seal(&self.place(org, path), position)
    }

    /// The header `Link` that leads to the next page.
    fn link(&self, path: &str, cursor: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.filters)
            .append_pair(Self::LIMIT, &self.limit.to_string())
            .append_pair(Self::CURSOR, cursor)
            .finish();
        format!("<{path}?{query}>; rel=\"next\"")
    }

    /// Everything a cursor is bound to, each part with its length so that none runs into the next.
    fn place(&self, org: OrgId, path: &str) -> Vec<u8> {
        let org = org.to_string();
        let parts = [org.as_str(), path].into_iter().chain(
            self.filters
                .iter()
                .flat_map(|(name, value)| [name.as_str(), value.as_str()]),
        );
        let mut place = Vec::new();
        for part in parts {
            place.extend_from_slice(part.len().to_string().as_bytes());
            place.push(b':');
            place.extend_from_slice(part.as_bytes());
        }
        place
    }
}

/// The answer with a page: `page` puts the cursor of the next one into the body.
pub fn answer_page<N: Serialize, B: Serialize>(
    state: &AppState,
    org: OrgId,
    request: &HttpRequest,
    asked: &PageRequest,
    next: Option<N>,
    page: impl FnOnce(Option<String>) -> B,
) -> HttpResponse {
    let path = request.path();
    let cursor = next.map(|position| asked.next(&state.cursors, org, path, &position));
    let mut answer = HttpResponse::Ok();
    if let Some(cursor) = &cursor {
        answer.insert_header((header::LINK, asked.link(path, cursor)));
    }
    answer.json(page(cursor))
}

impl Cursors {
    /// With a key of its own from the master key.
    pub fn new(master: &MasterKey) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, master.sub_key(SubKey::Cursor).expose()),
        }
    }

    fn seal<T: Serialize>(&self, place: &[u8], position: &T) -> String {
        // A position is an id or a time with one: it always serializes.
        let position = serde_json::to_vec(position).unwrap_or_default();
        let mut bytes = self.sign(place, &position);
        bytes.extend_from_slice(&position);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open<T: DeserializeOwned>(&self, place: &[u8], cursor: &str) -> Option<T> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (signature, position) = bytes.split_at_checked(SIGNATURE)?;
        hmac::verify(&self.key, &signed(place, position), signature).ok()?;
        serde_json::from_slice(position).ok()
    }

    fn sign(&self, place: &[u8], position: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key, &signed(place, position))
            .as_ref()
            .to_vec()
    }
}

fn signed(place: &[u8], position: &[u8]) -> Vec<u8> {
    let mut bytes = place.len().to_string().into_bytes();
    bytes.push(b':');
    bytes.extend_from_slice(place);
    bytes.extend_from_slice(position);
    bytes
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use tenantry_core::secrets::SecretText;
    use uuid::Uuid;

    use super::*;

    const PATH: &str = "/api/msp-portal/customers";

    fn cursors(byte: u8) -> Cursors {
        let key = SecretText::new(STANDARD.encode([byte; 32]));
        Cursors::new(&MasterKey::from_base64(&key).unwrap())
    }

    fn request(filters: &[(&str, &str)], cursor: Option<&str>) -> PageRequest {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        PageRequest {
            limit: 10,
            cursor: cursor.map(str::to_owned),
            filters: filters.iter().map(own).collect(),
        }
    }

    fn org(number: u128) -> OrgId {
        OrgId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn z12_a_cursor_leads_on_in_its_own_list() {
        let filters = [("search", "con")];
        let cursor = request(&filters, None).next(&cursors(1), org(1), PATH, &7_u32);
        let position = request(&filters, Some(&cursor))
            .begin::<u32>(&cursors(1), org(1), PATH)
            .unwrap();
        assert_eq!(position, Some(7));
    }

    #[test]
    fn z12_a_cursor_of_another_organisation_list_filter_or_installation_is_none() {
        let filters = [("search", "con")];
        let cursor = request(&filters, None).next(&cursors(1), org(1), PATH, &7_u32);
        let used = |filters: &[(&str, &str)], key, owner, path| {
            let problem = request(filters, Some(&cursor))
                .begin::<u32>(&cursors(key), org(owner), path)
                .err();
            problem.map(|problem| problem.kind().code)
        };
        let refused = Some("invalidCursor");
        assert_eq!(used(&filters, 1, 2, PATH), refused);
        assert_eq!(used(&filters, 1, 1, "/api/msp-portal/tenants"), refused);
        assert_eq!(used(&[("search", "cont")], 1, 1, PATH), refused);
        assert_eq!(used(&[("searchc", "on")], 1, 1, PATH), refused);
        assert_eq!(used(&[], 1, 1, PATH), refused);
        assert_eq!(used(&filters, 2, 1, PATH), refused);
        assert_eq!(used(&filters, 1, 1, PATH), None);
    }

    #[test]
    fn z12_a_cursor_with_any_changed_character_is_none() {
        let cursor = request(&[], None).next(&cursors(1), org(1), PATH, &7_u32);
        for position in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[position] = if changed[position] == b'A' {
                b'B'
            } else {
                b'A'
            };
            let changed = String::from_utf8(changed).unwrap();
            let opened = request(&[], Some(&changed)).begin::<u32>(&cursors(1), org(1), PATH);
            assert!(changed == cursor || opened.is_err(), "{position}");
        }
        for text in ["", "A", "!", "=="] {
            assert!(
                request(&[], Some(text))
                    .begin::<u32>(&cursors(1), org(1), PATH)
                    .is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn the_link_to_the_next_page_keeps_the_filters() {
        let link = request(&[("search", "a b")], None).link(PATH, "abc");
        assert_eq!(
            link,
            "</api/msp-portal/customers?search=a+b&limit=10&cursor=abc>; rel=\"next\""
        );
    }
}
