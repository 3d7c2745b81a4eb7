//! An aggregate of one row: the value of a subquery, which fails on a second row.

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::error::SqlState;

use super::function::{Result, fault};

/// The aggregate.
pub(in crate::engine) fn single() -> AggregateUDF {
    AggregateUDF::new_from_impl(Single { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Single {
    signature: Signature,
}

impl AggregateUDFImpl for Single {
    fn name(&self) -> &str {
        "meshgate_single"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(|| DataFusionError::Internal("an aggregate without its argument".to_owned()))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { value: ScalarValue::try_from(args.return_field.data_type())?, rows: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let value = Field::new(format!("{}[value]", args.name), args.return_field.data_type().clone(), true);
        let rows = Field::new(format!("{}[rows]", args.name), DataType::UInt64, false);
        Ok(vec![value.into(), rows.into()])
    }
}

#[derive(Debug)]
struct One {
    value: ScalarValue,
    rows: u64,
}

impl One {
    fn see(&mut self, value: ScalarValue, rows: u64) -> Result<()> {
        self.rows = self.rows.saturating_add(rows);
        if self.rows > 1 {
            return Err(fault(SqlState::CARDINALITY_VIOLATION, "more than one row returned by a subquery used as an expression"));
        }
        if rows > 0 {
            self.value = value;
        }
        Ok(())
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first().filter(|values| !values.is_empty()) else { return Ok(()) };
        self.see(ScalarValue::try_from_array(values, 0)?, u64::try_from(values.len()).unwrap_or(u64::MAX))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else { return Err(DataFusionError::Internal("an aggregate without its state".to_owned())) };
        let counts = counts.as_any().downcast_ref::<UInt64Array>();
        let counts = counts.ok_or_else(|| DataFusionError::Internal("a count of another type".to_owned()))?;
        for row in 0..values.len() {
            self.see(ScalarValue::try_from_array(values, row)?, counts.value(row))?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::UInt64(Some(self.rows))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.value.size()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int32Array;

    use super::*;

    #[test]
    fn a_second_row_fails_in_one_batch_or_in_two() {
        let one = || One { value: ScalarValue::Int32(None), rows: 0 };
        let batch = |values: Vec<Option<i32>>| vec![Arc::new(Int32Array::from(values)) as ArrayRef];
        let mut single = one();
        assert_eq!(single.evaluate().unwrap(), ScalarValue::Int32(None));
        single.update_batch(&batch(vec![Some(7)])).unwrap();
        assert_eq!(single.evaluate().unwrap(), ScalarValue::Int32(Some(7)));
        assert!(single.update_batch(&batch(vec![None])).is_err());
        assert!(one().update_batch(&batch(vec![Some(1), Some(2)])).is_err());
        let states = |counts: Vec<u64>| vec![batch(vec![Some(1), Some(2)]).remove(0), Arc::new(UInt64Array::from(counts)) as ArrayRef];
        assert!(one().merge_batch(&states(vec![0, 1])).is_ok());
        assert!(one().merge_batch(&states(vec![1, 1])).is_err());
    }
}
