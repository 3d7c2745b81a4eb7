//! Casts to and from types that are carried as texts, and where their values may stand.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, Operator};

use crate::engine::semantics::function::{Function, Result, arg, client, fault};
use crate::engine::semantics::{Facts, casts, parse, typed};
use crate::error::{ClientMessage, SqlState};

use super::{Carried, network};

/// A text, or a value that is one to the engine, as a value of such a type; `None` if the name is of no such type.
pub(in crate::engine::semantics) fn known(value: Expr, name: &str, from: Option<&str>, facts: Facts) -> Option<Expr> {
    let (name, carried) = Carried::named(name)?;
    if from == Some(name) {
        return Some(value);
    }
    let Some(text) = casts::text_of(&value) else { return Some(read(name, carried, facts).call(vec![value])) };
    Some(match carried.read(text, &facts.time_zone) {
        Ok(text) => typed::renamed(name).call(vec![Expr::Literal(ScalarValue::Utf8(Some(text)), None)]),
        Err(message) => parse::failing(message, DataType::Utf8),
    })
}

/// The text of such a value that a cast makes: an inet names its bits, which it is shown without if they are all.
pub(in crate::engine::semantics) fn written(value: Expr, from: Option<&str>) -> Expr {
    if from != Some("inet") {
        return value;
    }
    let computes = |args: &[ArrayRef], _rows: usize| {
        let texts = arg::<StringArray>(args, 0)?.iter().map(|text| text.map(network::with_bits));
        Ok(Arc::new(texts.collect::<StringArray>()) as ArrayRef)
    };
    Function::new("inet_text", |_| Some(vec![DataType::Utf8]), |_| Some(DataType::Utf8), computes).call(vec![value])
}

/// Reads a column of texts. No error holds one of them.
fn read(name: &'static str, carried: Carried, facts: Facts) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let one = |text: &str| carried.read(text, &facts.time_zone).map_err(|message| client(quiet(&message, name)));
        let texts = arg::<StringArray>(args, 0)?.iter().map(|text| text.map(one).transpose());
        Ok(Arc::new(texts.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    Function::new(name, |types| (types.len() == 1).then(|| vec![DataType::Utf8]), |_| Some(DataType::Utf8), computes)
        .of_statement(facts)
        .variant(1)
        .answers(name)
}

fn quiet(message: &ClientMessage, name: &str) -> ClientMessage {
    ClientMessage::new(message.sqlstate, format!("invalid input syntax for type {name}"))
}

/// The carried type of an expression's values.
fn kind(expr: &Expr, schema: &DFSchema) -> Option<&'static str> {
    let field = typed::field_of(expr, schema)?;
    typed::named(&field).filter(|_| field.data_type().is_string()).and_then(Carried::named).map(|(name, _)| name)
}

/// A text constant beside such a value is of its type.
pub(in crate::engine::semantics) fn beside(binary: BinaryExpr, schema: &DFSchema, facts: Facts) -> BinaryExpr {
    let BinaryExpr { mut left, op, mut right } = binary;
    if equates(op) {
        become_typed(&mut left, &right, schema, facts);
        become_typed(&mut right, &left, schema, facts);
    }
    BinaryExpr { left, op, right }
}

fn become_typed(value: &mut Expr, other: &Expr, schema: &DFSchema, facts: Facts) {
    if casts::text_literal(value)
        && let Some(typed) = kind(other, schema).and_then(|name| known(value.clone(), name, None, facts))
    {
        *value = typed;
    }
}

/// Whether an expression may have such values: it asks whether they are equal, or is made for them.
pub(in crate::engine::semantics) fn allowed(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(binary) => equates(binary.op),
        Expr::ScalarFunction(call) => ["host", "inet_text"].contains(&call.func.name()) || Carried::named(call.func.name()).is_some(),
        _ => false,
    }
}

fn equates(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

/// Refuses to sort by such a type: the order of its texts is another.
pub(in crate::engine::semantics) fn ordered(name: Option<&str>) -> Result<()> {
    name.and_then(Carried::named).map_or(Ok(()), |(name, _)| Err(unsupported(name)))
}

fn unsupported(name: &str) -> datafusion::error::DataFusionError {
    let text = format!("values of type {name} are supported as values of a result and in comparisons for equality only");
    fault(SqlState::FEATURE_NOT_SUPPORTED, &text)
}
