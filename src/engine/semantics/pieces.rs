//! Templates of moments, taken apart: what `to_char`, `to_date` and `to_timestamp` go by.
//!
//! A template is mostly one constant for all rows of a batch, so it is taken apart when it is another one than that of the row before.

use datafusion::error::DataFusionError;

use crate::error::SqlState;

use super::function::{Result, fault};

/// The letters that a name is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Title,
    Lower,
}

/// What a pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `Y,YYY`
    LongYear,
    /// The last digits of the year, or all of it where there are four.
    Year(u8),
    /// The same of a year of ISO 8601, which has whole weeks.
    IsoYear(u8),
    Month(Case),
    ShortMonth(Case),
    MonthNumber,
    Roman(Case),
    Day(Case),
    ShortDay(Case),
    DayOfYear,
    DayOfIsoYear,
    DayOfMonth,
    Weekday,
    IsoWeekday,
    IsoWeek,
    Week,
    WeekOfMonth,
    Quarter,
    Century,
    Julian,
    Hour,
    HourOfHalf,
    Minute,
    Second,
    SecondOfDay,
    Millis,
    Micros,
    /// So many digits of the second.
    Fraction(u8),
    /// `am` or `pm`, which may have dots.
    Half {
        dotted: bool,
        upper: bool,
    },
    /// `bc` or `ad`
    Era {
        dotted: bool,
        upper: bool,
    },
    ZoneHours,
    ZoneMinutes,
    ZoneName {
        upper: bool,
    },
    /// Hours and minutes from UTC.
    Offset,
}

impl Pattern {
    /// Whether it is the same in letters of either case.
    pub(super) fn numeric(self) -> bool {
        !matches!(
            self,
            Self::Month(_)
                | Self::ShortMonth(_)
                | Self::Day(_)
                | Self::ShortDay(_)
                | Self::Roman(_)
                | Self::Half { .. }
                | Self::Era { .. }
                | Self::ZoneName { .. }
        )
    }
}

const fn half(dotted: bool, upper: bool) -> Pattern {
    Pattern::Half { dotted, upper }
}

const fn era(dotted: bool, upper: bool) -> Pattern {
    Pattern::Era { dotted, upper }
}

/// Patterns, of which the longest that fits is meant.
const PATTERNS: [(&str, Pattern); 71] = [
    ("Y,YYY", Pattern::LongYear),
    ("YYYY", Pattern::Year(4)),
    ("IYYY", Pattern::IsoYear(4)),
    ("YYY", Pattern::Year(3)),
    ("IYY", Pattern::IsoYear(3)),
    ("YY", Pattern::Year(2)),
    ("IY", Pattern::IsoYear(2)),
    ("Y", Pattern::Year(1)),
    ("I", Pattern::IsoYear(1)),
    ("MONTH", Pattern::Month(Case::Upper)),
    ("Month", Pattern::Month(Case::Title)),
    ("month", Pattern::Month(Case::Lower)),
    ("MON", Pattern::ShortMonth(Case::Upper)),
    ("Mon", Pattern::ShortMonth(Case::Title)),
    ("mon", Pattern::ShortMonth(Case::Lower)),
    ("MM", Pattern::MonthNumber),
    ("MI", Pattern::Minute),
    ("MS", Pattern::Millis),
    ("DAY", Pattern::Day(Case::Upper)),
    ("Day", Pattern::Day(Case::Title)),
    ("day", Pattern::Day(Case::Lower)),
    ("DDD", Pattern::DayOfYear),
    ("DD", Pattern::DayOfMonth),
    ("DY", Pattern::ShortDay(Case::Upper)),
    ("Dy", Pattern::ShortDay(Case::Title)),
    ("dy", Pattern::ShortDay(Case::Lower)),
    ("D", Pattern::Weekday),
    ("ID", Pattern::IsoWeekday),
    ("IW", Pattern::IsoWeek),
    ("WW", Pattern::Week),
    ("W", Pattern::WeekOfMonth),
    ("Q", Pattern::Quarter),
    ("CC", Pattern::Century),
    ("HH24", Pattern::Hour),
    ("HH12", Pattern::HourOfHalf),
    ("HH", Pattern::HourOfHalf),
    ("SSSSS", Pattern::SecondOfDay),
    ("SSSS", Pattern::SecondOfDay),
    ("SS", Pattern::Second),
    ("US", Pattern::Micros),
    ("AM", half(false, true)),
    ("PM", half(false, true)),
    ("am", half(false, false)),
    ("pm", half(false, false)),
    ("A.M.", half(true, true)),
    ("P.M.", half(true, true)),
    ("a.m.", half(true, false)),
    ("p.m.", half(true, false)),
    ("FF1", Pattern::Fraction(1)),
    ("FF2", Pattern::Fraction(2)),
    ("FF3", Pattern::Fraction(3)),
    ("FF4", Pattern::Fraction(4)),
    ("FF5", Pattern::Fraction(5)),
    ("FF6", Pattern::Fraction(6)),
    ("IDDD", Pattern::DayOfIsoYear),
    ("J", Pattern::Julian),
    ("RM", Pattern::Roman(Case::Upper)),
    ("rm", Pattern::Roman(Case::Lower)),
    ("BC", era(false, true)),
    ("AD", era(false, true)),
    ("bc", era(false, false)),
    ("ad", era(false, false)),
    ("B.C.", era(true, true)),
    ("A.D.", era(true, true)),
    ("b.c.", era(true, false)),
    ("a.d.", era(true, false)),
    ("TZH", Pattern::ZoneHours),
    ("TZM", Pattern::ZoneMinutes),
    ("TZ", Pattern::ZoneName { upper: true }),
    ("tz", Pattern::ZoneName { upper: false }),
    ("OF", Pattern::Offset),
];

/// A part of a template.
#[derive(Debug)]
pub(super) enum Piece {
    Pattern {
        /// As PostgreSQL spells it; its length is how many digits a text has of it.
        name: &'static str,
        pattern: Pattern,
        fill: bool,
        /// `TH` or `th` stands behind it: whether in capitals.
        ordinal: Option<bool>,
    },
    /// A letter that stands for itself.
    Text(String),
    /// Letters in quotes.
    Quoted(String),
    /// `FX`: a text that is read has each letter in its place.
    Exact,
}

pub(super) fn unsupported(pattern: &str) -> DataFusionError {
    fault(SqlState::FEATURE_NOT_SUPPORTED, &format!("the pattern \"{pattern}\" is not supported in a template"))
}

/// Each letter of a template costs time in each row.
const TEMPLATE_BYTES_MAX: usize = 10_000;

/// Refuses a template that nobody writes.
pub(super) fn check_length(template: &str) -> Result<()> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "formatting template is too long"));
    }
    Ok(())
}

/// The parts of a template.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>> {
    check_length(template)?;
    let mut pieces = Vec::new();
    let mut rest = template;
    let (mut fill, mut local) = (true, false);
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = in_quotes(quoted);
            pieces.push(Piece::Quoted(text));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\\"") {
            pieces.push(Piece::Text("\"".to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            fill = false;
            rest = after;
        } else if let Some(after) = ["TM", "tm"].iter().find_map(|prefix| rest.strip_prefix(prefix)) {
            local = true;
            rest = after;
        } else if let Some(after) = ["FX", "fx"].iter().find_map(|prefix| rest.strip_prefix(prefix)) {
            pieces.push(Piece::Exact);
            rest = after;
        } else if let Some((name, pattern, after)) = longest(rest) {
            let (ordinal, after) = match (after.strip_prefix("TH"), after.strip_prefix("th")) {
                (Some(after), _) => (Some(true), after),
                (_, Some(after)) => (Some(false), after),
                _ => (None, after),
            };
            // Names in the words of a locale are not filled up.
            pieces.push(Piece::Pattern { name, pattern, fill: fill && (!local || pattern.numeric()), ordinal });
            (fill, local) = (true, false);
            rest = after;
        } else {
            pieces.push(Piece::Text(first.to_string()));
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    Ok(pieces)
}

/// A text in quotes, from behind the first one, and what stands behind the last; a backslash takes the letter behind it as it is.
fn in_quotes(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (text, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => text.push(letters.next().map_or('\\', |(_, letter)| letter)),
            letter => text.push(letter),
        }
    }
    (text, "")
}

/// The pattern that a template starts with, and what stands behind it.
fn longest(rest: &str) -> Option<(&'static str, Pattern, &str)> {
    let begins = |(name, pattern): &&(&'static str, Pattern)| {
        let start = rest.get(..name.len());
        start.is_some_and(|start| start == *name || pattern.numeric() && start.eq_ignore_ascii_case(name))
    };
    let (name, pattern) = PATTERNS.iter().filter(begins).max_by_key(|(name, _)| name.len())?;
    Some((name, *pattern, rest.get(name.len()..).unwrap_or_default()))
}

/// `st`, `nd`, `rd` or `th`, which stands behind a number.
pub(super) fn suffix(digits: &[u8], upper: bool) -> &'static str {
    let [small, large] = match digits {
        [.., b'1', b'1'..=b'3'] => ["th", "TH"],
        [.., b'1'] => ["st", "ST"],
        [.., b'2'] => ["nd", "ND"],
        [.., b'3'] => ["rd", "RD"],
        _ => ["th", "TH"],
    };
    if upper { large } else { small }
}

/// The template of the row before, as it was taken apart.
pub(super) struct Last<T>(Option<(String, T)>);

impl<T> Last<T> {
    pub(super) const NONE: Self = Self(None);

    /// The template, taken apart if it is not the last one.
    pub(super) fn of(&mut self, template: &str, apart: impl FnOnce(&str) -> Result<T>) -> Result<&T> {
        let known = self.0.take().filter(|(text, _)| text == template);
        let known = known.map_or_else(|| apart(template).map(|parts| (template.to_owned(), parts)), Ok)?;
        Ok(&self.0.insert(known).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_is_meant_and_words_are_in_their_letters() {
        let shown = |template: &str| {
            let parts = pieces(template).unwrap().into_iter().map(|piece| match piece {
                Piece::Pattern { name, .. } => name.to_owned(),
                Piece::Text(text) | Piece::Quoted(text) => format!("<{text}>"),
                Piece::Exact => "!".to_owned(),
            });
            parts.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("yyyymmdd"), "YYYY MM DD");
        assert_eq!(shown("IYYY-IDDD"), "IYYY <-> IDDD");
        assert_eq!(shown("FXMonth \"of\" mOn"), "! Month < > <of> < > <m> <O> <n>");
        assert_eq!(shown("SSSSS SSSS SSS é"), "SSSSS < > SSSS < > SS <S> < > <é>");
        assert!(pieces(&"Y".repeat(TEMPLATE_BYTES_MAX)).is_ok() && pieces(&"Y".repeat(TEMPLATE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_template_is_taken_apart_when_it_changes() {
        let (mut last, mut times) = (Last::NONE, 0);
        for template in ["a", "a", "b", "b", "a"] {
            let text = last.of(template, |text| {
                times += 1;
                Ok(text.to_owned())
            });
            assert_eq!(text.unwrap(), template);
        }
        assert_eq!(times, 3);
        assert!(last.of("c", |_| Err(unsupported("c"))).is_err());
        assert_eq!(last.of("a", |text| Ok(text.to_owned())).unwrap(), "a");
    }
}
