//! Functions of numbers that the engine does not have.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Field, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault, first};
use super::number_text::{Digits, Reading};
use super::numeric;
use super::pieces::Last;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        div().udf(),
        scale().udf(),
        width_bucket().udf(),
        counted("num_nulls", true).udf(),
        counted("num_nonnulls", false).udf(),
        to_number().udf(),
        factorial().udf(),
        trim_scale().udf(),
        sign().udf(),
        logarithm("ln", f64::ln).udf(),
        logarithm("log10", f64::log10).udf(),
    ]
}

fn decimals(types: &[DataType]) -> Option<Vec<DataType>> {
    let decimal = |found: &DataType| numeric::of(found).map(|(precision, scale)| DataType::Decimal128(precision, scale));
    types.iter().map(decimal).collect()
}

/// `div(a, b)`: the quotient without its fraction.
fn div() -> Function {
    let takes = |types: &[DataType]| if types.len() == 2 { decimals(types) } else { None };
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (left, right) = (arg::<Decimal128Array>(args, 0)?, arg::<Decimal128Array>(args, 1)?);
        let scale = left.scale().max(right.scale());
        let raise = |value: i128, from: i8| {
            let unit = u32::try_from(scale - from).ok().and_then(|places| 10_i128.checked_pow(places));
            unit.and_then(|unit| value.checked_mul(unit))
        };
        let quotients = left.iter().zip(right.iter()).map(|pair| match pair {
            (Some(_), Some(0)) => Err(fault(SqlState::DIVISION_BY_ZERO, "division by zero")),
            (Some(one), Some(other)) => {
                let whole = raise(one, left.scale()).zip(raise(other, right.scale())).and_then(|(one, other)| one.checked_div(other));
                whole.map(Some).ok_or_else(|| fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"))
            }
            _ => Ok(None),
        });
        let quotients: Decimal128Array = quotients.collect::<Result<Vec<_>>>()?.into_iter().collect();
        Ok(Arc::new(quotients.with_precision_and_scale(38, 0)?) as ArrayRef)
    };
    Function::new("div", takes, |_| Some(DataType::Decimal128(38, 0)), computes)
}

/// −1, 0 or 1: of an exact number a numeric, else a floating-point number.
fn sign() -> Function {
    let exact = |found: &DataType| matches!(found, DataType::Decimal128(..));
    let takes = move |types: &[DataType]| {
        let [found] = types else { return None };
        Some(vec![if exact(found) { found.clone() } else { DataType::Float64 }])
    };
    let gives = move |types: &[DataType]| Some(if exact(types.first()?) { DataType::Decimal128(1, 0) } else { DataType::Float64 });
    let computes = |args: &[ArrayRef], _rows: usize| {
        let values = first(args)?;
        if let Some(values) = values.as_primitive_opt::<Decimal128Type>() {
            let signs: Decimal128Array = values.unary(i128::signum);
            return Ok(Arc::new(signs.with_precision_and_scale(1, 0)?) as ArrayRef);
        }
        let signs: Float64Array = arg::<Float64Array>(args, 0)?.unary(|value| if value == 0.0 { 0.0 } else { value.signum() });
        Ok(Arc::new(signs) as ArrayRef)
    };
    Function::new("sign", takes, gives, computes)
}

/// Digits behind the point.
fn scale() -> Function {
    let takes = |types: &[DataType]| if types.len() == 1 { decimals(types) } else { None };
    let computes = |args: &[ArrayRef], _rows: usize| {
        let values = arg::<Decimal128Array>(args, 0)?;
        let scale = i32::from(values.scale());
        Ok(Arc::new(values.iter().map(|value| value.map(|_| scale)).collect::<Int32Array>()) as ArrayRef)
    };
    Function::new("scale", takes, |_| Some(DataType::Int32), computes)
}

/// The product of all numbers up to this one.
fn factorial() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let one = |number: i64| {
            if number < 0 {
                return Err(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "factorial of a negative number is undefined"));
            }
            let product = (1..=i128::from(number)).try_fold(1_i128, i128::checked_mul);
            product.filter(|product| *product < 10_i128.pow(38)).ok_or_else(numeric::overflow)
        };
        let values = arg::<Int64Array>(args, 0)?.iter().map(|number| number.map(one).transpose()).collect::<Result<Decimal128Array>>()?;
        Ok(Arc::new(values.with_precision_and_scale(38, 0)?) as ArrayRef)
    };
    let takes = |types: &[DataType]| match types {
        [found] if found.is_integer() || found.is_null() => Some(vec![DataType::Int64]),
        _ => None,
    };
    Function::new("factorial", takes, |_| Some(DataType::Decimal128(38, 0)), computes)
}

/// The same numeric, which is shown without zeros at the end.
fn trim_scale() -> Function {
    let takes = |types: &[DataType]| if types.len() == 1 { decimals(types) } else { None };
    Function::new("trim_scale", takes, |types| types.first().cloned(), |args, _rows| first(args).cloned())
}

/// The bucket of a value among so many of one width between two bounds, or between the bounds of an array.
fn width_bucket() -> Function {
    let bounds = DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
    let takes = move |types: &[DataType]| match types {
        [value, DataType::List(bound)] if value.is_numeric() && bound.data_type().is_numeric() => {
            Some(vec![DataType::Float64, bounds.clone()])
        }
        [_, _, _, _] => Some(vec![DataType::Float64, DataType::Float64, DataType::Float64, DataType::Int64]),
        _ => None,
    };
    let computes = |args: &[ArrayRef], rows: usize| {
        if args.len() == 2 {
            return between(arg::<Float64Array>(args, 0)?, arg::<ListArray>(args, 1)?);
        }
        let (values, lows) = (arg::<Float64Array>(args, 0)?, arg::<Float64Array>(args, 1)?);
        let (highs, counts) = (arg::<Float64Array>(args, 2)?, arg::<Int64Array>(args, 3)?);
        let one = |row: usize| {
            if values.is_null(row) || lows.is_null(row) || highs.is_null(row) || counts.is_null(row) {
                return Ok(None);
            }
            bucket(values.value(row), lows.value(row), highs.value(row), counts.value(row)).map(Some)
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<Int32Array>>()?) as ArrayRef)
    };
    Function::new("width_bucket", takes, |_| Some(DataType::Int32), computes)
}

/// How many of the bounds, which are sorted, are not above the value.
fn between(values: &Float64Array, lists: &ListArray) -> Result<ArrayRef> {
    let one = |(value, bounds): (Option<f64>, Option<ArrayRef>)| {
        let (Some(value), Some(bounds)) = (value, bounds) else { return Ok(None) };
        if bounds.null_count() > 0 {
            return Err(fault(SqlState::NULL_VALUE_NOT_ALLOWED, "thresholds array must not contain NULLs"));
        }
        let below = bounds.as_primitive::<Float64Type>().values().iter().filter(|bound| **bound <= value).count();
        Ok(i32::try_from(below).ok())
    };
    Ok(Arc::new(values.iter().zip(lists.iter()).map(one).collect::<Result<Int32Array>>()?))
}

#[expect(clippy::cast_possible_truncation, reason = "the bucket lies between 0 and the count, which is an integer")]
fn bucket(value: f64, low: f64, high: f64, count: i64) -> Result<i32> {
    let refused = |text: &str| Err(fault(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, text));
    let Some(count) = i32::try_from(count).ok().filter(|count| *count > 0) else {
        return refused("count must be greater than zero");
    };
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return refused("operand, lower bound, and upper bound cannot be NaN");
    }
    if !low.is_finite() || !high.is_finite() {
        return refused("lower and upper bounds must be finite");
    }
    if low.total_cmp(&high).is_eq() {
        return refused("lower bound cannot equal upper bound");
    }
    let (before, behind) = if low < high { (value < low, value >= high) } else { (value > low, value <= high) };
    Ok(match (before, behind) {
        (true, _) => 0,
        (_, true) => count.saturating_add(1),
        _ => ((value - low) / (high - low) * f64::from(count)) as i32 + 1,
    })
}

/// How many of the arguments are NULL, or are not.
fn counted(name: &'static str, nulls: bool) -> Function {
    let takes = |types: &[DataType]| (!types.is_empty()).then(|| types.to_vec());
    let computes = move |args: &[ArrayRef], rows: usize| {
        let known: Vec<_> = args.iter().map(|values| values.logical_nulls()).collect();
        let one = |row: usize| {
            let null = |known: &Option<NullBuffer>| known.as_ref().is_some_and(|known| known.is_null(row));
            let found = known.iter().filter(|known| null(known) == nulls).count();
            i32::try_from(found).unwrap_or(i32::MAX)
        };
        Ok(Arc::new((0..rows).map(one).collect::<Int32Array>()) as ArrayRef)
    };
    Function::new(name, takes, |_| Some(DataType::Int32), computes)
}

/// A number by a template: its digits, its point and its sign.
fn to_number() -> Function {
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8; 2]);
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, templates) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut last = Last::NONE;
        let numbers = texts.iter().zip(templates.iter()).map(|pair| match pair {
            (Some(text), Some(template)) if !template.is_empty() => in_column(last.of(template, Reading::of)?.number(text)?).map(Some),
            _ => Ok(None),
        });
        let numbers: Decimal128Array = numbers.collect::<Result<Vec<_>>>()?.into_iter().collect();
        Ok(Arc::new(numbers.with_precision_and_scale(numeric::PRECISION_MAX, numeric::QUOTIENT_SCALE)?) as ArrayRef)
    };
    let gives = |_: &[DataType]| Some(DataType::Decimal128(numeric::PRECISION_MAX, numeric::QUOTIENT_SCALE));
    Function::new("to_number", takes, gives, computes)
}

/// The number with the digits behind its point that a column of them has.
fn in_column(number: Digits) -> Result<i128> {
    let places = usize::try_from(numeric::QUOTIENT_SCALE).unwrap_or(0);
    let unit = |places: usize| u32::try_from(places).ok().and_then(|places| 10_i128.checked_pow(places)).ok_or_else(numeric::overflow);
    if number.scale <= places {
        return number.value.checked_mul(unit(places - number.scale)?).ok_or_else(numeric::overflow);
    }
    let unit = unit(number.scale - places)?;
    Ok((number.value + number.value.signum() * (unit / 2)) / unit)
}

/// `to_number` of constants, with the digits that the text has; `None` for a template without a letter.
pub(super) fn constant_number(text: &str, template: &str) -> Result<ScalarValue> {
    if template.is_empty() {
        return Ok(ScalarValue::Decimal128(None, numeric::PRECISION_MAX, 0));
    }
    let number = Reading::of(template)?.number(text)?;
    match i8::try_from(number.scale) {
        Ok(scale @ 0..=37) => Ok(ScalarValue::Decimal128(Some(number.value), numeric::PRECISION_MAX, scale)),
        _ => Err(numeric::overflow()),
    }
}

/// `sqrt(x)` of a floating-point number. The engine's own is no key of a window: asked for its order, it fails.
pub(super) fn root() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let one = |value: f64| {
            let text = "cannot take square root of a negative number";
            if value < 0.0 { Err(fault(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, text)) } else { Ok(value.sqrt()) }
        };
        Ok(Arc::new(arg::<Float64Array>(args, 0)?.try_unary::<_, Float64Type, DataFusionError>(one)?) as ArrayRef)
    };
    Function::new("sqrt", |types| (types.len() == 1).then(|| vec![DataType::Float64]), |_| Some(DataType::Float64), computes)
}

/// `exp(x)`, `acos(x)`, `asin(x)`, `acosh(x)`, `atanh(x)`, which fail where the engine's answer infinity or no number; `None` for other names.
pub(super) fn bounded(name: &str) -> Option<Function> {
    Some(match name {
        "exp" => partial("exp", |value| {
            let result = value.exp();
            match (value.is_finite(), result) {
                (true, f64::INFINITY) => Err("value out of range: overflow"),
                (true, 0.0) => Err("value out of range: underflow"),
                _ => Ok(result),
            }
        }),
        "acosh" => partial("acosh", |value| if value < 1.0 { Err("input is out of range") } else { Ok(value.acosh()) }),
        "atanh" => partial("atanh", |value| if value.abs() > 1.0 { Err("input is out of range") } else { Ok(value.atanh()) }),
        "acos" => partial("acos", |value| if value.abs() > 1.0 { Err("input is out of range") } else { Ok(value.acos()) }),
        "asin" => partial("asin", |value| if value.abs() > 1.0 { Err("input is out of range") } else { Ok(value.asin()) }),
        _ => return None,
    })
}

fn partial(name: &'static str, compute: fn(f64) -> std::result::Result<f64, &'static str>) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let values = arg::<Float64Array>(args, 0)?.try_unary::<_, Float64Type, DataFusionError>(|value| {
            compute(value).map_err(|text| fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, text))
        });
        Ok(Arc::new(values?) as ArrayRef)
    };
    Function::new(name, |types| (types.len() == 1).then(|| vec![DataType::Float64]), |_| Some(DataType::Float64), computes)
}

/// `power(x, y)`, which fails where there is none.
pub(super) fn power() -> Function {
    let one = |base: f64, exponent: f64| {
        let refused = |text: &str| Err(fault(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, text));
        if base == 0.0 && exponent < 0.0 {
            return refused("zero raised to a negative power is undefined");
        }
        if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
            return refused("a negative number raised to a non-integer power yields a complex result");
        }
        let result = base.powf(exponent);
        if result.is_infinite() && base.is_finite() && exponent.is_finite() {
            return Err(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow"));
        }
        if result == 0.0 && base != 0.0 && base.is_finite() && exponent.is_finite() {
            return Err(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow"));
        }
        Ok(result)
    };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (bases, exponents) = (arg::<Float64Array>(args, 0)?, arg::<Float64Array>(args, 1)?);
        let powers = bases.iter().zip(exponents.iter()).map(|pair| match pair {
            (Some(base), Some(exponent)) => one(base, exponent).map(Some),
            _ => Ok(None),
        });
        Ok(Arc::new(powers.collect::<Result<Float64Array>>()?) as ArrayRef)
    };
    Function::new("power", |types| (types.len() == 2).then(|| vec![DataType::Float64; 2]), |_| Some(DataType::Float64), computes)
}

/// A logarithm, which zero and what is less have none of.
fn logarithm(name: &'static str, compute: fn(f64) -> f64) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let refused = |text: &str| Err(fault(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, text));
        let logarithms = arg::<Float64Array>(args, 0)?.try_unary::<_, Float64Type, DataFusionError>(|value| {
            if value == 0.0 {
                return refused("cannot take logarithm of zero");
            }
            if value < 0.0 { refused("cannot take logarithm of a negative number") } else { Ok(compute(value)) }
        });
        Ok(Arc::new(logarithms?) as ArrayRef)
    };
    Function::new(name, |types| (types.len() == 1).then(|| vec![DataType::Float64]), |_| Some(DataType::Float64), computes)
}

/// Whether each value is finite: dates and times here always are.
pub(super) fn finite() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let values = first(args)?;
        let known: BooleanArray = (0..values.len()).map(|row| values.is_valid(row).then_some(true)).collect();
        Ok(Arc::new(known) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1 && types.iter().all(DataType::is_temporal)).then(|| types.to_vec());
    Function::new("isfinite", takes, |_| Some(DataType::Boolean), computes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_half_open() {
        assert_eq!(bucket(5.35, 0.024, 10.06, 5).unwrap(), 3);
        assert_eq!(
            [bucket(0.0, 0.0, 10.0, 5).unwrap(), bucket(10.0, 0.0, 10.0, 5).unwrap(), bucket(-1.0, 0.0, 10.0, 5).unwrap()],
            [1, 6, 0]
        );
        assert_eq!(bucket(9.0, 10.0, 0.0, 10).unwrap(), 2);
        assert!(bucket(1.0, 1.0, 1.0, 5).is_err() && bucket(1.0, 0.0, 2.0, 0).is_err());
    }

    #[test]
    fn numbers_are_read_by_their_template() {
        let unit = 10_i128.pow(16);
        let of = |text: &str, template: &str| in_column(Reading::of(template).unwrap().number(text).unwrap()).unwrap();
        assert_eq!(of("1,234.50", "9,999.99"), 123_450 * unit / 100);
        assert_eq!(of("-12", "S99"), -12 * unit);
        assert_eq!(of("0.00000000000000015", "9.99999999999999999"), 2);
        assert_eq!(constant_number("1.50", "9.99").unwrap(), ScalarValue::Decimal128(Some(150), 38, 2));
    }
}
