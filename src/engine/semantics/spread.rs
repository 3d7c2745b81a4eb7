//! stddev() and variance() of exact numbers, computed as PostgreSQL computes them: of sums that are exact.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, FixedSizeBinaryArray, UInt64Array};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, i256};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::function::Result;
use super::numeric::{self, Digits, PRECISION_MAX};

/// Digits behind the point of a column of results.
const SCALE: i8 = 16;
/// Digits behind the point that a result is computed with.
const KEPT_MAX: i8 = 20;
/// Bytes of a sum of squares.
const SUM_BYTES: i32 = 32;

/// The aggregate that stands for one of the engine's over exact numbers; `None` if it is none of these.
pub(super) fn exact(name: &str) -> Option<AggregateUDF> {
    let (root, sample) = match name {
        "stddev" | "stddev_samp" => (true, true),
        "stddev_pop" => (true, false),
        "var" | "var_samp" | "var_sample" => (false, true),
        "var_pop" | "var_population" => (false, false),
        _ => return None,
    };
    Some(AggregateUDF::new_from_impl(Spread { root, sample, signature: Signature::any(1, Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Spread {
    /// A deviation, which is the root of a variance.
    root: bool,
    /// Of a sample, and not of all there are.
    sample: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Spread {
    fn name(&self) -> &str {
        match (self.root, self.sample) {
            (true, true) => "numeric_stddev_samp",
            (true, false) => "numeric_stddev_pop",
            (false, true) => "numeric_var_samp",
            (false, false) => "numeric_var_pop",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(PRECISION_MAX, SCALE))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let scale = args.exprs.first().and_then(|expr| match expr.data_type(args.schema) {
            Ok(DataType::Decimal128(_, scale)) => Some(scale),
            _ => None,
        });
        let scale = scale.ok_or_else(unfit)?;
        let sums = Sums { root: self.root, sample: self.sample, scale, count: 0, sum: i256::ZERO, squares: i256::ZERO };
        Ok(if args.is_distinct { Box::new(Distinct { sums, seen: BTreeSet::new() }) } else { Box::new(sums) })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            let element = Field::new_list_field(DataType::Decimal128(PRECISION_MAX, 0), true);
            return Ok(vec![Field::new_list(format!("{}[distinct]", args.name), element, true).into()]);
        }
        let sum = |what: &str| Field::new(format!("{}[{what}]", args.name), DataType::FixedSizeBinary(SUM_BYTES), true);
        let count = Field::new(format!("{}[count]", args.name), DataType::UInt64, true);
        Ok(vec![count.into(), sum("sum").into(), sum("squares").into()])
    }
}

#[derive(Debug)]
struct Sums {
    root: bool,
    sample: bool,
    scale: i8,
    count: u64,
    sum: i256,
    squares: i256,
}

impl Sums {
    fn see(&mut self, values: &Decimal128Array, gone: bool) -> Result<()> {
        for value in values.iter().flatten() {
            let value = i256::from_i128(value);
            let square = value.checked_mul(value).ok_or_else(numeric::overflow)?;
            let (sum, squares) = if gone {
                self.count = self.count.saturating_sub(1);
                (self.sum.checked_sub(value), self.squares.checked_sub(square))
            } else {
                self.count = self.count.saturating_add(1);
                (self.sum.checked_add(value), self.squares.checked_add(square))
            };
            (self.sum, self.squares) = sum.zip(squares).ok_or_else(numeric::overflow)?;
        }
        Ok(())
    }

    /// The result, of [`SCALE`] digits behind the point.
    fn result(&self) -> Result<Option<i128>> {
        let least = if self.sample { 2 } else { 1 };
        if self.count < least {
            return Ok(None);
        }
        let count = i256::from_i128(i128::from(self.count));
        let overflow = numeric::overflow;
        let squares = count.checked_mul(self.squares).ok_or_else(overflow)?;
        let excess = squares.checked_sub(self.sum.checked_mul(self.sum).ok_or_else(overflow)?).ok_or_else(overflow)?;
        if excess <= i256::ZERO {
            return Ok(Some(0));
        }
        let others = if self.sample { i128::from(self.count) - 1 } else { i128::from(self.count) };
        let divisor = count.checked_mul(i256::from_i128(others)).ok_or_else(overflow)?;
        let scale = self.scale.saturating_mul(2);
        // Where the numbers begin is all that the scale of their quotient depends on.
        let digits = |value: i256, scale: i8| value.to_i128().map(|value| Digits::of(value, scale));
        let kept = match (digits(excess, scale), digits(divisor, 0)) {
            (Some(excess), Some(divisor)) => numeric::division_scale(excess, divisor, scale),
            _ => SCALE,
        };
        let kept = kept.min(KEPT_MAX);
        let raised = excess.checked_mul(numeric::power(i32::from(kept))?).ok_or_else(overflow)?;
        let variance = numeric::rounded(Some(raised), divisor.checked_mul(numeric::power(i32::from(scale))?).ok_or_else(overflow)?)?;
        let value = if self.root { rooted(variance, kept)? } else { variance };
        let unit = 10_i128.pow(u32::from(SCALE.abs_diff(kept)));
        if kept > SCALE {
            return numeric::rounded(Some(i256::from_i128(value)), i256::from_i128(unit)).map(Some);
        }
        value.checked_mul(unit).ok_or_else(overflow).map(Some)
    }
}

/// The root of a variance that is rounded already, as PostgreSQL takes it; with as many digits behind the point.
fn rooted(variance: i128, kept: i8) -> Result<i128> {
    // One digit more under the root than are kept decides how the last is rounded.
    let raised = i256::from_i128(variance).checked_mul(numeric::power(i32::from(kept) + 2)?).ok_or_else(numeric::overflow)?;
    numeric::rounded(Some(root(raised)), i256::from_i128(10))
}

/// The whole root of a number that is not below zero.
pub(super) fn root(value: i256) -> i256 {
    let (mut low, mut high) = (i256::ZERO, i256::ONE);
    while high.checked_mul(high).is_some_and(|square| square <= value) {
        high = high.wrapping_mul(i256::from_i128(2));
    }
    while low.wrapping_add(i256::ONE) < high {
        let middle = low.wrapping_add(high).wrapping_div(i256::from_i128(2));
        if middle.checked_mul(middle).is_some_and(|square| square <= value) { low = middle } else { high = middle }
    }
    low
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values.first().and_then(|values| values.as_primitive_opt::<Decimal128Type>()) {
            Some(values) => self.see(values, false),
            None => Err(unfit()),
        }
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values.first().and_then(|values| values.as_primitive_opt::<Decimal128Type>()) {
            Some(values) => self.see(values, true),
            None => Err(unfit()),
        }
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let unfit = || DataFusionError::Internal("an aggregate without its state".to_owned());
        let [counts, sums, squares] = states else { return Err(unfit()) };
        let counts = counts.as_any().downcast_ref::<UInt64Array>().ok_or_else(unfit)?;
        let (sums, squares) =
            (sums.as_any().downcast_ref::<FixedSizeBinaryArray>(), squares.as_any().downcast_ref::<FixedSizeBinaryArray>());
        let (sums, squares) = sums.zip(squares).ok_or_else(unfit)?;
        let number = |bytes: &[u8]| bytes.try_into().map(i256::from_le_bytes).map_err(|_| unfit());
        for row in (0..counts.len()).filter(|row| sums.is_valid(*row)) {
            self.count = self.count.saturating_add(counts.value(row));
            self.sum = self.sum.checked_add(number(sums.value(row))?).ok_or_else(numeric::overflow)?;
            self.squares = self.squares.checked_add(number(squares.value(row))?).ok_or_else(numeric::overflow)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.result()?;
        if value.is_some_and(|value| value.unsigned_abs() >= 10_u128.pow(u32::from(PRECISION_MAX))) {
            return Err(numeric::overflow());
        }
        Ok(ScalarValue::Decimal128(value, PRECISION_MAX, SCALE))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bytes = |value: i256| ScalarValue::FixedSizeBinary(SUM_BYTES, Some(value.to_le_bytes().to_vec()));
        Ok(vec![ScalarValue::UInt64(Some(self.count)), bytes(self.sum), bytes(self.squares)])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// Distinct values, whose digits are kept without their point.
#[derive(Debug)]
struct Distinct {
    sums: Sums,
    seen: BTreeSet<i128>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values.first().and_then(|values| values.as_primitive_opt::<Decimal128Type>()).ok_or_else(unfit)?;
        self.seen.extend(values.iter().flatten());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states.first().and_then(|lists| lists.as_list_opt::<i32>()).ok_or_else(unfit)?;
        lists.iter().flatten().try_for_each(|list| self.update_batch(&[list]))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut sums = Sums { count: 0, sum: i256::ZERO, squares: i256::ZERO, ..self.sums };
        sums.see(&self.seen.iter().copied().map(Some).collect(), false)?;
        sums.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.seen.iter().map(|value| ScalarValue::Decimal128(Some(*value), PRECISION_MAX, 0)).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list(&values, &DataType::Decimal128(PRECISION_MAX, 0), true))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.seen.len() * size_of::<i128>()
    }
}

fn unfit() -> DataFusionError {
    DataFusionError::Internal("an aggregate of exact numbers over others".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[i128], root: bool, sample: bool) -> Option<i128> {
        let mut sums = Sums { root, sample, scale: 0, count: 0, sum: i256::ZERO, squares: i256::ZERO };
        sums.see(&Decimal128Array::from(values.to_vec()), false).unwrap();
        sums.result().unwrap()
    }

    #[test]
    fn results_are_rounded_where_postgres_rounds_them() {
        assert_eq!(of(&[1, 3, 4], true, true), Some(15_275_252_316_519_467));
        assert_eq!(of(&[1, 3, 4], false, true), Some(23_333_333_333_333_333));
        assert_eq!(of(&[1, 3, 4], true, false), Some(12_472_191_289_246_471));
        assert_eq!(of(&[0, 1, 2, 3, 4, 5, 6], true, true), Some(21_602_468_994_692_868));
        assert_eq!(of(&[5], true, true), None);
        assert_eq!(of(&[5, 5], true, true), Some(0));
    }

    #[test]
    fn what_leaves_the_frame_is_taken_away() {
        let mut sums = Sums { root: false, sample: true, scale: 0, count: 0, sum: i256::ZERO, squares: i256::ZERO };
        sums.see(&Decimal128Array::from(vec![9, 1, 3, 4]), false).unwrap();
        sums.see(&Decimal128Array::from(vec![9]), true).unwrap();
        assert_eq!(sums.result().unwrap(), of(&[1, 3, 4], false, true));
    }

    #[test]
    fn a_root_is_whole() {
        for (value, expected) in [(0, 0), (1, 1), (15, 3), (16, 4), (1_000_000, 1000)] {
            assert_eq!(root(i256::from_i128(value)), i256::from_i128(expected));
        }
    }
}
