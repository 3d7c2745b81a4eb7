//! Window frames that leave rows out: EXCLUDE CURRENT ROW, GROUP and TIES.
//!
//! The engine knows no such frames. A mark among the keys of the partition tells which rows are left out; each row's frame is then computed by
//! itself, without them.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, PartitionEvaluator, Signature, Volatility, WindowFunctionDefinition, WindowUDF, WindowUDFImpl, cast,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use crate::error::SqlState;

use super::function::{Result, fault};

/// What a frame leaves out, by the mark that tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Left {
    Row,
    Group,
    Ties,
}

/// The marks, as they stand among the keys of a partition.
pub(in crate::engine) const MARKS: [(&str, &str); 3] =
    [("current", "meshgate_exclude_row"), ("group", "meshgate_exclude_group"), ("ties", "meshgate_exclude_ties")];

fn marked(key: &Expr) -> Option<Left> {
    let text = super::casts::text_of(key)?;
    let (word, _) = MARKS.iter().find(|(_, mark)| *mark == text)?;
    Some(match *word {
        "current" => Left::Row,
        "group" => Left::Group,
        _ => Left::Ties,
    })
}

/// What a frame's values become.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Aggregate(Arc<AggregateUDF>),
    /// The value of a row of the frame, counted from its begin, or from its end.
    Row(bool),
}

/// Puts a function of our own in the place of a call whose frame leaves rows out.
pub(super) fn apart(call: &mut WindowFunction, schema: &DFSchema) -> Result<()> {
    let Some(at) = call.params.partition_by.iter().position(|key| marked(key).is_some()) else { return Ok(()) };
    let Some(left) = marked(&call.params.partition_by.remove(at)) else { return Ok(()) };
    let of = match &call.fun {
        WindowFunctionDefinition::AggregateUDF(function) => Of::Aggregate(Arc::clone(function)),
        WindowFunctionDefinition::WindowUDF(function) => match function.name() {
            "first_value" | "nth_value" => Of::Row(false),
            "last_value" => Of::Row(true),
            // These look at no frame.
            _ => return Ok(()),
        },
    };
    if call.params.filter.is_some() {
        return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "EXCLUDE of a window frame beside FILTER is not supported"));
    }
    if let Of::Aggregate(function) = &of {
        call.params.args = taken(function, std::mem::take(&mut call.params.args), schema)?;
    }
    let excluding = Excluding { of, left, signature: Signature::variadic_any(Volatility::Immutable) };
    call.fun = WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::new_from_impl(excluding)));
    Ok(())
}

/// The arguments in the types that the aggregate takes.
fn taken(function: &AggregateUDF, args: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let fields = args.iter().map(|arg| arg.to_field(schema).map(|(_, field)| field)).collect::<Result<Vec<_>>>()?;
    let wanted = fields_with_udf(&fields, function)?;
    let one = |(arg, (own, wanted)): (Expr, (&FieldRef, &FieldRef))| {
        if own.data_type() == wanted.data_type() { arg } else { cast(arg, wanted.data_type().clone()) }
    };
    Ok(args.into_iter().zip(fields.iter().zip(&wanted)).map(one).collect())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Excluding {
    of: Of,
    left: Left,
    signature: Signature,
}

impl WindowUDFImpl for Excluding {
    fn name(&self) -> &str {
        match &self.of {
            Of::Aggregate(function) => function.name(),
            Of::Row(false) => "nth_value",
            Of::Row(true) => "last_value",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let field = match &self.of {
            Of::Aggregate(function) => function.return_field(args.input_fields())?,
            Of::Row(_) => args.get_input_field(0).ok_or_else(unfit)?,
        };
        Ok(Arc::new(field.as_ref().clone().with_name(args.name()).with_nullable(true)))
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        let fields = args.input_fields().to_vec();
        // The values come by themselves; constants are looked at as such.
        let own = |(at, (expr, field)): (usize, (&Arc<dyn PhysicalExpr>, &FieldRef))| {
            let constant = expr.as_ref().downcast_ref::<Literal>().is_some();
            if constant { Arc::clone(expr) } else { Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr> }
        };
        let exprs = args.input_exprs().iter().zip(&fields).enumerate().map(own).collect();
        let schema = Schema::new(fields.iter().map(|field| field.as_ref().clone()).collect::<Vec<_>>());
        Ok(Box::new(Frames { of: self.of.clone(), left: self.left, fields, exprs, schema, row: 0, peers: Vec::new() }))
    }
}

#[derive(Debug)]
struct Frames {
    of: Of,
    left: Left,
    fields: Vec<FieldRef>,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    schema: Schema,
    /// The row whose frame comes next.
    row: usize,
    /// Rows that are alike in the order, from the first on.
    peers: Vec<Range<usize>>,
}

fn unfit() -> DataFusionError {
    DataFusionError::Internal("a window frame without its values".to_owned())
}

/// Rows that are alike in all of these columns.
fn groups(order: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    if order.is_empty() { Ok(std::iter::once(0..rows).collect()) } else { Ok(arrow::compute::partition(order)?.ranges()) }
}

impl Frames {
    /// The parts of a frame that are left when rows are left out.
    fn kept(&self, frame: &Range<usize>, row: usize) -> [Range<usize>; 3] {
        let after = self.peers.partition_point(|peers| peers.end <= row);
        let peers = self.peers.get(after).cloned().unwrap_or(row..row + 1);
        let (gone, back) = match self.left {
            Left::Row => (row..row + 1, row..row),
            Left::Group => (peers, row..row),
            Left::Ties => (peers, row..row + 1),
        };
        let within = |part: Range<usize>| {
            let start = part.start.max(frame.start);
            start..part.end.min(frame.end).max(start)
        };
        [within(frame.start..gone.start), within(back), within(gone.end..frame.end)]
    }

    fn aggregated(&self, function: &AggregateUDF, values: &[ArrayRef], kept: &[Range<usize>]) -> Result<ScalarValue> {
        let return_field = function.return_field(&self.fields)?;
        let mut accumulator = function.accumulator(AccumulatorArgs {
            return_field,
            schema: &self.schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: function.name(),
            is_distinct: false,
            exprs: &self.exprs,
            expr_fields: &self.fields,
        })?;
        for part in kept.iter().filter(|part| !part.is_empty()) {
            let part: Vec<ArrayRef> = values.iter().map(|values| values.slice(part.start, part.len())).collect();
            accumulator.update_batch(&part)?;
        }
        accumulator.evaluate()
    }
}

impl PartitionEvaluator for Frames {
    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let (values, order) = values.split_at_checked(self.fields.len()).ok_or_else(unfit)?;
        let first = values.first().ok_or_else(unfit)?;
        if self.row == 0 {
            self.peers = groups(order, first.len())?;
        }
        let row = self.row;
        self.row += 1;
        let kept = self.kept(range, row);
        match &self.of {
            Of::Aggregate(function) => self.aggregated(function, values, &kept),
            Of::Row(from_end) => {
                let place = match values.get(1) {
                    None => 0,
                    Some(places) => match ScalarValue::try_from_array(places, row)?.cast_to(&arrow::datatypes::DataType::Int64)? {
                        ScalarValue::Int64(Some(place @ 1..)) => usize::try_from(place - 1).unwrap_or(usize::MAX),
                        ScalarValue::Int64(Some(_)) => {
                            let text = "argument of nth_value must be greater than zero";
                            return Err(fault(SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE, text));
                        }
                        _ => usize::MAX,
                    },
                };
                let mut rows = kept.into_iter().flatten();
                let found = if *from_end { rows.last() } else { rows.nth(place) };
                match found {
                    Some(row) => ScalarValue::try_from_array(first, row),
                    None => ScalarValue::try_from(first.data_type()),
                }
            }
        }
    }

    fn uses_window_frame(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(left: Left, frame: Range<usize>, row: usize) -> Vec<usize> {
        let frames = Frames {
            of: Of::Row(false),
            left,
            fields: Vec::new(),
            exprs: Vec::new(),
            schema: Schema::empty(),
            row: 0,
            peers: vec![0..2, 2..4, 4..5],
        };
        frames.kept(&frame, row).into_iter().flatten().collect()
    }

    #[test]
    fn frames_leave_rows_out() {
        assert_eq!(kept(Left::Row, 0..5, 2), [0, 1, 3, 4]);
        assert_eq!(kept(Left::Group, 0..5, 2), [0, 1, 4]);
        assert_eq!(kept(Left::Ties, 0..5, 3), [0, 1, 3, 4]);
        assert_eq!(kept(Left::Row, 3..5, 1), [3, 4]);
        assert_eq!(kept(Left::Group, 1..2, 0), Vec::<usize>::new());
        assert_eq!(kept(Left::Ties, 0..0, 0), Vec::<usize>::new());
    }
}
