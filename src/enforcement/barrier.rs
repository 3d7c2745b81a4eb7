//! [`GovernedExec`]: the security barrier between a port's scan and everything of the user.
//!
//! INVARIANT: in one operator, in this order: row filter, exclusion, leakproof predicates of the user, masks. There is nothing in between
//! for an optimizer rule to move, and the operator answers every rule that would move something past it, in either direction, with no. The one exception:
//! a dynamic filter (of a join or a TopK) over bare unmasked columns is handed to the source, which may skip rows by it.
//!
//! A barrier can absorb a top-N or the first half of an aggregation ([`super::absorption`]): then its source leaves out what is not needed. The rows of
//! a top-N pass the barrier as all rows do; states of aggregates were made of rows that the source has filtered, all by itself.
//! It may so have the rows of several products below it, each under its own decision ([`super::joined`]).
//!
//! It has no statistics but one: where it hides nothing, about how many rows there are, which anyone who may read it could count.
//! It has no orderings, and a text without literals, ids, paths or counts. Rows are collected to batches of full size before they leave,
//! and the user's leakproof predicates are tested before that. So what leaves is the same, batch for batch, whatever rows were hidden
//! and whatever the source has skipped by its statistics, which count hidden rows too.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::policy::DecisionId;
use crate::ports::{Kept, Reduction, Without, reduced, tested, waits};
use crate::product::ProductRef;

use super::Error;
use super::governor::{Arrival, Governor, arrivals, port_error};
use super::terms::{Shown, Terms};

/// What is left of the rows by the user's predicates, for all that is known: as much as the engine takes it to be above the barrier.
const ROWS_LEFT_BY_PREDICATES: f64 = 0.2;

/// What a barrier has absorbed, and whether rows may have been hidden below it.
#[derive(Debug, Clone)]
struct Absorbed {
    /// `None`: joins alone, with all of their rows.
    kept: Option<Kept>,
    hides_rows: bool,
}

/// The barrier: visible rows leave it, masked.
pub struct GovernedExec {
    input: Arc<dyn ExecutionPlan>,
    terms: Arc<Terms>,
    absorbed: Option<Absorbed>,
    /// The partitions of the source are read one after the other, as one.
    in_order: bool,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for GovernedExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GovernedExec").field("product", &self.terms.product).finish_non_exhaustive()
    }
}

impl GovernedExec {
    /// `schema` is that of the columns that leave.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, terms: Terms) -> Self {
        Self::over(input, schema, Arc::new(terms), false)
    }

    fn over(input: Arc<dyn ExecutionPlan>, schema: SchemaRef, terms: Arc<Terms>, in_order: bool) -> Self {
        // No equivalence and no ordering of the input is repeated: it would tell of raw values.
        let from = input.properties();
        let partitions = if in_order { 1 } else { from.output_partitioning().partition_count() };
        let partitioning = Partitioning::UnknownPartitioning(partitions);
        let properties = PlanProperties::new(EquivalenceProperties::new(schema), partitioning, from.emission_type, from.boundedness)
            .with_scheduling_type(from.scheduling_type)
            .with_evaluation_type(from.evaluation_type);
        Self { input, terms, absorbed: None, in_order, properties: Arc::new(properties) }
    }

    /// The same in one partition, if nothing may come between it and its source; `None` if something may.
    ///
    /// Rows are brought together below, so that batches follow from the visible rows alone, wherever the source was split.
    pub fn in_order(&self) -> Option<Self> {
        self.terms.recall.as_ref()?;
        let schema = Arc::clone(self.properties.eq_properties.schema());
        let barrier = Self::over(Arc::clone(&self.input), schema, Arc::clone(&self.terms), true);
        Some(Self { absorbed: self.absorbed.clone(), ..barrier })
    }

    /// What stood above, if the source does it.
    pub(super) fn absorbed(&self) -> Option<&Kept> {
        self.absorbed.as_ref()?.kept.as_ref()
    }

    /// The barrier over a source that leaves out what is not needed. Columns are those that leave. `None` if the source cannot, or if it
    /// does not do all that the barrier does.
    pub(super) fn absorbing(&self, kept: &Kept) -> Option<Self> {
        let terms = &self.terms;
        let without = self.left_to_source()?;
        let below = kept.over(|column| match terms.shown.get(column) {
            Some(Shown::AsItIs(position)) => Some(*position),
            Some(Shown::Masked { .. }) | None => None,
        })?;
        let input = reduced(&self.input, &Reduction { without, kept: below })?;
        let barrier = match kept {
            Kept::First { .. } => Self::over(input, Arc::clone(self.properties.eq_properties.schema()), Arc::clone(terms), false),
            Kept::States { schema, .. } => Self::over(input, Arc::clone(schema), Arc::new(terms.of_states(schema.fields().len())), false),
        };
        Some(barrier.having_absorbed(Some(kept), terms.hide_rows()))
    }

    /// Says of a barrier whose source leaves out what is not needed what that is, and whether rows may have been hidden below it.
    pub(super) fn having_absorbed(self, kept: Option<&Kept>, hides_rows: bool) -> Self {
        Self { absorbed: Some(Absorbed { kept: kept.cloned(), hides_rows }), ..self }
    }

    /// Who is left out, if all that the barrier does to rows can be left to its source: `None` if it cannot.
    pub(super) fn left_to_source(&self) -> Option<Option<Without>> {
        let terms = &self.terms;
        // INVARIANT: the source itself says how many filters it tests, whatever lies between the two: one that was lost on the way is missed here.
        let tests_all = terms.offered.is_some() && tested(&self.input) == terms.offered;
        if self.absorbed.is_some() || !tests_all || terms.row_limit.is_some() || terms.recall.is_some() {
            return None;
        }
        match terms.exclusions.as_slice() {
            [] => Some(None),
            [(column, probe)] => Some(Some(Without { column: *column, subjects: probe.few()? })),
            _ => None,
        }
    }

    /// What it does to rows.
    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The scan below it.
    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// The products whose rows are read, each with the decision under which they are.
    pub fn reads(&self) -> impl Iterator<Item = (&ProductRef, DecisionId)> {
        let beside = self.terms.beside.iter().map(|(product, decision)| (product, *decision));
        std::iter::once((&self.terms.product, self.terms.decision)).chain(beside)
    }

    /// Whether rows may be hidden.
    pub(super) fn hides_rows(&self) -> bool {
        self.terms.hide_rows() || self.absorbed.as_ref().is_some_and(|absorbed| absorbed.hides_rows)
    }

    /// Whether each row of the source leaves as it comes, or only some do; `None` if it answers in another way.
    pub fn hands_on(&self) -> Option<bool> {
        self.absorbed.is_none().then(|| !self.terms.hide_rows() && self.terms.predicates.is_empty())
    }

    /// Whether it does nothing but wait for its source until a few rows of it have come.
    pub fn waits(&self) -> bool {
        waits(&self.input)
    }

    /// About how many rows the source has, hidden ones included; `None` if nobody knows.
    pub(super) fn rows_read(&self) -> Option<usize> {
        let statistics = StatisticsContext::new().compute(self.input.as_ref(), &StatisticsArgs::new()).ok()?;
        statistics.num_rows.get_value().copied()
    }

    /// What a partition takes in.
    fn arrivals(&self, partition: usize, context: &Arc<TaskContext>) -> Result<BoxStream<'static, Result<Arrival>>> {
        let (input, numbered) = (Arc::clone(&self.input), self.terms.recall.is_some());
        if !self.in_order {
            return arrivals(&input, numbered, partition, context);
        }
        let (partitions, context) = (input.properties().output_partitioning().partition_count(), Arc::clone(context));
        let all = futures::stream::iter(0..partitions).map(move |partition| arrivals(&input, numbered, partition, &context));
        Ok(all.try_flatten().boxed())
    }

    /// The dynamic filter over the input's columns, if it is one over bare unmasked columns.
    fn admitted(&self, filter: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
        let dynamic = filter.downcast_ref::<DynamicFilterPhysicalExpr>().filter(|_| !self.terms.secret)?;
        let (schema, input) = (self.properties.eq_properties.schema(), self.input.schema());
        let below = |operand: &Arc<dyn PhysicalExpr>| {
            let column = operand.downcast_ref::<Column>()?;
            let named = schema.fields().get(column.index()).is_some_and(|field| field.name() == column.name());
            match self.terms.shown.get(column.index())? {
                // Under the name that the source knows it by: a join of products gives columns other ones.
                Shown::AsItIs(position) if named => {
                    let name = input.fields().get(*position)?.name();
                    Some(Arc::new(Column::new(name, *position)) as Arc<dyn PhysicalExpr>)
                }
                Shown::AsItIs(_) | Shown::Masked { .. } => None,
            }
        };
        let children = dynamic.children().into_iter().map(below).collect::<Option<Vec<_>>>()?;
        Arc::clone(filter).with_new_children(children).ok()
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
        let barrier = Self::over(input, Arc::clone(self.properties.eq_properties.schema()), Arc::clone(&self.terms), self.in_order);
        Ok(Arc::new(Self { absorbed: self.absorbed.clone(), ..barrier }))
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
        if let (false, [input]) = (self.hides_rows(), inputs) {
            let rows = input.num_rows.to_inexact();
            let tested = !self.terms.predicates.is_empty();
            statistics.num_rows = if tested { rows.with_estimated_selectivity(ROWS_LEFT_BY_PREDICATES) } else { rows };
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
        let mut hints: Vec<Arc<dyn PhysicalExpr>> = parent_filters.iter().filter_map(|filter| self.admitted(filter)).collect();
        if matches!(phase, FilterPushdownPhase::Pre) {
            hints.extend(self.terms.row_test.condition().cloned());
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
        let arrivals = self.arrivals(partition, &context).map_err(|source| port_error(&self.terms, source))?;
        let collected = self.input.schema().project(&(0..self.terms.kept).collect::<Vec<_>>())?;
        let rows_full = context.session_config().batch_size();
        let governor = Governor::new(arrivals, Arc::clone(&self.terms), self.schema(), Arc::new(collected), rows_full);
        let batches = futures::stream::try_unfold(governor, |mut governor| async move {
            let batch = governor.next().await?;
            Ok(batch.map(|batch| (batch, governor)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
