//! Dates and times as people write them, in the one form that is read: `Jan 2, 2026 3:04 PM` is `2026-01-02 15:04:00`.
//!
//! INVARIANT: a text that is understood here means what PostgreSQL takes it for; `None` leaves it to be refused.

use chrono::{Datelike, Days, NaiveDate};

use crate::engine::moment;
use crate::engine::styles::DateOrder;

use super::Facts;
use super::temporal;

const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Abbreviations of zones that PostgreSQL knows by default and that are no names of the IANA database, in hours from UTC.
const ZONES: [(&str, &str); 22] = [
    ("utc", "+00"),
    ("gmt", "+00"),
    ("ut", "+00"),
    ("z", "+00"),
    ("zulu", "+00"),
    ("wet", "+00"),
    ("west", "+01"),
    ("bst", "+01"),
    ("cet", "+01"),
    ("cest", "+02"),
    ("eet", "+02"),
    ("eest", "+03"),
    ("msk", "+03"),
    ("jst", "+09"),
    ("est", "-05"),
    ("edt", "-04"),
    ("cst", "-06"),
    ("cdt", "-05"),
    ("mst", "-07"),
    ("mdt", "-06"),
    ("pst", "-08"),
    ("pdt", "-07"),
];

/// What has been read of a text.
#[derive(Default)]
struct Read {
    date: Option<NaiveDate>,
    numbers: Vec<String>,
    month: Option<u32>,
    time: Option<String>,
    zone: Option<String>,
    afternoon: Option<bool>,
    before_christ: bool,
}

/// The text in the form `2026-01-02 15:04:05 +01`.
pub(in crate::engine) fn normalized(text: &str, facts: Facts) -> Option<String> {
    if text.len() > 100 {
        return None;
    }
    let mut read = Read::default();
    let words: Vec<String> = text.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    for word in &words {
        read.word(word, facts)?;
    }
    read.written(facts.date_order)
}

fn month(word: &str) -> Option<u32> {
    let at = MONTHS.iter().position(|name| *name == word || name.get(..3) == Some(word));
    at.or((word == "sept").then_some(8)).and_then(|at| u32::try_from(at + 1).ok())
}

/// `2026.002` is the second day of a year.
fn day_of_year(word: &str) -> Option<NaiveDate> {
    let (year, day) = word.split_once('.').filter(|(year, day)| year.len() == 4 && day.len() == 3)?;
    NaiveDate::from_yo_opt(year.parse().ok()?, day.parse().ok()?)
}

/// `j2451187`
fn julian_day(word: &str) -> Option<NaiveDate> {
    let days: i32 = word.strip_prefix('j')?.parse().ok()?;
    NaiveDate::from_num_days_from_ce_opt(days.checked_sub(1_721_425)?)
}

fn day_of_week(word: &str) -> bool {
    DAYS.iter().any(|name| *name == word || name.get(..3) == Some(word)) || matches!(word, "tues" | "weds" | "thur" | "thurs")
}

/// A zone, in lower case, as it is read behind a time.
pub(super) fn zone(word: &str) -> Option<String> {
    if let Some((_, offset)) = ZONES.iter().find(|(name, _)| *name == word) {
        return Some((*offset).to_owned());
    }
    crate::engine::TimeZone::parse(word).map(|_| word.to_owned())
}

impl Read {
    fn word(&mut self, word: &str, facts: Facts) -> Option<()> {
        let word = if word == "now()" { "now" } else { word };
        let letters = word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        if letters {
            return self.letters(word, facts);
        }
        if digits {
            return self.digits(word);
        }
        // `040506+08` behind a date
        if let Some((time, zone)) = word.split_at_checked(6).filter(|(_, zone)| zone.starts_with(['+', '-']) && self.date.is_some())
            && time.bytes().all(|byte| byte.is_ascii_digit())
        {
            self.compact_time(time)?;
            return self.zoned(zone);
        }
        if word.contains(':') && !word.starts_with(['+', '-']) {
            return match word.split_once('t').filter(|(date, _)| !date.is_empty()) {
                Some((date, time)) if date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
                    self.word(date, facts)?;
                    self.clock(time)
                }
                _ => self.clock(word),
            };
        }
        // `2026-01-02z`
        if let Some(date) = word.strip_suffix('z').filter(|date| date.ends_with(|letter: char| letter.is_ascii_digit())) {
            self.word(date, facts)?;
            return self.zoned("z");
        }
        // `20260102t030405`
        if let Some((date, time)) = word.split_once('t')
            && date.len() == 8
            && date.bytes().chain(time.bytes()).all(|byte| byte.is_ascii_digit())
        {
            self.digits(date)?;
            return self.compact_time(time);
        }
        if let Some(date) = day_of_year(word).or_else(|| julian_day(word)).filter(|_| self.date.is_none()) {
            self.date = Some(date);
            return Some(());
        }
        if word.starts_with(['+', '-']) || word.contains('/') && word.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            return self.zoned(word);
        }
        self.joined(word)
    }

    fn letters(&mut self, word: &str, facts: Facts) -> Option<()> {
        if let Some(month) = month(word) {
            return self.month.replace(month).is_none().then_some(());
        }
        match word {
            "am" | "pm" => return self.afternoon.replace(word == "pm").is_none().then_some(()),
            "bc" => self.before_christ = true,
            "ad" | "at" | "on" => {}
            "today" | "now" | "yesterday" | "tomorrow" => {
                moment::meet();
                let local = temporal::moment(temporal::local_micros(facts.now.timestamp_micros(), &facts.time_zone)).ok()?;
                let today = local.date();
                let date = match word {
                    "yesterday" => today.checked_sub_days(Days::new(1))?,
                    "tomorrow" => today.checked_add_days(Days::new(1))?,
                    _ => today,
                };
                if word == "now" {
                    self.time = Some(local.format("%H:%M:%S%.6f").to_string());
                }
                return self.date.replace(date).is_none().then_some(());
            }
            "allballs" => self.time = Some("00:00:00".to_owned()),
            word if day_of_week(word) => {}
            word => return self.zoned(word),
        }
        Some(())
    }

    fn zoned(&mut self, word: &str) -> Option<()> {
        self.zone.replace(zone(word)?).is_none().then_some(())
    }

    fn digits(&mut self, word: &str) -> Option<()> {
        if word.len() == 8 && self.date.is_none() && self.numbers.is_empty() && self.month.is_none() {
            let date = NaiveDate::from_ymd_opt(word.get(..4)?.parse().ok()?, word.get(4..6)?.parse().ok()?, word.get(6..)?.parse().ok()?)?;
            self.date = Some(date);
            return Some(());
        }
        if word.len() == 6 && self.date.is_some() && self.time.is_none() {
            return self.compact_time(word);
        }
        // `990108`
        if word.len() == 6 && self.date.is_none() && self.numbers.is_empty() && self.month.is_none() {
            let [year, month, day] = [word.get(..2)?, word.get(2..4)?, word.get(4..)?];
            let year: i32 = year.parse().ok()?;
            let year = if year < 70 { year + 2000 } else { year + 1900 };
            self.date = NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?);
            return self.date.map(|_| ());
        }
        self.numbers.push(word.to_owned());
        (self.numbers.len() <= 3 && word.len() <= 6).then_some(())
    }

    /// `030405`
    fn compact_time(&mut self, word: &str) -> Option<()> {
        if word.len() != 6 {
            return None;
        }
        let time = format!("{}:{}:{}", word.get(..2)?, word.get(2..4)?, word.get(4..)?);
        self.time.replace(time).is_none().then_some(())
    }

    /// `3:04:05.6pm`, `03:04+02`, `03:04z`
    fn clock(&mut self, word: &str) -> Option<()> {
        let end = word.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, ':' | '.')).unwrap_or(word.len());
        let (time, rest) = word.split_at(end);
        match rest {
            "" => {}
            "am" | "pm" => self.afternoon = Some(rest == "pm"),
            zone => self.zoned(zone)?,
        }
        self.time.replace(time.to_owned()).is_none().then_some(())
    }

    /// `2-jan-2026`, `1/2/2026`, `12.03.2026`
    fn joined(&mut self, word: &str) -> Option<()> {
        let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
        if parts.len() != 3 || !self.numbers.is_empty() || self.date.is_some() {
            return None;
        }
        // A month by its name stands before or between the numbers.
        let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if matches!(parts.as_slice(), [one, two, last] if number(one) && number(two) && !number(last)) {
            return None;
        }
        for part in parts {
            if number(part) && !part.is_empty() && part.len() <= 6 {
                self.numbers.push(part.to_owned());
            } else if self.month.replace(month(part)?).is_some() {
                return None;
            }
        }
        Some(())
    }

    fn written(self, order: DateOrder) -> Option<String> {
        let date = match (self.date, self.numbers.is_empty() && self.month.is_none()) {
            (Some(date), true) => Some(date),
            (None, true) => None,
            (None, false) => Some(self.of_fields(order)?),
            (Some(_), false) => return None,
        };
        let time = match (&self.time, self.afternoon) {
            (Some(time), None) => Some(time.clone()),
            (Some(time), Some(afternoon)) => Some(of_twelve(time, afternoon)?),
            (None, Some(_)) => return None,
            (None, None) => None,
        };
        let date = date.map(|date| format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()));
        let era = self.before_christ.then(|| "BC".to_owned());
        // A zone stands behind a time.
        let time = if self.zone.is_some() { Some(time.unwrap_or_else(|| "00:00:00".to_owned())) } else { time };
        let parts: Vec<String> = [date, time, self.zone, era].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    fn of_fields(&self, order: DateOrder) -> Option<NaiveDate> {
        let long = |text: &&String| text.len() > 2;
        let (year, month, day) = match (self.numbers.as_slice(), self.month) {
            ([one, other], Some(month)) if long(&one) => (one, month, other),
            ([one, other], Some(month)) if !long(&other) && order == DateOrder::Ymd => (one, month, other),
            ([one, other], Some(month)) => (other, month, one),
            ([one, two, three], None) => match order {
                _ if long(&one) => (one, two.parse().ok()?, three),
                DateOrder::Mdy => (three, one.parse().ok()?, two),
                DateOrder::Dmy => (three, two.parse().ok()?, one),
                DateOrder::Ymd => (one, two.parse().ok()?, three),
            },
            _ => return None,
        };
        let number: i32 = year.parse().ok()?;
        let year = match number {
            0..70 if !long(&year) && !self.before_christ => number + 2000,
            70..100 if !long(&year) && !self.before_christ => number + 1900,
            number => number,
        };
        // The year stands for itself; what is before Christ is said again by whoever reads it.
        NaiveDate::from_ymd_opt(year, month, day.parse().ok()?).filter(|_| year > 0)
    }
}

/// A time of a clock of twelve hours.
fn of_twelve(time: &str, afternoon: bool) -> Option<String> {
    let (hour, rest) = time.split_once(':').unwrap_or((time, "00"));
    let hour: u32 = hour.parse().ok().filter(|hour| (0..=12).contains(hour))?;
    let hour = match (hour, afternoon) {
        (12, false) => 0,
        (12, true) => 12,
        (hour, true) => hour + 12,
        (hour, false) => hour,
    };
    Some(format!("{hour:02}:{rest}"))
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone as _, Utc};

    use super::*;

    fn of(text: &str, date_order: DateOrder) -> Option<String> {
        let now = Utc.with_ymd_and_hms(2026, 5, 17, 23, 30, 0).unwrap();
        let time_zone = crate::engine::TimeZone::parse("+02").unwrap();
        normalized(text, Facts { now, time_zone, date_order, ..Facts::plain() })
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        for text in ["Jan 2, 2026", "2 January 2026", "2-Jan-2026", "Fri Jan 2 2026", "20260102", "1/2/2026", "Jan-02-2026", "1/2/26"] {
            assert_eq!(of(text, DateOrder::Mdy).as_deref(), Some("2026-01-02"), "{text}");
        }
        assert_eq!(of("02.03.2026", DateOrder::Dmy).as_deref(), Some("2026-03-02"));
        assert_eq!(of("26/03/02", DateOrder::Ymd).as_deref(), Some("2026-03-02"));
        for text in ["J2461043", "2026.002", "260102"] {
            assert_eq!(of(text, DateOrder::Mdy).as_deref(), Some("2026-01-02"), "{text}");
        }
        for text in ["Jan", "2026", "13/13/2026", "30 Feb 2026", "Jan Feb 2026", "secret", "1/2", "a-b-c", "2026-02-Jan"] {
            assert_eq!(of(text, DateOrder::Mdy), None, "{text}");
        }
    }

    #[test]
    fn times_and_zones_stand_behind_them() {
        assert_eq!(of("January 8, 99 BC", DateOrder::Mdy).as_deref(), Some("0099-01-08 BC"));
        assert_eq!(of("Jan 2 2026 3:04 PM", DateOrder::Mdy).as_deref(), Some("2026-01-02 15:04"));
        assert_eq!(of("2026-01-02 12:30:05am PST", DateOrder::Mdy).as_deref(), Some("2026-01-02 00:30:05 -08"));
        assert_eq!(of("20260102 030405+02", DateOrder::Mdy).as_deref(), Some("2026-01-02 03:04:05 +02"));
        assert_eq!(of("20260102T030405", DateOrder::Mdy).as_deref(), Some("2026-01-02 03:04:05"));
        assert_eq!(of("2026-01-02 03:04 Europe/Paris", DateOrder::Mdy).as_deref(), Some("2026-01-02 03:04 europe/paris"));
        assert_eq!(of("2026-01-02Z", DateOrder::Mdy).as_deref(), Some("2026-01-02 00:00:00 +00"));
        assert_eq!(of("tomorrow", DateOrder::Mdy).as_deref(), Some("2026-05-19"));
        assert_eq!(of("now", DateOrder::Mdy).as_deref(), Some("2026-05-18 01:30:00.000000"));
    }
}
