//! The engine's rules over logical plans; one of them gives numerics other types, and is put right.
//!
//! A count of distinct values beside a sum is computed by grouping twice, which sums sums: each step adds ten digits to the type. Whatever stands
//! above was planned for the type before, so the columns are cast to that.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::optimizer::optimizer::Optimizer;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::bounded::MeasuredConcatenation;

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The rule that changes types.
const CHANGES_TYPES: &str = "single_distinct_aggregation_to_group_by";

/// The engine's rules in their order, and one of our own behind them.
pub(super) fn rules() -> Vec<Rule> {
    let kept = |rule: Rule| if rule.name() == CHANGES_TYPES { Arc::new(KeptTypes(rule)) as Rule } else { rule };
    Optimizer::new().rules.into_iter().map(kept).chain([Arc::new(MeasuredConcatenation) as Rule]).collect()
}

/// A rule whose columns keep their types.
#[derive(Debug)]
struct KeptTypes(Rule);

impl OptimizerRule for KeptTypes {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let before = Arc::clone(plan.schema());
        let done = self.0.rewrite(plan, config)?;
        if !done.transformed { Ok(done) } else { done.map_data(|plan| of_types(plan, &before)) }
    }
}

/// The plan with columns of these types.
fn of_types(plan: LogicalPlan, before: &DFSchema) -> Result<LogicalPlan> {
    let after = Arc::clone(plan.schema());
    if after.fields().iter().zip(before.fields()).all(|(after, before)| after.data_type() == before.data_type()) {
        return Ok(plan);
    }
    let kept = after.iter().zip(before.fields()).map(|((qualifier, field), before)| {
        let column = Expr::Column(Column::from((qualifier, field)));
        if field.data_type() == before.data_type() {
            return column;
        }
        cast(column, before.data_type().clone()).alias_qualified(qualifier.cloned(), field.name())
    });
    LogicalPlanBuilder::from(plan).project(kept.collect::<Vec<_>>())?.build()
}

#[cfg(test)]
mod tests {
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::physical_plan::execute_stream;
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_sum_beside_a_count_of_distinct_values_keeps_its_type() {
        let state = SessionStateBuilder::new().with_default_features().with_optimizer_rules(rules()).build();
        let rows = "(VALUES ('a', 1, CAST(600 AS decimal(12,2))), ('a', 1, 500), ('b', 2, 1)) AS t(k, n, x)";
        let sql = format!("SELECT k, count(DISTINCT n), sum(x) AS s FROM {rows} GROUP BY k HAVING sum(x) > 1000");
        let plan = state.create_logical_plan(&sql).await.unwrap();
        let planned = plan.schema().field(2).data_type().clone();
        let optimized = state.optimize(&plan).unwrap();
        let physical = state.query_planner().create_physical_plan(&optimized, &state).await.unwrap();
        let batches: Vec<_> = execute_stream(physical, state.task_ctx()).unwrap().try_collect().await.unwrap();
        assert_eq!(batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 1);
        assert!(batches.iter().all(|batch| *batch.schema().field(2).data_type() == planned));
    }
}
