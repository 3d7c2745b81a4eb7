//! Dates, times and timestamps as text.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime};

use crate::error::{ClientMessage, SqlState};

use super::{Kind, TimeZone, invalid_text};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

fn out_of_range(value: &str) -> ClientMessage {
    ClientMessage::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date/time field value out of range: \"{value}\""))
}

/// A text cut into date, time and zone.
#[derive(Debug, Default)]
struct Parts<'a> {
    date: Option<&'a str>,
    time: Option<&'a str>,
    zone: Option<&'a str>,
    before_christ: bool,
}

/// Cuts `2024-01-02 03:04:05.678+01 BC` and its like.
fn cut<'a>(value: &'a str, kind: Kind) -> Result<Parts<'a>, ClientMessage> {
    let invalid = || invalid_text(kind, value);
    let mut parts = Parts::default();
    let mut rest = value.trim();
    if let Some(before) = rest.strip_suffix("BC").or_else(|| rest.strip_suffix("bc")) {
        (parts.before_christ, rest) = (true, before.trim_end());
    } else if let Some(before) = rest.strip_suffix("AD").or_else(|| rest.strip_suffix("ad")) {
        rest = before.trim_end();
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let is_time = |text: &str| text.split(['T', 't', ' ', '+']).next().is_some_and(|first| first.contains(':'));
    if !is_time(rest) {
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, 'T' | 't')).unwrap_or(rest.len());
        let (date, after) = rest.split_at(end);
        parts.date = Some(date);
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, 'T' | 't'));
    }
    if rest.is_empty() {
        return Ok(parts);
    }
    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(end);
    parts.time = Some(time).filter(|time| !time.is_empty());
    parts.zone = Some(zone.trim()).filter(|zone| !zone.is_empty());
    Ok(parts)
}

/// Reads `YYYY-MM-DD`, `YYYY/MM/DD` or `YYYYMMDD`.
fn naive_date(text: &str, before_christ: bool, value: &str, kind: Kind) -> Result<NaiveDate, ClientMessage> {
    let invalid = || invalid_text(kind, value);
    let fields: Vec<&str> = match text.len() {
        8 if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            [text.get(..4), text.get(4..6), text.get(6..)].into_iter().flatten().collect()
        }
        _ => text.split(['-', '/', '.']).collect(),
    };
    let [year, month, day] = fields.as_slice() else { return Err(invalid()) };
    if year.len() < 3 || !fields.iter().all(|field| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(invalid());
    }
    let number = |field: &str| field.parse::<i32>().map_err(|_| out_of_range(value));
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let year = if before_christ { 1 - year } else { year };
    let unsigned = |number: i32| u32::try_from(number).unwrap_or(0);
    let date = NaiveDate::from_ymd_opt(year, unsigned(month), unsigned(day));
    // The calendar begins with the first day of the Julian one.
    let begins = NaiveDate::from_ymd_opt(-4713, 11, 24);
    date.filter(|date| (year > 0 || before_christ) && begins.is_none_or(|begins| *date >= begins)).ok_or_else(|| out_of_range(value))
}

/// Reads `HH:MM[:SS[.ffffff]]` as millionths of a second, rounded to the nearest; 24:00 is the end of the day.
fn micros_of_day(text: &str, value: &str, kind: Kind) -> Result<i64, ClientMessage> {
    let invalid = || invalid_text(kind, value);
    let fields: Vec<&str> = text.split(':').collect();
    let (hours, minutes, seconds) = match fields.as_slice() {
        [hours, minutes] => (*hours, *minutes, "0"),
        [hours, minutes, seconds] => (*hours, *minutes, *seconds),
        _ => return Err(invalid()),
    };
    let number = |field: &str| if field.len() > 9 { None } else { field.parse::<i64>().ok() };
    let (Some(hours), Some(minutes), Some(micros)) = (number(hours), number(minutes), second_micros(seconds)) else {
        return Err(invalid());
    };
    let total = (hours * 60 + minutes) * 60 * SECOND + micros;
    if hours > 24 || minutes > 59 || micros > 60 * SECOND || total > DAY {
        return Err(out_of_range(value));
    }
    Ok(total)
}

/// Reads seconds with a fraction.
fn second_micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || whole.len() > 12 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded: String = fraction.chars().chain("0000000".chars()).take(7).collect();
    let tenths: i64 = padded.parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(SECOND)?.checked_add((tenths + 5) / 10)
}

fn days_since_1970(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce()) - 719_163
}

/// Whether a text is later than all moments of a type that has such, or earlier; `None` if it is neither.
pub(super) fn infinity(value: &str, kind: Kind) -> Option<bool> {
    if !matches!(kind, Kind::Date | Kind::Timestamp | Kind::TimestampTz) {
        return None;
    }
    let text = value.trim().to_ascii_lowercase();
    match text.trim_start_matches(['-', '+']) {
        "infinity" | "inf" => Some(!text.starts_with('-')),
        _ => None,
    }
}

/// Infinity is a date like any other in PostgreSQL; here there is none, and the message says so.
fn finite(value: &str, kind: Kind) -> Result<(), ClientMessage> {
    let unsigned = value.trim().trim_start_matches(['-', '+']);
    if unsigned.eq_ignore_ascii_case("infinity") || unsigned.eq_ignore_ascii_case("inf") { Err(infinite(kind)) } else { Ok(()) }
}

pub(super) fn infinite(kind: Kind) -> ClientMessage {
    ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{} parameters must be finite", kind.name()))
}

pub(super) fn date(value: &str) -> Result<i32, ClientMessage> {
    finite(value, Kind::Date)?;
    if value.trim().eq_ignore_ascii_case("epoch") {
        return Ok(0);
    }
    let parts = cut(value, Kind::Date)?;
    let text = parts.date.ok_or_else(|| invalid_text(Kind::Date, value))?;
    let date = naive_date(text, parts.before_christ, value, Kind::Date)?;
    match (parts.time, parts.zone) {
        (Some(time), _) => _ = micros_of_day(time, value, Kind::Date)?,
        // `2026-03-01 +00`, as pgjdbc sends dates.
        (None, Some(zone)) => _ = TimeZone::parse(zone).ok_or_else(|| invalid_text(Kind::Date, value))?,
        (None, None) => {}
    }
    i32::try_from(days_since_1970(date)).map_err(|_| out_of_range(value))
}

pub(super) fn time(value: &str) -> Result<i64, ClientMessage> {
    let invalid = || invalid_text(Kind::Time, value);
    let parts = cut(value, Kind::Time)?;
    let text = match (parts.time, parts.date) {
        (Some(text), _) => text.to_owned(),
        (None, Some(digits)) => compact(digits).ok_or_else(invalid)?,
        (None, None) => return Err(invalid()),
    };
    let micros = micros_of_day(&text, value, Kind::Time)?;
    let hour = micros / (3600 * SECOND);
    match parts.zone.map(str::to_ascii_lowercase).as_deref() {
        Some("am" | "pm") if hour > 12 => Err(out_of_range(value)),
        Some("am") if hour == 12 => Ok(micros - DAY / 2),
        Some("pm") if hour < 12 => Ok(micros + DAY / 2),
        _ => Ok(micros),
    }
}

/// `HHMMSS` or `HHMM` with colons.
fn compact(digits: &str) -> Option<String> {
    if !matches!(digits.len(), 4 | 6) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let pairs: Vec<&str> = (0..digits.len()).step_by(2).filter_map(|at| digits.get(at..at + 2)).collect();
    Some(pairs.join(":"))
}

/// Millionths of a second since 1970, in UTC for a timestamp with time zone.
pub(super) fn timestamp(value: &str, kind: Kind, time_zone: &TimeZone) -> Result<i64, ClientMessage> {
    finite(value, kind)?;
    let invalid = || invalid_text(kind, value);
    if value.trim().eq_ignore_ascii_case("epoch") {
        return Ok(0);
    }
    let parts = cut(value, kind)?;
    let date = naive_date(parts.date.ok_or_else(invalid)?, parts.before_christ, value, kind)?;
    let micros = parts.time.map_or(Ok(0), |time| micros_of_day(time, value, kind))?;
    let zone = parts.zone.map(|zone| TimeZone::parse(zone).ok_or_else(invalid)).transpose()?;
    let local = days_since_1970(date) * DAY + micros;
    if kind == Kind::Timestamp {
        return Ok(local);
    }
    let second = u32::try_from(micros / SECOND % 86_400).unwrap_or(0);
    let clock = NaiveTime::from_num_seconds_from_midnight_opt(second, 0).unwrap_or_default();
    let offset = zone.as_ref().unwrap_or(time_zone).offset_of_local(&NaiveDateTime::new(date, clock));
    Ok(local - i64::from(offset) * SECOND)
}
