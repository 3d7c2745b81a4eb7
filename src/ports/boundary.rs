//! Turns what a scan reports into errors of the port, and a panicking decoder into an error.
//!
//! It changes no row. Filters and limits pass through it, so pruning below it works as without it. Of statistics it tells the number of rows.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use super::error::{Error, Place};
use super::estimate::row_statistics;
use super::files::{StoreFault, find_store_error};

/// The border between the engine's own file scan and us.
#[derive(Debug)]
pub(super) struct BoundaryExec {
    at: Place,
    input: Arc<dyn ExecutionPlan>,
    rows: Option<usize>,
    translate: fn(&Place, DataFusionError) -> DataFusionError,
}

impl BoundaryExec {
    /// Wraps a scan of about so many rows.
    pub(super) fn new(at: Place, input: Arc<dyn ExecutionPlan>, rows: Option<usize>) -> Self {
        Self { at, input, rows, translate }
    }
}

/// A scan of files of our own making, which may go away at any time: whatever fails is that they cannot be read.
pub fn bounded(at: Place, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(BoundaryExec { at, input, rows: None, translate: unreadable })
}

fn unreadable(at: &Place, error: DataFusionError) -> DataFusionError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => error,
        _ => Error::Unreadable { at: at.clone(), source: Box::new(error) }.into(),
    }
}

impl DisplayAs for BoundaryExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PortScan: product={}, port={}", self.at.product(), self.at.port())
    }
}

impl ExecutionPlan for BoundaryExec {
    fn name(&self) -> &'static str {
        "PortScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.into_iter().next() {
            Some(input) => Ok(Arc::new(Self { at: self.at.clone(), input, rows: self.rows, translate: self.translate })),
            None => Err(Error::Internal { at: self.at.clone(), broken: "a scan was replaced by nothing" }.into()),
        }
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = datafusion::physical_plan::execution_plan::ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(mode))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (at, translate) = (self.at.clone(), self.translate);
        let stream = self.input.execute(partition, context).map_err(|error| translate(&at, error))?;
        let schema = stream.schema();
        let batches = AssertUnwindSafe(stream).catch_unwind().map(move |polled| match polled {
            Ok(batch) => batch.map_err(|error| translate(&at, error)),
            Err(_) => Err(Error::Damaged { at: at.clone(), source: "the decoder panicked".into() }.into()),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], asked: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(row_statistics(&self.schema(), self.rows, asked))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.input.metrics()
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}

/// The error of a file scan as an error of the port.
pub(super) fn translate(at: &Place, error: DataFusionError) -> DataFusionError {
    if Error::find(&error).is_some() || matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return error;
    }
    if let Some(fault) = find_store_error(&error).map(StoreFault::of) {
        return fault.into_error(at, Box::new(error)).into();
    }
    let at = at.clone();
    match error.find_root() {
        DataFusionError::ArrowError(inner, _) if matches!(inner.as_ref(), ArrowError::MemoryError(_)) => error,
        _ => Error::Damaged { at, source: Box::new(error) }.into(),
    }
}
