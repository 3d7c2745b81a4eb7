//! Changes of jsonb values: joining, removing, setting; their order; and their other layouts.
//!
//! Parts are kept as the texts that they are, so that no number loses a digit.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::json::{self, Parts};
use super::json_build::{canonical, quoted};

/// The functions by name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        set("jsonb_set", false).udf(),
        set("jsonb_insert", true).udf(),
        layout("jsonb_pretty", None, indented).udf(),
        layout("jsonb_strip_nulls", Some("jsonb"), |text| Ok(canonical(&stripped(text)))).udf(),
        layout("json_strip_nulls", Some("json"), |text| Ok(stripped(text))).udf(),
        object(false).udf(),
        object(true).udf(),
    ]
}

/// Bytes that one value may take over lines.
const LAYOUT_BYTES_MAX: usize = 64 << 20;

fn refused(text: &str) -> datafusion::error::DataFusionError {
    fault(SqlState::INVALID_PARAMETER_VALUE, text)
}

fn texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// A value taken apart one level.
enum Node<'a> {
    Object(Vec<(String, &'a str)>),
    Array(Vec<&'a str>),
    Scalar(&'a str),
}

impl<'a> Node<'a> {
    fn of(text: &'a str) -> Self {
        match Parts::of(text) {
            Some(parts) if parts.object => {
                let key = |key: Option<&str>| key.and_then(|key| serde_json::from_str(key).ok()).unwrap_or_default();
                Self::Object(parts.map(|(name, value)| (key(name), value)).collect())
            }
            Some(parts) => Self::Array(parts.map(|(_, value)| value).collect()),
            None => Self::Scalar(text.trim()),
        }
    }
}

fn written_object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let members: Vec<String> = members.map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
    format!("{{{}}}", members.join(","))
}

fn written_array<'a>(elements: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", elements.collect::<Vec<_>>().join(","))
}

/// A function of two jsonb values.
fn of_two(name: &'static str, make: fn(&str, &str) -> Result<String>) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let made = left.iter().zip(right.iter()).map(|pair| match pair {
            (Some(left), Some(right)) => make(left, right).map(Some),
            _ => Ok(None),
        });
        Ok(Arc::new(made.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8; 2]);
    Function::new(name, takes, |_| Some(DataType::Utf8), computes).answers("jsonb")
}

/// `jsonb || jsonb`.
pub(super) fn joined() -> Function {
    of_two("jsonb_concat", |left, right| {
        json::check(left)?;
        json::check(right)?;
        Ok(canonical(&match (Node::of(left), Node::of(right)) {
            (Node::Object(one), Node::Object(other)) => written_object(one.iter().chain(&other).map(|(key, value)| (key.as_str(), *value))),
            (one, other) => {
                let elements = |node: Node<'_>, whole: &str| match node {
                    Node::Array(elements) => elements.into_iter().map(str::to_owned).collect(),
                    Node::Object(_) | Node::Scalar(_) => vec![whole.to_owned()],
                };
                let all: Vec<String> = elements(one, left).into_iter().chain(elements(other, right)).collect();
                written_array(all.iter().map(String::as_str))
            }
        }))
    })
}

/// `jsonb - text`.
pub(super) fn without_key() -> Function {
    of_two("jsonb_delete", |value, key| {
        json::check(value)?;
        without(value, &[Some(key)])
    })
}

fn without(value: &str, keys: &[Option<&str>]) -> Result<String> {
    let gone = |key: &str| keys.contains(&Some(key));
    Ok(canonical(&match Node::of(value) {
        Node::Object(members) => written_object(members.iter().filter(|(key, _)| !gone(key)).map(|(key, value)| (key.as_str(), *value))),
        Node::Array(elements) => {
            let text = |element: &str| serde_json::from_str::<String>(element).is_ok_and(|text| gone(&text));
            written_array(elements.into_iter().filter(|element| !text(element)))
        }
        Node::Scalar(_) => return Err(refused("cannot delete from scalar")),
    }))
}

/// `jsonb - integer`.
pub(super) fn without_element() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (values, places) = (arg::<StringArray>(args, 0)?, arg::<Int64Array>(args, 1)?);
        let made = values.iter().zip(places.iter()).map(|pair| match pair {
            (Some(value), Some(place)) => {
                json::check(value)?;
                match Node::of(value) {
                    Node::Array(elements) => {
                        let gone = position(place, elements.len());
                        let kept = elements.iter().enumerate().filter(|(at, _)| Some(*at) != gone).map(|(_, element)| *element);
                        Ok(Some(canonical(&written_array(kept))))
                    }
                    Node::Object(_) => Err(refused("cannot delete from object using integer index")),
                    Node::Scalar(_) => Err(refused("cannot delete from scalar")),
                }
            }
            _ => Ok(None),
        });
        Ok(Arc::new(made.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8, DataType::Int64]);
    Function::new("jsonb_delete_element", takes, |_| Some(DataType::Utf8), computes).answers("jsonb")
}

/// The place of an element; a number below zero counts from the end.
fn position(place: i64, length: usize) -> Option<usize> {
    let place = if place < 0 { i64::try_from(length).ok()? + place } else { place };
    usize::try_from(place).ok().filter(|place| *place < length)
}

/// The texts of an array of a row.
fn path_of(lists: &ListArray, row: usize) -> Option<ArrayRef> {
    lists.is_valid(row).then(|| lists.value(row))
}

fn steps(path: &ArrayRef) -> Vec<Option<&str>> {
    path.as_any().downcast_ref::<StringArray>().map(|steps| steps.iter().collect()).unwrap_or_default()
}

/// `jsonb - text[]`, or `jsonb #- text[]`.
pub(super) fn without_all(path: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let (values, lists) = (arg::<StringArray>(args, 0)?, arg::<ListArray>(args, 1)?);
        let one = |row: usize| {
            let Some(keys) = path_of(lists, row).filter(|_| values.is_valid(row)) else { return Ok(None) };
            let (value, keys) = (values.value(row), steps(&keys));
            json::check(value)?;
            if path { changed(value, &keys, &Change::Remove).map(|text| Some(canonical(&text))) } else { without(value, &keys).map(Some) }
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8, texts()]);
    let name = if path { "jsonb_delete_path" } else { "jsonb_delete_keys" };
    Function::new(name, takes, |_| Some(DataType::Utf8), computes).answers("jsonb")
}

/// `jsonb ?| text[]`, `jsonb ?& text[]`.
pub(super) fn has_keys(all: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let (values, lists) = (arg::<StringArray>(args, 0)?, arg::<ListArray>(args, 1)?);
        let one = |row: usize| {
            let Some(keys) = path_of(lists, row).filter(|_| values.is_valid(row)) else { return Ok(None) };
            let value = values.value(row);
            json::check(value)?;
            let has = |key: &str| match Node::of(value) {
                Node::Object(members) => members.iter().any(|(name, _)| name == key),
                Node::Array(elements) => {
                    elements.iter().any(|element| serde_json::from_str::<String>(element).is_ok_and(|text| text == key))
                }
                Node::Scalar(text) => serde_json::from_str::<String>(text).is_ok_and(|text| text == key),
            };
            let mut keys = steps(&keys).into_iter().flatten();
            Ok(Some(if all { keys.all(has) } else { keys.any(has) }))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<BooleanArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8, texts()]);
    let name = if all { "jsonb_exists_all" } else { "jsonb_exists_any" };
    Function::new(name, takes, |_| Some(DataType::Boolean), computes)
}

/// What is done where a path ends.
enum Change<'a> {
    Remove,
    /// The new value; whether a member that is not there is made.
    Set(&'a str, bool),
    /// The new value; whether it goes behind the element.
    Insert(&'a str, bool),
}

fn changed(value: &str, path: &[Option<&str>], change: &Change<'_>) -> Result<String> {
    let Some((step, rest)) = path.split_first() else { return Ok(value.to_owned()) };
    let Some(step) = step else { return Err(fault(SqlState::NULL_VALUE_NOT_ALLOWED, "path element is null")) };
    match Node::of(value) {
        Node::Object(members) => in_object(members, step, rest, change),
        Node::Array(elements) => in_array(elements, step, rest, change),
        Node::Scalar(text) => Ok(text.to_owned()),
    }
}

fn in_object(members: Vec<(String, &str)>, step: &str, rest: &[Option<&str>], change: &Change<'_>) -> Result<String> {
    let known = members.iter().any(|(key, _)| key == step);
    let mut made: Vec<(String, String)> = Vec::with_capacity(members.len() + 1);
    for (key, value) in members {
        if key != step {
            made.push((key, value.to_owned()));
            continue;
        }
        match change {
            _ if !rest.is_empty() => made.push((key, changed(value, rest, change)?)),
            Change::Remove => {}
            Change::Set(new, _) => made.push((key, (*new).to_owned())),
            Change::Insert(..) => return Err(refused("cannot replace existing key")),
        }
    }
    if let (false, true, Change::Set(new, true) | Change::Insert(new, _)) = (known, rest.is_empty(), change) {
        made.push((step.to_owned(), (*new).to_owned()));
    }
    Ok(written_object(made.iter().map(|(key, value)| (key.as_str(), value.as_str()))))
}

fn in_array(elements: Vec<&str>, step: &str, rest: &[Option<&str>], change: &Change<'_>) -> Result<String> {
    let place: i64 = step.trim().parse().map_err(|_| fault(SqlState::INVALID_TEXT_REPRESENTATION, "path element is not an integer"))?;
    let found = position(place, elements.len());
    let mut made: Vec<String> = elements.iter().map(|element| (*element).to_owned()).collect();
    match (found, change) {
        (Some(at), _) if !rest.is_empty() => {
            if let Some(slot) = made.get_mut(at) {
                *slot = changed(elements.get(at).copied().unwrap_or_default(), rest, change)?;
            }
        }
        (Some(at), Change::Remove) => {
            made.remove(at);
        }
        (Some(at), Change::Set(new, _)) => {
            if let Some(slot) = made.get_mut(at) {
                (*new).clone_into(slot);
            }
        }
        (Some(at), Change::Insert(new, after)) => made.insert(at + usize::from(*after), (*new).to_owned()),
        (None, Change::Set(new, true) | Change::Insert(new, _)) if rest.is_empty() => {
            let at = if place < 0 { 0 } else { made.len() };
            made.insert(at, (*new).to_owned());
        }
        _ => {}
    }
    Ok(written_array(made.iter().map(String::as_str)))
}

/// `jsonb_set(target, path, value [, create])`, `jsonb_insert(target, path, value [, after])`.
fn set(name: &'static str, insert: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let (targets, paths) = (arg::<StringArray>(args, 0)?, arg::<ListArray>(args, 1)?);
        let news = arg::<StringArray>(args, 2)?;
        let flags = if args.len() > 3 { Some(arg::<BooleanArray>(args, 3)?) } else { None };
        let one = |row: usize| {
            let flag = flags.map_or(Some(!insert), |flags| flags.is_valid(row).then(|| flags.value(row)));
            let path = path_of(paths, row).filter(|_| targets.is_valid(row) && news.is_valid(row));
            let (Some(flag), Some(path)) = (flag, path) else { return Ok(None) };
            let (target, new) = (targets.value(row), news.value(row));
            json::check(target)?;
            json::check(new)?;
            if matches!(Node::of(target), Node::Scalar(_)) {
                return Err(refused("cannot set path in scalar"));
            }
            let change = if insert { Change::Insert(new, flag) } else { Change::Set(new, flag) };
            changed(target, &steps(&path), &change).map(|text| Some(canonical(&text)))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| {
        let wanted = [DataType::Utf8, texts(), DataType::Utf8, DataType::Boolean];
        matches!(types.len(), 3 | 4).then(|| wanted.into_iter().take(types.len()).collect())
    };
    Function::new(name, takes, |_| Some(DataType::Utf8), computes).answers("jsonb")
}

/// A function that writes a JSON anew.
fn layout(name: &'static str, pg_type: Option<&'static str>, write: fn(&str) -> Result<String>) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let one = |text: &str| json::check(text).and_then(|()| write(text));
        let texts = arg::<StringArray>(args, 0)?.iter().map(|text| text.map(one).transpose());
        Ok(Arc::new(texts.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Utf8]);
    let function = Function::new(name, takes, |_| Some(DataType::Utf8), computes);
    match pg_type {
        Some(pg_type) => function.answers(pg_type),
        None => function,
    }
}

/// The value over lines, if it stays within bounds: each of many elements deep inside begins with as many blanks.
fn indented(text: &str) -> Result<String> {
    let depth = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count().min(128);
    if text.len().saturating_mul(4 * depth + 2) > LAYOUT_BYTES_MAX {
        return Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large"));
    }
    Ok(pretty(text, 0))
}

/// A line for each member and element, four blanks further in for each level.
fn pretty(text: &str, depth: usize) -> String {
    let (inner, outer) = (" ".repeat(4 * (depth + 1)), " ".repeat(4 * depth));
    let lines: (Vec<String>, char, char) = match Node::of(text) {
        Node::Object(members) => {
            (members.iter().map(|(key, value)| format!("{inner}{}: {}", quoted(key), pretty(value, depth + 1))).collect(), '{', '}')
        }
        Node::Array(elements) => (elements.iter().map(|value| format!("{inner}{}", pretty(value, depth + 1))).collect(), '[', ']'),
        Node::Scalar(text) => return text.to_owned(),
    };
    let (lines, open, close) = lines;
    if lines.is_empty() { format!("{open}\n{outer}{close}") } else { format!("{open}\n{}\n{outer}{close}", lines.join(",\n")) }
}

/// The value without members that are null.
fn stripped(text: &str) -> String {
    match Node::of(text) {
        Node::Object(members) => {
            let kept: Vec<(String, String)> =
                members.into_iter().filter(|(_, value)| *value != "null").map(|(key, value)| (key, stripped(value))).collect();
            written_object(kept.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        }
        Node::Array(elements) => {
            let elements: Vec<String> = elements.into_iter().map(stripped).collect();
            written_array(elements.iter().map(String::as_str))
        }
        Node::Scalar(text) => text.to_owned(),
    }
}

/// `json_object(text[])`, `json_object(keys, values)`, and of jsonb.
fn object(binary: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let names = arg::<ListArray>(args, 0)?;
        let others = if args.len() > 1 { Some(arg::<ListArray>(args, 1)?) } else { None };
        let one = |row: usize| {
            let Some(names) = path_of(names, row) else { return Ok(None) };
            let other = others.map(|others| path_of(others, row));
            let pairs = match &other {
                Some(None) => return Ok(None),
                Some(Some(values)) => pairs_of_two(&names, values)?,
                None => pairs_of_one(&names)?,
            };
            let members = pairs.into_iter().map(|(name, value)| {
                let name = name.ok_or_else(|| fault(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for object key"))?;
                Ok(format!("{} : {}", quoted(&name), value.map_or_else(|| "null".to_owned(), |value| quoted(&value))))
            });
            let text = format!("{{{}}}", members.collect::<Result<Vec<_>>>()?.join(", "));
            Ok(Some(if binary { canonical(&text) } else { text }))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| matches!(types.len(), 1 | 2).then(|| types.iter().map(deep_texts).collect());
    let (name, pg_type) = if binary { ("jsonb_object", "jsonb") } else { ("json_object", "json") };
    Function::new(name, takes, |_| Some(DataType::Utf8), computes).answers(pg_type)
}

/// Arrays of texts of as many dimensions as the type has.
fn deep_texts(found: &DataType) -> DataType {
    match found {
        DataType::List(inner) if inner.data_type().is_nested() => {
            DataType::List(Arc::new(Field::new_list_field(deep_texts(inner.data_type()), true)))
        }
        _ => texts(),
    }
}

type Pair = (Option<String>, Option<String>);

fn misshaped(text: &str) -> datafusion::error::DataFusionError {
    fault(SqlState::ARRAY_SUBSCRIPT_ERROR, text)
}

/// Names and values of one array: in turn, or as its rows of two.
fn pairs_of_one(all: &ArrayRef) -> Result<Vec<Pair>> {
    let of_two = |texts: &[Option<&str>]| match texts {
        [name, value] => Some((name.map(str::to_owned), value.map(str::to_owned))),
        _ => None,
    };
    match all.as_any().downcast_ref::<ListArray>() {
        None => steps(all).chunks(2).map(of_two).collect::<Option<_>>().ok_or_else(|| misshaped("array must have even number of elements")),
        Some(rows) if rows.value_type().is_nested() => Err(misshaped("wrong number of array subscripts")),
        Some(rows) => {
            let pairs = rows.iter().map(|row| row.and_then(|row| of_two(&steps(&row))));
            pairs.collect::<Option<_>>().ok_or_else(|| misshaped("array must have two columns"))
        }
    }
}

fn pairs_of_two(names: &ArrayRef, values: &ArrayRef) -> Result<Vec<Pair>> {
    if names.data_type().is_nested() || values.data_type().is_nested() {
        return Err(misshaped("wrong number of array subscripts"));
    }
    let (names, values) = (steps(names), steps(values));
    if names.len() != values.len() {
        let empty = names.is_empty() || values.is_empty();
        return Err(misshaped(if empty { "wrong number of array subscripts" } else { "mismatched array dimensions" }));
    }
    Ok(names.into_iter().zip(values).map(|(name, value)| (name.map(str::to_owned), value.map(str::to_owned))).collect())
}

/// A list of jsonb values in their order: `array_sort(list, 'ASC' | 'DESC', 'NULLS FIRST' | 'NULLS LAST')`.
pub(super) fn sorted() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let lists = arg::<ListArray>(args, 0)?;
        let (directions, nulls) = (arg::<StringArray>(args, 1)?, arg::<StringArray>(args, 2)?);
        let mut made = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            let Some(values) = path_of(lists, row) else {
                made.append(false);
                continue;
            };
            let mut values = steps(&values);
            let (falls, nulls_first) = (directions.value(row) == "DESC", nulls.value(row) == "NULLS FIRST");
            values.sort_by(|one, other| match (one, other) {
                (Some(one), Some(other)) if falls => compared(other, one),
                (Some(one), Some(other)) => compared(one, other),
                (one, other) if nulls_first => one.is_some().cmp(&other.is_some()),
                (one, other) => one.is_none().cmp(&other.is_none()),
            });
            values.into_iter().for_each(|value| made.values().append_option(value));
            made.append(true);
        }
        Ok(Arc::new(made.finish()) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 3).then(|| vec![texts(), DataType::Utf8, DataType::Utf8]);
    Function::new("jsonb_sort", takes, |_| Some(texts()), computes)
}

/// Below zero, zero or above, as one jsonb stands before, beside or behind another.
pub(super) fn order() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let orders = left.iter().zip(right.iter()).map(|pair| match pair {
            (Some(left), Some(right)) => Some(compared(left, right) as i32),
            _ => None,
        });
        Ok(Arc::new(orders.collect::<Int32Array>()) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8; 2]);
    Function::new("jsonb_cmp", takes, |_| Some(DataType::Int32), computes)
}

/// Null, texts, numbers, truths, arrays, objects; the longer behind the shorter.
fn compared(left: &str, right: &str) -> Ordering {
    let rank = |node: &Node<'_>| match node {
        Node::Object(_) => 5,
        Node::Array(_) => 4,
        Node::Scalar("true" | "false") => 3,
        Node::Scalar("null") => 0,
        Node::Scalar(text) if text.starts_with('"') => 1,
        Node::Scalar(_) => 2,
    };
    match (Node::of(left), Node::of(right)) {
        (Node::Object(mut one), Node::Object(mut other)) => one.len().cmp(&other.len()).then_with(|| {
            let key = |member: &(String, &str)| (member.0.len(), member.0.clone());
            one.sort_by_key(key);
            other.sort_by_key(key);
            let pairs = one.iter().zip(&other);
            let mut orders = pairs.map(|(one, other)| one.0.cmp(&other.0).then_with(|| compared(one.1, other.1)));
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }),
        (Node::Array(one), Node::Array(other)) => one.len().cmp(&other.len()).then_with(|| {
            let mut orders = one.iter().zip(&other).map(|(one, other)| compared(one, other));
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }),
        (one, other) if rank(&one) != rank(&other) => rank(&one).cmp(&rank(&other)),
        (Node::Scalar(one), Node::Scalar(other)) => match (one.parse::<f64>(), other.parse::<f64>()) {
            (Ok(left), Ok(right)) => match (one.parse::<i128>(), other.parse::<i128>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                _ => left.total_cmp(&right),
            },
            _ => {
                let text = |spelled: &str| serde_json::from_str::<String>(spelled).unwrap_or_else(|_| spelled.to_owned());
                // `true` stands behind `false`, as it does by its letters.
                text(one).cmp(&text(other))
            }
        },
        (one, other) => rank(&one).cmp(&rank(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_set_and_removed() {
        let path = |path: &'static str| path.split(',').map(Some).collect::<Vec<_>>();
        assert_eq!(changed(r#"{"a":{"b":1}}"#, &path("a,b"), &Change::Remove).unwrap(), r#"{"a":{}}"#);
        assert_eq!(changed(r#"{"a":1}"#, &path("b"), &Change::Set("2", true)).unwrap(), r#"{"a":1,"b":2}"#);
        assert_eq!(changed(r#"{"a":1}"#, &path("b"), &Change::Set("2", false)).unwrap(), r#"{"a":1}"#);
        assert_eq!(changed("[1,2]", &path("1"), &Change::Insert("9", false)).unwrap(), "[1,9,2]");
        assert_eq!(changed("[1,2]", &path("-1"), &Change::Insert("9", true)).unwrap(), "[1,2,9]");
        assert!(changed(r#"{"a":1}"#, &path("a"), &Change::Insert("2", false)).is_err());
    }

    #[test]
    fn values_have_an_order() {
        for (less, more) in
            [("1", "2"), ("null", "\"a\""), ("\"a\"", "1"), ("[9]", "[1,2]"), ("9", "true"), ("[]", "{}"), ("false", "true")]
        {
            assert_eq!(compared(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(compared(more, less), Ordering::Greater, "{less} {more}");
        }
        assert_eq!(compared(r#"{"a":1.0,"b":2}"#, r#"{"b": 2, "a": 1}"#), Ordering::Equal);
    }

    #[test]
    fn layouts() {
        assert_eq!(pretty(r#"{"a": [1, {}]}"#, 0), "{\n    \"a\": [\n        1,\n        {\n        }\n    ]\n}");
        assert_eq!(stripped(r#"{"a":null,"b":[null,{"c":null}]}"#), r#"{"b":[null,{}]}"#);
    }
}
