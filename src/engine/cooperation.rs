//! Makes joins yield: an optimizer rule over physical plans.
//!
//! The engine's own rule makes scans yield. A join can answer any number of batches from the few that it has read, and an aggregate
//! above it takes them in one go; so joins yield here, and a statement that was cancelled ends soon.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::unnest::UnnestExec;

/// Wraps whatever can multiply rows.
#[derive(Debug)]
pub(super) struct YieldingJoins;

impl PhysicalOptimizerRule for YieldingJoins {
    fn name(&self) -> &str {
        "yielding_joins"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let wrapped = plan.transform_up(|plan| {
            let multiplies = plan.children().len() > 1 || plan.downcast_ref::<UnnestExec>().is_some();
            if multiplies { Ok(Transformed::yes(Arc::new(CooperativeExec::new(plan)) as _)) } else { Ok(Transformed::no(plan)) }
        })?;
        Ok(wrapped.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::physical_plan::execute_stream;
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn an_aggregate_over_cross_joins_yields() {
        let state = SessionStateBuilder::new().with_default_features().with_physical_optimizer_rule(Arc::new(YieldingJoins)).build();
        let ten = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))";
        let joins: Vec<String> = (0..9).map(|at| format!("{ten} AS t{at}(n{at})")).collect();
        let plan = state.create_logical_plan(&format!("SELECT count(*) FROM {} WHERE n0 + n8 < 100", joins.join(", "))).await.unwrap();
        let plan = state.optimize(&plan).unwrap();
        let plan = state.query_planner().create_physical_plan(&plan, &state).await.unwrap();
        let mut rows = execute_stream(plan, state.task_ctx()).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(1), rows.next()).await.is_err());
    }
}
