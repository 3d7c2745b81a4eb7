//! Times of day with a distance from UTC.

use chrono::Utc;
use datafusion::common::ScalarValue;

use crate::engine::semantics::parse;
use crate::engine::semantics::text::clock;
use crate::engine::{PgType, TimeZone};
use crate::error::{ClientMessage, SqlState};

const NAME: &str = "time with time zone";

/// Microseconds of the day, and seconds east of UTC.
type Clock = (i64, i32);

/// A timetz in PostgreSQL's form.
pub(super) fn read(text: &str, time_zone: &TimeZone) -> Result<String, ClientMessage> {
    let invalid = || ClientMessage::new(SqlState::INVALID_DATETIME_FORMAT, format!("invalid input syntax for type {NAME}: \"{text}\""));
    let (time, zone) = apart(text.trim());
    let micros = match parse::as_parameter(time, PgType::TIME, time_zone) {
        Ok(ScalarValue::Time64Microsecond(Some(micros))) => micros,
        Err(fault) if fault.sqlstate == SqlState::DATETIME_FIELD_OVERFLOW => {
            let message = format!("date/time field value out of range: \"{text}\"");
            return Err(ClientMessage::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
        }
        _ => return Err(invalid()),
    };
    let now = Utc::now().naive_utc();
    // The distance of a place changes with the date, which is not told.
    let offset = match TimeZone::parse(zone) {
        _ if zone.is_empty() => time_zone.offset_at(&now),
        Some(zone @ TimeZone::Fixed(_)) => zone.offset_at(&now),
        Some(named) if !zone.contains('/') => named.offset_at(&now),
        _ => return Err(invalid()),
    };
    Ok(written((micros, offset)))
}

/// The time and the zone behind it.
fn apart(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, ':' | '.')).unwrap_or(text.len());
    let (time, zone) = text.split_at(end);
    (time, zone.trim())
}

fn written((micros, offset): Clock) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes, seconds) = (offset.abs() / 3600, offset.abs() / 60 % 60, offset.abs() % 60);
    let distance = match (minutes, seconds) {
        (0, 0) => format!("{sign}{hours:02}"),
        (_, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    };
    format!("{}{distance}", clock(micros))
}

/// Microseconds, and seconds west of UTC.
pub(super) fn to_binary(text: &str) -> Option<Vec<u8>> {
    let (time, zone) = apart(text);
    let utc = TimeZone::default();
    let Ok(ScalarValue::Time64Microsecond(Some(micros))) = parse::as_parameter(time, PgType::TIME, &utc) else { return None };
    let offset = TimeZone::parse(zone)?.offset_at(&Utc::now().naive_utc());
    Some([micros.to_be_bytes().as_slice(), &(-offset).to_be_bytes()].concat())
}

/// The farthest that a zone may be from UTC, in seconds.
const OFFSET_MAX: i32 = 16 * 3600;

pub(super) fn of_binary(value: &[u8]) -> Option<String> {
    let (micros, west) = value.split_at_checked(8)?;
    let micros = i64::from_be_bytes(micros.try_into().ok()?);
    let west = i32::from_be_bytes(west.try_into().ok()?);
    ((0..=86_400_000_000).contains(&micros) && (-OFFSET_MAX..=OFFSET_MAX).contains(&west)).then(|| written((micros, -west)))
}
