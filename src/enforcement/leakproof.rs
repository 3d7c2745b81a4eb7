//! Which predicates of a user may be evaluated below the barrier.
//!
//! INVARIANT: a leakproof predicate cannot fail on any row and reads no masked column, so evaluating it on a hidden row shows nothing.
//! A subquery or a parameter is never leakproof: whether it is evaluated, and fails, can hang on a hidden row.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

/// A longer LIKE pattern could make a regular expression that is refused when the first row, perhaps a hidden one, is met.
const LIKE_PATTERN_BYTES_MAX: usize = 256;

/// Whether the predicate is leakproof. `column_type` knows the type of each bare unmasked column and of no other.
pub(super) fn is_leakproof(predicate: &Expr, column_type: &impl Fn(&str) -> Option<DataType>) -> bool {
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            is_leakproof(left, column_type) && is_leakproof(right, column_type)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => is_comparison(*op) && same_type(&[left, right], column_type),
        Expr::Not(inner) => is_leakproof(inner, column_type),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => column(inner, column_type).is_some(),
        Expr::Between(Between { expr, low, high, .. }) => column(expr, column_type).is_some() && same_type(&[expr, low, high], column_type),
        Expr::InList(InList { expr, list, .. }) => {
            column(expr, column_type).is_some()
                && list.iter().all(|item| matches!(item, Expr::Literal(..)) && same_type(&[expr, item], column_type))
        }
        Expr::Like(like) => is_plain_like(like, column_type),
        // The optimizer makes one of `x NOT IN (1, NULL)`: a truth that is the same for all rows.
        Expr::Literal(truth, _) => truth.data_type() == DataType::Boolean,
        Expr::Column(_) => column(predicate, column_type) == Some(DataType::Boolean),
        _ => false,
    }
}

fn is_comparison(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

fn column(expr: &Expr, column_type: &impl Fn(&str) -> Option<DataType>) -> Option<DataType> {
    match expr {
        Expr::Column(column) => column_type(&column.name),
        _ => None,
    }
}

/// Columns and literals only, all of one type whose comparison is total.
fn same_type(operands: &[&Expr], column_type: &impl Fn(&str) -> Option<DataType>) -> bool {
    let mut types = operands.iter().map(|operand| match operand {
        Expr::Literal(value, _) => Some(value.data_type()),
        other => column(other, column_type),
    });
    let Some(Some(first)) = types.next() else { return false };
    is_totally_compared(&first) && types.all(|other| other.as_ref() == Some(&first))
}

fn is_plain_like(like: &Like, column_type: &impl Fn(&str) -> Option<DataType>) -> bool {
    let Expr::Literal(pattern, _) = like.pattern.as_ref() else { return false };
    let short = pattern.try_as_str().is_some_and(|text| text.is_none_or(|text| text.len() <= LIKE_PATTERN_BYTES_MAX));
    short
        && !like.case_insensitive
        && like.escape_char.is_none()
        && column(&like.expr, column_type).is_some()
        && same_type(&[&like.expr, &like.pattern], column_type)
}

fn is_totally_compared(data_type: &DataType) -> bool {
    data_type.is_numeric()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::Date32
                | DataType::Date64
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Timestamp(..)
        )
}
