//! Dates, times and timestamps, as `DateStyle` wants them, and what holds intervals.

use std::io::Write as _;

use arrow::array::Array;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use chrono::DateTime;

use crate::engine::{DateFormat, DateOrder, DateStyle, IntervalStyle, PgType, TimeZone};

use super::cells::Cells;
use super::interval::Span;
use super::number::each;
use super::{EncodeError, EncodeSettings, Target, digits};

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const DAY: i64 = 86_400 * SECOND;
/// Days from 1970 to 2000, where PostgreSQL's binary dates start.
pub(super) const EPOCH_DAYS: i64 = 10_957;
/// The days of the years 1 to 9999.
pub(super) const FOUR_DIGIT_YEARS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;
/// How long `2026-12-31` is.
pub(super) const ISO_DATE_BYTES: usize = 10;
/// The first day of 1970 was a Thursday.
const FIRST_OF_1970: i64 = 4;
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
type Out<'a> = &'a mut Vec<u8>;

pub(super) fn column(array: &dyn Array, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    match array.data_type() {
        DataType::Date32 => {
            let write = date(array, target, settings.date_style)?;
            each::<Date32Type>(array, cells, |days, out| write(i64::from(days), out))
        }
        DataType::Date64 => {
            let write = date(array, target, settings.date_style)?;
            each::<Date64Type>(array, cells, |millis, out| write(millis.div_euclid(DAY / 1000), out))
        }
        DataType::Time32(unit) | DataType::Time64(unit) => times(array, *unit, target, cells),
        DataType::Timestamp(unit, _) => timestamps(array, *unit, target, settings, cells),
        DataType::Interval(unit) => intervals(array, *unit, target, settings.interval_style, cells),
        DataType::Duration(unit) => durations(array, *unit, target, settings.interval_style, cells),
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

fn date(
    array: &dyn Array,
    target: Target,
    style: DateStyle,
) -> Result<impl Fn(i64, Out<'_>) -> Result<(), EncodeError> + use<>, EncodeError> {
    let binary = binary_as(array, target, &[PgType::DATE])?;
    Ok(move |days: i64, out: Out<'_>| {
        if binary {
            out.extend(i32::try_from(days - EPOCH_DAYS).map_err(|_| EncodeError::OutOfRange)?.to_be_bytes());
            return Ok(());
        }
        let day = Day::of(days);
        day.put(style, out)?;
        day.put_era(out);
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
        put_timestamp(micros, zone, settings.date_style, out)
    };
    let scaled = |value: i64, factor: i64, out: Out<'_>| write(value.checked_mul(factor).ok_or(EncodeError::OutOfRange)?, out);
    match unit {
        TimeUnit::Second => each::<TimestampSecondType>(array, cells, |value, out| scaled(value, SECOND, out)),
        TimeUnit::Millisecond => each::<TimestampMillisecondType>(array, cells, |value, out| scaled(value, 1000, out)),
        TimeUnit::Microsecond => each::<TimestampMicrosecondType>(array, cells, write),
        TimeUnit::Nanosecond => each::<TimestampNanosecondType>(array, cells, |value, out| write(value.div_euclid(1000), out)),
    }
}

fn intervals(array: &dyn Array, unit: IntervalUnit, target: Target, style: IntervalStyle, cells: &mut Cells) -> Result<(), EncodeError> {
    let binary = binary_as(array, target, &[PgType::INTERVAL])?;
    match unit {
        IntervalUnit::YearMonth => {
            each::<IntervalYearMonthType>(array, cells, |months, out| Span { months, days: 0, micros: 0 }.put(binary, style, out))
        }
        IntervalUnit::DayTime => each::<IntervalDayTimeType>(array, cells, |value, out| {
            Span { months: 0, days: value.days, micros: i64::from(value.milliseconds) * 1000 }.put(binary, style, out)
        }),
        IntervalUnit::MonthDayNano => each::<IntervalMonthDayNanoType>(array, cells, |value, out| {
            Span { months: value.months, days: value.days, micros: value.nanoseconds / 1000 }.put(binary, style, out)
        }),
    }
}

fn durations(array: &dyn Array, unit: TimeUnit, target: Target, style: IntervalStyle, cells: &mut Cells) -> Result<(), EncodeError> {
    let binary = binary_as(array, target, &[PgType::INTERVAL])?;
    let write = |value: i64, factor: i64, out: Out<'_>| {
        let micros = value.checked_mul(factor).ok_or(EncodeError::OutOfRange)?;
        Span { months: 0, days: 0, micros }.put(binary, style, out)
    };
    match unit {
        TimeUnit::Second => each::<DurationSecondType>(array, cells, |value, out| write(value, SECOND, out)),
        TimeUnit::Millisecond => each::<DurationMillisecondType>(array, cells, |value, out| write(value, 1000, out)),
        TimeUnit::Microsecond => each::<DurationMicrosecondType>(array, cells, |value, out| write(value, 1, out)),
        TimeUnit::Nanosecond => each::<DurationNanosecondType>(array, cells, |value, out| write(value / 1000, 1, out)),
    }
}

/// A day of the calendar.
struct Day {
    /// The year as it is written; before Christ counted backward from 1.
    year: i64,
    month: i64,
    day: i64,
    before_christ: bool,
    /// From Sunday.
    of_week: i64,
}

impl Day {
    /// The day so many days after that of 1970.
    fn of(days: i64) -> Self {
        let (year, month, day) = civil(days);
        let before_christ = year < 1;
        let year = if before_christ { 1 - year } else { year };
        Self { year, month, day, before_christ, of_week: (days + FIRST_OF_1970).rem_euclid(7) }
    }

    fn put(&self, style: DateStyle, out: Out<'_>) -> Result<(), EncodeError> {
        let Self { year, month, day, .. } = self;
        let (first, second) = if style.order == DateOrder::Dmy { (day, month) } else { (month, day) };
        let written = match style.format {
            DateFormat::Iso => {
                digits::put_padded(year.unsigned_abs(), 4, out);
                out.push(b'-');
                out.extend(digits::pair(month.unsigned_abs()));
                out.push(b'-');
                out.extend(digits::pair(day.unsigned_abs()));
                Ok(())
            }
            DateFormat::Sql => write!(out, "{first:02}/{second:02}/{year:04}"),
            DateFormat::Postgres => write!(out, "{first:02}-{second:02}-{year:04}"),
            DateFormat::German => write!(out, "{day:02}.{month:02}.{year:04}"),
        };
        written.map_err(|_| EncodeError::Shape)
    }

    /// ` BC` stands at the very end, after time and zone.
    fn put_era(&self, out: Out<'_>) {
        out.extend(if self.before_christ { &b" BC"[..] } else { b"" });
    }

    /// `Thu Dec 31 ` or `Thu 31 Dec `: the beginning of a timestamp in the style of Postgres.
    fn put_words(&self, order: DateOrder, out: Out<'_>) -> Result<(), EncodeError> {
        let name = |names: &[&'static str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default();
        let (weekday, month, day) = (name(&WEEKDAYS, self.of_week), name(&MONTHS, self.month - 1), self.day);
        let written = match order {
            DateOrder::Dmy => write!(out, "{weekday} {day:02} {month} "),
            DateOrder::Mdy | DateOrder::Ymd => write!(out, "{weekday} {month} {day:02} "),
        };
        written.map_err(|_| EncodeError::Shape)
    }
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

/// Writes a day of [`FOUR_DIGIT_YEARS`] to a place of [`ISO_DATE_BYTES`].
pub(super) fn put_iso_date(days: i64, place: &mut [u8]) {
    let (year, month, day) = civil(days);
    let pair = |number: i64| digits::pair(number.unsigned_abs());
    let ([a, b], [c, d], [e, f], [g, h]) = (pair(year / 100), pair(year), pair(month), pair(day));
    if let Some(place) = place.first_chunk_mut() {
        *place = [a, b, c, d, b'-', e, f, b'-', g, h];
    }
}

pub(super) fn put_time(micros: i64, out: Out<'_>) -> Result<(), EncodeError> {
    let seconds = micros / SECOND;
    digits::put_padded((seconds / 3600).unsigned_abs(), 2, out);
    out.push(b':');
    out.extend(digits::pair((seconds / 60 % 60).unsigned_abs()));
    out.push(b':');
    out.extend(digits::pair((seconds % 60).unsigned_abs()));
    put_fraction(micros % SECOND, out)
}

/// Writes millionths of a second without trailing zeros.
pub(super) fn put_fraction(micros: i64, out: Out<'_>) -> Result<(), EncodeError> {
    if micros != 0 {
        out.push(b'.');
        digits::put_padded(micros.unsigned_abs(), 6, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    Ok(())
}

fn put_timestamp(micros: i64, zone: Option<TimeZone>, style: DateStyle, out: Out<'_>) -> Result<(), EncodeError> {
    let utc = match zone {
        Some(_) => Some(DateTime::from_timestamp_micros(micros).ok_or(EncodeError::OutOfRange)?.naive_utc()),
        None => None,
    };
    let zone = zone.zip(utc);
    let offset = zone.map_or(0, |(zone, utc)| zone.offset_at(&utc));
    let local = micros.checked_add(i64::from(offset) * SECOND).ok_or(EncodeError::OutOfRange)?;
    let (day, time) = (Day::of(local.div_euclid(DAY)), local.rem_euclid(DAY));
    if style.format == DateFormat::Postgres {
        day.put_words(style.order, out)?;
        put_time(time, out)?;
        write!(out, " {:04}", day.year).map_err(|_| EncodeError::Shape)?;
    } else {
        day.put(style, out)?;
        out.push(b' ');
        put_time(time, out)?;
    }
    if let Some((zone, utc)) = zone {
        match style.format {
            DateFormat::Iso => put_offset(offset, out)?,
            DateFormat::Sql | DateFormat::Postgres | DateFormat::German => {
                write!(out, " {}", zone.abbreviation_at(&utc)).map_err(|_| EncodeError::Shape)?;
            }
        }
    }
    day.put_era(out);
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
