//! JSON texts: members, paths, containment.
//!
//! A member is a part of the text as it stands. INVARIANT: nothing is computed of a text that is not JSON, and no error holds one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::ScalarUDF;
use serde_json::Value;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};

/// The functions by name; both spellings answer the same.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        length().udf(),
        kind().udf(),
        extract("json_extract_path", false, false).udf(),
        extract("jsonb_extract_path", false, true).udf(),
        extract("json_extract_path_text", true, false).udf(),
        extract("jsonb_extract_path_text", true, true).udf(),
    ]
}

fn invalid() -> datafusion::error::DataFusionError {
    fault(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
}

/// Fails unless the text is JSON.
pub(super) fn check(text: &str) -> Result<()> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| ()).map_err(|_| invalid())
}

/// What a JSON text is, by its first character.
pub(super) fn kind_of(text: &str) -> &'static str {
    match text.trim_start().bytes().next() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

fn parsed(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_| invalid())
}

/// One step into a value.
enum Step<'a> {
    Key(&'a str),
    Element(i64),
}

/// The parts of an object or an array; keys are as they stand, with their quotes.
pub(super) struct Parts<'a> {
    rest: &'a str,
    pub(super) object: bool,
}

impl<'a> Parts<'a> {
    /// `text` is JSON.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let object = text.starts_with('{');
        let inner = if object { text.strip_prefix('{')?.strip_suffix('}')? } else { text.strip_prefix('[')?.strip_suffix(']')? };
        Some(Self { rest: inner, object })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (Option<&'a str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.trim_start().is_empty() {
            return None;
        }
        let (mut depth, mut quoted, mut escaped, mut colon) = (0_usize, false, false, None);
        let mut end = self.rest.len();
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                b':' if depth == 0 && colon.is_none() => colon = Some(at),
                b',' if depth == 0 => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let part = self.rest.get(..end)?;
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        match colon.filter(|_| self.object) {
            Some(colon) => Some((Some(part.get(..colon)?.trim()), part.get(colon + 1..)?.trim())),
            None => Some((None, part.trim())),
        }
    }
}

/// What a step leads to; the last of equal keys counts.
fn step<'a>(text: &'a str, step: &Step<'_>) -> Option<&'a str> {
    let parts = Parts::of(text)?;
    match step {
        Step::Key(key) if parts.object => {
            let same = |spelled: &str| serde_json::from_str::<String>(spelled).is_ok_and(|spelled| spelled == *key);
            parts.filter(|(spelled, _)| spelled.is_some_and(same)).last().map(|(_, value)| value)
        }
        Step::Element(at) if !parts.object => {
            let values: Vec<&str> = parts.map(|(_, value)| value).collect();
            let at = if *at < 0 { i64::try_from(values.len()).ok()? + at } else { *at };
            values.get(usize::try_from(at).ok()?).copied()
        }
        _ => None,
    }
}

/// A value as text: a string without its quotes, nothing for null.
fn unquoted(text: &str) -> Option<String> {
    match text.trim() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text => Some(text.to_owned()),
    }
}

/// A part as it stands, or its text.
pub(super) fn given(found: Option<&str>, text: bool) -> Option<String> {
    if text { found.and_then(unquoted) } else { found.map(str::to_owned) }
}

/// `json -> key`, `json ->> key`.
pub(super) fn member(text: bool, binary: bool) -> Function {
    let takes = |types: &[DataType]| {
        let [_, key] = types else { return None };
        Some(vec![DataType::Utf8, if key.is_integer() { DataType::Int64 } else { DataType::Utf8 }])
    };
    let computes = move |args: &[ArrayRef], rows: usize| {
        let values = arg::<StringArray>(args, 0)?;
        let keys = args.get(1).and_then(|keys| keys.as_any().downcast_ref::<StringArray>());
        let places = args.get(1).and_then(|keys| keys.as_any().downcast_ref::<Int64Array>());
        let one = |row: usize| {
            let way = match (keys, places) {
                (Some(keys), _) if keys.is_valid(row) => Step::Key(keys.value(row)),
                (_, Some(places)) if places.is_valid(row) => Step::Element(places.value(row)),
                _ => return Ok(None),
            };
            if values.is_null(row) {
                return Ok(None);
            }
            check(values.value(row))?;
            // A jsonb that is no array is the only element of one.
            let scalar = binary && !values.value(row).trim_start().starts_with(['[', '{']);
            let found = if scalar {
                Some(values.value(row)).filter(|_| matches!(way, Step::Element(0 | -1)))
            } else {
                step(values.value(row), &way)
            };
            Ok(given(found, text))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let name = if text { "json_object_field_text" } else { "json_object_field" };
    answering(Function::new(name, takes, |_| Some(DataType::Utf8), computes), text, binary).variant(u64::from(binary))
}

/// A part of a JSON is a JSON, unless its text was asked for.
fn answering(function: Function, text: bool, binary: bool) -> Function {
    match (text, binary) {
        (true, _) => function,
        (false, binary) => function.answers(if binary { "jsonb" } else { "json" }),
    }
}

/// What a path of keys and numbers leads to.
fn follow<'a>(value: &'a str, path: impl Iterator<Item = Option<&'a str>>) -> Result<Option<&'a str>> {
    check(value)?;
    let mut found = value;
    for key in path {
        let Some(key) = key else { return Ok(None) };
        let array = found.trim_start().starts_with('[');
        let next = match key.parse::<i64>() {
            Ok(at) if array => step(found, &Step::Element(at)),
            _ => step(found, &Step::Key(key)),
        };
        match next {
            Some(next) => found = next,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

fn texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// `json #> path`, `json #>> path`.
pub(super) fn path(text: bool, binary: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let (values, paths) = (arg::<StringArray>(args, 0)?, arg::<ListArray>(args, 1)?);
        let one = |row: usize| {
            if values.is_null(row) || paths.is_null(row) {
                return Ok(None);
            }
            let path = paths.value(row);
            let Some(path) = path.as_any().downcast_ref::<StringArray>() else { return Ok(None) };
            let keys: Vec<Option<&str>> = path.iter().collect();
            Ok(given(follow(values.value(row), keys.into_iter())?, text))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let name = if text { "json_path_text" } else { "json_path" };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8, texts()]);
    answering(Function::new(name, takes, |_| Some(DataType::Utf8), computes), text, binary)
}

/// `json_extract_path(json, key, …)`.
fn extract(name: &'static str, text: bool, binary: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let columns = (0..args.len()).map(|at| arg::<StringArray>(args, at)).collect::<Result<Vec<_>>>()?;
        let one = |row: usize| {
            let Some((values, keys)) = columns.split_first() else { return Ok(None) };
            if values.is_null(row) {
                return Ok(None);
            }
            let keys = keys.iter().map(|keys| keys.is_valid(row).then(|| keys.value(row)));
            Ok(given(follow(values.value(row), keys)?, text))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() > 1).then(|| vec![DataType::Utf8; types.len()]);
    answering(Function::new(name, takes, |_| Some(DataType::Utf8), computes), text, binary)
}

/// `jsonb[key]`.
pub(super) fn subscripted() -> Function {
    extract("jsonb_subscript", false, true)
}

/// `json @> json`.
pub(super) fn contains() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let found = left.iter().zip(right.iter()).map(|pair| match pair {
            (Some(left), Some(right)) => Ok(Some(holds(&parsed(left)?, &parsed(right)?, true))),
            _ => Ok(None),
        });
        Ok(Arc::new(found.collect::<Result<BooleanArray>>()?) as ArrayRef)
    };
    Function::new("jsonb_contains", two_texts, |_| Some(DataType::Boolean), computes)
}

/// Whether a value holds all of another; an array holds a bare value at the outermost only.
fn holds(whole: &Value, part: &Value, outermost: bool) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|value| holds(value, part, false)))
        }
        (Value::Array(whole), Value::Array(part)) => part.iter().all(|part| whole.iter().any(|value| holds(value, part, false))),
        (Value::Array(whole), part) if outermost && !part.is_object() => whole.iter().any(|value| same(value, part)),
        (whole, part) => same(whole, part),
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right).is_eq(),
        _ => left == right,
    }
}

/// `json ? key`.
pub(super) fn has_key() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (values, keys) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let found = values.iter().zip(keys.iter()).map(|pair| match pair {
            (Some(value), Some(key)) => Ok(Some(match parsed(value)? {
                Value::Object(members) => members.contains_key(key),
                Value::Array(elements) => elements.iter().any(|element| element.as_str() == Some(key)),
                Value::String(text) => text == key,
                _ => false,
            })),
            _ => Ok(None),
        });
        Ok(Arc::new(found.collect::<Result<BooleanArray>>()?) as ArrayRef)
    };
    Function::new("jsonb_exists", two_texts, |_| Some(DataType::Boolean), computes)
}

fn two_texts(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 2).then(|| vec![DataType::Utf8; 2])
}

fn one_text(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 1).then(|| vec![DataType::Utf8])
}

fn length() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let count = |text: &str| {
            check(text)?;
            let elements = Parts::of(text).filter(|parts| !parts.object).map(Iterator::count);
            let elements = elements.ok_or_else(|| fault(SqlState::INVALID_PARAMETER_VALUE, "cannot get array length of a non-array"))?;
            Ok(i32::try_from(elements).unwrap_or(i32::MAX))
        };
        let counts = arg::<StringArray>(args, 0)?.iter().map(|text| text.map(count).transpose());
        Ok(Arc::new(counts.collect::<Result<Int32Array>>()?) as ArrayRef)
    };
    Function::new("json_array_length", one_text, |_| Some(DataType::Int32), computes).aliases(&["jsonb_array_length"])
}

fn kind() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let kind = |text: &str| {
            check(text)?;
            Ok(kind_of(text))
        };
        let kinds = arg::<StringArray>(args, 0)?.iter().map(|text| text.map(kind).transpose());
        Ok(Arc::new(kinds.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    Function::new("json_typeof", one_text, |_| Some(DataType::Utf8), computes).aliases(&["jsonb_typeof"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_a_part_of_the_text() {
        let text = r#" {"a": {"b" : [1, "x,}", 1.50]}, "k\"": null, "a": {"b": [7, {"c":2}]}} "#;
        assert_eq!(step(text, &Step::Key("a")), Some(r#"{"b": [7, {"c":2}]}"#));
        assert_eq!(step(text, &Step::Key("k\"")), Some("null"));
        assert_eq!(step(text, &Step::Key("b")), None);
        assert_eq!(follow(text, ["a", "b", "-1", "c"].map(Some).into_iter()).unwrap(), Some("2"));
        assert_eq!(step("[1, [2,3] ,4]", &Step::Element(1)), Some("[2,3]"));
        assert_eq!(step("[]", &Step::Element(0)), None);
    }

    #[test]
    fn what_is_no_json_is_refused_without_its_text() {
        let fault = follow("{secret", std::iter::empty()).unwrap_err();
        assert!(!fault.to_string().contains("secret"));
    }

    #[test]
    fn containment_is_deep_and_counts_no_duplicates() {
        let holds = |whole: &str, part: &str| holds(&parsed(whole).unwrap(), &parsed(part).unwrap(), true);
        assert!(holds(r#"{"a":1,"b":{"c":[1,2]}}"#, r#"{"b":{"c":[2]}}"#));
        assert!(holds("[1,2]", "[2,2]"));
        assert!(holds("[1,2]", "1"));
        assert!(holds(r#"{"a":1}"#, r#"{"a":1.0}"#));
        assert!(!holds(r#"{"a":[1]}"#, r#"{"a":1}"#));
        assert!(!holds("1", "[1]"));
    }
}
