//! The session's time zone.

use chrono::offset::LocalResult;
use chrono::{Days, FixedOffset, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::OffsetName as _;

/// The furthest that a zone may be from UTC, in seconds.
const OFFSET_MAX: i32 = 16 * 3600;

/// A time zone by its name, or a fixed distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeZone {
    /// A zone of the IANA database.
    Named(chrono_tz::Tz),
    /// Seconds east of UTC.
    Fixed(FixedOffset),
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::Named(chrono_tz::Tz::UTC)
    }
}

impl TimeZone {
    /// Reads an IANA name in any letter case, `Z`, or `±HH[[:]MM[[:]SS]]`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("zulu") {
            return Some(Self::default());
        }
        if text.starts_with(['+', '-']) {
            return parse_offset(text).map(Self::Fixed);
        }
        named(text).map(Self::Named)
    }

    /// Seconds east of UTC at that moment of UTC.
    pub fn offset_at(&self, utc: &NaiveDateTime) -> i32 {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(utc).fix().local_minus_utc(),
            Self::Fixed(offset) => offset.local_minus_utc(),
        }
    }

    /// What the zone is called at that moment of UTC: `CET`, or `+05:30` where it has no name.
    pub fn abbreviation_at(&self, utc: &NaiveDateTime) -> String {
        match self {
            Self::Named(zone) => {
                let offset = zone.offset_from_utc_datetime(utc);
                offset.abbreviation().map_or_else(|| offset.fix().to_string(), str::to_owned)
            }
            Self::Fixed(offset) => {
                let shown = offset.to_string();
                shown.strip_suffix(":00").unwrap_or(&shown).to_owned()
            }
        }
    }

    /// Seconds east of UTC at that local time. A time that a clock shows twice is the later one; a time that it skips is read with
    /// the distance from before the change.
    pub fn offset_of_local(&self, local: &NaiveDateTime) -> i32 {
        let zone = match self {
            Self::Named(zone) => zone,
            Self::Fixed(offset) => return offset.local_minus_utc(),
        };
        match zone.offset_from_local_datetime(local) {
            LocalResult::Single(offset) | LocalResult::Ambiguous(_, offset) => offset.fix().local_minus_utc(),
            LocalResult::None => self.offset_at(&local.checked_sub_days(Days::new(1)).unwrap_or(*local)),
        }
    }
}

/// The zone of that name in any letter case. The usual spelling is looked up, for each statement asks; others are searched for.
fn named(text: &str) -> Option<chrono_tz::Tz> {
    text.parse().ok().or_else(|| chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)).copied())
}

/// The form in which `SHOW timezone` gives back what `SET` took: a name of the IANA database, or a zone in the form of POSIX.
///
/// A number counts hours to the east; in the form of POSIX (`UTC+3`, `<+03>-03`, `+05:30`) the distance counts to the west.
pub(super) fn canonical(text: &str) -> Option<String> {
    if text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("zulu") || text.eq_ignore_ascii_case("utc") {
        return Some("UTC".to_owned());
    }
    if let Ok(hours) = text.parse::<f64>() {
        return to_the_east(hours);
    }
    if let Some(zone) = named(text) {
        return Some(zone.name().to_owned());
    }
    posix_offset(text).map(|_| text.to_owned())
}

/// `<+05:30>-05:30` for 5.5 hours.
fn to_the_east(hours: f64) -> Option<String> {
    let seconds = (hours * 3600.0).round();
    if seconds.abs() > f64::from(OFFSET_MAX) {
        return None;
    }
    let seconds: i32 = format!("{seconds:.0}").parse().ok()?;
    Some(format!("<{}>{}", short_offset(seconds), short_offset(-seconds)))
}

/// `+05`, `+05:30`
fn short_offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes, seconds) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    match (minutes, seconds) {
        (0, 0) => format!("{sign}{hours:02}"),
        (_, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// What a canonical form means: the name, or the distance to the east.
pub(super) fn meaning(canonical: &str) -> String {
    if TimeZone::parse(canonical).is_some_and(|zone| matches!(zone, TimeZone::Named(_))) {
        return canonical.to_owned();
    }
    let Some(seconds) = posix_offset(canonical) else { return "UTC".to_owned() };
    let sign = if seconds < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60)
}

/// Seconds east of UTC of a zone in the form of POSIX without summer time: a name or `<name>`, and hours to the west.
fn posix_offset(text: &str) -> Option<i32> {
    let rest = match text.strip_prefix('<') {
        Some(named) => named.split_once('>')?.1,
        None => text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()),
    };
    let west = if rest.starts_with(['+', '-']) { parse_offset(rest)? } else { parse_offset(&format!("+{rest}"))? };
    Some(-west.local_minus_utc())
}

/// Reads `±HH`, `±HHMM`, `±HH:MM` or `±HH:MM:SS`.
fn parse_offset(text: &str) -> Option<FixedOffset> {
    let (sign, rest) = if let Some(rest) = text.strip_prefix('-') { (-1, rest) } else { (1, text.strip_prefix('+')?) };
    // `-3:30` is `-03:30`.
    let padded = if rest.split_once(':').is_some_and(|(hours, _)| hours.len() == 1) { format!("0{rest}") } else { rest.to_owned() };
    let digits: String = padded.chars().filter(|c| *c != ':').collect();
    let shaped = rest.split(':').enumerate().all(|(i, part)| part.len() == 2 || (i == 0 && matches!(part.len(), 1 | 4 | 6)));
    if !shaped || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits.get(range).map_or(Some(0), |part| part.parse::<i32>().ok());
    let seconds = match digits.len() {
        1 => number(0..1)? * 3600,
        2 => number(0..2)? * 3600,
        4 => number(0..2)? * 3600 + number(2..4)? * 60,
        6 => number(0..2)? * 3600 + number(2..4)? * 60 + number(4..6)?,
        _ => return None,
    };
    if seconds > OFFSET_MAX {
        return None;
    }
    FixedOffset::east_opt(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_in_all_spellings() {
        for (text, seconds) in [("+02", 7200), ("-05:30", -19800), ("+0545", 20700), ("+01:02:03", 3723), ("-8", -28800), ("-3:30", -12600)]
        {
            assert_eq!(TimeZone::parse(text), FixedOffset::east_opt(seconds).map(TimeZone::Fixed), "{text}");
        }
        for text in ["+", "+1x", "+99", "Mars/Olympus", "", "+1:2:3:4"] {
            assert_eq!(TimeZone::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_has_a_name_at_each_moment() {
        let at = |zone: &str, month| {
            let utc = chrono::NaiveDate::from_ymd_opt(2026, month, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
            TimeZone::parse(zone).unwrap().abbreviation_at(&utc)
        };
        assert_eq!((at("Europe/Berlin", 1), at("Europe/Berlin", 7)), ("CET".to_owned(), "CEST".to_owned()));
        assert_eq!((at("utc", 1), at("+05:30", 1), at("-08", 1)), ("UTC".to_owned(), "+05:30".to_owned(), "-08".to_owned()));
    }

    /// As PostgreSQL 15 shows them and counts with them.
    #[test]
    fn zones_are_set_shown_and_meant_as_in_postgres() {
        for (set, shown, meant) in [
            ("-5", "<-05>+05", "-05:00"),
            ("+02", "<+02>-02", "+02:00"),
            ("5.5", "<+05:30>-05:30", "+05:30"),
            ("+05:30", "+05:30", "-05:30"),
            ("GMT-05:30", "GMT-05:30", "+05:30"),
            ("UTC+3", "UTC+3", "-03:00"),
            ("<+02>-02", "<+02>-02", "+02:00"),
            ("europe/paris", "Europe/Paris", "Europe/Paris"),
            ("gmt", "GMT", "GMT"),
            ("zulu", "UTC", "UTC"),
        ] {
            assert_eq!(canonical(set).as_deref(), Some(shown), "{set}");
            assert_eq!(meaning(shown), meant, "{set}");
        }
        for set in ["Mars/Olympus", "99", "UTC+99", "", "<+02", "nan"] {
            assert_eq!(canonical(set), None, "{set}");
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(TimeZone::parse("europe/berlin"), Some(TimeZone::Named(chrono_tz::Europe::Berlin)));
    }
}
