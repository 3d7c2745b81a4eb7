//! Which plans are begun by the thread that serves the client: those that wait for their one source and then compare and copy a few values.
//!
//! INVARIANT: nothing of these takes long for a few rows, whatever stands in them and in the statement. Functions are not among them, nor is
//! what makes long texts.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NegativeExpr, NotExpr,
};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::enforcement::GovernedExec;

use super::offset::OffsetExec;

/// Whether the plan is one of these.
pub(super) fn is_prompt(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.output_partitioning().partition_count() != 1 {
        return false;
    }
    if let Some(barrier) = plan.downcast_ref::<GovernedExec>() {
        return barrier.waits();
    }
    let known = plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<AggregateExec>()
        || plan.is::<SortExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<OffsetExec>();
    match plan.children()[..] {
        [below] if known => computes_little(plan) && is_prompt(below),
        _ => false,
    }
}

fn computes_little(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut little = true;
    let walked = plan.apply_expressions(&mut |expr| {
        expr.apply(|part| {
            little &= is_little(part);
            Ok(if little { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        })
    });
    walked.is_ok() && little
}

fn is_little(expr: &Arc<dyn PhysicalExpr>) -> bool {
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        return matches!(
            binary.op(),
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
                | Operator::And
                | Operator::Or
                | Operator::Plus
                | Operator::Minus
                | Operator::Multiply
        );
    }
    expr.is::<Column>()
        || expr.is::<Literal>()
        || expr.is::<CastExpr>()
        || expr.is::<InListExpr>()
        || expr.is::<IsNullExpr>()
        || expr.is::<IsNotNullExpr>()
        || expr.is::<NegativeExpr>()
        || expr.is::<NotExpr>()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::empty::EmptyTable;
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn physical(sql: &str) -> Arc<dyn ExecutionPlan> {
        let context = SessionContext::new();
        let fields = vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)];
        context.register_table("t", Arc::new(EmptyTable::new(Arc::new(Schema::new(fields))))).unwrap();
        let state = context.state();
        let plan = state.optimize(&state.create_logical_plan(sql).await.unwrap()).unwrap();
        state.query_planner().create_physical_plan(&plan, &state).await.unwrap()
    }

    #[tokio::test]
    async fn what_compares_and_copies_is_little_and_functions_are_not() {
        let little = ["a", "a + 1", "-a", "a::int", "7", "a IS NULL", "b = 'x' AND NOT a < 3", "a IN (1, 2, 3, 5)"];
        let much = ["b || b", "repeat(b, a)", "b LIKE '%x%'", "b ~ 'x'", "a / 2", "CASE WHEN a > 1 THEN b END"];
        for (parts, expected) in [(little.as_slice(), true), (much.as_slice(), false)] {
            for part in parts {
                let plan = physical(&format!("SELECT {part} AS c, b FROM t")).await;
                assert_eq!(all_little(&plan), expected, "{part}");
            }
        }
    }

    fn all_little(plan: &Arc<dyn ExecutionPlan>) -> bool {
        computes_little(plan) && plan.children().into_iter().all(all_little)
    }

    #[tokio::test]
    async fn a_plan_of_another_source_is_not_prompt() {
        assert!(!is_prompt(&physical("SELECT a FROM t").await));
    }
}
