//! Values in their types' binary forms.

use arrow::datatypes::IntervalMonthDayNano;
use bytes::Buf;
use datafusion::common::ScalarValue;
use uuid::Uuid;

use crate::error::{ClientMessage, SqlState};

use super::{Kind, datetime, json, jsonb, number, text};

/// Days, and millionths of a second, from 1970 to 2000, where PostgreSQL's binary dates start.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

pub(super) fn decode(value: &[u8], kind: Kind) -> Result<ScalarValue, ClientMessage> {
    Ok(match kind {
        Kind::Bool => match value {
            [flag] => ScalarValue::Boolean(Some(*flag != 0)),
            _ => return Err(incorrect()),
        },
        Kind::Int2 => ScalarValue::Int16(Some(i16::from_be_bytes(exact(value)?))),
        Kind::Int4 => ScalarValue::Int32(Some(i32::from_be_bytes(exact(value)?))),
        Kind::Int8 => ScalarValue::Int64(Some(i64::from_be_bytes(exact(value)?))),
        Kind::Oid => ScalarValue::UInt32(Some(u32::from_be_bytes(exact(value)?))),
        Kind::Float4 => ScalarValue::Float32(Some(f32::from_be_bytes(exact(value)?))),
        Kind::Float8 => ScalarValue::Float64(Some(f64::from_be_bytes(exact(value)?))),
        Kind::Numeric => numeric(value)?,
        Kind::Text => ScalarValue::Utf8(Some(text(value)?.to_owned())),
        Kind::Bytea => ScalarValue::Binary(Some(value.to_vec())),
        Kind::Date => {
            let days = i32::from_be_bytes(exact(value)?);
            if days == i32::MIN || days == i32::MAX {
                return Err(datetime::infinite(kind));
            }
            ScalarValue::Date32(Some(days.checked_add(EPOCH_DAYS).ok_or_else(|| out_of_range("date"))?))
        }
        Kind::Time => {
            let micros = i64::from_be_bytes(exact(value)?);
            if !(0..=DAY_MICROS).contains(&micros) {
                return Err(out_of_range("time"));
            }
            ScalarValue::Time64Microsecond(Some(micros))
        }
        Kind::Timestamp | Kind::TimestampTz => {
            let micros = i64::from_be_bytes(exact(value)?);
            if micros == i64::MIN || micros == i64::MAX {
                return Err(datetime::infinite(kind));
            }
            kind.timestamp(micros.checked_add(EPOCH_MICROS).ok_or_else(|| out_of_range("timestamp"))?)
        }
        Kind::Interval => interval(value)?,
        Kind::Uuid => {
            let uuid = Uuid::from_slice(value).map_err(|_| incorrect())?;
            ScalarValue::Utf8(Some(uuid.hyphenated().to_string()))
        }
        Kind::Json => json(text(value)?)?,
        Kind::Jsonb => match value {
            [1, value @ ..] => jsonb(text(value)?)?,
            _ => return Err(ClientMessage::new(SqlState::INVALID_BINARY_REPRESENTATION, "unsupported jsonb version number")),
        },
    })
}

/// Whether a value is later than all moments of a type that has such, or earlier; `None` if it is neither.
pub(super) fn infinity(value: &[u8], kind: Kind) -> Option<bool> {
    let (least, most): (&[u8], &[u8]) = match kind {
        Kind::Date => (&i32::MIN.to_be_bytes(), &i32::MAX.to_be_bytes()),
        Kind::Timestamp | Kind::TimestampTz => (&i64::MIN.to_be_bytes(), &i64::MAX.to_be_bytes()),
        _ => return None,
    };
    if value == most { Some(true) } else { (value == least).then_some(false) }
}

fn exact<const N: usize>(value: &[u8]) -> Result<[u8; N], ClientMessage> {
    value.try_into().map_err(|_| incorrect())
}

pub(super) fn incorrect() -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_BINARY_REPRESENTATION, "incorrect binary data format in bind parameter")
}

fn out_of_range(name: &str) -> ClientMessage {
    ClientMessage::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{name} out of range"))
}

fn interval(value: &[u8]) -> Result<ScalarValue, ClientMessage> {
    let mut bytes: &[u8] = &exact::<16>(value)?;
    let (micros, days, months) = (bytes.get_i64(), bytes.get_i32(), bytes.get_i32());
    let nanoseconds = micros.checked_mul(1000).ok_or_else(|| out_of_range("interval"))?;
    Ok(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanoseconds))))
}

/// Digits to the base of 10,000, spelled out and read as text: one reader for both forms.
fn spelled(value: &[u8]) -> Result<String, ClientMessage> {
    let mut bytes = value;
    let mut next = || bytes.try_get_u16().map_err(|_| incorrect());
    let (count, weight, sign, scale) = (next()?, next()?.cast_signed(), next()?, usize::from(next()?));
    let mut groups = Vec::new();
    for _ in 0..count {
        groups.push(next()?);
    }
    if !bytes.is_empty() || groups.iter().any(|group| *group > 9999) || scale > 0x3fff {
        return Err(incorrect());
    }
    let mut spelled = match sign {
        0 => String::new(),
        0x4000 => String::from("-"),
        _ => return Ok(unbounded_name(sign).ok_or_else(incorrect)?.to_owned()),
    };
    let group = |place: i64| groups.get(usize::try_from(i64::from(weight) - place).unwrap_or(usize::MAX)).copied().unwrap_or(0);
    for place in (0..=i64::from(weight.max(0))).rev() {
        spelled.push_str(&format!("{:04}", group(place)));
    }
    if scale > 0 {
        spelled.push('.');
        let end = spelled.len() + scale;
        let places = i64::try_from(scale.div_ceil(4)).unwrap_or(0);
        for place in 1..=places {
            spelled.push_str(&format!("{:04}", group(-place)));
        }
        spelled.truncate(end);
    }
    Ok(spelled)
}

/// A value that has no digits, by its sign.
fn unbounded_name(sign: u16) -> Option<&'static str> {
    match sign {
        0xc000 => Some("NaN"),
        0xd000 => Some("Infinity"),
        0xf000 => Some("-Infinity"),
        _ => None,
    }
}

/// The text of a numeric that is well formed.
pub(super) fn unbounded(value: &[u8]) -> Option<String> {
    spelled(value).ok()
}

fn numeric(value: &[u8]) -> Result<ScalarValue, ClientMessage> {
    number::numeric(&spelled(value)?)
}
