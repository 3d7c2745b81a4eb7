//! The scan of a look-up as an operator: each batch is made by a thread that may wait for the disk, and the last one brings the end.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use tokio::runtime::Handle;

use super::LookUp;
use super::search::Search;
use crate::ports::error::{Error, Place};
use crate::ports::estimate::row_statistics;
use crate::ports::foreground::Room;

/// The scan.
#[derive(Debug)]
pub(in crate::ports) struct LookUpExec {
    look_up: Arc<LookUp>,
    properties: Arc<PlanProperties>,
}

impl LookUpExec {
    pub(super) fn new(look_up: LookUp) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&look_up.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        // It waits for another thread before each batch.
        let properties = properties.with_scheduling_type(SchedulingType::Cooperative);
        Self { look_up: Arc::new(look_up), properties: Arc::new(properties) }
    }

    /// The row groups that it looks through, in order, each with the position of its file in the scan.
    pub(in super::super) fn row_groups(&self) -> impl Iterator<Item = (usize, usize)> {
        self.look_up.spots.iter().map(|spot| (spot.at, spot.group))
    }

    /// The same in these row groups of one file, of the first columns only; and of numbers of rows, if they have a field.
    pub(in super::super) fn within(&self, file: usize, groups: &[usize], first: usize, number: Option<FieldRef>) -> Result<Self> {
        let broken = || Error::Internal { at: self.look_up.at.clone(), broken: "a look-up delivers the first of its columns" };
        Ok(Self::new(self.look_up.within(file, groups, first, number).ok_or_else(broken)?))
    }
}

impl DisplayAs for LookUpExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PortScan: product={}, port={}", self.look_up.at.product(), self.look_up.at.port())
    }
}

impl ExecutionPlan for LookUpExec {
    fn name(&self) -> &'static str {
        "PortScan"
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

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], asked: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(row_statistics(&self.schema(), None, asked))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let config = context.session_config();
        let begun = (Search::new(Arc::clone(&self.look_up), config.batch_size()), Room::new(config));
        let at = self.look_up.at.clone();
        let batches = futures::stream::try_unfold(Some(begun), move |under_way| {
            let at = at.clone();
            async move {
                let Some((search, mut room)) = under_way.filter(|(search, _)| !search.is_done()) else { return Ok(None) };
                let (search, batch) = in_one_go(&at, search).await?;
                let Some(batch) = batch else { return Ok(None) };
                room.take_batch(&batch).await;
                Ok(Some((batch, Some((search, room)))))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

/// The next rows, by a thread that may wait for the disk.
async fn in_one_go(at: &Place, mut search: Search) -> Result<(Search, Option<arrow::array::RecordBatch>)> {
    let step = move || search.next().map(|batch| (search, batch));
    let Ok(runtime) = Handle::try_current() else { return step() };
    // The decoder is known to panic on some damaged files.
    runtime.spawn_blocking(step).await.map_err(|source| match source.is_panic() {
        true => DataFusionError::from(Error::Damaged { at: at.clone(), source: "the decoder panicked".into() }),
        false => Error::Unreadable { at: at.clone(), source: Box::new(source) }.into(),
    })?
}
