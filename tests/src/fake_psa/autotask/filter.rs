//! Filters of queries: types must match, fields must be known (psa.md §B3).

use std::cmp::Ordering;

use serde_json::Value;

use super::{errors, rows::Entity};
use crate::fake_psa::{
    call::Reply,
    cell::{Cell, Kind, moment},
};

/// The most terms that `or` and `in` may have.
const MOST_TERMS: usize = 500;

/// A filter.
#[derive(Debug)]
pub enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Test {
        field: String,
        udf: bool,
        test: Test,
        values: Vec<Cell<'static>>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Equal,
    NotEqual,
    Above,
    AtLeast,
    Below,
    AtMost,
    Begins,
    Ends,
    Contains,
    Exists,
    Misses,
    In,
    NotIn,
}

impl Test {
    fn read(text: &str) -> Option<Self> {
        Some(match text.to_lowercase().as_str() {
            "eq" => Self::Equal,
            "noteq" => Self::NotEqual,
            "gt" => Self::Above,
            "gte" => Self::AtLeast,
            "lt" => Self::Below,
            "lte" => Self::AtMost,
            "beginswith" => Self::Begins,
            "endswith" => Self::Ends,
            "contains" => Self::Contains,
            "exist" => Self::Exists,
            "notexist" => Self::Misses,
            "in" => Self::In,
            "notin" => Self::NotIn,
            _ => return None,
        })
    }
}

impl Filter {
    /// Reads the filter of a query; one is mandatory.
    pub fn read<E: Entity>(filter: Option<&Value>) -> Result<Self, Reply> {
        match filter {
            Some(Value::Array(items)) if !items.is_empty() => Ok(Self::All(nodes::<E>(items)?)),
            _ => Err(errors::invalid(
                "A filter is required. (Parameter 'filter')",
            )),
        }
    }

    /// Whether a row passes.
    pub fn passes<E: Entity>(&self, row: &E) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.passes(row)),
            Self::Any(nodes) => nodes.iter().any(|node| node.passes(row)),
            Self::Test {
                field,
                udf,
                test,
                values,
            } => {
                let cell = if *udf {
                    row.udf(field).unwrap_or(Cell::Null)
                } else {
                    row.cell(field)
                };
                holds(&cell, *test, values)
            }
        }
    }
}

fn holds(cell: &Cell<'_>, test: Test, values: &[Cell<'static>]) -> bool {
    let first = values.first().unwrap_or(&Cell::Null);
    let order = cell.compare(first);
    let among = || {
        values
            .iter()
            .any(|value| cell.compare(value) == Some(Ordering::Equal))
    };
    match test {
        Test::Equal => order == Some(Ordering::Equal),
        Test::NotEqual => order != Some(Ordering::Equal),
        Test::Above => order == Some(Ordering::Greater),
        Test::Below => order == Some(Ordering::Less),
        Test::AtLeast => order.is_some_and(|order| order != Ordering::Less),
        Test::AtMost => order.is_some_and(|order| order != Ordering::Greater),
        Test::Begins => cell.lower().starts_with(&first.lower()),
        Test::Ends => cell.lower().ends_with(&first.lower()),
        Test::Contains => cell.lower().contains(&first.lower()),
        Test::Exists => *cell != Cell::Null,
        Test::Misses => *cell == Cell::Null,
        Test::In => among(),
        Test::NotIn => !among(),
    }
}

fn nodes<E: Entity>(items: &[Value]) -> Result<Vec<Filter>, Reply> {
    items.iter().map(node::<E>).collect()
}

fn node<E: Entity>(item: &Value) -> Result<Filter, Reply> {
    let op = item["op"].as_str().unwrap_or_default().to_lowercase();
    if op == "and" || op == "or" {
        let Some(items) = item["items"].as_array().filter(|items| !items.is_empty()) else {
            return Err(errors::invalid("A group of a filter needs items."));
        };
        let nodes = nodes::<E>(items)?;
        if op == "or" && nodes.len() > MOST_TERMS {
            return Err(errors::invalid(
                "The query has more than 500 OR conditions.",
            ));
        }
        return Ok(if op == "or" {
            Filter::Any(nodes)
        } else {
            Filter::All(nodes)
        });
    }
    let Some(test) = Test::read(&op) else {
        return Err(errors::invalid(&format!("'{op}' is not a valid operator.")));
    };
    let field = item["field"].as_str().unwrap_or_default().to_owned();
    let udf = item["udf"] == Value::Bool(true);
    let kind = if udf {
        Kind::Text
    } else {
        kind_of::<E>(&field)?
    };
    let value = &item["value"];
    let values = match (test, value) {
        (Test::Exists | Test::Misses, _) => Vec::new(),
        (Test::In | Test::NotIn, Value::Array(values)) if values.len() <= MOST_TERMS => {
            let values = values.iter().map(|value| literal(value, kind, &field));
            values.collect::<Result<_, _>>()?
        }
        (Test::In | Test::NotIn, _) => {
            return Err(errors::invalid("'in' needs a list of at most 500 values."));
        }
        _ => vec![literal(value, kind, &field)?],
    };
    let of_text = matches!(test, Test::Begins | Test::Ends | Test::Contains);
    if of_text && kind != Kind::Text {
        return Err(errors::invalid(&format!(
            "'{op}' cannot be used with {field}."
        )));
    }
    Ok(Filter::Test {
        field,
        udf,
        test,
        values,
    })
}

fn kind_of<E: Entity>(name: &str) -> Result<Kind, Reply> {
    let found = E::FIELDS.iter().find(|field| field.name == name);
    match found {
        Some(field) if field.queryable => Ok(field.kind),
        Some(_) => Err(errors::invalid(&format!(
            "The field {name} is not queryable."
        ))),
        None => Err(errors::unknown_field(name, E::NAME)),
    }
}

fn literal(value: &Value, kind: Kind, field: &str) -> Result<Cell<'static>, Reply> {
    let expected = |kind: &str| {
        let got = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        errors::invalid(&format!("{field} expects type {kind} but got {got}."))
    };
    match (kind, value) {
        (Kind::Int, Value::Number(number)) => number
            .as_i64()
            .map(Cell::Int)
            .ok_or_else(|| expected("number")),
        (Kind::Int, _) => Err(expected("number")),
        (Kind::Flag, Value::Bool(flag)) => Ok(Cell::Flag(*flag)),
        (Kind::Flag, _) => Err(expected("boolean")),
        (Kind::Text, Value::String(text)) => Ok(Cell::Text(text.clone().into())),
        (Kind::Text, _) => Err(expected("string")),
        (Kind::Time, Value::String(text)) => moment(text).map(Cell::Time).ok_or_else(|| {
            errors::invalid(
                "Conversion failed when converting date and/or time from character string.",
            )
        }),
        (Kind::Time, _) => Err(expected("datetime")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake_psa::world::{Company, Contact};

    fn company() -> Company {
        let mut company = Company::new(29_683_412, "Harbour Dental", 0);
        company.tenant_field = Some("6f1b".to_owned());
        company
    }

    fn passes(filter: Value) -> bool {
        Filter::read::<Company>(Some(&filter))
            .unwrap()
            .passes(&company())
    }

    #[test]
    fn filters_are_read_as_the_help_writes_them() {
        assert!(passes(json!([{"op": "gte", "field": "id", "value": 0}])));
        assert!(passes(
            json!([{"op": "eq", "field": "isActive", "value": true},
            {"op": "in", "field": "companyType", "value": [1, 3]}])
        ));
        assert!(passes(
            json!([{"op": "or", "items": [{"op": "eq", "field": "id", "value": 1},
            {"op": "beginsWith", "field": "companyName", "value": "harb"}]}])
        ));
        assert!(passes(
            json!([{"op": "exist", "field": "M365 Tenant Id", "udf": true}])
        ));
        assert!(passes(json!([{"op": "notExist", "field": "webAddress"}])));
        assert!(!passes(
            json!([{"op": "gt", "field": "lastActivityDate", "value": "2026-06-01T00:00:00Z"}])
        ));
        assert!(passes(
            json!([{"op": "noteq", "field": "companyType", "value": 5}])
        ));
    }

    #[test]
    fn what_is_missing_unknown_or_of_another_type_is_refused() {
        for bad in [
            json!([]),
            json!({"op": "eq", "field": "id", "value": 1}),
            json!([{"op": "eq", "field": "type", "value": 1}]),
            json!([{"op": "eq", "field": "id", "value": "1"}]),
            json!([{"op": "eq", "field": "isActive", "value": 1}]),
            json!([{"op": "eq", "field": "companyName", "value": 1}]),
            json!([{"op": "gt", "field": "lastActivityDate", "value": "yesterday"}]),
            json!([{"op": "gt", "field": "lastTrackedModifiedDateTime", "value": "2026-06-01T00:00:00Z"}]),
            json!([{"op": "in", "field": "id", "value": 1}]),
            json!([{"op": "equals", "field": "id", "value": 1}]),
            json!([{"op": "or", "items": []}]),
        ] {
            assert!(Filter::read::<Company>(Some(&bad)).is_err(), "{bad}");
        }
        assert!(Filter::read::<Company>(None).is_err());
        let flag = json!([{"op": "eq", "field": "isActive", "value": true}]);
        assert!(Filter::read::<Contact>(Some(&flag)).is_err());
        let number = json!([{"op": "eq", "field": "isActive", "value": 1}]);
        assert!(Filter::read::<Contact>(Some(&number)).is_ok());
    }
}
