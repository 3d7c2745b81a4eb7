//! `bucket`: numbers are rounded down to a multiple of a width.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};
use datafusion::arrow::datatypes::{DataType as ArrowType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use datafusion::error::Result;

use crate::product::DataType;
use crate::product::mask::Decimal;

use super::types::narrowed;
use super::wrong_type;

/// Added and taken away again, it rounds a number to a whole one: two to the 52 and half of it.
const ROUNDING: f64 = 6_755_399_441_055_744.0;
/// Below two to the 51, that is so.
const ROUNDED_BELOW: f64 = 2_251_799_813_685_248.0;

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
    match (column.data_type(), width) {
        (ArrowType::Int16, Width::Whole(width)) => integers::<Int16Type>(column, width),
        (ArrowType::Int32, Width::Whole(width)) => integers::<Int32Type>(column, width),
        (ArrowType::Int64, Width::Whole(width)) => integers::<Int64Type>(column, width),
        (ArrowType::Decimal128(..), Width::Whole(width)) => decimals(column, width),
        (ArrowType::Float32, Width::Float(width)) => {
            let numbers = column.as_primitive_opt::<Float32Type>().ok_or_else(wrong_type)?;
            Ok(Arc::new(numbers.unary_opt::<_, Float32Type>(|number| narrowed((f64::from(number) / width).floor() * width))))
        }
        (ArrowType::Float64, Width::Float(width)) => {
            let numbers = column.as_primitive_opt::<Float64Type>().ok_or_else(wrong_type)?;
            let limit = ROUNDED_BELOW * width;
            // Without a way out at the first that is not: so many are looked at at once.
            let below_limit = numbers.values().iter().fold(true, |below, number| below & (number.abs() < limit));
            Ok(Arc::new(if below_limit {
                numbers.unary::<_, Float64Type>(|number| floor(number / width) * width)
            } else {
                numbers.unary::<_, Float64Type>(|number| (number / width).floor() * width)
            }))
        }
        _ => Err(wrong_type()),
    }
}

/// The same as the library's for numbers of less than [`ROUNDED_BELOW`], but of many numbers at once.
fn floor(number: f64) -> f64 {
    let rounded = (number + ROUNDING) - ROUNDING;
    if rounded > number { rounded - 1.0 } else { rounded }
}

fn integers<T: ArrowPrimitiveType>(column: &ArrayRef, width: i128) -> Result<ArrayRef>
where
    T::Native: Into<i64> + TryFrom<i64> + Ord,
{
    let width = i64::try_from(width).map_err(|_| wrong_type())?;
    let numbers = column.as_primitive_opt::<T>().ok_or_else(wrong_type)?;
    let least: i64 = numbers.values().iter().min().map_or(0, |least| (*least).into());
    let fits = least.checked_sub(width).is_some_and(|below| T::Native::try_from(below).is_ok());
    Ok(Arc::new(match (u32::try_from(width), fits) {
        // No bucket begins below what the type holds.
        (Ok(width), true) if size_of::<T::Native>() < size_of::<i64>() => numbers.unary::<_, T>(|number| {
            let number: i64 = number.into();
            // Exact: both are whole numbers of 32 bits, so a quotient that is no whole number is further from one than rounding reaches.
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a number of 32 bits is exact in a float")]
            let first = (floor(number as f64 / f64::from(width)) * f64::from(width)) as i64;
            T::Native::try_from(first).unwrap_or_default()
        }),
        (_, true) => numbers.unary::<_, T>(|number| {
            let first = number.into().div_euclid(width).wrapping_mul(width);
            T::Native::try_from(first).unwrap_or_default()
        }),
        (_, false) => numbers.unary_opt::<_, T>(|number| {
            let first = number.into().checked_div_euclid(width)?.checked_mul(width)?;
            T::Native::try_from(first).ok()
        }),
    }))
}

fn decimals(column: &ArrayRef, width: i128) -> Result<ArrayRef> {
    let numbers = column.as_primitive_opt::<Decimal128Type>().ok_or_else(wrong_type)?;
    let small = i64::try_from(width).ok();
    let first = |number: i128| match (i64::try_from(number), small) {
        // 64 bits divide much faster than 128.
        (Ok(number), Some(width)) => Some(i128::from(number.checked_div_euclid(width)?) * i128::from(width)),
        _ => number.checked_div_euclid(width)?.checked_mul(width),
    };
    Ok(Arc::new(numbers.unary_opt::<_, Decimal128Type>(first).with_data_type(column.data_type().clone())))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, Float64Array, Int16Array, Int32Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    fn expected(number: i128, width: i128, least: i128) -> Option<i128> {
        Some(number.div_euclid(width) * width).filter(|first| *first >= least)
    }

    proptest! {
        #[test]
        fn each_integer_falls_into_the_bucket_that_division_has_for_it(
            numbers in prop::collection::vec(prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), -50..50], 0..9),
            width in prop_oneof![1..100_i64, 1..i64::from(i32::MAX), 1..i64::MAX],
        ) {
            let column: ArrayRef = Arc::new(Int32Array::from(numbers.clone()));
            let masked = bucket(&column, Width::Whole(width.into())).unwrap();
            for (row, number) in numbers.iter().enumerate() {
                let found = masked.is_valid(row).then(|| i128::from(masked.as_primitive::<Int32Type>().value(row)));
                prop_assert_eq!(found, expected((*number).into(), width.into(), i32::MIN.into()), "{} by {}", number, width);
            }
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers.iter().map(|number| i64::from(*number) << 31)));
            let masked = bucket(&column, Width::Whole(width.into())).unwrap();
            for (row, number) in numbers.iter().enumerate() {
                let found = masked.is_valid(row).then(|| i128::from(masked.as_primitive::<Int64Type>().value(row)));
                prop_assert_eq!(found, expected(i128::from(*number) << 31, width.into(), i64::MIN.into()));
            }
        }

        #[test]
        fn so_does_each_small_one(numbers in prop::collection::vec(any::<i16>(), 0..9), width in 1..70_000_i64) {
            let column: ArrayRef = Arc::new(Int16Array::from(numbers.clone()));
            let masked = bucket(&column, Width::Whole(width.into())).unwrap();
            for (row, number) in numbers.iter().enumerate() {
                let found = masked.is_valid(row).then(|| i128::from(masked.as_primitive::<Int16Type>().value(row)));
                prop_assert_eq!(found, expected((*number).into(), width.into(), i16::MIN.into()));
            }
        }

        #[test]
        fn a_float_is_rounded_down_as_the_library_does_it(numbers in prop::collection::vec(prop_oneof![any::<f64>(), -1e6..1e6, -3.0..3.0], 0..9)) {
            let column: ArrayRef = Arc::new(Float64Array::from(numbers.clone()));
            let masked = bucket(&column, Width::Float(0.25)).unwrap();
            for (found, number) in masked.as_primitive::<Float64Type>().values().iter().zip(numbers) {
                let expected = (number / 0.25).floor() * 0.25;
                prop_assert!(*found == expected || (found.is_nan() && expected.is_nan()), "{} of {}", found, number);
            }
        }
    }
}
