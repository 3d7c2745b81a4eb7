//! Compiles a policy's predicate to an expression over the raw columns of one table.
//!
//! INVARIANT: the expression is true for exactly the rows that the predicate lets through, with SQL's three-valued logic, and
//! cannot fail on any row. A literal becomes a value of the column's own type without loss, or the filter does not compile.

use chrono::{DateTime, NaiveDate, Utc};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator};

use crate::policy::{CompareOp, Literal, Predicate};
use crate::product::FieldName;

/// A regular expression that compiles to more than this is refused.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The column whose part of the predicate cannot be compiled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uncompilable(pub(super) FieldName);

/// The predicate as an expression over the schema's columns. [`Predicate::True`] compiles to the literal true.
pub(super) fn compile(predicate: &Predicate, schema: &Schema) -> Result<Expr, Uncompilable> {
    match predicate {
        Predicate::True => Ok(truth(Some(true))),
        Predicate::False => Ok(truth(Some(false))),
        Predicate::Compare { column, op, value } => compare(column, *op, value, schema),
        Predicate::IsNull(column) => Ok(Expr::IsNull(Box::new(reference(column, schema)?.0))),
        Predicate::In { column, values } => contained(column, values, schema),
        Predicate::Like { column, pattern } => {
            let (expr, field) = reference(column, schema)?;
            let pattern = text(pattern, field).ok_or_else(|| Uncompilable(column.clone()))?;
            Ok(Expr::Like(Like::new(false, Box::new(expr), Box::new(literal(pattern)), None, false)))
        }
        Predicate::Matches { column, regex } => {
            let (expr, field) = reference(column, schema)?;
            let compiles = regex::RegexBuilder::new(regex).size_limit(REGEX_BYTES_MAX).build().is_ok();
            let pattern = text(regex, field).filter(|_| compiles).ok_or_else(|| Uncompilable(column.clone()))?;
            Ok(binary(expr, Operator::RegexMatch, literal(pattern)))
        }
        Predicate::And(all) => joined(all, Operator::And, true, schema),
        Predicate::Or(all) => joined(all, Operator::Or, false, schema),
        Predicate::Not(inner) => Ok(Expr::Not(Box::new(compile(inner, schema)?))),
    }
}

/// Whether a text column holds UUIDs by its contract.
pub(super) fn is_uuid(field: &Field) -> bool {
    field.metadata().get("pg.type").is_some_and(|name| name == "uuid")
}

fn truth(value: Option<bool>) -> Expr {
    literal(ScalarValue::Boolean(value))
}

fn literal(value: ScalarValue) -> Expr {
    Expr::Literal(value, None)
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

fn reference<'a>(column: &FieldName, schema: &'a Schema) -> Result<(Expr, &'a Field), Uncompilable> {
    let field = schema.field_with_name(column.as_str()).map_err(|_| Uncompilable(column.clone()))?;
    Ok((Expr::Column(Column::new_unqualified(column.as_str())), field))
}

/// A balanced tree, so that a long list of conditions does not nest deeply.
fn joined(all: &[Predicate], op: Operator, neutral: bool, schema: &Schema) -> Result<Expr, Uncompilable> {
    match all {
        [] => Ok(truth(Some(neutral))),
        [only] => compile(only, schema),
        _ => {
            let (left, right) = all.split_at(all.len() / 2);
            Ok(binary(joined(left, op, neutral, schema)?, op, joined(right, op, neutral, schema)?))
        }
    }
}

fn contained(column: &FieldName, values: &[Literal], schema: &Schema) -> Result<Expr, Uncompilable> {
    let (expr, field) = reference(column, schema)?;
    if values.is_empty() {
        return Ok(unless_null(expr, false));
    }
    let list = values
        .iter()
        .map(|value| match convert(value, field) {
            Some(Converted { value, exact: true }) => Ok(literal(value)),
            _ => Err(Uncompilable(column.clone())),
        })
        .collect::<Result<_, _>>()?;
    Ok(Expr::InList(InList::new(Box::new(expr), list, false)))
}

/// The constant, but unknown where the column is NULL.
fn unless_null(column: Expr, value: bool) -> Expr {
    if value {
        binary(Expr::IsNotNull(Box::new(column)), Operator::Or, truth(None))
    } else {
        binary(Expr::IsNull(Box::new(column)), Operator::And, truth(None))
    }
}

fn compare(column: &FieldName, op: CompareOp, value: &Literal, schema: &Schema) -> Result<Expr, Uncompilable> {
    let (expr, field) = reference(column, schema)?;
    let Converted { value, exact } = convert(value, field).ok_or_else(|| Uncompilable(column.clone()))?;
    // An instant that lies between two values of the column is rounded down, and the comparison moved with it.
    let op = match (op, exact) {
        (CompareOp::Eq, false) => return Ok(unless_null(expr, false)),
        (CompareOp::Ne, false) => return Ok(unless_null(expr, true)),
        (CompareOp::Eq, true) => Operator::Eq,
        (CompareOp::Ne, true) => Operator::NotEq,
        (CompareOp::Lt, true) => Operator::Lt,
        (CompareOp::Ge, true) => Operator::GtEq,
        (CompareOp::Lt, false) | (CompareOp::Le, _) => Operator::LtEq,
        (CompareOp::Ge, false) | (CompareOp::Gt, _) => Operator::Gt,
    };
    Ok(binary(expr, op, literal(value)))
}

/// A literal as a value of the column's type; not exact if it is the greatest value below it.
struct Converted {
    value: ScalarValue,
    exact: bool,
}

fn convert(value: &Literal, field: &Field) -> Option<Converted> {
    if let (Literal::Instant(instant), DataType::Timestamp(unit, zone)) = (value, field.data_type()) {
        let (count, exact) = count_of(*instant, *unit)?;
        let zone = zone.clone();
        let value = match unit {
            TimeUnit::Second => ScalarValue::TimestampSecond(Some(count), zone),
            TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(count), zone),
            TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(count), zone),
            TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(count), zone),
        };
        return Some(Converted { value, exact });
    }
    let value = match value {
        Literal::String(content) => match field.data_type() {
            DataType::Date32 | DataType::Date64 => day(NaiveDate::parse_from_str(content, "%Y-%m-%d").ok()?, field.data_type())?,
            DataType::Timestamp(..) => {
                let instant = DateTime::parse_from_rfc3339(content).ok()?.with_timezone(&Utc);
                return convert(&Literal::Instant(instant), field);
            }
            DataType::Decimal128(precision, scale) => decimal(content, *precision, *scale)?,
            _ => text(content, field)?,
        },
        Literal::Int(number) => integer(*number, field.data_type())?,
        Literal::Float(number) => float(*number, field.data_type())?,
        Literal::Bool(flag) if field.data_type() == &DataType::Boolean => ScalarValue::Boolean(Some(*flag)),
        Literal::Bool(_) => return None,
        Literal::Instant(instant) => day(instant.date_naive(), field.data_type())?,
    };
    Some(Converted { value, exact: true })
}

fn count_of(instant: DateTime<Utc>, unit: TimeUnit) -> Option<(i64, bool)> {
    let nanos_of_second = instant.timestamp_subsec_nanos();
    Some(match unit {
        TimeUnit::Second => (instant.timestamp(), nanos_of_second == 0),
        TimeUnit::Millisecond => (instant.timestamp_millis(), nanos_of_second.is_multiple_of(1_000_000)),
        TimeUnit::Microsecond => (instant.timestamp_micros(), nanos_of_second.is_multiple_of(1_000)),
        TimeUnit::Nanosecond => (instant.timestamp_nanos_opt()?, true),
    })
}

fn day(date: NaiveDate, data_type: &DataType) -> Option<ScalarValue> {
    let days = date.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days();
    match data_type {
        DataType::Date32 => Some(ScalarValue::Date32(Some(i32::try_from(days).ok()?))),
        DataType::Date64 => Some(ScalarValue::Date64(Some(days.checked_mul(86_400_000)?))),
        _ => None,
    }
}

fn text(content: &str, field: &Field) -> Option<ScalarValue> {
    let content = if is_uuid(field) { content.to_ascii_lowercase() } else { content.to_owned() };
    match field.data_type() {
        DataType::Utf8 => Some(ScalarValue::Utf8(Some(content))),
        DataType::LargeUtf8 => Some(ScalarValue::LargeUtf8(Some(content))),
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(content))),
        _ => None,
    }
}

fn integer(number: i64, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int8 => ScalarValue::Int8(Some(number.try_into().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(number.try_into().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(number.try_into().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(number)),
        DataType::UInt8 => ScalarValue::UInt8(Some(number.try_into().ok()?)),
        DataType::UInt16 => ScalarValue::UInt16(Some(number.try_into().ok()?)),
        DataType::UInt32 => ScalarValue::UInt32(Some(number.try_into().ok()?)),
        DataType::UInt64 => ScalarValue::UInt64(Some(number.try_into().ok()?)),
        // Up to 2^24 and 2^53 every integer has a float of its own.
        DataType::Float32 if number.unsigned_abs() <= 1 << 24 => ScalarValue::Float32(Some(number.to_string().parse().ok()?)),
        DataType::Float64 if number.unsigned_abs() <= 1 << 53 => ScalarValue::Float64(Some(number.to_string().parse().ok()?)),
        DataType::Decimal128(precision, scale) => decimal(&number.to_string(), *precision, *scale)?,
        _ => return None,
    })
}

fn float(number: f64, data_type: &DataType) -> Option<ScalarValue> {
    if !number.is_finite() {
        return None;
    }
    match data_type {
        DataType::Float64 => Some(ScalarValue::Float64(Some(number))),
        DataType::Float32 => {
            let narrow: f32 = number.to_string().parse().ok()?;
            (f64::from(narrow).to_bits() == number.to_bits()).then_some(ScalarValue::Float32(Some(narrow)))
        }
        DataType::Decimal128(precision, scale) => decimal(&number.to_string(), *precision, *scale),
        _ => None,
    }
}

/// The digits of a plain decimal number, if they all fit.
fn decimal(digits: &str, precision: u8, scale: i8) -> Option<ScalarValue> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale_digits = usize::try_from(scale).ok()?;
    let zeros = scale_digits.checked_sub(fraction.len())?;
    let is_number = !whole.trim_start_matches('-').is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let unscaled: i128 = format!("{whole}{fraction}{}", "0".repeat(zeros)).parse().ok()?;
    let fits = unscaled.unsigned_abs() < 10u128.checked_pow(u32::from(precision))?;
    (is_number && fits).then_some(ScalarValue::Decimal128(Some(unscaled), precision, scale))
}
