//! Lists that stand for the rows of a function: the parts of a JSON, the matches of a pattern, the places of an array.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Builder, Int64Builder, ListArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, client, fault, first, message};
use super::json::{self, Parts};
use super::regexes;

/// The functions by name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        json_parts("meshgate_json_elements", |text| elements(text, false)).udf(),
        json_parts("meshgate_json_elements_text", |text| elements(text, true)).udf(),
        json_parts("meshgate_json_keys", keys).udf(),
        json_parts("meshgate_json_values", |text| values(text, false)).udf(),
        json_parts("meshgate_json_values_text", |text| values(text, true)).udf(),
        ordinals().udf(),
        subscripts().udf(),
        matches().udf(),
        of_json("meshgate_json_part", |text| Ok(text.to_owned())).udf(),
        of_json("meshgate_json_as_array", array_text).udf(),
        renamed("meshgate_as_json", "json").udf(),
        renamed("meshgate_as_jsonb", "jsonb").udf(),
    ]
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// A text that is known to be of a type.
fn renamed(name: &'static str, pg_type: &'static str) -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| first(args).cloned();
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Utf8]);
    Function::new(name, takes, |_| Some(DataType::Utf8), computes).answers(pg_type)
}

/// A text that is made of each JSON.
fn of_json(name: &'static str, make: fn(&str) -> Result<String>) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let made = arg::<StringArray>(args, 0)?.iter();
        // A JSON null is NULL.
        let made = made.map(|text| text.filter(|text| json::kind_of(text) != "null").map(make).transpose());
        Ok(Arc::new(made.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Utf8]);
    Function::new(name, takes, |_| Some(DataType::Utf8), computes)
}

/// The array that a JSON is, as a text that spells it.
fn array_text(text: &str) -> Result<String> {
    let Some(parts) = Parts::of(text).filter(|parts| !parts.object) else {
        // A text may spell an array itself.
        let spelled = json::given(Some(text), true).filter(|_| json::kind_of(text) == "string");
        let message = message(SqlState::INVALID_TEXT_REPRESENTATION, "expected JSON array");
        return spelled.ok_or_else(|| client(message));
    };
    let element = |part: &str| match json::kind_of(part) {
        "array" => array_text(part),
        "null" => Ok("NULL".to_owned()),
        _ => {
            let text = json::given(Some(part), true).unwrap_or_default();
            Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
        }
    };
    let elements = parts.map(|(_, part)| element(part)).collect::<Result<Vec<_>>>()?;
    Ok(format!("{{{}}}", elements.join(",")))
}

type Made = Vec<Option<String>>;

fn json_parts(name: &'static str, make: fn(&str) -> Result<Made>) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for text in arg::<StringArray>(args, 0)?.iter() {
            let Some(text) = text else {
                lists.append(false);
                continue;
            };
            json::check(text)?;
            for part in make(text)? {
                lists.values().append_option(part);
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Utf8]);
    Function::new(name, takes, |_| Some(list_of(DataType::Utf8)), computes)
}

fn refused(text: &str) -> datafusion::error::DataFusionError {
    fault(SqlState::INVALID_PARAMETER_VALUE, text)
}

fn elements(text: &str, unquoted: bool) -> Result<Made> {
    match Parts::of(text) {
        Some(parts) if !parts.object => Ok(parts.map(|(_, value)| json::given(Some(value), unquoted)).collect()),
        Some(_) => Err(refused("cannot extract elements from an object")),
        None => Err(refused("cannot extract elements from a scalar")),
    }
}

fn members(text: &str) -> Result<Parts<'_>> {
    match Parts::of(text) {
        Some(parts) if parts.object => Ok(parts),
        Some(_) => Err(refused("cannot deconstruct an array as an object")),
        None => Err(refused("cannot deconstruct a scalar")),
    }
}

fn keys(text: &str) -> Result<Made> {
    Ok(members(text)?.map(|(key, _)| key.and_then(|key| serde_json::from_str(key).ok())).collect())
}

fn values(text: &str, unquoted: bool) -> Result<Made> {
    Ok(members(text)?.map(|(_, value)| json::given(Some(value), unquoted)).collect())
}

/// Lists of any elements.
fn any_lists(types: &[DataType]) -> Option<Vec<DataType>> {
    let list = |found: &DataType| match found {
        DataType::List(_) => Some(found.clone()),
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) => Some(DataType::List(Arc::clone(field))),
        _ => None,
    };
    if types.is_empty() { None } else { types.iter().map(list).collect() }
}

/// The numbers from 1 to the length of the longest of the lists.
fn ordinals() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let columns = (0..args.len()).map(|at| arg::<ListArray>(args, at)).collect::<Result<Vec<_>>>()?;
        let mut lists = ListBuilder::new(Int64Builder::new());
        for row in 0..rows {
            let length = columns.iter().filter(|lists| lists.is_valid(row)).map(|lists| i64::from(lists.value_length(row))).max();
            (1..=length.unwrap_or(0)).for_each(|number| lists.values().append_value(number));
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    Function::new("meshgate_ordinals", any_lists, |_| Some(list_of(DataType::Int64)), computes)
}

/// The places of an array's elements: of its first dimension, which is the only one known here.
fn subscripts() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let values = arg::<ListArray>(args, 0)?;
        let dimensions = arg::<arrow::array::Int64Array>(args, 1)?;
        let mut lists = ListBuilder::new(Int32Builder::new());
        for row in 0..rows {
            let known = values.is_valid(row) && dimensions.is_valid(row);
            if known && dimensions.value(row) > 1 && values.value_type().is_nested() {
                return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "subscripts of inner dimensions are not supported"));
            }
            let length = if known && dimensions.value(row) == 1 { values.value_length(row) } else { 0 };
            (1..=length).for_each(|number| lists.values().append_value(number));
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    let takes = |types: &[DataType]| match types {
        [list, _] => Some(vec![any_lists(std::slice::from_ref(list))?.pop()?, DataType::Int64]),
        _ => None,
    };
    Function::new("meshgate_subscripts", takes, |_| Some(list_of(DataType::Int32)), computes)
}

/// `regexp_matches(text, pattern [, flags])`: for each match the texts of its groups, or its own.
fn matches() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let flags = if args.len() > 2 { Some(arg::<StringArray>(args, 2)?) } else { None };
        let mut compiled = regexes::Compiled::default();
        let mut lists = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
        for row in 0..rows {
            let flag = flags.map_or(Some(""), |flags| flags.is_valid(row).then(|| flags.value(row)));
            if let Some(flag) = flag.filter(|_| texts.is_valid(row) && patterns.is_valid(row)) {
                let (pattern, global) = compiled.flagged(patterns.value(row), flag)?;
                let most = if global { usize::MAX } else { 1 };
                for found in pattern.every(texts.value(row), 0).take(most) {
                    let groups = lists.values();
                    found?.parts().for_each(|part| groups.values().append_option(part));
                    groups.append(true);
                }
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    let takes = |types: &[DataType]| matches!(types.len(), 2 | 3).then(|| vec![DataType::Utf8; types.len()]);
    Function::new("meshgate_regexp_matches", takes, |_| Some(list_of(list_of(DataType::Utf8))), computes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_json_are_rows() {
        assert_eq!(elements(r#"[1, "a", null]"#, false).unwrap(), [Some("1".into()), Some("\"a\"".into()), Some("null".into())]);
        assert_eq!(elements(r#"[1, "a", null]"#, true).unwrap(), [Some("1".into()), Some("a".into()), None]);
        assert_eq!(keys(r#"{"a": 1, "b": {}}"#).unwrap(), [Some("a".into()), Some("b".into())]);
        assert_eq!(values(r#"{"a": "x", "b": null}"#, true).unwrap(), [Some("x".into()), None]);
        assert_eq!(array_text(r#"[1, "a\"b", null, [true]]"#).unwrap(), r#"{"1","a\"b",NULL,{"true"}}"#);
        assert!(array_text("{}").is_err() && array_text("1").is_err());
        assert!(elements("{}", false).is_err() && keys("[]").is_err() && values("1", true).is_err());
    }
}
