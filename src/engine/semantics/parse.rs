//! Texts read as values, by the rules that parameters are read by.
//!
//! INVARIANT: the text may come from a row, so no error holds it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Float32Array, Float64Array, StringArray};
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use bytes::Bytes;
use chrono::{Datelike as _, NaiveDate};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ScalarFunctionArgs};

use crate::engine::parameter::{self, Format, Parameter};
use crate::engine::{PgType, TimeZone};
use crate::error::{ClientMessage, SqlState};

use super::function::{Function, Result, arg, client};
use super::{Facts, date_text};

/// The type that a text is read as where the engine's own reading differs, and a number for it.
fn target(data_type: &DataType) -> Option<(PgType, DataType, u64)> {
    Some(match data_type {
        DataType::Date32 | DataType::Date64 => (PgType::DATE, DataType::Date32, 1),
        DataType::Timestamp(_, None) => (PgType::TIMESTAMP, DataType::Timestamp(TimeUnit::Microsecond, None), 2),
        DataType::Timestamp(_, Some(_)) => (PgType::TIMESTAMPTZ, DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), 3),
        DataType::Interval(_) | DataType::Duration(_) => (PgType::INTERVAL, DataType::Interval(IntervalUnit::MonthDayNano), 4),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => (PgType::BYTEA, DataType::Binary, 5),
        DataType::Time64(_) | DataType::Time32(_) => (PgType::TIME, DataType::Time64(TimeUnit::Microsecond), 6),
        DataType::List(_) => {
            let pg_type = PgType::of_arrow_type(&flat(data_type));
            (pg_type, data_type.clone(), 1_000 + u64::from(pg_type.oid))
        }
        _ => return None,
    })
}

/// A function from a text to a value of a type; `None` if the engine's own cast will do.
pub(super) fn read(data_type: &DataType, facts: Facts) -> Option<Function> {
    target(data_type).map(|(pg_type, gives, number)| reader(pg_type, gives, number, facts))
}

/// A function from a text to an array, whose type its elements alone do not tell.
pub(super) fn read_as(pg_type: PgType, gives: DataType, facts: Facts) -> Function {
    reader(pg_type, gives, 1_000_000 + u64::from(pg_type.oid), facts)
}

/// A function from a text to a floating-point number, which is infinite or zero only where the text says so; `None` for other types.
pub(super) fn float(data_type: &DataType) -> Option<Function> {
    let (pg_type, number) = match data_type {
        DataType::Float32 => (PgType::FLOAT4, 7),
        DataType::Float64 => (PgType::FLOAT8, 8),
        _ => return None,
    };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let texts = arg::<StringArray>(args, 0)?;
        let fault = |message| client(quiet(&message, pg_type));
        Ok(if pg_type == PgType::FLOAT4 {
            let read = texts.iter().map(|text| text.map(parameter::float4).transpose().map_err(fault));
            Arc::new(read.collect::<Result<Float32Array>>()?) as ArrayRef
        } else {
            let read = texts.iter().map(|text| text.map(parameter::float8).transpose().map_err(fault));
            Arc::new(read.collect::<Result<Float64Array>>()?)
        })
    };
    let gives = data_type.clone();
    Some(Function::new("read_text", |_| Some(vec![DataType::Utf8]), move |_| Some(gives.clone()), computes).variant(number))
}

fn reader(pg_type: PgType, gives: DataType, number: u64, facts: Facts) -> Function {
    let returned = gives.clone();
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let texts = arg::<StringArray>(args, 0)?;
        if returned == DataType::Date32 {
            return dates(texts, facts);
        }
        let values = texts.iter().map(|text| match text {
            None => Ok(ScalarValue::try_from(&returned)?),
            Some(text) => {
                let value = decoded(text, pg_type, facts).map_err(|message| client(quiet(&message, pg_type)))?;
                // An array of several dimensions has another type than one of one.
                if dimensions(&value.data_type()) > dimensions(&returned) {
                    return Err(deep());
                }
                Ok(value.cast_to(&returned)?)
            }
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        if values.is_empty() {
            return Ok(arrow::array::new_empty_array(&returned));
        }
        let array = ScalarValue::iter_to_array(values)?;
        Ok(arrow::compute::cast(&array, &returned)?)
    };
    Function::new("read_text", |_| Some(vec![DataType::Utf8]), move |_| Some(gives.clone()), computes).of_statement(facts).variant(number)
}

/// How deep lists are in lists.
fn dimensions(data_type: &DataType) -> usize {
    if let DataType::List(element) = data_type { 1 + dimensions(element.data_type()) } else { 0 }
}

/// The type of the innermost elements, in one list.
fn flat(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(element) if element.data_type().is_nested() => flat(element.data_type()),
        other => other.clone(),
    }
}

fn deep() -> datafusion::error::DataFusionError {
    client(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "arrays of several dimensions are read of constants alone"))
}

/// The value of a type that a parameter of this text would be.
pub(super) fn as_parameter(text: &str, pg_type: PgType, time_zone: &TimeZone) -> std::result::Result<ScalarValue, ClientMessage> {
    let parameter = Parameter { format: Format::Text, value: Some(Bytes::copy_from_slice(text.as_bytes())) };
    parameter::decode(&parameter, pg_type, time_zone)
}

/// The elements of an array of one dimension, as its text has them.
pub(in crate::engine) fn elements_of(text: &str) -> Option<Vec<Option<String>>> {
    let ScalarValue::List(list) = as_parameter(text, PgType::TEXT_ARRAY, &TimeZone::default()).ok()? else { return None };
    let elements = list.values().as_string_opt::<i32>()?;
    Some(elements.iter().map(|element| element.map(str::to_owned)).collect())
}

/// The months, days and microseconds of the interval that a text spells.
pub(in crate::engine) fn interval_of(text: &str) -> Option<(i32, i32, i64)> {
    match as_parameter(text, PgType::INTERVAL, &TimeZone::default()).ok()? {
        ScalarValue::IntervalMonthDayNano(Some(value)) => Some((value.months, value.days, value.nanoseconds / 1_000)),
        _ => None,
    }
}

fn decoded(text: &str, pg_type: PgType, facts: Facts) -> std::result::Result<ScalarValue, ClientMessage> {
    let decode = |text: &str| as_parameter(text, pg_type, &facts.time_zone);
    let moment = [PgType::DATE, PgType::TIME, PgType::TIMESTAMP, PgType::TIMESTAMPTZ].contains(&pg_type);
    decode(text).or_else(|fault| match date_text::normalized(text, facts).filter(|_| moment) {
        Some(text) => decode(&text).map_err(|_| fault),
        None => Err(fault),
    })
}

fn dates(texts: &StringArray, facts: Facts) -> Result<ArrayRef> {
    let date = |text: Option<&str>| {
        let Some(text) = text else { return Ok(None) };
        if let Some(days) = plain_date(text) {
            return Ok(Some(days));
        }
        match decoded(text, PgType::DATE, facts) {
            Ok(ScalarValue::Date32(days)) => Ok(days),
            Ok(_) => Err(client(ClientMessage::new(SqlState::INTERNAL_ERROR, "a date of another type"))),
            Err(message) => Err(client(quiet(&message, PgType::DATE))),
        }
    };
    Ok(Arc::new(texts.iter().map(date).collect::<Result<Date32Array>>()?))
}

/// `YYYY-MM-DD`, which nearly all dates are.
fn plain_date(text: &str) -> Option<i32> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return None };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
    };
    let year = number(&[y1, y2, y3, y4]).filter(|year| *year > 0)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(&[m1, m2])?, number(&[d1, d2])?)?;
    Some(date.num_days_from_ce() - 719_163)
}

/// The value that a constant text spells; `None` leaves its fault to the run.
pub(super) fn value(text: &str, data_type: &DataType, facts: Facts) -> Option<ScalarValue> {
    let (pg_type, gives) = match target(data_type) {
        Some((pg_type, gives, _)) => (pg_type, gives),
        None if text.bytes().any(|byte| byte.is_ascii_whitespace()) || matches!(data_type, DataType::Boolean) => {
            (plain(data_type)?, data_type.clone())
        }
        None => return None,
    };
    let value = decoded(text, pg_type, facts).ok()?;
    // A constant array has the dimensions that its text has.
    if dimensions(&value.data_type()) == dimensions(&gives) { value.cast_to(&gives).ok() } else { Some(value) }
}

/// A call that fails as reading the constant text does; `None` if it can be read. The text is the client's own.
pub(super) fn fault_of(text: &str, data_type: &DataType, facts: Facts) -> Option<Expr> {
    let (pg_type, gives) = match target(data_type) {
        Some((pg_type, gives, _)) => (pg_type, gives),
        None => (plain(data_type)?, data_type.clone()),
    };
    let message = decoded(text, pg_type, facts).err()?;
    Some(failing(message, gives))
}

const UNREADABLE: &str = "read_constant";

/// A call that fails when it runs.
pub(super) fn failing(message: ClientMessage, gives: DataType) -> Expr {
    let mut number = std::hash::DefaultHasher::new();
    (message.sqlstate, &message.message, &gives).hash(&mut number);
    let fails = move |_: &[ArrayRef], _: usize| Err(client(message.clone()));
    let none = |types: &[DataType]| types.is_empty().then(Vec::new);
    Function::new(UNREADABLE, none, move |_| Some(gives.clone()), fails).variant(number.finish()).call(Vec::new())
}

/// Fails as the constants in an expression do that are no values of their types, whether or not they would be looked at.
pub(super) fn raised(expr: &Expr) -> Result<()> {
    let mut found = Ok(());
    expr.apply(|part| {
        if let Expr::ScalarFunction(call) = part
            && call.func.name() == UNREADABLE
        {
            let args = ScalarFunctionArgs {
                args: Vec::new(),
                arg_fields: Vec::new(),
                number_rows: 1,
                return_field: Arc::new(Field::new(UNREADABLE, call.func.return_type(&[])?, true)),
                config_options: Arc::default(),
            };
            found = call.func.invoke_with_args(args).map(|_| ());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found
}

/// A numeric with the digits that its text has.
pub(super) fn numeric(text: &str, facts: Facts) -> Option<ScalarValue> {
    decoded(text, PgType::NUMERIC, facts).ok()
}

/// Types that the engine reads as PostgreSQL does but for blanks around the text.
pub(super) fn plain(data_type: &DataType) -> Option<PgType> {
    Some(match data_type {
        DataType::Boolean => PgType::BOOL,
        DataType::Int16 => PgType::INT2,
        DataType::Int32 => PgType::INT4,
        DataType::Int64 => PgType::INT8,
        DataType::Float32 => PgType::FLOAT4,
        DataType::Float64 => PgType::FLOAT8,
        DataType::Decimal128(..) => PgType::NUMERIC,
        _ => return None,
    })
}

/// The error without what it was about.
fn quiet(message: &ClientMessage, pg_type: PgType) -> ClientMessage {
    let name = pg_type.format().unwrap_or_default();
    let text = if message.sqlstate == SqlState::DATETIME_FIELD_OVERFLOW {
        "date/time field value out of range".to_owned()
    } else if message.sqlstate == SqlState::INTERVAL_FIELD_OVERFLOW {
        "interval field value out of range".to_owned()
    } else if message.sqlstate == SqlState::NUMERIC_VALUE_OUT_OF_RANGE {
        format!("value is out of range for type {name}")
    } else if message.sqlstate == SqlState::FEATURE_NOT_SUPPORTED {
        format!("values of type {name} must be finite")
    } else {
        format!("invalid input syntax for type {name}")
    };
    ClientMessage::new(message.sqlstate, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_dates_are_read_without_the_rules() {
        assert_eq!(plain_date("1970-01-02"), Some(1));
        assert_eq!(plain_date("2024-02-29"), Some(19_782));
        for text in ["2023-02-29", "0000-01-01", "2024-1-01", "2024-01-01 ", "20240101", "2024-0x-01"] {
            assert_eq!(plain_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_fault_does_not_show_the_text() {
        for text in ["secret", "2024-13-01", "infinity"] {
            let fault = dates(&StringArray::from(vec![text]), Facts::plain()).unwrap_err();
            assert!(!fault.to_string().contains(text), "{fault}");
        }
    }
}
