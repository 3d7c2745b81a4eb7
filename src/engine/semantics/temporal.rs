//! Dates, times and intervals: the clock of the statement, zones, fields, ages.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Float64Array, IntervalMonthDayNanoArray, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};
use datafusion::logical_expr::{Expr, ScalarUDF};

use crate::engine::TimeZone;
use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::{Facts, date_text};

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const DAY: i64 = 86_400 * SECOND;

pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

pub(super) fn interval() -> DataType {
    DataType::Interval(IntervalUnit::MonthDayNano)
}

pub(super) fn all(facts: Facts) -> Vec<Arc<ScalarUDF>> {
    let none = |types: &[DataType]| types.is_empty().then(Vec::new);
    let now = facts.now.timestamp_micros();
    let local = local_micros(now, &facts.time_zone);
    let instant_now = move |_: &[ArrayRef], rows: usize| Ok(instants(vec![Some(now); rows]));
    let local_now = move |_: &[ArrayRef], rows: usize| Ok(Arc::new(TimestampMicrosecondArray::from(vec![local; rows])) as ArrayRef);
    let today = i32::try_from(local.div_euclid(DAY)).unwrap_or_default();
    let date = move |_: &[ArrayRef], rows: usize| Ok(Arc::new(Date32Array::from(vec![today; rows])) as ArrayRef);
    let clock = local.rem_euclid(DAY);
    let time = move |_: &[ArrayRef], rows: usize| Ok(Arc::new(Time64MicrosecondArray::from(vec![clock; rows])) as ArrayRef);
    let time_type = || DataType::Time64(TimeUnit::Microsecond);
    let clocks = ["current_timestamp", "transaction_timestamp", "statement_timestamp", "clock_timestamp"];
    let functions = [
        Function::new("now", none, |_| Some(instant()), instant_now).aliases(&clocks).of_statement(facts),
        Function::new("localtimestamp", none, |_| Some(timestamp()), local_now).of_statement(facts),
        Function::new("current_date", none, |_| Some(DataType::Date32), date).aliases(&["today"]).of_statement(facts),
        Function::new("localtime", none, move |_| Some(time_type()), time).aliases(&["current_time"]).of_statement(facts),
        zone(facts),
        age(facts),
        super::fields::placeholder(),
    ];
    functions.into_iter().map(Function::udf).collect()
}

pub(super) fn instants(micros: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("+00:00"))
}

pub(super) fn out_of_range() -> datafusion::error::DataFusionError {
    fault(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

pub(super) fn moment(micros: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|moment| moment.naive_utc()).ok_or_else(out_of_range)
}

/// What clocks of a zone show at a moment, as if it were UTC.
pub(super) fn local_micros(micros: i64, zone: &TimeZone) -> i64 {
    let offset = moment(micros).map_or(0, |utc| zone.offset_at(&utc));
    micros.saturating_add(i64::from(offset) * SECOND)
}

/// The moment at which clocks of a zone show this.
pub(super) fn utc_micros(local: i64, zone: &TimeZone) -> i64 {
    let offset = moment(local).map_or(0, |shown| zone.offset_of_local(&shown));
    local.saturating_sub(i64::from(offset) * SECOND)
}

/// A date or a timestamp in microseconds.
pub(super) fn micros_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 => Some(timestamp()),
        DataType::Timestamp(_, Some(_)) => Some(instant()),
        _ => None,
    }
}

/// `timezone(zone, moment)`, which `AT TIME ZONE` means.
pub(super) fn zone(facts: Facts) -> Function {
    let takes = |types: &[DataType]| {
        let [_, value] = types else { return None };
        // A date is a moment of the session's zone first; that is the planner's cast.
        let value = if matches!(value, DataType::Date32) { instant() } else { micros_type(value)? };
        Some(vec![DataType::Utf8, value])
    };
    let gives = |types: &[DataType]| match types.get(1)? {
        DataType::Timestamp(_, Some(_)) | DataType::Date32 => Some(timestamp()),
        _ => Some(instant()),
    };
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (zones, moments) = (arg::<StringArray>(args, 0)?, arg::<TimestampMicrosecondArray>(args, 1)?);
        let zoned = matches!(moments.data_type(), DataType::Timestamp(_, Some(_)));
        let mut last: Option<(String, TimeZone)> = None;
        let mut results = Vec::with_capacity(moments.len());
        for (name, micros) in zones.iter().zip(moments.iter()) {
            let (Some(name), Some(micros)) = (name, micros) else {
                results.push(None);
                continue;
            };
            let zone = match &last {
                Some((known, zone)) if known == name => *zone,
                _ => named_zone(name).ok_or_else(|| fault(SqlState::INVALID_PARAMETER_VALUE, "time zone not recognized"))?,
            };
            last = Some((name.to_owned(), zone));
            results.push(Some(if zoned { local_micros(micros, &zone) } else { utc_micros(micros, &zone) }));
        }
        Ok(if zoned { Arc::new(TimestampMicrosecondArray::from(results)) as ArrayRef } else { instants(results) })
    };
    Function::new("timezone", takes, gives, computes).of_statement(facts)
}

/// A zone by its name or abbreviation; a number is hours to the west, as in POSIX.
fn named_zone(name: &str) -> Option<TimeZone> {
    let turned = match name.trim().split_at_checked(1) {
        Some(("+", hours)) => format!("-{hours}"),
        Some(("-", hours)) => format!("+{hours}"),
        _ => return date_text::zone(&name.trim().to_lowercase()).as_deref().and_then(TimeZone::parse),
    };
    TimeZone::parse(&turned)
}

/// A moment as clocks of the session show it, or the moment at which they show it.
pub(super) fn in_session(facts: Facts, to_local: bool) -> Function {
    let takes = move |_: &[DataType]| Some(vec![if to_local { instant() } else { timestamp() }]);
    let gives = move |_: &[DataType]| Some(if to_local { timestamp() } else { instant() });
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let moments = arg::<TimestampMicrosecondArray>(args, 0)?;
        let zone = facts.time_zone;
        let shift = |micros| if to_local { local_micros(micros, &zone) } else { utc_micros(micros, &zone) };
        let shifted: Vec<Option<i64>> = moments.iter().map(|micros| micros.map(shift)).collect();
        Ok(if to_local { Arc::new(TimestampMicrosecondArray::from(shifted)) as ArrayRef } else { instants(shifted) })
    };
    Function::new("session_zone", takes, gives, computes).of_statement(facts).variant(u64::from(to_local))
}

/// `left - right` over timestamps: days, and the rest as a time.
pub(super) fn difference() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<TimestampMicrosecondArray>(args, 0)?, arg::<TimestampMicrosecondArray>(args, 1)?);
        let values = left.iter().zip(right.iter()).map(|pair| match pair {
            (Some(left), Some(right)) => {
                let micros = left.checked_sub(right).ok_or_else(out_of_range)?;
                let days = i32::try_from(micros / DAY).map_err(|_| out_of_range())?;
                Ok(Some(IntervalMonthDayNano::new(0, days, micros % DAY * 1000)))
            }
            _ => Ok(None),
        });
        Ok(Arc::new(values.collect::<Result<IntervalMonthDayNanoArray>>()?) as ArrayRef)
    };
    Function::new("timestamp_subtract", |types| types.iter().map(micros_type).collect(), |_| Some(interval()), computes)
}

/// `interval * factor`: what is left of a month goes to days of thirty, what is left of a day to the time.
pub(super) fn scaled() -> Function {
    stretched("interval_multiply", |value, factor| Ok(value * factor))
}

/// `interval / divisor`.
pub(super) fn divided(value: Expr, divisor: Expr) -> Expr {
    let function = stretched("interval_divide", |value, divisor| {
        if divisor == 0.0 { Err(fault(SqlState::DIVISION_BY_ZERO, "division by zero")) } else { Ok(value / divisor) }
    });
    function.call(vec![value, divisor])
}

fn stretched(name: &'static str, by: fn(f64, f64) -> Result<f64>) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (values, factors) = (arg::<IntervalMonthDayNanoArray>(args, 0)?, arg::<Float64Array>(args, 1)?);
        let results = values.iter().zip(factors.iter()).map(|pair| match pair {
            (Some(value), Some(factor)) => product(value, |part| by(part, factor))?
                .map(Some)
                .ok_or_else(|| fault(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")),
            _ => Ok(None),
        });
        Ok(Arc::new(results.collect::<Result<IntervalMonthDayNanoArray>>()?) as ArrayRef)
    };
    Function::new(name, |_| Some(vec![interval(), DataType::Float64]), |_| Some(interval()), computes)
}

/// The interval that lies a share of the way from one to another; `None` if it is out of range.
pub(super) fn between(low: IntervalMonthDayNano, high: IntervalMonthDayNano, share: f64) -> Result<Option<IntervalMonthDayNano>> {
    let minus = |one: IntervalMonthDayNano, other: IntervalMonthDayNano| {
        let (months, days) = (one.months.checked_sub(other.months)?, one.days.checked_sub(other.days)?);
        Some(IntervalMonthDayNano::new(months, days, one.nanoseconds.checked_sub(other.nanoseconds)?))
    };
    let Some(way) = minus(high, low) else { return Ok(None) };
    let Some(part) = product(way, |size| Ok(size * share))? else { return Ok(None) };
    Ok(minus(low, IntervalMonthDayNano::new(-part.months, -part.days, -part.nanoseconds)))
}

/// Each part by the same factor; what is no whole month becomes days, what is no whole day a time.
#[expect(clippy::cast_possible_truncation, reason = "each value is checked to lie in the range of its type")]
fn product(value: IntervalMonthDayNano, by: impl Fn(f64) -> Result<f64>) -> Result<Option<IntervalMonthDayNano>> {
    let (months, days) = (by(f64::from(value.months))?, by(f64::from(value.days))?);
    let month_days = round_micro((months - months.trunc()) * 30.0);
    let seconds = round_micro((days - days.trunc() + month_days - month_days.trunc()) * 86_400.0);
    let more_days = (seconds / 86_400.0).trunc();
    let micros = by((value.nanoseconds / 1000) as f64)? + (seconds - more_days * 86_400.0) * 1e6;
    let (months, days) = (months.trunc(), days.trunc() + month_days.trunc() + more_days);
    let fits = |number: f64, limit: f64| number.is_finite() && number.abs() < limit;
    let whole = fits(months, 2e9) && fits(days, 2e9) && fits(micros, 9e15);
    Ok(whole.then(|| IntervalMonthDayNano::new(months as i32, days as i32, micros.round_ties_even() as i64 * 1000)))
}

fn round_micro(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

/// age(later, earlier): years, months and days as a calendar of the session's zone counts them.
fn age(facts: Facts) -> Function {
    let moment = |found: &DataType| if matches!(found, DataType::Timestamp(_, Some(_))) { instant() } else { timestamp() };
    let takes = move |types: &[DataType]| matches!(types.len(), 1 | 2).then(|| types.iter().map(moment).collect());
    let midnight = local_micros(facts.now.timestamp_micros(), &facts.time_zone).div_euclid(DAY) * DAY;
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let first = arg::<TimestampMicrosecondArray>(args, 0)?;
        let second = if args.len() > 1 { Some(arg::<TimestampMicrosecondArray>(args, 1)?) } else { None };
        let value = |row: usize| {
            let at = |array: &TimestampMicrosecondArray| {
                let micros = (!array.is_null(row)).then(|| array.value(row));
                let zoned = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
                micros.map(|micros| if zoned { local_micros(micros, &facts.time_zone) } else { micros })
            };
            let (later, earlier) = match second {
                Some(second) => (at(first), at(second)),
                None => (Some(midnight), at(first)),
            };
            match (later, earlier) {
                (Some(later), Some(earlier)) => calendar_difference(later, earlier).map(Some),
                _ => Ok(None),
            }
        };
        Ok(Arc::new((0..first.len()).map(value).collect::<Result<IntervalMonthDayNanoArray>>()?) as ArrayRef)
    };
    Function::new("age", takes, |_| Some(interval()), computes).of_statement(facts)
}

fn calendar_difference(later: i64, earlier: i64) -> Result<IntervalMonthDayNano> {
    if later < earlier {
        let turned = calendar_difference(earlier, later)?;
        return Ok(IntervalMonthDayNano::new(-turned.months, -turned.days, -turned.nanoseconds));
    }
    let (high, low) = (moment(later)?, moment(earlier)?);
    let mut months = (high.year() - low.year()) * 12 + i32::try_from(high.month()).unwrap_or(0) - i32::try_from(low.month()).unwrap_or(0);
    let mut days = i32::try_from(high.day()).unwrap_or(0) - i32::try_from(low.day()).unwrap_or(0);
    let mut micros = later.rem_euclid(DAY) - earlier.rem_euclid(DAY);
    if micros < 0 {
        micros += DAY;
        days -= 1;
    }
    if days < 0 {
        // PostgreSQL borrows the days of the earlier month.
        days += days_of_month(low.year(), low.month());
        months -= 1;
    }
    Ok(IntervalMonthDayNano::new(months, days, micros * 1000))
}

fn days_of_month(year: i32, month: u32) -> i32 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let first = chrono::NaiveDate::from_ymd_opt(year, month, 1);
    let second = chrono::NaiveDate::from_ymd_opt(next_year, next, 1);
    match (first, second) {
        (Some(first), Some(second)) => i32::try_from((second - first).num_days()).unwrap_or(30),
        _ => 30,
    }
}

/// Hours on a clock of twelve.
pub(super) fn clock_hour(moment: &NaiveDateTime) -> u32 {
    moment.hour12().1
}
