//! The session's time zone.

use chrono::offset::LocalResult;
use chrono::{Days, FixedOffset, NaiveDateTime, Offset, TimeZone as _};

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
        chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)).copied().map(Self::Named)
    }

    /// Seconds east of UTC at that moment of UTC.
    pub fn offset_at(&self, utc: &NaiveDateTime) -> i32 {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(utc).fix().local_minus_utc(),
            Self::Fixed(offset) => offset.local_minus_utc(),
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

/// Reads `±HH`, `±HHMM`, `±HH:MM` or `±HH:MM:SS`.
fn parse_offset(text: &str) -> Option<FixedOffset> {
    let (sign, rest) = if let Some(rest) = text.strip_prefix('-') { (-1, rest) } else { (1, text.strip_prefix('+')?) };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
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
    if seconds > 16 * 3600 {
        return None;
    }
    FixedOffset::east_opt(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_in_all_spellings() {
        for (text, seconds) in [("+02", 7200), ("-05:30", -19800), ("+0545", 20700), ("+01:02:03", 3723), ("-8", -28800)] {
            assert_eq!(TimeZone::parse(text), FixedOffset::east_opt(seconds).map(TimeZone::Fixed), "{text}");
        }
        for text in ["+", "+1x", "+99", "Mars/Olympus", "", "+1:2:3:4"] {
            assert_eq!(TimeZone::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(TimeZone::parse("europe/berlin"), Some(TimeZone::Named(chrono_tz::Europe::Berlin)));
    }
}
