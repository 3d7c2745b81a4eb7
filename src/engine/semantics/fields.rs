//! extract() and date_part(): the fields of dates, times and intervals.
//!
//! A field is known when the query is planned and computed a column at a time; where the field is itself a column, it is refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int32Array, PrimitiveArray};
use arrow::compute::{DatePart, date_part};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Int32Type, IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};

use crate::error::SqlState;

use super::Facts;
use super::function::{Function, Result};
use super::temporal::{DAY, SECOND, interval, local_micros, micros_type};

/// What stands for `extract(field from x)` in a query until its types are known.
pub(super) const EXTRACT: &str = "meshgate_extract";

/// The function of that name, which never runs.
pub(super) fn placeholder() -> Function {
    let takes = |types: &[DataType]| (types.len() == 2).then(|| types.to_vec());
    let never = |_: &[ArrayRef], _: usize| Err(super::function::fault(SqlState::INTERNAL_ERROR, "a field was left to compute"));
    Function::new(EXTRACT, takes, |_| Some(DataType::Decimal128(20, 6)), never)
}

/// A field of a date, a time or an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfYear,
    DayOfWeek,
    IsoDayOfWeek,
    Hour,
    Minute,
    Second,
    Milliseconds,
    Microseconds,
    Epoch,
    Timezone,
    TimezoneHour,
    TimezoneMinute,
    Julian,
}

impl Field {
    /// By any of PostgreSQL's names.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_lowercase().as_str() {
            "millennium" | "millennia" | "mil" | "mils" => Self::Millennium,
            "century" | "centuries" | "c" | "cent" => Self::Century,
            "decade" | "decades" | "dec" | "decs" => Self::Decade,
            "year" | "years" | "y" | "yr" | "yrs" => Self::Year,
            "isoyear" => Self::IsoYear,
            "quarter" | "qtr" => Self::Quarter,
            "month" | "months" | "mon" | "mons" => Self::Month,
            "week" | "weeks" | "w" => Self::Week,
            "day" | "days" | "d" => Self::Day,
            "doy" => Self::DayOfYear,
            "dow" => Self::DayOfWeek,
            "isodow" => Self::IsoDayOfWeek,
            "hour" | "hours" | "h" | "hr" | "hrs" => Self::Hour,
            "minute" | "minutes" | "m" | "min" | "mins" => Self::Minute,
            "second" | "seconds" | "s" | "sec" | "secs" => Self::Second,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" | "msecond" | "mseconds" => Self::Milliseconds,
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "usecond" | "useconds" => Self::Microseconds,
            "epoch" => Self::Epoch,
            "timezone" => Self::Timezone,
            "timezone_h" | "timezone_hour" => Self::TimezoneHour,
            "timezone_m" | "timezone_minute" => Self::TimezoneMinute,
            "julian" | "jd" | "j" => Self::Julian,
            _ => return None,
        })
    }

    /// Digits behind the point of what extract() answers of a value with a time.
    fn scale(self, data_type: &DataType) -> i8 {
        let timed = !matches!(data_type, DataType::Date32 | DataType::Date64);
        match self {
            Self::Second | Self::Epoch if timed => 6,
            Self::Milliseconds => 3,
            _ => 0,
        }
    }

    /// Whether a type of this kind has the field.
    fn fits(self, data_type: &DataType) -> bool {
        let of_day = matches!(self, Self::Hour | Self::Minute | Self::Second | Self::Milliseconds | Self::Microseconds);
        match data_type {
            DataType::Date32 | DataType::Date64 => !of_day && !self.of_zone(),
            DataType::Timestamp(_, None) => !self.of_zone() && self != Self::Julian,
            DataType::Timestamp(_, Some(_)) => self != Self::Julian,
            DataType::Time32(_) | DataType::Time64(_) => of_day || self == Self::Epoch,
            DataType::Interval(_) | DataType::Duration(_) => {
                !self.of_zone()
                    && !matches!(self, Self::IsoYear | Self::Week | Self::DayOfYear | Self::DayOfWeek | Self::IsoDayOfWeek | Self::Julian)
            }
            _ => false,
        }
    }

    fn of_zone(self) -> bool {
        matches!(self, Self::Timezone | Self::TimezoneHour | Self::TimezoneMinute)
    }
}

/// `extract(field from x)`, a numeric, or `date_part('field', x)`, a floating-point number; `None` if the type has no such field.
pub(super) fn extracted(field: Field, of: &DataType, float: bool, facts: Facts) -> Option<Function> {
    if !field.fits(of) {
        return None;
    }
    let scale = field.scale(of);
    let gives = move |_: &[DataType]| Some(if float { DataType::Float64 } else { DataType::Decimal128(20, scale) });
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let values = super::function::first(args)?;
        let whole = if scale == 0 { None } else { Some(micros_of(field, values, facts)?) };
        if float {
            let floats: Float64Array = match whole {
                Some(micros) => micros.unary(|micros| as_float(micros) / 1e6),
                None => whole_of(field, values, facts)?.unary(as_float),
            };
            return Ok(Arc::new(floats) as ArrayRef);
        }
        let numbers: Decimal128Array = match whole {
            Some(micros) if scale == 3 => micros.unary(|micros| micros / 1000),
            Some(micros) => micros,
            None => whole_of(field, values, facts)?,
        };
        Ok(Arc::new(numbers.with_precision_and_scale(20, scale)?))
    };
    let name = if float { "date_part" } else { "extract" };
    Some(Function::new(name, taken, gives, computes).of_statement(facts).variant(field as u64))
}

#[expect(clippy::cast_precision_loss, reason = "a floating-point number is what date_part answers")]
fn as_float(number: i128) -> f64 {
    number as f64
}

fn taken(types: &[DataType]) -> Option<Vec<DataType>> {
    let [value] = types else { return None };
    Some(vec![match value {
        DataType::Interval(_) | DataType::Duration(_) => interval(),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        other => micros_type(other)?,
    }])
}

/// A field with a fraction, in millionths of its unit.
fn micros_of(field: Field, values: &ArrayRef, facts: Facts) -> Result<Decimal128Array> {
    let second = i128::from(SECOND);
    Ok(match values.data_type() {
        DataType::Interval(_) => {
            let values = values.as_primitive::<IntervalMonthDayNanoType>();
            values.unary(|value| if field == Field::Epoch { interval_epoch(value) } else { in_minute(field, value.nanoseconds / 1000) })
        }
        DataType::Time64(_) => {
            let values = values.as_primitive::<Time64MicrosecondType>();
            values.unary(|micros| if field == Field::Epoch { i128::from(micros) } else { in_minute(field, micros) })
        }
        DataType::Date32 => values.as_primitive::<Date32Type>().unary(|days| i128::from(days) * 86_400 * second),
        _ if field == Field::Epoch => values.as_primitive::<TimestampMicrosecondType>().unary(i128::from),
        _ => shown(values, facts).as_primitive::<TimestampMicrosecondType>().unary(|micros| in_minute(field, micros.rem_euclid(DAY))),
    })
}

/// Seconds or milliseconds within a minute, in millionths.
fn in_minute(field: Field, micros: i64) -> i128 {
    let within = i128::from(micros % (60 * SECOND));
    if field == Field::Milliseconds { within * 1000 } else { within }
}

/// A year of an interval has 365.25 days, a month 30.
fn interval_epoch(value: IntervalMonthDayNano) -> i128 {
    let second = i128::from(SECOND);
    let (months, days, micros) = (i128::from(value.months), i128::from(value.days), i128::from(value.nanoseconds / 1000));
    (months / 12) * 31_557_600 * second + (months % 12) * 2_592_000 * second + days * 86_400 * second + micros
}

/// A field that is a whole number.
fn whole_of(field: Field, values: &ArrayRef, facts: Facts) -> Result<Decimal128Array> {
    match values.data_type() {
        DataType::Interval(_) => Ok(values.as_primitive::<IntervalMonthDayNanoType>().unary(|value| of_interval(field, value))),
        DataType::Time64(_) => Ok(of_clock(field, values.as_primitive::<Time64MicrosecondType>())),
        DataType::Date32 if field == Field::Epoch => Ok(values.as_primitive::<Date32Type>().unary(|days| i128::from(days) * 86_400)),
        data_type => {
            let zoned = matches!(data_type, DataType::Timestamp(_, Some(_)));
            if field.of_zone() {
                let values = values.as_primitive::<TimestampMicrosecondType>();
                return Ok(values.unary(|micros| of_zone(field, (local_micros(micros, &facts.time_zone) - micros) / SECOND)));
            }
            let local = if zoned { shown(values, facts) } else { Arc::clone(values) };
            calendar(field, &local)
        }
    }
}

/// What clocks of the session's zone show.
fn shown(values: &ArrayRef, facts: Facts) -> ArrayRef {
    if !matches!(values.data_type(), DataType::Timestamp(_, Some(_))) {
        return Arc::clone(values);
    }
    let values = values.as_primitive::<TimestampMicrosecondType>();
    let shifted: PrimitiveArray<TimestampMicrosecondType> = values.unary(|micros| local_micros(micros, &facts.time_zone));
    Arc::new(shifted)
}

fn of_zone(field: Field, seconds: i64) -> i128 {
    i128::from(match field {
        Field::TimezoneHour => seconds / 3600,
        Field::TimezoneMinute => seconds / 60 % 60,
        _ => seconds,
    })
}

fn calendar(field: Field, local: &ArrayRef) -> Result<Decimal128Array> {
    let part = |part: DatePart| -> Result<Int32Array> { Ok(date_part(local, part)?.as_primitive::<Int32Type>().clone()) };
    let plain = |part: Int32Array| part.unary(i128::from);
    Ok(match field {
        Field::Year => part(DatePart::Year)?.unary(|year| i128::from(shown_year(year))),
        Field::IsoYear => part(DatePart::YearISO)?.unary(|year| i128::from(shown_year(year))),
        Field::Decade => part(DatePart::Year)?.unary(|year| i128::from(year.div_euclid(10))),
        Field::Century => part(DatePart::Year)?.unary(|year| i128::from(age_of(year, 100))),
        Field::Millennium => part(DatePart::Year)?.unary(|year| i128::from(age_of(year, 1000))),
        Field::Quarter => plain(part(DatePart::Quarter)?),
        Field::Month => plain(part(DatePart::Month)?),
        Field::Week => plain(part(DatePart::WeekISO)?),
        Field::Day => plain(part(DatePart::Day)?),
        Field::DayOfYear => plain(part(DatePart::DayOfYear)?),
        Field::Julian => local.as_primitive::<Date32Type>().unary(|days| i128::from(days) + JULIAN_OF_1970),
        Field::DayOfWeek => plain(part(DatePart::DayOfWeekSunday0)?),
        Field::IsoDayOfWeek => plain(part(DatePart::DayOfWeekMonday1)?),
        field => of_clock(
            field,
            &local.as_primitive::<TimestampMicrosecondType>().unary::<_, Time64MicrosecondType>(|micros| micros.rem_euclid(DAY)),
        ),
    })
}

/// The number of the first day of 1970 in the days of Julian.
const JULIAN_OF_1970: i128 = 2_440_588;

/// There is no year 0: what comes before 1 is -1.
fn shown_year(year: i32) -> i32 {
    if year > 0 { year } else { year - 1 }
}

/// Centuries and millennia are counted from 1, and backward from -1.
fn age_of(year: i32, years: i32) -> i32 {
    if year > 0 { (year + years - 1) / years } else { -((1 - year + years - 1) / years) }
}

fn of_clock<T: ArrowPrimitiveType<Native = i64>>(field: Field, times: &PrimitiveArray<T>) -> Decimal128Array {
    let micro = |micros: i64| match field {
        Field::Hour => micros / (3600 * SECOND),
        Field::Minute => micros / (60 * SECOND) % 60,
        _ => micros % (60 * SECOND),
    };
    times.unary(|micros| i128::from(micro(micros)))
}

fn of_interval(field: Field, value: IntervalMonthDayNano) -> i128 {
    let micros = value.nanoseconds / 1000;
    i128::from(match field {
        Field::Millennium => i64::from(value.months / 12_000),
        Field::Century => i64::from(value.months / 1200),
        Field::Decade => i64::from(value.months / 120),
        Field::Year => i64::from(value.months / 12),
        Field::Quarter => i64::from(value.months % 12 / 3 + 1),
        Field::Month => i64::from(value.months % 12),
        Field::Day => i64::from(value.days),
        Field::Hour => micros / (3600 * SECOND),
        Field::Minute => micros / (60 * SECOND) % 60,
        _ => micros % (60 * SECOND),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_before_christ_have_no_zero() {
        assert_eq!([shown_year(1), shown_year(0), shown_year(-1)], [1, -1, -2]);
        assert_eq!([age_of(2000, 100), age_of(2001, 100), age_of(1, 1000), age_of(0, 100), age_of(-100, 100)], [20, 21, 1, -1, -2]);
    }

    #[test]
    fn a_type_has_its_own_fields() {
        assert!(!Field::Hour.fits(&DataType::Date32));
        assert!(Field::Hour.fits(&DataType::Time64(TimeUnit::Microsecond)));
        assert!(!Field::Timezone.fits(&DataType::Timestamp(TimeUnit::Microsecond, None)));
        assert_eq!(Field::parse("MSEC"), Some(Field::Milliseconds));
        assert_eq!(Field::parse("fortnight"), None);
    }

    #[test]
    fn an_epoch_of_an_interval_counts_years_of_a_quarter_day_more() {
        assert_eq!(interval_epoch(IntervalMonthDayNano::new(13, 1, 1_000_000_000)), (31_557_600 + 2_592_000 + 86_400 + 1) * 1_000_000);
    }
}
