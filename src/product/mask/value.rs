//! Values of a contract's types: constants that are written, and what an expression computes.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use serde_json::Value as Json;

use super::Decimal;
use crate::product::DataType;

const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A constant as it is written; which type it is of depends on the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Decimal),
    /// A text, which may stand for a value of any type.
    Text(String),
}

/// A value of one of the types that constants and expressions know.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// NULL of any type.
    Null,
    /// boolean
    Bool(bool),
    /// int16, int32, int64
    Int(i64),
    /// decimal
    Decimal(Decimal),
    /// float32, float64
    Float(f64),
    /// string, varchar, uuid, json
    Text(Cow<'a, str>),
    /// date: days since 1970.
    Date(i32),
    /// time: microseconds since midnight.
    Time(i64),
    /// timestamp, timestamptz: microseconds since 1970.
    Timestamp(i64),
}

impl Constant {
    /// A scalar of a document.
    pub fn of_json(value: &Json) -> Option<Self> {
        match value {
            Json::Bool(flag) => Some(Self::Bool(*flag)),
            Json::Number(number) => Decimal::parse(&number.to_string()).or_else(|| Decimal::of_f64(number.as_f64()?)).map(Self::Number),
            Json::String(text) => Some(Self::Text(text.clone())),
            Json::Null | Json::Array(_) | Json::Object(_) => None,
        }
    }

    /// The number that is written, perhaps in quotes.
    pub fn to_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => Decimal::parse(text.trim()),
            Self::Bool(_) => None,
        }
    }

    /// The value of that type, without loss; `None` if it is none.
    pub fn to_value(&self, data_type: &DataType) -> Option<Value<'static>> {
        let text = match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        };
        match data_type {
            DataType::String => Some(owned(text?)),
            DataType::Varchar(limit) => {
                let fits = text?.chars().count() <= usize::try_from(*limit).ok()?;
                fits.then(|| text.map(owned)).flatten()
            }
            DataType::Uuid => uuid::Uuid::parse_str(text?).ok().map(|id| Value::Text(id.to_string().into())),
            DataType::Json => serde_json::from_str::<serde::de::IgnoredAny>(text?).ok().map(|_| owned(text.unwrap_or_default())),
            DataType::Boolean => match self {
                Self::Bool(flag) => Some(Value::Bool(*flag)),
                _ => None,
            },
            DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                let number = self.to_decimal()?;
                let whole = number.to_i64().filter(|whole| Decimal::whole(*whole) == number)?;
                integer_range(data_type)?.contains(&whole).then_some(Value::Int(whole))
            }
            DataType::Float32 | DataType::Float64 => self.to_decimal()?.to_f64().map(Value::Float),
            DataType::Decimal { precision, scale } => {
                let number = self.to_decimal()?;
                let scaled = fit_decimal(number, *precision, *scale)?;
                (scaled == number).then_some(Value::Decimal(scaled))
            }
            DataType::Date => parse_date(text?).map(Value::Date),
            DataType::Time => parse_time(text?).map(Value::Time),
            DataType::Timestamp => parse_timestamp(text?, false).map(Value::Timestamp),
            DataType::TimestampTz => parse_timestamp(text?, true).map(Value::Timestamp),
            DataType::Interval | DataType::Bytes | DataType::List(_) => None,
        }
    }
}

fn owned(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}

/// What an integer type holds.
pub(super) fn integer_range(data_type: &DataType) -> Option<std::ops::RangeInclusive<i64>> {
    match data_type {
        DataType::Int16 => Some(i16::MIN.into()..=i16::MAX.into()),
        DataType::Int32 => Some(i32::MIN.into()..=i32::MAX.into()),
        DataType::Int64 => Some(i64::MIN..=i64::MAX),
        _ => None,
    }
}

/// The number rounded to a decimal type's scale, if its digits fit.
pub(super) fn fit_decimal(number: Decimal, precision: u8, scale: i8) -> Option<Decimal> {
    let rounded = number.rescaled(u8::try_from(scale).ok()?)?;
    let fits = rounded.unscaled.unsigned_abs() < super::decimal::power_of_ten(precision)?.unsigned_abs();
    fits.then_some(rounded)
}

/// `2026-01-31`
pub(super) fn parse_date(text: &str) -> Option<i32> {
    let day = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()?;
    i32::try_from(day.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days()).ok()
}

/// `12:30:00.5`
fn parse_time(text: &str) -> Option<i64> {
    let time = NaiveTime::parse_from_str(text.trim(), "%H:%M:%S%.f").or_else(|_| NaiveTime::parse_from_str(text.trim(), "%H:%M")).ok()?;
    let micros = i64::from(time.nanosecond() / 1_000);
    i64::from(time.num_seconds_from_midnight()).checked_mul(MICROS_PER_SECOND)?.checked_add(micros)
}

/// A day, a day and a time, or with `zoned` also an instant with its offset; without an offset it is UTC.
pub(super) fn parse_timestamp(text: &str, zoned: bool) -> Option<i64> {
    let text = text.trim();
    if let Some(day) = parse_date(text) {
        return i64::from(day).checked_mul(MICROS_PER_DAY);
    }
    let local = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    if let Some(local) = local.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()) {
        return Some(local.and_utc().timestamp_micros());
    }
    let offset = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
    let instant = offset.iter().find_map(|format| DateTime::parse_from_str(text, format).ok());
    let instant = instant.or_else(|| DateTime::parse_from_rfc3339(text).ok())?;
    zoned.then(|| instant.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> Option<Value<'static>> {
        Constant::Text(text.to_owned()).to_value(&DataType::parse(name).unwrap())
    }

    #[test]
    fn a_text_stands_for_a_value_of_any_type_with_constants() {
        assert_eq!(value("x", "string"), Some(Value::Text("x".into())));
        assert_eq!(value("12", "int16"), Some(Value::Int(12)));
        assert_eq!(value("12.50", "decimal(4,2)"), Some(Value::Decimal(Decimal::parse("12.5").unwrap())));
        assert_eq!(value("0.5", "float32"), Some(Value::Float(0.5)));
        assert_eq!(value("1970-01-02", "date"), Some(Value::Date(1)));
        assert_eq!(value("00:00:01", "time"), Some(Value::Time(1_000_000)));
        assert_eq!(value("1970-01-01 00:00:01.5", "timestamp"), Some(Value::Timestamp(1_500_000)));
        assert_eq!(value("1970-01-01T01:00:00+01:00", "timestamptz"), Some(Value::Timestamp(0)));
        assert_eq!(value("1970-01-02", "timestamptz"), Some(Value::Timestamp(MICROS_PER_DAY)));
        assert_eq!(value("A0000000-0000-0000-0000-000000000000", "uuid"), Some(Value::Text("a0000000-0000-0000-0000-000000000000".into())));
        assert_eq!(value("{\"a\": 1}", "json"), Some(Value::Text("{\"a\": 1}".into())));
    }

    #[test]
    fn what_would_lose_something_is_no_constant() {
        for (text, name) in [
            ("xyz", "varchar(2)"),
            ("40000", "int16"),
            ("1.5", "int64"),
            ("12.345", "decimal(5,2)"),
            ("1234.5", "decimal(5,2)"),
            ("true", "boolean"),
            ("2026-02-30", "date"),
            ("25:00:00", "time"),
            ("1970-01-01T01:00:00+01:00", "timestamp"),
            ("{", "json"),
            ("x", "uuid"),
            ("x", "bytes"),
            ("1 day", "interval"),
            ("[]", "list<string>"),
        ] {
            assert_eq!(value(text, name), None, "{text} as {name}");
        }
        assert_eq!(Constant::Bool(true).to_value(&DataType::Boolean), Some(Value::Bool(true)));
        assert_eq!(Constant::Number(Decimal::whole(1)).to_value(&DataType::String), None);
    }
}
