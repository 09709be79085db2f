//! Queries and their pages (psa.md §B3).

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Mutex,
};

use serde_json::{Map, Value, json};

use super::{errors, filter::Filter, rows::Entity};
use crate::fake_psa::{
    call::{Call, Reply},
    world::World,
};

/// The largest page.
const MOST_ROWS: usize = 500;

/// The pages that were promised: by their address, the method and the body that must come again.
#[derive(Default)]
pub struct Promised {
    pages: Mutex<HashMap<String, Vec<(String, u64)>>>,
}

/// A query as it was asked.
struct Query {
    body: Value,
    size: usize,
    fields: Option<Vec<String>>,
}

impl Promised {
    fn promise(&self, paging: String, call: &Call) {
        let mut pages = self.pages.lock().expect("promised pages");
        pages.entry(paging).or_default().push(asked(call));
    }

    /// Whether this is a page that was promised to this very query.
    fn holds(&self, paging: &str, call: &Call) -> bool {
        let pages = self.pages.lock().expect("promised pages");
        pages
            .get(paging)
            .is_some_and(|promised| promised.contains(&asked(call)))
    }
}

fn asked(call: &Call) -> (String, u64) {
    let mut hasher = DefaultHasher::new();
    match call.json() {
        // As text its members have one order.
        Some(body) => body.to_string().hash(&mut hasher),
        None => call
            .parameter("search")
            .unwrap_or_default()
            .hash(&mut hasher),
    }
    (call.method.clone(), hasher.finish())
}

impl Query {
    fn read<E: Entity>(call: &Call) -> Result<Self, Reply> {
        let body = match call.method.as_str() {
            "GET" => call
                .parameter("search")
                .and_then(|text| serde_json::from_str(text).ok()),
            _ => call.json(),
        };
        let Some(body @ Value::Object(_)) = body else {
            return Err(errors::invalid(
                "A filter is required. (Parameter 'filter')",
            ));
        };
        let member = |name: &str| {
            let members = body.as_object()?;
            let found = members
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        };
        let size = match member("MaxRecords") {
            None | Some(Value::Null) => MOST_ROWS,
            Some(value) => value
                .as_u64()
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| (1..=MOST_ROWS).contains(size))
                .ok_or_else(|| errors::invalid("MaxRecords must be a number between 1 and 500."))?,
        };
        let fields = match member("IncludeFields") {
            None | Some(Value::Null) => None,
            Some(value) => Some(included::<E>(value)?),
        };
        Ok(Self { size, fields, body })
    }

    fn filter<E: Entity>(&self) -> Result<Filter, Reply> {
        let members = self.body.as_object();
        let found = members.and_then(|members| {
            let mut members = members.iter();
            members.find(|(name, _)| name.eq_ignore_ascii_case("filter"))
        });
        Filter::read::<E>(found.map(|(_, filter)| filter))
    }

    fn cut(&self, row: Value) -> Value {
        let Some(fields) = &self.fields else {
            return row;
        };
        let Value::Object(members) = row else {
            return row;
        };
        let members = members.into_iter();
        Value::Object(
            members
                .filter(|(name, _)| fields.contains(name))
                .collect::<Map<_, _>>(),
        )
    }
}

/// Reads `IncludeFields`: each must be known, and without `id` no page could follow.
fn included<E: Entity>(value: &Value) -> Result<Vec<String>, Reply> {
    let names: Option<Vec<String>> = value.as_array().and_then(|names| {
        names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect()
    });
    let Some(names) = names else {
        return Err(errors::invalid(
            "IncludeFields must be a list of field names.",
        ));
    };
    if let Some(name) = names
        .iter()
        .find(|name| !E::FIELDS.iter().any(|known| known.name == **name))
    {
        return Err(errors::unknown_field(name, E::NAME));
    }
    if !names.is_empty() && !names.iter().any(|name| name == "id") {
        return Err(errors::invalid("IncludeFields must contain id."));
    }
    Ok(names)
}

/// A query's first page.
pub fn first<E: Entity>(call: &Call, world: &World, promised: &Promised, base: &str) -> Reply {
    page::<E>(call, world, promised, base, i64::MIN, None)
}

/// A page that was promised: with the same method and body, or not at all.
pub fn next<E: Entity>(call: &Call, world: &World, promised: &Promised, base: &str) -> Reply {
    let Some(paging) = call.parameter("paging") else {
        return errors::invalid("paging is required.");
    };
    if call.method == "POST" && call.json().is_none() {
        return errors::invalid("A filter is required. (Parameter 'filter')");
    }
    if !promised.holds(paging, call) {
        return if call.method == "GET" {
            Reply::json(
                405,
                &json!({"Message": "The requested resource does not support http method 'GET'."}),
            )
        } else {
            errors::invalid("The query is not the one that this page belongs to.")
        };
    }
    let read: Value = serde_json::from_str(paging).unwrap_or_default();
    let from = read["nextIds"][0].as_i64().unwrap_or(i64::MAX);
    let before = read["previousIds"][0].as_i64();
    page::<E>(call, world, promised, base, from, before)
}

fn page<E: Entity>(
    call: &Call,
    world: &World,
    promised: &Promised,
    base: &str,
    from: i64,
    before: Option<i64>,
) -> Reply {
    let query = match Query::read::<E>(call) {
        Ok(query) => query,
        Err(refusal) => return refusal,
    };
    let filter = match query.filter::<E>() {
        Ok(filter) => filter,
        Err(refusal) => return refusal,
    };
    let size = call.short_page.unwrap_or(query.size).min(query.size);
    let mut rows = E::table(world)
        .range(from..)
        .filter(|(_, row)| filter.passes(*row));
    let mut last = None;
    let mut items = Vec::new();
    for (id, row) in rows.by_ref().take(size) {
        last = Some(*id);
        items.push(query.cut(row.write()));
    }
    let next_url = rows.next().map(|(following, _)| {
        let paging = json!({"pageSize": query.size, "previousIds": [last], "nextIds": [following]});
        let paging = paging.to_string();
        let search = call.parameter("search").unwrap_or("null").to_owned();
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded
            .append_pair("paging", &paging)
            .append_pair("search", &search);
        promised.promise(paging, call);
        format!("{base}/query/next?{}", encoded.finish())
    });
    let previous_url = before.map(|_| format!("{base}/query/prev?paging=opaque"));
    Reply::json(
        200,
        &json!({
            "pageDetails": {"count": items.len(), "requestCount": query.size,
                "prevPageUrl": previous_url, "nextPageUrl": next_url},
            "items": items,
        }),
    )
}

/// How many rows pass.
pub fn count<E: Entity>(call: &Call, world: &World) -> Reply {
    let filter = Query::read::<E>(call).and_then(|query| query.filter::<E>());
    match filter {
        Err(refusal) => refusal,
        Ok(filter) => {
            let rows = E::table(world).values();
            let count = rows.filter(|row| filter.passes(*row)).count();
            Reply::json(200, &json!({ "queryCount": count }))
        }
    }
}

/// One row; a missing one is a success too.
pub fn get<E: Entity>(id: &str, world: &World) -> Reply {
    let Ok(id) = id.parse::<i64>() else {
        return errors::of_status(404);
    };
    let item = E::table(world).get(&id).map(Entity::write);
    Reply::json(200, &json!({ "item": item }))
}
