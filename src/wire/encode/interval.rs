//! Intervals in the four styles of `IntervalStyle`, and in binary.

use std::io::Write as _;

use crate::engine::IntervalStyle;

use super::EncodeError;
use super::datetime::{SECOND, put_fraction, put_time};

type Out<'a> = &'a mut Vec<u8>;

/// An interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) months: i32,
    pub(super) days: i32,
    pub(super) micros: i64,
}

/// The fields that an interval is shown in; each part has one sign.
struct Fields {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Span {
    /// Writes it as bytes or in a style.
    pub(super) fn put(self, binary: bool, style: IntervalStyle, out: Out<'_>) -> Result<(), EncodeError> {
        if binary {
            out.extend(self.micros.to_be_bytes());
            out.extend(self.days.to_be_bytes());
            out.extend(self.months.to_be_bytes());
            return Ok(());
        }
        let written = match style {
            IntervalStyle::Postgres => return self.postgres(out),
            IntervalStyle::PostgresVerbose => self.fields().verbose(out),
            IntervalStyle::SqlStandard => self.fields().sql_standard(out),
            IntervalStyle::Iso8601 => self.fields().iso_8601(out),
        };
        written.map_err(|_| EncodeError::Shape)
    }

    fn fields(self) -> Fields {
        let (months, seconds) = (i64::from(self.months), self.micros / SECOND);
        Fields {
            years: months / 12,
            months: months % 12,
            days: i64::from(self.days),
            hours: seconds / 3600,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            micros: self.micros % SECOND,
        }
    }

    fn postgres(self, out: Out<'_>) -> Result<(), EncodeError> {
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

impl Fields {
    fn all(&self) -> [i64; 7] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.micros]
    }

    fn is_zero(&self) -> bool {
        self.all().iter().all(|field| *field == 0)
    }

    /// `@ 1 day 2 hours ago`: the first field that is there decides what is before now.
    fn verbose(&self, out: Out<'_>) -> std::io::Result<()> {
        write!(out, "@")?;
        let before = self.all().iter().find(|field| **field != 0).is_some_and(|field| *field < 0);
        let turned = |value: i64| if before { -value } else { value };
        let whole = [(self.years, "year"), (self.months, "mon"), (self.days, "day"), (self.hours, "hour"), (self.minutes, "min")];
        for (value, unit) in whole.into_iter().filter(|(value, _)| *value != 0) {
            let value = turned(value);
            write!(out, " {value} {unit}{}", if value == 1 { "" } else { "s" })?;
        }
        if self.seconds != 0 || self.micros != 0 {
            let negative = turned(self.seconds) < 0 || turned(self.micros) < 0;
            write!(out, " {}{}", if negative { "-" } else { "" }, self.seconds.abs())?;
            fraction(self.micros, out)?;
            write!(out, " sec{}", if self.seconds.abs() == 1 && self.micros == 0 { "" } else { "s" })?;
        }
        if self.is_zero() {
            write!(out, " 0")?;
        }
        if before { write!(out, " ago") } else { Ok(()) }
    }

    /// The standard knows intervals of years and months, and of days and times, each with one sign; others are written with all signs.
    fn sql_standard(&self, out: Out<'_>) -> std::io::Result<()> {
        let negative = self.all().iter().any(|field| *field < 0);
        let positive = self.all().iter().any(|field| *field > 0);
        let of_months = self.years != 0 || self.months != 0;
        let time = [self.hours, self.minutes, self.seconds, self.micros];
        let of_days = self.days != 0 || time.iter().any(|field| *field != 0);
        let [years, months, days, hours, minutes] = [self.years, self.months, self.days, self.hours, self.minutes].map(i64::abs);
        if !negative && !positive {
            return write!(out, "0");
        }
        if negative && positive || of_months && of_days {
            let sign = |fields: &[i64]| if fields.iter().any(|field| *field < 0) { '-' } else { '+' };
            let of_years = sign(&[self.years, self.months]);
            write!(out, "{of_years}{years}-{months} {}{days} {}{hours}:{minutes:02}:", sign(&[self.days]), sign(&time))?;
            return self.two_digit_seconds(out);
        }
        if negative {
            write!(out, "-")?;
        }
        if of_months {
            return write!(out, "{years}-{months}");
        }
        if days != 0 {
            write!(out, "{days} ")?;
        }
        write!(out, "{hours}:{minutes:02}:")?;
        self.two_digit_seconds(out)
    }

    fn two_digit_seconds(&self, out: Out<'_>) -> std::io::Result<()> {
        write!(out, "{:02}", self.seconds.abs())?;
        fraction(self.micros, out)
    }

    fn iso_8601(&self, out: Out<'_>) -> std::io::Result<()> {
        if self.is_zero() {
            return write!(out, "PT0S");
        }
        write!(out, "P")?;
        for (value, unit) in [(self.years, 'Y'), (self.months, 'M'), (self.days, 'D')].into_iter().filter(|(value, _)| *value != 0) {
            write!(out, "{value}{unit}")?;
        }
        if [self.hours, self.minutes, self.seconds, self.micros] == [0; 4] {
            return Ok(());
        }
        write!(out, "T")?;
        for (value, unit) in [(self.hours, 'H'), (self.minutes, 'M')].into_iter().filter(|(value, _)| *value != 0) {
            write!(out, "{value}{unit}")?;
        }
        if self.seconds != 0 || self.micros != 0 {
            let sign = if self.seconds < 0 || self.micros < 0 { "-" } else { "" };
            write!(out, "{sign}{}", self.seconds.abs())?;
            fraction(self.micros, out)?;
            write!(out, "S")?;
        }
        Ok(())
    }
}

fn fraction(micros: i64, out: Out<'_>) -> std::io::Result<()> {
    put_fraction(micros.abs(), out).map_err(|_| std::io::ErrorKind::Other.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL 15 prints for the same intervals.
    #[test]
    fn each_style_is_postgresqls() {
        const HOUR: i64 = 3600 * SECOND;
        let table = [
            ((0, 0, 0), ["00:00:00", "@ 0", "0", "PT0S"]),
            ((14, 0, 0), ["1 year 2 mons", "@ 1 year 2 mons", "1-2", "P1Y2M"]),
            ((0, 1, 2 * HOUR + 184 * SECOND), ["1 day 02:03:04", "@ 1 day 2 hours 3 mins 4 secs", "1 2:03:04", "P1DT2H3M4S"]),
            ((0, 0, -HOUR - 1_500_000), ["-01:00:01.5", "@ 1 hour 1.5 secs ago", "-1:00:01.5", "PT-1H-1.5S"]),
            ((0, 0, 1_000_000), ["00:00:01", "@ 1 sec", "0:00:01", "PT1S"]),
            (
                (-12, 3, -SECOND / 4),
                ["-1 years +3 days -00:00:00.25", "@ 1 year -3 days 0.25 secs ago", "-1-0 +3 -0:00:00.25", "P-1Y3DT-0.25S"],
            ),
            ((1, 0, SECOND), ["1 mon 00:00:01", "@ 1 mon 1 sec", "+0-1 +0 +0:00:01", "P1MT1S"]),
            ((0, 2, -SECOND), ["2 days -00:00:01", "@ 2 days -1 sec", "+0-0 +2 -0:00:01", "P2DT-1S"]),
            ((0, -5, 0), ["-5 days", "@ 5 days ago", "-5 0:00:00", "P-5D"]),
        ];
        let styles = [IntervalStyle::Postgres, IntervalStyle::PostgresVerbose, IntervalStyle::SqlStandard, IntervalStyle::Iso8601];
        for ((months, days, micros), expected) in table {
            for (style, expected) in styles.into_iter().zip(expected) {
                let mut out = Vec::new();
                Span { months, days, micros }.put(false, style, &mut out).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{style:?}");
            }
        }
    }
}
