//! Reads `$select`, as strictly as Graph.

use super::{answer::Answer, call::Call};
use crate::fake_microsoft::directory::entity::{Schema, Selection};

/// A `$select` that was understood.
pub struct Selected {
    pub selection: Selection,
    /// The names, when there was a `$select`.
    pub names: Option<Vec<String>>,
}

impl Selected {
    /// Whether `$select` named this property.
    pub fn names(&self, property: &str) -> bool {
        let names = self.names.iter().flatten();
        names.into_iter().any(|name| name == property)
    }

    /// The stored columns that were named, as a bit mask; without `$select` the default ones.
    pub fn mask(&self, schema: &Schema) -> u64 {
        let column = |name: &str| schema.column(name).map_or(0, |column| 1_u64 << column);
        match &self.names {
            Some(names) => names.iter().fold(0, |mask, name| mask | column(name)),
            None if schema.default.is_empty() => u64::MAX,
            None => schema
                .default
                .iter()
                .fold(0, |mask, name| mask | column(name)),
        }
    }

    /// The fragment behind `$metadata#collection`.
    pub fn context(&self) -> String {
        match &self.names {
            Some(names) => format!("({})", names.join(",")),
            None => String::new(),
        }
    }
}

impl Call<'_> {
    /// Reads `$select` for a list of this type. `relations` are names beyond the properties that
    /// this request may select.
    pub fn select(&self, schema: &Schema, relations: &[&str]) -> Result<Selected, Answer> {
        let Some(text) = self.option("$select") else {
            return Ok(Selected {
                selection: schema.default_selection(),
                names: None,
            });
        };
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        for name in &names {
            if schema.not_listable.contains(&name.as_str()) {
                let message = "This operation target is not yet supported.";
                return Err(self.ids.error(501, "NotImplemented", message));
            }
            if !schema.knows(name) && !relations.contains(&name.as_str()) {
                return Err(self.unknown_property(name, schema.type_name));
            }
        }
        Ok(Selected {
            selection: schema.selection(names.iter().map(String::as_str)),
            names: Some(names),
        })
    }

    /// The answer to a property that the type does not have.
    pub fn unknown_property(&self, name: &str, type_name: &str) -> Answer {
        let message = format!(
            "Parsing OData Select and Expand failed: Could not find a property named '{name}' on \
             type 'microsoft.graph.{type_name}'."
        );
        self.ids.bad_request(&message)
    }
}
