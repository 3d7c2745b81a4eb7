//! [`SerialPlans`]: the physical optimizer, and how much of a statement runs side by side.
//!
//! INVARIANT: a statement over small sources runs in one partition from its sources to its rows. So the order of its rows, and whatever hangs
//! on an order (a LIMIT without ORDER BY, a window, the last digits of a sum), follow from the visible rows and from nothing else: not
//! from how long a hidden row took, nor from where hidden rows made a file be split.
//!
//! Over a large source, rows are computed side by side, and only where partitions simply come together do they come in order. There,
//! order and last digits may change from run to run, as in PostgreSQL's parallel plans.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_optimizer::{PhysicalOptimizerContext, PhysicalOptimizerRule};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::operator_statistics::StatisticsRegistry;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::enforcement::{self, GovernedExec};

use super::cooperation::YieldingJoins;
use super::gathered::AccountedWindows;
use super::in_order::InOrderExec;
use super::offset;

/// The engine's rules as one, so that they can be run for another number of partitions than the session's.
#[derive(Debug)]
pub(super) struct SerialPlans {
    rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
}

impl SerialPlans {
    /// The rules of the engine, and ours.
    pub(super) fn new() -> Self {
        let mut rules = PhysicalOptimizer::new().rules;
        rules.push(Arc::new(YieldingJoins));
        rules.push(Arc::new(AccountedWindows));
        Self { rules }
    }

    fn run(&self, plan: Arc<dyn ExecutionPlan>, context: &dyn PhysicalOptimizerContext) -> Result<Arc<dyn ExecutionPlan>> {
        self.rules.iter().try_fold(plan, |plan, rule| rule.optimize_with_context(plan, context))
    }

    fn optimized(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
        statistics: Option<&StatisticsRegistry>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = offset::apart(enforcement::absorb(plan)?)?;
        if enforcement::reads_much(&plan) {
            return merges_in_order(self.run(plan, &Context { config, statistics })?);
        }
        let mut config = config.clone();
        config.execution.target_partitions = 1;
        self.run(in_one_partition(plan)?, &Context { config: &config, statistics })
    }
}

impl PhysicalOptimizerRule for SerialPlans {
    fn name(&self) -> &str {
        "serial_plans"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        self.optimized(plan, config, None)
    }

    fn optimize_with_context(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        context: &dyn PhysicalOptimizerContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.optimized(plan, context.config_options(), context.statistics_registry())
    }

    fn schema_check(&self) -> bool {
        self.rules.iter().all(|rule| rule.schema_check())
    }
}

struct Context<'a> {
    config: &'a ConfigOptions,
    statistics: Option<&'a StatisticsRegistry>,
}

impl PhysicalOptimizerContext for Context<'_> {
    fn config_options(&self) -> &ConfigOptions {
        self.config
    }

    fn statistics_registry(&self) -> Option<&StatisticsRegistry> {
        self.statistics
    }
}

/// Brings partitions together as soon as there are several: those of a UNION, and those of a source of several files.
fn in_one_partition(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    // Nothing may stand between some barriers and their sources: these bring partitions together themselves.
    let alone = |node: Arc<dyn ExecutionPlan>| match node.downcast_ref::<GovernedExec>().and_then(GovernedExec::in_order) {
        Some(barrier) => Ok(Transformed::new(Arc::new(barrier) as _, true, TreeNodeRecursion::Jump)),
        None => Ok(Transformed::no(node)),
    };
    let together = |node: Arc<dyn ExecutionPlan>| match node.output_partitioning().partition_count() {
        1 => Ok(Transformed::no(node)),
        _ => Ok(Transformed::yes(Arc::new(InOrderExec::new(node, None)) as _)),
    };
    plan.transform_down_up(alone, together).map(|one| one.data)
}

/// Puts rows in order where partitions come together, if no operator deals rows out.
fn merges_in_order(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut deals_out = false;
    plan.apply(|node| {
        deals_out |= node.is::<RepartitionExec>();
        Ok(if deals_out { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    // Such an operator fills all of its outputs at once: if they were taken one by one, the others would be held in memory.
    if deals_out {
        return Ok(plan);
    }
    let ordered = plan.transform_up(|node| match node.downcast_ref::<CoalescePartitionsExec>() {
        Some(merge) => Ok(Transformed::yes(Arc::new(InOrderExec::new(Arc::clone(merge.input()), merge.fetch())) as _)),
        None => Ok(Transformed::no(node)),
    })?;
    let several = ordered.data.output_partitioning().partition_count() > 1;
    Ok(if several { Arc::new(InOrderExec::new(ordered.data, None)) } else { ordered.data })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
    use datafusion::physical_plan::execute_stream;
    use datafusion::prelude::SessionConfig;

    use super::*;

    fn state() -> SessionState {
        SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(4))
            .with_default_features()
            .with_physical_optimizer_rules(vec![Arc::new(SerialPlans::new())])
            .build()
    }

    async fn physical(state: &SessionState, sql: &str) -> Arc<dyn ExecutionPlan> {
        let plan = state.optimize(&state.create_logical_plan(sql).await.unwrap()).unwrap();
        state.query_planner().create_physical_plan(&plan, state).await.unwrap()
    }

    async fn numbers(plan: Arc<dyn ExecutionPlan>, state: &SessionState) -> Vec<i64> {
        use futures::TryStreamExt as _;
        let batches: Vec<_> = execute_stream(plan, state.task_ctx()).unwrap().try_collect().await.unwrap();
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    async fn answer(sql: &str) -> Vec<i64> {
        let state = state();
        let plan = physical(&state, sql).await;
        assert_eq!(plan.output_partitioning().partition_count(), 1);
        numbers(plan, &state).await
    }

    #[tokio::test]
    async fn a_union_keeps_the_order_of_its_parts() {
        let sql = "SELECT value FROM generate_series(1, 20000) UNION ALL SELECT value FROM generate_series(20001, 40000)";
        for _ in 0..5 {
            assert_eq!(answer(sql).await, (1..=40_000).collect::<Vec<i64>>());
        }
    }

    #[tokio::test]
    async fn a_limit_takes_the_first_rows_of_a_union() {
        let sql = "SELECT value FROM generate_series(1, 3) UNION ALL SELECT value FROM generate_series(4, 9) LIMIT 5";
        assert_eq!(answer(sql).await, [1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn groups_come_in_one_order() {
        let sql = "SELECT value % 7 AS g FROM generate_series(1, 100000) GROUP BY g";
        let first = answer(sql).await;
        for _ in 0..5 {
            assert_eq!(answer(sql).await, first);
        }
    }

    #[tokio::test]
    async fn a_join_with_a_union_comes_in_one_order() {
        let sql = "SELECT b.value FROM generate_series(1, 5) a RIGHT JOIN (SELECT value FROM generate_series(1, 9) UNION ALL SELECT value FROM generate_series(4, 7)) b ON a.value = b.value";
        let first = answer(sql).await;
        assert_eq!(first.len(), 13);
        for _ in 0..5 {
            assert_eq!(answer(sql).await, first);
        }
    }

    #[tokio::test]
    async fn partitions_of_a_join_that_come_together_in_order_end() {
        let state = SessionStateBuilder::new().with_config(SessionConfig::new().with_target_partitions(4)).with_default_features().build();
        let sql = "SELECT a.value FROM generate_series(1, 5) a JOIN (SELECT value FROM generate_series(1, 20000) UNION ALL SELECT value FROM generate_series(4, 9)) b ON a.value < b.value - 3 WHERE b.value < 7";
        let plan = merges_in_order(physical(&state, sql).await).unwrap();
        let mut found = numbers(plan, &state).await;
        found.sort_unstable();
        assert_eq!(found, [1, 1, 1, 1, 2, 2]);
    }
}
