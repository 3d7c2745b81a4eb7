//! Constants that stand for every value of a column, also where it is NULL: that a value is missing is told by nothing.

use std::sync::Arc;

use datafusion::arrow::array::{ListArray, new_empty_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType as ArrowType, Field};
use datafusion::common::ScalarValue;

use crate::product::DataType;
use crate::product::mask::{Decimal, Value};

use super::types::{characters_max, narrowed};

const REDACTED_TEXT: &str = "***";
/// What the Iceberg read restrictions lay down.
const FIXED_TEXT: &str = "XXXXXXXX";
const FIXED_NUMBER: i64 = 999_999_999;
/// It has no 16-bit numbers.
const FIXED_SMALL_NUMBER: i64 = 9_999;
/// 9999-12-31
const FIXED_DAY: i32 = 2_932_896;
const MICROS_PER_DAY: i64 = 86_400_000_000;
const ZERO_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// `redact`
pub(super) fn redacted(data_type: &DataType, field: &Field) -> Option<ScalarValue> {
    let value = match data_type {
        DataType::String | DataType::Varchar(_) => text(REDACTED_TEXT, data_type),
        DataType::Json => text("\"***\"", data_type),
        DataType::Int16 | DataType::Int32 | DataType::Int64 => Value::Int(0),
        DataType::Date => Value::Date(0),
        DataType::Timestamp | DataType::TimestampTz => Value::Timestamp(0),
        other => return common(other, field),
    };
    scalar(value, field)
}

/// `mask-to-fixed-value` without a value.
pub(super) fn fixed(data_type: &DataType, field: &Field) -> Option<ScalarValue> {
    let value = match data_type {
        DataType::String | DataType::Varchar(_) => text(FIXED_TEXT, data_type),
        DataType::Json => text("{\"masked\": true}", data_type),
        DataType::Int16 => Value::Int(FIXED_SMALL_NUMBER),
        DataType::Int32 | DataType::Int64 => Value::Int(FIXED_NUMBER),
        DataType::Date => Value::Date(FIXED_DAY),
        DataType::Timestamp | DataType::TimestampTz => Value::Timestamp(i64::from(FIXED_DAY).checked_mul(MICROS_PER_DAY)?),
        other => return common(other, field),
    };
    scalar(value, field)
}

/// What both have in common.
fn common(data_type: &DataType, field: &Field) -> Option<ScalarValue> {
    match data_type {
        DataType::Boolean => scalar(Value::Bool(false), field),
        DataType::Float32 | DataType::Float64 => scalar(Value::Float(0.0), field),
        DataType::Decimal { scale, .. } => scalar(Value::Decimal(Decimal { unscaled: 0, scale: u8::try_from(*scale).ok()? }), field),
        DataType::Time => scalar(Value::Time(0), field),
        DataType::Interval => ScalarValue::new_zero(field.data_type()).ok(),
        DataType::Uuid => scalar(text(ZERO_UUID, data_type), field),
        DataType::Bytes => Some(ScalarValue::Binary(Some(Vec::new()))),
        DataType::List(_) => {
            let ArrowType::List(item) = field.data_type() else { return None };
            let empty = ListArray::new(Arc::clone(item), OffsetBuffer::new_zeroed(1), new_empty_array(item.data_type()), None);
            Some(ScalarValue::List(Arc::new(empty)))
        }
        _ => None,
    }
}

/// A text, cut to the type's limit.
fn text(text: &str, data_type: &DataType) -> Value<'static> {
    Value::Text(text.chars().take(characters_max(data_type)).collect::<String>().into())
}

/// A value as a scalar of the column's type.
pub(super) fn scalar(value: Value<'_>, field: &Field) -> Option<ScalarValue> {
    let data_type = field.data_type();
    if let ArrowType::Dictionary(key, inner) = data_type {
        let inner = scalar(value, &field.clone().with_data_type(inner.as_ref().clone()))?;
        return Some(ScalarValue::Dictionary(key.clone(), Box::new(inner)));
    }
    Some(match (value, data_type) {
        (Value::Bool(truth), ArrowType::Boolean) => ScalarValue::Boolean(Some(truth)),
        (Value::Int(number), ArrowType::Int16) => ScalarValue::Int16(Some(number.try_into().ok()?)),
        (Value::Int(number), ArrowType::Int32) => ScalarValue::Int32(Some(number.try_into().ok()?)),
        (Value::Int(number), ArrowType::Int64) => ScalarValue::Int64(Some(number)),
        (Value::Float(number), ArrowType::Float32) => ScalarValue::Float32(Some(narrowed(number)?)),
        (Value::Float(number), ArrowType::Float64) => ScalarValue::Float64(Some(number)),
        (Value::Decimal(number), ArrowType::Decimal128(precision, scale)) => {
            let unscaled = number.rescaled(u8::try_from(*scale).ok()?)?.unscaled;
            ScalarValue::Decimal128(Some(unscaled), *precision, *scale)
        }
        (Value::Text(text), ArrowType::Utf8) => ScalarValue::Utf8(Some(text.into_owned())),
        (Value::Text(text), ArrowType::LargeUtf8) => ScalarValue::LargeUtf8(Some(text.into_owned())),
        (Value::Text(text), ArrowType::Utf8View) => ScalarValue::Utf8View(Some(text.into_owned())),
        (Value::Date(day), ArrowType::Date32) => ScalarValue::Date32(Some(day)),
        (Value::Time(micros), ArrowType::Time64(_)) => ScalarValue::Time64Microsecond(Some(micros)),
        (Value::Timestamp(micros), ArrowType::Timestamp(_, zone)) => ScalarValue::TimestampMicrosecond(Some(micros), zone.clone()),
        _ => return None,
    })
}
