//! date_trunc(), in the session's zone, and timestamps of fewer digits.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, Int64Array, PrimitiveArray};
use arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use chrono::{Datelike as _, NaiveDate};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;

use crate::error::SqlState;

use super::Facts;
use super::fields::Field;
use super::function::{Function, Result, arg, fault, first};
use super::temporal::{self, DAY, SECOND};

/// `date_trunc(unit, value [, zone])`; `None` leaves it to the engine.
pub(super) fn truncated(args: &[Expr], of: &DataType, facts: Facts) -> Option<Result<Expr>> {
    let (unit, value, zone) = match args {
        [unit, value] => (unit, value.clone(), None),
        [unit, value, zone] => (unit, value.clone(), Some(zone.clone())),
        _ => return None,
    };
    let text = super::casts::text_of(unit)?;
    let Some(unit) = Field::parse(text).filter(|field| truncates(*field)) else {
        return Some(Err(fault(SqlState::INVALID_PARAMETER_VALUE, "unit is not recognized")));
    };
    if let (DataType::Timestamp(_, Some(_)), None, Some(micros)) = (of, &zone, within_day(unit)) {
        return Some(Ok(of_clock(micros, facts).call(vec![value])));
    }
    let local = |value: Expr| -> Expr { local_truncated(unit, value) };
    Some(Ok(match (of, zone) {
        (DataType::Interval(_) | DataType::Duration(_), None) => of_interval(unit).call(vec![value]),
        (DataType::Timestamp(_, None), None) => local(value),
        (DataType::Timestamp(_, Some(_)) | DataType::Date32 | DataType::Date64, None) => {
            let shown = match of {
                DataType::Timestamp(..) => temporal::in_session(facts, true).call(vec![value]),
                // A date is a moment of the session's zone, so its clocks show midnight.
                _ => datafusion::logical_expr::cast(value, temporal::timestamp()),
            };
            temporal::in_session(facts, false).call(vec![local(shown)])
        }
        (DataType::Timestamp(_, Some(_)), Some(zone)) => {
            let shown = temporal::zone(facts).call(vec![zone.clone(), value]);
            temporal::zone(facts).call(vec![zone, local(shown)])
        }
        _ => return None,
    }))
}

/// Refuses a constant width of `date_bin(width, moment, origin)` that is of months, or is none.
pub(super) fn binned(width: &Expr) -> Result<()> {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(width)), _) = width else { return Ok(()) };
    if width.months != 0 {
        let text = "timestamps cannot be binned into intervals containing months or years";
        return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, text));
    }
    if i64::from(width.days).saturating_mul(DAY).saturating_add(width.nanoseconds / 1000) <= 0 {
        return Err(fault(SqlState::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    Ok(())
}

/// The function by its name, which takes what the engine's own does not; it runs only where the unit is no constant.
pub(super) fn placeholder() -> Function {
    let takes = |types: &[DataType]| {
        let value = types.get(1)?;
        let value = match value {
            DataType::Interval(_) | DataType::Duration(_) => temporal::interval(),
            DataType::Date32 | DataType::Date64 => value.clone(),
            found if found.is_string() => temporal::instant(),
            found => temporal::micros_type(found)?,
        };
        let texts = [DataType::Utf8, value, DataType::Utf8];
        matches!(types.len(), 2 | 3).then(|| texts.into_iter().take(types.len()).collect())
    };
    let gives = |types: &[DataType]| match types.get(1)? {
        DataType::Interval(_) | DataType::Duration(_) => Some(temporal::interval()),
        DataType::Timestamp(_, None) => Some(temporal::timestamp()),
        _ => Some(temporal::instant()),
    };
    let never = |_: &[ArrayRef], _: usize| Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "the unit of date_trunc must be a constant"));
    Function::new("date_trunc", takes, gives, never)
}

fn truncates(field: Field) -> bool {
    engine_name(field).is_some() || years(field).is_some()
}

/// The engine's name of a unit that it truncates to.
fn engine_name(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::Year => "year",
        Field::Quarter => "quarter",
        Field::Month => "month",
        Field::Week => "week",
        Field::Day => "day",
        Field::Hour => "hour",
        Field::Minute => "minute",
        Field::Second => "second",
        Field::Milliseconds => "millisecond",
        Field::Microseconds => "microsecond",
        _ => return None,
    })
}

fn years(field: Field) -> Option<i32> {
    Some(match field {
        Field::Decade => 10,
        Field::Century => 100,
        Field::Millennium => 1000,
        _ => return None,
    })
}

/// What a local timestamp begins with.
fn local_truncated(unit: Field, value: Expr) -> Expr {
    match engine_name(unit) {
        Some(name) => {
            let unit = Expr::Literal(ScalarValue::Utf8(Some(name.to_owned())), None);
            let value = datafusion::logical_expr::cast(value, temporal::timestamp());
            datafusion::functions::datetime::expr_fn::date_trunc(unit, value)
        }
        None => of_years(years(unit).unwrap_or(10)).call(vec![value]),
    }
}

/// How long a unit is that is shorter than a day.
fn within_day(unit: Field) -> Option<i64> {
    Some(match unit {
        Field::Hour => 3600 * SECOND,
        Field::Minute => 60 * SECOND,
        Field::Second => SECOND,
        Field::Milliseconds => 1000,
        Field::Microseconds => 1,
        _ => return None,
    })
}

/// What the session's clock showed when the unit began; where an hour comes twice, in the one that it is.
fn of_clock(unit: i64, facts: Facts) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let values = first(args)?.as_primitive::<TimestampMicrosecondType>();
        let starts: Vec<Option<i64>> = values
            .iter()
            .map(|micros| micros.map(|micros| micros.saturating_sub(temporal::local_micros(micros, &facts.time_zone).rem_euclid(unit))))
            .collect();
        Ok(temporal::instants(starts))
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![temporal::instant()]);
    Function::new("date_trunc", takes, |_| Some(temporal::instant()), computes).of_statement(facts).variant(unit.unsigned_abs())
}

/// The first moment of a decade, a century or a millennium.
fn of_years(years: i32) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let values = first(args)?.as_primitive::<TimestampMicrosecondType>();
        let starts = values.try_unary::<_, TimestampMicrosecondType, DataFusionError>(|micros| {
            let year = temporal::moment(micros)?.year();
            // Centuries begin with their year 1, decades with their year 0.
            let start = if years == 10 { year.div_euclid(10) * 10 } else { (year - 1).div_euclid(years) * years + 1 };
            let date = NaiveDate::from_ymd_opt(start, 1, 1).ok_or_else(temporal::out_of_range)?;
            Ok(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())
        })?;
        Ok(Arc::new(starts) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![temporal::timestamp()]);
    Function::new("date_trunc", takes, |_| Some(temporal::timestamp()), computes).variant(u64::from(years.unsigned_abs()))
}

fn of_interval(unit: Field) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let values = first(args)?.as_primitive::<IntervalMonthDayNanoType>();
        let cut: PrimitiveArray<IntervalMonthDayNanoType> = match unit {
            Field::Week => return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "unit \"week\" is not supported for type interval")),
            unit => values.unary(|value| interval_start(unit, value)),
        };
        Ok(Arc::new(cut) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![temporal::interval()]);
    Function::new("date_trunc", takes, |_| Some(temporal::interval()), computes).variant(unit as u64)
}

fn interval_start(unit: Field, value: IntervalMonthDayNano) -> IntervalMonthDayNano {
    let nanos = |unit: i64| value.nanoseconds / unit * unit;
    let months = |unit: i32| IntervalMonthDayNano::new(value.months / unit * unit, 0, 0);
    let clock = |unit: i64| IntervalMonthDayNano::new(value.months, value.days, nanos(unit));
    match unit {
        Field::Millennium => months(12_000),
        Field::Century => months(1200),
        Field::Decade => months(120),
        Field::Year => months(12),
        Field::Quarter => months(3),
        Field::Month => months(1),
        Field::Day => IntervalMonthDayNano::new(value.months, value.days, 0),
        Field::Hour => clock(3600 * SECOND * 1000),
        Field::Minute => clock(60 * SECOND * 1000),
        Field::Second => clock(SECOND * 1000),
        Field::Milliseconds => clock(1_000_000),
        _ => clock(1000),
    }
}

/// A timestamp rounded to a multiple of so many millionths of a second.
pub(super) fn rounded(value: Expr, unit: i64) -> Expr {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let array = first(args)?;
        let values = array.as_primitive::<TimestampMicrosecondType>();
        let rounded: PrimitiveArray<TimestampMicrosecondType> =
            values.unary(|micros| micros.saturating_add(unit / 2).div_euclid(unit).saturating_mul(unit));
        Ok(Arc::new(rounded.with_timezone_opt(values.timezone())) as ArrayRef)
    };
    let same = |types: &[DataType]| types.first().and_then(temporal::micros_type);
    let takes = move |types: &[DataType]| same(types).map(|found| vec![found]);
    Function::new("timestamp_round", takes, same, computes).variant(unit.unsigned_abs()).call(vec![value])
}

/// A date's time, a moment or an interval with so many digits of its seconds, as types of a precision have them.
pub(super) fn digits(facts: Facts) -> Function {
    let gives = |types: &[DataType]| match types.first()? {
        found @ DataType::Timestamp(..) => temporal::micros_type(found),
        DataType::Time32(_) | DataType::Time64(_) => Some(DataType::Time64(TimeUnit::Microsecond)),
        DataType::Interval(_) | DataType::Duration(_) => Some(temporal::interval()),
        _ => None,
    };
    let takes = move |types: &[DataType]| match types {
        [_, digits] if digits.is_integer() => Some(vec![gives(types)?, DataType::Int64]),
        _ => None,
    };
    let computes = |args: &[ArrayRef], _rows: usize| {
        let places = arg::<Int64Array>(args, 1)?;
        let places = if places.is_empty() { 6 } else { places.value(0).clamp(0, 6) };
        let unit = u32::try_from(6 - places).map_or(1, |zeros| 10_i64.pow(zeros));
        let round = |micros: i64| nearest(micros, unit);
        Ok(match first(args)?.data_type() {
            DataType::Timestamp(_, zone) => {
                let rounded: PrimitiveArray<TimestampMicrosecondType> =
                    first(args)?.as_primitive::<TimestampMicrosecondType>().unary(round);
                Arc::new(rounded.with_timezone_opt(zone.clone())) as ArrayRef
            }
            DataType::Interval(_) => {
                let spans = first(args)?.as_primitive::<IntervalMonthDayNanoType>();
                let rounded = |span: IntervalMonthDayNano| {
                    IntervalMonthDayNano::new(span.months, span.days, round(span.nanoseconds / 1000).saturating_mul(1000))
                };
                Arc::new(spans.unary::<_, IntervalMonthDayNanoType>(rounded))
            }
            _ => Arc::new(first(args)?.as_primitive::<Time64MicrosecondType>().unary::<_, Time64MicrosecondType>(round)),
        })
    };
    Function::new("meshgate_digits", takes, gives, computes).of_statement(facts)
}

/// The multiple of a unit that is nearest; of two, the one further from zero.
fn nearest(micros: i64, unit: i64) -> i64 {
    let half = if micros < 0 { -(unit / 2) } else { unit / 2 };
    micros.saturating_add(half) / unit * unit
}

/// Millionths of a second rounded to so many digits of seconds, of which there are at least one; zero leaves them.
pub(super) fn to_digits(micros: i64, digits: u32) -> i64 {
    if (1..6).contains(&digits) { nearest(micros, 10_i64.pow(6 - digits)) } else { micros }
}

/// `moment + interval` in the session's zone: months and days by its calendar, the time by the clock.
pub(super) fn moved(facts: Facts, back: bool) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let [moments, spans] = args else { return Err(temporal::out_of_range()) };
        let (moments, spans) = (moments.as_primitive::<TimestampMicrosecondType>(), spans.as_primitive::<IntervalMonthDayNanoType>());
        let results = moments.iter().zip(spans.iter()).map(|pair| match pair {
            (Some(moment), Some(span)) => one_moved(moment, span, back, facts).map(Some),
            _ => Ok(None),
        });
        Ok(temporal::instants(results.collect::<Result<Vec<_>>>()?))
    };
    Function::new("interval_add", |_| Some(vec![temporal::instant(), temporal::interval()]), |_| Some(temporal::instant()), computes)
        .of_statement(facts)
        .variant(u64::from(back))
}

/// A moment and an interval later, or earlier.
pub(super) fn one_moved(moment: i64, span: IntervalMonthDayNano, back: bool, facts: Facts) -> Result<i64> {
    let sign = if back { -1 } else { 1 };
    let mut moment = moment;
    if span.months != 0 || span.days != 0 {
        let local = temporal::moment(temporal::local_micros(moment, &facts.time_zone))?;
        let months = chrono::Months::new(span.months.unsigned_abs());
        let later = (i64::from(span.months) * sign) > 0;
        let shifted = if later { local.checked_add_months(months) } else { local.checked_sub_months(months) };
        let shifted = shifted.ok_or_else(temporal::out_of_range)?.and_utc().timestamp_micros();
        let shifted = shifted.checked_add(i64::from(span.days) * sign * DAY).ok_or_else(temporal::out_of_range)?;
        moment = temporal::utc_micros(shifted, &facts.time_zone);
    }
    moment.checked_add(span.nanoseconds / 1000 * sign).ok_or_else(temporal::out_of_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_cut_by_their_own_parts() {
        let value = IntervalMonthDayNano::new(29, 3, 3_723_500_000_000);
        assert_eq!(interval_start(Field::Year, value), IntervalMonthDayNano::new(24, 0, 0));
        assert_eq!(interval_start(Field::Quarter, value), IntervalMonthDayNano::new(27, 0, 0));
        assert_eq!(interval_start(Field::Hour, value), IntervalMonthDayNano::new(29, 3, 3_600_000_000_000));
    }

    #[test]
    fn a_day_is_added_by_the_zone_s_calendar() {
        let facts = Facts { time_zone: crate::engine::TimeZone::parse("Europe/Paris").unwrap(), ..Facts::plain() };
        // On the 29th of March 2026 the clocks of Paris go forward: the day has 23 hours.
        let noon = 1_774_695_600 * SECOND;
        let day = IntervalMonthDayNano::new(0, 1, 0);
        assert_eq!(one_moved(noon, day, false, facts).unwrap() - noon, 23 * 3600 * SECOND);
        assert_eq!(one_moved(noon + 23 * 3600 * SECOND, day, true, facts).unwrap(), noon);
    }
}
