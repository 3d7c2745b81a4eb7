//! Dates, times, timestamps and intervals, as `DateStyle` ISO and `IntervalStyle` postgres write them.

use std::io::Write as _;

use arrow::array::Array;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use chrono::DateTime;

use crate::engine::{PgType, TimeZone};

use super::cells::Cells;
use super::number::each;
use super::{EncodeError, EncodeSettings, Target};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Days from 1970 to 2000, where PostgreSQL's binary dates start.
const EPOCH_DAYS: i64 = 10_957;
type Out<'a> = &'a mut Vec<u8>;

pub(super) fn column(array: &dyn Array, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    match array.data_type() {
        DataType::Date32 => {
            let write = date(array, target)?;
            each::<Date32Type>(array, cells, |days, out| write(i64::from(days), out))
        }
        DataType::Date64 => {
            let write = date(array, target)?;
            each::<Date64Type>(array, cells, |millis, out| write(millis.div_euclid(DAY / 1000), out))
        }
        DataType::Time32(unit) | DataType::Time64(unit) => times(array, *unit, target, cells),
        DataType::Timestamp(unit, _) => timestamps(array, *unit, target, settings, cells),
        DataType::Interval(unit) => intervals(array, *unit, target, cells),
        DataType::Duration(unit) => durations(array, *unit, target, cells),
        _ => Err(EncodeError::Shape),
    }
}

/// Checks the target: text is always possible, binary only as the type itself.
fn binary_as(array: &dyn Array, target: Target, own: &[PgType]) -> Result<bool, EncodeError> {
    if target.writes_text() {
        return Ok(false);
    }
    if own.iter().any(|own| target.is(*own)) { Ok(true) } else { Err(target.unfit(array)) }
}

fn date(array: &dyn Array, target: Target) -> Result<impl Fn(i64, Out<'_>) -> Result<(), EncodeError> + use<>, EncodeError> {
    let binary = binary_as(array, target, &[PgType::DATE])?;
    Ok(move |days: i64, out: Out<'_>| {
        if binary {
            out.extend(i32::try_from(days - EPOCH_DAYS).map_err(|_| EncodeError::OutOfRange)?.to_be_bytes());
            return Ok(());
        }
        let before_christ = put_date(days, out)?;
        out.extend(if before_christ { &b" BC"[..] } else { b"" });
        Ok(())
    })
}

fn times(array: &dyn Array, unit: TimeUnit, target: Target, cells: &mut Cells) -> Result<(), EncodeError> {
    let binary = binary_as(array, target, &[PgType::TIME])?;
    let write = |micros: i64, out: Out<'_>| {
        if !(0..=DAY).contains(&micros) {
            return Err(EncodeError::OutOfRange);
        }
        if binary {
            out.extend(micros.to_be_bytes());
            return Ok(());
        }
        put_time(micros, out)
    };
    match unit {
        TimeUnit::Second => each::<Time32SecondType>(array, cells, |value, out| write(i64::from(value) * SECOND, out)),
        TimeUnit::Millisecond => each::<Time32MillisecondType>(array, cells, |value, out| write(i64::from(value) * 1000, out)),
        TimeUnit::Microsecond => each::<Time64MicrosecondType>(array, cells, write),
        TimeUnit::Nanosecond => each::<Time64NanosecondType>(array, cells, |value, out| write(value.div_euclid(1000), out)),
    }
}

fn timestamps(array: &dyn Array, unit: TimeUnit, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    let binary = binary_as(array, target, &[PgType::TIMESTAMP, PgType::TIMESTAMPTZ])?;
    let zone = target.is(PgType::TIMESTAMPTZ).then_some(settings.time_zone);
    let write = |micros: i64, out: Out<'_>| {
        if binary {
            let since = micros.checked_sub(EPOCH_DAYS * DAY).ok_or(EncodeError::OutOfRange)?;
            out.extend(since.to_be_bytes());
            return Ok(());
        }
        put_timestamp(micros, zone, out)
    };
    let scaled = |value: i64, factor: i64, out: Out<'_>| write(value.checked_mul(factor).ok_or(EncodeError::OutOfRange)?, out);
    match unit {
        TimeUnit::Second => each::<TimestampSecondType>(array, cells, |value, out| scaled(value, SECOND, out)),
        TimeUnit::Millisecond => each::<TimestampMillisecondType>(array, cells, |value, out| scaled(value, 1000, out)),
        TimeUnit::Microsecond => each::<TimestampMicrosecondType>(array, cells, write),
        TimeUnit::Nanosecond => each::<TimestampNanosecondType>(array, cells, |value, out| write(value.div_euclid(1000), out)),
    }
}

fn intervals(array: &dyn Array, unit: IntervalUnit, target: Target, cells: &mut Cells) -> Result<(), EncodeError> {
    let binary = binary_as(array, target, &[PgType::INTERVAL])?;
    match unit {
        IntervalUnit::YearMonth => {
            each::<IntervalYearMonthType>(array, cells, |months, out| Span { months, days: 0, micros: 0 }.put(binary, out))
        }
        IntervalUnit::DayTime => each::<IntervalDayTimeType>(array, cells, |value, out| {
            Span { months: 0, days: value.days, micros: i64::from(value.milliseconds) * 1000 }.put(binary, out)
        }),
        IntervalUnit::MonthDayNano => each::<IntervalMonthDayNanoType>(array, cells, |value, out| {
            Span { months: value.months, days: value.days, micros: value.nanoseconds / 1000 }.put(binary, out)
        }),
    }
}

fn durations(array: &dyn Array, unit: TimeUnit, target: Target, cells: &mut Cells) -> Result<(), EncodeError> {
    let binary = binary_as(array, target, &[PgType::INTERVAL])?;
    let write = |value: i64, factor: i64, out: Out<'_>| {
        let micros = value.checked_mul(factor).ok_or(EncodeError::OutOfRange)?;
        Span { months: 0, days: 0, micros }.put(binary, out)
    };
    match unit {
        TimeUnit::Second => each::<DurationSecondType>(array, cells, |value, out| write(value, SECOND, out)),
        TimeUnit::Millisecond => each::<DurationMillisecondType>(array, cells, |value, out| write(value, 1000, out)),
        TimeUnit::Microsecond => each::<DurationMicrosecondType>(array, cells, |value, out| write(value, 1, out)),
        TimeUnit::Nanosecond => each::<DurationNanosecondType>(array, cells, |value, out| write(value / 1000, 1, out)),
    }
}

/// Writes a day, counted from 1970; true if it is before Christ, which is said at the very end.
fn put_date(days: i64, out: Out<'_>) -> Result<bool, EncodeError> {
    let (year, month, day) = civil(days);
    let before_christ = year < 1;
    let shown = if before_christ { 1 - year } else { year };
    write!(out, "{shown:04}-{month:02}-{day:02}").map_err(|_| EncodeError::Shape)?;
    Ok(before_christ)
}

/// Year, month and day of a day counted from 1970, in the proleptic Gregorian calendar (after Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn put_time(micros: i64, out: Out<'_>) -> Result<(), EncodeError> {
    let seconds = micros / SECOND;
    write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60).map_err(|_| EncodeError::Shape)?;
    put_fraction(micros % SECOND, out)
}

/// Writes millionths of a second without trailing zeros.
fn put_fraction(micros: i64, out: Out<'_>) -> Result<(), EncodeError> {
    if micros != 0 {
        write!(out, ".{micros:06}").map_err(|_| EncodeError::Shape)?;
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    Ok(())
}

fn put_timestamp(micros: i64, zone: Option<TimeZone>, out: Out<'_>) -> Result<(), EncodeError> {
    let offset = match zone {
        Some(zone) => {
            let utc = DateTime::from_timestamp_micros(micros).ok_or(EncodeError::OutOfRange)?;
            zone.offset_at(&utc.naive_utc())
        }
        None => 0,
    };
    let local = micros.checked_add(i64::from(offset) * SECOND).ok_or(EncodeError::OutOfRange)?;
    let before_christ = put_date(local.div_euclid(DAY), out)?;
    out.push(b' ');
    put_time(local.rem_euclid(DAY), out)?;
    if zone.is_some() {
        put_offset(offset, out)?;
    }
    out.extend(if before_christ { &b" BC"[..] } else { b"" });
    Ok(())
}

/// Writes `+00`, `+05:30` or `-00:01:15`.
fn put_offset(seconds: i32, out: Out<'_>) -> Result<(), EncodeError> {
    let distance = seconds.unsigned_abs();
    let (hours, minutes, rest) = (distance / 3600, distance / 60 % 60, distance % 60);
    let sign = if seconds < 0 { '-' } else { '+' };
    let written = match (minutes, rest) {
        (0, 0) => write!(out, "{sign}{hours:02}"),
        (_, 0) => write!(out, "{sign}{hours:02}:{minutes:02}"),
        _ => write!(out, "{sign}{hours:02}:{minutes:02}:{rest:02}"),
    };
    written.map_err(|_| EncodeError::Shape)
}

/// An interval.
struct Span {
    months: i32,
    days: i32,
    micros: i64,
}

impl Span {
    fn put(&self, binary: bool, out: Out<'_>) -> Result<(), EncodeError> {
        if binary {
            out.extend(self.micros.to_be_bytes());
            out.extend(self.days.to_be_bytes());
            out.extend(self.months.to_be_bytes());
            return Ok(());
        }
        let mut first = true;
        let mut after_negative = false;
        for (value, unit) in [(self.months / 12, "year"), (self.months % 12, "mon"), (self.days, "day")] {
            if value == 0 {
                continue;
            }
            let space = if first { "" } else { " " };
            let plus = if after_negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            write!(out, "{space}{plus}{value} {unit}{plural}").map_err(|_| EncodeError::Shape)?;
            (first, after_negative) = (false, value < 0);
        }
        if first || self.micros != 0 {
            let space = if first { "" } else { " " };
            let sign = match self.micros {
                ..0 => "-",
                _ if after_negative => "+",
                _ => "",
            };
            let micros = i64::try_from(self.micros.unsigned_abs()).map_err(|_| EncodeError::OutOfRange)?;
            write!(out, "{space}{sign}").map_err(|_| EncodeError::Shape)?;
            put_time(micros, out)?;
        }
        Ok(())
    }
}
