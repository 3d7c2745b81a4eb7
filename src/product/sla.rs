//! Service levels: what the texts of a contract promise.
//!
//! A text that is not understood is an error at load, so a promise is never silently dropped.

use chrono::NaiveTime;

/// How fresh the data is promised to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// The data is at most so old, or, with a daily time, is loaded at most so long after it.
    pub within_seconds: u64,
    /// The time of day after which the daily load is due.
    pub after: Option<DailyTime>,
}

/// A time of day in a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailyTime {
    /// The time.
    pub time: NaiveTime,
    /// IANA name; `None`: the domain's own.
    pub timezone: Option<String>,
}

/// Why an SLA text is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlaError {
    /// Not `[<] N unit [after …]`.
    #[error("a freshness reads like \"< 5 minutes\" or \"< 2 hours after midnight UTC\"")]
    Freshness,
    /// The unit.
    #[error("the unit of a freshness is seconds, minutes, hours, days or weeks")]
    Unit,
    /// The time zone.
    #[error("the time zone of a freshness is an IANA name such as UTC or Europe/Berlin")]
    Timezone,
    /// The uptime.
    #[error("an uptime is a percentage between 0% and 100% such as \"99.9%\"")]
    Uptime,
}

/// Ten years; a longer promise is a slip of the pen.
const WITHIN_SECONDS_MAX: u64 = 10 * 366 * 86_400;

impl Freshness {
    /// Reads `[<] N unit [after HH:MM|midnight [TZ]]`.
    ///
    /// # Errors
    /// The part that is not understood.
    pub fn parse(text: &str) -> Result<Self, SlaError> {
        let text = text.trim();
        let text = text.strip_prefix("<=").or_else(|| text.strip_prefix('<')).unwrap_or(text).trim_start();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, rest) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| SlaError::Freshness)?;
        let mut words = rest.split_whitespace();
        let unit = unit_seconds(words.next().ok_or(SlaError::Freshness)?).ok_or(SlaError::Unit)?;
        let within_seconds = number.checked_mul(unit).filter(|all| (1..=WITHIN_SECONDS_MAX).contains(all)).ok_or(SlaError::Freshness)?;
        let after = match words.next() {
            None => None,
            Some(word) if word.eq_ignore_ascii_case("after") => {
                Some(DailyTime::parse(words.next().ok_or(SlaError::Freshness)?, words.next())?)
            }
            Some(_) => return Err(SlaError::Freshness),
        };
        match words.next() {
            None => Ok(Self { within_seconds, after }),
            Some(_) => Err(SlaError::Freshness),
        }
    }

    /// The longest that the data can lag behind: a daily load adds its day.
    pub fn lag_seconds_max(&self) -> u64 {
        self.within_seconds + if self.after.is_some() { 86_400 } else { 0 }
    }
}

impl DailyTime {
    fn parse(time: &str, timezone: Option<&str>) -> Result<Self, SlaError> {
        let time = if time.eq_ignore_ascii_case("midnight") {
            NaiveTime::MIN
        } else {
            NaiveTime::parse_from_str(time, "%H:%M").map_err(|_| SlaError::Freshness)?
        };
        match timezone.map(str::parse::<chrono_tz::Tz>) {
            None => Ok(Self { time, timezone: None }),
            Some(Ok(timezone)) => Ok(Self { time, timezone: Some(timezone.name().to_owned()) }),
            Some(Err(_)) => Err(SlaError::Timezone),
        }
    }
}

fn unit_seconds(word: &str) -> Option<u64> {
    Some(match word.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    })
}

/// Reads an uptime such as `99.9%` as a percentage.
///
/// # Errors
/// If it is none between 0 and 100.
pub fn parse_uptime(text: &str) -> Result<f64, SlaError> {
    let number = text.trim().strip_suffix('%').ok_or(SlaError::Uptime)?.trim_end();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(SlaError::Uptime);
    }
    number.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent)).ok_or(SlaError::Uptime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_texts_are_read() {
        assert_eq!(Freshness::parse("< 5 minutes").unwrap(), Freshness { within_seconds: 300, after: None });
        assert_eq!(Freshness::parse("1 day").unwrap().within_seconds, 86_400);
        assert_eq!(Freshness::parse("<15min").unwrap().within_seconds, 900);
        let daily = Freshness::parse("< 2 hours after midnight UTC").unwrap();
        assert_eq!((daily.within_seconds, daily.lag_seconds_max()), (7_200, 93_600));
        assert_eq!(daily.after, Some(DailyTime { time: NaiveTime::MIN, timezone: Some("UTC".to_owned()) }));
        let at = Freshness::parse("30 minutes after 06:30").unwrap().after.unwrap();
        assert_eq!((at.time, at.timezone), (NaiveTime::from_hms_opt(6, 30, 0).unwrap(), None));
        assert_eq!(Freshness::parse("1 h after 06:30 Europe/Berlin").unwrap().after.unwrap().timezone.as_deref(), Some("Europe/Berlin"));
    }

    #[test]
    fn other_texts_are_errors() {
        for text in
            ["", "<", "soon", "5", "< minutes", "-5 minutes", "0 days", "5 fortnights", "99999999999999999999 days", "99999999 weeks"]
        {
            assert!(Freshness::parse(text).is_err(), "{text}");
        }
        for text in [
            "5 minutes before noon",
            "5 minutes after",
            "5 minutes after 25:00",
            "5 minutes after 06:00 Mars/Base",
            "5 m after 06:00 UTC x",
        ] {
            assert!(Freshness::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn uptimes_are_percentages() {
        assert_eq!(parse_uptime("99.9%"), Ok(99.9));
        assert_eq!(parse_uptime("100 %"), Ok(100.0));
        for text in ["99.9", "101%", "-1%", "%", "NaN%", "inf%", "1e1%", "high"] {
            assert_eq!(parse_uptime(text), Err(SlaError::Uptime), "{text}");
        }
    }
}
