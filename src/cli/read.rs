//! Reading answers of the API: a value by its path, as a person would write it.

use serde_json::Value;

/// The value at a JSON pointer as text; `-` where there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map_or_else(|| "-".to_owned(), shown)
}

/// The first of several pointers that has a value.
pub(super) fn first(value: &Value, pointers: &[&str]) -> String {
    let found = pointers.iter().filter_map(|pointer| value.pointer(pointer)).find(|value| !value.is_null());
    found.map_or_else(|| "-".to_owned(), shown)
}

/// The whole number at a JSON pointer.
pub(super) fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// The items of a list.
pub(super) fn items(value: &Value) -> &[Value] {
    let list = value.get("items").or_else(|| value.get("data")).unwrap_or(value);
    list.as_array().map_or(&[], Vec::as_slice)
}

/// A value as one word or line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => without_fraction(text).unwrap_or_else(|| text.clone()),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name} {}", shown(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A time of the API without fractions of a second; `None` for any other text.
fn without_fraction(text: &str) -> Option<String> {
    let (seconds, fraction) = text.split_once('.')?;
    let is_time = fraction.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok();
    is_time.then(|| format!("{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let value = json!({"a": {"b": null, "c": ["x", 2]}, "at": "2026-01-31T12:00:00.123Z", "n": 0});
        assert_eq!(text(&value, "/a/b"), "-");
        assert_eq!(text(&value, "/a/c"), "x, 2");
        assert_eq!(first(&value, &["/none", "/a/b", "/n"]), "0");
        assert_eq!(text(&value, "/at"), "2026-01-31T12:00:00Z");
        assert_eq!(shown(&json!("a.bZ")), "a.bZ");
        assert_eq!(items(&json!({"items": [1, 2]})).len(), 2);
    }
}
