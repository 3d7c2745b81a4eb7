//! Dates, times, timestamps and intervals as text.

use arrow::datatypes::IntervalMonthDayNano;
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
    date.filter(|_| year > 0 || before_christ).ok_or_else(|| out_of_range(value))
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

/// Reads `1 year 2 mons -3 days 04:05:06.7 ago` and ISO 8601's `P1Y2M3DT4H5M6S`.
pub(super) fn interval(value: &str) -> Result<IntervalMonthDayNano, ClientMessage> {
    let trimmed = value.trim().trim_start_matches('@').trim();
    let mut sum = Sum { months: 0, days: 0, micros: 0, value };
    if let Some(iso) = trimmed.strip_prefix(['P', 'p']) {
        sum.iso(iso)?;
        return sum.finish(false);
    }
    let joined = with_signs(trimmed);
    let mut words = joined.split_whitespace().peekable();
    let mut ago = false;
    if words.peek().is_none() {
        return Err(sum.invalid());
    }
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("ago") && words.peek().is_none() {
            ago = true;
        } else if word.contains(':') {
            let (sign, clock) = word.strip_prefix('-').map_or((1, word.trim_start_matches('+')), |rest| (-1, rest));
            sum.clock(clock, sign)?;
        } else {
            let digits = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
            let (number, unit) = word.split_at(digits);
            if let Some((years, months)) = number.trim_start_matches(['-', '+']).split_once('-').filter(|_| unit.is_empty()) {
                // `1-2` is a year and two months.
                let sign = if number.starts_with('-') { "-" } else { "" };
                sum.add(&format!("{sign}{years}"), "years")?;
                sum.add(&format!("{sign}{months}"), "months")?;
                continue;
            }
            let unit = match words.peek() {
                _ if !unit.is_empty() => unit,
                // `3 4:05:06` are three days and a time.
                Some(next) if next.contains(':') => "days",
                _ => words.next().unwrap_or("seconds"),
            };
            sum.add(number, unit)?;
        }
    }
    sum.finish(ago)
}

/// The text in which signs stand at their numbers: `1 month - 1 day`.
fn with_signs(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut signed = false;
    for letter in text.chars() {
        if signed && letter.is_whitespace() {
            continue;
        }
        signed = matches!(letter, '-' | '+');
        joined.push(letter);
    }
    joined
}

/// An interval while it is read.
struct Sum<'a> {
    months: i64,
    days: i64,
    micros: i64,
    value: &'a str,
}

impl Sum<'_> {
    fn invalid(&self) -> ClientMessage {
        invalid_text(Kind::Interval, self.value)
    }

    fn too_large(&self) -> ClientMessage {
        ClientMessage::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("interval field value out of range: \"{}\"", self.value))
    }

    fn clock(&mut self, text: &str, sign: i64) -> Result<(), ClientMessage> {
        let mut fields = text.split(':');
        let (hours, minutes, seconds) = (fields.next(), fields.next(), fields.next().unwrap_or("0"));
        let number = |field: Option<&str>| field.filter(|field| field.len() <= 9).and_then(|field| field.parse::<i64>().ok());
        let (Some(hours), Some(minutes), Some(micros), None) = (number(hours), number(minutes), second_micros(seconds), fields.next())
        else {
            return Err(self.invalid());
        };
        if minutes > 59 || micros >= 60 * SECOND {
            return Err(self.too_large());
        }
        self.micros = self.micros.checked_add(sign * ((hours * 60 + minutes) * 60 * SECOND + micros)).ok_or_else(|| self.too_large())?;
        Ok(())
    }

    /// Adds a number of a unit; what is left of a whole unit goes on to the next smaller one.
    fn add(&mut self, number: &str, unit: &str) -> Result<(), ClientMessage> {
        let (sign, digits) = number.strip_prefix('-').map_or((1, number.trim_start_matches('+')), |rest| (-1, rest));
        // Millionths of the unit.
        let digits = if digits.starts_with('.') { format!("0{digits}") } else { digits.to_owned() };
        let amount = i128::from(second_micros(&digits).ok_or_else(|| self.invalid())? * sign);
        let million = i128::from(SECOND);
        let (months, days, micros) = match unit.to_ascii_lowercase().as_str() {
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => (0, 0, amount / million),
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => (0, 0, amount / 1000),
            "second" | "seconds" | "sec" | "secs" | "s" => (0, 0, amount),
            "minute" | "minutes" | "min" | "mins" | "m" => (0, 0, amount * 60),
            "hour" | "hours" | "hr" | "hrs" | "h" => (0, 0, amount * 3600),
            "day" | "days" | "d" => (0, amount / million, amount % million * 86_400),
            "week" | "weeks" | "w" => (0, amount * 7 / million, amount * 7 % million * 86_400),
            "month" | "months" | "mon" | "mons" => (amount / million, amount % million * 30 / million, 0),
            "year" | "years" | "yr" | "yrs" | "y" => (amount * 12 / million, 0, 0),
            "decade" | "decades" => (amount * 120 / million, 0, 0),
            "century" | "centuries" => (amount * 1200 / million, 0, 0),
            "millennium" | "millennia" | "mil" | "mils" => (amount * 12_000 / million, 0, 0),
            _ => return Err(self.invalid()),
        };
        let sum = |total: i64, more: i128| i64::try_from(more).ok().and_then(|more| total.checked_add(more));
        let added = (sum(self.months, months), sum(self.days, days), sum(self.micros, micros));
        let (Some(months), Some(days), Some(micros)) = added else { return Err(self.too_large()) };
        (self.months, self.days, self.micros) = (months, days, micros);
        Ok(())
    }

    fn iso(&mut self, text: &str) -> Result<(), ClientMessage> {
        if self.iso_clock(text)? {
            return Ok(());
        }
        let mut in_time = false;
        let mut number = String::new();
        for character in text.chars() {
            let unit = match (character, in_time) {
                ('T' | 't', false) if number.is_empty() => {
                    in_time = true;
                    continue;
                }
                ('Y' | 'y', false) => "years",
                ('M' | 'm', false) => "months",
                ('W' | 'w', false) => "weeks",
                ('D' | 'd', false) => "days",
                ('H' | 'h', true) => "hours",
                ('M' | 'm', true) => "minutes",
                ('S' | 's', true) => "seconds",
                (other, _) => {
                    number.push(other);
                    continue;
                }
            };
            self.add(&std::mem::take(&mut number), unit)?;
        }
        if number.is_empty() && !text.is_empty() { Ok(()) } else { Err(self.invalid()) }
    }

    /// `0001-02-03T04:05:06`; whether it is of that form.
    fn iso_clock(&mut self, text: &str) -> Result<bool, ClientMessage> {
        let (date, time) = text.split_once(['T', 't']).map_or((text, None), |(date, time)| (date, Some(time)));
        let fields: Vec<&str> = date.split('-').collect();
        let plain = |field: &&str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
        let ([years, months, days], true) = (fields.as_slice(), fields.iter().all(plain)) else { return Ok(false) };
        for (number, unit) in [(years, "years"), (months, "months"), (days, "days")] {
            self.add(number, unit)?;
        }
        time.map_or(Ok(()), |time| self.clock(time, 1))?;
        Ok(true)
    }

    fn finish(self, ago: bool) -> Result<IntervalMonthDayNano, ClientMessage> {
        let sign = if ago { -1 } else { 1 };
        let months = i32::try_from(self.months * sign).map_err(|_| self.too_large())?;
        let days = i32::try_from(self.days * sign).map_err(|_| self.too_large())?;
        let nanoseconds = self.micros.checked_mul(1000 * sign).ok_or_else(|| self.too_large())?;
        Ok(IntervalMonthDayNano::new(months, days, nanoseconds))
    }
}
