//! [`GovernedExec`]: the security barrier between a port's scan and everything of the user.
//!
//! INVARIANT: in one operator, in this order: row filter, exclusion, masks. There is nothing in between for an optimizer rule to
//! move, and the operator answers every rule that would move something past it, in either direction, with no. The one exception:
//! a dynamic filter (of a join or a TopK) over bare unmasked columns is handed to the source, which may skip rows by it.
//!
//! It has no statistics but one: where it hides nothing, about how many rows there are, which anyone who may read it could count.
//! It has no orderings, and a text without literals, ids, paths or counts. Rows are collected to batches of full
//! size before they leave, so that the size of a batch does not tell how many rows were hidden in it.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{BatchCoalescer, and, prep_null_mask_filter};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties};
use futures::StreamExt;

use crate::policy::DecisionId;
use crate::product::ProductRef;

use super::Error;
use super::error::PortCause;
use super::exclusion::SubjectProbe;
use super::mask::ColumnMask;

/// What the barrier does to the rows of its input. Positions are those of the input's columns.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) product: ProductRef,
    pub(super) decision: DecisionId,
    /// Rows for which it is not true are hidden.
    pub(super) row_filter: Option<Arc<dyn PhysicalExpr>>,
    /// Rows whose subject is erased are hidden.
    pub(super) exclusion: Option<(usize, SubjectProbe)>,
    /// One for each column that is shown; these are the first columns of the input.
    pub(super) masks: Vec<Option<ColumnMask>>,
    /// Leakproof predicates of the user; the source may skip rows by them, and they are evaluated again above.
    pub(super) hints: Vec<Arc<dyn PhysicalExpr>>,
    /// No partition needs to deliver more visible rows than this.
    pub(super) row_limit: Option<usize>,
}

impl Terms {
    fn hide_rows(&self) -> bool {
        self.row_filter.is_some() || self.exclusion.is_some()
    }
}

/// The barrier: visible rows leave it, masked.
pub struct GovernedExec {
    input: Arc<dyn ExecutionPlan>,
    terms: Arc<Terms>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for GovernedExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GovernedExec").field("product", &self.terms.product).finish_non_exhaustive()
    }
}

impl GovernedExec {
    /// `schema` is that of the shown columns: the first of the input, in the same order.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, terms: Terms) -> Self {
        Self::over(input, schema, Arc::new(terms))
    }

    fn over(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, terms: Arc<Terms>) -> Self {
        // No equivalence and no ordering of the input is repeated: it would tell of raw values.
        let from = input.properties();
        let partitioning = Partitioning::UnknownPartitioning(from.output_partitioning().partition_count());
        let properties = PlanProperties::new(EquivalenceProperties::new(schema), partitioning, from.emission_type, from.boundedness)
            .with_scheduling_type(from.scheduling_type)
            .with_evaluation_type(from.evaluation_type);
        Self { input, terms, properties: Arc::new(properties) }
    }

    /// The decision under which the rows are read.
    pub fn decision(&self) -> DecisionId {
        self.terms.decision
    }

    /// The product whose rows are read.
    pub fn product(&self) -> &ProductRef {
        &self.terms.product
    }

    fn admits(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        let schema = self.properties.eq_properties.schema();
        let is_bare_unmasked = |operand: &&Arc<dyn PhysicalExpr>| {
            operand.downcast_ref::<Column>().is_some_and(|column| {
                schema.fields().get(column.index()).is_some_and(|field| field.name() == column.name())
                    && self.terms.masks.get(column.index()).is_some_and(Option::is_none)
            })
        };
        filter.downcast_ref::<DynamicFilterPhysicalExpr>().is_some_and(|dynamic| dynamic.children().iter().all(is_bare_unmasked))
    }
}

impl DisplayAs for GovernedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "GovernedExec: product={}", self.terms.product)
    }
}

impl ExecutionPlan for GovernedExec {
    fn name(&self) -> &'static str {
        "GovernedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children).map_err(|_| Error::Internal { invariant: "the barrier has one input" })?;
        if input.schema().fields() != self.input.schema().fields() {
            return Err(Error::Internal { invariant: "the barrier's input keeps its columns" }.into());
        }
        Ok(Arc::new(Self::over(input, Arc::clone(self.properties.eq_properties.schema()), Arc::clone(&self.terms))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = datafusion::physical_plan::ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(mode))
    }

    /// The policy's expressions are nobody's to see or to rewrite.
    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    /// The scan was split when it was made; rows are not dealt out again below the barrier.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    /// The order of joins hangs on the number of rows.
    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        // INVARIANT: inexact, so that no answer is made of it; and nothing if a row may be hidden.
        if let (false, [input]) = (self.terms.hide_rows(), inputs) {
            statistics.num_rows = input.num_rows.to_inexact();
        }
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn with_fetch(&self, _: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        None
    }

    fn fetch(&self) -> Option<usize> {
        None
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Unknown
    }

    fn try_swapping_with_projection(&self, _: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        Ok(None)
    }

    fn try_pushdown_sort(
        &self,
        _: &[datafusion::physical_expr::PhysicalSortExpr],
    ) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        Ok(SortOrderPushdownResult::Unsupported)
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        // Nothing of the parent's is promised to be evaluated. What the source may use it gets as a hint of the barrier's own.
        let mut hints: Vec<Arc<dyn PhysicalExpr>> = parent_filters.iter().filter(|filter| self.admits(filter)).cloned().collect();
        if matches!(phase, FilterPushdownPhase::Pre) {
            hints.extend(self.terms.row_filter.iter().cloned());
            hints.extend(self.terms.hints.iter().cloned());
        }
        let child = ChildFilterDescription::all_unsupported(&parent_filters).with_self_filters(hints);
        Ok(FilterDescription::new().with_child(child))
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        // INVARIANT: whatever the source took over, the barrier evaluates the row filter itself: two paths to the same safety.
        Ok(FilterPushdownPropagation::all_unsupported(child_pushdown_result))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context)).map_err(|source| port_error(&self.terms, source))?;
        let governor = Governor {
            input,
            schema: self.schema(),
            collector: BatchCoalescer::new(self.schema(), context.session_config().batch_size()),
            rows_left: self.terms.row_limit,
            finished: false,
            terms: Arc::clone(&self.terms),
        };
        let batches = futures::stream::try_unfold(governor, |mut governor| async move {
            let batch = governor.next().await?;
            Ok(batch.map(|batch| (batch, governor)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

/// A port's error text may hold a value of a hidden row: it goes into the cause, which is for the log.
fn port_error(terms: &Terms, source: DataFusionError) -> DataFusionError {
    match source.find_root() {
        DataFusionError::ResourcesExhausted(_) => source,
        _ => Error::Port { product: terms.product.clone(), cause: PortCause::new(source) }.into(),
    }
}

/// One partition of the barrier at work.
struct Governor {
    input: SendableRecordBatchStream,
    terms: Arc<Terms>,
    schema: SchemaRef,
    /// Holds visible raw rows of the shown columns.
    collector: BatchCoalescer,
    rows_left: Option<usize>,
    finished: bool,
}

impl Governor {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.rows_left == Some(0) {
                return Ok(None);
            }
            if let Some(batch) = self.collector.next_completed_batch() {
                return self.release(&batch).map(Some);
            }
            if self.finished {
                return Ok(None);
            }
            match self.input.next().await {
                None => {
                    self.finished = true;
                    self.collector.finish_buffered_batch()?;
                }
                Some(batch) => {
                    let batch = batch.map_err(|source| port_error(&self.terms, source))?;
                    if let Some(uncollected) = self.take(batch)? {
                        return Ok(Some(uncollected));
                    }
                }
            }
        }
    }

    /// Takes a raw batch in. Returns what can leave at once.
    fn take(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let visible = self.visible(&batch)?;
        let rows = visible.as_ref().map_or(batch.num_rows(), BooleanArray::true_count);
        let shown = self.shown(&batch)?;
        if self.schema.fields().is_empty() {
            let rows = self.rows_left.map_or(rows, |left| left.min(rows));
            let counted = RecordBatch::try_new_with_options(
                Arc::clone(&self.schema),
                Vec::new(),
                &RecordBatchOptions::new().with_row_count(Some(rows)),
            )?;
            return if rows == 0 { Ok(None) } else { self.release(&counted).map(Some) };
        }
        match visible {
            None => self.release(&shown).map(Some),
            Some(visible) => {
                self.collector.push_batch_with_filter(shown, &visible)?;
                if self.rows_left.is_some_and(|left| self.collector.get_buffered_rows() >= left) {
                    self.collector.finish_buffered_batch()?;
                }
                Ok(None)
            }
        }
    }

    /// Which rows may be seen; `None`: all. Never NULL.
    fn visible(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let filtered = match &self.terms.row_filter {
            None => None,
            Some(filter) => {
                let truth = filter.evaluate(batch)?.into_array(batch.num_rows())?;
                let truth = truth.as_any().downcast_ref::<BooleanArray>();
                let truth = truth.ok_or(Error::Internal { invariant: "a row filter is a condition" })?;
                Some(if truth.null_count() > 0 { prep_null_mask_filter(truth) } else { truth.clone() })
            }
        };
        let Some((position, probe)) = &self.terms.exclusion else { return Ok(filtered) };
        let subjects = batch.columns().get(*position).ok_or(Error::Internal { invariant: "the subject column is read" })?;
        let remaining = probe.visible(subjects)?;
        Ok(Some(match filtered {
            Some(filtered) => and(&filtered, &remaining)?,
            None => remaining,
        }))
    }

    fn shown(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns().iter().take(self.schema.fields().len()).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// Cuts a batch of visible rows to the limit and masks it.
    fn release(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut batch = batch.clone();
        if let Some(left) = &mut self.rows_left {
            batch = batch.slice(0, batch.num_rows().min(*left));
            *left = left.saturating_sub(batch.num_rows());
        }
        if self.terms.masks.iter().all(Option::is_none) {
            return Ok(batch);
        }
        let masked = batch.columns().iter().zip(&self.terms.masks).map(|(column, mask)| match mask {
            Some(mask) => mask.apply(column),
            None => Ok(Arc::clone(column)),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), masked.collect::<Result<_>>()?, &options)?)
    }
}
