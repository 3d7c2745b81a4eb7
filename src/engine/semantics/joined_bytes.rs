//! string_agg() of bytes, which the engine has for texts alone.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ExprSchemable as _, Signature, Volatility};

use crate::error::SqlState;

use super::function::{Result, fault};

/// Bytes that one value may have, as in PostgreSQL.
const BYTES_MAX: usize = (1 << 30) - 1;

/// `string_agg(bytea, bytea)`.
pub(super) fn joined() -> AggregateUDF {
    AggregateUDF::new_from_impl(Joined { signature: Signature::user_defined(Volatility::Immutable) })
}

/// Refuses an order of bytes that are joined: nothing would keep it.
pub(super) fn unordered(call: &AggregateFunction, schema: &DFSchema) -> Result<()> {
    let [value, ..] = call.params.args.as_slice() else { return Ok(()) };
    if call.func.name() != "string_agg" || call.params.order_by.is_empty() || !value.get_type(schema).is_ok_and(|found| found.is_binary()) {
        return Ok(());
    }
    Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "string_agg of bytea in an order is not supported"))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    signature: Signature,
}

impl AggregateUDFImpl for Joined {
    fn name(&self) -> &str {
        "string_agg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, _: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Binary; 2])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Bytes::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let state = |what: &str| Field::new(format!("{}[{what}]", args.name), DataType::Binary, true);
        Ok(vec![state("bytes").into(), state("delimiter").into()])
    }
}

/// What has been joined, and the delimiter that stands before the first value where others come before it.
#[derive(Debug, Default)]
struct Bytes {
    joined: Option<Vec<u8>>,
    delimiter: Vec<u8>,
}

impl Bytes {
    fn add(&mut self, value: &[u8], delimiter: &[u8]) -> Result<()> {
        match &mut self.joined {
            Some(joined) => {
                joined.extend_from_slice(delimiter);
                joined.extend_from_slice(value);
            }
            None => (self.joined, self.delimiter) = (Some(value.to_vec()), delimiter.to_vec()),
        }
        if self.joined.as_ref().is_some_and(|joined| joined.len() > BYTES_MAX) {
            return Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large"));
        }
        Ok(())
    }
}

impl Accumulator for Bytes {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let unfit = || DataFusionError::Internal("bytes are joined that are none".to_owned());
        let [values, delimiters] = values else { return Err(unfit()) };
        let (values, delimiters) = values.as_binary_opt::<i32>().zip(delimiters.as_binary_opt::<i32>()).ok_or_else(unfit)?;
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            self.add(values.value(row), if delimiters.is_valid(row) { delimiters.value(row) } else { &[] })?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(self.joined.clone()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(self.joined.clone()), ScalarValue::Binary(Some(self.delimiter.clone()))])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.joined.as_ref().map_or(0, Vec::capacity) + self.delimiter.capacity()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::BinaryArray;

    use super::*;

    #[test]
    fn delimiters_stand_between_values_of_parts_too() {
        let column = |values: Vec<Option<&[u8]>>| Arc::new(BinaryArray::from(values)) as ArrayRef;
        let (mut one, mut other) = (Bytes::default(), Bytes::default());
        one.update_batch(&[column(vec![Some(b"a"), None, Some(b"b")]), column(vec![Some(b"1"), Some(b"2"), Some(b"3")])]).unwrap();
        other.update_batch(&[column(vec![Some(b"c")]), column(vec![Some(b"4")])]).unwrap();
        let states: Vec<ArrayRef> = other.state().unwrap().iter().map(|state| state.to_array().unwrap()).collect();
        one.merge_batch(&states).unwrap();
        assert_eq!(one.evaluate().unwrap(), ScalarValue::Binary(Some(b"a3b4c".to_vec())));
        assert_eq!(Bytes::default().evaluate().unwrap(), ScalarValue::Binary(None));
    }
}
