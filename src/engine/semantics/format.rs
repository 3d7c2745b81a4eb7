//! to_char(), to_date() and to_timestamp(): values by templates.
//!
//! A pattern of PostgreSQL that is not known here is refused, for it would else stand in the answer as it is.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, IntervalMonthDayNanoArray, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::number_text::{self, Number};
use super::{Facts, numeric, template, temporal, truncation};

pub(super) fn all(facts: Facts) -> Vec<Arc<ScalarUDF>> {
    vec![to_char(facts).udf(), to_date(facts).udf(), to_timestamp(facts).udf()]
}

pub(super) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Patterns, of which the longest that fits is meant.
const PATTERNS: [&str; 71] = [
    "Y,YYY", "YYYY", "IYYY", "YYY", "IYY", "YY", "IY", "Y", "I", "MONTH", "Month", "month", "MON", "Mon", "mon", "MM", "MI", "MS", "DAY",
    "Day", "day", "DDD", "DD", "DY", "Dy", "dy", "D", "ID", "IW", "WW", "W", "Q", "CC", "HH24", "HH12", "HH", "SSSSS", "SSSS", "SS", "US",
    "AM", "PM", "am", "pm", "A.M.", "P.M.", "a.m.", "p.m.", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "IDDD", "J", "RM", "rm", "BC", "AD",
    "bc", "ad", "B.C.", "A.D.", "b.c.", "a.d.", "TZH", "TZM", "TZ", "tz", "OF",
];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// A part of a template.
pub(super) enum Piece {
    Pattern {
        name: &'static str,
        fill: bool,
        ordinal: Option<bool>,
    },
    /// A letter that stands for itself.
    Text(String),
    /// Letters in quotes.
    Quoted(String),
    /// `FX`: a text that is read has each letter in its place.
    Exact,
}

pub(super) fn unsupported(pattern: &str) -> DataFusionError {
    fault(SqlState::FEATURE_NOT_SUPPORTED, &format!("the pattern \"{pattern}\" is not supported in a template"))
}

pub(super) fn pieces(template: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let (mut fill, mut local) = (true, false);
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = in_quotes(quoted);
            pieces.push(Piece::Quoted(text));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\\"") {
            pieces.push(Piece::Text("\"".to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            fill = false;
            rest = after;
        } else if let Some(after) = ["TM", "tm"].iter().find_map(|prefix| rest.strip_prefix(prefix)) {
            local = true;
            rest = after;
        } else if let Some(after) = ["FX", "fx"].iter().find_map(|prefix| rest.strip_prefix(prefix)) {
            pieces.push(Piece::Exact);
            rest = after;
        } else if let Some((name, after)) = pattern(rest, fill)? {
            let (ordinal, after) = match (after.strip_prefix("TH"), after.strip_prefix("th")) {
                (Some(after), _) => (Some(true), after),
                (_, Some(after)) => (Some(false), after),
                _ => (None, after),
            };
            // Names in the words of a locale are not filled up.
            pieces.push(Piece::Pattern { name, fill: fill && (!local || numeric_pattern(name)), ordinal });
            (fill, local) = (true, false);
            rest = after;
        } else {
            pieces.push(Piece::Text(first.to_string()));
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    Ok(pieces)
}

/// A text in quotes, from behind the first one, and what stands behind the last; a backslash takes the letter behind it as it is.
fn in_quotes(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (text, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => text.push(letters.next().map_or('\\', |(_, letter)| letter)),
            letter => text.push(letter),
        }
    }
    (text, "")
}

/// The longest pattern is shorter.
const PATTERN_BYTES_MAX: usize = 16;
/// Each letter of a template is looked at again and again.
const TEMPLATE_BYTES_MAX: usize = 10_000;

/// Refuses a template that nobody writes.
pub(super) fn check_length(template: &str) -> Result<()> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "formatting template is too long"));
    }
    Ok(())
}

/// The pattern that a template starts with. Numbers may be written in either case.
fn pattern(rest: &str, _fill: bool) -> Result<Option<(&'static str, &str)>> {
    let upper = rest.get(..rest.floor_char_boundary(PATTERN_BYTES_MAX)).unwrap_or_default().to_ascii_uppercase();
    let longest = |list: &'static [&'static str]| {
        let found = list.iter().filter(|name| rest.starts_with(**name) || numeric_pattern(name) && upper.starts_with(**name));
        found.max_by_key(|name| name.len()).copied()
    };
    Ok(longest(&PATTERNS).map(|known| (known, rest.get(known.len()..).unwrap_or_default())))
}

pub(super) fn numeric_pattern(name: &str) -> bool {
    !matches!(
        name.to_ascii_uppercase().as_str(),
        "MONTH" | "MON" | "DAY" | "DY" | "AM" | "PM" | "A.M." | "P.M." | "RM" | "BC" | "AD" | "B.C." | "A.D." | "TZ"
    )
}

fn to_char(facts: Facts) -> Function {
    let takes = |types: &[DataType]| {
        let [value, _] = types else { return None };
        let value = match value {
            DataType::Float32 | DataType::Float64 => DataType::Float64,
            DataType::Interval(_) | DataType::Duration(_) => temporal::interval(),
            DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
            other => match numeric::of(other) {
                Some((precision, scale)) => DataType::Decimal128(precision, scale),
                None => temporal::micros_type(other)?,
            },
        };
        Some(vec![value, DataType::Utf8])
    };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let templates = arg::<StringArray>(args, 1)?;
        let values = args.first().ok_or_else(|| unsupported(""))?;
        let mut results: Vec<Option<String>> = Vec::with_capacity(values.len());
        for row in 0..values.len() {
            let missing = values.is_null(row) || templates.is_null(row) || templates.value(row).is_empty();
            results.push(if missing { None } else { Some(shown(values, row, templates.value(row), facts)?) });
        }
        Ok(Arc::new(results.into_iter().collect::<StringArray>()) as ArrayRef)
    };
    Function::new("to_char", takes, |_| Some(DataType::Utf8), computes).of_statement(facts)
}

fn shown(values: &ArrayRef, row: usize, template: &str, facts: Facts) -> Result<String> {
    check_length(template)?;
    if let Some(array) = values.as_any().downcast_ref::<Float64Array>() {
        return number_text::written(template, Number::Float(array.value(row)));
    }
    if let Some(array) = values.as_any().downcast_ref::<Decimal128Array>() {
        let (value, scale) = (array.value(row), usize::try_from(array.scale()).unwrap_or(0));
        return number_text::written(template, Number::Decimal(value, scale));
    }
    if let Some(array) = values.as_any().downcast_ref::<IntervalMonthDayNanoArray>() {
        return span(array.value(row), template);
    }
    if let Some(array) = values.as_any().downcast_ref::<Time64MicrosecondArray>() {
        return span(IntervalMonthDayNano::new(0, 0, array.value(row) * 1000), template);
    }
    let array = values.as_any().downcast_ref::<TimestampMicrosecondArray>().ok_or_else(|| unsupported(""))?;
    let zoned = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    let micros = array.value(row);
    let shown = if zoned { temporal::local_micros(micros, &facts.time_zone) } else { micros };
    let zone = if zoned {
        let utc = temporal::moment(micros)?;
        Zone { offset: facts.time_zone.offset_at(&utc), name: facts.time_zone.abbreviation_at(&utc) }
    } else {
        Zone { offset: 0, name: String::new() }
    };
    moment(&temporal::moment(shown)?, template, &zone)
}

/// Where the clock stands that shows a moment.
struct Zone {
    /// Seconds to the east.
    offset: i32,
    name: String,
}

impl Zone {
    fn field(&self, pattern: &str) -> String {
        let (sign, size) = (if self.offset < 0 { '-' } else { '+' }, self.offset.unsigned_abs());
        let (hours, minutes) = (size / 3600, size / 60 % 60);
        match pattern {
            "TZH" => format!("{sign}{hours:02}"),
            "TZM" => format!("{minutes:02}"),
            "OF" if minutes == 0 => format!("{sign}{hours:02}"),
            "OF" => format!("{sign}{hours:02}:{minutes:02}"),
            "tz" => self.name.to_lowercase(),
            _ => self.name.to_uppercase(),
        }
    }
}

/// An interval by its template; it has no names of months and days, and no zone.
fn span(value: IntervalMonthDayNano, template: &str) -> Result<String> {
    let micros = value.nanoseconds / 1000;
    let (hours, minutes, seconds) = (micros / 3_600_000_000, micros / 60_000_000 % 60, micros / 1_000_000 % 60);
    let fraction = micros % 1_000_000;
    let mut text = String::new();
    for piece in pieces(template)? {
        let (name, fill) = match &piece {
            Piece::Text(part) | Piece::Quoted(part) => {
                text.push_str(part);
                continue;
            }
            Piece::Exact => continue,
            Piece::Pattern { ordinal: Some(_), .. } => return Err(unsupported("TH")),
            Piece::Pattern { name, fill, .. } => (*name, *fill),
        };
        let twelve = if hours % 12 == 0 { 12 } else { hours % 12 };
        let (number, width) = match name {
            "YYYY" => (i64::from(value.months / 12), 4),
            "MM" => (i64::from(value.months % 12), 2),
            "DD" => (i64::from(value.days), 2),
            "HH24" => (hours, 2),
            "HH12" | "HH" => (twelve, 2),
            "MI" => (minutes, 2),
            "SS" => (seconds, 2),
            "MS" => (fraction / 1000, 3),
            "US" => (fraction, 6),
            "AM" | "PM" | "am" | "pm" | "A.M." | "P.M." | "a.m." | "p.m." => {
                text.push_str(&half(name, hours % 24 >= 12));
                continue;
            }
            other => return Err(unsupported(other)),
        };
        // The sign of days counts among their letters.
        let width = if !fill {
            0
        } else if number < 0 && name != "DD" {
            width + 1
        } else {
            width
        };
        text.push_str(&format!("{number:0width$}"));
    }
    Ok(text)
}

fn moment(value: &NaiveDateTime, template: &str, zone: &Zone) -> Result<String> {
    let mut text = String::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Text(part) | Piece::Quoted(part) => text.push_str(&part),
            Piece::Exact => {}
            Piece::Pattern { name, fill, ordinal } => {
                let part = match name {
                    "TZH" | "TZM" | "TZ" | "tz" | "OF" => zone.field(name),
                    name => field(name, value, fill)?,
                };
                text.push_str(&part);
                if let Some(upper) = ordinal {
                    text.push_str(&suffix(&part, upper));
                }
            }
        }
    }
    Ok(text)
}

/// `st`, `nd`, `rd`, `th`.
fn suffix(digits: &str, upper: bool) -> String {
    let teen = digits.ends_with("11") || digits.ends_with("12") || digits.ends_with("13");
    let found = match digits.chars().last() {
        Some('1') if !teen => "st",
        Some('2') if !teen => "nd",
        Some('3') if !teen => "rd",
        _ => "th",
    };
    if upper { found.to_uppercase() } else { found.to_owned() }
}

fn field(name: &str, value: &NaiveDateTime, fill: bool) -> Result<String> {
    let padded = |number: i64, width: usize| if fill { format!("{number:0width$}") } else { number.to_string() };
    let shown = i64::from(value.year());
    // There is no year 0: what comes before 1 is 1 before Christ.
    let year = if shown > 0 { shown } else { 1 - shown };
    let iso = i64::from(value.iso_week().year());
    let iso = if iso > 0 { iso } else { 1 - iso };
    let micros = value.nanosecond() / 1000;
    let month = MONTHS.get(usize::try_from(value.month0()).unwrap_or(0)).copied().unwrap_or_default();
    let day = DAYS.get(usize::try_from(value.weekday().num_days_from_sunday()).unwrap_or(0)).copied().unwrap_or_default();
    Ok(match name {
        "Y,YYY" => format!("{},{:03}", year / 1000, year % 1000),
        "YYYY" => padded(year, 4),
        "YYY" => padded(year % 1000, 3),
        "YY" => padded(year % 100, 2),
        "Y" => (year % 10).to_string(),
        "IYYY" => padded(iso, 4),
        "IYY" => padded(iso % 1000, 3),
        "IY" => padded(iso % 100, 2),
        "I" => (iso % 10).to_string(),
        "MM" => padded(i64::from(value.month()), 2),
        "DDD" => padded(i64::from(value.ordinal()), 3),
        "DD" => padded(i64::from(value.day()), 2),
        "D" => (value.weekday().num_days_from_sunday() + 1).to_string(),
        "ID" => value.weekday().number_from_monday().to_string(),
        "IW" => padded(i64::from(value.iso_week().week()), 2),
        "WW" => padded(i64::from(value.ordinal0() / 7 + 1), 2),
        "W" => (value.day0() / 7 + 1).to_string(),
        "Q" => value.month0().wrapping_div(3).wrapping_add(1).to_string(),
        "CC" if shown > 0 => padded((year + 99).div_euclid(100), 2),
        "CC" => padded(shown / 100 - 1, 3),
        "HH24" => padded(i64::from(value.hour()), 2),
        "HH12" | "HH" => padded(i64::from(temporal::clock_hour(value)), 2),
        "MI" => padded(i64::from(value.minute()), 2),
        "SS" => padded(i64::from(value.second()), 2),
        "SSSSS" | "SSSS" => value.num_seconds_from_midnight().to_string(),
        "MS" | "FF3" => format!("{:03}", micros / 1000),
        "US" | "FF6" => format!("{micros:06}"),
        "FF1" => format!("{:01}", micros / 100_000),
        "FF2" => format!("{:02}", micros / 10_000),
        "FF4" => format!("{:04}", micros / 100),
        "FF5" => format!("{:05}", micros / 10),
        "IDDD" => padded(i64::from(value.iso_week().week0() * 7 + value.weekday().number_from_monday()), 3),
        "J" => (i64::from(value.num_days_from_ce()) + 1_721_425).to_string(),
        "RM" | "rm" => {
            let roman = ROMAN.get(usize::try_from(value.month0()).unwrap_or(0)).copied().unwrap_or_default();
            let roman = if name == "rm" { roman.to_lowercase() } else { roman.to_owned() };
            if fill { format!("{roman:<4}") } else { roman }
        }
        "BC" | "AD" => if shown > 0 { "AD" } else { "BC" }.to_owned(),
        "bc" | "ad" => if shown > 0 { "ad" } else { "bc" }.to_owned(),
        "B.C." | "A.D." => if shown > 0 { "A.D." } else { "B.C." }.to_owned(),
        "b.c." | "a.d." => if shown > 0 { "a.d." } else { "b.c." }.to_owned(),
        "MONTH" | "Month" | "month" => cased(name, month, fill),
        "MON" | "Mon" | "mon" => cased(name, month.get(..3).unwrap_or_default(), false),
        "DAY" | "Day" | "day" => cased(name, day, fill),
        "DY" | "Dy" | "dy" => cased(name, day.get(..3).unwrap_or_default(), false),
        _ => half(name, value.hour() >= 12),
    })
}

/// A name in the letter case of its pattern; filled up to nine letters.
fn cased(pattern: &str, name: &str, fill: bool) -> String {
    let name = if pattern.chars().all(char::is_uppercase) {
        name.to_uppercase()
    } else if pattern.chars().all(char::is_lowercase) {
        name.to_lowercase()
    } else {
        name.to_owned()
    };
    if fill { format!("{name:<9}") } else { name }
}

fn half(pattern: &str, afternoon: bool) -> String {
    let letter = if afternoon { "p" } else { "a" };
    let text = if pattern.contains('.') { format!("{letter}.m.") } else { format!("{letter}m") };
    if pattern.chars().any(char::is_uppercase) { text.to_uppercase() } else { text }
}

fn to_date(facts: Facts) -> Function {
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8, DataType::Utf8]);
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, templates) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let dates = texts.iter().zip(templates.iter()).map(|pair| match pair {
            (Some(text), Some(template)) => {
                let days = template::read(text, template)?.local.date().signed_duration_since(NaiveDate::default()).num_days();
                i32::try_from(days).map(Some).map_err(|_| template::invalid())
            }
            _ => Ok(None),
        });
        Ok(Arc::new(dates.collect::<Result<Date32Array>>()?) as ArrayRef)
    };
    Function::new("to_date", takes, |_| Some(DataType::Date32), computes).of_statement(facts)
}

/// From seconds since 1970, or from a text by a template.
fn to_timestamp(facts: Facts) -> Function {
    let takes = |types: &[DataType]| match types {
        [seconds] if seconds.is_numeric() => Some(vec![DataType::Float64]),
        [text, _] if text.is_string() => Some(vec![DataType::Utf8, DataType::Utf8]),
        _ => None,
    };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        if args.len() == 1 {
            let micros = arg::<Float64Array>(args, 0)?.iter().map(|seconds| seconds.map(of_seconds).transpose());
            return Ok(temporal::instants(micros.collect::<Result<Vec<_>>>()?));
        }
        let (texts, templates) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let moments = texts.iter().zip(templates.iter()).map(|pair| match pair {
            (Some(text), Some(template)) => {
                let read = template::read(text, template)?;
                let local = truncation::to_digits(read.local.and_utc().timestamp_micros(), read.fraction_digits);
                Ok(Some(match read.offset {
                    Some(offset) => local - offset * 1_000_000,
                    None => temporal::utc_micros(local, &facts.time_zone),
                }))
            }
            _ => Ok(None),
        });
        Ok(temporal::instants(moments.collect::<Result<Vec<_>>>()?))
    };
    Function::new("to_timestamp", takes, |_| Some(temporal::instant()), computes).of_statement(facts)
}

#[expect(clippy::cast_possible_truncation, reason = "the value is checked to lie in the range of timestamps")]
fn of_seconds(seconds: f64) -> Result<i64> {
    let micros = (seconds * 1e6).round_ties_even();
    if micros.abs() < 8e18 { Ok(micros as i64) } else { Err(fault(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_by_their_template() {
        let value = NaiveDate::from_ymd_opt(2026, 5, 7).unwrap().and_hms_micro_opt(13, 4, 5, 678_000).unwrap();
        let zone = Zone { offset: 0, name: "UTC".to_owned() };
        for (template, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.MS", "2026-05-07 13:04:05.678"),
            ("Mon DD, YYYY", "May 07, 2026"),
            ("FMMonth FMDDth HH12:MI AM", "May 7th 01:04 PM"),
            ("YYYY\"-W\"IW", "2026-W19"),
            ("Month|", "May      |"),
        ] {
            assert_eq!(moment(&value, template, &zone).unwrap(), expected, "{template}");
        }
        assert_eq!(moment(&value, "J", &zone).unwrap(), "2461168");
    }

    #[test]
    fn numbers_are_written_by_their_template() {
        for (value, scale, template, expected) in [
            (12345, 1, "FM9,999.00", "1,234.50"),
            (12345, 1, "9999.99", " 1234.50"),
            (-12, 0, "999", " -12"),
            (12, 0, "000", " 012"),
            (5, 1, "0.99", " 0.50"),
            (5, 1, "9.99", "  .50"),
            (1_234_567, 0, "9G999G999", " 1,234,567"),
            (1234, 0, "999", " ###"),
            (0, 0, "999", "   0"),
        ] {
            assert_eq!(number_text::written(template, Number::Decimal(value, scale)).unwrap(), expected, "{template}");
        }
    }
}
