//! Texts read by templates: to_date(), to_timestamp().

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use datafusion::error::DataFusionError;

use crate::error::SqlState;

use super::format::{MONTHS, Piece, numeric_pattern, pieces, unsupported};
use super::function::{Result, fault};

pub(super) fn invalid() -> DataFusionError {
    fault(SqlState::INVALID_DATETIME_FORMAT, "a text does not fit its template")
}

fn out_of_range() -> DataFusionError {
    fault(SqlState::DATETIME_FIELD_OVERFLOW, "date/time field value out of range")
}

/// The moment that a text tells by a template. What it does not tell is the first of its kind; the year is the last before Christ.
pub(super) fn read(text: &str, template: &str) -> Result<NaiveDateTime> {
    let mut found = Found::default();
    let mut rest = text.trim_start();
    let pieces = pieces(template)?;
    for (at, piece) in pieces.iter().enumerate() {
        // What the text does not reach is as it was.
        if rest.is_empty() {
            break;
        }
        match piece {
            Piece::Text(part) => {
                let lone = part.chars().next().is_some_and(char::is_alphanumeric);
                rest = match rest.strip_prefix(part.as_str()) {
                    Some(after) => after,
                    None if lone => return Err(invalid()),
                    None => rest.strip_prefix(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest),
                };
            }
            Piece::Pattern { name, ordinal, .. } => {
                rest = rest.trim_start();
                // Digits end where others begin, and else where they end.
                let tight = matches!(pieces.get(at + 1), Some(Piece::Pattern { name, .. }) if numeric_pattern(name));
                found.take(name, &mut rest, tight)?;
                if ordinal.is_some() {
                    rest = rest.get(2..).unwrap_or_default();
                }
            }
        }
    }
    Ok(found.date()?.and_time(found.time()?))
}

/// What a text has told.
#[derive(Debug, Default)]
struct Found {
    year: Option<i32>,
    before_christ: bool,
    month: Option<u32>,
    day: Option<u32>,
    of_year: Option<u32>,
    week: Option<u32>,
    of_month: Option<u32>,
    iso_year: Option<i32>,
    iso_week: Option<u32>,
    iso_day: Option<u32>,
    julian: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    micro: u32,
    of_day: Option<u32>,
    afternoon: Option<bool>,
}

impl Found {
    /// Takes what a pattern stands for off the text.
    fn take(&mut self, pattern: &str, rest: &mut &str, tight: bool) -> Result<()> {
        let mut digits = |most: usize| number_at(rest, if tight { most } else { 9 });
        match pattern {
            "Y,YYY" => {
                let thousands = digits(9)?;
                *rest = rest.strip_prefix(',').ok_or_else(invalid)?;
                self.year = Some(signed(thousands * 1000 + number_at(rest, 3)?)?);
            }
            "YYYY" => self.year = Some(signed(digits(4)?)?),
            "YYY" | "YY" | "Y" => self.year = Some(whole_year(rest, if tight { pattern.len() } else { 9 })?),
            "IYYY" => self.iso_year = Some(signed(digits(4)?)?),
            "IYY" | "IY" | "I" => self.iso_year = Some(whole_year(rest, if tight { pattern.len() } else { 9 })?),
            "MM" => self.month = Some(digits(2)?),
            "DD" => self.day = Some(digits(2)?),
            "DDD" => self.of_year = Some(digits(3)?),
            "WW" => self.week = Some(digits(2)?),
            "W" => self.of_month = Some(digits(1)?),
            "IW" => self.iso_week = Some(digits(2)?),
            "ID" => self.iso_day = Some(digits(1)?),
            "J" => self.julian = Some(digits(7)?),
            // The day and the month tell these.
            "Q" | "D" => _ = digits(1)?,
            "DAY" | "Day" | "day" | "DY" | "Dy" | "dy" => *rest = rest.trim_start_matches(char::is_alphabetic),
            "MONTH" | "Month" | "month" => self.month = Some(month_at(rest, false)?),
            "MON" | "Mon" | "mon" => self.month = Some(month_at(rest, true)?),
            "BC" | "AD" | "bc" | "ad" | "B.C." | "A.D." => self.before_christ = word_at(rest, pattern.len())?.starts_with('b'),
            other => return self.take_time(other, rest, tight),
        }
        Ok(())
    }

    fn take_time(&mut self, pattern: &str, rest: &mut &str, tight: bool) -> Result<()> {
        let mut digits = |most: usize| number_at(rest, if tight { most } else { 9 });
        match pattern {
            "HH24" => self.hour = digits(2)?,
            "HH12" | "HH" => {
                self.hour = digits(2)?;
                if !(1..=12).contains(&self.hour) {
                    return Err(fault(SqlState::INVALID_DATETIME_FORMAT, "an hour is invalid for the 12-hour clock"));
                }
            }
            "MI" => self.minute = digits(2)?,
            "SS" => self.second = digits(2)?,
            "SSSS" | "SSSSS" => self.of_day = Some(digits(5)?),
            "MS" | "FF3" => self.micro = fraction_at(rest, 3)?,
            "US" | "FF6" => self.micro = fraction_at(rest, 6)?,
            "FF1" => self.micro = fraction_at(rest, 1)?,
            "FF2" => self.micro = fraction_at(rest, 2)?,
            "FF4" => self.micro = fraction_at(rest, 4)?,
            "FF5" => self.micro = fraction_at(rest, 5)?,
            "AM" | "PM" | "am" | "pm" | "A.M." | "P.M." | "a.m." | "p.m." => {
                self.afternoon = Some(match word_at(rest, pattern.len())?.as_str() {
                    "pm" | "p.m." => true,
                    "am" | "a.m." => false,
                    _ => return Err(invalid()),
                });
            }
            other => return Err(unsupported(other)),
        }
        Ok(())
    }

    fn date(&self) -> Result<NaiveDate> {
        if let Some(julian) = self.julian {
            let days = i32::try_from(julian).ok().and_then(|days| days.checked_sub(JULIAN_OF_CHRIST));
            return days.and_then(NaiveDate::from_num_days_from_ce_opt).ok_or_else(out_of_range);
        }
        if self.iso_year.is_some() || self.iso_week.is_some() || self.iso_day.is_some() {
            let day = Weekday::try_from(u8::try_from(self.iso_day.unwrap_or(1).wrapping_sub(1)).unwrap_or(u8::MAX));
            let (year, week) = (self.iso_year.or(self.year).unwrap_or(0), self.iso_week.unwrap_or(1));
            return day.ok().and_then(|day| NaiveDate::from_isoywd_opt(year, week, day)).ok_or_else(out_of_range);
        }
        let year = self.year.unwrap_or(0);
        // There is no year 0: the one before 1 is 1 before Christ.
        let year = if self.before_christ { 1 - year } else { year };
        let of_year = self.of_year.or(self.week.map(|week| week.saturating_sub(1).saturating_mul(7).saturating_add(1)));
        if let Some(of_year) = of_year {
            let first = NaiveDate::from_ymd_opt(year, 1, 1).ok_or_else(out_of_range)?;
            let most = if first.leap_year() { 366 } else { 365 };
            let ahead = Some(of_year).filter(|day| (1..=most).contains(day)).ok_or_else(out_of_range)? - 1;
            return first.checked_add_days(Days::new(u64::from(ahead))).ok_or_else(out_of_range);
        }
        let of_month = self.of_month.map(|week| week.saturating_sub(1).saturating_mul(7).saturating_add(1));
        NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.or(of_month).unwrap_or(1)).ok_or_else(out_of_range)
    }

    fn time(&self) -> Result<NaiveTime> {
        let hour = match self.afternoon {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let time = match self.of_day {
            Some(seconds) => NaiveTime::from_num_seconds_from_midnight_opt(seconds, self.micro * 1000),
            None => NaiveTime::from_hms_micro_opt(hour, self.minute, self.second, self.micro),
        };
        time.ok_or_else(out_of_range)
    }
}

/// Days from the first of Julian to the last before Christ.
const JULIAN_OF_CHRIST: i32 = 1_721_425;

fn signed(number: u32) -> Result<i32> {
    i32::try_from(number).map_err(|_| invalid())
}

/// A year of fewer than four digits is near 2020.
fn whole_year(rest: &mut &str, most: usize) -> Result<i32> {
    let before = rest.len();
    let year = signed(number_at(rest, most)?)?;
    Ok(match year {
        year if before - rest.len() >= 4 => year,
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        100..=519 => year + 2000,
        520..=999 => year + 1000,
        year => year,
    })
}

/// So many letters, in lower case.
fn word_at(rest: &mut &str, letters: usize) -> Result<String> {
    let (word, after) = rest.split_at_checked(letters).ok_or_else(invalid)?;
    *rest = after;
    Ok(word.to_ascii_lowercase())
}

fn number_at(rest: &mut &str, most: usize) -> Result<u32> {
    let end = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(end);
    *rest = after;
    digits.parse().map_err(|_| invalid())
}

fn fraction_at(rest: &mut &str, places: usize) -> Result<u32> {
    let end = rest.bytes().take(places).take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(end);
    *rest = after;
    format!("{digits:0<6}").parse().map_err(|_| invalid())
}

fn month_at(rest: &mut &str, short: bool) -> Result<u32> {
    let lower = rest.to_ascii_lowercase();
    for (number, name) in (1..).zip(MONTHS) {
        let name = name.to_ascii_lowercase();
        let name = if short { name.get(..3).unwrap_or_default() } else { &name };
        if lower.starts_with(name) {
            *rest = rest.get(name.len()..).unwrap_or_default();
            return Ok(number);
        }
    }
    Err(invalid())
}

#[cfg(test)]
mod tests {
    use chrono::Datelike as _;

    use super::*;

    #[test]
    fn texts_are_read_by_their_template() {
        for (text, template) in [
            ("17.05.2026", "DD.MM.YYYY"),
            ("20260517", "YYYYMMDD"),
            ("May 17, 2026", "Mon DD, YYYY"),
            ("2026-W20-7", "IYYY-\"W\"IW-ID"),
            ("17th May 26", "DDth Mon YY"),
            ("2026 137", "YYYY DDD"),
            ("2461178", "J"),
            ("2,026-05-17", "Y,YYY-MM-DD"),
        ] {
            assert_eq!(read(text, template).unwrap().date(), NaiveDate::from_ymd_opt(2026, 5, 17).unwrap(), "{template}");
        }
        assert!(read("2026-13-01", "YYYY-MM-DD").is_err() && read("2026-366", "YYYY-DDD").is_err());
        assert_eq!(read("01:30 p.m.", "HH12:MI a.m.").unwrap().to_string(), "0000-01-01 13:30:00");
        assert_eq!(read("44 BC", "YYYY BC").unwrap().year(), -43);
    }
}
