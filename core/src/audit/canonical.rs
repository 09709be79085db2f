//! Canonical JSON (RFC 8785), of which the audit needs texts, integers, truth values, lists and
//! objects: the same value always has the same bytes, so that its hash means something.

use serde_json::Value;

/// A value whose canonical form is not defined here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a fractional number has no place in the audit")]
pub struct NotCanonical;

/// The canonical text of a value: members in the order of their names' UTF-16 code units, no blanks.
///
/// # Errors
/// [`NotCanonical`] for numbers that are no integers: their text depends on who writes it.
pub fn canonical_json(value: &Value) -> Result<String, NotCanonical> {
    let mut text = String::new();
    write(value, &mut text)?;
    Ok(text)
}

fn write(value: &Value, text: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            text.push_str(&number.to_string())
        }
        Value::Number(_) => return Err(NotCanonical),
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write(item, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (position, (name, member)) in members.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(member, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn l2_members_are_ordered_by_utf16_and_nothing_is_blank() {
        let value = json!({"\u{10000}": 1, "\u{e000}": 2, "b": [true, null, "x\n"], "a": {"z": -3, "y": 0}});
        let text = canonical_json(&value).unwrap();
        // The astral character's first code unit is a surrogate, which sorts before U+E000.
        assert_eq!(
            text,
            "{\"a\":{\"y\":0,\"z\":-3},\"b\":[true,null,\"x\\n\"],\"\u{10000}\":1,\"\u{e000}\":2}"
        );
    }

    #[test]
    fn l2_fractions_are_refused() {
        assert_eq!(canonical_json(&json!({"a": [1.5]})), Err(NotCanonical));
    }
}
