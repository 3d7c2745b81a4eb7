//! How a session wants values written: `DateStyle`, `IntervalStyle`, `bytea_output`.

/// `DateStyle`: how dates are written, and which field of `1/2/2026` is the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DateStyle {
    /// How dates are written.
    pub format: DateFormat,
    /// The order of fields.
    pub order: DateOrder,
}

/// The first half of `DateStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateFormat {
    /// 2026-12-31
    #[default]
    Iso,
    /// 12/31/2026
    Sql,
    /// 12-31-2026, and timestamps that begin with the day of the week
    Postgres,
    /// 31.12.2026
    German,
}

/// The second half of `DateStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DateOrder {
    /// Month first.
    #[default]
    Mdy,
    /// Day first.
    Dmy,
    /// Year first.
    Ymd,
}

/// `IntervalStyle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IntervalStyle {
    /// 1 day 02:03:04
    #[default]
    Postgres,
    /// @ 1 day 2 hours 3 mins 4 secs
    PostgresVerbose,
    /// 1 2:03:04
    SqlStandard,
    /// P1DT2H3M4S
    Iso8601,
}

/// `bytea_output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ByteaOutput {
    /// \x6869
    #[default]
    Hex,
    /// hi
    Escape,
}

impl DateStyle {
    /// Reads words separated by commas; what they leave open stays as it was.
    pub fn parse(text: &str, before: Self) -> Option<Self> {
        Self::read(text, before).ok()
    }

    /// The same; the error says what is wrong with the words.
    pub(super) fn read(text: &str, before: Self) -> Result<Self, String> {
        let (mut format, mut order) = (None, None);
        let mut kept = before;
        for word in text.split(',').map(|word| word.trim().to_ascii_lowercase()) {
            match word.as_str() {
                "" => {}
                "default" => kept = Self::default(),
                "iso" => only(&mut format, DateFormat::Iso)?,
                "sql" => only(&mut format, DateFormat::Sql)?,
                "postgres" => only(&mut format, DateFormat::Postgres)?,
                "german" => {
                    only(&mut format, DateFormat::German)?;
                    kept.order = DateOrder::Dmy;
                }
                word => {
                    let named = DateOrder::parse(word).ok_or_else(|| format!("Unrecognized key word: \"{word}\"."))?;
                    only(&mut order, named)?;
                }
            }
        }
        Ok(Self { format: format.unwrap_or(kept.format), order: order.unwrap_or(kept.order) })
    }

    /// As `SHOW` writes it.
    pub fn to_text(self) -> String {
        let format = match self.format {
            DateFormat::Iso => "ISO",
            DateFormat::Sql => "SQL",
            DateFormat::Postgres => "Postgres",
            DateFormat::German => "German",
        };
        let order = match self.order {
            DateOrder::Mdy => "MDY",
            DateOrder::Dmy => "DMY",
            DateOrder::Ymd => "YMD",
        };
        format!("{format}, {order}")
    }
}

/// A thing that may be said twice, but not in two ways.
fn only<T: PartialEq>(said: &mut Option<T>, now: T) -> Result<(), String> {
    if said.as_ref().is_some_and(|before| *before != now) {
        return Err("Conflicting \"datestyle\" specifications.".to_owned());
    }
    *said = Some(now);
    Ok(())
}

impl DateOrder {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "mdy" | "us" => Some(Self::Mdy),
            "dmy" => Some(Self::Dmy),
            "ymd" => Some(Self::Ymd),
            word if word.starts_with("noneuro") => Some(Self::Mdy),
            word if word.starts_with("euro") => Some(Self::Dmy),
            _ => None,
        }
    }
}

impl IntervalStyle {
    /// Reads the canonical word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "postgres" => Some(Self::Postgres),
            "postgres_verbose" => Some(Self::PostgresVerbose),
            "sql_standard" => Some(Self::SqlStandard),
            "iso_8601" => Some(Self::Iso8601),
            _ => None,
        }
    }
}

impl ByteaOutput {
    /// Reads the canonical word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "hex" => Some(Self::Hex),
            "escape" => Some(Self::Escape),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_style_does_not_contradict_itself() {
        let read = |text: &str| DateStyle::read(text, DateStyle::default()).map(DateStyle::to_text);
        assert_eq!(read("ISO, ISO, DMY, European").as_deref(), Ok("ISO, DMY"));
        for text in ["ISO, German", "German, ISO", "DMY, MDY"] {
            assert_eq!(read(text).unwrap_err(), "Conflicting \"datestyle\" specifications.", "{text}");
        }
        assert_eq!(read("iso, x").unwrap_err(), "Unrecognized key word: \"x\".");
    }

    #[test]
    fn a_date_style_keeps_what_its_words_leave_open() {
        let shown = |text: &str, before: &str| {
            let before = DateStyle::parse(before, DateStyle::default()).unwrap();
            DateStyle::parse(text, before).map(DateStyle::to_text)
        };
        for (text, before, expected) in [
            ("iso, dmy", "", "ISO, DMY"),
            ("DMY", "SQL, MDY", "SQL, DMY"),
            ("Postgres", "ISO, DMY", "Postgres, DMY"),
            ("German", "ISO, MDY", "German, DMY"),
            ("MDY, German", "", "German, MDY"),
            ("sql,European", "", "SQL, DMY"),
            ("default", "German", "ISO, MDY"),
        ] {
            assert_eq!(shown(text, before).as_deref(), Some(expected), "{text} after {before}");
        }
        assert_eq!(shown("klingon", ""), None);
    }
}
