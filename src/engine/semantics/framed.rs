//! Aggregates over window frames that move: each frame is computed anew, as PostgreSQL does where an aggregate cannot take rows away again.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

use super::function::Result;

/// Aggregates of the engine that cannot take rows away.
const KEPT: [&str; 6] = ["bool_and", "bool_or", "bit_and", "bit_or", "bit_xor", "string_agg"];

/// The aggregate that computes each frame anew, if it is one that has to.
pub(super) fn anew(function: &Arc<AggregateUDF>) -> Option<Arc<AggregateUDF>> {
    KEPT.contains(&function.name()).then(|| Arc::new(AggregateUDF::new_from_impl(Framed { inner: Arc::clone(function) })))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Framed {
    inner: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Framed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(fields)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let inner = Arc::clone(&self.inner);
        accumulator(&args, move |args| inner.accumulator(args))
    }
}

/// What an accumulator is made of, kept for the next one.
struct Kept {
    return_field: FieldRef,
    schema: Schema,
    ignore_nulls: bool,
    order_bys: Vec<PhysicalSortExpr>,
    is_reversed: bool,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
}

impl Kept {
    fn of(args: &AccumulatorArgs<'_>) -> Self {
        Self {
            return_field: Arc::clone(&args.return_field),
            schema: args.schema.clone(),
            ignore_nulls: args.ignore_nulls,
            order_bys: args.order_bys.to_vec(),
            is_reversed: args.is_reversed,
            name: args.name.to_owned(),
            is_distinct: args.is_distinct,
            exprs: args.exprs.to_vec(),
            expr_fields: args.expr_fields.to_vec(),
        }
    }

    fn args(&self) -> AccumulatorArgs<'_> {
        AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &self.order_bys,
            is_reversed: self.is_reversed,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        }
    }
}

type Make = dyn Fn(AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> + Send + Sync;

/// An accumulator that is made anew for each frame, of the rows that are in it.
pub(super) fn accumulator(
    args: &AccumulatorArgs<'_>,
    make: impl Fn(AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> + Send + Sync + 'static,
) -> Result<Box<dyn Accumulator>> {
    Ok(Box::new(Frame { kept: Kept::of(args), make: Box::new(make), rows: VecDeque::new() }))
}

/// The rows of a frame, in the parts that they came in.
struct Frame {
    kept: Kept,
    make: Box<Make>,
    rows: VecDeque<Vec<ArrayRef>>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("name", &self.kept.name).finish_non_exhaustive()
    }
}

fn length(part: &[ArrayRef]) -> usize {
    part.first().map_or(0, |values| values.len())
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if length(values) > 0 {
            self.rows.push_back(values.to_vec());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut gone = length(values);
        while let Some(part) = self.rows.front_mut().filter(|_| gone > 0) {
            let count = length(part);
            if count > gone {
                part.iter_mut().for_each(|values| *values = values.slice(gone, count - gone));
                break;
            }
            gone -= count;
            self.rows.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut inner = (self.make)(self.kept.args())?;
        for part in &self.rows {
            inner.update_batch(part)?;
        }
        inner.evaluate()
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(datafusion::error::DataFusionError::Internal("frames of a window are not merged".to_owned()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(datafusion::error::DataFusionError::Internal("frames of a window have no state".to_owned()))
    }

    fn size(&self) -> usize {
        // The values are slices of batches that the window counts itself.
        size_of::<Self>() + self.rows.len() * size_of::<Vec<ArrayRef>>()
    }
}
