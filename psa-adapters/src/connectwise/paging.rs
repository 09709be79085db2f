//! Lists, page by page (psa.md §A3).
//!
//! Lists are read forward only: each page holds what follows the last id. A server that is too old for that
//! ignores the wish and numbers its pages. This shows in the `Link` header or in ids that come again, and the
//! list is then read by numbered pages in the order of ids, without what was handed out before.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::header::LINK;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::{
    client::{Call, Client, number},
    refusal::Right,
};
use crate::{
    contract::{Cursor, ExternalId},
    error::PsaError,
    transport::Reply,
    wire,
};

/// The most rows that ConnectWise gives at once; more is cut down silently.
const PAGE_SIZE: usize = 1000;

/// The version of what a cursor holds.
const CURSOR_VERSION: u8 = 1;

/// The longest conditions that stand in an address: it should have fewer than 2,000 characters once encoded.
const LONGEST_CONDITIONS: usize = 500;

/// The most pages of a small list.
const MOST_TABLE_PAGES: u32 = 100;

/// A list to be read.
pub(super) struct List {
    /// Its path: `company/companies`.
    pub path: String,
    /// Conditions on the records; empty for none.
    pub conditions: String,
    /// Conditions on lists within the records; empty for none.
    pub child_conditions: String,
    /// The right that reading it needs.
    pub right: Right,
}

/// A row with its number.
pub(super) struct Row {
    /// Its id.
    pub id: i64,
    /// All of it.
    pub record: Value,
}

/// Some rows, and where to go on.
pub(super) struct Rows {
    /// The rows, none of them handed out before in this read.
    pub rows: Vec<Row>,
    /// Where to go on.
    pub next: Option<Cursor>,
}

/// Where a read stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "camelCase")]
enum At {
    /// Forward only, behind this id.
    Forward { after: Option<i64> },
    /// By numbered pages.
    #[serde(rename_all = "camelCase")]
    Numbered {
        page: u32,
        /// The highest id of the pages so far.
        last: i64,
        /// Up to here, rows were handed out before pages were numbered.
        handed_out: i64,
    },
}

/// What a cursor holds: besides the place, which system and which list it is of.
#[derive(Serialize, Deserialize)]
struct Mark {
    version: u8,
    system: String,
    list: String,
    at: At,
}

/// What the `Link` header says about a next page.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// There is no such header.
    Unsaid,
    /// It names other pages, but no next one.
    None,
    /// One with this address.
    There(Url),
}

impl List {
    /// A whole list.
    pub fn all(right: Right, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            conditions: String::new(),
            child_conditions: String::new(),
            right,
        }
    }

    /// Reads the page at a cursor, or the first.
    ///
    /// # Errors
    /// [`PsaError::Config`] for a cursor of another system, list or version; what a call may end with.
    pub async fn page(&self, client: &Client, cursor: Option<&Cursor>) -> Result<Rows, PsaError> {
        let start = match cursor {
            Some(cursor) => self.place(client, cursor)?,
            None => At::Forward { after: None },
        };
        let (page, last, handed_out) = match start {
            At::Forward { after } => {
                let reply = client.call(&self.forward_call(after)).await?;
                let rows = rows_of(client, &reply, self.right)?;
                if is_forward(&rows, after, &next_of(&reply)) {
                    let next = rows.last().map(|row| At::Forward {
                        after: Some(row.id),
                    });
                    return self.rows(client, rows, next);
                }
                (1, 0, after.unwrap_or(0))
            }
            At::Numbered {
                page,
                last,
                handed_out,
            } => (page, last, handed_out),
        };
        let reply = client.call(&self.numbered_call(page)).await?;
        let mut rows = rows_of(client, &reply, self.right)?;
        let next =
            numbered_next(client, &rows, &next_of(&reply), page, last)?.map(|last| At::Numbered {
                page: page.saturating_add(1),
                last,
                handed_out,
            });
        rows.retain(|row| row.id > last.max(handed_out));
        self.rows(client, rows, next)
    }

    /// Reads a small list, such as a table of statuses, to its end.
    ///
    /// # Errors
    /// What a call may end with.
    pub async fn all_rows(&self, client: &Client) -> Result<Vec<Value>, PsaError> {
        let mut all = Vec::new();
        for page in 1..=MOST_TABLE_PAGES {
            let call = self
                .call()
                .with("pageSize", PAGE_SIZE.to_string())
                .with("page", page.to_string());
            let reply = client.call(&call).await?;
            let mut rows: Vec<Value> = client.read(&reply, self.right)?;
            let goes_on = rows.len() >= PAGE_SIZE || matches!(next_of(&reply), Next::There(_));
            rows.retain(|row| !all.contains(row));
            if goes_on && rows.is_empty() {
                return Err(repeated());
            }
            all.extend(rows);
            if !goes_on {
                return Ok(all);
            }
        }
        Err(repeated())
    }

    /// The call without its paging. Long conditions go into a body.
    fn call(&self) -> Call {
        let conditions = [
            ("conditions", &self.conditions),
            ("childConditions", &self.child_conditions),
        ];
        let given = conditions.iter().filter(|(_, text)| !text.is_empty());
        if self.conditions.len() + self.child_conditions.len() > LONGEST_CONDITIONS {
            let body = given.map(|(name, text)| ((*name).to_owned(), json!(text)));
            let path = format!("{}/search", self.path);
            return Call::search(self.right, &path, Value::Object(body.collect()));
        }
        given.fold(Call::get(self.right, &self.path), |call, (name, text)| {
            call.with(name, *text)
        })
    }

    fn forward_call(&self, after: Option<i64>) -> Call {
        let call = self
            .call()
            .forward_only()
            .with("pageSize", PAGE_SIZE.to_string());
        match after {
            Some(after) => call.with("pageId", after.to_string()),
            None => call,
        }
    }

    fn numbered_call(&self, page: u32) -> Call {
        self.call()
            .with("orderBy", "id")
            .with("pageSize", PAGE_SIZE.to_string())
            .with("page", page.to_string())
    }

    /// The list and its conditions, short.
    fn fingerprint(&self) -> String {
        let all = [&self.path, &self.conditions, &self.child_conditions].map(|part| json!(part));
        let hash = digest(&SHA256, Value::from(all.to_vec()).to_string().as_bytes());
        let mut text = URL_SAFE_NO_PAD.encode(hash.as_ref());
        text.truncate(22);
        text
    }

    fn place(&self, client: &Client, cursor: &Cursor) -> Result<At, PsaError> {
        let mark: Option<Mark> = serde_json::from_str(&cursor.0).ok();
        mark.filter(|mark| {
            mark.version == CURSOR_VERSION
                && mark.system == client.address().system(client.company())
                && mark.list == self.fingerprint()
        })
        .map(|mark| mark.at)
        .ok_or_else(|| PsaError::Config {
            what: "the place where the list was to go on belongs to another system or list; it must be read from its beginning".to_owned(),
        })
    }

    fn rows(&self, client: &Client, rows: Vec<Row>, next: Option<At>) -> Result<Rows, PsaError> {
        let next = next
            .map(|at| {
                serde_json::to_string(&Mark {
                    version: CURSOR_VERSION,
                    system: client.address().system(client.company()),
                    list: self.fingerprint(),
                    at,
                })
                .map(Cursor)
                .or(Err(PsaError::Config {
                    what: "the place in the list cannot be written down".to_owned(),
                }))
            })
            .transpose()?;
        Ok(Rows { rows, next })
    }
}

/// The rows of a page. An empty page ends a list, so only an empty array is taken for one.
fn rows_of(client: &Client, reply: &Reply, right: Right) -> Result<Vec<Row>, PsaError> {
    let records: Vec<Value> = client.read(reply, right)?;
    let was_empty = records.is_empty();
    let rows: Vec<Row> = records
        .into_iter()
        .filter_map(|record| {
            let id = record.get("id").and_then(wire::id_of)?;
            Some(Row {
                id: number(&id)?,
                record,
            })
        })
        .collect();
    if rows.is_empty() && !was_empty {
        return Err(PsaError::Protocol {
            status: reply.status,
            what: "a list whose records have no ids".to_owned(),
        });
    }
    Ok(rows)
}

fn ascends(rows: &[Row]) -> bool {
    rows.is_sorted_by(|one, other| one.id < other.id)
}

/// Whether a page is what was asked for by reading forward only.
fn is_forward(rows: &[Row], after: Option<i64>, next: &Next) -> bool {
    let is_numbered = match next {
        Next::There(url) => has_query(url, "page") && !has_query(url, "pageid"),
        Next::None | Next::Unsaid => false,
    };
    let follows = rows
        .first()
        .is_none_or(|first| after.is_none_or(|after| first.id > after));
    !is_numbered && follows && ascends(rows)
}

fn has_query(url: &Url, name: &str) -> bool {
    url.query_pairs()
        .any(|(key, _)| key.eq_ignore_ascii_case(name))
}

/// The highest id up to which a numbered list was read; none at its end. No header at all says nothing, so
/// the list is then read until a page has nothing new.
fn numbered_next(
    client: &Client,
    rows: &[Row],
    next: &Next,
    page: u32,
    last: i64,
) -> Result<Option<i64>, PsaError> {
    if let Next::There(url) = next
        && !client.address().is_ours(url)
    {
        return Err(PsaError::Protocol {
            status: 200,
            what: "the next page of the list is said to be on another host".to_owned(),
        });
    }
    if !ascends(rows) {
        return Err(PsaError::Protocol {
            status: 200,
            what: "the list is not in the order of ids that was asked for".to_owned(),
        });
    }
    let is_there = matches!(next, Next::There(_));
    let highest = rows.last().map_or(last, |row| row.id);
    // A row that moved to the next page meanwhile comes twice; a whole page of them is the same page.
    if highest <= last {
        let is_same = page > 1 && (is_there || rows.len() >= PAGE_SIZE);
        return if is_same { Err(repeated()) } else { Ok(None) };
    }
    Ok((is_there || *next == Next::Unsaid).then_some(highest))
}

fn repeated() -> PsaError {
    PsaError::Protocol {
        status: 200,
        what: "the list does not end: the same page comes again".to_owned(),
    }
}

/// Reads the `Link` header. Addresses in it hold commas and semicolons, so each is taken by its brackets.
fn next_of(reply: &Reply) -> Next {
    let values = reply.headers.get_all(LINK);
    let text: Vec<&str> = values.iter().filter_map(|v| v.to_str().ok()).collect();
    let text = text.join(",");
    if text.trim().is_empty() {
        return Next::Unsaid;
    }
    for part in text.split('<').skip(1) {
        let Some((address, parameters)) = part.split_once('>') else {
            continue;
        };
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim() == "rel" && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        });
        if let (true, Ok(url)) = (is_next, Url::parse(address.trim())) {
            return Next::There(url);
        }
    }
    Next::None
}

/// The id of a record that a caller names; a text that is none means that there is no such record.
pub(super) fn known_number(id: &ExternalId) -> Result<i64, PsaError> {
    number(id).ok_or(PsaError::NotFound)
}

#[cfg(test)]
mod tests;
