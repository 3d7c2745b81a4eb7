//! Rows of system relations, built by column name.
//!
//! A column that a row does not name is NULL, or the type's zero where the relation says never NULL.

use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::DataFusionError;
use std::sync::Arc;

use super::relations::Relation;

/// A value of a system relation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// Any integer or OID.
    Int(i64),
    /// Any number with a fraction.
    Float(f64),
    /// Any text.
    Text(String),
    /// Microseconds since 1970, UTC.
    Instant(i64),
    /// Days since 1970.
    Day(i32),
    /// An interval of seconds.
    Seconds(i64),
    /// An array of texts.
    Texts(Vec<String>),
    /// An array of integers or OIDs.
    Ints(Vec<i64>),
}

macro_rules! into_value {
    ($($source:ty => |$value:ident| $made:expr;)*) => {
        $(impl From<$source> for Value {
            fn from($value: $source) -> Self {
                $made
            }
        })*
    };
}

into_value! {
    bool => |value| Value::Bool(value);
    i64 => |value| Value::Int(value);
    i32 => |value| Value::Int(i64::from(value));
    i16 => |value| Value::Int(i64::from(value));
    u32 => |value| Value::Int(i64::from(value));
    f64 => |value| Value::Float(value);
    String => |value| Value::Text(value);
    &str => |value| Value::Text(value.to_owned());
    &String => |value| Value::Text(value.clone());
    Vec<String> => |value| Value::Texts(value);
    Vec<i64> => |value| Value::Ints(value);
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// The rows of one relation while they are collected.
pub(crate) struct Rows {
    relation: &'static Relation,
    columns: Vec<Vec<ScalarValue>>,
    count: usize,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn new(relation: &'static Relation) -> Self {
        Self { relation, columns: relation.columns.iter().map(|_| Vec::new()).collect(), count: 0 }
    }

    /// Adds a row. A name that the relation does not have is ignored: versions differ in their columns.
    pub(crate) fn push(&mut self, values: &[(&str, Value)]) {
        self.count += 1;
        for ((column, field), cells) in self.relation.columns.iter().zip(self.relation.arrow.fields()).zip(&mut self.columns) {
            let value = values.iter().find(|(name, _)| *name == column.name).map_or(&Value::Null, |(_, value)| value);
            cells.push(match value {
                Value::Null if column.required => ScalarValue::new_default(field.data_type()).unwrap_or(ScalarValue::Null),
                value => scalar(value, field.data_type()),
            });
        }
    }

    /// The rows as one batch.
    pub(crate) fn finish(self) -> Result<RecordBatch, DataFusionError> {
        let fields = self.relation.arrow.fields();
        let arrays: Vec<ArrayRef> = self
            .columns
            .into_iter()
            .zip(fields)
            .map(|(cells, field)| if cells.is_empty() { Ok(new_empty_array(field.data_type())) } else { ScalarValue::iter_to_array(cells) })
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.relation.arrow), arrays, &options)?)
    }
}

/// The value in the column's type; a value that does not fit becomes NULL.
pub(crate) fn scalar(value: &Value, data_type: &DataType) -> ScalarValue {
    let null = || ScalarValue::try_new_null(data_type).unwrap_or(ScalarValue::Null);
    match (value, data_type) {
        (Value::Texts(texts), DataType::List(field)) => {
            let element = field.data_type();
            list(texts.iter().map(|text| scalar(&Value::Text(text.clone()), element)).collect(), element).unwrap_or_else(null)
        }
        (Value::Ints(ints), DataType::List(field)) => {
            let element = field.data_type();
            list(ints.iter().map(|int| scalar(&Value::Int(*int), element)).collect(), element).unwrap_or_else(null)
        }
        (Value::Bool(value), DataType::Boolean) => ScalarValue::Boolean(Some(*value)),
        (Value::Text(text), DataType::Utf8View) => ScalarValue::Utf8View(Some(text.clone())),
        (Value::Day(days), DataType::Date32) => ScalarValue::Date32(Some(*days)),
        (Value::Text(text), DataType::Utf8) => ScalarValue::Utf8(Some(text.clone())),
        (Value::Int(value), DataType::Int16) => ScalarValue::Int16(i16::try_from(*value).ok()),
        (Value::Int(value), DataType::Int32) => ScalarValue::Int32(i32::try_from(*value).ok()),
        (Value::Int(value), DataType::Int64) => ScalarValue::Int64(Some(*value)),
        (Value::Int(value), DataType::UInt32) => ScalarValue::UInt32(u32::try_from(*value).ok()),
        (Value::Int(value), DataType::Float32 | DataType::Float64) => {
            ScalarValue::Int64(Some(*value)).cast_to(data_type).unwrap_or_else(|_| null())
        }
        (Value::Float(value), _) => ScalarValue::Float64(Some(*value)).cast_to(data_type).unwrap_or_else(|_| null()),
        (Value::Instant(micros), DataType::Timestamp(_, zone)) => ScalarValue::TimestampMicrosecond(Some(*micros), zone.clone()),
        (Value::Seconds(seconds), DataType::Interval(IntervalUnit::MonthDayNano)) => {
            let nanoseconds = seconds.saturating_mul(1_000_000_000);
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months: 0, days: 0, nanoseconds }))
        }
        _ => null(),
    }
}

/// A list scalar of the given elements.
pub(crate) fn list(cells: Vec<ScalarValue>, element: &DataType) -> Option<ScalarValue> {
    let values = if cells.is_empty() { new_empty_array(element) } else { ScalarValue::iter_to_array(cells).ok()? };
    Some(SingleRowListArrayBuilder::new(values).build_list_scalar())
}
