//! lag() and lead() whose distance or default is not a constant, or of another type than the value.
//!
//! A distance that is NULL leads to NULL, as in PostgreSQL; the engine takes it for one row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::interleave;
use arrow::compute::kernels::nullif::nullif;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Expr, ExprSchemable, PartitionEvaluator, Signature, Volatility, WindowFunctionDefinition, WindowUDF, WindowUDFImpl, cast,
};

use crate::engine::gathered::weight;
use crate::error::SqlState;

use super::function::{Result, fault};
use super::{Facts, matching};

/// Puts a function of our own in the place of such a call.
pub(super) fn shifted(call: &mut WindowFunction, lag: bool, schema: &DFSchema, facts: Facts) -> Result<()> {
    let mut args = call.params.args.clone().into_iter();
    let (Some(value), Some(distance)) = (args.next(), args.next()) else { return Ok(()) };
    let (value, default) = match args.next() {
        None => (value, None),
        Some(default) => {
            let what = if lag { "lag" } else { "lead" };
            let mut both = matching::together(what, vec![value, default], schema, facts)?.into_iter();
            let (Some(value), Some(default)) = (both.next(), both.next()) else { return Ok(()) };
            (value, Some(default))
        }
    };
    let known = |expr: &Expr| matches!(expr, Expr::Literal(..));
    let counted = match &distance {
        Expr::Literal(rows, _) => rows.data_type().is_integer() && !rows.is_null(),
        Expr::Negative(rows) => known(rows),
        _ => false,
    };
    let found = value.get_type(schema)?;
    let same = |default: &Expr| default.get_type(schema).is_ok_and(|other| other == found || other.is_null());
    if call.params.null_treatment.is_some() || counted && default.as_ref().is_none_or(|default| known(default) && same(default)) {
        return Ok(());
    }
    let default = default.unwrap_or(Expr::Literal(ScalarValue::try_from(&found)?, None));
    let default = if same(&default) { default } else { cast(default, found.clone()) };
    // Each argument is a column: as a view, a long constant is there once.
    let default = match found {
        DataType::Utf8 | DataType::LargeUtf8 => cast(default, DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary => cast(default, DataType::BinaryView),
        _ => default,
    };
    call.params.args = vec![value, cast(distance, DataType::Int64), default];
    let shift = Shift { lag, signature: Signature::any(3, Volatility::Immutable) };
    call.fun = WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::new_from_impl(shift)));
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    lag: bool,
    signature: Signature,
}

impl WindowUDFImpl for Shift {
    fn name(&self) -> &str {
        if self.lag { "lag" } else { "lead" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Shifted { lag: self.lag }))
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let value = args.get_input_field(0).ok_or_else(unfit)?;
        let field = Field::new(args.name(), value.data_type().clone(), true);
        Ok(Arc::new(field.with_metadata(value.metadata().clone())))
    }
}

#[derive(Debug)]
struct Shifted {
    lag: bool,
}

fn unfit() -> DataFusionError {
    DataFusionError::Internal("lag() without its arguments".to_owned())
}

impl PartitionEvaluator for Shifted {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let [values, distances, defaults] = values else { return Err(unfit()) };
        let distances = distances.as_primitive_opt::<Int64Type>().ok_or_else(unfit)?;
        let none = new_null_array(values.data_type(), 1);
        let place = |row: usize| {
            if distances.is_null(row) {
                return (2, 0);
            }
            let (row_number, distance) = (i128::try_from(row).unwrap_or(i128::MAX), i128::from(distances.value(row)));
            let other = if self.lag { row_number - distance } else { row_number + distance };
            match usize::try_from(other) {
                Ok(other) if other < num_rows => (0, other),
                _ => (1, row),
            }
        };
        let places: Vec<(usize, usize)> = (0..num_rows).map(place).collect();
        let defaults = as_values(defaults, &places, values.data_type())?;
        Ok(interleave(&[values.as_ref(), defaults.as_ref(), none.as_ref()], &places)?)
    }
}

/// The defaults that rows take, in the type of the values; the others are NULL.
fn as_values(defaults: &ArrayRef, places: &[(usize, usize)], wanted: &DataType) -> Result<ArrayRef> {
    if defaults.data_type() == wanted {
        return Ok(Arc::clone(defaults));
    }
    let untaken: BooleanArray = places.iter().map(|(of, _)| Some(*of != 1)).collect();
    let taken = nullif(defaults, &untaken)?;
    // Offsets reach no further.
    if i32::try_from(weight::of(&taken)).is_err() {
        return Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large"));
    }
    Ok(arrow::compute::cast(&taken, wanted)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray, StringViewArray};

    use super::*;

    #[test]
    fn each_row_has_its_own_distance() {
        let of = |lag: bool| {
            let values = Arc::new(Int32Array::from(vec![1, 2, 3, 4])) as ArrayRef;
            let distances = Arc::new(Int64Array::from(vec![Some(1), Some(1), None, Some(-9)])) as ArrayRef;
            let defaults = Arc::new(Int32Array::from(vec![7, 7, 7, 8])) as ArrayRef;
            let made = Shifted { lag }.evaluate_all(&[values, distances, defaults], 4).unwrap();
            made.as_primitive::<arrow::datatypes::Int32Type>().iter().collect::<Vec<_>>()
        };
        assert_eq!(of(true), [Some(7), Some(1), None, Some(8)]);
        assert_eq!(of(false), [Some(2), Some(3), None, Some(8)]);
    }

    #[test]
    fn a_default_may_be_a_view() {
        let values = Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef;
        let distances = Arc::new(Int64Array::from(vec![2, 1, 2])) as ArrayRef;
        let defaults = Arc::new(StringViewArray::from(vec![Some("x"), None, Some("z")])) as ArrayRef;
        let made = Shifted { lag: true }.evaluate_all(&[values, distances, defaults], 3).unwrap();
        assert_eq!(made.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("x"), Some("a"), Some("a")]);
    }
}
