//! [`OffsetExec`]: leaves out the first rows, as the one operator of a plan that does.
//!
//! The engine's rules about sorts take a LIMIT for one without an OFFSET: where a sort above is not needed, they give its rows and its order to the
//! sort below, past the rows that are left out. So an OFFSET stands apart from its LIMIT, behind an operator past which nothing is moved.
//!
//! INVARIANT: its input stays in the order that it was planned in; whether what leaves is in order is told to nobody.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};

/// The plan in which each OFFSET stands apart.
pub(super) fn apart(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let apart = plan.transform_up(|node| match node.downcast_ref::<GlobalLimitExec>().filter(|limit| limit.skip() > 0) {
        None => Ok(Transformed::no(node)),
        Some(limit) => {
            let input = Arc::clone(limit.input());
            let input = match limit.fetch() {
                None => input,
                Some(rows) => Arc::new(GlobalLimitExec::new(input, 0, Some(rows.saturating_add(limit.skip())))),
            };
            Ok(Transformed::yes(Arc::new(OffsetExec::new(input, limit.skip())) as _))
        }
    })?;
    Ok(apart.data)
}

/// The operator.
#[derive(Debug)]
pub(super) struct OffsetExec {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
    /// The order that its input was planned in.
    order: Option<OrderingRequirements>,
    properties: Arc<PlanProperties>,
}

impl OffsetExec {
    fn new(input: Arc<dyn ExecutionPlan>, rows: usize) -> Self {
        let order = input.properties().output_ordering().cloned().map(OrderingRequirements::from);
        Self::over(input, rows, order)
    }

    fn over(input: Arc<dyn ExecutionPlan>, rows: usize, order: Option<OrderingRequirements>) -> Self {
        let from = input.properties();
        let properties = EquivalenceProperties::new(input.schema());
        let properties = PlanProperties::new(properties, Partitioning::UnknownPartitioning(1), from.emission_type, from.boundedness)
            .with_scheduling_type(from.scheduling_type)
            .with_evaluation_type(from.evaluation_type);
        Self { input, rows, order, properties: Arc::new(properties) }
    }
}

impl DisplayAs for OffsetExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OffsetExec: rows={}", self.rows)
    }
}

impl ExecutionPlan for OffsetExec {
    fn name(&self) -> &'static str {
        "OffsetExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone()]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children).map_err(|_| DataFusionError::Internal("an offset is of one input".to_owned()))?;
        Ok(Arc::new(Self::over(input, self.rows, self.order.clone())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        GlobalLimitExec::new(Arc::clone(&self.input), self.rows, None).execute(partition, context)
    }
}
