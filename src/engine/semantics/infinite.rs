//! Infinite dates and timestamps, and numerics that are infinite or no number, which the engine's types do not have: as constants that are
//! compared, or shown.
//!
//! No source has such a value, so whether one is larger than a column is known without the column's value, unless that is NULL. INVARIANT:
//! nothing else computes with them.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{Between, BinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use crate::catalog::TYPE_KEY;

use super::function::Result;
use super::{Facts, casts, expression, typed};

/// The types that have infinite values, as fields name them.
pub(super) const KINDS: [&str; 3] = ["date", "timestamp", "timestamptz"];

/// Where such a constant stands beside all other values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Beyond {
    Below,
    Above,
    /// A numeric that is no number is above all that are.
    NotANumber,
}

/// Why one is refused.
pub(super) const ALONE: &str = "infinite dates and timestamps are supported in comparisons and as values of a result only";

/// The constant that a text spells as a value of a type.
pub(super) fn constant(text: &str, to: &DataType) -> Option<Expr> {
    let kind = match to {
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        _ => return None,
    };
    let shown = if spelled(text)? == Beyond::Above { "infinity" } else { "-infinity" };
    Some(typed::renamed(kind).call(vec![Expr::Literal(ScalarValue::Utf8(Some(shown.to_owned())), None)]))
}

/// Such a constant as one of another type.
pub(super) fn recast(value: &Expr, to: &DataType) -> Option<Expr> {
    constant(if sign(value)? == Beyond::Above { "infinity" } else { "-infinity" }, to)
}

/// Whether a text is later than all moments, or earlier.
fn spelled(text: &str) -> Option<Beyond> {
    match text.trim().to_ascii_lowercase().as_str() {
        "infinity" => Some(Beyond::Above),
        "-infinity" => Some(Beyond::Below),
        _ => None,
    }
}

/// The same of a numeric.
fn spelled_number(text: &str) -> Option<Beyond> {
    match text.trim().to_ascii_lowercase().as_str() {
        "infinity" | "inf" | "+infinity" | "+inf" => Some(Beyond::Above),
        "-infinity" | "-inf" => Some(Beyond::Below),
        "nan" => Some(Beyond::NotANumber),
        _ => None,
    }
}

/// The same of a type by its name.
fn of_kind(kind: &str, text: &str) -> Option<Beyond> {
    match kind {
        typed::UNBOUNDED => spelled_number(text),
        kind if KINDS.contains(&kind) => spelled(text),
        _ => None,
    }
}

/// The name of the type of such a constant.
fn kind(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(_, Some(marks)) => marks.inner().get(TYPE_KEY).map(String::as_str),
        Expr::ScalarFunction(call) => Some(call.func.name()),
        _ => None,
    }
}

/// Where a constant stands that is one.
fn sign(expr: &Expr) -> Option<Beyond> {
    // A parameter is told by its mark.
    let text = match expr {
        Expr::ScalarFunction(call) => match call.args.as_slice() {
            [text] => text,
            _ => return None,
        },
        constant => constant,
    };
    of_kind(kind(expr)?, casts::text_of(text)?)
}

/// What stands for a comparison with such constants; `None` if there are none in it.
pub(super) fn folded(expr: &Expr, schema: &DFSchema, facts: Facts) -> Result<Option<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => Ok(compared(left, *op, right, schema)),
        Expr::Between(Between { expr, negated, low, high }) => {
            let one = compared(expr, Operator::GtEq, low, schema);
            let other = compared(expr, Operator::LtEq, high, schema);
            if one.is_none() && other.is_none() {
                return Ok(None);
            }
            let half = |folded: Option<Expr>, op, bound: &Expr| match folded {
                Some(folded) => Ok(folded),
                None => expression::operator(binary(expr.as_ref().clone(), op, bound.clone()), schema, facts),
            };
            let both = half(one, Operator::GtEq, low)?.and(half(other, Operator::LtEq, high)?);
            Ok(Some(if *negated { !both } else { both }))
        }
        Expr::ScalarFunction(call) if call.func.name() == "isfinite" && call.args.first().is_some_and(|moment| sign(moment).is_some()) => {
            Ok(Some(Expr::Literal(ScalarValue::Boolean(Some(false)), None)))
        }
        _ => Ok(None),
    }
}

fn compared(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let moment = |side: &Expr| matches!(side.get_type(schema), Ok(DataType::Date32 | DataType::Timestamp(..)));
    let exact = |side: &Expr| side.get_type(schema).is_ok_and(|found| found.is_integer() || matches!(found, DataType::Decimal128(..)));
    let beside = |side: &Expr, other: &Expr| {
        sign(side).or_else(|| match casts::text_of(side)? {
            text if sign(other).is_some() => kind(other).and_then(|kind| of_kind(kind, text)),
            text if moment(other) => spelled(text),
            // An integer is compared with an integer.
            text if exact(other) && !other.get_type(schema).is_ok_and(|found| found.is_integer()) => spelled_number(text),
            _ => None,
        })
    };
    let finite = |side: &Expr| moment(side) || exact(side);
    match (beside(left, right), beside(right, left)) {
        (None, Some(beyond)) if finite(left) => known(left, op, beyond != Beyond::Below),
        (Some(beyond), None) if finite(right) => known(right, op.swap()?, beyond != Beyond::Below),
        (Some(left), Some(right)) => {
            let truth = match op {
                Operator::Eq | Operator::IsNotDistinctFrom => left == right,
                Operator::NotEq | Operator::IsDistinctFrom => left != right,
                Operator::Lt => left < right,
                Operator::Gt => left > right,
                Operator::LtEq => left <= right,
                Operator::GtEq => left >= right,
                _ => return None,
            };
            Some(Expr::Literal(ScalarValue::Boolean(Some(truth)), None))
        }
        _ => None,
    }
}

/// `value op infinity`: NULL if the value is.
fn known(value: &Expr, op: Operator, later: bool) -> Option<Expr> {
    let truth = match op {
        Operator::IsDistinctFrom => return Some(Expr::Literal(ScalarValue::Boolean(Some(true)), None)),
        Operator::IsNotDistinctFrom => return Some(Expr::Literal(ScalarValue::Boolean(Some(false)), None)),
        Operator::Eq => false,
        Operator::NotEq => true,
        Operator::Lt | Operator::LtEq => later,
        Operator::Gt | Operator::GtEq => !later,
        _ => return None,
    };
    let op = if truth { Operator::Eq } else { Operator::NotEq };
    Some(Expr::BinaryExpr(binary(value.clone(), op, value.clone())))
}

fn binary(left: Expr, op: Operator, right: Expr) -> BinaryExpr {
    BinaryExpr { left: Box::new(left), op, right: Box::new(right) }
}

/// Comparisons with `coalesce(x, 'infinity')`: with x, and where that is NULL with the constant.
pub(super) fn apart(expr: Expr) -> Result<Expr> {
    let split = |expr: Expr| {
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => match (ended(&left), ended(&right)) {
                (Some((value, last)), _) => Transformed::yes(either((&value, op, &right), (&last, op, &right))),
                (None, Some((value, last))) => Transformed::yes(either((&left, op, &value), (&left, op, &last))),
                (None, None) => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            },
            Expr::Between(Between { expr, negated, low, high }) if [&expr, &low, &high].iter().any(|side| ended(side).is_some()) => {
                let half = |op, bound: Box<Expr>| Expr::BinaryExpr(binary(expr.as_ref().clone(), op, *bound));
                let both = half(Operator::GtEq, low).and(half(Operator::LtEq, high));
                Transformed::yes(if negated { !both } else { both })
            }
            other => Transformed::no(other),
        })
    };
    Ok(expr.transform_down(split)?.data)
}

fn compares(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

/// The comparison that is not NULL.
fn either(one: (&Expr, Operator, &Expr), other: (&Expr, Operator, &Expr)) -> Expr {
    let made = |(left, op, right): (&Expr, Operator, &Expr)| Expr::BinaryExpr(binary(left.clone(), op, right.clone()));
    coalesce(vec![made(one), made(other)])
}

/// The arguments of a `coalesce` before its last one, which is infinite, and that one.
fn ended(expr: &Expr) -> Option<(Expr, Expr)> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let (last, values) = call.args.split_last().filter(|_| call.func.name() == "coalesce")?;
    let text = match last {
        Expr::Cast(cast) => cast.expr.as_ref(),
        other => other,
    };
    spelled(casts::text_of(text)?)?;
    match values {
        [value] => Some((value.clone(), last.clone())),
        [_, ..] => Some((coalesce(values.to_vec()), last.clone())),
        [] => None,
    }
}
