//! Types that are texts to the engine: uuid, json, jsonb, varchar; and back.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable};

use crate::catalog::{PgType, TYPE_KEY};
use crate::engine::TimeZone;
use crate::error::SqlState;

use super::function::{Function, Result, fault, first};
use super::{Carried, casts, infinite, json_build, parse, regs};

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
        "uuid" => match uuid_constant(value) {
            constant @ Expr::Literal(..) => uuid().call(vec![constant]),
            read => read,
        },
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

/// The name of what stands for a numeric that no column here could hold.
pub(super) const UNBOUNDED: &str = "numeric";

/// The most letters of a numeric that is shown as it is written.
const UNBOUNDED_MAX: usize = 1_000;

/// A numeric that no column here could hold: of too many digits, not a number, or infinite. It can be shown, and nothing else.
pub(super) fn unbounded(text: &str) -> Option<Expr> {
    unbounded_text(text).map(|shown| renamed(UNBOUNDED).call(vec![Expr::Literal(ScalarValue::Utf8(Some(shown)), None)]))
}

/// The same as it is shown.
pub(in crate::engine) fn unbounded_text(text: &str) -> Option<String> {
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
    Some(shown)
}

/// What is known of an expression's type. Its name is not asked for where the type can be told without: a chain of operators would be spelled out at
/// each of its levels.
pub(super) fn field_of(expr: &Expr, schema: &DFSchema) -> Option<FieldRef> {
    match expr {
        // The engine gives what an operator answers no metadata.
        Expr::BinaryExpr(_) | Expr::Not(_) => Some(Arc::new(Field::new("", expr.get_type(schema).ok()?, true))),
        _ => expr.to_field(schema).ok().map(|(_, field)| field),
    }
}

/// Refuses to compute with such a numeric, with an infinite moment, or with a value that is carried as a text unless these are only compared.
pub(super) fn bounded(args: &[&Expr], schema: &DFSchema, carried: bool) -> Result<()> {
    for arg in args {
        let Some(field) = field_of(arg, schema) else { continue };
        let text = match named(&field).filter(|_| field.data_type().is_string()) {
            Some("numeric") => "numerics of more than 38 digits, NaN and infinities are supported as values of a result only",
            Some(name) if infinite::KINDS.contains(&name) => infinite::ALONE,
            Some(name) if !carried => {
                super::carried::ordered(Some(name))?;
                continue;
            }
            _ => continue,
        };
        return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, text));
    }
    Ok(())
}

/// A value whose type is a name as a plain text.
pub(super) fn plain(value: Expr) -> Expr {
    let computes = |args: &[ArrayRef], _rows: usize| first(args).cloned();
    Function::new("text", one_text, |_| Some(DataType::Utf8), computes).call(vec![value])
}

/// A text beside a uuid; a constant in the one form that uuids have.
pub(super) fn uuid_constant(value: Expr) -> Expr {
    let Some(text) = casts::text_of(&value) else { return uuid().call(vec![value]) };
    match parse::as_parameter(text, PgType::UUID, &TimeZone::default()) {
        Ok(known) => Expr::Literal(known, None),
        Err(fault) => parse::failing(fault, DataType::Utf8),
    }
}

/// The same value, of which nothing is known but its type.
pub(super) fn nullable(value: Expr, field: &Field) -> Expr {
    let computes = |args: &[ArrayRef], _rows: usize| first(args).cloned();
    let takes = |types: &[DataType]| (types.len() == 1).then(|| types.to_vec());
    let function = Function::new("meshgate_value", takes, |types| types.first().cloned(), computes);
    let known = ["uuid", "json", "jsonb", "varchar", "bpchar", "name"].into_iter().chain(regs::NAMES).chain(Carried::names());
    let known = known.into_iter().find(|name| named(field) == Some(name));
    match known {
        Some(name) => function.answers(name),
        None => function,
    }
    .call(vec![value])
}

/// Arrays of types that are texts to the engine, by those.
const LISTS: [(&str, &str); 6] =
    [("uuid", "_uuid"), ("json", "_json"), ("jsonb", "_jsonb"), ("varchar", "_varchar"), ("bpchar", "_bpchar"), ("name", "_name")];

/// The type of an array whose elements are values of such a field.
pub(super) fn list_of(element: &Field) -> Option<&'static str> {
    let name = named(element)?;
    LISTS.iter().find(|(of, _)| *of == name).map(|(_, list)| *list)
}

/// The type of a value that is a text to the engine, by the name that its field has.
pub(super) fn kind_of(value: &Field) -> Option<&'static str> {
    let name = named(value)?;
    LISTS.iter().find(|(of, _)| *of == name).map(|(of, _)| *of)
}

/// The type of an array that is one of these.
pub(super) fn list_kind(list: &Field) -> Option<&'static str> {
    list_named(named(list)?)
}

/// The same by its name.
pub(super) fn list_named(name: &str) -> Option<&'static str> {
    LISTS.iter().find(|(_, list)| *list == name).map(|(_, list)| *list)
}

/// The type of the elements of such an array.
pub(super) fn element_of(list: &Field) -> Option<&'static str> {
    let name = named(list)?;
    LISTS.iter().find(|(_, list)| *list == name).map(|(of, _)| *of)
}

/// A value that is known to be of that type.
pub(super) fn known(value: Expr, kind: &'static str) -> Expr {
    let computes = |args: &[ArrayRef], _rows: usize| first(args).cloned();
    let takes = |types: &[DataType]| (types.len() == 1).then(|| types.to_vec());
    Function::new("meshgate_typed", takes, |types| types.first().cloned(), computes).answers(kind).call(vec![value])
}

fn one_text(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 1).then(|| vec![DataType::Utf8])
}

/// `x::"char"`: the first letter of a text, or the letter of a number.
pub(super) fn one_byte() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let value = first(args)?;
        let letter = |number: i32| u8::try_from(number & 0xff).map(|byte| char::from(byte).to_string()).unwrap_or_default();
        let texts: StringArray = match value.as_primitive_opt::<Int32Type>() {
            Some(numbers) => numbers.iter().map(|number| number.filter(|number| *number != 0).map(letter)).collect(),
            None => value
                .as_string::<i32>()
                .iter()
                .map(|text| text.map(|text| octal(text).map_or_else(|| text.chars().take(1).collect(), letter)))
                .collect(),
        };
        Ok(Arc::new(texts) as ArrayRef)
    };
    let takes = |types: &[DataType]| match types {
        [found] if found.is_integer() => Some(vec![DataType::Int32]),
        [found] if found.is_string() || found.is_null() => Some(vec![DataType::Utf8]),
        _ => None,
    };
    Function::new("meshgate_char", takes, |_| Some(DataType::Utf8), computes).answers("char")
}

/// The number of the letter that `\101` spells in octal digits.
fn octal(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('\\').filter(|digits| digits.len() == 3 && digits.starts_with(['0', '1', '2', '3']))?;
    i32::from_str_radix(digits, 8).ok().filter(|number| (1..128).contains(number))
}

/// A text as a value of a type that is known by its name.
pub(super) fn renamed(name: &'static str) -> Function {
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
