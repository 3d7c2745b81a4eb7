//! Division, products and rounding of numeric and floating-point values.
//!
//! A numeric of the engine has one scale a column, where PostgreSQL has one a value: quotients keep [`QUOTIENT_SCALE`] digits,
//! rounded, and a result that does not fit 38 digits is an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, Float32Array, Float64Array};
use arrow::datatypes::{DataType, i256};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault, first};

/// Digits behind the point of a quotient.
pub(super) const QUOTIENT_SCALE: i8 = 16;
const PRECISION_MAX: u8 = 38;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![unconstrained().udf()]
}

/// The numeric type that holds every value of a type; `None` if there is none.
pub(super) fn of(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => Some((5, 0)),
        DataType::UInt16 | DataType::Int32 => Some((10, 0)),
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => Some((20, 0)),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) | DataType::Decimal128(precision, scale) => {
            Some((*precision, *scale))
        }
        _ => None,
    }
}

fn both(types: &[DataType]) -> Option<Vec<DataType>> {
    types.iter().map(|found| of(found).map(|(precision, scale)| DataType::Decimal128(precision, scale))).collect()
}

/// `left / right`.
pub(super) fn quotient() -> Function {
    let gives = |types: &[DataType]| {
        let (_, left) = types.first().and_then(of)?;
        Some(DataType::Decimal128(PRECISION_MAX, left.max(QUOTIENT_SCALE)))
    };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<Decimal128Array>(args, 0)?, arg::<Decimal128Array>(args, 1)?);
        let scale = left.scale().max(QUOTIENT_SCALE);
        let shift = power(i32::from(scale) - i32::from(left.scale()) + i32::from(right.scale()))?;
        decimals(left, right, scale, |left, right| {
            if right == 0 {
                return Err(fault(SqlState::DIVISION_BY_ZERO, "division by zero"));
            }
            rounded(i256::from_i128(left).checked_mul(shift), i256::from_i128(right))
        })
    };
    Function::new("numeric_divide", both, gives, computes)
}

/// The scale of a product that would not fit with all its digits; `None` if it fits.
pub(super) fn cut_scale(left: (u8, i8), right: (u8, i8)) -> Option<i8> {
    let fits = u16::from(left.0) + u16::from(right.0) < u16::from(PRECISION_MAX);
    let full = left.1.saturating_add(right.1);
    (!fits && full > QUOTIENT_SCALE).then(|| left.1.max(right.1).max(QUOTIENT_SCALE).min(full))
}

/// `left * right` with fewer digits behind the point than both have together.
pub(super) fn product() -> Function {
    let gives = |types: &[DataType]| {
        let (left, right) = (types.first().and_then(of)?, types.get(1).and_then(of)?);
        Some(DataType::Decimal128(PRECISION_MAX, cut_scale(left, right)?))
    };
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<Decimal128Array>(args, 0)?, arg::<Decimal128Array>(args, 1)?);
        let scale = cut_scale((left.precision(), left.scale()), (right.precision(), right.scale()));
        let scale = scale.ok_or_else(|| fault(SqlState::INTERNAL_ERROR, "internal error"))?;
        let divisor = power(i32::from(left.scale()) + i32::from(right.scale()) - i32::from(scale))?;
        decimals(left, right, scale, |left, right| rounded(i256::from_i128(left).checked_mul(i256::from_i128(right)), divisor))
    };
    Function::new("numeric_multiply", both, gives, computes)
}

fn power(exponent: i32) -> Result<i256> {
    u32::try_from(exponent).ok().and_then(|exponent| i256::from_i128(10).checked_pow(exponent)).ok_or_else(overflow)
}

fn overflow() -> datafusion::error::DataFusionError {
    fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

/// Half away from zero, as PostgreSQL rounds numerics; in the machine's own integers where they suffice.
fn rounded(dividend: Option<i256>, divisor: i256) -> Result<i128> {
    if let Some((dividend, divisor)) = dividend.and_then(i256::to_i128).zip(divisor.to_i128())
        && let (Some(whole), Some(rest)) = (dividend.checked_div(divisor), dividend.checked_rem(divisor))
    {
        let away = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
        let step = if (dividend < 0) == (divisor < 0) { 1 } else { -1 };
        return Ok(if away { whole + step } else { whole });
    }
    let dividend = dividend.ok_or_else(overflow)?;
    let (whole, rest) = (dividend.checked_div(divisor), dividend.checked_rem(divisor));
    let (Some(whole), Some(rest)) = (whole, rest) else { return Err(overflow()) };
    let twice = rest.checked_abs().and_then(|rest| rest.checked_mul(i256::from_i128(2)));
    let away = matches!((twice, divisor.checked_abs()), (Some(twice), Some(divisor)) if twice >= divisor);
    let step = if (dividend < i256::ZERO) == (divisor < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    let whole = if away { whole.checked_add(step) } else { Some(whole) };
    whole.and_then(i256::to_i128).ok_or_else(overflow)
}

fn decimals(left: &Decimal128Array, right: &Decimal128Array, scale: i8, compute: impl Fn(i128, i128) -> Result<i128>) -> Result<ArrayRef> {
    let limit = 10_i128.pow(u32::from(PRECISION_MAX));
    let values = left.iter().zip(right.iter()).map(|pair| match pair {
        (Some(left), Some(right)) => {
            compute(left, right).and_then(|value| if value.abs() < limit { Ok(Some(value)) } else { Err(overflow()) })
        }
        _ => Ok(None),
    });
    let array: Decimal128Array = values.collect::<Result<Vec<Option<i128>>>>()?.into_iter().collect();
    Ok(Arc::new(array.with_precision_and_scale(PRECISION_MAX, scale)?))
}

/// A floating-point number to a whole one, half to even.
pub(super) fn even() -> Function {
    Function::new(
        "round",
        |types| Some(types.to_vec()),
        |types| types.first().cloned(),
        |args, _rows| {
            let array = first(args)?;
            if let Some(array) = array.as_any().downcast_ref::<Float64Array>() {
                return Ok(Arc::new(array.unary::<_, arrow::datatypes::Float64Type>(f64::round_ties_even)));
            }
            let array = arg::<Float32Array>(args, 0)?;
            Ok(Arc::new(array.unary::<_, arrow::datatypes::Float32Type>(f32::round_ties_even)))
        },
    )
}

/// The numeric without digits behind the point that holds a numeric's rounded values; rounding up may need one digit more.
pub(super) fn whole(precision: u8, scale: i8) -> DataType {
    let whole = i16::from(precision) - i16::from(scale.max(0)) + 1;
    DataType::Decimal128(u8::try_from(whole.clamp(1, i16::from(PRECISION_MAX))).unwrap_or(PRECISION_MAX), 0)
}

/// `x::numeric` without precision: every value as it is. The scale is that of the argument's type.
pub(super) fn unconstrained() -> Function {
    let target = |types: &[DataType]| {
        let found = types.first()?;
        Some(match of(found) {
            Some((precision, scale)) => DataType::Decimal128(precision, scale),
            None => DataType::Decimal128(PRECISION_MAX, QUOTIENT_SCALE),
        })
    };
    let takes = move |types: &[DataType]| if types.len() == 1 { target(types).map(|found| vec![found]) } else { None };
    Function::new("meshgate_numeric", takes, target, |args, rows| {
        args.first().cloned().map_or_else(|| ScalarValue::Null.to_array_of_size(rows), Ok)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(value: i128, precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(precision, scale).unwrap())
    }

    #[test]
    fn products_are_cut_only_where_they_would_not_fit() {
        assert_eq!(cut_scale((15, 2), (15, 2)), None);
        assert_eq!(cut_scale((38, 16), (38, 16)), Some(16));
        assert_eq!(cut_scale((38, 2), (38, 2)), None);
    }

    #[test]
    fn halves_go_away_from_zero() {
        let ten = i256::from_i128(10);
        for (value, expected) in [(25, 3), (-25, -3), (24, 2), (-24, -2), (5, 1), (-5, -1)] {
            assert_eq!(rounded(Some(i256::from_i128(value)), ten).unwrap(), expected, "{value}");
        }
        assert_eq!(numeric(1, 5, 2).len(), 1);
    }
}
