//! Types that are texts to the engine: uuid, json, jsonb, varchar; and back.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::catalog::TYPE_KEY;
use crate::error::SqlState;

use super::function::{Function, Result, fault, first};
use super::{casts, json_build, regs};

/// The PostgreSQL type that a field names.
pub(super) fn named(field: &Field) -> Option<&str> {
    field.metadata().get(TYPE_KEY).map(String::as_str)
}

/// A text as a value of a type by its name; `None` if the name says nothing.
pub(super) fn read(value: Expr, name: &str, from: Option<&str>) -> Option<Expr> {
    if from == Some(name) {
        return Some(value);
    }
    Some(match name {
        "uuid" => uuid().call(vec![value]),
        // A jsonb is a json, and has one form already.
        "json" if from == Some("jsonb") => renamed("json").call(vec![value]),
        "json" => json_build::read(false).call(vec![value]),
        "jsonb" => json_build::read(true).call(vec![value]),
        "varchar" => renamed("varchar").call(vec![value]),
        "bpchar" => renamed("bpchar").call(vec![value]),
        "name" => renamed("name").call(vec![value]),
        _ => return None,
    })
}

/// The most letters of a numeric that is shown as it is written.
const UNBOUNDED_MAX: usize = 1_000;

/// A numeric that no column here could hold: of too many digits, not a number, or infinite. It can be shown, and nothing else.
pub(super) fn unbounded(text: &str) -> Option<Expr> {
    let text = text.trim();
    let (sign, size) = text.strip_prefix('-').map_or(("", text.strip_prefix('+').unwrap_or(text)), |size| ("-", size));
    let shown = match size.to_ascii_lowercase().as_str() {
        "nan" if size == text => "NaN".to_owned(),
        "infinity" | "inf" => format!("{sign}Infinity"),
        digits => {
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let plain = digits.len() <= UNBOUNDED_MAX && whole.bytes().chain(fraction.bytes()).all(|letter| letter.is_ascii_digit());
            let whole = whole.trim_start_matches('0');
            if !plain || whole.is_empty() {
                return None;
            }
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{sign}{whole}{point}{fraction}")
        }
    };
    Some(renamed("numeric").call(vec![Expr::Literal(ScalarValue::Utf8(Some(shown)), None)]))
}

/// Refuses to compute with such a numeric.
pub(super) fn bounded(args: &[&Expr], schema: &DFSchema) -> Result<()> {
    let numeric = |field: &Field| named(field) == Some("numeric") && field.data_type().is_string();
    if args.iter().any(|arg| arg.to_field(schema).is_ok_and(|(_, field)| numeric(&field))) {
        let text = "numerics of more than 38 digits, NaN and infinities are supported as values of a result only";
        return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, text));
    }
    Ok(())
}

/// A value whose type is a name as a plain text.
pub(super) fn plain(value: Expr) -> Expr {
    let computes = |args: &[ArrayRef], _rows: usize| first(args).cloned();
    Function::new("text", one_text, |_| Some(DataType::Utf8), computes).call(vec![value])
}

/// A text constant beside a uuid, in the one form that uuids have.
pub(super) fn uuid_constant(value: Expr) -> Expr {
    match casts::text_of(&value).map(|text| uuid::Uuid::try_parse(text.trim())) {
        Some(Ok(uuid)) => Expr::Literal(ScalarValue::Utf8(Some(uuid.hyphenated().to_string())), None),
        _ => uuid().call(vec![value]),
    }
}

/// The same value, of which nothing is known but its type.
pub(super) fn nullable(value: Expr, field: &Field) -> Expr {
    let computes = |args: &[ArrayRef], _rows: usize| first(args).cloned();
    let takes = |types: &[DataType]| (types.len() == 1).then(|| types.to_vec());
    let function = Function::new("meshgate_value", takes, |types| types.first().cloned(), computes);
    let known = ["uuid", "json", "jsonb", "varchar", "bpchar", "name"].into_iter().chain(regs::NAMES);
    let known = known.into_iter().find(|name| named(field) == Some(name));
    match known {
        Some(name) => function.answers(name),
        None => function,
    }
    .call(vec![value])
}

fn one_text(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 1).then(|| vec![DataType::Utf8])
}

fn renamed(name: &'static str) -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| first(args).cloned();
    Function::new(name, one_text, |_| Some(DataType::Utf8), computes).answers(name)
}

fn uuid() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let one = |text: &str| {
            let uuid = uuid::Uuid::try_parse(text.trim());
            let uuid = uuid.map_err(|_| fault(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type uuid"))?;
            Ok(uuid.hyphenated().to_string())
        };
        let texts = first(args)?.as_string::<i32>();
        Ok(Arc::new(texts.iter().map(|text| text.map(one).transpose()).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    Function::new("uuid_in", one_text, |_| Some(DataType::Utf8), computes).answers("uuid")
}
