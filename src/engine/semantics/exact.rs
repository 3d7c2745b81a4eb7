//! exp(), ln(), log() and power() of numerics, to the digit that PostgreSQL gives.
//!
//! Computed on whole numbers that stand for numbers with a fixed count of digits behind the point, of which there are more than are kept.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use num_bigint::{BigInt, Sign};

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::numeric::{self, Digits, PRECISION_MAX, overflow};

/// Digits that count, at the least.
const SIGNIFICANT: i32 = 16;
/// Digits behind the point that PostgreSQL gives to a result, at the most.
const SCALE_MAX: i32 = 1_000;
/// Digits that are computed beyond those that are kept.
const GUARD: u32 = 50;
/// Digits before the point that are computed; what has more does not fit anyway.
const WHOLE_MAX: i32 = 60;
/// Digits of a power that is multiplied out.
const DIGITS_MAX: u64 = 8_000;

/// The functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `exp(x)`
    Exp,
    /// `ln(x)`
    Ln,
    /// `log(base, x)`
    Log,
    /// `power(x, y)`
    Power,
}

/// A numeric: its digits, how many of them stand behind the point, and how many are shown there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    pub(super) digits: i128,
    pub(super) scale: i8,
    pub(super) shown: i32,
}

impl Number {
    /// One that shows all the digits behind its point.
    pub(super) fn new(digits: i128, scale: i8) -> Self {
        Self { digits, scale, shown: i32::from(scale) }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn near(self) -> f64 {
        self.digits as f64 / 10_f64.powi(i32::from(self.scale))
    }

    /// As a whole number with so many digits behind the point.
    fn fixed(self, places: u32) -> BigInt {
        let rest = places.saturating_sub(u32::from(self.scale.unsigned_abs()));
        BigInt::from(self.digits) * ten(rest)
    }

    /// The value, if it is whole and small.
    fn whole(self) -> Option<i32> {
        let unit = 10_i128.checked_pow(u32::try_from(self.scale).ok()?)?;
        if self.digits.checked_rem(unit)? == 0 { i32::try_from(self.digits.checked_div(unit)?).ok() } else { None }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Exp => "numeric_exp",
            Self::Ln => "numeric_ln",
            Self::Log => "numeric_log",
            Self::Power => "numeric_power",
        }
    }

    fn arity(self) -> usize {
        match self {
            Self::Exp | Self::Ln => 1,
            Self::Log | Self::Power => 2,
        }
    }

    /// Digits behind the point of a column of results.
    fn column_scale(self) -> i8 {
        match self {
            Self::Exp | Self::Power => numeric::QUOTIENT_SCALE,
            Self::Ln | Self::Log => 20,
        }
    }

    /// Digits behind the point of the result, if there is one.
    pub(super) fn scale(self, args: &[Number]) -> i32 {
        let scale = match (self, args) {
            (Self::Exp, [value]) => (SIGNIFICANT - truncated(value.near() * std::f64::consts::LOG10_E)).max(value.shown),
            (Self::Ln, [value]) => (SIGNIFICANT - log_weight(*value)).max(value.shown),
            (Self::Log, [base, value]) => (SIGNIFICANT - log_weight(*value) + log_weight(*base)).max(base.shown).max(value.shown),
            (Self::Power, [base, exponent]) if exponent.whole().is_some() => SIGNIFICANT.max(base.shown),
            (Self::Power, [base, _]) if base.digits == 0 => SIGNIFICANT,
            (Self::Power, [base, exponent]) => {
                let weight = base.near().abs().ln() * exponent.near() * std::f64::consts::LOG10_E;
                (SIGNIFICANT - truncated(weight)).max(base.shown).max(exponent.shown)
            }
            _ => SIGNIFICANT,
        };
        scale.clamp(0, SCALE_MAX)
    }

    /// The result, of as many digits behind the point as `scale` says.
    fn value(self, args: &[Number], scale: u32) -> Result<BigInt> {
        match (self, args) {
            (Self::Exp, [value]) => power_of_e(&value.fixed(scale + GUARD), value.near(), scale),
            (Self::Ln, [value]) => Ok(rounded(&logarithm(positive(*value)?, scale + GUARD), GUARD)),
            (Self::Log, [base, value]) => {
                let places = scale + GUARD;
                let (below, above) = (logarithm(positive(*base)?, places), logarithm(positive(*value)?, places));
                if below.sign() == Sign::NoSign {
                    return Err(fault(SqlState::DIVISION_BY_ZERO, "division by zero"));
                }
                Ok(rounded(&(above * ten(places) / below), GUARD))
            }
            (Self::Power, [base, exponent]) => power(*base, *exponent, scale),
            _ => Err(fault(SqlState::INTERNAL_ERROR, "a function without its argument")),
        }
    }

    /// The result of constants, with all of its digits; `None` leaves it, or its fault, to the run.
    pub(super) fn constant(self, args: &[Expr]) -> Option<Expr> {
        let number = |expr: &Expr| match expr {
            Expr::Literal(ScalarValue::Int16(Some(value)), _) => Some(Number::new(i128::from(*value), 0)),
            Expr::Literal(ScalarValue::Int32(Some(value)), _) => Some(Number::new(i128::from(*value), 0)),
            Expr::Literal(ScalarValue::Int64(Some(value)), _) => Some(Number::new(i128::from(*value), 0)),
            Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale @ 0..), _) => Some(Number::new(*value, *scale)),
            _ => None,
        };
        let args = args.iter().map(number).collect::<Option<Vec<_>>>()?;
        let scale = u32::try_from(self.scale(&args)).ok()?;
        let value = i128::try_from(self.value(&args, scale).ok()?).ok()?;
        let fits = value.unsigned_abs() < 10_u128.pow(u32::from(PRECISION_MAX));
        let scale = i8::try_from(scale).ok().filter(|scale| *scale < 38 && fits)?;
        Some(Expr::Literal(ScalarValue::Decimal128(Some(value), PRECISION_MAX, scale), None))
    }

    /// The function over columns.
    pub(super) fn function(self) -> Function {
        let takes = move |types: &[DataType]| if types.len() == self.arity() { numeric::both(types) } else { None };
        let gives = move |_: &[DataType]| Some(DataType::Decimal128(PRECISION_MAX, self.column_scale()));
        let computes = move |args: &[ArrayRef], rows: usize| {
            let columns = (0..args.len()).map(|at| arg::<Decimal128Array>(args, at)).collect::<Result<Vec<_>>>()?;
            let one = |row: usize| {
                if columns.iter().any(|column| column.is_null(row)) {
                    return Ok(None);
                }
                let numbers: Vec<Number> = columns.iter().map(|column| Number::new(column.value(row), column.scale())).collect();
                self.in_column(&numbers).map(Some)
            };
            let values = (0..rows).map(one).collect::<Result<Decimal128Array>>()?;
            Ok(Arc::new(values.with_precision_and_scale(PRECISION_MAX, self.column_scale())?) as ArrayRef)
        };
        Function::new(self.name(), takes, gives, computes)
    }

    fn in_column(self, args: &[Number]) -> Result<i128> {
        let column = u32::from(self.column_scale().unsigned_abs());
        let scale = u32::try_from(self.scale(args)).unwrap_or(column).min(column);
        let value = self.value(args, scale)? * ten(column - scale);
        let fits = |value: &i128| value.unsigned_abs() < 10_u128.pow(u32::from(PRECISION_MAX));
        i128::try_from(value).ok().filter(fits).ok_or_else(overflow)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the whole part is meant, and bounded")]
fn truncated(value: f64) -> i32 {
    value.clamp(-2_000.0, 2_000.0) as i32
}

/// About where the first digit of a number's logarithm stands.
fn log_weight(value: Number) -> i32 {
    let near = value.near();
    if near <= 0.0 {
        return 0;
    }
    if !(0.9..=1.1).contains(&near) {
        return truncated(near.ln().abs().log10());
    }
    let one = u32::try_from(value.scale).ok().and_then(|scale| 10_i128.checked_pow(scale));
    let beyond = Digits::of(value.digits - one.unwrap_or(value.digits), value.scale);
    beyond.weight * 4 + beyond.first.checked_ilog10().and_then(|log| i32::try_from(log).ok()).unwrap_or(0)
}

fn ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

/// Without so many of the last digits, half away from zero.
fn rounded(value: &BigInt, places: u32) -> BigInt {
    let unit = ten(places);
    let half = &unit / 2;
    if value.sign() == Sign::Minus { (value - half) / unit } else { (value + half) / unit }
}

fn positive(value: Number) -> Result<Number> {
    let refused = |text: &str| Err(fault(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, text));
    match value.digits {
        0 => refused("cannot take logarithm of zero"),
        ..0 => refused("cannot take logarithm of a negative number"),
        _ => Ok(value),
    }
}

/// The sum of `z^n / n` over odd n, twice: the logarithm of `(1 + z) / (1 - z)`.
fn odd_powers(z: &BigInt, one: &BigInt) -> BigInt {
    let square = z * z / one;
    let (mut power, mut sum, mut n) = (z.clone(), BigInt::ZERO, 1_u32);
    while power.sign() != Sign::NoSign {
        sum += &power / n;
        power = power * &square / one;
        n += 2;
    }
    sum * 2
}

/// The logarithm, with so many digits behind the point.
fn logarithm(value: Number, places: u32) -> BigInt {
    // Small numbers have their digits far behind the point.
    let places_inside = places + 40;
    let one = ten(places_inside);
    let mut near = value.fixed(places_inside);
    let mut twos = 0_i64;
    while near > &one * 4 / 3 {
        near /= 2;
        twos += 1;
    }
    while near < &one * 2 / 3 {
        near *= 2;
        twos -= 1;
    }
    let z = (&near - &one) * &one / (&near + &one);
    let sum = odd_powers(&z, &one) + odd_powers(&(&one / 3), &one) * twos;
    rounded(&sum, 40)
}

/// `e` to the power of a number with `scale + GUARD` digits behind the point, of `scale` digits.
fn power_of_e(exponent: &BigInt, near: f64, scale: u32) -> Result<BigInt> {
    let weight = near * std::f64::consts::LOG10_E;
    if weight > f64::from(WHOLE_MAX) {
        return Err(overflow());
    }
    if weight < -f64::from(scale) - 2.0 {
        return Ok(BigInt::ZERO);
    }
    let places = scale + GUARD + WHOLE_MAX.unsigned_abs();
    let one = ten(places);
    let two = odd_powers(&(&one / 3), &one);
    let exponent = exponent * ten(places - scale - GUARD);
    let twos = &exponent / &two;
    let rest = (&exponent - &twos * &two) / 256;
    let (mut term, mut sum, mut n) = (one.clone(), one.clone(), 1_u32);
    while term.sign() != Sign::NoSign {
        term = term * &rest / &one / n;
        sum += &term;
        n += 1;
    }
    for _ in 0..8 {
        sum = &sum * &sum / &one;
    }
    let twos = i32::try_from(twos).map_err(|_| overflow())?;
    let result = if twos >= 0 { sum << twos } else { sum >> twos.unsigned_abs() };
    Ok(rounded(&result, places - scale))
}

fn power(base: Number, exponent: Number, scale: u32) -> Result<BigInt> {
    let refused = |text: &str| Err(fault(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, text));
    let whole = exponent.whole();
    if base.digits == 0 {
        return match exponent.digits {
            0 => Ok(ten(scale)),
            ..0 => refused("zero raised to a negative power is undefined"),
            _ => Ok(BigInt::ZERO),
        };
    }
    if base.digits < 0 && whole.is_none() {
        return refused("a negative number raised to a non-integer power yields a complex result");
    }
    let digits = u64::from(base.digits.unsigned_abs().ilog10()) + 1;
    if let Some(times) = whole.map(i32::unsigned_abs).filter(|times| u64::from(*times) * digits <= DIGITS_MAX) {
        let product = BigInt::from(base.digits).pow(times);
        let places = u32::from(base.scale.unsigned_abs()).saturating_mul(times);
        if exponent.digits < 0 {
            // One digit more than are kept decides how the last is rounded.
            return Ok(rounded(&(ten(places + scale + 1) / product), 1));
        }
        return Ok(if places > scale { rounded(&product, places - scale) } else { product * ten(scale - places) });
    }
    let size = Number { digits: base.digits.saturating_abs(), ..base };
    // The digits of the exponent cost as many of the product.
    let places = scale + 2 * GUARD + WHOLE_MAX.unsigned_abs();
    let product = logarithm(size, places) * exponent.digits / ten(u32::from(exponent.scale.unsigned_abs()));
    let near = size.near().ln() * exponent.near();
    let result = power_of_e(&rounded(&product, places - scale - GUARD), near, scale)?;
    let negative = base.digits < 0 && whole.is_some_and(|whole| whole % 2 != 0);
    Ok(if negative { -result } else { result })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: Kind, args: &[(i128, i8)]) -> String {
        let args: Vec<Number> = args.iter().map(|(digits, scale)| Number::new(*digits, *scale)).collect();
        let scale = u32::try_from(kind.scale(&args)).unwrap();
        let value = kind.value(&args, scale).unwrap();
        let digits = format!("{:0>1$}", value.magnitude().to_string(), scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
        format!("{}{whole}.{fraction}", if value.sign() == Sign::Minus { "-" } else { "" })
    }

    #[test]
    fn results_have_the_digits_that_postgres_gives() {
        for (kind, args, expected) in [
            (Kind::Exp, &[(10, 1)][..], "2.7182818284590452"),
            (Kind::Exp, &[(25, 1)], "12.182493960703473"),
            (Kind::Exp, &[(0, 1)], "1.0000000000000000"),
            (Kind::Exp, &[(-15, 1)], "0.2231301601484298"),
            (Kind::Exp, &[(100, 1)], "22026.465794806717"),
            (Kind::Ln, &[(20, 1)], "0.6931471805599453"),
            (Kind::Ln, &[(5, 1)], "-0.6931471805599453"),
            (Kind::Ln, &[(10, 1)], "0.0000000000000000"),
            (Kind::Ln, &[(123_456_789_123, 3)], "18.631401767164318"),
            (Kind::Log, &[(10, 0), (1, 3)], "-3.0000000000000000"),
            (Kind::Log, &[(20, 1), (640, 1)], "6.0000000000000000"),
            (Kind::Power, &[(90, 1), (30, 1)], "729.0000000000000000"),
            (Kind::Power, &[(20, 1), (-2, 0)], "0.2500000000000000"),
            (Kind::Power, &[(11, 1), (100, 0)], "13780.6123398222701841"),
            (Kind::Power, &[(2, 0), (5, 1)], "1.4142135623730950"),
            (Kind::Power, &[(9, 0), (5, 1)], "3.0000000000000000"),
            (Kind::Power, &[(8, 0), (33_333_333_333_333_333_333, 20)], "1.99999999999999999999"),
            (Kind::Power, &[(-20, 1), (3, 0)], "-8.0000000000000000"),
        ] {
            assert_eq!(shown(kind, args), expected, "{kind:?} {args:?}");
        }
    }

    #[test]
    fn what_has_no_result_fails() {
        let of = |kind: Kind, args: &[(i128, i8)]| {
            let args: Vec<Number> = args.iter().map(|(digits, scale)| Number::new(*digits, *scale)).collect();
            kind.in_column(&args).map_err(|error| error.to_string())
        };
        assert!(of(Kind::Ln, &[(0, 0)]).is_err() && of(Kind::Ln, &[(-1, 0)]).is_err());
        assert!(of(Kind::Power, &[(0, 0), (-1, 0)]).is_err() && of(Kind::Power, &[(-2, 0), (5, 1)]).is_err());
        assert!(of(Kind::Log, &[(1, 0), (5, 0)]).is_err());
        assert!(of(Kind::Exp, &[(1_000, 0)]).is_err(), "more digits than there is room for");
        assert_eq!(of(Kind::Exp, &[(-1_000, 0)]), Ok(0));
        assert_eq!(of(Kind::Power, &[(0, 0), (0, 0)]), Ok(10_i128.pow(16)));
    }
}
