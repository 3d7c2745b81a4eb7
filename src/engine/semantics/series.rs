//! generate_series() of numbers as a list, which the select list unnests.
//!
//! INVARIANT: no call makes more than [`ELEMENTS_MAX`] elements for one batch, whatever its arguments say; more is an error before they are made.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, Int64Builder, ListBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::spaced;

/// The function, and the one that numbers rows, which are bigints.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![series("generate_series", false).udf(), series("meshgate_generate_series", false).udf(), series("meshgate_series", true).udf()]
}

/// Elements of all series of one batch.
pub(super) const ELEMENTS_MAX: i128 = 2 << 20;

/// Whether a series is one of integers, beside which texts are constants.
pub(super) fn of_integers(types: &[DataType]) -> bool {
    let fits = |found: &DataType| found.is_integer() || found.is_null() || found.is_string();
    let known = types.iter().any(DataType::is_integer) || types.iter().all(DataType::is_null);
    matches!(types.len(), 2 | 3) && known && types.iter().all(fits)
}

/// The series of numbers.
pub(super) fn integers() -> Function {
    series("generate_series", false)
}

/// Integers make integers.
pub(super) fn element(types: &[DataType]) -> DataType {
    let small = |found: &DataType| matches!(found, DataType::Int16 | DataType::Int32 | DataType::Null) || found.is_string();
    if types.iter().all(small) { DataType::Int32 } else { DataType::Int64 }
}

/// The numbers from a start to an end, as a list.
fn series(name: &'static str, wide: bool) -> Function {
    let element = move |types: &[DataType]| if wide { DataType::Int64 } else { element(types) };
    let fits = of_integers;
    let takes = move |types: &[DataType]| {
        if fits(types) { Some(vec![element(types); types.len()]) } else { spaced::element(types).map(|_| types.to_vec()) }
    };
    let gives = move |types: &[DataType]| {
        // Other types are other functions by the time that they run.
        let element = if fits(types) { element(types) } else { spaced::element(types)? };
        Some(DataType::List(Arc::new(Field::new_list_field(element, true))))
    };
    let computes = |args: &[ArrayRef], rows: usize| {
        let narrow = args.first().is_some_and(|values| *values.data_type() == DataType::Int32);
        let args = &args.iter().map(|values| Ok(cast(values, &DataType::Int64)?)).collect::<Result<Vec<_>>>()?;
        let (starts, ends) = (arg::<Int64Array>(args, 0)?, arg::<Int64Array>(args, 1)?);
        let steps = if args.len() > 2 { Some(arg::<Int64Array>(args, 2)?) } else { None };
        let mut budget = ELEMENTS_MAX;
        let mut lists = ListBuilder::with_capacity(Int64Builder::new(), rows);
        for (row, pair) in starts.iter().zip(ends.iter()).enumerate() {
            let step = steps.map_or(Some(1), |steps| (!steps.is_null(row)).then(|| steps.value(row)));
            let (Some(start), Some(end), Some(step)) = (pair.0, pair.1, step) else {
                lists.append(true);
                continue;
            };
            if step == 0 {
                return Err(fault(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero"));
            }
            let (start, end, step) = (i128::from(start), i128::from(end), i128::from(step));
            let span = if step > 0 { end - start } else { start - end };
            let count = if span < 0 { 0 } else { span / step.abs() + 1 };
            budget = left(budget, count)?;
            for number in 0..count {
                lists.values().append_option(i64::try_from(start + number * step).ok());
            }
            lists.append(true);
        }
        let lists = Arc::new(lists.finish()) as ArrayRef;
        let integers = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
        Ok(if narrow { cast(&lists, &integers)? } else { lists })
    };
    Function::new(name, takes, gives, computes)
}

/// What is left of a budget.
pub(super) fn left(budget: i128, count: i128) -> Result<i128> {
    let left = budget - count;
    if left < 0 { Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends() {
        assert_eq!(left(10, 10).unwrap(), 0);
        assert!(left(10, 11).is_err());
        assert!(left(ELEMENTS_MAX, i128::from(i64::MAX) - i128::from(i64::MIN)).is_err());
    }
}
