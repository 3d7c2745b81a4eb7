//! [`InOrderExec`]: the rows of all partitions of its input, one partition after the other.
//!
//! The engine's own way to bring partitions together takes whichever batch comes first, so the order of rows changes from run to run.
//! Here all partitions run at once, too, a few batches ahead of the one whose turn it is.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};

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
        let partitions = self.input.output_partitioning().partition_count();
        // INVARIANT: all are started at once. Those of a join wait for each other before any of them answers.
        let started: Vec<_> = (0..partitions).map(|partition| self.start(partition, &context)).collect();
        let batches = futures::stream::iter(started).flatten().boxed();
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
