//! Which types can be cast to which: those of PostgreSQL's `pg_cast`, and any type to a text and back.

use arrow::datatypes::{DataType, Field};

use crate::engine::PgType;
use crate::error::SqlState;

use super::function::{Result, fault};
use super::{Carried, typed};

/// Types as far as it decides what they can be cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Truth,
    Small,
    Integer,
    Big,
    Oid,
    Reg,
    Float,
    Numeric,
    Bytes,
    Date,
    Time,
    Timestamp,
    Instant,
    Interval,
    Uuid,
    Json,
    Jsonb,
    List,
    Carried(&'static str),
}

/// The kind of a type; `None` of texts, which all others can be made of, and of what is not looked at.
fn kind(field: &Field) -> Option<Kind> {
    Some(match field.data_type() {
        found if found.is_string() => match typed::named(field) {
            Some("uuid") => Kind::Uuid,
            Some("json") => Kind::Json,
            Some("jsonb") => Kind::Jsonb,
            Some(name) if name.starts_with("reg") => Kind::Reg,
            Some(name) => Kind::Carried(Carried::named(name)?.0),
            None => return None,
        },
        DataType::Boolean => Kind::Truth,
        DataType::Int16 => Kind::Small,
        DataType::Int32 => Kind::Integer,
        DataType::Int64 => Kind::Big,
        DataType::UInt32 => Kind::Oid,
        found if found.is_floating() => Kind::Float,
        DataType::Decimal128(..) | DataType::Decimal256(..) => Kind::Numeric,
        found if found.is_binary() => Kind::Bytes,
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Time32(_) | DataType::Time64(_) => Kind::Time,
        DataType::Timestamp(_, None) => Kind::Timestamp,
        DataType::Timestamp(_, Some(_)) => Kind::Instant,
        DataType::Interval(_) | DataType::Duration(_) => Kind::Interval,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => Kind::List,
        _ => return None,
    })
}

/// Refuses a cast that PostgreSQL does not have.
pub(super) fn check(from: &Field, to: &Field) -> Result<()> {
    let (Some(one), Some(other)) = (kind(from), kind(to)) else { return Ok(()) };
    if castable(one, other) {
        return Ok(());
    }
    if unsupported(one, other) {
        return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "casts between types of addresses, and of times, are not supported"));
    }
    let name = |field: &Field| PgType::of_arrow(field).with_typmod(-1).format().unwrap_or_default();
    Err(fault(SqlState::CANNOT_COERCE, &format!("cannot cast type {} to {}", name(from), name(to))))
}

/// Casts that PostgreSQL has between types of which one is carried as a text.
fn unsupported(from: Kind, to: Kind) -> bool {
    let inet = |kind: Kind| matches!(kind, Kind::Carried("inet" | "cidr"));
    let zoned = |kind: Kind| kind == Kind::Carried("timetz");
    let timed = |kind: Kind| matches!(kind, Kind::Time | Kind::Instant);
    inet(from) && inet(to) || zoned(from) && to == Kind::Time || timed(from) && zoned(to)
}

fn castable(from: Kind, to: Kind) -> bool {
    use Kind::{
        Big, Bytes, Carried, Date, Float, Instant, Integer, Interval, Json, Jsonb, List, Numeric, Oid, Reg, Small, Time, Timestamp, Truth,
        Uuid,
    };
    from == to
        || match from {
            Truth => to == Integer,
            Integer => matches!(to, Truth | Small | Big | Float | Numeric | Oid),
            Small => matches!(to, Integer | Big | Float | Numeric | Oid),
            Big => matches!(to, Small | Integer | Float | Numeric | Oid),
            Oid => matches!(to, Integer | Big | Reg),
            Reg => matches!(to, Oid | Integer | Big),
            Float | Numeric => matches!(to, Small | Integer | Big | Float | Numeric),
            Date => matches!(to, Timestamp | Instant),
            Time => to == Interval,
            Timestamp => matches!(to, Date | Time | Instant),
            Instant => matches!(to, Date | Time | Timestamp),
            Interval => to == Time,
            Json => to == Jsonb,
            Jsonb => matches!(to, Json | Truth | Small | Integer | Big | Float | Numeric),
            Bytes | Uuid | List | Carried(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn only_what_postgres_casts_is_cast() {
        let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
        let told = |from: DataType, to: DataType| check(&Field::new("", from, true), &Field::new("", to, true)).err();
        for (from, to) in [
            (DataType::Boolean, DataType::Int32),
            (DataType::Float64, DataType::Int64),
            (moment.clone(), DataType::Date32),
            (DataType::Utf8, DataType::Date32),
            (DataType::Binary, DataType::Utf8),
        ] {
            assert!(told(from, to).is_none());
        }
        for (from, to) in [
            (DataType::Boolean, DataType::Int64),
            (DataType::Int32, DataType::Date32),
            (DataType::Int64, moment),
            (DataType::Int32, DataType::Binary),
            (DataType::Date32, DataType::Int32),
        ] {
            assert!(told(from, to).is_some());
        }
        let fault = told(DataType::Int32, DataType::Date32).unwrap().to_string();
        assert!(fault.contains("cannot cast type integer to date"), "{fault}");
    }
}
