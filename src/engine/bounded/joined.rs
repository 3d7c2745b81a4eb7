//! `||` of texts and of bytes, measured before it is made: beside a column, a long constant is there once for each row.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions;

use crate::engine::gathered::weight;

use super::{PUT_TOGETHER_BYTES_MAX, too_large};

/// Puts a measured function in the place of each `||`, when all else is optimized.
#[derive(Debug)]
pub(in crate::engine) struct MeasuredConcatenation;

impl OptimizerRule for MeasuredConcatenation {
    fn name(&self) -> &str {
        "measured_concatenation"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let joins = |expr: &Expr| expr.exists(|part| Ok(concatenates(part))).unwrap_or(false);
        // What a scan is asked to test is the port's to compute, and is computed there or above, where it stands again.
        if matches!(plan, LogicalPlan::TableScan(_)) || !plan.expressions().iter().any(joins) {
            return Ok(Transformed::no(plan));
        }
        let mut schema = datafusion::logical_expr::utils::merge_schema(&plan.inputs());
        schema.merge(plan.schema());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let measured = expr.transform_up(|part| match part {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                    let gives = [left.get_type(&schema)?, right.get_type(&schema)?];
                    if !gives.iter().all(is_measured) {
                        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right })));
                    }
                    Ok(Transformed::yes(ScalarUDF::new_from_impl(Textcat::new()).call(vec![*left, *right])))
                }
                part => Ok(Transformed::no(part)),
            })?;
            Ok(measured.update_data(|expr| name.restore(expr)))
        })
    }
}

fn concatenates(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryExpr(binary) if binary.op == Operator::StringConcat)
}

fn is_measured(data_type: &DataType) -> bool {
    data_type.is_string() || data_type.is_binary()
}

/// The function, by its name in PostgreSQL; NULL beside anything is NULL.
#[derive(Debug)]
struct Textcat {
    signature: Signature,
}

impl Textcat {
    fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

// There is one.
impl PartialEq for Textcat {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Textcat {}

impl Hash for Textcat {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

/// The engine's own operator over two columns of these types.
fn operator(fields: &[FieldRef]) -> Result<(Arc<dyn PhysicalExpr>, Schema)> {
    let column = |(at, field): (usize, &FieldRef)| Field::new(if at == 0 { "left" } else { "right" }, field.data_type().clone(), true);
    let schema = Schema::new(fields.iter().enumerate().map(column).collect::<Vec<_>>());
    let side = |name: &str| expressions::col(name, &schema);
    let operator = expressions::binary(side("left")?, Operator::StringConcat, side("right")?, &schema)?;
    Ok((operator, schema))
}

/// The bytes of one side in so many rows.
fn bytes(side: &ColumnarValue, rows: usize) -> usize {
    match side {
        ColumnarValue::Array(values) => weight::of(values),
        ColumnarValue::Scalar(value) => weight::of_one(value).saturating_mul(rows),
    }
}

impl ScalarUDFImpl for Textcat {
    fn name(&self) -> &str {
        "textcat"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> = types.iter().map(|found| Arc::new(Field::new("side", found.clone(), true))).collect();
        let (operator, schema) = operator(&fields)?;
        operator.data_type(&schema)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (operator, schema) = operator(args.arg_fields)?;
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), operator.data_type(&schema)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let bytes = args.args.iter().fold(0_usize, |all, arg| all.saturating_add(bytes(arg, rows)));
        let fits = i64::try_from(bytes).is_ok_and(|bytes| bytes <= PUT_TOGETHER_BYTES_MAX);
        if !fits {
            return Err(too_large());
        }
        let (operator, schema) = operator(&args.arg_fields)?;
        let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let made = operator.evaluate(&RecordBatch::try_new(Arc::new(schema), columns)?)?;
        match made {
            ColumnarValue::Array(made) if constant => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)),
            made => Ok(made),
        }
    }
}
