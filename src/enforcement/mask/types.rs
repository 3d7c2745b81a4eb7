//! From the columns of a port to the types of a contract, and what is read of and written to them.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, PrimitiveArray, StringViewArray, StringViewBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType as ArrowType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::error::Result;

use crate::product::DataType;
use crate::product::mask::{Decimal, Value};

use super::wrong_type;

/// The contract's type of a port's column; `None` if ports do not deliver such a column.
pub(in crate::enforcement) fn contract_type(field: &Field) -> Option<DataType> {
    let data_type = match field.data_type() {
        ArrowType::Dictionary(_, value) => value,
        data_type => data_type,
    };
    Some(match data_type {
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => match field.metadata().get("pg.type").map(String::as_str) {
            None | Some("text") => DataType::String,
            Some("varchar") => match field.metadata().get("pg.typmod") {
                None => DataType::String,
                // PostgreSQL's type modifier is the limit and four.
                Some(modifier) => DataType::Varchar(modifier.parse::<u32>().ok()?.checked_sub(4)?),
            },
            Some("uuid") => DataType::Uuid,
            Some("json" | "jsonb") => DataType::Json,
            Some(_) => return None,
        },
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Int16 => DataType::Int16,
        ArrowType::Int32 => DataType::Int32,
        ArrowType::Int64 => DataType::Int64,
        ArrowType::Float32 => DataType::Float32,
        ArrowType::Float64 => DataType::Float64,
        ArrowType::Decimal128(precision, scale) if *scale >= 0 => DataType::Decimal { precision: *precision, scale: *scale },
        ArrowType::Date32 => DataType::Date,
        ArrowType::Time64(TimeUnit::Microsecond) => DataType::Time,
        ArrowType::Timestamp(TimeUnit::Microsecond, None) => DataType::Timestamp,
        ArrowType::Timestamp(TimeUnit::Microsecond, Some(_)) => DataType::TimestampTz,
        ArrowType::Interval(IntervalUnit::MonthDayNano) => DataType::Interval,
        ArrowType::Binary => DataType::Bytes,
        ArrowType::List(item) => DataType::List(Box::new(contract_type(item)?)),
        _ => return None,
    })
}

/// The most characters of a text type.
pub(super) fn characters_max(data_type: &DataType) -> usize {
    match data_type {
        DataType::Varchar(limit) => usize::try_from(*limit).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

/// A column out of its dictionary, texts as views.
pub(in crate::enforcement) fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    let data_type = viewed(column.data_type());
    if data_type == column.data_type() { Ok(Arc::clone(column)) } else { cast(column, data_type).map_err(|_| wrong_type()) }
}

/// The type that texts are read in.
pub(super) fn viewed(data_type: &ArrowType) -> &ArrowType {
    match data_type {
        ArrowType::Dictionary(_, value) => viewed(value),
        ArrowType::Utf8 | ArrowType::LargeUtf8 => &ArrowType::Utf8View,
        other => other,
    }
}

/// A column whose values are read one by one.
pub(in crate::enforcement) enum Reader<'a> {
    Bool(&'a BooleanArray),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a Decimal128Array, u8),
    Date(&'a PrimitiveArray<Date32Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Text(&'a StringViewArray),
    /// Of which it is only known whether a value is NULL.
    Opaque(&'a dyn Array),
}

impl<'a> Reader<'a> {
    /// A reader of a plain column.
    pub(in crate::enforcement) fn new(column: &'a ArrayRef) -> Result<Self> {
        let reader = match column.data_type() {
            ArrowType::Boolean => column.as_boolean_opt().map(Self::Bool),
            ArrowType::Int16 => column.as_primitive_opt().map(Self::Int16),
            ArrowType::Int32 => column.as_primitive_opt().map(Self::Int32),
            ArrowType::Int64 => column.as_primitive_opt().map(Self::Int64),
            ArrowType::Float32 => column.as_primitive_opt().map(Self::Float32),
            ArrowType::Float64 => column.as_primitive_opt().map(Self::Float64),
            ArrowType::Decimal128(_, scale) => {
                let scale = u8::try_from(*scale).map_err(|_| wrong_type())?;
                column.as_primitive_opt::<Decimal128Type>().map(|values| Self::Decimal(values, scale))
            }
            ArrowType::Date32 => column.as_primitive_opt().map(Self::Date),
            ArrowType::Timestamp(TimeUnit::Microsecond, _) => column.as_primitive_opt().map(Self::Timestamp),
            ArrowType::Utf8View => column.as_string_view_opt().map(Self::Text),
            _ => Some(Self::Opaque(column.as_ref())),
        };
        reader.ok_or_else(wrong_type)
    }

    /// The value of a row.
    pub(in crate::enforcement) fn value(&self, row: usize) -> Value<'a> {
        fn of<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>, row: usize, make: impl Fn(T::Native) -> Value<'static>) -> Value<'static> {
            if values.is_valid(row) { make(values.value(row)) } else { Value::Null }
        }
        match self {
            Self::Bool(values) if values.is_valid(row) => Value::Bool(values.value(row)),
            Self::Int16(values) => of(values, row, |value| Value::Int(value.into())),
            Self::Int32(values) => of(values, row, |value| Value::Int(value.into())),
            Self::Int64(values) => of(values, row, Value::Int),
            Self::Float32(values) => of(values, row, |value| Value::Float(value.into())),
            Self::Float64(values) => of(values, row, Value::Float),
            Self::Decimal(values, scale) => of(values, row, |unscaled| Value::Decimal(Decimal { unscaled, scale: *scale })),
            Self::Date(values) => of(values, row, Value::Date),
            Self::Timestamp(values) => of(values, row, Value::Timestamp),
            Self::Text(values) if values.is_valid(row) => Value::Text(values.value(row).into()),
            // Which value it is is nobody's business; that it is one is asked.
            Self::Opaque(values) if values.is_valid(row) => Value::Bool(true),
            Self::Bool(_) | Self::Text(_) | Self::Opaque(_) => Value::Null,
        }
    }
}

/// Collects values into a column of that type; what is no value of it is NULL.
pub(super) fn collect<'a>(data_type: &ArrowType, values: impl Iterator<Item = Value<'a>>) -> Result<ArrayRef> {
    fn numbers<'a, T: ArrowPrimitiveType>(
        data_type: &ArrowType,
        values: impl Iterator<Item = Value<'a>>,
        number: impl Fn(Value<'a>) -> Option<T::Native>,
    ) -> ArrayRef {
        let collected: PrimitiveArray<T> = values.map(number).collect();
        Arc::new(collected.with_data_type(data_type.clone()))
    }
    let int = |value| if let Value::Int(number) = value { Some(number) } else { None };
    let float = |value| if let Value::Float(number) = value { Some(number) } else { None };
    Ok(match data_type {
        ArrowType::Boolean => {
            let truth = |value| if let Value::Bool(truth) = value { Some(truth) } else { None };
            Arc::new(values.map(truth).collect::<BooleanArray>())
        }
        ArrowType::Int16 => numbers::<Int16Type>(data_type, values, |value| int(value)?.try_into().ok()),
        ArrowType::Int32 => numbers::<Int32Type>(data_type, values, |value| int(value)?.try_into().ok()),
        ArrowType::Int64 => numbers::<Int64Type>(data_type, values, int),
        ArrowType::Float32 => numbers::<Float32Type>(data_type, values, |value| narrowed(float(value)?)),
        ArrowType::Float64 => numbers::<Float64Type>(data_type, values, float),
        ArrowType::Decimal128(..) => {
            numbers::<Decimal128Type>(
                data_type,
                values,
                |value| if let Value::Decimal(number) = value { Some(number.unscaled) } else { None },
            )
        }
        ArrowType::Date32 => numbers::<Date32Type>(data_type, values, |value| if let Value::Date(day) = value { Some(day) } else { None }),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            numbers::<TimestampMicrosecondType>(data_type, values, |value| if let Value::Timestamp(at) = value { Some(at) } else { None })
        }
        ArrowType::Utf8View => {
            let mut texts = StringViewBuilder::new();
            values.for_each(|value| match value {
                Value::Text(text) => texts.append_value(text),
                _ => texts.append_null(),
            });
            Arc::new(texts.finish())
        }
        _ => return Err(wrong_type()),
    })
}

/// The nearest number of 32 bits.
pub(super) fn narrowed(number: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what the narrower column has room for")]
    let narrow = number as f32;
    (narrow.is_finite() || !number.is_finite()).then_some(narrow)
}
