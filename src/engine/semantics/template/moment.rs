//! The moment that the fields of a text make.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime};

use crate::error::SqlState;

use super::super::function::{Result, client, message};
use super::{Fields, invalid, out_of_range};

/// A moment by a clock, and how far that is from UTC, if the text has told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Moment {
    pub(in super::super) local: NaiveDateTime,
    /// Seconds to the east.
    pub(in super::super) offset: Option<i64>,
    /// Digits of seconds that are kept, of which none are known if it is zero.
    pub(in super::super) fraction_digits: u32,
}

/// Days of the Julian calendar's count before the first of chrono's.
const JULIAN_OF_CHRIST: i64 = 1_721_425;

/// Year, month and day; a year before Christ is 0 or below.
#[derive(Debug, Clone, Copy)]
struct Day {
    year: i64,
    month: i64,
    day: i64,
}

impl Day {
    fn of_julian(julian: i64) -> Result<Self> {
        let days = i32::try_from(julian - JULIAN_OF_CHRIST).ok();
        let date = days.and_then(NaiveDate::from_num_days_from_ce_opt).ok_or_else(out_of_range)?;
        Ok(Self { year: i64::from(date.year()), month: i64::from(date.month()), day: i64::from(date.day()) })
    }

    fn date(self) -> Option<NaiveDate> {
        NaiveDate::from_ymd_opt(i32::try_from(self.year).ok()?, u32::try_from(self.month).ok()?, u32::try_from(self.day).ok()?)
    }
}

/// The day on which a week of a year of ISO 8601 begins.
fn monday(year: i64, week: i64) -> Result<i64> {
    let fourth = Day { year, month: 1, day: 4 }.date().ok_or_else(out_of_range)?;
    let since = i64::from(fourth.weekday().num_days_from_monday());
    Ok(i64::from(fourth.num_days_from_ce()) + JULIAN_OF_CHRIST - since + week.saturating_sub(1).saturating_mul(7))
}

impl Fields {
    pub(super) fn moment(mut self) -> Result<Moment> {
        let time = self.time()?;
        let day = self.day()?;
        let offset = match self.zone_sign {
            0 => None,
            sign if (0..=15).contains(&self.zone_hours) && (0..60).contains(&self.zone_minutes) => {
                Some(sign * (self.zone_hours * 3600 + self.zone_minutes * 60))
            }
            _ => return Err(out_of_range()),
        };
        let local = day.date().ok_or_else(out_of_range)?.and_time(time);
        Ok(Moment { local, offset, fraction_digits: self.fraction_digits })
    }

    fn time(&mut self) -> Result<NaiveTime> {
        let of_day = |unit: i64, own: i64, full: i64| if own != 0 { own } else { self.second_of_day / unit % full };
        let (mut hour, minute) = (of_day(3600, self.hour, i64::MAX), of_day(60, self.minute, 60));
        let second = of_day(1, self.second, 60);
        if self.twelve_hours {
            if !(1..=12).contains(&hour) {
                let message = message(SqlState::INVALID_DATETIME_FORMAT, "hour is invalid for the 12-hour clock");
                return Err(client(message.with_hint("Use the 24-hour clock, or give an hour between 1 and 12.")));
            }
            hour = hour % 12 + if self.afternoon { 12 } else { 0 };
        }
        let micros = self.millis.saturating_mul(1000).saturating_add(self.micros);
        let unsigned = |number: i64| u32::try_from(number).map_err(|_| out_of_range());
        let time = NaiveTime::from_hms_micro_opt(unsigned(hour)?, unsigned(minute)?, unsigned(second)?, unsigned(micros)?);
        time.filter(|_| micros < 1_000_000).ok_or_else(out_of_range)
    }

    /// The year of the fields, which may be that of a century.
    fn whole_year(&self) -> i64 {
        let century = if self.before_christ { -self.century } else { self.century };
        match (self.year, self.century) {
            (0, 0) => 0,
            (0, _) if century >= 0 => (century - 1) * 100 + 1,
            (0, _) => century * 100 + 1,
            (year, 1..) if self.year_digits <= 2 => match year % 100 {
                0 => century * 100 + i64::from(century < 0),
                rest if century >= 0 => rest + (century - 1) * 100,
                rest => (century + 1) * 100 - rest + 1,
            },
            (year, _) => {
                let year = if self.before_christ { -year } else { year };
                if year < 0 { year + 1 } else { year }
            }
        }
    }

    fn day(&mut self) -> Result<Day> {
        let mut day = Day { year: self.whole_year(), month: 1, day: 1 };
        if self.julian != 0 {
            day = Day::of_julian(self.julian)?;
        }
        if self.week != 0 && self.iso == Some(true) {
            let ahead = match self.weekday {
                0 => 0,
                1 => 6,
                weekday => weekday - 2,
            };
            day = Day::of_julian(monday(day.year, self.week)? + ahead)?;
        } else if self.week != 0 {
            self.day_of_year = (self.week - 1) * 7 + 1;
        }
        if self.week_of_month != 0 {
            self.day = (self.week_of_month - 1) * 7 + 1;
        }
        if self.day != 0 {
            day.day = self.day;
        }
        if self.month != 0 {
            day.month = self.month;
        }
        if self.day_of_year != 0 && (day.month <= 1 || day.day <= 1) {
            day = self.of_year(day)?;
        }
        Ok(day)
    }

    /// By the day of the year.
    fn of_year(&self, known: Day) -> Result<Day> {
        if known.year == 0 && !self.before_christ {
            return Err(invalid());
        }
        if self.iso == Some(true) {
            return Day::of_julian(monday(known.year, 1)? - 1 + self.day_of_year);
        }
        let first = Day { year: known.year, month: 1, day: 1 }.date().ok_or_else(out_of_range)?;
        let most = if first.leap_year() { 366 } else { 365 };
        if !(1..=most).contains(&self.day_of_year) {
            return Err(out_of_range());
        }
        let found = Day::of_julian(i64::from(first.num_days_from_ce()) + JULIAN_OF_CHRIST + self.day_of_year - 1)?;
        let month = if known.month <= 1 { found.month } else { known.month };
        Ok(Day { year: known.year, month, day: if known.day <= 1 { found.day } else { known.day } })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pieces::pieces;
    use super::*;

    fn read(text: &str, template: &str) -> Result<Moment> {
        super::super::read(text, &pieces(template).unwrap())
    }

    fn shown(text: &str, template: &str) -> String {
        read(text, template).map_or_else(|fault| fault.to_string(), |moment| moment.local.to_string())
    }

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
            ("17 V 2026", "DD RM YYYY"),
            ("21 26/05/17", "CC YY/MM/DD"),
            ("2026 /  5/ 17", "YYYY/MM/DD"),
        ] {
            assert_eq!(shown(text, template), "2026-05-17 00:00:00", "{template}");
        }
        assert_eq!(shown("01:30 p.m.", "HH12:MI a.m."), "0000-01-01 13:30:00");
        assert_eq!(shown("44 BC", "YYYY BC"), "-0043-01-01 00:00:00");
        assert_eq!(shown("-44-02-01", "YYYY-MM-DD"), "-0043-02-01 00:00:00");
        assert_eq!(shown("1996-1-3", "YYYY-MM-W"), "1996-01-15 00:00:00");
        assert_eq!(
            shown("15 \"text between quote marks\" 98 54 45", "HH24 \"\\\"text between quote marks\\\"\" YY MI SS"),
            "1998-01-01 15:54:45"
        );
    }

    #[test]
    fn zones_and_fractions_are_told() {
        let zoned = read("2011-12-18 11:38 -05:20", "YYYY-MM-DD HH24:MI TZH:TZM").unwrap();
        assert_eq!(zoned.offset, Some(-(5 * 3600 + 20 * 60)));
        let precise = read("12:34:56.123456", "HH24:MI:SS.FF4").unwrap();
        assert_eq!((precise.local.to_string().as_str(), precise.fraction_digits), ("0000-01-01 12:34:56.123456", 4));
    }

    #[test]
    fn what_does_not_fit_is_refused_without_its_text() {
        for (text, template) in [
            ("2026-13-01", "YYYY-MM-DD"),
            ("2026-366", "YYYY-DDD"),
            ("19971", "YYYYMMDD"),
            ("19971)24", "YYYYMMDD"),
            ("2005526", "IYYYMMDD"),
            ("1997-11-Jan-16", "YYYY-MM-Mon-DD"),
            ("2001-01-01 0:00 PM", "YYYY-MM-DD HH12:MI PM"),
            ("secret", "YYYY"),
            ("99999999999", "YYYY"),
        ] {
            let fault = read(text, template).unwrap_err().to_string();
            assert!(!fault.contains(text), "{fault}");
        }
    }
}
