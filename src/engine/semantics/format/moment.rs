//! What `to_char` writes of a moment.

use chrono::{Datelike as _, NaiveDateTime, Timelike as _};

use crate::engine::TimeZone;

use super::super::pieces::{Case, Pattern, Piece, suffix};
use super::super::temporal;
use super::padded;

/// The months by their English names.
pub(in super::super) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Where the clock stands that shows a moment.
#[derive(Debug)]
pub(super) struct Zone<'a> {
    /// Seconds to the east.
    pub(super) offset: i32,
    /// The zone that has a name at a moment of UTC; a moment without a zone has none.
    pub(super) named: Option<(&'a TimeZone, NaiveDateTime)>,
}

impl Zone<'_> {
    fn write(&self, out: &mut String, pattern: Pattern) {
        let (sign, size) = (if self.offset < 0 { '-' } else { '+' }, i64::from(self.offset.unsigned_abs()));
        let (hours, minutes) = (size / 3600, size / 60 % 60);
        match pattern {
            Pattern::ZoneMinutes => padded(out, minutes, 2),
            Pattern::ZoneName { upper } => {
                let name = self.named.as_ref().map(|(zone, utc)| zone.abbreviation_at(utc)).unwrap_or_default();
                out.push_str(&if upper { name.to_uppercase() } else { name.to_lowercase() });
            }
            _ => {
                out.push(sign);
                padded(out, hours, 2);
                if pattern == Pattern::Offset && minutes != 0 {
                    out.push(':');
                    padded(out, minutes, 2);
                }
            }
        }
    }
}

/// Writes a moment as a template wants it.
pub(super) fn write(out: &mut String, value: &NaiveDateTime, template: &[Piece], zone: &Zone<'_>) {
    for piece in template {
        match piece {
            Piece::Text(part) | Piece::Quoted(part) => out.push_str(part),
            Piece::Exact => {}
            Piece::Pattern { pattern, fill, ordinal, .. } => {
                let start = out.len();
                match number(*pattern, value) {
                    Some((number, width)) => padded(out, number, if *fill { width } else { 0 }),
                    None => word(out, *pattern, value, *fill, zone),
                }
                if let Some(upper) = ordinal {
                    out.push_str(suffix(out.as_bytes().get(start..).unwrap_or_default(), *upper));
                }
            }
        }
    }
}

/// There is no year 0: what comes before 1 is 1 before Christ.
fn counted(year: i32) -> i64 {
    let year = i64::from(year);
    if year > 0 { year } else { 1 - year }
}

/// The last digits of a year.
fn digits(year: i64, kept: u8) -> (i64, usize) {
    let year = match kept {
        1 => year % 10,
        2 => year % 100,
        3 => year % 1000,
        _ => year,
    };
    (year, usize::from(kept))
}

/// The number of a pattern that is one, and to how many digits it is filled up.
fn number(pattern: Pattern, value: &NaiveDateTime) -> Option<(i64, usize)> {
    let shown = i64::from(value.year());
    let (number, width) = match pattern {
        Pattern::Year(kept) => return Some(digits(counted(value.year()), kept)),
        Pattern::IsoYear(kept) => return Some(digits(counted(value.iso_week().year()), kept)),
        Pattern::Century if shown > 0 => return Some(((shown + 99) / 100, 2)),
        Pattern::Century => return Some((shown / 100 - 1, 3)),
        Pattern::Julian => return Some((i64::from(value.num_days_from_ce()) + 1_721_425, 0)),
        Pattern::MonthNumber => (value.month(), 2),
        Pattern::DayOfYear => (value.ordinal(), 3),
        Pattern::DayOfIsoYear => (value.iso_week().week0() * 7 + value.weekday().number_from_monday(), 3),
        Pattern::DayOfMonth => (value.day(), 2),
        Pattern::Weekday => (value.weekday().number_from_sunday(), 1),
        Pattern::IsoWeekday => (value.weekday().number_from_monday(), 1),
        Pattern::IsoWeek => (value.iso_week().week(), 2),
        Pattern::Week => (value.ordinal0() / 7 + 1, 2),
        Pattern::WeekOfMonth => (value.day0() / 7 + 1, 1),
        Pattern::Quarter => (value.month0() / 3 + 1, 1),
        Pattern::Hour => (value.hour(), 2),
        Pattern::HourOfHalf => (temporal::clock_hour(value), 2),
        Pattern::Minute => (value.minute(), 2),
        Pattern::Second => (value.second(), 2),
        Pattern::SecondOfDay => (value.num_seconds_from_midnight(), 0),
        _ => return None,
    };
    Some((i64::from(number), width))
}

/// Writes what is no number, or is filled up in any case.
fn word(out: &mut String, pattern: Pattern, value: &NaiveDateTime, fill: bool, zone: &Zone<'_>) {
    let micros = i64::from(value.nanosecond() / 1000);
    let named = |names: &[&'static str], at: u32| names.get(usize::try_from(at).unwrap_or(0)).copied().unwrap_or_default();
    let month = named(&MONTHS, value.month0());
    let day = named(&DAYS, value.weekday().num_days_from_sunday());
    let short = |name: &'static str| name.get(..3).unwrap_or_default();
    match pattern {
        Pattern::LongYear => {
            let year = counted(value.year());
            padded(out, year / 1000, 0);
            out.push(',');
            padded(out, year % 1000, 3);
        }
        Pattern::Millis => padded(out, micros / 1000, 3),
        Pattern::Micros => padded(out, micros, 6),
        Pattern::Fraction(kept) => padded(out, micros / 10_i64.pow(6_u32.saturating_sub(u32::from(kept))), usize::from(kept)),
        Pattern::Roman(case) => cased(out, case, named(&ROMAN, value.month0()), if fill { 4 } else { 0 }),
        Pattern::Era { dotted, upper } => out.push_str(era(value.year() > 0, dotted, upper)),
        Pattern::Half { dotted, upper } => out.push_str(half(value.hour() >= 12, dotted, upper)),
        Pattern::Month(case) => cased(out, case, month, if fill { 9 } else { 0 }),
        Pattern::Day(case) => cased(out, case, day, if fill { 9 } else { 0 }),
        Pattern::ShortMonth(case) => cased(out, case, short(month), 0),
        Pattern::ShortDay(case) => cased(out, case, short(day), 0),
        pattern => zone.write(out, pattern),
    }
}

/// A name in the letters of its pattern, filled up to a width.
fn cased(out: &mut String, case: Case, name: &str, width: usize) {
    match case {
        Case::Upper => out.extend(name.chars().map(|letter| letter.to_ascii_uppercase())),
        Case::Lower => out.extend(name.chars().map(|letter| letter.to_ascii_lowercase())),
        Case::Title => out.push_str(name),
    }
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(name.len())));
}

fn era(after_christ: bool, dotted: bool, upper: bool) -> &'static str {
    match (after_christ, dotted, upper) {
        (true, false, true) => "AD",
        (true, false, false) => "ad",
        (true, true, true) => "A.D.",
        (true, true, false) => "a.d.",
        (false, false, true) => "BC",
        (false, false, false) => "bc",
        (false, true, true) => "B.C.",
        (false, true, false) => "b.c.",
    }
}

/// The half of the day.
pub(super) fn half(afternoon: bool, dotted: bool, upper: bool) -> &'static str {
    match (afternoon, dotted, upper) {
        (true, false, true) => "PM",
        (true, false, false) => "pm",
        (true, true, true) => "P.M.",
        (true, true, false) => "p.m.",
        (false, false, true) => "AM",
        (false, false, false) => "am",
        (false, true, true) => "A.M.",
        (false, true, false) => "a.m.",
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::super::super::pieces::pieces;
    use super::*;

    fn shown(value: &NaiveDateTime, template: &str) -> String {
        let mut text = String::new();
        write(&mut text, value, &pieces(template).unwrap(), &Zone { offset: -19_800, named: None });
        text
    }

    #[test]
    fn moments_are_written_by_their_template() {
        let value = NaiveDate::from_ymd_opt(2026, 5, 7).unwrap().and_hms_micro_opt(13, 4, 5, 678_000).unwrap();
        for (template, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.MS", "2026-05-07 13:04:05.678"),
            ("Mon DD, YYYY", "May 07, 2026"),
            ("FMMonth FMDDth HH12:MI AM", "May 7th 01:04 PM"),
            ("YYYY\"-W\"IW", "2026-W19"),
            ("Month|", "May      |"),
            ("MONTH|TMmonth|Dy DAY|fmday|", "MAY      |may|Thu THURSDAY |thursday|"),
            ("Y,YYY YYY YY Y IYYY I", "2,026 026 26 6 2026 6"),
            ("RM|FMrm|CC Q D ID DDD IDDD WW W", "V   |v|21 2 5 4 127 130 19 1"),
            ("FF1 FF4 US SSSSS b.c. TZH:TZM OF", "6 6780 678000 47045 a.d. -05:30 -05:30"),
            ("J", "2461168"),
        ] {
            assert_eq!(shown(&value, template), expected, "{template}");
        }
    }

    #[test]
    fn years_before_christ_count_backwards() {
        let value = NaiveDate::from_ymd_opt(-43, 1, 22).unwrap().and_hms_opt(0, 0, 0).unwrap();
        assert_eq!(shown(&value, "YYYY BC CC HH12 AM DDTH DDth"), "0044 BC -01 12 AM 22ND 22nd");
    }
}
