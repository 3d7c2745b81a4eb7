//! Marks that tell apart calls whose names are the same, because the engine leaves casts out of them.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use super::function::{Function, Result};

/// The name of the mark: a function of a number and a value, which answers the value.
pub(in crate::engine) const NAME: &str = "meshgate_apart";

pub(super) fn mark() -> Function {
    let takes = |types: &[DataType]| (types.len() == 2).then(|| types.to_vec());
    let computes = |args: &[ArrayRef], _rows: usize| -> Result<ArrayRef> {
        args.get(1).cloned().ok_or_else(|| datafusion::error::DataFusionError::Internal("a mark without its value".to_owned()))
    };
    Function::new(NAME, takes, |types| types.get(1).cloned(), computes)
}

/// The value without its mark: once a call has its name, the mark is of no more use.
pub(super) fn value(call: &ScalarFunction) -> Option<&Expr> {
    if call.func.name() == NAME { call.args.get(1) } else { None }
}
