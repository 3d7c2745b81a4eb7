//! Division, products and rounding of numeric and floating-point values.
//!
//! A numeric of the engine has one scale a column, where PostgreSQL has one a value: each quotient is rounded where PostgreSQL rounds it,
//! if the column's scale reaches so far, and filled with zeros. A result that does not fit 38 digits is an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, Float32Array, Float64Array, StringArray};
use arrow::datatypes::{DataType, Field, i256};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, ScalarUDF, cast};

use crate::error::SqlState;

use super::function::{Function, Result, arg, client, fault, first, message};

/// Digits behind the point of a quotient.
pub(super) const QUOTIENT_SCALE: i8 = 16;
/// Digits behind the point of means and products of numbers of any size, which leave room for the largest integers.
const WIDE_SCALE: i8 = 18;
/// Digits behind the point of a column of quotients, and of means of numbers that are small enough.
const QUOTIENT_SCALE_MAX: i8 = 20;
/// Digits behind the point of a numeric of which nothing is known.
const ANY_SCALE: i8 = 10;
/// Digits that the engine's sum has before the point beyond those of its values.
const SUM_DIGITS: i16 = 10;
pub(super) const PRECISION_MAX: u8 = 38;
/// Digits behind the point of a numeric that each step of a recursive query computes anew.
pub(super) const STEP_SCALE: i8 = 16;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![unconstrained().udf(), unconstrained_list().udf(), average().udf()]
}

/// What stands for `avg(x)`, as the sum and the count of x, until their types are known.
pub(super) const AVERAGE: &str = "meshgate_avg";

/// The function of that name, which never runs.
fn average() -> Function {
    let never = |_: &[ArrayRef], _: usize| Err(fault(SqlState::INTERNAL_ERROR, "a mean was left to compute"));
    let gives = |types: &[DataType]| {
        let sum = types.first()?;
        Some(match of(sum) {
            Some(sum) => DataType::Decimal128(PRECISION_MAX, mean_scale(sum)),
            None => sum.clone(),
        })
    };
    Function::new(AVERAGE, |types| (types.len() == 2).then(|| types.to_vec()), gives, never)
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

/// The type that numbers of several types have together; `None` if they are of one already.
pub(super) fn common(types: &[DataType]) -> Option<DataType> {
    let known: Vec<&DataType> = types.iter().filter(|found| !found.is_null()).collect();
    let (first, rest) = known.split_first()?;
    if rest.iter().all(|found| found == first) {
        return None;
    }
    if known.iter().any(|found| found.is_floating()) {
        let small = known.iter().all(|found| matches!(found, DataType::Float32 | DataType::Float16));
        return Some(if small { DataType::Float32 } else { DataType::Float64 });
    }
    if known.iter().all(|found| found.is_integer()) {
        let large = known.iter().any(|found| matches!(found, DataType::Int64 | DataType::UInt64));
        return Some(if large { DataType::Int64 } else { DataType::Int32 });
    }
    let digits: Vec<(u8, i8)> = known.iter().map(|found| of(found)).collect::<Option<_>>()?;
    let scale = digits.iter().map(|(_, scale)| *scale).max()?;
    let whole = digits.iter().map(|(precision, scale)| i16::from(*precision) - i16::from(*scale)).max()?;
    let precision = (whole + i16::from(scale)).clamp(1, i16::from(PRECISION_MAX));
    Some(DataType::Decimal128(u8::try_from(precision).ok()?, scale))
}

/// A number as one of the type that it has with others. It keeps its own digits behind the point where it is shown.
pub(super) fn as_common(value: Expr, found: &DataType, common: &DataType) -> Expr {
    if found == common || found.is_null() {
        return value;
    }
    let DataType::Decimal128(precision, scale) = *common else { return cast(value, common.clone()) };
    let gives = DataType::Decimal128(precision, scale);
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
        arrow::compute::cast_with_options(first(args)?, &DataType::Decimal128(precision, scale), &options).map_err(|_| overflow())
    };
    let takes = |types: &[DataType]| both(types).filter(|types| types.len() == 1);
    Function::new(COMMON, takes, move |_| Some(gives.clone()), computes)
        .variant(u64::from(precision) * 100 + u64::from(scale.unsigned_abs()))
        .call(vec![value])
}

/// A numeric rounded to fewer digits behind the point.
pub(super) fn rescaled(value: Expr, precision: u8, scale: i8) -> Expr {
    let gives = DataType::Decimal128(precision, scale);
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
        let data_type = DataType::Decimal128(precision, scale);
        arrow::compute::cast_with_options(first(args)?, &data_type, &options).map_err(|_| too_wide(precision, scale))
    };
    let takes = |types: &[DataType]| both(types).filter(|types| types.len() == 1);
    Function::new("numeric_rescale", takes, move |_| Some(gives.clone()), computes)
        .variant(u64::from(precision) * 100 + u64::from(scale.unsigned_abs()))
        .call(vec![value])
}

/// What stands for a numeric of one type as one of another.
pub(super) const COMMON: &str = "numeric_as";

pub(super) fn both(types: &[DataType]) -> Option<Vec<DataType>> {
    types.iter().map(|found| of(found).map(|(precision, scale)| DataType::Decimal128(precision, scale))).collect()
}

/// Whether a column of this scale may be one of quotients or means.
pub(super) fn computed_scale(scale: i32) -> bool {
    (i32::from(WIDE_SCALE)..=i32::from(QUOTIENT_SCALE_MAX)).contains(&scale)
}

/// The scale of a column of means, none of which is larger than the largest of the values.
fn mean_scale((precision, scale): (u8, i8)) -> i8 {
    let whole_digits = (i16::from(precision) - i16::from(scale) - SUM_DIGITS).max(1);
    let room = (i16::from(PRECISION_MAX) - whole_digits).clamp(i16::from(WIDE_SCALE), i16::from(QUOTIENT_SCALE_MAX));
    i8::try_from(room).unwrap_or(WIDE_SCALE).max(scale)
}

/// `left / right`.
pub(super) fn quotient() -> Function {
    divided("numeric_divide", |left, _| QUOTIENT_SCALE_MAX.max(left.1))
}

/// A sum by the count of its values: most means are above one.
pub(super) fn mean() -> Function {
    divided("numeric_mean", |sum, _| mean_scale(sum))
}

/// The quotient of two constants, with the digits that PostgreSQL gives it; `None` leaves it, or its fault, to the run.
pub(super) fn constant_quotient(left: &ScalarValue, right: &ScalarValue) -> Option<ScalarValue> {
    let exact = |value: &ScalarValue| match value {
        ScalarValue::Int16(Some(value)) => Some((i128::from(*value), 0)),
        ScalarValue::Int32(Some(value)) => Some((i128::from(*value), 0)),
        ScalarValue::Int64(Some(value)) => Some((i128::from(*value), 0)),
        ScalarValue::Decimal128(Some(value), _, scale) => Some((*value, *scale)),
        _ => None,
    };
    let ((left, left_scale), (right, right_scale)) = (exact(left)?, exact(right)?);
    if right == 0 || left_scale < 0 || right_scale < 0 {
        return None;
    }
    let kept = division_scale(Digits::of(left, left_scale), Digits::of(right, right_scale), left_scale.max(right_scale));
    let shift = i32::from(kept) - i32::from(left_scale) + i32::from(right_scale);
    let raised = i256::from_i128(left).checked_mul(power(shift).ok()?);
    let quotient = rounded(Some(raised?), i256::from_i128(right)).ok()?;
    let fits = kept <= 37 && quotient.unsigned_abs() < 10_u128.pow(u32::from(PRECISION_MAX));
    fits.then_some(ScalarValue::Decimal128(Some(quotient), PRECISION_MAX, kept))
}

fn divided(name: &'static str, scale: fn((u8, i8), (u8, i8)) -> i8) -> Function {
    let gives =
        move |types: &[DataType]| Some(DataType::Decimal128(PRECISION_MAX, scale(types.first().and_then(of)?, types.get(1).and_then(of)?)));
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<Decimal128Array>(args, 0)?, arg::<Decimal128Array>(args, 1)?);
        let (left_scale, right_scale) = (left.scale(), right.scale());
        let scale = scale((left.precision(), left_scale), (right.precision(), right_scale));
        decimals(left, right, scale, |left, right| {
            if right == 0 {
                return Err(fault(SqlState::DIVISION_BY_ZERO, "division by zero"));
            }
            let kept = division_scale(Digits::of(left, left_scale), Digits::of(right, right_scale), left_scale.max(right_scale)).min(scale);
            let shift = i32::from(kept) - i32::from(left_scale) + i32::from(right_scale);
            let (raise, lower) = if shift < 0 { (power(0)?, power(-shift)?) } else { (power(shift)?, power(0)?) };
            let divisor = i256::from_i128(right).checked_mul(lower).ok_or_else(overflow)?;
            let quotient = rounded(i256::from_i128(left).checked_mul(raise), divisor)?;
            let zeros = 10_i128.pow(u32::from(scale.abs_diff(kept)));
            quotient.checked_mul(zeros).ok_or_else(overflow)
        })
    };
    Function::new(name, both, gives, computes)
}

/// Where a number begins: the place of its first digit, and that digit, to the base of ten thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits {
    pub(super) weight: i32,
    pub(super) first: i128,
}

impl Digits {
    /// Of a number with so many digits behind the point.
    pub(super) fn of(value: i128, scale: i8) -> Self {
        let size = value.unsigned_abs();
        let Some(log) = size.checked_ilog10() else { return Self { weight: 0, first: 0 } };
        let weight = (i32::try_from(log).unwrap_or(0) - i32::from(scale)).div_euclid(4);
        let unit = i32::from(scale) + 4 * weight;
        let ten = |exponent: i32| 10_u128.pow(exponent.unsigned_abs().min(38));
        let first = if unit >= 0 { size / ten(unit) } else { size.saturating_mul(ten(unit)) };
        Self { weight, first: i128::try_from(first).unwrap_or(i128::MAX) }
    }
}

/// Digits behind the point that PostgreSQL gives to a quotient, whose arguments have so many at most.
pub(super) fn division_scale(left: Digits, right: Digits, scale: i8) -> i8 {
    let weight = left.weight - right.weight - i32::from(left.first <= right.first);
    i8::try_from(16 - 4 * weight).unwrap_or(i8::MAX).max(scale).max(0)
}

/// The scale of a product that would not fit with all its digits; `None` if it fits.
pub(super) fn cut_scale(left: (u8, i8), right: (u8, i8)) -> Option<i8> {
    let fits = u16::from(left.0) + u16::from(right.0) < u16::from(PRECISION_MAX);
    let full = left.1.saturating_add(right.1);
    // Quotients keep room for their products.
    let kept = if left.1.min(right.1) > WIDE_SCALE / 2 { WIDE_SCALE } else { left.1.max(right.1).max(WIDE_SCALE) };
    (!fits && full > QUOTIENT_SCALE_MAX).then(|| kept.min(full))
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

pub(super) fn power(exponent: i32) -> Result<i256> {
    u32::try_from(exponent).ok().and_then(|exponent| i256::from_i128(10).checked_pow(exponent)).ok_or_else(overflow)
}

/// A number has more digits before the point than its column.
fn too_wide(precision: u8, scale: i8) -> datafusion::error::DataFusionError {
    let digits = i16::from(precision) - i16::from(scale);
    let bound = if digits == 0 { "1".to_owned() } else { format!("10^{digits}") };
    let detail = format!("A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}.");
    client(message(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").with_detail(detail))
}

pub(super) fn overflow() -> datafusion::error::DataFusionError {
    fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

/// Half away from zero, as PostgreSQL rounds numerics; in the machine's own integers where they suffice.
pub(super) fn rounded(dividend: Option<i256>, divisor: i256) -> Result<i128> {
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

/// The name of `x::numeric` without precision.
pub(in crate::engine) const UNCONSTRAINED: &str = "meshgate_numeric";

/// `x::numeric` without precision: every value as it is. The scale is that of the argument's type.
pub(super) fn unconstrained() -> Function {
    let target = |types: &[DataType]| {
        let found = types.first()?;
        Some(match of(found) {
            Some((precision, scale)) => DataType::Decimal128(precision, scale),
            None => DataType::Decimal128(PRECISION_MAX, QUOTIENT_SCALE),
        })
    };
    let takes = move |types: &[DataType]| match types {
        [found @ (DataType::Float32 | DataType::Float64)] => Some(vec![found.clone()]),
        [found] if found.is_string() => Some(vec![DataType::Utf8]),
        [_] => target(types).map(|found| vec![found]),
        _ => None,
    };
    Function::new(UNCONSTRAINED, takes, target, |args, rows| match args.first() {
        Some(array) if array.data_type().is_string() => texts(arg::<StringArray>(args, 0)?),
        Some(array) if array.data_type().is_floating() => floats(array, PRECISION_MAX, QUOTIENT_SCALE),
        Some(array) => Ok(Arc::clone(array)),
        None => Ok(ScalarValue::Null.to_array_of_size(rows)?),
    })
}

/// The name of `x::numeric[]` without precision.
pub(in crate::engine) const UNCONSTRAINED_LIST: &str = "meshgate_numerics";

/// `x::numeric[]` without precision: numbers that are exact keep their digits, others have those of any numeric.
pub(super) fn unconstrained_list() -> Function {
    let target = |types: &[DataType]| match types {
        [found @ (DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))] => Some(numerics(found)),
        [found] if found.is_string() || found.is_null() => Some(list_of(DataType::Decimal128(PRECISION_MAX, ANY_SCALE))),
        _ => None,
    };
    Function::new(UNCONSTRAINED_LIST, move |types| target(types).map(|found| vec![found]), target, |args, _rows| first(args).cloned())
}

/// Lists as deep as these, of numerics.
fn numerics(found: &DataType) -> DataType {
    match found {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            list_of(numerics(element.data_type()))
        }
        element => match of(element) {
            Some((precision, scale)) => DataType::Decimal128(precision, scale),
            None => DataType::Decimal128(PRECISION_MAX, ANY_SCALE),
        },
    }
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// A floating-point number as a numeric: of the digits that its type is sure of.
pub(super) fn of_float(precision: u8, scale: i8) -> Function {
    let takes = |types: &[DataType]| match types {
        [found @ (DataType::Float32 | DataType::Float64)] => Some(vec![found.clone()]),
        _ => None,
    };
    let gives = move |_: &[DataType]| Some(DataType::Decimal128(precision, scale));
    let computes = move |args: &[ArrayRef], _rows: usize| floats(first(args)?, precision, scale);
    Function::new("float_numeric", takes, gives, computes).variant(u64::from(precision) << 8 | u64::from(scale.unsigned_abs()))
}

fn floats(array: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let limit = 10_i128.checked_pow(u32::from(precision)).ok_or_else(overflow)?;
    let one = |written: String| match exact(&written, scale) {
        Some(value) if value.abs() < limit => Ok(value),
        _ => Err(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")),
    };
    let values: Vec<Option<i128>> = if let Some(array) = array.as_any().downcast_ref::<Float64Array>() {
        array.iter().map(|value| value.map(|value| one(format!("{value:.14e}"))).transpose()).collect::<Result<_>>()?
    } else {
        let array = array.as_any().downcast_ref::<Float32Array>().ok_or_else(overflow)?;
        array.iter().map(|value| value.map(|value| one(format!("{value:.5e}"))).transpose()).collect::<Result<_>>()?
    };
    Ok(Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale)?))
}

/// Numerics by their texts.
fn texts(texts: &StringArray) -> Result<ArrayRef> {
    let one = |text: &str| {
        let text = text.trim();
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let plain = |part: &str| part.bytes().all(|letter| letter.is_ascii_digit());
        if !plain(whole) || !plain(fraction) || whole.len() + fraction.len() == 0 || exponent.parse::<i32>().is_err() {
            return Err(fault(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type numeric"));
        }
        let sign = if text.starts_with('-') { "-" } else { "" };
        let whole = if whole.is_empty() { "0" } else { whole };
        exact(&format!("{sign}{whole}.{fraction}e{exponent}"), QUOTIENT_SCALE).ok_or_else(overflow)
    };
    let values: Decimal128Array = texts.iter().map(|text| text.map(one).transpose()).collect::<Result<Vec<_>>>()?.into_iter().collect();
    Ok(Arc::new(values.with_precision_and_scale(PRECISION_MAX, QUOTIENT_SCALE)?))
}

/// `1.25e3` at a scale, rounded half away from zero; `None` if it is no number, or does not fit.
fn exact(written: &str, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = written.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = exponent - i32::try_from(fraction.len()).ok()? + i32::from(scale);
    if shift >= 0 {
        return digits.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?);
    }
    let Some(unit) = 10_i128.checked_pow(shift.unsigned_abs()) else { return Some(0) };
    let (whole, rest) = (digits / unit, digits % unit);
    Some(if rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs() { whole + rest.signum() } else { whole })
}

/// Digits behind the point of a column of roots.
const ROOT_SCALE: i8 = 18;

/// Digits behind the point that PostgreSQL gives to the root of a number, at the least.
pub(super) fn root_scale(value: Digits) -> i32 {
    let weight = value.weight;
    let before = if weight >= 0 { weight * 4 / 2 + 1 } else { 1 - (1 - weight * 4) / 2 };
    (16 - before).max(0)
}

/// `sqrt(x)` of an exact number.
pub(super) fn root() -> Function {
    let takes = |types: &[DataType]| if types.len() == 1 { both(types) } else { None };
    let computes = |args: &[ArrayRef], _rows: usize| {
        let values = arg::<Decimal128Array>(args, 0)?;
        let scale = values.scale();
        let one = |value: i128| {
            if value < 0 {
                let text = "cannot take square root of a negative number";
                return Err(fault(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, text));
            }
            let kept = root_scale(Digits::of(value, scale)).max(i32::from(scale)).clamp(0, i32::from(ROOT_SCALE));
            // One digit more than are kept decides how the last is rounded.
            let places = 2 * (kept + 1) - i32::from(scale);
            let raised = i256::from_i128(value).checked_mul(power(places)?).ok_or_else(overflow)?;
            let root = rounded(Some(super::spread::root(raised)), i256::from_i128(10))?;
            let zeros = u32::try_from(i32::from(ROOT_SCALE) - kept).map_err(|_| overflow())?;
            root.checked_mul(10_i128.pow(zeros)).ok_or_else(overflow)
        };
        let roots = values.iter().map(|value| value.map(one).transpose()).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Decimal128Array::from(roots).with_precision_and_scale(PRECISION_MAX, ROOT_SCALE)?) as ArrayRef)
    };
    Function::new("numeric_sqrt", takes, |_| Some(DataType::Decimal128(PRECISION_MAX, ROOT_SCALE)), computes)
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
        assert_eq!(cut_scale((38, 16), (38, 16)), Some(18));
        assert_eq!(cut_scale((38, 20), (38, 20)), Some(18));
        assert_eq!(cut_scale((38, 20), (10, 0)), None);
        assert_eq!(cut_scale((38, 20), (2, 1)), Some(20));
        assert_eq!(cut_scale((38, 2), (38, 2)), None);
    }

    #[test]
    fn a_quotient_has_as_many_digits_as_its_size_asks_for() {
        let scale = |left: (i128, i8), right: (i128, i8)| {
            division_scale(Digits::of(left.0, left.1), Digits::of(right.0, right.1), left.1.max(right.1))
        };
        assert_eq!(scale((10, 1), (3, 0)), 20);
        assert_eq!(scale((7, 0), (20, 1)), 16);
        assert_eq!(scale((12_345_678, 3), (1, 2)), 12);
        assert_eq!(scale((1, 0), (10_000_000, 1)), 24);
        assert_eq!(scale((0, 0), (3, 0)), 20);
        assert_eq!(scale((4_335_027, 2), (3, 0)), 12);
    }

    #[test]
    fn a_float_is_as_exact_as_its_type() {
        let of = |value: f64, scale: i8| exact(&format!("{value:.14e}"), scale).unwrap();
        assert_eq!(
            [of(0.1, 16), of(1e15, 0), of(2.675, 2), of(-2.5, 0), of(1e-30, 16)],
            [1_000_000_000_000_000, 1_000_000_000_000_000, 268, -3, 0]
        );
        assert_eq!(exact("NaN", 2), None);
        assert_eq!(exact("1.0e40", 2), None);
    }

    #[test]
    fn a_text_is_read_as_a_numeric() {
        let read = |text: &str| texts(&StringArray::from(vec![text])).map(|values| arg::<Decimal128Array>(&[values], 0).unwrap().value(0));
        let unit = 10_i128.pow(16);
        assert_eq!([read("1.5").unwrap(), read(" -2e3 ").unwrap(), read(".5").unwrap()], [unit / 10 * 15, -2_000 * unit, unit / 2]);
        for text in ["", "x", "1..2", "1e", "--1", "1e60", "NaN"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_quotient_of_constants_has_its_own_digits() {
        let numeric = |value: i128, scale: i8| ScalarValue::Decimal128(Some(value), 38, scale);
        let seven = ScalarValue::Int32(Some(7));
        assert_eq!(constant_quotient(&seven, &numeric(20, 1)), Some(numeric(35_000_000_000_000_000, 16)));
        assert_eq!(constant_quotient(&numeric(10, 1), &ScalarValue::Int32(Some(3))), Some(numeric(33_333_333_333_333_333_333, 20)));
        assert_eq!(constant_quotient(&seven, &numeric(0, 1)), None);
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
