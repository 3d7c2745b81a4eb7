//! What an operator between two types means, before the engine has planned it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::functions_nested::expr_fn::array_has_any;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, cast};

use crate::engine::{PgType, TimeZone};
use crate::error::SqlState;

use super::function::{Result, fault};
use super::{casts, json, json_edit, json_path_run, numeric, parse, regexes, spans, temporal, typed};

/// An operator that the engine does not plan by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Meaning {
    /// `&&`
    Overlaps,
    /// `@>`
    Contains,
    /// `<@`
    Contained,
    /// `^@`
    StartsWith,
    /// `->`, and `->>` which answers a text
    Member {
        /// Whether the answer is a text.
        text: bool,
    },
    /// `#>`, and `#>>` which answers a text
    Path {
        /// Whether the answer is a text.
        text: bool,
    },
    /// `?`
    HasKey,
    /// `?|`, and `?&` which wants them all
    HasKeys {
        /// Whether all of them are wanted.
        all: bool,
    },
    /// `#-`
    WithoutPath,
    /// `@?`
    PathExists,
    /// `@@`
    PathMatches,
    /// `~` and its like
    Matches(Operator),
}

/// The expression that the operator means; `None` leaves it to the engine.
pub(in crate::engine) fn operator(
    meaning: Meaning,
    left: Expr,
    of_left: &DataType,
    right: Expr,
    of_right: &DataType,
    binary: bool,
) -> Result<Option<Expr>> {
    let (texts, arrays) = (of_left.is_string() && of_right.is_string(), of_left.is_nested() && of_right.is_nested());
    Ok(match meaning {
        Meaning::Overlaps if arrays => Some(array_has_any(left, right)),
        Meaning::Contains if texts => Some(json::contains().call(vec![left, right])),
        Meaning::Contained if texts => Some(json::contains().call(vec![right, left])),
        Meaning::StartsWith if texts => Some(datafusion::functions::string::expr_fn::starts_with(left, right)),
        Meaning::Member { text } if of_left.is_string() => Some(json::member(text, binary).call(vec![left, right])),
        Meaning::Path { text } if of_left.is_string() => Some(json::path(text, binary).call(vec![left, path(right)])),
        Meaning::HasKey if texts => Some(json::has_key().call(vec![left, right])),
        Meaning::HasKeys { all } if of_left.is_string() => Some(json_edit::has_keys(all).call(vec![left, path(right)])),
        Meaning::WithoutPath if of_left.is_string() => Some(json_edit::without_all(true).call(vec![left, path(right)])),
        Meaning::PathExists if texts => Some(json_path_run::exists().call(vec![left, right])),
        Meaning::PathMatches if texts => Some(json_path_run::matches().call(vec![left, right])),
        Meaning::Matches(op) if of_right.is_string() => Some(regexes::matched(left, op, right)?),
        _ => None,
    })
}

/// `'{a,b}'` as the array that it spells.
pub(super) fn path(expr: Expr) -> Expr {
    let Some(text) = casts::text_of(&expr) else { return expr };
    match parse::as_parameter(text, PgType::TEXT_ARRAY, &TimeZone::default()) {
        Ok(list) => Expr::Literal(list, None),
        Err(message) => parse::failing(message, DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))),
    }
}

/// Arithmetic with intervals and times that the engine has no types for; `None` leaves it to the engine.
pub(in crate::engine) fn timed(op: Operator, left: &Expr, of_left: &DataType, right: &Expr, of_right: &DataType) -> Option<Expr> {
    let interval = |found: &DataType| matches!(found, DataType::Interval(_) | DataType::Duration(_));
    let time = |found: &DataType| matches!(found, DataType::Time64(_) | DataType::Time32(_));
    let date = |found: &DataType| matches!(found, DataType::Date32 | DataType::Date64);
    let number = |found: &DataType, expr: &Expr| found.is_numeric() || casts::text_of(expr).is_some();
    let (left, right) = (left.clone(), right.clone());
    match op {
        Operator::Multiply if interval(of_left) && number(of_right, &right) => Some(temporal::scaled().call(vec![left, right])),
        Operator::Multiply if interval(of_right) && number(of_left, &left) => Some(temporal::scaled().call(vec![right, left])),
        Operator::Divide if interval(of_left) && number(of_right, &right) => Some(temporal::divided(left, right)),
        Operator::Plus if date(of_left) && time(of_right) => Some(spans::at_time().call(vec![left, right])),
        Operator::Plus if time(of_left) && date(of_right) => Some(spans::at_time().call(vec![right, left])),
        Operator::Plus | Operator::Minus if time(of_left) && interval(of_right) => {
            Some(spans::time_moved(op == Operator::Minus).call(vec![left, right]))
        }
        Operator::Minus if time(of_left) && time(of_right) => Some(spans::time_difference().call(vec![left, right])),
        _ => None,
    }
}

/// A text constant as the numeric that it spells.
pub(in crate::engine) fn numeric_of(expr: Expr) -> Expr {
    numeric::unconstrained().call(vec![expr])
}

/// A text constant as the array that it spells, of the type of another one.
pub(in crate::engine) fn list_of_text(expr: Expr, of: &DataType) -> Expr {
    let numerics = matches!(of, DataType::List(element) if matches!(element.data_type(), DataType::Decimal128(..)));
    if numerics { numeric::unconstrained_list().call(vec![expr]) } else { cast(expr, of.clone()) }
}

/// `substring(text from pattern)`.
pub(in crate::engine) fn matched(text: Expr, pattern: Expr) -> Expr {
    regexes::substring().call(vec![text, pattern])
}

/// Whether the value is a jsonb; `None` if it is no JSON.
pub(in crate::engine) fn json_kind(expr: &Expr, schema: &DFSchema) -> Option<bool> {
    let field = typed::field_of(expr, schema)?;
    match typed::named(&field)? {
        "json" => Some(false),
        "jsonb" => Some(true),
        _ => None,
    }
}

/// `jsonb || jsonb`, `jsonb - …`; `None` leaves it to the engine, in which a JSON is a text.
pub(in crate::engine) fn of_json(op: Operator, left: &Expr, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (kind_left, kind_right) = (json_kind(left, schema), json_kind(right, schema));
    let unknown = |expr: &Expr| casts::text_of(expr).is_some();
    let args = || vec![left.clone(), right.clone()];
    Ok(match (op, kind_left, kind_right) {
        (Operator::StringConcat, Some(true), Some(true)) => Some(json_edit::joined().call(args())),
        (Operator::StringConcat, Some(true), None) if unknown(right) => Some(json_edit::joined().call(args())),
        (Operator::StringConcat, None, Some(true)) if unknown(left) => Some(json_edit::joined().call(args())),
        (Operator::StringConcat, Some(_), Some(_)) => {
            return Err(fault(SqlState::UNDEFINED_FUNCTION, "operator does not exist: json || json"));
        }
        (Operator::Minus, Some(true), None) => match right.get_type(schema)? {
            found if found.is_integer() => Some(json_edit::without_element().call(args())),
            found if found.is_string() => Some(json_edit::without_key().call(args())),
            found if found.is_nested() => Some(json_edit::without_all(false).call(args())),
            _ => None,
        },
        _ => None,
    })
}

/// `jsonb['key']`; of an array the element of that number, be it written as a number or as a text.
pub(in crate::engine) fn json_member(value: Expr, key: Expr) -> Expr {
    json::subscripted().call(vec![value, datafusion::logical_expr::cast(key, DataType::Utf8)])
}
