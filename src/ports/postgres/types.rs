//! Which column types of PostgreSQL show as which types of the contract, and how they are asked for.
//!
//! INVARIANT: a conversion that could lose something is none: the column counts as retyped.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, IntervalUnit, TimeUnit};
use tokio_postgres::types::Type;

use super::super::schema::{TextKind, arrow_field, text_kind};
use crate::product::DataType;

/// A column as the server's catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    /// The type's OID; of a domain, its base type's.
    pub(super) oid: u32,
    pub(super) typmod: i32,
    /// The type's name, for messages.
    pub(super) type_name: String,
    /// A type of the user's whose values are labels.
    pub(super) is_enum: bool,
    /// An array of such a type.
    pub(super) is_enum_array: bool,
    /// A domain: its columns need a cast to travel as their base type.
    pub(super) is_domain: bool,
    /// Equal texts are equal bytes.
    pub(super) deterministic: bool,
    /// The OID of its collation; 0 if it has none.
    pub(super) collation: u32,
    /// An index begins with it.
    pub(super) indexed: bool,
}

/// How a column is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    /// The cast behind the column, or nothing.
    pub(super) cast: &'static str,
    /// The type that its values travel as.
    pub(super) oid: u32,
    /// The cast fails for some values, which are told as infinity instead. Such a column is read, and nothing else: to be compared it would be cast.
    pub(super) checked: bool,
}

/// The last day that is a moment, too.
const LAST_DAY_OF_MOMENTS: &str = "'294276-12-31'::pg_catalog.date";

impl Access {
    /// The column of that name as it is asked for.
    pub(super) fn of(&self, name: &str) -> String {
        let cast = format!("{name}{}", self.cast);
        if !self.checked {
            return cast;
        }
        format!("CASE WHEN {name} > {LAST_DAY_OF_MOMENTS} AND {name} < 'infinity' THEN 'infinity' ELSE {cast} END")
    }
}

/// How a source column is asked for so that it shows as the field; `None` if it cannot.
pub(super) fn access(source: &SourceColumn, field: &ArrowField) -> Option<Access> {
    let wire = wire_type(field)?;
    let fits = fits(source, field);
    let cast = if source.oid == wire.oid() && !source.is_domain { "" } else { cast_to(&wire)? };
    let checked = wire == Type::TIMESTAMP && source.oid == Type::DATE.oid();
    fits.then(|| Access { cast, oid: wire.oid(), checked })
}

/// The cast to what values of a field travel as, and its OID.
pub(super) fn told_as(field: &ArrowField) -> Option<(&'static str, u32)> {
    let wire = wire_type(field)?;
    Some((cast_to(&wire)?, wire.oid()))
}

/// The type that values of a field travel as.
fn wire_type(field: &ArrowField) -> Option<Type> {
    Some(match field.data_type() {
        ArrowType::Boolean => Type::BOOL,
        ArrowType::Int16 => Type::INT2,
        ArrowType::Int32 => Type::INT4,
        ArrowType::Int64 => Type::INT8,
        ArrowType::Float32 => Type::FLOAT4,
        ArrowType::Float64 => Type::FLOAT8,
        ArrowType::Decimal128(_, _) => Type::NUMERIC,
        ArrowType::Utf8View => match text_kind(field) {
            TextKind::Text | TextKind::Json => Type::TEXT,
            TextKind::Uuid => Type::UUID,
        },
        ArrowType::Date32 => Type::DATE,
        ArrowType::Time64(TimeUnit::Microsecond) => Type::TIME,
        ArrowType::Timestamp(TimeUnit::Microsecond, None) => Type::TIMESTAMP,
        ArrowType::Timestamp(TimeUnit::Microsecond, Some(_)) => Type::TIMESTAMPTZ,
        ArrowType::Interval(IntervalUnit::MonthDayNano) => Type::INTERVAL,
        ArrowType::Binary => Type::BYTEA,
        ArrowType::List(element) => array_of(&wire_type(element)?)?,
        _ => return None,
    })
}

fn array_of(element: &Type) -> Option<Type> {
    Some(match *element {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::FLOAT4 => Type::FLOAT4_ARRAY,
        Type::FLOAT8 => Type::FLOAT8_ARRAY,
        Type::NUMERIC => Type::NUMERIC_ARRAY,
        Type::TEXT => Type::TEXT_ARRAY,
        Type::UUID => Type::UUID_ARRAY,
        Type::DATE => Type::DATE_ARRAY,
        Type::TIME => Type::TIME_ARRAY,
        Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL => Type::INTERVAL_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        _ => return None,
    })
}

fn cast_to(wire: &Type) -> Option<&'static str> {
    Some(match *wire {
        Type::BOOL => "::pg_catalog.bool",
        Type::INT2 => "::pg_catalog.int2",
        Type::INT4 => "::pg_catalog.int4",
        Type::INT8 => "::pg_catalog.int8",
        Type::FLOAT4 => "::pg_catalog.float4",
        Type::FLOAT8 => "::pg_catalog.float8",
        Type::NUMERIC => "::pg_catalog.numeric",
        Type::TEXT => "::pg_catalog.text",
        Type::UUID => "::pg_catalog.uuid",
        Type::DATE => "::pg_catalog.date",
        Type::TIME => "::pg_catalog.time",
        Type::TIMESTAMP => "::pg_catalog.timestamp",
        Type::TIMESTAMPTZ => "::pg_catalog.timestamptz",
        Type::INTERVAL => "::pg_catalog.interval",
        Type::BYTEA => "::pg_catalog.bytea",
        Type::BOOL_ARRAY => "::pg_catalog.bool[]",
        Type::INT2_ARRAY => "::pg_catalog.int2[]",
        Type::INT4_ARRAY => "::pg_catalog.int4[]",
        Type::INT8_ARRAY => "::pg_catalog.int8[]",
        Type::FLOAT4_ARRAY => "::pg_catalog.float4[]",
        Type::FLOAT8_ARRAY => "::pg_catalog.float8[]",
        Type::NUMERIC_ARRAY => "::pg_catalog.numeric[]",
        Type::TEXT_ARRAY => "::pg_catalog.text[]",
        Type::UUID_ARRAY => "::pg_catalog.uuid[]",
        Type::DATE_ARRAY => "::pg_catalog.date[]",
        Type::TIME_ARRAY => "::pg_catalog.time[]",
        Type::TIMESTAMP_ARRAY => "::pg_catalog.timestamp[]",
        Type::TIMESTAMPTZ_ARRAY => "::pg_catalog.timestamptz[]",
        Type::INTERVAL_ARRAY => "::pg_catalog.interval[]",
        Type::BYTEA_ARRAY => "::pg_catalog.bytea[]",
        _ => return None,
    })
}

const TEXTS: [u32; 5] = [25, 1043, 1042, 19, 18];

/// Types that no contract type is like, and whose values are told whole by their texts. Not `money`: its text hangs on a locale.
const TOLD_BY_TEXT: &[Type] = &[
    Type::INET,
    Type::CIDR,
    Type::MACADDR,
    Type::MACADDR8,
    Type::BIT,
    Type::VARBIT,
    Type::TIMETZ,
    Type::XML,
    Type::PG_LSN,
    Type::TS_VECTOR,
    Type::TSQUERY,
    Type::JSONPATH,
    Type::INT4_RANGE,
    Type::INT8_RANGE,
    Type::NUM_RANGE,
    Type::TS_RANGE,
    Type::TSTZ_RANGE,
    Type::DATE_RANGE,
    Type::INT4MULTI_RANGE,
    Type::INT8MULTI_RANGE,
    Type::NUMMULTI_RANGE,
    Type::TSMULTI_RANGE,
    Type::TSTZMULTI_RANGE,
    Type::DATEMULTI_RANGE,
    Type::POINT,
    Type::LINE,
    Type::LSEG,
    Type::BOX,
    Type::PATH,
    Type::POLYGON,
    Type::CIRCLE,
];

fn fits(source: &SourceColumn, field: &ArrowField) -> bool {
    let from = Type::from_oid(source.oid);
    let one_of = |types: &[Type]| from.as_ref().is_some_and(|from| types.contains(from));
    match field.data_type() {
        ArrowType::Int32 => one_of(&[Type::INT2, Type::INT4]),
        ArrowType::Int64 => one_of(&[Type::INT2, Type::INT4, Type::INT8, Type::OID]),
        ArrowType::Float64 => one_of(&[Type::FLOAT8, Type::FLOAT4, Type::INT2, Type::INT4]),
        ArrowType::Decimal128(precision, scale) => {
            one_of(&[Type::INT2, Type::INT4, Type::INT8]) || (one_of(&[Type::NUMERIC]) && decimal_fits(source.typmod, *precision, *scale))
        }
        ArrowType::Utf8View => match text_kind(field) {
            TextKind::Text => source.is_enum || TEXTS.contains(&source.oid) || source.is_citext() || one_of(TOLD_BY_TEXT),
            TextKind::Json => one_of(&[Type::JSON, Type::JSONB]),
            TextKind::Uuid => one_of(&[Type::UUID]),
        },
        ArrowType::Timestamp(_, None) => one_of(&[Type::TIMESTAMP, Type::DATE]),
        ArrowType::List(element) => {
            let inner = from.as_ref().and_then(|from| match from.kind() {
                tokio_postgres::types::Kind::Array(inner) => Some(inner.clone()),
                _ => None,
            });
            // Days as moments would need a look at each.
            let inner = inner.filter(|inner| *inner != Type::DATE || element.data_type() == &ArrowType::Date32);
            let text = element.data_type() == &ArrowType::Utf8View && text_kind(element) == TextKind::Text;
            (source.is_enum_array && text) || inner.is_some_and(|inner| fits(&source.element(&inner), element))
        }
        _ => wire_type(field).is_some_and(|wire| one_of(&[wire])),
    }
}

/// Precision and scale of a `numeric` column; `None` when it has no limit.
fn numeric_limits(typmod: i32) -> Option<(i32, i32)> {
    let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
    // Eleven bits, signed.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    Some((packed >> 16, scale))
}

/// A column without limits may hold what does not fit; each value is checked when it arrives.
fn decimal_fits(typmod: i32, precision: u8, scale: i8) -> bool {
    let (precision, scale) = (i32::from(precision), i32::from(scale));
    numeric_limits(typmod).is_none_or(|(p, s)| s <= scale && p - s <= precision - scale)
}

/// The field that shows a source column, for contracts without a schema.
pub(super) fn own_field(source: &SourceColumn) -> Option<ArrowField> {
    Some(arrow_field(&source.name, &own_type(source)?))
}

impl SourceColumn {
    /// No numeric, or one of so many digits.
    pub(super) fn is_limited(&self) -> bool {
        self.oid != Type::NUMERIC.oid() || numeric_limits(self.typmod).is_some()
    }

    /// Of the one extension whose values are texts, wherever it was put.
    fn is_citext(&self) -> bool {
        self.type_name.rsplit('.').next() == Some("citext")
    }

    /// An element of an array.
    fn element(&self, inner: &Type) -> Self {
        Self { oid: inner.oid(), type_name: inner.name().to_owned(), is_enum: false, is_enum_array: false, ..self.clone() }
    }
}

fn own_type(source: &SourceColumn) -> Option<DataType> {
    if source.is_enum || TEXTS.contains(&source.oid) {
        return Some(DataType::String);
    }
    if source.is_enum_array {
        return Some(DataType::List(Box::new(DataType::String)));
    }
    let pg_type = Type::from_oid(source.oid)?;
    if let tokio_postgres::types::Kind::Array(inner) = pg_type.kind() {
        return own_type(&source.element(inner)).map(|element| DataType::List(Box::new(element)));
    }
    Some(match pg_type {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => {
            let (precision, scale) = numeric_limits(source.typmod).unwrap_or((38, 10));
            DataType::Decimal { precision: u8::try_from(precision).ok().filter(|p| *p <= 38)?, scale: i8::try_from(scale).ok()? }
        }
        Type::DATE => DataType::Date,
        Type::TIME => DataType::Time,
        Type::TIMESTAMP => DataType::Timestamp,
        Type::TIMESTAMPTZ => DataType::TimestampTz,
        Type::INTERVAL => DataType::Interval,
        Type::UUID => DataType::Uuid,
        Type::JSON | Type::JSONB => DataType::Json,
        Type::BYTEA => DataType::Bytes,
        Type::OID => DataType::Int64,
        told if TOLD_BY_TEXT.contains(&told) => DataType::String,
        _ => return None,
    })
}

/// The element of a list field.
pub(super) fn element_of(field: &ArrowField) -> Option<&Arc<ArrowField>> {
    match field.data_type() {
        ArrowType::List(element) => Some(element),
        _ => None,
    }
}
