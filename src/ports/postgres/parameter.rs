//! Values that travel with a query, or stand in it.

use bytes::{BufMut, BytesMut};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A parameter of a query.
#[derive(Clone, PartialEq)]
pub(super) enum Parameter {
    Bool(bool),
    Int(i64),
    Float4(f32),
    Float8(f64),
    Text(String),
    Uuid(uuid::Uuid),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Instant(i64),
    Bytes(Vec<u8>),
    Ints(Vec<i64>),
    Uuids(Vec<uuid::Uuid>),
}

impl std::fmt::Debug for Parameter {
    /// Literals of policies stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Parameter {
    /// The type that it is declared as.
    pub(super) fn pg_type(&self) -> Type {
        match self {
            Self::Bool(_) => Type::BOOL,
            Self::Int(_) => Type::INT8,
            Self::Float4(_) => Type::FLOAT4,
            Self::Float8(_) => Type::FLOAT8,
            Self::Text(_) => Type::TEXT,
            Self::Uuid(_) => Type::UUID,
            Self::Date(_) => Type::DATE,
            Self::Time(_) => Type::TIME,
            Self::Timestamp(_) => Type::TIMESTAMP,
            Self::Instant(_) => Type::TIMESTAMPTZ,
            Self::Bytes(_) => Type::BYTEA,
            Self::Ints(_) => Type::INT8_ARRAY,
            Self::Uuids(_) => Type::UUID_ARRAY,
        }
    }
}

impl Parameter {
    /// The value as it stands in a statement, for one that takes no parameters; `None` if it is not spoken of in a few words.
    pub(super) fn to_sql_text(&self) -> Option<String> {
        let (text, pg_type) = match self {
            Self::Bool(value) => (value.to_string(), "bool"),
            Self::Int(value) => (value.to_string(), "int8"),
            Self::Float4(value) => (format!("{value:?}"), "float4"),
            Self::Float8(value) => (format!("{value:?}"), "float8"),
            Self::Text(value) => (value.replace('\'', "''"), "text"),
            Self::Uuid(value) => (value.to_string(), "uuid"),
            Self::Date(days) => (day(*days)?.to_string(), "date"),
            Self::Time(micros) => (time(*micros)?, "time"),
            Self::Timestamp(micros) => (moment(*micros)?, "timestamp"),
            Self::Instant(micros) => (format!("{}+00", moment(*micros)?), "timestamptz"),
            Self::Bytes(bytes) => (bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")), "bytea"),
            Self::Ints(_) | Self::Uuids(_) => return None,
        };
        Some(format!("'{text}'::pg_catalog.{pg_type}"))
    }
}

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Bool(value) => out.put_u8(u8::from(*value)),
            Self::Int(value) | Self::Time(value) | Self::Timestamp(value) | Self::Instant(value) => out.put_i64(*value),
            Self::Float4(value) => out.put_f32(*value),
            Self::Float8(value) => out.put_f64(*value),
            Self::Text(value) => out.put_slice(value.as_bytes()),
            Self::Uuid(value) => out.put_slice(value.as_bytes()),
            Self::Date(value) => out.put_i32(*value),
            Self::Bytes(value) => out.put_slice(value),
            Self::Ints(values) => put_array(out, &Type::INT8, values, |value| value.to_be_bytes())?,
            Self::Uuids(values) => put_array(out, &Type::UUID, values, |value| value.into_bytes())?,
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// An array of one dimension without NULL; one without elements has no dimension.
fn put_array<T: Copy, const N: usize>(
    out: &mut BytesMut,
    element: &Type,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> Result<(), std::num::TryFromIntError> {
    out.put_i32(i32::from(!values.is_empty()));
    out.put_i32(0);
    out.put_u32(element.oid());
    if !values.is_empty() {
        out.put_i32(i32::try_from(values.len())?);
        out.put_i32(1);
    }
    let length = i32::try_from(N)?;
    for value in values {
        out.put_i32(length);
        out.put_slice(&bytes(*value));
    }
    Ok(())
}

/// PostgreSQL counts from 2000. Years that need a sign or a fifth digit have other words.
fn day(days: i32) -> Option<NaiveDate> {
    let day = NaiveDate::from_ymd_opt(2000, 1, 1)?.checked_add_signed(TimeDelta::try_days(days.into())?)?;
    (1..=9999).contains(&day.year()).then_some(day)
}

fn time(micros: i64) -> Option<String> {
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).ok()?;
    let nanos = u32::try_from(micros.rem_euclid(1_000_000)).ok()?.checked_mul(1_000)?;
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos).map(|time| time.format("%H:%M:%S%.6f").to_string())
}

fn moment(micros: i64) -> Option<String> {
    let start: NaiveDateTime = NaiveDate::from_ymd_opt(2000, 1, 1)?.and_hms_opt(0, 0, 0)?;
    let moment = start.checked_add_signed(TimeDelta::microseconds(micros))?;
    (1..=9999).contains(&moment.year()).then(|| moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_a_statement_as_the_server_reads_them() {
        let text = |parameter: Parameter| parameter.to_sql_text().unwrap_or_default();
        assert_eq!(text(Parameter::Int(-7)), "'-7'::pg_catalog.int8");
        assert_eq!(text(Parameter::Text("it's \\ $1".to_owned())), "'it''s \\ $1'::pg_catalog.text");
        assert_eq!(text(Parameter::Float8(1e-7)), "'1e-7'::pg_catalog.float8");
        assert_eq!(text(Parameter::Bytes(vec![0, 255])), "'\\x00ff'::pg_catalog.bytea");
        assert_eq!(text(Parameter::Date(-1)), "'1999-12-31'::pg_catalog.date");
        assert_eq!(text(Parameter::Time(3_600_000_001)), "'01:00:00.000001'::pg_catalog.time");
        assert_eq!(text(Parameter::Timestamp(-1)), "'1999-12-31 23:59:59.999999'::pg_catalog.timestamp");
        assert_eq!(text(Parameter::Instant(0)), "'2000-01-01 00:00:00.000000+00'::pg_catalog.timestamptz");
        for beyond in [Parameter::Date(i32::MAX), Parameter::Timestamp(i64::MIN), Parameter::Time(86_400_000_000)] {
            assert_eq!(text(beyond), "");
        }
    }
}
