//! The PostgreSQL type that an Arrow type is by itself, and the element type of an array type.

use arrow::datatypes::{DataType, Field};

use crate::engine::PgType;

/// The type that a field is sent as when nothing else is known of it. The field's metadata `pg.type` and `pg.typmod` say more.
pub fn natural_type(field: &Field) -> PgType {
    if let Some(name) = field.metadata().get("pg.type")
        && let Some(named) = by_name(name)
    {
        let typmod = field.metadata().get("pg.typmod").and_then(|typmod| typmod.parse().ok());
        return PgType { typmod: typmod.unwrap_or(-1), ..named };
    }
    match field.data_type() {
        DataType::Boolean => PgType::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => PgType::INT2,
        DataType::Int32 | DataType::UInt16 => PgType::INT4,
        DataType::Int64 | DataType::UInt32 => PgType::INT8,
        DataType::UInt64 => PgType::NUMERIC,
        DataType::Float16 | DataType::Float32 => PgType::FLOAT4,
        DataType::Float64 => PgType::FLOAT8,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => PgType::NUMERIC,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => PgType::BYTEA,
        DataType::Date32 | DataType::Date64 => PgType::DATE,
        DataType::Time32(_) | DataType::Time64(_) => PgType::TIME,
        DataType::Timestamp(_, None) => PgType::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => PgType::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => PgType::INTERVAL,
        DataType::Dictionary(_, value) => natural_type(&Field::new("", value.as_ref().clone(), true)),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => array_of(natural_type(item)),
        DataType::Struct(_) => PgType::RECORD,
        _ => PgType::TEXT,
    }
}

fn by_name(name: &str) -> Option<PgType> {
    Some(match name {
        "uuid" => PgType::UUID,
        "json" => PgType::JSON,
        "jsonb" => PgType::JSONB,
        "varchar" => PgType::VARCHAR,
        "bpchar" => PgType::BPCHAR,
        "name" => PgType::NAME,
        "char" => PgType::CHAR,
        "text" => PgType::TEXT,
        "oid" => PgType::OID,
        "xid" => PgType::XID,
        "regclass" => PgType::REGCLASS,
        "regtype" => PgType::REGTYPE,
        "regproc" => PgType::REGPROC,
        _ => return None,
    })
}

/// Array types and their elements.
const ARRAYS: [(PgType, PgType); 22] = [
    (PgType::BOOL_ARRAY, PgType::BOOL),
    (PgType::BYTEA_ARRAY, PgType::BYTEA),
    (PgType::CHAR_ARRAY, PgType::CHAR),
    (PgType::NAME_ARRAY, PgType::NAME),
    (PgType::INT2_ARRAY, PgType::INT2),
    (PgType::INT4_ARRAY, PgType::INT4),
    (PgType::TEXT_ARRAY, PgType::TEXT),
    (PgType::INT8_ARRAY, PgType::INT8),
    (PgType::FLOAT4_ARRAY, PgType::FLOAT4),
    (PgType::FLOAT8_ARRAY, PgType::FLOAT8),
    (PgType::OID_ARRAY, PgType::OID),
    (PgType::VARCHAR_ARRAY, PgType::VARCHAR),
    (PgType::TIMESTAMP_ARRAY, PgType::TIMESTAMP),
    (PgType::DATE_ARRAY, PgType::DATE),
    (PgType::TIME_ARRAY, PgType::TIME),
    (PgType::TIMESTAMPTZ_ARRAY, PgType::TIMESTAMPTZ),
    (PgType::INTERVAL_ARRAY, PgType::INTERVAL),
    (PgType::NUMERIC_ARRAY, PgType::NUMERIC),
    (PgType::UUID_ARRAY, PgType::UUID),
    (PgType::JSON_ARRAY, PgType::JSON),
    (PgType::JSONB_ARRAY, PgType::JSONB),
    (PgType { oid: 2287, len: -1, typmod: -1 }, PgType::RECORD),
];

/// The array type of an element; an array of arrays has the same type as its rows.
fn array_of(element: PgType) -> PgType {
    if element_of(element).is_some() {
        return element;
    }
    ARRAYS.iter().find(|(_, of)| of.oid == element.oid).map_or(PgType::TEXT_ARRAY, |(array, _)| *array)
}

/// The element type of an array type.
pub(super) fn element_of(array: PgType) -> Option<PgType> {
    ARRAYS.iter().find(|(known, _)| known.oid == array.oid).map(|(_, element)| *element)
}
