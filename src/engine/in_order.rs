//! [`InOrderExec`]: the rows of all partitions of its input, one partition after the other.
//!
//! The engine's own way to bring partitions together takes whichever batch comes first, so the order of rows changes from run to run.
//! Here all partitions run at once, too, a few batches ahead of the one whose turn it is. Where each row is handed on as it is read,
//! there is nothing to gain from that, and a result that nobody reads would hold what each partition reads: there they run one by one. Where
//! some rows are left out on the way, so many partitions run ahead of their turn as all statements together may have.

use std::fmt;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::enforcement::GovernedExec;

/// Batches of a partition that are read ahead.
const BATCHES_AHEAD: usize = 2;

/// Brings partitions together, in their order.
#[derive(Debug)]
pub(super) struct InOrderExec {
    input: Arc<dyn ExecutionPlan>,
    rows_max: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl InOrderExec {
    /// `rows_max` rows at most leave it.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, rows_max: Option<usize>) -> Self {
        let from = input.properties();
        let equivalences = EquivalenceProperties::new(input.schema());
        let properties = PlanProperties::new(equivalences, Partitioning::UnknownPartitioning(1), from.emission_type, from.boundedness)
            .with_scheduling_type(from.scheduling_type)
            .with_evaluation_type(from.evaluation_type);
        Self { input, rows_max, properties: Arc::new(properties) }
    }

    /// One partition of the input, read ahead on a task of its own.
    fn start(&self, partition: usize, context: &Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut ahead = RecordBatchReceiverStreamBuilder::new(self.input.schema(), BATCHES_AHEAD);
        let (input, context, sender) = (Arc::clone(&self.input), Arc::clone(context), ahead.tx());
        ahead.spawn(async move {
            let mut batches = input.execute(partition, context)?;
            while let Some(batch) = batches.next().await {
                let last = batch.is_err();
                if sender.send(batch).await.is_err() || last {
                    break;
                }
            }
            Ok(())
        });
        ahead.build()
    }
}

impl InOrderExec {
    fn partitions(&self) -> usize {
        self.input.output_partitioning().partition_count()
    }

    /// All partitions are started at once: those of a join wait for each other before any of them answers.
    fn at_once(&self, context: &Arc<TaskContext>) -> BoxStream<'static, Result<RecordBatch>> {
        let started: Vec<_> = (0..self.partitions()).map(|partition| self.start(partition, context)).collect();
        futures::stream::iter(started).flatten().boxed()
    }

    /// The first partition is read by whoever asks, and none of its batches ahead. Of the others, so many are started at once as `ahead` lets;
    /// the rest of them when the one before has ended.
    fn by_turns(&self, context: &Arc<TaskContext>, ahead: &'static Semaphore) -> BoxStream<'static, Result<RecordBatch>> {
        let begun = |partition| match ahead.try_acquire() {
            Ok(permit) if partition > 0 => Turn::Begun(self.start(partition, context), permit),
            _ => Turn::Later(partition),
        };
        let turns: Vec<Turn> = (0..self.partitions()).map(begun).collect();
        let (input, context) = (Arc::clone(&self.input), Arc::clone(context));
        let opened = move |turn| match turn {
            Turn::Begun(batches, permit) => {
                let held = batches.map(move |batch| {
                    let _held = &permit;
                    batch
                });
                held.boxed()
            }
            Turn::Later(partition) => match input.execute(partition, Arc::clone(&context)) {
                Ok(batches) => batches.boxed(),
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            },
        };
        futures::stream::iter(turns).map(opened).flatten().boxed()
    }
}

/// A partition whose turn is to come.
enum Turn {
    Begun(SendableRecordBatchStream, SemaphorePermit<'static>),
    Later(usize),
}

/// How the rows of a partition come out of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Each as it is read: nothing is left out, brought together or waited for.
    All,
    /// The same, but for those that are left out.
    Some,
    /// In another way; partitions may wait for each other.
    Other,
}

impl Flow {
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        if let Some(barrier) = plan.downcast_ref::<GovernedExec>() {
            return match barrier.hands_on() {
                Some(true) => Self::All,
                Some(false) => Self::Some,
                None => Self::Other,
            };
        }
        match plan.children()[..] {
            [below] if plan.is::<ProjectionExec>() => Self::of(below),
            [below] if plan.is::<FilterExec>() => match Self::of(below) {
                Self::All | Self::Some => Self::Some,
                Self::Other => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// No partition is read ahead of its turn.
static NONE_AHEAD: Semaphore = Semaphore::const_new(0);
/// Partitions of all statements together that are read ahead of their turn, where not all of them have to be. Results that nobody reads hold
/// what these have read; a few statements at a time have all of theirs.
static AHEAD: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from) * 4));

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("InOrderExec")
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &'static str {
        "InOrderExec"
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
        let [input] =
            <[_; 1]>::try_from(children).map_err(|_| DataFusionError::Internal("partitions of one input are put in order".to_owned()))?;
        Ok(Arc::new(Self::new(input, self.rows_max)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = match Flow::of(&self.input) {
            Flow::All => self.by_turns(&context, &NONE_AHEAD),
            Flow::Some => self.by_turns(&context, &AHEAD),
            Flow::Other => self.at_once(&context),
        };
        let cut = match self.rows_max {
            None => batches,
            Some(rows_max) => first_rows(batches, rows_max).boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), cut)))
    }
}

/// The first rows of a stream; what follows is not asked for.
fn first_rows(batches: BoxStream<'static, Result<RecordBatch>>, rows_max: usize) -> impl Stream<Item = Result<RecordBatch>> + Send {
    futures::stream::try_unfold((batches, rows_max), |(mut batches, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(batch) = batches.try_next().await? else { return Ok(None) };
        let taken = batch.num_rows().min(left);
        Ok(Some((batch.slice(0, taken), (batches, left - taken))))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use datafusion::arrow::array::Int32Array;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};

    use super::*;

    /// Three partitions of three rows in batches of one; counts those that were started.
    #[derive(Debug)]
    struct Counted {
        started: AtomicUsize,
        properties: Arc<PlanProperties>,
    }

    impl Counted {
        fn new() -> Arc<Self> {
            let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
            let partitioning = Partitioning::UnknownPartitioning(3);
            let properties =
                PlanProperties::new(EquivalenceProperties::new(schema), partitioning, EmissionType::Incremental, Boundedness::Bounded);
            Arc::new(Self { started: AtomicUsize::new(0), properties: Arc::new(properties) })
        }
    }

    impl DisplayAs for Counted {
        fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("Counted")
        }
    }

    impl ExecutionPlan for Counted {
        fn name(&self) -> &'static str {
            "Counted"
        }
        fn properties(&self) -> &Arc<PlanProperties> {
            &self.properties
        }
        fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
            vec![]
        }
        fn replace_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>, _: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
            Ok(self)
        }
        fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
            Ok(self)
        }
        fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
            Ok(TreeNodeRecursion::Continue)
        }
        fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
            self.started.fetch_add(1, Ordering::SeqCst);
            let (schema, first) = (self.schema(), i32::try_from(partition).unwrap() * 3);
            let of = Arc::clone(&schema);
            let batches = (first..first + 3).map(move |n| -> Result<RecordBatch> {
                Ok(RecordBatch::try_new(Arc::clone(&of), vec![Arc::new(Int32Array::from(vec![n]))])?)
            });
            Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.collect::<Vec<_>>()))))
        }
    }

    fn number(batch: &RecordBatch) -> i32 {
        batch.column(0).as_any().downcast_ref::<Int32Array>().unwrap().value(0)
    }

    #[tokio::test]
    async fn partitions_that_wait_for_nothing_come_and_start_one_by_one() {
        let input = Counted::new();
        let ordered = InOrderExec::new(Arc::clone(&input) as _, None);
        let mut batches = ordered.by_turns(&Arc::default(), &NONE_AHEAD);
        for expected in 0..3 {
            let batch = batches.next().await.unwrap().unwrap();
            tokio::task::yield_now().await;
            assert_eq!((number(&batch), input.started.load(Ordering::SeqCst)), (expected, 1));
        }
        let rest: Vec<RecordBatch> = batches.try_collect().await.unwrap();
        assert_eq!(rest.iter().map(number).collect::<Vec<_>>(), (3..9).collect::<Vec<_>>());
        assert_eq!(input.started.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn so_many_run_ahead_of_their_turn_as_may() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let input = Counted::new();
        let ordered = InOrderExec::new(Arc::clone(&input) as _, None);
        let mut batches = ordered.by_turns(&Arc::default(), &ONE);
        while input.started.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(number(&batches.next().await.unwrap().unwrap()), 0);
        assert_eq!((input.started.load(Ordering::SeqCst), ONE.available_permits()), (2, 0));
        let rest: Vec<RecordBatch> = batches.try_collect().await.unwrap();
        assert_eq!(rest.iter().map(number).collect::<Vec<_>>(), (1..9).collect::<Vec<_>>());
        assert_eq!((input.started.load(Ordering::SeqCst), ONE.available_permits()), (3, 1));
    }

    #[tokio::test]
    async fn partitions_that_may_wait_for_each_other_all_start() {
        let input = Counted::new();
        let mut batches = InOrderExec::new(Arc::clone(&input) as _, None).execute(0, Arc::default()).unwrap();
        assert_eq!(number(&batches.next().await.unwrap().unwrap()), 0);
        while input.started.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
    }
}
