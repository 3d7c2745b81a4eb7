//! Aggregates of floating-point numbers, computed as PostgreSQL computes them: in the order of the rows, by the recurrence of Youngs and Cramer.
//!
//! Their last digits hang on how the numbers are added up, so sums are no sums of sums here but where partitions are put together.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

use crate::error::SqlState;

use super::framed;
use super::function::{Result, fault};

/// What a function answers of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Sum,
    /// A deviation or a variance: the root of it, and of a sample.
    Spread(bool, bool),
    SquaresX,
    SquaresY,
    Products,
    MeanX,
    MeanY,
    Covariance(bool),
    Correlation,
    Determination,
    Slope,
    Intercept,
}

impl What {
    fn parse(name: &str) -> Option<(Self, &'static str)> {
        Some(match name {
            "sum" => (Self::Sum, "sum"),
            "stddev" | "stddev_samp" => (Self::Spread(true, true), "float_stddev_samp"),
            "stddev_pop" => (Self::Spread(true, false), "float_stddev_pop"),
            "var" | "var_samp" | "var_sample" => (Self::Spread(false, true), "float_var_samp"),
            "var_pop" | "var_population" => (Self::Spread(false, false), "float_var_pop"),
            "regr_sxx" => (Self::SquaresX, "float_regr_sxx"),
            "regr_syy" => (Self::SquaresY, "float_regr_syy"),
            "regr_sxy" => (Self::Products, "float_regr_sxy"),
            "regr_avgx" => (Self::MeanX, "float_regr_avgx"),
            "regr_avgy" => (Self::MeanY, "float_regr_avgy"),
            "covar_pop" => (Self::Covariance(false), "float_covar_pop"),
            "covar_samp" | "covar" => (Self::Covariance(true), "float_covar_samp"),
            "corr" => (Self::Correlation, "float_corr"),
            "regr_r2" => (Self::Determination, "float_regr_r2"),
            "regr_slope" => (Self::Slope, "float_regr_slope"),
            "regr_intercept" => (Self::Intercept, "float_regr_intercept"),
            _ => return None,
        })
    }

    /// Whether it is one of pairs.
    fn paired(self) -> bool {
        !matches!(self, Self::Sum | Self::Spread(..))
    }

    fn of(self, sums: &Sums) -> Option<f64> {
        let Sums { count, x, xx, y, yy, xy } = *sums;
        let least = if matches!(self, Self::Spread(_, true) | Self::Covariance(true)) { 2.0 } else { 1.0 };
        if count < least {
            return None;
        }
        match self {
            Self::Sum => Some(x),
            Self::Spread(root, sample) => {
                let variance = xx / if sample { count - 1.0 } else { count };
                Some(if root { variance.sqrt() } else { variance })
            }
            Self::SquaresX => Some(xx),
            Self::SquaresY => Some(yy),
            Self::Products => Some(xy),
            Self::MeanX => Some(x / count),
            Self::MeanY => Some(y / count),
            Self::Covariance(sample) => Some(xy / if sample { count - 1.0 } else { count }),
            Self::Correlation => (xx != 0.0 && yy != 0.0).then(|| xy / (xx * yy).sqrt()),
            Self::Determination if xx == 0.0 => None,
            Self::Determination if yy == 0.0 => Some(1.0),
            Self::Determination => Some((xy * xy) / (xx * yy)),
            Self::Slope => (xx != 0.0).then(|| xy / xx),
            Self::Intercept => (xx != 0.0).then(|| (y - x * xy / xx) / count),
        }
    }
}

/// The aggregate that stands for one of the engine's of floating-point numbers, and how many arguments it takes.
pub(super) fn standing_for(name: &str) -> Option<(AggregateUDF, usize)> {
    let (what, name) = What::parse(name)?;
    let arity = if what.paired() { 2 } else { 1 };
    let signature = Signature::any(arity, Volatility::Immutable);
    Some((AggregateUDF::new_from_impl(Accrued { what, name, signature }), arity))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Accrued {
    what: What,
    name: &'static str,
    signature: Signature,
}

impl Accrued {
    fn running(&self) -> Running {
        Running { what: self.what, sums: Sums::default() }
    }
}

impl AggregateUDFImpl for Accrued {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Ok(Box::new(Distinct { running: self.running(), seen: Vec::new() }));
        }
        Ok(Box::new(self.running()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            let name = format!("{}[distinct]", args.name);
            return Ok(vec![Field::new_list(name, Field::new_list_field(DataType::Float64, true), true).into()]);
        }
        Ok(PARTS.iter().map(|part| Field::new(format!("{}[{part}]", args.name), DataType::Float64, true).into()).collect())
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { what: self.what, sums: Vec::new() }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let running = self.running();
        framed::accumulator(&args, move |_| Ok(Box::new(running)))
    }
}

/// What the state of a group is made of.
const PARTS: [&str; 6] = ["count", "x", "xx", "y", "yy", "xy"];

/// How many rows there were, their sums, and the sums of squares and products of what parts them from their means.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    count: f64,
    x: f64,
    xx: f64,
    y: f64,
    yy: f64,
    xy: f64,
}

fn overflow() -> DataFusionError {
    fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

/// The sums of something that is, or has become, infinite.
fn checked(now: [f64; 2], before: &[f64]) -> Result<f64> {
    let [sum, squares] = now;
    if !sum.is_infinite() && !squares.is_infinite() {
        return Ok(squares);
    }
    if before.iter().all(|value| !value.is_infinite()) { Err(overflow()) } else { Ok(f64::NAN) }
}

impl Sums {
    /// A sum alone.
    fn add(&mut self, value: f64) -> Result<()> {
        let sum = self.x + value;
        if sum.is_infinite() && !self.x.is_infinite() && !value.is_infinite() {
            return Err(overflow());
        }
        // The first is taken as it is: zero and a negative zero would be another.
        self.x = if self.count == 0.0 { value } else { sum };
        self.count += 1.0;
        Ok(())
    }

    fn see(&mut self, x: f64) -> Result<()> {
        let old = *self;
        self.count += 1.0;
        self.x += x;
        if old.count > 0.0 {
            let part = x * self.count - self.x;
            self.xx = checked([self.x, old.xx + part * part / (self.count * old.count)], &[old.x, x])?;
        } else if !x.is_finite() {
            self.xx = f64::NAN;
        }
        Ok(())
    }

    fn see_pair(&mut self, y: f64, x: f64) -> Result<()> {
        let old = *self;
        self.count += 1.0;
        self.x += x;
        self.y += y;
        if old.count > 0.0 {
            let (of_x, of_y) = (x * self.count - self.x, y * self.count - self.y);
            let scale = 1.0 / (self.count * old.count);
            self.xx = checked([self.x, old.xx + of_x * of_x * scale], &[old.x, x])?;
            self.yy = checked([self.y, old.yy + of_y * of_y * scale], &[old.y, y])?;
            self.xy = checked([0.0, old.xy + of_x * of_y * scale], &[old.x, x, old.y, y])?;
        } else {
            if !x.is_finite() {
                (self.xx, self.xy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.yy, self.xy) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }

    /// Of two partitions.
    fn combined(self, other: Self) -> Result<Self> {
        if self.count == 0.0 || other.count == 0.0 {
            return Ok(if self.count == 0.0 { other } else { self });
        }
        let count = self.count + other.count;
        let share = self.count * other.count;
        let (of_x, of_y) = (self.x / self.count - other.x / other.count, self.y / self.count - other.y / other.count);
        let made = Self {
            count,
            x: self.x + other.x,
            xx: self.xx + other.xx + share * of_x * of_x / count,
            y: self.y + other.y,
            yy: self.yy + other.yy + share * of_y * of_y / count,
            xy: self.xy + other.xy + share * of_x * of_y / count,
        };
        let finite = |sums: &Self| [sums.x, sums.xx, sums.y, sums.yy, sums.xy].iter().all(|part| !part.is_infinite());
        if finite(&self) && finite(&other) && !finite(&made) { Err(overflow()) } else { Ok(made) }
    }

    fn parts(&self) -> [f64; 6] {
        [self.count, self.x, self.xx, self.y, self.yy, self.xy]
    }

    /// Of one row of a state.
    fn of_parts(parts: &[Float64Array], row: usize) -> Result<Self> {
        let [count, x, xx, y, yy, xy] = parts else { return Err(unfit()) };
        Ok(Self { count: count.value(row), x: x.value(row), xx: xx.value(row), y: y.value(row), yy: yy.value(row), xy: xy.value(row) })
    }
}

fn unfit() -> DataFusionError {
    DataFusionError::Internal("an aggregate of floating-point numbers over others".to_owned())
}

fn floats(arrays: &[ArrayRef]) -> Result<Vec<Float64Array>> {
    arrays.iter().map(|array| array.as_primitive_opt::<Float64Type>().cloned().ok_or_else(unfit)).collect()
}

/// The sums of one group as its rows come.
#[derive(Debug, Clone, Copy)]
struct Running {
    what: What,
    sums: Sums,
}

impl Running {
    fn see(&mut self, values: &[f64]) -> Result<()> {
        match (self.what, values) {
            (What::Sum, [value]) => self.sums.add(*value),
            (_, [value]) => self.sums.see(*value),
            (_, [y, x]) => self.sums.see_pair(*y, *x),
            _ => Err(unfit()),
        }
    }
}

/// The values of the rows of which none is NULL.
fn rows(values: &[Float64Array]) -> impl Iterator<Item = (usize, [f64; 2])> + '_ {
    let count = values.first().map_or(0, Array::len);
    (0..count).filter(|row| values.iter().all(|values| values.is_valid(*row))).map(|row| {
        let at = |place: usize| values.get(place).map_or(0.0, |values| values.value(row));
        (row, [at(0), at(1)])
    })
}

impl Accumulator for Running {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = floats(values)?;
        let width = values.len();
        for (_, row) in rows(&values) {
            self.see(row.get(..width).ok_or_else(unfit)?)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let parts = floats(states)?;
        for row in 0..parts.first().map_or(0, Array::len) {
            self.sums = self.sums.combined(Sums::of_parts(&parts, row)?)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.what.of(&self.sums)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self.sums.parts().into_iter().map(|part| ScalarValue::Float64(Some(part))).collect())
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// Distinct rows, which are seen in their order.
#[derive(Debug)]
struct Distinct {
    running: Running,
    seen: Vec<[f64; 2]>,
}

impl Distinct {
    fn sort(&mut self) {
        // The two zeros are one number.
        let key = |row: &[f64; 2]| row.map(|value| value + 0.0);
        let order = |one: &[f64; 2], other: &[f64; 2]| {
            let ([one, beside], [other, other_beside]) = (key(one), key(other));
            one.total_cmp(&other).then(beside.total_cmp(&other_beside))
        };
        self.seen.sort_by(order);
        self.seen.dedup_by(|one, other| order(one, other).is_eq());
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = floats(values)?;
        self.seen.extend(rows(&values).map(|(_, row)| row));
        self.sort();
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states.first().and_then(|lists| lists.as_list_opt::<i32>()).ok_or_else(unfit)?;
        for list in lists.iter().flatten() {
            let values = list.as_primitive_opt::<Float64Type>().ok_or_else(unfit)?;
            self.seen.extend(values.values().chunks_exact(2).filter_map(|pair| <[f64; 2]>::try_from(pair).ok()));
        }
        self.sort();
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut running = self.running;
        let width = if running.what.paired() { 2 } else { 1 };
        for row in &self.seen {
            running.see(row.get(..width).ok_or_else(unfit)?)?;
        }
        running.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.seen.iter().flatten().map(|value| ScalarValue::Float64(Some(*value))).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list(&values, &DataType::Float64, true))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.seen.capacity() * size_of::<[f64; 2]>()
    }
}

/// The sums of many groups.
#[derive(Debug)]
struct Groups {
    what: What,
    sums: Vec<Sums>,
}

impl Groups {
    fn see(&mut self, group: usize, values: &[f64]) -> Result<()> {
        let slot = self.sums.get_mut(group).ok_or_else(unfit)?;
        let mut running = Running { what: self.what, sums: *slot };
        running.see(values)?;
        *slot = running.sums;
        Ok(())
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.resize(total_num_groups, Sums::default());
        let values = floats(values)?;
        let width = values.len();
        let taken = |row: usize| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        for (row, pair) in rows(&values).filter(|(row, _)| taken(*row)) {
            let group = group_indices.get(row).copied().ok_or_else(unfit)?;
            self.see(group, pair.get(..width).ok_or_else(unfit)?)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.sums.resize(total_num_groups, Sums::default());
        let parts = floats(values)?;
        for (row, group) in group_indices.iter().enumerate() {
            let slot = self.sums.get_mut(*group).ok_or_else(unfit)?;
            *slot = slot.combined(Sums::of_parts(&parts, row)?)?;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let answers: Float64Array = sums.iter().map(|sums| self.what.of(sums)).collect();
        Ok(Arc::new(answers))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = emit_to.take_needed(&mut self.sums);
        Ok(columns(&sums))
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut each = Self { what: self.what, sums: Vec::new() };
        let count = values.first().map_or(0, |values| values.len());
        let groups: Vec<usize> = (0..count).collect();
        each.update_batch(values, &groups, opt_filter, count)?;
        Ok(columns(&each.sums))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sums.capacity() * size_of::<Sums>()
    }
}

fn columns(sums: &[Sums]) -> Vec<ArrayRef> {
    (0..PARTS.len())
        .map(|part| {
            let values = sums.iter().map(|sums| sums.parts().get(part).copied());
            Arc::new(values.collect::<Float64Array>()) as ArrayRef
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, pairs: &[[f64; 2]]) -> Option<f64> {
        let (what, _) = What::parse(name).unwrap();
        let mut running = Running { what, sums: Sums::default() };
        for pair in pairs {
            running.see(if what.paired() { pair } else { &pair[1..] }).unwrap();
        }
        what.of(&running.sums)
    }

    #[test]
    fn digits_are_those_of_postgres() {
        let pairs = [[1.5, 2.25], [2.1, 3.3], [2.9, 5.5], [7.1, 9.9]];
        for (name, expected) in [
            ("regr_slope", 0.734_047_373_094_836_9),
            ("regr_intercept", -0.444_573_116_584_208_6),
            ("regr_r2", 0.965_821_686_585_020_9),
            ("corr", 0.982_762_273_688_312_1),
        ] {
            assert_eq!(of(name, &pairs), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_has_no_spread_has_no_correlation() {
        let flat = [[1.0, 2.0], [1.0, 3.0]];
        assert_eq!((of("regr_r2", &flat), of("corr", &flat), of("regr_slope", &flat)), (Some(1.0), None, Some(0.0)));
        assert_eq!((of("stddev", &flat[..1]), of("stddev_pop", &flat[..1]), of("sum", &[])), (None, Some(0.0), None));
    }

    #[test]
    fn what_leaves_the_range_is_an_error() {
        let mut sums = Sums::default();
        sums.add(f64::MAX).unwrap();
        assert!(sums.add(f64::MAX).is_err());
        let mut sums = Sums::default();
        sums.see(f64::INFINITY).unwrap();
        sums.see(1.0).unwrap();
        assert!(What::Spread(false, true).of(&sums).unwrap().is_nan());
    }

    #[test]
    fn partitions_are_put_together() {
        let of = |values: &[f64]| {
            values.iter().fold(Sums::default(), |mut sums, value| {
                sums.see(*value).unwrap();
                sums
            })
        };
        let both = of(&[1.0, 2.0]).combined(of(&[4.0, 5.0])).unwrap();
        assert_eq!((both.count, both.x, both.xx), (4.0, 12.0, 10.0));
        assert_eq!(Sums::default().combined(both).unwrap(), both);
    }
}
