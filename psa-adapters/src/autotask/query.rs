//! Lists, page by page: `POST /{entity}/query`, then the next page's address with the same body
//! (psa.md §B3).

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

use crate::{
    autotask::{
        errors::protocol,
        http::{Call, Client, Place, elsewhere},
        wire::QueryAnswer,
    },
    contract::Cursor,
    error::PsaError,
    wire::id_of,
};

/// The most rows of a page that Autotask gives.
pub(super) const PAGE: u32 = 500;

/// The form of the cursor.
const VERSION: u8 = 1;

/// Pages in a row that bring nothing new before the list counts as running in a circle.
const MOST_IDLE: u8 = 3;

/// What is asked for. The rows come by rising id, so `id` is always among the fields.
pub(super) struct List {
    entity: &'static str,
    body: Value,
}

impl List {
    /// Rows of an entity that fit all conditions, with these fields.
    pub(super) fn new(entity: &'static str, filter: Vec<Value>, fields: &[&str]) -> Self {
        let mut included = vec!["id"];
        included.extend(fields);
        Self {
            entity,
            body: json!({"filter": filter, "IncludeFields": included, "MaxRecords": PAGE}),
        }
    }

    /// The same with whole rows. A query that names its fields gets no custom field but those it names.
    pub(super) fn whole(entity: &'static str, filter: Vec<Value>) -> Self {
        Self {
            entity,
            body: json!({"filter": filter, "MaxRecords": PAGE}),
        }
    }

    /// Only so many rows, of which none follow.
    pub(super) fn at_most(mut self, rows: u32) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert("MaxRecords".to_owned(), rows.into());
        }
        self
    }

    /// Tells this list from others.
    fn fingerprint(&self) -> String {
        let told = format!("{} {}", self.entity, self.body);
        URL_SAFE_NO_PAD.encode(digest(&SHA256, told.as_bytes()))
    }
}

/// A condition.
pub(super) fn condition(op: &str, field: &str, value: impl Into<Value>) -> Value {
    json!({"op": op, "field": field, "value": value.into()})
}

/// The condition that all rows fit: Autotask wants one.
pub(super) fn every() -> Value {
    condition("gte", "id", 0)
}

/// Where a list goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    v: u8,
    /// Which database it is about: zones are shared.
    system: String,
    list: String,
    next: String,
    /// The highest id so far.
    last: i64,
    /// Pages in a row that brought nothing new.
    idle: u8,
    /// How many rows the whole list has, where that was asked.
    pub(super) expected: Option<u64>,
}

impl Position {
    /// Reads a cursor of this list; another one is refused.
    pub(super) fn of(cursor: &Cursor, list: &List, client: &Client) -> Result<Self, PsaError> {
        let position: Self = serde_json::from_str(&cursor.0).or(Err(elsewhere()))?;
        let is_ours = position.v == VERSION
            && position.system == client.system()
            && position.list == list.fingerprint();
        if is_ours {
            Ok(position)
        } else {
            Err(elsewhere())
        }
    }

    /// The same, with the number of rows of the whole list.
    pub(super) fn expecting(self, expected: Option<u64>) -> Self {
        Self { expected, ..self }
    }

    /// The cursor that a caller keeps.
    pub(super) fn cursor(&self) -> Result<Cursor, PsaError> {
        let text = serde_json::to_string(self).or(Err(protocol(200, "a next page of no form")))?;
        Ok(Cursor(text))
    }
}

/// A page.
pub(super) struct Rows<T> {
    /// Its rows, none of which came before.
    pub(super) items: Vec<T>,
    /// Where to go on; none: that was all.
    pub(super) next: Option<Position>,
}

impl Client {
    /// A page of a list.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        list: &List,
        at: Option<&Position>,
    ) -> Result<Rows<T>, PsaError> {
        let next;
        let segments = [list.entity, "query"];
        let place = match at {
            None => Place::Under(&segments),
            Some(position) => {
                next = Url::parse(&position.next).or(Err(elsewhere()))?;
                Place::Next(&next)
            }
        };
        let call = Call::query(list.entity, place, &list.body);
        let value = self.ask(&call).await.map_err(|error| {
            // "Not found" is said of a record; a list that is not there is none that we know.
            if error == PsaError::NotFound {
                protocol(404, "there is no such list")
            } else {
                error
            }
        })?;
        let answer = QueryAnswer::deserialize(value).or(Err(not_a_page()))?;
        let last = at.map_or(i64::MIN, |position| position.last);
        let (items, highest) = fresh_rows(answer.items.ok_or_else(not_a_page)?, last)?;
        let next = match answer
            .page_details
            .and_then(|details| details.next_page_url)
        {
            None => None,
            Some(next) => {
                let idle = match at {
                    Some(position) if items.is_empty() => position.idle.saturating_add(1),
                    Some(_) | None => 0,
                };
                let position = Position {
                    v: VERSION,
                    system: self.system(),
                    list: list.fingerprint(),
                    next,
                    last: highest,
                    idle,
                    expected: at.and_then(|position| position.expected),
                };
                self.must_lead_on(at, &position).await?;
                Some(position)
            }
        };
        Ok(Rows { items, next })
    }

    /// All rows of a short list.
    pub(super) async fn all<T: DeserializeOwned>(
        &self,
        list: &List,
        most_pages: usize,
    ) -> Result<Vec<T>, PsaError> {
        let mut rows = self.page(list, None).await?;
        let mut items = rows.items;
        let mut pages = 1;
        while let Some(position) = rows.next.take() {
            if pages == most_pages {
                return Err(protocol(
                    200,
                    "the list is longer than any that is expected",
                ));
            }
            rows = self.page(list, Some(&position)).await?;
            items.append(&mut rows.items);
            pages += 1;
        }
        Ok(items)
    }

    /// How many rows a list has.
    pub(super) async fn count(&self, list: &List) -> Result<Option<u64>, PsaError> {
        let filter = json!({"filter": list.body.get("filter")});
        let segments = [list.entity, "query", "count"];
        let call = Call::query(list.entity, Place::Under(&segments), &filter);
        let answer = self.ask(&call).await?;
        Ok(answer.get("queryCount").and_then(Value::as_u64))
    }

    /// Refuses a next page that is not Autotask's, or none: a list that leads to itself would never end.
    async fn must_lead_on(&self, at: Option<&Position>, next: &Position) -> Result<(), PsaError> {
        let owned = match Url::parse(&next.next) {
            Ok(url) => self.zone().await?.owns(&url),
            Err(_no_address) => false,
        };
        if !owned {
            return Err(protocol(
                200,
                "the next page is at another address than Autotask's",
            ));
        }
        if at.is_some_and(|at| at.next == next.next) || next.idle >= MOST_IDLE {
            return Err(protocol(
                200,
                "the list leads back to pages that were read already",
            ));
        }
        Ok(())
    }
}

/// The rows whose ids come after the last page's, each once, and the highest id now.
fn fresh_rows<T: DeserializeOwned>(rows: Vec<Value>, last: i64) -> Result<(Vec<T>, i64), PsaError> {
    let mut items = Vec::with_capacity(rows.len());
    let mut seen = HashSet::new();
    let mut highest = last;
    for row in rows {
        let id = row.get("id").and_then(id_of);
        // A row that cannot be told from others is left out, not the page.
        let Some(id) = id.and_then(|id| id.0.parse::<i64>().ok()) else {
            continue;
        };
        if id <= last || !seen.insert(id) {
            continue;
        }
        highest = highest.max(id);
        items.push(serde_json::from_value(row).or(Err(not_a_page()))?);
    }
    Ok((items, highest))
}

fn not_a_page() -> PsaError {
    protocol(200, "the answer is no page of a list")
}
