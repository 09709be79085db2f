//! Lists: conditions, order, fields, and the two ways to page (psa.md §A3).

use std::cmp::Ordering;

use serde_json::Value;

use super::{
    conditions::Condition,
    errors,
    rows::{Entity, Writer},
};
use crate::fake_psa::{
    call::{Call, Reply},
    cell::{Cell, Kind, moment},
};

/// The largest page; more is cut without a word.
const MOST_ROWS: usize = 1000;
/// The page of those who do not say.
const ROWS: usize = 25;

enum Paging {
    /// From 1.
    Page { number: usize, size: usize },
    /// Rows with a larger id.
    After { id: i64, size: usize },
}

impl Paging {
    fn read(call: &Call) -> Result<Self, Reply> {
        let number = |name: &str, default: usize| match call.parameter(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| {
                    errors::plain(
                        400,
                        "InvalidParameter",
                        &format!("{name} must be greater than zero."),
                    )
                }),
        };
        let size = number("pageSize", ROWS)?.min(MOST_ROWS);
        let mode = call.header("pagination-type");
        if !mode.eq_ignore_ascii_case("forward-only") {
            return Ok(Self::Page {
                number: number("page", 1)?,
                size,
            });
        }
        if call.parameter("orderBy").is_some() {
            let message = "orderBy is not supported with forward-only pagination.";
            return Err(errors::plain(400, "InvalidParameter", message));
        }
        let id = match call.parameter("pageId") {
            None => 0,
            Some(text) => text
                .parse()
                .map_err(|_| errors::plain(400, "InvalidParameter", "pageId must be a number."))?,
        };
        Ok(Self::After { id, size })
    }
}

/// A list of the world, narrowed to what belongs to a parent.
pub fn list<E: Entity>(call: &Call, writer: &Writer<'_>) -> Reply {
    let found = conditions::<E>(call, writer);
    let passes = match found {
        Ok(passes) => passes,
        Err(refusal) => return refusal,
    };
    let kept = match kept_members(call, E::FIELDS, E::MEMBERS) {
        Ok(kept) => kept,
        Err(refusal) => return refusal,
    };
    let paging = match Paging::read(call) {
        Ok(paging) => paging,
        Err(refusal) => return refusal,
    };
    let table = E::table(writer.world);
    let write = |row: &E| kept.cut(row.write(writer));
    match paging {
        Paging::After { id, size } => {
            let size = call.short_page.unwrap_or(size).min(size);
            let rows = table.range(id.saturating_add(1)..);
            let rows: Vec<(i64, Value)> = rows
                .filter(|(_, row)| passes(row))
                .take(size)
                .map(|(id, row)| (*id, write(row)))
                .collect();
            forward(call, E::PATH, writer, rows, size)
        }
        Paging::Page { number, size } => {
            let mut rows: Vec<&E> = table.values().filter(|row| passes(row)).collect();
            if let Some(refusal) = sort(call, &mut rows, writer) {
                return refusal;
            }
            let total = rows.len();
            let page = rows.into_iter().skip((number - 1) * size).take(size);
            let page: Vec<Value> = page
                .take(call.short_page.unwrap_or(size))
                .map(write)
                .collect();
            pages(call, E::PATH, writer, page, number, total.div_ceil(size))
        }
    }
}

/// How many rows pass.
pub fn count<E: Entity>(call: &Call, writer: &Writer<'_>) -> Reply {
    match conditions::<E>(call, writer) {
        Err(refusal) => refusal,
        Ok(passes) => {
            let rows = E::table(writer.world).values();
            let count = rows.filter(|row| passes(row)).count();
            Reply::json(200, &serde_json::json!({ "count": count }))
        }
    }
}

/// A short list of rows that are written already: conditions may name what stands in them.
pub fn list_rows(call: &Call, path: &str, writer: &Writer<'_>, mut rows: Vec<Value>) -> Reply {
    if let Some(text) = call.parameter("conditions") {
        let samples = rows.clone();
        let kind_of = |field: &str| samples.iter().find_map(|row| kind_in(row, field));
        let condition = match Condition::parse(text, &kind_of) {
            Ok(condition) => condition,
            Err(message) if !samples.is_empty() => return errors::condition(&message),
            Err(_) => return Reply::json(200, &serde_json::json!([])),
        };
        rows.retain(|row| condition.passes(&|field| vec![cell_in(row, field)]));
    }
    let paging = match Paging::read(call) {
        Ok(paging) => paging,
        Err(refusal) => return refusal,
    };
    let id_of = |row: &Value| row["id"].as_i64().unwrap_or_default();
    match paging {
        Paging::After { id, size } => {
            rows.sort_by_key(id_of);
            rows.retain(|row| id_of(row) > id);
            rows.truncate(size);
            let rows = rows.into_iter().map(|row| (id_of(&row), row)).collect();
            forward(call, path, writer, rows, size)
        }
        Paging::Page { number, size } => {
            let total = rows.len();
            let page = rows
                .into_iter()
                .skip((number - 1) * size)
                .take(size)
                .collect();
            pages(call, path, writer, page, number, total.div_ceil(size))
        }
    }
}

fn forward(
    call: &Call,
    path: &str,
    writer: &Writer<'_>,
    rows: Vec<(i64, Value)>,
    size: usize,
) -> Reply {
    // A full page promises more, whether or not there is; the header is there at the end too, empty.
    let link = match rows.last() {
        Some((last, _)) if rows.len() >= size => {
            link(call, path, writer, "pageId", &last.to_string(), "next")
        }
        _ => String::new(),
    };
    let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    Reply::json(200, &Value::Array(rows)).with("Link", link)
}

fn pages(
    call: &Call,
    path: &str,
    writer: &Writer<'_>,
    rows: Vec<Value>,
    number: usize,
    last: usize,
) -> Reply {
    let to =
        |page: usize, relation: &str| link(call, path, writer, "page", &page.to_string(), relation);
    let mut links = Vec::new();
    if number < last {
        links.push(to(number + 1, "next"));
        links.push(to(last, "last"));
    }
    if number > 1 {
        links.push(to(number - 1, "prev"));
        links.push(to(1, "first"));
    }
    let reply = Reply::json(200, &Value::Array(rows));
    if links.is_empty() {
        reply
    } else {
        reply.with("Link", links.join(", "))
    }
}

/// A link with the call's other parameters: `…/companies/?conditions=…&page=2`.
fn link(
    call: &Call,
    path: &str,
    writer: &Writer<'_>,
    name: &str,
    value: &str,
    relation: &str,
) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let others = call.query.iter();
    for (known, given) in others.filter(|(known, _)| !known.eq_ignore_ascii_case(name)) {
        query.append_pair(known, given);
    }
    query.append_pair(name, value);
    format!(
        "<{}/{path}/?{}>; rel=\"{relation}\"",
        writer.base,
        query.finish()
    )
}

type Passes<'a, E> = Box<dyn Fn(&E) -> bool + 'a>;

fn conditions<'a, E: Entity>(call: &Call, writer: &'a Writer<'_>) -> Result<Passes<'a, E>, Reply> {
    let among = |fields: &'static [(&'static str, Kind)]| {
        move |field: &str| {
            let found = fields.iter().find(|(name, _)| *name == field);
            found.map(|(_, kind)| *kind)
        }
    };
    let from_body;
    let conditions = match call.parameter("conditions") {
        Some(text) => Some(text),
        None if call.method == "POST" => {
            from_body = call.json().ok_or_else(|| {
                errors::plain(400, "InvalidObject", "The body is no JSON object.")
            })?;
            from_body["conditions"].as_str()
        }
        None => None,
    };
    let read = |text: Option<&str>, kind_of: &dyn Fn(&str) -> Option<Kind>| {
        let parsed = text.map(|text| Condition::parse(text, kind_of));
        parsed
            .transpose()
            .map_err(|message| errors::condition(&message))
    };
    let main = read(conditions, &among(E::FIELDS))?;
    let children = read(call.parameter("childConditions"), &among(E::CHILDREN))?;
    let custom = read(call.parameter("customFieldConditions"), &|field: &str| {
        ["caption", "value"].contains(&field).then_some(Kind::Text)
    })?;
    let world = writer.world;
    Ok(Box::new(move |row: &E| {
        let main = main
            .as_ref()
            .is_none_or(|condition| condition.passes(&|field| vec![row.cell(field, world)]));
        main && children
            .as_ref()
            .is_none_or(|condition| condition.passes(&|field| row.children(field)))
            && custom.as_ref().is_none_or(|condition| {
                row.custom_fields().into_iter().any(|(caption, value)| {
                    condition.passes(&|field| match field {
                        "caption" => vec![Cell::text(Some(caption))],
                        _ => vec![Cell::text(value)],
                    })
                })
            })
    }))
}

/// Sorts by `orderBy`; the answer where it cannot be read.
fn sort<E: Entity>(call: &Call, rows: &mut [&E], writer: &Writer<'_>) -> Option<Reply> {
    let mut keys = Vec::new();
    for part in call.parameter("orderBy")?.split(',') {
        let mut words = part.split_whitespace();
        let field = words.next().unwrap_or_default();
        let descending = match words.next().map(str::to_lowercase).as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Some(errors::condition("orderBy takes asc or desc.")),
        };
        if !E::FIELDS.iter().any(|(name, _)| *name == field) {
            let message = format!("The field '{field}' cannot be ordered by.");
            return Some(errors::condition(&message));
        }
        keys.push((field, descending));
    }
    rows.sort_by(|one, two| {
        let mut orders = keys.iter().map(|(field, descending)| {
            let order = one
                .cell(field, writer.world)
                .compare(&two.cell(field, writer.world));
            let order = order.unwrap_or(Ordering::Equal);
            if *descending { order.reverse() } else { order }
        });
        orders
            .find(|order| *order != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    });
    None
}

/// The members that `fields` asks for.
pub struct Kept(Option<Vec<String>>);

impl Kept {
    /// The row with those alone.
    pub fn cut(&self, mut row: Value) -> Value {
        if let (Some(kept), Value::Object(members)) = (&self.0, &mut row) {
            members.retain(|name, _| kept.contains(name));
        }
        row
    }
}

/// Members that rows have besides the fields of conditions.
const ROW_MEMBERS: &[&str] = &[
    "_info",
    "status",
    "types",
    "customFields",
    "site",
    "company",
    "communicationItems",
    "board",
    "addressLine1",
    "addressLine2",
    "city",
    "state",
    "zip",
    "country",
    "faxNumber",
    "territory",
    "market",
    "accountNumber",
    "currency",
    "billToCompany",
    "defaultContact",
    "numberOfEmployees",
    "taxIdentifier",
    "invoiceToEmailAddress",
    "mobileGuid",
    "priority",
    "source",
    "title",
    "recordType",
    "severity",
    "impact",
];

/// Reads `fields`. A path asks for the member it begins with.
fn kept_members(call: &Call, fields: &[(&str, Kind)], members: &[&str]) -> Result<Kept, Reply> {
    let Some(text) = call.parameter("fields") else {
        return Ok(Kept(None));
    };
    let mut kept = Vec::new();
    for part in text.split(',') {
        let name = part.trim().split('/').next().unwrap_or_default();
        let known = fields
            .iter()
            .any(|(field, _)| field.split('/').next() == Some(name))
            || members.contains(&name)
            || ROW_MEMBERS.contains(&name);
        if !known {
            let message = format!("The field '{name}' is not valid.");
            return Err(errors::plain(400, "InvalidParameter", &message));
        }
        kept.push(name.to_owned());
    }
    Ok(Kept(Some(kept)))
}

fn kind_in(row: &Value, field: &str) -> Option<Kind> {
    if field == "lastUpdated" {
        return Some(Kind::Time);
    }
    match at_path(row, field)? {
        Value::Bool(_) => Some(Kind::Flag),
        Value::Number(_) => Some(Kind::Int),
        Value::String(_) => Some(Kind::Text),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn cell_in<'a>(row: &'a Value, field: &str) -> Cell<'a> {
    if field == "lastUpdated" {
        let text = row["_info"]["lastUpdated"].as_str();
        return text.and_then(moment).map_or(Cell::Null, Cell::Time);
    }
    match at_path(row, field) {
        Some(Value::Bool(flag)) => Cell::Flag(*flag),
        Some(Value::Number(number)) => number.as_i64().map_or(Cell::Null, Cell::Int),
        Some(Value::String(text)) => Cell::text(Some(text)),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => Cell::Null,
    }
}

fn at_path<'a>(row: &'a Value, field: &str) -> Option<&'a Value> {
    field
        .split('/')
        .try_fold(row, |value, name| value.get(name))
}
