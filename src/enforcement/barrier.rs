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

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{BatchCoalescer, and, not, prep_null_mask_filter};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::collect_columns;
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
use crate::ports::{Kept, NumberedBatch, NumberedScan, Reading, Reduction, Without, marked, reduced, refusal, tested, waits};
use crate::product::ProductRef;

use super::Error;
use super::error::PortCause;
use super::exclusion::SubjectProbe;
use super::mask::{ColumnMask, Memo};
use super::recall::{Recall, Recorder};

/// So many runs of visible rows of one batch are copied as they lie.
const RUNS_MAX: usize = 32;
/// What is left of the rows by the user's predicates, for all that is known: as much as the engine takes it to be above the barrier.
const ROWS_LEFT_BY_PREDICATES: f64 = 0.2;

/// What is shown of a column. Positions are those of the input's columns.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// The column at that position.
    AsItIs(usize),
    /// A mask of the columns at these positions; a constant has none.
    Masked {
        /// In the order of the mask.
        inputs: Vec<usize>,
        /// The mask.
        mask: Arc<ColumnMask>,
    },
}

/// What the barrier does to the rows of its input. Positions are those of the input's columns.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) product: ProductRef,
    pub(super) decision: DecisionId,
    /// Further products whose rows are in the input, if its source joins them, and the decisions on these.
    pub(super) beside: Vec<(ProductRef, DecisionId)>,
    /// Rows for which it is not true are hidden.
    pub(super) row_filter: Option<Arc<dyn PhysicalExpr>>,
    /// Rows of which a subject is erased are hidden.
    pub(super) exclusions: Vec<(usize, SubjectProbe)>,
    /// For which rows it is known already whether these two hide them, and who takes down what is found out about the others.
    pub(super) recall: Option<Arc<Recall>>,
    /// So many of the input's first columns are what is shown, or what masks are computed from.
    pub(super) kept: usize,
    /// One for each column that leaves.
    pub(super) shown: Vec<Shown>,
    /// Leakproof predicates of the user: rows for which one is not true are left out.
    pub(super) predicates: Vec<Arc<dyn PhysicalExpr>>,
    /// Those among them that the source may skip rows by.
    pub(super) hints: Vec<Arc<dyn PhysicalExpr>>,
    /// The source must not learn what else is asked of rows: it fails by rows, hidden ones too.
    pub(super) secret: bool,
    /// If the source marks values that do not fit.
    pub(super) marking: Option<Marking>,
    /// No partition needs to deliver more visible rows than this.
    pub(super) row_limit: Option<usize>,
    /// So many filters of the source's are the whole row filter and all predicates; `None` if it was not offered all of them.
    pub(super) offered: Option<usize>,
}

/// Of a source that marks values that do not fit, and leaves it to the barrier to refuse those of visible rows.
#[derive(Debug, Clone)]
pub(super) struct Marking {
    /// The source.
    pub(super) scan: Arc<dyn ExecutionPlan>,
    /// So many of the input's first columns are what the statement asks for; the others only the policy reads.
    pub(super) asked: usize,
}

impl Terms {
    fn hide_rows(&self) -> bool {
        self.row_filter.is_some() || !self.exclusions.is_empty()
    }

    /// Whether a row is hidden or shown by what is in the column.
    fn tests(&self, position: usize) -> bool {
        let reads = |filter: &Arc<dyn PhysicalExpr>| collect_columns(filter).iter().any(|column| column.index() == position);
        self.row_filter.as_ref().is_some_and(reads) || self.exclusions.iter().any(|(excluded, _)| *excluded == position)
    }

    /// Those of states that a source has made under these.
    pub(super) fn of_states(&self, columns: usize) -> Self {
        Self {
            product: self.product.clone(),
            decision: self.decision,
            beside: self.beside.clone(),
            row_filter: None,
            exclusions: Vec::new(),
            recall: None,
            kept: columns,
            shown: (0..columns).map(Shown::AsItIs).collect(),
            predicates: Vec::new(),
            hints: Vec::new(),
            secret: self.secret,
            marking: None,
            row_limit: None,
            offered: None,
        }
    }
}

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
        self.terms.recall.is_none() && waits(&self.input)
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
        let input = self.arrivals(partition, &context).map_err(|source| port_error(&self.terms, source))?;
        let kept: Vec<usize> = (0..self.terms.kept).collect();
        let kept = Arc::new(self.input.schema().project(&kept)?);
        let rows_full = context.session_config().batch_size();
        let governor = Governor {
            input,
            schema: self.schema(),
            collector: BatchCoalescer::new(Arc::clone(&kept), rows_full),
            kept,
            rows_full,
            rows_counted: 0,
            rows_left: self.terms.row_limit,
            finished: false,
            recorder: self.terms.recall.clone().map(Recorder::new),
            memos: self.terms.shown.iter().map(|_| Memo::default()).collect(),
            terms: Arc::clone(&self.terms),
        };
        let batches = futures::stream::try_unfold(governor, |mut governor| async move {
            let batch = governor.next().await?;
            Ok(batch.map(|batch| (batch, governor)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

/// What a partition of the input delivers. If rows of it come without the columns that the policy tests, it says which these are.
fn arrivals(
    input: &Arc<dyn ExecutionPlan>,
    numbered: bool,
    partition: usize,
    context: &Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<Arrival>>> {
    match (numbered, NumberedScan::of(input)) {
        (false, _) => Ok(input.execute(partition, Arc::clone(context))?.map(|batch| batch.map(Arrival::Read)).boxed()),
        (true, Some(scan)) => Ok(scan.execute_numbered(partition, context)?.map(|batch| batch.map(Arrival::Numbered)).boxed()),
        (true, None) => Err(Error::Internal { invariant: "rows that are remembered come from a scan that numbers them" }.into()),
    }
}

/// A port's error text may hold a value of a hidden row: it goes into the cause, which is for the log.
fn port_error(terms: &Terms, source: DataFusionError) -> DataFusionError {
    match source.find_root() {
        DataFusionError::ResourcesExhausted(_) => source,
        _ => Error::Port { product: terms.product.clone(), cause: PortCause::new(source) }.into(),
    }
}

/// Raw rows.
enum Arrival {
    /// With all columns.
    Read(RecordBatch),
    /// With their numbers, and perhaps without the columns that only the policy tests.
    Numbered(NumberedBatch),
}

/// One partition of the barrier at work.
struct Governor {
    input: BoxStream<'static, Result<Arrival>>,
    terms: Arc<Terms>,
    schema: SchemaRef,
    /// The columns that are collected.
    kept: SchemaRef,
    /// Holds visible raw rows of the kept columns.
    collector: BatchCoalescer,
    /// Rows of a batch of full size.
    rows_full: usize,
    /// Visible rows that have not left, where no column is kept.
    rows_counted: usize,
    rows_left: Option<usize>,
    finished: bool,
    /// Takes down which rows are visible.
    recorder: Option<Recorder>,
    /// What masks remember, one for each column that leaves.
    memos: Vec<Memo>,
}

impl Governor {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.rows_left == Some(0) {
                return Ok(None);
            }
            if let Some(batch) = self.collected()? {
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
                Some(arrival) => {
                    let arrival = arrival.map_err(|source| port_error(&self.terms, source))?;
                    if let Some(uncollected) = self.take(arrival)? {
                        return Ok(Some(uncollected));
                    }
                }
            }
        }
    }

    /// A batch of full size, or the last one.
    fn collected(&mut self) -> Result<Option<RecordBatch>> {
        if self.terms.kept > 0 {
            return Ok(self.collector.next_completed_batch());
        }
        let ready = self.finished || self.rows_left.is_some_and(|left| self.rows_counted >= left);
        let rows = self.rows_counted.min(self.rows_full);
        if rows == 0 || (rows < self.rows_full && !ready) {
            return Ok(None);
        }
        self.rows_counted = self.rows_counted.saturating_sub(rows);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.kept), Vec::new(), &options)?))
    }

    /// Takes raw rows in. Returns what can leave at once.
    fn take(&mut self, arrival: Arrival) -> Result<Option<RecordBatch>> {
        let permitted = self.permitted(&arrival)?;
        let batch = match arrival {
            Arrival::Read(batch) | Arrival::Numbered(NumberedBatch { batch, .. }) => batch,
        };
        let permitted = match &self.terms.marking {
            Some(marking) => self.fitting(&batch, permitted, marking)?,
            None => permitted,
        };
        let visible = self.visible(&batch, permitted)?;
        if self.terms.kept == 0 {
            let rows = visible.as_ref().map_or(batch.num_rows(), BooleanArray::true_count);
            self.rows_counted = self.rows_counted.saturating_add(rows);
            return Ok(None);
        }
        let kept = self.kept(&batch)?;
        let full = kept.num_rows() == self.rows_full && self.collector.is_empty();
        match visible {
            // INVARIANT: if rows may be hidden, batches are of full size, even of a file that hides none of them.
            None if full || !self.terms.hide_rows() => return self.release(&kept).map(Some),
            None => self.collector.push_batch(kept)?,
            Some(visible) => {
                let runs: Vec<(usize, usize)> = visible.values().set_slices().take(RUNS_MAX + 1).collect();
                match runs[..] {
                    [(0, end)] if full && end == kept.num_rows() => return self.release(&kept).map(Some),
                    // Where a few rows are hidden, those between them are copied once: a filter would make a batch that is then copied.
                    [..] if runs.len() <= RUNS_MAX => {
                        for (start, end) in runs {
                            self.collector.push_batch(kept.slice(start, end.saturating_sub(start)))?;
                        }
                    }
                    [..] => self.collector.push_batch_with_filter(kept, &visible)?,
                }
            }
        }
        if self.rows_left.is_some_and(|left| self.collector.get_buffered_rows() >= left) {
            self.collector.finish_buffered_batch()?;
        }
        Ok(None)
    }

    /// Which rows the policy lets through; `None`: all. Never NULL.
    fn permitted(&mut self, arrival: &Arrival) -> Result<Option<BooleanArray>> {
        let numbered = match arrival {
            Arrival::Read(batch) => return self.tested(batch),
            Arrival::Numbered(numbered) => numbered,
        };
        let broken = |invariant| DataFusionError::from(Error::Internal { invariant });
        let recall = self.terms.recall.as_ref().ok_or_else(|| broken("rows by number are asked for by who remembers some"))?;
        match (numbered.reading, &numbered.numbers) {
            (Reading::Bare, None) => Ok(None),
            (Reading::Numbered, Some(numbers)) => recall.visible(numbered.file, numbers).map(Some),
            (Reading::Whole, Some(numbers)) => {
                let permitted = self.tested(&numbered.batch)?;
                if let (Some(recorder), Some(permitted)) = (&mut self.recorder, &permitted) {
                    recorder.record(numbered.file, numbers, permitted, &numbered.batch)?;
                }
                Ok(permitted)
            }
            _ => Err(broken("rows come as they were asked for")),
        }
    }

    /// The same, by testing the columns.
    fn tested(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let mut remaining = None;
        if let Some(filter) = &self.terms.row_filter {
            remaining = Some(truth(filter, batch)?);
        }
        for (position, probe) in &self.terms.exclusions {
            let subjects = batch.columns().get(*position).ok_or(Error::Internal { invariant: "the subject column is read" })?;
            remaining = Some(both(remaining, probe.visible(subjects)?)?);
        }
        Ok(remaining)
    }

    /// Which of the rows that the policy lets through have what it looks at. What the statement asks for of them must fit its type, or it ends.
    fn fitting(&self, batch: &RecordBatch, mut permitted: Option<BooleanArray>, marking: &Marking) -> Result<Option<BooleanArray>> {
        let columns = || batch.columns().iter().enumerate().filter_map(|(position, column)| Some((position, marked(column)?)));
        for (position, marked) in columns() {
            if self.terms.tests(position) {
                permitted = Some(both(permitted, not(&marked)?)?);
            }
        }
        for (position, marked) in columns().filter(|(position, _)| *position < marking.asked) {
            let visible = both(permitted.clone(), marked)?;
            if visible.true_count() > 0 {
                return Err(port_error(&self.terms, refusal(&marking.scan, position)));
            }
        }
        Ok(permitted)
    }

    /// Which of the rows that are let through are asked for; `None`: all. Never NULL.
    fn visible(&self, batch: &RecordBatch, permitted: Option<BooleanArray>) -> Result<Option<BooleanArray>> {
        let mut remaining = permitted;
        for predicate in &self.terms.predicates {
            if remaining.as_ref().is_some_and(|remaining| remaining.true_count() == 0) {
                break;
            }
            remaining = Some(both(remaining, truth(predicate, batch)?)?);
        }
        Ok(remaining)
    }

    fn kept(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns().iter().take(self.terms.kept).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.kept), columns, &options)?)
    }

    /// Cuts a batch of visible rows to the limit and masks it.
    fn release(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut batch = batch.clone();
        if let Some(left) = &mut self.rows_left {
            batch = batch.slice(0, batch.num_rows().min(*left));
            *left = left.saturating_sub(batch.num_rows());
        }
        let column = |position: &usize| batch.columns().get(*position).cloned();
        let broken = || DataFusionError::from(Error::Internal { invariant: "what a shown column is made of is kept" });
        let shown = self.terms.shown.iter().zip(&mut self.memos).map(|(shown, memo)| match shown {
            Shown::AsItIs(position) => column(position).ok_or_else(broken),
            Shown::Masked { inputs, mask } => {
                let inputs = inputs.iter().map(column).collect::<Option<Vec<_>>>().ok_or_else(broken)?;
                mask.apply(&inputs, batch.num_rows(), memo)
            }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), shown.collect::<Result<_>>()?, &options)?)
    }
}

/// The rows for which a condition is true.
fn truth(condition: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let truth = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    let truth = truth.as_any().downcast_ref::<BooleanArray>();
    let truth = truth.ok_or(Error::Internal { invariant: "a filter of the barrier is a condition" })?;
    Ok(if truth.null_count() > 0 { prep_null_mask_filter(truth) } else { truth.clone() })
}

fn both(before: Option<BooleanArray>, now: BooleanArray) -> Result<BooleanArray> {
    Ok(match before {
        Some(before) => and(&before, &now)?,
        None => now,
    })
}
