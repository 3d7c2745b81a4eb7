//! JSON made of values: to_json(), json_build_object(), json_agg() and their like, in PostgreSQL's layout.
//!
//! INVARIANT: what is made is at most six bytes for each byte that it is made of, and its punctuation.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::logical_expr::ScalarUDF;

use crate::catalog::TYPE_KEY;
use crate::error::SqlState;

use super::Facts;
use super::function::{Function, Result, fault, first};
use super::json::{self, Parts};
use super::{text, typed};

/// The functions by name.
pub(super) fn all(facts: Facts) -> Vec<Arc<ScalarUDF>> {
    let mut functions = Vec::new();
    for binary in [false, true] {
        let name = |json: &'static str, jsonb: &'static str| if binary { jsonb } else { json };
        functions.push(to_json(name("to_json", "to_jsonb"), binary, facts));
        functions.push(object(name("json_build_object", "jsonb_build_object"), binary, facts));
        functions.push(array(name("json_build_array", "jsonb_build_array"), binary, facts));
        functions.push(list(name("meshgate_json_agg", "meshgate_jsonb_agg"), binary));
        functions.push(pairs(name("meshgate_json_object_agg", "meshgate_jsonb_object_agg"), binary, facts));
    }
    functions.push(to_json(LINE, false, facts));
    functions.push(to_json("array_to_json", false, facts));
    functions.push(to_json("row_to_json", false, facts));
    functions.into_iter().map(Function::udf).collect()
}

/// An element of json_agg().
const LINE: &str = "meshgate_json_line";

fn kind(binary: bool) -> &'static str {
    if binary { "jsonb" } else { "json" }
}

fn done(text: String, binary: bool) -> String {
    if binary { canonical(&text) } else { text }
}

fn any(types: &[DataType]) -> Option<Vec<DataType>> {
    Some(types.iter().map(plain).collect())
}

/// A type that is written here.
fn plain(found: &DataType) -> DataType {
    match found {
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            let inner = Field::new_list_field(plain(field.data_type()), true).with_metadata(field.metadata().clone());
            DataType::List(Arc::new(inner))
        }
        found => text::written_as(found).unwrap_or_else(|| found.clone()),
    }
}

fn to_json(name: &'static str, binary: bool, facts: Facts) -> Function {
    let computes = move |args: &[ArrayRef], fields: &[FieldRef], rows: usize| {
        let texts = values(first(args)?, fields.first(), facts)?;
        // In a list, rows and arrays stand on lines of their own.
        let line = name == LINE && first(args)?.data_type().is_nested();
        let parted = args.get(1).and_then(|parted| parted.as_boolean_opt());
        let shown = |row: usize| match parted {
            Some(parted) if parted.value(row) => on_lines(&text_at(&texts, row)),
            _ if line => format!("\n {}", text_at(&texts, row)),
            _ => done(text_at(&texts, row), binary),
        };
        let one = |row: usize| args.iter().all(|arg| arg.is_valid(row)).then(|| shown(row));
        Ok(Arc::new((0..rows).map(one).collect::<StringArray>()) as ArrayRef)
    };
    let takes = move |types: &[DataType]| match (name, types) {
        ("array_to_json", [found]) if !found.is_list() => None,
        ("row_to_json", [found]) if !matches!(found, DataType::Struct(_)) => None,
        ("array_to_json", [found, DataType::Boolean]) if found.is_list() => any(types),
        ("row_to_json", [DataType::Struct(_), DataType::Boolean]) => any(types),
        (_, [_]) => any(types),
        _ => None,
    };
    Function::with_fields(name, takes, |_| Some(DataType::Utf8), computes).of_statement(facts).answers(kind(binary))
}

/// A JSON whose outermost parts stand on lines of their own.
fn on_lines(text: &str) -> String {
    let Some(parts) = Parts::of(text) else { return text.to_owned() };
    let (open, close) = if parts.object { ('{', '}') } else { ('[', ']') };
    let part = |(name, value): (Option<&str>, &str)| name.map_or_else(|| value.to_owned(), |name| format!("{name}:{value}"));
    format!("{open}{}{close}", parts.map(part).collect::<Vec<_>>().join(",\n "))
}

/// The JSON text of each value; NULL is null.
fn values(array: &ArrayRef, field: Option<&FieldRef>, facts: Facts) -> Result<Vec<String>> {
    let json = field.is_some_and(|field| matches!(field.metadata().get(TYPE_KEY).map(String::as_str), Some("json" | "jsonb" | "numeric")));
    if let Some(lists) = array.as_list_opt::<i32>() {
        let DataType::List(inner) = array.data_type() else { return Err(no_type()) };
        // An array of JSON values has a name of its own; its elements need not.
        let named = field.and_then(|field| typed::element_of(field));
        let inner = match named {
            Some(name) => &Arc::new(inner.as_ref().clone().with_metadata([(TYPE_KEY.to_owned(), name.to_owned())].into())),
            None => inner,
        };
        let list = |at: usize| {
            if array.is_null(at) {
                return Ok("null".to_owned());
            }
            Ok(format!("[{}]", values(&lists.value(at), Some(inner), facts)?.join(",")))
        };
        return (0..array.len()).map(list).collect();
    }
    if let Some(rows) = array.as_struct_opt() {
        let names: Vec<String> = rows.column_names().iter().map(|name| quoted(name)).collect();
        let columns = rows
            .columns()
            .iter()
            .zip(rows.fields())
            .map(|(column, field)| {
                // The columns of a row have the types that they had before any function saw them.
                let column = arrow::compute::cast(column, &plain(column.data_type()))?;
                values(&column, Some(field), facts)
            })
            .collect::<Result<Vec<_>>>()?;
        let row = |at: usize| {
            if array.is_null(at) {
                return "null".to_owned();
            }
            let members: Vec<String> = names.iter().zip(&columns).map(|(name, column)| format!("{name}:{}", text_at(column, at))).collect();
            format!("{{{}}}", members.join(","))
        };
        return Ok((0..array.len()).map(row).collect());
    }
    let bare = array.data_type().is_numeric() || matches!(array.data_type(), DataType::Boolean) || json;
    let moment = matches!(array.data_type(), DataType::Timestamp(..));
    let shown = text::texts(array, facts)?;
    Ok(shown
        .iter()
        .map(|text| match text {
            None => "null".to_owned(),
            Some(text) if bare && !text.ends_with(['N', 'y']) => text.to_owned(),
            Some(text) if moment => quoted(&iso(text)),
            Some(text) => quoted(text),
        })
        .collect())
}

/// `2026-01-02T03:04:05+00:00`
fn iso(text: &str) -> String {
    let moment = text.replacen(' ', "T", 1);
    match moment.rfind(['+', '-']).filter(|at| *at > 10 && moment.len() - at == 3) {
        Some(_) => moment + ":00",
        None => moment,
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn text_at(texts: &[String], at: usize) -> String {
    texts.get(at).cloned().unwrap_or_else(|| "null".to_owned())
}

fn no_type() -> datafusion::error::DataFusionError {
    fault(SqlState::INTERNAL_ERROR, "a list without its type")
}

/// The texts of every argument, a column each.
fn columns(args: &[ArrayRef], fields: &[FieldRef], facts: Facts) -> Result<Vec<Vec<String>>> {
    args.iter().enumerate().map(|(at, array)| values(array, fields.get(at), facts)).collect()
}

/// A key is a text, whatever it is made of.
fn key(json: &str) -> Result<String> {
    match json {
        "null" => Err(fault(SqlState::INVALID_PARAMETER_VALUE, "null value not allowed for object key")),
        quoted if quoted.starts_with('"') => Ok(quoted.to_owned()),
        bare => Ok(quoted(bare)),
    }
}

fn object(name: &'static str, binary: bool, facts: Facts) -> Function {
    let computes = move |args: &[ArrayRef], fields: &[FieldRef], rows: usize| {
        let columns = columns(args, fields, facts)?;
        let one = |row: usize| {
            let members = columns.chunks(2).map(|pair| match pair {
                [keys, values] => Ok(format!("{} : {}", key(&text_at(keys, row))?, text_at(values, row))),
                _ => Err(fault(SqlState::INVALID_PARAMETER_VALUE, "argument list must have even number of elements")),
            });
            Ok(Some(done(format!("{{{}}}", members.collect::<Result<Vec<_>>>()?.join(", ")), binary)))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    Function::with_fields(name, any, |_| Some(DataType::Utf8), computes).of_statement(facts).answers(kind(binary))
}

fn array(name: &'static str, binary: bool, facts: Facts) -> Function {
    let computes = move |args: &[ArrayRef], fields: &[FieldRef], rows: usize| {
        let columns = columns(args, fields, facts)?;
        let one = |row: usize| {
            let elements: Vec<String> = columns.iter().map(|column| text_at(column, row)).collect();
            Some(done(format!("[{}]", elements.join(", ")), binary))
        };
        Ok(Arc::new((0..rows).map(one).collect::<StringArray>()) as ArrayRef)
    };
    Function::with_fields(name, any, |_| Some(DataType::Utf8), computes).of_statement(facts).answers(kind(binary))
}

/// The elements of the list of a row.
fn elements(args: &[ArrayRef], at: usize, row: usize) -> Result<Option<(ArrayRef, FieldRef)>> {
    let list = args.get(at).ok_or_else(no_type)?;
    let DataType::List(inner) = list.data_type() else { return Err(no_type()) };
    Ok(list.is_valid(row).then(|| (list.as_list::<i32>().value(row), Arc::clone(inner))))
}

/// Elements that are JSON already.
fn joined(elements: &ArrayRef) -> Result<Vec<&str>> {
    let texts = elements.as_string_opt::<i32>().ok_or_else(no_type)?;
    Ok(texts.iter().map(|text| text.unwrap_or("null")).collect())
}

/// Bytes of the texts that one call puts together.
const PUT_TOGETHER_BYTES_MAX: usize = 512 << 20;

/// Whether there is room for the parts of one more text.
fn fits(made: &mut usize, parts: &[impl AsRef<str>]) -> Result<()> {
    *made = parts.iter().fold(*made, |made, part| made.saturating_add(part.as_ref().len() + ", ".len()));
    if *made > PUT_TOGETHER_BYTES_MAX {
        return Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "JSON texts of 512 MiB are too large"));
    }
    Ok(())
}

/// `json_agg(x)` of the list that array_agg() has made of JSON values.
fn list(name: &'static str, binary: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let mut made = 0;
        let one = |row: usize| match elements(args, 0, row)? {
            Some((elements, _)) => {
                let joined = joined(&elements)?;
                fits(&mut made, &joined)?;
                let joined = joined.join(", ");
                Ok(Some(done(format!("[{}]", joined.trim_start()), binary)))
            }
            None => Ok(None),
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| if types.len() == 1 { any(types) } else { None };
    Function::new(name, takes, |_| Some(DataType::Utf8), computes).answers(kind(binary))
}

/// `json_object_agg(key, value)` of a list of keys and a list of JSON values.
fn pairs(name: &'static str, binary: bool, facts: Facts) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let mut made = 0;
        let one = |row: usize| {
            let (Some((keys, inner)), Some((members, _))) = (elements(args, 0, row)?, elements(args, 1, row)?) else { return Ok(None) };
            let keys = values(&keys, Some(&inner), facts)?;
            let members = joined(&members)?;
            fits(&mut made, &members)?;
            fits(&mut made, &keys)?;
            let members = keys.iter().zip(members).map(|(name, value)| Ok(format!("{} : {value}", key(name)?)));
            Ok(Some(done(format!("{{ {} }}", members.collect::<Result<Vec<_>>>()?.join(", ")), binary)))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| if types.len() == 2 { any(types) } else { None };
    Function::new(name, takes, |_| Some(DataType::Utf8), computes).of_statement(facts).answers(kind(binary))
}

/// The text of a jsonb: keys once each, the shorter first, one blank behind colons and commas.
pub(in crate::engine) fn canonical(text: &str) -> String {
    let text = text.trim();
    match Parts::of(text) {
        Some(parts) if parts.object => {
            let name = |spelled: Option<&str>| spelled.and_then(|spelled| serde_json::from_str::<String>(spelled).ok()).unwrap_or_default();
            let members: BTreeMap<String, &str> = parts.map(|(spelled, value)| (name(spelled), value)).collect();
            let mut members: Vec<(String, &str)> = members.into_iter().collect();
            members.sort_by_key(|(name, _)| name.len());
            let shown: Vec<String> = members.iter().map(|(name, value)| format!("{}: {}", quoted(name), canonical(value))).collect();
            format!("{{{}}}", shown.join(", "))
        }
        Some(parts) => format!("[{}]", parts.map(|(_, value)| canonical(value)).collect::<Vec<_>>().join(", ")),
        None if text.starts_with('"') => serde_json::from_str::<String>(text).map_or_else(|_| text.to_owned(), |text| quoted(&text)),
        None => plain_number(text).unwrap_or_else(|| text.to_owned()),
    }
}

/// A number without its exponent, with the digits that it then has; `None` if it has none, or would be too long.
fn plain_number(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok().filter(|exponent: &i32| exponent.unsigned_abs() <= 400)?;
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let padded = if point <= 0 { format!("{}{all}", "0".repeat(usize::try_from(1 - point).ok()?)) } else { all };
    let point = usize::try_from(point.max(1)).ok()?;
    let padded = format!("{padded:0<point$}");
    let (whole, fraction) = padded.split_at_checked(point)?;
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// A text as json or jsonb, or a fault if it is none.
pub(super) fn read(binary: bool) -> Function {
    let computes = move |args: &[ArrayRef], _fields: &[FieldRef], _rows: usize| {
        let texts = first(args)?.as_string::<i32>();
        let one = |text: &str| json::check(text).map(|()| done(text.to_owned(), binary));
        Ok(Arc::new(texts.iter().map(|text| text.map(one).transpose()).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Utf8]);
    Function::with_fields("json_in", takes, |_| Some(DataType::Utf8), computes).variant(u64::from(binary)).answers(kind(binary))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array};

    use super::*;

    #[test]
    fn values_are_written_as_json() {
        let of = |array: ArrayRef| values(&array, None, Facts::plain()).unwrap();
        assert_eq!(of(Arc::new(Int32Array::from(vec![Some(1), None]))), ["1", "null"]);
        assert_eq!(of(Arc::new(StringArray::from(vec!["a\"\n"]))), [r#""a\"\n""#]);
        assert_eq!(of(Arc::new(Float64Array::from(vec![1.5, f64::NAN, f64::NEG_INFINITY]))), ["1.5", r#""NaN""#, r#""-Infinity""#]);
        assert_eq!(iso("2026-01-02 03:04:05+01"), "2026-01-02T03:04:05+01:00");
        assert_eq!(iso("2026-01-02 03:04:05.5"), "2026-01-02T03:04:05.5");
    }

    #[test]
    fn a_jsonb_has_one_form() {
        assert_eq!(canonical(r#" {"bb":1,"a" : [1,{"x":null}],"a":"\u0041"} "#), r#"{"a": "A", "bb": 1}"#);
        assert_eq!(canonical("[ ]"), "[]");
        assert_eq!(canonical("[1e2, 1.5E-3, -2.50e1, 1.50]"), "[100, 0.0015, -25.0, 1.50]");
    }

    #[test]
    fn a_key_is_a_text_and_never_null() {
        assert_eq!(key("1").unwrap(), "\"1\"");
        assert!(key("null").is_err());
    }
}
