//! Objects as ready pieces of JSON, and the choice of pieces that a `$select` makes.

use std::sync::Arc;

use serde_json::{Map, Value};

/// A value as JSON text.
pub type Fragment = Arc<str>;

/// The properties of a type.
pub struct Schema {
    /// Graph's name without the namespace.
    pub type_name: &'static str,
    /// What the product's documentation lists: stored, and part of the truth.
    pub documented: &'static [&'static str],
    /// What is stored besides.
    pub extra: &'static [&'static str],
    /// What comes without `$select`; empty: all that is stored.
    pub default: &'static [&'static str],
    /// What a list refuses with 501.
    pub not_listable: &'static [&'static str],
    /// Every property of the type in Microsoft's metadata, `*` behind collections.
    pub known: &'static str,
}

impl Schema {
    /// Names of the stored columns in their order.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.documented.iter().chain(self.extra).copied()
    }

    /// Position of a stored property.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns().position(|column| column == name)
    }

    /// Whether the type has this property, and whether it is a collection.
    fn lookup(&self, name: &str) -> Option<bool> {
        self.known.split(' ').find_map(|word| {
            let (property, collection) = match word.strip_suffix('*') {
                Some(property) => (property, true),
                None => (word, false),
            };
            (property == name).then_some(collection)
        })
    }

    /// Whether the type has this property.
    pub fn knows(&self, name: &str) -> bool {
        self.lookup(name).is_some()
    }

    /// What these names select. Names the type does not have are left out.
    pub fn selection<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Selection {
        let fields = names.into_iter().filter_map(|name| {
            let collection = self.lookup(name)?;
            Some(Field {
                label: format!("\"{name}\":"),
                column: self.column(name),
                empty: if collection { "[]" } else { "null" },
                // Documented: the object is absent for users who never signed in.
                optional: name == "signInActivity",
            })
        });
        Selection {
            fields: fields.collect(),
        }
    }

    /// What comes without `$select`.
    pub fn default_selection(&self) -> Selection {
        if self.default.is_empty() {
            self.selection(self.columns())
        } else {
            self.selection(self.default.iter().copied())
        }
    }
}

/// Properties to write, in the order of the answer.
pub struct Selection {
    fields: Vec<Field>,
}

struct Field {
    label: String,
    column: Option<usize>,
    empty: &'static str,
    optional: bool,
}

/// One object. A property without a value was never set; one set to null is the fragment `null`.
#[derive(Clone, Debug)]
pub struct Entity {
    values: Box<[Option<Fragment>]>,
}

impl Entity {
    /// From the values of all stored columns, in their order.
    pub fn new(schema: &Schema, values: Vec<Option<Fragment>>) -> Self {
        debug_assert_eq!(values.len(), schema.columns().count());
        Self {
            values: values.into_boxed_slice(),
        }
    }

    /// With nothing set.
    pub fn empty(schema: &Schema) -> Self {
        Self {
            values: vec![None; schema.columns().count()].into_boxed_slice(),
        }
    }

    /// The JSON text of a column, if it was ever set.
    pub fn get(&self, column: usize) -> Option<&str> {
        self.values[column].as_deref()
    }

    /// Sets a column to a JSON text.
    pub fn set(&mut self, column: usize, value: Fragment) {
        self.values[column] = Some(value);
    }

    /// Sets the properties of a JSON object and returns them as a bit mask of columns.
    /// Panics on a property that is not stored.
    pub fn assign(&mut self, schema: &Schema, properties: &Value) -> u64 {
        let properties = properties.as_object().expect("an object of properties");
        let mut mask = 0;
        for (name, value) in properties {
            let Some(column) = schema.column(name) else {
                panic!("{} has no stored property {name}", schema.type_name);
            };
            self.set(column, value.to_string().into());
            mask |= 1 << column;
        }
        mask
    }

    /// The text of a string property; none where it is null or was never set.
    pub fn text(&self, schema: &Schema, name: &str) -> Option<String> {
        let json = self.get(schema.column(name)?)?;
        serde_json::from_str::<Option<String>>(json).ok().flatten()
    }

    /// The documented properties, null (or an empty list) where there is no value.
    pub fn truth(&self, schema: &Schema) -> Value {
        let mut object = Map::new();
        for (column, name) in schema.documented.iter().enumerate() {
            let value = match self.get(column) {
                Some(json) => serde_json::from_str(json).expect("fragments are JSON"),
                None if schema.lookup(name) == Some(true) => Value::Array(Vec::new()),
                None => Value::Null,
            };
            object.insert((*name).to_owned(), value);
        }
        Value::Object(object)
    }

    /// Writes the members of the object as a list shows it: what was never set is null, or for
    /// some objects absent, as in Graph.
    pub fn write_listed(&self, out: &mut Members<'_>, selection: &Selection) {
        let absent = self.leaves_out_unset();
        for field in &selection.fields {
            match field.column.and_then(|column| self.get(column)) {
                Some(json) => out.raw(&field.label, json),
                None if absent || field.optional => {}
                None => out.raw(&field.label, field.empty),
            }
        }
    }

    /// Writes the members of the object as a delta item shows it: what was never set is absent.
    /// `mask` narrows the columns.
    pub fn write_changed(&self, out: &mut Members<'_>, schema: &Schema, mask: u64) {
        for (column, name) in schema.columns().enumerate() {
            let Some(json) = self.get(column) else {
                continue;
            };
            if column == 0 || mask & (1 << column) != 0 {
                out.named(name, json);
            }
        }
    }

    /// One object in eight leaves out what was never set; which, follows from its id.
    fn leaves_out_unset(&self) -> bool {
        let id = self.get(0).unwrap_or_default().as_bytes();
        matches!(id.iter().rev().nth(1), Some(b'0' | b'8'))
    }
}

impl Selection {
    /// Writes every property but the id as null: what an app sees that may not read the type.
    pub fn write_concealed(&self, entity: &Entity, out: &mut Members<'_>) {
        for field in &self.fields {
            match (field.column, entity.get(0)) {
                (Some(0), Some(id)) => out.raw(&field.label, id),
                _ => out.raw(&field.label, field.empty),
            }
        }
    }
}

/// Writes the members of one JSON object.
pub struct Members<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Members<'a> {
    /// Opens the object.
    pub fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, first: true }
    }

    fn raw(&mut self, label: &str, json: &str) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.out.push_str(label);
        self.out.push_str(json);
    }

    /// Adds a member; the name needs no escaping.
    pub fn named(&mut self, name: &str, json: &str) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out.push_str(json);
    }

    /// Adds a member whose value the caller appends to the text that is returned.
    pub fn value_of(&mut self, name: &str) -> &mut String {
        self.named(name, "");
        self.out
    }

    /// Closes the object.
    pub fn close(self) {
        self.out.push('}');
    }
}

/// The text as a JSON string.
pub fn quoted(text: &str) -> Fragment {
    let plain = text
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        let mut json = String::with_capacity(text.len() + 2);
        json.push('"');
        json.push_str(text);
        json.push('"');
        json.into()
    } else {
        Value::from(text).to_string().into()
    }
}
