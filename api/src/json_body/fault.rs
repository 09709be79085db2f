//! What does not fit, where, and what would: made while a value is read.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// The first thing in a body that does not fit the type.
#[derive(Debug)]
pub(super) struct Fault {
    /// From the innermost segment outwards.
    path: Vec<String>,
    code: &'static str,
    detail: String,
}

impl Fault {
    fn new(code: &'static str, detail: String) -> Self {
        Self {
            path: Vec::new(),
            code,
            detail,
        }
    }

    /// The same fault, seen from the object or list around it.
    pub(super) fn inside(mut self, segment: impl Into<String>) -> Self {
        self.path.push(segment.into());
        self
    }

    /// JSON pointer, code and sentence.
    pub(super) fn into_parts(self) -> (String, &'static str, String) {
        let mut pointer = String::new();
        for segment in self.path.iter().rev() {
            pointer.push('/');
            pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        }
        (pointer, self.code, self.detail)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    /// A type's own complaint may quote the value, so its words are not repeated.
    fn custom<T: fmt::Display>(_complaint: T) -> Self {
        Self::new(
            "invalidValue",
            "This value is not acceptable here.".to_owned(),
        )
    }

    fn invalid_type(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(
            "wrongType",
            format!("Expected {}.", word_for(&expected.to_string())),
        )
    }

    fn invalid_value(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(
            "invalidValue",
            format!("Expected {}.", word_for(&expected.to_string())),
        )
    }

    fn unknown_variant(_variant: &str, allowed: &'static [&'static str]) -> Self {
        Self::new(
            "invalidValue",
            format!("Allowed are {}.", allowed.join(", ")),
        )
    }

    fn unknown_field(_field: &str, allowed: &'static [&'static str]) -> Self {
        let detail = match allowed {
            [] => "No field is allowed here.".to_owned(),
            fields => format!(
                "This field is unknown or read-only. Allowed are {}.",
                fields.join(", ")
            ),
        };
        Self::new("unknownField", detail)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("missingField", "This field is required.".to_owned()).inside(field)
    }
}

/// What JSON calls it, for what serde says it expects.
fn word_for(expected: &str) -> &'static str {
    match expected {
        "a string" | "a borrowed string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => {
            "a whole number in range"
        }
        "f32" | "f64" => "a number",
        uuid if uuid.contains("UUID") => "a UUID",
        object if object.starts_with("struct ") || object == "a map" => "an object",
        _ => "another kind of value",
    }
}
