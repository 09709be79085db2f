//! Lists of HaloPSA: `pageinate` must be spelled so, or page and size are ignored (psa.md §C3).

use serde_json::{Value, json};

use super::errors;
use crate::fake_psa::{
    call::{Call, Reply},
    cell::moment,
    world::{Company, World},
};

/// The largest page; more is cut.
const MOST_ROWS: usize = 1000;
/// Rows of a list without pages where `count` does not say.
const ROWS: usize = 50;

/// Which rows of a list are wanted.
pub struct Wanted {
    active: bool,
    inactive: bool,
    client: Option<i64>,
    search: Option<String>,
    since: Option<i64>,
    until: Option<i64>,
}

impl Wanted {
    /// Reads the parameters that all lists have; unknown ones are ignored.
    pub fn read(call: &Call) -> Result<Self, Reply> {
        let date = |name: &str| match call.parameter(name) {
            None | Some("") => Ok(None),
            Some(text) => moment(text)
                .map(Some)
                .ok_or_else(|| errors::exception("String was not recognized as a valid DateTime.")),
        };
        let client = match call.parameter("client_id") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                errors::body(&format!("The value '{text}' is not valid for Int32."))
            })?),
        };
        Ok(Self {
            active: call
                .parameter("includeactive")
                .is_none_or(|text| !text.eq_ignore_ascii_case("false")),
            inactive: call.is_on("includeinactive"),
            client,
            search: call
                .parameter("search")
                .filter(|text| !text.is_empty())
                .map(str::to_lowercase),
            since: date("lastupdatefromdate")?,
            until: date("lastupdatetodate")?,
        })
    }

    /// Whether a row is wanted.
    pub fn takes(&self, client: i64, active: bool, updated: i64, texts: &[&str]) -> bool {
        let found = |search: &String| {
            texts
                .iter()
                .any(|text| text.to_lowercase().contains(search))
        };
        (if active { self.active } else { self.inactive })
            && self.client.is_none_or(|wanted| wanted == client)
            && self.since.is_none_or(|since| updated >= since)
            && self.until.is_none_or(|until| updated <= until)
            && self.search.as_ref().is_none_or(found)
    }

    /// Whether a client is wanted: here `client_id` is no parameter.
    pub fn takes_client(&self, company: &Company) -> bool {
        let name = company.name.as_deref().unwrap_or("");
        let any = Self {
            client: None,
            search: self.search.clone(),
            ..*self
        };
        any.takes(
            company.id,
            company.state.is_active(),
            company.updated,
            &[name],
        )
    }
}

/// A list under its own key. `rows` are in the order of ids; without `order=id` they come by name.
pub fn list<T>(
    call: &Call,
    key: &str,
    mut rows: Vec<&T>,
    by_name: impl Fn(&T) -> String,
    world: &World,
    write: impl Fn(&T, &World) -> Value,
) -> Reply {
    let order = call.parameter("order").unwrap_or_default();
    if !order.eq_ignore_ascii_case("id") {
        rows.sort_by_cached_key(|row| by_name(row));
    }
    if call.is_on("orderdesc") {
        rows.reverse();
    }
    let total = rows.len();
    let number = |name: &str, default: usize| {
        let given = call.parameter(name).and_then(|text| text.parse().ok());
        given.filter(|number| *number > 0).unwrap_or(default)
    };
    if !call.is_on("pageinate") {
        let shown = rows.into_iter().take(number("count", ROWS));
        let shown: Vec<Value> = shown.map(|row| write(row, world)).collect();
        return Reply::json(
            200,
            &json!({"record_count": total, key: shown, "include_children": false}),
        );
    }
    let (page, size) = (
        number("page_no", 1),
        number("page_size", ROWS).min(MOST_ROWS),
    );
    let shown = rows.into_iter().skip((page - 1) * size).take(size);
    let shown = shown.take(call.short_page.unwrap_or(size));
    let shown: Vec<Value> = shown.map(|row| write(row, world)).collect();
    Reply::json(
        200,
        &json!({"page_no": page, "page_size": size, "record_count": total, key: shown, "include_children": false}),
    )
}
