//! `bucket`: numbers are rounded down to a multiple of a width.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};
use datafusion::arrow::datatypes::{DataType as ArrowType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use datafusion::error::Result;

use crate::product::DataType;
use crate::product::mask::Decimal;

use super::types::narrowed;
use super::wrong_type;

/// A width, as a value of the column's type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Width {
    /// Of a whole number, or of the digits of a decimal; above zero.
    Whole(i128),
    Float(f64),
}

impl Width {
    pub(super) fn new(width: Decimal, data_type: &DataType) -> Option<Self> {
        if !width.is_positive() {
            return None;
        }
        match data_type {
            DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(Self::Whole(width.to_i64()?.into())),
            DataType::Decimal { scale, .. } => Some(Self::Whole(width.rescaled(u8::try_from(*scale).ok()?)?.unscaled)),
            DataType::Float32 | DataType::Float64 => width.to_f64().map(Self::Float),
            _ => None,
        }
    }
}

/// A number whose bucket begins below what the type holds becomes NULL.
pub(super) fn bucket(column: &ArrayRef, width: Width) -> Result<ArrayRef> {
    fn whole<T: ArrowPrimitiveType>(column: &ArrayRef, width: Width) -> Result<ArrayRef>
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        let Width::Whole(width) = width else { return Err(wrong_type()) };
        let numbers = column.as_primitive_opt::<T>().ok_or_else(wrong_type)?;
        let first = |number: T::Native| {
            let first = number.into().checked_div_euclid(width)?.checked_mul(width)?;
            T::Native::try_from(first).ok()
        };
        Ok(Arc::new(numbers.unary_opt::<_, T>(first).with_data_type(column.data_type().clone())))
    }
    match (column.data_type(), width) {
        (ArrowType::Int16, _) => whole::<Int16Type>(column, width),
        (ArrowType::Int32, _) => whole::<Int32Type>(column, width),
        (ArrowType::Int64, _) => small(column, width),
        (ArrowType::Decimal128(..), _) => whole::<Decimal128Type>(column, width),
        (ArrowType::Float32, Width::Float(width)) => {
            let numbers = column.as_primitive_opt::<Float32Type>().ok_or_else(wrong_type)?;
            Ok(Arc::new(numbers.unary_opt::<_, Float32Type>(|number| narrowed((f64::from(number) / width).floor() * width))))
        }
        (ArrowType::Float64, Width::Float(width)) => {
            let numbers = column.as_primitive_opt::<Float64Type>().ok_or_else(wrong_type)?;
            Ok(Arc::new(numbers.unary::<_, Float64Type>(|number| (number / width).floor() * width)))
        }
        _ => Err(wrong_type()),
    }
}

/// The same with 64 bits, which divide much faster than 128.
fn small(column: &ArrayRef, width: Width) -> Result<ArrayRef> {
    let Width::Whole(width) = width else { return Err(wrong_type()) };
    let width = i64::try_from(width).map_err(|_| wrong_type())?;
    let numbers = column.as_primitive_opt::<Int64Type>().ok_or_else(wrong_type)?;
    let first = |number: i64| number.checked_div_euclid(width)?.checked_mul(width);
    Ok(Arc::new(numbers.unary_opt::<_, Int64Type>(first)))
}
