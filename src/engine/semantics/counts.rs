//! Counts of rows: what LIMIT and OFFSET take.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, cast};

use crate::engine::PgType;
use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::{Facts, casts, expression};

/// What stands for the counts of LIMIT and OFFSET where they are no constants.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        count("meshgate_taken", i64::MAX, SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative").udf(),
        count("meshgate_skipped", 0, SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE, "OFFSET must not be negative").udf(),
    ]
}

/// A part of a table's rows, in percent.
pub(super) fn percentage() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let within = |percentage: Option<f64>| match percentage {
            Some(percentage) if (0.0..=100.0).contains(&percentage) => Ok(percentage),
            Some(_) => Err(fault(SqlState::INVALID_TABLESAMPLE_ARGUMENT, "sample percentage must be between 0 and 100")),
            None => Err(fault(SqlState::INVALID_TABLESAMPLE_ARGUMENT, "TABLESAMPLE parameter cannot be null")),
        };
        let percentages = arg::<Float64Array>(args, 0)?.iter().map(within).collect::<Result<Vec<f64>>>()?;
        Ok(Arc::new(Float64Array::from(percentages)) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Float64]);
    Function::new("meshgate_percentage", takes, |_| Some(DataType::Float64), computes)
}

/// A count, which NULL leaves out.
fn count(name: &'static str, none: i64, sqlstate: SqlState, text: &'static str) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let counts = arg::<Int64Array>(args, 0)?.iter().map(|count| match count {
            None => Ok(none),
            Some(count @ 0..) => Ok(count),
            Some(_) => Err(fault(sqlstate, text)),
        });
        Ok(Arc::new(counts.collect::<Result<Vec<i64>>>().map(Int64Array::from)?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 1).then(|| vec![DataType::Int64]);
    Function::new(name, takes, |_| Some(DataType::Int64), computes)
}

/// A count of rows, which is a bigint; integers are of the engine's own type.
pub(super) fn counted(word: &str, rows: Expr, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let Ok(found) = rows.get_type(schema) else { return Ok(rows) };
    if found.is_integer() || found.is_null() || facts.lenient {
        return Ok(rows);
    }
    if found.is_numeric() || casts::text_literal(&rows) {
        return expression::rewritten(cast(rows, DataType::Int64), schema, facts);
    }
    let name = PgType::of_arrow_type(&found).with_typmod(-1).format().unwrap_or_default();
    Err(fault(SqlState::DATATYPE_MISMATCH, &format!("argument of {word} must be type bigint, not type {name}")))
}
