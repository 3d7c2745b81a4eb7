//! Offsets of window frames, which the planner reads as literals only, from the constants that are written there.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, DateTimeField, Expr, Function, Interval, UnaryOperator, Value, WindowFrameBound, WindowFrameUnits, WindowType,
};

use crate::engine::semantics;
use crate::error::{ClientMessage, SqlState};

use super::intervals;
use super::spelling::{Flow, literal, number, refuse, string};

/// Puts literals in the place of the offsets of a call's window.
pub(super) fn constant(function: &mut Function) -> Flow {
    let Some(WindowType::WindowSpec(spec)) = &mut function.over else { return ControlFlow::Continue(()) };
    let Some(frame) = &mut spec.window_frame else { return ControlFlow::Continue(()) };
    let units = frame.units;
    for (which, bound) in std::iter::once(("starting", &mut frame.start_bound)).chain(frame.end_bound.as_mut().map(|end| ("ending", end))) {
        let (WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset))) = bound else { continue };
        if plain(offset) {
            continue;
        }
        if super::scalars::names_columns(offset.as_ref()) {
            return told(SqlState::INVALID_COLUMN_REFERENCE, format!("argument of {units} must not contain variables"));
        }
        match folded(offset) {
            Some(Offset::Null) => {
                return told(SqlState::NULL_VALUE_NOT_ALLOWED, format!("frame {which} offset must not be null"));
            }
            Some(found) if found.is_negative() => {
                let text = match units {
                    WindowFrameUnits::Range => "invalid preceding or following size in window function".to_owned(),
                    _ => format!("frame {which} offset must not be negative"),
                };
                return told(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, text);
            }
            Some(Offset::Number(digits)) => **offset = number(&digits),
            Some(Offset::Span(span, _)) if units == WindowFrameUnits::Range => *offset = span,
            _ => return refuse("this offset of a window frame is not supported; write a constant"),
        }
    }
    ControlFlow::Continue(())
}

fn told(sqlstate: SqlState, text: String) -> Flow {
    ControlFlow::Break(Box::new(ClientMessage::new(sqlstate, text)))
}

/// Whether the planner reads it as it is.
fn plain(offset: &Expr) -> bool {
    match offset {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        Expr::Interval(interval) => {
            intervals::constant(interval).is_none() && literal(&interval.value).is_some_and(|text| !text.trim().starts_with('-'))
        }
        _ => false,
    }
}

/// What a constant comes to.
enum Offset {
    Null,
    Number(String),
    /// An interval, and whether it goes back.
    Span(Box<Expr>, bool),
}

impl Offset {
    fn is_negative(&self) -> bool {
        match self {
            Self::Number(digits) => digits.starts_with('-'),
            Self::Span(_, back) => *back,
            Self::Null => false,
        }
    }
}

fn folded(expr: &Expr) -> Option<Offset> {
    match expr {
        Expr::Nested(inner) => folded(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => Some(Offset::Number(digits.clone())),
            Value::Null => Some(Offset::Null),
            _ => None,
        },
        Expr::Interval(interval) => match intervals::constant(interval) {
            Some(constant) => folded(&constant),
            None => span(literal(&interval.value)?),
        },
        Expr::TypedString(typed) => cast(&string(typed.value.clone().into_string()?.as_str()), &typed.data_type),
        Expr::Cast { expr, data_type, .. } => cast(expr, data_type),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => folded(expr),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Some(Offset::Number(0_i64.checked_sub(whole(expr)?)?.to_string())),
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (whole(left)?, whole(right)?);
            let value = match op {
                BinaryOperator::Plus => left.checked_add(right),
                BinaryOperator::Minus => left.checked_sub(right),
                BinaryOperator::Multiply => left.checked_mul(right),
                _ => None,
            };
            value.map(|value| Offset::Number(value.to_string()))
        }
        _ => None,
    }
}

/// A constant integer.
fn whole(expr: &Expr) -> Option<i64> {
    match folded(expr)? {
        Offset::Number(digits) => digits.parse().ok(),
        _ => None,
    }
}

fn cast(expr: &Expr, data_type: &DataType) -> Option<Offset> {
    let integer = matches!(
        data_type,
        DataType::SmallInt(_)
            | DataType::Int2(_)
            | DataType::Int(_)
            | DataType::Integer(_)
            | DataType::Int4(_)
            | DataType::BigInt(_)
            | DataType::Int8(_)
    );
    let fraction = matches!(
        data_type,
        DataType::Real
            | DataType::Float4
            | DataType::Float8
            | DataType::DoublePrecision
            | DataType::Double(_)
            | DataType::Float(_)
            | DataType::Numeric(_)
            | DataType::Decimal(_)
    );
    let written = literal(expr).map(|text| text.trim().to_owned());
    match data_type {
        DataType::Interval { fields: None, precision: None } => written.and_then(|text| span(&text)),
        _ if integer || fraction => {
            let digits = match written {
                Some(text) => text,
                None => match folded(expr)? {
                    Offset::Number(digits) => digits,
                    other => return Some(other).filter(|other| matches!(other, Offset::Null)),
                },
            };
            let known = if integer { digits.parse::<i64>().is_ok() } else { digits.parse::<f64>().is_ok_and(f64::is_finite) };
            known.then_some(Offset::Number(digits))
        }
        _ => None,
    }
}

/// Microseconds of a day, by which intervals are compared.
const DAY: i128 = 86_400_000_000;

/// An interval in the words that the planner reads as PostgreSQL does; `None` if it is none.
fn span(text: &str) -> Option<Offset> {
    let (months, days, micros) = semantics::interval_of(text)?;
    let text = format!("{months} months {days} days {micros}");
    let back = i128::from(months) * 30 * DAY + i128::from(days) * DAY + i128::from(micros) < 0;
    let literal = Expr::Interval(Interval {
        value: Box::new(string(&text)),
        // A unit that no constant of PostgreSQL has, so that it stays as it is.
        leading_field: Some(DateTimeField::Microseconds),
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    });
    Some(Offset::Span(Box::new(literal), back))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn spelled(bound: &str) -> Result<String, &'static str> {
        let sql = format!("sum(x) OVER (ORDER BY x {bound} PRECEDING)");
        let Expr::Function(mut function) = Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql).unwrap().parse_expr().unwrap() else {
            panic!("no call")
        };
        match constant(&mut function) {
            ControlFlow::Continue(()) => Ok(Expr::Function(function).to_string()),
            ControlFlow::Break(refusal) => Err(refusal.sqlstate.as_str()),
        }
    }

    #[test]
    fn constants_become_literals() {
        for (written, meant) in [
            ("ROWS (1 + 1)", "ROWS 2"),
            ("ROWS 2::int8", "ROWS 2"),
            ("RANGE CAST('1 month' AS interval)", "RANGE INTERVAL '1 months 0 days 0' MICROSECONDS"),
            ("RANGE INTERVAL '1 day 02:00'", "RANGE INTERVAL '0 months 1 days 7200000000' MICROSECONDS"),
            ("RANGE INTERVAL '2' DAY", "RANGE INTERVAL '0 months 2 days 0' MICROSECONDS"),
            ("RANGE (1.5::float8)", "RANGE 1.5"),
        ] {
            assert_eq!(spelled(written).unwrap(), format!("sum(x) OVER (ORDER BY x {meant} PRECEDING)"));
        }
    }

    #[test]
    fn what_is_no_constant_is_refused() {
        for (written, state) in [
            ("ROWS x", "42P10"),
            ("ROWS NULL", "22004"),
            ("ROWS (-1)", "22013"),
            ("RANGE (1 - 2)", "22013"),
            ("RANGE INTERVAL '-1 day'", "22013"),
            ("ROWS random()", "0A000"),
        ] {
            assert_eq!(spelled(written), Err(state), "{written}");
        }
    }
}
