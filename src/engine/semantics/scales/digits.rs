//! The rules by which PostgreSQL gives digits to a result, as functions of the arguments and of their own digits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float32Array, Float64Array, Int32Array, StringArray};
use arrow::datatypes::DataType;

use super::super::exact::{Kind, Number};
use super::super::function::{Function, Result, arg, first};
use super::super::numeric::{self, Digits};

/// A numeric as the text of so many digits behind the point.
pub(super) fn text() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (values, scales) = (arg::<Decimal128Array>(args, 0)?, arg::<Int32Array>(args, 1)?);
        let own = i32::from(values.scale());
        let texts = values.iter().zip(scales.iter()).map(|(value, scale)| {
            let value = value?;
            let kept = scale.unwrap_or(own).clamp(0, own.max(0));
            Some(spelled(value, own, kept))
        });
        Ok(Arc::new(texts.collect::<StringArray>()) as ArrayRef)
    };
    let takes = |types: &[DataType]| match types {
        [value @ DataType::Decimal128(..), _] => Some(vec![value.clone(), DataType::Int32]),
        _ => None,
    };
    Function::new("numeric_text", takes, |_| Some(DataType::Utf8), computes)
}

/// The text of a number of `own` digits behind the point, of which `kept` are shown.
fn spelled(value: i128, own: i32, kept: i32) -> String {
    let unit = u32::try_from(own - kept).ok().and_then(|places| 10_u128.checked_pow(places)).unwrap_or(1);
    let size = value.unsigned_abs();
    let (whole, rest) = (size / unit, size % unit);
    let size = if rest >= unit - rest { whole + 1 } else { whole };
    let sign = if value < 0 && size > 0 { "-" } else { "" };
    let kept = usize::try_from(kept).unwrap_or(0);
    let digits = format!("{size:0>width$}", width = kept + 1);
    let (whole, fraction) = digits.split_at(digits.len() - kept);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A function of numerics, and of as many numbers of digits behind them; NULL of NULL.
fn ruled(name: &'static str, arity: usize, rule: impl Fn(&[Number]) -> i32 + Send + Sync + 'static) -> Function {
    let takes = move |types: &[DataType]| {
        let (values, scales) = types.split_at_checked(arity).filter(|(_, scales)| scales.len() == arity)?;
        let mut taken = numeric::both(values)?;
        taken.extend(scales.iter().map(|_| DataType::Int32));
        Some(taken)
    };
    let computes = move |args: &[ArrayRef], rows: usize| {
        let values = (0..arity).map(|at| arg::<Decimal128Array>(args, at)).collect::<Result<Vec<_>>>()?;
        let scales = (arity..2 * arity).map(|at| arg::<Int32Array>(args, at)).collect::<Result<Vec<_>>>()?;
        let number = |row: usize, values: &Decimal128Array, scales: &Int32Array| {
            (values.is_valid(row) && scales.is_valid(row)).then(|| Number {
                digits: values.value(row),
                scale: values.scale(),
                shown: scales.value(row),
            })
        };
        let one = |row: usize| {
            let numbers = values.iter().zip(&scales).map(|(values, scales)| number(row, values, scales)).collect::<Option<Vec<_>>>()?;
            Some(rule(&numbers))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Int32Array>()) as ArrayRef)
    };
    Function::new(name, takes, |_| Some(DataType::Int32), computes)
}

/// Of `left / right`.
pub(super) fn quotient() -> Function {
    ruled("numeric_divide_scale", 2, |numbers| match numbers {
        [left, right] => {
            let most = i8::try_from(left.shown.max(right.shown)).unwrap_or(i8::MAX);
            i32::from(numeric::division_scale(Digits::of(left.digits, left.scale), Digits::of(right.digits, right.scale), most))
        }
        _ => 0,
    })
}

/// Of `sqrt(x)`.
pub(super) fn root() -> Function {
    ruled("numeric_sqrt_scale", 1, |numbers| {
        let Some(value) = numbers.first() else { return 0 };
        numeric::root_scale(Digits::of(value.digits, value.scale)).max(value.shown)
    })
}

/// Of exp(), ln(), log(), power().
pub(super) fn computed(kind: Kind) -> Function {
    let (name, arity) = match kind {
        Kind::Exp => ("numeric_exp_scale", 1),
        Kind::Ln => ("numeric_ln_scale", 1),
        Kind::Log => ("numeric_log_scale", 2),
        Kind::Power => ("numeric_power_scale", 2),
    };
    ruled(name, arity, move |numbers| kind.scale(numbers))
}

/// How a numeric was made whose digits its size tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Quotient,
    Variance,
    /// The root of a variance, which has as many digits as that.
    Deviation,
}

/// Of what was made by dividing.
pub(super) fn by_size(made: Made) -> Function {
    let takes = |types: &[DataType]| if types.len() == 1 { numeric::both(types) } else { None };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let values = arg::<Decimal128Array>(args, 0)?;
        let scale = values.scale();
        let one = |value: i128| match (made, value) {
            (Made::Quotient, 0) => 20,
            (_, 0) => 0,
            (Made::Deviation, value) => (16 - 4 * variance_weight(value, scale)).max(0),
            (_, value) => (16 - 4 * Digits::of(value, scale).weight).max(0),
        };
        Ok(Arc::new(values.iter().map(|value| value.map(one)).collect::<Int32Array>()) as ArrayRef)
    };
    let number = match made {
        Made::Quotient => 0,
        Made::Variance => 1,
        Made::Deviation => 2,
    };
    Function::new("numeric_size_scale", takes, |_| Some(DataType::Int32), computes).variant(number)
}

/// The weight of the square.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate of where its first digit stands")]
fn variance_weight(deviation: i128, scale: i8) -> i32 {
    let log = 2.0 * ((deviation.unsigned_abs() as f64).log10() - f64::from(scale));
    (log / 4.0).floor() as i32
}

/// As many as are needed for the value.
pub(super) fn least() -> Function {
    let takes = |types: &[DataType]| if types.len() == 1 { numeric::both(types) } else { None };
    let computes = |args: &[ArrayRef], _rows: usize| {
        let values = arg::<Decimal128Array>(args, 0)?;
        let scale = values.scale();
        Ok(Arc::new(values.iter().map(|value| value.map(|value| needed(value, scale))).collect::<Int32Array>()) as ArrayRef)
    };
    Function::new("min_scale", takes, |_| Some(DataType::Int32), computes)
}

/// Digits behind the point without zeros at the end.
fn needed(value: i128, scale: i8) -> i32 {
    let (mut value, mut scale) = (value, i32::from(scale.max(0)));
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    scale
}

/// Of a text, or of a floating-point number, as a numeric.
pub(super) fn written() -> Function {
    let takes = |types: &[DataType]| match types {
        [found @ (DataType::Float32 | DataType::Float64)] => Some(vec![found.clone()]),
        [_] => Some(vec![DataType::Utf8]),
        _ => None,
    };
    let computes = |args: &[ArrayRef], _rows: usize| {
        let values = first(args)?;
        let scales: Int32Array = if let Some(values) = values.as_any().downcast_ref::<Float64Array>() {
            values.iter().map(|value| value.map(|value| behind(&format!("{value:.14e}"), true))).collect()
        } else if let Some(values) = values.as_any().downcast_ref::<Float32Array>() {
            values.iter().map(|value| value.map(|value| behind(&format!("{value:.5e}"), true))).collect()
        } else {
            values.as_string::<i32>().iter().map(|text| text.map(|text| behind(text.trim(), false))).collect()
        };
        Ok(Arc::new(scales) as ArrayRef)
    };
    Function::new("numeric_written_scale", takes, |_| Some(DataType::Int32), computes)
}

/// Digits behind the point of a number as it is written, without the zeros at the end if they are filled in.
fn behind(text: &str, filled: bool) -> i32 {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction);
    let fraction = if filled { fraction.trim_end_matches('0') } else { fraction };
    let exponent: i32 = exponent.trim_start_matches('+').parse().unwrap_or(0);
    i32::try_from(fraction.len()).unwrap_or(0).saturating_sub(exponent).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_is_spelled_with_its_digits() {
        assert_eq!(spelled(1_250_000, 6, 2), "1.25");
        assert_eq!(spelled(-1_255_000, 6, 2), "-1.26");
        assert_eq!(spelled(4, 6, 2), "0.00");
        assert_eq!(spelled(-4, 6, 2), "0.00");
        assert_eq!(spelled(12_000_000, 6, 0), "12");
        assert_eq!(spelled(5, 6, 6), "0.000005");
    }

    #[test]
    fn digits_behind_the_point_are_counted() {
        assert_eq!([behind("1.50", false), behind("12", false), behind("1.5e3", false), behind("1.5e-3", false)], [2, 0, 0, 4]);
        assert_eq!([behind("1.50000000000000e0", true), behind("1.00000000000000e15", true), behind("2.5e-7", true)], [1, 0, 8]);
        assert_eq!([needed(1_500, 3), needed(1_000, 3), needed(0, 2), needed(1_501, 3)], [1, 0, 0, 3]);
    }

    #[test]
    fn a_deviation_tells_the_size_of_its_variance() {
        assert_eq!(variance_weight(437_276, 4), 0);
        assert_eq!(variance_weight(1_500_000, 4), 1);
        assert_eq!(variance_weight(5, 1), -1);
    }
}
