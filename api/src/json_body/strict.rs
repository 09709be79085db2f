//! JSON that every parser reads the same way (J3, N11).

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of lists and objects.
const DEPTH_LIMIT: usize = 32;
/// Longest list.
const LIST_LIMIT: usize = 10_000;

/// Reads exactly one document.
///
/// # Errors
/// A sentence about what is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let text =
        std::str::from_utf8(bytes).map_err(|_not_utf8| "The body is not UTF-8.".to_owned())?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|value| {
            deserializer.end()?;
            Ok(value)
        });
    value.map_err(|error| sentence(&error))
}

/// Our own words for what a parser says; it may quote the body.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match OURS.iter().find(|ours| text.starts_with(**ours)) {
        Some(ours) => format!("{ours}."),
        None => format!(
            "The body is not valid JSON at line {}, column {}.",
            error.line(),
            error.column()
        ),
    }
}

const TOO_DEEP: &str = "The body has more than 32 levels";
const TOO_LONG: &str = "A list has more than 10,000 elements";
const KEY_TWICE: &str = "An object has a key twice";
const HAS_NUL: &str = "A text contains NUL";
const OURS: [&str; 4] = [TOO_DEEP, TOO_LONG, KEY_TWICE, HAS_NUL];

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_LIMIT {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        if value.contains('\0') {
            return Err(E::custom(HAS_NUL));
        }
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            if list.len() == LIST_LIMIT {
                return Err(de::Error::custom(TOO_LONG));
            }
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key.contains('\0') {
                return Err(de::Error::custom(HAS_NUL));
            }
            let value = access.next_value_seed(inner)?;
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom(KEY_TWICE));
            }
        }
        Ok(Value::Object(object))
    }
}
