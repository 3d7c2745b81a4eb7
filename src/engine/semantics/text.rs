//! Values as PostgreSQL writes them: the text of a cast, of `||` and of concat().

use std::fmt::LowerExp;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray, StructArray};
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Float32Type, Float64Type, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};
use datafusion::common::ScalarValue;

use crate::engine::TimeZone;
use crate::error::SqlState;

use super::Facts;
use super::function::{Function, Result, arg, fault, first};

/// The type that a value is written from; `None` if the engine's own text is PostgreSQL's.
pub(super) fn written_as(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Interval(_) | DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Float16 | DataType::Float32 => DataType::Float32,
        DataType::Float64 => DataType::Float64,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            let element = written_as(field.data_type()).unwrap_or_else(|| field.data_type().clone());
            DataType::List(Arc::new(Field::new_list_field(element, true)))
        }
        DataType::Struct(fields) => {
            let written = |field: &FieldRef| {
                let data_type = written_as(field.data_type()).unwrap_or_else(|| field.data_type().clone());
                field.as_ref().clone().with_data_type(data_type)
            };
            DataType::Struct(fields.iter().map(written).collect())
        }
        _ => return None,
    })
}

/// Whether the engine's own text differs from PostgreSQL's.
pub(super) fn differs(data_type: &DataType) -> bool {
    written_as(data_type).is_some()
}

/// The text of a value of a type that `differs`.
pub(super) fn text(facts: Facts) -> Function {
    let takes = |types: &[DataType]| types.iter().map(written_as).collect();
    let computes = move |args: &[ArrayRef], _rows: usize| written(args, facts);
    Function::new("value_text", takes, |_| Some(DataType::Utf8), computes).of_statement(facts)
}

/// An array with the text of each element, however deep it lies.
pub(super) fn elements(facts: Facts) -> Function {
    let takes = |types: &[DataType]| types.iter().map(written_as).collect();
    let computes = move |args: &[ArrayRef], _rows: usize| texts_within(first(args)?, facts);
    Function::new("element_texts", takes, |types| types.first().map(of_texts), computes).of_statement(facts)
}

/// The type of the innermost elements of an array; `None` for other types.
pub(super) fn leaf(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(leaf(field.data_type()).unwrap_or(field.data_type()))
        }
        _ => None,
    }
}

fn of_texts(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            DataType::List(Arc::new(Field::new_list_field(of_texts(field.data_type()), true)))
        }
        _ => DataType::Utf8,
    }
}

fn texts_within(array: &ArrayRef, facts: Facts) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let values = texts_within(list.values(), facts)?;
            let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?))
        }
        DataType::Boolean => Ok(Arc::new(letters(array.as_boolean()))),
        _ => Ok(Arc::new(texts(array, facts)?)),
    }
}

fn letters(truths: &BooleanArray) -> StringArray {
    truths.iter().map(|truth| truth.map(|truth| if truth { "t" } else { "f" })).collect()
}

/// A truth value as `t` or `f`, which concat() wants.
pub(super) fn letter() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| Ok(Arc::new(letters(arg::<BooleanArray>(args, 0)?)) as ArrayRef);
    Function::new("truth_letter", |_| Some(vec![DataType::Boolean]), |_| Some(DataType::Utf8), computes)
}

/// `chr(n)`: the letter of a number.
pub(super) fn letter_of() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let one = |number: i64| match u32::try_from(number) {
            Ok(0) => Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "null character not permitted")),
            Ok(number) => char::from_u32(number)
                .map(String::from)
                .ok_or_else(|| fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested character not valid for encoding")),
            Err(_) if number < 0 => Err(fault(SqlState::INVALID_PARAMETER_VALUE, "character number must be positive")),
            Err(_) => Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested character too large for encoding")),
        };
        let letters = arg::<Int64Array>(args, 0)?.iter().map(|number| number.map(one).transpose());
        Ok(Arc::new(letters.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| match types {
        [found] if found.is_integer() || found.is_null() => Some(vec![DataType::Int64]),
        _ => None,
    };
    Function::new("chr", takes, |_| Some(DataType::Utf8), computes)
}

fn written(args: &[ArrayRef], facts: Facts) -> Result<ArrayRef> {
    texts(first(args)?, facts).map(|texts| Arc::new(texts) as ArrayRef)
}

/// The text of each value.
pub(super) fn texts(array: &ArrayRef, facts: Facts) -> Result<StringArray> {
    Ok(match array.data_type() {
        DataType::Timestamp(_, zone) => {
            let zoned = zone.is_some();
            let micros = array.as_primitive::<TimestampMicrosecondType>();
            micros.iter().map(|micros| micros.and_then(|micros| instant(micros, zoned, &facts.time_zone))).collect()
        }
        DataType::Date32 => array.as_primitive::<Date32Type>().iter().map(|days| days.and_then(date)).collect(),
        DataType::Interval(_) => {
            let values = array.as_primitive::<IntervalMonthDayNanoType>();
            values.iter().map(|value| value.map(|value| interval(value.months, value.days, value.nanoseconds / 1000))).collect()
        }
        DataType::Time64(_) => array.as_primitive::<Time64MicrosecondType>().iter().map(|micros| micros.map(clock)).collect(),
        DataType::Float32 => array.as_primitive::<Float32Type>().iter().map(|value| value.map(|value| float(value, 6, facts))).collect(),
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().map(|value| value.map(|value| float(value, 15, facts))).collect(),
        DataType::Binary => array.as_binary::<i32>().iter().map(|bytes| bytes.map(hex)).collect(),
        DataType::List(_) => {
            array.as_list::<i32>().iter().map(|list| list.map(|list| braced(&list, facts)).transpose()).collect::<Result<_>>()?
        }
        DataType::Struct(_) => rows(array.as_struct(), facts)?,
        _ => arrow::compute::cast(array, &DataType::Utf8)?.as_string::<i32>().clone(),
    })
}

/// `(1,"a b",)`
fn rows(rows: &StructArray, facts: Facts) -> Result<StringArray> {
    let columns = rows.columns().iter().map(|column| texts(column, facts)).collect::<Result<Vec<_>>>()?;
    let truth = |at: usize| rows.column(at).data_type() == &DataType::Boolean;
    let one = |row: usize| {
        rows.is_valid(row).then(|| {
            let fields = columns.iter().enumerate().map(|(at, column)| match column.is_valid(row).then(|| column.value(row)) {
                None => String::new(),
                Some(value) if truth(at) => value.chars().take(1).collect(),
                Some(value) if value.is_empty() || value.contains(['(', ')', ',', '"', '\\']) || value.contains(char::is_whitespace) => {
                    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\"\""))
                }
                Some(value) => value.to_owned(),
            });
            format!("({})", fields.collect::<Vec<_>>().join(","))
        })
    };
    Ok((0..rows.len()).map(one).collect())
}

/// `\x0aff`.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// `{1,NULL,"a b"}`.
fn braced(elements: &ArrayRef, facts: Facts) -> Result<String> {
    let nested = matches!(elements.data_type(), DataType::List(_));
    let truths = matches!(elements.data_type(), DataType::Boolean);
    let mut text = String::from("{");
    for (at, element) in texts(elements, facts)?.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match element {
            None => text.push_str("NULL"),
            Some(element) if truths => text.extend(element.chars().take(1)),
            Some(element) if nested || !needs_quotes(element) => text.push_str(element),
            Some(element) => {
                text.push('"');
                text.extend(element.chars().flat_map(|letter| matches!(letter, '"' | '\\').then_some('\\').into_iter().chain([letter])));
                text.push('"');
            }
        }
    }
    text.push('}');
    Ok(text)
}

fn needs_quotes(element: &str) -> bool {
    element.is_empty()
        || element.eq_ignore_ascii_case("null")
        || element.chars().any(|letter| matches!(letter, '{' | '}' | ',' | '"' | '\\') || letter.is_ascii_whitespace())
}

pub(super) fn clock(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    format!("{:02}:{:02}:{}", seconds / 3600, seconds / 60 % 60, fraction(seconds % 60, micros % 1_000_000))
}

/// The text of one date or timestamp.
pub(super) fn moment(value: &ScalarValue, time_zone: &TimeZone) -> Option<String> {
    match value {
        ScalarValue::Date32(Some(days)) => date(*days),
        ScalarValue::TimestampMicrosecond(Some(micros), zone) => instant(*micros, zone.is_some(), time_zone),
        _ => None,
    }
}

/// The text of a date that is so many days from 1970.
fn date(days: i32) -> Option<String> {
    let date = DateTime::from_timestamp(i64::from(days).checked_mul(86_400)?, 0)?.date_naive();
    let (year, suffix) = era(date.year());
    Some(format!("{year:04}-{:02}-{:02}{suffix}", date.month(), date.day()))
}

/// A year as it is counted, and what is written behind it.
fn era(year: i32) -> (i32, &'static str) {
    if year > 0 { (year, "") } else { (1 - year, " BC") }
}

fn instant(micros: i64, zoned: bool, time_zone: &TimeZone) -> Option<String> {
    let utc = DateTime::from_timestamp_micros(micros)?.naive_utc();
    if !zoned {
        return Some(local(&utc, ""));
    }
    let offset = time_zone.offset_at(&utc);
    let shifted = utc.checked_add_signed(chrono::TimeDelta::seconds(i64::from(offset)))?;
    Some(local(&shifted, &distance(offset)))
}

/// `+02`, `-05:30`.
fn distance(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    if minutes == 0 { format!("{sign}{hours:02}") } else { format!("{sign}{hours:02}:{minutes:02}") }
}

fn local(moment: &NaiveDateTime, zone: &str) -> String {
    let (year, suffix) = era(moment.year());
    let micros = moment.nanosecond() / 1000;
    let seconds = i64::from(moment.second());
    let clock = format!("{:02}:{:02}:{}", moment.hour(), moment.minute(), fraction(seconds, i64::from(micros)));
    format!("{year:04}-{:02}-{:02} {clock}{zone}{suffix}", moment.month(), moment.day())
}

/// Two digits of seconds, and a fraction without zeros at its end.
fn fraction(seconds: i64, micros: i64) -> String {
    if micros == 0 {
        return format!("{seconds:02}");
    }
    let digits = format!("{micros:06}");
    format!("{seconds:02}.{}", digits.trim_end_matches('0'))
}

/// `1 year 2 mons -3 days 04:05:06.7`.
pub(super) fn interval(months: i32, days: i32, micros: i64) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut negative_before = false;
    for (number, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if number != 0 {
            let plus = if negative_before && number > 0 { "+" } else { "" };
            parts.push(format!("{plus}{number} {unit}{}", if number == 1 { "" } else { "s" }));
            negative_before = number < 0;
        }
    }
    if micros != 0 || parts.is_empty() {
        let total = micros.unsigned_abs();
        let seconds = total / 1_000_000;
        let clock = fraction(i64::try_from(seconds % 60).unwrap_or(0), i64::try_from(total % 1_000_000).unwrap_or(0));
        let sign = if micros < 0 {
            "-"
        } else if negative_before {
            "+"
        } else {
            ""
        };
        parts.push(format!("{sign}{:02}:{:02}:{clock}", seconds / 3600, seconds / 60 % 60));
    }
    parts.join(" ")
}

/// A floating-point number by `extra_float_digits`: the shortest digits that read back the same, or so many more or fewer than `kept`.
fn float<T: Copy + LowerExp + Into<f64>>(value: T, kept: i32, facts: Facts) -> String {
    if facts.float_digits > 0 || !value.into().is_finite() {
        return laid_out(&format!("{value:e}"), kept);
    }
    let digits = kept.saturating_add(facts.float_digits).max(1);
    let shown = format!("{:.*e}", usize::try_from(digits - 1).unwrap_or(0), value.into());
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    laid_out(&format!("{mantissa}e{exponent}"), digits)
}

/// Digits in PostgreSQL's layout; `digits_max` of them before the point at most.
fn laid_out(scientific: &str, digits_max: i32) -> String {
    let (mantissa, exponent) = match scientific.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().unwrap_or(0)),
        None => {
            return match scientific {
                "inf" => "Infinity".to_owned(),
                "-inf" => "-Infinity".to_owned(),
                other => other.to_owned(),
            };
        }
    };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    if exponent < -4 || exponent >= digits_max {
        let sign_of_exponent = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{sign_of_exponent}{:02}", exponent.abs());
    }
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    }
    let point = usize::try_from(exponent).unwrap_or(0) + 1;
    match digits.split_at_checked(point) {
        Some((whole, "")) => format!("{sign}{whole}"),
        Some((whole, rest)) => format!("{sign}{whole}.{rest}"),
        None => format!("{sign}{digits}{}", "0".repeat(point - digits.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_laid_out_as_postgres_does() {
        for (value, expected) in
            [(1.5, "1.5"), (1e15, "1e+15"), (1e14, "100000000000000"), (1e-7, "1e-07"), (0.0001, "0.0001"), (-2.0, "-2"), (0.0, "0")]
        {
            assert_eq!(laid_out(&format!("{value:e}"), 15), expected);
        }
    }

    #[test]
    fn floats_have_the_digits_that_the_session_wants() {
        let sum = 0.1_f64 + 0.2;
        for (float_digits, double, single) in [(1, "0.30000000000000004", "1.5"), (0, "0.3", "1.5"), (-5, "0.3", "2"), (-15, "0.3", "2")] {
            let facts = Facts { float_digits, ..Facts::plain() };
            assert_eq!((float(sum, 15, facts).as_str(), float(1.5_f32, 6, facts).as_str()), (double, single), "{float_digits}");
        }
        let facts = Facts { float_digits: -3, ..Facts::plain() };
        assert_eq!(float(123_456_789.0_f32, 6, facts), "1.23e+08");
        assert_eq!([f64::NAN, f64::NEG_INFINITY, 1e300].map(|value| float(value, 15, facts)), ["NaN", "-Infinity", "1e+300"]);
    }

    #[test]
    fn arrays_are_laid_out_as_postgres_does() {
        let facts = Facts::plain();
        let words: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b c"), Some(""), Some("nuLL"), Some("q\"\\")]));
        assert_eq!(braced(&words, facts).unwrap(), r#"{a,NULL,"b c","","nuLL","q\"\\"}"#);
        assert_eq!(braced(&(Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef), facts).unwrap(), "{t,f}");
        assert_eq!(hex(b"hi\x00"), "\\x686900");
        assert_eq!(clock(36_671_500_000), "10:11:11.5");
        assert_eq!([-719_163, 0, 2_932_897].map(|days| date(days).unwrap()), ["0001-12-31 BC", "1970-01-01", "10000-01-01"]);
    }

    #[test]
    fn rows_are_laid_out_as_postgres_does() {
        let facts = Facts::plain();
        let field = |name: &str, data_type: DataType| Arc::new(Field::new(name, data_type, true));
        let columns: Vec<(FieldRef, ArrayRef)> = vec![
            (field("f1", DataType::Utf8), Arc::new(StringArray::from(vec![Some("a b"), None, Some("q\"\\")]))),
            (field("f2", DataType::Boolean), Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ];
        let texts = rows(&StructArray::from(columns), facts).unwrap();
        assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), ["(\"a b\",t)", "(,)", "(\"q\"\"\\\\\",f)"]);
    }

    #[test]
    fn intervals_are_laid_out_as_postgres_does() {
        assert_eq!(interval(14, -3, 3_661_500_000), "1 year 2 mons -3 days +01:01:01.5");
        assert_eq!(interval(0, 0, 0), "00:00:00");
        assert_eq!(interval(0, 1, -1_000_000), "1 day -00:00:01");
    }
}
