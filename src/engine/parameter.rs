//! Parameters as a client sends them, and what they mean.
//!
//! INVARIANT: a value is read exactly or refused: no rounding to another scale, no cut-off digit, no byte that is left over. No input
//! panics or allocates more than a small multiple of its own length.

mod array;
mod binary;
mod datetime;
mod interval;
mod number;

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use uuid::Uuid;

use crate::error::{ClientMessage, SqlState};

use super::semantics::{self, Facts};
use super::{PgType, TimeZone, client_encoding};

pub(super) use interval::{Field as IntervalField, Fields as IntervalFields, read as read_interval};
pub(super) use number::{float4, float8};

/// How a value is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text in the client's encoding.
    #[default]
    Text,
    /// The type's binary form.
    Binary,
}

/// One bound parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// How `value` is written.
    pub format: Format,
    /// `None` is NULL.
    pub value: Option<Bytes>,
}

/// What a type is decoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Interval,
    Uuid,
    Json,
    Jsonb,
}

/// Scalar types and their kinds.
const KINDS: [(PgType, Kind); 26] = [
    (PgType::BOOL, Kind::Bool),
    (PgType::INT2, Kind::Int2),
    (PgType::INT4, Kind::Int4),
    (PgType::INT8, Kind::Int8),
    (PgType::OID, Kind::Oid),
    (PgType::XID, Kind::Oid),
    (PgType::FLOAT4, Kind::Float4),
    (PgType::FLOAT8, Kind::Float8),
    (PgType::NUMERIC, Kind::Numeric),
    (PgType::TEXT, Kind::Text),
    (PgType::VARCHAR, Kind::Text),
    (PgType::BPCHAR, Kind::Text),
    (PgType::NAME, Kind::Text),
    (PgType::CHAR, Kind::Text),
    (PgType::UNKNOWN, Kind::Text),
    (PgType { oid: 0, len: -2, typmod: -1 }, Kind::Text),
    (PgType::BYTEA, Kind::Bytea),
    (PgType::DATE, Kind::Date),
    (PgType::TIME, Kind::Time),
    (PgType::TIMESTAMP, Kind::Timestamp),
    (PgType::TIMESTAMPTZ, Kind::TimestampTz),
    (PgType::INTERVAL, Kind::Interval),
    (PgType::UUID, Kind::Uuid),
    (PgType::JSON, Kind::Json),
    (PgType::JSONB, Kind::Jsonb),
    (PgType { oid: 142, len: -1, typmod: -1 }, Kind::Text),
];

/// Types whose values name objects of the catalog.
const OF_OBJECTS: [PgType; 10] = [
    PgType::REGPROC,
    PgType::REGPROCEDURE,
    PgType::REGOPER,
    PgType::REGOPERATOR,
    PgType::REGCLASS,
    PgType::REGTYPE,
    PgType::REGNAMESPACE,
    PgType::REGROLE,
    PgType::REGCOLLATION,
    PgType::REGCONFIG,
];

impl Kind {
    /// The kind of a scalar type.
    fn of(pg_type: PgType) -> Option<Self> {
        KINDS.iter().find(|(known, _)| known.oid == pg_type.oid).map(|(_, kind)| *kind)
    }

    /// The kind of an array type's elements.
    fn of_elements(pg_type: PgType) -> Option<(Self, PgType)> {
        let element = pg_type.element()?;
        Self::of(element).map(|kind| (kind, element))
    }

    /// The type's name in messages.
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Oid => "oid",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamp with time zone",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Json | Self::Jsonb => "json",
        }
    }

    /// The Arrow type that a value becomes; a number's precision and scale are its own.
    fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Oid => DataType::UInt32,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric => DataType::Decimal128(38, 10),
            Self::Text | Self::Uuid | Self::Json | Self::Jsonb => DataType::Utf8,
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        }
    }

    fn timestamp(self, micros: i64) -> ScalarValue {
        let zone = (self == Self::TimestampTz).then(|| "+00:00".into());
        ScalarValue::TimestampMicrosecond(Some(micros), zone)
    }
}

/// Reads a bound parameter as a type. NULL is a NULL of that type; a text without a zone is read in the session's.
pub fn decode(parameter: &Parameter, pg_type: PgType, time_zone: &TimeZone) -> Result<ScalarValue, ClientMessage> {
    if let Some((kind, element)) = Kind::of_elements(pg_type) {
        return array::decode(parameter, kind, element, time_zone);
    }
    let kind = match Kind::of(pg_type) {
        Some(kind) => kind,
        None if let Some(carried) = semantics::Carried::of(pg_type) => {
            let Some(value) = &parameter.value else { return Ok(ScalarValue::Utf8(None)) };
            let text = match parameter.format {
                Format::Text => carried.read(text(value)?, time_zone)?,
                Format::Binary => carried.of_binary(value, time_zone)?,
            };
            return Ok(ScalarValue::Utf8(Some(text)));
        }
        // Names of objects are sent as their numbers.
        None if parameter.format == Format::Binary && OF_OBJECTS.iter().any(|known| known.oid == pg_type.oid) => {
            let number = parameter.value.as_ref().map(|value| binary::decode(value, Kind::Oid)).transpose()?;
            return Ok(ScalarValue::Utf8(number.map(|number| number.to_string())));
        }
        // A type of the catalog (regclass and the like) is passed on by its name.
        None if parameter.format == Format::Text => Kind::Text,
        None => {
            let message = format!("no binary input function available for the type with OID {}", pg_type.oid);
            return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    };
    match (&parameter.value, parameter.format) {
        (None, _) => {
            ScalarValue::try_from(&kind.data_type()).map_err(|_| ClientMessage::new(SqlState::INTERNAL_ERROR, "no NULL of a type"))
        }
        (Some(value), Format::Text) => from_text(text(value)?, kind, time_zone),
        (Some(value), Format::Binary) => binary::decode(value, kind),
    }
}

/// Reads a parameter that a client has bound: as [`decode`] does, but an infinite date or timestamp becomes a text, and so does a numeric that is
/// none of the engine's, for no other type has them. Dates and times are read in all forms that constants may have.
pub(super) fn bound(
    parameter: &Parameter,
    pg_type: PgType,
    time_zone: &TimeZone,
    facts: impl FnOnce() -> Facts,
) -> Result<ScalarValue, ClientMessage> {
    let later = parameter.value.as_deref().zip(Kind::of(pg_type)).and_then(|(value, kind)| match parameter.format {
        Format::Text => datetime::infinity(std::str::from_utf8(value).ok()?, kind),
        Format::Binary => binary::infinity(value, kind),
    });
    if let Some(later) = later {
        return Ok(ScalarValue::Utf8(Some(if later { "infinity" } else { "-infinity" }.to_owned())));
    }
    decode(parameter, pg_type, time_zone).or_else(|fault| {
        let Some(value) = &parameter.value else { return Err(fault) };
        let other = match (Kind::of(pg_type), parameter.format) {
            (Some(Kind::Numeric), Format::Text) => text(value).ok().and_then(semantics::unbounded_text),
            (Some(Kind::Numeric), Format::Binary) => binary::unbounded(value).and_then(|text| semantics::unbounded_text(&text)),
            (Some(Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz), Format::Text) => {
                let Some(text) = text(value).ok().and_then(|text| semantics::moment_text(text, facts())) else { return Err(fault) };
                let text = Parameter { format: Format::Text, value: Some(Bytes::from(text)) };
                return decode(&text, pg_type, time_zone).map_err(|_| fault);
            }
            _ => None,
        };
        other.map(|text| ScalarValue::Utf8(Some(text))).ok_or(fault)
    })
}

/// Text in the only encoding there is.
fn text(value: &[u8]) -> Result<&str, ClientMessage> {
    let text = client_encoding::utf8(value)?;
    if text.contains('\0') { Err(client_encoding::invalid("UTF8", b"\0")) } else { Ok(text) }
}

/// Reads a value as its type's input function does.
fn from_text(value: &str, kind: Kind, time_zone: &TimeZone) -> Result<ScalarValue, ClientMessage> {
    Ok(match kind {
        Kind::Bool => ScalarValue::Boolean(Some(boolean(value)?)),
        Kind::Int2 => ScalarValue::Int16(Some(number::integer(value, kind)?)),
        Kind::Int4 => ScalarValue::Int32(Some(number::integer(value, kind)?)),
        Kind::Int8 => ScalarValue::Int64(Some(number::integer(value, kind)?)),
        Kind::Oid => ScalarValue::UInt32(Some(number::oid(value)?)),
        Kind::Float4 => ScalarValue::Float32(Some(number::float4(value)?)),
        Kind::Float8 => ScalarValue::Float64(Some(number::float8(value)?)),
        Kind::Numeric => number::numeric(value)?,
        Kind::Text => ScalarValue::Utf8(Some(value.to_owned())),
        Kind::Bytea => ScalarValue::Binary(Some(bytea(value)?)),
        Kind::Date => ScalarValue::Date32(Some(datetime::date(value)?)),
        Kind::Time => ScalarValue::Time64Microsecond(Some(datetime::time(value)?)),
        Kind::Timestamp | Kind::TimestampTz => kind.timestamp(datetime::timestamp(value, kind, time_zone)?),
        Kind::Interval => ScalarValue::IntervalMonthDayNano(Some(interval::interval(value)?)),
        Kind::Uuid => {
            let uuid = uuid(value.trim()).ok_or_else(|| invalid_text(kind, value))?;
            ScalarValue::Utf8(Some(uuid.hyphenated().to_string()))
        }
        Kind::Json => json(value)?,
        Kind::Jsonb => jsonb(value)?,
    })
}

/// Reads 32 hexadecimal digits, with a hyphen after any group of four of them and braces around all.
fn uuid(value: &str) -> Option<Uuid> {
    let bare = match value.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => value,
    };
    let (mut digits, mut number) = (0, 0_u128);
    for letter in bare.chars() {
        match letter.to_digit(16) {
            Some(digit) if digits < 32 => (digits, number) = (digits + 1, number << 4 | u128::from(digit)),
            None if letter == '-' && digits % 4 == 0 && digits > 0 && digits < 32 => {}
            _ => return None,
        }
    }
    (digits == 32 && !bare.contains("--")).then(|| Uuid::from_u128(number))
}

fn json(value: &str) -> Result<ScalarValue, ClientMessage> {
    match serde_json::from_str::<serde::de::IgnoredAny>(value) {
        Ok(_) => Ok(ScalarValue::Utf8(Some(value.to_owned()))),
        Err(_) => Err(ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")),
    }
}

/// The value in the one form that a jsonb has.
fn jsonb(value: &str) -> Result<ScalarValue, ClientMessage> {
    json(value)?;
    Ok(ScalarValue::Utf8(Some(semantics::canonical(value))))
}

fn boolean(value: &str) -> Result<bool, ClientMessage> {
    let word = value.trim().to_ascii_lowercase();
    let starts = |full: &str, letters_min: usize| word.len() >= letters_min && full.starts_with(word.as_str());
    if starts("true", 1) || starts("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if starts("false", 1) || starts("no", 1) || starts("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid_text(Kind::Bool, value))
    }
}

/// Reads `\x…` or the escape format.
fn bytea(value: &str) -> Result<Vec<u8>, ClientMessage> {
    if let Some(digits) = value.strip_prefix("\\x") {
        let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
        return bytes.ok_or_else(|| not_hexadecimal(&digits));
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', after @ ..] => {
                bytes.push(b'\\');
                after
            }
            [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', after @ ..] => {
                bytes.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                after
            }
            [b'\\', ..] => return Err(invalid_text(Kind::Bytea, value)),
            [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
        };
    }
}

/// What is wrong with digits that are no bytes.
fn not_hexadecimal(digits: &[u8]) -> ClientMessage {
    let text = String::from_utf8_lossy(digits);
    let message = match text.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        Some(digit) => format!("invalid hexadecimal digit: \"{digit}\""),
        None => "invalid hexadecimal data: odd number of digits".to_owned(),
    };
    ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The client itself sent the value, so it may be shown to it.
fn invalid_text(kind: Kind, value: &str) -> ClientMessage {
    let sqlstate = match kind {
        Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz | Kind::Interval => SqlState::INVALID_DATETIME_FORMAT,
        _ => SqlState::INVALID_TEXT_REPRESENTATION,
    };
    ClientMessage::new(sqlstate, format!("invalid input syntax for type {}: \"{value}\"", kind.name()))
}

#[cfg(test)]
mod tests;
