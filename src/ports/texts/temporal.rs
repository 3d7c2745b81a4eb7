//! Dates and times as ISO 8601 and PostgreSQL write them.
//!
//! A timestamp has a `T` or a space between date and time; an instant ends in `Z` or an offset (`+00`, `+0000`, `+00:00`) and is UTC
//! without one. Digits below the microsecond are dropped. A timestamp without a zone must not have an offset.

use chrono::NaiveDate;

const DAY_US: i64 = 86_400_000_000;

/// Days since 1970-01-01.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let (days, rest) = take_date(text)?;
    rest.is_empty().then_some(days)
}

/// Microseconds since midnight.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    let (micros, rest) = take_time(text)?;
    rest.is_empty().then_some(micros)
}

/// Microseconds since 1970-01-01 00:00, on the wall clock.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let (micros, rest) = take_timestamp(text)?;
    rest.is_empty().then_some(micros)
}

/// Microseconds since 1970-01-01 00:00 UTC.
pub(super) fn instant(text: &[u8]) -> Option<i64> {
    let (micros, rest) = take_timestamp(text)?;
    micros.checked_sub(offset(rest)?)
}

fn take_timestamp(text: &[u8]) -> Option<(i64, &[u8])> {
    let (days, rest) = take_date(text)?;
    let start = i64::from(days) * DAY_US;
    match rest.split_first() {
        None => Some((start, rest)),
        Some((b'T' | b't' | b' ', rest)) => {
            let (micros, rest) = take_time(rest)?;
            Some((start + micros, rest))
        }
        Some(_) => None,
    }
}

fn take_date(text: &[u8]) -> Option<(i32, &[u8])> {
    let (year, rest) = take_digits(text, 4)?;
    let (month, rest) = take_digits(rest.strip_prefix(b"-")?, 2)?;
    let (day, rest) = take_digits(rest.strip_prefix(b"-")?, 2)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let days = date.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days();
    Some((i32::try_from(days).ok()?, rest))
}

fn take_time(text: &[u8]) -> Option<(i64, &[u8])> {
    let (hour, rest) = take_digits(text, 2)?;
    let (minute, rest) = take_digits(rest.strip_prefix(b":")?, 2)?;
    let (second, rest) = match rest.strip_prefix(b":") {
        Some(rest) => take_digits(rest, 2)?,
        None => (0, rest),
    };
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => take_fraction(rest)?,
        None => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((i64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + fraction, rest))
}

fn take_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, rest) = text.split_at_checked(digits)?;
    if fraction.is_empty() {
        return None;
    }
    let micros = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(6).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some((micros, rest))
}

fn take_digits(text: &[u8], count: usize) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    let value = digits.iter().try_fold(0_u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))?;
    Some((value, rest))
}

/// The offset in microseconds east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text.trim_ascii_start().split_first() {
        None | Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hours, rest) = take_digits(rest, 2)?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() { (0, rest) } else { take_digits(rest, 2)? };
    (rest.is_empty() && hours <= 15 && minutes <= 59).then(|| sign * i64::from(hours * 3600 + minutes * 60) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_every_common_form() {
        let expected = Some(1_700_000_000_000_000);
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20+00",
            "2023-11-14 22:13:20.000000+00:00",
            "2023-11-14T22:13:20",
            "2023-11-15T00:13:20.0+0200",
            "2023-11-14 17:13:20 -05",
        ] {
            assert_eq!(instant(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(instant(b"2023-11-14T22:13:20.1234567Z"), expected.map(|t| t + 123_456));
    }

    #[test]
    fn a_timestamp_without_zone_has_no_offset() {
        assert_eq!(timestamp(b"1970-01-02 00:00:01.5"), Some(86_401_500_000));
        assert_eq!(timestamp(b"1970-01-02"), Some(86_400_000_000));
        assert_eq!(timestamp(b"1970-01-02T00:00:01Z"), None);
    }

    #[test]
    fn what_does_not_exist_is_no_date() {
        assert_eq!(date(b"1969-12-31"), Some(-1));
        for text in ["2023-02-29", "2023-1-1", "20230101", "", "2023-01-01x"] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(time(b"24:00:00"), None);
        assert_eq!(time(b"23:59"), Some(86_340_000_000));
    }
}
