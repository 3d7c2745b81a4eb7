//! Intervals and times: made of parts, put right, put in order, added to each other.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Float64Array, Int64Array, IntervalMonthDayNanoArray, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit};
use chrono::NaiveDate;
use datafusion::logical_expr::ScalarUDF;

use crate::engine::TimeZone;
use crate::error::SqlState;

use super::Facts;
use super::function::{Function, Result, arg, fault, first};
use super::temporal::{self, DAY, SECOND};

const NANOS_OF_DAY: i64 = DAY * 1000;

pub(super) fn all(facts: Facts) -> Vec<Arc<ScalarUDF>> {
    vec![
        justified("justify_days", days).udf(),
        justified("justify_hours", hours).udf(),
        justified("justify_interval", whole).udf(),
        make_date().udf(),
        make_interval().udf(),
        make_timestamp(None).udf(),
        make_timestamp(Some(facts)).udf(),
        make_time().udf(),
        super::numbers::finite().udf(),
    ]
}

fn out_of_range() -> datafusion::error::DataFusionError {
    fault(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

fn time() -> DataType {
    DataType::Time64(TimeUnit::Microsecond)
}

/// How an interval orders: a month has 30 days, a day 24 hours.
pub(super) fn order() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let spans = first(args)?.as_primitive::<IntervalMonthDayNanoType>();
        let lengths: Decimal128Array = spans.unary(length);
        Ok(Arc::new(lengths.with_precision_and_scale(38, 0)?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![temporal::interval()]);
    Function::new("interval_order", takes, |_| Some(DataType::Decimal128(38, 0)), computes)
}

/// The longest of intervals, or the shortest; NULLs do not count.
pub(super) fn chosen(longest: bool) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let columns: Vec<&IntervalMonthDayNanoArray> = args.iter().map(|array| array.as_primitive::<IntervalMonthDayNanoType>()).collect();
        let one = |row: usize| {
            let known = columns.iter().filter(|column| column.is_valid(row)).map(|column| column.value(row));
            // Of several of one length it is the first.
            known
                .reduce(|best, other| if length(other) != length(best) && (length(other) > length(best)) == longest { other } else { best })
        };
        Ok(Arc::new((0..rows).map(one).collect::<IntervalMonthDayNanoArray>()) as ArrayRef)
    };
    let takes = |types: &[DataType]| Some(vec![temporal::interval(); types.len()]);
    Function::new(if longest { "greatest" } else { "least" }, takes, |_| Some(temporal::interval()), computes)
}

pub(super) fn length(span: IntervalMonthDayNano) -> i128 {
    (i128::from(span.months) * 30 + i128::from(span.days)) * i128::from(NANOS_OF_DAY) + i128::from(span.nanoseconds)
}

fn justified(name: &'static str, compute: fn(IntervalMonthDayNano) -> Option<IntervalMonthDayNano>) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let spans = arg::<IntervalMonthDayNanoArray>(args, 0)?;
        let one = |span: Option<IntervalMonthDayNano>| span.map(|span| compute(span).ok_or_else(out_of_range)).transpose();
        Ok(Arc::new(spans.iter().map(one).collect::<Result<IntervalMonthDayNanoArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![temporal::interval()]);
    Function::new(name, takes, |_| Some(temporal::interval()), computes)
}

/// Thirty days make a month; both parts get one sign.
fn days(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let months = span.months.checked_add(span.days / 30)?;
    let (months, days) = one_sign(i64::from(months), i64::from(span.days % 30), 30);
    Some(IntervalMonthDayNano::new(i32::try_from(months).ok()?, i32::try_from(days).ok()?, span.nanoseconds))
}

/// Twenty-four hours make a day; both parts get one sign.
fn hours(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let days = i64::from(span.days).checked_add(span.nanoseconds / NANOS_OF_DAY)?;
    let (days, nanos) = one_sign(days, span.nanoseconds % NANOS_OF_DAY, NANOS_OF_DAY);
    Some(IntervalMonthDayNano::new(span.months, i32::try_from(days).ok()?, nanos))
}

/// Both, and all three parts get one sign.
fn whole(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let all_days = i64::from(span.days).checked_add(span.nanoseconds / NANOS_OF_DAY)?;
    let mut nanos = span.nanoseconds % NANOS_OF_DAY;
    let mut months = i64::from(span.months) + all_days / 30;
    let mut days = all_days % 30;
    let rest = if days == 0 { nanos } else { days };
    if months > 0 && rest < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && rest > 0 {
        (months, days) = (months + 1, days - 30);
    }
    (days, nanos) = one_sign(days, nanos, NANOS_OF_DAY);
    Some(IntervalMonthDayNano::new(i32::try_from(months).ok()?, i32::try_from(days).ok()?, nanos))
}

fn one_sign(large: i64, small: i64, unit: i64) -> (i64, i64) {
    if large > 0 && small < 0 {
        (large - 1, small + unit)
    } else if large < 0 && small > 0 {
        (large + 1, small - unit)
    } else {
        (large, small)
    }
}

/// `make_interval(years, months, weeks, days, hours, mins, secs)`, of which the last may be left out.
fn make_interval() -> Function {
    let takes = |types: &[DataType]| {
        (types.len() <= 7).then(|| (0..types.len()).map(|at| if at == 6 { DataType::Float64 } else { DataType::Int64 }).collect())
    };
    let computes = |args: &[ArrayRef], rows: usize| {
        let whole = (0..args.len().min(6)).map(|at| arg::<Int64Array>(args, at)).collect::<Result<Vec<_>>>()?;
        let seconds = if args.len() > 6 { Some(arg::<Float64Array>(args, 6)?) } else { None };
        let one = |row: usize| {
            if args.iter().any(|values| values.is_null(row)) {
                return Ok(None);
            }
            let part = |at: usize| whole.get(at).map_or(0, |values| values.value(row));
            let micros = micros_of(seconds.map_or(0.0, |values| values.value(row))).ok_or_else(out_of_range)?;
            made(part, micros).map(Some).ok_or_else(out_of_range)
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<IntervalMonthDayNanoArray>>()?) as ArrayRef)
    };
    Function::new("make_interval", takes, |_| Some(temporal::interval()), computes)
}

fn made(part: impl Fn(usize) -> i64, micros: i64) -> Option<IntervalMonthDayNano> {
    let months = part(0).checked_mul(12)?.checked_add(part(1))?;
    let days = part(2).checked_mul(7)?.checked_add(part(3))?;
    let minutes = part(4).checked_mul(60)?.checked_add(part(5))?;
    let nanos = minutes.checked_mul(60 * SECOND)?.checked_add(micros)?.checked_mul(1000)?;
    Some(IntervalMonthDayNano::new(i32::try_from(months).ok()?, i32::try_from(days).ok()?, nanos))
}

#[expect(clippy::cast_possible_truncation, reason = "the value is checked to lie in the range")]
fn micros_of(seconds: f64) -> Option<i64> {
    let micros = (seconds * 1e6).round_ties_even();
    (micros.is_finite() && micros.abs() < 9e15).then_some(micros as i64)
}

/// `make_timestamp(…)`, or `make_timestamptz(…)` in the session's zone or a given one.
fn make_timestamp(zoned: Option<Facts>) -> Function {
    let takes = move |types: &[DataType]| {
        let fits = types.len() == 6 || types.len() == 7 && zoned.is_some();
        let of = |at: usize| match at {
            5 => DataType::Float64,
            6 => DataType::Utf8,
            _ => DataType::Int64,
        };
        fits.then(|| (0..types.len()).map(of).collect())
    };
    let gives = move |_: &[DataType]| Some(if zoned.is_some() { temporal::instant() } else { temporal::timestamp() });
    let computes = move |args: &[ArrayRef], rows: usize| {
        let parts = (0..5).map(|at| arg::<Int64Array>(args, at)).collect::<Result<Vec<_>>>()?;
        let seconds = arg::<Float64Array>(args, 5)?;
        let zones = if args.len() > 6 { Some(arg::<StringArray>(args, 6)?) } else { None };
        let one = |row: usize| {
            if args.iter().any(|values| values.is_null(row)) {
                return Ok(None);
            }
            let part = |at: usize| parts.get(at).map_or(0, |values| values.value(row));
            let local = local_moment(part, seconds.value(row)).ok_or_else(field_out_of_range)?;
            let zone = match (zones, zoned) {
                (Some(zones), _) => {
                    let zone = TimeZone::parse(zones.value(row));
                    Some(zone.ok_or_else(|| fault(SqlState::INVALID_PARAMETER_VALUE, "time zone not recognized"))?)
                }
                (None, zoned) => zoned.map(|facts| facts.time_zone),
            };
            Ok(Some(zone.map_or(local, |zone| temporal::utc_micros(local, &zone))))
        };
        let micros = (0..rows).map(one).collect::<Result<Vec<_>>>()?;
        Ok(if zoned.is_some() { temporal::instants(micros) } else { Arc::new(TimestampMicrosecondArray::from(micros)) as ArrayRef })
    };
    let name = if zoned.is_some() { "make_timestamptz" } else { "make_timestamp" };
    let function = Function::new(name, takes, gives, computes);
    match zoned {
        Some(facts) => function.of_statement(facts),
        None => function,
    }
}

fn field_out_of_range() -> datafusion::error::DataFusionError {
    fault(SqlState::DATETIME_FIELD_OVERFLOW, "date/time field value out of range")
}

fn local_moment(part: impl Fn(usize) -> i64, seconds: f64) -> Option<i64> {
    let unsigned = |at: usize| u32::try_from(part(at)).ok();
    let year = i32::try_from(part(0)).ok().filter(|year| *year != 0)?;
    let date = NaiveDate::from_ymd_opt(if year < 0 { year + 1 } else { year }, unsigned(1)?, unsigned(2)?)?;
    let clock = clock_micros(part(3), part(4), seconds)?;
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros().checked_add(clock)
}

fn clock_micros(hours: i64, minutes: i64, seconds: f64) -> Option<i64> {
    let micros = micros_of(seconds).filter(|micros| (0..=60 * SECOND).contains(micros))?;
    let fits = (0..=24).contains(&hours) && (0..60).contains(&minutes);
    let total = fits.then(|| (hours * 60 + minutes) * 60 * SECOND + micros)?;
    (total <= DAY).then_some(total)
}

fn make_date() -> Function {
    let takes = |types: &[DataType]| (types.len() == 3).then(|| vec![DataType::Int64; 3]);
    let computes = |args: &[ArrayRef], rows: usize| {
        let parts = (0..3).map(|at| arg::<Int64Array>(args, at)).collect::<Result<Vec<_>>>()?;
        let one = |row: usize| {
            if args.iter().any(|values| values.is_null(row)) {
                return Ok(None);
            }
            let part = |at: usize| parts.get(at).map_or(0, |values| values.value(row));
            let midnight = local_moment(part, 0.0).ok_or_else(field_out_of_range)?;
            i32::try_from(midnight.div_euclid(DAY)).map(Some).map_err(|_| field_out_of_range())
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<Date32Array>>()?) as ArrayRef)
    };
    Function::new("make_date", takes, |_| Some(DataType::Date32), computes)
}

fn make_time() -> Function {
    let takes = |types: &[DataType]| (types.len() == 3).then(|| vec![DataType::Int64, DataType::Int64, DataType::Float64]);
    let computes = |args: &[ArrayRef], rows: usize| {
        let (hours, minutes) = (arg::<Int64Array>(args, 0)?, arg::<Int64Array>(args, 1)?);
        let seconds = arg::<Float64Array>(args, 2)?;
        let one = |row: usize| {
            if args.iter().any(|values| values.is_null(row)) {
                return Ok(None);
            }
            let micros = clock_micros(hours.value(row), minutes.value(row), seconds.value(row));
            micros.map(Some).ok_or_else(|| fault(SqlState::DATETIME_FIELD_OVERFLOW, "time field value out of range"))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<Time64MicrosecondArray>>()?) as ArrayRef)
    };
    Function::new("make_time", takes, |_| Some(time()), computes)
}

/// `date + time`.
pub(super) fn at_time() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (dates, times) = (arg::<Date32Array>(args, 0)?, arg::<Time64MicrosecondArray>(args, 1)?);
        let moments = dates.iter().zip(times.iter()).map(|pair| Some(i64::from(pair.0?) * DAY + pair.1?));
        Ok(Arc::new(moments.collect::<TimestampMicrosecondArray>()) as ArrayRef)
    };
    Function::new("date_time", |_| Some(vec![DataType::Date32, time()]), |_| Some(temporal::timestamp()), computes)
}

/// `time ± interval`, round the clock.
pub(super) fn time_moved(back: bool) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (times, spans) = (arg::<Time64MicrosecondArray>(args, 0)?, arg::<IntervalMonthDayNanoArray>(args, 1)?);
        let sign = if back { -1 } else { 1 };
        let moved = times.iter().zip(spans.iter()).map(|pair| Some((pair.0? + pair.1?.nanoseconds / 1000 % DAY * sign).rem_euclid(DAY)));
        Ok(Arc::new(moved.collect::<Time64MicrosecondArray>()) as ArrayRef)
    };
    Function::new("time_add", |_| Some(vec![time(), temporal::interval()]), |_| Some(time()), computes).variant(u64::from(back))
}

/// `time - time`.
pub(super) fn time_difference() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<Time64MicrosecondArray>(args, 0)?, arg::<Time64MicrosecondArray>(args, 1)?);
        let spans = left.iter().zip(right.iter()).map(|pair| Some(IntervalMonthDayNano::new(0, 0, (pair.0? - pair.1?) * 1000)));
        Ok(Arc::new(spans.collect::<IntervalMonthDayNanoArray>()) as ArrayRef)
    };
    Function::new("time_subtract", |_| Some(vec![time(), time()]), |_| Some(temporal::interval()), computes)
}

/// A time as the interval since midnight.
pub(super) fn time_as_interval() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let times = arg::<Time64MicrosecondArray>(args, 0)?;
        let spans = times.iter().map(|time| time.map(|time| IntervalMonthDayNano::new(0, 0, time * 1000)));
        Ok(Arc::new(spans.collect::<IntervalMonthDayNanoArray>()) as ArrayRef)
    };
    Function::new("time_interval", |_| Some(vec![time()]), |_| Some(temporal::interval()), computes)
}

/// The time that an interval leads to from midnight on.
pub(super) fn interval_as_time() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let spans = arg::<IntervalMonthDayNanoArray>(args, 0)?;
        let times = spans.iter().map(|span| span.map(|span| (span.nanoseconds / 1000).rem_euclid(DAY)));
        Ok(Arc::new(times.collect::<Time64MicrosecondArray>()) as ArrayRef)
    };
    Function::new("interval_time", |_| Some(vec![temporal::interval()]), |_| Some(time()), computes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_right() {
        let span = |months, days, hours: i64| IntervalMonthDayNano::new(months, days, hours * 3600 * SECOND * 1000);
        assert_eq!(days(span(0, 35, 0)), Some(span(1, 5, 0)));
        assert_eq!(days(span(1, -5, 0)), Some(span(0, 25, 0)));
        assert_eq!(hours(span(0, 0, 27)), Some(span(0, 1, 3)));
        assert_eq!(hours(span(0, -1, 2)), Some(span(0, 0, -22)));
        assert_eq!(whole(span(1, 0, -1)), Some(span(0, 29, 23)));
        assert_eq!(whole(span(0, 64, 25)), Some(span(2, 5, 1)));
    }

    #[test]
    fn parts_that_do_not_exist_are_refused() {
        let parts = |month: i64, day: i64| move |at: usize| [2026, month, day, 10, 0].get(at).copied().unwrap_or(0);
        assert!(local_moment(parts(2, 28), 0.5).is_some());
        assert!(local_moment(parts(2, 29), 0.5).is_none());
        assert!(local_moment(parts(2, 28), 61.0).is_none());
        assert_eq!(clock_micros(24, 0, 0.0), Some(DAY));
        assert_eq!(clock_micros(24, 1, 0.0), None);
    }
}
