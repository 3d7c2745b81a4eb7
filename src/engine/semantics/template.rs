//! Texts read by templates: to_date(), to_timestamp().
//!
//! Follows PostgreSQL's own steps, for what a template passes over is what these steps pass over. INVARIANT: no error holds the text.

mod moment;

use datafusion::error::DataFusionError;

use crate::error::SqlState;

use super::format::MONTHS;
use super::function::{Result, fault};
use super::pieces::{Pattern, Piece};

pub(super) use moment::Moment;

pub(super) fn invalid() -> DataFusionError {
    fault(SqlState::INVALID_DATETIME_FORMAT, "a text does not fit its template")
}

fn out_of_range() -> DataFusionError {
    fault(SqlState::DATETIME_FIELD_OVERFLOW, "date/time field value out of range")
}

/// The moment that a text tells by a template. What it does not tell is the first of its kind; the year is the last before Christ.
pub(super) fn read(text: &str, template: &[Piece]) -> Result<Moment> {
    let mut reader = Reader { rest: text, fields: Fields::default(), exact: false, passed: 0, minus: false };
    for (at, piece) in template.iter().enumerate() {
        // What the text does not reach is as it was.
        if reader.rest.is_empty() {
            break;
        }
        reader.piece(piece, template.get(at + 1), at == 0)?;
    }
    reader.fields.moment()
}

/// What a text has told; zero is what it has not.
#[derive(Debug, Default)]
struct Fields {
    /// Whether weeks are those of ISO 8601.
    iso: Option<bool>,
    year: i64,
    /// Digits that the pattern of the year has.
    year_digits: usize,
    century: i64,
    before_christ: bool,
    month: i64,
    day: i64,
    day_of_year: i64,
    /// From Sunday, which is 1.
    weekday: i64,
    week: i64,
    week_of_month: i64,
    julian: i64,
    hour: i64,
    minute: i64,
    second: i64,
    second_of_day: i64,
    millis: i64,
    micros: i64,
    /// Digits of seconds that are kept.
    fraction_digits: u32,
    twelve_hours: bool,
    afternoon: bool,
    zone_sign: i64,
    zone_hours: i64,
    zone_minutes: i64,
}

struct Reader<'a> {
    rest: &'a str,
    fields: Fields,
    /// Letters are counted, as `FX` asks for.
    exact: bool,
    /// Blanks and separators that have been passed over beyond those of the template.
    passed: i64,
    /// The letter that was passed over last is a minus.
    minus: bool,
}

fn separates(letter: char) -> bool {
    letter.is_ascii_graphic() && !letter.is_ascii_alphanumeric()
}

/// Digits that the text has of a pattern, where the next pattern begins right behind them.
fn width(name: &str, pattern: Pattern) -> usize {
    match pattern {
        Pattern::IsoWeekday => 1,
        Pattern::Hour | Pattern::HourOfHalf | Pattern::ZoneHours | Pattern::ZoneMinutes => 2,
        Pattern::Millis | Pattern::DayOfIsoYear => 3,
        Pattern::Micros => 6,
        Pattern::Fraction(digits) => usize::from(digits),
        _ => name.len(),
    }
}

/// A whole number as C reads one, and how many bytes it takes; none if it is no number.
fn integer(text: &str) -> (i64, usize) {
    let blanks = text.len() - text.trim_start().len();
    let signed = text.get(blanks..).unwrap_or_default();
    let unsigned = signed.strip_prefix(['-', '+']).unwrap_or(signed);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return (0, 0);
    }
    let value = unsigned.get(..digits).and_then(|digits| digits.parse::<i64>().ok()).unwrap_or(i64::MAX);
    (if signed.starts_with('-') { -value } else { value }, blanks + (signed.len() - unsigned.len()) + digits)
}

/// Sets a field, which may be told twice but not otherwise.
fn set(field: &mut i64, value: i64) -> Result<()> {
    if *field != 0 && *field != value {
        let text = "conflicting values for a field in formatting string";
        return Err(fault(SqlState::INVALID_DATETIME_FORMAT, text));
    }
    *field = value;
    Ok(())
}

/// A year of fewer than four digits is near 2020.
fn near_2020(year: i64) -> i64 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        year => year,
    }
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while let Some(after) = self.rest.strip_prefix(|letter: char| letter.is_ascii_whitespace()) {
            self.rest = after;
            self.passed += 1;
            self.minus = false;
        }
    }

    fn letter(&mut self) {
        let mut letters = self.rest.chars();
        self.minus = letters.next() == Some('-');
        self.rest = letters.as_str();
    }

    fn piece(&mut self, piece: &Piece, next: Option<&Piece>, first: bool) -> Result<()> {
        if !self.exact && (first || matches!(piece, Piece::Pattern { .. })) && !matches!(piece, Piece::Exact) {
            self.blanks();
        }
        match piece {
            Piece::Exact => self.exact = true,
            Piece::Text(text) if text.chars().all(|letter| separates(letter) || letter.is_ascii_whitespace()) => self.separator(),
            Piece::Text(text) | Piece::Quoted(text) => text.chars().for_each(|_| self.other()),
            Piece::Pattern { name, pattern, fill, ordinal } => {
                let open = !*fill || ordinal.is_some() || !begins_with_digits(next);
                self.pattern(name, *pattern, open)?;
                if ordinal.is_some() {
                    self.letter();
                    self.letter();
                }
                if !self.exact {
                    self.passed = 0;
                    self.blanks();
                }
            }
        }
        Ok(())
    }

    /// A blank or separator of the template stands for one of the text, whichever, or for none.
    fn separator(&mut self) {
        if self.exact {
            return self.letter();
        }
        self.passed -= 1;
        if self.rest.starts_with(|letter: char| letter.is_ascii_whitespace() || separates(letter)) {
            self.letter();
            self.passed += 1;
        }
    }

    /// Another letter of the template stands for one of the text, whichever, unless more than enough have been passed over.
    fn other(&mut self) {
        if !self.exact && self.passed > 0 { self.passed -= 1 } else { self.letter() }
    }

    /// A number, and how many letters it takes: as many as there are, or as the pattern has.
    fn number(&mut self, width: usize, open: bool) -> Result<(i64, usize)> {
        self.rest = self.rest.trim_start();
        let cut = if open || self.rest.len() <= width { self.rest } else { self.rest.get(..width).unwrap_or_default() };
        if !open && self.rest.len() < width {
            return Err(invalid());
        }
        let (value, used) = integer(cut);
        if used == 0 || !open && used < width {
            return Err(invalid());
        }
        self.rest = self.rest.get(used..).unwrap_or_default();
        i32::try_from(value).map_err(|_| out_of_range())?;
        Ok((value, used))
    }

    /// The place of the name that the text begins with, in any letter case, or with three letters of it.
    fn among(&mut self, names: &[&str], short: bool) -> Result<usize> {
        let length = |name: &str| if short { 3 } else { name.len() };
        let begins = |name: &&str| {
            let length = length(name);
            self.rest.get(..length).is_some_and(|start| name.get(..length).is_some_and(|name| start.eq_ignore_ascii_case(name)))
        };
        let at = names.iter().position(begins).ok_or_else(invalid)?;
        let length = names.get(at).map_or(0, |name| length(name));
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(at)
    }

    fn convention(&mut self, pattern: Pattern) -> Result<()> {
        let iso = match pattern {
            Pattern::IsoYear(_) | Pattern::IsoWeek | Pattern::IsoWeekday | Pattern::DayOfIsoYear => true,
            Pattern::LongYear
            | Pattern::Year(_)
            | Pattern::Month(_)
            | Pattern::ShortMonth(_)
            | Pattern::MonthNumber
            | Pattern::Roman(_)
            | Pattern::DayOfMonth
            | Pattern::DayOfYear
            | Pattern::Weekday
            | Pattern::Week
            | Pattern::WeekOfMonth => false,
            _ => return Ok(()),
        };
        match self.fields.iso.replace(iso) {
            Some(known) if known != iso => {
                let message = super::function::message(SqlState::INVALID_DATETIME_FORMAT, "invalid combination of date conventions");
                let hint = "Do not mix Gregorian and ISO week date conventions in a formatting template.";
                Err(super::function::client(message.with_hint(hint)))
            }
            _ => Ok(()),
        }
    }

    fn pattern(&mut self, name: &str, pattern: Pattern, open: bool) -> Result<()> {
        self.convention(pattern)?;
        let width = width(name, pattern);
        match pattern {
            Pattern::LongYear => return self.long_year(),
            Pattern::Year(_) | Pattern::IsoYear(_) => return self.year(width, open),
            Pattern::ZoneHours | Pattern::ZoneMinutes => return self.zone(pattern, open),
            Pattern::IsoWeekday => {
                let (day, _) = self.number(width, open)?;
                return set(&mut self.fields.weekday, if day >= 7 { 1 } else { day + 1 });
            }
            Pattern::Millis | Pattern::Micros | Pattern::Fraction(_) => return self.fraction(pattern, width, open),
            Pattern::ZoneName { .. } | Pattern::Offset => {
                let text = format!("formatting field \"{name}\" is only supported in to_char");
                return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, &text));
            }
            pattern if !pattern.numeric() => return self.word(pattern),
            _ => {}
        }
        let (value, _) = self.number(width, open)?;
        let field = match pattern {
            Pattern::MonthNumber => &mut self.fields.month,
            Pattern::DayOfMonth => &mut self.fields.day,
            Pattern::DayOfYear | Pattern::DayOfIsoYear => &mut self.fields.day_of_year,
            Pattern::Weekday => &mut self.fields.weekday,
            Pattern::Week | Pattern::IsoWeek => &mut self.fields.week,
            Pattern::WeekOfMonth => &mut self.fields.week_of_month,
            Pattern::Century => &mut self.fields.century,
            Pattern::Julian => &mut self.fields.julian,
            Pattern::Hour => &mut self.fields.hour,
            Pattern::HourOfHalf => {
                self.fields.twelve_hours = true;
                &mut self.fields.hour
            }
            Pattern::Minute => &mut self.fields.minute,
            Pattern::Second => &mut self.fields.second,
            Pattern::SecondOfDay => &mut self.fields.second_of_day,
            // The month tells the quarter.
            _ => return Ok(()),
        };
        set(field, value)
    }

    fn long_year(&mut self) -> Result<()> {
        let (thousands, used) = integer(self.rest);
        let after = self.rest.get(used..).and_then(|rest| rest.strip_prefix(',')).filter(|_| used > 0).ok_or_else(invalid)?;
        let (years, digits) = integer(after.get(..after.len().min(3)).unwrap_or_default());
        if digits == 0 {
            return Err(invalid());
        }
        self.rest = after.get(digits..).unwrap_or_default();
        self.fields.year_digits = 4;
        set(&mut self.fields.year, thousands.saturating_mul(1000).saturating_add(years))
    }

    fn year(&mut self, digits: usize, open: bool) -> Result<()> {
        let (year, used) = self.number(digits, open)?;
        set(&mut self.fields.year, if digits < 4 && used < 4 { near_2020(year) } else { year })?;
        self.fields.year_digits = digits;
        Ok(())
    }

    fn fraction(&mut self, pattern: Pattern, width: usize, open: bool) -> Result<()> {
        let (value, used) = self.number(width, open)?;
        let millis = pattern == Pattern::Millis;
        let places = if millis { 3 } else { 6 };
        let unit = 10_i64.pow(u32::try_from(usize::saturating_sub(places, used)).unwrap_or(0));
        if let Pattern::Fraction(digits) = pattern {
            self.fields.fraction_digits = u32::from(digits);
        }
        let field = if millis { &mut self.fields.millis } else { &mut self.fields.micros };
        set(field, value.saturating_mul(unit))
    }

    /// Hours or minutes from UTC, of two digits. The sign may have been taken for a separator.
    fn zone(&mut self, pattern: Pattern, open: bool) -> Result<()> {
        if pattern == Pattern::ZoneMinutes {
            let (minutes, _) = self.number(2, open)?;
            self.fields.zone_sign = if self.fields.zone_sign == 0 { 1 } else { self.fields.zone_sign };
            return set(&mut self.fields.zone_minutes, minutes);
        }
        self.fields.zone_sign = match self.rest.chars().next() {
            Some(sign @ ('+' | '-' | ' ')) => {
                self.letter();
                if sign == '-' { -1 } else { 1 }
            }
            _ if self.passed > 0 && self.minus => -1,
            _ => 1,
        };
        let (hours, _) = self.number(2, open)?;
        set(&mut self.fields.zone_hours, hours)
    }

    fn word(&mut self, pattern: Pattern) -> Result<()> {
        const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
        const ROMAN: [&str; 12] = ["xii", "xi", "x", "ix", "viii", "vii", "vi", "v", "iv", "iii", "ii", "i"];
        let place = |at: usize| i64::try_from(at).unwrap_or(0);
        match pattern {
            Pattern::Month(_) | Pattern::ShortMonth(_) => {
                let at = self.among(&MONTHS, matches!(pattern, Pattern::ShortMonth(_)))?;
                set(&mut self.fields.month, place(at) + 1)
            }
            Pattern::Day(_) | Pattern::ShortDay(_) => {
                let at = self.among(&DAYS, matches!(pattern, Pattern::ShortDay(_)))?;
                set(&mut self.fields.weekday, place(at) + 1)
            }
            Pattern::Roman(_) => {
                let at = self.among(&ROMAN, false)?;
                set(&mut self.fields.month, 12 - place(at))
            }
            Pattern::Era { dotted, .. } => {
                let at = self.among(if dotted { &["a.d.", "b.c."] } else { &["ad", "bc"] }, false)?;
                self.fields.before_christ = at == 1;
                Ok(())
            }
            Pattern::Half { dotted, .. } => {
                let at = self.among(if dotted { &["a.m.", "p.m."] } else { &["am", "pm"] }, false)?;
                (self.fields.afternoon, self.fields.twelve_hours) = (at == 1, true);
                Ok(())
            }
            _ => Err(invalid()),
        }
    }
}

/// Whether a number stands right behind a pattern, so that only its width tells where it ends.
fn begins_with_digits(next: Option<&Piece>) -> bool {
    match next {
        Some(Piece::Pattern { pattern, .. }) => {
            pattern.numeric() && !matches!(pattern, Pattern::Fraction(_) | Pattern::ZoneHours | Pattern::Offset)
        }
        Some(Piece::Text(text) | Piece::Quoted(text)) => text.starts_with(|letter: char| letter.is_ascii_digit()),
        Some(Piece::Exact) | None => false,
    }
}
