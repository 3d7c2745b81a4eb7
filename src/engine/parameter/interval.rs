//! Intervals as text: `1 year 2 mons -3 days 04:05:06.7 ago`, `1-2 3 4:05:06`, ISO 8601's `P1Y2M3DT4H5M6S`.
//!
//! Follows PostgreSQL's own steps: a text is cut into words, which are read from the last on, so that a unit is known before its number.

mod iso;
mod words;

use arrow::datatypes::IntervalMonthDayNano;

use crate::error::{ClientMessage, SqlState};

use self::words::{Word, words};
use super::{Kind, invalid_text};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A field that `INTERVAL '…' HOUR TO SECOND` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Field {
    /// YEAR
    Year,
    /// MONTH
    Month,
    /// DAY
    Day,
    /// HOUR
    Hour,
    /// MINUTE
    Minute,
    /// SECOND
    Second,
}

/// The fields that an interval is cut to, the first and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Fields {
    /// The largest.
    pub(in crate::engine) first: Field,
    /// The smallest.
    pub(in crate::engine) last: Field,
}

impl Fields {
    /// The bits by which PostgreSQL's modifier of the type tells them.
    pub(in crate::engine) fn mask(self) -> i32 {
        let bits = [(Field::Year, 2), (Field::Month, 1), (Field::Day, 3), (Field::Hour, 10), (Field::Minute, 11), (Field::Second, 12)];
        bits.into_iter().filter(|(field, _)| (self.first..=self.last).contains(field)).map(|(_, bit)| 1 << bit).sum()
    }

    fn cut(self, span: IntervalMonthDayNano) -> IntervalMonthDayNano {
        let IntervalMonthDayNano { months, days, nanoseconds } = span;
        let to = |unit: i64| nanoseconds / (unit * 1000) * (unit * 1000);
        match self.last {
            Field::Year => IntervalMonthDayNano::new(months / 12 * 12, 0, 0),
            Field::Month => IntervalMonthDayNano::new(months, 0, 0),
            Field::Day => IntervalMonthDayNano::new(months, days, 0),
            Field::Hour => IntervalMonthDayNano::new(months, days, to(HOUR)),
            Field::Minute => IntervalMonthDayNano::new(months, days, to(MINUTE)),
            Field::Second => span,
        }
    }
}

/// Reads an interval of all fields.
pub(super) fn interval(value: &str) -> Result<IntervalMonthDayNano, ClientMessage> {
    read(value, None)
}

/// Reads an interval of these fields.
pub(in crate::engine) fn read(value: &str, fields: Option<Fields>) -> Result<IntervalMonthDayNano, ClientMessage> {
    let read = of_words(value, fields).or_else(|fault| if fault == Fault::Malformed { iso::read(value) } else { Err(fault) });
    let span = read.and_then(Sum::finish).map_err(|fault| match fault {
        Fault::Malformed => invalid_text(Kind::Interval, value),
        Fault::TooLarge => ClientMessage::new(SqlState::INTERVAL_FIELD_OVERFLOW, format!("interval field value out of range: \"{value}\"")),
    })?;
    Ok(fields.map_or(span, |fields| fields.cut(span)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Malformed,
    TooLarge,
}

type Read<T> = Result<T, Fault>;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

/// Names of units, of which PostgreSQL looks at ten letters.
const UNITS: [(&str, Unit); 52] = [
    ("c", Unit::Century),
    ("cent", Unit::Century),
    ("centuries", Unit::Century),
    ("century", Unit::Century),
    ("d", Unit::Day),
    ("day", Unit::Day),
    ("days", Unit::Day),
    ("dec", Unit::Decade),
    ("decade", Unit::Decade),
    ("decades", Unit::Decade),
    ("decs", Unit::Decade),
    ("h", Unit::Hour),
    ("hour", Unit::Hour),
    ("hours", Unit::Hour),
    ("hr", Unit::Hour),
    ("hrs", Unit::Hour),
    ("m", Unit::Minute),
    ("microsecon", Unit::Microsecond),
    ("mil", Unit::Millennium),
    ("millennia", Unit::Millennium),
    ("millennium", Unit::Millennium),
    ("millisecon", Unit::Millisecond),
    ("mils", Unit::Millennium),
    ("min", Unit::Minute),
    ("mins", Unit::Minute),
    ("minute", Unit::Minute),
    ("minutes", Unit::Minute),
    ("mon", Unit::Month),
    ("mons", Unit::Month),
    ("month", Unit::Month),
    ("months", Unit::Month),
    ("ms", Unit::Millisecond),
    ("msec", Unit::Millisecond),
    ("msecond", Unit::Millisecond),
    ("mseconds", Unit::Millisecond),
    ("msecs", Unit::Millisecond),
    ("s", Unit::Second),
    ("sec", Unit::Second),
    ("second", Unit::Second),
    ("seconds", Unit::Second),
    ("secs", Unit::Second),
    ("us", Unit::Microsecond),
    ("usec", Unit::Microsecond),
    ("usecond", Unit::Microsecond),
    ("useconds", Unit::Microsecond),
    ("usecs", Unit::Microsecond),
    ("w", Unit::Week),
    ("week", Unit::Week),
    ("weeks", Unit::Week),
    ("y", Unit::Year),
    ("year", Unit::Year),
    ("years", Unit::Year),
];

impl Unit {
    fn named(word: &str) -> Option<Self> {
        let word = word.get(..10).unwrap_or(word);
        let other = matches!(word, "yr" | "yrs").then_some(Self::Year);
        other.or_else(|| UNITS.iter().find(|(name, _)| *name == word).map(|(_, unit)| *unit))
    }

    /// What the last number counts, if nothing says it.
    fn last_of(fields: Option<Fields>) -> Self {
        match fields.map(|fields| fields.last) {
            Some(Field::Year) => Self::Year,
            Some(Field::Month) => Self::Month,
            Some(Field::Day) => Self::Day,
            Some(Field::Hour) => Self::Hour,
            Some(Field::Minute) => Self::Minute,
            Some(Field::Second) | None => Self::Second,
        }
    }

    /// A bit for each unit that may be told but once.
    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// The bits of an hour, a minute and seconds with their fractions, which a clock tells at once.
fn of_clock() -> u32 {
    of_seconds() | Unit::Minute.bit() | Unit::Hour.bit()
}

fn of_seconds() -> u32 {
    Unit::Second.bit() | Unit::Millisecond.bit() | Unit::Microsecond.bit()
}

fn of_words(value: &str, fields: Option<Fields>) -> Read<Sum> {
    let mut sum = Sum::default();
    // What the number before the last word counts, once it is known.
    let mut unit: Option<Unit> = None;
    let (mut told, mut ago, mut nameless) = (0, false, false);
    for word in words(value)?.iter().rev() {
        let mask = match word {
            Word::Clock(text) => {
                sum.micros = clock(text, fields)?;
                (unit, nameless) = (Some(Unit::Day), false);
                of_clock()
            }
            Word::Signed(text) if text.get(1..).is_some_and(|text| text.contains(':')) => {
                let micros = clock(text.get(1..).unwrap_or_default(), fields)?;
                sum.micros = if text.starts_with('-') { -micros } else { micros };
                (unit, nameless) = (Some(Unit::Day), false);
                of_clock()
            }
            Word::Signed(text) | Word::Number(text) if !nameless => {
                let counted = unit.unwrap_or_else(|| Unit::last_of(fields));
                let mask = sum.number(text, counted)?;
                unit = Some(match counted {
                    Unit::Hour => Unit::Day,
                    _ if years_and_months(text) => Unit::Month,
                    counted => counted,
                });
                mask
            }
            Word::Name(text) => {
                nameless = text == "ago";
                ago |= nameless;
                unit = if nameless { None } else { Some(Unit::named(text).ok_or(Fault::Malformed)?) };
                0
            }
            Word::Signed(_) | Word::Number(_) => return Err(Fault::Malformed),
        };
        if told & mask != 0 {
            return Err(Fault::Malformed);
        }
        told |= mask;
    }
    if told == 0 {
        return Err(Fault::Malformed);
    }
    if ago { sum.negated() } else { Ok(sum) }
}

/// Whether it is a number of years and one of months: `1-2`.
fn years_and_months(text: &str) -> bool {
    text.get(1..).is_some_and(|rest| rest.contains('-'))
}

/// `HH:MM[:SS[.ffffff]]`, `MM:SS.ffffff`.
fn clock(text: &str, fields: Option<Fields>) -> Read<i64> {
    let parts: Vec<&str> = text.split(':').collect();
    let whole = |text: &str| match text.parse::<i64>() {
        Ok(number) if text.starts_with(|letter: char| letter.is_ascii_digit()) => Ok(number),
        Err(fault) if *fault.kind() == std::num::IntErrorKind::PosOverflow => Err(Fault::TooLarge),
        _ => Err(Fault::Malformed),
    };
    let minutes_first = fields == Some(Fields { first: Field::Minute, last: Field::Second });
    let (hours, minutes, (seconds, fraction)) = match parts.as_slice() {
        [minutes, seconds] if seconds.contains('.') || minutes_first => ("0", *minutes, seconds.split_once('.').unwrap_or((seconds, ""))),
        [hours, minutes] => (*hours, *minutes, ("0", "")),
        [hours, minutes, seconds] => (*hours, *minutes, seconds.split_once('.').unwrap_or((seconds, ""))),
        _ => return Err(Fault::Malformed),
    };
    let (hours, minutes, seconds) = (whole(hours)?, whole(minutes)?, whole(seconds)?);
    if minutes > 59 || seconds > 60 {
        return Err(Fault::TooLarge);
    }
    let micros = micros_of(self::fraction(fraction)?, SECOND);
    let all = hours.checked_mul(HOUR).and_then(|all| all.checked_add(minutes * MINUTE + seconds * SECOND + micros));
    all.ok_or(Fault::TooLarge)
}

/// What stands behind a point.
fn fraction(digits: &str) -> Read<f64> {
    if digits.is_empty() {
        return Ok(0.0);
    }
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    format!("0.{digits}").parse().ok().filter(|_| plain).ok_or(Fault::Malformed)
}

/// A fraction of a unit in millionths of a second, rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a fraction of a day at the most")]
fn micros_of(fraction: f64, unit: i64) -> i64 {
    let micros = fraction * unit as f64;
    let rest = micros - micros.trunc();
    micros.trunc() as i64 + i64::from(rest > 0.5) - i64::from(rest < -0.5)
}

/// An interval while it is read.
#[derive(Debug, Default)]
struct Sum {
    years: i64,
    months: i64,
    days: i64,
    micros: i64,
}

fn added(total: &mut i64, number: i64, unit: i64) -> Read<()> {
    let more = number.checked_mul(unit).ok_or(Fault::TooLarge)?;
    *total = total.checked_add(more).ok_or(Fault::TooLarge)?;
    Ok(())
}

/// The same for what is kept as an integer.
fn counted(total: &mut i64, number: i64, unit: i64) -> Read<()> {
    added(total, number, unit)?;
    i32::try_from(*total).map(|_| ()).map_err(|_| Fault::TooLarge)
}

impl Sum {
    /// Adds a number with its fraction, and tells what has been told by it.
    fn number(&mut self, text: &str, unit: Unit) -> Read<u32> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = unsigned.split_at(digits);
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Fault::TooLarge)? };
        let sign = if negative { -1 } else { 1 };
        if let Some(months) = rest.strip_prefix('-') {
            let months: i64 = months.parse().map_err(|_| Fault::Malformed)?;
            if months >= 12 {
                return Err(Fault::TooLarge);
            }
            let all = whole.checked_mul(12).and_then(|all| all.checked_add(months)).ok_or(Fault::TooLarge)?;
            return self.add(sign * all, 0.0, Unit::Month);
        }
        let part = match rest.strip_prefix('.') {
            Some(digits) => fraction(digits)?,
            None if rest.is_empty() && !unsigned.is_empty() => 0.0,
            None => return Err(Fault::Malformed),
        };
        self.add(sign * whole, if negative { -part } else { part }, unit)
    }

    fn add(&mut self, number: i64, part: f64, unit: Unit) -> Read<u32> {
        match unit {
            Unit::Microsecond => self.clock(number, part, 1)?,
            Unit::Millisecond => self.clock(number, part, 1000)?,
            Unit::Second => {
                self.clock(number, part, SECOND)?;
                return Ok(if part == 0.0 { unit.bit() } else { of_seconds() });
            }
            Unit::Minute => self.clock(number, part, MINUTE)?,
            Unit::Hour => self.clock(number, part, HOUR)?,
            Unit::Day => {
                counted(&mut self.days, number, 1)?;
                added(&mut self.micros, micros_of(part, DAY), 1)?;
            }
            Unit::Week => {
                counted(&mut self.days, number, 7)?;
                self.part_of_days(part, 7)?;
            }
            Unit::Month => {
                counted(&mut self.months, number, 1)?;
                self.part_of_days(part, 30)?;
            }
            Unit::Year => self.span_of_years(number, part, 1)?,
            Unit::Decade => self.span_of_years(number, part, 10)?,
            Unit::Century => self.span_of_years(number, part, 100)?,
            Unit::Millennium => self.span_of_years(number, part, 1000)?,
        }
        Ok(unit.bit())
    }

    fn clock(&mut self, number: i64, part: f64, unit: i64) -> Read<()> {
        added(&mut self.micros, number, unit)?;
        added(&mut self.micros, micros_of(part, unit), 1)
    }

    /// A fraction of so many days: whole days, and the rest by the clock.
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a month at the most")]
    fn part_of_days(&mut self, part: f64, days: i32) -> Read<()> {
        let days = part * f64::from(days);
        counted(&mut self.days, days.trunc() as i64, 1)?;
        added(&mut self.micros, micros_of(days - days.trunc(), DAY), 1)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a millennium at the most")]
    fn span_of_years(&mut self, number: i64, part: f64, years: i32) -> Read<()> {
        counted(&mut self.years, number, i64::from(years))?;
        counted(&mut self.months, (part * f64::from(years) * 12.0).round_ties_even() as i64, 1)
    }

    fn negated(self) -> Read<Self> {
        let negated = |number: i64| number.checked_neg().ok_or(Fault::TooLarge);
        Ok(Self { years: negated(self.years)?, months: negated(self.months)?, days: negated(self.days)?, micros: negated(self.micros)? })
    }

    fn finish(self) -> Read<IntervalMonthDayNano> {
        let months = self.years.checked_mul(12).and_then(|months| months.checked_add(self.months));
        let months = months.and_then(|months| i32::try_from(months).ok()).ok_or(Fault::TooLarge)?;
        let days = i32::try_from(self.days).map_err(|_| Fault::TooLarge)?;
        let nanoseconds = self.micros.checked_mul(1000).ok_or(Fault::TooLarge)?;
        Ok(IntervalMonthDayNano::new(months, days, nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, fields: Option<Fields>) -> Option<(i32, i32, i64)> {
        read(value, fields).ok().map(|span| (span.months, span.days, span.nanoseconds / 1000))
    }

    #[test]
    fn texts_are_read_as_postgres_reads_them() {
        for (text, months, days, micros) in [
            ("1 year 2 mons -3 days 04:05:06.7", 14, -3, 4 * HOUR + 5 * MINUTE + 6_700_000),
            ("@ 1 hour @ 42 minutes", 0, 0, HOUR + 42 * MINUTE),
            ("1 millennium 2 centuries", 14_400, 0, 0),
            ("1.5 weeks", 0, 10, 12 * HOUR),
            ("1.5 months", 1, 15, 0),
            ("1-2 3 4:05:06", 14, 3, 4 * HOUR + 5 * MINUTE + 6 * SECOND),
            ("-1-2 +3 -4:05", -14, 3, -(4 * HOUR + 5 * MINUTE)),
            ("1 month - 1 day", 1, -1, 0),
            ("3 days 2 hours ago", 0, -3, -2 * HOUR),
            ("34", 0, 0, 34 * SECOND),
            ("1 +02:03", 0, 1, 2 * HOUR + 3 * MINUTE),
            ("10:20.5", 0, 0, 10 * MINUTE + 20_500_000),
            ("P1Y2M3DT4H5M6.5S", 14, 3, 4 * HOUR + 5 * MINUTE + 6_500_000),
            ("P0002-10-15T10:30:20", 34, 15, 10 * HOUR + 30 * MINUTE + 20 * SECOND),
            ("P00021015T103020", 34, 15, 10 * HOUR + 30 * MINUTE + 20 * SECOND),
            ("P1.5W", 0, 10, 12 * HOUR),
            ("PT-5M", 0, 0, -5 * MINUTE),
            ("1day 2hours", 0, 1, 2 * HOUR),
        ] {
            assert_eq!(of(text, None), Some((months, days, micros)), "{text}");
        }
    }

    #[test]
    fn what_is_told_twice_or_not_at_all_is_refused() {
        for text in [
            "1 second 2 seconds",
            "1 day 1 day",
            "123 2:03 -2:04",
            "P.Y0M3D",
            "",
            "day",
            "1 fortnight",
            "p1y",
            "P",
            "1 2 3",
            "1e3 s",
            "1 day-1",
        ] {
            assert_eq!(of(text, None), None, "{text}");
        }
        for text in ["99999999999 years", "10:70", "1-12", "9223372036854775808 us"] {
            assert_eq!(read(text, None).unwrap_err().sqlstate, SqlState::INTERVAL_FIELD_OVERFLOW, "{text}");
        }
    }

    #[test]
    fn fields_tell_the_unit_and_where_to_cut() {
        let of = |text: &str, first, last| of(text, Some(Fields { first, last }));
        assert_eq!(of("1", Field::Year, Field::Month), Some((1, 0, 0)));
        assert_eq!(of("1.5", Field::Day, Field::Day), Some((0, 1, 0)));
        assert_eq!(of("1 2:03", Field::Minute, Field::Second), Some((0, 1, 2 * MINUTE + 3 * SECOND)));
        assert_eq!(of("1 2:03:04", Field::Day, Field::Hour), Some((0, 1, 2 * HOUR)));
        assert_eq!(Fields { first: Field::Minute, last: Field::Second }.mask(), 0x1800);
    }
}
