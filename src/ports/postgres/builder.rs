//! Arrow columns out of PostgreSQL's binary values.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, IntervalMonthDayNanoBuilder, ListArray, PrimitiveBuilder, StringViewBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNano};

use super::decode::{self, Number};
use super::types::element_of;
use crate::ports::schema::{TextKind, text_kind};
use crate::ports::unfit::Mark;

/// A column that is being built.
pub(super) enum Builder {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringViewBuilder),
    Uuid(StringViewBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    Bytes(BinaryBuilder),
    List(Box<ListBuilder>),
}

/// A list column that is being built.
pub(super) struct ListBuilder {
    element: FieldRef,
    offsets: Vec<i32>,
    /// Elements so far.
    appended: i32,
    valid: Vec<bool>,
    values: Builder,
}

impl Builder {
    /// A builder for a field's type; `None` if it is none that a server's column can show as.
    pub(super) fn new(field: &Field) -> Option<Self> {
        let data_type = field.data_type().clone();
        Some(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => Self::Decimal(Decimal128Builder::new().with_data_type(data_type), *precision, *scale),
            DataType::Utf8View => match text_kind(field) {
                TextKind::Text | TextKind::Json => Self::Text(StringViewBuilder::new()),
                TextKind::Uuid => Self::Uuid(StringViewBuilder::new()),
            },
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Time64(_) => Self::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(_, _) => Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(data_type)),
            DataType::Interval(_) => Self::Interval(IntervalMonthDayNanoBuilder::new()),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            DataType::List(_) => {
                let element = Arc::clone(element_of(field)?);
                let values = Self::new(&element)?;
                Self::List(Box::new(ListBuilder { element, offsets: vec![0], appended: 0, valid: Vec::new(), values }))
            }
            _ => return None,
        })
    }

    /// Appends one value, or NULL. `None`: the bytes are no value of the type.
    pub(super) fn append(&mut self, value: Option<&[u8]>) -> Option<()> {
        macro_rules! append {
            ($builder:expr, $decode:expr) => {
                match value {
                    None => $builder.append_null(),
                    Some(bytes) => $builder.append_value($decode(bytes)?),
                }
            };
        }
        match self {
            Self::Boolean(builder) => append!(builder, decode::boolean),
            Self::Int16(builder) => append!(builder, i16::read),
            Self::Int32(builder) => append!(builder, i32::read),
            Self::Int64(builder) => append!(builder, i64::read),
            Self::Float32(builder) => append!(builder, decode::float4),
            Self::Float64(builder) => append!(builder, decode::float8),
            Self::Decimal(builder, precision, scale) => append!(builder, |bytes| decode::numeric(bytes, *precision, *scale)),
            Self::Text(builder) => append!(builder, |bytes| std::str::from_utf8(bytes).ok()),
            Self::Uuid(builder) => append!(builder, decode::uuid),
            Self::Date(builder) => append!(builder, decode::date),
            Self::Time(builder) => append!(builder, decode::time),
            Self::Timestamp(builder) => append!(builder, decode::timestamp),
            Self::Interval(builder) => append!(builder, |bytes| {
                decode::interval(bytes).map(|(months, days, nanos)| IntervalMonthDayNano::new(months, days, nanos))
            }),
            Self::Bytes(builder) => append!(builder, Some),
            Self::List(builder) => builder.append(value)?,
        }
        Some(())
    }

    /// Appends a mark in the place of a value that does not fit. `None`: the type holds whatever a server sends.
    pub(super) fn append_mark(&mut self) -> Option<()> {
        match self {
            Self::Decimal(builder, _, _) => mark(builder),
            Self::Date(builder) => mark(builder),
            Self::Time(builder) => mark(builder),
            Self::Timestamp(builder) => mark(builder),
            Self::Interval(builder) => mark(builder),
            Self::List(builder) => builder.append_mark()?,
            Self::Boolean(_)
            | Self::Int16(_)
            | Self::Int32(_)
            | Self::Int64(_)
            | Self::Float32(_)
            | Self::Float64(_)
            | Self::Text(_)
            | Self::Uuid(_)
            | Self::Bytes(_) => return None,
        }
        Some(())
    }

    /// The column so far; the builder starts again. `None` only if a list outgrew its offsets.
    pub(super) fn finish(&mut self) -> Option<ArrayRef> {
        Some(match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, _, _) => Arc::new(builder.finish()),
            Self::Text(builder) | Self::Uuid(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Interval(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::List(builder) => builder.finish()?,
        })
    }
}

fn mark<T: Mark>(builder: &mut PrimitiveBuilder<T>) {
    builder.append_values(&[T::MARK], &[false]);
}

impl ListBuilder {
    fn append(&mut self, value: Option<&[u8]>) -> Option<()> {
        if let Some(bytes) = value {
            self.append_elements(bytes)?;
        }
        self.valid.push(value.is_some());
        self.offsets.push(self.appended);
        Some(())
    }

    /// A NULL with an element. Elements of the list that did not fit may be before that.
    fn append_mark(&mut self) -> Option<()> {
        self.append_element(None)?;
        self.valid.push(false);
        self.offsets.push(self.appended);
        Some(())
    }

    fn append_element(&mut self, value: Option<&[u8]>) -> Option<()> {
        let appended = self.appended.checked_add(1)?;
        self.values.append(value)?;
        self.appended = appended;
        Some(())
    }

    /// `array_send`: dimensions, a flag, the element type, each dimension's length and first index, then the elements.
    fn append_elements(&mut self, mut bytes: &[u8]) -> Option<()> {
        let dimensions: i32 = decode::take(&mut bytes)?;
        let _has_nulls: i32 = decode::take(&mut bytes)?;
        let _element_oid: u32 = decode::take(&mut bytes)?;
        if dimensions == 0 {
            return Some(());
        }
        let length: i32 = decode::take(&mut bytes)?;
        let _first_index: i32 = decode::take(&mut bytes)?;
        // The contract's lists have one dimension.
        if dimensions != 1 || length < 0 {
            return None;
        }
        for _ in 0..length {
            let size: i32 = decode::take(&mut bytes)?;
            let element = match usize::try_from(size) {
                Err(_) => None,
                Ok(size) => {
                    let (head, rest) = bytes.split_at_checked(size)?;
                    bytes = rest;
                    Some(head)
                }
            };
            self.append_element(element)?;
        }
        Some(())
    }

    fn finish(&mut self) -> Option<ArrayRef> {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let valid = std::mem::take(&mut self.valid);
        self.appended = 0;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let list = ListArray::try_new(Arc::clone(&self.element), offsets, self.values.finish()?, Some(NullBuffer::from(valid)));
        list.ok().map(|list| Arc::new(list) as ArrayRef)
    }
}
