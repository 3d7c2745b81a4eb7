//! The contract's types as Arrow types. No I/O.
//!
//! Every column is nullable to the engine, also a required one: the optimizer drops `IS NULL` tests on columns that cannot be NULL, and a
//! source that breaks its promise would then slip through a row filter. The contract's promise is for people, not for the optimizer.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, IntervalUnit, Schema, SchemaRef, TimeUnit};

use crate::product::{DataType, Field};

/// Metadata key: the PostgreSQL type, where the Arrow type does not tell it.
pub const PG_TYPE: &str = "pg.type";
/// Metadata key: the PostgreSQL type modifier.
pub const PG_TYPMOD: &str = "pg.typmod";
/// The zone of every `timestamptz` column.
pub(super) const UTC: &str = "+00:00";

/// The schema that a port of these fields shows.
pub fn arrow_schema(fields: &[Field]) -> SchemaRef {
    Arc::new(Schema::new(fields.iter().map(|field| arrow_field(field.name.as_str(), &field.data_type)).collect::<Vec<_>>()))
}

/// One column of a contract as Arrow.
pub(super) fn arrow_field(name: &str, data_type: &DataType) -> ArrowField {
    ArrowField::new(name, arrow_type(data_type), true).with_metadata(metadata(data_type))
}

fn metadata(data_type: &DataType) -> HashMap<String, String> {
    let pairs: &[(&str, String)] = &match data_type {
        DataType::Uuid => vec![(PG_TYPE, "uuid".to_owned())],
        DataType::Json => vec![(PG_TYPE, "json".to_owned())],
        DataType::Varchar(length) => {
            vec![(PG_TYPE, "varchar".to_owned()), (PG_TYPMOD, (i64::from(*length) + 4).to_string())]
        }
        _ => vec![],
    };
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn arrow_type(data_type: &DataType) -> ArrowType {
    match data_type {
        DataType::String | DataType::Varchar(_) | DataType::Uuid | DataType::Json => ArrowType::Utf8View,
        DataType::Boolean => ArrowType::Boolean,
        DataType::Int16 => ArrowType::Int16,
        DataType::Int32 => ArrowType::Int32,
        DataType::Int64 => ArrowType::Int64,
        DataType::Float32 => ArrowType::Float32,
        DataType::Float64 => ArrowType::Float64,
        DataType::Decimal { precision, scale } => ArrowType::Decimal128(*precision, *scale),
        DataType::Date => ArrowType::Date32,
        DataType::Time => ArrowType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, None),
        DataType::TimestampTz => ArrowType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        DataType::Interval => ArrowType::Interval(IntervalUnit::MonthDayNano),
        DataType::Bytes => ArrowType::Binary,
        DataType::List(element) => ArrowType::List(Arc::new(arrow_field("item", element))),
    }
}

/// What texts in a `Utf8View` column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    Text,
    Uuid,
    Json,
}

/// What texts of this column are.
pub(super) fn text_kind(field: &ArrowField) -> TextKind {
    match field.metadata().get(PG_TYPE).map(String::as_str) {
        Some("uuid") => TextKind::Uuid,
        Some("json") => TextKind::Json,
        _ => TextKind::Text,
    }
}

/// The type in the contract's words.
pub(super) fn type_name(field: &ArrowField) -> String {
    match field.data_type() {
        ArrowType::Utf8View => match text_kind(field) {
            TextKind::Text => "string".to_owned(),
            TextKind::Uuid => "uuid".to_owned(),
            TextKind::Json => "json".to_owned(),
        },
        ArrowType::List(element) => format!("list<{}>", type_name(element)),
        other => arrow_type_name(other),
    }
}

/// An Arrow type in the contract's words, or in Arrow's where the contract has none.
pub(super) fn arrow_type_name(data_type: &ArrowType) -> String {
    match data_type {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => "string".to_owned(),
        ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView => "bytes".to_owned(),
        ArrowType::Date32 => "date".to_owned(),
        ArrowType::Time32(_) | ArrowType::Time64(_) => "time".to_owned(),
        ArrowType::Timestamp(_, None) => "timestamp".to_owned(),
        ArrowType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        ArrowType::Interval(_) => "interval".to_owned(),
        ArrowType::Decimal32(p, s) | ArrowType::Decimal64(p, s) | ArrowType::Decimal128(p, s) | ArrowType::Decimal256(p, s) => {
            format!("decimal({p},{s})")
        }
        ArrowType::Dictionary(_, value) => arrow_type_name(value),
        ArrowType::List(element) | ArrowType::LargeList(element) => format!("list<{}>", arrow_type_name(element.data_type())),
        ArrowType::Struct(_) => "struct".to_owned(),
        ArrowType::Map(..) => "map".to_owned(),
        ArrowType::Union(..) => "union".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
