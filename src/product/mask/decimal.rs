//! Exact decimal numbers, as contracts, policies and decimal columns hold them.

use std::cmp::Ordering;
use std::fmt;

/// Digits of the widest decimal.
const DIGITS_MAX: u32 = 38;

/// Digits behind the point that a quotient has at most.
const QUOTIENT_SCALE: u8 = 12;

/// `unscaled` divided by ten to the power of `scale`.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    /// All digits.
    pub unscaled: i128,
    /// How many of them stand behind the point.
    pub scale: u8,
}

impl Decimal {
    /// A whole number.
    pub fn whole(number: i64) -> Self {
        Self { unscaled: number.into(), scale: 0 }
    }

    /// Reads `-12.50`; no exponent, no sign but a minus.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !all_digits || (whole.is_empty() && fraction.is_empty()) || whole.len().saturating_add(fraction.len()) > 60 {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = u8::try_from(fraction.len()).ok()?;
        Some(Self { unscaled: if negative { unscaled.checked_neg()? } else { unscaled }, scale }).filter(Self::fits)
    }

    /// The number with so many digits behind the point, halves rounded away from zero; `None` if it has too many digits.
    pub fn rescaled(self, scale: u8) -> Option<Self> {
        let unscaled = if scale >= self.scale {
            self.unscaled.checked_mul(power_of_ten(scale.checked_sub(self.scale)?)?)?
        } else {
            let divisor = power_of_ten(self.scale.checked_sub(scale)?)?;
            let (quotient, rest) = (self.unscaled.checked_div(divisor)?, self.unscaled.checked_rem(divisor)?);
            let away = if rest.unsigned_abs().checked_mul(2)? >= divisor.unsigned_abs() { rest.signum() } else { 0 };
            quotient.checked_add(away)?
        };
        Some(Self { unscaled, scale }).filter(Self::fits)
    }

    /// Without digits behind the point, towards minus infinity.
    pub fn floor(self) -> Option<Self> {
        Some(Self { unscaled: self.unscaled.div_euclid(power_of_ten(self.scale)?), scale: 0 })
    }

    /// Without digits behind the point, towards zero.
    pub fn truncated(self) -> Option<Self> {
        Some(Self { unscaled: self.unscaled.checked_div(power_of_ten(self.scale)?)?, scale: 0 })
    }

    /// The opposite.
    pub fn negated(self) -> Option<Self> {
        Some(Self { unscaled: self.unscaled.checked_neg()?, ..self })
    }

    /// The sum, if it has not too many digits.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (left, right) = self.aligned(other)?;
        Some(Self { unscaled: left.unscaled.checked_add(right.unscaled)?, scale: left.scale }).filter(Self::fits)
    }

    /// The difference, if it has not too many digits.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated()?)
    }

    /// The product, if it has not too many digits.
    pub fn times(self, other: Self) -> Option<Self> {
        let scale = self.scale.checked_add(other.scale)?;
        Some(Self { unscaled: self.unscaled.checked_mul(other.unscaled)?, scale }).filter(Self::fits)
    }

    /// The quotient; `None` of a division by zero.
    pub fn divided_by(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale).max(QUOTIENT_SCALE);
        // One digit more than is kept, to round by.
        let shift = scale.checked_add(1)?.checked_add(other.scale)?.checked_sub(self.scale)?;
        let numerator = self.unscaled.checked_mul(power_of_ten(shift)?)?;
        Self { unscaled: numerator.checked_div(other.unscaled)?, scale: scale.checked_add(1)? }.rescaled(scale)
    }

    /// The rest of a division, with the sign of the dividend; `None` of a division by zero.
    pub fn rest_by(self, other: Self) -> Option<Self> {
        let (left, right) = self.aligned(other)?;
        Some(Self { unscaled: left.unscaled.checked_rem(right.unscaled)?, scale: left.scale })
    }

    /// The greatest multiple of a positive width that is not above the number.
    pub fn bucket(self, width: Self) -> Option<Self> {
        let (number, width) = self.aligned(width)?;
        let unscaled = number.unscaled.checked_div_euclid(width.unscaled)?.checked_mul(width.unscaled)?;
        Some(Self { unscaled, scale: number.scale }).filter(Self::fits)
    }

    /// The nearest number of 64 bits.
    pub fn to_f64(self) -> Option<f64> {
        self.to_string().parse().ok()
    }

    /// The nearest whole number of 64 bits, halves away from zero.
    pub fn to_i64(self) -> Option<i64> {
        self.rescaled(0)?.unscaled.try_into().ok()
    }

    /// The decimal that a number of 64 bits shows as.
    pub fn of_f64(number: f64) -> Option<Self> {
        let text = number.to_string();
        let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        // What has too many digits behind the point is taken as far as they go.
        let kept = text.len().saturating_sub(digits.saturating_sub(20));
        Self::parse(text.get(..kept)?)
    }

    /// Whether it is greater than zero.
    pub fn is_positive(self) -> bool {
        self.unscaled > 0
    }

    fn aligned(self, other: Self) -> Option<(Self, Self)> {
        let scale = self.scale.max(other.scale);
        Some((self.rescaled(scale)?, other.rescaled(scale)?))
    }

    fn fits(&self) -> bool {
        10_u128.checked_pow(DIGITS_MAX).is_some_and(|limit| self.unscaled.unsigned_abs() < limit)
    }
}

/// Ten to that power, if it has at most 38 digits.
pub(super) fn power_of_ten(exponent: u8) -> Option<i128> {
    10_i128.checked_pow(exponent.into())
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.aligned(*other) {
            Some((left, right)) => left.unscaled.cmp(&right.unscaled),
            // What cannot be brought to one scale differs before the point.
            None => self.whole_part().cmp(&other.whole_part()),
        }
    }
}

impl Decimal {
    fn whole_part(self) -> i128 {
        power_of_ten(self.scale).and_then(|divisor| self.unscaled.checked_div(divisor)).unwrap_or(0)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.unscaled.unsigned_abs(), width = scale.saturating_add(1));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
        let sign = if self.unscaled < 0 { "-" } else { "" };
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_read_and_written() {
        for (text, shown) in [("0", "0"), ("-12.50", "-12.5"), (".5", "0.5"), ("-0.05", "-0.05"), ("007", "7")] {
            assert_eq!(number(text).to_string(), shown);
        }
        for text in ["", ".", "-", "1e3", "+1", "1.2.3", " 1", &"9".repeat(39)] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        for (text, rounded) in [("2.5", "3"), ("-2.5", "-3"), ("2.49", "2"), ("-0.5", "-1"), ("0.4", "0")] {
            assert_eq!(number(text).rescaled(0).unwrap().to_string(), rounded, "{text}");
        }
        assert_eq!(number("1.25").rescaled(4).unwrap().to_string(), "1.2500");
        assert!(number(&"9".repeat(38)).rescaled(1).is_none());
    }

    #[test]
    fn arithmetic_is_exact_and_never_fails() {
        assert_eq!(number("0.1").plus(number("0.2")).unwrap(), number("0.3"));
        assert_eq!(number("1").divided_by(number("3")).unwrap().to_string(), "0.333333333333");
        assert_eq!(number("-7.5").rest_by(number("2")).unwrap(), number("-1.5"));
        assert_eq!(number("2").divided_by(number("0")), None);
        assert_eq!(number(&"9".repeat(38)).plus(number("1")), None);
        assert_eq!(number(&"9".repeat(38)).times(number("10")), None);
        assert_eq!(number("-1.5").floor().unwrap(), number("-2"));
        assert_eq!(number("-1.5").truncated().unwrap(), number("-1"));
    }

    #[test]
    fn buckets_begin_at_their_lower_bound() {
        for (value, width, bucket) in [("17", "10", "10"), ("-3", "10", "-10"), ("20", "10", "20"), ("1.37", "0.25", "1.25")] {
            assert_eq!(number(value).bucket(number(width)).unwrap(), number(bucket), "{value}");
        }
    }

    #[test]
    fn numbers_of_any_scale_are_in_order() {
        assert!(number("1.5") > number("1.49"));
        assert_eq!(number("1.50"), number("1.5"));
        assert!(number(&"9".repeat(38)) > number("0.00000000000000000000000000000000000001"));
        assert!(number("-1") < number("0.1"));
    }

    proptest! {
        #[test]
        fn sums_and_buckets_agree_with_integers(left in -1_000_000_i64..1_000_000, right in 1_i64..1_000_000) {
            let (a, b) = (Decimal::whole(left), Decimal::whole(right));
            prop_assert_eq!(a.plus(b).unwrap(), Decimal::whole(left + right));
            prop_assert_eq!(a.minus(b).unwrap(), Decimal::whole(left - right));
            prop_assert_eq!(a.times(b).unwrap(), Decimal::whole(left * right));
            prop_assert_eq!(a.bucket(b).unwrap(), Decimal::whole(left.div_euclid(right) * right));
        }
    }
}
