//! Writes Avro files for tests: Arrow columns of contract types, each a union with NULL.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use serde_json::{Value, json};

const MARK: [u8; 16] = *b"0123456789abcdef";

/// The rows as an Avro file that is not packed, a block each of so many rows.
pub(in super::super) fn write(batches: &[RecordBatch], rows: usize) -> Vec<u8> {
    let schema = batches[0].schema();
    let fields = schema.fields().iter().map(|field| json!({"name": field.name(), "type": ["null", written_type(field.data_type())]}));
    let record = json!({"type": "record", "name": "Row", "fields": fields.collect::<Vec<_>>()}).to_string();
    let mut file = b"Obj\x01".to_vec();
    long(&mut file, 2);
    for text in ["avro.schema", &record, "avro.codec", "null"] {
        bytes(&mut file, text.as_bytes());
    }
    long(&mut file, 0);
    file.extend(MARK);
    for batch in batches {
        for start in (0..batch.num_rows()).step_by(rows) {
            let part = batch.slice(start, rows.min(batch.num_rows() - start));
            let mut block = Vec::new();
            (0..part.num_rows()).for_each(|row| part.columns().iter().for_each(|column| value(&mut block, column, row)));
            long(&mut file, i64::try_from(part.num_rows()).unwrap());
            bytes(&mut file, &block);
            file.extend(MARK);
        }
    }
    file
}

fn written_type(data_type: &DataType) -> Value {
    let logical = |kind: &str, logical: &str| json!({"type": kind, "logicalType": logical});
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int16 | DataType::Int32 => json!("int"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8View => json!("string"),
        DataType::Decimal128(precision, scale) => {
            json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
        }
        DataType::Date32 => logical("int", "date"),
        DataType::Time64(_) => logical("long", "time-micros"),
        DataType::Timestamp(_, Some(_)) => logical("long", "timestamp-micros"),
        DataType::Timestamp(_, None) => logical("long", "local-timestamp-micros"),
        other => panic!("{other}"),
    }
}

fn value(to: &mut Vec<u8>, column: &dyn Array, row: usize) {
    if column.is_null(row) {
        return long(to, 0);
    }
    long(to, 1);
    match column.data_type() {
        DataType::Boolean => to.push(column.as_boolean().value(row).into()),
        DataType::Int16 => long(to, column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => long(to, column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => long(to, column.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => to.extend(column.as_primitive::<Float32Type>().value(row).to_le_bytes()),
        DataType::Float64 => to.extend(column.as_primitive::<Float64Type>().value(row).to_le_bytes()),
        DataType::Utf8View => bytes(to, column.as_string_view().value(row).as_bytes()),
        DataType::Decimal128(..) => bytes(to, &column.as_primitive::<Decimal128Type>().value(row).to_be_bytes()[6..]),
        DataType::Date32 => long(to, column.as_primitive::<Date32Type>().value(row).into()),
        DataType::Time64(_) => long(to, column.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Timestamp(..) => long(to, column.as_primitive::<TimestampMicrosecondType>().value(row)),
        other => panic!("{other}"),
    }
}

fn long(to: &mut Vec<u8>, value: i64) {
    let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while rest > 0x7f {
        to.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    to.push(u8::try_from(rest).unwrap());
}

fn bytes(to: &mut Vec<u8>, value: &[u8]) {
    long(to, i64::try_from(value.len()).unwrap());
    to.extend(value);
}
