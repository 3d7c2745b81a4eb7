//! [`InOrderExec`]: the rows of all partitions of its input, one partition after the other.
//!
//! The engine's own way to bring partitions together takes whichever batch comes first, so the order of rows changes from run to run.
//! Here all partitions run at once, too, a few batches ahead of the one whose turn it is. Where the first batch is there at once, the
//! others wait until more than that is wanted: a result that nobody reads does not hold batches of each partition.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};

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

    /// The first partition is started, and all others when a second batch is asked for.
    fn as_wanted(&self, context: &Arc<TaskContext>) -> BoxStream<'static, Result<RecordBatch>> {
        let mut first = self.start(0, context);
        let (others, context) = (Self::new(Arc::clone(&self.input), None), Arc::clone(context));
        let begun = async move {
            let batch = first.next().await;
            let more = async move {
                let started: Vec<_> = (1..others.partitions()).map(|partition| others.start(partition, &context)).collect();
                first.chain(futures::stream::iter(started).flatten())
            };
            futures::stream::iter(batch).chain(futures::stream::once(more).flatten())
        };
        futures::stream::once(begun).flatten().boxed()
    }
}

/// Whether each partition hands on each row of its source as it is read: nothing is left out, brought together or waited for.
fn answers_at_once(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(barrier) = plan.downcast_ref::<GovernedExec>() {
        return barrier.leaves_none_out();
    }
    match plan.children()[..] {
        [below] if plan.is::<ProjectionExec>() => answers_at_once(below),
        _ => false,
    }
}

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
        let batches = if answers_at_once(&self.input) { self.as_wanted(&context) } else { self.at_once(&context) };
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
    async fn partitions_come_in_order_and_start_when_more_than_a_batch_is_wanted() {
        let input = Counted::new();
        let ordered = InOrderExec::new(Arc::clone(&input) as _, None);
        let mut batches = ordered.as_wanted(&Arc::default());
        let first = batches.next().await.unwrap().unwrap();
        tokio::task::yield_now().await;
        assert_eq!((number(&first), input.started.load(Ordering::SeqCst)), (0, 1));
        let rest: Vec<RecordBatch> = batches.try_collect().await.unwrap();
        assert_eq!(rest.iter().map(number).collect::<Vec<_>>(), (1..9).collect::<Vec<_>>());
        assert_eq!(input.started.load(Ordering::SeqCst), 3);
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
